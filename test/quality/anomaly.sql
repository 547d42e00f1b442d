-- Detection and false alarms of cdp.anomaly_pass beside other methods, on made-up series: research section 6.
-- Series of a mean of 2000, 60 and 4 a day: a weekly season, a trend, days that differ by more than chance (log-normal), Poisson
-- counts. On the last day nothing, half and twice of what came; the 19 days before it, which nobody touched, tell false alarms.
-- The same series go to every method. :reps series of each kind, from one seed.
CREATE EXTENSION pg_cdp;
SET jit = off;
SELECT setseed(current_setting('quality.seed')::float8) \g /dev/null
-- A Poisson number: counted up below 60, by the normal distribution above, where the difference is none.
CREATE FUNCTION poisson(mean float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  k integer := -1;
  p float8 := 1;
BEGIN
  IF mean > 500 THEN
    RETURN greatest(0, floor(mean + sqrt(mean) * cdp.normal_quantile(0.5 / 4294967296 + random() * (1 - 1e-9)) + 0.5));
  END IF;
  LOOP
    k := k + 1;
    p := p * (1 - random());
    EXIT WHEN p <= exp(-mean);
  END LOOP;
  RETURN k;
END $$;
CREATE TABLE series (kind text, rep int, day int, value float8, PRIMARY KEY (kind, rep, day));
DO $$
DECLARE
  weekday float8[] := '{1.11, 1.14, 1.08, 1.16, 1.27, 0.68, 0.56}'; -- their mean is 1
  k record;
  growth float8;
  shift int;
  reps int := current_setting('quality.reps')::int;
BEGIN
  FOR k IN SELECT * FROM (VALUES ('busy', 2000.0), ('medium', 60), ('low', 4)) v (kind, mean) LOOP
    FOR rep IN 1 .. reps LOOP
      growth := 0.1 / 28 * cdp.normal_quantile(0.5 / 4294967296 + random() * (1 - 1e-9));
      shift := floor(random() * 7);
      INSERT INTO series SELECT k.kind, rep, day, poisson(k.mean * weekday[1 + (day + shift) % 7] * exp(growth * (day - 120))
        * exp(0.08 * cdp.normal_quantile(0.5 / 4294967296 + random() * (1 - 1e-9)) - 0.0032)) FROM generate_series(1, 140) day;
    END LOOP;
  END LOOP;
END $$;
ANALYZE series;

-- What is judged: 19 clean days, and three changes of the last one.
CREATE TABLE judged AS
SELECT kind, rep, day, 'clean' AS change, value FROM series WHERE day BETWEEN 121 AND 139
UNION ALL
SELECT kind, rep, day, c.change, CASE c.change WHEN 'zero' THEN 0 WHEN 'half' THEN floor(value / 2) ELSE value * 2 END
FROM series, unnest('{zero,half,double}'::text[]) c (change) WHERE day = 140;
CREATE TABLE alarm (method int, kind text, rep int, day int, change text, alarm boolean);

-- The others. A mean or median of the days before, without and with the day itself.
INSERT INTO alarm
SELECT m.method, j.kind, j.rep, j.day, j.change, CASE m.method
  WHEN 1 THEN abs(j.value - (s28.sum + j.value - s28.first) / 28) > 3 * sqrt(greatest((s28.squares + j.value ^ 2 - s28.first ^ 2 - (s28.sum + j.value - s28.first) ^ 2 / 28) / 27, 0))
  WHEN 2 THEN abs(j.value - s28.mean) > 3 * s28.sd
  WHEN 3 THEN abs(j.value - s8.mean) > 3 * s8.sd
  ELSE abs(j.value - s28.median) > 3.5 * 1.4826 * s28.mad END
FROM judged j
  CROSS JOIN LATERAL (
    SELECT sum(value), sum(value ^ 2) AS squares, avg(value) AS mean, stddev_samp(value) AS sd, sum(value) FILTER (WHERE s.day = j.day - 28) AS first, max(m.median) AS median,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(value - m.median)) AS mad
    FROM series s, (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS median FROM series WHERE kind = j.kind AND rep = j.rep AND day BETWEEN j.day - 28 AND j.day - 1) m
    WHERE s.kind = j.kind AND s.rep = j.rep AND s.day BETWEEN j.day - 28 AND j.day - 1) s28
  CROSS JOIN LATERAL (
    SELECT avg(value) AS mean, stddev_samp(value) AS sd FROM series s
    WHERE s.kind = j.kind AND s.rep = j.rep AND s.day BETWEEN j.day - 56 AND j.day - 1 AND (j.day - s.day) % 7 = 0) s8
  CROSS JOIN generate_series(1, 4) m (method);

