/*
 * merkle: a summary of the results of a range query that grows with the logarithm of their number
 * (docs/wire-format.md, "Range queries").
 *
 * Results are collected; when there are max_degree + 1 of them, their encoding is hashed into one
 * hash of level 1. When a level has max_degree + 1 hashes, the hash of their concatenation becomes
 * one hash of the next level. At the end the incomplete lower levels are folded upwards. Simulation
 * and validation build the same tree from the same results.
 */
#include "core/rwset/rwset_internal.h"

void
merkle_init(MerkleTree *tree, FbAllocator *allocator)
{
	memset(tree, 0, sizeof(*tree));
	tree->allocator = allocator;
	fb_buffer_init(&tree->pending_keys, allocator);
}

void
merkle_start(MerkleTree *tree, uint32_t max_degree)
{
	FB_ASSERT(max_degree >= 2);
	tree->max_degree = max_degree;
	tree->max_level = 1;
	tree->pending_count = 0;
	tree->pending_keys.size = 0;
	for (uint32_t level = 0; level <= MERKLE_LEVELS_MAX; level++)
		tree->levels[level].count = 0;
}

/* space for one more element of an array that never needs more than max_degree + 1 */
static FbStatus
merkle_grow(MerkleTree *tree, void **array, uint32_t *capacity, uint32_t count, size_t size,
			FbError *error)
{
	uint64_t wanted;
	void *bigger;

	if (count < *capacity)
		return FB_OK;
	wanted = *capacity == 0 ? 16 : (uint64_t) *capacity * 2;
	if (wanted > (uint64_t) tree->max_degree + 1)
		wanted = (uint64_t) tree->max_degree + 1;
	if (wanted > UINT32_MAX)
		return fb_out_of_memory(error);
	bigger = fb_allocate_array(tree->allocator, (size_t) wanted, size);
	if (bigger == NULL)
		return fb_out_of_memory(error);
	if (count > 0)
		memcpy(bigger, *array, count * size);
	fb_release(tree->allocator, *array);
	*array = bigger;
	*capacity = (uint32_t) wanted;
	return FB_OK;
}

static FbStatus
merkle_push(MerkleTree *tree, uint32_t level, const MerkleHash *hash, FbError *error)
{
	MerkleLevel *to = &tree->levels[level];

	FB_TRY(merkle_grow(tree, (void **) &to->hashes, &to->capacity, to->count, sizeof(MerkleHash),
					   error));
	to->hashes[to->count++] = *hash;
	return FB_OK;
}

static void
merkle_combine(const MerkleLevel *level, MerkleHash *hash)
{
	/* MerkleHash has no padding: the array is the concatenation */
	crypto_sha256(fb_bytes(level->hashes, level->count * sizeof(MerkleHash)), hash->bytes);
}

/*
 * the keys were added one after the other to a buffer that moves while it grows: set their
 * addresses
 */
static FbStatus
settle_pending_keys(MerkleTree *tree, FbError *error)
{
	FbBytes keys;
	size_t offset = 0;

	FB_TRY(fb_buffer_bytes(&tree->pending_keys, &keys, error));
	for (uint32_t i = 0; i < tree->pending_count; i++)
	{
		if (keys.data != NULL)
			tree->pending[i].key.data = keys.data + offset;
		offset += tree->pending[i].key.size;
	}
	return FB_OK;
}

static FbStatus
make_messages(MerkleTree *tree, FbError *error)
{
	uint32_t capacity = tree->pending_capacity;

	if (tree->messages_capacity >= capacity)
		return FB_OK;
	tree->messages = fb_allocate_array(tree->allocator, capacity, sizeof(*tree->messages));
	tree->pointers = fb_allocate_array(tree->allocator, capacity, sizeof(*tree->pointers));
	tree->versions = fb_allocate_array(tree->allocator, capacity, sizeof(*tree->versions));
	if (tree->messages == NULL || tree->pointers == NULL || tree->versions == NULL)
		return fb_out_of_memory(error);
	tree->messages_capacity = capacity;
	return FB_OK;
}

