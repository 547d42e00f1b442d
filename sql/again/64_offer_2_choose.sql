-- Activation room, offers: what is possible for whom, and the choice among it. Everything here only reads; decisions are
-- kept by 64_offer_3_decide.sql.

CREATE OR REPLACE FUNCTION cdp_internal.offer_choose(method text, epsilon double precision, seed bigint, inputs bigint[], arms bigint[], worth double precision[],
  a double precision[], b double precision[], means double precision[], OUT chosen integer, OUT scores double precision[], OUT propensities double precision[])
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_offer_choose';
COMMENT ON FUNCTION cdp_internal.offer_choose(text, double precision, bigint, bigint[], bigint[], double precision[], double precision[], double precision[], double precision[]) IS
'The choice among 1 to 200 arms: chosen (from 1), the score of each, and the probability with which each is chosen. method thompson: score = worth times a draw from Beta(a, b), propensity the probability that this is the largest (cdp_internal.offer_propensity()); value: score = worth times mean, propensity 1 for the largest. The largest score wins, of equal ones the first. With probability epsilon any arm is taken instead, each as likely. Draws depend on seed, inputs and the number of the arm only, bit for bit on any machine: a counter through the finaliser of SplitMix64 (Steele, Lea and Flood 2014), normal by the polar method, gamma by Marsaglia and Tsang (2000), beta as a gamma among two. NULL when an argument is NULL. Errors: 22023 a, b, worth, means or epsilon out of range, unknown method, arrays of different length; 22004 a NULL within; 54000 too many arms.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_propensity(a double precision[], b double precision[], worth double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_offer_propensity';
COMMENT ON FUNCTION cdp_internal.offer_propensity(double precision[], double precision[], double precision[]) IS
'For each arm the probability that worth times a draw from Beta(a, b) is the largest of all, by numerical integration; errors below 1e-9, they add up to 1. NULL when an argument is NULL. Errors as cdp_internal.offer_choose().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_draws(seed bigint, inputs bigint[], stream bigint, a double precision, b double precision, n integer) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_offer_draws';
COMMENT ON FUNCTION cdp_internal.offer_draws(bigint, bigint[], bigint, double precision, double precision, integer) IS
'The first n draws from Beta(a, b) of a stream (number of an arm); the first is what a decision with that seed and those inputs draws for that arm. NULL when an argument is NULL. Error 22023: n, a or b out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_posteriors(placement_id integer, policy jsonb, as_of timestamptz)
RETURNS TABLE (arm_id integer, a double precision, b double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  today date := (as_of AT TIME ZONE 'UTC')::date;
  since date := today - (policy ->> 'window')::numeric::integer + 1;
  half_life double precision := policy ->> 'half_life';
BEGIN
  RETURN QUERY
  SELECT x.arm_id, (policy #>> '{prior,0}')::double precision + x.wins, (policy #>> '{prior,1}')::double precision + greatest(x.tries - x.wins, 0)
  FROM (
    -- By the day and in its order: the same sum to the last bit, whatever the order of rows.
    SELECT d.arm_id, coalesce(sum(d.n * d.weight ORDER BY d.day) FILTER (WHERE d.kind = policy ->> 'success'), 0) AS wins, coalesce(sum(d.n * d.weight ORDER BY d.day) FILTER (WHERE d.kind = 'shown'), 0) AS tries
    FROM (
      SELECT u.arm_id, u.day, u.kind, sum(u.n)::double precision AS n, CASE WHEN half_life IS NULL THEN 1 WHEN today - u.day > 1000 * half_life THEN 0 ELSE power(0.5::double precision, (today - u.day) / half_life) END AS weight
      FROM (
        SELECT t.arm_id, t.day, t.kind, t.n FROM cdp_data.offer_tally t WHERE t.placement_id = placement_id
        UNION ALL
        SELECT e.arm_id, (e.at AT TIME ZONE 'UTC')::date, o.kind, 1
        FROM cdp_data.offer_outcome o JOIN cdp_data.offer_decision e USING (decision_id) WHERE NOT o.tallied AND e.placement_id = placement_id) u
      WHERE u.day <= today AND (since IS NULL OR u.day >= since)
      GROUP BY u.arm_id, u.day, u.kind) d
    GROUP BY d.arm_id) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_posteriors(integer, jsonb, timestamptz) IS
'For each arm with outcomes at a placement the beta posterior of its success as of a moment: a = prior successes + successes, b = prior failures + shown less successes, over decisions of the days (UTC) that the window of the policy takes, weighted by its half-life. Arms without outcomes have no row: the prior holds.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_late(offer_id integer, as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT count(*) FROM cdp_data.offer_decision d WHERE d.offer_id = offer_late.offer_id AND d.state = 'reserved' AND d.stocked AND d.lease_until <= offer_late.as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_late(integer, timestamptz) IS 'How many of the stock of an offer are reserved by leases that have ended by a moment: the next decision gives them back first.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_score_check(score jsonb, purpose text, names jsonb DEFAULT NULL) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What a rule may compare with a number, a score may be.
  IF jsonb_typeof(score) = 'object' THEN
    RETURN QUERY SELECT c.code, c.message, c.hint FROM cdp_internal.segment_check_as(jsonb_build_object('where', score || '{"gte": 0}'), purpose, NULL, names) c WHERE c.severity = 'error' LIMIT 1;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_score_check(jsonb, text, jsonb) IS
'Why a score ({"trait": name} or {"attr": name}) can not rank offers of a purpose: it is not there, no number, or not for the purpose. No row when it can, or for NULL. names: cdp_internal.segment_catalog(), NULL: looked up.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_field(placement text, policy jsonb, as_of timestamptz, names jsonb)
RETURNS TABLE (nth integer, offer_id integer, arm_id integer, version integer, purpose text, channel text, priority integer, worth double precision, score jsonb,
  a double precision, b double precision, cap_count integer, cap_within interval, stocked boolean, refused text, rule jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  id integer := (SELECT p.placement_id FROM cdp_data.offer_placement p WHERE p.name = placement);
BEGIN
  RETURN QUERY
  SELECT (row_number() OVER (ORDER BY o.offer_id, r.arm_id))::integer, o.offer_id, r.arm_id, o.version, o.purpose, o.channel, o.priority, (o.value * o.margin)::double precision, o.score,
    coalesce(p.a, (policy #>> '{prior,0}')::double precision), coalesce(p.b, (policy #>> '{prior,1}')::double precision), o.cap_count, o.cap_within, s.offer_id IS NOT NULL,
    CASE WHEN o.state = 'paused' THEN 'paused' WHEN NOT r.enabled THEN 'arm off' WHEN as_of < o.starts_at THEN 'not yet' WHEN as_of >= o.ends_at THEN 'over' WHEN c.broken THEN 'rule' WHEN s."left" = 0 AND cdp_internal.offer_late(o.offer_id, as_of) = 0 THEN 'stock' END, v.rule
  FROM cdp_data.offer o JOIN cdp_data.offer_version v ON v.offer_id = o.offer_id AND v.version = o.version JOIN cdp_data.offer_arm r ON r.offer_id = o.offer_id
    LEFT JOIN cdp_data.offer_stock s ON s.offer_id = o.offer_id LEFT JOIN cdp_internal.offer_posteriors(id, policy, as_of) p ON p.arm_id = r.arm_id
    -- What a rule names may be gone since it was kept, or no longer be for its purpose.
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM cdp_internal.segment_check_as(v.rule, o.purpose, NULL, names) k WHERE k.severity = 'error')
      OR policy ->> 'method' = 'value' AND EXISTS (SELECT FROM cdp_internal.offer_score_check(o.score, o.purpose, names))
      OR NOT EXISTS (SELECT FROM cdp_data.purpose_all u WHERE u.name = o.purpose) AS broken OFFSET 0) c
  WHERE o.state IN ('active', 'paused') AND placement = ANY (o.placements);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_field(text, jsonb, timestamptz, jsonb) IS
'The arms of all active and paused offers of a placement with what does not depend on the customer; refused: why nobody gets it (paused, arm off, not yet, over, rule: it, or the score that the policy ranks by, no longer checks, stock), NULL: somebody may. names: cdp_internal.segment_catalog().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_members(rules jsonb, roots bigint[], as_of timestamptz, names jsonb) RETURNS TABLE (nth integer, members bytea)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  plan jsonb;
  n integer := jsonb_array_length(rules);
BEGIN
  IF n = 0 THEN
    RETURN;
  END IF;
  -- Rules that name nothing that stands on more need no second catalogue.
  plan := CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(rules) r CROSS JOIN LATERAL cdp_internal.rule_uses(r.value) u WHERE u.what IN ('segment', 'rank', 'channel', 'channel_group', 'campaign'))
    THEN cdp_internal.unsaved_plan(rules, offer_members.as_of)
    ELSE cdp_internal.rule_plan((SELECT jsonb_agg(jsonb_build_object('id', r.nth, 'name', rpad('rule ' || r.nth, 201), 'rule', r.value) ORDER BY r.nth) FROM jsonb_array_elements(rules) WITH ORDINALITY AS r (value, nth)), names, offer_members.as_of) END;
  -- The rules are the last segments of the plan, and their numbers above all others.
  RETURN QUERY
  SELECT (n - x.back + 1)::integer, x.members
  FROM (SELECT r.members, row_number() OVER (ORDER BY r.segment_id DESC) AS back
    FROM cdp_internal.segment_results(plan, NULL, roots, cdp_internal.segment_population(roots)) r) x
  WHERE x.back <= n;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_members(jsonb, bigint[], timestamptz, jsonb) IS
'Which of these roots each of an array of canonical rules (nth from 1) has as of a moment, as Roaring bitmaps: exactly who would be in a segment of that rule. Customers whose consent does not allow analytics are in none. names: cdp_internal.segment_catalog().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_given(roots bigint[], as_of timestamptz, since timestamptz)
RETURNS TABLE (customer_id bigint, placement_id integer, offer_id integer, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  merged boolean := EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id);
BEGIN
  IF since IS NULL THEN
    RETURN;
  ELSIF NOT merged THEN
    RETURN QUERY
    SELECT d.customer_id, d.placement_id, d.offer_id, d.at FROM cdp_data.offer_decision d
    WHERE d.customer_id = ANY (roots) AND d.at > offer_given.since AND d.at <= offer_given.as_of AND (d.state = 'shown' OR d.state = 'reserved' AND d.lease_until > offer_given.as_of);
    RETURN;
  END IF;
  RETURN QUERY
  SELECT r.root, d.placement_id, d.offer_id, d.at
  FROM unnest(roots) AS r (root) CROSS JOIN LATERAL cdp_internal.customers_under(r.root) AS u (id) JOIN cdp_data.offer_decision d ON d.customer_id = u.id
  WHERE d.at > offer_given.since AND d.at <= offer_given.as_of AND (d.state = 'shown' OR d.state = 'reserved' AND d.lease_until > offer_given.as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_given(bigint[], timestamptz, timestamptz) IS
'Offers that these roots, or who was merged into them, were given after since and up to a moment, that moment included: shown ones, and reserved ones whose lease runs. No row without since.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_scores(score jsonb, roots bigint[]) RETURNS TABLE (customer_id bigint, value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  entry jsonb;
BEGIN
  IF score ? 'trait' THEN
    RETURN QUERY SELECT v.customer_id, v.value FROM cdp_data.trait t JOIN cdp_data.trait_value v USING (trait_id) WHERE t.name = score ->> 'trait' AND v.customer_id = ANY (roots);
    RETURN;
  END IF;
  entry := cdp_internal.segment_attributes() -> (score ->> 'attr');
  RETURN QUERY EXECUTE CASE WHEN entry ? 'column'
    THEN format('SELECT p.customer_id, p.%I::double precision FROM cdp_data.profile p WHERE p.customer_id = ANY ($1)', entry ->> 'column')
    ELSE format('SELECT p.customer_id, CASE WHEN jsonb_typeof(p.%I -> $2) = ''number'' THEN (p.%1$I ->> $2)::double precision END FROM cdp_data.profile p WHERE p.customer_id = ANY ($1)', entry ->> 'json') END
  USING roots, score ->> 'attr';
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_scores(jsonb, bigint[]) IS
'The values of a score ({"trait": name} or {"attr": name}) of these roots, as kept; roots without one have no row or NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_refusals(field jsonb, roots bigint[], as_of timestamptz, names jsonb, placement_id integer, cap_count integer, cap_within interval)
RETURNS TABLE (customer_id bigint, capped boolean, refused text[], means double precision[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  f record;
  rules jsonb[];
  members bytea[];
  gates bytea[];
  gate bytea;
  purpose record;
  since timestamptz := as_of - cap_within;
BEGIN
  -- Of offers with nothing against them for everybody; each rule once, whatever the number of arms.
  rules := ARRAY(SELECT DISTINCT e.value -> 'rule' FROM jsonb_array_elements(field) e WHERE e.value ->> 'refused' IS NULL);
  SELECT array_agg(m.members ORDER BY m.nth) INTO members FROM cdp_internal.offer_members(to_jsonb(rules), roots, as_of, names) m;
  members := ARRAY(SELECT CASE WHEN e.value ->> 'refused' IS NULL THEN members[array_position(rules, e.value -> 'rule')] END FROM jsonb_array_elements(field) WITH ORDINALITY AS e (value, nth) ORDER BY e.nth);
  FOR f IN SELECT e.nth::integer AS nth, e.value ->> 'purpose' AS purpose, e.value ->> 'channel' AS channel, e.value ->> 'refused' AS refused, (e.value ->> 'cap_within')::interval AS cap_within
    FROM jsonb_array_elements(field) WITH ORDINALITY AS e (value, nth) ORDER BY e.nth
  LOOP
    -- Moments are compared: a month may be longer than 30 days.
    since := least(since, as_of - f.cap_within);
    IF f.refused IS NULL THEN
      purpose := cdp_internal.purpose_of(f.purpose);
      gate := cdp_internal.consent_bitmap_of(purpose.purpose_id, purpose.rule, f.channel, CASE WHEN cardinality(roots) <= 1000 THEN roots END);
    END IF;
    gates[f.nth] := CASE WHEN f.refused IS NULL THEN gate END;
  END LOOP;
  RETURN QUERY
  WITH arm AS MATERIALIZED (
    SELECT e.nth::integer AS nth, (e.value ->> 'offer_id')::integer AS offer_id, e.value ->> 'refused' AS refused, (e.value ->> 'cap_count')::integer AS cap_count, (e.value ->> 'cap_within')::interval AS cap_within,
      e.value -> 'score' AS score, (e.value ->> 'a')::double precision / ((e.value ->> 'a')::double precision + (e.value ->> 'b')::double precision) AS mean
    FROM jsonb_array_elements(field) WITH ORDINALITY AS e (value, nth)
  ), given AS MATERIALIZED (
    SELECT * FROM cdp_internal.offer_given(roots, as_of, since)
  ), spent AS MATERIALIZED (
    SELECT g.customer_id, a.nth FROM arm a JOIN given g ON g.offer_id = a.offer_id WHERE g.at > as_of - a.cap_within GROUP BY g.customer_id, a.nth, a.cap_count HAVING count(*) >= a.cap_count
  ), full_up AS MATERIALIZED (
    SELECT g.customer_id FROM given g WHERE g.placement_id = placement_id AND g.at > as_of - cap_within GROUP BY g.customer_id HAVING count(*) >= cap_count
  ), fit AS MATERIALIZED ( -- a set is opened once, not asked for each customer
    SELECT a.nth, m.id FROM arm a CROSS JOIN LATERAL cdp.roaring_ids(members[a.nth]) AS m (id)
  ), scored AS MATERIALIZED (
    SELECT s.customer_id, a.nth, s.value AS score FROM arm a CROSS JOIN LATERAL cdp_internal.offer_scores(a.score, roots) s WHERE jsonb_typeof(a.score) = 'object'
  )
  SELECT r.root, h.customer_id IS NOT NULL,
    array_agg(CASE WHEN a.refused IS NOT NULL THEN a.refused WHEN NOT cdp_internal.bitmap_has(gates[a.nth], r.root) THEN 'consent' WHEN t.id IS NULL THEN 'not eligible'
      WHEN s.nth IS NOT NULL THEN 'cap' WHEN jsonb_typeof(a.score) = 'object' AND coalesce(NOT c.score BETWEEN 0 AND 1, true) THEN 'no score' END ORDER BY a.nth),
    array_agg(CASE WHEN jsonb_typeof(a.score) = 'object' THEN CASE WHEN c.score BETWEEN 0 AND 1 THEN c.score ELSE 0 END ELSE a.mean END ORDER BY a.nth)
  FROM unnest(roots) AS r (root) LEFT JOIN full_up h ON h.customer_id = r.root CROSS JOIN arm a LEFT JOIN spent s ON s.customer_id = r.root AND s.nth = a.nth
    LEFT JOIN scored c ON c.customer_id = r.root AND c.nth = a.nth LEFT JOIN fit t ON t.id = r.root AND t.nth = a.nth
  GROUP BY r.root, h.customer_id ORDER BY r.root;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_refusals(jsonb, bigint[], timestamptz, jsonb, integer, integer, interval) IS
'For each of these roots and each arm of the field (array of rows of cdp_internal.offer_field()) why he may not have it: what the field says, consent, not eligible, cap, no score; NULL: he may. means: expected success by score or posterior. capped: he has had as many offers at the placement as its cap lets him. A field without arms gives no row.';
