/*
 * address.c
 *		Which addresses and hosts a request may go to.
 *
 * An address is public, or it has a word that tells why it is not (the
 * registries of special-purpose addresses of IANA, RFC 6890 and its
 * successors, and the addresses where clouds serve the credentials of a
 * machine).  A superuser may allow ranges that are not public; metadata
 * services and the link-local range of IPv4, in which they lie, never.  An IPv6
 * address that stands for one of IPv4 is refused for itself and for what it
 * stands for.
 */
#include "connector/network/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

typedef struct Special
{
	const char *prefix;			/* as inet_pton reads it */
	uint8		bits;
	bool		never;			/* no setting opens it */
	const char *word;
} Special;

/* The first that fits counts. */
static const Special special4[] = {
	{"169.254.169.254", 32, true, "metadata"},	/* most clouds */
	{"100.100.100.200", 32, true, "metadata"},	/* Alibaba Cloud */
	{"192.0.0.192", 32, true, "metadata"},	/* Oracle Cloud */
	{"168.63.129.16", 32, true, "metadata"},	/* Azure */
	{"169.254.0.0", 16, true, "link_local"},
	{"0.0.0.0", 8, false, "unspecified"},
	{"10.0.0.0", 8, false, "private"},
	{"100.64.0.0", 10, false, "carrier_nat"},
	{"127.0.0.0", 8, false, "loopback"},
	{"172.16.0.0", 12, false, "private"},
	{"192.0.0.0", 24, false, "protocol"},
	{"192.0.2.0", 24, false, "documentation"},
	{"192.88.99.0", 24, false, "sixtofour"},
	{"192.168.0.0", 16, false, "private"},
	{"198.18.0.0", 15, false, "benchmark"},
	{"198.51.100.0", 24, false, "documentation"},
	{"203.0.113.0", 24, false, "documentation"},
	{"255.255.255.255", 32, false, "broadcast"},
	{"224.0.0.0", 4, false, "multicast"},
	{"240.0.0.0", 4, false, "reserved"},
};

static const Special special6[] = {
	{"fd00:ec2::254", 128, true, "metadata"},	/* Amazon */
	{"fd00:ec2::23", 128, true, "metadata"},	/* Amazon, credentials of containers */
	{"fd20:ce::254", 128, true, "metadata"},	/* Google */
	{"::", 128, false, "unspecified"},
	{"::1", 128, false, "loopback"},
	{"::", 96, false, "v4_compatible"},
	{"::ffff:0:0", 96, false, "v4_mapped"},
	{"::ffff:0:0:0", 96, false, "v4_translated"},
	{"64:ff9b::", 96, false, "nat64"},
	{"64:ff9b:1::", 48, false, "nat64"},
	{"100::", 64, false, "discard"},
	{"2001::", 32, false, "teredo"},
	{"2001::", 23, false, "protocol"},
	{"2001:db8::", 32, false, "documentation"},
	{"2002::", 16, false, "sixtofour"},
	{"3fff::", 20, false, "documentation"},
	{"5f00::", 16, false, "segment_routing"},
	{"fc00::", 7, false, "unique_local"},
	{"fe80::", 10, false, "link_local"},
	{"fec0::", 10, false, "site_local"},
	{"ff00::", 8, false, "multicast"},
};

/* Whether the first bits of both are equal. */
static bool
same_bits(const uint8 *a, const uint8 *b, int bits)
{
	int			whole = bits / 8;
	uint8		mask = 0xff << (8 - bits % 8);

	return memcmp(a, b, whole) == 0 && (bits % 8 == 0 || (a[whole] & mask) == (b[whole] & mask));
}

/* Whether a setting opened the range that the address lies in. */
static bool
is_allowed(int family, const uint8 *bytes, const CdpRanges *allowed)
{
	for (int i = 0; allowed != NULL && i < allowed->n; i++)
		if (allowed->range[i].family == family && same_bits(bytes, allowed->range[i].bytes, allowed->range[i].bits))
			return true;
	return false;
}

/* The row of a list that an address lies in, or NULL. */
static const Special *
find_special(int family, const uint8 *bytes, const Special *list, int n)
{
	uint8		prefix[16];

	for (int i = 0; i < n; i++)
		if (inet_pton(family, list[i].prefix, prefix) == 1 && same_bits(bytes, prefix, list[i].bits))
			return &list[i];
	return NULL;
}

/* The verdict on the four bytes of an IPv4 address; NULL: it may be used. */
static const char *
verdict4(const uint8 *bytes, const CdpRanges *allowed)
{
	const Special *found = find_special(AF_INET, bytes, special4, lengthof(special4));

	if (found == NULL || (!found->never && is_allowed(AF_INET, bytes, allowed)))
		return NULL;
	return found->word;
}

