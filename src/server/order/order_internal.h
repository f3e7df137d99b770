/*
 * order_internal.h: declarations shared by the files of order
 *
 * - settings.c: the part of the channel's configuration that the worker needs
 * - admission.c: may an envelope be ordered?
 * - config_admission.c: updates of the configuration: checked, applied, signed by this node
 * - broadcast.c: from a session or another node into the inbox
 * - queue.c: envelopes that are not in the log yet, and hashes of those logged lately
 * - log_cache.c: payloads of the newest log entries
 * - log_chain.c: each batch in the log is linked to the block before
 * - evidence.c: evidence that a consenter broke a promise
 * - raft_store.c: the tables raft_log and raft_state
 * - voters.c: the voters of Raft follow the channel's consenters
 * - block_writer.c: which entries of the log make a block, and that block
 * - lost_state.c: signs that this node has lost its promises
 * - turn.c: state that several parts of a turn change
 * - order_node.c: the worker's turn: inputs, duties, sleep
 * - duties.c: the Raft host's duties after each step
 * - batching.c: a leader cuts batches, a follower forwards envelopes
 * - hand_over.c: a leader that ends hands the leadership over
 * - publish.c: the worker's status in shared memory
 */
#ifndef FABRIC_SERVER_ORDER_INTERNAL_H
#define FABRIC_SERVER_ORDER_INTERNAL_H

#include "server/order/order.h"

#include "lib/ilist.h"

#include "core/block/block.h"
#include "core/config/config.h"
#include "core/raft/raft.h"
#include "core/txn/txn.h"
#include "server/channel/channel.h"
#include "server/pg/pg.h"
#include "server/wire/wire.h"

/* ---- records in the inbox: kind, first part, second part ---- */

#define RECORD_ENVELOPES                                                                     \
	'e' /* u64 configuration sequence under which they were admitted; each admitted envelope \
		   after its RecordMark */
#define RECORD_RAFT 'r'		/* u64 sender's Raft id; encoded message */
#define RECORD_TRANSFER 't' /* u64 target's Raft id or 0; empty */

/* results of the admission of an envelope, so that the worker does not decode it */
typedef struct RecordMark
{
	uint32 envelope_bytes;
	uint32 message_bytes; /* by the cutter's count */
	bool is_config;		  /* a configuration transaction: alone in its block */
} RecordMark;

/* ---- settings.c: the channel's configuration for the worker ---- */

typedef struct OrderSettings
{
	uint64 config_block_number;
	uint64 config_sequence;
	uint64 self_id;						  /* this node's Raft id; 0: not a consenter */
	uint64 leaving_id;					  /* as passed to order_settings_load */
	RaftConfiguration voters;			  /* all consenters */
	WireSetPeer peers[FB_RAFT_NODES_MAX]; /* the others */
	int peers_count;
	CutterLimits limits;
	uint64 batch_timeout_ms;
} OrderSettings;

/*
 * Read the settings, outside of a transaction. raft_id: of the running worker, which may no longer
 * be in the configuration; 0: the one of the node's certificate. leaving_id: a consenter of the
 * configuration before that still votes; 0: none. Raises what channel_open raises.
 */
extern void order_settings_load(const char *channel, uint64 raft_id, uint64 leaving_id,
								OrderSettings *settings);

/* ---- admission.c ---- */

/*
 * Check Fabric's rules of admission, and some more, for normal transactions. now:
 * seconds since 1970 UTC. FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_CERTIFICATE_EXPIRED,
 * FB_POLICY_NOT_SATISFIED, FB_INVALID_ARGUMENT (type, channel, transaction id). Allocates in the
 * current memory context.
 */
extern FbStatus admission_check(const ConfigBundle *bundle, const Envelope *envelope, int64 now,
								FbError *error);
/*
 * The part of these rules that holds for configuration transactions too: size, encoding, channel,
 * expired certificates, and the policy for writers; in maintenance mode only orderers may write.
 */
extern FbStatus admission_check_frame(const ConfigBundle *bundle, const Envelope *envelope,
									  int64 now, FbError *error);
/*
 * Can a block contain the envelope: canonical encoding of payload and signature, no other fields?
 * Else FB_MALFORMED_MESSAGE.
 */
extern FbStatus admission_check_canonical(const Envelope *envelope, FbError *error);

/* ---- config_admission.c ---- */

