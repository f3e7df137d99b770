/* header.c: the bytes and hashes of headers, and the links of the chain */
#include "core/block/block.h"

#define DER_INTEGER 0x02
#define DER_OCTET_STRING 0x04
#define DER_SEQUENCE 0x30

/* tag and length: at most 1 + 1 + 8 bytes */
#define DER_HEAD_BYTES_MAX 10
/* an INTEGER of 64 bits: head, a zero for the sign, 8 bytes */
#define DER_NUMBER_BYTES_MAX 11

/*
 * the parts of a header's DER form, in order; they refer to the two hashes, so that hashing needs
 * no copy
 */
typedef struct HeaderParts
{
	uint8_t start[DER_HEAD_BYTES_MAX + DER_NUMBER_BYTES_MAX + DER_HEAD_BYTES_MAX];
	uint8_t middle[DER_HEAD_BYTES_MAX];
	FbBytes parts[4];
} HeaderParts;

static size_t
write_head(uint8_t tag, size_t size, uint8_t *out)
{
	size_t used = 0;
	size_t length_bytes = 0;

	out[used++] = tag;
	if (size < 0x80)
	{
		out[used++] = (uint8_t) size;
		return used;
	}
	for (size_t rest = size; rest > 0; rest >>= 8)
		length_bytes++;
	out[used++] = (uint8_t) (0x80 | length_bytes);
	for (size_t i = length_bytes; i > 0; i--)
		out[used++] = (uint8_t) (size >> (8 * (i - 1)));
	return used;
}

/*
 * a non-negative INTEGER in its shortest form; with a leading zero if the first bit would make it
 * negative
 */
static size_t
write_number(uint64_t number, uint8_t *out)
{
	size_t used = 0;
	int bytes = 1;

	while (bytes < 8 && (number >> (8 * bytes)) != 0)
		bytes++;
	out[used++] = DER_INTEGER;
	if ((number >> (8 * bytes - 1)) & 1)
	{
		out[used++] = (uint8_t) (bytes + 1);
		out[used++] = 0;
	}
	else
		out[used++] = (uint8_t) bytes;
	for (int i = bytes; i > 0; i--)
		out[used++] = (uint8_t) (number >> (8 * (i - 1)));
	return used;
}

static void
make_parts(const BlockHeader *header, HeaderParts *parts)
{
	uint8_t number[DER_NUMBER_BYTES_MAX];
	uint8_t previous_head[DER_HEAD_BYTES_MAX];
	size_t number_size = write_number(header->number, number);
	size_t previous_head_size =
		write_head(DER_OCTET_STRING, header->previous_hash.size, previous_head);
	size_t data_head_size = write_head(DER_OCTET_STRING, header->data_hash.size, parts->middle);
	size_t used = write_head(DER_SEQUENCE,
							 number_size + previous_head_size + header->previous_hash.size +
								 data_head_size + header->data_hash.size,
							 parts->start);

	memcpy(parts->start + used, number, number_size);
	used += number_size;
	memcpy(parts->start + used, previous_head, previous_head_size);
	used += previous_head_size;
	parts->parts[0] = fb_bytes(parts->start, used);
	parts->parts[1] = header->previous_hash;
	parts->parts[2] = fb_bytes(parts->middle, data_head_size);
	parts->parts[3] = header->data_hash;
}

FbStatus
block_header_bytes(const BlockHeader *header, FbAllocator *allocator, FbBytes *bytes,
				   FbError *error)
{
	HeaderParts parts;
	FbBuffer buffer;

	make_parts(header, &parts);
	fb_buffer_init(&buffer, allocator);
	for (int i = 0; i < 4; i++)
		fb_buffer_append_bytes(&buffer, parts.parts[i]);
	return fb_buffer_bytes(&buffer, bytes, error);
}

void
block_header_hash(const BlockHeader *header, uint8_t hash[CRYPTO_SHA256_BYTES])
{
	HeaderParts parts;

	make_parts(header, &parts);
	crypto_sha256_parts(parts.parts, 4, hash);
}

void
block_data_hash(const FbBytes *data, size_t data_count, uint8_t hash[CRYPTO_SHA256_BYTES])
{
	fb_work_add(FB_WORK_HASH_BLOCK_DATA);
	crypto_sha256_parts(data, data_count, hash);
}

