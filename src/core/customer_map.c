/*
 * customer_map.c
 *		From a customer to the root of its merges, for passes over millions of
 *		touchpoints, without a join.
 *
 * A query makes both maps once, as (SELECT ...), and asks customer_root() for
 * each row: the override of the identifier first, then the map.  Only merged
 * customers stand in the map.  It is dense (one 32-bit root per id of the
 * range) where that costs little, else a hash table of pairs.  Lookups check
 * all sizes, so that any bytes give an answer or an error, never a crash.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "storage/shmem.h"
#include "utils/array.h"

#define CUSTOMER_MAGIC 0x43445031
#define OVERRIDE_MAGIC 0x43445032
#define MAX_CUSTOMER PG_UINT32_MAX
#define SMALL_MAP (1024 * 1024)
#define MAX_MAP_DATA (MaxAllocSize - sizeof(MapHeader))

typedef enum MapKind
{
	MAP_EMPTY = 0,
	MAP_DENSE = 1,
	MAP_HASH = 2
} MapKind;

typedef struct MapHeader
{
	int32		vl_len_;
	uint32		magic;
	uint32		kind;
	uint32		nslots;
	uint32		base;			/* dense: the id of slot 0 */
	uint32		unused;
} MapHeader;

/* A pair of a hash map; id 0 marks a free slot. */
typedef struct MapPair
{
	uint32		id;
	uint32		root;
} MapPair;

typedef struct OverridePair
{
	uint64		identifier;
	uint64		customer;
} OverridePair;

/* What the aggregates collect before they build. */
typedef struct PairState
{
	MemoryContext cxt;
	int64		n;
	int64		allocated;
	OverridePair *pair;			/* identifier or child; customer or parent */
} PairState;

typedef struct CodeState
{
	MemoryContext cxt;
	int32		n;
	int32		allocated;
	int32	   *code;
} CodeState;

CDP_FUNCTION(cdp_customer_map_add);
CDP_FUNCTION(cdp_customer_map_final);
CDP_FUNCTION(cdp_override_map_add);
CDP_FUNCTION(cdp_override_map_final);
CDP_FUNCTION(cdp_customer_root);
CDP_FUNCTION(cdp_dense_codes_add);
CDP_FUNCTION(cdp_dense_codes_final);
CDP_FUNCTION(cdp_dense_lookup);
CDP_FUNCTION(cdp_dense_name);

/* Home slot of an id among nslots. */
static inline uint32
home_slot(uint32 id, uint32 nslots)
{
	return (uint32) (((uint64) (id * 0x9E3779B1U) * nslots) >> 32);
}

/* Home slot of an identifier among nslots. */
static inline uint32
identifier_slot(uint64 id, uint32 nslots)
{
	return (uint32) ((((id * UINT64CONST(0x9E3779B97F4A7C15)) >> 32) * nslots) >> 32);
}

/* Raises the error of bytes that are no map. */
static void
bad_map(const char *what, Size size)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid %s", what),
			 errdetail("It has %zu bytes that do not fit its header.", size)));
}

/* Checks that a map's header and size agree; everything else is checked at the lookup. */
static inline const MapHeader *
open_map(bytea *b, uint32 magic, Size slot_size, const char *what)
{
	const MapHeader *h = (const MapHeader *) b;
	Size		size = VARSIZE(b);

	if (unlikely(size < sizeof(MapHeader) || h->magic != magic || h->kind > MAP_HASH ||
				 size - sizeof(MapHeader) != (Size) h->nslots * (h->kind == MAP_DENSE ? sizeof(uint32) : slot_size)))
		bad_map(what, size);
	return h;
}

