/*
 * match_records.c
 *		The records of a match, packed: each different value of a term once, and
 *		each record as one number per term.
 *
 * An aggregate collects rows in any order; its result has records sorted by
 * source and id, and values sorted by their bytes, so that all that follows is
 * independent of the order of rows.  The packed form is bytes of at most 1 GB;
 * cdp_records_open() checks every number and text in it before anything is read.
 */
#include "identity/match/match.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "storage/shmem.h"

#define RECORDS_MAGIC 0x43444D31
#define MAX_SOURCES 1000
#define MAX_RECORDS (PG_INT32_MAX / 2)

typedef struct RecordsHeader
{
	int32		vl_len_;
	uint32		magic;
	uint32		nterms;
	uint32		nrecords;
	uint32		nsources;
	uint32		unused;
} RecordsHeader;

/* Bytes that grow. */
typedef struct Bytes
{
	char	   *data;
	Size		len;
	Size		room;
} Bytes;

/* A value of a term while rows come in. */
typedef struct Entry
{
	uint32		hash;
	uint32		term;
	uint32		offset;			/* into values */
	uint32		len;
	uint32		count;
} Entry;

typedef struct RecordRow
{
	uint32		id_offset;
	uint32		id_len;
	uint16		source;
	uint8		flag;
} RecordRow;

typedef struct RecordsState
{
	MemoryContext cxt;
	ArrayType  *given;			/* the names of the terms, as they came */
	int			nterms;
	char	  **name;
	int			nsources;
	char	  **source;
	Bytes		values;
	Bytes		ids;
	Entry	   *entry;
	uint32		nentries;
	uint32		entry_room;
	uint32	   *slot;			/* entry + 1; 0 is free */
	uint32		nslots;			/* a power of two */
	RecordRow  *row;
	int32	   *code;			/* entries, nterms for each row; -1 for NULL */
	uint32		nrows;
	uint32		row_room;
} RecordsState;

/* What the packing of one term needs. */
typedef struct Packing
{
	const RecordsState *s;
	uint32	   *order;			/* entries of all terms, sorted */
	uint32	   *code;			/* of an entry, within its term */
	uint32		first[CDP_MATCH_MAX_TERMS + 1];
	uint32	   *row;			/* rows, sorted */
	uint32	   *source_rank;
} Packing;

CDP_FUNCTION(cdp_match_records_add);
CDP_FUNCTION(cdp_match_records_final);
CDP_FUNCTION(cdp_match_records_info);

/* ---- collecting */

/* Raises the error for more than fits. */
CDP_NORETURN static void
too_many(uint32 records)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the records of a match do not fit into 1 GB"),
			 errdetail("It was full after %u records.", records),
			 errhint("Match fewer rows at a time, such as one region, or give the model fewer columns.")));
}

/* Appends bytes; the data are the state's. */
static uint32
append(RecordsState *s, Bytes *b, const char *data, Size len)
{
	Size		at = b->len;

	if (b->len + len > MaxAllocSize)
		too_many(s->nrows);
	if (b->data == NULL || b->len + len > b->room)
	{
		b->room = Max(b->room * 2, b->len + len);
		b->room = Max(b->room, 65536);
		b->data = b->data ? repalloc_huge(b->data, b->room) : MemoryContextAllocHuge(s->cxt, b->room);
	}
	memcpy(b->data + at, data, len);
	b->len += len;
	return (uint32) at;
}

