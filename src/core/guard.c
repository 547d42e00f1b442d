/*
 * guard.c
 *		The lock between an erasure and single calls that write.
 *
 * A call takes a shared advisory lock for each of its identifiers before it
 * looks at the suppression list, and keeps it until its transaction ends; an
 * erasure takes the locks of its person's identifiers alone.  So whoever found
 * nobody suppressed has ended before an erasure looks for rows.  256 locks
 * stand for all identifiers: a transaction of many calls must not fill the
 * server's lock table, and an erasure holds up few of the others.
 */
#include "cdp.h"

#include "common/hashfn.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "catalog/pg_type.h"

/* First number of our advisory locks of two numbers; the second is a bucket, or -1 for batches. */
#define CDP_GUARD_CLASS 7234570
#define CDP_GUARD_BUCKETS 256

CDP_FUNCTION(cdp_guard_bucket);
CDP_FUNCTION(cdp_guard_calls);

/* The bucket of an identifier: of the bytes that the table compares, and its type. */
static int
guard_bucket(int16 type, text *value)
{
	return hash_combine(hash_bytes((unsigned char *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)),
						hash_bytes_uint32((uint32) type)) % CDP_GUARD_BUCKETS;
}

/* guard_bucket(smallint, text): the second number of the advisory lock of an identifier. */
Datum
cdp_guard_bucket(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(guard_bucket(PG_GETARG_INT16(0), PG_GETARG_TEXT_PP(1)));
}

/* Takes one of the locks, shared, until the transaction ends. */
static void
share(int bucket)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, CDP_GUARD_CLASS, bucket, 2);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

/*
 * guard_calls(smallint[], text[]): takes the locks of these identifiers in
 * the order of their buckets.  Keeps no memory of its own.
 */
Datum
cdp_guard_calls(PG_FUNCTION_ARGS)
{
	ArrayType  *types = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *values = PG_GETARG_ARRAYTYPE_P(1);
	Datum	   *type,
			   *value;
	bool	   *no_type,
			   *no_value;
	bool		wanted[CDP_GUARD_BUCKETS] = {0};
	int			n,
				m;

	deconstruct_array(types, INT2OID, 2, true, TYPALIGN_SHORT, &type, &no_type, &n);
	deconstruct_array(values, TEXTOID, -1, false, TYPALIGN_INT, &value, &no_value, &m);
	if (n != m)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("types and values of identifiers must be equally many"),
				 errdetail("There are %d types and %d values.", n, m)));
	for (int i = 0; i < n; i++)
		if (!no_type[i] && !no_value[i])
			wanted[guard_bucket(DatumGetInt16(type[i]), DatumGetTextPP(value[i]))] = true;
	for (int bucket = 0; bucket < CDP_GUARD_BUCKETS; bucket++)
		if (wanted[bucket])
			share(bucket);
	PG_RETURN_VOID();
}
