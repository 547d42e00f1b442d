-- The ledger of consent: what may be written and by whom, idempotency, quarantine, suppression, roles; and the outbox,
-- from which a withdrawal takes messages within its own transaction.
SELECT plan(82);
SET client_min_messages = error;
SELECT cdp.add_source('web'), cdp.add_source('crm');

-- Purposes and notices.
SELECT is((SELECT string_agg(name || ' ' || rule, ', ' ORDER BY purpose_id) FROM cdp_data.purpose_all), 'analytics opt_out, personalisation opt_out, marketing opt_in, sharing opt_in, service off', 'built-in purposes');
SELECT is(cdp.set_purpose('analytics', controller => 'Example Ltd'), 1::smallint, 'a built-in one is replaced under its number');
SELECT is((SELECT rule || controller FROM cdp_data.purpose_all WHERE name = 'analytics'), 'opt_outExample Ltd', 'and keeps what was not said');
SELECT is(cdp.set_purpose('survey', 'consent', 'opt_in', true), 1000::smallint, 'a new one');
SELECT throws_ok($$SELECT cdp.set_purpose('survey', rule => 'opt_out')$$, '23514', NULL, 'messages need opt_in');
SELECT throws_ok($$SELECT cdp.set_purpose('x')$$, '22004', NULL, 'a new one needs a basis and a rule');
SELECT throws_ok($$SELECT cdp.consent_allowed(1, 'markting')$$, '22023', NULL, 'an unknown purpose');
SELECT is(octet_length(cdp.add_notice('marketing', '1', 'May we write to you?')), 64, 'a notice has a hash');
SELECT is(cdp.add_notice('marketing', '1', 'May we write to you?'), (SELECT encode(sha256, 'hex') FROM cdp_data.notice), 'the same again is the same');
SELECT throws_ok($$SELECT cdp.add_notice('marketing', '1', 'May we?')$$, '23505', NULL, 'a version is never changed');

-- One record.
SELECT is((SELECT result || cardinality(consent_ids) FROM cdp.record_consent('web', 'marketing', 'granted', '{"email": "Ann@Example.org", "user_id": "7"}', channel => 'Email', notice => 'en 1', evidence => '{"form": "footer"}', message_id => 'm1')),
  'written2', 'each identifier gets the record');
SELECT is((SELECT result FROM cdp.record_consent('web', 'marketing', 'granted', '{"email": "ann@example.org"}', channel => 'email', message_id => ' m1 ')), 'repeated', 'a message counts once');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'denied', '{"email": "ann@example.org"}', channel => 'email', message_id => 'm1')$$, '23505', 'a message with this message_id said something else', 'a refusal is not taken for a repetition');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "ann@example.org"}', channel => 'sms', message_id => 'm1')$$, '23505', NULL, 'nor another channel');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "somebody@example.org"}', channel => 'email', message_id => 'm1')$$, '23505', NULL, 'nor another person');
BEGIN;
SELECT is((SELECT string_agg(r.result, ' ') FROM unnest(ARRAY['granted', 'withdrawn']) s, cdp.record_consent('web', 'sharing', s, '{"email": "ann@example.org"}', message_id => 'undefined') r), 'written written', 'a word that says nothing is no message_id');
ROLLBACK;
SELECT is((SELECT count(*) FROM cdp_data.consent WHERE notice_hash = (SELECT sha256 FROM cdp_data.notice) AND channel = 'email' AND load_id IS NULL AND legal_basis = 'consent'), 2::bigint, 'what stands in the ledger');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'maybe', customer => 1)$$, '22023', NULL, 'a bad status');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'denied', customer => 1, expires_at => now() + interval '1 day')$$, '22023', NULL, 'a refusal does not run out');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', customer => 1, effective_at => 'infinity')$$, '22008', NULL, 'nor does anything hold from the end of time');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted')$$, '22023', NULL, 'nobody');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', customer => 4711)$$, 'P0002', NULL, 'an unknown customer');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', '{"email": "null"}')$$, '22023', NULL, 'no usable identifier');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', customer => 1, notice => '2')$$, '22023', NULL, 'an unknown notice');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', customer => 1, channel => 'e mail')$$, '22023', NULL, 'no word of a channel');
SELECT is((SELECT string_agg(action || ' ' || object, ', ' ORDER BY audit_id) FROM cdp_data.audit WHERE customer_id IS NOT NULL AND action = 'consent'),
  'consent granted marketing email, consent granted marketing email', 'the audit tells of both customers');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE detail::text ~* 'ann|footer'), 0::bigint, 'without what they said');

