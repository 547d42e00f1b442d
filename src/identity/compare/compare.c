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

/* Declares and defines an SQL function that is one comparator. */
#define SIMILARITY(name, comparator) \
	CDP_FUNCTION(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		return call_similarity(fcinfo, comparator); \
	}
#define DISTANCE(name, comparator) \
	CDP_FUNCTION(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		return call_distance(fcinfo, comparator); \
	}

/* Of two texts. */
SIMILARITY(cdp_jaro_similarity, cdp_compare_jaro)
SIMILARITY(cdp_jaro_winkler, cdp_compare_jaro_winkler)
SIMILARITY(cdp_levenshtein_similarity, cdp_compare_levenshtein_similarity)
SIMILARITY(cdp_damerau_levenshtein_similarity, cdp_compare_damerau_similarity)
SIMILARITY(cdp_trigram_dice, cdp_compare_trigram_dice)
SIMILARITY(cdp_trigram_jaccard, cdp_compare_trigram_jaccard)
SIMILARITY(cdp_character_jaccard, cdp_compare_character_jaccard)

/* Of two texts, and perhaps a max. */
DISTANCE(cdp_levenshtein, cdp_compare_levenshtein)
DISTANCE(cdp_optimal_string_alignment, cdp_compare_alignment)
DISTANCE(cdp_damerau_levenshtein, cdp_compare_damerau)
