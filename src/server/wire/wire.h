/*
 * wire: the other nodes. The only room with libpq, and the only place of SQL text that runs on
 * another node (remote.c).
 *
 * Two ways to talk, both over connections in pipeline mode, TLS both ways, never blocking:
 *
 *   a call    one request to one node and its answer: endorse, submit, deliver. Started at once,
 * collected later: everything is sent to all before anything is waited for. For sessions and the
 * ledger worker. a set     long-lived connections of an orderer worker to the other consenters, for
 * messages without an answer that may be lost (Raft repeats itself).
 *
 * A node that is down, slow or refuses is data, not an error: nothing here raises an error because
 * of what another node does. A call carries the remote's SQLSTATE, message, detail and hint;
 * whether to raise it is the caller's decision.
 *
 * Addresses are "host:port" texts from the channel configuration (orderer endpoints, consenters,
 * anchor peers). Where a connection needs more than that, the table fabric_internal.node has libpq
 * options for the address (dbname, hostaddr). The login role is fabric.node_role, the database by
 * default the one of the same name as here, the certificates are fabric.tls_certificate_file,
 * fabric.tls_key_file and fabric.tls_ca_file; the other side's name is always verified.
 *
 * Sessions hand their endorse and submit calls to the process `fabric relay`, which has a few
 * connections to each node. Where it does not run, for calls that are too large for it, and in
 * other processes a call has a connection of its own; such connections are kept for the life of the
 * process, one idle per address, and are closed when it exits.
 */
#ifndef FABRIC_SERVER_WIRE_H
#define FABRIC_SERVER_WIRE_H

#include "postgres.h"

#include "core/base/base.h"
#include "datatype/timestamp.h"

/* "host:port": a DNS name has at most 253 characters */
#define WIRE_ADDRESS_BYTES 272

/* ---- calls ---- */

/* why a call failed, in the words of the side where it failed */
typedef struct WireError
{
	/*
	 * status: that of the remote's SQLSTATE if it is one of class LF, FB_NODE_UNREACHABLE if there
	 * was no connection, it broke or the deadline passed, else FB_INTERNAL. message, detail, hint:
	 * the remote's own.
	 */
	FbError error;
	char sqlstate[6]; /* of the remote; "LF503" for FB_NODE_UNREACHABLE */
	char address[WIRE_ADDRESS_BYTES];
	/*
	 * the request was certainly not executed there: it had not left this node, or was refused with
	 * an error. False for a connection that broke while the request was on its way, and after a
	 * deadline.
	 */
	bool not_executed;
} WireError;

/*
 * What a chaincode refused. From another node (the error's status is FB_CHAINCODE_ERROR) it is what
 * that node says: texts in this database's encoding, of at most WIRE_REFUSAL_TEXT_BYTES_MAX bytes,
 * without control characters but line feeds and tabs.
 */
#define WIRE_REFUSAL_TEXT_BYTES_MAX 8192

typedef struct WireRefusal
{
	char sqlstate[6];	 /* that the chaincode raised; "" when the node does not say */
	const char *message; /* not empty */
	const char *detail;	 /* NULL when there is none; likewise hint and context */
	const char *hint;
	const char *context;
} WireRefusal;

typedef struct WireCall WireCall;

/*
 * Start a call. Returns at once; what can be sent without waiting has left. Local trouble (no
 * descriptor free, node not configured) becomes the call's error too. A call started inside a
 * transaction lives at most until the end of its subtransaction (released then, also on abort);
 * outside of one until wire_call_release.
 *
 * wire_endorse_start: signed_proposal = protos.SignedProposal; min_height: the other node waits
 * until it has so many blocks (0: it does not), and fails with FB_NODE_BEHIND if that takes too
 * long; seen_height: it does not refuse on an older state than that; what: names the chaincode and
 * function, whose calls take about as long as one another (pg/answer_times.c); the answer is one
 * row, a protos.ProposalResponse, and wire_call_height. wire_submit_start: envelope =
 * common.Envelope; one row, empty. Success means: in the consenter's queue.
 * wire_deliver_start: seek = signed common.Envelope of an ab.SeekInfo; rows are common.Block bytes
 * in order of number, at most about bytes_max in all (at least one block); no row if none arrived
 * within wait_ms.
 */
extern WireCall *wire_endorse_start(const char *address, FbBytes signed_proposal, uint64 min_height,
									uint64 seen_height, FbBytes what);
extern WireCall *wire_submit_start(const char *address, const char *channel, FbBytes envelope);
extern WireCall *wire_deliver_start(const char *address, FbBytes seek, int bytes_max, int wait_ms);
/*
 * of channel/private_exchange.c. put: one row, empty; get: one row, a TxPvtReadWriteSet, empty when
 * the node has nothing of it
 */
extern WireCall *wire_private_put_start(const char *address, FbBytes signed_request,
										const char *tx_id, FbBytes private_rwset);
extern WireCall *wire_private_get_start(const char *address, FbBytes signed_request,
										uint64 block_number, int32 position);

typedef enum WireWaitMode
{
	WIRE_WAIT_ANY, /* until one of the unfinished calls is finished */
	WIRE_WAIT_ALL  /* until all are finished */
} WireWaitMode;

/*
 * Drive the calls until mode is met or the deadline (0: none) has passed; NULL entries are skipped.
 * Returns how many of them are finished (failed ones are finished). Interruptible: a cancelled
 * statement raises its error from here, and the end of the transaction releases the calls. With
 * return_on_latch it also returns when the process latch was set (it is reset then): for workers
 * that have other work too. Calls not finished at the deadline stay as they are: wait again, or
 * release them, which closes their connections.
 */
