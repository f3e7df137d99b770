/* mvcc: reads, writes and metadata of keys against a state, and the keys that a block asks for */
#include "unit/mvcc_samples.h"

static const StateUpdate *
find_update(const Block *block, const char *key)
{
	for (size_t i = 0; i < block->result.updates_count; i++)
	{
		if (fb_bytes_equal(block->result.updates[i].key, fb_bytes_of_text(key)))
			return &block->result.updates[i];
	}
	return NULL;
}

static void
test_reads(FbAllocator *allocator)
{
	State *state = new_state();
	Block block;
	const MvccConflict *conflict;

	put_row(state, "ns", "k", "v", at(5, 0));
	RUN("0 11 11 0 11", "r k 5.0", "r k 5.1", "r k -", "r new -", "r new 1.0");
	/*
	 * an earlier write of the block, even of the same value, and a deletion; blind writes never
	 * conflict
	 */
	RUN("0 11 0 0 11", "w k v", "r k 5.0;w other x", "w k v", "d gone", "r gone -");
	conflict = block.result.conflicts;
	CHECK(block.result.conflicts_count == 2 && conflict[0].tx_index == 1 &&
		  conflict[0].writer_tx_index == 0);
	CHECK(fb_bytes_equal(conflict[0].key, B("k")) &&
		  fb_bytes_equal(conflict[0].namespace_name, B("ns")));
	CHECK(rwset_version_equal(conflict[0].version_read, at(5, 0)) &&
		  rwset_version_equal(conflict[0].version_found, at(9, 0)));
	CHECK(conflict[1].writer_tx_index == 3 && !conflict[1].version_found.present);
	CHECK(block.result.updates_count == 2 && find_update(&block, "other") == NULL);
	CHECK(find_update(&block, "k")->tx_index == 2 &&
		  rwset_version_equal(find_update(&block, "k")->version, at(9, 2)));
	CHECK(find_update(&block, "gone")->is_delete);
	CHECK(block.result.history_count == 3 && block.result.history[1].tx_index == 2 &&
		  block.result.history[2].is_delete);
	RUN("11", "r k 4.9");
	CHECK(block.result.conflicts[0].writer_tx_index == -1);
	CHECK(rwset_version_equal(block.result.conflicts[0].version_found, at(5, 0)));
	/* an invalid transaction has no influence, whether invalid before or here */
	RUN("10 0", "!w k x", "r k 5.0");
	CHECK(block.result.updates_count == 0 && block.result.history_count == 0);
	RUN("11 0 0", "r k -;w k x", "r k 5.0;w k y", "r new -");
	/* a transaction does not conflict with itself */
	RUN("0 11", "r k 5.0;w k v", "r k 5.0;w k v");
	/* hashed keys are a separate space */
	RUN("0 0 11 0", "p k secret", "r k 5.0", "h k -", "h k2 -");
	CHECK(fb_bytes_equal(block.result.conflicts[0].collection, B("c")) &&
		  block.result.updates[0].hashed);
	CHECK(fb_bytes_equal(block.result.updates[0].state_namespace, B("ns$$hc")) &&
		  block.result.updates[0].value.size == 32);
	CHECK(block.result.history_count == 0);
	RUN("0 0", "p k v;y k2", "p k2 v");
	CHECK(block.result.updates_count == 2);
	for (size_t i = 0; i < 2; i++)
	{
		const StateUpdate *update = &block.result.updates[i];

		/* k2 was written again, but its earlier value is still purged */
		CHECK(!update->is_delete && update->is_purge == (update->tx_index == 1) &&
			  update->purge_tx_index == 0);
	}
	free(state);
}

