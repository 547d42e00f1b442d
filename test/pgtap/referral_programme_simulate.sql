-- The simulator of referral terms: known answers by hand, caps against a slow twin that sums up what was granted before, the worst case
-- as a bound that is never passed, refunds, merges, consent, bad input. It reads only.
SELECT plan(72);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
-- 40 newcomers of March, each with 1 to 3 purchases of 100, 10 of February, 5 who bought in both; 3 registrations.
SELECT count(*) FROM generate_series(1, 40) i, generate_series(0, i % 3) j, cdp.track('shop', 'purchase', CASE WHEN i IN (38, 39) THEN jsonb_build_object('cookie', 'm' || i) ELSE jsonb_build_object('user_id', 'm' || i) END, '{}', '2026-03-01 00:00+00'::timestamptz + i * interval '12 hours' + j * interval '20 days', 'm' || i || '-' || j, 100) x;
SELECT count(*) FROM generate_series(1, 10) i, cdp.track('shop', 'purchase', jsonb_build_object('user_id', 'f' || i), '{}', '2026-02-10 00:00+00', 'f' || i, 100) x;
SELECT count(*) FROM generate_series(1, 5) i, cdp.track('shop', 'purchase', jsonb_build_object('user_id', 'f' || i), '{}', '2026-03-10 00:00+00', 'g' || i, 100) x;
SELECT count(*) FROM generate_series(1, 3) i, cdp.track('shop', 'sign_up', jsonb_build_object('user_id', 'm' || i), '{}', '2026-02-20 00:00+00', 's' || i) x;
UPDATE cdp_data.setting SET minimum_audience = NULL;
SELECT cdp.create_referral_campaign('c', currency => 'CNY', timezone => 'UTC', starts_at => '2026-01-01 00:00+00', ends_at => '2026-07-01 00:00+00');
SELECT throws_ok($$SELECT * FROM cdp.referral_simulate('c', '2026-03-01', '2026-04-01')$$, '55000', 'referral campaign "c" has no terms', 'without terms there is nothing to count');
SELECT cdp.set_referral_terms('c', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "welcome", "side": "referee", "trigger": "every_purchase", "shape": "percent", "rate": 0.1, "max": 20}]');
CREATE FUNCTION pg_temp.cost(rules jsonb DEFAULT NULL, caps jsonb DEFAULT '[]', VARIADIC more text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', rewards, cost, withheld) FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', cost.rules, cost.caps) WHERE rule IS NULL $$;

SELECT results_eq($$SELECT rule, side, newcomers, referrals, purchases, revenue, rewards, cost, withheld, lost_to_refunds, cost_per_referral, margin_left, margin_per_referral, worst_case, worst_case_by FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', margin => 0.25)$$, $$VALUES
  ('friend', 'referrer', 40::bigint, 40::bigint, 80::bigint, 8000.00, 40::bigint, 400.00, 0.00, 0.00, 10.0000, NULL::numeric, NULL::numeric, NULL::numeric, NULL::text), ('welcome', 'referee', 40, 40, 80, 8000.00, 80, 800.00, 0.00, 0.00, 20.0000, NULL, NULL, NULL, NULL),
  (NULL, NULL, 40, 40, 80, 8000.00, 120, 1200.00, 0.00, 0.00, 30.0000, 800.00, 20.0000, NULL, NULL)$$, 'by hand: 40 friends, 80 purchases of 100');
