-- Segment room: who is in, now or then, and who of them may be spoken to. And what the room adds to erasures, to
-- maintenance and to the findings of health.

CREATE OR REPLACE FUNCTION cdp_internal.segment_bits(id integer) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT cdp.roaring_union(c.bits) FROM cdp_data.segment_chunk c WHERE c.segment_id = id);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_bits(integer) IS 'The members of a segment now, as one Roaring bitmap; empty, never NULL, without any.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_bits_at(id integer, at timestamptz) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  clock record;
  run bigint;
  undo record;
BEGIN
  SELECT c.as_of, c.kept_from INTO clock FROM cdp_data.segment_clock c;
  IF at < clock.kept_from THEN
    RAISE EXCEPTION 'members of that time are no longer known'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Transitions are kept from %s on, asked for is %s.', clock.kept_from, at), HINT = 'See cdp_data.setting.transition_retention.';
  END IF;
  -- As the last run for a moment not after it left them; what later runs wrote is taken back, for each customer the first.
  -- Of runs before the first that is kept only their transitions are missing: all that came since is taken back.
  run := coalesce((SELECT max(r.run_id) FROM cdp_data.segment_run r WHERE r.as_of <= at), 0);
  SELECT cdp.roaring_build(x.customer_id) FILTER (WHERE x.entered) AS come, cdp.roaring_build(x.customer_id) FILTER (WHERE NOT x.entered) AS gone INTO undo
  FROM (SELECT DISTINCT ON (t.customer_id) t.customer_id, t.entered FROM cdp_data.segment_transition t
        WHERE t.segment_id = id AND t.run_id > run AND (run > 0 OR clock.kept_from IS NULL OR t.at >= clock.kept_from)
        ORDER BY t.customer_id, t.transition_id) x;
  RETURN cdp.roaring_or(cdp.roaring_andnot(cdp_internal.segment_bits(id), undo.come), undo.gone);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_bits_at(integer, timestamptz) IS
'The members of a segment as they were found for a moment: those of the last run whose as_of is not after it; empty before the first run. Customers erased since are not among them. Error 22023: transitions of that time were deleted by their retention.';

CREATE OR REPLACE FUNCTION cdp.segment_members(name text, at timestamptz DEFAULT NULL) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s record := cdp_internal.segment_of(name);
BEGIN
  RETURN QUERY SELECT cdp.roaring_ids(CASE WHEN at IS NULL THEN cdp_internal.segment_bits(s.segment_id) ELSE cdp_internal.segment_bits_at(s.segment_id, at) END);
END
$$;
COMMENT ON FUNCTION cdp.segment_members(text, timestamptz) IS
'The customers in a segment, ascending: now (as of the last tick), or as they were found for a moment in the past. Customers erased since are in no past. Whom of them one may write to, cdp.segment_audience() tells. Errors: 42704 no such segment, 22023 a moment of which transitions are no longer kept.';

