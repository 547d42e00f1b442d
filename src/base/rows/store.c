/*
 * store.c
 *		Packed rows of a pass: appended to chunks of partitions by key, and
 *		from there to temporary files when they outgrow the memory setting.
 *
 * Small inputs stay in one partition. All chunks have one size, so that a chunk
 * that went to a file serves any other partition.
 */
#include "base/rows/store.h"

#include <sys/mman.h>

#define CHUNK_BYTES (8 * 1024)
#define CHUNKS_AT_ONCE 128
/* A store that has grown to 4096 chunks takes them by 1024, in blocks for huge pages. */
#define CHUNKS_BEFORE_LARGE 4096
#define CHUNKS_AT_ONCE_LARGE 1024
#define HUGE_PAGE ((uintptr_t) 2 * 1024 * 1024)
#define ROWS_BEFORE_PARTITIONS (64 * 1024)
/* Times that a partition is divided further by other bits of the hash. */
#define MOST_LEVELS 2

/* Makes an empty store of a level in cxt. */
static CdpStore *
create_store(MemoryContext cxt, bool wide_key, int extra_words, const CdpPassMemory *memory, int level, Size limit)
{
	CdpStore   *s = MemoryContextAllocZero(cxt, sizeof(CdpStore));
	int			words = 3 + wide_key;

	s->cxt = cxt;
	s->memory = memory;
	s->wide_key = wide_key;
	s->extra_words = extra_words;
	s->extra_word = extra_words > 0 ? words : 0;
	words += extra_words;
	s->row_bytes[CDP_STORE_FULL] = words * sizeof(uint64);
	s->value_word = words;
	s->row_bytes[CDP_STORE_VALUED] = (words + 1) * sizeof(uint64);
	s->row_bytes[CDP_STORE_NARROW] = (2 + wide_key) * sizeof(uint64);
	s->row_bytes[CDP_STORE_SLIM] = sizeof(CdpSlimRow);
	if (wide_key)
	{
		s->key2_word[CDP_STORE_FULL] = s->key2_word[CDP_STORE_VALUED] = 3;
		s->key2_word[CDP_STORE_NARROW] = 2;
	}
	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
		s->chunk_rows[kind] = CHUNK_BYTES / s->row_bytes[kind];
	s->level = level;
	s->partitioned = level > 0;
	s->unpartitioned_left = s->partitioned ? 0 : ROWS_BEFORE_PARTITIONS;
	s->limit = limit;
	return s;
}

/* Makes an empty store in cxt; which words a row has is fixed here. Half of it is for its rows. */
CdpStore *
cdp_store_create(MemoryContext cxt, bool wide_key, int extra_words, const CdpPassMemory *memory)
{
	return create_store(cxt, wide_key, extra_words, memory, 0, cdp_pass_memory_bytes(memory) / 2);
}

/* Writes the full chunks of a stream to its file and takes them back. */
static void
spill_stream(CdpStore *s, int kind, CdpStream *stream)
{
	int			keep = stream->next != stream->end ? 1 : 0;
	int			full = stream->nchunks - keep;
	Size		row_bytes = s->row_bytes[kind];

	if (full <= 0)
		return;
	if (stream->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(s->cxt);

		stream->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < full; i++)
	{
		CHECK_FOR_INTERRUPTS();
		BufFileWrite(stream->file, stream->chunk[i], s->chunk_rows[kind] * row_bytes);
		s->free_chunk[s->nfree++] = stream->chunk[i];
		s->used -= CHUNK_BYTES;
	}
	stream->spilled += (uint64) full * s->chunk_rows[kind];
	stream->rows -= (uint64) full * s->chunk_rows[kind];
	if (keep)
		stream->chunk[0] = stream->chunk[full];
	else
		stream->next = stream->end = NULL;
	stream->nchunks = keep;
}

/*
 * Adds a block of free chunks. Large stores ask for huge pages: their rows are
 * written to 256 places in turn, and first touches of small pages cost as much
 * as the rest of packing a row.
 */
