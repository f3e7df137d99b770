/*
 * Private header of wire: one connection (conn.c), waiting for many connections (conn_set.c), the
 * texts of remote statements (remote.c), the location of a node (address_book.c, resolve.c), the
 * requests of all sessions over a few connections (relay.c).
 */
#ifndef FABRIC_SERVER_WIRE_INTERNAL_H
#define FABRIC_SERVER_WIRE_INTERNAL_H

#include "server/wire/wire.h"

#include "libpq-fe.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "server/pg/pg.h"

/*
 * back-off between attempts of long-lived connections: short, so that a node that restarts is
 * connected again quickly
 */
#define CONN_RETRY_MIN_MS 50
#define CONN_RETRY_MAX_MS 2000
/* commands in flight on one connection: bounds the memory for expected answers */
#define CONN_PENDING_MAX 4096

/* ---- remote.c ---- */

typedef enum RemoteStatement
{
	REMOTE_ENDORSE,
	REMOTE_SUBMIT,
	REMOTE_DELIVER,
	REMOTE_RAFT_RECEIVE,
	REMOTE_RAFT_FORWARD,
	REMOTE_PRIVATE_PUT,
	REMOTE_PRIVATE_GET,
	REMOTE_STATEMENTS_COUNT
} RemoteStatement;

#define REMOTE_PARAMETERS_MAX 3

typedef struct RemoteStatementText
{
	const char *name; /* of the prepared statement */
	const char *sql;
	int parameters_count;
	Oid parameter_types[REMOTE_PARAMETERS_MAX];
} RemoteStatementText;

extern const RemoteStatementText remote_statements[REMOTE_STATEMENTS_COUNT];

/* one request: a statement and its parameters in PostgreSQL's binary form */
typedef struct RemoteRequest
{
	RemoteStatement statement;
	FbBytes parameters[REMOTE_PARAMETERS_MAX];
	uint8_t integers[REMOTE_PARAMETERS_MAX][8]; /* storage for integer parameters */
	size_t answer_bytes_max;					/* a longer answer ends the connection */
	/* key of the answer's measured time, see pg/answer_times.c; 0: not measured */
	uint64 label;
} RemoteRequest;

/* the service of the other node that handles this request; false: the time is not measured */
extern bool remote_answer_kind(const RemoteRequest *request, AnswerKind *kind);

/* fill *request; it borrows the bytes, and points into itself (do not copy it by assignment) */
extern void remote_request_endorse(RemoteRequest *request, FbBytes signed_proposal,
								   uint64 min_height, uint64 seen_height);
extern void remote_request_submit(RemoteRequest *request, const char *channel, FbBytes envelope);
extern void remote_request_deliver(RemoteRequest *request, FbBytes seek, int32 bytes_max,
								   int32 wait_ms);
extern void remote_request_raft_receive(RemoteRequest *request, const char *channel,
										uint64 sender_id, FbBytes message);
extern void remote_request_raft_forward(RemoteRequest *request, const char *channel,
										uint64 sender_id, FbBytes envelopes);
extern void remote_request_private_put(RemoteRequest *request, FbBytes signed_request,
									   const char *tx_id, FbBytes private_rwset);
extern void remote_request_private_get(RemoteRequest *request, FbBytes signed_request,
									   uint64 block_number, int32 position);
/* deep copy into a memory context */
extern RemoteRequest *remote_request_copy(MemoryContext context, const RemoteRequest *request);
/*
 * True if the time of this answer is typical: false for an answer that was refused before the
 * work, or after a wait.
 */
extern bool remote_is_usual(const PGresult *result);
/* convert a failed result */
extern void remote_error(WireError *to, const char *address, const PGresult *result);
/* for a node that could not be reached (not_executed), or that did not answer */
extern void wire_error_unreachable(WireError *to, const char *address, const char *reason,
								   bool not_executed);
/*
 * The refusal in an error of status FB_CHAINCODE_ERROR, packed for the way from the relay to a
 * session; allocated in context.
 */
