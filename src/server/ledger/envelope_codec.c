/*
 * envelope_codec.c: how an envelope lies in its column.
 *
 * First byte: 0 = the envelope follows as it is; 1 = compressed by zstd. What is written is read back and compared before it is handed out, because
 * the signature and the hash chain depend on every byte.
 */
#include "server/ledger/ledger_internal.h"

#include <zstd.h>

#define FORM_PLAIN 0
#define FORM_ZSTD 1
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
corrupted(void)
{
	FbError		error;

	fb_fail(&error, FB_CORRUPTED, "stored envelope cannot be decompressed");
	fb_error_hint(&error, "fabric.verify_chain tells which blocks of the channel are damaged.");
	error_throw(&error);
}

FbBytes
envelope_codec_decode(const Ledger *ledger, FbBytes stored)
{
	unsigned long long size;
	uint8_t    *envelope;
	size_t		written;

	if (stored.size == 0 || stored.data[0] > FORM_ZSTD)
		corrupted();
	if (stored.data[0] == FORM_PLAIN)
		return fb_bytes(stored.data + 1, stored.size - 1);

	create_contexts();
	size = ZSTD_getFrameContentSize(stored.data + 1, stored.size - 1);
	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > FB_MESSAGE_BYTES_MAX)
		corrupted();
	envelope = palloc(size + 1);
	written = ZSTD_decompressDCtx(decompressor, envelope, size, stored.data + 1, stored.size - 1);
	if (ZSTD_isError(written) || written != size)
		corrupted();
	return fb_bytes(envelope, size);
}

FbBytes
envelope_codec_encode(const Ledger *ledger, FbBytes envelope)
{
	size_t		bound = ZSTD_compressBound(envelope.size);
	uint8_t    *stored = palloc(1 + Max(bound, envelope.size));
	size_t		written;

	create_contexts();
	written = ZSTD_compressCCtx(compressor, stored + 1, bound, envelope.data, envelope.size, ZSTD_LEVEL);
	if (!ZSTD_isError(written) && written < envelope.size)
	{
		FbBytes		back;

		stored[0] = FORM_ZSTD;
		back = envelope_codec_decode(ledger, fb_bytes(stored, written + 1));
		if (fb_bytes_equal(back, envelope))
		{
			pfree((void *) back.data);
			return fb_bytes(stored, written + 1);
		}
	}
	stored[0] = FORM_PLAIN;
	if (envelope.size > 0)
		memcpy(stored + 1, envelope.data, envelope.size);
	return fb_bytes(stored, envelope.size + 1);
}
