/*
 * shmem.c: all shared memory of the extension.
 *
 * One segment: FabricShared, then guc_max_channels slots, then two inbox rings for each slot, the
 * exchange with the relay process, the waiting sessions, the times of answers, the roles of other
 * nodes, the conditions, the contacts, the work counters, and the verified set. Shared memory
 * stores nothing permanently: workers publish here the contents of tables (or the current state of
 * Raft), and sessions read it without a query. After a crash it starts empty, and the workers fill
 * it again.
 *
 * Locks. FabricShared.lock: the list of channels, the latches of the workers and of the launcher
 * (so that no process sets the latch of one that has just exited). ChannelSlot.mutex: the copies
 * of worker and Raft state. InboxHeader.lock: one ring. Atomics: the rest, each with one writer;
 * the note in channel_slot.c explains the order of writes and reads. The other parts of the
 * segment have their own locks. Other directories touch none of these (tools/check_shared.pl):
 * they call functions, which copy the requested part.
 */
#include "server/pg/shmem_internal.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

#include <signal.h>

/* 64 K digests of 32 bytes = 2 MB: about 20 blocks of 500 transactions with 5 signatures each */
#define VERIFIED_SLOTS_COUNT 65536

typedef struct FabricShared
{
	LWLock lock;
	pid_t launcher_pid;	   /* guarded by lock */
	Latch *launcher_latch; /* guarded by lock */
	ChannelSlot *slots;
	char *rings;
	/*
	 * entries of four 64-bit words of a digest; a torn write only makes an entry that matches
	 * nothing
	 */
	pg_atomic_uint64 *verified;
} FabricShared;

static FabricShared *shared = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
channel_slots_bytes(void)
{
	return MAXALIGN(mul_size(sizeof(ChannelSlot), guc_max_channels));
}

static Size
shared_bytes(void)
{
	Size size = MAXALIGN(sizeof(FabricShared));

	size = add_size(size, channel_slots_bytes());
	size = add_size(size,
					mul_size(inbox_capacity() + shmem_private_inbox_capacity(), guc_max_channels));
	size = add_size(size, exchange_bytes());
	size = add_size(size, waiters_bytes());
	size = add_size(size, answer_times_bytes());
	size = add_size(size, node_roles_bytes());
	size = add_size(size, conditions_bytes());
	size = add_size(size, contacts_bytes());
	size = add_size(size, work_bytes());
	return add_size(size, mul_size(4 * sizeof(pg_atomic_uint64), VERIFIED_SLOTS_COUNT));
}

static void
shmem_request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_bytes());
	RequestNamedLWLockTranche("fabric", 1);
}

static void
init_slot(ChannelSlot *slot, int index, int tranche)
{
	memset(slot, 0, sizeof(*slot));
	slot->index = index;
	pg_atomic_init_u64(&slot->height, 0);
	pg_atomic_init_u64(&slot->config_block_number, 0);
	pg_atomic_init_u64(&slot->lifecycle_block_number, 0);
	pg_atomic_init_u64(&slot->applied_raft_index, 0);
	pg_atomic_init_u32(&slot->forked, 0);
	pg_atomic_init_u64(&slot->commit_index, 0);
	pg_atomic_init_u64(&slot->wanted_index, 0);
	for (int code = 0; code < 256; code++)
		pg_atomic_init_u64(&slot->validation_counts[code], 0);
	ConditionVariableInit(&slot->committed);
	pg_atomic_init_u64(&slot->sessions_woken, 0);
	SpinLockInit(&slot->mutex);
	LWLockInitialize(&slot->inbox.lock, tranche);
	LWLockInitialize(&slot->private_inbox.lock, tranche);
	pg_atomic_init_u64(&slot->private_stored, 0);
	ConditionVariableInit(&slot->private_stored_changed);
}

