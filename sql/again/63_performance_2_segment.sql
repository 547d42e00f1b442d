-- Activation room, performance by segment: what customers did while they were in. Membership is that of the moment of
-- each event, from the transitions; the facts come from one scan of the touchpoints.

CREATE OR REPLACE FUNCTION cdp_internal.performance_spend(since timestamptz, until timestamptz, currency text, missing_rate text)
RETURNS TABLE (segment_id integer, spend numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT r.segment_id, sum(s.spend)
  FROM (SELECT DISTINCT x.segment_id, x.campaign_id FROM cdp_data.campaign_run x WHERE x.launched_at < until) r
    JOIN cdp_data.campaign c ON c.campaign_id = r.campaign_id
    JOIN cdp_internal.attribution_spend(since, until, 'campaign', performance_spend.currency, performance_spend.missing_rate) s ON s.label = c.name
  GROUP BY r.segment_id;
END $$;
COMMENT ON FUNCTION cdp_internal.performance_spend(timestamptz, timestamptz, text, text) IS
'Spend of since <= time < until on the campaigns of each segment''s launched runs, in the reporting currency; of a day that the window cuts, the part inside. A campaign counts once for a segment, however many runs name it, and whole for each segment whose runs do. No row without spend.';

CREATE OR REPLACE FUNCTION cdp_internal.membership_run(since timestamptz, OUT run bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kept_from timestamptz := (SELECT c.kept_from FROM cdp_data.segment_clock c);
BEGIN
  IF since < kept_from THEN
    RAISE EXCEPTION 'members of that time are no longer known'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Transitions are kept from %s on, asked for is %s.', kept_from, since), HINT = 'See cdp_data.setting.transition_retention.';
  END IF;
  run := coalesce((SELECT max(r.run_id) FROM cdp_data.segment_run r WHERE r.as_of <= since), 0);
END $$;
COMMENT ON FUNCTION cdp_internal.membership_run(timestamptz) IS
'The last run that was made for a moment not after since: memberships then are as it left them; 0 before the first. Error 22023: transitions of that time were deleted by their retention.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_facts(ids integer[], since timestamptz, until timestamptz, as_of timestamptz, own jsonb, count_new boolean, trait_id integer)
RETURNS TABLE (segment_id integer, customers bigint, conversions bigint, converted bigint, revenue numeric, touches bigint, active bigint, new_customers bigint, ltv double precision, ltv_customers bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
  gate bytea := cdp_internal.consent_gate('analytics', '');
  run bigint := cdp_internal.membership_run(since);
BEGIN
  IF gate IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out';
  END IF;
  RETURN QUERY EXECUTE format($sql$
    WITH moment AS MATERIALIZED (
      -- A run holds until one for an earlier moment follows it.
      SELECT r.run_id, min(r.as_of) OVER (ORDER BY r.run_id DESC) AS at FROM cdp_data.segment_run r WHERE r.run_id > %1$s
    ), transition AS MATERIALIZED (
      SELECT t.segment_id, t.customer_id, t.entered, coalesce(m.at, t.at) AS at, lead(coalesce(m.at, t.at), 1, 'infinity') OVER w AS next_at, row_number() OVER w = 1 AS is_first
      FROM cdp_data.segment_transition t LEFT JOIN moment m USING (run_id)
      WHERE t.segment_id = ANY ($2) AND t.run_id > %1$s AND t.at > %2$L::timestamptz
      WINDOW w AS (PARTITION BY t.segment_id, t.customer_id ORDER BY t.transition_id)
    ), always AS MATERIALIZED (
      -- Of whom nothing is told since, is as now.
      SELECT s.segment_id, (SELECT cdp.roaring_build(cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, i, NULL))
        FROM cdp.roaring_ids(cdp.roaring_andnot(cdp_internal.segment_bits(s.segment_id),
          (SELECT cdp.roaring_build(t.customer_id) FROM transition t WHERE t.segment_id = s.segment_id))) i) AS bits
      FROM unnest($2) AS s (segment_id)
    ), span AS MATERIALIZED (
      SELECT t.segment_id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, t.customer_id, NULL) AS root, t.at AS since, t.next_at AS until FROM transition t WHERE t.entered
      UNION ALL
      SELECT t.segment_id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, t.customer_id, NULL), '-infinity', t.at FROM transition t WHERE t.is_first AND NOT t.entered
    ), covered AS MATERIALIZED (
      SELECT a.segment_id, c.root FROM always a
        CROSS JOIN LATERAL cdp.roaring_ids(cdp.roaring_and(a.bits, (SELECT cdp.roaring_build(s.root) FROM span s WHERE s.segment_id = a.segment_id))) AS c (root)
    ), sometimes AS MATERIALIZED (
      -- One customer by several merged ids is in while one of them is.
      SELECT s.segment_id, s.root, range_agg(tstzrange(greatest(s.since, %2$L), least(s.until, %3$L))) AS spans
      FROM span s
      WHERE s.since < s.until AND s.since < %3$L::timestamptz AND s.until > %2$L::timestamptz AND cdp_internal.bitmap_has($1, s.root)
        AND NOT EXISTS (SELECT FROM covered c WHERE c.segment_id = s.segment_id AND c.root = s.root)
      GROUP BY s.segment_id, s.root
    ), changing AS MATERIALIZED (
      SELECT DISTINCT s.root FROM sometimes s
    ), event AS MATERIALIZED (
      -- Touches of those who neither came nor went need no time.
      SELECT x.root, CASE WHEN x.class > 0 OR c.root IS NOT NULL THEN x.at END AS at, CASE WHEN x.class = 1 THEN x.id END AS id, x.class, count(*) FILTER (WHERE x.is_touch) AS touches, sum(x.value) AS value
      FROM (%4$s) x LEFT JOIN changing c ON c.root = x.root
      WHERE cdp_internal.bitmap_has($1, x.root) GROUP BY 1, 2, 3, 4
    ), earlier AS MATERIALIZED (
      SELECT DISTINCT x.root FROM (%5$s) x WHERE x.class = 1
    ), fact AS MATERIALIZED (
      SELECT e.root, e.at, e.touches, (e.class = 1)::integer AS conversions, e.value + coalesce(r.value, 0) AS value,
        e.class = 1 AND p.root IS NULL AND row_number() OVER (PARTITION BY e.root, e.class ORDER BY e.at, e.id) = 1 AS is_first
      FROM event e LEFT JOIN (%6$s) r ON r.id = e.id LEFT JOIN earlier p ON p.root = e.root
    ), person AS MATERIALIZED (
      SELECT f.root, sum(f.touches) AS touches, sum(f.conversions) AS conversions, sum(f.value) AS value, bool_or(f.is_first) AS is_new FROM fact f GROUP BY f.root
    ), member AS (
      SELECT a.segment_id, i.root, p.touches, p.conversions, p.value, p.is_new
      FROM always a CROSS JOIN LATERAL cdp.roaring_ids(a.bits) AS i (root) LEFT JOIN person p ON p.root = i.root
      WHERE cdp_internal.bitmap_has($1, i.root)
      UNION ALL
      SELECT s.segment_id, s.root, sum(f.touches), sum(f.conversions), sum(f.value), bool_or(f.is_first)
      FROM sometimes s LEFT JOIN fact f ON f.root = s.root AND s.spans @> f.at GROUP BY s.segment_id, s.root
    )
    SELECT m.segment_id, count(*), coalesce(sum(m.conversions), 0)::bigint, count(*) FILTER (WHERE m.conversions > 0), coalesce(sum(m.value), 0), coalesce(sum(m.touches), 0)::bigint,
      count(*) FILTER (WHERE m.touches > 0), %7$s, avg(v.value::numeric)::double precision, count(v.value)
    FROM member m LEFT JOIN cdp_data.trait_value v ON v.trait_id = %8$s AND v.customer_id = m.root
    GROUP BY m.segment_id$sql$,
    run, since, until, cdp_internal.performance_rows_sql(own, since, until, true, false),
    CASE WHEN count_new THEN cdp_internal.performance_rows_sql(own, '-infinity', since, false, false) ELSE 'SELECT NULL::bigint AS root, 1 AS class WHERE false' END,
    cdp_internal.performance_refunds_sql(own, as_of), CASE WHEN count_new THEN 'count(*) FILTER (WHERE m.is_new)' ELSE 'NULL::bigint' END, coalesce(trait_id::text, 'NULL'))
  USING gate, ids;
