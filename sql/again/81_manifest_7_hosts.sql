-- Connector room: the hosts of built-in connectors, which need no setting, and whether requests may go to a host.
CREATE OR REPLACE FUNCTION cdp_internal.builtin_hosts() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT h.host ORDER BY h.host) FROM cdp.connector_builtin() b CROSS JOIN unnest(cdp_internal.connector_hosts(b.manifest)) AS h (host));
COMMENT ON FUNCTION cdp_internal.builtin_hosts() IS
'The hosts that the built-in connectors name, examples among them, in order: requests may go there over https without a setting. Never NULL.';

CREATE OR REPLACE FUNCTION cdp.check_host(host text) RETURNS TABLE (host text, address inet, allowed boolean, reason text)
LANGUAGE sql VOLATILE COST 100000 ROWS 4
BEGIN ATOMIC
  SELECT r.host, r.address, r.allowed, r.reason FROM cdp_internal.resolve_host($1, cdp_internal.builtin_hosts()) r;
END;
COMMENT ON FUNCTION cdp.check_host(text) IS
'Looks a host ([https://|http://]host[:port]) up by the way that requests take and tells whether they may go there: one row for each address, with the word of cdp_internal.address_verdict() when it is refused. One row without address when the host is neither in cdp.allowed_hosts nor one of a built-in connector (the word of cdp_internal.host_verdict(); nothing is looked up then) or stands for nothing (dns, timeout). No connection is opened. What counts for a request is what the name stands for when it connects. For superusers and those whom they grant it and cdp_internal.resolve_host(). No rows for NULL. Error 57014 when cancelled.';

REVOKE ALL ON FUNCTION cdp.check_host(text) FROM PUBLIC;
