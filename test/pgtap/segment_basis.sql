-- What members stand on beside the facts: channels that move, profiles made anew, sources and campaigns by name, lists of
-- properties, kinds that never came. Commits, so without a transaction around.
SELECT plan(30);
SET client_min_messages = error;
SET timezone = 'UTC';
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
CREATE FUNCTION pg_temp.members(name text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i.value, ' ' ORDER BY i.value) FROM cdp.segment_members(name) m JOIN cdp_data.identifier i ON i.customer_id = m AND i.type_id = 1 $$;
SELECT count(*) FROM (SELECT cdp.track('shop', k, jsonb_build_object('user_id', u), '{"sku": "a"}', '2026-05-01 10:00+00', u || k, 10, c, jsonb_build_object('source', CASE m WHEN 'cpc' THEN 'google' ELSE 'newsletter' END, 'medium', m, 'campaign', g))
FROM (VALUES ('a', 'visit', 'email', 'CNY', 'may'), ('b', 'visit', 'cpc', 'CNY', 'june'), ('c', 'purchase', 'email', 'EUR', 'may')) AS x (u, k, m, c, g)) x \g /dev/null
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-01-01', 8);

-- A channel that gets another group or name.
SELECT cdp.create_segment('owned', 'did(visit where channel_group = ''Owned'')', 'service'), cdp.create_segment('post', 'did(visit where channel = ''Email'')', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.members('post'), 'a', 'by its channel');
SELECT is((SELECT s.refreshed_at FROM cdp_data.profile_state s), NULL, 'rules over events do not wait for profiles');
INSERT INTO cdp_data.channel (channel_id, name, channel_group) SELECT channel_id, name, 'Paid' FROM cdp.channel_builtin() WHERE name = 'Email';
SELECT kind FROM cdp.segment_tick('2026-06-01 00:01+00') \g /dev/null
SELECT is(cdp_internal.segment_bits(s.segment_id), (SELECT r.members FROM cdp_internal.segment_results(cdp_internal.segment_plan(ARRAY[s.segment_id], '2026-06-01 00:01+00'), NULL, NULL, cdp_internal.segment_population()) r),
  'a channel of another group') FROM cdp_data.segment s WHERE s.name = 'owned';
UPDATE cdp_data.channel SET name = 'Mail';
INSERT INTO cdp_data.channel (channel_id, name) VALUES (2000, 'Email');
SELECT kind FROM cdp.segment_tick('2026-06-01 00:02+00') \g /dev/null
SELECT is(pg_temp.members('post'), NULL, 'a name that another channel has taken');
DELETE FROM cdp_data.channel;
SELECT kind FROM cdp.segment_tick('2026-06-01 00:03+00') \g /dev/null
SELECT is(pg_temp.members('post'), 'a', 'and given back');

