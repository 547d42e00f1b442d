-- Sessions, by window function and by pass, equal a twin in plpgsql and SQL on random rows and options; known sessions; hostile input.
BEGIN;
SELECT plan(31);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
\i :top/test/pgtap/journey_pass.inc
SELECT setseed(0.1618) \g /dev/null
CREATE TABLE t.event AS
SELECT CASE WHEN random() < 0.9 THEN i END AS id, CASE WHEN random() < 0.02 THEN NULL ELSE (1 + floor(random() * 50))::int END AS customer,
  CASE WHEN random() < 0.02 THEN (ARRAY[NULL, 'infinity', '-infinity'])[1 + floor(random() * 3)]::timestamptz ELSE timestamptz '2026-03-07' + make_interval(mins => 10 * floor(random() * 300)::int) END AS at,
  (ARRAY['a', 'b', 'c', 'd', NULL])[1 + floor(random() * 5)] AS label, (ARRAY['spring', '春', NULL, NULL])[1 + floor(random() * 4)] AS campaign
FROM generate_series(1, 900) i;

-- Each row with the number of its session, walked row by row.
CREATE TABLE t.row (customer int, at timestamptz, id int, nr bigint, session bigint);
CREATE FUNCTION t.walk(o jsonb, by_id boolean, by_campaign boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; who int; session bigint; first timestamptz; last timestamptz; current text; begins bool;
BEGIN
  DELETE FROM t.row;
  FOR r IN
    SELECT e.*, CASE WHEN by_campaign THEN e.campaign END AS c, row_number() OVER w AS nr FROM t.event e WHERE isfinite(at) AND customer IS NOT NULL AND at < (o ->> 'as_of')::timestamptz
    WINDOW w AS (PARTITION BY customer ORDER BY at, CASE WHEN by_id THEN coalesce(id, 1000000) END, CASE WHEN o -> 'starts' ? label THEN 0 ELSE 1 END, CASE WHEN by_campaign THEN campaign COLLATE "C" END NULLS LAST)
    ORDER BY customer, nr
  LOOP
    IF who IS DISTINCT FROM r.customer THEN
      who := r.customer; session := 0; begins := true;
    ELSE
      begins := r.at - last > (o ->> 'gap')::interval OR o ->> 'longest' <> 'unbounded' AND r.at - first > nullif(o ->> 'longest', 'unbounded')::interval OR coalesce(o -> 'starts' ? r.label, false) OR r.c <> current;
    END IF;
    IF begins IS TRUE THEN
      session := session + 1; first := r.at; current := NULL;
    END IF;
    last := r.at;
    current := coalesce(r.c, current);
    INSERT INTO t.row VALUES (who, r.at, r.id, r.nr, session);
  END LOOP;
END $$;
CREATE FUNCTION t.median(f float8[], share float8) RETURNS interval LANGUAGE sql AS $$ SELECT justify_hours(make_interval(secs => percentile_cont(share) WITHIN GROUP (ORDER BY u))) FROM unnest(f) u $$;
CREATE FUNCTION t.twin(o jsonb) RETURNS TABLE (starts_at timestamptz, sessions bigint, customers bigint, rows bigint, bounces bigint, bounced bigint, bounce_rate numeric, median interval, p90 interval, median_rows numeric, mean_rows numeric, p90_rows numeric) LANGUAGE sql AS $$
  WITH s AS (SELECT customer, session, min(at) AS first, extract(epoch FROM max(at) - min(at))::float8 AS length, count(*) AS n FROM t.row GROUP BY 1, 2),
  asked AS (SELECT *, CASE o ->> 'period' WHEN '1 months' THEN date_trunc('month', first, o ->> 'time_zone') WHEN '7 days' THEN date_trunc('week', first, o ->> 'time_zone')
    WHEN '1 days' THEN date_trunc('day', first, o ->> 'time_zone') ELSE date_trunc('hour', first) END AS starts_at FROM s WHERE first >= (o ->> 'since')::timestamptz AND first < (o ->> 'until')::timestamptz)
  SELECT starts_at, count(*), count(DISTINCT customer), coalesce(sum(n), 0)::bigint, count(*) FILTER (WHERE n = 1), count(DISTINCT customer) FILTER (WHERE n = 1), round(count(*) FILTER (WHERE n = 1)::numeric / nullif(count(*), 0), 6),
    t.median(array_agg(length), 0.5), t.median(array_agg(length), 0.9), (percentile_cont(0.5) WITHIN GROUP (ORDER BY n))::numeric, round(avg(n), 6), round((percentile_cont(0.9) WITHIN GROUP (ORDER BY n))::numeric, 6)
  FROM asked GROUP BY GROUPING SETS (starts_at, ()) $$;
CREATE FUNCTION t.random_options() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE since timestamptz := timestamptz '2026-03-07' + make_interval(hours => floor(random() * 20)::int);
BEGIN
  RETURN cdp.session_options(gap => t.pick(NULL, '10 minutes', '1 hour', '5 hours')::interval, longest => t.pick(NULL, '1 hour', '4 hours', '1 day')::interval, starts => t.pick(NULL, '{a}', '{a,b}')::text[],
    period => t.pick('hour', 'day', 'week', 'month'), time_zone => t.pick('UTC', 'Asia/Shanghai', 'America/New_York'), since => CASE WHEN random() < 0.4 THEN since END,
    until => CASE WHEN random() < 0.4 THEN since + make_interval(hours => 1 + floor(random() * 30)::int) END, as_of => CASE WHEN random() < 0.5 THEN timestamptz '2026-03-07' + make_interval(hours => 10 + floor(random() * 40)::int) END);
END $$;
CREATE FUNCTION t.differences(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o jsonb; p cdp.session_partial; bad text; d text; form int; n int := 0; found bigint := 0;
BEGIN
  FOR round IN 1 .. rounds LOOP
    o := t.random_options();
    form := floor(random() * 3);
    PERFORM set_config('timezone', t.pick('UTC', 'Asia/Shanghai', 'America/New_York'), true);
    IF form = 0 THEN
      SELECT cdp.session_pass(e.customer, e.at, e.label, o) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    ELSIF form = 1 THEN
      SELECT cdp.session_pass(e.customer::text, e.at, e.label, o, e.campaign) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    ELSE
      SELECT cdp.session_pass(e.customer::bigint, e.at, e.label, o, e.campaign, e.id::bigint) INTO p FROM (SELECT * FROM t.event ORDER BY random()) e;
    END IF;
    PERFORM t.walk(o, form = 2, form > 0);
    SELECT found + count(*) INTO found FROM t.row WHERE session > 1;
    d := concat_ws(E'\n', t.apart(format('SELECT starts_at, sessions, customers, rows, bounces, bounced, bounce_rate, median_length, p90_length, median_rows, mean_rows, p90_rows FROM cdp.session_table(%L)', p), format('SELECT * FROM t.twin(%L)', o)),
      -- the window function, where its order is that of the walk
      CASE WHEN form = 2 THEN t.apart(format($q$SELECT customer, at, nr, cdp.session_number(at, %L, %L, %L::text[] @> ARRAY[label], campaign) OVER w FROM (
        SELECT *, row_number() OVER w AS nr FROM t.event WHERE isfinite(at) AND customer IS NOT NULL AND at < %L
        WINDOW w AS (PARTITION BY customer ORDER BY at, coalesce(id, 1000000), NOT coalesce(label = ANY (%3$L), false), campaign COLLATE "C" NULLS LAST)) e WINDOW w AS (PARTITION BY customer ORDER BY nr)$q$,
        o ->> 'gap', nullif(o ->> 'longest', 'unbounded'), ARRAY(SELECT jsonb_array_elements_text(o -> 'starts')), o ->> 'as_of'), 'SELECT customer, at, nr, session FROM t.row') END);
    IF d <> '' THEN
      bad := concat_ws(E'\n', bad, o::text, form::text, d);
      n := n + 1;
      EXIT WHEN n = 2;
    END IF;
  END LOOP;
  RETURN coalesce(bad, CASE WHEN found < 100 * rounds THEN 'hardly any session: ' || found END);
END $$;
SELECT is(t.differences(100), NULL, 'a hundred random passes');

-- By hand.
CREATE FUNCTION t.numbers(minutes int[], gap interval DEFAULT NULL, longest interval DEFAULT NULL, starts int[] DEFAULT '{}', campaigns text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(n::text, ' ' ORDER BY i) FROM (
    SELECT i, cdp.session_number(timestamptz '2026-01-01' + m * interval '1 minute', gap, longest, i = ANY (starts), nullif(campaigns[i], '')) OVER (ORDER BY i) AS n FROM unnest(minutes) WITH ORDINALITY u (m, i)) x $$;
SELECT is(t.numbers('{0,30,60,91}'), '1 1 1 2', 'half an hour is the same session, more is another');
SELECT is(t.numbers('{0,2,4,7}', '2 minutes'), '1 1 1 2', 'a gap of one''s own');
SELECT is(t.numbers('{0,20,40,60,80}', longest => '40 minutes'), '1 1 1 2 2', 'no longer than that');
SELECT is(t.numbers('{0,1,1,2}', starts => '{3}'), '1 1 2 2', 'a row that starts one');
SELECT is(t.numbers('{0,1,2,3,4,5}', campaigns => '{"",a,"",a,b,a}'), '1 1 1 1 2 3', 'another campaign');
SELECT is((SELECT string_agg(coalesce(n::text, '-'), ' ' ORDER BY i) FROM (SELECT i, cdp.session_number(at) OVER (ORDER BY i) AS n FROM (VALUES (1, timestamptz '2026-01-01Z'), (2, NULL), (3, 'infinity'), (4, '2026-01-01 00:30Z')) v (i, at)) x), '1 - - 1', 'rows without a time are in no session');
SELECT is((SELECT string_agg(n::text, ' ' ORDER BY c, i) FROM (SELECT c, i, cdp.session_number(timestamptz '2026-01-01' + i * interval '1 hour') OVER (PARTITION BY c ORDER BY i) AS n FROM generate_series(1, 2) c, generate_series(1, 3) i) x), '1 2 3 1 2 3', 'each customer anew');
SELECT throws_ok($$SELECT cdp.session_number(now() - i * interval '1 hour') OVER (ORDER BY i) FROM generate_series(1, 2) i$$, '22023', NULL, 'backwards');
SELECT throws_ok($$SELECT cdp.session_number(now(), '-1 hour') OVER ()$$, '22023', NULL, 'a gap below zero');
SELECT throws_ok($$SELECT cdp.session_number(now(), longest => '1 month') OVER ()$$, '22023', NULL, 'a month has no length');
SELECT is((SELECT string_agg(format('%s:%s/%s', to_char(starts_at AT TIME ZONE 'Asia/Shanghai', 'DD'), bounces, sessions), ' ' ORDER BY starts_at) FROM (
  SELECT cdp.session_pass(1, at, NULL::text, cdp.session_options(time_zone => 'Asia/Shanghai')) AS p FROM unnest('{2026-03-02 23:50+08,2026-03-03 00:10+08,2026-03-03 00:41+08}'::timestamptz[]) at) f, cdp.session_table(f.p)), '02:0/1 03:1/1 :1/2', 'a session belongs to the day it began');
SELECT is((SELECT sessions FROM (SELECT cdp.session_pass(1, now(), l, '{"starts": ["7"]}') AS p FROM unnest('{1,7,1,7}'::int[]) l) f, cdp.session_table(f.p) WHERE starts_at IS NULL), 2::bigint, 'labels by number');

-- Adding, orders, spilling.
CREATE TABLE t.sum AS SELECT cdp.session_pass(customer, at, label, '{"starts": ["a"]}', campaign) AS p FROM t.event;
SELECT is(md5(cdp.session_merge(s.p)::text), md5((SELECT p FROM t.sum)::text), 'shards of customers add to the whole') FROM (
  SELECT cdp.session_pass(customer, at, label, '{"starts": ["a"]}', campaign) AS p FROM t.event GROUP BY customer % 5) s;
SELECT is(p::text::cdp.session_partial::text, p::text, 'text in and out') FROM t.sum;
SELECT is((SELECT (customers, sessions)::text FROM cdp.session_summary(p)), (SELECT (customers, sessions)::text FROM cdp.session_table(p) WHERE starts_at IS NULL), 'what the pass read') FROM t.sum;
SELECT throws_ok($$SELECT cdp.session_merge(p) FROM (SELECT p FROM t.sum UNION ALL SELECT cdp.session_pass(1, now(), 'a', NULL)) s$$, '22023', NULL, 'other options do not add');
SELECT is((SELECT count(*) FROM t.sum, cdp.session_table(p) WHERE median_rows IS NULL), 0::bigint, 'medians are there');
SELECT is((SELECT count(*) FROM (SELECT cdp.session_pass(customer, at, label, '{"durations": false}') AS p FROM t.event) f, cdp.session_table(f.p) WHERE median_rows IS NOT NULL OR mean_length IS NOT NULL), 0::bigint, 'unless they are not asked for');
CREATE FUNCTION t.large() RETURNS text LANGUAGE sql AS $$
  SELECT md5(cdp.session_pass(i % 20011, timestamptz '2026-01-01' + (i * 7919::bigint % 5000) * interval '1 minute', NULL::text, NULL, (i % 3)::text)::text) FROM generate_series(1::bigint, 330000) i $$;
CREATE TABLE t.kept AS SELECT t.large() AS digest;
SET LOCAL cdp.journey_memory = '16MB';
SELECT is(t.large(), digest, 'spilled is as not spilled') FROM t.kept;
RESET cdp.journey_memory;

-- Input that nobody should trust.
SELECT is(t.broken(p, 'cdp.session_partial', 'cdp.session_table'), NULL, 'cut or changed, it is refused or a value') FROM (SELECT cdp.session_pass(customer, at, label, NULL)::text AS p FROM t.event WHERE customer < 9) f;
SELECT throws_ok(format('SELECT cdp.session_options(%s)', a), '22023', NULL, a) FROM unnest(ARRAY[$$gap => '0'$$, $$gap => '1 year'$$, $$longest => '-1 day'$$, $$period => 'dozen'$$, $$time_zone => ''$$, $$since => '2026-01-01', until => '2025-01-01'$$]) a;
SELECT throws_ok($$SELECT cdp.session_pass(1, now(), 'a', '{"gaps": "1 hour"}')$$, '22023', NULL, 'an unknown option');
SELECT throws_ok($$SELECT cdp.session_pass(1, now(), 1, '{"starts": ["a"]}')$$, '22023', NULL, 'words where labels are numbers');
SELECT throws_ok($$SELECT cdp.session_pass(1.5, now(), 'a', NULL)$$, '42804', NULL, 'a key that is none');
SELECT throws_ok($$SELECT cdp.session_pass(1, now(), 'a', '[]')$$, '22023', NULL, 'options that are none');
SELECT * FROM finish();
ROLLBACK;
