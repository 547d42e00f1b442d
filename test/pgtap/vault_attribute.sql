-- Encrypted attributes and texts: nothing readable is stored, equal stays equal, who may reads, and nothing opens that was touched.
SELECT plan(80);

-- Texts.
SELECT is(cdp.decrypt_text(cdp.encrypt_text('Grüße 你好', 'c'), 'c'), 'Grüße 你好', 'a text comes back');
SELECT is(cdp.decrypt_text(cdp.encrypt_text('', 'c'), 'c'), '', 'so does the empty one');
SELECT is(cdp.encrypt_text(NULL, 'c'), NULL, 'NULL for NULL');
SELECT is(cdp.decrypt_text(NULL, 'c'), NULL, 'and back');
SELECT is(md5(cdp.decrypt_text(cdp.encrypt_text(repeat('x', 1048576), 'c'), 'c')), md5(repeat('x', 1048576)), 'a megabyte');
SELECT isnt(cdp.encrypt_text('a', 'c'), cdp.encrypt_text('a', 'c'), 'twice the same text is encrypted otherwise');
SELECT is(cdp.encrypt_text('a', 'c', true), cdp.encrypt_text('a', 'c', true), 'unless it is asked to be same for same');
SELECT isnt(cdp.encrypt_text('a', 'c', true), cdp.encrypt_text('a', 'd', true), 'but not in another context');
SELECT is(left(cdp.encrypt_text('a', 'c'), 7), 'cdp1:1:', 'the key''s number is told');
SELECT throws_ok($$SELECT cdp.encrypt_text('a', '')$$, '22023', NULL, 'a context is needed');
SELECT throws_ok($$SELECT cdp.decrypt_text(cdp.encrypt_text('a', 'c'), 'd')$$, '39000', NULL, 'another context does not open it');
SELECT throws_ok($$SELECT cdp.decrypt_text('a', 'd')$$, '22023', NULL, 'plain text is none');
SELECT throws_ok($$SELECT cdp.decrypt_text(replace(cdp.encrypt_text('a', 'c'), 'cdp1:1:', 'cdp1:7:'), 'c')$$, '55000', NULL, 'an unknown key is told');
-- Every byte of it replaced by several others, one at a time; each byte taken out; one put in.
CREATE FUNCTION pg_temp.opens(e text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN cdp_internal.open_text(e, 'text c');
EXCEPTION WHEN invalid_parameter_value OR external_routine_invocation_exception OR object_not_in_prerequisite_state THEN
  RETURN 'error';
END $$;
CREATE TEMP TABLE envelope AS SELECT cdp.encrypt_text(v, 'c') AS e FROM unnest(ARRAY['a', 'ab', 'abc', 'some longer text']) v;
SELECT is((SELECT count(*) FROM envelope, generate_series(1, length(e)) n, unnest(ARRAY['A', 'B', '=', '/', '0', '1', ' ', E'\n', chr(223), '_']) c
  WHERE overlay(e placing c from n for 1) <> e AND pg_temp.opens(overlay(e placing c from n for 1)) <> 'error'), 0::bigint, 'any byte changed: an error, never a wrong text');
SELECT is((SELECT count(*) FROM envelope, generate_series(1, length(e)) n WHERE pg_temp.opens(overlay(e placing '' from n for 1)) <> 'error'), 0::bigint, 'any byte taken out');
SELECT is((SELECT count(*) FROM envelope, generate_series(1, length(e) + 1) n WHERE pg_temp.opens(overlay(e placing 'A' from n for 0)) <> 'error'), 0::bigint, 'or put in');
SELECT is((SELECT count(*) FROM envelope, generate_series(0, length(e) - 1) n WHERE pg_temp.opens(left(e, n)) <> 'error'), 0::bigint, 'or cut off');
SELECT is((SELECT count(*) FROM envelope WHERE pg_temp.opens(e) IN ('a', 'ab', 'abc', 'some longer text')), 4::bigint, 'as they are they open');

-- Attributes.
SELECT cdp.add_source('shop'), cdp.add_source('crm'), cdp.add_attribute('id_card', 'text', 'most_frequent', sensitivity => 'sensitive') \g /dev/null
SELECT throws_ok($$SELECT cdp.encrypt_attribute('membership_points')$$, '22023', NULL, 'sums can not be encrypted');
SELECT throws_ok($$SELECT cdp.encrypt_attribute('tags')$$, '22023', NULL, 'nor unions');
SELECT throws_ok($$SELECT cdp.encrypt_attribute('id_crad')$$, '22023', NULL, 'nor what is unknown');
SELECT throws_ok($$UPDATE cdp_data.attribute SET encrypted = true, strategy = 'longest' WHERE name = 'id_card'$$, '23514', NULL, 'nor by hand what compares more than equality');
SELECT * FROM cdp.identify('shop', '{"user_id": "u0"}', '{"birthday": "1980-02-03"}') \g /dev/null
SELECT is(cdp.encrypt_attribute('id_card'), cdp.encrypt_attribute('id_card'), 'one of our own is, twice is once');
SELECT is(cdp.encrypt_attribute('birthday'), 8, 'and a built-in one');
SELECT * FROM cdp.identify('shop', '{"user_id": "u1"}', '{"id_card": "SECRET-7731", "birthday": "1991-04-05", "city": "Wuhan"}', '2026-01-01') \g /dev/null
CREATE TABLE public.people (user_id text, id_card text, birthday text);
INSERT INTO public.people VALUES ('u1', 'SECRET-7731', '1991/04/05'), ('u2', 'SECRET-9999', '1970-01-01'), ('', 'SECRET-0000', '1971-01-01');
SELECT cdp.load_customers('crm', 'people') \g /dev/null
SELECT is((SELECT unchanged FROM cdp.load_customers('crm', 'people')), 2::bigint, 'the same records again are the same');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value ~ 'SECRET|19[79][0-9]-'), 0::bigint, 'nothing readable stands among the values');
SELECT is((SELECT count(DISTINCT value) || ' of ' || count(*) FROM cdp_data.attribute_value v JOIN cdp_data.attribute a USING (attribute_id) WHERE a.name = 'id_card'), '2 of 3', 'equal values are equal texts, whichever source and road they come by');
SELECT * FROM cdp.refresh_profiles() \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.profile p WHERE p::text ~ 'SECRET|19[79][0-9]-'), 0::bigint, 'nor in the profile');
SELECT is((SELECT count(*) FROM cdp_data.profile WHERE birthday IS NOT NULL OR birth_year IS NOT NULL), 0::bigint, 'whose typed column is empty');
SELECT is((SELECT count(*) FROM cdp_data.quarantine q WHERE q::text ~ 'SECRET'), 0::bigint, 'nor among refused records');
SELECT results_eq($$SELECT DISTINCT q.code, q.original ? 'id_card' FROM cdp_data.quarantine q$$, $$VALUES ('no_identifier'::text, true)$$, 'which keep the field');
SELECT is((SELECT DISTINCT cdp_internal.open_attribute(a.attribute_id, q.original ->> 'id_card') FROM cdp_data.quarantine q, cdp_data.attribute a WHERE a.name = 'id_card'), 'SECRET-0000', 'as an envelope');
SELECT * FROM cdp.ingest('shop', '[{"type": "wrong", "traits": {"idCard": "SECRET-1", "city": "X"}, "context": {"traits": {"id_card": "SECRET-2"}}}]') \g /dev/null
SELECT results_eq($$SELECT original #>> '{traits,city}', original::text ~ 'SECRET', cdp_internal.envelope_key(original #>> '{traits,idCard}'), cdp_internal.envelope_key(original #>> '{context,traits,id_card}')
  FROM cdp_data.quarantine ORDER BY quarantine_id DESC LIMIT 1$$, $$VALUES ('X'::text, false, 1, 1)$$, 'nor among refused messages, which keep it sealed');
