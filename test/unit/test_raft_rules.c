/*
 * core/raft: one rule of the paper or of the thesis in each test, as seen by one node: what it must
 * refuse, ignore, store or keep. For most of them tools/mutants has the bug that the test finds.
 */
#include "unit/raft_node.h"

/* ---- earlier terms: "reply false if term < currentTerm" ---- */

static void
test_old_answers(void)
{
	Raft *raft = leader();

	CHECK_STATUS(receive_confirmation(raft, 2, 2, 3), FB_OK);
	CHECK_STATUS(receive_confirmation(raft, 3, 1, 3), FB_OK);
	CHECK(update.commit_index == 0 && update.messages_count == 0);
	CHECK_STATUS(receive_confirmation(raft, 2, 3, 3), FB_OK);
	CHECK(update.commit_index == 3);

	/* a vote that was given for an earlier campaign, and a pre-vote for it */
	raft = candidate(5);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 2), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 3, 1), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_PRE_VOTE_RESPONSE, 4, 3), FB_OK);
	CHECK(update.role == RAFT_CANDIDATE && raft->granted_count == 1);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 3), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 3, 3), FB_OK);
	CHECK(update.role == RAFT_LEADER);

	/* a pre-vote for the campaign before this one */
	raft = started_with(1, 3, (uint64_t[]) {1, 2}, 2, 0);
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK(update.role == RAFT_PRE_CANDIDATE);
	CHECK_STATUS(receive_simple(raft, RAFT_PRE_VOTE_RESPONSE, 2, 2), FB_OK);
	CHECK(update.role == RAFT_PRE_CANDIDATE && raft->granted_count == 1);
}

static void
test_old_leader(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1, 3}, 2, 1);
	RaftEntry entries[] = {{2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("x")}};
	RaftMessage old[] = {{.type = RAFT_HEARTBEAT, .from = 1, .term = 2, .commit_index = 2},
						 {.type = RAFT_APPEND,
						  .from = 1,
						  .term = 2,
						  .index = 1,
						  .log_term = 1,
						  .commit_index = 2,
						  .entries_count = 1,
						  .entries = entries},
						 {.type = RAFT_SNAPSHOT,
						  .from = 1,
						  .term = 2,
						  .index = 9,
						  .log_term = 2,
						  .configuration = three_voters()}};

	for (int i = 0; i < 3; i++)
	{
		CHECK_STATUS(receive(raft, old[i]), FB_OK);
		CHECK(update.leader == 0 && update.last_index == 2 && update.commit_index == 1 &&
			  update.fetch_index == 0 && update.entries.count == 0 &&
			  update.truncate_from_index == 0);
		CHECK(update.messages_count == 1 && update.messages[0].rejected &&
			  update.messages[0].term == 3);
	}
	/* node 1 leads now; what it sent in an earlier term is over nevertheless */
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT, 1, 3), FB_OK);
	CHECK(update.leader == 1);
	CHECK_STATUS(receive_simple(raft, RAFT_TIMEOUT_NOW, 1, 2), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.term == 3);
}

/* ---- elections ---- */

/* a pre-vote is no promise: it changes neither term nor vote */
static void
test_pre_vote(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);

	for (uint64_t from = 1; from <= 3; from += 2)
	{
		CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_PRE_VOTE,
												  .from = from,
												  .term = 2,
												  .index = 9,
												  .log_term = 1}),
					 FB_OK);
		CHECK(update.messages_count == 1 && !update.messages[0].rejected &&
			  update.messages[0].term == 2);
		CHECK(update.term == 1 && update.hard_state.vote == 0 && !update.persist_hard_state);
	}
}

static FbStatus
ask_vote(Raft *raft, uint64_t from, uint64_t term)
{
	return receive(raft, (RaftMessage) {.type = RAFT_VOTE,
										.from = from,
										.term = term,
										.index = 9,
										.log_term = term - 1});
}