-- A batch.
SELECT cdp.create_consent_staging('public.consents');
INSERT INTO consents VALUES
  ('1', 'email', 'bob@example.org', 'marketing', 'email', 'granted', '2026-01-01', '2099-01-01', 'true', '', 'en 1', '{"list": 3}'),
  ('2', 'email', 'cat@example.org', 'marketing', '', 'granted', '2026-01-01 08:00', NULL, NULL, NULL, NULL, NULL),
  ('', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL), ('4', 'mail', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL),
  ('5', 'email', 'not an address', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL), ('6', 'email', 'x@example.org', 'mrktng', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL),
  ('7', 'email', 'x@example.org', 'marketing', 'e mail', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL), ('8', 'email', 'x@example.org', 'marketing', '', 'yes', '2026-01-01', NULL, NULL, NULL, NULL, NULL),
  ('9', 'email', 'x@example.org', 'marketing', '', 'granted', 'yesterday', NULL, NULL, NULL, NULL, NULL), ('10', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', '2025-01-01', NULL, NULL, NULL, NULL),
  ('11', 'email', 'x@example.org', 'marketing', '', 'denied', '2026-01-01', '2027-01-01', NULL, NULL, NULL, NULL), ('12', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, 'perhaps', NULL, NULL, NULL),
  ('13', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, 'because', NULL, NULL), ('14', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, 'en 7', NULL),
  ('15', 'email', 'x@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, '[1]'),
  ('16', 'email', 'dan@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, NULL), ('16', 'email', 'dan@example.org', 'marketing', '', 'denied', '2026-01-02', NULL, NULL, NULL, NULL, NULL), ('2', 'email', 'cat@example.org', 'marketing', '', 'granted', '2026-01-01 08:00', NULL, NULL, NULL, NULL, NULL);
SELECT results_eq($$SELECT rows_read, inserted, corrected, unchanged, quarantined FROM cdp.load_consents('crm', 'consents', 'Asia/Shanghai')$$, $$VALUES (18::bigint, 3::bigint, 0::bigint, 1::bigint, 14::bigint)$$, 'a batch');
SELECT is((SELECT string_agg(code, ' ' ORDER BY code) FROM cdp_data.quarantine),
  'bad_channel bad_evidence bad_expiry bad_expiry bad_explicit bad_identifier bad_key bad_legal_basis bad_status bad_time superseded unknown_identifier_type unknown_notice unknown_purpose', 'every reason');
SELECT is((SELECT count(*) FROM cdp_data.consent WHERE effective_at = '2026-01-01 00:00:00+00' AND NOT explicit), 1::bigint, 'imported without a word about it: implied; times in the zone');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value = 'x@example.org'), 0::bigint, 'refused rows make nobody');
SELECT results_eq($$SELECT inserted, corrected, unchanged FROM cdp.load_consents('crm', 'consents', 'Asia/Shanghai')$$, $$VALUES (0::bigint, 0::bigint, 4::bigint)$$, 'again: nothing new');
SELECT is((SELECT count(*) FROM cdp_data.consent), 5::bigint, 'in the ledger, too');
SELECT throws_ok($$SELECT cdp.load_consents('crm', 'cdp_data.source')$$, '42703', NULL, 'missing columns');
SELECT throws_ok($$SELECT cdp.load_consents('crm', 'consents', purpose => 'x')$$, '22023', NULL, 'an unknown purpose for rows without one');

-- The same row in force by a later load, though the earlier one is taken back; a correction that is taken back.
SELECT min(load_id) AS one, max(load_id) AS two FROM cdp_data.load WHERE kind = 'consents' \gset
TRUNCATE consents;
INSERT INTO consents VALUES ('1', 'email', 'bob@example.org', 'marketing', 'email', 'withdrawn', '2026-02-01', NULL, NULL, NULL, NULL, NULL);
SELECT results_eq($$SELECT inserted, corrected FROM cdp.load_consents('crm', 'consents')$$, $$VALUES (0::bigint, 1::bigint)$$, 'a correction is a new row');
SELECT cdp.customer_of('email', 'bob@example.org') AS bob, cdp.customer_of('email', 'cat@example.org') AS cat, cdp.customer_of('email', 'ann@example.org') AS ann \gset
SELECT is(cdp.consent_allowed(:bob, 'marketing', 'email'), false, 'which counts');
SELECT cdp.revert_load(max(load_id)) FROM cdp_data.load WHERE kind = 'consents';
SELECT is(cdp.consent_allowed(:bob, 'marketing', 'email'), true, 'until its load is taken back');
SELECT cdp.revert_load(:one);
SELECT is(cdp.consent_allowed(:bob, 'marketing', 'email'), true, 'the second load still says so');
SELECT cdp.revert_load(:two);
SELECT is((SELECT state FROM cdp.consent_at(:bob, 'marketing', 'email')), 'unknown', 'no load in force says so');
SELECT is((SELECT count(*) FROM cdp_data.consent_state s JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value IN ('bob@example.org', 'cat@example.org')), 0::bigint, 'and no summary is left');
SELECT cdp.retry_load(:two);
SELECT is(cdp.consent_allowed(:bob, 'marketing', 'email'), true, 'put in again');

-- The owner of the tables can not change what was said, nor make it unsaid; an erasure empties who said it.
CREATE ROLE consent_test_owner;
CREATE ROLE consent_test_analyst; CREATE ROLE consent_test_privacy; CREATE ROLE consent_test_reader;
CALL cdp.setup(analyst => 'consent_test_analyst', privacy => 'consent_test_privacy', reader => 'consent_test_reader');
SELECT is((SELECT string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type) FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'cdp_data.consent'::regclass AND a.grantee = c.relowner
  AND a.privilege_type <> 'MAINTAIN'), -- which PostgreSQL 17 has: VACUUM and the like
  'INSERT REFERENCES SELECT TRIGGER', 'the owner may add');
