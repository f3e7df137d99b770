/*
 * core/raft: what it refuses at its limits: arguments of START, bytes of configurations, messages
 * that cannot be, full logs, more nodes than there may be.
 */
#include "unit/raft_node.h"

/* ---- START ---- */

static void
check_start(const RaftEvent *event, FbStatus expected)
{
	Raft *raft;

	now_ms = 1000;
	CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
	CHECK_STATUS(step(raft, *event), expected);
}

static void
test_start_arguments(void)
{
	RaftEvent good = start_event(1, 3);
	RaftTrailEntry no_term[] = {{0, 1}};
	uint8_t memory[RAFT_MEMORY_BYTES_MAX] = {FB_RAFT_NODES_MAX + 1};
	RaftEvent event;
	Raft *raft;

	check_start(&good, FB_OK);
	event = good;
	event.start.heartbeat_ms = 0;
	check_start(&event, FB_INVALID_ARGUMENT);
	event = good;
	event.start.in_flight_max = 0;
	check_start(&event, FB_INVALID_ARGUMENT);
	event = good;
	event.start.message_bytes_max = 0;
	check_start(&event, FB_INVALID_ARGUMENT);
	event = good;
	event.start.entries_count = FB_RAFT_TRAIL_ENTRIES_MAX + 1;
	check_start(&event, FB_CORRUPTED);
	event = good;
	event.start.vote = 1;
	check_start(&event, FB_CORRUPTED);
	event = good;
	event.start.term = 1;
	event.start.entries = no_term;
	event.start.entries_count = 1;
	check_start(&event, FB_CORRUPTED);
	event = good;
	event.start.base_term = 1;
	check_start(&event, FB_CORRUPTED);
	event = good;
	event.start.memory = fb_bytes(memory, 1 + 25 * (FB_RAFT_NODES_MAX + 1));
	check_start(&event, FB_CORRUPTED);
	event = good;
	event.start.configuration.voters_count = FB_RAFT_NODES_MAX + 1;
	check_start(&event, FB_INVALID_ARGUMENT);
	event = good;
	event.start.configuration.voters[1] = 1;
	check_start(&event, FB_INVALID_ARGUMENT);

	/* an event that does not exist */
	raft = started(&good);
	CHECK_STATUS(step(raft, (RaftEvent) {.type = 99}), FB_INVALID_ARGUMENT);
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
										 .snapshot_installed = {9}}),
				 FB_OK);
	CHECK(!update.log_start_changed);
}

/* ---- bytes of configurations ---- */

static void
test_configuration_bytes(void)
{
	RaftLogConfiguration two[2] = {{9, {3, {1, 2, 3}}}, {4, {2, {1, 2}}}};
	RaftLogConfiguration decoded[2];
	RaftConfiguration one;
	uint8_t bytes[RAFT_CONFIGURATION_STATE_BYTES_MAX + 1] = {0};
	size_t size = membership_encode_state(two, 2, bytes);
	uint32_t count;

	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size), decoded, &count, &error), FB_OK);
	CHECK(count == 2 && decoded[0].index == 9 && decoded[1].configuration.voters_count == 2);
	for (size_t cut = 0; cut < size; cut++)
		CHECK_STATUS(membership_decode_state(fb_bytes(bytes, cut), decoded, &count, &error),
					 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size + 1), decoded, &count, &error),
				 FB_MALFORMED_MESSAGE);
	bytes[0] = 3;
	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size), decoded, &count, &error),
				 FB_MALFORMED_MESSAGE);
	bytes[0] = 0;
	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size), decoded, &count, &error),
				 FB_MALFORMED_MESSAGE);
	/* the one in force comes first, and is the later one */
	two[1].index = 9;
	size = membership_encode_state(two, 2, bytes);
	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size), decoded, &count, &error),
				 FB_MALFORMED_MESSAGE);
	/* nodes ascend, and 0 is none */
	two[0].configuration.voters[1] = 1;
	size = membership_encode_state(two, 1, bytes);
	CHECK_STATUS(membership_decode_state(fb_bytes(bytes, size), decoded, &count, &error),
				 FB_MALFORMED_MESSAGE);
	two[0].configuration.voters[0] = 0;
	size = membership_encode_one(&two[0].configuration, bytes);
	CHECK_STATUS(raft_configuration_decode(fb_bytes(bytes, size), &one, &error),
				 FB_MALFORMED_MESSAGE);
	size = membership_encode_one(&two[1].configuration, bytes);
	CHECK_STATUS(raft_configuration_decode(fb_bytes(bytes, size), &one, &error), FB_OK);
	CHECK_STATUS(raft_configuration_decode(fb_bytes(bytes, size + 1), &one, &error),
				 FB_MALFORMED_MESSAGE);
	bytes[0] = FB_RAFT_NODES_MAX + 1;
	CHECK_STATUS(raft_configuration_decode(fb_bytes(bytes, sizeof(bytes)), &one, &error),
				 FB_LIMIT_EXCEEDED);

	one.voters_count = 0;
	for (uint64_t node = 1; node <= FB_RAFT_NODES_MAX; node++)
		CHECK(raft_configuration_add(&one, node));
	CHECK(!raft_configuration_add(&one, FB_RAFT_NODES_MAX + 1));
}

