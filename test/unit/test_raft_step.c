/* raft: start, and a leader's and a follower's answers to events */
#include "unit/raft_steps.h"

static void
test_start(void)
{
	RaftTrailEntry entries[] = {{1, 10}, {3, 10}, {2, 10}};
	RaftEvent event = start_event(0, 3);
	Raft *raft;

	started(&event, FB_INVALID_ARGUMENT);
	event = start_event(1, 3);
	event.start.heartbeat_ms = 1000;
	started(&event, FB_INVALID_ARGUMENT);
	event = start_event(1, 3);
	event.start.in_flight_max = RAFT_IN_FLIGHT_MAX + 1;
	started(&event, FB_INVALID_ARGUMENT);
	event = start_event(1, 3);
	event.start.message_bytes_max = FB_RAFT_BYTES_PER_MESSAGE_MAX + 1;
	started(&event, FB_INVALID_ARGUMENT);
	event = start_event(1, 3);
	event.start.entries = entries;
	event.start.entries_count = 3;
	event.start.term = 5;
	started(&event, FB_CORRUPTED); /* terms decrease */
	event.start.entries_count = 2;
	event.start.term = 2;
	started(&event, FB_CORRUPTED); /* an entry of a later term */
	event.start.term = 3;
	event.start.commit_index = 3;
	started(&event, FB_CORRUPTED); /* committed beyond the end */
	event.start.commit_index = 0;
	event.start.base_index = 5;
	started(&event, FB_CORRUPTED); /* a base without a term */
	event.start.base_term = 1;
	event.start.configuration_state = FB_BYTES_LITERAL("\1");
	started(&event, FB_CORRUPTED);
	event.start.configuration_state = FB_BYTES_LITERAL("\2\0\0\0\0\0\0\0\x8\1\0\0\0\0\0\0\0\1"
													   "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1");
	started(&event, FB_CORRUPTED); /* a configuration beyond the end */
	event.start.configuration_state = FB_BYTES_EMPTY;

	/* a ledger made from fetched blocks does not commit entries of this log */
	event.start.applied_index = 100;
	raft = started(&event, FB_OK);
	CHECK(update.commit_index == 5 && update.last_index == 7 && update.persist_hard_state);
	CHECK(raft_entry_term(raft, 5) == 1 && raft_entry_term(raft, 6) == 1 &&
		  raft_entry_term(raft, 7) == 3);
	CHECK(raft_entry_term(raft, 4) == 0 && raft_entry_term(raft, 8) == 0);
	CHECK_STATUS(raft_step(raft, &event, &update, &error), FB_INVALID_ARGUMENT);
	CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
	CHECK_STATUS(timeout(raft, 1), FB_INVALID_ARGUMENT);
}

/* a single voter leads at once; a node that is not a voter waits for ever */
static void
test_single_voter(void)
{
	RaftEvent event = start_event(0, 3);
	RaftEvent configure;
	Raft *raft;

	event = start_event(1, 1);
	raft = started(&event, FB_OK);
	CHECK(update.deadline_ms == 1000);
	CHECK_STATUS(timeout(raft, 1000), FB_OK);
	CHECK(update.role == RAFT_LEADER && update.persist_hard_state && update.entries.count == 1 &&
		  update.commit_index == 0);
	/*
	 * no change of members before an entry of the own term is committed (the flaw of the thesis'
	 * first version)
	 */
	configure = (RaftEvent) {.type = RAFT_EVENT_CONFIGURE, .configure = {2, {1, 2}}};
	CHECK_STATUS(raft_step(raft, &configure, &update, &error), FB_BUSY);
	CHECK_STATUS(persisted(raft, 1, 1), FB_OK);
	CHECK(update.commit_index == 1);
	CHECK_STATUS(raft_step(raft, &configure, &update, &error), FB_OK);
	CHECK(update.configuration_changed && update.persist_hard_state &&
		  update.entries.kind == RAFT_ENTRY_CONFIGURATION);
	configure.configure = (RaftConfiguration) {3, {1, 2, 3}};
	CHECK_STATUS(raft_step(raft, &configure, &update, &error), FB_BUSY);
	event = start_event(9, 3);
	started(&event, FB_OK);
	CHECK(update.deadline_ms == UINT64_MAX);
}

