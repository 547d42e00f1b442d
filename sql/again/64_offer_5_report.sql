-- Activation room, offers: how they do, and what another policy would have brought, from the log of decisions.

CREATE OR REPLACE FUNCTION cdp.offer_performance(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, placements text[] DEFAULT NULL, confidence double precision DEFAULT 0.95)
RETURNS TABLE (placement text, offer text, arm text, decisions bigint, customers bigint, shown bigint, clicked bigint, accepted bigint, rejected bigint, dismissed bigint,
  rate double precision, low double precision, high double precision, value numeric, value_per_shown numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  gate bytea;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_confidence(confidence);
  gate := cdp_internal.consent_gate('analytics');
  PERFORM (cdp_internal.placement_of(p)).placement_id FROM unnest(offer_performance.placements) p;
  RETURN QUERY
  WITH made AS MATERIALIZED (
    SELECT d.decision_id, d.placement_id, d.arm_id, d.state, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, d.customer_id, NULL) AS root
    FROM cdp_data.offer_decision d
    WHERE d.reason = 'offer' AND (since IS NULL OR d.at >= since) AND (until IS NULL OR d.at < until)
      AND (offer_performance.placements IS NULL OR d.placement_id IN (SELECT p.placement_id FROM cdp_data.offer_placement p WHERE p.name = ANY (offer_performance.placements)))
  ), told AS (
    SELECT m.placement_id, m.arm_id, count(DISTINCT m.decision_id) AS decisions, count(DISTINCT m.root) AS customers, count(*) FILTER (WHERE o.kind = 'shown') AS shown, count(*) FILTER (WHERE o.kind = 'clicked') AS clicked,
      count(*) FILTER (WHERE o.kind = 'accepted') AS accepted, count(*) FILTER (WHERE o.kind = 'rejected') AS rejected, count(*) FILTER (WHERE o.kind = 'dismissed') AS dismissed,
      coalesce(sum(o.value) FILTER (WHERE o.kind = 'accepted'), 0) AS value,
      count(DISTINCT m.root) FILTER (WHERE o.kind = 'shown') AS seers, count(DISTINCT m.root) FILTER (WHERE o.kind = 'clicked') AS clickers, count(DISTINCT m.root) FILTER (WHERE o.kind = 'accepted') AS takers,
      count(DISTINCT m.root) FILTER (WHERE o.kind = 'rejected') AS refusers, count(DISTINCT m.root) FILTER (WHERE o.kind = 'dismissed') AS dismissers
    FROM made m LEFT JOIN cdp_data.offer_outcome o ON o.decision_id = m.decision_id
    WHERE cdp_internal.bitmap_has(gate, m.root)
    GROUP BY m.placement_id, m.arm_id
  ), seen AS (
    -- Figures about too few people, or about all but too few, are not there.
    SELECT t.placement_id, t.arm_id, t.decisions, t.customers, CASE WHEN NOT cdp_internal.few_people(t.seers, t.customers) THEN t.shown END AS shown,
      CASE WHEN NOT cdp_internal.few_people(t.clickers, t.customers) THEN t.clicked END AS clicked, CASE WHEN NOT cdp_internal.few_people(t.takers, t.customers) THEN t.accepted END AS accepted,
      CASE WHEN NOT cdp_internal.few_people(t.refusers, t.customers) THEN t.rejected END AS rejected, CASE WHEN NOT cdp_internal.few_people(t.dismissers, t.customers) THEN t.dismissed END AS dismissed,
      CASE WHEN NOT cdp_internal.few_people(t.takers, t.customers) THEN t.value END AS value
    FROM told t WHERE NOT cdp_internal.few_people(t.customers, NULL)
  )
  SELECT p.name::text, f.name::text, a.arm::text, t.decisions, t.customers, t.shown, t.clicked, t.accepted, t.rejected, t.dismissed, t.accepted::double precision / nullif(t.shown, 0), i.low, i.high, t.value, t.value / nullif(t.shown, 0)
  FROM cdp_data.offer f JOIN cdp_data.offer_arm a ON a.offer_id = f.offer_id JOIN cdp_data.offer_placement p ON p.name = ANY (f.placements) OR EXISTS (SELECT FROM told x WHERE x.placement_id = p.placement_id AND x.arm_id = a.arm_id)
    LEFT JOIN seen t ON t.placement_id = p.placement_id AND t.arm_id = a.arm_id
    LEFT JOIN LATERAL cdp.rate_interval(t.accepted, t.shown, confidence) i ON true
  WHERE offer_performance.placements IS NULL OR p.name = ANY (offer_performance.placements)
  ORDER BY p.name, f.name, a.arm;