/* the hash of pb(QueryReads) of the pending results */
static FbStatus
hash_leaf(MerkleTree *tree, MerkleHash *hash, FbError *error)
{
	Kvrwset__QueryReads reads = KVRWSET__QUERY_READS__INIT;
	size_t size;

	FB_TRY(settle_pending_keys(tree, error));
	FB_TRY(make_messages(tree, error));
	for (uint32_t i = 0; i < tree->pending_count; i++)
	{
		Kvrwset__KVRead *message = &tree->messages[i];

		kvrwset__kvread__init(message);
		message->key = proto_data(tree->pending[i].key);
		if (tree->pending[i].version.present)
		{
			kvrwset__version__init(&tree->versions[i]);
			tree->versions[i].block_num = tree->pending[i].version.block_number;
			tree->versions[i].tx_num = tree->pending[i].version.tx_index;
			message->version = &tree->versions[i];
		}
		tree->pointers[i] = message;
	}
	reads.kv_reads = tree->pointers;
	reads.n_kv_reads = tree->pending_count;
	size = kvrwset__query_reads__get_packed_size(&reads);
	if (size > tree->packed_capacity)
	{
		fb_release(tree->allocator, tree->packed);
		tree->packed_capacity = 0;
		tree->packed = fb_allocate(tree->allocator, size * 2);
		if (tree->packed == NULL)
			return fb_out_of_memory(error);
		tree->packed_capacity = size * 2;
	}
	kvrwset__query_reads__pack(&reads, tree->packed);
	crypto_sha256(fb_bytes(tree->packed, size), hash->bytes);
	return FB_OK;
}

/* hash the pending results into a leaf and complete as much of the tree as that allows */
static FbStatus
hash_pending(MerkleTree *tree, FbError *error)
{
	MerkleHash hash;

	FB_TRY(hash_leaf(tree, &hash, error));
	tree->pending_count = 0;
	tree->pending_keys.size = 0;
	for (uint32_t level = 1;; level++)
	{
		FB_TRY(merkle_push(tree, level, &hash, error));
		if (level > tree->max_level)
			tree->max_level = level;
		if (tree->levels[level].count <= tree->max_degree)
			return FB_OK;
		FB_ASSERT(level < MERKLE_LEVELS_MAX);
		merkle_combine(&tree->levels[level], &hash);
		tree->levels[level].count = 0;
	}
}

FbStatus
merkle_add(MerkleTree *tree, FbBytes key, RwSetVersion version, FbError *error)
{
	RwSetRead *read;

	FB_TRY(merkle_grow(tree, (void **) &tree->pending, &tree->pending_capacity, tree->pending_count,
					   sizeof(RwSetRead), error));
	fb_buffer_append_bytes(&tree->pending_keys, key);
	read = &tree->pending[tree->pending_count++];
	read->key = fb_bytes(NULL, key.size);
	read->version = version;
	if (tree->pending_keys.failed)
		return fb_out_of_memory(error);
	if (tree->pending_count > tree->max_degree)
		return hash_pending(tree, error);
	return FB_OK;
}

FbStatus
merkle_finish(MerkleTree *tree, RwSetRange *range, FbError *error)
{
	MerkleLevel *top;

	if (tree->max_level == 1 && tree->levels[1].count == 0)
	{
		FB_TRY(settle_pending_keys(tree, error));
		range->kind = tree->pending_count == 0 ? RWSET_RANGE_NONE : RWSET_RANGE_READS;
		range->reads = tree->pending;
		range->reads_count = tree->pending_count;
		return FB_OK;
	}
	if (tree->pending_count > 0)
		FB_TRY(hash_pending(tree, error));

	/* fold what is left below the top level; a single hash is promoted as it is */
	for (uint32_t level = 1; level < tree->max_level; level++)
	{
		MerkleLevel *below = &tree->levels[level];
		MerkleHash hash;

		if (below->count == 0)
			continue;
		if (below->count == 1)
			hash = below->hashes[0];
		else
			merkle_combine(below, &hash);
		below->count = 0;
		FB_TRY(merkle_push(tree, level + 1, &hash, error));
	}
	top = &tree->levels[tree->max_level];
	if (top->count > tree->max_degree)
	{
		MerkleHash hash;

		FB_ASSERT(tree->max_level < MERKLE_LEVELS_MAX);
		merkle_combine(top, &hash);
		top->count = 0;
		tree->max_level++;
		FB_TRY(merkle_push(tree, tree->max_level, &hash, error));
		top = &tree->levels[tree->max_level];
	}

	range->kind = RWSET_RANGE_MERKLE;
	range->merkle.max_degree = tree->max_degree;
	range->merkle.max_level = tree->max_level;
	range->merkle.hashes = fb_allocate_array(tree->allocator, top->count, sizeof(FbBytes));
	if (range->merkle.hashes == NULL)
		return fb_out_of_memory(error);
	for (uint32_t i = 0; i < top->count; i++)
		range->merkle.hashes[i] = fb_bytes(top->hashes[i].bytes, sizeof(MerkleHash));
	range->merkle.hashes_count = top->count;
	return FB_OK;
}
