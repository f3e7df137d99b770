/*
 * core/rwset, MVCC: tables for every rule, then random blocks against a naive model of Fabric's
 * validator that applies every transaction to a full copy of the state.
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

/* ---- a state: a sorted array of rows; the naive model's, and the source of ranges for the code
 * under test ---- */

typedef struct Row
{
	char namespace_name[24]; /* state namespace */
	char key[40];
	char value[40];
	uint8_t metadata[64];
	size_t metadata_size;
	RwSetVersion version;
	bool written; /* by an earlier valid transaction of the block */
	uint32_t writer;
} Row;

#define ROWS_MAX 512

typedef struct State
{
	RangeSource source; /* must be first */
	Row rows[ROWS_MAX]; /* deleted keys stay while the block lasts: version.present false */
	size_t rows_count;
	size_t cursor;
	char cursor_namespace[24];
	char cursor_end[40];
	int open_count;
	size_t queries; /* ever opened */
} State;

static Row *
find_row(State *state, const char *namespace_name, const char *key, bool make)
{
	size_t i = 0;

	while (i < state->rows_count)
	{
		int order = strcmp(state->rows[i].namespace_name, namespace_name);

		if (order == 0)
			order = strcmp(state->rows[i].key, key);
		if (order == 0)
			return &state->rows[i];
		if (order > 0)
			break;
		i++;
	}
	if (!make || state->rows_count == ROWS_MAX)
		return NULL;
	memmove(&state->rows[i + 1], &state->rows[i], (state->rows_count - i) * sizeof(Row));
	memset(&state->rows[i], 0, sizeof(Row));
	snprintf(state->rows[i].namespace_name, sizeof(state->rows[i].namespace_name), "%s",
			 namespace_name);
	snprintf(state->rows[i].key, sizeof(state->rows[i].key), "%s", key);
	state->rows_count++;
	return &state->rows[i];
}

static void
put_row(State *state, const char *namespace_name, const char *key, const char *value,
		RwSetVersion version)
{
	Row *row = find_row(state, namespace_name, key, true);

	snprintf(row->value, sizeof(row->value), "%s", value);
	row->version = version;
}

static FbStatus
source_open(RangeSource *self, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
			FbError *error)
{
	State *state = (State *) self;

	CHECK(state->open_count == 0);
	state->open_count++;
	state->queries++;
	snprintf(state->cursor_namespace, sizeof(state->cursor_namespace), "%.*s",
			 (int) namespace_name.size, (const char *) namespace_name.data);
	snprintf(state->cursor_end, sizeof(state->cursor_end), "%.*s", (int) end_key.size,
			 (const char *) end_key.data);
	for (state->cursor = 0; state->cursor < state->rows_count; state->cursor++)
	{
		const Row *row = &state->rows[state->cursor];

		if (strcmp(row->namespace_name, state->cursor_namespace) == 0 &&
			fb_bytes_compare(fb_bytes_of_text(row->key), start_key) >= 0)
			break;
	}
	return FB_OK;
}

static FbStatus
source_next(RangeSource *self, FbBytes *key, RwSetVersion *version, bool *found, FbError *error)
{
	State *state = (State *) self;
	const Row *row = &state->rows[state->cursor];

	*found = state->cursor < state->rows_count &&
			 strcmp(row->namespace_name, state->cursor_namespace) == 0 &&
			 (state->cursor_end[0] == 0 || strcmp(row->key, state->cursor_end) < 0);
	if (*found)
	{
		*key = fb_bytes_of_text(row->key);
		*version = row->version;
		state->cursor++;
	}
	return FB_OK;
}

static void
source_close(RangeSource *self)
{
	((State *) self)->open_count--;
}

static State *
new_state(void)
{
	State *state = calloc(1, sizeof(State));

	state->source = (RangeSource) {source_open, source_next, source_close};
	return state;
}

/* ---- transactions from a compact notation ---- */

static RwSet *
finish(FbAllocator *allocator, RwSetBuilder *builder)
{
	RwSetResult result;
	RwSet *set;

	if (rwset_builder_finish(builder, &result, NULL) != FB_OK ||
		rwset_parse(allocator, result.public_bytes, &set, NULL) != FB_OK)
		exit(2);
	return set;
}