END
$$;
COMMENT ON FUNCTION cdp.offer_performance(timestamptz, timestamptz, text[], double precision) IS
'How offers do, a row for each placement, offer and arm, over decisions of since <= as_of < until (NULL: without that end): decisions for it, distinct customers (as merged now), how many were shown, clicked, accepted, rejected and dismissed, rate = accepted / shown with its interval low to high (Wilson 1927, as if decisions were independent), value of what was accepted in the reporting currency, and per shown. placements: only these. Customers whose consent does not allow analytics are left out; figures are NULL for arms without a decision and, with cdp_data.setting.minimum_audience, about fewer customers, or about all but fewer. Rates of arms that a policy chose are about those to whom it gave them: what another policy would bring, cdp.offer_policy_value() tells. Reads only. Errors: 42704 no such placement, 22023 confidence, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_target(policy jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys constant text[] := '{method,epsilon,offer,arm}';
  wrong text;
  arms integer[];
BEGIN
  IF jsonb_typeof(policy) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'a policy to be judged is a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"method": "thompson"} or {"method": "offer", "offer": "gift"}.';
  END IF;
  SELECT k INTO wrong FROM jsonb_object_keys(policy) k WHERE k <> ALL (keys) ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown key "%" of a policy to be judged', left(wrong, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, keys, format('Keys are: %s.', array_to_string(keys, ', ')));
  END IF;
  PERFORM cdp_internal.require_choice('method of a policy to be judged', policy ->> 'method', '{thompson,value,uniform,offer,logged}');
  policy := '{"epsilon": 0}' || policy;
  IF NOT (CASE WHEN jsonb_typeof(policy -> 'epsilon') = 'number' THEN (policy ->> 'epsilon')::numeric = 0 OR (policy ->> 'epsilon')::numeric BETWEEN 0.000001 AND 1 ELSE false END) THEN
    RAISE EXCEPTION 'epsilon must lie between 0 and 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', left(policy ->> 'epsilon', 50)), HINT = '0, or 0.000001 to 1.';
  ELSIF policy ->> 'method' = 'offer' THEN
    arms := ARRAY(SELECT a.arm_id FROM cdp_data.offer_arm a WHERE a.offer_id = cdp_internal.offer_of(policy ->> 'offer') AND (policy ->> 'arm' IS NULL OR a.arm = policy ->> 'arm'));
    IF arms = '{}' THEN
      RAISE EXCEPTION 'the offer has no arm "%"', left(policy ->> 'arm', 100) USING ERRCODE = 'undefined_object';
    END IF;
    policy := policy || jsonb_build_object('arms', arms);
  END IF;
  RETURN policy;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_target(jsonb) IS
'A policy that is to be judged with its defaults, and the numbers of its arms. Errors: 22023 no such method or key, epsilon; 42704 no such offer or arm.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_targets(target jsonb, arms integer[], worths double precision[], a double precision[], b double precision[], means double precision[], logged double precision[]) RETURNS double precision[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  method text := target ->> 'method';
  epsilon double precision := target ->> 'epsilon';
  own integer[];
  n integer := cardinality(arms);
BEGIN
  IF method IN ('thompson', 'value') THEN
    RETURN (cdp_internal.offer_choose(method, epsilon, 0, '{}', arms::bigint[], worths, a, b, means)).propensities;
  ELSIF method = 'uniform' THEN
    RETURN array_fill(1::double precision / n, ARRAY[n]);
  ELSIF method = 'logged' THEN
    RETURN logged;
  END IF;
  own := ARRAY(SELECT x::integer FROM jsonb_array_elements_text(target -> 'arms') x);
  own := ARRAY(SELECT x FROM unnest(own) x WHERE x = ANY (arms));
  IF own = '{}' THEN
    RETURN logged;
  END IF;
  RETURN ARRAY(SELECT epsilon / n + (1 - epsilon) * CASE WHEN arms[i] = ANY (own) THEN 1.0 / cardinality(own) ELSE 0 END FROM generate_subscripts(arms, 1) i ORDER BY i);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_targets(jsonb, integer[], double precision[], double precision[], double precision[], double precision[], double precision[]) IS
