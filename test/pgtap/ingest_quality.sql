-- The plan, the checks, the work list, orphans and health: what they say after reverts, trials, pauses and counted calls.
SELECT plan(31);
SELECT cdp.add_source('crm'), cdp.add_source('tp'), cdp.add_source('quiet'), cdp.add_source('b'), cdp.add_source('c');

-- Bounds and lists that cannot be
SELECT results_eq($$SELECT path, code FROM cdp.check_contract('customer', '[{"field": "a", "target": "identifier email"}, {"field": "b", "target": "attribute city", "allowed": ["x", null, {"a": 1}, 3]},
  {"field": "c", "target": "attribute birthday", "type": "date", "min": "2020-01-01", "max": "2000-01-01"}, {"field": "d", "type": "integer", "min": 5, "max": 3, "target": "attribute note"}, {"field": "e", "min": 9, "max": 8, "target": "ignore"},
  {"field": "f", "type": "numeric", "min": 1, "max": 1, "target": "ignore"}]')$$,
  $$VALUES ('fields[2].allowed[2]', 'wrong_type'), ('fields[2].allowed[3]', 'wrong_type'), ('fields[3].max', 'bad_bound'), ('fields[4].max', 'bad_bound'), ('fields[5].max', 'bad_bound')$$, 'what would take everything, or nothing');
SELECT throws_ok($$SELECT cdp.declare_contract('b', 'customer', '[{"field": "a", "target": "identifier email"}]', freshness => '-1 day')$$, '22023', 'freshness must be longer than nothing', 'a freshness is a span');

-- What loads of touchpoints deliver
CREATE TABLE touches AS SELECT 'k' || n AS source_key, timestamptz '2026-01-01' + n * interval '1 day' AS occurred_at, CASE n WHEN 1 THEN 'user_id' ELSE 'cookie' END AS identifier_type, 'v' || n AS identifier, 'visit' AS kind FROM generate_series(1, 5) n;
INSERT INTO touches VALUES (NULL, '2026-01-01', 'cookie', 'x', 'visit');
SELECT lives_ok($$SELECT * FROM cdp.load_touchpoints('tp', 'touches')$$, 'a load of touchpoints');
CALL cdp.maintain();
SELECT results_eq($$SELECT field COLLATE "default", rows_seen, valid FROM cdp_data.source_quality q JOIN cdp_data.source s USING (source_id) WHERE s.name = 'tp' ORDER BY 1$$, $$VALUES ('cookie', 6::bigint, 4::bigint), ('source_key', 6, 5), ('user_id', 6, 1)$$, 'is counted by cdp.maintain()');
CREATE TEMP TABLE counted AS SELECT xmin::text AS x FROM cdp_data.source_quality;
CALL cdp.maintain();
SELECT set_eq('SELECT xmin::text AS x FROM cdp_data.source_quality', 'SELECT * FROM counted', 'once');
SELECT is((SELECT count(*) FROM cdp.source_plan() WHERE state = 'missing' AND item IN ('cookie', 'user_id')), 0::bigint, 'and what it delivers is not missing');

-- A contract whose property is named like a column; paused fields; no word depends on the session
SELECT cdp.declare_contract('b', 'event', '[{"field": "k", "target": "touchpoint source_key"}, {"field": "t", "target": "touchpoint occurred_at"}, {"field": "w", "target": "touchpoint kind"}, {"field": "u", "target": "identifier user_id"}, {"field": "p", "target": "property value"}]');
SELECT is((SELECT detail FROM cdp.source_plan() WHERE source = 'b' AND item = 'value'), 'no field is the money', 'a property is no money');
UPDATE cdp_data.source_contract SET status = 'paused';
SELECT is((SELECT DISTINCT state FROM cdp.source_plan() WHERE source = 'b' AND detail ~ '^(touchpoint|identifier|property) '), 'paused', 'a paused contract is paused');
SET timezone = 'Asia/Tokyo';
CREATE TEMP TABLE there AS SELECT * FROM cdp.source_plan();
SET timezone = 'America/New_York';
SELECT set_eq('SELECT * FROM cdp.source_plan()', 'SELECT * FROM there', 'the plan is the same in every time zone');
RESET timezone;

