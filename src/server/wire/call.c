/*
 * call.c: one request to one node and its answer.
 *
 * A session passes its call to the relay process, if there is one (relay.c); then the call has a
 * ticket and no connection. Otherwise the call has its own connection.
 *
 * A call owns its request (copied), its connection while it is in progress, and its answer. It is
 * in the list of all calls of this process and remembers the subtransaction in which it was
 * started, so that an error anywhere releases it. Connections of finished calls are kept idle, one
 * per address, for the next call. A connection with an outstanding answer cannot be used again and
 * is closed.
 */
#include "server/wire/wire_internal.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* idle connections of one process; each holds a backend on another node */
#define IDLE_CONNECTIONS_MAX 32
struct WireCall
{
	dlist_node node;				 /* in all_calls */
	MemoryContext context;			 /* of the call itself and its request */
	SubTransactionId subtransaction; /* InvalidSubTransactionId: not bound to a transaction */
	char address[WIRE_ADDRESS_BYTES];
	RemoteRequest *request;
	uint64 started_ms; /* of clock_ms */
	bool sent;
	bool finished;
	bool failed;
	int ticket;		/* of pg/exchange.c, while the relay handles the call; -1: none */
	WireConn *conn; /* while in progress; NULL once finished, or with a ticket */
	PGresult *result;
	bool has_row; /* the relay answered with a row; result is NULL */
	FbBytes row;  /* see relay_value; in context */
	WireError error;
	WireRefusal *refusal; /* refusal by a chaincode; NULL: another failure, or none */
};

typedef struct IdleConn
{
	dlist_node node;
	WireConn *conn;
} IdleConn;

static dlist_head all_calls = DLIST_STATIC_INIT(all_calls);
static dlist_head idle_conns = DLIST_STATIC_INIT(idle_conns);
static int idle_conns_count = 0;
static bool callbacks_registered = false;

/* ---- kept connections ---- */

/*
 * Returns an idle connection to the address that is still alive, removed from the idle list; else
 * a new one.
 */
static WireConn *
conn_take(const char *address)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &idle_conns)
	{
		IdleConn *idle = dlist_container(IdleConn, node, iter.cur);
		WireConn *conn = idle->conn;

		if (strcmp(conn->address, address) != 0)
			continue;
		dlist_delete(iter.cur);
		idle_conns_count--;
		pfree(idle);
		(void) conn_advance(conn); /* notices if the other node has closed it */
		if (conn->state == CONN_READY)
			return conn;
		conn_destroy(conn);
	}
	return conn_create(address);
}

/* keep the connection of a finished call, or destroy it */
static void
conn_keep(WireConn *conn)
{
	IdleConn *idle;

	if (conn->state != CONN_READY)
	{
		conn_destroy(conn);
		return;
	}
	/*
	 * The sync after the answer may still be in transit; a new request may be sent before it
	 * arrives.
	 */
	if (idle_conns_count >= IDLE_CONNECTIONS_MAX)
	{
		IdleConn *oldest = dlist_container(IdleConn, node, dlist_pop_head_node(&idle_conns));

		conn_destroy(oldest->conn);
		pfree(oldest);
		idle_conns_count--;
	}
	idle = MemoryContextAlloc(TopMemoryContext, sizeof(IdleConn));
	idle->conn = conn;
	dlist_push_tail(&idle_conns, &idle->node);
	idle_conns_count++;
}

/* ---- nodes that do not answer ---- */

bool
wire_is_silent(const char *address)
{
	return answer_is_silent(address, ANSWER_ENDORSEMENT);
}

static void
call_note_silent(const WireCall *call)
{
	AnswerKind kind;

	if (remote_answer_kind(call->request, &kind))
		answer_note_silent(call->address, kind);
}

int
wire_call_patience_ms(const WireCall *call)
{
	return answer_patience_ms(call->request->label);
}

void
wire_call_note_late(const WireCall *call)
{
	call_note_silent(call);
	contact_note_failure(call->address, "It gave no answer in the usual time.", call->started_ms);
}

/* ---- ends of transactions and of the process ---- */

static void call_free(WireCall *call);

static void
release_calls_of(SubTransactionId subtransaction, bool any)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &all_calls)
	{
		WireCall *call = dlist_container(WireCall, node, iter.cur);

		if (call->subtransaction != InvalidSubTransactionId &&
			(any || call->subtransaction == subtransaction))
			call_free(call);
	}
}