/* Makes the table of values twice as large. */
static void
grow_slots(RecordsState *s)
{
	uint32		n = s->nslots == 0 ? 4096 : s->nslots * 2;

	if (s->slot)
		pfree(s->slot);
	s->slot = MemoryContextAllocExtended(s->cxt, n * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s->nslots = n;
	for (uint32 e = 0; e < s->nentries; e++)
	{
		uint32		i = s->entry[e].hash & (n - 1);

		while (s->slot[i] != 0)
			i = (i + 1) & (n - 1);
		s->slot[i] = e + 1;
	}
}

/* The entry of a value of a term, made when it is new; counts the record. */
static int32
intern(RecordsState *s, uint32 term, const char *data, uint32 len)
{
	uint32		hash = hash_bytes((const unsigned char *) data, len) + term * 0x9E3779B1U;
	uint32		i;

	if (s->nentries * (uint64) 2 >= s->nslots)
		grow_slots(s);
	for (i = hash & (s->nslots - 1); s->slot[i] != 0; i = (i + 1) & (s->nslots - 1))
	{
		Entry	   *e = &s->entry[s->slot[i] - 1];

		if (e->hash == hash && e->term == term && e->len == len && memcmp(s->values.data + e->offset, data, len) == 0)
		{
			e->count++;
			return s->slot[i] - 1;
		}
	}
	if (s->nentries == s->entry_room)
	{
		s->entry_room = Max(1024, s->entry_room * 2);
		if (s->entry_room > MAX_RECORDS)
			too_many(s->nrows);
		s->entry = s->entry ? repalloc_huge(s->entry, s->entry_room * sizeof(Entry)) :
			MemoryContextAllocHuge(s->cxt, s->entry_room * sizeof(Entry));
	}
	s->slot[i] = s->nentries + 1;
	s->entry[s->nentries] = (Entry) {hash, term, append(s, &s->values, data, len), len, 1};
	return s->nentries++;
}

/* Number of a source by its name. */
static uint16
source_number(RecordsState *s, const char *name, int len)
{
	for (int i = 0; i < s->nsources; i++)
		if (strlen(s->source[i]) == len && memcmp(s->source[i], name, len) == 0)
			return i;
	if (s->nsources == MAX_SOURCES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a match has at most %d sources", MAX_SOURCES),
				 errhint("Is the column of the source the right one?")));
	s->source[s->nsources] = MemoryContextStrdup(s->cxt, pnstrdup(name, len));
	return s->nsources++;
}

/* Starts a state at the first row: the names of the terms are those of all rows. */
static RecordsState *
start_records(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate,
				old;
	RecordsState *s;
	Datum	   *value;
	bool	   *isnull;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "match_records called outside an aggregate");
	if (PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the terms of match records are NULL")));
	old = MemoryContextSwitchTo(AllocSetContextCreate(aggregate, "cdp match records", ALLOCSET_DEFAULT_SIZES));
	s = palloc0(sizeof(RecordsState));
	s->cxt = CurrentMemoryContext;
	s->given = PG_GETARG_ARRAYTYPE_P_COPY(5);
	deconstruct_array(s->given, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &s->nterms);
	if (s->nterms > CDP_MATCH_MAX_TERMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("match records have at most %d terms", CDP_MATCH_MAX_TERMS),
				 errdetail("%d were given.", s->nterms)));
	s->name = palloc0(Max(s->nterms, 1) * sizeof(char *));
	for (int i = 0; i < s->nterms; i++)
	{
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a term of match records is NULL")));
		s->name[i] = TextDatumGetCString(value[i]);
	}
	s->source = palloc0(MAX_SOURCES * sizeof(char *));
	MemoryContextSwitchTo(old);
	return s;
}

/* Room for one more row. */
static void
grow_rows(RecordsState *s)
{
	Size		codes;

	s->row_room = Max(1024, s->row_room * 2);
	codes = s->row_room * (Size) Max(s->nterms, 1) * sizeof(int32);
	if (s->row_room > MAX_RECORDS)
		too_many(s->nrows);
	s->row = s->row ? repalloc_huge(s->row, s->row_room * sizeof(RecordRow)) :
		MemoryContextAllocHuge(s->cxt, s->row_room * sizeof(RecordRow));
	s->code = s->code ? repalloc_huge(s->code, codes) : MemoryContextAllocHuge(s->cxt, codes);
}

