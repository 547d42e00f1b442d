-- Many messages at one go are written and refused as each of them alone: random calls over customers with and without consent,
-- merged, moved, erased and unknown, destinations of all sorts, payloads good and bad, keys that repeat.
BEGIN;
SELECT plan(13);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.track('shop', 'visit', jsonb_build_object('email', 'p' || i || '@example.org'))) FROM generate_series(1, 60) i;
CREATE TEMP TABLE who AS SELECT i.customer_id, i.identifier_id, substring(i.value FROM '^p(\d+)@')::int AS i FROM cdp_data.identifier i;
SELECT setseed(0.3);
SELECT count(cdp.record_consent('shop', (ARRAY['marketing', 'analytics', 'personalisation'])[1 + k % 3], CASE WHEN random() < 0.6 THEN 'granted' ELSE 'withdrawn' END,
  jsonb_build_object('email', 'p' || 1 + floor(random() * 60)::int || '@example.org'), channel => (ARRAY['', 'email', 'sms'])[1 + floor(random() * 3)::int])) FROM generate_series(1, 150) k;
SELECT count(cdp.alias('shop', jsonb_build_object('email', 'p' || i || '@example.org'), jsonb_build_object('email', 'p' || i + 1 || '@example.org'))) FROM generate_series(1, 20, 4) i;
SELECT count(*) FROM (SELECT m.merge_id FROM cdp_data.merge_log m WHERE m.kind = 'merge' ORDER BY 1 LIMIT 1) m CROSS JOIN LATERAL cdp.unmerge(merge => m.merge_id) u;
SELECT count(cdp.erase_customer(w.customer_id, 'delete')) FROM who w WHERE w.i IN (41, 42, 43);
SELECT cdp.allow_purposes('attribute', 'birthday', '{service}', sensitivity => 'sensitive');
SELECT cdp.add_destination('off', 'service'), cdp.add_destination('mail', 'marketing', 'email', '{city,country}'), cdp.add_destination('all', 'marketing'),
  cdp.add_destination('site', 'personalisation', 'sms'), cdp.add_destination('gated', 'service'), cdp.add_destination('orders', 'service', attributes => '{birthday}');
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('none', NULL), ('odd', 'nothing known');
SELECT cdp.set_gate('closed', 'freshness', 'shop', max_age => '1 day', destination => 'gated');
UPDATE cdp_data.activation_gate SET state = 'closed', detail = 'for the test';

CREATE FUNCTION pg_temp.one(d text, k text, customers bigint[], payloads jsonb[], keys text[]) RETURNS TABLE (n int, written boolean, refusal text, rows jsonb) LANGUAGE plpgsql AS $$
DECLARE reasons text[] := '{}'; done boolean[] := '{}'; seen jsonb; last_id bigint := (SELECT coalesce(max(outbox_id), 0) FROM cdp_data.outbox);
BEGIN
  BEGIN
    FOR i IN 1 .. cardinality(customers) LOOP
      reasons[i] := cdp.outbox_refusal(d, k, customers[i], payloads[i]);
      done[i] := cdp.outbox_put(d, k, payloads[i], keys[i], customers[i], '2030-01-01') IS NOT NULL;
    END LOOP;
    seen := (SELECT jsonb_agg(to_jsonb(o) - 'outbox_id' ORDER BY o.outbox_id) FROM cdp_data.outbox o WHERE o.outbox_id > last_id);
    RAISE EXCEPTION USING ERRCODE = 'CDPTB';
  EXCEPTION WHEN SQLSTATE 'CDPTB' THEN NULL;
  END;
  RETURN QUERY SELECT i, done[i], reasons[i], CASE WHEN i = 1 THEN seen END FROM generate_series(1, cardinality(customers)) i;
END $$;
CREATE FUNCTION pg_temp.many(d text, k text, customers bigint[], payloads jsonb[], keys text[]) RETURNS TABLE (n int, written boolean, refusal text, rows jsonb) LANGUAGE plpgsql AS $$
DECLARE reasons text[]; done boolean[]; seen jsonb; last_id bigint := (SELECT coalesce(max(outbox_id), 0) FROM cdp_data.outbox);
BEGIN
  BEGIN
    SELECT array_agg(m.refusal ORDER BY m.n), array_agg(m.outbox_id IS NOT NULL ORDER BY m.n) INTO reasons, done FROM cdp_internal.outbox_put_many(d, k, customers, payloads, keys, '2030-01-01') m;
    seen := (SELECT jsonb_agg(to_jsonb(o) - 'outbox_id' ORDER BY o.outbox_id) FROM cdp_data.outbox o WHERE o.outbox_id > last_id);
    RAISE EXCEPTION USING ERRCODE = 'CDPTB';
  EXCEPTION WHEN SQLSTATE 'CDPTB' THEN NULL;
  END;
  RETURN QUERY SELECT i, done[i], reasons[i], CASE WHEN i = 1 THEN seen END FROM generate_series(1, cardinality(customers)) i;
END $$;

