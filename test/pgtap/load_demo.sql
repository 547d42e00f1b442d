-- The demo's generator: the same arguments make the same rows, the business is believable, and what the demo shows runs.
\set customers 1500
\set days 120
\set until 2026-10-01
\set seed 7
\set timezone Asia/Shanghai
SELECT plan(20);
CALL cdp.setup(phone_region => 'CN');
\ir ../demo/generate.sql
CREATE TEMP TABLE first AS SELECT md5(string_agg(t::text, E'\n' ORDER BY t.source_key)) AS sum FROM demo.touches t;
-- Another plan and another session zone must not matter.
SET timezone = 'America/New_York';
SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_sort = off;
\ir ../demo/generate.sql
RESET enable_hashagg; RESET enable_hashjoin; RESET enable_sort; RESET timezone;
SELECT is((SELECT md5(string_agg(t::text, E'\n' ORDER BY t.source_key)) FROM demo.touches t), (SELECT sum FROM first), 'the same arguments make the same rows');
CREATE TEMP TABLE person AS
SELECT identifier, count(*) FILTER (WHERE value IS NULL) AS touches, count(*) FILTER (WHERE kind = 'purchase') AS purchases FROM demo.touches WHERE flags = 0 GROUP BY 1;
SELECT cmp_ok((SELECT max(touches) FROM person), '>', (SELECT 10 * percentile_disc(0.5) WITHIN GROUP (ORDER BY touches) FROM person), 'activity has a heavy tail');
SELECT ok((SELECT count(*) FILTER (WHERE purchases = 0) > count(*) / 2 AND count(*) FILTER (WHERE purchases > 1) > 20 FROM person), 'many never buy, some buy again');
SELECT cmp_ok((SELECT count(*) FILTER (WHERE extract(isodow FROM occurred_at) >= 6) / 2.0 FROM demo.touches WHERE flags = 0), '>',
  (SELECT 1.15 * count(*) FILTER (WHERE extract(isodow FROM occurred_at) < 6) / 5 FROM demo.touches WHERE flags = 0), 'weekends are busier');
SELECT cmp_ok((SELECT count(*) FROM demo.touches WHERE flags = 1), '>', 100::bigint, 'there are bots');
SELECT ok((SELECT count(*) > 5 AND bool_and(r.occurred_at > o.occurred_at AND -r.value <= o.value) FROM demo.touches r JOIN demo.touches o ON o.source_key = r.refers_to WHERE r.kind = 'refund'), 'refunds follow their purchase and are not above it');
SELECT cmp_ok((SELECT count(DISTINCT (source, medium)) FROM demo.touches), '>=', 15::bigint, 'there are many origins');
SELECT ok((SELECT bool_or(properties ->> 'name' ~ '[一-龥]') AND bool_or(properties ->> 'name' ~ '^[A-Z]') FROM demo.touches WHERE kind = 'lead'), 'names are Chinese and English');

\o /dev/null
\ir ../demo/shop.sql
\o
SELECT is((SELECT sum(quarantined) FROM cdp_data.load), 0::numeric, 'every row loads');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), (SELECT count(*) FROM demo.touches), 'and is there');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t JOIN cdp_bi.origin_channel c USING (origin_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
  WHERE k.is_touch AND c.channel IN ('Other', 'Referral', 'Other Social', 'Other Paid')), 0::bigint, 'every touch has a channel of its own');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t WHERE t.refers_to IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.touchpoint o WHERE o.touchpoint_id = t.refers_to)), 0::bigint, 'every refund has its purchase');
SELECT is((SELECT count(DISTINCT touchpoint_id) FROM cdp_data.touchpoint WHERE campaign_id IS NOT NULL), (SELECT count(*) FROM demo.touches WHERE campaign IS NOT NULL), 'touches are linked with campaigns');
SELECT set_eq('SELECT DISTINCT round(sum(value), 2) FROM cdp.attribution() GROUP BY model', 'SELECT sum(value) FROM demo.touches WHERE flags = 0', 'each model of the report gives out the whole value');
SELECT cmp_ok((SELECT count(*) FROM cdp.attribution(models => '{linear}') WHERE spend > 0 AND roas > 0), '>=', 5::bigint, 'with spend and return');
\o /dev/null
\ir ../demo/identity.sql
\t on
\a
\o
SELECT is((SELECT sum(quarantined) FROM cdp_data.load), 0::numeric, 'every person loads');
SELECT is_empty('SELECT * FROM cdp.identity_check()', 'and no customer breaks a rule');
SELECT ok((SELECT customers FROM seen) < 0.9 * :customers_before AND (SELECT customers FROM seen) > 1000, 'people are known in several sources');
SELECT cmp_ok((SELECT sum(value) FROM cdp.attribution(models => '{last}') WHERE label IN ('WeCom', 'Email')), '>', (SELECT 1000 + sum(value) FROM before WHERE model = 'last' AND label IN ('WeCom', 'Email')),
  'which shows what their messages earned');
\o /dev/null
\ir ../demo/report.sql
\ir ../demo/next.sql
\o
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), (SELECT count(*) FROM demo.touches), 'the statements to try next run, and leave all as it was');
SELECT * FROM finish();
