-- Connector room: the transport. Which hosts and addresses requests may go to, and one request by itself.

CREATE OR REPLACE FUNCTION cdp_internal.address_verdict(address inet) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_connector_address_verdict';
COMMENT ON FUNCTION cdp_internal.address_verdict(inet) IS
'Why no request may go to the address: NULL when one may, else a word: metadata, link_local, loopback, private, carrier_nat, unspecified, protocol, documentation, benchmark, multicast, broadcast, reserved, unique_local, site_local, discard, segment_routing, v4_mapped, v4_compatible, v4_translated, nat64, teredo, sixtofour. cdp.allowed_private_ranges opens ranges, but for metadata and the link_local of IPv4; an address that stands for one of IPv4 needs both open. The length of the prefix does not count. Source: IANA special-purpose address registries (RFC 6890).';

CREATE OR REPLACE FUNCTION cdp_internal.host_verdict(host text, builtin text[] DEFAULT '{}') RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_connector_host_verdict';
COMMENT ON FUNCTION cdp_internal.host_verdict(text, text[]) IS
'Why no request may go to a host, given as [https://|http://]host[:port] (https when nothing is said): NULL when one may, else malformed, not_ascii (write the xn-- form), userinfo, not_allowed, http_not_allowed (only with https). It may when cdp.allowed_hosts or builtin has it: host, host:port, *.suffix (names below it), http://host:port (cdp.allowed_hosts only). NULL host: malformed. Error 22004: NULL in builtin.';

CREATE OR REPLACE FUNCTION cdp.check_host(host text) RETURNS TABLE (host text, address inet, allowed boolean, reason text)
LANGUAGE c VOLATILE STRICT COST 100000 ROWS 4 AS 'MODULE_PATHNAME', 'cdp_connector_check_host';
COMMENT ON FUNCTION cdp.check_host(text) IS
'Looks a host ([https://|http://]host[:port]) up by the way that requests take and tells whether they may go there: one row for each address, with the word of cdp_internal.address_verdict() when it is refused. One row without address when the host is neither in cdp.allowed_hosts nor one of a built-in connector (the word of cdp_internal.host_verdict(); nothing is looked up then) or stands for nothing (dns, timeout). No connection is opened. What counts for a request is what the name stands for when it connects. For superusers and those whom they grant it. No rows for NULL. Error 57014 when cancelled.';

CREATE OR REPLACE PROCEDURE cdp_internal.fetch(url text, method text DEFAULT 'GET', headers jsonb DEFAULT '{}', body bytea DEFAULT NULL, options jsonb DEFAULT '{}',
  INOUT outcome text DEFAULT NULL, INOUT detail text DEFAULT NULL, INOUT status integer DEFAULT NULL, INOUT response_headers jsonb DEFAULT NULL, INOUT response_body bytea DEFAULT NULL, INOUT figures jsonb DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'cdp_connector_fetch';
COMMENT ON PROCEDURE cdp_internal.fetch(text, text, jsonb, bytea, jsonb, text, text, integer, jsonb, bytea, jsonb) IS
'Sends one request and waits for the answer, without snapshot, transaction number or lock: it commits first, and refuses to run in a transaction block (2D000). No secrets in its arguments: the statement may be logged. outcome: ok (an answer came whole, whatever its status), host_refused, address_refused, dns, connect, tls, timeout, too_large, truncated, reset, protocol, redirect_refused; response_headers come without cookies and places to go; detail tells why, without query, body and values of headers; response_body only with ok. options: allow_http, redirects (on the same host, GET and HEAD only), connect_ms (10000), total_ms (60000), slow_bytes of the body a second (100) for slow_seconds (20), max_bytes (cdp.http_max_bytes), secret_query and secret_headers (not sent again after a redirect), secrets (bare values; what a server echoes of any of them is not shown), certificate (tell issuer and expiry), repeatable (libcurl may send it twice, when a kept connection turns out dead; else only GET and HEAD use kept ones), fresh (on a connection of its own in any case), repeat (so often over one session; the last answer counts), shown (the path for messages). figures: bytes, redirects, connections opened, milliseconds since the begin of the last request. Errors: 22023 malformed request, 57014 cancelled or out of time of the statement.';

REVOKE ALL ON FUNCTION cdp.check_host(text) FROM PUBLIC;
REVOKE ALL ON PROCEDURE cdp_internal.fetch(text, text, jsonb, bytea, jsonb, text, text, integer, jsonb, bytea, jsonb) FROM PUBLIC;
