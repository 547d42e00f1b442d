-- Connector room, connections: making and changing them, and who may use one.

CREATE OR REPLACE FUNCTION cdp_internal.may_use_connection(owner text, owner_oid oid, who text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  tables_owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass('cdp_data.connection'));
BEGIN
  RETURN pg_has_role(who::name, tables_owner, 'USAGE')
    -- A role that is gone owns nothing, and another one that was given its name does not, either.
    OR to_regrole(quote_ident(owner))::oid IS NOT DISTINCT FROM owner_oid AND pg_has_role(who::name, owner::name, 'USAGE');
END
$$;
COMMENT ON FUNCTION cdp_internal.may_use_connection(text, oid, text) IS
'Whether the role named who may use a connection of this owner: it has the rights of the owner, or of the owner of the tables. False when the owner is no role any more, or a role of that name and another number. Error 42704: who is no role.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_for(connection text, who text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT x.connection_id, x.owner, x.owner_oid, x.state INTO c FROM cdp_data.connection x WHERE x.name = connection_for.connection;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT x.name FROM cdp_data.connection x WHERE cdp_internal.may_use_connection(x.owner, x.owner_oid, who)), 'cdp.create_connection() makes one.');
  ELSIF cdp_internal.may_use_connection(c.owner, c.owner_oid, who) IS NOT TRUE THEN
    RAISE EXCEPTION 'permission denied to use connection "%"', connection
      USING ERRCODE = 'insufficient_privilege', HINT = format('It takes membership in %s, who owns it.', quote_ident(c.owner));
  ELSIF c.state = 'retired' THEN
    RAISE EXCEPTION 'connection "%" is retired', connection
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nothing of it can be changed any more: make a new one with cdp.create_connection().';
  END IF;
  RETURN c.connection_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_for(text, text) IS
'Number of the connection of that name, when the role named who may use it. For who reads cdp_data.connection. Errors: 22023 unknown, with the nearest name; 42501 it may not use it; 55000 it is retired.';

