-- Referral room, rewards: what each reward should be now, from referrals, conversions, refunds and terms. It only reads; what it finds
-- cdp_internal.reward_settle() makes true.

CREATE OR REPLACE FUNCTION cdp_internal.reward_homes(roots bigint[]) RETURNS TABLE (root bigint, home bigint)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT DISTINCT r.root, h.home FROM unnest(roots) AS r (root) CROSS JOIN LATERAL (
    SELECT u FROM cdp_internal.customers_under(r.root) u UNION ALL SELECT m.home_id FROM cdp_internal.members(r.root) m) AS h (home);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_homes(bigint[]) IS 'All homes under which something of these customers (roots) may be written: those merged into them, and those of their identifiers.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_scope(ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  scope bigint[];
  homes bigint[];
  books integer[];
BEGIN
  -- Everything about the same friends: levels, campaigns, referrals that a merge made duplicates.
  homes := ARRAY(SELECT h.home FROM cdp_internal.reward_homes(ARRAY(SELECT DISTINCT coalesce((SELECT cdp_internal.identifier_root(c.identifier_id) FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = r.first_conversion_id), cdp_internal.root_of(r.referee_id))
    FROM cdp_data.referral r WHERE r.referral_id = ANY (ids))) h);
  scope := ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referral_id = ANY (ids)
    UNION SELECT r.referral_id FROM cdp_data.referral r WHERE r.referee_id = ANY (homes)
    UNION SELECT w.referral_id FROM cdp_data.referral_conversion c JOIN cdp_data.reward w ON w.referral_conversion_id = c.referral_conversion_id WHERE c.customer_id = ANY (homes));
  books := ARRAY(SELECT DISTINCT r.referral_campaign_id FROM cdp_data.referral r WHERE r.referral_id = ANY (scope)
    AND EXISTS (SELECT FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = r.referral_campaign_id AND u.shape IN ('tier', 'milestone')));
  IF books <> '{}' THEN
    -- Tiers and milestones: all that the same advocates brought, and the second level above that.
    homes := ARRAY(SELECT h.home FROM cdp_internal.reward_homes(ARRAY(SELECT DISTINCT cdp_internal.root_of(r.referrer_id) FROM cdp_data.referral r WHERE r.referral_id = ANY (scope) AND r.referral_campaign_id = ANY (books))) h);
    scope := ARRAY(SELECT unnest(scope) UNION SELECT r.referral_id FROM cdp_data.referral r WHERE r.referrer_id = ANY (homes) AND r.referral_campaign_id = ANY (books));
    homes := ARRAY(SELECT DISTINCT r.referee_id FROM cdp_data.referral r WHERE r.referral_id = ANY (scope) AND r.referral_campaign_id = ANY (books));
    scope := ARRAY(SELECT unnest(scope) UNION SELECT r.referral_id FROM cdp_data.referral r WHERE r.referee_id = ANY (homes) AND r.referral_campaign_id = ANY (books) AND r.level = 2);
  END IF;
  RETURN scope;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_scope(bigint[]) IS
