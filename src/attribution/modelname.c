/*
 * modelname.c
 *		Reads what an analyst types as a model: name(parameter, ...).
 */
#include "attribution/attribution.h"

#include <math.h>

#include "base/suggest.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "attribution/options.h"
#include "parser/scansup.h"
#include "utils/float.h"
#include "utils/formatting.h"

typedef enum ParameterRule
{
	PARAMETERS_NONE,
	PARAMETERS_LABELS,
	PARAMETERS_TWO_SHARES,
	PARAMETERS_DECAY,
	PARAMETERS_ALPHA,
	PARAMETERS_WEIGHTS,
	PARAMETERS_ORDER
} ParameterRule;

typedef struct ModelEntry
{
	CdpModelKind kind;
	ParameterRule rule;
	int			nparams;		/* fixed parameters of a preset */
	double		param[5];
} ModelEntry;

static const char *const model_names[] = {
	"first", "last", "first_non", "last_non", "linear", "linear_unique",
	"position", "u_shaped", "j_shaped", "inverse_j", "w_shaped", "full_path",
	"time_decay", "exponential", "ramp", "custom", "same_touch", "participation",
	"markov", "shapley", "shapley_ordered", "shapley_rate", "one_removed",
};

/* Same order as model_names. Milestone models: first, milestones, last, rest. */
static const ModelEntry model_entries[] = {
	{CDP_MODEL_FIRST}, {CDP_MODEL_LAST},
	{CDP_MODEL_FIRST_NON, PARAMETERS_LABELS}, {CDP_MODEL_LAST_NON, PARAMETERS_LABELS},
	{CDP_MODEL_LINEAR}, {CDP_MODEL_LINEAR_UNIQUE},
	{CDP_MODEL_POSITION, PARAMETERS_TWO_SHARES},
	{CDP_MODEL_POSITION, PARAMETERS_NONE, 2, {0.4, 0.4}},
	{CDP_MODEL_POSITION, PARAMETERS_NONE, 2, {0.2, 0.6}},
	{CDP_MODEL_POSITION, PARAMETERS_NONE, 2, {0.6, 0.2}},
	{CDP_MODEL_MILESTONES, PARAMETERS_NONE, 4, {0.3, 0.3, 0.3, 0.1}},
	{CDP_MODEL_MILESTONES, PARAMETERS_NONE, 5, {0.225, 0.225, 0.225, 0.225, 0.1}},
	{CDP_MODEL_TIME_DECAY, PARAMETERS_DECAY},
	{CDP_MODEL_EXPONENTIAL, PARAMETERS_ALPHA},
	{CDP_MODEL_RAMP}, {CDP_MODEL_CUSTOM, PARAMETERS_WEIGHTS},
	{CDP_MODEL_SAME_TOUCH}, {CDP_MODEL_PARTICIPATION},
	{CDP_MODEL_MARKOV, PARAMETERS_ORDER}, {CDP_MODEL_SHAPLEY}, {CDP_MODEL_SHAPLEY_ORDERED},
	{CDP_MODEL_SHAPLEY_RATE}, {CDP_MODEL_ONE_REMOVED},
};

StaticAssertDecl(lengthof(model_names) == lengthof(model_entries), "model tables differ");

/* Copies the text without outer blanks and with each run of blanks as one; caller's context. */
static char *
fold_blanks(const char *text)
{
	char	   *out = palloc(strlen(text) + 1);
	char	   *o = out;
	bool		quoted = false;

	while (scanner_isspace(*text))
		text++;
	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			quoted = !quoted;
		if (!quoted && scanner_isspace(*text))
		{
			if (o[-1] != ' ')
				*o++ = ' ';
		}
		else
			*o++ = *text;
	}
	while (o > out && !quoted && o[-1] == ' ')
		o--;
	*o = '\0';
	return out;
}

/* What an error shows of a text, which may be a million letters long. */
static char *
start_of(const char *text)
{
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), 200));
}

