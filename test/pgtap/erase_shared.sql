-- What is shared between people, or stands under a key only: records that were corrected from one person to another,
-- refused rows under a message's number or a short number of a customer, messages to nobody in particular and messages
-- of the time when two were taken for one, rows of the user's own tables, requests about a customer who was parted since.
SELECT plan(44);
SET client_min_messages = error;
CREATE FUNCTION traces(pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  t regclass; n bigint; told text := '';
BEGIN
  FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'cdp_data'::regnamespace ORDER BY c.relname LOOP
    EXECUTE format('SELECT count(*) FROM %s x WHERE x::text ~* $1', t) INTO n USING pattern;
    told := told || CASE WHEN n > 0 THEN format('%s %s ', t, n) ELSE '' END;
  END LOOP;
  RETURN btrim(told);
END $$;
CREATE FUNCTION id_of(v text) RETURNS bigint LANGUAGE sql AS 'SELECT identifier_id FROM cdp_data.identifier WHERE value = v';
CREATE FUNCTION root(v text) RETURNS bigint LANGUAGE sql AS 'SELECT cdp.customer_of(''email'', v)';
-- SQLSTATE, detail and hint of an error, and whether it shows a word.
CREATE FUNCTION told(call text, word text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  EXECUTE call;
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(', ', SQLSTATE, CASE WHEN concat(SQLERRM, detail, hint) ILIKE '%' || word || '%' THEN 'shows it' END, CASE WHEN hint = '' THEN 'no hint' END);
END $$;
SELECT cdp.add_source('crm'), cdp.add_source('app');

-- 1. Consent. One record of a source first told of ada, then, corrected, of zoe; another of zoe alone, corrected.
SELECT cdp.create_consent_staging('public.c');
INSERT INTO c (source_key, identifier_type, identifier, purpose, channel, status, effective_at, explicit) VALUES
  ('rec zoe-1', 'email', 'ada@x.example', 'marketing', 'email', 'granted', '2026-01-01', 'true'), ('rec zoe-2', 'email', 'zoe@leak.example', 'sharing', '', 'granted', '2026-01-01', 'true'),
  ('rec 3', 'email', 'ada@x.example', 'sharing', '', 'granted', '2026-01-01', 'true');
SELECT inserted FROM cdp.load_consents('crm', 'c');
UPDATE c SET identifier = 'zoe@leak.example' WHERE source_key = 'rec zoe-1';
UPDATE c SET status = 'denied' WHERE source_key = 'rec zoe-2';
SELECT is((SELECT corrected FROM cdp.load_consents('crm', 'c')), 2::bigint, 'two records are corrected, one of them to another person');
SELECT is(cdp.consent_allowed(root('ada@x.example'), 'marketing', 'email'), false, 'what was said of her was never said by him');
INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
SELECT 1, source_id, '{"source_key": "rec zoe-2", "identifier": "zoe at leak", "evidence": "Zoe, by phone"}', 'bad_identifier', 'x' FROM cdp_data.source WHERE name = 'crm';
SELECT cdp.erase_customer(root('zoe@leak.example')) IS NOT NULL AS erased;
SELECT is(traces('zoe'), '', 'she is erased, with the refused row under the key of one of her consents');
SELECT is((SELECT string_agg(format('%s %s %s', purpose, status, in_force), ', ' ORDER BY consent_id) FROM cdp.consent_history('email', 'zoe@leak.example')), 'sharing granted f, marketing granted t, sharing denied t', 'the proof still tells which version counted');
SELECT is((SELECT source_key FROM cdp_data.consent WHERE identifier_id = id_of('ada@x.example') AND purpose_id = 4), 'rec 3', 'keys of records of others alone stay');
SELECT cdp.rebuild_consent_state() > 0 AS rebuilt;
SELECT is(cdp.consent_allowed(root('ada@x.example'), 'marketing', 'email'), false, 'made anew, the summaries do not take the first version for true');
SELECT is((SELECT count(*) FROM cdp.consented_customers('marketing', 'email')), 0::bigint, 'nobody gets mail');
SELECT cdp.revert_load(max(load_id)) FROM cdp_data.load WHERE kind = 'consents';
SELECT is(cdp.consent_allowed(root('ada@x.example'), 'marketing', 'email'), true, 'unless the correction is taken back');
SELECT cdp.retry_load(max(load_id)) FROM cdp_data.load WHERE kind = 'consents';
SELECT is(cdp.consent_allowed(root('ada@x.example'), 'marketing', 'email'), false, 'and put in again');
SELECT is((SELECT quarantined FROM cdp.load_consents('crm', 'c')), 2::bigint, 'a batch that brings her again is refused');
SELECT is((SELECT result FROM cdp.record_consent('crm', 'marketing', 'granted', '{"email": "zoe@leak.example"}')), 'suppressed', 'so is a call');
SELECT is((SELECT sum(n) FROM cdp_data.suppression_refusal), 3::numeric, 'and all are counted');

-- A grant about a customer belongs to what is his alone, not to what is only attached to him.
SELECT cdp.add_identifier_type('till', role => 'attach_only', priority => 1);
SELECT cdp.identify('app', '{"till": "till-1", "email": "guest@x.example"}');
SELECT cdp.record_consent('app', 'marketing', 'granted', customer => root('guest@x.example'));
SELECT is((SELECT string_agg(i.value, ' ') FROM cdp_data.consent c JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value IN ('till-1', 'guest@x.example')), 'guest@x.example', 'no grant stands under what is only attached');

-- 2. Rows of quarantine that have a message's number, or a short number under the name that a contract gives it.
SELECT status FROM cdp.identify('app', '{"email": "yan@leak.example", "user_id": "77"}', '{}', now(), 'yan-msg-1');
SELECT cdp.add_source('shop'), cdp.declare_contract('shop', 'customer', '[{"field": "kundennr", "target": "identifier user_id"}]');
INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
SELECT 1, s.source_id, v.o::jsonb, 'x', 'x' FROM cdp_data.source s, (VALUES ('{"type": "identify", "messageId": "yan-msg-1", "traits": {"name": "Yan"}}'), ('{"kundennr": "77", "name": "Yan"}'), ('{"kundennr": 77, "name": "Yan"}'),
  ('{"type": "alias", "previousId": "77", "context": {"name": "Yan"}}'), ('{"quantity": 77, "name": "somebody"}'), ('{"type": "identify", "messageId": "yan-msg-10", "traits": {"name": "somebody"}}')) v (o) WHERE s.name = 'app';
-- Messages to nobody in particular, which name her in their key, or in what the destination answered.
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service');
SELECT cdp.outbox_put('mailer', 'hello', '{"n": 1}', 'hello yan@leak.example'), cdp.outbox_put('mailer', 'hello', '{"n": 2}', 'k2'), cdp.outbox_put('mailer', 'hello', '{"n": 3}', 'k3'), cdp.outbox_put('mailer', 'hello', '{"to": "Yan@leak.example"}');
UPDATE cdp_data.outbox SET state = 'failed', last_error = CASE payload ->> 'n' WHEN '2' THEN '550 <yan@leak.example> no such user' ELSE 'HTTP 500' END WHERE payload ->> 'n' IN ('2', '3');
SELECT is((SELECT jsonb_array_length(d -> 'tables' -> 'cdp_data.outbox') || ' ' || jsonb_array_length(d -> 'tables' -> 'cdp_data.quarantine') FROM cdp.subject_export(root('yan@leak.example')) d), '3 3', 'the export shows these messages and rows');
SELECT cdp.erase_customer(root('yan@leak.example')) IS NOT NULL AS erased;
SELECT is(traces('\myan'), 'cdp_data.quarantine 1', 'the erasure takes them');
SELECT is((SELECT string_agg(original ->> 'messageId', ' ') || ' ' || count(*) FROM cdp_data.quarantine WHERE original #>> '{traits,name}' = 'somebody' OR original ->> 'name' = 'somebody'), 'yan-msg-10 2', 'and no others');
SELECT is((SELECT string_agg(payload ->> 'n', ' ') FROM cdp_data.outbox WHERE kind = 'hello'), '3', 'nor messages of others');

-- 3. Messages of the time when two were taken for one: each export has its own, and the one that names both nobody's.
SELECT cdp.identify('app', '{"email": "max@x.example"}', '{}', now(), 'm1'), cdp.identify('app', '{"email": "moritz@leak.example"}', '{}', now(), 'm2');
SELECT cdp.link_identifiers(id_of('max@x.example'), id_of('moritz@leak.example'), 'a mistake');
SELECT root('max@x.example') AS both \gset
SELECT cdp.outbox_put('mailer', 'upsert', '{"email": "moritz@leak.example"}', customer_id => :both), cdp.outbox_put('mailer', 'upsert', '{"email": "max@x.example"}', customer_id => :both),
  cdp.outbox_put('mailer', 'upsert', '{"email": ["max@x.example", "moritz@leak.example"]}', customer_id => :both), cdp.outbox_put('mailer', 'upsert', '{"gift": 1}', customer_id => :both);
SELECT is(jsonb_array_length(cdp.subject_export(:both) #> '{tables,cdp_data.outbox}'), 4, 'as one they have all');
SELECT cdp.open_request('access', customer => :both) AS request \gset
SELECT cdp.verify_request(:request, 'by phone');
SELECT cdp.open_request('erasure', customer => :both) AS erasure \gset
SELECT cdp.verify_request(:erasure, 'by phone');
SELECT is(told(format('SELECT cdp.verify_request(%s, ''again'', %s)', :request, :both), 'moritz'), '55000', 'a request is verified once');
SELECT cdp.unmerge(identifier => id_of('moritz@leak.example'), reason => 'two people');
SELECT root('max@x.example') AS max, root('moritz@leak.example') AS moritz \gset
SELECT is((SELECT string_agg(o ->> 'payload', ' ') FROM jsonb_array_elements(cdp.subject_export(:moritz) #> '{tables,cdp_data.outbox}') o WHERE o ->> 'kind' = 'upsert'), CASE :moritz WHEN :both THEN '{"email": "moritz@leak.example"} {"gift": 1}' ELSE '{"email": "moritz@leak.example"}' END, 'parted, he has his');
SELECT is((SELECT string_agg(o ->> 'payload', ' ') FROM jsonb_array_elements(cdp.subject_export(:max) #> '{tables,cdp_data.outbox}') o WHERE o ->> 'kind' = 'upsert'), CASE :max WHEN :both THEN '{"email": "max@x.example"} {"gift": 1}' ELSE '{"email": "max@x.example"}' END, 'and the other his');
SELECT is((SELECT string_agg(csv, '') ~ 'moritz' FROM cdp.subject_export_csv(:max)), false, 'in the files, too');

-- 4. Who asked before they were parted is asked once more who he is.
SELECT is(told(format('SELECT cdp.fulfil_request(%s)', :request), 'moritz'), '55000', 'no export of who may be another');
SELECT is(told(format('SELECT cdp.fulfil_request(%s)', :erasure), 'moritz'), '55000', 'let alone an erasure');
SELECT is(told(format('SELECT cdp.verify_request(%s, ''passport'')', :erasure), 'moritz'), '22023', 'the customer is told anew');
SELECT is(cdp.verify_request(:erasure, 'passport', :moritz), true, 'checked again');
SELECT is(cdp.verify_request(:request, 'passport', :max, false), false, 'a check may fail');
SELECT is((SELECT state FROM cdp_data.request WHERE request_id = :request), 'received', 'then it is not verified any more');
SELECT is(cdp.fulfil_request(:erasure) ->> 'customer', :'moritz', 'he who asked is erased');
SELECT is(cdp.customer_of('email', 'max@x.example'), :max::bigint, 'the other is there');
SELECT is(traces('moritz'), '', 'and has nothing of him');
SELECT is((SELECT string_agg(step, ', ' ORDER BY step_id) FROM cdp_data.request_step WHERE request_id = :erasure), 'opened, verified, verified, fulfilled', 'every step is on record');

-- 5. The user's own tables: the key that is an identifier goes with what it led to, unless it is to be kept; an error of a
-- constraint does not show the row.
SELECT cdp.identify('app', '{"email": "nan@leak.example"}', '{}', now(), 'm3');
CREATE TABLE card (mail text, holder text);
CREATE TABLE kept (mail text, holder text NOT NULL);
CREATE TABLE score (mail text, points int NOT NULL, CHECK (points > 0));
INSERT INTO card VALUES ('NAN@leak.example', 'Nan'), ('max@x.example', 'Max');
INSERT INTO kept SELECT * FROM card;
INSERT INTO score VALUES ('nan@leak.example', 7), ('max@x.example', 8);
SELECT cdp.register_personal_data(t::regclass, c, 'content', 'mail', 'value', e, subject_type => 'email')
FROM (VALUES ('card', 'holder', 'clear'), ('kept', 'holder', 'clear'), ('kept', 'mail', 'keep'), ('score', 'points', 'clear')) v (t, c, e);
SELECT is((SELECT string_agg(DISTINCT told(c, 'nan@'), ' ') FROM unnest(ARRAY[$$SELECT cdp.register_personal_data('card', 'holder', 'gossip', 'mail', 'value', 'clear')$$,
  $$SELECT cdp.register_personal_data('card', 'holder', 'content', 'mail', 'person', 'clear')$$, $$SELECT cdp.register_personal_data('card', 'holder', 'content', 'mail', 'value', 'burn')$$,
  $$SELECT cdp.register_personal_data('card', 'holder', 'content', 'mail', NULL, 'clear')$$, $$SELECT cdp.register_personal_data('card', 'holder', 'content', 'mail', 'value', 'clear', subject_type => 'mail')$$]) c), '22023', 'words that are none are refused in our own error');
SELECT is(told($$SELECT cdp.register_personal_data('card', 'holder', 'content', NULL, 'value', 'clear')$$, 'nan@'), '22004', 'a key is needed');
SELECT root('nan@leak.example') AS nan \gset
SELECT is(told(format('SELECT cdp.erase_customer(%s)', :nan), 'nan@'), '55000', 'a column that can not be emptied stops the erasure, and shows nothing');
SELECT is((SELECT count(*) FROM card WHERE holder = 'Nan'), 1::bigint, 'nothing is done by halves');
SELECT cdp.register_personal_data('score', 'points', 'content', 'mail', 'value', 'delete', subject_type => 'email');
SELECT cdp.erase_customer(:nan) IS NOT NULL AS erased;
SELECT is((SELECT string_agg(format('%s/%s', mail, holder), ' ' ORDER BY mail) FROM card), 'max@x.example/Max /', 'the key goes with the value');
SELECT is((SELECT string_agg(format('%s/%s', mail, holder), ' ' ORDER BY mail) FROM kept), 'NAN@leak.example/ max@x.example/Max', 'unless it is registered to be kept');
SELECT is((SELECT string_agg(mail, ' ') FROM score), 'max@x.example', 'rows go');
SELECT is(traces('nan@leak'), '', 'and nothing is in our tables');
SELECT is_empty('SELECT * FROM cdp.erasure_verify()', 'the receipts are whole');

-- 6. A name of a field that may be somebody's number is no name; a value that identifies nobody is still blocked
-- when a customer who had it is erased for his age, and gone when he is refused.
SELECT cdp.ingest('app', '{"type": "identify", "userId": "u8", "messageId": "u8-1", "traits": {"call 015123456789": "2", "shoe": "3"}}');
SELECT is((SELECT string_agg(field, ', ') FROM cdp_data.source_unmapped), 'shoe', 'unused fields are noted by names only');
SELECT cdp.customer_of('user_id', 'u8') AS old \gset
INSERT INTO cdp_data.identifier_block (value) VALUES ('U8'), ('max@x.example');
SELECT cdp_internal.erase_in(:old, 'anonymise', NULL, now() + interval '1 day') ->> 'cause' AS cause;
SELECT is((SELECT string_agg(value, ' ' ORDER BY value) FROM cdp_data.identifier_block), 'U8 max@x.example', 'who stayed away may come again, under what is not blocked');
SELECT cdp.erase_customer(:max) IS NOT NULL AS erased;
SELECT is((SELECT string_agg(value, ' ') FROM cdp_data.identifier_block), 'U8', 'who is refused leaves nothing in the list');
SELECT * FROM finish();