/* Where a dense or hash map keeps the root of an id; NULL when the id is not merged. */
static inline uint32 *
map_entry(const MapHeader *h, uint32 id)
{
	if (h->kind == MAP_DENSE)
	{
		uint32	   *slot = (uint32 *) (h + 1);
		uint32		i = id - h->base;

		return (id >= h->base && i < h->nslots && slot[i] != 0) ? &slot[i] : NULL;
	}
	if (h->nslots > 0)
	{
		MapPair    *pair = (MapPair *) (h + 1);
		uint32		i = home_slot(id, h->nslots);

		for (uint32 tried = 0; tried < h->nslots; tried++)
		{
			if (pair[i].id == id)
				return &pair[i].root;
			if (pair[i].id == 0)
				return NULL;
			if (++i == h->nslots)
				i = 0;
			if (unlikely((tried & 0xFFFF) == 0xFFFF))
				CHECK_FOR_INTERRUPTS();
		}
	}
	return NULL;
}

/* The customer that an override gives an identifier; 0 when there is none. */
static inline uint64
find_override(const MapHeader *h, uint64 identifier)
{
	const char *data = (const char *) (h + 1);
	uint32		i;

	if (h->nslots == 0 || identifier == 0)
		return 0;
	i = identifier_slot(identifier, h->nslots);
	for (uint32 tried = 0; tried < h->nslots; tried++)
	{
		OverridePair pair;

		/* A value inside a tuple is aligned to four bytes only. */
		memcpy(&pair, data + (Size) i * sizeof(OverridePair), sizeof(OverridePair));
		if (pair.identifier == identifier)
			return pair.customer;
		if (pair.identifier == 0)
			return 0;
		if (++i == h->nslots)
			i = 0;
		if (unlikely((tried & 0xFFFF) == 0xFFFF))
			CHECK_FOR_INTERRUPTS();
	}
	return 0;
}

/*
 * customer_root(map, overrides, customer_id, identifier_id): root of the
 * customer to whom the touch belongs.  A NULL map counts as empty.
 */
Datum
cdp_customer_root(PG_FUNCTION_ARGS)
{
	int64		customer;
	uint32	   *root;

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	customer = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(3))
	{
		const MapHeader *h = open_map(PG_GETARG_BYTEA_P(1), OVERRIDE_MAGIC, sizeof(OverridePair), "map of overrides");
		uint64		moved = find_override(h, (uint64) PG_GETARG_INT64(3));

		if (moved != 0)
			customer = (int64) moved;
	}
	if (!PG_ARGISNULL(0) && customer > 0 && customer <= MAX_CUSTOMER)
	{
		const MapHeader *h = open_map(PG_GETARG_BYTEA_P(0), CUSTOMER_MAGIC, sizeof(MapPair), "map of customers");

		root = map_entry(h, (uint32) customer);
		if (root != NULL)
			customer = *root;
	}
	PG_RETURN_INT64(customer);
}

/* Appends a pair to the state, which lives in the aggregate's context. */
static PairState *
add_pair(FunctionCallInfo fcinfo, uint64 a, uint64 b)
{
	PairState  *s = PG_ARGISNULL(0) ? NULL : (PairState *) PG_GETARG_POINTER(0);

	if (s == NULL)
	{
		MemoryContext cxt;

		if (!AggCheckCallContext(fcinfo, &cxt))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("called outside an aggregate")));
		s = MemoryContextAllocZero(cxt, sizeof(PairState));
		s->cxt = cxt;
		s->allocated = 256;
		s->pair = MemoryContextAlloc(cxt, s->allocated * sizeof(OverridePair));
	}
	if (s->n == s->allocated)
	{
		s->allocated *= 2;
		s->pair = repalloc_huge(s->pair, mul_size(s->allocated, sizeof(OverridePair)));
	}
	s->pair[s->n].identifier = a;
	s->pair[s->n].customer = b;
	s->n++;
	return s;
}

/* Raises unless the number can be a customer. */
static void
check_customer(int64 customer)
{
	if (customer < 1 || customer > MAX_CUSTOMER)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("customer id out of range"),
				 errdetail("It is %lld; customers have ids from 1 to %u.", (long long) customer, MAX_CUSTOMER)));
}

