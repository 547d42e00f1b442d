-- Funnels equal a plain-SQL twin that tries every chain, on random rows with ties, repeats and every option.
BEGIN;
SELECT plan(2);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
SELECT setseed(0.4711) \g /dev/null
CREATE TABLE t.event AS
SELECT CASE WHEN random() < 0.1 THEN NULL ELSE i / 2 END AS given_id, (1 + floor(random() * 60))::int AS customer, timestamptz '2026-03-01' + make_interval(hours => floor(random() * 30)::int) AS at,
  (ARRAY['a', 'b', 'c', 'd', 'x', 'y', NULL])[1 + floor(random() * 7)] AS label, (ARRAY['red', 'blue', NULL])[1 + floor(random() * 3)] AS color
FROM generate_series(1, 700) i;
-- some rows share an id, some have none: those come last
ALTER TABLE t.event ADD COLUMN id int GENERATED ALWAYS AS (coalesce(given_id, 1000000)) STORED;

-- All chains of all customers, the one that counts of each: a row each with the times of its steps.
CREATE FUNCTION t.chains(o jsonb) RETURNS TABLE (customer int, times timestamptz[], color text) LANGUAGE sql AS $$
  WITH RECURSIVE step AS (
    SELECT s.ordinality::int AS k, string_to_array(s.value, '|') AS labels FROM jsonb_array_elements_text(o -> 'steps') WITH ORDINALITY s(value, ordinality)),
  row AS (SELECT e.* FROM t.event e WHERE e.at < (o ->> 'as_of')::timestamptz),
  chain AS (
    SELECT r.customer, 1 AS k, ARRAY[r.at] AS times, ARRAY[r.id] AS ids
    FROM row r, step s WHERE s.k = 1 AND r.label = ANY (s.labels) AND r.at >= (o ->> 'since')::timestamptz AND r.at < (o ->> 'until')::timestamptz
    UNION
    SELECT c.customer, s.k, c.times || r.at, c.ids || r.id
    FROM chain c JOIN step s ON s.k = c.k + 1 JOIN row r ON r.customer = c.customer AND r.label = ANY (s.labels)
    WHERE (r.at > c.times[c.k] OR o ->> 'ties' = 'by_id' AND r.at = c.times[c.k] AND r.id > c.ids[c.k])
      AND (o ->> 'within' = 'unbounded' OR r.at - c.times[1] <= (o ->> 'within')::interval)
      AND (o -> 'step_within' = 'null' OR o -> 'step_within' ->> (c.k - 1) = 'unbounded' OR r.at - c.times[c.k] <= (o -> 'step_within' ->> (c.k - 1))::interval)
      AND NOT EXISTS (SELECT FROM row b WHERE b.customer = c.customer
        AND (CASE WHEN o ->> 'ties' = 'by_id' THEN (b.at, b.id) > (c.times[c.k], c.ids[c.k]) AND (b.at, b.id) < (r.at, r.id) ELSE b.at > c.times[c.k] AND b.at < r.at END)
        AND (o ->> 'step_order' = 'strict' OR EXISTS (SELECT FROM jsonb_array_elements_text(o -> 'exclude') WITH ORDINALITY x (l, n),
            LATERAL (SELECT CASE jsonb_typeof(o -> 'exclude_between' -> 0) WHEN 'array' THEN o -> 'exclude_between' -> (x.n - 1)::int ELSE o -> 'exclude_between' END AS r) r
          WHERE x.l = b.label AND c.k >= (r.r ->> 0)::int AND c.k < (r.r ->> 1)::int)))),
  best AS (
    SELECT DISTINCT ON (c.customer) c.* FROM chain c
    ORDER BY c.customer, c.k DESC, c.times[c.k], CASE WHEN o ->> 'ties' = 'by_id' THEN c.ids[c.k] END, c.times[1] DESC,
      ARRAY(SELECT unnest(ARRAY[-extract(epoch FROM c.times[i]), CASE WHEN o ->> 'ties' = 'by_id' THEN -c.ids[i] ELSE 0 END]) FROM generate_series(c.k - 1, 1, -1) i))
  -- the first of the rows of one time (and id) names the breakdown, by label and colour
  SELECT b.customer, b.times, (
    SELECT coalesce(r.color, '(none)') FROM row r JOIN step s ON s.k = x.k AND r.label = ANY (s.labels)
    WHERE r.customer = b.customer AND r.at = b.times[x.k] AND (o ->> 'ties' <> 'by_id' OR r.id = b.ids[x.k])
    ORDER BY r.label COLLATE "C", coalesce(r.color, '(none)') COLLATE "C" LIMIT 1)
  FROM best b, LATERAL (SELECT CASE WHEN o ->> 'breakdown' = 'last' THEN b.k ELSE 1 END AS k) x $$;
