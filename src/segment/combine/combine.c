/*
 * combine.c
 *		From the sets of atoms to the members of segments, by set algebra within
 *		the population.
 *
 * The ids are cut into slices, so wide that all nodes of a slice fit into
 * cdp.segment_memory; a node's sets are freed after their last use.
 */
#include "segment/combine/combine.h"

#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "segment/segment.h"
#include "utils/array.h"

#define MAX_SLICE 256			/* chunks of 65,536 ids */
#define ALL_CHUNKS 65536

/* The two sets of a node within a slice; unknown is NULL when nobody is. */
typedef struct NodeValue
{
	CdpRoaring *set;
	CdpRoaring *unknown;
	int			uses;			/* still to come */
} NodeValue;

/* A pass, its sets checked. */
typedef struct Pass
{
	CdpPassResult result;
	CdpBits		seen;
	CdpBits    *yes;
	CdpBits    *unknown;
	CdpRoaring *unseen;			/* of the population, in the slice at hand; NULL until asked for */
} Pass;

typedef struct Combine
{
	CdpNodePlan *plan;
	CdpBits		population;
	Pass		events;
	Pass		attributes;
	CdpBits    *set;
	NodeValue  *value;
	CdpWriter  *members;		/* of each segment */
	int64	   *through_null;
	/* the slice at hand */
	uint32		from;
	uint32		to;
	CdpRoaring *everybody;
} Combine;

CDP_FUNCTION(cdp_segment_combine);

/* Opens the result of a pass; it must have the atoms that the plan has. */
static void
open_pass(Pass *pass, bytea *bytes, int natoms, const char *what)
{
	if (bytes == NULL)
	{
		if (natoms > 0)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the result of the pass over %s must not be NULL", what),
					 errdetail("The plan has %d atoms about them.", natoms),
					 errhint("Run that pass with the same plan; over no row it still tells the plan.")));
		return;
	}
	cdp_passresult_open(&pass->result, bytes);
	if (pass->result.natoms != natoms)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the result of the pass over %s belongs to another plan", what),
				 errdetail("It has %d atoms, the plan %d.", pass->result.natoms, natoms),
				 errhint("Give the result of the pass that ran with this plan.")));
	cdp_bits_open(&pass->seen, pass->result.seen, pass->result.seen_len);
	pass->yes = palloc(sizeof(CdpBits) * Max(natoms, 1));
	pass->unknown = palloc(sizeof(CdpBits) * Max(natoms, 1));
	for (int i = 0; i < natoms; i++)
	{
		const CdpPassAtom *a = &pass->result.atom[i];

		CHECK_FOR_INTERRUPTS();
		cdp_bits_open(&pass->yes[i], a->yes, a->yes_len);
		cdp_bits_open(&pass->unknown[i], a->unknown, a->unknown_len);
	}
}

/* Opens the sets of an array, one for each set atom; a NULL one is empty. */
static CdpBits *
open_sets(ArrayType *array, int nsets)
{
	static const char nobody[8] = {0x3a, 0x30, 0, 0, 0, 0, 0, 0};
	CdpBits    *sets = palloc(sizeof(CdpBits) * Max(nsets, 1));
	Datum	   *element = NULL;
	bool	   *isnull = NULL;
	int			n = 0;

	if (array != NULL && ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the sets must come as an array of one dimension"),
				 errdetail("It has %d.", ARR_NDIM(array)),
				 errhint("Make it with array_agg() or ARRAY[...] of bytea.")));
	if (array != NULL)
		deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &element, &isnull, &n);
	if (array != NULL ? n != nsets : nsets > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the sets belong to another plan"),
				 errdetail("There are %d, the plan has %d set atoms.", n, nsets),
				 errhint("Give one set for each entry of \"sets\" of the plan.")));
	for (int i = 0; i < nsets; i++)
	{
		bytea	   *b = isnull[i] ? NULL : DatumGetByteaPP(element[i]);

		CHECK_FOR_INTERRUPTS();
		cdp_bits_open(&sets[i], b == NULL ? nobody : VARDATA_ANY(b), b == NULL ? sizeof(nobody) : VARSIZE_ANY_EXHDR(b));
	}
	return sets;
}

/* The part of a set in the slice and the population. */
static CdpRoaring *
in_slice(const Combine *c, const CdpBits *b)
{
	CdpRoaring *part = cdp_roaring_set_slice(b, cdp_bits_from(b, c->from), cdp_bits_from(b, c->to));

	if (b != &c->population)
		cdp_roaring_set_and_with(part, c->everybody);
	return part;
}

/* Whom of the population a pass did not meet. */
static CdpRoaring *
not_seen(const Combine *c, Pass *pass)
{
	if (pass->unseen == NULL)
	{
		CdpRoaring *seen = in_slice(c, &pass->seen);

		pass->unseen = cdp_roaring_set_andnot(c->everybody, seen);
		cdp_roaring_set_free(seen);
	}
	return pass->unseen;
}

