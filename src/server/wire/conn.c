/*
 * conn.c: one connection to another node, a small state machine over libpq's non-blocking calls.
 *
 * Every connection is in pipeline mode. A request is the prepared statement (its first use sends
 * the preparation just before it) and its binary parameters; a batch of requests ends with a sync,
 * and is one transaction on the other node. libpq returns results strictly in the order of
 * sending, so a ring of ConnPending has the owner of each result:
 *
 *     PREPARE: one result, then NULL     QUERY: one result, then NULL     SYNC: one result
 *
 * The WireConn owns the PGconn and its file descriptor: conn_off releases both, whatever happened
 * before.
 */
#include "server/wire/wire_internal.h"

#include "miscadmin.h"
#include "storage/fd.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

/* longest interval between two checks for the answer of the name service */
#define RESOLVE_LOOK_MS_MAX 50
/* allowance for bytes of the following answers, and of TLS */
#define RECEIVED_AHEAD_BYTES_MAX ((uint64) 16 * 1024 * 1024)

static void conn_fail(WireConn *conn, const char *message);

static uint64 last_generation = 0;

WireConn *
conn_create(const char *address)
{
	WireConn *conn = MemoryContextAllocZero(TopMemoryContext, sizeof(WireConn));

	strlcpy(conn->address, address, sizeof(conn->address));
	conn->state = CONN_OFF;
	conn->synced = true;
	return conn;
}

/* libpq's texts may have several lines, and end with a line feed */
static void
set_error(WireConn *conn, const char *message)
{
	size_t size;

	strlcpy(conn->error, message, sizeof(conn->error));
	size = strlen(conn->error);
	while (size > 0 && (conn->error[size - 1] == '\n' || conn->error[size - 1] == ' '))
		conn->error[--size] = '\0';
	for (size_t index = 0; index < size; index++)
	{
		if (conn->error[index] == '\n' || conn->error[index] == '\t')
			conn->error[index] = ' ';
	}
	if (conn->error[0] == '\0')
		strlcpy(conn->error, "connection lost", sizeof(conn->error));
}

static ConnPending *
pending_at(WireConn *conn, int position)
{
	return &conn->pending[(conn->pending_first + position) % conn->pending_capacity];
}

/* starts small: most connections never have more than a request and its sync in progress */
static void
pending_grow(WireConn *conn)
{
	int capacity = Max(conn->pending_capacity * 2, 4);
	ConnPending *grown = MemoryContextAlloc(TopMemoryContext, sizeof(ConnPending) * capacity);

	for (int position = 0; position < conn->pending_count; position++)
		grown[position] = *pending_at(conn, position);
	if (conn->pending != NULL)
		pfree(conn->pending);
	conn->pending = grown;
	conn->pending_capacity = capacity;
	conn->pending_first = 0;
}

