/*
 * gunzip.c
 *		Unpacks gzip with a bound on what comes out.
 *
 * libcurl could unpack while it reads, but takes a stream that ends too early
 * for a whole one; here the end and the checksum must be there.
 */
#include "connector/network/gunzip.h"

#include <openssl/crypto.h>
#include <zlib.h>

/* What came out so far. */
typedef struct Unpacked
{
	bytea	   *bytes;
	Size		used;
	Size		room;
} Unpacked;

/* Makes room for more; the old copy is wiped, it may hold a token. */
static void
grow(Unpacked *out, Size room)
{
	bytea	   *new = palloc(VARHDRSZ + room);

	memcpy(VARDATA(new), VARDATA(out->bytes), out->used);
	OPENSSL_cleanse(out->bytes, VARHDRSZ + out->used);
	pfree(out->bytes);
	out->bytes = new;
	out->room = room;
}

/* Unpacks to the end of the last member. */
static CdpGunzip
unpack(z_stream *z, Size max, Unpacked *out)
{
	for (;;)
	{
		int			rc;

		CHECK_FOR_INTERRUPTS();
		z->next_out = (Bytef *) VARDATA(out->bytes) + out->used;
		z->avail_out = Min(out->room - out->used, 1024 * 1024);
		rc = inflate(z, Z_NO_FLUSH);
		out->used = (char *) z->next_out - VARDATA(out->bytes);
		if (out->used > max)
			return CDP_GUNZIP_TOO_LARGE;
		if (rc == Z_STREAM_END)
		{
			if (z->avail_in == 0)
				return CDP_GUNZIP_OK;
			if (inflateReset(z) != Z_OK)
				return CDP_GUNZIP_BROKEN;
		}
		else if (rc == Z_BUF_ERROR || (rc == Z_OK && z->avail_in == 0 && z->avail_out > 0))
			return CDP_GUNZIP_TRUNCATED;
		else if (rc != Z_OK)
			return CDP_GUNZIP_BROKEN;
		if (out->used == out->room)
			grow(out, Min(out->room * 2, max + 1));
	}
}

/* Unpacks all members of a gzip stream of at most max bytes into a palloc'd bytea; with another result than ok *out is NULL. */
CdpGunzip
cdp_gunzip(const void *packed, Size len, Size max, bytea **out)
{
	z_stream	z = {0};
	Unpacked	unpacked = {.room = Min(max, Max(len * 4, 1024)) + 1};	/* one more, to see that more comes */
	volatile CdpGunzip result = CDP_GUNZIP_BROKEN;

	*out = NULL;
	unpacked.bytes = palloc(VARHDRSZ + unpacked.room);
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("zlib could not begin.")));
	z.next_in = (Bytef *) packed;
	z.avail_in = len;
	PG_TRY();
	{
		result = unpack(&z, max, &unpacked);
	}
	PG_FINALLY();
	{
		inflateEnd(&z);
		if (result != CDP_GUNZIP_OK)	/* also when it was cancelled */
			OPENSSL_cleanse(VARDATA(unpacked.bytes), unpacked.used);
	}
	PG_END_TRY();
	if (result != CDP_GUNZIP_OK)
	{
		pfree(unpacked.bytes);
		return result;
	}
	SET_VARSIZE(unpacked.bytes, VARHDRSZ + unpacked.used);
	*out = unpacked.bytes;
	return CDP_GUNZIP_OK;
}