/* Drops an empty set of unknowns. */
static CdpRoaring *
or_null(CdpRoaring *unknown)
{
	if (cdp_roaring_set_count(unknown) > 0)
		return unknown;
	cdp_roaring_set_free(unknown);
	return NULL;
}

/* The sets of an atom of a pass. */
static void
pass_atom(const Combine *c, Pass *pass, int atom, NodeValue *v)
{
	CdpTruth	unseen = pass->result.atom[atom].unseen;
	CdpRoaring *unknown = in_slice(c, &pass->unknown[atom]);

	v->set = in_slice(c, &pass->yes[atom]);
	if (unseen == CDP_TRUE)
		cdp_roaring_set_or_with(v->set, not_seen(c, pass));
	else if (unseen == CDP_UNKNOWN)
		cdp_roaring_set_or_with(unknown, not_seen(c, pass));
	cdp_roaring_set_andnot_with(unknown, v->set);
	v->unknown = or_null(unknown);
}

/* Who is in a node by one of the logics; a new set. */
static CdpRoaring *
members_of(const NodeValue *v, bool sql_nulls)
{
	Assert(v != NULL);
	return sql_nulls && v->unknown != NULL ? cdp_roaring_set_andnot(v->set, v->unknown) : cdp_roaring_set_copy(v->set);
}

/* Who is in a node, or may be when values were known; a new set. */
static CdpRoaring *
possible_of(const NodeValue *v)
{
	return v->unknown != NULL ? cdp_roaring_set_or(v->set, v->unknown) : cdp_roaring_set_copy(v->set);
}

/* Puts one more set into what all or any of them have, and gives it up. */
static void
join(CdpRoaring **sum, CdpRoaring *more, bool all)
{
	if (*sum == NULL)
	{
		*sum = more;
		return;
	}
	if (all)
		cdp_roaring_set_and_with(*sum, more);
	else
		cdp_roaring_set_or_with(*sum, more);
	cdp_roaring_set_free(more);
}

/* The sets of all or any of some nodes. */
static void
list_node(const Combine *c, const CdpNode *node, NodeValue *v)
{
	bool		all = node->kind == CDP_NODE_ALL;
	bool		open = false;
	CdpRoaring *certain = NULL;
	CdpRoaring *possible = NULL;

	for (int i = 0; i < node->n; i++)
	{
		const NodeValue *child = &c->value[node->child[i]];

		open |= child->unknown != NULL;
		join(&v->set, cdp_roaring_set_copy(child->set), all);
	}
	if (v->set == NULL)
		v->set = all ? cdp_roaring_set_copy(c->everybody) : cdp_roaring_set_empty();
	if (!open)
		return;
	for (int i = 0; i < node->n; i++)
	{
		join(&certain, members_of(&c->value[node->child[i]], true), all);
		join(&possible, possible_of(&c->value[node->child[i]]), all);
	}
	cdp_roaring_set_andnot_with(possible, certain);
	cdp_roaring_set_free(certain);
	v->unknown = or_null(possible);
}

/* Computes a node of the slice. */
static void
compute_node(Combine *c, int index)
{
	const CdpNode *node = &c->plan->node[index];
	NodeValue  *v = &c->value[index];
	const NodeValue *child = node->n > 0 ? &c->value[node->child[0]] : NULL;

	v->unknown = v->set = NULL;
	v->uses = node->uses;
	switch (node->kind)
	{
		case CDP_NODE_EVENT:
			pass_atom(c, &c->events, node->atom, v);
			break;
		case CDP_NODE_ATTRIBUTE:
			pass_atom(c, &c->attributes, node->atom, v);
			break;
		case CDP_NODE_SET:
			v->set = in_slice(c, &c->set[node->atom]);
			break;
		case CDP_NODE_ALL:
		case CDP_NODE_ANY:
			list_node(c, node, v);
			break;
		case CDP_NODE_NOT:
			Assert(child != NULL);
			v->set = cdp_roaring_set_andnot(c->everybody, child->set);
			v->unknown = child->unknown == NULL ? NULL : cdp_roaring_set_copy(child->unknown);
			break;
		case CDP_NODE_MEMBERS:
			v->set = members_of(child, node->sql_nulls);
			break;
		case CDP_NODE_EVERYBODY:
			v->set = cdp_roaring_set_copy(c->everybody);
			break;
		default:
			v->set = cdp_roaring_set_empty();
	}
}

/* Counts a use of a node; after the last one its sets are freed. */
static void
release(Combine *c, int index)
{
	NodeValue  *v = &c->value[index];

	if (--v->uses > 0)
		return;
	cdp_roaring_set_free(v->set);
	if (v->unknown != NULL)
		cdp_roaring_set_free(v->unknown);
}

