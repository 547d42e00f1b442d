-- Core room: monthly partitions of cdp_data.touchpoint.
--
-- A new partition needs ACCESS EXCLUSIVE on the default one until the transaction ends, so they are made
-- ahead by setup() and maintain(), and inside a load only when its months have none. Makers follow each
-- other under one advisory lock; a maker that meets a long reader gives up after a second, and its rows
-- stay in the default partition until maintain() moves them. So a load and a report never wait in a circle.

CREATE OR REPLACE FUNCTION cdp_internal.touchpoint_bounds()
RETURNS TABLE (partition_oid oid, partition_name text, from_at timestamptz, to_at timestamptz, is_default boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
BEGIN
  -- From the catalogue alone: whoever makes a partition locks the default one, and its size, or pg_get_expr() with
  -- its oid, would wait for that. Bounds have no columns, so the oid is not needed.
  RETURN QUERY
  SELECT p.oid, p.name, coalesce(p.low::timestamptz, '-infinity'), coalesce(p.high::timestamptz, 'infinity'), p.bound = 'DEFAULT'
  FROM (
    SELECT c.oid, n.nspname || '.' || quote_ident(c.relname) AS name, b.bound,
      substring(b.bound FROM 'FROM \(''([^'']+)''\)') AS low, substring(b.bound FROM 'TO \(''([^'']+)''\)') AS high
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL pg_get_expr(c.relpartbound, 0) AS b (bound)
    WHERE i.inhparent = to_regclass('cdp_data.touchpoint')
  ) p
  ORDER BY p.bound = 'DEFAULT', p.low::timestamptz;
END
$$;
COMMENT ON FUNCTION cdp_internal.touchpoint_bounds() IS
'The partitions of cdp_data.touchpoint from the catalogue, without a lock on any: oid, name, first moment, first moment after, whether it is the default one.';

CREATE OR REPLACE FUNCTION cdp_internal.touchpoint_partitions()
RETURNS TABLE (partition_name text, from_at timestamptz, to_at timestamptz, is_default boolean, bytes bigint, row_estimate bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT b.partition_name, b.from_at, b.to_at, b.is_default, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
  FROM cdp_internal.touchpoint_bounds() b JOIN pg_class c ON c.oid = b.partition_oid
  ORDER BY b.is_default, b.from_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.touchpoint_partitions() IS
'The partitions of cdp_data.touchpoint: name, first moment, first moment after, whether it is the default one, bytes with indexes, and the planner''s estimate of rows.';

CREATE OR REPLACE FUNCTION cdp_internal.make_partition(month date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '1s'
AS $$
DECLARE
  first_day date := date_trunc('month', month)::date;
  low timestamptz := first_day::timestamp AT TIME ZONE 'UTC';
  high timestamptz := (first_day + interval '1 month') AT TIME ZONE 'UTC';
  name text := 'touchpoint_' || to_char(first_day, 'YYYY_MM');
  owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass('cdp_data.touchpoint'));
BEGIN
  IF EXISTS (SELECT FROM cdp_internal.touchpoint_bounds() p WHERE NOT p.is_default AND p.from_at < high AND p.to_at > low) THEN
    RETURN false;
  END IF;
  IF to_regclass('cdp_data.' || name) IS NOT NULL THEN
    RAISE WARNING 'table cdp_data.% stands where a partition should', name
      USING HINT = 'It is not attached to cdp_data.touchpoint. Attach, rename or drop it.';
    RETURN false;
  END IF;
  BEGIN
    LOCK TABLE ONLY cdp_data.touchpoint IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE ONLY cdp_data.touchpoint_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE cdp_data.%I (LIKE cdp_data.touchpoint INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING GENERATED)', name);
    IF owner <> current_user THEN -- else the owner could neither analyze nor drop what a superuser's maintain() had made
      EXECUTE format('ALTER TABLE cdp_data.%I OWNER TO %I', name, owner);
    END IF;
    EXECUTE format('COMMENT ON TABLE cdp_data.%I IS %L', name, 'Touchpoints of ' || to_char(first_day, 'FMMonth YYYY') || ' (UTC).');
    -- The default partition may hold rows of this month; ATTACH refuses while it does.
    IF EXISTS (SELECT FROM cdp_data.touchpoint_default d WHERE d.occurred_at >= low AND d.occurred_at < high) THEN
      EXECUTE format('WITH moved AS (DELETE FROM cdp_data.touchpoint_default d WHERE d.occurred_at >= $1 AND d.occurred_at < $2 RETURNING d.*)
        INSERT INTO cdp_data.%1$I (%2$s) SELECT %2$s FROM moved', name, (
          SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a -- a user's generated columns come by themselves
          WHERE a.attrelid = to_regclass('cdp_data.touchpoint') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')) USING low, high;
    END IF;
    EXECUTE format('ALTER TABLE cdp_data.touchpoint ATTACH PARTITION cdp_data.%I FOR VALUES FROM (%L) TO (%L)', name, low, high);
  EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE 'partition cdp_data.% was not made: somebody reads the default partition', name
      USING HINT = 'Rows of that month go to cdp_data.touchpoint_default until CALL cdp.maintain() moves them.';
    RETURN false;
  END;
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.make_partition(date) IS
'Makes the partition of the month (UTC) that the day lies in, for the owner of cdp_data.touchpoint, and moves that month''s rows out of the default partition. False when it is there already, or when readers held the default partition for a second. Call it under the lock of ensure_partitions().';

CREATE OR REPLACE FUNCTION cdp_internal.ensure_partitions(months date[]) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  limits record;
  wanted date[];
  day date;
  made integer := 0;
BEGIN
  -- Times beyond the limits of cdp_data.setting are errors of the data and make no partition.
  SELECT date_trunc('month', t.time_floor, 'UTC') AS low, now() + t.time_ahead + make_interval(months => t.partitions_ahead + 1) AS high
  INTO limits FROM cdp_data.setting t;
  wanted := ARRAY(
    SELECT DISTINCT date_trunc('month', m)::date
    FROM unnest(months) m
    WHERE isfinite(m) AND m >= limits.low::date AND m <= limits.high::date
      AND NOT EXISTS (SELECT FROM cdp_internal.touchpoint_bounds() p
                      WHERE NOT p.is_default AND p.from_at <= m::timestamp AT TIME ZONE 'UTC' AND p.to_at > m::timestamp AT TIME ZONE 'UTC')
    ORDER BY 1);
  IF cardinality(wanted) = 0 THEN
    RETURN 0; -- the usual case takes no lock
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('pg_cdp partitions', 0));
  FOREACH day IN ARRAY wanted LOOP
    made := made + cdp_internal.make_partition(day)::integer;
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION cdp_internal.ensure_partitions(date[]) IS
'Makes the missing monthly partitions (UTC) of these days and returns how many it made. NULL, infinite and absurd days (cdp_data.setting: time_floor, time_ahead) are left out. For loads: call it first in the transaction, with the distinct months of the rows.';

CREATE OR REPLACE FUNCTION cdp_internal.ensure_partitions(from_at timestamptz, to_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  low timestamp := date_trunc('month', from_at AT TIME ZONE 'UTC');
  high timestamp := to_at AT TIME ZONE 'UTC';
  n integer;
BEGIN
  IF from_at IS NULL OR to_at IS NULL OR NOT isfinite(from_at) OR NOT isfinite(to_at) OR from_at > to_at THEN
    RAISE EXCEPTION 'invalid range of times for partitions'
      USING ERRCODE = 'datetime_field_overflow', DETAIL = format('It goes from %s to %s.', from_at, to_at),
        HINT = 'Give two finite times, the earlier one first.';
  END IF;
  n := (extract(year FROM high) - extract(year FROM low)) * 12 + extract(month FROM high) - extract(month FROM low) + 1;
  IF n > 1200 THEN
    RAISE EXCEPTION 'too many partitions'
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('The range from %s to %s has %s months; 1200 is the limit.', from_at, to_at, n),
        HINT = 'Is there a wrong time among the rows?';
  END IF;
  RETURN cdp_internal.ensure_partitions(ARRAY(SELECT (low + make_interval(months => i))::date FROM generate_series(0, n - 1) i));
END
$$;
COMMENT ON FUNCTION cdp_internal.ensure_partitions(timestamptz, timestamptz) IS
'Makes the missing monthly partitions (UTC) that touch the range, both ends included, and returns how many it made. Errors: 22008 NULL, infinite or backward range, 54000 more than 1200 months.';

CREATE OR REPLACE PROCEDURE cdp.make_partitions(from_at timestamptz, to_at timestamptz)
LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.ensure_partitions(from_at, to_at);
  COMMIT;
END
$$;
COMMENT ON PROCEDURE cdp.make_partitions(timestamptz, timestamptz) IS
'Makes the monthly partitions of cdp_data.touchpoint for a range and commits. Run it before loading history, so that the load itself needs no lock that readers wait for. Must be called outside a transaction block.';

CREATE OR REPLACE FUNCTION cdp_internal.time_bounds(OUT earliest timestamptz, OUT latest timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- A kind that is kept longer than the others comes in longer, too.
  SELECT CASE WHEN t.touchpoint_retention IS NULL THEN t.time_floor ELSE greatest(t.time_floor, date_trunc('month',
    cdp_internal.cutoff(now(), greatest(t.touchpoint_retention, (SELECT max(r.keep) FROM cdp_data.retention r WHERE r.what = 'touchpoint'))), 'UTC')) END, now() + t.time_ahead
  INTO earliest, latest FROM cdp_data.setting t;
END
$$;
COMMENT ON FUNCTION cdp_internal.time_bounds() IS
'The first and the last moment that a touchpoint may have today: cdp_data.setting.time_floor or the begin of the longest retention of a kind, and now plus time_ahead. Rows outside belong into quarantine.';

CREATE OR REPLACE FUNCTION cdp_internal.sweep_months() RETURNS SETOF date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH known AS (
    SELECT min(p.from_at) AS low, max(p.to_at) AS high FROM cdp_internal.touchpoint_bounds() p WHERE NOT p.is_default
  ), stray AS (
    SELECT date_trunc('month', d.occurred_at, 'UTC') AS month, count(*) AS n
    FROM cdp_data.touchpoint_default d, cdp_internal.time_bounds() b
    WHERE d.occurred_at >= b.earliest AND d.occurred_at <= b.latest
    GROUP BY 1
  )
  -- A handful of rows of a far month is no reason for a partition.
  SELECT (s.month AT TIME ZONE 'UTC')::date FROM stray s, known k
  WHERE s.n >= 1000 OR (s.month >= k.low AND s.month < k.high)
  ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.sweep_months() IS
'First days of the months whose rows should leave the default partition: those between existing partitions, and those with 1000 rows or more. Absurd times stay.';

CREATE OR REPLACE FUNCTION cdp_internal.drop_partition(partition_name text, as_of timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '800ms'
AS $$
DECLARE
  p record;
BEGIN
  -- We hold keys while we wait. A load that wants them looks for a deadlock after deadlock_timeout: by then we have given way.
  PERFORM set_config('lock_timeout', least(800, greatest(1, s.setting::integer * 4 / 5))::text, true) FROM pg_settings s WHERE s.name = 'deadlock_timeout';
  SELECT * INTO p FROM cdp_internal.touchpoint_bounds() t WHERE t.partition_name = drop_partition.partition_name AND NOT t.is_default;
  IF NOT FOUND AND to_regclass(partition_name) IS NULL THEN
    RETURN false; -- another session was quicker
  ELSIF NOT FOUND THEN
    RAISE EXCEPTION '% is no partition of cdp_data.touchpoint', partition_name
      USING ERRCODE = 'undefined_table', HINT = 'SELECT partition_name FROM cdp_internal.touchpoint_partitions() lists them.';
  END IF;
  BEGIN
    -- Keys first: that takes long but stops nobody; the exclusive lock comes last and is short.
    DELETE FROM cdp_data.touchpoint_key k WHERE k.occurred_at >= p.from_at AND k.occurred_at < p.to_at;
    -- As DROP locks them. What a load or a call wrote there meanwhile, or a hold, may have to stay.
    LOCK TABLE ONLY cdp_data.touchpoint IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', p.partition_name);
    IF as_of IS NOT NULL AND NOT cdp_internal.partition_expired(p.partition_name, p.from_at, p.to_at, as_of) THEN
      RAISE lock_not_available;
    END IF;
    DELETE FROM cdp_data.touchpoint_retracted r WHERE r.occurred_at >= p.from_at AND r.occurred_at < p.to_at;
    EXECUTE format('DROP TABLE %s', p.partition_name);
    PERFORM cdp_internal.feed_write(NULL, 'retention', p.from_at, p.to_at);
    PERFORM cdp_data.audit_write('retention', p.partition_name, NULL, '{"dropped": true}');
  -- A load that corrects one of these keys while we wait for its lock on the table: it goes on, we give way.
  EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE NOTICE 'partition % was not dropped: it is in use', partition_name USING HINT = 'The next CALL cdp.maintain() tries again.';
    RETURN false;
  WHEN undefined_table THEN
    IF to_regclass(partition_name) IS NOT NULL THEN
      RAISE;
    END IF;
    RETURN false;
  END;
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.drop_partition(text, timestamptz) IS
'Drops a partition of cdp_data.touchpoint with the keys and retracted versions of its range, and tells the change feed. With as_of only if, looked at again once nobody can write there, all of it is past its retention then; while kinds have a retention of their own, readers wait for that look. False when others held it for most of a second (four fifths of deadlock_timeout, at most 800 ms), when something in it has to stay, or when it is gone. Error 42P01: a table that is not one of its partitions.';
