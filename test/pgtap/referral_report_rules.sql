-- Each recommendation: where it fires, with the numbers counted by hand, and where it must not; the false discovery rate; too few people.
BEGIN;
SELECT plan(78);
\ir referral_report.inc
CREATE FUNCTION pg_temp.r(campaign text, rule text, as_of timestamptz DEFAULT '2026-03-01', margin double precision DEFAULT NULL, segments text[] DEFAULT '{}') RETURNS TABLE (status text, insight text, action text, evidence jsonb, impact numeric, unit text, confidence float8, p float8, q float8) LANGUAGE sql AS $$
  SELECT status, insight, action, evidence, expected_impact, impact_unit, confidence, p_value, q_value FROM cdp.referral_recommend(campaign, as_of, margin, segments => segments) x WHERE x.rule_id = rule
$$;

-- R01, R02, R03: against the campaign in the middle.
SAVEPOINT one;
SELECT pg_temp.campaign('base') AS b, pg_temp.campaign('quiet') AS l, pg_temp.campaign('unclicked') AS u, pg_temp.campaign('unsigned') AS n \gset
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 100))) FROM unnest(ARRAY[:b, :l, :u, :n]) c \g /dev/null
SELECT pg_temp.share(c, i, 1) FROM (VALUES (:b, 50), (:l, 20), (:u, 50), (:n, 50)) v (c, n), generate_series(1, v.n) i \g /dev/null
SELECT pg_temp.click(c, i, 1000 + c * 100 + i) FROM (VALUES (:b, 40), (:u, 15), (:n, 40)) v (c, n), generate_series(1, v.n) i \g /dev/null
SELECT pg_temp.bring(c, i, 1000 + c * 100 + i, value => NULL) FROM (VALUES (:b, 20), (:n, 4)) v (c, n), generate_series(1, v.n) i \g /dev/null
SELECT is((SELECT (status, insight, impact, unit)::text FROM pg_temp.r('quiet', 'R01')), '(recommended,"The step share loses most: 20 of 100 went on (20.0 %), against 50.0 % in the campaign in the middle of 3.",30.0,"people more at the step share, at the rate of the campaign in the middle")', 'R01 names the step');
SELECT is((SELECT p FROM pg_temp.r('quiet', 'R01')), (SELECT p_value FROM cdp.rate_difference(20, 100, 50, 100)), 'R01: its p value, of one step that could be tested');
SELECT is((SELECT status FROM pg_temp.r('base', 'R01')), 'no evidence', 'R01: not for the campaign that does as well as others');
SELECT is((SELECT (status, insight, impact)::text FROM pg_temp.r('unclicked', 'R02')), '(recommended,"Many share (50.0 % of advocates; 50.0 % in the campaign in the middle) but few links are clicked: 15 of 50 sharers (30.0 %), against 80.0 %.",25.0)', 'R02: shared and not clicked');
SELECT is((SELECT status FROM pg_temp.r('base', 'R02')), 'no evidence', 'R02: not where links are clicked');
SELECT is((SELECT status FROM pg_temp.r('quiet', 'R02')), 'insufficient data', 'R02: not for fewer than 30 sharers');
SELECT is((SELECT (status, insight, impact)::text FROM pg_temp.r('unsigned', 'R03')), '(recommended,"Links are clicked (of 80.0 % of sharers; 30.0 % in the campaign in the middle) but few visitors sign up: 4 of 40 (10.0 %), against 50.0 %.",16.0)', 'R03: clicked and not signed up');
SELECT is((SELECT status FROM pg_temp.r('base', 'R03')), 'no evidence', 'R03: not where visitors sign up');
ROLLBACK TO one;

-- Another campaign is taken as it was at the same age: rewards of nine days ago are not paid yet.
SELECT pg_temp.campaign('grown') AS g, pg_temp.campaign('new', starts => '2026-02-20') AS n \gset
SELECT pg_temp.enrol(c, '{1}', '2026-01-02') FROM unnest(ARRAY[:g, :n]) c \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(c, 1, 3000 + c * 100 + i, at => CASE c WHEN :g THEN timestamptz '2026-01-05' ELSE '2026-02-24' END), 'give', 20, ready => CASE c WHEN :g THEN 14 END, paid => CASE c WHEN :g THEN 1 END) FROM unnest(ARRAY[:g, :n]) c, generate_series(1, 60) i \g /dev/null
SELECT isnt((SELECT status FROM pg_temp.r('new', 'R01')), 'recommended', 'R01: a young campaign is no worse for being young');
ROLLBACK TO one;

