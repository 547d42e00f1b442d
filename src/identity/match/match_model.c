/*
 * match_model.c
 *		Reads a match model from JSON in Splink's settings format: comparisons
 *		with their levels, and blocking rules as sets of equal terms.
 */
#include "identity/match/match.h"

#include <math.h>

#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/numeric.h"

/* Refuses the model: what is wrong and where. */
CDP_NORETURN static void
bad_model(const char *path, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid match model"),
			 errdetail("%s: %s.", path, what),
			 errhint("Build models with cdp.match_model() and cdp.match_comparison(), or import Splink's settings.")));
}

/* The value of a key; NULL when it is absent or JSON null. */
static JsonbValue *
get_key(JsonbContainer *object, const char *key, JsonbValue *room)
{
	JsonbValue *v = getKeyJsonValueFromContainer(object, key, strlen(key), room);

	return v == NULL || v->type == jbvNull ? NULL : v;
}

/* The elements of an array or the keys of an object. */
static JsonbContainer *
get_container(JsonbContainer *object, const char *key, const char *path, bool array)
{
	JsonbValue	room;
	JsonbValue *v = get_key(object, key, &room);

	if (v == NULL)
		return NULL;
	if (v->type != jbvBinary || (array ? !JsonContainerIsArray(v->val.binary.data) : !JsonContainerIsObject(v->val.binary.data)))
		bad_model(psprintf("%s%s", path, key), array ? "an array is expected" : "an object is expected");
	return v->val.binary.data;
}

