/*
 * election.c: elections (paper 5.2, 5.4.1; thesis 3.10 leadership transfer, 9.6 pre-vote).
 *
 *   follower      -- election timeout -->                        pre_candidate
 *   pre_candidate -- a quorum would vote for it -->              candidate
 *   candidate     -- a quorum votes for it -->                   leader
 *   any           -- a later term, or this term's leader -->     follower
 *   follower      -- timeout_now -->                             candidate
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

static bool
election_voted(const uint64_t *voters, uint32_t count, uint64_t node)
{
	for (uint32_t i = 0; i < count; i++)
	{
		if (voters[i] == node)
			return true;
	}
	return false;
}

void
election_follow(Raft *raft, uint64_t leader)
{
	if (raft->role != RAFT_FOLLOWER || raft->leader != leader)
		raft_become_follower(raft, raft->term, leader, "heard from the leader");
	raft->leader_heard_ms = raft->now_ms;
	raft_reset_election_timer(raft);
}

static void
election_become_leader(Raft *raft)
{
	raft->role = RAFT_LEADER;
	raft->leader = raft->id;
	recovery_note_votes(raft);
	TRACE(raft, "become leader with log %" PRIu64 "/%" PRIu64, trail_last_index(&raft->trail),
		  trail_last_term(&raft->trail));
	replication_lead(raft);
}

static void election_campaign(Raft *raft, bool pre, bool forced);

static void
election_count(Raft *raft)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);

	switch (quorum_vote(raft->granted_count, raft->rejected_count, configuration->voters_count))
	{
		case RAFT_VOTE_WON:
			if (raft->role == RAFT_PRE_CANDIDATE)
				election_campaign(raft, false, false);
			else
				election_become_leader(raft);
			break;
		case RAFT_VOTE_LOST:
			raft_become_follower(raft, raft->term, 0, "a quorum refused");
			break;
		case RAFT_VOTE_PENDING:
			break;
	}
}

static void
election_campaign(Raft *raft, bool pre, bool forced)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);

	raft->leader = 0;
	raft_forget_votes(raft);
	raft_reset_election_timer(raft);
	raft->granted_by[raft->granted_count++] = raft->id;
	if (pre)
		raft->role = RAFT_PRE_CANDIDATE;
	else
	{
		/* "To begin an election, a follower increments its current term ... votes for itself" */
		raft->role = RAFT_CANDIDATE;
		raft->term++;
		raft->vote = raft->id;
		raft->update->persist_hard_state = true;
	}
	TRACE(raft, "campaign with log %" PRIu64 "/%" PRIu64 "%s", trail_last_index(&raft->trail),
		  trail_last_term(&raft->trail), forced ? ", as the leader wishes" : "");
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		RaftMessage *message;

		if (configuration->voters[i] == raft->id)
			continue;
		message = raft_send(raft, pre ? RAFT_PRE_VOTE : RAFT_VOTE, configuration->voters[i]);
		message->term = pre ? raft->term + 1 : raft->term;
		message->index = trail_last_index(&raft->trail);
		message->log_term = trail_last_term(&raft->trail);
		message->forced = forced;
	}
	/* the only voter has won already */
	election_count(raft);
}

/*
 * A node whose log has no space for a first entry cannot lead; one outside the configuration may
 * not, nor one that may have forgotten a vote; and one whose log a quorum has refuted would be
 * elected again and again, because elections compare terms and indexes only.
 */
static bool
election_may_campaign(const Raft *raft)
{
	return raft_is_voter(raft) && trail_space(&raft->trail) > 0 &&
		   raft->participation == RAFT_VOTING && !raft->refuted && !raft->abstains;
}

void
election_timeout(Raft *raft)
{
	if (raft->now_ms < raft->election_deadline_ms)
		return;
	if (!election_may_campaign(raft))
	{
		/* a leader that is not heard any longer is none, also to a node that cannot replace it */
		if (raft->leader != 0)
			TRACE(raft, "lose leader %" PRIu64 ": it is silent", raft->leader);
		raft->leader = 0;
		raft_reset_election_timer(raft);
		return;
	}
	election_campaign(raft, true, false);
}

void
election_receive_timeout_now(Raft *raft, const RaftMessage *message)
{
	/*
	 * only the leader may transfer its leadership: from another node this message would end a
	 * leadership that works
	 */
	if (raft->role != RAFT_FOLLOWER || raft->leader != message->from ||
		!election_may_campaign(raft))
	{
		TRACE(raft, "ignore timeout_now of %" PRIu64, message->from);
		return;
	}
	election_campaign(raft, false, true);
}

