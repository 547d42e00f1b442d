-- Connector room, connections: what one call of a connection needs to know. See src/connector/sync/call.c.

CREATE OR REPLACE FUNCTION cdp_internal.call_stamp(connection_id integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT concat_ws(' ', c.revision, coalesce((SELECT 'own ' || k.xmin::text FROM cdp_data.connector k WHERE k.connector = c.connector), 'release ' || (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cdp')))
    FROM cdp_data.connection c WHERE c.connection_id = call_stamp.connection_id AND c.state <> 'retired');
END
$$;
COMMENT ON FUNCTION cdp_internal.call_stamp(integer) IS
'A text that changes whenever config, secrets or manifest of a connection do, made of their versions only: 50 times quicker than cdp_internal.connection_binding(), which tells whether they mean the same. NULL: retired, or no such connection. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.call_open(connection_id integer)
RETURNS TABLE (name text, state text, manifest jsonb, config jsonb, token_request jsonb, revision integer, binding text, allow_http boolean, hosts text[], secrets text[], stamp text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
  m jsonb;
  auth text;
BEGIN
  SELECT x.* INTO c FROM cdp_data.connection x WHERE x.connection_id = call_open.connection_id;
  IF c.connection_id IS NULL OR c.state = 'retired' THEN
    RAISE EXCEPTION 'connection % is retired, or there is none', connection_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT connection_id, state FROM cdp_data.connection; lists them.';
  END IF;
  m := cdp_internal.connector_manifest(c.connector);
  IF m IS NULL THEN
    RAISE EXCEPTION 'there is no connector "%" any more', c.connector USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp.add_connector() adds it again.';
  END IF;
  auth := coalesce(m -> 'auth', 'null')::text;
  RETURN QUERY
  SELECT c.name::text, c.state::text, m, c.config, cdp_internal.connector_auth_request(m, jsonb_build_object('config', c.config)), c.revision, cdp_internal.connection_binding(c.connection_id), c.allow_http,
    -- Hosts need no setting only where the release itself names them; a copy of a manifest is the user's word.
    coalesce((SELECT cdp_internal.connector_hosts(b.manifest) FROM cdp.connector_builtin() b WHERE b.connector = c.connector AND NOT b.is_example AND b.manifest = m), '{}'),
    ARRAY(
      SELECT k.key FROM jsonb_each(m -> 'secrets') k
      WHERE auth ~ ('[$][{]?secret[.]' || k.key || '([^a-z0-9_]|$)')
        AND ((k.value ->> 'required')::boolean OR EXISTS (SELECT FROM cdp_data.connection_secret s WHERE s.connection_id = c.connection_id AND s.name = k.key))
      ORDER BY k.key COLLATE "C"), cdp_internal.call_stamp(c.connection_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.call_open(integer) IS
'What calls of a connection are made with, for src/connector/sync/call.c: name, state, manifest, config, the request for a token (NULL: auth takes none), revision and binding of now, allow_http, hosts that need no setting (those of its built-in manifest), the names of the secrets in auth that must be set or are, and cdp_internal.call_stamp(). Shows no secret. Needs the rights of the tables'' owner. Errors: 55000 retired, no such connection or connector, 22023 config lacks what auth needs.';

CREATE OR REPLACE FUNCTION cdp_internal.call_request(manifest jsonb, config jsonb, stream text, state jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.connector_request(manifest, stream, state || jsonb_build_object('config', config));
END
$$;
COMMENT ON FUNCTION cdp_internal.call_request(jsonb, jsonb, text, jsonb) IS
'cdp_internal.connector_request() of a stream in a state with this config, for src/connector/sync. NULL for NULL. Errors: as there.';

CREATE OR REPLACE FUNCTION cdp_internal.call_verdict(manifest jsonb, stream text, status integer, headers jsonb, body bytea, as_of timestamptz, OUT verb text, OUT code text, OUT note text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT v.verb, v.code, v.note INTO verb, code, note
  FROM (SELECT d.doc FROM cdp_internal.connector_decode(call_verdict.manifest, call_verdict.stream, call_verdict.body) d) b
    CROSS JOIN LATERAL cdp_internal.connector_verdict(call_verdict.manifest, call_verdict.stream, call_verdict.status, call_verdict.headers, b.doc, call_verdict.as_of) v;
END
$$;
COMMENT ON FUNCTION cdp_internal.call_verdict(jsonb, text, integer, jsonb, bytea, timestamptz) IS
'What the manifest says about an answer as it came: verb, code and note of cdp_internal.connector_verdict(). body NULL: none could be read. Errors: 22023 bad manifest, unknown stream.';

CREATE OR REPLACE PROCEDURE cdp_internal.call_stream(connection text, stream text, state jsonb DEFAULT '{}', times integer DEFAULT 1,
  INOUT outcome text DEFAULT NULL, INOUT detail text DEFAULT NULL, INOUT status integer DEFAULT NULL, INOUT response_headers jsonb DEFAULT NULL, INOUT response_body bytea DEFAULT NULL, INOUT figures jsonb DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'cdp_call_stream';
COMMENT ON PROCEDURE cdp_internal.call_stream(text, text, jsonb, integer, text, text, integer, jsonb, bytea, jsonb) IS
'Calls a stream of a connection, with its token and secrets, times times over the same session, and hands out the last answer; nothing is landed. state is that of cdp_internal.connector_request() without config. A token that the other system does not take is replaced once for each call. outcome: as of cdp_internal.fetch(), or token_refused (somebody has to look at the credentials), token_unavailable; detail tells why, nothing secret. Token and secrets are overwritten with stars (a number with ones) where the answer echoes them. figures: calls and token_calls sent, blanked (places in bodies), total_ms of the last one, retry_s (seconds until a token may be asked for again). Commits first and refuses to run in a transaction block (2D000). For members of the connection''s owner with EXECUTE, and the owner of the tables. Errors: 22023 unknown connection or stream, a state that lacks something; 42501 no member; 55000 retired, secrets missing, or changed meanwhile; 57014 cancelled.';
REVOKE ALL ON PROCEDURE cdp_internal.call_stream(text, text, jsonb, integer, text, text, integer, jsonb, bytea, jsonb) FROM PUBLIC;

CREATE OR REPLACE FUNCTION cdp_internal.known_inject(request jsonb, secrets jsonb, at timestamptz, nonce bytea) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_known_inject';
COMMENT ON FUNCTION cdp_internal.known_inject(jsonb, jsonb, timestamptz, bytea) IS
'For tests: a request of cdp_internal.connector_request() or connector_auth_request() as it would go out with these secrets ({"token": ..., "secret.name": ...}), at this time with this nonce (16 bytes); names of secret headers end with a star. app: of a request for a token, what tells its app from another; secrets: what is looked for in the answer. NULL for NULL. Error 22023: no objects, or another length of the nonce.';

CREATE OR REPLACE FUNCTION cdp_internal.known_blank(INOUT body bytea, IN secrets text[], OUT found bigint)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_known_blank';
COMMENT ON FUNCTION cdp_internal.known_blank(bytea, text[]) IS
'For tests: a body as it is after secrets were overwritten in it, and how many places that were. NULL for NULL. Error 22004: NULL among the secrets.';

CREATE OR REPLACE FUNCTION cdp_internal.known_json_secret(body bytea, path text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_known_json_secret';
COMMENT ON FUNCTION cdp_internal.known_json_secret(bytea, text) IS
'For tests: the text at a path of a body of JSON, read from its bytes without parsing the rest, as tokens are; NULL when there is none, or no text, or an empty one. NULL for NULL. Error 22023: no path.';
