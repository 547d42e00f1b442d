-- Retention: what the plan says is what maintain() does, counted by a plain query beside it; holds; keys, roll-ups,
-- reverts afterwards. Commits, so without a transaction around.
SELECT plan(55);
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
-- Five ages in months, three kinds, eight people; the oldest month has clicks only.
CREATE TABLE staging AS
SELECT format('m%s %s %s', m, k, p) AS source_key, date_trunc('month', now() - make_interval(months => m), 'UTC') + interval '10 days' + p * interval '1 hour' AS occurred_at,
  'email' AS identifier_type, 'p' || p || '@example.org' AS identifier, k AS kind, 'weibo' AS source, CASE WHEN k = 'purchase' THEN 10.0 + p END AS value, 'CNY' AS currency
FROM unnest(ARRAY[40, 30, 14, 4, 1]) m, unnest(ARRAY['page_view', 'click', 'purchase']) k, generate_series(1, 8) p WHERE m < 40 OR k = 'click';
SELECT load_id AS first_load FROM cdp.load_touchpoints('shop', 'staging') \gset
SELECT cdp.define_attribution_rollup('main', models => '{last,linear}');
SELECT count(*) FROM cdp.refresh_attribution();
-- A correction of an old purchase, whose first version stands among the retracted.
CREATE TABLE again AS SELECT source_key, occurred_at, identifier_type, identifier, kind, source, value + 1 AS value, currency FROM staging WHERE source_key IN ('m14 page_view 2', 'm30 purchase 2', 'm30 click 2');
UPDATE again SET value = 5 WHERE value IS NULL;
SELECT load_id AS second_load FROM cdp.load_touchpoints('shop', 'again') \gset
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_retracted), 3::bigint, 'three corrections');

-- What can be said.
SELECT throws_ok($$SELECT cdp.set_retention('touchpoint', '1 day', 'page_vew')$$, '22023', 'unknown kind "page_vew"', 'an unknown kind');
SELECT throws_ok($$SELECT cdp.set_retention('attribute', '1 day', 'brthday')$$, '22023', 'unknown attribute "brthday"', 'an unknown attribute');
SELECT throws_ok($$SELECT cdp.set_retention('consent', '1 day')$$, '22023', NULL, 'what has no retention');
SELECT throws_ok($$SELECT cdp.set_retention('quarantine', '1 day', basis => 'occurred')$$, '22023', NULL, 'a basis that is not known there');
SELECT throws_ok($$SELECT cdp.set_retention('touchpoint', '1 day', basis => 'loaded')$$, '22023', NULL, 'the general one goes by time of event');
SELECT throws_ok($$SELECT cdp.set_retention('touchpoint', '-1 day', 'click')$$, '22023', NULL, 'not below zero');
SELECT throws_ok($$SELECT cdp.set_retention(NULL, '1 day')$$, '22023', NULL, 'nor of nothing');
SELECT throws_ok($$SELECT cdp.set_retention('call_message', NULL)$$, '22004', NULL, 'a setting that must be');
SELECT is_empty('SELECT * FROM cdp.retention_plan()', 'without policies nothing is planned');

SELECT cdp.set_retention('touchpoint', '2 years'), cdp.set_retention('touchpoint', '90 days', 'page_view'), cdp.set_retention('touchpoint', '10 years', 'purchase', note => 'tax law');
SELECT customer_id AS p3 FROM cdp_data.identifier WHERE value = 'p3@example.org' \gset
SELECT cdp.place_hold(:p3, 'case 17') AS hold \gset
CREATE VIEW oracle AS
SELECT t.touchpoint_id, t.customer_id, t.occurred_at, k.name AS kind,
  t.occurred_at < now() - CASE k.name WHEN 'page_view' THEN interval '90 days' WHEN 'purchase' THEN interval '10 years' ELSE interval '2 years' END AS past, t.customer_id = :p3 AS held
FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id);
SELECT results_eq($$SELECT name, sum(past)::bigint, sum(held)::bigint FROM cdp.retention_plan() GROUP BY name ORDER BY name$$,
  $$SELECT kind COLLATE "default", count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held) FROM oracle WHERE past GROUP BY kind ORDER BY kind$$, 'the plan counts what a plain query counts');
