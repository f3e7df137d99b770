/*
 * the MSPs of a channel, and a cache of the identities that were met: hashed by the serialized bytes, least recently
 * used go first
 */
#include "core/identity/identity_internal.h"

typedef struct CacheEntry
{
	Identity   *identity;
	uint8_t		key[CRYPTO_SHA256_BYTES]; /* SHA-256 of the serialized bytes: equal keys are equal bytes */
	struct CacheEntry *chain;	/* next in the bucket */
	struct CacheEntry *older;
	struct CacheEntry *newer;
} CacheEntry;

struct MspManager
{
	FbAllocator *allocator;
	Msp		  **msps;
	size_t		msps_count;
	size_t		msps_capacity;
	size_t		identities_max;
	size_t		identities_count;
	CacheEntry **buckets;
	size_t		buckets_count;	/* a power of two */
	CacheEntry *newest;
	CacheEntry *oldest;
};

FbStatus
msp_manager_create(size_t identities_max, FbAllocator *allocator, MspManager **manager, FbError *error)
{
	MspManager *result = fb_allocate_zero(allocator, sizeof(*result));

	*manager = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	result->identities_max = identities_max > 0 ? identities_max : 1;
	/* twice as many buckets as identities, within reason */
	result->buckets_count = 16;
	while (result->buckets_count < 2 * result->identities_max && result->buckets_count < (size_t) 1 << 20)
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
list_remove(MspManager *manager, CacheEntry *entry)
{
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		manager->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		manager->oldest = entry->newer;
}

static void
list_add_newest(MspManager *manager, CacheEntry *entry)
{
	entry->newer = NULL;
	entry->older = manager->newest;
	if (manager->newest != NULL)
		manager->newest->newer = entry;
	else
		manager->oldest = entry;
	manager->newest = entry;
}

static CacheEntry **
find_bucket(const MspManager *manager, const uint8_t key[CRYPTO_SHA256_BYTES])
{
	uint32_t	number;

	memcpy(&number, key, sizeof(number));
	return &manager->buckets[number & (manager->buckets_count - 1)];
}

static void
forget_oldest(MspManager *manager)
{
	CacheEntry *entry = manager->oldest;
	CacheEntry **link = find_bucket(manager, entry->key);

	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	list_remove(manager, entry);
	identity_destroy(entry->identity);
	fb_release(manager->allocator, entry);
	manager->identities_count--;
}

void
msp_manager_trim(MspManager *manager)
{
	while (manager->identities_count > manager->identities_max)
		forget_oldest(manager);
}

size_t
msp_manager_identities_count(const MspManager *manager)
{
	return manager->identities_count;
}

void
msp_manager_destroy(MspManager *manager)
{
	if (manager == NULL)
		return;
	while (manager->oldest != NULL)
		forget_oldest(manager);
	for (size_t i = 0; i < manager->msps_count; i++)
		msp_destroy(manager->msps[i]);
	fb_release(manager->allocator, manager->msps);
	fb_release(manager->allocator, manager->buckets);
	fb_release(manager->allocator, manager);
}

/* ---- organisations ---- */

static FbStatus
reserve_msp(MspManager *manager, FbError *error)
{
	size_t		capacity = manager->msps_capacity == 0 ? 8 : manager->msps_capacity * 2;
	Msp		  **larger;

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
	const Msp  *existing = NULL;
	Msp		   *added = NULL;
	Scratch		scratch;
	FbBytes		config;
	FbStatus	status;

	if (msp != NULL)
		*msp = NULL;
	FB_TRY(reserve_msp(manager, error));
	scratch_init(&scratch, manager->allocator);
	status = msp_config_unwrap(msp_config, &scratch.allocator, &config, error);
	/* the same bytes need no second look */
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
			status = fb_fail(error, FB_INVALID_CONFIG, "MSP \"%s\" is defined twice and differently", added->id);
			msp_destroy(added);
			return status;
		}
		manager->msps[manager->msps_count++] = added;
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
	Scratch		scratch;
	const char *id;
	FbBytes		pem;
	FbStatus	status;

	scratch_init(&scratch, manager->allocator);
	status = identity_unpack(serialized, &scratch.allocator, &id, &pem, error);
	if (status == FB_OK)
	{
		*msp = msp_manager_find(manager, id);
		if (*msp == NULL)
			status = fb_fail(error, FB_UNKNOWN_MSP, "MSP \"%s\" is not a member of the channel", id);
	}
	scratch_free(&scratch);
	return status;
}

FbStatus
msp_manager_identity(MspManager *manager, FbBytes serialized, const Identity **identity, FbError *error)
{
	uint8_t		key[CRYPTO_SHA256_BYTES];
	CacheEntry **bucket;
	CacheEntry *entry;
	const Msp  *msp = NULL;
	FbStatus	status;

	*identity = NULL;
	if (serialized.size > FB_IDENTITY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "identity has %zu bytes, more than %d", serialized.size,
					   FB_IDENTITY_BYTES_MAX);
	crypto_sha256(serialized, key);
	bucket = find_bucket(manager, key);
	for (entry = *bucket; entry != NULL; entry = entry->chain)
	{
		if (memcmp(entry->key, key, sizeof(key)) != 0)
			continue;
		if (entry != manager->newest)
		{
			list_remove(manager, entry);
			list_add_newest(manager, entry);
		}
		*identity = entry->identity;
		return FB_OK;
	}
	FB_TRY(find_msp(manager, serialized, &msp, error));
	entry = fb_allocate_zero(manager->allocator, sizeof(*entry));
	if (entry == NULL)
		return fb_out_of_memory(error);
	status = identity_create(msp, serialized, manager->allocator, &entry->identity, error);
	if (status != FB_OK)
	{
		fb_release(manager->allocator, entry);
		return status;
	}
	memcpy(entry->key, key, sizeof(key));
	entry->chain = *bucket;
	*bucket = entry;
	list_add_newest(manager, entry);
	manager->identities_count++;
	*identity = entry->identity;
	return FB_OK;
}