-- Microseconds from hours, rounded as the engine does.
CREATE FUNCTION t.micro(hours float8) RETURNS bigint LANGUAGE sql AS $$ SELECT floor(hours * 3600000000 + 0.5)::bigint $$;
CREATE FUNCTION t.twin(o jsonb, colored boolean) RETURNS TABLE (breakdown text, step int, customers bigint, median bigint, p90 bigint, mean_first bigint) LANGUAGE sql AS $$
  SELECT x.breakdown, x.k, count(*), t.micro(percentile_cont(0.5) WITHIN GROUP (ORDER BY x.previous)), t.micro(percentile_cont(0.9) WITHIN GROUP (ORDER BY x.previous)), t.micro(avg(x.first))
  FROM (SELECT CASE WHEN colored THEN c.color END AS breakdown, k, CASE WHEN k > 1 THEN extract(epoch FROM c.times[k] - c.times[k - 1]) END::float8 / 3600 AS previous,
      CASE WHEN k > 1 THEN extract(epoch FROM c.times[k] - c.times[1]) END::float8 / 3600 AS first
    FROM t.chains(o) c, generate_series(1, cardinality(c.times)) k) x GROUP BY 1, 2 $$;
CREATE FUNCTION t.engine(o jsonb, colored boolean) RETURNS TABLE (breakdown text, step int, customers bigint, median bigint, p90 bigint, mean_first bigint) LANGUAGE plpgsql AS $$
DECLARE p cdp.funnel_partial;
BEGIN
  -- in an order of its own each time; ids only where they are asked for
  IF o ->> 'ties' = 'by_id' THEN
    SELECT cdp.funnel_pass(e.customer, e.at, e.label, o, CASE WHEN colored THEN e.color END, e.given_id::bigint) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
  ELSIF colored THEN
    SELECT cdp.funnel_pass(e.customer::text, e.at, e.label, o, e.color) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
  ELSE
    SELECT cdp.funnel_pass(e.customer::bigint, e.at, e.label, o) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
  END IF;
  RETURN QUERY SELECT CASE WHEN colored THEN s.breakdown END, s.step, s.customers, (extract(epoch FROM s.median_from_previous) * 1000000)::bigint,
    (extract(epoch FROM s.p90_from_previous) * 1000000)::bigint, (extract(epoch FROM s.mean_from_first) * 1000000)::bigint FROM cdp.funnel_steps(p) s WHERE s.customers > 0;
END $$;
CREATE FUNCTION t.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION t.random_options() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  steps text[] := ARRAY(SELECT t.pick('a', 'b', 'c', 'd', 'a|b', 'c|d') FROM generate_series(1, 1 + floor(sqrt(random()) * 5)::int));
  n int := cardinality(steps);
  excluded text[] := CASE WHEN random() < 0.7 THEN t.pick('{x}', '{y}', '{x,y}', '{x,x}')::text[] END;
  since timestamptz := timestamptz '2026-03-01' + make_interval(hours => floor(random() * 10)::int);
BEGIN
  RETURN cdp.funnel_options(steps, within => t.pick('2 hours', '7 hours', '20 hours', NULL)::interval,
    step_within => CASE WHEN n > 1 AND random() < 0.4 THEN ARRAY(SELECT t.pick('1 hour', '3 hours', '12 hours')::interval FROM generate_series(2, n)) END,
    step_order => t.pick('ordered', 'ordered', 'strict'), ties => t.pick('apart', 'apart', 'by_id'), breakdown => t.pick('first', 'last'),
    exclude => excluded,
    exclude_between => CASE WHEN n < 3 OR random() < 0.2 THEN NULL WHEN random() < 0.5 THEN t.pick('[1, 2]', '[2, 3]', '[1, 3]')::jsonb
      ELSE (SELECT jsonb_agg(t.pick('[1, 2]', '[2, 3]', '[1, 3]')::jsonb) FROM unnest(excluded)) END,
    since => since, until => since + make_interval(hours => 1 + floor(random() * 25)::int), as_of => timestamptz '2026-03-01' + make_interval(hours => 20 + floor(random() * 15)::int));
