/*
 * pass.c
 *		The pass over profiles: one aggregate over rows of any type, which asks
 *		every attribute atom of a plan of each row.
 *
 * Rows come in any order, a customer once.  The state is one bit a customer and
 * atom for true, and one for no value.
 */
#include "segment/attribute/attribute.h"

#include "access/htup_details.h"
#include "base/option.h"
#include "catalog/pg_type_d.h"
#include "common/int.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "segment/rule/rule.h"
#include "segment/segment.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#define CHECK_MEMORY_EVERY 4096	/* rows */
#define GROUP 1000				/* atoms that are answered together, as columns of one row */

/* The state of the aggregate. */
typedef struct AttrPass
{
	MemoryContext cxt;
	Jsonb	   *given;
	bool		plan_varies;
	bool		has_horizon;
	int64		horizon;
	CdpAttrPlan *plan;
	CdpIdSet	seen;
	int64		rows;
	/* once the type of the rows is known */
	bool		bound;
	Oid			row_type;
	int32		row_typmod;
	int			natts;			/* columns up to the last one that is read */
	TupleTableSlot *row;
	TupleTableSlot *values;
	ExprContext *econtext;
	ProjectionInfo **answers;	/* of each group of atoms */
	/* with a horizon */
	CdpFlip    *flip;
	int64		nflips;
	int64		flip_room;
} AttrPass;

CDP_FUNCTION(cdp_segment_attribute_add);
CDP_FUNCTION(cdp_segment_attribute_final);

/* Starts the state with the plan and the horizon of the first row. */
static AttrPass *
start_pass(FunctionCallInfo fcinfo)
{
	MemoryContext cxt;
	MemoryContext before;
	AttrPass   *s;

	if (!AggCheckCallContext(fcinfo, &cxt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("called outside an aggregate")));
	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the plan of segments must not be NULL"),
				 errhint("Plans are made by cdp_internal.rule_plan().")));
	before = MemoryContextSwitchTo(cxt);
	s = palloc0(sizeof(AttrPass));
	s->cxt = cxt;
	s->given = (Jsonb *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(3));
	s->plan_varies = cdp_option_varies(fcinfo, 3);
	s->has_horizon = !PG_ARGISNULL(4);
	s->horizon = s->has_horizon ? PG_GETARG_TIMESTAMPTZ(4) : 0;
	s->plan = cdp_attr_read(s->given);
	cdp_idset_init(&s->seen, cxt);
	MemoryContextSwitchTo(before);
	return s;
}

/* Compiles some atoms into one program that fills a row of answers; an anniversary is no expression and left NULL. */
static ProjectionInfo *
compile_group(AttrPass *s, int first, int end)
{
	TupleDesc	desc = CreateTemplateTupleDesc(end - first);
	List	   *targets = NIL;

	for (int i = first; i < end; i++)
	{
		Expr	   *e = cdp_attr_expression(s->plan, i);

		if (e == NULL)
			e = (Expr *) makeNullConst(BOOLOID, -1, InvalidOid);
		TupleDescInitEntry(desc, i - first + 1, NULL, BOOLOID, -1, 0);
		targets = lappend(targets, makeTargetEntry(e, i - first + 1, NULL, false));
	}
	return ExecBuildProjectionInfo(targets, s->econtext, MakeSingleTupleTableSlot(desc, &TTSOpsVirtual), NULL,
								   s->values->tts_tupleDescriptor);
}

/* Compiles the plan for rows of a type. */
static void
bind_rows(AttrPass *s, HeapTupleHeader header)
{
	MemoryContext before = MemoryContextSwitchTo(s->cxt);
	int			natoms = s->plan->natoms;
	TupleDesc	rows;

	s->row_type = HeapTupleHeaderGetTypeId(header);
	s->row_typmod = HeapTupleHeaderGetTypMod(header);
	rows = lookup_rowtype_tupdesc_copy(s->row_type, s->row_typmod);
	cdp_attr_bind(s->plan, rows);
	for (int i = 0; i < s->plan->nfields; i++)
		s->natts = Max(s->natts, s->plan->field[i].attnum);
	s->row = MakeSingleTupleTableSlot(rows, &TTSOpsHeapTuple);
	s->values = MakeSingleTupleTableSlot(cdp_attr_desc(s->plan), &TTSOpsVirtual);
	s->econtext = CreateStandaloneExprContext();
	s->answers = palloc(sizeof(ProjectionInfo *) * Max((natoms + GROUP - 1) / GROUP, 1));
	for (int first = 0; first < natoms; first += GROUP)
		s->answers[first / GROUP] = compile_group(s, first, Min(first + GROUP, natoms));
	s->bound = true;
	MemoryContextSwitchTo(before);
}

/* Whether the day of a value comes round between two days of the year. */
static bool
anniversary(const CdpAttrAtom *a, Datum value)
{
	int			year,
				month,
				day;

	if (a->zone != NULL ? TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)) : DATE_NOT_FINITE(DatumGetDateADT(value)))
		return false;
	cdp_rule_ymd(a->zone != NULL ? cdp_rule_today(DatumGetTimestampTz(value), a->zone) : DatumGetDateADT(value), &year, &month, &day);
	for (int i = 0; i < a->npairs; i++)
		if (month * 100 + day >= a->pair[2 * i] && month * 100 + day <= a->pair[2 * i + 1])
			return true;
	return false;
}

/* Notes the moment at which a value passes an end of a range that moves with as_of. */
static void
note_crossing(const AttrPass *s, int64 value, int64 slide, int64 *earliest)
{
	int64		at;

	/* The value lies below as_of - slide from the microsecond after value + slide on. */
	if (pg_add_s64_overflow(value, slide, &at) || pg_add_s64_overflow(at, 1, &at))
		return;
	if (at > s->plan->as_of && at <= s->horizon && at < *earliest)
		*earliest = at;
}