-- And as it was decided at the same age: after nine days each had decided 60 of 120, half of them well; the older one approved 60 more on the 20th.
SELECT pg_temp.campaign('settled') AS g, pg_temp.campaign('fresh', starts => '2026-02-20') AS n \gset
SELECT pg_temp.enrol(c, '{1}', '2026-01-02') FROM unnest(ARRAY[:g, :n]) c \g /dev/null
CREATE TEMP TABLE judged AS SELECT c, i, pg_temp.bring(c, 1, 3000 + c * 200 + i, CASE WHEN i <= 30 THEN 'rejected' WHEN i <= 60 OR c = :g THEN 'approved' ELSE 'pending' END, at => CASE c WHEN :g THEN timestamptz '2026-01-05' ELSE '2026-02-24' END) AS id FROM unnest(ARRAY[:g, :n]) c, generate_series(1, 120) i;
UPDATE cdp_data.referral r SET decided_at = r.attributed_at + CASE WHEN j.i > 60 AND j.c = :g THEN interval '20 days' ELSE '1 hour' END FROM judged j WHERE r.referral_id = j.id;
INSERT INTO cdp_data.referral_decision (referral_id, decided_at, to_state, actor, as_of) SELECT j.id, x.at, x.state, 'system', x.at FROM judged j JOIN cdp_data.referral r ON r.referral_id = j.id CROSS JOIN LATERAL (VALUES (r.attributed_at + interval '1 minute', 'pending'), (r.decided_at, r.state)) x (at, state) WHERE j.i % 2 = 0 OR x.at = r.decided_at ORDER BY j.id, x.at;
SELECT is((SELECT string_agg(format('%s %s/%s', s.step, s.median_hits, s.median_tries), ', ' ORDER BY s.o) FROM cdp_internal.referral_steps(:n, jsonb_build_array((SELECT to_jsonb(x) || jsonb_build_object('id', :n) FROM cdp_internal.referral_counts(:n, '2026-03-01', NULL, true) x), (SELECT to_jsonb(x) || jsonb_build_object('id', :g) FROM cdp_internal.referral_counts(:g, '2026-01-10', NULL, true) x))) s WHERE s.step IN ('purchase', 'approval')),
  'purchase 120/120, approval 30/60', 'what the older one had decided by then');
SELECT isnt((SELECT status FROM pg_temp.r('fresh', 'R01')), 'recommended', 'R01: nor for what others decided later than at its age');
SELECT isnt((SELECT status FROM pg_temp.r('fresh', 'R01', '2026-02-25')), 'recommended', 'R01: nor as it was known earlier');
ROLLBACK TO one;

-- R04, R05: channels.
SELECT pg_temp.campaign('shop') AS s, pg_temp.campaign('even') AS e \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:s, :e]) c \g /dev/null
SELECT pg_temp.click(c, 1, 1000 + c * 200 + i, channel => CASE WHEN i <= 60 THEN 'chat' ELSE 'post' END) FROM unnest(ARRAY[:s, :e]) c, generate_series(1, 100) i \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(c, 1, 1000 + c * 200 + i, value => CASE WHEN i % 2 = 0 THEN 90 ELSE 110 END), 'give', CASE WHEN c = :s AND i > 60 THEN 40 ELSE 10 END) FROM unnest(ARRAY[:s, :e]) c, generate_series(1, 100) i \g /dev/null
SELECT is((SELECT (status, insight, action, impact, unit)::text FROM pg_temp.r('shop', 'R04')), '(recommended,"Channel chat brings 60 of 100 approved referrals (60.0 %) for 27.3 % of the rewards; one costs 10.00 CNY there, 40.00 CNY elsewhere.","Spend more of the budget on channel chat.",1200.00,"CNY saved, did the others cost as much")', 'R04: the channel that brings more than it costs');
SELECT is((SELECT p FROM pg_temp.r('shop', 'R04')), 2 * cdp.binomial_tail(60, 100, 600 / 2200.0), 'R04: exact binomial, two channels');
SELECT is((SELECT status FROM pg_temp.r('even', 'R04')), 'no evidence', 'R04: not where each costs the same');
SELECT is((SELECT (status, insight, impact, unit)::text FROM pg_temp.r('shop', 'R05', margin => 0.2)), '(recommended,"Each approved referral of channel post costs 40.00 CNY and has brought a margin of 20.00 CNY so far.",800.00,"CNY lost so far")', 'R05: the channel that costs more than it brings');
SELECT is((SELECT round((evidence ->> 't')::numeric, 4) FROM pg_temp.r('shop', 'R05', margin => 0.2)), round((-20 / (sqrt(4 * 40 / 39.0) / sqrt(40)))::numeric, 4), 'R05: t by hand: each is 2 from the mean');
SELECT is((SELECT status FROM pg_temp.r('shop', 'R05', margin => 0.9)), 'no evidence', 'R05: not where the margin pays for it');
SELECT pg_temp.campaign('flat') AS f \gset
SELECT pg_temp.enrol(:f, '{1}') \g /dev/null
SELECT pg_temp.click(:f, 1, 1000 + :f * 200 + i, channel => 'chat') FROM generate_series(1, 40) i \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(:f, 1, 1000 + :f * 200 + i), 'give', 40) FROM generate_series(1, 40) i \g /dev/null
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('flat', 'R05', margin => 0.2)), format('(recommended,"Each approved referral of channel chat costs 40.00 CNY and has brought a margin of 20.00 CNY so far.",800.00,%s)', 0.5::float8 ^ 40), 'R05: where each loses the same, by the sign of 40');
SELECT is((SELECT status FROM pg_temp.r('flat', 'R05', margin => 0.4)), 'no evidence', 'R05: not where each breaks even');
SELECT is((SELECT insight FROM pg_temp.r('shop', 'R05')), 'insufficient data: what is missing is the part of revenue that is margin (margin => 0.3)', 'R05: asks for the margin');
ROLLBACK TO one;

