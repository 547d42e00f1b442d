/*
 * callback.c
 *		Signature and encryption of the messages that WeCom and WeChat push.
 *
 * The signature is SHA-1 over token, time, nonce and cipher text, sorted by
 * their bytes. The text is AES-256 in CBC mode, its IV the key's first half,
 * padded as PKCS#7 does but to 32 bytes: 16 random bytes, length (4 bytes, most
 * significant first), message, receiver. Nothing is decrypted before the
 * signature was found right, so errors of the padding tell a stranger nothing.
 * Source: developer.work.weixin.qq.com/document/path/91144.
 *
 * Other products sign as Standard Webhooks say (standardwebhooks.com): base64 of
 * HMAC-SHA256 over number, time and body, with dots between.
 */
#include "connector/connection/callback.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SHA1_BYTES		20
#define HMAC_BYTES		32
#define WEBHOOK_KEY_MOST	64		/* bytes of a key of Standard Webhooks; 24 at least */
#define WEBHOOK_KEY_LEAST	24
#define PAD_TO			32
#define IV_BYTES		16
#define RANDOM_BYTES	16
#define LENGTH_BYTES	4
#define HEAD_BYTES		(RANDOM_BYTES + LENGTH_BYTES)

static const char *const outcome_words[] = {NULL, "key", "signature", "base64", "padding", "length", "receiver"};

/* The word for an outcome; NULL for a good one. */
const char *
cdp_callback_word(CdpCallbackOutcome outcome)
{
	return outcome_words[outcome];
}

/* Overwrites bytes that nobody shall find; the memory stays the caller's. */
void
cdp_callback_wipe(void *bytes, Size len)
{
	if (bytes != NULL)
		OPENSSL_cleanse(bytes, len);
}

/* Raises the error for what only a broken libcrypto or a lack of memory can cause. */
CDP_NORETURN static void libcrypto_failed(const char *what);

/* See above. */
static void
libcrypto_failed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("libcrypto failed at %s", what)));
}

