-- Contracts: every error at once, what a field becomes, trials, the checks before a source goes live, quality and the plan.
SELECT plan(48);
SELECT cdp.add_source('crm', 'Asia/Shanghai'), cdp.add_source('shop'), cdp.add_source('silent');

SELECT results_eq($$SELECT path, code, hint FROM cdp.check_contract('customer', '[
    {"field": "mail", "target": "identifier emial", "type": "txt", "foo": 1},
    {"field": "mail", "target": "atribute city"},
    {"field": "x", "target": "attribute citty", "min": "a", "type": "integer"},
    {"field": "", "target": ""}, 3,
    {"field": "p", "pattern": "(", "target": "ignore", "allowed": [], "required": "yes", "transform": "lowre"},
    {"field": "$.a", "target": "touchpoint kind", "max": 3},
    {"field": "$a", "target": "attribute city"}, {"field": "b", "target": "attribute city", "type": "boolean", "min": 1}]')$$,
  $$VALUES ('fields[1].foo', 'unknown_key', 'Its keys are field, type, required, min, max, pattern, allowed, target, transform, note.'),
    ('fields[1].target', 'unknown_identifier_type', 'Did you mean ''email''?'), ('fields[1].type', 'unknown_type', 'Did you mean ''text''?'),
    ('fields[2].field', 'twice', 'A field has one target.'), ('fields[2].target', 'unknown_target', 'Did you mean ''attribute''?'),
    ('fields[3].min', 'bad_bound', NULL), ('fields[3].target', 'unknown_attribute', 'Did you mean ''city''?'),
    ('fields[4].field', 'missing', NULL), ('fields[4].target', 'missing', 'Take one of identifier, attribute, record, ignore, with a name behind it.'),
    ('fields[5]', 'wrong_type', 'Write {"field": "...", "target": "identifier email"}.'),
    ('fields[6].allowed', 'empty', NULL), ('fields[6].pattern', 'bad_pattern', NULL), ('fields[6].required', 'wrong_type', NULL), ('fields[6].transform', 'unknown_transform', 'Did you mean ''lower''?'),
    ('fields[7].target', 'unknown_target', 'Take one of identifier, attribute, record, ignore.'),
    ('fields[8].field', 'bad_path', NULL), ('fields[9].min', 'no_range', NULL), ('fields[9].target', 'twice', 'Only identifiers may come from several fields.')$$, 'every error is told at once');
SELECT results_eq($$SELECT code FROM cdp.check_contract('event', '[{"field": "a", "target": "attribute city"}]')$$, $$VALUES ('no_identifier'), ('no_target'), ('no_target'), ('no_target')$$, 'also what is not there');
SELECT results_eq($$SELECT path, code FROM cdp.check_contract('custom', '[]') UNION ALL SELECT path, code FROM cdp.check_contract('event', '{}') UNION ALL SELECT path, code FROM cdp.check_contract('event', NULL)$$,
  $$VALUES ('record_kind', 'unknown_kind'), ('fields', 'wrong_type'), ('fields', 'wrong_type')$$, 'and what is no contract');
SELECT throws_ok($$SELECT cdp.declare_contract('crm', 'customer', '[{"field": "a", "target": "attribute citty"}]')$$, '22023', 'the contract has 2 errors', 'a contract with errors is not declared');
SELECT is((SELECT count(*) FROM cdp_data.source_contract), 0::bigint, 'at all');

