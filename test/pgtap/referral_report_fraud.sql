-- Recommendations and figures that stand on fraud scores and reviews: R09, R10, R14 by lists of sites, and the section fraud of the report.
BEGIN;
SELECT plan(17);
\ir referral_report.inc
CREATE FUNCTION pg_temp.r(campaign text, rule text, as_of timestamptz DEFAULT '2026-03-01') RETURNS TABLE (status text, insight text, action text, evidence jsonb, impact numeric, unit text, confidence float8, p float8, q float8) LANGUAGE sql AS $$
  SELECT status, insight, action, evidence, expected_impact, impact_unit, confidence, p_value, q_value FROM cdp.referral_recommend(campaign, as_of, segments => '{}') x WHERE x.rule_id = rule
$$;
SAVEPOINT one;

-- R09, R10: reviews. 40 in each; of the first 12 are late, and one reason is wrong.
SELECT pg_temp.campaign('late') AS l, pg_temp.campaign('timely') AS t \gset
SELECT pg_temp.enrol(c, '{1}') FROM unnest(ARRAY[:l, :t]) c \g /dev/null
CREATE TEMP TABLE case_ AS SELECT c, i, pg_temp.bring(c, 1, 1000 + c * 200 + i, 'review') AS id FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 40) i;
INSERT INTO cdp_data.fraud_score (fraud_score_id, referral_id, as_of, score, decision, decided_by, reasons, degraded, version)
SELECT id, id, '2026-01-10', 0.6, 'review', 'score', CASE WHEN i <= 30 THEN '[{"code": "self.ip"}]' ELSE '[{"code": "ring.cycle"}, {"code": "self.address"}]' END::jsonb, '{}', 'x' FROM case_;
INSERT INTO cdp_data.referral_review (referral_id, at, event, deadline, fraud_score_id) SELECT id, '2026-01-10', 'opened', '2026-01-17', id FROM case_;
INSERT INTO cdp_data.referral_review (referral_id, at, event, is_fraud, fraud_score_id, reason)
SELECT id, CASE WHEN c = :l AND i <= 10 THEN '2026-01-20' ELSE '2026-01-12' END::timestamptz, CASE WHEN f THEN 'rejected' ELSE 'approved' END, f, id, 'decision' FROM (SELECT *, CASE WHEN i <= 30 THEN i <= CASE WHEN c = :l THEN 3 ELSE 12 END ELSE i <= 39 END AS f FROM case_) x WHERE c = :t OR i <> 11 AND i <> 12;
SELECT is((SELECT (status, insight, impact, unit)::text FROM pg_temp.r('late', 'R09')), '(recommended,"12 of 40 reviews (30.0 %) were not decided in time; 2 wait.",2,"reviews that wait")', 'R09: reviews are late');
SELECT is((SELECT p FROM pg_temp.r('late', 'R09')), cdp.binomial_tail(12, 40, 0.1), 'R09: against a tenth');
SELECT is((SELECT evidence -> 'reasons' FROM pg_temp.r('late', 'R09')), '[{"fraud": 3, "reason": "self.ip", "reviewed": 28, "precision": 0.107143}, {"fraud": 9, "reason": "ring.cycle", "reviewed": 10, "precision": 0.900000}, {"fraud": 9, "reason": "self.address", "reviewed": 10, "precision": 0.900000}]', 'R09: what each reason was worth');
SELECT is((SELECT status FROM pg_temp.r('timely', 'R09')), 'no evidence', 'R09: not where they are in time');
SELECT is((SELECT (status, insight, action)::text FROM pg_temp.r('late', 'R10')), $$(recommended,"Reason self.ip was right in 3 of 28 reviews (10.7 %).","Lower its weight: cdp.set_fraud_weight('self.ip', ...).")$$, 'R10: the reason that is wrong');
SELECT is((SELECT p FROM pg_temp.r('late', 'R10')), 3 * cdp.binomial_tail(3, 28, 0.3, false), 'R10: against 30 %, three reasons');
SELECT is((SELECT status FROM pg_temp.r('timely', 'R10')), 'no evidence', 'R10: not where 12 of 30 are right');
UPDATE cdp_data.setting SET minimum_audience = 2;
SELECT is((SELECT (p, evidence -> 'tests', evidence -> 'reasons')::text FROM pg_temp.r('late', 'R10')), format('(%s,3,"[{""fraud"": 3, ""reason"": ""self.ip"", ""reviewed"": 28, ""precision"": 0.107143}]")', 3 * cdp.binomial_tail(3, 28, 0.3, false)), 'R10: of three reasons still, when two are not listed because of one person');
UPDATE cdp_data.setting SET minimum_audience = 5;
SELECT is((SELECT (status, insight, evidence)::text FROM pg_temp.r('late', 'R10')), '("insufficient data","insufficient data: what is missing is more people: these are fewer than the minimum audience",{})', 'R10: says that they are few, not that there are none');
UPDATE cdp_data.setting SET minimum_audience = NULL;
ROLLBACK TO one;

