-- Core room: built-in lists. They belong to the release, are not dumped, and are read-only;
-- a user's own rows stand in tables of cdp_data, and a view there unites both.

CREATE OR REPLACE FUNCTION cdp.channel_builtin()
RETURNS TABLE (channel_id integer, name text, channel_group text, is_direct boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.id, v.name, v.grp, v.id = 1
  FROM (VALUES
    (1, 'Direct'::text, 'Direct'::text), (2, 'Referral', 'Referral'),
    (3, 'Email', 'Owned'), (4, 'SMS', 'Owned'), (5, 'Push', 'Owned'),
    (6, 'Affiliate', 'Partner'), (7, 'Display', 'Paid media'), (8, 'Organic Search', 'Organic search'), (9, 'Paid Search', 'Paid search'),
    (10, 'Google Ads', 'Paid search'), (11, 'Google Organic', 'Organic search'),
    (12, 'Baidu Ads', 'Paid search'), (13, 'Baidu Organic', 'Organic search'),
    (14, 'Bing Ads', 'Paid search'), (15, 'Bing Organic', 'Organic search'),
    (20, 'WeCom', 'WeChat'), (21, 'WeChat Official Account', 'WeChat'), (22, 'WeChat Channels', 'WeChat'),
    (23, 'WeChat Mini Program', 'WeChat'), (24, 'WeChat Ads', 'Paid social'), (25, 'WeChat Moments', 'WeChat'), (26, 'WeChat', 'WeChat'),
    (30, 'Douyin', 'Social'), (31, 'Douyin Ads', 'Paid social'), (32, 'Xiaohongshu', 'Social'), (33, 'Xiaohongshu Ads', 'Paid social'),
    (34, 'Weibo', 'Social'), (35, 'Weibo Ads', 'Paid social'), (36, 'Kuaishou', 'Social'), (37, 'Kuaishou Ads', 'Paid social'),
    (38, 'Bilibili', 'Social'), (39, 'Bilibili Ads', 'Paid social'), (40, 'Zhihu', 'Social'), (41, 'Zhihu Ads', 'Paid social'),
    (45, 'TikTok', 'Social'), (46, 'TikTok Ads', 'Paid social'), (47, 'Meta', 'Social'), (48, 'Meta Ads', 'Paid social'),
    (49, 'YouTube', 'Social'), (50, 'YouTube Ads', 'Paid social'), (51, 'LinkedIn', 'Social'), (52, 'LinkedIn Ads', 'Paid social'),
    (53, 'X', 'Social'), (54, 'X Ads', 'Paid social'), (55, 'Pinterest', 'Social'), (56, 'Pinterest Ads', 'Paid social'),
    (57, 'Snapchat', 'Social'), (58, 'Snapchat Ads', 'Paid social'), (59, 'Reddit', 'Social'), (60, 'Reddit Ads', 'Paid social'),
    (61, 'WhatsApp', 'Messaging'), (62, 'Telegram', 'Messaging'), (63, 'LINE', 'Messaging'), (64, 'Messenger', 'Messaging'), (65, 'KakaoTalk', 'Messaging'),
    (70, 'Tmall', 'Marketplace'), (71, 'JD', 'Marketplace'), (72, 'Pinduoduo', 'Marketplace'), (73, 'Amazon', 'Marketplace'),
    (80, 'Store', 'Offline'), (81, 'Phone', 'Offline'), (82, 'Event', 'Offline'), (83, 'QR Code', 'Offline'), (84, 'Print and Broadcast', 'Offline'),
    (85, 'Referral Program', 'Referral'), (86, 'Influencer', 'Partner'),
    (90, 'Other Paid Social', 'Paid social'), (91, 'Other Social', 'Social'), (92, 'Other Paid', 'Paid media'), (99, 'Other', 'Other')
  ) AS v (id, name, grp);
END;
COMMENT ON FUNCTION cdp.channel_builtin() IS
'Built-in channels: number below 1000, name, group, and whether it stands for no known origin. Never changes a number. With your own: cdp_data.channel_all.';

CREATE OR REPLACE FUNCTION cdp.channel_rule_builtin()
RETURNS TABLE (rule_id integer, priority integer, source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text, channel_id integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  WITH network (nth, source, host, paid, organic) AS (VALUES
    -- source pattern, referrer pattern, channel when the medium says paid, channel else
    (1, 'wechat_ads|wechatads|gdt|tencent_ads|tencentads', NULL::text, 24, 24),
    (2, 'wecom|wxwork|work_weixin|qywx|wework', 'work.weixin.qq.com', 20, 20),
    (3, 'wechat_official%|wechat_oa|official_account|gzh|mp_weixin|wechat_mp', 'mp.weixin.qq.com', 24, 21),
    (4, 'wechat_channels|wechat_video|shipinhao|channels_weixin', 'channels.weixin.qq.com', 24, 22),
    (5, 'mini_program|miniprogram|wechat_mini%|wxapp', 'servicewechat.com', 24, 23),
    (6, 'moments|wechat_moments|pyq', NULL, 24, 25),
    (7, 'wechat|weixin|wx', '%weixin.qq.com|%wechat.com', 24, 26),
    (8, 'douyin|dou_yin|oceanengine|qianchuan|juliang', '%douyin.com|%iesdouyin.com|%oceanengine.com', 31, 30),
    (9, 'xiaohongshu|red|xhs|rednote|little_red_book', '%xiaohongshu.com|%xhslink.com|%rednote.com', 33, 32),
    (10, 'weibo|sina_weibo', '%weibo.com|%weibo.cn|t.cn', 35, 34),
    (11, 'kuaishou|kwai', '%kuaishou.com|%kwai.com', 37, 36),
    (12, 'bilibili|b_zhan', '%bilibili.com|b23.tv', 39, 38),
    (13, 'zhihu', '%zhihu.com', 41, 40),
    (14, 'tiktok%', '%tiktok.com', 46, 45),
    (15, 'meta|facebook%|fb|ig|instagram%', '%facebook.com|%instagram.com|fb.me|%.fb.com', 48, 47),
    (16, 'youtube%', '%youtube.com|youtu.be', 50, 49),
    (17, 'linkedin%', '%linkedin.com|lnkd.in', 52, 51),
    (18, 'twitter%|x|x.com', '%.twitter.com|twitter.com|x.com|t.co', 54, 53),
    (19, 'pinterest%', '%pinterest.com|pin.it', 56, 55),
    (20, 'snapchat%', '%snapchat.com', 58, 57),
    (21, 'reddit%', '%reddit.com', 60, 59),
    (22, 'whatsapp%', '%whatsapp.com|wa.me', 61, 61),
    (23, 'telegram%', '%telegram.org|t.me', 62, 62),
    (24, 'line', '%line.me', 63, 63),
    (25, 'messenger', 'm.me|%messenger.com', 64, 64),
    (26, 'kakao%', '%kakao.com', 65, 65),
    (27, 'google%|adwords|gads', 'google.%|%.google.%', 10, 11),
    (28, 'baidu%', '%baidu.com', 12, 13),
    (29, 'bing%', '%bing.com', 14, 15),
    (30, 'tmall%|taobao%', '%tmall.com|%taobao.com', 70, 70),
    (31, 'jd|jingdong', '%.jd.com|jd.com', 71, 71),
    (32, 'pinduoduo|pdd', '%pinduoduo.com|%yangkeduo.com', 72, 72),
    (33, 'amazon%', 'amazon.%|%.amazon.%', 73, 73),
    (34, 'yahoo%|duckduckgo|yandex%|naver%|sogou|so360|360|shenma|ecosia|seznam',
       '%.yahoo.com|duckduckgo.com|%yandex.%|%naver.com|%sogou.com|%.so.com|%.sm.cn|%ecosia.org|%seznam.cz', 9, 8)
  ), rule (priority, source, medium, referrer_host, add_way, qr_scene, channel_id) AS (
    -- What the medium says for sure, whatever the network.
    SELECT v.p, v.source, v.medium, NULL::text, NULL::text, NULL::text, v.channel_id
    FROM (VALUES
      (10010, NULL::text, 'email|e-mail|e_mail|mail|newsletter|edm'::text, 3), (10011, 'email|e-mail|e_mail|newsletter|edm', NULL, 3),
      (10020, NULL, 'sms|mms|text_message', 4), (10021, 'sms', NULL, 4),
      (10030, NULL, 'push|webpush|web_push|app_push|%push_notification', 5), (10031, 'push', NULL, 5),
      (10040, NULL, 'affiliate%|cps|partner', 6),
      (10050, NULL, 'member_referral|referral_program|invite|invitation|mgm', 85), (10051, 'referral_program|invite|mgm', NULL, 85),
      (10060, NULL, 'influencer|kol|koc|creator', 86),
      (10070, NULL, 'store|offline|in_store|pos', 80), (10071, 'store|offline|pos', NULL, 80),
      (10080, NULL, 'phone|call|call_center|hotline', 81), (10090, NULL, 'event|exhibition|trade_show|webinar', 82),
      (10100, NULL, 'print|tv|radio|outdoor|ooh', 84), (10110, NULL, 'display|banner|programmatic|interstitial|expandable', 7)
    ) AS v (p, source, medium, channel_id)
    UNION ALL
    -- A network with a paid medium, then without; by source first, then by referrer.
    SELECT 11000 + n.nth, n.source, 'cpc|ppc|cpm|cpv|cpa|cpt|sem|ad|ads|paid%|%\_ads|%\_ad|feed_ad%|retargeting', NULL, NULL, NULL, n.paid FROM network n
    UNION ALL
    SELECT 12000 + n.nth, n.source, NULL, NULL, NULL, NULL, n.organic FROM network n
    UNION ALL
    SELECT 13000 + n.nth, '', 'cpc|ppc|cpm|cpv|cpa|cpt|sem|ad|ads|paid%|%\_ads|%\_ad|feed_ad%|retargeting', n.host, NULL, NULL, n.paid FROM network n WHERE n.host IS NOT NULL
    UNION ALL
    SELECT 14000 + n.nth, '', NULL, n.host, NULL, NULL, n.organic FROM network n WHERE n.host IS NOT NULL
    UNION ALL
    SELECT v.p, v.source, v.medium, v.host, v.add_way, v.qr_scene, v.channel_id -- Direct: nothing at all is known
    FROM (VALUES
      (15010, NULL::text, NULL::text, NULL::text, '_%'::text, NULL::text, 20),
      (15020, NULL, NULL, NULL, NULL, '_%', 83), (15021, 'qr%', NULL, NULL, NULL, NULL, 83), (15022, NULL, 'qr%', NULL, NULL, NULL, 83),
      (15030, NULL, 'paid_social|paidsocial|social_paid|social_ads', NULL, NULL, NULL, 90),
      (15040, NULL, 'social%|sns', NULL, NULL, NULL, 91),
      (15050, NULL, 'cpc|ppc|sem|paid_search|paidsearch', NULL, NULL, NULL, 9),
      (15060, NULL, 'organic|seo', NULL, NULL, NULL, 8),
      (15070, NULL, 'cpm|cpv|cpa|cpt|ad|ads|paid%|%\_ads|%\_ad|retargeting', NULL, NULL, NULL, 92),
      (15080, NULL, 'referral|link', NULL, NULL, NULL, 2),
      (15090, '|(direct)|direct|(not set)|(none)', '|(none)|none|(not set)|direct', '', '', '', 1),
      (15100, '|(direct)|(not set)', '|(none)|none|(not set)', '_%', NULL, NULL, 2)
    ) AS v (p, source, medium, host, add_way, qr_scene, channel_id)
  )
  SELECT r.priority, r.priority, r.source, r.medium, CASE WHEN r.channel_id = 1 THEN '' END, r.referrer_host, r.add_way, r.qr_scene, r.channel_id FROM rule r;
END;
COMMENT ON FUNCTION cdp.channel_rule_builtin() IS
'Built-in rules from origin to channel, in the form of cdp_data.channel_rule; rule_id equals priority, from 10000. What no rule matches is channel 99, Other.';

CREATE OR REPLACE FUNCTION cdp.touch_kind_builtin()
RETURNS TABLE (kind_id smallint, name text, is_touch boolean, is_conversion boolean, is_milestone boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.id::smallint, v.name, v.touch, v.conversion, v.milestone
  FROM (VALUES
    (1, 'visit'::text, true, false, false), (2, 'page_view', true, false, false), (3, 'impression', true, false, false),
    (4, 'click', true, false, false), (5, 'ad_view', true, false, false), (6, 'ad_click', true, false, false),
    (7, 'email_open', true, false, false), (8, 'email_click', true, false, false),
    (9, 'message_open', true, false, false), (10, 'message_click', true, false, false), (11, 'message_received', true, false, false),
    (12, 'follow', true, false, false), (13, 'add_contact', true, false, false), (14, 'scan', true, false, false),
    (15, 'like', true, false, false), (16, 'comment', true, false, false), (17, 'share', true, false, false),
    (18, 'favourite', true, false, false), (19, 'video_view', true, false, false), (20, 'live_view', true, false, false),
    (21, 'search', true, false, false), (22, 'form_submit', true, false, false), (23, 'call', true, false, false),
    (24, 'store_visit', true, false, false), (25, 'event_visit', true, false, false), (26, 'mini_program_visit', true, false, false),
    (27, 'app_open', true, false, false), (28, 'referral_click', true, false, false), (29, 'survey', true, false, false), (30, 'touch', true, false, false),
    (40, 'add_to_cart', false, false, false), (41, 'checkout', false, false, false), (42, 'product_view', false, false, false),
    (43, 'unfollow', false, false, false), (44, 'unsubscribe', false, false, false), (45, 'event', false, false, false),
    (46, 'delivered', false, false, false), (47, 'bounce', false, false, false), (48, 'complaint', false, false, false),
    (50, 'lead', false, false, true), (51, 'qualified_lead', false, false, true), (52, 'opportunity', false, false, true),
    (53, 'opportunity_stage', false, false, false), (54, 'deal_lost', false, false, false),
    (60, 'purchase', false, true, false), (61, 'order', false, true, false), (62, 'sign_up', false, true, false),
    (63, 'subscription', false, true, false), (64, 'booking', false, true, false), (65, 'deal_won', false, true, false),
    (66, 'donation', false, true, false), (67, 'conversion', false, true, false), (68, 'install', false, true, false),
    (80, 'refund', false, true, false), (81, 'chargeback', false, true, false)
  ) AS v (id, name, touch, conversion, milestone);
END;
COMMENT ON FUNCTION cdp.touch_kind_builtin() IS
'Built-in kinds of touchpoints, numbers below 1000. A kind counts as touch, as conversion (refund and chargeback: with a negative value or refers_to), as milestone, or as none of them. With your own: cdp_data.touch_kind_all.';

CREATE OR REPLACE FUNCTION cdp.identifier_type_builtin()
RETURNS TABLE (type_id smallint, name text, description text, normaliser text, role text, priority smallint,
  max_per_customer integer, limit_window interval, supernode_degree integer, pattern text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- Limits are above what honest people reach and below what a shared or broken value collects; docs/identity.md tells why each.
  SELECT v.id::smallint, v.name, v.description, v.normaliser, v.role, v.priority::smallint, v.most, v.span, v.degree, NULL::text
  FROM (VALUES
    (1, 'user_id'::text, 'Account number in your own system'::text, 'trim'::text, 'merge'::text, 100, 1, NULL::interval, NULL::integer),
    (15, 'id_hash', 'Hash of an identity document', 'hash', 'merge', 120, 5, NULL, NULL),
    (4, 'unionid', 'WeChat unionid: one person in all accounts of one company', 'unionid', 'merge', 150, 1, NULL, NULL),
    (6, 'external_userid', 'WeCom external contact', 'external_userid', 'merge', 200, 5, NULL, NULL),
    (9, 'member_id', 'Loyalty programme number', 'trim', 'merge', 220, 5, NULL, NULL),
    (10, 'crm_id', 'Contact number in a CRM', 'trim', 'merge', 240, 20, NULL, NULL),
    (5, 'openid', 'WeChat openid: one person in one account or mini program', 'openid', 'merge', 250, 20, NULL, NULL),
    (2, 'email', 'E-mail address', 'email', 'merge', 300, 5, NULL, 500),
    (3, 'phone', 'Phone number, E.164', 'phone', 'merge', 320, 5, NULL, 500),
    (12, 'social_id', 'Account on a social network', 'trim', 'merge', 350, 10, NULL, NULL),
    (11, 'payment_hash', 'Hash of a payment account', 'hash', 'attach_only', 450, 20, NULL, 100),
    (14, 'order_id', 'Order number, for guests', 'trim', 'merge', 600, NULL, NULL, 20),
    (7, 'device', 'Device or advertising id', 'device', 'merge', 700, 20, '1 year', 50),
    (8, 'cookie', 'Browser cookie or anonymous id', 'cookie', 'merge', 800, NULL, NULL, 50),
    (13, 'anonymous_id', 'Anonymous id of an analytics tool', 'cookie', 'merge', 820, NULL, NULL, 50)
  ) AS v (id, name, description, normaliser, role, priority, most, span, degree);
END;
COMMENT ON FUNCTION cdp.identifier_type_builtin() IS
'Built-in identifier types, numbers below 1000, strongest evidence first. Columns as in cdp_data.identifier_type; NULL in the last four means no limit, for ever, never and anything. With your own: cdp_data.identifier_type_all.';

CREATE OR REPLACE FUNCTION cdp.identifier_block_builtin()
RETURNS TABLE (block_id integer, type_id smallint, value text, pattern text, note text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  WITH list (first_id, type_id, note, words) AS (VALUES
    (100, NULL::integer, 'what a program writes for no value'::text,
      ARRAY['null', '(null)', '<null>', 'nil', 'none', '(none)', '<none>', 'undefined', '(undefined)', 'nan', '[object object]', 'true', 'false',
        '-1', '\n', 'n/a', '#n/a', '(not set)', 'not set', '(not provided)', 'empty', '(empty)', 'invalid', 'error']),
    (200, NULL, 'a name of the field in place of its content',
      ARRAY['id', 'userid', 'user_id', 'uid', 'email', 'e-mail', 'mail', 'phone', 'mobile', 'distinctid', 'distinct_id', 'anonymousid',
        'anonymous_id', 'openid', 'unionid', 'deviceid', 'device_id', 'customer_id', 'guid', 'uuid']),
    (300, NULL, 'nobody in particular',
      ARRAY['anonymous', 'guest', 'unknown', 'not_authenticated', 'nobody', 'noname', 'unbekannt', 'inconnu', 'desconocido', 'неизвестно',
        '无', '空', '未知', '没有', '暂无', '不详', '匿名', '匿名用户', '游客', '访客', '測試', '测试', 'なし', '不明', '없음']),
    (400, NULL, 'digest of an empty text or of such a word',
      ARRAY[md5(''), 'da39a3ee5e6b4b0d3255bfef95601890afd80709', encode(sha256(''), 'hex'), encode(sha512(''), 'hex'),
        md5('null'), encode(sha256('null'), 'hex'), md5('undefined'), encode(sha256('undefined'), 'hex'), md5('0'), encode(sha256('0'), 'hex'),
        md5('00000000-0000-0000-0000-000000000000'), encode(sha256('00000000-0000-0000-0000-000000000000'), 'hex')]),
    (500, 2, 'an address typed in to get past a form',
      ARRAY['test@test.com', 'test@test.test', 'test@test.de', 'test@test.cn', 'test@email.com', 'a@a.com', 'aa@aa.com', 'aaa@aaa.com', 'abc@abc.com',
        'asd@asd.com', 'asdf@asdf.com', 'x@x.com', 'xxx@xxx.com', '123@123.com', '1@1.com', '123@qq.com', '123456@qq.com', '123456789@qq.com',
        'no@no.com', 'none@none.com', 'null@null.com', 'na@na.com', 'noemail@noemail.com', 'no@email.com', 'email@email.com', 'user@user.com']),
    (600, 3, 'a number typed in to get past a form',
      ARRAY['+8613800138000', '+8613800000000', '+8613900000000', '+8613000000000', '+8615000000000', '+8618000000000', '+8618800000000',
        '+8613111111111', '+8613333333333', '+8613666666666', '+8613888888888', '+8613999999999', '+8615555555555', '+8615888888888',
        '+8616666666666', '+8618888888888', '+8619999999999', '+15555555555', '+12222222222', '+19999999999', '+12345678901', '+441234567890']),
    (700, 7, 'an id that many devices share',
      ARRAY['02:00:00:00:00:00', '9774d56d682e549c', '004999010640000', '012345678912345', '123456789012345', '1234567890', 'goldfish'])
  )
  SELECT v.id, v.type_id::smallint, NULL::text, v.pattern, v.note
  FROM (VALUES
    (1, NULL::integer, '^[-0_. ?*#/+]*$'::text, 'zeros and marks only'::text),
    (2, NULL, '\*\*', 'masked by a shop or a platform: many people share it'),
    (3, NULL, '^\{\{.*\}\}$', 'placeholder that was never filled'), (4, NULL, '^\$\{.*\}$', 'placeholder that was never filled'),
    (5, NULL, '^\[\[.*\]\]$', 'placeholder that was never filled'), (6, NULL, '^%%.*%%$', 'placeholder that was never filled'),
    (7, NULL, '^\*\|.*\|\*$', 'placeholder that was never filled'), (8, NULL, '^__[A-Z0-9_]+__$', 'placeholder of an ad platform, such as __IDFA__'),
    (9, 2, '^noreply@', 'a sender that nobody reads'), (10, 2, '^no-reply@', 'a sender that nobody reads'),
    (11, 2, '^no_reply@', 'a sender that nobody reads'), (12, 2, '^donotreply@', 'a sender that nobody reads'),
    (13, 2, '^do-not-reply@', 'a sender that nobody reads')
  ) AS v (id, type_id, pattern, note)
  UNION ALL
  SELECT l.first_id + w.nth::integer, l.type_id::smallint, w.word, NULL, l.note
  FROM list l CROSS JOIN LATERAL unnest(l.words) WITH ORDINALITY AS w (word, nth);
END;
COMMENT ON FUNCTION cdp.identifier_block_builtin() IS
'Built-in values and patterns that never identify anybody, numbers below 1000, each for ever the same; type_id NULL means every type, exactly one of value and pattern is given. Columns as in cdp_data.identifier_block. With your own: cdp_data.identifier_block_all.';

CREATE OR REPLACE FUNCTION cdp.currency_builtin()
RETURNS TABLE (code text, exponent smallint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  -- ISO 4217 as of 2025, without metals, funds, bond units and test codes.
  SELECT c.code, v.exponent::smallint
  FROM (VALUES
    (0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'::text),
    (2, 'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK '
     || 'DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP '
     || 'LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB '
     || 'SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG'),
    (3, 'BHD IQD JOD KWD LYD OMR TND'),
    (4, 'CLF UYW')
  ) AS v (exponent, codes) CROSS JOIN LATERAL string_to_table(v.codes, ' ') AS c (code);
END;
COMMENT ON FUNCTION cdp.currency_builtin() IS
'Currencies of ISO 4217: code and exponent (digits of the minor unit: 2 for cents, 0 for yen, 3 for dinars). With your own: cdp_data.currency_all.';

CREATE OR REPLACE FUNCTION cdp_internal.origin_digest(
  source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(replace(
  length(source)::text || ':' || source || length(medium)::text || ':' || medium || length(campaign)::text || ':' || campaign
  || length(referrer_host)::text || ':' || referrer_host || length(add_way)::text || ':' || add_way || length(qr_scene)::text || ':' || qr_scene,
  '\', '\\')::bytea);
COMMENT ON FUNCTION cdp_internal.origin_digest(text, text, text, text, text, text) IS
'The digest column of cdp_data.origin for these six texts: SHA-256 of each with its length before it. NULL when one is NULL.';

-- What people type into setters is looked at before it reaches a table: a constraint's own error shows the whole row.
CREATE OR REPLACE FUNCTION cdp_internal.require_zone(zone text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = zone) THEN
    RAISE EXCEPTION 'unknown time zone "%"', zone
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use a name of pg_timezone_names, such as Asia/Shanghai.';
  END IF;
  -- CET and its like: AT TIME ZONE takes the abbreviation, which has no summer time, all else the zone of that name.
  IF EXISTS (SELECT FROM unnest('{2026-01-01,2026-07-01}'::text[]) t WHERE cdp_internal.parse_time(t, zone) <> t::timestamp AT TIME ZONE zone) THEN
    RAISE EXCEPTION 'time zone "%" has two meanings', zone
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It is a zone with summer time, and an abbreviation without.',
        HINT = 'Use a name with a place, such as Europe/Brussels.';
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.require_zone(text) IS
'Refuses (22023) time zones that are not in pg_timezone_names, and names such as CET, whose days would begin at other times in one report than in another.';

CREATE OR REPLACE FUNCTION cdp_internal.require_choice(what text, given text, allowed text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF given IS NULL OR given <> ALL (allowed) THEN
    RAISE EXCEPTION 'unknown %', what
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(quote_literal(left(given, 50)), 'NULL')),
        HINT = format('Use one of: %s.', array_to_string(allowed, ', '));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_choice(text, text, text[]) IS
'Error 22023 when what was given is none of the allowed words, or NULL; what: the name of the argument.';

CREATE OR REPLACE FUNCTION cdp_internal.require_text(what text, given text, most integer, pattern text DEFAULT NULL, hint text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF coalesce(btrim(given, E' \t\r\n'), '') = '' THEN
    RAISE EXCEPTION '% must not be empty', what
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', CASE WHEN given IS NULL THEN 'NULL' ELSE 'a blank text' END), HINT = coalesce(hint, format('Give a text of 1 to %s bytes.', most));
  ELSIF octet_length(given) > most THEN
    RAISE EXCEPTION '% is too long', what
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It has %s bytes, at most %s are taken.', octet_length(given), most), HINT = coalesce(hint, 'Say it shorter.');
  ELSIF given !~ (coalesce(pattern, '^[^[:cntrl:]]*$') COLLATE "C") THEN
    RAISE EXCEPTION '% has signs that are not taken', what
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', quote_literal(left(given, 50))), HINT = coalesce(hint, 'Leave out tabs, line ends and other control signs.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_text(text, text, integer, text, text) IS
'Error 22023 when a text is NULL, blank, longer than so many bytes, or does not match the pattern (collation C; NULL: no control signs); what: the name of the argument.';

CREATE OR REPLACE FUNCTION cdp_internal.blank_words() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['n/a', '#n/a', 'n.a.', 'null', '(null)', '<null>', '\n', 'nil', 'none', '(none)', '<none>', 'undefined', '(undefined)', 'nan',
  '[object object]', 'unknown', '(unknown)', 'not set', '(not set)', 'not provided', '(not provided)', 'not available', 'not applicable',
  'empty', '(empty)', '(blank)', 'tbd', '-', '--', '---', '—', '.', '...', '?', '??', '???', '/', '_', 'unbekannt', 'inconnu', 'desconocido', 'неизвестно',
  '无', '暂无', '没有', '未知', '不详', '空', '未填写', '未设置', '不明', 'なし', '없음'];
COMMENT ON FUNCTION cdp_internal.blank_words() IS
'Words, in lower case, that say nothing about anybody: such a value counts as blank, such a key as missing. cdp_data.attribute.blanks replaces the list for one attribute.';
