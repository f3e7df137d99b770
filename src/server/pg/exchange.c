/*
 * exchange.c: requests of sessions to the process `fabric relay`, and its answers, in shared
 * memory.
 *
 * The problem. With one connection for each session and other node, 500 sessions make 500 backends
 * on every other node. Each backend costs a TLS handshake, a process with its own caches, and tens
 * of milliseconds of processor time before its first answer; a burst of new sessions spends its
 * time on that alone.
 *
 * The rule. Sessions pass their requests to one process of this node, which has a bounded number
 * of connections (wire/relay.c). A request takes a slot, and its bytes are stored in an area of
 * fixed size; the answer returns the same way, and sets the session's latch. Where there is no
 * relay process, no free slot or no space, the session uses its own connection: nothing waits for
 * a slot or for space, so nothing can block.
 *
 * A slot belongs to the session until the session takes the answer or abandons the request, at the
 * latest when it exits. From exchange_take on the slot also belongs to the relay: the last of the
 * two frees it.
 *
 *     state      function (caller)              next state
 *     FREE       exchange_put (session)         WAITING
 *     WAITING    exchange_take (relay)          TAKEN
 *     TAKEN      exchange_begin (relay)         SENT
 *     SENT       exchange_answer (relay)        ANSWERED
 *     ANSWERED   exchange_receive (session)     FREE
 *     WAITING, TAKEN, SENT
 *                exchange_abandon (session)     ABANDONED; the relay frees it
 *     ANSWERED   exchange_abandon (session)     FREE
 *
 * Rejected: a ring like that of an inbox (answers are taken in any order); message queues in
 * dynamic shared memory (two for each session); an area that grows (a request that does not fit
 * can use another connection).
 */
#include "server/pg/shmem_internal.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/dsa.h"

/* space for several thousand requests and answers of the usual 2 to 4 kB */
#define AREA_BYTES ((size_t) 16 * 1024 * 1024)
/* a session may ask several organizations at the same time */
#define SLOTS_PER_BACKEND 3

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_WAITING, /* in the queue */
	SLOT_TAKEN,	  /* the relay has it, but has not sent it */
	SLOT_SENT,
	SLOT_ANSWERED,
	SLOT_ABANDONED /* waiting, taken or sent; the relay frees it */
} SlotState;

typedef struct ExchangeSlot
{
	SlotState state;
	int next; /* next slot in the list of free slots, or in the queue; -1: none */
	pid_t owner_pid;
	/* Of its PGPROC, which exists as long as the server: at worst the wrong process is woken. */
	Latch *owner_latch;
	char kind; /* of the request, then of the answer */
	char address[EXCHANGE_ADDRESS_BYTES];
	dsa_pointer bytes; /* bytes of the request, then of the answer; invalid: none */
	size_t size;
} ExchangeSlot;

/* the lock guards everything except the bytes, which are copied without it */
typedef struct Exchange
{
	LWLock lock;
	Latch *relay_latch; /* NULL: no relay runs */
	pid_t relay_pid;
	int slots_count;
	int first_free;
	int first_waiting;
	int last_waiting;
	ExchangeCounts counts;
	ExchangeSlot slots[FLEXIBLE_ARRAY_MEMBER];
} Exchange;

static Exchange *exchange = NULL;
static char *area_place = NULL;
static dsa_area *area = NULL; /* of this process */
static bool ended = false;	  /* this process is exiting and has detached */
static int tickets_count = 0; /* tickets that this process holds */

static int
slots_count(void)
{
	return SLOTS_PER_BACKEND * MaxBackends;
}

static Size
exchange_slots_bytes(void)
{
	return MAXALIGN(
		add_size(offsetof(Exchange, slots), mul_size(sizeof(ExchangeSlot), slots_count())));
}

Size
exchange_bytes(void)
{
	return add_size(exchange_slots_bytes(), AREA_BYTES);
}

