-- Columns of every type are read alike in every session; arrays are lists; columns of which nothing is made are told.
SELECT plan(29);
SELECT cdp.add_source('crm', 'Asia/Shanghai'), cdp.add_source('again', 'Asia/Shanghai'), cdp.add_source('shop');
SELECT cdp.add_attribute('digest', 'text'), cdp.add_attribute('facts', 'json');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE people (user_id bigint, tags text[], birthday timestamptz, registered_at moment, membership_points float8, digest bytea, facts pair, source_key text, observed_at timestamptz, town text, "Odd ""name" text);
INSERT INTO people VALUES (1, '{a,"b, c",NULL,""}', '1990-05-17 00:00+08', '2026-01-02 00:00+00', 0.1, '\x00ff', (1, 'x'), 'k1', '2026-01-03 00:00+00', 'Ulm', 'x'),
  (2, '{}', 'infinity', '-infinity', 1e-5, NULL, NULL, 'k2', NULL, NULL, NULL);
SET datestyle = 'German, DMY';
SET timezone = 'Asia/Tokyo';
SET bytea_output = 'escape';
SET intervalstyle = 'iso_8601';
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_customers('crm', 'people')), '(2,0)', 'a session with habits of its own');
RESET ALL;
SET client_min_messages = warning;
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE v.customer_id = cdp.customer_of('user_id', '1')),
  '{"tags": "[\"a\", \"b, c\"]", "birthday": "1990-05-17", "registered_at": "2026-01-02T00:00:00Z", "membership_points": "0.1", "digest": "\\x00ff", "facts": "{\"a\": 1, \"b\": \"x\"}"}',
  'dates, moments, arrays, bytes, rows and numbers mean the same');
SELECT is((SELECT min(first_at) FROM cdp_data.attribute_value WHERE value = '0.1'), '2026-01-03 00:00+00', 'so does the time of the record');
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE v.customer_id = cdp.customer_of('user_id', '2')),
  '{"membership_points": "0.00001"}', 'what has no end or no entry says nothing');
SET timezone = 'America/New_York';
SELECT is((SELECT (corrected, unchanged)::text FROM cdp.load_customers('crm', 'people')), '(0,2)', 'another session brings the same records');
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_customers('again', 'people')), '(2,0)', 'and reads them');
SELECT is_empty($$SELECT v.attribute_id, v.value FROM cdp_data.attribute_value v JOIN cdp_data.source s USING (source_id) WHERE s.name = 'crm'
  EXCEPT SELECT v.attribute_id, v.value FROM cdp_data.attribute_value v JOIN cdp_data.source s USING (source_id) WHERE s.name = 'again'$$, 'alike');
RESET timezone;

CREATE TABLE sales AS SELECT 'e' || n AS source_key, timestamptz '2026-02-05 10:00+08' AS occurred_at, 'purchase' AS kind, n::float8 / 4 AS value, 's' || n AS user_id, 'c' || n AS cookie, jsonb_build_object('n', n) AS properties,
  date '2026-02-05' AS day FROM generate_series(1, 2) n;
SET datestyle = 'SQL, MDY';
SET timezone = 'Asia/Tokyo';
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_events('shop', 'sales')), '(2,0)', 'events too');
RESET datestyle;
RESET timezone;
SELECT is((SELECT DISTINCT occurred_at FROM cdp_data.touchpoint), '2026-02-05 02:00+00', 'at their moment');
SELECT cdp.declare_contract('shop', 'event', '[{"field": "source_key", "target": "touchpoint source_key"}, {"field": "occurred_at", "target": "touchpoint occurred_at", "type": "timestamp", "min": "2026-01-01"},
  {"field": "kind", "target": "touchpoint kind"}, {"field": "user_id", "target": "identifier user_id"}, {"field": "day", "target": "property", "type": "date"}, {"field": "cookie", "target": "ignore"}]');
UPDATE cdp_data.source_contract SET status = 'live';
UPDATE sales SET source_key = 'f' || source_key;
SET datestyle = 'German';
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_events('shop', 'sales')), '(2,0)', 'by contract as well');
RESET datestyle;
SELECT is((SELECT count(*) FROM cdp_data.touchpoint WHERE properties = '{"day": "2026-02-05"}'), 2::bigint, 'a day stays a day');

