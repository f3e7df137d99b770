/*
 * config_functions.c: SQL functions for a channel's configuration: reading it, computing, signing
 * and submitting updates
 */
#include "server/surface/surface_internal.h"

#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include <sys/time.h>

#include "core/block/block.h"
#include "core/proto/proto.h"
#include "server/ca/ca.h"
#include "server/channel/channel.h"
#include "server/gateway/gateway.h"

FABRIC_FUNCTION(fabric_config);
FABRIC_FUNCTION(fabric_encode_message);
FABRIC_FUNCTION(fabric_compute_config_update);
FABRIC_FUNCTION(fabric_sign_config_update);
FABRIC_FUNCTION(fabric_submit_config_update);

/* ---- configurations of the ledger ---- */

/* the number of the last configuration block up to this one; the block must be here */
static uint64
last_config_number(const Channel *channel, uint64 number, Snapshot snapshot)
{
	BlockView view = {0};
	BlockRow row;
	uint64_t last;
	FbError error;

	if (!block_store_row(channel->ledger, number, snapshot, &row))
		ereport(ERROR, (fb_errcode(FB_BLOCK_NOT_FOUND),
						errmsg("channel \"%s\" has no block %llu", channel->name,
							   (unsigned long long) number)));
	view.header.number = number;
	view.metadata[0] = row.signatures;
	view.metadata[1] = row.last_config;
	error_check(block_last_config(&view, memory_allocator(CurrentMemoryContext), &last, &error),
				&error);
	return last;
}

static Common__ConfigEnvelope *
stored_config(const Channel *channel, uint64 config_number, Snapshot snapshot)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Common__ConfigEnvelope *config;
	TransactionRow row;
	Envelope envelope;
	FbError error;

	if (!block_store_transaction(channel->ledger, config_number, 0, snapshot, true, &row))
		ereport(ERROR, (fb_errcode(FB_BLOCK_NOT_FOUND),
						errmsg("channel \"%s\" has no block %llu", channel->name,
							   (unsigned long long) config_number)));
	error_check(envelope_parse(allocator, row.envelope, &envelope, &error), &error);
	error_check(PROTO_UNPACK(common__config_envelope, envelope.data, allocator, &config, &error),
				&error);
	if (config->config == NULL)
		ereport(ERROR, (fb_errcode(FB_CORRUPTED),
						errmsg("block %llu of channel \"%s\" has no configuration",
							   (unsigned long long) config_number, channel->name)));
	return config;
}

/* config(channel, block) */
Datum
fabric_config(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Channel *channel = channel_open(argument_text(fcinfo, 0, "channel"));
	const Common__Config *config = channel->bundle->config;
	uint64 number;
	FbBytes bytes;
	FbBytes text;
	FbError error;

	if (!PG_ARGISNULL(1))
	{
		if (PG_GETARG_INT64(1) < 0)
			ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
							errmsg("argument \"%s\" must not be negative", "block")));
		number = last_config_number(channel, (uint64) PG_GETARG_INT64(1), NULL);
		config = stored_config(channel, number, NULL)->config;
	}
	error_check(PROTO_PACK(config, allocator, &bytes, &error), &error);
	error_check(proto_json(&common__config__descriptor, bytes, PROTO_JSON_DATABASE, allocator,
						   &text, &error),
				&error);
	return result_jsonb(memory_cstring(text));
}

/* ---- messages from JSON ---- */

static FbBytes
encode_argument(FunctionCallInfo fcinfo, int index, const char *name,
				const ProtobufCMessageDescriptor *descriptor)
{
	FbBytes bytes;
	FbError error;
	Jsonb *json;
	char *text;

	argument_require(fcinfo, index, name);
	json = PG_GETARG_JSONB_P(index);
	text = JsonbToCString(NULL, &json->root, (int) VARSIZE(json));
	argument_check(proto_encode(descriptor, fb_bytes_of_text(text),
								memory_allocator(CurrentMemoryContext), &bytes, &error),
				   &error, name);
	return bytes;
}