static void
test_votes(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);

	CHECK_STATUS(ask_vote(raft, 1, 2), FB_OK);
	CHECK(update.messages_count == 1 && !update.messages[0].rejected && !update.messages[0].early);
	CHECK(update.persist_hard_state && update.hard_state.term == 2 && update.hard_state.vote == 1);
	/* "each server will vote for at most one candidate in a given term", which may ask twice */
	CHECK_STATUS(ask_vote(raft, 3, 2), FB_OK);
	CHECK(update.messages[0].rejected && update.hard_state.vote == 1);
	CHECK_STATUS(ask_vote(raft, 1, 2), FB_OK);
	CHECK(!update.messages[0].rejected);
	/* in a term that is known already only the vote has to be stored */
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 3, 2), FB_CORRUPTED);
	CHECK_STATUS(receive_rejection(raft, RAFT_VOTE_RESPONSE, 3, 3, 0), FB_OK);
	CHECK(update.term == 3 && update.hard_state.vote == 0 && update.persist_hard_state);
	now_ms += 10 * ELECTION_MS;
	CHECK_STATUS(ask_vote(raft, 3, 3), FB_OK);
	CHECK(!update.messages[0].rejected && update.persist_hard_state && update.hard_state.vote == 3);
	/* "... or granting vote to candidate": it gets the time to win */
	CHECK(update.deadline_ms >= now_ms + ELECTION_MS);

	/* an answer that comes twice is one vote */
	raft = candidate(5);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 3), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 3), FB_OK);
	CHECK(update.role == RAFT_CANDIDATE);
	/* a voter that lost its memory learns of its vote while the candidate can still win */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO, .from = 2, .nonce = 7}), FB_OK);
	CHECK(update.messages[0].type == RAFT_HELLO_RESPONSE && update.messages[0].voted &&
		  update.messages[0].promised_term == 3);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO, .from = 4, .nonce = 7}), FB_OK);
	CHECK(!update.messages[0].voted);
	/* two refusals of five decide nothing, three do */
	for (uint64_t voter = 3; voter <= 5; voter++)
	{
		CHECK(update.role == RAFT_CANDIDATE);
		CHECK_STATUS(receive_rejection(raft, RAFT_VOTE_RESPONSE, voter, 3, 0), FB_OK);
	}
	CHECK(update.role == RAFT_FOLLOWER);
}

static void
test_timers(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);
	bool differ = false;
	uint64_t deadline_ms = 0;

	/* "If a follower receives no communication over a period of time called the election timeout"
	 */
	for (int i = 0; i < 10; i++)
	{
		now_ms += ELECTION_MS - 100;
		CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT, 1, 1), FB_OK);
		CHECK(update.leader == 1 && update.deadline_ms >= now_ms + ELECTION_MS);
	}
	/* within the timeout after the last heartbeat a vote cannot end the leadership */
	now_ms += ELECTION_MS - 1;
	CHECK_STATUS(ask_vote(raft, 3, 2), FB_OK);
	CHECK(update.term == 1 && update.leader == 1 && update.messages_count == 0);
	now_ms += 1;
	CHECK_STATUS(ask_vote(raft, 3, 2), FB_OK);
	CHECK(update.term == 2 && update.messages_count == 1 && !update.messages[0].rejected);

	/* the clock of a host may go back, Raft's time does not */
	now_ms -= 500;
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_TIMEOUT}), FB_OK);
	CHECK(raft->now_ms == now_ms + 500);

	/* each wait is random, in one to two election timeouts */
	for (uint64_t seed = 1; seed <= 20; seed++)
	{
		RaftEvent event = start_event(2, 3);

		event.start.seed = seed;
		(void) started(&event);
		CHECK(update.deadline_ms >= now_ms + ELECTION_MS &&
			  update.deadline_ms < now_ms + 2 * ELECTION_MS);
		differ = differ || (deadline_ms != 0 && deadline_ms != update.deadline_ms);
		deadline_ms = update.deadline_ms;
	}
	CHECK(differ);

	/* a node that may not campaign does not, and no longer names a leader that is silent */
	raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT, 1, 1), FB_OK);
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_ABSTAIN, .abstain = true}), FB_OK);
	CHECK(update.leader == 1);
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK(update.role == RAFT_FOLLOWER && update.leader == 0 && update.messages_count == 0);
	CHECK_STATUS(step(raft, (RaftEvent) {.type = RAFT_EVENT_ABSTAIN, .abstain = false}), FB_OK);
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK(update.role == RAFT_PRE_CANDIDATE);
}

/* ---- the log ---- */