-- What is delivered and not used
SELECT results_eq($$SELECT s.name COLLATE "default", u.field COLLATE "default" FROM cdp_data.source_unmapped u JOIN cdp_data.source s USING (source_id) WHERE s.name <> 'again' ORDER BY 1, 2$$,
  $$VALUES ('crm', 'Odd "name'), ('crm', 'town'), ('shop', 'day'), ('shop', 'properties'), ('shop', 'value')$$, 'columns of which nothing is made are noted');
SELECT results_eq($$SELECT source COLLATE "default", item COLLATE "default" FROM cdp.source_plan() WHERE state = 'unused' AND source <> 'again'$$,
  $$VALUES ('crm', 'Odd "name'), ('crm', 'town'), ('shop', 'properties'), ('shop', 'value')$$, 'and stand in the plan unless the contract names them now');
SELECT cdp.add_attribute('town');
SELECT is((SELECT count(*) FROM cdp.source_plan() WHERE state = 'unused' AND item = 'town'), 0::bigint, 'or an attribute does');
SELECT cdp.declare_contract('crm', 'customer', '[{"field": "user_id", "target": "identifier user_id"}, {"field": "Odd \"name", "target": "ignore"}]');
SELECT is((SELECT array_agg(item || ' ' || state ORDER BY item) FROM cdp.source_plan() WHERE source = 'crm' AND item ~ 'Odd'), ARRAY['Odd "name ignored'], 'or it is ignored on purpose');
CREATE TABLE wide (user_id text);
SELECT format('ALTER TABLE wide %s', string_agg(format('ADD c%s text', n), ', ')) FROM generate_series(1, 1200) n \gexec
SELECT lives_ok($$SELECT * FROM cdp.load_customers('again', 'wide', trial => true)$$, 'a table of 1,200 columns');
SELECT is((SELECT count(*) FROM cdp_data.source_unmapped u JOIN cdp_data.source s USING (source_id) WHERE s.name = 'again'), 1000::bigint, 'is noted up to a bound');

-- A mended table, loaded again, takes what waited
CREATE TABLE half (source_key integer, user_id text, observed_at text);
INSERT INTO half VALUES (1, 'h1', '2026-01-01'), (2, 'null', '2026-01-01'), (3, 'h3', 'never'), (NULL, 'h4', '2026-01-01');
SELECT is((SELECT quarantined FROM cdp.load_customers('again', 'half')), 3::bigint, 'what is bad waits');
UPDATE half SET user_id = 'h2' WHERE source_key = 2;
SELECT is((SELECT (inserted, unchanged, quarantined)::text FROM cdp.load_customers('again', 'half')), '(1,1,2)', 'one is mended');
SELECT results_eq('SELECT code, count(*), count(retried_by_load) FROM cdp_data.quarantine WHERE NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = quarantine.load_id AND l.kind = ''trial'') GROUP BY 1 ORDER BY 1',
  $$VALUES ('bad_key', 2::bigint, 0::bigint), ('bad_time', 2, 0), ('no_identifier', 1, 1)$$, 'and waits no more');
