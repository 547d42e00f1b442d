-- Batches of clicks and conversions: the same as one by one, bad rows in quarantine, again nothing, and a load that is taken back.
SELECT plan(45);
SET client_min_messages = warning;
SET timezone = 'Asia/Kathmandu';
SELECT cdp.add_source('web'), cdp.add_source('bulk') \g /dev/null
SELECT cdp.identify('web', '{"user_id": "anna"}') \g /dev/null
SELECT cdp.create_referral_campaign('friends') \g /dev/null
SELECT cdp.set_referral_terms('friends', '{"weights": {"ctit.fast": 0}}', '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-01-01 00:00+00') \g /dev/null
SELECT cdp.activate_referral_campaign('friends', '2026-01-01 00:00+00') \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'anna'), 'by-anna', issued_at => '2026-01-02 00:00+00', channel => 'card'), cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'anna'), 'trial-1', is_test => true, issued_at => '2026-01-02 00:00+00') \g /dev/null

-- The same 40 clicks, of people a by calls and of people b in a batch.
CREATE FUNCTION pg_temp.clicks(who text) RETURNS TABLE (i integer, doc jsonb) LANGUAGE sql AS $$
  SELECT i, jsonb_strip_nulls(jsonb_build_object('source_key', who || i, 'occurred_at', to_char(timestamp '2026-02-01 10:00' + i * interval '7 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'code', CASE WHEN i % 9 = 0 THEN 'Trial-1' ELSE 'BY-Anna' END,
    'identifiers', CASE WHEN i % 5 > 0 THEN jsonb_build_object('cookie', 'cookie-' || who || '-' || i % 17) END, 'ip', CASE WHEN i % 4 > 0 THEN '203.0.113.' || i END, 'user_agent', CASE WHEN i % 7 = 0 THEN 'Googlebot/2.1' ELSE 'Mozilla/5.0' END,
    'referrer', CASE WHEN i % 3 = 0 THEN 'https://Weibo.com/x' END, 'url', CASE WHEN i % 6 = 0 THEN 'https://shop.example/?gclid=1' END, 'country', CASE WHEN i % 2 = 0 THEN 'cn' END, 'asn', i, 'prefetch', i % 8 = 0, 'channel', CASE WHEN i % 10 = 0 THEN 'wechat' END, 'variant', 'v' || i % 2))
  FROM generate_series(1, 40) i $$;
SELECT cdp.referral_click('web', doc ->> 'source_key', doc ->> 'code', (doc ->> 'occurred_at')::timestamptz, coalesce(doc -> 'identifiers', '{}'), (doc ->> 'ip')::inet, doc ->> 'user_agent', NULL, doc ->> 'referrer', doc ->> 'url', doc ->> 'channel', doc ->> 'variant',
  (doc ->> 'asn')::bigint, doc ->> 'country', false, (doc ->> 'prefetch')::boolean) FROM pg_temp.clicks('a') ORDER BY i \g /dev/null
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined) FROM cdp.load_referral_clicks('bulk', (SELECT jsonb_agg(doc ORDER BY i) FROM pg_temp.clicks('b')))), '40 40 0', 'a batch of clicks');
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined) FROM cdp.load_referral_clicks('bulk', (SELECT jsonb_agg(doc ORDER BY i) FROM pg_temp.clicks('b')))), '40 0 0', 'again nothing is new');
CREATE FUNCTION pg_temp.seen(src text) RETURNS TABLE (k text, r text) LANGUAGE sql STABLE AS $$
  SELECT substr(c.source_key, 2), concat_ws('|', c.referral_code_id, c.clicked_at, (SELECT regexp_replace(i.value, '-[ab]-', '-') FROM cdp_data.identifier i WHERE i.identifier_id = c.identifier_id), c.ip_digest, c.net_digest, c.agent_digest, c.device_digest, c.referrer_host, c.asn, c.country, c.paid, c.bot, c.prefetch, c.is_test, c.channel, c.variant,
    t.flags, t.properties -> 'referral_code_id', o.source, o.medium, o.campaign, o.referrer_host)
  FROM cdp_data.referral_click c JOIN cdp_data.source s USING (source_id) LEFT JOIN cdp_data.touchpoint t USING (touchpoint_id) LEFT JOIN cdp_data.origin o USING (origin_id) WHERE s.name = src $$;