void
exchange_init(char *place, int tranche)
{
	dsa_area *made;

	exchange = (Exchange *) place;
	area_place = place + exchange_slots_bytes();
	memset(exchange, 0, exchange_slots_bytes());
	LWLockInitialize(&exchange->lock, tranche);
	exchange->slots_count = slots_count();
	exchange->first_waiting = exchange->last_waiting = -1;
	for (int i = 0; i < exchange->slots_count; i++)
		exchange->slots[i].next = i + 1 < exchange->slots_count ? i + 1 : -1;
	made = dsa_create_in_place(area_place, AREA_BYTES, tranche, NULL);
	/* the area lives as long as the server, and never grows */
	dsa_pin(made);
	dsa_set_size_limit(made, AREA_BYTES);
	dsa_detach(made);
}

/* ---- slots; the caller holds the lock ---- */

static void
free_slot(int index)
{
	ExchangeSlot *slot = &exchange->slots[index];

	slot->state = SLOT_FREE;
	slot->owner_pid = 0;
	slot->owner_latch = NULL;
	slot->bytes = InvalidDsaPointer;
	slot->next = exchange->first_free;
	exchange->first_free = index;
	exchange->counts.used--;
}

/* returns the bytes of a freed slot; the caller frees them without the lock */
static dsa_pointer
abandon_slot(int index)
{
	ExchangeSlot *slot = &exchange->slots[index];
	dsa_pointer bytes = InvalidDsaPointer;

	if (slot->state == SLOT_ANSWERED)
	{
		bytes = slot->bytes;
		free_slot(index);
	}
	else
	{
		/* the system may reuse the process id */
		slot->owner_pid = 0;
		slot->state = SLOT_ABANDONED;
	}
	return bytes;
}

/* ---- this process ---- */

static void
free_bytes(dsa_pointer bytes)
{
	if (DsaPointerIsValid(bytes))
		dsa_free(area, bytes);
}

/* at exit: abandon all requests of this process */
static void
leave_exchange(int code, Datum argument)
{
	ended = true;
	for (int i = 0; tickets_count > 0 && i < exchange->slots_count; i++)
	{
		dsa_pointer bytes = InvalidDsaPointer;

		/* without the lock: no other process writes this process's id */
		if (exchange->slots[i].owner_pid != MyProcPid)
			continue;
		LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
		if (exchange->slots[i].owner_pid == MyProcPid && exchange->slots[i].state != SLOT_ABANDONED)
			bytes = abandon_slot(i);
		LWLockRelease(&exchange->lock);
		free_bytes(bytes);
	}
	dsa_detach(area);
	area = NULL;
	/* needed because an area in place has no segment whose detaching does it */
	dsa_release_in_place(area_place);
}