static void
test_compaction(void)
{
	RaftEvent event = start_event(2, 3);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("c")}};
	Raft *raft = started_with(2, 3, (uint64_t[]) {1, 1, 1, 1, 1}, 5, 4);

	/* not beyond what is applied, although more is committed */
	CHECK_STATUS(applied(raft, 2), FB_OK);
	CHECK_STATUS(compact(raft, 4), FB_OK);
	CHECK(update.log_start_changed && update.log_start.index == 2 && update.log_start.term == 1);
	CHECK_STATUS(compact(raft, 2), FB_OK);
	CHECK(!update.log_start_changed);
	CHECK_STATUS(compact(raft, 1), FB_OK);
	CHECK(!update.log_start_changed);
	/* not beyond what is committed, although the ledger has more from other nodes */
	CHECK_STATUS(applied(raft, 9), FB_OK);
	CHECK_STATUS(compact(raft, 9), FB_OK);
	CHECK(update.log_start.index == 4);
	/* what is gone equals nothing */
	CHECK(!trail_matches(&raft->trail, 3, 1) && trail_matches(&raft->trail, 4, 1));

	/* the log starts after an entry with the term of that entry */
	raft = started_with(2, 3, (uint64_t[]) {1, 2, 3}, 3, 3);
	CHECK_STATUS(applied(raft, 3), FB_OK);
	CHECK_STATUS(compact(raft, 2), FB_OK);
	CHECK(update.log_start.index == 2 && update.log_start.term == 2);

	/* not beyond what is durable here, although the ledger has it from another node */
	event.start.applied_index = 100;
	raft = started(&event);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 1,
											  .term = 1,
											  .commit_index = 3,
											  .entries_count = 3,
											  .entries = entries}),
				 FB_OK);
	CHECK(update.commit_index == 3);
	CHECK_STATUS(compact(raft, 3), FB_OK);
	CHECK(!update.log_start_changed && update.log_start.index == 0);
	CHECK_STATUS(persisted(raft, 2, 1), FB_OK);
	CHECK_STATUS(compact(raft, 3), FB_OK);
	CHECK(update.log_start_changed && update.log_start.index == 2);
}

/* a follower confirms what it knows to be equal to the leader's log, not what follows there */
static void
test_confirmation(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1, 1, 1}, 3, 0);
	RaftEntry entries[] = {{1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {1, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .term = 2,
						  .commit_index = 3,
						  .entries_count = 2,
						  .entries = entries};

	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.entries.count == 0 && update.last_index == 3 && update.messages[0].index == 2 &&
		  update.commit_index == 2 && !update.messages[0].early);
	append.entries_count = 0;
	append.index = 2;
	append.log_term = 1;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.messages[0].index == 2 && update.commit_index == 2);
}

/* appends that are lost on the way, while nothing new is submitted */
static void
test_lost_appends(void)
{
	Raft *raft = ready_leader();

	CHECK_STATUS(submit(raft, 2), FB_OK);
	CHECK(update.messages_count == 2);
	/* answers to heartbeats that are on their way at the same time prove no loss */
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT_RESPONSE, 2, 3), FB_OK);
	CHECK(update.messages_count == 0);
	now_ms += 100;
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT_RESPONSE, 2, 3), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].type == RAFT_APPEND &&
		  update.messages[0].index == 5 && update.messages[0].entries_count == 0);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
											  .from = 2,
											  .term = 3,
											  .index = 5,
											  .hint_index = 3,
											  .log_term = 3,
											  .rejected = true}),
				 FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].index == 3 &&
		  update.messages[0].entries_count == 2);
	/* the repetition is lost, too */
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT_RESPONSE, 2, 3), FB_OK);
	CHECK(update.messages_count == 0);
	now_ms += 100;
	CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT_RESPONSE, 2, 3), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].entries_count == 2);
}

/* what is committed stays, whoever leads */
static void
test_committed_stays(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1, 3, 3}, 3, 2);
	RaftEntry entries[] = {{2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("a")},
						   {2, RAFT_ENTRY_DATA, FB_BYTES_LITERAL("b")}};
	RaftMessage append = {.type = RAFT_APPEND,
						  .from = 1,
						  .term = 4,
						  .index = 1,
						  .log_term = 1,
						  .entries_count = 2,
						  .entries = entries};

	/* entry 2 is committed with term 3 */
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.truncate_from_index == 0 && update.last_index == 3 && update.commit_index == 2 &&
		  update.messages[0].index == 2);
	/* and its term is not lower, whatever the leader says is before its entries */
	append.index = 2;
	CHECK_STATUS(receive(raft, append), FB_CORRUPTED);
	CHECK(update.evidence.kind == RAFT_EVIDENCE_COMMITTED && update.evidence.index == 2 &&
		  update.truncate_from_index == 0 && update.last_index == 3);
	/* a leader that starts behind fetched blocks may know a lower term, and has later entries */
	entries[0].term = entries[1].term = 4;
	CHECK_STATUS(receive(raft, append), FB_OK);
	CHECK(update.truncate_from_index == 3 && update.last_index == 4);
}

