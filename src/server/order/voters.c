/*
 * voters.c: the voters of Raft follow the consenters of the channel's configuration.
 *
 * The problem. A configuration block says who the consenters are, and Raft counts votes. If the
 * block itself changed the voters, a node would have to know the content of a block to know which
 * quorum commits it. So, as in Fabric (orderer/consensus/etcdraft/chain.go, writeConfigBlock), the
 * configuration block and the change of Raft's voters are two entries of the log, and a crash or an
 * election can happen between them.
 *
 * The rule:
 *
 * - A leader whose ledger has all configuration blocks of its log compares Raft's voters with the
 *   ids that follow from the last one (core/config/consenters.c). If they differ, it appends the
 *   change (voters_reconcile). It looks in each turn, so a new leader completes what an old one
 *   left undone. Until the change is committed, it orders nothing else (voters_settled). So the log
 *   never has two configuration blocks whose changes are open.
 * - A follower accepts an entry that changes the voters only if these are exactly the ids after the
 *   last configuration block before the entry, in its own ledger (voters_admit). If its ledger does
 *   not have that block yet, it takes the message up to the entry, and the rest when the ledger has
 *   come further. A leader alone can make no node a voter.
 * - After a snapshot, the voters follow from the blocks that the ledger then has, too.
 * - A consenter that the configuration no longer names is still a voter until the change is
 *   committed. Until then the others accept its messages (voters_accept_sender): with two
 *   consenters of which one is removed, its vote may be needed. Afterwards they refuse them; a node
 *   that has the block and is refused knows that the change is committed, and ends.
 * - A node that missed the block of its own removal notices only that there is no leader and that
 *   the others refuse its messages. Then its ledger asks other nodes for blocks.
 *
 * Rejected: voters that follow from the ledger without an entry in the log, because ledgers are not
 * at the same block when they count. Believing a leader about the voters, as Raft does: consenters
 * belong to different organizations.
 *
 * What holds afterwards. Raft's voters are those of a configuration block, or of the one before it.
 * Both are committed, and differ in one node.
 */
#include "server/order/order_internal.h"

/* log at most this often that the voters cannot follow */
#define VOTERS_TOLD_MS 60000

/* Does the ledger have all configuration blocks of this log, and the worker the last one? */
bool
voters_are_known(const OrderNode *node)
{
	return slot_applied_index(node->slot) >= node->config_index &&
		   slot_config_block(node->slot) == node->settings.config_block_number;
}

bool
voters_settled(const OrderNode *node)
{
	return voters_are_known(node) &&
		   raft_configuration_equal(&node->raft_voters, &node->settings.voters) &&
		   node->commit_index >= node->raft_voters_index;
}

void
voters_reconcile(OrderNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_CONFIGURE, .configure = node->settings.voters};
	FbError error;
	FbStatus status;

	if (node->role != RAFT_LEADER || !voters_are_known(node) ||
		raft_configuration_equal(&node->raft_voters, &node->settings.voters))
		return;
	FAULT_POINT("voters_before_change");
	status = duties_step(node, &event, NULL, &error);
	if (status == FB_OK)
		ereport(LOG, (errmsg("channel \"%s\": Raft's voters change from %u to %u", node->channel,
							 node->raft_voters.voters_count, node->settings.voters.voters_count),
					  errdetail("Configuration block %llu changes the consenters.",
								(unsigned long long) node->settings.config_block_number)));
	else if (status != FB_BUSY && status != FB_NO_LEADER && node->now_ms >= node->voters_told_ms)
	{
		node->voters_told_ms = node->now_ms + VOTERS_TOLD_MS;
		ereport(LOG,
				(fb_errcode(status),
				 errmsg("channel \"%s\": Raft's voters cannot follow configuration block %llu: %s",
						node->channel, (unsigned long long) node->settings.config_block_number,
						error.message)));
	}
}

/* ---- entries of others ---- */

/* the voters after the last configuration block that was made before this entry */
void
voters_before(OrderNode *node, uint64 index, RaftConfiguration *voters)
{
	ConsenterIds ids;

	memset(voters, 0, sizeof(*voters));
	turn_open_transaction(node);
	channel_consenter_ids_before(channel_open(node->channel), index, &ids);
	for (uint32 i = 0; i < ids.count; i++)
		(void) raft_configuration_add(voters, ids.ids[i]);
}

