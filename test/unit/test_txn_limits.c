/* txn: limits of a transaction, and of the work that its validation may cost */
#include "unit/txn_samples.h"

/*
 * a policy of this many rules of one operator over this many principals, with the first one
 * repeated as needed
 */
static FbBytes
wide_policy(FbAllocator *allocator, size_t rules, size_t principals)
{
	FbBuffer outer;
	FbBuffer envelope;
	FbBytes bytes;

	fb_buffer_init(&outer, allocator);
	for (size_t i = 1; i < rules; i++)
		fb_buffer_append(&outer, "\x12\x02\x08\x00", 4);
	if (fb_buffer_bytes(&outer, &bytes, NULL) != FB_OK)
		exit(2);
	fb_buffer_init(&envelope, allocator);
	fb_buffer_append_bytes(&envelope, field(allocator, 2, field(allocator, 2, bytes)));
	for (size_t i = 0; i < principals; i++)
		fb_buffer_append(&envelope, "\x1a\x00", 2);
	if (fb_buffer_bytes(&envelope, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

static void
expect_limit(FbAllocator *allocator, const RwSet *rwset, size_t endorsements, const char *detail)
{
	FbError error;

	error.detail[0] = '\0';
	CHECK_STATUS(check_limits_of_rwset(allocator, rwset, endorsements, &error),
				 detail[0] != '\0' ? FB_LIMIT_EXCEEDED : FB_OK);
	CHECK_TEXT(error.detail, detail);
}

/* the work that one transaction may cause for every committer: each limit, and one more */
static void
test_budget(FbAllocator *allocator)
{
	RwSetNamespace *namespaces =
		fb_allocate_array(allocator, FB_ADMITTED_NAMESPACES_MAX + 1, sizeof(RwSetNamespace));
	RwSetRange *ranges =
		fb_allocate_array(allocator, FB_ADMITTED_RANGES_MAX + 1, sizeof(RwSetRange));
	RwSetCollection *collections =
		fb_allocate_array(allocator, FB_ADMITTED_COLLECTIONS_MAX + 1, sizeof(RwSetCollection));
	FbBytes hashes[3] = {B("a"), B("b"), B("c")};
	RwSetNamespace one = {.name = B("basic")};
	RwSet rwset = {.namespaces = namespaces, .namespaces_count = FB_ADMITTED_NAMESPACES_MAX};

	expect_limit(allocator, &rwset, 1, "");
	rwset.namespaces_count++;
	expect_limit(allocator, &rwset, 1, "Namespaces: 65, more than 64.");

	rwset = (RwSet) {.namespaces = &one, .namespaces_count = 1};
	one.collections = collections;
	one.collections_count = FB_ADMITTED_COLLECTIONS_MAX;
	expect_limit(allocator, &rwset, 1, "");
	one.collections_count++;
	expect_limit(allocator, &rwset, 1, "Collections: 257, more than 256.");
	one.collections_count = 0;

	one.ranges = ranges;
	one.ranges_count = FB_ADMITTED_RANGES_MAX;
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count++;
	expect_limit(allocator, &rwset, 1, "Range queries: 10001, more than 10000.");

	/* results: 51^3 for each hash but the last; one hash represents nearly all of its level */
	one.ranges_count = 5;
	for (size_t i = 0; i < 5; i++)
		ranges[i] = (RwSetRange) {.kind = RWSET_RANGE_MERKLE, .merkle = {50, 3, hashes, 3}};
	one.ranges_count = 3;
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count = 4;
	expect_limit(allocator, &rwset, 1, "Results of range queries: 1061208, more than 1000000.");
	one.ranges_count = 1;
	ranges[0].merkle = (RwSetMerkle) {50, 4, hashes, 1};
	expect_limit(allocator, &rwset, 1, "Results of range queries: 6632550, more than 1000000.");
	ranges[0].merkle = (RwSetMerkle) {UINT32_MAX, UINT32_MAX, hashes, 3};
	expect_limit(allocator, &rwset, 1,
				 "Degree of the hashes of a range: 4294967295, more than 100000.");
	ranges[0].merkle = (RwSetMerkle) {50, UINT32_MAX, hashes, 3};
	CHECK_STATUS(check_limits_of_rwset(allocator, &rwset, 1, NULL), FB_LIMIT_EXCEEDED);
	ranges[0].merkle = (RwSetMerkle) {1, UINT32_MAX, hashes, 3};
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count = 0;
}

/* policies of keys, and written keys */
static void
test_budget_of_writes(FbAllocator *allocator)
{
	RwSetNamespace *namespaces =
		fb_allocate_array(allocator, FB_ADMITTED_NAMESPACES_MAX + 1, sizeof(RwSetNamespace));
	RwSetWrite *writes = fb_allocate_array(allocator, 200000, sizeof(RwSetWrite));
	RwSetMetadataEntry entry = {B(RWSET_VALIDATION_PARAMETER), FB_BYTES_EMPTY};
	RwSetMetadataWrite guard = {B("k"), &entry, 1};
	RwSetNamespace one = {.name = B("basic")};
	RwSet rwset = {.namespaces = namespaces, .namespaces_count = FB_ADMITTED_NAMESPACES_MAX};

	rwset = (RwSet) {.namespaces = &one, .namespaces_count = 1};
	one.metadata_writes = &guard;
	one.metadata_writes_count = 1;
	entry.value = wide_policy(allocator, FB_ADMITTED_KEY_POLICY_RULES_MAX,
							  FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX);
	expect_limit(allocator, &rwset, 1, "");
	entry.value = wide_policy(allocator, FB_ADMITTED_KEY_POLICY_RULES_MAX + 1, 1);
	expect_limit(allocator, &rwset, 1,
				 "Rules of the endorsement policy of a key: 257, more than 256.");
	entry.value = wide_policy(allocator, 2, FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX + 1);
	expect_limit(allocator, &rwset, 1,
				 "Principals of the endorsement policy of a key: 129, more than 128.");
	one.metadata_writes_count = 0;

	one.writes = writes;
	one.writes_count = 200000;
	expect_limit(allocator, &rwset, 10, "");
	expect_limit(allocator, &rwset, 11,
				 "Written keys times endorsements: 2200000, more than 2000000.");
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_limits(&arena.allocator));
	CHECK_TEST(test_budget(&arena.allocator));
	CHECK_TEST(test_budget_of_writes(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("txn/limits");
}