SELECT is((SELECT string_agg(DISTINCT method, ' ') FROM cdp.retention_plan()), 'delete', 'no partition can go: the hold is in each');
CREATE TABLE expected AS SELECT touchpoint_id FROM oracle WHERE NOT past OR held;
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint', 'SELECT touchpoint_id FROM oracle', 'a plan deletes nothing');
CALL cdp.maintain();
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint', 'SELECT touchpoint_id FROM expected', 'maintain() leaves what is not past, and what is held');
SELECT is_empty($$SELECT * FROM cdp.retention_plan() WHERE past > 0$$, 'nothing is left to delete');
SELECT results_eq($$SELECT name COLLATE "default", deleted FROM cdp_data.retention ORDER BY 1$$, $$VALUES ('page_view', 21::bigint), ('purchase', 0)$$, 'policies count what they deleted');
SELECT is((SELECT sum((detail ->> 'deleted')::bigint) FROM cdp_data.audit WHERE action = 'retention'), 35::numeric, 'so does the audit: 21 views and 14 clicks');
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint_key', 'SELECT touchpoint_id FROM cdp_data.touchpoint', 'keys went with their touchpoints');
SELECT is((SELECT sum(orphans) FROM cdp.check_orphans()), 0::numeric, 'no orphans');
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint_retracted', $$SELECT touchpoint_id FROM cdp_data.touchpoint_key WHERE source_key = 'm30 purchase 2'$$, 'earlier versions went, too');
SELECT count(*) FROM cdp.refresh_attribution();
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t) FROM cdp.attribution(models => '{last,linear}') t), 'the roll-up follows');

-- Taking back loads of which rows are gone brings nothing back.
SELECT lives_ok(format('SELECT cdp.revert_load(%s)', :second_load), 'the correction is reverted');
SELECT is((SELECT value FROM cdp_data.touchpoint JOIN cdp_data.touchpoint_key USING (touchpoint_id) WHERE source_key = 'm30 purchase 2'), 12.0, 'the purchase has its first value again');
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint', 'SELECT touchpoint_id FROM expected', 'and nothing that was deleted came back');
SELECT lives_ok(format('SELECT cdp.revert_load(%s)', :first_load), 'the first load is reverted');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 0::bigint, 'all of the rest is out');
SELECT lives_ok(format('SELECT cdp.retry_load(%s)', :first_load), 'and put in again');
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint', 'SELECT touchpoint_id FROM expected', 'the rest only');
SELECT is((SELECT sum(orphans) FROM cdp.check_orphans()), 0::numeric, 'still no orphans');
SELECT lives_ok(format('SELECT cdp.retry_load(%s)', :second_load), 'the correction, too');
SELECT is((SELECT inserted + quarantined FROM cdp.load_touchpoints('shop', 'again') WHERE load_id IS NOT NULL), 2::bigint, 'a source that delivers deleted records again is not refused for the kind, only for the longest retention');
CALL cdp.maintain();
SELECT set_eq('SELECT touchpoint_id FROM cdp_data.touchpoint', 'SELECT touchpoint_id FROM expected', 'and the next maintain() deletes them again');

-- The hold: who is one customer with the held one is held; an end that has come frees.
SELECT throws_ok(format('SELECT cdp_internal.require_no_hold(%s)', :p3), '55000', format('customer %s is on hold: case 17', :p3), 'who deletes people is told the reason');
SELECT throws_ok(format('SELECT cdp.erase_customer(%s)', :p3), '55000', format('customer %s is on hold: case 17', :p3), 'so is an erasure');
SELECT lives_ok(format('SELECT cdp_internal.require_no_hold(%s)', :p3 + 1), 'others are free');
SELECT customer_id AS p4 FROM cdp_data.identifier WHERE value = 'p4@example.org' \gset
SELECT status FROM cdp.alias('shop', '{"email": "p3@example.org"}', '{"email": "p4@example.org"}') \gset
SELECT ok(cdp_internal.root_of(:p3) <> cdp_internal.root_of(:p4) OR cdp_internal.held_homes() @> ARRAY[:p3, :p4]::bigint[], 'a merge brings the hold along');
SELECT throws_ok(format('SELECT cdp.place_hold(%s, %L)', :p3, ' '), '22023', NULL, 'no hold without a reason');
SELECT throws_ok($$SELECT cdp.place_hold(4000000000, 'x')$$, '22023', NULL, 'nor of nobody');
SELECT is(cdp.lift_hold(:hold), true, 'lifted');
SELECT is(cdp.lift_hold(:hold), false, 'once');
SELECT is((SELECT string_agg(DISTINCT method, ' ') FROM cdp.retention_plan() WHERE name = 'click' AND cutoff > now() - interval '100 years' AND place = (SELECT partition_name FROM cdp_internal.touchpoint_bounds() WHERE from_at = date_trunc('month', now() - interval '40 months', 'UTC'))), 'drop', 'now the oldest partition can go as a whole');
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM cdp_internal.touchpoint_bounds() WHERE from_at = date_trunc('month', now() - interval '40 months', 'UTC')), 0::bigint, 'and is gone');
SELECT is_empty('SELECT touchpoint_id FROM oracle WHERE past', 'nothing is kept for the one who was held');
SELECT is((SELECT count(*) FROM cdp_internal.touchpoint_bounds() WHERE from_at = date_trunc('month', now() - interval '30 months', 'UTC')), 1::bigint, 'purchases keep their partition');

