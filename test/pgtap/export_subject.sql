-- The export of a person: every registered table, also the user's own; nobody else's rows; who may; very many touches.
SELECT plan(26);
SET client_min_messages = error;
SELECT is_empty('SELECT * FROM cdp_internal.unregistered_columns()', 'every column that may hold personal data is registered');
ALTER TABLE cdp_data.customer ADD COLUMN nickname text;
ALTER TABLE cdp_data.customer ADD COLUMN born date, ADD COLUMN friends bigint[], ADD COLUMN last_ip inet, ADD COLUMN home point, ADD COLUMN score int;
CREATE TABLE cdp_data.mine (cust bigint, is_nice boolean);
SELECT results_eq('SELECT * FROM cdp_internal.unregistered_columns()', $$SELECT 'cdp_data.customer', unnest(ARRAY['born', 'friends', 'home', 'last_ip', 'nickname']) UNION ALL SELECT 'cdp_data.mine', unnest(ARRAY['cust', 'is_nice'])$$, 'forgotten columns are found, whatever they are called, and a table of which nobody said anything');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'personal_data_unregistered'), 7::bigint, 'and told by health');
SELECT is((SELECT count(*) FROM cdp_data.personal_data p WHERE to_regclass(p.table_name) IS NULL OR p.column_name <> '*' AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(p.table_name) AND a.attname = p.column_name)), 0::bigint, 'and the registry names nothing that is not there');
ALTER TABLE cdp_data.customer DROP COLUMN nickname, DROP COLUMN born, DROP COLUMN friends, DROP COLUMN last_ip, DROP COLUMN home, DROP COLUMN score;
DROP TABLE cdp_data.mine;
SELECT is_empty($$SELECT p.table_name, p.column_name FROM cdp_data.personal_data p WHERE p.subject_kind <> 'none' AND cdp_internal.person_where(p.table_name) IS NULL
  AND NOT (p.subject_kind = 'text' AND p.table_name IN ('cdp_data.quarantine', 'cdp_data.raw_record', 'cdp_data.raw_record_history', 'cdp_data.raw_refused', 'cdp_data.callback', 'cdp_data.channel_metric', 'cdp_data.content', 'cdp_data.map_refused', 'cdp_data.origin', 'cdp_data.suppression', 'cdp_data.identifier_block', 'cdp_data.segment_chunk'))$$, 'the rows of a person can be found in every registered table');
\ir ../t/erase_people.sql
SELECT cdp.customer_of('user_id', 'u-erika-77') AS her, cdp.customer_of('user_id', 'u4') AS other \gset
CREATE TABLE doc AS SELECT cdp.subject_export(:her) AS d;
SELECT is((SELECT string_agg(DISTINCT p.table_name, ' ' ORDER BY p.table_name) FROM cdp_data.personal_data p, doc
  WHERE p.subject_kind <> 'none' AND NOT d -> 'tables' ? p.table_name AND p.table_name NOT IN ('cdp_data.origin', 'cdp_data.suppression', 'cdp_data.identifier_block', 'cdp_data.segment_chunk')),
  (SELECT string_agg(DISTINCT p.table_name, ' ' ORDER BY p.table_name) FROM cdp_data.personal_data p WHERE p.table_name IN ('cdp_data.erased_customer', 'cdp_data.erasure', 'cdp_data.hold', 'cdp_data.request')),
  'she is in every table but those that nothing was put into');
SELECT is((SELECT d -> 'identifiers' FROM doc), (SELECT jsonb_agg(jsonb_build_object('type', t.name, 'value', i.value) ORDER BY t.name, i.value)
  FROM cdp_internal.members(:her) m JOIN cdp_data.identifier i USING (identifier_id) JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id), 'all identifiers she ever had');
