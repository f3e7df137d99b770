/*
 * wire: communication with other nodes. Only this directory uses libpq, and only remote.c has SQL
 * text that runs on another node.
 *
 * There are two ways to communicate. Both use connections in pipeline mode, with TLS and
 * certificates on both sides, and never block:
 *
 *   - A call: one request to one node and its answer (endorse, submit, deliver). It starts at
 *     once, and the caller collects the answer later: a caller sends all its requests before it
 *     waits for any answer. For sessions and the ledger worker.
 *   - A set: long-lived connections of an orderer worker to the other consenters, for messages
 *     without an answer. They may be lost, because Raft repeats them.
 *
 * A node that is down, slow or refuses is data, not an error: nothing here raises an error because
 * of another node. A call carries the SQLSTATE, message, detail and hint of the other node; the
 * caller decides whether to raise them.
 *
 * Addresses are "host:port" texts from the channel configuration (orderer endpoints, consenters,
 * anchor peers). Where a connection needs more, the table fabric_internal.node has libpq options
 * for the address (for example dbname, hostaddr). The login role is fabric.node_role, the database
 * has by default the same name as here, the certificates are fabric.tls_certificate_file,
 * fabric.tls_key_file and fabric.tls_ca_file; libpq always verifies the name of the other node.
 *
 * Sessions pass their endorse and submit calls to the process `fabric relay`, which has a few
 * connections to each node. Where it does not run, for calls that are too large for it, and in
 * other processes, a call has its own connection. Such connections are kept for the life of the
 * process, one idle connection per address, and closed when it exits.
 */
#ifndef FABRIC_SERVER_WIRE_H
#define FABRIC_SERVER_WIRE_H

#include "postgres.h"

#include "core/base/base.h"
#include "datatype/timestamp.h"

/* "host:port": a DNS name has at most 253 characters */
#define WIRE_ADDRESS_BYTES 272

/* ---- calls ---- */

/* why a call failed, in the words of the node where it failed */
typedef struct WireError
{
	/*
	 * status: of the other node's SQLSTATE if that is of class LF; FB_NODE_UNREACHABLE if there
	 * was no connection, the connection broke or the deadline passed; else FB_INTERNAL. message,
	 * detail, hint: texts of the other node.
	 */
	FbError error;
	char sqlstate[6]; /* of the other node; "LF503" for FB_NODE_UNREACHABLE */
	char address[WIRE_ADDRESS_BYTES];
	/*
	 * True if the other node certainly did not execute the request: it never left this node, or
	 * was refused with an error. False if the connection broke after the request was sent, and
	 * after a deadline.
	 */
	bool not_executed;
} WireError;

/*
 * A refusal by a chaincode. From another node (the error's status is FB_CHAINCODE_ERROR) the texts
 * are those of that node: in this database's encoding, at most WIRE_REFUSAL_TEXT_BYTES_MAX bytes
 * each, without control characters except line feeds and tabs.
 */
#define WIRE_REFUSAL_TEXT_BYTES_MAX 8192

typedef struct WireRefusal
{
	char sqlstate[6];	 /* raised by the chaincode; "" when the node does not tell */
	const char *message; /* not empty */
	const char *detail;	 /* NULL when there is none; likewise hint and context */
	const char *hint;
	const char *context;
} WireRefusal;

typedef struct WireCall WireCall;

/*
 * Start a call. Returns at once, after sending everything that can be sent without waiting. Local
 * problems (no free descriptor, node not configured) also become the call's error. A call started
 * inside a transaction lives at most until the end of its subtransaction (which releases it, also
 * on abort); outside of a transaction until wire_call_release.
 *
 *   - wire_endorse_start: signed_proposal is a protos.SignedProposal. min_height: the other node
 *     waits until it has this many blocks (0: no wait), and fails with FB_NODE_BEHIND if that
 *     takes too long. seen_height: the other node returns a chaincode's refusal only from a state
 *     with this many blocks. what: identifies the chaincode and function, whose calls take similar
 *     times (pg/answer_times.c). The answer is one row, a protos.ProposalResponse, and
 *     wire_call_height.
 *   - wire_submit_start: envelope is a common.Envelope. The answer is one empty row. Success means
 *     that the envelope is in the consenter's queue.
 *   - wire_deliver_start: seek is a signed common.Envelope of an ab.SeekInfo. The answer's rows
 *     are common.Block bytes in order of number, at most about bytes_max in all (at least one
 *     block); no row if no block arrived within wait_ms.
 */
