/*
 * secret.c
 *		What a connection must keep to itself: taken in, sealed, and opened for a request.
 *
 * A secret is sealed with AES-256-GCM under a purpose of its own, bound to the
 * number of its connection, its name, its kind, and where and how it is used
 * (cdp_internal.connection_binding()), so that an envelope opens
 * nowhere else: not by cdp_internal.open_text(), not for another connection, and
 * a sealed value can not be made a path.  A reference (file:, env:) is sealed as
 * well, so that a row written by hand leads to no file.  No function that SQL can
 * call returns what is in an envelope: only C of this room reads it, for roles that
 * may use the connection, into memory that is wiped.
 *
 * Tables are read and written with the rights of their owner, in functions whose
 * search_path is pinned; who may is asked with the rights of the caller before.
 */
#include "connector/connection/secret.h"
#include "core/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define PURPOSE "connector secret"

CDP_FUNCTION(cdp_set_secret);
CDP_FUNCTION(cdp_set_secret_from_file);
CDP_FUNCTION(cdp_set_secret_reference);
CDP_FUNCTION(cdp_reseal_secret);
CDP_FUNCTION(cdp_probe_secret);

/* Memory context callback: nothing of a secret is left when its memory is given back. */
static void
wipe_callback(void *arg)
{
	cdp_secret_wipe(arg);
}

/* An empty secret with room for so many bytes, in the current context, which wipes it when it goes. */
CdpSecret *
cdp_secret_new(Size room)
{
	CdpSecret  *secret = palloc0(sizeof(CdpSecret));

	secret->bytes = palloc0(room + 1);
	secret->room = room;
	secret->wipe.func = wipe_callback;
	secret->wipe.arg = secret;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &secret->wipe);
	return secret;
}

/* Wipes a secret before its context goes; it is empty then. */
void
cdp_secret_wipe(CdpSecret *secret)
{
	OPENSSL_cleanse(secret->bytes, secret->room + 1);
	secret->len = 0;
}

/* The envelope of bytes with the newest key, palloced. */
text *
cdp_connector_seal(const char *purpose, const char *context, const char *bytes, int len)
{
	CdpPiece	piece = {context, strlen(context)};

	return cdp_envelope_make(purpose, cdp_keyfile_newest(), &piece, false, (const uint8 *) bytes, len);
}

/* What was sealed, in the current context; NULL when it is no envelope or does not open. Error 55000 when its key is not in the file. */
CdpSecret *
cdp_connector_open(const char *purpose, const char *context, const text *envelope)
{
	CdpPiece	piece = {context, strlen(context)};
	int			key_id,
				sealed_len;
	uint8	   *sealed;
	CdpSecret  *secret;

	if (!cdp_envelope_read(envelope, &key_id, &sealed, &sealed_len))
		return NULL;
	secret = cdp_secret_new(sealed_len);
	if (!cdp_open(purpose, key_id, &piece, sealed, sealed_len, (uint8 *) secret->bytes))
		return NULL;
	secret->len = sealed_len - CDP_SEAL_OVERHEAD;
	secret->bytes[secret->len] = '\0';
	return secret;
}

/* The role that owns the tables of connections. Error 55000 before cdp.setup(). */
static Oid
tables_owner(void)
{
	Oid			space = get_namespace_oid("cdp_data", true);
	Oid			rel = OidIsValid(space) ? get_relname_relid("connection", space) : InvalidOid;
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of connections are not there yet"),
				 errhint("Run: CALL cdp.setup();")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(rel));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", rel);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Runs one statement with the rights of the tables' owner; the caller has connected to SPI. The search_path is pinned
 * meanwhile: an operator of the caller's that stands before that of pg_catalog would run with those rights.
 */
void
cdp_as_owner(const char *sql, int n, Oid *types, Datum *values, const char *nulls)
{
	Oid			user;
	int			context,
				code,
				level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(tables_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
	code = SPI_execute_with_args(sql, n, types, values, nulls, false, 0);
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(true, level);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "a table of connections can not be used: %s", SPI_result_code_string(code));
}

