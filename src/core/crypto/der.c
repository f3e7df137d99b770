/*
 * der.c: the DER that this directory reads and writes itself: elements, and low-S signatures of
 * signed structures
 */
#include "core/crypto/crypto_internal.h"

bool
der_read(FbBytes *input, uint8_t *tag, FbBytes *content, FbBytes *whole)
{
	const uint8_t *data = input->data;
	size_t header = 2;
	size_t length;

	if (input->size < 2 || (data[0] & 0x1f) == 0x1f)
		return false;
	length = data[1];
	if (length >= 0x80)
	{
		size_t count = length & 0x7f;

		/* a length of more than four bytes exceeds every limit; zero means BER's indefinite form */
		if (count == 0 || count > 4 || input->size < 2 + count)
			return false;
		length = 0;
		for (size_t i = 0; i < count; i++)
			length = length << 8 | data[2 + i];
		/* shortest form only */
		if (length < 0x80 || data[2] == 0)
			return false;
		header += count;
	}
	if (length > input->size - header)
		return false;
	*tag = data[0];
	*content = fb_bytes(data + header, length);
	if (whole != NULL)
		*whole = fb_bytes(data, header + length);
	*input = fb_bytes(data + header + length, input->size - header - length);
	return true;
}

void
der_append(FbBuffer *buffer, uint8_t tag, FbBytes content)
{
	fb_buffer_append_byte(buffer, tag);
	if (content.size < 0x80)
		fb_buffer_append_byte(buffer, (uint8_t) content.size);
	else
	{
		int count = 1;

		while (count < (int) sizeof(size_t) && content.size >> (8 * count) != 0)
			count++;
		fb_buffer_append_byte(buffer, (uint8_t) (0x80 | count));
		while (count-- > 0)
			fb_buffer_append_byte(buffer, (uint8_t) (content.size >> (8 * count)));
	}
	fb_buffer_append_bytes(buffer, content);
}