/* match_records_add(state, source, id, changed, values, terms): one record more. */
Datum
cdp_match_records_add(PG_FUNCTION_ARGS)
{
	RecordsState *s = PG_ARGISNULL(0) ? start_records(fcinfo) : (RecordsState *) PG_GETARG_POINTER(0);
	ArrayType  *values;
	RecordRow  *row;
	text	   *id;
	text	   *source = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	Datum	   *value;
	bool	   *isnull;
	int			n;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a record of a match has no id"),
				 errdetail("It is among the first %u records.", s->nrows + 1),
				 errhint("The column of unique ids must not be NULL.")));
	id = PG_GETARG_TEXT_PP(2);
	values = PG_GETARG_ARRAYTYPE_P(4);
	deconstruct_array(values, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &n);
	if (n != s->nterms || ARR_ELEMTYPE(values) != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a record of a match has %d values for %d terms", n, s->nterms)));
	if (s->nrows == s->row_room)
		grow_rows(s);
	row = &s->row[s->nrows];
	row->id_len = VARSIZE_ANY_EXHDR(id);
	row->id_offset = append(s, &s->ids, VARDATA_ANY(id), row->id_len);
	row->source = source ? source_number(s, VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source)) : source_number(s, "", 0);
	row->flag = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	for (int i = 0; i < n; i++)
	{
		text	   *t = isnull[i] ? NULL : DatumGetTextPP(value[i]);

		s->code[(Size) s->nrows * n + i] = t ? intern(s, i, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)) : -1;
	}
	s->nrows++;
	PG_RETURN_POINTER(s);
}

/* ---- packing */

