/*
 * core/rwset: builder, codec, Merkle summaries, updates, commit hash, state digest, against the
 * golden vectors of Fabric's own code (docs/wire-format.md, "Test vectors") and against each other.
 */
#include "core/rwset/rwset_internal.h"
#include "unit/check.h"

#define B FB_BYTES_LITERAL

static const RwSetVersion absent = {false, 0, 0};

static RwSetVersion
at(uint64_t block_number, uint64_t tx_index)
{
	return (RwSetVersion) {true, block_number, tx_index};
}

/* parse and pack again: the same bytes */
static void
check_round_trip(FbAllocator *allocator, FbBytes bytes)
{
	RwSet *set;
	FbBytes again;

	if (!CHECK_STATUS(rwset_parse(allocator, bytes, &set, NULL), FB_OK))
		return;
	CHECK_STATUS(rwset_pack(allocator, set, &again, NULL), FB_OK);
	CHECK(fb_bytes_equal(bytes, again));
}

static RwSetBuilder *
new_builder(FbAllocator *allocator)
{
	RwSetBuilder *builder;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK)
		exit(2);
	return builder;
}

static void
test_public(FbAllocator *allocator)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), B("EP")};
	RwSetResult result;
	RwSet *set;
	FbBytes parameter;

	/* passed in another order, and with values that are overwritten */
	CHECK(!rwset_builder_has_writes(builder));
	CHECK_STATUS(rwset_builder_add_read(builder, B("basic"), B("k2"), at(5, 0), NULL), FB_OK);
	CHECK(!rwset_builder_has_writes(builder));
	CHECK_STATUS(rwset_builder_add_write(builder, B("basic"), B("k2"), B("lost"), NULL), FB_OK);
	CHECK(rwset_builder_has_writes(builder));
	CHECK_STATUS(rwset_builder_add_write(builder, B("basic"), B("\0color\0blue\0"), B("\0"), NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_read(builder, B("basic"), B("k1"), absent, NULL), FB_OK);
	CHECK_STATUS(rwset_builder_add_write(builder, B("basic"), B("k1"), B("v1"), NULL), FB_OK);
	CHECK_STATUS(rwset_builder_add_delete(builder, B("basic"), B("k2"), NULL), FB_OK);
	CHECK_STATUS(rwset_builder_add_read(builder, B("basic"), B("k2"), at(5, 0), NULL), FB_OK);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	CHECK_HEX(
		result.public_bytes,
		"123e0a05626173696312350a040a026b310a080a026b32120208051a110a0c00636f6c6f7200626c7565001a01001a080a026b31"
		"1a0276311a060a026b321001");
	CHECK(result.private_bytes.size == 0 && result.collections_count == 0);
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &set, NULL), FB_OK);
	CHECK(set->namespaces_count == 1 && set->namespaces[0].reads_count == 2 &&
		  set->namespaces[0].writes_count == 3);
	CHECK(!set->namespaces[0].reads[0].version.present &&
		  set->namespaces[0].reads[1].version.block_number == 5);
	CHECK(rwset_write_deletes(&set->namespaces[0].writes[2]) &&
		  !rwset_write_deletes(&set->namespaces[0].writes[1]));
	CHECK(rwset_namespace_writes(&set->namespaces[0]));
	CHECK(set->namespaces[0].writes[0].key.size == 12);

	builder = new_builder(allocator);
	CHECK_STATUS(rwset_builder_add_metadata_write(builder, B("basic"), B("k1"), NULL, 0, NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_metadata_write(builder, B("basic"), B("k1"), &entry, 1, NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	CHECK_HEX(
		result.public_bytes,
		"122b0a056261736963122222200a026b31121a0a1456414c49444154494f4e5f504152414d4554455212024550");
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &set, NULL), FB_OK);
	CHECK(rwset_namespace_writes(&set->namespaces[0]));
	CHECK_STATUS(rwset_metadata_pack(allocator, set->namespaces[0].metadata_writes[0].entries, 1,
									 &parameter, NULL),
				 FB_OK);
	CHECK_STATUS(rwset_metadata_validation_parameter(allocator, parameter, &parameter, NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(parameter, B("EP")));
	CHECK_STATUS(rwset_metadata_validation_parameter(allocator, FB_BYTES_EMPTY, &parameter, NULL),
				 FB_OK);
	CHECK(parameter.size == 0);
	CHECK_STATUS(rwset_metadata_validation_parameter(allocator, B("\xff"), &parameter, NULL),
				 FB_MALFORMED_MESSAGE);

	/* an empty set; a namespace that was only read is not a writer */
	CHECK_STATUS(rwset_builder_finish(new_builder(allocator), &result, NULL), FB_OK);
	CHECK(result.public_bytes.size == 0);
	builder = new_builder(allocator);
	CHECK_STATUS(rwset_builder_add_read(builder, B("b"), B("k"), absent, NULL), FB_OK);
	CHECK_STATUS(rwset_builder_add_read(builder, B("a"), B("k"), absent, NULL), FB_OK);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &set, NULL), FB_OK);
	CHECK(set->namespaces_count == 2 && fb_bytes_equal(set->namespaces[0].name, B("a")));
	CHECK(!rwset_namespace_writes(&set->namespaces[0]));
}

