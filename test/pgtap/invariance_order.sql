-- The bytes of a partial do not depend on row order, workers, session settings or memory,
-- and what is split by customer and merged is the whole.
BEGIN;
SELECT plan(54);
SET client_min_messages = error;
\ir ../twin/twin.sql
CREATE SCHEMA t;

-- 40,000 touches of 3,000 customers, times on a coarse grid so that ties are common.
CREATE TABLE t.rows (key text, at timestamptz, label text, value numeric, id bigint, kind text, session bigint, refers_to bigint);
SELECT setseed(0.42) \g /dev/null
INSERT INTO t.rows
SELECT (3000 * random() * random())::int::text, '2026-01-01 00:00+00'::timestamptz + floor(random() * 400) * interval '6 h',
       CASE WHEN r < 0.06 THEN NULL ELSE (ARRAY['email', '微信', 'Direct', 'search', 'a, b', ''])[1 + floor(random() * 5)::int] END,
       CASE WHEN r < 0.05 THEN round((random() * 1000)::numeric, 2) WHEN r < 0.06 THEN -round((random() * 10)::numeric, 2) END,
       i, (ARRAY['click', 'view', 'lead'])[1 + floor(random() * 3)::int], floor(random() * 5)::bigint, NULL
  FROM (SELECT i, random() AS r FROM generate_series(1, 40000) i) g;
ANALYZE t.rows;

CREATE FUNCTION t.options(more text DEFAULT '') RETURNS text LANGUAGE sql
RETURN 'cdp.attribution_options(models => ''{first,last,linear,linear_unique,u_shaped,time_decay(7 days),exponential(0.5),ramp,participation,last_non(Direct),markov,markov(2),shapley,shapley_rate,one_removed}'', paths => true' || more || ')';
-- Digest of the partial's bytes.
CREATE FUNCTION t.digest(src text, more text DEFAULT '', call text DEFAULT 'key, at, label, value, %s') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT md5(cdp.attribution_pass(%s)::text) FROM %s', format(call, t.options(more)), src) INTO r;
  RETURN r;
END $$;
CREATE FUNCTION t.long_call() RETURNS text LANGUAGE sql RETURN 'key, at, label, value, %s, id, kind, session, refers_to';
CREATE TABLE t.base AS SELECT t.digest('t.rows') AS short, t.digest('t.rows', '', t.long_call()) AS long,
  t.digest('t.rows', ', journey => ''reset'', collapse => true, max_touches => 3, credits => true') AS credits;
SELECT isnt(short, NULL, 'there is an answer') FROM t.base;
SELECT isnt(short, long, 'ids make another order among equal times') FROM t.base;

-- ---- Row order
SELECT is(t.digest('(SELECT * FROM t.rows ORDER BY ' || how || ') s'), short, 'rows ordered by ' || how) FROM t.base,
  unnest('{id DESC,at,"at DESC, id",key,"label, value","md5(id::text)","md5(id::text) DESC","value NULLS FIRST"}'::text[]) how;
SELECT is(t.digest('(SELECT * FROM t.rows ORDER BY ' || how || ') s', '', t.long_call()), long, 'with ids, rows ordered by ' || how) FROM t.base,
  unnest('{id DESC,"at DESC, id",key,"md5(id::text)"}'::text[]) how;
SELECT is(t.digest('(SELECT * FROM t.rows ORDER BY ' || how || ') s', ', journey => ''reset'', collapse => true, max_touches => 3, credits => true'), credits, 'with credits, rows ordered by ' || how) FROM t.base,
  unnest('{id DESC,"md5(id::text)"}'::text[]) how;

