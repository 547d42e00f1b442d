/*
 * options.c
 *		Options of an attribution pass: from named arguments or jsonb, checked,
 *		and back in canonical form.
 *
 * There is one reader: cdp.attribution_options() writes its arguments as JSON,
 * and what that makes is read like options from anywhere else.
 */
#include "attribution/options.h"

#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/numeric.h"

typedef enum OptionField
{
	/* the dialect is read first and the lookback next: others build on them */
	OPTION_DIALECT,
	OPTION_LOOKBACK,
	OPTION_MODELS,
	OPTION_LOOKBACK_BY_KIND,
	OPTION_MAX_TOUCHES,
	OPTION_JOURNEY,
	OPTION_EXCLUDE,
	OPTION_INCLUDE,
	OPTION_COLLAPSE,
	OPTION_CONVERSION_IS_TOUCH,
	OPTION_FALLBACK,
	OPTION_TWO_TOUCH,
	OPTION_MILESTONES,
	OPTION_NULL_PATHS,
	OPTION_PATHS,
	OPTION_CREDITS,
	OPTION_GROUPING,
	OPTION_TIME_ZONE,
	OPTION_SINCE,
	OPTION_UNTIL,
	OPTION_AS_OF,
	OPTION_WRITTEN,				/* those above are kept in a result */
	OPTION_LABEL_NAMES = OPTION_WRITTEN,
	OPTION_FIELDS
} OptionField;

static const char *const option_names[] = {
	"dialect", "lookback", "models", "lookback_by_kind", "max_touches", "journey", "exclude",
	"include", "collapse", "conversion_is_touch", "fallback", "two_touch", "milestones",
	"null_paths", "paths", "credits", "grouped_by", "time_zone", "since", "until", "as_of", "label_names",
};

StaticAssertDecl(lengthof(option_names) == OPTION_FIELDS, "option names differ from option fields");

static const char *const default_models[] = {"last", "linear", "u_shaped", "markov", "shapley"};

static const char *const journey_words[] = {"shared", "reset"};
static const char *const conversion_touch_words[] = {"no", "later", "also"};
static const char *const fallback_words[] = {"none", "plain"};
static const char *const two_touch_words[] = {"adobe", "split"};

/* What a field is called in errors; palloc'd. */
static const CdpOptionName *
name_of(OptionField field)
{
	CdpOptionName *option = palloc(sizeof(CdpOptionName));

	*option = (CdpOptionName) {"attribution", "cdp.attribution_options", option_names[field]};
	return option;
}

/* The lookback of each kind of touch, sorted by name. */
static void
read_kinds(CdpOptions *o, const JsonbValue *v)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			size;

	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		cdp_option_bad(name_of(OPTION_LOOKBACK_BY_KIND), "An object such as {\"view\": \"1 day\"}");
	size = JsonContainerSize(v->val.binary.data);
	o->kind = palloc(sizeof(char *) * Max(size, 1));
	o->kind_lookback = palloc(sizeof(int64) * Max(size, 1));
	o->nkinds = 0;
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		int			i = o->nkinds;
		char	   *name;
		int64		duration;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(item.val.string.val, item.val.string.len);
		(void) JsonbIteratorNext(&it, &item, true);
		if (item.type == jbvNull || (item.type == jbvString && item.val.string.len == 9 &&
									 memcmp(item.val.string.val, "unbounded", 9) == 0))
			duration = PG_INT64_MAX;
		else
			duration = cdp_duration_from_text(cdp_option_text(name_of(OPTION_LOOKBACK_BY_KIND), &item), "lookback");
		for (; i > 0 && strcmp(o->kind[i - 1], name) > 0; i--)
		{
			o->kind[i] = o->kind[i - 1];
			o->kind_lookback[i] = o->kind_lookback[i - 1];
		}
		o->kind[i] = name;
		o->kind_lookback[i] = duration;
		o->nkinds++;
	}
}

/* Parentheses that a text opens less those that it closes, outside double quotes. */
static int
open_parentheses(const char *text)
{
	int			open = 0;
	bool		quoted = false;

	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			quoted = !quoted;
		else if (!quoted)
			open += (*text == '(') - (*text == ')');
	}
	return open;
}