SELECT is(pg_temp.cost(v.rules::jsonb, v.caps::jsonb), v.answer, v.what) FROM (VALUES
  ('[{"rule": "a", "side": "referrer", "trigger": "signup", "shape": "flat", "amount": 5}]', '[]', '3 15.00 0.00', 'registrations'),
  ('[{"rule": "a", "side": "referrer", "trigger": "nth_purchase", "nth": 3, "shape": "flat", "amount": 5}]', '[]', '13 65.00 0.00', 'third purchases'),
  ('[{"rule": "a", "side": "referrer", "trigger": "amount", "min_amount": 100.01, "shape": "flat", "amount": 5}]', '[]', '0 0.00 0.00', 'none is so dear'),
  (NULL, '[{"per": "campaign", "rewards": 50}]', '50 500.00 700.00', 'so many rewards in all'),
  (NULL, '[{"per": "campaign", "amount": 55}]', '5 50.00 1150.00', 'so much in all, what does not fit is skipped'),
  ('[{"rule": "a", "side": "referrer", "trigger": "every_purchase", "shape": "flat", "amount": 10, "on_cap": "clamp"}]', '[{"per": "campaign", "amount": 55}]', '6 55.00 745.00', 'clamped, the last gets what is left'),
  (NULL, '[{"per": "referee", "rewards": 1}]', '80 800.00 400.00', 'one for each friend, 40 for who brought them'),
  (NULL, '[{"per": "referrer", "rewards": 1}, {"per": "referee", "rewards": 1, "period": "month"}]', (SELECT format('%s %s.00 %s.00', 40 + n, 400 + 10 * n, 800 - 10 * n) FROM (SELECT count(DISTINCT (customer_id, date_trunc('month', occurred_at AT TIME ZONE 'UTC'))) AS n FROM cdp_data.touchpoint t WHERE kind_id = 60 AND NOT EXISTS (SELECT FROM cdp_data.touchpoint f WHERE f.customer_id = t.customer_id AND f.occurred_at < '2026-03-01 00:00+00' AND f.kind_id = 60)) x), 'one a month'),
  (NULL, '[{"per": "campaign", "rewards": 10, "rule": "friend"}]', '90 900.00 300.00', 'of one rule'),
  (NULL, '[{"per": "code", "amount": 20}]', '80 800.00 400.00', 'of a code, both sides together')) AS v (rules, caps, answer, what);