static void
test_private(FbAllocator *allocator)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), B("EP")};
	RwSetPrivateCollection *collections;
	RwSetPrivate *set;
	RwSet *public_set;
	RwSetResult result;
	size_t count;
	uint8_t hash[32];

	CHECK_STATUS(rwset_builder_add_private_write(builder, B("basic"), B("coll"), B("k1"),
												 B("secret"), NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_private_delete(builder, B("basic"), B("coll"), B("k0"), NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_hashed_read(builder, B("basic"), B("coll"), B("k1"), at(7, 1),
											   NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	CHECK_HEX(
		result.public_bytes,
		"12cb010a0562617369631ac1010a04636f6c6c1296010a280a206ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c"
		"08a16dd012040807100112240a20d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58100112440a206ab9"
		"f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd01a202bb80d537b1da3e38bd30361aa855686bde0eacd7162"
		"fef6a25fe97bf527a25b1a20fbc9790230c7186ed30c618f36b2327f3ec5d23ccf70829ae51b4f991792b60c");
	CHECK_HEX(result.private_bytes,
			  "12270a056261736963121e0a04636f6c6c12161a060a026b3010011a0c0a026b311a06736563726574");
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_private_collections_parse(allocator, result.private_bytes, &collections,
												 &count, NULL),
				 FB_OK);
	CHECK(count == 1 && result.collections_count == 1);
	CHECK(fb_bytes_equal(collections[0].bytes, result.collections[0].bytes));
	CHECK(fb_bytes_equal(collections[0].namespace_name, B("basic")) &&
		  fb_bytes_equal(collections[0].collection, B("coll")));
	crypto_sha256(collections[0].bytes, hash);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &public_set, NULL), FB_OK);
	CHECK(
		fb_bytes_equal(public_set->namespaces[0].collections[0].private_hash, fb_bytes(hash, 32)));
	CHECK_STATUS(rwset_private_parse(allocator, collections[0].bytes, &set, NULL), FB_OK);
	CHECK(set->writes_count == 2 && fb_bytes_equal(set->writes[1].value, B("secret")) &&
		  rwset_write_deletes(&set->writes[0]));

	/*
	 * A purge and metadata; two namespaces, two collections, in mixed order; collections that were
	 * only read have no hash.
	 */
	builder = new_builder(allocator);
	CHECK_STATUS(rwset_builder_add_hashed_read(builder, B("n2"), B("c9"), B("k"), absent, NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_private_metadata_write(builder, B("n2"), B("c1"), B("k"), &entry,
														  1, NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_add_private_purge(builder, B("n1"), B("c2"), B("k"), NULL), FB_OK);
	CHECK_STATUS(rwset_builder_add_private_write(builder, B("n1"), B("c1"), B("k"), B("v"), NULL),
				 FB_OK);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &public_set, NULL), FB_OK);
	CHECK(public_set->namespaces_count == 2 && public_set->namespaces[0].collections_count == 2);
	CHECK(public_set->namespaces[0].collections[1].hashed_writes[0].is_purge);
	CHECK(public_set->namespaces[0].collections[1].hashed_writes[0].is_delete);
	CHECK(public_set->namespaces[1].collections[0].metadata_writes_count == 1);
	CHECK(public_set->namespaces[1].collections[0].private_hash.size == 32);
	CHECK(public_set->namespaces[1].collections[1].private_hash.size == 0);
	CHECK_STATUS(rwset_private_collections_parse(allocator, result.private_bytes, &collections,
												 &count, NULL),
				 FB_OK);
	CHECK(count == 3 && result.collections_count == 3);
	for (size_t i = 0; i < count; i++)
		CHECK(fb_bytes_equal(collections[i].bytes, result.collections[i].bytes) &&
			  fb_bytes_equal(collections[i].namespace_name, result.collections[i].namespace_name));
	CHECK_STATUS(rwset_private_parse(allocator, collections[2].bytes, &set, NULL), FB_OK);
	CHECK(set->metadata_writes_count == 1 && set->metadata_writes[0].entries_count == 0);
	CHECK_STATUS(rwset_hashed_namespace(allocator, B("basic"), B("coll"), &result.public_bytes,
										NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(result.public_bytes, B("basic$$hcoll")));

	/* the hash of an empty value deletes too */
	crypto_sha256(FB_BYTES_EMPTY, hash);
	CHECK(rwset_hashed_write_deletes(&(RwSetWrite) {.value = fb_bytes(hash, 32)}));
	crypto_sha256(B("x"), hash);
	CHECK(!rwset_hashed_write_deletes(&(RwSetWrite) {.value = fb_bytes(hash, 32)}));
	CHECK(
		rwset_hashed_write_deletes(&(RwSetWrite) {.value = fb_bytes(hash, 32), .is_delete = true}));
}

/* the range of results key00000 ... with versions (1, i), as the builder makes it */
static const RwSetRange *
merkle_range(FbAllocator *allocator, size_t results_count)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetRangeBuilder *range;
	RwSetResult result;
	RwSet *set;

	CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), B("a"), B("z"), &range, NULL), FB_OK);
	for (size_t i = 0; i < results_count; i++)
	{
		char key[32];

		snprintf(key, sizeof(key), "key%05zu", i);
		if (rwset_range_add_result(range, fb_bytes_of_text(key), at(1, i), NULL) != FB_OK)
			exit(2);
	}
	rwset_range_exhaust(range);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &set, NULL), FB_OK);
	CHECK(set->namespaces[0].ranges_count == 1);
	return &set->namespaces[0].ranges[0];
}

