-- Spend, ROAS, CPA, CAC and insights: figures worked out by hand.
BEGIN;
SELECT plan(22);
SET client_min_messages = error;
INSERT INTO cdp_data.source (source_id, name) VALUES (900, 'ads');
INSERT INTO cdp_data.load (load_id, source_id, state) VALUES (900, 900, 'done');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 200) i;
INSERT INTO cdp_data.origin (origin_id, source, medium) VALUES (901, 'google', 'cpc'), (902, 'newsletter', 'email'), (903, 'weibo', 'social'), (904, 'nobody', 'knows');
INSERT INTO cdp_data.campaign (campaign_id, name) VALUES (901, 'spring');
INSERT INTO cdp_data.currency_rate VALUES ('USD', 'CNY', '2026-01-01', 7);
CREATE FUNCTION pg_temp.touch(customer bigint, at timestamptz, origin int, kind int DEFAULT 4, value numeric DEFAULT NULL, currency text DEFAULT NULL, refers_to bigint DEFAULT NULL, flags int DEFAULT 0)
RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to, flags)
  VALUES (customer, customer, at, origin, 900, 900, kind, value, currency, refers_to, flags) RETURNING touchpoint_id $$;
SELECT pg_temp.touch(1, '2026-03-01 12:00+08', 901), pg_temp.touch(1, '2026-03-02 12:00+08', 904, 60, 100, 'CNY'),
  pg_temp.touch(1, '2026-03-09 12:00+08', 902), pg_temp.touch(1, '2026-03-10 12:00+08', 904, 60, 50, 'CNY'),
  pg_temp.touch(2, '2026-03-05 12:00+08', 902), pg_temp.touch(2, '2026-03-06 12:00+08', 904, 60, 200, 'USD'),
  pg_temp.touch(3, '2026-03-07 12:00+08', 904, 60, 0, 'CNY');
-- 24 USD on the last day of February in Los Angeles: two thirds of it lie in March of Shanghai
INSERT INTO cdp_data.spend (day, timezone, channel_id, campaign_id, amount, currency, source_id) VALUES
  ('2026-03-01', 'Asia/Shanghai', 10, 901, 60, 'CNY', 900), ('2026-02-28', 'America/Los_Angeles', 10, NULL, 24, 'USD', 900),
  ('2026-03-05', 'UTC', 3, NULL, 10, 'CNY', 900), ('2026-03-05', 'UTC', 34, NULL, 5, 'CNY', 900), ('2026-04-05', 'UTC', 3, NULL, 1000, 'CNY', 900);
SELECT results_eq(
  $$ SELECT label, conversions, value, contribution, spend, roas, cpa, cac FROM cdp.attribution(models => '{last}', since => '2026-03-01 00:00+08', until => '2026-04-01 00:00+08', new_customers => true) $$,
  $$ VALUES ('Email', 2::numeric, 1450::numeric, 0.935484, 10.000000, 145.000000, 5.000000, 10.000000),
            ('Google Ads', 1, 100, 0.064516, 172.000000, 0.581395, 172.000000, 172.000000),
            ('Weibo', 0, 0, 0, 5.000000, 0, NULL, NULL),
            ('(unattributed)', 1, 0, 0, NULL, NULL, NULL, NULL) $$, 'spend by dated rate and account time zone, and what follows from it');
SELECT is((SELECT spend FROM cdp.attribution(models => '{last}', group_by => 'channel_group', since => '2026-03-01 00:00+08', until => '2026-04-01 00:00+08') WHERE label = 'Paid search'), 172.000000, 'spend by channel group');
SELECT is((SELECT spend FROM cdp.attribution(models => '{last}', group_by => 'campaign', since => '2026-03-01 00:00+08', until => '2026-04-01 00:00+08') WHERE label = 'spring'), 60.000000, 'spend by campaign');
SELECT is((SELECT count(spend) FROM cdp.attribution(models => '{last}', group_by => 'source')), 0::bigint, 'sources have no spend');
SELECT is((SELECT spend FROM cdp.attribution(models => '{last}') WHERE label = 'Email'), 1010.000000, 'without a window all spend counts');
SELECT is((SELECT spend FROM cdp.attribution(models => '{last}', as_of => '2026-04-01') WHERE label = 'Email'), 10.000000, 'what is spent later is not known as of a day');
SELECT is((SELECT value FROM cdp.attribution(models => '{last}', currency => 'USD', missing_rate => 'zero') WHERE label = 'Email'), 200::numeric, 'another reporting currency needs rates into it');
SELECT is((SELECT sum(contribution) FROM cdp.attribution(models => '{linear}')), 1.000000, 'contributions sum to 1');
SELECT results_eq($$ SELECT label, by_model, lowest_model, highest_model, spread, spread_share FROM cdp.attribution_wide(models => '{first,last}', measure => 'value') WHERE label = 'Email' $$,
  $$ VALUES ('Email', '{"first": 1400, "last": 1450}'::jsonb, 'first', 'last', 50::numeric, 0.035088) $$, 'models side by side');
SELECT throws_ok($$ SELECT cdp.attribution(currency => 'usd', missing_rate => 'zero') $$, '22023', 'unknown currency "usd"', 'an unknown currency, before all money counts as nothing');
SELECT results_eq($$ SELECT label, value FROM cdp.attribution(models => '{last}', since => '2026-03-01', lookback => '100000000 days') $$,
  $$ SELECT label, value FROM cdp.attribution(models => '{last}', since => '2026-03-01', lookback_unbounded => true) $$, 'a lookback beyond the calendar');