/*
 * The configuration transaction for an envelope of type CONFIG_UPDATE, or for the update in an
 * envelope of type CONFIG (standardchannel.go, ProcessConfigUpdateMsg, ProcessConfigMsg). *result:
 * an envelope of type CONFIG with the new configuration, signed by this node, in the current memory
 * context. A CONFIG envelope that another consenter made for the present configuration is checked
 * and returned as it is. Errors: those of admission_check_frame and config_apply_update,
 * FB_INVALID_CONFIG, FB_STALE_CONFIG. Raises what node_channel_signer raises.
 */
extern FbStatus config_admission_check(const Channel *channel, const Envelope *envelope, int64 now,
									   Envelope *result, FbError *error);

/* ---- queue.c: envelopes that are not in the log yet ---- */

typedef enum QueueState
{
	/*
	 * New, or to be sent again because the leader changed or a forwarded envelope was not seen in
	 * the log for a while. A leader cuts it into a batch, a follower forwards it.
	 */
	QUEUE_WAITING,
	/* Sent to the leader. It leaves the queue when its entry arrives here through Raft. */
	QUEUE_FORWARDED
} QueueState;

typedef struct QueueItem
{
	dlist_node node;
	QueueState state;
	uint64 hash;			/* of the envelope, with a secret seed of this process */
	uint64 config_sequence; /* under which it was admitted */
	uint64 arrived_ms;
	uint64 forwarded_ms;
	uint64 message_bytes; /* by the cutter's count */
	bool is_config;		  /* a configuration transaction */
	FbBytes envelope;
} QueueItem;

/* an admitted envelope */
typedef struct QueueEntry
{
	FbBytes envelope;
	uint64 config_sequence;
	uint64 message_bytes;
	bool is_config;
} QueueEntry;

typedef struct Queue Queue;

extern Queue *queue_create(MemoryContext parent);
/*
 * Append a copy of the envelope. NULL if it is in the queue already, was in one of the last entries
 * of the log, or is too large.
 */
extern QueueItem *queue_add(Queue *queue, const QueueEntry *entry, uint64 now_ms);
extern void queue_remove(Queue *queue, QueueItem *item);
/*
 * The item after this one, oldest first; item NULL: the first; NULL at the end. Get the next item
 * before removing one.
 */
extern QueueItem *queue_next(Queue *queue, QueueItem *item);
extern int queue_count(const Queue *queue);
extern size_t queue_bytes(const Queue *queue);
/* these envelopes are in the log now: drop them from the queue and remember them */
extern void queue_note_logged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);
/* ... and are no longer in it: the entry was truncated */
extern void queue_note_unlogged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);
/* the whole log was replaced: forget all of them, because it is not known which are still in it */
extern void queue_forget_logged(Queue *queue);

/* ---- log_cache.c: the newest entries of the log ---- */

typedef struct LogCacheEntry
{
	uint64 term;
	RaftEntryKind kind;
	bool own; /* a batch cut by this node */
	FbBytes payload;
} LogCacheEntry;

typedef struct LogCache LogCache;

extern LogCache *log_cache_create(MemoryContext parent);
/* The index must follow the last one, or the cache be empty. The payload is copied. */
extern void log_cache_append(LogCache *cache, uint64 index, uint64 term, RaftEntryKind kind,
							 bool own, FbBytes payload);
/* NULL if it is not in the window; valid until the next change */
extern const LogCacheEntry *log_cache_find(const LogCache *cache, uint64 index);
extern void log_cache_truncate(LogCache *cache, uint64 from_index);
extern void log_cache_clear(LogCache *cache);

/* ---- raft_store.c: all functions need a transaction ---- */

/* identity of the server that wrote the state: see lost_state.c */
typedef struct RaftPlace
{
	uint32 timeline;
	char storage[64];
} RaftPlace;

#define LOST_STATE_REASON_BYTES 192

typedef struct RaftStored
{
	bool present; /* false: this node never ran Raft for the channel */
	uint64 raft_id;
	uint64 term;
	uint64 vote;
	uint64 commit_index;
	FbBytes configuration;
	uint64 base_index;
	uint64 base_term;
	FbBytes memory;
	bool established;
	RaftRecoveryReason recovery;
	uint64 recovery_witness;
	TimestampTz recovering_since;
	char recovery_detail[LOST_STATE_REASON_BYTES];
	RaftPlace place;
	BlockHead base_head;	 /* the last block at base_index */
	RaftTrailEntry *entries; /* base_index + 1 ... */
	size_t entries_count;
} RaftStored;

/*
 * Load the state and the trail, palloc'ed in the current memory context. FB_CORRUPTED if the log
 * has gaps.
 */
extern FbStatus raft_store_load(const char *channel, RaftStored *stored, FbError *error);
extern void raft_store_save_state(const OrderNode *node);
extern void raft_store_append(const char *channel, uint64 index, uint64 term, RaftEntryKind kind,
							  FbBytes payload);
