/*
 * passresult.c
 *		Writes and opens the result of a pass, and shows it to SQL.
 *
 * Layout: magic, number of atoms, the set of customers met, each atom (answer
 * of the unseen, set of true, set of unknown), number of flips, the flips by
 * customer.  A set is its length and its portable bytes.
 */
#include "segment/bitmap/passresult.h"

#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#define PASS_MAGIC 0x43445053
#define FLIP_BYTES 12

CDP_FUNCTION(cdp_segment_pass_events);
CDP_FUNCTION(cdp_segment_pass_seen);
CDP_FUNCTION(cdp_segment_pass_flips);
CDP_FUNCTION(cdp_segment_pass_join);

/* Appends the length and the bytes of a set; NULL is the empty one. */
static void
put_set(StringInfo out, CdpIdSet *s)
{
	int			at = out->len;
	uint32		len = 0;
	CdpIdSet	nobody;

	cdp_idset_init(&nobody, CurrentMemoryContext);
	appendBinaryStringInfo(out, (char *) &len, sizeof(len));
	cdp_idset_write(s != NULL ? s : &nobody, out);
	len = out->len - at - sizeof(len);
	memcpy(out->data + at, &len, sizeof(len));
}

/* Starts a result; seen: the customers that the pass met. */
void
cdp_passresult_begin(StringInfo out, int natoms, CdpIdSet *seen)
{
	uint32		head[2] = {PASS_MAGIC, (uint32) natoms};

	initStringInfo(out);
	appendStringInfoSpaces(out, VARHDRSZ);
	appendBinaryStringInfo(out, (char *) head, sizeof(head));
	put_set(out, seen);
}

/* Adds the next atom; a NULL set is empty. */
void
cdp_passresult_atom(StringInfo out, CdpIdSet *yes, CdpIdSet *unknown, CdpTruth unseen)
{
	appendStringInfoChar(out, (char) unseen);
	put_set(out, yes);
	put_set(out, unknown);
}

/* Orders flips by customer, then moment. */
static int
by_customer(const void *a, const void *b)
{
	const CdpFlip *x = a,
			   *y = b;

	if (x->customer != y->customer)
		return x->customer < y->customer ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Adds the flips, in any order; each customer's earliest stays. Sorts the array. */
void
cdp_passresult_flips(StringInfo out, CdpFlip *flips, int64 n)
{
	int			at = out->len;
	int64		kept = 0;

	if (n > 1)
		qsort(flips, n, sizeof(CdpFlip), by_customer);
	appendBinaryStringInfo(out, (char *) &kept, sizeof(kept));
	for (int64 i = 0; i < n; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i > 0 && flips[i].customer == flips[i - 1].customer)
			continue;
		appendBinaryStringInfo(out, (char *) &flips[i].customer, sizeof(uint32));
		appendBinaryStringInfo(out, (char *) &flips[i].at, sizeof(int64));
		kept++;
	}
	memcpy(out->data + at, &kept, sizeof(kept));
}

/* The finished value; the caller owns it. */
bytea *
cdp_passresult_finish(StringInfo out)
{
	SET_VARSIZE(out->data, out->len);
	return (bytea *) out->data;
}

/* Bytes of a result that are still to be read. */
typedef struct Cursor
{
	const char *at;
	Size		left;
	Size		size;			/* of the whole */
} Cursor;

CDP_NORETURN static void broken(const Cursor *c);

/* Raises the error of bytes that are no result. */
static void
broken(const Cursor *c)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid result of a segment pass"),
			 errdetail("Its %zu bytes do not fit what they say they hold.", c->size),
			 errhint("Give the value as segment_pass() or segment_attribute_pass() returned it.")));
}

/* Takes the next bytes; raises when there are fewer. */
static const char *
take(Cursor *c, Size n)
{
	const char *p = c->at;

	if (c->left < n)
		broken(c);
	c->at += n;
	c->left -= n;
	return p;
}

