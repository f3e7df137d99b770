/*
 * heights.c: how many blocks of a channel the caller may have seen.
 *
 * A caller who was told that a transaction is committed relies on it in the next call. Other nodes may lack the block for some time, and chaincode that
 * runs there without it refuses what the caller knows to exist. So a request says how many blocks its caller has seen, and the other node waits for them.
 *
 * Two answers are possible. The height of this node covers everything that the caller can have seen here, in views and through other sessions of the same
 * application too; but to wait for it always would make each call as slow as the slowest node asked, although most calls touch nothing of the last block.
 * The height of the session covers only its own transactions, but costs a wait only where it is likely to be needed. The fan-out uses both: requests say
 * the session's height, and what a node refuses or answers otherwise than this node is asked again at the node's height before it counts. Where this node
 * does not simulate itself nothing would show that an answer is old, and requests say the node's height at once.
 *
 * What the caller has seen on another node is not known here: it waits for that with fabric.commit_status on this node.
 */
#include "server/gateway/gateway_internal.h"

#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct SessionHeight
{
	char		channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	int			ledger_id;		/* of the membership: after joining again another chain may begin */
	uint64		height;
} SessionHeight;

static List *session_heights;	/* one entry per channel name that was used, in TopMemoryContext */

static SessionHeight *
find_entry(const char *channel_name)
{
	ListCell   *cell;

	foreach(cell, session_heights)
	{
		SessionHeight *entry = lfirst(cell);

		if (strcmp(entry->channel, channel_name) == 0)
			return entry;
	}
	return NULL;
}

uint64
height_of_node(const Channel *channel)
{
	ChannelSlot *slot = channel_slot(channel);
	uint64		height = slot != NULL ? pg_atomic_read_u64(&slot->height) : 0;

	/* without a worker, or before it has said: what the tables show */
	return height > 0 ? height : block_store_height(channel->ledger, GetLatestSnapshot());
}

uint64
height_of_session(const Channel *channel)
{
	const SessionHeight *entry = find_entry(channel->name);

	return entry != NULL && entry->ledger_id == channel->ledger->id ? entry->height : 0;
}

void
height_note_block(const Channel *channel, uint64 block_number)
{
	SessionHeight *entry = find_entry(channel->name);

	if (entry == NULL)
	{
		MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);

		entry = palloc0(sizeof(SessionHeight));
		strlcpy(entry->channel, channel->name, sizeof(entry->channel));
		session_heights = lappend(session_heights, entry);
		MemoryContextSwitchTo(outer);
	}
	if (entry->ledger_id != channel->ledger->id)
		entry->height = 0;
	entry->ledger_id = channel->ledger->id;
	entry->height = Max(entry->height, block_number + 1);
}
