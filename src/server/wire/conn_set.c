/*
 * conn_set.c: one wait for many connections, and the long-lived connections of an orderer worker.
 *
 * The wait event set is rebuilt when its list of sockets changes, and at every wait while a
 * connection is being established (libpq may then replace a socket by another with the same
 * number). PostgreSQL 15 cannot remove an event from a set.
 */
#include "server/wire/wire_internal.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/wait_event.h"

#include "server/pg/compat.h"

typedef struct ConnWaiterEntry
{
	uint64 generation;
	int position; /* in the wait event set */
	uint32 events;
} ConnWaiterEntry;

/* ---- waiting ---- */

static uint32
wanted_events(const WireConn *conn)
{
	if (conn->state == CONN_CONNECTING)
		return conn->wants_write ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
	/*
	 * Also wait for input while sending: the other node may have to send before it can receive
	 * more.
	 */
	return conn->wants_write ? WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
}

static bool
waiter_fits(const ConnWaiter *waiter, WireConn *const *conns, int conns_count)
{
	int entry_index = 0;

	if (waiter->events == NULL)
		return false;
	for (int index = 0; index < conns_count; index++)
	{
		if (conns[index]->pg == NULL)
			continue; /* no socket yet */
		if (conns[index]->state == CONN_CONNECTING)
			return false;
		if (entry_index >= waiter->count ||
			waiter->entries[entry_index].generation != conns[index]->generation)
			return false;
		entry_index++;
	}
	return entry_index == waiter->count;
}

static void
waiter_build(ConnWaiter *waiter, WireConn *const *conns, int conns_count)
{
	conn_waiter_close(waiter);
	if (waiter->capacity < conns_count)
	{
		Size size = sizeof(ConnWaiterEntry) * conns_count;

		waiter->entries = waiter->entries == NULL ? MemoryContextAlloc(TopMemoryContext, size)
												  : repalloc(waiter->entries, size);
		waiter->capacity = conns_count;
	}
	waiter->events = compat_wait_event_set_create(conns_count + 2);
	AddWaitEventToSet(waiter->events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(waiter->events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int index = 0; index < conns_count; index++)
	{
		WireConn *conn = conns[index];
		ConnWaiterEntry *entry;

		if (conn->pg == NULL)
			continue;
		entry = &waiter->entries[waiter->count++];
		entry->generation = conn->generation;
		entry->events = wanted_events(conn);
		entry->position =
			AddWaitEventToSet(waiter->events, entry->events, PQsocket(conn->pg), NULL, conn);
	}
}

uint32
conn_waiter_wait(ConnWaiter *waiter, WireConn *const *conns, int conns_count, long timeout_ms,
				 uint32 wait_event)
{
	WaitEvent occurred[FB_RAFT_NODES_MAX + 2];
	int occurred_count;
	uint32 result = 0;

	if (!waiter_fits(waiter, conns, conns_count))
		waiter_build(waiter, conns, conns_count);
	else
	{
		int entry_index = 0;

		for (int index = 0; index < conns_count; index++)
		{
			ConnWaiterEntry *entry;
			uint32 events;

			if (conns[index]->pg == NULL)
				continue;
			entry = &waiter->entries[entry_index++];
			events = wanted_events(conns[index]);
			if (events != entry->events)
			{
				ModifyWaitEvent(waiter->events, entry->position, events, NULL);
				entry->events = events;
			}
		}
	}
	occurred_count =
		WaitEventSetWait(waiter->events, timeout_ms, occurred, lengthof(occurred), wait_event);
	for (int index = 0; index < occurred_count; index++)
	{
		if (occurred[index].events & WL_LATCH_SET)
			result |= WL_LATCH_SET;
		else if (occurred[index].user_data != NULL)
			((WireConn *) occurred[index].user_data)->signaled = true;
	}
	return result;
}

void
conn_waiter_close(ConnWaiter *waiter)
{
	if (waiter->events != NULL)
		FreeWaitEventSet(waiter->events);
	waiter->events = NULL;
	waiter->count = 0;
}

/* ---- the set ---- */

/*
 * Pause after a refusal: a node that refuses one message also refuses the next, and each refusal
 * adds a line to its log.
 */
#define REFUSED_PAUSE_MS_MIN 500
#define REFUSED_PAUSE_MS_MAX 2000

typedef struct SetPeer
{
	uint64 id;
	WireConn *conn;
	bool wanted;			/* used by wire_set_configure only */
	bool refused;			/* the last answer to a message was an error */
	bool denied;			/* ... and said that this node is no consenter */
	uint64 pause_ms;		/* length of the pause after such an answer */
	uint64 paused_until_ms; /* end of the pause, of clock_ms */
	uint64 sent_count;
	uint64 dropped_count;
} SetPeer;

struct WireSet
{
	SetPeer peers[FB_RAFT_NODES_MAX];
	int peers_count;
	const char *channel;
	ConnWaiter waiter;
	bool forward_refused; /* a forward was refused since the last wire_set_take_refusal */
};

static void
set_close(int code, Datum arg)
{
	WireSet *set = (WireSet *) DatumGetPointer(arg);

	while (set->peers_count > 0)
		conn_destroy(set->peers[--set->peers_count].conn);
}

WireSet *
wire_set_create(const char *channel)
{
	WireSet *set = MemoryContextAllocZero(TopMemoryContext, sizeof(WireSet));

	set->channel = channel;
	on_proc_exit(set_close, PointerGetDatum(set));
	return set;
}

static SetPeer *
find_peer(WireSet *set, uint64 peer_id)
{
	for (int index = 0; index < set->peers_count; index++)
	{
		if (set->peers[index].id == peer_id)
			return &set->peers[index];
	}
	return NULL;
}

/* subject of the peer's condition; valid until the next call */
static const char *
peer_subject(const SetPeer *peer)
{
	static char subject[24];

	snprintf(subject, sizeof(subject), UINT64_FORMAT, peer->id);
	return subject;
}

void
wire_set_configure(WireSet *set, const WireSetPeer *peers, int peers_count)
{
	int kept_count = 0;

	FB_ASSERT(peers_count <= FB_RAFT_NODES_MAX);
	for (int index = 0; index < set->peers_count; index++)
		set->peers[index].wanted = false;
	for (int index = 0; index < peers_count; index++)
	{
		SetPeer *peer = find_peer(set, peers[index].id);

		if (peer != NULL && strcmp(peer->conn->address, peers[index].address) == 0)
			peer->wanted = true;
	}
	for (int index = 0; index < set->peers_count; index++)
	{
		if (set->peers[index].wanted)
			set->peers[kept_count++] = set->peers[index];
		else
		{
			condition_end(set->channel, "consenter", peer_subject(&set->peers[index]));
			conn_destroy(set->peers[index].conn);
		}
	}
	set->peers_count = kept_count;
	for (int index = 0; index < peers_count; index++)
	{
		SetPeer *peer;

		if (find_peer(set, peers[index].id) != NULL)
			continue;
		peer = &set->peers[set->peers_count];
		memset(peer, 0, sizeof(*peer));
		peer->id = peers[index].id;
		peer->conn = conn_create(peers[index].address);
		set->peers_count++;
	}
	conn_waiter_close(&set->waiter);
}

/*
 * ConnAnswer of a forward. The answer true (queued) needs no action: the log will show the
 * envelopes.
 */
static void
forward_answer(void *owner, WireConn *conn, PGresult *result)
{
	WireSet *set = owner;

	if (result == NULL)
		return; /* note_state reports lost connections */
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
		PQgetlength(result, 0, 0) != 1 || PQgetvalue(result, 0, 0)[0] == 0)
		set->forward_refused = true;
	PQclear(result);
}

