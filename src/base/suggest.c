/*
 * suggest.c
 *		Nearest names for the hints of errors: "did you mean".
 */
#include "suggest.h"

#include "lib/stringinfo.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

/* Longer words are not compared: no name of ours is that long. */
#define SUGGEST_MAX_WORD 100

/* Returns the name with the fewest edits from the word, or NULL when none is near; nothing is copied. */
const char *
cdp_suggest(const char *word, const char *const *names, int n)
{
	const char *best = NULL;
	int			best_distance = PG_INT32_MAX;
	size_t		len = strlen(word);
	char	   *lower;

	if (len == 0 || len > SUGGEST_MAX_WORD)
		return NULL;
	lower = asc_tolower(word, len);
	for (int i = 0; i < n; i++)
	{
		int			limit = 1 + (int) Max(len, strlen(names[i])) / 3;
		int			distance = varstr_levenshtein_less_equal(lower, len, names[i], strlen(names[i]),
															 1, 1, 1, limit, true);

		if (distance <= limit && distance < best_distance)
		{
			best = names[i];
			best_distance = distance;
		}
	}
	pfree(lower);
	return best;
}

/* For use inside ereport: adds the nearest name as a hint, or the whole list when none is near. */
int
cdp_suggest_hint(const char *word, const char *const *names, int n)
{
	const char *best = cdp_suggest(word, names, n);
	StringInfoData all;

	if (best != NULL)
		return errhint("Did you mean \"%s\"?", best);
	initStringInfo(&all);
	for (int i = 0; i < n; i++)
		appendStringInfo(&all, "%s%s", i > 0 ? ", " : "", names[i]);
	return errhint("Known names: %s.", all.data);
}
