/* mvcc: range queries, their work, and runs of deleted keys */
#include "unit/mvcc_samples.h"

static void
test_ranges(FbAllocator *allocator)
{
	State *state = new_state();
	Block block;

	put_row(state, "ns", "b", "v", at(1, 0));
	put_row(state, "ns", "d", "v", at(2, 1));
	put_row(state, "ns", "f", "v", at(3, 2));
	put_row(state, "nt", "b", "v", at(1, 0));
	RUN("0 0 0 0", "q a z b=1.0,d=2.1,f=3.2", "q c e d=2.1", "q x z", "q a b");
	RUN("0 0", "Q a d b=1.0,d=2.1", "Q a f b=1.0,d=2.1,f=3.2");
	RUN("12 12 12 12", "q a z b=1.0,d=2.1", "q a z b=1.0,d=2.0,f=3.2",
		"q a z b=1.0,c=1.0,d=2.1,f=3.2", "q a z");
	CHECK(fb_bytes_equal(block.result.conflicts[0].key, B("f")) &&
		  !block.result.conflicts[0].version_read.present);
	CHECK(rwset_version_equal(block.result.conflicts[0].version_found, at(3, 2)));
	CHECK(block.result.conflicts[0].range != NULL &&
		  block.result.conflicts[0].writer_tx_index == -1);
	CHECK(fb_bytes_equal(block.result.conflicts[1].key, B("d")));
	CHECK(fb_bytes_equal(block.result.conflicts[2].key, B("c")) &&
		  !block.result.conflicts[2].version_found.present);
	/* an earlier transaction of the block inserts, updates, deletes */
	RUN("0 12 0", "w c v", "q a z b=1.0,d=2.1,f=3.2", "q d z d=2.1,f=3.2");
	CHECK(fb_bytes_equal(block.result.conflicts[0].key, B("c")) &&
		  block.result.conflicts[0].writer_tx_index == 0);
	RUN("0 12 0", "w d v", "q a z b=1.0,d=2.1,f=3.2", "Q a b b=1.0");
	RUN("0 12 0", "d d", "q a z b=1.0,d=2.1,f=3.2", "q a d b=1.0");
	CHECK(fb_bytes_equal(block.result.conflicts[0].key, B("d")) &&
		  !block.result.conflicts[0].version_found.present);
	/* the end key counts only if the iterator was not exhausted */
	RUN("0 0 12", "w d v", "q a d b=1.0", "Q a d b=1.0,d=2.1");
	RUN("0 12 0", "d d", "Q a d b=1.0,d=2.1", "q a d b=1.0");
	/* a deletion of a missing key changes no range; nor do an insertion and a deletion */
	RUN("0 0", "d c", "q a z b=1.0,d=2.1,f=3.2");
	RUN("0 0 0", "w c v", "d c", "q a z b=1.0,d=2.1,f=3.2");
	/* the empty range is checked too */
	RUN("0 12", "w y v", "q x z");
	/* reads before ranges before hashed reads */
	RUN("11 12 11", "r b -;q x z y=1.0", "q x z y=1.0;h k 1.0", "h k 1.0");
	/* an open end: to the end of the namespace, not of the next one */
	RUN("0 12", "w zz v", "q g - y=1.0");
	free(state);
}

/*
 * The cost of range queries: each looks at its results, and not at keys that the block only
 * mentions, or deletes although they are missing; and the same query runs once for a transaction.
 */