/* ConnAnswer of a Raft message. A success needs no action; the reason of a refusal is reported. */
static void
raft_answer(void *owner, WireConn *conn, PGresult *result)
{
	WireSet *set = owner;
	SetPeer *peer = NULL;
	WireError error;
	FbError why;

	for (int index = 0; index < set->peers_count; index++)
		if (set->peers[index].conn == conn)
			peer = &set->peers[index];
	if (result == NULL || peer == NULL)
	{
		PQclear(result);
		return;
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		if (peer->refused)
			condition_end(set->channel, "consenter", peer_subject(peer));
		peer->refused = peer->denied = false;
		peer->pause_ms = 0;
		PQclear(result);
		return;
	}
	remote_error(&error, conn->address, result);
	PQclear(result);
	/*
	 * Ignore a node that shuts down, which note_state reports, and refusals of messages that were
	 * sent before the pause.
	 */
	if (error.error.status == FB_NODE_UNREACHABLE || clock_ms() < peer->paused_until_ms)
		return;
	fb_fail(&why, error.error.status, "consenter %llu at %s refuses the messages of this node: %s",
			(unsigned long long) peer->id, conn->address, error.error.message);
	fb_error_detail(&why, "%s", error.error.detail);
	fb_error_hint(&why, "%s", error.error.hint);
	condition_report(set->channel, "consenter", peer_subject(peer), &why);
	peer->refused = true;
	peer->denied = error.error.status == FB_ACCESS_DENIED;
	peer->pause_ms = Min(Max(peer->pause_ms * 2, REFUSED_PAUSE_MS_MIN), REFUSED_PAUSE_MS_MAX);
	peer->paused_until_ms = clock_ms() + peer->pause_ms;
}

static bool
set_send(WireSet *set, uint64 peer_id, const RemoteRequest *request, ConnAnswer answer)
{
	SetPeer *peer = find_peer(set, peer_id);

	if (peer == NULL)
		return false;
	if (peer->conn->state != CONN_READY || clock_ms() < peer->paused_until_ms ||
		peer->conn->pending_bytes > WIRE_UNSENT_BYTES_MAX ||
		!conn_send(peer->conn, request, answer, set))
	{
		peer->dropped_count++;
		return false;
	}
	peer->sent_count++;
	return true;
}