SELECT throws_ok($$ SELECT cdp.attribution_wide(measure => 'valeu') $$, '22023', NULL, 'an unknown measure');

-- cac under Markov: a second purchase that carries an origin is neither an acquisition nor a touch of a journey without end
DELETE FROM cdp_data.spend WHERE day > '2026-04-01';
DELETE FROM cdp_data.touchpoint;
SELECT pg_temp.touch(1, '2026-03-01 12:00+08', 901), pg_temp.touch(1, '2026-03-02 12:00+08', 902, 60, 100, 'CNY'),
  pg_temp.touch(1, '2026-03-09 12:00+08', 901), pg_temp.touch(1, '2026-03-10 12:00+08', 902, 60, 50, 'CNY'),
  pg_temp.touch(2, '2026-03-05 12:00+08', 902), pg_temp.touch(2, '2026-03-06 12:00+08', 902, 60, 200, 'CNY');
SELECT is((SELECT round(cac, 3) FROM cdp.attribution(models => '{markov}', new_customers => true) WHERE label = 'Email'), 10.000, 'a repeat purchase is no touch for cac');
-- a refund that fits nothing, written with a positive value, is not the first conversion
SELECT pg_temp.touch(2, '2026-02-01 12:00+08', 904, (SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name = 'refund'), 30, 'CNY');
SELECT is((SELECT round(cac, 3) FROM cdp.attribution(models => '{last}', new_customers => true) WHERE label = 'Email'), 10.000, 'nor is a refund the first conversion');

-- a visitor's text that reads like a word of the engine
INSERT INTO cdp_data.origin (origin_id, source) VALUES (905, '(unattributed)');
SELECT pg_temp.touch(5, '2026-03-01 12:00+08', 905), pg_temp.touch(5, '2026-03-02 12:00+08', 904, 60, 70, 'CNY');
SELECT results_eq($$ SELECT label, value FROM cdp.attribution(models => '{last}', group_by => 'source') WHERE label LIKE '%unattributed%' $$,
  $$ VALUES ('"(unattributed)"', 70::numeric), ('(unattributed)', -30) $$, 'a source named (unattributed) is not the row (unattributed)');

-- insights: Google brings 3 per further unit, Email 1 and a little noise, Weibo's spend never changes
DELETE FROM cdp_data.spend;
DELETE FROM cdp_data.touchpoint;
CREATE TEMP TABLE week AS SELECT w, timestamptz '2026-01-05 00:00+08' + w * interval '7 days' AS at, 100 + 10 * (w * 7 % 11) AS google, 100 + 10 * (w * 5 % 13) AS email FROM generate_series(0, 25) w;
INSERT INTO cdp_data.spend (day, timezone, channel_id, amount, currency, source_id)
SELECT (at AT TIME ZONE 'Asia/Shanghai')::date + 2, 'Asia/Shanghai', v.channel, v.amount, 'CNY', 900 FROM week, LATERAL (VALUES (10, google), (3, email), (34, 50)) v (channel, amount);
SELECT count(*) FROM week, LATERAL (SELECT pg_temp.touch(1 + w, at + interval '3 days', 901), pg_temp.touch(1 + w, at + interval '4 days', 904, 60, 500 + 3 * google, 'CNY'),
  pg_temp.touch(101 + w, at + interval '3 days', 902), pg_temp.touch(101 + w, at + interval '4 days', 904, 60, 200 + email + w * 3 % 5, 'CNY'), pg_temp.touch(151 + w, at + interval '3 days', 903), pg_temp.touch(151 + w, at + interval '4 days', 904, 60, 70, 'CNY')) x;
CREATE TEMP TABLE insight AS SELECT * FROM cdp.attribution_insights(models => '{linear}', since => '2026-01-05 00:00+08', until => timestamptz '2026-01-05 00:00+08' + 26 * interval '7 days');
SELECT is((SELECT round(marginal_roas, 6) FROM insight WHERE label = 'Google Ads'), 3.000000, 'marginal ROAS of a noiseless channel');
SELECT cmp_ok((SELECT abs(marginal_roas - 1) FROM insight WHERE label = 'Email'), '<', 0.1, 'and of a slightly noisy one');
SELECT matches((SELECT hint FROM insight WHERE label = 'Google Ads'), '^move spend here from Email', 'a hint with both sides');
SELECT matches((SELECT hint FROM insight WHERE label = 'Email'), '^move spend from here to Google Ads', 'and the other way round');
SELECT is((SELECT hint FROM insight WHERE label = 'Weibo'), 'insufficient data: spend changed in 0 periods, 6 are needed', 'no hint without changes of spend');
SELECT is((SELECT hint FROM cdp.attribution_insights(since => '2026-01-05 00:00+08', until => '2026-02-02 00:00+08') WHERE label = 'Google Ads'), 'insufficient data: 4 periods, 8 are needed', 'nor with few periods');
SELECT is((SELECT round(sum(spend), 2) FROM insight WHERE label = 'Google Ads'), (SELECT sum(google)::numeric + 0.00 FROM week), 'all spend lies in some period');
SELECT * FROM finish();
ROLLBACK;
