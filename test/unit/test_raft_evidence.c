/*
 * raft: messages that cannot be true, jumps of terms, configurations of a log that must not have
 * any, and recovery of a node that has lost its state
 */
#include "unit/raft_steps.h"

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
}

/*
 * Votes that were not requested: of a future term, and of one in which this node voted for
 * another.
 */
static void
test_evidence_of_votes(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft = started(&event, FB_OK);

	CHECK_STATUS(receive(raft,
						 (RaftMessage) {.type = RAFT_HEARTBEAT, .from = 3, .to = 2, .term = 3}),
				 FB_OK);
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
}

static void
test_evidence_of_confirmation(void)
{
	Raft *raft = leader_of_three(2, 1000);

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

/* a node without a vote, event by event; the stories and the simulator test the rest */
static void
test_recovery(void)
{
	RaftEvent event = start_event(2, 3);
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
}

/* a recovering node neither votes nor becomes a candidate */
static void
test_recovering_votes(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft;

	event.start.recovery = RAFT_RECOVERY_TOLD;
	raft = started(&event, FB_OK);
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
}

/*
 * A node with a vote accepts a late answer to its hello once, but no other, and no heartbeat.
 */
static void
test_late_hello_response(void)
{
	RaftEvent event = start_event(2, 3);
	Raft *raft;

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
}

/* a leader does not count a node that recovers */
static void
test_recovering_follower(void)
{
	RaftEvent transfer = {.type = RAFT_EVENT_TRANSFER, .transfer = {.to = 2}};
	Raft *raft;

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
	CHECK_TEST(test_offer_expires());
	CHECK_TEST(test_offered_term());
	CHECK_TEST(test_fixed_configuration());
	CHECK_TEST(test_term_jumps());
	CHECK_TEST(test_evidence());
	CHECK_TEST(test_evidence_of_votes());
	CHECK_TEST(test_evidence_of_confirmation());
	CHECK_TEST(test_refuted_leader());
	CHECK_TEST(test_recovery());
	CHECK_TEST(test_recovering_votes());
	CHECK_TEST(test_late_hello_response());
	CHECK_TEST(test_recovering_follower());
	fb_arena_reset(&arena);
	return check_finish("raft/evidence");
}
