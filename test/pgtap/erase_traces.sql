-- What leads to an erased person by a way round: who was once taken for one with her, origins that no touch has any more,
-- rows of quarantine under the key of one of very many records, numbers of records; and calls that bring her again.
SELECT plan(32);
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
SELECT cdp.add_source('shop'), cdp.add_source('app'), cdp.add_attribute('hobby');
INSERT INTO cdp_data.destination (destination, purpose) VALUES ('mailer', 'service');

-- Zelda's mail is in a campaign that only a corrected version had, in one whose touch was deleted by its age, and in a
-- link that writes it in another way. Others' campaigns stay.
CREATE TABLE st (source_key text, occurred_at text, identifier_type text, identifier text, kind text, source text, campaign text, value text);
INSERT INTO st VALUES ('z1', '2026-03-01', 'email', 'zelda@leak.example', 'click', 'x', 'for zelda@leak.example', NULL), ('z2', '2026-03-02', 'email', 'zelda@leak.example', 'purchase', 'x', '', '5'),
  ('z3', '2026-03-03', 'email', 'zelda@leak.example', 'page_view', 'x', 'old ZELDA@leak.example', NULL), ('z4', '2026-03-04', 'email', 'zelda@leak.example', 'click', 'x', 'to=zelda%40leak.example', NULL),
  ('o1', '2026-03-04', 'email', 'other@x.example', 'click', 'x', 'for other@x.example', NULL);
SELECT cdp.load_touchpoints('shop', 'st');
UPDATE st SET campaign = 'plain' WHERE source_key IN ('z1', 'z4');
SELECT cdp.load_touchpoints('shop', 'st');
SELECT cdp.set_retention('touchpoint', '1 day', 'page_view');
SELECT cdp_internal.retention_touchpoints(partition_name, 100) FROM cdp_internal.touchpoint_bounds();
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 4::bigint, 'a touch is gone by its age');

