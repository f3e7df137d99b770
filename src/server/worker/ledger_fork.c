/*
 * ledger_fork.c: detect a ledger that differs from the chain in its own Raft log.
 *
 * Each batch names the block before it (core/block/link.c), and an append that does not follow the
 * log is not accepted into it (order/log_chain.c). So a batch that does not follow this ledger's
 * last block shows that this ledger and this log differ: the tables were changed or restored, or
 * blocks were fetched from a node with another chain. If the worker continued, it would make
 * blocks that no other node has, and report them to clients as valid. So it stops making blocks of
 * this channel, records the reason, and keeps running: private data and requests of sessions are
 * still served, other channels are not affected, and this consenter still stores entries and
 * votes, because its log agrees with the logs of the other consenters.
 *
 * The state does not end by itself. An administrator investigates (fabric.raft_evidence,
 * fabric.verify_chain), repairs the ledger (fabric.repair_chain, or leaving and joining again),
 * and acknowledges the evidence; then the worker tries the same entry again, with the same check.
 */
#include "server/worker/worker_internal.h"

#include "server/commit/commit.h"
#include "server/order/order.h"

bool
fork_is_open(const char *channel)
{
	return order_has_evidence(channel, ORDER_EVIDENCE_FORK);
}

bool
fork_check(const Channel *channel, const OrderEntry *entry)
{
	uint64 height = block_store_height(channel->ledger, NULL);
	BlockHead head;
	BlockRow last;
	FbError error;

	if (!entry->linked)
		return true;
	if (height == 0 || !block_store_row(channel->ledger, height - 1, NULL, &last) ||
		last.block_hash.size != sizeof(head.hash))
		elog(ERROR, "channel \"%s\" has no block", channel->name);
	head.number = last.number;
	memcpy(head.hash, last.block_hash.data, sizeof(head.hash));
	if (block_link_check(&entry->link, &head, &error) == FB_OK)
		return true;
	shmem_worker_note_error(channel_slot(channel), WORKER_LEDGER, error.message);
	order_record_evidence(channel->name, ORDER_EVIDENCE_FORK, 0, entry->term, entry->index, &error,
						  1);
	return false;
}
