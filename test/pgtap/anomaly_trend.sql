-- Trend and change of level of daily values: a series of the literature, twins in plain SQL on random series, too little, bad input.
BEGIN;
SELECT plan(19);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
-- The yearly flow of the Nile at Aswan, 1871 to 1970 (Cobb 1978), a day for each year: less from 1899 on.
CREATE TABLE t.nile AS SELECT date '2026-01-01' + i::int - 1 AS day, v::float8 AS value FROM unnest('{1120,1160,963,1210,1160,1160,813,1230,1370,1140,995,935,1110,994,1020,960,1180,799,958,1140,1100,1210,1150,1250,1260,
  1220,1030,1100,774,840,874,694,940,833,701,916,692,1020,1050,969,831,726,456,824,702,1120,1100,832,764,821,768,845,864,862,698,845,744,796,1040,759,781,865,845,944,984,897,822,1010,771,676,649,846,812,742,801,
  1040,860,874,848,890,744,749,838,1050,918,986,797,923,975,815,1020,906,901,1170,912,746,919,718,714,740}'::int[]) WITH ORDINALITY u (v, i);
CREATE TABLE t.o AS SELECT cdp.anomaly_options(season => 1) AS o;
SELECT is((SELECT format('%s %s %s %s', count(*), round(avg(value)::numeric, 2), round(avg(value) FILTER (WHERE day - date '2026-01-01' < 28)::numeric, 2), round(avg(value) FILTER (WHERE day - date '2026-01-01' >= 28)::numeric, 2)) FROM t.nile),
  '100 919.35 1097.75 849.97', 'the published means of a hundred years and of their two parts');
SELECT is((SELECT (cdp.daily_change(day, value, true, o)).day - date '2026-01-01' + 1871 FROM t.nile, t.o GROUP BY o), 1899, 'the Nile has another level from 1899 on, as Cobb found');
SELECT is((SELECT format('%s %s %s', c.before, c.after, c.days) FROM (SELECT cdp.daily_change(day, value, true, o) AS d FROM t.nile, t.o GROUP BY o) x, LATERAL (SELECT (x.d).*) c), (SELECT format('%s %s 100', percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FILTER (WHERE day < '2026-01-29'), percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FILTER (WHERE day >= '2026-01-29')) FROM t.nile), 'with its medians');

CREATE TABLE t.series (day date, value float8, state text);
-- Pettitt straight from its definition: signs of all pairs across each place.
CREATE FUNCTION t.pettitt(o jsonb, OUT day date, OUT k float8) LANGUAGE sql AS $$
  WITH y AS (SELECT s.day, CASE o ->> 'transform' WHEN 'none' THEN value ELSE 2 * sqrt(value + 0.375) END AS y, mod(mod(s.day - date '2000-01-01', (o ->> 'season')::int) + (o ->> 'season')::int, (o ->> 'season')::int) AS place
    FROM t.series s WHERE state IN ('final', 'restated') AND value IS NOT NULL AND s.day >= coalesce((o ->> 'since')::date, '-infinity')),
  r AS MATERIALIZED (SELECT y.day, y - m AS r FROM y JOIN (SELECT place, percentile_cont(0.5) WITHIN GROUP (ORDER BY y) AS m FROM y GROUP BY 1) m USING (place))
  SELECT t.day, abs(sum(sign(a.r - b.r))) FROM r t JOIN r a ON a.day < t.day JOIN r b ON b.day >= t.day GROUP BY t.day ORDER BY 2 DESC, 1 LIMIT 1 $$;
-- Slopes and Kendall's S from their definition.
CREATE FUNCTION t.sen(o jsonb, OUT slope float8, OUT low float8, OUT high float8, OUT p float8, OUT level float8) LANGUAGE plpgsql AS $$
DECLARE
  season int := o ->> 'season';
  slopes float8[];
  s float8;
  variance float8;
  n int;