static RwSetBuilder *
new_builder(FbAllocator *allocator)
{
	RwSetBuilder *builder;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK)
		exit(2);
	return builder;
}

/*
 * "r k 5.0" read at a version, "r k -" read as absent, "w k v", "d k", "m k v" metadata (v = "-"
 * deletes them), "q a z k=1.0,l=2.1" an exhausted range, "Q a l k=1.0,l=2.1" one that was not; "h",
 * "p", "x", "y", "n": hashed read, private write, private delete, private purge, private metadata
 * in collection c. Separated by ';', all in namespace ns.
 */
static RwSet *
transaction(FbAllocator *allocator, const char *text)
{
	RwSetBuilder *builder = new_builder(allocator);
	char copy[1024];
	char *rest = copy;
	char *item;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((item = strsep(&rest, ";")) != NULL)
	{
		char what = 0;
		char key[256] = "";
		char value[256] = "";
		char reads[512] = "";
		unsigned long block_number = 0;
		unsigned long tx_index = 0;
		RwSetVersion version = absent;
		RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), fb_bytes_of_text(value)};
		FbBytes key_bytes = fb_bytes_of_text(key);
		FbStatus status = FB_OK;
		RwSetRangeBuilder *range;

		if (sscanf(item, " %c %255s %255s %511s", &what, key, value, reads) < 1)
			continue;
		key_bytes.size = strlen(key);
		entry.value.size = strlen(value);
		if (sscanf(value, "%lu.%lu", &block_number, &tx_index) == 2)
			version = at(block_number, tx_index);
		switch (what)
		{
			case 'r':
				status = rwset_builder_add_read(builder, B("ns"), key_bytes, version, NULL);
				break;
			case 'w':
				status = rwset_builder_add_write(builder, B("ns"), key_bytes, entry.value, NULL);
				break;
			case 'd':
				status = rwset_builder_add_delete(builder, B("ns"), key_bytes, NULL);
				break;
			case 'm':
				status = rwset_builder_add_metadata_write(builder, B("ns"), key_bytes, &entry,
														  value[0] != '-', NULL);
				break;
			case 'h':
				status = rwset_builder_add_hashed_read(builder, B("ns"), B("c"), key_bytes, version,
													   NULL);
				break;
			case 'p':
				status = rwset_builder_add_private_write(builder, B("ns"), B("c"), key_bytes,
														 entry.value, NULL);
				break;
			case 'x':
				status =
					rwset_builder_add_private_delete(builder, B("ns"), B("c"), key_bytes, NULL);
				break;
			case 'y':
				status = rwset_builder_add_private_purge(builder, B("ns"), B("c"), key_bytes, NULL);
				break;
			case 'n':
				status =
					rwset_builder_add_private_metadata_write(builder, B("ns"), B("c"), key_bytes,
															 &entry, value[0] != '-', NULL);
				break;
			case 'q':
			case 'Q':
			{
				char *list = reads;
				char *read;

				status = rwset_builder_open_range(builder, B("ns"), key_bytes, entry.value, &range,
												  NULL);
				while (status == FB_OK && (read = strsep(&list, ",")) != NULL)
				{
					char name[64];

					if (sscanf(read, "%63[^=]=%lu.%lu", name, &block_number, &tx_index) == 3)
						status = rwset_range_add_result(range, fb_bytes_of_text(name),
														at(block_number, tx_index), NULL);
				}
				if (what == 'q')
					rwset_range_exhaust(range);
				break;
			}
			default:
				status = FB_INTERNAL;
		}
		if (status != FB_OK)
			CHECK_STATUS(status, FB_OK);
	}
	return finish(allocator, builder);
}

typedef struct Block
{
	MvccTransaction transactions[8];
	size_t count;
	MvccBlock *prepared;
	MvccResult result;
} Block;

