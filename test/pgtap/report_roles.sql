-- What an analyst's role may do: run every report, also after merges and unmerges, and change nothing;
-- what a reader of the views may do; and that all of it works in a read-only transaction.
BEGIN;
SELECT plan(32);
SET client_min_messages = error;
\ir report_data.inc
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => c) AS refused FROM generate_series(30, 40) c; -- the gate asks on the analyst's behalf
SELECT cdp.define_attribution_rollup('main', models => '{last,markov}') AS rollup;
SELECT count(*) AS built FROM cdp.refresh_attribution();
SELECT cdp_internal.feed_write('{7, 9, 20}', 'load') AS fed;
CREATE ROLE report_test_analyst;
CREATE ROLE report_test_reader;
CALL cdp.setup(analyst => 'report_test_analyst', reader => 'report_test_reader');
GRANT USAGE ON SCHEMA public TO report_test_analyst, report_test_reader;
SELECT string_agg(quote_ident(n.nspname), ',') AS temp FROM pg_namespace n WHERE n.oid = pg_my_temp_schema() \gset
GRANT ALL ON ALL TABLES IN SCHEMA :temp TO report_test_analyst, report_test_reader;
GRANT ALL ON ALL SEQUENCES IN SCHEMA :temp TO report_test_analyst, report_test_reader;
CREATE TEMP TABLE direct AS SELECT * FROM cdp.attribution(models => '{last,markov}');
GRANT SELECT ON direct TO report_test_analyst;

SET ROLE report_test_reader;
SELECT cmp_ok((SELECT sum(conversions) FROM cdp_bi.attribution_day WHERE model = 'last'), '>', 0::numeric, 'a reader sees the view of days');
SELECT throws_ok('SELECT cdp.attribution_totals(partial) FROM cdp_data.attribution_day', '42501', NULL, 'not the sums behind it');
SELECT throws_ok($$SELECT * FROM cdp.attribution_rollup('main')$$, '42501', NULL, 'nor the report over them');
RESET ROLE;
UPDATE cdp_data.setting SET minimum_audience = 2;
SET ROLE report_test_reader;
SELECT is((SELECT count(*) > 0 AND num_nonnulls(sum(conversions), sum(value)) = 0 FROM cdp_bi.attribution_day), true, 'with a minimum audience no figure of a day is shown');
RESET ROLE;
UPDATE cdp_data.setting SET minimum_audience = NULL;
SET ROLE report_test_reader;
SELECT lives_ok('SELECT * FROM cdp_bi.spend_day', 'and of spend');
SELECT throws_ok('SELECT * FROM cdp.attribution()', '42501', NULL, 'but no touchpoints');
RESET ROLE;

SELECT cdp.restrict_to_sources('report_test_reader', '{test source}') IS NOT NULL AS restricted;
SET ROLE report_test_reader;
SELECT is((SELECT count(*) FROM cdp_bi.attribution_day), 0::bigint, 'who is kept to some sources sees no day: it is of all of them');
RESET ROLE;
SET ROLE report_test_analyst;
SELECT cmp_ok((SELECT count(*) FROM cdp.journey_state('[{"name": "visitor", "enter": "visit"}]')), '>', 100::bigint, 'where customers stand in a journey, which is logged');
SET TRANSACTION READ ONLY;
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution(models => '{last,markov}') t), (SELECT jsonb_agg(t) FROM direct t), 'the report');
SELECT is((SELECT jsonb_agg(t) FROM cdp.attribution_rollup('main') t), (SELECT jsonb_agg(t) FROM direct t), 'the roll-up with what changed since');
SELECT ok((SELECT bool_or(area = 'setup') IS NOT TRUE AND bool_or(area = 'partitions' AND finding = 'not_allowed') FROM cdp.health()), 'health tells what the role may see');
SELECT lives_ok($$ SELECT * FROM cdp.attribution(since => '2026-03-01', until => '2026-03-05', models => '{last}', new_customers => true) $$, 'a window with refunds, and new customers');
SELECT lives_ok($$ SELECT * FROM cdp.attribution(customers => '{7}') $$, 'one customer');
SELECT lives_ok($$ SELECT * FROM cdp.attribution_credit(models => '{linear}') $$, 'credit');
SELECT lives_ok($$ SELECT * FROM cdp.attribution_wide() $$, 'side by side');
SELECT lives_ok($$ SELECT * FROM cdp.attribution_insights(since => '2026-01-01', until => '2026-05-01') $$, 'insights');
SELECT lives_ok($$ SELECT * FROM cdp.attribution_data_check() $$, 'the data check');
SELECT is((SELECT count(*) FROM cdp.attribution_data_check() WHERE finding = 'quarantine'), 0::bigint, 'which leaves out what the role may not read');
SELECT lives_ok($$ SELECT * FROM cdp.funnel('{visit,purchase}', breakdown_by => 'campaign') $$, 'funnels');
SELECT throws_ok($$ SELECT * FROM cdp.funnel('{/,/cart}', by => 'property:page') $$, '42501', NULL, 'but not by properties');
SELECT lives_ok('SELECT * FROM cdp.' || call, 'journeys: ' || call) FROM unnest(ARRAY[$$retention('{visit}', '{purchase}', with_value => true)$$, $$paths('{visit}', '{purchase}')$$, $$journey_links(by => 'channel')$$, $$journey_loops()$$,
  $$sessions(by_campaign => true)$$, $$journey_stages('[{"name": "visitor", "enter": "visit"}, {"name": "buyer", "enter": "purchase"}]')$$, $$journey_flows('[{"name": "visitor", "enter": "visit"}]')$$]) call;
SELECT lives_ok($$ SELECT * FROM cdp_internal.health_of_attribution() $$, 'health of the room');
SELECT throws_ok($$ SELECT * FROM cdp.refresh_attribution() $$, NULL, NULL, 'no refresh');
SELECT throws_ok($$ SELECT cdp.define_attribution_rollup('mine') $$, NULL, NULL, 'no new roll-up');
SELECT throws_ok($$ SELECT value FROM cdp_data.identifier $$, '42501', NULL, 'no values of identifiers');
SELECT throws_ok($$ SELECT * FROM cdp.attribution(models => '{same_touch}') $$, '42501', NULL, 'nor properties, which sessions stand in');
SELECT * FROM finish();
ROLLBACK;