SELECT is((SELECT count(*) FROM pg_temp.seen('web') a JOIN pg_temp.seen('bulk') b USING (k) WHERE a.r = b.r), 40::bigint, 'are what single calls make of them');
SELECT is((SELECT count(*) FROM cdp_data.referral_click WHERE touchpoint_id IS NOT NULL), 64::bigint, 'those of known people are touchpoints');

-- Conversions and refunds.
CREATE FUNCTION pg_temp.orders(who text) RETURNS TABLE (i integer, doc jsonb) LANGUAGE sql AS $$
  SELECT i, jsonb_strip_nulls(jsonb_build_object('source_key', who || 'o' || i, 'occurred_at', '2026-02-03T10:00:00Z', 'kind', CASE WHEN i % 6 = 0 THEN 'sign_up' ELSE 'purchase' END, 'value', CASE WHEN i % 6 > 0 THEN 10 + i END, 'eligible', CASE WHEN i % 6 IN (1, 2) THEN 5 END, 'currency', 'EUR',
    'identifiers', jsonb_build_object('cookie', 'cookie-' || who || '-' || i, 'email', who || i || '@example.org'), 'code', CASE WHEN i % 7 = 0 THEN 'by-anna' END, 'ip', '198.51.100.' || i, 'payment', CASE WHEN i % 3 = 0 THEN 'card ' || i END)) FROM generate_series(1, 24) i $$;
SELECT cdp.referral_convert('web', doc ->> 'source_key', doc ->> 'kind', (doc ->> 'occurred_at')::timestamptz, doc -> 'identifiers', (doc ->> 'value')::numeric, CASE WHEN doc ? 'value' THEN 'EUR' END, (doc ->> 'eligible')::numeric, doc ->> 'code', ip => (doc ->> 'ip')::inet, payment => doc ->> 'payment')
FROM pg_temp.orders('a') ORDER BY i \g /dev/null
SELECT load_id AS load, rows_read, recorded, quarantined FROM cdp.load_referral_conversions('bulk', (SELECT jsonb_agg(doc ORDER BY i) FROM pg_temp.orders('b'))) \gset
SELECT is(concat_ws(' ', :rows_read, :quarantined), '24 0', 'a batch of conversions');
CREATE FUNCTION pg_temp.bought(src text) RETURNS TABLE (k text, r text) LANGUAGE sql STABLE AS $$
  SELECT substr(c.source_key, 2), concat_ws('|', c.kind, c.occurred_at, c.value_minor, c.eligible_minor, c.referral_code_id, c.ip_digest, c.net_digest, c.payment_digest, c.is_test, (SELECT string_agg(concat_ws(' ', x.method, CASE WHEN x.state = 'ineligible' THEN x.reason ELSE 'live' END), ',') FROM cdp_data.referral x WHERE x.first_conversion_id = c.referral_conversion_id))
  FROM cdp_data.referral_conversion c JOIN cdp_data.source s USING (source_id) WHERE s.name = src $$;
SELECT is_empty($$SELECT b.k, a.r, b.r FROM pg_temp.bought('bulk') b LEFT JOIN pg_temp.bought('web') a USING (k) WHERE b.r IS DISTINCT FROM a.r$$, 'are what single calls make of them');
SELECT ok((SELECT count(*) FROM cdp_data.referral_conversion c JOIN cdp_data.source s USING (source_id) WHERE s.name = 'bulk') BETWEEN 10 AND 23, 'of people with a click or a code only');
SELECT is((SELECT count(*) FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id JOIN cdp_data.source s USING (source_id) WHERE s.name = 'bulk'),
  (SELECT count(*) FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id JOIN cdp_data.source s USING (source_id) WHERE s.name = 'web'), 'and as many referrals');
