/*
 * raft_node.h: one node of core/raft, event by event: what the tests of its rules have in common.
 */
#ifndef FABRIC_TEST_UNIT_RAFT_NODE_H
#define FABRIC_TEST_UNIT_RAFT_NODE_H

#include "unit/check.h"

#include "core/raft/raft_internal.h"

#define ELECTION_MS 1000

static FbArena arena;
static RaftUpdate update;
static FbError error;
static uint64_t now_ms;

static inline FbStatus
step(Raft *raft, RaftEvent event)
{
	event.now_ms = now_ms;
	return raft_step(raft, &event, &update, &error);
}

static inline FbStatus
receive(Raft *raft, RaftMessage message)
{
	if (message.to == 0)
		message.to = raft->id;
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_RECEIVE, .receive = &message});
}

static inline FbStatus
receive_simple(Raft *raft, RaftMessageType type, uint64_t from, uint64_t term)
{
	return receive(raft, (RaftMessage) {.type = type, .from = from, .term = term});
}

static inline FbStatus
receive_confirmation(Raft *raft, uint64_t from, uint64_t term, uint64_t index)
{
	return receive(raft, (RaftMessage) {.type = RAFT_APPEND_RESPONSE,
										.from = from,
										.term = term,
										.index = index});
}

static inline FbStatus
time_out(Raft *raft)
{
	if (update.deadline_ms > now_ms)
		now_ms = update.deadline_ms;
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_TIMEOUT});
}

static inline FbStatus
submit(Raft *raft, uint32_t count)
{
	static const uint32_t sizes[RAFT_SUBMIT_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};

	return step(raft, (RaftEvent) {.type = RAFT_EVENT_SUBMIT, .submit = {sizes, count}});
}

static inline FbStatus
persisted(Raft *raft, uint64_t index, uint64_t term)
{
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_PERSISTED, .persisted = {index, term}});
}

static inline FbStatus
applied(Raft *raft, uint64_t index)
{
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_APPLIED, .applied = {index}});
}

static inline FbStatus
compact(Raft *raft, uint64_t index)
{
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_COMPACT, .compact = {index}});
}

static inline FbStatus
configure(Raft *raft, RaftConfiguration configuration)
{
	return step(raft, (RaftEvent) {.type = RAFT_EVENT_CONFIGURE, .configure = configuration});
}

static inline RaftEvent
start_event(uint64_t id, uint32_t voters_count)
{
	RaftEvent event = {.type = RAFT_EVENT_START};

	event.start.id = id;
	event.start.seed = id;
	event.start.election_timeout_ms = ELECTION_MS;
	event.start.heartbeat_ms = 100;
	event.start.in_flight_max = 4;
	event.start.message_bytes_max = 1000;
	for (uint64_t voter = 1; voter <= voters_count; voter++)
		raft_configuration_add(&event.start.configuration, voter);
	return event;
}

/* a node whose questions the others have answered: they remember nothing of it */
static inline Raft *
started(const RaftEvent *event)
{
	Raft *raft;

	now_ms = 1000;
	CHECK_STATUS(raft_create(&arena.allocator, &raft, NULL), FB_OK);
	CHECK_STATUS(step(raft, *event), FB_OK);
	for (uint32_t i = 0; i < event->start.configuration.voters_count; i++)
	{
		if (event->start.configuration.voters[i] != event->start.id)
			CHECK_STATUS(receive(raft, (RaftMessage) {.type = RAFT_HELLO_RESPONSE,
													  .from = event->start.configuration.voters[i],
													  .nonce = raft->nonce}),
						 FB_OK);
	}
	return raft;
}

/* node `id` with a log of entries of these terms, in the term of the last one */
static inline Raft *
started_with(uint64_t id, uint32_t voters_count, const uint64_t *terms, uint32_t count,
			 uint64_t commit_index)
{
	RaftTrailEntry trail[16];
	RaftEvent event = start_event(id, voters_count);

	for (uint32_t i = 0; i < count; i++)
		trail[i] = (RaftTrailEntry) {terms[i], 1};
	event.start.entries = trail;
	event.start.entries_count = count;
	event.start.term = terms[count - 1];
	event.start.commit_index = commit_index;
	return started(&event);
}

/* node 1, a candidate of the term after its last entry's, with its own vote only */
static inline Raft *
candidate(uint32_t voters_count)
{
	Raft *raft = started_with(1, voters_count, (uint64_t[]) {1, 2}, 2, 0);

	CHECK_STATUS(time_out(raft), FB_OK);
	for (uint64_t voter = 2; update.role == RAFT_PRE_CANDIDATE && voter <= voters_count; voter++)
		CHECK_STATUS(receive_simple(raft, RAFT_PRE_VOTE_RESPONSE, voter, 3), FB_OK);
	CHECK(update.role == RAFT_CANDIDATE && update.term == 3);
	return raft;
}

/* node 1 of three, leader of term 3, with entries 1/1, 2/2 and its own 3/3, all durable here */
static inline Raft *
leader(void)
{
	Raft *raft = candidate(3);

	CHECK_STATUS(receive_simple(raft, RAFT_VOTE_RESPONSE, 2, 3), FB_OK);
	CHECK(update.role == RAFT_LEADER && update.last_index == 3);
	CHECK_STATUS(persisted(raft, 3, 3), FB_OK);
	return raft;
}

/* the same; its log is committed and applied */
static inline Raft *
ready_leader(void)
{
	Raft *raft = leader();

	CHECK_STATUS(receive_confirmation(raft, 2, 3, 3), FB_OK);
	CHECK_STATUS(receive_confirmation(raft, 3, 3, 3), FB_OK);
	CHECK_STATUS(applied(raft, 3), FB_OK);
	CHECK(update.commit_index == 3 && update.leader_ready);
	return raft;
}

/* the configuration that a snapshot brings */
static inline FbBytes
three_voters(void)
{
	static uint8_t state[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	RaftLogConfiguration configuration = {0, {3, {1, 2, 3}}};

	return fb_bytes(state, membership_encode_state(&configuration, 1, state));
}

/* a message that says no more than "rejected" */
static inline FbStatus
receive_rejection(Raft *raft, RaftMessageType type, uint64_t from, uint64_t term, uint64_t index)
{
	return receive(raft, (RaftMessage) {.type = type,
										.from = from,
										.term = term,
										.index = index,
										.rejected = true});
}

#endif
