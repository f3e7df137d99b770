/*
 * log_chain.c: the chain in this node's Raft log (core/block/link.c has the rule).
 *
 * An append whose entries do not follow in this log is refused as a whole before Raft sees it:
 * nothing is stored or confirmed, and the message does not make its sender the leader here. It
 * proves that two nodes differ, but not which of them is wrong, because a consenter that lies can
 * send such a message too. So this node continues as before, stores the evidence (evidence.c) and
 * answers the sender that it contradicts. A leader that is contradicted by so many consenters that
 * no quorum is left steps down (core/raft), because then the leader is the one that differs.
 *
 * The head after any entry can be computed from the last batch up to it, because the link of a
 * stored batch is the head before it. So only two heads are kept: the head at the end of the log,
 * which every batch needs, and the head where the log starts, which is stored in raft_state because
 * the entries before it are deleted.
 */
#include "server/order/order_internal.h"

#include "utils/snapmgr.h"

/* the last batch up to index; false: there is none after the log's start */
static bool
log_find_batch(OrderNode *node, uint64 index, FbBytes *payload)
{
	RaftStoredEntry *stored;
	uint64 batch_index;
	int stored_count;

	for (; index > node->log_start_index; index--)
	{
		const LogCacheEntry *cached = log_cache_find(node->cache, index);

		if (cached == NULL)
			break;
		if (cached->kind == RAFT_ENTRY_DATA)
		{
			*payload = cached->payload;
			return true;
		}
	}
	if (index <= node->log_start_index)
		return false;
	turn_open_transaction(node);
	batch_index = raft_store_last_batch(node->channel, index);
	if (batch_index <= node->log_start_index)
		return false;
	stored = raft_store_read(node->channel, batch_index, batch_index, FB_MESSAGE_BYTES_MAX,
							 &stored_count);
	if (stored_count != 1)
		elog(ERROR, "entry " UINT64_FORMAT " of the Raft log of channel \"%s\" is missing",
			 batch_index, node->channel);
	*payload = stored[0].payload;
	return true;
}

void
log_chain_follow(OrderNode *node, FbBytes payload, LogStep *step)
{
	BlockLink link;
	FbError error;

	error_check(block_link_parse(payload, &link, &error), &error);
	error_check(block_link_follow(&link, node->turn_allocator, &step->batch, &step->head, &error),
				&error);
}

void
log_chain_head(OrderNode *node, uint64 index, BlockHead *head)
{
	FbBytes payload;
	BlockLink link;
	FbError error;

	if (index == node->head_index)
		*head = node->head;
	else if (!log_find_batch(node, index, &payload))
		*head = node->log_start_head;
	else
	{
		LogStep step = {0};

		error_check(block_link_parse(payload, &link, &error), &error);
		step.head.number = link.number - 1;
		memcpy(step.head.hash, link.previous_hash.data, sizeof(step.head.hash));
		log_chain_follow(node, payload, &step);
		*head = step.head;
	}
}

/*
 * Is the entry of the same index and term the same in this log? Raft assumes it (paper, figure 3,
 * "Log Matching") and does not compare.
 */
static FbStatus
log_check_same(OrderNode *node, uint64 index, const RaftEntry *entry, FbError *error)
{
	const LogCacheEntry *cached = log_cache_find(node->cache, index);
	RaftEntryKind kind;
	FbBytes payload;

	if (cached != NULL)
	{
		kind = cached->kind;
		payload = cached->payload;
	}
	else
	{
		RaftStoredEntry *stored;
		int stored_count;

		turn_open_transaction(node);
		stored = raft_store_read(node->channel, index, index, FB_MESSAGE_BYTES_MAX, &stored_count);
		if (stored_count != 1)
			elog(ERROR, "entry " UINT64_FORMAT " of the Raft log of channel \"%s\" is missing",
				 index, node->channel);
		kind = stored[0].kind;
		payload = stored[0].payload;
	}
	if (kind == entry->kind && fb_bytes_equal(payload, entry->payload))
		return FB_OK;
	fb_fail(error, FB_CHAINS_DIFFER,
			"entry " UINT64_FORMAT " of term " UINT64_FORMAT
			" has another content in this node's log",
			index, (uint64) entry->term);
	fb_error_detail(error,
					"It is of kind %d with %zu bytes here, and of kind %d with %zu bytes there.",
					(int) kind, payload.size, (int) entry->kind, entry->payload.size);
	return FB_CHAINS_DIFFER;
}

/*
 * Would Raft store entries of this append (core/raft/replication.c, replication_follows)? Only such
 * appends must follow.
 */
bool
log_chain_takes(const OrderNode *node, const RaftMessage *message)
{
	if (message->type != RAFT_APPEND || message->entries_count == 0 || message->term < node->term ||
		message->index < node->commit_index || message->index > node->last_index)
		return false;
	return message->index == node->commit_index ||
		   raft_entry_term(node->raft, message->index) == message->log_term;
}

FbStatus
log_chain_check(OrderNode *node, const RaftMessage *message, const LogStep **steps, uint64 *index,
				FbError *error)
{
	uint32_t position = 0;
	LogStep step = {0};
	LogStep *made;

	*steps = NULL;
	*index = 0;
	if (!log_chain_takes(node, message))
		return FB_OK;
	for (; position < message->entries_count && message->index + position < node->last_index &&
		   raft_entry_term(node->raft, message->index + position + 1) ==
			   message->entries[position].term;
		 position++)
	{
		*index = message->index + position + 1;
		FB_TRY(log_check_same(node, *index, &message->entries[position], error));
	}
	if (position == message->entries_count)
		return FB_OK;
	log_chain_head(node, message->index + position, &step.head);
	made = MemoryContextAllocZero(node->turn_context, sizeof(LogStep) * message->entries_count);
	for (; position < message->entries_count; position++)
	{
		const RaftEntry *entry = &message->entries[position];
		BlockLink link;

		step.batch = (BlockBatch) {NULL, 0};
		if (entry->kind == RAFT_ENTRY_DATA)
		{
			*index = message->index + position + 1;
			FB_TRY(block_link_parse(entry->payload, &link, error));
			FB_TRY(block_link_check(&link, &step.head, error));
			FB_TRY(block_link_follow(&link, node->turn_allocator, &step.batch, &step.head, error));
		}
		made[position] = step;
	}
	*steps = made;
	return FB_OK;
}

bool
log_chain_makes_block(OrderNode *node, uint64 index)
{
	BlockHead before;
	BlockHead after;

	log_chain_head(node, index - 1, &before);
	log_chain_head(node, index, &after);
	return before.number != after.number;
}

bool
log_chain_ledger_has(const char *channel, const BlockHead *head, uint64 raft_index)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	BlockRow row;
	bool has = block_store_row(ledger_open(channel), head->number, snapshot, &row) &&
			   row.raft_index == raft_index &&
			   fb_bytes_equal(row.block_hash, fb_bytes(head->hash, sizeof(head->hash)));

	UnregisterSnapshot(snapshot);
	return has;
}

void
log_chain_genesis(const char *channel, BlockHead *head)
{
	BlockRow row;

	if (!block_store_row(ledger_open(channel), 0, NULL, &row) ||
		row.block_hash.size != sizeof(head->hash))
		elog(ERROR, "channel \"%s\" has no block", channel);
	head->number = 0;
	memcpy(head->hash, row.block_hash.data, sizeof(head->hash));
}