-- R14: clicks from a site that collects codes.
SELECT pg_temp.campaign('leaky') AS l, pg_temp.campaign('tight') AS t \gset
SELECT pg_temp.enrol(c, '{1,2}') FROM unnest(ARRAY[:l, :t]) c \g /dev/null
SELECT pg_temp.click(c, 1, device => 'a' || c || i, host => CASE WHEN c = :l AND i <= 15 THEN 'www.couponchief.com' ELSE 'friends.example' END, paid => c = :l AND i IN (16, 17, 18, 19, 20)) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 40) i \g /dev/null
SELECT pg_temp.click(c, 2, device => 'b' || c || i, paid => i <= 2) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 50) i \g /dev/null
SELECT is((SELECT (status, insight, impact)::text FROM pg_temp.r('leaky', 'R14')), format('(recommended,"20 of 40 clicks (50.0 %%) on the code with referral_code_id %s came from advertisements or sites that collect codes.",20)', :l * 100000 + 1), 'R14: the code is on a site of coupons');
SELECT is((SELECT (value, numerator, denominator)::text FROM cdp.referral_report('leaky', '2026-03-01') WHERE metric = 'leak_rate'), '(0.244444,22,90)', 'leak rate');
ROLLBACK TO one;

-- What counts as prevented: a sign-up earns 5, a first purchase 20.
SELECT pg_temp.campaign('caught', '[{"rule": "join", "side": "referrer", "trigger": "signup", "shape": "flat", "amount": 5}, {"rule": "give", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 20}]') AS c \gset
SELECT pg_temp.enrol(:c, '{1,2,3}') \g /dev/null
CREATE TEMP TABLE bad AS SELECT i, pg_temp.bring(:c, 1 + i % 3, 1000 + i, CASE WHEN i <= 7 THEN 'rejected' ELSE 'approved' END, CASE WHEN i = 6 THEN NULL ELSE 100 END) AS id FROM generate_series(1, 20) i;
INSERT INTO cdp_data.referral_review (referral_id, at, event, is_fraud, reason) SELECT id, '2026-01-12', 'rejected', CASE i WHEN 2 THEN false WHEN 4 THEN true WHEN 5 THEN true END, CASE i WHEN 3 THEN 'timeout' WHEN 5 THEN 'found later' ELSE 'decision' END FROM bad WHERE i BETWEEN 2 AND 5;
INSERT INTO cdp_data.referral_review (referral_id, at, event, is_fraud, reason) SELECT id, timestamptz '2026-01-11', 'rejected', false, 'decision' FROM bad WHERE i = 7 UNION ALL SELECT id, '2026-01-13', 'rejected', true, 'found later' FROM bad WHERE i = 7;
INSERT INTO cdp_data.referral_decision (referral_id, to_state, actor, as_of) SELECT id, 'approved', 'system', '2026-01-10' FROM bad WHERE i IN (4, 5);
SELECT pg_temp.reward(id, 'give', 20, 20, ready => 1, paid => 1, mode => 'owing') FROM bad WHERE i = 5 \g /dev/null
SELECT is((SELECT string_agg(format('%s: %s %s %s %s', b.i, f.worth_minor, f.lost_minor, f.found_later, f.once_approved), ', ' ORDER BY b.i) FROM cdp_internal.referral_frauds(:c, '2026-03-01') f JOIN bad b ON b.id = f.referral_id),
  '1: 2000 0 f f, 4: 2000 0 f t, 5: 2000 2000 t t, 6: 500 0 f f, 7: 2000 0 f f', 'frauds: by score, by people; not what was no fraud, nor what nobody looked at');
SELECT is((SELECT string_agg(format('%s %s %s/%s', metric, value, numerator, denominator), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('caught', '2026-03-01')) x WHERE section = 'fraud' AND metric ~ 'rejection|value|prevention'),
  'rejection_rate 0.350000 7/20, value_blocked 65.00 /, value_lost 20.00 /, prevention_rate_by_value 0.764706 65.00/85.00, prevention_rate_by_count 0.800000 4/5', 'the report sums them');
SELECT is((SELECT (value, numerator)::text FROM cdp.referral_report('caught', '2026-01-11 12:00') WHERE metric = 'prevention_rate_by_count'), '(1.000000,5)', 'before it was paid nothing was lost');
SELECT is((SELECT count(*) FROM cdp_internal.referral_frauds(:c, '2026-01-09')), 0::bigint, 'and before them there is none');
UPDATE cdp_data.setting SET minimum_audience = 2;
SELECT is((SELECT string_agg(metric || ' ' || coalesce(value::text, '-'), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('caught', '2026-03-01')) x WHERE metric IN ('value_blocked', 'value_lost', 'prevention_rate_by_value')), 'value_blocked 65.00, value_lost -, prevention_rate_by_value -', 'what one person got is not told');
UPDATE cdp_data.setting SET minimum_audience = NULL;
SELECT cdp.set_purpose('analytics', rule => 'opt_in') \g /dev/null
SELECT is((SELECT string_agg(format('%s %s/%s', metric, numerator, denominator), ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM cdp.referral_report('caught', '2026-03-01')) x WHERE metric IN ('rejection_rate', 'prevention_rate_by_value', 'prevention_rate_by_count')), 'rejection_rate 0/0, prevention_rate_by_value 65.00/85.00, prevention_rate_by_count 0/0', 'without consent nobody is counted, above and below the line; money is');
SELECT * FROM finish();
ROLLBACK;