-- R06: who brings.
SELECT pg_temp.campaign('few') AS f, pg_temp.campaign('all') AS a \gset
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 100))) FROM unnest(ARRAY[:f, :a]) c \g /dev/null
SELECT pg_temp.bring(:f, CASE WHEN i <= 60 THEN 1 + i % 5 ELSE i - 55 END, 1000 + i), pg_temp.bring(:a, i, 2000 + i) FROM generate_series(1, 80) i \g /dev/null
CREATE TEMP TABLE k AS SELECT i, CASE WHEN i <= 5 THEN 12 WHEN i <= 25 THEN 1 ELSE 0 END AS k FROM generate_series(1, 100) i;
SELECT is((SELECT (status, insight)::text FROM pg_temp.r('few', 'R06')), format('(recommended,"The top 5 %% of advocates (5 of 100) brought 60 of 80 people (75.0 %%); Gini %s.")', (SELECT round(sum(abs(x.k - y.k)) / (2 * 100 * 80.0), 3) FROM k x, k y)), 'R06: few bring most; Gini as the mean difference');
SELECT is((SELECT round(p::numeric, 12) FROM pg_temp.r('few', 'R06')), (SELECT round(cdp.chi_square_cdf((sum((k - 0.8) ^ 2) / 0.8)::float8, 99, true)::numeric, 12) FROM k), 'R06: index of dispersion');
SELECT is((SELECT status FROM pg_temp.r('all', 'R06')), 'no evidence', 'R06: not where everybody brings one');
UPDATE cdp_data.setting SET minimum_audience = 6;
SELECT is((SELECT (status, evidence)::text FROM pg_temp.r('few', 'R06')), '("insufficient data",{})', 'R06: five at the top are not told of where six are the fewest');
UPDATE cdp_data.setting SET minimum_audience = NULL;
ROLLBACK TO one;

-- R07: one side or both.
SELECT pg_temp.campaign('both') AS b, pg_temp.campaign('single', '[{"rule": "give", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 20}]') AS o \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:b, :o]) c \g /dev/null
SELECT pg_temp.click(c, 1, 1000 + c * 200 + i) FROM unnest(ARRAY[:b, :o]) c, generate_series(1, 100) i \g /dev/null
SELECT pg_temp.bring(c, 1, 1000 + c * 200 + i) FROM (VALUES (:b, 20), (:o, 5)) v (c, n), generate_series(1, v.n) i \g /dev/null
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('single', 'R07')), (SELECT format('(recommended,"Only who refers is rewarded, and 5 of 100 visitors buy (5.0 %%), against 20.0 %% in campaigns that reward both sides.",15.0,%s)', p_value) FROM cdp.rate_difference(5, 100, 20, 100)), 'R07: one side, few buyers');
SELECT is((SELECT (status, insight)::text FROM pg_temp.r('both', 'R07')), '("no evidence","Both sides are rewarded already.")', 'R07: not where both are rewarded');
ROLLBACK TO one;

