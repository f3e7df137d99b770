/* snapshot_items.c: the items of the data files of a snapshot */
#include "core/snapshot/snapshot.h"

#include "core/proto/proto.h"

#define VARINT_BYTES_MAX 10
#define CONFIG_KEY_START "slscc"
#define CONFIG_KEY_END "~collection"

enum
{
	FIELD_KEY = 1,
	FIELD_VALUE = 2,
	FIELD_METADATA = 3,
	FIELD_VERSION = 4
};

const char *
snapshot_file_name(SnapshotFile file)
{
	static const char *const names[SNAPSHOT_FILES_COUNT] = {"confighistory.data",
															"confighistory.metadata",
															"private_state_hashes.data",
															"private_state_hashes.metadata",
															"public_state.data",
															"public_state.metadata",
															"txids.data",
															"txids.metadata"};

	return names[file];
}

/* ---- writing ---- */

static size_t
encode_varint(uint64_t number, uint8_t *out)
{
	size_t size = 0;

	while (number >= 0x80)
	{
		out[size++] = (uint8_t) (number | 0x80);
		number >>= 7;
	}
	out[size++] = (uint8_t) number;
	return size;
}

static size_t
varint_bytes(uint64_t number)
{
	uint8_t encoded[VARINT_BYTES_MAX];

	return encode_varint(number, encoded);
}

void
snapshot_put_number(FbBuffer *buffer, uint64_t number)
{
	uint8_t encoded[VARINT_BYTES_MAX];

	fb_buffer_append(buffer, encoded, encode_varint(number, encoded));
}

void
snapshot_put_bytes(FbBuffer *buffer, FbBytes bytes)
{
	snapshot_put_number(buffer, bytes.size);
	fb_buffer_append_bytes(buffer, bytes);
}

/* a bytes field of a message, left out when it is empty as in proto3 */
static size_t
field_bytes(FbBytes bytes)
{
	return bytes.size == 0 ? 0 : 1 + varint_bytes(bytes.size) + bytes.size;
}

static void
put_field(FbBuffer *buffer, int number, FbBytes bytes)
{
	if (bytes.size == 0)
		return;
	fb_buffer_append_byte(buffer, (uint8_t) (number << 3 | 2));
	snapshot_put_bytes(buffer, bytes);
}

void
snapshot_put_record(FbBuffer *buffer, const SnapshotRecord *record)
{
	uint8_t encoded[RWSET_VERSION_BYTES_MAX];
	FbBytes version = fb_bytes(encoded, rwset_version_bytes(record->version, encoded));

	snapshot_put_number(buffer, field_bytes(record->key) + field_bytes(record->value) +
									field_bytes(record->metadata) + field_bytes(version));
	put_field(buffer, FIELD_KEY, record->key);
	put_field(buffer, FIELD_VALUE, record->value);
	put_field(buffer, FIELD_METADATA, record->metadata);
	put_field(buffer, FIELD_VERSION, version);
}

FbStatus
snapshot_config_key(FbAllocator *allocator, FbBytes chaincode, uint64_t number, FbBytes *key,
					FbError *error)
{
	FbBuffer buffer;

	fb_buffer_init(&buffer, allocator);
	/* with the zero that ends the literal */
	fb_buffer_append(&buffer, CONFIG_KEY_START, sizeof(CONFIG_KEY_START));
	fb_buffer_append_bytes(&buffer, chaincode);
	fb_buffer_append_text(&buffer, CONFIG_KEY_END);
	for (int shift = 56; shift >= 0; shift -= 8)
		fb_buffer_append_byte(&buffer, (uint8_t) (~number >> shift));
	return fb_buffer_bytes(&buffer, key, error);
}

