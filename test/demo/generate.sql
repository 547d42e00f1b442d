-- The demo's business: a shop in China that also sells abroad. Made by a generator, no real person or order.
--   psql -v customers=20000 -v days=180 -v until=2026-01-11 -v seed=1 -f test/demo/generate.sql
-- Every number comes from a hash of (seed, customer, journey, touch): the same arguments give the same rows on any
-- machine, with any plan. Makes schema demo with tables touches and spend, ready for cdp.load_touchpoints() and
-- cdp.load_spend(), and three lists of people for cdp.load_customers(). What is in it: heavy-tailed activity, a weekly
-- season and daily rhythm, a festival two thirds through, personas who prefer certain channels, early and late channels
-- of a journey, channels that really lift the chance of a purchase, several purchases per customer, refunds, leads,
-- carts, bots, staff, and journeys that never convert. The shop knows people by account, WeCom by its own id, the
-- newsletter by address: who is who only the lists tell, and not of everybody.
SET client_min_messages = warning;
SET jit = off;
DROP SCHEMA IF EXISTS demo CASCADE;
CREATE SCHEMA demo;
COMMENT ON SCHEMA demo IS 'Made-up data of the demo, before it was loaded.';
SET search_path = demo, pg_catalog, pg_temp;

-- A number in [0, 1) that depends on its arguments only.
SELECT format($$CREATE FUNCTION demo.u(a bigint, b bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (hashint8extended(hashint8extended(a, salt) # b, %s) & 4503599627370495) / 4503599627370496::float8$$, :seed) \gexec

-- Where touches come from: weight at the start of a journey and later, lift of the chance to buy, price of a touch,
-- and how much five personas like it (student, young mother, professional, bargain hunter, customer abroad).
CREATE TABLE origin (o integer PRIMARY KEY, source text, medium text, campaign text, add_way text, qr_scene text, kind text,
  early float8, late float8, lift float8, price float8, persona float8[]);
INSERT INTO origin VALUES
  (1, 'douyin', 'cpc', '双11抖音信息流', NULL, NULL, 'ad_click', 14, 3, 0.6, 1.9, '{1.5,1,0.6,1.5,0.1}'),
  (2, 'douyin', 'social', '达人直播间', NULL, NULL, 'live_view', 6, 7, 1.6, 0, '{1.4,1.2,0.4,1.8,0}'),
  (3, 'xiaohongshu', 'social', '秋冬种草笔记', NULL, NULL, 'page_view', 11, 5, 1.2, 0, '{1.6,1.6,0.8,0.4,0.2}'),
  (4, 'xiaohongshu', 'cpc', 'KOC 测评', NULL, NULL, 'ad_click', 7, 3, 1.0, 2.4, '{1.4,1.6,0.8,0.5,0.1}'),
  (5, 'wechat_official', 'social', '公众号周刊', NULL, NULL, 'message_open', 4, 9, 0.9, 0, '{0.6,1.2,1.4,0.8,0}'),
  (6, 'wechat_ads', 'cpc', '朋友圈新品', NULL, NULL, 'ad_click', 8, 2, 0.5, 2.8, '{0.8,1.1,1.3,0.7,0}'),
  (7, NULL, NULL, NULL, 'qr_code', '门店海报', 'add_contact', 2, 4, 2.2, 0, '{0.6,1.2,1.2,1,0}'),
  (8, 'wecom', 'social', '导购一对一', NULL, NULL, 'message_click', 1, 9, 2.6, 0.8, '{0.5,1.4,1.3,1,0}'),
  (9, 'weibo', 'social', '明星同款话题', NULL, NULL, 'page_view', 6, 1, 0.3, 0, '{1.4,0.7,0.8,0.6,0.1}'),
  (10, 'bilibili', 'social', '开箱视频', NULL, NULL, 'video_view', 5, 1, 0.7, 0, '{2,0.4,0.8,0.4,0.1}'),
  (11, 'baidu', 'cpc', '品牌词', NULL, NULL, 'ad_click', 2, 7, 1.1, 3.1, '{0.6,0.9,1.4,1.2,0}'),
  (12, 'google', 'cpc', 'Brand Search', NULL, NULL, 'ad_click', 2, 5, 1.1, 4.2, '{0.1,0.1,0.3,0.1,3}'),
  (13, 'google', 'organic', NULL, NULL, NULL, 'visit', 2, 3, 1.0, 0, '{0.1,0.1,0.4,0.1,3}'),
  (14, 'instagram', 'paid_social', 'Autumn Lookbook', NULL, NULL, 'ad_click', 4, 1, 0.6, 3.6, '{0,0,0.1,0,4}'),
  (15, 'tiktok', 'social', 'Unboxing Week', NULL, NULL, 'video_view', 3, 1, 0.6, 0, '{0,0,0.1,0,3}'),
  (16, 'newsletter', 'email', 'Weekly Picks', NULL, NULL, 'email_click', 0.5, 5, 1.3, 0.05, '{0.2,0.4,1,1,3}'),
  (17, '(direct)', '(none)', NULL, NULL, NULL, 'visit', 3, 9, 0.8, 0, '{1,1,1,1,1}');

-- For each stage and persona the upper ends of the origins' shares.
CREATE TABLE mix AS
SELECT stage, p AS persona, array_agg(share ORDER BY o) AS bounds
FROM (SELECT stage, p, o, sum(w) OVER (PARTITION BY stage, p ORDER BY o) / sum(w) OVER (PARTITION BY stage, p) AS share
      FROM origin, generate_series(1, 5) p, LATERAL (VALUES (1, early * persona[p]), (2, late * persona[p])) s (stage, w)) x
GROUP BY 1, 2;

-- Days and hours by weight: weekends, slow growth, and a festival whose day is two thirds through.
CREATE TABLE calendar AS
SELECT array_agg(share ORDER BY d) AS bounds
FROM (SELECT d, sum(w) OVER (ORDER BY d) / sum(w) OVER () AS share
      FROM generate_series(0, :days - 1) d, LATERAL (SELECT (:'until'::date - :days + d) AS day) a,
        LATERAL (SELECT (CASE WHEN extract(isodow FROM day) >= 6 THEN 1.6 WHEN extract(isodow FROM day) = 5 THEN 1.2 ELSE 1 END)
          * (0.8 + 0.4 * d / :days) * (1 + 2.5 / (1 + power((d - :days * 0.66::float8) / 3, 2))) AS w) b) x;
CREATE TABLE clock AS
SELECT array_agg(share ORDER BY h) AS bounds
FROM (SELECT h, sum(w) OVER (ORDER BY h) / sum(w) OVER () AS share
      FROM unnest('{2,1,.5,.3,.3,.6,2,4,6,6,6,7,10,8,6,5,5,6,7,9,13,15,12,6}'::float8[]) WITH ORDINALITY a (w, h)) x;

-- People: heavy-tailed number of journeys, persona, and who they say they are.
CREATE TABLE person AS
SELECT c, 1 + floor(5 * power(demo.u(c, 0, 1), 1.3))::integer AS persona,
  least(12, floor(power(1 - demo.u(c, 0, 2), -1 / 1.4)))::integer AS journeys,
  CASE WHEN c % 200 = 63 THEN 1 WHEN c % 333 = 7 THEN 2 ELSE 0 END AS flags,
  CASE WHEN power(demo.u(c, 0, 1), 1.3) >= 0.8
    THEN (ARRAY['Olivia','Liam','Emma','Noah','Ava','Ethan','Sofia','Lucas','Mia','Daniel'])[1 + floor(demo.u(c, 1, 4) * 10)::integer]
      || ' ' || (ARRAY['Smith','Garcia','Brown','Miller','Tan','Wong','Dubois','Rossi','Kim','Novak'])[1 + floor(demo.u(c, 2, 4) * 10)::integer]
    ELSE (ARRAY['王','李','张','刘','陈','杨','赵','黄','周','吴','徐','孙'])[1 + floor(demo.u(c, 1, 4) * 12)::integer]
      || (ARRAY['伟','芳','娜','秀英','敏','静','丽','强','磊','洋','艳','勇','子涵','浩然','诗琪','梓萱'])[1 + floor(demo.u(c, 2, 4) * 16)::integer]
  END AS name
FROM generate_series(1, :customers) c;

-- What each system knows somebody by. Some gave the newsletter an address that the shop does not know; some accounts
-- share the phone of a family.
CREATE TABLE known AS
SELECT c, flags, name, 'U' || lpad(c::text, 7, '0') AS user_id, 'wm' || substr(md5(format('wecom %s %s', :seed, c)), 1, 30) AS external_userid,
  CASE WHEN name !~ '^[A-Z]' THEN '1880' || lpad((CASE WHEN c % 60 = 17 THEN c - 1 ELSE c END % 10000000)::text, 7, '0') END AS phone,
  mail AS email, CASE WHEN demo.u(c, 3, 4) < 0.6 THEN mail ELSE 'hello.' || mail END AS newsletter_email,
  (ARRAY['上海','杭州','北京','广州','深圳','成都','南京','武汉'])[1 + floor(8 * power(demo.u(c, 4, 4), 1.5))::integer] AS city
FROM (SELECT *, CASE WHEN name ~ '^[A-Z]' THEN lower(replace(name, ' ', '.')) || c ELSE 'u' || 100000 + c END || '@mail.example' AS mail FROM person) p;

CREATE TABLE touch AS
SELECT t.c, t.j, t.k, t.flags, t.o, t.day + make_interval(hours => width_bucket(demo.u(t.id, t.k, 8), clock.bounds), secs => floor(demo.u(t.id, t.k, 9) * 3600)) AS at
FROM (
  SELECT p.c, j, k, p.flags, p.c * 100 + j AS id,
    width_bucket(demo.u(p.c * 100 + j, k, 5), m.bounds) + 1 AS o,
    :'until'::timestamp - make_interval(days => :days - width_bucket(demo.u(p.c, j, 6), calendar.bounds)
      - floor((k - 1 + demo.u(p.c * 100 + j, k, 7)) * (0.3 + 2.4 * demo.u(p.c, j, 10)))::integer) AS day
  FROM person p CROSS JOIN calendar
    CROSS JOIN LATERAL generate_series(1, p.journeys) j
    CROSS JOIN LATERAL generate_series(1, least(40, floor(power(1 - demo.u(p.c, j, 11), -1 / 1.15)) + floor(2 * demo.u(p.c, j, 12)))::integer) k
    JOIN mix m ON m.persona = p.persona AND m.stage = CASE WHEN k = 1 THEN 1 ELSE 2 END
) t CROSS JOIN clock
-- Working days are quieter than the calendar of journeys alone would have it.
WHERE t.day < :'until'::timestamp AND (extract(isodow FROM t.day) >= 6 OR demo.u(t.id, t.k, 13) < 0.8);

-- Bots hammer an ad for a day.
INSERT INTO touch
SELECT p.c, 99, k, 1, 12, :'until'::timestamp - make_interval(days => 1 + floor(demo.u(p.c, 0, 14) * (:days - 2))::integer, secs => 40000 - k * 7)
FROM person p CROSS JOIN LATERAL generate_series(1, 40 + floor(120 * demo.u(p.c, 0, 15))::integer) k WHERE p.flags = 1;

-- What a journey's touches do: the more lift, the likelier a purchase soon after the last of them.
CREATE TABLE purchase AS
SELECT x.c, x.j, n, x.flags, x.last_at + CASE n WHEN 1 THEN make_interval(secs => floor(120 + 2 * 86400 * power(demo.u(x.c * 100 + x.j, n, 16), 4)))
    ELSE make_interval(days => 1 + floor(9 * demo.u(x.c * 100 + x.j, n, 17))::integer, mins => floor(600 * demo.u(x.c * 100 + x.j, n, 18))::integer) END AS at,
  round(exp(5.2 + 0.45 * 1.732 * (demo.u(x.c, x.j, 19) + demo.u(x.c, n, 20) + demo.u(x.j, x.c, 21) + demo.u(x.c * 100 + x.j, n, 22) - 2))::numeric, 2) AS value
FROM (SELECT t.c, t.j, t.flags, max(t.at) AS last_at, sum(o.lift) AS lift FROM touch t JOIN origin o USING (o) WHERE t.flags <> 1 GROUP BY 1, 2, 3) x,
  generate_series(1, 2) n
WHERE demo.u(x.c, x.j, 23) < 1 - exp(-0.055 * x.lift) AND (n = 1 OR demo.u(x.c, x.j, 24) < 0.15);

-- What the shop would export, one row per event, in the time order of an event log.
CREATE TABLE touches AS
SELECT * FROM (
  SELECT format('T%s-%s-%s', t.c, t.j, t.k) AS source_key, t.at AS occurred_at,
    CASE WHEN t.flags = 1 THEN 'cookie' WHEN t.o IN (7, 8) THEN 'external_userid' WHEN t.o = 16 THEN 'email' ELSE 'user_id' END AS identifier_type,
    CASE WHEN t.flags = 1 THEN 'bot-' || lpad(t.c::text, 7, '0') WHEN t.o IN (7, 8) THEN w.external_userid WHEN t.o = 16 THEN w.newsletter_email ELSE w.user_id END AS identifier, o.kind, o.source, o.medium, o.campaign, o.add_way, o.qr_scene,
    NULL::numeric AS value, NULL::text AS currency, NULL::jsonb AS properties, NULL::text AS refers_to, t.flags
  FROM touch t JOIN origin o USING (o) JOIN known w USING (c)
  UNION ALL
  SELECT format('L%s-%s', t.c, t.j), t.at + interval '4 minutes', 'user_id', 'U' || lpad(t.c::text, 7, '0'), 'lead', NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, jsonb_build_object('name', p.name), NULL, t.flags
  FROM touch t JOIN person p USING (c) WHERE t.k = 3 AND t.flags <> 1 AND demo.u(t.c, t.j, 25) < 0.4
  UNION ALL
  SELECT format('C%s-%s-%s', b.c, b.j, b.n), b.at - interval '3 minutes', 'user_id', 'U' || lpad(b.c::text, 7, '0'), 'add_to_cart', NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, b.flags
  FROM purchase b WHERE demo.u(b.c, b.j, 26) < 0.7
  UNION ALL
  SELECT format('O%s-%s-%s', b.c, b.j, b.n), b.at, 'user_id', 'U' || lpad(b.c::text, 7, '0'), 'purchase', NULL, NULL, NULL, NULL, NULL,
    b.value, 'CNY', jsonb_build_object('items', 1 + floor(4 * demo.u(b.c, b.j, 27))), NULL, b.flags
  FROM purchase b
  UNION ALL
  SELECT format('R%s-%s-%s', b.c, b.j, b.n), b.at + make_interval(days => 2 + floor(10 * demo.u(b.c, b.n, 28))::integer), 'user_id', 'U' || lpad(b.c::text, 7, '0'),
    'refund', NULL, NULL, NULL, NULL, NULL, -CASE WHEN demo.u(b.c, b.j, 29) < 0.7 THEN b.value ELSE round(b.value / 2, 2) END, 'CNY', NULL,
    format('O%s-%s-%s', b.c, b.j, b.n), b.flags
  FROM purchase b WHERE demo.u(b.c, b.j, 30) < 0.07) e
WHERE occurred_at < :'until'::timestamp
ORDER BY occurred_at, source_key;
COMMENT ON TABLE demo.touches IS 'Made-up events as a shop would export them; times are local.';

-- What the advertising accounts report: clicks at their price, a little off as invoices are.
CREATE TABLE spend AS
SELECT t.at::date AS day, CASE o.source WHEN 'douyin' THEN 'Douyin Ads' WHEN 'xiaohongshu' THEN 'Xiaohongshu Ads' WHEN 'wechat_ads' THEN 'WeChat Ads'
    WHEN 'baidu' THEN 'Baidu Ads' WHEN 'google' THEN 'Google Ads' WHEN 'instagram' THEN 'Meta Ads' WHEN 'wecom' THEN 'WeCom' ELSE 'Email' END AS channel,
  o.campaign, round((count(*) * o.price * (0.9 + 0.2 * demo.u(t.at::date - date '2000-01-01', t.o, 31)))::numeric, 2) AS amount, 'CNY' AS currency
FROM touch t JOIN origin o USING (o) WHERE o.price > 0
GROUP BY t.at::date, t.o, o.source, o.campaign, o.price
ORDER BY 1, 2;
COMMENT ON TABLE demo.spend IS 'Made-up spend per day, channel and campaign.';

-- Three lists of people, as their systems write them: accounts of the shop, contacts of WeCom with the mobile that the
-- shop assistant noted, subscribers of the newsletter with the phone that some left for a coupon.
CREATE TABLE accounts AS
SELECT w.user_id, substr(w.phone, 1, 3) || ' ' || substr(w.phone, 4, 4) || ' ' || substr(w.phone, 8) AS phone, w.email, w.name AS full_name,
  CASE WHEN w.phone IS NOT NULL THEN w.city END AS city, :'until'::timestamp - make_interval(days => :days) AS observed_at
FROM known w WHERE w.flags <> 1 ORDER BY w.c;
COMMENT ON TABLE demo.accounts IS 'Made-up accounts of the shop.';
CREATE TABLE contacts AS
SELECT w.external_userid, CASE WHEN demo.u(w.c, 5, 4) < 0.85 THEN '+86-' || w.phone END AS phone, left(w.name, 1) || '**' AS nickname, min(t.at) AS observed_at
FROM known w JOIN touch t USING (c) WHERE t.o IN (7, 8) AND w.flags <> 1 GROUP BY w.c, w.external_userid, w.phone, w.name ORDER BY w.c;
COMMENT ON TABLE demo.contacts IS 'Made-up contacts of WeCom.';
CREATE TABLE subscribers AS
SELECT upper(left(w.newsletter_email, 1)) || substr(w.newsletter_email, 2) AS email, CASE WHEN demo.u(w.c, 6, 4) < 0.7 THEN '0086' || w.phone END AS phone,
  CASE WHEN w.phone IS NULL THEN 'en' ELSE 'zh' END AS language, min(t.at) AS observed_at
FROM known w JOIN touch t USING (c) WHERE t.o = 16 AND w.flags <> 1 GROUP BY w.c, w.newsletter_email, w.phone ORDER BY w.c;
COMMENT ON TABLE demo.subscribers IS 'Made-up subscribers of the newsletter.';
DROP TABLE touch, purchase, known, person, calendar, clock, mix, origin;
RESET search_path;
RESET jit;
RESET client_min_messages;