-- R08: who waited. 30 had the first reward after 3 days, 30 after 20.
SELECT pg_temp.campaign('slow') AS s, pg_temp.campaign('same') AS e \gset
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 60))) FROM unnest(ARRAY[:s, :e]) c \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(c, i, 1000 + c * 200 + i), 'give', 20, ready => CASE WHEN i <= 30 THEN 3 ELSE 20 END) FROM unnest(ARRAY[:s, :e]) c, generate_series(1, 60) i \g /dev/null
SELECT pg_temp.bring(c, i, 1100 + c * 200 + i, at => '2026-01-20') FROM (VALUES (:s, 24, 36), (:e, 12, 42)) v (c, a, b), generate_series(1, 60) i WHERE i <= v.a OR i > 30 AND i <= v.b \g /dev/null
SELECT is((SELECT (status, insight)::text FROM pg_temp.r('slow', 'R08')), '(recommended,"Referrers who waited more than 3.0 days for their first reward brought another one less often (6 of 30) than the others (24 of 30); nine in ten have it after 20.0 days.")', 'R08: who waited brings less');
SELECT is((SELECT round(p::numeric, 12) FROM pg_temp.r('slow', 'R08')), (SELECT round(p_value::numeric, 12) FROM cdp.logrank_test(ARRAY(SELECT CASE WHEN i <= 6 THEN 10 ELSE 50 END::float8 FROM generate_series(1, 30) i), ARRAY(SELECT i <= 6 FROM generate_series(1, 30) i), ARRAY(SELECT CASE WHEN i <= 24 THEN 10 ELSE 50 END::float8 FROM generate_series(1, 30) i), ARRAY(SELECT i <= 24 FROM generate_series(1, 30) i))), 'R08: logrank');
SELECT is((SELECT status FROM pg_temp.r('same', 'R08')), 'no evidence', 'R08: not where both bring as often');
SELECT pg_temp.campaign('eager') AS g \gset
SELECT pg_temp.enrol(:g, ARRAY(SELECT generate_series(1, 60))) \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(:g, i, 2000 + i), 'give', 20, ready => CASE WHEN i <= 30 THEN 3 ELSE 20 END) FROM generate_series(1, 60) i \g /dev/null
SELECT pg_temp.bring(:g, i, 2100 + i, at => '2026-01-20') FROM generate_series(1, 60) i WHERE i <= 6 OR i > 36 \g /dev/null
SELECT is((SELECT (status, p < 0.001)::text FROM pg_temp.r('eager', 'R08')), '("no evidence",t)', 'R08: nor where who waited brings more, however sure that is');
ROLLBACK TO one;

-- R11: refunds after the hold of 14 days.
SELECT pg_temp.campaign('back') AS b, pg_temp.campaign('soon') AS s \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:b, :s]) c \g /dev/null
CREATE TEMP TABLE sold AS SELECT c, i, pg_temp.bring(c, 1, 1000 + c * 200 + i) AS id FROM unnest(ARRAY[:b, :s]) c, generate_series(1, 30) i;
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT :shop, 'refund ' || id, id, timestamptz '2026-01-10' + CASE WHEN i <= 10 AND c = :b THEN interval '25 days' ELSE '5 days' END, 3000, 1000 + c * 200 + i FROM sold;
SELECT is((SELECT (status, insight, action, impact, p)::text FROM pg_temp.r('back', 'R11')), format('(recommended,"Of 30 refunded purchases 10 (33.3 %%) came back after the hold of 14.0 days; nine in ten come back within 25.0 days.","Set the hold to 25 days.",300.00,%s)', cdp.binomial_tail(10, 30, 0.1)), 'R11: the hold is too short');
SELECT is((SELECT status FROM pg_temp.r('soon', 'R11')), 'no evidence', 'R11: not where all came back before');
-- A reward for registering that is not held says nothing about purchases.
SELECT pg_temp.campaign('joined', '[{"rule": "welcome", "side": "referee", "trigger": "signup", "shape": "flat", "amount": 5, "hold": "0 days"}, {"rule": "give", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 20, "hold": "14 days"}]') AS j \gset
SELECT pg_temp.enrol(:j, '{1}') \g /dev/null
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT :shop, 'refund ' || id, id, '2026-01-15', 3000, 1 FROM (SELECT pg_temp.bring(:j, 1, 300000 + i) AS id FROM generate_series(1, 30) i) x;
SELECT is((SELECT (status, evidence ->> 'hold_days')::text FROM pg_temp.r('joined', 'R11')), '("no evidence",14.000000)', 'R11: by the hold of rules that purchases trigger');
-- They had bought as others, who are one with them by now.
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT x, x FROM generate_series(1000 + :b * 200 + 1, 1000 + :b * 200 + 30) x ON CONFLICT DO NOTHING;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT 100000 + i, 1000 + :b * 200 + i FROM generate_series(1, 30) i;
UPDATE cdp_data.referral_conversion SET customer_id = 100000 + s.i FROM sold s WHERE referral_conversion_id = s.id AND s.c = :b;
SELECT is((SELECT (status, impact)::text FROM pg_temp.r('back', 'R11')), '(recommended,300.00)', 'R11: by the customers of now');
-- 100 bought 40 days and more ago: 10 gave back after 5 days, 10 after 30. Of 300 who bought 10 days ago 90 gave back after 5 so far.
SELECT pg_temp.campaign('young') AS y \gset
SELECT pg_temp.enrol(:y, '{1}') \g /dev/null
CREATE TEMP TABLE bought AS SELECT i, pg_temp.bring(:y, 1, 200000 + i, at => CASE WHEN i <= 100 THEN timestamptz '2026-01-15' ELSE '2026-02-19' END) AS id FROM generate_series(1, 400) i;
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT :shop, 'refund ' || id, id, CASE WHEN i <= 100 THEN timestamptz '2026-01-15' ELSE '2026-02-19' END + CASE WHEN i <= 10 THEN interval '30 days' ELSE '5 days' END, 3000, 200000 + i FROM bought WHERE i <= 20 OR i BETWEEN 101 AND 190;
SELECT is((SELECT (status, insight, p)::text FROM pg_temp.r('young', 'R11')), format('(recommended,"Of 20 refunded purchases 10 (50.0 %%) came back after the hold of 14.0 days; nine in ten come back within 30.0 days.",%s)', cdp.binomial_tail(10, 20, 0.1)), 'R11: who bought lately may still give back: 30 days, not 5');
ROLLBACK TO one;

