-- Connector room, watch: the figures of channels as series of days with what is known of each day, and what can be said of
-- them: anomalies, trends, totals against their parts.

CREATE OR REPLACE FUNCTION cdp_internal.stream_days(connection_id integer, since date, until date) RETURNS TABLE (stream_id smallint, day date, state text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  -- A partition that is gone is asked no more: what is known of it is all that will be.
  WITH parts AS MATERIALIZED (
    SELECT c.stream_id, c.part, min(c.day) AS first_day FROM cdp_data.coverage c WHERE c.connection_id = stream_days.connection_id AND c.gone_at IS NULL GROUP BY c.stream_id, c.part
  ), told AS (
    SELECT c.stream_id, c.day, count(*) FILTER (WHERE c.gone_at IS NULL) AS n, count(*) FILTER (WHERE c.state = 'missing' AND c.gone_at IS NULL) AS missing, count(*) FILTER (WHERE c.state = 'suspect_zero' AND c.gone_at IS NULL) AS suspect,
      count(*) FILTER (WHERE c.state = 'provisional' AND c.gone_at IS NULL) AS provisional, bool_and(c.state = 'unavailable') AS unavailable, count(c.restated_at) AS restated
    FROM cdp_data.coverage c WHERE c.connection_id = stream_days.connection_id AND c.day BETWEEN since AND until GROUP BY c.stream_id, c.day
  )
  SELECT t.stream_id, t.day, CASE WHEN t.missing > 0 OR t.n < w.wanted THEN 'missing' WHEN t.suspect > 0 THEN 'suspect_zero' WHEN t.provisional > 0 THEN 'provisional' WHEN t.unavailable THEN 'unavailable'
    WHEN t.restated > 0 THEN 'restated' ELSE 'final' END
  FROM told t CROSS JOIN LATERAL (SELECT count(*) AS wanted FROM parts p WHERE p.stream_id = t.stream_id AND p.first_day <= t.day) w;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_days(integer, date, date) IS
'Of each stream of a connection that is asked by days, what is known of each day that was asked for, over all its partitions: the least that is known of one of them, in the words of cdp.anomaly_pass(). A partition counts from the first day that it was asked for; one that is gone makes no day less known. For who reads cdp_data.coverage.';

CREATE OR REPLACE FUNCTION cdp_internal.channel_series(connection_id integer, since date, until date)
RETURNS TABLE (stream_id smallint, metric text, standard text, kind text, currency text, day date, value numeric, state text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  zone text := (SELECT coalesce(cdp_internal.connector_manifest(c.connector) ->> 'tz', 'UTC') FROM cdp_data.connection c WHERE c.connection_id = channel_series.connection_id);
BEGIN
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT m.stream_id, m.metric, min(m.standard) AS standard, m.kind, coalesce(m.currency, '') AS currency, m.day, max(m.told_at) AS told_at,
      CASE m.kind WHEN 'sum' THEN coalesce(sum(m.value) FILTER (WHERE NOT m.is_total), sum(m.value))
        WHEN 'gauge' THEN CASE WHEN count(*) FILTER (WHERE m.is_total) = 1 THEN min(m.value) FILTER (WHERE m.is_total) WHEN count(*) = 1 THEN min(m.value) END
        ELSE CASE WHEN count(*) = 1 THEN min(m.value) ELSE sum(m.value * m.weight) FILTER (WHERE NOT m.is_total) / nullif(sum(m.weight) FILTER (WHERE NOT m.is_total), 0) END END AS value
    FROM cdp_data.channel_metric m WHERE m.connection_id = channel_series.connection_id AND m.day BETWEEN since AND until
    GROUP BY m.stream_id, m.metric, m.kind, coalesce(m.currency, ''), m.day
  ), series AS (
    SELECT t.stream_id, t.metric, min(t.standard) AS standard, t.kind, t.currency, min(t.day) AS first_day FROM told t GROUP BY t.stream_id, t.metric, t.kind, t.currency HAVING count(t.value) > 0
  ), days AS (
    SELECT d.stream_id, d.day, d.state FROM cdp_internal.stream_days(connection_id, since, until) d
    UNION ALL
    -- Without a ledger of days: what was over a day before the last look is taken for final.
    SELECT x.stream_id, x.day, CASE WHEN x.day < (x.told_at AT TIME ZONE zone)::date - 1 THEN 'final' ELSE 'provisional' END
    FROM (SELECT t.stream_id, t.day, max(max(t.told_at)) OVER (PARTITION BY t.stream_id) AS told_at FROM told t WHERE NOT EXISTS (SELECT FROM cdp_data.coverage c WHERE c.connection_id = channel_series.connection_id AND c.stream_id = t.stream_id) GROUP BY t.stream_id, t.day) x
  )
  SELECT s.stream_id, s.metric, s.standard, s.kind, s.currency, d.day, CASE WHEN t.value IS NULL AND s.kind = 'sum' AND d.state IN ('final', 'restated', 'provisional') THEN 0 ELSE t.value END, d.state
  FROM series s JOIN days d ON d.stream_id = s.stream_id AND d.day >= s.first_day
    LEFT JOIN told t ON t.stream_id = s.stream_id AND t.metric = s.metric AND t.kind = s.kind AND t.currency = s.currency AND t.day = d.day;
END
$$;
COMMENT ON FUNCTION cdp_internal.channel_series(integer, date, date) IS
'Each metric of each stream of a connection by day, over all partitions, dimensions and contents: sums added (rows that are totals only where there are no parts), gauges where one row or one total tells them, ratios weighted. state: cdp_internal.stream_days(). A day that is there and has no row is a sum of 0. currency is empty where there is none. For who reads cdp_data.channel_metric and coverage.';

CREATE OR REPLACE FUNCTION cdp_internal.series_value(value numeric) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(value) <= 1e15 THEN value::float8 END;
COMMENT ON FUNCTION cdp_internal.series_value(numeric) IS
'A figure as the judgement of daily values takes it: NULL above 1e15, which is a number of something and no figure.';

CREATE OR REPLACE FUNCTION cdp_internal.series_options(kind text, "values" numeric[], since date, until date) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  least_value float8 := (SELECT min(cdp_internal.series_value(v)) FROM unnest("values") v);
  middle float8 := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(cdp_internal.series_value(v))) FROM unnest("values") v);