-- ---- Workers
CREATE TABLE t.parts (LIKE t.rows) PARTITION BY RANGE (at);
CREATE TABLE t.part1 PARTITION OF t.parts FOR VALUES FROM (MINVALUE) TO ('2026-02-01');
CREATE TABLE t.part2 PARTITION OF t.parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE t.part3 PARTITION OF t.parts FOR VALUES FROM ('2026-03-01') TO (MAXVALUE);
INSERT INTO t.parts SELECT * FROM t.rows;
ANALYZE t.parts;
SELECT is(t.digest('t.parts'), short, 'a partitioned table') FROM t.base;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL enable_parallel_append = on;
SET LOCAL max_parallel_workers_per_gather = 3;
SELECT is(t.digest(src), short, 'three workers, ' || src) FROM t.base, unnest('{t.rows,t.parts}'::text[]) src;
SELECT is(t.digest('t.parts', '', t.long_call()), long, 'three workers, with ids') FROM t.base;
DO $$ BEGIN EXECUTE format('SET LOCAL %s = on', CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END); END $$;
SELECT is(t.digest(src), short, 'forced parallel mode, ' || src) FROM t.base, unnest('{t.rows,t.parts}'::text[]) src;
SELECT is((SELECT md5(string_agg(x::text, '|')) FROM (SELECT cdp.attribution_merge(p) AS m FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(models => '{linear,markov}')) AS p FROM t.parts GROUP BY hashtext(key) % 7) q) r, cdp.attribution_totals(m) x),
          (SELECT md5(string_agg(x::text, '|')) FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(models => '{linear,markov}')) AS p FROM t.rows) r, cdp.attribution_totals(p) x),
  'merge in forced parallel mode');
DO $$ BEGIN EXECUTE format('SET LOCAL %s = off', CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END); END $$;
SET LOCAL max_parallel_workers_per_gather = 0;

-- ---- Session settings
CREATE FUNCTION t.with(name text, setting text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; was text := current_setting(name);
BEGIN
  PERFORM set_config(name, setting, true);
  r := t.digest('t.rows', ', since => ''2026-01-11 00:00+00'', milestones => ''{lead}'', lookback => ''7 days''', t.long_call());
  PERFORM set_config(name, was, true);
  RETURN r;
END $$;
SELECT is(t.with(name, setting), t.with('TimeZone', 'UTC'), format('%s = %s', name, setting))
  FROM (VALUES ('TimeZone', 'Asia/Shanghai'), ('TimeZone', 'America/New_York'), ('TimeZone', 'Asia/Kathmandu'), ('DateStyle', 'SQL, DMY'), ('DateStyle', 'German'),
               ('IntervalStyle', 'iso_8601'), ('IntervalStyle', 'sql_standard'), ('extra_float_digits', '-15'), ('extra_float_digits', '3'),
               ('bytea_output', 'escape'), ('standard_conforming_strings', 'off'), ('work_mem', '64kB'), ('jit', 'off')) v(name, setting);
-- What people read, too.
CREATE FUNCTION t.read(zone text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  PERFORM set_config('TimeZone', zone, true);
  SELECT md5(string_agg(x::text, '|')) INTO r FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(models => '{time_decay(7 days),markov}')) AS p FROM t.rows) q, cdp.attribution_totals(p) x;
  RETURN r;
END $$;
SELECT is(t.read('Asia/Shanghai'), t.read('UTC'), 'totals read the same in every time zone');

-- ---- Spilled and in memory
CREATE FUNCTION t.in_memory(kb text, more text DEFAULT '', call text DEFAULT 'key, at, label, value, %s') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  PERFORM set_config('cdp.attribution_memory', kb, true);
  r := t.digest('t.rows', more, call);
  RETURN r;
END $$;
CREATE TABLE t.least AS SELECT (SELECT min_val FROM pg_settings WHERE name = 'cdp.attribution_memory') AS kb;
SELECT is(t.in_memory(kb), short, 'spilled to disk at ' || kb || ' kB') FROM t.base, t.least;
SELECT is(t.in_memory(kb, '', t.long_call()), long, 'with ids, spilled') FROM t.base, t.least;
SELECT is(t.in_memory(kb, ', journey => ''reset'', collapse => true, max_touches => 3, credits => true'), credits, 'with credits, spilled') FROM t.base, t.least;
SELECT is(t.in_memory('2GB'), short, 'with much memory') FROM t.base;
RESET cdp.attribution_memory;

