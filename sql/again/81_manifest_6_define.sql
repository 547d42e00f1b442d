-- Connector room: the built-in manifests as a list, and your own.
CREATE OR REPLACE FUNCTION cdp.connector_builtin()
RETURNS TABLE (connector text, version integer, title text, is_example boolean, manifest jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
  SELECT b.manifest ->> 'connector', (b.manifest ->> 'version')::integer, b.manifest ->> 'title', coalesce((b.manifest ->> 'example')::boolean, false), b.manifest
  FROM (
    SELECT v.manifest FROM (VALUES (cdp_internal.connector_wecom()), (cdp_internal.connector_wechat_oa()), (cdp_internal.connector_mini_program()),
      (cdp_internal.connector_wechat_channels()), (cdp_internal.connector_channels_shop()), (cdp_internal.connector_rest_json()), (cdp_internal.connector_csv_http()), (cdp_internal.connector_webhook())) AS v (manifest)
    UNION ALL SELECT e.manifest FROM cdp_internal.connector_examples() AS e (manifest)
  ) b;
END;
COMMENT ON FUNCTION cdp.connector_builtin() IS
'Built-in connectors: name, version of the manifest, title, whether it is an example that was never run against the product, and the manifest. With your own: cdp_data.connector_all.';

CREATE OR REPLACE FUNCTION cdp.add_connector(manifest jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong record;
  n bigint;
  name text := manifest ->> 'connector';
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT p.path, p.code, p.problem, p.hint INTO wrong FROM cdp.connector_problems(add_connector.manifest) p LIMIT 1;
  IF wrong.path IS NOT NULL THEN
    n := (SELECT count(*) FROM cdp.connector_problems(add_connector.manifest));
    RAISE EXCEPTION 'the manifest of the connector is not valid'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s problems; the first is at "%s": %s (%s).', n, wrong.path, wrong.problem, wrong.code),
        HINT = coalesce(wrong.hint || ' ', '') || 'SELECT * FROM cdp.connector_problems(manifest) tells them all.';
  END IF;
  IF EXISTS (SELECT FROM cdp.connector_builtin() b WHERE b.connector = name) THEN
    RAISE EXCEPTION 'there is a built-in connector "%"', name
      USING ERRCODE = 'duplicate_object', HINT = 'Give yours another name: {"connector": "my_...", ...}.';
  END IF;
  INSERT INTO cdp_data.connector AS c (connector, manifest) VALUES (name, add_connector.manifest)
  ON CONFLICT ON CONSTRAINT connector_pkey DO UPDATE SET manifest = excluded.manifest, changed_at = now(), changed_by = session_user
  WHERE c.manifest <> excluded.manifest;
  RETURN name;
END
$$;
COMMENT ON FUNCTION cdp.add_connector(jsonb) IS
'Makes a connector of your own from its manifest, or gives the one of that name a new manifest; returns the name. Connections that use it read the new manifest at their next pull. Errors: 22023 what cdp.connector_problems() tells, 42710 the name of a built-in connector, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.connector_manifest(connector text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT a.manifest FROM cdp_data.connector_all a WHERE a.connector = connector_manifest.connector);
END
$$;
COMMENT ON FUNCTION cdp_internal.connector_manifest(text) IS
'The manifest of a connector, built-in or own; NULL when there is none, or for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_known(connector text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.connector_manifest(connector) IS NOT NULL;
COMMENT ON FUNCTION cdp_internal.connector_known(text) IS
'Whether there is a connector of that name, built-in or own; false for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_needs(connector text)
RETURNS TABLE (kind text, name text, type text, required boolean, description text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
  SELECT v.kind, e.key, coalesce(e.value ->> 'type', 'text'), coalesce((e.value ->> 'required')::boolean, false), e.value ->> 'description'
  FROM cdp_internal.connector_manifest(connector_needs.connector) AS m (manifest)
  CROSS JOIN LATERAL (VALUES ('config', m.manifest -> 'config'), ('secret', m.manifest -> 'secrets')) AS v (kind, entries)
  CROSS JOIN LATERAL jsonb_each(coalesce(v.entries, '{}')) AS e
  ORDER BY v.kind, e.key COLLATE "C";
END;
COMMENT ON FUNCTION cdp_internal.connector_needs(text) IS
'What a connection of a connector has to be given: kind (config or secret), name, type (text, integer, boolean, list, url, day; secrets are text), whether it is required, and what it is. No row for an unknown connector.';
