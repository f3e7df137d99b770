/*
 * catch_up.c: a follower whose next entry the leader's log no longer contains. As in Fabric the
 * snapshot carries no state: it names the entry after which the leader's log starts, and the newest
 * committed configuration (which may be of a later entry: that entry will follow, and until then it
 * does no harm to know it already). The follower's host gets the blocks from any node and reports.
 *
 * An offer is one node's word, and the node may lie. What it can do is bounded by four rules:
 *
 *   It expires. An offer counts while the leader that made it is followed, in the term in which it
 * was made, and repeats it (catch_up_send does, once per election timeout). The next leader
 * makes its own offer if one is needed, so dropping an offer costs one round trip, and an index
 * that no ledger ever reaches delays this node only while a leader keeps repeating it.
 *
 *   It alone changes nothing. The log is replaced only when the host reports that its ledger has
 * come that far, and how far the ledger is follows from blocks that the host has checked, never
 * from the offer.
 *
 *   Its term is not believed. The new log start gets the term of this node's own last committed
 * entry, which is never above the true one; an offered term that is too high would win elections
 * with a log that lacks entries. A term that is too low does no harm: as a candidate this node
 * claims less than it has, and as a voter it was not part of the majority that committed what it
 * fetched, so its vote is not what protects those entries. What leaders append behind the log start
 * is accepted whatever term they give it: replication_follows. As a leader it must not use that
 * term to prove that logs are equal, because another node may have another entry with it, which an
 * earlier leader left there: if a follower is not known to have the entry at the log's start, it is
 * sent a snapshot instead of the entries behind (replication_send_one). For the same reason a
 * follower takes the entry that a snapshot names for its own only if it has already accepted it, or
 * one after it, from the leader of this term, never because the terms are the same.
 *
 *   Its configuration counts only where configurations may change at all (RaftEvent, START), and
 * where the host cannot tell from the blocks who votes (SNAPSHOT_INSTALLED).
 *
 * Rejected: to ask the other voters for the term of the offered entry. They may have forgotten it,
 * and a quorum of two with one node down would be stuck.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

/*
 * again after an election timeout: the message may be lost, or the follower may have started again
 */
void
catch_up_send(Raft *raft, RaftProgress *progress)
{
	RaftMessage *message;
	size_t bytes;

	if (progress->state != RAFT_CATCH_UP)
		progress_to_catch_up(progress);
	else if (raft->now_ms < progress->sent_ms + raft->election_timeout_ms)
		return;
	progress->sent_ms = raft->now_ms;

	bytes = membership_encode_state(membership_committed(raft), 1, raft->snapshot_configuration);
	message = raft_send(raft, RAFT_SNAPSHOT, progress->id);
	message->early = true;
	message->index = raft->trail.base_index;
	message->log_term = raft->trail.base_term;
	message->configuration = fb_bytes(raft->snapshot_configuration, bytes);
	message->nonce = progress->recovery_nonce;
	TRACE(raft,
		  "%" PRIu64 " needs entry %" PRIu64 ": get the blocks up to %" PRIu64
		  ", where the log starts",
		  progress->id, progress->next_index, raft->trail.base_index);
}

static FbStatus
catch_up_decode(const RaftMessage *message, RaftLogConfiguration *configuration, FbError *error)
{
	RaftLogConfiguration decoded[2];
	uint32_t count;

	FB_TRY(membership_decode_state(message->configuration, decoded, &count, error));
	if (count != 1)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft snapshot of node %" PRIu64 " must have one configuration",
					   message->from);
	*configuration = decoded[0];
	return FB_OK;
}

FbStatus
catch_up_check_snapshot(Raft *raft, const RaftMessage *message, FbError *error)
{
	RaftLogConfiguration configuration;

	if (message->index == 0 || message->log_term == 0 || message->log_term > message->term)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft snapshot of node %" PRIu64 " has an impossible position",
					   message->from);
	FB_TRY(catch_up_decode(message, &configuration, error));
	return membership_check_fixed(raft, message, &configuration.configuration, error);
}

static void
catch_up_answer(Raft *raft, uint64_t to, uint64_t index, const RaftMessage *received)
{
	RaftMessage *answer = raft_send(raft, RAFT_APPEND_RESPONSE, to);

	answer->index = index;
	recovery_mark_answer(raft, answer, received);
}