extern WireCall *wire_endorse_start(const char *address, FbBytes signed_proposal, uint64 min_height,
									uint64 seen_height, FbBytes what);
extern WireCall *wire_submit_start(const char *address, const char *channel, FbBytes envelope);
extern WireCall *wire_deliver_start(const char *address, FbBytes seek, int bytes_max, int wait_ms);
/*
 * For channel/private_exchange.c. put: one row, empty. get: one row, a TxPvtReadWriteSet, empty
 * when the node has no part of it.
 */
extern WireCall *wire_private_put_start(const char *address, FbBytes signed_request,
										const char *tx_id, FbBytes private_rwset);
extern WireCall *wire_private_get_start(const char *address, FbBytes signed_request,
										uint64 block_number, int32 position);

typedef enum WireWaitMode
{
	WIRE_WAIT_ANY, /* until one of the calls unfinished at the start is finished */
	WIRE_WAIT_ALL  /* until all are finished */
} WireWaitMode;

/*
 * Drive the calls until mode is satisfied or the deadline (0: none) has passed; NULL entries are
 * skipped. Returns the number of finished calls (failed calls are finished). Interruptible: a
 * canceled statement raises its error from here, and the end of the transaction releases the
 * calls. With return_on_latch the function also returns when the process latch is set (and resets
 * it), for workers that have other work too. Calls that are not finished at the deadline do not
 * change: wait again, or release them, which closes their connections.
 */
extern int wire_wait(WireCall *const *calls, int calls_count, WireWaitMode mode,
					 TimestampTz deadline, bool return_on_latch);

/* take arrived answers without waiting; true if the call is finished */
extern bool wire_poll(WireCall *call);

extern bool wire_call_finished(const WireCall *call);
/*
 * NULL if the call succeeded. For a call that is not finished: "no answer yet" as
 * FB_NODE_UNREACHABLE. Only for a caller that stops waiting, because it may end the call.
 */
extern const WireError *wire_call_error(WireCall *call);
/* NULL if the call did not fail with FB_CHAINCODE_ERROR; borrowed until wire_call_release */
extern const WireRefusal *wire_call_refusal(const WireCall *call);
extern const char *wire_call_address(const WireCall *call);
/*
 * Bytes received from the node while the call is in progress, as far as the operating system
 * counts them: while the number grows, the answer is arriving.
 */
extern uint64 wire_call_received(const WireCall *call);
extern int wire_call_rows_count(const WireCall *call);
/* borrowed until wire_call_release */
extern FbBytes wire_call_row(const WireCall *call, int row_index);
/*
 * For an endorsement: the number of blocks that its simulation saw, according to the other node;
 * false when the answer has no valid number.
 */
extern bool wire_call_height(const WireCall *call, uint64 *height);
/*
 * True if a call of any process of this node to the address had no endorsement in time, and none
 * has arrived since: ask other nodes first. answer_take_probe decides when to ask this node
 * anyway.
 */
extern bool wire_is_silent(const char *address);
/*
 * how long to wait for this call's answer before asking another node too, from the usual time of
 * such answers
 */
extern int wire_call_patience_ms(const WireCall *call);
/*
 * This time has passed: from now until the node answers, all processes ask other nodes first. The
 * call continues.
 */
extern void wire_call_note_late(const WireCall *call);
/* Free the call, and close its connection if the answer has not arrived. NULL is allowed. */
extern void wire_call_release(WireCall *call);

