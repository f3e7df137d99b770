/*
 * relay.c: send the requests of all sessions to other nodes over a few connections; the main loop
 * of `fabric relay`.
 *
 * Requests come from shared memory (pg/exchange.c) and wait in a list for each node. A connection
 * carries one request at a time: a request that takes long at the other node (a chaincode
 * function, a wait for blocks) occupies only its own connection. While requests wait and all
 * connections are busy, the relay makes one more, never two at a time, up to
 * fabric.relay_connections: the existing connections handle a burst, and steady demand adds
 * connections. The most recently used connection is used first, so connections that a burst left
 * over become idle and are closed.
 *
 * The relay connects only when a request waits, so a node that is down costs one attempt at a
 * time. When an attempt fails and there is no other connection, all requests that wait for the
 * node fail with its reason, as they would with their own connections.
 *
 * When the session of a request is gone, the relay waits ABANDONED_MS for the answer, then closes
 * the connection. With a shorter time, sessions that are canceled repeatedly would cost
 * connections; with a longer one, a hanging node would hold them.
 *
 * When all connections to a node are busy and none has answered for STALLED_MS, the waiting
 * requests return to their sessions, which use their own connections: calls that take long, or
 * hang, do not block other requests to a healthy node.
 *
 * What holds afterwards: the relay never waits for a session; a session waits only for an answer;
 * and when the relay exits, every waiting session is told to use its own connection.
 */
#include "server/wire/wire_internal.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/wait_event.h"

#define ABANDONED_MS 5000
/* close a connection after this idle time: it occupies a process at the other node */
#define IDLE_MS 60000
/* pause after a failed attempt to add a connection: the other node may have no free connections */
#define GROW_PAUSE_MS 1000
/* longest wait for a connection while no answers arrive */
#define STALLED_MS 2000
/* the condition of an unreachable node ends when no session has used the node for this time */
#define UNASKED_MS 120000
/* longest sleep while there are requests or connections */
#define NAP_MS 1000

typedef struct RelayPeer RelayPeer;

typedef struct RelayRequest
{
	dlist_node node;	   /* in RelayPeer.waiting, while the request has no link */
	MemoryContext context; /* of the request and its bytes */
	RelayPeer *peer;
	int ticket;
	RemoteRequest *request;
	uint64 arrived_ms;	 /* of clock_ms */
	uint64 abandoned_ms; /* of clock_ms; 0: not known to be abandoned */
} RelayRequest;

/* a connection; in one of the three lists of its peer */
typedef struct RelayLink
{
	dlist_node node;
	RelayPeer *peer;
	WireConn *conn;
	RelayRequest *request; /* current request; NULL: idle, or connecting */
	uint64 idle_since_ms;
	bool retired; /* made with old settings: carries no further request */
} RelayLink;

struct RelayPeer
{
	dlist_node node; /* in peers */
	char address[WIRE_ADDRESS_BYTES];
	dlist_head waiting; /* oldest first */
	dlist_head idle;	/* last used first */
	dlist_head busy;
	RelayLink *connecting; /* NULL: none */
	int links_count;
	uint64 grow_after_ms; /* of clock_ms */
	uint64 answered_ms;	  /* of clock_ms: time of the last answer, or new connection */
};

static dlist_head peers = DLIST_STATIC_INIT(peers);
static ConnWaiter waiter;
static WireConn **conns; /* connections of all peers, for the waiter */
static int conns_count = 0;
static int conns_capacity = 0;
static bool conns_changed = true;

/* ---- requests and answers as bytes in shared memory: written by this server, not checked ---- */

static const char request_kinds[REMOTE_STATEMENTS_COUNT] =
	{[REMOTE_ENDORSE] = 'e', [REMOTE_SUBMIT] = 's'};

int
relay_ask(const char *address, const RemoteRequest *request)
{
	StringInfoData bytes;
	int ticket;

	if (guc_relay_connections == 0 || request_kinds[request->statement] == '\0' ||
		MyBackendType != B_BACKEND || !IsTransactionState() || !shmem_serves_database())
		return -1;
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) &request->answer_bytes_max,
						   sizeof(request->answer_bytes_max));
	appendBinaryStringInfo(&bytes, (const char *) &request->label, sizeof(request->label));
	for (int index = 0; index < remote_statements[request->statement].parameters_count; index++)
	{
		uint32 size = (uint32) request->parameters[index].size;

		/* too large for the exchange; do not copy it first */
		if (size > EXCHANGE_MESSAGE_BYTES_MAX)
		{
			pfree(bytes.data);
			return -1;
		}
		appendBinaryStringInfo(&bytes, (const char *) &size, sizeof(size));
		appendBinaryStringInfo(&bytes, (const char *) request->parameters[index].data, (int) size);
	}
	ticket =
		exchange_put(address, request_kinds[request->statement], fb_bytes(bytes.data, bytes.len));
	pfree(bytes.data);
	return ticket;
}

