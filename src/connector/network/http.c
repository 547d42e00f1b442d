/*
 * http.c
 *		The transport: libcurl behind one function for one request.
 *
 * Waiting is PostgreSQL's: libcurl tells its sockets and its timer, a wait
 * event set watches them together with the latch, so that a cancellation gets
 * through at any moment of a request, also while a name is looked up, and the
 * end of the postmaster ends us.  The resolver runs in a thread; all signals
 * are blocked while libcurl may start one, because PostgreSQL's handlers must
 * run in the main thread only.  Nothing in a callback allocates from
 * PostgreSQL, raises an error or looks at a table.
 *
 * Each address is judged when libcurl is about to open a socket to it, so what
 * counts is what a name stands for at that moment, whatever a lookup before it
 * said.  Redirects are followed here, not by libcurl, since secrets must not
 * go along.  libcurl gets its memory from us and all of it is wiped when it is
 * freed: copies of tokens do not stay behind.
 *
 * The only file that includes libcurl.
 */
#include "connector/network/http.h"

#include <curl/curl.h>
#if LIBCURL_VERSION_NUM < 0x075700
#error "pg_cdp needs libcurl 7.87 or later: older ones can not let go of a name that is being looked up"
#endif
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "connector/network/gunzip.h"
#include "connector/network/http_form.h"
#include "connector/network/settings.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define SOCKETS_MAX 16			/* that libcurl may watch at once: two for each family, one of the resolver */
#define FDS_HELD 4				/* told to fd.c: connections and the resolver's pair */
#define HEAD_MAX (64 * 1024)	/* bytes of the headers of an answer */
#define URL_MAX (64 * 1024)
#define ADDRESSES_MAX 64
#define WAIT_MS 1000			/* longest wait in one piece */

/* Bytes that grow in a callback, so malloc'd. */
typedef struct Bytes
{
	char	   *bytes;
	Size		len;
	Size		room;
	Size		max;
	bool		full;			/* more came than max */
	bool		no_memory;
} Bytes;

typedef struct Watched
{
	curl_socket_t fd;
	int			what;			/* CURL_POLL_* */
} Watched;

struct CdpHttp
{
	CURLM	   *multi;			/* NULL: closed */
	CURL	   *easy;
	int			fds;			/* told to fd.c */
	MemoryContextCallback callback;
	Watched		watched[SOCKETS_MAX];
	int			n_watched;
	bool		timed;
	int64		timer;			/* when libcurl wants to be called, in microseconds */

	/* of the running request */
	bool		added;			/* to the multi handle */
	CURLU	   *url;
	struct curl_slist *lines;	/* headers to send */
	Bytes		head;
	Bytes		body;
	const CdpRanges *ranges;
	bool		listing;		/* only tell addresses, open none */
	CdpHttpAddress addresses[ADDRESSES_MAX];
	int			n_addresses;
	int			opened;			/* sockets */
	int			slow_bytes,
				slow_seconds;
	int64		slow_since;		/* begin of the time in which too little came, 0: no body yet */
	Size		slow_from;		/* bytes of the body then */
	bool		slow;
	bool		handshake;		/* began, so there was a connection */
	int			refused;		/* addresses */
	CdpHttpAddress first_refused;
};

/* ---- memory of libcurl */

/* free() that leaves nothing behind. */
static void
wiping_free(void *p)
{
	if (p == NULL)
		return;
	OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

/* realloc() that leaves nothing behind. */
static void *
wiping_realloc(void *p, size_t size)
{
	void	   *new;
	size_t		old;

	if (p == NULL)
		return malloc(size);
	old = malloc_usable_size(p);
	if (size <= old && size > old / 2)
		return p;
	new = malloc(size);
	if (new == NULL)
		return NULL;
	memcpy(new, p, Min(old, size));
	wiping_free(p);
	return new;
}

/* strdup() of the memory above. */
static char *
plain_strdup(const char *s)
{
	size_t		len = strlen(s) + 1;
	char	   *copy = malloc(len);

	if (copy != NULL)
		memcpy(copy, s, len);
	return copy;
}

/* Starts libcurl once in a session; when another extension was first, its memory functions stay. */
static void
start_library(void)
{
	static bool started = false;

	const curl_version_info_data *version;

	if (started)
		return;
	version = curl_version_info(CURLVERSION_NOW);
	if (version->version_num < 0x075700 || (version->features & CURL_VERSION_ASYNCHDNS) == 0 || (version->features & CURL_VERSION_SSL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("libcurl %s can not be used", version->version),
				 errdetail("It has to be 7.87 or later, with TLS, and look names up beside its caller, so that a request can be cancelled.")));
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, plain_strdup, calloc) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("libcurl can not be started")));
	started = true;
}