CREATE TABLE late AS SELECT '{"k": "l1"}'::jsonb AS j, 'never' AS occurred_at, 'visit' AS kind, 'l1' AS user_id;
SELECT cdp.add_source('late');
SELECT cdp.declare_contract('late', 'event', '[{"field": "$.j.k", "target": "touchpoint source_key"}, {"field": "occurred_at", "target": "touchpoint occurred_at"}, {"field": "kind", "target": "touchpoint kind"}, {"field": "user_id", "target": "identifier user_id"}]');
UPDATE cdp_data.source_contract SET status = 'live';
SELECT is((SELECT quarantined FROM cdp.load_events('late', 'late')), 1::bigint, 'an event, too');
UPDATE late SET occurred_at = '2026-01-01';
SELECT is((SELECT inserted FROM cdp.load_events('late', 'late')), 1::bigint, 'mended');
SELECT is((SELECT count(*) FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'late' AND q.retried_by_load = (SELECT max(load_id) FROM cdp_data.load)), 1::bigint, 'is taken under the key inside its JSON');
-- Columns of a touchpoint obey the contract as all others do
SELECT cdp.add_source('strict');
SELECT cdp.declare_contract('strict', 'event', '[{"field": "k", "target": "touchpoint source_key", "pattern": "^[a-z]"}, {"field": "t", "target": "touchpoint occurred_at", "type": "timestamp", "min": "2026-01-01"}, {"field": "w", "target": "touchpoint kind", "allowed": ["visit", "purchase"]},
  {"field": "u", "target": "identifier user_id"}, {"field": "v", "target": "touchpoint value", "type": "numeric", "max": 100}, {"field": "s", "target": "touchpoint source", "allowed": ["google"]}, {"field": "p", "target": "property", "type": "integer"}]');
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE strict AS SELECT * FROM (VALUES ('a', '2026-02-01', 'purchase', 's1', '50', 'google', '1'), ('b', '2026-02-01', 'purchase', 's1', '60', 'evil', 'x'), ('c', '2025-02-01', 'visit', 's1', NULL, NULL, NULL),
  ('d', '2026-02-01', 'refund', 's1', NULL, NULL, NULL), ('E', '2026-02-01', 'visit', 's1', NULL, NULL, NULL), ('f', 'never', 'visit', 's1', NULL, NULL, NULL), ('g', '2026-02-01', 'purchase', 's1', '5000', NULL, NULL)) x (k, t, w, u, v, s, p);
SELECT is((SELECT (inserted, quarantined)::text FROM cdp.load_events('strict', 'strict')), '(2,5)', 'an event is nothing without its key, time, kind and money');
SELECT results_eq($$SELECT q.original ->> 'k', q.code COLLATE "default", substring(q.reason FROM ': (.*)$') FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'strict' ORDER BY 1$$,
  $$VALUES ('E', 'bad_field', 'k (pattern)'), ('c', 'bad_field', 't (range)'), ('d', 'bad_field', 'w (not_allowed)'), ('f', 'bad_time', NULL), ('g', 'bad_field', 'v (range)')$$, 'which wait with the field to blame');
SELECT results_eq($$SELECT k.source_key COLLATE "default", t.value, o.source COLLATE "default", t.properties FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.source s ON s.source_id = t.source_id WHERE s.name = 'strict' ORDER BY 1$$,
  $$VALUES ('a', 50::numeric(20,6), 'google'::text, '{"p": 1}'::jsonb), ('b', 60, '', NULL)$$, 'other values that do not fit are left out');

-- More columns than a function has arguments
SELECT count(cdp.add_attribute('attr' || n)) FROM generate_series(1, 450) n;
SELECT format('CREATE TABLE broad AS SELECT ''b1'' AS source_key, ''2026-01-01'' AS occurred_at, ''visit'' AS kind, ''b1'' AS user_id, %s', string_agg(format('''v%s'' AS attr%s', n, n), ', ')) FROM generate_series(1, 450) n \gexec
SELECT cdp.load_customers('again', 'broad');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE a.name ~ '^attr'), 450::bigint, '450 attributes of a record');
SELECT cdp.declare_contract('late', 'event', (SELECT jsonb_agg(x) FROM (SELECT jsonb_build_object('field', c, 'target', 'touchpoint ' || c) AS x FROM unnest('{source_key,occurred_at,kind}'::text[]) c
  UNION ALL SELECT '{"field": "user_id", "target": "identifier user_id"}' UNION ALL SELECT jsonb_build_object('field', 'attr' || n, 'target', 'property') FROM generate_series(1, 450) n) y));
UPDATE cdp_data.source_contract SET status = 'live';
SELECT cdp.load_events('late', 'broad');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t, jsonb_object_keys(t.properties) k WHERE k ~ '^attr'), 450::bigint, 'or properties of an event');
-- A key that says nothing is none, here as in calls.
CREATE TABLE nameless AS SELECT v AS source_key, 'n' || n || '@example.org' AS email FROM unnest(ARRAY['undefined', 'N/A', 'fine']) WITH ORDINALITY u (v, n);
SELECT load_id AS nameless FROM cdp.load_customers((SELECT min(name) FROM cdp_data.source), 'nameless') \gset
SELECT is((SELECT string_agg(code, ' ') FROM cdp_data.quarantine WHERE load_id = :nameless), 'bad_key bad_key', 'a word that says nothing is no key of a customer');
SELECT * FROM finish();
