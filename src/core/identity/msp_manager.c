/*
 * msp_manager.c: the MSPs of a channel, and a cache of identities: hashed by the serialized bytes;
 * the least recently used entries are removed first. Refusals are cached too, with their reasons,
 * so that invalid bytes that are sent a thousand times are checked once. The verdict depends only
 * on bytes and configuration, not on the time.
 *
 * One transaction asks for the same few identities many times: creator, endorsers, this node. So
 * the bytes are first compared with those of the identities that were used last; certificates of
 * one authority differ after some hundred bytes, so that costs much less than hashing a thousand.
 */
#include "core/identity/identity_internal.h"

/* identities whose bytes are compared before the bytes are hashed */
#define RECENT_MAX 8

typedef struct CacheEntry
{
	Identity *identity; /* NULL: refused, for this reason */
	FbError *refusal;
	/* SHA-256 of the serialized bytes: equal keys are equal bytes */
	uint8_t key[CRYPTO_SHA256_BYTES];
	struct CacheEntry *chain; /* next in the bucket */
	struct CacheEntry *older;
	struct CacheEntry *newer;
} CacheEntry;

/* by last use; refusals by the time when they were found */
typedef struct EntryList
{
	CacheEntry *newest;
	CacheEntry *oldest;
	size_t count;
} EntryList;

struct MspManager
{
	FbAllocator *allocator;
	Msp **msps;
	size_t msps_count;
	size_t msps_capacity;
	size_t identities_max;
	uint64_t checks_count;
	CacheEntry **buckets;
	size_t buckets_count; /* a power of two */
	EntryList identities;
	EntryList refusals;
};

FbStatus
msp_manager_create(size_t identities_max, FbAllocator *allocator, MspManager **manager,
				   FbError *error)
{
	MspManager *result = fb_allocate_zero(allocator, sizeof(*result));

	*manager = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	result->identities_max = identities_max > 0 ? identities_max : 1;
	/* twice as many buckets as identities, up to a limit */
	result->buckets_count = 16;
	while (result->buckets_count < 2 * result->identities_max && result->buckets_count < (size_t) 1
																							 << 20)
		result->buckets_count *= 2;
	result->buckets = fb_allocate_array(allocator, result->buckets_count, sizeof(CacheEntry *));
	if (result->buckets == NULL)
	{
		fb_release(allocator, result);
		return fb_out_of_memory(error);
	}
	*manager = result;
	return FB_OK;
}

/* ---- the list by last use ---- */

static void
list_remove(EntryList *list, CacheEntry *entry)
{
	FB_ASSERT(list->count > 0);
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		list->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		list->oldest = entry->newer;
	list->count--;
}

static void
list_add_newest(EntryList *list, CacheEntry *entry)
{
	entry->newer = NULL;
	entry->older = list->newest;
	if (list->newest != NULL)
		list->newest->newer = entry;
	else
		list->oldest = entry;
	list->newest = entry;
	list->count++;
}

static CacheEntry **
find_bucket(const MspManager *manager, const uint8_t key[CRYPTO_SHA256_BYTES])
{
	uint32_t number;

	memcpy(&number, key, sizeof(number));
	return &manager->buckets[number & (manager->buckets_count - 1)];
}

static void
forget_oldest(MspManager *manager, EntryList *list)
{
	CacheEntry *entry = list->oldest;
	CacheEntry **link = find_bucket(manager, entry->key);

	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	list_remove(list, entry);
	identity_destroy(entry->identity);
	fb_release(manager->allocator, entry->refusal);
	fb_release(manager->allocator, entry);
}

void
msp_manager_trim(MspManager *manager)
{
	while (manager->identities.count > manager->identities_max)
		forget_oldest(manager, &manager->identities);
}

size_t
msp_manager_identities_count(const MspManager *manager)
{
	return manager->identities.count;
}

uint64_t
msp_manager_checks_count(const MspManager *manager)
{
	return manager->checks_count;
}

