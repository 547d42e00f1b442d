-- Referral codes that are issued, links, clicks and shares: each once, touchpoints too, no plain address kept, guessing ends.
BEGIN;
SELECT plan(67);
SELECT cdp.add_source('web'), cdp.add_source('shop') \g /dev/null
SELECT cdp.identify('shop', '{"user_id": "anna", "email": "anna@example.org"}'), cdp.identify('shop', '{"user_id": "ben"}'), cdp.identify('shop', '{"user_id": "carl"}') \g /dev/null
CREATE FUNCTION pg_temp.who(u text) RETURNS bigint LANGUAGE sql RETURN cdp.customer_of('user_id', u);
SELECT cdp.create_referral_campaign('friends', link_template => 'https://shop.example/r/{code}?utm_medium=referral'), cdp.create_referral_campaign('bare') \g /dev/null
SELECT cdp.set_referral_terms('friends', '{}', '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-01-01') \g /dev/null
SELECT cdp.activate_referral_campaign('friends', '2026-01-01') \g /dev/null

-- Codes.
SELECT referral_campaign_id AS friends FROM cdp_data.referral_campaign WHERE name = 'friends' \gset
SELECT cdp.issue_referral_code('friends', pg_temp.who('anna'), issued_at => '2026-01-02') AS first \gset
SELECT matches(:'first'::text, '^[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]$', 'a random code');
SELECT is(cdp.issue_referral_code('friends', pg_temp.who('anna'), 'Anna-9', issued_at => '2026-01-02', channel => 'card'), 'anna-9', 'a vanity code');
SELECT throws_ok(format($$SELECT cdp.issue_referral_code('friends', %s, %L)$$, pg_temp.who('ben'), v), e, m, 'refused: ' || v) FROM (VALUES
  ('ANNA-9', '23505', 'the vanity code is taken'), ('4nna9', '23505', 'the vanity code is taken'), ('ab', '22023', 'this can not be a vanity code'), ('admin', '22023', 'this can not be a vanity code'),
  ('K7M4Q2TXQ', '22023', 'this can not be a vanity code'), ('bethsmays', '22023', 'this can not be a vanity code'), ('5h1t-happens', '22023', 'this can not be a vanity code'), ('-ben', '22023', 'this can not be a vanity code')) AS v (v, e, m);
SELECT is((SELECT array_agg(problem ORDER BY problem) FROM cdp.check_vanity_code('-4dm1n--f-u-c-k')), '{dashes,reserved,rude}', 'all that is wrong at once');
SELECT is((SELECT array_agg(problem) FROM cdp.check_vanity_code(v)), ARRAY[r], 'vanity: ' || v) FROM (VALUES ('', 'empty'), ('é-x', 'bad_character'), (repeat('x', 51), 'too_long'), ('ABCD-EFGO-H', 'looks_random'), ('xx-admin', 'reserved')) AS v (v, r);
SELECT is((SELECT count(*) FROM cdp.check_vanity_code('benjamin')), 0::bigint, 'nothing is wrong with this one');
INSERT INTO cdp_data.referral_word (word, kind, place) VALUES ('rival', 'rude', 'anywhere'); INSERT INTO cdp_data.referral_word (word, is_active) VALUES ('grass', true), ('admin', false);
SELECT is((SELECT array_agg(v || ':' || coalesce((SELECT string_agg(problem, ',') FROM cdp.check_vanity_code(v)), '') ORDER BY v) FROM unnest('{admin,best-riva1,supergrass}'::text[]) v), '{admin:,best-riva1:rude,supergrass:rude}', 'words of one''s own, and one switched off');
SELECT throws_ok($$SELECT cdp.issue_referral_code('frends', 1)$$, '42704', NULL, 'a campaign that is not there');
SELECT throws_ok($$SELECT cdp.issue_referral_code('friends', 4000000000)$$, '22023', 'there is no customer 4000000000', 'nobody');
SELECT throws_ok($$SELECT cdp.issue_referral_code('friends', pg_temp.who('ben'), issued_at => now() + interval '1 day')$$, '22008', NULL, 'not in the future');
SELECT is(cdp.referral_link(' Anna-9 '), 'https://shop.example/r/anna-9?utm_medium=referral', 'its link');
SELECT throws_ok($$SELECT cdp.referral_link('anna-8')$$, '42704', 'there is no such referral code', 'a code that was never issued');
SELECT throws_ok(format('SELECT cdp.referral_link(%L)', cdp.issue_referral_code('bare', pg_temp.who('ben'))), '55000', 'the campaign of the code has no link_template', 'a campaign of codes only');

