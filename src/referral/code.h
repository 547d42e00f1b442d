/*
 * code.h
 *		Referral codes: how they are read, made and shown.
 */
#ifndef CDP_REFERRAL_CODE_H
#define CDP_REFERRAL_CODE_H

#include "cdp.h"

#define CDP_CODE_SYMBOLS	9	/* eight random ones and the check digit */
#define CDP_VANITY_MIN		3
#define CDP_VANITY_MAX		50

/* What a code turned out to be. */
typedef struct CdpCode
{
	bool		valid;
	bool		random;			/* of the kind with a check digit; else a vanity code */
	const char *problem;		/* a word, NULL without one */
	int			place;			/* of the character at fault, from 1; 0 when none is */
	char		folded[CDP_VANITY_MAX + 1]; /* as it is stored; empty unless valid */
	char		meant[CDP_CODE_SYMBOLS + 1];	/* the only code that differs in the unreadable character; empty without one */
} CdpCode;

extern void cdp_code_read(const char *text, int len, CdpCode *code);
extern void cdp_code_show(const char *folded, char *out);
extern void cdp_code_random(char *out);
extern bool cdp_code_has_word(const char *code, int len, const char *word, int word_len, bool whole);

#endif							/* CDP_REFERRAL_CODE_H */
