/*
 * order: a channel's total order. Admission of envelopes on the node that receives them, and the
 * host of the Raft core in the worker `fabric orderer CH`, the only writer of
 * fabric_internal.raft_log and raft_state.
 *
 *   session or serving backend           worker                                       ledger worker
 *   order_broadcast: check, inbox  ---->  cut, replicate, store, commit  -- latch -->
 * order_read_entries: block by block order_receive_raft/forward: inbox ->
 *
 * One Raft entry is one batch: the number of its block, the hash of the block before
 * (core/block/link.c), and common.BlockData{data[] = envelopes}; Raft's own entries have none of
 * it. A block is a pure function of the log: the k-th batch after genesis is block k, whoever makes
 * it.
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
 * Admit one envelope and put it into the queue of this node's orderer worker, which passes it to
 * the leader if that is another node. Returns when it is in the queue: neither replicated nor
 * durable yet, as Fabric's SUCCESS. Rules, in order
 * (orderer/common/msgprocessor/standardchannel.go): payload not empty, size at most
 * AbsoluteMaxBytes, creator's certificate not expired, channel policy Writers over the signature,
 * header types: CONFIG_UPDATE, CONFIG and ORDERER_TRANSACTION are refused here. refused for good:
 * FB_MALFORMED_MESSAGE FB_INVALID_ARGUMENT FB_LIMIT_EXCEEDED FB_CERTIFICATE_EXPIRED
 * FB_POLICY_NOT_SATISFIED try elsewhere or later, with the same transaction id: FB_NOT_CONSENTER
 * FB_NO_LEADER (or worker not running) FB_BUSY try elsewhere: FB_CHAINS_DIFFER Raises
 * FB_NOT_PRELOADED. Needs a transaction (reads the channel's configuration).
 */
extern FbStatus order_broadcast(const Channel *channel, const Envelope *envelope, FbError *error);
/* the same with what another node sends. Raises FB_CHANNEL_NOT_FOUND, too */
extern FbStatus order_receive_envelope(const char *channel, FbBytes bytes, FbError *error);

/*
 * A message of another consenter, in the serving backend: the TLS client certificate of this
 * connection must be the client_tls_cert of consenter sender_id in the channel's configuration,
 * else FB_ACCESS_DENIED. A full queue drops the message silently (Raft repeats itself); *queued
 * tells. raft: an encoded message of core/raft   forward: a common.BlockData of envelopes which the
 * sender has admitted
 */
extern FbStatus order_receive_raft(const char *channel, uint64 sender_id, FbBytes message,
								   bool *queued, FbError *error);
extern FbStatus order_receive_forward(const char *channel, uint64 sender_id, FbBytes envelopes,
									  bool *queued, FbError *error);

/* ---- block_writer.c: from the log to blocks ---- */

/* an entry of the log as the ledger worker needs it */
typedef struct OrderEntry
{
	uint64 index;
	uint64 term;
	bool linked; /* a batch, whether it makes a block or not: link is filled in */
	BlockLink link;
	BlockBatch batch; /* of the transactions; none: it makes no block */
} OrderEntry;

/*
 * The committed entries after after_index, in order, at most about bytes_max of them (at least one
 * if there is one), palloc'ed in the current memory context. Reads fabric_internal.raft_log up to
 * the commit index in shared memory; needs a transaction with a snapshot. *lost: the log does not
 * hold the entry after_index + 1 any more (it was compacted, or this node was sent a snapshot): the
 * blocks in between have to be fetched by deliver.
 */
extern FbStatus order_read_entries(const Channel *channel, uint64 after_index, size_t bytes_max,
								   OrderEntry **entries, int *entries_count, bool *lost,
								   FbError *error);

/*
 * The next block as an orderer makes it: data from a Raft entry, number and previous hash from the
 * ledger, signed by this node. *block points into memory of the current context.
 */
extern void order_build_block(const Channel *channel, const BlockBatch *batch, uint64 raft_index,
							  CheckedBlock *block);

/* ---- evidence.c: fabric_internal.raft_evidence ---- */

/* this node's ledger is not the chain in its log: it makes no blocks until this is acknowledged */
#define ORDER_EVIDENCE_FORK "ledger_differs_from_log"

/*
 * Write down what shows that this node (consenter_id 0) or another consenter broke a promise, in
 * the caller's transaction; log it if it is new. count: how often it was seen. The error's status,
 * message and detail are kept.
 */
extern void order_record_evidence(const char *channel, const char *kind, uint64 consenter_id,
								  uint64 term, uint64 index, const FbError *error, uint64 count);
/* is there evidence of this kind that nobody has acknowledged? With the latest snapshot */
extern bool order_has_evidence(const char *channel, const char *kind);

/*
 * In an administrator's transaction: the evidence of a channel that was last seen until then is
 * dealt with. The number of rows. Raises FB_CHANNEL_NOT_FOUND, FB_INVALID_ARGUMENT (a time to come:
 * it would hide what nobody has seen).
 */
extern int64 order_acknowledge_evidence(const char *channel, TimestampTz up_to);

/*
 * ask the worker to hand over the leadership to this consenter (0: the most up-to-date one).
 * FB_NO_LEADER if not leader here
 */
extern FbStatus order_transfer_leadership(const char *channel, uint64 target_id, FbError *error);

/*
 * An operator's word on what this node remembers as a consenter: recover: it has lost promises (a
 * restored copy); else: it takes part with what it has, which can lose committed transactions. The
 * worker finds it within a second after the commit, or at its start. Raises FB_CHANNEL_NOT_FOUND,
 * FB_NOT_CONSENTER. reason: for the log and fabric.stat_orderer.
 */
extern void order_write_note(const char *channel, bool recover, const char *reason);

/* ---- the worker `fabric orderer CH`, see worker/orderer_main.c ---- */

typedef struct OrderNode OrderNode;

/*
 * from the tables; NULL if this node is no consenter of the channel (any more). In a process
 * connected to the database
 */
extern OrderNode *order_node_start(ChannelSlot *slot);
/* do what there is to do now, as much as fits into one turn */
extern void order_node_turn(OrderNode *node);
/* sleep until there is something to do: latch, connections, Raft's deadline, batch timeout */
extern void order_node_sleep(OrderNode *node);
/* is there a leadership that others could take over? */
extern bool order_node_leads(const OrderNode *node);
/*
 * before a leader ends: names its successor and goes on until that leads, a fraction of a second at
 * most. Raises what a turn raises
 */
extern void order_node_hand_over(OrderNode *node);

#endif
