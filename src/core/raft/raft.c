/*
 * raft.c: raft_step: dispatch of events, the rules common to all messages, and the content
 * of updates.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

FbStatus
raft_create(FbAllocator *allocator, Raft **raft, FbError *error)
{
	Raft *made = fb_allocate_zero(allocator, sizeof(Raft));

	*raft = NULL;
	if (made == NULL)
		return fb_out_of_memory(error);
	made->messages = fb_allocate_array(allocator, RAFT_UPDATE_MESSAGES_MAX, sizeof(RaftMessage));
	made->entries = fb_allocate_array(allocator, RAFT_UPDATE_ENTRIES_MAX, sizeof(RaftEntry));
	if (made->messages == NULL || made->entries == NULL)
	{
		fb_release(allocator, made->entries);
		fb_release(allocator, made->messages);
		fb_release(allocator, made);
		return fb_out_of_memory(error);
	}
	trail_init(&made->trail, allocator);
	*raft = made;
	return FB_OK;
}

/* ---- events ---- */

/*
 * the last block was made from this log: truncating what it was made from would take back a promise
 */
static FbStatus
raft_check_applied(const RaftEvent *event, uint64_t last_index, FbError *error)
{
	uint64_t index = event->start.applied_index;
	uint64_t term;

	if (index > last_index)
		return fb_fail(error, FB_CORRUPTED,
					   "Raft log ends at %" PRIu64 ", but %" PRIu64 " was applied", last_index,
					   index);
	/* the term of the log's start need not be that of the entry, see catch_up.c */
	if (index <= event->start.base_index)
		return FB_OK;
	term = event->start.entries[index - event->start.base_index - 1].term;
	if (term != event->start.applied_term)
		return fb_fail(error, FB_CORRUPTED,
					   "Raft log has an entry %" PRIu64 " of term %" PRIu64
					   ", but one of term %" PRIu64 " was applied",
					   index, term, event->start.applied_term);
	return FB_OK;
}

static FbStatus
raft_check_start_settings(const RaftEvent *event, FbError *error)
{
	if (event->start.id == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "Raft node number must not be 0");
	if (event->start.heartbeat_ms == 0 ||
		event->start.election_timeout_ms <= event->start.heartbeat_ms)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "Raft heartbeat must be shorter than the election timeout");
	if (event->start.in_flight_max == 0 || event->start.in_flight_max > RAFT_IN_FLIGHT_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "Raft appends in flight must be between 1 and %d", RAFT_IN_FLIGHT_MAX);
	if (event->start.message_bytes_max == 0 ||
		event->start.message_bytes_max > FB_RAFT_BYTES_PER_MESSAGE_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "Raft message size must be between 1 and %d bytes",
					   FB_RAFT_BYTES_PER_MESSAGE_MAX);
	return FB_OK;
}

/* the stored log, and the stored term, vote and position in it */
static FbStatus
raft_check_start_log(const RaftEvent *event, FbError *error)
{
	uint64_t last_term = event->start.base_term;
	uint64_t last_index = event->start.base_index + event->start.entries_count;

	if (event->start.entries_count > FB_RAFT_TRAIL_ENTRIES_MAX)
		return fb_fail(error, FB_CORRUPTED, "Raft log has too many entries");
	if (event->start.vote != 0 && event->start.term == 0)
		return fb_fail(error, FB_CORRUPTED, "Raft vote without a term");
	if ((event->start.base_index == 0) != (event->start.base_term == 0))
		return fb_fail(error, FB_CORRUPTED,
					   "Raft log start has an index without a term or a term without an index");
	for (size_t i = 0; i < event->start.entries_count; i++)
	{
		uint64_t term = event->start.entries[i].term;

		if (term == 0 || term < last_term)
			return fb_fail(error, FB_CORRUPTED, "terms fall in the Raft log at entry %" PRIu64,
						   event->start.base_index + 1 + i);
		last_term = term;
	}
	if (last_term > event->start.term)
		return fb_fail(error, FB_CORRUPTED, "Raft log has entries of a term above the stored one");
	if (event->start.commit_index > last_index)
		return fb_fail(error, FB_CORRUPTED,
					   "Raft log ends at %" PRIu64 ", but %" PRIu64 " was committed", last_index,
					   event->start.commit_index);
	return FB_OK;
}

