/*
 * match_scan.c
 *		The SQL side of matching: terms of a model, figures of blocks, counts of
 *		patterns, scored pairs, clusters, and how one score came about.
 */
#include "identity/match/match.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "identity/match/cluster.h"
#include "utils/hsearch.h"

/* Patterns that are counted at most; a model of ten comparisons meets some thousands. */
#define MAX_PATTERNS 4000000

typedef struct PatternCount
{
	int64		pattern;
	int64		pairs;
} PatternCount;

CDP_FUNCTION(cdp_match_terms);
CDP_FUNCTION(cdp_match_condition);
CDP_FUNCTION(cdp_match_shape);
CDP_FUNCTION(cdp_match_rule_columns);
CDP_FUNCTION(cdp_match_rule_parts);
CDP_FUNCTION(cdp_match_blocks);
CDP_FUNCTION(cdp_match_patterns);
CDP_FUNCTION(cdp_match_pairs);
CDP_FUNCTION(cdp_match_record_clusters);
CDP_FUNCTION(cdp_match_explain);

/* What most functions here start from. */
typedef struct Job
{
	CdpRecords *records;
	CdpModel   *model;
	CdpRule    *rules;
	int			nrules;
	CdpMatcher *matcher;
} Job;

/* Reads records, model and rules (NULL: the model's own) from the first three arguments. */
static Job
read_job(FunctionCallInfo fcinfo)
{
	Job			job;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("match records and model must not be NULL")));
	job.records = cdp_records_open(PG_GETARG_BYTEA_P(0));
	job.model = cdp_model_read(PG_GETARG_JSONB_P(1));
	if (PG_ARGISNULL(2))
	{
		job.rules = job.model->rule;
		job.nrules = job.model->nrules;
	}
	else
		job.rules = cdp_rules_read(PG_GETARG_ARRAYTYPE_P(2), "rules", &job.model->terms, &job.nrules);
	job.matcher = cdp_matcher_create(job.records, job.model);
	return job;
}

