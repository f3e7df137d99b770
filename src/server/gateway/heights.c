/*
 * heights.c: how many blocks of a channel the caller may have seen.
 *
 * A caller who was told that a transaction is committed relies on it in the next call. Other nodes
 * may lack the block for some time, and chaincode that runs there without it refuses what the
 * caller knows to exist. What the caller can have seen here, by its own calls, through other
 * sessions of the same application, in views and queries, is in the blocks that this node has when
 * the call begins: no node may refuse on an older state than that.
 *
 * To wait for these blocks always would make each call as slow as the slowest node asked, although
 * most calls touch nothing of the last blocks: in test/long/own_writes the creating calls took 40 %
 * longer with a pure peer as second endorser than without, whether all blocks of the node were
 * waited for or only those of the session's own transactions. So a node answers at once with what
 * it has, and waits only before it refuses; and an answer that differs from this node's is asked
 * again at the same height (agree.c). The same read versions are the same state as far as the call
 * is concerned. Where this node does not simulate itself nothing would show that an answer is old,
 * and the other nodes have to wait first.
 *
 * What the caller has seen on another node is not known here: it waits for that with
 * fabric.commit_status on this node.
 */
#include "server/gateway/gateway_internal.h"

#include "utils/snapmgr.h"

uint64
height_of_node(const Channel *channel)
{
	ChannelSlot *slot = channel_slot(channel);
	uint64 height = slot != NULL ? slot_height(slot) : 0;

	/* without a worker, or before it has said: what the tables show */
	return height > 0 ? height : block_store_height(channel->ledger, GetLatestSnapshot());
}