static void
attach_area(void)
{
	MemoryContext old;

	if (area != NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(area_place, NULL);
	MemoryContextSwitchTo(old);
	dsa_pin_mapping(area);
	before_shmem_exit(leave_exchange, (Datum) 0);
}

static dsa_pointer
store_bytes(FbBytes bytes)
{
	dsa_pointer stored = dsa_allocate_extended(area, bytes.size, DSA_ALLOC_NO_OOM);

	if (DsaPointerIsValid(stored))
		memcpy(dsa_get_address(area, stored), bytes.data, bytes.size);
	return stored;
}

/* ---- the session's side ---- */

int
exchange_put(const char *address, char kind, FbBytes request)
{
	ExchangeSlot *slot;
	dsa_pointer bytes;
	int index;

	if (exchange == NULL || ended || exchange->relay_latch == NULL || request.size == 0 ||
		request.size > EXCHANGE_MESSAGE_BYTES_MAX || strlen(address) >= EXCHANGE_ADDRESS_BYTES)
		return -1;
	attach_area();
	bytes = store_bytes(request);
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	index = exchange->first_free;
	if (!DsaPointerIsValid(bytes) || index < 0 || exchange->relay_latch == NULL)
	{
		exchange->counts.refused++;
		LWLockRelease(&exchange->lock);
		free_bytes(bytes);
		return -1;
	}
	slot = &exchange->slots[index];
	exchange->first_free = slot->next;
	*slot = (ExchangeSlot) {SLOT_WAITING, -1, MyProcPid, MyLatch, kind, {0}, bytes, request.size};
	strlcpy(slot->address, address, sizeof(slot->address));
	if (exchange->last_waiting >= 0)
		exchange->slots[exchange->last_waiting].next = index;
	else
		exchange->first_waiting = index;
	exchange->last_waiting = index;
	exchange->counts.used++;
	exchange->counts.requests++;
	SetLatch(exchange->relay_latch);
	LWLockRelease(&exchange->lock);
	tickets_count++;
	return index;
}

bool
exchange_receive(int index, MemoryContext context, char *kind, FbBytes *answer)
{
	ExchangeSlot *slot = &exchange->slots[index];
	dsa_pointer bytes;
	uint8_t *copy = NULL;
	bool answered;

	LWLockAcquire(&exchange->lock, LW_SHARED);
	answered = slot->state == SLOT_ANSWERED;
	LWLockRelease(&exchange->lock);
	if (!answered)
		return false;
	/*
	 * Only this session uses the slot now. After an error here it keeps the slot until the call is
	 * abandoned.
	 */
	bytes = slot->bytes;
	if (DsaPointerIsValid(bytes))
	{
		copy = MemoryContextAllocHuge(context, slot->size);
		memcpy(copy, dsa_get_address(area, bytes), slot->size);
	}
	*answer = fb_bytes(copy, copy != NULL ? slot->size : 0);
	*kind = slot->kind;
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	free_slot(index);
	LWLockRelease(&exchange->lock);
	free_bytes(bytes);
	tickets_count--;
	return true;
}

void
exchange_abandon(int index)
{
	dsa_pointer bytes;

	/* leave_exchange has done this for all requests */
	if (ended)
		return;
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	bytes = abandon_slot(index);
	LWLockRelease(&exchange->lock);
	free_bytes(bytes);
	tickets_count--;
}

bool
exchange_withdraw(int index)
{
	bool withdrawn;

	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	withdrawn =
		exchange->slots[index].state == SLOT_WAITING || exchange->slots[index].state == SLOT_TAKEN;
	if (withdrawn)
		(void) abandon_slot(index);
	LWLockRelease(&exchange->lock);
	if (withdrawn)
		tickets_count--;
	return withdrawn;
}

void
exchange_counts(ExchangeCounts *counts, pid_t *relay_pid)
{
	memset(counts, 0, sizeof(*counts));
	*relay_pid = 0;
	if (exchange == NULL)
		return;
	LWLockAcquire(&exchange->lock, LW_SHARED);
	*counts = exchange->counts;
	*relay_pid = exchange->relay_pid;
	LWLockRelease(&exchange->lock);
}

/* ---- the relay's side ---- */

/* at exit of the relay: waiting sessions use their own connections; abandoned slots are freed */
static void
detach_relay(int code, Datum argument)
{
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	exchange->relay_latch = NULL;
	exchange->relay_pid = 0;
	exchange->counts.connections = 0;
	exchange->first_waiting = exchange->last_waiting = -1;
	for (int i = 0; i < exchange->slots_count; i++)
	{
		ExchangeSlot *slot = &exchange->slots[i];
		SlotState state = slot->state;

		if (state == SLOT_FREE || state == SLOT_ANSWERED)
			continue;
		/* the request's bytes, if the relay has not copied them */
		free_bytes(slot->bytes);
		slot->bytes = InvalidDsaPointer;
		if (state == SLOT_ABANDONED)
		{
			free_slot(i);
			continue;
		}
		slot->state = SLOT_ANSWERED;
		slot->kind = EXCHANGE_ASK_YOURSELF;
		SetLatch(slot->owner_latch);
	}
	LWLockRelease(&exchange->lock);
}

bool
exchange_attach_relay(void)
{
	bool alone;

	attach_area();
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	alone = exchange->relay_latch == NULL;
	if (alone)
	{
		exchange->relay_latch = MyLatch;
		exchange->relay_pid = MyProcPid;
	}
	LWLockRelease(&exchange->lock);
	/* Registered after leave_exchange, so it runs first, and the area is still there. */
	if (alone)
		before_shmem_exit(detach_relay, (Datum) 0);
	return alone;
}

/*
 * The caller holds the lock. Frees the slot and returns false if the request was abandoned. The
 * caller frees *bytes.
 */
static bool
take_locked(int index, dsa_pointer *bytes)
{
	ExchangeSlot *slot = &exchange->slots[index];

	*bytes = slot->bytes;
	slot->bytes = InvalidDsaPointer;
	if (slot->state == SLOT_ABANDONED)
	{
		free_slot(index);
		return false;
	}
	slot->state = SLOT_TAKEN;
	return true;
}

int
exchange_take(MemoryContext context, char *kind, char address[EXCHANGE_ADDRESS_BYTES],
			  FbBytes *request)
{
	for (;;)
	{
		dsa_pointer bytes;
		uint8_t *copy;
		size_t size;
		bool wanted;
		int index;

		LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
		index = exchange->first_waiting;
		if (index < 0)
		{
			LWLockRelease(&exchange->lock);
			return -1;
		}
		exchange->first_waiting = exchange->slots[index].next;
		if (exchange->first_waiting < 0)
			exchange->last_waiting = -1;
		size = exchange->slots[index].size;
		*kind = exchange->slots[index].kind;
		strlcpy(address, exchange->slots[index].address, EXCHANGE_ADDRESS_BYTES);
		wanted = take_locked(index, &bytes);
		LWLockRelease(&exchange->lock);
		if (wanted)
		{
			copy = MemoryContextAlloc(context, size);
			memcpy(copy, dsa_get_address(area, bytes), size);
			*request = fb_bytes(copy, size);
		}
		free_bytes(bytes);
		if (wanted)
			return index;
	}
}

bool
exchange_begin(int index)
{
	bool wanted;

	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	wanted = exchange->slots[index].state == SLOT_TAKEN;
	if (wanted)
		exchange->slots[index].state = SLOT_SENT;
	LWLockRelease(&exchange->lock);
	return wanted;
}

bool
exchange_is_abandoned(int index)
{
	bool abandoned;

	LWLockAcquire(&exchange->lock, LW_SHARED);
	abandoned = exchange->slots[index].state == SLOT_ABANDONED;
	LWLockRelease(&exchange->lock);
	return abandoned;
}

void
exchange_answer(int index, char kind, FbBytes answer)
{
	ExchangeSlot *slot = &exchange->slots[index];
	dsa_pointer bytes = InvalidDsaPointer;

	if (answer.size > 0)
	{
		if (answer.size <= EXCHANGE_MESSAGE_BYTES_MAX)
			bytes = store_bytes(answer);
		/*
		 * No space: the session sends the request again. That is harmless: a proposal is endorsed
		 * twice, and an envelope is queued only once.
		 */
		if (!DsaPointerIsValid(bytes))
			kind = EXCHANGE_ASK_YOURSELF;
	}
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	if (slot->state == SLOT_ABANDONED)
		free_slot(index);
	else
	{
		slot->state = SLOT_ANSWERED;
		slot->kind = kind;
		slot->bytes = bytes;
		slot->size = answer.size;
		SetLatch(slot->owner_latch);
		bytes = InvalidDsaPointer;
	}
	LWLockRelease(&exchange->lock);
	free_bytes(bytes);
}

void
exchange_publish_connections(int connections)
{
	LWLockAcquire(&exchange->lock, LW_EXCLUSIVE);
	exchange->counts.connections = connections;
	LWLockRelease(&exchange->lock);
}
