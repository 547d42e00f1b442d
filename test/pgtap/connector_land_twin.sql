-- Landing against a slow twin that goes record by record and day by day: random pages with repeats, changes, zeros, late ones.
SELECT plan(9);
SET client_min_messages = error;
SET timezone = 'Pacific/Auckland';
SELECT cdp.add_source('oa'), cdp.create_connection('oa', 'wechat_oa', '{"appid": "wx1"}', 'oa') \g /dev/null
SELECT setseed(0.4711) \g /dev/null
CREATE TABLE told AS
SELECT row_number() OVER (ORDER BY w.at + CASE WHEN random() < 0.15 THEN random() * 5 ELSE 0 END * interval '1 day', w.i) AS nth, w.i, w.day, w.len, w.at, w.list
FROM (
  SELECT p.i, p.day, p.len, p.at, (SELECT coalesce(jsonb_agg(jsonb_build_object('ref_date', p.day + d, 'user_source', s, 'new_user', CASE WHEN p.mood < 0.4 THEN 0 ELSE floor(random() * 3)::integer END, 'cancel_user', CASE WHEN p.mood < 0.4 OR random() < 0.5 THEN 0 ELSE 1 END)
      ORDER BY d, s, x), '[]') FROM generate_series(0, p.len - 1) d, generate_series(0, 1) s, generate_series(1, CASE WHEN random() < 0.1 THEN 2 ELSE 1 END) x WHERE random() < 0.9) AS list
  FROM (
    SELECT v.i, v.day, v.len, ((v.day + v.len)::timestamp + make_interval(mins => floor(random() * 10 * 1440)::integer - 1440)) AT TIME ZONE 'Asia/Shanghai' AS at, random() AS mood
    FROM (SELECT i, date '2026-01-01' + floor(random() * 70)::integer AS day, 1 + floor(random() * 7)::integer AS len FROM generate_series(1, 350) i) v) p) w;
-- Some are told twice, and some again within the hour or after it.
INSERT INTO told SELECT t.nth + floor(random() * 20)::integer, 1000 + t.i, t.day, t.len, t.at, t.list FROM told t WHERE random() < 0.15;
INSERT INTO told SELECT t.nth + 1, 2000 + t.i, t.day, t.len, t.at + make_interval(mins => 20 + floor(random() * 80)::integer), t.list FROM told t WHERE random() < 0.25;

