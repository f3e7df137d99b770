/*
 * writable.c: the channel of a call that is going to change the ledger.
 */
#include "server/gateway/gateway_internal.h"

#include "access/xlog.h"
#include "miscadmin.h"

const Channel *
gateway_open_writable(const char *channel_name)
{
	const Channel *channel;

	PreventCommandDuringRecovery("a Fabric transaction");
	PreventCommandIfReadOnly("a Fabric transaction");
	channel = channel_open(channel_name);
	/* in both cases the call would wait for its commit in vain */
	channel_refuse_locked(channel);
	if (channel->ledger->import_only)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("channel \"%s\" takes no transactions on this node", channel_name),
			 errdetail("It gets its blocks only from fabric.import_block."),
			 errhint(
				 "Call a node that gets its blocks from the channel's orderers, or change the source with fabric.set_channel_source.")));
	return channel;
}
