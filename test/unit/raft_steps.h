/* raft_steps.h: a node of Raft, and the events that tests give it */
#ifndef FABRIC_TEST_RAFT_STEPS_H
#define FABRIC_TEST_RAFT_STEPS_H

#include "unit/check.h"
#include "core/raft/raft_internal.h"

static FbArena arena;
static RaftUpdate update;
static FbError error;

static inline RaftEvent
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
static inline Raft *
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

static inline FbStatus
timeout(Raft *raft, uint64_t now_ms)
{
	RaftEvent event = {.type = RAFT_EVENT_TIMEOUT, .now_ms = now_ms};

	return raft_step(raft, &event, &update, &error);
}

static inline FbStatus
receive(Raft *raft, RaftMessage message)
{
	RaftEvent event = {.type = RAFT_EVENT_RECEIVE, .receive = &message};

	return raft_step(raft, &event, &update, &error);
}

static inline FbStatus
persisted(Raft *raft, uint64_t index, uint64_t term)
{
	RaftEvent event = {.type = RAFT_EVENT_PERSISTED, .persisted = {index, term}};

	return raft_step(raft, &event, &update, &error);
}

static inline FbStatus
submit(Raft *raft, uint32_t count, uint32_t size)
{
	static uint32_t sizes[RAFT_SUBMIT_MAX + 1];
	RaftEvent event = {.type = RAFT_EVENT_SUBMIT, .submit = {sizes, count}};

	for (uint32_t i = 0; i <= RAFT_SUBMIT_MAX; i++)
		sizes[i] = size;
	return raft_step(raft, &event, &update, &error);
}

/* node 1 of three, leader of term 1, its no-op committed by 2 */
static inline Raft *
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

static inline FbBytes
configuration_state(uint32_t voters)
{
	RaftLogConfiguration configuration = {0};
	uint8_t *bytes = fb_allocate(&arena.allocator, RAFT_CONFIGURATION_STATE_BYTES_MAX);

	for (uint64_t voter = 1; voter <= voters; voter++)
		raft_configuration_add(&configuration.configuration, voter);
	return fb_bytes(bytes, membership_encode_state(&configuration, 1, bytes));
}

#endif
