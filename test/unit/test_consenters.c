/*
 * core/config/consenters: the Raft ids of consenters over configurations that follow each other,
 * and in the metadata of blocks
 */
#include "unit/check.h"

#include "core/block/block.h"
#include "core/config/config.h"

static FbArena arena;
static FbError error;

/* a configuration whose consenters have these certificates, one letter each */
static ConfigBundle
bundle_of(const char *certificates)
{
	ConfigConsenter *consenters =
		fb_allocate_array(&arena.allocator, strlen(certificates), sizeof(ConfigConsenter));
	ConfigBundle bundle = {.consenters = consenters, .consenters_count = strlen(certificates)};

	for (size_t i = 0; i < bundle.consenters_count; i++)
		consenters[i] = (ConfigConsenter) {.host = "localhost",
										   .port = (uint32_t) (7050 + i),
										   .client_tls_certificate = fb_bytes(certificates + i, 1),
										   .server_tls_certificate = fb_bytes(certificates + i, 1)};
	return bundle;
}

/* "1 2 3/4": the ids, and the next one */
static const char *
ids_text(const ConsenterIds *ids)
{
	static char text[256];
	size_t at = 0;

	for (uint32_t i = 0; i < ids->count; i++)
		at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%llu", i > 0 ? " " : "",
								(unsigned long long) ids->ids[i]);
	snprintf(text + at, sizeof(text) - at, "/%llu", (unsigned long long) ids->next_id);
	return text;
}

/* one update after the other; each keeps, adds, removes or replaces one consenter */
static void
test_follow(void)
{
	static const struct
	{
		const char *certificates;
		const char *ids;
		ConsenterChange change; /* added, removed, rotated */
	} table[] = {
		{"abc", "1 2 3/4", {0, 0, 0}},
		/* the first leaves: the others keep their ids */
		{"bc", "2 3/4", {0, 1, 0}},
		/* it comes back: another id */
		{"bca", "2 3 4/5", {4, 0, 0}},
		/* the order of the list means nothing */
		{"acb", "4 3 2/5", {0, 0, 0}},
		/* another certificate at the same place, and at another one */
		{"axb", "4 3 2/5", {0, 0, 3}},
		{"abz", "4 2 3/5", {0, 0, 3}},
		{"dabz", "5 4 2 3/6", {5, 0, 0}},
		{"dab", "5 4 2/6", {0, 3, 0}},
		{"ab", "4 2/6", {0, 5, 0}},
		{"b", "2/6", {0, 4, 0}},
		{"q", "2/6", {0, 0, 2}},
		{"qr", "2 6/7", {6, 0, 0}},
	};
	ConsenterIds ids = {0};
	ConfigBundle bundle = {0};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		ConfigBundle next = bundle_of(table[i].certificates);
		ConsenterIds after;
		ConsenterChange change;

		CHECK_STATUS(consenter_ids_follow(&ids, &bundle, &next, &after, &change, &error), FB_OK);
		CHECK_TEXT(ids_text(&after), table[i].ids);
		CHECK(memcmp(&change, &table[i].change, sizeof(change)) == 0);
		ids = after;
		bundle = next;
	}
	CHECK(consenter_ids_has(&ids, 6) && !consenter_ids_has(&ids, 1));
	CHECK(consenter_ids_id(&ids, 1) == 6 && consenter_ids_id(&ids, 2) == 0);
}

static void
test_too_many_changes(void)
{
	static const char *const refused[] = {"abcde", "a", "axy", "xyc", "axyz", "xy", "xyz"};
	ConfigBundle bundle = bundle_of("abc");
	ConsenterIds ids;
	ConsenterIds after;
	ConsenterChange change;

	consenter_ids_first(3, &ids);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		ConfigBundle next = bundle_of(refused[i]);

		if (!CHECK_STATUS(consenter_ids_follow(&ids, &bundle, &next, &after, &change, &error),
						  FB_INVALID_CONFIG))
			fprintf(stderr, "    %s\n", refused[i]);
	}
	CHECK_TEXT(error.message, "more than one consenter is added, removed or replaced at once");
	CHECK_TEXT(error.detail, "3 are added and 3 are removed.");
}