/* The number of a connection that the current role may use, by its name. Errors: 22023 unknown, 42501 it may not. */
int
cdp_connection_for(text *connection)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	bool		isnull;

	values[0] = PointerGetDatum(connection);
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	cdp_as_owner("SELECT cdp_internal.connection_for($1, $2)", 2, types, values, NULL);
	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* What an envelope is bound to, palloced: the connection, the name, whether it is a value or a reference, and where and how it is used. */
static char *
context_of(int connection_id, const char *name, const char *kind, const char *binding)
{
	return psprintf("connection %d %s %s %s", connection_id, name, kind, binding);
}

CDP_NORETURN static void refuse_file(const char *path, const char *detail);

/* Raises config_file_error about a file with a secret; detail tells what is wrong, never what is in it. */
static void
refuse_file(const char *path, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("the file \"%s\" can not be used as a secret", path),
			 errdetail("%s", detail),
			 errhint("Name a file by its whole path, outside the data directory, that the server's user can read and others can not, with 1 to %d bytes.", CDP_SECRET_MAX_BYTES)));
}

/* Whether a path, with links followed, lies in the data directory. */
static bool
in_data_directory(const char *path)
{
	char		data[PATH_MAX],
				found[PATH_MAX];

	return realpath(DataDir, data) != NULL && realpath(path, found) != NULL && path_is_prefix_of_path(data, found);
}

/* Leaves out the end of line that an editor or echo puts behind a secret. */
static void
trim_line_end(CdpSecret *secret)
{
	if (secret->len > 0 && secret->bytes[secret->len - 1] == '\n')
		secret->bytes[--secret->len] = '\0';
	if (secret->len > 0 && secret->bytes[secret->len - 1] == '\r')
		secret->bytes[--secret->len] = '\0';
}

/* The content of a file of the server, in the current context. */
static CdpSecret *
read_file(const char *path)
{
	struct stat st;
	CdpSecret  *secret;
	int			fd;
	ssize_t		got = 0;

	if (!is_absolute_path(path))
		refuse_file(path, "Its path does not begin at the root.");
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | PG_BINARY); /* a pipe must not make the session wait */
	if (fd < 0)
		refuse_file(path, psprintf("It can not be opened: %s.", strerror(errno)));
	if (fstat(fd, &st) != 0)
		refuse_file(path, psprintf("It can not be looked at: %s.", strerror(errno)));
	if (!S_ISREG(st.st_mode))
		refuse_file(path, "It is not a regular file.");
	if ((st.st_mode & S_IRWXO) != 0)
		refuse_file(path, psprintf("Its mode is %04o: every user of the machine may get at it.", (unsigned) (st.st_mode & 07777)));
	if (in_data_directory(path))
		refuse_file(path, "It stands in the data directory, so that every base backup would carry it.");
	secret = cdp_secret_new(CDP_SECRET_MAX_BYTES + 3); /* two for the end of line, one to see that there is more */
	while (secret->len < (int) secret->room &&
		   ((got = read(fd, secret->bytes + secret->len, secret->room - secret->len)) > 0 || (got < 0 && errno == EINTR)))
		secret->len += Max(got, 0);
	if (got < 0)
		refuse_file(path, psprintf("It can not be read: %s.", strerror(errno)));
	CloseTransientFile(fd);
	trim_line_end(secret);
	if (secret->len == 0)
		refuse_file(path, "It is empty.");
	if (secret->len > CDP_SECRET_MAX_BYTES)
		refuse_file(path, "It is longer.");
	if (memchr(secret->bytes, '\0', secret->len) != NULL)
		refuse_file(path, "A zero byte is in it.");
	if (!pg_verifymbstr(secret->bytes, secret->len, true))
		refuse_file(path, "It is no text in the encoding of the database.");
	return secret;
}

/* What a reference leads to, in the current context. */
static CdpSecret *
follow(const char *kind, const char *reference)
{
	const char *value;
	CdpSecret  *secret;

	if (strcmp(kind, "file") == 0)
		return read_file(reference);
	value = getenv(reference);
	if (value == NULL || value[0] == '\0' || strlen(value) > CDP_SECRET_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the environment variable \"%s\" can not be used as a secret", reference),
				 errdetail(value == NULL ? "The server was started without it." : "It is empty or too long."),
				 errhint("Set it where the server is started, and start it anew.")));
	secret = cdp_secret_new(strlen(value));
	secret->len = strlen(value);
	memcpy(secret->bytes, value, secret->len);
	return secret;
}