static void
test_merkle(FbAllocator *allocator)
{
	static const char *const leaf =
		"374b77ab94d6f8771e7f927b0be5bf79946c4ae8ddfabe8347230a096156b75b";
	static const char *const top =
		"ebbf656f85aaf59ade5767d9cc9db47bc5f461221f2cd6de5e121073053937bc";
	static const struct
	{
		size_t results_count;
		uint32_t level;
		size_t hashes_count;
		const char *second;
	} cases[] = {
		{51, 1, 1, NULL},
		{52, 1, 2, "d414b79236e641a559ccdf917fb9342ad317b405e1272cfee562a3b0f0b8401c"},
		{102, 1, 2, "39042b55784445c5fd9246d0ff291321899f5ade61c6ed0c108fe16d135a1572"},
		{2601, 2, 1, NULL},
		{2602, 2, 2, "a7b5f396ba083ff9cc082c5c8c23514b49edb58df8affd1f2ef24a6390f70d36"},
		{2653, 2, 2, "3d9e6b90f4250e027a914262e179a9c08bbea56fe9db10ff87982032c5928319"},
	};
	const RwSetRange *range = merkle_range(allocator, 0);

	CHECK(range->kind == RWSET_RANGE_NONE && range->exhausted &&
		  fb_bytes_equal(range->end_key, B("z")));
	range = merkle_range(allocator, 50);
	CHECK(range->kind == RWSET_RANGE_READS && range->reads_count == 50);
	CHECK(fb_bytes_equal(range->reads[49].key, B("key00049")) &&
		  range->reads[49].version.tx_index == 49);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		range = merkle_range(allocator, cases[i].results_count);
		CHECK(range->kind == RWSET_RANGE_MERKLE && range->merkle.max_degree == 50);
		CHECK(range->merkle.max_level == cases[i].level);
		if (!CHECK(range->merkle.hashes_count == cases[i].hashes_count))
			continue;
		CHECK_HEX(range->merkle.hashes[0], cases[i].level == 1 ? leaf : top);
		if (cases[i].second != NULL)
			CHECK_HEX(range->merkle.hashes[1], cases[i].second);
	}
	range = merkle_range(allocator, 140000);
	CHECK(range->kind == RWSET_RANGE_MERKLE && range->merkle.max_level == 3 &&
		  range->merkle.hashes_count == 2);
}