SELECT load_id AS again, concat_ws(' ', rows_read, recorded, decided, quarantined) AS said FROM cdp.load_referral_conversions('bulk', (SELECT jsonb_agg(doc ORDER BY i) FROM pg_temp.orders('b'))) \gset
SELECT is(:'said'::text, '24 0 0 0', 'again nothing is new');
SELECT is((SELECT recorded FROM cdp.load_referral_conversions('bulk', '[{"source_key": "f1", "occurred_at": "2026-02-05T10:00:00Z", "kind": "refund", "value": -4, "currency": "EUR", "identifiers": {"email": "b1@example.org"}, "refers_to": "bo1"}]')), 1::bigint, 'a refund');
SELECT is((SELECT f.amount_minor || ' ' || c.source_key FROM cdp_data.referral_refund f JOIN cdp_data.referral_conversion c USING (referral_conversion_id)), '400 bo1', 'of its conversion');

-- Bad rows.
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined) FROM cdp.load_referral_clicks('bulk', '[1, {"occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"}, {"source_key": "x1", "occurred_at": "yesterday", "code": "by-anna"}, {"source_key": "x2", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-nobody"},
  {"source_key": "x3", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "country": "China"}, {"source_key": "x4", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "ip": "999.1.1.1"}, {"source_key": "x5", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"},
  {"source_key": "x5", "occurred_at": "2026-02-01T11:00:00Z", "code": "by-anna"}, {"source_key": "x6", "occurred_at": "infinity", "code": "by-anna"}]')), '9 1 8', 'one of nine is a click');
SELECT is((SELECT string_agg(code, ' ' ORDER BY row_no) FROM cdp_data.quarantine WHERE row_no IS NOT NULL), 'not_object missing_key bad_time unknown_code bad_field bad_field repeated_key bad_time', 'the others wait, with what is wrong');
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined) FROM cdp.load_referral_conversions('bulk', '[{"source_key": "y1", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": "much", "identifiers": {"email": "y@example.org"}, "code": "by-anna"},
  {"source_key": "y2", "occurred_at": "2026-02-01T10:00:00Z", "kind": "nonsense-kind", "value": 3, "identifiers": {"email": "y@example.org"}, "code": "by-anna"}, {"source_key": "y3", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "eligible": "x", "identifiers": {"email": "y@example.org"}}]')), '3 0 3', 'nor are these conversions');
SELECT throws_ok($$SELECT cdp.load_referral_clicks('bulk', '{}')$$, '22023', NULL, 'no array');
SELECT throws_ok($$SELECT cdp.load_referral_clicks('bulk', NULL)$$, '22023', NULL, 'nothing');

-- Loud where they were silent, and the same as single calls.
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined, unknown_codes) FROM cdp.load_referral_conversions('bulk', '[{"source_key": "z1", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "code": "by-anna"},
  {"source_key": "z2", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "code": "by-nobody", "identifiers": {"email": "z2@example.org"}}, {"source_key": "b1", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "code": "by-anna", "identifiers": {"email": "z3@example.org"}},
  {"source_key": "z4", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "code": "trial-1", "identifiers": {"email": "z4@example.org"}}, {"source_key": "z5", "occurred_at": "2026-02-01T10:00:00Z", "kind": "purchase", "value": 3, "user_agent": "okhttp/4.9", "code": "by-anna", "identifiers": {"email": "z5@example.org"}}]')), '5 2 2 1', 'rows without an identifier and keys of clicks wait, codes that are none are counted');