/*
 * The secret of that name of a connection, in the current context, for a role that may use the connection.
 * Errors: 42501 it may not, 55000 no such secret, no key file or no such key, 39000 the envelope was changed, F0000 the file can not be used.
 */
CdpSecret *
cdp_connector_secret(int connection_id, const char *name)
{
	Oid			types[3] = {INT4OID, TEXTOID, TEXTOID};
	Datum		values[3];
	MemoryContext caller = CurrentMemoryContext;
	CdpSecret  *secret = NULL;
	char	   *kind;

	SPI_connect();
	values[0] = Int32GetDatum(connection_id);
	values[1] = CStringGetTextDatum(name);
	values[2] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	cdp_as_owner("SELECT s.kind, s.envelope, s.binding, s.serves FROM cdp_internal.secret_for($1, $2, $3) s", 3, types, values, NULL);
	kind = SPI_processed == 1 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("connection %d has no secret \"%s\"", connection_id, name),
				 errhint("Give it with cdp.set_secret_from_file(), cdp.set_secret_reference() or cdp.set_secret().")));
	else
	{
		bool		isnull;
		Datum		envelope = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
		char	   *binding = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);

		if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &isnull)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("secret \"%s\" of connection %d was set for another server or authentication", name, connection_id),
					 errdetail("The manifest of the connector, or the config that its server is made of, was changed since."),
					 errhint("Look where the connection leads now, then set the secret anew.")));
		MemoryContextSwitchTo(caller);
		secret = cdp_connector_open(PURPOSE, context_of(connection_id, name, kind, binding), DatumGetTextPP(envelope));
		if (secret == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION),
					 errmsg("secret \"%s\" of connection %d does not open", name, connection_id),
					 errdetail("It was changed, belongs to another connection, or was made with another key of the same number."),
					 errhint("Set it anew.")));
		if (strcmp(kind, "sealed") != 0)
			secret = follow(kind, secret->bytes);
	}
	SPI_finish();
	return secret;
}

/*
 * Puts another value in place of a sealed secret that the other system itself has exchanged; nothing else of the connection
 * changes. The caller has connected to SPI. False: it is a reference, was set for another server, or is gone.
 */
bool
cdp_connector_secret_renew(int connection_id, const char *name, const CdpSecret *value)
{
	Oid			types[4] = {INT4OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	char	   *kind,
			   *binding;
	bool		isnull;

	values[0] = Int32GetDatum(connection_id);
	values[1] = CStringGetTextDatum(name);
	values[2] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	cdp_as_owner("SELECT s.kind, s.binding, s.serves FROM cdp_internal.secret_for($1, $2, $3) s", 3, types, values, NULL);
	if (SPI_processed != 1 || !DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull)))
		return false;
	kind = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	binding = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	if (strcmp(kind, "sealed") != 0)
		return false;
	values[2] = PointerGetDatum(cdp_connector_seal(PURPOSE, context_of(connection_id, name, kind, binding), value->bytes, value->len));
	values[3] = CStringGetTextDatum(binding);
	cdp_as_owner("SELECT cdp_internal.secret_renew($1, $2, $3, $4)", 4, types, values, NULL);
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Whether a setting has this value. */
static bool
setting_is(const char *name, const char *value)
{
	const char *now = GetConfigOption(name, true, false);

	return now != NULL && strcmp(now, value) == 0;
}

/* What writes statements, or with_parameters what they are given, to the server log; NULL when nothing is known to. */
static const char *
what_logs(bool with_parameters)
{
	bool		cut = with_parameters && setting_is("log_parameter_max_length", "0");
	const char *length = GetConfigOption("auto_explain.log_parameter_max_length", true, false); /* since PostgreSQL 16 */

	if (!cut && setting_is("log_statement", "all"))
		return "log_statement is all";
	if (!cut && (!setting_is("log_min_duration_statement", "-1") || !setting_is("log_min_duration_sample", "-1")))
		return "statements are logged by their duration";
	if (!cut && !setting_is("log_transaction_sample_rate", "0"))
		return "statements of some transactions are logged";
	if (GetConfigOption("auto_explain.log_min_duration", true, false) == NULL || setting_is("auto_explain.log_min_duration", "-1"))
		return NULL;
	/* A verbose plan shows parameters as the constants that they are. */
	return !with_parameters || setting_is("auto_explain.log_verbose", "on") || (length != NULL && strcmp(length, "0") != 0) ? "auto_explain logs plans" : NULL;
}

