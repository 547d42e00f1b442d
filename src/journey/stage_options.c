/*
 * stage_options.c
 *		Options of stages: read from jsonb, checked, and written back in
 *		canonical form.
 */
#include "journey/stage.h"

#include "base/option.h"
#include "base/suggest.h"
#include "utils/json.h"

static const CdpField stage_field[] = {
	CDP_FIELD(CdpStageOptions, stages, OTHER),
	CDP_FIELD(CdpStageOptions, skip, BOOL),
	CDP_FIELD(CdpStageOptions, back, BOOL),
	CDP_FIELD(CdpStageOptions, exits, TEXTS),
	CDP_FIELD(CdpStageOptions, idle, DURATION),
	CDP_FIELD(CdpStageOptions, customers, BOOL),
	CDP_FIELD(CdpStageOptions, durations, BOOL),
	CDP_FIELD(CdpStageOptions, since, TIME),
	CDP_FIELD(CdpStageOptions, until, TIME),
	CDP_FIELD(CdpStageOptions, as_of, TIME),
};

/* Members of a stage. */
static const char *const member_names[] = {"name", "enter", "engage", "count"};

static const CdpOptionName stages_option = {"stage", "cdp.stage_options", "stages"};

/* Reads one stage. */
static void
read_stage(CdpStage *stage, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	v;

	stage->count = 1;
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(name, "name") == 0)
			stage->name = cdp_option_text(&stages_option, &v);
		else if (strcmp(name, "enter") == 0)
			stage->enter.item = cdp_option_list(&stages_option, &v, &stage->enter.n);
		else if (strcmp(name, "engage") == 0)
			stage->engage.item = cdp_option_list(&stages_option, &v, &stage->engage.n);
		else if (strcmp(name, "count") == 0)
			stage->count = cdp_option_count(&stages_option, &v);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown member \"%s\" of a stage", name),
					 cdp_suggest_hint(name, member_names, lengthof(member_names))));
	}
	if (stage->name == NULL || stage->name[0] == '\0' || stage->enter.n == 0)
		cdp_option_bad(&stages_option, "A name and labels to enter by, for each stage,");
}

/* Reads the list of stages. */
static void
read_stages(void *options, const JsonbValue *v)
{
	CdpStageOptions *o = options;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerIsScalar(v->val.binary.data) ||
		JsonContainerSize(v->val.binary.data) > CDP_MAX_STAGES)
		cdp_option_bad(&stages_option, "A list of 1 to 64 stages such as [{\"name\": \"lead\", \"enter\": [\"signup\"]}]");
	o->stage = palloc0(sizeof(CdpStage) * CDP_MAX_STAGES);
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvBinary || !JsonContainerIsObject(item.val.binary.data))
			cdp_option_bad(&stages_option, "An object for each stage");
		read_stage(&o->stage[o->stages++], item.val.binary.data);
	}
}

/* Appends the list of stages. */
static void
write_stages(const void *options, StringInfo buf)
{
	const CdpStageOptions *o = options;

	for (int k = 0; k < o->stages; k++)
	{
		appendStringInfo(buf, "%c{\"name\":", k == 0 ? '[' : ',');
		escape_json(buf, o->stage[k].name);
		appendStringInfoString(buf, ",\"enter\":");
		cdp_option_append_list(buf, o->stage[k].enter.item, o->stage[k].enter.n);
		appendStringInfoString(buf, ",\"engage\":");
		cdp_option_append_list(buf, o->stage[k].engage.item, o->stage[k].engage.n);
		appendStringInfo(buf, ",\"count\":%d}", o->stage[k].count);
	}
	appendStringInfoChar(buf, ']');
}

/* Stages may be skipped, and nobody is dropped. */
static void
stage_defaults(void *options)
{
	CdpStageOptions *o = options;

	o->skip = o->durations = true;
	o->idle = PG_INT64_MAX;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
}

/* Refuses options that contradict each other. */
static void
stage_check(void *options)
{
	CdpStageOptions *o = options;

	if (o->stages == 0)
		cdp_option_bad(&stages_option, "At least one stage");
	for (int k = 0; k < o->stages; k++)
	{
		for (int j = 0; j < k; j++)
			if (strcmp(o->stage[j].name, o->stage[k].name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("two stages have the name \"%s\"", o->stage[k].name),
						 errhint("Give each stage a name of its own.")));
		for (int i = 0; i < o->exits.n; i++)
			if (cdp_texts_have(&o->stage[k].enter, o->exits.item[i]) || cdp_texts_have(&o->stage[k].engage, o->exits.item[i]))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("label \"%s\" is both an exit and part of stage \"%s\"", o->exits.item[i], o->stage[k].name),
						 errhint("Leave it out of one of them.")));
	}
	if (o->since >= o->until)
		cdp_fields_bad(&cdp_stage_fields, "since", "A time before \"until\"");
	if (o->idle != PG_INT64_MAX && o->as_of == DT_NOEND)
		cdp_fields_bad(&cdp_stage_fields, "as_of", "The time at which customers are idle, such as now(),");
}

const CdpFields cdp_stage_fields = {
	"stage", "cdp.stage_options", stage_field, lengthof(stage_field), sizeof(CdpStageOptions),
	stage_defaults, stage_check, read_stages, write_stages,
};