static void
test_metadata(FbAllocator *allocator)
{
	State *state = new_state();
	Block block;

	put_row(state, "ns", "k", "v", at(5, 0));
	memcpy(find_row(state, "ns", "k", false)->metadata, "old", 3);
	find_row(state, "ns", "k", false)->metadata_size = 3;
	/* A value write keeps the metadata, a metadata write keeps the value, a deletion drops both. */
	RUN("0", "w k v2");
	CHECK(fb_bytes_equal(find_update(&block, "k")->metadata, B("old")));
	RUN("0 0", "w k v2", "w k v3");
	CHECK(fb_bytes_equal(find_update(&block, "k")->metadata, B("old")));
	RUN("0 11", "m k EP", "r k 5.0");
	CHECK(fb_bytes_equal(find_update(&block, "k")->value, B("v")));
	CHECK_HEX(find_update(&block, "k")->metadata,
			  "121a0a1456414c49444154494f4e5f504152414d4554455212024550");
	CHECK(rwset_version_equal(find_update(&block, "k")->version, at(9, 0)) &&
		  block.result.history_count == 0);
	CHECK(mvcc_find_key(block.prepared, B("ns"), FB_BYTES_EMPTY, B("k"))->value_needed);
	RUN("0 0", "m k EP", "w k v2");
	CHECK(fb_bytes_equal(find_update(&block, "k")->value, B("v2")) &&
		  find_update(&block, "k")->metadata.size == 28);
	RUN("0 0", "w k v2", "m k EP");
	CHECK(fb_bytes_equal(find_update(&block, "k")->value, B("v2")) &&
		  find_update(&block, "k")->metadata.size == 28);
	RUN("0 0", "d k", "m k EP");
	CHECK(find_update(&block, "k")->is_delete && find_update(&block, "k")->tx_index == 0);
	RUN("0 0", "d k", "w k v2");
	CHECK(find_update(&block, "k")->metadata.size == 0);
	RUN("0", "d k;m k EP");
	CHECK(find_update(&block, "k")->is_delete);
	RUN("0", "w k v2;m k -");
	CHECK(find_update(&block, "k")->metadata.size == 0);
	/* metadata on a missing key are not an update, and conflict with no read */
	RUN("0 0", "m new EP", "r new -");
	CHECK(block.result.updates_count == 0);
	RUN("0 0 11", "w new v", "m new EP", "r new -");
	CHECK(find_update(&block, "new")->metadata.size == 28 &&
		  find_update(&block, "new")->tx_index == 1);
	/* after a deletion in the same block only the deletion conflicts */
	RUN("0 0 11", "d k", "m k EP", "r k 5.0");
	CHECK(block.result.conflicts[0].writer_tx_index == 0);
	/* hashed metadata */
	RUN("0 0", "n k EP", "h k -");
	CHECK(block.result.updates_count == 0);
	RUN("0 0 11", "p k v", "n k EP", "h k -");
	CHECK(block.result.updates_count == 1 && block.result.updates[0].metadata.size == 28);
	free(state);
}

/* a set of keys, against an array */
static void
test_key_set(FbAllocator *allocator)
{
	uint64_t random = 4711;

	for (size_t count = 1; count < 9000; count = count * 3 + count % 5)
	{
		KeySet set;
		bool *model = fb_allocate_array(allocator, count, sizeof(bool));

		CHECK_STATUS(key_set_init(&set, allocator, count, NULL), FB_OK);
		for (int i = 0; i < 400; i++)
		{
			size_t slot = (random >> 20) % count;
			size_t from = (random >> 33) % (count + 1);
			size_t next = from;

			model[slot] = (random >> 50) % 3 == 0;
			key_set_put(&set, slot, model[slot]);
			while (next < count && !model[next])
				next++;
			CHECK(key_set_next(&set, from) == (next < count ? next : SIZE_MAX));
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		}
		key_set_clear(&set);
		CHECK(key_set_next(&set, 0) == SIZE_MAX);
	}
}

static RwSetRange *
only_range(RwSet *set)
{
	return &set->namespaces[0].ranges[0];
}