SELECT is((SELECT string_agg(c.source_key || ' ' || c.is_test || ' ' || t.flags || ' ' || r.state, ', ' ORDER BY c.source_key) FROM cdp_data.referral_conversion c JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.referral r ON r.first_conversion_id = c.referral_conversion_id WHERE c.source_key IN ('z4', 'z5')), 'z4 true 2 approved, z5 false 0 approved', 'a test is a test, an order by a program of the shop is an order');
SELECT is((SELECT concat_ws(' ', recorded, quarantined) FROM cdp.load_referral_clicks('bulk', '[{"source_key": "bo1", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "identifiers": {"cookie": "cookie-z"}}, {"source_key": "b3", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"},
  {"source_key": "z7", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "ip": "2001:db8::1", "asn": 4200000000}, {"source_key": "z8", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "asn": 4294967296}]')), '1 3', 'keys of orders and of other clicks are refused; short addresses and long numbers are read');
SELECT is((SELECT k.name FROM cdp_data.touchpoint_key x JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE x.source_key = 'bo1'), 'purchase', 'the order is as it was');
SELECT is((SELECT ip_digest = cdp_internal.referral_digest('ip', '2001:db8::1') AND asn = 4200000000 FROM cdp_data.referral_click WHERE source_key = 'z7'), true, 'and kept');
SELECT load_id AS anonymous FROM cdp.load_referral_clicks('bulk', '[{"source_key": "z9", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"}]') \gset
SELECT cdp.referral_convert('bulk', 'zo9', 'sign_up', '2026-02-01 11:00+00', '{"email": "z9@example.org"}', click => 'z9') \g /dev/null
CREATE FUNCTION pg_temp.z9() RETURNS text LANGUAGE sql STABLE AS $$ SELECT concat_ws(' ', r.method, r.state, r.reason) FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id WHERE c.source_key = 'zo9' $$;
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.z9(), 'click approved', 'a click of nobody in a batch that the shop names');
SELECT cdp.revert_load(:anonymous) \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.z9(), 'click ineligible no_evidence', 'is taken back with the batch');
SELECT cdp.retry_load(:anonymous) \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.z9(), 'click approved', 'and comes back with it');
SELECT concat_ws(' ', rows_read, recorded, quarantined) AS said FROM cdp.load_referral_shares('bulk', '[{"source_key": "s1", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "channel": "email", "recipient": {"email": "Zoe@example.org"}}, {"source_key": "s2", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"},
  {"source_key": "s3", "occurred_at": "2026-02-01T10:00:00Z", "code": "nobody-z", "channel": "email"}, {"source_key": "b1", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "channel": "email"}]') \gset
SELECT is(:'said'::text, '4 1 3', 'a batch of shares');
SELECT result FROM cdp.referral_share('web', 's1', 'by-anna', 'email', '2026-02-01 10:00+00', '{"email": "Zoe@example.org"}') \g /dev/null
SELECT is((SELECT count(DISTINCT concat_ws('|', s.referral_code_id, s.customer_id, s.channel, s.shared_at, s.recipient_digest, s.is_test, t.identifier_id, t.kind_id, t.flags, t.properties, t.origin_id)) FROM cdp_data.referral_share s JOIN cdp_data.touchpoint t USING (touchpoint_id)), 1::bigint, 'is what the call makes of it');

