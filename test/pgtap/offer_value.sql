-- What another policy would have brought: estimates over many made logs whose truth is known, their errors and intervals,
-- logs that can not tell, and how offers do, counted by hand.
BEGIN;
SELECT plan(43);
SET client_min_messages = error;
SET jit = off;
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 200) i;
SELECT cdp.create_placement('home', '{"method": "value", "epsilon": 0.5}') AS home \gset
SELECT cdp.create_offer('a', '{home}', 'service') AS a, cdp.create_offer('b', '{home}', 'service') AS b, cdp.create_offer('c', '{home}', 'service') AS c \gset
SELECT arm_id AS arm_a FROM cdp_data.offer_arm WHERE offer_id = :a \gset
SELECT arm_id AS arm_b FROM cdp_data.offer_arm WHERE offer_id = :b \gset
SELECT arm_id AS arm_c FROM cdp_data.offer_arm WHERE offer_id = :c \gset

-- Two kinds of people: half accept seldom and mostly got a, half accept often and got c as well. 200 logs, one a day.
CREATE TEMP TABLE truth (often int, arm int, offer int, p float8, rate float8);
INSERT INTO truth VALUES (0, :arm_a, :a, 0.6, 0.10), (0, :arm_b, :b, 0.4, 0.15), (1, :arm_a, :a, 0.25, 0.40), (1, :arm_b, :b, 0.4, 0.60), (1, :arm_c, :c, 0.35, 0.50);
CREATE TEMP TABLE made AS
SELECT k, i, i % 2 AS often, (SELECT t.arm FROM (SELECT arm, sum(p) OVER (ORDER BY arm) AS upto FROM truth WHERE often = i % 2) t WHERE u[1] < t.upto ORDER BY t.arm LIMIT 1) AS arm, u[2] AS luck
FROM generate_series(1, 200) k, generate_series(1, 200) i CROSS JOIN LATERAL cdp_internal.offer_draws(k, ARRAY[i], 0, 1, 1, 2) u;
INSERT INTO cdp_data.offer_decision (decision_id, placement_id, customer_id, at, policy_version, seed, reason, state, offer_id, arm_id, offer_version, score, propensity, candidates)
SELECT m.k * 1000 + m.i, :home, m.i, timestamptz '2026-01-01 00:00+00' + m.k * interval '1 day' + m.i * interval '1 minute', 1, 0, 'offer', 'shown', t.offer, m.arm, 1, 1, t.p, s.candidates
FROM made m JOIN truth t USING (often, arm) JOIN (SELECT often, jsonb_agg(jsonb_build_object('arm', arm, 'offer', offer, 'p', p, 'a', 1 + arm - :arm_a, 'b', 4, 'worth', 1, 'mean', 0.2, 'score', 0.2) ORDER BY arm) AS candidates FROM truth GROUP BY often) s USING (often);
INSERT INTO cdp_data.offer_outcome (decision_id, kind, customer_id, at, value)
SELECT m.k * 1000 + m.i, x.kind, m.i, timestamptz '2026-01-01 12:00+00' + m.k * interval '1 day', CASE x.kind WHEN 'accepted' THEN 10 END
FROM made m JOIN truth t USING (often, arm) CROSS JOIN (VALUES ('shown'), ('accepted')) AS x (kind) WHERE x.kind = 'shown' OR m.luck < t.rate;
ANALYZE cdp_data.offer_decision;
ANALYZE cdp_data.offer_outcome;
CREATE FUNCTION pg_temp.judged(policy jsonb, logs int, reward text DEFAULT 'accepted') RETURNS TABLE (estimator text, n bigint, estimate float8, spread float8, se float8, inside float8, truth float8) LANGUAGE plpgsql AS $$
DECLARE
  target jsonb := cdp_internal.offer_target(policy);
  truth float8 := (SELECT sum(0.5 * x.p * t.rate) * CASE reward WHEN 'value' THEN 10 ELSE 1 END
    FROM (SELECT often, unnest(arms) AS arm, unnest(cdp_internal.offer_targets(target, arms, array_fill(1::float8, ARRAY[cardinality(arms)]), a, array_fill(4::float8, ARRAY[cardinality(arms)]), array_fill(0.2::float8, ARRAY[cardinality(arms)]), ps)) AS p
      FROM (SELECT y.often, array_agg(y.arm ORDER BY y.arm) AS arms, array_agg(1.0::float8 + y.arm - (SELECT min(z.arm) FROM truth z) ORDER BY y.arm) AS a, array_agg(y.p ORDER BY y.arm) AS ps FROM truth y GROUP BY y.often) g) x JOIN truth t ON (t.often, t.arm) = (x.often, x.arm));
