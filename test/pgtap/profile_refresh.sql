-- The golden profile follows everything by the change feed: after each change a refresh of a few leaves nothing for a
-- pass over everybody to do. And merges, unmerges and reverts bring profiles back exactly as they were.
BEGIN;
SELECT plan(60);
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'America/New_York';
SELECT cdp.add_source('crm', 'Asia/Shanghai') AS crm \gset
SELECT cdp.add_source('shop', 'Asia/Shanghai') AS shop \gset
INSERT INTO cdp_data.currency_rate VALUES ('USD', 'CNY', '2026-01-01', 7), ('USD', 'CNY', '2026-02-01', 7.5);
SELECT is((SELECT started_over FROM cdp.refresh_profiles()), 'profiles were never made', 'the first refresh makes all');

CREATE FUNCTION pg_temp.profiles() RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT to_jsonb(p) - 'refreshed_at' FROM cdp_data.profile p ORDER BY p.customer_id $$;
-- A refresh reads the feed; what it leaves must be what a pass over everybody makes. The feed is emptied, so that the next one sees only what is new.
CREATE FUNCTION pg_temp.follows(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  few record;
  was text[];
BEGIN
  few := cdp.refresh_profiles();
  DELETE FROM cdp_data.change_feed;
  was := ARRAY(SELECT p::text FROM pg_temp.profiles() p);
  PERFORM cdp.refresh_profiles(everybody => true);
  RETURN NEXT public.is(concat_ws(' ', few.started_over, array_length(ARRAY(SELECT p::text FROM pg_temp.profiles() p), 1)), array_length(was, 1)::text, what || ' is followed by the feed');
  RETURN NEXT public.is(ARRAY(SELECT p::text FROM pg_temp.profiles() p), was, what || ': as a pass over everybody would have it');
END $$;

-- Anna, known by her account; a visitor, known by a cookie.
SELECT cdp.identify('crm', '{"user_id": "anna"}', '{"city": "Hangzhou", "full_name": "Anna Li", "birthday": "1990-05-17", "tags": ["vip"], "membership_points": 100, "registered_at": "2024-02-01 08:00"}', '2026-01-10 00:00+00'),
  cdp.track('shop', 'visit', '{"cookie": "c1"}', '{}', '2026-01-01 00:00+00', 't1', origin => '{"source": "baidu", "medium": "cpc"}'),
  cdp.track('shop', 'visit', '{"cookie": "c1"}', '{}', '2026-01-02 00:00+00', 't2', flags => 1),
  cdp.identify('shop', '{"cookie": "c1"}', '{"city": "Shanghai", "tags": ["new"], "membership_points": 5}', '2026-01-20 00:00+00');
SELECT cdp.track('shop', 'purchase', '{"user_id": "anna"}', '{}', '2026-01-15 00:00+00', 'o1', 100, 'USD'),
  cdp.track('shop', 'purchase', '{"user_id": "anna"}', '{}', '2026-02-15 00:00+00', 'o2', 50, 'CNY'),
  cdp.track('shop', 'sign_up', '{"user_id": "anna"}', '{}', '2026-01-11 00:00+00', 'o3');
SELECT pg_temp.follows('two customers');
SELECT set_eq($$ SELECT full_name, birthday, birth_year, tags, membership_points, registered_at, conversions, orders, refunds, revenue, average_order, first_seen, touches FROM cdp_data.profile WHERE customer_id = cdp.customer_of('user_id', 'anna') $$,
  $$ VALUES ('Anna Li', date '1990-05-17', 1990, '{vip}'::text[], 100::numeric, timestamptz '2024-02-01 08:00+08', 3::bigint, 2::bigint, 0::bigint, 750::numeric, 375::numeric, timestamptz '2026-01-11 00:00+00', 0::bigint) $$, 'Anna');
SELECT set_eq($$ SELECT city, touches, last_seen, (SELECT name COLLATE "default" FROM cdp_data.channel_all c WHERE c.channel_id = p.first_channel_id) FROM cdp_data.profile p WHERE customer_id = cdp.customer_of('cookie', 'c1') $$,
  $$ VALUES ('Shanghai', 1::bigint, timestamptz '2026-01-01 00:00+00', 'Baidu Ads') $$, 'the visitor, without the bot');
SELECT cdp.track('shop', 'refund', '{"user_id": "anna"}', '{}', '2026-02-20 00:00+00', 'r1', 20, 'CNY', refers_to => 'o2'),
  cdp.track('shop', 'purchase', '{"user_id": "anna"}', '{}', '2026-02-21 00:00+00', 'o4', 9, 'EUR');
SELECT pg_temp.follows('a refund, and money without a rate');
SELECT set_eq($$ SELECT conversions, orders, refunds, revenue, average_order, unrated FROM cdp_data.profile WHERE customer_id = cdp.customer_of('user_id', 'anna') $$,
  $$ VALUES (4::bigint, 3::bigint, 1::bigint, 730::numeric, 375::numeric, 1::bigint) $$, 'count as they should');
INSERT INTO cdp_data.currency_rate VALUES ('EUR', 'CNY', '2026-01-01', 8);
SELECT is((SELECT started_over FROM cdp.refresh_profiles()), 'rates changed', 'a new rate concerns all');
SELECT is((SELECT revenue FROM cdp_data.profile WHERE customer_id = cdp.customer_of('user_id', 'anna')), 802::numeric, 'and counts');
SELECT pg_temp.follows('a rate');

-- A merge, an unmerge.
CREATE TEMP TABLE apart AS SELECT to_jsonb(p) - 'refreshed_at' AS p FROM cdp_data.profile p;
CREATE TEMP TABLE ids AS SELECT cdp.customer_of('user_id', 'anna') AS anna, cdp.customer_of('cookie', 'c1') AS visitor;
SELECT is(merged, ARRAY[(SELECT visitor FROM ids)], 'the visitor is Anna') FROM cdp.alias('shop', '{"cookie": "c1"}', '{"user_id": "anna"}', '2026-03-01 00:00+00');
SELECT pg_temp.follows('a merge');
SELECT is(concat_ws(' ', city, tags, membership_points, touches, conversions, first_seen = '2026-01-01 00:00+00', provenance -> 'city' ->> 'others', (provenance -> 'city' ->> 'customer')::bigint = (SELECT visitor FROM ids)),
  'Shanghai {new,vip} 105 1 4 t 1 t', 'both in one') FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids);
