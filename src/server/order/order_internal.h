/*
 * what the files of order share
 *
 * - settings.c: the channel's configuration as the worker needs it: who orders, batch sizes
 * - admission.c: may this envelope be ordered
 * - broadcast.c: from a session or another node into the inbox
 * - queue.c: envelopes that are not in the log yet, and which ones were seen lately
 * - log_cache.c: payloads of the newest log entries
 * - log_chain.c: each batch in the log is linked to the block before
 * - evidence.c: what shows that a consenter broke a promise
 * - raft_store.c: tables raft_log and raft_state
 * - block_writer.c: which entries of the log make a block, and that block
 * - lost_state.c: signs that this node has lost what it promised
 * - turn.c: what more than one part of a turn changes
 * - order_node.c: the worker's turn: inputs, duties, sleep
 * - duties.c: the Raft host's duties after each step
 * - batching.c: a leader cuts batches, a follower forwards
 * - hand_over.c: a leader that ends gives the leadership away
 * - publish.c: what the worker shows of itself in shared memory
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
	'e' /* u64 configuration sequence under which they were admitted; each envelope that was \
		   admitted, after its RecordMark */
#define RECORD_RAFT 'r'		/* u64 sender's Raft id; encoded message */
#define RECORD_TRANSFER 't' /* u64 target's Raft id or 0; empty */

/* what admission has found out of an envelope: the worker does not decode it */
typedef struct RecordMark
{
	uint32 envelope_bytes;
	uint32 message_bytes; /* as the cutter counts */
} RecordMark;

/* ---- settings.c: what the worker needs of the channel's configuration ---- */

typedef struct OrderSettings
{
	uint64 config_block_number;
	uint64 config_sequence;
	uint64 self_id;						  /* this node's Raft id; 0: no consenter any more */
	RaftConfiguration voters;			  /* all consenters */
	WireSetPeer peers[FB_RAFT_NODES_MAX]; /* the others */
	int peers_count;
	CutterLimits limits;
	uint64 batch_timeout_ms;
} OrderSettings;

/* reads them; outside of a transaction. Raises what channel_open raises */
extern void order_settings_load(const char *channel, OrderSettings *settings);

/* ---- admission.c ---- */

/*
 * Fabric's rules of admission for everything but configuration transactions. now: seconds since
 * 1970 UTC. FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_CERTIFICATE_EXPIRED,
 * FB_POLICY_NOT_SATISFIED, FB_INVALID_ARGUMENT (type, channel, transaction id). Allocates in the
 * current memory context.
 */
extern FbStatus admission_check(const ConfigBundle *bundle, const Envelope *envelope, int64 now,
								FbError *error);
/* a block can hold it beside others: payload, signature, nothing else. FB_MALFORMED_MESSAGE */
extern FbStatus admission_check_canonical(const Envelope *envelope, FbError *error);

/* ---- queue.c: envelopes that are not in the log yet ---- */

typedef enum QueueState
{
	/*
	 * Put there by arrival, by a change of leader, or when a forwarded one was not seen in the log
	 * for a while. A leader cuts it into a batch, a follower forwards it.
	 */
	QUEUE_WAITING,
	/* Handed to the leader. Leaves the queue when its entry arrives here by Raft. */
	QUEUE_FORWARDED
} QueueState;

typedef struct QueueItem
{
	dlist_node node;
	QueueState state;
	uint64 hash;			/* of the envelope, keyed by a secret of the process */
	uint64 config_sequence; /* under which it was admitted */
	uint64 arrived_ms;
	uint64 forwarded_ms;
	uint64 message_bytes; /* as the cutter counts */
	FbBytes envelope;
} QueueItem;

/* an envelope that was admitted, which no configuration is */
typedef struct QueueEntry
{
	FbBytes envelope;
	uint64 config_sequence;
	uint64 message_bytes;
} QueueEntry;

typedef struct Queue Queue;

extern Queue *queue_create(MemoryContext parent);
/*
 * Append a copy of the envelope; NULL if it is there already, or was in one of the last entries of
 * the log.
 */
