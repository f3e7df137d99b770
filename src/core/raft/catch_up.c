/*
 * catch_up.c: a follower whose next entry is gone from the leader's log. As in Fabric (ORD-8) the snapshot carries no
 * state: it names the entry after which the leader's log starts, and the newest committed configuration (which may be of
 * a later entry: that entry will follow, and until then it does no harm to know it already). The follower's host gets
 * the blocks from any node and reports. What is named stays true for ever, so it survives leader changes.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

/* again after an election timeout: the message may be lost, or the follower may have started again */
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
	TRACE(raft, "%" PRIu64 " needs entry %" PRIu64 ": get the blocks up to %" PRIu64 ", where the log starts",
		  progress->id, progress->next_index, raft->trail.base_index);
}

static FbStatus
catch_up_decode(const RaftMessage *message, RaftLogConfiguration *configuration, FbError *error)
{
	RaftLogConfiguration decoded[2];
	uint32_t count;

	FB_TRY(membership_decode_state(message->configuration, decoded, &count, error));
	if (count != 1)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft snapshot of node %" PRIu64 " must have one configuration",
					   message->from);
	*configuration = decoded[0];
	return FB_OK;
}

FbStatus
catch_up_check_snapshot(const RaftMessage *message, FbError *error)
{
	RaftLogConfiguration configuration;

	if (message->index == 0 || message->log_term == 0 || message->log_term > message->term)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft snapshot of node %" PRIu64 " has an impossible position",
					   message->from);
	return catch_up_decode(message, &configuration, error);
}

static void
catch_up_answer(Raft *raft, uint64_t to, uint64_t index)
{
	raft_send(raft, RAFT_APPEND_RESPONSE, to)->index = index;
}

void
catch_up_receive_snapshot(Raft *raft, const RaftMessage *message)
{
	FbStatus status;

	if (message->index <= raft->commit_index)
	{
		TRACE(raft, "snapshot %" PRIu64 " is not needed: committed %" PRIu64, message->index, raft->commit_index);
		catch_up_answer(raft, message->from, raft->commit_index);
		return;
	}
	/*
	 * "If existing log entry has same index and term as snapshot's last included entry, retain log entries following
	 * it" (paper, figure 13)
	 */
	if (trail_matches(&raft->trail, message->index, message->log_term))
	{
		raft_set_commit(raft, message->index);
		catch_up_answer(raft, message->from, message->index);
		return;
	}
	/* what is being fetched stays the goal; after it the leader says what is next */
	if (raft->fetch.index > 0)
		return;
	raft->fetch.index = message->index;
	raft->fetch.term = message->log_term;
	status = catch_up_decode(message, &raft->fetch.configuration, NULL);
	FB_ASSERT(status == FB_OK); /* catch_up_check_snapshot looked */
	TRACE(raft, "fetch the blocks up to %" PRIu64 "/%" PRIu64, message->index, message->log_term);
}

void
catch_up_installed(Raft *raft, uint64_t index)
{
	if (raft->fetch.index == 0 || index < raft->fetch.index)
		return;
	/*
	 * The log from here on may be anything an old leader left; without the entry before, nothing in it can be trusted.
	 * Entries up to the commit index are covered by the blocks. Everything counts as durable: the blocks are.
	 */
	if (trail_matches(&raft->trail, raft->fetch.index, raft->fetch.term))
		raft_set_commit(raft, raft->fetch.index);
	else
	{
		trail_reset(&raft->trail, raft->fetch.index, raft->fetch.term);
		raft->commit_index = raft->fetch.index;
		raft->persisted_index = raft->fetch.index;
		raft->update->log_start_changed = true;
		raft->update->log_reset = true;
		raft->update->persist_hard_state = true;
		membership_replace(raft, &raft->fetch.configuration);
		TRACE(raft, "blocks up to %" PRIu64 " are here: log restarts after %" PRIu64 "/%" PRIu64, index,
			  raft->fetch.index, raft->fetch.term);
	}
	if (index > raft->applied_reported)
		raft->applied_reported = index;
	if (raft->leader != 0 && raft->role == RAFT_FOLLOWER)
		catch_up_answer(raft, raft->leader, raft->fetch.index);
	raft->fetch.index = 0;
}

void
catch_up_forget_if_done(Raft *raft)
{
	if (raft->fetch.index > 0 && raft->fetch.index <= raft->commit_index)
		raft->fetch.index = 0;
}
