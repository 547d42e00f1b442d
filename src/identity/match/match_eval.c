/*
 * match_eval.c
 *		Compares two packed records by a model: which level of each comparison
 *		holds, and what that weighs.
 *
 * Conditions follow SQL: a comparison with NULL is unknown, and an unknown
 * condition does not hold.  What a comparison says about two values is kept in
 * a small cache, because blocking brings the same values together again.
 */
#include "identity/match/match.h"

#include <math.h>

#include "common/hashfn.h"
#include "identity/compare/compare.h"
#include "utils/datetime.h"

#define CACHE_SLOTS 16384		/* of a comparison; a power of two */
#define NO_MOMENT PG_INT64_MIN
#define MOMENT_NOT_READ (PG_INT64_MIN + 1)
#define EARTH_RADIUS_KM 6371.0

/* Below this a trained probability counts as this, so that no weight is infinite. */
#define LEAST_PROBABILITY 1e-10

typedef enum Truth
{
	TRUTH_NO,
	TRUTH_YES,
	TRUTH_UNKNOWN
} Truth;

typedef struct CacheSlot
{
	int32		l;
	int32		r;
	int32		value;
	int32		filled;
} CacheSlot;

struct CdpMatcher
{
	CdpRecords *records;
	CdpModel   *model;
	int			column[CDP_MATCH_MAX_TERMS];	/* of the records, for each term of the model */
	int64	   *moment[CDP_MATCH_MAX_TERMS][CDP_DATE_LAST + 1]; /* of each value of a column */
	double	   *number[CDP_MATCH_MAX_TERMS];
	CacheSlot  *cache[CDP_MATCH_MAX_COMPARISONS];
	double	   *weight[CDP_MATCH_MAX_COMPARISONS];	/* by value + 1 */
};

static Truth evaluate(CdpMatcher *m, const CdpCondition *c, const int32 *l, const int32 *r);

/* True when a condition costs more than comparing numbers. */
static bool
is_costly(const CdpCondition *c)
{
	for (int i = 0; i < c->n; i++)
		if (is_costly(c->arg[i]))
			return true;
	return c->kind == CDP_CONDITION_MEASURE && c->measure != CDP_MEASURE_EQUAL;
}

/* Prepares a model for records; palloc'd in the current context. Call it after all rules have been read. */
CdpMatcher *
cdp_matcher_create(CdpRecords *records, CdpModel *model)
{
	CdpMatcher *m = palloc0(sizeof(CdpMatcher));

	m->records = records;
	m->model = model;
	for (int i = 0; i < model->terms.n; i++)
		m->column[i] = cdp_records_find_term(records, model->terms.name[i]);
	for (int i = 0; i < model->ncomparisons; i++)
	{
		CdpComparison *c = &model->comparison[i];
		bool		costly = false;

		m->weight[i] = palloc0((c->nvalues + 1) * sizeof(double));
		for (int k = 0; k < c->nlevels; k++)
		{
			CdpLevel   *level = &c->level[k];

			costly |= is_costly(level->condition);
			if (!level->is_null && !isnan(level->m) && !isnan(level->u))
				m->weight[i][level->value + 1] = log2(Max(level->m, LEAST_PROBABILITY) / Max(level->u, LEAST_PROBABILITY));
		}
		if (c->single && costly)
			m->cache[i] = palloc0(CACHE_SLOTS * sizeof(CacheSlot));
	}
	return m;
}

/* Column of the records that holds a term of the model. */
int
cdp_matcher_term(const CdpMatcher *m, int model_term)
{
	return m->column[model_term];
}

/* ---- values as days, numbers and arrays */

/* A text that is being read. */
typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

/* Reads exactly n digits, from least to most; false when they are none. */
static bool
read_digits(Reader *s, int n, int least, int most, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++)
	{
		if (s->at == s->end || *s->at < '0' || *s->at > '9')
			return false;
		*value = *value * 10 + (*s->at++ - '0');
	}
	return *value >= least && *value <= most;
}