static void
test_ranges(FbAllocator *allocator)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetRangeBuilder *ranges[6];
	const char *starts[6] = {"m", "a", "m", "m", "a", "m"};
	RwSetResult result;
	RwSet *set;
	RwSetNamespace *ns;

	/*
	 * Opened in this order; 2 repeats 0; 3 differs by not being exhausted; 4 stopped early; 5 had
	 * no result and no end.
	 */
	for (int i = 0; i < 6; i++)
		CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), fb_bytes_of_text(starts[i]), B("p"),
											  &ranges[i], NULL),
					 FB_OK);
	for (int i = 0; i < 4; i++)
		CHECK_STATUS(rwset_range_add_result(ranges[i], i == 1 ? B("b") : B("n"), at(3, 4), NULL),
					 FB_OK);
	CHECK_STATUS(rwset_range_add_result(ranges[4], B("b"), at(3, 4), NULL), FB_OK);
	CHECK_STATUS(rwset_range_add_result(ranges[4], B("c"), at(3, 5), NULL), FB_OK);
	rwset_range_exhaust(ranges[2]);
	rwset_range_exhaust(ranges[0]);
	rwset_range_exhaust(ranges[1]);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	check_round_trip(allocator, result.public_bytes);
	CHECK_STATUS(rwset_parse(allocator, result.public_bytes, &set, NULL), FB_OK);
	ns = &set->namespaces[0];
	if (!CHECK(ns->ranges_count == 5))
		return;
	CHECK(fb_bytes_equal(ns->ranges[0].start_key, B("m")) && ns->ranges[0].exhausted &&
		  ns->ranges[0].reads_count == 1);
	CHECK(fb_bytes_equal(ns->ranges[1].start_key, B("a")) &&
		  fb_bytes_equal(ns->ranges[1].end_key, B("p")));
	CHECK(!ns->ranges[2].exhausted && fb_bytes_equal(ns->ranges[2].end_key, B("n")));
	CHECK(!ns->ranges[3].exhausted && fb_bytes_equal(ns->ranges[3].end_key, B("c")) &&
		  ns->ranges[3].reads_count == 2);
	CHECK(!ns->ranges[4].exhausted && ns->ranges[4].end_key.size == 0 &&
		  ns->ranges[4].kind == RWSET_RANGE_NONE);
	/* one exhausted range with one result, byte by byte */
	builder = new_builder(allocator);
	CHECK_STATUS(rwset_builder_open_range(builder, B("n"), B("a"), B("c"), &ranges[0], NULL),
				 FB_OK);
	CHECK_STATUS(rwset_range_add_result(ranges[0], B("b"), at(1, 2), NULL), FB_OK);
	rwset_range_exhaust(ranges[0]);
	CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
	CHECK_HEX(result.public_bytes, "121c0a016e121712150a01611201631801220b0a090a0162120408011002");
}