-- Late sources
SELECT cdp.declare_contract('quiet', 'customer', '[{"field": "u", "target": "identifier user_id"}]', 'o', '1 hour');
UPDATE cdp_data.source_contract SET status = 'live', went_live_at = now() - interval '30 minutes' WHERE owner = 'o';
SELECT is_empty('SELECT * FROM cdp_internal.health_of_ingest()', 'who went live just now is not late');
UPDATE cdp_data.source_contract SET went_live_at = now() - interval '2 days' WHERE owner = 'o';
SELECT is((SELECT detail FROM cdp_internal.health_of_ingest()), 'source ''quiet'': nothing of it is in force, promised every 01:00:00', 'who never came is');
SELECT status FROM cdp.ingest('quiet', '{"type": "identify", "userId": "q1"}');
SELECT is_empty('SELECT * FROM cdp_internal.health_of_ingest()', 'calls of today are a delivery');
UPDATE cdp_data.load SET started_at = now() - interval '3 days', finished_at = now() WHERE kind = 'calls';
SELECT is((SELECT count(*) FROM cdp_internal.health_of_ingest()), 1::bigint, 'calls of another day are none, whenever they were counted');
SELECT is((SELECT state FROM cdp.source_plan() WHERE source = 'quiet' AND part = 'delivery'), 'late', 'the plan agrees');
INSERT INTO cdp_data.event_map (event, kind) VALUES ('bought', 'purchsae');
SELECT is((SELECT detail FROM cdp_internal.health_of_ingest() WHERE finding = 'unknown_kind'), 'cdp_data.event_map says kind ''purchsae'' of event ''bought''', 'a rule that does nothing is told');

-- The work list
CREATE TABLE people AS SELECT 'p' || n AS user_id, CASE WHEN n % 2 = 0 THEN 'p' || n || '@example.org' END AS email, CASE WHEN n % 3 = 0 THEN 'Name ' || n END AS full_name FROM generate_series(1, 12) n;
CREATE TABLE wrong AS SELECT 'w' || n AS user_id, CASE WHEN n = 1 THEN 'p1' END AS crm_id, 'W' AS full_name FROM generate_series(1, 4) n;
INSERT INTO wrong VALUES ('p3', NULL, 'Wrong name');
CREATE TEMP TABLE batch AS SELECT load_id FROM cdp.load_customers('crm', 'people');
CREATE FUNCTION pg_temp.work() RETURNS TABLE (id bigint, missing text) LANGUAGE sql AS $$ SELECT customer_id, array_to_string(missing, ',') FROM cdp.incomplete_profiles('{identifier email,attribute full_name}', NULL) $$;
-- The oracle: customers one by one.
CREATE FUNCTION pg_temp.slow() RETURNS TABLE (id bigint, missing text) LANGUAGE sql AS $$
  SELECT c.customer_id, concat_ws(',', CASE WHEN NOT EXISTS (SELECT FROM cdp_internal.members(c.customer_id) m WHERE m.type_id = 2) THEN 'identifier email' END,
      CASE WHEN NOT cdp.customer_360(c.customer_id, 0) -> 'attributes' ? 'full_name' THEN 'attribute full_name' END)
  FROM cdp_data.customer c WHERE c.parent_id = c.customer_id AND EXISTS (SELECT FROM cdp_internal.members(c.customer_id))
    AND NOT EXISTS (SELECT FROM cdp_internal.members(c.customer_id) m JOIN cdp_data.identifier i USING (identifier_id) WHERE i.value ~ '^w' OR i.type_id = (SELECT type_id FROM cdp_data.identifier_type_all WHERE name = 'crm_id'))
    AND NOT (EXISTS (SELECT FROM cdp_internal.members(c.customer_id) m WHERE m.type_id = 2) AND cdp.customer_360(c.customer_id, 0) -> 'attributes' ? 'full_name') $$;