-- The job was first: a batch adds what only it knows, and a call does.
CREATE FUNCTION pg_temp.rows(k text, rest jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_array(jsonb_build_object('source_key', k, 'occurred_at', '2026-02-03T10:00:00Z', 'kind', 'purchase', 'value', 7, 'currency', 'EUR', 'identifiers', jsonb_build_object('email', k || '@example.org')) || rest) $$;
CREATE FUNCTION pg_temp.first(k text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws(' ', c.value_minor, k.code, c.named_click, c.is_test, c.ip_digest IS NOT NULL, c.payment_digest IS NOT NULL, (SELECT string_agg(concat_ws(' ', x.method, CASE WHEN x.state IN ('ineligible', 'duplicate') THEN x.state ELSE 'live' END), ',' ORDER BY x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion y ON y.referral_conversion_id = x.first_conversion_id WHERE y.source_key IN ($1, $1 || 's')))
  FROM cdp_data.referral_conversion c LEFT JOIN cdp_data.referral_code k USING (referral_code_id) WHERE c.source_key = $1 $$;
CREATE TABLE st (source_key text, occurred_at text, email text, kind text, value text, currency text, properties text);
INSERT INTO st SELECT k, '2026-02-03 10:00:00Z', k || '@example.org', 'purchase', '7', 'EUR', CASE WHEN k = 'j1' THEN '{"referral_code": "by-anna"}' END FROM unnest('{j1,j2,j3,j4}'::text[]) k;
SELECT load_id FROM cdp.load_events('bulk', 'st') \g /dev/null
SELECT cdp.referral_convert('bulk', k || 's', 'sign_up', '2026-02-02 10:00+00', jsonb_build_object('email', k || '@example.org')) FROM unnest('{j2,j3,j4}'::text[]) k \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.first('j1') || ', ' || pg_temp.first('j2'), '700 by-anna f f f code live, 700 f f f', 'the job takes orders in');
SELECT cdp.load_referral_conversions('bulk', pg_temp.rows('j1', '{"ip": "198.51.100.201", "payment": "card 201", "code": "by-anna"}')) \g /dev/null
SELECT is(pg_temp.first('j1'), '700 by-anna f t t code live', 'a batch adds addresses and cards');
SELECT cdp.load_referral_conversions('bulk', pg_temp.rows('j2', '{"click": "late-2"}')) \g /dev/null
SELECT is(pg_temp.first('j2'), '700 late-2 f f f', 'and a click that nobody told of yet');
INSERT INTO st VALUES ('late-2', '2026-02-01 10:00:00Z', 'else2@example.org', 'referral_click', NULL, NULL, '{"referral_code": "by-anna"}');
SELECT load_id FROM cdp.load_events('bulk', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.first('j2'), '700 f f f click live', 'which counts when it comes by a load, of somebody else');
SELECT cdp.load_referral_conversions('bulk', pg_temp.rows('j3', '{"code": "trial-1"}')) \g /dev/null
SELECT is(pg_temp.first('j3'), '700 trial-1 t f f code live', 'a code for tests makes a test of it');
SELECT code_result FROM cdp.referral_convert('bulk', 'j4', 'purchase', '2026-02-03 10:00+00', '{"email": "j4@example.org"}', 7, 'EUR', code => 'trial-1') \g /dev/null
SELECT is(pg_temp.first('j4'), '700 trial-1 t f f code live', 'by a call as well');
-- A correction that the load refuses is none.
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'anna'), 'by-anna-two', issued_at => '2026-01-02 00:00+00') \g /dev/null
SELECT is((SELECT concat_ws(' ', rows_read, recorded, quarantined) FROM cdp.load_referral_conversions('bulk', pg_temp.rows('j5', '{"code": "by-anna"}') || pg_temp.rows('j1', '{"code": "by-anna-two", "value": "much"}') || pg_temp.rows('j6', '{"code": "by-anna"}'))), '3 2 1', 'a correction with a bad value waits');
SELECT is(pg_temp.first('j1') || ', ' || pg_temp.first('j6'), '700 by-anna f t t code live, 700 by-anna f f f code live', 'and changes nothing, those beside it count');

