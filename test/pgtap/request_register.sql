-- The registers of requests and of breaches: states, deadlines, what a request does, who may do it, and what the views show.
SELECT plan(52);
SET client_min_messages = error;
DROP SCHEMA cdp_data, cdp_bi, cdp_api CASCADE;
CREATE ROLE request_officer; CREATE ROLE request_analyst;
CALL cdp.setup(privacy => 'request_officer', analyst => 'request_analyst');
SELECT format('GRANT USAGE ON SCHEMA public TO request_officer, request_analyst') \gexec
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO request_officer, request_analyst;
SELECT cdp.add_source('crm');
SELECT cdp.identify('crm', '{"email": "ann@example.org", "user_id": "7"}', '{"full_name": "Ann Smith", "city": "Leeds"}', '2026-01-01', 'm1');
SELECT cdp.identify('crm', '{"email": "bob@example.org"}', '{"city": "York"}', '2026-01-01', 'm2');
SELECT cdp.customer_of('email', 'ann@example.org') AS ann, cdp.customer_of('email', 'bob@example.org') AS bob \gset

SET ROLE request_analyst;
SELECT throws_ok($$SELECT cdp.open_request('access')$$, '42501', NULL, 'an analyst opens no request');
SELECT throws_ok($$SELECT cdp.open_breach('lost')$$, '42501', NULL, 'nor a breach');
SELECT throws_ok($$SELECT * FROM cdp_bi.request_register$$, '42501', NULL, 'nor reads the registers');
SELECT throws_ok($$SELECT * FROM cdp_data.breach$$, '42501', NULL, 'of either sort');
SET ROLE request_officer;
SELECT throws_ok($$INSERT INTO cdp_data.request (kind, law, received_at, due_at) VALUES ('access', 'GDPR', now(), now())$$, '42501', NULL, 'an officer writes the register by its functions only');

-- Deadlines.
SELECT is((SELECT string_agg(law || ' ' || answer_within || ' ' || extension, ', ' ORDER BY law) FROM cdp_data.request_law_all WHERE kind = 'access'),
  'CCPA 45 days 45 days, GDPR 1 mon 2 mons, PIPL 15 days 00:00:00, UK GDPR 1 mon 2 mons', 'deadlines by law');
