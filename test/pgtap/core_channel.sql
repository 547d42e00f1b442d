-- Channel rules: first match, equal to the same rules written in SQL, quick for 100,000 origins.
BEGIN;
SELECT plan(21);
SELECT setseed(0.7);

-- Named cases of the built-in rules.
CREATE TEMP TABLE said (source text, medium text, referrer_host text, add_way text, qr_scene text, channel text);
INSERT INTO said VALUES
  ('', '', '', '', '', 'Direct'), ('(direct)', '(none)', '', '', '', 'Direct'), ('', '', 'example.org', '', '', 'Referral'),
  ('google', 'cpc', '', '', '', 'Google Ads'), ('Google', 'Organic', '', '', '', 'Google Organic'), ('', '', 'www.google.co.uk', '', '', 'Google Organic'),
  ('wechat_official_account', 'article', '', '', '', 'WeChat Official Account'), ('', '', 'mp.weixin.qq.com', '', '', 'WeChat Official Account'),
  ('shipinhao', '', '', '', '', 'WeChat Channels'), ('wecom', '', '', '', '', 'WeCom'), ('', '', '', 'qr_code', '', 'WeCom'), ('gdt', 'cpm', '', '', '', 'WeChat Ads'),
  ('douyin', '', '', '', '', 'Douyin'), ('DOUYIN', 'paid_feed', '', '', '', 'Douyin Ads'), ('xhs', '', '', '', '', 'Xiaohongshu'),
  ('weibo', 'cpc', '', '', '', 'Weibo Ads'), ('tiktok', 'social', '', '', '', 'TikTok'), ('facebook', 'paid_social', '', '', '', 'Meta Ads'), ('ig', '', '', '', '', 'Meta'),
  ('newsletter', '', '', '', '', 'Email'), ('crm', 'email', '', '', '', 'Email'), ('x', 'sms', '', '', '', 'SMS'), ('adnet', 'display', '', '', '', 'Display'),
  ('unknown_net', 'cpc', '', '', '', 'Paid Search'), ('', '', '', '', 'table-7', 'QR Code'), ('partner', 'affiliate', '', '', '', 'Affiliate'),
  ('friend', 'invite', '', '', '', 'Referral Program'), ('something', 'odd', '', '', '', 'Other');
INSERT INTO cdp_data.origin (campaign) VALUES ('spring');
INSERT INTO cdp_data.origin (source, medium, referrer_host, add_way, qr_scene) SELECT source, medium, referrer_host, add_way, qr_scene FROM said;
SELECT is_empty($$SELECT s.*, oc.channel FROM said s JOIN cdp_data.origin USING (source, medium, referrer_host, add_way, qr_scene) JOIN cdp_bi.origin_channel oc USING (origin_id) WHERE campaign = '' AND oc.channel <> s.channel$$,
  'built-in rules put known origins where they belong');

SELECT is((SELECT channel FROM cdp_bi.origin_channel JOIN cdp_data.origin USING (origin_id) WHERE campaign = 'spring'), 'Other', 'a campaign alone is not direct');

-- A user's rule comes first, by priority; a built-in channel can be renamed.
INSERT INTO cdp_data.channel (channel_id, name, channel_group) VALUES (5000, 'Brand', 'Own'), (34, 'Weibo (brand)', 'Own');
INSERT INTO cdp_data.channel_rule (rule_id, priority, source, channel_id) VALUES (1, 20, 'goog%', 34), (2, 10, 'google', 5000), (3, 30000, 'something', 5000);
SELECT is((SELECT DISTINCT channel FROM cdp_bi.origin_channel JOIN cdp_data.origin USING (origin_id) WHERE source = 'google'), 'Brand', 'the lower priority counts');
SELECT is((SELECT channel FROM cdp_bi.origin_channel JOIN cdp_data.origin USING (origin_id) WHERE source = 'something'), 'Brand', 'a rule after the built-in ones');
SELECT is((SELECT name FROM cdp_data.channel_all WHERE channel_id = 34), 'Weibo (brand)', 'a built-in channel renamed');
SELECT is((SELECT count(*) FROM cdp_data.channel_all WHERE channel_id = 34), 1::bigint, 'once');
SELECT is((SELECT count(*) FROM (SELECT channel_id FROM cdp_data.channel_all GROUP BY 1 HAVING count(*) > 1) d), 0::bigint, 'channel numbers are unique');
SELECT is((SELECT count(*) FROM cdp.channel_rule_builtin() r WHERE NOT EXISTS (SELECT FROM cdp.channel_builtin() c WHERE c.channel_id = r.channel_id)), 0::bigint, 'built-in rules name built-in channels');
SELECT is((SELECT count(*) FROM (SELECT rule_id FROM cdp.channel_rule_builtin() GROUP BY 1 HAVING count(*) > 1) d), 0::bigint, 'and have numbers of their own');