/* Makes a zeroed map of the kind and size; the caller owns it. */
static MapHeader *
make_map(uint32 magic, MapKind kind, uint32 nslots, Size slot_size)
{
	Size		size = add_size(sizeof(MapHeader), mul_size(nslots, slot_size));
	MapHeader  *h = palloc0(size);

	SET_VARSIZE(h, size);
	h->magic = magic;
	h->kind = kind;
	h->nslots = nslots;
	return h;
}

/* Transition of customer_map(customer_id, parent_id); roots and NULLs are left out. */
Datum
cdp_customer_map_add(PG_FUNCTION_ARGS)
{
	PairState  *s = PG_ARGISNULL(0) ? NULL : (PairState *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		check_customer(PG_GETARG_INT64(1));
		check_customer(PG_GETARG_INT64(2));
		if (PG_GETARG_INT64(1) != PG_GETARG_INT64(2))
			s = add_pair(fcinfo, PG_GETARG_INT64(1), PG_GETARG_INT64(2));
	}
	if (s == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(s);
}

/* Chooses dense or hash for these pairs and makes the empty map. */
static MapHeader *
choose_customer_map(const PairState *s)
{
	uint64		low = MAX_CUSTOMER,
				high = 0,
				dense,
				nslots;
	MapHeader  *h;

	for (int64 i = 0; i < s->n; i++)
	{
		low = Min(low, s->pair[i].identifier);
		high = Max(high, s->pair[i].identifier);
	}
	dense = (high - low + 1) * sizeof(uint32);
	nslots = (uint64) s->n + s->n / 2 + 1;
	if (nslots * sizeof(MapPair) > MAX_MAP_DATA)
		nslots = MAX_MAP_DATA / sizeof(MapPair);

	if (dense <= MAX_MAP_DATA && (dense <= SMALL_MAP || dense <= 2 * nslots * sizeof(MapPair)))
	{
		h = make_map(CUSTOMER_MAGIC, MAP_DENSE, (uint32) (high - low + 1), sizeof(uint32));
		h->base = (uint32) low;
		return h;
	}
	/* A full table would make every miss walk all of it. */
	if ((uint64) s->n > nslots - nslots / 16)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many merged customers for one map"),
				 errdetail("%lld merged customers over ids %llu to %llu; the map holds at most %llu.",
						   (long long) s->n, (unsigned long long) low, (unsigned long long) high,
						   (unsigned long long) (nslots - nslots / 16)),
				 errhint("Let the report run over ranges of customers.")));
	return make_map(CUSTOMER_MAGIC, MAP_HASH, (uint32) nslots, sizeof(MapPair));
}

/* Puts one parent into the map; the same customer twice must name the same parent. */
static void
put_parent(MapHeader *h, uint32 id, uint32 parent)
{
	uint32	   *found = map_entry(h, id);

	if (found != NULL)
	{
		if (*found != parent)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("customer %u has two parents", id),
					 errdetail("They are %u and %u.", *found, parent)));
		return;
	}
	if (h->kind == MAP_DENSE)
		((uint32 *) (h + 1))[id - h->base] = parent;
	else
	{
		MapPair    *pair = (MapPair *) (h + 1);
		uint32		i = home_slot(id, h->nslots);

		while (pair[i].id != 0)
			i = (i + 1 == h->nslots) ? 0 : i + 1;
		pair[i].id = id;
		pair[i].root = parent;
	}
}

/* Follows an id to its root and points everything on the way there; a circle is an error. */
static void
compress_path(const MapHeader *h, uint32 id, int64 limit)
{
	uint32		root = id;
	uint32	   *next;
	int64		steps = 0;

	while ((next = map_entry(h, root)) != NULL)
	{
		root = *next;
		if ((++steps & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (steps > limit)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the parents of customer %u form a circle", id),
					 errdetail("%lld steps did not end at a root.", (long long) steps),
					 errhint("SELECT * FROM cdp.health() names the customers concerned.")));
	}
	while ((next = map_entry(h, id)) != NULL && *next != root)
	{
		id = *next;
		*next = root;
	}
}

