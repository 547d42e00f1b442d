-- Connector room, pulls: a run from its begin to its end, for src/connector/sync/run.c. Each function is one step between two
-- commits: what it writes is there as a whole, or not at all.

CREATE OR REPLACE FUNCTION cdp_internal.sync_broke(connection_id integer, stream text, reason text, as_of timestamptz, parked_until timestamptz DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  later timestamptz;
BEGIN
  INSERT INTO cdp_data.sync_breaker AS b (connection_id, stream, source_id, failures, parked, open_until, since, reason)
  SELECT c.connection_id, sync_broke.stream, c.source_id, (parked_until IS NULL)::integer, (parked_until IS NOT NULL)::integer, coalesce(parked_until, as_of + interval '1 minute'), as_of, left(sync_broke.reason, 500)
  FROM cdp_data.connection c WHERE c.connection_id = sync_broke.connection_id
  ON CONFLICT (connection_id, stream) DO UPDATE
  SET failures = b.failures + excluded.failures, parked = b.parked + excluded.parked, reason = excluded.reason,
    open_until = coalesce(parked_until, as_of + least(interval '6 hours', interval '1 minute' * 2 ^ least(b.failures, 12)))
  RETURNING b.open_until INTO later;
  RETURN later;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_broke(integer, text, text, timestamptz, timestamptz) IS
'Notes that a stream, or the whole connection (empty), failed at as_of, and returns until when it stands still: a minute, twice as long with each failure in a row, 6 hours at most; or until parked_until, when the other system said so. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.breaker_floor(connection_id integer, changed_at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN greatest(changed_at, (SELECT max(l.at) FROM cdp_data.connection_state_log l WHERE l.connection_id = breaker_floor.connection_id AND l.from_state = 'suspended'));
END
$$;
COMMENT ON FUNCTION cdp_internal.breaker_floor(integer, timestamptz) IS
'When a connection was changed (changed_at) or resumed last: what failed before that is no reason to keep it standing. Needs the rights of the tables'' owner, or to read its states.';

CREATE OR REPLACE FUNCTION cdp_internal.begin_sync(connection_id integer, stream text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  c record;
  idle boolean;
  binding text := '';
  id bigint;
BEGIN
  SELECT x.*, cdp_internal.connector_manifest(x.connector) AS manifest, cdp_internal.breaker_floor(x.connection_id, x.changed_at) AS mended_at INTO c FROM cdp_data.connection x WHERE x.connection_id = begin_sync.connection_id;
  IF c.state NOT IN ('shadow', 'live', 'degraded') THEN
    RAISE EXCEPTION 'connection "%" is %', c.name, c.state USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = CASE c.state WHEN 'draft' THEN 'CALL cdp.test_connection() first.' WHEN 'tested' THEN 'SELECT cdp.start_shadow() first.' WHEN 'suspended' THEN 'SELECT cdp.resume_connection() first.' ELSE 'It is over.' END;
  ELSIF stream IS NOT NULL AND NOT c.manifest -> 'streams' ? stream THEN
    RAISE EXCEPTION 'connector "%" has no stream "%"', c.connector, left(stream, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(stream, ARRAY(SELECT k FROM jsonb_object_keys(c.manifest -> 'streams') k), 'SELECT stream FROM cdp_bi.connector lists them.');
  END IF;
  -- What failed before somebody mended or resumed the connection says nothing any more.
  DELETE FROM cdp_data.sync_breaker b WHERE b.connection_id = begin_sync.connection_id AND b.since < c.mended_at;
  -- Whoever holds the lock is alone: what is open was left by a session that ended, or by a call that was stopped by an error.
  WITH open AS (UPDATE cdp_data.sync_run r SET finished_at = clock_timestamp(), problem = coalesce(r.problem, 'it never came to its end'),
    outcome = CASE WHEN EXISTS (SELECT FROM pg_stat_get_activity(r.pid) a WHERE a.pid = r.pid AND a.backend_start <= r.started_at) THEN 'stopped' ELSE 'died' END
  WHERE r.connection_id = begin_sync.connection_id AND r.finished_at IS NULL RETURNING r.calls)
  SELECT bool_or(o.calls = 0) INTO idle FROM open o;
  IF idle THEN
    -- Such as a secret that is not there: cdp.sync_due() comes back to it later and later, and to the others meanwhile.
    PERFORM cdp_internal.sync_broke(begin_sync.connection_id, '', 'a run ended before its first answer', clock_timestamp());
  END IF;
  BEGIN
    binding := coalesce(cdp_internal.connection_binding(c.connection_id), '');
  EXCEPTION WHEN OTHERS THEN
    NULL; -- The call that follows says what is wrong; that it was tried has to stand here whatever it is.
  END;
  INSERT INTO cdp_data.sync_run (connection_id, source_id, stream, revision, binding) VALUES (c.connection_id, c.source_id, begin_sync.stream, c.revision, binding) RETURNING run_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.begin_sync(integer, text) IS
'Writes down that a pull of a connection begins, and that those before it have ended: died, or stopped where their session still lives. Returns run_id. Needs the rights of the tables'' owner and the lock of the connection. Errors: 55000 it does not run (state), 22023 no such stream.';

CREATE OR REPLACE FUNCTION cdp_internal.quota_began(per text, zone text, as_of timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_trunc('day', as_of AT TIME ZONE zone) AT TIME ZONE zone
  + per::interval * floor(extract(epoch FROM as_of - date_trunc('day', as_of AT TIME ZONE zone) AT TIME ZONE zone) / greatest(extract(epoch FROM per::interval), 1))::double precision;
COMMENT ON FUNCTION cdp_internal.quota_began(text, text, timestamptz) IS
'When the window of a quota began that as_of lies in: windows follow one another from the midnight of the zone. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_ask(connection_id integer, stream text, state jsonb, as_of timestamptz, OUT request jsonb, OUT free_at timestamptz, OUT problem text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  c record;
BEGIN
  SELECT x.config, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = sync_ask.connection_id;
  BEGIN
    request := cdp_internal.connector_request(c.manifest, stream, state || jsonb_build_object('config', c.config));
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    problem := format('it can not be asked for (%s)', SQLSTATE);
    RETURN;
  END;
  SELECT max(u.began_at + (q ->> 'per')::interval) INTO free_at
  FROM jsonb_array_elements(coalesce(c.manifest -> 'quota', '[]') || coalesce(c.manifest #> ARRAY['streams', stream, 'quota'], '[]')) q
    JOIN cdp_data.quota_use u ON u.connection_id = sync_ask.connection_id AND u.per = q ->> 'per' AND u.api = CASE q ->> 'scope' WHEN 'connection' THEN '' ELSE request ->> 'path' END
  WHERE u.used >= (q ->> 'max')::integer AND u.began_at = cdp_internal.quota_began(q ->> 'per', c.manifest ->> 'tz', as_of);
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_ask(integer, text, jsonb, timestamptz) IS
'The request for a state of a stream, without secrets, and until when it has to wait for a quota (free_at; NULL: not at all); or why there is none (problem), such as config that lacks something. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.quota_count(connection_id integer, source_id integer, manifest jsonb, stream text, api text, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF manifest ? 'quota' OR manifest #> ARRAY['streams', stream] ? 'quota' THEN
    INSERT INTO cdp_data.quota_use AS u (connection_id, api, per, source_id, began_at, used)
    SELECT quota_count.connection_id, CASE q ->> 'scope' WHEN 'connection' THEN '' ELSE quota_count.api END, q ->> 'per', quota_count.source_id, min(cdp_internal.quota_began(q ->> 'per', manifest ->> 'tz', as_of)), 1
    FROM jsonb_array_elements(coalesce(manifest -> 'quota', '[]') || coalesce(manifest #> ARRAY['streams', quota_count.stream, 'quota'], '[]')) q GROUP BY 2, 3 ORDER BY 2, 3
    ON CONFLICT ON CONSTRAINT quota_use_pkey DO UPDATE SET used = CASE WHEN u.began_at >= excluded.began_at THEN u.used + 1 ELSE 1 END, began_at = greatest(u.began_at, excluded.began_at);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.quota_count(integer, integer, jsonb, text, text, timestamptz) IS
'Counts a call in the windows of the quotas that a manifest names for it. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.split_state(state jsonb, by_partition boolean DEFAULT false) RETURNS jsonb[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part jsonb := state -> 'partition';
  n integer := CASE WHEN jsonb_typeof(part) = 'array' THEN jsonb_array_length(part) ELSE 0 END;
  a date := (state #>> '{window,from}')::date;
  b date := (state #>> '{window,to}')::date;
BEGIN
  IF n > 1 THEN
    RETURN ARRAY[(state - 'cursor') || jsonb_build_object('partition', jsonb_path_query_array(part, format('$[0 to %s]', n / 2 - 1)::jsonpath)),
      (state - 'cursor') || jsonb_build_object('partition', jsonb_path_query_array(part, format('$[%s to last]', n / 2)::jsonpath))];
  ELSIF b > a AND NOT by_partition THEN
    RETURN ARRAY[(state - 'cursor') || jsonb_build_object('window', jsonb_build_object('from', a, 'to', a + (b - a) / 2)), (state - 'cursor') || jsonb_build_object('window', jsonb_build_object('from', a + (b - a) / 2 + 1, 'to', b))];
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.split_state(jsonb, boolean) IS
'The two halves of what was asked: of the list of a partition, else of the window, each from its first page. by_partition: of a list only. NULL: it can not be halved.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_leave_out(connection_id integer, manifest jsonb, stream text, part jsonb, at timestamptz, wait interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  -- So long the planner leaves it out from skipped_at on.
  usual interval := greatest(coalesce(manifest #>> ARRAY['streams', stream, 'every'], '1 day')::interval, interval '1 day');
BEGIN
  INSERT INTO cdp_data.stream_part AS t (connection_id, stream_id, part, source_id, skipped_at)
  SELECT s.connection_id, s.stream_id, coalesce(sync_leave_out.part #>> '{}', ''), s.source_id, at - usual + coalesce(wait, usual) FROM cdp_data.stream s WHERE s.connection_id = sync_leave_out.connection_id AND s.name = stream
    AND coalesce(octet_length(sync_leave_out.part #>> '{}') <= 2200, true) -- a longer one fits into no key
    -- Part of a list that was asked together, such as somebody who was wished, does not break it up because it fails once.
    AND NOT (wait IS NOT NULL AND jsonb_typeof(sync_leave_out.part) = 'array' AND EXISTS (
      SELECT FROM cdp_data.stream_part k WHERE k.connection_id = s.connection_id AND k.stream_id = s.stream_id AND k.part LIKE '[%' AND k.part <> sync_leave_out.part #>> '{}' AND k.gone_at IS NULL AND k.last_fetched_at IS NOT NULL
        AND cdp_internal.part_list(k.part) @> sync_leave_out.part))
  ON CONFLICT (connection_id, stream_id, part) DO UPDATE SET skipped_at = excluded.skipped_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_leave_out(integer, jsonb, text, jsonb, timestamptz, interval) IS
'Notes that a partition (NULL: a stream without any) is left out from at on, for so long; NULL: for every of its stream, a day at least. For streams that are not asked by days: there the ledger tells. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_unanswered(c record, run bigint, stream text, part jsonb, attempt integer, outcome text, detail text, as_of timestamptz, later timestamptz, OUT action text, OUT wait_s double precision, OUT reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  reason := left(concat_ws(': ', outcome, detail), 500);
  IF outcome IN ('timeout', 'reset', 'truncated', 'dns', 'connect', 'protocol', 'token_unavailable') AND attempt < 3 THEN
    action := 'again';
    wait_s := 2 ^ (attempt - 1);
  ELSIF outcome IN ('timeout', 'reset', 'truncated', 'protocol', 'too_large') AND part IS NOT NULL THEN
    PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, as_of, CASE outcome WHEN 'too_large' THEN interval '1 day' ELSE interval '10 minutes' END);
    action := 'pass';
  ELSIF outcome IN ('timeout', 'reset', 'truncated', 'protocol', 'too_large') THEN
    PERFORM cdp_internal.sync_broke(c.connection_id, stream, reason, as_of);
    action := 'leave';
  ELSE
    -- Where nobody can be reached, or nobody lets us in, no other stream fares better.
    PERFORM cdp_internal.sync_broke(c.connection_id, '', reason, as_of, CASE WHEN outcome = 'token_refused' THEN later END);
    action := 'stop';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_unanswered(record, bigint, text, jsonb, integer, text, text, timestamptz, timestamptz) IS
'What follows when a call had no answer: action again (after wait_s seconds, twice), pass (this partition is left out), leave (the stream stands still) or stop (the connection does). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_refused(c record, run bigint, stream text, state jsonb, attempt integer, v record, is_told boolean, as_of timestamptz, OUT action text, OUT wait_s double precision, OUT states jsonb[], OUT reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part jsonb := state -> 'partition';
BEGIN
  reason := left(concat_ws(' ', v.verb, v.code, '(' || v.note || ')'), 500);
  -- What the other system asks for itself holds as it is; ours doubles with each try.
  wait_s := CASE WHEN v.verb NOT IN ('retry', 'slow') THEN coalesce(v.wait_s, 0) WHEN is_told AND v.wait_s IS NOT NULL THEN v.wait_s ELSE least(coalesce(v.wait_s, 1) * 2 ^ least(attempt - 1, 10), 60) END;
  action := 'leave';
  IF v.verb IN ('retry', 'slow') AND attempt <= coalesce(v.max_tries, 3) AND wait_s <= 60 THEN
    action := 'again';
  ELSIF v.verb = 'reauth_once' THEN
    action := 'reauth';
  ELSIF v.verb = 'skip_partition' THEN
    states := cdp_internal.split_state(state, true);
    action := CASE WHEN states IS NOT NULL THEN 'go' ELSE 'done' END;
    IF states IS NULL AND NOT state ? 'window' THEN
      PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, as_of);
    END IF;
    -- Who is outside of what may be seen is no failure; a stream that is, is one.
    reason := CASE WHEN part IS NULL THEN reason END;
  ELSIF v.verb = 'split' AND cdp_internal.split_state(state) IS NOT NULL THEN
    states := cdp_internal.split_state(state);
    action := 'go';
    reason := NULL;
  ELSIF v.verb = 'not_ready' THEN
    IF NOT state ? 'window' THEN
      PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, as_of, make_interval(secs => greatest(wait_s, 60)));
    END IF;
    action := 'wait';
  ELSIF v.verb = 'park' THEN
    PERFORM cdp_internal.sync_broke(c.connection_id, stream, reason, as_of, greatest(coalesce(v.until_at, as_of + make_interval(secs => wait_s)), as_of + interval '1 second'));
    action := 'park';
  ELSIF part IS NOT NULL AND v.verb <> 'config' AND wait_s <= 60 THEN
    -- One that can not be had keeps nobody from the others; who asked for its further pages begins anew.
    PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, as_of, CASE WHEN v.verb IN ('retry', 'slow') THEN interval '10 minutes' ELSE interval '6 hours' END) WHERE NOT state ? 'window';
    action := 'pass';
  ELSE
    PERFORM cdp_internal.sync_broke(c.connection_id, stream, reason, as_of, CASE WHEN v.verb IN ('retry', 'slow') AND wait_s > 60 THEN as_of + make_interval(secs => wait_s) END);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_refused(record, bigint, text, jsonb, integer, record, boolean, timestamptz) IS
'What follows when an answer is no page (is_told: it says itself when to come again): action again (after wait_s seconds), reauth, go (with states: halves), done, wait (not ready), pass (this partition is left out), park or leave (the stream stands still); reason: in words that name nobody, NULL when nothing is wrong. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.wish_answered(connection_id integer, stream text, part jsonb, asked_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer := cdp_internal.wish_granted(connection_id, stream, CASE jsonb_typeof(part) WHEN 'array' THEN ARRAY(SELECT e FROM jsonb_array_elements_text(part) e) WHEN 'string' THEN ARRAY[part #>> '{}'] WHEN 'number' THEN ARRAY[part #>> '{}'] END, asked_at);
BEGIN
  IF n > 0 AND jsonb_typeof(part) = 'array' THEN
    -- Who was asked by himself because he was wished goes on to be asked with the others of his list.
    DELETE FROM cdp_data.stream_part t USING cdp_data.stream s
    WHERE s.connection_id = wish_answered.connection_id AND s.name = wish_answered.stream AND t.connection_id = s.connection_id AND t.stream_id = s.stream_id AND t.part = wish_answered.part #>> '{}'
      AND EXISTS (SELECT FROM cdp_data.stream_part k WHERE k.connection_id = t.connection_id AND k.stream_id = t.stream_id AND cdp_internal.part_list(k.part) @> wish_answered.part AND k.part <> t.part AND k.gone_at IS NULL AND k.last_fetched_at IS NOT NULL);
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.wish_answered(integer, text, jsonb, timestamptz) IS
'cdp_internal.wish_granted() for the partition that a pull asked for, NULL, a value or a list; a list that was only asked because somebody in it was wished does not stand for itself afterwards. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_pulled(run bigint, stream text, planned_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  n integer;
  gone integer;
BEGIN
  SELECT x.connection_id, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.sync_run r JOIN cdp_data.connection x USING (connection_id) WHERE r.run_id = run;
  n := cdp_internal.wish_granted(c.connection_id, stream, NULL, planned_at);
  IF EXISTS (SELECT FROM cdp_data.suppression) THEN
    DELETE FROM cdp_data.stream_wish w
    WHERE w.connection_id = c.connection_id AND w.stream = stream_pulled.stream AND w.part <> '' AND cdp_internal.allowed_part(c.manifest, w.stream, to_jsonb(w.part)) IS NULL;
    GET DIAGNOSTICS gone = ROW_COUNT;
    n := n + gone;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_pulled(bigint, text, timestamptz) IS
'All that was planned of a stream at planned_at was pulled: grants wishes for the whole of it, and drops those for people who must not come in again, which nobody asks for. Returns how many wishes went. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_answered(run bigint, stream text, state jsonb, api text, attempt integer, asked_at timestamptz, outcome text, detail text, status integer, headers jsonb, body bytea, fetched_at timestamptz,
  ms integer, bytes bigint, token_calls integer, later timestamptz, OUT action text, OUT states jsonb[], OUT wait_s double precision, OUT reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  l record;
  v record;
  part jsonb := state -> 'partition';
BEGIN
  SELECT NULL::text AS verb, NULL::text AS code, NULL::integer AS records_read, 0 AS inserted, 0 AS changed, 0 AS refused INTO l;
  SELECT x.connection_id, x.source_id, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.sync_run r JOIN cdp_data.connection x USING (connection_id) WHERE r.run_id = run;
  IF outcome NOT IN ('token_refused', 'token_unavailable', 'host_refused', 'address_refused') THEN
    PERFORM cdp_internal.quota_count(c.connection_id, c.source_id, c.manifest, stream, api, fetched_at);
  END IF;
  IF outcome <> 'ok' THEN
    SELECT u.* INTO action, wait_s, reason FROM cdp_internal.sync_unanswered(c, run, stream, part, attempt, outcome, detail, fetched_at, later) u;
  ELSE
    BEGIN
      SELECT p.* INTO l FROM cdp_internal.land_page(c.connection_id, stream, body, part, (state #>> '{window,from}')::date, (state #>> '{window,to}')::date, state -> 'cursor', status, headers, fetched_at) p;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
      -- A page that can not be landed stops its stream, and not those behind it. What the error says may be of people.
      reason := format('its page could not be landed (%s)', SQLSTATE);
      IF part IS NOT NULL THEN
        action := 'pass';
        PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, fetched_at, interval '1 day');
      ELSE
        action := 'leave';
        PERFORM cdp_internal.sync_broke(c.connection_id, stream, reason, fetched_at);
      END IF;
    END;
    IF reason IS NOT NULL THEN
      NULL;
    ELSIF l.verb IN ('ok', 'ignore') THEN
      action := CASE WHEN l.done THEN 'done' ELSE 'go' END;
      states := CASE WHEN NOT l.done THEN ARRAY[l.next - 'config'] END;
      IF l.done AND l.problem IS NOT NULL AND NOT coalesce((SELECT x.done AND NOT coalesce(x.broken, false) FROM cdp_data.raw_page x WHERE x.page_id = l.page_id), false) THEN
        reason := left('the pull broke off: ' || l.problem, 500);
        IF part IS NOT NULL THEN
          action := 'pass';
          PERFORM cdp_internal.sync_leave_out(c.connection_id, c.manifest, stream, part, fetched_at, interval '6 hours') WHERE NOT state ? 'window';
        ELSE
          action := 'leave';
          PERFORM cdp_internal.sync_broke(c.connection_id, stream, reason, fetched_at);
        END IF;
      ELSE
        DELETE FROM cdp_data.sync_breaker b WHERE b.connection_id = c.connection_id AND b.stream IN (stream, '');
      END IF;
    ELSIF l.page_id IS NULL THEN
      action := 'done';
    ELSE
      v := cdp_internal.connector_verdict(c.manifest, stream, status, headers, (cdp_internal.connector_decode(c.manifest, stream, body)).doc, fetched_at,
        coalesce((SELECT b.parked FROM cdp_data.sync_breaker b WHERE b.connection_id = c.connection_id AND b.stream = stream), 0));
      SELECT r.* INTO action, wait_s, states, reason FROM cdp_internal.sync_refused(c, run, stream, state, attempt, v, headers ?| '{retry-after,Retry-After}', fetched_at) r;
    END IF;
    IF l.verb = 'fail' AND state ? 'cursor' THEN
      -- It may be the cursor: the next pull begins anew, and what it tells again changes nothing.
      UPDATE cdp_data.stream_part t SET next = t.next - 'cursor' FROM cdp_data.stream s
      WHERE s.connection_id = c.connection_id AND s.name = stream AND t.connection_id = s.connection_id AND t.stream_id = s.stream_id AND t.part = coalesce(part #>> '{}', '') AND t.next -> 'cursor' = state -> 'cursor';
    END IF;
    -- What is refused is not wished for ever; who is kept waiting asks again.
    IF action = 'done' OR action IN ('leave', 'pass') AND l.verb IN ('fail', 'config') THEN
      PERFORM cdp_internal.wish_answered(c.connection_id, stream, part, asked_at);
    END IF;
  END IF;
  INSERT INTO cdp_data.sync_call (run_id, connection_id, source_id, stream, first_day, last_day, at, outcome, status, verb, code, attempt, token_calls, ms, bytes, records, retry_at, problem)
  VALUES (run, c.connection_id, c.source_id, stream, (state #>> '{window,from}')::date, (state #>> '{window,to}')::date, fetched_at, outcome, nullif(status, 0), l.verb, left(l.code, 100), attempt, token_calls, ms, bytes, l.records_read,
    CASE WHEN action IN ('again', 'park', 'leave', 'pass', 'stop') THEN coalesce(later, fetched_at + make_interval(secs => wait_s)) END, reason);
  UPDATE cdp_data.sync_run r SET calls = r.calls + (outcome NOT IN ('token_refused', 'token_unavailable'))::integer, pages = r.pages + coalesce(l.verb IN ('ok', 'ignore'), false)::integer, records = r.records + coalesce(l.records_read, 0),
    inserted = r.inserted + l.inserted, changed = r.changed + l.changed, refused = r.refused + l.refused,
    problems = r.problems + (reason IS NOT NULL AND action IN ('leave', 'pass', 'stop', 'done'))::integer, waits = r.waits + (action IN ('wait', 'park'))::integer,
    problem = coalesce(r.problem, CASE WHEN action IN ('leave', 'pass', 'stop', 'park', 'wait', 'done') THEN stream || ': ' || reason END)
  WHERE r.run_id = run;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_answered(bigint, text, jsonb, text, integer, timestamptz, text, text, integer, jsonb, bytea, timestamptz, integer, bigint, integer, timestamptz) IS
'Lands what came of a call of a run, with all that follows: the page and its records, the log, quotas, breakers, wishes. state: what was asked for, without config; api: the template of the path; asked_at: when the first page of the pull was asked for; outcome, detail: of the transport, or token_refused, token_unavailable; later: when there may be a token again. action: go (on with states), done (the pull has ended), again (the same after wait_s seconds), reauth (the same with another token), wait (later), pass (not this partition; on with the next one), park or leave (no more of this stream), stop (no more of this run). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_stop(run bigint, stream text, reason text, whole boolean, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.sync_broke(r.connection_id, CASE WHEN whole THEN '' ELSE sync_stop.stream END, reason, as_of) FROM cdp_data.sync_run r WHERE r.run_id = run;
  UPDATE cdp_data.sync_run r SET problems = r.problems + 1, problem = coalesce(r.problem, left(sync_stop.stream || ': ' || reason, 500)) WHERE r.run_id = run;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_stop(bigint, text, text, boolean, timestamptz) IS
'Notes that a stream of a run, or the run as a whole, goes no further. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_wait(run bigint, stream text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE cdp_data.sync_run r SET waits = r.waits + 1, problem = coalesce(r.problem, left(concat_ws(': ', sync_wait.stream, reason), 500)) WHERE r.run_id = run;
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_wait(bigint, text, text) IS
'Notes that something of a run is left for later. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.end_sync(run bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  r record;
  c record;
  good numeric;
  word text;
BEGIN
  UPDATE cdp_data.sync_run x SET finished_at = clock_timestamp(), outcome = CASE WHEN x.problems > 0 THEN 'failed' WHEN x.waits > 0 THEN 'waits' ELSE 'ok' END WHERE x.run_id = run AND x.finished_at IS NULL RETURNING x.* INTO r;
  IF r.run_id IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT x.* INTO c FROM cdp_data.connection x WHERE x.connection_id = r.connection_id FOR UPDATE;
  word := r.outcome;
  IF c.state = 'live' AND word = 'failed' THEN
    PERFORM cdp_internal.move_connection(c.connection_id, 'degraded', left('a run failed: ' || coalesce(r.problem, ''), 1000));
  ELSIF c.state = 'degraded' AND word = 'ok' THEN
    PERFORM cdp_internal.move_connection(c.connection_id, 'live', 'a run brought all that was due');
  END IF;
  IF r.stream IS NULL AND EXISTS (SELECT FROM cdp_data.sync_call k WHERE k.run_id = run AND k.verb = 'config') AND NOT EXISTS (SELECT FROM cdp_data.sync_run x WHERE x.connection_id = c.connection_id AND x.pages > 0 AND x.started_at > r.started_at - interval '7 days') THEN
    -- Somebody has to look at whatever was asked, and nothing was good for a week: it is not one stream.
    PERFORM cdp_internal.sync_broke(c.connection_id, '', coalesce(r.problem, 'config'), clock_timestamp());
  END IF;
  -- A network that is gone comes back by itself; what somebody has to look at waits for him.
  IF c.state IN ('shadow', 'live', 'degraded') AND EXISTS (SELECT FROM cdp_data.sync_breaker b WHERE b.connection_id = c.connection_id AND b.stream = '' AND b.failures + b.parked >= 5
      AND b.reason !~ '^(dns|connect|tls|timeout|reset|truncated|protocol|token_unavailable)') THEN
    PERFORM cdp_internal.move_connection(c.connection_id, 'suspended', left('five runs in a row failed: ' || coalesce(r.problem, ''), 1000));
  END IF;
  good := cdp_internal.connection_quality(c.connection_id, clock_timestamp());
  IF good IS NOT NULL AND r.pages > 0 THEN
    PERFORM cdp_internal.record_connection_quality(c.connection_id, r.revision, r.binding, good, r.records);
  END IF;
  RETURN word;
END
$$;
COMMENT ON FUNCTION cdp_internal.end_sync(bigint) IS
'Closes a run: failed when a pull did not come to its end, waits when something is left for later, else ok. A live connection whose run failed becomes degraded, and live again when one was ok; five failures of the whole connection in a row suspend it, unless it is the network that fails. Writes down how good the data are (cdp_internal.connection_quality()). Returns the outcome. Needs the rights of the tables'' owner.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_sync()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  WITH old AS (
    DELETE FROM cdp_data.sync_run r USING cdp_data.setting s WHERE r.finished_at < cdp_internal.cutoff(now(), s.sync_retention) RETURNING r.run_id)
  DELETE FROM cdp_data.sync_call k USING old o WHERE k.run_id = o.run_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.quota_use u WHERE u.began_at < now() - interval '40 days';
  DELETE FROM cdp_data.sync_breaker b USING cdp_data.connection c WHERE c.connection_id = b.connection_id AND c.state = 'retired';
  RAISE NOTICE 'maintain: % calls of connections past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_sync() IS 'Part of cdp.maintain(): deletes runs of connections that ended longer ago than cdp_data.setting.sync_retention, with their calls, quotas of windows long over, and breakers of retired connections.';

CREATE OR REPLACE PROCEDURE cdp.sync(connection text, stream text DEFAULT NULL, deadline interval DEFAULT '10 minutes', INOUT run_id bigint DEFAULT NULL, INOUT outcome text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'cdp_sync';
COMMENT ON PROCEDURE cdp.sync(text, text, interval, bigint, text) IS
'Pulls all that is due of a connection in shadow, live or degraded, or of one of its streams: page by page, each landed in a transaction of its own with its records, the days that it tells, the cursor, the quota and the log. Between them, while the other system is slow, no snapshot, transaction or lock on a table is held, and a cancellation counts at once. After deadline nothing new is asked; a window of days that was begun is pulled to its end within three times of it. What broke off is taken up again by the next run. Returns the number of the run and its outcome: ok, waits (something is left for later: a quota, data that are not ready, the time) or failed (cdp_data.sync_run.problem says what; the stream or the connection stands still for a while, cdp_data.sync_breaker). Outside of transaction blocks. For members of the connection''s owner, and the owner of the tables. Errors: 22023 unknown connection or stream, 42501 may not use it, 55000 it does not run, a secret is missing, or it was changed meanwhile, 55P03 it is being pulled already, 2D000 in a transaction block.';

CREATE OR REPLACE PROCEDURE cdp.sync_due(deadline interval DEFAULT '10 minutes', INOUT runs integer DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'cdp_sync_due';
COMMENT ON PROCEDURE cdp.sync_due(interval, integer) IS
'Pulls every connection that runs, has something due and may be used by the caller, one after the other, each once, as cdp.sync() does, until deadline is over. Several sessions share the connections. Meant for a schedule, such as once a minute. Returns how many were pulled. An error of one ends the call; that connection comes last in the next one, and stands still for a while. Outside of transaction blocks. Errors: 2D000 in a transaction block.';
