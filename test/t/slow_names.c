/*
 * slow_names.c
 *		Names for tests, preloaded before the system's: one that takes a minute,
 *		one that changes its mind, some that stand for several addresses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup_fn) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Names and what they stand for; at most four addresses. */
static const struct
{
	const char *name;
	const char *address[5];
}			names[] =
{
	{"inner.example.com", {"10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:192.168.0.1"}},
	{"mixed.example.com", {"10.0.0.1", "127.0.0.1"}},
	{"outer.example.com", {"93.184.216.34"}},
	{"here.example.com", {"127.0.0.1"}},
};

static int	lookups_of_rebind = 0;

/* Answers for the names above, hands all others on. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	lookup_fn	real = (lookup_fn) dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo **last = result;

	if (node != NULL && strcmp(node, "hang.example.com") == 0)
		sleep(60);
	if (node != NULL && strcmp(node, "rebind.example.com") == 0)
		return real(lookups_of_rebind++ == 0 ? "93.184.216.34" : "127.0.0.1", service, hints, result);
	for (size_t i = 0; node != NULL && i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (strcmp(node, names[i].name) != 0)
			continue;
		*result = NULL;
		for (int j = 0; names[i].address[j] != NULL; j++)
		{
			if (real(names[i].address[j], service, hints, last) != 0)
				continue;
			while (*last != NULL)
				last = &(*last)->ai_next;
		}
		return *result != NULL ? 0 : EAI_NONAME;
	}
	return real(node, service, hints, result);
}