extern FbBytes remote_pack_refusal(MemoryContext context, const PGresult *result);
/* note an answer, or an error as answer, in pg/contacts.c */
extern void remote_note_contact(const char *address, const PGresult *result);
/* unpack a refusal and convert it to this database's encoding; allocated in context */
extern WireRefusal *remote_refusal(MemoryContext context, FbBytes packed);

/* true for a function of schema fabric_internal that one of the statements calls */
extern bool remote_function_is(const char *function_name);

/* ---- node_login.c, node_session.c: sessions of other nodes on this node ---- */

extern void node_session_install(void);
/*
 * Call once the client of this backend is known to be a node: from then on the session is
 * restricted, and its log messages are limited.
 */
extern void node_session_start(Oid role_id, const char *role_name);

/* ---- address_book.c ---- */

/*
 * All libpq options to reach an address, as keyword and value arrays that end with NULL, palloc'ed
 * in the current memory context. Starts a transaction if there is none. Returns FB_NOT_CONFIGURED
 * or FB_INVALID_ARGUMENT on failure.
 */
typedef struct ConnOptions
{
	const char **keywords;
	const char **values;
} ConnOptions;

extern FbStatus address_book_options(const char *address, ConnOptions *options, FbError *error);
/* the value of an option; NULL if it is not set */
extern const char *conn_option(const ConnOptions *options, const char *keyword);
extern void conn_option_set(ConnOptions *options, const char *keyword, const char *value);

/* ---- resolve.c: addresses of a name, without waiting ---- */

typedef struct Resolution Resolution;

typedef enum ResolveState
{
	RESOLVE_RUNNING,
	RESOLVE_DONE,
	RESOLVE_FAILED
} ResolveState;

/* true for a name; false for an address or a socket directory */
extern bool resolve_needed(const char *host);
extern Resolution *resolve_start(const char *host); /* NULL when that is not possible now */
/*
 * RESOLVE_DONE: *hosts and *addresses are lists of the same length, for libpq's options host and
 * hostaddr, palloc'ed. RESOLVE_FAILED: *error says why, a constant text.
 */
extern ResolveState resolve_poll(Resolution *resolution, char **hosts, char **addresses,
								 const char **error);
extern void resolve_release(Resolution *resolution);

/* ---- conn.c: one connection ---- */

/*
 *            conn_connect            address known            established
 *     OFF  ----------------> RESOLVING ------------> CONNECTING ---------> READY
 *      ^                         |                       |                  |
 *      +-------------------------+-----------------------+------------------+
 *                 conn_fail (refused, timeout, broken), conn_close
 */
typedef enum ConnState
{
	/*
	 * No socket. Entered by creation, by a failure (then retry_at_ms is the time of the next
	 * attempt), by conn_close. Left by conn_connect.
	 */
	CONN_OFF,
	/*
	 * Waiting for the name service. Entered by conn_connect, unless the address is known. Left by
	 * conn_advance, which fails the connection when connect_deadline_ms has passed. No file
	 * descriptor becomes ready: the caller must poll.
	 */
	CONN_RESOLVING,
	/*
	 * libpq is establishing the connection. Entered by conn_connect or conn_advance. Left by
	 * conn_advance when the socket is ready, or when connect_deadline_ms has passed.
	 */
	CONN_CONNECTING,
	/*
	 * In pipeline mode, requests may be sent. Entered by conn_advance. Left when the connection
	 * breaks or is closed.
	 */
	CONN_READY
} ConnState;

typedef struct WireConn WireConn;

/*
 * Callback for the end of a request. result != NULL is its answer, which the owner must PQclear.
 * NULL: the connection ended first; conn->error has the reason.
 */
typedef void (*ConnAnswer)(void *owner, WireConn *conn, PGresult *result);

/* the owner of one of the next results of libpq */
typedef struct ConnPending
{
	enum
	{
		PENDING_PREPARE,
		PENDING_QUERY,
		PENDING_SYNC
	} kind;
	bool answered; /* the result has arrived; the NULL that ends it is still missing */
	RemoteStatement statement;
	size_t bytes;
	size_t answer_bytes_max;
	ConnAnswer answer; /* NULL: discard the result */
	void *owner;
} ConnPending;