/* calls in any order give the same bytes for the same content */
static void
test_order(FbAllocator *allocator)
{
	FbRand rand;
	FbBytes first = FB_BYTES_EMPTY;

	fb_rand_seed(&rand, 7);
	for (int round = 0; round < 20; round++)
	{
		RwSetBuilder *builder = new_builder(allocator);
		int order[300];
		RwSetResult result;

		for (int i = 0; i < 300; i++)
		{
			int j = (int) fb_rand_below(&rand, i + 1);

			order[i] = order[j];
			order[j] = i;
		}
		for (int i = 0; i < 300; i++)
		{
			char key[16];
			FbBytes ns = order[i] % 3 == 0 ? B("a") : order[i] % 3 == 1 ? B("ab") : B("b");
			FbStatus status;

			snprintf(key, sizeof(key), "%d", order[i] / 5);
			switch (order[i] % 5)
			{
				case 0:
					status = rwset_builder_add_read(builder, ns, fb_bytes_of_text(key),
													at(order[i], 1), NULL);
					break;
				case 1:
					status = rwset_builder_add_write(builder, ns, fb_bytes_of_text(key),
													 fb_bytes_of_text(key), NULL);
					break;
				case 2:
					status = rwset_builder_add_private_write(builder, ns, B("c"),
															 fb_bytes_of_text(key), B("v"), NULL);
					break;
				case 3:
					status = rwset_builder_add_metadata_write(builder, ns, fb_bytes_of_text(key),
															  NULL, 0, NULL);
					break;
				default:
					status = rwset_builder_add_hashed_read(builder, ns, B("d"),
														   fb_bytes_of_text(key), absent, NULL);
			}
			if (status != FB_OK)
				CHECK_STATUS(status, FB_OK);
		}
		CHECK_STATUS(rwset_builder_finish(builder, &result, NULL), FB_OK);
		if (round == 0)
			first = result.public_bytes;
		CHECK(fb_bytes_equal(first, result.public_bytes));
	}
	check_round_trip(allocator, first);
}