/*
 * An array such as '{last,position(0.3,0.5)}' comes split at the comma inside
 * the parentheses: joins texts again until they are closed. Returns how many
 * are left; the list is the caller's, joined texts are palloc'd.
 */
static int
join_split_models(char **text, int n)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		int			open = open_parentheses(text[i]);
		StringInfoData joined;

		text[kept] = text[i];
		if (open > 0)
		{
			initStringInfo(&joined);
			appendStringInfoString(&joined, text[i]);
			while (open > 0 && i + 1 < n)
			{
				open += open_parentheses(text[++i]);
				appendStringInfo(&joined, ",%s", text[i]);
			}
			/* What nothing closes stays as it came: reading it is an error that names it alone. */
			if (open <= 0)
				text[kept] = joined.data;
		}
		kept++;
	}
	return kept;
}

/* The models, refused when empty, too many or named twice. */
static void
read_models(CdpOptions *o, char **text, int n)
{
	if (n == 0)
		cdp_option_bad(name_of(OPTION_MODELS), "At least one model");
	if (n > CDP_MAX_MODELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many attribution models"),
				 errdetail("%d models are given, %d are allowed.", n, CDP_MAX_MODELS),
				 errhint("Run two passes.")));
	o->nmodels = n;
	o->model = palloc(sizeof(CdpModel) * n);
	for (int i = 0; i < n; i++)
	{
		cdp_model_parse(text[i], o, &o->model[i]);
		for (int k = 0; k < i; k++)
			if (strcmp(o->model[i].name, o->model[k].name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("attribution model \"%s\" is named twice", o->model[i].name),
						 errhint("Leave one of them out.")));
	}
}

/* Reads one field; a JSON null leaves the default. */
static void
read_field(CdpOptions *o, OptionField field, const JsonbValue *v, bool *null_paths_given)
{
	char	  **list;
	int			n;

	switch (field)
	{
		case OPTION_DIALECT:
			cdp_dialect_apply(o, cdp_option_text(name_of(field), v));
			break;
		case OPTION_LOOKBACK:
			if (v->type == jbvString && v->val.string.len == 9 &&
				memcmp(v->val.string.val, "unbounded", 9) == 0)
				o->lookback = PG_INT64_MAX;
			else
				o->lookback = cdp_duration_from_text(cdp_option_text(name_of(field), v), "lookback");
			break;
		case OPTION_MODELS:
			list = cdp_option_list(name_of(field), v, &n);
			n = join_split_models(list, n);
			read_models(o, list, n);
			break;
		case OPTION_LOOKBACK_BY_KIND:
			read_kinds(o, v);
			break;
		case OPTION_MAX_TOUCHES:
			o->max_touches = cdp_option_count(name_of(field), v);
			break;
		case OPTION_JOURNEY:
			o->reset = cdp_option_word(name_of(field), v, journey_words, lengthof(journey_words)) == 1;
			break;
		case OPTION_EXCLUDE:
			o->exclude = cdp_option_list(name_of(field), v, &o->nexclude);
			break;
		case OPTION_INCLUDE:
			o->include = cdp_option_list(name_of(field), v, &o->ninclude);
			break;
		case OPTION_COLLAPSE:
			o->collapse = cdp_option_bool(name_of(field), v);
			break;
		case OPTION_CONVERSION_IS_TOUCH:
			o->conversion_is_touch = cdp_option_word(name_of(field), v, conversion_touch_words, lengthof(conversion_touch_words));
			break;
		case OPTION_FALLBACK:
			o->fallback_plain = cdp_option_word(name_of(field), v, fallback_words, lengthof(fallback_words)) == 1;
			break;
		case OPTION_TWO_TOUCH:
			o->two_touch_split = cdp_option_word(name_of(field), v, two_touch_words, lengthof(two_touch_words)) == 1;
			break;
		case OPTION_MILESTONES:
			o->milestone = cdp_option_list(name_of(field), v, &o->nmilestones);
			if (o->nmilestones > CDP_MAX_MILESTONES)
				cdp_option_bad(name_of(field), psprintf("A list of at most %d kinds", CDP_MAX_MILESTONES));
			break;
		case OPTION_NULL_PATHS:
			o->null_paths = cdp_option_bool(name_of(field), v);
			*null_paths_given = true;
			break;
		case OPTION_PATHS:
			o->paths = cdp_option_bool(name_of(field), v);
			break;
		case OPTION_CREDITS:
			o->credits = cdp_option_bool(name_of(field), v);
			break;
		case OPTION_GROUPING:
			o->grouping = cdp_option_text(name_of(field), v);
			break;
		case OPTION_TIME_ZONE:
			o->time_zone = cdp_option_text(name_of(field), v);
			break;
		case OPTION_SINCE:
			o->since = cdp_time_from_text(cdp_option_text(name_of(field), v), "attribution options");
			break;
		case OPTION_UNTIL:
			o->until = cdp_time_from_text(cdp_option_text(name_of(field), v), "attribution options");
			break;
		case OPTION_AS_OF:
			o->as_of = cdp_time_from_text(cdp_option_text(name_of(field), v), "attribution options");
			break;
		case OPTION_LABEL_NAMES:
			o->label_name = cdp_option_list(name_of(field), v, &o->nlabel_names);
			break;
		case OPTION_FIELDS:
			break;
	}
}

