/* mvcc: random blocks against a naive model; every allocation fails once */
#include "unit/mvcc_samples.h"

typedef struct Naive
{
	State *work; /* the state after the valid transactions so far */
	const State *committed;
	uint64_t block_number;
	size_t history_count;
} Naive;

static void
row_name(char *name, size_t size, FbBytes key, bool hashed)
{
	if (hashed)
		fb_hex_encode(fb_bytes(key.data, 8), name);
	else
		snprintf(name, size, "%.*s", (int) key.size, (const char *) key.data);
}

static bool
naive_read_ok(Naive *naive, const char *namespace_name, const RwSetRead *read, bool hashed)
{
	char name[40];
	Row *row;

	row_name(name, sizeof(name), read->key, hashed);
	row = find_row(naive->work, namespace_name, name, false);
	if (row != NULL && row->written)
		return false;
	return rwset_version_equal(row == NULL ? absent : row->version, read->version);
}

/*
 * Run the range on the copy of the state; the builder makes the summary of a long one from the
 * naive list.
 */
static bool
naive_range_ok(Naive *naive, FbAllocator *allocator, const char *namespace_name,
			   const RwSetRange *range)
{
	RwSetBuilder *builder = new_builder(allocator);
	RwSetRangeBuilder *again;
	const RwSetRange *now;
	RwSet *set;

	if (rwset_builder_open_range(builder, B("x"), range->start_key, range->end_key, &again, NULL) !=
		FB_OK)
		exit(2);
	for (size_t i = 0; i < naive->work->rows_count; i++)
	{
		const Row *row = &naive->work->rows[i];
		FbBytes key = fb_bytes_of_text(row->key);

		if (strcmp(row->namespace_name, namespace_name) == 0 && row->version.present &&
			fb_bytes_compare(key, range->start_key) >= 0 &&
			(range->end_key.size == 0 ||
			 fb_bytes_compare(key, range->end_key) < (range->exhausted ? 0 : 1)) &&
			rwset_range_add_result(again, key, row->version, NULL) != FB_OK)
			exit(2);
	}
	rwset_range_exhaust(again);
	set = finish(allocator, builder);
	now = &set->namespaces[0].ranges[0];
	if (now->kind != range->kind || now->reads_count != range->reads_count ||
		now->merkle.hashes_count != range->merkle.hashes_count ||
		now->merkle.max_level != range->merkle.max_level)
		return false;
	for (size_t i = 0; i < now->reads_count; i++)
	{
		if (!fb_bytes_equal(now->reads[i].key, range->reads[i].key) ||
			!rwset_version_equal(now->reads[i].version, range->reads[i].version))
			return false;
	}
	for (size_t i = 0; i < now->merkle.hashes_count; i++)
	{
		if (!fb_bytes_equal(now->merkle.hashes[i], range->merkle.hashes[i]))
			return false;
	}
	return true;
}

static uint8_t
naive_check(Naive *naive, FbAllocator *allocator, const RwSet *set)
{
	for (size_t n = 0; n < set->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &set->namespaces[n];
		char name[24];

		snprintf(name, sizeof(name), "%.*s", (int) ns->name.size, (const char *) ns->name.data);
		for (size_t i = 0; i < ns->reads_count; i++)
		{
			if (!naive_read_ok(naive, name, &ns->reads[i], false))
				return 11;
		}
		for (size_t i = 0; i < ns->ranges_count; i++)
		{
			if (!naive_range_ok(naive, allocator, name, &ns->ranges[i]))
				return 12;
		}
		snprintf(name, sizeof(name), "%.*s$$hc", (int) ns->name.size, (const char *) ns->name.data);
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			for (size_t i = 0; i < ns->collections[c].hashed_reads_count; i++)
			{
				if (!naive_read_ok(naive, name, &ns->collections[c].hashed_reads[i], true))
					return 11;
			}
		}
	}
	return 0;
}