/* encode_message(type, message) */
Datum
fabric_encode_message(PG_FUNCTION_ARGS)
{
	char *type = argument_text(fcinfo, 0, "type");
	const ProtobufCMessageDescriptor *descriptor = proto_descriptor_by_name(fb_bytes_of_text(type));

	if (descriptor == NULL)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("unrecognized message type \"%s\"", error_excerpt(type)),
			 errhint(
				 "Message types are named as in Fabric's .proto files: common.Block, common.Envelope, protos.Transaction.")));
	PG_RETURN_BYTEA_P(memory_bytea(encode_argument(fcinfo, 1, "message", descriptor)));
}

/* compute_config_update(channel, old, new) */
Datum
fabric_compute_config_update(PG_FUNCTION_ARGS)
{
	char *channel = argument_text(fcinfo, 0, "channel");
	FbBytes old = encode_argument(fcinfo, 1, "old", &common__config__descriptor);
	FbBytes new = encode_argument(fcinfo, 2, "new", &common__config__descriptor);
	FbBytes update;
	FbError error;

	error_check(config_compute_update(memory_allocator(CurrentMemoryContext), channel, old, new,
									  &update, &error),
				&error);
	PG_RETURN_BYTEA_P(memory_bytea(update));
}

/* ---- signatures ---- */

/* null: the call chooses no identity */
static const Signer *
argument_signer(FunctionCallInfo fcinfo, int index)
{
	return keystore_signer(PG_ARGISNULL(index) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(index)));
}

static Common__ConfigUpdate *
unpack_update_argument(FbBytes update)
{
	Common__ConfigUpdate *message;
	FbError error;

	argument_check(PROTO_UNPACK(common__config_update, update,
								memory_allocator(CurrentMemoryContext), &message, &error),
				   &error, "update");
	return message;
}

/*
 * A signature over signature header and update (protoutil/signeddata.go,
 * ConfigUpdateEnvelopeAsSignedData)
 */
static void
sign_update(const Signer *signer, FbBytes update, Common__ConfigSignature *signature)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Common__SignatureHeader header = COMMON__SIGNATURE_HEADER__INIT;
	uint8_t nonce[FB_NONCE_BYTES];
	FbBuffer message;
	FbBytes header_bytes;
	FbBytes message_bytes;
	FbBytes signature_bytes;
	FbError error;

	error_check(crypto_random(nonce, sizeof(nonce), &error), &error);
	header.creator = proto_data(signer_identity(signer));
	header.nonce = proto_data(fb_bytes(nonce, sizeof(nonce)));
	error_check(PROTO_PACK(&header, allocator, &header_bytes, &error), &error);
	fb_buffer_init(&message, allocator);
	fb_buffer_append_bytes(&message, header_bytes);
	fb_buffer_append_bytes(&message, update);
	error_check(fb_buffer_bytes(&message, &message_bytes, &error), &error);
	error_check(signer_sign(signer, message_bytes, allocator, &signature_bytes, &error), &error);
	signature->signature_header = proto_data(header_bytes);
	signature->signature = proto_data(signature_bytes);
}

/* sign_config_update(update, identity): a ConfigSignature */
Datum
fabric_sign_config_update(PG_FUNCTION_ARGS)
{
	FbBytes update = argument_bytes(fcinfo, 0, "update");
	Common__ConfigSignature signature = COMMON__CONFIG_SIGNATURE__INIT;
	FbBytes bytes;
	FbError error;

	(void) unpack_update_argument(update);
	sign_update(argument_signer(fcinfo, 1), update, &signature);
	error_check(PROTO_PACK(&signature, memory_allocator(CurrentMemoryContext), &bytes, &error),
				&error);
	PG_RETURN_BYTEA_P(memory_bytea(bytes));
}

/* ---- submitting ---- */

