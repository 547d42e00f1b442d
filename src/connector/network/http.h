/*
 * http.h
 *		Requests over HTTP: one session for each run, one call for each request.
 *
 * What the network does comes back as an outcome with a text that is safe to
 * show and to store; only a cancellation, a timeout of the statement, lack of
 * memory and requests that are malformed raise errors.
 */
#ifndef CDP_CONNECTOR_HTTP_H
#define CDP_CONNECTOR_HTTP_H

#include "connector/network/address.h"

typedef enum CdpHttpOutcome
{
	CDP_HTTP_OK,				/* an answer came whole, whatever its status */
	CDP_HTTP_HOST_REFUSED,		/* not on a list of hosts */
	CDP_HTTP_ADDRESS_REFUSED,	/* the name stands for no address that is allowed */
	CDP_HTTP_DNS,				/* the name stands for no address at all */
	CDP_HTTP_CONNECT,			/* nobody listens there */
	CDP_HTTP_TLS,				/* no secure connection, or not with that host */
	CDP_HTTP_TIMEOUT,
	CDP_HTTP_TOO_LARGE,
	CDP_HTTP_TRUNCATED,			/* the answer ended before its end */
	CDP_HTTP_RESET,				/* the connection ended before or in the answer */
	CDP_HTTP_PROTOCOL,			/* what came is not HTTP, or not what was asked for */
	CDP_HTTP_REDIRECT_REFUSED
} CdpHttpOutcome;

typedef struct CdpHttpHeader
{
	char	   *name;			/* of an answer: in lower case */
	char	   *value;
	bool		secret;			/* of a request: never sent again, never shown */
} CdpHttpHeader;

typedef struct CdpHttpRequest
{
	const char *method;			/* GET, HEAD, POST, PUT, PATCH or DELETE */
	bool		plain;			/* http in place of https */
	bool		allow_http;		/* whether plain may be; the list of hosts must have it, too */
	const char *host;			/* host or host:port */
	const char *path;			/* from / on, percent-encoded */
	const char *shown;			/* the path as messages may tell it; NULL: path */
	const char *query;			/* without ?, percent-encoded; NULL for none */
	char	   *secret_query;	/* the part of it with token or secret; NULL for none */
	CdpHttpHeader *headers;
	int			n_headers;
	const char *const *secrets; /* bare values of token and secrets, looked for in what a server echoes */
	int			n_secrets;
	char	   *body;			/* NULL for none */
	Size		body_len;
	const char *const *builtin_hosts;	/* hosts that the release itself names */
	int			n_builtin_hosts;
	int			redirects;		/* how many to follow, on the same host only */
	int			connect_ms;		/* 0: 10 s */
	int			total_ms;		/* 0: 60 s */
	int			slow_bytes;		/* fewer of the body in a second, for slow_seconds: given up; 0: 100 */
	int			slow_seconds;	/* 0: 20 s */
	int64		max_bytes;		/* 0: cdp.http_max_bytes; never above it */
	bool		repeatable;		/* may be sent twice, as libcurl does when a kept connection turns out dead; GET and HEAD always may */
	bool		fresh;			/* on a connection of its own in any case */
	bool		certificate;	/* tell of the server's certificate */
} CdpHttpRequest;

typedef struct CdpHttpResponse
{
	CdpHttpOutcome outcome;
	char	   *detail;			/* what went wrong; NULL when nothing did */
	int			status;			/* 0: none came */
	CdpHttpHeader *headers;		/* of the last answer, also when its body did not come whole */
	int			n_headers;
	bytea	   *body;			/* unpacked; NULL unless ok */
	int64		raw_bytes;		/* of the body, as they came */
	int			redirects;		/* followed */
	int			connections;	/* opened for it */
	double		dns_ms,			/* since the begin of the last request, each includes those before */
				connect_ms,
				tls_ms,
				first_byte_ms,
				total_ms;
	char	   *address;		/* that the answer came from, NULL: none */
	char	   *issuer;			/* of the server's certificate, NULL: not asked for */
	char	   *expires;
} CdpHttpResponse;

/* An address that a name stands for. */
typedef struct CdpHttpAddress
{
	const char *verdict;		/* NULL: allowed */
	char		text[46];
} CdpHttpAddress;

typedef struct CdpHttp CdpHttp;

extern CdpHttp *cdp_http_open(MemoryContext owner);
extern void cdp_http_close(CdpHttp *http);
extern void cdp_http_run(CdpHttp *http, const CdpHttpRequest *request, CdpHttpResponse *response);
extern CdpHttpAddress *cdp_http_addresses(CdpHttp *http, const CdpOrigin *origin, int *n, CdpHttpResponse *response);
extern char **cdp_http_builtin_hosts(int *n);
extern const char *cdp_http_host_verdict(const CdpOrigin *origin, const char *const *builtin_hosts, int n);
extern const char *cdp_http_outcome(CdpHttpOutcome outcome);
extern const char *cdp_http_header(const CdpHttpResponse *response, const char *name);
extern Datum cdp_http_headers_jsonb(const CdpHttpResponse *response);
extern void cdp_http_wipe_request(CdpHttpRequest *request);
extern void cdp_http_wipe_response(CdpHttpResponse *response);

#endif							/* CDP_CONNECTOR_HTTP_H */
