/*
 * unpack.c: the decoder for untrusted bytes.
 *
 * The problem. protobuf-c's unpacker recurses without a limit, allocates a structure of a hundred
 * bytes for two bytes of input, merges repeated singular messages by copying arrays, and does not
 * check UTF-8.
 *
 * The rule. The bytes are walked first, with this project's limits and without allocating anything;
 * only bytes that pass are given to protobuf-c. Bytes pass if Go's decoder accepts them
 * (google.golang.org/protobuf, internal/impl/decode.go), since validation codes depend on that: a
 * known field of another wire type is an unknown one; groups are skipped; singular messages sent
 * more than once are merged; tags and lengths may have more bytes than they need. protobuf-c reads
 * these differently or not at all, so bytes with any of them are rewritten first (normalize.c).
 * Encoders do not write them, so an ordinary message is not rewritten.
 */
#include "core/proto/proto_internal.h"

/*
 * memory that an allocator needs in addition to the requested bytes: an estimate, for the limit on
 * memory
 */
#define ALLOCATION_OVERHEAD 16
/* protobuf-c keeps a record per field while it unpacks a message */
#define SCANNED_MEMBER_BYTES 40

typedef struct Decoder
{
	const uint8_t *start; /* of the outermost message */
	const ProtobufCMessageDescriptor *outermost;
	uint64_t memory_bytes;
	uint32_t fields_count;
	bool maps_seen;
	bool unusual; /* protobuf-c would read it differently from Go */
	FbError *error;
} Decoder;

/*
 * Fields declared as bytes that are strings in Fabric: they may contain U+0000, and a transaction
 * with it may be valid.
 */
bool
proto_bytes_hold_text(const ProtobufCMessageDescriptor *descriptor,
					  const ProtobufCFieldDescriptor *field)
{
	static const struct
	{
		const ProtobufCMessageDescriptor *descriptor;
		uint32_t first;
		uint32_t last;
	} texts[] = {
		{&kvrwset__kvread__descriptor, 1, 1},
		{&kvrwset__kvwrite__descriptor, 1, 1},
		{&kvrwset__kvmetadata_write__descriptor, 1, 1},
		{&kvrwset__kvmetadata_entry__descriptor, 1, 1},
		{&kvrwset__range_query_info__descriptor, 1, 2},
		{&queryresult__kv__descriptor, 2, 2},
		{&rwset__ns_read_write_set__descriptor, 1, 1},
		{&rwset__collection_hashed_read_write_set__descriptor, 1, 1},
		{&common__channel_header__descriptor, 4, 5},
		{&protos__chaincode_id__descriptor, 1, 3},
		{&protos__chaincode_event__descriptor, 1, 3},
		{&protos__response__descriptor, 2, 2},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].descriptor == descriptor)
			return field->id >= texts[i].first && field->id <= texts[i].last;
	return false;
}

static FbStatus
unpack_refuse(const Decoder *decoder, const ProtobufCMessageDescriptor *descriptor,
			  const ProtobufCFieldDescriptor *field, const uint8_t *at, const char *reason)
{
	fb_fail(decoder->error, FB_MALFORMED_MESSAGE, "malformed message of type %s",
			decoder->outermost->name);
	fb_error_detail(decoder->error, "At byte %zu, in %s%s%s: %s.", (size_t) (at - decoder->start),
					descriptor->name, field != NULL ? "." : "", field != NULL ? field->name : "",
					reason);
	return FB_MALFORMED_MESSAGE;
}

static FbStatus
unpack_exceed(const Decoder *decoder, const char *what, uint64_t limit)
{
	fb_fail(decoder->error, FB_LIMIT_EXCEEDED, "message of type %s is too complex",
			decoder->outermost->name);
	fb_error_detail(decoder->error, "More than %llu %s.", (unsigned long long) limit, what);
	return FB_LIMIT_EXCEEDED;
}

static FbStatus
count_fields(Decoder *decoder, uint64_t count)
{
	if (count > FB_MESSAGE_FIELDS_MAX - decoder->fields_count)
		return unpack_exceed(decoder, "fields", FB_MESSAGE_FIELDS_MAX);
	decoder->fields_count += (uint32_t) count;
	return FB_OK;
}

static FbStatus
count_memory(Decoder *decoder, uint64_t bytes)
{
	decoder->memory_bytes += bytes + ALLOCATION_OVERHEAD;
	if (decoder->memory_bytes > FB_MESSAGE_MEMORY_BYTES_MAX)
		return unpack_exceed(decoder, "bytes of memory", FB_MESSAGE_MEMORY_BYTES_MAX);
	return FB_OK;
}