/* Orders pieces by their bytes, a piece before those that go on from it. */
static int
compare_pieces(const void *x, const void *y)
{
	const CdpPiece *a = x;
	const CdpPiece *b = y;
	int			c = memcmp(a->bytes, b->bytes, Min(a->len, b->len));

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

/* The signature of a call in 40 hexadecimal digits and a zero; its own signature is not read. */
void
cdp_callback_signature(const CdpCallbackKeys *keys, const CdpCallbackCall *call, char *hex)
{
	CdpPiece	piece[4] = {keys->token, call->timestamp, call->nonce, call->cipher};
	uint8		digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

	qsort(piece, 4, sizeof(CdpPiece), compare_pieces);
	for (int i = 0; good && i < 4; i++)
		good = EVP_DigestUpdate(ctx, piece[i].bytes, piece[i].len) == 1;
	good = good && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!good)
		libcrypto_failed("SHA-1");
	for (int i = 0; i < SHA1_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Whether two pieces are the same, in a time that does not tell where they differ. */
static bool
same(const CdpPiece *a, const void *bytes, Size len)
{
	return a->len == len && CRYPTO_memcmp(a->bytes, bytes, len) == 0;
}

/* Whether the signature of a call is right; calls that are not encrypted have no cipher text in it. */
bool
cdp_callback_signed(const CdpCallbackKeys *keys, const CdpCallbackCall *call)
{
	char		signature[64];

	cdp_callback_signature(keys, call, signature);
	return same(&call->signature, signature, 2 * SHA1_BYTES);
}

/* The value of a base64 digit, -1 for others. */
static int
digit_of(uint8 c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * Decodes base64 without line breaks into out, which has room for three
 * quarters; the number of bytes, or -1. The last digit's spare bits are not
 * looked at: EncodingAESKey is drawn at random, those bits as well.
 */
static int
decode(const CdpPiece *text, uint8 *out)
{
	const uint8 *s = text->bytes;
	Size		len = text->len;
	uint32		bits = 0;
	int			n = 0;

	while (len > 0 && text->len - len < 2 && s[len - 1] == '=')
		len--;
	if (text->len != len && text->len % 4 != 0)
		return -1;
	if (len % 4 == 1)
		return -1;
	for (Size i = 0; i < len; i++)
	{
		int			digit = digit_of(s[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32) digit;
		if (i % 4 == 3)
		{
			out[n++] = bits >> 16;
			out[n++] = bits >> 8;
			out[n++] = bits;
		}
	}
	if (len % 4 == 2)
		out[n++] = bits >> 4;
	else if (len % 4 == 3)
	{
		out[n++] = bits >> 10;
		out[n++] = bits >> 2;
	}
	return n;
}

/*
 * Whether one of the signatures of a call, such as "v1,base64 v1,base64", is that
 * of Standard Webhooks over the call's nonce (its number), time and body; those of
 * other versions are passed over. The secret is base64, whsec_ before it or not.
 */
bool
cdp_webhook_signed(const CdpPiece *secret, const CdpCallbackCall *call, const CdpPiece *body)
{
	static const char prefix[] = "whsec_";
	CdpPiece	text = *secret;
	uint8		key[WEBHOOK_KEY_MOST / 3 * 3 + 6];
	uint8		wanted[HMAC_BYTES];
	int			key_len;
	bool		good = false;
	CdpPiece	piece[5] = {call->nonce, {".", 1}, call->timestamp, {".", 1}, *body};
	const char *p = call->signature.bytes;
	const char *end = p + call->signature.len;

	if (text.len >= sizeof(prefix) - 1 && memcmp(text.bytes, prefix, sizeof(prefix) - 1) == 0)
		text = (CdpPiece) {(const char *) text.bytes + sizeof(prefix) - 1, text.len - (sizeof(prefix) - 1)};
	if (text.len > (WEBHOOK_KEY_MOST + 2) / 3 * 4)
		return false;
	key_len = decode(&text, key);
	if (key_len >= WEBHOOK_KEY_LEAST && key_len <= WEBHOOK_KEY_MOST)
	{
		cdp_hmac_raw(key, key_len, piece, 5, wanted);
		while (p < end)
		{
			const char *to = memchr(p, ' ', end - p);
			CdpPiece	given = {p + 3, (to == NULL ? end : to) - p - 3};
			uint8		bytes[HMAC_BYTES + 4];

			if ((to == NULL ? end : to) - p == 3 + 44 && memcmp(p, "v1,", 3) == 0 && decode(&given, bytes) == HMAC_BYTES && CRYPTO_memcmp(bytes, wanted, HMAC_BYTES) == 0)
				good = true;
			p = to == NULL ? end : to + 1;
		}
	}
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(wanted, sizeof(wanted));
	return good;
}

/* The bytes of EncodingAESKey; false when it is none. The caller wipes them. */
static bool
read_key(const CdpCallbackKeys *keys, uint8 *key)
{
	uint8		bytes[CDP_KEY_BYTES + 1];
	bool		good = keys->key.len == CDP_CALLBACK_KEY_CHARS && decode(&keys->key, bytes) == CDP_KEY_BYTES;

	if (good)
		memcpy(key, bytes, CDP_KEY_BYTES);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return good;
}

/* AES-256-CBC over whole blocks, either way, in place. */
static void
run_cipher(const uint8 *key, bool encrypt, uint8 *bytes, int len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int			done = 0;
	int			rest = 0;
	bool		good = ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), NULL, key, key, encrypt) == 1 &&
	EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
	EVP_CipherUpdate(ctx, bytes, &done, bytes, len) == 1 &&
	EVP_CipherFinal_ex(ctx, bytes + done, &rest) == 1 && done + rest == len;

	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		libcrypto_failed("AES-256-CBC");
}

/* What stands in a decrypted text of that length: its message, which points into it. */
static CdpCallbackOutcome
read_plain(const CdpCallbackKeys *keys, const uint8 *plain, int len, CdpPiece *message)
{
	int			pad = plain[len - 1];
	uint32		size;

	if (pad < 1 || pad > PAD_TO || pad > len)
		return CDP_CALLBACK_PADDING;
	for (int i = 1; i <= pad; i++)
		if (plain[len - i] != pad)
			return CDP_CALLBACK_PADDING;
	len -= pad;
	if (len < HEAD_BYTES)
		return CDP_CALLBACK_LENGTH;
	size = (uint32) plain[RANDOM_BYTES] << 24 | (uint32) plain[RANDOM_BYTES + 1] << 16 |
		(uint32) plain[RANDOM_BYTES + 2] << 8 | plain[RANDOM_BYTES + 3];
	if (size > (uint32) (len - HEAD_BYTES))
		return CDP_CALLBACK_LENGTH;
	if (!same(&keys->receiver, plain + HEAD_BYTES + size, len - HEAD_BYTES - size))
		return CDP_CALLBACK_RECEIVER;
	*message = (CdpPiece) {plain + HEAD_BYTES, size};
	return CDP_CALLBACK_OK;
}

/*
 * Checks the signature of a call, decrypts it and checks whom it is for. The
 * message points into *plain, which is palloced with *size bytes and which the
 * caller wipes and frees; it is NULL unless the outcome is CDP_CALLBACK_OK.
 */
CdpCallbackOutcome
cdp_callback_open(const CdpCallbackKeys *keys, const CdpCallbackCall *call, uint8 **plain, int *size, CdpPiece *message)
{
	uint8		key[CDP_KEY_BYTES];
	CdpCallbackOutcome outcome;

	*plain = NULL;
	*size = 0;
	if (!cdp_callback_signed(keys, call))
		return CDP_CALLBACK_SIGNATURE;
	if (call->cipher.len > CDP_CALLBACK_MOST_BYTES || call->cipher.len % 4 != 0)
		return CDP_CALLBACK_BASE64;
	*plain = palloc(call->cipher.len / 4 * 3 + 1);
	*size = decode(&call->cipher, *plain);
	if (*size <= 0 || *size % IV_BYTES != 0)
		outcome = CDP_CALLBACK_BASE64;
	else if (!read_key(keys, key))
		outcome = CDP_CALLBACK_KEY;
	else
	{
		run_cipher(key, false, *plain, *size);
		OPENSSL_cleanse(key, sizeof(key));
		outcome = read_plain(keys, *plain, *size, message);
	}
	if (outcome != CDP_CALLBACK_OK)
	{
		OPENSSL_cleanse(*plain, call->cipher.len / 4 * 3 + 1);
		pfree(*plain);
		*plain = NULL;
		*size = 0;
	}
	return outcome;
}

/* The cipher text of a message as base64, palloced: replies, and what tests send. NULL when the key is none. */
text *
cdp_callback_seal(const CdpCallbackKeys *keys, const uint8 *random, const CdpPiece *message)
{
	Size		used = HEAD_BYTES + message->len + keys->receiver.len;
	Size		len = (used / PAD_TO + 1) * PAD_TO;
	uint8	   *plain;
	uint8		key[CDP_KEY_BYTES];
	text	   *result;

	if (len / 3 * 4 > CDP_CALLBACK_MOST_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message of a callback is too large"),
				 errdetail("Its cipher text has more than %d bytes.", CDP_CALLBACK_MOST_BYTES)));
	if (!read_key(keys, key))
		return NULL;
	plain = palloc(len);
	memcpy(plain, random, RANDOM_BYTES);
	for (int i = 0; i < LENGTH_BYTES; i++)
		plain[RANDOM_BYTES + i] = (uint8) (message->len >> (24 - 8 * i));
	memcpy(plain + HEAD_BYTES, message->bytes, message->len);
	memcpy(plain + HEAD_BYTES + message->len, keys->receiver.bytes, keys->receiver.len);
	memset(plain + used, (int) (len - used), len - used);
	run_cipher(key, true, plain, (int) len);
	OPENSSL_cleanse(key, sizeof(key));
	result = palloc(VARHDRSZ + (len + 2) / 3 * 4 + 1);	/* libcrypto ends it with a zero */
	EVP_EncodeBlock((unsigned char *) VARDATA(result), plain, (int) len);
	SET_VARSIZE(result, VARHDRSZ + (len + 2) / 3 * 4);
	pfree(plain);
	return result;
}

/* Where a text stands in a body the first time, from a place on; -1 for nowhere. */
static int
find(const char *body, int len, int from, const char *what)
{
	int			size = (int) strlen(what);

	for (int i = from; i + size <= len; i++)
		if (memcmp(body + i, what, size) == 0)
			return i;
	return -1;
}

/* How often a text stands in a body. */
static int
count(const char *body, int len, const char *what)
{
	int			n = 0;

	for (int at = find(body, len, 0, what); at >= 0; at = find(body, len, at + 1, what))
		n++;
	return n;
}

/*
 * Finds the cipher text in the body of a request: <Encrypt>, bare or as CDATA,
 * or "encrypt" (or "Encrypt") of a JSON object. It points into the body. False
 * when there is none, or more than one, of which a reader could choose another.
 */
bool
cdp_callback_cipher(const char *body, int len, CdpPiece *cipher)
{
	static const char *const open[] = {"<Encrypt><![CDATA[", "<Encrypt>", "\"encrypt\"", "\"Encrypt\""};
	static const char *const close[] = {"]]></Encrypt>", "</Encrypt>", "\"", "\""};

	if (count(body, len, "<Encrypt>") + count(body, len, "\"encrypt\"") + count(body, len, "\"Encrypt\"") != 1)
		return false;
	for (int form = 0; form < lengthof(open); form++)
	{
		int			at = find(body, len, 0, open[form]);
		int			end;

		if (at < 0)
			continue;
		at += (int) strlen(open[form]);
		if (form >= 2)
		{
			while (at < len && (body[at] == ' ' || body[at] == '\t' || body[at] == '\r' || body[at] == '\n'))
				at++;
			if (at >= len || body[at++] != ':')
				return false;
			while (at < len && (body[at] == ' ' || body[at] == '\t' || body[at] == '\r' || body[at] == '\n'))
				at++;
			if (at >= len || body[at++] != '"')
				return false;
		}
		end = at;
		while (end < len && (digit_of((uint8) body[end]) >= 0 || body[end] == '='))
			end++;
		*cipher = (CdpPiece) {body + at, end - at};
		return end > at && find(body, Min(len, end + (int) strlen(close[form])), end, close[form]) == end;
	}
	return false;
}