/* everything is checked: what was stored becomes the state of this node */
static void
raft_take_stored(Raft *raft, const RaftEvent *event)
{
	for (size_t i = 0; i < event->start.entries_count; i++)
		trail_append(&raft->trail, event->start.entries[i].term,
					 event->start.entries[i].payload_bytes);
	raft->id = event->start.id;
	raft->election_timeout_ms = event->start.election_timeout_ms;
	raft->heartbeat_ms = event->start.heartbeat_ms;
	raft->in_flight_max = event->start.in_flight_max;
	raft->message_bytes_max = event->start.message_bytes_max;
	raft->term = event->start.term;
	raft->vote = event->start.vote;
	raft->persisted_index = trail_last_index(&raft->trail);

	/*
	 * Entries that make no block (no-ops, configurations) may be compacted although the last block
	 * is older: what is gone was applied.
	 */
	raft->applied_reported = event->start.applied_index > event->start.base_index
								 ? event->start.applied_index
								 : event->start.base_index;

	/*
	 * Applied is committed only where it was made from this log: blocks may have come from another
	 * node while this log still ends in entries that were never committed, at the same indexes.
	 */
	raft->commit_index = event->start.commit_index > event->start.base_index
							 ? event->start.commit_index
							 : event->start.base_index;
	if (event->start.applied_term > 0 && event->start.applied_index > raft->commit_index)
		raft->commit_index = event->start.applied_index;
	raft_clamp_applied(raft);
	fb_rand_seed(&raft->rand, event->start.seed);
}

static FbStatus
raft_start(Raft *raft, const RaftEvent *event, FbError *error)
{
	uint64_t last_index = event->start.base_index + event->start.entries_count;

	if (raft->started)
		return fb_fail(error, FB_INVALID_ARGUMENT, "Raft node is already started");
	FB_TRY(raft_check_start_settings(event, error));
	FB_TRY(raft_check_start_log(event, error));
	raft->configuration_fixed = event->start.configuration_fixed;
	FB_TRY(recovery_check_start(event, error));
	if (event->start.applied_term > 0)
		FB_TRY(raft_check_applied(event, last_index, error));
	FB_TRY(membership_start(raft, event->start.configuration_state, &event->start.configuration,
							error));
	/* a single one may have come with a snapshot, ahead of its entry */
	if (raft->configurations_count == 2 && raft->configurations[0].index > last_index)
		return fb_fail(error, FB_CORRUPTED, "Raft configuration is newer than the log");
	trail_reset(&raft->trail, event->start.base_index, event->start.base_term);
	raft->base_term_known = event->start.base_index == 0;
	FB_TRY(trail_reserve(&raft->trail, event->start.entries_count, error));

	raft_take_stored(raft, event);
	raft->started = true;
	raft->update->configuration_changed = true;
	raft->update->persist_hard_state =
		event->start.configuration_state.size == 0 || raft->configuration_fixed;
	raft_reset_election_timer(raft);
	/* no other voter to wait for */
	if (raft_is_voter(raft) && raft_configuration_in_force(raft)->voters_count == 1)
		raft->election_deadline_ms = raft->now_ms;
	TRACE(raft, "start with log %" PRIu64 "..%" PRIu64 ", commit %" PRIu64, raft->trail.base_index,
		  last_index, raft->commit_index);
	recovery_start(raft, event);
	return FB_OK;
}

