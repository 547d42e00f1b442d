/*
 * envelope.h
 *		Texts that are stored encrypted, for the rooms that keep some under a purpose of their own.
 */
#ifndef CDP_ENVELOPE_H
#define CDP_ENVELOPE_H

#include "base/crypto.h"

extern text *cdp_envelope_make(const char *purpose, int key_id, const CdpPiece *context, bool same_for_same, const uint8 *plain, int len);
extern bool cdp_envelope_read(const text *given, int *key_id, uint8 **sealed, int *sealed_len);

#endif							/* CDP_ENVELOPE_H */
