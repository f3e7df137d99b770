/* bytes.c: byte strings and hex */
#include "core/base/base.h"

FbBytes
fb_bytes(const void *data, size_t size)
{
	return (FbBytes) {data, size};
}

FbBytes
fb_bytes_of_text(const char *text)
{
	return (FbBytes) {(const uint8_t *) text, strlen(text)};
}

bool
fb_bytes_equal(FbBytes a, FbBytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int
fb_bytes_compare(FbBytes a, FbBytes b)
{
	size_t shared = a.size < b.size ? a.size : b.size;
	int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;

	if (order != 0)
		return order;
	return a.size < b.size ? -1 : a.size > b.size ? 1 : 0;
}

void
fb_hex_encode(FbBytes bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.size; i++)
	{
		*out++ = digits[bytes.data[i] >> 4];
		*out++ = digits[bytes.data[i] & 15];
	}
	*out = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
fb_hex_decode(const char *hex, size_t hex_size, uint8_t *out)
{
	if (hex_size % 2 != 0)
		return false;
	for (size_t i = 0; i < hex_size; i += 2)
	{
		int high = hex_digit(hex[i]);
		int low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t) (high << 4 | low);
	}
	return true;
}