static void
test_refusals(FbAllocator *allocator)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetRangeBuilder *range;
	RwSetMetadataEntry twice[2] = {{B("n"), B("1")}, {B("n"), B("2")}};
	RwSetMetadataEntry bad = {B("\xff"), B("1")};
	static uint8_t long_key[FB_STATE_KEY_BYTES_MAX + 1];
	uint8_t *large;
	FbBytes quarter;
	RwSetMetadataEntry entry;
	FbError error;
	RwSet *set;
	FbBuffer many;
	FbBytes bytes;

	CHECK_STATUS(rwset_builder_add_read(builder, B("ns"), B("\xc0\x80"), absent, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "key is not valid UTF-8");
	CHECK_STATUS(rwset_builder_add_read(builder, B("n\0s"), B("k"), absent, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(rwset_builder_add_hashed_read(builder, B("ns"), B("\xff"), B("k"), absent, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(rwset_builder_add_metadata_write(builder, B("ns"), B("k"), twice, 2, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(rwset_builder_add_metadata_write(builder, B("ns"), B("k"), &bad, 1, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), B("\xff"), B(""), &range, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), fb_bytes(long_key, sizeof(long_key)),
										 B("v"), &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), fb_bytes(long_key, sizeof(long_key) - 1),
										 B("v"), &error),
				 FB_OK);
	for (int i = 1; i < FB_NAMESPACES_MAX; i++)
	{
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		if (rwset_builder_add_read(builder, fb_bytes_of_text(name), B("k"), absent, &error) !=
			FB_OK)
			CHECK_TEXT(error.message, "");
	}
	CHECK_STATUS(rwset_builder_add_read(builder, B("one too many"), B("k"), absent, &error),
				 FB_LIMIT_EXCEEDED);

	/* more than a message can have, of each kind; replaced entries do not count */
	large = calloc(1, FB_MESSAGE_BYTES_MAX / 4);
	quarter = fb_bytes(large, FB_MESSAGE_BYTES_MAX / 4);
	memset(large, 'x', FB_MESSAGE_BYTES_MAX / 4);
	builder = new_builder(allocator);
	entry = (RwSetMetadataEntry) {B("n"), quarter};
	for (int i = 0; i < 10; i++)
	{
		CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), B("a"), quarter, &error), FB_OK);
		CHECK_STATUS(rwset_builder_add_metadata_write(builder, B("ns"), B("a"), &entry, 1, &error),
					 FB_OK);
	}
	CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), B("b"), quarter, &error), FB_OK);
	CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), B("c"), quarter, &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_TEXT(error.message, "transaction reads and writes more than 104857600 bytes");
	builder = new_builder(allocator);
	CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), quarter, quarter, &range, &error),
				 FB_OK);
	CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), quarter, quarter, &range, &error),
				 FB_OK);
	CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), B("a"), B(""), &range, &error),
				 FB_LIMIT_EXCEEDED);
	free(large);

	/* bytes from outside */
	CHECK_STATUS(rwset_parse(allocator, B("\x12\x05xx"), &set, &error), FB_MALFORMED_MESSAGE);
	CHECK(set == NULL);
	CHECK_STATUS(rwset_parse(allocator, B("\x12\x03\x12\x01\xff"), &set, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(rwset_parse(allocator, B("\x12\x05\x1a\x03\x12\x01\xff"), &set, &error),
				 FB_MALFORMED_MESSAGE);
	/* a key that is not UTF-8: Go's decoder refuses it */
	CHECK_STATUS(rwset_parse(allocator, B("\x12\x07\x12\x05\x0a\x03\x0a\x01\xff"), &set, &error),
				 FB_MALFORMED_MESSAGE);
	fb_buffer_init(&many, allocator);
	for (int i = 0; i <= FB_NAMESPACES_MAX; i++)
		fb_buffer_append(&many, "\x12\x00", 2);
	CHECK_STATUS(fb_buffer_bytes(&many, &bytes, NULL), FB_OK);
	CHECK_STATUS(rwset_parse(allocator, bytes, &set, &error), FB_LIMIT_EXCEEDED);
	bytes.size -= 2;
	CHECK_STATUS(rwset_parse(allocator, bytes, &set, &error), FB_OK);
	CHECK(set->namespaces_count == FB_NAMESPACES_MAX);
}

static void
test_updates(FbAllocator *allocator)
{
	static const struct
	{
		uint64_t block_number;
		uint64_t tx_index;
		const char *hex;
	} versions[] = {
		{1, 0, "010100"},
		{1, 3, "01010103"},
		{256, 0, "02010000"},
		{65536, 300, "0301000002012c"},
		{UINT64_MAX, 0, "08ffffffffffffffff00"},
		{UINT64_MAX, UINT64_MAX, "08ffffffffffffffff08ffffffffffffffff"},
	};
	uint8_t pk[32];
	uint8_t pv[32];
	uint8_t hash[32];
	uint8_t other[32];
	StateUpdate updates[] = {
		{.namespace_name = B(""),
		 .key = B("CHANNEL_CONFIG_ENV_BYTES"),
		 .value = B("x"),
		 .version = {true, 1, 0}},
		{.namespace_name = B("ns1"),
		 .key = B("key1"),
		 .value = B("value1"),
		 .version = {true, 1, 0}},
		{.namespace_name = B("ns1"), .key = B("key2"), .is_delete = true, .version = {true, 1, 1}},
		{.namespace_name = B("ns1"),
		 .collection = B("coll1"),
		 .hashed = true,
		 .version = {true, 1, 3}},
		{.namespace_name = B("ns2"),
		 .key = B("key1"),
		 .value = B("value1"),
		 .version = {true, 1, 2}},
	};
	static const char packed_hex[] =
		"0a180a036e73311a046b6579312a0676616c75653132030101000a0e1a046b65793220013204010101010a511205636f6c6c311a20eb31"
		"02a6cb586765d01fad324523ec0bc67b9efd6a2d9589c135adfedf7922cc2a200717031b935f131e7a4974ff41f4511bbd630b61dd1a81"
		"3d47a214106b9ec14b3204010101030a190a036e73321a046b6579312a0676616c756531320401010102";
	StateUpdate large_updates[30];
	FbBytes large;
	CryptoSha256 whole;
	uint8_t packed[300];
	StateDigest digest;

	/* versions (docs/wire-format.md, "Test vectors") */
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
	{
		uint8_t out[RWSET_VERSION_BYTES_MAX];
		size_t size = rwset_version_bytes(at(versions[i].block_number, versions[i].tx_index), out);

		CHECK_HEX(fb_bytes(out, size), versions[i].hex);
	}
	/* updates of a block */
	crypto_sha256(B("pk"), pk);
	crypto_sha256(B("pv"), pv);
	updates[3].key = fb_bytes(pk, 32);
	updates[3].value = fb_bytes(pv, 32);
	CHECK(fb_hex_decode(packed_hex, strlen(packed_hex), packed));
	/* commit hash */
	update_commit_hash(B("\0\0\0\0\x0b"), updates, 5, FB_BYTES_EMPTY, hash);
	CHECK_HEX(fb_bytes(hash, 32),
			  "bba9a4b9b60528da02b084c49b1c9c058eff0a0ddd88067b747e295e838e4fbe");
	crypto_sha256_parts((FbBytes[]) {B("\5\0\0\0\0\x0b"), fb_bytes(packed, strlen(packed_hex) / 2)},
						2, other);
	CHECK(memcmp(hash, other, 32) == 0);
	update_commit_hash(B("\x0b"), updates, 1, fb_bytes(hash, 32), other);
	CHECK_HEX(fb_bytes(other, 32),
			  "9378b19cfd1df9051292f09c8e6c2c743292ad7e568e65ab8e11302ec9820bdd");

	/* values that are too large for a message: 30 of 8 MB */
	large.data = calloc(1, 8 * 1024 * 1024);
	large.size = 8 * 1024 * 1024;
	for (size_t i = 0; i < 30; i++)
		large_updates[i] = (StateUpdate) {.namespace_name = B("ns"),
										  .key = B("k"),
										  .value = large,
										  .version = {true, 1, i}};
	crypto_sha256_start(&whole);
	crypto_sha256_add(&whole, B("\1\0"));
	for (size_t i = 0; i < 30; i++)
	{
		/*
		 * A namespace where it changes, the key, 4 + 1 bytes of tag and length before the value,
		 * the version.
		 */
		uint8_t version[RWSET_VERSION_BYTES_MAX];
		size_t size = rwset_version_bytes(large_updates[i].version, version);
		uint8_t head[] = {0x0a, (uint8_t) (0x80 | ((i == 0 ? 4 : 0) + 3 + 5 + 2 + size)), 0x80,
						  0x80, 0x04};
		uint8_t tail[] = {0x32, (uint8_t) size};

		crypto_sha256_add(&whole, fb_bytes(head, sizeof(head)));
		if (i == 0)
			crypto_sha256_add(&whole, B("\x0a\2ns"));
		crypto_sha256_add(&whole, B("\x1a\1k\x2a\x80\x80\x80\4"));
		crypto_sha256_add(&whole, large);
		crypto_sha256_add(&whole, fb_bytes(tail, sizeof(tail)));
		crypto_sha256_add(&whole, fb_bytes(version, size));
	}
	crypto_sha256_finish(&whole, hash);
	update_commit_hash(B("\0"), large_updates, 30, FB_BYTES_EMPTY, other);
	CHECK(memcmp(hash, other, 32) == 0);
	free((void *) large.data);

	/* the digest covers every field and its length */
	state_digest_start(&digest);
	state_digest_add(&digest, B("ns"), B("key"), B("value"), B(""), at(1, 2));
	state_digest_finish(&digest, hash);
	crypto_sha256(B("\0\0\0\0\0\0\0\2ns\0\0\0\0\0\0\0\3key\0\0\0\0\0\0\0\5value\0\0\0\0\0\0\0\0"
					"\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2"),
				  other);
	CHECK(memcmp(hash, other, 32) == 0);
	for (int i = 0; i < 6; i++)
	{
		state_digest_start(&digest);
		state_digest_add(&digest, i == 0 ? B("n") : B("ns"),
						 i == 0	  ? B("skey")
						 : i == 1 ? B("kex")
								  : B("key"),
						 i == 2 ? B("valu") : B("value"), i == 3 ? B("m") : B(""),
						 at(i == 4 ? 2 : 1, i == 5 ? 1 : 2));
		state_digest_finish(&digest, other);
		CHECK(memcmp(hash, other, 32) != 0);
	}
}

/* ---- allocations that fail, bytes that are broken ---- */

static FbStatus
build_everything(FbAllocator *allocator, RwSetResult *result, FbError *error)
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *range;
	RwSetMetadataEntry entries[2] = {{B("VALIDATION_PARAMETER"), B("EP")}, {B("A"), B("")}};

	FB_TRY(rwset_builder_create(allocator, &builder, error));
	FB_TRY(rwset_builder_open_range(builder, B("n1"), B("a"), B("z"), &range, error));
	for (int i = 0; i < 120; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%03d", i);
		FB_TRY(rwset_range_add_result(range, fb_bytes_of_text(key), at(1, i), error));
		FB_TRY(rwset_builder_add_read(builder, B("n1"), fb_bytes_of_text(key), at(1, i), error));
		FB_TRY(rwset_builder_add_write(builder, i % 2 ? B("n1") : B("n2"), B("same"),
									   fb_bytes_of_text(key), error));
	}
	FB_TRY(rwset_builder_open_range(builder, B("n1"), B("x"), B(""), &range, error));
	FB_TRY(rwset_range_add_result(range, B("y"), at(2, 0), error));
	FB_TRY(rwset_builder_add_metadata_write(builder, B("n1"), B("k"), entries, 2, error));
	FB_TRY(rwset_builder_add_hashed_read(builder, B("n1"), B("c"), B("k"), at(9, 9), error));
	FB_TRY(rwset_builder_add_private_write(builder, B("n1"), B("c"), B("k"), B("v"), error));
	FB_TRY(rwset_builder_add_private_metadata_write(builder, B("n1"), B("d"), B("k"), entries, 2,
													error));
	return rwset_builder_finish(builder, result, error);
}

