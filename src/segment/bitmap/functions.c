/*
 * functions.c
 *		The SQL functions on sets of customers.
 */
#include "segment/bitmap/roaring.h"

#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "port/pg_bitutils.h"
#include "segment/bitmap/sample.h"
#include "utils/array.h"

CDP_FUNCTION(cdp_roaring_build_add);
CDP_FUNCTION(cdp_roaring_build_final);
CDP_FUNCTION(cdp_roaring_union_add);
CDP_FUNCTION(cdp_roaring_union_final);
CDP_FUNCTION(cdp_roaring_and);
CDP_FUNCTION(cdp_roaring_or);
CDP_FUNCTION(cdp_roaring_andnot);
CDP_FUNCTION(cdp_roaring_count);
CDP_FUNCTION(cdp_roaring_has);
CDP_FUNCTION(cdp_roaring_ids);
CDP_FUNCTION(cdp_roaring_chunks);
CDP_FUNCTION(cdp_roaring_sample);
CDP_FUNCTION(cdp_roaring_overlap);
CDP_FUNCTION(cdp_segment_diff);

/* The context of the running aggregate. */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext cxt;

	if (!AggCheckCallContext(fcinfo, &cxt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("called outside an aggregate")));
	return cxt;
}

/* Makes a value of what a writer appended behind the space for its length. */
static Datum
finish_value(StringInfo out)
{
	SET_VARSIZE(out->data, out->len);
	return PointerGetDatum(out->data);
}

/* Starts a value. */
static void
begin_value(StringInfo out)
{
	initStringInfo(out);
	appendStringInfoSpaces(out, VARHDRSZ);
}

/* Transition of roaring_build(id); NULLs are left out. */
Datum
cdp_roaring_build_add(PG_FUNCTION_ARGS)
{
	CdpIdSet   *s = PG_ARGISNULL(0) ? NULL : (CdpIdSet *) PG_GETARG_POINTER(0);

	if (s == NULL)
	{
		MemoryContext cxt = aggregate_context(fcinfo);

		s = MemoryContextAlloc(cxt, sizeof(CdpIdSet));
		cdp_idset_init(s, cxt);
	}
	if (!PG_ARGISNULL(1))
	{
		int64		id = PG_GETARG_INT64(1);

		if (id < 0 || id > PG_UINT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("id out of range for a roaring bitmap"),
					 errdetail("It is %lld; ids go from 0 to %u.", (long long) id, PG_UINT32_MAX)));
		cdp_idset_add(s, (uint32) id);
	}
	PG_RETURN_POINTER(s);
}

/* Final of roaring_build(): the set, empty without rows. */
Datum
cdp_roaring_build_final(PG_FUNCTION_ARGS)
{
	CdpIdSet	nobody;
	StringInfoData out;

	cdp_idset_init(&nobody, CurrentMemoryContext);
	begin_value(&out);
	cdp_idset_write(PG_ARGISNULL(0) ? &nobody : (CdpIdSet *) PG_GETARG_POINTER(0), &out);
	PG_RETURN_DATUM(finish_value(&out));
}

/* Reads argument n as a set. */
static CdpRoaring *
bitmap_arg(FunctionCallInfo fcinfo, int n)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(n);

	return cdp_roaring_set_read(VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
}

/* Opens argument n for reading; the bytes live as long as the call. */
static void
open_arg(FunctionCallInfo fcinfo, int n, CdpBits *bits)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(n);

	cdp_bits_open(bits, VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
}

/* Transition of roaring_union(set); NULLs are left out. */
Datum
cdp_roaring_union_add(PG_FUNCTION_ARGS)
{
	CdpRoaring  *all = PG_ARGISNULL(0) ? NULL : (CdpRoaring *) PG_GETARG_POINTER(0);

	if (all == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(aggregate_context(fcinfo));

		all = cdp_roaring_set_empty();
		MemoryContextSwitchTo(before);
	}
	if (!PG_ARGISNULL(1))
	{
		CdpRoaring  *one = bitmap_arg(fcinfo, 1);

		cdp_roaring_set_or_with(all, one);
		cdp_roaring_set_free(one);
	}
	PG_RETURN_POINTER(all);
}