/* look up the committed rows that the block needs, as the committer does */
static void
fill_committed(FbAllocator *allocator, MvccBlock *prepared, State *state)
{
	for (size_t i = 0; i < prepared->keys_count; i++)
	{
		MvccKey *key = &prepared->keys[i];
		char namespace_name[64];
		char name[80];
		Row *row;

		snprintf(namespace_name, sizeof(namespace_name), "%.*s", (int) key->state_namespace.size,
				 (const char *) key->state_namespace.data);
		if (key->hashed)
		{
			fb_hex_encode(fb_bytes(key->key.data, 8), name);
			name[16] = 0;
		}
		else
			snprintf(name, sizeof(name), "%.*s", (int) key->key.size, (const char *) key->key.data);
		row = find_row(state, namespace_name, name, false);
		if (row == NULL || !row->version.present)
			continue;
		key->committed = row->version;
		if (key->written && fb_bytes_copy(allocator, fb_bytes(row->metadata, row->metadata_size),
										  &key->committed_metadata, NULL) != FB_OK)
			exit(2);
		if (key->value_needed && fb_bytes_copy(allocator, fb_bytes_of_text(row->value),
											   &key->committed_value, NULL) != FB_OK)
			exit(2);
	}
}

/*
 * Run a block of transactions in the compact notation; "!" in front marks one that is invalid
 * already.
 */
static void
run(FbAllocator *allocator, State *state, Block *block, const char *const *texts)
{
	memset(block, 0, sizeof(*block));
	for (; texts[block->count] != NULL; block->count++)
	{
		const char *text = texts[block->count];

		block->transactions[block->count].code = text[0] == '!' ? 10 : 0;
		block->transactions[block->count].rwset = transaction(allocator, text + (text[0] == '!'));
	}
	CHECK_STATUS(mvcc_prepare(allocator, block->transactions, block->count, &block->prepared, NULL),
				 FB_OK);
	fill_committed(allocator, block->prepared, state);
	CHECK_STATUS(mvcc_validate(allocator, block->prepared, 9, &state->source, &block->result, NULL),
				 FB_OK);
	CHECK(state->open_count == 0);
}

static void
check_codes(const Block *block, const char *expected, const char *file, int line)
{
	char codes[128] = "";

	for (size_t i = 0; i < block->count; i++)
		snprintf(codes + strlen(codes), sizeof(codes) - strlen(codes), "%s%d", i > 0 ? " " : "",
				 block->transactions[i].code);
	check_text(codes, expected, "codes", file, line);
}

#define RUN(expected, ...)                                                        \
	do                                                                            \
	{                                                                             \
		run(allocator, state, &block, (const char *const[]) {__VA_ARGS__, NULL}); \
		check_codes(&block, expected, __FILE__, __LINE__);                        \
	} while (0)

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

	/*
	 * Of two queries that differ only in their claimed results, the second one is checked too; no
	 * builder makes such queries.
	 */
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

/*
 * Queries over keys that the block deletes: the result is right, wherever they begin and end, and
 * each deleted row is read about once for a transaction.
 */
