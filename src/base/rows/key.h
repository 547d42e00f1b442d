/*
 * key.h
 *		What groups the rows of a pass: customers by bigint, text or uuid.
 */
#ifndef CDP_KEY_H
#define CDP_KEY_H

#include "base/rows/memory.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

typedef enum CdpKeyType
{
	CDP_KEY_BIGINT,
	CDP_KEY_TEXT,
	CDP_KEY_UUID
} CdpKeyType;

/* The texts of text keys, kept by passes whose result names customers. */
typedef struct CdpKeyNames
{
	MemoryContext cxt;
	const CdpPassMemory *memory;
	HTAB	   *table;
	Size		bytes;
} CdpKeyNames;

extern CdpKeyNames *cdp_key_names_create(MemoryContext cxt, const CdpPassMemory *memory);
extern void cdp_key_remember(CdpKeyNames *names, const uint64 *key, const char *text, int len);
extern const char *cdp_key_name(CdpKeyType type, const CdpKeyNames *names, uint64 key, uint64 key2);

/* The key of a row as one or two words; a text is remembered when names are kept. */
static pg_attribute_always_inline void
cdp_key_read(Datum datum, CdpKeyType type, CdpKeyNames *names, uint64 *key)
{
	if (type == CDP_KEY_BIGINT)
	{
		key[0] = (uint64) DatumGetInt64(datum);
		key[1] = 0;
	}
	else if (type == CDP_KEY_UUID)
		memcpy(key, DatumGetPointer(datum), 16);
	else
	{
		text	   *t = (text *) DatumGetPointer(datum);
		const unsigned char *data;
		int			len;

		if (unlikely(VARATT_IS_EXTENDED(t) && !VARATT_IS_SHORT(t)))
			t = pg_detoast_datum_packed(t);
		data = (const unsigned char *) VARDATA_ANY(t);
		len = VARSIZE_ANY_EXHDR(t);
		key[0] = hash_bytes_extended(data, len, UINT64CONST(0x9E3779B97F4A7C15));
		key[1] = hash_bytes_extended(data, len, UINT64CONST(0xC2B2AE3D27D4EB4F));
		if (names != NULL)
			cdp_key_remember(names, key, (const char *) data, len);
	}
}

#endif							/* CDP_KEY_H */
