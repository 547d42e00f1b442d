/*
 * normalise_rules.c
 *		The rules of one database, compiled: which normaliser and pattern a type
 *		has, and which values never identify anybody.
 *
 * Rules come as two text arrays of five columns, the user's own and those of
 * the release; an own row replaces the built-in one of the same kind and
 * number.
 *		type    type_id   normaliser  -       pattern
 *		block   block_id  type_id     value   pattern		(neither: switched off)
 *		region  -         code        -       -
 * They are compiled once per call site: blocked values into a hash table,
 * patterns of a simple form into comparisons of bytes, others into a regular
 * expression when a value comes near enough to need it.
 */
#include "core/normalise.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "nodes/primnodes.h"
#include "regex/regex.h"
#include "utils/array.h"

#define RULE_COLUMNS 5

/* A compiled regular expression; belongs to the rules' memory context, whose reset frees it. */
typedef struct Expression
{
	MemoryContextCallback callback;
	regex_t		re;
} Expression;

typedef struct Pattern
{
	int32		type_id;		/* 0: every type */
	bool		set_only;		/* ^[set]*$ */
	bool		anywhere;		/* the literal is all of it, anywhere in the value */
	bool		set[128];
	char	   *literal;		/* what a value begins with (or holds) when the expression matches; len 0: unknown */
	int			len;
	text	   *source;
	Expression *expression;		/* NULL until needed */
} Pattern;

typedef struct TypeRule
{
	int32		type_id;
	CdpNormaliser normaliser;
	Pattern    *pattern;		/* NULL: anything */
} TypeRule;

/* A blocked value; type_id 0 for every type. */
typedef struct Blocked
{
	uint32		hash;
	int32		type_id;
	int			len;
	char	   *value;			/* NULL: a free place */
} Blocked;

struct CdpRules
{
	MemoryContext cxt;			/* holds everything below; reset when the rules change */
	ArrayType  *source[2];		/* what was compiled: own and built-in; NULL when the argument was NULL */
	bool		ready;
	CdpRegion	region;
	int			ntypes;
	TypeRule   *type;			/* by type_id */
	int			npatterns;
	Pattern    *pattern;
	uint32		mask;			/* of the table of blocked values */
	int			longest;		/* bytes of the longest blocked value */
	Blocked    *blocked;
};

/* One row of a rule array; texts are NULL or end with a zero. */
typedef struct Row
{
	char	   *kind;
	int32		id;
	char	   *a;
	char	   *b;
	text	   *pattern;
} Row;

/* Frees a regular expression with its context. */
static void
free_expression(void *arg)
{
	pg_regfree((regex_t *) arg);
}

/* Compiles the pattern's expression in the rules' context. */
static void
compile_expression(CdpRules *rules, Pattern *p)
{
	MemoryContext old = MemoryContextSwitchTo(rules->cxt);
	int			len = VARSIZE_ANY_EXHDR(p->source);
	pg_wchar   *wide = palloc(mul_size(len + 1, sizeof(pg_wchar)));
	Expression *e = palloc0(sizeof(Expression));
	int			n = pg_mb2wchar_with_len(VARDATA_ANY(p->source), wide, len);
	int			rc = pg_regcomp(&e->re, wide, n, REG_ADVANCED | REG_NOSUB, C_COLLATION_OID);

	if (rc != REG_OKAY)
	{
		char		message[100];

		pg_regerror(rc, &e->re, message, sizeof(message));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
				 errmsg("invalid pattern for identifiers: %s", message)));
	}
	e->callback.func = free_expression;
	e->callback.arg = &e->re;
	MemoryContextRegisterResetCallback(rules->cxt, &e->callback);
	pfree(wide);
	p->expression = e;
	MemoryContextSwitchTo(old);
}