SELECT is((SELECT count(*) FROM cdp_data.profile WHERE customer_id = (SELECT visitor FROM ids)), 0::bigint, 'who was merged away has no row');
SELECT is((SELECT count(*) FROM cdp.unmerge(merge => (SELECT max(merge_id) FROM cdp_data.merge_log))), 2::bigint, 'they are not one');
SELECT pg_temp.follows('an unmerge');
SELECT set_eq('SELECT pg_temp.profiles()', 'TABLE apart', 'and have back what they had, exactly');

-- An identifier that moves away takes what it said and did along.
SELECT cdp.identify('shop', '{"user_id": "anna", "device": "device-0001"}', '{}', '2026-03-02 00:00+00');
SELECT cdp.identify('shop', '{"device": "device-0001"}', '{"city": "Beijing"}', '2026-03-03 00:00+00'), cdp.track('shop', 'app_open', '{"device": "device-0001"}', '{}', '2026-03-04 00:00+00', 't3');
SELECT pg_temp.follows('a device');
SELECT is((SELECT city || touches FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), 'Beijing1', 'of Anna');
SELECT count(*) AS came_out FROM cdp.unmerge(identifier => (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'device-0001'));
SELECT pg_temp.follows('its leaving');
SELECT is((SELECT city || touches FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), 'Hangzhou0', 'leaves Anna as before');
SELECT is((SELECT city || touches FROM cdp_data.profile WHERE customer_id = cdp.customer_of('device', 'device-0001')), 'Beijing1', 'and its new owner has it');
SELECT set_eq($$ SELECT to_jsonb(p) - 'refreshed_at' FROM cdp_data.profile p WHERE customer_id = (SELECT anna FROM ids) $$, $$ SELECT p FROM apart WHERE (p ->> 'customer_id')::bigint = (SELECT anna FROM ids) $$, 'exactly');

-- Loads: bulk, the same again, reverted, put in again.
CREATE TEMP TABLE before AS SELECT pg_temp.profiles() AS p;
INSERT INTO cdp_data.load (load_id, source_id, kind, state) VALUES (900, :crm, 'customers', 'done'), (901, :crm, 'customers', 'done');
CREATE TEMP TABLE cdp_load_attribute AS
SELECT i.identifier_id, i.customer_id, a.attribute_id, v.value, '2026-04-01 00:00+00'::timestamptz AS observed_at, false AS verified, 0::bigint AS version_id
FROM cdp_data.identifier i, (VALUES ('city', ' Xi''an '), ('gender', '女'), ('birthday', 'yesterday'), ('tags', 'a;b'), ('note', 'N/A'), ('note', NULL)) v (name, value) JOIN cdp_data.attribute_all a USING (name)
UNION ALL SELECT i.identifier_id, i.customer_id, 99999, 'x', now(), true, 0 FROM cdp_data.identifier i;
SELECT is((SELECT (written, customers, refused)::text FROM cdp_internal.load_attributes(900, :crm)),
  '(9,2,"[{""code"": ""bad_date"", ""rows"": 3, ""attribute"": ""birthday""}, {""code"": ""unknown_attribute"", ""rows"": 3, ""attribute"": null}]")', 'a load of attributes');