SELECT is((SELECT string_agg(a.attname::text, ' ' ORDER BY a.attname::text) FROM pg_attribute a WHERE a.attrelid = 'cdp_data.consent'::regclass AND a.attacl IS NOT NULL),
  'customer_id evidence identifier_id source_key subject_digest', 'and empty who it was');
SET ROLE consent_test_analyst;
SELECT is(cdp.consent_allowed(:bob, 'marketing', 'email'), true, 'an analyst may ask the gate');
SELECT isnt((SELECT count(*) FROM cdp.consented_customers('marketing', 'email')), 0::bigint, 'and for everybody');
SELECT throws_ok($$SELECT evidence FROM cdp_data.consent$$, '42501', NULL, 'but not for the proof');
SELECT throws_ok($$SELECT * FROM cdp.consent_at(1, 'marketing')$$, '42501', NULL, 'not by a function either');
SELECT throws_ok($$SELECT cdp.record_consent('web', 'marketing', 'granted', customer => 1)$$, '42501', NULL, 'nor record any');
SELECT throws_ok($$UPDATE cdp_data.consent_state SET refused_at = NULL$$, '42501', NULL, 'nor change a summary');
SET ROLE consent_test_reader;
SELECT throws_ok($$SELECT * FROM cdp_data.consent_state$$, '42501', NULL, 'a reader of views sees no summary');
SET ROLE consent_test_privacy;
SELECT is((SELECT state FROM cdp.consent_at(:bob, 'marketing', 'email')), 'granted', 'the privacy role reads the ledger');
SELECT throws_ok($$DELETE FROM cdp_data.consent$$, '42501', NULL, 'and deletes nothing');
RESET ROLE;

