/*
 * crypto.c
 *		HMAC-SHA256 and AES-256-GCM of OpenSSL's libcrypto with the keys of the key file.
 *
 * No key is used as it stands in the file.  Each purpose has a subkey of its own,
 * HMAC(key, "pg_cdp " + purpose), so that digests of two purposes can not be
 * compared and one purpose tells nothing about another.
 *
 * What is sealed is nonce (12 bytes), cipher text, tag (16 bytes).  The nonce is
 * random, or, where equal values must give equal text, the first 12 bytes of
 * HMAC(subkey of purpose + " nonce", length of context, context, plain text): two
 * different values then share a nonce no more often than random ones do.
 */
#include "base/crypto.h"

/* The functions of HMAC are those that libcrypto has since 1.1; 3.0 calls them old without offering quicker ones. */
#ifndef OPENSSL_API_COMPAT
#define OPENSSL_API_COMPAT 0x10101000L
#endif
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "storage/ipc.h"

#define SUBKEYS			8		/* kept ready; more purposes at once only cost time */
#define PURPOSE_BYTES	32

typedef struct Subkey
{
	char		purpose[PURPOSE_BYTES];
	int			key_id;			/* 0: free */
	uint8		key[CDP_KEY_BYTES];
	HMAC_CTX   *ready;			/* set up with the subkey, used again and again */
} Subkey;

static Subkey subkeys[SUBKEYS];
static int	next_subkey = 0;
static uint64 subkey_generation = 0;
static bool wiped_at_exit = false;

CDP_NORETURN static void crypto_failed(const char *what);

/* Raises the error for what only a broken libcrypto or a lack of memory can cause. */
static void
crypto_failed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("libcrypto failed at %s", what)));
}

/* HMAC-SHA256 of the pieces with any key; out has 32 bytes. The context is set up already when key is NULL. */
static bool
hmac_pieces(HMAC_CTX *ctx, const uint8 *key, Size key_len, const CdpPiece *pieces, int n, uint8 *out)
{
	unsigned int len = CDP_KEY_BYTES;

	if (HMAC_Init_ex(ctx, key, (int) key_len, key ? EVP_sha256() : NULL, NULL) != 1)
		return false;
	for (int i = 0; i < n; i++)
		if (pieces[i].len > 0 && HMAC_Update(ctx, pieces[i].bytes, pieces[i].len) != 1)
			return false;
	return HMAC_Final(ctx, out, &len) == 1 && len == CDP_KEY_BYTES;
}

/* HMAC-SHA256 of the pieces with the key given; out has room for 32 bytes. */
void
cdp_hmac_raw(const uint8 *key, Size key_len, const CdpPiece *pieces, int n, uint8 *out)
{
	HMAC_CTX   *ctx = HMAC_CTX_new();
	bool		good = ctx != NULL && hmac_pieces(ctx, key, key_len, pieces, n, out);

	HMAC_CTX_free(ctx);
	if (!good)
		crypto_failed("HMAC");
}

/* SHA-256 of the pieces, without a key; out has room for 32 bytes. */
void
cdp_sha256(const CdpPiece *pieces, int n, uint8 *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (int i = 0; good && i < n; i++)
		good = EVP_DigestUpdate(ctx, pieces[i].bytes, pieces[i].len) == 1;
	good = good && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!good)
		crypto_failed("SHA-256");
}

/* Wipes one subkey. */
static void
subkey_drop(Subkey *s)
{
	HMAC_CTX_free(s->ready);	/* wipes what it holds */
	OPENSSL_cleanse(s, sizeof(*s));
}

/* on_proc_exit callback: no key stays in memory that the system hands on. */
static void
subkeys_wipe_at_exit(int code, Datum arg)
{
	for (int i = 0; i < SUBKEYS; i++)
		subkey_drop(&subkeys[i]);
}

