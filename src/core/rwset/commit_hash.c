/*
 * commit_hash.c: what a block did to the state, as bytes: commit hash and state digest
 * (docs/wire-format.md, "Commit hash").
 */
#include "core/rwset/rwset_internal.h"

/*
 * 1 byte count of significant bytes, then these, big-endian (common/ledger/util,
 * EncodeOrderPreservingVarUint64)
 */
static size_t
write_ordered_varint(uint64_t number, uint8_t *out)
{
	size_t count = 0;

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
	size_t size = write_ordered_varint(version.block_number, out);

	return size + write_ordered_varint(version.tx_index, out + size);
}

/* ---- the commit hash ---- */

/*
 * pb(Updates) goes into it piece by piece, since the values of a block's keys may be larger than
 * any message.
 */

/* field 1 of Updates, length-delimited */
#define UPDATES_KVWRITES_TAG 0x0A

typedef struct HashBuffer
{
	ProtobufCBuffer buffer; /* must be first */
	CryptoSha256 hash;
} HashBuffer;

static void
append_to_hash(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
	crypto_sha256_add(&((HashBuffer *) buffer)->hash, fb_bytes(data, size));
}

static void
hash_varint(CryptoSha256 *hash, uint64_t number)
{
	uint8_t bytes[10];
	size_t size = 0;

	do
	{
		bytes[size++] = (uint8_t) ((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
		number >>= 7;
	} while (number > 0);
	crypto_sha256_add(hash, fb_bytes(bytes, size));
}

/* a name as protobuf-c wants it; those of the state are short */
static char *
print_name(char *field, size_t field_bytes, FbBytes name)
{
	FB_ASSERT(name.size < field_bytes);
	memcpy(field, name.size > 0 ? name.data : (const uint8_t *) "", name.size);
	field[name.size] = '\0';
	return field;
}

/* before: the update before this one, or NULL */
static void
hash_update(HashBuffer *to, const StateUpdate *update, const StateUpdate *before)
{
	Txmgr__KVWrite write = TXMGR__KVWRITE__INIT;
	char namespace_name[FB_CHAINCODE_NAME_BYTES_MAX + 1];
	char collection[FB_COLLECTION_NAME_BYTES_MAX + 1];
	uint8_t version[RWSET_VERSION_BYTES_MAX];
	bool new_namespace =
		before == NULL || !fb_bytes_equal(before->namespace_name, update->namespace_name);
	static const uint8_t tag = UPDATES_KVWRITES_TAG;

	if (new_namespace)
		write.namespace_ =
			print_name(namespace_name, sizeof(namespace_name), update->namespace_name);
	if (update->hashed && (new_namespace || !before->hashed ||
						   !fb_bytes_equal(before->collection, update->collection)))
		write.collection = print_name(collection, sizeof(collection), update->collection);
	write.key = proto_data(update->key);
	write.isdelete = update->is_delete;
	write.value = proto_data(update->is_delete ? FB_BYTES_EMPTY : update->value);
	write.version_bytes.data = version;
	write.version_bytes.len = rwset_version_bytes(update->version, version);
	crypto_sha256_add(&to->hash, fb_bytes(&tag, 1));
	hash_varint(&to->hash, protobuf_c_message_get_packed_size(&write.base));
	protobuf_c_message_pack_to_buffer(&write.base, &to->buffer);
}

void
update_commit_hash(FbBytes filter, const StateUpdate *updates, size_t updates_count,
				   FbBytes previous, uint8_t hash[CRYPTO_SHA256_BYTES])
{
	HashBuffer to = {.buffer = {append_to_hash}};
	const StateUpdate *before = NULL;

	crypto_sha256_start(&to.hash);
	hash_varint(&to.hash, filter.size);
	crypto_sha256_add(&to.hash, filter);
	for (size_t i = 0; i < updates_count; i++)
	{
		/* the configuration has maps, hence no canonical bytes: Fabric leaves its namespace out */
		if (updates[i].namespace_name.size == 0)
			continue;
		hash_update(&to, &updates[i], before);
		before = &updates[i];
	}
	crypto_sha256_add(&to.hash, previous);
	crypto_sha256_finish(&to.hash, hash);
}

/* ---- the state digest ---- */

static void
digest_number(CryptoSha256 *hash, uint64_t number)
{
	uint8_t bytes[8];

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
state_digest_add(StateDigest *digest, FbBytes state_namespace, FbBytes key, FbBytes value,
				 FbBytes metadata, RwSetVersion version)
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