static void
test_deleted_runs(FbAllocator *allocator)
{
	enum
	{
		KEYS = 300,
		QUERIES = 200
	};
	uint64_t random = 99;

	for (int round = 0; round < 60; round++)
	{
		State *state = new_state();
		Block block = {.count = 4};
		bool present[KEYS];
		RwSetVersion versions[KEYS];
		int wrong = round % 3 == 2 ? (int) (random >> 40) % QUERIES : -1;

		for (int k = 0; k < KEYS; k++)
		{
			char key[16];

			snprintf(key, sizeof(key), "k%03d", k);
			present[k] = k % 7 != 3;
			versions[k] = at(1, (uint32_t) k);
			if (present[k])
				put_row(state, "ns", key, "v", versions[k]);
		}
		/* transactions 0 and 2 write, 1 and 3 query */
		for (int t = 0; t < 4; t++)
		{
			RwSetBuilder *builder = new_builder(allocator);

			for (int k = 0; t % 2 == 0 && k < KEYS; k++)
			{
				char key[16];
				int dice;

				random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
				dice = (int) (random >> 33) % 100;
				snprintf(key, sizeof(key), "k%03d", k);
				if (dice < (t == 0 ? 90 : 5))
				{
					CHECK_STATUS(rwset_builder_add_delete(builder, B("ns"), fb_bytes_of_text(key),
														  NULL),
								 FB_OK);
					present[k] = false;
				}
				else if (dice < 94)
					continue;
				else
				{
					CHECK_STATUS(rwset_builder_add_write(builder, B("ns"), fb_bytes_of_text(key),
														 B("w"), NULL),
								 FB_OK);
					present[k] = true;
					versions[k] = at(9, (uint32_t) t);
				}
			}
			for (int q = 0; t % 2 == 1 && q < QUERIES; q++)
			{
				RwSetRangeBuilder *range;
				char start[16];
				char end[16];
				int first;
				int last;

				random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
				first = (int) (random >> 33) % KEYS;
				last = (int) (random >> 45) % 4 == 0
						   ? KEYS
						   : first + (int) (random >> 50) % (KEYS - first + 1);
				snprintf(start, sizeof(start), "k%03d", first);
				snprintf(end, sizeof(end), "k%03d", last);
				CHECK_STATUS(rwset_builder_open_range(builder, B("ns"), fb_bytes_of_text(start),
													  last == KEYS && q % 2 == 0
														  ? B("")
														  : fb_bytes_of_text(end),
													  &range, NULL),
							 FB_OK);
				for (int k = first; k < last; k++)
				{
					char key[16];

					snprintf(key, sizeof(key), "k%03d", k);
					if (present[k])
						CHECK_STATUS(rwset_range_add_result(range, fb_bytes_of_text(key),
															versions[k], NULL),
									 FB_OK);
				}
				if (q == wrong && t == 3)
					CHECK_STATUS(rwset_range_add_result(range, B("k999"), at(1, 1), NULL), FB_OK);
				rwset_range_exhaust(range);
			}
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

	/* all rows are deleted: every query begins at another row, and none reads further */
	{
		State *state = new_state();
		Block block = {.count = 2};
		RwSetBuilder *delete = new_builder(allocator);
		RwSetBuilder *query = new_builder(allocator);

		for (int k = 0; k < KEYS; k++)
		{
			RwSetRangeBuilder *range;
			char key[16];

			snprintf(key, sizeof(key), "k%03d", k);
			put_row(state, "ns", key, "v", at(1, 0));
			CHECK_STATUS(rwset_builder_add_delete(delete, B("ns"), fb_bytes_of_text(key), NULL),
						 FB_OK);
			CHECK_STATUS(rwset_builder_open_range(query, B("ns"), fb_bytes_of_text(key), B("z"),
												  &range, NULL),
						 FB_OK);
			rwset_range_exhaust(range);
		}
		block.transactions[0].rwset = finish(allocator, delete);
		block.transactions[1].rwset = finish(allocator, query);
		CHECK_STATUS(mvcc_prepare(allocator, block.transactions, block.count, &block.prepared,
								  NULL),
					 FB_OK);
		fill_committed(allocator, block.prepared, state);
		CHECK_STATUS(mvcc_validate(allocator, block.prepared, 9, &state->source, &block.result,
								   NULL),
					 FB_OK);
		check_codes(&block, "0 0", __FILE__, __LINE__);
		/* all rows once, then one row and the end for each query */
		CHECK(block.result.range_rows == KEYS + 2 * KEYS - 1);
		free(state);
	}
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
	State *state = new_state();
	uint8_t *name = malloc(NAME_BYTES);
	RwSetRead hashed_read = {B("h"), {false, 0, 0}};
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

	/*
	 * A write of a collection whose name is too long, in a chaincode whose name is not; a neighbor
	 * with the longest possible names.
	 */
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
	free(state);
}

/* ---- random blocks against the naive model ---- */

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
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_reads(&arena.allocator));
	CHECK_TEST(test_metadata(&arena.allocator));
	CHECK_TEST(test_ranges(&arena.allocator));
	CHECK_TEST(test_range_work(&arena.allocator));
	CHECK_TEST(test_key_set(&arena.allocator));
	CHECK_TEST(test_deleted_runs(&arena.allocator));
	CHECK_TEST(test_summaries(&arena.allocator));
	CHECK_TEST(test_writes(&arena.allocator));
	CHECK_TEST(test_long_names(&arena.allocator));
	fb_arena_reset(&arena);
	/* a seed on the command line runs that one alone */
	if (argc > 1)
		CHECK_TEST(test_random(strtoull(argv[1], NULL, 0)));
	else
		CHECK_TEST(test_seeds());
	CHECK_TEST(test_failures());
	return check_finish("rwset/mvcc");
}