/* Keeps the earliest moment at which an atom of the row changes without new data. */
static void
note_flips(AttrPass *s, uint32 customer)
{
	int64		earliest = PG_INT64_MAX;

	for (int i = 0; i < s->plan->natoms; i++)
	{
		const CdpAttrAtom *a = &s->plan->atom[i];
		int64		value;

		if ((!a->slides_lo && !a->slides_hi) || s->values->tts_isnull[a->field])
			continue;
		value = DatumGetTimestampTz(s->values->tts_values[a->field]);
		if (TIMESTAMP_NOT_FINITE(value))
			continue;
		if (a->slides_lo)
			note_crossing(s, value, a->slide_lo, &earliest);
		if (a->slides_hi)
			note_crossing(s, value, a->slide_hi, &earliest);
	}
	if (earliest == PG_INT64_MAX)
		return;
	if (s->nflips == s->flip_room)
	{
		s->flip_room = s->flip_room == 0 ? 1024 : s->flip_room * 2;
		s->flip = s->flip == NULL ? MemoryContextAlloc(s->cxt, s->flip_room * sizeof(CdpFlip)) :
			repalloc_huge(s->flip, s->flip_room * sizeof(CdpFlip));
	}
	s->flip[s->nflips].at = earliest;
	s->flip[s->nflips++].customer = customer;
}

/* Raises when the sets take more than the setting allows. */
static void
check_memory(const AttrPass *s)
{
	Size		bytes = s->seen.memory + s->flip_room * sizeof(CdpFlip);

	for (int i = 0; i < s->plan->natoms; i++)
		bytes += s->plan->atom[i].yes.memory + s->plan->atom[i].unknown.memory;
	if (bytes / 1024 > cdp_segment_memory.kilobytes)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the pass over profiles needs more memory than \"%s\" allows", cdp_segment_memory.setting),
				 errdetail("%d atoms over %lld profiles took %zu MB.", s->plan->natoms, (long long) s->rows, bytes / (1024 * 1024)),
				 errhint("Raise \"%s\", or let the pass run over ranges of customers.", cdp_segment_memory.setting)));
}

/* Asks all atoms of a row. */
static void
add_row(AttrPass *s, uint32 customer, HeapTupleHeader header)
{
	HeapTupleData tuple;
	TupleTableSlot *answers = NULL;

	if (!s->bound)
		bind_rows(s, header);
	else if (HeapTupleHeaderGetTypeId(header) != s->row_type || HeapTupleHeaderGetTypMod(header) != s->row_typmod)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("profiles of one pass must be rows of one type")));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	ExecStoreHeapTuple(&tuple, s->row, false);
	slot_getsomeattrs(s->row, s->natts);
	cdp_attr_values(s->plan, s->row, s->econtext, s->values);
	cdp_idset_add(&s->seen, customer);
	for (int i = 0; i < s->plan->natoms; i++)
	{
		CdpAttrAtom *a = &s->plan->atom[i];
		bool		isnull = s->values->tts_isnull[a->field];
		bool		yes;

		if (i % GROUP == 0)
			answers = ExecProject(s->answers[i / GROUP]);
		if (a->op == CDP_ATTR_ANNIVERSARY)
			yes = !isnull && anniversary(a, s->values->tts_values[a->field]);
		else
		{
			yes = DatumGetBool(answers->tts_values[i % GROUP]);
			isnull = answers->tts_isnull[i % GROUP];
		}
		if (isnull)
			cdp_idset_add(&a->unknown, customer);
		else if (yes)
			cdp_idset_add(&a->yes, customer);
	}
	if (s->has_horizon)
		note_flips(s, customer);
	if (++s->rows % CHECK_MEMORY_EVERY == 0)
		check_memory(s);
	ExecClearTuple(s->row);
	ResetExprContext(s->econtext);
}

/* Transition of segment_attribute_pass(customer, profile, plan, horizon); rows with a NULL are left out. */
Datum
cdp_segment_attribute_add(PG_FUNCTION_ARGS)
{
	AttrPass   *s = PG_ARGISNULL(0) ? NULL : (AttrPass *) PG_GETARG_POINTER(0);
	int64		customer;

	if (s == NULL)
		s = start_pass(fcinfo);
	else if (s->plan_varies)
		cdp_option_same(fcinfo, 3, s->given, "segment");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(s);
	customer = PG_GETARG_INT64(1);
	if (customer < 1 || customer > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("customer id out of range"),
				 errdetail("It is %lld; customers have ids from 1 to %u.", (long long) customer, PG_UINT32_MAX)));
	add_row(s, (uint32) customer, PG_GETARG_HEAPTUPLEHEADER(2));
	PG_RETURN_POINTER(s);
}

/* Final of segment_attribute_pass(): the result of the pass. */
Datum
cdp_segment_attribute_final(PG_FUNCTION_ARGS)
{
	AttrPass   *s = PG_ARGISNULL(0) ? NULL : (AttrPass *) PG_GETARG_POINTER(0);
	StringInfoData out;

	if (s == NULL)
		PG_RETURN_NULL();
	cdp_passresult_begin(&out, s->plan->natoms, &s->seen);
	for (int i = 0; i < s->plan->natoms; i++)
	{
		CdpAttrAtom *a = &s->plan->atom[i];

		CHECK_FOR_INTERRUPTS();
		cdp_passresult_atom(&out, &a->yes, &a->unknown, a->op == CDP_ATTR_EXISTS ? CDP_FALSE : CDP_UNKNOWN);
	}
	cdp_passresult_flips(&out, s->flip, s->nflips);
	PG_RETURN_BYTEA_P(cdp_passresult_finish(&out));
}
