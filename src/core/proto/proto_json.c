/*
 * proto_json.c: messages as JSON, in the form that configtxlator prints (protolator over jsonpb
 * with original names and defaults): members sorted, absent messages and empty bytes null, 64-bit
 * integers as strings, bytes in base64, text escaped as Go's encoding/json does for HTML.
 */
#include "core/proto/proto_internal.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct Json
{
	FbBuffer buffer;
	FbAllocator *allocator;
	ProtoJsonStyle style;
	int indent;			  /* open objects and arrays */
	int level;			  /* messages inside messages */
	uint64_t memory_left; /* for the messages that are unpacked at the moment: each contains the
							 bytes of all messages inside it again */
	bool empty;			  /* nothing has been written in the innermost object or array */
	FbStatus status;	  /* anything but FB_OK: stop */
} Json;

static void json_write_message(Json *json, const ProtobufCMessage *message,
							   const OpaquePlace *place);

/* ---- tokens ---- */

static void
write_newline(Json *json)
{
	if (json->style != PROTO_JSON_PRETTY)
		return;
	fb_buffer_append_byte(&json->buffer, '\n');
	for (int i = 0; i < json->indent; i++)
		fb_buffer_append_byte(&json->buffer, '\t');
}

static void
open_list(Json *json, char bracket)
{
	fb_buffer_append_byte(&json->buffer, (uint8_t) bracket);
	json->indent++;
	json->empty = true;
}

static void
close_list(Json *json, char bracket)
{
	json->indent--;
	if (!json->empty)
		write_newline(json);
	fb_buffer_append_byte(&json->buffer, (uint8_t) bracket);
	json->empty = false; /* the enclosing object or array now has this element */
}

static void
next_element(Json *json)
{
	if (!json->empty)
		fb_buffer_append_byte(&json->buffer, ',');
	json->empty = false;
	write_newline(json);
}

/* text: valid UTF-8 */
static void
write_string(Json *json, FbBytes text)
{
	FbBuffer *buffer = &json->buffer;

	fb_buffer_append_byte(buffer, '"');
	for (size_t i = 0; i < text.size; i++)
	{
		uint8_t byte = text.data[i];

		switch (byte)
		{
			case '"':
				fb_buffer_append_text(buffer, "\\\"");
				continue;
			case '\\':
				fb_buffer_append_text(buffer, "\\\\");
				continue;
			case '\b':
				fb_buffer_append_text(buffer, "\\b");
				continue;
			case '\f':
				fb_buffer_append_text(buffer, "\\f");
				continue;
			case '\n':
				fb_buffer_append_text(buffer, "\\n");
				continue;
			case '\r':
				fb_buffer_append_text(buffer, "\\r");
				continue;
			case '\t':
				fb_buffer_append_text(buffer, "\\t");
				continue;
			default:
				break;
		}
		if (byte == 0 && json->style == PROTO_JSON_DATABASE)
			fb_buffer_append_text(buffer, "\xe2\x90\x80"); /* U+2400, symbol for null */
		else if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&')
			fb_buffer_append_format(buffer, "\\u%04x", byte);
		else if (byte == 0xe2 && text.size - i >= 3 && text.data[i + 1] == 0x80 &&
				 (text.data[i + 2] & 0xfe) == 0xa8)
		{
			/* U+2028 and U+2029 end a line in JavaScript */
			fb_buffer_append_format(buffer, "\\u202%d", text.data[i + 2] & 0x0f);
			i += 2;
		}
		else
			fb_buffer_append_byte(buffer, byte);
	}
	fb_buffer_append_byte(buffer, '"');
}

static void
write_base64(Json *json, FbBytes bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	fb_buffer_append_byte(&json->buffer, '"');
	for (size_t i = 0; i < bytes.size; i += 3)
	{
		size_t have = bytes.size - i;
		uint32_t group = (uint32_t) bytes.data[i] << 16;
		char out[4];

		if (have > 1)
			group |= (uint32_t) bytes.data[i + 1] << 8;
		if (have > 2)
			group |= bytes.data[i + 2];
		out[0] = digits[group >> 18];
		out[1] = digits[group >> 12 & 63];
		out[2] = have > 1 ? digits[group >> 6 & 63] : '=';
		out[3] = have > 2 ? digits[group & 63] : '=';
		fb_buffer_append(&json->buffer, out, 4);
	}
	fb_buffer_append_byte(&json->buffer, '"');
}

static void
write_key(Json *json, const char *key)
{
	next_element(json);
	write_string(json, fb_bytes_of_text(key));
	fb_buffer_append_text(&json->buffer, json->style == PROTO_JSON_PRETTY ? ": " : ":");
}

/* ---- values ---- */

/*
 * RFC 3339 with 0, 3, 6 or 9 digits; null when it is outside the years 1 to 9999, which RFC 3339
 * cannot write
 */
