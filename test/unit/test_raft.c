/*
 * core/raft: the answers of one node, event by event: statuses, limits, memory; quorum arithmetic
 * and the trail
 */
#include "unit/check.h"

#include "core/raft/raft_internal.h"

static FbArena arena;
static RaftUpdate update;
static FbError error;

static RaftEvent
start_event(uint64_t id, uint32_t voters)
{
	RaftEvent event = {.type = RAFT_EVENT_START, .now_ms = 1000};

	event.start.id = id;
	event.start.seed = id;
	event.start.election_timeout_ms = 1000;
	event.start.heartbeat_ms = 100;
	event.start.in_flight_max = 2;
	event.start.message_bytes_max = 1000;
	for (uint64_t voter = 1; voter <= voters; voter++)
		raft_configuration_add(&event.start.configuration, voter);
	return event;
}

static FbStatus receive(Raft *raft, RaftMessage message);

/* start a node whose hello the others answer without any memory of it */
static Raft *
started(const RaftEvent *event, FbStatus expected)
{
	Raft *raft;

	CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
	CHECK_STATUS(raft_step(raft, event, &update, &error), expected);
	for (uint32_t i = 0; expected == FB_OK && i < event->start.configuration.voters_count; i++)
	{
		if (event->start.configuration.voters[i] != event->start.id)
			CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO_RESPONSE,
													  .from = event->start.configuration.voters[i],
													  .to = event->start.id,
													  .nonce = raft->nonce}),
						 FB_OK);
	}
	return raft;
}

static FbStatus
timeout(Raft *raft, uint64_t now_ms)
{
	RaftEvent event = {.type = RAFT_EVENT_TIMEOUT, .now_ms = now_ms};

	return raft_step(raft, &event, &update, &error);
}

static FbStatus
receive(Raft *raft, RaftMessage message)
{
	RaftEvent event = {.type = RAFT_EVENT_RECEIVE, .receive = &message};

	return raft_step(raft, &event, &update, &error);
}

static FbStatus
persisted(Raft *raft, uint64_t index, uint64_t term)
{
	RaftEvent event = {.type = RAFT_EVENT_PERSISTED, .persisted = {index, term}};

	return raft_step(raft, &event, &update, &error);
}

static FbStatus
submit(Raft *raft, uint32_t count, uint32_t size)
{
	static uint32_t sizes[RAFT_SUBMIT_MAX + 1];
	RaftEvent event = {.type = RAFT_EVENT_SUBMIT, .submit = {sizes, count}};

	for (uint32_t i = 0; i <= RAFT_SUBMIT_MAX; i++)
		sizes[i] = size;
	return raft_step(raft, &event, &update, &error);
}

/* node 1 of three, leader of term 1, its no-op committed by 2 */
static Raft *
leader_of_three(uint32_t in_flight_max, uint32_t message_bytes_max)
{
	RaftEvent event = start_event(1, 3);
	Raft *raft;

	event.start.in_flight_max = in_flight_max;
	event.start.message_bytes_max = message_bytes_max;
	raft = started(&event, FB_OK);
	CHECK_STATUS(timeout(raft, update.deadline_ms), FB_OK);
	CHECK(update.role == RAFT_PRE_CANDIDATE && update.messages_count == 2 &&
		  !update.persist_hard_state);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_PRE_VOTE_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1}),
				 FB_OK);
	CHECK(update.role == RAFT_CANDIDATE && update.persist_hard_state &&
		  update.hard_state.vote == 1 && !update.messages[0].early);
	/* a vote is counted once */
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_VOTE_RESPONSE, .from = 9, .to = 1, .term = 1}),
				 FB_OK);
	CHECK(update.role == RAFT_CANDIDATE);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_VOTE_RESPONSE, .from = 2, .to = 1, .term = 1}),
				 FB_OK);
	CHECK(update.role == RAFT_LEADER && update.role_changed && update.entries.count == 1 &&
		  update.entries.kind == RAFT_ENTRY_NOOP);
	CHECK(update.messages_count == 2 && update.messages[0].type == RAFT_APPEND &&
		  update.messages[0].early);
	/* the followers alone commit it; this node applies it only when it is durable here */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 1}),
				 FB_OK);
	CHECK(update.commit_index == 0);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 3,
											  .to = 1,
											  .term = 1,
											  .index = 1}),
				 FB_OK);
	CHECK(update.commit_index == 1 && update.apply_index == 0);
	CHECK_STATUS(persisted(raft, 1, 9), FB_OK);
	CHECK(update.apply_index == 0);
	CHECK_STATUS(persisted(raft, 1, 1), FB_OK);
	CHECK(update.apply_index == 1 && !update.leader_ready);
	{
		RaftEvent applied = {.type = RAFT_EVENT_APPLIED, .applied = {1}};

		CHECK_STATUS(raft_step(raft, &applied, &update, &error), FB_OK);
		CHECK(update.leader_ready);
	}
	return raft;
}