static RemoteRequest *
unpack_request(MemoryContext context, char kind, FbBytes bytes)
{
	RemoteRequest *request = MemoryContextAllocZero(context, sizeof(RemoteRequest));
	const uint8_t *position = bytes.data;

	request->statement = kind == request_kinds[REMOTE_ENDORSE] ? REMOTE_ENDORSE : REMOTE_SUBMIT;
	memcpy(&request->answer_bytes_max, position, sizeof(request->answer_bytes_max));
	position += sizeof(request->answer_bytes_max);
	memcpy(&request->label, position, sizeof(request->label));
	position += sizeof(request->label);
	/*
	 * A session uses its own connection for an answer that is too large for the exchange; this
	 * limit protects the relay's memory, which all sessions share.
	 */
	request->answer_bytes_max = Min(request->answer_bytes_max, 2 * EXCHANGE_MESSAGE_BYTES_MAX);
	for (int index = 0; index < remote_statements[request->statement].parameters_count; index++)
	{
		uint32 size;

		memcpy(&size, position, sizeof(size));
		position += sizeof(size);
		request->parameters[index] = fb_bytes(position, size);
		position += size;
	}
	return request;
}

/* pack one row of a result: for each column the size (-1: null) and the bytes */
static FbBytes
pack_row(MemoryContext context, const PGresult *result)
{
	StringInfoData bytes;
	MemoryContext old = MemoryContextSwitchTo(context);

	initStringInfo(&bytes);
	MemoryContextSwitchTo(old);
	for (int column = 0; column < PQnfields(result); column++)
	{
		int32 size = PQgetisnull(result, 0, column) ? -1 : PQgetlength(result, 0, column);

		appendBinaryStringInfo(&bytes, (const char *) &size, sizeof(size));
		if (size > 0)
			appendBinaryStringInfo(&bytes, PQgetvalue(result, 0, column), size);
	}
	return fb_bytes(bytes.data, bytes.len);
}

bool
relay_value(FbBytes answer, int column, FbBytes *value)
{
	const uint8_t *position = answer.data;
	const uint8_t *end = answer.data + answer.size;
	int32 size;

	for (; position < end; column--)
	{
		memcpy(&size, position, sizeof(size));
		position += sizeof(size);
		if (column == 0)
		{
			*value = fb_bytes(position, (size_t) Max(size, 0));
			return size >= 0;
		}
		position += Max(size, 0);
	}
	return false;
}

/* ---- ends of requests ---- */

static void
request_free(RelayRequest *request)
{
	MemoryContextDelete(request->context);
}

/* the session has given up, and the request was not sent */
static void
request_drop(RelayRequest *request)
{
	exchange_answer(request->ticket, RELAY_ANSWER_NONE, FB_BYTES_EMPTY);
	request_free(request);
}

static void
request_fail(RelayRequest *request, const char *reason, bool not_executed)
{
	WireError error;
	AnswerKind kind;

	/* Also when the session has given up, so that others do not wait for this node. */
	if (remote_answer_kind(request->request, &kind))
		answer_note_silent(request->peer->address, kind);
	contact_note_failure(request->peer->address, reason, request->arrived_ms);
	wire_error_unreachable(&error, request->peer->address, reason, not_executed);
	exchange_answer(request->ticket, RELAY_ANSWER_ERROR,
					fb_bytes((const uint8_t *) &error, sizeof(error)));
	request_free(request);
}

/* return the request to its session, which uses its own connection */
static void
request_return(RelayRequest *request)
{
	exchange_answer(request->ticket, EXCHANGE_ASK_YOURSELF, FB_BYTES_EMPTY);
	request_free(request);
}

static void
answer_row(RelayRequest *request, const PGresult *result)
{
	size_t bytes = 0;

	for (int column = 0; column < PQnfields(result); column++)
		bytes += sizeof(int32) + (size_t) PQgetlength(result, 0, column);
	/* too large for the exchange: do not copy it first */
	if (bytes > EXCHANGE_MESSAGE_BYTES_MAX)
		exchange_answer(request->ticket, EXCHANGE_ASK_YOURSELF, FB_BYTES_EMPTY);
	else
		exchange_answer(request->ticket, RELAY_ANSWER_ROW, pack_row(request->context, result));
}