SELECT is((cdp.customer_360('user_id', 'u1') -> 'attributes' ->> 'id_card') LIKE 'cdp1:1:%', true, 'customer_360 shows the envelope');
SELECT is((cdp.customer_360('user_id', 'u1') -> 'provenance' -> 'id_card' ->> 'others'), '0', 'and that both sources agree');

-- Reading.
CREATE TEMP TABLE who AS SELECT cdp.customer_of('user_id', 'u1') AS one, cdp.customer_of('user_id', 'u0') AS zero;
SELECT is((SELECT cdp.reveal(one, 'id_card') FROM who), 'SECRET-7731', 'reveal tells the value');
SELECT is((SELECT cdp.reveal(one, 'birthday') FROM who), '1991-04-05', 'in the stored form');
SELECT is((SELECT cdp.reveal(zero, 'id_card') FROM who), NULL, 'NULL when nothing is known');
SELECT results_eq($$SELECT a.action, a.object, a.customer_id = w.one FROM cdp_data.audit a, who w WHERE a.action = 'reveal' AND a.object LIKE 'attribute%' ORDER BY audit_id LIMIT 2$$,
  $$VALUES ('reveal'::text, 'attribute id_card'::text, true), ('reveal', 'attribute birthday', true)$$, 'and leaves its trace');