static FbStatus
raft_submit(Raft *raft, const RaftEvent *event, FbError *error)
{
	uint32_t count = event->submit.count;

	if (count == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "nothing to submit");
	if (raft->role != RAFT_LEADER)
		return fb_fail(error, FB_NO_LEADER, "this node is not the leader");
	if (raft->transfer_to != 0)
		return fb_fail(error, FB_BUSY, "leadership is being transferred");
	if (count > RAFT_SUBMIT_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "cannot submit more than %d entries at once",
					   RAFT_SUBMIT_MAX);
	for (uint32_t i = 0; i < count; i++)
	{
		if (event->submit.payload_bytes[i] > FB_MESSAGE_BYTES_MAX - RAFT_MESSAGE_OVERHEAD_BYTES)
			return fb_fail(error, FB_LIMIT_EXCEEDED,
						   "entry of %" PRIu32 " bytes does not fit into a message",
						   event->submit.payload_bytes[i]);
	}
	if (trail_space(&raft->trail) < (size_t) count + RAFT_TRAIL_HEADROOM)
		return fb_fail(error, FB_BUSY, "Raft log is full");
	FB_TRY(trail_reserve(&raft->trail, count, error));

	raft_append_own(raft, event->submit.payload_bytes, count, RAFT_FROM_SUBMIT, RAFT_ENTRY_DATA,
					FB_BYTES_EMPTY);
	TRACE(raft, "append %" PRIu32 " from %" PRIu64, count, raft->update->entries.first_index);
	replication_broadcast(raft);
	return FB_OK;
}

static FbStatus
raft_transfer(Raft *raft, uint64_t to, bool leaving, FbError *error)
{
	RaftProgress *progress;

	if (raft->role != RAFT_LEADER)
		return fb_fail(error, FB_NO_LEADER, "this node is not the leader");
	if (raft->transfer_to != 0 && !leaving)
		return fb_fail(error, FB_BUSY, "leadership is already being transferred");
	if (to == 0)
		to = replication_successor(raft);
	if (to == 0 && raft->progress_count > 0)
		return fb_fail(error, FB_BUSY,
					   "cannot transfer leadership: all other voters are recovering");
	progress = raft_progress(raft, to);
	if (to == raft->id || progress == NULL)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "cannot transfer leadership to node %" PRIu64 ": not another voter", to);
	if (progress->recovery_nonce != 0)
		return fb_fail(error, FB_BUSY,
					   "cannot transfer leadership to node %" PRIu64 ": it is recovering", to);

	raft->transfer_to = to;
	raft->transfer_deadline_ms = raft->now_ms + raft->election_timeout_ms;
	TRACE(raft, "transfer leadership to %" PRIu64 "%s", to, leaving ? ", leaving" : "");
	if (leaving)
	{
		replication_send(raft, progress, false);
		if (progress->state == RAFT_PIPELINE &&
			progress->next_index > trail_last_index(&raft->trail))
		{
			replication_hand_over(raft);
			return FB_OK;
		}
	}
	replication_transfer_if_ready(raft);
	replication_send(raft, progress, false);
	return FB_OK;
}

static void
raft_persisted(Raft *raft, uint64_t index, uint64_t term)
{
	if (index <= raft->persisted_index || index > trail_last_index(&raft->trail) ||
		trail_term(&raft->trail, index) != term)
		return;
	raft->persisted_index = index;
	if (raft->role == RAFT_LEADER && replication_advance_commit(raft))
		replication_broadcast(raft);
}

static void
raft_compact(Raft *raft, uint64_t index)
{
	if (index > raft->applied_index)
		index = raft->applied_index;
	if (index > raft->persisted_index)
		index = raft->persisted_index;
	if (index <= raft->trail.base_index)
		return;
	trail_compact(&raft->trail, index);
	raft->base_term_known = true;
	raft->update->log_start_changed = true;
	TRACE(raft, "log starts after %" PRIu64, index);
}

/* elections that a node can have missed: one each second for more than a century */
#define TERM_STEP_MAX (UINT64_C(1) << 32)

/*
 * Terms only grow: after the last one there could never be a leader again. A node that was away
 * catches up with one large step; more than one in an election timeout is not taken, so no sender
 * can use the terms up: 2^62 of them last for 30 years at TERM_STEP_MAX per second.
 */
#define TERM_STEP_SMALL 1000

static bool
raft_term_is_in_reach(Raft *raft, const RaftMessage *message)
{
	if (message->term - raft->term <= TERM_STEP_SMALL)
		return true;
	if (message->term - raft->term <= TERM_STEP_MAX &&
		(raft->term_jump_ms == 0 || raft->now_ms >= raft->term_jump_ms + raft->election_timeout_ms))
		return true;
	TRACE(raft, "ignore %s of %" PRIu64 ": term %" PRIu64 " is out of reach",
		  raft_message_type_name(message->type), message->from, message->term);
	return false;
}

