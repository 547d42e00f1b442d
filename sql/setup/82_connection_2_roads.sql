-- Connector room, connections: the roads by which roles that are not the tables' owner make and change them. Each asks first
-- whether the caller may use the connection; a role becomes one of its users by membership in the connection's owner.

-- step: again: connection roads
CREATE OR REPLACE FUNCTION cdp_data.connection_create(name text, connector text, config jsonb, source text, owner text, allow_http boolean, min_quality numeric) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_data.require_source(connection_create.source);
  RETURN cdp_internal.connection_create_in(cdp_data.caller(), connection_create.name, connection_create.connector, connection_create.config, connection_create.source,
    connection_create.owner, connection_create.allow_http, connection_create.min_quality);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.connection_create(text, text, jsonb, text, text, boolean, numeric) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.connection_create(text, text, jsonb, text, text, boolean, numeric) IS 'cdp.create_connection() with the rights of the tables'' owner. Definer: who connects accounts writes no table.';
CREATE OR REPLACE FUNCTION cdp_data.connection_configure(connection text, config jsonb, owner text, allow_http boolean, min_quality numeric) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.connection_configure_in(cdp_data.caller(), connection_configure.connection, connection_configure.config, connection_configure.owner,
    connection_configure.allow_http, connection_configure.min_quality);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.connection_configure(text, jsonb, text, boolean, numeric) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.connection_configure(text, jsonb, text, boolean, numeric) IS 'cdp.configure_connection() with the rights of the tables'' owner, for roles that may use the connection. Definer: as cdp_data.connection_create().';
CREATE OR REPLACE FUNCTION cdp_data.secret_drop(connection text, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.secret_drop_in(cdp_internal.connection_for(secret_drop.connection, cdp_data.caller()), secret_drop.name);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.secret_drop(text, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.secret_drop(text, text) IS 'cdp.drop_secret() with the rights of the tables'' owner, for roles that may use the connection. Definer: as cdp_data.connection_create().';
CREATE OR REPLACE FUNCTION cdp_data.connection_move(connection text, verb text, why text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.connection_verb(cdp_internal.connection_for(connection_move.connection, cdp_data.caller()), connection_move.verb, connection_move.why);
END
$$;
REVOKE ALL ON FUNCTION cdp_data.connection_move(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION cdp_data.connection_move(text, text, text) IS 'cdp.start_shadow(), go_live(), suspend_connection(), resume_connection() and retire_connection(), by verb, with the rights of the tables'' owner, for roles that may use the connection. Definer: as cdp_data.connection_create().';

-- step: again: connection road grants
SELECT cdp_internal.declare_grant('admin', 'EXECUTE', 'FUNCTION', 'cdp_data.connection_create(text,text,jsonb,text,text,boolean,numeric)');
SELECT cdp_internal.declare_grant(t.template, 'EXECUTE', 'FUNCTION', f)
FROM unnest(array['admin', 'marketer']) AS t (template), unnest(array['cdp_data.connection_configure(text,jsonb,text,boolean,numeric)', 'cdp_data.secret_drop(text,text)', 'cdp_data.connection_move(text,text,text)']) f;