/* Takes the next character when it is this one. */
static bool
read_char(Reader *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Reads a text by a pattern of %Y %m %d %H %M %S and characters that mean themselves; false when it does not begin so. */
static bool
read_pattern(Reader *s, const char *pattern, int64 *moment)
{
	int			year = 0,
				month = 0,
				day = 0,
				hour = 0,
				minute = 0,
				second = 0;
	bool		good = true;

	for (; good && *pattern; pattern++)
	{
		if (*pattern != '%')
		{
			good = read_char(s, *pattern);
			continue;
		}
		switch (*++pattern)
		{
			case 'Y':
				good = read_digits(s, 4, 1, 9999, &year);
				break;
			case 'm':
				good = read_digits(s, 2, 1, MONTHS_PER_YEAR, &month);
				break;
			case 'd':
				good = read_digits(s, 2, 1, 31, &day);
				break;
			case 'H':
				good = read_digits(s, 2, 0, HOURS_PER_DAY - 1, &hour);
				break;
			case 'M':
				good = read_digits(s, 2, 0, MINS_PER_HOUR - 1, &minute);
				break;
			default:
				good = read_digits(s, 2, 0, SECS_PER_MINUTE - 1, &second);
				break;
		}
	}
	if (!good || day > day_tab[isleap(year)][month - 1])
		return false;
	*moment = date2j(year, month, day) * USECS_PER_DAY + ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC;
	return true;
}

/* Reads the fraction of a second, up to the microsecond; what is finer is dropped. */
static int64
read_fraction(Reader *s)
{
	int64		unit = USECS_PER_SEC,
				fraction = 0;

	if (!read_char(s, '.'))
		return 0;
	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
	{
		unit /= 10;
		fraction += (*s->at - '0') * unit;
	}
	return fraction;
}

/* Reads Z, +08, +0800 or +08:00, as far as one is there; false when it is none. */
static bool
read_zone(Reader *s, int64 *offset)
{
	int			sign = 1,
				hours,
				minutes = 0;

	*offset = 0;
	read_char(s, ' ');
	if (s->at == s->end || read_char(s, 'Z'))
		return true;
	if (read_char(s, '-'))
		sign = -1;
	else if (!read_char(s, '+'))
		return false;
	if (!read_digits(s, 2, 0, 15, &hours))
		return false;
	if ((read_char(s, ':') || s->at < s->end) && !read_digits(s, 2, 0, MINS_PER_HOUR - 1, &minutes))
		return false;
	*offset = sign * (hours * 60 + minutes) * 60 * USECS_PER_SEC;
	return true;
}

/*
 * What a text says, in microseconds since Julian day 0, with a zone as UTC, and
 * without one as it stands; NO_MOMENT when it is no date of the format.
 */
static int64
read_moment(const char *text, int len, CdpDateFormat format)
{
	Reader		s = {text, text + len};
	int64		moment,
				day,
				offset;

	if (format != CDP_DATE_TIME)
		return read_pattern(&s, cdp_date_pattern[format], &moment) &&
			(s.at == s.end || (format == CDP_DATE_ISO && (*s.at == ' ' || *s.at == 'T'))) ? moment : NO_MOMENT;
	if (!read_pattern(&s, cdp_date_pattern[CDP_DATE_ISO], &day))
		return NO_MOMENT;
	if (s.at == s.end)
		return day;
	s.at = text;
	if (!read_pattern(&s, cdp_date_pattern[len > 10 && text[10] == 'T' ? CDP_DATE_TIME_T : CDP_DATE_TIME_BLANK], &moment))
		return NO_MOMENT;
	moment += read_fraction(&s);
	return read_zone(&s, &offset) && s.at == s.end ? moment - offset : NO_MOMENT;
}

/* The moment of a value, read once. */
static int64
get_moment(CdpMatcher *m, int column, int32 code, CdpDateFormat format)
{
	CdpRecordTerm *t = &m->records->term[column];
	int64	  **moments = &m->moment[column][format];

	if (*moments == NULL)
	{
		*moments = palloc_extended(t->nvalues * sizeof(int64), MCXT_ALLOC_HUGE);
		for (uint32 i = 0; i < t->nvalues; i++)
			(*moments)[i] = MOMENT_NOT_READ;
	}
	if ((*moments)[code] == MOMENT_NOT_READ)
	{
		int			len;
		const char *s = cdp_value(t, code, &len);

		(*moments)[code] = read_moment(s, len, format);
	}
	return (*moments)[code];
}

/* The number that a value says, NaN when it says none; read once for all values of the column. */
static double
get_number(CdpMatcher *m, int column, int32 code)
{
	CdpRecordTerm *t = &m->records->term[column];

	if (m->number[column] == NULL)
	{
		double	   *numbers = palloc_extended(t->nvalues * sizeof(double), MCXT_ALLOC_HUGE);

		for (uint32 i = 0; i < t->nvalues; i++)
		{
			char		copy[64];
			char	   *end;
			int			len;
			const char *s = cdp_value(t, i, &len);

			CHECK_FOR_INTERRUPTS();
			numbers[i] = get_float8_nan();
			if (len == 0 || len >= sizeof(copy))
				continue;
			/* Cut out first: in the records the next value follows without an end between them. */
			memcpy(copy, s, len);
			copy[len] = '\0';
			if (strspn(copy, "+-0123456789.eE") < len)
				continue;
			numbers[i] = strtod(copy, &end);
			if (*end != '\0' || isinf(numbers[i]))
				numbers[i] = get_float8_nan();
		}
		m->number[column] = numbers;
	}
	return m->number[column][code];
}

/* What a letter behind a backslash means in JSON. */
static char
json_escape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
}