-- Weekday medians of 28 days on Anscombe's scale, Theil-Sen over what is left; the error of the fit and of the forecast.
CREATE TABLE forecast AS
SELECT t.kind, t.rep, t.day, w.own + r.intercept AS y, r.mad
FROM series t
  CROSS JOIN LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY 2 * sqrt(value + 0.375)) AS own FROM series s
    WHERE s.kind = t.kind AND s.rep = t.rep AND s.day BETWEEN t.day - 28 AND t.day - 1 AND (t.day - s.day) % 7 = 0) w
  CROSS JOIN LATERAL (
    WITH residual AS MATERIALIZED (
      SELECT s.day - t.day AS x, 2 * sqrt(s.value + 0.375) - m.median AS y
      FROM series s JOIN (SELECT day % 7 AS weekday, percentile_cont(0.5) WITHIN GROUP (ORDER BY 2 * sqrt(value + 0.375)) AS median FROM series
          WHERE kind = t.kind AND rep = t.rep AND day BETWEEN t.day - 28 AND t.day - 1 GROUP BY 1) m ON m.weekday = s.day % 7
      WHERE s.kind = t.kind AND s.rep = t.rep AND s.day BETWEEN t.day - 28 AND t.day - 1),
    slope AS MATERIALIZED (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (b.y - a.y) / (b.x - a.x)) AS slope FROM residual a JOIN residual b ON b.x > a.x),
    level AS MATERIALIZED (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY y - slope * x) AS intercept FROM residual, slope)
    SELECT l.intercept, percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(y - slope * x - intercept)) AS mad FROM residual, slope, level l GROUP BY 1) r
WHERE t.day > 92;
CREATE INDEX ON forecast (kind, rep, day);
ANALYZE forecast;
INSERT INTO alarm
SELECT m.method, j.kind, j.rep, j.day, j.change, abs(2 * sqrt(j.value + 0.375) - f.y) > 3.5 * greatest(1, 1.4826 * CASE m.method WHEN 5 THEN f.mad ELSE e.mad END)
FROM judged j JOIN forecast f USING (kind, rep, day)
  CROSS JOIN LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(2 * sqrt(s.value + 0.375) - p.y)) AS mad
    FROM forecast p JOIN series s USING (kind, rep, day) WHERE p.kind = j.kind AND p.rep = j.rep AND p.day BETWEEN j.day - 28 AND j.day - 1) e
  CROSS JOIN generate_series(5, 6) m (method);

-- Ours, with its defaults.
INSERT INTO alarm
SELECT 7, s.kind, s.rep, d.day - date '2026-01-01' + 1, 'clean', d.verdict IN ('high', 'low', 'zero_run')
FROM (SELECT kind, rep, cdp.anomaly_pass(date '2026-01-01' + day - 1, value, true, cdp.anomaly_options(since => date '2026-01-01' + 120)) AS days
      FROM series WHERE day < 140 GROUP BY 1, 2) s, unnest(s.days) d;
INSERT INTO alarm
SELECT 7, s.kind, s.rep, 140, s.change, d.verdict IN ('high', 'low', 'zero_run')
FROM (SELECT s.kind, s.rep, j.change, cdp.anomaly_pass(date '2026-01-01' + s.day - 1, CASE WHEN s.day < 140 THEN s.value ELSE j.value END, true, cdp.anomaly_options(since => date '2026-01-01' + 139)) AS days
      FROM series s JOIN judged j ON j.kind = s.kind AND j.rep = s.rep AND j.day = 140 GROUP BY 1, 2, 3) s, unnest(s.days) d;

-- The same from no more days than the others learn from.
INSERT INTO alarm
SELECT 8, s.kind, s.rep, d.day - date '2026-01-01' + 1, 'clean', d.verdict IN ('high', 'low', 'zero_run')
FROM (SELECT kind, rep, cdp.anomaly_pass(date '2026-01-01' + day - 1, value, true, cdp.anomaly_options("window" => 28, since => date '2026-01-01' + 120)) AS days
      FROM series WHERE day < 140 GROUP BY 1, 2) s, unnest(s.days) d;
INSERT INTO alarm
SELECT 8, s.kind, s.rep, 140, s.change, d.verdict IN ('high', 'low', 'zero_run')
FROM (SELECT s.kind, s.rep, j.change, cdp.anomaly_pass(date '2026-01-01' + s.day - 1, CASE WHEN s.day < 140 THEN s.value ELSE j.value END, true, cdp.anomaly_options("window" => 28, since => date '2026-01-01' + 139)) AS days
      FROM series s JOIN judged j ON j.kind = s.kind AND j.rep = s.rep AND j.day = 140 GROUP BY 1, 2, 3) s, unnest(s.days) d;

CREATE TABLE figure AS
SELECT method, kind, round(100.0 * count(*) FILTER (WHERE alarm AND change = 'zero') / count(*) FILTER (WHERE change = 'zero'), 1) AS zero,
  round(100.0 * count(*) FILTER (WHERE alarm AND change = 'half') / count(*) FILTER (WHERE change = 'half'), 1) AS half,
  round(100.0 * count(*) FILTER (WHERE alarm AND change = 'double') / count(*) FILTER (WHERE change = 'double'), 1) AS double,
  round(100.0 * count(*) FILTER (WHERE alarm AND change = 'clean') / count(*) FILTER (WHERE change = 'clean'), 2) AS false
