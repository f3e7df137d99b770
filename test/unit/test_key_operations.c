/*
 * core/rwset, several writes of one key in one transaction: their effect is a sum of operations
 * (mvcc.c). The expected results are those of Fabric's prepareTxOps (tx_ops.go), run on the same
 * operations. Also collections without a name.
 */
#include "core/rwset/rwset.h"
#include "unit/check.h"

#define B FB_BYTES_LITERAL
#define OPERATIONS_MAX 300

typedef struct KeyCase
{
	const char *operations; /* v: a value, the numbers 1, 2, ...; d: a deletion; m: metadata m1, m2,
							   ...; x: a deletion of metadata */
	int repetitions;
	const char *present; /* afterwards, if the key held "old" with metadata "old": VALUE/METADATA;
							"-": not there */
	const char *absent;	 /* if it was not there before */
} KeyCase;

static const KeyCase key_cases[] = {
	{"v", 1, "1/old", "1/"},
	{"d", 1, "-", "-"},
	{"m", 1, "old/m1", "-"},
	{"x", 1, "old/", "-"},
	{"vm", 1, "1/m1", "1/m1"},
	{"vx", 1, "1/", "1/"},
	{"dm", 1, "-", "-"},
	{"v", 2, "old/", "-"}, /* 2, which is a change of metadata */
	{"v", 3, "3/", "3/"},
	{"v", 4, "old/", "-"},
	{"v", 5, "5/", "5/"},
	{"v", 8, "-", "-"}, /* 8, which is a deletion */
	{"v", 9, "-", "-"},
	{"v", 16, "old/", "-"},
	{"v", 17, "old/", "-"},
	{"v", 19, "19/", "19/"},
	{"v", 256, "256/old", "256/"}, /* the sum is one byte */
	{"v", 257, "257/old", "257/"},
	{"d", 2, "old/", "-"},
	{"vd", 1, "-", "-"},
	{"dv", 1, "-", "-"},
	{"vdd", 1, "old/", "-"},
	{"d", 32, "-", "-"}, /* Fabric's peers crash here */
	{"m", 2, "old/m2", "-"},
	{"mx", 1, "old/m1", "-"}, /* a deletion does not remove the metadata of an update */
	{"xm", 1, "old/m1", "-"},
	{"x", 2, "-", "-"},
	{"vmm", 1, "1/m2", "1/m2"},
	{"vvm", 1, "old/m1", "-"},
	{"m", 3, "old/m3", "-"},
	{"mxx", 1, "-", "-"},
	{"vxx", 1, "-", "-"},
	{"vvx", 1, "old/", "-"},
};

typedef struct Operations
{
	RwSetWrite writes[OPERATIONS_MAX];
	RwSetMetadataWrite metadata[OPERATIONS_MAX];
	RwSetMetadataEntry entries[OPERATIONS_MAX];
	char texts[OPERATIONS_MAX][16];
	size_t writes_count;
	size_t metadata_count;
} Operations;

static void
make_operations(const KeyCase *from, Operations *to)
{
	int values = 0;
	int updates = 0;

	memset(to, 0, sizeof(*to));
	for (int r = 0; r < from->repetitions; r++)
		for (const char *c = from->operations; *c != '\0'; c++)
		{
			char *text = to->texts[values + updates];

			if (*c == 'v')
			{
				snprintf(text, sizeof(to->texts[0]), "%d", ++values);
				to->writes[to->writes_count++] =
					(RwSetWrite) {B("k"), fb_bytes_of_text(text), false, false};
			}
			else if (*c == 'd')
				to->writes[to->writes_count++] = (RwSetWrite) {B("k"), FB_BYTES_EMPTY, true, false};
			else
			{
				RwSetMetadataWrite *write = &to->metadata[to->metadata_count++];

				write->key = B("k");
				if (*c == 'x')
					continue;
				snprintf(text, sizeof(to->texts[0]), "m%d", ++updates);
				to->entries[updates] = (RwSetMetadataEntry) {B("p"), fb_bytes_of_text(text)};
				write->entries = &to->entries[updates];
				write->entries_count = 1;
			}
		}
}

