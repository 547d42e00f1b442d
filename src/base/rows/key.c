/*
 * key.c
 *		Names of the customers of a pass.
 */
#include "base/rows/key.h"

#include "utils/uuid.h"

/* The text of a key. */
typedef struct KeyName
{
	uint64		key[2];
	char	   *name;
} KeyName;

/* An empty list of names in cxt. */
CdpKeyNames *
cdp_key_names_create(MemoryContext cxt, const CdpPassMemory *memory)
{
	HASHCTL		ctl = {.keysize = 2 * sizeof(uint64), .entrysize = sizeof(KeyName), .hcxt = cxt};
	CdpKeyNames *names = MemoryContextAllocZero(cxt, sizeof(CdpKeyNames));

	names->cxt = cxt;
	names->memory = memory;
	names->table = hash_create("cdp customers", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return names;
}

/* Keeps the text of a key, once. */
void
cdp_key_remember(CdpKeyNames *names, const uint64 *key, const char *text, int len)
{
	bool		found;
	KeyName    *entry = hash_search(names->table, key, HASH_ENTER, &found);

	if (found)
		return;
	entry->name = NULL;
	names->bytes += sizeof(KeyName) + len + 64;
	if (names->bytes > cdp_pass_memory_bytes(names->memory) / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("customers of %s do not fit into memory", names->memory->pass),
				 errdetail("The names of %ld customers take more than a quarter of %d kB.",
						   hash_get_num_entries(names->table), names->memory->kilobytes),
				 errhint("Raise %s, give bigint or uuid keys, or ask for fewer customers.", names->memory->setting)));
	entry->name = MemoryContextAlloc(names->cxt, len + 1);
	memcpy(entry->name, text, len);
	entry->name[len] = '\0';
}

/* The name of a customer: of a text key that of the list, else palloc'd. */
const char *
cdp_key_name(CdpKeyType type, const CdpKeyNames *names, uint64 key, uint64 key2)
{
	uint64		wide[2] = {key, key2};
	KeyName    *entry;

	if (type == CDP_KEY_BIGINT)
		return psprintf(INT64_FORMAT, (int64) key);
	if (type == CDP_KEY_UUID)
		return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum((pg_uuid_t *) wide)));
	entry = hash_search(names->table, wide, HASH_FIND, NULL);
	return entry ? entry->name : "";
}
