/*
 * proto_encode.c: messages from JSON, the inverse of proto_json.c (configtxlator proto_encode).
 *
 * Members may come in any order, but what a bytes field holds depends on other members: the type of
 * a policy, the header of a payload. So the members of an object are found first, and read in three
 * rounds: numbers and texts, then messages, then bytes that hold a message.
 *
 * The text may be untrusted. Nesting is limited; each level scans its text once more.
 */
#include "core/proto/proto_internal.h"

#include <inttypes.h>

/* objects and arrays in each other; an opaque message counts like any other */
#define NESTING_MAX (2 * FB_JSON_DEPTH_MAX)

/* the longest name of a field that messages repeat */
#define FIELD_NAME_SHOWN_BYTES 64

typedef struct JsonReader
{
	FbAllocator *allocator;
	FbError *error;
	int level;
	bool no_memory; /* the reason why a value could not be read */
} JsonReader;

typedef struct JsonMember
{
	FbBytes name;  /* decoded */
	FbBytes value; /* as it stands in the text */
	const ProtobufCFieldDescriptor *field;
} JsonMember;

static FbStatus encode_read_message(JsonReader *reader,
									const ProtobufCMessageDescriptor *descriptor, FbBytes text,
									const OpaquePlace *place, ProtobufCMessage **result);

/* ---- syntax ---- */

static FbStatus
syntax_error(JsonReader *reader)
{
	return fb_fail(reader->error, FB_MALFORMED_MESSAGE, "the text is not valid JSON");
}

static void
encode_skip_space(FbBytes *text)
{
	while (text->size > 0 && (text->data[0] == ' ' || text->data[0] == '\t' ||
							  text->data[0] == '\n' || text->data[0] == '\r'))
		*text = fb_bytes(text->data + 1, text->size - 1);
}

static void
skip_bytes(FbBytes *text, size_t count)
{
	*text = fb_bytes(text->data + count, text->size - count);
}

static bool
take_byte(FbBytes *text, char byte)
{
	encode_skip_space(text);
	if (text->size == 0 || text->data[0] != (uint8_t) byte)
		return false;
	skip_bytes(text, 1);
	return true;
}

/* the string at the front of the text, with its quotes */
static bool
take_string(FbBytes *text, FbBytes *string)
{
	encode_skip_space(text);
	if (text->size == 0 || text->data[0] != '"')
		return false;
	for (size_t i = 1; i < text->size && text->data[i] >= 0x20; i++)
	{
		if (text->data[i] == '\\')
			i++;
		else if (text->data[i] == '"')
		{
			*string = fb_bytes(text->data, i + 1);
			skip_bytes(text, i + 1);
			return true;
		}
	}
	return false;
}

/*
 * The value at the front of the text. Only strings and brackets are looked at: what is inside is
 * checked where it is read.
 */
static bool
take_value(FbBytes *text, FbBytes *value)
{
	FbBytes string;
	size_t depth = 0;
	const uint8_t *start;

	encode_skip_space(text);
	start = text->data;
	do
	{
		uint8_t byte;

		if (text->size == 0)
			return false;
		byte = text->data[0];
		if (byte == '"')
		{
			if (!take_string(text, &string))
				return false;
			continue;
		}
		if (depth == 0 && byte != '{' && byte != '[')
		{
			/* a number, true, false or null */
			while (text->size > 0 && strchr(",]} \t\r\n", text->data[0]) == NULL)
				skip_bytes(text, 1);
			break;
		}
		if (byte == '{' || byte == '[')
			depth++;
		else if (byte == '}' || byte == ']')
			depth--;
		skip_bytes(text, 1);
	} while (depth > 0);
	*value = fb_bytes(start, (size_t) (text->data - start));
	return value->size > 0;
}

static bool
is_null(FbBytes value)
{
	return fb_bytes_equal(value, FB_BYTES_LITERAL("null"));
}

/* four hex digits; -1 otherwise */
static int32_t
hex_value(FbBytes string, size_t at)
{
	uint8_t bytes[2];

	if (string.size < at + 4 || !fb_hex_decode((const char *) string.data + at, 4, bytes))
		return -1;
	return bytes[0] << 8 | bytes[1];
}