/* ---- callbacks: no PostgreSQL in them */

/* Appends; false when it does not fit. */
static bool
buffer_add(Bytes *buffer, const char *bytes, Size len)
{
	if (len == 0)
		return true;
	if (len > buffer->max - buffer->len)
	{
		buffer->full = true;
		return false;
	}
	if (buffer->len + len > buffer->room)
	{
		Size		room = Min(Max(buffer->room * 2, Max(buffer->len + len, 16384)), buffer->max);
		char	   *larger = wiping_realloc(buffer->bytes, room);

		if (larger == NULL)
		{
			buffer->no_memory = true;
			return false;
		}
		buffer->bytes = larger;
		buffer->room = room;
	}
	memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
	return true;
}

/* Frees and wipes. */
static void
buffer_free(Bytes *buffer)
{
	wiping_free(buffer->bytes);
	memset(buffer, 0, sizeof(*buffer));
}

/* CURLOPT_WRITEFUNCTION. */
static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	return buffer_add(&((CdpHttp *) arg)->body, bytes, size * n) ? size * n : 0;
}

/* CURLOPT_HEADERFUNCTION: all header lines of all answers to the request, such as 100 and 200. */
static size_t
on_header(char *bytes, size_t size, size_t n, void *arg)
{
	return buffer_add(&((CdpHttp *) arg)->head, bytes, size * n) ? size * n : 0;
}

/* CURLOPT_OPENSOCKETFUNCTION: the gate that each address passes. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	CdpHttp    *http = arg;
	CdpHttpAddress one;

	one.verdict = cdp_address_verdict(&address->addr, http->ranges);
	if (address->socktype != SOCK_STREAM || purpose != CURLSOCKTYPE_IPCXN)
		one.verdict = "not_ip";
	cdp_address_text(&address->addr, one.text, sizeof(one.text));
	if (http->listing && http->n_addresses < ADDRESSES_MAX)
		http->addresses[http->n_addresses++] = one;
	if (one.verdict != NULL && http->refused++ == 0)
		http->first_refused = one;
	if (one.verdict != NULL || http->listing)
		return CURL_SOCKET_BAD;
	http->opened++;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* CURLOPT_SSL_CTX_FUNCTION: the TLS handshake is about to begin; the context is left alone. */
static CURLcode
on_handshake(CURL *easy, void *context, void *arg)
{
	((CdpHttp *) arg)->handshake = true;
	return CURLE_OK;
}

/* CURLMOPT_SOCKETFUNCTION: which sockets to watch. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	CdpHttp    *http = arg;
	int			i = 0;

	while (i < http->n_watched && http->watched[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE)
	{
		if (i < http->n_watched)
			http->watched[i] = http->watched[--http->n_watched];
		return 0;
	}
	if (i == SOCKETS_MAX)
		return -1;
	if (i == http->n_watched)
		http->n_watched++;
	http->watched[i].fd = fd;
	http->watched[i].what = what;
	return 0;
}

/* Microseconds of a clock that nobody sets. */
static int64
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* CURLMOPT_TIMERFUNCTION: when to call again at the latest. */
static int
on_timer(CURLM *multi, long ms, void *arg)
{
	CdpHttp    *http = arg;

	http->timed = ms >= 0;
	http->timer = now_us() + (int64) ms * 1000;
	return 0;
}

/* ---- sessions */

/* Ends what is left of a session; for a memory context that goes, so it raises nothing. */
static void
session_end(void *arg)
{
	CdpHttp    *http = arg;

	if (http->multi != NULL)
	{
		if (http->added)
			curl_multi_remove_handle(http->multi, http->easy);
		http->added = false;
		curl_easy_cleanup(http->easy);
		curl_multi_cleanup(http->multi);
		http->multi = NULL;
		http->easy = NULL;
	}
	curl_slist_free_all(http->lines);
	http->lines = NULL;
	curl_url_cleanup(http->url);
	http->url = NULL;
	buffer_free(&http->head);
	buffer_free(&http->body);
	for (; http->fds > 0; http->fds--)
		ReleaseExternalFD();
}