END $$;
COMMENT ON FUNCTION cdp_internal.segment_facts(integer[], timestamptz, timestamptz, timestamptz, jsonb, boolean, integer) IS
'The sums behind cdp.segment_performance() for segments by id; no row for one that nobody was in. One scan of the touchpoints of the window, one of earlier conversions with count_new, the refunds by their index.';

CREATE OR REPLACE FUNCTION cdp.segment_performance(since timestamptz, until timestamptz DEFAULT now(), segments text[] DEFAULT NULL,
  conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL, count_new boolean DEFAULT true, ltv_trait text DEFAULT 'ltv',
  as_of timestamptz DEFAULT now(), bots boolean DEFAULT false, internal boolean DEFAULT false, currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (segment text, customers bigint, converted bigint, conversion_rate numeric, conversion_low numeric, conversion_high numeric,
  conversions bigint, revenue numeric, average_order_value numeric, revenue_per_customer numeric,
  touches bigint, touches_per_customer numeric, active bigint, active_share numeric, ltv numeric, ltv_customers bigint,
  spend numeric, new_customers bigint, cac numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  own jsonb;
  ids integer[];
  trait record;
BEGIN
  PERFORM cdp_internal.require_whole_people();
  segment_performance.as_of := coalesce(segment_performance.as_of, now());
  segment_performance.until := least(segment_performance.until, segment_performance.as_of);
  PERFORM cdp_internal.require_moments(segment_performance.since, segment_performance.until);
  own := cdp_internal.performance_own(conversion_kinds, touch_kinds, bots, internal, currency, missing_rate);
  ids := ARRAY(SELECT s.segment_id FROM cdp_data.segment s WHERE segments IS NULL AND s.state IN ('active', 'paused')
    UNION SELECT (cdp_internal.segment_of(n)).segment_id FROM unnest(segments) n);
  SELECT t.trait_id, coalesce(cdp_internal.trait_purposes(t.allowed_purposes, t.definition) ? 'analytics', true) AS allowed INTO trait FROM cdp_data.trait t WHERE t.name = ltv_trait;
  IF ltv_trait IS NOT NULL AND NOT FOUND THEN
    RAISE EXCEPTION 'there is no trait named "%"', left(ltv_trait, 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT name FROM cdp_data.trait; lists them. NULL leaves it out.';
  END IF;
  RETURN QUERY
  WITH fact AS MATERIALIZED (
    SELECT * FROM cdp_internal.segment_facts(ids, segment_performance.since, segment_performance.until, segment_performance.as_of, own, count_new,
      CASE WHEN trait.allowed THEN trait.trait_id END)
  ), spent AS MATERIALIZED (
    SELECT p.segment_id, p.spend FROM cdp_internal.performance_spend(segment_performance.since, segment_performance.until, own->>'currency', own->>'missing_rate') p
  ), figure AS (
    SELECT s.name, p.spend, coalesce(f.customers, 0) AS customers, coalesce(f.converted, 0) AS converted, coalesce(f.conversions, 0) AS conversions, coalesce(f.revenue, 0) AS revenue,
      coalesce(f.touches, 0) AS touches, coalesce(f.active, 0) AS active, f.ltv, coalesce(f.ltv_customers, 0) AS ltv_customers, CASE WHEN count_new THEN coalesce(f.new_customers, 0) END AS won
    FROM cdp_data.segment s LEFT JOIN fact f USING (segment_id) LEFT JOIN spent p USING (segment_id) WHERE s.segment_id = ANY (ids)
  ), judged AS (
    SELECT f.*, NOT cdp_internal.few_people(f.customers, NULL) AS people, NOT cdp_internal.few_people(f.converted, f.customers) AS buyers, NOT cdp_internal.few_people(f.active, f.customers) AS touched,
      NOT cdp_internal.few_people(f.ltv_customers, f.customers) AS valued, NOT cdp_internal.few_people(f.won, f.converted) AS gained
    FROM figure f
  ), shown AS (
    -- Figures about too few people are not there.
    SELECT j.name, j.spend, CASE WHEN j.people THEN j.customers END AS customers, CASE WHEN j.people AND j.buyers THEN j.converted END AS converted,
      CASE WHEN j.people AND j.buyers THEN j.conversions END AS conversions, CASE WHEN j.people AND j.buyers THEN j.revenue END AS revenue,
      CASE WHEN j.people AND j.touched THEN j.touches END AS touches, CASE WHEN j.people AND j.touched THEN j.active END AS active,
      CASE WHEN j.people AND j.valued THEN j.ltv END AS ltv, CASE WHEN j.people AND j.valued THEN j.ltv_customers END AS ltv_customers,
      CASE WHEN j.people AND j.buyers AND j.gained THEN j.won END AS won
    FROM judged j
  )
  SELECT s.name, s.customers, s.converted, round(s.converted::numeric / nullif(s.customers, 0), 6), round(w.low::numeric, 6), round(w.high::numeric, 6),
    s.conversions, round(s.revenue, 6), round(s.revenue / nullif(s.conversions, 0), 6), round(s.revenue / nullif(s.customers, 0), 6),
    s.touches, round(s.touches::numeric / nullif(s.customers, 0), 6), s.active, round(s.active::numeric / nullif(s.customers, 0), 6), round(s.ltv::numeric, 6), s.ltv_customers,
    round(s.spend, 6), s.won, round(s.spend / nullif(s.won, 0), 6)
  FROM shown s LEFT JOIN LATERAL cdp.rate_interval(s.converted, nullif(s.customers, 0)) w ON true
  ORDER BY s.name;
END $$;
COMMENT ON FUNCTION cdp.segment_performance(timestamptz, timestamptz, text[], text[], text[], boolean, text, timestamptz, boolean, boolean, text, text) IS
'What the members of each segment did from since (included) to until (not, at most as_of), a row for each active or paused segment, or for those named, by name. customers: who was a member at some moment of the window. What they did counts while they were members: a conversion, its refunds with it whenever they came before as_of, a touch. converted of them bought (conversion_rate = converted / customers, with its 95 % interval by Wilson), conversions is how often; revenue less refunds in the reporting currency at the rate of each day, average_order_value = revenue / conversions, revenue_per_customer = revenue / customers; touches, touches_per_customer, active: customers with a touch, active_share = active / customers; ltv: mean of the trait (as of its last refresh, and in its own unit, whatever currency says; NULL when it may not be used for analytics) over the ltv_customers who have one; spend: on the campaigns of the segment''s launched runs within the window, a campaign whole for each segment whose runs name it; new_customers: whose first conversion of all fell into the window while they were members (NULL unless count_new, which takes a look at all earlier conversions); cac = spend / new_customers, NULL without either. A refund that names no conversion counts at its own time. Memberships are as runs found them; merges count at once, for the past too (who is one now was in while one of his parts was), erased people are in no figure, customers without consent to analytics are left out (a NOTICE says so), bots and internal traffic unless asked for. conversion_kinds, touch_kinds: NULL all of the list. With cdp_data.setting.minimum_audience: NULL in figures about fewer people, or about all but fewer. Reads only. Errors: 22023 unknown words, no window, transitions of that time no longer kept; 42704 no such segment; 42501 a role that is kept to some sources; 22000 a missing rate (missing_rate => ''zero'' counts 0); 55000 before cdp.setup().';
