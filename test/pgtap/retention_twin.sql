-- Retention equals a plain-SQL twin on random rows and options, in zones whose clocks change; known tables; hostile input.
BEGIN;
SELECT plan(29);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
\i :top/test/pgtap/journey_pass.inc
SELECT setseed(0.815) \g /dev/null
-- Ten weeks in which clocks change in Sao Paulo (forward at midnight), Havana, St Johns (back at 00:01) and New York; half of the rows near those hours.
CREATE TABLE t.event AS
SELECT i AS id, CASE WHEN random() < 0.02 THEN NULL ELSE (1 + floor(random() * 32))::int END AS customer,
  CASE WHEN random() < 0.02 THEN (ARRAY[NULL, 'infinity', '-infinity'])[1 + floor(random() * 3)]::timestamptz WHEN random() < 0.5 THEN (ARRAY['2009-10-18 03:00+00', '2009-10-25 05:00+00', '2009-11-01 03:00+00', '2009-11-01 06:00+00'])[1 + floor(random() * 4)]::timestamptz + make_interval(mins => 15 * floor(40 * (random() - 0.5))::int, days => floor(random() * 3)::int)
    ELSE timestamptz '2009-10-10 00:00+00' + make_interval(mins => 30 * floor(3500 * random() * random())::int) END AS at,
  (ARRAY['a', 'b', 'c', 'd', NULL])[1 + floor(random() * 5)] AS label, CASE WHEN random() < 0.8 THEN (random() * 100 - 20)::numeric(12, 4) END AS value
FROM generate_series(1, 450) i;