/*
 * Warns when the secret stands in the text of the statement, or in parameters that are logged, and takes the text out of
 * pg_stat_activity. Texts that reached the log already can not be called back.
 */
static void
warn_of_text(const CdpSecret *secret)
{
	const char *sql = debug_query_string != NULL ? debug_query_string : "";
	const char *logs;
	bool		has_parameter = false;

	if (strstr(sql, secret->bytes) != NULL || (strpbrk(secret->bytes, "'\\") != NULL && strstr(sql, quote_literal_cstr(secret->bytes)) != NULL))
	{
		logs = what_logs(false);
		pgstat_report_activity(STATE_RUNNING, "SELECT cdp.set_secret(...) -- its text held a secret");
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("the secret stands in the text of this statement"),
				 logs != NULL ? errdetail("The server log may have it: %s.", logs) : errdetail("Histories of clients and what watches the server may keep it."),
				 errhint("Use cdp.set_secret_from_file() or cdp.set_secret_reference(), or give it as a parameter (\\bind) with log_parameter_max_length = 0; then change the secret where it came from%s.",
						 GetConfigOption("pg_stat_statements.track", true, false) != NULL ? ", and SELECT pg_stat_statements_reset(), which keeps the texts of DO and EXPLAIN" : ""),
				 errhidestmt(true), errhidecontext(true)));
		return;
	}
	for (const char *s = sql; *s != '\0' && !has_parameter; s++)
		has_parameter = s[0] == '$' && s[1] >= '1' && s[1] <= '9';
	logs = has_parameter ? what_logs(true) : NULL;
	if (logs != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("parameters of statements are logged, so the secret may stand in the server log"),
				 errdetail("%s; log_parameter_max_length is %s.", logs, GetConfigOption("log_parameter_max_length", true, false)),
				 errhint("Set log_parameter_max_length = 0 and auto_explain.log_verbose = off, or use cdp.set_secret_from_file() or cdp.set_secret_reference()."),
				 errhidestmt(true), errhidecontext(true)));
}

/* Seals and stores a secret; kind is sealed, file or env, reference what people may see of it, or NULL. The caller has connected to SPI. */
static void
store(int connection_id, const char *name, const char *kind, const char *bytes, int len, const char *reference)
{
	Oid			types[6] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[6];
	char	   *binding;

	values[0] = Int32GetDatum(connection_id);
	cdp_as_owner("SELECT cdp_internal.connection_binding($1)", 1, types, values, NULL);
	binding = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (binding == NULL)
		elog(ERROR, "connection %d can not be found", connection_id);
	values[1] = CStringGetTextDatum(name);
	values[2] = CStringGetTextDatum(kind);
	values[3] = PointerGetDatum(cdp_connector_seal(PURPOSE, context_of(connection_id, name, kind, binding), bytes, len));
	values[4] = reference != NULL ? CStringGetTextDatum(reference) : (Datum) 0;
	values[5] = CStringGetTextDatum(binding);
	cdp_as_owner("SELECT cdp_internal.secret_put($1, $2, $3, $4, $5, $6)", 6, types, values, reference != NULL ? NULL : "    n ");
}

/* Raises insufficient_privilege unless the current role may read files of the server. */
static void
require_server_files(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to take a secret from the server's files or environment"),
				 errhint("It takes a superuser or a member of pg_read_server_files.")));
}

/* Raises null_value_not_allowed when an argument is NULL, and checks that the name can stand in a manifest. */
static char *
name_argument(FunctionCallInfo fcinfo)
{
	char	   *name;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("connection, name and secret must not be NULL")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (name[0] < 'a' || name[0] > 'z' || strlen(name) > 63 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a secret's name has small letters, digits and _, begins with a letter, and has at most 63 of them"),
				 errhint("It is the word after $secret. in the connector's manifest.")));
	return name;
}