/* delete this entry and all after it */
extern void raft_store_truncate(const char *channel, uint64 from_index);
/* delete this entry and all before it */
extern void raft_store_compact(const char *channel, uint64 up_to_index);

typedef struct RaftStoredEntry
{
	uint64 index;
	uint64 term;
	RaftEntryKind kind;
	FbBytes payload;
} RaftStoredEntry;

/*
 * Change entries of kind CONFIGURATION to no-ops, because only the channel's configuration may name
 * voters. Returns how many there were.
 */
extern uint64 raft_store_remove_configurations(const char *channel);

/*
 * Read the existing entries of first_index..last_index, up to about bytes_max (at least one),
 * palloc'ed in the current context.
 */
extern RaftStoredEntry *raft_store_read(const char *channel, uint64 first_index, uint64 last_index,
										size_t bytes_max, int *entries_count);
/*
 * The highest index <= up_to_index of a batch, and the lowest one > after_index; 0 if there is
 * none.
 */
extern uint64 raft_store_last_batch(const char *channel, uint64 up_to_index);
extern uint64 raft_store_first_batch(const char *channel, uint64 after_index);

/* ---- voters.c ---- */

/* Does the ledger have all configuration blocks of the log, and the worker the last one? */
extern bool voters_are_known(const OrderNode *node);
/* ... and are Raft's voters those of it, by a committed entry? */
extern bool voters_settled(const OrderNode *node);
/* a leader changes the voters, if they differ from the configuration's */
extern void voters_reconcile(OrderNode *node);
/* the voters after the last configuration block that was made from an entry before index */
extern void voters_before(OrderNode *node, uint64 index, RaftConfiguration *voters);
/*
 * Check the entries of an append that change the voters. *cut: the entries from the first one that
 * cannot be judged yet are removed from the message; give it again when the ledger has applied
 * more. FB_CORRUPTED: no configuration block explains an entry; FB_MALFORMED_MESSAGE.
 */
extern FbStatus voters_admit(OrderNode *node, RaftMessage *message, bool *cut, FbError *error);
/* another node that votes, and that the configuration no longer names; 0: none */
extern uint64 voters_leaving(const OrderNode *node);
/*
 * In a session: is it a consenter that the configuration no longer names, while its vote may still
 * count? certificate: DER, of its connection. slot: NULL while the workers do not run.
 */
extern bool voters_accept_sender(const Channel *channel, ChannelSlot *slot, uint64 sender_id,
								 FbBytes certificate);
/*
 * In a session of the leader's node: the consenters that were heard within the last election
 * timeout, and itself. False: this node does not lead.
 */
extern bool voters_active(const Channel *channel, ActiveConsenters *active);

/* ---- lost_state.c ---- */

typedef enum ConsenterNote
{
	CONSENTER_NOTE_NONE,
	CONSENTER_NOTE_RECOVER,
	CONSENTER_NOTE_TRUST
} ConsenterNote;

/* describe this server, so that a restored or copied one can be told from it */
extern void lost_state_describe(RaftPlace *place);
/* Read and delete the note of an operator or of leave_channel. In a transaction. */
extern ConsenterNote lost_state_take_note(const char *channel, const uint8 *genesis_hash,
										  char *reason, size_t reason_size);
/*
 * The hash of block 0 (CRYPTO_SHA256_BYTES bytes): a note counts only for the channel that begins
 * with it.
 */
extern void lost_state_read_genesis(const char *channel, uint8 *genesis_hash);
/*
 * Decide whether the node must recover. reason: text, if the result is not NONE. trusted: an
 * operator vouches for the state, so the node does not even ask others. In a transaction.
 */
extern RaftRecoveryReason lost_state_judge(const OrderNode *node, const RaftStored *stored,
										   char *reason, size_t reason_size, bool *trusted);
extern void lost_state_log_trust(const char *channel, const char *words);
extern void lost_state_log_begin(const char *channel, const char *reason);
extern void lost_state_log_hopeless(const char *channel, uint32 recovering_count,
									uint32 voters_count);

/* ---- the worker: order_node.c, duties.c, batching.c ---- */

/* a message that must not be sent before the state that it promises is durable */
typedef struct LateMessage
{
	struct LateMessage *next;
	uint64 to;
	FbBytes bytes;
} LateMessage;

/* how often evidence was seen since it was last stored */
typedef struct EvidenceCount
{
	const char *kind;
	uint64 consenter_id;
	uint64 unwritten;
	uint64 write_ms; /* not stored again before this time */
} EvidenceCount;

