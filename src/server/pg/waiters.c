/*
 * waiters.c: sessions that wait for a transaction, and sessions that change the same keys.
 *
 * 1. A block wakes only the sessions that wait for one of its transactions. A session enters
 *    itself with its transaction id before it reads the tables; after its commit, the ledger
 *    worker looks up the ids of the block here, and sets the latches of the sessions that it
 *    finds. So no wake-up is lost, and the number of wake-ups follows the transactions, not the
 *    waiting sessions: with a broadcast, 500 sessions would wake for every block. A worker that
 *    ends between its commit and the look-up wakes no session; so a session also checks the tables
 *    from time to time.
 *
 * 2. Turns. Two transactions that read and write the same key at the same time conflict: one
 *    becomes invalid, which costs as much as a valid one. Sessions of this node that are about to
 *    submit such transactions take turns: each key has a place, which a session holds until its
 *    transaction is committed here, and then passes on to the session that has waited longest. A
 *    turn is only advice: it guards nothing, because the check at commit decides. So a wait for it
 *    always has a time limit, after which the session continues without the turn; the limit also
 *    ends a deadlock of sessions that wait for several keys, and bounds the delay by a node that
 *    does not answer. Different keys may share a place: then their transactions wait for each
 *    other unnecessarily.
 *
 * One lock guards everything, and is held for a few steps; latches are set without it. A process
 * leaves at the latest when it exits.
 */
#include "server/pg/shmem_internal.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/wait_event.h"

#define BUCKETS_COUNT 1024
#define PLACES_COUNT 4096

/* one for each process, at the index of its PGPROC */
typedef struct Waiter
{
	/* 1. waiting for a transaction */
	const ChannelSlot *slot; /* NULL: waits for no transaction */
	uint64 name;			 /* the first bytes of the id */
	int next;				 /* in the bucket; -1: last */
	pg_atomic_uint32 woken;
	/* 2. waiting for a turn */
	int place; /* the place that it waits for; -1: none */
	int next_in_place;
	pg_atomic_uint32 granted; /* 1: the place was passed to this process */
} Waiter;

typedef struct Place
{
	int owner; /* index of a process; -1: free */
	int first; /* first waiting process; -1: none */
	int last;
} Place;

typedef struct Waiters
{
	LWLock lock;
	int waiters_count; /* length of the array */
	int buckets[BUCKETS_COUNT];
	Place places[PLACES_COUNT];
	Waiter waiters[FLEXIBLE_ARRAY_MEMBER];
} Waiters;

static Waiters *shared = NULL;

static int held[TURNS_MAX]; /* places that this process holds */
static int held_count = 0;
static int wanted = -1; /* the place that this process waits for */

Size
waiters_bytes(void)
{
	return MAXALIGN(add_size(offsetof(Waiters, waiters), mul_size(sizeof(Waiter), MaxBackends)));
}

void
waiters_init(char *place, int tranche)
{
	shared = (Waiters *) place;
	memset(shared, 0, waiters_bytes());
	LWLockInitialize(&shared->lock, tranche);
	shared->waiters_count = MaxBackends;
	for (int i = 0; i < BUCKETS_COUNT; i++)
		shared->buckets[i] = -1;
	for (int i = 0; i < PLACES_COUNT; i++)
		shared->places[i] = (Place) {-1, -1, -1};
	for (int i = 0; i < MaxBackends; i++)
	{
		shared->waiters[i].next = shared->waiters[i].next_in_place = shared->waiters[i].place = -1;
		pg_atomic_init_u32(&shared->waiters[i].woken, 0);
		pg_atomic_init_u32(&shared->waiters[i].granted, 0);
	}
}

static Latch *
latch_of(int index)
{
	return &ProcGlobal->allProcs[index].procLatch;
}

static void
leave_at_exit(int code, Datum argument)
{
	waiter_leave();
	turns_end();
}