static void
test_leader(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);
	RaftStatus status;

	CHECK_STATUS(submit(raft, 1, 10), FB_NO_LEADER);
	raft = leader_of_three(2, 1000);
	CHECK_STATUS(submit(raft, 0, 10), FB_INVALID_ARGUMENT);
	CHECK_STATUS(submit(raft, RAFT_SUBMIT_MAX + 1, 10), FB_LIMIT_EXCEEDED);
	CHECK_STATUS(submit(raft, 1, FB_MESSAGE_BYTES_MAX), FB_LIMIT_EXCEEDED);

	/* 400 bytes each, 1000 per message, two messages in flight per follower */
	CHECK_STATUS(submit(raft, 7, 400), FB_OK);
	CHECK(update.entries.first_index == 2 && update.entries.count == 7 &&
		  update.entries.source == RAFT_FROM_SUBMIT);
	CHECK(update.messages_count == 4);
	for (uint32_t i = 0; i < update.messages_count; i++)
		CHECK(update.messages[i].entries_count == 2 && update.messages[i].entries[1].term == 1);
	raft_status(raft, &status);
	CHECK(status.followers_count == 2 && status.followers[0].state == RAFT_PIPELINE &&
		  status.followers[0].in_flight_count == 2);
	CHECK(status.followers[0].match_index == 1 && status.followers[0].next_index == 6);
	/* one answer frees one slot */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 3}),
				 FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].to == 2 &&
		  update.messages[0].index == 5 && update.messages[0].entries_count == 2);
	/* a repeated answer frees nothing */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 3}),
				 FB_OK);
	CHECK(update.messages_count == 0);
	CHECK_STATUS(persisted(raft, 8, 1), FB_OK);
	CHECK(update.commit_index == 3);
}

/* an index that no follower can have confirmed, the messages of another leader, endless terms */
static void
test_messages_to_leader(void)
{
	Raft *raft = leader_of_three(2, 1000);

	/* an index that no follower can have confirmed */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 99}),
				 FB_CORRUPTED);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1}),
				 FB_CORRUPTED);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_HEARTBEAT, .from = 2, .to = 7, .term = 9}),
				 FB_OK);
	CHECK(update.term == 1);
	/* a term that would leave none for later elections */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 2,
											  .to = 1,
											  .term = (UINT64_C(1) << 32) + 2}),
				 FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE,
											  .from = 2,
											  .to = 1,
											  .term = UINT64_MAX,
											  .forced = true}),
				 FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = UINT64_MAX}),
				 FB_OK);
	CHECK(update.term == 1 && update.role == RAFT_LEADER && !update.persist_hard_state);

	/* time does not go backwards */
	CHECK(timeout(raft, 1) == FB_OK && update.messages_count == 0);
}

static void
test_quorum_of_next(void)
{
	Raft *raft = leader_of_three(2, 1000);
	RaftStatus status;
	RaftConfiguration next = {0};

	/* 2 and 3 have answered, 4 never */
	raft_status(raft, &status);
	next = status.configuration;
	CHECK(raft_configuration_add(&next, 4) && !raft_configuration_add(&next, 4) &&
		  !raft_configuration_add(&next, 0));
	CHECK(raft_status_keeps_quorum(&status, &next));
	status.followers[0].active = false;
	CHECK(!raft_status_keeps_quorum(&status, &next));
	CHECK(raft_configuration_remove(&next, 2) && !raft_configuration_remove(&next, 2));
	CHECK(raft_status_keeps_quorum(&status, &next));
}

/*
 * 2 followers, 64 messages each, every entry larger than a message and so alone: one update
 * cannot hold all of them, the next one continues at once.
 */
