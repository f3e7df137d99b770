/* the little DER that crypto does itself: elements, and low-S signatures of signed structures */
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

		/* four length bytes are more than any limit of ours; zero would be BER's indefinite form */
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

FbStatus
der_signed_to_low_s(CryptoCurve curve, FbBytes der, FbAllocator *allocator, FbBytes *result,
					FbError *error)
{
	FbBytes input = der;
	FbBytes inside;
	FbBytes body;
	FbBytes algorithm;
	FbBytes bits;
	FbBytes unused;
	FbBytes low_s;
	uint8_t tag;
	FbStatus status;
	FbBuffer bit_string;
	FbBuffer content;
	FbBuffer output;
	FbBytes bytes;

	if (!der_read(&input, &tag, &inside, NULL) || tag != DER_SEQUENCE || input.size != 0 ||
		!der_read(&inside, &tag, &unused, &body) || tag != DER_SEQUENCE ||
		!der_read(&inside, &tag, &unused, &algorithm) || tag != DER_SEQUENCE ||
		!der_read(&inside, &tag, &bits, NULL) || tag != DER_BIT_STRING || inside.size != 0 ||
		bits.size < 1 || bits.data[0] != 0)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "malformed signature in certificate");
	bits = fb_bytes(bits.data + 1, bits.size - 1);
	status = crypto_signature_to_low_s(curve, bits, allocator, &low_s, error);
	if (status == FB_INVALID_SIGNATURE)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "malformed signature in certificate");
	FB_TRY(status);
	if (fb_bytes_equal(bits, low_s))
		return fb_bytes_copy(allocator, der, result, error);

	fb_buffer_init(&bit_string, allocator);
	fb_buffer_append_byte(&bit_string, 0);
	fb_buffer_append_bytes(&bit_string, low_s);
	FB_TRY(fb_buffer_bytes(&bit_string, &bytes, error));
	fb_buffer_init(&content, allocator);
	fb_buffer_append_bytes(&content, body);
	fb_buffer_append_bytes(&content, algorithm);
	der_append(&content, DER_BIT_STRING, bytes);
	FB_TRY(fb_buffer_bytes(&content, &bytes, error));
	fb_buffer_init(&output, allocator);
	der_append(&output, DER_SEQUENCE, bytes);
	return fb_buffer_bytes(&output, result, error);
}