/* Raises the error for a model that cannot be read. */
static void
bad_model(const char *model, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid attribution model \"%s\"", start_of(model)),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* Splits what stands between the parentheses at commas outside double quotes; palloc'd strings. */
static List *
split_parameters(const char *model, const char *p)
{
	List	   *list = NIL;
	StringInfoData word;
	bool		more = true;

	initStringInfo(&word);		/* one for all: each would take a kilobyte */
	while (more)
	{
		if (list_length(list) == CDP_MAX_PARAMETERS)
			bad_model(model, psprintf("It has more than %d parameters.", CDP_MAX_PARAMETERS), "Name fewer weights or labels.");
		resetStringInfo(&word);
		while (*p == ' ')
			p++;
		if (*p == '"')
		{
			for (p++;; p++)
			{
				if (*p == '\0')
					bad_model(model, "A double quote is not closed.", "Close it before the comma or the parenthesis.");
				if (*p == '"' && p[1] == '"')
					p++;
				else if (*p == '"')
					break;
				appendStringInfoChar(&word, *p);
			}
			for (p++; *p == ' '; p++)
				;
			if (*p != ',' && *p != ')')
				bad_model(model, "Text follows a double-quoted label.", "Separate labels by commas.");
		}
		else
		{
			while (*p != ',' && *p != ')' && *p != '\0')
				appendStringInfoChar(&word, *p++);
			while (word.len > 0 && word.data[word.len - 1] == ' ')
				word.data[--word.len] = '\0';
			if (word.len == 0)
				bad_model(model, "A parameter is empty.", "Write for example \"markov(2)\" or leave the parentheses out.");
		}
		if (*p == '\0' || (*p == ')' && p[1] != '\0'))
			bad_model(model, "The parentheses do not close at the end.", "Write for example \"position(0.3, 0.5)\".");
		more = *p++ == ',';
		list = lappend(list, pstrdup(word.data));
	}
	pfree(word.data);
	return list;
}

/* Reads a finite number; anything else is an error that names the model. */
static double
read_number(const char *model, const char *word)
{
	char	   *end;
	double		value;

	errno = 0;
	value = strtod(word, &end);
	if (end == word || *end != '\0' || !isfinite(value) || errno == ERANGE)
		bad_model(model, psprintf("\"%s\" is not a finite number.", start_of(word)),
				  "Weights and shares are plain numbers such as 0.4.");
	return value;
}

/* Fills the parameters of position(f,l), exponential(a) or custom(w,...). */
static void
read_numbers(CdpModel *m, ParameterRule rule, List *words)
{
	int			n = list_length(words);
	double		sum = 0;

	if (rule == PARAMETERS_TWO_SHARES && n != 2)
		bad_model(m->name, psprintf("position takes 2 shares, not %d.", n),
				  "Write position(first, last), for example position(0.3, 0.5); the middle gets the rest.");
	if (rule == PARAMETERS_ALPHA && n > 1)
		bad_model(m->name, psprintf("exponential takes 1 parameter, not %d.", n), "Write for example exponential(0.5).");
	if (n > 1000)
		bad_model(m->name, psprintf("%d weights are more than the 1000 allowed.", n), "Give fewer weights.");
	m->nparams = n;
	m->param = palloc(sizeof(double) * n);
	for (int i = 0; i < n; i++)
	{
		m->param[i] = read_number(m->name, list_nth(words, i));
		if (m->param[i] < 0)
			bad_model(m->name, psprintf("%g is negative.", m->param[i]), "Weights are 0 or more.");
		sum += m->param[i];
	}
	if (rule == PARAMETERS_ALPHA && (m->param[0] <= 0 || m->param[0] > 1))
		bad_model(m->name, psprintf("%g is not above 0 and at most 1.", m->param[0]), "Write for example exponential(0.5).");
	if (rule == PARAMETERS_TWO_SHARES && (sum > 1 + 1e-12))
		bad_model(m->name, psprintf("The shares add up to %g.", sum), "They must add up to at most 1; the middle gets the rest.");
	if (rule == PARAMETERS_WEIGHTS && (sum <= 0 || !isfinite(sum)))
		bad_model(m->name, psprintf("The weights add up to %g.", sum), "At least one weight must be above 0.");
}

/* Fills half-life and step of time_decay; without them the dialect's. */
static void
read_decay(CdpModel *m, const CdpOptions *o, List *words)
{
	int			n = list_length(words);

	m->half_life = INT64CONST(7) * USECS_PER_DAY;
	if (o->dialect != NULL && strcmp(o->dialect, "posthog") == 0 && o->lookback != PG_INT64_MAX)
		m->half_life = Max(o->lookback / 4, 1);
	m->step = n == 0 && o->dialect != NULL && strcmp(o->dialect, "mam") == 0;
	if (n > 2)
		bad_model(m->name, psprintf("time_decay takes at most 2 parameters, not %d.", n),
				  "Write for example time_decay(7 days) or time_decay(7 days, step).");
	if (n >= 1)
		m->half_life = cdp_duration_from_text(linitial(words), "half-life");
	if (n == 2)
	{
		if (pg_strcasecmp(lsecond(words), "step") != 0)
			bad_model(m->name, psprintf("\"%s\" is not \"step\".", start_of(lsecond(words))),
					  "Write for example time_decay(7 days, step).");
		m->step = true;
	}
}