static void
call_at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			release_calls_of(InvalidSubTransactionId, true);
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent,
					  void *arg)
{
	dlist_iter iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		release_calls_of(subtransaction, false);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		dlist_foreach(iter, &all_calls)
		{
			WireCall *call = dlist_container(WireCall, node, iter.cur);

			if (call->subtransaction == subtransaction)
				call->subtransaction = parent;
		}
	}
}

static void
at_process_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&all_calls))
		call_free(dlist_head_element(WireCall, node, &all_calls));
	while (!dlist_is_empty(&idle_conns))
	{
		IdleConn *idle = dlist_container(IdleConn, node, dlist_pop_head_node(&idle_conns));

		conn_destroy(idle->conn);
	}
}

/* ---- the call ---- */

static void
call_finish_unreachable(WireCall *call, const char *reason, bool not_executed)
{
	wire_error_unreachable(&call->error, call->address, reason, not_executed);
	call->failed = true;
	call->finished = true;
	call_note_silent(call);
	contact_note_failure(call->address, reason, call->started_ms);
}

/* ConnAnswer */
static void
call_answer(void *owner, WireConn *conn, PGresult *result)
{
	WireCall *call = owner;
	AnswerKind kind;

	if (call->finished)
	{
		PQclear(result);
		return;
	}
	if (result == NULL)
	{
		call_finish_unreachable(call, conn->error, false);
		return;
	}
	call->finished = true;
	if (remote_answer_kind(call->request, &kind))
		answer_note(call->address, kind, remote_is_usual(result) ? call->request->label : 0,
					call->started_ms);
	remote_note_contact(call->address, result);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		call->result = result;
		return;
	}
	call->failed = true;
	remote_error(&call->error, call->address, result);
	if (call->error.error.status == FB_CHAINCODE_ERROR)
		call->refusal = remote_refusal(call->context, remote_pack_refusal(call->context, result));
	PQclear(result);
}

static void
call_connect(WireCall *call)
{
	call->conn = conn_take(call->address);
	if (call->conn->state == CONN_OFF)
		(void) conn_connect(call->conn);
}

/*
 * Take the relay's answer, if it has arrived. If the relay has none, the call continues with its
 * own connection.
 */
static void
call_receive(WireCall *call)
{
	FbBytes answer;
	char kind;

	if (!exchange_receive(call->ticket, call->context, &kind, &answer))
		return;
	call->ticket = -1;
	if (kind == EXCHANGE_ASK_YOURSELF)
	{
		call->sent = false;
		call_connect(call);
		return;
	}
	call->finished = true;
	if (kind == RELAY_ANSWER_ERROR)
	{
		call->failed = true;
		memcpy(&call->error, answer.data, sizeof(call->error));
		if (call->error.error.status == FB_CHAINCODE_ERROR)
			call->refusal =
				remote_refusal(call->context, fb_bytes(answer.data + sizeof(call->error),
													   answer.size - sizeof(call->error)));
	}
	/* the relay has already noted the answer, or its absence, in pg/contacts.c */
	call->has_row = kind == RELAY_ANSWER_ROW;
	call->row = answer;
}

/* advance a call as far as possible without waiting */
static void
call_advance(WireCall *call)
{
	WireConn *conn;

	if (call->finished)
		return;
	if (call->ticket >= 0)
		call_receive(call);
	if (call->finished || call->ticket >= 0)
		return;
	conn = call->conn;
	(void) conn_advance(conn);
	if (!call->sent && conn->state == CONN_READY)
	{
		call->sent = conn_send(conn, call->request, call_answer, call);
		if (call->sent)
			conn_sync(conn);
		/* the next conn_advance sends the rest, if libpq could not send everything */
	}
	if (!call->finished && conn->state == CONN_OFF)
		call_finish_unreachable(call, conn->error, !call->sent);
	if (call->finished)
	{
		call->conn = NULL;
		conn_keep(conn);
	}
}