SELECT is(cdp.declare_contract('crm', 'customer', '[
  {"field": "id", "target": "record source_key", "required": true},
  {"field": "changed", "target": "record observed_at", "type": "timestamp", "transform": "epoch"},
  {"field": "mail", "target": "identifier email"}, {"field": "mobile", "target": "identifier phone"}, {"field": "private", "target": "identifier phone"},
  {"field": "$.more.town", "target": "attribute city", "transform": "upper"},
  {"field": "born", "target": "attribute birthday", "type": "date", "min": "1900-01-01", "max": "2020-01-01"},
  {"field": "sex", "target": "attribute gender", "allowed": ["m", "f"]},
  {"field": "level", "target": "attribute membership_level", "pattern": "^[A-Z]+$", "required": true},
  {"field": "secret", "target": "ignore", "note": "not for us"}]', 'crm team', '1 day'), 10, 'a contract is declared');
CREATE TEMP TABLE people (id text, changed text, mail text, mobile text, private text, more jsonb, born text, sex text, level text);
INSERT INTO people VALUES
  ('1', '1767225600', 'a@example.org', '+8613812345678', '+8613812345679', '{"town": "Ulm"}', '1990-05-06', 'm', 'GOLD'),
  ('2', '', 'b@example.org', NULL, NULL, '{}', '1890-01-01', 'x', 'SILVER'),
  ('3', 'then', 'c@example.org', NULL, NULL, NULL, NULL, NULL, 'GOLD'),
  ('4', NULL, 'd@example.org', NULL, NULL, NULL, 'born', NULL, 'gold'),
  (NULL, NULL, 'e@example.org', NULL, NULL, NULL, NULL, NULL, 'GOLD'),
  ('6', NULL, 'f@example.org', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT throws_ok($$SELECT * FROM cdp.load_customers('crm', 'people')$$, '55000', 'the contract of the source is not live yet', 'a draft takes nothing in');
SELECT is((SELECT string_agg(finding, ' ' ORDER BY finding) FROM cdp.source_check('crm')), 'not_tried', 'it must be tried first');
SELECT is((SELECT (rows_read, inserted, quarantined, identifiers)::text FROM cdp.load_customers('crm', 'people', trial => true)), '(6,0,4,4)', 'a trial reads and counts');
SELECT is((SELECT count(*) FROM cdp_data.identifier), 0::bigint, 'and takes nothing in');
SELECT results_eq('SELECT row_no, code, substring(reason FROM '': (.*)$'') FROM cdp_data.quarantine ORDER BY 1',
  $$VALUES (3::bigint, 'bad_time', NULL), (4, 'bad_field', 'level (pattern)'), (5, 'missing_field', 'id'), (6, 'missing_field', 'level')$$, 'bad rows tell the field');
SELECT is((SELECT string_agg(DISTINCT original::text, ' ') FROM cdp_data.quarantine), '{}', 'and a trial keeps nothing of them');
SELECT is((SELECT status FROM cdp_data.source_contract), 'checking', 'the contract is being checked');
SELECT is_empty($$SELECT * FROM cdp.health() WHERE finding = 'quarantine'$$, 'rows of a trial wait for nothing');
SELECT results_eq($$SELECT field COLLATE "default", rows_seen, filled, valid, distinct_values FROM cdp_data.source_quality WHERE field IN ('born', 'sex', '$.more.town', 'level') ORDER BY field COLLATE "C"$$,
  $$VALUES ('$.more.town', 6::bigint, 1::bigint, 1::bigint, 1::bigint), ('born', 6, 3, 1, 3), ('level', 6, 5, 4, 3), ('sex', 6, 2, 1, 2)$$, 'every field is judged');
SELECT results_eq($$SELECT severity, finding, field COLLATE "default" FROM cdp.source_check('crm')$$,
  $$VALUES ('error', 'incomplete', 'id'), ('error', 'incomplete', 'level'), ('error', 'invalid', 'born'), ('error', 'invalid', 'changed'), ('error', 'invalid', 'level'), ('error', 'invalid', 'sex'), ('error', 'refused_rows', NULL)$$, 'all that stands against it is told');
SELECT throws_ok($$SELECT cdp.source_go_live('crm')$$, '55000', 'the source does not pass 7 checks', 'so it does not go live');
DELETE FROM people WHERE id IS NULL OR id > '2';
UPDATE people SET born = NULL, sex = NULL WHERE id = '2';
SELECT lives_ok($$SELECT * FROM cdp.load_customers('crm', 'people', trial => true)$$, 'another trial');
SELECT is((SELECT count(*) FROM cdp.source_check('crm')), 0::bigint, 'nothing stands against it');
SELECT is(cdp.source_go_live('crm'), 1, 'it goes live');
SELECT is((SELECT (rows_read, inserted, quarantined)::text FROM cdp.load_customers('crm', 'people')), '(2,2,0)', 'and is taken in');
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE v.customer_id = cdp.customer_of('email', 'a@example.org')),
  '{"city": "ULM", "birthday": "1990-05-06", "gender": "male", "membership_level": "GOLD"}', 'fields become what the contract says');