extern QueueItem *queue_add(Queue *queue, const QueueEntry *entry, uint64 now_ms);
extern void queue_remove(Queue *queue, QueueItem *item);
/*
 * oldest first; NULL at the end. item NULL: the first. Ask for the next one before removing an item
 */
extern QueueItem *queue_next(Queue *queue, QueueItem *item);
extern int queue_count(const Queue *queue);
extern size_t queue_bytes(const Queue *queue);
/* these envelopes are in the log now: drop them from the queue, remember them */
extern void queue_note_logged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);
/* ... and are not any more: the entry was truncated */
extern void queue_note_unlogged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);
/* the whole log was replaced: which of them are still on their way is not known */
extern void queue_forget_logged(Queue *queue);

/* ---- log_cache.c: a window on the end of the log ---- */

typedef struct LogCacheEntry
{
	uint64 term;
	RaftEntryKind kind;
	bool own; /* a batch cut by this node */
	FbBytes payload;
} LogCacheEntry;

typedef struct LogCache LogCache;

extern LogCache *log_cache_create(MemoryContext parent);
/* index must follow the last one (or the cache be empty); the payload is copied */
extern void log_cache_append(LogCache *cache, uint64 index, uint64 term, RaftEntryKind kind,
							 bool own, FbBytes payload);
/* NULL if it is not in the window; valid until the next change */
extern const LogCacheEntry *log_cache_find(const LogCache *cache, uint64 index);
extern void log_cache_truncate(LogCache *cache, uint64 from_index);
extern void log_cache_clear(LogCache *cache);

/* ---- raft_store.c: all functions need a transaction ---- */

/* where the state was written: see lost_state.c */
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
	BlockHead base_head;	 /* where the chain stands there */
	RaftTrailEntry *entries; /* base_index + 1 ... */
	size_t entries_count;
} RaftStored;

/* palloc'ed in the current memory context. FB_CORRUPTED if the log has gaps */
extern FbStatus raft_store_load(const char *channel, RaftStored *stored, FbError *error);
extern void raft_store_save_state(const OrderNode *node);
extern void raft_store_append(const char *channel, uint64 index, uint64 term, RaftEntryKind kind,
							  FbBytes payload);
extern void raft_store_truncate(const char *channel, uint64 from_index); /* this and all above */
extern void raft_store_compact(const char *channel, uint64 up_to_index); /* this and all below */

typedef struct RaftStoredEntry
{
	uint64 index;
	uint64 term;
	RaftEntryKind kind;
	FbBytes payload;
} RaftStoredEntry;

/*
 * entries of kind CONFIGURATION become no-ops: nothing may put them into the log. How many there
 * were
 */
extern uint64 raft_store_remove_configurations(const char *channel);

/*
 * entries first_index..last_index that are there, up to about bytes_max (at least one), palloc'ed
 * in the current context
 */
extern RaftStoredEntry *raft_store_read(const char *channel, uint64 first_index, uint64 last_index,
										size_t bytes_max, int *entries_count);
/* the highest index <= up_to_index of a batch, the lowest one > after_index; 0 if there is none */
extern uint64 raft_store_last_batch(const char *channel, uint64 up_to_index);
extern uint64 raft_store_first_batch(const char *channel, uint64 after_index);

/* ---- lost_state.c ---- */

typedef enum ConsenterNote
{
	CONSENTER_NOTE_NONE,
	CONSENTER_NOTE_RECOVER,
	CONSENTER_NOTE_TRUST
} ConsenterNote;

/* how this server can be told from its older self */
extern void lost_state_describe(RaftPlace *place);
/* the operator's word, or leave_channel's; it is deleted. In a transaction */
extern ConsenterNote lost_state_take_note(const char *channel, const uint8 *genesis_hash,
										  char *reason, size_t reason_size);
/* the hash of block 0, CRYPTO_SHA256_BYTES: notes are for the channel that begins with it */
extern void lost_state_read_genesis(const char *channel, uint8 *genesis_hash);
/*
 * the state to start with; reason in words, if it is not NONE; trusted: by an operator's word, it
 * does not even ask. In a transaction
 */
