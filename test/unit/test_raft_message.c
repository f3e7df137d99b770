/*
 * core/raft/raft_message.c: every message survives encoding and decoding, and all other bytes are
 * refused
 */
#include "unit/check.h"

#include "core/raft/raft.h"

static FbArena arena;

static bool
same_message(const RaftMessage *a, const RaftMessage *b)
{
	bool same =
		a->type == b->type && a->from == b->from && a->to == b->to && a->term == b->term &&
		a->index == b->index && a->log_term == b->log_term && a->commit_index == b->commit_index &&
		a->hint_index == b->hint_index && a->rejected == b->rejected && a->forced == b->forced &&
		a->nonce == b->nonce && a->recovering == b->recovering && a->recovered == b->recovered &&
		a->promised_term == b->promised_term && a->promised_index == b->promised_index &&
		a->voted == b->voted && a->leader == b->leader && a->entries_count == b->entries_count &&
		fb_bytes_equal(a->configuration, b->configuration);

	for (uint32_t i = 0; same && i < a->entries_count; i++)
		same = a->entries[i].term == b->entries[i].term &&
			   a->entries[i].kind == b->entries[i].kind &&
			   fb_bytes_equal(a->entries[i].payload, b->entries[i].payload);
	return same;
}

/* a decoded message must encode to the same bytes: there is only one encoding */
static void
check_canonical(FbBytes bytes)
{
	RaftMessage message;
	FbBytes again;
	FbArena own;

	fb_arena_init(&own);
	if (raft_message_decode(&own.allocator, bytes, &message, NULL) == FB_OK &&
		message.version == RAFT_MESSAGE_VERSION)
	{
		CHECK_STATUS(raft_message_encode(&own.allocator, &message, &again, NULL), FB_OK);
		CHECK(fb_bytes_equal(bytes, again));
	}
	fb_arena_reset(&own);
}

static void
check_message(const RaftMessage *message)
{
	RaftMessage decoded;
	FbBytes bytes;
	uint8_t *changed;

	CHECK_STATUS(raft_message_encode(&arena.allocator, message, &bytes, NULL), FB_OK);
	CHECK_STATUS(raft_message_decode(&arena.allocator, bytes, &decoded, NULL), FB_OK);
	CHECK(same_message(message, &decoded));

	/* truncated anywhere */
	for (size_t size = 0; size < bytes.size; size++)
	{
		/* an exact copy, so that the sanitizer sees a read beyond the end */
		uint8_t *cut = malloc(size > 0 ? size : 1);

		memcpy(cut, bytes.data, size);
		CHECK_STATUS(raft_message_decode(&arena.allocator, fb_bytes(cut, size), &decoded, NULL),
					 FB_MALFORMED_MESSAGE);
		free(cut);
	}
	changed = malloc(bytes.size + 1);
	memcpy(changed, bytes.data, bytes.size);
	changed[bytes.size] = 0;
	CHECK_STATUS(raft_message_decode(&arena.allocator, fb_bytes(changed, bytes.size + 1), &decoded,
									 NULL),
				 FB_MALFORMED_MESSAGE);
	for (size_t i = 0; i < bytes.size; i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			changed[i] ^= (uint8_t) (1 << bit);
			check_canonical(fb_bytes(changed, bytes.size));
			changed[i] ^= (uint8_t) (1 << bit);
		}
	}
	free(changed);
}

/* a message of another version: head bytes changed, bytes appended */
static FbStatus
decode_as(FbBytes bytes, uint8_t version, uint8_t needs, uint8_t type, uint16_t more_flags,
		  size_t more_bytes, RaftMessage *decoded)
{
	uint8_t *changed = fb_allocate(&arena.allocator, bytes.size + more_bytes);

	memcpy(changed, bytes.data, bytes.size);
	memset(changed + bytes.size, 0xA5, more_bytes);
	changed[1] = version;
	changed[2] = needs;
	changed[3] = type;
	changed[4] |= (uint8_t) (more_flags >> 8);
	changed[5] |= (uint8_t) more_flags;
	return raft_message_decode(&arena.allocator, fb_bytes(changed, bytes.size + more_bytes),
							   decoded, NULL);
}