static void
test_full_update(void)
{
	Raft *raft = leader_of_three(RAFT_IN_FLIGHT_MAX, 1);

	CHECK_STATUS(submit(raft, 100, 5), FB_OK);
	CHECK(update.messages_count == RAFT_UPDATE_APPENDS_MAX &&
		  update.messages[0].entries_count == 1 && update.deadline_ms <= raft->now_ms);
	CHECK_STATUS(timeout(raft, 0), FB_OK);
	CHECK(update.messages_count == RAFT_UPDATE_APPENDS_MAX && update.messages[0].to == 3);
	CHECK_STATUS(timeout(raft, 0), FB_OK);
	CHECK(update.messages_count == 0 && update.deadline_ms > raft->now_ms);
}

static void
test_follower(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftEntry others[] = {{2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 1,
						  .commit_index = 1,
						  .entries_count = 2,
						  .entries = entries};
	RaftMessage conflict =
		{.type = RAFT_APPEND, .from = 3, .to = 2, .term = 2, .entries_count = 1, .entries = others};

	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 2 && update.entries.source == RAFT_FROM_MESSAGE &&
		  update.entries.first_position == 0);
	CHECK(update.commit_index == 1 && update.apply_index == 0 && update.leader == 1);
	CHECK(update.messages_count == 1 && update.messages[0].index == 2 && !update.messages[0].early);
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 0 &&
		  update.messages[0].index == 1); /* older than the commit index: answered with that */
	/* while the leader is alive, no votes and no new term */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE,
											  .from = 3,
											  .to = 2,
											  .term = 7,
											  .index = 9,
											  .log_term = 6}),
				 FB_OK);
	CHECK(update.term == 1 && update.messages_count == 0);
	/*
	 * Two leaders in a term, a leader without a committed entry, a log that lost confirmed entries:
	 * all are refused, nothing changes.
	 */
	append.from = 3;
	CHECK_STATUS(receive(raft, append), FB_CORRUPTED);
	CHECK_STATUS(receive(raft, conflict), FB_OK); /* below the commit index: answered with that */
	CHECK(update.truncate_from_index == 0 && update.messages[0].index == 1);
	conflict.index = 1;
	conflict.log_term = 1;
	CHECK_STATUS(receive(raft, conflict), FB_OK);
	CHECK(update.truncate_from_index == 2 && update.entries.count == 1 &&
		  update.entries.first_index == 2 && update.last_index == 2);
}

/* messages of a leader that must not change anything */
static void
test_follower_checks(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftEntry others[] = {{2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	RaftEntry bad[] = {{1, RAFT_ENTRY_CONFIGURATION, FB_BYTES_LITERAL("\1")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 1,
						  .commit_index = 1,
						  .entries_count = 2,
						  .entries = entries};
	RaftMessage conflict = {.type = RAFT_APPEND,
							.from = 3,
							.to = 2,
							.term = 2,
							.index = 1,
							.log_term = 1,
							.entries_count = 1,
							.entries = others};

	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK_STATUS(receive(raft, conflict), FB_OK);
	/*
	 * An empty append proves equality up to its position only: the entries after it may be another
	 * leader's, whatever the leader has committed.
	 */
	append = (RaftMessage) {.type = RAFT_APPEND,
							.from = 1,
							.to = 2,
							.term = 3,
							.index = 1,
							.log_term = 1,
							.commit_index = 9};
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.commit_index == 1 && update.last_index == 2);
	conflict.term = 4;
	conflict.entries = bad;
	CHECK_STATUS(receive(raft, conflict), FB_MALFORMED_MESSAGE);
	CHECK(update.term == 3);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .commit_index = 50}),
				 FB_CORRUPTED);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_SNAPSHOT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .index = 9,
											  .log_term = 2}),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = 77, .from = 1, .to = 2, .term = 3}),
				 FB_MALFORMED_MESSAGE);
	/* an old leader gets the present term */
	append.term = 1;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].rejected &&
		  update.messages[0].term == 3);
}

/*
 * entries that a leader replaces are no longer on disk, even if the report of their writing arrives
 * later
 */
