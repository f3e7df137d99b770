/*
 * envelope_codec.c: how an envelope is stored in its column.
 *
 * First byte: 0 = the envelope follows as it is; 1 = compressed by zstd; 2 = compressed with a
 * dictionary, whose number follows in two bytes, low one first. What is written is read back and
 * compared before it is handed out, because the signature and the hash chain depend on every byte.
 */
#include "server/ledger/ledger_internal.h"

#define FORM_PLAIN 0
#define FORM_ZSTD 1
#define FORM_DICTIONARY 2
/* level 1: on real Fabric envelopes higher levels save little and cost several times more */
#define ZSTD_LEVEL 1

static ZSTD_CCtx *compressor = NULL;
static ZSTD_DCtx *decompressor = NULL;

static void
create_contexts(void)
{
	/* for the life of the process */
	if (compressor == NULL)
		compressor = ZSTD_createCCtx();
	if (decompressor == NULL)
		decompressor = ZSTD_createDCtx();
	if (compressor == NULL || decompressor == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

static void
envelope_corrupted(void)
{
	ereport(ERROR, (fb_errcode(FB_CORRUPTED), errmsg("stored envelope cannot be decompressed"),
					errhint("fabric.verify_chain tells which blocks of the channel are damaged.")));
}

/* where the compressed bytes begin */
static size_t
header_bytes(uint8_t form)
{
	return form == FORM_DICTIONARY ? 3 : 1;
}

static size_t
envelope_decompress(const Ledger *ledger, FbBytes stored, uint8_t *envelope, size_t size)
{
	size_t header = header_bytes(stored.data[0]);

	if (stored.data[0] == FORM_DICTIONARY)
		return ZSTD_decompress_usingDDict(decompressor, envelope, size, stored.data + header,
										  stored.size - header,
										  dictionary_for_decompression(ledger,
																	   stored.data[1] |
																		   stored.data[2] << 8));
	return ZSTD_decompressDCtx(decompressor, envelope, size, stored.data + header,
							   stored.size - header);
}

FbBytes
envelope_codec_decode(const Ledger *ledger, FbBytes stored)
{
	unsigned long long size;
	uint8_t *envelope;
	size_t written;

	if (stored.size == 0 || stored.data[0] > FORM_DICTIONARY ||
		stored.size < header_bytes(stored.data[0]))
		envelope_corrupted();
	if (stored.data[0] == FORM_PLAIN)
		return fb_bytes(stored.data + 1, stored.size - 1);

	fb_work_add(FB_WORK_DECOMPRESS);
	create_contexts();
	size = ZSTD_getFrameContentSize(stored.data + header_bytes(stored.data[0]),
									stored.size - header_bytes(stored.data[0]));
	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
		size > FB_MESSAGE_BYTES_MAX)
		envelope_corrupted();
	envelope = palloc(size + 1);
	written = envelope_decompress(ledger, stored, envelope, size);
	if (ZSTD_isError(written) || written != size)
		envelope_corrupted();
	return fb_bytes(envelope, size);
}

static size_t
envelope_compress(const Ledger *ledger, FbBytes envelope, uint8_t *stored, size_t bound)
{
	int dictionary_id;
	ZSTD_CDict *dictionary = dictionary_for_compression(ledger, ZSTD_LEVEL, &dictionary_id);

	stored[0] = dictionary != NULL ? FORM_DICTIONARY : FORM_ZSTD;
	if (dictionary == NULL)
		return ZSTD_compressCCtx(compressor, stored + 1, bound, envelope.data, envelope.size,
								 ZSTD_LEVEL);
	stored[1] = (uint8_t) dictionary_id;
	stored[2] = (uint8_t) (dictionary_id >> 8);
	return ZSTD_compress_usingCDict(compressor, stored + 3, bound, envelope.data, envelope.size,
									dictionary);
}

FbBytes
envelope_codec_encode(const Ledger *ledger, FbBytes envelope)
{
	size_t bound = ZSTD_compressBound(envelope.size);
	uint8_t *stored = palloc(3 + Max(bound, envelope.size));
	size_t written;

	fb_work_add(FB_WORK_COMPRESS);
	create_contexts();
	written = envelope_compress(ledger, envelope, stored, bound);
	if (!ZSTD_isError(written) && written < envelope.size)
	{
		FbBytes result = fb_bytes(stored, written + header_bytes(stored[0]));
		FbBytes back = envelope_codec_decode(ledger, result);

		if (fb_bytes_equal(back, envelope))
		{
			pfree((void *) back.data);
			return result;
		}
	}
	stored[0] = FORM_PLAIN;
	if (envelope.size > 0)
		memcpy(stored + 1, envelope.data, envelope.size);
	return fb_bytes(stored, envelope.size + 1);
}
