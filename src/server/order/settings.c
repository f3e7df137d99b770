/*
 * settings.c: copy the part of the channel's configuration that the orderer worker needs, because
 * the bundle does not outlive a transaction
 */
#include "server/order/order_internal.h"

void
order_settings_load(const char *channel_name, OrderSettings *settings)
{
	const Channel *channel;
	const ConfigBundle *bundle;

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
	settings->self_id = channel_raft_id(channel);
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
		const ConfigConsenter *consenter = &bundle->consenters[index];
		uint64 id = channel->consenter_ids.ids[index];
		WireSetPeer *peer;

		(void) raft_configuration_add(&settings->voters, id);
		if (id == settings->self_id)
			continue;
		peer = &settings->peers[settings->peers_count++];
		peer->id = id;
		strlcpy(peer->address, channel_address(consenter->host, consenter->port),
				sizeof(peer->address));
	}
	bracket_commit();
}