static void
append_character(FbBuffer *buffer, uint32_t character)
{
	if (character < 0x80)
		fb_buffer_append_byte(buffer, (uint8_t) character);
	else if (character < 0x800)
	{
		fb_buffer_append_byte(buffer, (uint8_t) (0xc0 | character >> 6));
		fb_buffer_append_byte(buffer, (uint8_t) (0x80 | (character & 0x3f)));
	}
	else
	{
		if (character < 0x10000)
			fb_buffer_append_byte(buffer, (uint8_t) (0xe0 | character >> 12));
		else
		{
			fb_buffer_append_byte(buffer, (uint8_t) (0xf0 | character >> 18));
			fb_buffer_append_byte(buffer, (uint8_t) (0x80 | (character >> 12 & 0x3f)));
		}
		fb_buffer_append_byte(buffer, (uint8_t) (0x80 | (character >> 6 & 0x3f)));
		fb_buffer_append_byte(buffer, (uint8_t) (0x80 | (character & 0x3f)));
	}
}

/* the escape sequence after a backslash at string.data[*at]; *at: behind it */
static bool
decode_escape(FbBytes string, size_t *at, FbBuffer *buffer)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char characters[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int32_t high;
	int32_t low;

	if (string.data[*at] != 'u')
	{
		found = string.data[*at] != 0 ? strchr(escapes, string.data[*at]) : NULL;
		if (found == NULL)
			return false;
		fb_buffer_append_byte(buffer, (uint8_t) characters[found - escapes]);
		*at += 1;
		return true;
	}
	high = hex_value(string, *at + 1);
	*at += 5;
	if (high < 0 || (high & 0xfc00) == 0xdc00)
		return false;
	if ((high & 0xfc00) != 0xd800)
	{
		append_character(buffer, (uint32_t) high);
		return true;
	}
	if (string.size < *at + 6 || string.data[*at] != '\\' || string.data[*at + 1] != 'u')
		return false;
	low = hex_value(string, *at + 2);
	*at += 6;
	if (low < 0 || (low & 0xfc00) != 0xdc00)
		return false;
	append_character(buffer,
					 0x10000 + (((uint32_t) high & 0x3ff) << 10) + ((uint32_t) low & 0x3ff));
	return true;
}

/* string: with its quotes, as take_string found it */
static FbStatus
decode_string(JsonReader *reader, FbBytes string, FbBytes *result)
{
	FbBuffer buffer;
	size_t at = 1;

	fb_buffer_init(&buffer, reader->allocator);
	if (string.size < 2 || string.data[0] != '"')
		return syntax_error(reader);
	while (at < string.size - 1)
	{
		if (string.data[at] != '\\')
		{
			fb_buffer_append_byte(&buffer, string.data[at++]);
			continue;
		}
		at++;
		if (at >= string.size - 1 || !decode_escape(string, &at, &buffer))
			return syntax_error(reader);
	}
	FB_TRY(fb_buffer_bytes(&buffer, result, reader->error));
	return fb_utf8_valid(*result) ? FB_OK : syntax_error(reader);
}

/*
 * The members of an object, or, with names false, the elements of an array, which have no names. An
 * array of new memory.
 */
static FbStatus
list_members(JsonReader *reader, FbBytes text, bool names, JsonMember **members, size_t *count)
{
	FbBytes rest = text;
	size_t capacity = 0;
	JsonMember *list = NULL;

	*members = NULL;
	*count = 0;
	if (!take_byte(&rest, names ? '{' : '['))
		return syntax_error(reader);
	if (take_byte(&rest, names ? '}' : ']'))
		return FB_OK;
	do
	{
		JsonMember member = {0};
		FbBytes string;

		if (names && (!take_string(&rest, &string) || !take_byte(&rest, ':')))
			return syntax_error(reader);
		if (names)
			FB_TRY(decode_string(reader, string, &member.name));
		if (!take_value(&rest, &member.value))
			return syntax_error(reader);
		if (*count == capacity)
		{
			size_t more = capacity == 0 ? 8 : 2 * capacity;
			JsonMember *grown = fb_allocate_array(reader->allocator, more, sizeof(*grown));

			if (grown == NULL)
				return fb_out_of_memory(reader->error);
			if (capacity > 0)
				memcpy(grown, list, capacity * sizeof(*grown));
			fb_release(reader->allocator, list);
			list = grown;
			capacity = more;
		}
		list[(*count)++] = member;
	} while (take_byte(&rest, ','));
	if (!take_byte(&rest, names ? '}' : ']'))
		return syntax_error(reader);
	*members = list;
	return FB_OK;
}

/* ---- values ---- */