-- Enrolment: everybody has one code, the one that he has, who is merged too.
SELECT is((SELECT array_agg(e.customer_id = pg_temp.who('anna') AND cdp.referral_code_format(c.code) = :'first') FROM cdp_internal.referral_enrol(:friends, ARRAY[pg_temp.who('anna')]) e JOIN cdp_data.referral_code c USING (referral_code_id)), '{t}', 'who has a code keeps the oldest');
CREATE TEMP TABLE e1 AS SELECT * FROM cdp_internal.referral_enrol(:friends, ARRAY[pg_temp.who('ben'), pg_temp.who('carl'), pg_temp.who('anna'), pg_temp.who('ben'), 4000000000, NULL]);
SELECT is((SELECT count(*) FROM e1), 3::bigint, 'each once, nobody for who is not there');
SELECT results_eq(format('SELECT * FROM cdp_internal.referral_enrol(%s, ARRAY(SELECT customer_id FROM e1)) ORDER BY 1', :friends), $$SELECT * FROM e1 ORDER BY 1$$, 'the same codes again');
SELECT cdp.identify('shop', '{"email": "b1@example.org"}'), cdp.identify('shop', '{"email": "b2@example.org"}') \g /dev/null
SELECT cdp.customer_of('email', 'b1@example.org') AS b1, cdp.customer_of('email', 'b2@example.org') AS b2 \gset
SELECT is((SELECT count(DISTINCT referral_code_id) FROM cdp_internal.referral_enrol(:friends, ARRAY[:b1, :b2])), 2::bigint, 'two people, two codes');
SELECT cdp.identify('shop', '{"email": ["b1@example.org", "b2@example.org"]}') \g /dev/null
SELECT is((SELECT array_agg(DISTINCT referral_code_id) FROM cdp_internal.referral_enrol(:friends, ARRAY[:b1, :b2])), (SELECT array_agg(min) FROM (SELECT min(referral_code_id) FROM cdp_data.referral_code WHERE customer_id IN (:b1, :b2)) x), 'who became one person has the older one from now on');
CREATE TEMP TABLE many AS SELECT c AS customer_id FROM generate_series(1000001, 1003000) c;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT customer_id, customer_id FROM many;
CREATE TEMP TABLE e2 AS SELECT * FROM cdp_internal.referral_enrol(:friends, ARRAY(SELECT customer_id FROM many));
SELECT is((SELECT count(DISTINCT c.code) FROM e2 e JOIN cdp_data.referral_code c USING (referral_code_id) WHERE cdp_internal.referral_code_is(c.code)), 3000::bigint, '3,000 at once');
SELECT is((SELECT count(*) FROM cdp_data.referral_code WHERE cdp_internal.referral_code_word(code, cdp_internal.referral_words('{rude}', '{anywhere,whole}'), '{}') IS NOT NULL AND kind = 'random'), 0::bigint, 'none of them is rude');
SELECT cdp.issue_referral_code('friends', pg_temp.who('ben')) AS old \gset
SELECT cdp.rotate_referral_code(:'old', 'leaked') AS new \gset
SELECT is((SELECT array_agg((revoked_at IS NOT NULL)::text || coalesce(revoked_reason, '') ORDER BY referral_code_id) FROM cdp_data.referral_code WHERE cdp.referral_code_format(code) IN (:'old', :'new')), '{trueleaked,false}', 'rotated');
SELECT is(cdp.revoke_referral_code(:'old'), false, 'taken back once only');
SELECT throws_ok(format('SELECT cdp.rotate_referral_code(%L)', :'old'), '55000', NULL, 'and not rotated again');

-- Clicks.
CREATE FUNCTION pg_temp.click(key text, code text, ids jsonb DEFAULT '{}', at timestamptz DEFAULT '2026-02-01', ip inet DEFAULT '203.0.113.9') RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT concat_ws(' ', result, CASE WHEN customer_id IS NOT NULL THEN 'known' END, suggestion) FROM cdp.referral_click('web', key, code, at, ids, ip, 'Mozilla/5.0') $$;
SELECT is(pg_temp.click('k1', 'ANNA-9', '{"cookie": "cookie-one"}'), 'recorded known', 'a click');
SELECT is(pg_temp.click('k1', ' anna-9', '{"cookie": "cookie-one"}'), 'repeated known', 'twice is once');
SELECT throws_ok($$SELECT pg_temp.click('k1', 'anna-9', '{"cookie": "cookie-one"}', '2026-02-02')$$, '23505', NULL, 'another time under its key is refused');
SELECT throws_ok(format('SELECT pg_temp.click(''k1'', %L)', :'first'), '23505', NULL, 'and another code');
SELECT is((SELECT format('%s %s %s %s', k.name, (t.properties ->> 'referral_code_id')::bigint = c.referral_code_id, o.campaign, ch.name) FROM cdp_data.referral_click c JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)
  JOIN cdp_data.origin o USING (origin_id) JOIN cdp_bi.origin_channel oc USING (origin_id) JOIN cdp_data.channel_all ch ON ch.name = oc.channel WHERE c.source_key = 'k1'), 'referral_click t friends Referral Program', 'it is a touchpoint of its channel');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 1::bigint, 'one');