-- ---- Shards of whole customers, merged
CREATE FUNCTION t.merged(shards int, more text DEFAULT '', call text DEFAULT 'key, at, label, value, %s', how text DEFAULT 'p') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT md5(string_agg(x::text, ''|'')) FROM (SELECT cdp.attribution_merge(%s) AS m FROM (SELECT cdp.attribution_pass(%s) AS p FROM t.rows GROUP BY abs(hashtext(key)) %% %s) q) s, cdp.attribution_totals(m) x',
    how, format(call, t.options(more)), shards) INTO r;
  RETURN r;
END $$;
SELECT is(t.merged(shards), t.merged(1), format('%s shards merged are the whole', shards)) FROM unnest('{2,7,64}'::int[]) shards;
SELECT is(t.merged(13, ', milestones => ''{lead}'', journey => ''reset''', t.long_call()), t.merged(1, ', milestones => ''{lead}'', journey => ''reset''', t.long_call()), '13 shards with ids');
SELECT is(t.merged(5, '', 'key, at, label, value, %s', 'p::text::cdp.attribution_partial'), t.merged(1), 'shards sent as text');
SELECT is((SELECT m::text FROM (SELECT cdp.attribution_merge(p) AS m FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(paths => true)) AS p FROM t.rows GROUP BY abs(hashtext(key)) % 9) q) s),
          (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(paths => true))::text FROM t.rows), 'the merged partial has the same bytes as the whole');
SELECT is((SELECT cdp.attribution_merge(p)::text FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options()) AS p FROM t.rows UNION ALL SELECT NULL) q),
          (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options())::text FROM t.rows), 'a NULL partial adds nothing');
SELECT throws_ok($$SELECT cdp.attribution_merge(p) FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(lookback => '7 days')) AS p FROM t.rows
  UNION ALL SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(lookback => '8 days')) FROM t.rows) q$$, NULL, NULL, 'partials of different lookbacks refuse to merge');

-- ---- Replay of journeys
SELECT results_eq($$SELECT r.* FROM (SELECT cdp.attribution_replay(j.journey, 1, o) AS p FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(credits => true, models => '{first,linear,time_decay(7 days),participation,markov(2),shapley}')) AS a FROM t.rows) q,
       cdp.attribution_journeys(a) j, (SELECT cdp.attribution_options(models => '{first,linear,time_decay(7 days),participation,markov(2),shapley}') AS o) o) s, cdp.attribution_totals(p) r$$,
  $$SELECT r.* FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(models => '{first,linear,time_decay(7 days),participation,markov(2),shapley}')) AS p FROM t.rows) q, cdp.attribution_totals(p) r$$,
  'replayed journeys give the totals of the pass');
SELECT is((SELECT sum(abs(r.conversions)) + sum(abs(r.value)) FROM (SELECT cdp.attribution_replay(j.journey, s, o) AS p FROM (SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(credits => true, models => '{first,linear,markov}')) AS a FROM t.rows) q,
       cdp.attribution_journeys(a) j, (SELECT cdp.attribution_options(models => '{first,linear,markov}') AS o) o, (VALUES (1), (-1)) v(s)) s, cdp.attribution_totals(p) r), 0::numeric, 'journeys added and taken away leave nothing');

-- ---- Round trips
CREATE TABLE t.kept AS SELECT cdp.attribution_pass(key, at, label, value, cdp.attribution_options(paths => true)) AS p FROM t.rows;
SELECT is(p::text::cdp.attribution_partial::text, p::text, 'text round trip') FROM t.kept;
-- The binary form goes out and in by COPY, through a file beside the server's data.
CREATE TABLE t.back (p cdp.attribution_partial);
DO $$ BEGIN
  EXECUTE format('COPY t.kept TO %L (FORMAT binary)', current_setting('data_directory') || '/twin_partial.bin');
  EXECUTE format('COPY t.back FROM %L (FORMAT binary)', current_setting('data_directory') || '/twin_partial.bin');
END $$;
SELECT is((SELECT p::text FROM t.back), (SELECT p::text FROM t.kept), 'binary round trip');
SELECT is((SELECT string_agg(r::text, '|') FROM t.kept, cdp.attribution_totals(p) r), (SELECT string_agg(r::text, '|') FROM t.kept, cdp.attribution_totals(p::text::cdp.attribution_partial) r), 'what was read back gives the same totals');
SELECT * FROM finish();
ROLLBACK;