/* ---- the relay ---- */

/*
 * One turn of the relay process, which carries the calls of all sessions: take requests and
 * answers, then sleep until there are more or the latch is set. The process must have called
 * exchange_attach_relay. The caller serves interrupts.
 */
extern void wire_relay_turn(void);
/* the settings were read again: send no further request over the existing connections */
extern void wire_relay_reconnect(void);

/* ---- sets ---- */

typedef struct WireSet WireSet;

typedef struct WireSetPeer
{
	uint64 id; /* the consenter's Raft id */
	char address[WIRE_ADDRESS_BYTES];
} WireSetPeer;

/* for the statistics views: a copy of the state of one connection */
typedef struct WireSetPeerState
{
	bool connected;
	uint64 sent_count;
	uint64 dropped_count; /* not sent: no connection, or too many unsent bytes */
	char address[WIRE_ADDRESS_BYTES];
	char last_error[FB_ERROR_DETAIL_BYTES]; /* empty if none since the last successful connect */
} WireSetPeerState;

/*
 * Allocated in TopMemoryContext, closed at the exit of the process. channel: of the conditions
 * "consenter", whose subjects are the numbers of peers that cannot be reached, or refuse messages;
 * the text must outlive the set.
 */
extern WireSet *wire_set_create(const char *channel);
/*
 * Set the wanted peers. Connections to peers that stay the same are kept, others are closed. Not
 * inside a transaction.
 */
extern void wire_set_configure(WireSet *set, const WireSetPeer *peers, int peers_count);
/*
 * Queue one message to a peer; the next wire_set_flush or wire_set_wait sends it. False if it was
 * dropped: the peer is unknown or not connected, or more than WIRE_UNSENT_BYTES_MAX already wait
 * for it.
 *
 *   - raft: fabric_internal.raft_receive(channel, sender, message), a message of core/raft
 *   - forward: fabric_internal.raft_forward(channel, sender, envelopes), a common.BlockData of
 *     admitted envelopes for the leader
 */
extern bool wire_set_send_raft(WireSet *set, uint64 peer_id, const char *channel, uint64 sender_id,
							   FbBytes message);
extern bool wire_set_send_forward(WireSet *set, uint64 peer_id, const char *channel,
								  uint64 sender_id, FbBytes envelopes);
/*
 * True if a peer answered one of the forwards with "not taken" (or an error) since the last call:
 * send them again later.
 */
extern bool wire_set_take_refusal(WireSet *set);
/* does a peer refuse this node's messages because it is no consenter of the channel? */
extern bool wire_set_denied(const WireSet *set);
extern void wire_set_flush(WireSet *set);
/*
 * Sleep on the process latch, postmaster death and all connections, at most timeout_ms (-1: no
 * limit); meanwhile connect, send and take answers. Returns when the latch is set (and resets it),
 * a peer connects or disconnects, or the time is over. The caller serves interrupts.
 */
extern void wire_set_wait(WireSet *set, long timeout_ms);
extern bool wire_set_connected(const WireSet *set, uint64 peer_id);
extern bool wire_set_peer_state(const WireSet *set, uint64 peer_id, WireSetPeerState *state);

#define WIRE_UNSENT_BYTES_MAX ((size_t) 16 * 1024 * 1024)

/* ---- the other direction: the identity of this backend's client ---- */

/*
 * The DER bytes of the TLS client certificate with which this backend's client connected; palloc'ed
 * in the current memory context. FB_ACCESS_DENIED if the connection has none (no TLS, no client
 * certificate, background worker).
 */
extern FbStatus wire_sender_certificate(FbBytes *der, FbError *error);

/*
 * Once, from _PG_init, when the library is preloaded: restricts sessions of other nodes to the
 * interface between nodes, and limits their connections, time and log messages (node_login.c,
 * node_session.c).
 */
extern void wire_install_hooks(void);

#endif