/* Runs the pattern's expression over the value. */
static bool
expression_matches(CdpRules *rules, Pattern *p, const char *value, int len)
{
	pg_wchar	wide[CDP_FORM_ROOM + 1];
	int			rc;

	if (p->expression == NULL)
		compile_expression(rules, p);
	rc = pg_regexec(&p->expression->re, wide, pg_mb2wchar_with_len(value, wide, len), 0, NULL, 0, NULL, 0);
	if (rc != REG_OKAY && rc != REG_NOMATCH)
	{
		char		message[100];

		CHECK_FOR_INTERRUPTS(); /* a cancelled search comes back as an error */
		pg_regerror(rc, &p->expression->re, message, sizeof(message));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
				 errmsg("a pattern for identifiers failed: %s", message)));
	}
	return rc == REG_OKAY;
}

/* True for a character that means itself in a regular expression. */
static bool
means_itself(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr(" _-<>%#@:/=,;&!~'\"`", c) != NULL);
}

/* Reads "^[set]*$" of plain ASCII characters and no ranges; false when the expression is another. */
static bool
read_set(Pattern *p, const char *re, int len)
{
	if (len < 6 || strncmp(re, "^[", 2) != 0 || strncmp(re + len - 3, "]*$", 3) != 0)
		return false;
	for (int i = 2; i < len - 3; i++)
	{
		if ((unsigned char) re[i] >= 0x80 || strchr("]\\[:^", re[i]) != NULL || (re[i] == '-' && i > 2 && i < len - 4))
			return false;
		p->set[(unsigned char) re[i]] = true;
	}
	p->set_only = true;
	return true;
}

/*
 * Finds the literal text that stands at the beginning of the expression, after
 * ^, or that is the whole of it.  Alternatives and options give none.
 */
static void
read_literal(Pattern *p, const char *re, int len)
{
	bool		front;
	int			i;

	if (len <= 0)				/* so that compilers see a length that is a size */
		return;
	front = re[0] == '^';
	i = front;
	p->literal = palloc(len);
	if (memchr(re, '|', len) != NULL || (len >= 3 && strncmp(re, "***", 3) == 0))
		return;
	while (i < len)
	{
		int			escape = re[i] == '\\';

		/* Behind a backslash letters and digits have other meanings. */
		if (i + escape >= len || (unsigned char) re[i + escape] >= 0x80 ||
			(escape ? pg_ascii_tolower(re[i + 1]) != re[i + 1] || (re[i + 1] >= 'a' && re[i + 1] <= 'z') ||
			 (re[i + 1] >= '0' && re[i + 1] <= '9') : !means_itself(re[i])))
			break;
		/* What a quantifier follows may be absent. */
		if (i + escape + 1 < len && strchr("*+?{", re[i + escape + 1]) != NULL)
			break;
		p->literal[p->len++] = re[i + escape];
		i += escape + 1;
	}
	p->anywhere = !front && i == len && p->len > 0;
	if (!front && !p->anywhere)
		p->len = 0;
}

/* Compiles a pattern as far as it needs no regular expression, in the current context. */
static void
compile_pattern(Pattern *p, int32 type_id, text *source)
{
	memset(p, 0, sizeof(Pattern));
	p->type_id = type_id;
	p->source = source;
	if (!read_set(p, VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source)))
		read_literal(p, VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source));
}

/* Tells whether the value matches. */
static bool
pattern_matches(CdpRules *rules, Pattern *p, const char *value, int len)
{
	if (p->set_only)
	{
		for (int i = 0; i < len; i++)
		{
			if ((unsigned char) value[i] >= 0x80 || !p->set[(unsigned char) value[i]])
				return false;
		}
		return true;
	}
	if (p->anywhere)
		return memmem(value, len, p->literal, p->len) != NULL;
	if (p->len > 0 && (len < p->len || memcmp(value, p->literal, p->len) != 0))
		return false;
	return expression_matches(rules, p, value, len);
}

/* Finds the place of a blocked value, taken or free. */
static Blocked *
blocked_slot(const CdpRules *rules, int32 type_id, const char *value, int len, uint32 hash)
{
	for (uint32 i = hash & rules->mask;; i = (i + 1) & rules->mask)
	{
		Blocked    *b = &rules->blocked[i];

		if (b->value == NULL ||
			(b->hash == hash && b->type_id == type_id && b->len == len && memcmp(b->value, value, len) == 0))
			return b;
	}
}

