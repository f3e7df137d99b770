/*
 * core/raft: nodes that may have lost what they promised, as seen by one node (recovery.c).
 */
#include "unit/raft_node.h"

/* ---- nodes without a vote ---- */

static FbStatus
receive_without_vote(Raft *raft, uint64_t from, uint64_t nonce)
{
	return receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
										.from = from,
										.term = 3,
										.nonce = nonce,
										.recovering = true});
}

static void
test_without_vote(void)
{
	Raft *raft = ready_leader();
	RaftEvent event = start_event(2, 3);
	RaftStatus status;

	/* what a node confirmed before its loss is not known of it any longer */
	CHECK_STATUS(receive_without_vote(raft, 2, 7), FB_OK);
	raft_status(raft, &status);
	CHECK(status.followers[0].id == 2 && status.followers[0].recovering &&
		  status.followers[0].match_index == 0);
	/* of four voters one may be without a vote, not two */
	CHECK_STATUS(receive_without_vote(raft, 3, 9), FB_OK);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {4, {1, 2, 3, 4}}), FB_BUSY);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT_RESPONSE,
											  .from = 3,
											  .term = 3,
											  .nonce = 9}),
				 FB_OK);
	CHECK_STATUS(configure(raft, (RaftConfiguration) {4, {1, 2, 3, 4}}), FB_OK);

	/* it does not campaign, however long it hears nothing */
	event.start.recovery = RAFT_RECOVERY_TOLD;
	raft = started(&event);
	for (int i = 0; i < 5; i++)
	{
		CHECK_STATUS(time_out(raft), FB_OK);
		CHECK(update.role == RAFT_FOLLOWER && update.term == 0);
	}

	/* the leader that gives a node its vote back has it in this term */
	event.start.recovery = RAFT_RECOVERY_TOLD;
	event.start.established = true;
	raft = started(&event);
	CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HEARTBEAT,
											  .from = 1,
											  .term = 3,
											  .nonce = raft->nonce,
											  .recovered = true}),
				 FB_OK);
	CHECK(update.participation == RAFT_VOTING && update.persist_hard_state &&
		  update.hard_state.vote == 1);
}

/* a node that asks what it may have promised waits for a quorum of answers, and for time */
static void
test_asking(void)
{
	RaftEvent event = start_event(2, 5);
	RaftTrailEntry trail[] = {{1, 1}};
	RaftMessage answer = {.type = RAFT_HELLO_RESPONSE};
	Raft *raft;

	event.start.term = 1;
	event.start.entries = trail;
	event.start.entries_count = 1;
	now_ms = 1000;
	CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
	CHECK_STATUS(step(raft, event), FB_OK);
	CHECK(update.participation == RAFT_ASKING && update.messages_count == 4);
	answer.nonce = raft->nonce;
	answer.from = 1;
	CHECK_STATUS(receive(raft, answer), FB_OK);
	now_ms += 2 * ELECTION_MS;
	CHECK_STATUS(time_out(raft), FB_OK);
	CHECK(update.participation == RAFT_ASKING);
	/* one that is recovering itself remembers nothing */
	answer.from = 3;
	answer.recovering = true;
	CHECK_STATUS(receive(raft, answer), FB_OK);
	CHECK(update.participation == RAFT_ASKING);
	answer.from = 4;
	answer.recovering = false;
	CHECK_STATUS(receive(raft, answer), FB_OK);
	CHECK(update.participation == RAFT_VOTING);
}

/* what another node says of this one that has started: it has lost something, or nothing */
static void
test_remembered(void)
{
	static const struct
	{
		RaftMessage answer;
		RaftRecoveryReason empty;	/* of a node without state */
		RaftRecoveryReason in_term; /* of one in term 2, with an entry 1/1, that has not voted */
	} cases[] = {
		{{.index = 0}, RAFT_RECOVERY_NONE, RAFT_RECOVERY_NONE},
		{{.index = 5, .log_term = 1}, RAFT_RECOVERY_STATELESS, RAFT_RECOVERY_NONE},
		{{.leader = 3}, RAFT_RECOVERY_STATELESS, RAFT_RECOVERY_NONE},
		{{.promised_term = 1, .promised_index = 9}, RAFT_RECOVERY_REMEMBERED, RAFT_RECOVERY_NONE},
		{{.promised_term = 2, .promised_index = 1}, RAFT_RECOVERY_REMEMBERED, RAFT_RECOVERY_NONE},
		{{.promised_term = 2, .promised_index = 2},
		 RAFT_RECOVERY_REMEMBERED,
		 RAFT_RECOVERY_REMEMBERED},
		{{.promised_term = 2, .voted = true}, RAFT_RECOVERY_REMEMBERED, RAFT_RECOVERY_REMEMBERED},
		{{.promised_term = 3}, RAFT_RECOVERY_REMEMBERED, RAFT_RECOVERY_REMEMBERED},
	};
	RaftTrailEntry trail[] = {{1, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (int with_state = 0; with_state <= 1; with_state++)
		{
			RaftEvent event = start_event(2, 3);
			RaftRecoveryReason expected = with_state ? cases[i].in_term : cases[i].empty;
			RaftMessage answer = cases[i].answer;
			Raft *raft;

			if (with_state)
			{
				event.start.term = 2;
				event.start.entries = trail;
				event.start.entries_count = 1;
			}
			now_ms = 1000;
			CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
			CHECK_STATUS(step(raft, event), FB_OK);
			answer.type = RAFT_HELLO_RESPONSE;
			answer.from = 1;
			answer.nonce = raft->nonce;
			CHECK_STATUS(receive(raft, answer), FB_OK);
			CHECK(update.hard_state.recovery == expected);
			CHECK(update.participation ==
				  (expected == RAFT_RECOVERY_NONE ? RAFT_ASKING : RAFT_RECOVERING));
			CHECK(update.persist_hard_state == (expected != RAFT_RECOVERY_NONE));
		}
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_without_vote());
	CHECK_TEST(test_asking());
	CHECK_TEST(test_remembered());
	fb_arena_reset(&arena);
	return check_finish("raft memory");
}