uint64
conn_received_bytes(const WireConn *conn)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (conn->pg == NULL ||
		getsockopt(PQsocket(conn->pg), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
		size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
		return 0;
	return info.tcpi_bytes_received;
}

static ConnPending *
pending_add(WireConn *conn)
{
	ConnPending *pending;

	FB_ASSERT(conn->pending_count < CONN_PENDING_MAX);
	if (conn->pending_count == conn->pending_capacity)
		pending_grow(conn);
	if (conn->pending_count == 0)
		conn->received_before = conn_received_bytes(conn);
	pending = pending_at(conn, conn->pending_count++);
	memset(pending, 0, sizeof(*pending));
	return pending;
}

static void
pending_remove(WireConn *conn)
{
	FB_ASSERT(conn->pending_count > 0);
	conn->pending_bytes -= pending_at(conn, 0)->bytes;
	conn->pending_first = (conn->pending_first + 1) % conn->pending_capacity;
	conn->pending_count--;
	if (conn->pg != NULL)
		conn->received_before = conn_received_bytes(conn);
}

/*
 * libpq keeps an answer in memory until it is complete, so a node that never stops sending must be
 * cut off
 */
static bool
is_too_much(WireConn *conn)
{
	char message[sizeof(conn->error)];
	uint64 allowed;

	if (conn->pending_count == 0)
		return false;
	allowed = pending_at(conn, 0)->answer_bytes_max;
	if (conn_received_bytes(conn) <= conn->received_before + allowed + RECEIVED_AHEAD_BYTES_MAX)
		return false;
	conn->flooded = true;
	snprintf(message, sizeof(message),
			 "it sends more than the " UINT64_FORMAT " bytes that an answer may have", allowed);
	conn_fail(conn, message);
	return true;
}

/* release everything that was needed to resolve the name */
static void
end_resolving(WireConn *conn)
{
	if (conn->resolution != NULL)
		resolve_release(conn->resolution);
	conn->resolution = NULL;
	if (conn->options_context != NULL)
		MemoryContextDelete(conn->options_context);
	conn->options_context = NULL;
}

/* release the socket and call all pending callbacks; conn->error is set */
static void
conn_off(WireConn *conn)
{
	PGconn *pg = conn->pg;

	conn->state = CONN_OFF;
	conn->pg = NULL;
	conn->wants_write = false;
	conn->synced = true;
	memset(conn->prepared, 0, sizeof(conn->prepared));
	end_resolving(conn);
	if (pg != NULL)
	{
		PQfinish(pg);
		ReleaseExternalFD();
	}
	while (conn->pending_count > 0)
	{
		ConnPending pending = *pending_at(conn, 0);

		pending_remove(conn);
		if (pending.kind == PENDING_QUERY && pending.answer != NULL)
			pending.answer(pending.owner, conn, NULL);
	}
	conn->pending_bytes = 0;
}

static void
conn_fail(WireConn *conn, const char *message)
{
	long delay_ms = CONN_RETRY_MIN_MS;

	set_error(conn, message);
	for (int failure = 0; failure < conn->failures_count && delay_ms < CONN_RETRY_MAX_MS; failure++)
		delay_ms *= 2;
	delay_ms = Min(delay_ms, CONN_RETRY_MAX_MS);
	conn->failures_count++;
	conn->retry_at_ms = clock_ms() + delay_ms;
	conn_off(conn);
}

void
conn_close(WireConn *conn)
{
	set_error(conn, "connection closed");
	conn_off(conn);
}

void
conn_destroy(WireConn *conn)
{
	FB_ASSERT(!conn->in_answer);
	conn_close(conn);
	if (conn->pending != NULL)
		pfree(conn->pending);
	pfree(conn);
}

/* let libpq connect */
static void
begin_connecting(WireConn *conn)
{
	if (!AcquireExternalFD())
	{
		conn_fail(conn, "too many open files on this server");
		return;
	}
	conn->pg = PQconnectStartParams(conn->options.keywords, conn->options.values, 0);
	if (conn->pg == NULL)
	{
		ReleaseExternalFD();
		conn_fail(conn, "out of memory");
		return;
	}
	if (PQstatus(conn->pg) == CONNECTION_BAD)
	{
		conn_fail(conn, PQerrorMessage(conn->pg));
		return;
	}
	end_resolving(conn);
	conn->state = CONN_CONNECTING;
	conn->wants_write = true; /* as libpq's manual requires before the first PQconnectPoll */
}

/* the options are complete; if the host is a name, resolve it first */
static void
conn_begin(WireConn *conn)
{
	const char *host = conn_option(&conn->options, "host");

	if (conn_option(&conn->options, "hostaddr") != NULL || !resolve_needed(host))
	{
		begin_connecting(conn);
		return;
	}
	conn->resolution = resolve_start(host);
	if (conn->resolution == NULL)
		conn_fail(conn, "could not ask for the address of the host");
	else
		conn->state = CONN_RESOLVING;
}

bool
conn_connect(WireConn *conn)
{
	MemoryContext old_context;
	FbError error;
	FbStatus status;

	FB_ASSERT(conn->state == CONN_OFF);
	conn->generation = ++last_generation;
	conn->flooded = false;
	conn->connect_start_ms = clock_ms();
	conn->connect_deadline_ms = conn->connect_start_ms + guc_connect_timeout;

	end_resolving(conn); /* an error may have left one behind */
	conn->options_context =
		AllocSetContextCreate(TopMemoryContext, "fabric connection options", ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(conn->options_context);
	status = address_book_options(conn->address, &conn->options, &error);
	MemoryContextSwitchTo(old_context);
	if (status != FB_OK)
		conn_fail(conn, error.message);
	else
		conn_begin(conn);
	return conn->state != CONN_OFF;
}

static bool
is_too_late(WireConn *conn)
{
	if (clock_ms() < conn->connect_deadline_ms)
		return false;
	conn_fail(conn, "timeout expired while connecting");
	return true;
}

static bool
advance_resolving(WireConn *conn)
{
	MemoryContext old_context = MemoryContextSwitchTo(conn->options_context);
	char *hosts;
	char *addresses;
	const char *error;
	ResolveState state = resolve_poll(conn->resolution, &hosts, &addresses, &error);

	if (state == RESOLVE_DONE)
	{
		conn_option_set(&conn->options, "host", hosts);
		conn_option_set(&conn->options, "hostaddr", addresses);
	}
	MemoryContextSwitchTo(old_context);
	if (state == RESOLVE_RUNNING)
		return is_too_late(conn);
	if (state == RESOLVE_DONE)
		begin_connecting(conn);
	else
	{
		char message[sizeof(conn->error)];

		snprintf(message, sizeof(message), "could not find the address of host \"%s\": %s",
				 conn_option(&conn->options, "host"), error);
		conn_fail(conn, message);
	}
	return true;
}

/* libpq prints notices to stderr by default; notices from another node are of no interest here */
static void
ignore_notice(void *arg, const PGresult *result)
{
}

/*
 * True if the socket is ready as libpq requires. If PQconnectPoll is called earlier, it treats the
 * connection as established, and blocks in send until it is.
 */
static bool
socket_is_ready(const WireConn *conn)
{
	struct pollfd poll_one = {.fd = PQsocket(conn->pg),
							  .events = conn->wants_write ? POLLOUT : POLLIN};

	return poll(&poll_one, 1, 0) != 0;
}

static bool
advance_connecting(WireConn *conn)
{
	if (!socket_is_ready(conn))
		return is_too_late(conn);
	switch (PQconnectPoll(conn->pg))
	{
		case PGRES_POLLING_READING:
			conn->wants_write = false;
			break;
		case PGRES_POLLING_WRITING:
			conn->wants_write = true;
			break;
		case PGRES_POLLING_OK:
			if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1)
			{
				conn_fail(conn, PQerrorMessage(conn->pg));
				return true;
			}
			PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
			conn->state = CONN_READY;
			conn->wants_write = false;
			conn->failures_count = 0;
			conn->error[0] = '\0';
			return true;
		default:
			conn_fail(conn, PQerrorMessage(conn->pg));
			return true;
	}
	return is_too_late(conn);
}

/* send the data that libpq holds; false if the connection failed */
static bool
conn_flush(WireConn *conn)
{
	int rest = PQflush(conn->pg);

	if (rest < 0)
	{
		conn_fail(conn, PQerrorMessage(conn->pg));
		return false;
	}
	conn->wants_write = rest > 0;
	return true;
}

/* one result for the oldest pending item */
static void
take_result(WireConn *conn, PGresult *result)
{
	ConnPending *pending = pending_at(conn, 0);

	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
	{
		FB_ASSERT(pending->kind == PENDING_SYNC);
		PQclear(result);
		pending_remove(conn);
		return;
	}
	pending->answered = true;
	if (pending->kind == PENDING_PREPARE)
	{
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			conn->prepared[pending->statement] = false;

			/*
			 * The server aborts the requests after it without a reason: pass this error to the
			 * first of them, which follows directly.
			 */
			if (conn->pending_count > 1 && pending_at(conn, 1)->answer != NULL)
			{
				ConnPending *query = pending_at(conn, 1);
				ConnAnswer answer = query->answer;

				query->answer = NULL;
				conn->in_answer = true;
				answer(query->owner, conn, result);
				conn->in_answer = false;
				return;
			}
			set_error(conn, PQresultErrorMessage(result));
		}
		PQclear(result);
		return;
	}
	if (pending->answer != NULL)
	{
		ConnAnswer answer = pending->answer;

		pending->answer = NULL; /* call it only once */
		conn->in_answer = true;
		answer(pending->owner, conn, result);
		conn->in_answer = false;
		return;
	}
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		set_error(conn, PQresultErrorMessage(result));
	PQclear(result);
}