/* A session: connections are kept from request to request. It ends with cdp_http_close(), or with the memory context. */
CdpHttp *
cdp_http_open(MemoryContext owner)
{
	CdpHttp    *http = MemoryContextAllocZero(owner, sizeof(CdpHttp));

	start_library();
	http->callback.func = session_end;
	http->callback.arg = http;
	MemoryContextRegisterResetCallback(owner, &http->callback);
	for (; http->fds < FDS_HELD; http->fds++)
		if (!AcquireExternalFD())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("too many files are open for a connection"),
					 errhint("Raise max_files_per_process, or the limit of the system.")));
	http->multi = curl_multi_init();
	if (http->multi == NULL || (http->easy = curl_easy_init()) == NULL ||
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) FDS_HELD) != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not begin.")));
	return http;
}

/* Closes the connections of a session; the session itself goes with its memory context. */
void
cdp_http_close(CdpHttp *http)
{
	session_end(http);
}

/* ---- waiting */

/* Calls libcurl for a socket or its timer, with all signals blocked: it may start a thread, which inherits that. */
static CURLMcode
call_library(CdpHttp *http, curl_socket_t fd, int what)
{
	sigset_t	all;
	sigset_t	before;
	int			running;
	CURLMcode	rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = curl_multi_socket_action(http->multi, fd, what, &running);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == CURLM_BAD_SOCKET ? CURLM_OK : rc;
}

/* Waits for the sockets of libcurl, its timer, or the latch; writes what happened to events, returns how many. */
static int
wait_for_sockets(CdpHttp *http, WaitEvent *events)
{
	WaitEventSet *volatile set = CDP_WAIT_SET(SOCKETS_MAX + 2);
	long		ms = WAIT_MS;
	volatile int n = 0;

	if (http->timed)
		ms = Max(Min(ms, (http->timer - now_us() + 999) / 1000), 0);
	PG_TRY();
	{
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		for (int i = 0; i < http->n_watched; i++)
		{
			int			what = http->watched[i].what;

			if ((what & CURL_POLL_INOUT) != 0)
				AddWaitEventToSet(set, ((what & CURL_POLL_IN) ? WL_SOCKET_READABLE : 0) | ((what & CURL_POLL_OUT) ? WL_SOCKET_WRITEABLE : 0),
								  http->watched[i].fd, NULL, NULL);
		}
		n = WaitEventSetWait(set, ms, events, SOCKETS_MAX + 2, PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(set);
	}
	PG_END_TRY();
	return n;
}

/*
 * Whether the body comes too slowly.  Counted by us from its first byte on:
 * libcurl would count the time in which a server still thinks.
 */
static bool
is_slow(CdpHttp *http)
{
	int64		now = now_us();

	if (http->body.len == 0)
		return false;
	if (http->slow_since == 0 || http->body.len - http->slow_from >= (Size) http->slow_bytes * http->slow_seconds)
	{
		http->slow_since = now;
		http->slow_from = http->body.len;
	}
	return now - http->slow_since >= (int64) http->slow_seconds * 1000000;
}

/* Runs the prepared request to its end; the caller takes it out of the multi handle, also after an error. */
static CURLcode
perform(CdpHttp *http)
{
	WaitEvent	events[SOCKETS_MAX + 2];
	CURLMcode	rc = call_library(http, CURL_SOCKET_TIMEOUT, 0);

	for (;;)
	{
		int			n;
		int			left;
		CURLMsg    *message;

		if (rc != CURLM_OK)
			return rc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
		while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
			if (message->msg == CURLMSG_DONE)
				return message->data.result;
		if (is_slow(http))
		{
			http->slow = true;
			return CURLE_OPERATION_TIMEDOUT;
		}
		/* What a look at the catalogue left behind must not hold back vacuum while we wait. */
		InvalidateCatalogSnapshotConditionally();
		n = wait_for_sockets(http, events);
		for (int i = 0; i < n; i++)
			if (events[i].events & WL_LATCH_SET)
				ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n && rc == CURLM_OK; i++)
		{
			int			what = ((events[i].events & WL_SOCKET_READABLE) ? CURL_CSELECT_IN : 0) |
				((events[i].events & WL_SOCKET_WRITEABLE) ? CURL_CSELECT_OUT : 0);

			if (what != 0)
				rc = call_library(http, events[i].fd, what);
		}
		if (rc == CURLM_OK && http->timed && now_us() >= http->timer)
		{
			http->timed = false;
			rc = call_library(http, CURL_SOCKET_TIMEOUT, 0);
		}
	}
}