static void
test_summaries(FbAllocator *allocator)
{
	State *state = new_state();
	RwSetBuilder *builder = new_builder(allocator);
	RwSetRangeBuilder *range;
	RwSet *set;

	for (int i = 0; i < 120; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%03d", i);
		put_row(state, "ns", key, "v", at(1, i));
		CHECK_STATUS(i > 0
						 ? FB_OK
						 : rwset_builder_open_range(builder, B("ns"), B("k"), B("l"), &range, NULL),
					 FB_OK);
		CHECK_STATUS(rwset_range_add_result(range, fb_bytes_of_text(key), at(1, i), NULL), FB_OK);
	}
	rwset_range_exhaust(range);
	set = finish(allocator, builder);
	CHECK(only_range(set)->kind == RWSET_RANGE_MERKLE && only_range(set)->merkle.hashes_count == 3);
	for (int i = 0; i < 9; i++)
	{
		MvccTransaction transactions[2] = {{transaction(allocator, "w other v"), 0, false},
										   {set, 0, false}};
		RwSetMerkle kept = only_range(set)->merkle;
		FbBytes hash = kept.hashes[1];
		MvccBlock *block;
		MvccResult result;

		switch (i)
		{
			case 1:
				transactions[0].rwset = transaction(allocator, "w k119 v");
				break;
			case 2:
				transactions[0].rwset = transaction(allocator, "w k0005 v");
				break;
			case 3:
				transactions[0].rwset = transaction(allocator, "d k060");
				break;
			case 4:
				only_range(set)->merkle.hashes[1] = kept.hashes[0];
				break;
			case 5:
				only_range(set)->merkle.hashes_count--;
				break;
			case 6:
				only_range(set)->merkle.max_level++;
				break;
			case 7:
				only_range(set)->merkle.max_degree = 1;
				break;
			case 8:
				only_range(set)->merkle.max_degree = UINT32_MAX;
				break;
		}
		CHECK_STATUS(mvcc_prepare(allocator, transactions, 2, &block, NULL), FB_OK);
		CHECK(block->has_ranges);
		fill_committed(allocator, block, state);
		CHECK_STATUS(mvcc_validate(allocator, block, 9, &state->source, &result, NULL), FB_OK);
		CHECK(transactions[0].code == 0 && transactions[1].code == (i == 0 ? 0 : 12));
		only_range(set)->merkle = kept;
		kept.hashes[1] = hash;
	}
	free(state);
}