bool
wire_set_send_raft(WireSet *set, uint64 peer_id, const char *channel, uint64 sender_id,
				   FbBytes message)
{
	RemoteRequest request;

	remote_request_raft_receive(&request, channel, sender_id, message);
	return set_send(set, peer_id, &request, raft_answer);
}

bool
wire_set_send_forward(WireSet *set, uint64 peer_id, const char *channel, uint64 sender_id,
					  FbBytes envelopes)
{
	RemoteRequest request;

	remote_request_raft_forward(&request, channel, sender_id, envelopes);
	return set_send(set, peer_id, &request, forward_answer);
}

bool
wire_set_take_refusal(WireSet *set)
{
	bool refused = set->forward_refused;

	set->forward_refused = false;
	return refused;
}

bool
wire_set_denied(const WireSet *set)
{
	for (int index = 0; index < set->peers_count; index++)
		if (set->peers[index].denied)
			return true;
	return false;
}

void
wire_set_flush(WireSet *set)
{
	for (int index = 0; index < set->peers_count; index++)
		conn_sync(set->peers[index].conn);
}

/* called after a failed attempt to connect, and when a connection is established or lost */
static void
note_state(WireSet *set, SetPeer *peer, bool was_ready)
{
	const WireConn *conn = peer->conn;
	FbError why;

	if (conn->state == CONN_READY)
	{
		/* after a refusal only the next answer can end the condition */
		if (!peer->refused)
			condition_end(set->channel, "consenter", peer_subject(peer));
		return;
	}
	fb_fail(&why, FB_NODE_UNREACHABLE,
			was_ready ? "lost connection to consenter %llu at %s"
					  : "could not connect to consenter %llu at %s",
			(unsigned long long) peer->id, conn->address);
	fb_error_detail(&why, "%s", conn->error);
	condition_report(set->channel, "consenter", peer_subject(peer), &why);
	/* the condition now has another reason */
	peer->refused = peer->denied = false;
	peer->paused_until_ms = 0;
}

/*
 * Start due connections and advance all. True if one was established or lost, or a forward was
 * refused.
 */
static bool
set_advance(WireSet *set)
{
	uint64 now_ms = clock_ms();
	bool changed = false;

	for (int index = 0; index < set->peers_count; index++)
	{
		WireConn *conn = set->peers[index].conn;
		bool was_ready = conn->state == CONN_READY;
		int failures_count = conn->failures_count;

		if (conn->state == CONN_OFF && conn->retry_at_ms <= now_ms)
			(void) conn_connect(conn);
		(void) conn_advance(conn);
		if (was_ready != (conn->state == CONN_READY))
			changed = true;
		if (was_ready != (conn->state == CONN_READY) ||
			(conn->state == CONN_OFF && conn->failures_count != failures_count))
			note_state(set, &set->peers[index], was_ready);
	}
	return changed || set->forward_refused;
}

void
wire_set_wait(WireSet *set, long timeout_ms)
{
	WireConn *conns[FB_RAFT_NODES_MAX];
	uint64 end_ms = timeout_ms < 0 ? UINT64_MAX : clock_ms() + timeout_ms;

	wire_set_flush(set);
	for (int index = 0; index < set->peers_count; index++)
		conns[index] = set->peers[index].conn;
	for (;;)
	{
		uint64 now_ms;
		long wait_ms = -1;

		if (set_advance(set))
			return;
		now_ms = clock_ms();
		if (end_ms != UINT64_MAX)
			wait_ms = now_ms >= end_ms ? 0 : (long) (end_ms - now_ms);
		for (int index = 0; index < set->peers_count; index++)
		{
			long conn_ms = conn_timeout_ms(conns[index], true);

			if (conn_ms >= 0 && (wait_ms < 0 || conn_ms < wait_ms))
				wait_ms = conn_ms;
		}
		if (conn_waiter_wait(&set->waiter, conns, set->peers_count, wait_ms, PG_WAIT_EXTENSION) &
			WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			break;
		}
		if (clock_ms() >= end_ms)
			break;
	}
	(void) set_advance(set);
}

bool
wire_set_connected(const WireSet *set, uint64 peer_id)
{
	const SetPeer *peer = find_peer((WireSet *) set, peer_id);

	return peer != NULL && peer->conn->state == CONN_READY;
}

bool
wire_set_peer_state(const WireSet *set, uint64 peer_id, WireSetPeerState *state)
{
	const SetPeer *peer = find_peer((WireSet *) set, peer_id);

	if (peer == NULL)
		return false;
	state->connected = peer->conn->state == CONN_READY;
	state->sent_count = peer->sent_count;
	state->dropped_count = peer->dropped_count;
	strlcpy(state->address, peer->conn->address, sizeof(state->address));
	strlcpy(state->last_error, peer->conn->error, sizeof(state->last_error));
	return true;
}