BEGIN
  RETURN QUERY
  SELECT v.estimator, count(*), avg(v.estimate), stddev(v.estimate), avg(v.standard_error), avg((truth BETWEEN v.low AND v.high)::int)::float8, truth
  FROM generate_series(1, logs) k CROSS JOIN LATERAL cdp.offer_policy_value('home', policy, timestamptz '2026-01-01 00:00+00' + k * interval '1 day', timestamptz '2026-01-02 00:00+00' + k * interval '1 day', reward) v GROUP BY v.estimator;
END $$;
CREATE TEMP TABLE b AS SELECT * FROM pg_temp.judged('{"method": "offer", "offer": "b"}', 200);
SELECT is((SELECT truth FROM b LIMIT 1), 0.375::float8, 'the truth of giving b to everybody');
SELECT cmp_ok((SELECT abs(estimate - truth) / (spread / sqrt(n)) FROM b WHERE estimator = e), '<', 3.3::float8, e || ': no bias') FROM unnest('{ips,doubly robust,self-normalised ips}'::text[]) e;
SELECT cmp_ok((SELECT abs(se / spread - 1) FROM b WHERE estimator = e), '<', 0.15::float8, e || ': its standard error is how far estimates scatter') FROM unnest('{ips,doubly robust,self-normalised ips}'::text[]) e;
SELECT ok((SELECT inside BETWEEN 0.91 AND 0.985 FROM b WHERE estimator = e), e || ': its interval holds the truth about 95 times in 100') FROM unnest('{ips,doubly robust,self-normalised ips}'::text[]) e;
SELECT cmp_ok((SELECT spread FROM b WHERE estimator = 'self-normalised ips'), '<', (SELECT spread FROM b WHERE estimator = 'ips'), 'normalising makes the spread smaller');
SELECT cmp_ok((SELECT abs(estimate - truth) / (spread / sqrt(n)) FROM pg_temp.judged('{"method": "offer", "offer": "a"}', 60) WHERE estimator = 'direct'), '>', 10::float8, 'the direct method is wrong where arms were given to those who accept less');
SELECT cmp_ok((SELECT max(abs(estimate - truth) / (spread / sqrt(n))) FROM pg_temp.judged('{"method": "thompson", "epsilon": 0.1}', 40, 'value') WHERE estimator IN ('ips', 'doubly robust')), '<', 3.3::float8, 'Thompson sampling by what was known, in money');
SELECT cmp_ok((SELECT max(abs(estimate - truth) / (spread / sqrt(n))) FROM pg_temp.judged('{"method": "uniform"}', 40) WHERE estimator IN ('ips', 'doubly robust')), '<', 3.3::float8, 'any arm, each as likely');
SELECT is((SELECT count(DISTINCT round(estimate::numeric, 12)) FROM pg_temp.judged('{"method": "logged"}', 10) WHERE estimator IN ('logged', 'ips', 'self-normalised ips')), 1::bigint, 'the log judged by itself');

-- All logs in one: customers, not decisions, are independent.
CREATE TEMP TABLE once AS SELECT * FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "b"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00');
SELECT is((SELECT (decisions, customers, round(effective_decisions::numeric, 3), round(max_weight::numeric, 6))::text FROM once WHERE estimator = 'ips'),
  (SELECT (200, 200, round((sum(w) * sum(w) / sum(w * w))::numeric, 3), max(w)::numeric(9, 6))::text FROM (SELECT CASE WHEN arm = :arm_b THEN 1 / p ELSE 0 END AS w FROM made JOIN truth USING (often, arm) WHERE k = 1) x), 'effective decisions and the largest weight, by hand');