-- She and another are taken for one, the other's number wins; profiles and a message are made of both; then they are parted.
SELECT cdp.identify('app', '{"email": "other@x.example"}', '{"city": "Rome"}', '2026-03-03', 'om1');
SELECT cdp.identify('app', '{"email": "zelda@leak.example"}', '{"hobby": "zeldachess", "full_name": "Zelda Zeldason"}', '2026-03-03', 'zm1');
SELECT cdp.identify('app', '{"email": "bridge@x.example"}', '{}', '2026-03-03', 'om2');
SELECT cdp.link_identifiers(id_of('bridge@x.example'), id_of('other@x.example'), 'the same');
SELECT cdp.link_identifiers(id_of('bridge@x.example'), id_of('zelda@leak.example'), 'a mistake');
SELECT cdp.customer_of('email', 'other@x.example') AS other \gset
SELECT least(:other, customer_id) AS low FROM cdp_data.identifier WHERE value = 'zelda@leak.example' \gset
SELECT cdp.refresh_profiles();
SELECT cdp.outbox_put('mailer', 'upsert', '{"email": "zelda@leak.example"}', customer_id => :other), cdp.outbox_put('mailer', 'upsert', '{"email": "other@x.example"}', customer_id => :other);
SELECT is((cdp.subject_export(:other) -> 'identifiers')::text ~ 'zelda@leak' AND (cdp.subject_export(:other) #>> '{tables,cdp_data.touchpoint}') ~ '5.000000', true, 'merged: an export has all of both');
SELECT cdp.unmerge(identifier => id_of('zelda@leak.example'), reason => 'two people');
SELECT cdp.customer_of('email', 'zelda@leak.example') AS zelda, cdp.customer_of('email', 'other@x.example') AS other \gset
SELECT isnt(:zelda, :other, 'parted');
SELECT isnt(traces('zeldachess'), '', 'profiles were made before that');
SELECT is(cdp.subject_export(:other) -> 'tables' -> 'cdp_data.profile' #>> '{0,full_name}', NULL, 'an export of the other shows nothing of her, though profiles are older');
SELECT is((SELECT cdp.subject_export(:other)::text ~* 'zeldachess|zeldason'), false, 'in no table');
SELECT is(cdp.subject_export(:zelda) #>> '{profile,full_name}', 'Zelda Zeldason', 'and her own is whole');
SELECT is((SELECT string_agg(csv, '') ~* 'zeldachess|zeldason' FROM cdp.subject_export_csv(:other)), false, 'nor do the files');
UPDATE cdp_data.profile SET full_name = 'Zelda Zeldason', personal_attributes = '{"hobby": "zeldachess"}' WHERE customer_id = :other; -- as it was before the export
SELECT cdp.alias('app', '{"email": "zelda@leak.example"}', '{"user_id": "zelda-user-1"}', '2026-03-05', 'zm2');
SELECT cdp.erase_customer(cdp.customer_of('email', 'zelda@leak.example')) AS receipt \gset
SELECT is(traces('zelda'), '', 'once erased, nothing of her is anywhere');
SELECT is((SELECT count(*) FROM cdp_data.outbox WHERE customer_id = :other), 1::bigint, 'the other''s own message stays');
SELECT is((SELECT city FROM cdp_data.profile WHERE customer_id = :other), 'Rome', 'so does his profile');
SELECT is((SELECT count(*) FROM cdp_data.origin WHERE campaign = 'for other@x.example'), 1::bigint, 'and his campaign');
SELECT is((SELECT r ->> 'rows' FROM jsonb_array_elements(:'receipt'::jsonb -> 'tables') r WHERE r ->> 'table' = 'cdp_data.origin'), '3', 'the receipt counts the origins that were cleaned');

-- Each call that brings her, whichever side of it she is on.
SELECT is((SELECT status FROM cdp.alias('app', '{"email": "zelda@leak.example"}', '{"user_id": "n1"}')), 'suppressed', 'an alias of her');
SELECT is((SELECT status FROM cdp.alias('app', '{"user_id": "n1"}', '{"user_id": "zelda-user-1"}')), 'suppressed', 'an alias to her');
SELECT is((SELECT status FROM cdp.alias('app', '{"user_id": "n1", "email": "Zelda@Leak.example"}', '{"user_id": "n2"}')), 'suppressed', 'beside another identifier, in another writing');
SELECT is((SELECT status FROM cdp.group('app', '{"user_id": "zelda-user-1"}', 'zeldas')), 'suppressed', 'a group with her');
SELECT is((SELECT status FROM cdp.group('app', '{"user_id": "n3", "email": "zelda@leak.example"}', 'zeldas', '{"who": "zelda"}')), 'suppressed', 'and with another identifier');
SELECT is((SELECT string_agg(status, ' ') FROM cdp.ingest('app', '[{"type": "alias", "previousId": "zelda-user-1", "userId": "n4"}, {"type": "alias", "previousId": "n4", "userId": "zelda-user-1"}, {"type": "group", "userId": "zelda-user-1", "groupId": "zeldas"}]')),
  'suppressed suppressed suppressed', 'messages of alias and group');
SELECT is((SELECT sum(n) FROM cdp_data.suppression_refusal), 8::numeric, 'all are counted');
SELECT is(traces('zelda') || traces('\mn[1-4]\M'), '', 'and nothing of them is kept');

-- Very many records: what stands in quarantine under one of their keys goes, in their source only.
CREATE TABLE many AS SELECT 'many-' || i AS source_key, timestamptz '2026-03-01' + i * interval '1 minute' AS occurred_at, 'email' AS identifier_type,
  CASE WHEN i <= 6000 THEN 'busy@leak.example' ELSE 'calm@x.example' END AS identifier, 'click' AS kind FROM generate_series(1, 6100) i;
SELECT cdp.load_touchpoints('shop', 'many');
INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason)
SELECT 1, s.source_id, jsonb_build_object('source_key', 'many-' || i, 'kind', 'nonsense'), 'unknown_kind', 'x' FROM generate_series(1, 6100) i, cdp_data.source s WHERE s.name IN ('shop', 'app');
SELECT is((SELECT r ->> 'rows' FROM (SELECT cdp.erase_customer(cdp.customer_of('email', 'busy@leak.example'), 'delete') -> 'tables') v (t), jsonb_array_elements(t) r WHERE r ->> 'table' = 'cdp_data.quarantine'), '6000', '6,000 rows of quarantine, one for each record');
SELECT is((SELECT string_agg(s.name || ' ' || n, ', ' ORDER BY s.name) FROM (SELECT source_id, count(*) AS n FROM cdp_data.quarantine GROUP BY 1) q JOIN cdp_data.source s USING (source_id)), 'app 6100, shop 100', 'others'' stay, and those of the other source');

-- Numbers of records: hers go, those of a record that tells of two people stay for the other.
CREATE TABLE crm (source_key text, email text, user_id text, phone text, full_name text);
INSERT INTO crm VALUES ('r1', 'ruth@leak.example', NULL, NULL, 'Ruth'), ('r2', 'sam@x.example', 'sam-1', NULL, 'Sam'), ('r3', 'ruth@leak.example', NULL, '+4915112345678', 'Ruth again');
SELECT cdp.load_customers('shop', 'crm'), cdp.load_customers('shop', 'crm');
INSERT INTO cdp_data.link (a_id, b_id, kind, state, first_seen) SELECT least(a, b), greatest(a, b), 'cannot', 'active', now() FROM (SELECT id_of('ruth@leak.example') a, id_of('sam-1') b) x;
TRUNCATE crm;
INSERT INTO crm VALUES ('r4', 'ruth@leak.example', 'sam-1', NULL, 'Both');
SELECT cdp.load_customers('app', 'crm'), cdp.load_customers('app', 'crm');
SELECT isnt(cdp.customer_of('user_id', 'sam-1'), cdp.customer_of('email', 'ruth@leak.example'), 'a record of two who are kept apart');
SELECT is((SELECT count(*) FROM cdp_data.record_version), 4::bigint, 'each record has its number');
SELECT cdp.erase_customer(cdp.customer_of('email', 'ruth@leak.example')) IS NOT NULL AS erased;
SELECT is((SELECT string_agg(DISTINCT v.value, ', ' ORDER BY v.value) FROM cdp_data.attribute_value_now v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE a.name = 'full_name'), 'Both, Sam', 'what the other''s record says is in force');
SELECT is((SELECT string_agg(r.source_key, ' ' ORDER BY r.source_key) FROM cdp_data.customer_record r JOIN cdp_data.record_version USING (version_id)), 'r2 r4', 'the records of the other keep theirs');
SELECT is((SELECT count(*) FROM cdp_data.record_version), 2::bigint, 'hers are gone');
SELECT is((SELECT count(*) FROM cdp_data.repetition r WHERE NOT EXISTS (SELECT FROM cdp_data.record_version v WHERE v.repetition_id = r.repetition_id)), 0::bigint, 'and what was repeated of them only');
SELECT cdp.revert_load(max(load_id) - 1) FROM cdp_data.load;
SELECT is((SELECT count(*) FROM cdp_data.attribute_value_now WHERE value = 'Both'), 1::bigint, 'the other''s record still stands by its repetition');
SELECT is((SELECT sum(orphans) FROM cdp.check_orphans()), 0::numeric, 'no orphans');
SELECT is_empty('SELECT * FROM cdp.erasure_verify()', 'the receipts are whole');
SELECT * FROM finish();
