/*
 * normalize: rewrite bytes that Go's decoder accepts, but protobuf-c reads differently, into bytes
 * that it reads like Go (internal/impl/decode.go, codec_field.go of google.golang.org/protobuf):
 *
 *   - unknown fields, groups, and known fields of another wire type are dropped: no code reads
 *     them;
 *   - the parts of a singular message are joined: decoding their concatenation merges them;
 *   - of a oneof, the last member that was sent is kept, and of a message in it only the parts
 *     after another member of the same oneof;
 *   - tags and lengths get their shortest form.
 *
 * The bytes have passed proto_check, so they are not malformed, and depth is bounded. Each message
 * is read twice, and once more for each of its singular message fields. Output is not copied:
 * lengths are filled in afterwards, in five bytes. Only joined parts are copied, up to a limit.
 */
#include "core/proto/proto_internal.h"

/* bytes reserved for a length: protobuf-c accepts up to five */
#define LENGTH_BYTES 5

typedef struct Rewriter
{
	FbAllocator *allocator;
	FbBuffer out;
	size_t joined_bytes;
	FbError *error;
} Rewriter;

static FbStatus normalize_message(Rewriter *rewriter, const ProtobufCMessageDescriptor *descriptor,
								  FbBytes bytes);

static void
write_varint(FbBuffer *out, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		fb_buffer_append_byte(out, (uint8_t) (value | 0x80));
	fb_buffer_append_byte(out, (uint8_t) value);
}

static void
normalize_scalar(FbBuffer *out, const ProtoField *field)
{
	write_varint(out, (uint64_t) field->number << 3 | (uint64_t) field->wire_type);
	switch (field->wire_type)
	{
		case WIRE_VARINT:
			write_varint(out, field->value);
			break;
		case WIRE_BYTES:
			write_varint(out, field->bytes.size);
			fb_buffer_append_bytes(out, field->bytes);
			break;
		default:
			for (int i = 0; i < (field->wire_type == WIRE_FIXED64 ? 8 : 4); i++)
				fb_buffer_append_byte(out, (uint8_t) (field->value >> (8 * i)));
			break;
	}
}

/* write a message field with its content rewritten */
static FbStatus
write_submessage(Rewriter *rewriter, const ProtobufCFieldDescriptor *member, FbBytes content)
{
	FbBuffer *out = &rewriter->out;
	size_t start;
	size_t size;

	write_varint(out, (uint64_t) member->id << 3 | WIRE_BYTES);
	for (int i = 0; i < LENGTH_BYTES; i++)
		fb_buffer_append_byte(out, 0);
	start = out->size;
	FB_TRY(normalize_message(rewriter, member->descriptor, content));
	if (out->failed)
		return fb_out_of_memory(rewriter->error);
	size = out->size - start;
	for (int i = 0; i < LENGTH_BYTES; i++)
		out->data[start - LENGTH_BYTES + i] =
			(uint8_t) (((size >> (7 * i)) & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
	return FB_OK;
}

/* the next field that the type has; false at the end */
static bool
next_known(const ProtobufCMessageDescriptor *descriptor, FbBytes *rest, ProtoField *field,
		   const ProtobufCFieldDescriptor **known)
{
	while (proto_next_field(rest, field))
	{
		*known = protobuf_c_message_descriptor_get_field(descriptor, field->number);
		if (*known != NULL && proto_field_fits(*known, field))
			return true;
	}
	return false;
}

static bool
is_oneof(const ProtobufCFieldDescriptor *field)
{
	return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/*
 * Find which members of the oneofs to keep: live[i], for the field with index i, is where its last
 * uninterrupted run begins (or the unknown fields before it); NULL: another member was sent later.
 */
static void
find_live_members(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, const uint8_t **live)
{
	FbBytes rest = bytes;
	const uint8_t *at = rest.data;
	ProtoField field;
	const ProtobufCFieldDescriptor *known;

	for (; next_known(descriptor, &rest, &field, &known); at = rest.data)
	{
		unsigned index = (unsigned) (known - descriptor->fields);

		if (!is_oneof(known) || live[index] != NULL)
			continue;
		for (unsigned i = 0; i < descriptor->n_fields; i++)
			if (is_oneof(&descriptor->fields[i]) &&
				descriptor->fields[i].quantifier_offset == known->quantifier_offset)
				live[i] = NULL;
		live[index] = at;
	}
}

/* join this part of a singular message with all following parts */
static FbStatus
join_parts(Rewriter *rewriter, const ProtobufCMessageDescriptor *descriptor,
		   const ProtobufCFieldDescriptor *member, FbBytes *content, FbBytes rest)
{
	FbBuffer parts;
	bool single = true;
	ProtoField field;
	const ProtobufCFieldDescriptor *known;

	fb_buffer_init(&parts, rewriter->allocator);
	while (next_known(descriptor, &rest, &field, &known))
	{
		if (known != member)
			continue;
		if (single)
			fb_buffer_append_bytes(&parts, *content);
		single = false;
		fb_buffer_append_bytes(&parts, field.bytes);
	}
	if (single)
		return FB_OK;
	rewriter->joined_bytes += parts.size;
	if (rewriter->joined_bytes > FB_MESSAGE_BYTES_MAX)
		return fb_fail(rewriter->error, FB_LIMIT_EXCEEDED,
					   "message of type %s is sent in too many parts", descriptor->name);
	return fb_buffer_bytes(&parts, content, rewriter->error);
}

static FbStatus
normalize_message(Rewriter *rewriter, const ProtobufCMessageDescriptor *descriptor, FbBytes bytes)
{
	const uint8_t *live[64] = {NULL};
	uint64_t written = 0; /* bit i: the singular message field with index i has been written */
	const uint8_t *at = bytes.data;
	ProtoField field;
	const ProtobufCFieldDescriptor *known;

	find_live_members(descriptor, bytes, live);
	for (; next_known(descriptor, &bytes, &field, &known); at = bytes.data)
	{
		unsigned index = (unsigned) (known - descriptor->fields);

		if (is_oneof(known) && (live[index] == NULL || at < live[index]))
			continue;
		if (known->type != PROTOBUF_C_TYPE_MESSAGE)
		{
			normalize_scalar(&rewriter->out, &field);
			continue;
		}
		if (known->label != PROTOBUF_C_LABEL_REPEATED)
		{
			if (written & UINT64_C(1) << index)
				continue;
			written |= UINT64_C(1) << index;
			FB_TRY(join_parts(rewriter, descriptor, known, &field.bytes, bytes));
		}
		FB_TRY(write_submessage(rewriter, known, field.bytes));
	}
	return FB_OK;
}

FbStatus
proto_normalize(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, FbAllocator *allocator,
				FbBytes *normal, FbError *error)
{
	Rewriter rewriter = {.allocator = allocator, .error = error};

	fb_buffer_init(&rewriter.out, allocator);
	FB_TRY(normalize_message(&rewriter, descriptor, bytes));
	return fb_buffer_bytes(&rewriter.out, normal, error);
}