extern int wire_wait(WireCall *const *calls, int calls_count, WireWaitMode mode,
					 TimestampTz deadline, bool return_on_latch);

/* whether the call is finished, after taking what has arrived; does not wait */
extern bool wire_poll(WireCall *call);

extern bool wire_call_finished(const WireCall *call);
/*
 * NULL if the call succeeded; for one that is not finished "no answer yet" as FB_NODE_UNREACHABLE:
 * only for who waits no longer, as it may end the call
 */
extern const WireError *wire_call_error(WireCall *call);
/* NULL if the call did not fail with FB_CHAINCODE_ERROR; borrowed until wire_call_release */
extern const WireRefusal *wire_call_refusal(const WireCall *call);
extern const char *wire_call_address(const WireCall *call);
/*
 * bytes that have come from the node while the call is under way, as far as the system counts them:
 * as long as it grows, the answer is coming
 */
extern uint64 wire_call_received(const WireCall *call);
extern int wire_call_rows_count(const WireCall *call);
/* borrowed until wire_call_release */
extern FbBytes wire_call_row(const WireCall *call, int row_index);
/*
 * of an endorsement: how many blocks its simulation has seen, as the other node says; false when it
 * does not say it properly
 */
extern bool wire_call_height(const WireCall *call, uint64 *height);
/*
 * Did a call of this node (of whichever process) to the address get no endorsement in time, and
 * none has come since? Others should be asked first then. answer_take_probe says when it is asked
 * nevertheless.
 */
extern bool wire_is_silent(const char *address);
/*
 * how long this call's answer is waited for before another node is asked too, from what such
 * answers usually take
 */
extern int wire_call_patience_ms(const WireCall *call);
/*
 * ... and that this time has passed: all processes ask others first from now on, until it answers.
 * The call goes on
 */
extern void wire_call_note_late(const WireCall *call);
/*
 * frees the call; its connection goes back to the kept ones, or is closed if the answer is still
 * outstanding. NULL is allowed
 */
extern void wire_call_release(WireCall *call);

/* ---- the relay ---- */

/*
 * One turn of the process that carries the calls of all sessions: takes requests and answers,
 * sleeps until there is more of them or the latch is set. The process has called
 * exchange_attach_relay. Interrupts are the caller's to serve.
 */
extern void wire_relay_turn(void);
/*
 * the settings have been read again: no further request is sent over the connections that exist now
 */
extern void wire_relay_reconnect(void);

/* ---- sets ---- */

typedef struct WireSet WireSet;

typedef struct WireSetPeer
{
	uint64 id; /* the consenter's Raft id */
	char address[WIRE_ADDRESS_BYTES];
} WireSetPeer;

/* for stat views: a copy of what is known of one connection */
typedef struct WireSetPeerState
{
	bool connected;
	uint64 sent_count;
	uint64 dropped_count; /* not sent: no connection, or too much unsent already */
	char address[WIRE_ADDRESS_BYTES];
	char last_error[FB_ERROR_DETAIL_BYTES]; /* empty if none since the last successful connect */
} WireSetPeerState;

/*
 * In TopMemoryContext, closed at the exit of the process. channel: of the conditions "consenter",
 * whose subjects are the numbers of peers that cannot be reached, or refuse what is sent to them;
 * it must outlive the set
 */
extern WireSet *wire_set_create(const char *channel);
/*
 * the wanted peers; connections to peers that stay the same are kept, others closed. Not inside a
 * transaction
 */
extern void wire_set_configure(WireSet *set, const WireSetPeer *peers, int peers_count);
/*
 * Queue one message to a peer; leaves with the next wire_set_flush or wire_set_wait. False if it
 * was dropped: peer unknown or not connected, or more than WIRE_UNSENT_BYTES_MAX are waiting for
 * it. raft:    fabric_internal.raft_receive(channel, sender, message), a message of core/raft
 *   forward: fabric_internal.raft_forward(channel, sender, envelopes), a common.BlockData of
 * admitted envelopes for the leader
 */
extern bool wire_set_send_raft(WireSet *set, uint64 peer_id, const char *channel, uint64 sender_id,
							   FbBytes message);
extern bool wire_set_send_forward(WireSet *set, uint64 peer_id, const char *channel,
								  uint64 sender_id, FbBytes envelopes);
/*
 * was one of the forwards answered with "not taken" (or an error) since the last call? Then they
 * should be sent again, later
 */
extern bool wire_set_take_refusal(WireSet *set);
extern void wire_set_flush(WireSet *set);
/*
 * Sleep on the process latch, postmaster death and all connections, at most timeout_ms (-1: no
 * limit); drives connecting, sending and draining of answers meanwhile. Returns when the latch was
 * set (it is reset then), a peer came or went, or the time is over; interrupts are the caller's to
 * check.
 */
extern void wire_set_wait(WireSet *set, long timeout_ms);
extern bool wire_set_connected(const WireSet *set, uint64 peer_id);
extern bool wire_set_peer_state(const WireSet *set, uint64 peer_id, WireSetPeerState *state);

#define WIRE_UNSENT_BYTES_MAX ((size_t) 16 * 1024 * 1024)

/* ---- the other direction: who is calling this backend ---- */

/*
 * The DER bytes of the TLS client certificate with which this backend's client connected; palloc'ed
 * in the current memory context. FB_ACCESS_DENIED if the connection has none (no TLS, no client
 * certificate, background worker).
 */
extern FbStatus wire_sender_certificate(FbBytes *der, FbError *error);

/*
 * Once, from _PG_init, when the library is preloaded: sessions of other nodes can call the
 * interface between nodes only, and have limits of connections, time and messages (node_login.c,
 * node_session.c).
 */
extern void wire_install_hooks(void);

#endif