CREATE TABLE rec (key text PRIMARY KEY, day date, value jsonb, rev integer, at timestamptz, page integer, zero boolean, zero_at timestamptz, gone timestamptz);
CREATE TABLE past (key text, rev integer, value jsonb, gone timestamptz);
CREATE TABLE newest (day date PRIMARY KEY, at timestamptz);
CREATE TABLE cov (day date PRIMARY KEY, state text, n bigint, nonzero bigint, pulls integer, zero_at timestamptz, final_at timestamptz, restated_at timestamptz);
CREATE TABLE steps (day date, was text, now text, restated boolean);
CREATE FUNCTION pg_temp.twin() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t record; r rec; c cov; e jsonb; k text; d date; late boolean; seen text[] := '{}'; mark text; z boolean; ready timestamptz; moved integer[]; n integer; nz integer; m integer; usual numeric[]; u double precision; doubt boolean; state text; restated boolean; keys text[];
BEGIN
  FOR t IN SELECT * FROM told ORDER BY nth, i LOOP
    mark := concat_ws('|', t.day, t.len, t.at, t.list);
    CONTINUE WHEN mark = ANY (seen);
    seen := seen || mark;
    moved := array_fill(0, ARRAY[t.len]);
    keys := '{}';
    FOR i IN REVERSE jsonb_array_length(t.list) - 1 .. 0 LOOP
      e := t.list -> i;
      k := format('["%s", "%s"]', e ->> 'ref_date', e ->> 'user_source');
      CONTINUE WHEN k = ANY (keys);
      keys := keys || k;
      d := (e ->> 'ref_date')::date;
      late := coalesce(t.at < (SELECT at FROM newest WHERE day = d), false);
      z := (e ->> 'new_user')::integer = 0 AND (e ->> 'cancel_user')::integer = 0;
      ready := (d + 1 + time '08:00') AT TIME ZONE 'Asia/Shanghai';
      SELECT * INTO r FROM rec WHERE key = k;
      IF NOT FOUND THEN
        INSERT INTO rec VALUES (k, d, e, 1, t.at, t.i, z, NULL, NULL);
        moved[d - t.day + 1] := moved[d - t.day + 1] + 1;
      ELSIF r.value = e AND r.gone IS NULL THEN
        IF NOT late THEN UPDATE rec SET zero_at = NULL WHERE key = k; END IF;
      ELSIF late OR t.at < r.at THEN
        NULL;
      ELSIF r.gone IS NULL AND z AND NOT r.zero AND NOT (r.zero_at IS NOT NULL AND t.at - r.zero_at >= interval '1 hour' AND t.at >= ready) THEN
        IF r.zero_at IS NULL AND t.at >= ready THEN UPDATE rec SET zero_at = t.at WHERE key = k; END IF;
      ELSE
        INSERT INTO past VALUES (k, r.rev, r.value, r.gone);
        UPDATE rec SET value = e, rev = rev + 1, at = t.at, page = t.i, zero = z, zero_at = NULL, gone = NULL WHERE key = k;
        moved[d - t.day + 1] := moved[d - t.day + 1] + 1;
      END IF;
    END LOOP;
    FOR i IN 0 .. t.len - 1 LOOP
      d := t.day + i;
      -- Of a day about which a newer page has come, an older one says nothing more.
      CONTINUE WHEN t.at < (SELECT at FROM newest WHERE day = d);
      INSERT INTO newest VALUES (d, t.at) ON CONFLICT (day) DO UPDATE SET at = excluded.at;
      n := (SELECT count(DISTINCT x ->> 'user_source') FROM jsonb_array_elements(t.list) x WHERE (x ->> 'ref_date')::date = d);
      -- Of a source that comes twice the last one counts.
      nz := (SELECT count(*) FROM (SELECT DISTINCT ON (x ->> 'user_source') x FROM jsonb_array_elements(t.list) WITH ORDINALITY y (x, o) WHERE (x ->> 'ref_date')::date = d ORDER BY x ->> 'user_source', o DESC) z
        WHERE (x ->> 'new_user')::integer <> 0 OR (x ->> 'cancel_user')::integer <> 0);
      ready := (d + 1 + time '08:00') AT TIME ZONE 'Asia/Shanghai';
      SELECT * INTO c FROM cov WHERE day = d;
      usual := '{}';
      FOR w IN 1 .. 8 LOOP
        usual := usual || ARRAY(SELECT x.nonzero FROM cov x WHERE x.day = d - 7 * w AND x.state = 'final')::numeric[];
      END LOOP;
      usual := ARRAY(SELECT v FROM unnest(usual) v ORDER BY v);
      m := cardinality(usual);
      u := CASE WHEN m < 2 THEN 0 WHEN m % 2 = 1 THEN usual[(m + 1) / 2] ELSE (usual[m / 2] + usual[m / 2 + 1]) / 2 END;
      doubt := nz = 0 AND (coalesce(c.nonzero, 0) > 0 OR u > 0) AND t.at >= (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' AND NOT (c.zero_at IS NOT NULL AND t.at >= ready AND t.at - c.zero_at >= interval '1 hour');
      IF t.at < (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' AND nz = 0 THEN state := CASE WHEN coalesce(c.nonzero, 0) > 0 THEN c.state ELSE 'missing' END;
      ELSIF doubt THEN state := 'suspect_zero';
      ELSIF t.at >= (d + 4 + time '08:00') AT TIME ZONE 'Asia/Shanghai' THEN state := 'final';
      ELSE state := 'provisional'; END IF;
      IF nz = 0 AND coalesce(c.nonzero, 0) > 0 AND (doubt OR t.at < (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai') THEN n := c.n; END IF;
      IF state IN ('provisional', 'final') AND n = (SELECT count(DISTINCT x ->> 'user_source') FROM jsonb_array_elements(t.list) x WHERE (x ->> 'ref_date')::date = d) THEN
        FOR r IN SELECT * FROM rec WHERE day = d AND gone IS NULL AND key <> ALL (keys) AND at <= t.at LOOP
          INSERT INTO past VALUES (r.key, r.rev, r.value, NULL);
          UPDATE rec SET rev = rev + 1, at = t.at, page = t.i, zero_at = NULL, gone = t.at WHERE key = r.key;
        END LOOP;
      END IF;
      restated := coalesce(c.state = 'final' AND (n <> c.n OR moved[i + 1] > 0) AND state <> 'suspect_zero', false);
      IF c.day IS NOT NULL AND (c.state <> state OR c.n <> n OR restated) THEN INSERT INTO steps VALUES (d, c.state, state, restated); END IF;
      DELETE FROM cov WHERE day = d;
      INSERT INTO cov VALUES (d, state, n, CASE WHEN nz = 0 AND (doubt OR t.at < (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai') THEN coalesce(c.nonzero, 0) ELSE nz END, coalesce(c.pulls, 0) + 1,
        CASE WHEN nz > 0 OR t.at < ready THEN NULL ELSE coalesce(c.zero_at, t.at) END, CASE state WHEN 'final' THEN coalesce(c.final_at, t.at) END, CASE WHEN restated THEN t.at ELSE c.restated_at END);
    END LOOP;
  END LOOP;
END $$;
SELECT pg_temp.twin() \g /dev/null
SELECT count(r.page_id) FROM (SELECT * FROM told ORDER BY nth, i OFFSET 0) t,
  LATERAL cdp.ingest_page('oa', 'user_summary', convert_to(jsonb_build_object('list', t.list)::text, 'UTF8'), NULL, t.day, t.day + t.len - 1, fetched_at => t.at) r \g /dev/null
SELECT set_eq('SELECT record_key, payload, revision, changed_at, is_zero, zero_at, gone_at FROM cdp_data.raw_record', 'SELECT key, value, rev, at, zero, zero_at, gone FROM rec', 'records, revisions, doubts, and what is gone');
SELECT set_eq('SELECT record_key, revision, payload, gone_at FROM cdp_data.raw_record_history', 'SELECT * FROM past', 'all that records said before');
SELECT set_eq('SELECT day, state, records, nonzero, pulls, zero_at, final_at, restated_at FROM cdp_data.coverage', 'SELECT * FROM cov', 'days');
SELECT bag_eq('SELECT day, from_state, to_state, restated FROM cdp_data.coverage_history', 'SELECT * FROM steps', 'and how they came to that');
SELECT cmp_ok((SELECT least((SELECT count(*) FROM past), (SELECT count(*) FROM steps WHERE restated) * 20, (SELECT count(*) FROM steps WHERE now = 'suspect_zero') * 20, (SELECT count(DISTINCT state) FROM cov) * 50,
  (SELECT count(*) FROM past WHERE gone IS NOT NULL) * 5, (SELECT count(*) FROM rec WHERE gone IS NOT NULL) * 10)), '>=', 100::bigint, 'the pages have changes, restatements, doubts, and records that go and come back');
SELECT is((SELECT count(*) FROM cdp_data.coverage c JOIN cdp_data.raw_page p ON p.page_id = c.page_id WHERE c.pulled_at IS DISTINCT FROM p.fetched_at), 0::bigint, 'each day is told by the newest whole pull');
-- Replaying everything changes nothing, in whatever order.
CREATE TABLE before AS SELECT * FROM cdp_data.raw_record;
CREATE TABLE days_before AS SELECT * FROM cdp_data.coverage;
CREATE TABLE counts_before AS SELECT (SELECT count(*) FROM cdp_data.raw_record_history) AS a, (SELECT count(*) FROM cdp_data.coverage_history) AS b;
SELECT count(r.verb) FROM (SELECT page_id FROM cdp_data.raw_page ORDER BY page_id OFFSET 0) p, LATERAL cdp.replay_page(p.page_id) r \g /dev/null
SELECT count(r.verb) FROM (SELECT page_id FROM cdp_data.raw_page WHERE page_id % 2 = 0 ORDER BY md5(page_id::text) OFFSET 0) p, LATERAL cdp.replay_page(p.page_id) r \g /dev/null
SELECT set_eq('SELECT * FROM cdp_data.raw_record', 'SELECT * FROM before', 'all pages replayed: records stay');
SELECT set_eq('SELECT * FROM cdp_data.coverage', 'SELECT * FROM days_before', 'days as well');
SELECT is((SELECT ((SELECT count(*) FROM cdp_data.raw_record_history), (SELECT count(*) FROM cdp_data.coverage_history))::text), (SELECT (a, b)::text FROM counts_before), 'and nothing is added to what was before');
SELECT * FROM finish();
