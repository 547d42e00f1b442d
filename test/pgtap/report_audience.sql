-- The minimum audience in every report over our own tables: figures to which fewer people contributed are not shown, people
-- are counted and not their conversions, and what is hidden can not be had from the rest of the same report.
BEGIN;
SELECT plan(21);
SET client_min_messages = error;
SET timezone = 'Asia/Kathmandu'; -- of no matter
SELECT cdp.add_source('shop', 'UTC');
CREATE FUNCTION pg_temp.visit(who int, origin text, day int) RETURNS void LANGUAGE sql AS $$
  SELECT cdp.track('shop', 'visit', jsonb_build_object('user_id', 'u' || who), occurred_at => '2026-01-01Z'::timestamptz + day * interval '1 day', origin => jsonb_build_object('source', origin)) $$;
CREATE FUNCTION pg_temp.buy(who int, day int, value numeric) RETURNS void LANGUAGE sql AS $$
  SELECT cdp.track('shop', 'purchase', jsonb_build_object('user_id', 'u' || who), occurred_at => '2026-01-01 01:00Z'::timestamptz + day * interval '1 day', value => value) $$;
-- alpha: seven people; beta: five; gamma: one person, who buys six times; delta: two. Everybody saw alpha last but u1, u2.
SELECT pg_temp.visit(i, 'alpha', 1), pg_temp.buy(i, 2, 10) FROM generate_series(3, 9) i;
SELECT pg_temp.visit(i, 'beta', 1), pg_temp.buy(i, 2, 20) FROM generate_series(10, 14) i;
SELECT pg_temp.visit(1, 'gamma', d), pg_temp.buy(1, d, 100) FROM generate_series(1, 6) d;
SELECT pg_temp.visit(i, 'delta', 3), pg_temp.buy(i, 4, 7) FROM generate_series(15, 16) i;
SELECT cdp.define_attribution_rollup('main', models => '{last,linear,markov}', group_by => 'source');
SELECT count(*) FROM cdp.refresh_attribution();
CREATE FUNCTION pg_temp.shown(report text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(label || '' '' || coalesce(round(conversions, 2)::text || '' '' || round(value, 2), ''-''), '', '' ORDER BY label) FROM %s WHERE model = ''last'' AND label <> ''(unattributed)''', report) INTO r;
  RETURN r;
END $$;
\set direct 'cdp.attribution(models => ''{last,linear,markov}'', group_by => ''source'')'
\set rollup 'cdp.attribution_rollup(''main'')'
SELECT is(pg_temp.shown(:'direct'), 'alpha 7.00 70.00, beta 5.00 100.00, delta 2.00 14.00, gamma 6.00 600.00', 'without a minimum all is shown');
UPDATE cdp_data.setting SET minimum_audience = 3;
SELECT is(pg_temp.shown(r), 'alpha 7.00 70.00, beta -, delta -, gamma -', 'one who buys six times is one; what goes with him are the two of delta, and beta, so that the rest is of enough people: ' || r)
FROM unnest(ARRAY[:'direct', :'rollup']) r;
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last,linear,markov}', group_by => 'source') WHERE label IN ('beta', 'gamma', 'delta') AND num_nonnulls(conversions, value, contribution, roas, cpa, cac) > 0), 0::bigint, 'no other figure tells them, under no model');
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last,linear,markov}', group_by => 'source') WHERE label = '(unattributed)' AND value = 0), 3::bigint, 'nothing stays nothing');
-- From what is shown: the total by the share, and the total less what is shown, which is of eight people.
SELECT is((SELECT round(value / contribution) - value FROM cdp.attribution(models => '{last}', group_by => 'source') WHERE label = 'alpha'), 714::numeric, 'the rest of the total is of beta, gamma and delta together');
SELECT throws_ok($$SELECT * FROM cdp.attribution_rollup('main', '2026-01-06', '2026-01-08')$$, '42501', 'the report is about fewer people than the minimum audience', 'days of one person: six conversions are not six people');
SELECT throws_ok($$SELECT * FROM cdp.attribution(since => '2026-01-06', until => '2026-01-08', group_by => 'source')$$, '42501', NULL, 'likewise the direct report');
SELECT is((SELECT count(*) FROM cdp.attribution_rollup('main', '2026-03-01', '2026-03-02') WHERE conversions <> 0), 0::bigint, 'about nobody it is empty');
SELECT is((SELECT string_agg(label || ' ' || (by_model IS NULL) || num_nulls(lowest, lowest_model, highest, highest_model, spread, spread_share), ', ' ORDER BY label) FROM cdp.attribution_wide(models => '{last,first}', group_by => 'source') WHERE label <> '(unattributed)'),
  'alpha false0, beta true6, delta true6, gamma true6', 'side by side');
SELECT throws_ok($$SELECT * FROM cdp.attribution_wide(models => '{last}', since => '2026-01-06')$$, '42501', NULL, 'also of fewer people');
SELECT throws_ok($$SELECT * FROM cdp.attribution_credit(models => '{last}', since => '2026-01-06')$$, '42501', NULL, 'credit of fewer people is refused');
SELECT throws_ok(format($$SELECT * FROM cdp.attribution_credit(models => '{last}', customers => '{%s}')$$, cdp.customer_of('user_id', 'u1')), '42501', NULL, 'of one by his number as well');
SELECT is((SELECT count(DISTINCT customer_id) FROM cdp.attribution_credit(models => '{last}', slice => 2)), 15::bigint, 'of enough it is there, whatever the slices');
-- Insights.
INSERT INTO cdp_data.spend (day, timezone, channel_id, amount, currency, source_id, load_id) SELECT '2026-01-01'::date + d, 'UTC', 1, 10 + d % 3, (SELECT currency FROM cdp_data.setting), 1, 1 FROM generate_series(0, 20) d;
SELECT throws_ok($$SELECT * FROM cdp.attribution_insights(since => '2026-01-06', until => '2026-01-20', period => '1 day')$$, '42501', NULL, 'insights about one person');
-- What refusals take away.
SELECT cdp.record_consent('shop', 'analytics', 'denied', '{"user_id": "u1"}');
SELECT is((SELECT num_nulls(l.customers, l.conversions, l.value, l.touches) FROM cdp.attribution_left_out() l), 4, 'how much one takes away is not told');
SELECT matches((SELECT detail FROM cdp.attribution_data_check() WHERE finding = 'left out for want of consent'), '^0 of \d+ conversions are told: customers without consent to analytics are fewer than', 'nor by the data check');
SELECT is(pg_temp.shown(r), 'alpha 7.00 70.00, beta -, delta -', 'without gamma: ' || r) FROM unnest(ARRAY[:'direct', :'rollup']) r;
SELECT cdp.record_consent('shop', 'analytics', 'denied', jsonb_build_object('user_id', 'u' || i)) FROM generate_series(3, 4) i;
SELECT is((SELECT l::text FROM cdp.attribution_left_out() l), '(3,8,620.000000,8)', 'of three it is');
-- New customers: a cost per new one tells their number.
SELECT is((SELECT count(*) FROM cdp.attribution(models => '{last}', since => '2026-01-02 12:00Z', new_customers => true) WHERE cac IS NOT NULL AND spend / cac < 3), 0::bigint, 'no cost per new customer tells of fewer');

SELECT * FROM finish();
ROLLBACK;
