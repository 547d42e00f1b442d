-- Judgements of daily values equal the plain-SQL twin's, on random series with gaps, states and every option.
BEGIN;
SELECT plan(3);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
\ir ../twin/anomaly.sql
SELECT setseed(0.8) \g /dev/null
CREATE FUNCTION twin.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
-- A series: a level, a season, a trend, now and then far off, zero days in a row, days without row, value or end.
CREATE FUNCTION twin.draw(counts boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  level float8 := (ARRAY[0.3, 1.5, 6, 40, 3000])[1 + floor(random() * 5)::int];
  wild float8 := CASE WHEN random() < 0.5 THEN 0.1 ELSE 0.5 END;
  growth float8 := 0.01 * (random() - 0.5);
  weekend float8 := 0.2 + random();
  silent int := floor(random() * 90);
  states text[] := CASE WHEN random() < 0.3 THEN '{final}' ELSE '{final,final,final,final,final,restated,provisional,suspect_zero,missing,unavailable}' END;
BEGIN
  TRUNCATE twin.series;
  INSERT INTO twin.series
  SELECT date '1999-12-01' + d, CASE WHEN random() < 0.02 THEN NULL WHEN d BETWEEN silent AND silent + 12 THEN 0 WHEN counts THEN floor(v + random()) ELSE v - level / 2 END,
    CASE WHEN random() < 0.8 THEN 'final' ELSE states[1 + floor(random() * cardinality(states))::int] END
  FROM generate_series(1, 90) d,
    LATERAL (SELECT level * exp(growth * d + wild * (random() + random() + random() - 1.5)) * CASE WHEN d % 7 < 2 THEN weekend ELSE 1 END * CASE WHEN random() < 0.03 THEN 4 ELSE 1 END AS v) v
  WHERE random() < 0.97;
END $$;
CREATE TABLE twin.wrong (round int, o jsonb, what text);
CREATE TABLE twin.seen (verdict text);
DO $$
DECLARE
  o jsonb;
  counts boolean;
  season int;
BEGIN
  FOR round IN 1 .. 40 LOOP
    counts := random() < 0.8;
    season := (ARRAY[7, 7, 7, 1, 5])[1 + floor(random() * 5)::int];
    o := cdp.anomaly_options(season => season, "window" => (ARRAY[14, 21, 28, 56])[1 + floor(random() * 4)::int], threshold => (ARRAY[2, 3, 3.5])[1 + floor(random() * 3)::int],
      floor => CASE WHEN counts THEN (ARRAY[NULL, 0.5, 1])[1 + floor(random() * 3)::int] ELSE 0.5 END, min_history => (ARRAY[NULL, 4, 10, 28])[1 + floor(random() * 4)::int],
      tiny => (ARRAY[NULL, 0, 3, 30])[1 + floor(random() * 4)::int], tail_p => (ARRAY[NULL, 0.01, 0])[1 + floor(random() * 3)::int], run_p => (ARRAY[NULL, 0.05])[1 + floor(random() * 2)::int],
      transform => CASE WHEN counts THEN 'anscombe' ELSE 'none' END);
    PERFORM twin.draw(counts);
    PERFORM twin.judge(o);
    INSERT INTO twin.seen SELECT verdict FROM twin.judged;
    INSERT INTO twin.wrong
    SELECT round, o, format('%s: got %s, twin %s', coalesce(d.day, j.day), d, j)
    FROM unnest((SELECT cdp.anomaly_pass(day, value, state, o) FROM (SELECT * FROM twin.series ORDER BY random()) s)) d FULL JOIN twin.judged j ON j.day = d.day
    WHERE d.verdict IS DISTINCT FROM j.verdict OR d.value IS DISTINCT FROM j.value
      OR ARRAY[d.expected IS NULL, d.low IS NULL, d.high IS NULL, d.score IS NULL] <> ARRAY[j.expected IS NULL, j.low IS NULL, j.high IS NULL, j.score IS NULL]
      OR EXISTS (SELECT FROM unnest(ARRAY[d.expected, d.low, d.high, d.score], ARRAY[j.expected, j.low, j.high, j.score]) x (a, b) WHERE abs(a - b) > 1e-7 * (1 + abs(b)));
  END LOOP;
END $$;
SELECT is((SELECT string_agg(format('round %s %s: %s', round, o, what), E'\n') FROM (SELECT * FROM twin.wrong ORDER BY round LIMIT 5) w), NULL, '40 random series: every day as the twin has it');
SELECT is((SELECT string_agg(DISTINCT verdict, ' ' ORDER BY verdict) FROM twin.seen), 'high learning low no_value not_final ok restated zero_run', 'every verdict came up');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE verdict = 'ok') FROM twin.seen), '>', 1000::bigint, 'most days were judged');
SELECT * FROM finish();
ROLLBACK;