/* The subkey of a purpose, in static memory, good until the next call with another purpose. Errors as cdp_keyfile_key(). */
static Subkey *
subkey_of(const char *purpose, int key_id)
{
	uint64		generation = cdp_keyfile_generation();
	const uint8 *key;
	CdpPiece	pieces[2] = {{"pg_cdp ", 7}, {purpose, strlen(purpose)}};
	uint8		derived[CDP_KEY_BYTES];
	Subkey	   *s;

	if (generation != subkey_generation)
	{
		for (int i = 0; i < SUBKEYS; i++)
			subkey_drop(&subkeys[i]);
		subkey_generation = generation;
	}
	for (int i = 0; i < SUBKEYS; i++)
		if (subkeys[i].key_id == key_id && strcmp(subkeys[i].purpose, purpose) == 0)
			return &subkeys[i];
	if (strlen(purpose) == 0 || strlen(purpose) >= PURPOSE_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("purpose of a key must have 1 to %d bytes", PURPOSE_BYTES - 1)));
	if (!wiped_at_exit)
	{
		on_proc_exit(subkeys_wipe_at_exit, 0);
		wiped_at_exit = true;
	}
	key = cdp_keyfile_key(key_id);
	cdp_hmac_raw(key, CDP_KEY_BYTES, pieces, 2, derived);
	s = &subkeys[next_subkey++ % SUBKEYS];
	subkey_drop(s);
	s->ready = HMAC_CTX_new();
	if (s->ready == NULL || HMAC_Init_ex(s->ready, derived, CDP_KEY_BYTES, EVP_sha256(), NULL) != 1)
		crypto_failed("HMAC");
	strlcpy(s->purpose, purpose, sizeof(s->purpose));
	memcpy(s->key, derived, CDP_KEY_BYTES);
	OPENSSL_cleanse(derived, sizeof(derived));
	s->key_id = key_id;
	return s;
}

/* HMAC-SHA256 of the pieces with the subkey of a purpose; out has room for 32 bytes. */
void
cdp_hmac(const char *purpose, int key_id, const CdpPiece *pieces, int n, uint8 *out)
{
	if (!hmac_pieces(subkey_of(purpose, key_id)->ready, NULL, 0, pieces, n, out))
		crypto_failed("HMAC");
}

/* Encrypts len bytes with AES-256-GCM; cipher has as many, tag 16. context is authenticated, not stored. */
void
cdp_gcm_seal(const uint8 *key, const uint8 *nonce, const CdpPiece *context, const uint8 *plain, int len, uint8 *cipher, uint8 *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int			n = 0;
	bool		good = ctx != NULL &&
		EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		(context->len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, context->bytes, (int) context->len) == 1) &&
		(len == 0 || (EVP_EncryptUpdate(ctx, cipher, &n, plain, len) == 1 && n == len)) &&
		EVP_EncryptFinal_ex(ctx, cipher + len, &n) == 1 && n == 0 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CDP_TAG_BYTES, tag) == 1;

	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		crypto_failed("AES-256-GCM");
}

/* Decrypts what cdp_gcm_seal() made. False, with plain wiped, when a single bit of key, nonce, context, cipher or tag differs. */
bool
cdp_gcm_open(const uint8 *key, const uint8 *nonce, const CdpPiece *context, const uint8 *cipher, int len, const uint8 *tag, uint8 *plain)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int			n = 0;
	bool		good = ctx != NULL &&
		EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		(context->len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, context->bytes, (int) context->len) == 1) &&
		(len == 0 || (EVP_DecryptUpdate(ctx, plain, &n, cipher, len) == 1 && n == len)) &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CDP_TAG_BYTES, unconstify(uint8 *, tag)) == 1 &&
		EVP_DecryptFinal_ex(ctx, plain + len, &n) == 1 && n == 0;

	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		OPENSSL_cleanse(plain, len);
	return good;
}

/* Seals len bytes into out, which has room for len + CDP_SEAL_OVERHEAD. same_for_same: equal input gives equal output. */
void
cdp_seal(const char *purpose, int key_id, bool same_for_same, const CdpPiece *context, const uint8 *plain, int len, uint8 *out)
{
	if (same_for_same)
	{
		char		name[PURPOSE_BYTES];
		uint8		digest[CDP_KEY_BYTES];
		uint8		context_len[8];
		CdpPiece	pieces[3] = {{context_len, 8}, *context, {plain, len}};

		for (int i = 0; i < 8; i++)
			context_len[i] = (uint8) ((uint64) context->len >> (8 * i));
		snprintf(name, sizeof(name), "%s nonce", purpose);
		cdp_hmac(name, key_id, pieces, 3, digest);
		memcpy(out, digest, CDP_NONCE_BYTES);
	}
	else if (!pg_strong_random(out, CDP_NONCE_BYTES))
		crypto_failed("random numbers");
	cdp_gcm_seal(subkey_of(purpose, key_id)->key, out, context, plain, len, out + CDP_NONCE_BYTES, out + CDP_NONCE_BYTES + len);
}

/* Opens what cdp_seal() made, len bytes in all, into plain, which has room for them. False when it is not untouched. */
bool
cdp_open(const char *purpose, int key_id, const CdpPiece *context, const uint8 *sealed, int len, uint8 *plain)
{
	int			inner = len - CDP_SEAL_OVERHEAD;

	return inner >= 0 &&
		cdp_gcm_open(subkey_of(purpose, key_id)->key, sealed, context, sealed + CDP_NONCE_BYTES, inner,
					 sealed + CDP_NONCE_BYTES + inner, plain);
}
