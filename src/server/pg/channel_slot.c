/*
 * channel_slot.c: the state of a channel that this node's processes publish in shared memory.
 *
 * The problem. With every call, sessions read a channel's height, its configuration block, its
 * leader and the length of the queue; workers change these with every block and every Raft
 * message. Most of it is also in tables, at the price of a query; Raft's state is in no table.
 * Readers must not wait for a worker, and must not see one half of a change together with the
 * other half of the previous one.
 *
 * The rule. Each field has one writer: the ledger worker, the orderer worker, or the launcher; a
 * channel has at most one of each (shmem_worker_attach). So no writer has to read before it
 * writes, and a lock is needed only for values longer than a machine word.
 *
 * 1. Positions: height, commit index, wanted index, applied index. A position is a promise:
 *    "blocks below are committed", "entries up to here are in raft_log". The writer first makes
 *    the promise true, then stores the position (publish_position: write barrier, then store). The
 *    reader loads the position, then reads the promised data (read_position: load, then read
 *    barrier). So a reader never sees a position without its data. Of all values that belong to a
 *    block, the height is stored last, so a reader that has seen it finds the counts, the
 *    configuration block and the applied index of that block or of a later one. Data in tables
 *    needs nothing more: the worker's commit precedes the store, and a snapshot taken after the
 *    load sees the commit. Two positions that are loaded one after the other may be of different
 *    moments: their difference is an estimate.
 *
 * 2. Figures: counts by validation code, sessions woken, the fork flag. They promise nothing, so
 *    they are plain atomics without an order.
 *
 * 3. Records: state of Raft, workers, notifications, validation, source. They are copied as a
 *    whole under the slot's spinlock, so the parts of a copy are of one moment. The functions
 *    below copy only what their callers need: sessions that submit copy the 48 bytes of
 *    OrdererState, the views a summary of about 330 bytes, and only fabric.stat_orderer_followers
 *    the followers, as many as there are. No function is called under the spinlock except memcpy:
 *    the time of day is read before, and all copied data has a fixed address. With an LWLock
 *    readers could share, but it also queues them behind a waiting writer, and the lock itself
 *    costs as much as copying 300 bytes.
 *
 * 4. Wake-ups carry no data. A worker publishes, and then sets a latch or broadcasts; the woken
 *    process loads again, and may find more than the wake-up was for, or nothing. SetLatch and
 *    ResetLatch are full barriers (storage/latch.h). A process that waits for the condition
 *    variable enters its list before it loads the height, and the worker stores the height before
 *    it looks at the list; both use the list's spinlock, so at least one of them sees the other.
 *
 * 5. A slot may be reused for another channel. It does not move, and its memory remains; a process
 *    that still has the pointer reads the figures of the other channel at worst. This cannot
 *    happen to workers, because the launcher drops a slot only after they have ended; sessions
 *    look up their slot by name and ledger id for each call; the views copy the name together with
 *    the pointer (shmem_channel_at).
 *
 * Rejected: a sequence counter with readers that retry (no reader is so frequent that the spinlock
 * shows in a profile, and a retry loop over a struct with text is error-prone); publishing in
 * tables (a transaction for each Raft message).
 */
#include "server/pg/shmem_internal.h"

/*
 * a process that reads this position with read_position also sees all earlier writes of this
 * process
 */
static void
publish_position(pg_atomic_uint64 *position, uint64 value)
{
	pg_write_barrier();
	pg_atomic_write_u64(position, value);
}

/* reads after this call see what the position promises */
static uint64
read_position(pg_atomic_uint64 *position)
{
	uint64 value = pg_atomic_read_u64(position);

	pg_read_barrier();
	return value;
}

/* ---- the channel ---- */

const char *
slot_name(const ChannelSlot *slot)
{
	return slot->name;
}

int
slot_ledger_id(const ChannelSlot *slot)
{
	return slot->ledger_id;
}

int
slot_index(const ChannelSlot *slot)
{
	return slot->index;
}

bool
slot_import_only(const ChannelSlot *slot)
{
	return slot->import_only;
}

void
slot_set_import_only(ChannelSlot *slot, bool import_only)
{
	slot->import_only = import_only;
}

/* ---- the ledger worker's ---- */

void
slot_publish_ledger(ChannelSlot *slot, uint64 config_block_number, uint64 applied_index,
					uint64 height)
{
	pg_atomic_write_u64(&slot->config_block_number, config_block_number);
	publish_position(&slot->applied_raft_index, applied_index);
	publish_position(&slot->height, height);
	ConditionVariableBroadcast(&slot->committed);
}

