/*
 * raft_state.c: what every part of Raft reads and changes of a node's state: sets of voters, the
 * outbox, the commit index, the role of a follower. It calls nothing of the parts, so that these
 * (election, replication, membership, recovery, catch_up) need not call one another in circles.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

/* ---- sets of nodes ---- */

bool
raft_configuration_has(const RaftConfiguration *configuration, uint64_t node)
{
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		if (configuration->voters[i] == node)
			return true;
	}
	return false;
}

bool
raft_configuration_add(RaftConfiguration *configuration, uint64_t node)
{
	uint32_t at = configuration->voters_count;

	if (node == 0 || at >= FB_RAFT_NODES_MAX || raft_configuration_has(configuration, node))
		return false;
	for (; at > 0 && configuration->voters[at - 1] > node; at--)
		configuration->voters[at] = configuration->voters[at - 1];
	configuration->voters[at] = node;
	configuration->voters_count++;
	return true;
}

bool
raft_configuration_remove(RaftConfiguration *configuration, uint64_t node)
{
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		if (configuration->voters[i] != node)
			continue;
		memmove(configuration->voters + i, configuration->voters + i + 1,
				(configuration->voters_count - i - 1) * sizeof(uint64_t));
		configuration->voters_count--;
		return true;
	}
	return false;
}

/* ---- the node ---- */

const RaftConfiguration *
raft_configuration_in_force(const Raft *raft)
{
	return &raft->configurations[0].configuration;
}

bool
raft_is_voter(const Raft *raft)
{
	return raft_configuration_has(raft_configuration_in_force(raft), raft->id);
}

RaftMessage *
raft_send(Raft *raft, RaftMessageType type, uint64_t to)
{
	RaftMessage *message = &raft->messages[raft->messages_count];

	FB_ASSERT(raft->messages_count < RAFT_UPDATE_MESSAGES_MAX);
	raft->messages_count++;
	memset(message, 0, sizeof(*message));
	message->type = type;
	message->from = raft->id;
	message->to = to;
	message->term = raft->term;
	return message;
}

void
raft_clamp_applied(Raft *raft)
{
	raft->applied_index =
		raft->applied_reported < raft->commit_index ? raft->applied_reported : raft->commit_index;
}

void
raft_set_commit(Raft *raft, uint64_t index)
{
	FB_ASSERT(index <= trail_last_index(&raft->trail));
	if (index <= raft->commit_index)
		return;
	raft->commit_index = index;
	raft_clamp_applied(raft);
	TRACE(raft, "commit %" PRIu64, index);
}

FbStatus
raft_evidence(Raft *raft, RaftEvidenceKind kind, uint64_t node, uint64_t term, uint64_t index,
			  FbError *error, const char *format, ...)
{
	raft->update->evidence = (RaftEvidence) {kind, node, term, index};
	if (error != NULL)
	{
		va_list arguments;

		fb_fail(error, FB_CORRUPTED, "%s", "");
		va_start(arguments, format);
		fb_print_cut(error->message, sizeof(error->message), format, arguments);
		va_end(arguments);
	}
	return FB_CORRUPTED;
}

void
raft_append_own(Raft *raft, const uint32_t *payload_bytes, uint32_t count, RaftEntriesSource source,
				RaftEntryKind kind, FbBytes payload)
{
	RaftUpdate *update = raft->update;

	FB_ASSERT(update->entries.count == 0);
	update->entries.first_index = trail_last_index(&raft->trail) + 1;
	update->entries.count = count;
	update->entries.source = source;
	update->entries.last_term = raft->term;
	update->entries.kind = kind;
	update->entries.payload = payload;
	for (uint32_t i = 0; i < count; i++)
		trail_append(&raft->trail, raft->term, payload_bytes[i]);
}

RaftProgress *
raft_progress(Raft *raft, uint64_t id)
{
	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		if (raft->progress[i].id == id)
			return &raft->progress[i];
	}
	return NULL;
}

bool
raft_is_recovering(Raft *raft, uint64_t id)
{
	const RaftProgress *progress = raft_progress(raft, id);

	return progress != NULL && progress->recovery_nonce != 0;
}

/* "Raft uses randomized election timeouts to ensure that split votes are rare" (paper 5.2) */
void
raft_reset_election_timer(Raft *raft)
{
	raft->election_deadline_ms = raft->now_ms + raft->election_timeout_ms +
								 fb_rand_below(&raft->rand, raft->election_timeout_ms);
}

/* a leader's own lease ends by stepping down: replication_timeout watches its quorum */
bool
raft_in_lease(const Raft *raft)
{
	if (raft->role == RAFT_LEADER)
		return true;
	return raft->leader != 0 && raft->now_ms < raft->leader_heard_ms + raft->election_timeout_ms;
}

/* count one answer per node and campaign, and only those of voters */
void
raft_forget_votes(Raft *raft)
{
	raft->granted_count = 0;
	raft->rejected_count = 0;
}

void
raft_become_follower(Raft *raft, uint64_t term, uint64_t leader, const char *why)
{
	TRACE(raft, "become follower in term %" PRIu64 ": %s", term, why);
	if (term > raft->term)
	{
		raft->term = term;
		raft->vote = 0;
		raft->update->persist_hard_state = true;
	}
	raft->role = RAFT_FOLLOWER;
	raft->leader = leader;
	raft->leader_heard_ms = raft->now_ms;
	raft->progress_count = 0;
	raft->transfer_to = 0;
	raft->more_to_send = false;
	raft_forget_votes(raft);
	raft_reset_election_timer(raft);
}