/* Notes what the models need to be counted. */
static void
derive_needs(CdpOptions *o, bool null_paths_given)
{
	bool		order_used[CDP_MAX_ORDER + 1] = {false};
	bool		wants_nulls = o->paths || o->credits || null_paths_given;

	for (int i = 0; i < o->nmodels; i++)
	{
		CdpModelKind kind = o->model[i].kind;

		o->has_rules |= CDP_MODEL_IS_RULE(kind);
		o->need_sessions |= kind == CDP_MODEL_SAME_TOUCH;
		o->need_times |= kind == CDP_MODEL_SAME_TOUCH || kind == CDP_MODEL_TIME_DECAY ||
			kind == CDP_MODEL_MILESTONES;
		wants_nulls |= kind == CDP_MODEL_MARKOV || kind == CDP_MODEL_SHAPLEY_RATE ||
			kind == CDP_MODEL_ONE_REMOVED;
		o->need_coalitions |= kind == CDP_MODEL_SHAPLEY || kind == CDP_MODEL_SHAPLEY_ORDERED ||
			kind == CDP_MODEL_SHAPLEY_RATE;
		o->need_ordered |= kind == CDP_MODEL_SHAPLEY_ORDERED;
		o->need_pathtable |= kind == CDP_MODEL_ONE_REMOVED;
		if (kind == CDP_MODEL_MARKOV)
			order_used[o->model[i].order] = true;
	}
	o->need_pathtable |= o->paths;
	for (int i = 1; i <= CDP_MAX_ORDER; i++)
		if (order_used[i])
			o->order[o->norders++] = i;
	o->need_nulls = o->null_paths && wants_nulls;
	o->null_paths = o->need_nulls;
}

/* Finds a field by its name; an unknown one is an error with the nearest name. */
static OptionField
find_field(const char *name)
{
	for (int i = 0; i < OPTION_FIELDS; i++)
		if (strcmp(name, option_names[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown attribution option \"%s\"", name),
			 cdp_suggest_hint(name, option_names, lengthof(option_names))));
}

/* Reads and checks options (NULL: all defaults); the result lives in cxt. */
CdpOptions *
cdp_options_from_jsonb(Jsonb *jsonb, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpOptions *o = palloc0(sizeof(CdpOptions));
	JsonbValue	value[OPTION_FIELDS];
	bool		given[OPTION_FIELDS] = {false};
	bool		null_paths_given = false;

	o->lookback = INT64CONST(30) * USECS_PER_DAY;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
	o->fallback_plain = o->null_paths = true;
	if (jsonb != NULL)
	{
		JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
		JsonbIteratorToken token;
		JsonbValue	v;

		if (!JB_ROOT_IS_OBJECT(jsonb))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("attribution options are not a JSON object"),
					 errhint("Options are made with cdp.attribution_options(...).")));
		while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		{
			OptionField field;

			if (token != WJB_KEY)
				continue;
			field = find_field(pnstrdup(v.val.string.val, v.val.string.len));
			(void) JsonbIteratorNext(&it, &value[field], true);
			given[field] = value[field].type != jbvNull;
		}
	}
	for (int field = 0; field < OPTION_FIELDS; field++)
	{
		if (given[field])
			read_field(o, field, &value[field], &null_paths_given);
		else if (field == OPTION_MODELS)
			read_models(o, unconstify(char **, (const char **) default_models), lengthof(default_models));
	}
	if (o->since >= o->until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution option \"since\" is not before \"until\""),
				 errhint("The interval is half-open: since <= time < until.")));
	derive_needs(o, null_paths_given);
	MemoryContextSwitchTo(old);
	return o;
}