extern RaftRecoveryReason lost_state_judge(const OrderNode *node, const RaftStored *stored,
										   char *reason, size_t reason_size, bool *trusted);
extern void lost_state_log_trust(const char *channel, const char *words);
extern void lost_state_log_begin(const char *channel, const char *reason);
extern void lost_state_log_hopeless(const char *channel, uint32 recovering_count,
									uint32 voters_count);

/* ---- the worker: order_node.c, duties.c, batching.c ---- */

/* a message that must not leave before what it promises is durable */
typedef struct LateMessage
{
	struct LateMessage *next;
	uint64 to;
	FbBytes bytes;
} LateMessage;

/* how often something was seen since it was written down */
typedef struct EvidenceCount
{
	const char *kind;
	uint64 consenter_id;
	uint64 unwritten;
	uint64 write_ms; /* not written again before */
} EvidenceCount;

/* where the chain stands after an entry of the log, and the entry's transactions */
typedef struct LogStep
{
	BlockHead head;
	BlockBatch batch; /* none: the entry makes no block */
} LogStep;

struct OrderNode
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	ChannelSlot *slot;
	Oid raft_log; /* the partition of this membership of the channel */
	OrderSettings settings;
	Raft *raft;
	WireSet *wires;
	LogCache *cache;
	Queue *queue;

	MemoryContext turn_context; /* reset at the beginning of each turn */
	FbAllocator *turn_allocator;
	uint64 now_ms; /* of the present turn; never goes back */
	bool more;	   /* the turn left something in the inbox */

	/* where Raft stands after the last step */
	RaftRole role;
	uint64 term;
	uint64 leader;
	uint64 last_index;
	uint64 commit_index;
	uint64 apply_index;
	uint64 log_start_index;
	uint64 log_start_term;
	BlockHead log_start_head; /* where the chain stands there */
	BlockHead head;			  /* ... and after the entry head_index, the last one */
	uint64 head_index;
	uint64 fetch_index;
	BlockHead fetch_head; /* the last block to fetch, by the word of the leader */
	bool fetch_refused;	  /* the ledger has another one */
	uint64 deadline_ms;
	uint64 sleep_until_ms; /* while the leadership is handed over: the next sleep ends then at the
							  latest; 0: no limit */

	/*
	 * duties that the steps of this turn left: first the transaction, then PERSISTED, then the late
	 * messages
	 */
	bool in_transaction;
	bool state_changed; /* raft_state has to be written */
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
	uint64 hopeless_logged_ms; /* when it was last said that too many are recovering; 0: never */
	uint64 hopeless_pause_ms;  /* until it is said again */

	/* told to Raft already */
	uint64 applied_index;
	uint64 compact_looked_index; /* applied_index when no new start of the log was found last */

	/*
	 * a leader's batches. The queue from its front: ready batches, counted by the cutter, not
	 * looked at yet
	 */
	Cutter cutter;
	uint32 ready[2];
	int ready_count;
	QueueItem *last_counted;  /* NULL: none */
	uint64 batch_deadline_ms; /* UINT64_MAX: no timer */

	/* a follower's forwarding */
	uint64 forward_retry_ms; /* look again at what was forwarded; UINT64_MAX: nothing was */
	uint64 forward_pause_ms; /* nothing is forwarded until then, because the leader refused some; 0:
								no pause */

	uint64 batches_count;
	uint64 dropped_count;
	TimestampTz leaderless_since; /* 0 while there is a leader */
	uint64 leader_changes_count;
	uint64 leader_changes_told; /* of them: those that waiting sessions were woken for */
	uint64 leaderless_ms;		/* since when no leader is known, of now_ms; 0: one is */
	uint64 leaderless_told_ms;	/* when that was reported last */
	EvidenceCount evidence[(RAFT_EVIDENCE_KIND_MAX + 2) * (FB_RAFT_NODES_MAX + 1)];
	int evidence_count;
	bool abstains; /* the ledger stands still: see take_fork */
	uint64
		hand_over_ms; /* a leader whose ledger stands still tries to hand over; not again before */
	uint64 refusal_logged_ms; /* when a message of another consenter was last refused in the log; 0:
								 never */
};

