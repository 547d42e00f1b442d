-- Every rule model of the engine equals its plain-SQL twin on random journeys with random options.
-- A failing test prints its seed and options: SELECT twin.make_rows(seed, ...) makes the same rows again.
-- CDP_SEED in the environment shifts all seeds.
BEGIN;
\getenv base CDP_SEED
\if :{?base}
\else
\set base 0
\endif
SELECT plan(129);
SET client_min_messages = error;
\ir ../twin/twin.sql
SELECT diag('seeds ' || :base + 1 || ' to ' || :base + 60) WHERE :base <> 0;

CREATE FUNCTION twin.all_rules(int_labels bool DEFAULT false) RETURNS text[] LANGUAGE sql
RETURN ARRAY['first', 'last', 'linear', 'linear_unique', 'u_shaped', 'j_shaped', 'inverse_j', 'position(0.3, 0.5)', 'position(0,1)', 'position(0.5,0.5)',
  'w_shaped', 'full_path', 'time_decay(7 days)', 'time_decay(1 hour)', 'time_decay(1 day, step)', 'time_decay(00:00:00.000005)',
  'exponential(0.5)', 'exponential(1)', 'exponential(0.001)', 'ramp', 'custom(3,2,1)', 'custom(0.7)', 'custom(0, 1, 0, 5)', 'participation']
  || CASE WHEN int_labels THEN ARRAY['last_non(7)', 'first_non(10, -3)'] ELSE ARRAY['last_non(Direct)', 'first_non("a, b", email)', 'last_non("E(1)", "paid ""x""", 微信)'] END;

