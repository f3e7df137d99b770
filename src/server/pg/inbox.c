/*
 * inbox.c: a bounded queue of records into the orderer worker of a channel, in shared memory.
 *
 * A record is a header (kind, sizes of its two parts) and the bytes, padded to eight. head and tail are positions that only grow; the byte
 * at position p lies at p modulo the capacity, so a record may wrap around. One lock, held for the copy of one record.
 */
#include "server/pg/shmem_internal.h"

typedef struct RecordHeader
{
	uint32		first_size;
	uint32		second_size;
	char		kind;
} RecordHeader;

size_t
inbox_capacity(void)
{
	return (size_t) guc_inbox_kb * 1024;
}

static void
ring_write(char *ring, uint64 position, const void *data, size_t size)
{
	size_t		at = position % inbox_capacity();
	size_t		until_end = Min(size, inbox_capacity() - at);

	if (size == 0)
		return;
	memcpy(ring + at, data, until_end);
	memcpy(ring, (const char *) data + until_end, size - until_end);
}

static void
ring_read(const char *ring, uint64 position, void *data, size_t size)
{
	size_t		at = position % inbox_capacity();
	size_t		until_end = Min(size, inbox_capacity() - at);

	if (size == 0)
		return;
	memcpy(data, ring + at, until_end);
	memcpy((char *) data + until_end, ring, size - until_end);
}

bool
inbox_put(ChannelSlot *slot, char kind, FbBytes first, FbBytes second)
{
	InboxHeader *inbox = &slot->inbox;
	char	   *ring = shmem_inbox_ring(slot);
	RecordHeader header = {.first_size = (uint32) first.size, .second_size = (uint32) second.size, .kind = kind};
	size_t		needed;
	bool		room;

	if (first.size > FB_MESSAGE_BYTES_MAX || second.size > FB_MESSAGE_BYTES_MAX)
		return false;
	needed = MAXALIGN(sizeof(header) + first.size + second.size);

	LWLockAcquire(&inbox->lock, LW_EXCLUSIVE);
	room = inbox->tail - inbox->head + needed <= inbox_capacity();
	if (room)
	{
		ring_write(ring, inbox->tail, &header, sizeof(header));
		ring_write(ring, inbox->tail + sizeof(header), first.data, first.size);
		ring_write(ring, inbox->tail + sizeof(header) + first.size, second.data, second.size);
		inbox->tail += needed;
		inbox->records_count++;
	}
	else
		inbox->refused_count++;
	LWLockRelease(&inbox->lock);

	if (room)
		shmem_worker_wake(slot, WORKER_ORDERER);
	return room;
}

bool
inbox_take(ChannelSlot *slot, char *kind, StringInfo out, size_t *first_size)
{
	InboxHeader *inbox = &slot->inbox;
	const char *ring = shmem_inbox_ring(slot);
	RecordHeader header;
	bool		any;

	resetStringInfo(out);
	for (;;)
	{
		size_t		size;

		LWLockAcquire(&inbox->lock, LW_EXCLUSIVE);
		any = inbox->head < inbox->tail;
		if (!any)
			break;
		ring_read(ring, inbox->head, &header, sizeof(header));
		size = (size_t) header.first_size + header.second_size;
		if ((size_t) out->maxlen <= size)
		{
			/* make room without the lock: an error in there must not leave it held, and nobody else takes records */
			LWLockRelease(&inbox->lock);
			enlargeStringInfo(out, (int) size + 1);
			continue;
		}
		ring_read(ring, inbox->head + sizeof(header), out->data, size);
		out->len = (int) size;
		out->data[size] = '\0';
		inbox->head += MAXALIGN(sizeof(header) + size);
		inbox->records_count--;
		*kind = header.kind;
		*first_size = header.first_size;
		break;
	}
	LWLockRelease(&inbox->lock);
	return any;
}

size_t
inbox_used(ChannelSlot *slot)
{
	InboxHeader *inbox = &slot->inbox;
	size_t		used;

	LWLockAcquire(&inbox->lock, LW_SHARED);
	used = inbox->tail - inbox->head;
	LWLockRelease(&inbox->lock);
	return used;
}