/* ---- turn.c ---- */

/*
 * begin the turn's transaction, unless it is there already. An error when the channel was left
 * since this worker started
 */
extern void turn_open_transaction(OrderNode *node);
/* after a change of role or leader */
extern void turn_reset_batching(OrderNode *node);

/* log_chain.c */

/* where the chain stands after an entry of the log, or where the log starts */
extern void log_chain_head(OrderNode *node, uint64 index, BlockHead *head);
/* ... and after one batch more, whose link fits; step->head: before, then after */
extern void log_chain_follow(OrderNode *node, FbBytes payload, LogStep *step);
/*
 * Do the new entries of an append follow? *steps: of each of them, in the turn's memory. Else
 * FB_CHAINS_DIFFER or FB_MALFORMED_MESSAGE, and *index of the entry
 */
extern FbStatus log_chain_check(OrderNode *node, const RaftMessage *message, const LogStep **steps,
								uint64 *index, FbError *error);
/*
 * is this a block of the ledger, as it is now, and made from this entry? Needs a transaction, as
 * the next one
 */
extern bool log_chain_ledger_has(const char *channel, const BlockHead *head, uint64 raft_index);
/* did this entry become a block? */
extern bool log_chain_makes_block(OrderNode *node, uint64 index);
extern void log_chain_genesis(const char *channel, BlockHead *head);

/* kinds of evidence beside those of core/raft */
#define EVIDENCE_CHAIN                                                                         \
	"entries_do_not_follow" /* an append's batches are linked to another block than this log's \
							   last one */
#define EVIDENCE_SNAPSHOT \
	"snapshot_of_another_chain" /* the block before the leader's log is another one here */

/* evidence.c. kind: a constant of the program, known by its address */
extern void evidence_note(OrderNode *node, const char *kind, uint64 consenter_id, uint64 term,
						  uint64 index, const FbError *error);

/* duties.c */

/* what a step may need beside the event */
typedef struct StepInput
{
	const RaftMessage *message; /* RECEIVE */
	const LogStep *steps;	 /* RECEIVE of an append: of its entries, from the first new one on */
	const FbBytes *payloads; /* SUBMIT */
	RaftEvidence *evidence;	 /* RECEIVE: what the step found */
} StepInput;

/*
 * One event: Raft's step, and of its duties those that can be done at once (writing in an open
 * transaction, sending early messages). Raises on what must end the worker; returns the status of
 * events that may be refused.
 */
extern FbStatus duties_step(OrderNode *node, RaftEvent *event, const StepInput *input,
							FbError *error);
/* commit, report PERSISTED, send late messages, until nothing is left; publish the commit index */
extern void duties_finish(OrderNode *node);

/* batching.c */

/* a new envelope */
extern void batching_add(OrderNode *node, const QueueEntry *entry);
/* cut and submit, or forward, what can be now; true if something was submitted */
extern bool batching_run(OrderNode *node);
/* when batching_run wants to be called again, whatever happens until then */
extern uint64 batching_deadline_ms(const OrderNode *node);

/* ---- publish.c ---- */

typedef struct PublishCounts
{
	uint64 pending_count; /* envelopes not in the log yet */
	uint64 pending_bytes;
	uint64 batches_count; /* cut by this node */
	uint64 dropped_count; /* envelopes given up */
	uint64 leader_changes_count;
	TimestampTz leaderless_since; /* 0 while there is a leader */
	TimestampTz recovering_since; /* 0: not recovering */
	const char *recovery_detail;
} PublishCounts;

/* what the worker is doing, for sessions and views. now_ms: the clock of the Raft events */
extern void publish_status(ChannelSlot *slot, const Raft *raft, const WireSet *set,
						   const PublishCounts *counts, uint64 now_ms);
/*
 * the condition "leader": no leader is known for longer than an election takes, and which
 * consenters are not reached, and why
 */
extern void publish_leadership(OrderNode *node);

#endif