SELECT is((SELECT count(*) FROM cdp_data.audit a WHERE a::text ~ 'SECRET-7731|1991-04-05'), 0::bigint, 'without the value');
SELECT throws_ok($$SELECT cdp.reveal(0, 'id_card')$$, '22023', NULL, 'an unknown customer');
CREATE ROLE vault_analyst; CREATE ROLE vault_privacy;
CALL cdp.setup(analyst => 'vault_analyst', privacy => 'vault_privacy');
GRANT SELECT ON who TO vault_analyst, vault_privacy;
SET ROLE vault_analyst;
SELECT throws_ok($$SELECT cdp.reveal((SELECT one FROM who), 'id_card')$$, '42501', NULL, 'an analyst may not');
SELECT throws_ok($$SELECT cdp_internal.open_attribute(8, 'cdp1:1:x')$$, '42501', NULL, 'by no road');
SET ROLE vault_privacy;
SELECT is((SELECT cdp.reveal(one, 'id_card') FROM who), 'SECRET-7731', 'the part of privacy may');
RESET ROLE;

-- Refused, mended and tried again: no field is lost, none is in the clear on the way.
CREATE FUNCTION pg_temp.card(u text) RETURNS text LANGUAGE sql AS $$SELECT cdp.reveal(cdp.customer_of('user_id', u), 'id_card')$$;
SELECT q.load_id AS refused FROM cdp_data.quarantine q JOIN cdp_data.load l USING (load_id) WHERE l.kind = 'customers' ORDER BY q.quarantine_id DESC LIMIT 1 \gset
UPDATE cdp_data.quarantine SET original = original || '{"user_id": "r1"}' WHERE load_id = :refused;
SELECT is((SELECT inserted FROM cdp.retry_quarantine(:refused)), 1::bigint, 'a refused record is mended');
SELECT is(pg_temp.card('r1'), 'SECRET-0000', 'and comes in with its encrypted field');
SELECT cdp.ingest('shop', '[{"type": "wrong", "messageId": "m1", "userId": "r2", "traits": {"idCard": "SECRET-2", "city": "X"}},
  {"type": "wrong", "messageId": "m2", "userId": "r3", "traits": {"id_card": 4711}}, {"type": "wrong", "messageId": "m3", "userId": "r4", "traits": {"id_card": "SECRET-4"}}]') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE original::text ~ 'SECRET|4711'), 0::bigint, 'of three messages no value is in the clear');
SELECT max(load_id) AS calls FROM cdp_data.load WHERE kind = 'calls' \gset
UPDATE cdp_data.quarantine SET original = original || '{"type": "identify"}' WHERE load_id = :calls AND original ? 'messageId';
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{traits,id_card}', '"SECRET-5"') WHERE load_id = :calls AND original ->> 'messageId' = 'm3';
SELECT is((SELECT written FROM cdp.retry_messages(:calls)), 3::bigint, 'all are mended');
SELECT is(pg_temp.card('r2'), 'SECRET-2', 'an envelope is read');
SELECT is(pg_temp.card('r3'), '4711', 'a number that was sealed, too');
SELECT is(pg_temp.card('r4'), 'SECRET-5', 'and a plain value that was written in its place');
-- Another's envelope in a field of another name, or of the same, is not opened for who sends it.
SELECT value AS stolen FROM cdp_data.attribute_value v JOIN cdp_data.attribute a USING (attribute_id) WHERE a.name = 'id_card' AND cdp_internal.open_attribute(attribute_id, value) = 'SECRET-7731' LIMIT 1 \gset
SELECT cdp.ingest('shop', format('[{"type": "wrong", "userId": "t1", "traits": {"city": "%1$s", "id_card": "%1$s"}}]', :'stolen')::jsonb) \g /dev/null
UPDATE cdp_data.quarantine SET original = original || '{"type": "identify"}' WHERE original ->> 'userId' = 't1';
SELECT cdp.retry_messages(:calls) \g /dev/null
SELECT is((SELECT cdp.customer_360('user_id', 't1') -> 'attributes' ->> 'city'), :'stolen', 'a stolen envelope in another field stays what it is');
SELECT is(pg_temp.card('t1'), :'stolen', 'in the same field, too');
-- By contract: paths into JSON, in a column of type text as well, and events that the load refuses later.
SELECT cdp.add_source('till') \g /dev/null
SELECT cdp.declare_contract('till', 'customer', '[{"field": "key", "target": "record source_key"}, {"field": "$.doc.login", "target": "identifier user_id"}, {"field": "$.doc.papers.card", "target": "attribute id_card"}]') \g /dev/null
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE public.till (key text, doc text);
INSERT INTO public.till VALUES ('1', '{"papers": {"card": "SECRET-T1"}}'), ('2', '{"papers": SECRET-T2');
SELECT load_id AS till FROM cdp.load_customers('till', 'till') \gset
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE original::text ~ 'SECRET') FROM cdp_data.quarantine WHERE load_id = :till), '2 0', 'by paths, in broken JSON too');
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{doc,login}', '"r5"') WHERE load_id = :till AND original ->> 'key' = '1';
SELECT is((SELECT inserted || ' ' || quarantined FROM cdp.retry_quarantine(:till)), '1 1', 'one is mended');
SELECT is(pg_temp.card('r5'), 'SECRET-T1', 'with its field');
SELECT is((SELECT cdp_internal.open_fields(q.original, cdp_internal.secret_places(q.source_id, q.original)) ->> 'doc' FROM cdp_data.quarantine q WHERE q.retried_by_load IS NULL AND q.original ->> 'key' = '2'),
  '{"papers": SECRET-T2', 'the broken one is as it came');
