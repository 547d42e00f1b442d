/*
 * keyfile.c
 *		The setting cdp.key_file and the keys in that file.
 *
 * The file has lines "<key_id> <64 hex digits>"; blank lines and comments from
 * # on do not count.  It belongs to the server's user, nobody else may read it,
 * and it does not stand in the data directory, or every base backup would
 * carry it.  Keys are kept in static memory of the session, wiped when they are
 * read anew and when the session ends, and never stand in a message.
 */
#include "base/keyfile.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "access/xact.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define KEYFILE_MAX_BYTES	65536

typedef struct KeyRing
{
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec changed,
				modified;
	int			n;
	int16		id[CDP_KEY_MAX_COUNT];	/* ascending */
	uint8		key[CDP_KEY_MAX_COUNT][CDP_KEY_BYTES];
} KeyRing;

static char *key_file = NULL;
static KeyRing ring;
static bool ring_read = false;
static uint64 ring_generation = 0;
static TimestampTz looked_statement = 0;
static TimestampTz looked_at = 0;

/* Forgets the keys; whoever holds something made of them sees another generation. */
static void
ring_wipe(void)
{
	OPENSSL_cleanse(&ring, sizeof(ring));
	ring_read = false;
	ring_generation++;
}

/* on_proc_exit callback: no key stays in memory that the system hands on. */
static void
ring_wipe_at_exit(int code, Datum arg)
{
	OPENSSL_cleanse(&ring, sizeof(ring));
}

/* assign hook: another file, other keys. */
static void
key_file_assigned(const char *value, void *extra)
{
	ring_wipe();
	looked_statement = 0;
	looked_at = 0;
}

/* Defines the setting; called once, when the library is loaded. */
void
cdp_keyfile_settings(void)
{
	DefineCustomStringVariable("cdp.key_file",
							   "File with the keys for digests and encryption.",
							   "Lines of key_id and 64 hex digits; readable by the server's user only, outside the data directory.",
							   &key_file,
							   "",
							   PGC_SUSET,
							   GUC_SUPERUSER_ONLY,
							   NULL, key_file_assigned, NULL);
	on_proc_exit(ring_wipe_at_exit, 0);
}

/* Whether a file is named at all; says nothing about what is in it. */
bool
cdp_keyfile_is_set(void)
{
	return key_file != NULL && key_file[0] != '\0';
}

/* The value of a hex digit, -1 when it is none. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads one line into the ring, in the order of ids; NULL, or what is wrong with it. Then the key may still stand in key, which the caller wipes. */
static const char *
parse_line(const char *s, const char *end, uint8 *key)
{
	const char *comment = memchr(s, '#', end - s);
	long		id = 0;
	int			at;
	bool		even = true;

	if (comment != NULL)
		end = comment;
	while (s < end && isspace((unsigned char) *s))
		s++;
	while (end > s && isspace((unsigned char) end[-1]))
		end--;
	if (s == end)
		return NULL;
	for (at = 0; s < end && isdigit((unsigned char) *s) && at < 6; at++)
		id = id * 10 + (*s++ - '0');
	if (at == 0 || id < 1 || id > CDP_KEY_MAX_ID || s == end || !isspace((unsigned char) *s))
		return "it does not begin with a key number from 1 to 32767";
	while (s < end && isspace((unsigned char) *s))
		s++;
	if (end - s != 2 * CDP_KEY_BYTES)
		return "the key does not have 64 hex digits";
	for (int i = 0; i < CDP_KEY_BYTES; i++)
	{
		int			high = hex_digit(s[2 * i]);
		int			low = hex_digit(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return "the key does not have 64 hex digits";
		key[i] = high << 4 | low;
		even = even && key[i] == key[0];
	}
	if (even)
		return "the key is one byte repeated, not random";
	if (ring.n == CDP_KEY_MAX_COUNT)
		return "there are more than 256 keys";
	for (at = ring.n; at > 0 && ring.id[at - 1] >= id; at--)
		if (ring.id[at - 1] == id)
			return "its key number comes twice";
	memmove(ring.id + at + 1, ring.id + at, (ring.n - at) * sizeof(ring.id[0]));
	memmove(ring.key + at + 1, ring.key + at, (ring.n - at) * sizeof(ring.key[0]));
	ring.id[at] = id;
	memcpy(ring.key[at], key, CDP_KEY_BYTES);
	ring.n++;
	return NULL;
}

CDP_NORETURN static void refuse_file(const char *detail);

/* Raises config_file_error about the file; detail tells what is wrong, never what is in it. */
static void
refuse_file(const char *detail)
{
	ring_wipe();
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("the key file can not be used"),
			 errdetail("%s", detail),
			 errhint("cdp.key_file names a file of the server's user with mode 0600 outside the data directory; each line is a number and the output of: openssl rand -hex 32")));
}

/* Whether the path, with links followed, lies in the data directory. */
static bool
in_data_directory(const char *path)
{
	char		data[PATH_MAX],
				found[PATH_MAX];

	return realpath(DataDir, data) != NULL && realpath(path, found) != NULL && path_is_prefix_of_path(data, found);
}

