-- Connector room, connections: tests, the states of a connection, and the gates between them.

CREATE OR REPLACE FUNCTION cdp.connection_check_builtin() RETURNS TABLE (name text, required boolean, description text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  VALUES ('connector', true, 'The manifest is known and without problems.'), ('config', true, 'Every value that the manifest asks for is there.'),
    ('secrets', true, 'Every secret that the manifest asks for is there and opens.'), ('host', true, 'The server''s name is on the list of allowed ones.'),
    ('address', true, 'The name leads to addresses that may be asked.'), ('tls', true, 'The certificate holds and is of that name.'),
    ('auth', true, 'The other system takes the credentials.'), ('permission', true, 'The app may call what the streams call.'),
    ('sample', true, 'A first page decodes and has the fields of its key.'), ('clock', false, 'Clocks differ by less than a minute.'),
    ('quota', false, 'The quota of the day is not used up.');
END;
COMMENT ON FUNCTION cdp.connection_check_builtin() IS
'What a test of a connection checks, and without which of them it counts as not tested.';

CREATE OR REPLACE FUNCTION cdp_internal.begin_connection_test(connection_id integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
BEGIN
  INSERT INTO cdp_data.connection_test AS t (connection_id, source_id, revision, binding)
  SELECT c.connection_id, c.source_id, c.revision, cdp_internal.connection_binding(c.connection_id) FROM cdp_data.connection c WHERE c.connection_id = begin_connection_test.connection_id AND c.state <> 'retired' RETURNING t.test_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'connection % is retired, or there is none', connection_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT connection_id, state FROM cdp_data.connection; lists them.';
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.begin_connection_test(integer) IS
'Opens a test of a connection; it counts once cdp_internal.end_connection_test() has closed it. Returns test_id. Needs the rights of the tables'' owner. Error 55000: retired, or no such connection.';

CREATE OR REPLACE FUNCTION cdp_internal.record_connection_check(test_id bigint, name text, status text, detail text DEFAULT '', hint text DEFAULT NULL, ms numeric DEFAULT NULL, required boolean DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.connection_check AS k (test_id, name, status, required, detail, hint, ms, source_id)
  SELECT t.test_id, record_connection_check.name, record_connection_check.status,
    coalesce((SELECT b.required FROM cdp.connection_check_builtin() b WHERE b.name = split_part(record_connection_check.name, ':', 1) AND (b.required OR record_connection_check.required IS NULL)), record_connection_check.required, false),
    left(coalesce(record_connection_check.detail, ''), 2000), left(record_connection_check.hint, 2000), record_connection_check.ms, t.source_id
  FROM cdp_data.connection_test t WHERE t.test_id = record_connection_check.test_id AND t.finished_at IS NULL
  ON CONFLICT ON CONSTRAINT connection_check_pkey DO UPDATE
  SET status = excluded.status, required = excluded.required, detail = excluded.detail, hint = excluded.hint, ms = excluded.ms, at = excluded.at;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'test % is closed, or there is none', test_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp_internal.begin_connection_test() opens one.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_connection_check(bigint, text, text, text, text, numeric, boolean) IS
'Writes what an open test found: status is ok, warn, fail or skip; detail and hint hold nothing secret. required NULL: as cdp.connection_check_builtin() has it, where what that asks for stays required. Again: replaces. Needs the rights of the tables'' owner. Errors: 55000 the test is closed, 23514 unknown status.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_last_test(connection_id integer)
RETURNS TABLE (test_id bigint, revision integer, binding text, finished_at timestamptz, checks_passed bigint, checks_required bigint, checks_run bigint, checks_defined bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT t.test_id, t.revision, t.binding, t.finished_at, count(*) FILTER (WHERE k.required AND k.status IN ('ok', 'warn')), count(*) FILTER (WHERE k.required),
    count(*) FILTER (WHERE k.status <> 'skip'), count(*)
  FROM (SELECT x.* FROM cdp_data.connection_test x WHERE x.connection_id = connection_last_test.connection_id AND x.finished_at IS NOT NULL ORDER BY x.test_id DESC LIMIT 1) t
    CROSS JOIN LATERAL (
      SELECT c.status, c.required FROM cdp_data.connection_check c WHERE c.test_id = t.test_id
      UNION ALL
      -- What was not looked at counts as skipped; one look at a part, such as permission:contacts, is one at the whole.
      SELECT 'skip', b.required FROM cdp.connection_check_builtin() b
      WHERE NOT EXISTS (SELECT FROM cdp_data.connection_check c WHERE c.test_id = t.test_id AND split_part(c.name, ':', 1) = b.name)) k
  GROUP BY t.test_id, t.revision, t.binding, t.finished_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_last_test(integer) IS
'The last finished test of a connection, counted: required checks passed (ok or warn) and in all, checks run (not skipped) and defined. A check of cdp.connection_check_builtin() that the test has not counts as skipped. No row when no test was finished.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_gate(connection_id integer, to_state text, as_of timestamptz DEFAULT now()) RETURNS TABLE (problem text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  t record;
  q record;
BEGIN
  IF to_state NOT IN ('tested', 'shadow', 'live') THEN
    RETURN;
  END IF;
  SELECT x.revision, x.changed_at, x.state_at, x.state, x.min_quality, cdp_internal.connection_binding(x.connection_id) AS binding INTO c FROM cdp_data.connection x WHERE x.connection_id = connection_gate.connection_id;
  SELECT x.* INTO t FROM cdp_internal.connection_last_test(connection_gate.connection_id) x;
  IF t.test_id IS NULL THEN
    RETURN QUERY SELECT 'not tested', 'no test was ever finished';
  ELSIF t.revision <> c.revision THEN
    RETURN QUERY SELECT 'changed since the test', format('config or secrets were changed at %s', c.changed_at);
  ELSIF t.binding IS DISTINCT FROM c.binding THEN
    RETURN QUERY SELECT 'changed since the test', 'the manifest leads to another server or authentication; secrets must be set again';
  ELSIF t.finished_at < as_of - interval '24 hours' THEN
    RETURN QUERY SELECT 'test too old', format('it ended at %s, 24 hours are allowed', t.finished_at);
  ELSE
    RETURN QUERY
    SELECT CASE k.status WHEN 'fail' THEN 'check failed' ELSE 'check not run' END, k.name || CASE WHEN k.detail <> '' THEN ' (' || k.detail || ')' ELSE '' END
    FROM (
      SELECT x.name, x.status, x.detail FROM cdp_data.connection_check x WHERE x.test_id = t.test_id AND x.required AND x.status NOT IN ('ok', 'warn')
      UNION ALL
      SELECT b.name, 'skip', '' FROM cdp.connection_check_builtin() b
      WHERE b.required AND NOT EXISTS (SELECT FROM cdp_data.connection_check x WHERE x.test_id = t.test_id AND split_part(x.name, ':', 1) = b.name)) k
    ORDER BY 1, 2;
  END IF;
  IF to_state = 'live' AND c.state = 'shadow' THEN
    SELECT x.quality, x.records INTO q FROM cdp_data.connection_quality x
    WHERE x.connection_id = connection_gate.connection_id AND x.state = 'shadow' AND x.at >= c.state_at AND x.revision = c.revision AND x.binding IS NOT DISTINCT FROM c.binding ORDER BY x.quality_id DESC LIMIT 1;
    IF NOT FOUND THEN
      RETURN QUERY SELECT 'no shadow run', format('none since %s', greatest(c.state_at, c.changed_at));
    ELSIF q.records = 0 THEN
      RETURN QUERY SELECT 'shadow run empty', 'the last one brought no record to judge by';
    ELSIF q.quality < c.min_quality THEN
      RETURN QUERY SELECT 'quality too low', format('the last shadow run reached %s, %s is asked for', q.quality, c.min_quality);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_gate(integer, text, timestamptz) IS
'What keeps a connection from a state at as_of; no row: nothing. tested, shadow and live take a finished test, begun with the config, secrets and manifest of now and at most 24 hours old, whose required checks all are ok or warn, and none of cdp.connection_check_builtin() missing. live takes from shadow a run since then, the last one with records and a quality of min_quality. Other states have no gate.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_next_gate(connection_id integer) RETURNS TABLE (problem text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.state, x.revision <> x.suspended_revision OR x.suspended_binding IS DISTINCT FROM cdp_internal.connection_binding(x.connection_id) AS is_other INTO c FROM cdp_data.connection x WHERE x.connection_id = connection_next_gate.connection_id;
  RETURN QUERY
  SELECT g.problem, g.detail
  FROM cdp_internal.connection_gate(connection_next_gate.connection_id,
    CASE c.state WHEN 'draft' THEN 'tested' WHEN 'tested' THEN 'shadow' WHEN 'shadow' THEN 'live' WHEN 'suspended' THEN CASE WHEN c.is_other THEN 'tested' END END) g;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_next_gate(integer) IS
'What keeps a connection from its next state now: draft from tested, tested from shadow, shadow from live, suspended, when config, secrets or manifest were changed meanwhile, from being resumed. No row: nothing.';

CREATE OR REPLACE FUNCTION cdp.connection_gate(connection text) RETURNS TABLE (problem text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT c.connection_id INTO id FROM cdp_data.connection c WHERE c.name = connection_gate.connection;
  IF id IS NULL THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT c.name FROM cdp_data.connection c), 'SELECT connection FROM cdp_bi.connection_status; lists them.');
  END IF;
  RETURN QUERY SELECT g.problem, g.detail FROM cdp_internal.connection_next_gate(id) g;
END
$$;
COMMENT ON FUNCTION cdp.connection_gate(text) IS
'What keeps a connection from its next state now (draft from tested, tested from shadow, shadow from live, suspended from being resumed), one row each; no row: nothing. Errors: 22023 unknown connection, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.resume_state(connection_id integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT CASE WHEN c.suspended_from = 'shadow' OR c.config_revision > c.suspended_revision OR c.suspended_binding IS DISTINCT FROM cdp_internal.connection_binding(c.connection_id) THEN 'shadow' ELSE 'live' END
    FROM cdp_data.connection c WHERE c.connection_id = resume_state.connection_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.resume_state(integer) IS
'To which state a suspended connection is resumed: where it was, from degraded to live; to shadow when its config or manifest was changed meanwhile, for what it brings now was never judged.';

CREATE OR REPLACE FUNCTION cdp_internal.move_connection(connection_id integer, to_state text, why text, as_of timestamptz DEFAULT clock_timestamp()) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c cdp_data.connection;
  closed text;
  binding text;
BEGIN
  PERFORM cdp_internal.require_text('reason', why, 1000);
  SELECT * INTO c FROM cdp_data.connection x WHERE x.connection_id = move_connection.connection_id FOR UPDATE;
  binding := cdp_internal.connection_binding(connection_id);
  IF c.state = to_state THEN
    RETURN to_state;
  ELSIF (c.state, to_state) NOT IN (('draft', 'tested'), ('draft', 'retired'), ('tested', 'draft'), ('tested', 'shadow'), ('tested', 'retired'), ('shadow', 'live'), ('shadow', 'suspended'), ('shadow', 'retired'),
      ('live', 'degraded'), ('live', 'suspended'), ('live', 'retired'), ('degraded', 'live'), ('degraded', 'suspended'), ('degraded', 'retired'),
      ('suspended', 'shadow'), ('suspended', 'live'), ('suspended', 'retired'))
    OR c.state = 'suspended' AND to_state <> 'retired' AND to_state <> cdp_internal.resume_state(connection_id) THEN
    RAISE EXCEPTION 'connection "%" can not go from % to %', c.name, c.state, to_state
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = CASE c.state WHEN 'draft' THEN 'A test that passes makes it tested.' WHEN 'tested' THEN 'cdp.start_shadow() comes next.' WHEN 'suspended' THEN 'cdp.resume_connection() goes on where it was.'
          WHEN 'retired' THEN 'It is over; make a new one with cdp.create_connection().' ELSE 'cdp.suspend_connection() stops it.' END;
  END IF;
  -- What runs already passes no gate again; what is resumed does only when something was changed meanwhile.
  IF c.state IN ('draft', 'tested', 'shadow') OR c.state = 'suspended' AND (c.revision <> c.suspended_revision OR c.suspended_binding IS DISTINCT FROM binding) THEN
    SELECT string_agg(g.problem || ': ' || g.detail, '; ') INTO closed FROM cdp_internal.connection_gate(c.connection_id, to_state, as_of) g;
    IF closed IS NOT NULL THEN
      RAISE EXCEPTION 'connection "%" may not go from % to %', c.name, c.state, to_state
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = left(closed, 2000), HINT = format('SELECT * FROM cdp.connection_gate(%L); lists what is missing.', c.name);
    END IF;
  END IF;
  UPDATE cdp_data.connection x SET state = to_state, state_at = clock_timestamp(), suspended_from = CASE to_state WHEN 'suspended' THEN c.state END,
    suspended_revision = CASE to_state WHEN 'suspended' THEN c.revision END, suspended_binding = CASE to_state WHEN 'suspended' THEN binding END WHERE x.connection_id = c.connection_id;
  IF to_state = 'retired' THEN
    DELETE FROM cdp_data.connection_secret s WHERE s.connection_id = c.connection_id;
    DELETE FROM cdp_data.connection_token t WHERE t.connection_id = c.connection_id;
  END IF;
  PERFORM cdp_internal.log_connection_state(c.connection_id, c.state, to_state, why);
  RETURN to_state;
END
$$;
COMMENT ON FUNCTION cdp_internal.move_connection(integer, text, text, timestamptz) IS
'Takes a connection to another state, when that is allowed from where it is and the gate is open at as_of, and writes it down. draft to tested and back, tested to shadow, shadow to live, live to degraded and back, shadow, live and degraded to suspended and from there on, anything to retired, which deletes its secrets and tokens. why is a sentence without personal data or secrets. Returns the state; the one that it has already changes nothing. Needs the rights of the tables'' owner. Errors: 55000 not allowed, or the gate is closed (the detail lists why), 22023 no reason.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_verb(connection_id integer, verb text, why text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  PERFORM cdp_internal.require_choice('verb', verb, '{shadow,live,suspended,resume,retired}');
  IF verb = 'resume' THEN
    SELECT x.name, x.state INTO c FROM cdp_data.connection x WHERE x.connection_id = connection_verb.connection_id FOR UPDATE;
    IF c.state <> 'suspended' THEN
      RAISE EXCEPTION 'connection "%" is not suspended', c.name USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', c.state), HINT = 'There is nothing to resume.';
    END IF;
    verb := cdp_internal.resume_state(connection_id);
  ELSIF verb = 'live' AND EXISTS (SELECT FROM cdp_data.connection x WHERE x.connection_id = connection_verb.connection_id AND x.state IN ('suspended', 'degraded')) THEN
    RAISE EXCEPTION 'only a connection in shadow goes live' USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'A suspended one goes on with cdp.resume_connection(); a degraded one is live, and mends by itself when its runs succeed.';
  END IF;
  RETURN cdp_internal.move_connection(connection_id, verb, why);
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_verb(integer, text, text) IS
'What cdp.start_shadow() (verb shadow), go_live() (live), suspend_connection() (suspended), resume_connection() (resume) and retire_connection() (retired) do, for cdp_data.connection_move(). Needs the rights of the tables'' owner. Errors: as cdp_internal.move_connection().';

CREATE OR REPLACE FUNCTION cdp_internal.end_connection_test(test_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  state text;
  bad text;
BEGIN
  UPDATE cdp_data.connection_test t SET finished_at = clock_timestamp() WHERE t.test_id = end_connection_test.test_id AND t.finished_at IS NULL RETURNING t.connection_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'test % is closed, or there is none', test_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp_internal.begin_connection_test() opens one.';
  END IF;
  SELECT c.state INTO state FROM cdp_data.connection c WHERE c.connection_id = id FOR UPDATE;
  SELECT string_agg(g.problem || ': ' || g.detail, '; ') INTO bad FROM cdp_internal.connection_gate(id, 'tested', clock_timestamp()) g;
  IF state = 'draft' AND bad IS NULL THEN
    state := cdp_internal.move_connection(id, 'tested', 'all required checks passed');
  ELSIF state = 'tested' AND bad IS NOT NULL THEN
    state := cdp_internal.move_connection(id, 'draft', left('test: ' || bad, 1000));
  END IF;
  RETURN state;
END
$$;
COMMENT ON FUNCTION cdp_internal.end_connection_test(bigint) IS
'Closes a test of a connection. In draft it becomes tested when all required checks passed; tested becomes draft when they did not; other states stay. Returns the state. Needs the rights of the tables'' owner. Error 55000: the test is closed, or there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.record_connection_quality(connection_id integer, revision integer, binding text, quality numeric, records bigint, detail jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.connection_quality (connection_id, source_id, state, revision, binding, quality, records, detail)
  SELECT c.connection_id, c.source_id, c.state, record_connection_quality.revision, record_connection_quality.binding, record_connection_quality.quality, record_connection_quality.records, record_connection_quality.detail
  FROM cdp_data.connection c WHERE c.connection_id = record_connection_quality.connection_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_connection_quality(integer, integer, text, numeric, bigint, jsonb) IS
'Notes how good what a run of a connection brought was, 0 to 1, judged by so many records; a run in shadow opens or closes the gate to live. revision and binding (cdp_internal.connection_binding()) are those of the connection when the run began. Needs the rights of the tables'' owner. Error 23514: quality not from 0 to 1.';

CREATE OR REPLACE FUNCTION cdp.start_shadow(connection text, why text DEFAULT 'tested') RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_move(connection, 'shadow', why);
END
$$;
COMMENT ON FUNCTION cdp.start_shadow(text, text) IS
'Takes a tested connection into shadow: its runs are pulled and judged, and shown nowhere. Needs a test of the last 24 hours, after the last change, that passed. why stands in the log of states. For members of the connection''s owner with the part of admin or marketer, and the owner of the tables. Returns the state. Errors: 22023 unknown connection or no reason, 42501 no member, 55000 not tested (the detail says what is missing).';

CREATE OR REPLACE FUNCTION cdp.go_live(connection text, why text DEFAULT 'shadow run passed') RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_move(connection, 'live', why);
END
$$;
COMMENT ON FUNCTION cdp.go_live(text, text) IS
'Takes a connection from shadow to live. Needs a test of the last 24 hours, after the last change, that passed, and a shadow run since, of which the last reached min_quality. cdp.connection_gate() lists what is missing. For whom cdp.start_shadow() is. Returns the state. Errors: as there.';

CREATE OR REPLACE FUNCTION cdp.suspend_connection(connection text, why text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_move(connection, 'suspended', why);
END
$$;
COMMENT ON FUNCTION cdp.suspend_connection(text, text) IS
'Stops a connection that is in shadow, live or degraded; nothing of it is pulled until cdp.resume_connection(). For whom cdp.start_shadow() is. Returns the state. Errors: as there; 55000 it does not run.';

CREATE OR REPLACE FUNCTION cdp.resume_connection(connection text, why text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_move(connection, 'resume', why);
END
$$;
COMMENT ON FUNCTION cdp.resume_connection(text, text) IS
'Takes a suspended connection back to shadow or live, where it was. When config, secrets or manifest were changed meanwhile it takes a test that passed after that; after a change of config or manifest it goes on in shadow. For whom cdp.start_shadow() is. Returns the state. Errors: as there; 55000 it is not suspended, or was changed and not tested.';

CREATE OR REPLACE FUNCTION cdp.retire_connection(connection text, why text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_move(connection, 'retired', why);
END
$$;
COMMENT ON FUNCTION cdp.retire_connection(text, text) IS
'Ends a connection for good: its secrets and tokens are deleted, what it brought and its log stay. There is no way back. For whom cdp.start_shadow() is. Returns the state. Errors: as there.';

CREATE OR REPLACE FUNCTION cdp_internal.secret_problem(connection_id integer, name text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.probe_secret(connection_id, name);
  RETURN NULL;
EXCEPTION WHEN object_not_in_prerequisite_state OR external_routine_invocation_exception OR config_file_error THEN
  RETURN SQLERRM; -- messages about secrets say where they are, never what they are
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_problem(integer, text) IS
'Why a secret of a connection can not be used now; NULL when it can. Error 42501: the caller may not use the connection.';

CREATE OR REPLACE FUNCTION cdp.connection_needs(connection text) RETURNS TABLE (kind text, name text, required boolean, is_set boolean, type text, description text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.* INTO c FROM cdp_data.connection x WHERE x.name = connection_needs.connection;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT x.name FROM cdp_data.connection x), 'SELECT connection FROM cdp_bi.connection_status; lists them.');
  END IF;
  RETURN QUERY
  SELECT n.kind, n.name, n.required, CASE n.kind WHEN 'config' THEN coalesce(c.config ->> n.name, '') <> ''
      ELSE EXISTS (SELECT FROM cdp_data.connection_secret s WHERE s.connection_id = c.connection_id AND s.name = n.name AND s.binding = cdp_internal.connection_binding(c.connection_id)) END, n.type, n.description
  FROM cdp_internal.connector_needs(c.connector) n ORDER BY n.kind, n.required DESC, n.name;
END
$$;
COMMENT ON FUNCTION cdp.connection_needs(text) IS
'What a connection has to be given by its connector''s manifest: kind (config: cdp.configure_connection(), secret: cdp.set_secret_from_file() and its sisters), name, whether it must be given and whether it is (a secret that was set for another server or authentication is not). Shows no value. Errors: 22023 unknown connection, 42501 without the part of admin, marketer or privacy, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.check_connection_setup(test_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  wrong text;
BEGIN
  SELECT x.* INTO c FROM cdp_data.connection x JOIN cdp_data.connection_test t ON t.connection_id = x.connection_id WHERE t.test_id = check_connection_setup.test_id;
  IF cdp_internal.connector_known(c.connector) THEN
    SELECT string_agg(format('%s: %s', p.path, p.problem), '; ') INTO wrong FROM cdp_data.connector_all a CROSS JOIN LATERAL cdp.connector_problems(a.manifest) p WHERE a.connector = c.connector;
  ELSE
    wrong := format('there is no connector %s any more', c.connector);
  END IF;
  PERFORM cdp_internal.record_connection_check(test_id, 'connector', CASE WHEN wrong IS NULL THEN 'ok' ELSE 'fail' END, coalesce(wrong, c.connector), 'Mend the manifest and cdp.add_connector() it again');
  SELECT string_agg(n.name, ', ') INTO wrong FROM cdp.connection_needs(c.name) n WHERE n.kind = 'config' AND n.required AND NOT n.is_set;
  PERFORM cdp_internal.record_connection_check(test_id, 'config', CASE WHEN wrong IS NULL THEN 'ok' ELSE 'fail' END, coalesce('missing: ' || wrong, ''), 'cdp.configure_connection()');
  SELECT string_agg(x.wrong, '; ') INTO wrong
  FROM (
    SELECT n.name || ' is missing' AS wrong FROM cdp.connection_needs(c.name) n WHERE n.kind = 'secret' AND n.required AND NOT n.is_set
    UNION ALL
    SELECT p.problem FROM cdp_data.connection_secret s CROSS JOIN LATERAL (SELECT cdp_internal.secret_problem(s.connection_id, s.name) AS problem OFFSET 0) p WHERE s.connection_id = c.connection_id AND p.problem IS NOT NULL) x;
  PERFORM cdp_internal.record_connection_check(test_id, 'secrets', CASE WHEN wrong IS NULL THEN 'ok' ELSE 'fail' END, coalesce(wrong, ''), 'cdp.set_secret_from_file() or cdp.set_secret_reference()');
END
$$;
COMMENT ON FUNCTION cdp_internal.check_connection_setup(bigint) IS
'Records the checks of an open test that need no network: connector (the manifest is known and without problems), config and secrets (what must be given is, and every secret opens). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_connections()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.connection_token') IS NULL OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'connection_' || c.state, format('connection %s is %s since %s: %s', quote_ident(c.name), c.state, c.state_at,
      (SELECT l.why FROM cdp_data.connection_state_log l WHERE l.connection_id = c.connection_id ORDER BY l.log_id DESC LIMIT 1)),
    CASE c.state WHEN 'suspended' THEN format('SELECT cdp.resume_connection(%L, ...); when it is mended', c.name) ELSE 'Look at its last runs; it mends by itself when they succeed' END
  FROM cdp_data.connection c WHERE c.state IN ('degraded', 'suspended') ORDER BY c.name;
  RETURN QUERY
  SELECT 'error', 'connection_owner', format('connection %s belongs to %s, who is no role, or another one than when it was given', quote_ident(c.name), quote_ident(c.owner)), format('SELECT cdp.configure_connection(%L, owner => ...);', c.name)
  FROM cdp_data.connection c WHERE c.state <> 'retired' AND to_regrole(quote_ident(c.owner))::oid IS DISTINCT FROM c.owner_oid ORDER BY c.name;
  IF has_column_privilege('cdp_data.connection_secret', 'name', 'SELECT') THEN
    RETURN QUERY
    SELECT 'error', 'secret_unusable', format('secret %s of connection %s: %s', s.name, quote_ident(c.name), p.problem), 'Set it anew with cdp.set_secret_from_file() or cdp.set_secret_reference()'
    FROM cdp_data.connection c JOIN cdp_data.connection_secret s ON s.connection_id = c.connection_id CROSS JOIN LATERAL (SELECT cdp_internal.secret_problem(c.connection_id, s.name) AS problem OFFSET 0) p
    WHERE cdp_internal.may_use_connection(c.owner, c.owner_oid, current_user) AND p.problem IS NOT NULL ORDER BY c.name, s.name;
  END IF;
  IF has_table_privilege('cdp_data.connection_secret', 'SELECT') AND cdp_internal.key_file_is_set() THEN
    BEGIN
      RETURN QUERY
      SELECT 'warning', 'rotation_due', format('%s secrets of connections are sealed with an older key than %s', count(*), k.newest), 'CALL cdp.rotate_keys(); outside a transaction block'
      FROM cdp_data.connection_secret s CROSS JOIN (SELECT max(i) AS newest FROM unnest(cdp_internal.key_ids()) i) k
      WHERE cdp_internal.envelope_key(s.envelope) <> k.newest GROUP BY k.newest;
    EXCEPTION WHEN config_file_error THEN
      RETURN; -- told by secret_unusable, and by cdp_internal.health_of_keys()
    END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_connections() IS
'Findings of cdp.health() about connections: suspended or degraded, owned by nobody, secrets that can not be used (of connections that the caller may use) or wait for a rotation.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_connection()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  WITH old AS (
    DELETE FROM cdp_data.connection_test t
    WHERE t.started_at < now() - interval '400 days' AND EXISTS (SELECT FROM cdp_data.connection_test x WHERE x.connection_id = t.connection_id AND x.test_id > t.test_id AND x.finished_at IS NOT NULL)
    RETURNING t.test_id
  ), gone AS (
    DELETE FROM cdp_data.connection_check k USING old o WHERE k.test_id = o.test_id
  )
  SELECT count(*) INTO n FROM old;
  DELETE FROM cdp_data.connection_quality q WHERE q.at < now() - interval '400 days' AND EXISTS (SELECT FROM cdp_data.connection_quality x WHERE x.connection_id = q.connection_id AND x.quality_id > q.quality_id);
  -- An app that nobody asked about for a day after its token ended is another one by now, or none.
  DELETE FROM cdp_data.connection_token t WHERE greatest(t.expires_at, t.failed_at, t.retry_at, t.fetched_at) < now() - interval '1 day';
  RAISE NOTICE 'maintain: % tests of connections older than 400 days', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_connection() IS
'Part of cdp.maintain(): tests of connections and figures of quality older than 400 days, but the last of each connection; tokens that ended a day ago.';
