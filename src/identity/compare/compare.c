/*
 * compare.c
 *		The comparators as SQL functions.  compare.h says what they return.
 */
#include "identity/compare/compare.h"

typedef double (*Similarity) (const char *a, int alen, const char *b, int blen);
typedef int (*Distance) (const char *a, int alen, const char *b, int blen, int max);

/* Calls a similarity with the two texts of an SQL call, without copying those that are neither compressed nor external. */
static inline Datum
call_similarity(FunctionCallInfo fcinfo, Similarity similarity)
{
	text	   *a = PG_GETARG_TEXT_PP(0);
	text	   *b = PG_GETARG_TEXT_PP(1);

	PG_RETURN_FLOAT8(similarity(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)));
}

/* Calls a distance with the two texts of an SQL call, and its max when there is a third argument. */
static inline Datum
call_distance(FunctionCallInfo fcinfo, Distance distance)
{
	text	   *a = PG_GETARG_TEXT_PP(0);
	text	   *b = PG_GETARG_TEXT_PP(1);
	int			max = CDP_COMPARE_NO_MAX;

	if (PG_NARGS() > 2)
	{
		max = PG_GETARG_INT32(2);
		if (max < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max must not be negative"),
					 errdetail("It is %d.", max),
					 errhint("Leave it out to get every distance.")));
	}
	PG_RETURN_INT32(distance(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b), max));
}

CDP_FUNCTION(cdp_jaro_similarity);
CDP_FUNCTION(cdp_jaro_winkler);
CDP_FUNCTION(cdp_levenshtein);
CDP_FUNCTION(cdp_levenshtein_similarity);
CDP_FUNCTION(cdp_optimal_string_alignment);
CDP_FUNCTION(cdp_damerau_levenshtein);
CDP_FUNCTION(cdp_damerau_levenshtein_similarity);
CDP_FUNCTION(cdp_trigram_dice);
CDP_FUNCTION(cdp_trigram_jaccard);
CDP_FUNCTION(cdp_character_jaccard);

/* jaro_similarity(a, b) */
Datum
cdp_jaro_similarity(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_jaro);
}

/* jaro_winkler(a, b) */
Datum
cdp_jaro_winkler(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_jaro_winkler);
}

/* levenshtein(a, b [, max]) */
Datum
cdp_levenshtein(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, cdp_compare_levenshtein);
}

/* levenshtein_similarity(a, b) */
Datum
cdp_levenshtein_similarity(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_levenshtein_similarity);
}

/* optimal_string_alignment(a, b [, max]) */
Datum
cdp_optimal_string_alignment(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, cdp_compare_alignment);
}

/* damerau_levenshtein(a, b [, max]) */
Datum
cdp_damerau_levenshtein(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, cdp_compare_damerau);
}

/* damerau_levenshtein_similarity(a, b) */
Datum
cdp_damerau_levenshtein_similarity(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_damerau_similarity);
}

/* trigram_dice(a, b) */
Datum
cdp_trigram_dice(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_trigram_dice);
}

/* trigram_jaccard(a, b) */
Datum
cdp_trigram_jaccard(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_trigram_jaccard);
}

/* character_jaccard(a, b) */
Datum
cdp_character_jaccard(PG_FUNCTION_ARGS)
{
	return call_similarity(fcinfo, cdp_compare_character_jaccard);
}