/* Final of roaring_union(): the set, empty without rows. */
Datum
cdp_roaring_union_final(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_BYTEA_P(cdp_roaring_set_write(cdp_roaring_set_empty()));
	PG_RETURN_BYTEA_P(cdp_roaring_set_write((CdpRoaring *) PG_GETARG_POINTER(0)));
}

/* roaring_and(a, b). */
Datum
cdp_roaring_and(PG_FUNCTION_ARGS)
{
	CdpRoaring  *a = bitmap_arg(fcinfo, 0);

	cdp_roaring_set_and_with(a, bitmap_arg(fcinfo, 1));
	PG_RETURN_BYTEA_P(cdp_roaring_set_write(a));
}

/* roaring_or(a, b). */
Datum
cdp_roaring_or(PG_FUNCTION_ARGS)
{
	CdpRoaring  *a = bitmap_arg(fcinfo, 0);

	cdp_roaring_set_or_with(a, bitmap_arg(fcinfo, 1));
	PG_RETURN_BYTEA_P(cdp_roaring_set_write(a));
}

/* roaring_andnot(a, b). */
Datum
cdp_roaring_andnot(PG_FUNCTION_ARGS)
{
	CdpRoaring  *a = bitmap_arg(fcinfo, 0);

	cdp_roaring_set_andnot_with(a, bitmap_arg(fcinfo, 1));
	PG_RETURN_BYTEA_P(cdp_roaring_set_write(a));
}

/* roaring_count(set). */
Datum
cdp_roaring_count(PG_FUNCTION_ARGS)
{
	CdpBits		b;

	open_arg(fcinfo, 0, &b);
	PG_RETURN_INT64((int64) b.count);
}

/* roaring_has(set, id). */
Datum
cdp_roaring_has(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(1);
	CdpBits		b;

	open_arg(fcinfo, 0, &b);
	PG_RETURN_BOOL(id >= 0 && id <= PG_UINT32_MAX && cdp_bits_has(&b, (uint32) id));
}

/* Where a walk over the ids of a set stands. */
typedef struct IdWalk
{
	CdpBits		bits;
	int32		next;			/* container to be opened */
	uint32		key;
	int			word;			/* of the open container; CDP_CHUNK_WORDS at its end */
	uint64		left;			/* bits of that word still to come */
	uint64		words[CDP_CHUNK_WORDS];
} IdWalk;

/* Starts a walk; the bytes must outlive it. */
static void
walk_begin(IdWalk *w, const void *bytes, Size len)
{
	cdp_bits_open(&w->bits, bytes, len);
	w->next = 0;
	w->left = 0;
	w->word = CDP_CHUNK_WORDS;
}

/* Tells the next id, false at the end. */
static bool
walk_next(IdWalk *w, uint32 *id)
{
	CdpContainer c;

	while (w->left == 0)
	{
		if (++w->word < CDP_CHUNK_WORDS)
			w->left = w->words[w->word];
		else
		{
			if (w->next == w->bits.n)
				return false;
			CHECK_FOR_INTERRUPTS();
			cdp_bits_container(&w->bits, w->next++, &c);
			cdp_container_words(&c, w->words);
			w->key = c.key;
			w->word = 0;
			w->left = w->words[0];
		}
	}
	*id = w->key << 16 | (uint32) (w->word * 64 + pg_rightmost_one_pos64(w->left));
	w->left &= w->left - 1;
	return true;
}

/* roaring_ids(set): the ids, rising; one a call. */
Datum
cdp_roaring_ids(PG_FUNCTION_ARGS)
{
	FuncCallContext *f;
	uint32		id;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext before;
		bytea	   *b;
		IdWalk	   *w;

		f = SRF_FIRSTCALL_INIT();
		before = MemoryContextSwitchTo(f->multi_call_memory_ctx);
		b = PG_GETARG_BYTEA_P_COPY(0);
		w = palloc(sizeof(IdWalk));
		walk_begin(w, VARDATA(b), VARSIZE(b) - VARHDRSZ);
		f->user_fctx = w;
		MemoryContextSwitchTo(before);
	}
	f = SRF_PERCALL_SETUP();
	if (walk_next(f->user_fctx, &id))
		SRF_RETURN_NEXT(f, Int64GetDatum((int64) id));
	SRF_RETURN_DONE(f);
}