/* the key afterwards, as in the table */
static const char *
describe(FbAllocator *allocator, const MvccResult *result, bool present)
{
	static char text[64];
	RwSetMetadataEntry *entries;
	size_t count;
	const StateUpdate *update = result->updates;

	if (result->updates_count == 0)
		return present ? "unchanged" : "-";
	CHECK(result->updates_count == 1 && !update->hashed && fb_bytes_equal(update->key, B("k")) &&
		  update->version.tx_index == 0);
	if (update->is_delete)
		return "-";
	CHECK_STATUS(rwset_metadata_parse(allocator, update->metadata, &entries, &count, NULL), FB_OK);
	snprintf(text, sizeof(text), "%.*s/%.*s", (int) update->value.size,
			 (const char *) update->value.data, count > 0 ? (int) entries[0].value.size : 0,
			 count > 0 ? (const char *) entries[0].value.data : "");
	return text;
}

static void
apply_case(FbAllocator *allocator, const KeyCase *key_case, const Operations *operations,
		   bool hashed, bool present)
{
	RwSetCollection unnamed = {.name = FB_BYTES_EMPTY,
							   .hashed_writes = (RwSetWrite *) operations->writes,
							   .hashed_writes_count = operations->writes_count,
							   .metadata_writes = (RwSetMetadataWrite *) operations->metadata,
							   .metadata_writes_count = operations->metadata_count};
	RwSetNamespace ns = {.name = B("ns")};
	RwSet set = {0, &ns, 1};
	MvccTransaction transaction = {&set, 0, false};
	RwSetMetadataEntry old = {B("p"), B("old")};
	MvccBlock *block;
	MvccResult result;

	if (hashed)
	{
		ns.collections = &unnamed;
		ns.collections_count = 1;
	}
	else
	{
		ns.writes = unnamed.hashed_writes;
		ns.writes_count = unnamed.hashed_writes_count;
		ns.metadata_writes = unnamed.metadata_writes;
		ns.metadata_writes_count = unnamed.metadata_writes_count;
	}
	CHECK_STATUS(mvcc_prepare(allocator, &transaction, 1, &block, NULL), FB_OK);
	CHECK(block->keys_count == 1 && !block->keys[0].hashed);
	if (present)
	{
		block->keys[0].committed = (RwSetVersion) {true, 1, 1};
		/* a host need not fetch values that are not used */
		if (block->keys[0].value_needed)
			block->keys[0].committed_value = B("old");
		CHECK_STATUS(rwset_metadata_pack(allocator, &old, 1, &block->keys[0].committed_metadata,
										 NULL),
					 FB_OK);
	}
	CHECK_STATUS(mvcc_validate(allocator, block, 2, NULL, &result, NULL), FB_OK);
	CHECK(transaction.code == 0);
	if (!CHECK_TEXT(describe(allocator, &result, present),
					present ? key_case->present : key_case->absent))
		fprintf(stderr, "    \"%s\" %d times\n", key_case->operations, key_case->repetitions);
	/* history has the first public write, whatever its effect */
	if (hashed || operations->writes_count == 0)
		CHECK(result.history_count == 0);
	else
		CHECK(result.history_count == 1 &&
			  result.history[0].is_delete == operations->writes[0].is_delete &&
			  fb_bytes_equal(result.history[0].value, operations->writes[0].value));
}

static void
test_operations(FbAllocator *allocator)
{
	Operations *operations = malloc(sizeof(Operations));

	for (size_t i = 0; i < sizeof(key_cases) / sizeof(key_cases[0]); i++)
	{
		make_operations(&key_cases[i], operations);
		for (int kind = 0; kind < 4; kind++)
			apply_case(allocator, &key_cases[i], operations, kind & 1, kind & 2);
	}
	free(operations);
}

/*
 * Writes of the collection "" and public ones of the same key are one sum; its reads are of a state
 * without writers.
 */