struct WireConn
{
	ConnState state;
	char address[WIRE_ADDRESS_BYTES];
	PGconn *pg; /* NULL if OFF */
	/* changes with every attempt, because a new socket may have an old number */
	uint64 generation;
	/* libpq has data to send (or, while connecting, waits for a writable socket) */
	bool wants_write;
	bool synced; /* no request was sent since the last sync */
	/* of clock_ms */
	uint64 connect_start_ms;
	uint64 connect_deadline_ms;
	uint64 retry_at_ms;
	/* while RESOLVING */
	Resolution *resolution;
	MemoryContext options_context; /* owns options */
	ConnOptions options;
	int failures_count; /* since the last success */
	bool prepared[REMOTE_STATEMENTS_COUNT];
	/* ring of pending_capacity entries, which grows up to CONN_PENDING_MAX */
	ConnPending *pending;
	int pending_capacity;
	int pending_first;
	int pending_count;
	size_t pending_bytes; /* sent and not yet answered */
	/* bytes received over the socket when the oldest pending entry became the oldest */
	uint64 received_before;
	/* complete text of the last failure; empty after a successful connect */
	char error[FB_ERROR_DETAIL_BYTES];
	/* a callback is running, and must not free the connection */
	bool in_answer;
	bool flooded; /* ended because an answer was longer than its request allows */
	/* set by conn_waiter_wait when the socket is ready; cleared by the relay */
	bool signaled;
};

/* in TopMemoryContext */
extern WireConn *conn_create(const char *address);
/* start to connect; false if that fails at once (see conn->error) */
extern bool conn_connect(WireConn *conn);
/*
 * Do everything possible without waiting: connect, send, take answers (calls ConnAnswer). True if
 * something changed.
 */
extern bool conn_advance(WireConn *conn);
/*
 * In CONN_READY only. Queue a request; answer may be NULL. False if too many requests are pending,
 * or the connection just failed.
 */
extern bool conn_send(WireConn *conn, const RemoteRequest *request, ConnAnswer answer, void *owner);
/*
 * End the batch of requests sent since the last sync and send it. An error in a batch undoes only
 * that batch.
 */
extern void conn_sync(WireConn *conn);
/*
 * Bytes received over the current socket, as the operating system counts them. 0 for Unix-domain
 * sockets, whose other end is on this machine.
 */
extern uint64 conn_received_bytes(const WireConn *conn);
/* forget an owner: its answer will be discarded */
extern void conn_forget(WireConn *conn, void *owner);
extern void conn_close(WireConn *conn); /* to OFF; calls all pending callbacks */
extern void conn_destroy(WireConn *conn);
/*
 * Milliseconds until conn_advance must be called although the socket is not ready (connect
 * timeout, retry); -1: never.
 */
extern long conn_timeout_ms(const WireConn *conn, bool reconnects);

/* ---- conn_set.c: waiting ---- */

typedef struct ConnWaiter
{
	WaitEventSet *events;
	int count; /* of connections in the set */
	int capacity;
	struct ConnWaiterEntry *entries;
} ConnWaiter;

/*
 * Sleep on the latch, postmaster death and the sockets of these connections, at most timeout_ms
 * (-1: no limit). Returns WL_LATCH_SET if the latch is set (it is not reset here). Does not
 * advance the connections.
 */
extern uint32 conn_waiter_wait(ConnWaiter *waiter, WireConn *const *conns, int conns_count,
							   long timeout_ms, uint32 wait_event);
extern void conn_waiter_close(ConnWaiter *waiter);

/* ---- relay.c: the session's side ---- */

/* kinds of answers; EXCHANGE_ASK_YOURSELF is one more */
#define RELAY_ANSWER_ROW 'r'   /* the bytes are the row's values, see relay_value */
#define RELAY_ANSWER_NONE 'n'  /* not one row */
#define RELAY_ANSWER_ERROR 'x' /* the bytes are a WireError */

/*
 * Pass a request to the relay. Returns a ticket of pg/exchange.c, or -1: this session must use its
 * own connection. Does not wait.
 */
extern int relay_ask(const char *address, const RemoteRequest *request);
/* a value of the row in an answer; false when the column does not exist, or the value is null */
extern bool relay_value(FbBytes answer, int column, FbBytes *value);

#endif