/* Orders entries by term and bytes. */
static int
compare_entries(const void *a, const void *b, void *arg)
{
	const RecordsState *s = ((Packing *) arg)->s;
	const Entry *x = &s->entry[*(const uint32 *) a];
	const Entry *y = &s->entry[*(const uint32 *) b];
	int			c;

	if (x->term != y->term)
		return x->term < y->term ? -1 : 1;
	c = memcmp(s->values.data + x->offset, s->values.data + y->offset, Min(x->len, y->len));
	return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

/* Orders rows by source and id. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	const Packing *p = arg;
	const RecordsState *s = p->s;
	const RecordRow *x = &s->row[*(const uint32 *) a];
	const RecordRow *y = &s->row[*(const uint32 *) b];
	int			c;

	if (x->source != y->source)
		return p->source_rank[x->source] < p->source_rank[y->source] ? -1 : 1;
	c = memcmp(s->ids.data + x->id_offset, s->ids.data + y->id_offset, Min(x->id_len, y->id_len));
	return c != 0 ? c : (x->id_len > y->id_len) - (x->id_len < y->id_len);
}

/* Sorts entries, rows and sources; refuses an id that comes twice. */
static void
sort_all(Packing *p)
{
	const RecordsState *s = p->s;

	p->order = palloc_extended(Max(s->nentries, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	p->code = palloc_extended(Max(s->nentries, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	p->row = palloc_extended(Max(s->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	p->source_rank = palloc0(Max(s->nsources, 1) * sizeof(uint32));
	for (int i = 0; i < s->nsources; i++)
		for (int k = 0; k < s->nsources; k++)
			p->source_rank[i] += strcmp(s->source[k], s->source[i]) < 0;
	for (uint32 i = 0; i < s->nentries; i++)
		p->order[i] = i;
	for (uint32 i = 0; i < s->nrows; i++)
		p->row[i] = i;
	CHECK_FOR_INTERRUPTS();
	qsort_arg(p->order, s->nentries, sizeof(uint32), compare_entries, p);
	CHECK_FOR_INTERRUPTS();
	qsort_arg(p->row, s->nrows, sizeof(uint32), compare_rows, p);
	CHECK_FOR_INTERRUPTS();
	for (uint32 i = 1; i < s->nrows; i++)
		if (compare_rows(&p->row[i - 1], &p->row[i], p) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("two records of a match have the same id"),
					 errdetail("One of them is record %u of %u in the order of source and id.", i + 1, s->nrows),
					 errhint("Name a column that is unique%s.", s->nsources > 1 ? " within its source" : "")));
	for (uint32 i = 0, term = 0; i <= s->nentries; i++)
	{
		while (term <= s->nterms && (i == s->nentries || s->entry[p->order[i]].term >= term))
			p->first[term++] = i;
		if (i < s->nentries)
			p->code[p->order[i]] = i - p->first[s->entry[p->order[i]].term];
	}
}

/* Bytes of a text with its length before it, on a boundary of four. */
static Size
text_room(Size len)
{
	return sizeof(uint32) + TYPEALIGN(4, len + 1);
}

/* Size of the packed form. */
static Size
packed_size(const Packing *p)
{
	const RecordsState *s = p->s;
	Size		size = sizeof(RecordsHeader);

	for (int i = 0; i < s->nterms; i++)
		size += text_room(strlen(s->name[i])) + 2 * sizeof(uint32) + 4;
	for (int i = 0; i < s->nsources; i++)
		size += text_room(strlen(s->source[i]));
	size += (Size) s->nentries * 2 * sizeof(uint32) + s->values.len + s->nterms * 4;
	size += (s->nrows + (Size) 1) * sizeof(uint32) + TYPEALIGN(4, s->ids.len);
	size += TYPEALIGN(4, s->nrows * sizeof(uint16)) + TYPEALIGN(4, (Size) s->nrows);
	return size + (Size) s->nrows * s->nterms * sizeof(int32);
}

/* Writes a number and returns the place after it. */
static char *
put_number(char *at, uint32 n)
{
	memcpy(at, &n, sizeof(n));
	return at + sizeof(n);
}

/* Writes a text with its length; the rest up to the boundary is zero already. */
static char *
put_text(char *at, const char *text)
{
	Size		len = strlen(text);

	at = put_number(at, len);
	memcpy(at, text, len);
	return at + TYPEALIGN(4, len + 1);
}

/* Writes the values of one term. */
static char *
put_term(char *at, const Packing *p, int term)
{
	const RecordsState *s = p->s;
	uint32		n = p->first[term + 1] - p->first[term];
	uint32		bytes = 0;

	at = put_text(at, s->name[term]);
	at = put_number(at, n);
	for (uint32 i = 0; i < n; i++)
	{
		at = put_number(at, bytes);
		bytes += s->entry[p->order[p->first[term] + i]].len;
	}
	at = put_number(at, bytes);
	for (uint32 i = 0; i < n; i++)
		at = put_number(at, s->entry[p->order[p->first[term] + i]].count);
	for (uint32 i = 0; i < n; i++)
	{
		const Entry *e = &s->entry[p->order[p->first[term] + i]];

		memcpy(at, s->values.data + e->offset, e->len);
		at += e->len;
	}
	return at + (TYPEALIGN(4, bytes) - bytes);
}

/* match_records_final(state): the packed records; NULL without rows. */
Datum
cdp_match_records_final(PG_FUNCTION_ARGS)
{
	RecordsState *s = PG_ARGISNULL(0) ? NULL : (RecordsState *) PG_GETARG_POINTER(0);
	Packing		p = {s};
	RecordsHeader *h;
	Size		size;
	char	   *at;
	uint32		ids = 0;

	if (s == NULL)
		PG_RETURN_NULL();
	sort_all(&p);
	size = packed_size(&p);
	if (size > MaxAllocSize)
		too_many(s->nrows);
	h = palloc0(size);
	SET_VARSIZE(h, size);
	h->magic = RECORDS_MAGIC;
	h->nterms = s->nterms;
	h->nrecords = s->nrows;
	h->nsources = s->nsources;
	at = (char *) (h + 1);
	for (int i = 0; i < s->nterms; i++)
		at = put_term(at, &p, i);
	for (int rank = 0; rank < s->nsources; rank++)
		for (int i = 0; i < s->nsources; i++)
			if (p.source_rank[i] == rank)
				at = put_text(at, s->source[i]);
	for (uint32 i = 0; i < s->nrows; i++)
	{
		at = put_number(at, ids);
		ids += s->row[p.row[i]].id_len;
	}
	at = put_number(at, ids);
	for (uint32 i = 0; i < s->nrows; i++)
	{
		memcpy(at, s->ids.data + s->row[p.row[i]].id_offset, s->row[p.row[i]].id_len);
		at += s->row[p.row[i]].id_len;
	}
	at += TYPEALIGN(4, ids) - ids;
	for (uint32 i = 0; i < s->nrows; i++)
		((uint16 *) at)[i] = p.source_rank[s->row[p.row[i]].source];
	at += TYPEALIGN(4, s->nrows * sizeof(uint16));
	for (uint32 i = 0; i < s->nrows; i++)
		at[i] = s->row[p.row[i]].flag;
	at += TYPEALIGN(4, (Size) s->nrows);
	for (uint32 i = 0; i < s->nrows; i++)
	{
		const int32 *code = s->code + (Size) p.row[i] * s->nterms;

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < s->nterms; k++)
			at = put_number(at, code[k] < 0 ? (uint32) -1 : p.code[code[k]]);
	}
	SET_VARSIZE(h, at - (char *) h);
	PG_RETURN_BYTEA_P(h);
}

/* ---- reading */

/* Raises the error of bytes that are no packed records. */
CDP_NORETURN static void
bad_records(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid match records"),
			 errdetail("%s.", what)));
}

/* The next n units of so many bytes; refuses to go beyond the end. */
static const void *
get_block(const char **at, const char *end, Size n, Size unit)
{
	const char *here = *at;

	if (n > (Size) (end - here) / unit || TYPEALIGN(4, n * unit) > (Size) (end - here))
		bad_records("They end too early");
	*at += TYPEALIGN(4, n * unit);
	return here;
}

/* The next number. */
static uint32
get_number(const char **at, const char *end)
{
	return *(const uint32 *) get_block(at, end, 1, sizeof(uint32));
}

/* Refuses bytes that are no text of this database: they come out as text again. */
static void
check_text(const char *text, Size len)
{
	if (!pg_verifymbstr(text, (int) len, true))
		bad_records("A text is not valid in the encoding of the database");
}

/* The next text, which ends with a zero byte. */
static const char *
get_name(const char **at, const char *end)
{
	uint32		len = get_number(at, end);
	const char *text = get_block(at, end, (Size) len + 1, 1);

	if (strnlen(text, (Size) len + 1) != len)
		bad_records("A name is damaged");
	check_text(text, len);
	return text;
}

/* Offsets that only grow, and the bytes they point into. */
static const uint32 *
get_offsets(const char **at, const char *end, uint32 n)
{
	const uint32 *offset = get_block(at, end, (Size) n + 1, sizeof(uint32));

	if (offset[0] != 0)
		bad_records("An offset is wrong");
	for (uint32 i = 0; i < n; i++)
		if (offset[i] > offset[i + 1])
			bad_records("An offset is wrong");
	return offset;
}

/* Opens packed records; what it returns points into them. Every number and text is checked. */
CdpRecords *
cdp_records_open(bytea *packed)
{
	const RecordsHeader *h = (const RecordsHeader *) packed;
	const char *end = (const char *) packed + VARSIZE(packed);
	const char *at = (const char *) (h + 1);
	CdpRecords *r = palloc0(sizeof(CdpRecords));

	if (VARSIZE(packed) < sizeof(RecordsHeader) || h->magic != RECORDS_MAGIC || h->nterms > CDP_MATCH_MAX_TERMS ||
		h->nsources > MAX_SOURCES || h->nrecords > MAX_RECORDS)
		bad_records("Their header is wrong");
	r->nterms = h->nterms;
	r->nrecords = h->nrecords;
	r->nsources = h->nsources;
	r->term = palloc0(Max(r->nterms, 1) * sizeof(CdpRecordTerm));
	for (uint32 i = 0; i < r->nterms; i++)
	{
		CdpRecordTerm *t = &r->term[i];

		t->name = get_name(&at, end);
		t->nvalues = get_number(&at, end);
		t->offset = get_offsets(&at, end, t->nvalues);
		t->count = get_block(&at, end, t->nvalues, sizeof(uint32));
		t->bytes = get_block(&at, end, t->offset[t->nvalues], 1);
		for (uint32 k = 0; k < t->nvalues; k++)
		{
			CHECK_FOR_INTERRUPTS();
			check_text(t->bytes + t->offset[k], t->offset[k + 1] - t->offset[k]);
			if (t->count[k] < 1 || t->count[k] > r->nrecords)
				bad_records("A count is wrong");
			t->records += t->count[k];
		}
	}
	r->source_name = palloc0(Max(r->nsources, 1) * sizeof(char *));
	for (uint32 i = 0; i < r->nsources; i++)
		r->source_name[i] = get_name(&at, end);
	r->id_offset = get_offsets(&at, end, r->nrecords);
	r->id_bytes = get_block(&at, end, r->id_offset[r->nrecords], 1);
	r->source = get_block(&at, end, r->nrecords, sizeof(uint16));
	r->flag = get_block(&at, end, r->nrecords, 1);
	r->code = get_block(&at, end, (Size) r->nrecords * r->nterms, sizeof(int32));
	if (at != end)
		bad_records("They are too long");
	for (uint32 i = 0; i < r->nrecords; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (r->source[i] >= r->nsources)
			bad_records("A source is wrong");
		check_text(r->id_bytes + r->id_offset[i], r->id_offset[i + 1] - r->id_offset[i]);
		for (uint32 k = 0; k < r->nterms; k++)
		{
			int32		code = r->code[(Size) i * r->nterms + k];

			if (code < -1 || (code >= 0 && code >= r->term[k].nvalues))
				bad_records("A value is wrong");
		}
	}
	return r;
}

/* Number of a term by its canonical text; an error when the records do not have it. */
int
cdp_records_find_term(const CdpRecords *r, const char *name)
{
	for (uint32 i = 0; i < r->nterms; i++)
		if (strcmp(r->term[i].name, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the match records were not made for this model"),
			 errdetail("They lack the expression %s.", name)));
}

/* Hashes the values of a term, for blocking; kept with the term. */
void
cdp_records_hash(CdpRecords *r, int term)
{
	CdpRecordTerm *t = &r->term[term];

	if (t->hash != NULL)
		return;
	t->hash = palloc_extended(Max(t->nvalues, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < t->nvalues; i++)
	{
		int			len;
		const char *value = cdp_value(t, i, &len);

		t->hash[i] = hash_bytes_extended((const unsigned char *) value, len, 0);
	}
}

/* match_records_info(packed, model): how many records, and how many pairs the model's link type allows. */
Datum
cdp_match_records_info(PG_FUNCTION_ARGS)
{
	CdpRecords *r = cdp_records_open(PG_GETARG_BYTEA_P(0));
	CdpModel   *model = cdp_model_read(PG_GETARG_JSONB_P(1));
	double		n = r->nrecords;
	double		pairs = n * (n - 1) / 2;
	double		of_source[MAX_SOURCES] = {0};
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "match_records_info must return a row");
	for (uint32 i = 0; i < r->nrecords; i++)
		of_source[r->source[i]]++;
	for (uint32 i = 0; i < r->nsources && model->link_type == CDP_LINK_BETWEEN; i++)
		pairs -= of_source[i] * (of_source[i] - 1) / 2;
	values[0] = Int64GetDatum(r->nrecords);
	values[1] = Float8GetDatum(pairs);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