static void
add_work(ValidationState *state, const BlockNews *news)
{
	state->work.policies_parsed += news->work->policies_parsed;
	state->work.policies_evaluated += news->work->policies_evaluated;
	state->work.signatures_checked += news->work->signatures_checked;
	state->work.range_rows += news->work->range_rows;
	state->work.identities_checked += news->work->identities_checked;
	state->blocks_count++;
	state->total_us += news->validation_us;
	state->last_us = news->validation_us;
	if (news->validation_us >= state->longest_us)
	{
		state->longest_us = news->validation_us;
		state->longest_block_number = news->number;
	}
}

void
slot_publish_block(ChannelSlot *slot, const BlockNews *news)
{
	for (int code = 0; code < 256; code++)
		if (news->counts[code] > 0)
			pg_atomic_fetch_add_u64(&slot->validation_counts[code], news->counts[code]);
	SpinLockAcquire(&slot->mutex);
	add_work(&slot->validation, news);
	SpinLockRelease(&slot->mutex);
	if (news->lifecycle_changed)
		pg_atomic_write_u64(&slot->lifecycle_block_number, news->number);
	/* before the positions: who sees the block must see its configuration */
	if (news->config_changed)
		pg_atomic_write_u64(&slot->config_block_number, news->number);
	if (news->raft_index > 0)
		publish_position(&slot->applied_raft_index, news->raft_index);
	publish_position(&slot->height, news->number + 1);
	ConditionVariableBroadcast(&slot->committed);
}

void
slot_set_applied_index(ChannelSlot *slot, uint64 applied_index)
{
	publish_position(&slot->applied_raft_index, applied_index);
}

uint64
slot_height(ChannelSlot *slot)
{
	return read_position(&slot->height);
}

uint64
slot_config_block(ChannelSlot *slot)
{
	return pg_atomic_read_u64(&slot->config_block_number);
}

uint64
slot_lifecycle_block(ChannelSlot *slot)
{
	return pg_atomic_read_u64(&slot->lifecycle_block_number);
}

uint64
slot_applied_index(ChannelSlot *slot)
{
	return read_position(&slot->applied_raft_index);
}

void
slot_set_forked(ChannelSlot *slot, bool forked)
{
	pg_atomic_write_u32(&slot->forked, forked ? 1 : 0);
}

bool
slot_is_forked(ChannelSlot *slot)
{
	return pg_atomic_read_u32(&slot->forked) != 0;
}

uint64
slot_validation_count(ChannelSlot *slot, int code)
{
	Assert(code >= 0 && code < 256);
	return pg_atomic_read_u64(&slot->validation_counts[code]);
}

void
slot_validation(ChannelSlot *slot, ValidationState *state)
{
	SpinLockAcquire(&slot->mutex);
	*state = slot->validation;
	SpinLockRelease(&slot->mutex);
}

uint64
slot_sessions_woken(ChannelSlot *slot)
{
	return pg_atomic_read_u64(&slot->sessions_woken);
}

/* ---- NOTIFY ---- */

uint64
slot_notified_start(ChannelSlot *slot, uint64 height)
{
	uint64 notified;

	SpinLockAcquire(&slot->mutex);
	if (slot->notifications.height == 0)
		slot->notifications.height = height;
	notified = slot->notifications.height;
	SpinLockRelease(&slot->mutex);
	return notified;
}

void
slot_note_notified(ChannelSlot *slot, uint64 height)
{
	SpinLockAcquire(&slot->mutex);
	slot->notifications.height = height;
	slot->notifications.failing_since = 0;
	SpinLockRelease(&slot->mutex);
}

void
slot_note_unnotified(ChannelSlot *slot, const char *problem)
{
	char text[sizeof(slot->notifications.last_error)];
	TimestampTz now = GetCurrentTimestamp();

	strlcpy(text, problem, sizeof(text));
	SpinLockAcquire(&slot->mutex);
	slot->notifications.failures_count++;
	if (slot->notifications.failing_since == 0)
		slot->notifications.failing_since = now;
	memcpy(slot->notifications.last_error, text, sizeof(text));
	SpinLockRelease(&slot->mutex);
}

void
slot_notifications(ChannelSlot *slot, NotificationState *state)
{
	SpinLockAcquire(&slot->mutex);
	*state = slot->notifications;
	SpinLockRelease(&slot->mutex);
}

