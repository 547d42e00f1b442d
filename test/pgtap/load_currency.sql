-- A refund that names no currency is in that of its order, whichever comes first, by whatever road: orders and refunds
-- come by batches, calls and messages, under any customer, are corrected, reverted and put in again at random; after
-- every step a plain query over what is in force says the currency of each.
SELECT plan(9);
SET client_min_messages = warning;
SELECT cdp.add_source('app') IS NOT NULL AS made;
SELECT setseed(0.37);
CREATE TABLE touches (source_key text, occurred_at timestamptz, kind text, identifier_type text DEFAULT 'user_id', identifier text, value numeric, currency text, refers_to text);
CREATE VIEW events AS SELECT source_key, occurred_at, kind, identifier AS user_id, value, currency, refers_to FROM touches;
CREATE TABLE wrong (step integer, what text, finding text, n bigint);
CREATE TABLE was AS SELECT touchpoint_id, value, currency FROM cdp_data.touchpoint;
CREATE TABLE fed AS SELECT 0::bigint AS seq;
CREATE TABLE taken (what text, n integer);

CREATE FUNCTION pg_temp.number(below integer) RETURNS integer LANGUAGE sql VOLATILE RETURN floor(random() * below)::integer;
CREATE FUNCTION pg_temp.at(month integer, day integer) RETURNS timestamptz LANGUAGE sql VOLATILE RETURN timestamptz '2026-01-01 00:00+00' + make_interval(months => month, days => day);
-- The value of a refund tells what it named: -1 nothing, -2 USD, -3 EUR. Some refunds take back refunds.
CREATE FUNCTION pg_temp.step() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  what integer := pg_temp.number(14);
  k integer := pg_temp.number(8);
  j integer := pg_temp.number(3);
  person text := 'u' || pg_temp.number(4);
  named integer := (ARRAY[1, 1, 1, 2, 3])[1 + pg_temp.number(5)];
  code text := (ARRAY[NULL, 'USD', 'EUR'])[1 + pg_temp.number(3)];
  refers text;
  id bigint;
BEGIN
  refers := CASE WHEN j = 2 THEN format('r%s_0', k) ELSE 'o' || k END;
  IF what = 0 THEN
    PERFORM cdp.track('app', 'order', jsonb_build_object('user_id', person), '{}', pg_temp.at(0, k), 'o' || k, 100, code);
    RETURN 'order by call';
  ELSIF what = 1 THEN
    PERFORM cdp.track('app', 'refund', jsonb_build_object('user_id', person), '{}', pg_temp.at(1, k), format('r%s_%s', k, j), -named, (ARRAY[NULL, 'USD', 'EUR'])[named], refers_to => refers);
    RETURN 'refund by call';
  ELSIF what IN (2, 12, 13) THEN
    PERFORM cdp.ingest('app', jsonb_build_object('type', 'track', 'event', 'Order Completed', 'messageId', 'm' || k, 'userId', person, 'timestamp', pg_temp.at(0, k),
      'properties', jsonb_strip_nulls(jsonb_build_object('order_id', 'o' || k, 'revenue', 100, 'currency', code))));
    RETURN 'order by message';
  ELSIF what = 3 THEN
    PERFORM cdp.ingest('app', jsonb_build_object('type', 'track', 'event', 'Order Refunded', 'messageId', format('r%s_%s', k, j), 'userId', person, 'timestamp', pg_temp.at(1, k),
      'properties', jsonb_strip_nulls(jsonb_build_object('order_id', refers, 'revenue', named, 'currency', (ARRAY[NULL, 'USD', 'EUR'])[named]))));
    RETURN 'refund by message';
  ELSIF what < 8 THEN
    TRUNCATE touches;
    INSERT INTO touches (source_key, occurred_at, kind, identifier, value, currency)
    SELECT 'o' || x.k, pg_temp.at(0, x.k), 'order', 'u' || pg_temp.number(4), CASE WHEN random() < 0.9 THEN 100 END, (ARRAY[NULL, 'USD', 'EUR'])[1 + pg_temp.number(3)]
    FROM (SELECT DISTINCT pg_temp.number(8) AS k FROM generate_series(1, pg_temp.number(3))) x;
    INSERT INTO touches (source_key, occurred_at, kind, identifier, value, currency, refers_to)
    SELECT format('r%s_%s', x.k, x.j), pg_temp.at(1, x.k), 'refund', 'u' || pg_temp.number(4), -x.named, (ARRAY[NULL, 'USD', 'EUR'])[x.named], CASE WHEN x.j = 2 THEN format('r%s_0', x.k) ELSE 'o' || x.k END
    FROM (SELECT DISTINCT ON (k, j) pg_temp.number(8) AS k, pg_temp.number(3) AS j, (ARRAY[1, 1, 1, 2, 3])[1 + pg_temp.number(5)] AS named FROM generate_series(1, pg_temp.number(4))) x;
    IF what < 6 THEN
      PERFORM cdp.load_touchpoints('app', 'public.touches');
      RETURN 'load of touchpoints';
    END IF;
    PERFORM cdp.load_events('app', 'public.events');
    RETURN 'load of events';
  END IF;
  SELECT l.load_id INTO id FROM cdp_data.load l ORDER BY random() LIMIT 1;
  IF (SELECT l.state FROM cdp_data.load l WHERE l.load_id = id) = 'done' THEN
    PERFORM cdp.revert_load(id);
    RETURN 'revert';
  ELSIF id IS NOT NULL THEN
    PERFORM cdp.retry_load(id);
  END IF;
  RETURN 'retry';
