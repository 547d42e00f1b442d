-- Bad and odd input to the attribution pass: a clear error or a right answer, each time.
SET client_min_messages = error;
SELECT * FROM no_plan();
CREATE SCHEMA t;

-- What one statement does: its SQLSTATE, or 'fine'.
CREATE FUNCTION t.state(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE sql;
  RETURN 'fine';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION t.error(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m text; d text; h text;
BEGIN
  EXECUTE sql;
  RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ': ' || m || ' / ' || d || ' / ' || h;
END $$;
-- 'label conversions value, ...' of one model over a VALUES list of (key, at, label, value).
CREATE FUNCTION t.line(body text, o text DEFAULT 'models => ''{linear}''') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format($q$SELECT string_agg(format('%%s %%s %%s', label, trim_scale(round(conversions, 9)), trim_scale(round(value, 9))), ', ')
    FROM (SELECT cdp.attribution_pass(k::text, at::timestamptz, l::text, v::%s, cdp.attribution_options(%s)) AS p FROM (VALUES %s) x(k, at, l, v)) q, cdp.attribution_totals(p)$q$,
    CASE WHEN body LIKE '%float8%' THEN 'float8' ELSE 'numeric' END, o, body) INTO r;
  RETURN r;
END $$;

-- ---- Values
SELECT ok(t.state(format('SELECT cdp.attribution_pass(1::bigint, now(), NULL::text, %L::%s, cdp.attribution_options())', v, ty)) IN ('22003', '22P02', '22023'), format('value %s as %s is refused', v, ty))
  FROM (VALUES ('NaN', 'numeric'), ('Infinity', 'numeric'), ('-Infinity', 'numeric'), ('NaN', 'float8'), ('Infinity', 'float8'), ('-Infinity', 'float8'),
               ('9.3e12', 'numeric'), ('-9.3e12', 'numeric'), ('9.3e12', 'float8'), ('1e300', 'float8'), ('1e300', 'numeric'), ('1e1000', 'numeric'), ('9223372036854775807', 'numeric')) x(v, ty);
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '9199999999999.999999')$$), 'x 1 9199999999999.999999, (unattributed) 0 0', 'the largest value');
SELECT is((SELECT sum(value) FROM (SELECT cdp.attribution_pass(1::bigint, '2026-01-01'::timestamptz + i * interval '1 s', CASE WHEN i = 0 THEN 'x' END, CASE WHEN i > 0 THEN 9199999999999.999999 END, cdp.attribution_options(models => '{linear}')) AS p FROM generate_series(0, 10000) i) q, cdp.attribution_totals(p)),
  91999999999999999.99, 'ten thousand of the largest values: the sum is exact');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '0.0000005'), ('a', '2026-01-02', NULL, '0.00000049')$$), 'x 2 0.000001, (unattributed) 0 0', 'millionths, half away from zero');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, 0.1::float8), ('a', '2026-01-02', NULL, 0.2::float8)$$), 'x 2 0.3, (unattributed) 0 0', 'float8 values are rounded to millionths');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '-0.0')$$), 'x 1 0, (unattributed) 0 0', 'minus zero is a conversion of nothing');

