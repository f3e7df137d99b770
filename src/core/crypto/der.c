/* the little DER and PEM that this room does itself: elements, PEM blocks, and low-S signatures of signed structures */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

bool
der_read(FbBytes *input, uint8_t *tag, FbBytes *content, FbBytes *whole)
{
	const uint8_t *data = input->data;
	size_t		header = 2;
	size_t		length;

	if (input->size < 2 || (data[0] & 0x1f) == 0x1f)
		return false;
	length = data[1];
	if (length >= 0x80)
	{
		size_t		count = length & 0x7f;

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
		int			count = 1;

		while (count < (int) sizeof(size_t) && content.size >> (8 * count) != 0)
			count++;
		fb_buffer_append_byte(buffer, (uint8_t) (0x80 | count));
		while (count-- > 0)
			fb_buffer_append_byte(buffer, (uint8_t) (content.size >> (8 * count)));
	}
	fb_buffer_append_bytes(buffer, content);
}

/* the next block of the BIO with one of the names; *der stays empty when there is none */
static FbStatus
pem_next(BIO *bio, const char *const *names, FbBytes *der, const char **found_name, FbError *error)
{
	FbStatus	status = FB_OK;

	while (status == FB_OK && der->data == NULL)
	{
		char	   *name = NULL;
		char	   *header = NULL;
		unsigned char *data = NULL;
		long		size = 0;

		if (PEM_read_bio(bio, &name, &header, &data, &size) != 1)
			return crypto_openssl_starved() ? fb_out_of_memory(error) : FB_OK;
		for (int i = 0; names[i] != NULL; i++)
		{
			/* a header means encryption: nothing here reads that */
			if (strcmp(names[i], name) == 0 && header[0] == '\0' && size > 0)
			{
				status = fb_bytes_copy(&crypto_heap, fb_bytes(data, size), der, error);
				*found_name = names[i];
				break;
			}
		}
		crypto_wipe(data, size);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	return status;
}

static FbStatus
pem_read_text(FbBytes text, const char *const *names, FbBytes *der, FbBytes *rest, const char **found_name, FbError *error)
{
	BIO		   *bio;
	FbStatus	status;
	size_t		left;

	ERR_clear_error();
	bio = BIO_new_mem_buf(text.data, (int) text.size);
	if (bio == NULL)
	{
		ERR_clear_error();
		return fb_out_of_memory(error);
	}
	status = pem_next(bio, names, der, found_name, error);
	left = BIO_ctrl_pending(bio);
	*rest = fb_bytes(text.data + text.size - left, left);
	BIO_free(bio);
	ERR_clear_error();
	return status;
}

FbStatus
pem_read(FbBytes input, const char *const *names, FbBytes *der, FbBytes *rest, const char **found_name, FbError *error)
{
	const char *ignored_name;
	FbBytes		ignored_rest;

	*der = FB_BYTES_EMPTY;
	if (found_name == NULL)
		found_name = &ignored_name;
	if (rest == NULL)
		rest = &ignored_rest;
	*rest = FB_BYTES_EMPTY;
	/* an ASN.1 SEQUENCE with a length of two bytes or more: no text starts like this */
	if (input.size > 1 && input.data[0] == DER_SEQUENCE && input.data[1] >= 0x80)
	{
		*found_name = names[0];
		return fb_bytes_copy(&crypto_heap, input, der, error);
	}
	if (input.size == 0 || input.size > INT32_MAX)
		return FB_OK;
	FB_TRY(pem_read_text(input, names, der, rest, found_name, error));
	/* see crypto_openssl_starved */
	if (der->data == NULL)
		FB_TRY(pem_read_text(input, names, der, rest, found_name, error));
	return der->data == NULL && crypto_memory_is_short() ? fb_out_of_memory(error) : FB_OK;
}

FbStatus
pem_write(const char *name, FbBytes der, FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	FbStatus	status;
	char	   *data;
	long		size;

	if (bio == NULL || PEM_write_bio(bio, name, "", der.data, (long) der.size) <= 0)
	{
		BIO_free(bio);
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not write PEM");
	}
	size = BIO_get_mem_data(bio, &data);
	status = fb_bytes_copy(allocator, fb_bytes(data, size), pem, error);
	BIO_free(bio);
	return status;
}

FbStatus
der_signed_to_low_s(CryptoCurve curve, FbBytes der, FbAllocator *allocator, FbBytes *result, FbError *error)
{
	FbBytes		input = der;
	FbBytes		inside;
	FbBytes		body;
	FbBytes		algorithm;
	FbBytes		bits;
	FbBytes		unused;
	FbBytes		low_s;
	uint8_t		tag;
	FbStatus	status;
	FbBuffer	bit_string;
	FbBuffer	content;
	FbBuffer	output;
	FbBytes		bytes;

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