SELECT is((SELECT min(first_at) FROM cdp_data.attribute_value WHERE value = 'ULM'), '2026-01-01 00:00:00+00', 'at the time that it says');
SELECT is((SELECT count(*) FROM cdp_data.identifier i WHERE cdp_internal.identifier_root(i.identifier_id) = cdp.customer_of('email', 'a@example.org')), 3::bigint, 'two fields of one type are two identifiers');
SELECT throws_ok($$SELECT * FROM cdp.load_customers('crm', 'pg_class')$$, '42703', NULL, 'columns of the contract must be there');

-- Messages by the same contract
SELECT is((SELECT status FROM cdp.ingest('crm', '{"type": "identify", "userId": "m1", "traits": {"mail": "m1@example.org", "level": "GOLD", "born": "1880-01-01", "id": "9"}}')), 'written', 'a message by contract');
SELECT is((SELECT string_agg(a.name || ' ' || v.value, ', ') FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) WHERE v.customer_id = cdp.customer_of('email', 'm1@example.org')), 'membership_level GOLD', 'takes what fits');
SELECT is((SELECT reason FROM cdp.ingest('crm', '{"type": "identify", "userId": "m2", "traits": {"mail": "m2@example.org"}}')), 'a required field of the contract is missing: level', 'a required field stops it');
SELECT is(cdp.source_pause('crm'), 1, 'a source is paused');
SELECT is((SELECT reason FROM cdp.ingest('crm', '{"type": "identify", "userId": "m3"}')), 'the contract of the source is not live', 'and its messages wait in quarantine');
SELECT throws_ok($$SELECT * FROM cdp.load_customers('crm', 'people')$$, '55000', 'the source is paused', 'its loads are refused');

