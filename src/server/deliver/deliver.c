/*
 * deliver.c: the signed request for blocks, in the format of Fabric's Deliver service, and its
 * answer
 */
#include "server/deliver/deliver.h"

#include "utils/snapmgr.h"

#include <sys/time.h>

#include "core/proto/proto.h"
#include "core/txn/txn.h"

/*
 * Longest time to read the blocks of an answer that has at least one: the requesting node takes
 * silence for a failure, and would request the same blocks elsewhere.
 */
#define DELIVER_READ_MS_MAX 100

static FbBytes
pack_seek_info(FbAllocator *allocator, uint64 from, uint64 to, bool headers_only)
{
	Orderer__SeekSpecified first = ORDERER__SEEK_SPECIFIED__INIT;
	Orderer__SeekSpecified last = ORDERER__SEEK_SPECIFIED__INIT;
	Orderer__SeekPosition start = ORDERER__SEEK_POSITION__INIT;
	Orderer__SeekPosition stop = ORDERER__SEEK_POSITION__INIT;
	Orderer__SeekInfo info = ORDERER__SEEK_INFO__INIT;
	FbBytes bytes;
	FbError error;

	first.number = from;
	last.number = to;
	start.type_case = ORDERER__SEEK_POSITION__TYPE_SPECIFIED;
	start.specified = &first;
	stop.type_case = ORDERER__SEEK_POSITION__TYPE_SPECIFIED;
	stop.specified = &last;
	info.start = &start;
	info.stop = &stop;
	info.behavior = ORDERER__SEEK_INFO__SEEK_BEHAVIOR__BLOCK_UNTIL_READY;
	if (headers_only)
		info.content_type = ORDERER__SEEK_INFO__SEEK_CONTENT_TYPE__HEADER_WITH_SIG;
	error_check(PROTO_PACK(&info, allocator, &bytes, &error), &error);
	return bytes;
}

static FbBytes
sign_seek(const Channel *channel, uint64 from, uint64 to, bool headers_only)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Signer *signer = node_signer();
	uint8_t nonce[FB_NONCE_BYTES];
	struct timeval now;
	EnvelopeInput input = {.type = TX_TYPE_DELIVER_SEEK_INFO};
	EnvelopePayload payload;
	FbBytes signature;
	FbBytes envelope;
	FbError error;

	gettimeofday(&now, NULL);
	error_check(crypto_random(nonce, sizeof(nonce), &error), &error);
	input.channel_id = fb_bytes_of_text(channel->name);
	input.timestamp = (TxTime) {true, now.tv_sec, (int32_t) now.tv_usec * 1000};
	input.creator = signer_identity(signer);
	input.nonce = fb_bytes(nonce, sizeof(nonce));
	input.data = pack_seek_info(allocator, from, to, headers_only);
	error_check(envelope_payload_build(allocator, &input, &payload, &error), &error);
	error_check(signer_sign(signer, payload.bytes, allocator, &signature, &error), &error);
	error_check(envelope_pack(allocator, payload.bytes, signature, &envelope, &error), &error);
	return envelope;
}

FbBytes
deliver_seek(const Channel *channel, uint64 from)
{
	return sign_seek(channel, from, UINT64_MAX, false);
}

FbBytes
deliver_seek_headers(const Channel *channel, uint64 from, uint64 to)
{
	return sign_seek(channel, from, to, true);
}

static uint64
seek_start(const Orderer__SeekInfo *info)
{
	if (info->start == NULL)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("the request for blocks has no start")));
	switch (info->start->type_case)
	{
		case ORDERER__SEEK_POSITION__TYPE_OLDEST:
			return 0;
		case ORDERER__SEEK_POSITION__TYPE_SPECIFIED:
			return info->start->specified->number;
		default:
			ereport(
				ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg(
					 "the request for blocks must start at a block number or at the oldest block")));
	}
	return 0;
}

static uint64
seek_stop(const Orderer__SeekInfo *info)
{
	if (info->stop != NULL && info->stop->type_case == ORDERER__SEEK_POSITION__TYPE_SPECIFIED)
		return info->stop->specified->number;
	return UINT64_MAX;
}

/* true if block `number` is here; waits for it if the channel's worker runs here */
static bool
wait_for_block(const Channel *channel, uint64 number, int wait_ms)
{
	ChannelSlot *slot = channel_slot(channel);

	if (block_store_height(channel->ledger, GetLatestSnapshot()) > number)
		return true;
	if (slot == NULL || wait_ms <= 0)
		return false;
	return shmem_wait_height(slot, number,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms));
}

List *
deliver_serve(FbBytes seek_envelope, int64 bytes_max, int wait_ms)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Envelope view;
	Orderer__SeekInfo *info;
	const Channel *channel;
	SignedMessage message;
	Snapshot snapshot;
	uint64 number;
	uint64 stop;
	int64 bytes = 0;
	uint64 began_ms;
	List *blocks = NIL;
	FbError error;

	/*
	 * The requesting node chooses both values, so limit them: while it waits, locks prevent this
	 * node from leaving the channel, and the blocks are held in memory.
	 */
	bytes_max = Min(bytes_max, (int64) guc_deliver_batch_size * 1024);
	wait_ms = Min(wait_ms, guc_deliver_wait);
	error_check(envelope_parse(allocator, seek_envelope, &view, &error), &error);
	if (view.type != TX_TYPE_DELIVER_SEEK_INFO)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the envelope is not a request for blocks")));
	error_check(PROTO_UNPACK(orderer__seek_info, view.data, allocator, &info, &error), &error);
	number = seek_start(info);
	stop = seek_stop(info);
	channel = channel_open(fb_text_copy(allocator, view.channel_id));
	if (!view.timestamp.present)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the request for blocks has no timestamp")));
	access_check_time(view.timestamp.seconds, view.timestamp.nanoseconds);
	message = (SignedMessage) {view.creator, view.signature, view.payload};
	access_check_policy(channel, CONFIG_POLICY_CHANNEL_READERS, &message);

	/* This node sent the request itself, to an address that it did not recognize as its own. */
	if (node_is_configured() && fb_bytes_equal(view.creator, signer_identity(node_signer())))
		return NIL;
	if (number > stop ||
		!wait_for_block(channel, number,
						info->behavior == ORDERER__SEEK_INFO__SEEK_BEHAVIOR__FAIL_IF_NOT_READY
							? 0
							: wait_ms))
		return NIL;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	began_ms = clock_ms();
	while (number <= stop &&
		   (blocks == NIL || (bytes < bytes_max && clock_ms() < began_ms + DELIVER_READ_MS_MAX)))
	{
		FbBytes block;

		if (info->content_type == ORDERER__SEEK_INFO__SEEK_CONTENT_TYPE__HEADER_WITH_SIG
				? !block_store_header(channel->ledger, number, snapshot, &block)
				: !block_store_block(channel->ledger, number, snapshot, false, &block))
			break;
		blocks = lappend(blocks, memory_bytea(block));
		bytes += block.size;
		number++;
	}
	UnregisterSnapshot(snapshot);
	return blocks;
}
