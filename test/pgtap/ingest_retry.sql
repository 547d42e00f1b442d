-- Rows in quarantine are tried again: of customers and of events, by contract and by names of columns.
BEGIN;
SELECT plan(36);
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY');
SET LOCAL client_min_messages = warning;
SET LOCAL DateStyle = 'German, DMY';
SELECT cdp.add_source('crm'), cdp.add_source('till');

-- Customers, by the names of columns.
CREATE TABLE people AS SELECT * FROM (VALUES
  ('1', 'ann@example.org', '上海', '2026-03-01 10:00'), ('2', 'nonsense', '北京', '2026-03-01 10:00'), ('3', 'eve@example.org', '深圳', 'never'), ('4', NULL, '广州', '2026-03-01 10:00'))
  AS v (source_key, email, city, observed_at);
SELECT load_id AS bad, inserted, quarantined FROM cdp.load_customers('crm', 'people') \gset
SELECT is(:inserted || ' ' || :quarantined, '1 3', 'three of four are refused');
SELECT is((SELECT count(*) FROM cdp.retry_quarantine(:bad)), 1::bigint, 'tried again as they are');
SELECT is((SELECT rows_read || ' ' || inserted || ' ' || quarantined FROM cdp_data.load ORDER BY load_id DESC LIMIT 1), '3 0 3', 'they are refused again, under the new load');
SELECT max(load_id) AS again FROM cdp_data.load \gset
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE load_id = :bad AND retried_by_load = :again), 3::bigint, 'the old rows say where they went');
UPDATE cdp_data.quarantine SET original = original || '{"email": "bob@example.org"}' WHERE load_id = :again AND original ->> 'source_key' = '2';
UPDATE cdp_data.quarantine SET original = original || '{"observed_at": "2026-03-02 09:00"}' WHERE load_id = :again AND original ->> 'source_key' = '3';
SELECT results_eq(format('SELECT rows_read, inserted, corrected, unchanged, quarantined, orphaned FROM cdp.retry_quarantine(%s)', :again), 'VALUES (3::bigint, 2::bigint, 0::bigint, 0::bigint, 1::bigint, 0::bigint)', 'mended ones come in');
SELECT is((SELECT string_agg(p.doc -> 'values' ->> 'city', ' ' ORDER BY p.customer_id) FROM cdp_internal.profile_rows(NULL) p), '上海 北京 深圳', 'with what they say');
SELECT is((SELECT observed_at FROM cdp_data.customer_record WHERE source_key = '3'), '2026-03-02 09:00+08'::timestamptz, 'at their time');
SELECT results_eq(format('SELECT rows_read FROM cdp.retry_quarantine(%s)', :again), 'VALUES (0::bigint)', 'once');
SELECT results_eq(format('SELECT rows_read FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (0::bigint)', 'nor from the first load');
-- What came since is newer.
SELECT load_id AS worse FROM cdp.load_customers('crm', 'people') \gset
SELECT is((SELECT count(*) FROM cdp_data.quarantine WHERE load_id = :worse), 3::bigint, 'the bad table once more');
UPDATE people SET email = 'bob@example.org', city = '成都', observed_at = '2026-03-05 10:00' WHERE source_key = '2';
UPDATE people SET email = 'dan@example.org' WHERE source_key = '4';
SELECT count(*) AS loaded FROM cdp.load_customers('crm', 'people') \gset
UPDATE cdp_data.quarantine SET original = original || '{"email": "bob@example.org"}' WHERE load_id = :worse AND original ->> 'source_key' = '2';
SELECT results_eq(format('SELECT rows_read, quarantined FROM cdp.retry_quarantine(%s)', :worse), 'VALUES (1::bigint, 1::bigint)', 'rows of which a later load told are passed over');
SELECT is((SELECT p.doc -> 'values' ->> 'city' FROM cdp_internal.profile_rows(ARRAY[cdp.customer_of('email', 'bob@example.org')]) p), '成都', 'so the newer stays');

-- Customers, by contract: paths, required fields, transforms.
SELECT cdp.declare_contract('till', 'customer', '[{"field": "no", "target": "record source_key", "required": true}, {"field": "mail", "target": "identifier email"},
  {"field": "mobile", "target": "identifier phone", "required": true}, {"field": "$.more.town", "target": "attribute city"}]') IS NOT NULL AS declared;
CREATE TABLE members AS SELECT * FROM (VALUES ('1', 'fay@example.org', '+8613912345678', '{"town": "广州"}'::jsonb), ('2', 'gil@example.org', 'none', '{"town": "武汉"}')) v (no, mail, mobile, more);
CREATE VIEW good AS SELECT * FROM members WHERE no = '1';
SELECT rows_read FROM cdp.load_customers('till', 'good', trial => true);
SELECT cdp.source_go_live('till');
SELECT load_id AS bad, inserted, quarantined FROM cdp.load_customers('till', 'members') \gset
SELECT is(:inserted || ' ' || :quarantined, '1 1', 'a required field is bad');
UPDATE cdp_data.quarantine SET original = original || '{"mobile": "+8613912345679"}' WHERE load_id = :bad;
SELECT cdp.source_pause('till');
SELECT throws_ok(format('SELECT * FROM cdp.retry_quarantine(%s)', :bad), '55000', NULL, 'a paused source takes nothing in');
UPDATE cdp_data.source_contract SET status = 'live';
SELECT results_eq(format('SELECT rows_read, inserted, quarantined FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'mended, it comes in by the same contract');
SELECT is((SELECT p.doc -> 'values' ->> 'city' FROM cdp_internal.profile_rows(ARRAY[cdp.customer_of('email', 'gil@example.org')]) p), '武汉', 'with what stands inside of JSON');
SELECT is(cdp.customer_of('email', 'gil@example.org'), cdp.customer_of('phone', '+8613912345679'), 'as one customer');
SELECT max(load_id) AS again FROM cdp_data.load \gset
SELECT cdp.revert_load(:again);
SELECT isnt(cdp.customer_of('email', 'gil@example.org'), cdp.customer_of('phone', '+8613912345679'), 'and can be taken back like any load');

-- Events.
CREATE TABLE clicks AS SELECT * FROM (VALUES ('e1', '2026-03-01 10:00', 'visit', 'cookie-1', '7'), ('e2', 'never', 'visit', 'cookie-2', NULL), ('e3', '2026-03-01 11:00', 'nokind', 'cookie-3', '8'), ('e4', '2026-03-01 12:00', 'visit', NULL, NULL))
  v (source_key, occurred_at, kind, cookie, user_id);
SELECT load_id AS bad, inserted, quarantined FROM cdp.load_events('crm', 'clicks') \gset
SELECT is(:inserted || ' ' || :quarantined, '1 3', 'three of four events are refused');
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-03-01 10:30"}' WHERE load_id = :bad AND original ->> 'source_key' = 'e2';
INSERT INTO cdp_data.touch_kind (name, is_touch, is_conversion) VALUES ('nokind', true, false);
SELECT results_eq(format('SELECT rows_read, inserted, corrected, unchanged, quarantined, orphaned FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (3::bigint, 2::bigint, 0::bigint, 0::bigint, 1::bigint, 0::bigint)', 'mended ones come in');
SELECT is(cdp.customer_of('cookie', 'cookie-3'), cdp.customer_of('user_id', '8'), 'with all of their identifiers');
SELECT is((SELECT occurred_at FROM cdp_data.touchpoint_key WHERE source_key = 'e2'), '2026-03-01 10:30+08'::timestamptz, 'at their time, in the zone of the source');
SELECT results_eq(format('SELECT rows_read FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (0::bigint)', 'once');
SELECT load_id AS bad FROM cdp.load_events('crm', 'clicks') \gset
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-03-01 10:45"}' WHERE load_id = :bad AND original ->> 'source_key' = 'e2';
UPDATE clicks SET occurred_at = '2026-03-01 10:50' WHERE source_key = 'e2';
SELECT count(*) AS loaded FROM cdp.load_events('crm', 'clicks') \gset
SELECT results_eq(format('SELECT rows_read FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (1::bigint)', 'an event of which a later load told is passed over');
SELECT is((SELECT occurred_at FROM cdp_data.touchpoint_key WHERE source_key = 'e2'), '2026-03-01 10:50+08'::timestamptz, 'and stays as it is');
SELECT cdp.identify('crm', '{"email": "x@example.org"}') IS NOT NULL AS called;
SELECT throws_ok(format('SELECT * FROM cdp.retry_quarantine(%s)', (SELECT max(load_id) FROM cdp_data.load WHERE kind = 'calls')), '55000', NULL, 'calls have a function of their own');
-- What an attribute refuses is not valid, in a trial neither.
CREATE TABLE garbage AS SELECT * FROM (VALUES ('1', 'infinity', repeat('x', 9000), '10', 'fine'), ('2', '1990-01-01', 'short', 'no number', 'fine')) v (user_id, birthday, note, membership_points, city);
SELECT load_id AS load FROM cdp.load_customers('crm', 'garbage') \gset
SELECT load_id AS trial FROM cdp.load_customers('crm', 'garbage', trial => true) \gset
SELECT is((SELECT string_agg(field || filled || valid, ' ' ORDER BY field) FROM cdp_data.source_quality WHERE load_id = :load), 'birthday21 city22 membership_points21 note21 user_id22', 'valid are the values that were taken');
SELECT is((SELECT string_agg(field || filled || valid, ' ' ORDER BY field) FROM cdp_data.source_quality WHERE load_id = :trial), 'birthday21 city22 membership_points21 note21 user_id22', 'or would be');
SELECT is((SELECT count(*) FROM cdp_data.attribute_value WHERE load_id = :load), 5::bigint, 'as many as are stored');
SELECT throws_ok('SELECT * FROM cdp.retry_quarantine(0)', '22023', NULL, 'no such load');

-- Columns that have a name in another spelling are tried again with it.
SELECT cdp.add_source('far');
CREATE TABLE spelled AS SELECT * FROM (VALUES ('s1', 'sam@example.org', 'Sam', 'never'), ('s2', 'tom@example.org', 'Tom', '2026-03-01 10:00')) v (source_key, "Email", "firstName", observed_at);
SELECT load_id AS bad FROM cdp.load_customers('far', 'spelled', 'America/New_York') \gset
UPDATE cdp_data.quarantine SET original = original || '{"observed_at": "2026-03-01 09:00"}' WHERE load_id = :bad;
SELECT results_eq(format('SELECT rows_read, inserted, quarantined FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'a record with columns of another spelling comes in');
SELECT is((SELECT p.doc -> 'values' ->> 'first_name' FROM cdp_internal.profile_rows(ARRAY[cdp.customer_of('email', 'sam@example.org')]) p), 'Sam', 'with all that it says');
SELECT is((SELECT observed_at FROM cdp_data.customer_record WHERE source_key = 's1'), '2026-03-01 09:00-05'::timestamptz, 'in the zone that was given to the load');
CREATE TABLE seen AS SELECT * FROM (VALUES ('v1', 'never', '9')) v (source_key, occurred_at, "userId");
SELECT load_id AS bad FROM cdp.load_events('far', 'seen', 'America/New_York', 'visit') \gset
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-03-01 09:00"}' WHERE load_id = :bad;
SELECT results_eq(format('SELECT rows_read, inserted, quarantined FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'so does an event, of the kind that was given to the load');
SELECT is((SELECT occurred_at FROM cdp_data.touchpoint_key WHERE source_key = 'v1'), '2026-03-01 09:00-05'::timestamptz, 'in its zone');
-- A load of touchpoints remembers as much.
CREATE TABLE plain AS SELECT 'p1' AS source_key, 'never' AS occurred_at, '9' AS identifier;
SELECT load_id AS bad FROM cdp.load_touchpoints('far', 'plain', 'America/New_York', 'user_id', 'visit') \gset
UPDATE cdp_data.quarantine SET original = original || '{"occurred_at": "2026-03-01 09:00"}' WHERE load_id = :bad;
SELECT results_eq(format('SELECT rows_read, inserted, quarantined FROM cdp.retry_quarantine(%s)', :bad), 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'and a touchpoint, which has no type and kind of its own either');
SELECT * FROM finish();
ROLLBACK;