FROM alarm GROUP BY 1, 2;
SELECT format('%-46s', 'detected %: zero, half, double; alarms/100 days') || string_agg(format('| %-26s', kind), '' ORDER BY mean DESC) FROM (VALUES ('busy 2000/day', 2000), ('medium 60/day', 60), ('low 4/day', 4)) k (kind, mean);
SELECT format('%-46s', n.name) || string_agg(format('| %5s %5s %5s  %5s  ', f.zero, f.half, f.double, f.false), '' ORDER BY array_position('{busy,medium,low}'::text[], f.kind))
FROM figure f JOIN (VALUES (1, 'z of 28 days, the day included'), (2, 'z of the 28 days before'), (3, 'z of the 8 same weekdays before'), (4, 'MAD of the 28 days before'),
  (5, 'weekday, Theil-Sen, MAD of residuals'), (6, 'weekday, Theil-Sen, MAD of past errors'), (7, 'cdp.anomaly_pass, 56 days (default)'), (8, 'cdp.anomaly_pass, 28 days')) n (method, name) USING (method) GROUP BY method, n.name ORDER BY method;

-- Something that comes every other day stops: how soon it is told, and what is told before it does.
CREATE TABLE rare AS
SELECT kind, rep, mean, 1 + d.day - date '2026-01-01' AS day, d.verdict <> 'ok' AS alarm
FROM (SELECT v.kind, v.mean, rep, cdp.anomaly_pass(date '2026-01-01' + day - 1, CASE WHEN day > 160 THEN 0 ELSE poisson(v.mean) END, true,
        cdp.anomaly_options(since => date '2026-01-01' + 120)) AS days
      FROM (VALUES ('one in two days', 0.5), ('one a day', 1), ('two a day', 2)) v (kind, mean), generate_series(1, current_setting('quality.reps')::int) rep, generate_series(1, 200) day
      GROUP BY 1, 2, 3) s, unnest(s.days) d;
CREATE TABLE stop AS
SELECT kind, mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY least(first, 41)) AS half_by, round(100.0 * count(first) / count(*), 1) AS told, round(100 * avg(before), 2) AS false
FROM (SELECT kind, mean, rep, min(day) FILTER (WHERE alarm AND day > 160) - 160 AS first, avg(alarm::int) FILTER (WHERE day <= 160) AS before FROM rare GROUP BY 1, 2, 3) s GROUP BY 1, 2;
SELECT format('%-16s stops: told within 40 days %s %%, half of them by day %s; before it %s alarms/100 days', kind, told, half_by, s.false) FROM stop s ORDER BY mean;

-- The best row of the research, each figure; and that method on the series at hand, but for false alarms of the low series:
-- there it tells little, of nothing and of double, and so has few of them.
WITH bar (kind, what, least) AS (VALUES ('busy', 'zero', 100), ('busy', 'half', 96), ('busy', 'double', 100), ('medium', 'zero', 100), ('medium', 'half', 16), ('medium', 'double', 48),
  ('low', 'zero', 12), ('low', 'half', 0), ('low', 'double', 12)),
least (sort, name, got, want, good) AS (
  SELECT 1, format('%s, %s: detected %%', b.kind, b.what), got, greatest(b.least, peer), got >= greatest(b.least, peer)
  FROM bar b, LATERAL (SELECT max(v) FILTER (WHERE method = 7), max(v) FILTER (WHERE method = 6)
    FROM figure f, LATERAL (SELECT CASE b.what WHEN 'zero' THEN f.zero WHEN 'half' THEN f.half ELSE f.double END AS v) v WHERE f.kind = b.kind) x (got, peer)
  UNION ALL
  SELECT 2, format('%s: false alarms per 100 days', f.kind), f.false, m.most, f.false <= m.most FROM (VALUES ('busy', 1.47), ('medium', 0.21), ('low', 0.21)) b (kind, most) JOIN figure f USING (kind) JOIN figure p ON p.kind = f.kind AND p.method = 6,
    LATERAL (SELECT CASE f.kind WHEN 'low' THEN b.most ELSE least(b.most, p.false) END AS most) m WHERE f.method = 7
  UNION ALL
  SELECT 3, format('%s stops: told within 40 days %%', kind), told, 99, told >= 99 FROM stop
  UNION ALL
  SELECT 4, format('%s: false alarms per 100 days', kind), s.false, 0.5, s.false <= 0.5 FROM stop s)
SELECT format('%s %s %s, %s %s', CASE WHEN good THEN 'ok' ELSE 'BELOW' END, name, got, CASE WHEN sort IN (1, 3) THEN 'at least' ELSE 'at most' END, want) FROM least ORDER BY sort, name;