/* ---- where blocks come from ---- */

void
slot_note_source(ChannelSlot *slot, const char *address)
{
	char text[SLOT_SOURCE_BYTES];
	TimestampTz now = GetCurrentTimestamp();

	strlcpy(text, address, sizeof(text));
	SpinLockAcquire(&slot->mutex);
	memcpy(slot->source, text, sizeof(text));
	slot->source_at = now;
	SpinLockRelease(&slot->mutex);
}

void
slot_source(ChannelSlot *slot, char address[SLOT_SOURCE_BYTES], TimestampTz *at)
{
	SpinLockAcquire(&slot->mutex);
	memcpy(address, slot->source, SLOT_SOURCE_BYTES);
	*at = slot->source_at;
	SpinLockRelease(&slot->mutex);
}

/* ---- the orderer worker's ---- */

bool
slot_raise_commit_index(ChannelSlot *slot, uint64 commit_index)
{
	if (pg_atomic_read_u64(&slot->commit_index) >= commit_index)
		return false;
	publish_position(&slot->commit_index, commit_index);
	return true;
}

bool
slot_set_wanted_index(ChannelSlot *slot, uint64 wanted_index)
{
	if (pg_atomic_read_u64(&slot->wanted_index) == wanted_index)
		return false;
	publish_position(&slot->wanted_index, wanted_index);
	return true;
}

uint64
slot_commit_index(ChannelSlot *slot)
{
	return read_position(&slot->commit_index);
}

uint64
slot_wanted_index(ChannelSlot *slot)
{
	return read_position(&slot->wanted_index);
}

void
slot_publish_raft(ChannelSlot *slot, const RaftSummary *summary, const FollowerState *followers,
				  int followers_count)
{
	Assert(followers_count <= FB_RAFT_NODES_MAX);
	SpinLockAcquire(&slot->mutex);
	slot->raft = *summary;
	slot->followers_count = followers_count;
	memcpy(slot->followers, followers, followers_count * sizeof(*followers));
	SpinLockRelease(&slot->mutex);
}

void
slot_orderer(ChannelSlot *slot, OrdererState *state)
{
	SpinLockAcquire(&slot->mutex);
	state->pid = slot->workers[WORKER_ORDERER].state.pid;
	state->role = slot->raft.role;
	state->term = slot->raft.term;
	state->leader_id = slot->raft.leader_id;
	state->leaderless_since = slot->raft.leaderless_since;
	state->pending_bytes = slot->raft.pending_bytes;
	SpinLockRelease(&slot->mutex);
}

void
slot_raft(ChannelSlot *slot, RaftSummary *summary, bool *running)
{
	SpinLockAcquire(&slot->mutex);
	*summary = slot->raft;
	*running = slot->workers[WORKER_ORDERER].state.pid != 0;
	SpinLockRelease(&slot->mutex);
}

int
slot_raft_followers(ChannelSlot *slot, RaftSummary *summary, bool *running,
					FollowerState followers[FB_RAFT_NODES_MAX])
{
	int count;

	SpinLockAcquire(&slot->mutex);
	*summary = slot->raft;
	*running = slot->workers[WORKER_ORDERER].state.pid != 0;
	count = slot->followers_count;
	memcpy(followers, slot->followers, count * sizeof(*followers));
	SpinLockRelease(&slot->mutex);
	return count;
}

/* ---- workers ---- */

pid_t
slot_worker_pid(ChannelSlot *slot, WorkerKind kind)
{
	pid_t pid;

	SpinLockAcquire(&slot->mutex);
	pid = slot->workers[kind].state.pid;
	SpinLockRelease(&slot->mutex);
	return pid;
}

void
slot_worker(ChannelSlot *slot, WorkerKind kind, WorkerState *state)
{
	SpinLockAcquire(&slot->mutex);
	*state = slot->workers[kind].state;
	SpinLockRelease(&slot->mutex);
}

uint64
slot_worker_restarts(ChannelSlot *slot, WorkerKind kind)
{
	uint64 count;

	SpinLockAcquire(&slot->mutex);
	count = slot->workers[kind].state.restarts_count;
	SpinLockRelease(&slot->mutex);
	return count;
}

void
slot_note_start(ChannelSlot *slot, WorkerKind kind)
{
	SpinLockAcquire(&slot->mutex);
	if (slot->workers[kind].state.started_at != 0)
		slot->workers[kind].state.restarts_count++;
	SpinLockRelease(&slot->mutex);
}
