/*
 * pem.c: DER in text form, read exactly as Go's encoding/pem reads it (pem.go, Decode;
 * encoding/base64, StdEncoding), because every Fabric peer decides by it whether a creator or an
 * endorser has a certificate, and which one.
 *
 * A block begins at the start of the input or of a line with "-----BEGIN ", type and "-----",
 * followed only by blanks and tabs on that line. Lines with a colon follow: headers, which are
 * ignored here. The content ends before the next line that begins with "-----END ", followed by the
 * same type, "-----" and a blank rest of the line. Lines end with LF or CRLF. In the content,
 * blanks, tabs, CR and LF are skipped; the rest is base64 with its padding, with lines of any
 * length, and unused bits of the last digit are ignored. Input that breaks one of these rules is
 * not a block, and the search continues after its first lines. Text around blocks is ignored.
 * OpenSSL's reader differs in most of these points, so it is not used.
 *
 * Only the content found is allocated. The time is linear in the size of the input times the number
 * of BEGIN lines without an END of their own; the callers' limits keep inputs small.
 */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#define BEGIN_TEXT "\n-----BEGIN "
#define END_TEXT "\n-----END "
#define END_OF_LINE_TEXT "-----"

static bool
has_prefix(FbBytes bytes, FbBytes prefix)
{
	return bytes.size >= prefix.size && memcmp(bytes.data, prefix.data, prefix.size) == 0;
}

static bool
has_suffix(FbBytes bytes, FbBytes suffix)
{
	return bytes.size >= suffix.size &&
		   memcmp(bytes.data + bytes.size - suffix.size, suffix.data, suffix.size) == 0;
}

static FbBytes
pem_skip(FbBytes bytes, size_t count)
{
	return fb_bytes(bytes.data + count, bytes.size - count);
}

/* the position of text in bytes, or its size */
static size_t
pem_find(FbBytes bytes, FbBytes text)
{
	for (size_t i = 0; text.size <= bytes.size && i <= bytes.size - text.size; i++)
	{
		const uint8_t *first = memchr(bytes.data + i, text.data[0], bytes.size - text.size - i + 1);

		if (first == NULL)
			break;
		i = (size_t) (first - bytes.data);
		if (memcmp(first, text.data, text.size) == 0)
			return i;
	}
	return bytes.size;
}