/*
 * Writes the IPv4 addresses that an IPv6 address of this kind may stand for, of
 * four bytes each (room for four); returns how many.  The local prefix of
 * NAT64 may be cut in several ways (RFC 6052, 2.2).
 */
static int
embedded(const char *word, const uint8 *b, uint8 (*out)[4])
{
	if (strncmp(word, "v4_", 3) == 0 || strcmp(word, "nat64") == 0)
	{
		memcpy(out[0], b + 12, 4);
		if (strcmp(word, "nat64") != 0 || b[5] == 0)
			return 1;
		memcpy(out[1], (uint8[]) {b[6], b[7], b[9], b[10]}, 4);
		memcpy(out[2], (uint8[]) {b[7], b[9], b[10], b[11]}, 4);
		memcpy(out[3], b + 9, 4);
		return 4;
	}
	if (strcmp(word, "sixtofour") == 0)
	{
		memcpy(out[0], b + 2, 4);
		return 1;
	}
	if (strcmp(word, "teredo") == 0)
	{
		memcpy(out[0], b + 4, 4);	/* the server */
		for (int i = 0; i < 4; i++)
			out[1][i] = b[12 + i] ^ 0xff;	/* the client */
		return 2;
	}
	return 0;
}

/* The verdict on the sixteen bytes of an IPv6 address; NULL: it may be used. */
static const char *
verdict6(const uint8 *bytes, const CdpRanges *allowed)
{
	const Special *found = find_special(AF_INET6, bytes, special6, lengthof(special6));
	uint8		inner[4][4];
	int			n;
	const char *word = NULL;

	/* Only 2000::/3 is handed out as global unicast. */
	if (found == NULL)
		return (bytes[0] & 0xe0) == 0x20 || is_allowed(AF_INET6, bytes, allowed) ? NULL : "reserved";
	if (found->never)
		return found->word;
	n = embedded(found->word, bytes, inner);
	for (int i = 0; i < n; i++)
	{
		const Special *in4 = find_special(AF_INET, inner[i], special4, lengthof(special4));

		if (in4 != NULL && in4->never)
			return in4->word;
		/* How the local prefix of NAT64 is cut is not known: but for what is never allowed, the last bytes count. */
		if (word == NULL && i == 0)
			word = verdict4(inner[i], allowed);
	}
	if (!is_allowed(AF_INET6, bytes, allowed))
		return found->word;
	return word;
}

/* Why no request may go to the address, as one word; NULL: it may. allowed: ranges opened by a setting, or NULL. */
const char *
cdp_address_verdict(const struct sockaddr *address, const CdpRanges *allowed)
{
	if (address->sa_family == AF_INET)
		return verdict4((const uint8 *) &((const struct sockaddr_in *) address)->sin_addr, allowed);
	if (address->sa_family == AF_INET6)
		return verdict6((const uint8 *) &((const struct sockaddr_in6 *) address)->sin6_addr, allowed);
	return "not_ip";
}

/* Writes the address as text; empty for what is none. */
void
cdp_address_text(const struct sockaddr *address, char *out, Size size)
{
	const void *bytes = address->sa_family == AF_INET ? (const void *) &((const struct sockaddr_in *) address)->sin_addr
		: (const void *) &((const struct sockaddr_in6 *) address)->sin6_addr;

	out[0] = '\0';
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
		inet_ntop(address->sa_family, bytes, out, size);
}

/* Reads a range such as 10.0.0.0/8 or ::1; NULL, or what is wrong with it. */
const char *
cdp_range_parse(const char *text, Size len, CdpRange *range)
{
	char		copy[64];
	char	   *slash;
	int			width;

	if (len == 0 || len >= sizeof(copy))
		return "is no address";
	memcpy(copy, text, len);
	copy[len] = '\0';
	memset(range, 0, sizeof(*range));
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash++ = '\0';
	range->family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
	width = range->family == AF_INET6 ? 128 : 32;
	if (inet_pton(range->family, copy, range->bytes) != 1)
		return "is no address";
	range->bits = width;
	if (slash != NULL)
	{
		Size		digits = strspn(slash, "0123456789");

		if (digits == 0 || digits > 3 || slash[digits] != '\0' || atoi(slash) > width || (slash[0] == '0' && digits > 1))
			return "has no length of a prefix after its /";
		range->bits = atoi(slash);
	}
	for (int i = range->bits / 8; i < width / 8; i++)
	{
		uint8		mask = i == range->bits / 8 ? 0xff >> (range->bits % 8) : 0xff;

		if ((range->bytes[i] & mask) != 0)
			return "has bits behind its prefix";
	}
	return NULL;
}