static void
test_start(void)
{
	RaftTrailEntry entries[] = {{1, 10}, {3, 10}, {2, 10}};
	RaftEvent event = start_event(0, 3);
	RaftEvent configure;
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

	/* a single voter leads at once; a node that is not a voter waits for ever */
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
	RaftConfiguration next = {0};

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

	/* time does not go backwards */
	CHECK(timeout(raft, 1) == FB_OK && update.messages_count == 0);

	/*
	 * 2 followers, 64 messages each, every entry larger than a message and so alone: one update
	 * cannot hold all of them, the next one continues at once.
	 */
	raft = leader_of_three(RAFT_IN_FLIGHT_MAX, 1);
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
	RaftEntry bad[] = {{1, RAFT_ENTRY_CONFIGURATION, FB_BYTES_LITERAL("\1")}};
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

/*
 * node 2 of three with entries 1/1, 2/1, both committed, following node 1 in term 1; voters are
 * fixed
 */
static Raft *
follower_of_three(void)
{
	static const RaftTrailEntry trail[] = {{1, 1}, {1, 1}};
	RaftEvent event = start_event(2, 3);
	Raft *raft;

	event.start.configuration_fixed = true;
	event.start.entries = trail;
	event.start.entries_count = 2;
	event.start.term = 1;
	event.start.commit_index = 2;
	event.start.applied_index = 2;
	raft = started(&event, FB_OK);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_HEARTBEAT, .from = 1, .to = 2, .term = 1}),
				 FB_OK);
	CHECK(update.leader == 1);
	return raft;
}

static FbBytes
configuration_state(uint32_t voters)
{
	RaftLogConfiguration configuration = {0};
	uint8_t *bytes = fb_allocate(&arena.allocator, RAFT_CONFIGURATION_STATE_BYTES_MAX);

	for (uint64_t voter = 1; voter <= voters; voter++)
		raft_configuration_add(&configuration.configuration, voter);
	return fb_bytes(bytes, membership_encode_state(&configuration, 1, bytes));
}

static FbStatus
offer(Raft *raft, uint64_t from, uint64_t term, uint64_t index, uint64_t log_term)
{
	return receive(raft, (RaftMessage) {.type = RAFT_SNAPSHOT,
										.from = from,
										.to = 2,
										.term = term,
										.index = index,
										.log_term = log_term,
										.configuration = configuration_state(3)});
}