/* Final of customer_map(): the map as bytes, empty when nothing is merged. */
Datum
cdp_customer_map_final(PG_FUNCTION_ARGS)
{
	PairState  *s = PG_ARGISNULL(0) ? NULL : (PairState *) PG_GETARG_POINTER(0);
	MapHeader  *h;

	if (s == NULL)
		PG_RETURN_POINTER(make_map(CUSTOMER_MAGIC, MAP_EMPTY, 0, sizeof(MapPair)));
	h = choose_customer_map(s);
	for (int64 i = 0; i < s->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_parent(h, (uint32) s->pair[i].identifier, (uint32) s->pair[i].customer);
	}
	for (int64 i = 0; i < s->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		compress_path(h, (uint32) s->pair[i].identifier, s->n);
	}
	PG_RETURN_POINTER(h);
}

/* Transition of override_map(identifier_id, customer_id); NULLs are left out. */
Datum
cdp_override_map_add(PG_FUNCTION_ARGS)
{
	PairState  *s = PG_ARGISNULL(0) ? NULL : (PairState *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		check_customer(PG_GETARG_INT64(2));
		if (PG_GETARG_INT64(1) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("identifier id out of range"),
					 errdetail("It is 0.")));
		s = add_pair(fcinfo, (uint64) PG_GETARG_INT64(1), (uint64) PG_GETARG_INT64(2));
	}
	if (s == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(s);
}

/* Final of override_map(): a hash table as bytes. */
Datum
cdp_override_map_final(PG_FUNCTION_ARGS)
{
	PairState  *s = PG_ARGISNULL(0) ? NULL : (PairState *) PG_GETARG_POINTER(0);
	MapHeader  *h;
	OverridePair *pair;
	uint64		nslots;

	if (s == NULL)
		PG_RETURN_POINTER(make_map(OVERRIDE_MAGIC, MAP_EMPTY, 0, sizeof(OverridePair)));
	nslots = (uint64) s->n + s->n / 2 + 1;
	if (nslots * sizeof(OverridePair) > MAX_MAP_DATA)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many overridden identifiers for one map"),
				 errdetail("There are %lld.", (long long) s->n)));
	h = make_map(OVERRIDE_MAGIC, MAP_HASH, (uint32) nslots, sizeof(OverridePair));
	pair = (OverridePair *) (h + 1);
	for (int64 n = 0; n < s->n; n++)
	{
		uint32		i = identifier_slot(s->pair[n].identifier, h->nslots);

		CHECK_FOR_INTERRUPTS();
		while (pair[i].identifier != 0 && pair[i].identifier != s->pair[n].identifier)
			i = (i + 1 == h->nslots) ? 0 : i + 1;
		if (pair[i].identifier != 0 && pair[i].customer != s->pair[n].customer)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("identifier %lld has two overrides", (long long) pair[i].identifier)));
		pair[i] = s->pair[n];
	}
	PG_RETURN_POINTER(h);
}

/* Transition of dense_codes(id, code): a table of codes by id, in the aggregate's context. */
Datum
cdp_dense_codes_add(PG_FUNCTION_ARGS)
{
	CodeState  *s = PG_ARGISNULL(0) ? NULL : (CodeState *) PG_GETARG_POINTER(0);
	MemoryContext cxt;
	int32		id;

	if (!AggCheckCallContext(fcinfo, &cxt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("called outside an aggregate")));
	if (s == NULL)
	{
		s = MemoryContextAllocZero(cxt, sizeof(CodeState));
		s->cxt = cxt;
		s->allocated = 1024;
		s->code = MemoryContextAllocZero(cxt, s->allocated * sizeof(int32));
	}
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(s);
	id = PG_GETARG_INT32(1);
	if (id < 1 || id > (int32) (MaxAllocSize / sizeof(int32)) - 1024)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("id out of range for a dense table"),
				 errdetail("It is %d; ids from 1 to %d fit.", id, (int32) (MaxAllocSize / sizeof(int32)) - 1024)));
	if (id > s->allocated)
	{
		int32		more = (int32) Min((int64) id * 2, (int64) (MaxAllocSize / sizeof(int32)));

		s->code = repalloc_huge(s->code, mul_size(more, sizeof(int32)));
		memset(s->code + s->allocated, 0, mul_size(more - s->allocated, sizeof(int32)));
		s->allocated = more;
	}
	s->code[id - 1] = PG_GETARG_INT32(2);
	s->n = Max(s->n, id);
	PG_RETURN_POINTER(s);
}

