/*
 * plan_event.c
 *		Reads the event atoms of a plan. Atoms that differ in their threshold only
 *		stand side by side and share a counter.
 */
#include "segment/pass/plan.h"

#define LONGEST INT64CONST(10000000000000000) /* microseconds, some 300 years */

static const char *const op_name[CDP_EVENT_OPS] = {
	"count", "days", "periods", "sum", "avg", "min", "max", "distinct", "first", "last", "gap", "seq"
};

/* What reading the atoms needs. */
typedef struct Reader
{
	CdpPlan    *plan;
	const char *zone;			/* of the plan */
	int			at;				/* the atom at hand */
} Reader;

/* Raises the error for the atom at hand. */
CDP_NORETURN static void
bad(const Reader *r, const char *what)
{
	cdp_plan_bad("events", r->at, what);
}

/* Reads a duration, -1 when there is none. */
static int64
read_duration(const Reader *r, const JsonbContainer *object, const char *key, int64 least)
{
	int64		value;

	if (!cdp_plan_int(object, key, "events", r->at, &value))
		return -1;
	if (value < least || value > LONGEST)
		bad(r, psprintf("\"%s\" is no duration", key));
	return value;
}

/* Reads a moment; false when there is none. */
static bool
read_moment(const Reader *r, const JsonbContainer *object, const char *key, int64 *at)
{
	if (!cdp_plan_int(object, key, "events", r->at, at))
		return false;
	if (!IS_VALID_TIMESTAMP(*at))
		bad(r, psprintf("\"%s\" is no moment of a timestamp", key));
	return true;
}

/* Reads the window of an atom. */
static void
read_window(const Reader *r, const JsonbContainer *object, CdpCounter *c)
{
	int64		as_of = r->plan->as_of;
	JsonbValue	v;
	const JsonbContainer *w;
	bool		bounded;

	if (!cdp_plan_get(object, "window", &v) || v.type != jbvBinary || !JsonContainerIsObject(v.val.binary.data))
		bad(r, "\"window\" is no object");
	w = v.val.binary.data;
	bounded = read_moment(r, w, "from", &c->from);
	if (!bounded)
		c->from = PG_INT64_MIN + 1;
	if (!read_moment(r, w, "to", &c->to))
		bad(r, "\"to\" is missing");
	c->slide_from = read_duration(r, w, "slide_from", 0);
	c->slide_to = read_duration(r, w, "slide_to", 0);
	if ((c->slide_from >= 0 && (!bounded || c->from != as_of - c->slide_from)) ||
		(c->slide_to >= 0 && c->to != as_of - c->slide_to))
		bad(r, "a window that moves does not stand where it should at \"as_of\"");
	c->to = Min(c->to, as_of);
	c->span = c->from < c->to ? (uint64) c->to - (uint64) c->from : 0;
}

/* The number of a test of a kind; a new one is added. */
static int
add_test(CdpKind *kind, int condition, int key, const CdpCompare *compare)
{
	int			n = kind->ntests;

	for (int t = 0; condition >= 0 && t < n; t++)
		if (kind->test[t].condition == condition)
			return t;
	if ((n & (n - 1)) == 0)
	{
		Size		bytes = sizeof(CdpTest) * Max(n * 2, 1);

		kind->test = n == 0 ? palloc(bytes) : repalloc(kind->test, bytes);
	}
	kind->test[n] = (CdpTest) {.condition = condition, .key = key, .compare = compare, .bit = kind->bits};
	kind->bits += condition >= 0 ? 1 : 2;
	/* The two bits of a verdict stay in one word. */
	if (condition < 0 && (kind->test[n].bit & 63) == 63)
	{
		kind->test[n].bit++;
		kind->bits++;
	}
	return kind->ntests++;
}

/* Lets a counter read the rows of a kind of which a test holds. */
static CdpRef *
add_ref(CdpKind *kind, int counter, int test, uint32 mask)
{
	int			n = kind->nrefs;

	/* Those of one counter are the last ones. */
	for (int i = n - 1; i >= 0 && kind->ref[i].counter == counter; i--)
		if (kind->ref[i].test == test)
		{
			kind->ref[i].mask |= mask;
			return &kind->ref[i];
		}
	if ((n & (n - 1)) == 0)
	{
		Size		bytes = sizeof(CdpRef) * Max(n * 2, 1);

		kind->ref = n == 0 ? palloc(bytes) : repalloc(kind->ref, bytes);
	}
	kind->ref[n] = (CdpRef) {.counter = counter, .test = test, .mask = mask, .value_test = -1};
	kind->nrefs++;
	return &kind->ref[n];
}

