-- Identity room, the graph: records that came again. What a record of a batch said (cdp_data.record_version) stays in
-- force while one of the loads that said it is. Records that the same loads repeated share one list of loads
-- (cdp_data.repetition), so that the same million records again write a few rows, and a revert still knows all.

CREATE OR REPLACE FUNCTION cdp_internal.repetition_refresh(ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  UPDATE cdp_data.repetition r SET own_time = x.own, first_at = x.first_at, last_at = x.last_at, times = x.times
  FROM (
    SELECT y.repetition_id, coalesce(bool_or(u.at IS NULL) FILTER (WHERE d.load_id IS NOT NULL), false) AS own,
      min(u.at) FILTER (WHERE d.load_id IS NOT NULL) AS first_at, max(u.at) FILTER (WHERE d.load_id IS NOT NULL) AS last_at,
      -- The first and the last stand beside it already.
      CASE WHEN count(DISTINCT u.at) FILTER (WHERE d.load_id IS NOT NULL) > 2 THEN
        array_agg(DISTINCT u.at) FILTER (WHERE d.load_id IS NOT NULL AND u.at IS NOT NULL) END AS times
    FROM cdp_data.repetition y LEFT JOIN LATERAL unnest(y.loads, y.ats) AS u (load_id, at) ON true
      LEFT JOIN cdp_data.load d ON d.load_id = u.load_id AND (d.state = 'done' OR d.state = 'running' AND d.xid = pg_current_xact_id_if_assigned())
    WHERE y.repetition_id = ANY (ids)
    GROUP BY y.repetition_id) x
  WHERE r.repetition_id = x.repetition_id
    AND (r.own_time, r.first_at, r.last_at, r.times) IS DISTINCT FROM (x.own, x.first_at, x.last_at, x.times);
END
$$;
COMMENT ON FUNCTION cdp_internal.repetition_refresh(bigint[]) IS
'Brings own_time, first_at, last_at and times of these rows of cdp_data.repetition to the loads that are in force now.';

CREATE OR REPLACE FUNCTION cdp_internal.repeat_versions(load bigint, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  g record;
  part bigint;
  grown bigint[] := '{}';
BEGIN
  -- A list grows for all of its records. Where some did not come again, the smaller side first gets a list of its own.
  FOR g IN
    SELECT w.repetition_id AS id, count(*) AS n, count(s.version_id) AS came
    FROM cdp_data.record_version w LEFT JOIN pg_temp.cdp_load_same s ON s.version_id = w.version_id
    WHERE w.repetition_id IN (SELECT DISTINCT s.repetition_id FROM pg_temp.cdp_load_same s)
    GROUP BY w.repetition_id ORDER BY w.repetition_id
  LOOP
    part := g.id;
    IF g.came < g.n THEN
      INSERT INTO cdp_data.repetition AS r (basis, loads, ats, own_time, first_at, last_at, times)
      SELECT y.basis, y.loads, y.ats, y.own_time, y.first_at, y.last_at, y.times FROM cdp_data.repetition y WHERE y.repetition_id = g.id
      RETURNING r.repetition_id INTO part;
      IF g.came * 2 >= g.n THEN
        UPDATE cdp_data.record_version w SET repetition_id = part
        WHERE w.repetition_id = g.id AND NOT EXISTS (SELECT FROM pg_temp.cdp_load_same s WHERE s.version_id = w.version_id);
        part := g.id;
      ELSE
        UPDATE cdp_data.record_version w SET repetition_id = part
        FROM pg_temp.cdp_load_same s WHERE s.repetition_id = g.id AND w.version_id = s.version_id;
      END IF;
    END IF;
    UPDATE cdp_data.repetition r SET loads = r.loads || load, ats = r.ats || repeat_versions.at WHERE r.repetition_id = part;
    grown := grown || part;
  END LOOP;
  PERFORM cdp_internal.repetition_refresh(grown);
  RETURN cardinality(grown);
END
$$;
COMMENT ON FUNCTION cdp_internal.repeat_versions(bigint, timestamptz) IS
'Notes that a load said again what the records in pg_temp.cdp_load_same (version_id, repetition_id) said, at one time, or (NULL) at the time at which each was said first. Writes a row for each list of loads, and one for each record that parts from those with which it shared a list. The caller holds the source. Returns how many lists grew.';

CREATE OR REPLACE FUNCTION cdp_internal.load_repeats(load bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY SELECT r.repetition_id FROM cdp_data.repetition r WHERE r.loads @> ARRAY[load];
END
$$;
COMMENT ON FUNCTION cdp_internal.load_repeats(bigint) IS
'The lists of cdp_data.repetition on which a load stands.';

CREATE OR REPLACE FUNCTION cdp_internal.links_shown_by(load bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  repeats bigint[] := ARRAY(SELECT cdp_internal.load_repeats(load));
BEGIN
  RETURN QUERY SELECT s.link_id FROM cdp_data.link_support s WHERE s.load_id = load;
  IF repeats <> '{}' THEN
    RETURN QUERY
    SELECT s.link_id FROM cdp_data.record_version w JOIN cdp_data.link_support s ON s.version_id = w.version_id
    WHERE w.repetition_id = ANY (repeats) AND s.version_id <> 0;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.links_shown_by(bigint) IS
'The links that a load shows, by records of its own or by repeating others; some twice.';