static void
write_timestamp(Json *json, const Google__Protobuf__Timestamp *timestamp)
{
	int64_t days = timestamp->seconds / 86400;
	int second = (int) (timestamp->seconds % 86400);
	int64_t era;
	int day_of_era;
	int year_of_era;
	int day_of_year;
	int month;
	int day;
	int64_t year;

	if (timestamp->seconds < -INT64_C(62135596800) || timestamp->seconds > INT64_C(253402300799) ||
		timestamp->nanos < 0 || timestamp->nanos > 999999999)
	{
		fb_buffer_append_text(&json->buffer, "null");
		return;
	}
	if (second < 0)
	{
		second += 86400;
		days--;
	}
	/* the proleptic Gregorian calendar, with years that begin in March and eras of 400 years */
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = (int) (days - era * 146097);
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	day = day_of_year - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	year = year_of_era + era * 400 + (month <= 2);
	fb_buffer_append_format(&json->buffer, "\"%04d-%02d-%02dT%02d:%02d:%02d", (int) year, month,
							day, second / 3600, second / 60 % 60, second % 60);
	if (timestamp->nanos % 1000 != 0)
		fb_buffer_append_format(&json->buffer, ".%09d", timestamp->nanos);
	else if (timestamp->nanos % 1000000 != 0)
		fb_buffer_append_format(&json->buffer, ".%06d", timestamp->nanos / 1000);
	else if (timestamp->nanos != 0)
		fb_buffer_append_format(&json->buffer, ".%03d", timestamp->nanos / 1000000);
	fb_buffer_append_text(&json->buffer, "Z\"");
}

/*
 * Write bytes that may hold a message. If they cannot be unpacked as the expected type, they are
 * shown as bytes.
 */
static void
write_bytes(Json *json, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
			FbBytes bytes, const OpaquePlace *place)
{
	const ProtobufCMessageDescriptor *inner = NULL;
	ProtobufCMessage *inner_message;
	FbStatus status;

	if (proto_bytes_hold_text(message->descriptor, field))
	{
		write_string(json, bytes);
		return;
	}
	if (json->level < FB_JSON_DEPTH_MAX)
		inner = proto_opaque_type(message, field, place);
	if (inner != NULL)
	{
		static const OpaquePlace nowhere;
		uint64_t memory_bytes = json->memory_left;

		status =
			proto_unpack_within(inner, bytes, json->allocator, &memory_bytes, &inner_message, NULL);
		if (status == FB_OK)
		{
			json->memory_left -= memory_bytes;
			json_write_message(json, inner_message, &nowhere);
			proto_release(inner_message, json->allocator);
			json->memory_left += memory_bytes;
			return;
		}
		if (status == FB_OUT_OF_MEMORY)
		{
			json->status = status;
			return;
		}
	}
	write_base64(json, bytes);
}

static void
write_enum(Json *json, const ProtobufCFieldDescriptor *field, int32_t value)
{
	const ProtobufCEnumValue *name = protobuf_c_enum_descriptor_get_value(field->descriptor, value);

	if (name != NULL)
		write_string(json, fb_bytes_of_text(name->name));
	else
		fb_buffer_append_format(&json->buffer, "%" PRId32, value);
}

/* Write one value of a field: member points to it. single: not an element of an array or map. */
static void
write_value(Json *json, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
			const void *member, const char *key, bool single, const OpaquePlace *place)
{
	switch (field->type)
	{
		case PROTOBUF_C_TYPE_INT32:
		case PROTOBUF_C_TYPE_SINT32:
		case PROTOBUF_C_TYPE_SFIXED32:
			fb_buffer_append_format(&json->buffer, "%" PRId32, *(const int32_t *) member);
			break;
		case PROTOBUF_C_TYPE_UINT32:
		case PROTOBUF_C_TYPE_FIXED32:
			fb_buffer_append_format(&json->buffer, "%" PRIu32, *(const uint32_t *) member);
			break;
		case PROTOBUF_C_TYPE_INT64:
		case PROTOBUF_C_TYPE_SINT64:
		case PROTOBUF_C_TYPE_SFIXED64:
			fb_buffer_append_format(&json->buffer, "\"%" PRId64 "\"", *(const int64_t *) member);
			break;
		case PROTOBUF_C_TYPE_UINT64:
		case PROTOBUF_C_TYPE_FIXED64:
			fb_buffer_append_format(&json->buffer, "\"%" PRIu64 "\"", *(const uint64_t *) member);
			break;
		case PROTOBUF_C_TYPE_BOOL:
			fb_buffer_append_text(&json->buffer,
								  *(const protobuf_c_boolean *) member ? "true" : "false");
			break;
		case PROTOBUF_C_TYPE_ENUM:
			write_enum(json, field, *(const int32_t *) member);
			break;
		case PROTOBUF_C_TYPE_STRING:
			write_string(json, fb_bytes_of_text(*(char *const *) member));
			break;
		case PROTOBUF_C_TYPE_BYTES:
		{
			FbBytes bytes = proto_bytes(*(const ProtobufCBinaryData *) member);

			if (single && bytes.size == 0 && !proto_bytes_hold_text(message->descriptor, field))
				fb_buffer_append_text(&json->buffer, "null");
			else
				write_bytes(json, message, field, bytes, place);
			break;
		}
		case PROTOBUF_C_TYPE_MESSAGE:
		{
			const ProtobufCMessage *inner = *(ProtobufCMessage *const *) member;
			OpaquePlace inner_place = proto_opaque_place(message, field, key, place);

			if (inner == NULL)
				fb_buffer_append_text(&json->buffer, "null");
			else
				json_write_message(json, inner, &inner_place);
			break;
		}
		default:
			FB_ASSERT(!"no message has floating-point numbers");
	}
}