-- Said about a customer: a refusal stays with every part after an unmerge, a grant with the strongest identifier alone.
SELECT cdp.identify('web', jsonb_build_object('email', 'eve@example.org')), cdp.identify('web', jsonb_build_object('cookie', 'eve'));
SELECT max(identifier_id) FILTER (WHERE value = 'eve@example.org') AS eve1, max(identifier_id) FILTER (WHERE value = 'eve') AS eve2 FROM cdp_data.identifier \gset
SELECT cdp.link_identifiers(:eve1, :eve2);
SELECT cdp.record_consent('web', 'marketing', 'granted', customer => cdp.customer_of('cookie', 'eve')), cdp.record_consent('web', 'analytics', 'denied', customer => cdp.customer_of('cookie', 'eve'));
SELECT is(cdp.consent_allowed(cdp.customer_of('cookie', 'eve'), 'marketing') || ' ' || cdp.consent_allowed(cdp.customer_of('email', 'eve@example.org'), 'analytics'), 'true false', 'one customer of two identifiers');
SELECT cdp.unmerge(merge => max(merge_id)) FROM cdp_data.merge_log;
SELECT is(cdp.consent_allowed(cdp.customer_of('email', 'eve@example.org'), 'marketing') || ' ' || cdp.consent_allowed(cdp.customer_of('cookie', 'eve'), 'marketing'), 'true false', 'after an unmerge the grant is with the address');
SELECT is(cdp.consent_allowed(cdp.customer_of('email', 'eve@example.org'), 'analytics') || ' ' || cdp.consent_allowed(cdp.customer_of('cookie', 'eve'), 'analytics'), 'false false', 'and the refusal with both');

SELECT is((SELECT string_agg(cdp.consent_allowed(c, p, as_of => a)::text, ' ' ORDER BY p, c, a) FROM unnest(ARRAY[4711, -1]) c, unnest(ARRAY['analytics', 'marketing', 'service']) p, unnest(ARRAY[NULL, now()]) a),
  'false false false false false false false false true true true true', 'an unknown customer is allowed nothing but what is off, now and as of any time');

-- Whoever was erased does not come back with a consent.
INSERT INTO cdp_data.suppression (digest, reason) VALUES (cdp_internal.suppression_digest(2::smallint, 'gone@example.org'), 'test');
SELECT is((SELECT result FROM cdp.record_consent('web', 'marketing', 'granted', '{"email": "gone@example.org"}')), 'suppressed', 'nor by a call');
TRUNCATE consents;
INSERT INTO consents VALUES ('g', 'email', 'gone@example.org', 'marketing', '', 'granted', '2026-01-01', NULL, NULL, NULL, NULL, '{"name": "Gone"}');
SELECT is((SELECT quarantined FROM cdp.load_consents('crm', 'consents')), 1::bigint, 'nor by a batch');
SELECT is((SELECT count(*) FROM cdp_data.identifier WHERE value = 'gone@example.org') + (SELECT count(*) FROM cdp_data.quarantine WHERE original::text ~* 'gone'), 0::bigint, 'and leaves nothing');

-- Health.
SELECT is((SELECT string_agg(finding, ' ' ORDER BY finding) FROM cdp.health() WHERE area = 'consent'), NULL, 'all is well');