/* Hash of a value under a type. */
static uint32
blocked_hash(int32 type_id, const char *value, int len)
{
	return hash_bytes((const unsigned char *) value, len) ^ ((uint32) type_id * 0x9E3779B1u);
}

/* Puts the form, in lower case, on the table. */
static void
block_form(CdpRules *rules, int32 type_id, CdpForm *form)
{
	uint32		hash;
	Blocked    *b;

	if (cdp_form_lower(form, &rules->region) != CDP_FORM_GOOD)
		return;
	hash = blocked_hash(type_id, form->text, form->len);
	b = blocked_slot(rules, type_id, form->text, form->len, hash);
	if (b->value != NULL)
		return;
	b->hash = hash;
	b->type_id = type_id;
	b->len = form->len;
	b->value = pnstrdup(form->text, form->len);
	rules->longest = Max(rules->longest, form->len);
}

/* The rule of a type; NULL when there is none. */
static TypeRule *
type_rule(const CdpRules *rules, int32 type_id)
{
	int			low = 0,
				high = rules->ntypes - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (rules->type[mid].type_id == type_id)
			return &rules->type[mid];
		if (rules->type[mid].type_id < type_id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

/* Compiles one row of kind block. */
static void
compile_block(CdpRules *rules, const Row *row)
{
	int32		type_id = row->a ? pg_strtoint32(row->a) : 0;
	TypeRule   *type = type_rule(rules, type_id);
	CdpForm		form;

	if (row->pattern != NULL)
		compile_pattern(&rules->pattern[rules->npatterns++], type_id, row->pattern);
	if (row->b == NULL || cdp_form_clean(row->b, strlen(row->b), &form) != CDP_FORM_GOOD)
		return;
	/* As it was written and as its type stores it, so that either way of telling it serves. */
	block_form(rules, type_id, &form);
	if (type != NULL && cdp_form_clean(row->b, strlen(row->b), &form) == CDP_FORM_GOOD &&
		type->normaliser(&form, &rules->region) == CDP_FORM_GOOD)
		block_form(rules, type_id, &form);
}

/* Compiles one row of kind type. */
static void
compile_type(CdpRules *rules, const Row *row)
{
	TypeRule   *type = &rules->type[rules->ntypes++];

	type->type_id = row->id;
	type->normaliser = row->a ? cdp_normaliser(row->a, strlen(row->a)) : NULL;
	type->pattern = NULL;
	if (type->normaliser == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("identifier type %d has an unknown normaliser", row->id),
				 errhint("Take one of: SELECT name FROM cdp.normaliser_builtin();")));
	if (row->pattern != NULL)
	{
		type->pattern = palloc(sizeof(Pattern));
		compile_pattern(type->pattern, row->id, row->pattern);
	}
}

/* Orders types by number. */
static int
compare_types(const void *a, const void *b)
{
	int32		x = ((const TypeRule *) a)->type_id,
				y = ((const TypeRule *) b)->type_id;

	return (x > y) - (x < y);
}

/* Orders rows by kind, then number, then as they came: own before built-in. */
static int
compare_rows(const void *a, const void *b)
{
	const Row  *x = a,
			   *y = b;
	int			c = strcmp(x->kind, y->kind);

	if (c == 0)
		c = (x->id > y->id) - (x->id < y->id);
	return c;
}

/* Reads an array into rows, in the current context; returns how many. */
static int
read_rows(ArrayType *array, Row *row)
{
	Datum	   *value;
	bool	   *isnull;
	int			nvalues;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &nvalues);
	for (int i = 0; i < nvalues / RULE_COLUMNS; i++)
	{
		Datum	   *v = value + i * RULE_COLUMNS;
		bool	   *null = isnull + i * RULE_COLUMNS;

		CHECK_FOR_INTERRUPTS();
		row[i].kind = null[0] ? "" : TextDatumGetCString(v[0]);
		row[i].id = null[1] ? 0 : pg_strtoint32(TextDatumGetCString(v[1]));
		row[i].a = null[2] ? NULL : TextDatumGetCString(v[2]);
		row[i].b = null[3] ? NULL : TextDatumGetCString(v[3]);
		row[i].pattern = null[4] ? NULL : DatumGetTextPCopy(v[4]);
	}
	return nvalues / RULE_COLUMNS;
}

