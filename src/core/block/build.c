/*
 * build.c: blocks and batches as bytes. The next block is a pure function of the previous block and
 * the batch.
 */
#include "core/block/block.h"

FbStatus
block_pack(const BlockHeader *header, const FbBytes *data, size_t data_count,
		   const FbBytes *metadata, FbAllocator *allocator, FbBytes *bytes, FbError *error)
{
	Common__Block block = COMMON__BLOCK__INIT;
	Common__BlockHeader block_header = COMMON__BLOCK_HEADER__INIT;
	Common__BlockData block_data = COMMON__BLOCK_DATA__INIT;
	Common__BlockMetadata block_metadata = COMMON__BLOCK_METADATA__INIT;
	FbStatus status;

	*bytes = FB_BYTES_EMPTY;
	block_header.number = header->number;
	block_header.previous_hash = proto_data(header->previous_hash);
	block_header.data_hash = proto_data(header->data_hash);
	FB_TRY(proto_data_array(data, data_count, allocator, &block_data.data, error));
	block_data.n_data = data_count;
	FB_TRY(proto_data_array(metadata, FB_BLOCK_METADATA_COUNT, allocator, &block_metadata.metadata,
							error));
	block_metadata.n_metadata = FB_BLOCK_METADATA_COUNT;
	block.header = &block_header;
	block.data = &block_data;
	block.metadata = &block_metadata;
	status = PROTO_PACK(&block, allocator, bytes, error);
	fb_release(allocator, block_data.data);
	fb_release(allocator, block_metadata.metadata);
	return status;
}

FbStatus
block_pack_data(const FbBytes *data, size_t data_count, FbAllocator *allocator, FbBytes *bytes,
				FbError *error)
{
	Common__BlockData block_data = COMMON__BLOCK_DATA__INIT;
	FbStatus status;

	*bytes = FB_BYTES_EMPTY;
	FB_TRY(proto_data_array(data, data_count, allocator, &block_data.data, error));
	block_data.n_data = data_count;
	status = PROTO_PACK(&block_data, allocator, bytes, error);
	fb_release(allocator, block_data.data);
	return status;
}

void
block_make(const BlockHeader *previous, const BlockBatch *batch, BlockHashes *hashes,
		   CheckedBlock *block)
{
	BlockHeader *header = &block->view.header;

	FB_ASSERT(batch->data_count > 0);
	memset(block, 0, sizeof(*block));
	block_header_hash(previous, hashes->previous_hash);
	block_data_hash(batch->data, batch->data_count, hashes->data_hash);
	header->number = previous->number + 1;
	header->previous_hash = fb_bytes(hashes->previous_hash, CRYPTO_SHA256_BYTES);
	header->data_hash = fb_bytes(hashes->data_hash, CRYPTO_SHA256_BYTES);
	block->view.data = batch->data;
	block->view.data_count = batch->data_count;
	block->view.metadata_count = FB_BLOCK_METADATA_COUNT;
}

FbStatus
block_pack_genesis(FbBytes envelope, FbAllocator *allocator, FbBytes *bytes, FbError *error)
{
	uint8_t data_hash[CRYPTO_SHA256_BYTES];
	BlockHeader header = {.number = 0, .data_hash = {data_hash, sizeof(data_hash)}};
	FbBytes metadata[FB_BLOCK_METADATA_COUNT] = {FB_BYTES_EMPTY};
	FbBytes value;

	*bytes = FB_BYTES_EMPTY;
	block_data_hash(&envelope, 1, data_hash);
	FB_TRY(block_signature_value(0, FB_BYTES_EMPTY, allocator, &value, error));
	FB_TRY(block_signatures_pack(value, NULL, 0, allocator,
								 &metadata[COMMON__BLOCK_METADATA_INDEX__SIGNATURES], error));
	FB_TRY(block_last_config_pack(0, allocator,
								  &metadata[COMMON__BLOCK_METADATA_INDEX__LAST_CONFIG], error));
	return block_pack(&header, &envelope, 1, metadata, allocator, bytes, error);
}
