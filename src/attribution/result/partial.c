/*
 * partial.c
 *		The type cdp.attribution_partial: sums as bytes, in and out.
 *
 * The bytes of a value come from clients too, so reading checks everything and
 * trusts no count. Equal sums have equal bytes.
 */
#include "attribution/result/sums.h"

#include "base/wire.h"
#include "attribution/result/codec.h"
#include "libpq/pqformat.h"

#define PARTIAL_VERSION 1

#define HAS_TRANSITIONS 1
#define HAS_COALITIONS 2
#define HAS_PATHS 4
#define HAS_LOG 8

/* Which optional parts the options ask for. */
static int
parts_of(const CdpOptions *o)
{
	return (o->norders > 0 ? HAS_TRANSITIONS : 0) | (o->need_coalitions ? HAS_COALITIONS : 0) |
		(o->need_pathtable ? HAS_PATHS : 0) | (o->credits ? HAS_LOG : 0);
}

/* Appends a histogram. */
static void
write_histogram(const CdpHistogram *h, StringInfo buf)
{
	int			used = 0;

	for (int i = 0; i < h->n; i++)
		used += h->conversions[i] != 0 || h->value_micro[i] != 0;
	cdp_wire_put_uint(buf, used);
	for (int i = 0; i < h->n; i++)
	{
		if (h->conversions[i] == 0 && h->value_micro[i] == 0)
			continue;
		cdp_wire_put_int(buf, h->key[i]);
		cdp_wire_put_int(buf, h->conversions[i]);
		cdp_wire_put_int128(buf, h->value_micro[i]);
	}
}

/* Reads a histogram into the current context. */
static void
read_histogram(CdpHistogram *h, StringInfo buf)
{
	h->n = h->size = cdp_wire_get_count(buf, 4, "entries of a histogram");
	h->key = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(h->n, 1));
	h->conversions = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(h->n, 1));
	h->value_micro = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int128) * Max(h->n, 1));
	if (h->n == 0)
		h->size = 0;
	for (int i = 0; i < h->n; i++)
	{
		h->key[i] = cdp_wire_get_int(buf);
		h->conversions[i] = cdp_wire_get_int(buf);
		h->value_micro[i] = cdp_wire_get_int128(buf);
		if (h->key[i] < 0 || (i > 0 && h->key[i] <= h->key[i - 1]))
			cdp_wire_broken("order of a histogram");
	}
}

/* Appends the units of one model: its used labels, each as distance from the one before. */
static void
write_units(const CdpSums *s, int model, StringInfo buf)
{
	int			n = s->labels->n + 1;
	const int128 *conversions = s->conversion_units + (Size) model * n;
	const int128 *value = s->value_units + (Size) model * n;
	int			used = 0;
	int			previous = -1;

	for (int l = 0; l < n; l++)
		used += conversions[l] != 0 || value[l] != 0;
	cdp_wire_put_uint(buf, used);
	for (int l = 0; l < n; l++)
	{
		if (conversions[l] == 0 && value[l] == 0)
			continue;
		cdp_wire_put_uint(buf, l - previous);
		cdp_wire_put_int128(buf, conversions[l]);
		cdp_wire_put_int128(buf, value[l]);
		previous = l;
	}
}

/* The next label of an ascending list, which must stay below n. */
static int
next_label(StringInfo buf, int previous, int n)
{
	uint64		step = cdp_wire_get_uint(buf);

	if (step == 0 || step > (uint64) (n - 1 - previous))
		cdp_wire_broken("order of labels");
	return previous + (int) step;
}

/* Reads the units of one model. */
static void
read_units(CdpSums *s, int model, StringInfo buf)
{
	int			n = s->labels->n + 1;
	int			used = cdp_wire_get_count(buf, 5, "units of a model");
	int			label = -1;

	for (int i = 0; i < used; i++)
	{
		label = next_label(buf, label, n);
		s->conversion_units[(Size) model * n + label] = cdp_wire_get_int128(buf);
		s->value_units[(Size) model * n + label] = cdp_wire_get_int128(buf);
	}
}

