-- Refunds and their orders come by calls and by loads, in any order and under any customer, loads are taken back and put
-- in again, links are taken apart: after every step each refund refers to its order, reports know whose that is, and each
-- key leads to its touchpoint.
SELECT plan(4);
SET client_min_messages = warning;
SELECT cdp.add_source('app') IS NOT NULL AS made;
SELECT setseed(0.71);
CREATE TABLE staging (source_key text, occurred_at timestamptz, kind text, user_id text, cookie text, value numeric, refers_to text);
CREATE TABLE wrong (step integer, what text, finding text, n bigint);

CREATE FUNCTION pg_temp.number(below integer) RETURNS integer LANGUAGE sql VOLATILE RETURN floor(random() * below)::integer;
CREATE FUNCTION pg_temp.at(month integer, day integer) RETURNS timestamptz LANGUAGE sql VOLATILE RETURN timestamptz '2026-01-01 00:00+00' + make_interval(months => month, days => day);
CREATE FUNCTION pg_temp.step() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what integer := pg_temp.number(10);
  k integer := pg_temp.number(30);
  id bigint;
BEGIN
  IF what < 3 THEN
    PERFORM cdp.track('app', 'order', jsonb_build_object('user_id', 'u' || pg_temp.number(6)), '{}', pg_temp.at(0, k), 'o' || k, 100);
    RETURN 'order by call';
  ELSIF what < 5 THEN
    PERFORM cdp.track('app', 'refund', jsonb_build_object('user_id', 'u' || pg_temp.number(6)), '{}', pg_temp.at(1, k), 'r' || k || '_' || pg_temp.number(3), -1, refers_to => 'o' || k);
    RETURN 'refund by call';
  ELSIF what < 7 THEN
    TRUNCATE staging;
    INSERT INTO staging SELECT DISTINCT ON (x.k) 'o' || x.k, pg_temp.at(0, x.k), 'order', 'u' || pg_temp.number(6), CASE WHEN random() < 0.3 THEN 'c' || pg_temp.number(6) END, 90 + pg_temp.number(3)
    FROM (SELECT pg_temp.number(30) AS k FROM generate_series(1, 3)) x;
    INSERT INTO staging SELECT DISTINCT ON (x.k) 'r' || x.k || '_' || pg_temp.number(3), pg_temp.at(1, x.k), 'refund', 'u' || pg_temp.number(6), CASE WHEN random() < 0.3 THEN 'c' || pg_temp.number(6) END, -1, 'o' || x.k
    FROM (SELECT pg_temp.number(30) AS k FROM generate_series(1, 3)) x;
    PERFORM cdp.load_events('app', 'public.staging');
    RETURN 'load';
  ELSIF what = 7 THEN
    SELECT l.link_id INTO id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot' ORDER BY random() LIMIT 1;
    PERFORM cdp.unmerge(link => id) WHERE id IS NOT NULL;
    RETURN 'unmerge';
  END IF;
  SELECT l.load_id INTO id FROM cdp_data.load l ORDER BY random() LIMIT 1;
  IF (SELECT l.state FROM cdp_data.load l WHERE l.load_id = id) = 'done' THEN
    PERFORM cdp.revert_load(id);
    RETURN 'revert';
  ELSIF id IS NOT NULL THEN
    PERFORM cdp.retry_load(id);
  END IF;
  RETURN 'retry';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RETURN 'nothing to do';
END $$;
CREATE FUNCTION pg_temp.look(step integer, what text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO wrong SELECT look.step, look.what, x.finding, x.n FROM (
    SELECT 'a refund does not refer to its order', count(*) FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint_key k USING (touchpoint_id)
      LEFT JOIN cdp_data.touchpoint_key o ON o.source_key = 'o' || substring(k.source_key, '^r(\d+)')
    WHERE k.source_key LIKE 'r%' AND (r.refers_to IS NULL OR r.refers_to <> o.touchpoint_id)
    UNION ALL
    SELECT 'whose the order is', count(*) FROM cdp_data.touchpoint_awaited a LEFT JOIN cdp_data.touchpoint_key k ON k.source_key = a.source_key WHERE a.owner_id IS DISTINCT FROM k.customer_id
    UNION ALL
    SELECT 'a reference across customers is not noted', count(*) FROM cdp_data.touchpoint r LEFT JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = r.refers_to
    WHERE r.refers_to IS NOT NULL AND k.customer_id IS DISTINCT FROM r.customer_id AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_awaited a
      WHERE a.customer_id = r.customer_id AND a.touchpoint_id = r.refers_to AND r.occurred_at BETWEEN a.first_at AND a.last_at)
    UNION ALL
    SELECT 'a key without touchpoint, or one without a key', count(*) FROM cdp_data.touchpoint t FULL JOIN cdp_data.touchpoint_key k USING (customer_id, occurred_at, touchpoint_id)
    WHERE t.kind_id IS NULL OR k.source_key IS NULL) x (finding, n)
  WHERE x.n > 0
$$;
CREATE PROCEDURE pg_temp.steps(n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    PERFORM pg_temp.look(i, pg_temp.step());
    COMMIT;
  END LOOP;
END $$;
CALL pg_temp.steps(120);
SELECT is((SELECT string_agg(concat_ws(' ', w.step, w.what, w.finding, w.n), E'\n' ORDER BY w.step) FROM (SELECT * FROM wrong x ORDER BY x.step LIMIT 5) w), NULL, 'references hold after every step');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.touchpoint_awaited a WHERE a.owner_id <> a.customer_id), '>', 10::bigint, 'many cross customers');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.touchpoint_awaited a WHERE a.owner_id IS NULL), '>', 0::bigint, 'some wait for their order');
SELECT ok((SELECT count(*) FILTER (WHERE l.state = 'reverted') > 3 AND count(*) FILTER (WHERE l.state = 'done') > 3 FROM cdp_data.load l)
  AND (SELECT count(*) FROM cdp_data.merge_log m WHERE m.kind IN ('split', 'move')) > 0, 'and the steps did something');
SELECT * FROM finish();