/* ---- messages: the rules common to all of them (paper, figure 2, "rules for servers") ---- */

static bool
raft_comes_from_leader(const RaftMessage *message)
{
	return message->type == RAFT_APPEND || message->type == RAFT_HEARTBEAT ||
		   message->type == RAFT_SNAPSHOT;
}

/*
 * a sender in an older term is told so: an old leader must step down, a candidate must catch up its
 * term
 */
static void
raft_receive_old(Raft *raft, const RaftMessage *message)
{
	RaftMessage *answer;

	if (raft_comes_from_leader(message))
		answer = raft_send(raft, RAFT_APPEND_RESPONSE, message->from);
	else if (message->type == RAFT_VOTE)
		answer = raft_send(raft, RAFT_VOTE_RESPONSE, message->from);
	else if (message->type == RAFT_PRE_VOTE)
		answer = raft_send(raft, RAFT_PRE_VOTE_RESPONSE, message->from);
	else
		return;
	answer->rejected = true;
	TRACE(raft, "refuse %s of %" PRIu64 ": its term %" PRIu64 " is over",
		  raft_message_type_name(message->type), message->from, message->term);
}

/* everything about a message of this or a later term that can fail; changes nothing */
static FbStatus
raft_check_message(Raft *raft, const RaftMessage *message, FbError *error)
{
	uint64_t last_index = trail_last_index(&raft->trail);

	/* "Election Safety: at most one leader can be elected in a given term" (paper, figure 3) */
	if (raft_comes_from_leader(message) && message->term == raft->term &&
		(raft->role == RAFT_LEADER || (raft->leader != 0 && raft->leader != message->from)))
		return raft_evidence(raft, RAFT_EVIDENCE_TWO_LEADERS, message->from, message->term, 0,
							 error, "nodes %" PRIu64 " and %" PRIu64 " both lead in term %" PRIu64,
							 raft->leader, message->from, message->term);
	switch (message->type)
	{
		case RAFT_APPEND:
			return replication_check_append(raft, message, error);
		case RAFT_SNAPSHOT:
			return catch_up_check_snapshot(raft, message, error);
		case RAFT_HEARTBEAT:
			if (message->commit_index > last_index && recovery_leader_knows(raft, message))
				return raft_evidence(raft, RAFT_EVIDENCE_LOST_ENTRIES, message->from, message->term,
									 message->commit_index, error,
									 "Raft log ends at %" PRIu64
									 ", but this node had confirmed %" PRIu64,
									 last_index, message->commit_index);
			return FB_OK;
		case RAFT_APPEND_RESPONSE:
			if (message->term == raft->term && raft->role == RAFT_LEADER && !message->rejected &&
				message->index > last_index)
				return raft_evidence(raft, RAFT_EVIDENCE_CONFIRMATION, message->from, message->term,
									 message->index, error,
									 "node %" PRIu64 " confirms entry %" PRIu64
									 ", but the leader's log ends at %" PRIu64,
									 message->from, message->index, last_index);
			return FB_OK;
		case RAFT_PRE_VOTE_RESPONSE:
		case RAFT_VOTE_RESPONSE:
			FB_TRY(election_check_vote_response(raft, message, error));
			return trail_space(&raft->trail) > 0 ? trail_reserve(&raft->trail, 1, error) : FB_OK;
		case RAFT_TIMEOUT_NOW:
			/* may make this node the leader: its first entry must find space */
			return trail_space(&raft->trail) > 0 ? trail_reserve(&raft->trail, 1, error) : FB_OK;
		case RAFT_PRE_VOTE:
		case RAFT_VOTE:
		case RAFT_HEARTBEAT_RESPONSE:
		case RAFT_HELLO:
		case RAFT_HELLO_RESPONSE:
			return FB_OK;
	}
	return fb_fail(error, FB_MALFORMED_MESSAGE, "unrecognized Raft message type %d",
				   (int) message->type);
}

