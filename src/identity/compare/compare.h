/*
 * compare.h
 *		How alike two texts are: for the SQL functions of compare.c and for
 *		the matcher.
 *
 * Texts are bytes in the database's encoding, with their length in bytes, and
 * are compared character by character: code points, not bytes, no collation.
 * All functions are symmetrical.  Texts of up to 256 bytes need no memory but
 * the stack; longer ones take at most about 60 bytes a character from the
 * current memory context and give it back.  Too long a text is error 54000,
 * see the two limits.
 */
#ifndef CDP_COMPARE_H
#define CDP_COMPARE_H

#include "cdp.h"

/* Longest text, in characters. */
#define CDP_COMPARE_MAX_CHARS 1048576

/* The same for a distance without max, or with a max above CDP_COMPARE_SMALL_MAX: its work grows with the square. */
#define CDP_COMPARE_MAX_EDIT_CHARS 65536
#define CDP_COMPARE_SMALL_MAX 1000

/* As max: the whole distance, however large. */
#define CDP_COMPARE_NO_MAX (-1)

/* Similarities from 0 to 1; two empty texts are 1, one empty text is 0. */
extern double cdp_compare_jaro(const char *a, int alen, const char *b, int blen);
extern double cdp_compare_jaro_winkler(const char *a, int alen, const char *b, int blen);
extern double cdp_compare_trigram_dice(const char *a, int alen, const char *b, int blen);
extern double cdp_compare_trigram_jaccard(const char *a, int alen, const char *b, int blen);
extern double cdp_compare_character_jaccard(const char *a, int alen, const char *b, int blen);

/* Edits; max + 1 stands for everything above max. */
extern int	cdp_compare_levenshtein(const char *a, int alen, const char *b, int blen, int max);
extern int	cdp_compare_alignment(const char *a, int alen, const char *b, int blen, int max);
extern int	cdp_compare_damerau(const char *a, int alen, const char *b, int blen, int max);

/* 1 - edits / characters of the longer text. */
extern double cdp_compare_levenshtein_similarity(const char *a, int alen, const char *b, int blen);
extern double cdp_compare_damerau_similarity(const char *a, int alen, const char *b, int blen);

#endif							/* CDP_COMPARE_H */