static FbStatus
refuse_value(JsonReader *reader, const ProtobufCMessageDescriptor *descriptor,
			 const ProtobufCFieldDescriptor *field, FbBytes value)
{
	if (reader->no_memory)
		return fb_out_of_memory(reader->error);
	fb_fail(reader->error, FB_MALFORMED_MESSAGE, "invalid value of field \"%s\" of %s", field->name,
			descriptor->name);
	fb_error_detail(reader->error, "The value is %s.", FB_DISPLAY(value));
	return FB_MALFORMED_MESSAGE;
}

/* a decimal number, perhaps in quotes, from low to high */
static bool
decode_number(FbBytes value, int64_t low, uint64_t high, uint64_t *result)
{
	bool negative;
	uint64_t number = 0;
	size_t at = 0;

	if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
		value = fb_bytes(value.data + 1, value.size - 2);
	negative = value.size > 0 && value.data[0] == '-';
	at = negative ? 1 : 0;
	if (at == value.size)
		return false;
	for (; at < value.size; at++)
	{
		uint8_t digit = (uint8_t) (value.data[at] - '0');

		if (digit > 9 || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (negative ? number > (uint64_t) - (low + 1) + 1 : number > high)
		return false;
	*result = negative ? -number : number;
	return !negative || low < 0 || number == 0;
}

static bool
decode_enum(JsonReader *reader, const ProtobufCFieldDescriptor *field, FbBytes value,
			uint64_t *number)
{
	FbBytes name;
	FbStatus status;
	char *text;
	const ProtobufCEnumValue *found;

	if (value.data[0] != '"')
		return decode_number(value, INT32_MIN, INT32_MAX, number);
	status = decode_string(reader, value, &name);
	text = status == FB_OK ? fb_text_copy(reader->allocator, name) : NULL;
	reader->no_memory = status == FB_OUT_OF_MEMORY || (status == FB_OK && text == NULL);
	if (text == NULL)
		return false;
	found = protobuf_c_enum_descriptor_get_value_by_name(field->descriptor, text);
	*number = found != NULL ? (uint64_t) (int64_t) found->value : 0;
	return found != NULL;
}

/* base64 with padding (RFC 4648) */
static bool
decode_base64(JsonReader *reader, FbBytes text, FbBytes *bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *out = fb_allocate(reader->allocator, text.size / 4 * 3);
	size_t size = 0;

	reader->no_memory = out == NULL;
	if (out == NULL || text.size % 4 != 0)
		return false;
	for (size_t i = 0; i < text.size; i += 4)
	{
		uint32_t group = 0;
		size_t padding = 0;

		for (size_t k = 0; k < 4; k++)
		{
			uint8_t byte = text.data[i + k];
			const char *found = byte != 0 ? strchr(digits, byte) : NULL;

			if (byte == '=' && i + 4 == text.size && k >= 2)
				padding++;
			else if (found == NULL || padding > 0)
				return false;
			group = group << 6 | (found != NULL ? (uint32_t) (found - digits) : 0);
		}
		out[size++] = (uint8_t) (group >> 16);
		if (padding < 2)
			out[size++] = (uint8_t) (group >> 8);
		if (padding < 1)
			out[size++] = (uint8_t) group;
	}
	*bytes = fb_bytes(out, size);
	return true;
}

/* U+2400 stands for U+0000, which jsonb cannot hold (PROTO_JSON_DATABASE) */
static FbBytes
restore_zeros(FbBytes text)
{
	uint8_t *data = (uint8_t *) text.data;
	size_t size = 0;

	for (size_t i = 0; i < text.size; i++)
	{
		bool zero = text.size - i >= 3 && memcmp(text.data + i, "\xe2\x90\x80", 3) == 0;

		data[size++] = zero ? 0 : text.data[i];
		i += zero ? 2 : 0;
	}
	return fb_bytes(data, size);
}

static FbStatus
encode_read_bytes(JsonReader *reader, const ProtobufCMessage *message,
				  const ProtobufCFieldDescriptor *field, FbBytes value, const OpaquePlace *place,
				  ProtobufCBinaryData *result)
{
	static const OpaquePlace nowhere;
	const ProtobufCMessageDescriptor *inner;
	ProtobufCMessage *inner_message;
	FbBytes bytes = FB_BYTES_EMPTY;

	if (value.data[0] == '{')
	{
		inner = proto_opaque_type(message, field, place);
		if (inner == NULL)
			return refuse_value(reader, message->descriptor, field, value);
		FB_TRY(encode_read_message(reader, inner, value, &nowhere, &inner_message));
		FB_TRY(proto_pack(inner_message, reader->allocator, &bytes, reader->error));
	}
	else if (!is_null(value))
	{
		FbBytes text;

		FB_TRY(decode_string(reader, value, &text));
		if (proto_bytes_hold_text(message->descriptor, field))
			bytes = restore_zeros(text);
		else if (!decode_base64(reader, text, &bytes))
			return refuse_value(reader, message->descriptor, field, value);
	}
	*result = proto_data(bytes);
	return FB_OK;
}

static FbStatus
encode_read_string(JsonReader *reader, const ProtobufCMessage *message,
				   const ProtobufCFieldDescriptor *field, FbBytes value, char **result)
{
	FbBytes text;

	if (value.data[0] != '"')
		return refuse_value(reader, message->descriptor, field, value);
	FB_TRY(decode_string(reader, value, &text));
	if (text.size > 0 && memchr(text.data, 0, text.size) != NULL)
		return refuse_value(reader, message->descriptor, field, value);
	*result = fb_text_copy(reader->allocator, text);
	return *result != NULL ? FB_OK : fb_out_of_memory(reader->error);
}

/* one value of a field, which is neither a message nor null, into member */
static FbStatus
encode_read_scalar(JsonReader *reader, const ProtobufCMessage *message,
				   const ProtobufCFieldDescriptor *field, FbBytes value, const OpaquePlace *place,
				   void *member)
{
	uint64_t number = 0;
	bool good;

	switch (field->type)
	{
		case PROTOBUF_C_TYPE_STRING:
			return encode_read_string(reader, message, field, value, member);
		case PROTOBUF_C_TYPE_BYTES:
			return encode_read_bytes(reader, message, field, value, place, member);
		case PROTOBUF_C_TYPE_BOOL:
			good = fb_bytes_equal(value, FB_BYTES_LITERAL("true")) ||
				   fb_bytes_equal(value, FB_BYTES_LITERAL("false"));
			*(protobuf_c_boolean *) member = value.data[0] == 't';
			break;
		case PROTOBUF_C_TYPE_ENUM:
			good = decode_enum(reader, field, value, &number);
			*(int32_t *) member = (int32_t) number;
			break;
		case PROTOBUF_C_TYPE_INT64:
		case PROTOBUF_C_TYPE_SINT64:
		case PROTOBUF_C_TYPE_SFIXED64:
			good = decode_number(value, INT64_MIN, INT64_MAX, &number);
			*(uint64_t *) member = number;
			break;
		case PROTOBUF_C_TYPE_UINT64:
		case PROTOBUF_C_TYPE_FIXED64:
			good = decode_number(value, 0, UINT64_MAX, &number);
			*(uint64_t *) member = number;
			break;
		case PROTOBUF_C_TYPE_UINT32:
		case PROTOBUF_C_TYPE_FIXED32:
			good = decode_number(value, 0, UINT32_MAX, &number);
			*(uint32_t *) member = (uint32_t) number;
			break;
		default:
			good = decode_number(value, INT32_MIN, INT32_MAX, &number);
			*(uint32_t *) member = (uint32_t) number;
			break;
	}
	return good ? FB_OK : refuse_value(reader, message->descriptor, field, value);
}

/* ---- timestamps (RFC 3339 in UTC, as proto_json writes them) ---- */

static bool
decode_digits(FbBytes text, size_t at, size_t count, int64_t *number)
{
	*number = 0;
	for (size_t i = at; i < at + count; i++)
	{
		if (i >= text.size || text.data[i] < '0' || text.data[i] > '9')
			return false;
		*number = *number * 10 + (text.data[i] - '0');
	}
	return true;
}

static bool
decode_time(FbBytes text, Google__Protobuf__Timestamp *timestamp)
{
	int64_t part[6];
	int64_t fraction = 0;
	static const struct
	{
		size_t at;
		size_t count;
		char before;
	} parts[6] = {{0, 4, 0}, {5, 2, '-'}, {8, 2, '-'}, {11, 2, 'T'}, {14, 2, ':'}, {17, 2, ':'}};
	int64_t year;
	int64_t era;
	int64_t day_of_year;
	size_t digits = text.size > 20 ? text.size - 21 : 0;

	if (text.size < 20 || text.data[text.size - 1] != 'Z' || digits > 9 ||
		(text.size > 20 && (text.data[19] != '.' || !decode_digits(text, 20, digits, &fraction))))
		return false;
	for (size_t i = 0; i < 6; i++)
		if (!decode_digits(text, parts[i].at, parts[i].count, &part[i]) ||
			(i > 0 && text.data[parts[i].at - 1] != (uint8_t) parts[i].before))
			return false;
	if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 ||
		part[4] > 59 || part[5] > 59)
		return false;
	for (; digits < 9; digits++)
		fraction *= 10;
	/* days since 1970, with years that begin in March */
	year = part[1] > 2 ? part[0] : part[0] - 1;
	era = year / 400;
	day_of_year = (153 * (part[1] > 2 ? part[1] - 3 : part[1] + 9) + 2) / 5 + part[2] - 1;
	year -= era * 400;
	timestamp->seconds =
		((era * 146097 + year * 365 + year / 4 - year / 100 + day_of_year - 719468) * 24 +
		 part[3]) *
			3600 +
		part[4] * 60 + part[5];
	timestamp->nanos = (int32_t) fraction;
	return true;
}

/* ---- messages ---- */

static FbStatus
new_message(JsonReader *reader, const ProtobufCMessageDescriptor *descriptor,
			ProtobufCMessage **message)
{
	*message = fb_allocate(reader->allocator, descriptor->sizeof_message);
	if (*message == NULL)
		return fb_out_of_memory(reader->error);
	protobuf_c_message_init(descriptor, *message);
	return FB_OK;
}

static FbStatus
read_map(JsonReader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		 FbBytes value, const OpaquePlace *place)
{
	ProtobufCMessage ***entries = (ProtobufCMessage ***) ((char *) message + field->offset);
	size_t *entries_count = (size_t *) ((char *) message + field->quantifier_offset);
	JsonMember *members;
	size_t count;

	FB_TRY(list_members(reader, value, true, &members, &count));
	*entries = fb_allocate_array(reader->allocator, count, sizeof(**entries));
	if (*entries == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < count; i++)
	{
		const ProtobufCMessageDescriptor *entry_type = field->descriptor;
		const ProtobufCFieldDescriptor *value_field = &entry_type->fields[1];
		ProtobufCMessage *entry;
		char *key = fb_text_copy(reader->allocator, members[i].name);
		void *member;

		if (key == NULL)
			return fb_out_of_memory(reader->error);
		if (strlen(key) != members[i].name.size)
			return refuse_value(reader, message->descriptor, field, members[i].name);
		FB_TRY(new_message(reader, entry_type, &entry));
		*(char **) ((char *) entry + entry_type->fields[0].offset) = key;
		member = (char *) entry + value_field->offset;
		if (value_field->type == PROTOBUF_C_TYPE_MESSAGE)
		{
			OpaquePlace inner = proto_opaque_place(message, field, key, place);

			FB_TRY(encode_read_message(reader, value_field->descriptor, members[i].value, &inner,
									   member));
		}
		else
			FB_TRY(encode_read_scalar(reader, entry, value_field, members[i].value, place, member));
		(*entries)[(*entries_count)++] = entry;
	}
	return FB_OK;
}

static FbStatus
read_array(JsonReader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		   FbBytes value, const OpaquePlace *place)
{
	size_t *elements_count = (size_t *) ((char *) message + field->quantifier_offset);
	size_t element_bytes = proto_element_bytes(field->type);
	JsonMember *members;
	size_t count;
	char *elements;

	FB_TRY(list_members(reader, value, false, &members, &count));
	elements = fb_allocate_array(reader->allocator, count, element_bytes);
	if (elements == NULL)
		return fb_out_of_memory(reader->error);
	*(char **) ((char *) message + field->offset) = elements;
	for (size_t i = 0; i < count; i++)
	{
		void *member = elements + i * element_bytes;

		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		{
			OpaquePlace inner = proto_opaque_place(message, field, NULL, place);

			FB_TRY(
				encode_read_message(reader, field->descriptor, members[i].value, &inner, member));
		}
		else
			FB_TRY(encode_read_scalar(reader, message, field, members[i].value, place, member));
	}
	*elements_count = count;
	return FB_OK;
}

static FbStatus
encode_read_member(JsonReader *reader, ProtobufCMessage *message, const JsonMember *json,
				   const OpaquePlace *place)
{
	const ProtobufCFieldDescriptor *field = json->field;
	void *member = (char *) message + field->offset;

	if (is_null(json->value))
		return FB_OK;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return field->type == PROTOBUF_C_TYPE_MESSAGE && proto_is_map_entry(field->descriptor)
				   ? read_map(reader, message, field, json->value, place)
				   : read_array(reader, message, field, json->value, place);
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *) ((char *) message + field->quantifier_offset) = field->id;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
	{
		OpaquePlace inner = proto_opaque_place(message, field, NULL, place);

		return encode_read_message(reader, field->descriptor, json->value, &inner, member);
	}
	return encode_read_scalar(reader, message, field, json->value, place, member);
}

