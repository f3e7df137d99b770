/*
 * Private header of wire: one connection (conn.c), waiting for many (conn_set.c), the texts of
 * remote statements (remote.c), where a node is (address_book.c, resolve.c), the requests of all
 * sessions over a few connections (relay.c).
 */
#ifndef FABRIC_SERVER_WIRE_INTERNAL_H
#define FABRIC_SERVER_WIRE_INTERNAL_H

#include "server/wire/wire.h"

#include "libpq-fe.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "server/pg/pg.h"

/*
 * back-off between attempts of long-lived connections: short enough for a node that restarts to be
 * back at once
 */
#define CONN_RETRY_MIN_MS 50
#define CONN_RETRY_MAX_MS 2000
/* commands in flight on one connection: bounds the memory for answers that are still expected */
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
	uint8_t integers[REMOTE_PARAMETERS_MAX][8]; /* where integer parameters are put */
	size_t answer_bytes_max; /* a node that sends more is not listened to any longer */
	uint64 label; /* under which its answer's time is kept, see pg/answer_times.c; 0: it is not */
} RemoteRequest;

/* what the other node does for this request; false: nothing whose time is measured */
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
 * does the time that this answer took tell how long such answers take? An answer that was refused
 * before anything was done, or after a wait, does not
 */
extern bool remote_is_usual(const PGresult *result);
/* what a failed result says */
extern void remote_error(WireError *to, const char *address, const PGresult *result);
/* of a node that could not be reached (not_executed), or whose answer did not come */
extern void wire_error_unreachable(WireError *to, const char *address, const char *reason,
								   bool not_executed);
/*
 * the refusal in an error of status FB_CHAINCODE_ERROR, as it travels from the relay to a session;
 * allocated in context
 */
extern FbBytes remote_pack_refusal(MemoryContext context, const PGresult *result);
/* unpacked, and made fit for this database's encoding; allocated in context */
/* tells pg/contacts.c of an answer, whatever it says */
extern void remote_note_contact(const char *address, const PGresult *result);
extern WireRefusal *remote_refusal(MemoryContext context, FbBytes packed);

/* is this a function of schema fabric_internal that one of the statements calls? */
extern bool remote_function_is(const char *function_name);

/* ---- node_login.c, node_session.c: the sessions of other nodes here ---- */

extern void node_session_install(void);
/*
 * once the client of this backend is known to be a node: from now on it is restricted, and its
 * messages to the log are limited
 */
extern void node_session_start(Oid role_id, const char *role_name);

/* ---- address_book.c ---- */

/*
 * Everything libpq has to know to reach an address, as keyword and value arrays ending with NULL,
 * palloc'ed in the current memory context. Starts a transaction if there is none.
 * FB_NOT_CONFIGURED, FB_INVALID_ARGUMENT.
 */
typedef struct ConnOptions
{
	const char **keywords;
	const char **values;
} ConnOptions;

extern FbStatus address_book_options(const char *address, ConnOptions *options, FbError *error);
/* the value of an option, NULL if it is not among them */
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

/* is this a name, rather than an address or a socket's directory? */
extern bool resolve_needed(const char *host);
extern Resolution *resolve_start(const char *host); /* NULL when that is not possible now */
/*
 * RESOLVE_DONE: *hosts and *addresses are lists of the same length, for libpq's options host and
 * hostaddr, palloc'ed. RESOLVE_FAILED: *error says why, a constant text.
 */
extern ResolveState resolve_poll(Resolution *resolution, char **hosts, char **addresses,
								 const char **error);
extern void resolve_release(Resolution *resolution);

/* ---- conn.c: one connection ----
 *
 *            conn_connect            address known            established
 *     OFF  ----------------> RESOLVING ------------> CONNECTING ---------> READY
 *      ^                          |                       |                  |
 *      +--------------------------+-----------------------+------------------+     conn_fail
 * (refused, timeout, broken), conn_close
 */
