-- Roll-ups follow real loads: their change feed names everybody whose journeys change, also when a record comes
-- again with another time, value or customer, when a refund comes before its conversion, and when loads are
-- reverted and put back. Refreshes and loads are transactions of their own here.
SELECT plan(20);
SET client_min_messages = error;
SELECT cdp.add_source('shop') AS source;
CREATE TABLE staging (source_key text, occurred_at timestamptz, identifier_type text, identifier text, kind text, source text, medium text, value numeric, currency text, refers_to text);
SELECT setseed(0.7);
INSERT INTO staging
SELECT 'k' || i, timestamptz '2026-03-01' + random() * interval '90 days', 'user_id', 'u' || floor(random() * 60), CASE WHEN i % 8 = 0 THEN 'purchase' ELSE 'click' END,
  (ARRAY['google', 'douyin', 'newsletter', 'weibo'])[1 + i % 4], (ARRAY['cpc', 'social', 'email', 'paid'])[1 + i % 4], CASE WHEN i % 8 = 0 THEN i % 91 END, CASE WHEN i % 8 = 0 THEN 'CNY' END, NULL
FROM generate_series(1, 1500) i;
SELECT inserted FROM cdp.load_touchpoints('shop', 'staging');
SELECT cdp.define_attribution_rollup('main', models => '{first,linear,markov,shapley}', lookback => '14 days') AS rollup;
SELECT started_over FROM cdp.refresh_attribution();
CREATE FUNCTION same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE direct text; stored text;
BEGIN
  SELECT string_agg(t::text, E'\n' ORDER BY model, label) INTO direct FROM cdp.attribution_totals(cdp.attribution_run(models => '{first,linear,markov,shapley}', lookback => '14 days')) t WHERE conversions <> 0 OR value <> 0;
  SELECT string_agg(t::text, E'\n' ORDER BY model, label) INTO stored FROM cdp.attribution_totals(cdp.attribution_rollup_run('main')) t WHERE conversions <> 0 OR value <> 0;
  RETURN NEXT is(stored, direct, what);
END $$;
CREATE FUNCTION refreshed(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT is((SELECT started_over FROM cdp.refresh_attribution()), NULL, what || ': refreshed by the feed');
END $$;
-- without what is waiting in the feed
CREATE FUNCTION stored_same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM cdp_data.change_feed;
  RETURN QUERY SELECT same(what || ', stored');
END $$;
SELECT same('after the first load');
-- corrections: times, values, customers; new records; a refund
UPDATE staging SET occurred_at = occurred_at - interval '9 days' WHERE source_key IN ('k8', 'k9', 'k100', 'k101', 'k102');
UPDATE staging SET value = 1000 WHERE source_key IN ('k16', 'k24');
UPDATE staging SET identifier = 'u61' WHERE source_key IN ('k32', 'k33', 'k34', 'k200', 'k201');
INSERT INTO staging SELECT 'r' || i, timestamptz '2026-06-20', 'user_id', (SELECT s.identifier FROM staging s WHERE s.source_key = 'k' || i), 'refund', NULL, NULL, -5, 'CNY', 'k' || i FROM generate_series(40, 80, 8) i;
INSERT INTO staging VALUES ('r9000', '2026-06-21', 'user_id', 'u3', 'refund', NULL, NULL, -7, 'CNY', 'k9000');
SELECT inserted || ' ' || corrected AS loaded FROM cdp.load_touchpoints('shop', 'staging');
SELECT same('corrections and refunds, live');
SELECT refreshed('corrections and refunds');
SELECT stored_same('corrections and refunds');
-- the conversion that a refund waited for
CREATE TABLE late (LIKE staging);
INSERT INTO late VALUES ('k9000', '2026-05-01', 'user_id', 'u3', 'purchase', NULL, NULL, 70, 'CNY', NULL);
SELECT inserted FROM cdp.load_touchpoints('shop', 'late');
SELECT same('a late conversion, live');
SELECT refreshed('a late conversion');
SELECT stored_same('a late conversion');
SELECT load_id AS second FROM cdp_data.load WHERE corrected = 12 \gset
SELECT removed + restored > 5 AS reverted FROM cdp.revert_load(:second);
SELECT same('a reverted load, live');
SELECT refreshed('a reverted load');
SELECT stored_same('a reverted load');
SELECT removed + restored > 5 AS back FROM cdp.retry_load(:second);
SELECT same('put back, live');
SELECT refreshed('put back');
SELECT stored_same('put back');
-- retention takes history away from everybody
SELECT cdp_internal.drop_partition(partition_name) AS dropped FROM cdp_internal.touchpoint_bounds() WHERE from_at = '2026-03-01 00:00+00';
SELECT throws_like($$ SELECT cdp.attribution_rollup_run('main') $$, '%everybody changed%', 'a dropped partition is noticed');
SELECT is((SELECT started_over FROM cdp.refresh_attribution()), 'the change feed says that everybody changed', 'and the roll-up starts over');
SELECT same('after retention');
-- the sums are lost with the extension, the journeys are not
UPDATE cdp_data.attribution_day SET partial = NULL;
SELECT is((SELECT string_agg(finding, ',') FROM cdp_internal.health_of_attribution()), 'roll-up of attribution has to be built anew', 'health knows');
CALL cdp_internal.maintain_room_attribution();
SELECT is((SELECT count(*) FROM cdp_internal.health_of_attribution()), 0::bigint, 'maintenance builds it');
SELECT same('after maintenance');
INSERT INTO cdp_data.change_feed (customer_id, cause) SELECT 1, 'test';
SELECT is((SELECT customers FROM cdp.refresh_attribution('main')), 1::bigint, 'one changed customer is one customer read');
SELECT * FROM finish();
