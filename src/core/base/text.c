/* text.c: UTF-8, and a readable form of arbitrary bytes */
#include "core/base/base.h"

#include <stdio.h>

/* size of the longest form of one input character: \uXXXX */
#define DISPLAY_CHARACTER_BYTES_MAX 6

size_t
fb_utf8_character(const uint8_t *data, size_t size)
{
	uint8_t lead = size > 0 ? data[0] : 0xFF;
	uint8_t low = 0x80; /* allowed range of the second byte */
	uint8_t high = 0xBF;
	size_t more;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		more = 1;
	else if (lead >= 0xE0 && lead <= 0xEF)
	{
		more = 2;
		if (lead == 0xE0)
			low = 0xA0; /* no overlong forms */
		else if (lead == 0xED)
			high = 0x9F; /* no surrogates */
	}
	else if (lead >= 0xF0 && lead <= 0xF4)
	{
		more = 3;
		if (lead == 0xF0)
			low = 0x90;
		else if (lead == 0xF4)
			high = 0x8F; /* nothing above U+10FFFF */
	}
	else
		return 0;
	if (size <= more || data[1] < low || data[1] > high)
		return 0;
	for (size_t k = 2; k <= more; k++)
		if ((data[k] & 0xC0) != 0x80)
			return 0;
	return more + 1;
}

bool
fb_utf8_valid(FbBytes bytes)
{
	for (size_t i = 0; i < bytes.size;)
	{
		size_t size = fb_utf8_character(bytes.data + i, bytes.size - i);

		if (size == 0)
			return false;
		i += size;
	}
	return true;
}

int
fb_utf8_cut(FbBytes bytes, int size_max)
{
	size_t size = (size_t) size_max;

	if (bytes.size <= size)
		return (int) bytes.size;
	while (size > 0 && (bytes.data[size] & 0xC0) == 0x80)
		size--;
	return (int) size;
}

/* ---- display ---- */

/* code point of a valid character of one to three bytes */
static unsigned
code_point(const uint8_t *data, size_t size)
{
	if (size == 1)
		return data[0];
	if (size == 2)
		return (data[0] & 0x1Fu) << 6 | (data[1] & 0x3Fu);
	return (data[0] & 0x0Fu) << 12 | (data[1] & 0x3Fu) << 6 | (data[2] & 0x3Fu);
}

/*
 * control characters, line and paragraph separators, marks of direction, the byte order mark: with
 * these, text can look like another text
 */
static bool
is_misleading(unsigned code)
{
	return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C ||
		   (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
		   (code >= 0x2060 && code <= 0x2069) || code == 0xFEFF;
}

/* false: the shown part is not UTF-8 */
static bool
display_text(FbDisplay *display, FbBytes bytes)
{
	size_t used = 0;

	for (size_t i = 0; i < bytes.size;)
	{
		size_t size = fb_utf8_character(bytes.data + i, bytes.size - i);
		unsigned code = size >= 1 && size <= 3 ? code_point(bytes.data + i, size) : 0x10000;

		if (size == 0)
			return false;
		if (used + DISPLAY_CHARACTER_BYTES_MAX + sizeof("...") > sizeof(display->text))
		{
			strcpy(display->text + used, "...");
			return true;
		}
		if (code == 0)
			used += (size_t) snprintf(display->text + used, sizeof(display->text) - used,
									  "\xE2\x90\x80");
		else if (is_misleading(code))
			used += (size_t) snprintf(display->text + used, sizeof(display->text) - used, "\\u%04x",
									  code);
		else
		{
			memcpy(display->text + used, bytes.data + i, size);
			used += size;
		}
		i += size;
	}
	display->text[used] = '\0';
	return true;
}

const char *
fb_display(FbDisplay *display, FbBytes bytes)
{
	size_t shown = (sizeof(display->text) - sizeof("\\x...")) / 2;
	bool cut = bytes.size > shown;

	if (display_text(display, bytes))
		return display->text;
	memcpy(display->text, "\\x", 2);
	fb_hex_encode(fb_bytes(bytes.data, cut ? shown : bytes.size), display->text + 2);
	if (cut)
		strcat(display->text, "...");
	return display->text;
}
