/* channel_functions.c: SQL functions that create, join and leave channels */
#include "server/surface/surface_internal.h"

#include "access/xact.h"
#include "utils/jsonb.h"

#include "server/channel/channel.h"
#include "server/worker/worker.h"

FABRIC_FUNCTION(fabric_create_channel);
FABRIC_FUNCTION(fabric_join_channel);
FABRIC_FUNCTION(fabric_leave_channel);

/* create_channel(channel, profile): the genesis block */
Datum
fabric_create_channel(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0, "channel");

	argument_require(fcinfo, 1, "profile");
	PG_RETURN_BYTEA_P(memory_bytea(channel_genesis_block(name, PG_GETARG_JSONB_P(1))));
}

/* join_channel(genesis_block, source): the channel's name */
Datum
fabric_join_channel(PG_FUNCTION_ARGS)
{
	FbBytes genesis_block;
	char *name;

	shmem_require();
	genesis_block = argument_bytes(fcinfo, 0, "genesis_block");
	/*
	 * From now on this node answers for the channel, so the joining must be durable, whatever the
	 * session's synchronous_commit is.
	 */
	ForceSyncCommit();
	name = channel_join(genesis_block, argument_is_import(fcinfo, 1, "source"));
	worker_launcher_wake_at_commit();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* leave_channel(channel) */
Datum
fabric_leave_channel(PG_FUNCTION_ARGS)
{
	ForceSyncCommit();
	channel_leave(argument_text(fcinfo, 0, "channel"));
	worker_launcher_wake_at_commit();
	PG_RETURN_VOID();
}