/* Cuts an array, in its text form or as JSON, into its elements, NULLs left out; returns how many, at most room. */
static int
read_elements(const char *s, int len, StringInfo buffer, int *start, int room)
{
	bool		json = len > 0 && s[0] == '[' && s[len - 1] == ']';
	int			n = 0;
	int			i = 1;

	/* Bounds of their own stand before an array that does not begin at 1. */
	for (; !json && i < len - 1 && s[0] == '[' && s[len - 1] == '}' && s[i] != '{'; i++)
		;
	if (!json && i > 1)
	{
		s += i;
		len -= i;
		i = 1;
	}
	if (len < 2 || s[0] != (json ? '[' : '{') || s[len - 1] != (json ? ']' : '}'))
		return 0;
	while (i < len - 1 && n < room)
	{
		bool		quoted;

		while (json && i < len - 2 && s[i] == ' ')
			i++;
		quoted = s[i] == '"';
		start[n] = buffer->len;
		for (i += quoted; i < len - 1 && s[i] != (quoted ? '"' : ','); i++)
		{
			char		c = s[i];

			if (c == '\\' && i + 1 < len - 1)
				c = json ? json_escape(s[++i]) : s[++i];
			appendStringInfoCharMacro(buffer, c);
		}
		i += quoted ? 2 : 1;
		if (quoted || pg_strcasecmp(buffer->data + start[n], "NULL") != 0)
			n++;
		appendStringInfoCharMacro(buffer, '\0');
	}
	return n;
}

/* How many different elements two arrays share, looking at the first 1000 of each. */
static int
count_common(const char *a, int alen, const char *b, int blen)
{
	enum
	{
		room = 1000
	};
	StringInfoData x,
				y;
	int			startx[room],
				starty[room];
	int			nx,
				ny,
				common = 0;

	initStringInfo(&x);
	initStringInfo(&y);
	nx = read_elements(a, alen, &x, startx, room);
	ny = read_elements(b, blen, &y, starty, room);
	for (int i = 0; i < nx; i++)
	{
		bool		found = false;

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < i && !found; k++)
			found = strcmp(x.data + startx[i], x.data + startx[k]) == 0;
		for (int k = 0; k < ny && !found; k++)
			if (strcmp(x.data + startx[i], y.data + starty[k]) == 0)
			{
				common++;
				break;
			}
	}
	pfree(x.data);
	pfree(y.data);
	return common;
}

/* Kilometres between two points on a sphere, by the haversine. */
static double
distance_km(double lat1, double long1, double lat2, double long2)
{
	double		rad = M_PI / 180;
	double		a = sin((lat2 - lat1) * rad / 2);
	double		b = sin((long2 - long1) * rad / 2);
	double		h = a * a + cos(lat1 * rad) * cos(lat2 * rad) * b * b;

	return 2 * EARTH_RADIUS_KM * asin(sqrt(Min(1.0, h)));
}

/* ---- conditions */

/* What a number says to an operator. */
static Truth
test(double value, CdpOperator op, double limit)
{
	if (isnan(value))
		return TRUTH_UNKNOWN;
	switch (op)
	{
		case CDP_OP_LE:
			return value <= limit;
		case CDP_OP_LT:
			return value < limit;
		case CDP_OP_GE:
			return value >= limit;
		case CDP_OP_GT:
			return value > limit;
		case CDP_OP_EQ:
			return value == limit;
		case CDP_OP_NE:
			return value != limit;
	}
	return TRUTH_UNKNOWN;
}

/* The difference of two dates in the unit of the measure; NaN when one is no date. */
static double
date_difference(CdpMatcher *m, const CdpCondition *c, const int column[2], const int32 code[2])
{
	CdpDateFormat format = c->format ? c->format : CDP_DATE_ISO;
	int64		x = get_moment(m, column[0], code[0], format);
	int64		y = get_moment(m, column[1], code[1], format);
	int			a,
				b,
				ya,
				ma,
				yb,
				mb,
				d;

	if (x == NO_MOMENT || y == NO_MOMENT)
		return get_float8_nan();
	if (c->measure == CDP_MEASURE_SECONDS)
		return (x > y ? x - y : y - x) / (double) USECS_PER_SEC;
	a = (int) (x / USECS_PER_DAY);
	b = (int) (y / USECS_PER_DAY);
	if (c->measure == CDP_MEASURE_DAYS)
		return abs(a - b);
	j2date(a, &ya, &ma, &d);
	j2date(b, &yb, &mb, &d);
	return c->measure == CDP_MEASURE_YEARS ? abs(ya - yb) : abs((ya - yb) * 12 + ma - mb);
}

