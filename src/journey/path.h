/*
 * path.h
 *		Paths: the labels that customers go through from one row to the next.
 *
 * path_pass.c stores rows, cuts each customer's rows into paths and counts them;
 * path_rows.c opens the result.
 */
#ifndef CDP_PATH_H
#define CDP_PATH_H

#include "journey/outcome.h"

#define CDP_MAX_PATH 100

/* Kinds of counts; labels follow from the third number on, each with CDP_LABEL_BASE added. */
#define CDP_KEY_NODE 0			/* step, label */
#define CDP_KEY_LINK 1			/* step it leaves, label or CDP_LABEL_*, label or CDP_LABEL_* */
#define CDP_KEY_LOOP 2			/* 0 = the same label at once, 1 = after others; label */
#define CDP_KEY_PATH 3			/* whether rows beyond it are cut off, labels */

typedef struct CdpPathOptions
{
	CdpTexts	starts;			/* none = a path starts with the first row */
	CdpTexts	ends;
	int			occurrence;		/* 1 = every start, or every end, not only the first */
	CdpTexts	labels;			/* none = all labels */
	CdpTexts	leave_out;
	bool		collapse;
	int64		gap;			/* PG_INT64_MAX = none */
	int64		within;
	int			max_steps;
	bool		whole_paths;
	bool		durations;
	int64		since;
	int64		until;
	int64		as_of;
} CdpPathOptions;

extern const CdpOutcomeKind cdp_path_kind;

/* Whether steps are counted backwards from the end of a path. */
static inline bool
cdp_path_backwards(const CdpPathOptions *o)
{
	return o->starts.n == 0 && o->ends.n > 0;
}

#endif							/* CDP_PATH_H */