END $$;
CREATE FUNCTION pg_temp.look(step integer, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO wrong SELECT look.step, look.what, x.finding, x.n FROM (
    SELECT 'another currency than its order', count(*)
    FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint_key k USING (touchpoint_id)
      LEFT JOIN cdp_data.touchpoint_key q ON q.source_key = CASE WHEN k.source_key LIKE '%2' THEN rtrim(k.source_key, '2') || '0' ELSE 'o' || substring(k.source_key, '^r(\d+)') END
      LEFT JOIN cdp_data.touchpoint o ON o.touchpoint_id = q.touchpoint_id
    WHERE k.source_key LIKE 'r%' AND r.currency IS DISTINCT FROM CASE r.value WHEN -2 THEN 'USD' WHEN -3 THEN 'EUR'
      ELSE coalesce(CASE WHEN o.value IS DISTINCT FROM -1 THEN o.currency END, (SELECT s.currency FROM cdp_data.setting s)) END
    UNION ALL
    SELECT 'changed without a word to the feed', count(*)
    FROM cdp_data.touchpoint t LEFT JOIN was w USING (touchpoint_id)
    WHERE (t.currency, t.value) IS DISTINCT FROM (w.currency, w.value) AND NOT EXISTS (
      SELECT FROM cdp_data.change_feed f, fed WHERE f.seq > fed.seq AND f.customer_id = t.customer_id AND t.occurred_at BETWEEN f.occurred_from AND f.occurred_to)
    UNION ALL
    SELECT 'a version that is kept twice', count(*)
    FROM (SELECT FROM cdp_data.touchpoint_retracted t WHERE t.restored_at IS NULL GROUP BY t.touchpoint_id, t.load_id HAVING count(*) > 1) d
    UNION ALL
    SELECT 'a refund whose order is not there is not noted', count(*)
    FROM cdp_data.touchpoint r WHERE r.refers_to IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_key k WHERE k.touchpoint_id = r.refers_to)
      AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE (a.customer_id, a.touchpoint_id) = (r.customer_id, r.refers_to) AND r.occurred_at BETWEEN a.first_at AND a.last_at)
    ) x (finding, n)
  WHERE x.n > 0;
  INSERT INTO taken SELECT look.what, count(*) FROM cdp_data.touchpoint t JOIN was w USING (touchpoint_id, value) WHERE t.currency <> w.currency AND t.value = -1;
  DELETE FROM was;
  INSERT INTO was SELECT t.touchpoint_id, t.value, t.currency FROM cdp_data.touchpoint t;
  UPDATE fed SET seq = (SELECT max(f.seq) FROM cdp_data.change_feed f);
END $$;
CREATE PROCEDURE pg_temp.steps(n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    PERFORM pg_temp.look(i, pg_temp.step());
    COMMIT;
  END LOOP;
END $$;
CALL pg_temp.steps(300);
SELECT is((SELECT string_agg(concat_ws(' ', w.step, w.what, w.finding, w.n), E'\n' ORDER BY w.step) FROM (SELECT * FROM wrong x ORDER BY x.step LIMIT 5) w), NULL, 'a refund is in its order''s currency after every step');
SELECT is((SELECT string_agg(DISTINCT t.what, ', ' ORDER BY t.what) FROM taken t WHERE t.n > 0 AND t.what !~ 'refund'), 'load of events, load of touchpoints, order by call, order by message, retry, revert', 'and followed it on every road');
SELECT is((SELECT count(*) FROM cdp_data.quarantine), 0::bigint, 'nothing was refused');

-- By hand: what it had is kept, and money of a batch that came again is no correction.
SELECT is((SELECT status FROM cdp.track('app', 'refund', '{"user_id": "x"}', '{}', '2026-03-01', 'x1', -5, refers_to => 'x0')), 'written', 'a refund');
SELECT is((SELECT status FROM cdp.track('app', 'order', '{"user_id": "y"}', '{}', '2026-02-28', 'x0', 9, 'EUR')), 'written', 'and its order');
SELECT is((SELECT (t.currency, r.currency, r.restored_at = r.retracted_at)::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_retracted r USING (touchpoint_id) WHERE r.source_key = 'x1'),
  format('(EUR,%s,t)', (SELECT s.currency FROM cdp_data.setting s)), 'what it had is kept');
TRUNCATE touches;
INSERT INTO touches VALUES ('x1', '2026-03-01', 'refund', 'user_id', 'x', -5, NULL, 'x0');
SELECT is((SELECT (inserted, corrected, unchanged)::text FROM cdp.load_touchpoints('app', 'touches')), '(0,0,1)', 'a batch finds what the call wrote');
UPDATE touches SET currency = 'EUR';
SELECT is((SELECT (inserted, corrected, unchanged)::text FROM cdp.load_touchpoints('app', 'touches')), '(0,1,0)', 'one that names the currency does not follow any more');
SELECT throws_ok($$SELECT cdp.track('app', 'refund', '{"user_id": "x"}', flags => -1)$$, '22023', NULL, 'nobody else sets the sign');
SELECT * FROM finish();