/* The same from JSON text. */
CdpOptions *
cdp_options_from_text(const char *json, MemoryContext cxt)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));

	return cdp_options_from_jsonb(jsonb, cxt);
}

/* Appends the canonical JSON value of one field. */
void
cdp_options_write_field(const CdpOptions *o, int field, StringInfo buf)
{
	switch ((OptionField) field)
	{
		case OPTION_DIALECT:
			cdp_option_append_text(buf, o->dialect);
			break;
		case OPTION_LOOKBACK:
			cdp_option_append_duration(buf, o->lookback);
			break;
		case OPTION_MODELS:
			appendStringInfoChar(buf, '[');
			for (int i = 0; i < o->nmodels; i++)
			{
				if (i > 0)
					appendStringInfoChar(buf, ',');
				escape_json(buf, o->model[i].name);
			}
			appendStringInfoChar(buf, ']');
			break;
		case OPTION_LOOKBACK_BY_KIND:
			appendStringInfoChar(buf, '{');
			for (int i = 0; i < o->nkinds; i++)
			{
				if (i > 0)
					appendStringInfoChar(buf, ',');
				escape_json(buf, o->kind[i]);
				appendStringInfoChar(buf, ':');
				cdp_option_append_duration(buf, o->kind_lookback[i]);
			}
			appendStringInfoChar(buf, '}');
			break;
		case OPTION_MAX_TOUCHES:
			if (o->max_touches > 0)
				appendStringInfo(buf, "%d", o->max_touches);
			else
				appendStringInfoString(buf, "null");
			break;
		case OPTION_JOURNEY:
			cdp_option_append_text(buf, journey_words[o->reset]);
			break;
		case OPTION_EXCLUDE:
			cdp_option_append_list(buf, o->exclude, o->nexclude);
			break;
		case OPTION_INCLUDE:
			cdp_option_append_list(buf, o->include, o->ninclude);
			break;
		case OPTION_COLLAPSE:
			appendStringInfoString(buf, o->collapse ? "true" : "false");
			break;
		case OPTION_CONVERSION_IS_TOUCH:
			cdp_option_append_text(buf, conversion_touch_words[o->conversion_is_touch]);
			break;
		case OPTION_FALLBACK:
			cdp_option_append_text(buf, fallback_words[o->fallback_plain]);
			break;
		case OPTION_TWO_TOUCH:
			cdp_option_append_text(buf, two_touch_words[o->two_touch_split]);
			break;
		case OPTION_MILESTONES:
			cdp_option_append_list(buf, o->milestone, o->nmilestones);
			break;
		case OPTION_NULL_PATHS:
			appendStringInfoString(buf, o->null_paths ? "true" : "false");
			break;
		case OPTION_PATHS:
			appendStringInfoString(buf, o->paths ? "true" : "false");
			break;
		case OPTION_CREDITS:
			appendStringInfoString(buf, o->credits ? "true" : "false");
			break;
		case OPTION_GROUPING:
			cdp_option_append_text(buf, o->grouping);
			break;
		case OPTION_TIME_ZONE:
			cdp_option_append_text(buf, o->time_zone);
			break;
		case OPTION_SINCE:
			cdp_option_append_time(buf, o->since);
			break;
		case OPTION_UNTIL:
			cdp_option_append_time(buf, o->until);
			break;
		case OPTION_AS_OF:
			cdp_option_append_time(buf, o->as_of);
			break;
		case OPTION_WRITTEN:
		case OPTION_FIELDS:
			break;
	}
}

