/*
 * config_admission.c: may an update of the configuration be ordered, and as which transaction?
 *
 * A client sends an update (CONFIG_UPDATE). The orderer that takes it applies it to the present
 * configuration and orders the result: a CONFIG transaction with the whole new configuration and
 * with the update in it, signed by the orderer (orderer/common/msgprocessor/standardchannel.go,
 * ProcessConfigUpdateMsg). Every node applies the update again and compares (server/commit).
 *
 * Between admission and ordering another configuration may be committed. Then the transaction is
 * stale, and whoever holds it takes the update out of it and applies it to the new configuration:
 * the leader at the latest, before it cuts the batch (orderer/consensus/etcdraft/chain.go,
 * ordered). If the two updates touch the same elements, that fails, because versions have moved on.
 *
 * What is ordered must be valid when it is committed, or all nodes would store an invalid
 * transaction. So a leader cuts nothing after a configuration until its own ledger has it
 * (batching.c).
 */
#include "server/order/order_internal.h"

#include "core/proto/proto.h"

#include <sys/time.h>

static void
admission_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

/* the rules for the new configuration as a whole */
static FbStatus
check_result(const Channel *channel, FbBytes config_envelope, int64 now, FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ActiveConsenters active;
	ConfigBundle *next;

	FB_TRY(config_bundle_create(allocator, channel->name, config_envelope, &next, error));
	memory_on_reset(CurrentMemoryContext, admission_destroy_bundle, next);
	FB_TRY(config_check_successor(channel->bundle, next, error));
	FB_TRY(config_check_orderer_rules(allocator, channel->bundle, next, error));
	return config_check_consenters(channel->bundle, &channel->consenter_ids, next,
								   voters_active(channel, &active) ? &active : NULL, now, error);
}

/* protoutil/txutils.go, CreateSignedEnvelope: without a transaction id */
static FbStatus
sign_configuration(const Channel *channel, FbBytes config_envelope, Envelope *result,
				   FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Signer *signer = node_channel_signer(channel);
	EnvelopeInput input = {.type = TX_TYPE_CONFIG};
	uint8_t nonce[FB_NONCE_BYTES];
	EnvelopePayload payload;
	struct timeval now;
	FbBytes signature;
	FbBytes bytes;

	gettimeofday(&now, NULL);
	FB_TRY(crypto_random(nonce, sizeof(nonce), error));
	input.channel_id = fb_bytes_of_text(channel->name);
	input.timestamp = (TxTime) {true, now.tv_sec, (int32_t) now.tv_usec * 1000};
	input.creator = signer_identity(signer);
	input.nonce = fb_bytes(nonce, sizeof(nonce));
	input.data = config_envelope;
	FB_TRY(envelope_payload_build(allocator, &input, &payload, error));
	FB_TRY(signer_sign(signer, payload.bytes, allocator, &signature, error));
	FB_TRY(envelope_pack(allocator, payload.bytes, signature, &bytes, error));
	return envelope_parse(allocator, bytes, result, error);
}

static FbStatus
apply_request(const Channel *channel, const Envelope *envelope, int64 now, Envelope *result,
			  FbError *error)
{
	FbBytes config_envelope;

	FB_TRY(admission_check_frame(channel->bundle, envelope, now, error));
	FB_TRY(config_apply_update(memory_allocator(CurrentMemoryContext), channel->bundle,
							   envelope->bytes, access_verify, NULL, &config_envelope, error));
	FB_TRY(check_result(channel, config_envelope, now, error));
	FB_TRY(sign_configuration(channel, config_envelope, result, error));
	/* the result is larger than the request, and this node must be allowed to write it */
	return admission_check_frame(channel->bundle, result, now, error);
}

/* the update in a configuration transaction */
static FbStatus
find_request(const Envelope *envelope, Envelope *request, FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Common__ConfigEnvelope *message;
	FbBytes bytes;

	FB_TRY(PROTO_UNPACK(common__config_envelope, envelope->data, allocator, &message, error));
	if (message->last_update == NULL)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the configuration does not hold the update that it comes from");
	FB_TRY(PROTO_PACK(message->last_update, allocator, &bytes, error));
	FB_TRY(envelope_parse(allocator, bytes, request, error));
	if (request->type != TX_TYPE_CONFIG_UPDATE)
		return fb_fail(error, FB_INVALID_CONFIG, "the update of the configuration has type %d",
					   (int) request->type);
	return FB_OK;
}

FbStatus
config_admission_check(const Channel *channel, const Envelope *envelope, int64 now,
					   Envelope *result, FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Envelope request;
	FbStatus status;

	if (envelope->type == TX_TYPE_CONFIG_UPDATE)
		return apply_request(channel, envelope, now, result, error);
	status =
		config_check_update(allocator, channel->bundle, envelope->data, access_verify, NULL, error);
	if (status == FB_STALE_CONFIG)
	{
		FB_TRY(find_request(envelope, &request, error));
		return apply_request(channel, &request, now, result, error);
	}
	FB_TRY(status);
	FB_TRY(admission_check_frame(channel->bundle, envelope, now, error));
	FB_TRY(check_result(channel, envelope->data, now, error));
	*result = *envelope;
	return FB_OK;
}