SELECT is((SELECT round(estimate::numeric, 12) FROM once WHERE estimator = 'ips'), (SELECT round(avg(CASE WHEN arm = :arm_b AND luck < rate THEN 1 / p ELSE 0 END)::numeric, 12) FROM made JOIN truth USING (often, arm) WHERE k = 1), 'the estimate, by hand');
SELECT is((SELECT round(standard_error::numeric, 12) FROM once WHERE estimator = 'ips'), (SELECT round((stddev(CASE WHEN arm = :arm_b AND luck < rate THEN 1 / p ELSE 0 END) / sqrt(200))::numeric, 12) FROM made JOIN truth USING (often, arm) WHERE k = 1), 'its error, by hand');
INSERT INTO cdp_data.offer_decision (decision_id, placement_id, customer_id, at, policy_version, seed, reason, state, offer_id, arm_id, offer_version, score, propensity, candidates)
SELECT decision_id + 1000001, placement_id, customer_id, at, policy_version, seed, reason, state, offer_id, arm_id, offer_version, score, propensity, candidates FROM cdp_data.offer_decision WHERE decision_id < 2000;
INSERT INTO cdp_data.offer_outcome (decision_id, kind, customer_id, at) SELECT decision_id + 1000001, kind, customer_id, at FROM cdp_data.offer_outcome WHERE decision_id < 2000;
SELECT is((SELECT (decisions, customers, round(estimate::numeric, 10), round(standard_error::numeric, 10))::text FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "b"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00') WHERE estimator = 'ips'),
  (SELECT (400, 200, round(estimate::numeric, 10), round(standard_error::numeric, 10))::text FROM once WHERE estimator = 'ips'), 'the same said twice by the same people tells nothing more');
SELECT is((SELECT round(estimate::numeric, 10) FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "b"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00') WHERE estimator = 'doubly robust'),
  (SELECT round(estimate::numeric, 10) FROM once WHERE estimator = 'doubly robust'), 'nor is anybody part of the model that he is judged by');
UPDATE cdp_data.customer SET parent_id = customer_id - 1 WHERE customer_id % 2 = 0;
SELECT is((SELECT customers FROM cdp.offer_policy_value('home', '{"method": "uniform"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00') LIMIT 1), 100::bigint, 'merged customers are one');
UPDATE cdp_data.customer SET parent_id = customer_id;
DELETE FROM cdp_data.offer_outcome WHERE decision_id > 1000000;
DELETE FROM cdp_data.offer_decision WHERE decision_id > 1000000;

-- Logs that can not tell.
UPDATE cdp_data.offer_decision SET candidates = (SELECT jsonb_agg(CASE WHEN (c ->> 'arm')::int = :arm_c THEN c || '{"p": 0}' ELSE c END) FROM jsonb_array_elements(candidates) c) WHERE decision_id < 2000 AND arm_id <> :arm_c;
SELECT is((SELECT string_agg(format('%s: %s', estimator, coalesce(left(note, 11), 'an estimate')), ', ') FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "c"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00')),
  'logged: an estimate, ips: no estimate, self-normalised ips: no estimate, doubly robust: no estimate, direct: an estimate', 'an arm that the log could not take');
SELECT matches((SELECT note FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "c"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00') WHERE estimator = 'ips'), 'in \d+ of 200 decisions .* with a share of 0[.]\d+ of all', 'is told with its share');
SELECT is((SELECT string_agg(note, ' ') FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "a"}', '2026-01-02 00:00+00', '2026-01-03 00:00+00')), NULL, 'a policy that takes others is judged');
SELECT is((SELECT count(*) FROM cdp.offer_policy_value('home', '{"method": "uniform"}', '2030-01-01 00:00+00') WHERE note = 'no decision was shown' AND num_nonnulls(estimate, standard_error, low, high) = 0), 5::bigint, 'a time without decisions');
SELECT is((SELECT (estimate IS NULL, standard_error IS NULL, customers)::text FROM cdp.offer_policy_value('home', '{"method": "logged"}', '2026-01-02 00:01+00', '2026-01-02 00:02+00') WHERE estimator = 'ips'), '(f,t,1)', 'one customer has no error');

-- How offers do.
CREATE FUNCTION pg_temp.figures(since timestamptz, until timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s %s %s %s', offer, decisions, shown, accepted, value), ', ' ORDER BY offer) FROM cdp.offer_performance(since, until) $$;
SELECT is(pg_temp.figures('2026-01-02 00:00+00', '2026-01-04 00:00+00'), (SELECT string_agg(format('%s: %s %s %s %s', o.name, x.n, x.n, x.won, 10 * x.won), ', ' ORDER BY o.name)
  FROM (SELECT t.offer, count(*) AS n, count(*) FILTER (WHERE m.luck < t.rate) AS won FROM made m JOIN truth t USING (often, arm) WHERE m.k IN (1, 2) GROUP BY t.offer) x JOIN cdp_data.offer o ON o.offer_id = x.offer), 'counted by hand');
SELECT results_eq($$SELECT p.low, p.high, p.rate, p.value_per_shown FROM cdp.offer_performance() p ORDER BY p.offer$$, $$SELECT i.low, i.high, p.accepted::float8 / p.shown, p.value / p.shown FROM cdp_bi.offer_performance p CROSS JOIN LATERAL cdp.rate_interval(p.accepted, p.shown) i ORDER BY p.offer$$, 'rates with their intervals, also as a view');
SELECT is(pg_temp.figures('2030-01-01 00:00+00', NULL), 'a:    , b:    , c:    ', 'offers without decisions');
SELECT cdp.set_purpose('analytics', rule => 'opt_in') IS NOT NULL;
SELECT is(pg_temp.figures(NULL, NULL), 'a:    , b:    , c:    ', 'nobody has agreed to be counted');
SELECT is((SELECT note FROM cdp.offer_policy_value('home', '{"method": "uniform"}') WHERE estimator = 'logged'), 'no decision was shown', 'nor to be judged by');
SELECT cdp.set_purpose('analytics', rule => 'opt_out') IS NOT NULL;
UPDATE cdp_data.setting SET minimum_audience = (SELECT max(customers) FROM cdp.offer_performance('2026-01-02 00:00+00', '2026-01-03 00:00+00'));
SELECT is((SELECT count(*) FILTER (WHERE decisions IS NULL AND num_nonnulls(customers, shown, accepted, rate, low, high, value) = 0) FROM cdp.offer_performance('2026-01-02 00:00+00', '2026-01-03 00:00+00')), 2::bigint, 'figures about fewer people than the minimum are not shown');
UPDATE cdp_data.setting SET minimum_audience = NULL;
CREATE TEMP TABLE whole AS SELECT * FROM cdp.offer_performance('2026-01-02 00:00+00', '2026-01-03 00:00+00');
UPDATE cdp_data.setting SET minimum_audience = (SELECT min(accepted) + 1 FROM whole);
SELECT is((SELECT count(*) FROM cdp.offer_performance('2026-01-02 00:00+00', '2026-01-03 00:00+00') p JOIN whole w USING (offer) WHERE w.accepted = (SELECT min(accepted) FROM whole)
  AND p.decisions = w.decisions AND p.shown = w.shown AND num_nonnulls(p.accepted, p.rate, p.low, p.high, p.value, p.value_per_shown) = 0), (SELECT count(*) FROM whole WHERE accepted = (SELECT min(accepted) FROM whole)), 'nor what fewer of many accepted, and what it was worth');
UPDATE cdp_data.setting SET minimum_audience = 201;
SELECT throws_ok($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "uniform"}')$$, '42501', NULL, 'nor what a policy would bring');
UPDATE cdp_data.setting SET minimum_audience = NULL;
SELECT throws_ok(call, code, NULL, call) FROM (VALUES
  ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "luck"}')$$, '22023'), ($$SELECT * FROM cdp.offer_policy_value('home', '{"metod": "value"}')$$, '22023'), ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "x"}')$$, '42704'),
  ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "offer", "offer": "a", "arm": "x"}')$$, '42704'), ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "uniform"}', reward => 'luck')$$, '22023'),
  ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "uniform"}', confidence => 1)$$, '22023'), ($$SELECT * FROM cdp.offer_performance(confidence => NULL)$$, '22023'), ($$SELECT * FROM cdp.offer_policy_value('home', '{"method": "value", "epsilon": "x"}')$$, '22023'), ($$SELECT * FROM cdp.offer_performance(placements => '{nowhere}')$$, '42704')) AS v (call, code);
SELECT * FROM finish();
ROLLBACK;