BEGIN
  CREATE TEMP TABLE x ON COMMIT DROP AS SELECT day, value, mod(mod(day - date '2000-01-01', season) + season, season) AS place FROM t.series
    WHERE state IN ('final', 'restated') AND value IS NOT NULL AND day >= coalesce((o ->> 'since')::date, '-infinity');
  SELECT array_agg((b.value - a.value) / (b.day - a.day) ORDER BY (b.value - a.value) / (b.day - a.day)), sum(sign(b.value - a.value)) INTO slopes, s FROM x a JOIN x b ON a.place = b.place AND b.day > a.day;
  SELECT (SELECT sum(g * (g - 1) * (2 * g + 5)) FROM (SELECT count(*) AS g FROM x GROUP BY place) q) / 18.0 - (SELECT sum(g * (g - 1) * (2 * g + 5)) FROM (SELECT count(*) AS g FROM x GROUP BY place, value) q) / 18.0 INTO variance;
  n := cardinality(slopes);
  slope := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FROM unnest(slopes) v);
  level := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FROM x);
  p := CASE WHEN variance = 0 THEN 1 ELSE least(1, 2 * cdp.normal_cdf(abs(s - sign(s)) / sqrt(variance), true)) END;
  IF (n - cdp.normal_quantile(0.975) * sqrt(variance)) / 2 >= 1 THEN
    low := slopes[floor((n - cdp.normal_quantile(0.975) * sqrt(variance)) / 2)::int];
    high := slopes[least(n, ceil((n + cdp.normal_quantile(0.975) * sqrt(variance)) / 2)::int + 1)];
  END IF;
  DROP TABLE x;
END $$;
CREATE TABLE t.wrong (what text);
CREATE TABLE t.seen (trend boolean, change boolean, open boolean);
SELECT setseed(0.12) \g /dev/null
DO $$
DECLARE
  o jsonb;
  trend cdp.day_trend;
  change cdp.day_change;
  sen record;
  pettitt record;
BEGIN
  FOR round IN 1 .. 60 LOOP
    TRUNCATE t.series;
    INSERT INTO t.series
    SELECT date '1999-12-20' + i, CASE WHEN random() < 0.05 THEN NULL ELSE floor(greatest(0, 8 * l + g * i + (i % 7) * w + CASE WHEN i > c THEN 4 ELSE 0 END + 6 * random())) END,
      CASE WHEN random() < 0.9 THEN 'final' ELSE (ARRAY['restated', 'provisional', 'missing'])[1 + floor(random() * 3)::int] END
    FROM (SELECT random() AS l, 0.3 * (random() - 0.3) AS g, random() AS w, 10 + 40 * random() AS c, 16 + floor(70 * random())::int AS n) p, generate_series(1, n) i WHERE random() < 0.9;
    o := cdp.anomaly_options(season => (ARRAY[1, 7, 7, 3])[1 + floor(random() * 4)::int], transform => CASE WHEN random() < 0.5 THEN 'none' END, floor => 1, since => CASE WHEN random() < 0.3 THEN date '1999-12-25' END);
    SELECT * INTO trend FROM (SELECT (cdp.daily_trend(day, value, state, o)).* FROM (SELECT * FROM t.series ORDER BY random()) s) x;
    SELECT * INTO change FROM (SELECT (cdp.daily_change(day, value, state, o)).* FROM (SELECT * FROM t.series ORDER BY random()) s) x;
    CONTINUE WHEN trend IS NULL AND (SELECT count(*) FROM t.series WHERE state IN ('final', 'restated') AND value IS NOT NULL AND day >= coalesce((o ->> 'since')::date, '-infinity')) < greatest(8, 2 * (o ->> 'season')::int);
    SELECT * INTO sen FROM t.sen(o);
    SELECT * INTO pettitt FROM t.pettitt(o);
    INSERT INTO t.seen VALUES (trend.p < 0.05, change.p < 0.05, trend.low IS NULL);
    INSERT INTO t.wrong SELECT format('round %s %s: %s, twin %s', round, o, trend, sen)
    WHERE (trend.low IS NULL) <> (sen.low IS NULL) OR abs(trend.slope - sen.slope) > 1e-9 OR abs(trend.low - sen.low) > 1e-9 OR abs(trend.high - sen.high) > 1e-9 OR abs(trend.p - sen.p) > 1e-9 * (1 + sen.p) OR trend.level <> sen.level OR trend.slope IS NULL;
    INSERT INTO t.wrong SELECT format('round %s %s: %s, twin %s', round, o, change, pettitt)
    WHERE change.day IS DISTINCT FROM pettitt.day OR change.statistic IS DISTINCT FROM pettitt.k OR abs(change.p - least(1, 2 * exp(-6 * pettitt.k ^ 2 / (change.days::float8 ^ 3 + change.days::float8 ^ 2)))) > 1e-12;
  END LOOP;
