/*
 * parse_list.c
 *		Looks words up in a short list: kinds, identifier types, currencies.
 *
 * The list comes as an array that is the same for the whole query, is sorted
 * once, and then costs a few comparisons a row where a join would cost more.
 */
#include "cdp.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

/* One word and its number. */
typedef struct CdpWord
{
	const char *bytes;
	int			len;
	int32		code;
} CdpWord;

/* The list, sorted; lives as long as the query. */
typedef struct CdpWordList
{
	int			n;
	CdpWord    *word;
} CdpWordList;

CDP_FUNCTION(cdp_code_of);
CDP_FUNCTION(cdp_word_of);

/* Orders by bytes with A-Z like a-z, whatever the locale. */
static int
compare_words(const char *a, int alen, const char *b, int blen)
{
	for (int i = 0; i < Min(alen, blen); i++)
	{
		unsigned char ca = (unsigned char) a[i],
					cb = (unsigned char) b[i];

		if (ca >= 'A' && ca <= 'Z')
			ca |= 32;
		if (cb >= 'A' && cb <= 'Z')
			cb |= 32;
		if (ca != cb)
			return ca < cb ? -1 : 1;
	}
	return alen - blen;
}

/* The same for qsort. */
static int
compare_entries(const void *a, const void *b)
{
	const CdpWord *wa = a;
	const CdpWord *wb = b;

	return compare_words(wa->bytes, wa->len, wb->bytes, wb->len);
}

/* Reads the list's arrays into cxt; without codes a word's code is its place. */
static CdpWordList *
read_list(ArrayType *words, ArrayType *codes, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpWordList *list = palloc0(sizeof(CdpWordList));
	Datum	   *w,
			   *c = NULL;
	bool	   *wnull,
			   *cnull = NULL;
	int			ncodes = 0;

	words = (ArrayType *) pg_detoast_datum_copy((struct varlena *) words);
	deconstruct_array(words, TEXTOID, -1, false, TYPALIGN_INT, &w, &wnull, &list->n);
	if (codes != NULL)
		deconstruct_array(codes, INT4OID, sizeof(int32), true, TYPALIGN_INT, &c, &cnull, &ncodes);
	if (codes != NULL && ncodes != list->n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the list has %d words and %d codes", list->n, ncodes)));
	list->word = palloc0(sizeof(CdpWord) * Max(list->n, 1));
	for (int i = 0; i < list->n; i++)
	{
		if (wnull[i] || (codes != NULL && cnull[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the list has an empty entry at place %d", i + 1)));
		list->word[i].bytes = VARDATA_ANY(DatumGetPointer(w[i]));
		list->word[i].len = VARSIZE_ANY_EXHDR(DatumGetPointer(w[i]));
		list->word[i].code = codes != NULL ? DatumGetInt32(c[i]) : i;
	}
	qsort(list->word, list->n, sizeof(CdpWord), compare_entries);
	MemoryContextSwitchTo(old);
	return list;
}

/* Finds the call's first argument in its list, which is kept while the query cannot change it; NULL when it is not there. */
static const CdpWord *
find_word(FunctionCallInfo fcinfo, ArrayType *codes)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	CdpWordList *list = (CdpWordList *) fcinfo->flinfo->fn_extra;
	CdpWord		wanted = {VARDATA_ANY(input), VARSIZE_ANY_EXHDR(input)};

	if (list == NULL)
	{
		bool		stable = get_fn_expr_arg_stable(fcinfo->flinfo, 1) &&
			(codes == NULL || get_fn_expr_arg_stable(fcinfo->flinfo, 2));

		list = read_list(PG_GETARG_ARRAYTYPE_P(1), codes, stable ? fcinfo->flinfo->fn_mcxt : CurrentMemoryContext);
		if (stable)
			fcinfo->flinfo->fn_extra = list;
	}
	while (wanted.len > 0 && wanted.bytes[0] == ' ')
		wanted.bytes++, wanted.len--;
	while (wanted.len > 0 && wanted.bytes[wanted.len - 1] == ' ')
		wanted.len--;
	return bsearch(&wanted, list->word, list->n, sizeof(CdpWord), compare_entries);
}

/* code_of(text, words, codes): the code that stands where the text stands in words, or NULL. */
Datum
cdp_code_of(PG_FUNCTION_ARGS)
{
	const CdpWord *found = find_word(fcinfo, PG_GETARG_ARRAYTYPE_P(2));

	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(found->code);
}

/* word_of(text, words): the text as words spells it, or NULL. */
Datum
cdp_word_of(PG_FUNCTION_ARGS)
{
	const CdpWord *found = find_word(fcinfo, NULL);

	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(found->bytes, found->len));
}
