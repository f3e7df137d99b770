/* publish: what the orderer worker shows of itself in shared memory, for admission and for the statistics views */
#include "server/order/order_internal.h"

void
publish_status(ChannelSlot *slot, const Raft *raft, const WireSet *set, const PublishCounts *counts, uint64 now_ms)
{
	RaftStatus	status;
	RaftPublished published = {0};
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
	for (uint32 index = 0; index < status.configuration.voters_count; index++)
	{
		uint64		id = status.configuration.voters[index];
		FollowerState *follower;

		if (id == status.id)
			continue;
		follower = &published.followers[published.followers_count++];
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
			if (known->heard_ms != 0)
				follower->last_contact_at = now - (TimestampTz) (now_ms - known->heard_ms) * 1000;
		}
	}
	SpinLockAcquire(&slot->mutex);
	slot->raft = published;
	SpinLockRelease(&slot->mutex);
}