static void
test_truncation(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);
	RaftEntry first[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						 {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftEntry second[] = {{2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")},
						  {3, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("d")}};
	RaftMessage append =
		{.type = RAFT_APPEND, .from = 1, .to = 2, .term = 1, .entries_count = 2, .entries = first};

	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.last_term == 1 && raft->persisted_index == 0);
	CHECK_STATUS(persisted(raft, 2, 1), FB_OK);
	CHECK(raft->persisted_index == 2);
	append = (RaftMessage) {.type = RAFT_APPEND,
							.from = 3,
							.to = 2,
							.term = 3,
							.index = 1,
							.log_term = 1,
							.commit_index = 3,
							.entries_count = 2,
							.entries = second};
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.truncate_from_index == 2 && update.entries.first_index == 2 &&
		  update.entries.last_term == 3);
	CHECK(raft->persisted_index == 1 && update.commit_index == 3 && update.apply_index == 1);
	CHECK_STATUS(persisted(raft, 2, 1), FB_OK);
	CHECK(raft->persisted_index == 1 && update.apply_index == 1);
	CHECK_STATUS(persisted(raft, 2, 2), FB_OK);
	CHECK(raft->persisted_index == 2 && update.apply_index == 2);
	CHECK_STATUS(persisted(raft, 3, 3), FB_OK);
	CHECK(update.apply_index == 3);
}

/* a full log accepts as many entries as fit, confirms only those, and does not start an election */
static void
test_full_log(void)
{
	size_t count = FB_RAFT_TRAIL_ENTRIES_MAX - 1;
	RaftTrailEntry *trail = calloc(count, sizeof(RaftTrailEntry));
	RaftEvent event = start_event(2, 3);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 1,
						  .index = count,
						  .log_term = 1,
						  .commit_index = count + 3,
						  .entries_count = 3,
						  .entries = entries};
	Raft *raft;

	for (size_t i = 0; i < count; i++)
		trail[i] = (RaftTrailEntry) {1, 1};
	event.start.entries = trail;
	event.start.entries_count = count;
	event.start.term = 1;
	raft = started(&event, FB_OK);
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 1 && update.last_index == count + 1 &&
		  update.commit_index == count + 1);
	CHECK(update.messages_count == 1 && !update.messages[0].rejected &&
		  update.messages[0].index == count + 1);
	append.index = count + 1;
	append.entries_count = 2;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 0 && update.messages[0].index == count + 1 &&
		  update.commit_index == count + 1);
	/* the leader is silent */
	CHECK_STATUS(timeout(raft, update.deadline_ms), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.messages_count == 0 &&
		  update.deadline_ms > raft->now_ms);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_TIMEOUT_NOW, .from = 1, .to = 2, .term = 1}),
				 FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.term == 1 && update.messages_count == 0);
	free(trail);
}

/* Uncommitted entries fill the log of a follower only up to a limit; committed ones always fit. */
static void
test_uncommitted_limit(void)
{
	size_t count = FB_RAFT_UNCOMMITTED_ENTRIES_MAX - 1;
	RaftTrailEntry *trail = calloc(count, sizeof(RaftTrailEntry));
	RaftEvent event = start_event(2, 3);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 1,
						  .index = count,
						  .log_term = 1,
						  .entries_count = 2,
						  .entries = entries};
	Raft *raft;

	for (size_t i = 0; i < count; i++)
		trail[i] = (RaftTrailEntry) {1, 1};
	event.start.entries = trail;
	event.start.entries_count = count;
	event.start.term = 1;
	raft = started(&event, FB_OK);
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 1 && update.messages[0].index == count + 1);
	append.index = count + 1;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 0 && !update.messages[0].rejected &&
		  update.messages[0].index == count + 1);
	append.commit_index = 1;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 1 && update.commit_index == 1);
	append.index = count + 2;
	append.commit_index = count + 2;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 2 && update.commit_index == count + 2);

	/* the limit of bytes */
	trail[0] = trail[1] = trail[2] =
		(RaftTrailEntry) {1, (uint32_t) (FB_RAFT_UNCOMMITTED_BYTES_MAX / 3)};
	event.start.entries_count = 3;
	raft = started(&event, FB_OK);
	append.index = 3;
	append.commit_index = 0;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 1);
	free(trail);
}