/* a message of the current term that is not refused */
static void
raft_dispatch_message(Raft *raft, const RaftMessage *message)
{
	switch (message->type)
	{
		case RAFT_PRE_VOTE:
		case RAFT_VOTE:
			election_receive_vote(raft, message);
			break;
		case RAFT_PRE_VOTE_RESPONSE:
		case RAFT_VOTE_RESPONSE:
			election_receive_vote_response(raft, message);
			break;
		case RAFT_TIMEOUT_NOW:
			election_receive_timeout_now(raft, message);
			break;
		case RAFT_APPEND:
			replication_receive_append(raft, message);
			break;
		case RAFT_HEARTBEAT:
			replication_receive_heartbeat(raft, message);
			break;
		case RAFT_APPEND_RESPONSE:
			replication_receive_append_response(raft, message);
			break;
		case RAFT_HEARTBEAT_RESPONSE:
			replication_receive_heartbeat_response(raft, message);
			break;
		case RAFT_SNAPSHOT:
			catch_up_receive_snapshot(raft, message);
			break;
		case RAFT_HELLO:
		case RAFT_HELLO_RESPONSE:
			break;
	}
}

static FbStatus
raft_receive(Raft *raft, const RaftMessage *message, FbError *error)
{
	if (message->to != raft->id || message->from == raft->id || message->from == 0)
	{
		TRACE(raft, "ignore %s from %" PRIu64 " to %" PRIu64 ": not for this node",
			  raft_message_type_name(message->type), message->from, message->to);
		return FB_OK;
	}
	/* outside of terms: a node that has lost its own does not know them */
	if (message->type == RAFT_HELLO || message->type == RAFT_HELLO_RESPONSE)
	{
		if (message->type == RAFT_HELLO)
			recovery_receive_hello(raft, message);
		else
			recovery_receive_hello_response(raft, message);
		return FB_OK;
	}
	if (message->term < raft->term)
	{
		raft_receive_old(raft, message);
		return FB_OK;
	}
	if (!raft_term_is_in_reach(raft, message))
		return FB_OK;

	/*
	 * "If a server receives a RequestVote request within the minimum election timeout of hearing
	 * from a current leader, it does not update its term or grant its vote" (thesis 4.2.3): removed
	 * or cut-off nodes cannot disturb a working leader.
	 */
	if ((message->type == RAFT_VOTE || message->type == RAFT_PRE_VOTE) &&
		message->term > raft->term && !message->forced && raft_in_lease(raft))
	{
		TRACE(raft, "ignore %s of %" PRIu64 " for term %" PRIu64 ": leader %" PRIu64 " is alive",
			  raft_message_type_name(message->type), message->from, message->term, raft->leader);
		return FB_OK;
	}
	FB_TRY(raft_check_message(raft, message, error));

	/*
	 * "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
	 * follower"; pre-votes only ask
	 */
	if (message->term > raft->term && message->type != RAFT_PRE_VOTE &&
		!(message->type == RAFT_PRE_VOTE_RESPONSE && !message->rejected))
	{
		if (message->term - raft->term > TERM_STEP_SMALL)
			raft->term_jump_ms = raft->now_ms;
		raft_become_follower(raft, message->term, 0, raft_message_type_name(message->type));
	}
	if (raft_comes_from_leader(message))
		election_follow(raft, message->from);
	raft_dispatch_message(raft, message);
	return FB_OK;
}

/* ---- the step ---- */