/*
 * "The RequestVote RPC includes information about the candidate's log, and the voter denies its
 * vote if its own log is more up-to-date than that of the candidate" (paper 5.4.1).
 */
void
election_receive_vote(Raft *raft, const RaftMessage *message)
{
	bool pre = message->type == RAFT_PRE_VOTE;
	uint64_t last_index = trail_last_index(&raft->trail);
	uint64_t last_term = trail_last_term(&raft->trail);
	bool up_to_date = message->log_term > last_term ||
					  (message->log_term == last_term && message->index >= last_index);
	bool free_to_vote = raft->vote == message->from || (raft->vote == 0 && raft->leader == 0) ||
						(pre && message->term > raft->term);
	RaftMessage *answer;

	/* there is no term yet to refuse in */
	if (raft->participation != RAFT_VOTING && raft->term == 0)
	{
		TRACE(raft, "ignore %s of %" PRIu64 ": %s", raft_message_type_name(message->type),
			  message->from, raft_participation_name(raft->participation));
		return;
	}
	answer = raft_send(raft, pre ? RAFT_PRE_VOTE_RESPONSE : RAFT_VOTE_RESPONSE, message->from);
	answer->rejected = !up_to_date || !free_to_vote || raft->participation != RAFT_VOTING;
	if (pre && !answer->rejected)
		answer->term = message->term;
	if (raft->participation != RAFT_VOTING)
		TRACE(raft, "refuse %s of %" PRIu64 " for term %" PRIu64 ": %s",
			  raft_message_type_name(message->type), message->from, message->term,
			  raft_participation_name(raft->participation));
	else if (answer->rejected && !free_to_vote)
		TRACE(raft,
			  "refuse %s of %" PRIu64 " for term %" PRIu64 ": voted for %" PRIu64
			  ", leader %" PRIu64,
			  raft_message_type_name(message->type), message->from, message->term, raft->vote,
			  raft->leader);
	else
		TRACE(raft,
			  "%s %s of %" PRIu64 " for term %" PRIu64 ": its log %" PRIu64 "/%" PRIu64
			  " is %s mine %" PRIu64 "/%" PRIu64,
			  answer->rejected ? "refuse" : "grant", raft_message_type_name(message->type),
			  message->from, message->term, message->index, message->log_term,
			  answer->rejected ? "behind" : "not behind", last_index, last_term);
	if (pre || answer->rejected)
		return;
	if (raft->vote != message->from)
	{
		raft->vote = message->from;
		raft->update->persist_hard_state = true;
	}
	raft_reset_election_timer(raft);
}

/*
 * Terms and the own vote are durable before anything that depends on them leaves. So no node can
 * honestly vote for this node in a term that it has not reached, or in which it voted for another
 * one: the sender lies about others, or this node has lost state.
 */
FbStatus
election_check_vote_response(Raft *raft, const RaftMessage *message, FbError *error)
{
	bool pre = message->type == RAFT_PRE_VOTE_RESPONSE;
	uint64_t term_max = pre ? raft->term + 1 : raft->term;

	if (message->rejected)
		return FB_OK;
	if (message->term > term_max || (!pre && message->term == raft->term && raft->vote != raft->id))
		return raft_evidence(raft, RAFT_EVIDENCE_VOTE, message->from, message->term, 0, error,
							 "node %" PRIu64 " votes for this node in term %" PRIu64
							 ", in which it was no candidate",
							 message->from, message->term);
	return FB_OK;
}

void
election_receive_vote_response(Raft *raft, const RaftMessage *message)
{
	bool pre = message->type == RAFT_PRE_VOTE_RESPONSE;
	uint64_t expected_term = pre && !message->rejected ? raft->term + 1 : raft->term;

	if (raft->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE) ||
		message->term != expected_term ||
		!raft_configuration_has(raft_configuration_in_force(raft), message->from) ||
		election_voted(raft->granted_by, raft->granted_count, message->from) ||
		election_voted(raft->rejected_by, raft->rejected_count, message->from))
	{
		TRACE(raft, "ignore %s of %" PRIu64, raft_message_type_name(message->type), message->from);
		return;
	}
	if (message->rejected)
		raft->rejected_by[raft->rejected_count++] = message->from;
	else
		raft->granted_by[raft->granted_count++] = message->from;
	TRACE(raft, "%" PRIu64 " %s", message->from, message->rejected ? "refuses" : "grants");
	election_count(raft);
}
