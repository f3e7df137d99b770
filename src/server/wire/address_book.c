/*
 * address_book.c: convert "host:port" of the channel configuration to libpq options.
 *
 * Connections between nodes always use TLS: the sender of a Raft message is identified by its
 * certificate, and the name of the other node is always verified (sslmode=verify-full). An
 * operator may add options for the location of a node, but none that change its protection.
 */
#include "server/wire/wire_internal.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "server/pg/pg.h"

#define OPTIONS_MAX 40

/* options of fabric_internal.node: those that only give the location of a node */
static const char *const location_keywords[] = {"dbname", "host", "hostaddr", "port", "user"};

const char *
conn_option(const ConnOptions *options, const char *keyword)
{
	for (int index = 0; options->keywords[index] != NULL; index++)
		if (strcmp(options->keywords[index], keyword) == 0)
			return options->values[index];
	return NULL;
}

void
conn_option_set(ConnOptions *options, const char *keyword, const char *value)
{
	int index = 0;

	while (options->keywords[index] != NULL && strcmp(options->keywords[index], keyword) != 0)
		index++;
	FB_ASSERT(index < OPTIONS_MAX - 1);
	options->keywords[index] = keyword;
	/* a copy: a setting may change while the options are in use */
	options->values[index] = pstrdup(value);
}

/* split "host:port" or "[v6]:port"; both parts are palloc'ed */
static FbStatus
split_address(const char *address, char **host, char **port, FbError *error)
{
	const char *colon = strrchr(address, ':');
	size_t host_size = colon == NULL ? 0 : (size_t) (colon - address);
	long number;
	char *end = NULL;

	number = colon == NULL ? 0 : strtol(colon + 1, &end, 10);
	if (host_size == 0 || number < 1 || number > 65535 || *end != '\0')
	{
		fb_fail(error, FB_INVALID_ARGUMENT, "invalid node address \"%s\"", address);
		fb_error_hint(error, "An address is written as host:port.");
		return FB_INVALID_ARGUMENT;
	}
	if (address[0] == '[' && address[host_size - 1] == ']')
		*host = memory_cstring(fb_bytes(address + 1, host_size - 2));
	else
		*host = memory_cstring(fb_bytes(address, host_size));
	*port = pstrdup(colon + 1);
	return FB_OK;
}

/* the operator's options for an address, palloc'ed; NULL if there are none. In a transaction */
static char *
stored_options(const char *address)
{
	static SpiStatement statement = {
		.sql = "SELECT options FROM fabric_internal.node WHERE address = $1",
		.argument_count = 1,
		.argument_types = {TEXTOID},
	};
	SpiScope scope;
	Datum values[1];
	char *result = NULL;

	spi_begin(&scope);
	values[0] = CStringGetTextDatum(address);
	(void) spi_run(&statement, values, NULL, true, 1);
	if (SPI_processed > 0)
	{
		char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (value != NULL)
			result = MemoryContextStrdup(scope.outer, value);
	}
	spi_end(&scope);
	return result;
}

static FbStatus
apply_stored_options(ConnOptions *options, const char *address, const char *stored, FbError *error)
{
	PQconninfoOption *parsed;
	char *parse_error = NULL;
	const char *refused = NULL;

	parsed = PQconninfoParse(stored, &parse_error);
	if (parsed == NULL)
	{
		fb_fail(error, FB_INVALID_ARGUMENT, "invalid connection options of node \"%s\"", address);
		if (parse_error != NULL)
			fb_error_detail(error, "%s", parse_error);
		PQfreemem(parse_error);
		return FB_INVALID_ARGUMENT;
	}
	for (PQconninfoOption *option = parsed; option->keyword != NULL; option++)
	{
		bool allowed = false;

		if (option->val == NULL)
			continue;
		for (int index = 0; index < lengthof(location_keywords); index++)
		{
			if (strcmp(option->keyword, location_keywords[index]) == 0)
			{
				conn_option_set(options, location_keywords[index], option->val);
				allowed = true;
			}
		}
		if (!allowed && refused == NULL)
			refused = pstrdup(option->keyword);
	}
	PQconninfoFree(parsed);
	if (refused != NULL)
	{
		fb_fail(error, FB_INVALID_ARGUMENT,
				"connection option \"%s\" of node \"%s\" is not allowed", refused, address);
		fb_error_hint(error,
					  "Allowed in fabric_internal.node are dbname, host, hostaddr, port and user.");
		return FB_INVALID_ARGUMENT;
	}
	return FB_OK;
}

static FbStatus
check_settings(FbError *error)
{
	static const struct
	{
		char **value;
		const char *name;
	} required[] = {
		{&guc_node_role, "fabric.node_role"},
		{&guc_tls_certificate_file, "fabric.tls_certificate_file"},
		{&guc_tls_key_file, "fabric.tls_key_file"},
		{&guc_tls_ca_file, "fabric.tls_ca_file"},
	};

	for (int index = 0; index < lengthof(required); index++)
	{
		if ((*required[index].value)[0] == '\0')
		{
			fb_fail(error, FB_NOT_CONFIGURED, "%s is not set", required[index].name);
			fb_error_hint(
				error, "Connections to other nodes need a login role and TLS client certificates.");
			return FB_NOT_CONFIGURED;
		}
	}
	return FB_OK;
}

/*
 * libpq resolves relative file names against the working directory; a server process's is the data
 * directory
 */
FbStatus
address_book_options(const char *address, ConnOptions *options, FbError *error)
{
	MemoryContext context = CurrentMemoryContext;
	bool own_transaction = !IsTransactionState();
	const char *database;
	char *stored;
	char *host;
	char *port;

	FB_TRY(check_settings(error));
	FB_TRY(split_address(address, &host, &port, error));

	if (own_transaction)
		bracket_begin("looking up the address of a node");
	stored = stored_options(address);
	database = get_database_name(MyDatabaseId);
	if (own_transaction)
	{
		stored = stored == NULL ? NULL : MemoryContextStrdup(context, stored);
		database = database == NULL ? NULL : MemoryContextStrdup(context, database);
		bracket_commit();
	}
	MemoryContextSwitchTo(context);

	options->keywords = palloc0(sizeof(char *) * OPTIONS_MAX);
	options->values = palloc0(sizeof(char *) * OPTIONS_MAX);
	conn_option_set(options, "host", host);
	conn_option_set(options, "port", port);
	conn_option_set(options, "user", guc_node_role);
	conn_option_set(options, "dbname", database);
	if (stored != NULL)
		FB_TRY(apply_stored_options(options, address, stored, error));
	conn_option_set(options, "sslmode", "verify-full");
	conn_option_set(options, "sslcert", guc_tls_certificate_file);
	conn_option_set(options, "sslkey", guc_tls_key_file);
	conn_option_set(options, "sslrootcert", guc_tls_ca_file);
	conn_option_set(options, "sslcompression", "0");
	conn_option_set(options, "gssencmode", "disable");
	conn_option_set(options, "client_encoding", GetDatabaseEncodingName());
	conn_option_set(options, "application_name", "fabric node");
	conn_option_set(options, "fallback_application_name", "fabric node");
	/* notice within seconds that the other host is gone; the system's default is two hours */
	conn_option_set(options, "keepalives", "1");
	conn_option_set(options, "keepalives_idle", "5");
	conn_option_set(options, "keepalives_interval", "2");
	conn_option_set(options, "keepalives_count", "3");
	conn_option_set(options, "tcp_user_timeout", "10000");
	return FB_OK;
}