/* the last block after an entry of the log, and the entry's transactions */
typedef struct LogStep
{
	BlockHead head;
	BlockBatch batch; /* empty: the entry makes no block */
} LogStep;

struct OrderNode
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	ChannelSlot *slot;
	Oid raft_log;	/* the partition of this membership in the channel */
	uint64 raft_id; /* settings.self_id at the start */
	OrderSettings settings;
	Raft *raft;
	WireSet *wires;
	LogCache *cache;
	Queue *queue;

	MemoryContext turn_context; /* reset at the beginning of each turn */
	FbAllocator *turn_allocator;
	uint64 now_ms; /* time of the current turn; never decreases */
	bool more;	   /* the turn left something in the inbox */

	/* Raft's state after the last step */
	RaftRole role;
	uint64 term;
	uint64 leader;
	uint64 last_index;
	uint64 commit_index;
	uint64 apply_index;
	uint64 log_start_index;
	uint64 log_start_term;
	BlockHead log_start_head; /* the last block at log_start_index */
	BlockHead head;			  /* the last block after entry head_index, the last entry */
	uint64 head_index;
	/*
	 * The last entry that may be a configuration: a leader cuts nothing until the ledger has it. At
	 * the start, the last entry of the log.
	 */
	uint64 config_index;
	uint64 fetch_index;
	BlockHead fetch_head; /* the last block to fetch, as the leader says */
	bool fetch_refused;	  /* the ledger has another block there */
	/* voters.c */
	RaftConfiguration raft_voters; /* Raft's voters, and their entry */
	uint64 raft_voters_index;
	FbBytes deferred; /* a message that waits for the ledger, and its sender */
	uint64 deferred_sender;
	uint64 voters_told_ms; /* not logged before this time that the voters cannot follow */
	uint64 deadline_ms;
	/*
	 * While the leadership is handed over: the next sleep ends at this time at the latest; 0: no
	 * limit.
	 */
	uint64 sleep_until_ms;

	/*
	 * Duties that the steps of this turn have left, in this order: the transaction, the late
	 * messages, then PERSISTED.
	 */
	bool in_transaction;
	bool state_changed; /* raft_state must be written */
	RaftHardState hard_state;
	uint8_t configuration_state[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	uint8_t memory[RAFT_MEMORY_BYTES_MAX];
	uint64 stored_index; /* last entry stored in this transaction, 0: none */
	uint64 stored_term;
	LateMessage *late_first;
	LateMessage *late_last;

	/* recovery (lost_state.c) */
	uint8 genesis_hash[CRYPTO_SHA256_BYTES];
	RaftPlace place;
	RaftRecoveryReason recovery;  /* after the last step */
	TimestampTz recovering_since; /* 0: not recovering */
	char recovery_detail[LOST_STATE_REASON_BYTES];
	uint64 notes_read_ms;	   /* when consenter_note was last read */
	uint64 hopeless_logged_ms; /* when too many recovering nodes were last logged; 0: never */
	uint64 hopeless_pause_ms;  /* pause before this is logged again */

	/* reported to Raft already */
	uint64 applied_index;
	uint64 compact_looked_index; /* applied_index of the last search that found no new start of the
									log */

	/*
	 * A leader's batches. From its front the queue contains the ready batches, then the items that
	 * the cutter has counted, then the others.
	 */
	Cutter cutter;
	uint32 ready[2];
	int ready_count;
	QueueItem *last_counted;  /* NULL: none */
	uint64 batch_deadline_ms; /* UINT64_MAX: no timer */

	/* a follower's forwarding */
	/* check the forwarded envelopes again at this time; UINT64_MAX: none */
	uint64 forward_retry_ms;
	/* Nothing is forwarded before this time, because the leader refused envelopes; 0: no pause. */
	uint64 forward_pause_ms;

	uint64 batches_count;
	uint64 dropped_count;
	TimestampTz leaderless_since; /* 0 while there is a leader */
	uint64 leader_changes_count;
	uint64 leader_changes_told; /* those for which waiting sessions were woken */
	uint64 leaderless_ms;		/* now_ms when no leader was known first; 0: there is one */
	uint64 leaderless_told_ms;	/* when this was last reported */
	EvidenceCount evidence[(RAFT_EVIDENCE_KIND_MAX + 2) * (FB_RAFT_NODES_MAX + 1)];
	int evidence_count;
	bool abstains; /* the ledger takes no blocks: see take_fork */
	/* A leader whose ledger takes no blocks tries to hand over again at this time. */
	uint64 hand_over_ms;
	/* When a refused message of another consenter was last logged; 0: never. */
	uint64 refusal_logged_ms;
};