SELECT is(pg_temp.click('k2', 'anna-9'), 'recorded', 'a click of nobody known');
SELECT is(pg_temp.click('k3', 'anna-9', '{"cookie": "undefined"}'), 'recorded', 'an identifier that says nothing is none');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 1::bigint, 'they are no touchpoints');
CREATE TEMP TABLE told AS SELECT r.* FROM (VALUES ('k4', 'Googlebot/2.1 (+http://www.google.com/bot.html)', 'https://www.Weibo.com/u/1', NULL, false, 'cn'),
    ('k5', 'Mozilla/5.0 Chrome', 'forum.example', 'https://shop.example/?x=1&gclid=abc', true, 'DE')) v (k, agent, ref, url, pre, land),
  LATERAL cdp.referral_click('web', v.k, 'anna-9', '2026-02-01', '{}', '203.0.113.9', v.agent, NULL, v.ref, v.url, country => v.land, prefetch => v.pre) r;
SELECT is((SELECT array_agg(bot::text || prefetch || paid || referrer_host || country ORDER BY referral_click_id) FROM told JOIN cdp_data.referral_click c USING (referral_click_id)), '{truefalsefalsewww.weibo.comCN,falsetruetrueforum.exampleDE}', 'robots, pages fetched ahead, advertisements');
SELECT is((SELECT array_agg(DISTINCT octet_length(x)) FROM cdp_data.referral_click c, unnest(ARRAY[ip_digest, net_digest, agent_digest]) x), '{34}', 'addresses and browsers are digests');
SELECT is((SELECT count(DISTINCT ip_digest) FROM cdp_data.referral_click), 1::bigint, 'the same for the same');
SELECT is(cdp_internal.ip_network(i::inet), n, 'network of ' || i) FROM (VALUES ('203.0.113.9', '203.0.113.0/24'), ('::ffff:203.0.113.9', '203.0.113.0/24'), ('2001:db8:1:2::9', '2001:db8:1::/48'), ('203.0.113.9/32', '203.0.113.0/24')) v (i, n);
SELECT throws_ok($$SELECT cdp.referral_click('web', 'k6', 'anna-9', country => 'Germany')$$, '22023', NULL, 'a country that is none');
SELECT throws_ok($$SELECT cdp.referral_click('web', ' ', 'anna-9')$$, '22023', NULL, 'no key');
SELECT throws_ok($$SELECT cdp.referral_click('web', 'k6', 'anna-9', 'infinity')$$, '22008', NULL, 'no time');
SELECT throws_ok($$SELECT cdp.referral_click('wob', 'k6', 'anna-9')$$, '22023', NULL, 'no source');

-- Guesses.
SELECT is(pg_temp.click('g1', 'anna-8', ip => '198.51.100.1'), 'unknown_code', 'a code that is none');
SELECT is(pg_temp.click('g2', 'K7M4-Q0TX-Q', ip => '198.51.100.1'), 'unknown_code K7M4-Q2TX-Q', 'with what may be meant');
SELECT is((SELECT array_agg(DISTINCT pg_temp.click('g3' || i, 'nobody' || i, '{"cookie": "guesser"}', ip => '198.51.100.1')) FROM generate_series(1, 8) i), '{unknown_code}', 'ten in all');
SELECT is(pg_temp.click('g4', 'anna-9', ip => '198.51.100.1'), 'throttled', 'then even a good one is not looked up');
SELECT is(pg_temp.click('g5', 'anna-9', ip => '198.51.100.2'), 'recorded', 'for him alone');
UPDATE cdp_data.referral_guess SET first_at = first_at - interval '11 minutes';
SELECT is(pg_temp.click('g4', 'anna-9', ip => '198.51.100.1'), 'recorded', 'until the window is over');

-- Shares.
SELECT is((SELECT result FROM cdp.referral_share('web', 's1', 'anna-9', 'wechat', '2026-01-05', '{"email": "Friend@example.org"}')), 'recorded', 'a share');
SELECT is((SELECT array_agg(s.result) FROM cdp.referral_share('web', 's1', 'anna-9', 'wechat', '2026-01-05') s), '{repeated}', 'twice is once');
SELECT is((SELECT format('%s %s', k.name, cdp_internal.identifier_root(t.identifier_id) = pg_temp.who('anna')) FROM cdp_data.referral_share s JOIN cdp_data.touchpoint t USING (touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)), 'share t', 'a touch of the advocate');
SELECT is((SELECT recipient_digest = cdp_internal.referral_digest('recipient', '2:friend@example.org') FROM cdp_data.referral_share), true, 'the address as a digest only');
SELECT throws_ok($$SELECT cdp.referral_share('web', 's1', 'anna-9', 'email', '2026-01-05')$$, '23505', NULL, 'another channel under its key is refused');
SELECT is((SELECT result FROM cdp.referral_share('web', 's2', 'anna-8', 'wechat')), 'unknown_code', 'a share of no code');
SELECT throws_ok($$SELECT cdp.referral_share('web', 'k1', 'anna-9', 'wechat', '2026-01-05')$$, '23505', NULL, 'a key of the source belongs to one record');
SELECT * FROM finish();
ROLLBACK;
