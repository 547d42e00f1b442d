-- The daily roll-up equals the direct pass exactly, whatever happens to the data, before a
-- refresh (live part) and after it; and it reads no touches of customers who did not change.
BEGIN;
SELECT plan(75);
SET client_min_messages = error;
\ir report_data.inc

SELECT isnt(cdp.define_attribution_rollup('main', models => '{last,linear,u_shaped,time_decay(7 days),participation,markov,markov(2),shapley,shapley_rate}'), NULL, 'a roll-up is defined');
SELECT isnt(cdp.define_attribution_rollup('groups', models => '{linear,markov}', group_by => 'campaign', lookback => '10 days', journey => 'reset', collapse => true, bots => true), NULL, 'and another one');
SELECT throws_ok($$ SELECT * FROM cdp.attribution_rollup('main') $$, '55000', NULL, 'it has to be built first');
SELECT throws_ok($$ SELECT * FROM cdp.attribution_rollup('nain') $$, '42704', NULL, 'an unknown roll-up');
SELECT results_eq($$ SELECT rollup, started_over FROM cdp.refresh_attribution() $$, $$ VALUES ('groups', 'it has not been built'), ('main', 'it has not been built') $$, 'the first refresh builds');

CREATE FUNCTION pg_temp.figures(p cdp.attribution_partial) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t::text, E'\n' ORDER BY model, label) FROM cdp.attribution_totals(p) t WHERE conversions <> 0 OR value <> 0 $$;
-- Both roll-ups against direct passes: everything, and a window of days.
CREATE FUNCTION pg_temp.same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT public.is(pg_temp.figures(cdp.attribution_rollup_run('main')),
    pg_temp.figures(cdp.attribution_run(models => '{last,linear,u_shaped,time_decay(7 days),participation,markov,markov(2),shapley,shapley_rate}')), what || ': all days');
  RETURN NEXT public.is(pg_temp.figures(cdp.attribution_rollup_run('main', '2026-02-10', '2026-04-20')),
    pg_temp.figures(cdp.attribution_run(models => '{last,linear,u_shaped,time_decay(7 days),participation,markov,markov(2),shapley,shapley_rate}',
      since => '2026-02-10 00:00+08', until => '2026-04-20 00:00+08')), what || ': a window of days');
  RETURN NEXT public.is(pg_temp.figures(cdp.attribution_rollup_run('groups')),
    pg_temp.figures(cdp.attribution_run(models => '{linear,markov}', group_by => 'campaign', lookback => '10 days', journey => 'reset', collapse => true, bots => true)), what || ': by campaign, reset');
