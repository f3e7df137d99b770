/*
 * order, inside the room.
 *
 *   consenters.c  the channel's configuration as ordering needs it: who orders, who am I, who may speak for whom
 *   admission.c   may this envelope be ordered
 *   broadcast.c   from a session or another node into the inbox
 *   queue.c       envelopes that are not in the log yet, and which ones were seen lately
 *   log_cache.c   payloads of the newest log entries
 *   raft_store.c  tables raft_log and raft_state
 *   node.c        the Raft host
 *   publish.c     what the worker shows of itself in shared memory
 */
#ifndef FABRIC_SERVER_ORDER_INTERNAL_H
#define FABRIC_SERVER_ORDER_INTERNAL_H

#include "server/order/order.h"

#include "lib/ilist.h"

#include "core/block/block.h"
#include "core/config/config.h"
#include "core/raft/raft.h"
#include "server/pg/pg.h"
#include "server/wire/wire.h"

/* ---- records in the inbox: kind, first part, second part ---- */

#define RECORD_ENVELOPE 'e'		/* u64 configuration sequence under which it was admitted; envelope */
#define RECORD_FORWARD 'f'		/* u64 sender's Raft id; BlockData of envelopes */
#define RECORD_RAFT 'r'			/* u64 sender's Raft id; encoded message */
#define RECORD_TRANSFER 't'		/* u64 target's Raft id or 0; empty */

/* ---- consenters.c ---- */

typedef struct Consenters
{
	char		channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	uint64		config_block_number;
	MemoryContext context;		/* of everything below, and of the bundle */
	ConfigBundle *bundle;
	uint64		self_id;		/* this node's Raft id, 0 if it is no consenter */
	int			count;
	uint64		ids[FB_RAFT_NODES_MAX];
	char		addresses[FB_RAFT_NODES_MAX][WIRE_ADDRESS_BYTES];
	FbBytes		client_certificates[FB_RAFT_NODES_MAX]; /* DER */
} Consenters;

/*
 * The channel's present configuration, cached in the process and read again when the ledger has a newer configuration
 * block. Valid until the next call for the same channel. Needs a transaction. FB_CHANNEL_NOT_FOUND and what
 * config_bundle_create reports.
 */
extern FbStatus consenters_get(const char *channel, const Consenters **consenters, FbError *error);
/* is the client of this backend the consenter it says it is? FB_ACCESS_DENIED */
extern FbStatus consenters_check_sender(const char *channel, uint64 sender_id, FbError *error);

/* ---- admission.c ---- */

/* ORD-2. now: seconds since 1970 UTC. *message_bytes: payload and signature (ORD-3) */
extern FbStatus admission_check(const ConfigBundle *bundle, FbBytes envelope, int64 now, FbError *error);

/* ---- queue.c: envelopes that are not in the log yet ---- */

typedef enum QueueState
{
	/* Put there by arrival, by a change of leader, or when a forwarded one was not seen in the log for a while. A leader
	 * cuts it into a batch, a follower forwards it. */
	QUEUE_WAITING,
	/* Handed to the leader. Leaves the queue when its entry arrives here by Raft. */
	QUEUE_FORWARDED
} QueueState;

typedef struct QueueItem
{
	dlist_node	node;
	QueueState	state;
	uint64		hash;			/* of the envelope, keyed by a secret of the process */
	uint64		config_sequence; /* under which it was admitted; UINT64_MAX: forwarded by another consenter */
	uint64		arrived_ms;
	uint64		forwarded_ms;
	uint64		message_bytes;	/* as the cutter counts */
	bool		is_config;
	FbBytes		envelope;
} QueueItem;

typedef struct Queue Queue;

extern Queue *queue_create(MemoryContext parent);
/*
 * Append a copy of the envelope; NULL if it is there already, or was in one of the last entries of the log, or cannot be
 * parsed.
 */
extern QueueItem *queue_add(Queue *queue, FbBytes envelope, uint64 config_sequence, uint64 now_ms);
extern void queue_remove(Queue *queue, QueueItem *item);
/* oldest first; NULL at the end. item NULL: the first. Ask for the next one before removing an item */
extern QueueItem *queue_next(Queue *queue, QueueItem *item);
extern int	queue_count(const Queue *queue);
extern size_t queue_bytes(const Queue *queue);
/* these envelopes are in the log now: drop them from the queue, remember them */
extern void queue_note_logged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);
/* ... and are not any more: the entry was truncated */
extern void queue_note_unlogged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count);

/* ---- log_cache.c: a window on the end of the log ---- */

typedef struct LogCacheEntry
{
	uint64		term;
	RaftEntryKind kind;
	bool		own;			/* a batch cut by this node */
	FbBytes		payload;
} LogCacheEntry;

typedef struct LogCache LogCache;

extern LogCache *log_cache_create(MemoryContext parent);
/* index must follow the last one (or the cache be empty); the payload is copied */
extern void log_cache_append(LogCache *cache, uint64 index, uint64 term, RaftEntryKind kind, bool own, FbBytes payload);
/* NULL if it is not in the window; valid until the next change */
extern const LogCacheEntry *log_cache_find(const LogCache *cache, uint64 index);
extern uint64 log_cache_last_index(const LogCache *cache); /* 0: empty */
extern void log_cache_truncate(LogCache *cache, uint64 from_index);
extern void log_cache_clear(LogCache *cache);

/* ---- raft_store.c: all functions need a transaction ---- */

typedef struct RaftStored
{
	bool		present;		/* false: this node never ran Raft for the channel */
	uint64		raft_id;
	uint64		term;
	uint64		vote;
	uint64		commit_index;
	FbBytes		configuration;
	uint64		base_index;
	uint64		base_term;
	RaftTrailEntry *entries;	/* base_index + 1 ... */
	size_t		entries_count;
} RaftStored;

/* palloc'ed in the current memory context. FB_CORRUPTED if the log has gaps */
extern FbStatus raft_store_load(const char *channel, RaftStored *stored, FbError *error);
extern void raft_store_save_state(const char *channel, uint64 raft_id, const RaftHardState *state, uint64 base_index,
								  uint64 base_term);
extern void raft_store_append(const char *channel, uint64 index, uint64 term, RaftEntryKind kind, FbBytes payload);
extern void raft_store_truncate(const char *channel, uint64 from_index); /* this and all above */
extern void raft_store_compact(const char *channel, uint64 up_to_index); /* this and all below */

typedef struct RaftStoredEntry
{
	uint64		index;
	uint64		term;
	RaftEntryKind kind;
	FbBytes		payload;
} RaftStoredEntry;

/* entries first_index..last_index that are there, up to about bytes_max (at least one), palloc'ed in the current context */
extern RaftStoredEntry *raft_store_read(const char *channel, uint64 first_index, uint64 last_index, size_t bytes_max,
										int *entries_count);
/* the highest index <= up_to_index of a batch; 0 if there is none: only such an entry has a block to refer to */
extern uint64 raft_store_last_batch(const char *channel, uint64 up_to_index);

/* ---- publish.c ---- */

extern void publish_status(ChannelSlot *slot, const Raft *raft, const WireSet *set, const Consenters *consenters,
						   const Queue *queue, uint64 batches_count, uint64 dropped_count, uint64 now_ms);

#endif
