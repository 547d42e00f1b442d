/*
 * field_name.h
 *		One spelling for the names of fields.
 */
#ifndef CDP_FIELD_NAME_H
#define CDP_FIELD_NAME_H

#include "core/normalise.h"

extern bool cdp_field_name(const char *text, int len, CdpForm *form);

#endif							/* CDP_FIELD_NAME_H */