/* take a line from the front, without its end and the blanks and tabs before the end */
static FbBytes
take_line(FbBytes *rest)
{
	const uint8_t *newline = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
	size_t end = newline == NULL ? rest->size : (size_t) (newline - rest->data);
	FbBytes line = fb_bytes(rest->data, end);

	*rest = pem_skip(*rest, newline == NULL ? end : end + 1);
	if (newline != NULL && line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	while (line.size > 0 && (line.data[line.size - 1] == ' ' || line.data[line.size - 1] == '\t'))
		line.size--;
	return line;
}

/* ---- base64 ---- */

static int
digit_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * Decode to out (space for 3/4 of the text; NULL: only check and count). The text has groups of
 * four digits; the last may end with one or two '=', after which nothing may follow.
 */
static bool
base64_decode(FbBytes text, uint8_t *out, size_t *out_size)
{
	uint32_t group = 0;
	int digits = 0; /* of the group, padding included */
	int padding = 0;

	*out_size = 0;
	for (size_t i = 0; i < text.size; i++)
	{
		uint8_t c = text.data[i];
		int value;

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		value = digit_value(c);
		if (digits == 4)
			return false; /* something after the padding */
		if (c == '=' && digits >= 2)
			padding++;
		else if (value < 0 || padding > 0)
			return false;
		group = group << 6 | (value < 0 ? 0 : (uint32_t) value);
		if (++digits < 4)
			continue;
		for (int k = 0; k < 3 - padding; k++, (*out_size)++)
			if (out != NULL)
				out[*out_size] = (uint8_t) (group >> (16 - 8 * k));
		group = 0;
		digits = padding > 0 ? 4 : 0;
	}
	return digits == 0 || digits == 4;
}

/* ---- blocks ---- */

typedef struct PemBlock
{
	FbBytes type;
	bool has_headers;
	FbBytes text; /* base64 */
} PemBlock;

/*
 * rest: the input after "-----BEGIN " of a block. Afterwards: the input after the block or, when
 * this is not a block, the place where the search continues.
 */
static bool
pem_read_block(FbBytes *rest, PemBlock *block, bool *ended)
{
	FbBytes trailer;
	FbBytes after;
	size_t end;
	size_t size;

	*ended = false;
	*block = (PemBlock) {.type = take_line(rest)};
	if (!has_suffix(block->type, FB_BYTES_LITERAL(END_OF_LINE_TEXT)))
		return false;
	block->type.size -= strlen(END_OF_LINE_TEXT);
	for (;;)
	{
		FbBytes next = *rest;
		FbBytes line;

		if (rest->size == 0)
		{
			*ended = true; /* Go stops here, even if a block began inside the headers */
			return false;
		}
		line = take_line(&next);
		if (line.size == 0 || memchr(line.data, ':', line.size) == NULL)
			break;
		block->has_headers = true;
		*rest = next;
	}
	/* the content may be empty; then the END line is directly at its start */
	if (!block->has_headers && has_prefix(*rest, pem_skip(FB_BYTES_LITERAL(END_TEXT), 1)))
	{
		end = 0;
		trailer = pem_skip(*rest, strlen(END_TEXT) - 1);
	}
	else
	{
		end = pem_find(*rest, FB_BYTES_LITERAL(END_TEXT));
		if (end == rest->size)
			return false;
		trailer = pem_skip(*rest, end + strlen(END_TEXT));
	}
	block->text = fb_bytes(rest->data, end);
	if (!has_prefix(trailer, block->type) ||
		!has_prefix(pem_skip(trailer, block->type.size), FB_BYTES_LITERAL(END_OF_LINE_TEXT)))
		return false;
	after = pem_skip(trailer, block->type.size + strlen(END_OF_LINE_TEXT));
	if (take_line(&after).size > 0)
		return false;
	if (!base64_decode(block->text, NULL, &size))
		return false;
	*rest = after;
	return true;
}

static bool
next_block(FbBytes *rest, PemBlock *block)
{
	FbBytes begin = FB_BYTES_LITERAL(BEGIN_TEXT);
	bool ended = false;

	while (!ended)
	{
		if (has_prefix(*rest, pem_skip(begin, 1)))
			*rest = pem_skip(*rest, begin.size - 1);
		else
		{
			size_t at = pem_find(*rest, begin);

			if (at == rest->size)
				return false;
			*rest = pem_skip(*rest, at + begin.size);
		}
		if (pem_read_block(rest, block, &ended))
			return true;
	}
	return false;
}

static FbStatus
decode_block(const PemBlock *block, FbBytes *der, FbError *error)
{
	/* one byte more, because an empty block is a block and needs a data pointer */
	uint8_t *out = fb_allocate(&crypto_heap, block->text.size / 4 * 3 + 4);
	size_t size;

	if (out == NULL)
		return fb_out_of_memory(error);
	(void) base64_decode(block->text, out, &size);
	*der = fb_bytes(out, size);
	return FB_OK;
}

FbStatus
pem_read_first(FbBytes input, FbBytes *der, FbError *error)
{
	PemBlock block;

	*der = FB_BYTES_EMPTY;
	if (input.size == 0 || !next_block(&input, &block))
		return FB_OK;
	return decode_block(&block, der, error);
}

FbStatus
pem_read(FbBytes input, const char *const *names, FbBytes *der, FbBytes *rest,
		 const char **found_name, FbError *error)
{
	PemBlock block;

	*der = FB_BYTES_EMPTY;
	if (rest != NULL)
		*rest = FB_BYTES_EMPTY;
	/* an ASN.1 SEQUENCE with a length of two bytes or more: text never starts like this */
	if (input.size > 1 && input.data[0] == DER_SEQUENCE && input.data[1] >= 0x80)
	{
		if (found_name != NULL)
			*found_name = names[0];
		return fb_bytes_copy(&crypto_heap, input, der, error);
	}
	while (input.size > 0 && next_block(&input, &block))
	{
		for (int i = 0; names[i] != NULL; i++)
		{
			/* a header means encryption, which is not supported here */
			if (!fb_bytes_equal(block.type, fb_bytes_of_text(names[i])) || block.has_headers ||
				block.text.size == 0)
				continue;
			if (found_name != NULL)
				*found_name = names[i];
			if (rest != NULL)
				*rest = input;
			return decode_block(&block, der, error);
		}
	}
	return FB_OK;
}

FbStatus
pem_write(const char *name, FbBytes der, FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	BIO *bio = BIO_new(BIO_s_mem());
	FbStatus status;
	char *data;
	long size;

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