/* Number of rows of an array of rules; raises an error when its shape is another. */
static int
count_rows(ArrayType *array)
{
	if (array == NULL || ARR_NDIM(array) == 0)
		return 0;
	if (ARR_ELEMTYPE(array) != TEXTOID || ARR_NDIM(array) != 2 || ARR_DIMS(array)[1] != RULE_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("rules for identifiers must be a text array of %d columns", RULE_COLUMNS),
				 errdetail("It has %d dimensions.", ARR_NDIM(array)),
				 errhint("Take them from cdp_internal.identifier_rules().")));
	return ARR_DIMS(array)[0];
}

/* Compiles both arrays into the rules' own context, which is empty. */
static void
compile_rules(CdpRules *rules)
{
	int			own = count_rows(rules->source[0]),
				n = own + count_rows(rules->source[1]);
	Row		   *row = palloc0(mul_size(n + 1, sizeof(Row)));
	uint32		places = 64;

	if (own > 0)
		read_rows(rules->source[0], row);
	if (n > own)
		read_rows(rules->source[1], row + own);
	while (places < 4 * (uint32) n)
		places *= 2;
	rules->mask = places - 1;
	rules->blocked = palloc_extended(mul_size(places, sizeof(Blocked)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	rules->type = palloc(mul_size(n + 1, sizeof(TypeRule)));
	rules->pattern = palloc_extended(mul_size(n + 1, sizeof(Pattern)), MCXT_ALLOC_HUGE);

	/* Built-in rows that an own row replaces lose their kind. */
	if (own > 0)
		qsort(row, own, sizeof(Row), compare_rows);
	for (int i = own; i < n; i++)
	{
		if (own > 0 && bsearch(&row[i], row, own, sizeof(Row), compare_rows) != NULL)
			row[i].kind = "";
	}
	for (int i = 0; i < n; i++)
	{
		if (strcmp(row[i].kind, "type") == 0)
			compile_type(rules, &row[i]);
		else if (strcmp(row[i].kind, "region") == 0 && row[i].a)
			rules->region.plan = cdp_phone_plan(row[i].a, strlen(row[i].a));
	}
	qsort(rules->type, rules->ntypes, sizeof(TypeRule), compare_types);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(row[i].kind, "block") == 0)
			compile_block(rules, &row[i]);
	}
}

/* True when the argument is written as a constant. A parameter is none: a variable of plpgsql may change between two calls. */
static bool
is_constant(FunctionCallInfo fcinfo, int arg)
{
	Node	   *call = fcinfo->flinfo->fn_expr;

	return call != NULL && IsA(call, FuncExpr) && list_length(((FuncExpr *) call)->args) > arg &&
		IsA(list_nth(((FuncExpr *) call)->args, arg), Const);
}

/* True when the argument holds what was compiled. */
static bool
same_source(FunctionCallInfo fcinfo, int arg, ArrayType *compiled)
{
	ArrayType  *given;

	if (is_constant(fcinfo, arg))
		return true;
	if (PG_ARGISNULL(arg) || compiled == NULL)
		return PG_ARGISNULL(arg) && compiled == NULL;
	given = PG_GETARG_ARRAYTYPE_P(arg);
	return VARSIZE(given) == VARSIZE(compiled) && memcmp(given, compiled, VARSIZE(given)) == 0;
}

/* Copy of an array argument in the current context; NULL for NULL. */
static ArrayType *
copied_array(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_ARRAYTYPE_P_COPY(arg);
}

