-- Retention of customers: who gave no sign for so long is erased, in small steps, by the code of erasures; who did in any
-- way, is held or has asked for something stays. And references of refunds that are gone.
SELECT plan(28);
SET client_min_messages = error;
SELECT cdp.add_source('shop');
CREATE TABLE st AS
SELECT p || ' ' || i AS source_key, now() - age + i * interval '1 day' AS occurred_at, 'email' AS identifier_type, p || '@example.org' AS identifier,
  CASE WHEN i = 2 THEN 'purchase' ELSE 'click' END AS kind, CASE WHEN i = 2 THEN '7' END AS value
FROM (VALUES ('old', interval '5 years'), ('older', '6 years'), ('held', '5 years'), ('asked', '5 years'), ('said', '5 years'), ('half', '5 years'), ('half2', '10 days'), ('both', '5 years'), ('both2', '4 years'), ('young', '10 days')) v (p, age),
  generate_series(1, 2) i;
SELECT cdp.load_touchpoints('shop', 'st');
CREATE FUNCTION id_of(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT identifier_id FROM cdp_data.identifier WHERE value = v || '@example.org' $$;
CREATE FUNCTION whose(v text) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', v || '@example.org') $$;
CREATE VIEW left_over AS SELECT string_agg(split_part(value, '@', 1), ' ' ORDER BY value) FROM cdp_data.identifier;
SELECT cdp.link_identifiers(id_of('half'), id_of('half2'), 'one'), cdp.link_identifiers(id_of('both'), id_of('both2'), 'one');
SELECT cdp.record_consent('shop', 'marketing', 'granted', customer => whose('said'), channel => 'email');
SELECT cdp.open_request('access', 'GDPR', whose('asked')) AS request, cdp.place_hold(whose('held'), 'case 9') AS hold \gset
SELECT results_eq('SELECT s.customer, s.held FROM cdp_internal.unseen_customers(now() - interval ''3 years'') s ORDER BY 1',
  $$SELECT whose(v), v = 'held' FROM unnest(ARRAY['old', 'older', 'held', 'both']) v ORDER BY 1$$, 'no sign of four for three years');

-- Saying it.
SELECT throws_ok($$SELECT cdp.set_retention('customer', '3 years', 'burn')$$, '22023', NULL, 'a mode that is none');
SELECT throws_ok($$SELECT cdp.set_retention('customer', '3 years', basis => 'loaded')$$, '22023', NULL, 'a delivery is no sign of a person');
SELECT cdp.set_retention('customer', '3 years', 'delete'), cdp.set_retention('customer', '3 years');
SELECT results_eq($$SELECT what, name, keep FROM cdp_data.retention$$, $$VALUES ('customer' COLLATE "C", '' COLLATE "C", interval '3 years')$$, 'one policy at a time');
SELECT results_eq($$SELECT what, name, method, place, past, held FROM cdp.retention_plan()$$, $$VALUES ('customer', 'anonymise', 'erase', 'cdp_data.customer', 3::bigint, 1::bigint)$$, 'the dry run');
SELECT is((SELECT past FROM cdp.retention_plan(now() + interval '3 years 1 day') WHERE what = 'customer'), 6::bigint, 'in three years, if nobody comes: all but who is held or asks');
SELECT is((SELECT count(*) FROM cdp_data.identifier), 10::bigint, 'a plan erases nobody');

-- Doing it.
CREATE TABLE before AS SELECT count(*) AS n, sum(value) AS total FROM cdp_data.touchpoint;
CALL cdp.maintain();
SELECT is((TABLE left_over), 'asked half2 half held said young', 'who gave a sign, asked or is held stays');
SELECT results_eq('SELECT count(*), sum(value) FROM cdp_data.touchpoint', 'SELECT n, total FROM before', 'every total stays');
SELECT results_eq('SELECT cause, mode, suppressed, customers, count(*) FROM cdp_data.erasure GROUP BY 1, 2, 3, 4 ORDER BY 4', $$VALUES ('retention' COLLATE "C", 'anonymise' COLLATE "C", 0::bigint, 1, 2::bigint), ('retention', 'anonymise', 0, 2, 1)$$, 'a receipt for each; a merged one is one person');
SELECT is_empty('SELECT * FROM cdp.erasure_verify()', 'in the chain');
SELECT is((SELECT deleted FROM cdp_data.retention WHERE what = 'customer'), 3::bigint, 'the policy counts');
SELECT is((SELECT detail ->> 'deleted' FROM cdp_data.audit WHERE action = 'retention' AND object = 'customer'), '3', 'and the audit');
SELECT is((SELECT count(*) FROM cdp_data.suppression), 0::bigint, 'nobody is refused');
SELECT is((SELECT status FROM cdp.identify('shop', '{"email": "old@example.org"}')), 'written', 'who stayed away may come again');
SELECT is_empty('SELECT * FROM cdp.retention_plan() WHERE past > 0', 'nothing is left to do');
SELECT is(cdp_internal.retention_customer(whose('young')), 0::bigint, 'who came meanwhile is looked at again, and stays');
SELECT is(cdp_internal.retention_customer(whose('held')), 0::bigint, 'so is who is held meanwhile, without an error');

-- The other mode, after the hold and the request.
SELECT cdp.lift_hold(:hold), cdp.close_request(:request, 'withdrawn', 'he says so');
UPDATE cdp_data.request SET received_at = now() - interval '4 years';
SELECT cdp.set_retention('customer', '3 years', 'delete');
CALL cdp.maintain();
SELECT is((TABLE left_over), 'half2 half old said young', 'then they go, too');
SELECT is((SELECT n - (SELECT count(*) FROM cdp_data.touchpoint) FROM before), 4::bigint, 'with their touches');
SELECT cdp.set_retention('customer', NULL);
SELECT is((SELECT count(*) FROM cdp_data.retention), 0::bigint, 'the policy is taken away');

-- References that lead across customers: gone with the last row that refers, not before.
CREATE TABLE refunds (source_key text, occurred_at timestamptz, identifier_type text, identifier text, kind text, value text, refers_to text);
INSERT INTO refunds VALUES ('r1', now() - interval '50 months', 'email', 'half@example.org', 'refund', '-1', 'young 2'), ('r2', now() - interval '50 months', 'email', 'said@example.org', 'refund', '-1', 'never'),
  ('r3', now() - interval '9 days', 'email', 'half2@example.org', 'refund', '-1', 'never');
SELECT cdp.load_touchpoints('shop', 'refunds');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_awaited), 3::bigint, 'three references');
SELECT cdp.set_retention('touchpoint', '4 years'), cdp.set_retention('touchpoint', '10 years', 'refund');
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_awaited), 3::bigint, 'all stay while their refunds do, though other touches of that age go');
SELECT cdp.set_retention('touchpoint', NULL, 'refund');
CALL cdp.maintain();
SELECT is((SELECT string_agg(source_key, ' ') FROM cdp_data.touchpoint_awaited), 'never', 'one is left');
SELECT is((SELECT customer_id FROM cdp_data.touchpoint_awaited), (SELECT customer_id FROM cdp_data.identifier WHERE identifier_id = id_of('half2')), 'that of the young refund');

-- A deletion that a destination has not confirmed is kept, however old, and so what is known of it.
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service');
SELECT (cdp.erase_customer(whose('young')) -> 'receipt')::bigint AS receipt;
UPDATE cdp_data.outbox SET state = 'failed', created_at = now() - interval '1 year';
INSERT INTO cdp_data.outbox (destination, kind, payload, state, created_at) VALUES ('mailer', 'offer', '{}', 'failed', now() - interval '1 year');
SELECT cdp.set_retention('outbox', '90 days');
SELECT is((SELECT past FROM cdp.retention_plan() WHERE what = 'outbox'), 1::bigint, 'of two old messages one can go');
CALL cdp.maintain();
SELECT is((SELECT string_agg(kind || ' ' || state, ', ') FROM cdp_data.outbox), 'erase failed', 'the deletion stays');
SELECT is((SELECT state FROM cdp_bi.erasure_destination), 'failed', 'and it is known that it failed');
SELECT * FROM finish();