/* answer with a WireError, followed by the packed refusal if a chaincode refused */
static void
answer_error(RelayRequest *request, const PGresult *result)
{
	WireError error;
	StringInfoData answer;
	MemoryContext old_context = MemoryContextSwitchTo(request->context);

	initStringInfo(&answer);
	remote_error(&error, request->peer->address, result);
	appendBinaryStringInfo(&answer, (const char *) &error, sizeof(error));
	if (error.error.status == FB_CHAINCODE_ERROR)
	{
		FbBytes refusal = remote_pack_refusal(request->context, result);

		appendBinaryStringInfo(&answer, (const char *) refusal.data, (int) refusal.size);
	}
	MemoryContextSwitchTo(old_context);
	exchange_answer(request->ticket, RELAY_ANSWER_ERROR, fb_bytes(answer.data, answer.len));
}

static void
request_answer(RelayRequest *request, PGresult *result)
{
	AnswerKind kind;

	if (remote_answer_kind(request->request, &kind))
		answer_note(request->peer->address, kind,
					remote_is_usual(result) ? request->request->label : 0, request->arrived_ms);
	remote_note_contact(request->peer->address, result);
	/*
	 * the answer to these requests is one row; a result with another number of rows is not an
	 * answer
	 */
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) != 1)
		exchange_answer(request->ticket, RELAY_ANSWER_NONE, FB_BYTES_EMPTY);
	else if (PQresultStatus(result) == PGRES_TUPLES_OK)
		answer_row(request, result);
	else
		answer_error(request, result);
	PQclear(result);
	request_free(request);
}

/* ConnAnswer */
static void
relay_take_answer(void *owner, WireConn *conn, PGresult *result)
{
	RelayLink *link = owner;
	RelayRequest *request = link->request;

	link->request = NULL;
	link->peer->answered_ms = clock_ms();
	if (request == NULL)
		PQclear(result);
	else if (result == NULL && conn->flooded)
		request_return(request);
	else if (result == NULL)
		request_fail(request, conn->error, false);
	else
		request_answer(request, result);
}

/* ---- links ---- */

static void
link_create(RelayPeer *peer)
{
	RelayLink *link = MemoryContextAllocZero(TopMemoryContext, sizeof(RelayLink));

	link->peer = peer;
	link->conn = conn_create(peer->address);
	peer->connecting = link;
	peer->links_count++;
	conns_changed = true;
	(void) conn_connect(link->conn);
}

/* destroy a link; its request, if any, has ended */
static void
link_destroy(RelayLink *link)
{
	if (link->peer->connecting == link)
		link->peer->connecting = NULL;
	else
		dlist_delete(&link->node);
	link->peer->links_count--;
	conn_destroy(link->conn);
	pfree(link);
	conns_changed = true;
}

static void
report_unreachable(const RelayPeer *peer, const char *reason)
{
	FbError why;

	fb_fail(&why, FB_NODE_UNREACHABLE, "could not connect to node %s for the requests of sessions",
			peer->address);
	fb_error_detail(&why, "%s", reason);
	condition_report(NULL, "node", peer->address, &why);
}

/* an attempt to connect has ended, with or without success */
static void
link_settle(RelayLink *link)
{
	RelayPeer *peer = link->peer;
	dlist_mutable_iter iter;

	if (link->conn->state == CONN_READY && link->retired)
	{
		link_destroy(link);
		return;
	}
	if (link->conn->state == CONN_READY)
	{
		condition_end(NULL, "node", peer->address);
		peer->connecting = NULL;
		peer->answered_ms = clock_ms();
		link->idle_since_ms = clock_ms();
		dlist_push_head(&peer->idle, &link->node);
		return;
	}
	peer->grow_after_ms = clock_ms() + GROW_PAUSE_MS;
	if (peer->links_count == 1)
	{
		report_unreachable(peer, link->conn->error);
		/* the next request may connect at once */
		peer->grow_after_ms = 0;
		dlist_foreach_modify(iter, &peer->waiting)
		{
			RelayRequest *request = dlist_container(RelayRequest, node, iter.cur);

			dlist_delete(iter.cur);
			request_fail(request, link->conn->error, true);
		}
	}
	link_destroy(link);
}

/* after its connection has advanced: settle, free or destroy the link */
static void
link_look(RelayLink *link)
{
	RelayPeer *peer = link->peer;

	if (peer->connecting == link)
	{
		if (link->conn->state == CONN_READY || link->conn->state == CONN_OFF)
			link_settle(link);
		return;
	}
	if (link->conn->state != CONN_READY)
	{
		FB_ASSERT(link->request == NULL);
		link_destroy(link);
		return;
	}
	if (link->request != NULL || link->idle_since_ms != 0)
		return;
	if (link->retired)
	{
		link_destroy(link);
		return;
	}
	dlist_delete(&link->node);
	link->idle_since_ms = clock_ms();
	dlist_push_head(&peer->idle, &link->node);
}