/* ---- a request */

/* Ends the response with a failure; the text must show neither query nor body nor values of headers. */
static void
fail(CdpHttpResponse *response, const CdpHttpRequest *request, const CdpOrigin *origin, CdpHttpOutcome outcome, const char *reason)
{
	response->outcome = outcome;
	response->detail = psprintf("%s %s of %s%s:%d: %s", request->method, request->shown != NULL ? request->shown : request->path,
								origin->plain ? "http://" : "", origin->host, origin->port, reason);
}

/* Sets an option of libcurl; the only ones that can fail are out of memory. */
#define SET(option, value) \
	do { \
		if (curl_easy_setopt(http->easy, option, value) != CURLE_OK) \
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("libcurl did not take an option."))); \
	} while (0)

/* Whether the method only reads. */
static bool
is_read(const CdpHttpRequest *request)
{
	return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

/* Options of every connection: what is checked, what is never used. */
static void
set_connection(CdpHttp *http, const CdpHttpRequest *request)
{
	curl_easy_reset(http->easy);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);	/* a cancelled lookup of a name is left alone, not waited for */
	SET(CURLOPT_PROTOCOLS_STR, request->plain ? "http" : "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");		/* http_proxy of the environment would go around the check of addresses */
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (cdp_ca_file != NULL && cdp_ca_file[0] != '\0')
		SET(CURLOPT_CAINFO, cdp_ca_file);
	curl_easy_setopt(http->easy, CURLOPT_SSL_CTX_FUNCTION, on_handshake);	/* only for messages: not every library has it */
	curl_easy_setopt(http->easy, CURLOPT_SSL_CTX_DATA, http);
	SET(CURLOPT_FRESH_CONNECT, request->fresh || !(request->repeatable || is_read(request)) ? 1L : 0L);
	SET(CURLOPT_CERTINFO, request->certificate ? 1L : 0L);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, http);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, http);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, http);
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L); /* unpacked in gunzip.c */
	SET(CURLOPT_USERAGENT, "pg_cdp/" CDP_VERSION);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) (request->connect_ms > 0 ? request->connect_ms : 10000));
}

/* The whole milliseconds that a request may take. */
static int
total_ms(const CdpHttpRequest *request)
{
	return request->total_ms > 0 ? request->total_ms : 60000;
}

