-- Summaries of purchases against plain SQL on random data and against the published ones of CDNOW; scores and groups.
BEGIN;
SELECT plan(34);
CREATE SCHEMA t;
CREATE FUNCTION t.u(i int, j int) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN (('x' || substr(md5(i || '/' || j), 1, 12))::bit(48)::bigint + 0.5) / 281474976710656;
\if :have_shared
\set summary `cat :'shared'/segments/cdnow_customers_summary.csv`
\set purchases `cat :'shared'/segments/CDNOW_sample.txt`
CREATE TABLE t.want AS
SELECT f[1]::int AS id, f[2]::int AS x, f[3]::numeric AS tx, f[4]::numeric AS age
  FROM string_to_table(replace(:'summary', E'\r', ''), E'\n') WITH ORDINALITY l(line, no), string_to_array(line, ',') f WHERE no > 1;
CREATE TABLE t.cdnow AS
SELECT f[2]::int AS id, to_date(f[3], 'YYYYMMDD') AS day, f[5]::numeric AS dollars
  FROM string_to_table(replace(:'purchases', E'\r', ''), E'\n') line, regexp_split_to_array(trim(line), '\s+') f WHERE line <> '';
CREATE TABLE t.got AS
SELECT s.* FROM unnest((SELECT cdp.rfm_pass(id, day, dollars, cdp.rfm_options(as_of => '1997-10-01 00:00+00', holdout_until => '1998-07-01 00:00+00', unit => 'week')) FROM t.cdnow)) s;
SELECT is((SELECT (count(*), count(DISTINCT id))::text FROM t.cdnow), '(6919,2357)', 'the file is the one of 2,357 customers');
SELECT is((SELECT count(*) FROM t.want w JOIN t.got g ON g.key = w.id::text WHERE (g.frequency, round(g.recency::numeric, 2), round(g.t_age::numeric, 2)) = (w.x, w.tx, w.age)), 2357::bigint,
  'CDNOW: frequency, recency and age of all 2,357 customers are the published ones');
SELECT is((SELECT string_agg(n::text, ',' ORDER BY f) FROM (SELECT least(frequency, 7) AS f, count(*) AS n FROM t.got GROUP BY 1) h), '1411,439,214,100,62,38,29,64', 'their histogram');
SELECT is((SELECT sum(holdout_frequency) FROM t.got), 1882::bigint, 'and the purchases of the holdout');
SELECT is((SELECT count(*) FROM t.got g JOIN (
    SELECT id, avg(v) FILTER (WHERE n > 1) AS m, sum(v) AS total FROM (SELECT id, sum(dollars) AS v, row_number() OVER (PARTITION BY id ORDER BY day) AS n FROM t.cdnow WHERE day < '1997-10-01' GROUP BY id, day) d GROUP BY id) w
  ON g.key = w.id::text WHERE abs(g.monetary - w.m) < 1e-9 OR g.monetary IS NULL AND w.m IS NULL AND g.total = w.total), 2357::bigint, 'money of repeat purchases, and of all');
\else
SELECT skip('../shared/data is absent: no CDNOW', 5);
\endif

-- The twin: purchases per period, refunds to their period or the last one before.
CREATE TABLE t.row AS
SELECT 1 + floor(40 * t.u(i, 1))::int AS id, timestamptz '2023-12-01 00:00+00' + floor(250 * 86400 * t.u(i, 2)) * interval '1 second' AS at,
  CASE WHEN t.u(i, 3) < 0.15 THEN -1 WHEN t.u(i, 3) < 0.2 THEN NULL ELSE 1 END * round((100 * t.u(i, 4))::numeric, 2) AS value
  FROM generate_series(1, 700) i;
