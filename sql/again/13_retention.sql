-- Core room: which touchpoints are past their retention, and which belong to somebody on hold. Partitions whose rows
-- are all past are dropped by cdp.maintain(); single rows of the others are deleted by the governance room.

CREATE OR REPLACE FUNCTION cdp_internal.cutoff(as_of timestamptz, keep interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (as_of AT TIME ZONE 'UTC' - keep) AT TIME ZONE 'UTC';
COMMENT ON FUNCTION cdp_internal.cutoff(timestamptz, interval) IS
'The moment before which something kept so long is past at as_of. Days and months are those of UTC, whatever the session''s time zone, so that the plan of one session is what another one does. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.held_homes() RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.hold h WHERE h.lifted_at IS NULL AND (h.until IS NULL OR h.until > now())) THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(
    WITH RECURSIVE up (customer_id, parent_id) AS (
      SELECT c.customer_id, c.parent_id FROM cdp_data.hold h JOIN cdp_data.customer c ON c.customer_id = h.customer_id
      WHERE h.lifted_at IS NULL AND (h.until IS NULL OR h.until > now())
      UNION
      SELECT c.customer_id, c.parent_id FROM up u JOIN cdp_data.customer c ON c.customer_id = u.parent_id WHERE u.parent_id <> u.customer_id
    ), down (customer_id) AS (
      SELECT u.customer_id FROM up u
      UNION
      SELECT c.customer_id FROM down d JOIN cdp_data.customer c ON c.parent_id = d.customer_id AND c.parent_id <> c.customer_id
    )
    -- What an unmerge moved to one of them stays under its home, so that home is held as well.
    SELECT d.customer_id FROM down d
    UNION SELECT i.customer_id FROM down d JOIN cdp_data.identifier_override o ON o.customer_id = d.customer_id JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
    ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.held_homes() IS
'Home customers whose rows are on hold now (cdp_data.hold), ascending: those named, all who are one customer with them, and the homes of identifiers that an unmerge gave to them. Rather too many than too few. Empty without holds.';

CREATE OR REPLACE FUNCTION cdp_internal.kind_cutoffs(as_of timestamptz DEFAULT now()) RETURNS TABLE (kind_id smallint, name text, keep interval, basis text, cutoff timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT k.kind_id, k.name::text, coalesce(r.keep, s.touchpoint_retention), coalesce(r.basis, 'occurred')::text, cdp_internal.cutoff(as_of, coalesce(r.keep, s.touchpoint_retention))
  FROM cdp_data.setting s CROSS JOIN cdp_data.touch_kind_all k LEFT JOIN cdp_data.retention r ON r.what = 'touchpoint' AND r.name = k.name
  WHERE coalesce(r.keep, s.touchpoint_retention) IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.kind_cutoffs(timestamptz) IS
'Per kind of touchpoint the moment before which it is past its retention at as_of, and what that moment is compared with (basis). No row for a kind that is kept for ever.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_is_plain() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM cdp_data.retention r WHERE r.what = 'touchpoint') AND cdp_internal.held_homes() = '{}';
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_is_plain() IS
'True while all kinds of touchpoints are kept equally long and nobody is on hold: then the age of a partition tells all.';

CREATE OR REPLACE FUNCTION cdp_internal.past_sql(relation text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format('FROM %s t LEFT JOIN cdp_internal.kind_cutoffs($1) c ON c.kind_id = t.kind_id LEFT JOIN cdp_data.load l ON l.load_id = t.load_id
    CROSS JOIN LATERAL (SELECT coalesce(CASE c.basis WHEN ''occurred'' THEN t.occurred_at < c.cutoff ELSE l.started_at < c.cutoff END, false) AS past,
      t.customer_id = ANY ($2) AS held) x', relation);
COMMENT ON FUNCTION cdp_internal.past_sql(text) IS
'FROM clause over a relation with the columns of touchpoint (t), already quoted: c the kind''s cutoff at $1, x.past whether the row is past it, x.held whether its home is among $2.';

CREATE OR REPLACE FUNCTION cdp_internal.partition_is_past(partition_name text, from_at timestamptz, to_at timestamptz, as_of timestamptz DEFAULT now()) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  homes bigint[] := cdp_internal.held_homes();
  kept boolean;
  filled boolean;
BEGIN
  EXECUTE format('SELECT EXISTS (SELECT FROM %s), EXISTS (SELECT %s WHERE NOT x.past OR x.held)', partition_name, cdp_internal.past_sql(partition_name))
  INTO filled, kept USING as_of, homes;
  -- Versions that a revert could bring back go with their partition, so they count, too.
  RETURN filled AND NOT kept AND NOT EXISTS (
    SELECT FROM cdp_data.touchpoint_retracted t LEFT JOIN cdp_internal.kind_cutoffs(as_of) c ON c.kind_id = t.kind_id LEFT JOIN cdp_data.load l ON l.load_id = t.load_id
    WHERE t.occurred_at >= partition_is_past.from_at AND t.occurred_at < partition_is_past.to_at
      AND (t.customer_id = ANY (homes) OR NOT coalesce(CASE c.basis WHEN 'occurred' THEN t.occurred_at < c.cutoff ELSE l.started_at < c.cutoff END, false)));
END
$$;
COMMENT ON FUNCTION cdp_internal.partition_is_past(text, timestamptz, timestamptz, timestamptz) IS
'True when a partition (name quoted, with its bounds) has rows and all of them, and the versions taken out of its range, are past their retention at as_of and nobody''s on hold. Stops at the first row that stays.';

CREATE OR REPLACE FUNCTION cdp_internal.partition_expired(partition_name text, from_at timestamptz, to_at timestamptz, as_of timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF cdp_internal.retention_is_plain() THEN
    RETURN coalesce(to_at <= (SELECT cdp_internal.cutoff(as_of, t.touchpoint_retention) FROM cdp_data.setting t), false);
  END IF;
  -- What was loaded before a moment happened before it, but for the time that sources' clocks may be ahead.
  RETURN to_at <= (SELECT max(c.cutoff + CASE c.basis WHEN 'loaded' THEN t.time_ahead ELSE interval '0' END) FROM cdp_internal.kind_cutoffs(as_of) c, cdp_data.setting t)
    AND cdp_internal.partition_is_past(partition_name, from_at, to_at, as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.partition_expired(text, timestamptz, timestamptz, timestamptz) IS
'Whether nothing of a partition (name quoted, with its bounds) is kept any longer at as_of. With one retention for all kinds and nobody on hold its age tells; else every row has to be past (empty partitions stay). False without retention.';

CREATE OR REPLACE FUNCTION cdp_internal.expired_partitions(as_of timestamptz DEFAULT now()) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT p.partition_name FROM cdp_internal.touchpoint_bounds() p
  WHERE NOT p.is_default AND cdp_internal.partition_expired(p.partition_name, p.from_at, p.to_at, as_of)
  ORDER BY p.from_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.expired_partitions(timestamptz) IS
'Partitions of cdp_data.touchpoint of which nothing is kept any longer at as_of (cdp_internal.partition_expired()); what the next cdp.maintain() drops.';