FbStatus
snapshot_config_key_parse(FbBytes key, FbBytes *chaincode, uint64_t *number, FbError *error)
{
	const size_t start = sizeof(CONFIG_KEY_START);
	const size_t end = sizeof(CONFIG_KEY_END) - 1;

	if (key.size <= start + end + 8 || memcmp(key.data, CONFIG_KEY_START, start) != 0 ||
		memcmp(key.data + key.size - 8 - end, CONFIG_KEY_END, end) != 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "a key of the history of collections is malformed");
	*chaincode = fb_bytes(key.data + start, key.size - start - end - 8);
	*number = 0;
	for (size_t i = key.size - 8; i < key.size; i++)
		*number = *number << 8 | key.data[i];
	*number = ~*number;
	return FB_OK;
}

/* ---- reading ---- */

SnapshotTake
snapshot_take_number(FbBytes *window, uint64_t *number)
{
	uint64_t result = 0;

	for (size_t i = 0; i < VARINT_BYTES_MAX; i++)
	{
		if (i == window->size)
			return SNAPSHOT_MORE;
		/* more than 64 bits (encoding/binary, ReadUvarint) */
		if (i == VARINT_BYTES_MAX - 1 && window->data[i] > 1)
			return SNAPSHOT_MALFORMED;
		result |= (uint64_t) (window->data[i] & 0x7f) << (7 * i);
		if ((window->data[i] & 0x80) == 0)
		{
			*number = result;
			*window = fb_bytes(window->data + i + 1, window->size - i - 1);
			return SNAPSHOT_TAKEN;
		}
	}
	return SNAPSHOT_MALFORMED;
}

SnapshotTake
snapshot_take_bytes(FbBytes *window, FbBytes *bytes)
{
	FbBytes rest = *window;
	uint64_t size;
	SnapshotTake taken = snapshot_take_number(&rest, &size);

	if (taken != SNAPSHOT_TAKEN)
		return taken;
	if (size > SNAPSHOT_ITEM_BYTES_MAX)
		return SNAPSHOT_MALFORMED;
	if (rest.size < size)
		return SNAPSHOT_MORE;
	*bytes = fb_bytes(rest.data, size);
	*window = fb_bytes(rest.data + size, rest.size - size);
	return SNAPSHOT_TAKEN;
}

/* common/ledger/util/util.go, DecodeOrderPreservingVarUint64 */
static bool
take_ordered_number(FbBytes *rest, uint64_t *number)
{
	size_t size;

	if (rest->size == 0 || rest->data[0] > 8 || rest->size <= rest->data[0])
		return false;
	size = rest->data[0];
	/* a number has one encoding only */
	if (size > 0 && rest->data[1] == 0)
		return false;
	*number = 0;
	for (size_t i = 1; i <= size; i++)
		*number = *number << 8 | rest->data[i];
	*rest = fb_bytes(rest->data + size + 1, rest->size - size - 1);
	return true;
}

FbStatus
snapshot_record_parse(FbBytes item, SnapshotRecord *record, FbError *error)
{
	FbBytes *const fields[] = {NULL, &record->key, &record->value, &record->metadata, NULL};
	FbBytes version = FB_BYTES_EMPTY;
	ProtoField field;
	uint64_t block_number;
	uint64_t tx_index;
	size_t left = item.size;

	memset(record, 0, sizeof(*record));
	while (left > 0 && proto_next_field(&item, &field))
	{
		/* as proto.Marshal writes it: each field once, in their order, with the shortest lengths */
		if (field.number < FIELD_KEY || field.number > FIELD_VERSION || !field.is_bytes ||
			left - item.size != field_bytes(field.bytes) || version.size > 0)
			return fb_fail(error, FB_MALFORMED_MESSAGE, "a record of the snapshot is malformed");
		if (field.number == FIELD_VERSION)
			version = field.bytes;
		else
		{
			for (uint32_t later = field.number; later < FIELD_VERSION; later++)
				if (fields[later]->size > 0)
					return fb_fail(error, FB_MALFORMED_MESSAGE,
								   "a record of the snapshot has its fields in another order");
			*fields[field.number] = field.bytes;
		}
		left = item.size;
	}
	if (left > 0 || !take_ordered_number(&version, &block_number) ||
		!take_ordered_number(&version, &tx_index) || version.size > 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "a record of the snapshot has no version");
	record->version = (RwSetVersion) {true, block_number, tx_index};
	return FB_OK;
}
