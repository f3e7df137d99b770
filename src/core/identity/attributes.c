/*
 * attributes.c: data about its caller that chaincode can get: the client id, and the attributes
 * that Fabric CA put into the certificate, as Fabric's cid and attrmgr libraries return them. The
 * JSON is read as Go's encoding/json reads it into struct{Attrs map[string]string `json:"attrs"`}.
 */
#include "core/identity/identity_internal.h"

#include <stdlib.h>

/* nesting of JSON that is only skipped */
#define JSON_DEPTH_MAX 64

static void
append_base64(FbBuffer *buffer, FbBytes bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes.size; i += 3)
	{
		size_t left = bytes.size - i;
		uint32_t group = (uint32_t) bytes.data[i] << 16;

		if (left > 1)
			group |= (uint32_t) bytes.data[i + 1] << 8;
		if (left > 2)
			group |= bytes.data[i + 2];
		fb_buffer_append_byte(buffer, digits[group >> 18]);
		fb_buffer_append_byte(buffer, digits[group >> 12 & 63]);
		fb_buffer_append_byte(buffer, left > 1 ? digits[group >> 6 & 63] : '=');
		fb_buffer_append_byte(buffer, left > 2 ? digits[group & 63] : '=');
	}
}

FbStatus
certificate_client_id(const CryptoCertificate *certificate, FbAllocator *allocator,
					  const char **client_id, FbError *error)
{
	FbBuffer plain;
	FbBuffer encoded;
	FbBytes bytes;

	*client_id = NULL;
	fb_buffer_init(&plain, allocator);
	fb_buffer_append_text(&plain, "x509::");
	fb_buffer_append_text(&plain, crypto_certificate_subject(certificate));
	fb_buffer_append_text(&plain, "::");
	fb_buffer_append_text(&plain, crypto_certificate_issuer(certificate));
	FB_TRY(fb_buffer_bytes(&plain, &bytes, error));
	fb_buffer_init(&encoded, allocator);
	append_base64(&encoded, bytes);
	fb_buffer_append_byte(&encoded, '\0');
	FB_TRY(fb_buffer_bytes(&encoded, &bytes, error));
	*client_id = (const char *) bytes.data;
	return FB_OK;
}

/* ---- a small JSON reader ---- */

typedef struct Json
{
	const uint8_t *at;
	const uint8_t *end;
	FbAllocator *allocator;
	bool out_of_memory;
} Json;

