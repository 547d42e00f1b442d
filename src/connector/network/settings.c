/*
 * settings.c
 *		The settings of the connector room.
 *
 * Lists are read when they are set, so that a wrong entry is refused there and
 * not met by the next request.  The memory of what was read belongs to the
 * setting.
 */
#include "connector/network/settings.h"

#include "utils/guc.h"

#define LIST_MAX 1000			/* entries of a list */

char	   *cdp_ca_file = NULL;
int			cdp_http_max_bytes = 16 * 1024 * 1024;

static char *allowed_hosts = NULL;
static char *allowed_private_ranges = NULL;
static const CdpOrigins *hosts = NULL;
static const CdpRanges *ranges = NULL;

/* Finds the next entry of a comma list, blanks cut off; moves *at behind it. False: there is none. */
static bool
next_entry(const char **at, const char **entry, Size *len)
{
	const char *end;

	while (**at == ',' || **at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')
		(*at)++;
	if (**at == '\0')
		return false;
	*entry = *at;
	end = *at + strcspn(*at, ",");
	*at = end;
	while (strchr(" \t\n\r", end[-1]) != NULL)
		end--;
	*len = end - *entry;
	return true;
}

/* How many entries a list has. */
static int
count_entries(const char *list)
{
	const char *entry;
	Size		len;
	int			n = 0;

	while (next_entry(&list, &entry, &len))
		n++;
	return n;
}

/* Room for what a list says, in memory that the setting takes; NULL with the reason told to the GUC machinery. */
static void *
list_room(const char *list, Size head, Size each)
{
	int			n = count_entries(list);
	void	   *room;

	if (n > LIST_MAX)
	{
		GUC_check_errdetail("The list has %d entries, at most %d are possible.", n, LIST_MAX);
		return NULL;
	}
	room = CDP_GUC_ALLOC(head + each * Max(n, 1));
	if (room == NULL)
		GUC_check_errcode(ERRCODE_OUT_OF_MEMORY);
	else
		memset(room, 0, head + each * Max(n, 1));
	return room;
}

/* check hook of cdp.allowed_hosts. */
static bool
check_hosts(char **value, void **extra, GucSource source)
{
	CdpOrigins *list = list_room(*value, offsetof(CdpOrigins, origin), sizeof(CdpOrigin));
	const char *at = *value;
	const char *entry;
	Size		len;

	if (list == NULL)
		return false;
	while (next_entry(&at, &entry, &len))
	{
		CdpOrigin  *origin = &list->origin[list->n++];
		const char *wrong = cdp_origin_parse(entry, len, true, origin);

		if (wrong == NULL && origin->suffix && (origin->plain || strchr(origin->host, '.') == NULL || strchr("[0123456789", origin->host[strlen(origin->host) - 1]) != NULL))
			wrong = "suffix";
		if (wrong != NULL)
		{
			GUC_check_errdetail("Entry %d of the list: %s.", list->n,
								strcmp(wrong, "suffix") == 0 ? "*. stands before a name with a dot in it, with https only" :
								strcmp(wrong, "not_ascii") == 0 ? "a name of other letters is written in its xn-- form" :
								strcmp(wrong, "userinfo") == 0 ? "no user stands before a host" : "it is no host");
			GUC_check_errhint("An entry is host, host:port, *.suffix, or http://host:port, such as qyapi.weixin.qq.com.");
			CDP_GUC_FREE(list);
			return false;
		}
	}
	*extra = list;
	return true;
}

/* assign hook of cdp.allowed_hosts. */
static void
assign_hosts(const char *value, void *extra)
{
	hosts = extra;
}

/* check hook of cdp.allowed_private_ranges. */
static bool
check_ranges(char **value, void **extra, GucSource source)
{
	CdpRanges  *list = list_room(*value, offsetof(CdpRanges, range), sizeof(CdpRange));
	const char *at = *value;
	const char *entry;
	Size		len;

	if (list == NULL)
		return false;
	while (next_entry(&at, &entry, &len))
	{
		const char *wrong = cdp_range_parse(entry, len, &list->range[list->n++]);

		if (wrong != NULL)
		{
			GUC_check_errdetail("Entry %d of the list %s.", list->n, wrong);
			GUC_check_errhint("An entry is an address or a range, such as 10.20.0.0/16 or fd12:3456::/32.");
			CDP_GUC_FREE(list);
			return false;
		}
	}
	*extra = list;
	return true;
}

/* assign hook of cdp.allowed_private_ranges. */
static void
assign_ranges(const char *value, void *extra)
{
	ranges = extra;
}

/* The hosts that requests may go to beside those of the built-in manifests; NULL: none. The memory belongs to the setting. */
const CdpOrigins *
cdp_allowed_hosts(void)
{
	return hosts;
}

/* The ranges opened beside the public ones; NULL: none. The memory belongs to the setting. */
const CdpRanges *
cdp_allowed_private_ranges(void)
{
	return ranges;
}

/* Defines the settings; called once, when the library is loaded. */
void
cdp_connector_settings(void)
{
	DefineCustomStringVariable("cdp.allowed_hosts",
							   "Hosts that connectors may send requests to, beside those of the built-in ones.",
							   "A list of host, host:port, *.suffix and http://host:port; without http:// only https is meant.",
							   &allowed_hosts,
							   "",
							   PGC_SUSET,
							   GUC_LIST_INPUT,
							   check_hosts, assign_hosts, NULL);
	DefineCustomStringVariable("cdp.allowed_private_ranges",
							   "Ranges of addresses that are not public to which connectors may connect all the same.",
							   "A list such as 10.20.0.0/16, fd12:3456::/32. Metadata services of clouds and 169.254.0.0/16 stay closed.",
							   &allowed_private_ranges,
							   "",
							   PGC_SUSET,
							   GUC_LIST_INPUT,
							   check_ranges, assign_ranges, NULL);
	DefineCustomStringVariable("cdp.ca_file",
							   "File with certificates of authorities of your own, in PEM, for requests of connectors.",
							   "Read by the server's user at each connection.",
							   &cdp_ca_file,
							   "",
							   PGC_SUSET,
							   GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("cdp.http_max_bytes",
							"Most bytes that the body of one answer may have, as sent and as unpacked.",
							"Larger ones are refused while they come in.",
							&cdp_http_max_bytes,
							16 * 1024 * 1024,
							1024,
							512 * 1024 * 1024,
							PGC_SUSET,
							GUC_UNIT_BYTE,
							NULL, NULL, NULL);
}
