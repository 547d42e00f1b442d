/*
 * rules.c
 *		Finds the first channel rule that matches an origin.
 *
 * A rule set comes as a two-dimensional text array of seven columns: number of
 * the channel, then the patterns for source, medium, campaign, referrer host,
 * add way and QR scene.  A pattern is LIKE without regard to case of A-Z, with
 * several alternatives separated by |; NULL matches anything.  The compiled
 * form is kept with the call site and made again when the array differs, so
 * that a query over all origins compiles once.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "storage/shmem.h"
#include "utils/array.h"

#define RULE_FIELDS 6
#define RULE_COLUMNS (RULE_FIELDS + 1)

typedef enum PatternKind
{
	PATTERN_EXACT,
	PATTERN_PREFIX,
	PATTERN_SUFFIX,
	PATTERN_INFIX,
	PATTERN_GENERAL
} PatternKind;

/* One alternative; text is the literal, or the whole pattern when general. */
typedef struct Alternative
{
	PatternKind kind;
	int			len;
	char	   *text;
} Alternative;

typedef struct Pattern
{
	bool		any;			/* NULL: matches whatever comes */
	bool		empty;			/* may match the empty text */
	uint32		first[8];		/* bytes with which a match may begin; rejects most values at once */
	int			n;
	Alternative *alternative;
} Pattern;

typedef struct Rule
{
	int32		channel_id;
	Pattern		field[RULE_FIELDS];
} Rule;

typedef struct RuleSet
{
	MemoryContext cxt;			/* holds everything below; reset when the rules change */
	ArrayType  *source;			/* the array that was compiled */
	int			n;
	Rule	   *rule;
} RuleSet;

typedef struct Slice
{
	const char *text;
	int			len;
} Slice;

CDP_FUNCTION(cdp_first_rule);

/* Lowers A-Z only: immutable and the same under every collation. */
static inline char
lower_ascii(char c)
{
	return (c >= 'A' && c <= 'Z') ? c + ('a' - 'A') : c;
}

/* Compiles one alternative; its text is palloc'd in the current context. */
static void
compile_alternative(const char *p, int len, Alternative *out)
{
	bool		front = false,
				back = false,
				general = false;
	char	   *literal = palloc(len + 1);
	int			n = 0;

	for (int i = 0; i < len; i++)
	{
		if (p[i] == '\\' && i + 1 < len)
			literal[n++] = lower_ascii(p[++i]);
		else if (p[i] == '%' && i == 0)
			front = true;
		else if (p[i] == '%' && i == len - 1)
			back = true;
		else if (p[i] == '%' || p[i] == '_')
			general = true;
		else
			literal[n++] = lower_ascii(p[i]);
	}
	if (general)
	{
		for (n = 0; n < len; n++)
			literal[n] = lower_ascii(p[n]);
		out->kind = PATTERN_GENERAL;
	}
	else if (front)
		out->kind = (back || len == 1) ? PATTERN_INFIX : PATTERN_SUFFIX;
	else
		out->kind = back ? PATTERN_PREFIX : PATTERN_EXACT;
	out->text = literal;
	out->len = n;
}

/* Notes with which byte a text that matches the alternative may begin. */
static void
note_first(Pattern *p, const Alternative *a)
{
	if ((a->kind == PATTERN_EXACT || a->kind == PATTERN_PREFIX) && a->len > 0)
	{
		unsigned char c = (unsigned char) a->text[0];

		p->first[c / 32] |= (uint32) 1 << (c % 32);
		return;
	}
	p->empty = true;
	if (a->kind != PATTERN_EXACT)
		memset(p->first, 0xFF, sizeof(p->first));
}

/* Compiles a pattern with its alternatives in the current context. */
static void
compile_pattern(const char *p, int len, Pattern *out)
{
	int			n = 1,
				start = 0,
				i;

	for (i = 0; i < len; i++)
	{
		if (p[i] == '\\')
			i++;
		else if (p[i] == '|')
			n++;
	}
	memset(out, 0, sizeof(Pattern));
	out->alternative = palloc(mul_size(n, sizeof(Alternative)));
	for (i = 0; i <= len; i++)
	{
		if (i < len && p[i] == '\\')
			i++;
		else if (i == len || p[i] == '|')
		{
			compile_alternative(p + start, i - start, &out->alternative[out->n++]);
			start = i + 1;
		}
	}
	/* A backslash at the very end steps over the end; what is left is an alternative too. */
	if (out->n < n)
		compile_alternative(p + start, len - start, &out->alternative[out->n++]);
	for (i = 0; i < out->n; i++)
		note_first(out, &out->alternative[i]);
}

/* Compiles the whole array into the set's own context. */
static void
compile_rules(RuleSet *set, ArrayType *rules)
{
	MemoryContext old;
	Datum	   *value;
	bool	   *isnull;
	int			nvalues;

	set->source = NULL;
	MemoryContextReset(set->cxt);
	if (ARR_ELEMTYPE(rules) != TEXTOID ||
		(ARR_NDIM(rules) != 0 && (ARR_NDIM(rules) != 2 || ARR_DIMS(rules)[1] != RULE_COLUMNS)))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a rule set must be a text array of %d columns", RULE_COLUMNS),
				 errdetail("It has %d dimensions.", ARR_NDIM(rules))));

	old = MemoryContextSwitchTo(set->cxt);
	deconstruct_array(rules, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &nvalues);
	set->n = nvalues / RULE_COLUMNS;
	set->rule = palloc_extended(mul_size(Max(set->n, 1), sizeof(Rule)), MCXT_ALLOC_HUGE);
	for (int r = 0; r < set->n; r++)
	{
		Rule	   *rule = &set->rule[r];
		int			at = r * RULE_COLUMNS;

		CHECK_FOR_INTERRUPTS();
		if (isnull[at])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("rule %d has no channel", r + 1)));
		rule->channel_id = pg_strtoint32(TextDatumGetCString(value[at]));
		for (int f = 0; f < RULE_FIELDS; f++)
		{
			if (isnull[at + 1 + f])
				rule->field[f].any = true;
			else
			{
				text	   *t = DatumGetTextPP(value[at + 1 + f]);

				compile_pattern(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), &rule->field[f]);
			}
		}
	}
	/* Last, so that an error above leaves nothing that looks complete. */
	set->source = palloc_extended(VARSIZE(rules), MCXT_ALLOC_HUGE);
	memcpy(set->source, rules, VARSIZE(rules));
	MemoryContextSwitchTo(old);
}