SELECT set_eq('SELECT * FROM pg_temp.work()', 'SELECT * FROM pg_temp.slow()', 'the work list is what a look at each customer tells');
CREATE TEMP TABLE work AS SELECT * FROM pg_temp.work();
SELECT is((SELECT DISTINCT could_deliver -> 'identifier email' FROM cdp.incomplete_profiles('{identifier email}')), '["crm"]', 'and who could deliver');
CREATE TEMP TABLE bad AS SELECT load_id FROM cdp.load_customers('c', 'wrong');
SELECT cdp.revert_load(load_id) FROM bad;
SELECT set_eq('SELECT * FROM pg_temp.work()', 'SELECT * FROM work', 'a load that was taken back leaves no work behind');
SELECT set_eq('SELECT * FROM pg_temp.work()', 'SELECT * FROM pg_temp.slow()', 'and is no excuse');
SELECT results_eq($$SELECT item COLLATE "default", orphans FROM cdp.source_orphans()$$, $$VALUES ('crm_id', 1::bigint), ('user_id', 4)$$, 'its identifiers hang in the air');
SELECT cdp.retry_load(load_id) FROM bad;
SELECT is_empty('SELECT * FROM cdp.source_orphans()', 'until it is put in again');
SELECT is((SELECT count(*) FROM cdp.incomplete_profiles('{identifier phone}', 3)), 3::bigint, 'a list may be short');
SELECT is((SELECT count(*) FROM cdp.incomplete_profiles('{identifier phone,identifier phone}', 0)), 0::bigint, 'or empty');
SELECT throws_ok($$SELECT * FROM cdp.incomplete_profiles('{identifier phone}', -1)$$, '22023', 'max_rows must not be negative', 'but not less');
SELECT throws_ok($$SELECT * FROM cdp.attribute_conflicts(max_rows => -1)$$, '22023', 'max_rows must not be negative', 'conflicts neither');
SELECT throws_ok($$SELECT * FROM cdp.incomplete_profiles('{}')$$, '22023', 'nothing is wanted', 'nothing is no list');
SELECT throws_ok($$SELECT * FROM cdp.incomplete_profiles('{identifier phnoe}')$$, '22023', 'unknown target "identifier phnoe"', 'nor is a typing error');

-- References to records that never came, while who refers is there
SELECT cdp.track('quiet', 'refund', '{"user_id": "o1"}', value => -1, refers_to => 'never came', message_id => 'x1');
SELECT is((SELECT orphans FROM cdp.source_orphans() WHERE finding = 'awaited record'), 1::bigint, 'a record is awaited');
SELECT cdp.revert_load(max(load_id)) FROM cdp_data.load WHERE kind = 'calls';
SELECT is_empty($$SELECT * FROM cdp.source_orphans() WHERE finding = 'awaited record'$$, 'not by a refund that was taken back');

-- Two sources that say different things at one moment: the same answer whichever was loaded first
CREATE TABLE same AS SELECT 'p1' AS user_id, 'A' AS city, '2026-01-01 10:00Z' AS observed_at;
SELECT cdp.load_customers('crm', 'same');
UPDATE same SET city = 'B';
SELECT cdp.load_customers('crm', 'same');
SELECT cdp.load_customers('c', 'same');
UPDATE same SET city = 'A';
SELECT cdp.load_customers('c', 'same');
SELECT is_empty($$SELECT * FROM cdp.attribute_conflicts('city')$$, 'sources that told both at one moment do not disagree, in whatever order they told it');
SELECT is((SELECT count(*) FROM cdp.attribute_conflicts('full_name')), 1::bigint, 'those that do, do');
SELECT * FROM finish();
