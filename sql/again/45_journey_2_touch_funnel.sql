-- Funnels over our own touchpoints.

CREATE OR REPLACE FUNCTION cdp_internal.funnel_labels(step text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_labels';
COMMENT ON FUNCTION cdp_internal.funnel_labels(text) IS
'The labels of a step of a funnel: the parts between bars, \| and \\ read as bar and backslash.';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_hidden(result cdp.funnel_partial) RETURNS TABLE (breakdown text, step integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer := cdp_internal.minimum_audience();
  s record;
  part text;
  shown bigint;
  counts bigint[] := '{}';
  parts text[] := '{}';
  steps integer[] := '{}';
  open_cells boolean[] := '{}';
BEGIN
  IF least_people IS NULL THEN
    RETURN;
  END IF;
  PERFORM cdp.require_audience((SELECT sum(f.customers)::bigint FROM cdp.funnel_steps(result) f WHERE f.step = 1));
  FOR s IN SELECT f.breakdown, f.step, f.customers FROM cdp.funnel_steps(result) f LOOP
    IF s.step = 1 THEN
      part := s.breakdown;
      shown := NULL;
    END IF;
    parts := parts || part;
    steps := steps || s.step;
    counts := counts || s.customers;
    -- A step shows nobody or enough people, and those who left since the last step that is shown are nobody or enough, too.
    open_cells := open_cells || (s.customers NOT BETWEEN 1 AND least_people - 1 AND coalesce(shown - s.customers, 0) NOT BETWEEN 1 AND least_people - 1);
    IF open_cells[cardinality(open_cells)] THEN
      shown := s.customers;
    END IF;
  END LOOP;
  RETURN QUERY
  WITH cell AS (SELECT u.* FROM unnest(parts, steps, counts, open_cells) u (breakdown, step, customers, is_open))
  SELECT c.breakdown, c.step FROM cell c WHERE NOT c.is_open
  UNION ALL
  -- Else what is hidden could be had as the funnel of all less what is shown: one breakdown of enough people goes with it.
  (SELECT DISTINCT ON (c.step) c.breakdown, c.step FROM cell c
   WHERE c.is_open AND c.customers > 0 AND c.step IN (SELECT h.step FROM cell h WHERE NOT h.is_open)
   ORDER BY c.step, c.customers, c.breakdown COLLATE "C");
END $$;
COMMENT ON FUNCTION cdp_internal.funnel_hidden(cdp.funnel_partial) IS
'Which steps of which breakdowns show no figures for the sake of cdp_data.setting.minimum_audience: those of fewer people, those that fewer people left, and with each such step the smallest other breakdown of it. Error 42501 when fewer people than that began at all. Nothing without a minimum.';

CREATE OR REPLACE FUNCTION cdp.funnel(
  steps text[], within interval DEFAULT NULL, by text DEFAULT 'kind', breakdown_by text DEFAULT NULL, breakdown_at text DEFAULT 'first',
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  step_within interval[] DEFAULT NULL, step_order text DEFAULT NULL, ties text DEFAULT NULL, exclude text[] DEFAULT NULL, exclude_between jsonb DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false, durations boolean DEFAULT true)
RETURNS TABLE (breakdown text, step integer, labels text, customers bigint, dropped bigint, of_previous numeric, of_first numeric,
  median_from_previous interval, mean_from_previous interval, p90_from_previous interval,
  median_from_first interval, mean_from_first interval, p90_from_first interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  options jsonb;
  named text[];
  reach interval := within;
  rows record;
  result cdp.funnel_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  options := cdp.funnel_options(steps, within => within, step_within => step_within, step_order => step_order, ties => ties, exclude => exclude,
    exclude_between => exclude_between, breakdown => breakdown_at, durations => durations, since => since, until => until, as_of => as_of);
  named := ARRAY(SELECT l FROM unnest(steps) s, unnest(cdp_internal.funnel_labels(s)) l);
  PERFORM cdp_internal.require_labels(by, named, 'steps');
  PERFORM cdp_internal.require_labels(by, exclude, 'exclude');
  reach := coalesce(within, (SELECT sum(w) FROM unnest(step_within) w));
  IF by = 'kind' AND kinds IS NULL AND options->>'step_order' <> 'strict' THEN
    kinds := named || exclude; -- no other row matters
  END IF;
  rows := cdp_internal.journey_rows(by, breakdown_by, kinds, since, least(as_of, cdp_internal.journey_end(until, reach)), customer_ids, bots, internal);
  EXECUTE format('SELECT cdp.funnel_pass(r.key, r.at, r.label, %L::jsonb%s) FROM (%s) r', options,
      concat(CASE WHEN breakdown_by IS NOT NULL THEN ', r.breakdown' END, CASE WHEN options->>'ties' = 'by_id' THEN ', r.id' END), rows.query)
    INTO result
    USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate;
  IF result IS NULL AND breakdown_by IS NULL THEN
    result := (SELECT cdp.funnel_pass(NULL::bigint, NULL::timestamptz, NULL::text, options || '{"ties": "apart"}')); -- nobody, at every step
  END IF;
  RETURN QUERY
  WITH hidden AS MATERIALIZED (SELECT h.breakdown, h.step FROM cdp_internal.funnel_hidden(result) h),
  cell AS (
    -- Joined by what can be hashed: breakdowns may be many. All are NULL or none is.
    SELECT f.*, h.step IS NULL AS shown FROM cdp.funnel_steps(result) f LEFT JOIN hidden h ON h.step = f.step AND coalesce(h.breakdown, '') = coalesce(f.breakdown, '')
  ), near AS (
    SELECT c.*, lag(c.shown, 1, c.shown) OVER w AS before_shown, lead(c.shown, 1, c.shown) OVER w AS next_shown, first_value(c.shown) OVER w AS first_shown
    FROM cell c WINDOW w AS (PARTITION BY c.breakdown ORDER BY c.step)
  )
  SELECT c.breakdown, c.step, c.labels, CASE WHEN c.shown THEN c.customers END, CASE WHEN c.shown AND c.next_shown THEN c.dropped END,
    CASE WHEN c.shown AND c.before_shown THEN c.of_previous END, CASE WHEN c.shown AND c.first_shown THEN c.of_first END,
    CASE WHEN c.shown THEN c.median_from_previous END, CASE WHEN c.shown THEN c.mean_from_previous END, CASE WHEN c.shown THEN c.p90_from_previous END,
    CASE WHEN c.shown THEN c.median_from_first END, CASE WHEN c.shown THEN c.mean_from_first END, CASE WHEN c.shown THEN c.p90_from_first END
  FROM near c ORDER BY c.breakdown COLLATE "C", c.step;
END $$;
COMMENT ON FUNCTION cdp.funnel(text[], interval, text, text, text, timestamptz, timestamptz, timestamptz, interval[], text, text, text[], jsonb, text[], bigint[], boolean, boolean, boolean) IS
'How far customers go through steps, over our own touchpoints; columns as cdp.funnel_steps(), one row a step (of each breakdown). Steps are labels by kind (default), channel, channel_group, campaign, source, origin or property:KEY, several divided by |; within, step_within, step_order, ties, exclude, exclude_between, since, until (of the first step) and as_of as cdp.funnel_options(). breakdown_by takes the same words, or day, week, month, quarter or year (its first day in the time zone of setup), of the row of the first step, or with breakdown_at => ''last'' of the last one reached. kinds: only touchpoints of these. customer_ids: only these, by any id that was merged into them. bots and internal traffic are left out unless asked for. Merges, unmerges and erasures count at once; customers without consent to analytics are left out (a NOTICE says so). With cdp_data.setting.minimum_audience: error 42501 when fewer people began, and NULL for figures of fewer people, for those that would tell of fewer, and for the smallest other breakdown beside them. Errors 22023 for unknown words, kinds and channels, and for what may not be used for analytics (E_PURPOSE). Reads only.';
