-- The rule models against published and hand-computed answers, and the meaning of the options.
BEGIN;
SELECT plan(30);
CREATE SCHEMA t;

-- Totals of one journey set as "label conversions value" in order, rounded to six digits.
CREATE FUNCTION t.totals(src text, options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE format('SELECT string_agg(format(''%%s %%s'', r.label, trim_scale(round(r.value, 4))), '', '' ORDER BY r.n)
    FROM (SELECT cdp.attribution_pass(k, at, label, value, cdp.attribution_options(%s)) AS p FROM %s) s,
         cdp.attribution_totals(s.p) WITH ORDINALITY r(label, model, conversions, value, n)
   WHERE r.value <> 0', options, src) INTO answer;
  RETURN answer;
END $$;

-- KA5: A, B, C, A aged 9, 6, 1 and 0 days, value 100.
CREATE TABLE t.ka5 AS SELECT 1::bigint AS k, '2026-03-10'::timestamptz - age * interval '1 day' AS at, label, value FROM (VALUES
  (9, 'A', NULL::numeric), (6, 'B', NULL), (1, 'C', NULL), (0, 'A', NULL), (0, NULL, 100)) v(age, label, value);
SELECT is(t.totals('t.ka5', format('models => ARRAY[%L]', model)), answer, 'KA5 ' || model) FROM (VALUES
  ('first', 'A 100'), ('last', 'A 100'), ('linear', 'A 50, B 25, C 25'), ('linear_unique', 'A 33.3333, B 33.3333, C 33.3333'),
  ('u_shaped', 'A 80, B 10, C 10'), ('j_shaped', 'A 80, B 10, C 10'), ('inverse_j', 'A 80, B 10, C 10'),
  ('time_decay(7 days)', 'A 49.1701, B 19.2489, C 31.581'), ('time_decay(1 day)', 'A 66.0232, B 1.0296, C 32.9472'),
  ('time_decay(7 days, step)', 'A 42.8571, B 28.5714, C 28.5714'), ('ramp', 'A 50, B 20, C 30'), ('last_non(A)', 'C 100'),
  ('first_non(A)', 'B 100'), ('last_non(A, B, C)', 'A 100'), ('custom(0.5, 0.3, 0.2)', 'A 50, B 20, C 30'),
  ('participation', 'A 100, B 100, C 100'), ('exponential(0.5)', 'A 60, B 13.3333, C 26.6667')) v(model, answer);

-- KA4, published by Adobe: 50 dollars, ages 0, 0, 6 and 9 days.
CREATE TABLE t.ka4 AS SELECT 'ann'::text AS k, '2026-03-10'::timestamptz - age * interval '1 day' AS at, label, value FROM (VALUES
  (9, 'paid', NULL::float8), (6, 'social', NULL), (0, 'display', NULL), (0, 'email', NULL), (0, NULL, 50)) v(age, label, value);
SELECT is(t.totals('t.ka4', $$models => '{time_decay(7 days)}', dialect => 'adobe'$$), 'display 16.8793, email 16.8793, paid 6.9233, social 9.3181', 'KA4, time decay');
SELECT is(t.totals('t.ka4', $$models => '{j_shaped}', dialect => 'adobe'$$), 'display 5, email 30, paid 10, social 5', 'KA4, J-shape');

-- Lookback, row limit, reset, collapse, exclusion.
SELECT is(t.totals('t.ka5', $$models => '{linear}', lookback => '6 days'$$), 'A 33.3333, B 33.3333, C 33.3333', 'the lookback is inclusive');
SELECT is(t.totals('t.ka5', $$models => '{linear}', lookback => '5 days 23:59:59.999999'$$), 'A 50, C 50', 'and exact');
SELECT is(t.totals('t.ka5', $$models => '{linear}', max_touches => 2$$), 'A 50, C 50', 'at most two touches');
SELECT is(t.totals('t.ka5', $$models => '{linear}', exclude => '{A}'$$), 'B 50, C 50', 'an excluded label');
SELECT is(t.totals('t.ka5', $$models => '{linear}', include => '{A}'$$), 'A 100', 'an included label');
SELECT is(t.totals('(SELECT * FROM t.ka5 UNION ALL SELECT 1, ''2026-03-02'', NULL, 10) s', $$models => '{linear}', journey => 'reset'$$),
  'A 43.3333, B 33.3333, C 33.3333', 'journeys that start anew');
SELECT is(t.totals('(SELECT * FROM t.ka5 UNION ALL SELECT 1, ''2026-03-11'', NULL, -40) s', $$models => '{linear}'$$), 'A 30, B 15, C 15', 'a refund lowers the latest conversion');
SELECT is(t.totals('(SELECT * FROM t.ka5 UNION ALL SELECT 2, ''2026-03-11'', NULL, -40) s', $$models => '{last}'$$), 'A 100, (unattributed) -40', 'a refund without conversion is nobody''s');
SELECT is(t.totals('(SELECT * FROM t.ka5 UNION ALL SELECT NULL, ''2026-03-11'', NULL, 7) s', $$models => '{last}'$$), 'A 100, (unattributed) 7', 'a conversion without key is nobody''s');

-- Names of integer labels.
SELECT is((SELECT string_agg(r.label || ' ' || r.conversions, ', ') FROM (SELECT cdp.attribution_pass(1::bigint, at::timestamptz, label, value,
    '{"models": ["last_non(direct)"], "label_names": ["direct", "search", "direct"]}'::jsonb) AS p
    FROM (VALUES ('2026-01-01', 2, NULL::numeric), ('2026-01-02', 3, NULL), ('2026-01-03', 1, NULL), ('2026-01-04', NULL, 5)) v(at, label, value)) s,
  cdp.attribution_totals(s.p) r), 'direct 0, search 1, (unattributed) 0', 'integer labels under their names');
SELECT throws_ok($$SELECT cdp.attribution_pass(1::bigint, now(), 9, NULL::numeric, '{"label_names": ["a"]}'::jsonb)$$, '22023', NULL, 'an integer label without a name');
SELECT * FROM finish();
ROLLBACK;
