/*
 * inbox.c: bounded queues of records for the workers of a channel, in shared memory: envelopes and
 * Raft messages for the orderer worker, private plaintext for the ledger worker.
 *
 * A record is a header (kind, sizes of its two parts) and the bytes, padded to eight. head and
 * tail are positions that only grow; the byte of position p is stored at p modulo the capacity, so
 * a record may wrap around. One lock is held for the copy of one record.
 */
#include "server/pg/shmem_internal.h"

#include "utils/wait_event.h"

typedef struct RecordHeader
{
	uint32 first_size;
	uint32 second_size;
	char kind;
} RecordHeader;

/* a queue and the location of its bytes */
typedef struct Queue
{
	InboxHeader *header;
	char *ring;
	size_t capacity;
} Queue;

static void
ring_write(const Queue *queue, uint64 position, const void *data, size_t size)
{
	size_t at = position % queue->capacity;
	size_t until_end = Min(size, queue->capacity - at);

	if (size == 0)
		return;
	memcpy(queue->ring + at, data, until_end);
	memcpy(queue->ring, (const char *) data + until_end, size - until_end);
}

static void
ring_read(const Queue *queue, uint64 position, void *data, size_t size)
{
	size_t at = position % queue->capacity;
	size_t until_end = Min(size, queue->capacity - at);

	if (size == 0)
		return;
	memcpy(data, queue->ring + at, until_end);
	memcpy((char *) data + until_end, queue->ring, size - until_end);
}

/* returns the position after the new record; 0 when the queue is full */
static uint64
queue_put(const Queue *queue, char kind, FbBytes first, FbBytes second)
{
	InboxHeader *header = queue->header;
	RecordHeader record = {.first_size = (uint32) first.size,
						   .second_size = (uint32) second.size,
						   .kind = kind};
	size_t needed;
	uint64 end = 0;

	if (first.size > FB_MESSAGE_BYTES_MAX || second.size > FB_MESSAGE_BYTES_MAX)
		return 0;
	needed = MAXALIGN(sizeof(record) + first.size + second.size);
	LWLockAcquire(&header->lock, LW_EXCLUSIVE);
	if (header->tail - header->head + needed <= queue->capacity)
	{
		ring_write(queue, header->tail, &record, sizeof(record));
		ring_write(queue, header->tail + sizeof(record), first.data, first.size);
		ring_write(queue, header->tail + sizeof(record) + first.size, second.data, second.size);
		header->tail += needed;
		header->records_count++;
		end = header->tail;
	}
	else
		header->refused_count++;
	LWLockRelease(&header->lock);
	return end;
}

static bool
queue_take(const Queue *queue, char *kind, StringInfo out, size_t *first_size)
{
	InboxHeader *header = queue->header;
	RecordHeader record;
	bool any;

	resetStringInfo(out);
	for (;;)
	{
		size_t size;

		LWLockAcquire(&header->lock, LW_EXCLUSIVE);
		any = header->head < header->tail;
		if (!any)
			break;
		ring_read(queue, header->head, &record, sizeof(record));
		size = (size_t) record.first_size + record.second_size;
		if ((size_t) out->maxlen <= size)
		{
			/*
			 * Enlarge the buffer without the lock: an error must not leave the lock held. The
			 * record stays in the queue, because only this process takes records.
			 */
			LWLockRelease(&header->lock);
			enlargeStringInfo(out, (int) size + 1);
			continue;
		}
		ring_read(queue, header->head + sizeof(record), out->data, size);
		out->len = (int) size;
		out->data[size] = '\0';
		header->head += MAXALIGN(sizeof(record) + size);
		header->records_count--;
		*kind = record.kind;
		*first_size = record.first_size;
		break;
	}
	LWLockRelease(&header->lock);
	return any;
}

/* ---- into the orderer worker ---- */

static Queue
orderer_queue(ChannelSlot *slot)
{
	return (Queue) {&slot->inbox, shmem_inbox_ring(slot), inbox_capacity()};
}

bool
inbox_put(ChannelSlot *slot, char kind, FbBytes first, FbBytes second)
{
	Queue queue = orderer_queue(slot);

	if (queue_put(&queue, kind, first, second) == 0)
		return false;
	shmem_worker_wake(slot, WORKER_ORDERER);
	return true;
}

bool
inbox_take(ChannelSlot *slot, char *kind, StringInfo out, size_t *first_size)
{
	Queue queue = orderer_queue(slot);

	return queue_take(&queue, kind, out, first_size);
}

static void
queue_counts(InboxHeader *header, InboxCounts *counts)
{
	LWLockAcquire(&header->lock, LW_SHARED);
	*counts = (InboxCounts) {.records = header->records_count,
							 .bytes = header->tail - header->head,
							 .refused = header->refused_count};
	LWLockRelease(&header->lock);
}

void
inbox_counts(ChannelSlot *slot, InboxCounts *counts)
{
	queue_counts(&slot->inbox, counts);
}

size_t
inbox_used(ChannelSlot *slot)
{
	size_t used;

	LWLockAcquire(&slot->inbox.lock, LW_SHARED);
	used = slot->inbox.tail - slot->inbox.head;
	LWLockRelease(&slot->inbox.lock);
	return used;
}

/* ---- into the ledger worker ---- */

static Queue
private_queue(ChannelSlot *slot)
{
	return (Queue) {&slot->private_inbox, shmem_private_inbox_ring(slot),
					shmem_private_inbox_capacity()};
}

/*
 * Identifies the running ledger worker: records that an earlier one took and did not store are
 * lost.
 */
static uint32
ledger_generation(ChannelSlot *slot)
{
	uint32 generation;

	SpinLockAcquire(&slot->mutex);
	generation = slot->workers[WORKER_LEDGER].generation;
	SpinLockRelease(&slot->mutex);
	return generation;
}

bool
private_inbox_put(ChannelSlot *slot, const char *tx_id, FbBytes private_rwset, TimestampTz deadline)
{
	Queue queue = private_queue(slot);
	uint32 generation = ledger_generation(slot);
	uint64 end = queue_put(&queue, 'p', fb_bytes_of_text(tx_id), private_rwset);
	bool stored;

	if (end == 0)
		return false;
	shmem_worker_wake(slot, WORKER_LEDGER);
	ConditionVariablePrepareToSleep(&slot->private_stored_changed);
	while (!(stored = pg_atomic_read_u64(&slot->private_stored) >= end))
	{
		long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left_ms <= 0 || ledger_generation(slot) != generation)
			break;
		(void) ConditionVariableTimedSleep(&slot->private_stored_changed, left_ms,
										   PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	/*
	 * Read the generation after the position: the position of a newer worker says nothing about
	 * records that its predecessor lost.
	 */
	pg_read_barrier();
	return stored && ledger_generation(slot) == generation;
}

bool
private_inbox_take(ChannelSlot *slot, StringInfo out, size_t *first_size)
{
	Queue queue = private_queue(slot);
	char kind;

	return queue_take(&queue, &kind, out, first_size);
}

void
private_inbox_stored(ChannelSlot *slot)
{
	uint64 head;

	LWLockAcquire(&slot->private_inbox.lock, LW_SHARED);
	head = slot->private_inbox.head;
	LWLockRelease(&slot->private_inbox.lock);
	pg_atomic_write_u64(&slot->private_stored, head);
	ConditionVariableBroadcast(&slot->private_stored_changed);
}

void
private_inbox_counts(ChannelSlot *slot, InboxCounts *counts)
{
	queue_counts(&slot->private_inbox, counts);
}