static void
naive_apply_lists(Naive *naive, FbAllocator *allocator, const char *namespace_name,
				  const RwSetWrite *writes, size_t writes_count,
				  const RwSetMetadataWrite *metadata_writes, size_t metadata_writes_count,
				  bool hashed, uint32_t tx_index)
{
	char name[40];
	Row *row;

	for (size_t i = 0; i < writes_count; i++)
	{
		bool deletes =
			hashed ? rwset_hashed_write_deletes(&writes[i]) : rwset_write_deletes(&writes[i]);

		row_name(name, sizeof(name), writes[i].key, hashed);
		row = find_row(naive->work, namespace_name, name, true);
		if (deletes)
			row->metadata_size = 0;
		row->version = deletes ? absent : at(naive->block_number, tx_index);
		row_name(row->value, sizeof(row->value), writes[i].value, hashed && !deletes);
		row->written = true;
		row->writer = tx_index;
		naive->history_count += !hashed;
	}
	for (size_t i = 0; i < metadata_writes_count; i++)
	{
		FbBytes metadata;

		row_name(name, sizeof(name), metadata_writes[i].key, hashed);
		row = find_row(naive->work, namespace_name, name, false);
		if (row == NULL || !row->version.present)
			continue;
		if (rwset_metadata_pack(allocator, metadata_writes[i].entries,
								metadata_writes[i].entries_count, &metadata, NULL) != FB_OK)
			exit(2);
		memcpy(row->metadata, metadata.size > 0 ? metadata.data : (const uint8_t *) "",
			   metadata.size);
		row->metadata_size = metadata.size;
		row->version = at(naive->block_number, tx_index);
		row->written = true;
		row->writer = tx_index;
	}
}

static void
naive_apply(Naive *naive, FbAllocator *allocator, const RwSet *set, uint32_t tx_index)
{
	for (size_t n = 0; n < set->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &set->namespaces[n];
		char name[24];

		snprintf(name, sizeof(name), "%.*s", (int) ns->name.size, (const char *) ns->name.data);
		naive_apply_lists(naive, allocator, name, ns->writes, ns->writes_count, ns->metadata_writes,
						  ns->metadata_writes_count, false, tx_index);
		snprintf(name, sizeof(name), "%.*s$$hc", (int) ns->name.size, (const char *) ns->name.data);
		for (size_t c = 0; c < ns->collections_count; c++)
			naive_apply_lists(naive, allocator, name, ns->collections[c].hashed_writes,
							  ns->collections[c].hashed_writes_count,
							  ns->collections[c].metadata_writes,
							  ns->collections[c].metadata_writes_count, true, tx_index);
	}
}

/* the version of a read: mostly the committed one */
static RwSetVersion
random_version(FbRand *rand, State *state, const char *namespace_name, const char *key)
{
	Row *row = find_row(state, namespace_name, key, false);

	if (fb_rand_below(rand, 12) == 0)
		return fb_rand_below(rand, 2) == 0 ? absent : at(fb_rand_below(rand, 3), 0);
	return row == NULL ? absent : row->version;
}

/*
 * The results of a range on the committed state, up to a limit; not exhausted if the limit was
 * reached.
 */
static FbStatus
random_range(FbRand *rand, State *state, RwSetBuilder *builder, FbBytes ns,
			 const char *namespace_name)
{
	char start[16];
	char end[16];
	size_t limit = fb_rand_below(rand, 3) == 0 ? fb_rand_below(rand, 6) + 1 : SIZE_MAX;
	size_t count = 0;
	RwSetRangeBuilder *range;

	snprintf(start, sizeof(start), "k%02d", (int) fb_rand_below(rand, 60));
	snprintf(end, sizeof(end), "k%02d", (int) fb_rand_below(rand, 100));
	FB_TRY(rwset_builder_open_range(builder, ns, fb_bytes_of_text(start),
									fb_rand_below(rand, 8) == 0 ? FB_BYTES_EMPTY
																: fb_bytes_of_text(end),
									&range, NULL));
	if (fb_rand_below(rand, 8) == 0)
		limit = SIZE_MAX;
	for (size_t i = 0; i < state->rows_count; i++)
	{
		const Row *row = &state->rows[i];

		if (strcmp(row->namespace_name, namespace_name) != 0 || !row->version.present ||
			strcmp(row->key, start) < 0 || strcmp(row->key, end) >= 0)
			continue;
		FB_TRY(rwset_range_add_result(range, fb_bytes_of_text(row->key), row->version, NULL));
		if (++count == limit)
			return FB_OK;
	}
	rwset_range_exhaust(range);
	return FB_OK;
}