END $$;
SELECT is((SELECT string_agg(what, E'\n') FROM (SELECT what FROM t.wrong LIMIT 5) w), NULL, 'random series: slope, interval, p, change and K as their definitions have them');
SELECT cmp_ok((SELECT count(*) FROM t.seen), '>', 40::bigint, 'most series were long enough');
SELECT is((SELECT array_agg(DISTINCT trend ORDER BY trend) || array_agg(DISTINCT change ORDER BY change) FROM t.seen), '{f,t,f,t}', 'trends and changes came up, and series without');

-- What a reader can check.
CREATE TABLE t.week AS SELECT d::date AS day, CASE WHEN extract(isodow FROM d) > 5 THEN 150 ELSE 100 END::float8 AS value, d::date - date '2026-01-01' AS i FROM generate_series(timestamp '2026-01-01', '2026-03-25', '1 day') d;
SELECT is((SELECT cdp.daily_trend(day, value + 2 * i, true, NULL)::text FROM t.week), format('(84,2026-01-01,2026-03-25,%s,2,2,2,%s,%s)', (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value + 2 * i) FROM t.week),
  (SELECT 14 / percentile_cont(0.5) WITHIN GROUP (ORDER BY value + 2 * i) FROM t.week), 2 * cdp.normal_cdf((7 * 66 - 1) / sqrt(7 * 12 * 11 * 29 / 18.0), true)), 'two more each day, whatever the weekday');
SELECT is((SELECT (cdp.daily_trend(day, CASE WHEN i % 10 = 0 THEN 100000 ELSE value + 2 * i END, true, NULL)).slope FROM t.week), 2::float8, 'wild days change nothing');
SELECT is((SELECT (t).slope || ' ' || (t).p FROM (SELECT cdp.daily_trend(day, value, true, NULL) AS t FROM t.week) x), '0 1', 'no trend');
SELECT is((SELECT cdp.daily_change(day, value, true, NULL) FROM t.week), NULL, 'no change where no day differs from its weekday');
SELECT is((SELECT format('%s %s %s', (c).day, (c).before, (c).after) FROM (SELECT cdp.daily_change(day, CASE WHEN day < '2026-02-20' THEN value ELSE value * 0.6 END, true, NULL) AS c FROM t.week) x), '2026-02-20 100 60', 'the day of a lasting change');
SELECT is((SELECT (c).day FROM (SELECT cdp.daily_change(day, CASE WHEN day < '2026-02-20' THEN value ELSE value * 0.6 END, day <> '2026-02-20', NULL) AS c FROM t.week) x), date '2026-02-21', 'a day that is not final does not count');
SELECT is((SELECT (t).days FROM (SELECT cdp.daily_trend(day, value, true, cdp.anomaly_options(since => '2026-03-01', until => '2026-03-20')) AS t FROM t.week) x), 20, 'days asked for');
SELECT is((SELECT cdp.daily_trend(day, value, true, NULL) FROM t.week WHERE i < 13), NULL, 'less than two seasons tell nothing');
SELECT isnt((SELECT cdp.daily_trend(day, value, true, NULL) FROM t.week WHERE i < 14), NULL, 'two do');
SELECT is((SELECT cdp.daily_change(day, value, true, NULL) FROM t.week WHERE false), NULL, 'no rows, no change');
SELECT is((SELECT (t).low FROM (SELECT cdp.daily_trend(day, value + i, true, NULL) AS t FROM t.week WHERE i < 14) x), NULL, 'too few pairs have no interval');
SELECT throws_ok($$SELECT cdp.daily_trend(date '2000-01-01' + i, 1, true, NULL) FROM generate_series(1, 2001) i$$, '54000', NULL, 'too many days');
SELECT throws_ok($$SELECT cdp.daily_change('2026-01-01', 'Infinity', true, NULL)$$, '22023', NULL, 'no number');
SELECT * FROM finish();
ROLLBACK;