END $$;
-- Options whose answers differ, up to three of them.
CREATE FUNCTION t.differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; colored boolean; bad text; n int := 0; found bigint := 0;
BEGIN
  FOR round IN 1 .. rounds LOOP
    o := t.random_options();
    colored := random() < 0.5;
    SELECT count(*) + found INTO found FROM t.twin(o, colored) WHERE step > 1;
    IF EXISTS (SELECT FROM (SELECT * FROM t.twin(o, colored) EXCEPT ALL SELECT * FROM t.engine(o, colored)) d)
      OR EXISTS (SELECT FROM (SELECT * FROM t.engine(o, colored) EXCEPT ALL SELECT * FROM t.twin(o, colored)) d) THEN
      bad := concat_ws(E'\n', bad, o || jsonb_build_object('colored', colored));
      n := n + 1;
      EXIT WHEN n = 3;
    END IF;
  END LOOP;
  RETURN coalesce(bad, CASE WHEN found < rounds THEN 'hardly any chain: ' || found END);
END $$;
SELECT is(t.differences(150), NULL, 'a hundred and fifty random funnels');

-- Any order: the most distinct steps in a window, nothing excluded between its first row and its last.
CREATE FUNCTION t.unordered(o jsonb) RETURNS TABLE (step int, customers bigint) LANGUAGE sql AS $$
  WITH step AS (SELECT s.ordinality::int AS k, string_to_array(s.value, '|') AS labels FROM jsonb_array_elements_text(o -> 'steps') WITH ORDINALITY s(value, ordinality)),
  row AS (SELECT e.customer, e.at, e.label, s.k FROM t.event e LEFT JOIN step s ON e.label = ANY (s.labels) WHERE e.at < (o ->> 'as_of')::timestamptz),
  level AS (
    SELECT a.customer, max((SELECT count(DISTINCT r.k) FROM row r WHERE r.customer = a.customer AND r.at >= a.at AND r.at <= b.at)) AS n
    FROM row a JOIN row b ON b.customer = a.customer AND b.at >= a.at
    WHERE a.k IS NOT NULL AND b.k IS NOT NULL AND a.at >= (o ->> 'since')::timestamptz AND a.at < (o ->> 'until')::timestamptz
      AND (o ->> 'within' = 'unbounded' OR b.at - a.at <= (o ->> 'within')::interval)
      AND NOT EXISTS (SELECT FROM row x WHERE x.customer = a.customer AND o -> 'exclude' ? x.label AND x.at > a.at AND x.at < b.at)
    GROUP BY 1)
  SELECT k, count(*) FROM level l, generate_series(1, l.n::int) k GROUP BY 1 $$;
CREATE FUNCTION t.unordered_differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; since timestamptz; bad text;
BEGIN
  FOR round IN 1 .. rounds LOOP
    since := timestamptz '2026-03-01' + make_interval(hours => floor(random() * 10)::int);
    o := cdp.funnel_options(t.pick('{a,b,c}', '{d,a|b,c}', '{a,b,c,d}')::text[], within => t.pick('1 hour', '4 hours', '12 hours', NULL)::interval, step_order => 'unordered',
      exclude => CASE WHEN random() < 0.5 THEN t.pick('{x}', '{x,y}')::text[] END, since => since, until => since + make_interval(hours => 1 + floor(random() * 15)::int), as_of => '2026-03-02 06:00+00');
    IF EXISTS (SELECT FROM (SELECT * FROM t.unordered(o) EXCEPT ALL SELECT step, customers FROM t.engine(o, false)) d)
      OR EXISTS (SELECT FROM (SELECT step, customers FROM t.engine(o, false) EXCEPT ALL SELECT * FROM t.unordered(o)) d) THEN
      bad := concat_ws(E'\n', bad, o);
    END IF;
  END LOOP;
  RETURN bad;
END $$;
SELECT is(t.unordered_differences(25), NULL, 'random funnels in any order');

SELECT * FROM finish();
ROLLBACK;
