/*
 * url.c
 *		Addresses: the base of a connector's requests, taken apart, and values
 *		written so that they can stand in one.
 *
 * Which hosts may be asked is decided by the transport, not here.
 */
#include "connector/manifest/manifest.h"

#include "utils/formatting.h"

#define URL_MAX_HOST 253

/* Reads scheme://host:port/prefix into its parts, which may be NULL; false with what is wrong. */
bool
cdp_manifest_url(const char *text, ManifestUrl *out, const char **why)
{
	ManifestUrl url = {0};
	const char *p;
	size_t		n;

	url.https = strncmp(text, "https://", 8) == 0;
	if (!url.https && strncmp(text, "http://", 7) != 0)
		return *why = "it begins with neither https:// nor http://", false;
	p = text + (url.https ? 8 : 7);
	n = *p == '[' ? strcspn(p, "]/?#\\") + (p[strcspn(p, "]/?#\\")] == ']') : strcspn(p, ":/?#\\");
	if (n == 0 || n > URL_MAX_HOST)
		return *why = "it has no host", false;
	url.host = asc_tolower(p, n);
	if (*p == '[' ? strspn(url.host, "[0123456789abcdef:.]") != n || url.host[n - 1] != ']'
		: strspn(url.host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != n)
		return *why = "its host has characters that no host has; write international names in their xn-- form", false;
	p += n;
	url.port = url.https ? 443 : 80;
	if (*p == ':')
	{
		n = strspn(++p, "0123456789");
		url.port = n >= 1 && n <= 5 ? atoi(p) : 0;
		if (url.port < 1 || url.port > 65535)
			return *why = "its port is none", false;
		p += n;
	}
	if (*p != '\0' && *p != '/')
		return *why = "behind its host comes neither a port nor a path", false;
	for (const char *c = p; *c != '\0'; c++)
		if (*c <= ' ' || *c == 0x7F || strchr("?#\\\"<>^`{|}%", *c) != NULL)
			return *why = "its path has characters that do not belong there", false;
	if (strstr(p, "..") != NULL || strstr(p, "//") != NULL)
		return *why = "its path has .. or //", false;
	n = strlen(p);
	url.prefix = pnstrdup(p, n > 0 && p[n - 1] == '/' ? n - 1 : n);
	if (out != NULL)
		*out = url;
	return true;
}

/* Appends a text so that it is one value in an address: all but letters, digits and -._~ becomes %XX of its bytes. */
void
cdp_manifest_append_encoded(StringInfo buf, const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL)
			appendStringInfoChar(buf, *p);
		else
			appendStringInfo(buf, "%%%02X", (unsigned char) *p);
}