static void
test_range_work(FbAllocator *allocator)
{
	enum
	{
		KEYS = 5000,
		QUERIES = 500
	};
	State *state = new_state();
	Block block = {.count = 3};
	RwSetBuilder *mention = new_builder(allocator);
	RwSetBuilder *delete = new_builder(allocator);
	RwSetBuilder *query = new_builder(allocator);

	for (int i = 0; i < KEYS; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%06d", i);
		CHECK_STATUS(rwset_builder_add_read(mention, B("ns"), fb_bytes_of_text(key), absent, NULL),
					 FB_OK);
		snprintf(key, sizeof(key), "l%06d", i);
		CHECK_STATUS(rwset_builder_add_delete(delete, B("ns"), fb_bytes_of_text(key), NULL), FB_OK);
	}
	for (int i = 0; i < QUERIES; i++)
	{
		RwSetRangeBuilder *range;
		char start[16];

		/* each twice */
		snprintf(start, sizeof(start), "k%06d", i / 2);
		CHECK_STATUS(rwset_builder_open_range(query, B("ns"), fb_bytes_of_text(start), B("m"),
											  &range, NULL),
					 FB_OK);
		rwset_range_exhaust(range);
	}
	block.transactions[0].rwset = finish(allocator, mention);
	block.transactions[1].rwset = finish(allocator, delete);
	block.transactions[2].rwset = finish(allocator, query);
	CHECK_STATUS(mvcc_prepare(allocator, block.transactions, block.count, &block.prepared, NULL),
				 FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block.prepared, 9, &state->source, &block.result, NULL),
				 FB_OK);
	check_codes(&block, "0 0 0", __FILE__, __LINE__);
	CHECK(state->queries == QUERIES / 2);
	CHECK(block.result.range_rows == QUERIES / 2);
	free(state);
}

/*
 * Of two queries that differ only in their claimed results, the second one is checked too; no
 * builder makes such queries.
 */
static void
test_claimed_results(FbAllocator *allocator)
{
	State *state = new_state();
	Block block = {.count = 3};

	put_row(state, "ns", "b", "v", at(1, 0));
	for (int i = 0; i < 3; i++)
	{
		static const char *const texts[] = {"q a y b=1.0;q a z b=1.0", "q a y b=1.0;q a z b=1.1",
											"q a y b=1.0;q a z"};
		RwSet *set = transaction(allocator, texts[i]);

		set->namespaces[0].ranges[1].end_key = set->namespaces[0].ranges[0].end_key;
		memset(&block, 0, sizeof(block));
		block.count = 1;
		block.transactions[0].rwset = set;
		state->queries = 0;
		CHECK_STATUS(mvcc_prepare(allocator, block.transactions, 1, &block.prepared, NULL), FB_OK);
		CHECK_STATUS(mvcc_validate(allocator, block.prepared, 9, &state->source, &block.result,
								   NULL),
					 FB_OK);
		check_codes(&block, i == 0 ? "0" : "12", __FILE__, __LINE__);
		CHECK(state->queries == (i == 0 ? 1 : 2));
	}
	free(state);
}

enum
{
	RUN_KEYS = 300,
	RUN_QUERIES = 200
};

/* the rows of a chaincode while a block deletes most of them */
typedef struct DeletedRuns
{
	uint64_t random;
	bool present[RUN_KEYS];
	RwSetVersion versions[RUN_KEYS];
} DeletedRuns;

static uint64_t
next_random(uint64_t random)
{
	return random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

/* transaction t deletes nearly all rows, or a few, and writes others */
static void
add_run_writes(DeletedRuns *runs, RwSetBuilder *builder, int t)
{
	for (int k = 0; k < RUN_KEYS; k++)
	{
		char key[16];
		int dice;

		runs->random = next_random(runs->random);
		dice = (int) (runs->random >> 33) % 100;
		snprintf(key, sizeof(key), "k%03d", k);
		if (dice < (t == 0 ? 90 : 5))
		{
			CHECK_STATUS(rwset_builder_add_delete(builder, B("ns"), fb_bytes_of_text(key), NULL),
						 FB_OK);
			runs->present[k] = false;
		}
		else if (dice < 94)
			continue;
		else
		{
			CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), fb_bytes_of_text(key), B("w"),
												 NULL),
						 FB_OK);
			runs->present[k] = true;
			runs->versions[k] = at(9, (uint32_t) t);
		}
	}
}