-- R12: the budget.
SELECT pg_temp.campaign('poor', budget => 1000) AS p, pg_temp.campaign('rich', budget => 5000) AS r, pg_temp.campaign('free') AS f \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:p, :r, :f]) c \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(c, 1, 1000 + c * 200 + i, at => '2026-02-10'), 'give', 20) FROM unnest(ARRAY[:p, :r, :f]) c, generate_series(1, 30) i \g /dev/null
SELECT is((SELECT (status, insight, impact, unit)::text FROM pg_temp.r('poor', 'R12')), '(recommended,"400.00 CNY of the budget are left. At 21.43 CNY a day, as in the last 28 days, that lasts 18.7 days of the 31.0 until the end.",264.29,"CNY short at the end")', 'R12: the budget ends before');
SELECT is((SELECT round(p::numeric, 12) FROM pg_temp.r('poor', 'R12')), round((1 - (SELECT sum(exp(-l) * l ^ k / factorial(k)) FROM (SELECT 20 * 28 / 31.0 AS l) x, generate_series(0, 29) k))::numeric, 12), 'R12: chance of 30 rewards where the budget allows 18');
SELECT is((SELECT status FROM pg_temp.r('rich', 'R12')), 'no evidence', 'R12: not where it lasts');
SELECT pg_temp.campaign('fresh', budget => 1000, starts => '2026-02-20') AS n \gset
SELECT pg_temp.enrol(:n, '{1}') \g /dev/null
SELECT pg_temp.reward(pg_temp.bring(:n, 1, 1000 + :n * 200 + i, at => '2026-02-25'), 'give', 20) FROM generate_series(1, 30) i \g /dev/null
SELECT is((SELECT (status, insight, impact)::text FROM pg_temp.r('fresh', 'R12')), '(recommended,"400.00 CNY of the budget are left. At 66.67 CNY a day, as in the 9.0 days since it began, that lasts 6.0 days of the 31.0 until the end.",1666.67)', 'R12: a campaign of nine days');
SELECT is((SELECT round(p::numeric, 12) FROM pg_temp.r('fresh', 'R12')), round((1 - (SELECT sum(exp(-l) * l ^ k / factorial(k)) FROM (SELECT 20 * 9 / 31.0 AS l) x, generate_series(0, 29) k))::numeric, 12), 'R12: its chance by nine days');
SELECT is((SELECT insight FROM pg_temp.r('free', 'R12')), 'insufficient data: what is missing is a budget', 'R12: not without a budget');
ROLLBACK TO one;

-- R13: caps.
SELECT pg_temp.campaign('capped', caps => '[{"per": "referrer", "period": "month", "amount": 50}]') AS c, pg_temp.campaign('wide', caps => '[{"per": "referrer", "period": "month", "amount": 50}]') AS w \gset
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 40))) FROM unnest(ARRAY[:c, :w]) c \g /dev/null
CREATE TEMP TABLE given AS SELECT c, i, pg_temp.reward(pg_temp.bring(c, i, 1000 + c * 200 + i), 'give', 20) AS id FROM unnest(ARRAY[:c, :w]) c, generate_series(1, 40) i;
UPDATE cdp_data.reward SET amount_minor = 500, pending_minor = 500, reason = 'cap per referrer and month' WHERE reward_id IN (SELECT id FROM given WHERE i <= CASE WHEN c = :c THEN 10 ELSE 1 END);
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('capped', 'R13')), format('(recommended,"10 of 40 referrers (25.0 %%) have reached a cap; 150.00 CNY were not granted.",150.00,%s)', cdp.binomial_tail(10, 40, 0.1)), 'R13: many reach the cap');
SELECT is((SELECT status FROM pg_temp.r('wide', 'R13')), 'no evidence', 'R13: not where one does');
ROLLBACK TO one;

