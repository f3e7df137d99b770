/*
 * field.c: read the fields of a message one after the other, as Go's encoding/protowire does;
 * nothing is allocated
 */
#include "core/proto/proto_internal.h"

#define FIELD_NUMBER_MAX ((1 << 29) - 1)
/* groups within groups; Go's limit is 10,000, and no encoder writes groups */
#define GROUP_DEPTH_MAX FB_MESSAGE_DEPTH_MAX
/* inside groups, Go checks field numbers less strictly (encoding/protowire, DecodeTag) */
#define GROUP_FIELD_NUMBER_MAX INT32_MAX

size_t
proto_read_varint(const uint8_t *data, const uint8_t *end, size_t limit, uint64_t *value)
{
	uint64_t result = 0;

	for (size_t i = 0; i < limit && data + i < end; i++)
	{
		if (i == VARINT_BYTES_MAX - 1 && data[i] > 1)
			return 0; /* longer than 64 bits */
		result |= (uint64_t) (data[i] & 0x7f) << (7 * i);
		if ((data[i] & 0x80) == 0)
		{
			*value = result;
			return i + 1;
		}
	}
	return 0;
}

int
proto_wire_type(ProtobufCType type)
{
	switch (type)
	{
		case PROTOBUF_C_TYPE_SFIXED32:
		case PROTOBUF_C_TYPE_FIXED32:
		case PROTOBUF_C_TYPE_FLOAT:
			return WIRE_FIXED32;
		case PROTOBUF_C_TYPE_SFIXED64:
		case PROTOBUF_C_TYPE_FIXED64:
		case PROTOBUF_C_TYPE_DOUBLE:
			return WIRE_FIXED64;
		case PROTOBUF_C_TYPE_STRING:
		case PROTOBUF_C_TYPE_BYTES:
		case PROTOBUF_C_TYPE_MESSAGE:
			return WIRE_BYTES;
		default:
			return WIRE_VARINT;
	}
}

/*
 * The end of a group whose start tag has been read. NULL when there is no end, or at bytes that no
 * decoder accepts, or when the nesting is too deep.
 */
static const uint8_t *
skip_group(const uint8_t *at, const uint8_t *end, uint32_t number)
{
	uint32_t open[GROUP_DEPTH_MAX] = {number};
	int depth = 1;

	while (depth > 0)
	{
		uint64_t tag;
		uint64_t value = 0;
		size_t size = proto_read_varint(at, end, VARINT_BYTES_MAX, &tag);

		if (size == 0 || (tag >> 3) == 0 || (tag >> 3) > GROUP_FIELD_NUMBER_MAX)
			return NULL;
		at += size;
		size = 0;
		switch (tag & 7)
		{
			case WIRE_VARINT:
				size = proto_read_varint(at, end, VARINT_BYTES_MAX, &value);
				if (size == 0)
					return NULL;
				break;
			case WIRE_FIXED64:
				size = 8;
				break;
			case WIRE_FIXED32:
				size = 4;
				break;
			case WIRE_BYTES:
				size = proto_read_varint(at, end, VARINT_BYTES_MAX, &value);
				if (size == 0 || value > (uint64_t) (end - at) - size)
					return NULL;
				size += (size_t) value;
				break;
			case WIRE_GROUP_START:
				if (depth == GROUP_DEPTH_MAX)
					return NULL;
				open[depth++] = (uint32_t) (tag >> 3);
				break;
			case WIRE_GROUP_END:
				if (open[--depth] != tag >> 3)
					return NULL;
				break;
			default:
				return NULL;
		}
		if (size > (size_t) (end - at))
			return NULL;
		at += size;
	}
	return at;
}

const char *
proto_take_field(FbBytes *rest, ProtoField *field, const uint8_t **where)
{
	const uint8_t *at = rest->data;
	const uint8_t *end = at + rest->size;
	uint64_t tag;
	size_t size = proto_read_varint(at, end, VARINT_BYTES_MAX, &tag);

	*field = (ProtoField) {0};
	*where = at;
	if (size == 0 || (tag >> 3) == 0 || (tag >> 3) > FIELD_NUMBER_MAX)
		return "invalid field tag";
	*field = (ProtoField) {.number = (uint32_t) (tag >> 3),
						   .wire_type = (int) (tag & 7),
						   .is_long = size > SHORT_VARINT_BYTES_MAX};
	if (field->wire_type == WIRE_GROUP_END || field->wire_type > WIRE_FIXED32)
		return "wire type not supported";
	at += size;
	*where = at;
	switch (field->wire_type)
	{
		case WIRE_VARINT:
			size = proto_read_varint(at, end, VARINT_BYTES_MAX, &field->value);
			if (size == 0)
				return "invalid variable-length integer";
			break;
		case WIRE_BYTES:
			size = proto_read_varint(at, end, VARINT_BYTES_MAX, &field->value);
			if (size == 0)
				return "invalid length";
			at += size;
			*where = at;
			if (field->value > (uint64_t) (end - at))
				return "message is cut off";
			field->is_long |= size > SHORT_VARINT_BYTES_MAX;
			size = (size_t) field->value;
			field->is_bytes = true;
			field->bytes = fb_bytes(at, size);
			break;
		case WIRE_GROUP_START:
			size = 0;
			at = skip_group(at, end, field->number);
			if (at == NULL)
				return "invalid group";
			break;
		default:
			size = field->wire_type == WIRE_FIXED64 ? 8 : 4;
			if ((size_t) (end - at) < size)
				return "message is cut off";
			for (size_t i = size; i > 0; i--)
				field->value = field->value << 8 | at[i - 1];
			break;
	}
	at += size;
	*rest = fb_bytes(at, (size_t) (end - at));
	return NULL;
}

bool
proto_field_fits(const ProtobufCFieldDescriptor *known, const ProtoField *field)
{
	int wire_type = proto_wire_type(known->type);

	/* numbers may be packed, but only in a repeated field */
	return field->wire_type == wire_type ||
		   (field->wire_type == WIRE_BYTES && known->label == PROTOBUF_C_LABEL_REPEATED &&
			wire_type != WIRE_BYTES);
}

bool
proto_next_field(FbBytes *rest, ProtoField *field)
{
	const uint8_t *where;

	return rest->size > 0 && proto_take_field(rest, field, &where) == NULL;
}