/* The stretch of time in which rows matter to a counter. */
static void
widen(CdpKind *kind, const CdpCounter *c)
{
	kind->from = Min(kind->from, c->op == CDP_OP_GAP ? PG_INT64_MIN + 1 : c->from);
	kind->to = Max(kind->to, c->slide_to >= 0 || c->op == CDP_OP_SEQ ? PG_INT64_MAX : c->to);
}

/* Reads which rows an atom or a step is about. */
static void
read_of(const Reader *r, const JsonbContainer *object, const char *list_key, uint32 mask, const CdpCounter *c,
		int key, const CdpCompare *compare)
{
	CdpPlan    *plan = r->plan;
	int			n;
	const JsonbContainer *list = cdp_plan_array(object, list_key, "events", r->at, &n);

	if (list == NULL && mask != CDP_SEQ_BREAK)
		bad(r, psprintf("\"%s\" is missing", list_key));
	for (int i = 0; i < n; i++)
	{
		const JsonbContainer *entry = cdp_plan_element(list, i, "events", r->at);
		int64		id;
		int64		condition = -1;
		CdpKind    *kind;
		CdpRef	   *ref;

		if (!cdp_plan_int(entry, "kind", "events", r->at, &id) || id < PG_INT32_MIN || id > PG_INT32_MAX ||
			(kind = cdp_plan_kind(plan, (int32) id)) == NULL)
			bad(r, "a kind is not among \"kinds\" of the plan");
		if (cdp_plan_int(entry, "if", "events", r->at, &condition) && (condition < 0 || condition >= plan->nconditions))
			bad(r, "\"if\" is no condition of the plan");
		ref = add_ref(kind, plan->ncounters, condition < 0 ? -1 : add_test(kind, (int) condition, 0, NULL), mask);
		if (compare != NULL && ref->value_test < 0)
			ref->value_test = add_test(kind, -1, key, compare);
		widen(kind, c);
	}
}

/* The property that an atom reads, CDP_KEY_MONEY for the value of the touchpoint. */
static int
read_operand(const Reader *r, const JsonbContainer *object)
{
	JsonbValue	v;

	if (cdp_plan_get(object, "prop", &v))
	{
		if (v.type != jbvString)
			bad(r, "\"prop\" is no text");
		return cdp_plan_key(r->plan, v.val.string.val, v.val.string.len);
	}
	if (!cdp_plan_get(object, "field", &v) || v.type != jbvString || v.val.string.len != 5 ||
		memcmp(v.val.string.val, "value", 5) != 0)
		bad(r, "neither \"prop\" nor the \"field\" \"value\"");
	return CDP_KEY_MONEY;
}

/* The zone of an atom. */
static CdpZone *
read_zone(const Reader *r, const JsonbContainer *object)
{
	CdpPlan    *plan = r->plan;
	const char *name = cdp_plan_text(object, "tz", "events", r->at);

	if (name == NULL)
		name = r->zone;
	if (name == NULL)
		bad(r, "\"tz\" is missing");
	for (int i = 0; i < plan->nzones; i++)
		if (strcmp(plan->zone[i]->name, name) == 0)
			return plan->zone[i];
	plan->zone = plan->nzones == 0 ? palloc(sizeof(CdpZone *)) : repalloc(plan->zone, sizeof(CdpZone *) * (plan->nzones + 1));
	plan->zone[plan->nzones] = cdp_zone_create(name, "events", r->at);
	return plan->zone[plan->nzones++];
}

/* Reads the bounds of periods, which rise. */
static void
read_bounds(const Reader *r, const JsonbContainer *object, CdpCounter *c)
{
	const JsonbContainer *list = cdp_plan_array(object, "bounds", "events", r->at, &c->nbounds);

	if (c->nbounds < 2 || c->nbounds > CDP_PLAN_LIST)
		bad(r, "\"bounds\" are too few or too many");
	c->bound = palloc(sizeof(int64) * c->nbounds);
	for (int i = 0; i < c->nbounds; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, list), i);

		c->bound[i] = cdp_plan_int_of(v, "events", r->at, "bounds");
		if (!IS_VALID_TIMESTAMP(c->bound[i]) || (i > 0 && c->bound[i] <= c->bound[i - 1]))
			bad(r, "\"bounds\" do not rise");
	}
	c->from = c->bound[0];
	c->to = Min(c->bound[c->nbounds - 1], r->plan->as_of);
	c->span = c->from < c->to ? (uint64) c->to - (uint64) c->from : 0;
	c->slide_from = c->slide_to = -1;
}