/* messages of a newer and of an older version */
static void
check_versions(const RaftMessage *message)
{
	const uint8_t own = RAFT_MESSAGE_VERSION;
	const uint8_t oldest = 3; /* of the versions that this node understands */
	uint8_t type = (uint8_t) message->type;
	uint8_t needs;
	RaftMessage decoded;
	FbBytes bytes;

	CHECK_STATUS(raft_message_encode(&arena.allocator, message, &bytes, NULL), FB_OK);
	needs = bytes.data[2];
	CHECK(needs >= oldest && needs <= own);
	CHECK_STATUS(decode_as(bytes, own, needs, type, 0, 0, &decoded), FB_OK);
	CHECK(decoded.version == own);

	/* newer: unknown parts that may be ignored are ignored, and the rest is unchanged */
	for (size_t more_bytes = 0; more_bytes < 20; more_bytes++)
	{
		CHECK_STATUS(decode_as(bytes, own + 1, needs, type, 0, more_bytes, &decoded), FB_OK);
		CHECK(decoded.version == own + 1 && same_message(message, &decoded));
	}
	CHECK_STATUS(decode_as(bytes, 255, needs, type, 0xFFC0, 9, &decoded), FB_OK);
	CHECK(decoded.version == 255 && same_message(message, &decoded));

	/* newer, with a part that must not be ignored: dropped, whatever the rest is */
	CHECK_STATUS(decode_as(bytes, own + 1, own + 1, type, 0, 0, &decoded), FB_OTHER_VERSION);
	CHECK_STATUS(decode_as(bytes, own + 1, own + 1, RAFT_MESSAGE_TYPE_MAX + 1, 0, 3, &decoded),
				 FB_OTHER_VERSION);
	CHECK_STATUS(decode_as(bytes, 255, 255, 0, 0xFFFF, 3, &decoded), FB_OTHER_VERSION);

	/* older than the oldest supported version */
	CHECK_STATUS(decode_as(bytes, oldest - 1, oldest - 1, type, 0, 0, &decoded), FB_OTHER_VERSION);
	CHECK_STATUS(decode_as(bytes, 0, 0, type, 0, 0, &decoded), FB_OTHER_VERSION);

	/* in a message of this version nothing may be unknown, and its versions must be consistent */
	CHECK_STATUS(decode_as(bytes, own, needs, type, 0x40, 0, &decoded), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own, needs, type, 0x8000, 0, &decoded), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own, needs, type, 0, 1, &decoded), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own, needs, RAFT_MESSAGE_TYPE_MAX + 1, 0, 0, &decoded),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own + 1, needs, RAFT_MESSAGE_TYPE_MAX + 1, 0, 0, &decoded),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own, own + 1, type, 0, 0, &decoded), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(decode_as(bytes, own, oldest - 1, type, 0, 0, &decoded), FB_MALFORMED_MESSAGE);
}

/* a kind of entry of a newer version: the append that has it requires that version */
static void
check_entry_kinds(const RaftMessage *append)
{
	RaftMessage decoded;
	FbBytes bytes;
	uint8_t *changed;

	CHECK_STATUS(raft_message_encode(&arena.allocator, append, &bytes, NULL), FB_OK);
	changed = fb_allocate(&arena.allocator, bytes.size);
	memcpy(changed, bytes.data, bytes.size);
	/* the first entry's kind: after head, empty configuration, empty chain head, count, term */
	changed[6 + 88 + 4 + 4 + 4 + 8] = RAFT_ENTRY_KIND_MAX + 1;
	changed[1] = changed[2] = RAFT_MESSAGE_VERSION + 1;
	CHECK_STATUS(raft_message_decode(&arena.allocator, fb_bytes(changed, bytes.size), &decoded,
									 NULL),
				 FB_OTHER_VERSION);
	changed[2] = RAFT_MESSAGE_VERSION;
	CHECK_STATUS(raft_message_decode(&arena.allocator, fb_bytes(changed, bytes.size), &decoded,
									 NULL),
				 FB_MALFORMED_MESSAGE);
}