/* a host that was late itself does not declare its followers dead at once */
static void
test_late_host(void)
{
	Raft *raft = leader_of_three(2, 1000);

	CHECK_STATUS(timeout(raft, 60000), FB_OK);
	CHECK(update.role == RAFT_LEADER);
	CHECK_STATUS(timeout(raft, 60100), FB_OK);
	CHECK(update.role == RAFT_LEADER);
	CHECK_STATUS(timeout(raft, 60600), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.leader == 0);
}

/*
 * Entries from which the ledger was made are committed, and cannot be truncated; a log without them
 * does not start.
 */
static void
test_applied_at_start(void)
{
	RaftTrailEntry trail[] = {{1, 1}, {1, 1}, {2, 1}, {2, 1}};
	RaftEntry others[] = {{3, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	RaftMessage conflict = {.type = RAFT_APPEND,
							.from = 1,
							.to = 2,
							.term = 3,
							.index = 2,
							.log_term = 1,
							.entries_count = 1,
							.entries = others};
	RaftEvent event = start_event(2, 3);
	Raft *raft;

	event.start.entries = trail;
	event.start.entries_count = 4;
	event.start.term = 2;
	event.start.applied_index = 3;
	raft = started(&event, FB_OK);
	CHECK(update.commit_index == 0); /* made from blocks of another node */
	CHECK_STATUS(receive(raft, conflict), FB_OK);
	CHECK(update.truncate_from_index == 3);
	event.start.applied_term = 2;
	raft = started(&event, FB_OK);
	CHECK(update.commit_index == 3 && update.apply_index == 3);
	CHECK_STATUS(receive(raft, conflict),
				 FB_OK); /* older than the commit index: answered with that */
	CHECK(update.truncate_from_index == 0);
	conflict.index = 3;
	conflict.log_term = 2;
	CHECK_STATUS(receive(raft, conflict), FB_OK);
	CHECK(update.truncate_from_index == 4);
	event.start.applied_term = 1;
	(void) started(&event, FB_CORRUPTED);
	event.start.applied_term = 2;
	event.start.applied_index = 5;
	(void) started(&event, FB_CORRUPTED);
	event.start.applied_index = 2;
	event.start.applied_term = 1;
	event.start.base_index = 3;
	event.start.base_term = 1;
	(void) started(&event, FB_OK);
}

static void
test_parts(void)
{
	uint64_t values[] = {3, 9, 1, 7, 5};
	RaftTrail trail;

	CHECK(quorum_size(1) == 1 && quorum_size(2) == 2 && quorum_size(3) == 2 &&
		  quorum_size(4) == 3 && quorum_size(5) == 3);
	CHECK(quorum_value(values, 5) == 5);
	CHECK(quorum_value((uint64_t[]) {8, 4}, 2) == 4);
	CHECK(quorum_value((uint64_t[]) {8, 4, 6, 2}, 4) == 4);
	CHECK(quorum_value(values, 0) == 0);
	CHECK(quorum_vote(2, 0, 3) == RAFT_VOTE_WON && quorum_vote(1, 1, 3) == RAFT_VOTE_PENDING &&
		  quorum_vote(1, 2, 3) == RAFT_VOTE_LOST);
	CHECK(quorum_vote(2, 2, 4) == RAFT_VOTE_LOST && quorum_vote(2, 1, 4) == RAFT_VOTE_PENDING &&
		  quorum_vote(0, 0, 0) == RAFT_VOTE_LOST);

	/* a window that moves far beyond its array */
	trail_init(&trail, &arena.allocator);
	for (uint64_t i = 1; i <= 100000; i++)
	{
		FB_ASSERT(trail_reserve(&trail, 1, NULL) == FB_OK);
		trail_append(&trail, 1 + i / 1000, (uint32_t) i);
		if (i % 100 == 0)
			trail_compact(&trail, i - 50);
	}
	CHECK(trail.base_index == 99950 && trail_last_index(&trail) == 100000 &&
		  trail.capacity <= 1024);
	CHECK(trail_payload_bytes(&trail, 99951) == 99951 &&
		  trail_payload_bytes(&trail, 100000) == 100000);
	CHECK(trail_term(&trail, 99950) == 100 && trail_term(&trail, 100000) == 101 &&
		  trail_last_term(&trail) == 101);
	CHECK(trail_last_with_term_up_to(&trail, 100000, 100) == 99999 &&
		  trail_last_with_term_up_to(&trail, 99960, 500) == 99960);
	CHECK(trail_last_with_term_up_to(&trail, 100000, 3) == 99950);
	trail_truncate(&trail, 99960);
	CHECK(trail_last_index(&trail) == 99959 && trail_matches(&trail, 99959, 100) &&
		  !trail_matches(&trail, 99960, 100));
}

static void
test_tail(void)
{
	const RaftTrailEntry entries[] = {{1, 10}, {1, 0}, {1, 30}, {1, 5}};
	RaftEvent event = start_event(1, 3);
	Raft *raft;

	event.start.base_index = 4;
	event.start.base_term = 1;
	event.start.entries = entries;
	event.start.entries_count = 4;
	event.start.term = 1;
	raft = started(&event, FB_OK);
	CHECK(raft_tail_start(raft, 8, 1000) == 4 && raft_tail_start(raft, 8, 45) == 4);
	CHECK(raft_tail_start(raft, 8, 44) == 5);
	CHECK(raft_tail_start(raft, 8, 35) == 5 && raft_tail_start(raft, 8, 34) == 7 &&
		  raft_tail_start(raft, 8, 4) == 8);
	CHECK(raft_tail_start(raft, 6, 0) == 5 && raft_tail_start(raft, 6, 10) == 4);
	/* the ledger may be ahead of the log, or behind it */
	CHECK(raft_tail_start(raft, 100, 5) == 7 && raft_tail_start(raft, 2, 5) == 2);
}

/* a step that runs out of memory has no effect, and can be repeated */
static void
test_memory(void)
{
	FbArena poor;
	Raft *raft;
	bool done = false;

	for (size_t fail_at = 1; !done; fail_at++)
	{
		RaftEvent event = start_event(1, 1);
		uint64_t last = 0;

		fb_arena_init(&poor);
		poor.fail_at = fail_at;
		done = true;
		if (raft_create(&poor.allocator, &raft, NULL) != FB_OK)
			done = false;
		else if (raft_step(raft, &event, &update, NULL) != FB_OK)
			done = false;
		for (int i = 0; i < 4 && done; i++)
		{
			FbStatus status = i == 0 ? timeout(raft, 1000) : submit(raft, 600, 1);

			if (status != FB_OK)
			{
				CHECK_STATUS(status, FB_OUT_OF_MEMORY);
				CHECK(update.last_index == last && update.entries.count == 0 &&
					  update.messages_count == 0);
				poor.fail_at = 0;
				CHECK_STATUS(i == 0 ? timeout(raft, 1000) : submit(raft, 600, 1), FB_OK);
				done = false;
			}
			last = update.last_index;
		}
		fb_arena_reset(&poor);
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_start());
	CHECK_TEST(test_single_voter());
	CHECK_TEST(test_leader());
	CHECK_TEST(test_messages_to_leader());
	CHECK_TEST(test_quorum_of_next());
	CHECK_TEST(test_full_update());
	CHECK_TEST(test_follower());
	CHECK_TEST(test_follower_checks());
	CHECK_TEST(test_truncation());
	CHECK_TEST(test_full_log());
	CHECK_TEST(test_uncommitted_limit());
	CHECK_TEST(test_late_host());
	CHECK_TEST(test_applied_at_start());
	CHECK_TEST(test_parts());
	CHECK_TEST(test_tail());
	CHECK_TEST(test_memory());
	fb_arena_reset(&arena);
	return check_finish("raft/step");
}
