/*
 * publish.c: the orderer worker publishes its status in shared memory, for admission and for the
 * statistics views.
 */
#include "server/order/order_internal.h"

void
publish_status(ChannelSlot *slot, const Raft *raft, const WireSet *set, const PublishCounts *counts,
			   uint64 now_ms)
{
	RaftStatus status;
	RaftSummary published = {0};
	FollowerState followers[FB_RAFT_NODES_MAX] = {0};
	int followers_count = 0;
	TimestampTz now = GetCurrentTimestamp();

	raft_status(raft, &status);
	published.raft_id = status.id;
	published.role = status.role;
	published.term = status.term;
	published.leader_id = status.leader;
	published.leaderless_since = counts->leaderless_since;
	published.last_index = status.last_index;
	published.pending_count = counts->pending_count;
	published.pending_bytes = counts->pending_bytes;
	published.leader_changes_count = counts->leader_changes_count;
	published.batches_count = counts->batches_count;
	published.dropped_count = counts->dropped_count;
	published.participation = status.participation;
	published.recovery_index = status.recovery_index;
	published.others_recovering_count = status.other_recovering_count;
	published.recovering_since = counts->recovering_since;
	strlcpy(published.recovery_detail, counts->recovery_detail, sizeof(published.recovery_detail));
	published.voters_count = status.committed_configuration.voters_count;
	memcpy(published.voters, status.committed_configuration.voters, sizeof(published.voters));
	for (uint32 index = 0; index < status.configuration.voters_count; index++)
	{
		uint64 id = status.configuration.voters[index];
		FollowerState *follower;

		if (id == status.id)
			continue;
		follower = &followers[followers_count++];
		follower->raft_id = id;
		follower->connected = wire_set_connected(set, id);
		for (uint32 position = 0; position < status.followers_count; position++)
		{
			const RaftFollowerStatus *known = &status.followers[position];

			if (known->id != id)
				continue;
			follower->match_index = known->match_index;
			follower->next_index = known->next_index;
			follower->progress = known->state;
			follower->recovering = known->recovering;
			if (known->heard_ms != 0)
				follower->last_contact_at = now - (TimestampTz) (now_ms - known->heard_ms) * 1000;
		}
	}
	slot_publish_raft(slot, &published, followers, followers_count);
}

/*
 * A normal election takes two election timeouts at most, and the first connections take a moment.
 */
#define LEADERLESS_TIMEOUTS 3
#define LEADERLESS_REPORT_MS 1000

static void
report_leaderless(OrderNode *node)
{
	StringInfoData lacking;
	int connected_count = 0;
	FbError why;

	initStringInfo(&lacking);
	for (int index = 0; index < node->settings.peers_count; index++)
	{
		uint64 id = node->settings.peers[index].id;
		WireSetPeerState state;

		if (!wire_set_peer_state(node->wires, id, &state))
			continue;
		if (state.connected)
			connected_count++;
		else
			appendStringInfo(&lacking, " Not consenter %llu at %s: %s.", (unsigned long long) id,
							 state.address,
							 state.last_error[0] != '\0' ? state.last_error
														 : "it has not answered yet");
	}
	fb_fail(&why, FB_NO_LEADER, "the channel has no leader: nothing is ordered");
	fb_error_detail(
		&why,
		"Of %d other consenters this node is connected to %d; a leader needs the votes of %d of %d.%s",
		node->settings.peers_count, connected_count, (node->settings.peers_count + 1) / 2 + 1,
		node->settings.peers_count + 1, lacking.data);
	fb_error_hint(&why, "See the conditions of topic consenter, here and at the other orderers.");
	pfree(lacking.data);
	condition_report(node->channel, "leader", NULL, &why);
}

void
publish_leadership(OrderNode *node)
{
	if (node->leader != 0)
	{
		if (node->leaderless_told_ms != 0)
			condition_end(node->channel, "leader", NULL);
		node->leaderless_ms = node->leaderless_told_ms = 0;
		return;
	}
	if (node->leaderless_ms == 0)
		node->leaderless_ms = node->now_ms;
	if (node->now_ms <
			node->leaderless_ms + LEADERLESS_TIMEOUTS * (uint64) guc_raft_election_timeout ||
		(node->leaderless_told_ms != 0 &&
		 node->now_ms < node->leaderless_told_ms + LEADERLESS_REPORT_MS))
		return;
	node->leaderless_told_ms = node->now_ms;
	report_leaderless(node);
}