static void
shmem_startup(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("fabric", shared_bytes(), &found);
	if (!found)
	{
		int tranche = GetNamedLWLockTranche("fabric")->lock.tranche;
		char *position = (char *) shared + MAXALIGN(sizeof(FabricShared));

		memset(shared, 0, sizeof(*shared));
		LWLockInitialize(&shared->lock, tranche);
		shared->slots = (ChannelSlot *) position;
		position += channel_slots_bytes();
		shared->rings = position;
		position += mul_size(inbox_capacity() + shmem_private_inbox_capacity(), guc_max_channels);
		exchange_init(position, tranche);
		position += exchange_bytes();
		waiters_init(position, tranche);
		position += waiters_bytes();
		answer_times_init(position);
		position += answer_times_bytes();
		node_roles_init(position, tranche);
		position += node_roles_bytes();
		conditions_init(position, tranche);
		position += conditions_bytes();
		contacts_init(position, tranche);
		position += contacts_bytes();
		work_init(position);
		position += work_bytes();
		shared->verified = (pg_atomic_uint64 *) position;
		for (int i = 0; i < guc_max_channels; i++)
			init_slot(&shared->slots[i], i, tranche);
		for (int i = 0; i < 4 * VERIFIED_SLOTS_COUNT; i++)
			pg_atomic_init_u64(&shared->verified[i], 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
shmem_install_hooks(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

bool
shmem_available(void)
{
	return shared != NULL;
}

bool
shmem_serves_database(void)
{
	static bool known = false;
	char *name;

	/* workers are always in the right database */
	if (known || MyBackendType != B_BACKEND)
		return true;
	name = get_database_name(MyDatabaseId);
	known = name != NULL && strcmp(name, guc_database) == 0;
	return known;
}

/*
 * The workers serve one database only: a request from another database would be executed in
 * theirs.
 */
static void
require_database(void)
{
	const char *name;

	if (shmem_serves_database())
		return;
	name = get_database_name(MyDatabaseId);
	ereport(
		ERROR,
		(fb_errcode(FB_NOT_PRELOADED),
		 errmsg("database \"%s\" is not the one in which this node works",
				name != NULL ? name : ""),
		 errhint(
			 "Connect to database \"%s\", or change the setting fabric.database and restart the server.",
			 guc_database)));
}

void
shmem_require(void)
{
	if (shmem_available())
	{
		require_database();
		return;
	}
	ereport(
		ERROR,
		(fb_errcode(FB_NOT_PRELOADED),
		 errmsg("fabric must be loaded at server start for this function"),
		 errhint(
			 "Add fabric to shared_preload_libraries in postgresql.conf and restart the server.")));
}

size_t
inbox_capacity(void)
{
	return (size_t) guc_inbox_size * 1024;
}

/* one record may hold all private writes of a transaction; such records are rare */
size_t
shmem_private_inbox_capacity(void)
{
	return inbox_capacity() / 4;
}

char *
shmem_inbox_ring(ChannelSlot *slot)
{
	return shared->rings +
		   (size_t) slot->index * (inbox_capacity() + shmem_private_inbox_capacity());
}

char *
shmem_private_inbox_ring(ChannelSlot *slot)
{
	return shmem_inbox_ring(slot) + inbox_capacity();
}

/* caller holds FabricShared.lock */
static ChannelSlot *
find_locked(const char *channel)
{
	for (int i = 0; i < guc_max_channels; i++)
		if (shared->slots[i].in_use && strcmp(shared->slots[i].name, channel) == 0)
			return &shared->slots[i];
	return NULL;
}

ChannelSlot *
shmem_channel_find(const char *channel, int ledger_id)
{
	ChannelSlot *slot;

	if (!shmem_available())
		return NULL;
	LWLockAcquire(&shared->lock, LW_SHARED);
	slot = find_locked(channel);
	if (slot != NULL && slot->ledger_id != ledger_id)
		slot = NULL;
	LWLockRelease(&shared->lock);
	return slot;
}

/*
 * Clear a slot that was used before, so that it does not show the old channel's figures. The
 * caller holds FabricShared.lock.
 */
static void
clear_slot(ChannelSlot *slot)
{
	pg_atomic_write_u64(&slot->height, 0);
	pg_atomic_write_u64(&slot->config_block_number, 0);
	pg_atomic_write_u64(&slot->lifecycle_block_number, 0);
	pg_atomic_write_u64(&slot->applied_raft_index, 0);
	pg_atomic_write_u32(&slot->forked, 0);
	pg_atomic_write_u64(&slot->commit_index, 0);
	pg_atomic_write_u64(&slot->wanted_index, 0);
	for (int code = 0; code < 256; code++)
		pg_atomic_write_u64(&slot->validation_counts[code], 0);
	pg_atomic_write_u64(&slot->sessions_woken, 0);
	SpinLockAcquire(&slot->mutex);
	for (int kind = 0; kind < WORKER_KIND_COUNT; kind++)
	{
		uint32 generation = slot->workers[kind].generation;

		memset(&slot->workers[kind], 0, sizeof(slot->workers[kind]));
		slot->workers[kind].generation = generation;
	}
	memset(&slot->notifications, 0, sizeof(slot->notifications));
	memset(&slot->validation, 0, sizeof(slot->validation));
	memset(&slot->raft, 0, sizeof(slot->raft));
	slot->followers_count = 0;
	slot->import_handle = DSM_HANDLE_INVALID;
	slot->source[0] = '\0';
	slot->source_at = 0;
	SpinLockRelease(&slot->mutex);
	slot->import_only = false;
	LWLockAcquire(&slot->inbox.lock, LW_EXCLUSIVE);
	slot->inbox.head = slot->inbox.tail = 0;
	slot->inbox.records_count = slot->inbox.refused_count = 0;
	LWLockRelease(&slot->inbox.lock);
	LWLockAcquire(&slot->private_inbox.lock, LW_EXCLUSIVE);
	slot->private_inbox.head = slot->private_inbox.tail = 0;
	slot->private_inbox.records_count = slot->private_inbox.refused_count = 0;
	pg_atomic_write_u64(&slot->private_stored, 0);
	LWLockRelease(&slot->private_inbox.lock);
}

ChannelSlot *
shmem_channel_create(const char *channel, int ledger_id)
{
	ChannelSlot *slot;

	shmem_require();
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	slot = find_locked(channel);
	for (int i = 0; slot == NULL && i < guc_max_channels; i++)
		if (!shared->slots[i].in_use)
		{
			slot = &shared->slots[i];
			clear_slot(slot);
			strlcpy(slot->name, channel, sizeof(slot->name));
			slot->ledger_id = ledger_id;
			slot->in_use = true;
		}
	LWLockRelease(&shared->lock);
	return slot;
}

void
shmem_channel_drop(ChannelSlot *slot)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	slot->in_use = false;
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&slot->committed);
	ConditionVariableBroadcast(&slot->private_stored_changed);
}

bool
shmem_wait_height(ChannelSlot *slot, uint64 height, TimestampTz deadline)
{
	bool reached;

	ConditionVariablePrepareToSleep(&slot->committed);
	while (!(reached = slot_height(slot) > height) && slot->in_use)
	{
		long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left_ms <= 0)
			break;
		(void) ConditionVariableTimedSleep(&slot->committed, left_ms, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return reached;
}

ChannelSlot *
shmem_channel_at(int index, char name[FB_CHANNEL_ID_BYTES_MAX + 1])
{
	ChannelSlot *slot = NULL;

	if (!shmem_available())
		return NULL;
	LWLockAcquire(&shared->lock, LW_SHARED);
	if (shared->slots[index].in_use)
	{
		slot = &shared->slots[index];
		if (name != NULL)
			memcpy(name, slot->name, sizeof(slot->name));
	}
	LWLockRelease(&shared->lock);
	return slot;
}

/* ---- workers and the launcher ---- */

static ChannelSlot *attached_slot;
static WorkerKind attached_kind;

/*
 * What an orderer published about the present ends with it. Otherwise sessions would hand envelopes
 * to its successor because its leader is known, before the successor has heard of one.
 */
static void
forget_present(RaftSummary *raft, TimestampTz now)
{
	raft->leader_id = 0;
	raft->leaderless_since = now;
	raft->pending_count = 0;
	raft->pending_bytes = 0;
}

static void
worker_detach(int code, Datum argument)
{
	WorkerSlot *worker = &attached_slot->workers[attached_kind];
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&attached_slot->mutex);
	worker->state.pid = 0;
	worker->latch = NULL;
	worker->state.last_exit_at = now;
	if (attached_kind == WORKER_ORDERER)
	{
		forget_present(&attached_slot->raft, now);
		attached_slot->followers_count = 0;
	}
	SpinLockRelease(&attached_slot->mutex);
	LWLockRelease(&shared->lock);
	shmem_launcher_wake();
}

ChannelSlot *
shmem_worker_attach(int slot_index, WorkerKind kind, uint32 generation)
{
	ChannelSlot *slot = &shared->slots[slot_index];
	WorkerSlot *worker = &slot->workers[kind];
	TimestampTz now = GetCurrentTimestamp();
	bool expected;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&slot->mutex);
	expected = slot->in_use && worker->generation == generation && worker->state.pid == 0;
	if (expected)
	{
		worker->state.pid = MyProcPid;
		worker->latch = MyLatch;
		worker->state.started_at = now;
	}
	SpinLockRelease(&slot->mutex);
	LWLockRelease(&shared->lock);
	if (!expected)
		return NULL;
	attached_slot = slot;
	attached_kind = kind;
	before_shmem_exit(worker_detach, (Datum) 0);
	return slot;
}

uint32
shmem_worker_next_generation(ChannelSlot *slot, WorkerKind kind)
{
	uint32 generation;

	SpinLockAcquire(&slot->mutex);
	generation = ++slot->workers[kind].generation;
	SpinLockRelease(&slot->mutex);
	return generation;
}

bool
shmem_worker_stop(ChannelSlot *slot, WorkerKind kind)
{
	bool stopped;

	(void) shmem_worker_next_generation(slot, kind);
	/* while the lock is held a process cannot withdraw its id, so the id still belongs to it */
	LWLockAcquire(&shared->lock, LW_SHARED);
	stopped = slot->workers[kind].state.pid == 0;
	if (!stopped)
		kill(slot->workers[kind].state.pid, SIGTERM);
	LWLockRelease(&shared->lock);
	return stopped;
}

void
shmem_worker_wake(ChannelSlot *slot, WorkerKind kind)
{
	LWLockAcquire(&shared->lock, LW_SHARED);
	if (slot->workers[kind].latch != NULL)
		SetLatch(slot->workers[kind].latch);
	LWLockRelease(&shared->lock);
}

void
shmem_worker_note_error(ChannelSlot *slot, WorkerKind kind, const char *message)
{
	char text[sizeof(slot->workers[kind].state.last_error)];
	size_t size = (size_t) fb_utf8_cut(fb_bytes_of_text(message), (int) sizeof(text) - 1);
	TimestampTz now = GetCurrentTimestamp();

	memcpy(text, message, size);
	text[size] = '\0';
	SpinLockAcquire(&slot->mutex);
	memcpy(slot->workers[kind].state.last_error, text, size + 1);
	slot->workers[kind].state.last_error_at = now;
	SpinLockRelease(&slot->mutex);
}

static void
launcher_detach(int code, Datum argument)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	shared->launcher_pid = 0;
	shared->launcher_latch = NULL;
	LWLockRelease(&shared->lock);
}