/* ---- leadership ---- */

static void
test_transfer(void)
{
	Raft *raft = ready_leader();
	RaftEvent transfer = {.type = RAFT_EVENT_TRANSFER, .transfer = {.to = 2}};

	CHECK_STATUS(submit(raft, 1), FB_OK);
	CHECK_STATUS(step(raft, transfer), FB_OK);
	CHECK(update.messages_count == 0); /* 2 lacks entry 4 */
	CHECK_STATUS(submit(raft, 1), FB_BUSY);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {2, {1, 2}}), FB_BUSY);
	CHECK_STATUS(step(raft, transfer), FB_BUSY);
	CHECK_STATUS(receive_confirmation(raft, 2, 3, 4), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].type == RAFT_TIMEOUT_NOW &&
		  update.messages[0].to == 2);
	/* a transfer that the other node does not take ends after an election timeout */
	for (int i = 0; i < 12; i++)
	{
		CHECK_STATUS(receive_simple(raft, RAFT_HEARTBEAT_RESPONSE, 3, 3), FB_OK);
		CHECK_STATUS(time_out(raft), FB_OK);
	}
	CHECK_STATUS(submit(raft, 1), FB_OK);
}

/* ---- members ---- */

static void
test_members(void)
{
	Raft *raft = ready_leader();
	RaftLogConfiguration named[2];
	uint32_t named_count = 0;

	CHECK_STATUS(configure(raft, (RaftConfiguration) {5, {1, 2, 3, 4, 5}}), FB_INVALID_ARGUMENT);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {3, {1, 2, 4}}), FB_INVALID_ARGUMENT);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {0}), FB_INVALID_ARGUMENT);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {FB_RAFT_NODES_MAX + 1, {1}}),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {3, {1, 2, 2}}), FB_INVALID_ARGUMENT);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {3, {1, 2, 3}}), FB_OK);
	CHECK(update.entries.count == 0);

	/*
	 * A node that is added gets a log start with the configuration that is committed, because the
	 * entry that adds it may still be replaced.
	 */
	CHECK_STATUS(compact(raft, 3), FB_OK);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {4, {1, 2, 3, 4}}), FB_OK);
	CHECK(update.entries.count == 1 && update.messages_count == 3);
	CHECK_STATUS(receive_rejection(raft, RAFT_APPEND_RESPONSE, 4, 3, 4), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].type == RAFT_SNAPSHOT &&
		  update.messages[0].index == 3);
	CHECK_STATUS(membership_decode_state(update.messages[0].configuration, named, &named_count,
										 NULL),
				 FB_OK);
	CHECK(named_count == 1 && named[0].configuration.voters_count == 3);

	/* a leader that removes itself leads until that is committed */
	raft = ready_leader();
	CHECK_STATUS(submit(raft, 1), FB_OK);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {2, {2, 3}}), FB_OK);
	CHECK_STATUS(receive_confirmation(raft, 2, 3, 4), FB_OK);
	CHECK_STATUS(receive_confirmation(raft, 3, 3, 4), FB_OK);
	CHECK(update.commit_index == 4 && update.role == RAFT_LEADER);
	CHECK_STATUS(receive_confirmation(raft, 2, 3, 5), FB_OK);
	CHECK(update.commit_index == 4 && update.role == RAFT_LEADER);
	CHECK_STATUS(receive_confirmation(raft, 3, 3, 5), FB_OK);
	CHECK(update.commit_index == 5 && update.role == RAFT_FOLLOWER);
	CHECK(update.messages[update.messages_count - 1].type == RAFT_TIMEOUT_NOW);
	/* and waits for nothing more */
	CHECK(update.deadline_ms == UINT64_MAX);
}

static void
test_snapshot_position(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1}, 1, 0);
	RaftMessage snapshot = {.type = RAFT_SNAPSHOT, .from = 1, .term = 2};

	snapshot.configuration = three_voters();
	snapshot.index = 9;
	CHECK_STATUS(receive(raft, snapshot), FB_MALFORMED_MESSAGE); /* no term */
	snapshot.log_term = 3;
	CHECK_STATUS(receive(raft, snapshot), FB_MALFORMED_MESSAGE); /* a later term than its own */
	snapshot.log_term = 2;
	snapshot.index = 0;
	CHECK_STATUS(receive(raft, snapshot), FB_MALFORMED_MESSAGE); /* before the log */
	CHECK(update.term == 1 && update.fetch_index == 0);
	snapshot.index = 9;
	CHECK_STATUS(receive(raft, snapshot), FB_OK);
	CHECK(update.term == 2 && update.fetch_index == 9);
}