/* the update with all signatures, the signer's own last, in an envelope that the signer signs */
static void
wrap_update(const Signer *signer, const Common__ConfigUpdate *update, FbBytes update_bytes,
			const FbBytes *signatures, size_t signatures_count, Envelope *envelope)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Common__ConfigUpdateEnvelope message = COMMON__CONFIG_UPDATE_ENVELOPE__INIT;
	Common__ConfigSignature own = COMMON__CONFIG_SIGNATURE__INIT;
	EnvelopeInput input = {.type = TX_TYPE_CONFIG_UPDATE};
	EnvelopePayload payload;
	uint8_t nonce[FB_NONCE_BYTES];
	struct timeval now;
	FbBytes signature;
	FbBytes bytes;
	FbError error;

	message.signatures = palloc((signatures_count + 1) * sizeof(*message.signatures));
	for (size_t i = 0; i < signatures_count; i++)
		argument_check(PROTO_UNPACK(common__config_signature, signatures[i], allocator,
									&message.signatures[i], &error),
					   &error, "signatures");
	sign_update(signer, update_bytes, &own);
	message.signatures[signatures_count] = &own;
	message.n_signatures = signatures_count + 1;
	message.config_update = proto_data(update_bytes);
	error_check(PROTO_PACK(&message, allocator, &bytes, &error), &error);

	gettimeofday(&now, NULL);
	error_check(crypto_random(nonce, sizeof(nonce), &error), &error);
	input.channel_id = fb_bytes_of_text(update->channel_id);
	input.timestamp = (TxTime) {true, now.tv_sec, (int32_t) now.tv_usec * 1000};
	input.creator = signer_identity(signer);
	input.nonce = fb_bytes(nonce, sizeof(nonce));
	input.data = bytes;
	error_check(envelope_payload_build(allocator, &input, &payload, &error), &error);
	error_check(signer_sign(signer, payload.bytes, allocator, &signature, &error), &error);
	error_check(envelope_pack(allocator, payload.bytes, signature, &bytes, &error), &error);
	error_check(envelope_parse(allocator, bytes, envelope, &error), &error);
}

/* does this configuration come from the update in the envelope? */
static bool
comes_from(const Common__ConfigEnvelope *config, const Envelope *envelope)
{
	return config->last_update != NULL &&
		   fb_bytes_equal(proto_bytes(config->last_update->payload), envelope->payload);
}

/* the configuration block after block `known` that comes from the update; 0: none */
static uint64
find_update(const Channel *channel, const Envelope *envelope, uint64 known)
{
	/* newer than the statement's, which began before the update was submitted */
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	uint64 number = channel->config_block_number;

	while (number > known && !comes_from(stored_config(channel, number, snapshot), envelope))
		number = last_config_number(channel, number - 1, snapshot);
	UnregisterSnapshot(snapshot);
	return number > known ? number : 0;
}

/*
 * Wait until the update is committed on this node, and return the number of its block. known: the
 * last configuration block before it was submitted.
 */
static uint64
wait_for_update(const char *channel_name, const Envelope *envelope, uint64 known)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_commit_timeout);

	for (;;)
	{
		const Channel *channel = channel_open(channel_name);
		ChannelSlot *slot = channel_slot(channel);
		uint64 height = slot != NULL ? slot_height(slot) : 0;
		uint64 found;

		found = find_update(channel, envelope, known);
		if (found > 0)
			return found;
		known = channel->config_block_number;
		if (slot == NULL || !shmem_wait_height(slot, height, deadline))
			ereport(
				ERROR,
				(fb_errcode(FB_COMMIT_TIMEOUT),
				 errmsg(
					 "the update of channel \"%s\" was submitted, but this node has not committed it yet",
					 channel_name),
				 errdetail(
					 "It is committed later, or dropped if another update is committed first."),
				 errhint("Look at fabric.config, fabric.stat_channel and fabric.stat_orderer.")));
	}
}

/* submit_config_update(update, signatures, identity): the number of the block */
Datum
fabric_submit_config_update(PG_FUNCTION_ARGS)
{
	FbBytes update_bytes = argument_bytes(fcinfo, 0, "update");
	size_t signatures_count;
	FbBytes *signatures = argument_byte_array(fcinfo, 1, "signatures", &signatures_count);
	Common__ConfigUpdate *update = unpack_update_argument(update_bytes);
	const Signer *signer = argument_signer(fcinfo, 2);
	Envelope envelope;
	uint64 known;

	known = channel_open(update->channel_id)->config_block_number;
	wrap_update(signer, update, update_bytes, signatures, signatures_count, &envelope);
	gateway_submit(&envelope);
	PG_RETURN_INT64((int64) wait_for_update(update->channel_id, &envelope, known));
}
