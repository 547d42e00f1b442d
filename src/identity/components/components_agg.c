/*
 * components_agg.c
 *		The aggregates cdp.components and cdp.component_merge, and the setting
 *		that bounds their memory.
 */
#include "identity/components/components.h"

#include <limits.h>

#include "utils/guc.h"
#include "utils/uuid.h"

int			cdp_components_memory = 1024 * 1024;

/* Defines the setting; called once, when the library is loaded. */
void
cdp_components_settings(void)
{
	DefineCustomIntVariable("cdp.components_memory",
							"Memory that one computation of connected components may use.",
							"What needs more is an error. A bigint node takes 25 to 40 bytes.",
							&cdp_components_memory,
							1024 * 1024,
							1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* The state of the aggregate at hand; made at the first row, in the aggregate's memory. */
static CdpComponents *
state_of(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	MemoryContext aggregate;

	if (!PG_ARGISNULL(0))
		return (CdpComponents *) PG_GETARG_POINTER(0);
	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "components called outside an aggregate");
	return cdp_components_create(kind, aggregate);
}

CDP_FUNCTION(cdp_components_add_bigint);

/* One row of cdp.components(bigint, bigint). */
Datum
cdp_components_add_bigint(PG_FUNCTION_ARGS)
{
	CdpComponents *c = state_of(fcinfo, CDP_NODE_BIGINT);
	int64		a = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	int64		b = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);

	cdp_components_number(c, PG_ARGISNULL(1) ? NULL : &a, PG_ARGISNULL(2) ? NULL : &b);
	PG_RETURN_POINTER(c);
}

CDP_FUNCTION(cdp_components_add_uuid);

/* One row of cdp.components(uuid, uuid). */
Datum
cdp_components_add_uuid(PG_FUNCTION_ARGS)
{
	CdpComponents *c = state_of(fcinfo, CDP_NODE_UUID);

	cdp_components_bytes(c, PG_ARGISNULL(1) ? NULL : (const char *) PG_GETARG_UUID_P(1)->data, UUID_LEN,
						 PG_ARGISNULL(2) ? NULL : (const char *) PG_GETARG_UUID_P(2)->data, UUID_LEN);
	PG_RETURN_POINTER(c);
}

CDP_FUNCTION(cdp_components_add_text);

/* One row of cdp.components(text, text). */
Datum
cdp_components_add_text(PG_FUNCTION_ARGS)
{
	CdpComponents *c = state_of(fcinfo, CDP_NODE_TEXT);
	text	   *a = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	text	   *b = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);

	cdp_components_bytes(c, a ? VARDATA_ANY(a) : NULL, a ? VARSIZE_ANY_EXHDR(a) : 0,
						 b ? VARDATA_ANY(b) : NULL, b ? VARSIZE_ANY_EXHDR(b) : 0);
	PG_RETURN_POINTER(c);
}

CDP_FUNCTION(cdp_component_merge_add);

/* One row of cdp.component_merge(cdp.component_set); the first set decides the kind of nodes. */
Datum
cdp_component_merge_add(PG_FUNCTION_ARGS)
{
	struct varlena *set;
	CdpSetReader r;
	CdpComponents *c;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_POINTER(PG_GETARG_POINTER(0));
	}
	set = PG_GETARG_VARLENA_PP(1);
	cdp_set_open(&r, set);
	c = state_of(fcinfo, r.kind);
	cdp_components_add_set(c, set);
	PG_RETURN_POINTER(c);
}

/* Makes the value of a state, or that of no rows. */
static Datum
finish(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	CdpComponents *c;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "components called outside an aggregate");
	c = PG_ARGISNULL(0) ? cdp_components_create(kind, CurrentMemoryContext) : (CdpComponents *) PG_GETARG_POINTER(0);
	return PointerGetDatum(cdp_components_finish(c));
}

CDP_FUNCTION(cdp_components_finish_bigint);

/* Final function of cdp.components(bigint, bigint); uses the state up. */
Datum
cdp_components_finish_bigint(PG_FUNCTION_ARGS)
{
	return finish(fcinfo, CDP_NODE_BIGINT);
}

CDP_FUNCTION(cdp_components_finish_uuid);

/* Final function of cdp.components(uuid, uuid); uses the state up. */
Datum
cdp_components_finish_uuid(PG_FUNCTION_ARGS)
{
	return finish(fcinfo, CDP_NODE_UUID);
}

CDP_FUNCTION(cdp_components_finish_text);

/* Final function of cdp.components(text, text); uses the state up. */
Datum
cdp_components_finish_text(PG_FUNCTION_ARGS)
{
	return finish(fcinfo, CDP_NODE_TEXT);
}

CDP_FUNCTION(cdp_components_serialize);

/* What a worker hands over: its components as a value; uses the state up. */
Datum
cdp_components_serialize(PG_FUNCTION_ARGS)
{
	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "components called outside an aggregate");
	PG_RETURN_POINTER(cdp_components_finish((CdpComponents *) PG_GETARG_POINTER(0)));
}

CDP_FUNCTION(cdp_components_deserialize);

/* Takes what a worker handed over, for cdp_components_combine; the bytes stay the caller's. */
Datum
cdp_components_deserialize(PG_FUNCTION_ARGS)
{
	CdpComponents *c;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "components called outside an aggregate");
	c = palloc0(sizeof(CdpComponents));
	c->given = PG_GETARG_VARLENA_PP(0);
	PG_RETURN_POINTER(c);
}

CDP_FUNCTION(cdp_components_combine);

/* Adds the components of one worker to the state. */
Datum
cdp_components_combine(PG_FUNCTION_ARGS)
{
	CdpComponents *worker;
	CdpComponents *c;
	const struct varlena *set;
	CdpSetReader r;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_POINTER(PG_GETARG_POINTER(0));
	}
	worker = (CdpComponents *) PG_GETARG_POINTER(1);
	set = worker->given != NULL ? worker->given : cdp_components_finish(worker);
	cdp_set_open(&r, set);
	c = state_of(fcinfo, r.kind);
	cdp_components_add_set(c, set);
	PG_RETURN_POINTER(c);
}

CDP_FUNCTION(cdp_component_merge_finish);

/* Final function of cdp.component_merge; NULL when there was no set. */
Datum
cdp_component_merge_finish(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return finish(fcinfo, CDP_NODE_BIGINT);
}
