/*
 * queue.c: envelopes that this node has accepted and that are not in the log yet, in the order of
 * their arrival, and the memory of the envelopes that were logged lately.
 *
 * Each envelope is identified by a 64-bit hash with a secret seed of this process, so that senders
 * cannot compute the hashes. The memory serves two purposes: an envelope that a client or a
 * follower sends twice is ordered once, and a follower learns that the envelopes that it has
 * forwarded are in the log. It only saves work: validation finds a duplicate that gets through.
 *
 * The other direction must hold, or an envelope could never be ordered here: an envelope that
 * counts as logged is in the log, or in a block that was made from it. So an entry that leaves the
 * log takes its envelopes out of the memory, a log that is replaced takes all of them, and a batch
 * that makes no block never gets into the memory.
 */
#include "server/order/order_internal.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

/* number of logged envelopes that are remembered: about a minute at a thousand per second */
#define LOGGED_MAX 65536

typedef struct HashEntry
{
	uint64 hash;	 /* key */
	QueueItem *item; /* the item in the queue; NULL: it is in the log */
} HashEntry;

struct Queue
{
	MemoryContext context;
	dlist_head items;
	int count;
	size_t bytes;
	HTAB *hashes;
	uint64 secret;
	uint64 logged[LOGGED_MAX]; /* ring, oldest at logged_first */
	int logged_first;
	int logged_count;
};

Queue *
queue_create(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "fabric envelope queue", ALLOCSET_DEFAULT_SIZES);
	Queue *queue = MemoryContextAllocZero(context, sizeof(Queue));
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(HashEntry), .hcxt = context};
	FbError error = {0};

	queue->context = context;
	dlist_init(&queue->items);
	queue->hashes = hash_create("fabric envelope hashes", 1024, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	error_check(crypto_random((uint8_t *) &queue->secret, sizeof(queue->secret), &error), &error);
	return queue;
}

static uint64
envelope_hash(const Queue *queue, FbBytes envelope)
{
	return hash_bytes_extended(envelope.data, (int) envelope.size, queue->secret);
}

QueueItem *
queue_add(Queue *queue, const QueueEntry *new, uint64 now_ms)
{
	FbBytes envelope = new->envelope;
	uint64 hash = envelope_hash(queue, envelope);
	HashEntry *entry;
	QueueItem *item;
	uint8_t *copy;
	bool found;

	if (envelope.size > FB_MESSAGE_BYTES_MAX)
		return NULL;
	entry = hash_search(queue->hashes, &hash, HASH_ENTER, &found);
	if (found)
		return NULL;
	entry->item = NULL; /* if the next allocation fails, the worker ends */
	item = MemoryContextAllocZero(queue->context, sizeof(QueueItem));
	copy = MemoryContextAlloc(queue->context, envelope.size);
	memcpy(copy, envelope.data, envelope.size);
	item->state = QUEUE_WAITING;
	item->hash = hash;
	item->config_sequence = new->config_sequence;
	item->arrived_ms = now_ms;
	item->message_bytes = new->message_bytes;
	item->is_config = new->is_config;
	item->envelope = fb_bytes(copy, envelope.size);
	entry->item = item;
	dlist_push_tail(&queue->items, &item->node);
	queue->count++;
	queue->bytes += envelope.size;
	return item;
}

/* remove the item from the list; the caller removes or changes the hash entry */
static void
take_out(Queue *queue, QueueItem *item)
{
	dlist_delete(&item->node);
	queue->count--;
	queue->bytes -= item->envelope.size;
	pfree((void *) item->envelope.data);
	pfree(item);
}

void
queue_remove(Queue *queue, QueueItem *item)
{
	(void) hash_search(queue->hashes, &item->hash, HASH_REMOVE, NULL);
	take_out(queue, item);
}

QueueItem *
queue_next(Queue *queue, QueueItem *item)
{
	if (item == NULL)
		return dlist_is_empty(&queue->items) ? NULL
											 : dlist_head_element(QueueItem, node, &queue->items);
	if (!dlist_has_next(&queue->items, &item->node))
		return NULL;
	return dlist_container(QueueItem, node, dlist_next_node(&queue->items, &item->node));
}

int
queue_count(const Queue *queue)
{
	return queue->count;
}

size_t
queue_bytes(const Queue *queue)
{
	return queue->bytes;
}

static void
remember_logged(Queue *queue, uint64 hash)
{
	if (queue->logged_count == LOGGED_MAX)
	{
		uint64 oldest = queue->logged[queue->logged_first];
		HashEntry *entry = hash_search(queue->hashes, &oldest, HASH_FIND, NULL);

		if (entry != NULL && entry->item == NULL)
			(void) hash_search(queue->hashes, &oldest, HASH_REMOVE, NULL);
		queue->logged_first = (queue->logged_first + 1) % LOGGED_MAX;
		queue->logged_count--;
	}
	queue->logged[(queue->logged_first + queue->logged_count) % LOGGED_MAX] = hash;
	queue->logged_count++;
}

void
queue_forget_logged(Queue *queue)
{
	for (; queue->logged_count > 0; queue->logged_count--)
	{
		uint64 hash = queue->logged[queue->logged_first];
		HashEntry *entry = hash_search(queue->hashes, &hash, HASH_FIND, NULL);

		if (entry != NULL && entry->item == NULL)
			(void) hash_search(queue->hashes, &hash, HASH_REMOVE, NULL);
		queue->logged_first = (queue->logged_first + 1) % LOGGED_MAX;
	}
}

void
queue_note_logged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count)
{
	for (size_t index = 0; index < envelopes_count; index++)
	{
		uint64 hash = envelope_hash(queue, envelopes[index]);
		bool found;
		HashEntry *entry = hash_search(queue->hashes, &hash, HASH_ENTER, &found);

		if (found && entry->item == NULL)
			continue;
		if (found)
			take_out(queue, entry->item);
		entry->item = NULL;
		remember_logged(queue, hash);
	}
}

void
queue_note_unlogged(Queue *queue, const FbBytes *envelopes, size_t envelopes_count)
{
	for (size_t index = 0; index < envelopes_count; index++)
	{
		uint64 hash = envelope_hash(queue, envelopes[index]);
		HashEntry *entry = hash_search(queue->hashes, &hash, HASH_FIND, NULL);

		/*
		 * Its place in the ring remains. That is harmless: when the place is reused, a newer memory
		 * of the same envelope is at most removed a little early.
		 */
		if (entry != NULL && entry->item == NULL)
			(void) hash_search(queue->hashes, &hash, HASH_REMOVE, NULL);
	}
}
