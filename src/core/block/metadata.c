/* metadata.c: the five metadata slots of a block; the header's hash covers none of them */
#include "core/block/block.h"

/* pb(Metadata{value, signatures}) */
static FbStatus
pack_metadata(FbBytes value, FbAllocator *allocator, FbBytes *slot, FbError *error)
{
	Common__Metadata metadata = COMMON__METADATA__INIT;

	metadata.value = proto_data(value);
	return PROTO_PACK(&metadata, allocator, slot, error);
}

FbStatus
block_signature_value(uint64_t last_config_number, FbBytes consenter_metadata,
					  FbAllocator *allocator, FbBytes *value, FbError *error)
{
	Common__OrdererBlockMetadata metadata = COMMON__ORDERER_BLOCK_METADATA__INIT;
	Common__LastConfig last_config = COMMON__LAST_CONFIG__INIT;

	last_config.index = last_config_number;
	metadata.last_config = &last_config;
	metadata.consenter_metadata = proto_data(consenter_metadata);
	return PROTO_PACK(&metadata, allocator, value, error);
}

FbStatus
block_raft_metadata(const uint64_t *consenter_ids, size_t consenter_ids_count,
					uint64_t next_consenter_id, uint64_t raft_index, FbAllocator *allocator,
					FbBytes *consenter_metadata, FbError *error)
{
	Etcdraft__BlockMetadata raft = ETCDRAFT__BLOCK_METADATA__INIT;
	FbBytes value;

	raft.consenter_ids = (uint64_t *) consenter_ids;
	raft.n_consenter_ids = consenter_ids_count;
	raft.next_consenter_id = next_consenter_id;
	raft.raft_index = raft_index;
	FB_TRY(PROTO_PACK(&raft, allocator, &value, error));
	return pack_metadata(value, allocator, consenter_metadata, error);
}

FbStatus
block_raft_metadata_parse(FbBytes consenter_metadata, FbAllocator *allocator,
						  Etcdraft__BlockMetadata **metadata, FbError *error)
{
	Common__Metadata *outer;

	*metadata = NULL;
	FB_TRY(PROTO_UNPACK(common__metadata, consenter_metadata, allocator, &outer, error));
	return PROTO_UNPACK(etcdraft__block_metadata, proto_bytes(outer->value), allocator, metadata,
						error);
}

FbStatus
block_signatures_parse(FbBytes slot, FbAllocator *allocator, BlockSignatures *signatures,
					   FbError *error)
{
	Common__Metadata *metadata;
	Common__OrdererBlockMetadata *orderer;

	memset(signatures, 0, sizeof(*signatures));
	FB_TRY(PROTO_UNPACK(common__metadata, slot, allocator, &metadata, error));
	if (metadata->n_signatures > FB_POLICY_SIGNATURES_MAX)
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "block has too many signatures");
		fb_error_detail(error, "It has %zu; the limit is %d.", metadata->n_signatures,
						FB_POLICY_SIGNATURES_MAX);
		return FB_LIMIT_EXCEEDED;
	}
	FB_TRY(PROTO_UNPACK(common__orderer_block_metadata, proto_bytes(metadata->value), allocator,
						&orderer, error));
	signatures->value = proto_bytes(metadata->value);
	signatures->last_config_number = orderer->last_config != NULL ? orderer->last_config->index : 0;
	signatures->consenter_metadata = proto_bytes(orderer->consenter_metadata);
	signatures->signatures =
		fb_allocate_array(allocator, metadata->n_signatures, sizeof(BlockSignature));
	if (signatures->signatures == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < metadata->n_signatures; i++)
	{
		signatures->signatures[i].signature_header =
			proto_bytes(metadata->signatures[i]->signature_header);
		signatures->signatures[i].signature = proto_bytes(metadata->signatures[i]->signature);
		signatures->signatures[i].identifier_header =
			proto_bytes(metadata->signatures[i]->identifier_header);
	}
	signatures->signatures_count = metadata->n_signatures;
	return FB_OK;
}