/* Appends what the labels did, used ones only. */
static void
write_assists(const CdpSums *s, StringInfo buf)
{
	int			used = 0;
	int			previous = -1;

#define USED(a) ((a)->assisted != 0 || (a)->last != 0 || (a)->only != 0 || (a)->assisted_micro != 0 || (a)->last_micro != 0)
	for (int l = 0; l < s->labels->n; l++)
		used += USED(&s->assist[l]);
	cdp_wire_put_uint(buf, used);
	for (int l = 0; l < s->labels->n; l++)
	{
		const CdpAssist *a = &s->assist[l];

		if (!USED(a))
			continue;
		cdp_wire_put_uint(buf, l - previous);
		cdp_wire_put_int(buf, a->assisted);
		cdp_wire_put_int(buf, a->last);
		cdp_wire_put_int(buf, a->only);
		cdp_wire_put_int128(buf, a->assisted_micro);
		cdp_wire_put_int128(buf, a->last_micro);
		previous = l;
	}
#undef USED
}

/* Reads what the labels did. */
static void
read_assists(CdpSums *s, StringInfo buf)
{
	int			used = cdp_wire_get_count(buf, 8, "entries of labels");
	int			label = -1;

	for (int i = 0; i < used; i++)
	{
		CdpAssist  *a;

		label = next_label(buf, label, s->labels->n);
		a = &s->assist[label];
		a->assisted = cdp_wire_get_int(buf);
		a->last = cdp_wire_get_int(buf);
		a->only = cdp_wire_get_int(buf);
		a->assisted_micro = cdp_wire_get_int128(buf);
		a->last_micro = cdp_wire_get_int128(buf);
	}
}

/* Appends sums in canonical form. */
void
cdp_sums_write(const CdpSums *s, StringInfo buf)
{
	StringInfoData options;

	pq_sendbyte(buf, PARTIAL_VERSION);
	initStringInfo(&options);
	cdp_options_write(s->options, &options);
	cdp_wire_put_text(buf, options.data);
	pfree(options.data);
	cdp_labels_write(s->labels, buf);
	for (int i = 0; i < CDP_COUNTERS; i++)
		cdp_wire_put_int(buf, s->counter[i]);
	cdp_wire_put_int(buf, s->attributable);
	cdp_wire_put_int128(buf, s->attributable_micro);
	cdp_wire_put_int128(buf, s->value_micro);
	cdp_wire_put_int128(buf, s->absolute_micro);
	for (int m = 0; m < s->options->nmodels; m++)
		if (CDP_MODEL_IS_RULE(s->options->model[m].kind))
			write_units(s, m, buf);
	write_assists(s, buf);
	write_histogram(&s->lengths, buf);
	write_histogram(&s->lags, buf);
	pq_sendbyte(buf, parts_of(s->options));
	if (s->transitions != NULL)
		cdp_transitions_write(s->transitions, buf);
	if (s->coalitions != NULL)
		cdp_coalitions_write(s->coalitions, buf);
	if (s->paths != NULL)
		cdp_pathtable_write(s->paths, buf);
	if (s->log != NULL)
		cdp_log_write(s->log, buf);
}

/* Refuses sums that no pass could have made. */
static void
check_sums(const CdpSums *s)
{
	int128		limit = CDP_VALUE_SUM_LIMIT;

	for (int i = 0; i < CDP_COUNTERS; i++)
		if (s->counter[i] < 0 && i != CDP_COUNT_CONVERSIONS && i != CDP_COUNT_WITHOUT_TOUCH &&
			i != CDP_COUNT_NULL_JOURNEYS)
			cdp_wire_broken("counter");
	if (s->absolute_micro < 0 || s->absolute_micro > limit || s->value_micro > limit || s->value_micro < -limit ||
		s->attributable_micro > limit || s->attributable_micro < -limit)
		cdp_wire_broken("sum of values");
}

