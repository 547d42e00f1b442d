-- The plain-SQL twin of cdp.anomaly_pass: \ir ../twin/anomaly.sql. A query a day, straight from what docs/anomalies.md says.
-- It reads twin.series (day, value, state), one row a day, and the options as cdp.anomaly_options() wrote them.
\set QUIET on
CREATE SCHEMA IF NOT EXISTS twin;
CREATE TABLE twin.series (day date PRIMARY KEY, value float8, state text NOT NULL);
CREATE TABLE twin.judged (day date PRIMARY KEY, value float8, state text, y float8, foretold float8, error float8, expected float8, low float8, high float8,
  score float8, verdict text);

CREATE FUNCTION twin.median(x float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FROM unnest(x) v $$;
-- The place of a day in its season.
CREATE FUNCTION twin.place(day date, season int) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT mod(mod(day - date '2000-01-01', season) + season, season) $$;

-- The forecast of a day on the transformed scale, and how many days of its place it was made of.
CREATE FUNCTION twin.forecast(o jsonb, t date, OUT y float8, OUT same int) LANGUAGE sql AS $$
  WITH train AS MATERIALIZED (
    SELECT j.day, j.day - t AS x, j.y, twin.place(j.day, (o ->> 'season')::int) AS place FROM twin.judged j
    WHERE j.state IN ('final', 'restated') AND j.day < t AND j.day >= t - (o ->> 'window')::int),
  slope AS MATERIALIZED (
    SELECT coalesce(twin.median(array_agg((b.y - a.y) / (b.x - a.x))), 0) AS slope FROM train a JOIN train b ON b.x > a.x AND b.place = a.place),
  level AS MATERIALIZED (SELECT place, count(*) AS n, twin.median(array_agg(t.y - slope * x)) AS level FROM train t, slope GROUP BY place)
  SELECT own.level + (SELECT twin.median(array_agg(t.y - slope * x - l.level)) FROM train t JOIN level l USING (place), slope), own.n::int
  FROM level own WHERE own.place = twin.place(t, (o ->> 'season')::int)
    AND (SELECT count(*) FROM train) >= greatest(2, (o ->> 'min_history')::int / 2) $$;

-- What counts before a day tell: their sum, the exposure it came from, the share of each place of the season, the number of days.
CREATE FUNCTION twin.counts(o jsonb, t date, OUT total float8, OUT exposure float8, OUT share float8[], OUT n int) LANGUAGE sql AS $$
  WITH train AS MATERIALIZED (
    SELECT j.day, j.value, twin.place(j.day, (o ->> 'season')::int) AS place FROM twin.judged j
    WHERE j.state IN ('final', 'restated') AND j.day < t AND j.day >= t - 2 * (o ->> 'window')::int),
  share AS MATERIALIZED (
    SELECT p AS place, CASE WHEN (SELECT sum(value) FROM train) > 0
      THEN (coalesce(sum(value), 0) / (SELECT avg(value) FROM train) + 3) / (count(value) + 3) ELSE 1 END AS share
    FROM generate_series(0, (o ->> 'season')::int - 1) p LEFT JOIN train ON place = p GROUP BY p)
  SELECT coalesce(sum(value), 0), coalesce(sum(s.share), 0), (SELECT array_agg(share ORDER BY place) FROM share), count(*)::int
  FROM train JOIN share s USING (place) WHERE day >= t - (o ->> 'window')::int $$;

-- How likely at most so many, or at least so many, events are.
CREATE FUNCTION twin.at_most(k float8, here float8, total float8, exposure float8, bundle float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT cdp.beta_cdf(exposure / (exposure + here), total / bundle + 0.5, k / bundle + 1) $$;
CREATE FUNCTION twin.at_least(k float8, here float8, total float8, exposure float8, bundle float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN k <= 0 THEN 1 ELSE cdp.beta_cdf(here / (exposure + here), k / bundle, total / bundle + 0.5) END $$;

CREATE FUNCTION twin.judge(o jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  s record; f record; c record; j twin.judged; run record;
  scale float8; errors int; bundle float8; here float8; mean float8;
  counts boolean := o ->> 'transform' = 'anscombe';
  half int := (o ->> 'min_history')::int / 2;
BEGIN
  TRUNCATE twin.judged;
  FOR s IN SELECT * FROM twin.series ORDER BY day LOOP
    j := NULL;
    j.day := s.day; j.state := CASE WHEN s.value IS NULL OR s.state IN ('missing', 'unavailable') THEN 'missing' ELSE s.state END;
    j.value := CASE WHEN j.state <> 'missing' THEN s.value END;
    j.y := CASE WHEN counts THEN 2 * sqrt(j.value + 0.375) ELSE j.value END;
    SELECT * INTO f FROM twin.forecast(o, s.day);
    j.foretold := f.y;
    j.expected := CASE WHEN NOT counts OR f.y IS NULL THEN f.y WHEN f.y <= 0 THEN 0 ELSE greatest(0, f.y ^ 2 / 4 - 0.375) END;
    SELECT count(*), greatest((o ->> 'floor')::float8, twin.median(array_agg(abs(error))) / cdp.normal_quantile(0.75)) INTO errors, scale
    FROM twin.judged WHERE error IS NOT NULL AND day >= s.day - (o ->> 'window')::int;
    IF j.state IN ('final', 'restated') THEN j.error := j.y - f.y; END IF;
    j.verdict := 'learning';
    IF f.y IS NOT NULL AND errors >= half THEN
      j.low := f.y - (o ->> 'threshold')::float8 * scale;
      j.high := f.y + (o ->> 'threshold')::float8 * scale;
      IF counts THEN
        j.low := CASE WHEN j.low <= 0 THEN 0 ELSE greatest(0, j.low ^ 2 / 4 - 0.375) END;
        j.high := CASE WHEN j.high <= 0 THEN 0 ELSE greatest(0, j.high ^ 2 / 4 - 0.375) END;
      END IF;
      j.verdict := 'ok';
    END IF;
    IF j.state <> 'final' THEN
      j.verdict := CASE j.state WHEN 'restated' THEN 'restated' WHEN 'missing' THEN 'no_value' ELSE 'not_final' END;
    ELSIF j.verdict = 'ok' THEN
      j.score := (j.y - f.y) / scale;
      j.verdict := CASE WHEN abs(j.score) <= (o ->> 'threshold')::float8 THEN 'ok' WHEN j.score < 0 THEN 'low' ELSE 'high' END;
      bundle := least(1000, greatest(1, scale ^ 2 / (1 + pi() / 2 / f.same)));
      IF counts THEN
        SELECT * INTO c FROM twin.counts(o, s.day);
        here := c.share[1 + twin.place(s.day, (o ->> 'season')::int)];
        mean := c.total * here / c.exposure;
        IF mean < (o ->> 'tiny')::float8 THEN
          -- the range of counts that are not too unlikely
          SELECT min(k) INTO j.low FROM generate_series(0, 3000) k
            WHERE k >= mean OR twin.at_most(k, here, c.total, c.exposure, bundle) >= CASE k WHEN 0 THEN o ->> 'run_p' ELSE o ->> 'tail_p' END::float8;
          SELECT k INTO j.high FROM generate_series(1, 12000) k WHERE twin.at_least(k + 1, here, c.total, c.exposure, bundle) < (o ->> 'tail_p')::float8 ORDER BY k LIMIT 1;
          j.verdict := CASE WHEN j.value < j.low THEN 'low' WHEN j.value > j.high THEN 'high' ELSE 'ok' END;
        END IF;
      END IF;
      IF counts AND j.value = 0 THEN
        -- zero days since the last event, within a window
        SELECT count(*) + 1 AS days, coalesce(min(day), s.day) AS first INTO run FROM twin.judged
        WHERE state = 'final' AND value = 0 AND day > s.day - (o ->> 'window')::int AND day > coalesce((SELECT max(day) FROM twin.judged WHERE value > 0), '-infinity');
        SELECT * INTO c FROM twin.counts(o, run.first);
        SELECT sum(c.share[1 + twin.place(day, (o ->> 'season')::int)]) INTO here
        FROM (SELECT day FROM twin.judged WHERE state = 'final' AND day >= run.first UNION ALL SELECT s.day) d;
        IF c.n >= greatest(2, half) AND twin.at_most(0, here, c.total, c.exposure, bundle) * run.days < (o ->> 'run_p')::float8 AND (run.days > 1 OR j.verdict = 'ok') THEN
          j.verdict := 'zero_run';
        END IF;
      END IF;
    END IF;
    INSERT INTO twin.judged SELECT j.*;
  END LOOP;
END $$;