/* a leader's offer of blocks counts only while the leader repeats it */
static void
test_offer_expires(void)
{
	Raft *raft = follower_of_three();

	CHECK_STATUS(offer(raft, 1, 1, UINT64_C(1) << 50, 1), FB_OK);
	CHECK(update.fetch_index == UINT64_C(1) << 50 && update.fetch_from == 1);
	/* a lower index of the same leader replaces the offer, a higher one repeats it */
	CHECK_STATUS(offer(raft, 1, 1, 100, 1), FB_OK);
	CHECK(update.fetch_index == 100);
	CHECK_STATUS(offer(raft, 1, 1, 200, 1), FB_OK);
	CHECK(update.fetch_index == 100);
	/* heartbeats do not repeat it */
	for (uint64_t now_ms = 1000; now_ms < 1000 + 4 * 1000; now_ms += 100)
	{
		RaftMessage heartbeat = {.type = RAFT_HEARTBEAT, .from = 1, .to = 2, .term = 1};
		RaftEvent event = {.type = RAFT_EVENT_RECEIVE, .receive = &heartbeat, .now_ms = now_ms};

		CHECK_STATUS(raft_step(raft, &event, &update, &error), FB_OK);
		CHECK(update.fetch_index == 100);
	}
	CHECK_STATUS(timeout(raft, 5000), FB_OK);
	CHECK(update.fetch_index == 0 && update.leader == 1);

	/* another leader, or just a later term, ends it at once */
	CHECK_STATUS(offer(raft, 1, 1, 100, 1), FB_OK);
	CHECK(update.fetch_index == 100);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_HEARTBEAT, .from = 3, .to = 2, .term = 2}),
				 FB_OK);
	CHECK(update.fetch_index == 0 && update.leader == 3);
	CHECK_STATUS(offer(raft, 3, 2, 100, 1), FB_OK);
	CHECK(update.fetch_index == 100);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE_RESPONSE,
											  .rejected = true,
											  .from = 1,
											  .to = 2,
											  .term = 3}),
				 FB_OK);
	CHECK(update.fetch_index == 0);
}

/*
 * A log that starts again after fetched blocks does not adopt the term that was offered with them.
 */
static void
test_offered_term(void)
{
	Raft *raft = follower_of_three();
	RaftEvent installed = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
	RaftEntry entries[] = {{3, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")}};

	CHECK_STATUS(offer(raft, 1, 9, 10, 9), FB_OK);
	installed.snapshot_installed.index = 9;
	CHECK_STATUS(raft_step(raft, &installed, &update, &error), FB_OK);
	CHECK(!update.log_reset && update.fetch_index == 10);
	installed.snapshot_installed.index = 12;
	CHECK_STATUS(raft_step(raft, &installed, &update, &error), FB_OK);
	CHECK(update.log_reset && update.log_start.index == 10 && update.log_start.term == 1 &&
		  update.commit_index == 10);
	/* a candidate that really has entry 10 of term 2 is not behind */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE,
											  .forced = true,
											  .from = 3,
											  .to = 2,
											  .term = 10,
											  .index = 10,
											  .log_term = 2}),
				 FB_OK);
	CHECK(update.messages_count == 1 && !update.messages[0].rejected &&
		  update.hard_state.vote == 3);
	/* and can append from there */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 3,
											  .to = 2,
											  .term = 10,
											  .index = 10,
											  .log_term = 2,
											  .commit_index = 10,
											  .entries_count = 1,
											  .entries = entries}),
				 FB_OK);
	CHECK(update.entries.count == 1 && update.entries.first_index == 11 &&
		  !update.messages[0].rejected && update.messages[0].index == 11);
}