FbStatus
block_check_link(const BlockHeader *header, uint64_t previous_number, FbBytes previous_hash,
				 FbError *error)
{
	if (header->number == 0 || header->number - 1 != previous_number)
	{
		fb_fail(error, FB_BLOCK_REFUSED, "block %llu does not follow block %llu",
				(unsigned long long) header->number, (unsigned long long) previous_number);
		return FB_BLOCK_REFUSED;
	}
	if (!fb_bytes_equal(header->previous_hash, previous_hash))
	{
		fb_fail(error, FB_BLOCK_REFUSED, "block %llu does not follow block %llu",
				(unsigned long long) header->number, (unsigned long long) previous_number);
		fb_error_detail(error, "Its previous_hash is not the hash of block %llu.",
						(unsigned long long) previous_number);
		return FB_BLOCK_REFUSED;
	}
	if (header->data_hash.size != CRYPTO_SHA256_BYTES)
	{
		fb_fail(error, FB_BLOCK_REFUSED, "block %llu has no valid data hash",
				(unsigned long long) header->number);
		fb_error_detail(error, "The data hash has %zu bytes, not %d.", header->data_hash.size,
						CRYPTO_SHA256_BYTES);
		return FB_BLOCK_REFUSED;
	}
	return FB_OK;
}

/* the head of a length-delimited field in canonical form: at most 1 + 10 bytes */
static size_t
write_field_head(int number, size_t size, uint8_t *out)
{
	size_t used = 0;

	out[used++] = (uint8_t) (number << 3 | 2);
	for (; size >= 0x80; size >>= 7)
		out[used++] = (uint8_t) (0x80 | (size & 0x7f));
	out[used++] = (uint8_t) size;
	return used;
}

bool
block_is_canonical_envelope(FbBytes bytes, FbBytes payload, FbBytes signature)
{
	uint8_t head[11];
	size_t head_size = write_field_head(1, payload.size, head);
	const uint8_t *expected = bytes.data;

	if (bytes.size < head_size || memcmp(expected, head, head_size) != 0 ||
		payload.data != expected + head_size)
		return false;
	expected = payload.data + payload.size;
	head_size = write_field_head(2, signature.size, head);
	if ((size_t) (bytes.data + bytes.size - expected) < head_size ||
		memcmp(expected, head, head_size) != 0 || signature.data != expected + head_size)
		return false;
	return signature.data + signature.size == bytes.data + bytes.size;
}

static FbStatus
check_envelope_form(FbBytes envelope, size_t index, FbError *error)
{
	FbBytes payload;
	FbBytes signature;
	FbError inner;

	if (block_parse_envelope(envelope, &payload, &signature, &inner) != FB_OK)
	{
		fb_fail(error, FB_BLOCK_REFUSED, "transaction %zu of the block is malformed", index);
		fb_error_detail(error, "%s", inner.detail);
		return FB_BLOCK_REFUSED;
	}
	if (payload.size == 0)
		return fb_fail(error, FB_BLOCK_REFUSED, "transaction %zu of the block has no payload",
					   index);
	if (signature.size == 0)
		return fb_fail(error, FB_BLOCK_REFUSED, "transaction %zu of the block has no signature",
					   index);
	if (!block_is_canonical_envelope(envelope, payload, signature))
	{
		fb_fail(error, FB_BLOCK_REFUSED, "transaction %zu of the block is not in canonical form",
				index);
		fb_error_detail(error, "Packing its payload and signature again gives other bytes.");
		return FB_BLOCK_REFUSED;
	}
	return FB_OK;
}

FbStatus
block_check_well_formed(const FbBytes *data, size_t data_count, FbError *error)
{
	if (data_count == 0)
		return fb_fail(error, FB_BLOCK_REFUSED, "block has no transactions");
	for (size_t i = 0; i < data_count; i++)
	{
		FbStatus status = check_envelope_form(data[i], i, error);

		/* check last whether it is a configuration, because few are */
		if (status != FB_OK)
			return block_has_config(data, data_count) ? FB_OK : status;
	}
	return FB_OK;
}

FbStatus
block_check_data(const BlockView *view, FbError *error)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];

	FB_TRY(block_check_well_formed(view->data, view->data_count, error));
	block_data_hash(view->data, view->data_count, hash);
	if (!fb_bytes_equal(view->header.data_hash, fb_bytes(hash, sizeof(hash))))
	{
		fb_fail(error, FB_BLOCK_REFUSED, "block %llu has a wrong data hash",
				(unsigned long long) view->header.number);
		fb_error_detail(error, "The hash of its transactions is not the data hash in its header.");
		return FB_BLOCK_REFUSED;
	}
	return FB_OK;
}

FbStatus
block_check(const BlockView *view, CheckedBlock *block, FbError *error)
{
	FB_TRY(block_check_data(view, error));
	block->view = *view;
	return FB_OK;
}