/* Fills the order of a Markov model. */
static void
read_order(CdpModel *m, List *words)
{
	double		value = 1;

	if (list_length(words) > 1)
		bad_model(m->name, "markov takes one parameter, its order.", "Write for example markov(2).");
	if (words != NIL)
		value = read_number(m->name, linitial(words));
	if (value < 1 || value > CDP_MAX_ORDER || value != floor(value))
		bad_model(m->name, psprintf("The order must be a whole number from 1 to %d, not %g.", CDP_MAX_ORDER, value),
				  "Orders 1 to 3 are usual: markov(1), markov(2), markov(3).");
	m->order = (int) value;
}

/* Applies the rule for the parameters of one model. */
static void
read_parameters(CdpModel *m, const CdpOptions *o, const char *name, ParameterRule rule, List *words)
{
	switch (rule)
	{
		case PARAMETERS_NONE:
			if (words != NIL)
				bad_model(m->name, psprintf("%s takes no parameters.", name), "Leave the parentheses out.");
			break;
		case PARAMETERS_LABELS:
			if (words == NIL)
				bad_model(m->name, psprintf("%s needs the labels to pass over.", name),
						  "Write for example last_non(direct) or last_non(\"direct, none\", email).");
			m->nlabels = list_length(words);
			m->label = palloc(sizeof(char *) * m->nlabels);
			for (int i = 0; i < m->nlabels; i++)
				m->label[i] = list_nth(words, i);
			break;
		case PARAMETERS_ALPHA:
			if (words == NIL)
				words = list_make1("0.5");
			read_numbers(m, rule, words);
			break;
		case PARAMETERS_TWO_SHARES:
		case PARAMETERS_WEIGHTS:
			if (words == NIL)
				bad_model(m->name, psprintf("%s needs weights.", name),
						  "Write for example position(0.3, 0.5) or custom(0.5, 0.3, 0.2).");
			read_numbers(m, rule, words);
			break;
		case PARAMETERS_DECAY:
			read_decay(m, o, words);
			break;
		case PARAMETERS_ORDER:
			read_order(m, words);
			break;
	}
}

/* Reads one model into *model, all memory in the current context; an unknown name is an error with the nearest one. */
void
cdp_model_parse(const char *text, const CdpOptions *o, CdpModel *model)
{
	const char *paren;
	char	   *name;
	List	   *words = NIL;

	memset(model, 0, sizeof(*model));
	model->name = fold_blanks(text);
	paren = strchr(model->name, '(');
	name = asc_tolower(model->name, paren ? paren - model->name : strlen(model->name));
	while (*name != '\0' && name[strlen(name) - 1] == ' ')
		name[strlen(name) - 1] = '\0';
	for (int i = 0; i < lengthof(model_names); i++)
	{
		const ModelEntry *entry = &model_entries[i];

		if (strcmp(name, model_names[i]) != 0)
			continue;
		model->kind = entry->kind;
		if (entry->nparams > 0)
		{
			model->nparams = entry->nparams;
			model->param = palloc(sizeof(entry->param));
			memcpy(model->param, entry->param, sizeof(entry->param));
		}
		if (paren != NULL)
			words = split_parameters(model->name, paren + 1);
		read_parameters(model, o, name, entry->rule, words);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown attribution model \"%s\"", start_of(model->name)),
			 cdp_suggest_hint(name, model_names, lengthof(model_names))));
}

/* Refuses a label that results use for what nobody earned: its rows could not be told apart. */
void
cdp_labels_refuse_reserved(const CdpLabels *labels)
{
	if (!labels->is_int && cdp_label_find(labels, CDP_UNATTRIBUTED) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("label \"%s\" is reserved", CDP_UNATTRIBUTED),
				 errhint("Give these touches another label, such as 'unknown', or a NULL label to leave them out.")));
}
