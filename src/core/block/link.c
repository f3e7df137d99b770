/*
 * link.c: the chain in the log of a consenter.
 *
 * The problem. A Raft log orders batches; the block that is made from a batch depends on all
 * batches before it. Two nodes whose logs or ledgers differ make different blocks from the same
 * entries, and nothing in an entry shows that.
 *
 * The rule. The payload of a batch begins with the number of the block that is made from it and
 * with the hash of the previous block. Both are a pure function of the log before the batch: the
 * hash of a header covers number, previous hash and data hash, and no metadata, so a leader links
 * batches that are not committed yet, and a new leader continues at the end of its log. A batch
 * from which no block can be made has a link too, but does not move the head. No-ops and
 * configurations have no link and do not move the head.
 *
 * A follower checks the link before it stores an entry (against the head of its log), and a node
 * checks it when it makes the block (against the last block). So a log whose entries were stored by
 * these rules is a chain from its start. Only a log and a ledger can still differ, and they are
 * compared at every block.
 *
 * Rejected: a hash over the payloads of all entries. It would find a difference too, but would not
 * identify the block that differs, and could not be compared with a ledger.
 */
#include "core/block/block.h"

#define LINK_NUMBER_BYTES 8

void
block_head_of(const BlockHeader *header, BlockHead *head)
{
	head->number = header->number;
	block_header_hash(header, head->hash);
}

static void
put_number(uint64_t number, uint8_t *out)
{
	for (int i = 0; i < LINK_NUMBER_BYTES; i++)
		out[i] = (uint8_t) (number >> (56 - 8 * i));
}

static uint64_t
link_get_number(const uint8_t *in)
{
	uint64_t number = 0;

	for (int i = 0; i < LINK_NUMBER_BYTES; i++)
		number = number << 8 | in[i];
	return number;
}

void
block_head_encode(const BlockHead *head, uint8_t out[BLOCK_HEAD_BYTES])
{
	put_number(head->number, out);
	memcpy(out + LINK_NUMBER_BYTES, head->hash, CRYPTO_SHA256_BYTES);
}

FbStatus
block_head_decode(FbBytes bytes, BlockHead *head, FbError *error)
{
	memset(head, 0, sizeof(*head));
	if (bytes.size != BLOCK_HEAD_BYTES)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "head of the chain in a Raft message has %zu bytes, not %d", bytes.size,
					   BLOCK_HEAD_BYTES);
	head->number = link_get_number(bytes.data);
	/* hosts store it as a signed number, and the next number must exist */
	if (head->number >= INT64_MAX)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "head of the chain in a Raft message has an impossible number");
	memcpy(head->hash, bytes.data + LINK_NUMBER_BYTES, CRYPTO_SHA256_BYTES);
	return FB_OK;
}

FbStatus
block_link_pack(const BlockHead *head, FbBytes batch, FbAllocator *allocator, FbBytes *payload,
				FbError *error)
{
	BlockHead link = *head;
	uint8_t *bytes = fb_allocate(allocator, BLOCK_HEAD_BYTES + batch.size);

	*payload = FB_BYTES_EMPTY;
	if (bytes == NULL)
		return fb_out_of_memory(error);
	link.number++;
	block_head_encode(&link, bytes);
	if (batch.size > 0)
		memcpy(bytes + BLOCK_HEAD_BYTES, batch.data, batch.size);
	*payload = fb_bytes(bytes, BLOCK_HEAD_BYTES + batch.size);
	return FB_OK;
}

FbStatus
block_link_parse(FbBytes payload, BlockLink *link, FbError *error)
{
	memset(link, 0, sizeof(*link));
	if (payload.size < BLOCK_HEAD_BYTES)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "batch without a link to the block before");
	link->number = link_get_number(payload.data);
	if (link->number == 0 || link->number > INT64_MAX)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "batch with an impossible block number");
	link->previous_hash = fb_bytes(payload.data + LINK_NUMBER_BYTES, CRYPTO_SHA256_BYTES);
	link->batch = fb_bytes(payload.data + BLOCK_HEAD_BYTES, payload.size - BLOCK_HEAD_BYTES);
	return FB_OK;
}

FbStatus
block_link_check(const BlockLink *link, const BlockHead *head, FbError *error)
{
	char expected[2 * CRYPTO_SHA256_BYTES + 1];
	char found[2 * CRYPTO_SHA256_BYTES + 1];

	if (link->number == head->number + 1 &&
		fb_bytes_equal(link->previous_hash, fb_bytes(head->hash, CRYPTO_SHA256_BYTES)))
		return FB_OK;
	fb_hex_encode(fb_bytes(head->hash, CRYPTO_SHA256_BYTES), expected);
	fb_hex_encode(link->previous_hash, found);
	fb_fail(error, FB_CHAINS_DIFFER, "batch does not follow block %llu of this node",
			(unsigned long long) head->number);
	fb_error_detail(
		error,
		"It is for block %llu after a block with the hash %s; block %llu of this node has the hash %s.",
		(unsigned long long) link->number, found, (unsigned long long) head->number, expected);
	return FB_CHAINS_DIFFER;
}

FbStatus
block_batch_parse(FbBytes bytes, FbAllocator *allocator, BlockBatch *batch, FbError *error)
{
	BlockBatch parsed;

	*batch = (BlockBatch) {NULL, 0};
	FB_TRY(block_parse_data(bytes, allocator, &parsed.data, &parsed.data_count, error));
	if (parsed.data_count > FB_BLOCK_TRANSACTIONS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "batch has %zu transactions", parsed.data_count);
	FB_TRY(block_check_well_formed(parsed.data, parsed.data_count, error));
	*batch = parsed;
	return FB_OK;
}

FbStatus
block_link_follow(const BlockLink *link, FbAllocator *allocator, BlockBatch *batch, BlockHead *head,
				  FbError *error)
{
	BlockHeader header = {.number = link->number, .previous_hash = link->previous_hash};
	uint8_t data_hash[CRYPTO_SHA256_BYTES];
	FbStatus status = block_batch_parse(link->batch, allocator, batch, error);

	if (status == FB_OUT_OF_MEMORY)
		return status;
	if (status != FB_OK)
		return FB_OK;
	block_data_hash(batch->data, batch->data_count, data_hash);
	header.data_hash = fb_bytes(data_hash, sizeof(data_hash));
	block_head_of(&header, head);
	return FB_OK;
}