CREATE FUNCTION t.twin(as_of timestamptz, until timestamptz, unit text, once text, zone text, first boolean)
RETURNS TABLE (key text, frequency int, recency float8, t_age float8, monetary float8, total numeric, first_at timestamptz, last_at timestamptz, holdout_frequency int, holdout_total numeric) LANGUAGE sql AS $$
  WITH r AS (
    SELECT id, at, coalesce(value, 0) AS v, coalesce(value, 0) < 0 AS refund,
      CASE WHEN once = 'none' THEN at AT TIME ZONE 'UTC' ELSE date_trunc(once, at AT TIME ZONE zone) END AS p,
      row_number() OVER (PARTITION BY id ORDER BY at, value DESC NULLS LAST) AS no
    FROM t.row
  ), own AS (
    -- the period that a row counts for: its own, when something was bought in it before, else the last one in which there was
    SELECT r.*, CASE WHEN refund THEN (SELECT b.p FROM r b WHERE b.id = r.id AND NOT b.refund AND b.no < r.no AND (b.at < as_of) = (r.at < as_of) ORDER BY b.no DESC LIMIT 1) ELSE p END AS q,
      CASE WHEN once = 'none' AND NOT refund THEN no WHEN once = 'none' THEN (SELECT b.no FROM r b WHERE b.id = r.id AND NOT b.refund AND b.no < r.no AND (b.at < as_of) = (r.at < as_of) ORDER BY b.no DESC LIMIT 1) END AS one
    FROM r WHERE at < greatest(as_of, until)
  ), known AS (
    SELECT id, min(p) AS p1, max(p) AS p2, count(DISTINCT (p, one)) AS n, min(at) AS a1, max(at) AS a2, min(no) AS no1 FROM own WHERE at < as_of AND NOT refund GROUP BY id
  ), money AS (
    SELECT k.id, sum(o.v) AS total, sum(o.v) FILTER (WHERE first OR (o.q, coalesce(o.one, 0)) > (k.p1, CASE WHEN once = 'none' THEN k.no1 ELSE 0 END)) AS repeat
    FROM known k JOIN own o ON o.id = k.id AND o.at < as_of AND o.q IS NOT NULL GROUP BY k.id
  ), held AS (
    SELECT id, count(DISTINCT (p, one)) FILTER (WHERE NOT refund) AS n, sum(v) FILTER (WHERE q IS NOT NULL) AS v FROM own WHERE at >= as_of GROUP BY id
  ), length AS (SELECT CASE unit WHEN 'day' THEN 1 WHEN 'week' THEN 7 WHEN 'month' THEN 30.436875 ELSE 365.2425 END::float8 AS days),
  span AS (
    SELECT k.id, CASE WHEN once = 'none' THEN extract(epoch FROM p2 - p1) / 86400 / days WHEN once = unit AND unit = 'month' THEN extract(year FROM p2) * 12 + extract(month FROM p2) - extract(year FROM p1) * 12 - extract(month FROM p1)
        WHEN once = unit AND unit = 'year' THEN extract(year FROM p2) - extract(year FROM p1) ELSE (p2::date - p1::date) / days END AS recency, x.e,
      CASE WHEN once = 'none' THEN extract(epoch FROM as_of AT TIME ZONE 'UTC' - p1) / 86400 / days WHEN once = unit AND unit = 'month' THEN extract(year FROM e) * 12 + extract(month FROM e) - extract(year FROM p1) * 12 - extract(month FROM p1)
        WHEN once = unit AND unit = 'year' THEN extract(year FROM e) - extract(year FROM p1) ELSE (e::date - p1::date) / days END AS age
    FROM known k, length, LATERAL (SELECT date_trunc(CASE once WHEN 'none' THEN 'day' ELSE once END, (as_of - interval '1 microsecond') AT TIME ZONE zone) AS e) x
  )
  SELECT k.id::text, k.n::int - 1, s.recency, s.age, CASE WHEN first OR k.n > 1 THEN coalesce(m.repeat, 0) / (k.n - CASE WHEN first THEN 0 ELSE 1 END) END, m.total, k.a1, k.a2,
    CASE WHEN until IS NOT NULL THEN coalesce(h.n, 0) END, CASE WHEN until IS NOT NULL THEN coalesce(h.v, 0) END
  FROM known k JOIN money m USING (id) JOIN span s USING (id) LEFT JOIN held h USING (id)