CREATE OR REPLACE FUNCTION cdp_internal.require_owner_role(owner text, who text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regrole(quote_ident(owner)) IS NULL THEN
    RAISE EXCEPTION 'role "%" does not exist', left(owner, 63)
      USING ERRCODE = 'undefined_object', HINT = 'The owner of a connection is a role; its members may use it. pg_cdp creates no roles.';
  ELSIF cdp_internal.may_use_connection(owner, to_regrole(quote_ident(owner)), who) IS NOT TRUE THEN
    RAISE EXCEPTION 'permission denied to give a connection to role "%"', owner
      USING ERRCODE = 'insufficient_privilege', HINT = format('It takes membership in %s.', quote_ident(owner));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_owner_role(text, text) IS
'Error 42704 when the owner is no role, 42501 when the role named who has not its rights, nor those of the owner of the tables.';

CREATE OR REPLACE FUNCTION cdp_internal.require_connection_config(connector text, config jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := ARRAY(SELECT n.name FROM cdp_internal.connector_needs(connector) n WHERE n.kind = 'config');
  secrets text[] := ARRAY(SELECT n.name FROM cdp_internal.connector_needs(connector) n WHERE n.kind = 'secret');
  bad text;
BEGIN
  IF jsonb_typeof(config) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'config must be a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"corpid": "ww1234"}; secrets do not belong there, see cdp.set_secret_from_file().';
  END IF;
  SELECT k INTO bad FROM jsonb_object_keys(config) k WHERE k <> ALL (known) ORDER BY k LIMIT 1;
  IF bad = ANY (secrets) THEN
    RAISE EXCEPTION '"%" is a secret of connector %, not a part of config', bad, connector
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give it with cdp.set_secret_from_file() or cdp.set_secret_reference(). If it was typed here, change it where it came from: SQL text reaches logs.';
  ELSIF bad IS NOT NULL THEN
    RAISE EXCEPTION 'connector % has no config "%"', connector, left(bad, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(bad, known, format('It has: %s.', coalesce(nullif(array_to_string(known, ', '), ''), 'none')));
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_connection_config(text, jsonb) IS
'Error 22023 when config is no JSON object, or has a key that the connector''s manifest does not know, or one of its secrets. Values are never shown.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_create_in(who text, name text, connector text, config jsonb, source text, owner text, allow_http boolean, min_quality numeric) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.require_text('name of a connection', name, 200);
  IF cdp_internal.connector_known(connector) IS NOT TRUE THEN
    RAISE EXCEPTION 'unknown connector "%"', left(connector, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp_data.connector_all; lists them, cdp.add_connector() adds one of your own.';
  ELSIF min_quality IS NULL OR min_quality NOT BETWEEN 0 AND 1 THEN
    RAISE EXCEPTION 'min_quality must be from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(min_quality::text, 'NULL'));
  END IF;
  PERFORM cdp_internal.require_connection_config(connector, config);
  owner := coalesce(owner, who);
  PERFORM cdp_internal.require_owner_role(owner, who);
  INSERT INTO cdp_data.connection AS c (name, connector, source_id, config, owner, owner_oid, allow_http, min_quality)
  VALUES (connection_create_in.name, connection_create_in.connector, cdp_internal.source_of(connection_create_in.source), connection_create_in.config, connection_create_in.owner, to_regrole(quote_ident(connection_create_in.owner)),
    coalesce(connection_create_in.allow_http, false), connection_create_in.min_quality)
  ON CONFLICT ON CONSTRAINT connection_name_key DO NOTHING RETURNING c.connection_id INTO id;
  IF id IS NULL THEN
    RAISE EXCEPTION 'connection "%" is there already', name USING ERRCODE = 'unique_violation', HINT = 'Change it with cdp.configure_connection(), or choose another name.';
  END IF;
  PERFORM cdp_internal.log_connection_state(id, NULL, 'draft', 'made');
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_create_in(text, text, text, jsonb, text, text, boolean, numeric) IS
'What cdp.create_connection() does, for cdp_data.connection_create(); who is the role that asks. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.create_connection(
  name text, connector text, config jsonb DEFAULT '{}', source text DEFAULT NULL, owner text DEFAULT NULL, allow_http boolean DEFAULT false, min_quality numeric DEFAULT 0.9) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.connection_create(name, connector, config, coalesce(source, name), owner, allow_http, min_quality);
END
$$;
COMMENT ON FUNCTION cdp.create_connection(text, text, jsonb, text, text, boolean, numeric) IS
'Makes a connection in state draft: an account at another system from which data are pulled as the connector''s manifest says. config holds what is not secret; source is the name of an existing source (NULL: the one with the connection''s name) that everything pulled names; owner the role whose members may use it (NULL: who asks). allow_http lets it talk without TLS to servers that the superuser named so. min_quality (0 to 1) is what a shadow run must reach. For the part of admin and the owner of the tables. Returns connection_id. Errors: 22023 unknown connector or source, config no object or with a key that the manifest does not know, min_quality out of range; 42704 owner is no role; 42501 without the part, or the caller is no member of owner; 23505 the name is taken; 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.connection_configure_in(who text, connection text, config jsonb, owner text, allow_http boolean, min_quality numeric) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer := cdp_internal.connection_for(connection, who);
  old cdp_data.connection;
  is_other boolean;
BEGIN
  PERFORM cdp_internal.hold_connection(id);
  SELECT * INTO old FROM cdp_data.connection c WHERE c.connection_id = id;
  is_other := coalesce(config <> old.config, false) OR coalesce(allow_http <> old.allow_http, false);
  IF config IS NOT NULL THEN
    PERFORM cdp_internal.require_connection_config(old.connector, config);
  END IF;
  IF min_quality NOT BETWEEN 0 AND 1 THEN
    RAISE EXCEPTION 'min_quality must be from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', min_quality);
  ELSIF min_quality < old.min_quality AND NOT has_function_privilege(who::name, 'cdp_data.connection_create(text,text,jsonb,text,text,boolean,numeric)', 'EXECUTE') THEN
    RAISE EXCEPTION 'permission denied to lower min_quality'
      USING ERRCODE = 'insufficient_privilege', DETAIL = format('It is %s.', old.min_quality), HINT = 'It takes the part of admin: who is stopped by a gate does not open it.';
  ELSIF is_other AND old.state IN ('shadow', 'live', 'degraded') THEN
    RAISE EXCEPTION 'connection "%" is %: how it talks does not change while it runs', connection, old.state
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT cdp.suspend_connection(...) first.';
  END IF;
  IF owner IS NOT NULL THEN
    PERFORM cdp_internal.require_owner_role(owner, who);
  END IF;
  UPDATE cdp_data.connection c
  SET config = coalesce(connection_configure_in.config, old.config), owner = coalesce(connection_configure_in.owner, old.owner),
    owner_oid = CASE WHEN connection_configure_in.owner IS NULL THEN old.owner_oid ELSE to_regrole(quote_ident(connection_configure_in.owner))::oid END,
    allow_http = coalesce(connection_configure_in.allow_http, old.allow_http), min_quality = coalesce(connection_configure_in.min_quality, old.min_quality)
  WHERE c.connection_id = id;
  IF is_other THEN
    UPDATE cdp_data.connection c SET config_revision = c.revision + 1 WHERE c.connection_id = id;
    PERFORM cdp_internal.connection_changed(id, 'config was changed');
  END IF;
  IF min_quality <> old.min_quality THEN
    PERFORM cdp_internal.log_connection_state(id, c.state, c.state, format('min_quality was %s and is %s', old.min_quality, c.min_quality)) FROM cdp_data.connection c WHERE c.connection_id = id;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_configure_in(text, text, jsonb, text, boolean, numeric) IS
'What cdp.configure_connection() does, for cdp_data.connection_configure(); who is the role that asks. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.configure_connection(connection text, config jsonb DEFAULT NULL, owner text DEFAULT NULL, allow_http boolean DEFAULT NULL, min_quality numeric DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_data.connection_configure(connection, config, owner, allow_http, min_quality);
END
$$;
COMMENT ON FUNCTION cdp.configure_connection(text, jsonb, text, boolean, numeric) IS
'Changes a connection; NULL keeps what is there. Another config (the whole object) or allow_http takes a connection that was tested back to draft, because its checks count no more, and is refused while it is in shadow, live or degraded; where it changes the server or the authentication, its secrets must be set again. Lowering min_quality takes the part of admin. For members of its owner with the part of admin or marketer, and the owner of the tables. Errors: 22023 unknown connection or bad value, 42501 no member of the owner now or of the new one, 42704 owner is no role, 55000 it runs, or is retired.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_connection(connection_id integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.name, x.state INTO c FROM cdp_data.connection x WHERE x.connection_id = hold_connection.connection_id FOR UPDATE;
  IF c.state IS NOT DISTINCT FROM 'retired' THEN
    RAISE EXCEPTION 'connection "%" is retired', c.name
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nothing of it can be changed any more: make a new one with cdp.create_connection().';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_connection(integer) IS
'Locks a connection to the end of the transaction, before anything of it is changed: who retires it meanwhile is waited for. Error 55000: it is retired.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_binding(connection_id integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  m jsonb;
  said text;
BEGIN
  SELECT x.connector, x.config, x.allow_http INTO c FROM cdp_data.connection x WHERE x.connection_id = connection_binding.connection_id;
  m := cdp_internal.connector_manifest(c.connector);
  said := coalesce(m ->> 'base_url', '') || coalesce(m -> 'auth', 'null')::text;
  RETURN encode(sha256(convert_to(jsonb_build_object('connector', c.connector, 'http', c.allow_http, 'base_url', m -> 'base_url', 'auth', m -> 'auth', 'secrets', m -> 'secrets',
    -- Of config what the server and the authentication are made of; other values may change.
    'config', (SELECT jsonb_object_agg(d.key, jsonb_build_array(d.value -> 'default', c.config -> d.key)) FROM jsonb_each(m -> 'config') d
      WHERE strpos(said, '$config.' || d.key) > 0 OR strpos(said, '${config.' || d.key) > 0))::text, 'UTF8')), 'hex');
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_binding(integer) IS
'Digest (SHA-256, hex) of what a connection''s manifest means now for where secrets go and how: base_url, auth, secrets, the values of config in them, allow_http. Secrets, tests and runs count only while it is the one they had. NULL without such a connector or connection.';

CREATE OR REPLACE FUNCTION cdp_internal.log_connection_state(connection_id integer, from_state text, to_state text, why text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.connection_state_log (connection_id, source_id, from_state, to_state, why, actor, role)
  SELECT c.connection_id, c.source_id, log_connection_state.from_state, log_connection_state.to_state, left(log_connection_state.why, 1000), session_user, cdp_data.caller()
  FROM cdp_data.connection c WHERE c.connection_id = log_connection_state.connection_id;
  PERFORM cdp_data.audit_write('connection', format('connection %s', connection_id), NULL,
    jsonb_build_object('from', from_state, 'to', to_state, 'why', left(why, 200)));
END
$$;
COMMENT ON FUNCTION cdp_internal.log_connection_state(integer, text, text, text) IS
'Writes a change of state to cdp_data.connection_state_log and to the audit. why is a word or sentence without personal data and without secrets.';

CREATE OR REPLACE FUNCTION cdp_internal.connection_changed(connection_id integer, why text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before text := (SELECT c.state FROM cdp_data.connection c WHERE c.connection_id = connection_changed.connection_id FOR UPDATE);
BEGIN
  UPDATE cdp_data.connection c
  SET changed_at = clock_timestamp(), revision = c.revision + 1, state = CASE c.state WHEN 'tested' THEN 'draft' ELSE c.state END, state_at = CASE c.state WHEN 'tested' THEN clock_timestamp() ELSE c.state_at END
  WHERE c.connection_id = connection_changed.connection_id;
  -- Another secret is another app; a token of the old one serves nobody.
  DELETE FROM cdp_data.connection_token t WHERE t.connection_id = connection_changed.connection_id;
  IF before = 'tested' THEN
    PERFORM cdp_internal.log_connection_state(connection_id, before, 'draft', why);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.connection_changed(integer, text) IS
'Notes that what a connection talks with has changed: a new revision, so that checks and runs of the one before count no more, and from tested it goes back to draft.';
