-- Connector room, watch: alerts. A rule is asked at each watch; what it finds is an episode, told once when it opens and once
-- when it has ended, through the outbox.

CREATE OR REPLACE FUNCTION cdp.add_alert(name text, kind text, destination text, connection text DEFAULT NULL, stream text DEFAULT NULL, metric text DEFAULT NULL, below numeric DEFAULT NULL, above numeric DEFAULT NULL, calm interval DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  refusal text;
BEGIN
  PERFORM cdp_internal.require_setup(), cdp_internal.require_text('name of an alert', name, 200), cdp_internal.require_choice('kind of an alert', kind, cdp_internal.alert_kinds());
  IF NOT EXISTS (SELECT FROM cdp_data.destination d WHERE d.destination = add_alert.destination) THEN
    RAISE EXCEPTION 'there is no destination named "%"', left(destination, 100)
      USING ERRCODE = 'undefined_object', HINT = cdp_internal.did_you_mean(destination, ARRAY(SELECT d.destination FROM cdp_data.destination d), 'Make it first: SELECT cdp.add_destination(...);');
  END IF;
  -- An alert names no customer, so only a purpose that asks for no consent takes it.
  refusal := cdp_internal.consent_refusal_of_nobody(destination);
  IF refusal IS NOT NULL THEN
    RAISE EXCEPTION 'destination "%" takes no alerts', destination
      USING ERRCODE = 'invalid_parameter_value', DETAIL = refusal, HINT = 'An alert names nobody: give it a destination whose purpose asks for no consent, such as service.';
  ELSIF connection IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.connection c WHERE c.name = add_alert.connection AND c.state <> 'retired') THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT c.name FROM cdp_data.connection c WHERE c.state <> 'retired'), 'SELECT name FROM cdp_data.connection lists them.');
  ELSIF below IN ('NaN', 'Infinity', '-Infinity') OR above IN ('NaN', 'Infinity', '-Infinity') OR below IS NOT NULL AND (kind NOT IN ('quality', 'metric') OR kind = 'quality' AND (below <= 0 OR below > 1))
    OR above IS NOT NULL AND (kind NOT IN ('overdue', 'anomaly', 'metric') OR kind <> 'metric' AND above < 0) THEN
    RAISE EXCEPTION 'these are no limits of an alert of kind %', kind
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got below %s, above %s.', coalesce(below::text, 'NULL'), coalesce(above::text, 'NULL')),
        HINT = 'quality: below, above 0 and up to 1; overdue: above, days; anomaly: above, usual errors; metric: below, above or both; the others have none.';
  ELSIF kind = 'metric' AND (metric IS NULL OR below IS NULL AND above IS NULL) THEN
    RAISE EXCEPTION 'an alert of kind metric needs a metric and a limit' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give metric, and below, above or both.';
  ELSIF metric IS NOT NULL AND kind NOT IN ('anomaly', 'metric') THEN
    RAISE EXCEPTION 'an alert of kind % is about no metric', kind USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave metric out.';
  ELSIF stream IS NOT NULL AND kind = 'connection' THEN
    RAISE EXCEPTION 'an alert of kind connection is about the connection as a whole' USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave stream out.';
  ELSIF calm < '0'::interval OR NOT isfinite(now() + calm) THEN
    RAISE EXCEPTION 'calm is a time, zero or more' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', calm), HINT = 'Leave it out for two hours.';
  END IF;
  INSERT INTO cdp_data.alert AS a (name, kind, destination, connection_id, stream, metric, below, above, calm)
  VALUES (add_alert.name, add_alert.kind, add_alert.destination, (SELECT c.connection_id FROM cdp_data.connection c WHERE c.name = add_alert.connection), add_alert.stream, add_alert.metric, add_alert.below, add_alert.above, coalesce(add_alert.calm, '2 hours'))
  ON CONFLICT DO NOTHING RETURNING a.alert_id INTO id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is an alert named "%" already', name USING ERRCODE = 'unique_violation', HINT = 'Give it another name, or SELECT cdp.drop_alert(...) first.';
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.add_alert(text, text, text, text, text, text, numeric, numeric, interval) IS
'Says of what cdp.watch() tells a destination of the outbox. kind: quality (the score is below the limit below, NULL: min_quality of the connection; of a connection as a whole, or of a stream), overdue (more than above days of a stream are missing a day after they should be there, NULL: 0), schema (the form of records changed where the manifest reads them), connection (it is degraded or suspended), anomaly (a metric of a channel was not what the days before foretold, on its newest judged day or the two before, by at least above usual errors, NULL: any), metric (the newest final day of a metric lies below or above its limits). connection, stream and metric (its name in the manifest or the one that channels share) narrow it; NULL: all that run. One message when it begins, of kind alert with the key alert <episode> open, and one when it was not seen for the time calm (NULL: two hours), alert <episode> closed; it names no person, and gates of data quality do not hold it. Returns alert_id. For the part of admin and the owner of the tables. Errors: 22023 unknown kind or connection, a limit of another kind, a destination whose purpose asks for consent; 42704 no such destination; 23505 the name is taken; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.alert_kinds() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{quality,overdue,schema,connection,anomaly,metric}'::text[];
COMMENT ON FUNCTION cdp_internal.alert_kinds() IS 'Kinds of alerts: see cdp.add_alert().';

