/*
 * code_calls.c
 *		Referral codes for SQL.
 */
#include "referral/code.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

CDP_FUNCTION(cdp_referral_code_check);
CDP_FUNCTION(cdp_referral_code_fold);
CDP_FUNCTION(cdp_referral_code_format);
CDP_FUNCTION(cdp_referral_code_is);
CDP_FUNCTION(cdp_referral_code_random);
CDP_FUNCTION(cdp_referral_code_word);

/* Reads the text argument; longer ones than any code are cut off, which leaves them too long. */
static void
read_argument(const text *arg, CdpCode *code)
{
	cdp_code_read(VARDATA_ANY(arg), Min(VARSIZE_ANY_EXHDR(arg), 1024), code);
}

/* referral_code_check(text): what a code is, and what is wrong with it, as one row. */
Datum
cdp_referral_code_check(PG_FUNCTION_ARGS)
{
	CdpCode		code;
	TupleDesc	desc;
	Datum		values[7];
	bool		nulls[7] = {false};
	char		shown[CDP_VANITY_MAX + 1];

	read_argument(PG_GETARG_TEXT_PP(0), &code);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 7)
		elog(ERROR, "referral_code_check has another row type");
	values[0] = BoolGetDatum(code.valid);
	values[1] = CStringGetTextDatum(code.random ? "random" : "vanity");
	cdp_code_show(code.folded, shown);
	values[2] = CStringGetTextDatum(code.folded);
	values[3] = CStringGetTextDatum(shown);
	nulls[2] = nulls[3] = !code.valid;
	values[4] = code.problem ? CStringGetTextDatum(code.problem) : (Datum) 0;
	nulls[4] = code.problem == NULL;
	values[5] = Int32GetDatum(code.place);
	nulls[5] = code.place == 0;
	cdp_code_show(code.meant, shown);
	values[6] = CStringGetTextDatum(shown);
	nulls[6] = code.meant[0] == '\0';
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* referral_code_fold(text): the code as it is stored, NULL when it is none. */
Datum
cdp_referral_code_fold(PG_FUNCTION_ARGS)
{
	CdpCode		code;

	read_argument(PG_GETARG_TEXT_PP(0), &code);
	if (!code.valid)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(code.folded));
}

/* referral_code_format(text): the code as it is shown; an error when it is none. */
Datum
cdp_referral_code_format(PG_FUNCTION_ARGS)
{
	CdpCode		code;
	char		shown[CDP_VANITY_MAX + 1];

	read_argument(PG_GETARG_TEXT_PP(0), &code);
	if (!code.valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("this is no referral code"),
				 code.place ? errdetail("What is wrong: %s, at character %d.", code.problem, code.place) : errdetail("What is wrong: %s.", code.problem),
				 errhint("cdp.referral_code_check() tells more.")));
	cdp_code_show(code.folded, shown);
	PG_RETURN_TEXT_P(cstring_to_text(shown));
}

/* referral_code_is(text): whether a text is a code with a right check digit, for the domain cdp.referral_code. */
Datum
cdp_referral_code_is(PG_FUNCTION_ARGS)
{
	CdpCode		code;

	read_argument(PG_GETARG_TEXT_PP(0), &code);
	PG_RETURN_BOOL(code.valid && code.random);
}

/* The first word of an array that stands in the code, or NULL; the result points into the array. */
static text *
word_within(const char *code, int len, ArrayType *words, bool whole)
{
	Datum	   *items;
	bool	   *nulls;
	int			n;

	deconstruct_array(words, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		text	   *word = nulls[i] ? NULL : DatumGetTextPP(items[i]);

		if (i % 1024 == 1023)
			CHECK_FOR_INTERRUPTS();
		if (word != NULL && cdp_code_has_word(code, len, VARDATA_ANY(word), VARSIZE_ANY_EXHDR(word), whole))
			return word;
	}
	return NULL;
}

/* referral_code_word(text, text[], text[]): the first word that stands anywhere, or is the whole of a part, in a code. */
Datum
cdp_referral_code_word(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	const char *code = VARDATA_ANY(arg);
	int			len = VARSIZE_ANY_EXHDR(arg);
	text	   *found = word_within(code, len, PG_GETARG_ARRAYTYPE_P(1), false);

	if (found == NULL)
		found = word_within(code, len, PG_GETARG_ARRAYTYPE_P(2), true);
	for (int from = 0, to; found == NULL && from < len; from = to + 1)
	{
		for (to = from; to < len && code[to] != '-'; to++)
			;
		found = word_within(code + from, to - from, PG_GETARG_ARRAYTYPE_P(2), true);
	}
	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(found);
}

/* referral_code_random(text[]): a new code in which none of the words stands. */
Datum
cdp_referral_code_random(PG_FUNCTION_ARGS)
{
	ArrayType  *words = PG_GETARG_ARRAYTYPE_P(0);
	char		code[CDP_CODE_SYMBOLS + 1];

	for (int tries = 0; tries < 1000; tries++)
	{
		cdp_code_random(code);
		if (word_within(code, CDP_CODE_SYMBOLS, words, false) == NULL)
			PG_RETURN_TEXT_P(cstring_to_text(code));
	}
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("every code holds one of the words to avoid"),
			 errdetail("%d codes were tried.", 1000),
			 errhint("Take single letters off the list.")));
}