-- Attributes and tables.
SELECT status FROM cdp.identify('shop', '{"email": "p1@example.org"}', '{"birthday": "1990-02-03", "city": "Graz"}', now() - interval '400 days') \gset
SELECT status FROM cdp.identify('shop', '{"email": "p1@example.org"}', '{"nickname": "old"}', now() - interval '400 days') \gset
INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason, created_at) SELECT :first_load, :shop, '{}', 'bad_time', 'x', now() - i * interval '20 days' FROM generate_series(0, 9) i;
SELECT cdp.set_retention('attribute', '1 year', 'birthday'), cdp.set_retention('attribute', '2 years'), cdp.set_retention('quarantine', '90 days'), cdp.set_retention('touchpoint_retracted', '1 hour', basis => 'loaded');
UPDATE cdp_data.touchpoint_retracted SET retracted_at = now() - interval '2 hours' WHERE touchpoint_id > (SELECT min(touchpoint_id) FROM cdp_data.touchpoint_retracted);
SELECT count(*) FROM cdp.refresh_profiles();
SELECT results_eq($$SELECT what, name, past FROM cdp.retention_plan() WHERE what <> 'touchpoint_retracted' ORDER BY what$$, $$VALUES ('attribute', 'birthday', 1::bigint), ('quarantine', NULL, 5)$$, 'the plan of values and rows');
CALL cdp.maintain();
SELECT count(*) FROM cdp.refresh_profiles();
SELECT is((SELECT concat_ws(' ', birthday, city, nickname) FROM cdp_data.profile WHERE customer_id = cdp.customer_of('email', 'p1@example.org')), 'Graz old', 'the birthday is out of the profile, the rest stays');
SELECT results_eq('SELECT (SELECT count(*) FROM cdp_data.quarantine), (SELECT count(*) FROM cdp_data.touchpoint_retracted)', 'VALUES (5::bigint, 1::bigint)', 'old rows are gone, the young retracted version stays');
SELECT cdp.set_retention('attribute', '10 days', basis => 'loaded', name => 'city'), cdp.set_retention('quarantine', NULL);
SELECT is_empty($$SELECT * FROM cdp.retention_plan() WHERE what IN ('attribute', 'quarantine')$$, 'counted from the load, the city is young; a policy taken away plans nothing');
SELECT is((SELECT sum(past) FROM cdp.retention_plan(now() + interval '11 days') WHERE name = 'city'), 1::numeric, 'later it would go');
-- The plan is what a privacy officer is asked for: the same figures as the owner's, and no right on rows.
CREATE ROLE retention_privacy;
CREATE ROLE retention_admin;
CREATE ROLE retention_kept;
GRANT retention_privacy TO retention_kept;
SET client_min_messages = error;
CALL cdp.setup(privacy => 'retention_privacy', admin => 'retention_admin');
SELECT cdp.restrict_to_sources('retention_kept', '{shop}') \g /dev/null
SELECT date_trunc('second', now()) + interval '11 days' AS as_of \gset
CREATE TEMP TABLE of_owner AS SELECT * FROM cdp.retention_plan(:'as_of');
GRANT SELECT ON of_owner TO retention_privacy;
SET ROLE retention_privacy;
SELECT set_eq(format('SELECT * FROM cdp.retention_plan(%L)', :'as_of'), 'SELECT * FROM of_owner', 'privacy sees the plan as it is');
SELECT cmp_ok((SELECT sum(past) FROM cdp.retention_plan(:'as_of')), '>', 0::numeric, 'with its figures');
SELECT throws_ok('DELETE FROM cdp_data.touchpoint', '42501', NULL, 'and may delete nothing');
SELECT throws_ok('SELECT cdp_internal.retention_values(''city'', 1)', '42501', NULL, 'by no road');
SET ROLE retention_admin;
SELECT throws_ok('SELECT * FROM cdp.retention_plan()', '42501', 'permission denied to see the retention plan', 'other parts may not see it');
SET ROLE retention_kept;
SELECT throws_ok('SELECT * FROM cdp_data.retention_plan(now())', '42501', 'the retention plan counts the rows of all sources', 'nor a role that is kept to some sources');
RESET ROLE;
SELECT cdp.restrict_to_sources('retention_kept', NULL) \g /dev/null
SELECT * FROM finish();
DROP OWNED BY retention_privacy, retention_admin, retention_kept;
DROP ROLE retention_privacy, retention_admin, retention_kept;
