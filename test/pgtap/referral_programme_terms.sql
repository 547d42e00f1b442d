-- Terms of referral campaigns: all that is wrong with them is told at once, at its place; what is kept is exact, in one form,
-- never changed; versions follow each other in time. Random sound terms come back as they went in.
SELECT plan(126);
SET client_min_messages = error;
SELECT cdp.create_referral_campaign('c'), cdp.create_referral_campaign('yen', currency => 'JPY'), cdp.create_referral_campaign('dinar', currency => 'KWD'), cdp.create_referral_campaign('rich', budget => 100);
CREATE FUNCTION pg_temp.finds(terms jsonb, rules jsonb DEFAULT '[]', caps jsonb DEFAULT '[{"per": "campaign", "rewards": 9}]', name text DEFAULT 'c') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(path || ' ' || code, ', ' ORDER BY n) FROM cdp.check_referral_terms(finds.name, finds.terms, finds.rules, finds.caps) WITH ORDINALITY AS f (path, code, severity, message, hint, n) WHERE code <> 'W_NO_RULE' $$;
-- A sound rule with changes; null takes a key away.
CREATE FUNCTION pg_temp.rule(changes jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_array('{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}'::jsonb || changes) $$;

SELECT is(pg_temp.finds('{}', pg_temp.rule('{}')), NULL, 'a sound rule');
SELECT is(pg_temp.finds(NULL), '/terms E_TYPE', 'no terms');
SELECT is((SELECT string_agg(path || ' ' || code, ', ') FROM cdp.check_referral_terms('c', '[]', '{}', '5')), '/terms E_TYPE, /rules E_TYPE, /caps E_TYPE', 'nothing of its type');
SELECT is(pg_temp.finds(v.terms::jsonb), v.finds, 'terms ' || v.terms) FROM (VALUES
  ('{"model": "last_valid_click", "click_window": "36 hours", "code_first": false, "network_match": true, "existing_lookback": "1 year", "signup_kinds": [], "conversion_kinds": ["deal_won"], "review_at": 0, "reject_at": 1, "review_within": "1 day", "on_timeout": "reject", "weights": {"self.ip": 0.1}}', NULL),
  ('{"existing_lookback": null, "model": null}', NULL), ('{"modle": "x"}', '/terms/modle E_KEY'), ('{"a/b~c": 1}', '/terms/a~1b~0c E_KEY'), ('{"model": 1}', '/terms/model E_TYPE'), ('{"model": "first"}', '/terms/model E_WORD'),
  ('{"click_window": "0"}', '/terms/click_window E_RANGE'), ('{"click_window": "-1 day"}', '/terms/click_window E_RANGE'), ('{"click_window": "soon"}', '/terms/click_window E_RANGE'), ('{"click_window": "101 years"}', '/terms/click_window E_RANGE'), ('{"click_window": 30}', '/terms/click_window E_TYPE'),
  ('{"code_first": "yes"}', '/terms/code_first E_TYPE'), ('{"levels": 3}', '/terms/levels E_RANGE, /terms/levels W_LEVELS'), ('{"levels": 1.5}', '/terms/levels E_TYPE, /terms/levels W_LEVELS'), ('{"levels": 0}', '/terms/levels E_RANGE'),
  ('{"signup_kinds": "sign_up"}', '/terms/signup_kinds E_TYPE'), ('{"signup_kinds": ["sign_up", "purchse", 5]}', '/terms/signup_kinds/1 E_KIND, /terms/signup_kinds/2 E_KIND'), ('{"signup_kinds": ["purchase"]}', '/terms/conversion_kinds E_KIND'),
  ('{"review_at": 0.9}', '/terms/review_at E_RANGE'), ('{"reject_at": 1.1}', '/terms/reject_at E_RANGE'), ('{"weights": {"self.ip": 1, "vel.ip": "x", "ring.core": 0.5, "self.ipp": 0.5}}', '/terms/weights/self.ip E_RANGE, /terms/weights/self.ipp E_WEIGHT, /terms/weights/vel.ip E_RANGE'), ('{"weights": []}', '/terms/weights E_TYPE')) AS v (terms, finds);
SELECT is(pg_temp.finds('{"levels": 1}', pg_temp.rule(v.change::jsonb)), v.finds, 'rule ' || v.change) FROM (VALUES
  ('{"rule": null}', '/rules/0/rule E_MISSING'), ('{"rule": "A rule"}', '/rules/0/rule E_NAME'), ('{"side": "both"}', '/rules/0/side E_WORD'), ('{"amout": 5}', '/rules/0/amout E_KEY'),
  ('{"amount": null}', '/rules/0/amount E_MISSING'), ('{"amount": 0}', '/rules/0/amount E_RANGE'), ('{"amount": -1}', '/rules/0/amount E_RANGE'), ('{"amount": 0.001}', '/rules/0/amount E_PRECISION'), ('{"amount": "10"}', '/rules/0/amount E_TYPE'), ('{"amount": 1e14}', '/rules/0/amount E_RANGE'),
  ('{"rate": 0.1}', '/rules/0/rate E_NOT_FOR'), ('{"shape": "percent", "amount": null, "rate": 0.1}', NULL), ('{"shape": "percent", "amount": null, "rate": 10}', '/rules/0/rate E_RANGE'), ('{"shape": "percent", "amount": null, "rate": 0.1000001}', '/rules/0/rate E_PRECISION'), ('{"shape": "percent", "amount": null}', '/rules/0/rate E_MISSING'),
  ('{"shape": "percent", "amount": null, "rate": 0.1, "trigger": "signup"}', '/rules/0/shape E_NOT_FOR'), ('{"trigger": "nth_purchase"}', '/rules/0/nth E_MISSING'), ('{"nth": 2}', '/rules/0/nth E_NOT_FOR'), ('{"trigger": "nth_purchase", "nth": 3}', NULL), ('{"trigger": "amount"}', '/rules/0/min_amount E_MISSING'),
  ('{"trigger": "signup", "min_amount": 5}', '/rules/0/min_amount E_NOT_FOR'), ('{"months": 5}', '/rules/0/months E_NOT_FOR'), ('{"shape": "recurring", "trigger": "every_purchase", "months": 12}', NULL), ('{"shape": "recurring", "rate": 0.1, "months": 12}', '/rules/0/shape E_MISSING, /rules/0/trigger E_NOT_FOR'),
  ('{"shape": "tier", "amount": null}', '/rules/0/tiers E_MISSING'), ('{"shape": "tier", "amount": null, "tiers": [{"from": 0, "rate": 0.1}, {"from": 10, "amount": 5}]}', NULL), ('{"shape": "tier", "amount": null, "tiers": [{"from": 1, "rate": 0.1}, {"from": 1, "rate": 0.2, "amount": 1}, 5, {"from": 2.5}]}',
   '/rules/0/tiers/0/from E_TIERS, /rules/0/tiers/1 E_TIERS, /rules/0/tiers/1/from E_TIERS, /rules/0/tiers/2 E_TIERS, /rules/0/tiers/2 E_TYPE, /rules/0/tiers/3 E_TIERS, /rules/0/tiers/3/from E_TIERS'),
  ('{"shape": "tier", "amount": null, "side": "referee", "tiers": [{"from": 0, "rate": 0.1}]}', '/rules/0/side E_NOT_FOR'), ('{"shape": "tier", "amount": null, "side": "referee", "tier_of": "amount", "tiers": [{"from": 0, "rate": 0.1}, {"from": 99.99, "rate": 0.2}]}', NULL),
  ('{"shape": "milestone", "amount": null, "milestones": [{"n": 5, "amount": 1}, {"n": 5, "amount": 2}]}', '/rules/0/milestones/1/n E_MILESTONES'), ('{"shape": "milestone", "amount": null, "milestones": [{"n": 0, "amount": 1, "x": 1}]}', '/rules/0/milestones/0/n E_RANGE, /rules/0/milestones/0/x E_KEY'),
  ('{"shape": "milestone", "amount": null, "milestones": [{"n": 5, "amount": 1}], "trigger": "every_purchase"}', '/rules/0/trigger E_NOT_FOR'), ('{"max": 5}', '/rules/0/max E_NOT_FOR'), ('{"level": 2}', '/rules/0/level E_LEVEL'), ('{"currency": "EUR"}', '/rules/0/currency E_CURRENCY'), ('{"currency": "CNY"}', NULL),
  ('{"hold": "0"}', '/rules/0/hold W_HOLD'), ('{"hold_review": "1 day"}', '/rules/0/hold_review W_HOLD'), ('{"trigger": "share"}', '/rules/0/trigger E_SHARE'), ('{"priority": 1e9}', '/rules/0/priority E_RANGE')) AS v (change, finds);
SELECT is(pg_temp.finds('{}', '[5, {"rule": "a"}]'), '/rules/0 E_TYPE, /rules/1/shape E_MISSING, /rules/1/side E_MISSING, /rules/1/trigger E_MISSING', 'rules that are none');
SELECT is(pg_temp.finds('{}', pg_temp.rule('{}') || pg_temp.rule('{}')), '/rules/1/rule E_TWICE', 'a name once');
SELECT is(pg_temp.finds('{}', pg_temp.rule('{}'), v.caps::jsonb), v.finds, 'caps ' || v.caps) FROM (VALUES
  ('[]', '/caps W_UNCAPPED'), ('[{"per": "referrer", "amount": 5}]', '/caps W_UNCAPPED, /caps/0/amount W_CAP'), ('[{"per": "campaign", "amount": 50}, {"per": "campaign", "amount": 60}]', '/caps/1 E_TWICE'), ('[{"per": "campaign", "amount": 50}, {"per": "campaign", "rewards": 60}]', NULL),
  ('[{"per": "campaign"}, {"per": "x", "rewards": 0, "period": "hour"}]', '/caps/0 E_CAP, /caps/1/per E_WORD, /caps/1/period E_WORD, /caps/1/rewards E_RANGE'), ('[{"per": "campaign", "rewards": 5, "rule": "rr"}]', '/caps W_UNCAPPED, /caps/0/rule E_RULE'), ('[{"per": "campaign", "amount": 50, "currency": "EUR"}]', '/caps/0/currency E_CURRENCY')) AS v (caps, finds);
SELECT is(pg_temp.finds('{}', pg_temp.rule('{}'), '[]', 'rich'), NULL, 'a budget limits, too');
SELECT is((SELECT array_agg(hint ORDER BY path) FROM cdp.check_referral_terms('c', '{"signup_kinds": ["sign_op"]}', pg_temp.rule('{"sied": "x"}'), '[{"per": "referer", "rewards": 1}]') WHERE code LIKE 'E%'), ARRAY['Take one of referrer, referee, code, campaign.', 'Did you mean ''side''?', 'Did you mean ''sign_up''?'], 'the nearest words');
SELECT is(pg_temp.finds('{}', (SELECT jsonb_agg('5'::jsonb) FROM generate_series(1, 101))), ' E_SIZE', 'too many rules');
SELECT is(pg_temp.finds('{}', pg_temp.rule('{"amount": 0.5}'), name => 'yen'), '/rules/0/amount E_PRECISION', 'a yen has no parts');
SELECT is(pg_temp.finds('{}', pg_temp.rule('{"amount": 0.505}'), name => 'dinar'), NULL, 'a dinar has a thousand');

-- What is written, and that it is for good.
SELECT throws_ok($$SELECT cdp.set_referral_terms('c', '{"modle": 1}', '[{"rule": "x"}]')$$, '22023', 'the terms have 4 errors', 'what is wrong is not kept');
SELECT is((SELECT count(*) FROM cdp_data.referral_terms), 0::bigint, 'nothing of it');
SELECT is(cdp.referral_terms('c'), NULL, 'none yet');
\set terms '{"click_window": "36 hours", "conversion_kinds": ["purchase", "order", "order"]}'
\set rules '[{"rule": "z", "side": "referrer", "trigger": "first_purchase", "shape": "tier", "tier_of": "amount", "tiers": [{"from": 0, "rate": 0.05}, {"from": 99.5, "amount": 5}]}, {"rule": "a", "side": "referee", "trigger": "amount", "min_amount": 20, "shape": "percent", "rate": 0.10, "max": 7.25}]'
\set caps '[{"per": "referrer", "period": "month", "rewards": 20}, {"per": "campaign", "amount": 1000.5}]'
SELECT is(cdp.set_referral_terms('c', :'terms', :'rules', :'caps'), 1, 'the first version');
SELECT results_eq($$SELECT rule, side, shape, rate, tiers, min_amount_minor, max_minor, hold, priority FROM cdp_data.reward_rule ORDER BY 1$$, $$VALUES ('a' COLLATE "C", 'referee' COLLATE "C", 'percent' COLLATE "C", 0.1, NULL::jsonb, 2000::bigint, 725::bigint, '14 days'::interval, 100),
  ('z', 'referrer', 'tier', NULL, '[{"from": 0, "rate": 0.05}, {"from": 9950, "amount_minor": 500}]', NULL, NULL, '14 days', 100)$$, 'rules in minor units');
SELECT results_eq($$SELECT per, period, amount_minor, rewards, rule FROM cdp_data.reward_cap ORDER BY reward_cap_id$$, $$VALUES ('campaign' COLLATE "C", 'ever' COLLATE "C", 100050::bigint, NULL::integer, NULL::text COLLATE "C"), ('referrer', 'month', NULL, 20, NULL)$$, 'and caps');
SELECT results_eq($$SELECT click_window, conversion_kinds, model, weights FROM cdp_data.referral_terms$$, $$VALUES ('36 hours'::interval, '{order,purchase}'::text[] COLLATE "C", 'first_valid_click' COLLATE "C", '{}'::jsonb)$$, 'and terms');
SELECT is(cdp.set_referral_terms('c', :'terms', (SELECT jsonb_agg(value ORDER BY n DESC) FROM jsonb_array_elements(:'rules') WITH ORDINALITY AS a (value, n)), (SELECT jsonb_agg(value ORDER BY n DESC) FROM jsonb_array_elements(:'caps') WITH ORDINALITY AS a (value, n))), 1, 'the same in another order changes nothing');
SELECT is(cdp.set_referral_terms('c', d -> 'terms', d -> 'rules', d -> 'caps'), 1, 'what is read can be set, and is the same') FROM cdp.referral_terms('c') d;
SET intervalstyle = 'sql_standard';
SELECT is(cdp.set_referral_terms('c', :'terms', :'rules', :'caps'), 1, 'also when spans are shown in another way');
RESET intervalstyle;
SELECT throws_ok(format('%s cdp_data.%I%s', v, t, CASE v WHEN 'UPDATE' THEN ' SET terms_version = 7' ELSE '' END), '23001', NULL, v || ' ' || t) FROM unnest('{referral_terms,reward_rule,reward_cap}'::text[]) t, unnest('{UPDATE,DELETE FROM}'::text[]) v;
SELECT throws_ok($$SELECT cdp.referral_terms('c', 7)$$, '42704', NULL, 'an unknown version');

-- Versions in time: each event goes by one, those before all by the first.
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 1}'), valid_from => '2026-01-01 00:00+00'), 1, 'version 1');
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 2}'), valid_from => '2026-02-01 00:00+00'), 2, 'version 2');
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 1}'), valid_from => '2026-03-01 00:00+00'), 3, 'version 3, as the first');
SELECT is((SELECT array_agg(cdp_internal.referral_terms_at(2, t) ORDER BY t) FROM unnest('{2020-01-01 00:00+00,2026-01-01 00:00+00,2026-01-31 23:59:59.999999+00,2026-02-01 00:00+00,2026-03-01 00:00+00,2030-01-01 00:00+00}'::timestamptz[]) t), '{1,1,1,2,3,3}', 'which version when');
SELECT throws_ok($$SELECT cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 9}'), valid_from => 'infinity')$$, '22023', NULL, 'none begins never');
CREATE FUNCTION pg_temp.of(name text, VARIADIC days text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(r.amount_minor::text, ' ' ORDER BY d.n) FROM unnest(days) WITH ORDINALITY AS d (at, n) JOIN cdp_data.referral_campaign c ON c.name = of.name
    JOIN cdp_data.reward_rule r ON r.referral_campaign_id = c.referral_campaign_id AND r.terms_version = cdp_internal.referral_terms_at(c.referral_campaign_id, CASE d.at WHEN 'now' THEN clock_timestamp() ELSE d.at::timestamptz END) $$;
-- In a draft: the same moment takes the place of the terms before, an earlier one holds until they begin.
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 5}'), valid_from => '2026-02-01 00:00+00'), 4, 'other terms for a moment that has some');
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 3}'), valid_from => '2025-12-01 00:00+00'), 5, 'an earlier moment');
SELECT is(pg_temp.of('yen', '2025-01-01', '2025-12-15', '2026-01-15', '2026-02-15', '2026-03-15'), '3 3 1 5 1', 'each moment goes by what began last before it, the last told');
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 5}'), valid_from => '2026-02-10 00:00+00'), 4, 'what is in force then anyway is no new version');
SELECT cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 7}'));
SELECT is(pg_temp.of('yen', '2026-02-15', '2026-03-15', 'now'), '5 7 7', 'as long as it has not run, the last told take the place of those of now');
SELECT cdp.activate_referral_campaign('yen', '2026-01-15');
SELECT throws_ok($$SELECT cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 9}'), valid_from => now() - interval '1 day')$$, '22023', 'terms of a campaign that was active can not begin in the past', 'what was decided stays');
SELECT cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 50}'), valid_from => '2098-12-01 00:00+00') AS sale, cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 9}')) AS now \gset
SELECT is(pg_temp.of('yen', '2026-03-15', 'now', '2098-11-30', '2098-12-02'), '7 9 9 50', 'from now on, and what was scheduled still begins');
SELECT is((SELECT terms_version FROM cdp_bi.referral_campaign WHERE referral_campaign = 'yen'), :now, 'which the view knows');
SELECT is(cdp.set_referral_terms('yen', rules => pg_temp.rule('{"amount": 9}'), valid_from => '2098-12-01 00:00+00'), :now + 1, 'what was scheduled is taken back by what was before');
SELECT is(pg_temp.of('yen', '2098-11-30', '2098-12-02'), '9 9', 'so nothing changes then');
-- WeChat: what is scheduled counts, what was replaced does not.
SELECT cdp.create_referral_campaign('wx', ends_at => '2099-01-01'), cdp.set_referral_terms('wx', rules => pg_temp.rule('{}')), cdp.set_referral_terms('wx', '{"levels": 2}', pg_temp.rule('{}'), valid_from => '2098-01-01');
SELECT throws_ok($$SELECT cdp.edit_referral_campaign('wx', '{"channels": ["wechat"]}')$$, '22023', NULL, 'two levels that begin later');
SELECT cdp.set_referral_terms('wx', rules => pg_temp.rule('{}'), valid_from => '2098-01-01');
SELECT lives_ok($$SELECT cdp.edit_referral_campaign('wx', '{"channels": ["wechat"]}')$$, 'and one that was taken back');
-- The costs of a review and of a wrong rejection: both or none, exact, in minor units.
SELECT is(pg_temp.finds(v.terms::jsonb), v.finds, 'costs ' || v.terms) FROM (VALUES ('{"cost_review": 2.5, "cost_wrong": 40}', NULL), ('{"cost_review": 2.5}', '/terms/cost_wrong E_MISSING'), ('{"cost_wrong": 2}', '/terms/cost_review E_MISSING'),
  ('{"cost_review": 0, "cost_wrong": 1.234}', '/terms/cost_wrong E_PRECISION, /terms/cost_review E_RANGE'), ('{"cost_review": "1", "cost_wrong": null}', '/terms/cost_wrong E_MISSING, /terms/cost_review E_TYPE'), ('{"weights": {"email.invalid": 0.5, "elig.same_person": 0.5}}', '/terms/weights/elig.same_person E_WEIGHT')) AS v (terms, finds);