SELECT cdp.outbox_put('off', 'offer', '{"first": true}', 'k3'), cdp.outbox_put('mail', 'erase', '{"first": true}', 'k4');
SELECT setseed(0.5);
CREATE TEMP TABLE call AS
SELECT c.call, (ARRAY['off', 'mail', 'all', 'site', 'gated', 'none', 'odd', 'orders'])[1 + c.call % 8] AS d, CASE WHEN random() < 0.8 THEN 'offer' ELSE 'erase' END AS k, m.customers, m.payloads, m.keys
FROM generate_series(1, 56) AS c (call) CROSS JOIN LATERAL (
  SELECT array_agg(x.customer) AS customers, array_agg(x.payload) AS payloads, array_agg(x.key) AS keys
  FROM (
    SELECT CASE WHEN random() < 0.1 THEN NULL WHEN random() < 0.05 THEN 4000000 + floor(random() * 9) ELSE (SELECT w.customer_id FROM who w WHERE w.i = 1 + (nth * 7 + c.call * 13) % 60) END::bigint AS customer,
      (ARRAY['{}', '{"attributes": null}', '{"attributes": {"city": "Xian"}, "n": 1}', '{"attributes": {"country": "CN", "birthday": "1990-01-01"}}', '{"attributes": [1]}', '{"attributes": {"a/b": 1}}', '{"n": 2}'])[1 + floor(random() * 7)::int]::jsonb AS payload,
      CASE WHEN random() < 0.3 THEN NULL ELSE 'k' || floor(random() * 30)::int END AS key
    FROM generate_series(1, CASE c.call WHEN 9 THEN 1001 ELSE c.call % 17 + 1 END) nth) x) m;
CREATE TEMP TABLE told AS
SELECT c.call, x.n, x.written, x.many_written, x.refusal, x.many_refusal, x.rows, x.many_rows
FROM call c CROSS JOIN LATERAL ROWS FROM (pg_temp.one(c.d, c.k, c.customers, c.payloads, c.keys), pg_temp.many(c.d, c.k, c.customers, c.payloads, c.keys))
  AS x (n, written, refusal, rows, many_n, many_written, many_refusal, many_rows);

SELECT is((SELECT count(*) FROM told t), (SELECT sum(cardinality(c.customers))::bigint FROM call c), 'a row for each message');
SELECT is_empty($$SELECT t.call, t.n, t.refusal, t.many_refusal FROM told t WHERE t.refusal IS DISTINCT FROM t.many_refusal LIMIT 5$$, 'refused for the same reason');
SELECT is_empty($$SELECT t.call, t.n, t.written, t.many_written FROM told t WHERE t.written <> t.many_written LIMIT 5$$, 'written where it alone is');
SELECT is_empty($$SELECT t.call, t.rows, t.many_rows FROM told t WHERE t.n = 1 AND t.rows IS DISTINCT FROM t.many_rows LIMIT 1$$, 'as the same rows in the same order');
SELECT set_eq($$SELECT DISTINCT CASE WHEN t.refusal IS NULL AND NOT t.written THEN 'repeated' WHEN t.refusal IS NULL THEN 'written' ELSE regexp_replace(t.refusal, '\d+', '#', 'g') END FROM told t$$,
  ARRAY['written', 'repeated', 'no consent of customer # to marketing by email', 'no consent of customer # to marketing', 'no consent of customer # to personalisation by sms',
    'it names no customer whose consent to marketing could be asked', 'it names no customer whose consent to personalisation could be asked', 'the destination has no purpose; name one in cdp_data.destination.purpose',
    'the destination''s purpose "nothing known" is unknown', 'gate "closed" is closed: for the test', 'customer # was erased: receipt #', 'attributes at /attributes are no object of names and values',
    'attribute at /attributes/birthday is not declared for the destination', 'attribute at /attributes/a~#b is not declared for the destination', 'attribute at /attributes/city is not declared for the destination',
    'attribute at /attributes/country is not declared for the destination', 'attribute at /attributes/birthday may not be used for marketing', 'attribute at /attributes/birthday may not be used for personalisation'], 'of every sort');
SELECT cmp_ok((SELECT count(*) FROM told t WHERE t.written), '>', 100::bigint, 'many were written');
SELECT results_eq($$SELECT cdp_internal.room_functions('outbox_refusals_of_', 4)$$, $$SELECT replace(f, 'refusal_of', 'refusals_of') FROM cdp_internal.room_functions('outbox_refusal_of_', 4) f ORDER BY 1$$, 'who refuses one refuses many');
SELECT is_empty($$SELECT * FROM cdp_internal.outbox_put_many('off', 'offer', '{}', '{}', '{}')$$, 'no messages');
SELECT outbox_id AS written FROM cdp_internal.outbox_put_many('off', 'offer', '{NULL}', '{"{}"}', '{NULL}') \gset
SELECT is((SELECT o.next_attempt_at = now() FROM cdp_data.outbox o WHERE o.outbox_id = :written), true, 'at once, when nothing else is said');
SELECT throws_ok($$SELECT * FROM cdp_internal.outbox_put_many('of', 'offer', '{}', '{}', '{}')$$, '23503', 'unknown destination "of"', 'an unknown destination');
SELECT throws_ok($$SELECT * FROM cdp_internal.outbox_put_many('off', 'offer', '{1}', '{}', '{}')$$, '22023', 'customers, payloads and dedup_keys must be as many', 'arrays that do not fit');
SELECT throws_ok($$SELECT * FROM cdp_internal.outbox_put_many('off', 'offer', NULL, '{}', '{}')$$, '22023', NULL, 'one that is missing');
SELECT throws_ok($$SELECT * FROM cdp_internal.outbox_put_many('off', 'offer', '{NULL}', '{NULL}', '{NULL}')$$, '23502', NULL, 'a payload that is missing');
SELECT * FROM finish();
ROLLBACK;