void
msp_manager_destroy(MspManager *manager)
{
	if (manager == NULL)
		return;
	while (manager->identities.oldest != NULL)
		forget_oldest(manager, &manager->identities);
	while (manager->refusals.oldest != NULL)
		forget_oldest(manager, &manager->refusals);
	for (size_t i = 0; i < manager->msps_count; i++)
		msp_destroy(manager->msps[i]);
	fb_release(manager->allocator, manager->msps);
	fb_release(manager->allocator, manager->buckets);
	fb_release(manager->allocator, manager);
}

/* ---- organizations ---- */

static FbStatus
reserve_msp(MspManager *manager, FbError *error)
{
	size_t capacity = manager->msps_capacity == 0 ? 8 : manager->msps_capacity * 2;
	Msp **larger;

	if (manager->msps_count < manager->msps_capacity)
		return FB_OK;
	larger = fb_allocate_array(manager->allocator, capacity, sizeof(Msp *));
	if (larger == NULL)
		return fb_out_of_memory(error);
	if (manager->msps_count > 0)
		memcpy(larger, manager->msps, manager->msps_count * sizeof(Msp *));
	fb_release(manager->allocator, manager->msps);
	manager->msps = larger;
	manager->msps_capacity = capacity;
	return FB_OK;
}

FbStatus
msp_manager_add(MspManager *manager, FbBytes msp_config, const Msp **msp, FbError *error)
{
	const Msp *existing = NULL;
	Msp *added = NULL;
	Scratch scratch;
	FbBytes config;
	FbStatus status;

	if (msp != NULL)
		*msp = NULL;
	FB_TRY(reserve_msp(manager, error));
	scratch_init(&scratch, manager->allocator);
	status = msp_config_unwrap(msp_config, &scratch.allocator, &config, error);
	/* equal bytes need no second check */
	for (size_t i = 0; i < manager->msps_count && status == FB_OK && existing == NULL; i++)
		if (fb_bytes_equal(manager->msps[i]->config, config))
			existing = manager->msps[i];
	if (status == FB_OK && existing == NULL)
		status = msp_create(config, manager->allocator, &added, error);
	scratch_free(&scratch);
	FB_TRY(status);
	if (added != NULL)
	{
		if (msp_manager_find(manager, added->id) != NULL)
		{
			status = fb_fail(error, FB_INVALID_CONFIG,
							 "MSP \"%s\" is defined twice and differently", added->id);
			msp_destroy(added);
			return status;
		}
		manager->msps[manager->msps_count++] = added;
		/* an identity whose MSP was not known may belong to this MSP */
		while (manager->refusals.oldest != NULL)
			forget_oldest(manager, &manager->refusals);
		existing = added;
	}
	if (msp != NULL)
		*msp = existing;
	return FB_OK;
}

const Msp *
msp_manager_find(const MspManager *manager, const char *msp_id)
{
	for (size_t i = 0; i < manager->msps_count; i++)
		if (strcmp(manager->msps[i]->id, msp_id) == 0)
			return manager->msps[i];
	return NULL;
}

size_t
msp_manager_count(const MspManager *manager)
{
	return manager->msps_count;
}

const Msp *
msp_manager_msp(const MspManager *manager, size_t index)
{
	FB_ASSERT(index < manager->msps_count);
	return manager->msps[index];
}

/* ---- identities ---- */

static FbStatus
find_msp(const MspManager *manager, FbBytes serialized, const Msp **msp, FbError *error)
{
	Scratch scratch;
	const char *id;
	FbBytes pem;
	FbStatus status;

	scratch_init(&scratch, manager->allocator);
	status = identity_unpack(serialized, &scratch.allocator, &id, &pem, error);
	if (status == FB_OK)
	{
		*msp = msp_manager_find(manager, id);
		if (*msp == NULL)
			status =
				fb_fail(error, FB_UNKNOWN_MSP, "MSP \"%s\" is not a member of the channel", id);
	}
	scratch_free(&scratch);
	return status;
}

