/*
 * http_form.c
 *		The form of requests and answers: what may be sent, on which hosts, and
 *		how texts of a server are shown.
 */
#include "connector/network/http_form.h"

#include <ctype.h>

#include <openssl/crypto.h>

#include "connector/network/settings.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#define SECRET_MIN 6			/* bytes; shorter ones would hide half of an answer */

static const char *const outcome_names[] = {"ok", "host_refused", "address_refused", "dns", "connect", "tls", "timeout",
"too_large", "truncated", "reset", "protocol", "redirect_refused"};

/* Raises the error for a request that nobody should send; shows nothing of it. */
void
cdp_http_bad_request(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the request is malformed"),
			 errdetail("%s", what)));
}

/* Whether all bytes may stand in a URL behind the host. */
static bool
is_url_text(const char *s, const char *not)
{
	for (; *s != '\0'; s++)
		if ((unsigned char) *s <= ' ' || (unsigned char) *s >= 0x7f || *s == '#' || strchr(not, *s) != NULL)
			return false;
	return true;
}

/* Whether two names of headers are the same. */
static bool
is_header(const char *name, const char *other)
{
	return pg_strcasecmp(name, other) == 0;
}

/* Checks one header of a request: its name is a token, its value one line, and it is not one that the transport writes. */
static void
check_header(const CdpHttpHeader *header)
{
	static const char *const own[] = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect",
	"te", "trailer", "upgrade", "keep-alive", "proxy-connection", "proxy-authorization", "range"};

	if (header->name[0] == '\0' || header->name[strspn(header->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] != '\0')
		cdp_http_bad_request("The name of a header has letters, digits, - and _ only.");
	for (int i = 0; i < lengthof(own); i++)
		if (is_header(header->name, own[i]))
			cdp_http_bad_request("A header that the transport itself writes is among the headers.");
	for (const char *s = header->value; *s != '\0'; s++)
		if ((unsigned char) *s < ' ' || *s == 0x7f)
			cdp_http_bad_request("The value of a header has control characters.");
}

/* Checks the form of a request before anything is sent, errors 22023. */
void
cdp_http_check_request(const CdpHttpRequest *request)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	int			m = 0;

	while (m < lengthof(methods) && strcmp(request->method, methods[m]) != 0)
		m++;
	if (m == lengthof(methods))
		cdp_http_bad_request("The method is not one of GET, HEAD, POST, PUT, PATCH and DELETE.");
	if (request->body != NULL && m < 2)
		cdp_http_bad_request("A body does not go with GET and HEAD.");
	if (request->path[0] != '/' || !is_url_text(request->path, "?"))
		cdp_http_bad_request("The path begins with / and has percent-encoded bytes in place of blanks, control characters, #, ? and other letters.");
	if ((request->query != NULL && !is_url_text(request->query, "")) ||
		(request->secret_query != NULL && !is_url_text(request->secret_query, "")))
		cdp_http_bad_request("The query has percent-encoded bytes in place of blanks, control characters, # and other letters.");
	for (int i = 0; i < request->n_headers; i++)
		check_header(&request->headers[i]);
}

/* Why the origin is not on any list of hosts; NULL: it is. builtin_hosts have no http:// among them that would count. */
const char *
cdp_http_host_verdict(const CdpOrigin *origin, const char *const *builtin_hosts, int n)
{
	const CdpOrigins *list = cdp_allowed_hosts();
	bool		secure = false;

	for (int i = 0; list != NULL && i < list->n; i++)
	{
		if (cdp_origin_matches(origin, &list->origin[i]))
			return NULL;
		secure = secure || (origin->plain && !list->origin[i].plain && strcmp(list->origin[i].host, origin->host) == 0);
	}
	for (int i = 0; i < n; i++)
	{
		CdpOrigin	entry;

		if (cdp_origin_parse(builtin_hosts[i], strlen(builtin_hosts[i]), true, &entry) == NULL && !entry.plain)
		{
			if (cdp_origin_matches(origin, &entry))
				return NULL;
			secure = secure || (origin->plain && strcmp(entry.host, origin->host) == 0);
		}
	}
	return secure ? "http_not_allowed" : "not_allowed";
}

/* A palloc'd copy of bytes as UTF-8: what is none, and control characters, become U+FFFD or blanks. */
char *
cdp_http_clean_text(const char *bytes, Size len)
{
	StringInfoData out;

	initStringInfo(&out);
	while (len > 0)
	{
		int			n = (unsigned char) *bytes < 0x80 ? 1 : pg_encoding_verifymbchar(PG_UTF8, bytes, len);

		if (n < 1)
		{
			appendStringInfoString(&out, "\xEF\xBF\xBD");
			n = 1;
		}
		else if (n == 1 && ((unsigned char) *bytes < ' ' || *bytes == 0x7f))
			appendStringInfoChar(&out, ' ');
		else
			appendBinaryStringInfo(&out, bytes, n);
		bytes += n;
		len -= n;
	}
	return out.data;
}

