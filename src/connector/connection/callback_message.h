/*
 * callback_message.h
 *		The message of a callback, XML or JSON, as JSON.
 */
#ifndef CDP_CALLBACK_MESSAGE_H
#define CDP_CALLBACK_MESSAGE_H

#include "cdp.h"

#include "utils/jsonb.h"

#define CALLBACK_MESSAGE_MAX_BYTES (1024 * 1024)
#define CALLBACK_MESSAGE_MAX_DEPTH 32
#define CALLBACK_MESSAGE_MAX_ELEMENTS 10000

extern Jsonb *cdp_callback_message(const char *bytes, int len, int64 *scrubbed, const char **problem);

#endif							/* CDP_CALLBACK_MESSAGE_H */