static WireCall *
call_start(const char *address, const RemoteRequest *request)
{
	MemoryContext context;
	WireCall *call;

	if (!callbacks_registered)
	{
		RegisterXactCallback(call_at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		on_proc_exit(at_process_exit, (Datum) 0);
		callbacks_registered = true;
	}
	context = AllocSetContextCreate(TopMemoryContext, "fabric wire call", ALLOCSET_SMALL_SIZES);
	call = MemoryContextAllocZero(context, sizeof(WireCall));
	call->context = context;
	call->subtransaction =
		IsTransactionState() ? GetCurrentSubTransactionId() : InvalidSubTransactionId;
	strlcpy(call->address, address, sizeof(call->address));
	call->started_ms = clock_ms();
	dlist_push_tail(&all_calls, &call->node);
	call->ticket = -1;
	call->request = remote_request_copy(context, request);
	call->ticket = relay_ask(address, request);
	/* the relay may send it at any time */
	call->sent = call->ticket >= 0;
	if (call->ticket < 0)
		call_connect(call);
	call_advance(call);
	return call;
}

WireCall *
wire_endorse_start(const char *address, FbBytes signed_proposal, uint64 min_height,
				   uint64 seen_height, FbBytes what)
{
	RemoteRequest request;

	remote_request_endorse(&request, signed_proposal, min_height, seen_height);
	request.label = answer_label(address, ANSWER_ENDORSEMENT, what);
	return call_start(address, &request);
}

WireCall *
wire_submit_start(const char *address, const char *channel, FbBytes envelope)
{
	RemoteRequest request;

	remote_request_submit(&request, channel, envelope);
	request.label = answer_label(address, ANSWER_SUBMISSION, FB_BYTES_EMPTY);
	return call_start(address, &request);
}

WireCall *
wire_deliver_start(const char *address, FbBytes seek, int bytes_max, int wait_ms)
{
	RemoteRequest request;

	remote_request_deliver(&request, seek, bytes_max, wait_ms);
	return call_start(address, &request);
}

WireCall *
wire_private_put_start(const char *address, FbBytes signed_request, const char *tx_id,
					   FbBytes private_rwset)
{
	RemoteRequest request;

	remote_request_private_put(&request, signed_request, tx_id, private_rwset);
	return call_start(address, &request);
}

WireCall *
wire_private_get_start(const char *address, FbBytes signed_request, uint64 block_number,
					   int32 position)
{
	RemoteRequest request;

	remote_request_private_get(&request, signed_request, block_number, position);
	return call_start(address, &request);
}

/*
 * advance all calls; returns the number of finished calls, the number of others, and the
 * connections of these
 */
static int
calls_look(WireCall *const *calls, int calls_count, WireConn **conns, int *conns_count,
		   int *unfinished_count)
{
	int finished_count = 0;

	*conns_count = 0;
	*unfinished_count = 0;
	for (int index = 0; index < calls_count; index++)
	{
		if (calls[index] == NULL)
			continue;
		call_advance(calls[index]);
		if (calls[index]->finished)
		{
			finished_count++;
			continue;
		}
		(*unfinished_count)++;
		/* a call without a connection waits for the relay, which sets the latch */
		if (calls[index]->conn != NULL)
			conns[(*conns_count)++] = calls[index]->conn;
	}
	return finished_count;
}

bool
wire_poll(WireCall *call)
{
	call_advance(call);
	return call->finished;
}

/*
 * The loop of wire_wait. The caller closes waiter in any case; conns has space for calls_count.
 * Not inlined, so that none of its variables are in the frame to which longjmp returns.
 */
static pg_noinline int
wait_loop(ConnWaiter *waiter, WireConn **conns, WireCall *const *calls, int calls_count,
		  WireWaitMode mode, TimestampTz deadline, bool return_on_latch)
{
	int conns_count;
	int unfinished_count;
	int unfinished_at_start_count = 0;

	for (int index = 0; index < calls_count; index++)
	{
		if (calls[index] != NULL && !calls[index]->finished)
			unfinished_at_start_count++;
	}
	for (;;)
	{
		long wait_ms = -1;
		TimestampTz now;
		int finished_count;

		CHECK_FOR_INTERRUPTS();
		finished_count = calls_look(calls, calls_count, conns, &conns_count, &unfinished_count);
		if (unfinished_count == 0 ||
			(mode == WIRE_WAIT_ANY && unfinished_count < unfinished_at_start_count))
			return finished_count;
		now = GetCurrentTimestamp();
		if (deadline != 0)
		{
			if (now >= deadline)
				return finished_count;
			wait_ms = (long) ((deadline - now) / 1000) + 1;
		}
		for (int index = 0; index < conns_count; index++)
		{
			long conn_ms = conn_timeout_ms(conns[index], false);

			if (conn_ms >= 0 && (wait_ms < 0 || conn_ms < wait_ms))
				wait_ms = conn_ms;
		}
		if (conn_waiter_wait(waiter, conns, conns_count, wait_ms, PG_WAIT_EXTENSION) & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			if (return_on_latch)
				return calls_look(calls, calls_count, conns, &conns_count, &unfinished_count);
		}
	}
}

int
wire_wait(WireCall *const *calls, int calls_count, WireWaitMode mode, TimestampTz deadline,
		  bool return_on_latch)
{
	ConnWaiter waiter = {0};
	WireConn **conns = palloc(sizeof(WireConn *) * Max(calls_count, 1));
	volatile int finished_count = 0;

	PG_TRY();
	{
		finished_count =
			wait_loop(&waiter, conns, calls, calls_count, mode, deadline, return_on_latch);
	}
	PG_FINALLY();
	{
		conn_waiter_close(&waiter);
		if (waiter.entries != NULL)
			pfree(waiter.entries);
	}
	PG_END_TRY();
	pfree(conns);
	return finished_count;
}

bool
wire_call_finished(const WireCall *call)
{
	return call->finished;
}

const WireError *
wire_call_error(WireCall *call)
{
	if (!call->finished)
	{
		memset(&call->error, 0, sizeof(call->error));
		strlcpy(call->error.address, call->address, sizeof(call->error.address));
		strlcpy(call->error.sqlstate, fb_status_sqlstate(FB_NODE_UNREACHABLE),
				sizeof(call->error.sqlstate));
		/*
		 * The caller treats the request as not executed, so withdraw it before the relay sends it.
		 */
		if (call->ticket >= 0 && exchange_withdraw(call->ticket))
		{
			call->ticket = -1;
			call->sent = false;
			call->finished = call->failed = true;
		}
		call->error.not_executed = !call->sent;
		fb_fail(&call->error.error, FB_NODE_UNREACHABLE, "no answer yet from node \"%s\"",
				call->address);
		return &call->error;
	}
	return call->failed ? &call->error : NULL;
}

const WireRefusal *
wire_call_refusal(const WireCall *call)
{
	return call->refusal;
}

const char *
wire_call_address(const WireCall *call)
{
	return call->address;
}

uint64
wire_call_received(const WireCall *call)
{
	return call->conn == NULL ? 0 : conn_received_bytes(call->conn);
}

int
wire_call_rows_count(const WireCall *call)
{
	if (call->result == NULL)
		return call->has_row ? 1 : 0;
	return PQntuples(call->result);
}

/*
 * a value of the answer, from the relay or from a result; false when the column does not exist, or
 * the value is null
 */
static bool
call_value(const WireCall *call, int row_index, int column, FbBytes *value)
{
	if (call->result == NULL)
		return relay_value(call->row, column, value);
	if (column >= PQnfields(call->result) || PQgetisnull(call->result, row_index, column))
		return false;
	*value = fb_bytes(PQgetvalue(call->result, row_index, column),
					  (size_t) PQgetlength(call->result, row_index, column));
	return true;
}

FbBytes
wire_call_row(const WireCall *call, int row_index)
{
	FbBytes value;

	FB_ASSERT(row_index >= 0 && row_index < wire_call_rows_count(call));
	return call_value(call, row_index, 0, &value) ? value : FB_BYTES_EMPTY;
}

bool
wire_call_height(const WireCall *call, uint64 *height)
{
	uint64 network;
	FbBytes value;

	if (wire_call_rows_count(call) != 1 || !call_value(call, 0, 1, &value) ||
		value.size != sizeof(network))
		return false;
	memcpy(&network, value.data, sizeof(network));
	*height = pg_ntoh64(network);
	return true;
}

static void
call_free(WireCall *call)
{
	dlist_delete(&call->node);
	if (call->ticket >= 0)
		exchange_abandon(call->ticket);
	if (call->conn != NULL)
	{
		conn_forget(call->conn, call);
		conn_destroy(call->conn);
	}
	if (call->result != NULL)
		PQclear(call->result);
	MemoryContextDelete(call->context);
}

void
wire_call_release(WireCall *call)
{
	if (call == NULL)
		return;
	/*
	 * The caller gives up before the answer. That is a reason to mark the node only after the
	 * usual time.
	 */
	if (!call->finished && clock_ms() - call->started_ms >= (uint64) wire_call_patience_ms(call))
		call_note_silent(call);
	call_free(call);
}