/* this leader's entry of this index, and not just one of the same term, is in this log */
static bool
catch_up_has_entry(const Raft *raft, uint64_t index)
{
	return raft->equal_term == raft->term && index <= raft->equal_index;
}

void
catch_up_receive_snapshot(Raft *raft, const RaftMessage *message)
{
	FbStatus status;

	if (message->index <= raft->commit_index)
	{
		TRACE(raft, "snapshot %" PRIu64 " is not needed: committed %" PRIu64, message->index,
			  raft->commit_index);
		catch_up_answer(raft, message->from, raft->commit_index, message);
		return;
	}
	/*
	 * "If existing log entry has same index and term as snapshot's last included entry, retain log
	 * entries following it" (paper, figure 13). The same term is not enough: see the top of the
	 * file.
	 */
	if (catch_up_has_entry(raft, message->index))
	{
		raft_set_commit(raft, message->index);
		catch_up_answer(raft, message->from, message->index, message);
		return;
	}
	/*
	 * what is being fetched stays the goal, unless the leader has never been that far; after it the
	 * leader says what is next
	 */
	catch_up_forget_if_over(raft);
	if (raft->fetch.index > 0 && raft->fetch.index <= message->index)
	{
		raft->fetch.confirmed_ms = raft->now_ms;
		return;
	}
	raft->fetch.index = message->index;
	raft->fetch.log_term = message->log_term;
	raft->fetch.leader = message->from;
	raft->fetch.leader_term = message->term;
	raft->fetch.confirmed_ms = raft->now_ms;
	status = catch_up_decode(message, &raft->fetch.configuration, NULL);
	FB_ASSERT(status == FB_OK); /* catch_up_check_snapshot looked */
	TRACE(raft, "fetch the blocks up to %" PRIu64 "/%" PRIu64, message->index, message->log_term);
}

/* see the top of the file; at least 1, since a log start has a term */
static uint64_t
catch_up_log_start_term(const Raft *raft)
{
	uint64_t term = trail_term(&raft->trail, raft->commit_index);

	if (term > raft->fetch.log_term)
		term = raft->fetch.log_term;
	return term > 0 ? term : 1;
}

void
catch_up_installed(Raft *raft, uint64_t index, const RaftConfiguration *configuration)
{
	if (raft->fetch.index == 0 || index < raft->fetch.index)
		return;
	/*
	 * The log from here on may be anything an old leader left; without the entry before, nothing in
	 * it can be trusted. Entries up to the commit index are covered by the blocks. Everything
	 * counts as durable: the blocks are.
	 */
	if (catch_up_has_entry(raft, raft->fetch.index))
		raft_set_commit(raft, raft->fetch.index);
	else
	{
		trail_reset(&raft->trail, raft->fetch.index, catch_up_log_start_term(raft));
		raft->base_term_known = false;
		raft->commit_index = raft->fetch.index;
		raft->persisted_index = raft->fetch.index;
		raft->update->log_start_changed = true;
		raft->update->log_reset = true;
		raft->update->persist_hard_state = true;
		if (configuration->voters_count > 0)
			raft->fetch.configuration = (RaftLogConfiguration) {raft->fetch.index, *configuration};
		if (!raft->configuration_fixed)
			membership_replace(raft, &raft->fetch.configuration);
		TRACE(raft, "blocks up to %" PRIu64 " are here: log restarts after %" PRIu64 "/%" PRIu64,
			  index, raft->fetch.index, raft->trail.base_term);
	}
	if (index > raft->applied_reported)
		raft->applied_reported = index;
	if (raft->leader != 0 && raft->role == RAFT_FOLLOWER)
		catch_up_answer(raft, raft->leader, raft->fetch.index, NULL);
	raft->fetch.index = 0;
}

/* an offer is repeated once per election timeout: so many may get lost */
#define OFFERS_LOST_MAX 4

/* done, or no longer repeated by the leader of this term */
void
catch_up_forget_if_over(Raft *raft)
{
	if (raft->fetch.index == 0)
		return;
	if (raft->fetch.index > raft->commit_index && raft->fetch.leader_term == raft->term &&
		(raft->leader == 0 || raft->leader == raft->fetch.leader) &&
		raft->now_ms < raft->fetch.confirmed_ms + OFFERS_LOST_MAX * raft->election_timeout_ms)
		return;
	if (raft->fetch.index > raft->commit_index)
		TRACE(raft, "the blocks up to %" PRIu64 " are no longer wanted", raft->fetch.index);
	raft->fetch.index = 0;
}