/* Appends a line to the headers that libcurl sends, which copies it. */
static void
append_line(CdpHttp *http, const char *line)
{
	struct curl_slist *longer = curl_slist_append(http->lines, line);

	if (longer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	http->lines = longer;
}

/* The headers of a request; of a redirected one without secrets. */
static void
set_headers(CdpHttp *http, const CdpHttpRequest *request, bool redirected)
{
	bool		has_type = request->body == NULL;

	append_line(http, "Accept-Encoding: gzip");
	append_line(http, "Expect:");	/* that is: none; waiting for 100 costs a second with many servers */
	for (int i = 0; i < request->n_headers; i++)
	{
		const CdpHttpHeader *header = &request->headers[i];
		Size		room = strlen(header->name) + strlen(header->value) + 3;
		char	   *line;

		has_type = has_type || pg_strcasecmp(header->name, "content-type") == 0;
		if (redirected && header->secret)
			continue;
		/* "name;" is how libcurl is told of an empty value, "name:" would take the header away. */
		line = palloc(room);	/* once: what grows leaves copies */
		snprintf(line, room, header->value[0] == '\0' ? "%s;" : "%s: %s", header->name, header->value);
		append_line(http, line);
		OPENSSL_cleanse(line, room);
		pfree(line);
	}
	if (!has_type)
		append_line(http, "Content-Type: application/json");
	SET(CURLOPT_HTTPHEADER, http->lines);
}

/* Makes the URL of a request and has libcurl read it; false: libcurl sees another host in it than we do. */
static bool
set_url(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin)
{
	const char *query = request->query != NULL ? request->query : "";
	const char *secret = request->secret_query != NULL ? request->secret_query : "";
	Size		room = strlen(origin->host) + strlen(request->path) + strlen(query) + strlen(secret) + 32;
	char	   *text;
	char	   *host = NULL;
	bool		same;

	if (room > URL_MAX)
		cdp_http_bad_request(psprintf("Its URL has more than %d bytes.", URL_MAX));
	text = palloc(room);		/* once: what grows leaves copies */
	snprintf(text, room, "%s://%s:%d%s%s%s%s%s", origin->plain ? "http" : "https", origin->host, origin->port, request->path,
			 query[0] != '\0' || secret[0] != '\0' ? "?" : "", query, query[0] != '\0' && secret[0] != '\0' ? "&" : "", secret);
	http->url = curl_url();
	if (http->url == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	same = curl_url_set(http->url, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) == CURLUE_OK &&
		curl_url_get(http->url, CURLUPART_HOST, &host, 0) == CURLUE_OK && strcmp(host, origin->host) == 0;
	curl_free(host);
	OPENSSL_cleanse(text, room);
	pfree(text);
	return same;
}

/* Takes the request out of libcurl and wipes what belongs to it; a connection that is whole stays open. */
static void
release(CdpHttp *http)
{
	if (http->added)
		curl_multi_remove_handle(http->multi, http->easy);
	http->added = false;
	curl_easy_reset(http->easy);
	curl_slist_free_all(http->lines);
	http->lines = NULL;
	curl_url_cleanup(http->url);
	http->url = NULL;
	http->ranges = NULL;
	http->listing = false;
	buffer_free(&http->head);
	buffer_free(&http->body);
}

/* Sends one request and waits for its answer. The URL is there; release() is the caller's. */
static CURLcode
exchange(CdpHttp *http, const CdpHttpRequest *request, bool redirected, int ms)
{
	set_connection(http, request);
	SET(CURLOPT_CURLU, http->url);
	SET(CURLOPT_TIMEOUT_MS, (long) ms);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) http->body.max);
	if (strcmp(request->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (!is_read(request))
	{
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SET(CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "");
		SET(CURLOPT_CUSTOMREQUEST, request->method);
	}
	set_headers(http, request, redirected);
	http->ranges = cdp_allowed_private_ranges();
	http->opened = http->refused = http->n_addresses = 0;
	http->handshake = http->slow = false;
	http->slow_bytes = request->slow_bytes > 0 ? request->slow_bytes : 100;
	http->slow_seconds = request->slow_seconds > 0 ? request->slow_seconds : 20;
	http->slow_since = 0;
	if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
		return CURLE_FAILED_INIT;
	http->added = true;
	return perform(http);
}

/* ---- an answer */

/* Reads the header lines of the last answer in the buffer. */
static void
read_headers(CdpHttp *http, const CdpHttpRequest *request, CdpHttpResponse *response)
{
	const char *at = http->head.bytes;
	const char *end = at == NULL ? NULL : at + http->head.len;
	int			room = 0;

	response->headers = NULL;
	response->n_headers = 0;
	while (at != NULL && at < end)
	{
		const char *newline = memchr(at, '\n', end - at);
		const char *stop = newline != NULL ? newline : end;
		const char *colon = memchr(at, ':', stop - at);
		const char *value;

		if (stop - at > 5 && memcmp(at, "HTTP/", 5) == 0)
			response->n_headers = 0;
		else if (colon != NULL && colon > at)
		{
			CdpHttpHeader *header;
			const char *last = stop;

			if (response->n_headers == room)
			{
				room = room * 2 + 16;
				response->headers = response->headers == NULL ? palloc(room * sizeof(CdpHttpHeader)) :
					repalloc(response->headers, room * sizeof(CdpHttpHeader));
			}
			header = &response->headers[response->n_headers++];
			header->secret = false;
			header->name = cdp_http_clean_text(at, colon - at);
			for (char *s = header->name; *s != '\0'; s++)
				*s = pg_ascii_tolower((unsigned char) *s);
			for (value = colon + 1; value < stop && (*value == ' ' || *value == '\t');)
				value++;
			while (last > value && strchr(" \t\r", last[-1]) != NULL)
				last--;
			header->value = cdp_http_hide_secrets(cdp_http_clean_text(value, last - value), request);
		}
		at = stop + 1;
	}
}

/* A time of libcurl in milliseconds. */
static double
info_ms(CdpHttp *http, CURLINFO what)
{
	curl_off_t	us = 0;

	curl_easy_getinfo(http->easy, what, &us);
	return us / 1000.0;
}

/* Reads what libcurl measured, and what the certificate says. */
static void
read_figures(CdpHttp *http, const CdpHttpRequest *request, CdpHttpResponse *response)
{
	long		status = 0;
	long		connections = 0;
	char	   *address = NULL;
	struct curl_certinfo *certificates = NULL;

	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(http->easy, CURLINFO_NUM_CONNECTS, &connections);
	curl_easy_getinfo(http->easy, CURLINFO_PRIMARY_IP, &address);
	response->status = status;
	response->connections += connections;
	response->address = address != NULL && address[0] != '\0' ? pstrdup(address) : NULL;
	response->raw_bytes = http->body.len;
	response->dns_ms = info_ms(http, CURLINFO_NAMELOOKUP_TIME_T);
	response->connect_ms = info_ms(http, CURLINFO_CONNECT_TIME_T);
	response->tls_ms = info_ms(http, CURLINFO_APPCONNECT_TIME_T);
	response->first_byte_ms = info_ms(http, CURLINFO_STARTTRANSFER_TIME_T);
	response->total_ms = info_ms(http, CURLINFO_TOTAL_TIME_T);
	if (!request->certificate || curl_easy_getinfo(http->easy, CURLINFO_CERTINFO, &certificates) != CURLE_OK ||
		certificates == NULL || certificates->num_of_certs < 1)
		return;
	for (struct curl_slist *one = certificates->certinfo[0]; one != NULL; one = one->next)
	{
		if (strncmp(one->data, "Issuer:", 7) == 0)
			response->issuer = cdp_http_clean_text(one->data + 7, strlen(one->data + 7));
		if (strncmp(one->data, "Expire date:", 12) == 0)
			response->expires = cdp_http_clean_text(one->data + 12, strlen(one->data + 12));
	}
}

/* What a request was doing, as far as libcurl tells. */
static const char *
stage_of(const CdpHttp *http, const CdpHttpResponse *response)
{
	if (response->first_byte_ms > 0)
		return "reading the answer";
	if (http->opened == 0)
		return response->dns_ms > 0 ? "waiting for the answer" : "looking up the name";
	if (http->handshake && response->tls_ms <= 0)
		return "in the TLS handshake";
	return response->connect_ms > 0 ? "waiting for the answer" : "connecting";
}

/* Why a TLS connection failed, in words of OpenSSL where it has any. */
static const char *
tls_reason(CdpHttp *http, CURLcode code)
{
	long		verified = 0;

	curl_easy_getinfo(http->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
	if (code == CURLE_SSL_CACERT_BADFILE)
		return "a file with certificates of authorities can not be read; cdp.ca_file names one";
	if (code != CURLE_PEER_FAILED_VERIFICATION)
		return "no TLS connection of version 1.2 or later came about";
	/* libcurl looks at the name first, and leaves this at "unspecified" when it is the wrong one. */
	if (verified != X509_V_OK && verified != X509_V_ERR_UNSPECIFIED)
		return psprintf("the certificate is refused: %s", X509_verify_cert_error_string(verified));
	return "the certificate is not for this host";
}

/* Tells how a request ended that libcurl did not finish. */
static void
tell_failure(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, CURLcode code, CdpHttpResponse *response)
{
	CdpHttpOutcome outcome = CDP_HTTP_PROTOCOL;
	const char *reason = psprintf("the answer is not HTTP (libcurl %d)", (int) code);
	long		error = 0;

	curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &error);
	if (http->head.no_memory || http->body.no_memory || code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl gave up a request with code %d.", (int) code)));
	if (http->head.full)
		outcome = CDP_HTTP_TOO_LARGE, reason = psprintf("the headers of the answer have more than %d bytes", HEAD_MAX);
	else if (http->body.full || code == CURLE_FILESIZE_EXCEEDED)
		outcome = CDP_HTTP_TOO_LARGE, reason = psprintf("the body of the answer has more than %zu bytes", http->body.max);
	else if (code == CURLE_COULDNT_CONNECT && http->refused > 0 && http->opened == 0)
		outcome = CDP_HTTP_ADDRESS_REFUSED, reason = psprintf("the host stands for %s, which is refused: %s", http->first_refused.text, http->first_refused.verdict);
	else if (code == CURLE_COULDNT_CONNECT)
		outcome = CDP_HTTP_CONNECT, reason = psprintf("no connection: %s", error != 0 ? strerror(error) : "none of its addresses answered");
	else if (code == CURLE_COULDNT_RESOLVE_HOST)
		outcome = CDP_HTTP_DNS, reason = "the name of the host can not be resolved";
	else if (http->slow)
		outcome = CDP_HTTP_TIMEOUT, reason = psprintf("given up reading the answer: fewer than %d bytes a second over %d s", http->slow_bytes, http->slow_seconds);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		outcome = CDP_HTTP_TIMEOUT, reason = psprintf("given up after %.0f ms, %s", response->total_ms, stage_of(http, response));
	else if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
			 code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CIPHER || code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS)
		outcome = CDP_HTTP_TLS, reason = tls_reason(http, code);
	else if (code == CURLE_PARTIAL_FILE)
		outcome = CDP_HTTP_TRUNCATED, reason = psprintf("the body of the answer ends after %zu bytes, before its end", http->body.len);
	else if (code == CURLE_GOT_NOTHING)
		outcome = CDP_HTTP_RESET, reason = "the connection was closed without an answer";
	else if (code == CURLE_RECV_ERROR && http->body.len > 0)
		outcome = CDP_HTTP_TRUNCATED, reason = psprintf("the connection broke after %zu bytes of the body", http->body.len);
	else if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		outcome = CDP_HTTP_RESET, reason = psprintf("the connection broke, %s", stage_of(http, response));
	fail(response, request, origin, outcome, reason);
}

/* Makes the body of the response out of the bytes that came. */
static void
read_body(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, CdpHttpResponse *response)
{
	const char *encoding = cdp_http_header(response, "content-encoding");
	CdpGunzip	unpacked = CDP_GUNZIP_OK;

	if (http->body.len == 0 || encoding == NULL || encoding[0] == '\0' || pg_strcasecmp(encoding, "identity") == 0)
	{
		response->body = palloc(VARHDRSZ + http->body.len);
		SET_VARSIZE(response->body, VARHDRSZ + http->body.len);
		if (http->body.len > 0)
			memcpy(VARDATA(response->body), http->body.bytes, http->body.len);
		return;
	}
	if (pg_strcasecmp(encoding, "gzip") != 0 && pg_strcasecmp(encoding, "x-gzip") != 0)
	{
		fail(response, request, origin, CDP_HTTP_PROTOCOL, "the body is packed in another way than gzip, which alone was asked for");
		return;
	}
	unpacked = cdp_gunzip(http->body.bytes, http->body.len, http->body.max, &response->body);
	if (unpacked == CDP_GUNZIP_TOO_LARGE)
		fail(response, request, origin, CDP_HTTP_TOO_LARGE, psprintf("the body of the answer has more than %zu bytes when it is unpacked from %zu", http->body.max, http->body.len));
	else if (unpacked == CDP_GUNZIP_TRUNCATED)
		fail(response, request, origin, CDP_HTTP_TRUNCATED, psprintf("the packed body of the answer ends after %zu bytes, before its end", http->body.len));
	else if (unpacked == CDP_GUNZIP_BROKEN)
		fail(response, request, origin, CDP_HTTP_PROTOCOL, "the packed body of the answer can not be unpacked");
}

/*
 * Whether an answer leads elsewhere and may be followed: then http->url is the
 * place.  Only on the same scheme, host and port, only what is read (GET,
 * HEAD), and never with a secret, so that nobody gets one who had not.
 */
static bool
follow(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, const char *location, bool echoed, CdpHttpResponse *response)
{
	char	   *scheme = NULL,
			   *host = NULL,
			   *port = NULL;
	const char *why = NULL;
	CURLUcode	rc = curl_url_set(http->url, CURLUPART_URL, location, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);

	if (rc == CURLUE_OK && (curl_url_get(http->url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
							curl_url_get(http->url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
							curl_url_get(http->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK))
		rc = CURLUE_MALFORMED_INPUT;
	if (rc != CURLUE_OK)
		why = "a place that can not be read";
	else if (echoed)			/* first of all: the place is not told then */
		why = "a place that names a secret of the request";
	else if (strcmp(scheme, origin->plain ? "http" : "https") != 0 || strcmp(host, origin->host) != 0 || atoi(port) != origin->port)
		why = psprintf("%s://%s:%s, another place", cdp_http_clean_text(scheme, strlen(scheme)), cdp_http_clean_text(host, strlen(host)), port);
	else if (!is_read(request))
		why = "a place on this host, and only GET and HEAD are sent again";
	else if (response->redirects >= request->redirects)
		why = psprintf("a place on this host, and at most %d redirects are followed", request->redirects);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	if (why != NULL)
		fail(response, request, origin, CDP_HTTP_REDIRECT_REFUSED, psprintf("answer %d leads to %s", response->status, why));
	return why == NULL;
}

/* Whether an answer names another place to go to. */
static bool
leads_elsewhere(const CdpHttpResponse *response)
{
	int			status = response->status;

	return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
		cdp_http_header(response, "location") != NULL;
}

/* Sends the request and follows redirects, until there is an answer or a failure. release() is the caller's. */
static void
run_request(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, CdpHttpResponse *response)
{
	int64		until = now_us() + (int64) total_ms(request) * 1000;
	Size		max = request->max_bytes > 0 ? Min(request->max_bytes, cdp_http_max_bytes) : cdp_http_max_bytes;
	bool		redirected = false;

	if (!set_url(http, request, origin))
	{
		fail(response, request, origin, CDP_HTTP_HOST_REFUSED, "the host is read in two ways");
		return;
	}
	for (;;)
	{
		CURLcode	code;
		char	   *location = NULL;

		http->head.max = HEAD_MAX;
		http->body.max = max;
		code = exchange(http, request, redirected, Max((until - now_us()) / 1000, 1));
		read_figures(http, request, response);
		read_headers(http, request, response);
		if (code != CURLE_OK)
		{
			tell_failure(http, request, origin, code, response);
			return;
		}
		if (!leads_elsewhere(response))
			break;
		if (curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_URL, &location) != CURLE_OK || location == NULL)
			location = "";
		if (!follow(http, request, origin, location, cdp_http_names_secret(location, request), response))
			return;
		redirected = true;
		response->redirects++;
		curl_multi_remove_handle(http->multi, http->easy);
		http->added = false;
		curl_slist_free_all(http->lines);
		http->lines = NULL;
		buffer_free(&http->head);
		buffer_free(&http->body);
	}
	read_body(http, request, origin, response);
}

/* Has libcurl look a host up and offer each address, of which none is taken. release() is the caller's. */
static void
list_addresses(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, CdpHttpResponse *response)
{
	CURLcode	code = CURLE_COULDNT_CONNECT;

	if (set_url(http, request, origin))
		code = exchange(http, request, false, total_ms(request));
	read_figures(http, request, response);
	if (http->n_addresses == 0)
		tell_failure(http, request, origin, code, response);
}

/* Does the one or the other, and takes the request out of libcurl also after an error. */
static void
guarded(CdpHttp *http, const CdpHttpRequest *request, const CdpOrigin *origin, CdpHttpResponse *response)
{
	PG_TRY();
	{
		if (http->listing)
			list_addresses(http, request, origin, response);
		else
			run_request(http, request, origin, response);
	}
	PG_CATCH();
	{
		release(http);
		PG_RE_THROW();
	}
	PG_END_TRY();
	release(http);
}

/*
 * Sends one request and waits for the answer.  The response is palloc'd in the
 * current context.  Errors: 22023 a malformed request, 57014 cancelled or
 * timed out by the statement, 53200; all else is an outcome.
 */
void
cdp_http_run(CdpHttp *http, const CdpHttpRequest *request, CdpHttpResponse *response)
{
	CdpOrigin	origin;
	char	   *text = psprintf("%s%s", request->plain ? "http://" : "https://", request->host);
	const char *wrong;

	memset(response, 0, sizeof(*response));
	cdp_http_check_request(request);
	wrong = cdp_origin_parse(text, strlen(text), false, &origin);
	if (wrong != NULL)
	{
		strlcpy(origin.host, "(no host)", sizeof(origin.host));
		fail(response, request, &origin, CDP_HTTP_HOST_REFUSED, psprintf("the host is refused: %s", wrong));
		return;
	}
	wrong = request->plain && !request->allow_http ? "http_not_allowed" :
		cdp_http_host_verdict(&origin, request->builtin_hosts, request->n_builtin_hosts);
	if (wrong != NULL)
	{
		fail(response, request, &origin, CDP_HTTP_HOST_REFUSED, psprintf("the host is refused: %s", wrong));
		return;
	}
	guarded(http, request, &origin, response);
}

/*
 * Looks up the addresses of a host by the way that a request takes, and opens
 * no connection.  Writes how many to *n; an array that lives in the session.
 * The response tells why there are none.
 */
CdpHttpAddress *
cdp_http_addresses(CdpHttp *http, const CdpOrigin *origin, int *n, CdpHttpResponse *response)
{
	CdpHttpRequest request = {.method = "HEAD",.plain = origin->plain,.path = "/"};

	memset(response, 0, sizeof(*response));
	http->n_addresses = 0;
	http->listing = true;
	guarded(http, &request, origin, response);
	*n = http->n_addresses;
	return http->addresses;
}
