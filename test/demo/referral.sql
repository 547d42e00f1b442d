-- Customers of the made-up shop bring friends: a campaign of the last eight weeks, told by the calls that a shop makes, and its
-- report. Arguments: until.
SELECT cdp.create_referral_campaign('friends', channels => '{wecom}', link_template => 'https://shop.example/r/{code}', budget => 20000, goal_metric => 'referrals', goal_target => 60,
    starts_at => :'until'::timestamptz - interval '56 days', ends_at => :'until'::timestamptz + interval '28 days') AS campaign,
  cdp.set_referral_terms('friends', rules => '[{"rule": "thanks", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 30, "hold": "14 days"},
    {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "max": 50, "hold": "14 days"}]') AS terms,
  cdp.activate_referral_campaign('friends', :'until'::timestamptz - interval '56 days') \g /dev/null
-- Sixty buyers, by their accounts; two of three share, and friends come by their links.
CREATE TEMP TABLE advocate AS
SELECT a.n, cdp.issue_referral_code('friends', a.customer, issued_at => :'until'::timestamptz - interval '55 days') AS code
FROM (SELECT row_number() OVER (ORDER BY min(i.value) COLLATE "C") AS n, c.customer FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id AND t.name = 'user_id'
    CROSS JOIN LATERAL (SELECT cdp.customer_of('user_id', i.value) AS customer) c WHERE i.value < 'U0000200' AND c.customer IS NOT NULL GROUP BY c.customer ORDER BY 1 LIMIT 60) a;
SELECT count(cdp.referral_share('shop', 'share ' || n, code, CASE WHEN n % 2 = 0 THEN 'wecom' ELSE 'moments' END, :'until'::timestamptz - interval '50 days' + n * interval '5 hours')) FROM advocate WHERE n % 3 > 0 \g /dev/null
SELECT count(cdp.referral_click('shop', format('click %s %s', n, k), code, :'until'::timestamptz - interval '49 days' + n * interval '5 hours' + k * interval '3 hours',
  jsonb_build_object('cookie', 'friend-' || md5(n || ' ' || k)), channel => CASE WHEN n % 2 = 0 THEN 'wecom' ELSE 'moments' END))
FROM advocate, generate_series(1, 5) k WHERE n % 3 > 0 AND k <= 1 + n % 5 \g /dev/null
SELECT count(cdp.referral_convert('shop', format('order %s %s', n, k), 'purchase', :'until'::timestamptz - interval '48 days' + n * interval '7 hours' + k * interval '31 hours',
  jsonb_build_object('cookie', 'friend-' || md5(n || ' ' || k), 'email', md5('mail' || n || ' ' || k) || '@mail.example'), 80 + n * 7 % 300))
FROM advocate, generate_series(1, 5) k WHERE n % 3 > 0 AND k <= 1 + n % 5 AND (n + k) % 2 = 0 \g /dev/null
-- One order that came by a link is sent back in part; week by week what is due becomes available.
SELECT cdp.referral_refund('shop', 'refund ' || min(c.source_key), min(c.source_key), 40, :'until'::timestamptz - interval '10 days') FROM cdp_data.referral_conversion c \g /dev/null
SELECT cdp.release_rewards(:'until'::timestamptz - w * interval '7 days') FROM generate_series(7, 0, -1) w \g /dev/null
SELECT r.metric, CASE WHEN scale(r.value) > 3 THEN round(r.value, 3) ELSE r.value END AS value, r.unit, r.denominator AS "of", coalesce(r.denominator_name, '') AS "of what", CASE WHEN r.low IS NOT NULL THEN format('%s to %s', round(r.low, 3), round(r.high, 3)) ELSE '' END AS interval
FROM cdp.referral_report('friends', :'until', margin => 0.4) r
WHERE r.metric IN ('share_rate', 'conversion_rate', 'k_factor', 'revenue', 'net_cost', 'net_roi', 'conversion_to_available_p50', 'liability', 'tracking_accuracy');
\echo '   what to do about it: SELECT * FROM cdp.referral_recommend(''friends'');'
SELECT a.rule_id, a.severity, a.insight FROM cdp.referral_recommend('friends', :'until', margin => 0.4, segments => '{}') a WHERE a.status = 'recommended';