/* Reads what ties a step to the one before: the slot of the properties, -1 for nothing. */
static int
read_link(const Reader *r, const JsonbContainer *step)
{
	int			n;
	const JsonbContainer *list = cdp_plan_array(step, "same", "events", r->at, &n);
	int		   *key;

	if (n == 0)
		return -1;
	if (n > 100)
		bad(r, "\"same\" names too many properties");
	key = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, list), i);

		if (v->type != jbvString)
			bad(r, "\"same\" is no list of texts");
		key[i] = cdp_plan_key(r->plan, v->val.string.val, v->val.string.len);
	}
	return cdp_plan_slot(r->plan, CDP_SLOT_SCALAR, key, n);
}

/* Reads a sequence. */
static void
read_sequence(const Reader *r, const JsonbContainer *object, CdpCounter *c)
{
	CdpSeq	   *seq = palloc0(sizeof(CdpSeq));
	int			n;
	int			nbreaks;
	const JsonbContainer *list = cdp_plan_array(object, "steps", "events", r->at, &n);
	char	   *ties = cdp_plan_text(object, "ties", "events", r->at);

	if (n < 2 || n > CDP_SEQ_STEPS)
		bad(r, psprintf("a sequence has 2 to %d steps", CDP_SEQ_STEPS));
	if (ties != NULL && strcmp(ties, "strict") != 0 && strcmp(ties, "order") != 0)
		bad(r, "\"ties\" is neither \"strict\" nor \"order\"");
	seq->by_id = ties != NULL && strcmp(ties, "order") == 0;
	seq->total = read_duration(r, object, "total", 1);
	if (seq->total < 0)
		seq->total = PG_INT64_MAX;
	c->seq = seq;
	c->pair_within = -1;
	for (int s = 0; s < n; s++)
	{
		const JsonbContainer *step = cdp_plan_element(list, s, "events", r->at);
		JsonbValue	v;

		if (cdp_plan_get(step, "absent", &v))
		{
			if (v.type != jbvBool || (v.val.boolean && s < n - 1))
				bad(r, "only the last step may be absent");
			seq->absent = v.val.boolean;
		}
		seq->within[s] = read_duration(r, step, "within", 1);
		seq->link[s] = read_link(r, step);
		if (s == 0 && (seq->within[s] >= 0 || seq->link[s] >= 0))
			bad(r, "the first step has none before it");
		if (seq->within[s] < 0)
			seq->within[s] = PG_INT64_MAX;
		seq->linked |= seq->link[s] >= 0;
		read_of(r, step, "of", 1u << s, c, 0, NULL);
	}
	if (seq->absent && seq->within[n - 1] == PG_INT64_MAX)
		bad(r, "an absent step needs \"within\"");
	seq->nsteps = n - seq->absent;
	read_of(r, object, "breaks", CDP_SEQ_BREAK, c, 0, NULL);
	cdp_plan_array(object, "breaks", "events", r->at, &nbreaks);
	if (n == 2 && nbreaks == 0 && !seq->absent && !seq->by_id && !seq->linked)
		c->pair_within = Min(seq->within[1], seq->total);
	c->scratch = r->plan->nsequences++;
}

/* Whether a member of two objects is the same. */
static bool
same_member(const JsonbContainer *a, const JsonbContainer *b, const char *key)
{
	JsonbValue	x;
	JsonbValue	y;
	bool		has = cdp_plan_get(a, key, &x);

	if (has != cdp_plan_get(b, key, &y) || (has && x.type != y.type))
		return false;
	if (!has)
		return true;
	if (x.type == jbvString)
		return x.val.string.len == y.val.string.len && memcmp(x.val.string.val, y.val.string.val, x.val.string.len) == 0;
	return x.type == jbvBinary && compareJsonbContainers(x.val.binary.data, y.val.binary.data) == 0;
}

/* Whether an atom can share the counter of the one before it. */
static bool
shares_counter(const JsonbContainer *before, const JsonbContainer *object, CdpEventOp op)
{
	return before != NULL && op <= CDP_OP_DISTINCT && same_member(before, object, "op") &&
		same_member(before, object, "of") && same_member(before, object, "window") &&
		same_member(before, object, "bounds") && same_member(before, object, "prop") &&
		same_member(before, object, "field") && same_member(before, object, "tz");
}