/* A cap of pairs; NULL is none. */
static double
read_cap(FunctionCallInfo fcinfo, int arg)
{
	double		cap = PG_ARGISNULL(arg) ? get_float8_infinity() : PG_GETARG_FLOAT8(arg);

	if (!(cap >= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the highest number of pairs must be at least 1")));
	return cap;
}

/* The id of a record as text. */
static Datum
record_id(const CdpRecords *r, uint32 record)
{
	return PointerGetDatum(cstring_to_text_with_len(r->id_bytes + r->id_offset[record],
													r->id_offset[record + 1] - r->id_offset[record]));
}

/* The columns of some terms (a bit each) as text[]. */
static Datum
columns_of(const CdpTermList *terms, uint64 which)
{
	List	   *columns = NIL;
	ListCell   *cell;
	Datum	   *name;
	int			n = 0;

	for (int t = 0; t < terms->n; t++)
		if (which & UINT64CONST(1) << t)
			cdp_term_columns(terms->term[t], &columns);
	name = palloc(Max(list_length(columns), 1) * sizeof(Datum));
	foreach(cell, columns)
		name[n++] = CStringGetTextDatum((char *) lfirst(cell));
	return PointerGetDatum(construct_array(name, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* match_rule_columns(rule): the columns that a blocking rule looks at. */
Datum
cdp_match_rule_columns(PG_FUNCTION_ARGS)
{
	text	   *rule = PG_GETARG_TEXT_PP(0);
	CdpTermList terms = {0};

	cdp_rules_parse(VARDATA_ANY(rule), VARSIZE_ANY_EXHDR(rule), "blocking rule", 0, &terms,
					palloc0(CDP_MATCH_MAX_RULES * sizeof(CdpRule)), CDP_MATCH_MAX_RULES);
	return columns_of(&terms, ~UINT64CONST(0));
}

/* match_terms(model, rules): each expression over one record: canonical text, SQL for PostgreSQL, its columns. */
Datum
cdp_match_terms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpModel   *model;
	int			nrules;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	model = cdp_model_read(PG_GETARG_JSONB_P(0));
	if (!PG_ARGISNULL(1))
		cdp_rules_read(PG_GETARG_ARRAYTYPE_P(1), "rules", &model->terms, &nrules);
	for (int i = 0; i < model->terms.n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};
		StringInfoData sql;

		initStringInfo(&sql);
		cdp_term_write(&sql, model->terms.term[i], "t.", '\0', CDP_STYLE_POSTGRES);
		values[0] = CStringGetTextDatum(model->terms.name[i]);
		values[1] = CStringGetTextDatum(sql.data);
		values[2] = columns_of(&model->terms, UINT64CONST(1) << i);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* match_shape(model): each level that is not null, where its digit stands in a pattern, and the columns of its comparison. */
Datum
cdp_match_shape(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpModel   *model = cdp_model_read(PG_GETARG_JSONB_P(0));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < model->ncomparisons; i++)
	{
		const CdpComparison *c = &model->comparison[i];
		Datum		columns = columns_of(&model->terms, c->terms);

		for (int k = 0; k < c->nlevels; k++)
		{
			Datum		values[7] = {Int32GetDatum(i), Int32GetDatum(k), CStringGetTextDatum(c->name),
				Int32GetDatum(c->level[k].value), Int64GetDatum(c->weight), Int32GetDatum(c->nvalues + 1),
			columns};
			bool		nulls[7] = {false};

			if (!c->level[k].is_null)
				tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* match_condition(condition, path, blocking): the condition read and written again, one text for one meaning. */
Datum
cdp_match_condition(PG_FUNCTION_ARGS)
{
	text	   *condition = PG_GETARG_TEXT_PP(0);
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		blocking = PG_GETARG_BOOL(2);
	CdpTermList terms = {0};
	StringInfoData out;

	initStringInfo(&out);
	if (blocking)				/* also checks that it can make pairs */
		cdp_rules_parse(VARDATA_ANY(condition), VARSIZE_ANY_EXHDR(condition), path, 0, &terms,
						palloc0(CDP_MATCH_MAX_RULES * sizeof(CdpRule)), CDP_MATCH_MAX_RULES);
	cdp_condition_write(&out, cdp_condition_parse(VARDATA_ANY(condition), VARSIZE_ANY_EXHDR(condition), path, &terms),
						&terms, blocking);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* match_rule_parts(model): what the two sides of each equality of the blocking rules are, as SQL over a row t. */
Datum
cdp_match_rule_parts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpModel   *model = cdp_model_read(PG_GETARG_JSONB_P(0));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < model->nrules; i++)
		for (int p = 0; p < model->rule[i].nparts; p++)
		{
			Datum		values[7];
			bool		nulls[7] = {false};

			values[0] = Int32GetDatum(model->rule[i].source);
			values[1] = Int32GetDatum(i);
			values[2] = BoolGetDatum(model->rule[i].symmetric);
			for (int side = 0; side < 2; side++)
			{
				const CdpTerm *term = model->terms.term[side ? model->rule[i].part_r[p] : model->rule[i].part_l[p]];
				StringInfoData sql;

				initStringInfo(&sql);
				cdp_term_write(&sql, term, "t.", '\0', CDP_STYLE_POSTGRES);
				values[3 + side] = CStringGetTextDatum(sql.data);
				nulls[5 + side] = term->kind != CDP_TERM_COLUMN;
				values[5 + side] = nulls[5 + side] ? (Datum) 0 : CStringGetTextDatum(term->text);
			}
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	return (Datum) 0;
}

/* match_blocks(records, model, rules, max_pairs, changed_only): figures of each alternative of each rule. */
Datum
cdp_match_blocks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			job = read_job(fcinfo);
	CdpBlocks  *blocks;

	InitMaterializedSRF(fcinfo, 0);
	blocks = cdp_blocks_create(job.records, job.matcher, job.model, job.rules, job.nrules, read_cap(fcinfo, 3),
							   !PG_ARGISNULL(4) && PG_GETARG_BOOL(4));
	for (int i = 0; i < job.nrules; i++)
	{
		const CdpBlockFigures *f = cdp_blocks_figures(blocks, i);
		const CdpRule *rule = &job.rules[i];
		Datum		values[7];
		bool		nulls[7] = {false};
		Datum		key[CDP_MATCH_MAX_PARTS];

		for (int p = 0; p < rule->nparts && f->blocks > 0; p++)
		{
			int			column = cdp_matcher_term(job.matcher, rule->part_l[p]);
			int32		code = job.records->code[(Size) f->largest_record * job.records->nterms + column];
			int			len = 0;
			const char *value = code < 0 ? "" : cdp_value(&job.records->term[column], code, &len);

			key[p] = PointerGetDatum(cstring_to_text_with_len(value, len));
		}
		values[0] = Int32GetDatum(rule->source);
		values[1] = Int64GetDatum(f->blocks);
		values[2] = Float8GetDatum(f->pairs);
		values[3] = Int64GetDatum(f->largest);
		nulls[4] = f->blocks == 0;
		values[4] = nulls[4] ? (Datum) 0 :
			PointerGetDatum(construct_array(key, rule->nparts, TEXTOID, -1, false, TYPALIGN_INT));
		values[5] = Int64GetDatum(f->dropped_blocks);
		values[6] = Float8GetDatum(f->dropped_pairs);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- patterns */

/* Counts one pair of a pattern. */
static void
count_pattern(HTAB *counts, int64 pattern)
{
	bool		found;
	PatternCount *c = hash_search(counts, &pattern, HASH_ENTER, &found);

	if (!found)
	{
		c->pairs = 0;
		if (hash_get_num_entries(counts) > MAX_PATTERNS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("more than %d different patterns of levels", MAX_PATTERNS),
					 errhint("Give the model fewer comparisons or levels.")));
	}
	c->pairs++;
}

/* True when two records may be paired at all. */
static bool
may_pair(const Job *job, uint32 a, uint32 b)
{
	return job->model->link_type != CDP_LINK_BETWEEN || job->records->source[a] != job->records->source[b];
}

/* Counts patterns of pairs drawn at random: all pairs when there are no more than that. */
static void
count_random(const Job *job, HTAB *counts, double wanted, uint64 seed)
{
	uint32		n = job->records->nrecords;
	double		all = (double) n * (n - 1) / 2;
	pg_prng_state random;

	if (n < 2)
		return;
	if (all <= wanted)
	{
		for (uint32 a = 0; a < n; a++)
			for (uint32 b = a + 1; b < n; b++)
			{
				CHECK_FOR_INTERRUPTS();
				if (may_pair(job, a, b))
					count_pattern(counts, cdp_matcher_pattern(job->matcher, a, b));
			}
		return;
	}
	pg_prng_seed(&random, seed);
	for (double drawn = 0; drawn < wanted; drawn++)
	{
		uint32		a = pg_prng_uint64_range(&random, 0, n - 1);
		uint32		b = pg_prng_uint64_range(&random, 0, n - 2);

		CHECK_FOR_INTERRUPTS();
		b += b >= a;
		if (may_pair(job, a, b))
			count_pattern(counts, cdp_matcher_pattern(job->matcher, Min(a, b), Max(a, b)));
	}
}

/* match_patterns(records, model, rules, max_pairs, random_pairs, seed): how many pairs have each pattern. */
Datum
cdp_match_patterns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			job = read_job(fcinfo);
	HASHCTL		ctl = {.keysize = sizeof(int64),.entrysize = sizeof(PatternCount),.hcxt = CurrentMemoryContext};
	HTAB	   *counts = hash_create("match patterns", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	HASH_SEQ_STATUS scan;
	PatternCount *c;

	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(4))
		count_random(&job, counts, read_cap(fcinfo, 4), PG_ARGISNULL(5) ? 0 : (uint64) PG_GETARG_INT64(5));
	else
	{
		CdpBlocks  *blocks = cdp_blocks_create(job.records, job.matcher, job.model, job.rules, job.nrules,
											   read_cap(fcinfo, 3), false);
		uint32		l,
					r;
		int			rule;

		while (cdp_blocks_next(blocks, &l, &r, &rule))
			count_pattern(counts, cdp_matcher_pattern(job.matcher, l, r));
	}
	hash_seq_init(&scan, counts);
	while ((c = hash_seq_search(&scan)) != NULL)
	{
		Datum		values[2] = {Int64GetDatum(c->pattern), Int64GetDatum(c->pairs)};
		bool		nulls[2] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- pairs */

/* Replaces the frequencies of terms by those of a larger table: arguments first to first + 3 are term, value, records, total. */
static void
read_frequencies(FunctionCallInfo fcinfo, int first, CdpRecords *records)
{
	Datum	   *column[4];
	bool	   *isnull[4];
	int			n[4];
	uint32	   *copy[CDP_MATCH_MAX_TERMS] = {NULL};

	if (PG_ARGISNULL(first))
		return;
	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(first + i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an array of frequencies is NULL")));
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(first + i), i < 2 ? TEXTOID : INT8OID, i < 2 ? -1 : 8, i >= 2,
						  i < 2 ? TYPALIGN_INT : TYPALIGN_DOUBLE, &column[i], &isnull[i], &n[i]);
		if (n[i] != n[0])
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("the arrays of frequencies have different lengths")));
		for (int k = 0; k < n[i]; k++)
			if (isnull[i][k])
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("an array of frequencies holds a NULL")));
	}
	for (int i = 0; i < n[0]; i++)
	{
		int			term = cdp_records_find_term(records, TextDatumGetCString(column[0][i]));
		CdpRecordTerm *t = &records->term[term];
		text	   *value = DatumGetTextPP(column[1][i]);

		CHECK_FOR_INTERRUPTS();
		if (copy[term] == NULL)
		{
			copy[term] = palloc_extended(Max(t->nvalues, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
			memcpy(copy[term], t->count, t->nvalues * sizeof(uint32));
			t->count = copy[term];
		}
		for (uint32 k = 0; k < t->nvalues; k++)
		{
			int			len;
			const char *s = cdp_value(t, k, &len);

			if (len == VARSIZE_ANY_EXHDR(value) && memcmp(s, VARDATA_ANY(value), len) == 0)
				copy[term][k] = Min(Max(DatumGetInt64(column[2][i]), 1), PG_INT32_MAX);
		}
		t->records = Max(DatumGetInt64(column[3][i]), 1);
	}
}

/* match_pairs(records, model, rules, max_pairs, changed_only, least_weight, terms, values, counts, totals): scored pairs. */
Datum
cdp_match_pairs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			job = read_job(fcinfo);
	double		least = PG_ARGISNULL(5) ? -get_float8_infinity() : PG_GETARG_FLOAT8(5);
	CdpBlocks  *blocks;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "cdp match pair", ALLOCSET_SMALL_SIZES);
	uint32		l,
				r;
	int			rule;

	InitMaterializedSRF(fcinfo, 0);
	read_frequencies(fcinfo, 6, job.records);
	blocks = cdp_blocks_create(job.records, job.matcher, job.model, job.rules, job.nrules, read_cap(fcinfo, 3),
							   !PG_ARGISNULL(4) && PG_GETARG_BOOL(4));
	while (cdp_blocks_next(blocks, &l, &r, &rule))
	{
		int64		pattern = cdp_matcher_pattern(job.matcher, l, r);
		double		weight = cdp_matcher_weight(job.matcher, pattern, l, r);
		Datum		gamma[CDP_MATCH_MAX_COMPARISONS];
		Datum		values[9];
		bool		nulls[9] = {false};
		MemoryContext old;

		if (weight < least)
			continue;
		old = MemoryContextSwitchTo(row);
		values[0] = Int32GetDatum(l);
		values[1] = Int32GetDatum(r);
		values[2] = CStringGetTextDatum(job.records->source_name[job.records->source[l]]);
		values[3] = record_id(job.records, l);
		values[4] = CStringGetTextDatum(job.records->source_name[job.records->source[r]]);
		values[5] = record_id(job.records, r);
		values[6] = Int32GetDatum(job.rules[rule].source);
		for (int i = 0; i < job.model->ncomparisons; i++)
			gamma[i] = Int32GetDatum(cdp_pattern_value(&job.model->comparison[i], pattern));
		values[7] = PointerGetDatum(construct_array(gamma, job.model->ncomparisons, INT4OID, 4, true, TYPALIGN_INT));
		values[8] = Float8GetDatum(weight);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row);
	}
	return (Datum) 0;
}

/* ---- clusters */

/* The pairs that blocking makes, as edges between numbers of records, which are in the order of source and id. */
static CdpEdge *
collect_edges(Job *job, double max_pairs, double least, Size memory, uint64 *nedges)
{
	CdpBlocks  *blocks = cdp_blocks_create(job->records, job->matcher, job->model, job->rules, job->nrules, max_pairs, false);
	uint64		most = memory / sizeof(CdpEdge);
	uint64		room = Min(65536, most);
	CdpEdge    *edge = palloc_extended(Max(room, 1) * sizeof(CdpEdge), MCXT_ALLOC_HUGE);
	uint64		n = 0;
	uint32		l,
				r;
	int			rule;

	while (cdp_blocks_next(blocks, &l, &r, &rule))
	{
		double		weight = cdp_matcher_weight(job->matcher, cdp_matcher_pattern(job->matcher, l, r), l, r);

		if (weight < least)
			continue;
		if (n == room)
		{
			cdp_cluster_check_memory(n + 1, (n + 1) * sizeof(CdpEdge), memory);
			room = Min(room * 2, most);
			edge = repalloc_huge(edge, room * sizeof(CdpEdge));
		}
		edge[n++] = (CdpEdge) {l, r, weight};
	}
	*nedges = cdp_cluster_sort(edge, n);
	return edge;
}

/* By the first record of each cluster how many it has, none for a record without a pair; palloc'd. */
static uint32 *
cluster_sizes(const CdpEdge *edge, uint64 nedges, const uint32 *cluster, uint32 nrecords)
{
	bool	   *paired = palloc0(Max(nrecords, 1));
	uint32	   *size = palloc0(Max(nrecords, 1) * sizeof(uint32));

	for (uint64 i = 0; i < nedges; i++)
		paired[edge[i].a] = paired[edge[i].b] = true;
	for (uint32 i = 0; i < nrecords; i++)
		size[cluster[i]] += paired[i];
	pfree(paired);
	return size;
}

/* match_record_clusters(records, model, rules, max_pairs, least_weight, method, threshold, absent, one_per_source): each record that has a pair. */
Datum
cdp_match_record_clusters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			job = read_job(fcinfo);
	const CdpRecords *records = job.records;
	CdpClusterOptions options = cdp_cluster_options(fcinfo, 5);
	uint32	   *source = palloc(Max(records->nrecords, 1) * sizeof(uint32));
	CdpEdge    *edge;
	uint64		nedges;
	uint32	   *cluster,
			   *size;
	bool		named = job.model->link_type != CDP_LINK_DEDUPE;

	InitMaterializedSRF(fcinfo, 0);
	edge = collect_edges(&job, read_cap(fcinfo, 3), PG_ARGISNULL(4) ? -get_float8_infinity() : PG_GETARG_FLOAT8(4), options.memory, &nedges);
	for (uint32 i = 0; i < records->nrecords; i++)
		source[i] = records->source[i];
	options.one_per_source &= named; /* without sources all records would be of one, and nothing could be joined */
	cluster = cdp_cluster(edge, nedges, records->nrecords, named ? source : NULL, records->nsources, &options);
	size = cluster_sizes(edge, nedges, cluster, records->nrecords);
	for (uint32 i = 0; i < records->nrecords; i++)
	{
		uint32		first = cluster[i];
		const char *name[2] = {records->source_name[records->source[i]], records->source_name[records->source[first]]};
		bool		nulls[5] = {!named || name[0][0] == '\0', false, !named || name[1][0] == '\0', false, false};
		Datum		values[5] = {CStringGetTextDatum(name[0]), record_id(records, i), CStringGetTextDatum(name[1]), record_id(records, first),
		Int32GetDatum(size[first])};

		CHECK_FOR_INTERRUPTS();
		if (size[first] > 0)
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		for (int k = 0; k < 4; k++)
			pfree(DatumGetPointer(values[k]));
	}
	return (Datum) 0;
}

/* ---- explanation */

/* One row of an explanation. */
static void
put_step(ReturnSetInfo *rsinfo, const char *comparison, const CdpLevel *level, double tf, double frequency,
		 double step, double cumulative)
{
	Datum		values[9];
	bool		nulls[9] = {false};
	bool		counts = level != NULL && !level->is_null;

	values[0] = CStringGetTextDatum(comparison);
	values[1] = level ? CStringGetTextDatum(level->label) : (Datum) 0;
	nulls[1] = level == NULL;
	values[2] = Int32GetDatum(level ? level->value : 0);
	nulls[2] = level == NULL;
	values[3] = Float8GetDatum(counts ? level->m : 0);
	nulls[3] = !counts || isnan(level->m);
	values[4] = Float8GetDatum(counts ? level->u : 0);
	nulls[4] = !counts || isnan(level->u);
	values[5] = Float8GetDatum(exp2(step - tf));
	values[6] = Float8GetDatum(frequency);
	nulls[6] = isnan(frequency);
	values[7] = Float8GetDatum(exp2(tf));
	values[8] = Float8GetDatum(cumulative);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* match_explain(records, model, l, r, terms, values, counts, totals): the steps of the weight of two records, by id. */
Datum
cdp_match_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpRecords *records;
	CdpModel   *model;
	CdpMatcher *matcher;
	uint32		l,
				r;
	double		cumulative;
	int64		pattern;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return (Datum) 0;
	records = cdp_records_open(PG_GETARG_BYTEA_P(0));
	model = cdp_model_read(PG_GETARG_JSONB_P(1));
	matcher = cdp_matcher_create(records, model);
	l = PG_GETARG_INT32(2);
	r = PG_GETARG_INT32(3);
	if (l >= records->nrecords || r >= records->nrecords)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no such record among %u", records->nrecords)));
	read_frequencies(fcinfo, 4, records);
	pattern = cdp_matcher_pattern(matcher, l, r);
	cumulative = cdp_matcher_prior(matcher);
	put_step(rsinfo, "(prior)", NULL, 0, get_float8_nan(), cumulative, cumulative);
	for (int i = 0; i < model->ncomparisons; i++)
	{
		CdpComparison *c = &model->comparison[i];
		const CdpLevel *level = NULL;
		double		tf,
					frequency;
		double		step = cdp_matcher_step(matcher, i, pattern, l, r, &tf, &frequency);

		for (int k = 0; k < c->nlevels && level == NULL; k++)
			if (c->level[k].value == cdp_pattern_value(c, pattern))
				level = &c->level[k];
		cumulative += step;
		put_step(rsinfo, c->name, level, tf, frequency, step, cumulative);
	}
	return (Datum) 0;
}
