-- Segment room, insight: of whom segments are made up against everybody, counted once a night for reports; what uses a segment;
-- sizes that jump.

CREATE OR REPLACE FUNCTION cdp_internal.value_sets(population bytea, form text, expression text) RETURNS TABLE (value text, place integer, bits bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
  who constant text := 'SELECT p.customer_id AS id, %s AS v FROM cdp.roaring_ids($1) AS r (id) JOIN cdp_data.profile p ON p.customer_id = r.id';
BEGIN
  IF form = 'word' THEN
    RETURN QUERY EXECUTE format('WITH w AS MATERIALIZED (%s),
      often AS (SELECT w.v, row_number() OVER (ORDER BY count(*) DESC, w.v COLLATE "C")::integer AS nth FROM w WHERE w.v IS NOT NULL GROUP BY w.v HAVING count(*) >= 5 ORDER BY 2 LIMIT 20)
      SELECT coalesce(o.v, ''(other)''), coalesce(min(o.nth), 21), cdp.roaring_build(w.id) FROM w LEFT JOIN often o ON o.v = w.v WHERE w.v IS NOT NULL GROUP BY o.v', format(who, format('left(%s, 200)', expression))) USING population;
  ELSE
    RETURN QUERY EXECUTE format('WITH w AS MATERIALIZED (SELECT x.* FROM (%s) x WHERE x.v IS NOT NULL),
        l AS (SELECT ARRAY(SELECT DISTINCT u FROM unnest(percentile_disc(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY w.v)) u WHERE u IS NOT NULL ORDER BY u) AS limits FROM w),
        g AS (SELECT CASE WHEN l.limits = ''{}'' THEN 0 ELSE width_bucket(w.v, l.limits) END AS nth, l.limits, cdp.roaring_build(w.id) AS bits FROM w CROSS JOIN l GROUP BY 1, 2)
      SELECT CASE WHEN g.nth = 0 THEN ''below '' || %s ELSE %s || coalesce('' to below '' || %s, '' and above'') END, g.nth, g.bits FROM g', format(who, expression),
        cdp_internal.limit_text(form, '1'), cdp_internal.limit_text(form, 'g.nth'), cdp_internal.limit_text(form, 'g.nth + 1')) USING population;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.value_sets(bytea, text, text) IS
'The customers of a set by the value of an attribute (form and expression as cdp_internal.told_attributes() has them), a Roaring bitmap each, in their place: of words the 20 most frequent that five customers share, the rest under (other); tenths of numbers and moments (UTC). Who has no value is in none.';

CREATE OR REPLACE FUNCTION cdp.refresh_segment_profiles() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  open_columns text[];
  population bytea;
  ids integer[];
  bits bytea[];
  t record;
BEGIN
  PERFORM cdp_internal.require_setup();
  -- One at a time; runs and readers go on meanwhile.
  LOCK TABLE cdp_data.segment_composition IN SHARE ROW EXCLUSIVE MODE;
  population := cdp_internal.segment_population();
  SELECT array_agg(s.segment_id ORDER BY s.segment_id), array_agg(cdp_internal.segment_bits(s.segment_id) ORDER BY s.segment_id) INTO ids, bits FROM cdp_data.segment s WHERE s.state IN ('active', 'paused');
  -- What analysts may not read (an internal attribute may name staff) is not spread by counting it.
  open_columns := ARRAY(SELECT c FROM cdp_data.grant_rule g CROSS JOIN LATERAL regexp_split_to_table(substring(g.privileges FROM 'SELECT \(([^)]*)\)'), ', *') c WHERE g.template = 'analyst' AND g.object = 'cdp_data.profile');
  DELETE FROM cdp_data.segment_composition;
  FOR t IN SELECT a.* FROM cdp_internal.told_attributes() a WHERE a.source = ANY (open_columns) LOOP
    INSERT INTO cdp_data.segment_composition (segment_id, attribute, value, place, members, everybody, as_of)
    WITH part AS MATERIALIZED (
      SELECT v.value, v.place, v.bits FROM cdp_internal.value_sets(population, t.form, t.expression) v
    ), whole AS (
      SELECT p.value, p.place, p.bits FROM part p
      UNION ALL
      SELECT '(none)', 22, cdp.roaring_andnot(population, (SELECT cdp.roaring_union(p.bits) FROM part p))
    )
    SELECT s.id, t.name, w.value, min(w.place), sum(cdp.roaring_count(cdp.roaring_and(s.bits, w.bits))), sum(cdp.roaring_count(w.bits)), now()
    FROM unnest(ids, bits) AS s (id, bits) CROSS JOIN whole w GROUP BY s.id, w.value HAVING sum(cdp.roaring_count(w.bits)) > 0;
  END LOOP;
  RETURN coalesce(cardinality(ids), 0);
END
$$;
COMMENT ON FUNCTION cdp.refresh_segment_profiles() IS
'Counts anew, for cdp_bi.segment_profile, how many members of each active or paused segment and of everybody have which value of every attribute that reports may divide customers by and analysts may read: one scan of profiles for each attribute, whatever the number of segments. Returns how many segments. The job list runs it nightly. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.segment_uses() RETURNS TABLE (segment_id integer, what text, last_used timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  hook text;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT DISTINCT o.segment_id, format('segment "%s"', s.name), NULL::timestamptz
  FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version) CROSS JOIN LATERAL cdp_internal.rule_uses(v.rule) u JOIN cdp_data.segment o ON o.name = u.name
  WHERE u.what = 'segment' AND s.state <> 'archived';
  FOR hook IN SELECT f FROM cdp_internal.room_functions('segment_uses_of_', 0) f ORDER BY f LOOP
    RETURN QUERY EXECUTE format('SELECT u.segment_id, u.what, u.last_used FROM cdp_internal.%I() u', hook);
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.segment_uses() IS
'What uses which segment: what in words, last_used when it last did; NULL: it uses it now. Segments whose rule names it, and what each cdp_internal.segment_uses_of_<room>() of higher rooms tells (no arguments, the same columns). Reads with the rights of the caller.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_segment_sizes() RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.segment_day') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH step AS (
    SELECT d.segment_id, d.day, d.customers, lag(d.customers) OVER w AS before, row_number() OVER (PARTITION BY d.segment_id ORDER BY d.day DESC) AS back
    FROM cdp_data.segment_day d WHERE d.day > (now() - interval '40 days')::date WINDOW w AS (PARTITION BY d.segment_id ORDER BY d.day)
  ), usual AS (
    -- By its own days: the middle of what changed from one to the next, as a share.
    SELECT s.segment_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(s.customers - s.before) / greatest(s.before, 1)::double precision) AS share, count(*) AS days
    FROM step s WHERE s.back > 1 AND s.before IS NOT NULL GROUP BY s.segment_id
  )
  SELECT 'warning', 'segment_jump', format('segment "%s" went from %s to %s customers on %s; a day usually changes %s %%', g.name, s.before, s.customers, s.day, round((u.share * 100)::numeric, 1)),
    format('See cdp_bi.segment_size_daily and cdp.segment_drift(%L, %L): was a source late, or loaded twice?', g.name, (s.day - 1)::text)
  FROM step s JOIN usual u ON u.segment_id = s.segment_id JOIN cdp_data.segment g ON g.segment_id = s.segment_id
  WHERE s.back = 1 AND g.state = 'active' AND s.day >= (now() - interval '2 days')::date AND u.days >= 7 AND abs(s.customers - s.before) >= 50
    AND abs(s.customers - s.before) > greatest(0.25, 5 * u.share) * greatest(s.before, 1)
    AND NOT EXISTS (SELECT FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.created_at >= s.day - 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_segment_sizes() IS
'Findings of cdp.health() about active segments whose size, yesterday or today, moved from one day to the next by more than a quarter, by more than five times what is the middle of its own days (at least 7 of the last 40), and by 50 customers at least, though nobody changed its rule.';
