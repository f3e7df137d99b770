/* mvcc_samples.h: a state in memory, and transactions in a compact notation, for the tests of MVCC
 */
#ifndef FABRIC_TEST_MVCC_SAMPLES_H
#define FABRIC_TEST_MVCC_SAMPLES_H

#include "core/rwset/rwset_internal.h"
#include "unit/check.h"

#define B FB_BYTES_LITERAL
static const RwSetVersion absent = {false, 0, 0};

static inline RwSetVersion
at(uint64_t block_number, uint64_t tx_index)
{
	return (RwSetVersion) {true, block_number, tx_index};
}

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

static inline Row *
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

static inline void
put_row(State *state, const char *namespace_name, const char *key, const char *value,
		RwSetVersion version)
{
	Row *row = find_row(state, namespace_name, key, true);

	if (row == NULL)
		exit(2);
	snprintf(row->value, sizeof(row->value), "%s", value);
	row->version = version;
}

static inline FbStatus
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

static inline FbStatus
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

static inline void
source_close(RangeSource *self)
{
	((State *) self)->open_count--;
}

static inline State *
new_state(void)
{
	State *state = calloc(1, sizeof(State));

	state->source = (RangeSource) {source_open, source_next, source_close};
	return state;
}

static inline RwSet *
finish(FbAllocator *allocator, RwSetBuilder *builder)
{
	RwSetResult result;
	RwSet *set;

	if (rwset_builder_finish(builder, &result, NULL) != FB_OK ||
		rwset_parse(allocator, result.public_bytes, &set, NULL) != FB_OK)
		exit(2);
	return set;
}

static inline RwSetBuilder *
new_builder(FbAllocator *allocator)
{
	RwSetBuilder *builder;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK)
		exit(2);
	return builder;
}

/* one range query with its results: "k=1.0,l=2.3" */
static inline FbStatus
transaction_add_range(RwSetBuilder *builder, FbBytes start_key, FbBytes end_key, char *results,
					  bool exhausted)
{
	RwSetRangeBuilder *range;
	FbStatus status = rwset_builder_open_range(builder, B("ns"), start_key, end_key, &range, NULL);
	char *read;

	while (status == FB_OK && (read = strsep(&results, ",")) != NULL)
	{
		unsigned long block_number = 0;
		unsigned long tx_index = 0;
		char name[64];

		if (sscanf(read, "%63[^=]=%lu.%lu", name, &block_number, &tx_index) == 3)
			status = rwset_range_add_result(range, fb_bytes_of_text(name),
											at(block_number, tx_index), NULL);
	}
	if (exhausted)
		rwset_range_exhaust(range);
	return status;
}

static inline FbStatus
transaction_add_item(RwSetBuilder *builder, char what, FbBytes key, RwSetVersion version,
					 const RwSetMetadataEntry *entry, char *reads)
{
	switch (what)
	{
		case 'r':
			return rwset_builder_add_read(builder, B("ns"), key, version, NULL);
		case 'w':
			return rwset_builder_add_write(builder, B("ns"), key, entry->value, NULL);
		case 'd':
			return rwset_builder_add_delete(builder, B("ns"), key, NULL);
		case 'm':
			return rwset_builder_add_metadata_write(builder, B("ns"), key, entry,
													entry->value.data[0] != '-', NULL);
		case 'h':
			return rwset_builder_add_hashed_read(builder, B("ns"), B("c"), key, version, NULL);
		case 'p':
			return rwset_builder_add_private_write(builder, B("ns"), B("c"), key, entry->value,
												   NULL);
		case 'x':
			return rwset_builder_add_private_delete(builder, B("ns"), B("c"), key, NULL);
		case 'y':
			return rwset_builder_add_private_purge(builder, B("ns"), B("c"), key, NULL);
		case 'n':
			return rwset_builder_add_private_metadata_write(builder, B("ns"), B("c"), key, entry,
															entry->value.data[0] != '-', NULL);
		case 'q':
		case 'Q':
			return transaction_add_range(builder, key, entry->value, reads, what == 'q');
		default:
			return FB_INTERNAL;
	}
}

/*
 * "r k 5.0" read at a version, "r k -" read as absent, "w k v", "d k", "m k v" metadata (v = "-"
 * deletes them), "q a z k=1.0,l=2.1" an exhausted range, "Q a l k=1.0,l=2.1" one that was not; "h",
 * "p", "x", "y", "n": hashed read, private write, private delete, private purge, private metadata
 * in collection c. Separated by ';', all in namespace ns.
 */
static inline RwSet *
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
		FbStatus status;

		if (sscanf(item, " %c %255s %255s %511s", &what, key, value, reads) < 1)
			continue;
		key_bytes.size = strlen(key);
		entry.value.size = strlen(value);
		if (sscanf(value, "%lu.%lu", &block_number, &tx_index) == 2)
			version = at(block_number, tx_index);
		status = transaction_add_item(builder, what, key_bytes, version, &entry, reads);
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
static inline void
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
static inline void
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

static inline void
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

#endif