static void
skip_space(Json *json)
{
	while (json->at < json->end &&
		   (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
		json->at++;
}

/* skip white space; take the next character if it is c */
static bool
attribute_take(Json *json, char c)
{
	skip_space(json);
	if (json->at >= json->end || *json->at != c)
		return false;
	json->at++;
	return true;
}

static bool
take_word(Json *json, const char *word)
{
	size_t size = strlen(word);

	skip_space(json);
	if ((size_t) (json->end - json->at) < size || memcmp(json->at, word, size) != 0)
		return false;
	json->at += size;
	return true;
}

static bool
read_hex4(Json *json, uint32_t *value)
{
	uint8_t bytes[2];

	if (json->end - json->at < 4 || !fb_hex_decode((const char *) json->at, 4, bytes))
		return false;
	json->at += 4;
	*value = (uint32_t) bytes[0] << 8 | bytes[1];
	return true;
}

static void
append_utf8(FbBuffer *buffer, uint32_t c)
{
	if (c < 0x80)
		fb_buffer_append_byte(buffer, c);
	else if (c < 0x800)
	{
		fb_buffer_append_byte(buffer, 0xc0 | c >> 6);
		fb_buffer_append_byte(buffer, 0x80 | (c & 0x3f));
	}
	else if (c < 0x10000)
	{
		fb_buffer_append_byte(buffer, 0xe0 | c >> 12);
		fb_buffer_append_byte(buffer, 0x80 | (c >> 6 & 0x3f));
		fb_buffer_append_byte(buffer, 0x80 | (c & 0x3f));
	}
	else
	{
		fb_buffer_append_byte(buffer, 0xf0 | c >> 18);
		fb_buffer_append_byte(buffer, 0x80 | (c >> 12 & 0x3f));
		fb_buffer_append_byte(buffer, 0x80 | (c >> 6 & 0x3f));
		fb_buffer_append_byte(buffer, 0x80 | (c & 0x3f));
	}
}

#define REPLACEMENT_CHARACTER 0xfffd

/* read an escape sequence after the backslash */
static bool
read_escape(Json *json, FbBuffer *buffer)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t c;
	uint32_t low;

	if (json->at >= json->end)
		return false;
	if (*json->at != 'u')
	{
		found = *json->at == '\0' ? NULL : strchr(from, *json->at);
		if (found == NULL)
			return false;
		json->at++;
		fb_buffer_append_byte(buffer, to[found - from]);
		return true;
	}
	json->at++;
	if (!read_hex4(json, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00 && json->end - json->at >= 6 && json->at[0] == '\\' &&
		json->at[1] == 'u')
	{
		const uint8_t *before = json->at;

		json->at += 2;
		if (!read_hex4(json, &low))
			return false;
		if (low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			json->at = before;
	}
	append_utf8(buffer, c >= 0xd800 && c < 0xe000 ? REPLACEMENT_CHARACTER : c);
	return true;
}

/*
 * Read one character of the string as UTF-8. Each invalid byte becomes the replacement character.
 */
static void
read_plain(Json *json, FbBuffer *buffer)
{
	size_t size = 1;

	if (*json->at >= 0x80)
		for (size = 2; size <= 4; size++)
			if ((size_t) (json->end - json->at) >= size && fb_utf8_valid(fb_bytes(json->at, size)))
				break;
	if (size > 4)
	{
		append_utf8(buffer, REPLACEMENT_CHARACTER);
		size = 1;
	}
	else
		fb_buffer_append(buffer, json->at, size);
	json->at += size;
}

static bool
read_string(Json *json, FbBytes *value)
{
	FbBuffer buffer;

	if (!attribute_take(json, '"'))
		return false;
	fb_buffer_init(&buffer, json->allocator);
	while (json->at < json->end && *json->at != '"')
	{
		if (*json->at < 0x20)
			return false;
		if (*json->at == '\\')
		{
			json->at++;
			if (!read_escape(json, &buffer))
				return false;
		}
		else
			read_plain(json, &buffer);
	}
	if (json->at >= json->end)
		return false;
	json->at++;
	if (fb_buffer_bytes(&buffer, value, NULL) != FB_OK)
	{
		json->out_of_memory = true;
		return false;
	}
	return true;
}

static bool
attribute_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
skip_number(Json *json)
{
	if (json->at < json->end && *json->at == '-')
		json->at++;
	if (json->at >= json->end || !attribute_is_digit(*json->at))
		return false;
	if (*json->at == '0')
		json->at++;
	else
		while (json->at < json->end && attribute_is_digit(*json->at))
			json->at++;
	if (json->at < json->end && *json->at == '.')
	{
		json->at++;
		if (json->at >= json->end || !attribute_is_digit(*json->at))
			return false;
		while (json->at < json->end && attribute_is_digit(*json->at))
			json->at++;
	}
	if (json->at < json->end && (*json->at == 'e' || *json->at == 'E'))
	{
		json->at++;
		if (json->at < json->end && (*json->at == '+' || *json->at == '-'))
			json->at++;
		if (json->at >= json->end || !attribute_is_digit(*json->at))
			return false;
		while (json->at < json->end && attribute_is_digit(*json->at))
			json->at++;
	}
	return true;
}

static bool
skip_value(Json *json, int depth)
{
	FbBytes ignored;
	char close;

	skip_space(json);
	if (json->at >= json->end || depth > JSON_DEPTH_MAX)
		return false;
	switch (*json->at)
	{
		case '"':
			return read_string(json, &ignored);
		case 't':
			return take_word(json, "true");
		case 'f':
			return take_word(json, "false");
		case 'n':
			return take_word(json, "null");
		case '{':
		case '[':
			close = *json->at == '{' ? '}' : ']';
			json->at++;
			if (attribute_take(json, close))
				return true;
			do
			{
				if (close == '}' && !(read_string(json, &ignored) && attribute_take(json, ':')))
					return false;
				if (!skip_value(json, depth + 1))
					return false;
			} while (attribute_take(json, ','));
			return attribute_take(json, close);
		default:
			return skip_number(json);
	}
}

typedef struct AttributeList
{
	CertificateAttribute *items;
	size_t count;
	size_t capacity;
} AttributeList;

static bool
add_attribute(Json *json, AttributeList *list, FbBytes name, FbBytes value)
{
	for (size_t i = 0; i < list->count; i++)
	{
		if (fb_bytes_equal(list->items[i].name, name))
		{
			list->items[i].value = value;
			return true;
		}
	}
	if (list->count == list->capacity)
	{
		size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
		CertificateAttribute *larger =
			fb_allocate_array(json->allocator, capacity, sizeof(*larger));

		if (larger == NULL)
		{
			json->out_of_memory = true;
			return false;
		}
		if (list->count > 0)
			memcpy(larger, list->items, list->count * sizeof(*larger));
		fb_release(json->allocator, list->items);
		list->items = larger;
		list->capacity = capacity;
	}
	list->items[list->count++] = (CertificateAttribute) {name, value};
	return true;
}

/* {"name": "value", ...} or null */
static bool
parse_attributes(Json *json, AttributeList *list)
{
	FbBytes name;
	FbBytes value;

	if (take_word(json, "null"))
	{
		list->count = 0; /* null for a map discards its content */
		return true;
	}
	if (!attribute_take(json, '{'))
		return false;
	if (attribute_take(json, '}'))
		return true;
	do
	{
		value = FB_BYTES_EMPTY;
		if (!read_string(json, &name) || !attribute_take(json, ':'))
			return false;
		if (!take_word(json, "null") && !read_string(json, &value))
			return false;
		if (!add_attribute(json, list, name, value))
			return false;
	} while (attribute_take(json, ','));
	return attribute_take(json, '}');
}

/* Go's decoder ignores the case of a field's name */
static bool
is_attrs(FbBytes name)
{
	static const char wanted[] = "attrs";

	if (name.size != sizeof(wanted) - 1)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if ((name.data[i] | 0x20) != wanted[i])
			return false;
	return true;
}

static bool
read_document(Json *json, AttributeList *list)
{
	FbBytes name;

	if (take_word(json, "null"))
		return true;
	if (!attribute_take(json, '{'))
		return false;
	if (attribute_take(json, '}'))
		return true;
	do
	{
		if (!read_string(json, &name) || !attribute_take(json, ':'))
			return false;
		if (is_attrs(name))
		{
			if (!parse_attributes(json, list))
				return false;
		}
		else if (!skip_value(json, 0))
			return false;
	} while (attribute_take(json, ','));
	return attribute_take(json, '}');
}

FbStatus
certificate_attributes(const CryptoCertificate *certificate, FbAllocator *allocator,
					   CertificateAttribute **attributes, size_t *attributes_count, FbError *error)
{
	AttributeList list = {NULL, 0, 0};
	FbBytes content;
	Json json;
	bool good;

	*attributes = NULL;
	*attributes_count = 0;
	if (!crypto_certificate_extension(certificate, CRYPTO_OID_ATTRIBUTES, &content))
		return FB_OK;
	json = (Json) {content.data, content.data + content.size, allocator, false};
	good = read_document(&json, &list);
	if (good)
	{
		skip_space(&json);
		good = json.at == json.end;
	}
	if (json.out_of_memory)
		return fb_out_of_memory(error);
	if (!good)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "malformed attributes in certificate \"%s\"",
					   crypto_certificate_subject(certificate));
	*attributes = list.items;
	*attributes_count = list.count;
	return FB_OK;
}

FbStatus
certificate_attribute(const CryptoCertificate *certificate, FbBytes name, FbAllocator *allocator,
					  bool *found, FbBytes *value, FbError *error)
{
	CertificateAttribute *attributes;
	size_t count;

	*found = false;
	*value = FB_BYTES_EMPTY;
	FB_TRY(certificate_attributes(certificate, allocator, &attributes, &count, error));
	for (size_t i = 0; i < count && !*found; i++)
	{
		if (fb_bytes_equal(attributes[i].name, name))
		{
			*value = attributes[i].value;
			*found = true;
		}
	}
	return FB_OK;
}

/* ---- writing ---- */

/* write a string as Go's json.Marshal does, which also makes it safe inside HTML */
static void
append_string(FbBuffer *buffer, FbBytes text)
{
	fb_buffer_append_byte(buffer, '"');
	for (size_t i = 0; i < text.size; i++)
	{
		uint8_t c = text.data[i];

		if (c == '"' || c == '\\')
			fb_buffer_append_format(buffer, "\\%c", c);
		else if (c == '\n')
			fb_buffer_append_text(buffer, "\\n");
		else if (c == '\r')
			fb_buffer_append_text(buffer, "\\r");
		else if (c == '\t')
			fb_buffer_append_text(buffer, "\\t");
		else if (c == '\b')
			fb_buffer_append_text(buffer, "\\b");
		else if (c == '\f')
			fb_buffer_append_text(buffer, "\\f");
		else if (c < 0x20 || c == '<' || c == '>' || c == '&')
			fb_buffer_append_format(buffer, "\\u%04x", c);
		else if (c == 0xe2 && i + 2 < text.size && text.data[i + 1] == 0x80 &&
				 (text.data[i + 2] & 0xfe) == 0xa8)
		{
			fb_buffer_append_format(buffer, "\\u202%x", text.data[i + 2] & 0xf);
			i += 2;
		}
		else
			fb_buffer_append_byte(buffer, c);
	}
	fb_buffer_append_byte(buffer, '"');
}

static int
compare_attribute_names(const void *a, const void *b)
{
	return fb_bytes_compare(((const CertificateAttribute *) a)->name,
							((const CertificateAttribute *) b)->name);
}

FbStatus
attributes_make(const CertificateAttribute *attributes, size_t attributes_count,
				FbAllocator *allocator, FbBytes *json, FbError *error)
{
	CertificateAttribute *sorted = fb_allocate_array(allocator, attributes_count, sizeof(*sorted));
	FbBuffer buffer;

	*json = FB_BYTES_EMPTY;
	if (sorted == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < attributes_count; i++)
	{
		if (!fb_utf8_valid(attributes[i].name) || !fb_utf8_valid(attributes[i].value))
			return fb_fail(error, FB_INVALID_ARGUMENT, "attribute is not UTF-8 text");
		sorted[i] = attributes[i];
	}
	qsort(sorted, attributes_count, sizeof(*sorted), compare_attribute_names);
	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_text(&buffer, "{\"attrs\":{");
	for (size_t i = 0; i < attributes_count; i++)
	{
		if (i > 0 && fb_bytes_equal(sorted[i].name, sorted[i - 1].name))
			return fb_fail(error, FB_INVALID_ARGUMENT, "attribute \"%s\" is given twice",
						   FB_DISPLAY(sorted[i].name));
		if (i > 0)
			fb_buffer_append_byte(&buffer, ',');
		append_string(&buffer, sorted[i].name);
		fb_buffer_append_byte(&buffer, ':');
		append_string(&buffer, sorted[i].value);
	}
	fb_buffer_append_text(&buffer, "}}");
	return fb_buffer_bytes(&buffer, json, error);
}