/* the voters are those of START: no entry, no snapshot and no stored state can change them */
static void
test_fixed_configuration(void)
{
	Raft *raft = follower_of_three();
	uint8_t payload[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	RaftConfiguration only_three = {1, {3}};
	RaftEntry entry = {2, RAFT_ENTRY_CONFIGURATION,
					   fb_bytes(payload, membership_encode_one(&only_three, payload))};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 3,
						  .to = 2,
						  .term = 2,
						  .index = 2,
						  .log_term = 1,
						  .commit_index = 3,
						  .entries_count = 1,
						  .entries = &entry};
	RaftEvent configure = {.type = RAFT_EVENT_CONFIGURE, .configure = only_three};
	RaftEvent event = start_event(2, 3);
	RaftStatus status;

	CHECK_STATUS(receive(raft, append), FB_CORRUPTED);
	CHECK(update.term == 1 && update.last_index == 2);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_SNAPSHOT,
											  .from = 3,
											  .to = 2,
											  .term = 2,
											  .index = 5,
											  .log_term = 1,
											  .configuration = configuration_state(1)}),
				 FB_CORRUPTED);
	CHECK_STATUS(raft_step(raft, &configure, &update, &error), FB_INVALID_ARGUMENT);
	raft_status(raft, &status);
	CHECK(status.configuration.voters_count == 3);

	/*
	 * An entry that repeats the configuration changes nothing, however many there are and whatever
	 * is truncated.
	 */
	entry.payload = fb_bytes(payload, membership_encode_one(&status.configuration, payload));
	for (append.index = 2; append.index < 6; append.index++)
	{
		append.log_term = append.index == 2 ? 1 : 2;
		append.commit_index = 2;
		CHECK_STATUS(receive(raft, append), FB_OK);
		CHECK(update.entries.count == 1 && !update.configuration_changed);
	}
	entry = (RaftEntry) {3, RAFT_ENTRY_NOOP, FB_BYTES_EMPTY};
	append.index = 2;
	append.log_term = 1;
	append.term = 3;
	append.from = 1;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.truncate_from_index == 3 && update.last_index == 3);

	event.start.configuration_fixed = true;
	event.start.configuration_state = configuration_state(1);
	raft = started(&event, FB_OK);
	raft_status(raft, &status);
	CHECK(status.configuration.voters_count == 3 && update.persist_hard_state);
	CHECK(fb_bytes_equal(update.hard_state.configuration_state, configuration_state(3)));
}

/* one large step of the term per election timeout */
static void
test_term_jumps(void)
{
	Raft *raft = follower_of_three();
	uint64_t term = 1;

	for (uint64_t i = 1; i <= 100; i++)
	{
		CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE_RESPONSE,
												  .rejected = true,
												  .from = 3,
												  .to = 2,
												  .term = 1 + (i << 31)}),
					 FB_OK);
		term = update.term;
	}
	CHECK(term == 1 + (UINT64_C(1) << 31));
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE_RESPONSE,
											  .rejected = true,
											  .from = 3,
											  .to = 2,
											  .term = term + 1000}),
				 FB_OK);
	CHECK(update.term == term + 1000);
	CHECK_STATUS(timeout(raft, 2100), FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE_RESPONSE,
											  .rejected = true,
											  .from = 3,
											  .to = 2,
											  .term = term + (UINT64_C(1) << 31)}),
				 FB_OK);
	CHECK(update.term == term + (UINT64_C(1) << 31));
	/* only the leader can transfer the leadership */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = update.term}),
				 FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_TIMEOUT_NOW,
											  .from = 3,
											  .to = 2,
											  .term = update.term}),
				 FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.leader == 1);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_TIMEOUT_NOW,
											  .from = 1,
											  .to = 2,
											  .term = update.term}),
				 FB_OK);
	CHECK(update.role == RAFT_CANDIDATE);
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

/* each broken promise is reported by its kind, and changes nothing */
static void
test_evidence(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftEntry others[] = {{3, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 2,
						  .commit_index = 2,
						  .entries_count = 2,
						  .entries = entries};

	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_NONE && update.commit_index == 2);
	append.from = 3;
	CHECK_STATUS(receive(raft, append), FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_TWO_LEADERS && update.evidence.node == 3 &&
		  update.evidence.term == 2);
	CHECK(update.leader == 1 && error.message[0] != '\0');
	append = (RaftMessage) {.type = RAFT_APPEND,
							.from = 3,
							.to = 2,
							.term = 3,
							.index = 2,
							.log_term = 1,
							.entries_count = 1,
							.entries = others};
	CHECK_STATUS(receive(raft, append), FB_OK);
	/*
	 * The entry before is not below the commit index here: the entries after it were never
	 * committed.
	 */
	CHECK(update.term == 3 && update.last_index == 3 && update.commit_index == 2);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 3,
											  .to = 2,
											  .term = 3,
											  .commit_index = 9}),
				 FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_LOST_ENTRIES && update.evidence.index == 9);
	/*
	 * Votes that were not requested: of a future term, and of one in which this node voted for
	 * another.
	 */
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_VOTE_RESPONSE, .from = 1, .to = 2, .term = 4}),
				 FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_VOTE && update.evidence.node == 1 &&
		  update.evidence.term == 4 && update.term == 3);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_VOTE_RESPONSE, .from = 1, .to = 2, .term = 3}),
				 FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_VOTE);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_PRE_VOTE_RESPONSE,
											  .from = 1,
											  .to = 2,
											  .term = 4}),
				 FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_PRE_VOTE_RESPONSE,
											  .from = 1,
											  .to = 2,
											  .term = 5}),
				 FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_VOTE && update.term == 3);
	/* a refusal with a later term is a normal answer */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE_RESPONSE,
											  .from = 1,
											  .to = 2,
											  .term = 4,
											  .rejected = true}),
				 FB_OK);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_NONE && update.term == 4);

	raft = leader_of_three(2, 1000);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 9}),
				 FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_CONFIRMATION && update.evidence.index == 9);
	for (int kind = 0; kind <= RAFT_EVIDENCE_KIND_MAX; kind++)
		CHECK(strcmp(raft_evidence_name((RaftEvidenceKind) kind), "unknown") != 0);
}