-- A rate that comes while a run makes profiles: the next run finds it.
SELECT cdp.create_segment('spent', 'revenue >= 100', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:04+00') \g /dev/null
SELECT is(pg_temp.members('spent'), NULL, 'at 8 it is not enough');
CREATE FUNCTION public.a_rate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('EUR', 'CNY', '2026-02-01', 12) ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE TRIGGER a_rate AFTER UPDATE ON cdp_data.profile_state FOR EACH ROW EXECUTE FUNCTION public.a_rate();
SELECT kind FROM cdp.segment_tick('2026-06-01 00:05+00') \g /dev/null
DROP TRIGGER a_rate ON cdp_data.profile_state;
SELECT kind FROM cdp.segment_tick('2026-06-01 00:06+00') \g /dev/null
SELECT is(pg_temp.members('spent'), 'c', 'at 12 it is');
-- Profiles that somebody has made anew.
UPDATE cdp_data.profile SET revenue = 0;
SELECT cdp.evaluate_segments('2026-06-01 00:07+00') \g /dev/null
SELECT is(pg_temp.members('spent'), NULL, 'what profiles say counts');
SELECT started_over FROM cdp.refresh_profiles(true) \g /dev/null
SELECT is((SELECT kind || coalesce(': ' || reason, '') FROM cdp.segment_tick('2026-06-01 00:08+00')), 'full: profiles changed', 'profiles that were all made anew are looked at');
SELECT is(pg_temp.members('spent'), 'c', 'and believed');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-06-01 00:08:30+00')), NULL, 'once');

-- Sources and campaigns matter to who names them.
SELECT cdp.create_segment('may', 'did(visit where campaign = ''may'')', 'service'), cdp.create_segment('shop', 'did(visit where source = ''shop'')', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:09+00') \g /dev/null
SELECT cdp.add_source('crm') \g /dev/null
INSERT INTO cdp_data.campaign (name) VALUES ('winter');
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-06-01 00:10+00')), NULL, 'a new source or campaign that no rule names makes no work');
INSERT INTO cdp_data.campaign (name) VALUES ('may') RETURNING campaign_id AS may \gset
UPDATE cdp_data.touchpoint SET campaign_id = :may WHERE kind_id = (SELECT kind_id FROM cdp_data.touch_kind_all WHERE name = 'visit');
SELECT is((SELECT kind FROM cdp.segment_tick('2026-06-01 00:11+00')) || ' ' || pg_temp.members('may'), 'tick a b', 'one that a rule names has that rule evaluated');
UPDATE cdp_data.source SET name = 'store' WHERE name = 'shop';
SELECT is((SELECT kind FROM cdp.segment_tick('2026-06-01 00:12+00')) || ' ' || coalesce(pg_temp.members('shop'), 'nobody'), 'tick nobody', 'a source that lost its name');
SELECT is((SELECT error ~ 'E_UNKNOWN_SOURCE' FROM cdp_data.segment_state JOIN cdp_data.segment USING (segment_id) WHERE name = 'shop'), true, 'is told');
SELECT cdp.edit_segment('shop', 'did(visit where source = ''store'')') \g /dev/null

-- Properties that are listed are all there are, for rules that are written from then on.
SELECT cdp.create_segment('sku', 'did(visit where sku = ''a'')', 'service') \g /dev/null
INSERT INTO cdp_data.property_rule (kind_id, key) SELECT kind_id, 'size' FROM cdp_data.touch_kind_all WHERE name = 'visit';
SELECT results_eq($$SELECT path, code, hint FROM cdp.segment_check('{"where": {"did": "visit", "where": {"prop": "sise", "eq": "a"}}}') WHERE severity = 'error'$$,
  $$VALUES ('/where/where/prop', 'E_UNKNOWN_PROPERTY', 'Did you mean "size"?')$$, 'a property that the list of a kind lacks');
SELECT throws_ok($$SELECT cdp.create_segment('x', 'did(visit where sku = ''a'')', 'service')$$, '22023', NULL, 'is refused in a new rule');
SELECT is_empty($$SELECT * FROM cdp.segment_check('{"where": {"did": "purchase", "last": "1 day", "where": {"prop": "sku", "eq": "a"}}}')$$, 'kinds without a list keep all');
SELECT kind FROM cdp.segment_tick('2026-06-01 00:13+00') \g /dev/null
SELECT is(pg_temp.members('sku'), 'a b', 'a segment of before keeps its members, and events their properties');

-- Kinds that hardly or never came, by the statistics of the table or of a partition.
ANALYZE cdp_data.touchpoint;
SELECT results_eq($$SELECT message FROM cdp.segment_check('{"where": {"did": ["visit", "chargeback"], "last": "1 day"}}') WHERE code = 'W_RARE_EVENT'$$,
  $$VALUES ('no event of the kind "chargeback" has been seen, or hardly one')$$, 'a kind that never came');
SELECT cdp.track('store', 'chargeback', '{"user_id": "a"}', '{}', '2026-05-02', 'cb', 1, 'CNY') \g /dev/null
SELECT format('ANALYZE %s', tableoid::regclass) FROM cdp_data.touchpoint WHERE occurred_at = '2026-05-02' \gexec
SELECT is_empty($$SELECT message FROM cdp.segment_check('{"where": {"did": ["visit", "chargeback"], "last": "1 day"}}') WHERE code = 'W_RARE_EVENT'$$, 'nor is it warned of when one partition knows it');

-- A rank that nobody named before is one over what is known by then, not at the last refresh of profiles.
SELECT cdp.track('store', 'purchase', '{"user_id": "rich"}', '{}', '2026-05-03', 'rich', 9999, 'CNY') \g /dev/null
SELECT cdp.create_segment('first', 'top 1 by revenue', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-06-01 00:14+00') \g /dev/null
SELECT is(pg_temp.members('first'), 'rich', 'a new rank');

-- Members of a past whose runs are no longer kept, because nothing happened for so long.
SELECT cdp.create_segment('late', 'did(visit)', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick(now() - interval '100 days') \g /dev/null
SELECT kind FROM cdp.segment_tick(now() - interval '10 days') \g /dev/null
UPDATE cdp_data.setting SET transition_retention = '1 month', job_run_retention = '1 day';
SELECT cdp_internal.trim_transitions() \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.segment_run WHERE as_of < now() - interval '20 days'), 0::bigint, 'runs that are past their retention go');
SELECT is((SELECT count(*) FROM cdp.segment_members('late', now() - interval '20 days')), 2::bigint, 'members of the time between are those of before');
SELECT throws_ok($$SELECT cdp.segment_members('late', now() - interval '90 days')$$, '22023', NULL, 'of a time that is gone nothing is said');

-- A paused segment follows the few that changed.
SELECT cdp.pause_segment('late');
SELECT is((SELECT array_agg(i.value ORDER BY i.value) FROM cdp.roaring_ids(cdp_internal.segment_kept((SELECT segment_id FROM cdp_data.segment WHERE name = 'late'), cdp_internal.segment_population(),
  ARRAY(SELECT customer_id FROM cdp_data.identifier WHERE value IN ('a', 'c')))) m JOIN cdp_data.identifier i ON i.customer_id = m), '{a}', 'members among them');
-- So it does when no segment is active.
SELECT cdp.pause_segment(name) FROM cdp_data.segment WHERE state = 'active' \g /dev/null
SELECT cdp.record_consent('store', 'analytics', 'withdrawn', '{"user_id": "a"}') \g /dev/null
SELECT run_id AS run FROM cdp.segment_tick() \gset
SELECT is(pg_temp.members('late'), 'b', 'who refuses analytics leaves it');
SELECT is((SELECT array_agg(DISTINCT cause) FROM cdp_data.segment_transition WHERE run_id = :run), '{consent}', 'for that cause');
SELECT is((SELECT run_id FROM cdp.segment_tick()), NULL, 'once');
SELECT cdp.archive_segment(name) FROM cdp_data.segment WHERE state = 'paused' \g /dev/null
SELECT is((SELECT run_id FROM cdp.segment_tick()), NULL, 'and when there is none at all, nothing is done');
SELECT * FROM finish();
