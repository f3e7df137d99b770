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

/* ---- what an orderer accepts ---- */

#define TIME_VALID 1800000000 /* 2027: the vectors are valid for ten years */
#define TIME_EXPIRED 3000000000

static ConfigBundle *genesis;

/* the configuration of the genesis block with other consenters of its list */
static ConfigBundle
bundle_with(const char *digits)
{
	ConfigConsenter *consenters =
		fb_allocate_array(&arena.allocator, strlen(digits), sizeof(ConfigConsenter));
	ConfigBundle bundle = *genesis;

	for (size_t i = 0; digits[i] != '\0'; i++)
		consenters[i] = genesis->consenters[digits[i] - '1'];
	bundle.consenters = consenters;
	bundle.consenters_count = strlen(digits);
	return bundle;
}

static FbStatus
check_change(const char *current, const char *next, const ActiveConsenters *active, int64_t now)
{
	ConfigBundle old_bundle = bundle_with(current);
	ConfigBundle new_bundle = bundle_with(next);
	ConsenterIds ids;

	consenter_ids_first(old_bundle.consenters_count, &ids);
	return config_check_consenters(&old_bundle, &ids, &new_bundle, active, now, &error);
}

static void
test_rules(void)
{
	FbBytes block = check_read_file("test/vectors/blocks/0.block");
	FbBytes foreign = check_read_file(
		"test/vectors/crypto/peerOrganizations/org1.example.com/peers/peer0.org1.example.com/tls/server.crt");
	ConfigBundle other;
	ConfigConsenter consenters[3];
	ConsenterIds ids;

	CHECK_STATUS(config_bundle_from_block(&arena.allocator, block, &genesis, &error), FB_OK);
	if (genesis == NULL)
		exit(2);
	CHECK_STATUS(check_change("12", "123", NULL, TIME_VALID), FB_OK);
	CHECK_STATUS(check_change("123", "13", NULL, TIME_VALID), FB_OK);
	CHECK_STATUS(check_change("12", "13", NULL, TIME_VALID), FB_OK);
	CHECK_STATUS(check_change("1", "23", NULL, TIME_VALID), FB_INVALID_CONFIG);
	/* only a new certificate must be valid now */
	CHECK_STATUS(check_change("12", "123", NULL, TIME_EXPIRED), FB_CERTIFICATE_EXPIRED);
	CHECK_STATUS(check_change("12", "32", NULL, TIME_EXPIRED), FB_CERTIFICATE_EXPIRED);
	CHECK_STATUS(check_change("123", "21", NULL, TIME_EXPIRED), FB_OK);

	/* a certificate of another organization's authority, of a consenter that does not change too */
	other = bundle_with("123");
	memcpy(consenters, other.consenters, sizeof(consenters));
	other.consenters = consenters;
	consenters[1].server_tls_certificate = foreign;
	consenter_ids_first(3, &ids);
	CHECK_STATUS(config_check_consenters(genesis, &ids, &other, NULL, TIME_VALID, &error),
				 FB_INVALID_CONFIG);
	CHECK_TEXT(
		error.message,
		"TLS server certificate of consenter localhost:7250 is not issued by an orderer organization of the channel");
	config_bundle_destroy(genesis);
	free((void *) block.data);
	free((void *) foreign.data);
}

/* membership_test.go, TestQuorumCheck, and more */
static void
test_quorum(void)
{
	static const struct
	{
		const char *current;
		const char *next;
		ActiveConsenters active;
		FbStatus expected;
	} table[] = {
		/* one is added */
		{"1", "12", {1, {1}}, FB_OK},
		{"12", "123", {2, {1, 2}}, FB_OK},
		{"12", "123", {1, {1}}, FB_INVALID_CONFIG},
		/* one is removed */
		{"123", "12", {3, {1, 2, 3}}, FB_OK},
		{"123", "12", {2, {1, 2}}, FB_OK},
		{"123", "12", {2, {1, 3}}, FB_INVALID_CONFIG},
		{"12", "1", {1, {1}}, FB_OK},
		{"12", "1", {1, {2}}, FB_INVALID_CONFIG},
		/* another order is no change, whoever is active */
		{"123", "321", {1, {1}}, FB_OK},
	};
	FbBytes block = check_read_file("test/vectors/blocks/0.block");

	CHECK_STATUS(config_bundle_from_block(&arena.allocator, block, &genesis, &error), FB_OK);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!CHECK_STATUS(check_change(table[i].current, table[i].next, &table[i].active,
									   TIME_VALID),
						  table[i].expected))
			fprintf(stderr, "    %zu: %s -> %s\n", i, table[i].current, table[i].next);
	CHECK_STATUS(check_change("123", "12", &(ActiveConsenters) {1, {1}}, TIME_VALID),
				 FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "too few consenters are active for this change");
	CHECK_TEXT(
		error.detail,
		"Of the 2 consenters after it, 1 are active without the one that changes; a leader needs 2.");
	config_bundle_destroy(genesis);
	free((void *) block.data);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_follow());
	CHECK_TEST(test_too_many_changes());
	CHECK_TEST(test_other_consensus());
	CHECK_TEST(test_metadata());
	CHECK_TEST(test_rules());
	CHECK_TEST(test_quorum());
	fb_arena_reset(&arena);
	return check_finish("config/consenters");
}