/* Does an entry of the message before this position bring a block that the ledger must have? */
static bool
brings_configuration(OrderNode *node, const RaftMessage *message, uint32 position)
{
	for (uint32 i = 0; i < position; i++)
	{
		BlockLink link;
		BlockBatch batch;

		if (message->entries[i].kind == RAFT_ENTRY_DATA &&
			message->index + 1 + i > slot_applied_index(node->slot) &&
			block_link_parse(message->entries[i].payload, &link, NULL) == FB_OK &&
			block_batch_parse(link.batch, node->turn_allocator, &batch, NULL) == FB_OK &&
			block_has_config(batch.data, batch.data_count))
			return true;
	}
	return false;
}

FbStatus
voters_admit(OrderNode *node, RaftMessage *message, bool *cut, FbError *error)
{
	*cut = false;
	if (!log_chain_takes(node, message))
		return FB_OK;
	for (uint32 i = 0; i < message->entries_count; i++)
	{
		uint64 index = message->index + 1 + i;
		RaftConfiguration voters;
		RaftConfiguration expected;

		if (message->entries[i].kind != RAFT_ENTRY_CONFIGURATION ||
			(index <= node->last_index &&
			 raft_entry_term(node->raft, index) == message->entries[i].term))
			continue;
		FB_TRY(raft_configuration_decode(message->entries[i].payload, &voters, error));
		if (!voters_are_known(node) || brings_configuration(node, message, i))
		{
			message->entries_count = i;
			*cut = true;
			return FB_OK;
		}
		voters_before(node, index, &expected);
		if (raft_configuration_equal(&voters, &expected))
			continue;
		fb_fail(error, FB_CORRUPTED,
				"entry %llu of consenter %llu names other voters than the channel's configuration",
				(unsigned long long) index, (unsigned long long) message->from);
		return FB_CORRUPTED;
	}
	return FB_OK;
}

/* ---- consenters that leave ---- */

uint64
voters_leaving(const OrderNode *node)
{
	RaftStatus status;

	raft_status(node->raft, &status);
	for (uint32 i = 0; i < status.committed_configuration.voters_count; i++)
	{
		uint64 id = status.committed_configuration.voters[i];

		if (id != node->raft_id && !raft_configuration_has(&node->settings.voters, id))
			return id;
	}
	return 0;
}

bool
voters_accept_sender(const Channel *channel, ChannelSlot *slot, uint64 sender_id,
					 FbBytes certificate)
{
	RaftSummary raft = {0};
	bool running;
	bool is_voter = false;

	if (consenter_ids_has(&channel->consenter_ids, sender_id))
		return false;
	if (slot != NULL)
		slot_raft(slot, &raft, &running);
	for (uint32 i = 0; i < raft.voters_count; i++)
		is_voter = is_voter || raft.voters[i] == sender_id;
	return (is_voter || raft.voters_count == 0) &&
		   channel_former_consenter_has(channel, sender_id, certificate);
}

bool
order_node_is_removed(const OrderNode *node)
{
	bool committed = node->commit_index >= node->raft_voters_index &&
					 !raft_configuration_has(&node->raft_voters, node->raft_id);

	if (raft_configuration_has(&node->settings.voters, node->raft_id) ||
		node->role == RAFT_LEADER || (!committed && !wire_set_denied(node->wires)))
		return false;
	ereport(
		LOG,
		(errmsg("channel \"%s\": this node is no longer a consenter", node->channel),
		 errdetail("It was consenter %llu until configuration block %llu.",
				   (unsigned long long) node->raft_id,
				   (unsigned long long) node->settings.config_block_number),
		 errhint(
			 "It gets the channel's blocks from the orderers. When it is added again, it becomes another consenter.")));
	return true;
}

bool
voters_active(const Channel *channel, ActiveConsenters *active)
{
	ChannelSlot *slot = channel_slot(channel);
	TimestampTz heard_after =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -(int64) guc_raft_election_timeout);
	FollowerState followers[FB_RAFT_NODES_MAX];
	RaftSummary raft;
	bool running;
	int followers_count;

	memset(active, 0, sizeof(*active));
	if (slot == NULL)
		return false;
	followers_count = slot_raft_followers(slot, &raft, &running, followers);
	if (!running || raft.role != RAFT_LEADER)
		return false;
	active->ids[active->count++] = raft.raft_id;
	for (int i = 0; i < followers_count; i++)
		if (!followers[i].recovering && followers[i].last_contact_at > heard_after)
			active->ids[active->count++] = followers[i].raft_id;
	return true;
}