/* Where text holds some bytes, or NULL. Shorter ones than SECRET_MIN are no secret. */
static const char *
find_bytes(const char *text, const char *bytes, Size len)
{
	if (len < SECRET_MIN)
		return NULL;
	while ((text = strchr(text, *bytes)) != NULL && strncmp(text, bytes, len) != 0)
		text++;
	return text;
}

/* A palloc'd copy of text with %xx as bytes. */
static char *
percent_decoded(const char *text, Size len)
{
	char	   *out = palloc(len + 1);
	Size		n = 0;

	for (Size i = 0; i < len; i++)
	{
		if (text[i] == '%' && i + 2 < len && isxdigit((unsigned char) text[i + 1]) && isxdigit((unsigned char) text[i + 2]))
		{
			char		hex[3] = {text[i + 1], text[i + 2], '\0'};

			out[n++] = (char) strtol(hex, NULL, 16);
			i += 2;
		}
		else
			out[n++] = text[i];
	}
	out[n] = '\0';
	return out;
}

/* Where text holds the value of a parameter of the secret query, as it was sent or decoded; NULL: nowhere. */
static const char *
find_of_query(const char *text, const char *query, Size *len)
{
	while (query != NULL && *query != '\0')
	{
		const char *end = query + strcspn(query, "&");
		const char *value = memchr(query, '=', end - query);
		const char *found;
		char	   *plain;

		value = value != NULL ? value + 1 : query;
		*len = end - value;
		if ((found = find_bytes(text, value, *len)) != NULL)
			return found;
		plain = percent_decoded(value, end - value);
		*len = strlen(plain);
		found = find_bytes(text, plain, *len);
		OPENSSL_cleanse(plain, *len);
		pfree(plain);
		if (found != NULL)
			return found;
		query = *end == '&' ? end + 1 : end;
	}
	return NULL;
}

/*
 * Where text holds a secret of the request, and how long it is there: a bare
 * value that the caller named, the value of a secret header with or without
 * its first word (Bearer), a value of the secret query.  NULL: nowhere.
 */
const char *
cdp_http_find_secret(const char *text, const CdpHttpRequest *request, Size *len)
{
	const char *found = NULL;

	for (int i = 0; found == NULL && i < request->n_secrets; i++)
	{
		*len = strlen(request->secrets[i]);
		found = find_bytes(text, request->secrets[i], *len);
	}
	for (int i = 0; found == NULL && i < request->n_headers; i++)
	{
		const char *value = request->headers[i].value;
		const char *blank = strchr(value, ' ');

		if (!request->headers[i].secret)
			continue;
		*len = strlen(value);
		found = find_bytes(text, value, *len);
		if (found == NULL && blank != NULL)
		{
			*len = strlen(blank + 1);
			found = find_bytes(text, blank + 1, *len);
		}
	}
	return found != NULL ? found : find_of_query(text, request->secret_query, len);
}

/* Whether a URL names a secret of the request, as it stands or decoded. */
bool
cdp_http_names_secret(const char *url, const CdpHttpRequest *request)
{
	Size		len;
	char	   *plain = percent_decoded(url, strlen(url));
	bool		found = cdp_http_find_secret(url, request, &len) != NULL || cdp_http_find_secret(plain, request, &len) != NULL;

	OPENSSL_cleanse(plain, strlen(plain));
	pfree(plain);
	return found;
}

/* A value of a header of an answer, palloc'd, with * over what a server echoed of our secrets. */
char *
cdp_http_hide_secrets(char *value, const CdpHttpRequest *request)
{
	const char *found;
	Size		len;

	while ((found = cdp_http_find_secret(value, request, &len)) != NULL && strspn(found, "*") < len)
		memset(value + (found - value), '*', len);
	return value;
}

/* The value of a header of an answer; NULL: it has none. The name in lower case. */
const char *
cdp_http_header(const CdpHttpResponse *response, const char *name)
{
	for (int i = 0; i < response->n_headers; i++)
		if (strcmp(response->headers[i].name, name) == 0)
			return response->headers[i].value;
	return NULL;
}

/* The word of an outcome; a constant. */
const char *
cdp_http_outcome(CdpHttpOutcome outcome)
{
	return outcome_names[outcome];
}

/* Wipes what may be secret in a request: query with the secret, values of secret headers, body. */
void
cdp_http_wipe_request(CdpHttpRequest *request)
{
	if (request->secret_query != NULL)
		OPENSSL_cleanse(request->secret_query, strlen(request->secret_query));
	if (request->body != NULL)
		OPENSSL_cleanse(request->body, request->body_len);
	for (int i = 0; i < request->n_headers; i++)
		if (request->headers[i].secret)
			OPENSSL_cleanse(request->headers[i].value, strlen(request->headers[i].value));
}

/* Wipes the body of an answer, such as one that holds a token. */
void
cdp_http_wipe_response(CdpHttpResponse *response)
{
	if (response->body != NULL)
		OPENSSL_cleanse(VARDATA(response->body), VARSIZE(response->body) - VARHDRSZ);
}