/* Takes a length and that many bytes. */
static const char *
take_set(Cursor *c, Size *len)
{
	uint32		n;

	memcpy(&n, take(c, sizeof(n)), sizeof(n));
	*len = n;
	return take(c, n);
}

/* Opens a result; its sets are checked by who reads them, all else here (22P03). */
void
cdp_passresult_open(CdpPassResult *r, bytea *bytes)
{
	Cursor		c = {VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), VARSIZE_ANY_EXHDR(bytes)};
	uint32		head[2];
	int64		before = -1;

	memcpy(head, take(&c, sizeof(head)), sizeof(head));
	if (head[0] != PASS_MAGIC || head[1] > c.left / 9)
		broken(&c);
	r->natoms = (int) head[1];
	r->atom = palloc(Max(r->natoms, 1) * sizeof(CdpPassAtom));
	r->seen = take_set(&c, &r->seen_len);
	for (int i = 0; i < r->natoms; i++)
	{
		CdpPassAtom *a = &r->atom[i];
		unsigned char unseen = *take(&c, 1);

		if (unseen > CDP_UNKNOWN)
			broken(&c);
		a->unseen = (CdpTruth) unseen;
		a->yes = take_set(&c, &a->yes_len);
		a->unknown = take_set(&c, &a->unknown_len);
	}
	memcpy(&r->nflips, take(&c, sizeof(int64)), sizeof(int64));
	if (r->nflips < 0 || r->nflips != c.left / FLIP_BYTES || c.left % FLIP_BYTES != 0)
		broken(&c);
	r->flips = take(&c, c.left);
	for (int64 i = 0; i < r->nflips; i++)
	{
		uint32		customer;

		memcpy(&customer, r->flips + i * FLIP_BYTES, sizeof(customer));
		if ((int64) customer <= before)
			broken(&c);
		before = customer;
	}
}

/* Copies the bytes of a set into a value. */
static Datum
set_datum(const char *bytes, Size len)
{
	bytea	   *b = palloc(VARHDRSZ + len);
	CdpBits		checked;

	cdp_bits_open(&checked, bytes, len);
	pfree(checked.at);
	SET_VARSIZE(b, VARHDRSZ + len);
	memcpy(VARDATA(b), bytes, len);
	return PointerGetDatum(b);
}

/* segment_pass_events(result): a row for each atom. */
Datum
cdp_segment_pass_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpPassResult r;

	InitMaterializedSRF(fcinfo, 0);
	cdp_passresult_open(&r, PG_GETARG_BYTEA_PP(0));
	for (int i = 0; i < r.natoms; i++)
	{
		const CdpPassAtom *a = &r.atom[i];
		Datum		values[4];
		bool		nulls[4] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum(i);
		values[1] = set_datum(a->yes, a->yes_len);
		values[2] = set_datum(a->unknown, a->unknown_len);
		values[3] = BoolGetDatum(a->unseen == CDP_TRUE);
		nulls[3] = a->unseen == CDP_UNKNOWN;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		pfree(DatumGetPointer(values[1]));
		pfree(DatumGetPointer(values[2]));
	}
	PG_RETURN_NULL();
}

/* segment_pass_seen(result): the customers that the pass met. */
Datum
cdp_segment_pass_seen(PG_FUNCTION_ARGS)
{
	CdpPassResult r;

	cdp_passresult_open(&r, PG_GETARG_BYTEA_PP(0));
	PG_RETURN_DATUM(set_datum(r.seen, r.seen_len));
}