/* ---- messages ---- */

static void
test_messages(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);
	RaftEntry entries[FB_RAFT_ENTRIES_PER_MESSAGE_MAX + 1] = {{1, RAFT_ENTRY_DATA}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .term = 1,
						  .index = 1,
						  .log_term = 1,
						  .entries_count = 1,
						  .entries = entries};
	RaftLogConfiguration two[2] = {{9, {3, {1, 2, 3}}}, {4, {2, {1, 2}}}};
	uint8_t state[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	RaftMessage snapshot =
		{.type = RAFT_SNAPSHOT, .from = 1, .to = 2, .term = 1, .index = 9, .log_term = 1};
	FbBytes bytes;

	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT, 2, 1), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT, 0, 1), FB_OK);
	CHECK(update.leader == 0 && update.messages_count == 0);
	/* a stranger's answer to a question */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO_RESPONSE,
											  .from = 9,
											  .nonce = raft->nonce,
											  .promised_term = 9}),
				 FB_OK);
	CHECK(update.participation == RAFT_VOTING);
	entries[0].term = 0;
	CHECK_STATUS(receive(raft, append), FB_MALFORMED_MESSAGE);
	entries[0].term = 2;
	CHECK_STATUS(receive(raft, append), FB_MALFORMED_MESSAGE);
	entries[0].term = 1;
	entries[0].payload = fb_bytes("", (size_t) FB_MESSAGE_BYTES_MAX + 1);
	CHECK_STATUS(receive(raft, append), FB_LIMIT_EXCEEDED);
	append.entries_count = FB_RAFT_ENTRIES_PER_MESSAGE_MAX + 1;
	CHECK_STATUS(receive(raft, append), FB_LIMIT_EXCEEDED);
	CHECK(update.last_index == 1);
	snapshot.configuration = fb_bytes(state, membership_encode_state(two, 2, state));
	CHECK_STATUS(receive(raft, snapshot), FB_MALFORMED_MESSAGE);
	CHECK(update.fetch_index == 0);

	/* none of these can be encoded either */
	append.to = 2;
	append.entries_count = 1;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error), FB_LIMIT_EXCEEDED);
	entries[0].payload.size = FB_MESSAGE_BYTES_MAX;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error), FB_LIMIT_EXCEEDED);
	entries[0].payload.size = 0;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error), FB_OK);
	entries[0].term = 2;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error),
				 FB_MALFORMED_MESSAGE);
	append.type = 0;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error),
				 FB_INVALID_ARGUMENT);
	append.type = RAFT_MESSAGE_TYPE_MAX + 1;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &append, &bytes, &error),
				 FB_INVALID_ARGUMENT);
	snapshot.configuration.size = RAFT_CONFIGURATION_STATE_BYTES_MAX + 1;
	CHECK_STATUS(raft_message_encode(&arena.allocator, &snapshot, &bytes, &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(raft_message_decode(&arena.allocator,
									 fb_bytes("", (size_t) FB_MESSAGE_BYTES_MAX + 1), &append,
									 &error),
				 FB_LIMIT_EXCEEDED);
}

/* ---- leaders ---- */

/* the only voter, with as many entries as fit but `space` */
static Raft *
full_leader(size_t space)
{
	size_t count = FB_RAFT_TRAIL_ENTRIES_MAX - space;
	RaftTrailEntry *trail = calloc(count, sizeof(RaftTrailEntry));
	RaftEvent event = start_event(1, 1);
	Raft *raft;

	for (size_t i = 0; i < count; i++)
		trail[i] = (RaftTrailEntry) {1, 1};
	event.start.entries = trail;
	event.start.entries_count = count;
	event.start.term = 1;
	raft = started(&event);
	free(trail);
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK(update.role == RAFT_LEADER && update.last_index == count + 1);
	CHECK_STATUS(persisted(raft, count + 1, 2), FB_OK);
	return raft;
}

static void
test_leader_bounds(void)
{
	Raft *raft = full_leader(1);
	RaftEvent transfer = {.type = RAFT_EVENT_TRANSFER};
	RaftStatus status;

	CHECK_STATUS(submit(raft, 1), FB_BUSY);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {2, {1, 2}}), FB_BUSY);
	/* there is no other voter, or it is this one, or it is none */
	CHECK_STATUS(step(raft, transfer), FB_INVALID_ARGUMENT);
	raft = ready_leader();
	transfer.transfer.to = 1;
	CHECK_STATUS(step(raft, transfer), FB_INVALID_ARGUMENT);
	transfer.transfer.to = 4;
	CHECK_STATUS(step(raft, transfer), FB_INVALID_ARGUMENT);
	/* an entry that is not there is not durable */
	CHECK_STATUS(persisted(raft, 9, 3), FB_OK);
	CHECK(raft->persisted_index == 3);
	raft_status(raft, &status);
	CHECK(!raft_status_keeps_quorum(&status, &(RaftConfiguration) {0}));
	CHECK(!raft_status_keeps_quorum(&status, &(RaftConfiguration) {3, {1, 4, 5}}));
	/* a leader that is told to recover leads no longer */
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_RECOVER, .recover = {true}}), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.participation == RAFT_RECOVERING &&
		  update.persist_hard_state);
	for (int i = 0; i < 2; i++)
	{
		CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_RECOVER, .recover = {false}}),
					 FB_OK);
		CHECK(update.participation == RAFT_VOTING);
	}
	/* a caller may do without the words of an error */
	raft = ready_leader();
	{
		RaftMessage wrong = {.type = RAFT_APPEND_RESPONSE,
							 .from = 2,
							 .to = 1,
							 .term = 3,
							 .index = 99};
		RaftEvent event = {.type = RAFT_EVENT_RECEIVE, .receive = &wrong};

		CHECK_STATUS(raft_step(raft, &event, &update, NULL), FB_CORRUPTED);
		CHECK(update.evidence.kind == RAFT_EVIDENCE_CONFIRMATION);
	}
}