/* Appends the options as canonical JSON: every field, in a fixed order. */
void
cdp_options_write(const CdpOptions *o, StringInfo buf)
{
	for (int field = 0; field < OPTION_WRITTEN; field++)
	{
		appendStringInfo(buf, "%c\"%s\":", field == 0 ? '{' : ',', option_names[field]);
		cdp_options_write_field(o, field, buf);
	}
	appendStringInfoChar(buf, '}');
}

/* Tells whether sums under both options may be added; else names the first difference in *which. */
bool
cdp_options_equal(const CdpOptions *a, const CdpOptions *b, const char **which)
{
	StringInfoData left;
	StringInfoData right;
	bool		equal = true;

	initStringInfo(&left);
	initStringInfo(&right);
	/* Reported intervals may differ: days are added up. The dialect is a name for other fields. */
	for (int field = OPTION_LOOKBACK; equal && field < OPTION_SINCE; field++)
	{
		resetStringInfo(&left);
		resetStringInfo(&right);
		cdp_options_write_field(a, field, &left);
		cdp_options_write_field(b, field, &right);
		equal = strcmp(left.data, right.data) == 0;
		*which = option_names[field];
	}
	for (int i = 0; equal && i < a->nmodels; i++)
	{
		equal = a->model[i].half_life == b->model[i].half_life && a->model[i].step == b->model[i].step;
		*which = option_names[OPTION_MODELS];
	}
	pfree(left.data);
	pfree(right.data);
	return equal;
}

CDP_FUNCTION(cdp_attribution_options);

/* cdp.attribution_options(...): checked options as canonical jsonb, in the caller's context. */
Datum
cdp_attribution_options(PG_FUNCTION_ARGS)
{
	static const struct
	{
		OptionField field;
		Oid			type;
	}			arguments[] = {
		{OPTION_MODELS, TEXTARRAYOID}, {OPTION_LOOKBACK, INTERVALOID},
		{OPTION_LOOKBACK_BY_KIND, JSONBOID}, {OPTION_MAX_TOUCHES, INT4OID},
		{OPTION_SINCE, TIMESTAMPTZOID}, {OPTION_UNTIL, TIMESTAMPTZOID},
		{OPTION_AS_OF, TIMESTAMPTZOID}, {OPTION_JOURNEY, TEXTOID},
		{OPTION_EXCLUDE, TEXTARRAYOID}, {OPTION_INCLUDE, TEXTARRAYOID},
		{OPTION_COLLAPSE, BOOLOID}, {OPTION_CONVERSION_IS_TOUCH, TEXTOID},
		{OPTION_FALLBACK, TEXTOID}, {OPTION_TWO_TOUCH, TEXTOID},
		{OPTION_MILESTONES, TEXTARRAYOID}, {OPTION_NULL_PATHS, BOOLOID},
		{OPTION_PATHS, BOOLOID}, {OPTION_CREDITS, BOOLOID}, {OPTION_GROUPING, TEXTOID},
		{OPTION_TIME_ZONE, TEXTOID}, {OPTION_DIALECT, TEXTOID},
	};
	StringInfoData buf;
	CdpOptions *o;
	bool		unbounded = !PG_ARGISNULL(lengthof(arguments)) && PG_GETARG_BOOL(lengthof(arguments));

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"dialect\":null");
	for (int i = 0; i < lengthof(arguments); i++)
		cdp_option_append_argument(fcinfo, i, name_of(arguments[i].field), arguments[i].type, &buf);
	if (unbounded)
	{
		if (!PG_ARGISNULL(1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("both a lookback and an unbounded lookback are asked for"),
					 errhint("Leave lookback or lookback_unbounded out.")));
		appendStringInfoString(&buf, ",\"lookback\":\"unbounded\"");
	}
	appendStringInfoChar(&buf, '}');
	o = cdp_options_from_text(buf.data, CurrentMemoryContext);
	resetStringInfo(&buf);
	cdp_options_write(o, &buf);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}
