-- One customer as a document and as a timeline: what stands in it, by any of his ids, in any time zone, in a
-- read-only transaction, and for each role what it may see. And the views for analysts.
BEGIN;
SELECT plan(53);
SET LOCAL client_min_messages = warning;
SELECT cdp.add_source('crm', 'Asia/Shanghai') AS crm, cdp.add_source('shop', 'Asia/Shanghai') AS shop \gset
CREATE ROLE profile_privacy;
CREATE ROLE profile_analyst;
CREATE ROLE profile_reader;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY', privacy => 'profile_privacy', analyst => 'profile_analyst', reader => 'profile_reader');
GRANT USAGE ON SCHEMA public TO profile_privacy, profile_analyst, profile_reader;

SELECT cdp.identify('crm', '{"user_id": "anna", "email": "anna@example.org"}', '{"city": "Hangzhou", "full_name": "Anna Li", "gender": "f", "tags": ["vip"]}', '2026-01-10 00:00+00'),
  cdp.identify('shop', '{"cookie": "c1"}', '{"city": "Shanghai"}', '2026-01-20 00:00+00'),
  cdp.track('shop', 'visit', '{"cookie": "c1"}', '{}', '2026-01-01 00:00+00', 't1', origin => '{"source": "baidu", "medium": "cpc"}'),
  cdp.track('shop', 'visit', '{"cookie": "c1"}', '{}', '2026-01-02 00:00+00', 't2', flags => 1),
  cdp.track('shop', 'add_to_cart', '{"cookie": "c1"}', '{}', '2026-01-03 00:00+00', 't3'),
  cdp.track('shop', 'purchase', '{"user_id": "anna"}', '{}', '2026-01-15 00:00+00', 'o1', 100, 'CNY'),
  cdp.track('shop', 'refund', '{"user_id": "anna"}', '{}', '2026-01-16 00:00+00', 'r1', 30, 'CNY', refers_to => 'o1');
SELECT cdp.customer_of('cookie', 'c1') AS visitor \gset
SELECT cdp.alias('shop', '{"cookie": "c1"}', '{"user_id": "anna"}', '2026-03-01 00:00+00');
SELECT cdp.customer_of('user_id', 'anna') AS anna \gset
SELECT cdp_internal.attributes_write(l.load_id, :shop, i.customer_id, i.identifier_id, '{"phone_model": "x", "district": "Xihu"}', '2026-02-01 00:00+00', true)
FROM cdp_data.load l, cdp_data.identifier i WHERE l.source_id = :shop AND l.kind = 'calls' AND i.value = 'c1';
SELECT count(*) AS refreshed FROM cdp.refresh_profiles();

-- The document.
SET LOCAL TimeZone = 'America/New_York';
CREATE TEMP TABLE doc AS SELECT cdp.customer_360(:anna) AS d;
SELECT is(d -> 'customer', to_jsonb(:anna), 'the customer') FROM doc;
SELECT is(d -> 'merged', jsonb_build_array(:visitor), 'and who became one with it') FROM doc;
SELECT is((SELECT string_agg(i ->> 'type' || '=' || (i ->> 'value'), ' ' ORDER BY n) FROM jsonb_array_elements(d -> 'identifiers') WITH ORDINALITY x (i, n)),
  'user_id=anna email=anna@example.org cookie=c1', 'identifiers, strongest first') FROM doc;
SELECT is(d -> 'attributes', '{"city": "Shanghai", "tags": ["vip"], "gender": "female", "district": "Xihu", "full_name": "Anna Li"}', 'golden values') FROM doc;
SELECT is(d -> 'provenance' -> 'city', jsonb_build_object('at', '2026-01-20T00:00:00Z', 'others', 1, 'source', 'shop', 'customer', :visitor, 'strategy', 'latest', 'verified', false,
  'identifier', (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'c1')), 'with where they come from') FROM doc;
