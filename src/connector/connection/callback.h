/*
 * callback.h
 *		Messages that WeCom and WeChat push: who signed them, and what they say.
 */
#ifndef CDP_CALLBACK_H
#define CDP_CALLBACK_H

#include "cdp.h"

#include "base/crypto.h"

#define CDP_CALLBACK_KEY_CHARS	43	/* base64 of 32 bytes, without its sign of equality */
#define CDP_CALLBACK_MOST_BYTES (16 * 1024 * 1024)

/* What is agreed on with the platform. */
typedef struct CdpCallbackKeys
{
	CdpPiece	token;
	CdpPiece	key;			/* EncodingAESKey */
	CdpPiece	receiver;		/* CorpID, SuiteID or AppID */
} CdpCallbackKeys;

/* What came: parameters of the request, and the cipher text of its body. */
typedef struct CdpCallbackCall
{
	CdpPiece	signature;
	CdpPiece	timestamp;
	CdpPiece	nonce;
	CdpPiece	cipher;			/* base64 */
} CdpCallbackCall;

typedef enum CdpCallbackOutcome
{
	CDP_CALLBACK_OK,
	CDP_CALLBACK_KEY,			/* EncodingAESKey is none */
	CDP_CALLBACK_SIGNATURE,
	CDP_CALLBACK_BASE64,
	CDP_CALLBACK_PADDING,		/* not decrypted by this key */
	CDP_CALLBACK_LENGTH,
	CDP_CALLBACK_RECEIVER
} CdpCallbackOutcome;

extern const char *cdp_callback_word(CdpCallbackOutcome outcome);
extern void cdp_callback_signature(const CdpCallbackKeys *keys, const CdpCallbackCall *call, char *hex);
extern bool cdp_webhook_signed(const CdpPiece *secret, const CdpCallbackCall *call, const CdpPiece *body);
extern bool cdp_callback_signed(const CdpCallbackKeys *keys, const CdpCallbackCall *call);
extern CdpCallbackOutcome cdp_callback_open(const CdpCallbackKeys *keys, const CdpCallbackCall *call, uint8 **plain, int *size, CdpPiece *message);
extern text *cdp_callback_seal(const CdpCallbackKeys *keys, const uint8 *random, const CdpPiece *message);
extern bool cdp_callback_cipher(const char *body, int len, CdpPiece *cipher);
extern void cdp_callback_wipe(void *bytes, Size len);

#endif							/* CDP_CALLBACK_H */