/* Reads sums from bytes that nobody vouches for; everything lives in cxt. */
CdpSums *
cdp_sums_read(StringInfo buf, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpOptions *o;
	CdpLabels  *labels;
	CdpSums    *s;

	if (cdp_wire_get_byte(buf) != PARTIAL_VERSION)
		cdp_wire_broken("version");
	o = cdp_options_from_text(cdp_wire_get_text(buf), cxt);
	labels = cdp_labels_read(buf);
	s = cdp_sums_create(o, labels, cxt);
	for (int i = 0; i < CDP_COUNTERS; i++)
		s->counter[i] = cdp_wire_get_int(buf);
	s->attributable = cdp_wire_get_int(buf);
	s->attributable_micro = cdp_wire_get_int128(buf);
	s->value_micro = cdp_wire_get_int128(buf);
	s->absolute_micro = cdp_wire_get_int128(buf);
	check_sums(s);
	for (int m = 0; m < o->nmodels; m++)
		if (CDP_MODEL_IS_RULE(o->model[m].kind))
			read_units(s, m, buf);
	read_assists(s, buf);
	read_histogram(&s->lengths, buf);
	read_histogram(&s->lags, buf);
	if (cdp_wire_get_byte(buf) != parts_of(o))
		cdp_wire_broken("parts");
	if (s->transitions != NULL)
	{
		s->transitions = cdp_transitions_read(buf, labels->n, &s->budget, cxt);
		if (cdp_transitions_order(s->transitions) != o->order[o->norders - 1])
			cdp_wire_broken("Markov order");
	}
	if (s->coalitions != NULL)
	{
		s->coalitions = cdp_coalitions_read(buf, labels->n, &s->budget, cxt);
		if (s->coalitions->ordered != o->need_ordered)
			cdp_wire_broken("order of label sets");
	}
	if (s->paths != NULL)
		s->paths = cdp_pathtable_read(buf, labels->n, &s->budget, cxt);
	if (s->log != NULL)
		s->log = cdp_log_read(buf, labels->n, cxt);
	if (buf->cursor != buf->len)
		cdp_wire_broken("bytes are left over");
	MemoryContextSwitchTo(old);
	return s;
}

/* Sums as a value of the type, in the caller's context. */
Datum
cdp_sums_to_datum(const CdpSums *s)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	cdp_sums_write(s, &buf);
	SET_VARSIZE(buf.data, buf.len);
	return PointerGetDatum(buf.data);
}

/* Opens a value of the type in cxt. */
CdpSums *
cdp_sums_from_datum(Datum partial, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(partial);
	StringInfoData buf;

	buf.data = VARDATA_ANY(bytes);
	buf.len = buf.maxlen = VARSIZE_ANY_EXHDR(bytes);
	buf.cursor = 0;
	MemoryContextSwitchTo(old);
	return cdp_sums_read(&buf, cxt);
}

/* Checks bytes by reading them, and makes a value of them. */
static Datum
checked_value(const char *data, int len)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp partial check", ALLOCSET_DEFAULT_SIZES);
	StringInfoData buf = {.data = unconstify(char *, data), .len = len, .maxlen = len};
	struct varlena *result;

	(void) cdp_sums_read(&buf, work);
	MemoryContextDelete(work);
	result = palloc((Size) len + VARHDRSZ);
	SET_VARSIZE(result, len + VARHDRSZ);
	memcpy(VARDATA(result), data, len);
	return PointerGetDatum(result);
}

CDP_FUNCTION(cdp_partial_in);

/* Text to value: \x and hexadecimal digits. */
Datum
cdp_partial_in(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = cdp_wire_unhex(PG_GETARG_CSTRING(0), "cdp.attribution_partial", "cdp.attribution_pass(...)");

	PG_RETURN_DATUM(checked_value(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

CDP_FUNCTION(cdp_partial_out);

/* Value to text. */
Datum
cdp_partial_out(PG_FUNCTION_ARGS)
{
	struct varlena *bytes = PG_GETARG_VARLENA_PP(0);

	PG_RETURN_CSTRING(cdp_wire_hex(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

CDP_FUNCTION(cdp_partial_recv);

/* Binary to value: the same bytes. */
Datum
cdp_partial_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	const char *data = pq_getmsgbytes(buf, len);

	PG_RETURN_DATUM(checked_value(data, len));
}

CDP_FUNCTION(cdp_partial_send);

/* Value to binary. */
Datum
cdp_partial_send(PG_FUNCTION_ARGS)
{
	struct varlena *bytes = PG_GETARG_VARLENA_PP(0);

	PG_RETURN_BYTEA_P(cdp_wire_binary(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}
