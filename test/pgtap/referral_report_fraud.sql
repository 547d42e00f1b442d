-- Recommendations and figures that stand on fraud scores and reviews: R09, R10, R14 by lists of sites, and the section fraud of the report.
BEGIN;
SELECT plan(9);
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
ROLLBACK TO one;

-- R14: clicks from a site that collects codes.
SELECT pg_temp.campaign('leaky') AS l, pg_temp.campaign('tight') AS t \gset
SELECT pg_temp.enrol(c, '{1,2}') FROM unnest(ARRAY[:l, :t]) c \g /dev/null
SELECT pg_temp.click(c, 1, device => 'a' || c || i, host => CASE WHEN c = :l AND i <= 15 THEN 'www.couponchief.com' ELSE 'friends.example' END, paid => c = :l AND i IN (16, 17, 18, 19, 20)) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 40) i \g /dev/null
SELECT pg_temp.click(c, 2, device => 'b' || c || i, paid => i <= 2) FROM unnest(ARRAY[:l, :t]) c, generate_series(1, 50) i \g /dev/null
SELECT is((SELECT (status, insight, impact)::text FROM pg_temp.r('leaky', 'R14')), format('(recommended,"20 of 40 clicks (50.0 %%) on the code with referral_code_id %s came from advertisements or sites that collect codes.",20)', :l * 100000 + 1), 'R14: the code is on a site of coupons');
SELECT is((SELECT (value, numerator, denominator)::text FROM cdp.referral_report('leaky', '2026-03-01') WHERE metric = 'leak_rate'), '(0.244444,22,90)', 'leak rate');
SELECT * FROM finish();
ROLLBACK;