/*
 * A leader whose entries a quorum refuses steps down, and starts no election until it follows
 * another leader; refusals of a minority are only recorded.
 */
static void
test_refuted_leader(void)
{
	Raft *raft = leader_of_three(2, 1000);
	RaftMessage refusal = {.type = RAFT_APPEND_RESPONSE,
						   .from = 2,
						   .to = 1,
						   .term = 1,
						   .index = 1,
						   .rejected = true,
						   .contradicted = true};
	RaftEntry entry = {2, RAFT_ENTRY_NOOP, FB_BYTES_EMPTY};

	CHECK_STATUS(submit(raft, 1, 5), FB_OK);
	CHECK_STATUS(receive(raft, refusal), FB_OK);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_REFUSED_BY_FOLLOWER && update.evidence.node == 2 &&
		  update.role == RAFT_LEADER);
	CHECK(update.messages_count == 0);
	/* a follower may accept later */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 2}),
				 FB_OK);
	refusal.from = 3;
	CHECK_STATUS(receive(raft, refusal), FB_OK);
	CHECK(update.role == RAFT_LEADER);
	refusal.from = 2;
	refusal.index = UINT64_MAX >> 2;
	CHECK_STATUS(receive(raft, refusal), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.leader == 0);
	CHECK_STATUS(timeout(raft, update.deadline_ms), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.messages_count == 0);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1}),
				 FB_OK);
	CHECK(update.role == RAFT_FOLLOWER);
	CHECK_STATUS(persisted(raft, 2, 1), FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 2,
											  .to = 1,
											  .term = 2,
											  .index = 2,
											  .log_term = 1,
											  .entries_count = 1,
											  .entries = &entry}),
				 FB_OK);
	CHECK(update.last_index == 3);
	CHECK_STATUS(timeout(raft, update.deadline_ms), FB_OK);
	CHECK(update.role == RAFT_PRE_CANDIDATE);
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