/* The compiled rules of two arguments; they belong to the call site. */
CdpRules *
cdp_rules_for(FunctionCallInfo fcinfo, int own, int builtin)
{
	CdpRules   *rules = fcinfo->flinfo->fn_extra;
	MemoryContext old,
				cxt;

	if (rules != NULL && rules->ready && same_source(fcinfo, own, rules->source[0]) && same_source(fcinfo, builtin, rules->source[1]))
		return rules;
	if (rules == NULL)
	{
		rules = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CdpRules));
		rules->cxt = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "identifier rules", ALLOCSET_DEFAULT_SIZES);
		fcinfo->flinfo->fn_extra = rules;
	}
	rules->ready = false;
	cxt = rules->cxt;
	MemoryContextReset(cxt);
	memset(rules, 0, sizeof(CdpRules));
	rules->cxt = cxt;
	old = MemoryContextSwitchTo(cxt);
	rules->source[0] = copied_array(fcinfo, own);
	rules->source[1] = copied_array(fcinfo, builtin);
	compile_rules(rules);
	MemoryContextSwitchTo(old);
	/* Last, so that an error above leaves nothing that looks complete. */
	rules->ready = true;
	return rules;
}

/* The compiled rules of two arrays, either of which may be NULL, in a context below the one given. */
CdpRules *
cdp_rules_make(MemoryContext parent, ArrayType *own, ArrayType *builtin)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "identifier rules", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpRules   *rules = palloc0(sizeof(CdpRules));

	rules->cxt = cxt;
	rules->source[0] = own;
	rules->source[1] = builtin;
	compile_rules(rules);
	MemoryContextSwitchTo(old);
	rules->source[0] = rules->source[1] = NULL;
	rules->ready = true;
	return rules;
}

/* Tells whether the value is blocked for the type or for all. */
static bool
is_blocked(CdpRules *rules, int32 type_id, const CdpForm *form)
{
	CdpForm		bare;

	memcpy(&bare, form, offsetof(CdpForm, text) + form->len + 1);
	while (cdp_form_unquote(&bare))
	{
		if (bare.len == 0)
			return true;		/* quotes around nothing */
	}
	for (int i = 0; i < rules->npatterns; i++)
	{
		Pattern    *p = &rules->pattern[i];

		if ((p->type_id == 0 || p->type_id == type_id) && pattern_matches(rules, p, bare.text, bare.len))
			return true;
	}
	if (bare.len > rules->longest || cdp_form_lower(&bare, &rules->region) != CDP_FORM_GOOD)
		return false;
	return blocked_slot(rules, 0, bare.text, bare.len, blocked_hash(0, bare.text, bare.len))->value != NULL ||
		blocked_slot(rules, type_id, bare.text, bare.len, blocked_hash(type_id, bare.text, bare.len))->value != NULL;
}

/*
 * Reads one identifier of a type into the form.  A type that the rules do not
 * have (0 for none) is trimmed and nothing more.
 */
CdpRefusal
cdp_rules_apply(CdpRules *rules, int32 type_id, const char *text, int len, CdpForm *form)
{
	TypeRule   *type = type_rule(rules, type_id);
	CdpRefusal	r = cdp_form_clean(text, len, form);
	CdpForm		raw;

	if (r != CDP_FORM_GOOD)
		return r;
	if (type != NULL)
	{
		if (is_blocked(rules, type_id, form))
			return CDP_FORM_BLOCKED;
		if (type->normaliser != cdp_form_trim)
		{
			memcpy(&raw, form, offsetof(CdpForm, text) + form->len + 1);
			r = type->normaliser(form, &rules->region);
			if (r != CDP_FORM_GOOD)
				return r;
			if ((raw.len != form->len || memcmp(raw.text, form->text, raw.len) != 0) && is_blocked(rules, type_id, form))
				return CDP_FORM_BLOCKED;
		}
	}
	if (form->len > CDP_FORM_MAX)
		return CDP_FORM_TOO_LONG;
	if (type != NULL && type->pattern != NULL && !pattern_matches(rules, type->pattern, form->text, form->len))
		return CDP_FORM_PATTERN;
	return CDP_FORM_GOOD;
}