/* a log start that is not ahead of what is committed here changes nothing */
static void
test_old_snapshot(void)
{
	Raft *raft = started_with(2, 3, (uint64_t[]) {1, 1, 1}, 3, 2);
	RaftMessage snapshot = {.type = RAFT_SNAPSHOT, .from = 1, .term = 2, .index = 1, .log_term = 2};

	snapshot.configuration = three_voters();
	CHECK_STATUS(receive(raft, snapshot), FB_OK);
	CHECK(update.fetch_index == 0 && update.last_index == 3 && update.messages_count == 1 &&
		  update.messages[0].type == RAFT_APPEND_RESPONSE && update.messages[0].index == 2);
	/*
	 * The same term proves nothing: a leader that fetched blocks itself gives its log start a term
	 * that may be too low, and this node may have another entry with it.
	 */
	snapshot.index = 3;
	snapshot.log_term = 1;
	CHECK_STATUS(receive(raft, snapshot), FB_OK);
	CHECK(update.fetch_index == 3 && update.commit_index == 2 && update.messages_count == 0);
	/* what this leader has appended proves it */
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 1,
											  .term = 2,
											  .index = 3,
											  .log_term = 1}),
				 FB_OK);
	CHECK_STATUS(receive(raft, snapshot), FB_OK);
	CHECK(update.fetch_index == 0 && update.commit_index == 3 && update.messages[0].index == 3);
	/* in this term only */
	raft = started_with(2, 3, (uint64_t[]) {1, 1, 1}, 3, 2);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_APPEND,
											  .from = 1,
											  .term = 2,
											  .index = 3,
											  .log_term = 1}),
				 FB_OK);
	snapshot.term = 3;
	snapshot.from = 3;
	CHECK_STATUS(receive(raft, snapshot), FB_OK);
	CHECK(update.fetch_index == 3 && update.commit_index == 2);
}

/*
 * A leader whose log starts behind fetched blocks does not know the term there. So it cannot ask
 * whether a follower has the entry, and offers the blocks.
 */
static void
test_unknown_log_start(void)
{
	RaftEvent event = start_event(1, 3);
	Raft *raft;

	event.start.base_index = 5;
	event.start.base_term = 1;
	event.start.term = 3;
	event.start.commit_index = 5;
	event.start.applied_index = 5;
	raft = started(&event);
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_PRE_VOTE_RESPONSE, 2, 4), FB_OK);
	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 4), FB_OK);
	CHECK(update.role == RAFT_LEADER && update.messages_count == 2);
	for (uint32_t i = 0; i < update.messages_count; i++)
		CHECK(update.messages[i].type == RAFT_SNAPSHOT && update.messages[i].index == 5);
	/* a follower that has it gets what comes next */
	CHECK_STATUS(receive_confirmation(raft, 2, 4, 5), FB_OK);
	CHECK(update.messages_count == 1 && update.messages[0].type == RAFT_APPEND &&
		  update.messages[0].index == 5 && update.messages[0].entries_count == 1);
	/* the term of an entry of its own is known: the log can start there */
	CHECK_STATUS(persisted(raft, 6, 4), FB_OK);
	CHECK_STATUS(receive_confirmation(raft, 2, 4, 6), FB_OK);
	CHECK_STATUS(applied(raft, 6), FB_OK);
	CHECK_STATUS(compact(raft, 6), FB_OK);
	CHECK(update.log_start.index == 6 && raft->base_term_known);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_old_answers());
	CHECK_TEST(test_old_leader());
	CHECK_TEST(test_pre_vote());
	CHECK_TEST(test_votes());
	CHECK_TEST(test_timers());
	CHECK_TEST(test_compaction());
	CHECK_TEST(test_confirmation());
	CHECK_TEST(test_lost_appends());
	CHECK_TEST(test_committed_stays());
	CHECK_TEST(test_transfer());
	CHECK_TEST(test_members());
	CHECK_TEST(test_snapshot_position());
	CHECK_TEST(test_old_snapshot());
	CHECK_TEST(test_unknown_log_start());
	fb_arena_reset(&arena);
	return check_finish("raft rules");
}