/* set_secret() in earnest: seals the third argument. */
static void
set_value(FunctionCallInfo fcinfo)
{
	char	   *name = name_argument(fcinfo);
	text	   *value = PG_GETARG_TEXT_PP(2);
	int			len = VARSIZE_ANY_EXHDR(value);
	CdpSecret  *secret = cdp_secret_new(len);
	int			connection_id;

	memcpy(secret->bytes, VARDATA_ANY(value), len);
	secret->len = len;
	if (len > 0)
		warn_of_text(secret);
	if (len == 0 || len > CDP_SECRET_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a secret has 1 to %d bytes", CDP_SECRET_MAX_BYTES),
				 errdetail("This one has %d.", len)));
	SPI_connect();
	connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	store(connection_id, name, "sealed", secret->bytes, secret->len, NULL);
	SPI_finish();
	cdp_secret_wipe(secret);
}

/* set_secret(connection, name, value): nothing. No error shows the statement in the log, for the secret may stand there. */
Datum
cdp_set_secret(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		set_value(fcinfo);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		error->hide_stmt = true;
		error->hide_ctx = true;
		ReThrowError(error);
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}

/* set_secret_from_file(connection, name, path): nothing; what is in the file now is sealed, the file is needed no more. */
Datum
cdp_set_secret_from_file(PG_FUNCTION_ARGS)
{
	char	   *name = name_argument(fcinfo);
	CdpSecret  *secret;
	int			connection_id;

	require_server_files();
	SPI_connect();
	connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	secret = read_file(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	store(connection_id, name, "sealed", secret->bytes, secret->len, NULL);
	cdp_secret_wipe(secret);
	SPI_finish();
	PG_RETURN_VOID();
}

/* set_secret_reference(connection, name, reference): nothing; file:/path or env:NAME is followed whenever the secret is needed. */
Datum
cdp_set_secret_reference(PG_FUNCTION_ARGS)
{
	char	   *name = name_argument(fcinfo);
	char	   *reference = text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *kind = strncmp(reference, "file:", 5) == 0 ? "file" : strncmp(reference, "env:", 4) == 0 ? "env" : NULL;
	const char *place;
	int			connection_id;

	require_server_files();
	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reference begins with file: or env:"),
				 errhint("file:/run/credentials/wecom_secret, or env:WECOM_SECRET.")));
	place = reference + strlen(kind) + 1;
	if (strcmp(kind, "env") == 0 && (place[0] == '\0' || (place[0] >= '0' && place[0] <= '9') ||
									 strspn(place, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(place)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an environment variable has letters, digits and _, and begins with no digit")));
	SPI_connect();
	connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	cdp_secret_wipe(follow(kind, place)); /* it leads somewhere now */
	store(connection_id, name, kind, place, strlen(place), place);
	SPI_finish();
	PG_RETURN_VOID();
}

/* reseal_secret(connection_id, name, kind, binding, envelope): the same sealed with the newest key; NULL when it does not open. */
Datum
cdp_reseal_secret(PG_FUNCTION_ARGS)
{
	char	   *context = context_of(PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), text_to_cstring(PG_GETARG_TEXT_PP(2)),
									 text_to_cstring(PG_GETARG_TEXT_PP(3)));
	CdpSecret  *secret;
	text	   *result;

	cdp_require_key_right("digest");
	cdp_require_key_right("decrypt");
	secret = cdp_connector_open(PURPOSE, context, PG_GETARG_TEXT_PP(4));
	if (secret == NULL)
		PG_RETURN_NULL();
	result = cdp_connector_seal(PURPOSE, context, secret->bytes, secret->len);
	cdp_secret_wipe(secret);
	PG_RETURN_TEXT_P(result);
}

/* probe_secret(connection_id, name): nothing, or the error for which the secret can not be used now. */
Datum
cdp_probe_secret(PG_FUNCTION_ARGS)
{
	cdp_secret_wipe(cdp_connector_secret(PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(1))));
	PG_RETURN_VOID();
}