static void
test_failures(void)
{
	FbArena arena;
	RwSetResult reference;
	FbArena keep;
	size_t failures = 0;
	size_t accepted = 0;

	fb_arena_init(&keep);
	CHECK_STATUS(build_everything(&keep.allocator, &reference, NULL), FB_OK);
	check_round_trip(&keep.allocator, reference.public_bytes);
	for (size_t fail_at = 1;; fail_at++)
	{
		RwSetResult result;
		RwSet *set;
		FbBytes bytes;
		RwSetPrivateCollection *collections;
		size_t count;
		FbStatus status;

		fb_arena_init(&arena);
		arena.fail_at = fail_at;
		status = build_everything(&arena.allocator, &result, NULL);
		if (status == FB_OK)
			status = rwset_parse(&arena.allocator, result.public_bytes, &set, NULL);
		if (status == FB_OK)
			status = rwset_pack(&arena.allocator, set, &bytes, NULL);
		if (status == FB_OK)
			status = rwset_private_collections_parse(&arena.allocator, result.private_bytes,
													 &collections, &count, NULL);
		if (status == FB_OK)
		{
			CHECK(fb_bytes_equal(bytes, reference.public_bytes));
			fb_arena_reset(&arena);
			break;
		}
		if (status != FB_OUT_OF_MEMORY)
			CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		failures++;
		fb_arena_reset(&arena);
	}
	CHECK(failures > 500);

	/*
	 * Every byte changed, every truncation: parsing fails cleanly, or gives a set that can be
	 * packed.
	 */
	for (size_t i = 0; i < reference.public_bytes.size; i++)
	{
		uint8_t *copy = malloc(reference.public_bytes.size);
		RwSet *set;
		FbBytes bytes;

		fb_arena_init(&arena);
		memcpy(copy, reference.public_bytes.data, reference.public_bytes.size);
		copy[i] ^= (uint8_t) (1 + i % 255);
		if (rwset_parse(&arena.allocator, fb_bytes(copy, reference.public_bytes.size), &set,
						NULL) == FB_OK)
		{
			accepted++;
			CHECK_STATUS(rwset_pack(&arena.allocator, set, &bytes, NULL), FB_OK);
		}
		memcpy(copy, reference.public_bytes.data, i);
		if (rwset_parse(&arena.allocator, fb_bytes(copy, i), &set, NULL) == FB_OK)
			CHECK_STATUS(rwset_pack(&arena.allocator, set, &bytes, NULL), FB_OK);
		free(copy);
		fb_arena_reset(&arena);
	}
	CHECK(accepted > 0);
	fb_arena_reset(&keep);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_public(&arena.allocator));
	CHECK_TEST(test_private(&arena.allocator));
	CHECK_TEST(test_merkle(&arena.allocator));
	CHECK_TEST(test_ranges(&arena.allocator));
	CHECK_TEST(test_order(&arena.allocator));
	CHECK_TEST(test_refusals(&arena.allocator));
	CHECK_TEST(test_updates(&arena.allocator));
	fb_arena_reset(&arena);
	CHECK_TEST(test_failures());
	return check_finish("rwset/rwset");
}