/* a node without a vote, event by event; the stories and the simulator test the rest */
static void
test_recovery(void)
{
	RaftEvent event = start_event(2, 3);
	RaftEvent transfer = {.type = RAFT_EVENT_TRANSFER, .transfer = {.to = 2}};
	uint8_t memory[RAFT_MEMORY_BYTES_MAX] = {1};
	Raft *raft;

	event.start.memory = fb_bytes(memory, 25);
	started(&event, FB_CORRUPTED);
	event.start.memory = fb_bytes(memory, 26);
	event.start.recovery = RAFT_RECOVERY_REASON_MAX + 1;
	started(&event, FB_CORRUPTED);

	/*
	 * recovery from the start: the node recovers whatever the others answer, and stores that it
	 * recovers
	 */
	event.start.recovery = RAFT_RECOVERY_TOLD;
	raft = started(&event, FB_OK);
	CHECK(update.participation == RAFT_RECOVERING &&
		  update.hard_state.recovery == RAFT_RECOVERY_TOLD);
	/*
	 * A heartbeat of a leader that still counts old confirmations is no contradiction, and commits
	 * nothing.
	 */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .commit_index = 9}),
				 FB_OK);
	CHECK(update.commit_index == 0 && update.messages_count == 1 && update.messages[0].recovering &&
		  update.messages[0].nonce == raft->nonce);
	/*
	 * a heartbeat with another nonce, or before the node has the entry, does not end the recovery
	 */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .nonce = raft->nonce + 2,
											  .recovered = true}),
				 FB_OK);
	CHECK(update.participation == RAFT_RECOVERING);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .nonce = raft->nonce,
											  .index = 1,
											  .recovered = true}),
				 FB_OK);
	CHECK(update.participation == RAFT_RECOVERING);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_VOTE,
											  .from = 3,
											  .to = 2,
											  .term = 9,
											  .index = 9,
											  .log_term = 8,
											  .forced = true}),
				 FB_OK);
	CHECK(update.term == 9 && update.hard_state.vote == 0 && update.messages[0].rejected);
	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_TIMEOUT_NOW, .from = 3, .to = 2, .term = 9}),
				 FB_OK);
	CHECK(update.role == RAFT_FOLLOWER);

	/*
	 * A node with a vote accepts a late answer to its hello once, but no other, and no heartbeat.
	 */
	event = start_event(2, 3);
	raft = started(&event, FB_OK);
	CHECK(update.participation == RAFT_VOTING && update.hard_state.established);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .commit_index = 9}),
				 FB_CORRUPTED);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO_RESPONSE,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .nonce = raft->nonce + 2,
											  .promised_term = 3}),
				 FB_OK);
	CHECK(update.participation == RAFT_VOTING);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO_RESPONSE,
											  .from = 1,
											  .to = 2,
											  .term = 3,
											  .nonce = raft->nonce,
											  .promised_term = 3}),
				 FB_OK);
	CHECK(update.participation == RAFT_RECOVERING && update.persist_hard_state &&
		  update.hard_state.recovery_witness == 1);

	/* a leader does not count a node that recovers */
	raft = leader_of_three(2, 1000);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .nonce = 7,
											  .recovering = true}),
				 FB_OK);
	CHECK_STATUS(raft_step(raft, &transfer, &update, &error), FB_BUSY);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
											  .from = 3,
											  .to = 1,
											  .term = 1,
											  .nonce = 9,
											  .recovering = true}),
				 FB_OK);
	transfer.transfer.to = 0;
	CHECK_STATUS(raft_step(raft, &transfer, &update, &error), FB_BUSY);
	CHECK_STATUS(submit(raft, 1, 10), FB_OK);
	CHECK_STATUS(persisted(raft, 2, 1), FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 2,
											  .nonce = 7,
											  .recovering = true}),
				 FB_OK);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .index = 2}),
				 FB_OK);
	CHECK(update.commit_index == 1);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
											  .from = 2,
											  .to = 1,
											  .term = 1,
											  .nonce = 7}),
				 FB_OK);
	CHECK(update.commit_index == 2);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_start());
	CHECK_TEST(test_leader());
	CHECK_TEST(test_follower());
	CHECK_TEST(test_truncation());
	CHECK_TEST(test_full_log());
	CHECK_TEST(test_offer_expires());
	CHECK_TEST(test_offered_term());
	CHECK_TEST(test_fixed_configuration());
	CHECK_TEST(test_term_jumps());
	CHECK_TEST(test_uncommitted_limit());
	CHECK_TEST(test_late_host());
	CHECK_TEST(test_evidence());
	CHECK_TEST(test_refuted_leader());
	CHECK_TEST(test_applied_at_start());
	CHECK_TEST(test_parts());
	CHECK_TEST(test_tail());
	CHECK_TEST(test_memory());
	CHECK_TEST(test_recovery());
	fb_arena_reset(&arena);
	return check_finish("raft");
}