static bool
advance_ready(WireConn *conn)
{
	bool changed = false;

	if (is_too_much(conn))
		return true;
	if (!PQconsumeInput(conn->pg))
	{
		/* take results that arrived before the end: usually an error with the reason */
		while (conn->pending_count > 0 && !PQisBusy(conn->pg))
		{
			PGresult *result = PQgetResult(conn->pg);

			if (result == NULL || PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL)
			{
				PQclear(result);
				break;
			}
			take_result(conn, result);
		}
		conn_fail(conn, PQerrorMessage(conn->pg));
		return true;
	}
	if (!conn_flush(conn))
		return true;
	while (conn->pending_count > 0 && !PQisBusy(conn->pg))
	{
		PGresult *result = PQgetResult(conn->pg);

		changed = true;
		if (result != NULL)
			take_result(conn, result);
		else if (pending_at(conn, 0)->answered)
			pending_remove(conn);
		else
			break;
		if (PQstatus(conn->pg) == CONNECTION_BAD)
		{
			conn_fail(conn, PQerrorMessage(conn->pg));
			return true;
		}
	}
	return changed;
}

bool
conn_advance(WireConn *conn)
{
	switch (conn->state)
	{
		case CONN_OFF:
			return false;
		case CONN_RESOLVING:
			return advance_resolving(conn);
		case CONN_CONNECTING:
			return advance_connecting(conn);
		case CONN_READY:
			return advance_ready(conn);
	}
	return false;
}

