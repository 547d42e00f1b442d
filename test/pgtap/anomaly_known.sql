-- Judgements of daily values: what must come out of series that a reader can check, states, gaps, and bad input.
BEGIN;
SELECT plan(57);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
-- 100 on working days, 150 at weekends, for twelve weeks from Thursday, 1 January 2026.
CREATE TABLE t.week AS SELECT d::date AS day, CASE WHEN extract(isodow FROM d) > 5 THEN 150 ELSE 100 END::float8 AS value FROM generate_series(timestamp '2026-01-01', '2026-03-25', '1 day') d;
CREATE FUNCTION t.judge(on_day date, of float8, state text DEFAULT 'final', o jsonb DEFAULT NULL) RETURNS SETOF cdp.anomaly_day LANGUAGE sql AS $$
  SELECT a.* FROM unnest((SELECT cdp.anomaly_pass(day, CASE WHEN day = on_day THEN of ELSE value END, CASE WHEN day = on_day THEN state ELSE 'final' END, o) FROM t.week)) a $$;
CREATE FUNCTION t.one(on_day date, of float8, state text DEFAULT 'final', o jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s %s %s-%s %s', verdict, round(expected::numeric, 3), round(low::numeric, 3), round(high::numeric, 3), round(score::numeric, 3)) FROM t.judge(on_day, of, state, o) WHERE day = on_day $$;

-- 2 sqrt(100.375) = 20.0375; 3.5 errors of 1 below and above: (16.5375 / 2)^2 - 3/8 = 67.997, (23.5375 / 2)^2 - 3/8 = 138.128
SELECT is(t.one('2026-03-20', 100), 'ok 100.000 67.997-138.128 0.000', 'a working day as it should be');
SELECT is(t.one('2026-03-21', 150), 'ok 150.000 110.143-195.982 0.000', 'a weekend day has its own level');
SELECT is(t.one('2026-03-21', 100), 'low 150.000 110.143-195.982 -4.488', 'a working day''s value is low at a weekend');
SELECT is(t.one('2026-03-20', 150), 'high 100.000 67.997-138.128 4.488', 'and a weekend''s is high on a working day');
SELECT is(t.one('2026-03-20', 68), 'ok 100.000 67.997-138.128 -3.500', 'the ends of the range raise no alarm');
SELECT is(t.one('2026-03-20', 67), 'low 100.000 67.997-138.128 -3.621', 'what is beyond them does');
SELECT is((SELECT reason FROM t.judge('2026-03-20', 0) WHERE day = '2026-03-20'), '0 where 67.9969 to 138.128 was expected: 18.8 times the usual error below', 'the reason tells the numbers');
SELECT is((SELECT string_agg(verdict, ' ') FROM t.judge('2026-03-20', 0) WHERE day BETWEEN '2026-03-21' AND '2026-03-25'), 'ok ok ok ok ok', 'a day off leaves the days after it alone');
SELECT is((SELECT count(*) FILTER (WHERE verdict = 'learning') || ' ' || max(day) FILTER (WHERE verdict = 'learning') || ' ' || count(*) FROM t.judge(NULL, NULL)), '28 2026-01-28 84', 'the first four weeks are for learning');
SELECT is((SELECT reason FROM t.judge(NULL, NULL) WHERE day = '2026-01-20'), 'foretold from 19 days and judged by 5 past errors, 14 of each are needed', 'and it says what lacks');

-- States.
SELECT is(t.one('2026-03-20', 0, 'provisional'), 'not_final 100.000 67.997-138.128 ', 'a value that is not final has a range and no score');
SELECT is((SELECT reason FROM t.judge('2026-03-20', 0, 'suspect_zero') WHERE day = '2026-03-20'), 'zero may mean that its source is not ready: not judged, trains nothing', 'nor has a zero that may not be ready');
SELECT is(t.one('2026-03-20', 0, 'restated'), 'restated 100.000 67.997-138.128 ', 'nor has a restated one');
SELECT is((SELECT format('%s %s %s', value, verdict, reason) FROM t.judge('2026-03-20', 7, 'unavailable') WHERE day = '2026-03-20'), ' no_value no value', 'a value of a day that has none does not count');
SELECT is((SELECT verdict FROM t.judge('2026-03-20', NULL) WHERE day = '2026-03-20'), 'no_value', 'NULL is no value');
SELECT is((SELECT array_agg(a.verdict ORDER BY day) FILTER (WHERE day > '2026-03-23') FROM unnest((SELECT cdp.anomaly_pass(day, value, day < '2026-03-25', NULL) FROM t.week)) a), '{ok,not_final}', 'final as a boolean');
-- Provisional values train nothing: eight Fridays of 0 would move Friday's level.
SELECT is((SELECT round(a.expected::numeric, 3) FROM unnest((SELECT cdp.anomaly_pass(day, CASE WHEN extract(isodow FROM day) = 5 AND day BETWEEN '2026-02-01' AND '2026-03-14' THEN 0 ELSE value END,
  CASE WHEN extract(isodow FROM day) = 5 AND day BETWEEN '2026-02-01' AND '2026-03-14' THEN 'provisional' ELSE 'final' END, NULL) FROM t.week)) a WHERE day = '2026-03-20'), 100.000, 'values that are not final do not train');
SELECT is((SELECT round(a.expected::numeric, 3) FROM unnest((SELECT cdp.anomaly_pass(day, CASE WHEN extract(isodow FROM day) = 5 AND day BETWEEN '2026-02-01' AND '2026-03-14' THEN 0 ELSE value END,
  CASE WHEN extract(isodow FROM day) = 5 AND day BETWEEN '2026-02-01' AND '2026-03-14' THEN 'restated' ELSE 'final' END, NULL) FROM t.week)) a WHERE day = '2026-03-20'), 0.000, 'restated ones do');

-- Growth is no anomaly: 1 % a day.
SELECT is((SELECT count(*) FROM unnest((SELECT cdp.anomaly_pass(day, round(value * 1.01 ^ (day - date '2026-01-01')), NULL::boolean, NULL) FROM t.week)) a WHERE verdict NOT IN ('ok', 'learning')), 0::bigint, 'steady growth raises no alarm');

-- Few a day: two a day, then none. Known chance of the k-th zero day: the gamma-Poisson at 0, (56 / (56 + k))^(112 + 1/2) while shares are equal.
CREATE TABLE t.few AS SELECT date '2026-01-01' + i AS day, CASE WHEN i >= 80 THEN 0 ELSE 2 END AS value FROM generate_series(0, 89) i;
SELECT is((SELECT string_agg(verdict, ' ' ORDER BY day) FROM (SELECT a.* FROM unnest((SELECT cdp.anomaly_pass(day, value, true, NULL) FROM t.few)) a WHERE day >= '2026-03-22') a WHERE day < '2026-03-27'),
  'ok ok ok zero_run zero_run', 'no single day of zero, but four of them');
SELECT is((SELECT reason FROM unnest((SELECT cdp.anomaly_pass(day, value, true, NULL) FROM t.few)) a WHERE day = '2026-03-25'),
  format('4 days of zero in a row where 2 a day was expected: a chance of %s', trim_scale(round(((56.0 / 60) ^ 112.5)::numeric, 5))), 'with the chance of the run');
SELECT is((SELECT string_agg(value || ' ' || verdict, ', ' ORDER BY value) FROM (SELECT a.* FROM generate_series(8, 11) v, unnest((SELECT cdp.anomaly_pass(day, CASE WHEN day = '2026-03-21' THEN v ELSE value END, true, NULL) FROM t.few WHERE day < '2026-03-22')) a WHERE day = '2026-03-21') a),
  '8 ok, 9 high, 10 high, 11 high', 'many where few are expected: P(X >= 9) of mean 2 is 0.00024, P(X >= 8) is 0.0011');

-- Days without a row.
CREATE TABLE t.event AS SELECT day, value AS n FROM t.few WHERE day < '2026-03-22';
SELECT is((SELECT count(*) || ' ' || max(day) FROM unnest((SELECT cdp.anomaly_pass(day, n, true, NULL) FROM t.event)) a), '80 2026-03-21', 'a day without a row is not there');
SELECT is((SELECT string_agg(verdict, ' ' ORDER BY day) FROM unnest((SELECT cdp.anomaly_pass(day, n, true, cdp.anomaly_options(absent => 'zero', since => '2026-03-22', until => '2026-03-25')) FROM t.event)) a),
  'ok ok ok zero_run', 'or it is a zero up to the last day asked for');
SELECT is((SELECT count(*) FROM unnest((SELECT cdp.anomaly_pass(day, n, true, cdp.anomaly_options(until => '2026-01-10')) FROM t.event)) a), 10::bigint, 'later rows are left out');

-- Numbers that are no counts.
SELECT is((SELECT format('%s %s', verdict, round(score::numeric, 6)) FROM unnest((SELECT cdp.anomaly_pass(day, CASE WHEN day = '2026-03-25' THEN -0.3 ELSE value / 1000 END, true, cdp.anomaly_options(transform => 'none', floor => 0.02)) FROM t.week)) a WHERE day = '2026-03-25'),
  'low -20.000000', 'a rate is judged by the floor given');

-- Nothing and bad input.
SELECT is((SELECT cdp.anomaly_pass(day, value, true, NULL) FROM t.week WHERE false), NULL, 'NULL over no rows');
SELECT is((SELECT cdp.anomaly_pass(d, 1, true, NULL) FROM unnest('{infinity,-infinity,NULL}'::date[]) d), '{}', 'rows without a finite day are left out');
SELECT throws_like($$SELECT cdp.anomaly_pass(day, 1, true, NULL) FROM (SELECT day FROM t.week UNION ALL SELECT date '2026-02-03') d$$, '%two values of one day%', 'two values of one day');
SELECT throws_like($$SELECT cdp.anomaly_pass('2026-01-01', v, true, NULL) FROM unnest('{-1}'::float8[]) v$$, '%value -1 of a day is below 0%', 'a count below 0');
SELECT throws_ok($$SELECT cdp.anomaly_pass('2026-01-01', 1e16, true, NULL)$$, '22003', NULL, 'a count too large to be one');
SELECT throws_ok($$SELECT cdp.anomaly_pass('2026-01-01', 'NaN', true, NULL)$$, '22023', NULL, 'no number');
SELECT throws_like($$SELECT cdp.anomaly_pass('2026-01-01', 1, 'finl'::text, NULL)$$, '%unknown state "finl"%', 'an unknown state');
SELECT throws_like($$SELECT cdp.anomaly_pass('2026-01-01', 1, true, '{"treshold": 3}')$$, '%unknown anomaly option "treshold"%', 'an unknown option');
SELECT throws_ok(format('SELECT cdp.anomaly_options(%s)', o), '22023', NULL, o)
FROM unnest(ARRAY[$$transform => 'none'$$, $$"window" => 10$$, $$season => 32$$, $$season => 0$$, $$threshold => 'NaN'$$, $$threshold => 'Infinity'$$, $$since => 'infinity'$$,
  $$since => '2026-01-02', until => '2026-01-01'$$, $$min_history => 500$$, $$absent => 'none'$$, $$floor => 0$$, $$floor => 101$$, $$tail_p => 0.6$$]) o;
SELECT throws_ok(format('SELECT cdp.anomaly_pass(''2026-01-01'', 1, true, %L)', jsonb_build_object('until', d)), '22023', NULL, 'a day of options has one form: ' || d) FROM unnest('{yesterday,01/02/2026,2026-02-29,2026-1-01,20260101,2026-13-01,infinity}'::text[]) d;
-- What once counted up without end: no chance is below 0; and a busy series that stopped, whose errors are those of its end.
SET LOCAL statement_timeout = '10s';
SELECT is((SELECT format('%s %s', a.verdict, a.high) FROM unnest((SELECT cdp.anomaly_pass(day, CASE WHEN day = '2026-03-21' THEN 1000 ELSE value END, true, cdp.anomaly_options(tail_p => 0)) FROM t.few WHERE day < '2026-03-22')) a WHERE day = '2026-03-21'),
  'ok ', 'a tail of chance 0 has no upper end');
SELECT is((SELECT string_agg(DISTINCT verdict, ' ' ORDER BY verdict) FROM unnest((SELECT cdp.anomaly_pass(date '2026-01-01' + i, CASE WHEN i < 100 THEN 1e8 + i % 7 * 1e6 WHEN i = 170 THEN 1e8 ELSE 0 END, true, cdp.anomaly_options(since => '2026-06-10')) FROM generate_series(0, 180) i)) a
  WHERE day > '2026-06-09'), 'high zero_run', 'long after a busy series stopped it is judged at once, and its return is told');
SET LOCAL statement_timeout = 0;
SELECT is(cdp.anomaly_options(season => 30, threshold => 3.1, since => '2026-01-02'),
  '{"season": 30, "window": 240, "threshold": 3.1, "floor": 1, "min_history": 120, "tiny": 10, "tail_p": 0.0005, "run_p": 0.008, "transform": "anscombe", "absent": "unknown", "since": "2026-01-02"}', 'options in full');
SELECT * FROM finish();
ROLLBACK;
