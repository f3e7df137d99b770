/* mvcc_keys.c: the sorted keys that a block mentions, and which keys the state can have */
#include "core/rwset/rwset_internal.h"

static bool
is_storable_name(FbBytes name, size_t bytes_max)
{
	return name.size <= bytes_max && (name.size == 0 || memchr(name.data, 0, name.size) == NULL);
}

bool
mvcc_namespace_is_storable(FbBytes namespace_name)
{
	return is_storable_name(namespace_name, FB_CHAINCODE_NAME_BYTES_MAX);
}

/*
 * what is longer than our limits, or has a name with U+0000, is nowhere in the state: it can be
 * read, and is absent
 */
bool
mvcc_is_storable(FbBytes namespace_name, const FbBytes *collection, FbBytes key)
{
	return mvcc_namespace_is_storable(namespace_name) && key.size <= FB_STATE_KEY_BYTES_MAX &&
		   (collection == NULL || is_storable_name(*collection, FB_COLLECTION_NAME_BYTES_MAX));
}

int
mvcc_compare_spaces(FbBytes namespace_a, const FbBytes *collection_a, FbBytes namespace_b,
					const FbBytes *collection_b)
{
	int order = fb_bytes_compare(namespace_a, namespace_b);

	if (order != 0)
		return order;
	if (collection_a == NULL || collection_b == NULL)
		return (collection_a != NULL) - (collection_b != NULL);
	return fb_bytes_compare(*collection_a, *collection_b);
}

static int
compare_key(const MvccKey *key, FbBytes namespace_name, const FbBytes *collection, FbBytes wanted)
{
	int order = !key->storable ? -1
							   : mvcc_compare_spaces(key->namespace_name,
													 key->hashed ? &key->collection : NULL,
													 namespace_name, collection);

	return order != 0 ? order : fb_bytes_compare(key->key, wanted);
}

static size_t
lower_bound(const MvccBlock *block, FbBytes namespace_name, const FbBytes *collection, FbBytes key)
{
	size_t low = 0;
	size_t high = block->keys_count;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (compare_key(&block->keys[middle], namespace_name, collection, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t
mvcc_lower_bound(const MvccBlock *block, FbBytes namespace_name, FbBytes key)
{
	return lower_bound(block, namespace_name, NULL, key);
}

MvccKey *
mvcc_find_key(const MvccBlock *block, FbBytes namespace_name, FbBytes collection, FbBytes key)
{
	const FbBytes *hashed = collection.size > 0 ? &collection : NULL;
	size_t i;

	if (!mvcc_is_storable(namespace_name, hashed, key))
		return NULL;
	i = lower_bound(block, namespace_name, hashed, key);
	if (i < block->keys_count && compare_key(&block->keys[i], namespace_name, hashed, key) == 0)
		return &block->keys[i];
	return NULL;
}