static void
test_unnamed_collection(FbAllocator *allocator)
{
	RwSetWrite public_write = {B("k"), B("public"), false, false};
	RwSetWrite hashed_write = {B("k"), B("hash"), false, true};
	RwSetRead read = {B("k"), {false, 0, 0}};
	RwSetCollection writer = {.name = FB_BYTES_EMPTY,
							  .hashed_writes = &hashed_write,
							  .hashed_writes_count = 1};
	RwSetCollection reader = {.name = FB_BYTES_EMPTY,
							  .hashed_reads = &read,
							  .hashed_reads_count = 1};
	RwSetNamespace namespaces[2] = {
		{.name = B("ns"),
		 .writes = &public_write,
		 .writes_count = 1,
		 .collections = &writer,
		 .collections_count = 1},
		{.name = B("ns"), .collections = &reader, .collections_count = 1},
	};
	RwSet sets[2] = {{0, &namespaces[0], 1}, {0, &namespaces[1], 1}};
	MvccTransaction transactions[2] = {{&sets[0], 0, false}, {&sets[1], 0, false}};
	MvccBlock *block;
	MvccResult result;

	CHECK_STATUS(mvcc_prepare(allocator, transactions, 2, &block, NULL), FB_OK);
	CHECK(block->keys_count == 2);
	CHECK_STATUS(mvcc_validate(allocator, block, 2, NULL, &result, NULL), FB_OK);
	/* two values: a change of metadata of a missing key */
	CHECK(transactions[0].code == 0 && transactions[1].code == 0 && result.updates_count == 0);
	namespaces[0].writes_count = 0;
	CHECK_STATUS(mvcc_prepare(allocator, transactions, 2, &block, NULL), FB_OK);
	CHECK_STATUS(mvcc_validate(allocator, block, 2, NULL, &result, NULL), FB_OK);
	CHECK(transactions[0].code == 0 && transactions[1].code == 0 && result.updates_count == 1);
	CHECK(!result.updates[0].hashed && fb_bytes_equal(result.updates[0].state_namespace, B("ns")) &&
		  fb_bytes_equal(result.updates[0].value, B("hash")) && !result.updates[0].is_purge);
}

static FbStatus
no_range(RangeSource *self, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
		 FbError *error)
{
	CHECK(!"a namespace that cannot exist is looked up");
	return FB_OK;
}

/* names with U+0000: no state has them, and no key of "ns" is found under "ns", U+0000, "x" */
static void
test_names_with_zero(FbAllocator *allocator)
{
	static RangeSource source = {no_range, NULL, NULL};

	for (int present = 0; present < 2; present++)
	{
		RwSetRead read = {B("k"), {present, 1, 1}};
		RwSetRange range = {.start_key = B("a"),
							.end_key = B("z"),
							.exhausted = true,
							.kind = RWSET_RANGE_READS};
		RwSetCollection collection = {.name = B("c\0"),
									  .hashed_reads = &read,
									  .hashed_reads_count = 1};
		RwSetNamespace namespaces[2] = {
			{.name = B("ns\0x"),
			 .reads = &read,
			 .reads_count = 1,
			 .ranges = &range,
			 .ranges_count = 1},
			{.name = B("ns"), .collections = &collection, .collections_count = 1},
		};
		RwSet sets[2] = {{0, &namespaces[0], 1}, {0, &namespaces[1], 1}};
		MvccTransaction transactions[2] = {{&sets[0], 0, false}, {&sets[1], 0, false}};
		MvccBlock *block;
		MvccResult result;

		CHECK_STATUS(mvcc_prepare(allocator, transactions, 2, &block, NULL), FB_OK);
		for (size_t i = 0; i < block->keys_count; i++)
			CHECK(!block->keys[i].storable);
		CHECK_STATUS(mvcc_validate(allocator, block, 2, &source, &result, NULL), FB_OK);
		CHECK(transactions[0].code == (present ? 11 : 0) &&
			  transactions[1].code == (present ? 11 : 0));
	}
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_operations(&arena.allocator));
	CHECK_TEST(test_unnamed_collection(&arena.allocator));
	CHECK_TEST(test_names_with_zero(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("rwset/key_operations");
}