static void
write_map(Json *json, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		  ProtobufCMessage *const *entries, size_t count, const OpaquePlace *place)
{
	open_list(json, '{');
	for (size_t i = 0; i < count && json->status == FB_OK; i++)
	{
		const ProtobufCMessage *entry = entries[i];
		const ProtobufCFieldDescriptor *value = &entry->descriptor->fields[1];
		const char *key =
			*(char *const *) ((const char *) entry + entry->descriptor->fields[0].offset);
		const void *member = (const char *) entry + value->offset;

		write_key(json, key);
		/* the map's field determines the place of a message in a map, not the entry */
		if (value->type == PROTOBUF_C_TYPE_MESSAGE)
			write_value(json, message, field, member, key, false, place);
		else
			write_value(json, entry, value, member, key, false, place);
	}
	close_list(json, '}');
}

size_t
proto_element_bytes(ProtobufCType type)
{
	switch (type)
	{
		case PROTOBUF_C_TYPE_INT64:
		case PROTOBUF_C_TYPE_SINT64:
		case PROTOBUF_C_TYPE_SFIXED64:
		case PROTOBUF_C_TYPE_UINT64:
		case PROTOBUF_C_TYPE_FIXED64:
			return 8;
		case PROTOBUF_C_TYPE_STRING:
		case PROTOBUF_C_TYPE_MESSAGE:
			return sizeof(void *);
		case PROTOBUF_C_TYPE_BYTES:
			return sizeof(ProtobufCBinaryData);
		default:
			return 4;
	}
}

static void
write_field(Json *json, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
			const OpaquePlace *place)
{
	const void *member = (const char *) message + field->offset;
	const void *quantifier = (const char *) message + field->quantifier_offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
	{
		size_t count = *(const size_t *) quantifier;
		const char *elements = *(char *const *) member;

		write_key(json, field->name);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && proto_is_map_entry(field->descriptor))
		{
			write_map(json, message, field, *(ProtobufCMessage ***) member, count, place);
			return;
		}
		open_list(json, '[');
		for (size_t i = 0; i < count && json->status == FB_OK; i++)
		{
			next_element(json);
			write_value(json, message, field, elements + i * proto_element_bytes(field->type), NULL,
						false, place);
		}
		close_list(json, ']');
		return;
	}
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
	{
		/* of a oneof, only the member that is set exists */
		if (*(const uint32_t *) quantifier != field->id)
			return;
	}
	write_key(json, field->name);
	write_value(json, message, field, member, NULL, true, place);
}

static void
json_write_message(Json *json, const ProtobufCMessage *message, const OpaquePlace *place)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	if (json->buffer.failed)
		json->status = FB_OUT_OF_MEMORY;
	else if (json->buffer.size > FB_JSON_TEXT_BYTES_MAX)
		json->status = FB_LIMIT_EXCEEDED;
	if (json->status != FB_OK)
		return;
	if (descriptor == &google__protobuf__timestamp__descriptor)
	{
		write_timestamp(json, (const Google__Protobuf__Timestamp *) message);
		return;
	}
	json->level++;
	open_list(json, '{');
	for (unsigned i = 0; i < descriptor->n_fields; i++)
		write_field(json, message, &descriptor->fields[descriptor->fields_sorted_by_name[i]],
					place);
	close_list(json, '}');
	json->level--;
}

FbStatus
proto_json(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, ProtoJsonStyle style,
		   FbAllocator *allocator, FbBytes *text, FbError *error)
{
	static const OpaquePlace nowhere;
	Json json = {.allocator = allocator, .style = style};
	uint64_t memory_bytes = FB_MESSAGE_MEMORY_BYTES_MAX;
	ProtobufCMessage *message;

	*text = FB_BYTES_EMPTY;
	FB_TRY(proto_unpack_within(descriptor, bytes, allocator, &memory_bytes, &message, error));
	json.memory_left = FB_MESSAGE_MEMORY_BYTES_MAX - memory_bytes;
	fb_buffer_init(&json.buffer, allocator);
	json_write_message(&json, message, &nowhere);
	if (style == PROTO_JSON_PRETTY)
		fb_buffer_append_byte(&json.buffer, '\n');
	proto_release(message, allocator);
	if (json.status == FB_LIMIT_EXCEEDED)
		return fb_fail(error, FB_LIMIT_EXCEEDED,
					   "message of type %s gives JSON of more than %d bytes", descriptor->name,
					   FB_JSON_TEXT_BYTES_MAX);
	if (json.status != FB_OK)
		return fb_out_of_memory(error);
	return fb_buffer_bytes(&json.buffer, text, error);
}
