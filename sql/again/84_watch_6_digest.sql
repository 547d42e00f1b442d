-- Connector room, watch: the week of the channels in figures, for people who do not look at a dashboard.

CREATE OR REPLACE FUNCTION cdp_internal.digest_week(as_of timestamptz) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT date_trunc('week', as_of AT TIME ZONE t.timezone)::date - 7 FROM cdp_data.setting t);
END
$$;
COMMENT ON FUNCTION cdp_internal.digest_week(timestamptz) IS
'Monday of the last week that was over at as_of, in the zone of cdp_data.setting.timezone.';

CREATE OR REPLACE FUNCTION cdp_internal.digest_figures(monday date)
RETURNS TABLE (connection text, stream text, metric text, currency text, value numeric, previous numeric, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT c.name::text, s.name::text, x.metric, nullif(x.currency, ''),
    CASE x.kind WHEN 'sum' THEN sum(x.value) FILTER (WHERE x.day >= monday) ELSE (array_agg(x.value ORDER BY x.day DESC) FILTER (WHERE x.day >= monday AND x.value IS NOT NULL))[1] END,
    CASE x.kind WHEN 'sum' THEN sum(x.value) FILTER (WHERE x.day < monday) ELSE (array_agg(x.value ORDER BY x.day DESC) FILTER (WHERE x.day < monday AND x.value IS NOT NULL))[1] END,
    nullif(concat_ws('; ', CASE WHEN count(*) FILTER (WHERE x.day >= monday AND x.state IN ('final', 'restated')) < 7 THEN format('%s of 7 days are final', count(*) FILTER (WHERE x.day >= monday AND x.state IN ('final', 'restated'))) END,
      CASE WHEN count(*) FILTER (WHERE x.day < monday AND x.value IS NOT NULL) BETWEEN 1 AND 6 THEN format('the week before has %s days', count(*) FILTER (WHERE x.day < monday AND x.value IS NOT NULL)) END,
      CASE WHEN x.kind = 'gauge' THEN 'last day of the week' END), '')
  FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.channel_series(c.connection_id, monday - 7, monday + 6) x JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = x.stream_id
  WHERE c.state IN ('live', 'degraded') AND x.standard IS NOT NULL AND x.kind <> 'ratio'
  GROUP BY c.name, s.name, x.metric, x.currency, x.kind HAVING count(x.value) FILTER (WHERE x.day >= monday) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.digest_figures(date) IS
'Part of cdp.channel_digest(): each metric with a name that channels share, of live connections: sums of the week, levels of its last day, and those of the week before.';

CREATE OR REPLACE FUNCTION cdp.channel_digest(week date DEFAULT NULL)
RETURNS TABLE (section text, connection text, subject text, currency text, value numeric, previous numeric, change numeric, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  monday date := coalesce(date_trunc('week', week::timestamp)::date, cdp_internal.digest_week(now()));
  zone text;
  from_at timestamptz;
  to_at timestamptz;
BEGIN
  PERFORM cdp_internal.require_setup(), cdp_internal.require_days(week, week);
  zone := (SELECT t.timezone FROM cdp_data.setting t);
  from_at := monday::timestamp AT TIME ZONE zone;
  to_at := (monday + 7)::timestamp AT TIME ZONE zone;
  RETURN QUERY
  WITH parts AS (
    SELECT 1 AS o, 'figures' AS section, f.connection, concat_ws(' ', f.stream, f.metric) AS subject, f.currency, f.value, f.previous, f.note FROM cdp_internal.digest_figures(monday) f
    UNION ALL
    SELECT 2, 'quality', q.connection, 'score', NULL, (array_agg(q.score ORDER BY q.day DESC) FILTER (WHERE q.day >= monday))[1], (array_agg(q.score ORDER BY q.day DESC) FILTER (WHERE q.day < monday))[1],
      (array_agg(format('worst is stream %s with %s', q.worst_stream, q.worst_score) ORDER BY q.day DESC) FILTER (WHERE q.day >= monday))[1]
    FROM cdp_bi.channel_quality q WHERE q.day BETWEEN monday - 7 AND monday + 6 AND q.connection_state IN ('shadow', 'live', 'degraded') GROUP BY q.connection HAVING count(*) FILTER (WHERE q.day >= monday) > 0
    UNION ALL
    SELECT 3, 'anomalies', a.connection, concat_ws(' ', a.stream, a.metric), a.currency, count(*) FILTER (WHERE a.day >= monday), count(*) FILTER (WHERE a.day < monday),
      string_agg(format('%s: %s', a.day, a.reason), '; ' ORDER BY a.day) FILTER (WHERE a.day >= monday)
    FROM cdp_bi.channel_anomaly a WHERE a.gone_at IS NULL AND a.day BETWEEN monday - 7 AND monday + 6 GROUP BY a.connection, a.stream, a.metric, a.currency HAVING count(*) FILTER (WHERE a.day >= monday) > 0
    UNION ALL
    SELECT 4, 'schema', d.connection, d.stream, NULL, count(*), NULL, string_agg(format('%s %s', d.path, CASE d.kind WHEN 'type' THEN 'has another type' WHEN 'new' THEN 'is new' ELSE 'is missing' END), '; ' ORDER BY d.path, d.kind)
    FROM cdp_bi.stream_drift d WHERE d.at >= from_at AND d.at < to_at GROUP BY d.connection, d.stream
    UNION ALL
    SELECT 5, 'alerts', e.connection, e.alert, NULL, count(*) FILTER (WHERE e.opened_at >= from_at), count(*) FILTER (WHERE e.opened_at < from_at),
      nullif(count(*) FILTER (WHERE e.opened_at >= from_at AND (e.closed_at >= to_at OR e.closed_at IS NULL)), 0) || ' stood at the end of the week'
    FROM cdp_bi.alert_episode e WHERE e.opened_at >= from_at - interval '7 days' AND e.opened_at < to_at GROUP BY e.connection, e.alert HAVING count(*) FILTER (WHERE e.opened_at >= from_at) > 0
    UNION ALL
    SELECT 6, 'advice', a.connection_name, concat_ws(' ', a.rule_id, a.subject), NULL, a.expected_impact, NULL, concat_ws(' ', a.insight, a.action, 'Impact: ' || a.impact_unit || '.')
    FROM cdp.channel_advice(28, monday + 6, false) a WHERE a.status = 'recommended'
  )
  SELECT p.section, p.connection, p.subject, p.currency, p.value, p.previous, round((p.value - p.previous) / nullif(abs(p.previous), 0), 4), p.note FROM parts p ORDER BY p.o, p.connection, p.subject, p.currency;
END
$$;
COMMENT ON FUNCTION cdp.channel_digest(date) IS
'A week of the channels in figures, and the week before: week is any of its days (Monday to Sunday; NULL: the last that is over). figures: metrics with a name that channels share, of live connections, in days of the manifest''s zone: sums of the week, levels of its last day that has one; quality: the last score in it; anomalies: days, with why; schema: changes of form that were found; alerts: episodes that began; advice: what cdp.channel_advice() recommends by the 28 days up to its end, without attribution, value is the expected impact. change: value by previous, less 1. note says what is missing, such as days that are not final. Reads what is known now: a vendor may have changed a figure since a message told it. Errors: 22023 an infinite day; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.add_digest(destination text, weekday integer DEFAULT NULL, hour integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  refusal text;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = add_digest.destination) THEN
    RAISE EXCEPTION 'there is no destination named "%"', left(destination, 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(destination, ARRAY(SELECT d.destination FROM cdp_data.destination d), 'Make it first: SELECT cdp.add_destination(...);');
  ELSIF weekday NOT BETWEEN 1 AND 7 OR hour NOT BETWEEN 0 AND 23 THEN
    RAISE EXCEPTION 'weekday is from 1 (Monday) to 7, hour from 0 to 23' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s and %s.', weekday, hour);
  END IF;
  refusal := cdp_internal.consent_refusal_of_nobody(destination);
  IF refusal IS NOT NULL THEN
    RAISE EXCEPTION 'destination "%" takes no digests', destination
      USING ERRCODE = 'invalid_parameter_value', DETAIL = refusal, HINT = 'A digest names nobody: give it a destination whose purpose asks for no consent, such as service.';
  END IF;
  INSERT INTO cdp_data.digest AS g (destination, weekday, hour) VALUES (add_digest.destination, coalesce(add_digest.weekday, 1), coalesce(add_digest.hour, 10))
  ON CONFLICT ON CONSTRAINT digest_pkey DO UPDATE SET weekday = coalesce(add_digest.weekday, g.weekday), hour = coalesce(add_digest.hour, g.hour), is_active = true;
END
$$;
COMMENT ON FUNCTION cdp.add_digest(text, integer, integer) IS
'Sends cdp.channel_digest() of each week to a destination of the outbox: one message, of kind digest with the key digest <year>-W<week>, written by cdp.watch() from that hour of that weekday of the week after on (NULL: Monday, 10; zone of cdp_data.setting.timezone). Given again it changes them. Weeks that nobody watched are not made up for, but the last. DELETE FROM cdp_data.digest ends it. For the part of admin and the owner of the tables. Errors: 42704 no such destination; 22023 out of range, or a destination whose purpose asks for consent; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.consent_refusal_of_nobody(destination text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Urgent kinds pass the gates of data quality, which are another matter than the purpose.
  RETURN cdp.outbox_refusal(destination, 'alert', NULL, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.consent_refusal_of_nobody(text) IS
'Why a destination takes no messages about the data themselves, which name no customer, whatever gates of data quality are closed now. NULL: it does.';

CREATE OR REPLACE FUNCTION cdp_internal.send_digests(as_of timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET client_min_messages = error
AS $$
DECLARE
  monday date := cdp_internal.digest_week(as_of);
  g record;
  key text := format('digest %s', to_char(monday, 'IYYY-"W"IW'));
  body jsonb;
  id bigint;
  n integer := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('pg_cdp digest', 0)) THEN
    RETURN 0; -- another session is at it
  END IF;
  FOR g IN
    SELECT d.destination FROM cdp_data.digest d CROSS JOIN cdp_data.setting t
    WHERE d.is_active AND d.last_week IS DISTINCT FROM monday AND coalesce(d.last_week, '-infinity') < monday
      AND as_of >= (monday + 6 + d.weekday + make_interval(hours => d.hour)) AT TIME ZONE t.timezone
    ORDER BY d.destination FOR UPDATE OF d
  LOOP
    body := coalesce(body, (
      SELECT jsonb_build_object('week', to_char(monday, 'IYYY-"W"IW'), 'from', monday, 'to', monday + 6, 'as_of', to_char(as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'rows', coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(x) - 'n') ORDER BY x.n) FILTER (WHERE x.n <= 500), '[]'),
        'left_out', greatest(0, count(*) - 500)) FROM (SELECT r.*, row_number() OVER () AS n FROM cdp.channel_digest(monday) r) x));
    id := coalesce(cdp.outbox_put(g.destination, 'digest', body, key), (SELECT o.outbox_id FROM cdp_data.outbox o WHERE o.destination = g.destination AND o.dedup_key = key));
    UPDATE cdp_data.digest d SET outbox_id = coalesce(id, d.outbox_id), last_week = CASE WHEN id IS NULL THEN d.last_week ELSE monday END, failure = CASE WHEN id IS NULL THEN left(cdp.outbox_refusal(g.destination, 'digest', NULL, body), 500) END
    WHERE d.destination = g.destination;
    n := n + (id IS NOT NULL)::integer;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.send_digests(timestamptz) IS
'Writes the digest of the last week to the outbox for each destination whose hour has come and that has not had it: at most 500 rows. Returns how many were written. Needs the rights of the tables'' owner.';