'The referrals whose rewards have to be looked at when these have changed: those of the same friends, and where there are tiers or milestones all of the same advocates in the campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_people(scope bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN ARRAY(SELECT DISTINCT p.root FROM cdp_data.referral r CROSS JOIN LATERAL (VALUES (cdp_internal.root_of(r.referrer_id)), (cdp_internal.root_of(r.referee_id)),
    ((SELECT cdp_internal.identifier_root(c.identifier_id) FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = r.first_conversion_id))) AS p (root) WHERE r.referral_id = ANY (scope) AND p.root IS NOT NULL
    -- With whom rewards stand since he was one with others.
    UNION SELECT cdp_internal.root_of(w.customer_id) FROM cdp_data.reward w WHERE w.referral_id = ANY (scope) AND w.side = 'referee' AND w.customer_id > 0 ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_people(bigint[]) IS 'The customers (roots, ascending) of both sides of these referrals, and those with whom their rewards stand.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_people(people bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- One of 512 locks for each, so that any number of people fits into the table of locks.
  PERFORM pg_advisory_xact_lock(723457201, s.slot) FROM (SELECT DISTINCT abs(hashint8(p) % 512) AS slot FROM unnest(people) p ORDER BY 1) s;
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_people(bigint[]) IS 'Keeps others from changing rewards of these customers (roots) until the transaction ends. Comes before every other lock of the room. Call it once in a transaction with all of them.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_events(scope bigint[], as_of timestamptz, states text[] DEFAULT '{approved,pending,review}')
RETURNS TABLE (campaign integer, version integer, referral bigint, conversion bigint, referrer bigint, referee bigint, level smallint, kind text, at timestamptz, eligible bigint, refunded bigint, currency text, counts boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
  RETURN QUERY
  WITH live AS MATERIALIZED (
    -- Of who was erased there is nobody any more; what he had bought first still stands.
    SELECT r.referral_id, r.referral_campaign_id, r.terms_version, r.level, r.state, r.first_conversion_id, f.occurred_at AS first_at, coalesce(cdp_internal.root_of(r.referrer_id), r.referrer_id) AS referrer_root,
      coalesce(cdp_internal.identifier_root(f.identifier_id), cdp_internal.root_of(r.referee_id), r.referee_id) AS referee_root
    FROM cdp_data.referral r CROSS JOIN LATERAL (SELECT f.occurred_at, f.identifier_id FROM cdp_data.referral_conversion f WHERE f.referral_conversion_id = r.first_conversion_id) f
    WHERE r.referral_id = ANY (scope) AND r.state = ANY (states) AND NOT r.is_test
  )
  SELECT l.referral_campaign_id, l.terms_version, l.referral_id, c.referral_conversion_id, l.referrer_root, l.referee_root, l.level, CASE WHEN c.kind = ANY (t.signup_kinds) THEN 'signup' ELSE 'purchase' END, c.occurred_at,
    c.eligible_minor, coalesce((SELECT sum(f.amount_minor) FROM cdp_data.referral_refund f WHERE f.referral_conversion_id = c.referral_conversion_id AND f.retracted_at IS NULL AND f.refunded_at <= as_of), 0)::bigint, c.currency, l.state = 'approved'
  FROM live l JOIN cdp_data.referral_terms t ON t.referral_campaign_id = l.referral_campaign_id AND t.terms_version = l.terms_version
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT h.home FROM cdp_internal.reward_homes(ARRAY[l.referee_root]) h WHERE l.referee_root > 0) AS homes) h
    CROSS JOIN LATERAL (
      SELECT c.* FROM cdp_data.referral_conversion c
      WHERE c.customer_id = ANY (h.homes) AND (c.occurred_at, c.referral_conversion_id) >= (l.first_at, l.first_conversion_id) AND coalesce(cdp_internal.identifier_root(c.identifier_id), cdp_internal.root_of(c.customer_id)) = l.referee_root
      UNION ALL
      SELECT c.* FROM cdp_data.referral_conversion c WHERE l.referee_root < 0 AND c.referral_conversion_id = l.first_conversion_id) c
  WHERE c.occurred_at <= as_of AND c.retracted_at IS NULL AND NOT c.is_test AND (c.kind = ANY (t.signup_kinds) OR c.kind = ANY (t.conversion_kinds));
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_events(bigint[], timestamptz, text[]) IS
'The conversions, as of a moment, that rewards of these referrals stand on, as cdp_internal.reward_amounts() takes them: of the friend as he is now, from the first conversion of the referral on, of the kinds of its terms; neither tests nor what was retracted. Referrals in other states than these, such as rejected ones and duplicates, have none.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_desired(scope bigint[], as_of timestamptz)
RETURNS TABLE (referral_id bigint, referral_conversion_id bigint, reward_rule_id integer, rule text, side text, level smallint, milestone integer, customer_id bigint, root bigint, referral_campaign_id integer, currency text,
  amount_minor bigint, refunded bigint, eligible bigint, stage text, hold_until timestamptz, clamp boolean, key bytea, cap_keys text[], cap_customers bigint[], cap_minors bigint[], cap_counts bigint[], family text[], own_minor bigint, later_until timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH event AS MATERIALIZED (
    SELECT * FROM cdp_internal.reward_events(scope, reward_desired.as_of)
  ), campaign AS (
    SELECT e.campaign, jsonb_agg(to_jsonb(e) - 'campaign') AS events, array_agg(DISTINCT e.version) AS versions FROM event e GROUP BY 1
  ), due AS MATERIALIZED (
    SELECT c.referral_campaign_id, c.timezone, c.currency, c.budget_minor, a.*, u.reward_rule_id, CASE WHEN r.score >= 0.2 THEN coalesce(u.hold_review, u.hold) ELSE u.hold END AS wait, u.on_cap, CASE WHEN a.milestone IS NULL THEN e.refunded ELSE 0 END AS refunded, coalesce(e.eligible, 0) AS eligible,
      r.score, r.state, r.referral_code_id, CASE WHEN a.side = 'referrer' THEN r.referrer_id WHEN a.customer > 0 THEN a.customer ELSE r.referee_id END AS home, r.referrer_id, v.source_id, v.source_key
    FROM campaign x JOIN cdp_data.referral_campaign c ON c.referral_campaign_id = x.campaign
      CROSS JOIN LATERAL cdp_internal.reward_amounts((SELECT jsonb_agg(to_jsonb(u)) FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = x.campaign AND u.terms_version = ANY (x.versions)), c.timezone, c.currency, x.events) a
      JOIN cdp_data.reward_rule u ON u.referral_campaign_id = x.campaign AND u.terms_version = a.version AND u.rule = a.rule
      JOIN event e ON e.campaign = x.campaign AND e.referral = a.referral AND e.conversion = a.conversion
      JOIN cdp_data.referral r ON r.referral_id = a.referral JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = a.conversion
  )
  SELECT d.referral, d.conversion, d.reward_rule_id, d.rule, d.side, d.level, d.milestone, d.home, d.customer, d.referral_campaign_id, d.currency, d.amount_minor, d.refunded, d.eligible,
    CASE d.state WHEN 'approved' THEN 'approve' ELSE 'reserve' END, ((d.at AT TIME ZONE d.timezone) + d.wait) AT TIME ZONE d.timezone, d.on_cap = 'clamp',
    CASE WHEN d.milestone IS NULL THEN cdp_internal.ledger_key('reward', d.referral_campaign_id::text, d.rule, d.source_id::text, d.source_key, d.side, d.level::text)
      ELSE cdp_internal.ledger_key('milestone', d.referral_campaign_id::text, d.rule, d.referrer_id::text, d.milestone::text) END,
    ARRAY['budget/' || d.referral_campaign_id] || k.keys, ARRAY[NULL::bigint] || k.customers, ARRAY[d.budget_minor] || k.minors, ARRAY[NULL::bigint] || k.counts, k.family, d.own_minor, ((d.counts_from AT TIME ZONE d.timezone) + d.wait) AT TIME ZONE d.timezone
  FROM due d CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(y.key), '{}') AS keys, coalesce(array_agg(y.subject), '{}') AS customers, coalesce(array_agg(y.minor), '{}') AS minors, coalesce(array_agg(y.count), '{}') AS counts,
      -- Of who was merged, what was used under his other numbers counts as well.
      ARRAY(SELECT format('%s %s', f.key, replace(f.key, '#' || f.subject || '/', '#' || u || '/')) FROM unnest(array_agg(y.key), array_agg(y.subject)) AS f (key, subject) CROSS JOIN LATERAL cdp_internal.customers_under(f.subject) u WHERE u <> f.subject) AS family
    FROM (
      SELECT format('%s/%s/%s/%s/%s/#%s/%s', d.referral_campaign_id, CASE WHEN c.rewards IS NULL THEN 'amount' ELSE 'rewards' END, c.per, c.period, coalesce(c.rule, '*'),
          CASE c.per WHEN 'code' THEN d.referral_code_id WHEN 'campaign' THEN 0 ELSE d.customer END, CASE c.period WHEN 'ever' THEN '' ELSE to_char(date_trunc(c.period, d.counts_from AT TIME ZONE d.timezone), 'YYYY-MM-DD') END) AS key,
        CASE WHEN c.per IN ('referrer', 'referee') THEN d.customer END AS subject, c.amount_minor AS minor, c.rewards::bigint AS count
      FROM cdp_data.reward_cap c
      WHERE c.referral_campaign_id = d.referral_campaign_id AND c.terms_version = d.version AND (c.rule IS NULL OR c.rule = d.rule)
        AND CASE c.per WHEN 'code' THEN d.referral_code_id IS NOT NULL WHEN 'campaign' THEN true ELSE c.per = d.side END) y) k;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_desired(bigint[], timestamptz) IS
'What each reward of these referrals should be as of a moment: amount before caps and refunds, what of the conversion was refunded, stage (approve, or reserve while the referral waits for a decision), when its hold ends (of own_minor; of what a tier added later: later_until), the key under which it is paid once, and the counters that limit it with their caps (the first is the budget). family: counters of merged customers, each after the counter that it counts with. No row: nothing is owed.';