-- The outbox.
INSERT INTO cdp_data.destination (destination, purpose, channel) VALUES ('mail', 'marketing', 'email'), ('nowhere', NULL, ''), ('typo', 'markting', ''), ('orders', 'service', '');
INSERT INTO cdp_data.consent_state (identifier_id, customer_id, purpose_id, channel, explicit_at, explicit_until) VALUES (4711, 4711, 4, '', now(), now() + interval '1 week');
BEGIN;
GRANT DELETE ON cdp_data.consent TO postgres;
SELECT is((SELECT string_agg(DISTINCT finding, ' ' ORDER BY finding) FROM cdp.health() WHERE area = 'consent'), 'consent_expires consent_guard destination_purpose purpose_without_notice', 'what somebody should look at');
ROLLBACK;
SELECT is(cdp.outbox_refusal('nowhere', 'news', :ann) || cdp.outbox_refusal('typo', 'news', :ann), 'the destination has no purpose; name one in cdp_data.destination.purpose' || 'the destination''s purpose "markting" is unknown', 'no purpose, no message');
SELECT is((cdp.outbox_refusal('mail', 'news') IS NULL)::text || (cdp.outbox_refusal('orders', 'receipt') IS NULL)::text || (cdp.outbox_refusal('nowhere', 'erase') IS NULL)::text, 'falsetruetrue', 'nobody''s consent can not be asked; service and erasures need none');
-- ann's e-mail address and her account become one, and so does bob's: messages under all three numbers
SELECT identifier_id AS ann_mail FROM cdp_data.identifier WHERE value = 'ann@example.org' \gset
SELECT identifier_id AS ann_user, customer_id AS ann2 FROM cdp_data.identifier WHERE value = '7' \gset
SELECT cdp.outbox_put('mail', 'news', '{"n": 1}', customer_id => :ann), cdp.outbox_put('mail', 'news', '{"n": 2}', customer_id => :ann2), cdp.outbox_put('mail', 'news', '{"n": 3}', customer_id => :bob);
SELECT cdp.link_identifiers(:ann_mail, :ann_user);
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE state = 'waiting'), 3::bigint, 'three messages wait');
BEGIN;
SELECT cdp.record_consent('web', 'marketing', 'withdrawn', '{"user_id": "7"}') AS withdrawn;
SELECT is((SELECT string_agg(state || payload::text, ' ' ORDER BY outbox_id) FROM cdp_data.outbox), 'cancelled{} cancelled{} waiting{"n": 3}', 'a withdrawal takes hers out, under both numbers, within its transaction');
SELECT is(coalesce(cdp.outbox_put('mail', 'news', '{}', customer_id => :ann)::text, 'refused') || ' ' || (SELECT count(*) FROM cdp.consented_customers('marketing', 'email') c WHERE c IN (:ann, :ann2))
  || ' ' || cdp_internal.bitmap_has(cdp.consent_bitmap('marketing', 'email'), cdp_internal.root_of(:ann)) || ' ' || cdp.consent_allowed(:ann, 'marketing', 'email'), 'refused 0 false false', 'and every form of the gate says no');
ROLLBACK;
SELECT is((SELECT string_agg(payload ->> 'n', ' ' ORDER BY payload ->> 'n') FROM cdp.outbox_take('mail', 10)), '1 2 3', 'rolled back: all are taken');
-- taken messages whose lease runs out are asked about again
SELECT cdp.record_consent('web', 'marketing', 'denied', customer => :bob, channel => 'email') AS denied;
UPDATE cdp_data.outbox SET next_attempt_at = now() - interval '1 minute' WHERE state = 'taken';
SELECT is((SELECT string_agg(payload ->> 'n', ' ' ORDER BY payload ->> 'n') FROM cdp.outbox_take('mail', 10)), '1 2', 'a message that comes back is not taken without consent');
SELECT matches((SELECT state || ': ' || last_error FROM cdp_data.outbox WHERE customer_id = :bob), 'cancelled: no consent of customer \d+ to marketing by email', 'it is cancelled, and says why');
SELECT is((SELECT count(*) FROM cdp_data.change_feed WHERE cause = 'consent' AND customer_id = :bob) > 0, true, 'the feed tells');