/* in which round a member is read: see the note at the top */
static int
member_round(const JsonMember *json)
{
	if (json->field->type == PROTOBUF_C_TYPE_MESSAGE)
		return 1;
	return json->field->type == PROTOBUF_C_TYPE_BYTES && json->value.data[0] == '{' ? 2 : 0;
}

static FbBytes
shown_name(FbBytes name)
{
	return fb_bytes(name.data, (size_t) fb_utf8_cut(name, FIELD_NAME_SHOWN_BYTES));
}

static FbStatus
find_fields(JsonReader *reader, const ProtobufCMessageDescriptor *descriptor, JsonMember *members,
			size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		char *name = fb_text_copy(reader->allocator, members[i].name);

		if (name == NULL)
			return fb_out_of_memory(reader->error);
		members[i].field = protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
		if (members[i].field == NULL)
			return fb_fail(reader->error, FB_MALFORMED_MESSAGE, "unrecognized field \"%s\" of %s",
						   FB_DISPLAY(shown_name(members[i].name)), descriptor->name);
		for (size_t k = 0; k < i; k++)
			if (members[k].field == members[i].field)
				return fb_fail(reader->error, FB_MALFORMED_MESSAGE,
							   "field \"%s\" of %s is there twice", members[i].field->name,
							   descriptor->name);
	}
	return FB_OK;
}