SELECT is((SELECT string_agg(x ->> 'value', ' ' ORDER BY n) FROM jsonb_array_elements(d -> 'conflicts' -> 'city') WITH ORDINALITY e (x, n)), 'Shanghai Hangzhou', 'who says what else') FROM doc;
SELECT is((SELECT count(*) FROM jsonb_object_keys(d -> 'conflicts')), 1::bigint, 'where they differ only') FROM doc;
SELECT is((d -> 'figures') - ARRAY['first_seen', 'last_seen'], '{"touches": 1, "conversions": 1, "orders": 1, "refunds": 1, "revenue": 70.000000, "average_order": 100.000000,
  "currency": "CNY", "unrated": 0, "first_channel": "Baidu Ads", "last_channel": "Baidu Ads"}', 'figures') FROM doc;
SELECT is((d -> 'quality') - 'missing', '{"attributes": 5, "verified": 1, "conflicting": 1}', 'quality') FROM doc;
SELECT ok((d -> 'quality' -> 'missing') ? 'birthday' AND NOT (d -> 'quality' -> 'missing') ? 'city', 'and what is missing') FROM doc;
SELECT is(jsonb_array_length(d -> 'links'), 2, 'links') FROM doc;
SELECT is(d -> 'alerts', '[]', 'no alert') FROM doc;
SELECT is(d -> 'hidden', '[]', 'nothing is hidden from the owner') FROM doc;
SELECT is(cdp.customer_360(:visitor) - 'asked_for', d - 'asked_for', 'by the old id the same') FROM doc;
SELECT is(cdp.customer_360('email', ' Anna@Example.org '), d, 'by an identifier the same') FROM doc;
SET LOCAL TimeZone = 'Asia/Kathmandu';
SELECT is(cdp.customer_360(:anna), d, 'in another time zone the same') FROM doc;
SELECT is(cdp.customer_360('email', 'nobody@example.org'), NULL, 'nobody');
SELECT throws_ok('SELECT cdp.customer_360(4000000000)', '22023', 'there is no customer 4000000000', 'an unknown id');
SELECT throws_ok('SELECT cdp.customer_360(NULL::bigint)', '22023', 'there is no customer NULL', 'no id');
SELECT throws_ok($$ SELECT cdp.customer_360('fax', '1') $$, '22023', NULL, 'an unknown type');
INSERT INTO cdp_data.identity_alert (kind, customer_id, detail) VALUES ('customer_size', :visitor, '{"size": 3}'), ('limit', 4000000000, '{}');
SELECT is(cdp.customer_360(:anna) -> 'alerts' -> 0 ->> 'kind', 'customer_size', 'an open alert, also of who was merged');

-- The timeline.
SELECT is((SELECT array_agg(kind || ' ' || what ORDER BY n) FROM cdp.customer_timeline(:anna) WITH ORDINALITY t (at, kind, what, channel, value, currency, detail, id, n) WHERE kind NOT IN ('merge')),
  ARRAY['attribute district', 'attribute city', 'refund refund', 'conversion purchase', 'attribute city', 'attribute full_name', 'attribute gender', 'attribute tags', 'event add_to_cart', 'touch visit', 'touch visit'],
  'all that happened, latest first');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:anna) WHERE kind = 'merge' AND what = 'alias' AND (detail ->> 'customer')::bigint = :visitor), 1::bigint, 'the merge is in it');