/* check the elements of a packed array of numbers */
static FbStatus
check_packed(Decoder *decoder, const ProtobufCMessageDescriptor *descriptor,
			 const ProtobufCFieldDescriptor *field, FbBytes content)
{
	int wire_type = proto_wire_type(field->type);
	const uint8_t *end = content.data + content.size;
	uint64_t count = 0;

	if (wire_type == WIRE_VARINT)
	{
		for (const uint8_t *at = content.data; at < end;)
		{
			uint64_t value;
			size_t size = proto_read_varint(at, end, VARINT_BYTES_MAX, &value);

			if (size == 0)
				return unpack_refuse(decoder, descriptor, field, at,
									 "invalid variable-length integer");
			at += size;
			count++;
		}
	}
	else
	{
		size_t width = wire_type == WIRE_FIXED32 ? 4 : 8;

		if (content.size % width != 0)
			return unpack_refuse(decoder, descriptor, field, content.data,
								 "invalid length of packed numbers");
		count = content.size / width;
	}
	FB_TRY(count_fields(decoder, count));
	return count_memory(decoder, count * 8);
}

static FbStatus check_message(Decoder *decoder, const ProtobufCMessageDescriptor *descriptor,
							  FbBytes bytes, int depth);

/* check one length-delimited field that the type has */
static FbStatus
check_content(Decoder *decoder, const ProtobufCMessageDescriptor *descriptor,
			  const ProtobufCFieldDescriptor *field, FbBytes content, int depth)
{
	switch (field->type)
	{
		case PROTOBUF_C_TYPE_STRING:
			if (!fb_utf8_valid(content))
				return unpack_refuse(decoder, descriptor, field, content.data,
									 "string is not valid UTF-8");
			if (content.size > 0 && memchr(content.data, 0, content.size) != NULL)
				return unpack_refuse(decoder, descriptor, field, content.data,
									 "string contains U+0000");
			return count_memory(decoder, content.size + 1);
		case PROTOBUF_C_TYPE_BYTES:
			if (proto_bytes_hold_text(descriptor, field) && !fb_utf8_valid(content))
				return unpack_refuse(decoder, descriptor, field, content.data,
									 "string is not valid UTF-8");
			return count_memory(decoder, content.size);
		case PROTOBUF_C_TYPE_MESSAGE:
			if (proto_is_map_entry(field->descriptor))
				decoder->maps_seen = true;
			return check_message(decoder, field->descriptor, content, depth + 1);
		default:
			return check_packed(decoder, descriptor, field, content);
	}
}

static FbStatus
check_message(Decoder *decoder, const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
			  int depth)
{
	FbBytes rest = bytes.size > 0 ? bytes : FB_BYTES_LITERAL(""); /* data may be NULL */
	uint64_t messages_seen = 0; /* bit i: the singular message field with index i was present */

	FB_ASSERT(descriptor->n_fields <= 64);
	if (depth > FB_MESSAGE_DEPTH_MAX)
		return unpack_exceed(decoder, "levels of nesting", FB_MESSAGE_DEPTH_MAX);
	FB_TRY(count_memory(decoder, descriptor->sizeof_message));
	while (rest.size > 0)
	{
		FbBytes before = rest;
		ProtoField field;
		const uint8_t *where;
		const char *problem = proto_take_field(&rest, &field, &where);
		const ProtobufCFieldDescriptor *known =
			protobuf_c_message_descriptor_get_field(descriptor, field.number);

		if (problem != NULL)
			return unpack_refuse(decoder, descriptor, known, where, problem);
		FB_TRY(count_fields(decoder, 1));
		decoder->memory_bytes += SCANNED_MEMBER_BYTES;
		if (field.is_long || field.wire_type == WIRE_GROUP_START ||
			(known != NULL && !proto_field_fits(known, &field)))
			decoder->unusual = true;
		if (known == NULL || !proto_field_fits(known, &field))
		{
			FB_TRY(count_memory(decoder,
								sizeof(ProtobufCMessageUnknownField) + before.size - rest.size));
			continue;
		}
		if (known->label == PROTOBUF_C_LABEL_REPEATED)
			decoder->memory_bytes += sizeof(ProtobufCBinaryData);
		else if (known->type == PROTOBUF_C_TYPE_MESSAGE)
		{
			uint64_t bit = UINT64_C(1) << (known - descriptor->fields);

			if (messages_seen & bit)
				decoder->unusual = true;
			messages_seen |= bit;
		}
		if (field.is_bytes)
			FB_TRY(check_content(decoder, descriptor, known, field.bytes, depth));
	}
	return FB_OK;
}