-- The oracle: LIKE of PostgreSQL, alternatives split by hand.
CREATE FUNCTION pg_temp.slow_match(value text, pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT pattern IS NULL OR EXISTS (SELECT FROM string_to_table(pattern, '|') p WHERE lower(coalesce(value, '') COLLATE "C") LIKE lower(p COLLATE "C"))
    OR (pattern = '' AND coalesce(value, '') = '')
$$;
CREATE FUNCTION pg_temp.fast_match(value text, pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT cdp_internal.first_rule(ARRAY[ARRAY['1', pattern, NULL, NULL, NULL, NULL, NULL]], value, NULL, NULL, NULL, NULL, NULL) IS NOT NULL
$$;
CREATE TEMP TABLE word AS
SELECT (SELECT string_agg((ARRAY['a', 'B', 'b', '信', 'é', '_', '.'])[1 + (random() * 6)::int], '') FROM generate_series(1, (random() * 6)::int + g % 1)) AS value,
  (SELECT string_agg((ARRAY['a', 'B', '%', '%', '_', '信', '|', 'é', '\_', '\a'])[1 + (random() * 9)::int], '') FROM generate_series(1, (random() * 6)::int + g % 1)) AS pattern
FROM generate_series(1, 20000) g;
SELECT cmp_ok((SELECT count(*) FROM word WHERE pg_temp.slow_match(value, pattern) AND pattern IS NOT NULL), '>', 300::bigint, 'enough random patterns match');
SELECT is_empty('SELECT * FROM word WHERE pg_temp.slow_match(value, pattern) <> pg_temp.fast_match(value, pattern) LIMIT 5', 'patterns match as LIKE does');
SELECT is(pg_temp.fast_match('a|b', 'a\|b'), true, 'an escaped bar is a bar');
SELECT is(pg_temp.fast_match('100%', '100\%'), true, 'an escaped percent sign is one');
SELECT is(pg_temp.fast_match('a', 'a\'), false, 'a lone backslash at the end is a backslash');
SELECT is(pg_temp.fast_match(repeat('a', 100000) || 'b', '%a%a%a%a%b'), true, 'many percent signs over a long text');

SELECT throws_ok($$SELECT cdp_internal.first_rule('{1,2}', '', '', '', '', '', '')$$, '2202E', NULL, 'a rule set of the wrong shape');
SELECT throws_ok($$SELECT cdp_internal.first_rule('{{x,a,a,a,a,a,a}}', '', '', '', '', '', '')$$, '22P02', NULL, 'a channel that is no number');
SELECT is(cdp_internal.first_rule('{}', 'a', '', '', '', '', ''), NULL, 'no rules: NULL');

-- 100,000 origins, each with the answer of the plain-SQL way for a sample.
INSERT INTO cdp_data.origin (source, medium, campaign) SELECT (ARRAY['google', 'weibo', 'douyin', 'foo', 'newsletter', 'bing', ''])[1 + i % 7], (ARRAY['cpc', 'organic', '', 'social', 'email'])[1 + i % 5], 'c' || i FROM generate_series(1, 100000) i;
SELECT is((SELECT count(*) FROM cdp_bi.origin_channel), (SELECT count(*) FROM cdp_data.origin), 'every origin has exactly one channel');
SELECT is_empty($$
  SELECT o.origin_id FROM (SELECT * FROM cdp_data.origin WHERE campaign LIKE 'c%77') o JOIN cdp_bi.origin_channel oc USING (origin_id)
  WHERE oc.channel_id <> coalesce((SELECT r.channel_id FROM cdp_data.channel_rule_all r
    WHERE pg_temp.slow_match(o.source, r.source) AND pg_temp.slow_match(o.medium, r.medium) AND pg_temp.slow_match(o.campaign, r.campaign)
      AND pg_temp.slow_match(o.referrer_host, r.referrer_host) AND pg_temp.slow_match(o.add_way, r.add_way) AND pg_temp.slow_match(o.qr_scene, r.qr_scene)
    ORDER BY r.priority, r.is_builtin, r.rule_id LIMIT 1), 99)$$, 'and it is that of the first matching rule');
-- A pattern made to be slow: hours, were it not for the cancel.
CREATE FUNCTION pg_temp.ended(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE query;
  RETURN 'to its end';
EXCEPTION WHEN query_canceled THEN
  RETURN 'by the cancel';
END $$;
SET LOCAL statement_timeout = '300ms';
SELECT is(pg_temp.ended($$SELECT cdp_internal.first_rule(ARRAY[ARRAY['1', '%' || repeat('a', 4000000) || 'b%', NULL, NULL, NULL, NULL, NULL]], repeat('a', 20000000), '', '', '', '', '')$$), 'by the cancel', 'a slow pattern can be cancelled');
SET LOCAL statement_timeout = 0;
SELECT * FROM finish();
ROLLBACK;