/* range queries with the results that they have now; number wrong has one too many */
static void
add_run_queries(DeletedRuns *runs, RwSetBuilder *builder, int wrong)
{
	for (int q = 0; q < RUN_QUERIES; q++)
	{
		RwSetRangeBuilder *range;
		char start[16];
		char end[16];
		int first;
		int last;

		runs->random = next_random(runs->random);
		first = (int) (runs->random >> 33) % RUN_KEYS;
		last = (int) (runs->random >> 45) % 4 == 0
				   ? RUN_KEYS
				   : first + (int) (runs->random >> 50) % (RUN_KEYS - first + 1);
		snprintf(start, sizeof(start), "k%03d", first);
		snprintf(end, sizeof(end), "k%03d", last);
		CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), fb_bytes_of_text(start),
											  last == RUN_KEYS && q % 2 == 0
												  ? B("")
												  : fb_bytes_of_text(end),
											  &range, NULL),
					 FB_OK);
		for (int k = first; k < last; k++)
		{
			char key[16];

			snprintf(key, sizeof(key), "k%03d", k);
			if (runs->present[k])
				CHECK_STATUS(rwset_range_add_result(range, fb_bytes_of_text(key), runs->versions[k],
													NULL),
							 FB_OK);
		}
		if (q == wrong)
			CHECK_STATUS(rwset_range_add_result(range, B("k999"), at(1, 1), NULL), FB_OK);
		rwset_range_exhaust(range);
	}
}

static void
test_deleted_runs(FbAllocator *allocator)
{
	DeletedRuns runs = {.random = 99};

	for (int round = 0; round < 60; round++)
	{
		State *state = new_state();
		Block block = {.count = 4};
		int wrong = round % 3 == 2 ? (int) (runs.random >> 40) % RUN_QUERIES : -1;

		for (int k = 0; k < RUN_KEYS; k++)
		{
			char key[16];

			snprintf(key, sizeof(key), "k%03d", k);
			runs.present[k] = k % 7 != 3;
			runs.versions[k] = at(1, (uint32_t) k);
			if (runs.present[k])
				put_row(state, "ns", key, "v", runs.versions[k]);
		}
		/* transactions 0 and 2 write, 1 and 3 query */
		for (int t = 0; t < 4; t++)
		{
			RwSetBuilder *builder = new_builder(allocator);

			if (t % 2 == 0)
				add_run_writes(&runs, builder, t);
			else
				add_run_queries(&runs, builder, t == 3 ? wrong : -1);
			block.transactions[t].rwset = finish(allocator, builder);
		}
		CHECK_STATUS(mvcc_prepare(allocator, block.transactions, block.count, &block.prepared,
								  NULL),
					 FB_OK);
		fill_committed(allocator, block.prepared, state);
		CHECK_STATUS(mvcc_validate(allocator, block.prepared, 9, &state->source, &block.result,
								   NULL),
					 FB_OK);
		CHECK(state->open_count == 0);
		check_codes(&block, wrong >= 0 ? "0 0 0 12" : "0 0 0 0", __FILE__, __LINE__);
		free(state);
	}
}

/* all rows are deleted: every query begins at another row, and none reads further */
static void
test_all_deleted(FbAllocator *allocator)
{
	State *state = new_state();
	Block block = {.count = 2};
	RwSetBuilder *delete = new_builder(allocator);
	RwSetBuilder *query = new_builder(allocator);

	for (int k = 0; k < RUN_KEYS; k++)
	{
		RwSetRangeBuilder *range;
		char key[16];

		snprintf(key, sizeof(key), "k%03d", k);
		put_row(state, "ns", key, "v", at(1, 0));
		CHECK_STATUS(rwset_builder_add_delete(delete, B("ns"), fb_bytes_of_text(key), NULL), FB_OK);
		CHECK_STATUS(rwset_builder_open_range(query, B("ns"), fb_bytes_of_text(key), B("z"), &range,
											  NULL),
					 FB_OK);
		rwset_range_exhaust(range);
	}
	block.transactions[0].rwset = finish(allocator, delete);
	block.transactions[1].rwset = finish(allocator, query);
	CHECK_STATUS(mvcc_prepare(allocator, block.transactions, block.count, &block.prepared, NULL),
				 FB_OK);
	fill_committed(allocator, block.prepared, state);
	CHECK_STATUS(mvcc_validate(allocator, block.prepared, 9, &state->source, &block.result, NULL),
				 FB_OK);
	check_codes(&block, "0 0", __FILE__, __LINE__);
	/* all rows once, then one row and the end for each query */
	CHECK(block.result.range_rows == RUN_KEYS + 2 * RUN_KEYS - 1);
	free(state);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_ranges(&arena.allocator));
	CHECK_TEST(test_range_work(&arena.allocator));
	CHECK_TEST(test_claimed_results(&arena.allocator));
	CHECK_TEST(test_deleted_runs(&arena.allocator));
	CHECK_TEST(test_all_deleted(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("mvcc/ranges");
}