SELECT is(cdp.open_request('access', 'GDPR', received_at => now() - interval '20 days', reference => 'T-1'), 1::bigint, 'a request is opened');
SELECT is((SELECT due_at FROM cdp_data.request WHERE request_id = 1), (SELECT (received_at AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' FROM cdp_data.request WHERE request_id = 1), 'and due a month after it came');
INSERT INTO cdp_data.request_law VALUES ('GDPR', 'access', '10 days', '5 days', 'what we promise');
SELECT cdp.open_request('access', 'GDPR', received_at => now() - interval '11 days');
SELECT is((SELECT is_overdue FROM cdp_bi.request_register WHERE request_id = 2), true, 'by a deadline of our own it is overdue');
SELECT throws_ok($$SELECT cdp.extend_request(2, 'many of them')$$, '55000', NULL, 'then it is too late for an extension');
SELECT is(cdp.extend_request(1, 'many of them'), (SELECT received_at + interval '1 month' + interval '5 days' FROM cdp_data.request WHERE request_id = 1), 'an extension counts from the deadline');
SELECT throws_ok($$SELECT cdp.extend_request(1, 'many of them')$$, '55000', NULL, 'once');
SELECT throws_ok($$SELECT cdp.extend_request(1, ' ')$$, '22023', NULL, 'with a reason');
SELECT throws_ok($$SELECT cdp.open_request('gossip')$$, '22023', NULL, 'an unknown kind');
SELECT throws_ok($$SELECT cdp.open_request('access', 'Hammurabi')$$, '22023', NULL, 'an unknown law');
SELECT throws_ok($$SELECT cdp.open_request('access', customer => 4000000000)$$, '22023', NULL, 'a customer who is not there');
SELECT throws_ok($$SELECT cdp.open_request('access', received_at => now() + interval '3 days')$$, '22008', NULL, 'from the future');

-- Nothing is done before the identity is checked.
SELECT throws_ok('SELECT cdp.fulfil_request(1)', '55000', NULL, 'a request is not fulfilled unverified');
SELECT is(cdp.verify_request(1, 'wrong birthday', passed => false), false, 'a check that fails');
SELECT throws_ok($$SELECT cdp.verify_request(1, 'passport')$$, '22023', NULL, 'the customer must be told');
SELECT throws_ok($$SELECT cdp.verify_request(1, 'passport', 4000000000)$$, '22023', NULL, 'and must be there');
SELECT is(cdp.verify_request(1, 'passport', :ann), true, 'a check that holds');
SELECT is((SELECT cdp.fulfil_request(1) #>> '{profile,city}' IS NULL), true, 'access gives the export');
SELECT is((SELECT length(receipt ->> 'export_sha256') FROM cdp_data.request WHERE request_id = 1), 64, 'its receipt is a digest');
SELECT throws_ok('SELECT cdp.fulfil_request(1)', '55000', NULL, 'once');
SELECT is((SELECT string_agg(step, ', ' ORDER BY step_id) FROM cdp_data.request_step WHERE request_id = 1), 'opened, extended, not verified, verified, fulfilled', 'every step is on record');

-- Correction, objection, restriction.
SELECT cdp.open_request('correction', 'CCPA', :ann) AS r \gset
SELECT cdp.verify_request(:r, 'link to the stored address');
SELECT throws_ok(format('SELECT cdp.fulfil_request(%s)', :r), '22023', NULL, 'nothing to correct');
SELECT throws_ok(format($$SELECT cdp.fulfil_request(%s, '{"attributes": {"birthday": "no day"}}')$$, :r), '22023', NULL, 'a value that is refused stops it');
SELECT is(cdp.fulfil_request(:r, '{"attributes": {"city": "Hull"}}'), '{"attributes": ["city"]}', 'a correction answers with names only');
RESET ROLE;
SELECT cdp.refresh_profiles();
SELECT is((SELECT city FROM cdp_data.profile WHERE customer_id = :ann), 'Hull', 'the golden profile takes it');
SELECT is((SELECT s.name || ' ' || v.verified FROM cdp_data.attribute_value v JOIN cdp_data.source s USING (source_id) WHERE v.value = 'Hull'), 'requests true', 'with its provenance');
SET ROLE request_officer;
SELECT cdp.open_request('objection', 'GDPR', :ann) AS r \gset
SELECT cdp.verify_request(:r, 'link to the stored address');
SELECT throws_ok(format('SELECT cdp.fulfil_request(%s)', :r), '22023', NULL, 'an objection names purposes');
SELECT cdp.fulfil_request(:r, '{"purposes": ["analytics"]}');
SELECT cdp.open_request('restriction', 'GDPR', :bob) AS r \gset
SELECT cdp.verify_request(:r, 'link to the stored address');
SELECT cdp.fulfil_request(:r);
RESET ROLE;
SELECT is((SELECT string_agg(allowed::text, ' ') FROM (VALUES (:ann), (:bob)) c (id), LATERAL (SELECT cdp.consent_allowed(c.id, 'analytics') AS allowed) a), 'false false', 'both are out of analytics');
SET ROLE request_officer;
SELECT cdp.open_request('erasure', 'GDPR', :ann) AS r \gset
SELECT cdp.verify_request(:r, 'link to the stored address');
SELECT throws_ok(format('SELECT cdp.erase_customer(%s, request_id => 99)', :ann), '22023', NULL, 'no erasure for a request that nobody made');
SELECT is(cdp.fulfil_request(:r) ->> 'request', :'r', 'an erasure answers with its receipt');
SELECT is((SELECT receipt FROM cdp_data.request WHERE request_id = :r), '{"erasure": 1}', 'whose number the register keeps');
SELECT cdp.open_request('access') AS r \gset
SELECT is(cdp.close_request(:r, 'refused', 'nobody we know'), true, 'a request is refused');
SELECT throws_ok(format($$SELECT cdp.close_request(%s, 'withdrawn', 'x')$$, :r), '55000', NULL, 'once');
SELECT is((SELECT string_agg(a.attname, ' ') FROM pg_attribute a WHERE a.attrelid = 'cdp_bi.request_register'::regclass AND a.attname ~ 'customer'), NULL, 'the register shows no customer');

-- Breaches.
SELECT is(cdp.open_breach('laptop lost', now() - interval '71 hours', 'high', '{"people": 12, "categories": ["contact"]}'), 1::bigint, 'a breach is registered');
SELECT throws_ok($$SELECT cdp.open_breach('x', now() + interval '1 day')$$, '22008', NULL, 'none is discovered tomorrow');
SELECT throws_ok($$SELECT cdp.breach_notified(1, 'authority', 'x', now() - interval '72 hours')$$, '22008', NULL, 'nobody is told before that');
SELECT throws_ok($$SELECT cdp.breach_notified(1, 'authority', 'x', now() + interval '1 hour')$$, '22008', NULL, 'nor in the future');
SELECT throws_ok($$SELECT cdp.update_breach(1, '{"close": true}')$$, '55000', NULL, 'and stays open until all are told');
SELECT throws_ok($$SELECT cdp.update_breach(1, '{"began_at": "last week"}')$$, '22023', 'began_at and ended_at of a breach must be times', 'a time that is none');
SELECT throws_ok($$SELECT cdp.update_breach(1, '{"close": "maybe"}')$$, '22023', 'close must be true or false', 'closed or not');
SET timezone = 'Asia/Tokyo';
SELECT cdp.update_breach(1, '{"began_at": "2026-01-31 18:00", "ended_at": "2026-01-31 20:00+01"}');
RESET timezone;
SELECT is((SELECT format('%s %s', began_at AT TIME ZONE 'UTC', ended_at AT TIME ZONE 'UTC') FROM cdp_data.breach WHERE breach_id = 1), '2026-01-31 18:00:00 2026-01-31 19:00:00', 'times mean the same in every session');
SELECT cdp.open_breach('mail to a wrong address', now() - interval '80 hours');
SELECT throws_ok($$SELECT cdp.breach_notified(2, 'authority', 'the authority')$$, '22023', NULL, 'after 72 hours the authority is told why');
SELECT cdp.breach_notified(1, 'authority', 'the authority', reference => 'A-9'), cdp.breach_notified(1, 'people', 'letters', people => 12);
SELECT is(cdp.update_breach(1, '{"close": true, "measures": "disks are encrypted now"}'), 1::bigint, 'then it is closed');
SELECT is((SELECT string_agg(format('%s %s %s %s', breach_id, is_late, people_to_tell, people_told), ', ' ORDER BY breach_id) FROM cdp_bi.breach_register), '1 f f 12, 2 t f ', 'the clock of 72 hours');
RESET ROLE;
SELECT is((SELECT string_agg(severity || ' ' || finding, ', ' ORDER BY finding) FROM cdp.health() WHERE area = 'requests'), 'error breach_untold, error request_overdue', 'health tells what is late');
SELECT throws_ok($$SELECT cdp.open_breach('x', risk => 'none')$$, '22023', NULL, 'no risk needs a reason');
DROP OWNED BY request_officer, request_analyst;
DROP ROLE request_officer; DROP ROLE request_analyst;
SELECT * FROM finish();