'With what probability a policy that is to be judged would have taken each of the arms that a decision ranked, by what was known then. Policy offer: its arms, each as likely, where they are possible, else as the log did.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_log(placement text, since timestamptz, until timestamptz, target jsonb, reward text)
RETURNS TABLE (decision_id bigint, root bigint, arm_id integer, r double precision, arms integer[], p double precision[], t double precision[], k integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  id integer := (cdp_internal.placement_of(placement)).placement_id;
  gate bytea := cdp_internal.consent_gate('analytics');
BEGIN
  RETURN QUERY
  WITH made AS MATERIALIZED (
    SELECT d.decision_id, d.arm_id, d.candidates, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, d.customer_id, NULL) AS root,
      CASE reward WHEN 'value' THEN coalesce(o.value, 0)::double precision ELSE (o.decision_id IS NOT NULL)::integer::double precision END AS r
    FROM cdp_data.offer_decision d LEFT JOIN cdp_data.offer_outcome o ON o.decision_id = d.decision_id AND o.kind = CASE reward WHEN 'clicked' THEN 'clicked' ELSE 'accepted' END
    WHERE d.placement_id = id AND d.reason = 'offer' AND d.state = 'shown' AND (since IS NULL OR d.at >= since) AND (until IS NULL OR d.at < until)
  ), ranked AS (
    SELECT m.decision_id, m.root, m.arm_id, m.r, c.arms, c.worths, c.a, c.b, c.means, c.p
    FROM made m CROSS JOIN LATERAL (
      SELECT array_agg((e.value ->> 'arm')::integer ORDER BY e.nth) AS arms, array_agg((e.value ->> 'worth')::double precision ORDER BY e.nth) AS worths, array_agg((e.value ->> 'a')::double precision ORDER BY e.nth) AS a,
        array_agg((e.value ->> 'b')::double precision ORDER BY e.nth) AS b, array_agg((e.value ->> 'mean')::double precision ORDER BY e.nth) AS means, array_agg((e.value ->> 'p')::double precision ORDER BY e.nth) AS p
      FROM jsonb_array_elements(m.candidates) WITH ORDINALITY AS e (value, nth) WHERE e.value ? 'p') c
    WHERE cdp_internal.bitmap_has(gate, m.root)
  )
  SELECT x.decision_id, x.root, x.arm_id, x.r, x.arms, x.p, cdp_internal.offer_targets(target, x.arms, x.worths, x.a, x.b, x.means, x.p), array_position(x.arms, x.arm_id) FROM ranked x;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_log(text, timestamptz, timestamptz, jsonb, text) IS
'Decisions of a placement that were shown, of customers whose data may be analysed: the customer as merged now, the arm taken, its reward, the arms that were ranked with the probabilities of the log (p) and of the policy to be judged (t), and which of them was taken (k).';