CREATE OR REPLACE FUNCTION cdp.drop_alert(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  DELETE FROM cdp_data.alert a WHERE a.name = drop_alert.name;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.drop_alert(text) IS
'Ends an alert. Its episodes go with the next cdp.maintain(); messages that wait in the outbox still go out. False: there is none of that name. UPDATE cdp_data.alert SET is_active = false keeps it for later. For the part of admin and the owner of the tables.';

CREATE OR REPLACE FUNCTION cdp_internal.alert_findings(a record, as_of timestamptz) RETURNS TABLE (connection_id integer, source_id integer, subject text, value numeric, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  CASE a.kind
  WHEN 'quality' THEN
    RETURN QUERY
    WITH newest AS (
      SELECT DISTINCT ON (q.connection_id, q.stream_id) q.connection_id, s.name AS stream, q.score FROM cdp_data.channel_quality q JOIN cdp_data.stream s USING (connection_id, stream_id)
      WHERE q.at <= as_of AND q.at > as_of - interval '2 days' AND q.score IS NOT NULL ORDER BY q.connection_id, q.stream_id, q.day DESC
    ), judged AS (
      SELECT n.connection_id, n.stream, n.score, format('quality of stream %s is %s', n.stream, n.score) AS detail FROM newest n WHERE n.stream = a.stream
      UNION ALL
      SELECT n.connection_id, NULL, round(avg(n.score), 4), format('quality is %s; worst is stream %s with %s', round(avg(n.score), 4), (array_agg(n.stream ORDER BY n.score, n.stream))[1], min(n.score))
      FROM newest n WHERE a.stream IS NULL GROUP BY n.connection_id
    )
    SELECT c.connection_id, c.source_id, concat_ws(' ', c.name, j.stream), j.score, format('%s, below %s', j.detail, coalesce(a.below, c.min_quality))
    FROM judged j JOIN cdp_data.connection c USING (connection_id)
    WHERE c.state IN ('shadow', 'live', 'degraded') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id) AND j.score < coalesce(a.below, c.min_quality);
  WHEN 'overdue' THEN
    RETURN QUERY
    SELECT c.connection_id, c.source_id, concat_ws(' ', c.name, v.stream), v.overdue::numeric, format('stream %s: %s days are missing a day and more after they should be there; the last that is due is %s', v.stream, v.overdue, v.last_day)
    FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.stream_coverage(c.connection_id, as_of) v
    WHERE c.state IN ('shadow', 'live', 'degraded') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id) AND (a.stream IS NULL OR v.stream = a.stream) AND v.overdue > coalesce(a.above, 0);
  WHEN 'schema' THEN
    RETURN QUERY
    SELECT c.connection_id, c.source_id, concat_ws(' ', c.name, s.name), count(*)::numeric, format('stream %s: %s', s.name, string_agg(format('%s %s (%s)', d.path, CASE d.kind WHEN 'type' THEN 'has another type' ELSE 'is missing' END, d.detail), '; ' ORDER BY d.path, d.kind))
    FROM cdp_data.stream_drift d JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id)
    WHERE d.closed_at IS NULL AND d.at <= as_of AND d.kind <> 'new' AND d.is_used
      AND c.state IN ('shadow', 'live', 'degraded') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id) AND (a.stream IS NULL OR s.name = a.stream)
    GROUP BY c.connection_id, c.source_id, c.name, s.name;
  WHEN 'connection' THEN
    RETURN QUERY
    SELECT c.connection_id, c.source_id, c.name::text, NULL::numeric, format('it is %s since %s: %s', c.state, to_char(c.state_at AT TIME ZONE t.timezone, 'YYYY-MM-DD HH24:MI'),
      coalesce((SELECT g.why FROM cdp_data.connection_state_log g WHERE g.connection_id = c.connection_id ORDER BY g.log_id DESC LIMIT 1), 'nobody said why'))
    FROM cdp_data.connection c CROSS JOIN cdp_data.setting t WHERE c.state IN ('degraded', 'suspended') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id);
  WHEN 'anomaly' THEN
    RETURN QUERY
    SELECT c.connection_id, c.source_id, concat_ws(' ', c.name, s.name, x.metric, nullif(x.currency, '')), max(abs(x.score))::numeric, string_agg(format('%s: %s', x.day, x.reason), '; ' ORDER BY x.day)
    FROM cdp_data.channel_anomaly x JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id)
    WHERE x.gone_at IS NULL AND x.found_at <= as_of AND x.day > (SELECT max(d.day) FROM cdp_data.coverage d WHERE d.connection_id = x.connection_id AND d.stream_id = x.stream_id AND d.state = 'final') - 3
      AND c.state IN ('live', 'degraded') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id) AND (a.stream IS NULL OR s.name = a.stream) AND (a.metric IS NULL OR a.metric IN (x.metric, x.standard))
      AND (x.verdict = 'zero_run' OR abs(x.score) >= coalesce(a.above, 0) OR x.score IS NULL)
    GROUP BY c.connection_id, c.source_id, c.name, s.name, x.metric, x.currency;
  WHEN 'metric' THEN
    RETURN QUERY
    SELECT c.connection_id, c.source_id, concat_ws(' ', c.name, s.name, v.metric, nullif(v.currency, '')), v.value, format('stream %s: %s is %s on %s', s.name, v.metric, v.value, v.day)
    FROM cdp_data.connection c CROSS JOIN LATERAL (
        SELECT DISTINCT ON (x.stream_id, x.metric, x.currency) x.* FROM cdp_internal.channel_series(c.connection_id, (as_of AT TIME ZONE 'UTC')::date - 35, (as_of AT TIME ZONE 'UTC')::date + 1) x
        WHERE x.state IN ('final', 'restated') AND x.value IS NOT NULL AND a.metric IN (x.metric, x.standard) ORDER BY x.stream_id, x.metric, x.currency, x.day DESC) v
      JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = v.stream_id
    WHERE c.state IN ('live', 'degraded') AND (a.connection_id IS NULL OR c.connection_id = a.connection_id) AND (a.stream IS NULL OR s.name = a.stream) AND (v.value < a.below OR v.value > a.above);
  END CASE;