$$;
CREATE FUNCTION t.differ(as_of timestamptz, until timestamptz, unit text, once text, zone text, first boolean) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s instead of %s', g, w), E'\n')
  FROM unnest((SELECT cdp.rfm_pass(id, at, value, cdp.rfm_options(as_of, until, unit, once, first, zone)) FROM t.row)) g
    FULL JOIN t.twin(as_of, until, unit, once, zone, first) w ON w.key = g.key
  WHERE (g.frequency, g.total, g.first_at, g.last_at, g.holdout_frequency, g.holdout_total, round(g.recency::numeric, 9), round(g.t_age::numeric, 9), round(g.monetary::numeric, 9))
    IS DISTINCT FROM (w.frequency, w.total, w.first_at, w.last_at, w.holdout_frequency, w.holdout_total, round(w.recency::numeric, 9), round(w.t_age::numeric, 9), round(w.monetary::numeric, 9))
$$;
SELECT is(t.differ(a, u, unit, once, zone, first), NULL, format('as plain SQL: until %s and %s, %s, once per %s, %s, %s', a, u, unit, once, zone, first)) FROM (VALUES
  ('2024-05-01 00:00+00'::timestamptz, NULL::timestamptz, 'day', 'day', 'UTC', false), ('2024-05-01 13:45:07+00', '2024-07-01 00:00+00', 'week', 'day', 'Asia/Shanghai', false),
  ('2024-06-01 00:00+00', NULL, 'day', 'week', 'America/New_York', true), ('2024-06-01 00:00+00', '2024-08-01 00:00+00', 'week', 'week', 'UTC', false),
  ('2024-06-15 00:00+08', '2024-06-20 00:00+08', 'month', 'month', 'Asia/Shanghai', false), ('2024-06-15 00:00+00', NULL, 'day', 'month', 'Europe/Berlin', false),
  ('2024-06-15 00:00+00', '2024-07-20 00:00+00', 'day', 'none', 'UTC', false), ('2024-06-15 07:00+00', NULL, 'week', 'none', 'America/New_York', true),
  ('2024-06-15 00:00+00', NULL, 'year', 'year', 'UTC', false), ('2024-06-15 00:00+00', NULL, 'month', 'day', 'Australia/Lord_Howe', false)) v(a, u, unit, once, zone, first);

-- Keys, row order, memory, zones.
\set pass 'cdp.rfm_pass(id, at, value, cdp.rfm_options(''2024-06-01 00:00+00'', unit => ''week''))'
SELECT is((SELECT :pass FROM (SELECT * FROM t.row ORDER BY md5(at::text || id)) r), (SELECT :pass FROM t.row), 'the order of rows does not matter');
SELECT set_config('timezone', 'Pacific/Auckland', true) \g /dev/null
SELECT is((SELECT :pass FROM t.row)::text, (SELECT array_agg(s ORDER BY s.key::int) FROM unnest((SELECT :pass FROM t.row)) s)::text, 'nor does the session''s zone; the result is in the order of keys');
SELECT is((SELECT array_agg(g.first_at ORDER BY g.key) FROM unnest((SELECT cdp.rfm_pass(1, day, 1, cdp.rfm_options('2024-06-01 00:00+00', timezone => 'Asia/Shanghai')) FROM unnest('{2024-03-05}'::date[]) day)) g), '{2024-03-04 16:00+00}'::timestamptz[],
  'a day begins in the zone of the options');
SELECT is((SELECT sum(s.frequency) FROM unnest((SELECT cdp.rfm_pass('c' || id, at, value, cdp.rfm_options('2024-06-01 00:00+00')) FROM t.row)) s WHERE s.key ~ '^c[0-9]+$'),
  (SELECT sum(s.frequency) FROM unnest((SELECT cdp.rfm_pass(id::bigint, at, value, cdp.rfm_options('2024-06-01 00:00+00')) FROM t.row)) s), 'keys may be text');