static void
link_start(RelayLink *link, RelayRequest *request)
{
	dlist_delete(&link->node);
	dlist_push_tail(&link->peer->busy, &link->node);
	link->idle_since_ms = 0;
	link->request = request;
	if (conn_send(link->conn, request->request, relay_take_answer, link))
		conn_sync(link->conn);
	else if (link->request != NULL)
	{
		/* the request was not sent, and the connection cannot be used any longer */
		link->request = NULL;
		request_fail(request, link->conn->error, true);
		conn_close(link->conn);
	}
	link_look(link);
}

/* ---- peers ---- */

static RelayPeer *
peer_find(const char *address)
{
	dlist_iter iter;
	RelayPeer *peer;

	dlist_foreach(iter, &peers)
	{
		peer = dlist_container(RelayPeer, node, iter.cur);
		if (strcmp(peer->address, address) == 0)
			return peer;
	}
	peer = MemoryContextAllocZero(TopMemoryContext, sizeof(RelayPeer));
	strlcpy(peer->address, address, sizeof(peer->address));
	dlist_init(&peer->waiting);
	dlist_init(&peer->idle);
	dlist_init(&peer->busy);
	dlist_push_tail(&peers, &peer->node);
	return peer;
}

/* pass waiting requests to idle connections; add a connection where none is idle */
static void
peer_dispatch(RelayPeer *peer)
{
	while (!dlist_is_empty(&peer->waiting) && !dlist_is_empty(&peer->idle))
	{
		RelayLink *link = dlist_head_element(RelayLink, node, &peer->idle);
		RelayRequest *request;

		/* notices if the other node has closed it */
		(void) conn_advance(link->conn);
		if (link->conn->state != CONN_READY)
		{
			link_destroy(link);
			continue;
		}
		request = dlist_container(RelayRequest, node, dlist_pop_head_node(&peer->waiting));
		if (!exchange_begin(request->ticket))
		{
			request_drop(request);
			continue;
		}
		link_start(link, request);
	}
	if (dlist_is_empty(&peer->waiting) || peer->connecting != NULL)
		return;
	if (peer->links_count < Max(guc_relay_connections, 1) && clock_ms() >= peer->grow_after_ms)
	{
		link_create(peer);
		link_look(peer->connecting);
	}
}

static void
peer_look_at_waiting(RelayPeer *peer, uint64 now_ms)
{
	bool stalled = peer->links_count >= Max(guc_relay_connections, 1) && peer->connecting == NULL &&
				   now_ms >= peer->answered_ms + STALLED_MS;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &peer->waiting)
	{
		RelayRequest *request = dlist_container(RelayRequest, node, iter.cur);
		bool abandoned = exchange_is_abandoned(request->ticket);

		if (!abandoned && !(stalled && now_ms >= request->arrived_ms + STALLED_MS))
			continue;
		dlist_delete(iter.cur);
		if (abandoned)
			request_drop(request);
		else
			request_return(request);
	}
}

/* actions that depend on time only */
static void
peer_look_at_clock(RelayPeer *peer, uint64 now_ms)
{
	dlist_mutable_iter iter;

	peer_look_at_waiting(peer, now_ms);
	dlist_foreach_modify(iter, &peer->busy)
	{
		RelayLink *link = dlist_container(RelayLink, node, iter.cur);
		RelayRequest *request = link->request;

		if (request == NULL)
			continue;
		if (request->abandoned_ms == 0 && exchange_is_abandoned(request->ticket))
			request->abandoned_ms = now_ms;
		if (request->abandoned_ms == 0 || now_ms < request->abandoned_ms + ABANDONED_MS)
			continue;
		/* closing the connection answers the request */
		conn_close(link->conn);
		link_look(link);
	}
	dlist_foreach_modify(iter, &peer->idle)
	{
		RelayLink *link = dlist_container(RelayLink, node, iter.cur);

		if (now_ms >= link->idle_since_ms + IDLE_MS)
			link_destroy(link);
	}
}

static void
peer_free_unused(RelayPeer *peer)
{
	if (peer->links_count > 0 || !dlist_is_empty(&peer->waiting))
		return;
	dlist_delete(&peer->node);
	pfree(peer);
}

static void
retire_links(dlist_head *links)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, links)
	{
		RelayLink *link = dlist_container(RelayLink, node, iter.cur);

		link->retired = true;
		/* a busy link is destroyed when its request ends */
		if (link->idle_since_ms != 0)
			link_destroy(link);
	}
}