SELECT cdp.declare_contract('till', 'event', '[{"field": "key", "target": "touchpoint source_key"}, {"field": "at", "target": "touchpoint occurred_at"}, {"field": "what", "target": "touchpoint kind"}, {"field": "$.doc.login", "target": "identifier user_id"}, {"field": "$.doc.card", "target": "attribute id_card"}]') \g /dev/null
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE public.sold (key text, at text, what text, doc jsonb);
INSERT INTO public.sold VALUES ('e1', '1066-10-14', 'page_view', '{"login": "r6", "card": "SECRET-E1"}');
SELECT load_id AS sold FROM cdp.load_events('till', 'sold') \gset
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE original::text ~ 'SECRET') FROM cdp_data.quarantine WHERE load_id = :sold), '1 0', 'an event that happened at no credible time');
UPDATE cdp_data.quarantine SET original = original || '{"at": "2026-02-01"}' WHERE load_id = :sold;
SELECT is((SELECT inserted FROM cdp.retry_quarantine(:sold)), 1::bigint, 'is mended');
SELECT is(pg_temp.card('r6'), 'SECRET-E1', 'with its field');
-- Rotation reaches them: what was refused before the attribute was encrypted is sealed, and what a source wrote stops nothing.
SELECT cdp.ingest('shop', '{"type": "wrong", "userId": "r7", "traits": {"id_card": "SECRET-R7"}}') \g /dev/null
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{traits,id_card}', '"SECRET-R8"') WHERE original ->> 'userId' = 'r7';
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE original::text ~ 'SECRET'), 2::bigint, 'two that somebody mended stand in the clear');
SELECT is((SELECT cdp.subject_export(cdp.customer_of('user_id', 'r2')) -> 'tables' -> 'cdp_data.quarantine' -> 0 #>> '{original,traits,idCard}'), 'SECRET-2', 'an export opens what is sealed');

-- The envelope of a text where that of other JSON belongs: no error shows the text.
SELECT cdp.ingest('shop', '{"type": "wrong", "userId": "r9", "traits": {"id_card": 1}}') \g /dev/null
UPDATE cdp_data.quarantine SET original = jsonb_set(original, '{traits,id_card}', jsonb_build_object('cdp_sealed', :'stolen')) WHERE original ->> 'userId' = 'r9';
SELECT lives_ok($$SELECT cdp_internal.open_fields(q.original, cdp_internal.secret_places(q.source_id, q.original)) FROM cdp_data.quarantine q WHERE q.original ->> 'userId' = 'r9'$$, 'an envelope of a text in place of JSON');
SELECT is((SELECT cdp_internal.open_fields(q.original, cdp_internal.secret_places(q.source_id, q.original)) #>> '{traits,id_card,cdp_sealed}' FROM cdp_data.quarantine q WHERE q.original ->> 'userId' = 'r9'), :'stolen', 'stays as it is');

-- What was there in the clear, sealed by rotation.
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value = '1980-02-03'), 1::bigint, 'a value of before is readable');
SET client_min_messages = error;
CALL cdp.rotate_keys();
SELECT is((SELECT count(*) FILTER (WHERE value = '1980-02-03') || ' ' || count(*) FILTER (WHERE cdp_internal.envelope_key(value) <> 1) FROM cdp_data.attribute_value v JOIN cdp_data.attribute a USING (attribute_id) WHERE a.encrypted), '0 0', 'until keys are rotated');
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE original::text ~ 'SECRET'), 0::bigint, 'also in quarantine');
SELECT is((SELECT cdp_internal.open_fields(q.original, cdp_internal.secret_places(q.source_id, q.original)) #>> '{traits,id_card}' FROM cdp_data.quarantine q WHERE q.original ->> 'userId' = 'r7'), 'SECRET-R8', 'from where it opens');
SELECT is((SELECT state FROM (SELECT CASE WHEN finished_at IS NULL THEN 'open' ELSE 'done ' || unopened END AS state FROM cdp_data.key_rotation ORDER BY rotation_id DESC LIMIT 1) x), 'done 0', 'all of them opened');

-- A source may send what looks encrypted: it stops no rotation, no reveal and no export, and comes back as it was sent.
SELECT cdp.add_attribute('club') \g /dev/null
CREATE TEMP TABLE fake AS SELECT 'cdp1:' || k || ':' || repeat('A', 40) AS v, 'f' || k AS u FROM unnest(ARRAY[1, 7, 32767]) k;
SELECT cdp.identify('shop', jsonb_build_object('user_id', u), jsonb_build_object('club', v)) FROM fake \g /dev/null
SELECT is((SELECT count(*) FROM fake, cdp_data.attribute_value v WHERE v.value = fake.v AND cdp_internal.envelope_key(v.value) IS NOT NULL), 3::bigint, 'three that look so');
SELECT is((SELECT count(*) FROM fake WHERE (cdp.subject_export(cdp.customer_of('user_id', u)) -> 'tables' -> 'cdp_data.attribute_value' -> 0 ->> 'value') = v), 3::bigint, 'of an attribute that is not encrypted they are exported as they stand');
SELECT cdp.refresh_profiles() \g /dev/null
ANALYZE cdp_data.attribute_value;
ANALYZE cdp_data.profile;
CREATE FUNCTION pg_temp.in_statistics(what text) RETURNS bigint LANGUAGE sql AS
$$SELECT count(*) FROM pg_stats WHERE schemaname = 'cdp_data' AND concat(most_common_vals::text, histogram_bounds::text) ~ what$$;
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'g' || n), jsonb_build_object('club', 'CLEAR-' || n)) FROM generate_series(1, 20) n \g /dev/null
SELECT cdp.refresh_profiles() \g /dev/null
ANALYZE cdp_data.attribute_value;
ANALYZE cdp_data.profile;
SELECT cmp_ok(pg_temp.in_statistics('CLEAR-'), '>', 0::bigint, 'values in the clear are in the statistics');
SELECT cdp.encrypt_attribute('club') \g /dev/null
CALL cdp.rotate_keys();
SELECT is((SELECT count(*) FROM fake WHERE cdp.reveal(cdp.customer_of('user_id', u), 'club') = v), 3::bigint, 'sealed like any other, they come back as they were sent');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE value LIKE 'CLEAR-%' OR value IN (SELECT v FROM fake)), 0::bigint, 'and nothing of them is in the clear');
SELECT is(pg_temp.in_statistics('CLEAR-'), 0::bigint, 'nor in the statistics');
SELECT is((SELECT count(*) FROM fake WHERE (cdp.subject_export(cdp.customer_of('user_id', u)) -> 'tables' -> 'cdp_data.attribute_value' -> 0 ->> 'value') = v), 3::bigint, 'an export shows them');
-- What was changed after it had been sealed: one value stops nobody else''s.
UPDATE cdp_data.attribute_value SET value = left(value, 20) || CASE WHEN substr(value, 21, 1) = 'A' THEN 'B' ELSE 'A' END || substr(value, 22)
WHERE identifier_id = (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'g1');
SELECT throws_ok($$SELECT cdp.reveal(cdp.customer_of('user_id', 'g1'), 'club')$$, '39000', NULL, 'a changed value is no value');
SELECT lives_ok($$SELECT cdp.subject_export(cdp.customer_of('user_id', 'g1'))$$, 'and keeps nobody from her export');
CALL cdp.rotate_keys();
SELECT is((SELECT string_agg(finding, ' ') FROM cdp.health() WHERE area = 'vault'), NULL, 'with its own key it is not looked at');
SELECT is((SELECT unopened FROM cdp_data.key_rotation ORDER BY rotation_id DESC LIMIT 1), 0::bigint, 'nor counted');
DROP OWNED BY vault_analyst, vault_privacy;
DROP ROLE vault_analyst, vault_privacy;
SELECT * FROM finish();