static void
add_free_chunks(CdpStore *s)
{
	int			n = s->free_room < CHUNKS_BEFORE_LARGE ? CHUNKS_AT_ONCE : CHUNKS_AT_ONCE_LARGE;
	Size		bytes = (Size) CHUNK_BYTES * n;
	char	   *block;

#ifdef MADV_HUGEPAGE
	if (n == CHUNKS_AT_ONCE_LARGE)
	{
		/* Advice, so failing to follow it is no error. */
		block = MemoryContextAlloc(s->cxt, bytes + HUGE_PAGE);
		block = (char *) (((uintptr_t) block + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
		(void) madvise(block, bytes, MADV_HUGEPAGE);
	}
	else
#endif
		block = MemoryContextAlloc(s->cxt, bytes);
	/* Room to give every chunk back, so that giving back never allocates. */
	s->free_room += n;
	s->free_chunk = s->free_chunk == NULL
		? MemoryContextAlloc(s->cxt, sizeof(char *) * s->free_room)
		: repalloc_huge(s->free_chunk, sizeof(char *) * s->free_room);
	for (int i = n - 1; i >= 0; i--)
		s->free_chunk[s->nfree++] = block + (Size) i * CHUNK_BYTES;
}

/* Takes a chunk, from the free ones or from a new block; frees chunks through files when over the limit. */
static char *
take_chunk(CdpStore *s, bool may_spill)
{
	if (may_spill && s->used >= s->limit)
		for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
			for (int p = 0; p < CDP_STORE_PARTITIONS; p++)
				spill_stream(s, kind, &s->stream[kind][p]);
	if (s->nfree == 0)
		add_free_chunks(s);
	s->used += CHUNK_BYTES;
	return s->free_chunk[--s->nfree];
}

/* Adds a chunk to the list of a stream. */
static char *
add_chunk(CdpStore *s, int kind, CdpStream *stream, bool may_spill)
{
	char	   *chunk = take_chunk(s, may_spill);

	if (stream->nchunks == stream->room)
	{
		stream->room = Max(16, stream->room * 2);
		stream->chunk = stream->chunk == NULL
			? MemoryContextAlloc(s->cxt, sizeof(char *) * stream->room)
			: repalloc_huge(stream->chunk, sizeof(char *) * stream->room);
	}
	stream->chunk[stream->nchunks++] = chunk;
	stream->next = chunk;
	stream->end = chunk + s->chunk_rows[kind] * s->row_bytes[kind];
	return chunk;
}

/* Gives a stream whose chunk is full a new one; may write chunks to files. */
char *
cdp_store_new_chunk(CdpStore *s, int kind, CdpStream *stream)
{
	CHECK_FOR_INTERRUPTS();
	return add_chunk(s, kind, stream, true);
}

/* Which partition a row belongs to. */
static inline int
place_of(const CdpStore *s, int kind, const char *row)
{
	const uint64 *words = (const uint64 *) row;

	if (kind == CDP_STORE_SLIM)
		return cdp_store_place(s, ((const CdpSlimRow *) row)->key, 0);
	return cdp_store_place(s, words[0], s->wide_key ? words[s->key2_word[kind]] : 0);
}

/* Moves the rows of an unpartitioned store to their partitions. */
void
cdp_store_partition_now(CdpStore *s)
{
	if (s->partitioned)
		return;
	s->partitioned = true;
	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
	{
		CdpStream	old = s->stream[kind][0];
		int			row_bytes = s->row_bytes[kind];
		uint64		left = old.rows;

		memset(&s->stream[kind][0], 0, sizeof(CdpStream));
		for (int c = 0; c < old.nchunks; c++)
		{
			uint64		rows = Min(left, (uint64) s->chunk_rows[kind]);
			char	   *row = old.chunk[c];

			for (uint64 i = 0; i < rows; i++, row += row_bytes)
			{
				CdpStream  *stream = &s->stream[kind][place_of(s, kind, row)];

				if (stream->next == stream->end)
					add_chunk(s, kind, stream, false);
				memcpy(stream->next, row, row_bytes);
				stream->next += row_bytes;
				stream->rows++;
			}
			left -= rows;
			s->free_chunk[s->nfree++] = old.chunk[c];
			s->used -= CHUNK_BYTES;
		}
		if (old.chunk != NULL)
			pfree(old.chunk);
	}
}

/* Bytes of the rows of a partition, in memory and in files. */
static Size
partition_bytes(const CdpStore *s, int partition)
{
	Size		bytes = 0;

	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
		bytes += (s->stream[kind][partition].rows + s->stream[kind][partition].spilled) *
			s->row_bytes[kind];
	return bytes;
}

/* Brings the rows of a partition back into memory. */
static void
load_partition(CdpStore *s, int partition)
{
	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
	{
		CdpStream  *stream = &s->stream[kind][partition];
		CdpStream	tail = *stream;
		Size		bytes = s->chunk_rows[kind] * s->row_bytes[kind];

		if (stream->spilled == 0)
			continue;
		if (BufFileSeek(stream->file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not rewind a temporary file of %s: %m", s->memory->pass)));
		/* Whole chunks come from the file; the one in memory is the last. */
		stream->chunk = NULL;
		stream->nchunks = stream->room = 0;
		for (uint64 done = 0; done < tail.spilled; done += s->chunk_rows[kind])
		{
			char	   *chunk = add_chunk(s, kind, stream, false);

			CHECK_FOR_INTERRUPTS();
			if (BufFileRead(stream->file, chunk, bytes) != bytes)
				ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of %s: %m", s->memory->pass)));
		}
		for (int c = 0; c < tail.nchunks; c++)
		{
			char	   *chunk = add_chunk(s, kind, stream, false);

			memcpy(chunk, tail.chunk[c], bytes);
			s->free_chunk[s->nfree++] = tail.chunk[c];
			s->used -= CHUNK_BYTES;
		}
		stream->rows = tail.rows + tail.spilled;
		stream->spilled = 0;
		if (tail.chunk != NULL)
			pfree(tail.chunk);
		BufFileClose(stream->file);
		stream->file = NULL;
	}
}

/* Gives the memory of a partition back to the store. */
static void
release_partition(CdpStore *s, int partition)
{
	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
	{
		CdpStream  *stream = &s->stream[kind][partition];

		for (int c = 0; c < stream->nchunks; c++)
		{
			s->free_chunk[s->nfree++] = stream->chunk[c];
			s->used -= CHUNK_BYTES;
		}
		if (stream->chunk != NULL)
			pfree(stream->chunk);
		if (stream->file != NULL)
			BufFileClose(stream->file);
		memset(stream, 0, sizeof(CdpStream));
	}
}

/* Moves the rows of a partition into a store that divides by further bits of the hash. */
static void
refine_partition(CdpStore *s, int partition, CdpStore *finer)
{
	Size		bytes = 0;

	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
	{
		CdpStream  *stream = &s->stream[kind][partition];
		int			row_bytes = s->row_bytes[kind];
		char	   *buffer = palloc(CHUNK_BYTES);

		if (stream->file != NULL && BufFileSeek(stream->file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not rewind a temporary file of %s: %m", s->memory->pass)));
		for (uint64 done = 0; done < stream->spilled + stream->rows; done += s->chunk_rows[kind])
		{
			uint64		rows = Min(stream->spilled + stream->rows - done, (uint64) s->chunk_rows[kind]);
			char	   *row = buffer;

			CHECK_FOR_INTERRUPTS();
			if (done < stream->spilled)
			{
				bytes = rows * row_bytes;
				if (BufFileRead(stream->file, buffer, bytes) != bytes)
					ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of %s: %m", s->memory->pass)));
			}
			else
				row = stream->chunk[(done - stream->spilled) / s->chunk_rows[kind]];
			for (uint64 i = 0; i < rows; i++, row += row_bytes)
				memcpy(cdp_store_row(finer, kind, place_of(finer, kind, row)), row, row_bytes);
		}
		pfree(buffer);
	}
	release_partition(s, partition);
}

/* Closes the files; the memory belongs to the context. */
void
cdp_store_close(CdpStore *s)
{
	for (int p = 0; p < CDP_STORE_PARTITIONS; p++)
		release_partition(s, p);
}

/* Raises the error for a key whose rows do not fit into memory. */
static void
key_too_large(const CdpStore *s, int partition, Size need)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the rows of one customer do not fit into the memory of a pass"),
			 errdetail(UINT64_FORMAT " rows of %s need about %zu kB, half of %d kB is there for them.",
					   cdp_store_rows(s, partition), s->memory->pass, need / 1024, s->memory->kilobytes),
			 errhint("Raise %s, or filter out customers that are no persons, such as bots and shared devices.",
					 s->memory->setting)));
}

/*
 * Visits every partition, loaded, and gives its memory back; one that is too
 * large, with so many bytes of scratch for each row, is divided further.
 */
void
cdp_store_visit(CdpStore *s, Size scratch_of_row, CdpVisitPartition visit, void *arg)
{
	for (int p = 0; p < CDP_STORE_PARTITIONS; p++)
	{
		uint64		rows = cdp_store_rows(s, p);
		Size		need = partition_bytes(s, p) + rows * scratch_of_row;

		CHECK_FOR_INTERRUPTS();
		if (rows == 0)
			continue;
		if (need > cdp_pass_memory_bytes(s->memory) / 2)
		{
			CdpStore   *finer;
			MemoryContext cxt;

			if (s->level >= MOST_LEVELS)
				key_too_large(s, p, need);
			/* Of its own: the next partition that is divided needs the memory again. */
			cxt = AllocSetContextCreate(s->cxt, "cdp finer store", ALLOCSET_DEFAULT_SIZES);
			finer = create_store(cxt, s->wide_key, s->extra_words, s->memory, s->level + 1, s->limit / 2);
			refine_partition(s, p, finer);
			cdp_store_visit(finer, scratch_of_row, visit, arg);
			cdp_store_close(finer);
			MemoryContextDelete(cxt);
			continue;
		}
		if (rows > PG_INT32_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many rows of few customers for one pass"),
					 errdetail(UINT64_FORMAT " rows of %s share one of %d partitions.", rows, s->memory->pass, CDP_STORE_PARTITIONS),
					 errhint("Lower %s, so that the rows are divided further, or ask for a shorter interval.", s->memory->setting)));
		load_partition(s, p);
		visit(s, p, arg);
		release_partition(s, p);
	}
}
