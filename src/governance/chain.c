/*
 * chain.c
 *		The links of the audit's chain.
 *
 * A link is made of the link before it, the row's place and every column of the
 * row, each field with its length before it, so that no two rows give the same
 * bytes; texts in UTF-8, numbers with the lowest byte first.  With a key it is
 * HMAC-SHA256 with the subkey of purpose "audit", without one SHA-256.
 */
#include "base/crypto.h"
#include "core/keys.h"

#include "mb/pg_wchar.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

CDP_FUNCTION(cdp_audit_link);
CDP_FUNCTION(cdp_audit_links);

#define LINK_BYTES	CDP_KEY_BYTES

/* Arguments of both functions. */
enum
{
	ARG_KEY, ARG_PREVIOUS, ARG_POS, ARG_AUDIT_ID, ARG_AT, ARG_XID, ARG_ACTOR, ARG_ROLE, ARG_ACTION, ARG_OBJECT,
	ARG_CUSTOMER, ARG_DIGEST, ARG_DETAIL
};

/* What audit_links() remembers from row to row of one query. */
typedef struct ChainState
{
	int64		pos;
	uint8		link[LINK_BYTES];
} ChainState;

/* Writes a number with the lowest byte first. */
static void
put_number(uint8 *out, uint64 value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8) (value >> (8 * i));
}

/* The bytes of a text or json argument in UTF-8, in the current context; NULL for NULL. */
static const char *
text_field(FunctionCallInfo fcinfo, int arg, Size *len)
{
	char	   *s,
			   *utf8;

	if (PG_ARGISNULL(arg))
		return NULL;
	if (arg == ARG_DETAIL)
	{
		Jsonb	   *detail = PG_GETARG_JSONB_P(arg);

		s = JsonbToCString(NULL, &detail->root, VARSIZE(detail));
	}
	else
		s = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	utf8 = (char *) pg_server_to_any(s, strlen(s), PG_UTF8);
	*len = strlen(utf8);
	return utf8;
}

/* Makes the link of a row that follows the link previous. */
static void
make_link(FunctionCallInfo fcinfo, const uint8 *previous, uint8 *out)
{
	static const int texts[] = {ARG_ACTOR, ARG_ROLE, ARG_ACTION, ARG_OBJECT, ARG_DETAIL};
	uint8		numbers[6 * 8];
	uint8		lengths[lengthof(texts) + 1][8];
	CdpPiece	pieces[2 + 2 * (lengthof(texts) + 1)];
	int			n = 0;

	for (int arg = ARG_POS; arg <= ARG_XID; arg++)
		if (PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a row of the audit has a place, a number, a time and a transaction")));
	put_number(numbers, PG_GETARG_INT64(ARG_POS));
	put_number(numbers + 8, PG_GETARG_INT64(ARG_AUDIT_ID));
	put_number(numbers + 16, PG_GETARG_TIMESTAMPTZ(ARG_AT));
	put_number(numbers + 24, U64FromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(ARG_XID)));
	put_number(numbers + 32, PG_ARGISNULL(ARG_CUSTOMER) ? 0 : 1);
	put_number(numbers + 40, PG_ARGISNULL(ARG_CUSTOMER) ? 0 : PG_GETARG_INT64(ARG_CUSTOMER));
	pieces[n++] = (CdpPiece) {previous, LINK_BYTES};
	pieces[n++] = (CdpPiece) {numbers, sizeof(numbers)};
	for (int i = 0; i <= lengthof(texts); i++)
	{
		const void *bytes = NULL;
		Size		len = 0;

		if (i < lengthof(texts))
			bytes = text_field(fcinfo, texts[i], &len);
		else if (!PG_ARGISNULL(ARG_DIGEST))
		{
			bytea	   *digest = PG_GETARG_BYTEA_PP(ARG_DIGEST);

			bytes = VARDATA_ANY(digest);
			len = VARSIZE_ANY_EXHDR(digest);
		}
		put_number(lengths[i], bytes ? (uint64) len : PG_UINT64_MAX);
		pieces[n++] = (CdpPiece) {lengths[i], 8};
		pieces[n++] = (CdpPiece) {bytes ? bytes : "", len};
	}
	if (PG_ARGISNULL(ARG_KEY))
		cdp_sha256(pieces, n, out);
	else
	{
		cdp_require_key_right("audit");
		cdp_hmac("audit", PG_GETARG_INT32(ARG_KEY), pieces, n, out);
	}
}

/* The link before the first row of a call, as an argument gives it: 32 bytes, or zeros for NULL. */
static const uint8 *
previous_link(FunctionCallInfo fcinfo)
{
	static const uint8 none[LINK_BYTES] = {0};
	bytea	   *given;

	if (PG_ARGISNULL(ARG_PREVIOUS))
		return none;
	given = PG_GETARG_BYTEA_PP(ARG_PREVIOUS);
	if (VARSIZE_ANY_EXHDR(given) != LINK_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a link has %d bytes", LINK_BYTES)));
	return (const uint8 *) VARDATA_ANY(given);
}

/* Bytes as a bytea in the current context, which the caller owns. */
static Datum
link_datum(const uint8 *link)
{
	bytea	   *result = palloc(VARHDRSZ + LINK_BYTES);

	SET_VARSIZE(result, VARHDRSZ + LINK_BYTES);
	memcpy(VARDATA(result), link, LINK_BYTES);
	return PointerGetDatum(result);
}

/* audit_link(key_id, previous, pos, row's columns): the link of one row. */
Datum
cdp_audit_link(PG_FUNCTION_ARGS)
{
	uint8		link[LINK_BYTES];

	make_link(fcinfo, previous_link(fcinfo), link);
	PG_RETURN_DATUM(link_datum(link));
}

/* audit_links(same arguments): links of row after row; previous counts for the first one only. */
Datum
cdp_audit_links(PG_FUNCTION_ARGS)
{
	ChainState *state = fcinfo->flinfo->fn_extra;
	uint8		link[LINK_BYTES];

	if (state == NULL)
	{
		state = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ChainState));
		memcpy(state->link, previous_link(fcinfo), LINK_BYTES);
		state->pos = PG_ARGISNULL(ARG_POS) ? 0 : PG_GETARG_INT64(ARG_POS) - 1;
		fcinfo->flinfo->fn_extra = state;
	}
	if (!PG_ARGISNULL(ARG_POS) && PG_GETARG_INT64(ARG_POS) != state->pos + 1)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("rows of the audit came out of their order"),
				 errdetail("Place " INT64_FORMAT " after place " INT64_FORMAT ".", PG_GETARG_INT64(ARG_POS), state->pos)));
	make_link(fcinfo, state->link, link);
	memcpy(state->link, link, LINK_BYTES);
	state->pos++;
	PG_RETURN_DATUM(link_datum(link));
}