CREATE OR REPLACE FUNCTION cdp.customer_segments(customer bigint) RETURNS TABLE (segment text, purpose text, since timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.root_of(customer);
  RETURN QUERY
  SELECT s.name, s.purpose, (SELECT t.at FROM cdp_data.segment_transition t WHERE t.customer_id = root AND t.segment_id = s.segment_id AND t.entered ORDER BY t.transition_id DESC LIMIT 1)
  FROM cdp_data.segment s JOIN cdp_data.segment_chunk c ON c.segment_id = s.segment_id AND c.chunk = (root >> 16)::integer
  WHERE cdp.roaring_has(c.bits, root) ORDER BY s.name;
END
$$;
COMMENT ON FUNCTION cdp.customer_segments(bigint) IS
'The segments that a customer (any id that was merged into him) is in now, with their purpose and since when (NULL: longer than transitions are kept). No row for an unknown customer.';

CREATE OR REPLACE FUNCTION cdp_internal.audience_bits(name text, channel text DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  s record := cdp_internal.segment_of(name);
  word text := cdp_internal.consent_channel(coalesce(audience_bits.channel, s.channel));
  rule jsonb;
  f record;
  analytics bytea := cdp_internal.consent_gate('analytics');
  gate bytea := cdp.consent_bitmap(s.purpose, word);
BEGIN
  SELECT v.rule INTO rule FROM cdp_data.segment_version v WHERE v.segment_id = s.segment_id AND v.version = s.version;
  SELECT c.path, c.code, c.message, c.hint INTO f FROM cdp_internal.segment_check_as(rule, s.purpose, name) c WHERE c.severity = 'error' ORDER BY c.code <> 'E_PURPOSE' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'segment "%" has no audience: %', name, f.message
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s at %s', f.code, f.path), HINT = f.hint;
  ELSIF s.state <> 'active' OR NOT EXISTS (SELECT FROM cdp_data.segment_state t WHERE t.segment_id = s.segment_id AND t.version = s.version AND t.error IS NULL) THEN
    RAISE EXCEPTION 'segment "%" has no audience now', name
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = CASE WHEN s.state <> 'active' THEN format('It is %s.', s.state) ELSE format('Version %s was not evaluated.', s.version) END,
        HINT = CASE WHEN s.state <> 'active' THEN 'cdp.activate_segment() has it evaluated.' ELSE 'SELECT * FROM cdp.segment_tick();' END;
  END IF;
  -- Consent is asked now, also within the transaction that changed it. Who was merged away since waits for the next tick.
  RETURN (
    SELECT cdp.roaring_build(m) FROM cdp.roaring_ids(cdp_internal.segment_bits(s.segment_id)) m
    WHERE cdp_internal.bitmap_has(gate, m) AND cdp_internal.bitmap_has(analytics, m)
      AND cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, m, NULL) = m);
END
$$;
COMMENT ON FUNCTION cdp_internal.audience_bits(text, text) IS 'cdp.segment_audience() as a Roaring bitmap, never NULL.';

CREATE OR REPLACE FUNCTION cdp.segment_audience(name text, channel text DEFAULT NULL) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT cdp.roaring_ids(cdp_internal.audience_bits(name, channel));
END
$$;
COMMENT ON FUNCTION cdp.segment_audience(text, text) IS
'The members of an active segment whom its purpose lets one use and speak to on a channel (NULL: that of the segment) now, ascending: the gates of consent to the purpose and to analytics are asked at this moment, within this transaction''s own writes. Under an opt_in purpose who has not granted is not in. Errors: 42704 no such segment; 22023 its rule may no longer read what it reads for its purpose (E_PURPOSE with the path), or no longer checks; 55000 it is not active, or its rule changed and was not evaluated yet.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_segment(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
  gone bytea := (SELECT cdp.roaring_build(c) FROM unnest(customers) c);
  places integer[] := ARRAY(SELECT DISTINCT (c >> 16)::integer FROM unnest(customers) c);
BEGIN
  -- No run is under way: it would hold cdp_data.profile_state, which the erasure holds.
  WITH hit AS (
    SELECT c.segment_id, c.chunk, cdp.roaring_andnot(c.bits, gone) AS bits, c.customers
    FROM cdp_data.segment_chunk c WHERE c.chunk = ANY (places) AND cdp.roaring_count(cdp.roaring_and(c.bits, gone)) > 0
  ), emptied AS (
    DELETE FROM cdp_data.segment_chunk c USING hit h WHERE (c.segment_id, c.chunk) = (h.segment_id, h.chunk) AND cdp.roaring_count(h.bits) = 0
  ), cleared AS (
    UPDATE cdp_data.segment_chunk c SET bits = h.bits, customers = cdp.roaring_count(h.bits)::integer
    FROM hit h WHERE (c.segment_id, c.chunk) = (h.segment_id, h.chunk) AND cdp.roaring_count(h.bits) > 0
  ), counted AS (
    UPDATE cdp_data.segment_state s SET customers = s.customers - x.less
    FROM (SELECT h.segment_id, sum(h.customers - cdp.roaring_count(h.bits)) AS less FROM hit h GROUP BY h.segment_id) x WHERE x.segment_id = s.segment_id
  )
  SELECT count(*) INTO n FROM hit;
  RETURN QUERY SELECT 'cdp_data.segment_chunk', 'clear', n;
  RETURN QUERY SELECT x, 'delete', cdp_internal.erase_keyed(x, 'customer_id', customers)
  FROM unnest(ARRAY['cdp_data.segment_transition', 'cdp_data.segment_defect', 'cdp_data.segment_flip']) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_segment(bigint[], bigint[], bigint[], bigint, text) IS
'Takes a person out of every segment, of its history, defects and flips, in the erasure''s transaction. Who keeps his touches unlinked is in no segment. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_transitions() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
  cutoff timestamptz := (SELECT date_trunc('month', cdp_internal.cutoff(now(), s.transition_retention), 'UTC') FROM cdp_data.setting s);
  held bigint[];
  part record;
  n bigint := 0;
  kept boolean;
BEGIN
  DELETE FROM cdp_data.segment_run r USING cdp_data.setting s
  WHERE r.as_of < cdp_internal.cutoff(now(), s.job_run_retention) AND (r.entered + r."left" = 0 OR r.as_of < cutoff) AND r.defects = 0
    AND NOT EXISTS (SELECT FROM cdp_data.segment_state t WHERE t.run_id = r.run_id);
  IF cutoff IS NULL THEN
    RETURN 'no retention of transitions';
  END IF;
  held := cdp_internal.held_homes();
  FOR part IN
    SELECT quote_ident(c.relname) AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid CROSS JOIN LATERAL pg_get_expr(c.relpartbound, 0) AS b (bound)
    WHERE i.inhparent = 'cdp_data.segment_transition'::regclass AND substring(b.bound FROM 'TO \(''([^'']+)''\)')::timestamptz <= cutoff ORDER BY c.relname
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM cdp_data.%s x WHERE x.customer_id = ANY ($1))', part.name) INTO kept USING held;
    IF kept THEN
      EXECUTE format('DELETE FROM cdp_data.%s x WHERE x.customer_id <> ALL ($1)', part.name) USING held;
    ELSE
      EXECUTE format('DROP TABLE cdp_data.%s', part.name);
    END IF;
    n := n + 1;
  END LOOP;
  IF n > 0 THEN
    UPDATE cdp_data.segment_clock c SET kept_from = greatest(c.kept_from, cutoff);
  END IF;
  RETURN n || ' months of transitions of segments past their retention';
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_transitions() IS
'Deletes months of transitions that are past cdp_data.setting.transition_retention (rows of customers on hold stay), and rows of runs that changed nothing and are older than job_run_retention. Returns what it did.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_segment()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE NOTICE 'maintain: %', cdp_internal.trim_transitions();
  PERFORM cdp_internal.segment_partition(now() + interval '20 days');
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_segment() IS
'Part of cdp.maintain(): retention of transitions and runs, and the partition of next month.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_segment()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.segment_clock') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'segment_defect', format('segment "%s": %s memberships were wrong, last found at %s', g.name, count(*), max(d.found_at)),
    'They are mended. See cdp_data.segment_defect, report it, then delete the rows.'
  FROM cdp_data.segment_defect d JOIN cdp_data.segment g ON g.segment_id = d.segment_id GROUP BY g.name
  UNION ALL
  SELECT 'warning', 'segment_broken', format('segment "%s" is not evaluated: %s', g.name, s.error), format('Mend its rule with cdp.edit_segment(%L, ...), or archive it', g.name)
  FROM cdp_data.segment_state s JOIN cdp_data.segment g ON g.segment_id = s.segment_id WHERE g.state = 'active' AND s.error IS NOT NULL
  UNION ALL
  SELECT 'warning', 'segments_stale', format('segments were last evaluated for %s', coalesce(c.as_of::text, 'no moment')),
    'See that the job list runs (cdp.schedule()), or run SELECT * FROM cdp.segment_tick();'
  FROM cdp_data.segment_clock c
  WHERE EXISTS (SELECT FROM cdp_data.segment g WHERE g.state = 'active' AND g.created_at < now() - interval '1 hour') AND coalesce(c.as_of < now() - interval '1 hour', true);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_segment() IS
'Findings of cdp.health() about segments: memberships that an audit found wrong, segments that can not be evaluated any more, and ticks that do not run.';