static void
count_decode(const ProtobufCMessageDescriptor *descriptor)
{
	static const struct
	{
		const ProtobufCMessageDescriptor *descriptor;
		FbWork work;
	} counted[] = {
		{&common__envelope__descriptor, FB_WORK_DECODE_ENVELOPE},
		{&common__payload__descriptor, FB_WORK_DECODE_PAYLOAD},
		{&common__channel_header__descriptor, FB_WORK_DECODE_CHANNEL_HEADER},
		{&common__signature_header__descriptor, FB_WORK_DECODE_SIGNATURE_HEADER},
		{&common__block__descriptor, FB_WORK_DECODE_BLOCK},
		{&common__block_data__descriptor, FB_WORK_DECODE_BLOCK_DATA},
		{&protos__proposal__descriptor, FB_WORK_DECODE_PROPOSAL},
		{&protos__proposal_response__descriptor, FB_WORK_DECODE_RESPONSE},
		{&protos__transaction__descriptor, FB_WORK_DECODE_TRANSACTION},
		{&rwset__tx_read_write_set__descriptor, FB_WORK_DECODE_RWSET},
	};

	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
		if (counted[i].descriptor == descriptor)
		{
			fb_work_add(counted[i].work);
			return;
		}
	fb_work_add(FB_WORK_DECODE_OTHER);
}

static FbStatus
decoder_check(Decoder *decoder, const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
			  FbError *error)
{
	*decoder = (Decoder) {.start = bytes.data, .outermost = descriptor, .error = error};
	count_decode(descriptor);
	if (bytes.size > FB_MESSAGE_BYTES_MAX)
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "message of type %s is too large", descriptor->name);
		fb_error_detail(error, "It has %zu bytes; the limit is %d.", bytes.size,
						FB_MESSAGE_BYTES_MAX);
		return FB_LIMIT_EXCEEDED;
	}
	return check_message(decoder, descriptor, bytes, 1);
}

FbStatus
proto_check(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, FbError *error)
{
	Decoder decoder;

	return decoder_check(&decoder, descriptor, bytes, error);
}

FbStatus
proto_check_plain(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, FbError *error)
{
	Decoder decoder;

	FB_TRY(decoder_check(&decoder, descriptor, bytes, error));
	if (!decoder.unusual)
		return FB_OK;
	fb_fail(error, FB_MALFORMED_MESSAGE, "malformed message of type %s", descriptor->name);
	fb_error_detail(
		error,
		"It is encoded as no encoder does it: with groups, fields of another type, long tags, or messages sent in parts.");
	return FB_MALFORMED_MESSAGE;
}

/* ---- unpacking ---- */

typedef struct Memory
{
	FbAllocator *allocator;
	bool exhausted;
} Memory;

static void *
memory_allocate(void *data, size_t size)
{
	Memory *memory = data;
	void *pointer = fb_allocate(memory->allocator, size);

	if (pointer == NULL)
		memory->exhausted = true;
	return pointer;
}

static void
memory_release(void *data, void *pointer)
{
	Memory *memory = data;

	fb_release(memory->allocator, pointer);
}

FbStatus
proto_unpack_within(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
					FbAllocator *allocator, uint64_t *memory_bytes, ProtobufCMessage **message,
					FbError *error)
{
	Decoder decoder;
	Memory memory = {.allocator = allocator};
	ProtobufCAllocator adapter = {.alloc = memory_allocate,
								  .free = memory_release,
								  .allocator_data = &memory};
	FbStatus status;

	*message = NULL;
	FB_TRY(decoder_check(&decoder, descriptor, bytes, error));
	if (decoder.memory_bytes > *memory_bytes)
		return unpack_exceed(&decoder, "bytes of memory", *memory_bytes);
	*memory_bytes = decoder.memory_bytes;
	if (decoder.unusual)
		FB_TRY(proto_normalize(descriptor, bytes, allocator, &bytes, error));
	*message = protobuf_c_message_unpack(descriptor, &adapter, bytes.size, bytes.data);
	if (*message == NULL)
	{
		if (memory.exhausted)
			return fb_out_of_memory(error);
		return fb_fail(error, FB_MALFORMED_MESSAGE, "malformed message of type %s",
					   descriptor->name);
	}
	if (decoder.maps_seen)
	{
		status = proto_order_maps(*message, allocator, error);
		if (status != FB_OK)
		{
			*message = NULL;
			return status;
		}
	}
	return FB_OK;
}

FbStatus
proto_unpack(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, FbAllocator *allocator,
			 ProtobufCMessage **message, FbError *error)
{
	uint64_t memory_bytes = UINT64_MAX; /* no limit: the decoder has its own limit */

	return proto_unpack_within(descriptor, bytes, allocator, &memory_bytes, message, error);
}

void
proto_release(ProtobufCMessage *message, FbAllocator *allocator)
{
	Memory memory = {.allocator = allocator};
	ProtobufCAllocator adapter = {.alloc = memory_allocate,
								  .free = memory_release,
								  .allocator_data = &memory};

	if (message != NULL)
		protobuf_c_message_free_unpacked(message, &adapter);
}