-- A role that row security keeps to one source does not see the withdrawal that came by another: it gets no answer from a part of the ledger.
CREATE ROLE consent_test_kept;
GRANT consent_test_privacy TO consent_test_kept;
SELECT customer_ids[1] AS kept FROM cdp.record_consent('web', 'sharing', 'granted', '{"email": "kept@example.org"}', effective_at => '2026-01-01') \gset
SELECT result FROM cdp.record_consent('crm', 'sharing', 'withdrawn', '{"email": "kept@example.org"}', effective_at => '2026-02-01') \g /dev/null
SELECT cdp.restrict_to_sources('consent_test_kept', '{web}') \g /dev/null
SET ROLE consent_test_kept;
SELECT is((SELECT count(*) FROM cdp_data.consent c JOIN cdp_data.purpose_all p USING (purpose_id) WHERE p.name = 'sharing' AND c.effective_at IN ('2026-01-01', '2026-02-01')), 1::bigint, 'the grant is seen, the withdrawal is not');
SELECT throws_ok(format($$SELECT cdp.consent_at(%s, 'sharing')$$, :'kept'), '42501', 'permission denied to judge by the ledger of consent', 'no state from a part');
SELECT throws_ok(format($$SELECT cdp.consent_allowed(%s, 'sharing', as_of => '2026-03-01')$$, :'kept'), '42501', 'permission denied to judge by the ledger of consent', 'no answer about the past');
SELECT is(cdp.consent_allowed(:kept, 'sharing'), false, 'the gate of now knows all sources');
SET ROLE consent_test_privacy;
SELECT is((SELECT state || ' ' || allowed FROM cdp.consent_at(:kept, 'sharing')), 'refused false', 'who is kept to none gets the state');
RESET ROLE;
SELECT cdp.restrict_to_sources('consent_test_kept', NULL) \g /dev/null

