/*
 * heights.c: the number of blocks of a channel that the caller may have seen.
 *
 * The problem. A caller who was told that a transaction is committed relies on it in the next call.
 * Other nodes may get the block later, and chaincode that runs there without it refuses what the
 * caller knows to exist.
 *
 * The rule. Everything that the caller can have seen on this node (by its own calls, through other
 * sessions of the same application, in views and queries) is in the blocks that this node has when
 * the call begins. No node may refuse on an older state. So each request carries this height. The
 * other node answers at once with the blocks that it has, and waits for missing blocks only before
 * it refuses. If its answer differs from this node's, it is asked again at the same height
 * (agree.c). If the answers are equal, both have the same read versions, which is the same state as
 * far as the call is concerned. If this node does not simulate, nothing shows that an answer is
 * old, and the other nodes must wait first.
 *
 * Rejected: waiting for these blocks always. Each call would be as slow as the slowest node,
 * although most calls touch nothing of the last blocks. In test/long/own_writes the creating calls
 * took 40 % longer with a pure peer as second endorser, whether all blocks of the node were waited
 * for or only those of the session's own transactions.
 *
 * Not covered: what the caller has seen on another node. The caller waits for that with
 * fabric.commit_status on this node.
 */
#include "server/gateway/gateway_internal.h"

#include "utils/snapmgr.h"

uint64
height_of_node(const Channel *channel)
{
	ChannelSlot *slot = channel_slot(channel);
	uint64 height = slot != NULL ? slot_height(slot) : 0;

	/* without a worker, and before it has published its height, the tables tell */
	return height > 0 ? height : block_store_height(channel->ledger, GetLatestSnapshot());
}