SELECT pg_temp.follows('a load');
SELECT is((SELECT string_agg(city || gender || tags::text, ' ' ORDER BY tags) FROM cdp_data.profile), 'Xi''anfemale{a,b} Xi''anfemale{a,b} Xi''anfemale{a,b,new}', 'says the same of all');
CREATE TEMP TABLE stored AS SELECT * FROM cdp_data.attribute_value;
SELECT is((SELECT written FROM cdp_internal.load_attributes(900, :crm)), 0::bigint, 'the same rows again');
SELECT set_eq('TABLE cdp_data.attribute_value', 'TABLE stored', 'write nothing');
SELECT is((SELECT written FROM cdp_internal.load_attributes(901, :crm)), 9::bigint, 'another load says it, too');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = 900;
SELECT is(cdp_internal.attributes_of_load(900, 'revert'), 2::bigint, 'the first is reverted');
SELECT pg_temp.follows('the revert of one of two');
SELECT is((SELECT min(city) FROM cdp_data.profile), 'Xi''an', 'changes nothing while the other holds');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = 901;
SELECT cdp_internal.attributes_of_load(901, 'revert') AS told;
SELECT pg_temp.follows('the revert of the other');
SELECT set_eq('SELECT pg_temp.profiles()', 'TABLE before', 'brings everything back');
UPDATE cdp_data.load SET state = 'done' WHERE load_id = 901;
SELECT cdp_internal.attributes_of_load(901, 'retry') AS told;
SELECT pg_temp.follows('the load put in again');
SELECT is((SELECT max(city) FROM cdp_data.profile), 'Xi''an', 'counts again');
UPDATE cdp_data.load SET state = 'reverted' WHERE load_id = 901;
SELECT cdp_internal.attributes_of_load(901, 'revert') AS told;

-- Row by row the same as in bulk.
INSERT INTO cdp_data.load (load_id, source_id, kind, state) VALUES (902, :crm, 'customers', 'done');
SELECT sum((cdp_internal.attributes_write(902, :crm, i.customer_id, i.identifier_id, '{"city": " Xi''an ", "gender": "女", "birthday": "yesterday", "tags": "a;b", "note": "N/A"}', '2026-04-01 00:00+00')).written) AS written FROM cdp_data.identifier i;
SELECT set_eq('SELECT customer_id, identifier_id, first_at, last_at, attribute_id, source_id, verified, value FROM cdp_data.attribute_value WHERE load_id = 902',
  'SELECT customer_id, identifier_id, first_at, last_at, attribute_id, source_id, verified, value FROM cdp_data.attribute_value WHERE load_id = 901', 'calls and bulk store the same');

-- In pieces, over a table with missing, wrong and foreign rows.
SELECT cdp.refresh_profiles(everybody => true);
CREATE TEMP TABLE whole AS SELECT pg_temp.profiles() AS p;
DELETE FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids);
UPDATE cdp_data.profile SET city = 'nowhere', touches = 99 WHERE customer_id = (SELECT visitor FROM ids);
INSERT INTO cdp_data.profile (customer_id) VALUES (4000000000);
SELECT is((SELECT concat_ws(' ', sum(s.written), sum(s.removed)) FROM generate_series(3999999998, 4000000001, 2) low, cdp_internal.profile_store(NULL, low, low + 1) s), '0 1', 'a piece removes whom nobody knows');
SELECT is((SELECT concat_ws(' ', sum(s.written), sum(s.removed)) FROM generate_series(1, (SELECT max(customer_id) FROM cdp_data.customer), 2) low, cdp_internal.profile_store(NULL, low, low + 1) s), '2 0',
  'pieces write what is missing or wrong');
SELECT set_eq('SELECT pg_temp.profiles()', 'TABLE whole', 'and make the whole');
SELECT is((SELECT concat_ws(' ', written, removed) FROM cdp_internal.profile_store(ARRAY[4000000000, 1], NULL, NULL)), '0 0', 'nothing is left to do');

-- Definitions.
SELECT cdp.add_attribute('city', strategy => 'earliest'), cdp.add_attribute('vip', 'boolean', sensitivity => 'internal'), cdp.add_attribute('secret', sensitivity => 'sensitive');
SELECT is((SELECT started_over FROM cdp.refresh_profiles()), 'attributes changed', 'another strategy concerns all');
SELECT cdp.identify('crm', '{"user_id": "anna"}', '{"vip": true, "secret": "x"}', '2026-05-01 00:00+00');
SELECT pg_temp.follows('attributes of our own');
SELECT is((SELECT city || attributes || personal_attributes FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), 'Hangzhou{"vip": true}{"secret": "x"}', 'stand apart by sensitivity');
SELECT cdp.add_attribute('birthday', 'text') AS changed;
SELECT is((SELECT started_over FROM cdp.refresh_profiles()), 'attributes changed', 'a built-in attribute of another type');
SELECT is((SELECT birthday::text || personal_attributes FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), NULL, 'leaves its column');
SELECT is((SELECT personal_attributes ->> 'birthday' FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), '1990-05-17', 'and stands among the others');
SELECT cdp.add_attribute('city', sensitivity => 'sensitive') AS changed;
SELECT is((SELECT count(*) FROM cdp.refresh_profiles()), 1::bigint, 'a built-in attribute that is more sensitive here');
SELECT is((SELECT concat(city, ' ', attributes ? 'city', ' ', personal_attributes ->> 'city') FROM cdp_data.profile WHERE customer_id = (SELECT anna FROM ids)), ' f Hangzhou', 'leaves the column that analysts read');
SELECT * FROM finish();
ROLLBACK;