-- ---- NULLs in each argument, and nothing at all
SELECT is(t.line($$(NULL, '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '5')$$), '(unattributed) 1 5', 'touch without key');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), (NULL, '2026-01-02', NULL, '5'), (NULL, '2026-01-03', NULL, '6')$$), 'x 0 0, (unattributed) 2 11', 'conversions without key are real');
SELECT is(t.line($$('a', NULL, 'x', NULL), ('a', '2026-01-02', NULL, '5'), ('a', NULL, NULL, '7')$$), '(unattributed) 1 5', 'rows without time are left out');
SELECT is(t.line($$('a', 'infinity', 'x', NULL), ('a', '-infinity', 'x', NULL), ('a', '2026-01-02', NULL, '5'), ('a', 'infinity', NULL, '7')$$), '(unattributed) 1 5', 'infinite times are left out');
SELECT is((SELECT (no_key, untimed, unlabelled)::text FROM (SELECT cdp.attribution_pass(k, at, l, v, cdp.attribution_options()) AS p FROM (VALUES (NULL::text, now(), 'x', NULL::numeric), (NULL, now(), 'x', NULL), ('a', NULL, 'x', NULL), ('a', 'infinity', NULL, 1), ('a', now(), NULL, NULL)) x(k, at, l, v)) q, cdp.attribution_summary(p)),
  '(2,2,1)', 'what was left out is counted');
SELECT is(t.line($$(NULL, NULL, NULL, NULL)$$), '(unattributed) 0 0', 'a row of NULLs');
SELECT is((SELECT count(*) FROM (SELECT cdp.attribution_pass(1::bigint, now(), 'x', 1.0, cdp.attribution_options()) AS p WHERE false) q, cdp.attribution_totals(p) WHERE conversions <> 0), 0::bigint, 'no rows');
SELECT is((SELECT cdp.attribution_merge(NULL::cdp.attribution_partial)::text), NULL, 'nothing merged');
SELECT is(t.state('SELECT ' || f || '(NULL::cdp.attribution_partial)'), 'fine', f || '(NULL)') FROM unnest('{cdp.attribution_totals,cdp.attribution_credit,cdp.attribution_journeys,cdp.attribution_summary,cdp.attribution_lengths,cdp.attribution_lags,cdp.attribution_assists,cdp.attribution_check,cdp.attribution_transitions,cdp.attribution_removal,cdp.attribution_paths}'::text[]) f;
SELECT is(t.state('SELECT cdp.attribution_removal_of(NULL, NULL, NULL)'), 'fine', 'removal of NULL');
SELECT isnt(t.state($$SELECT cdp.attribution_pass(1::bigint, now(), 'x', 1.0, NULL)$$), 'XX000', 'NULL options');
SELECT isnt(t.state($$SELECT cdp.attribution_replay(NULL, NULL, NULL)$$), 'XX000', 'replay of NULLs');
SELECT is(t.state($$SELECT cdp.attribution_path_pass(NULL, NULL, NULL, NULL, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('fine', '22004', '22023'), true, 'a path of NULLs');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{a,NULL,b}', 1, 1, 1, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('fine', '22004', '22023'), true, 'a path with a NULL in it');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{}', 1, 1, 1, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('fine', '22023'), true, 'an empty path');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{{a,b},{c,d}}', 1, 1, 1, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('fine', '22023', '2202E'), true, 'a path of two dimensions');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{a}', -1, 1, 1, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('22003', '22023', '2201X', '22000'), true, 'a negative count is refused');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{a}', 1, 'NaN', 1, cdp.attribution_options(models => '{markov,linear}'))$$) IN ('22003', '22P02', '22023'), true, 'a path value that is no number is refused');
SELECT isnt(t.state($$SELECT r.* FROM (SELECT cdp.attribution_path_pass('{a,b}', 9223372036854775807, 1, 9223372036854775807, cdp.attribution_options(models => '{markov,linear,shapley}')) AS p FROM generate_series(1, 3)) q, cdp.attribution_totals(p) r$$), 'XX000', 'huge counts of a path');
SELECT is(t.state($$SELECT cdp.attribution_path_pass('{a}', 1, 1, 1, cdp.attribution_options(models => '{time_decay(7 days)}'))$$), '22023', 'a path has no times: time models are refused');

-- ---- Models
SELECT alike(t.error(format('SELECT cdp.attribution_options(models => ARRAY[%L])', m)), '22023: %' || hint || '%', format('model %s: the hint names %s', m, hint))
  FROM (VALUES ('lineal', 'linear'), ('markow', 'markov'), ('shaply', 'shapley'), ('tine_decay(7 days)', 'time_decay'), ('u_shape', 'u_shaped'), ('participatoin', 'participation'), ('frist', 'first')) v(m, hint);
SELECT ok(t.state(format('SELECT cdp.attribution_options(models => %L)', m)) IN ('22023', '22007'), 'refused: models ' || left(m, 60))
  FROM unnest(ARRAY['{markov(0)}', '{markov(51)}', '{markov(-1)}', '{markov(1.5)}', '{markov(x)}', '{markov(99999999999999999999)}', '{markov()}', '{"markov(1"}', '{"markov(1,2)"}', '{linear(1)}',
    '{"position(0.6,0.6)"}', '{"position(-0.1,0.5)"}', '{position(0.5)}', '{"position(NaN,0.1)"}', '{"position(inf,0)"}', '{"position(1e400,0)"}', '{"position(0.1,0.2,0.3)"}',
    '{time_decay(0 days)}', '{time_decay(-1 day)}', '{time_decay(1 month)}', '{time_decay(banana)}', '{time_decay(infinity)}', '{"time_decay(7 days, stepp)"}',
    '{exponential(-0.5)}', '{exponential(NaN)}', '{exponential(inf)}', '{exponential()}', '{custom()}', '{"custom(1,-1)"}', '{"custom(NaN)"}', '{"custom(1,inf)"}', '{"custom(0,0)"}', '{"custom(1,,2)"}',
    '{last_non()}', '{""}', '{NULL}', '{linear,NULL}', '{linear,linear}', '{"linear; drop table x"}', '{"last_non(\"x)"}']) m;
SELECT is(t.state(format('SELECT cdp.attribution_options(models => %L)', m)), 'fine', 'taken: models ' || m)
  FROM unnest(ARRAY['{markov(50)}', '{" Linear "}', '{"position( 0.4 , 0.4 )"}', '{time_decay(1 microsecond)}', '{time_decay(100000 days)}', '{exponential(1e-300)}', '{"custom(0,0,1)"}', '{"last_non(\"a, b\", \"c \"\"d\"\" (e)\")"}']) m;
SELECT alike(t.error('SELECT cdp.attribution_options(models => ''{}'')'), '22023: %', 'no model at all');
SELECT isnt(t.state($$SELECT cdp.attribution_options(models => ARRAY(SELECT 'position(0.' || i || ',0.1)' FROM generate_series(1000, 9999) i))$$), 'XX000', 'nine thousand models');
SELECT is(t.state($$SELECT cdp.attribution_options(models => ARRAY['custom(' || repeat('1,', 1000000) || '1)'])$$), '22023', 'a million weights');
SELECT is(t.state($$SELECT cdp.attribution_options(models => ARRAY['custom(' || repeat('1,', 999) || '1)'])$$), 'fine', 'a thousand weights');
SELECT is(t.state($$SELECT cdp.attribution_options(models => ARRAY['last_non(' || repeat('x', 1000000) || ')'])$$) IN ('22023', '54000', 'fine'), true, 'a label of a million letters in a model');
SELECT is(t.state($$SELECT cdp.attribution_options(models => ARRAY[repeat('(', 1000000)])$$), '22023', 'a million parentheses');
SELECT cmp_ok(length(t.error(format('SELECT cdp.attribution_options(models => ARRAY[replace(%L, ''X'', repeat(''啊'', 1000000))])', m))), '<', 900, m || ' with a million letters: the error shows the first of them')
  FROM unnest('{X,"position(X,1)",markov(X),"time_decay(7 days,X)"}'::text[]) m;

-- ---- Options
SELECT ok(t.state('SELECT cdp.attribution_options(' || o || ')') IN ('22023', '22007'), 'refused: ' || o)
  FROM unnest(ARRAY['lookback => ''1 month''', 'lookback => ''1 year 2 days''', 'lookback => ''0''', 'lookback => ''-1 day''', 'lookback_by_kind => ''{"view": "1 month"}''', 'lookback_by_kind => ''[1]''', 'lookback_by_kind => ''{"view": 7}''',
    'lookback_by_kind => ''{"view": "banana"}''', 'max_touches => 0', 'max_touches => -1', 'journey => ''sharde''', 'conversion_is_touch => ''yes''', 'fallback => ''plan''', 'two_touch => ''adob''', 'dialect => ''adobee''',
    'since => ''2026-02-01'', until => ''2026-01-01''', 'exclude => ''{NULL}''', 'milestones => ''{NULL}''', 'lookback => ''1 day'', lookback_unbounded => true']) o;
SELECT alike(t.error('SELECT cdp.attribution_options(' || o || ')'), '%' || hint || '%', 'the hint for ' || o)
  FROM (VALUES ('journey => ''sharde''', 'shared'), ('dialect => ''adobee''', 'adobe'), ('lookback => ''1 month''', ' days'), ('fallback => ''plan''', 'plain')) v(o, hint);
SELECT isnt(t.state(format('SELECT cdp.attribution_pass(1::bigint, now(), %L, 1.0, %L::jsonb)', 'x', o)), 'XX000', 'options by hand: ' || left(o, 60))
  FROM unnest(ARRAY['{}', '[]', 'null', '1', '"x"', '{"models": "linear"}', '{"models": [1]}', '{"models": [null]}', '{"lookback": 7}', '{"lookback": {}}', '{"modles": ["linear"]}', '{"models": ["linear"], "max_touches": 1e300}', '{"models": ["linear"], "max_touches": -5}',
    '{"models": ["linear"], "since": "banana"}', '{"models": ["linear"], "since": "infinity"}', '{"models": ["linear"], "exclude": {"a": 1}}', '{"models": ["markov(0)"]}', '{"models": ["linear"], "label_names": [1, null, {}]}', '{"models": ["linear"], "label_names": "x"}', '{"models": ["linear"], "lookback_us": -1}', '{"version": 99}']) o;
SELECT alike(t.error($$SELECT cdp.attribution_pass(1::bigint, now(), 'x', 1.0, cdp.attribution_options() || '{"lokback": "7 days"}')$$), '22023: %lookback%', 'unknown option: the hint names the nearest');
SELECT isnt(t.state($$SELECT cdp.attribution_pass(1::bigint, now(), 'x', 1.0, CASE WHEN i = 1 THEN cdp.attribution_options() ELSE cdp.attribution_options(models => '{last}') END) FROM generate_series(1, 2) i$$), 'XX000', 'options that change from row to row');
SELECT isnt(t.state('SELECT cdp.attribution_options(' || o || ')'), 'XX000', 'huge parameter: ' || left(o, 60))
  FROM unnest(ARRAY['max_touches => 2147483647', 'lookback => ''178000000 years''', 'lookback => ''106751991 days''', 'lookback => ''2562047788:00:54.775807''', 'since => ''294276-12-31''', 'since => ''infinity''', 'until => ''infinity''', 'until => ''-infinity''', 'as_of => ''infinity''', 'as_of => ''-infinity''', 'since => ''4714-01-01 BC''', 'time_zone => ''Nowhere/Else''', 'grouped_by => ''''', 'exclude => ARRAY[repeat(''x'', 1000000)]']) o;

-- ---- Times at the edges
SELECT is(t.line($$('a', '4713-01-02 BC', 'x', NULL), ('a', '294276-12-30', NULL, '5')$$, $$models => '{linear,time_decay(7 days)}', lookback_unbounded => true$$), 'x 1 5, (unattributed) 0 0, x 1 5, (unattributed) 0 0', 'the whole calendar as one journey');
SELECT is(t.line($$('a', '4713-01-02 BC', 'x', NULL), ('a', '294276-12-30', NULL, '5')$$), 'x 0 0, (unattributed) 1 5', 'the whole calendar, 30 days');
SELECT is(t.line($$('a', '294276-12-30', 'x', NULL), ('a', '4713-01-02 BC', NULL, '5')$$, $$models => '{linear}', lookback => '100000000 days'$$), 'x 0 0, (unattributed) 1 5', 'touch after the conversion');
SELECT is(t.line($$('a', '1970-01-01', 'x', NULL), ('a', '2070-01-01', 'y', NULL), ('a', '2070-01-01', NULL, '8')$$, $$models => '{time_decay(1 microsecond)}', lookback_unbounded => true$$), 'x 0 0, y 1 8, (unattributed) 0 0', 'a decay that underflows keeps the credit');
SELECT is(t.line($$('a', '1970-01-01', 'x', NULL), ('a', '1970-01-01', 'y', NULL), ('a', '2070-01-01', NULL, '8')$$, $$models => '{time_decay(1 microsecond)}', lookback_unbounded => true$$), 'x 0.5 4, y 0.5 4, (unattributed) 0 0', 'two equally old touches share, however old');
SELECT is((SELECT sum(conversions) FROM (SELECT cdp.attribution_pass(1::bigint, '2026-01-01'::timestamptz + i * interval '1 s', CASE WHEN i < 5000 THEN 'L' || i % 3 END, CASE WHEN i = 5000 THEN 1.0 END, cdp.attribution_options(models => '{exponential(0.001)}')) AS p FROM generate_series(1, 5000) i) q, cdp.attribution_totals(p)), 1::numeric, 'exponential over 5,000 touches');

-- ---- Labels
SELECT isnt(t.state($q$SELECT t.line($$('a', '2026-01-01', '(unattributed)', NULL), ('a', '2026-01-02', NULL, '5')$$, $$models => '{linear,markov,shapley}'$$)$q$), 'XX000', 'a label called (unattributed): a clear answer');
SELECT is(t.line($$('a', '2026-01-01', '', NULL), ('a', '2026-01-01', ' ', NULL), ('a', '2026-01-02', NULL, '5')$$), ' 0.5 2.5,   0.5 2.5, (unattributed) 0 0', 'empty labels and blanks are labels');
SELECT is((SELECT string_agg(label, '|' ORDER BY label COLLATE "C") FROM (SELECT cdp.attribution_pass('a'::text, '2026-01-01'::timestamptz, l, NULL::numeric, cdp.attribution_options(models => '{linear}')) AS p FROM unnest(ARRAY['a, b', 'c "d"', '(e)', E'f\ng', '{h}', E'i\\j', '微信', 'N''ô', '(start)', '(conversion)', '(null)', 'NULL', ' > ']) l) q, cdp.attribution_totals(p) WHERE label <> '(unattributed)'),
  (SELECT string_agg(l, '|' ORDER BY l COLLATE "C") FROM unnest(ARRAY['a, b', 'c "d"', '(e)', E'f\ng', '{h}', E'i\\j', '微信', 'N''ô', '(start)', '(conversion)', '(null)', 'NULL', ' > ']) l), 'labels with commas, quotes, parentheses, line ends');
SELECT is(t.line($$('a', '2026-01-01', 'a, b', NULL), ('a', '2026-01-02', 'say "x" (y)', NULL), ('a', '2026-01-03', NULL, '5')$$, $m$models => ARRAY['last_non("say ""x"" (y)")', 'first_non("a, b")']$m$), 'a, b 1 5, say "x" (y) 0 0, (unattributed) 0 0, a, b 0 0, say "x" (y) 1 5, (unattributed) 0 0', 'such labels in models');
SELECT is((SELECT max(length(label)) FROM (SELECT cdp.attribution_pass('a'::text, '2026-01-01'::timestamptz + i * interval '1 s', CASE WHEN i < 3 THEN repeat(chr(64 + i), 1000000) END, CASE WHEN i = 3 THEN 1.0 END, cdp.attribution_options()) AS p FROM generate_series(1, 3) i) q, cdp.attribution_totals(p::text::cdp.attribution_partial)), 1000000, 'labels of a megabyte');
SELECT is(t.state($$SELECT r.* FROM (SELECT cdp.attribution_pass(k, at, l, v, cdp.attribution_options(), i, kd, i, NULL::bigint) AS p FROM (VALUES (repeat('k', 1000000), now(), 'x', NULL::numeric, 1::bigint, repeat('kind', 100000))) x(k, at, l, v, i, kd)) q, cdp.attribution_totals(p) r$$), 'fine', 'keys and kinds of a megabyte');
SELECT is((SELECT string_agg(label, '|') FROM (SELECT cdp.attribution_pass(1::bigint, now(), l, NULL::numeric, cdp.attribution_options(models => '{linear}')) AS p FROM unnest(ARRAY[2147483647, -2147483648, 0, -1, 10, 9]) l) q, cdp.attribution_totals(p)), '-2147483648|-1|0|9|10|2147483647|(unattributed)', 'integer labels, in order');
SELECT is((SELECT sum(conversions) FROM (SELECT cdp.attribution_pass(k, '2026-01-01'::timestamptz + i * interval '1 s', CASE i WHEN 1 THEN 'x' END, CASE i WHEN 2 THEN 1.0 END, cdp.attribution_options(models => '{linear}')) AS p FROM unnest(ARRAY[9223372036854775807, -9223372036854775808, 0, -1]) k, generate_series(1, 2) i) q, cdp.attribution_totals(p) WHERE label = 'x'), 4::numeric, 'keys at the edges of bigint');
SELECT is((SELECT sum(conversions) FROM (SELECT cdp.attribution_pass(k, '2026-01-01'::timestamptz + i * interval '1 s', CASE i WHEN 1 THEN 'x' END, CASE i WHEN 2 THEN 1.0 END, cdp.attribution_options(models => '{linear}')) AS p FROM unnest(ARRAY['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000001']::uuid[]) k, generate_series(1, 2) i) q, cdp.attribution_totals(p) WHERE label = 'x'), 3::numeric, 'keys at the edges of uuid');

-- ---- One channel, no conversions
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '5'), ('b', '2026-01-01', 'x', NULL)$$, $$models => '{markov,markov(5),shapley,shapley_rate,one_removed}'$$), 'x 1 5, (unattributed) 0 0, x 1 5, (unattributed) 0 0, x 1 5, (unattributed) 0 0, x 1 5, (unattributed) 0 0, x 1 5, (unattributed) 0 0', 'one channel gets all, in every data-driven model');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', 'y', NULL)$$, $$models => '{markov,shapley,shapley_rate,one_removed,linear}'$$), 'x 0 0, y 0 0, (unattributed) 0 0, x 0 0, y 0 0, (unattributed) 0 0, x 0 0, y 0 0, (unattributed) 0 0, x 0 0, y 0 0, (unattributed) 0 0, x 0 0, y 0 0, (unattributed) 0 0', 'no conversions: nothing to share, no error');
SELECT is(t.line($$('a', '2026-01-01', 'x', NULL), ('a', '2026-01-02', NULL, '5'), ('a', '2026-01-03', NULL, '-5')$$, $$models => '{markov,shapley,shapley_rate,one_removed}'$$), 'x 1 0, (unattributed) 0 0, x 1 0, (unattributed) 0 0, x 1 0, (unattributed) 0 0, x 1 0, (unattributed) 0 0', 'a conversion that was refunded whole');
SELECT is((SELECT trim_scale(sum(conversions)) || ' ' || trim_scale(sum(value)) FROM (SELECT cdp.attribution_pass(k::text, '2026-01-01'::timestamptz + i * interval '1 h', CASE WHEN i < 3 THEN 'L' || (k + i) % 3 END, CASE WHEN i = 3 THEN 10.0 WHEN i = 4 AND k = 2 THEN -30.0 WHEN i = 4 AND k = 3 THEN -0.000001 END, cdp.attribution_options(models => ARRAY[m])) AS p FROM generate_series(1, 3) k, generate_series(1, 4) i) q, cdp.attribution_totals(p)), '3 -0.000001', 'values that nearly cancel still add up, ' || m)
  FROM unnest('{markov,markov(2),shapley,shapley_rate,one_removed,linear}'::text[]) m;
SELECT is(t.state($$SELECT r.* FROM (SELECT cdp.attribution_pass(1::bigint, '2026-01-01'::timestamptz + i * interval '1 s', CASE WHEN i < 200 THEN 'L' || i % 7 END, CASE WHEN i = 200 THEN 1.0 END, cdp.attribution_options(models => '{markov(50)}')) AS p FROM generate_series(1, 200) i) q, cdp.attribution_totals(p) r$$), 'fine', 'order 50');
SELECT * FROM finish();