/* roaring_chunks(set): each 65,536 ids as a set of their own. */
Datum
cdp_roaring_chunks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64	   *words = palloc(CDP_CHUNK_BYTES);
	CdpBits		b;

	InitMaterializedSRF(fcinfo, 0);
	open_arg(fcinfo, 0, &b);
	for (int32 i = 0; i < b.n; i++)
	{
		CdpContainer c;
		CdpWriter	w;
		StringInfoData out;
		Datum		values[3];
		bool		nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		cdp_bits_container(&b, i, &c);
		cdp_container_words(&c, words);
		begin_value(&out);
		cdp_writer_begin(&w);
		cdp_writer_add(&w, c.key, words);
		cdp_writer_end(&w, &out);
		values[0] = Int32GetDatum((int32) c.key);
		values[1] = finish_value(&out);
		values[2] = Int32GetDatum((int32) c.count);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		pfree(out.data);
	}
	PG_RETURN_NULL();
}

/* roaring_sample(set, fraction, seed): the ids that in_sample() takes. */
Datum
cdp_roaring_sample(PG_FUNCTION_ARGS)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(0);
	uint64		border = cdp_sample_border(PG_GETARG_FLOAT8(1));
	int64		seed = PG_GETARG_INT64(2);
	IdWalk	   *walk = palloc(sizeof(IdWalk));
	CdpIdSet	kept;
	StringInfoData out;
	uint32		id;

	cdp_idset_init(&kept, CurrentMemoryContext);
	walk_begin(walk, VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
	while (walk_next(walk, &id))
		if (cdp_sample_takes(id, seed, border))
			cdp_idset_add(&kept, id);
	begin_value(&out);
	cdp_idset_write(&kept, &out);
	PG_RETURN_DATUM(finish_value(&out));
}

/* roaring_overlap(sets): how many ids each pair shares, a set with itself too. */
Datum
cdp_roaring_overlap(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *element;
	bool	   *isnull;
	int			n;
	CdpRoaring **set;

	if (ARR_NDIM(a) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the sets must come as an array of one dimension"),
				 errdetail("It has %d.", ARR_NDIM(a)),
				 errhint("Make it with array_agg() or ARRAY[...] of bytea.")));
	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(a, BYTEAOID, -1, false, TYPALIGN_INT, &element, &isnull, &n);
	set = palloc(Max(n, 1) * sizeof(CdpRoaring *));
	for (int i = 0; i < n; i++)
	{
		bytea	   *b = isnull[i] ? NULL : DatumGetByteaPP(element[i]);

		CHECK_FOR_INTERRUPTS();
		set[i] = b == NULL ? cdp_roaring_set_empty() : cdp_roaring_set_read(VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
	}
	for (int i = 0; i < n; i++)
		for (int j = i; j < n; j++)
		{
			Datum		values[3];
			bool		nulls[3] = {false};

			CHECK_FOR_INTERRUPTS();
			values[0] = Int32GetDatum(i + 1);
			values[1] = Int32GetDatum(j + 1);
			values[2] = Int64GetDatum((int64) (i == j ? cdp_roaring_set_count(set[i]) : cdp_roaring_set_count_and(set[i], set[j])));
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	PG_RETURN_NULL();
}

/* segment_diff(before, after): who entered and who left, by id. */
Datum
cdp_segment_diff(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	IdWalk	   *walk[2];
	uint32		id[2];
	bool		more[2];

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 2; i++)
	{
		CdpRoaring  *only = bitmap_arg(fcinfo, i);
		bytea	   *bytes;

		cdp_roaring_set_andnot_with(only, bitmap_arg(fcinfo, 1 - i));
		bytes = cdp_roaring_set_write(only);
		cdp_roaring_set_free(only);
		walk[i] = palloc(sizeof(IdWalk));
		walk_begin(walk[i], VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
		more[i] = walk_next(walk[i], &id[i]);
	}
	while (more[0] || more[1])
	{
		int			which = !more[0] || (more[1] && id[1] < id[0]) ? 1 : 0;
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = Int64GetDatum((int64) id[which]);
		values[1] = BoolGetDatum(which == 1);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		more[which] = walk_next(walk[which], &id[which]);
	}
	PG_RETURN_NULL();
}