/*
 * Reads a host without port into canonical form: lower case, no dot at the end,
 * numbers as libcurl and the resolver take them (0x7f.1, 017700000001) as four
 * decimals.  NULL, or why it is none.
 */
static const char *
parse_host(char *text, char *out)
{
	Size		len = strlen(text);
	struct in6_addr six;
	struct in_addr four;
	const char *last;

	if (text[0] == '[')
	{
		char		six_text[INET6_ADDRSTRLEN];

		if (text[len - 1] != ']')
			return "malformed";
		text[len - 1] = '\0';
		if (inet_pton(AF_INET6, text + 1, &six) != 1 || inet_ntop(AF_INET6, &six, six_text, sizeof(six_text)) == NULL)
			return "malformed";
		snprintf(out, CDP_HOST_MAX + 3, "[%s]", six_text);
		return NULL;
	}
	if (len > 0 && text[len - 1] == '.')
		text[--len] = '\0';
	if (len == 0 || len > CDP_HOST_MAX)
		return "malformed";
	for (char *label = text, *end;; label = end + 1)
	{
		end = label + strcspn(label, ".");
		if (end == label || end - label > 63 || label[0] == '-' || end[-1] == '-')
			return "malformed";
		if (*end == '\0')
			break;
	}
	for (Size i = 0; i < len; i++)
	{
		text[i] = pg_ascii_tolower((unsigned char) text[i]);
		if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') || strchr("-_.", text[i]) != NULL))
			return "malformed";
	}
	/* Ends in a number: an address, or nothing (1.2.3.4.5, 256.1.1.1). */
	last = strrchr(text, '.') != NULL ? strrchr(text, '.') + 1 : text;
	if (last[strspn(last, "0123456789")] == '\0' || (strncmp(last, "0x", 2) == 0 && last[2 + strspn(last + 2, "0123456789abcdef")] == '\0'))
	{
		if (inet_aton(text, &four) == 0)
			return "malformed";
		inet_ntop(AF_INET, &four, out, CDP_HOST_MAX + 3);
		return NULL;
	}
	strcpy(out, text);
	return NULL;
}

/*
 * Reads [http://|https://]host[:port]; of_list: *.name, too.  NULL, or why it is
 * none: malformed, not_ascii (punycode is), userinfo.
 */
const char *
cdp_origin_parse(const char *text, Size len, bool of_list, CdpOrigin *origin)
{
	char		copy[CDP_HOST_MAX + 40] = "";
	char	   *host = copy;
	char	   *colon;

	memset(origin, 0, sizeof(*origin));
	if (len == 0 || len >= sizeof(copy))
		return "malformed";
	for (Size i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] >= 0x80)
			return "not_ascii";
		if (text[i] == '@')
			return "userinfo";
		if ((unsigned char) text[i] <= ' ' || text[i] == 0x7f)
			return "malformed";
		copy[i] = text[i];
	}
	copy[len] = '\0';
	if (pg_strncasecmp(host, "https://", 8) == 0)
		host += 8;
	else if (pg_strncasecmp(host, "http://", 7) == 0)
	{
		host += 7;
		origin->plain = true;
	}
	origin->port = origin->plain ? 80 : 443;
	if (of_list && strncmp(host, "*.", 2) == 0)
	{
		host += 2;
		origin->suffix = true;
	}
	colon = strchr(host[0] == '[' ? host + strcspn(host, "]") : host, ':');
	if (colon != NULL)
	{
		Size		digits = strspn(colon + 1, "0123456789");

		if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || atoi(colon + 1) < 1 || atoi(colon + 1) > 65535)
			return "malformed";
		origin->port = atoi(colon + 1);
		*colon = '\0';
	}
	if (host[0] == '\0')
		return "malformed";
	return parse_host(host, origin->host);
}

/* Whether an entry of an allow-list lets the origin through. */
bool
cdp_origin_matches(const CdpOrigin *origin, const CdpOrigin *entry)
{
	Size		len = strlen(origin->host);
	Size		tail = strlen(entry->host);

	if (origin->plain != entry->plain || origin->port != entry->port)
		return false;
	if (!entry->suffix)
		return strcmp(origin->host, entry->host) == 0;
	return len > tail + 1 && origin->host[len - tail - 1] == '.' && strcmp(origin->host + len - tail, entry->host) == 0;
}