/* Element i of an array, which must be an object. */
static JsonbContainer *
get_object(JsonbContainer *array, int i, const char *path)
{
	JsonbValue *v = getIthJsonbValueFromContainer(array, i);

	if (v == NULL || v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		bad_model(path, "an object is expected");
	return v->val.binary.data;
}

/* A text, palloc'd; NULL when the key is absent. */
static char *
get_text(JsonbContainer *object, const char *key, const char *path)
{
	JsonbValue	room;
	JsonbValue *v = get_key(object, key, &room);

	if (v == NULL)
		return NULL;
	if (v->type != jbvString)
		bad_model(psprintf("%s%s", path, key), "a text is expected");
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* A number between two limits; the default when the key is absent. */
static double
get_number(JsonbContainer *object, const char *key, const char *path, double missing, double low, double high)
{
	JsonbValue	room;
	JsonbValue *v = get_key(object, key, &room);
	double		d;

	if (v == NULL)
		return missing;
	/* Splink writes a sentence where a level was not met in training. */
	if (v->type == jbvString && isnan(missing))
		return missing;
	if (v->type != jbvNumeric)
		bad_model(psprintf("%s%s", path, key), "a number is expected");
	d = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
	if (!(d >= low && d <= high))
		bad_model(psprintf("%s%s", path, key), psprintf("a number from %g to %g is expected", low, high));
	return d;
}

/* A boolean; false when the key is absent. */
static bool
get_bool(JsonbContainer *object, const char *key, const char *path)
{
	JsonbValue	room;
	JsonbValue *v = get_key(object, key, &room);

	if (v == NULL)
		return false;
	if (v->type != jbvBool)
		bad_model(psprintf("%s%s", path, key), "true or false is expected");
	return v->val.boolean;
}

/* The terms that a condition looks at, as bits. */
uint64
cdp_condition_terms(const CdpCondition *c)
{
	uint64		terms = 0;

	check_stack_depth();
	for (int i = 0; i < c->n; i++)
		terms |= cdp_condition_terms(c->arg[i]);
	if (c->kind == CDP_CONDITION_NULL || c->kind == CDP_CONDITION_MEASURE)
		terms |= UINT64CONST(1) << c->term[0] | UINT64CONST(1) << c->term[1];
	if (c->kind == CDP_CONDITION_MEASURE && c->measure == CDP_MEASURE_KM)
		terms |= UINT64CONST(1) << c->longitude[0] | UINT64CONST(1) << c->longitude[1];
	return terms;
}

/* ---- blocking rules */

/* A conjunction while a rule is taken apart. */
typedef struct Conjunction
{
	int			n;
	CdpCondition *part[CDP_MATCH_MAX_PARTS];
} Conjunction;

/* Takes a condition apart into alternatives of joined parts; palloc'd. */
static Conjunction *
alternatives(CdpCondition *c, const char *path, int *n)
{
	Conjunction *out;

	check_stack_depth();
	if (c->kind == CDP_CONDITION_OR || c->kind == CDP_CONDITION_AND)
	{
		int			na,
					nb;
		Conjunction *a = alternatives(c->arg[0], path, &na);
		Conjunction *b = alternatives(c->arg[1], path, &nb);

		*n = c->kind == CDP_CONDITION_OR ? na + nb : na * nb;
		if (*n > CDP_MATCH_MAX_RULES)
			bad_model(path, psprintf("the rule has more than %d alternatives", CDP_MATCH_MAX_RULES));
		out = palloc(*n * sizeof(Conjunction));
		if (c->kind == CDP_CONDITION_OR)
		{
			memcpy(out, a, na * sizeof(Conjunction));
			memcpy(out + na, b, nb * sizeof(Conjunction));
			return out;
		}
		for (int i = 0; i < *n; i++)
		{
			Conjunction *with = &b[i % nb];

			out[i] = a[i / nb];
			if (out[i].n + with->n > CDP_MATCH_MAX_PARTS)
				bad_model(path, psprintf("the rule joins more than %d conditions", CDP_MATCH_MAX_PARTS));
			memcpy(&out[i].part[out[i].n], with->part, with->n * sizeof(CdpCondition *));
			out[i].n += with->n;
		}
		return out;
	}
	out = palloc0(sizeof(Conjunction));
	out->part[out->n++] = c;
	*n = 1;
	return out;
}

/* Reads one blocking rule into as many conjunctions as it has alternatives; returns how many. */
int
cdp_rules_parse(const char *text, int len, const char *path, int source, CdpTermList *terms, CdpRule *rules, int room)
{
	int			n;
	Conjunction *all = alternatives(cdp_condition_parse(text, len, path, terms), path, &n);

	if (n > room)
		bad_model(path, psprintf("all rules together have more than %d alternatives", CDP_MATCH_MAX_RULES));
	for (int i = 0; i < n; i++)
	{
		CdpRule    *rule = &rules[i];

		memset(rule, 0, sizeof(CdpRule));
		rule->source = source;
		rule->symmetric = true;
		for (int k = 0; k < all[i].n; k++)
		{
			CdpCondition *c = all[i].part[k];

			if (c->kind == CDP_CONDITION_MEASURE && c->measure == CDP_MEASURE_EQUAL && c->op == CDP_OP_EQ)
			{
				rule->part_l[rule->nparts] = c->term[0];
				rule->part_r[rule->nparts++] = c->term[1];
				rule->symmetric &= c->term[0] == c->term[1];
			}
			else
				rule->filter[rule->nfilters++] = c;
		}
		if (rule->nparts == 0)
			bad_model(path, "a blocking rule (each side of its OR) needs an equality of l and r, or it would make all pairs");
	}
	return n;
}

/* Reads rules from a text array; palloc'd. */
CdpRule *
cdp_rules_read(ArrayType *texts, const char *path, CdpTermList *terms, int *n)
{
	CdpRule    *rules = palloc0(CDP_MATCH_MAX_RULES * sizeof(CdpRule));
	Datum	   *value;
	bool	   *isnull;
	int			nvalues;

	*n = 0;
	deconstruct_array(texts, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		char	   *at = psprintf("%s[%d]", path, i);
		text	   *t;

		if (isnull[i])
			bad_model(at, "a blocking rule is NULL");
		t = DatumGetTextPP(value[i]);
		*n += cdp_rules_parse(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), at, i, terms, rules + *n, CDP_MATCH_MAX_RULES - *n);
	}
	return rules;
}

/* Reads the model's own rules. */
static void
read_rules(CdpModel *model, JsonbContainer *root)
{
	const char *key = "blocking_rules_to_generate_predictions";
	JsonbContainer *array = get_container(root, key, "", true);

	model->rule = palloc0(CDP_MATCH_MAX_RULES * sizeof(CdpRule));
	for (int i = 0; array != NULL && i < JsonContainerSize(array); i++)
	{
		char	   *path = psprintf("%s[%d]", key, i);
		JsonbValue *v = getIthJsonbValueFromContainer(array, i);
		char	   *text;

		if (v->type == jbvString)
			text = pnstrdup(v->val.string.val, v->val.string.len);
		else
		{
			JsonbContainer *rule = get_object(array, i, path);
			JsonbValue	room;

			path = psprintf("%s.", path);
			if (get_key(rule, "arrays_to_explode", &room) != NULL)
				bad_model(path, "arrays_to_explode is not supported");
			text = get_text(rule, "blocking_rule", path);
			if (text == NULL)
				bad_model(path, "blocking_rule is missing");
			path = psprintf("%sblocking_rule", path);
		}
		model->nrules += cdp_rules_parse(text, strlen(text), path, i, &model->terms, model->rule + model->nrules,
										 CDP_MATCH_MAX_RULES - model->nrules);
	}
}

/* ---- comparisons */

/* Reads one level. */
static void
read_level(CdpModel *model, JsonbContainer *from, const char *path, CdpLevel *level)
{
	char	   *text = get_text(from, "sql_condition", path);
	char	   *column;

	if (text == NULL)
		bad_model(path, "sql_condition is missing");
	level->condition = cdp_condition_parse(text, strlen(text), psprintf("%ssql_condition", path), &model->terms);
	level->label = get_text(from, "label_for_charts", path);
	if (level->label == NULL)
		level->label = text;
	level->is_null = get_bool(from, "is_null_level", path);
	level->m = get_number(from, "m_probability", path, get_float8_nan(), 0, 1);
	level->u = get_number(from, "u_probability", path, get_float8_nan(), 0, 1);
	level->fix_m = get_bool(from, "fix_m_probability", path);
	level->fix_u = get_bool(from, "fix_u_probability", path);
	level->tf_term = -1;
	column = get_text(from, "tf_adjustment_column", path);
	if (column != NULL)
	{
		CdpTerm    *term = palloc0(sizeof(CdpTerm));

		term->kind = CDP_TERM_COLUMN;
		term->text = column;
		if (strlen(column) >= 2 && column[0] == '"' && column[strlen(column) - 1] == '"')
			term->text = pnstrdup(column + 1, strlen(column) - 2);
		if (*term->text == '\0' || strlen(term->text) >= NAMEDATALEN)
			bad_model(path, "tf_adjustment_column is no name of a column");
		level->tf_term = cdp_term_intern(&model->terms, term, path);
	}
	level->tf_weight = get_number(from, "tf_adjustment_weight", path, 1, 0, 100);
	level->tf_minimum = get_number(from, "tf_minimum_u_value", path, 0, 0, 1);
}

/* Numbers the levels as Splink does and finds what term frequencies refer to. */
static void
number_levels(CdpComparison *c, const char *path)
{
	int			value;

	for (int i = 0; i < c->nlevels; i++)
		c->nvalues += !c->level[i].is_null;
	if (c->nvalues < 2)
		bad_model(path, "a comparison needs at least two levels that are no null level");
	value = c->nvalues;
	for (int i = 0; i < c->nlevels; i++)
	{
		CdpLevel   *level = &c->level[i];

		level->value = level->is_null ? -1 : --value;
		if (!level->is_null)
			c->by_value[level->value] = level;
		if ((level->condition->kind == CDP_CONDITION_TRUE) != (i == c->nlevels - 1))
			bad_model(path, "ELSE must be the last level, and the last level must be ELSE");
		c->terms |= cdp_condition_terms(level->condition);
	}
	for (int i = 0; i < c->nlevels; i++)
	{
		CdpLevel   *level = &c->level[i];

		level->tf_u = level->u;
		for (int k = 0; k < c->nlevels && level->tf_term >= 0; k++)
		{
			CdpCondition *d = c->level[k].condition;

			if (d->kind == CDP_CONDITION_MEASURE && d->measure == CDP_MEASURE_EQUAL && d->op == CDP_OP_EQ &&
				d->term[0] == level->tf_term && d->term[1] == level->tf_term)
				level->tf_u = c->level[k].u;
		}
	}
}

/* Notes the one term of each side that a comparison looks at, when it is only one; false when there are more. */
static bool
single_terms(const CdpCondition *c, int term[2])
{
	bool		single = true;

	check_stack_depth();
	for (int i = 0; i < c->n; i++)
		single &= single_terms(c->arg[i], term);
	if (c->kind == CDP_CONDITION_NULL || c->kind == CDP_CONDITION_MEASURE)
		for (int side = 0; side < 2; side++)
		{
			if (c->kind == CDP_CONDITION_NULL && c->side != (side ? 'r' : 'l'))
				continue;
			if (term[side] < 0)
				term[side] = c->term[side];
			single &= term[side] == c->term[side];
		}
	return single && !(c->kind == CDP_CONDITION_MEASURE && c->measure == CDP_MEASURE_KM);
}

/* Reads one comparison. */
static void
read_comparison(CdpModel *model, JsonbContainer *from, int number, CdpComparison *c)
{
	char	   *path = psprintf("comparisons[%d].", number);
	JsonbContainer *levels = get_container(from, "comparison_levels", path, true);

	c->name = get_text(from, "output_column_name", path);
	if (c->name == NULL)
		c->name = psprintf("comparison %d", number);
	if (levels == NULL || JsonContainerSize(levels) < 2 || JsonContainerSize(levels) > CDP_MATCH_MAX_LEVELS)
		bad_model(path, psprintf("from 2 to %d comparison_levels are expected", CDP_MATCH_MAX_LEVELS));
	c->nlevels = JsonContainerSize(levels);
	c->level = palloc0(c->nlevels * sizeof(CdpLevel));
	for (int i = 0; i < c->nlevels; i++)
	{
		char	   *at = psprintf("%scomparison_levels[%d].", path, i);

		read_level(model, get_object(levels, i, at), at, &c->level[i]);
	}
	number_levels(c, path);
	c->term[0] = c->term[1] = -1;
	c->single = true;
	for (int i = 0; i < c->nlevels; i++)
		c->single &= single_terms(c->level[i].condition, c->term);
	c->single &= c->term[0] >= 0 && c->term[1] >= 0;
}

/* Reads a model; all of it is palloc'd in the current context. */
CdpModel *
cdp_model_read(Jsonb *settings)
{
	static const char *const link_types[] = {"dedupe_only", "link_only", "link_and_dedupe"};
	CdpModel   *model = palloc0(sizeof(CdpModel));
	JsonbContainer *root = &settings->root;
	JsonbContainer *comparisons;
	char	   *type;
	int64		weight = 1;

	if (!JsonContainerIsObject(root))
		bad_model("the model", "an object is expected");
	type = get_text(root, "link_type", "");
	for (int i = 0; type != NULL; i++)
	{
		if (i == lengthof(link_types))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown link_type \"%s\" in a match model", pnstrdup(type, pg_mbcliplen(type, strlen(type), 40))),
					 cdp_suggest_hint(type, link_types, lengthof(link_types))));
		if (strcmp(type, link_types[i]) == 0)
		{
			model->link_type = (CdpLinkType) i;
			break;
		}
	}
	model->prior = get_number(root, "probability_two_random_records_match", "", 0.0001, 0, 1);
	if (model->prior <= 0 || model->prior >= 1)
		bad_model("probability_two_random_records_match", "a number between 0 and 1 is expected");

	comparisons = get_container(root, "comparisons", "", true);
	if (comparisons == NULL || JsonContainerSize(comparisons) < 1 || JsonContainerSize(comparisons) > CDP_MATCH_MAX_COMPARISONS)
		bad_model("comparisons", psprintf("from 1 to %d are expected", CDP_MATCH_MAX_COMPARISONS));
	model->ncomparisons = JsonContainerSize(comparisons);
	model->comparison = palloc0(model->ncomparisons * sizeof(CdpComparison));
	for (int i = 0; i < model->ncomparisons; i++)
	{
		CdpComparison *c = &model->comparison[i];

		read_comparison(model, get_object(comparisons, i, psprintf("comparisons[%d]", i)), i, c);
		/* A pattern is one number: the levels of all comparisons as digits. */
		c->weight = weight;
		if (weight > PG_INT64_MAX / 4 / (c->nvalues + 1))
			bad_model("comparisons", "there are too many combinations of levels for 62 bits");
		weight *= c->nvalues + 1;
	}
	read_rules(model, root);
	return model;
}

/* The level of a comparison in a pattern: -1 for the null level. */
int
cdp_pattern_value(const CdpComparison *c, int64 pattern)
{
	return (int) (pattern / c->weight % (c->nvalues + 1)) - 1;
}