-- What people type into setters is refused in our own words: never a constraint's error, which shows the whole row.
CREATE TEMP TABLE tried (call text, word text, code text, message text, detail text, hint text);
CREATE FUNCTION pg_temp.try(call text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w text;
  t tried;
BEGIN
  FOREACH w IN ARRAY ARRAY[NULL, '', '  ', E'a\tb', 'x''; DROP TABLE cdp_data.purpose; --', repeat('x', 70000), 'ok_word'] LOOP
    t := (call, w, 'taken', '', '', '');
    BEGIN
      EXECUTE 'SELECT ' || replace(call, '?', quote_nullable(w));
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS t.code = RETURNED_SQLSTATE, t.message = MESSAGE_TEXT, t.detail = PG_EXCEPTION_DETAIL, t.hint = PG_EXCEPTION_HINT;
    END;
    INSERT INTO tried SELECT t.*;
  END LOOP;
END $$;
SELECT cdp.open_breach('for the next calls') AS breach \gset
SELECT pg_temp.try(replace(c, '#', :'breach')) FROM unnest(ARRAY[
  $$cdp.set_purpose(?, 'consent', 'opt_in')$$, $$cdp.set_purpose('aa', ?, 'opt_in')$$, $$cdp.set_purpose('aa', 'consent', ?)$$,
  $$cdp.add_notice(?, '1', 'text')$$, $$cdp.add_notice('sharing', ?, 'text')$$, $$cdp.add_notice('sharing', '7', ?)$$, $$cdp.add_notice('sharing', '8', 'x', ?)$$,
  $$cdp.allow_purposes(?, 'city', '{service}')$$, $$cdp.allow_purposes('attribute', ?, '{service}')$$, $$cdp.allow_purposes('kind', ?, '{service}')$$, $$cdp.allow_purposes('property', 'purchase', '{service}', key => ?)$$,
  $$cdp.allow_purposes('attribute', 'city', NULL, sensitivity => coalesce(?, 'NULL'))$$, $$cdp.allow_purposes('kind', 'purchase', NULL, sensitivity => coalesce(?, 'NULL'))$$, $$cdp.allow_purposes('property', 'purchase', NULL, key => 'k', sensitivity => coalesce(?, 'NULL'))$$,
  $$cdp.add_destination(?, 'service')$$, $$cdp.add_destination('d', ?)$$, $$cdp.add_destination('d', 'service', kind => coalesce(?, ''))$$,
  $$cdp.set_retention(?, '1 day')$$, $$cdp.set_retention('attribute', '1 day', 'city', basis => coalesce(?, ''))$$,
  $$cdp.set_gate(?, 'freshness', 'web', max_age => '1 day')$$, $$cdp.set_gate('g', ?, 'web', max_age => '1 day')$$, $$cdp.set_gate('g', 'freshness', ?, max_age => '1 day')$$, $$cdp.set_gate(coalesce(?, 'g'), 'freshness', 'web', max_age => '-1 day')$$,
  $$cdp.set_gate(coalesce(?, 'g'), 'size_jump', 'web', max_change => 'NaN')$$,
  $$cdp.open_request(?)$$, $$cdp.open_request('access', ?)$$, $$cdp.open_request('access', channel => coalesce(?, ''))$$, $$cdp.open_request('access', reference => ?, received_at => 'infinity')$$,
  $$cdp.open_breach(?)$$, $$cdp.open_breach('x', risk => coalesce(?, ''))$$, $$cdp.open_breach(coalesce(?, 'x'), risk => 'none')$$, $$cdp.open_breach('x', details => jsonb_build_object('people', coalesce(?, '-1')))$$,
  $$cdp.open_breach('x', details => jsonb_build_object('categories', coalesce(?, '')))$$, $$cdp.breach_notified(#, ?, 'x')$$, $$cdp.breach_notified(#, 'authority', ?)$$, $$cdp.breach_notified(#, 'authority', coalesce(?, 'x'), people => -1)$$]) c \g /dev/null
SELECT is((SELECT string_agg(DISTINCT call, ' ' ORDER BY call) FROM tried WHERE code NOT IN ('taken', '22023', '22004', '22008', '22007', '23505')), NULL, 'with codes that say what it is');
SELECT is((SELECT string_agg(DISTINCT call, ' ' ORDER BY call) FROM tried WHERE detail ~ 'Failing row' OR octet_length(message || detail || hint) > 1500), NULL, 'no error shows a row, nor all that was typed');
SELECT is((SELECT string_agg(DISTINCT call, ' ' ORDER BY call) FROM tried WHERE code <> 'taken' AND code NOT LIKE '22007' AND hint = ''), NULL, 'each says what to do');
SELECT is((SELECT string_agg(call, ' ' ORDER BY call) FROM tried WHERE word IS NULL AND code = 'taken'), NULL, 'NULL is taken by none');

-- What is recorded, and yet is less than it seems, is told.
\setenv DATABASE :DBNAME
\set some `psql -qXAt -d "$DATABASE" -c "SELECT result FROM cdp.record_consent('web', 'marketing', 'withdrawn', jsonb_build_object('email', 'no address', 'cookie', 'w1', 'user_id', ''))" 2>&1`
SELECT matches(:'some'::text, '^WARNING:  the consent is not recorded for all identifiers\nDETAIL:  email: bad_email[.]\nHINT: .*\nwritten$', 'an identifier that is none is told, an empty one is not');
\set channel `psql -qXAt -d "$DATABASE" -c "SELECT string_agg(r.result, ' ') FROM (VALUES ('analytics', 'web', 'denied'), ('analytics', '', 'denied'), ('marketing', 'email', 'denied'), ('analytics', 'web', 'granted')) v (purpose, channel, status), cdp.record_consent('web', v.purpose, v.status, jsonb_build_object('cookie', 'w1'), channel => v.channel) r" 2>&1`
SELECT matches(:'channel'::text, '^WARNING:  what is done for "analytics" without a channel goes on\nDETAIL: [^\n]* web [^\n]*\nHINT: [^\n]*\nwritten written written written$', 'a refusal that reports do not hear is told');
SELECT * FROM finish();
DROP OWNED BY consent_test_kept, consent_test_owner, consent_test_analyst, consent_test_privacy, consent_test_reader;
DROP ROLE consent_test_kept, consent_test_owner, consent_test_analyst, consent_test_privacy, consent_test_reader;