SELECT is((SELECT string_agg(detail ->> 'bot', ' ') FROM cdp.customer_timeline(:anna) WHERE kind = 'touch'), 'true', 'the bot is marked');
SELECT set_eq(format('SELECT * FROM cdp.customer_timeline(%s)', :visitor), format('SELECT * FROM cdp.customer_timeline(%s)', :anna), 'by the old id the same');
SELECT results_eq(format('SELECT what FROM cdp.customer_timeline(%s, ''2026-01-02 00:00+00'', ''2026-01-15 00:00+00'') WHERE kind <> ''attribute''', :anna), ARRAY['add_to_cart', 'visit'], 'since counts, until does not');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:anna, max_rows => 3)), 3::bigint, 'so many rows');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:anna, max_rows => 0)), 0::bigint, 'none');
SELECT throws_ok(format('SELECT * FROM cdp.customer_timeline(%s, max_rows => 100001)', :anna), '22023', NULL, 'too many');
SELECT throws_ok('SELECT * FROM cdp.customer_timeline(4000000000)', '22023', NULL, 'of nobody');
SELECT set_eq(format('SELECT * FROM cdp.customer_timeline(%s, max_rows => 5)', :anna), format('SELECT * FROM cdp.customer_timeline(%s) LIMIT 5', :anna), 'the first of all');

-- Views.
SELECT is((SELECT concat_ws(' ', city, district, gender, tags, touches, first_channel, last_channel_group) FROM cdp_bi.customer_profile WHERE customer_id = :anna), 'Shanghai Xihu female {vip} 1 Baidu Ads Paid search', 'the profile for analysts');
SELECT hasnt_column('cdp_bi', 'customer_profile', c::name, 'without ' || c) FROM unnest(ARRAY['full_name', 'address', 'birthday', 'personal_attributes']) c;
SELECT results_eq('SELECT attribute, source COLLATE "default", others FROM cdp_bi.customer_attribute_conflict', $$ VALUES ('city', 'shop', 1::bigint) $$, 'conflicts');
SELECT is((SELECT concat_ws(' ', profiles, filled, share, conflicting, verified, sources) FROM cdp_bi.profile_completeness WHERE attribute = 'city'), '1 1 1.0000 1 0 {shop}', 'completeness');
SELECT is((SELECT concat_ws(' ', filled, share, sources) FROM cdp_bi.profile_completeness WHERE attribute = 'note'), '0 0.0000 {}', 'of what nobody filled');
SELECT is((SELECT concat_ws(' ', changes, operations, undone, largest, source) FROM cdp_bi.customer_merge WHERE kind = 'merge'), '1 1 0 3 shop', 'merges by day');

-- Roles, in a read-only transaction.
GRANT SELECT ON doc TO profile_privacy;
SET LOCAL ROLE profile_privacy;
SELECT is(cdp.customer_360(:anna) - 'alerts'::text, d - 'alerts'::text, 'privacy sees all of it') FROM doc;
SELECT is((SELECT string_agg(object, ' ' ORDER BY audit_id) FROM cdp_data.audit WHERE action = 'read' AND role = 'profile_privacy' AND customer_id = :anna), 'customer_360', 'and leaves one trace');
SET LOCAL transaction_read_only = on;
SELECT throws_ok(format('SELECT cdp.customer_360(%s)', :anna), '25006', NULL, 'privacy sees nothing that can not be logged');
SET LOCAL ROLE profile_analyst;
SELECT throws_ok('SELECT value FROM cdp_data.attribute_value', '42501', NULL, 'an analyst reads no value');
SELECT throws_ok('SELECT full_name FROM cdp_data.profile', '42501', NULL, 'no name');
SELECT is(cdp.customer_360(:anna) -> 'hidden', '["identifiers", "attributes", "figures", "groups", "links", "alerts"]', 'and his document says what it hides');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:anna) WHERE kind IN ('attribute', 'merge')), 0::bigint, 'his timeline has no attributes');
SELECT is((SELECT count(*) FROM cdp.customer_timeline(:anna)), 5::bigint, 'but all touches');
SELECT lives_ok(format('SELECT * FROM cdp_bi.%I', v), 'he reads ' || v) FROM unnest(ARRAY['customer_profile', 'customer_attribute_conflict', 'profile_completeness', 'customer_merge']) v;
SET LOCAL ROLE profile_reader;
SELECT throws_ok('SELECT * FROM cdp_bi.customer_profile', '42501', NULL, 'a reader of figures reads no person');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
