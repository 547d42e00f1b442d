-- Connector room, watch: how good the data of a connection are, from what landed: coverage, refused records, pages, and the
-- form of records, which is learned and compared.

CREATE OR REPLACE FUNCTION cdp_internal.quality_weights() RETURNS TABLE (part text, weight numeric)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT v.part, v.weight FROM (VALUES ('completeness', 0.30), ('freshness', 0.15), ('validity', 0.25), ('schema', 0.15), ('uniqueness', 0.10), ('totals', 0.05)) AS v (part, weight);
END;
COMMENT ON FUNCTION cdp_internal.quality_weights() IS
'What the parts of the quality of a stream weigh in its score; together 1. Parts that are not known are left out, and the others weigh the more.';

CREATE OR REPLACE FUNCTION cdp_internal.quality_score(parts jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT round(sum(w.weight * (quality_score.parts ->> w.part)::numeric) / sum(w.weight), 4) FROM cdp_internal.quality_weights() w WHERE quality_score.parts ->> w.part IS NOT NULL;
END;
COMMENT ON FUNCTION cdp_internal.quality_score(jsonb) IS
'Weighted mean of the known parts of a quality, {"completeness": 0 to 1, ...}, four digits; NULL when none is known.';

CREATE OR REPLACE FUNCTION cdp_internal.freshness_of(behind numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN behind IS NOT NULL THEN greatest(0, 1 - greatest(0, behind) / 7) END;
COMMENT ON FUNCTION cdp_internal.freshness_of(numeric) IS
'Freshness of what is so many days or turns behind: 1 at none, 0 at seven, a straight line between. NULL for NULL.';

-- How late.

CREATE OR REPLACE FUNCTION cdp_internal.stream_freshness(connection_id integer, as_of timestamptz) RETURNS TABLE (stream_id smallint, stream text, by_days boolean, completeness numeric, freshness numeric, facts jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  m jsonb := (SELECT cdp_internal.connector_manifest(c.connector) FROM cdp_data.connection c WHERE c.connection_id = stream_freshness.connection_id);
BEGIN
  -- Streams by days: what the ledger says is there, and how far behind the newest day of each partition is.
  RETURN QUERY
  SELECT t.stream_id, t.name::text, true, v.completeness, round(b.freshness, 4), jsonb_build_object('due', v.due, 'missing', v.missing, 'suspect_zero', v.suspect_zero, 'unavailable', v.unavailable, 'final', v.final,
    'last_day', v.last_day, 'newest_day', b.newest, 'late_parts', b.late, 'parts', v.parts, 'restated', v.restated)
  FROM cdp_internal.stream_coverage(connection_id, as_of) v JOIN cdp_data.stream t ON t.connection_id = stream_freshness.connection_id AND t.name = v.stream
    CROSS JOIN LATERAL (
      SELECT avg(cdp_internal.freshness_of(p.behind)) AS freshness, max(p.newest) AS newest, count(*) FILTER (WHERE p.behind > 0) AS late
      FROM (SELECT max(c.day) FILTER (WHERE c.state IN ('provisional', 'final', 'unavailable')) AS newest,
              (v.last_day - coalesce(max(c.day) FILTER (WHERE c.state IN ('provisional', 'final', 'unavailable')), min(c.day) - 1))::numeric AS behind
            FROM cdp_data.coverage c WHERE c.connection_id = stream_freshness.connection_id AND c.stream_id = t.stream_id AND c.day <= v.last_day AND c.gone_at IS NULL GROUP BY c.part) p) b
  WHERE v.due > 0;
  -- Others: which partitions came to the end of their pull, and how many turns ago.
  RETURN QUERY
  SELECT t.stream_id, t.name::text, false, round(avg((p.done IS TRUE)::integer), 4), round(avg(cdp_internal.freshness_of(p.behind)), 4),
    jsonb_build_object('parts', count(*), 'open_parts', count(*) FILTER (WHERE p.done IS NOT TRUE), 'late_parts', count(*) FILTER (WHERE p.behind > 0), 'last_fetched_at', max(p.last_fetched_at), 'every', t.every)
  FROM (SELECT s.stream_id, s.name, coalesce(m #>> ARRAY['streams', s.name, 'every'], '1 day')::interval AS every FROM cdp_data.stream s
      WHERE s.connection_id = stream_freshness.connection_id AND m #> ARRAY['streams', s.name] IS NOT NULL AND NOT m #> ARRAY['streams', s.name] ? 'window') t
    CROSS JOIN LATERAL (SELECT x.done, x.last_fetched_at, extract(epoch FROM as_of - x.last_fetched_at) / extract(epoch FROM t.every) - 1 AS behind
      FROM cdp_data.stream_part x WHERE x.connection_id = stream_freshness.connection_id AND x.stream_id = t.stream_id AND x.gone_at IS NULL AND x.last_fetched_at IS NOT NULL) p
  GROUP BY t.stream_id, t.name, t.every;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_freshness(integer, timestamptz) IS
'Of each stream of a connection, what is there of what should be, and how late it is, at as_of. by_days: streams that are asked by days, of which completeness is that of cdp_internal.stream_coverage(), and a partition is as many days behind as its newest day that is there (or unavailable) lies before the last day that is due. Else completeness is the share of partitions whose last pull came to its end, and a partition is behind by the turns (every of the manifest, else a day) that were left out since. Partitions that are gone do not count. freshness: mean over partitions of cdp_internal.freshness_of(). Streams of which nothing is due have no row. Needs the rights of the tables'' owner.';

-- What came twice.

CREATE OR REPLACE FUNCTION cdp_internal.stream_repeats(connection_id integer, stream_id smallint, OUT records bigint, OUT repeats bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  WITH pulls AS (
    SELECT DISTINCT p.pull_id FROM (SELECT x.page_id FROM cdp_data.stream_part x WHERE x.connection_id = stream_repeats.connection_id AND x.stream_id = stream_repeats.stream_id AND x.gone_at IS NULL
        ORDER BY x.last_fetched_at DESC NULLS LAST, x.part LIMIT 20) n
      JOIN cdp_data.raw_page p ON p.page_id = n.page_id WHERE p.pull_id IS NOT NULL
  ), pages AS (
    -- Of a page that was asked for twice the later one counts; one that names somebody who must not come in again was not kept.
    SELECT DISTINCT ON (p.pull_id, p.nth) p.pull_id, p.nth, p.records - p.refused AS n, p.keys FROM pulls u JOIN cdp_data.raw_page p ON p.pull_id = u.pull_id
    WHERE p.verb = 'ok' AND p.body IS NOT NULL AND p.connection_id = stream_repeats.connection_id AND p.stream_id = stream_repeats.stream_id
    ORDER BY p.pull_id, p.nth, p.fetched_at DESC, p.page_id DESC
  ), bounded AS (
    SELECT p.*, sum(p.n) OVER (ORDER BY p.pull_id DESC, p.nth) AS upto FROM pages p
  ), told AS (
    SELECT b.pull_id, sum(b.n) AS n, (SELECT count(DISTINCT k) FROM bounded x, unnest(x.keys) k WHERE x.pull_id = b.pull_id AND x.upto <= 200000) AS different FROM bounded b WHERE b.upto <= 200000 GROUP BY b.pull_id
  )
  SELECT sum(t.n), sum(t.n - t.different) INTO records, repeats FROM told t;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_repeats(integer, smallint) IS
'Records of the newest pull of up to 20 partitions of a stream (whose pages are kept; 200,000 at most), and how many of them came before in the same pull: pages that overlap. NULLs: there are none. Needs the rights of the tables'' owner.';

-- All parts.

CREATE OR REPLACE FUNCTION cdp_internal.stream_quality(connection_id integer, as_of timestamptz)
RETURNS TABLE (stream_id smallint, stream text, completeness numeric, freshness numeric, validity numeric, schema numeric, uniqueness numeric, totals numeric, score numeric, facts jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  c record;
BEGIN
  SELECT cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = stream_quality.connection_id;
  RETURN QUERY
  WITH pages AS (
    SELECT p.stream_id, sum(p.records) AS records, count(*) AS pages, sum(p.scrubbed) AS scrubbed, sum(p.refused) AS refused
    FROM cdp_data.raw_page p WHERE p.connection_id = stream_quality.connection_id AND p.verb = 'ok' AND p.fetched_at > as_of - interval '7 days' AND p.fetched_at <= as_of GROUP BY p.stream_id
  ), drift AS (
    SELECT d.stream_id, d.path, d.is_used FROM cdp_data.stream_drift d WHERE d.connection_id = stream_quality.connection_id AND d.closed_at IS NULL AND d.kind <> 'new' AND d.at <= as_of
  ), shape AS (
    SELECT h.stream_id, count(*) AS usual, count(*) FILTER (WHERE EXISTS (SELECT FROM drift d WHERE d.stream_id = h.stream_id AND (h.path = d.path OR starts_with(h.path, d.path || '.') OR starts_with(h.path, d.path || '[')))) AS broken
    FROM cdp_data.stream_shape h WHERE h.connection_id = stream_quality.connection_id AND h.seen >= 0.9 * h.of GROUP BY h.stream_id
  ), totals AS (
    SELECT t.stream_id, count(*) AS n, count(*) FILTER (WHERE NOT cdp_internal.total_fits(t.total, t.parts)) AS broken
    FROM cdp_internal.stream_totals(connection_id, (as_of AT TIME ZONE (c.manifest ->> 'tz'))::date - 30, (as_of AT TIME ZONE (c.manifest ->> 'tz'))::date) t GROUP BY t.stream_id
  ), parts AS (
    SELECT s.stream_id, s.name::text AS stream, f.completeness, f.freshness,
      CASE WHEN g.records > 0 THEN round(1 - g.refused::numeric / g.records, 4) END AS validity,
      CASE WHEN r.looked AND h.usual > 0 THEN CASE WHEN EXISTS (SELECT FROM drift d WHERE d.stream_id = s.stream_id AND d.is_used) THEN 0 ELSE round(1 - h.broken::numeric / h.usual, 4) END END AS schema,
      CASE WHEN u.records > 0 THEN round(1 - u.repeats::numeric / u.records, 4) END AS uniqueness,
      CASE WHEN t.n > 0 THEN round(1 - t.broken::numeric / t.n, 4) END AS totals,
      jsonb_strip_nulls(coalesce(f.facts, '{}') || jsonb_build_object('records', g.records, 'refused', g.refused, 'pages', g.pages, 'scrubbed', nullif(g.scrubbed, 0),
        'paths', h.usual, 'broken_paths', nullif(h.broken, 0), 'pull_records', u.records, 'repeats', u.repeats,
        'totals', t.n, 'broken_totals', nullif(t.broken, 0))) AS facts
    FROM cdp_data.stream s
      LEFT JOIN cdp_internal.stream_freshness(connection_id, as_of) f ON f.stream_id = s.stream_id
      LEFT JOIN pages g ON g.stream_id = s.stream_id LEFT JOIN shape h ON h.stream_id = s.stream_id LEFT JOIN totals t ON t.stream_id = s.stream_id
      LEFT JOIN LATERAL (SELECT p.records >= cdp_internal.shape_learns() AS looked FROM cdp_data.stream_profile p WHERE p.connection_id = s.connection_id AND p.stream_id = s.stream_id) r ON true
      CROSS JOIN LATERAL cdp_internal.stream_repeats(s.connection_id, s.stream_id) u
    WHERE s.connection_id = stream_quality.connection_id AND c.manifest #> ARRAY['streams', s.name] IS NOT NULL
  )
  SELECT p.stream_id, p.stream, p.completeness, p.freshness, p.validity, p.schema, p.uniqueness, p.totals, cdp_internal.quality_score(to_jsonb(p)), p.facts FROM parts p ORDER BY p.stream;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_quality(integer, timestamptz) IS
'How good the data of each stream of a connection are that something landed from: the columns of cdp_data.channel_quality, judged by what is there now (completeness and freshness against as_of, validity by pages of the seven days before it, totals by the 30 days before it). Streams that the manifest has not any more are left out. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_quality(connection_id integer, as_of timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT round(avg(q.score), 4) FROM cdp_internal.stream_quality(connection_id, as_of) q);
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_quality(integer, timestamptz) IS
'How good the data of a connection are at as_of, 0 to 1: the mean of the scores of its streams (cdp_internal.stream_quality()), each counting the same. NULL: nothing to judge by. For cdp_internal.record_connection_quality() at the end of a run. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.record_quality(connection_id integer, as_of timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  n integer;
BEGIN
  INSERT INTO cdp_data.channel_quality AS o (connection_id, stream_id, day, source_id, at, completeness, freshness, validity, schema, uniqueness, totals, score, facts)
  SELECT c.connection_id, q.stream_id, (as_of AT TIME ZONE t.timezone)::date, c.source_id, as_of, q.completeness, q.freshness, q.validity, q.schema, q.uniqueness, q.totals, q.score, q.facts
  FROM cdp_data.connection c CROSS JOIN cdp_data.setting t CROSS JOIN LATERAL cdp_internal.stream_quality(c.connection_id, as_of) q WHERE c.connection_id = record_quality.connection_id
  ON CONFLICT (connection_id, stream_id, day) DO UPDATE
  SET at = excluded.at, completeness = excluded.completeness, freshness = excluded.freshness, validity = excluded.validity, schema = excluded.schema, uniqueness = excluded.uniqueness,
    totals = excluded.totals, score = excluded.score, facts = excluded.facts WHERE o.at <= excluded.at;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_quality(integer, timestamptz) IS
'Writes cdp_internal.stream_quality() of a connection to cdp_data.channel_quality as that of the day; the last one of a day stays. Returns the streams written. Needs the rights of the tables'' owner.';