/* A measure of two texts. */
static double
text_measure(const CdpCondition *c, const char *a, int alen, const char *b, int blen)
{
	bool		bounded = (c->op == CDP_OP_LE || c->op == CDP_OP_LT) && c->limit >= 0 && c->limit <= CDP_COMPARE_SMALL_MAX;
	int			max = bounded ? (int) c->limit : CDP_COMPARE_NO_MAX;

	switch (c->measure)
	{
		case CDP_MEASURE_LEVENSHTEIN:
			return cdp_compare_levenshtein(a, alen, b, blen, max);
		case CDP_MEASURE_DAMERAU:
			return cdp_compare_damerau(a, alen, b, blen, max);
		case CDP_MEASURE_JARO:
			return cdp_compare_jaro(a, alen, b, blen);
		case CDP_MEASURE_JARO_WINKLER:
			return cdp_compare_jaro_winkler(a, alen, b, blen);
		case CDP_MEASURE_JACCARD:
			return cdp_compare_character_jaccard(a, alen, b, blen);
		case CDP_MEASURE_TRIGRAM:
			return cdp_compare_trigram_jaccard(a, alen, b, blen);
		case CDP_MEASURE_DICE:
			return cdp_compare_trigram_dice(a, alen, b, blen);
		default:
			return count_common(a, alen, b, blen);
	}
}

/* A measure of two records. */
static Truth
evaluate_measure(CdpMatcher *m, const CdpCondition *c, const int32 *l, const int32 *r)
{
	int			column[2] = {m->column[c->term[0]], m->column[c->term[1]]};
	int32		code[2] = {l[column[0]], r[column[1]]};
	const char *text[2];
	int			len[2];

	if (code[0] < 0 || code[1] < 0)
		return TRUTH_UNKNOWN;
	if (c->measure == CDP_MEASURE_EQUAL && column[0] == column[1])
		return (code[0] == code[1]) == (c->op == CDP_OP_EQ);
	if (c->measure >= CDP_MEASURE_SECONDS && c->measure <= CDP_MEASURE_YEARS)
		return test(date_difference(m, c, column, code), c->op, c->limit);
	if (c->measure == CDP_MEASURE_NUMBER)
		return test(fabs(get_number(m, column[0], code[0]) - get_number(m, column[1], code[1])), c->op, c->limit);
	if (c->measure == CDP_MEASURE_KM)
	{
		int			other[2] = {m->column[c->longitude[0]], m->column[c->longitude[1]]};

		if (l[other[0]] < 0 || r[other[1]] < 0)
			return TRUTH_UNKNOWN;
		return test(distance_km(get_number(m, column[0], code[0]), get_number(m, other[0], l[other[0]]),
								get_number(m, column[1], code[1]), get_number(m, other[1], r[other[1]])), c->op, c->limit);
	}
	for (int side = 0; side < 2; side++)
		text[side] = cdp_value(&m->records->term[column[side]], code[side], &len[side]);
	if (c->measure == CDP_MEASURE_EQUAL)
		return (len[0] == len[1] && memcmp(text[0], text[1], len[0]) == 0) == (c->op == CDP_OP_EQ);
	return test(text_measure(c, text[0], len[0], text[1], len[1]), c->op, c->limit);
}

/* A condition of two records, each given by its row of codes. */
static Truth
evaluate(CdpMatcher *m, const CdpCondition *c, const int32 *l, const int32 *r)
{
	Truth		a,
				b,
				decisive;
	bool		is_null;
	int			column;

	switch (c->kind)
	{
		case CDP_CONDITION_TRUE:
			return TRUTH_YES;
		case CDP_CONDITION_NOT:
			a = evaluate(m, c->arg[0], l, r);
			return a == TRUTH_UNKNOWN ? a : a == TRUTH_NO;
		case CDP_CONDITION_AND:
		case CDP_CONDITION_OR:
			decisive = c->kind == CDP_CONDITION_OR ? TRUTH_YES : TRUTH_NO;
			a = evaluate(m, c->arg[0], l, r);
			if (a == decisive)
				return a;
			b = evaluate(m, c->arg[1], l, r);
			return b == decisive ? b : a == TRUTH_UNKNOWN ? a : b;
		case CDP_CONDITION_NULL:
			column = m->column[c->term[0]];
			if (c->side == 'r')
				l = r;
			is_null = l[column] < 0 ||
				(c->format != CDP_DATE_NONE && get_moment(m, column, l[column], c->format) == NO_MOMENT);
			return is_null != c->negated;
		case CDP_CONDITION_MEASURE:
			return evaluate_measure(m, c, l, r);
	}
	return TRUTH_UNKNOWN;
}