-- R14: a code that is everywhere.
SELECT pg_temp.campaign('leaky') AS l, pg_temp.campaign('tight') AS t \gset
SELECT pg_temp.enrol(c, '{1,2}') FROM unnest(ARRAY[:l, :t]) c \g /dev/null
SELECT pg_temp.click(c, 1, device => 'a' || c || i, host => 'friends.example', paid => c = :l AND i <= 20) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 40) i \g /dev/null
SELECT pg_temp.click(c, 2, device => 'b' || c || i, paid => i <= 2) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 50) i \g /dev/null
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('leaky', 'R14')), format('(recommended,"20 of 40 clicks (50.0 %%) on the code with referral_code_id %s came from advertisements or sites that collect codes.",20,%s)', :l * 100000 + 1, 2 * cdp.binomial_tail(20, 40, 2 / 50.0)), 'R14: the code leaks');
SELECT is((SELECT status FROM pg_temp.r('tight', 'R14')), 'no evidence', 'R14: not for two clicks of 50');
UPDATE cdp_data.setting SET minimum_audience = 5;
SELECT is((SELECT (status, evidence)::text FROM pg_temp.r('leaky', 'R14')), '("insufficient data",{})', 'R14: a code is one advocate, who is not told of where five are the fewest');
UPDATE cdp_data.setting SET minimum_audience = NULL;
ROLLBACK TO one;

-- R15: a milestone at 5.
SELECT pg_temp.campaign('cliff', '[{"rule": "five", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 5, "amount": 100}]}]') AS c, pg_temp.campaign('slope', '[{"rule": "five", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 5, "amount": 100}]}]') AS s \gset
CREATE TEMP TABLE stop AS SELECT c, row_number() OVER (PARTITION BY c) AS i, n FROM (VALUES (:c, 5, 20), (:c, 4, 4), (:c, 6, 2), (:s, 5, 10), (:s, 4, 12), (:s, 6, 8)) v (c, n, times), generate_series(1, v.times);
SELECT pg_temp.enrol(c, array_agg(i)) FROM stop GROUP BY c \g /dev/null
SELECT pg_temp.bring(c, i, 1000 + row_number() OVER (ORDER BY c, i, k)) FROM stop, generate_series(1, n) k \g /dev/null
SELECT is((SELECT (status, insight, p)::text FROM pg_temp.r('cliff', 'R15')), format('(recommended,"20 referrers stop at 5 referrals, where the reward steps up; 4 have one fewer and 2 one more.",%s)', cdp.binomial_tail(20, 24, 0.5)), 'R15: they stop at the step');
SELECT is((SELECT status FROM pg_temp.r('slope', 'R15')), 'no evidence', 'R15: not where they go on');
ROLLBACK TO one;

-- R16: 100 are in a segment and 100 are not; 30 and 10 of them bring somebody, one of the 30 ten more.
SELECT pg_temp.campaign('parted') AS p, pg_temp.campaign('mixed') AS m \gset
SELECT cdp.create_segment('regulars', 'did(purchase)', 'service') AS regulars, cdp.create_segment('tiny', 'did(purchase)', 'service') AS tiny \gset
INSERT INTO cdp_data.segment_chunk (segment_id, chunk, bits, customers) SELECT :regulars, 0, cdp.roaring_build(i), 100 FROM generate_series(1, 100) i;
INSERT INTO cdp_data.segment_chunk (segment_id, chunk, bits, customers) SELECT :tiny, 0, cdp.roaring_build(i), 10 FROM generate_series(1, 10) i;
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 200))) FROM unnest(ARRAY[:p, :m]) c \g /dev/null
SELECT pg_temp.bring(c, i, 500 + c * 300 + i, at => '2026-01-15') FROM (VALUES (:p, 30, 10), (:m, 20, 18)) v (c, a, b), generate_series(1, 200) i WHERE i <= v.a OR i > 100 AND i <= 100 + v.b \g /dev/null
SELECT pg_temp.bring(:p, 1, 2500 + i) FROM generate_series(1, 10) i \g /dev/null
SELECT is((SELECT (status, insight, action, impact)::text FROM pg_temp.r('parted', 'R16', '2026-04-01', segments => '{regulars,tiny}')), '(recommended,"Of segment regulars 30 of 100 bring somebody (K 0.400), of the others 10 of 150 (K 0.067).","Ask segment regulars first.",33.3)', 'R16: the segment that brings more');
SELECT is((SELECT p FROM pg_temp.r('parted', 'R16', '2026-04-01', segments => '{regulars,tiny}')), (SELECT p_value FROM cdp.rate_difference(30, 100, 10, 150)), 'R16: of one segment that is large enough');
SELECT is((SELECT status FROM pg_temp.r('mixed', 'R16', '2026-04-01', segments => '{regulars,tiny}')), 'no evidence', 'R16: not where both bring as many');
ROLLBACK TO one;