void
shmem_launcher_attach(void)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	shared->launcher_pid = MyProcPid;
	shared->launcher_latch = MyLatch;
	LWLockRelease(&shared->lock);
	before_shmem_exit(launcher_detach, (Datum) 0);
}

void
shmem_launcher_wake(void)
{
	if (!shmem_available())
		return;
	LWLockAcquire(&shared->lock, LW_SHARED);
	if (shared->launcher_latch != NULL)
		SetLatch(shared->launcher_latch);
	LWLockRelease(&shared->lock);
}

pid_t
shmem_launcher_pid(void)
{
	pid_t pid;

	if (!shmem_available())
		return 0;
	LWLockAcquire(&shared->lock, LW_SHARED);
	pid = shared->launcher_pid;
	LWLockRelease(&shared->lock);
	return pid;
}

/* ---- verified set ---- */

static pg_atomic_uint64 *
verified_entry(const uint64 words[4])
{
	return &shared->verified[4 * (words[0] % VERIFIED_SLOTS_COUNT)];
}

void
shmem_verified_add(const uint8_t digest[32])
{
	uint64 words[4];
	pg_atomic_uint64 *entry;

	if (!shmem_available())
		return;
	memcpy(words, digest, sizeof(words));
	entry = verified_entry(words);
	for (int i = 0; i < 4; i++)
		pg_atomic_write_u64(&entry[i], words[i]);
}

bool
shmem_verified_contains(const uint8_t digest[32])
{
	uint64 words[4];
	pg_atomic_uint64 *entry;

	if (!shmem_available())
		return false;
	memcpy(words, digest, sizeof(words));
	entry = verified_entry(words);
	for (int i = 0; i < 4; i++)
		if (pg_atomic_read_u64(&entry[i]) != words[i])
			return false;
	return true;
}
