/*
 * identify_find.c
 *		Who is known: roots of customers, and the identifiers and links of a
 *		record as they stand.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"

#include "identity/graph/identify.h"

CDP_FUNCTION(cdp_root_of);
CDP_FUNCTION(cdp_identifier_root);
CDP_FUNCTION(cdp_identify_find);

/* Columns of the statements that tell where an identifier stands. */
enum
{
	AT_PLACE = 1, AT_ID, AT_HOME, AT_QUARANTINED, AT_FIRST, AT_LAST, AT_OWNER, AT_PARENT, AT_XMIN, AT_TID, AT_PAIRED
};

/* The version of a row of customers among the last statement's rows; xmin is in the column given, ctid in the next. */
static void
read_version(uint64 row, int column, CdpVersion *version)
{
	bool		isnull;
	Datum		xmin = cdp_cell(row, column, &isnull);

	memset(version, 0, sizeof(CdpVersion));
	if (isnull)
		return;
	version->xmin = DatumGetTransactionId(xmin);
	ItemPointerCopy((ItemPointer) DatumGetPointer(cdp_cell(row, column + 1, &isnull)), &version->tid);
}

/* The parent of a customer by the tables, and the version of its row; 0 for an unknown one. */
static int64
parent_of(int64 customer_id, CdpVersion *version)
{
	Datum		arg = Int64GetDatum(customer_id);
	int64		parent;

	cdp_read(CDP_PARENT, &arg, NULL);
	parent = SPI_processed > 0 ? cdp_cell_int8(0, 1) : 0;
	if (parent != 0)
		read_version(0, 2, version);
	cdp_done();
	return parent;
}

/* The customer at the end of the parents of this one, and the version of its row; itself for a root; 0 for an unknown customer. */
int64
cdp_root(int64 customer_id, CdpVersion *version)
{
	int64		here = customer_id,
				marker = 0;

	for (uint64 steps = 1;; steps++)
	{
		int64		above = parent_of(here, version);

		if (above == 0 || above == here)
			return above;
		/* A marker that moves at powers of two meets any circle (Brent), so that a damaged table cannot hang a call. */
		if (above == marker)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("parents of customers run in a circle"),
					 errdetail("Customer %lld is its own ancestor.", (long long) above),
					 errhint("SELECT * FROM cdp.health(); tells what to do.")));
		if ((steps & (steps - 1)) == 0)
			marker = here;
		here = above;
		CHECK_FOR_INTERRUPTS();
	}
}