-- R17: Mondays. 40 visitors come then, 160 on other days; one in two and one in ten sign up.
SELECT pg_temp.campaign('monday') AS m, pg_temp.campaign('daily') AS d \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:m, :d]) c \g /dev/null
SELECT pg_temp.click(c, 1, 500 + c * 300 + i, at => CASE WHEN i <= 40 THEN timestamptz '2026-01-05 10:00' ELSE timestamptz '2026-01-06 10:00' + i % 6 * interval '1 day' END) FROM unnest(ARRAY[:m, :d]) c, generate_series(1, 200) i \g /dev/null
SELECT pg_temp.bring(c, 1, 500 + c * 300 + i, value => NULL, at => '2026-01-20') FROM unnest(ARRAY[:m, :d]) c, generate_series(1, 200) i WHERE CASE WHEN c = :m AND i <= 40 THEN i % 2 = 0 ELSE i % 10 = 0 END \g /dev/null
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('monday', 'R17')), '(recommended,"Visitors who come on Mondays sign up most: 20 of 40 (50.0 %), against 16 of 160 at other times; probability 0.979 that it is the best.",64.0,' || 7 * (SELECT p_value FROM cdp.rate_difference(20, 40, 16, 160)) || ')', 'R17: the best weekday; of seven days');
SELECT is((SELECT status FROM pg_temp.r('daily', 'R17')), 'no evidence', 'R17: not where every day is the same');
ROLLBACK TO one;

-- R18: variants: 200 are told by each, 10 and 30 bring somebody. The exact probability as a sum of beta functions (Miller 2014).
SELECT pg_temp.campaign('two') AS t, pg_temp.campaign('alike') AS a, pg_temp.campaign('skewed') AS s \gset
SELECT pg_temp.tell(c, ARRAY(SELECT generate_series(1, 200)), variant => 'a'), pg_temp.tell(c, ARRAY(SELECT generate_series(201, CASE WHEN c = :s THEN 300 ELSE 400 END)), variant => 'b'), pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 400))) FROM unnest(ARRAY[:t, :a, :s]) c \g /dev/null
SELECT pg_temp.bring(c, i, 500 + c * 500 + i) FROM (VALUES (:t, 10, 30), (:a, 10, 12), (:s, 10, 30)) v (c, a, b), generate_series(1, 300) i WHERE i <= v.a OR i > 200 AND i <= 200 + v.b \g /dev/null
CREATE FUNCTION pg_temp.beats(ka integer, na integer, kb integer, nb integer) RETURNS numeric LANGUAGE sql AS $$
  SELECT sum((factorial(ka + 1 + i - 1) * factorial(na - ka + 1 + nb - kb + 1 - 1))::numeric / factorial(ka + 1 + i + na - ka + 1 + nb - kb + 1 - 1) * factorial(i + nb - kb + 1) / (factorial(i) * factorial(nb - kb)) / (nb - kb + 1 + i)
    * (factorial(na + 1) / (factorial(ka) * factorial(na - ka)))) FROM generate_series(0, kb) i
$$;
SELECT is((SELECT (status, insight, impact, unit)::text FROM pg_temp.r('two', 'R18')), '(recommended,"Variant b is the best on channel mail with probability 0.9996: 30 of 200 (15.0 %) brought somebody.",20.0,"advocates more who bring somebody, had all got it")', 'R18: the better variant');
SELECT is((SELECT round(confidence::numeric, 9) FROM pg_temp.r('two', 'R18')), round(pg_temp.beats(10, 200, 30, 200), 9), 'R18: its exact probability');
SELECT is((SELECT evidence -> 'posteriors' FROM pg_temp.r('alike', 'R18')), to_jsonb(ARRAY[1 - round(pg_temp.beats(10, 200, 12, 200), 6), round(pg_temp.beats(10, 200, 12, 200), 6)]), 'R18: and that of two alike');
SELECT is((SELECT status FROM pg_temp.r('alike', 'R18')), 'no evidence', 'R18: not for 10 and 12');
SELECT is((SELECT insight FROM pg_temp.r('skewed', 'R18')), 'insufficient data: what is missing is a split as planned: the variants went to other numbers of people than their weights say', 'R18: not where the split is broken');
ROLLBACK TO one;

-- Variant a is better in English, b in Chinese; all together they are alike.
SELECT pg_temp.campaign('tongues') AS g \gset
SELECT pg_temp.tell(:g, ARRAY(SELECT generate_series(1, 800))), pg_temp.enrol(:g, ARRAY(SELECT generate_series(1, 800))) \g /dev/null
INSERT INTO cdp_data.referral_material (referral_campaign_id, channel, language, variant) SELECT :g, 'mail', l, v FROM unnest('{en,zh}'::text[]) l, unnest('{a,b}'::text[]) v;
UPDATE cdp_data.referral_distribution d SET (referral_material_id, variant) = (SELECT m.referral_material_id, m.variant FROM cdp_data.referral_material m WHERE m.referral_campaign_id = :g AND m.language = CASE WHEN d.customer_id <= 400 THEN 'en' ELSE 'zh' END AND m.variant = CASE d.customer_id % 2 WHEN 0 THEN 'a' ELSE 'b' END) WHERE d.referral_campaign_id = :g;
SELECT pg_temp.bring(:g, i, 500 + :g * 1000 + i) FROM generate_series(1, 800) i WHERE CASE WHEN (i <= 400) = (i % 2 = 0) THEN i % 400 BETWEEN 1 AND 60 ELSE i % 400 BETWEEN 1 AND 20 END \g /dev/null
SELECT is((SELECT (status, insight, impact, p)::text FROM pg_temp.r('tongues', 'R18')), format('(recommended,"Variant a is the best on channel mail in language en with probability 0.9996: 30 of 200 (15.0 %%) brought somebody.",20.0,%s)', 2 * (SELECT p_value FROM cdp.rate_difference(30, 200, 10, 200))), 'R18: languages are not thrown together; two were tested');
SELECT is((SELECT status FROM pg_temp.r('tongues', 'R18', '2026-01-05')), 'no evidence', 'R18: not before anybody is brought');
ROLLBACK TO one;

