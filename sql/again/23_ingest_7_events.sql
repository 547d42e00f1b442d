-- Identity room, ingestion: batches of events. The records are read by contract or column names, then go the way of
-- cdp.load_touchpoints() as rows with one identifier, the strongest; the links between all of them are made on the way.

CREATE OR REPLACE FUNCTION cdp_internal.event_stage() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  x record;
BEGIN
  -- A bad optional value is left out; but a touchpoint has a key, a time and a kind, and money must not vanish. Whether a time can be read the load itself judges.
  UPDATE pg_temp.cdp_load_record r SET code = 'bad_field', bad_field = y.n
  FROM (
    SELECT r.row_no, min(f.n) AS n
    FROM pg_temp.cdp_load_record r CROSS JOIN LATERAL unnest(r.bad) b JOIN pg_temp.cdp_load_field f ON f.n = split_part(b, ':', 1)::integer
    WHERE r.code IS NULL AND f.target_kind = 'touchpoint' AND (f.target_name IN ('source_key', 'occurred_at', 'kind') AND split_part(b, ':', 2) NOT IN ('bad_timestamp', 'bad_date') OR cdp_internal.is_money(f.target_kind, f.target_name))
    GROUP BY r.row_no) y
  WHERE r.row_no = y.row_no;
  SELECT string_agg(CASE WHEN f.n IS NULL THEN format('NULL::text AS %I', c.name)
        WHEN c.name IN ('occurred_at', 'kind') OR f.data_type = 'text' AND num_nonnulls(f.min_value, f.max_value, f.pattern, f.allowed) = 0 THEN format('r.f[%s] AS %I', f.n, c.name)
        ELSE format('CASE WHEN r.bad IS NULL OR NOT EXISTS (SELECT FROM unnest(r.bad) b WHERE split_part(b, '':'', 1) = ''%s'') THEN r.f[%1$s] END AS %I', f.n, c.name) END, ', ')
      FILTER (WHERE c.name <> 'properties') AS columns,
    max(f.n) FILTER (WHERE c.name = 'properties') AS properties,
    coalesce('cdp_internal.parse_json(r.f[' || max(f.n) FILTER (WHERE c.name = 'properties') || '])', 'NULL::jsonb') AS properties_sql
  INTO x
  FROM unnest(cdp_internal.touch_columns()) c (name)
    LEFT JOIN pg_temp.cdp_load_field f ON f.target_kind = 'touchpoint' AND f.target_name = c.name
  WHERE c.name <> 'source_key';
  IF x.properties IS NOT NULL THEN
    UPDATE pg_temp.cdp_load_record r SET code = 'bad_properties'
    WHERE r.code IS NULL AND btrim(r.f[x.properties]) <> '' AND jsonb_typeof(cdp_internal.parse_json(r.f[x.properties])) IS DISTINCT FROM 'object';
  END IF;
  EXECUTE (
    SELECT format('CREATE TEMP TABLE cdp_load_stage AS
      SELECT r.row_no AS record_no, cdp_internal.row_number() AS pos, r.source_key, s.type AS identifier_type, s.value AS identifier, %s,
        %s AS properties
      FROM pg_temp.cdp_load_record r CROSS JOIN LATERAL (
        SELECT v.type, v.value FROM (VALUES %s) AS v (able, priority, type_id, type, value) WHERE v.value IS NOT NULL
        ORDER BY v.able DESC, v.priority, v.type_id, v.value COLLATE "C" LIMIT 1) s
      WHERE r.code IS NULL', x.columns,
      CASE WHEN count(*) FILTER (WHERE f.target_kind = 'property') = 0 THEN x.properties_sql
        ELSE format('nullif(coalesce(%s, ''{}'') || %s, ''{}'')', x.properties_sql, (
          -- A function takes a hundred arguments at most.
          SELECT string_agg(format('jsonb_strip_nulls(jsonb_build_object(%s))', p.pairs), ' || ' ORDER BY p.part)
          FROM (
            SELECT f.part, string_agg(format('%L, CASE WHEN btrim(r.f[%s]) <> '''' AND (r.bad IS NULL OR NOT EXISTS (SELECT FROM unnest(r.bad) b WHERE split_part(b, '':'', 1) = ''%2$s'')) THEN %3$s END',
              f.target_name, f.n, CASE WHEN f.data_type IN ('integer', 'numeric') THEN format('to_jsonb(btrim(r.f[%s])::numeric)', f.n)
                WHEN f.data_type = 'boolean' THEN format('to_jsonb(lower(btrim(r.f[%s])) IN (''true'', ''t'', ''yes'', ''y'', ''1'', ''on'', ''是''))', f.n)
                WHEN f.data_type = 'json' THEN format('cdp_internal.parse_json(r.f[%s])', f.n)
                ELSE format('to_jsonb(r.f[%s])', f.n) END), ', ' ORDER BY f.n) AS pairs
            FROM (SELECT g.*, (row_number() OVER (ORDER BY g.n) - 1) / 40 AS part FROM pg_temp.cdp_load_field g WHERE g.target_kind = 'property') f
            GROUP BY f.part) p)) END,
      string_agg(format('(%s, %s, %s, %L, r.r[%s])', CASE f.role WHEN 'merge' THEN 'true' ELSE 'false' END, f.priority, f.target_id, f.target_name, f.n), ', ') FILTER (WHERE f.target_kind = 'identifier' AND f.role <> 'ignore'))
    FROM pg_temp.cdp_load_field f);
END
$$;
COMMENT ON FUNCTION cdp_internal.event_stage() IS
'Puts the good records of a batch of events into pg_temp.cdp_load_stage, in the form that cdp.load_touchpoints() reads, each with its strongest identifier.';

CREATE OR REPLACE FUNCTION cdp_internal.event_settle(src integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text[] := ARRAY(SELECT f.field FROM pg_temp.cdp_load_field f ORDER BY f.n);
  -- All records of a batch have the same names.
  places jsonb := cdp_internal.secret_places(src, (SELECT jsonb_object_agg(k, '') FROM (
    SELECT unnest(names) AS k UNION SELECT jsonb_object_keys(o.original) FROM (
      SELECT r.original FROM pg_temp.cdp_load_record r WHERE r.original IS NOT NULL AND r.original <> '{}' LIMIT 1) o) n));
BEGIN
  -- A row that the load refused links nobody, and goes to quarantine as it came.
  UPDATE pg_temp.cdp_load_row w SET original = cdp_internal.seal_fields(coalesce(r.original, cdp_internal.fields_json(names, r.f)), places)
  FROM pg_temp.cdp_load_stage s JOIN pg_temp.cdp_load_record r ON r.row_no = s.record_no
  WHERE s.pos = w.row_no AND w.code IS NOT NULL AND w.code <> 'suppressed';
  UPDATE pg_temp.cdp_load_record r SET code = 'settled'
  FROM pg_temp.cdp_load_stage s JOIN pg_temp.cdp_load_row w ON w.row_no = s.pos
  WHERE r.row_no = s.record_no AND w.code IS NOT NULL;
  UPDATE pg_temp.cdp_load_record r SET at = w.at
  FROM pg_temp.cdp_load_stage s JOIN pg_temp.cdp_load_row w ON w.row_no = s.pos
  WHERE r.row_no = s.record_no AND w.code IS NULL;
  -- Rows keep the number that they had in what was delivered.
  UPDATE pg_temp.cdp_load_row w SET row_no = s.record_no FROM pg_temp.cdp_load_stage s WHERE s.pos = w.row_no AND s.record_no <> s.pos;
END
$$;
COMMENT ON FUNCTION cdp_internal.event_settle(integer) IS
'Brings what cdp_internal.load_read() found about the rows back to the records of the batch: which are refused, and when the others happened.';

CREATE OR REPLACE FUNCTION cdp_internal.event_carriers() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- An identifier in quarantine carries nothing when the record shows a better one.
  UPDATE pg_temp.cdp_load_row w SET type_id = i.type_id, identifier = i.value
  FROM pg_temp.cdp_load_ids x JOIN cdp_data.identifier i ON i.identifier_id = x.carrier
  WHERE w.row_no = x.row_no AND (w.type_id, w.identifier) IS DISTINCT FROM (i.type_id, i.value);
END
$$;
COMMENT ON FUNCTION cdp_internal.event_carriers() IS
'Gives each row of the batch the identifier that may carry it, now that their states are known.';

CREATE OR REPLACE FUNCTION cdp.load_events(
  source text, staging regclass, time_zone text DEFAULT NULL, kind text DEFAULT NULL, note text DEFAULT NULL, trial boolean DEFAULT false)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint,
  identifiers bigint, links bigint, links_rejected bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET synchronize_seqscans = off SET extra_float_digits = 1 SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  seen record;
  row_seen record;
  work_mem text := current_setting('work_mem');
BEGIN
  SELECT b.load_id, b.source_id INTO load_id, src FROM cdp_internal.record_begin(source, 'event', note, trial) b;
  PERFORM cdp_internal.load_keep_arguments(load_id, time_zone, NULL, kind);
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  IF NOT EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = 'event') THEN
    PERFORM cdp_internal.check_staging(staging, ARRAY['source_key', 'occurred_at'] || CASE WHEN kind IS NULL THEN ARRAY['kind'] END);
  END IF;
  seen := cdp_internal.record_read(load_id, src, 'event', staging, time_zone);
  rows_read := seen.rows_read;
  PERFORM cdp_internal.record_suppress();
  PERFORM cdp_internal.event_stage();
  row_seen := cdp_internal.load_read(load_id, 'pg_temp.cdp_load_stage'::regclass, time_zone, NULL, kind);
  IF row_seen.repeats THEN
    PERFORM cdp_internal.load_settle_repeats();
  END IF;
  PERFORM cdp_internal.event_settle(src);
  quarantined := cdp_internal.record_quarantine(load_id, src) + cdp_internal.load_quarantine(load_id, src);
  PERFORM cdp_internal.record_quality(load_id, src, 'event', rows_read);
  orphaned := 0;
  corrected := 0;
  inserted := 0;
  links := 0;
  links_rejected := 0;
  identifiers := cdp_internal.record_values();
  IF NOT trial THEN
    PERFORM cdp_internal.load_partitions(row_seen.first_at, row_seen.last_at);
    LOCK TABLE cdp_data.touchpoint IN ROW EXCLUSIVE MODE;
    LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE; -- before any identifier, which a rebuild may want
    PERFORM cdp_internal.load_origins();
    PERFORM cdp_internal.record_identifiers();
    PERFORM cdp_internal.record_ids(load_id, false);
    SELECT l.links, l.rejected INTO links, links_rejected FROM cdp_internal.load_links(load_id, src) l;
    PERFORM cdp_internal.record_attributes(load_id, src, false);
    PERFORM cdp_internal.event_carriers();
    PERFORM cdp_internal.load_group_people();
    SELECT w.inserted, w.corrected, w.orphaned INTO inserted, corrected, orphaned FROM cdp_internal.load_store(load_id, src) w;
    PERFORM cdp_internal.record_close(load_id, src);
  END IF;
  unchanged := rows_read - quarantined - inserted - corrected;
  PERFORM cdp_internal.drop_record_tables(), cdp_internal.drop_load_tables();
  PERFORM set_config('work_mem', work_mem, true);
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined, orphaned, row_seen.first_at, row_seen.last_at);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_events(text, regclass, text, text, text, boolean) IS
'Loads events from a staging table or view: touchpoints, as cdp.load_touchpoints() writes them, whose rows show several identifiers, which become one customer as cdp.identify() would have it. By the contract of the source (cdp.declare_contract()) or, without one, by the names of the columns: an identifier type (email, user_id, cookie) identifies; source_key, occurred_at, kind, source, medium, campaign, referrer_host, add_way, qr_scene, value, currency, properties, refers_to, flags as there; other columns are not read. A touchpoint is carried by the strongest identifier of its row. kind serves rows without one; times without offset are in time_zone (NULL: that of the source). trial => true reads, checks and counts, and takes nothing in; of refused rows cdp_data.quarantine has number and reason only. Returns the ledger row''s counts (rows_read = inserted + corrected + unchanged + quarantined), how many different identifiers and links the rows show, and how many links a rule stopped. A load can be taken back: cdp.revert_load(). Errors: 22023 unknown source or time zone, 42703 missing columns or none that identifies, 55000 the contract is not live, or before cdp.setup().';