/* another type of consensus has no ids; etcdraft after it begins with 1 */
static void
test_other_consensus(void)
{
	ConfigBundle raft = bundle_of("ab");
	ConfigBundle other = {0};
	ConsenterIds ids;
	ConsenterIds after;
	ConsenterChange change;

	consenter_ids_first(2, &ids);
	CHECK_STATUS(consenter_ids_follow(&ids, &raft, &other, &after, &change, &error), FB_OK);
	CHECK(after.count == 0);
	CHECK_STATUS(consenter_ids_follow(&after, &other, &raft, &ids, &change, &error), FB_OK);
	CHECK_TEXT(ids_text(&ids), "1 2/3");
	CHECK_STATUS(consenter_ids_require(&after, FB_BYTES_EMPTY, &arena.allocator, &error), FB_OK);
}

static FbBytes
slot_of(const uint64_t *ids, size_t count, uint64_t next_id)
{
	FbBytes metadata;
	FbBytes value;
	FbBytes slot;

	CHECK_STATUS(block_raft_metadata(ids, count, next_id, 77, &arena.allocator, &metadata, &error),
				 FB_OK);
	CHECK_STATUS(block_signature_value(0, metadata, &arena.allocator, &value, &error), FB_OK);
	CHECK_STATUS(block_signatures_pack(value, NULL, 0, &arena.allocator, &slot, &error), FB_OK);
	return slot;
}

static void
test_metadata(void)
{
	static const uint64_t good[] = {2, 9, 4};
	static const uint64_t twice[] = {2, 9, 2};
	static const uint64_t zero[] = {2, 0};
	uint64_t many[FB_RAFT_NODES_MAX + 1];
	ConsenterIds expected = {3, {2, 9, 4}, 10};
	ConsenterIds ids;
	FbBytes value;
	FbBytes slot;

	slot = slot_of(good, 3, 10);
	CHECK_STATUS(consenter_ids_parse(slot, &arena.allocator, &ids, &error), FB_OK);
	CHECK(consenter_ids_equal(&ids, &expected));
	CHECK_STATUS(consenter_ids_require(&expected, slot, &arena.allocator, &error), FB_OK);

	/* what an orderer that lies could write: other ids, another order, fewer, another next one */
	expected.ids[2] = 5;
	CHECK_STATUS(consenter_ids_require(&expected, slot, &arena.allocator, &error),
				 FB_BLOCK_REFUSED);
	CHECK_STATUS(consenter_ids_require(&(ConsenterIds) {3, {9, 2, 4}, 10}, slot, &arena.allocator,
									   &error),
				 FB_BLOCK_REFUSED);
	CHECK_STATUS(consenter_ids_require(&(ConsenterIds) {2, {2, 9}, 10}, slot, &arena.allocator,
									   &error),
				 FB_BLOCK_REFUSED);
	CHECK_STATUS(consenter_ids_require(&(ConsenterIds) {3, {2, 9, 4}, 11}, slot, &arena.allocator,
									   &error),
				 FB_BLOCK_REFUSED);

	CHECK_STATUS(consenter_ids_parse(slot_of(twice, 3, 10), &arena.allocator, &ids, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(consenter_ids_parse(slot_of(zero, 2, 10), &arena.allocator, &ids, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(consenter_ids_parse(slot_of(good, 3, 9), &arena.allocator, &ids, &error),
				 FB_MALFORMED_MESSAGE);
	for (size_t i = 0; i <= FB_RAFT_NODES_MAX; i++)
		many[i] = i + 1;
	CHECK_STATUS(consenter_ids_parse(slot_of(many, FB_RAFT_NODES_MAX + 1, 1000), &arena.allocator,
									 &ids, &error),
				 FB_LIMIT_EXCEEDED);
	/* no metadata of consenters, and no bytes of a slot */
	CHECK_STATUS(block_signature_value(3, FB_BYTES_EMPTY, &arena.allocator, &value, &error), FB_OK);
	CHECK_STATUS(block_signatures_pack(value, NULL, 0, &arena.allocator, &slot, &error), FB_OK);
	CHECK_STATUS(consenter_ids_parse(slot, &arena.allocator, &ids, &error), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(consenter_ids_parse(FB_BYTES_LITERAL("\xff"), &arena.allocator, &ids, &error),
				 FB_MALFORMED_MESSAGE);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_follow());
	CHECK_TEST(test_too_many_changes());
	CHECK_TEST(test_other_consensus());
	CHECK_TEST(test_metadata());
	fb_arena_reset(&arena);
	return check_finish("config/consenters");
}