/* Takes the members of a segment out of its node. */
static void
take_segment(Combine *c, int segment)
{
	const CdpNodeSegment *s = &c->plan->segment[segment];
	const NodeValue *v = &c->value[s->node];
	CdpRoaring *members = members_of(v, s->sql_nulls);

	if (!s->sql_nulls && v->unknown != NULL)
		c->through_null[segment] += cdp_roaring_set_count_and(v->set, v->unknown);
	cdp_roaring_set_append(members, &c->members[segment]);
	cdp_roaring_set_free(members);
}

/* Computes all segments of the slice, each as soon as its node is there. */
static void
combine_slice(Combine *c, const int *first_segment, const int *next_segment)
{
	c->everybody = in_slice(c, &c->population);
	c->events.unseen = c->attributes.unseen = NULL;
	for (int i = 0; i < c->plan->nnodes; i++)
	{
		const CdpNode *node = &c->plan->node[i];

		CHECK_FOR_INTERRUPTS();
		if (node->uses > 0)
			compute_node(c, i);
		for (int s = first_segment[i]; s >= 0; s = next_segment[s])
		{
			take_segment(c, s);
			release(c, i);
		}
		for (int j = 0; j < node->n; j++)
			release(c, node->child[j]);
	}
}

/* How many chunks a slice may have: two sets a node, plain bits at worst. */
static uint32
slice_width(const CdpNodePlan *plan)
{
	Size		chunk = (Size) 2 * CDP_CHUNK_BYTES * Max(plan->nnodes, 1);

	return (uint32) Min(MAX_SLICE, Max(1, cdp_pass_memory_bytes(&cdp_segment_memory) / 2 / chunk));
}

/* Goes over all slices in which the population has anybody. */
static void
combine_all(Combine *c)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext slice = AllocSetContextCreate(outer, "segment slice", ALLOCSET_DEFAULT_SIZES);
	int		   *first = palloc(sizeof(int) * Max(c->plan->nnodes, 1));
	int		   *next = palloc(sizeof(int) * Max(c->plan->nsegments, 1));
	uint32		width = slice_width(c->plan);

	for (int i = 0; i < c->plan->nnodes; i++)
		first[i] = -1;
	for (int i = c->plan->nsegments - 1; i >= 0; i--)
	{
		next[i] = first[c->plan->segment[i].node];
		first[c->plan->segment[i].node] = i;
	}
	for (int32 at = 0; at < c->population.n; at = cdp_bits_from(&c->population, c->to))
	{
		CdpContainer container;

		cdp_bits_container(&c->population, at, &container);
		c->from = container.key;
		c->to = Min(container.key + width, ALL_CHUNKS);
		MemoryContextSwitchTo(slice);
		combine_slice(c, first, next);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(slice);
	}
	MemoryContextDelete(slice);
}

/* Opens the arguments. */
static void
open_arguments(FunctionCallInfo fcinfo, Combine *c)
{
	bytea	   *population;

	memset(c, 0, sizeof(*c));
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("plan and population must not be NULL"),
				 errhint("Plans are made by cdp_internal.rule_plan(); a population of nobody is an empty set.")));
	c->plan = cdp_nodes_read(PG_GETARG_JSONB_P(0));
	population = PG_GETARG_BYTEA_PP(1);
	cdp_bits_open(&c->population, VARDATA_ANY(population), VARSIZE_ANY_EXHDR(population));
	open_pass(&c->events, PG_ARGISNULL(2) ? NULL : PG_GETARG_BYTEA_PP(2), c->plan->nevents, "events");
	open_pass(&c->attributes, PG_ARGISNULL(3) ? NULL : PG_GETARG_BYTEA_PP(3), c->plan->nattributes, "profiles");
	c->set = open_sets(PG_ARGISNULL(4) ? NULL : PG_GETARG_ARRAYTYPE_P(4), c->plan->nsets);
	c->value = palloc0(sizeof(NodeValue) * Max(c->plan->nnodes, 1));
	c->members = palloc(sizeof(CdpWriter) * Max(c->plan->nsegments, 1));
	c->through_null = palloc0(sizeof(int64) * Max(c->plan->nsegments, 1));
	for (int i = 0; i < c->plan->nsegments; i++)
		cdp_writer_begin(&c->members[i]);
}

/* segment_combine(plan, population, events, attributes, sets): a row for each segment. */
Datum
cdp_segment_combine(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Combine		c;

	InitMaterializedSRF(fcinfo, 0);
	open_arguments(fcinfo, &c);
	combine_all(&c);
	for (int i = 0; i < c.plan->nsegments; i++)
	{
		StringInfoData out;
		Datum		values[3];
		bool		nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		initStringInfo(&out);
		appendStringInfoSpaces(&out, VARHDRSZ);
		cdp_writer_end(&c.members[i], &out);
		SET_VARSIZE(out.data, out.len);
		values[0] = Int32GetDatum(c.plan->segment[i].id);
		values[1] = PointerGetDatum(out.data);
		values[2] = Int64GetDatum(c.through_null[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		pfree(out.data);
	}
	PG_RETURN_NULL();
}
