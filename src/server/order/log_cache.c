/*
 * log_cache.c: the payloads of the newest log entries, so that sending appends does not read the
 * table again. The cache is a window on the end of the log without gaps, limited in entries and
 * bytes. Entries before the window are read from the table.
 */
#include "server/order/order_internal.h"

/* appends to a follower that is further behind than this are read from the table */
#define LOG_CACHE_ENTRIES_MAX 1024
#define LOG_CACHE_BYTES_MAX ((size_t) 32 * 1024 * 1024)

struct LogCache
{
	MemoryContext context;
	LogCacheEntry entries[LOG_CACHE_ENTRIES_MAX]; /* ring: entry of index i at i modulo the size */
	uint64 first_index;							  /* index of the oldest entry in the window */
	uint64 count;
	size_t bytes;
};

LogCache *
log_cache_create(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "fabric log cache", ALLOCSET_DEFAULT_SIZES);
	LogCache *cache = MemoryContextAllocZero(context, sizeof(LogCache));

	cache->context = context;
	return cache;
}

static LogCacheEntry *
entry_at(const LogCache *cache, uint64 index)
{
	return (LogCacheEntry *) &cache->entries[index % LOG_CACHE_ENTRIES_MAX];
}

static void
log_cache_forget(LogCache *cache, uint64 index)
{
	LogCacheEntry *entry = entry_at(cache, index);

	cache->bytes -= entry->payload.size;
	pfree((void *) entry->payload.data);
	memset(entry, 0, sizeof(*entry));
	cache->count--;
}

void
log_cache_append(LogCache *cache, uint64 index, uint64 term, RaftEntryKind kind, bool own,
				 FbBytes payload)
{
	LogCacheEntry *entry;
	uint8_t *copy;

	FB_ASSERT(cache->count == 0 || index == cache->first_index + cache->count);
	if (cache->count == 0)
		cache->first_index = index;
	while (cache->count > 0 && (cache->count == LOG_CACHE_ENTRIES_MAX ||
								cache->bytes + payload.size > LOG_CACHE_BYTES_MAX))
		log_cache_forget(cache, cache->first_index++);
	if (cache->count == 0)
		cache->first_index = index;
	copy = MemoryContextAllocHuge(cache->context, Max(payload.size, 1));
	if (payload.size > 0)
		memcpy(copy, payload.data, payload.size);
	entry = entry_at(cache, index);
	entry->term = term;
	entry->kind = kind;
	entry->own = own;
	entry->payload = fb_bytes(copy, payload.size);
	cache->count++;
	cache->bytes += payload.size;
}

const LogCacheEntry *
log_cache_find(const LogCache *cache, uint64 index)
{
	if (cache->count == 0 || index < cache->first_index ||
		index >= cache->first_index + cache->count)
		return NULL;
	return entry_at(cache, index);
}

/* 0: empty */
static uint64
log_cache_last_index(const LogCache *cache)
{
	return cache->count == 0 ? 0 : cache->first_index + cache->count - 1;
}

void
log_cache_truncate(LogCache *cache, uint64 from_index)
{
	while (cache->count > 0 && log_cache_last_index(cache) >= from_index)
		log_cache_forget(cache, log_cache_last_index(cache));
}

void
log_cache_clear(LogCache *cache)
{
	log_cache_truncate(cache, 0);
}