SELECT is((SELECT count(DISTINCT s.key::uuid) FROM unnest((SELECT cdp.rfm_pass(md5(id::text)::uuid, at, value, cdp.rfm_options('2024-06-01 00:00+00')) FROM t.row)) s), 40::bigint, 'or uuid');
CREATE TABLE t.many AS SELECT i % 90000 AS id, timestamptz '2024-01-01 00:00+00' + i * interval '13 seconds' AS at, (i % 100)::numeric AS value FROM generate_series(1, 800000) i;
CREATE FUNCTION t.digest(memory text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('cdp.value_memory', memory, true);
  RETURN (SELECT md5(cdp.rfm_pass(id, at, value, cdp.rfm_options('2024-06-01 00:00+00'))::text) FROM t.many);
END $$;
SELECT is(t.digest('16MB'), t.digest('1GB'), 'files instead of memory give the same');
SELECT is((SELECT cdp.rfm_pass(id, at, value, cdp.rfm_options('2020-01-01 00:00+00')) FROM t.row), '{}'::cdp.customer_summary[], 'nothing known yet');
SELECT is((SELECT cdp.rfm_pass(id, at, value, cdp.rfm_options('2020-01-01 00:00+00')) FROM t.row WHERE false), NULL, 'no rows');

-- Bad input.
CREATE FUNCTION t.state(command text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN 'no error'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is((SELECT string_agg(o || ': ' || t.state('SELECT cdp.rfm_options(' || o || ')'), E'\n') FROM unnest(ARRAY['NULL', '''infinity''', '''2024-01-01 00:00+00'', unit => ''fortnight''', '''2024-01-01 00:00+00'', once_per => ''weak''',
    '''2024-01-01 00:00+00'', timezone => ''Mars/Olympus''', '''2024-01-01 00:00+00'', holdout_until => ''2023-01-01 00:00+00''']) o WHERE t.state('SELECT cdp.rfm_options(' || o || ')') <> '22023'), NULL, 'options that cannot be');
SELECT is((SELECT string_agg(o || ': ' || t.state(o), E'\n') FROM unnest(ARRAY['SELECT cdp.rfm_pass(1, now(), 1, ''{"as_off": "2024-01-01 00:00+00"}'')', 'SELECT cdp.rfm_pass(1, now(), 1, NULL)', 'SELECT cdp.rfm_pass(1, now(), 1, ''[]'')',
    'SELECT cdp.rfm_scores(''{}'', 1)', 'SELECT cdp.rfm_scores(''{}'', method => ''guess'')', 'SELECT cdp.rfm_scores(''{}'', ties => ''split'')', 'SELECT cdp.rfm_scores(''{}'', monetary => ''x'')']) o WHERE t.state(o) <> '22023'), NULL, 'and other words');
SELECT is(t.state('SELECT cdp.rfm_pass(1, ''2023-01-01 00:00+00''::timestamptz, 1e13, cdp.rfm_options(''2024-01-01 00:00+00''))') || ' ' || t.state('SELECT cdp.rfm_pass(1, ''2023-01-01 00:00+00''::timestamptz, ''NaN'', cdp.rfm_options(''2024-01-01 00:00+00''))')
  || ' ' || t.state('SELECT cdp.rfm_pass(true, ''2023-01-01 00:00+00''::timestamptz, 1, cdp.rfm_options(''2024-01-01 00:00+00''))'), '22003 22P02 42804', 'values and keys that cannot be');
SELECT is((SELECT array_agg((s.key, s.frequency, s.recency, s.total)::text) FROM unnest((SELECT cdp.rfm_pass(k, at, v, cdp.rfm_options('290000-01-01 00:00+00', timezone => 'Asia/Shanghai'))
    FROM (VALUES (1, timestamptz '4713-06-01 00:00+00 BC', 1), (1, '289000-01-01 00:00+00', 2), (1, 'infinity', 4), (1, '-infinity', 8), (1, NULL, 16), (NULL, '2000-01-01 00:00+00', 32), (2, '2000-01-01 00:00+00', -5)) v(k, at, v))) s),
  format('{"(1,1,%s,3)"}', date '289000-01-01' - date '4713-06-01 BC')::text[], 'the ends of the calendar; rows without key or time, and refunds of nothing, are left out');

-- Scores.
CREATE TABLE t.summary AS SELECT cdp.rfm_pass(id, at, value, cdp.rfm_options('2024-06-01 00:00+00')) AS s FROM t.row;
CREATE TABLE t.customer AS SELECT c.*, c.t_age - c.recency AS since FROM t.summary, unnest(s) c;
SELECT is((SELECT string_agg(x::text, E'\n') FROM t.summary, cdp.rfm_scores(s) g JOIN t.customer c USING (key),
  LATERAL (SELECT 1 + count(*) FILTER (WHERE c.since < r) AS r, 1 + count(*) FILTER (WHERE c.frequency > f) AS f, 1 + count(*) FILTER (WHERE c.total > m) AS m FROM generate_series(1, 4) i,
    LATERAL (SELECT percentile_cont(i / 5.0) WITHIN GROUP (ORDER BY since DESC) AS r, percentile_cont(i / 5.0) WITHIN GROUP (ORDER BY frequency) AS f, percentile_cont(i / 5.0) WITHIN GROUP (ORDER BY total) AS m FROM t.customer) q) x
  WHERE (g.r, g.f, g.m, g.score, g.rfm_group, g.purchases, g.since_last) IS DISTINCT FROM (x.r, x.f, x.m, x.r * 100 + x.f * 10 + x.m, cdp.rfm_group(x.r::int, x.f::int), c.frequency + 1, c.since)), NULL, 'quantiles: 1 and the cut points that a customer is better than');
SELECT is((SELECT string_agg(x::text, E'\n') FROM t.summary, cdp.rfm_scores(s, 4, 'ntile') g JOIN t.customer c USING (key),
  LATERAL (SELECT 1 + count(*) FILTER (WHERE c.since < o.since) * 4 / count(*) AS r, 1 + count(*) FILTER (WHERE c.frequency > o.frequency) * 4 / count(*) AS f, 1 + count(*) FILTER (WHERE c.total > o.total) * 4 / count(*) AS m FROM t.customer o) x
  WHERE (g.r, g.f, g.m) IS DISTINCT FROM (x.r, x.f, x.m) OR g.rfm_group IS NOT NULL), NULL, 'ntile: the share of all who are worse');
SELECT is((SELECT count(*) FROM t.summary, cdp.rfm_scores(s) a JOIN cdp.rfm_scores(s) b ON a.purchases = b.purchases OR a.since_last = b.since_last OR a.value = b.value
  WHERE (a.purchases = b.purchases AND a.f <> b.f) OR (a.since_last = b.since_last AND a.r <> b.r) OR (a.value = b.value AND a.m <> b.m)), 0::bigint, 'equal values have equal scores');
SELECT is((SELECT array_agg(n ORDER BY r) FROM (SELECT r, count(*) AS n FROM t.summary, cdp.rfm_scores(s, 5, 'ntile', 'split') GROUP BY r) x), '{8,8,8,8,8}'::bigint[], 'split ties make groups of equal size');
SELECT is((SELECT string_agg(f || ' ' || n, ', ' ORDER BY f) FROM (SELECT f, count(*) AS n FROM cdp.rfm_scores((SELECT cdp.rfm_pass(i, '2024-01-01 00:00+00'::timestamptz + CASE WHEN i > 90 THEN j * interval '1 day' ELSE '0' END, 1, cdp.rfm_options('2024-06-01 00:00+00'))
    FROM generate_series(1, 100) i, generate_series(1, 2) j)) GROUP BY f) x), '1 90, 5 10', 'where most bought once, they have the lowest score');
SELECT is((SELECT string_agg(format('%s %s: %s', r, f, (SELECT count(*) FROM cdp.rfm_groups() g WHERE r BETWEEN g.r_from AND g.r_to AND f BETWEEN g.f_from AND g.f_to)), ', ') FROM generate_series(1, 5) r, generate_series(1, 5) f
  WHERE (SELECT count(*) FROM cdp.rfm_groups() g WHERE r BETWEEN g.r_from AND g.r_to AND f BETWEEN g.f_from AND g.f_to) <> 1), NULL, 'each pair of scores is in one group');
SELECT is(cdp.rfm_group(5, 5) || ', ' || cdp.rfm_group(1, 5) || ', ' || coalesce(cdp.rfm_group(6, 5), 'none'), 'champions, cannot lose, none', 'groups by name');
SELECT * FROM finish();
ROLLBACK;