/* root_of(customer_id): the root, NULL for an unknown customer. */
Datum
cdp_root_of(PG_FUNCTION_ARGS)
{
	CdpVersion	version;
	int64		root;

	SPI_connect();
	root = cdp_root(PG_GETARG_INT64(0), &version);
	SPI_finish();
	if (root == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(root);
}

/* identifier_root(identifier_id): the root to whom it belongs, NULL for an unknown one. */
Datum
cdp_identifier_root(PG_FUNCTION_ARGS)
{
	Datum		arg = PG_GETARG_DATUM(0);
	CdpVersion	version;
	int64		root = 0;

	SPI_connect();
	cdp_read(CDP_PLACE_OF, &arg, NULL);
	if (SPI_processed > 0)
		root = cdp_cell_int8(0, 1);
	cdp_done();
	if (root != 0)
		root = cdp_root(root, &version);
	SPI_finish();
	if (root == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(root);
}

/* Orders values by their bytes. */
static int
compare_values(const text *a, const text *b)
{
	int			la = VARSIZE_ANY_EXHDR(a),
				lb = VARSIZE_ANY_EXHDR(b);
	int			c = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(la, lb));

	return c != 0 ? c : la - lb;
}

/* Orders identifiers: the strongest first. */
static int
compare_ones(const void *x, const void *y)
{
	const CdpOne *a = x,
			   *b = y;

	if (a->type->priority != b->type->priority)
		return a->type->priority - b->type->priority;
	if (a->type->type_id != b->type->type_id)
		return a->type->type_id - b->type->type_id;
	return compare_values(a->value, b->value);
}

/* Sorts the identifiers of a record, the strongest first, and leaves each in once. */
void
cdp_record_sort(CdpRecord *r)
{
	int			n = 0;

	qsort(r->one, r->k, sizeof(CdpOne), compare_ones);
	for (int i = 0; i < r->k; i++)
	{
		if (n == 0 || compare_ones(&r->one[n - 1], &r->one[i]) != 0)
			r->one[n++] = r->one[i];
	}
	r->k = n;
}

/*
 * Takes the identifiers of a record, which point into the arrays: those of a
 * known type that is not ignored and with a value, each once, the strongest
 * first.
 */
void
cdp_record_take(CdpRecord *r, ArrayType *type_ids, ArrayType *vals)
{
	Datum	   *type,
			   *value;
	bool	   *no_type,
			   *no_value;
	int			ntypes,
				nvalues;

	deconstruct_array(type_ids, INT2OID, sizeof(int16), true, TYPALIGN_SHORT, &type, &no_type, &ntypes);
	deconstruct_array(vals, TEXTOID, -1, false, TYPALIGN_INT, &value, &no_value, &nvalues);
	r->k = 0;
	for (int i = 0; i < Min(ntypes, nvalues); i++)
	{
		CdpOne	   *one;

		if (no_type[i] || no_value[i])
			continue;
		if (r->k == CDP_RECORD_MAX)
			elog(ERROR, "a record of more than %d identifiers", CDP_RECORD_MAX);
		one = &r->one[r->k];
		one->type = cdp_type(r->lists, DatumGetInt16(type[i]));
		one->value = DatumGetTextPP(value[i]);
		if (one->type == NULL || one->type->ignored || VARSIZE_ANY_EXHDR(one->value) == 0)
			continue;
		r->k++;
	}
	cdp_record_sort(r);
}

/* Types and values of the identifiers as two arrays, palloc'd; of those that are fresh only when asked so. */
int
cdp_record_arrays(const CdpRecord *r, bool fresh_only, Datum *type_ids, Datum *vals)
{
	Datum		type[CDP_RECORD_MAX],
				value[CDP_RECORD_MAX];
	int			n = 0;

	for (int i = 0; i < r->k; i++)
	{
		if (fresh_only && !r->one[i].fresh)
			continue;
		type[n] = Int16GetDatum(r->one[i].type->type_id);
		value[n++] = PointerGetDatum(r->one[i].value);
	}
	*type_ids = PointerGetDatum(construct_array(type, n, INT2OID, sizeof(int16), true, TYPALIGN_SHORT));
	*vals = PointerGetDatum(construct_array(value, n, TEXTOID, -1, false, TYPALIGN_INT));
	return n;
}

/* Whether an identifier has a link in force that joins it to another one. */
static bool
is_linked(int64 identifier_id)
{
	Datum		arg = Int64GetDatum(identifier_id);
	bool		linked;

	cdp_read(CDP_LINKED, &arg, NULL);
	linked = cdp_cell_bool(0, 1);
	cdp_done();
	return linked;
}

/* A time of the last statement's rows, or what stands for NULL. */
static TimestampTz
time_cell(uint64 row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		d = cdp_cell(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(d);
}

/* The identifiers of a record as they stand, on one snapshot. */
void
cdp_find(CdpRecord *r)
{
	Datum		arg[2];
	int64		owner[CDP_RECORD_MAX] = {0};
	bool		apart = false;

	cdp_record_arrays(r, false, &arg[0], &arg[1]);
	cdp_phase_begin();
	cdp_read(CDP_FIND, arg, NULL);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int			i = (int) cdp_cell_int8(row, AT_PLACE) - 1;
		CdpOne	   *one = &r->one[i];

		one->id = cdp_cell_int8(row, AT_ID);
		one->home = cdp_cell_int8(row, AT_HOME);
		one->first_seen = time_cell(row, AT_FIRST, DT_NOEND);
		one->last_seen = time_cell(row, AT_LAST, DT_NOBEGIN);
		owner[i] = cdp_cell_int8(row, AT_OWNER);
		one->root = cdp_cell_int8(row, AT_PARENT);
		read_version(row, AT_XMIN, &one->version);
		one->paired = cdp_cell_bool(row, AT_PAIRED);
		one->stop = cdp_cell_bool(row, AT_QUARANTINED) ? CDP_SUPER_NODE : NULL;
	}
	cdp_done();
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];

		if (one->root != owner[i])
			one->root = cdp_root(one->root, &one->version);
		if (one->type->attach_only && one->id != 0 && one->stop == NULL && is_linked(one->id))
			one->stop = CDP_ATTACH_ONLY;
		apart |= one->stop == NULL && one->root != r->one[0].root;
	}
	/* A record of one customer is seldom more than looked up. */
	if (apart)
		cdp_find_merges(r);
	cdp_phase_end();
	pfree(DatumGetPointer(arg[0]));
	pfree(DatumGetPointer(arg[1]));
}

/*
 * Whether an identifier may not stand where it did at its look-up.  When others
 * were merged into its root, it still belongs there; but one that can be
 * attached once may have been.
 */
static bool
may_have_moved(const CdpRecord *r, const CdpOne *one)
{
	for (int i = 0; i < r->nheld; i++)
		if (r->held[i].id == one->root)
			return r->held[i].changed || (r->held[i].grown && one->type->attach_only);
	return true;
}

/*
 * Whether one of the identifiers, as cdp_find() saw them, belongs to another
 * root by now or may join nobody any more.  To be asked once the roots are
 * locked; passed over are new ones, those with a stop, and those whose root is
 * as it was.
 */