static FbStatus
raft_dispatch(Raft *raft, const RaftEvent *event, FbError *error)
{
	if (event->type == RAFT_EVENT_START)
		return raft_start(raft, event, error);
	if (!raft->started)
		return fb_fail(error, FB_INVALID_ARGUMENT, "Raft node is not started");
	switch (event->type)
	{
		case RAFT_EVENT_START:
			break;
		case RAFT_EVENT_RECEIVE:
			return raft_receive(raft, event->receive, error);
		case RAFT_EVENT_PERSISTED:
			raft_persisted(raft, event->persisted.index, event->persisted.term);
			return FB_OK;
		case RAFT_EVENT_TIMEOUT:
			if (trail_space(&raft->trail) > 0)
				FB_TRY(trail_reserve(&raft->trail, 1, error));
			recovery_timeout(raft);
			if (raft->role == RAFT_LEADER)
				replication_timeout(raft);
			else
				election_timeout(raft);
			return FB_OK;
		case RAFT_EVENT_SUBMIT:
			return raft_submit(raft, event, error);
		case RAFT_EVENT_APPLIED:
			if (event->applied.index > raft->applied_reported)
				raft->applied_reported = event->applied.index;
			raft_clamp_applied(raft);
			return FB_OK;
		case RAFT_EVENT_CONFIGURE:
			FB_TRY(membership_configure(raft, &event->configure, error));
			if (raft->update->entries.count > 0)
				replication_broadcast(raft);
			return FB_OK;
		case RAFT_EVENT_TRANSFER:
			return raft_transfer(raft, event->transfer.to, event->transfer.leaving, error);
		case RAFT_EVENT_COMPACT:
			raft_compact(raft, event->compact.index);
			return FB_OK;
		case RAFT_EVENT_SNAPSHOT_INSTALLED:
			catch_up_installed(raft, event->snapshot_installed.index,
							   &event->snapshot_installed.configuration);
			raft_clamp_applied(raft);
			return FB_OK;
		case RAFT_EVENT_RECOVER:
			if (event->recover.begin)
				recovery_begin(raft, RAFT_RECOVERY_TOLD, 0);
			else
				recovery_end_as_told(raft);
			return FB_OK;
		case RAFT_EVENT_ABSTAIN:
			raft->abstains = event->abstain;
			return FB_OK;
	}
	return fb_fail(error, FB_INVALID_ARGUMENT, "unrecognized Raft event %d", (int) event->type);
}

static uint64_t
raft_deadline(const Raft *raft)
{
	uint64_t deadline_ms = UINT64_MAX;

	if (!raft->started)
		return UINT64_MAX;
	if (raft->role == RAFT_LEADER)
	{
		deadline_ms = raft->more_to_send ? raft->now_ms : raft->heartbeat_deadline_ms;
		if (raft->transfer_to != 0 && raft->transfer_deadline_ms < deadline_ms)
			deadline_ms = raft->transfer_deadline_ms;
	}
	else if (raft_is_voter(raft))
		deadline_ms = raft->election_deadline_ms;
	return deadline_ms < recovery_deadline(raft) ? deadline_ms : recovery_deadline(raft);
}

/* the part of an update that is always filled in */
static void
raft_fill(Raft *raft, RaftUpdate *update)
{
	if (update->configuration_changed)
		raft->configuration_state_bytes =
			membership_encode_state(raft->configurations, raft->configurations_count,
									raft->configuration_state);
	update->hard_state.term = raft->term;
	update->hard_state.vote = raft->vote;
	update->hard_state.commit_index = raft->commit_index;
	update->hard_state.configuration_state =
		fb_bytes(raft->configuration_state, raft->configuration_state_bytes);
	update->hard_state.recovery = raft->recovery;
	update->hard_state.recovery_witness = raft->recovery_witness;
	update->hard_state.established = raft->established;
	update->hard_state.memory = fb_bytes(raft->memory, recovery_encode_memory(raft, raft->memory));
	if (update->persist_hard_state)
		raft->promises_changed = false;
	update->log_start.index = raft->trail.base_index;
	update->log_start.term = raft->trail.base_term;
	update->messages_count = raft->messages_count;
	update->messages = raft->messages;
	update->apply_index =
		raft->commit_index < raft->persisted_index ? raft->commit_index : raft->persisted_index;
	update->fetch_index = raft->fetch.index;
	update->fetch_from = raft->fetch.index > 0 ? raft->leader : 0;
	update->deadline_ms = raft_deadline(raft);
	update->role = raft->role;
	update->term = raft->term;
	update->leader = raft->leader;
	update->commit_index = raft->commit_index;
	update->last_index = trail_last_index(&raft->trail);
	update->participation = raft->participation;
	update->leader_ready =
		raft->role == RAFT_LEADER && raft->applied_index >= raft->term_start_index;
}

