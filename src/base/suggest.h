/*
 * suggest.h
 *		Nearest names for the hints of errors.
 */
#ifndef CDP_SUGGEST_H
#define CDP_SUGGEST_H

#include "cdp.h"

extern const char *cdp_suggest(const char *word, const char *const *names, int n);
extern int	cdp_suggest_hint(const char *word, const char *const *names, int n);

#endif							/* CDP_SUGGEST_H */
