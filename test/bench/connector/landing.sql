-- Raw figures of landing_vs_insert: lines "name CPU-seconds", and "answer t" when both tables hold the same. Variables: pages, size, runs.
SET client_min_messages = error;
\set QUIET on
\o /dev/null
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SELECT cdp.add_source('bench'), cdp.add_connector('{"connector": "posts", "version": 1, "base_url": "https://posts.example", "tz": "UTC", "streams": {
  "days": {"path": "/days", "query": {"day": "$window.from"}, "window": {"unit": "day", "max_days": 1, "final_after_days": 2, "format": "date"},
    "cursor": {"send": "query.after", "take": "$.next"}, "records": "$.posts[*]", "key": ["day", "post"], "ref_date": {"path": "day", "format": "date"}, "not_ready": {"all_zero": true},
    "dimensions": {"post": "post", "channel": "channel"}, "metrics": {"views": "sum", "likes": "sum", "shares": "sum", "watched_s": "sum"}},
  "people": {"path": "/people", "query": {"day": "$window.from"}, "window": {"unit": "day", "max_days": 1, "final_after_days": 2, "format": "date"},
    "cursor": {"send": "query.after", "take": "$.next"}, "records": "$.posts[*]", "key": ["day", "post"], "ref_date": {"path": "day", "format": "date"}, "pii": ["post"]}}}'),
  cdp.create_connection('posts', 'posts', '{}', 'bench');
-- Ten pages a day, as bytes: what both sides begin with.
CREATE TABLE told (n integer PRIMARY KEY, day date, cursor jsonb, body bytea);
INSERT INTO told
SELECT p, date '2026-03-01' + p / 10, CASE WHEN p % 10 > 0 THEN to_jsonb('c' || p) END, convert_to(jsonb_build_object('errcode', 0, 'next', CASE WHEN p % 10 < 9 AND p < :pages - 1 THEN 'c' || p + 1 END,
  'posts', (SELECT jsonb_agg(jsonb_build_object('day', date '2026-03-01' + p / 10, 'post', 'v0300fg1000' || to_hex(hashint8extended(i + p % 10 * :size, 7)), 'channel', (ARRAY['video', 'live', 'image'])[1 + i % 3],
    'title', 'What to wear in week ' || i % 53, 'views', abs(hashint8extended(i, 1)) % 100000, 'likes', abs(hashint8extended(i, 2)) % 5000, 'shares', i % 40, 'watched_s', (abs(hashint8extended(i, 3)) % 1000000) / 100.0)) FROM generate_series(1, :size) i))::text, 'UTF8')
FROM generate_series(0, :pages - 1) p;
VACUUM ANALYZE told;
CREATE PROCEDURE land(stream text) LANGUAGE plpgsql AS $$
DECLARE
  t record;
  r record;
BEGIN
  FOR t IN SELECT * FROM told ORDER BY n LOOP
    SELECT * INTO r FROM cdp.ingest_page('posts', stream, t.body, NULL, t.day, t.day, t.cursor, fetched_at => timestamptz '2026-07-01 00:00+00' + make_interval(secs => t.n));
    IF r.verb <> 'ok' OR r.inserted <> r.records_read OR r.records_read = 0 THEN
      RAISE EXCEPTION 'page %: %', t.n, r;
    END IF;
    COMMIT;
  END LOOP;
END $$;
-- The peer's tables: the columns of cdp_data.raw_record with all its indexes, and with its key alone.
CREATE PROCEDURE empty() LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE cdp_data.raw_page, cdp_data.raw_record, cdp_data.raw_record_history, cdp_data.raw_refused, cdp_data.coverage, cdp_data.coverage_history, cdp_data.stream, cdp_data.stream_part;
  DROP TABLE IF EXISTS keyed, indexed;
  CREATE TABLE keyed (LIKE cdp_data.raw_record INCLUDING DEFAULTS, PRIMARY KEY (connection_id, stream_id, record_key));
  CREATE TABLE indexed (LIKE cdp_data.raw_record INCLUDING DEFAULTS INCLUDING INDEXES);
END $$;
CREATE FUNCTION fill(name text) RETURNS void LANGUAGE plpgsql SET jit = off AS $$
BEGIN
  EXECUTE format('INSERT INTO %I (connection_id, stream_id, record_key, source_id, part, ref_date, page_id, first_seen_at, changed_at, payload)
    SELECT 1, 1, jsonb_build_array(e -> ''day'', e -> ''post'')::text, 1, '''', (e ->> ''day'')::date, t.n, timestamptz ''2026-07-01'', timestamptz ''2026-07-01'', e
    FROM told t, jsonb_array_elements(convert_from(t.body, ''UTF8'')::jsonb -> ''posts'') e', name);
END $$;
-- One run of all sides, from empty tables: seconds of CPU of this session.
CREATE PROCEDURE run() LANGUAGE plpgsql AS $$
DECLARE
  at bigint;
  side text;
BEGIN
  CALL empty();
  COMMIT;
  at := bench_cpu();
  CALL land('days');
  RAISE INFO 'land %', (bench_cpu() - at) / 1e9;
  FOREACH side IN ARRAY '{indexed,keyed}'::text[] LOOP
    at := bench_cpu();
    PERFORM fill(side);
    COMMIT;
    RAISE INFO '% %', side, (bench_cpu() - at) / 1e9;
  END LOOP;
END $$;
CREATE FUNCTION sum_of(name regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  x text;
BEGIN
  EXECUTE format('SELECT count(*) || '' '' || sum(hashtextextended(concat_ws(''|'', record_key, ref_date, payload), 0)::numeric) FROM %s', name) INTO x;
  RETURN x;
END $$;
\o