static RwSet *
random_transaction(FbAllocator *allocator, FbRand *rand, State *state)
{
	RwSetBuilder *builder = new_builder(allocator);
	int count = (int) fb_rand_below(rand, 6) + 1;

	for (int i = 0; i < count; i++)
	{
		const char *name = fb_rand_below(rand, 3) == 0 ? "m" : "ns";
		FbBytes ns = fb_bytes_of_text(name);
		char hashed[24];
		char key[16];
		char hex[80];
		uint8_t hash[32];
		FbBytes key_bytes;
		RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), B("EP")};
		FbStatus status;

		snprintf(key, sizeof(key), "k%02d",
				 (int) fb_rand_below(rand, fb_rand_below(rand, 2) == 0 ? 5 : 90));
		snprintf(hashed, sizeof(hashed), "%s$$hc", name);
		key_bytes = fb_bytes_of_text(key);
		crypto_sha256(key_bytes, hash);
		fb_hex_encode(fb_bytes(hash, 8), hex);
		switch (fb_rand_below(rand, 11))
		{
			case 0:
			case 1:
			case 2:
				status = rwset_builder_add_read(builder, ns, key_bytes,
												random_version(rand, state, name, key), NULL);
				break;
			case 3:
			case 4:
				status = rwset_builder_add_write(builder, ns, key_bytes, key_bytes, NULL);
				break;
			case 5:
				status = rwset_builder_add_delete(builder, ns, key_bytes, NULL);
				break;
			case 6:
				status = rwset_builder_add_metadata_write(builder, ns, key_bytes, &entry,
														  fb_rand_below(rand, 2), NULL);
				break;
			case 7:
				status = random_range(rand, state, builder, ns, name);
				break;
			case 8:
				status =
					rwset_builder_add_hashed_read(builder, ns, B("c"), key_bytes,
												  random_version(rand, state, hashed, hex), NULL);
				break;
			case 9:
				status =
					fb_rand_below(rand, 3) == 0
						? rwset_builder_add_private_delete(builder, ns, B("c"), key_bytes, NULL)
						: rwset_builder_add_private_write(builder, ns, B("c"), key_bytes, key_bytes,
														  NULL);
				break;
			default:
				status =
					rwset_builder_add_private_metadata_write(builder, ns, B("c"), key_bytes, &entry,
															 fb_rand_below(rand, 2), NULL);
		}
		if (status != FB_OK)
			CHECK_STATUS(status, FB_OK);
	}
	return finish(allocator, builder);
}

/* apply the updates to the committed state, as the server does in SQL */
static void
apply_updates(State *state, const MvccResult *result)
{
	for (size_t i = 0; i < result->updates_count; i++)
	{
		const StateUpdate *update = &result->updates[i];
		char namespace_name[24];
		char name[40];
		Row *row;

		snprintf(namespace_name, sizeof(namespace_name), "%.*s", (int) update->state_namespace.size,
				 (const char *) update->state_namespace.data);
		row_name(name, sizeof(name), update->key, update->hashed);
		row = find_row(state, namespace_name, name, true);
		row->version = update->is_delete ? absent : update->version;
		/*
		 * Only a value that the block wrote is a hash of a collection; a kept value is the test's
		 * text already.
		 */
		if (update->is_delete)
			row->value[0] = 0;
		else if (update->hashed && update->value.size == 32)
			row_name(row->value, sizeof(row->value), update->value, true);
		else
			row_name(row->value, sizeof(row->value), update->value, false);
		memcpy(row->metadata,
			   update->metadata.size > 0 ? update->metadata.data : (const uint8_t *) "",
			   update->metadata.size);
		row->metadata_size = update->metadata.size;
	}
}

static void
drop_absent(State *state)
{
	size_t count = 0;

	for (size_t i = 0; i < state->rows_count; i++)
	{
		state->rows[i].written = false;
		state->rows[i].writer = 0;
		if (state->rows[i].version.present)
			state->rows[count++] = state->rows[i];
	}
	state->rows_count = count;
}

static bool
states_equal(const State *a, const State *b)
{
	if (a->rows_count != b->rows_count)
		return false;
	for (size_t i = 0; i < a->rows_count; i++)
	{
		const Row *x = &a->rows[i];
		const Row *y = &b->rows[i];

		if (strcmp(x->namespace_name, y->namespace_name) != 0 || strcmp(x->key, y->key) != 0 ||
			strcmp(x->value, y->value) != 0 || !rwset_version_equal(x->version, y->version) ||
			x->metadata_size != y->metadata_size ||
			memcmp(x->metadata, y->metadata, x->metadata_size) != 0)
			return false;
	}
	return true;
}

