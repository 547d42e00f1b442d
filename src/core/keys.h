/*
 * keys.h
 *		Who may use the keys of the key file.
 */
#ifndef CDP_KEYS_H
#define CDP_KEYS_H

#include "cdp.h"

extern void cdp_require_key_right(const char *what);

#endif							/* CDP_KEYS_H */
