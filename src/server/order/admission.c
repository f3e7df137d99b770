/*
 * admission.c: may this envelope be ordered?
 *
 * The rules are Fabric's (orderer/common/broadcast, msgprocessor/standardchannel.go): size,
 * readable header, this channel, a normal message's type, the creator's certificate, the policy.
 * There are three more rules:
 *
 * - The transaction id is the hash of nonce and creator. Otherwise an observer of a proposal could
 *   submit an envelope of its own under the proposal's id first. That would be invalid, but it
 *   would use up the id, and the real transaction would be a duplicate. With the creator in the
 *   hash, and its signature checked here, only the creator can use up an id. Fabric's orderer does
 *   not check this.
 * - The content is within the limits of this project (check_limits). Fabric's peers have no such
 *   limits, and an envelope that is ordered must be judged as they judge it.
 * - The envelope is in canonical encoding. Fabric's orderer encodes again what it received, so its
 *   blocks contain nothing else. Here bytes are kept as received, and a block with another encoding
 *   would be refused by every peer (docs/wire-format.md, "Block data") and stop the channel.
 */
#include "server/order/order_internal.h"

#include "core/txn/txn.h"

static FbStatus
admission_check_type(int32_t type, FbError *error)
{
	switch (type)
	{
		case TX_TYPE_CONFIG_UPDATE:
		case TX_TYPE_CONFIG:
			fb_fail(error, FB_INVALID_ARGUMENT,
					"a configuration transaction cannot be ordered as a normal one");
			fb_error_detail(error, "The envelope has header type %d.", type);
			return FB_INVALID_ARGUMENT;
		case TX_TYPE_ORDERER_TRANSACTION:
			return fb_fail(error, FB_INVALID_ARGUMENT,
						   "message of type ORDERER_TRANSACTION is not supported");
		default:
			return FB_OK;
	}
}

/* a creator that cannot be read passes here and then fails the policy */
static FbStatus
check_expiration(const ConfigBundle *bundle, FbBytes creator, int64 now, FbError *error)
{
	const Identity *identity;

	if (msp_manager_identity(bundle->msps, creator, &identity, NULL) != FB_OK ||
		!identity_expired(identity, now))
		return FB_OK;
	fb_fail(error, FB_CERTIFICATE_EXPIRED, "certificate of the transaction's creator has expired");
	fb_error_detail(error, "It is \"%s\" of %s.",
					crypto_certificate_subject(identity_certificate(identity)),
					identity_msp_id(identity));
	fb_error_hint(error, "Enroll again and sign with the new certificate.");
	return FB_CERTIFICATE_EXPIRED;
}

FbStatus
admission_check_canonical(const Envelope *envelope, FbError *error)
{
	FbError why;

	if (envelope->canonical || block_check_well_formed(&envelope->bytes, 1, &why) == FB_OK)
		return FB_OK;
	fb_fail(error, FB_MALFORMED_MESSAGE, "envelope cannot be put into a block");
	fb_error_detail(error, "%s.", why.message);
	fb_error_hint(
		error,
		"An envelope is a payload and a signature in protobuf's canonical encoding, without unrecognized fields.");
	return FB_MALFORMED_MESSAGE;
}

FbStatus
admission_check_frame(const ConfigBundle *bundle, const Envelope *envelope, int64 now,
					  FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	/* standardchannel.go, CreateStandardChannelFilters */
	const char *path =
		bundle->maintenance ? "/Channel/Orderer/Writers" : CONFIG_POLICY_CHANNEL_WRITERS;
	size_t bytes_max = Min(bundle->batch_bytes_absolute_max, FB_BATCH_BYTES_MAX);
	PolicySignature signature = {0};
	PolicySignatureSet *set;

	if (envelope->message_bytes > bytes_max)
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "envelope is too large");
		fb_error_detail(error, "It has %llu bytes, the channel allows %zu.",
						(unsigned long long) envelope->message_bytes, bytes_max);
		return FB_LIMIT_EXCEEDED;
	}
	FB_TRY(admission_check_canonical(envelope, error));
	if (!fb_bytes_equal(envelope->channel_id, fb_bytes_of_text(bundle->channel_id)))
		return fb_fail(error, FB_INVALID_ARGUMENT, "envelope is for channel \"%s\", not \"%s\"",
					   FB_DISPLAY(envelope->channel_id), bundle->channel_id);
	FB_TRY(envelope_check_tx_id(envelope, error));
	FB_TRY(check_expiration(bundle, envelope->creator, now, error));

	signature.identity = envelope->creator;
	signature.signature = envelope->signature;
	signature.parts[0] = envelope->payload;
	FB_TRY(policy_signatures_create(allocator, bundle->msps, &signature, 1, access_verify, NULL,
									&set, error));
	return policy_require(allocator, policy_manager_find(bundle->policies, path), set, error);
}

FbStatus
admission_check(const ConfigBundle *bundle, const Envelope *envelope, int64 now, FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);

	FB_TRY(admission_check_type(envelope->type, error));
	/* standardchannel.go, ProcessNormalMsg */
	if (bundle->maintenance)
	{
		fb_fail(error, FB_ACCESS_DENIED, "channel \"%s\" is in maintenance mode",
				bundle->channel_id);
		fb_error_detail(error, "Only its configuration can change meanwhile.");
		fb_error_hint(error, "Try again when an orderer's administrator has ended it.");
		return FB_ACCESS_DENIED;
	}
	FB_TRY(admission_check_frame(bundle, envelope, now, error));
	/*
	 * Last, because it is expensive. A transaction that peers accept and this project's limits
	 * refuse must not be ordered.
	 */
	return envelope->type == TX_TYPE_ENDORSER_TRANSACTION ? check_limits(allocator, envelope, error)
														  : FB_OK;
}