-- R19, R20.
SELECT cdp.create_holdout('tenth', 0.1) AS h, pg_temp.campaign('asleep') AS s, pg_temp.campaign('awake', holdout => 'tenth') AS w \gset
SELECT pg_temp.enrol(c, ARRAY(SELECT generate_series(1, 100))) FROM unnest(ARRAY[:s, :w]) c \g /dev/null
SELECT pg_temp.share(c, i, 1) FROM (VALUES (:s, 20), (:w, 50)) v (c, n), generate_series(1, v.n) i \g /dev/null
SELECT pg_temp.bring(:s, 1, 1000) \g /dev/null
SELECT is((SELECT (status, confidence)::text FROM pg_temp.r('asleep', 'R19')), '(recommended,1)', 'R19: no holdout');
SELECT is((SELECT status FROM pg_temp.r('awake', 'R19')), 'no evidence', 'R19: not with one');
SELECT is((SELECT (status, insight, action, impact, p)::text FROM pg_temp.r('asleep', 'R20')), format('(recommended,"80 of 100 advocates (80.0 %%) have had a code for a week and not used it.","Remind them of it 8.0 days after they got it, the median cycle time.",16.0,%s)', cdp.binomial_tail(80, 100, 0.6)), 'R20: codes lie about');
SELECT is((SELECT status FROM pg_temp.r('awake', 'R20')), 'no evidence', 'R20: not where half are used');
SELECT is((SELECT status FROM pg_temp.r('asleep', 'R20', '2026-01-06')), 'insufficient data', 'R20: not in the first week');

-- All together.
CREATE TEMP TABLE every AS SELECT * FROM cdp.referral_recommend('asleep', '2026-03-01', 0.3);
SELECT is((SELECT string_agg(rule_id, ' ' ORDER BY rule_id) FROM every), 'R01 R02 R03 R04 R05 R06 R07 R08 R09 R10 R11 R12 R13 R14 R15 R16 R17 R18 R19 R20', 'every rule has a row');
SELECT is((SELECT array_agg(q_value ORDER BY rule_id)::text FROM every), (SELECT cdp.false_discovery(array_agg(p_value ORDER BY rule_id))::text FROM every), 'false discovery over the tests that were made');
SELECT is((SELECT count(*) FROM every WHERE status = 'insufficient data' AND (insight NOT LIKE 'insufficient data: what is missing is _%' OR num_nonnulls(severity, action, expected_impact, confidence, p_value, q_value) > 0)), 0::bigint, 'what can not be tested says what is missing, and nothing else');
SELECT is((SELECT count(*) FROM every WHERE status = 'recommended' AND num_nulls(severity, insight, action, evidence, confidence) > 0), 0::bigint, 'what is recommended says why');
SELECT is((SELECT string_agg(rule_id, ' ') FROM cdp.referral_recommend('asleep', '2026-03-01', discovery => 1e-9) WHERE status = 'recommended' AND p_value IS NOT NULL), NULL, 'with a smaller rate fewer fire');
UPDATE cdp_data.setting SET minimum_audience = 30;
SELECT is((SELECT (status, insight, evidence)::text FROM pg_temp.r('asleep', 'R20')), '("insufficient data","insufficient data: what is missing is more people: these are fewer than the minimum audience",{})', 'the 20 others are fewer than the minimum audience');
UPDATE cdp_data.setting SET minimum_audience = NULL;
SELECT throws_ok(format('SELECT cdp.referral_recommend(%s)', a), s, NULL, 'refused: ' || a) FROM (VALUES ($$'nothing'$$, '42704'), ($$'asleep', margin => -1$$, '22023'), ($$'asleep', target_cpa => 0$$, '22023'), ($$'asleep', discovery => 1$$, '22023'), ($$'asleep', segments => '{none}'$$, '42704'), ($$'asleep', segments => '{NULL}'$$, '22023')) x (a, s);
SELECT * FROM finish();
ROLLBACK;
