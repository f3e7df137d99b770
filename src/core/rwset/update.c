/*
 * update: what a block did to the state, as bytes: commit hash and state digest (WIRE 2.6).
 */
#include "core/rwset/rwset_internal.h"

/* 1 byte count of significant bytes, then these, big-endian (common/ledger/util, EncodeOrderPreservingVarUint64) */
static size_t
ordvar(uint64_t number, uint8_t *out)
{
	size_t		count = 0;

	for (uint64_t rest = number; rest != 0; rest >>= 8)
		count++;
	out[0] = (uint8_t) count;
	for (size_t i = 0; i < count; i++)
		out[count - i] = (uint8_t) (number >> (8 * i));
	return count + 1;
}

size_t
rwset_version_bytes(RwSetVersion version, uint8_t *out)
{
	size_t		size = ordvar(version.block_number, out);

	return size + ordvar(version.tx_index, out + size);
}

FbStatus
update_pack(FbAllocator *allocator, const StateUpdate *updates, size_t updates_count, FbBytes *bytes, FbError *error)
{
	Txmgr__Updates message = TXMGR__UPDATES__INIT;
	Txmgr__KVWrite *writes = fb_allocate_array(allocator, updates_count, sizeof(*writes));
	uint8_t		(*versions)[RWSET_VERSION_BYTES_MAX] = fb_allocate_array(allocator, updates_count, sizeof(*versions));
	const StateUpdate *before = NULL;

	*bytes = FB_BYTES_EMPTY;
	message.kvwrites = fb_allocate_array(allocator, updates_count, sizeof(*message.kvwrites));
	if (writes == NULL || versions == NULL || message.kvwrites == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < updates_count; i++)
	{
		const StateUpdate *update = &updates[i];
		Txmgr__KVWrite *write = &writes[message.n_kvwrites];
		bool		new_namespace;

		/* the configuration has maps, hence no canonical bytes: Fabric leaves its namespace out */
		if (update->namespace_name.size == 0)
			continue;
		new_namespace = before == NULL || !fb_bytes_equal(before->namespace_name, update->namespace_name);
		txmgr__kvwrite__init(write);
		if (new_namespace)
		{
			write->namespace_ = fb_text_copy(allocator, update->namespace_name);
			if (write->namespace_ == NULL)
				return fb_out_of_memory(error);
		}
		if (update->hashed &&
			(new_namespace || !before->hashed || !fb_bytes_equal(before->collection, update->collection)))
		{
			write->collection = fb_text_copy(allocator, update->collection);
			if (write->collection == NULL)
				return fb_out_of_memory(error);
		}
		write->key = proto_data(update->key);
		write->isdelete = update->is_delete;
		write->value = proto_data(update->is_delete ? FB_BYTES_EMPTY : update->value);
		write->version_bytes.data = versions[message.n_kvwrites];
		write->version_bytes.len = rwset_version_bytes(update->version, versions[message.n_kvwrites]);
		message.kvwrites[message.n_kvwrites++] = write;
		before = update;
	}
	return PROTO_PACK(&message, allocator, bytes, error);
}

void
update_commit_hash(FbBytes filter, FbBytes updates_bytes, FbBytes previous, uint8_t hash[CRYPTO_SHA256_BYTES])
{
	uint8_t		varint[10];
	size_t		varint_size = 0;
	uint64_t	rest = filter.size;
	FbBytes		parts[4];

	do
	{
		varint[varint_size++] = (uint8_t) ((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
		rest >>= 7;
	} while (rest > 0);
	parts[0] = fb_bytes(varint, varint_size);
	parts[1] = filter;
	parts[2] = updates_bytes;
	parts[3] = previous;
	crypto_sha256_parts(parts, 4, hash);
}

static void
digest_number(CryptoSha256 *hash, uint64_t number)
{
	uint8_t		bytes[8];

	for (size_t i = 0; i < 8; i++)
		bytes[i] = (uint8_t) (number >> (56 - 8 * i));
	crypto_sha256_add(hash, fb_bytes(bytes, sizeof(bytes)));
}

void
state_digest_start(StateDigest *digest)
{
	crypto_sha256_start(&digest->hash);
}

void
state_digest_add(StateDigest *digest, FbBytes state_namespace, FbBytes key, FbBytes value, FbBytes metadata,
				 RwSetVersion version)
{
	const FbBytes fields[4] = {state_namespace, key, value, metadata};

	for (size_t i = 0; i < 4; i++)
	{
		digest_number(&digest->hash, fields[i].size);
		crypto_sha256_add(&digest->hash, fields[i]);
	}
	digest_number(&digest->hash, version.block_number);
	digest_number(&digest->hash, version.tx_index);
}

void
state_digest_finish(StateDigest *digest, uint8_t out[CRYPTO_SHA256_BYTES])
{
	crypto_sha256_finish(&digest->hash, out);
}
