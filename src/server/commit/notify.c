/* notify.c: the news of a committed block: NOTIFY with the commit, shared memory and the waiting sessions after it */
#include "server/commit/commit.h"

#include "commands/async.h"

void
commit_notify(const Channel *channel, const CommittedBlock *committed, size_t transactions_count)
{
	/* channel names need no escaping in JSON (CFG-2) */
	Async_Notify("fabric_block", psprintf("{\"channel\": \"%s\", \"block\": " UINT64_FORMAT ", \"transactions\": %zu}",
										  channel->name, committed->number, transactions_count));
}

void
commit_publish(ChannelSlot *slot, const CommittedBlock *committed)
{
	for (int code = 0; code < 256; code++)
		if (committed->counts[code] > 0)
			pg_atomic_fetch_add_u64(&slot->validation_counts[code], committed->counts[code]);
	if (committed->lifecycle_changed)
		pg_atomic_write_u64(&slot->lifecycle_block_number, committed->number);
	if (committed->raft_index > 0)
		pg_atomic_write_u64(&slot->applied_raft_index, committed->raft_index);
	/* the height last: whoever sees it finds the rest in place */
	pg_write_barrier();
	pg_atomic_write_u64(&slot->height, committed->number + 1);
	ConditionVariableBroadcast(&slot->committed);
}