static void
test_random(uint64_t seed)
{
	FbRand rand;
	State *state = new_state();
	size_t seen[256] = {0};
	bool good = true;

	fb_rand_seed(&rand, seed);
	for (uint64_t block_number = 1; block_number <= 300 && good; block_number++)
	{
		FbArena arena;
		FbAllocator *allocator = &arena.allocator;
		MvccTransaction transactions[20] = {0};
		size_t count = fb_rand_below(&rand, 20) + 1;
		State *work = new_state();
		Naive naive = {work, state, block_number, 0};
		MvccBlock *block;
		MvccResult result;
		size_t conflicts = 0;

		fb_arena_init(&arena);
		memcpy(work->rows, state->rows, sizeof(state->rows));
		work->rows_count = state->rows_count;
		for (size_t t = 0; t < count; t++)
		{
			transactions[t].rwset = random_transaction(allocator, &rand, state);
			transactions[t].code = fb_rand_below(&rand, 10) == 0 ? 10 : 0;
		}
		good &= CHECK_STATUS(mvcc_prepare(allocator, transactions, count, &block, NULL), FB_OK);
		fill_committed(allocator, block, state);
		good &= CHECK_STATUS(mvcc_validate(allocator, block, block_number, &state->source, &result,
										   NULL),
							 FB_OK);
		for (size_t t = 0; t < count && good; t++)
		{
			uint8_t code = 10;

			if (transactions[t].code != 10)
			{
				code = naive_check(&naive, allocator, transactions[t].rwset);
				if (code == 0)
					naive_apply(&naive, allocator, transactions[t].rwset, (uint32_t) t);
				else
					conflicts++;
			}
			seen[code]++;
			good &= CHECK(code == transactions[t].code);
		}
		good &= CHECK(result.conflicts_count == conflicts &&
					  result.history_count == naive.history_count);
		apply_updates(state, &result);
		drop_absent(state);
		drop_absent(work);
		good &= CHECK(states_equal(state, work));
		if (!good)
			fprintf(stderr, "seed %llu, block %llu\n", (unsigned long long) seed,
					(unsigned long long) block_number);
		free(work);
		fb_arena_reset(&arena);
	}
	CHECK(seen[0] > 100 && seen[11] > 50 && seen[12] > 50);
	free(state);
}

static void
test_failures(void)
{
	FbArena keep;
	State *state = new_state();
	RwSet *sets[4];
	size_t failures = 0;

	fb_arena_init(&keep);
	put_row(state, "ns", "b", "v", at(1, 0));
	put_row(state, "ns", "d", "v", at(2, 1));
	sets[0] = transaction(&keep.allocator, "r b 1.0;w c v;m b EP;p k v;n k EP");
	sets[1] = transaction(&keep.allocator, "q a z b=1.0,d=2.1");
	sets[2] = transaction(&keep.allocator, "r d 2.1;h k -;x k");
	sets[3] = transaction(&keep.allocator, "q d z d=2.1");
	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena arena;
		MvccTransaction transactions[4] = {{sets[0]}, {sets[1]}, {sets[2]}, {sets[3]}};
		MvccBlock *block;
		MvccResult result;
		FbStatus status;

		fb_arena_init(&arena);
		arena.fail_at = fail_at;
		status = mvcc_prepare(&arena.allocator, transactions, 4, &block, NULL);
		if (status == FB_OK)
		{
			fill_committed(&keep.allocator, block, state);
			status = mvcc_validate(&arena.allocator, block, 9, &state->source, &result, NULL);
		}
		CHECK(state->open_count == 0);
		fb_arena_reset(&arena);
		if (status == FB_OK)
		{
			CHECK(transactions[0].code == 0 && transactions[1].code == 12 &&
				  transactions[2].code == 11 && transactions[3].code == 0);
			break;
		}
		CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		failures++;
	}
	CHECK(failures > 15);
	fb_arena_reset(&keep);
	free(state);
}

static void
test_seeds(void)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		test_random(seed);
}

int
main(int argc, char **argv)
{
	/* a seed on the command line runs that one alone */
	if (argc > 1)
		CHECK_TEST(test_random(strtoull(argv[1], NULL, 0)));
	else
	{
		CHECK_TEST(test_seeds());
		CHECK_TEST(test_failures());
	}
	return check_finish("mvcc/random");
}