/* True when a condition holds for two records. */
bool
cdp_matcher_holds(CdpMatcher *m, const CdpCondition *c, uint32 l, uint32 r)
{
	const CdpRecords *records = m->records;

	return evaluate(m, c, records->code + (Size) l * records->nterms, records->code + (Size) r * records->nterms) == TRUTH_YES;
}

/* ---- comparisons */

/* The value of the first level of a comparison that holds. */
static int
first_level(CdpMatcher *m, const CdpComparison *c, const int32 *l, const int32 *r)
{
	for (int i = 0; i < c->nlevels; i++)
		if (evaluate(m, c->level[i].condition, l, r) == TRUTH_YES)
			return c->level[i].value;
	return 0;
}

/* The pattern of two records: the values of all comparisons as digits of one number. */
int64
cdp_matcher_pattern(CdpMatcher *m, uint32 l, uint32 r)
{
	const CdpRecords *records = m->records;
	const int32 *cl = records->code + (Size) l * records->nterms;
	const int32 *cr = records->code + (Size) r * records->nterms;
	int64		pattern = 0;

	for (int i = 0; i < m->model->ncomparisons; i++)
	{
		const CdpComparison *c = &m->model->comparison[i];
		int			value;

		if (m->cache[i] != NULL)
		{
			int32		a = cl[m->column[c->term[0]]];
			int32		b = cr[m->column[c->term[1]]];
			CacheSlot  *slot = &m->cache[i][hash_combine(murmurhash32(a), murmurhash32(b)) & (CACHE_SLOTS - 1)];

			if (!slot->filled || slot->l != a || slot->r != b)
				*slot = (CacheSlot) {a, b, first_level(m, c, cl, cr), true};
			value = slot->value;
		}
		else
			value = first_level(m, c, cl, cr);
		pattern += (value + 1) * c->weight;
	}
	return pattern;
}

/* What the frequency of a value adds to the weight of a level, as log2; 0 when there is nothing to add. */
static double
frequency_weight(CdpMatcher *m, const CdpLevel *level, uint32 l, uint32 r, double *frequency)
{
	const CdpRecords *records = m->records;
	const CdpRecordTerm *t;
	int			column;
	int32		a,
				b;
	double		f = 0;

	if (level->tf_term < 0)
		return 0;
	column = m->column[level->tf_term];
	t = &records->term[column];
	a = records->code[(Size) l * records->nterms + column];
	b = records->code[(Size) r * records->nterms + column];
	if (a >= 0)
		f = t->count[a] / t->records;
	if (b >= 0)
		f = Max(f, t->count[b] / t->records);
	if (f <= 0)
		return 0;
	*frequency = f;
	if (isnan(level->tf_u) || isnan(level->m) || isnan(level->u))
		return 0;
	return level->tf_weight * log2(Max(level->tf_u, LEAST_PROBABILITY) / Max(f, level->tf_minimum));
}

/* The weight before any comparison. */
double
cdp_matcher_prior(const CdpMatcher *m)
{
	return log2(m->model->prior / (1 - m->model->prior));
}

/* What one comparison adds to the weight; tf: the part of it that the frequency (NaN: none) makes. */
double
cdp_matcher_step(CdpMatcher *m, int comparison, int64 pattern, uint32 l, uint32 r, double *tf, double *frequency)
{
	const CdpComparison *c = &m->model->comparison[comparison];
	int			value = cdp_pattern_value(c, pattern);

	*tf = 0;
	*frequency = get_float8_nan();
	if (value >= 0)
		*tf = frequency_weight(m, c->by_value[value], l, r, frequency);
	return m->weight[comparison][value + 1] + *tf;
}

/* The match weight of two records with this pattern: log2 of the odds that they are one, the prior included. */
double
cdp_matcher_weight(CdpMatcher *m, int64 pattern, uint32 l, uint32 r)
{
	double		weight = cdp_matcher_prior(m);
	double		tf,
				frequency;

	for (int i = 0; i < m->model->ncomparisons; i++)
		weight += cdp_matcher_step(m, i, pattern, l, r, &tf, &frequency);
	return weight;
}
