-- Rings among all accounts: components with a hub cap, cores, dense blocks over conversions, clicks and observations; as of a
-- moment, on merged identities; the score reads the last run that is not after its moment.
BEGIN;
SELECT plan(11);
SET LOCAL client_min_messages = error;
\ir referral_fraud.inc
-- Six accounts of one hand: two cards, a device and an address among them, each of three or more.
CREATE TEMP TABLE gang AS SELECT i, pg_temp.person() AS id FROM generate_series(1, 6) i;
SELECT pg_temp.conversion(id, '2026-02-01', jsonb_build_object('device', 'd' || i % 2, 'payment', 'p' || i % 2, 'address', 'a')) FROM gang \g /dev/null
SELECT pg_temp.conversion(id, '2026-02-02', jsonb_build_object('device', 'd' || (i + 1) % 2)) FROM gang \g /dev/null
-- An office of twelve behind one address; a couple with one address; somebody alone.
CREATE TEMP TABLE office AS SELECT i, pg_temp.person() AS id FROM generate_series(1, 12) i;
SELECT pg_temp.conversion(id, '2026-02-01', jsonb_build_object('device', 'own' || i, 'address', 'office')) FROM office \g /dev/null
CREATE TEMP TABLE couple AS SELECT i, pg_temp.person() AS id FROM generate_series(1, 2) i;
SELECT pg_temp.conversion(id, '2026-02-01', '{"address": "home"}') FROM couple \g /dev/null
SELECT pg_temp.conversion(pg_temp.person(), '2026-02-01', '{"device": "alone"}') \g /dev/null

-- Programs, and clicks that were taken back, make no ring.
SELECT pg_temp.click((SELECT min(id) FROM couple), (SELECT id FROM office WHERE i = n), '2026-02-03', '{"device": "robot"}') FROM generate_series(1, 4) n \g /dev/null
UPDATE cdp_data.referral_click SET bot = customer_id % 2 = 0, retracted_at = CASE WHEN customer_id % 2 = 1 THEN timestamptz '2026-02-04' END;
SELECT is(cdp.find_fraud_rings('2026-03-01'), 8::bigint, 'six of one hand and a couple');
CREATE FUNCTION pg_temp.ring(who bigint) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws('/', component_size, core, dense) FROM cdp_data.fraud_ring WHERE customer_id = who ORDER BY fraud_ring_run_id DESC LIMIT 1 $$;
SELECT is((SELECT string_agg(DISTINCT pg_temp.ring(id), ' ') FROM gang), '6/3/t', 'six that hang together, each with attributes that three or more share, a dense block');
SELECT is((SELECT string_agg(DISTINCT pg_temp.ring(id), ' ') FROM couple), '2/1/f', 'a couple is no block');
SELECT is((SELECT string_agg(DISTINCT pg_temp.ring(id), ' ') FROM office), NULL, 'an address of twelve links nobody');
SELECT is((SELECT concat_ws(' ', accounts, edges, as_of) FROM cdp_data.fraud_ring_run), '21 51 2026-03-01 00:00:00+00', 'the run says what it looked at');
-- Before anything happened.
SELECT is(cdp.find_fraud_rings('2026-01-15'), 0::bigint, 'as of an earlier moment there was nothing');
-- The score reads the last run that is not after it.
CREATE TEMP TABLE r AS SELECT pg_temp.refer(pg_temp.person(), (SELECT id FROM gang WHERE i = 1), '2026-02-05') AS id;
SELECT matches((SELECT pg_temp.codes(id) FROM r), 'ring.component.*ring.core.*ring.dense', 'the score of a referral tells the ring');
SELECT is((SELECT (cdp.fraud_score(id, '2026-06-01')).decision = 'reject' FROM r), false, 'and does not reject on it alone');
-- Searches are thrown away whole: a score as of then does not take its ignorance for innocence.
UPDATE cdp_data.fraud_ring_run SET made_at = now() - interval '100 days' WHERE as_of < '2026-03-01';
UPDATE cdp_data.fraud_ring_run SET as_of = '2026-02-10', made_at = now() - interval '100 days' WHERE as_of = '2026-03-01';
SELECT cdp.find_fraud_rings('2026-04-01') \g /dev/null
SELECT is((SELECT 'ring.component' = ANY ((cdp.fraud_score(id, '2026-03-01')).degraded) FROM r), false, 'there is a search of before');
CALL cdp_internal.maintain_room_referral_fraud();
SELECT is((SELECT ('ring.component' = ANY ((cdp.fraud_score(id, '2026-03-01')).degraded), 'ring.component' = ANY ((cdp.fraud_score(id, '2026-06-01')).degraded))::text FROM r), '(t,f)', 'it is gone with what it found, and said to be missing');
SELECT throws_ok($$SELECT cdp.find_fraud_rings('infinity')$$, '22023', NULL, 'a moment without end');
SELECT * FROM finish();
ROLLBACK;
