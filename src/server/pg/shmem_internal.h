/* the layout of shared memory, for the files of server/pg only */
#ifndef FABRIC_SERVER_PG_SHMEM_INTERNAL_H
#define FABRIC_SERVER_PG_SHMEM_INTERNAL_H

#include "server/pg/pg.h"

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/*
 * A worker of a channel. ChannelSlot.mutex guards all fields; a process that changes state.pid or
 * latch also holds FabricShared.lock.
 */
typedef struct WorkerSlot
{
	WorkerState state; /* state.pid: guarded like latch */
	Latch *latch;	   /* of the running worker; NULL when none is attached */
	/*
	 * Of the last start. Only grows while the server runs, also when the slot becomes another
	 * channel's.
	 */
	uint32 generation;
} WorkerSlot;

/*
 * A bounded queue of records; head and tail are byte positions that only grow. lock guards
 * everything.
 */
typedef struct InboxHeader
{
	LWLock lock;
	uint64 head;		  /* next byte to read */
	uint64 tail;		  /* next byte to write */
	uint64 records_count; /* waiting now */
	uint64 refused_count; /* refused so far because the queue was full */
} InboxHeader;

struct ChannelSlot
{
	/* FabricShared.lock guards in_use, name and ledger_id; a slot is never moved */
	bool in_use;
	char name[FB_CHANNEL_ID_BYTES_MAX + 1];
	int ledger_id;
	int index;

	/* written by the ledger worker (after its commit), read by all processes */
	pg_atomic_uint64 height; /* written last; see channel_slot.c */
	pg_atomic_uint64 config_block_number;
	pg_atomic_uint64 lifecycle_block_number;
	pg_atomic_uint64 applied_raft_index;
	pg_atomic_uint64 validation_counts[256];
	/* broadcast after every block, for processes that wait for a height */
	ConditionVariable committed;
	pg_atomic_uint64 sessions_woken;
	pg_atomic_uint32 forked;

	/* written by the orderer worker */
	pg_atomic_uint64 commit_index;
	pg_atomic_uint64 wanted_index;

	/* guards the fields from here to the inboxes; held for a few copies only */
	slock_t mutex;
	char source[SLOT_SOURCE_BYTES];
	TimestampTz source_at;
	WorkerSlot workers[WORKER_KIND_COUNT];
	NotificationState notifications;
	ValidationState validation;
	RaftSummary raft;
	int followers_count;
	FollowerState followers[FB_RAFT_NODES_MAX];
	/* of the block that a session passes to the ledger worker; see import_queue.c */
	dsm_handle import_handle;

	InboxHeader inbox;		   /* into the orderer worker; its ring is behind all slots */
	InboxHeader private_inbox; /* into the ledger worker: private plaintext of endorsements */
	/* the ledger worker has stored all records of private_inbox up to this position */
	pg_atomic_uint64 private_stored;
	ConditionVariable private_stored_changed;

	bool import_only; /* for the launcher only */
};

extern char *shmem_inbox_ring(ChannelSlot *slot);		  /* inbox_capacity() bytes */
extern char *shmem_private_inbox_ring(ChannelSlot *slot); /* shmem_private_inbox_capacity() bytes */
extern size_t shmem_private_inbox_capacity(void);

/* ---- exchange.c: its part of the segment; init once, in the postmaster ---- */
extern Size exchange_bytes(void);
extern void exchange_init(char *place, int tranche);

/* ---- waiters.c: likewise ---- */
extern Size waiters_bytes(void);
extern void waiters_init(char *place, int tranche);

/* ---- answer_times.c: likewise ---- */
extern Size answer_times_bytes(void);
extern void answer_times_init(char *place);

/* ---- node_roles.c: likewise ---- */
extern Size node_roles_bytes(void);
extern void node_roles_init(char *place, int tranche);

/* ---- condition.c: likewise ---- */
extern Size conditions_bytes(void);
extern void conditions_init(char *place, int tranche);

/* ---- contacts.c: likewise ---- */
extern Size contacts_bytes(void);
extern void contacts_init(char *place, int tranche);

/* ---- work_counters.c: likewise ---- */
extern Size work_bytes(void);
extern void work_init(char *place);

#endif