SELECT is((SELECT concat_ws(' ', rewards, cost) FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', caps => '[{"per": "referrer", "rewards": 1}]', advocates => 4) WHERE rule = 'friend'), '4 40.00', 'among four advocates');
SELECT is((SELECT cost FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', '[{"rule": "m", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 10, "amount": 7}, {"n": 40, "amount": 100}]}]', advocates => 1) WHERE rule = 'm'), 107.00, 'milestones of one who brings all');
-- Two levels: who brought the advocate earns, too; caps of persons are of both levels together, those of codes of the first.
\set two '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "up", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "percent", "rate": 0.5}, {"rule": "each", "side": "referrer", "level": 2, "trigger": "every_purchase", "shape": "flat", "amount": 0.3, "exclusive": false}]'
SELECT results_eq(format($$SELECT rule, referrals, rewards, cost FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', %L, '[]'%s)$$, :'two', v.more), format($$VALUES ('each', 40::bigint, %s::bigint, %s::numeric), ('friend', 40, %s, %s), ('up', 40, %s, %s), (NULL, 40, %s, %s)$$, VARIADIC v.answer), v.what) FROM (VALUES
  ('', '{80,24.00,40,400.00,40,200.00,160,624.00}'::text[], 'every advocate was brought'), (', brought => 0', '{0,0.00,40,400.00,0,0.00,40,400.00}', 'none was'), (', advocates => 1', '{0,0.00,40,400.00,0,0.00,40,400.00}', 'nobody is brought by himself'),
  (', advocates => 2', '{80,24.00,40,400.00,40,200.00,160,624.00}', 'each of two by the other')) AS v (more, answer, what);
SELECT is((SELECT rewards FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', :'two', '[{"per": "referrer", "rewards": 1}]', advocates => 4) WHERE rule IS NULL), 4::bigint, 'one for each of four, of whichever level');
SELECT is((SELECT string_agg(concat_ws(' ', rule, rewards), ', ') FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', :'two', '[{"per": "code", "rewards": 1}]', advocates => 4) WHERE rule IS NOT NULL), 'each 80, friend 4, up 40', 'a code is of the first level');
SELECT ok((SELECT array_agg(s.rewards ORDER BY b) = array_agg(s.rewards ORDER BY s.rewards) AND min(s.rewards) BETWEEN 3 AND 20 AND max(s.rewards) = 40 FROM unnest('{0.3,0.6,1}'::numeric[]) b, cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', :'two', '[]', brought => b) s WHERE s.rule = 'up'), 'a share of the advocates was');
-- A share of them: drawn by a hash, more take all that fewer take.
SELECT ok((SELECT array_agg(s.referrals ORDER BY f) = array_agg(s.referrals ORDER BY s.referrals) AND min(s.referrals) BETWEEN 3 AND 20 AND max(s.referrals) = 40 FROM unnest('{0.3,0.6,1}'::numeric[]) f, cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', referred => f) s WHERE s.rule IS NULL), 'a share of them');
SELECT results_eq($$SELECT * FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', referred => 0.5, advocates => 3, margin => 0.1, caps => '[{"per": "referrer", "rewards": 2}]')$$, $$SELECT * FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', referred => 0.5, advocates => 3, margin => 0.1, caps => '[{"per": "referrer", "rewards": 2}]')$$, 'the same at each call');
SELECT is((SELECT count(DISTINCT s.cost) > 1 FROM generate_series(1, 5) seed, cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00', referred => 0.5, seed => seed) s WHERE s.rule IS NULL), true, 'another draw by another seed');
-- Nobody, few, refunds, other money, merges, consent.
SELECT is((SELECT concat_ws(' ', newcomers, rewards, cost, cost_per_referral IS NULL) FROM cdp.referral_simulate('c', '2020-01-01', '2021-01-01') WHERE rule IS NULL), '0 0 0.00 t', 'an empty time is no error');
UPDATE cdp_data.setting SET minimum_audience = 41;
SELECT is((SELECT num_nonnulls(newcomers, referrals, purchases, revenue, rewards, cost, withheld, cost_per_referral) FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00') WHERE rule IS NULL), 0, 'few people have no figures');
UPDATE cdp_data.setting SET minimum_audience = NULL;
-- What names a purchase and is no refund: a review that is worth something to the shop, a delivery without value, a refund in other money.
CREATE TABLE public.st AS SELECT * FROM (VALUES ('n1', '2026-05-01', 'm3', 'click', '30', 'CNY', 'm3-0', NULL), ('n2', '2026-05-01', 'm3', 'click', NULL, NULL, 'm3-0', NULL), ('n3', '2026-05-01', 'm3', 'refund', '-40', 'EUR', 'm3-0', NULL),
  ('n4', '2026-06-01', 'm6', 'purchase', '100', 'CNY', NULL, '{"eligible": 60}')) AS v (source_key, occurred_at, identifier, kind, value, currency, refers_to, properties);
SELECT cdp.load_touchpoints('shop', 'public.st', identifier_type => 'user_id');
SELECT results_eq($$SELECT rule, revenue, cost, lost_to_refunds FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00')$$, $$VALUES ('friend', 8060.00, 400.00, 0.00), ('welcome', 8060.00, 806.00, 0.00), (NULL, 8060.00, 1206.00, 0.00)$$, 'only refunds take something, and of a purchase counts what is eligible');
SELECT r.* FROM (SELECT max(load_id) AS l FROM cdp_data.load) x, cdp.revert_load(x.l) r \g /dev/null
DROP TABLE public.st;
CREATE TABLE public.st AS SELECT * FROM (VALUES ('r1', '2026-05-01', 'm3', 'refund', '-50', 'CNY', 'm3-0'), ('r2', '2026-05-02', 'm4', 'refund', '-100', 'CNY', 'm4-0'), ('e1', '2026-05-03', 'm5', 'purchase', '70', 'EUR', NULL)) AS v (source_key, occurred_at, identifier, kind, value, currency, refers_to);
SELECT cdp.load_touchpoints('shop', 'public.st', identifier_type => 'user_id');
SELECT results_eq($$SELECT rule, revenue, cost, lost_to_refunds FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00')$$, $$VALUES ('friend', 7850.00, 385.00, 15.00), ('welcome', 7850.00, 785.00, 15.00), (NULL, 7850.00, 1170.00, 30.00)$$, 'refunds take their part, other money is not added');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'm39'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'm40'), 'one person') IS NOT NULL;
SELECT is((SELECT newcomers FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00') WHERE rule IS NULL), 39::bigint, 'two who are one count once');
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'm38'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'f9'), 'one person') IS NOT NULL;
SELECT is((SELECT newcomers FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00') WHERE rule IS NULL), 38::bigint, 'who turns out to have bought before is none');
SELECT result FROM cdp.record_consent('shop', 'analytics', 'withdrawn', '{"user_id": "m37"}');
SELECT is((SELECT newcomers FROM cdp.referral_simulate('c', '2026-03-01 00:00+00', '2026-04-01 00:00+00') WHERE rule IS NULL), 37::bigint, 'who refuses analytics is left out');
SELECT throws_ok(format($$SELECT * FROM cdp.referral_simulate('c', '2026-03-01', '2026-04-01', %s)$$, v), '22023', NULL, 'bad ' || v) FROM unnest(ARRAY['rules => ''{}''', 'rules => ''[{"rule": "a"}]''', 'caps => ''[{"per": "campaign", "rewards": 0}]''', 'caps => ''[{"per": "campaign", "rewards": 1, "rule": "nope"}]''', 'referred => 0', 'referred => 1.1', 'referred => ''NaN''', 'margin => 0', 'margin => ''NaN''', 'advocates => 0', 'seed => NULL', 'brought => NULL', 'brought => -0.1', 'brought => 1.1', 'brought => ''NaN''']) v;
SELECT throws_ok($$SELECT * FROM cdp.referral_simulate('c', '2026-04-01', '2026-03-01')$$, '22023', NULL, 'a time that ends before it begins');
SELECT throws_ok($$SELECT * FROM cdp.referral_simulate('c', '-infinity', '2026-03-01')$$, '22023', NULL, 'or never began');
-- Who may read amounts, but no properties, gets the same answer; who is kept to some sources none.
CREATE ROLE simulate_marketer;
CREATE ROLE simulate_analyst;
CALL cdp.setup(marketer => 'simulate_marketer', analyst => 'simulate_analyst');
SELECT md5(string_agg(s::text, '|' ORDER BY rule)) AS owner FROM cdp.referral_simulate('c', '2026-02-01 00:00+00', '2026-04-01 00:00+00', margin => 0.2) s \gset
SET ROLE simulate_marketer;
SELECT md5(string_agg(s::text, '|' ORDER BY rule)) AS marketer FROM cdp.referral_simulate('c', '2026-02-01 00:00+00', '2026-04-01 00:00+00', margin => 0.2) s \gset
SET ROLE simulate_analyst;
SELECT md5(string_agg(s::text, '|' ORDER BY rule)) AS analyst FROM cdp.referral_simulate('c', '2026-02-01 00:00+00', '2026-04-01 00:00+00', margin => 0.2) s \gset
RESET ROLE;
SELECT is(ARRAY[:'marketer', :'analyst'], ARRAY[:'owner', :'owner'], 'a marketer and an analyst see what the owner sees');
SELECT cdp.restrict_to_sources('simulate_analyst', '{shop}') IS NOT NULL AS restricted \g /dev/null
SELECT throws_ok($$SET ROLE simulate_analyst; SELECT * FROM cdp.referral_simulate('c', '2026-03-01', '2026-04-01')$$, '42501', NULL, 'who sees some sources only simulates nothing');
RESET ROLE;
BEGIN READ ONLY;
SELECT lives_ok($$SELECT * FROM cdp.referral_simulate('c', '2026-03-01', '2026-04-01')$$, 'it reads only');
COMMIT;

-- The worst case by hand: rules r (referrer) 10, e (referee) percent at most 20.
CREATE FUNCTION pg_temp.worst(caps jsonb, budget bigint DEFAULT NULL, ends timestamptz DEFAULT '2026-04-01 00:00+00', open boolean DEFAULT false, VARIADIC more jsonb[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT worst || ' ' || bound FROM cdp_internal.referral_worst_case(cdp_internal.reward_rule_rows(jsonb_build_array('{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}'::jsonb, '{"rule": "e", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1}'::jsonb || CASE WHEN open THEN '{}' ELSE '{"max": 20}'::jsonb END) || to_jsonb(more), 0),
    cdp_internal.reward_cap_rows(caps, 0), budget, '2026-01-15 00:00+00', ends, 'UTC', 100) $$;
SELECT is(pg_temp.worst(v.caps::jsonb, v.budget, v.ends::timestamptz, v.open), v.answer, 'worst case: ' || v.what) FROM (VALUES
  ('[]', NULL, '2026-04-01 00:00+00', false, NULL, 'nothing bounds it'), ('[]', 777::bigint, '2026-04-01 00:00+00', false, '777 budget', 'the budget'), ('[{"per": "campaign", "amount": 500}]', 777, '2026-04-01 00:00+00', false, '500 cap 1', 'the lower one'),
  ('[{"per": "campaign", "rewards": 30}]', NULL, '2026-04-01 00:00+00', false, '600 cap 1', 'so many of the dearest'), ('[{"per": "campaign", "rewards": 30}]', NULL, '2026-04-01 00:00+00', true, NULL, 'the dearest has no limit'),
  ('[{"per": "campaign", "rewards": 30, "period": "month"}]', NULL, '2026-04-01 00:00+00', false, '1800 cap 1', 'in three calendar months'), ('[{"per": "campaign", "rewards": 30, "period": "month"}]', NULL, '2026-04-01 00:01+00', false, '2400 cap 1', 'or four'), ('[{"per": "campaign", "rewards": 30, "period": "month"}]', NULL, NULL, false, NULL, 'or for ever'),
  ('[{"per": "code", "amount": 40}]', NULL, '2026-04-01 00:00+00', false, '4000 cap 1', 'each of 100 codes'), ('[{"per": "referrer", "rewards": 3}]', NULL, '2026-04-01 00:00+00', false, NULL, 'friends are not counted by it'),
  ('[{"per": "referrer", "rewards": 3}, {"per": "campaign", "rule": "e", "rewards": 5}]', NULL, '2026-04-01 00:00+00', false, '3100 caps', 'each side by its own')) AS v (caps, budget, ends, open, answer, what);

\set up '{"rule": "u", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "percent", "rate": 0.25}'
\set big '{"rule": "b", "side": "referrer", "trigger": "amount", "min_amount": 500, "shape": "flat", "amount": 30, "exclusive": false}'
SELECT is(pg_temp.worst(v.caps::jsonb, NULL, '2026-04-01 00:00+00', v.open, VARIADIC v.more::jsonb[]), v.answer, 'worst case, two levels: ' || v.what) FROM (VALUES
  ('[{"per": "campaign", "rule": "u", "rewards": 7}, {"per": "campaign", "rule": "r", "amount": 100}, {"per": "campaign", "rule": "e", "amount": 10}]', false, ARRAY[:'up'], '131 caps', 'a quarter of 10, rounded up, seven times'),
  ('[{"per": "campaign", "rule": "u", "rewards": 7}, {"per": "campaign", "rule": "r", "amount": 100}, {"per": "campaign", "rule": "e", "amount": 10}, {"per": "campaign", "rule": "b", "amount": 90}]', false, ARRAY[:'up', :'big'], '270 caps', 'of both rules of the first level'),
  ('[{"per": "campaign", "rule": "u", "rewards": 7}, {"per": "campaign", "rule": "r", "amount": 100}, {"per": "campaign", "rule": "e", "amount": 10}]', false, ARRAY['{"rule": "u", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "percent", "rate": 0.25, "max": 2}'], '124 caps', 'at most 2'),
  ('[{"per": "code", "amount": 40}]', false, ARRAY[:'up'], NULL, 'a cap of codes is none of the second'), ('[{"per": "code", "amount": 40}, {"per": "campaign", "rule": "u", "amount": 33}]', false, ARRAY[:'up'], '4033 cap 2 and level 2', 'with one of its own'),
  ('[{"per": "campaign", "rewards": 30}]', false, ARRAY['{"rule": "u", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "flat", "amount": 45}'], '1350 cap 1', 'the dearest is of the second')) AS v (caps, open, more, answer, what);

-- Caps against a slow twin, and the worst case is never passed. Random rewards, rules and caps.
CREATE TABLE public.given (n bigint, rule text, side text, customer bigint, code bigint, at timestamptz, granted bigint);
CREATE FUNCTION public.twin(rewards jsonb, rules jsonb, caps jsonb, budget bigint) RETURNS TABLE (n bigint, granted bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE r record; c record; room numeric; used record;
BEGIN
  DELETE FROM public.given;
  FOR r IN SELECT * FROM jsonb_to_recordset(rewards) AS x (n bigint, rule text, side text, customer bigint, code bigint, at timestamptz, amount bigint) ORDER BY at, n LOOP
    room := least(r.amount, budget - (SELECT coalesce(sum(g.granted), 0) FROM public.given g));
    FOR c IN SELECT * FROM jsonb_to_recordset(caps) AS x (per text, period text, rule text, amount_minor bigint, rewards bigint) WHERE x.rule IS NULL OR x.rule = r.rule LOOP
      CONTINUE WHEN c.per IN ('referrer', 'referee') AND c.per <> r.side OR c.per = 'code' AND r.code IS NULL;
      SELECT coalesce(sum(g.granted), 0) AS minor, count(*) FILTER (WHERE g.granted > 0) AS times INTO used FROM public.given g
      WHERE (c.rule IS NULL OR g.rule = c.rule) AND (c.per = 'campaign' OR c.per = 'code' AND g.code = r.code OR c.per = r.side AND g.side = r.side AND g.customer = r.customer)
        AND (c.period = 'ever' OR date_trunc(c.period, g.at AT TIME ZONE 'Asia/Shanghai') = date_trunc(c.period, r.at AT TIME ZONE 'Asia/Shanghai'));
      room := least(room, CASE WHEN c.amount_minor IS NOT NULL THEN c.amount_minor - used.minor WHEN used.times < c.rewards THEN r.amount ELSE 0 END);
    END LOOP;
    INSERT INTO public.given VALUES (r.n, r.rule, r.side, r.customer, r.code, r.at, CASE WHEN room >= r.amount THEN r.amount WHEN (SELECT u.on_cap FROM jsonb_to_recordset(rules) AS u (rule text, on_cap text) WHERE u.rule = r.rule) = 'clamp' THEN greatest(0, room) ELSE 0 END);
  END LOOP;
  RETURN QUERY SELECT g.n, g.granted FROM public.given g;
END $$;
SELECT setseed(0.42);
CREATE TABLE public.world AS
SELECT i, (SELECT jsonb_agg(jsonb_build_object('n', j, 'rule', 'r' || x.k, 'side', CASE WHEN x.k <> 2 THEN 'referrer' ELSE 'referee' END, 'customer', 1 + floor(random() * 5)::int, 'code', CASE WHEN x.k < 3 THEN 1 + floor(random() * 5)::int END,
      'at', '2026-01-01 00:00+00'::timestamptz + random() * interval '90 days', 'amount', 1 + floor(random() * CASE x.k WHEN 3 THEN 40 ELSE 50 END)::int)) FROM generate_series(1, 60) j, LATERAL (SELECT j % 4 AS k) x) AS rewards,
  '[{"rule": "r0", "on_cap": "clamp", "side": "referrer", "shape": "flat", "amount_minor": 50}, {"rule": "r1", "on_cap": "skip", "side": "referrer", "shape": "percent", "max_minor": 50}, {"rule": "r2", "on_cap": "clamp", "side": "referee", "shape": "flat", "amount_minor": 50}, {"rule": "r3", "on_cap": "clamp", "side": "referrer", "level": 2, "shape": "percent", "rate": 0.8}]'::jsonb AS rules,
  (SELECT jsonb_agg(jsonb_build_object('per', (ARRAY['referrer', 'referee', 'code', 'campaign'])[1 + floor(random() * 4)::int], 'period', (ARRAY['ever', 'year', 'month', 'week', 'day'])[1 + floor(random() * 5)::int], 'rule', CASE WHEN random() < 0.3 THEN 'r' || floor(random() * 4)::int END,
      'amount_minor', CASE WHEN m.money THEN 20 + floor(random() * 200)::int END, 'rewards', CASE WHEN NOT m.money THEN 1 + floor(random() * 6)::int END)) FROM generate_series(1, 1 + i % 4) j, LATERAL (SELECT (i + j) % 2 = 0 AS money) m) AS caps,
  CASE WHEN i % 3 = 0 THEN 100 + i * 10 END::bigint AS budget
FROM generate_series(1, 40) i;
SELECT is_empty($$SELECT w.i, a.n, a.granted, b.granted FROM public.world w CROSS JOIN LATERAL cdp_internal.capped_rewards(w.rewards, w.rules, w.caps, w.budget, 'Asia/Shanghai') a JOIN LATERAL public.twin(w.rewards, w.rules, w.caps, w.budget) b USING (n) WHERE a.granted <> b.granted$$, 'caps as the twin has them');
SELECT ok((SELECT count(*) FILTER (WHERE s.sum < s.all) > 30 AND count(*) = 40 FROM public.world w, LATERAL (SELECT sum(a.granted) AS sum, (SELECT sum((r ->> 'amount')::bigint) FROM jsonb_array_elements(w.rewards) r) AS all FROM cdp_internal.capped_rewards(w.rewards, w.rules, w.caps, w.budget, 'Asia/Shanghai') a) s), 'in worlds in which they matter');
SELECT is_empty($$SELECT w.i, s.sum, c.worst FROM public.world w, LATERAL (SELECT sum(a.granted) AS sum FROM cdp_internal.capped_rewards(w.rewards, w.rules, w.caps, w.budget, 'Asia/Shanghai') a) s, LATERAL cdp_internal.referral_worst_case(w.rules, w.caps, w.budget, '2026-01-01 00:00+00', '2026-04-02 00:00+00', 'Asia/Shanghai', 5) c WHERE s.sum > c.worst$$, 'and none passes the worst case');
SELECT cmp_ok((SELECT count(*) FROM public.world w, LATERAL cdp_internal.referral_worst_case(w.rules, w.caps, w.budget, '2026-01-01 00:00+00', '2026-04-02 00:00+00', 'Asia/Shanghai', 5) c WHERE c.worst IS NOT NULL), '>', 15::bigint, 'which there is in many of them');
DROP OWNED BY simulate_marketer, simulate_analyst;
DROP ROLE simulate_marketer, simulate_analyst;
SELECT * FROM finish();