CREATE OR REPLACE FUNCTION cdp.offer_policy_value(placement text, policy jsonb, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, reward text DEFAULT 'accepted', confidence double precision DEFAULT 0.95)
RETURNS TABLE (estimator text, estimate double precision, standard_error double precision, low double precision, high double precision, decisions bigint, customers bigint,
  effective_decisions double precision, max_weight double precision, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  target jsonb;
  reach double precision;
  s record;
BEGIN
  PERFORM cdp_internal.require_setup();
  target := cdp_internal.offer_target(policy);
  PERFORM cdp_internal.require_choice('reward', reward, '{accepted,clicked,value}');
  PERFORM cdp_internal.require_confidence(confidence);
  WITH log AS MATERIALIZED (
    SELECT l.*, l.t[l.k] / l.p[l.k] AS w, cdp_internal.in_sample(l.root, 0.5)::integer AS half FROM cdp_internal.offer_log(offer_policy_value.placement, since, until, target, reward) l WHERE l.k IS NOT NULL AND l.p[l.k] > 0
  ), total AS MATERIALIZED (
    SELECT count(*)::double precision AS n, count(DISTINCT l.root) AS people, avg(l.r ORDER BY l.decision_id) AS mean, sum(l.w * l.r ORDER BY l.decision_id) AS wr, sum(l.w ORDER BY l.decision_id) AS w,
      sum(l.w * l.w ORDER BY l.decision_id) AS ww, max(l.w) AS top FROM log l
  ), cell AS MATERIALIZED ( -- what each arm brought, in all and without each half
    SELECT l.arm_id, count(*)::double precision AS n, avg(l.r ORDER BY l.decision_id) AS q, coalesce(var_samp(l.r), 0) AS v,
      coalesce(avg(l.r ORDER BY l.decision_id) FILTER (WHERE l.half <> 0), 0) AS q0, coalesce(avg(l.r ORDER BY l.decision_id) FILTER (WHERE l.half <> 1), 0) AS q1 FROM log l GROUP BY l.arm_id
  ), part AS MATERIALIZED (
    SELECT l.decision_id, x.arm, x.t, x.p, c.q, c.n AS seen, coalesce(CASE l.half WHEN 0 THEN c.q0 ELSE c.q1 END, 0) AS other
    FROM log l CROSS JOIN LATERAL unnest(l.arms, l.t, l.p) AS x (arm, t, p) LEFT JOIN cell c ON c.arm_id = x.arm
  ), line AS MATERIALIZED (
    SELECT p.decision_id, sum(p.t * coalesce(p.q, 0) ORDER BY p.arm) AS direct, sum(p.t * p.other ORDER BY p.arm) AS other, coalesce(sum(p.t ORDER BY p.arm) FILTER (WHERE p.p < 1e-12 AND p.t > 1e-12), 0) AS beyond,
      coalesce(sum(p.t ORDER BY p.arm) FILTER (WHERE p.seen IS NULL AND p.t > 1e-12), 0) AS unseen FROM part p GROUP BY p.decision_id
  ), whole AS MATERIALIZED (
    SELECT l.decision_id, l.root, l.r, l.w, n.direct, n.beyond, n.unseen, n.other + l.w * (l.r - CASE l.half WHEN 0 THEN c.q0 ELSE c.q1 END) AS robust
    FROM log l JOIN line n USING (decision_id) JOIN cell c ON c.arm_id = l.arm_id
  ), mean AS MATERIALIZED (
    SELECT avg(h.robust ORDER BY h.decision_id) AS robust, avg(h.direct ORDER BY h.decision_id) AS direct, count(*) FILTER (WHERE h.beyond > 0) AS beyond_n, sum(h.beyond ORDER BY h.decision_id) AS beyond, sum(h.unseen ORDER BY h.decision_id) AS unseen FROM whole h
  ), spread AS ( -- customers, not decisions, are independent
    SELECT sum(y.logged * y.logged ORDER BY y.root) AS logged, sum(y.ips * y.ips ORDER BY y.root) AS ips, sum(y.snips * y.snips ORDER BY y.root) AS snips, sum(y.robust * y.robust ORDER BY y.root) AS robust, sum(y.direct * y.direct ORDER BY y.root) AS direct
    FROM (SELECT h.root, sum(h.r - g.mean ORDER BY h.decision_id) AS logged, sum(h.w * h.r - g.wr / g.n ORDER BY h.decision_id) AS ips, sum(h.w * (h.r - g.wr / nullif(g.w, 0)) ORDER BY h.decision_id) AS snips,
        sum(h.robust - m.robust ORDER BY h.decision_id) AS robust, sum(h.direct - m.direct ORDER BY h.decision_id) AS direct
      FROM whole h CROSS JOIN total g CROSS JOIN mean m GROUP BY h.root) y
  ), learnt AS ( -- what is not known of the arms themselves
    SELECT sum(x.share * x.share * c.v / c.n ORDER BY c.arm_id) AS v FROM cell c JOIN (SELECT p.arm, sum(p.t ORDER BY p.decision_id) / (SELECT g.n FROM total g) AS share FROM part p GROUP BY p.arm) x ON x.arm = c.arm_id
  )
  SELECT g.n, g.people, g.mean, g.wr, g.w, g.ww, g.top, m.robust, m.direct, m.beyond_n, m.beyond, m.unseen, p.logged AS logged_s, p.ips AS ips_s, p.snips AS snips_s, p.robust AS robust_s, p.direct AS direct_s, e.v AS learnt
  INTO s FROM total g CROSS JOIN mean m CROSS JOIN spread p CROSS JOIN learnt e;
  PERFORM cdp.require_audience(s.people, 'the value of a policy');
  IF s.people > 1 THEN
    reach := cdp.student_quantile((1 + confidence) / 2, (s.people - 1)::double precision);
  END IF;
  RETURN QUERY
  SELECT x.estimator, x.estimate, x.se, x.estimate - reach * x.se, x.estimate + reach * x.se, s.n::bigint, s.people, s.w * s.w / nullif(s.ww, 0), s.top, x.note
  FROM (
    SELECT v.nth, v.estimator, CASE WHEN v.note IS NULL THEN v.estimate END AS estimate, CASE WHEN v.note IS NULL AND s.people > 1 THEN sqrt(v.variance) END AS se, v.note
    FROM (
      SELECT 1 AS nth, 'logged' AS estimator, s.mean AS estimate, s.people::double precision / nullif(s.people - 1, 0) * s.logged_s / (s.n * s.n) AS variance, CASE WHEN s.n = 0 THEN 'no decision was shown' END AS note
      UNION ALL SELECT 2, 'ips', s.wr / nullif(s.n, 0), s.people::double precision / nullif(s.people - 1, 0) * s.ips_s / (s.n * s.n), f.refused FROM (SELECT 1) one CROSS JOIN LATERAL (SELECT CASE WHEN s.n = 0 THEN 'no decision was shown'
        WHEN s.beyond > 0 THEN format('no estimate: in %s of %s decisions the policy takes arms, with a share of %s of all, that the log could not take; explore with epsilon or thompson first', s.beyond_n, s.n, round((s.beyond / s.n)::numeric, 4)) END AS refused) f
      UNION ALL SELECT 3, 'self-normalised ips', s.wr / nullif(s.w, 0), s.people::double precision / nullif(s.people - 1, 0) * s.snips_s / nullif(s.w * s.w, 0), CASE WHEN s.n = 0 THEN 'no decision was shown' WHEN s.beyond > 0 THEN 'no estimate: as for ips'
        WHEN s.w = 0 THEN 'no estimate: the policy takes nothing that was taken' END
      UNION ALL SELECT 4, 'doubly robust', s.robust, s.people::double precision / nullif(s.people - 1, 0) * s.robust_s / (s.n * s.n), CASE WHEN s.n = 0 THEN 'no decision was shown' WHEN s.beyond > 0 THEN 'no estimate: as for ips' END
      UNION ALL SELECT 5, 'direct', s.direct, s.people::double precision / nullif(s.people - 1, 0) * s.direct_s / (s.n * s.n) + s.learnt, CASE WHEN s.n = 0 THEN 'no decision was shown' WHEN s.unseen > 0 THEN 'no estimate: the policy takes arms of which no outcome is known' END) v) x
  ORDER BY x.nth;
END
$$;
COMMENT ON FUNCTION cdp.offer_policy_value(text, jsonb, timestamptz, timestamptz, text, double precision) IS
'What a policy would have brought per shown offer, from the decisions of another one: SELECT * FROM cdp.offer_policy_value(''home'', ''{"method": "offer", "offer": "gift"}''). policy: method thompson or value (with epsilon), uniform, logged, or offer (this offer, or its arm, where it was among those ranked, else as the log did); it is asked about the arms that were ranked, by what was known then. Over decisions of the placement of since <= as_of < until that were shown, reward per decision: accepted, clicked (0 or 1) or value of what was accepted (reporting currency). Rows: logged, what the log itself brought; ips, inverse propensity weighting (Horvitz and Thompson 1952): unbiased; self-normalised ips (Hajek 1964): less spread, biased for few; doubly robust (Dudik, Langford and Li 2011), its model of each arm from the other half of customers: unbiased; direct: the mean of each arm where it was given, right only when arms were given regardless of who would accept them. standard_error is over customers, whose decisions are not independent; low to high its interval by Student''s t. effective_decisions = (sum of weights)^2 / sum of squares; max_weight: a large one makes estimates depend on single decisions. note says why there is no estimate: the policy takes arms that the log could not take. Customers whose consent does not allow analytics are left out. Reads only. Errors: 42704 no such placement, offer or arm; 22023 a bad policy, reward or confidence; 42501 fewer customers than cdp_data.setting.minimum_audience; 55000 before cdp.setup().';