/* Length of the character at s, never beyond the end. */
static inline int
character_length(const char *s, int left)
{
	int			len = pg_encoding_mblen(GetDatabaseEncoding(), s);

	return Min(Max(len, 1), left);
}

/* LIKE with % and _ and \ anywhere; falls back to the last % only, so no recursion. */
static bool
match_general(const char *s, int slen, const char *p, int plen)
{
	int			si = 0,
				pi = 0,
				retry_s = -1,
				retry_p = -1;

	while (si < slen)
	{
		if (pi < plen && p[pi] == '%')
		{
			retry_p = ++pi;
			retry_s = si;
		}
		else if (pi < plen && p[pi] == '_')
		{
			si += character_length(s + si, slen - si);
			pi++;
		}
		else if (pi < plen && p[pi] == '\\' && pi + 1 < plen && p[pi + 1] == s[si])
		{
			pi += 2;
			si++;
		}
		else if (pi < plen && (p[pi] != '\\' || pi + 1 == plen) && p[pi] == s[si])
		{
			pi++;
			si++;
		}
		else if (retry_p >= 0)
		{
			CHECK_FOR_INTERRUPTS();
			retry_s += character_length(s + retry_s, slen - retry_s);
			si = retry_s;
			pi = retry_p;
		}
		else
			return false;
	}
	while (pi < plen && p[pi] == '%')
		pi++;
	return pi == plen;
}

/* Tells whether one alternative matches a lowered value. */
static inline bool
match_alternative(const Alternative *a, Slice v)
{
	switch (a->kind)
	{
		case PATTERN_EXACT:
			return v.len == a->len && memcmp(v.text, a->text, v.len) == 0;
		case PATTERN_PREFIX:
			return v.len >= a->len && memcmp(v.text, a->text, a->len) == 0;
		case PATTERN_SUFFIX:
			return v.len >= a->len && memcmp(v.text + v.len - a->len, a->text, a->len) == 0;
		case PATTERN_INFIX:
			for (int i = 0; i + a->len <= v.len; i++)
			{
				if (memcmp(v.text + i, a->text, a->len) == 0)
					return true;
				if (unlikely((i & 0xFFF) == 0xFFF))
					CHECK_FOR_INTERRUPTS();
			}
			return false;
		case PATTERN_GENERAL:
			return match_general(v.text, v.len, a->text, a->len);
	}
	return false;
}

/* Tells whether a pattern, NULL or one of its alternatives, matches. */
static inline bool
match_pattern(const Pattern *p, Slice v)
{
	if (p->any)
		return true;
	if (v.len == 0 ? !p->empty : !(p->first[(unsigned char) v.text[0] / 32] & ((uint32) 1 << ((unsigned char) v.text[0] % 32))))
		return false;
	for (int i = 0; i < p->n; i++)
	{
		if (match_alternative(&p->alternative[i], v))
			return true;
	}
	return false;
}

/* Lowers an argument into a new buffer; NULL counts as the empty text. */
static Slice
lowered_argument(FunctionCallInfo fcinfo, int n)
{
	Slice		out = {"", 0};
	text	   *t;
	char	   *copy;

	if (PG_ARGISNULL(n))
		return out;
	t = PG_GETARG_TEXT_PP(n);
	out.len = VARSIZE_ANY_EXHDR(t);
	out.text = copy = palloc(out.len + 1);
	for (int i = 0; i < out.len; i++)
		copy[i] = lower_ascii(VARDATA_ANY(t)[i]);
	return out;
}

/*
 * first_rule(rules text[], six texts): number of the channel of the first rule
 * that matches, or NULL.  The compiled rules belong to the call site.
 */
Datum
cdp_first_rule(PG_FUNCTION_ARGS)
{
	RuleSet    *set = fcinfo->flinfo->fn_extra;
	ArrayType  *rules;
	Slice		value[RULE_FIELDS];

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	rules = PG_GETARG_ARRAYTYPE_P(0);
	if (set == NULL)
	{
		set = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(RuleSet));
		set->cxt = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "channel rules", ALLOCSET_DEFAULT_SIZES);
		fcinfo->flinfo->fn_extra = set;
	}
	if (set->source == NULL || VARSIZE(set->source) != VARSIZE(rules) ||
		memcmp(set->source, rules, VARSIZE(rules)) != 0)
		compile_rules(set, rules);

	for (int f = 0; f < RULE_FIELDS; f++)
		value[f] = lowered_argument(fcinfo, f + 1);
	for (int r = 0; r < set->n; r++)
	{
		const Rule *rule = &set->rule[r];
		int			f = 0;

		while (f < RULE_FIELDS && match_pattern(&rule->field[f], value[f]))
			f++;
		if (f == RULE_FIELDS)
			PG_RETURN_INT32(rule->channel_id);
	}
	PG_RETURN_NULL();
}