typedef enum ConnState
{
	/*
	 * No socket. Put there by creation, by a failure (then retry_at_ms says when it may be tried
	 * again), by conn_close. conn_connect moves it on.
	 */
	CONN_OFF,
	/*
	 * The name service is asked for the host's addresses. Put there by conn_connect, unless the
	 * address is known. conn_advance moves it on, or fails it when connect_deadline_ms has passed.
	 * There is nothing to wait on: it has to be looked at again and again.
	 */
	CONN_RESOLVING,
	/*
	 * libpq is establishing the connection. Put there by conn_connect or conn_advance. conn_advance
	 * moves it on when the socket is ready, or fails it when connect_deadline_ms has passed.
	 */
	CONN_CONNECTING,
	/*
	 * In pipeline mode, requests may be sent. Put there by conn_advance. Stays until it breaks or
	 * is closed.
	 */
	CONN_READY
} ConnState;

typedef struct WireConn WireConn;

/*
 * Told what happened to a request: result != NULL is its answer, which the owner now owns
 * (PQclear). NULL means the connection ended first; conn->error says why.
 */
typedef void (*ConnAnswer)(void *owner, WireConn *conn, PGresult *result);

/* what the next result of libpq belongs to */
typedef struct ConnPending
{
	enum
	{
		PENDING_PREPARE,
		PENDING_QUERY,
		PENDING_SYNC
	} kind;
	bool answered; /* a result came; the NULL that ends it is still to come */
	RemoteStatement statement;
	size_t bytes;
	size_t answer_bytes_max;
	ConnAnswer answer; /* NULL: nobody waits for it */
	void *owner;
} ConnPending;

struct WireConn
{
	ConnState state;
	char address[WIRE_ADDRESS_BYTES];
	PGconn *pg;		   /* NULL if OFF */
	uint64 generation; /* changes with every attempt: a new socket may have an old number */
	bool wants_write;  /* libpq has something to send (or, while connecting, waits for writable) */
	bool synced;	   /* nothing was sent since the last sync */
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
	ConnPending *pending; /* ring of pending_capacity, which grows up to CONN_PENDING_MAX */
	int pending_capacity;
	int pending_first;
	int pending_count;
	size_t pending_bytes;	/* sent and not yet answered */
	uint64 received_before; /* bytes that had come over the socket when the first of them became the
							   first */
	char error[FB_ERROR_DETAIL_BYTES]; /* last failure, whole; empty after a successful connect */
	bool in_answer;					   /* a callback runs: it must not free the connection */
	bool flooded;  /* it ended because an answer was longer than its request allows */
	bool signaled; /* set by conn_waiter_wait: its socket has something; the waiting process takes
					  it back */
};

/* in TopMemoryContext */
extern WireConn *conn_create(const char *address);
/* start connecting; false if that failed at once (conn->error) */
extern bool conn_connect(WireConn *conn);
/*
 * do whatever can be done without waiting: connect, send, take answers (calls ConnAnswer); true if
 * something changed
 */
extern bool conn_advance(WireConn *conn);
/*
 * CONN_READY only. Queue a request; answer may be NULL. False if too much is pending, or the
 * connection just failed
 */
extern bool conn_send(WireConn *conn, const RemoteRequest *request, ConnAnswer answer, void *owner);
/*
 * end the batch of requests sent since the last sync and push it out: an error in a batch undoes
 * only the batch
 */
extern void conn_sync(WireConn *conn);
/*
 * bytes that have come over its present socket, as the system counts them; 0 for sockets of this
 * machine, whose other end is no stranger
 */
extern uint64 conn_received_bytes(const WireConn *conn);
/* forget a waiter: its answer will be thrown away */
extern void conn_forget(WireConn *conn, void *owner);
extern void conn_close(WireConn *conn); /* to OFF; waiters are told */
extern void conn_destroy(WireConn *conn);
/*
 * milliseconds until conn_advance has to look without the socket asking for it (connect timeout,
 * retry); -1: never
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
 * Sleep on latch, postmaster death and the sockets of these connections, at most timeout_ms (-1: no
 * limit). Returns WL_LATCH_SET if the latch was set (not reset here). Does not advance the
 * connections.
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
 * hand a request to the relay; a ticket of pg/exchange.c, or -1: this session has to ask by itself.
 * Waits for nothing
 */
extern int relay_ask(const char *address, const RemoteRequest *request);
/* a value of the row in an answer; false when there is no such column, or it is null */
extern bool relay_value(FbBytes answer, int column, FbBytes *value);

#endif