/* Does the status depend on the bytes, and not on a failure of this node? */
static bool
is_identity_refusal(FbStatus status)
{
	return status != FB_OK && status != FB_OUT_OF_MEMORY && status != FB_CRYPTO_FAILURE &&
		   status != FB_INTERNAL;
}

/* identity NULL: a refusal. Takes ownership of the identity. */
static FbStatus
manager_add_entry(MspManager *manager, const uint8_t key[CRYPTO_SHA256_BYTES], Identity *identity,
				  const FbError *refusal, FbError *error)
{
	CacheEntry **bucket = find_bucket(manager, key);
	CacheEntry *entry = fb_allocate_zero(manager->allocator, sizeof(*entry));
	FbError *reason = NULL;

	if (entry != NULL && identity == NULL)
		reason = fb_allocate(manager->allocator, sizeof(*reason));
	if (entry == NULL || (identity == NULL && reason == NULL))
	{
		fb_release(manager->allocator, entry);
		identity_destroy(identity);
		return fb_out_of_memory(error);
	}
	if (identity == NULL)
		*reason = *refusal;
	entry->identity = identity;
	entry->refusal = reason;
	memcpy(entry->key, key, CRYPTO_SHA256_BYTES);
	entry->chain = *bucket;
	*bucket = entry;
	list_add_newest(identity != NULL ? &manager->identities : &manager->refusals, entry);
	/* callers hold no refusals, so the oldest can be removed at once */
	if (manager->refusals.count > manager->identities_max)
		forget_oldest(manager, &manager->refusals);
	return FB_OK;
}

static const Identity *
use_entry(MspManager *manager, CacheEntry *entry)
{
	if (entry != manager->identities.newest)
	{
		list_remove(&manager->identities, entry);
		list_add_newest(&manager->identities, entry);
	}
	return entry->identity;
}

/* one of the identities that were used last; NULL: none of them has these bytes */
static CacheEntry *
find_recent(const MspManager *manager, FbBytes serialized)
{
	CacheEntry *entry = manager->identities.newest;

	for (int i = 0; i < RECENT_MAX && entry != NULL; i++, entry = entry->older)
		if (fb_bytes_equal(entry->identity->serialized, serialized))
			return entry;
	return NULL;
}

FbStatus
msp_manager_identity(MspManager *manager, FbBytes serialized, const Identity **identity,
					 FbError *error)
{
	uint8_t key[CRYPTO_SHA256_BYTES];
	const Msp *msp = NULL;
	CacheEntry *recent;
	Identity *found = NULL;
	FbError reason;
	FbStatus status;

	*identity = NULL;
	if (serialized.size > FB_IDENTITY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "identity has %zu bytes, more than %d",
					   serialized.size, FB_IDENTITY_BYTES_MAX);
	recent = find_recent(manager, serialized);
	if (recent != NULL)
	{
		*identity = use_entry(manager, recent);
		return FB_OK;
	}
	crypto_sha256(serialized, key);
	for (CacheEntry *entry = *find_bucket(manager, key); entry != NULL; entry = entry->chain)
	{
		if (memcmp(entry->key, key, sizeof(key)) != 0)
			continue;
		if (entry->identity == NULL)
		{
			if (error != NULL)
				*error = *entry->refusal;
			return entry->refusal->status;
		}
		*identity = use_entry(manager, entry);
		return FB_OK;
	}
	manager->checks_count++;
	reason.message[0] = reason.detail[0] = reason.hint[0] = '\0';
	status = find_msp(manager, serialized, &msp, &reason);
	if (status == FB_OK)
		status = identity_create(msp, serialized, manager->allocator, &found, &reason);
	reason.status = status;
	if (status == FB_OK || is_identity_refusal(status))
		FB_TRY(manager_add_entry(manager, key, found, &reason, error));
	if (status != FB_OK && error != NULL)
		*error = reason;
	*identity = found;
	return status;
}