/* what is remembered of nodes has a limit: the oldest goes */
static void
test_promises(void)
{
	Raft *raft = ready_leader();
	uint8_t memory[RAFT_MEMORY_BYTES_MAX];

	raft->promises_count = 0;
	for (uint64_t id = 2; id <= FB_RAFT_NODES_MAX + 1; id++)
	{
		raft->term = id == 7 ? 4 : 5;
		recovery_note_match(raft, id, id);
	}
	CHECK(raft->promises_count == FB_RAFT_NODES_MAX);
	recovery_note_match(raft, 90, 1);
	CHECK(raft->promises_count == FB_RAFT_NODES_MAX && raft->promises[5].id == 90 &&
		  raft->promises[5].index == 1);
	CHECK(recovery_encode_memory(raft, memory) == RAFT_MEMORY_BYTES_MAX);
}

/* the entry for which blocks were fetched may have come as an entry meanwhile */
static void
test_fetched_and_appended(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};

	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_SNAPSHOT,
											  .from = 1,
											  .term = 1,
											  .index = 2,
											  .log_term = 1,
											  .configuration = three_voters()}),
				 FB_OK);
	CHECK(update.fetch_index == 2);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 1,
											  .term = 1,
											  .index = 1,
											  .log_term = 1,
											  .entries_count = 2,
											  .entries = entries}),
				 FB_OK);
	CHECK(update.last_index == 3 && update.commit_index == 0);
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
										 .snapshot_installed = {2}}),
				 FB_OK);
	CHECK(update.commit_index == 2 && update.last_index == 3 && !update.log_reset &&
		  update.fetch_index == 0);
}

/* names of what does not exist, for messages about what a table or another node says */
static void
test_names(void)
{
	CHECK(strcmp(raft_role_name((RaftRole) 99), raft_role_name(RAFT_LEADER)) != 0);
	CHECK(strcmp(raft_message_type_name((RaftMessageType) 99),
				 raft_message_type_name(RAFT_APPEND)) != 0);
	CHECK(strcmp(raft_evidence_name((RaftEvidenceKind) 99),
				 raft_evidence_name(RAFT_EVIDENCE_VOTE)) != 0);
	CHECK(strcmp(raft_participation_name((RaftParticipation) 99),
				 raft_participation_name(RAFT_VOTING)) != 0);
	CHECK(strcmp(raft_progress_state_name((RaftProgressState) 99),
				 raft_progress_state_name(RAFT_PROBE)) != 0);
	CHECK(strcmp(raft_progress_state_name(RAFT_CATCH_UP), "catch_up") == 0);
	CHECK(strcmp(raft_participation_name(RAFT_ASKING), "asking") == 0);
	CHECK(strcmp(raft_participation_name(RAFT_RECOVERING), "recovering") == 0);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_start_arguments());
	CHECK_TEST(test_configuration_bytes());
	CHECK_TEST(test_messages());
	CHECK_TEST(test_leader_bounds());
	CHECK_TEST(test_promises());
	CHECK_TEST(test_fetched_and_appended());
	CHECK_TEST(test_names());
	fb_arena_reset(&arena);
	return check_finish("raft bounds");
}
