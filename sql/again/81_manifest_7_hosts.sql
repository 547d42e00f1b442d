-- Connector room: the hosts of built-in connectors, which need no setting.
CREATE OR REPLACE FUNCTION cdp_internal.builtin_hosts() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT h.host ORDER BY h.host) FROM cdp.connector_builtin() b CROSS JOIN unnest(cdp_internal.connector_hosts(b.manifest)) AS h (host)
  WHERE NOT b.is_example);
COMMENT ON FUNCTION cdp_internal.builtin_hosts() IS
'The hosts that the built-in connectors name, in order: requests may go there over https without a setting. Those of examples do not count: cdp.allowed_hosts has to name them. Never NULL.';