-- The number of the period of a time, when it starts, and whole periods between two times.
CREATE FUNCTION t.number(at timestamptz, period text, zone text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN period LIKE '% days' THEN floor(((at AT TIME ZONE zone)::date - date '2000-01-03') / split_part(period, ' ', 1)::float8)
    WHEN period LIKE '% months' THEN floor((extract(year FROM at AT TIME ZONE zone) * 12 + extract(month FROM at AT TIME ZONE zone) - 1) / split_part(period, ' ', 1)::float8)
    ELSE floor(extract(epoch FROM at - timestamp '2000-01-03' AT TIME ZONE zone) / extract(epoch FROM period::interval)) END::bigint $$;
CREATE FUNCTION t.start(n bigint, period text, zone text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN period LIKE '% days' THEN (date '2000-01-03' + (n * split_part(period, ' ', 1)::int)::int)::timestamp AT TIME ZONE zone
    WHEN period LIKE '% months' THEN (timestamp '2000-01-01' + make_interval(months => (n * split_part(period, ' ', 1)::int)::int - 24000)) AT TIME ZONE zone
    ELSE timestamp '2000-01-03' AT TIME ZONE zone + n * period::interval END $$;
CREATE FUNCTION t.elapsed(a timestamptz, b timestamptz, period text, zone text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN period LIKE '% seconds' THEN floor(extract(epoch FROM b - a) / extract(epoch FROM period::interval))::bigint
    ELSE (SELECT max(n) FROM generate_series(0, 80) n WHERE (a AT TIME ZONE zone + n * period::interval) AT TIME ZONE zone <= b) END $$;
CREATE FUNCTION t.twin(o jsonb) RETURNS TABLE (cohort timestamptz, size bigint, period int, customers bigint, share numeric, value numeric, complete boolean) LANGUAGE sql AS $$
  WITH row AS (SELECT e.*, t.number(e.at, o ->> 'period', o ->> 'time_zone') AS number FROM t.event e WHERE isfinite(at) AND customer IS NOT NULL AND at < (o ->> 'as_of')::timestamptz),
  now AS (SELECT CASE WHEN o ->> 'as_of' = 'infinity' THEN max(at) + interval '1 microsecond' ELSE (o ->> 'as_of')::timestamptz END AS at FROM row),
  entry AS (
    SELECT r.customer, min(r.at) AS at FROM row r WHERE o -> 'cohort_labels' = '[]' OR o -> 'cohort_labels' ? r.label
    GROUP BY r.customer, CASE WHEN o ->> 'entry' = 'each_period' THEN r.number END),
  entered AS (SELECT e.*, t.number(e.at, o ->> 'period', o ->> 'time_zone') AS cohort FROM entry e WHERE e.at >= (o ->> 'since')::timestamptz AND e.at < (o ->> 'until')::timestamptz),
  came AS (
    SELECT e.cohort, e.customer, r.value, CASE WHEN o ->> 'counted' = 'entry' THEN t.elapsed(e.at, r.at, o ->> 'period', o ->> 'time_zone') ELSE greatest(r.number - e.cohort, 0) END AS n
    FROM entered e JOIN row r ON r.customer = e.customer AND (r.at > e.at OR (o ->> 'entry_returns')::boolean AND r.at = e.at) AND (o -> 'return_labels' = '[]' OR o -> 'return_labels' ? r.label)),
  size AS (SELECT cohort, count(*) AS size FROM entered GROUP BY 1),
  cell AS (
    SELECT s.cohort, s.size, k.k AS n, count(DISTINCT c.customer) AS customers, coalesce(sum(c.value), 0)::numeric(30, 6) AS value
    FROM size s CROSS JOIN generate_series(0, (o ->> 'periods')::int) k LEFT JOIN came c ON c.cohort = s.cohort AND CASE o ->> 'kind' WHEN 'exact' THEN c.n = k.k
      WHEN 'rolling' THEN c.n BETWEEN k.k AND (o ->> 'periods')::int WHEN 'unbounded' THEN c.n >= k.k ELSE c.n <= k.k END
    GROUP BY 1, 2, 3)
  SELECT t.start(c.cohort, o ->> 'period', o ->> 'time_zone'), c.size, c.n, c.customers, round(c.customers::numeric / c.size, 6), c.value,
    o ->> 'kind' <> 'unbounded' AND t.start(c.cohort + CASE WHEN o ->> 'kind' = 'rolling' THEN (o ->> 'periods')::int ELSE c.n END + CASE WHEN o ->> 'counted' = 'entry' THEN 2 ELSE 1 END, o ->> 'period', o ->> 'time_zone') <= now.at
  FROM cell c, now WHERE t.start(c.cohort + c.n, o ->> 'period', o ->> 'time_zone') < now.at $$;
CREATE FUNCTION t.random_options() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE since timestamptz := timestamptz '2009-10-10' + make_interval(hours => floor(random() * 500)::int);
BEGIN
  RETURN cdp.retention_options(cohort_labels => t.pick('{a}', '{a,b}', NULL)::text[], return_labels => t.pick('{b}', '{a}', '{c,d}', NULL)::text[], entry => t.pick('first', 'each_period'),
    kind => t.pick('exact', 'rolling', 'unbounded', 'cumulative'), period => t.pick('day', 'day', 'week', 'month', '2 days', '10 days', 'hour', '36 hours', '2 months'), periods => 1 + floor(random() * 12)::int,
    counted => t.pick('calendar', 'entry'), entry_returns => random() < 0.3, time_zone => t.pick('UTC', 'Asia/Shanghai', 'America/New_York', 'America/Sao_Paulo', 'America/Havana', 'America/St_Johns', 'Asia/Kolkata'),
    since => CASE WHEN random() < 0.5 THEN since END, until => CASE WHEN random() < 0.5 THEN since + make_interval(hours => 1 + floor(random() * 900)::int) END,
    as_of => CASE WHEN random() < 0.5 THEN timestamptz '2009-10-20' + make_interval(hours => floor(random() * 1400)::int) END);
END $$;
CREATE FUNCTION t.differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; p cdp.retention_partial; bad text; d text; n int := 0; found bigint := 0;
BEGIN
  FOR round IN 1 .. rounds LOOP
    o := t.random_options();
    -- in an order, a session zone and a type of key of its own each time
    PERFORM set_config('timezone', t.pick('UTC', 'Asia/Shanghai', 'America/New_York'), true);
    IF random() < 0.5 THEN
      SELECT cdp.retention_pass(e.customer, e.at, e.label, o, e.value) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    ELSE
      SELECT cdp.retention_pass(md5(e.customer::text)::uuid, e.at, e.label, o, e.value) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    END IF;
    SELECT found + count(*) INTO found FROM cdp.retention_table(p) WHERE customers > 0;
    d := t.apart(format('SELECT * FROM cdp.retention_table(%L)', p), format('SELECT * FROM t.twin(%L)', o));
    IF d IS NOT NULL THEN
      bad := concat_ws(E'\n', bad, o::text, d);
      n := n + 1;
      EXIT WHEN n = 2;
    END IF;
  END LOOP;
  RETURN coalesce(bad, CASE WHEN found < 10 * rounds THEN 'hardly any return: ' || found END);
END $$;
SELECT is(t.differences(80), NULL, 'eighty random tables');

-- By hand: in at 23:30 of Shanghai's Monday, which is a Monday of UTC too, back 40 minutes and two days later.
CREATE FUNCTION t.hand(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s:%s/%s%s', r.period, r.customers, r.size, CASE WHEN r.complete THEN '' ELSE '?' END), ' ' ORDER BY r.cohort, r.period) FROM (
    SELECT cdp.retention_pass(split_part(e, '@', 1), split_part(e, '@', 2)::timestamptz, split_part(e, '@', 1), o) AS p FROM unnest(string_to_array(events, ',')) e) f, cdp.retention_table(f.p) r $$;
SELECT is(t.hand('x@2026-03-02 23:30+08,x@2026-03-03 00:10+08,x@2026-03-04 12:00+08', cdp.retention_options(period => 'day', time_zone => 'Asia/Shanghai')), '0:0/1 1:1/1 2:1/1?', 'days begin at midnight of the zone');
SELECT is(t.hand('x@2026-03-02 23:30+08,x@2026-03-03 00:10+08,x@2026-03-04 12:00+08', cdp.retention_options(period => 'day')), '0:1/1 1:0/1 2:1/1?', 'those of UTC are others');
SELECT is(t.hand('x@2026-03-02 23:30+08,x@2026-03-03 00:10+08,x@2026-03-04 23:30+08', cdp.retention_options(period => 'day', counted => 'entry', time_zone => 'Asia/Shanghai')), '0:1/1 1:0/1? 2:1/1?', 'from the entry on, 48 hours are two days');
SELECT is(t.hand('x@2026-03-07 12:00-05,x@2026-03-08 12:00-04', cdp.retention_options(period => 'day', counted => 'entry', time_zone => 'America/New_York')), '0:0/1? 1:1/1?', 'a day of 23 hours is a day');
SELECT is(t.hand('x@2026-03-07 12:00-05,x@2026-03-08 12:00-04', cdp.retention_options(period => '24 hours', counted => 'entry', time_zone => 'America/New_York')), '0:1/1? 1:0/1?', 'and is no 24 hours');
SELECT is(t.hand('x@2026-01-31 12:00+00,x@2026-02-28 12:00+00,x@2026-03-30 12:00+00', cdp.retention_options(period => 'month', counted => 'entry')), '0:0/1 1:1/1? 2:0/1?', 'a month after the 31st of January is the 28th of February');
SELECT is(t.hand('x@2026-01-01 00:00+00,x@2026-01-01 00:00+00,y@2026-01-01 00:00+00,x@2026-01-03 00:00+00', cdp.retention_options(period => 'day')), '0:0/2 1:0/2 2:1/2?', 'a row of the time of the entry is no return');
SELECT is(t.hand('x@2026-01-01 00:00+00,x@2026-01-01 00:00+00,y@2026-01-01 00:00+00,x@2026-01-03 00:00+00', cdp.retention_options(period => 'day', entry_returns => true)), '0:2/2 1:0/2 2:1/2?', 'unless it is asked to be');
SELECT is(t.hand('x@2026-01-01 00:00+00,x@2026-01-09 00:00+00', cdp.retention_options(period => 'day', periods => 2, as_of => '2026-01-04')), '0:0/1 1:0/1 2:0/1', 'complete at the end of the period to the microsecond');
SELECT is(t.hand('x@2026-01-01 00:00+00,x@2026-01-09 00:00+00', cdp.retention_options(period => 'day', periods => 2, as_of => '2026-01-03 23:59:59.999999+00')), '0:0/1 1:0/1 2:0/1?', 'and not before');
SELECT is((SELECT string_agg(format('%s:%s', r.period, r.value), ' ') FROM (SELECT cdp.retention_pass(k, at, 'x', cdp.retention_options(period => 'day', kind => 'cumulative', entry_returns => true), v) AS p
  FROM (VALUES (1, timestamptz '2026-01-01 10:00+00', 5.5), (1, '2026-01-02 10:00+00', -1), (2, '2026-01-01 11:00+00', NULL), (2, '2026-01-03 00:00+00', 0.000001)) e (k, at, v)) f, cdp.retention_table(f.p) r),
  '0:5.5 1:4.5 2:4.500001', 'what a cohort is worth by then, refunds taken off');

-- The ends of the calendar in the shortest periods.
SELECT is((SELECT string_agg(format('%s %s', (r.cohort AT TIME ZONE 'UTC')::text, r.size), ', ' ORDER BY r.cohort) FROM (
  SELECT cdp.retention_pass(i, at, 'x', '{"period": "1 microseconds", "periods": 1}') AS p FROM unnest('{4713-01-01 BC,294276-12-31 23:59:59.999999+00}'::timestamptz[]) WITH ORDINALITY u (at, i)) f, cdp.retention_table(f.p) r WHERE r.period = 0),
  '4713-01-01 00:00:00 BC 1, 294276-12-31 23:59:59.999999 1', 'a microsecond of the last year is a period like any other');

-- Adding, orders, spilling.
CREATE TABLE t.whole AS SELECT cdp.retention_pass(customer, at, label, '{"period": "day", "entry": "each_period"}', value) AS p FROM t.event;
SELECT is(md5(cdp.retention_merge(s.p)::text), md5((SELECT p FROM t.whole)::text), 'shards of customers add to the whole') FROM (
  SELECT cdp.retention_pass(customer, at, label, '{"period": "day", "entry": "each_period"}', value) AS p FROM t.event GROUP BY customer % 5) s;
SELECT is(p::text::cdp.retention_partial::text, p::text, 'text in and out') FROM t.whole;
SELECT is((SELECT rows || ' ' || without_key + without_time || ' ' || customers FROM cdp.retention_summary(p)), (SELECT count(*) || ' ' || count(*) FILTER (WHERE customer IS NULL OR at IS NULL OR NOT isfinite(at)) || ' ' || count(DISTINCT customer) FROM t.event), 'what the pass read') FROM t.whole;
SELECT throws_ok($$SELECT cdp.retention_merge(p) FROM (SELECT p FROM t.whole UNION ALL SELECT cdp.retention_pass(1, now(), 'a', NULL)) s$$, '22023', NULL, 'other options do not add');
CREATE FUNCTION t.large() RETURNS text LANGUAGE sql AS $$
  SELECT md5(cdp.retention_pass(i % 20011, timestamptz '2026-01-01' + (i * 7919::bigint % 5000000) * interval '1 second', NULL::text, '{"period": "day"}', i % 100 / 7.0)::text) FROM generate_series(1, 330000) i $$;
CREATE TABLE t.kept AS SELECT t.large() AS digest;
SET LOCAL cdp.journey_memory = '16MB';
SELECT is(t.large(), digest, 'spilled is as not spilled') FROM t.kept;
RESET cdp.journey_memory;

-- Input that nobody should trust.
SELECT is(t.broken(cdp.retention_pass(customer, at, label, '{"period": "week", "cohort_labels": ["a"]}', value)::text, 'cdp.retention_partial', 'cdp.retention_table'), NULL, 'cut or changed, it is refused or a value') FROM t.event WHERE customer < 9;
SELECT throws_ok($$SELECT cdp.retention_options(period => 'fortnite')$$, '22023', NULL, 'a period that is none');
SELECT throws_ok($$SELECT cdp.retention_options(period => '1 month 3 days')$$, '22023', NULL, 'months and days');
SELECT throws_ok($$SELECT cdp.retention_options(period => '-1 days')$$, '22023', NULL, 'backwards');
SELECT throws_ok($$SELECT cdp.retention_options(periods => 0)$$, '22023', NULL, 'no period');
SELECT throws_ok($$SELECT cdp.retention_options(periods => 1001)$$, '22023', NULL, 'too many');
SELECT throws_ok($$SELECT cdp.retention_options(kind => 'exakt')$$, '22023', NULL, 'a kind that is none');
SELECT throws_ok($$SELECT cdp.retention_options(time_zone => 'Mars/Olympus')$$, '22023', NULL, 'a zone that is none');
SELECT throws_ok($$SELECT cdp.retention_options(since => '2026-01-02', until => '2026-01-02')$$, '22023', NULL, 'an empty interval');
SELECT throws_ok($$SELECT cdp.retention_pass(1, now(), 'a', '{"cohort": ["a"]}')$$, '22023', NULL, 'an unknown option');
SELECT throws_ok($$SELECT cdp.retention_pass(i, now(), 'a', CASE i WHEN 1 THEN cdp.retention_options() ELSE cdp.retention_options(kind => 'rolling') END) FROM generate_series(1, 2) i$$, '22023', NULL, 'options that differ from row to row');
SELECT * FROM finish();
ROLLBACK;