/* Reads what an atom asks of its counter, and what it says of who has no rows. */
static void
read_threshold(const Reader *r, const JsonbContainer *object, CdpEventOp op, CdpAtom *atom)
{
	atom->unseen = CDP_FALSE;
	if (op == CDP_OP_GAP || op == CDP_OP_SEQ)
		return;
	if (op == CDP_OP_COUNT || op == CDP_OP_DAYS || op == CDP_OP_PERIODS || op == CDP_OP_DISTINCT)
	{
		char	   *cmp = cdp_plan_text(object, "cmp", "events", r->at);

		if (cmp == NULL || strcmp(cmp, "gte") != 0)
			bad(r, "\"cmp\" is not \"gte\"");
		if (!cdp_plan_int(object, "value", "events", r->at, &atom->least) || atom->least < 1)
			bad(r, "\"value\" is not 1 or more");
		return;
	}
	atom->compare = palloc(sizeof(CdpCompare));
	cdp_compare_read(object, "cmp", op == CDP_OP_FIRST || op == CDP_OP_LAST ? CDP_OPS_SCALAR : CDP_OPS_NUMBER,
					 "events", r->at, atom->compare);
	if (op < CDP_OP_DISTINCT && atom->compare->value[0].type != jbvNumeric)
		bad(r, "\"value\" is no number");
	atom->unseen = CDP_UNKNOWN;
	if (op == CDP_OP_SUM)
	{
		CdpNumber	nothing = {0, NULL};

		atom->unseen = cdp_compare_number(atom->compare, &nothing) ? CDP_TRUE : CDP_FALSE;
	}
}

/* Reads what an atom counts. */
static void
read_counter(const Reader *r, const JsonbContainer *object, CdpEventOp op, const CdpAtom *atom, bool explain)
{
	CdpPlan    *plan = r->plan;
	CdpCounter *c = &plan->counter[plan->ncounters];
	int			key = 0;

	c->op = op;
	c->first_atom = r->at;
	c->slot = -1;
	if (op == CDP_OP_PERIODS)
		read_bounds(r, object, c);
	else
		read_window(r, object, c);
	if (op >= CDP_OP_SUM && op <= CDP_OP_LAST)
		key = read_operand(r, object);
	if (op >= CDP_OP_SUM && op <= CDP_OP_MAX)
		c->slot = cdp_plan_slot(plan, CDP_SLOT_NUMBER, &key, 1);
	else if (op == CDP_OP_DISTINCT)
	{
		c->slot = cdp_plan_slot(plan, CDP_SLOT_SCALAR, &key, 1);
		c->scratch = plan->ndistinct++;
	}
	else if (explain && op > CDP_OP_DISTINCT && op <= CDP_OP_LAST)
		c->slot = cdp_plan_slot(plan, CDP_SLOT_SCALAR, &key, 1); /* to be shown */
	else if (op == CDP_OP_DAYS)
		c->zone = read_zone(r, object);
	else if (op == CDP_OP_GAP && (c->gap = read_duration(r, object, "gap", 1)) < 0)
		bad(r, "\"gap\" is missing");
	if (op == CDP_OP_SEQ)
		read_sequence(r, object, c);
	else
		read_of(r, object, "of", 0, c, key, op == CDP_OP_FIRST || op == CDP_OP_LAST ? atom->compare : NULL);
	plan->ncounters++;
}

/* Reads all event atoms. */
void
cdp_plan_events(CdpPlan *plan, const JsonbContainer *root, bool explain)
{
	Reader		r = {.plan = plan, .zone = cdp_plan_text(root, "tz", "plan", -1)};
	const JsonbContainer *list = cdp_plan_array(root, "events", "plan", -1, &plan->natoms);
	const JsonbContainer *before = NULL;

	if (plan->natoms > CDP_PLAN_LIST)
		cdp_plan_bad("events", plan->natoms, "too many");
	plan->atom = palloc0(sizeof(CdpAtom) * Max(plan->natoms, 1));
	plan->counter = palloc0(sizeof(CdpCounter) * Max(plan->natoms, 1));
	for (r.at = 0; r.at < plan->natoms; r.at++)
	{
		const JsonbContainer *object = cdp_plan_element(list, r.at, "events", r.at);
		CdpAtom    *atom = &plan->atom[r.at];
		char	   *name = cdp_plan_text(object, "op", "events", r.at);
		CdpEventOp	op = 0;
		CdpCounter *c;

		CHECK_FOR_INTERRUPTS();
		while (name != NULL && op < CDP_EVENT_OPS && strcmp(op_name[op], name) != 0)
			op++;
		if (name == NULL || op == CDP_EVENT_OPS)
			bad(&r, "\"op\" is none of the known ones");
		read_threshold(&r, object, op, atom);
		if (explain || !shares_counter(before, object, op))
			read_counter(&r, object, op, atom, explain);
		atom->counter = plan->ncounters - 1;
		c = &plan->counter[atom->counter];
		c->natoms++;
		c->always |= atom->unseen != CDP_FALSE;
		before = object;
	}
}