void
wire_relay_reconnect(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &peers)
	{
		RelayPeer *peer = dlist_container(RelayPeer, node, iter.cur);

		retire_links(&peer->idle);
		retire_links(&peer->busy);
		if (peer->connecting != NULL)
			peer->connecting->retired = true;
	}
}

/* ---- the loop ---- */

static void
take_requests(void)
{
	for (;;)
	{
		MemoryContext context =
			AllocSetContextCreate(TopMemoryContext, "fabric relayed request", ALLOCSET_SMALL_SIZES);
		char address[WIRE_ADDRESS_BYTES];
		char kind;
		FbBytes bytes;
		int ticket = exchange_take(context, &kind, address, &bytes);
		RelayRequest *request;

		if (ticket < 0)
		{
			MemoryContextDelete(context);
			return;
		}
		request = MemoryContextAllocZero(context, sizeof(RelayRequest));
		request->context = context;
		request->peer = peer_find(address);
		request->ticket = ticket;
		request->arrived_ms = clock_ms();
		request->request = unpack_request(context, kind, bytes);
		dlist_push_tail(&request->peer->waiting, &request->node);
	}
}

static void
list_conns_of(dlist_head *links)
{
	dlist_iter iter;

	dlist_foreach(iter, links) conns[conns_count++] =
		dlist_container(RelayLink, node, iter.cur)->conn;
}

static void
list_conns(void)
{
	dlist_iter iter;
	int needed = 0;

	if (!conns_changed)
		return;
	dlist_foreach(iter, &peers) needed += dlist_container(RelayPeer, node, iter.cur)->links_count;
	if (needed > conns_capacity)
	{
		conns = conns == NULL ? MemoryContextAlloc(TopMemoryContext, needed * sizeof(WireConn *))
							  : repalloc(conns, needed * sizeof(WireConn *));
		conns_capacity = needed;
	}
	conns_count = 0;
	dlist_foreach(iter, &peers)
	{
		RelayPeer *peer = dlist_container(RelayPeer, node, iter.cur);

		list_conns_of(&peer->idle);
		list_conns_of(&peer->busy);
		if (peer->connecting != NULL)
			conns[conns_count++] = peer->connecting->conn;
	}
	conns_changed = false;
	exchange_publish_connections(conns_count);
}

static void
advance_links(dlist_head *links)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, links)
	{
		RelayLink *link = dlist_container(RelayLink, node, iter.cur);

		if (!link->conn->signaled)
			continue;
		link->conn->signaled = false;
		(void) conn_advance(link->conn);
		link_look(link);
	}
}

static void
peer_advance(RelayPeer *peer)
{
	/* idle links first, so that a link that becomes idle is not advanced twice */
	advance_links(&peer->idle);
	advance_links(&peer->busy);
	if (peer->connecting != NULL)
	{
		(void) conn_advance(peer->connecting->conn);
		link_look(peer->connecting);
	}
}

static long
nap_ms(void)
{
	dlist_iter iter;
	long nap = conns_count > 0 ? NAP_MS : -1;

	dlist_foreach(iter, &peers)
	{
		RelayPeer *peer = dlist_container(RelayPeer, node, iter.cur);
		long conn_ms =
			peer->connecting != NULL ? conn_timeout_ms(peer->connecting->conn, false) : -1;

		if (conn_ms >= 0 && (nap < 0 || conn_ms < nap))
			nap = conn_ms;
		if (!dlist_is_empty(&peer->waiting))
			nap = nap < 0 ? NAP_MS : Min(nap, NAP_MS);
	}
	return nap;
}

void
wire_relay_turn(void)
{
	uint64 now_ms = clock_ms();
	static uint64 looked_ms = 0;
	dlist_mutable_iter iter;

	take_requests();
	dlist_foreach_modify(iter, &peers)
	{
		RelayPeer *peer = dlist_container(RelayPeer, node, iter.cur);

		peer_dispatch(peer);
		if (now_ms >= looked_ms + NAP_MS)
		{
			peer_look_at_clock(peer, now_ms);
			peer_free_unused(peer);
		}
	}
	if (now_ms >= looked_ms + NAP_MS)
	{
		looked_ms = now_ms;
		condition_expire("node", UNASKED_MS);
	}
	list_conns();
	if (conn_waiter_wait(&waiter, conns, conns_count, nap_ms(), PG_WAIT_EXTENSION) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	dlist_foreach_modify(iter, &peers) peer_advance(dlist_container(RelayPeer, node, iter.cur));
}