FbStatus
raft_step(Raft *raft, const RaftEvent *event, RaftUpdate *update, FbError *error)
{
	RaftRole old_role = raft->role;
	uint64_t old_term = raft->term;
	uint64_t old_leader = raft->leader;
	FbStatus status;

	memset(update, 0, sizeof(*update));
	raft->update = update;
	raft->messages_count = 0;
	raft->entries_used = 0;
	raft->appends_count = 0;
	raft->trace_bytes = 0;
	raft->trace[0] = '\0';
	if (event->now_ms > raft->now_ms)
		raft->now_ms = event->now_ms;

	status = raft_dispatch(raft, event, error);
	if (status == FB_OK)
		catch_up_forget_if_over(raft);
	else
		FB_ASSERT(raft->messages_count == 0 && update->entries.count == 0 &&
				  raft->term == old_term);

	update->role_changed =
		raft->role != old_role || raft->term != old_term || raft->leader != old_leader;
	raft_fill(raft, update);
	raft->update = NULL;
	return status;
}

/* ---- looking inside ---- */

void
raft_status(const Raft *raft, RaftStatus *status)
{
	memset(status, 0, sizeof(*status));
	status->id = raft->id;
	status->role = raft->role;
	status->term = raft->term;
	status->vote = raft->vote;
	status->leader = raft->leader;
	status->transfer_to = raft->transfer_to;
	status->base_index = raft->trail.base_index;
	status->last_index = trail_last_index(&raft->trail);
	status->persisted_index = raft->persisted_index;
	status->commit_index = raft->commit_index;
	status->applied_index = raft->applied_index;
	status->configuration = raft->configurations[0].configuration;
	status->configuration_index = raft->configurations[0].index;
	status->configuration_committed = raft->configurations[0].index <= raft->commit_index;
	status->committed_configuration = membership_committed(raft)->configuration;
	status->participation = raft->participation;
	status->recovery = raft->recovery;
	status->recovery_witness = raft->recovery_witness;
	status->recovery_index = raft->recovery_index;
	for (uint32_t i = 0; i < raft->witnesses_count; i++)
	{
		status->answered_count += raft->witnesses[i].answered ? 1 : 0;
		status->other_recovering_count +=
			raft->witnesses[i].answered && raft->witnesses[i].recovering ? 1 : 0;
	}
	if (raft->role != RAFT_LEADER)
		return;
	status->followers_count = raft->progress_count;
	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		const RaftProgress *progress = &raft->progress[i];
		RaftFollowerStatus *follower = &status->followers[i];

		follower->id = progress->id;
		follower->state = progress->state;
		follower->match_index = progress->match_index;
		follower->next_index = progress->next_index;
		follower->in_flight_count = progress->in_flight_count;
		follower->heard_ms = progress->heard_ms;
		follower->recovering = progress->recovery_nonce != 0;
		follower->active = !follower->recovering && progress->heard_ms > 0 &&
						   progress->heard_ms + raft->election_timeout_ms > raft->now_ms;
	}
}

bool
raft_status_keeps_quorum(const RaftStatus *status, const RaftConfiguration *next)
{
	uint32_t active = raft_configuration_has(next, status->id) ? 1 : 0;

	for (uint32_t i = 0; i < status->followers_count; i++)
	{
		if (status->followers[i].active && raft_configuration_has(next, status->followers[i].id))
			active++;
	}
	return next->voters_count > 0 && active >= quorum_size(next->voters_count);
}

uint64_t
raft_entry_term(const Raft *raft, uint64_t index)
{
	return trail_term(&raft->trail, index);
}

uint64_t
raft_tail_start(const Raft *raft, uint64_t last_index, uint64_t bytes_max)
{
	const RaftTrail *trail = &raft->trail;
	uint64_t index = last_index < trail_last_index(trail) ? last_index : trail_last_index(trail);
	uint64_t bytes = 0;

	while (index > trail->base_index)
	{
		bytes += trail_payload_bytes(trail, index);
		if (bytes > bytes_max)
			break;
		index--;
	}
	return index;
}