SELECT cdp.set_referral_terms('rich', '{"cost_review": 2.5, "cost_wrong": 40}', pg_temp.rule('{}'));
SELECT results_eq($$SELECT cost_review_minor, cost_wrong_minor FROM cdp_data.referral_terms t JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.name = 'rich'$$, $$VALUES (250::bigint, 4000::bigint)$$, 'costs are kept in minor units');
SELECT is(cdp.referral_terms('rich') #>> '{terms,cost_review}', '2.5', 'and shown in units');
SELECT is(cdp.set_referral_terms('rich', d -> 'terms', d -> 'rules', d -> 'caps'), 1, 'which can be set again') FROM cdp.referral_terms('rich') d;

-- Random sound terms come back as they went in, and set again change nothing.
SELECT setseed(0.7);
CREATE TABLE public.many AS
SELECT i, jsonb_build_object('click_window', (2 + floor(random() * 90))::int || ' days', 'model', (ARRAY['first_valid_click', 'last_valid_click'])[1 + i % 2], 'review_at', round((random() * 0.5)::numeric, 3)) AS terms,
  (SELECT jsonb_agg(CASE (i + j) % 5
      WHEN 0 THEN jsonb_build_object('shape', 'flat', 'amount', round((0.01 + random() * 99)::numeric, 2))
      WHEN 1 THEN jsonb_build_object('shape', 'percent', 'rate', round((0.000001 + random() * 0.9)::numeric, 6), 'max', round((1 + random() * 99)::numeric, 2))
      WHEN 2 THEN jsonb_build_object('shape', 'tier', 'tier_of', 'amount', 'tier_mode', 'whole', 'tiers', (SELECT jsonb_agg(jsonb_build_object('from', k * 12.34, 'rate', round((0.01 + random() * 0.5)::numeric, 4)) ORDER BY k) FROM generate_series(0, j % 4) k))
      WHEN 3 THEN jsonb_build_object('shape', 'milestone', 'milestones', (SELECT jsonb_agg(jsonb_build_object('n', k * 5, 'amount', round((1 + random() * 50)::numeric, 2)) ORDER BY k) FROM generate_series(1, 1 + j % 3) k))
      ELSE jsonb_build_object('shape', 'recurring', 'trigger', 'every_purchase', 'amount', round((0.01 + random() * 9)::numeric, 2), 'months', 1 + j) END
    || jsonb_build_object('rule', 'r' || j, 'side', CASE WHEN (i + j) % 5 = 3 OR random() < 0.5 THEN 'referrer' ELSE 'referee' END, 'hold', (j + 1) || ' days', 'priority', j * 10) || CASE WHEN (i + j) % 5 = 4 THEN '{}' ELSE '{"trigger": "first_purchase"}'::jsonb END ORDER BY j)
   FROM generate_series(1, 1 + i % 6) j) AS rules,
  jsonb_build_array(jsonb_build_object('per', 'campaign', 'amount', round((100 + random() * 1000)::numeric, 2)), jsonb_build_object('per', 'code', 'period', (ARRAY['day', 'week', 'month', 'year'])[1 + i % 4], 'rewards', 1 + i)) AS caps
FROM generate_series(1, 60) i;
SELECT cdp.create_referral_campaign('m' || i), cdp.set_referral_terms('m' || i, terms, rules, caps) FROM public.many ORDER BY i;
SELECT is_empty($$SELECT m.i, r.value, b.value FROM public.many m CROSS JOIN LATERAL jsonb_array_elements(m.rules) r LEFT JOIN LATERAL jsonb_array_elements(cdp.referral_terms('m' || m.i) -> 'rules') b ON b.value ->> 'rule' = r.value ->> 'rule'
  WHERE NOT coalesce(b.value @> r.value, false)$$, 'every rule is there, with every key as it was');
SELECT is_empty($$SELECT m.i FROM public.many m CROSS JOIN LATERAL cdp.referral_terms('m' || m.i) d WHERE NOT (d -> 'terms' @> m.terms AND d -> 'caps' @> m.caps AND jsonb_array_length(d -> 'rules') = jsonb_array_length(m.rules))$$, 'terms and caps, too, and nothing beside');
SELECT is((SELECT count(*) FROM public.many m WHERE cdp.set_referral_terms('m' || m.i, m.terms, m.rules, m.caps) = 1), 60::bigint, 'set again nothing changes');
-- A twin in minor units.
SELECT is_empty($$SELECT m.i, r.value FROM public.many m JOIN cdp_data.referral_campaign c ON c.name = 'm' || m.i CROSS JOIN LATERAL jsonb_array_elements(m.rules) r JOIN cdp_data.reward_rule k ON k.referral_campaign_id = c.referral_campaign_id AND k.rule = r.value ->> 'rule'
  WHERE (k.amount_minor, k.max_minor, k.rate) IS DISTINCT FROM (((r.value ->> 'amount')::numeric * 100)::bigint, ((r.value ->> 'max')::numeric * 100)::bigint, (r.value ->> 'rate')::numeric)$$, 'amounts are exact');
DROP TABLE public.many;
SELECT * FROM finish();