bool
cdp_moved(CdpRecord *r)
{
	int64		id[CDP_RECORD_MAX],
				owner[CDP_RECORD_MAX],
				root[CDP_RECORD_MAX];
	int			from[CDP_RECORD_MAX];
	int			n = 0;
	bool		moved = false;
	CdpVersion	version;
	Datum		arg;

	for (int i = 0; i < r->k; i++)
	{
		if (r->one[i].fresh || r->one[i].stop != NULL || !may_have_moved(r, &r->one[i]))
			continue;
		from[n] = i;
		id[n++] = r->one[i].id;
	}
	if (n == 0)
		return false;
	arg = cdp_ids(id, n);
	cdp_phase_begin();
	cdp_read(CDP_FIND_AGAIN, &arg, NULL);
	memset(owner, 0, sizeof(owner));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int			i = (int) cdp_cell_int8(row, AT_PLACE) - 1;

		owner[i] = cdp_cell_int8(row, AT_OWNER);
		root[i] = cdp_cell_int8(row, AT_PARENT);
		moved |= cdp_cell_bool(row, AT_QUARANTINED);
	}
	cdp_done();
	for (int i = 0; i < n && !moved; i++)
	{
		const CdpOne *one = &r->one[from[i]];

		if (owner[i] == 0)
			continue;			/* it is gone: the erased leave no trace to judge by */
		/* The root of before is locked and is one. */
		if (root[i] != owner[i] && root[i] != one->root)
			root[i] = cdp_root(root[i], &version);
		moved = root[i] != one->root || (one->type->attach_only && is_linked(one->id));
	}
	cdp_phase_end();
	pfree(DatumGetPointer(arg));
	return moved;
}

/* The links that the pairs of a record have, with the support that its load gives. */
void
cdp_find_links(CdpRecord *r)
{
	int64		a[2 * CDP_RECORD_MAX],
				b[2 * CDP_RECORD_MAX];
	Datum		arg[3];

	for (int i = 0; i < r->npairs; i++)
	{
		CdpPair    *p = &r->pair[i];
		int64		hub = r->one[p->hub].id,
					other = r->one[p->other].id;

		a[i] = Min(hub, other);
		b[i] = Max(hub, other);
		p->link_id = 0;
		p->state = p->reason = NULL;
		p->supported = false;
		p->first_seen = p->last_at = 0;
	}
	arg[0] = cdp_ids(a, r->npairs);
	arg[1] = cdp_ids(b, r->npairs);
	arg[2] = Int64GetDatum(r->load_id);
	cdp_phase_begin();
	cdp_read(CDP_LINKS, arg, NULL);
	cdp_phase_end();
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		CdpPair    *p = &r->pair[(int) cdp_cell_int8(row, 1) - 1];

		p->link_id = cdp_cell_int8(row, 2);
		p->state = cdp_cell_text(row, 3);
		p->reason = cdp_cell_text(row, 4);
		p->first_seen = time_cell(row, 5, 0);
		p->supported = cdp_cell_bool(row, 6);
		p->last_at = time_cell(row, 7, 0);
	}
	cdp_done();
	pfree(DatumGetPointer(arg[0]));
	pfree(DatumGetPointer(arg[1]));
}

/*
 * identify_find(type_ids, vals): the identifiers of a record as they stand,
 * the strongest first: their types, numbers, and why they join nobody.
 */
Datum
cdp_identify_find(PG_FUNCTION_ARGS)
{
	MemoryContext upper = CurrentMemoryContext;
	CdpRecord  *r;
	Datum		values[3] = {0},
				id[CDP_RECORD_MAX],
				type[CDP_RECORD_MAX],
				stop[CDP_RECORD_MAX];
	bool		nulls[3] = {true, true, true},
				no_id[CDP_RECORD_MAX],
				no_stop[CDP_RECORD_MAX];
	int			lower = 1;
	Datum		row;

	SPI_connect();
	r = palloc0(sizeof(CdpRecord));
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
	{
		r->lists = cdp_lists();
		cdp_record_take(r, PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1));
	}
	if (r->k > 0)
	{
		cdp_find(r);
		for (int i = 0; i < r->k; i++)
		{
			const CdpOne *one = &r->one[i];

			type[i] = Int16GetDatum(one->type->type_id);
			id[i] = Int64GetDatum(one->id);
			no_id[i] = one->id == 0;
			no_stop[i] = one->stop == NULL;
			stop[i] = no_stop[i] ? (Datum) 0 : CStringGetTextDatum(one->stop);
		}
		values[0] = PointerGetDatum(construct_array(type, r->k, INT2OID, sizeof(int16), true, TYPALIGN_SHORT));
		values[1] = PointerGetDatum(construct_md_array(id, no_id, 1, &r->k, &lower, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
		values[2] = PointerGetDatum(construct_md_array(stop, no_stop, 1, &r->k, &lower, TEXTOID, -1, false, TYPALIGN_INT));
		memset(nulls, 0, sizeof(nulls));
	}
	row = cdp_result(fcinfo, upper, values, nulls);
	SPI_finish();
	return row;
}