END
$$;
COMMENT ON FUNCTION cdp_internal.alert_findings(record, timestamptz) IS
'What a rule (a row of cdp_data.alert) finds at as_of, one row a subject. value: the figure that it judges. A quality that is older than two days says nothing. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.tell_alert(e record, a record, phase text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  key text := format('alert %s %s', e.episode_id, phase);
  id bigint;
BEGIN
  id := cdp.outbox_put(a.destination, 'alert', jsonb_strip_nulls(jsonb_build_object('alert', a.name, 'kind', a.kind, 'state', phase, 'episode', e.episode_id, 'subject', e.subject,
    'connection', (SELECT c.name FROM cdp_data.connection c WHERE c.connection_id = e.connection_id), 'value', e.value, 'worst', e.worst, 'limit', CASE WHEN a.kind = 'metric' AND (e.worst < a.below) IS NOT TRUE THEN a.above ELSE coalesce(a.below, a.above) END, 'detail', e.detail,
    'since', to_char(e.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'until', to_char(e.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))), key);
  RETURN coalesce(id, (SELECT o.outbox_id FROM cdp_data.outbox o WHERE o.destination = a.destination AND o.dedup_key = key));
END
$$;
COMMENT ON FUNCTION cdp_internal.tell_alert(record, record, text) IS
'Writes the message of an episode (of cdp_data.alert_episode) of a rule (of cdp_data.alert) to the outbox; phase: open or closed. Returns its number, also when it stands there already; NULL: the outbox refused it. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.watch_alerts(as_of timestamptz, OUT opened integer, OUT closed integer, OUT told integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET client_min_messages = error
AS $$
#variable_conflict use_variable
DECLARE
  a cdp_data.alert;
  e cdp_data.alert_episode;
  n integer;
  id bigint;
BEGIN
  opened := 0; closed := 0; told := 0;
  IF NOT pg_try_advisory_xact_lock(hashtextextended('pg_cdp alerts', 0)) THEN
    RETURN; -- another session is at it
  END IF;
  FOR a IN SELECT x.* FROM cdp_data.alert x WHERE x.is_active ORDER BY x.alert_id LOOP
    WITH found AS MATERIALIZED (
      SELECT f.* FROM cdp_internal.alert_findings(a, as_of) f
    ), seen AS (
      UPDATE cdp_data.alert_episode x SET seen_at = greatest(x.seen_at, as_of), value = f.value, detail = f.detail, worst = CASE WHEN a.kind = 'quality' OR a.above IS NULL AND a.below IS NOT NULL OR f.value < a.below THEN least(x.worst, f.value) ELSE greatest(x.worst, f.value) END
      FROM found f WHERE x.alert_id = a.alert_id AND x.subject = f.subject AND x.closed_at IS NULL
    )
    INSERT INTO cdp_data.alert_episode (alert_id, subject, connection_id, source_id, opened_at, seen_at, value, worst, detail)
    SELECT a.alert_id, f.subject, f.connection_id, f.source_id, as_of, as_of, f.value, f.value, f.detail FROM found f ORDER BY f.subject
    ON CONFLICT (alert_id, subject) WHERE closed_at IS NULL DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    opened := opened + n;
    UPDATE cdp_data.alert_episode x SET closed_at = as_of WHERE x.alert_id = a.alert_id AND x.closed_at IS NULL AND x.seen_at < as_of AND x.seen_at <= as_of - a.calm;
    GET DIAGNOSTICS n = ROW_COUNT;
    closed := closed + n;
  END LOOP;
  -- Also what was refused before: a destination may take it now.
  FOR e IN SELECT x.* FROM cdp_data.alert_episode x WHERE x.opening_id IS NULL OR x.closed_at IS NOT NULL AND x.closing_id IS NULL ORDER BY x.episode_id LOOP
    SELECT x.* INTO a FROM cdp_data.alert x WHERE x.alert_id = e.alert_id AND x.is_active;
    CONTINUE WHEN NOT FOUND;
    IF e.opening_id IS NULL THEN
      id := cdp_internal.tell_alert(e, a, 'open');
      UPDATE cdp_data.alert_episode x SET opening_id = id, failure = CASE WHEN id IS NULL THEN left(cdp.outbox_refusal(a.destination, 'alert', NULL, '{}'), 500) END WHERE x.episode_id = e.episode_id;
      CONTINUE WHEN id IS NULL;
      told := told + 1;
    END IF;
    IF e.closed_at IS NOT NULL THEN
      id := cdp_internal.tell_alert(e, a, 'closed');
      UPDATE cdp_data.alert_episode x SET closing_id = id, failure = CASE WHEN id IS NULL THEN left(cdp.outbox_refusal(a.destination, 'alert', NULL, '{}'), 500) END WHERE x.episode_id = e.episode_id;
      told := told + (id IS NOT NULL)::integer;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.watch_alerts(timestamptz) IS
'Asks every active alert, opens, goes on with and closes episodes, and writes their messages to the outbox in the same transaction: one at the beginning, one at the end, also those that were refused before. Returns counts. Needs the rights of the tables'' owner.';
