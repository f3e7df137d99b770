/*
 * settings.c: copy the part of the channel's configuration that the orderer worker needs, because
 * the bundle does not outlive a transaction
 */
#include "server/order/order_internal.h"

static void
settings_add_peer(OrderSettings *settings, uint64 id, const ConfigConsenter *consenter)
{
	WireSetPeer *peer = &settings->peers[settings->peers_count++];

	peer->id = id;
	strlcpy(peer->address, channel_address(consenter->host, consenter->port),
			sizeof(peer->address));
}

void
order_settings_load(const char *channel_name, uint64 raft_id, uint64 leaving_id,
					OrderSettings *settings)
{
	const Channel *channel;
	const ConfigBundle *bundle;
	const ConfigConsenter *leaving;

	memset(settings, 0, sizeof(*settings));
	bracket_begin("reading the channel configuration");
	channel = channel_open(channel_name);
	bundle = channel->bundle;
	if (channel->consenter_ids.count != bundle->consenters_count)
		ereport(ERROR,
				(fb_errcode(FB_CORRUPTED),
				 errmsg("metadata of configuration block %llu of channel \"%s\" cannot be read",
						(unsigned long long) channel->config_block_number, channel_name),
				 errdetail("They name the Raft ids of the channel's consenters."),
				 errhint("Check the ledger with fabric.verify_chain, and repair it.")));
	settings->config_block_number = channel->config_block_number;
	settings->config_sequence = bundle->sequence;
	settings->self_id = raft_id != 0 ? raft_id : channel_raft_id(channel);
	settings->leaving_id = leaving_id;
	/* every node must be able to take the block, whatever the channel allows */
	settings->limits.message_count_max = Min(bundle->batch_messages_max, FB_BLOCK_TRANSACTIONS_MAX);
	/*
	 * a batch passes through the followers' inboxes, which are assumed to be as large as this one
	 */
	settings->limits.preferred_bytes_max =
		Min(Min(bundle->batch_bytes_preferred_max, inbox_capacity() / 4), FB_BATCH_BYTES_MAX);
	if (bundle->batch_bytes_absolute_max > inbox_capacity() / 2)
		ereport(
			LOG,
			(errmsg("fabric.inbox_size is small for channel \"%s\"", channel_name),
			 errdetail("The channel allows transactions of %u bytes, the inbox has %zu.",
					   bundle->batch_bytes_absolute_max, inbox_capacity()),
			 errhint(
				 "Large transactions may not be ordered: raise fabric.inbox_size on all orderers.")));
	settings->batch_timeout_ms = (uint64) Max(bundle->batch_timeout_ns / 1000000, 1);
	for (size_t index = 0; index < bundle->consenters_count && index < FB_RAFT_NODES_MAX; index++)
	{
		uint64 id = channel->consenter_ids.ids[index];

		(void) raft_configuration_add(&settings->voters, id);
		if (id != settings->self_id)
			settings_add_peer(settings, id, &bundle->consenters[index]);
	}
	leaving = leaving_id != 0 ? channel_former_consenter(channel, leaving_id) : NULL;
	if (leaving != NULL && settings->peers_count < FB_RAFT_NODES_MAX)
		settings_add_peer(settings, leaving_id, leaving);
	bracket_commit();
}