END $$;
-- Changes must be seen without a refresh, and be kept by it, and it must not start over.
CREATE FUNCTION pg_temp.check_change(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT pg_temp.same(what || ', live');
  RETURN NEXT public.is((SELECT count(*) FROM cdp.refresh_attribution() WHERE started_over IS NOT NULL), 0::bigint, what || ' is refreshed by the feed');
  DELETE FROM cdp_data.change_feed; -- so that the next comparison can only use what is stored
  RETURN QUERY SELECT pg_temp.same(what || ', stored');
END $$;
DELETE FROM cdp_data.change_feed;
SELECT pg_temp.same('after the build');
SELECT cmp_ok((SELECT count(*) FROM cdp_data.attribution_journey), '>', 1000::bigint, 'journeys are stored');
SELECT is((SELECT count(*) FROM cdp_data.attribution_journey WHERE NOT converted AND rollup_id = (SELECT rollup_id FROM cdp_data.attribution_rollup WHERE name = 'main')) > 100, true, 'those that did not convert too');

-- late touches, some of them long ago
SELECT cdp_internal.feed_write(pg_temp.touches(40, '2026-01-05 00:00+08', 100), 'load') > 0 AS fed;
SELECT pg_temp.check_change('late touches');
-- refunds
SELECT cdp_internal.feed_write(pg_temp.refunds(25), 'refund') > 0 AS fed;
SELECT pg_temp.check_change('refunds');
-- a reverted load
WITH gone AS (DELETE FROM cdp_data.touchpoint WHERE touchpoint_id % 97 = 5 RETURNING customer_id)
SELECT cdp_internal.feed_write(array_agg(DISTINCT customer_id), 'revert') > 0 AS fed FROM gone;
SELECT pg_temp.check_change('a reverted load');
-- a corrected load: other times, other origins
WITH moved AS (UPDATE cdp_data.touchpoint SET occurred_at = occurred_at - interval '3 days 5 hours', origin_id = 901 + (touchpoint_id % 8)::int WHERE touchpoint_id % 89 = 7 RETURNING customer_id)
SELECT cdp_internal.feed_write(array_agg(DISTINCT customer_id), 'load') > 0 AS fed FROM moved;
SELECT pg_temp.check_change('a corrected load');
-- merges, also of what was merged before
UPDATE cdp_data.customer SET parent_id = 20 WHERE customer_id = 7;
UPDATE cdp_data.customer SET parent_id = 2 WHERE customer_id IN (40, 41, 42);
SELECT cdp_internal.feed_write('{7, 20, 2, 40, 41, 42}', 'merge') AS fed;
SELECT pg_temp.check_change('merges');
-- an unmerge, and an identifier that goes elsewhere
UPDATE cdp_data.customer SET parent_id = 41 WHERE customer_id = 41;
INSERT INTO cdp_data.identifier_override VALUES (2 * 42, 41), (2 * 50 + 1, 51);
SELECT cdp_internal.feed_write('{41, 2, 42, 50, 51}', 'unmerge') AS fed;
SELECT pg_temp.check_change('an unmerge');

-- a corrected rate needs no feed
UPDATE cdp_data.currency_rate SET rate = 7.3 WHERE valid_from = '2026-04-15';
INSERT INTO cdp_data.currency_rate VALUES ('USD', 'CNY', '2026-05-01', 7.4);
SELECT pg_temp.check_change('a corrected rate');

-- nobody else's touches are read: take them away without a word in the feed
CREATE TEMP TABLE before AS SELECT pg_temp.figures(cdp.attribution_rollup_run('main')) AS figures;
CREATE TEMP TABLE taken AS SELECT * FROM cdp_data.touchpoint WHERE customer_id NOT IN (60, 61);
DELETE FROM cdp_data.touchpoint WHERE customer_id NOT IN (60, 61);
SELECT is(pg_temp.figures(cdp.attribution_rollup_run('main')), (SELECT figures FROM before), 'the report needs no touches of unchanged customers');
SELECT cdp_internal.feed_write(pg_temp.touches(30, '2026-04-01 00:00+08', 30, '{60, 61}'), 'load') AS fed;
SELECT results_eq($$ SELECT rollup, started_over, customers FROM cdp.refresh_attribution('main') $$, $$ VALUES ('main', NULL, 2::bigint) $$, 'the refresh looks at two customers');
CREATE TEMP TABLE after AS SELECT pg_temp.figures(cdp.attribution_rollup_run('main')) AS figures;
INSERT INTO cdp_data.touchpoint SELECT * FROM taken;
SELECT is((SELECT figures FROM after), pg_temp.figures(cdp.attribution_run(models => '{last,linear,u_shaped,time_decay(7 days),participation,markov,markov(2),shapley,shapley_rate}')),
  'and equals the direct pass once the touches are back');
SELECT isnt((SELECT figures FROM after), (SELECT figures FROM before), 'though the figures changed');
SELECT count(*) AS refreshed FROM cdp.refresh_attribution('groups');
DELETE FROM cdp_data.change_feed;

-- a new channel rule changes old journeys: start over
INSERT INTO cdp_data.channel (channel_id, name) VALUES (2001, 'Partners');
INSERT INTO cdp_data.channel_rule (priority, source, channel_id) VALUES (1, 'partner', 2001);
SELECT throws_ok($$ SELECT * FROM cdp.attribution_rollup('main') $$, '55000', NULL, 'a changed channel rule is noticed');
SELECT is((SELECT started_over FROM cdp.refresh_attribution('main')), 'channel rules or names have changed', 'and makes the roll-up start over');
SELECT pg_temp.same('after starting over');
-- restored on another cluster
UPDATE cdp_data.feed_cursor SET system_identifier = system_identifier - 1 WHERE consumer = 'attribution_rollup:main';
SELECT throws_like($$ SELECT * FROM cdp.attribution_rollup('main') $$, '%restored on another cluster%', 'a restored dump is noticed');
SELECT is((SELECT started_over FROM cdp.refresh_attribution('main')), 'the database was restored on another cluster', 'and makes the roll-up start over');
-- the same numbers as the report
SELECT is((SELECT jsonb_agg(r) FROM cdp.attribution_rollup('main', '2026-02-01', '2026-03-01') r),
  (SELECT jsonb_agg(r) FROM cdp.attribution(models => '{last,linear,u_shaped,time_decay(7 days),participation,markov,markov(2),shapley,shapley_rate}', since => '2026-02-01+08', until => '2026-03-01+08') r),
  'the report from the roll-up is the direct one');
SELECT is((SELECT sum(conversions) FROM cdp_bi.attribution_day WHERE rollup = 'main' AND model = 'linear'), (SELECT sum(conversions) FROM cdp.attribution(models => '{linear}')), 'the view by day adds up');
SELECT is((SELECT count(*) FROM cdp_data.job WHERE name = 'attribution_rollup'), 1::bigint, 'the job is on the list');
SELECT is(cdp.drop_attribution_rollup('groups'), true, 'a roll-up is dropped');
SELECT is((SELECT count(DISTINCT rollup_id) FROM cdp_data.attribution_journey), 1::bigint, 'with all its rows');
SELECT * FROM finish();
ROLLBACK;
