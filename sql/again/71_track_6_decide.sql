-- Referral room, tracking: what the attribution means for the referrals that are there. Who is referred stands in the events; what
-- somebody decided about suspicion stays; each change is a row of cdp_data.referral_decision.

CREATE OR REPLACE FUNCTION cdp_internal.referral_rows(roots bigint[], of_level smallint DEFAULT 1)
RETURNS TABLE (root bigint, referral_id bigint, campaign_group text, is_test boolean, state text, reason text, referrer_root bigint, first_conversion_id bigint, attributed_at timestamptz, recorded_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan SET enable_nestloop = on
AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(roots) > 100 THEN
    PERFORM set_config('enable_nestloop', 'off', true);
  END IF;
  RETURN QUERY
  WITH mem AS MATERIALIZED (SELECT m.root_id AS root, m.identifier_id, m.home_id FROM cdp_internal.members_of(roots) m)
  SELECT m.root, r.referral_id, r.campaign_group::text, r.is_test, r.state::text, r.reason::text, coalesce(cdp_internal.root_of(r.referrer_id), r.referrer_id), r.first_conversion_id, r.attributed_at, c.recorded_at
  FROM (SELECT DISTINCT x.root, x.home_id FROM mem x) h
    CROSS JOIN LATERAL (SELECT y.* FROM cdp_data.referral_conversion y WHERE y.customer_id = h.home_id OFFSET 0) c
    JOIN mem m ON m.identifier_id = c.identifier_id AND m.root = h.root
    JOIN cdp_data.referral r ON r.first_conversion_id = c.referral_conversion_id AND r.level = of_level;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rows(bigint[], smallint) IS
'The referrals of a level whose conversion belongs to these roots now.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_note(changes jsonb, actor text, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.referral_decision (referral_id, from_state, to_state, reason, actor, as_of, fraud_score_id, evidence)
  SELECT c.referral_id, c.from_state, r.state, r.reason, referral_note.actor, referral_note.as_of, c.fraud_score_id, r.evidence
  FROM jsonb_to_recordset(changes) AS c (referral_id bigint, from_state text, fraud_score_id bigint) JOIN cdp_data.referral r USING (referral_id) ORDER BY c.referral_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_note(jsonb, text, timestamptz) IS
'Adds the decisions that brought referrals to where they are now: [{"referral_id", "from_state", "fraud_score_id"}].';

CREATE OR REPLACE FUNCTION cdp_internal.referral_choose(roots bigint[], as_of timestamptz)
RETURNS TABLE (referral_id bigint, from_state text, state text, reason text, wanted jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_custom_plan SET enable_nestloop = on
AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(roots) > 100 THEN
    PERFORM set_config('enable_nestloop', 'off', true);
  END IF;
  RETURN QUERY
  WITH seen AS MATERIALIZED (
    SELECT h.*, coalesce((SELECT d.to_state FROM cdp_data.referral_decision d WHERE d.referral_id = h.referral_id AND d.to_state IN ('approved', 'review', 'rejected') ORDER BY d.referral_decision_id DESC LIMIT 1) = 'rejected', false) AS was_rejected
    FROM cdp_internal.referral_rows(roots) h
  ), have AS MATERIALIZED ( -- rejected: the advocate was found to be none for this person, by whatever conversion and code
    SELECT h.*, bool_or(h.was_rejected) OVER a AND NOT bool_or(h.state = 'approved') OVER a AS rejected FROM seen h WINDOW a AS (PARTITION BY h.root, h.campaign_group, h.is_test, h.referrer_root)
  ), want AS MATERIALIZED (
    SELECT a.* FROM cdp_internal.referral_attribute(roots, as_of, (
      SELECT coalesce(jsonb_agg(jsonb_build_object('root', h.root, 'campaign_group', h.campaign_group, 'is_test', h.is_test, 'advocate_root', h.referrer_root)), '[]') FROM have h WHERE h.rejected)) a
  ), chosen AS MATERIALIZED (
    SELECT w.* FROM want w WHERE w.place = 1
  ), keeper AS MATERIALIZED (
    SELECT DISTINCT ON (c.root, c.campaign_group, c.is_test) c.root, c.campaign_group, c.is_test, h.referral_id, h.state, h.reason, h.rejected
    FROM chosen c JOIN have h ON h.root = c.root AND h.campaign_group = c.campaign_group AND h.is_test = c.is_test AND h.referrer_root = c.advocate_root
    ORDER BY c.root, c.campaign_group, c.is_test, array_position('{approved,review,pending,rejected,ineligible,duplicate}'::text[], h.state), h.first_conversion_id <> c.referral_conversion_id, h.attributed_at, h.referral_id
  )
  SELECT k.referral_id, k.state,
    CASE WHEN c.reason IS NOT NULL THEN 'ineligible'
      WHEN k.state IN ('pending', 'approved', 'review', 'rejected') THEN k.state
      WHEN c.is_test THEN 'approved'
      WHEN k.rejected THEN 'rejected'
      -- Who was taken for one with others, and is parted from them, is looked at by somebody.
      WHEN cdp_internal.parted_since(c.root, v.recorded_at) THEN 'review'
      ELSE 'pending' END,
    CASE WHEN c.reason IS NOT NULL THEN c.reason
      WHEN k.state IN ('pending', 'approved', 'review', 'rejected') THEN k.reason
      WHEN c.is_test THEN 'test'
      WHEN k.rejected THEN 'fraud_score'
      WHEN cdp_internal.parted_since(c.root, v.recorded_at) THEN 'unmerged' END,
    to_jsonb(c) - 'place' - 'reason'
  FROM chosen c JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = c.referral_conversion_id
    LEFT JOIN keeper k ON k.root = c.root AND k.campaign_group = c.campaign_group AND k.is_test = c.is_test
  UNION ALL
  SELECT h.referral_id, h.state, CASE WHEN w.root IS NOT NULL AND w.reason IS NULL THEN 'duplicate' ELSE 'ineligible' END,
    CASE WHEN w.root IS NULL THEN 'no_evidence' WHEN w.reason IS NULL THEN 'already_referred' ELSE w.reason END, NULL
  FROM have h LEFT JOIN keeper k USING (root, campaign_group, is_test)
    LEFT JOIN want w ON w.root = h.root AND w.campaign_group = h.campaign_group AND w.is_test = h.is_test AND w.referral_conversion_id = h.first_conversion_id AND w.advocate_root = h.referrer_root
  WHERE k.referral_id IS DISTINCT FROM h.referral_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_choose(bigint[], timestamptz) IS
'What the referrals of these roots should be: a row for each that is there (from_state, and the state and reason it should have) or that should be made (referral_id NULL); wanted is the attribution of the one that counts, NULL of the others. Writes nothing. A referral that is live stays as it was decided while the same advocate brought the person; approved ones are kept before others of the same advocate. An advocate who was rejected for a person is passed over while another one is valid, and stays rejected where none is: only people open it again.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_score_pending(ids bigint[], as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  changes jsonb;
BEGIN
  IF ids IS NULL OR ids = '{}' THEN
    RETURN '{}';
  END IF;
  changes := (SELECT jsonb_agg(to_jsonb(s)) FROM cdp_internal.referral_score(ids, as_of) s);
  UPDATE cdp_data.referral r SET score = s.score, decided_at = clock_timestamp(), state = CASE s.decision WHEN 'approve' THEN 'approved' WHEN 'review' THEN 'review' WHEN 'reject' THEN 'rejected' ELSE 'ineligible' END,
    reason = CASE s.decision WHEN 'approve' THEN NULL ELSE 'fraud_score' END
  FROM jsonb_to_recordset(changes) AS s (referral_id bigint, score double precision, decision text) WHERE r.referral_id = s.referral_id AND r.state = 'pending';
  changes := (SELECT jsonb_agg(c || '{"from_state": "pending"}') FROM jsonb_array_elements(changes) c);
  PERFORM cdp_internal.referral_note(coalesce(changes, '[]'), 'system', as_of);
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_score_pending(bigint[], timestamptz) IS
'Has pending referrals scored, and brings them to approved, review or rejected.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_second(roots bigint[])
RETURNS TABLE (first_id bigint, upper_id bigint, upper_referral bigint, referral_id bigint, from_state text, state text, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH first AS MATERIALIZED ( -- referrals of the people themselves, and of those whom they brought
    SELECT r.*, cdp_internal.root_of(c.customer_id) AS root
    FROM (SELECT h.referral_id FROM cdp_internal.referral_rows(roots) h
      UNION SELECT r.referral_id FROM unnest(roots) u CROSS JOIN LATERAL cdp_internal.customers_under(u) m JOIN cdp_data.referral r ON r.referrer_id = m WHERE r.level = 1) x
      JOIN cdp_data.referral r USING (referral_id) JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id
      JOIN cdp_data.referral_terms t ON t.referral_campaign_id = r.referral_campaign_id AND t.terms_version = r.terms_version
    WHERE t.levels = 2
  ), above AS MATERIALIZED (
    SELECT f.referral_id, a.referrer_id, a.referral_id AS upper_referral, cdp_internal.root_of(a.referrer_id) AS root
    FROM first f CROSS JOIN LATERAL (
      SELECT g.referrer_id, g.referral_id FROM cdp_internal.referral_rows(ARRAY[cdp_internal.root_of(f.referrer_id)]) h JOIN cdp_data.referral g USING (referral_id)
      WHERE g.campaign_group = f.campaign_group AND g.is_test = f.is_test AND g.state = 'approved' AND g.attributed_at <= f.attributed_at ORDER BY g.attributed_at, g.referral_id LIMIT 1) a
    WHERE f.state IN ('pending', 'approved', 'review', 'rejected') AND cdp_internal.root_of(a.referrer_id) <> f.root
  ), kept AS MATERIALIZED (
    SELECT s.referral_id, s.state, s.reason, f.referral_id AS first_id, a.upper_referral,
      a.root IS NOT NULL AND cdp_internal.root_of(s.referrer_id) = a.root
        AND row_number() OVER (PARTITION BY f.referral_id, cdp_internal.root_of(s.referrer_id) = a.root ORDER BY s.referral_id) = 1 AS fits
    FROM first f JOIN cdp_data.referral s ON s.first_conversion_id = f.first_conversion_id AND s.level = 2 AND s.campaign_group = f.campaign_group LEFT JOIN above a ON a.referral_id = f.referral_id
  )
  SELECT f.referral_id, a.referrer_id, a.upper_referral, k.referral_id, k.state::text, f.state::text, f.reason::text
  FROM above a JOIN first f USING (referral_id) LEFT JOIN kept k ON k.first_id = f.referral_id AND k.fits
  UNION ALL
  SELECT k.first_id, NULL, NULL, k.referral_id, k.state::text, 'ineligible', 'no_evidence' FROM kept k WHERE NOT coalesce(k.fits, false);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_second(bigint[]) IS
'The referrals of the second level that should be, around these roots: who brought the advocate of a live referral, in an approved referral of the same group of campaigns before, has the same state as that referral (where its terms have two levels). referral_id NULL: to be made; upper_id NULL: there, and should not count.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_levels(roots bigint[], as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  wanted jsonb;
  changes jsonb;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.referral_terms t WHERE t.levels = 2) THEN
    RETURN '{}';
  END IF;
  wanted := (SELECT jsonb_agg(to_jsonb(s)) FROM cdp_internal.referral_second(roots) s WHERE s.referral_id IS NULL OR (s.state, s.reason) IS DISTINCT FROM (s.from_state, (SELECT r.reason FROM cdp_data.referral r WHERE r.referral_id = s.referral_id)));
  IF wanted IS NULL THEN
    RETURN '{}';
  END IF;
  -- What ends goes first: of a person one at a level is live.
  UPDATE cdp_data.referral r SET state = w.state, reason = w.reason, decided_at = clock_timestamp()
  FROM jsonb_to_recordset(wanted) AS w (upper_id bigint, referral_id bigint, state text, reason text) WHERE r.referral_id = w.referral_id AND w.upper_id IS NULL;
  UPDATE cdp_data.referral r SET state = w.state, reason = w.reason, score = f.score, decided_at = clock_timestamp()
  FROM jsonb_to_recordset(wanted) AS w (first_id bigint, upper_id bigint, referral_id bigint, state text, reason text) JOIN cdp_data.referral f ON f.referral_id = w.first_id
  WHERE r.referral_id = w.referral_id AND w.upper_id IS NOT NULL;
  WITH made AS (
    INSERT INTO cdp_data.referral AS s (campaign_group, referral_campaign_id, terms_version, level, referrer_id, referee_id, method, first_conversion_id, attributed_at, state, reason, evidence, score, is_test)
    SELECT f.campaign_group, f.referral_campaign_id, f.terms_version, 2, w.upper_id, f.referee_id, 'sticky', f.first_conversion_id, f.attributed_at, w.state, w.reason,
      jsonb_build_object('through', f.referral_id, 'upper', w.upper_referral), f.score, f.is_test
    FROM jsonb_to_recordset(wanted) AS w (first_id bigint, upper_id bigint, upper_referral bigint, referral_id bigint, state text, reason text) JOIN cdp_data.referral f ON f.referral_id = w.first_id
    WHERE w.referral_id IS NULL ORDER BY f.referral_id RETURNING s.referral_id
  )
  SELECT coalesce(jsonb_agg(x), '[]') INTO changes FROM (
    SELECT jsonb_build_object('referral_id', m.referral_id) AS x FROM made m
    UNION ALL SELECT w FROM jsonb_array_elements(wanted) w WHERE w ->> 'referral_id' IS NOT NULL) y;
  PERFORM cdp_internal.referral_note(changes, 'system', as_of);
  RETURN ARRAY(SELECT (c ->> 'referral_id')::bigint FROM jsonb_array_elements(changes) c ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_levels(bigint[], timestamptz) IS
'Brings the referrals of the second level around these roots to what they should be (cdp_internal.referral_second()). Call it when the state of a referral of theirs changed. Returns those that changed; who calls has their rewards settled.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_settled(ids bigint[], as_of timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF ids <> '{}' THEN
    PERFORM cdp_internal.reward_settle(ids, as_of);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_settled(bigint[], timestamptz) IS 'Has the rewards of these referrals brought to what they should be by the events up to as_of (NULL: all that are known).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_decide_once(held bigint[], as_of timestamptz, moment timestamptz) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  wanted jsonb := (SELECT jsonb_agg(to_jsonb(c)) FROM cdp_internal.referral_choose(held, coalesce(as_of, 'infinity')) c);
  changes jsonb;
  ids bigint[];
BEGIN
  IF wanted IS NULL THEN
    RETURN '{}';
  END IF;
  -- What ends goes first: of a person one is live.
  WITH changed AS (
    UPDATE cdp_data.referral r SET state = w.state, reason = w.reason, decided_at = clock_timestamp()
    FROM jsonb_to_recordset(wanted) AS w (referral_id bigint, from_state text, state text, reason text, wanted jsonb)
    WHERE r.referral_id = w.referral_id AND jsonb_typeof(w.wanted) IS DISTINCT FROM 'object' AND (r.state, r.reason) IS DISTINCT FROM (w.state, w.reason)
    RETURNING r.referral_id, w.from_state
  )
  SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') INTO changes FROM changed c;
  PERFORM cdp_internal.referral_note(changes, 'system', moment);
  ids := ARRAY(SELECT (c ->> 'referral_id')::bigint FROM jsonb_array_elements(changes) c);
  WITH want AS MATERIALIZED (
    SELECT w.referral_id, w.from_state, w.state, w.reason, a.*
    FROM jsonb_to_recordset(wanted) AS w (referral_id bigint, from_state text, state text, reason text, wanted jsonb)
      CROSS JOIN LATERAL jsonb_to_record(w.wanted) AS a (campaign_group text, is_test boolean, referral_conversion_id bigint, occurred_at timestamptz, method text, referral_campaign_id integer, terms_version integer,
        referral_click_id bigint, referral_code_id bigint, advocate_id bigint, referee_id bigint, evidence jsonb)
    WHERE jsonb_typeof(w.wanted) = 'object'
  ), mended AS (
    -- On other evidence, what a machine decided is scored again, but no rejection; what a person decided stays.
    UPDATE cdp_data.referral r SET state = CASE WHEN w.state IN ('approved', 'review') AND w.from_state = w.state AND NOT w.is_test AND (r.first_conversion_id, r.referral_click_id, r.referral_code_id) IS DISTINCT FROM (w.referral_conversion_id, w.referral_click_id, w.referral_code_id)
          AND NOT EXISTS (SELECT FROM cdp_data.referral_decision d WHERE d.referral_id = r.referral_id AND d.actor <> 'system') AND r.reason IS DISTINCT FROM 'unmerged' THEN 'pending' ELSE w.state END,
      reason = w.reason, method = w.method, referral_campaign_id = w.referral_campaign_id, terms_version = w.terms_version, referral_click_id = w.referral_click_id, referral_code_id = w.referral_code_id,
      referrer_id = w.advocate_id, first_conversion_id = w.referral_conversion_id, referee_id = w.referee_id, attributed_at = w.occurred_at, evidence = w.evidence, decided_at = clock_timestamp()
    FROM want w
    WHERE r.referral_id = w.referral_id AND (r.state, r.reason, r.method, r.referral_campaign_id, r.terms_version, r.referral_click_id, r.referral_code_id, r.referrer_id, r.first_conversion_id, r.referee_id, r.evidence)
      IS DISTINCT FROM (w.state, w.reason, w.method, w.referral_campaign_id, w.terms_version, w.referral_click_id, w.referral_code_id, w.advocate_id, w.referral_conversion_id, w.referee_id, w.evidence)
    RETURNING r.referral_id, w.from_state
  ), made AS (
    INSERT INTO cdp_data.referral AS r (campaign_group, referral_campaign_id, terms_version, level, referrer_id, referee_id, method, referral_click_id, referral_code_id, first_conversion_id, attributed_at, state, reason, evidence, is_test)
    SELECT w.campaign_group, w.referral_campaign_id, w.terms_version, 1, w.advocate_id, w.referee_id, w.method, w.referral_click_id, w.referral_code_id, w.referral_conversion_id, w.occurred_at, w.state, w.reason, w.evidence, w.is_test
    FROM want w WHERE w.referral_id IS NULL ORDER BY w.occurred_at, w.referral_conversion_id
    RETURNING r.referral_id, NULL::text AS from_state
  )
  SELECT coalesce(jsonb_agg(to_jsonb(x)), '[]') INTO changes FROM (SELECT * FROM mended UNION ALL SELECT * FROM made) x;
  PERFORM cdp_internal.referral_note(changes, 'system', moment);
  ids := ids || ARRAY(SELECT (c ->> 'referral_id')::bigint FROM jsonb_array_elements(changes) c);
  PERFORM cdp_internal.referral_score_pending(array_agg(r.referral_id ORDER BY r.referral_id), CASE WHEN as_of IS NULL THEN greatest(moment, max(r.attributed_at)) ELSE as_of END)
  FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state = 'pending';
  PERFORM cdp_internal.open_reviews(ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state = 'review' AND r.reason = 'unmerged' ORDER BY r.referral_id), 'unmerged', moment);
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_decide_once(bigint[], timestamptz, timestamptz) IS
'Brings the referrals of these roots, whom the caller holds, to what cdp_internal.referral_choose() says, with a decision for each change, and has new ones scored. Returns those that changed. Part of cdp_internal.referral_decide().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_brought(roots bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id)
  FROM unnest(roots) u CROSS JOIN LATERAL cdp_internal.customers_under(u) m JOIN cdp_data.referral r ON r.referrer_id = m JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id
  WHERE c.identifier_id > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_brought(bigint[]) IS 'Roots of the people for whom one of these roots is or was the advocate.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_circle(roots bigint[], changed boolean DEFAULT false) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  ring bigint[] := ARRAY(SELECT DISTINCT u FROM unnest(roots) u WHERE u IS NOT NULL);
BEGIN
  IF changed THEN
    ring := ARRAY(SELECT u FROM unnest(ring) u UNION SELECT cdp_internal.identifier_root(c.identifier_id) FROM cdp_internal.members_of(ring) m JOIN cdp_data.referral_conversion c ON c.customer_id = m.home_id WHERE c.identifier_id > 0
      UNION SELECT b FROM cdp_internal.referral_brought(ring) b);
  END IF;
  IF EXISTS (SELECT FROM cdp_data.referral_terms t WHERE t.levels = 2) THEN
    ring := ARRAY(SELECT u FROM unnest(ring) u UNION SELECT b FROM cdp_internal.referral_brought(ring) b);
  END IF;
  RETURN QUERY SELECT u FROM unnest(ring) u WHERE u > 0 ORDER BY u;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_circle(bigint[], boolean) IS
'Everybody whom a decision about these roots may touch, to be held in one go before the first row: themselves; changed (the job): those who share a home with them and those whom they brought, who are decided with them; and where terms have two levels those whom all of these brought, whose second level they are. In order, each once.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_hold_people(roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.lock_customers(NULL, false, ARRAY(SELECT u FROM cdp_internal.referral_circle(roots) u));
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_hold_people(bigint[]) IS
'Holds these roots until the transaction ends, so that nobody merges, parts or decides about them; and where terms have two levels those whom they brought, whose second level they are. Everybody does so before he writes a row about them, and all at once: nobody waits for another in a circle.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_hold_ahead(shown jsonb[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  known bigint[];
BEGIN
  IF EXISTS (SELECT FROM cdp_data.referral_terms t WHERE t.levels = 2) THEN
    known := ARRAY(
      SELECT DISTINCT cdp_internal.identifier_root(i.identifier_id)
      FROM unnest(shown) s CROSS JOIN LATERAL cdp_internal.clean_identifiers(coalesce((SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(CASE jsonb_typeof(s) WHEN 'object' THEN s END) e JOIN cdp_data.identifier_type_all k ON k.name = e.key), '{}')) c
        CROSS JOIN LATERAL unnest(c.type_ids, c.vals) AS v (t, x) JOIN cdp_data.identifier i ON i.type_id = v.t AND i.value = v.x);
    IF known <> '{}' THEN
      PERFORM cdp_internal.referral_hold_people(known);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_hold_ahead(jsonb[]) IS
'Where terms have two levels: holds the circle of everybody whom one of these identifiers shows, before a touchpoint is written, which holds them alone. Nothing where terms have one level.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_decide(roots bigint[], as_of timestamptz DEFAULT NULL, settle boolean DEFAULT true) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz;
  people bigint[] := ARRAY(SELECT DISTINCT cdp_internal.root_of(u) FROM unnest(roots) u WHERE u IS NOT NULL);
  held bigint[];
  again bigint[];
  ids bigint[] := '{}';
  more bigint[];
BEGIN
  PERFORM cdp_internal.referral_hold_people(people);
  held := ARRAY(SELECT DISTINCT cdp_internal.root_of(u) FROM unnest(people) u WHERE cdp_internal.root_of(u) IS NOT NULL ORDER BY 1);
  -- The clock once they are held: what others did meanwhile is before it. What is known counts, though another clock runs ahead.
  moment := coalesce(as_of, clock_timestamp());
  again := held;
  WHILE again <> '{}' LOOP
    more := cdp_internal.referral_decide_once(again, as_of, moment);
    ids := ids || more;
    -- Who was rejected right now gives way to the next, of whom there is one less each time.
    again := ARRAY(SELECT DISTINCT cdp_internal.identifier_root(c.identifier_id) FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id
      WHERE r.referral_id = ANY (more) AND r.state = 'rejected' AND r.level = 1 ORDER BY 1);
  END LOOP;
  IF ids <> '{}' THEN
    ids := ids || cdp_internal.referral_levels(held, moment);
    IF settle THEN
      PERFORM cdp_internal.referral_settled(ids, as_of);
    END IF;
  END IF;
  RETURN QUERY SELECT DISTINCT u FROM unnest(ids) u ORDER BY u;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_decide(bigint[], timestamptz, boolean) IS
'Brings the referrals of these people to what the events up to as_of (NULL: all that are known) and the terms say, with a decision for each change, has new ones scored and rewards settled (settle false: whoever calls does, once, with others: people are held in one go). Locks the people as a merge does. Doing it again changes nothing. Returns the referrals that changed. Error 40001 in REPEATABLE READ and SERIALIZABLE when somebody was merged meanwhile.';