SELECT is((SELECT jsonb_array_length(d #> '{tables,cdp_data.touchpoint}') FROM doc), (SELECT count(*)::int FROM cdp_data.touchpoint WHERE identifier_id IN (SELECT identifier_id FROM cdp_internal.members(:her))), 'all touches, also those at another home');
SELECT is((SELECT count(*) FROM doc, jsonb_array_elements(d #> '{tables,cdp_data.touchpoint}') t WHERE t ->> 'kind' = 'purchase' AND t ->> 'source' = 'shop' AND t #>> '{origin,source}' = 'google'), 10::bigint, 'with names beside numbers');
SELECT is((SELECT jsonb_array_length(d #> '{tables,cdp_data.touchpoint_retracted}') FROM doc), 3, 'earlier versions');
SELECT is((SELECT count(*) FROM doc, jsonb_array_elements(d #> '{tables,cdp_data.attribute_value}') v WHERE v ->> 'value' ~ 'Rosenweg' AND v ->> 'source' = 'crm' AND v ->> 'attribute' = 'address'), 1::bigint, 'attributes with their source');
SELECT is((SELECT jsonb_array_length(d #> '{tables,cdp_data.quarantine}') FROM doc), 8, 'rows that were refused, found by what they say');
SELECT is((SELECT d #>> '{tables,my.ticket,0,body}' FROM doc), 'I, Erika Musterfräulein, complain', 'a table of the user''s own, by the value of an identifier');
SELECT is((SELECT d #>> '{tables,cdp_data.link,0,reason}' IS NULL AND jsonb_array_length(d #> '{tables,cdp_data.link}') > 5 FROM doc), true, 'links, and why');
SELECT is((SELECT d::text ~ 'Street|Person \d|me too' FROM doc), false, 'nothing of others');
SELECT is((SELECT cdp.subject_export(:other)::text ~* 'rosenweg|beispiel|complain|1971-07-07'), false, 'nor of her in another''s');
SELECT is((SELECT count(*) FROM cdp_data.audit WHERE action = 'export' AND customer_id = :her AND detail -> 'rows' ->> 'cdp_data.touchpoint' IS NOT NULL), 1::bigint, 'the export is on record');
SELECT is((SELECT d ->> 'made_at' FROM doc) ~ 'Z$', true, 'times are UTC');
SET timezone = 'Asia/Tokyo';
SELECT is(cdp.subject_export(:her) -> 'tables' -> 'cdp_data.touchpoint', (SELECT d -> 'tables' -> 'cdp_data.touchpoint' FROM doc), 'whatever the session''s zone');
RESET timezone;

-- CSV: every row and column again.
CREATE TABLE file AS SELECT * FROM cdp.subject_export_csv(:her);
SELECT is((SELECT string_agg(DISTINCT f.table_name, ' ' ORDER BY f.table_name) FROM file f WHERE f.table_name <> 'cdp_data.audit'), (SELECT string_agg(k, ' ' ORDER BY k) FROM doc, jsonb_object_keys(d -> 'tables') k WHERE k <> 'cdp_data.audit'), 'a file for each table');
SELECT is((SELECT cardinality(string_to_array(csv, E'\r\n')) - 2 FROM file WHERE table_name = 'cdp_data.touchpoint'), (SELECT jsonb_array_length(d #> '{tables,cdp_data.touchpoint}') FROM doc), 'a line for each row');
SELECT is((SELECT csv FROM file WHERE table_name = 'my.ticket'), E'id,mail,body\r\n1,ERIKA.Muster@beispiel.example ,"I, Erika Musterfräulein, complain"\r\n', 'as RFC 4180 has it');
SELECT is(cdp_internal.csv_field(E'a "b"\nc') || cdp_internal.csv_field(NULL) || cdp_internal.csv_field(''), E'"a ""b""\nc"""', 'quotes, breaks, nothing and empty');

-- A person of many touches.
CREATE TABLE public.many AS SELECT 'n' || i AS source_key, timestamptz '2026-01-01' + i * interval '1 minute' AS occurred_at, 'email' AS identifier_type, 'busy@people.example' AS identifier, 'click' AS kind FROM generate_series(1, 51000) i;
SELECT cdp.load_touchpoints('shop', 'public.many');
SELECT is((SELECT jsonb_array_length(cdp.subject_export(cdp.customer_of('email', 'busy@people.example')) #> '{tables,cdp_data.touchpoint}')), 51000, '51,000 touches in one document');
SELECT is((SELECT string_agg(part || ':' || cardinality(string_to_array(csv, E'\r\n')) - 2, ' ' ORDER BY part) FROM cdp.subject_export_csv(cdp.customer_of('email', 'busy@people.example')) WHERE table_name = 'cdp_data.touchpoint'), '1:50000 2:1000', 'in parts of 50,000 lines');
SELECT is((SELECT r ->> 'identifiers' FROM (SELECT cdp.erase_customer(cdp.customer_of('email', 'busy@people.example'))) v (r)), '1', 'and erased in one go');
SELECT * FROM finish();
