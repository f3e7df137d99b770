/*
 * order: the total order of a channel's transactions. Envelopes are admitted on the node that
 * receives them. The worker `fabric orderer CHANNEL` hosts the Raft core and is the only writer of
 * fabric_internal.raft_log and raft_state.
 *
 *   session or serving backend        orderer worker               ledger worker
 *   order_broadcast: check -> inbox   cut, replicate, store,       order_read_entries:
 *   order_receive_raft,               commit, set the latch        block by block
 *   order_receive_forward -> inbox
 *
 * One Raft entry is one batch: the number of its block, the hash of the block before
 * (core/block/link.c), and common.BlockData with the envelopes. Raft's own entries contain none of
 * it. A block is a pure function of the log: the k-th batch that makes a block is block k,
 * whichever node makes it.
 */
#ifndef FABRIC_SERVER_ORDER_H
#define FABRIC_SERVER_ORDER_H

#include "postgres.h"

#include "core/base/base.h"
#include "core/block/block.h"
#include "core/txn/txn.h"
#include "server/channel/channel.h"
#include "server/pg/pg.h"

/*
 * Admit one envelope and put it into the inbox of this node's orderer worker, which passes it to
 * the leader if another node leads. Like Fabric's SUCCESS, FB_OK means neither replicated nor
 * durable.
 *
 * The rules are those of Fabric (orderer/common/msgprocessor/standardchannel.go) and some more: see
 * admission.c. An update of the configuration (CONFIG_UPDATE) is applied here, and ordered as the
 * configuration transaction that results: see config_admission.c. ORDERER_TRANSACTION is refused.
 *
 * Errors that are final: FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT, FB_LIMIT_EXCEEDED,
 * FB_CERTIFICATE_EXPIRED, FB_POLICY_NOT_SATISFIED, FB_ACCESS_DENIED (maintenance mode), and for
 * updates FB_INVALID_CONFIG. Errors after which the caller may try elsewhere
 * or later with the same transaction id: FB_NOT_CONSENTER, FB_NO_LEADER (also if the worker does
 * not run), FB_BUSY; elsewhere only: FB_CHAINS_DIFFER. Raises FB_NOT_PRELOADED. Needs a
 * transaction, because it reads the channel's configuration.
 */
extern FbStatus order_broadcast(const Channel *channel, const Envelope *envelope, FbError *error);
/*
 * the same for the bytes of an envelope that another node sends; also raises FB_CHANNEL_NOT_FOUND
 */
extern FbStatus order_receive_envelope(const char *channel, FbBytes bytes, FbError *error);

/*
 * Take a message of another consenter, in the serving backend. The TLS client certificate of this
 * connection must be the client_tls_cert of consenter sender_id in the channel's configuration,
 * else FB_ACCESS_DENIED. If the inbox is full, the message is dropped without an error, because
 * Raft repeats its messages; *queued tells. order_receive_raft takes an encoded message of
 * core/raft, order_receive_forward a common.BlockData of envelopes that the sender has admitted.
 */
extern FbStatus order_receive_raft(const char *channel, uint64 sender_id, FbBytes message,
								   bool *queued, FbError *error);
extern FbStatus order_receive_forward(const char *channel, uint64 sender_id, FbBytes envelopes,
									  bool *queued, FbError *error);

/* ---- block_writer.c: from the log to blocks ---- */

/* an entry of the log, decoded for the ledger worker */
typedef struct OrderEntry
{
	uint64 index;
	uint64 term;
	bool linked; /* a batch, whether it makes a block or not: link is set */
	BlockLink link;
	BlockBatch batch; /* its transactions; empty: it makes no block */
} OrderEntry;

/*
 * Read the committed entries after after_index in order, at most about bytes_max bytes of them (at
 * least one entry if there is one), palloc'ed in the current memory context. Reads
 * fabric_internal.raft_log up to the commit index in shared memory; needs a transaction with a
 * snapshot. *lost: the log does not contain the entry after_index + 1, because it was compacted or
 * replaced by a snapshot, so the blocks in between must be fetched by deliver.
 */
