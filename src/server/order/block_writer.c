/*
 * block_writer.c: decide which entries of the Raft log make a block, and make it (Fabric:
 * orderer/common/multichannel/blockwriter.go, CreateNextBlock, addBlockSignature;
 * orderer/consensus/etcdraft/chain.go, writeBlock).
 *
 * A block is a pure function of the log, except slot 0 of its metadata. An entry of kind DATA
 * contains a batch and the link to the block before (core/block/link.c). The batch makes a block if
 * block_batch_parse accepts it. The check reads only these bytes, so every node decides alike.
 * Raft's own entries and batches that make no block are skipped and take no number, so the k-th
 * batch that makes a block is block k on every node. Slot 0 is the node's own part: each consenter
 * signs with its own key, and the header's hash does not cover the signature.
 */
#include "server/order/order_internal.h"

#include "core/proto/proto.h"

/*
 * Parse the batch of an entry. A leader that follows the rules stores only batches that make a
 * block. A bad batch of another leader must not stop the channel, so it is logged and makes no
 * block; all nodes decide alike.
 */
static void
parse_batch(const char *channel, const RaftStoredEntry *entry, FbBytes bytes, BlockBatch *batch)
{
	FbError error;
	FbStatus status =
		block_batch_parse(bytes, memory_allocator(CurrentMemoryContext), batch, &error);

	if (status == FB_OUT_OF_MEMORY)
		error_throw(&error);
	if (status == FB_OK)
		return;
	ereport(LOG, (errmsg("channel \"%s\": entry %llu of the Raft log makes no block", channel,
						 (unsigned long long) entry->index),
				  errdetail("%s.", error.message),
				  errhint("The leader of term %llu put the entry there, which no leader should do.",
						  (unsigned long long) entry->term)));
}

static void
fill_entry(const char *channel, const RaftStoredEntry *stored, OrderEntry *entry)
{
	FbError error;

	memset(entry, 0, sizeof(*entry));
	entry->index = stored->index;
	entry->term = stored->term;
	if (stored->kind != RAFT_ENTRY_DATA)
		return;
	entry->linked = true;
	error_check(block_link_parse(stored->payload, &entry->link, &error), &error);
	parse_batch(channel, stored, entry->link.batch, &entry->batch);
}

FbStatus
order_read_entries(const Channel *channel, uint64 after_index, size_t bytes_max,
				   OrderEntry **entries, int *entries_count, bool *lost, FbError *error)
{
	ChannelSlot *slot = channel_slot(channel);
	RaftStoredEntry *stored;
	uint64 commit_index;
	int stored_count;

	*entries = NULL;
	*entries_count = 0;
	*lost = false;
	if (slot == NULL)
		return fb_fail(error, FB_CHANNEL_NOT_FOUND, "channel \"%s\" is not joined on this node",
					   channel->name);
	/*
	 * If this node's own log has the entries, they are not fetched from other nodes, whatever a
	 * leader names as the index to fetch.
	 */
	commit_index = slot_commit_index(slot);
	if (commit_index <= after_index)
	{
		*lost = slot_wanted_index(slot) > after_index;
		return FB_OK;
	}

	stored =
		raft_store_read(channel->name, after_index + 1, commit_index, bytes_max, &stored_count);
	if (stored_count == 0 || stored[0].index != after_index + 1)
	{
		/*
		 * committed, but not in the log: it was compacted when the ledger had it, or replaced by a
		 * snapshot
		 */
		*lost = true;
		return FB_OK;
	}
	*entries = palloc(sizeof(OrderEntry) * stored_count);
	for (int index = 0; index < stored_count; index++)
		fill_entry(channel->name, &stored[index], &(*entries)[index]);
	*entries_count = stored_count;
	return FB_OK;
}

static FbBytes
random_nonce(void)
{
	uint8_t *nonce = palloc(FB_NONCE_BYTES);
	FbError error;

	error_check(crypto_random(nonce, FB_NONCE_BYTES, &error), &error);
	return fb_bytes(nonce, FB_NONCE_BYTES);
}

/* slot 0: last configuration block, Raft index, this node's signature */
static FbBytes
sign_block(const Channel *channel, const BlockHeader *header, uint64 raft_index,
		   uint64 last_config_number, const ConsenterIds *ids, FbAllocator *allocator)
{
	/*
	 * get the signer first, to fail before the block is stored: a stored block cannot be signed
	 * again
	 */
	const Signer *signer = node_channel_signer(channel);
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	BlockSignature signature = {0};
	FbBytes consenter_metadata;
	FbBytes value;
	FbBytes header_bytes;
	FbBytes parts[3];
	FbBuffer message;
	FbBytes message_bytes;
	FbBytes slot;
	FbError error;

	error_check(block_raft_metadata(ids->ids, ids->count, ids->next_id, raft_index, allocator,
									&consenter_metadata, &error),
				&error);
	error_check(block_signature_value(last_config_number, consenter_metadata, allocator, &value,
									  &error),
				&error);
	error_check(block_header_bytes(header, allocator, &header_bytes, &error), &error);
	signature_header.creator = proto_data(signer_identity(signer));
	signature_header.nonce = proto_data(random_nonce());
	error_check(PROTO_PACK(&signature_header, allocator, &signature.signature_header, &error),
				&error);
	block_signed_parts(value, &signature, header_bytes, parts);
	fb_buffer_init(&message, allocator);
	for (int i = 0; i < 3; i++)
		fb_buffer_append_bytes(&message, parts[i]);
	error_check(fb_buffer_bytes(&message, &message_bytes, &error), &error);
	error_check(signer_sign(signer, message_bytes, allocator, &signature.signature, &error),
				&error);
	error_check(block_signatures_pack(value, &signature, 1, allocator, &slot, &error), &error);
	return slot;
}

void
order_build_block(const Channel *channel, const BlockBatch *batch, uint64 raft_index,
				  const ConfigBundle *next_config, CheckedBlock *block)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	uint64 height = block_store_height(channel->ledger, NULL);
	BlockHashes *hashes = palloc(sizeof(BlockHashes));
	BlockView *view = &block->view;
	BlockRow last;
	BlockHeader previous;
	uint64 last_config_number;
	ConsenterIds ids = channel->consenter_ids;
	FbError error;

	if (height == 0 || !block_store_row(channel->ledger, height - 1, NULL, &last))
		elog(ERROR, "channel \"%s\" has no block", channel->name);
	previous = (BlockHeader) {last.number, last.previous_hash, last.data_hash};
	block_make(&previous, batch, hashes, block);
	last_config_number = channel->config_block_number;
	if (next_config != NULL)
	{
		last_config_number = view->header.number;
		channel_follow_consenters(channel, next_config, &ids);
	}
	view->metadata[0] =
		sign_block(channel, &view->header, raft_index, last_config_number, &ids, allocator);
	error_check(block_last_config_pack(last_config_number, allocator, &view->metadata[1], &error),
				&error);
}
