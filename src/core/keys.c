/*
 * keys.c
 *		Keyed digests for SQL, and who may ask for them.
 *
 * A digest that everybody may compute would be an oracle: try addresses until
 * one fits.  So the caller needs SELECT on the empty table
 * cdp_data.key_right_digest, which cdp.setup() grants to the parts that need it.
 * Seals of the audit have a right of their own: who verifies them need not be
 * able to try values.
 */
#include "base/crypto.h"
#include "core/keys.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

CDP_FUNCTION(cdp_may_use_keys);
CDP_FUNCTION(cdp_keyed_digest);
CDP_FUNCTION(cdp_keyed_digests);
CDP_FUNCTION(cdp_key_ids);
CDP_FUNCTION(cdp_key_file_is_set);

/* Whether the current role has the right: SELECT on cdp_data.key_right_<what>. False before cdp.setup(). */
static bool
has_key_right(const char *what)
{
	Oid			space = get_namespace_oid("cdp_data", true);
	Oid			rel = OidIsValid(space) ? get_relname_relid(psprintf("key_right_%s", what), space) : InvalidOid;

	return OidIsValid(rel) && pg_class_aclcheck(rel, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Raises insufficient_privilege unless the current role has the right. */
void
cdp_require_key_right(const char *what)
{
	if (!has_key_right(what))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to use keys for %s", what),
				 errhint("It takes SELECT on cdp_data.key_right_%s, which cdp.setup() grants to the parts that need it.", what)));
}

/* may_use_keys(text): whether the caller may; see above. */
Datum
cdp_may_use_keys(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_key_right(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* Raises an error unless the caller may digest for a purpose; the subkeys of encryption digest for nobody. */
static void
require_digest_right(const char *purpose)
{
	if (strcmp(purpose, "column") == 0 || strcmp(purpose, "column nonce") == 0 || strncmp(purpose, "connector ", 10) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("purpose \"%s\" belongs to encryption", purpose),
				 errhint("Choose another word.")));
	cdp_require_key_right(strcmp(purpose, "audit seal") == 0 ? "audit" : "digest");
}

/* The digest of a value as it is stored: key number in two bytes, then 32 of HMAC; in the current context. */
static bytea *
make_digest(const char *purpose, const text *value, int key_id)
{
	bytea	   *result = palloc(VARHDRSZ + 2 + CDP_KEY_BYTES);
	uint8	   *out = (uint8 *) VARDATA(result);
	CdpPiece	piece = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	SET_VARSIZE(result, VARHDRSZ + 2 + CDP_KEY_BYTES);
	cdp_hmac(purpose, key_id, &piece, 1, out + 2);
	out[0] = (uint8) (key_id >> 8);
	out[1] = (uint8) key_id;
	return result;
}

/* keyed_digest(purpose, value, key_id): see make_digest(); NULL for NULL; the caller owns it. */
Datum
cdp_keyed_digest(PG_FUNCTION_ARGS)
{
	char	   *purpose;
	int			key_id;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	purpose = text_to_cstring(PG_GETARG_TEXT_PP(0));
	require_digest_right(purpose);
	key_id = PG_ARGISNULL(2) ? cdp_keyfile_newest() : PG_GETARG_INT32(2);
	PG_RETURN_BYTEA_P(make_digest(purpose, PG_GETARG_TEXT_PP(1), key_id));
}

/* keyed_digests(purpose, value, key_ids): the digest with each key; the caller owns the array. */
Datum
cdp_keyed_digests(PG_FUNCTION_ARGS)
{
	char	   *purpose = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *value = PG_GETARG_TEXT_PP(1);
	Datum	   *ids,
			   *out;
	bool	   *nulls;
	int			n;

	require_digest_right(purpose);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), INT4OID, sizeof(int32), true, TYPALIGN_INT, &ids, &nulls, &n);
	out = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a key number must not be NULL")));
		out[i] = PointerGetDatum(make_digest(purpose, value, DatumGetInt32(ids[i])));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(out, n, BYTEAOID, -1, false, TYPALIGN_INT));
}

/* key_ids(): numbers of the keys in the file, ascending; the caller owns the array. */
Datum
cdp_key_ids(PG_FUNCTION_ARGS)
{
	int16		ids[CDP_KEY_MAX_COUNT];
	Datum		out[CDP_KEY_MAX_COUNT];
	int			n = cdp_keyfile_ids(ids);

	for (int i = 0; i < n; i++)
		out[i] = Int32GetDatum(ids[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(out, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* key_file_is_set(): whether cdp.key_file names a file. */
Datum
cdp_key_file_is_set(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cdp_keyfile_is_set());
}