/* Final of dense_codes(): an int[] whose element n is the code of id n, 0 where there is none. */
Datum
cdp_dense_codes_final(PG_FUNCTION_ARGS)
{
	CodeState  *s = PG_ARGISNULL(0) ? NULL : (CodeState *) PG_GETARG_POINTER(0);
	ArrayType  *a;
	Size		size;

	if (s == NULL || s->n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));
	size = add_size(ARR_OVERHEAD_NONULLS(1), mul_size(s->n, sizeof(int32)));
	a = palloc0(size);
	SET_VARSIZE(a, size);
	a->ndim = 1;
	a->elemtype = INT4OID;
	ARR_DIMS(a)[0] = s->n;
	ARR_LBOUND(a)[0] = 1;
	memcpy(ARR_DATA_PTR(a), s->code, mul_size(s->n, sizeof(int32)));
	PG_RETURN_ARRAYTYPE_P(a);
}

/* dense_lookup(codes int[], id): codes[id], NULL outside the array or where it is 0. */
Datum
cdp_dense_lookup(PG_FUNCTION_ARGS)
{
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P(0);
	int32		id = PG_GETARG_INT32(1);
	int32		code;

	if (ARR_NDIM(a) == 0)
		PG_RETURN_NULL();
	if (ARR_NDIM(a) != 1 || ARR_HASNULL(a) || ARR_ELEMTYPE(a) != INT4OID || ARR_LBOUND(a)[0] != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("codes must be a one-dimensional int array from 1 without NULLs"),
				 errdetail("It has %d dimensions.", ARR_NDIM(a)),
				 errhint("Build it with cdp_internal.dense_codes(id, code).")));
	if (id < 1 || id > ARR_DIMS(a)[0])
		PG_RETURN_NULL();
	code = ((int32 *) ARR_DATA_PTR(a))[id - 1];
	if (code == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(code);
}

/* The names of dense_name() taken apart, kept with the call. */
typedef struct NameCache
{
	int			n;
	Datum	   *name;			/* into a copy of the array */
} NameCache;

/* Takes an array of names apart, in a copy of its own in cxt. */
static NameCache *
open_names(FunctionCallInfo fcinfo, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NameCache  *names = palloc(sizeof(NameCache));
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P_COPY(0);

	if (ARR_NDIM(a) > 1 || ARR_HASNULL(a) || ARR_ELEMTYPE(a) != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("names must be a one-dimensional text array without NULLs"),
				 errdetail("It has %d dimensions.", ARR_NDIM(a))));
	deconstruct_array(a, TEXTOID, -1, false, TYPALIGN_INT, &names->name, NULL, &names->n);
	MemoryContextSwitchTo(old);
	return names;
}

/* dense_name(names text[], code): names[code] without a walk along the array; NULL outside of it. */
Datum
cdp_dense_name(PG_FUNCTION_ARGS)
{
	NameCache  *names = fcinfo->flinfo->fn_extra;
	int32		code = PG_GETARG_INT32(1);

	if (names == NULL)
	{
		/* Kept only where all rows bring the same array. */
		bool		stable = get_fn_expr_arg_stable(fcinfo->flinfo, 0);

		names = open_names(fcinfo, stable ? fcinfo->flinfo->fn_mcxt : CurrentMemoryContext);
		if (stable)
			fcinfo->flinfo->fn_extra = names;
	}
	if (code < 1 || code > names->n)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(names->name[code - 1]);
}