/* segment_pass_flips(result): a row for each customer with a flip. */
Datum
cdp_segment_pass_flips(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpPassResult r;

	InitMaterializedSRF(fcinfo, 0);
	cdp_passresult_open(&r, PG_GETARG_BYTEA_PP(0));
	for (int64 i = 0; i < r.nflips; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};
		uint32		customer;
		int64		at;

		CHECK_FOR_INTERRUPTS();
		memcpy(&customer, r.flips + i * FLIP_BYTES, sizeof(customer));
		memcpy(&at, r.flips + i * FLIP_BYTES + sizeof(customer), sizeof(at));
		values[0] = Int64GetDatum(customer);
		values[1] = TimestampTzGetDatum(at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* Appends the length and the bytes of the union of a set of each part. */
static void
put_union(StringInfo out, int n, const char **bytes, const Size *len)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "cdp union of parts", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpRoaring *all = cdp_roaring_set_empty();
	bytea	   *written;
	uint32		size;

	for (int i = 0; i < n; i++)
	{
		CdpRoaring *part = cdp_roaring_set_read(bytes[i], len[i]);

		cdp_roaring_set_or_with(all, part);
		cdp_roaring_set_free(part);
	}
	written = cdp_roaring_set_write(all);
	size = VARSIZE_ANY_EXHDR(written);
	MemoryContextSwitchTo(old);
	appendBinaryStringInfo(out, (char *) &size, sizeof(size));
	appendBinaryStringInfo(out, VARDATA_ANY(written), size);
	MemoryContextDelete(cxt);
}

/* The flips of all parts; palloc'd. */
static CdpFlip *
all_flips(const CdpPassResult *part, int n, int64 *nflips)
{
	CdpFlip    *flips;
	int64		at = 0;

	*nflips = 0;
	for (int i = 0; i < n; i++)
		*nflips += part[i].nflips;
	flips = palloc_extended(sizeof(CdpFlip) * Max(*nflips, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		for (int64 k = 0; k < part[i].nflips; k++, at++)
		{
			memcpy(&flips[at].customer, part[i].flips + k * FLIP_BYTES, sizeof(uint32));
			memcpy(&flips[at].at, part[i].flips + k * FLIP_BYTES + sizeof(uint32), sizeof(int64));
		}
	return flips;
}

/* segment_pass_join(results): what one pass over the customers of several passes gives; NULL for none. */
Datum
cdp_segment_pass_join(PG_FUNCTION_ARGS)
{
	Datum	   *given;
	bool	   *nulls;
	int			n;
	CdpPassResult *part;
	const char **bytes;
	Size	   *len;
	CdpFlip    *flips;
	int64		nflips;
	uint32		head[2] = {PASS_MAGIC, 0};
	StringInfoData out;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, -1, false, TYPALIGN_INT, &given, &nulls, &n);
	if (n == 0)
		PG_RETURN_NULL();
	part = palloc(sizeof(CdpPassResult) * n);
	bytes = palloc(sizeof(char *) * n);
	len = palloc(sizeof(Size) * n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a part of a pass must not be NULL")));
		cdp_passresult_open(&part[i], DatumGetByteaPP(given[i]));
		if (part[i].natoms != part[0].natoms)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parts of a pass must be of one plan"),
					 errdetail("One has %d atoms, another one %d.", part[0].natoms, part[i].natoms)));
		bytes[i] = part[i].seen;
		len[i] = part[i].seen_len;
	}
	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	head[1] = (uint32) part[0].natoms;
	appendBinaryStringInfo(&out, (char *) head, sizeof(head));
	put_union(&out, n, bytes, len);
	for (int a = 0; a < part[0].natoms; a++)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(&out, (char) part[0].atom[a].unseen);
		for (int i = 0; i < n; i++)
		{
			bytes[i] = part[i].atom[a].yes;
			len[i] = part[i].atom[a].yes_len;
		}
		put_union(&out, n, bytes, len);
		for (int i = 0; i < n; i++)
		{
			bytes[i] = part[i].atom[a].unknown;
			len[i] = part[i].atom[a].unknown_len;
		}
		put_union(&out, n, bytes, len);
	}
	flips = all_flips(part, n, &nflips);
	cdp_passresult_flips(&out, flips, nflips);
	PG_RETURN_BYTEA_P(cdp_passresult_finish(&out));
}