/* index of this process; -1: it cannot wait here */
static int
own_index(void)
{
	static bool registered = false;
	int index = shared == NULL ? -1 : (int) (MyProc - ProcGlobal->allProcs);

	if (index < 0 || index >= shared->waiters_count)
		return -1;
	if (!registered)
		before_shmem_exit(leave_at_exit, (Datum) 0);
	registered = true;
	return index;
}

/* sleep until the flag is set; false when the time is over, or this node leaves the channel */
static bool
sleep_for_flag(pg_atomic_uint32 *flag, const ChannelSlot *slot, TimestampTz until)
{
	while (pg_atomic_read_u32(flag) == 0)
	{
		long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		if (left_ms <= 0 || !slot->in_use)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* ---- 1. transactions ---- */

/* a transaction without an id has no bytes at all */
static uint64
name_of(FbBytes tx_id)
{
	uint64 name = 0;

	if (tx_id.size > 0)
		memcpy(&name, tx_id.data, Min(tx_id.size, sizeof(name)));
	return name;
}

static int *
bucket_of(uint64 name)
{
	return &shared
				->buckets[hash_bytes((const unsigned char *) &name, sizeof(name)) % BUCKETS_COUNT];
}

void
waiter_enter(const ChannelSlot *slot, FbBytes tx_id)
{
	int index = own_index();
	Waiter *waiter;
	int *bucket;

	if (index < 0)
		return;
	waiter = &shared->waiters[index];
	if (waiter->slot == slot && waiter->name == name_of(tx_id))
	{
		/* entered again: the session has checked the tables after the last wake-up */
		pg_atomic_write_u32(&waiter->woken, 0);
		pg_memory_barrier();
		return;
	}
	waiter_leave();
	pg_atomic_write_u32(&waiter->woken, 0);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	waiter->slot = slot;
	waiter->name = name_of(tx_id);
	bucket = bucket_of(waiter->name);
	waiter->next = *bucket;
	*bucket = index;
	LWLockRelease(&shared->lock);
}

bool
waiter_sleep(const ChannelSlot *slot, TimestampTz until)
{
	int index = own_index();

	return index >= 0 && sleep_for_flag(&shared->waiters[index].woken, slot, until);
}

void
waiter_leave(void)
{
	int index = own_index();
	int *link;

	if (index < 0 || shared->waiters[index].slot == NULL)
		return;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	link = bucket_of(shared->waiters[index].name);
	while (*link != index)
		link = &shared->waiters[*link].next;
	*link = shared->waiters[index].next;
	shared->waiters[index].next = -1;
	shared->waiters[index].slot = NULL;
	LWLockRelease(&shared->lock);
}

uint64 *
waiters_names(const FbBytes *tx_ids, size_t count)
{
	uint64 *names = MemoryContextAlloc(TopMemoryContext, sizeof(uint64) * count + 1);

	for (size_t i = 0; i < count; i++)
		names[i] = name_of(tx_ids[i]);
	return names;
}

void
waiters_wake(ChannelSlot *slot, uint64 *names, size_t count)
{
	int *found = palloc(sizeof(int) * shared->waiters_count);
	int found_count = 0;

	LWLockAcquire(&shared->lock, LW_SHARED);
	for (size_t i = 0; i < count; i++)
		for (int index = *bucket_of(names[i]); index >= 0; index = shared->waiters[index].next)
			/* once, even if the block has the id several times */
			if (shared->waiters[index].slot == slot && shared->waiters[index].name == names[i] &&
				pg_atomic_exchange_u32(&shared->waiters[index].woken, 1) == 0)
				found[found_count++] = index;
	LWLockRelease(&shared->lock);
	for (int i = 0; i < found_count; i++)
		SetLatch(latch_of(found[i]));
	pg_atomic_fetch_add_u64(&slot->sessions_woken, found_count);
	pfree(found);
	pfree(names);
}

void
waiters_wake_all(ChannelSlot *slot)
{
	LWLockAcquire(&shared->lock, LW_SHARED);
	for (int i = 0; i < shared->waiters_count; i++)
		if (shared->waiters[i].slot == slot &&
			pg_atomic_exchange_u32(&shared->waiters[i].woken, 1) == 0)
			SetLatch(latch_of(i));
	LWLockRelease(&shared->lock);
}

int
waiters_count(const ChannelSlot *slot)
{
	int count = 0;

	LWLockAcquire(&shared->lock, LW_SHARED);
	for (int i = 0; i < shared->waiters_count; i++)
		count += shared->waiters[i].slot == slot;
	LWLockRelease(&shared->lock);
	return count;
}

/* ---- 2. turns ---- */

/* The caller holds the lock. Returns the next owner, whose latch the caller must set, or -1. */
static int
pass_on(Place *place)
{
	int next = place->first;

	place->owner = next;
	if (next < 0)
		return -1;
	place->first = shared->waiters[next].next_in_place;
	if (place->first < 0)
		place->last = -1;
	shared->waiters[next].place = -1;
	shared->waiters[next].next_in_place = -1;
	pg_atomic_write_u32(&shared->waiters[next].granted, 1);
	return next;
}

/* caller holds the lock */
static void
stop_waiting(int index)
{
	Waiter *waiter = &shared->waiters[index];
	Place *place;
	int previous = -1;

	if (waiter->place < 0)
		return;
	place = &shared->places[waiter->place];
	for (int i = place->first; i != index; i = shared->waiters[i].next_in_place)
		previous = i;
	if (previous < 0)
		place->first = waiter->next_in_place;
	else
		shared->waiters[previous].next_in_place = waiter->next_in_place;
	if (place->last == index)
		place->last = previous;
	waiter->place = -1;
	waiter->next_in_place = -1;
}

/* after a wait, successful or not */
static bool
settle_turn(int index)
{
	bool granted;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	stop_waiting(index);
	granted = pg_atomic_exchange_u32(&shared->waiters[index].granted, 0) != 0;
	if (granted)
		held[held_count++] = wanted;
	wanted = -1;
	LWLockRelease(&shared->lock);
	return granted;
}

bool
turn_take(const ChannelSlot *slot, uint32 hash, TimestampTz until, bool *waited)
{
	int index = own_index();
	int place_index = (int) (hash % PLACES_COUNT);
	Place *place;
	bool taken;
	volatile bool granted = false;

	for (int i = 0; i < held_count; i++)
		if (held[i] == place_index)
			return true;
	if (index < 0 || held_count == TURNS_MAX)
		return false;
	place = &shared->places[place_index];
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	taken = place->owner < 0;
	if (taken)
	{
		place->owner = index;
		held[held_count++] = place_index;
	}
	else
	{
		if (place->last >= 0)
			shared->waiters[place->last].next_in_place = index;
		else
			place->first = index;
		place->last = index;
		shared->waiters[index].place = place_index;
		wanted = place_index;
	}
	LWLockRelease(&shared->lock);
	if (taken)
		return true;
	*waited = true;
	PG_TRY();
	{
		(void) sleep_for_flag(&shared->waiters[index].granted, slot, until);
	}
	PG_FINALLY();
	{
		granted = settle_turn(index);
	}
	PG_END_TRY();
	return granted;
}

void
turns_end(void)
{
	int next[TURNS_MAX];
	int index = own_index();

	if (index < 0)
		return;
	/* the process exits during a wait */
	if (wanted >= 0)
		(void) settle_turn(index);
	if (held_count == 0)
		return;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < held_count; i++)
		next[i] = pass_on(&shared->places[held[i]]);
	LWLockRelease(&shared->lock);
	for (int i = 0; i < held_count; i++)
		if (next[i] >= 0)
			SetLatch(latch_of(next[i]));
	held_count = 0;
}