extern FbStatus order_read_entries(const Channel *channel, uint64 after_index, size_t bytes_max,
								   OrderEntry **entries, int *entries_count, bool *lost,
								   FbError *error);

/*
 * Make the next block as an orderer does: data from a Raft entry, number and previous hash from the
 * ledger, signed by this node. next_config: the configuration that its transaction makes, or NULL.
 * Such a block is itself the last configuration block that its metadata name, with the consenters
 * of the new configuration (orderer/common/multichannel, blockwriter.go, WriteConfigBlock). *block
 * points into memory of the current context.
 */
extern void order_build_block(const Channel *channel, const BlockBatch *batch, uint64 raft_index,
							  const ConfigBundle *next_config, CheckedBlock *block);

/* ---- evidence.c: fabric_internal.raft_evidence ---- */

/* this node's ledger differs from the chain in its log: no blocks are made until acknowledged */
#define ORDER_EVIDENCE_FORK "ledger_differs_from_log"

/*
 * Store evidence that this node (consenter_id 0) or another consenter broke a promise, in the
 * caller's transaction; log it if it is new. count: how often it was seen. The error's status,
 * message and detail are stored.
 */
extern void order_record_evidence(const char *channel, const char *kind, uint64 consenter_id,
								  uint64 term, uint64 index, const FbError *error, uint64 count);
/* is there unacknowledged evidence of this kind? Uses the latest snapshot. */
extern bool order_has_evidence(const char *channel, const char *kind);

/*
 * Acknowledge, in an administrator's transaction, the evidence of a channel that was last seen up
 * to a time. Returns the number of rows. Raises FB_CHANNEL_NOT_FOUND, FB_INVALID_ARGUMENT (a future
 * time would hide evidence that is not there yet).
 */
extern int64 order_acknowledge_evidence(const char *channel, TimestampTz up_to);

/* ---- broadcast.c ---- */

/*
 * Ask the worker to hand the leadership over to consenter target_id; 0: to the most up-to-date one.
 * FB_NO_LEADER if this node does not lead.
 */
extern FbStatus order_transfer_leadership(const char *channel, uint64 target_id, FbError *error);

/* ---- lost_state.c ---- */

/*
 * Store an operator's statement about this node's Raft state. recover true: the node has lost
 * promises (a restored copy) and must recover. False: the node takes part with the state that it
 * has, which can lose committed transactions. The worker reads the note within a second after the
 * commit, or at its start. reason: for the log and fabric.stat_orderer. Raises
 * FB_CHANNEL_NOT_FOUND, FB_NOT_CONSENTER.
 */
extern void order_write_note(const char *channel, bool recover, const char *reason);

/* ---- order_node.c: the worker `fabric orderer CHANNEL` (its main: worker/orderer_main.c) ---- */

typedef struct OrderNode OrderNode;

/*
 * Start from the tables, in a process that is connected to the database. NULL if this node is not a
 * consenter of the channel.
 */
extern OrderNode *order_node_start(ChannelSlot *slot);
/* process the pending inputs, as many as fit into one turn */
extern void order_node_turn(OrderNode *node);
/* sleep until there is something to do: latch, connections, Raft's deadline, batch timeout */
extern void order_node_sleep(OrderNode *node);

/* ---- hand_over.c ---- */

/* does this node lead, and is there another consenter that could take over? */
extern bool order_node_leads(const OrderNode *node);
/*
 * Before a leader ends: name a successor and run turns until it leads, a fraction of a second at
 * most. Raises what a turn raises.
 */
extern void order_node_hand_over(OrderNode *node);

/* ---- voters.c ---- */

/*
 * Was this node removed from the consenters, and is its vote no longer needed? Then the worker
 * ends. Logs it.
 */
extern bool order_node_is_removed(const OrderNode *node);

#endif