BEGIN
  RETURN CASE WHEN kind = 'sum' AND least_value >= 0 THEN cdp.anomaly_options(since => since, until => until)
    ELSE cdp.anomaly_options(transform => 'none', floor => greatest(1e-6, coalesce(middle, 0) * CASE kind WHEN 'gauge' THEN 0.001 ELSE 0.02 END), since => since, until => until) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.series_options(text, numeric[], date, date) IS
'cdp.anomaly_options() for a metric of a channel: sums that are never below 0 are counts; of other numbers an error counts from a thousandth (gauge) or a fiftieth (ratio, sum) of their median on.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_anomalies(connection_id integer, since date, until date)
RETURNS TABLE (stream_id smallint, metric text, standard text, kind text, currency text, day date, value float8, expected float8, low float8, high float8, score float8, verdict text, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- 56 days to foretell from, as many past errors, and what is not final among them.
  RETURN QUERY
  WITH series AS (
    SELECT s.stream_id, s.metric, s.standard, s.kind, s.currency, array_agg(s.day ORDER BY s.day) AS days, array_agg(s.value ORDER BY s.day) AS vals, array_agg(s.state ORDER BY s.day) AS states
    FROM cdp_internal.channel_series(connection_id, since - 140, until) s GROUP BY s.stream_id, s.metric, s.standard, s.kind, s.currency
  )
  SELECT s.stream_id, s.metric, s.standard, s.kind, s.currency, a.day, a.value, a.expected, a.low, a.high, a.score, a.verdict, a.reason
  FROM series s CROSS JOIN LATERAL (
    SELECT cdp.anomaly_pass(u.day, cdp_internal.series_value(u.value), u.state, o.options) AS pass
    FROM (SELECT cdp_internal.series_options(s.kind, s.vals, since, until) AS options OFFSET 0) o, unnest(s.days, s.vals, s.states) AS u (day, value, state)) p
    CROSS JOIN LATERAL unnest(p.pass) a;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_anomalies(integer, date, date) IS
'cdp.anomaly_pass() over each series of cdp_internal.channel_series(), days from since to until, trained by the 140 days before since.';

CREATE OR REPLACE FUNCTION cdp.channel_anomalies(connection text DEFAULT NULL, since date DEFAULT NULL, until date DEFAULT NULL, all_days boolean DEFAULT false)
RETURNS TABLE (connection_name text, stream text, metric text, standard text, currency text, day date, value float8, expected float8, low float8, high float8, score float8, verdict text, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
  PERFORM cdp_internal.require_setup(), cdp_internal.require_days(since, until), cdp_internal.require_connection(connection);
  RETURN QUERY
  SELECT c.name::text, s.name::text, a.metric, a.standard, nullif(a.currency, ''), a.day, a.value, a.expected, a.low, a.high, a.score, a.verdict, a.reason
  FROM cdp_data.connection c CROSS JOIN LATERAL (SELECT coalesce(until, max(v.day)) AS last_day FROM cdp_data.coverage v WHERE v.connection_id = c.connection_id) d
    CROSS JOIN LATERAL cdp_internal.connection_anomalies(c.connection_id, coalesce(since, d.last_day - 27), d.last_day) a
    JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = a.stream_id
  WHERE (connection IS NULL AND c.state IN ('shadow', 'live', 'degraded') OR c.name = connection) AND d.last_day IS NOT NULL AND (all_days OR a.verdict IN ('high', 'low', 'zero_run'))
  ORDER BY 1, 2, 3, 5, 6;
END
$$;
COMMENT ON FUNCTION cdp.channel_anomalies(text, date, date, boolean) IS
'Days on which a metric of a channel was not what the days before foretold (cdp.anomaly_pass()), from what is known now. connection: its name, NULL: all that run; since, until: days in the zone of its manifest, both within; NULL: the last 28 days that were asked for. Only days that are final for every partition are judged; days that the vendor changed afterwards train and are not judged. A metric is judged as a whole: over partitions, dimensions and contents, totals of vendors left out. all_days: the other days, too, with why they were not judged. Errors: 22023 unknown connection, days without end or backwards; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.require_days(since date, until date) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT isfinite(since) OR NOT isfinite(until) OR since > until OR until - since > 3660 THEN
    RAISE EXCEPTION 'these are no days from one to another' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('From %s to %s.', since, until), HINT = 'Give since and until, both within, at most ten years.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_days(date, date) IS
'Error 22023 for days that are infinite, backwards, or more than ten years. NULLs pass.';

CREATE OR REPLACE FUNCTION cdp_internal.require_connection(name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF name IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.connection c WHERE c.name = require_connection.name) THEN
    RAISE EXCEPTION 'unknown connection "%"', left(name, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT c.name FROM cdp_data.connection c), 'SELECT name FROM cdp_data.connection lists them.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_connection(text) IS
'Error 22023, with the nearest name, when there is no connection of that name. NULL passes. For who reads cdp_data.connection.';

CREATE OR REPLACE FUNCTION cdp.channel_trends(connection text DEFAULT NULL, days integer DEFAULT 56, until date DEFAULT NULL)
RETURNS TABLE (connection_name text, stream text, metric text, standard text, currency text, n integer, first_day date, last_day date, level float8, slope float8, low float8, high float8, weekly float8, p float8,
  change_day date, before float8, after float8, change_p float8)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
  PERFORM cdp_internal.require_setup(), cdp_internal.require_connection(connection);
  IF days IS NULL OR days NOT BETWEEN 14 AND 730 OR NOT isfinite(until) THEN
    RAISE EXCEPTION 'days are from 14 to 730' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s days until %s.', days, until);
  END IF;
  RETURN QUERY
  WITH span AS (
    SELECT c.connection_id, c.name, coalesce(until, (SELECT max(v.day) FROM cdp_data.coverage v WHERE v.connection_id = c.connection_id)) AS last_day FROM cdp_data.connection c
    WHERE connection IS NULL AND c.state IN ('shadow', 'live', 'degraded') OR c.name = connection
  ), series AS (
    SELECT w.name, s.stream_id, w.connection_id, s.metric, s.standard, s.currency, s.kind, array_agg(s.day ORDER BY s.day) AS days, array_agg(s.value ORDER BY s.day) AS vals, array_agg(s.state ORDER BY s.day) AS states
    FROM span w CROSS JOIN LATERAL cdp_internal.channel_series(w.connection_id, w.last_day - days + 1, w.last_day) s WHERE w.last_day IS NOT NULL
    GROUP BY w.name, s.stream_id, w.connection_id, s.metric, s.standard, s.currency, s.kind
  )
  SELECT x.name::text, t.name::text, x.metric, x.standard, nullif(x.currency, ''), (r.trend).days, (r.trend).first_day, (r.trend).last_day, (r.trend).level, (r.trend).slope, (r.trend).low, (r.trend).high, (r.trend).weekly, (r.trend).p,
    (r.change).day, (r.change).before, (r.change).after, (r.change).p
  FROM series x JOIN cdp_data.stream t ON t.connection_id = x.connection_id AND t.stream_id = x.stream_id
    CROSS JOIN LATERAL (
      SELECT cdp.daily_trend(u.day, cdp_internal.series_value(u.value), u.state, o.options) AS trend, cdp.daily_change(u.day, cdp_internal.series_value(u.value), u.state, o.options) AS change
      FROM (SELECT cdp_internal.series_options(x.kind, x.vals, NULL, NULL) AS options OFFSET 0) o, unnest(x.days, x.vals, x.states) AS u (day, value, state)) r
  WHERE (r.trend).days IS NOT NULL
  ORDER BY 1, 2, 3, 5;
END
$$;
COMMENT ON FUNCTION cdp.channel_trends(text, integer, date) IS
'How each metric of each channel moves, over so many days up to until (NULL: the last day that was asked for): the trend of cdp.daily_trend() (level, slope a day with its interval, weekly as a share of the level, p) and the change of level of cdp.daily_change() (the day since when, medians before and after, change_p). Only final days count; metrics as in cdp.channel_anomalies(); series of fewer than 14 days are left out. connection: its name, NULL: all that run. Errors: 22023 unknown connection, days out of range; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.stream_totals(connection_id integer, since date, until date)
RETURNS TABLE (stream_id smallint, metric text, part text, currency text, content_id text, day date, total numeric, parts numeric, n bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT m.stream_id, m.metric, m.part, coalesce(m.currency, ''), coalesce(m.content_id, ''), m.day, sum(m.value) FILTER (WHERE m.is_total), sum(m.value) FILTER (WHERE NOT m.is_total), count(*) FILTER (WHERE NOT m.is_total)
  FROM cdp_data.channel_metric m WHERE m.connection_id = stream_totals.connection_id AND m.day BETWEEN since AND until AND m.kind <> 'ratio'
  GROUP BY m.stream_id, m.metric, m.part, coalesce(m.currency, ''), coalesce(m.content_kind, ''), coalesce(m.content_id, ''), m.day
  HAVING count(*) FILTER (WHERE m.is_total) = 1 AND count(*) FILTER (WHERE NOT m.is_total) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_totals(integer, date, date) IS
'Where a vendor tells a total (cdp_data.channel_metric.is_total) beside its parts: both, for each day of each metric. total_fits() says whether they agree. For who reads cdp_data.channel_metric.';

CREATE OR REPLACE FUNCTION cdp_internal.total_fits(total numeric, parts numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN abs(total - parts) <= greatest(1, 0.01 * abs(total));
COMMENT ON FUNCTION cdp_internal.total_fits(numeric, numeric) IS
'Whether a total is the sum of its parts, but for one, or one in a hundred: vendors round. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.watch_anomalies(connection_id integer, as_of timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  last_day date := (SELECT max(c.day) FROM cdp_data.coverage c WHERE c.connection_id = watch_anomalies.connection_id AND c.state = 'final');
  n integer;
BEGIN
  IF last_day IS NULL THEN
    RETURN 0;
  END IF;
  WITH judged AS MATERIALIZED (
    SELECT x.* FROM cdp_internal.connection_anomalies(connection_id, last_day - 27, last_day) x WHERE x.verdict IN ('high', 'low', 'zero_run')
  ), gone AS (
    UPDATE cdp_data.channel_anomaly a SET gone_at = as_of
    WHERE a.connection_id = watch_anomalies.connection_id AND a.gone_at IS NULL AND a.day BETWEEN last_day - 27 AND last_day
      AND NOT EXISTS (SELECT FROM judged j WHERE j.stream_id = a.stream_id AND j.metric = a.metric AND j.currency = a.currency AND j.day = a.day)
  )
  INSERT INTO cdp_data.channel_anomaly AS a (connection_id, stream_id, metric, currency, day, source_id, standard, value, expected, low, high, score, verdict, reason, found_at)
  SELECT c.connection_id, j.stream_id, j.metric, j.currency, j.day, c.source_id, j.standard, j.value, j.expected, j.low, j.high, j.score, j.verdict, j.reason, as_of
  FROM judged j JOIN cdp_data.connection c ON c.connection_id = watch_anomalies.connection_id ORDER BY j.stream_id, j.metric, j.currency, j.day
  ON CONFLICT ON CONSTRAINT channel_anomaly_pkey DO UPDATE
  SET standard = excluded.standard, value = excluded.value, expected = excluded.expected, low = excluded.low, high = excluded.high, score = excluded.score, verdict = excluded.verdict, reason = excluded.reason,
    found_at = CASE WHEN a.gone_at IS NULL THEN a.found_at ELSE excluded.found_at END, gone_at = NULL
  WHERE a.gone_at IS NOT NULL OR (a.value, a.expected, a.score, a.verdict) IS DISTINCT FROM (excluded.value, excluded.expected, excluded.score, excluded.verdict);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.watch_anomalies(integer, timestamptz) IS
'Writes the anomalies of the 28 days up to the last final one to cdp_data.channel_anomaly; what is none any more is gone, and stays to be read. Returns how many rows are new or changed. Needs the rights of the tables'' owner.';