-- Events by contract
SELECT is(cdp.declare_contract('shop', 'event', '[{"field": "no", "target": "touchpoint source_key"}, {"field": "at", "target": "touchpoint occurred_at"}, {"field": "what", "target": "touchpoint kind"},
  {"field": "cents", "target": "touchpoint value", "transform": "minor_units"}, {"field": "buyer", "target": "identifier user_id"}, {"field": "browser", "target": "identifier cookie"},
  {"field": "items", "target": "property", "type": "integer"}, {"field": "$.extra.gift", "target": "property is_gift", "type": "boolean"}, {"field": "page", "target": "touchpoint referrer_host", "transform": "host"}]', 'shop team', '1 hour'), 9, 'a contract of events');
CREATE TEMP TABLE sales AS SELECT n::text AS no, '2026-02-01 10:00' AS at, 'purchase' AS what, '1999' AS cents, 'b' || n AS buyer, 'br' || n AS browser, '3' AS items, '{"gift": "yes"}'::text AS extra,
  'https://user@www.Example.com/path' AS page FROM generate_series(1, 4) n;
SELECT lives_ok($$SELECT * FROM cdp.load_events('shop', 'sales', trial => true)$$, 'a trial of events');
CREATE TEMP TABLE unsold AS SELECT no, CASE no WHEN '1' THEN 'never' ELSE at END AS at, CASE no WHEN '2' THEN 'wurchase' ELSE what END AS what, cents, CASE WHEN no <> '3' THEN buyer END AS buyer, CASE WHEN no <> '3' THEN browser END AS browser, items, extra, page FROM sales;
SELECT is((SELECT count(*) FROM cdp.load_events('shop', 'unsold', trial => true)), 1::bigint, 'a trial of bad events');
SELECT is((SELECT string_agg(concat_ws(' ', q.row_no, q.code, q.original), ', ' ORDER BY q.row_no) FROM cdp_data.quarantine q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'shop'), '1 bad_time {}, 2 unknown_kind {}, 3 no_identifier {}', 'keeps nothing of them either');
DELETE FROM cdp_data.quarantine q USING cdp_data.source s WHERE s.source_id = q.source_id AND s.name = 'shop';
SELECT load_id FROM cdp.load_events('shop', 'sales', trial => true);
SELECT is(cdp.source_go_live('shop'), 1, 'passes');
SELECT is((SELECT (inserted, quarantined, links)::text FROM cdp.load_events('shop', 'sales')), '(4,0,4)', 'and the events are taken in');
SELECT is((SELECT DISTINCT (t.value, t.properties, o.referrer_host)::text FROM cdp_data.touchpoint t JOIN cdp_data.origin o USING (origin_id)), '(19.990000,"{""items"": 3, ""is_gift"": true}",www.example.com)', 'with typed properties');
-- What only the load refuses waits as it was delivered: money in minor units is divided once.
CREATE TEMP TABLE late AS SELECT 'late' AS no, 'never' AS at, 'purchase' AS what, '1999' AS cents, 'b9' AS buyer, NULL AS browser, '3' AS items, '{"gift": "yes"}'::text AS extra, 'https://www.example.com/' AS page;
SELECT load_id AS late FROM cdp.load_events('shop', 'late') \gset
UPDATE cdp_data.quarantine SET original = original || '{"at": "2026-02-02 10:00"}' WHERE load_id = :late;
SELECT is((SELECT (r.inserted, r.quarantined)::text FROM cdp.retry_quarantine(:late) r), '(1,0)', 'a mended time is taken in');
SELECT is((SELECT (t.value, t.properties)::text FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'late'), '(19.990000,"{""items"": 3, ""is_gift"": true}")', 'and its money is what was delivered');

-- The plan, conflicts and the work list
SELECT results_eq($$SELECT source COLLATE "default", part, item COLLATE "default", state FROM cdp.source_plan() WHERE source IN ('crm', 'silent') AND part IN ('delivery') OR source = 'shop' AND part = 'identifier' OR source IS NULL AND item IN ('phone', 'openid')$$,
  $$VALUES ('crm', 'delivery', 'load', 'integrated'), ('shop', 'identifier', 'cookie', 'integrated'), ('shop', 'identifier', 'user_id', 'integrated'), ('silent', 'delivery', 'load', 'missing'), (NULL, 'identifier', 'openid', 'missing')$$, 'the plan tells what is integrated and what is missing');
SELECT cdp.identify('silent', '{"email": "a@example.org"}', '{"city": "Bonn", "birthday": "1990-05-06"}');
SELECT results_eq($$SELECT attribute_name, customer_id = cdp.customer_of('email', 'a@example.org'), sources, different_values FROM cdp.attribute_conflicts()$$, $$VALUES ('city', true, ARRAY['crm', 'silent'], 2::bigint)$$, 'sources that disagree');
SELECT is((SELECT (missing, could_deliver)::text FROM cdp.incomplete_profiles('{identifier phone,attribute city}') WHERE customer_id = cdp.customer_of('email', 'b@example.org')),
  '("{""identifier phone"",""attribute city""}","{""attribute city"": [""crm""], ""identifier phone"": [""crm""]}")', 'who lacks what, and who could tell');
SELECT is((SELECT count(*) FROM cdp.incomplete_profiles('{identifier phone,attribute city}') WHERE customer_id = cdp.customer_of('email', 'a@example.org')), 0::bigint, 'a complete profile is no work');

-- What hangs in the air, and who is late
SELECT cdp.track('silent', 'refund', '{"user_id": "o1"}', value => -1, refers_to => 'never came', message_id => 'x1');
SELECT results_eq('SELECT source COLLATE "default", finding, item COLLATE "default", orphans FROM cdp.source_orphans()', $$VALUES ('silent', 'awaited record', NULL, 1::bigint)$$, 'a record that never came');
SELECT cdp.revert_load(load_id) FROM cdp_data.load WHERE kind = 'events';
SELECT results_eq('SELECT item COLLATE "default", orphans FROM cdp.source_orphans() WHERE source IS NULL', $$VALUES ('cookie', 4::bigint), ('user_id', 5)$$, 'identifiers that only a reverted load showed');
SELECT is_empty($$SELECT * FROM cdp_internal.health_of_ingest()$$, 'nobody is late');
UPDATE cdp_data.source_contract SET status = 'live';
UPDATE cdp_data.load SET finished_at = now() - interval '3 days' WHERE kind = 'customers';
UPDATE cdp_data.load SET state = 'failed' WHERE kind = 'calls';
SELECT is((SELECT detail FROM cdp_internal.health_of_ingest() WHERE finding = 'source_late'), 'source ''crm'': the last load was 3 days ago, promised every 1 day', 'a late source is told');
SELECT * FROM finish();