-- One dataset and its options from one seed; the kind of call goes round with the seed.
CREATE FUNCTION twin.run(seed int, models text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  ids bool := seed % 2 = 0;
  int_labels bool := seed % 5 = 3;
  o jsonb;
BEGIN
  PERFORM twin.make_rows(seed, 'mixed', 0, int_labels);
  o := twin.make_options(seed, models, ids, int_labels);
  o := o || jsonb_build_object('key_type', (ARRAY['text', 'bigint', 'uuid'])[1 + seed % 3]);
  IF NOT ids AND seed % 4 = 1 THEN o := o || '{"value_type": "float8"}'; END IF;
  RETURN twin.compare('twin.rows', o);
END $$;
SELECT is(twin.run(:base + seed, twin.all_rules((:base + seed) % 5 = 3)), NULL, 'rule models, seed ' || :base + seed) FROM generate_series(1, 60) seed;
-- Same touch needs the sessions of the long form.
SELECT is(twin.run(:base + seed, '{same_touch,last}'), NULL, 'same touch, seed ' || :base + seed) FROM generate_series(100, 118, 2) seed;

-- Credit of each touch, not only the sums.
CREATE FUNCTION twin.run_credit(seed int, ids bool) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM twin.make_rows(seed);
  RETURN twin.compare_credit('twin.rows', twin.make_options(seed, twin.all_rules(), ids));
END $$;
SELECT is(twin.run_credit(:base + seed, true), NULL, 'credit of each touch, seed ' || :base + seed) FROM generate_series(201, 230) seed;

-- Customers of many touches and several conversions.
CREATE FUNCTION twin.run_big(seed int, size int, o jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(seed / 1000.0);
  DELETE FROM twin.rows;
  INSERT INTO twin.rows
  SELECT c::text, '2026-01-01'::timestamptz + floor(random() * size / 2) * interval '10 min', 'L' || floor(random() * random() * 9), NULL::numeric, NULL::bigint, 'click', NULL::bigint, NULL::bigint
    FROM generate_series(1, 2) c, generate_series(1, CASE c WHEN 1 THEN size ELSE 1 END)
  UNION ALL
  SELECT '1', '2026-01-01'::timestamptz + floor(random() * size / 2) * interval '10 min', NULL, v, NULL, 'purchase', NULL, NULL
    FROM unnest('{100,0,-7,33.333333}'::numeric[]) v;
  RETURN twin.compare('twin.rows', o || jsonb_build_object('models', ARRAY['first', 'last', 'linear', 'linear_unique', 'u_shaped', 'time_decay(7 days)',
    'time_decay(1 s)', 'ramp', 'exponential(0.5)', 'last_non(L0)', 'custom(1,2,3)', 'participation', 'w_shaped']));
END $$;
SELECT is(twin.run_big(1, size, o), NULL, size || ' touches a customer, ' || o::text)
  FROM (VALUES (100, '{}'::jsonb), (1000, '{"journey": "reset"}'), (10000, '{"lookback_unbounded": true}'), (10000, '{"journey": "reset", "collapse": true}')) v(size, o);

-- ---- Hand-made cases, one for each sentence of the contract.
CREATE TABLE twin.hand (key text, at timestamptz, label text, value numeric, id bigint, kind text, session bigint, refers_to bigint);
CREATE FUNCTION twin.hand(body text, o jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM twin.hand;
  EXECUTE 'INSERT INTO twin.hand SELECT k, ''2026-01-01''::timestamptz + h * interval ''1 hour'', l, v::numeric, id, kind::text, session::bigint, refers::bigint FROM (VALUES ' || body || ') r(k, h, l, v, id, kind, session, refers)';
  RETURN twin.compare('twin.hand', o);
END $$;
CREATE FUNCTION twin.line(o jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format($q$SELECT string_agg(format('%%s %%s %%s', label, trim_scale(round(conversions, 9)), trim_scale(round(value, 9))), ', ' ORDER BY label COLLATE "C") FROM (%s) q, cdp.attribution_totals(q.p) WHERE conversions <> 0 OR value <> 0$q$,
    twin.pass_sql('twin.hand', o)) INTO r;
  RETURN r;
END $$;
\set ids '{"ids": true, "models": ["linear"]}'
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, NULL, 10, 2, NULL, NULL, NULL), ('a', 2, NULL, -4, 3, NULL, NULL, NULL)$$, :'ids'), NULL, 'refund without reference');
SELECT is(twin.line(:'ids'), 'x 1 6', 'it lowers the value of the latest conversion, whose count stays');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, NULL, 10, 2, NULL, NULL, NULL), ('a', 1, 'y', NULL, 3, NULL, NULL, NULL), ('a', 2, NULL, 5, 4, NULL, NULL, NULL), ('a', 3, NULL, -4, 5, NULL, NULL, 2)$$, :'ids'), NULL, 'refund with reference');
SELECT is(twin.line(:'ids'), 'x 1.5 8.5, y 0.5 2.5', 'it reverses the split of the conversion that it names');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, NULL, 10, 2, NULL, NULL, NULL), ('b', 3, NULL, -4, 5, NULL, NULL, 77), ('b', 3, NULL, -1, 6, NULL, NULL, NULL)$$, :'ids'), NULL, 'orphan refunds');
SELECT is(twin.line(:'ids'), '(unattributed) 0 -5, x 1 10', 'they go to (unattributed)');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, NULL, 10, 2, NULL, NULL, NULL), ('a', 3, NULL, 4, 5, NULL, NULL, 2)$$, :'ids'), NULL, 'a refund that names its conversion with a positive amount');
SELECT is(twin.line(:'ids'), 'x 1 6', 'lowers the value too');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 720, NULL, 10, 2, NULL, NULL, NULL), ('b', 0, 'x', NULL, 3, NULL, NULL, NULL), ('b', 720.000001, NULL, 10, 4, NULL, NULL, NULL)$$, :'ids'), NULL, 'lookback is inclusive');
SELECT is(twin.line(:'ids'), '(unattributed) 1 10, x 1 10', '30 days are 720 hours, and not one microsecond more');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, 'y', 10, 2, NULL, NULL, NULL), ('a', 2, NULL, 5, 3, NULL, NULL, NULL)$$, :'ids'::jsonb || '{"conversion_is_touch": "no"}'), NULL, 'a conversion''s label is no touch');
SELECT is(twin.line(:'ids'::jsonb || '{"conversion_is_touch": "no"}'), 'x 2 15', 'unless the options say so');
SELECT is(twin.line(:'ids'::jsonb || '{"conversion_is_touch": "later"}'), 'x 1.5 12.5, y 0.5 2.5', 'later: for later conversions');
SELECT is(twin.line(:'ids'::jsonb || '{"conversion_is_touch": "also"}'), 'x 1 7.5, y 1 7.5', 'also: for its own too');
SELECT is(twin.line(:'ids'::jsonb || '{"conversion_is_touch": "also", "journey": "reset"}'), '(unattributed) 1 5, x 0.5 5, y 0.5 5', 'reset: what the previous conversion had is gone');
SELECT is(twin.line(:'ids'::jsonb || '{"conversion_is_touch": "later", "journey": "reset"}'), 'x 1 10, y 1 5', 'reset and later: the own row opens the next journey');
SELECT is(twin.hand($$('a', 0, 'x', NULL, 1, NULL, NULL, NULL), ('a', 1, 'x', NULL, 2, NULL, NULL, NULL), ('a', 2, 'y', NULL, 3, NULL, NULL, NULL), ('a', 3, NULL, 1, 4, NULL, NULL, NULL)$$, :'ids'), NULL, 'repeats');
SELECT is(twin.line(:'ids'), 'x 0.666666667 0.666666667, y 0.333333333 0.333333333', 'repeats count');
SELECT is(twin.line(:'ids'::jsonb || '{"collapse": true}'), 'x 0.5 0.5, y 0.5 0.5', 'collapsed repeats count once');
SELECT is(twin.line(:'ids'::jsonb || '{"max_touches": 2}'), 'x 0.5 0.5, y 0.5 0.5', 'the two last touches');
SELECT is(twin.line(:'ids'::jsonb || '{"exclude": ["y"]}'), 'x 1 1', 'an excluded label gets nothing');
SELECT is(twin.line(:'ids'::jsonb || '{"include": ["y"]}'), 'y 1 1', 'only what is included gets something');
SELECT is(twin.line('{"ids": true, "models": ["last_non(x,y)"], "fallback": "none"}'), '(unattributed) 1 1', 'no fall back');
SELECT is(twin.line('{"ids": true, "models": ["last_non(x,y)"]}'), 'y 1 1', 'plain fall back');
SELECT is(twin.line('{"ids": true, "models": ["linear"], "until": "2026-01-01 03:00+00"}'), NULL, 'until is exclusive');
SELECT * FROM finish();
ROLLBACK;