static FbStatus
encode_read_message(JsonReader *reader, const ProtobufCMessageDescriptor *descriptor, FbBytes text,
					const OpaquePlace *place, ProtobufCMessage **result)
{
	ProtobufCMessage *message;
	JsonMember *members;
	size_t count;

	if (++reader->level > NESTING_MAX)
		return fb_fail(reader->error, FB_LIMIT_EXCEEDED, "the text is nested too deeply");
	FB_TRY(new_message(reader, descriptor, &message));
	*result = message;
	if (descriptor == &google__protobuf__timestamp__descriptor)
	{
		FbBytes time;

		FB_TRY(decode_string(reader, text, &time));
		if (!decode_time(time, (Google__Protobuf__Timestamp *) message))
			return fb_fail(reader->error, FB_MALFORMED_MESSAGE, "invalid timestamp %s",
						   FB_DISPLAY(text));
		reader->level--;
		return FB_OK;
	}
	FB_TRY(list_members(reader, text, true, &members, &count));
	/* also bounds the search for fields that are there twice */
	if (count > descriptor->n_fields)
		return fb_fail(reader->error, FB_MALFORMED_MESSAGE, "%s has no %zu fields",
					   descriptor->name, count);
	FB_TRY(find_fields(reader, descriptor, members, count));
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < count; i++)
			if (member_round(&members[i]) == round)
				FB_TRY(encode_read_member(reader, message, &members[i], place));
	reader->level--;
	return FB_OK;
}

FbStatus
proto_encode(const ProtobufCMessageDescriptor *descriptor, FbBytes text, FbAllocator *allocator,
			 FbBytes *bytes, FbError *error)
{
	static const OpaquePlace nowhere;
	JsonReader reader = {.allocator = allocator, .error = error};
	ProtobufCMessage *message;
	FbBytes rest = text;
	FbBytes value;

	*bytes = FB_BYTES_EMPTY;
	if (text.size > FB_JSON_TEXT_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "JSON text of more than %d bytes",
					   FB_JSON_TEXT_BYTES_MAX);
	if (!take_value(&rest, &value))
		return syntax_error(&reader);
	encode_skip_space(&rest);
	if (rest.size > 0)
		return syntax_error(&reader);
	FB_TRY(encode_read_message(&reader, descriptor, value, &nowhere, &message));
	FB_TRY(proto_order_maps(message, allocator, error));
	FB_TRY(proto_pack(message, allocator, bytes, error));
	/* the text can make messages that are larger than any node reads */
	return proto_check(descriptor, *bytes, error);
}