/* ---- turn.c ---- */

/*
 * Begin the turn's transaction, unless it is open. Raises FB_CHANNEL_NOT_FOUND when the channel was
 * left since this worker started.
 */
extern void turn_open_transaction(OrderNode *node);
/* after a change of role or leader: count and forward the whole queue again */
extern void turn_reset_batching(OrderNode *node);

/* ---- log_chain.c ---- */

/* the last block after an entry of the log, or where the log starts */
extern void log_chain_head(OrderNode *node, uint64 index, BlockHead *head);
/*
 * The same after one more batch whose link fits. step->head: in: before the batch, out: after it.
 */
extern void log_chain_follow(OrderNode *node, FbBytes payload, LogStep *step);
/* Will Raft take the entries of an append: right term, and a position that fits this log? */
extern bool log_chain_takes(const OrderNode *node, const RaftMessage *message);
/*
 * Do the new entries of an append follow in this node's log? *steps: one for each entry, in the
 * turn's memory. Else FB_CHAINS_DIFFER or FB_MALFORMED_MESSAGE, and *index of the entry.
 */
extern FbStatus log_chain_check(OrderNode *node, const RaftMessage *message, const LogStep **steps,
								uint64 *index, FbError *error);
/*
 * Is this block in the ledger now, and was it made from this entry? This and log_chain_genesis need
 * a transaction.
 */
extern bool log_chain_ledger_has(const char *channel, const BlockHead *head, uint64 raft_index);
/* did this entry become a block? */
extern bool log_chain_makes_block(OrderNode *node, uint64 index);
extern void log_chain_genesis(const char *channel, BlockHead *head);

/* ---- evidence.c ---- */

/* kinds of evidence in addition to those of core/raft */
#define EVIDENCE_CHAIN                                                                             \
	"entries_do_not_follow" /* the batches of an append are linked to a block that is not the last \
							   one of this log */
#define EVIDENCE_SNAPSHOT \
	"snapshot_of_another_chain" /* the block before the leader's log differs from this node's */

/* kind: a constant, compared by its address */
extern void evidence_note(OrderNode *node, const char *kind, uint64 consenter_id, uint64 term,
						  uint64 index, const FbError *error);

/* ---- duties.c ---- */

/* data that a step may need in addition to the event */
typedef struct StepInput
{
	const RaftMessage *message; /* RECEIVE */
	/* RECEIVE of an append: for its entries, set from the first new one on */
	const LogStep *steps;
	const FbBytes *payloads; /* SUBMIT */
	RaftEvidence *evidence;	 /* RECEIVE: filled by the step */
} StepInput;

/*
 * Give Raft one event, and do at once the duties that can be done at once: write in the open
 * transaction and send early messages. Raises errors that must end the worker; returns the status
 * of events that may be refused.
 */
extern FbStatus duties_step(OrderNode *node, RaftEvent *event, const StepInput *input,
							FbError *error);
/*
 * Commit, send the late messages and report PERSISTED, until no duty is left; then publish the
 * commit index.
 */
extern void duties_finish(OrderNode *node);

/* ---- batching.c ---- */

/* a new envelope */
extern void batching_add(OrderNode *node, const QueueEntry *entry);
/* the settings have been loaded for another configuration */
extern void batching_note_configuration(OrderNode *node);
/* cut and submit, or forward, as much as possible now; true if something was submitted */
extern bool batching_run(OrderNode *node);
/* when batching_run must be called again even if nothing happens */
extern uint64 batching_deadline_ms(const OrderNode *node);

/* ---- publish.c ---- */

typedef struct PublishCounts
{
	uint64 pending_count; /* envelopes that are not in the log yet */
	uint64 pending_bytes;
	uint64 batches_count; /* cut by this node */
	uint64 dropped_count; /* envelopes given up */
	uint64 leader_changes_count;
	TimestampTz leaderless_since; /* 0 while there is a leader */
	TimestampTz recovering_since; /* 0: not recovering */
	const char *recovery_detail;
} PublishCounts;

/* Publish the worker's status for sessions and views. now_ms: the clock of the Raft events. */
extern void publish_status(ChannelSlot *slot, const Raft *raft, const WireSet *set,
						   const PublishCounts *counts, uint64 now_ms);
/*
 * Report or end the condition "leader": no leader is known for longer than an election takes. It
 * names the consenters that are not connected, with the reasons.
 */
extern void publish_leadership(OrderNode *node);

#endif