bool
conn_send(WireConn *conn, const RemoteRequest *request, ConnAnswer answer, void *owner)
{
	const RemoteStatementText *text = &remote_statements[request->statement];
	const char *values[REMOTE_PARAMETERS_MAX];
	int lengths[REMOTE_PARAMETERS_MAX];
	int formats[REMOTE_PARAMETERS_MAX];
	size_t bytes = 64;
	ConnPending *pending;

	FB_ASSERT(conn->state == CONN_READY);
	/* space for prepare, query and the later sync */
	if (conn->pending_count > CONN_PENDING_MAX - 3)
		return false;
	for (int index = 0; index < text->parameters_count; index++)
	{
		FbBytes parameter = request->parameters[index];

		values[index] = parameter.size > 0 ? (const char *) parameter.data : "";
		lengths[index] = (int) parameter.size;
		formats[index] = 1;
		bytes += parameter.size;
	}
	if (!conn->prepared[request->statement])
	{
		if (!PQsendPrepare(conn->pg, text->name, text->sql, text->parameters_count,
						   text->parameter_types))
		{
			conn_fail(conn, PQerrorMessage(conn->pg));
			return false;
		}
		conn->prepared[request->statement] = true;
		pending = pending_add(conn);
		pending->kind = PENDING_PREPARE;
		pending->statement = request->statement;
	}
	if (!PQsendQueryPrepared(conn->pg, text->name, text->parameters_count, values, lengths, formats,
							 1))
	{
		conn_fail(conn, PQerrorMessage(conn->pg));
		return false;
	}
	pending = pending_add(conn);
	pending->kind = PENDING_QUERY;
	pending->statement = request->statement;
	pending->bytes = bytes;
	pending->answer_bytes_max = request->answer_bytes_max;
	pending->answer = answer;
	pending->owner = owner;
	conn->pending_bytes += bytes;
	conn->synced = false;
	return true;
}

void
conn_sync(WireConn *conn)
{
	if (conn->state != CONN_READY || conn->synced)
		return;
	if (!PQpipelineSync(conn->pg))
	{
		conn_fail(conn, PQerrorMessage(conn->pg));
		return;
	}
	pending_add(conn)->kind = PENDING_SYNC;
	conn->synced = true;
	(void) conn_flush(conn);
}

void
conn_forget(WireConn *conn, void *owner)
{
	for (int position = 0; position < conn->pending_count; position++)
	{
		ConnPending *pending = pending_at(conn, position);

		if (pending->owner == owner)
			pending->answer = NULL;
	}
}

long
conn_timeout_ms(const WireConn *conn, bool reconnects)
{
	uint64 now_ms = clock_ms();
	uint64 when_ms;

	switch (conn->state)
	{
		case CONN_RESOLVING:
			/* check quickly at first: most names are in a file or a cache */
			when_ms =
				Min(now_ms + Min(1 + (now_ms - conn->connect_start_ms) / 4, RESOLVE_LOOK_MS_MAX),
					conn->connect_deadline_ms);
			break;
		case CONN_CONNECTING:
			when_ms = conn->connect_deadline_ms;
			break;
		case CONN_OFF:
			if (!reconnects)
				return -1;
			when_ms = conn->retry_at_ms;
			break;
		default:
			return -1;
	}
	return when_ms <= now_ms ? 0 : (long) (when_ms - now_ms);
}