FbStatus
block_signatures_pack(FbBytes value, const BlockSignature *signatures, size_t signatures_count,
					  FbAllocator *allocator, FbBytes *slot, FbError *error)
{
	Common__Metadata metadata = COMMON__METADATA__INIT;
	Common__MetadataSignature *messages =
		fb_allocate_array(allocator, signatures_count, sizeof(*messages));
	Common__MetadataSignature **pointers =
		fb_allocate_array(allocator, signatures_count, sizeof(*pointers));

	*slot = FB_BYTES_EMPTY;
	if (messages == NULL || pointers == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < signatures_count; i++)
	{
		common__metadata_signature__init(&messages[i]);
		messages[i].signature_header = proto_data(signatures[i].signature_header);
		messages[i].signature = proto_data(signatures[i].signature);
		messages[i].identifier_header = proto_data(signatures[i].identifier_header);
		pointers[i] = &messages[i];
	}
	metadata.value = proto_data(value);
	metadata.n_signatures = signatures_count;
	metadata.signatures = pointers;
	return PROTO_PACK(&metadata, allocator, slot, error);
}

void
block_signed_parts(FbBytes value, const BlockSignature *signature, FbBytes header_bytes,
				   FbBytes parts[3])
{
	parts[0] = value;
	parts[1] = signature->signature_header.size > 0 ? signature->signature_header
													: signature->identifier_header;
	parts[2] = header_bytes;
}

FbStatus
block_last_config(const BlockView *view, FbAllocator *allocator, uint64_t *number, FbError *error)
{
	BlockSignatures signatures;
	Common__Metadata *metadata;
	Common__LastConfig *last_config;

	*number = 0;
	FB_TRY(block_signatures_parse(view->metadata[COMMON__BLOCK_METADATA_INDEX__SIGNATURES],
								  allocator, &signatures, error));
	if (signatures.value.size > 0)
	{
		*number = signatures.last_config_number;
		return FB_OK;
	}
	FB_TRY(PROTO_UNPACK(common__metadata, view->metadata[COMMON__BLOCK_METADATA_INDEX__LAST_CONFIG],
						allocator, &metadata, error));
	FB_TRY(PROTO_UNPACK(common__last_config, proto_bytes(metadata->value), allocator, &last_config,
						error));
	*number = last_config->index;
	return FB_OK;
}

FbStatus
block_last_config_pack(uint64_t last_config_number, FbAllocator *allocator, FbBytes *slot,
					   FbError *error)
{
	Common__LastConfig last_config = COMMON__LAST_CONFIG__INIT;
	FbBytes value;

	last_config.index = last_config_number;
	FB_TRY(PROTO_PACK(&last_config, allocator, &value, error));
	return pack_metadata(value, allocator, slot, error);
}

FbStatus
block_commit_hash_pack(FbBytes hash, FbAllocator *allocator, FbBytes *slot, FbError *error)
{
	return pack_metadata(hash, allocator, slot, error);
}

FbStatus
block_commit_hash_parse(FbBytes slot, FbAllocator *allocator, FbBytes *hash, FbError *error)
{
	Common__Metadata *metadata;

	*hash = FB_BYTES_EMPTY;
	FB_TRY(PROTO_UNPACK(common__metadata, slot, allocator, &metadata, error));
	*hash = proto_bytes(metadata->value);
	return FB_OK;
}

uint64_t
block_raft_index(FbBytes signatures_slot, FbAllocator *allocator)
{
	BlockSignatures signatures;
	Etcdraft__BlockMetadata *metadata;
	FbError error;

	if (block_signatures_parse(signatures_slot, allocator, &signatures, &error) != FB_OK ||
		signatures.consenter_metadata.size == 0 ||
		block_raft_metadata_parse(signatures.consenter_metadata, allocator, &metadata, &error) !=
			FB_OK)
		return 0;
	return metadata->raft_index;
}

void
txflags_start(uint8_t *filter, size_t count)
{
	if (count > 0)
		memset(filter, PROTOS__TX_VALIDATION_CODE__NOT_VALIDATED, count);
}