static void
check_refused(RaftMessage message, FbStatus expected)
{
	FbBytes bytes;

	CHECK_STATUS(raft_message_encode(&arena.allocator, &message, &bytes, NULL), expected);
}

int
main(void)
{
	RaftEntry entries[FB_RAFT_ENTRIES_PER_MESSAGE_MAX + 1] = {
		{5, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("one")},
		{5, RAFT_ENTRY_NOOP, FB_BYTES_EMPTY},
		{7, RAFT_ENTRY_CONFIGURATION, FB_BYTES_LITERAL("\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2")},
	};
	RaftMessage messages[] = {
		{.type = RAFT_PRE_VOTE, .from = 1, .to = 2, .term = 8, .index = 10, .log_term = 7},
		{.type = RAFT_PRE_VOTE_RESPONSE, .from = 2, .to = 1, .term = 8, .rejected = true},
		{.type = RAFT_VOTE,
		 .from = 1,
		 .to = 2,
		 .term = 8,
		 .index = 10,
		 .log_term = 7,
		 .forced = true},
		{.type = RAFT_VOTE_RESPONSE, .from = 2, .to = 1, .term = 8},
		{.type = RAFT_APPEND,
		 .from = 1,
		 .to = 2,
		 .term = 8,
		 .index = 10,
		 .log_term = 5,
		 .commit_index = 9,
		 .entries_count = 3,
		 .entries = entries},
		{.type = RAFT_APPEND_RESPONSE,
		 .from = 2,
		 .to = 1,
		 .term = 8,
		 .index = 10,
		 .log_term = 4,
		 .hint_index = 9,
		 .rejected = true},
		{.type = RAFT_HEARTBEAT, .from = 1, .to = 2, .term = 8, .commit_index = 9},
		{.type = RAFT_HEARTBEAT_RESPONSE, .from = 2, .to = 1, .term = 8},
		{.type = RAFT_HEARTBEAT_RESPONSE,
		 .from = 2,
		 .to = 1,
		 .term = 8,
		 .nonce = 77,
		 .recovering = true},
		{.type = RAFT_HEARTBEAT,
		 .from = 1,
		 .to = 2,
		 .term = 8,
		 .index = 12,
		 .commit_index = 9,
		 .nonce = 77,
		 .recovered = true},
		{.type = RAFT_HELLO, .from = 2, .to = 1, .nonce = 77, .recovering = true},
		{.type = RAFT_HELLO_RESPONSE,
		 .from = 1,
		 .to = 2,
		 .term = 8,
		 .index = 12,
		 .log_term = 8,
		 .nonce = 77,
		 .promised_term = 7,
		 .promised_index = 11,
		 .voted = true,
		 .leader = 3},
		{.type = RAFT_SNAPSHOT,
		 .from = 1,
		 .to = 2,
		 .term = 8,
		 .index = 10,
		 .log_term = 7,
		 .configuration = FB_BYTES_LITERAL("any bytes"),
		 .head = FB_BYTES_LITERAL("where the chain stands")},
		{.type = RAFT_APPEND_RESPONSE,
		 .from = 2,
		 .to = 1,
		 .term = 8,
		 .index = 10,
		 .rejected = true,
		 .contradicted = true},
		{.type = RAFT_TIMEOUT_NOW, .from = 1, .to = 2, .term = UINT64_MAX >> 2},
	};
	RaftMessage append = messages[4];
	RaftMessage changed;
	RaftMessage decoded;
	FbBytes bytes;

	fb_arena_init(&arena);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
	{
		check_message(&messages[i]);
		check_versions(&messages[i]);
	}
	check_entry_kinds(&append);

	/* versions rely on this layout */
	CHECK_STATUS(raft_message_encode(&arena.allocator, &messages[2], &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "520303030002"
					 "0000000000000001"
					 "0000000000000002"
					 "0000000000000008"
					 "000000000000000a"
					 "0000000000000007"
					 "0000000000000000"
					 "0000000000000000"
					 "0000000000000000"
					 "0000000000000000"
					 "0000000000000000"
					 "0000000000000000"
					 "00000000"
					 "00000000"
					 "00000000");

	changed = append;
	changed.from = 0;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.term = 0;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.rejected = true;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.log_term = 9;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.log_term = 6; /* the first entry's term is 5 */
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.index = UINT64_MAX - 3;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.commit_index = UINT64_C(1) << 63;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = messages[5];
	CHECK(changed.type == RAFT_APPEND_RESPONSE);
	changed.hint_index = UINT64_C(1) << 63;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed.hint_index = 0;
	changed.contradicted = true;
	changed.rejected = false;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = messages[4];
	changed.contradicted = true;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = messages[4];
	changed.head = FB_BYTES_LITERAL("of no snapshot");
	check_refused(changed, FB_MALFORMED_MESSAGE);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
	{
		if (messages[i].type == RAFT_SNAPSHOT)
			changed = messages[i];
	}
	CHECK(changed.type == RAFT_SNAPSHOT);
	changed.head = fb_bytes(entries, RAFT_HEAD_BYTES_MAX + 1);
	check_refused(changed, FB_LIMIT_EXCEEDED);
	/* a term that signed integers in the database cannot hold */
	changed = messages[sizeof(messages) / sizeof(messages[0]) - 1];
	changed.term++;
	check_refused(changed, FB_MALFORMED_MESSAGE);
	changed = append;
	changed.type = RAFT_MESSAGE_TYPE_MAX + 1;
	check_refused(changed, FB_INVALID_ARGUMENT);
	for (int i = 0; i <= FB_RAFT_ENTRIES_PER_MESSAGE_MAX; i++)
		entries[i] = (RaftEntry) {5, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("x")};
	changed = append;
	changed.entries_count = FB_RAFT_ENTRIES_PER_MESSAGE_MAX;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &changed, &bytes, NULL), FB_OK);
	changed.entries_count++;
	check_refused(changed, FB_LIMIT_EXCEEDED);
	changed = append;
	entries[1] = (RaftEntry) {5, RAFT_ENTRY_NOOP, FB_BYTES_LITERAL("not empty")};
	check_refused(changed, FB_MALFORMED_MESSAGE);
	entries[1] = (RaftEntry) {4, RAFT_ENTRY_DATA, FB_BYTES_EMPTY};
	check_refused(changed, FB_MALFORMED_MESSAGE);
	entries[1] =
		(RaftEntry) {5, RAFT_ENTRY_DATA, {(const uint8_t *) "", (size_t) FB_MESSAGE_BYTES_MAX + 1}};
	check_refused(changed, FB_LIMIT_EXCEEDED);

	/* a small message that claims many entries allocates nothing */
	{
		uint8_t claim[6 + 88 + 12] = {'R', 3, 3, 5, 0, 0};

		claim[13] = claim[21] = claim[29] = 1;
		memset(claim + 102, 0xFF, 4);
		CHECK_STATUS(raft_message_decode(&arena.allocator, fb_bytes(claim, sizeof(claim)), &decoded,
										 NULL),
					 FB_LIMIT_EXCEEDED);
	}

	/* out of memory at every allocation */
	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena poor;
		FbStatus status;

		fb_arena_init(&poor);
		poor.fail_at = fail_at;
		status = raft_message_encode(&poor.allocator, &messages[8], &bytes, NULL);
		if (status != FB_OK)
			CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		fb_arena_reset(&poor);
		if (status == FB_OK)
			break;
	}
	entries[1] = (RaftEntry) {5, RAFT_ENTRY_DATA, FB_BYTES_EMPTY};
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, NULL), FB_OK);
	{
		FbArena poor;

		fb_arena_init(&poor);
		poor.fail_at = 1;
		CHECK_STATUS(raft_message_decode(&poor.allocator, bytes, &decoded, NULL), FB_OUT_OF_MEMORY);
		fb_arena_reset(&poor);
	}
	fb_arena_reset(&arena);
	return check_finish("raft/message");
}
