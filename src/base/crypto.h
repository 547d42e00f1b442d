/*
 * crypto.h
 *		Keyed digests (HMAC-SHA256) and authenticated encryption (AES-256-GCM)
 *		with the keys of the key file.
 */
#ifndef CDP_CRYPTO_H
#define CDP_CRYPTO_H

#include "base/keyfile.h"

#define CDP_NONCE_BYTES		12
#define CDP_TAG_BYTES		16
#define CDP_SEAL_OVERHEAD	(CDP_NONCE_BYTES + CDP_TAG_BYTES)

/* One piece of what is digested; pieces are taken as one run of bytes. */
typedef struct CdpPiece
{
	const void *bytes;
	Size		len;
} CdpPiece;

extern void cdp_hmac_raw(const uint8 *key, Size key_len, const CdpPiece *pieces, int n, uint8 *out);
extern void cdp_sha256(const CdpPiece *pieces, int n, uint8 *out);
extern void cdp_hmac(const char *purpose, int key_id, const CdpPiece *pieces, int n, uint8 *out);
extern void cdp_gcm_seal(const uint8 *key, const uint8 *nonce, const CdpPiece *context, const uint8 *plain, int len, uint8 *cipher, uint8 *tag);
extern bool cdp_gcm_open(const uint8 *key, const uint8 *nonce, const CdpPiece *context, const uint8 *cipher, int len, const uint8 *tag, uint8 *plain);
extern void cdp_seal(const char *purpose, int key_id, bool same_for_same, const CdpPiece *context, const uint8 *plain, int len, uint8 *out);
extern bool cdp_open(const char *purpose, int key_id, const CdpPiece *context, const uint8 *sealed, int len, uint8 *plain);

#endif							/* CDP_CRYPTO_H */
