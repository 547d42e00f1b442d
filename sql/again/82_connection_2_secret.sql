-- Connector room, connections: secrets. They go in and never come out: no function returns one. See src/connector/connection/secret.c.

CREATE OR REPLACE FUNCTION cdp.set_secret(connection text, name text, value text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_set_secret';
COMMENT ON FUNCTION cdp.set_secret(text, text, text) IS
'Seals a secret of a connection with the newest key of the key file, or replaces the one of that name; no function returns it. SQL text reaches logs: give the value as a parameter (\bind) where log_parameter_max_length is 0, or use cdp.set_secret_from_file() or cdp.set_secret_reference(). A value in the text of the statement, or in parameters that are logged, is answered with a warning, taken out of pg_stat_activity, and not shown by errors of this function; a log written before is not mended. Checks made before count no more; a tested connection goes back to draft. For members of the connection''s owner and the owner of the tables. Errors: 22004 NULL, 22023 unknown connection, a name that the connector''s manifest does not know, or not 1 to 65536 bytes; 42501 no member; 55000 retired or no key file; F0000 the key file can not be used.';

CREATE OR REPLACE FUNCTION cdp.set_secret_from_file(connection text, name text, path text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_set_secret_from_file';
COMMENT ON FUNCTION cdp.set_secret_from_file(text, text, text) IS
'cdp.set_secret() with what is in a file of the server now, without the end of line at its end; the file is needed no more. For superusers and members of pg_read_server_files who may use the connection. Errors: as there; 42501 without that right; F0000 the file can not be read, stands in the data directory, is open to every user of the machine, is no text, or has not 1 to 65536 bytes.';

CREATE OR REPLACE FUNCTION cdp.set_secret_reference(connection text, name text, reference text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_set_secret_reference';
COMMENT ON FUNCTION cdp.set_secret_reference(text, text, text) IS
'Says where the server finds a secret of a connection whenever it is needed: file:/path (systemd credentials, Kubernetes) or env:NAME (the server''s environment at its start). The database then holds no secret, only the reference, sealed. It must lead somewhere now. A server that starts with log_min_messages at debug3 or below writes its whole environment to its log: prefer files there. For superusers and members of pg_read_server_files who may use the connection. Errors: as cdp.set_secret_from_file(); 22023 no such kind of reference; 55000 no such environment variable.';

CREATE OR REPLACE FUNCTION cdp_internal.secret_put(connection_id integer, name text, kind text, envelope text, reference text, binding text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  connector text := (SELECT c.connector FROM cdp_data.connection c WHERE c.connection_id = secret_put.connection_id);
  known text[] := ARRAY(SELECT n.name FROM cdp_internal.connector_needs(connector) n WHERE n.kind = 'secret');
BEGIN
  PERFORM cdp_internal.hold_connection(connection_id);
  IF name <> ALL (known) THEN
    RAISE EXCEPTION 'connector % has no secret "%"', connector, name
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, known, format('It has: %s.', coalesce(nullif(array_to_string(known, ', '), ''), 'none')));
  END IF;
  INSERT INTO cdp_data.connection_secret AS s (connection_id, name, kind, envelope, reference, binding, set_by)
  VALUES (secret_put.connection_id, secret_put.name, secret_put.kind, secret_put.envelope, secret_put.reference, secret_put.binding, session_user)
  ON CONFLICT ON CONSTRAINT connection_secret_pkey DO UPDATE
  SET kind = excluded.kind, envelope = excluded.envelope, reference = excluded.reference, binding = excluded.binding, set_at = excluded.set_at, set_by = excluded.set_by;
  PERFORM cdp_internal.connection_changed(secret_put.connection_id, format('secret %s was set', secret_put.name));
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_put(integer, text, text, text, text, text) IS
'Stores a sealed secret, for src/connector/connection/secret.c, which has asked who may. Needs the rights of the tables'' owner. An envelope made otherwise does not open. Error 22023: the connector''s manifest knows no such secret.';

CREATE OR REPLACE FUNCTION cdp_internal.secret_renew(connection_id integer, name text, envelope text, binding text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Not connection_changed(): the account and what may be done there are the same, only the word for it is another.
  UPDATE cdp_data.connection_secret s SET envelope = secret_renew.envelope, set_at = clock_timestamp()
  WHERE s.connection_id = secret_renew.connection_id AND s.name = secret_renew.name AND s.kind = 'sealed' AND s.binding = secret_renew.binding;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_renew(integer, text, text, text) IS
'Stores a secret that the other system itself has exchanged for another (a refresh token, RFC 6749, 6), for src/connector/connection/secret.c; tests and runs of the connection go on to count. False when there is no sealed secret of that name and binding any more. Needs the rights of the tables'' owner. An envelope made otherwise does not open.';

CREATE OR REPLACE FUNCTION cdp_internal.secret_for(connection_id integer, name text, who text) RETURNS TABLE (kind text, envelope text, binding text, serves boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.name, x.owner, x.owner_oid INTO c FROM cdp_data.connection x WHERE x.connection_id = secret_for.connection_id;
  IF NOT FOUND OR cdp_internal.may_use_connection(c.owner, c.owner_oid, who) IS NOT TRUE THEN
    RAISE EXCEPTION 'permission denied to use connection %', connection_id USING ERRCODE = 'insufficient_privilege', HINT = 'It takes membership in its owner.';
  END IF;
  RETURN QUERY SELECT s.kind, s.envelope, s.binding, s.binding IS NOT DISTINCT FROM cdp_internal.connection_binding(s.connection_id) FROM cdp_data.connection_secret s WHERE s.connection_id = secret_for.connection_id AND s.name = secret_for.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_for(integer, text, text) IS
'The sealed secret of a connection, for src/connector/connection/secret.c, when the role named who may use the connection; no row when there is none; serves: server and authentication are still those that it was set for. Needs the rights of the tables'' owner. Error 42501: it may not, or there is no such connection.';

CREATE OR REPLACE FUNCTION cdp_internal.secret_drop_in(connection_id integer, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.hold_connection(connection_id);
  DELETE FROM cdp_data.connection_secret s WHERE s.connection_id = secret_drop_in.connection_id AND s.name = secret_drop_in.name;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM cdp_internal.connection_changed(secret_drop_in.connection_id, format('secret %s was dropped', secret_drop_in.name));
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_drop_in(integer, text) IS
'What cdp.drop_secret() does, for cdp_data.secret_drop(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.drop_secret(connection text, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.secret_drop(connection, name);
END
$$;
COMMENT ON FUNCTION cdp.drop_secret(text, text) IS
'Deletes a secret of a connection; false when it has none of that name. Old rows stay in the files until VACUUM, and in backups, sealed. For members of the connection''s owner with the part of admin or marketer, and the owner of the tables. Errors: 22023 unknown connection, 42501 no member, 55000 retired.';

CREATE OR REPLACE FUNCTION cdp_internal.probe_secret(connection_id integer, name text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_probe_secret';
COMMENT ON FUNCTION cdp_internal.probe_secret(integer, text) IS
'Opens a secret and wipes it again: nothing, or the error for which it can not be used. Errors: 42501 the caller may not use the connection, 55000 no such secret, key or environment variable, or server or authentication are others than when it was set, 39000 the envelope was changed or made for another connection, F0000 the file can not be used. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.reseal_secret(connection_id integer, name text, kind text, binding text, envelope text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_reseal_secret';
COMMENT ON FUNCTION cdp_internal.reseal_secret(integer, text, text, text, text) IS
'The same secret, sealed with the newest key; NULL when the envelope does not open, and for NULL. Errors: 42501 without the rights to digest and decrypt, 55000 no key file or no such key.';

CREATE OR REPLACE FUNCTION cdp_internal.rotate_room_connector(key_id integer, OUT changed bigint, OUT unopened bigint, OUT held bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  WITH picked AS MATERIALIZED (
    SELECT s.connection_id, s.name, s.envelope AS old, cdp_internal.reseal_secret(s.connection_id, s.name, s.kind, s.binding, s.envelope) AS fresh
    FROM cdp_data.connection_secret s WHERE cdp_internal.envelope_key(s.envelope) <> rotate_room_connector.key_id FOR UPDATE SKIP LOCKED
  )
  UPDATE cdp_data.connection_secret s SET envelope = p.fresh FROM picked p
  WHERE (s.connection_id, s.name, s.envelope) = (p.connection_id, p.name, p.old) AND p.fresh IS NOT NULL;
  GET DIAGNOSTICS changed = ROW_COUNT;
  -- Apps are found by a digest of the newest key; their tokens are fetched again.
  DELETE FROM cdp_data.connection_token t WHERE get_byte(t.app, 0) * 256 + get_byte(t.app, 1) <> rotate_room_connector.key_id;
  SELECT count(*) FILTER (WHERE x.fresh IS NULL), count(x.fresh) INTO unopened, held
  FROM (
    SELECT cdp_internal.reseal_secret(s.connection_id, s.name, s.kind, s.binding, s.envelope) AS fresh
    FROM cdp_data.connection_secret s WHERE cdp_internal.envelope_key(s.envelope) IS DISTINCT FROM rotate_room_connector.key_id) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.rotate_room_connector(integer) IS
'Part of cdp.rotate_keys(): seals secrets of connections anew with this key, the newest. unopened: those that do not open and were left; held: those that others worked on. Error 55000: a key is missing.';