/* Reads the open file into the ring. */
static void
ring_fill(int fd, const struct stat *st)
{
	static char text[KEYFILE_MAX_BYTES + 1];
	uint8		key[CDP_KEY_BYTES];
	const char *wrong = NULL;
	int			line = 0;
	ssize_t		len = 0,
				got = 0;
	const char *s;

	while (len <= KEYFILE_MAX_BYTES && ((got = read(fd, text + len, sizeof(text) - len)) > 0 || (got < 0 && errno == EINTR)))
		len += Max(got, 0);
	if (got < 0) /* half a file could be a good one with an older newest key */
	{
		int			why = errno;

		OPENSSL_cleanse(text, sizeof(text));
		refuse_file(psprintf("It can not be read: %s.", strerror(why)));
	}
	ring.dev = st->st_dev;
	ring.ino = st->st_ino;
	ring.size = st->st_size;
	ring.changed = st->st_ctim;
	ring.modified = st->st_mtim;
	s = text;
	while (wrong == NULL && len <= KEYFILE_MAX_BYTES && s < text + len)
	{
		const char *end = memchr(s, '\n', text + len - s);

		end = end ? end : text + len;
		line++;
		wrong = parse_line(s, end, key);
		s = end + 1;
	}
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(key, sizeof(key));
	if (len > KEYFILE_MAX_BYTES)
		refuse_file("It has more than 65536 bytes.");
	if (wrong != NULL)
		refuse_file(psprintf("Line %d: %s.", line, wrong));
	if (ring.n == 0)
		refuse_file("No key is in it.");
	ring_read = true;
}

/* Opens the file, checks whose it is, and reads it when it is not the one that is known. */
static void
ring_look(void)
{
	struct stat st;
	int			fd;

	if (!is_absolute_path(key_file))
		refuse_file("Its path does not begin at the root.");
	/* Not blocking: somebody could put a pipe there. */
	fd = OpenTransientFile(key_file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | PG_BINARY);
	if (fd < 0)
		refuse_file(psprintf("It can not be opened: %s.", strerror(errno)));
	if (fstat(fd, &st) != 0)
		refuse_file(psprintf("It can not be looked at: %s.", strerror(errno)));
	if (!S_ISREG(st.st_mode))
		refuse_file("It is not a regular file.");
	if (st.st_uid != geteuid())
		refuse_file("It does not belong to the user of the server.");
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		refuse_file(psprintf("Its mode is %04o: others than the server's user may get at it.", (unsigned) (st.st_mode & 07777)));
	if (in_data_directory(key_file))
		refuse_file("It stands in the data directory, so that every base backup would carry it.");
	if (!ring_read || ring.dev != st.st_dev || ring.ino != st.st_ino || ring.size != st.st_size ||
		ring.changed.tv_sec != st.st_ctim.tv_sec || ring.changed.tv_nsec != st.st_ctim.tv_nsec ||
		ring.modified.tv_sec != st.st_mtim.tv_sec || ring.modified.tv_nsec != st.st_mtim.tv_nsec)
	{
		ring_wipe();
		ring_fill(fd, &st);
	}
	CloseTransientFile(fd);
}

/* Sees to it that the keys are those of the file: looks once a statement, and once a second of a long one. */
static void
ring_ready(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	TimestampTz now = GetCurrentTimestamp();

	if (ring_read && statement == looked_statement && now >= looked_at && now < looked_at + USECS_PER_SEC)
		return;
	if (!cdp_keyfile_is_set())
	{
		ring_wipe();
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no key file is set"),
				 errdetail("cdp.key_file is empty, and this needs a key."),
				 errhint("As the server's user: (umask 077; echo \"1 $(openssl rand -hex 32)\" > /etc/postgresql/pg_cdp.key); then, as superuser: ALTER SYSTEM SET cdp.key_file = '/etc/postgresql/pg_cdp.key'; SELECT pg_reload_conf();")));
	}
	ring_look();
	looked_statement = statement;
	looked_at = now;
}

/* The number of the newest key, which digests and encrypts what comes in. Errors: no key file (55000), unusable (F0000). */
int
cdp_keyfile_newest(void)
{
	ring_ready();
	return ring.id[ring.n - 1];
}

/* Writes the numbers of all keys, ascending, to ids (room for CDP_KEY_MAX_COUNT); returns how many. Errors as above. */
int
cdp_keyfile_ids(int16 *ids)
{
	ring_ready();
	memcpy(ids, ring.id, ring.n * sizeof(int16));
	return ring.n;
}

/* The key of that number, in memory of the ring, good until the next call; error 55000 when the file lacks it. */
const uint8 *
cdp_keyfile_key(int key_id)
{
	ring_ready();
	for (int i = ring.n; i-- > 0;)
		if (ring.id[i] == key_id)
			return ring.key[i];
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("key %d is not in the key file", key_id),
			 errdetail("The file has %d keys, the newest is %d.", ring.n, ring.id[ring.n - 1]),
			 errhint("Put the line of that key back: rows were written with it.")));
	return NULL;				/* not reached */
}

/* Changes whenever keys may have changed, so that what was derived from them is not used any longer. */
uint64
cdp_keyfile_generation(void)
{
	ring_ready();
	return ring_generation;
}