static void
test_writes(FbAllocator *allocator)
{
	State *state = new_state();
	static uint8_t long_key[FB_STATE_KEY_BYTES_MAX + 1];
	RwSetWrite write = {fb_bytes(long_key, sizeof(long_key)), B("v"), false, false};
	RwSetRead read = {B("k"), {true, 1, 1}};
	RwSetNamespace ns = {.name = B("ns"),
						 .writes = &write,
						 .writes_count = 1,
						 .reads = &read,
						 .reads_count = 1};
	RwSet set = {0, &ns, 1};
	RwSetWrite config_write = {B("k"), B("1"), false, false};
	MvccTransaction transactions[3] = {{&set, 0, false}, {NULL, 0, false}, {NULL, 255, false}};
	MvccBlock *block;
	MvccResult result;

	/* a key that the state cannot store: code 24, before the read conflict */
	memset(long_key, 'x', sizeof(long_key));
	CHECK_STATUS(mvcc_prepare(allocator, transactions, 3, &block, NULL), FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(transactions[0].code == 24 && transactions[1].code == 0 && transactions[2].code == 255);
	CHECK(result.conflicts_count == 1 && result.conflicts[0].code == 24 &&
		  result.updates_count == 0);
	CHECK(mvcc_find_key(block, B("ns"), FB_BYTES_EMPTY, B("k"))->read);
	CHECK(mvcc_find_key(block, B("ns"), FB_BYTES_EMPTY, B("l")) == NULL);
	CHECK(mvcc_find_key(block, B("ns"), B("c"), B("k")) == NULL);

	/* writes of a config transaction are state, not history */
	ns.writes = &config_write;
	ns.reads_count = 0;
	transactions[0].code = 0;
	transactions[0].post_order = true;
	CHECK_STATUS(mvcc_prepare(allocator, transactions, 1, &block, NULL), FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(result.updates_count == 1 && result.history_count == 0);
	CHECK_STATUS(mvcc_prepare(allocator, NULL, 0, &block, NULL), FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(result.updates_count == 0);
	free(state);
}

/* Names that the state cannot store: read as absent, not copied, not compared byte by byte. */
static void
test_long_names(FbAllocator *allocator)
{
	enum
	{
		NAME_BYTES = 8 * 1024 * 1024,
		COLLECTIONS = 20000
	};
	uint8_t *name = malloc(NAME_BYTES);
	RwSetRead hashed_read = {B("h"), {false, 0, 0}};
	RwSetCollection *collections = calloc(COLLECTIONS, sizeof(RwSetCollection));
	RwSetNamespace ns = {.name = fb_bytes(name, NAME_BYTES),
						 .collections = collections,
						 .collections_count = COLLECTIONS};
	RwSet set = {0, &ns, 1};
	MvccTransaction transaction = {&set, 0, false};
	MvccBlock *block;
	MvccResult result;

	memset(name, 'n', NAME_BYTES);
	for (size_t i = 0; i < COLLECTIONS; i++)
		collections[i] = (RwSetCollection) {.name = fb_bytes(name, i % 2 == 0 ? NAME_BYTES - i : 9),
											.hashed_reads = &hashed_read,
											.hashed_reads_count = 1};
	/* 160 GB of names if each collection had the whole name */
	CHECK_STATUS(mvcc_prepare(allocator, &transaction, 1, &block, NULL), FB_OK);
	CHECK(block->keys_count == 1 && !block->keys[0].storable && block->keys[0].read);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(transaction.code == 0 && result.updates_count == 0);

	/* a version of a key that cannot exist; its names in the conflict */
	hashed_read.version = (RwSetVersion) {true, 1, 1};
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(transaction.code == 11 && result.conflicts_count == 1 &&
		  !result.conflicts[0].version_found.present);
	CHECK(result.conflicts[0].namespace_name.size == NAME_BYTES &&
		  fb_bytes_equal(result.conflicts[0].key, B("h")));
	free(collections);
	free(name);
}

/*
 * A write of a collection whose name is too long, in a chaincode whose name is not; a neighbor
 * with the longest possible names.
 */
static void
test_unstorable_names(FbAllocator *allocator)
{
	enum
	{
		NAME_BYTES = 8 * 1024 * 1024,
		COLLECTIONS = 20000
	};
	uint8_t *name = malloc(NAME_BYTES);
	RwSetWrite hashed_write = {B("h"), B("v"), false, false};
	RwSetCollection *collections = calloc(COLLECTIONS, sizeof(RwSetCollection));
	RwSetNamespace ns = {.name = fb_bytes(name, NAME_BYTES),
						 .collections = collections,
						 .collections_count = COLLECTIONS};
	RwSet set = {0, &ns, 1};
	MvccTransaction transaction = {&set, 0, false};
	MvccBlock *block;
	MvccResult result;

	memset(name, 'n', NAME_BYTES);
	ns.name = fb_bytes(name, FB_CHAINCODE_NAME_BYTES_MAX);
	ns.collections_count = 2;
	collections[0] = (RwSetCollection) {.name = fb_bytes(name, FB_COLLECTION_NAME_BYTES_MAX),
										.hashed_writes = &hashed_write,
										.hashed_writes_count = 1};
	collections[1] = (RwSetCollection) {.name = fb_bytes(name, FB_COLLECTION_NAME_BYTES_MAX + 1),
										.hashed_writes = &hashed_write,
										.hashed_writes_count = 1};
	transaction.code = 0;
	CHECK_STATUS(mvcc_prepare(allocator, &transaction, 1, &block, NULL), FB_OK);
	CHECK(block->keys_count == 2 && block->keys[1].storable &&
		  block->keys[1].state_namespace.size ==
			  FB_CHAINCODE_NAME_BYTES_MAX + 3 + FB_COLLECTION_NAME_BYTES_MAX);
	CHECK(mvcc_find_key(block, ns.name, collections[0].name, B("h")) == &block->keys[1]);
	CHECK(mvcc_find_key(block, ns.name, collections[1].name, B("h")) == NULL);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(transaction.code == 24 &&
		  result.conflicts[0].collection.size == FB_COLLECTION_NAME_BYTES_MAX + 1 &&
		  result.updates_count == 0);
	ns.collections_count = 1;
	transaction.code = 0;
	CHECK_STATUS(mvcc_prepare(allocator, &transaction, 1, &block, NULL), FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block, 1, NULL, &result, NULL), FB_OK);
	CHECK(transaction.code == 0 && result.updates_count == 1);
	free(collections);
	free(name);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_reads(&arena.allocator));
	CHECK_TEST(test_metadata(&arena.allocator));
	CHECK_TEST(test_key_set(&arena.allocator));
	CHECK_TEST(test_summaries(&arena.allocator));
	CHECK_TEST(test_writes(&arena.allocator));
	CHECK_TEST(test_long_names(&arena.allocator));
	CHECK_TEST(test_unstorable_names(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("mvcc/reads");
}