-- Clicks that the job took first get their addresses by a batch or a call, and are not new.
INSERT INTO st SELECT k, '2026-02-01 10:00:00Z', k || '@example.org', 'referral_click', NULL, NULL, '{"referral_code": "by-anna"}' FROM unnest('{jc1,jc2}'::text[]) k;
SELECT load_id FROM cdp.load_events('bulk', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT concat_ws(' ', recorded, quarantined) FROM cdp.load_referral_clicks('bulk', '[{"source_key": "jc1", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "identifiers": {"email": "jc1@example.org"}, "ip": "198.51.100.9", "user_agent": "Mozilla/5.0", "device": "d1"}]')), '0 0', 'clicks that the job took first, in a batch');
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT result FROM cdp.referral_click('bulk', 'jc2', 'by-anna', '2026-02-01 10:00+00', '{"email": "jc2@example.org"}', '198.51.100.9', 'Mozilla/5.0', 'd1')), 'repeated', 'and by a call');
SELECT is((SELECT array_agg(num_nonnulls(ip_digest, net_digest, agent_digest, device_digest)) FROM cdp_data.referral_click WHERE source_key IN ('jc1', 'jc2')), '{4,4}', 'get what only the batch or the call knows');
SELECT is((SELECT people FROM cdp.referral_tick()), 1::bigint, 'and the job looks again at whom the call told, of whom nothing else changed');
SELECT load_id AS plain FROM cdp.load_referral_clicks('bulk', '[{"source_key": "jc3", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "identifiers": {"email": "jc2@example.org"}}]') \gset
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT load_id AS same FROM cdp.load_referral_clicks('bulk', '[{"source_key": "jc3", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna", "identifiers": {"email": "jc2@example.org"}, "ip": "198.51.100.9"}]') \gset
SELECT is((SELECT people FROM cdp.referral_tick()), 1::bigint, 'likewise at whom a batch tells the same of, with his address');
-- A click with a touchpoint is of the load that wrote it, whoever else tells it.
SELECT result FROM cdp.referral_click('bulk', 'jc3', 'by-anna', '2026-02-01 10:00+00', '{"email": "jc2@example.org"}') \g /dev/null
SELECT cdp.revert_load(:plain), cdp.revert_load(:same) \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT retracted_at IS NOT NULL FROM cdp_data.referral_click WHERE source_key = 'jc3'), true, 'and goes with it');
-- What a call told, too, does not go with the batch; what only the batch told does, also without a touchpoint.
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (1000001, 1000001);
SELECT cdp.issue_referral_code('friends', 1000001, 'by-nobody-known', issued_at => '2026-01-02 00:00+00') \g /dev/null
SELECT load_id AS both FROM cdp.load_referral_clicks('bulk', '[{"source_key": "w1", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"}, {"source_key": "w2", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-anna"}]') \gset
SELECT load_id AS shares FROM cdp.load_referral_shares('bulk', '[{"source_key": "w3", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-nobody-known", "channel": "email"}, {"source_key": "w4", "occurred_at": "2026-02-01T10:00:00Z", "code": "by-nobody-known", "channel": "email"}]') \gset
SELECT is((SELECT result FROM cdp.referral_click('bulk', 'w1', 'by-anna', '2026-02-01 10:00+00')) || ' ' || (SELECT result FROM cdp.referral_share('bulk', 'w3', 'by-nobody-known', 'email', '2026-02-01 10:00+00')), 'repeated repeated', 'a click and a share of a batch that a call tells, too');
SELECT cdp.revert_load(:both), cdp.revert_load(:shares) \g /dev/null
CREATE FUNCTION pg_temp.w() RETURNS text LANGUAGE sql STABLE AS $$ SELECT string_agg(k || ' ' || live, ', ' ORDER BY k) FROM (SELECT source_key, retracted_at IS NULL FROM cdp_data.referral_click UNION ALL SELECT source_key, retracted_at IS NULL FROM cdp_data.referral_share) x (k, live) WHERE k ~ '^w[0-9]$' $$;
SELECT is(pg_temp.w(), 'w1 true, w2 false, w3 true, w4 false', 'stay; those that only the batch told go');
SELECT cdp.retry_load(:both), cdp.retry_load(:shares) \g /dev/null
SELECT is(pg_temp.w(), 'w1 true, w2 true, w3 true, w4 true', 'and come back with it');

-- Taken back.
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT cdp.revert_load(:again), cdp.revert_load(:load) \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.referral_conversion c JOIN cdp_data.source s USING (source_id) WHERE s.name = 'bulk' AND c.source_key ~ '^bo' AND c.retracted_at IS NULL), 0::bigint, 'a batch that is taken back takes its conversions');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', x.state, x.reason), ',') FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id JOIN cdp_data.source s USING (source_id) WHERE s.name = 'bulk' AND c.source_key ~ '^bo'), 'ineligible no_evidence', 'and their referrals');
SELECT * FROM finish();
