/*
 * envelope: the signed frame around every message that is ordered or requests blocks
 * (docs/wire-format.md, "Transactions", "Channel configuration", "Deliver"), and the assembly of a
 * transaction from a proposal and its endorsements (protoutil/txutils.go).
 */
#include "core/txn/txn_internal.h"

#include "core/block/block.h"

#include <stdlib.h>

FbStatus
txn_text(FbAllocator *allocator, FbBytes bytes, const char *what, char **text, FbError *error)
{
	*text = NULL;
	if (!fb_utf8_valid(bytes) || (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL))
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s is not a valid text", what);
	*text = fb_text_copy(allocator, bytes);
	return *text == NULL ? fb_out_of_memory(error) : FB_OK;
}

FbStatus
txn_check_text(FbBytes bytes, const char *what, ProtobufCBinaryData *field, FbError *error)
{
	if (!fb_utf8_valid(bytes) || (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL))
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s is not a valid text", what);
	*field = proto_data(bytes);
	return FB_OK;
}

FbStatus
txn_refuse_zero(FbBytes bytes, const char *what, FbError *error)
{
	if (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "%s contains U+0000", what);
	return FB_OK;
}

TxTime
txn_time(const Google__Protobuf__Timestamp *timestamp)
{
	TxTime time = {false, 0, 0};

	if (timestamp != NULL)
	{
		time.present = true;
		time.seconds = timestamp->seconds;
		time.nanoseconds = timestamp->nanos;
	}
	return time;
}

void
tx_id_compute(FbBytes nonce, FbBytes creator, char tx_id[TX_ID_LENGTH + 1])
{
	const FbBytes parts[2] = {nonce, creator};
	uint8_t hash[CRYPTO_SHA256_BYTES];

	crypto_sha256_parts(parts, 2, hash);
	fb_hex_encode(fb_bytes(hash, sizeof(hash)), tx_id);
}

FbStatus
tx_id_on_ledger(FbAllocator *allocator, FbBytes tx_id, FbBytes nonce, FbBytes creator,
				FbBytes *ledger_tx_id, FbError *error)
{
	char computed[TX_ID_LENGTH + 1];

	*ledger_tx_id = tx_id;
	if (tx_id.size > 0)
		return FB_OK;
	tx_id_compute(nonce, creator, computed);
	return fb_bytes_copy(allocator, fb_bytes(computed, TX_ID_LENGTH), ledger_tx_id, error);
}

void
txn_proposal_hash(FbBytes channel_header, FbBytes signature_header, FbBytes payload,
				  uint8_t hash[32])
{
	const FbBytes parts[3] = {channel_header, signature_header, payload};

	crypto_sha256_parts(parts, 3, hash);
}

/* ---- packing ---- */

FbStatus
txn_pack_channel_header(FbAllocator *allocator, const EnvelopeInput *input, FbBytes *bytes,
						FbError *error)
{
	Common__ChannelHeader header = COMMON__CHANNEL_HEADER__INIT;
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	header.type = input->type;
	header.version = input->version;
	header.epoch = input->epoch;
	header.extension = proto_data(input->extension);
	header.tls_cert_hash = proto_data(input->tls_cert_hash);
	FB_TRY(txn_check_text(input->channel_id, "channel id", &header.channel_id, error));
	FB_TRY(txn_check_text(input->tx_id, "transaction id", &header.tx_id, error));
	if (input->timestamp.present)
	{
		timestamp.seconds = input->timestamp.seconds;
		timestamp.nanos = input->timestamp.nanoseconds;
		header.timestamp = &timestamp;
	}
	return PROTO_PACK(&header, allocator, bytes, error);
}

FbStatus
txn_pack_signature_header(FbAllocator *allocator, FbBytes creator, FbBytes nonce, FbBytes *bytes,
						  FbError *error)
{
	Common__SignatureHeader header = COMMON__SIGNATURE_HEADER__INIT;

	header.creator = proto_data(creator);
	header.nonce = proto_data(nonce);
	return PROTO_PACK(&header, allocator, bytes, error);
}

FbStatus
txn_pack_payload(FbAllocator *allocator, FbBytes channel_header, FbBytes signature_header,
				 FbBytes data, EnvelopePayload *payload, FbError *error)
{
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload message = COMMON__PAYLOAD__INIT;

	header.channel_header = proto_data(channel_header);
	header.signature_header = proto_data(signature_header);
	message.header = &header;
	message.data = proto_data(data);
	FB_TRY(PROTO_PACK(&message, allocator, &payload->bytes, error));
	crypto_sha256(payload->bytes, payload->digest);
	return FB_OK;
}

FbStatus
envelope_payload_build(FbAllocator *allocator, const EnvelopeInput *input, EnvelopePayload *payload,
					   FbError *error)
{
	FbBytes channel_header;
	FbBytes signature_header;

	memset(payload, 0, sizeof(*payload));
	FB_TRY(txn_pack_channel_header(allocator, input, &channel_header, error));
	FB_TRY(txn_pack_signature_header(allocator, input->creator, input->nonce, &signature_header,
									 error));
	return txn_pack_payload(allocator, channel_header, signature_header, input->data, payload,
							error);
}

FbStatus
envelope_pack(FbAllocator *allocator, FbBytes payload, FbBytes signature, FbBytes *envelope,
			  FbError *error)
{
	Common__Envelope message = COMMON__ENVELOPE__INIT;

	message.payload = proto_data(payload);
	message.signature = proto_data(signature);
	return PROTO_PACK(&message, allocator, envelope, error);
}

/* ---- unpacking ---- */

/*
 * An envelope in the form that encoders write is read in place. Any other form is unpacked, which
 * reads it as Go does.
 */
static FbStatus
open_frame(FbAllocator *allocator, FbBytes bytes, Envelope *envelope, FbError *error)
{
	Common__Envelope *message;

	if (block_parse_envelope(bytes, &envelope->payload, &envelope->signature, NULL) != FB_OK)
	{
		FB_TRY(PROTO_UNPACK(common__envelope, bytes, allocator, &message, error));
		envelope->payload = proto_bytes(message->payload);
		envelope->signature = proto_bytes(message->signature);
	}
	envelope->canonical =
		envelope->payload.size > 0 && envelope->signature.size > 0 &&
		block_is_canonical_envelope(bytes, envelope->payload, envelope->signature);
	envelope->message_bytes = (uint64_t) envelope->payload.size + envelope->signature.size;
	return FB_OK;
}

FbStatus
envelope_parse(FbAllocator *allocator, FbBytes bytes, Envelope *envelope, FbError *error)
{
	Common__Payload *payload;
	Common__ChannelHeader *channel_header;
	Common__SignatureHeader *signature_header;

	memset(envelope, 0, sizeof(*envelope));
	envelope->bytes = bytes;
	FB_TRY(open_frame(allocator, bytes, envelope, error));
	if (envelope->payload.size == 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "envelope has no payload");
	FB_TRY(PROTO_UNPACK(common__payload, envelope->payload, allocator, &payload, error));
	if (payload->header == NULL)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "envelope has no header");
	envelope->data = proto_bytes(payload->data);
	envelope->channel_header = proto_bytes(payload->header->channel_header);
	envelope->signature_header = proto_bytes(payload->header->signature_header);
	FB_TRY(PROTO_UNPACK(common__channel_header, envelope->channel_header, allocator,
						&channel_header, error));
	FB_TRY(PROTO_UNPACK(common__signature_header, envelope->signature_header, allocator,
						&signature_header, error));
	envelope->type = channel_header->type;
	envelope->is_config = envelope->type == TX_TYPE_CONFIG;
	envelope->version = channel_header->version;
	envelope->channel_id = proto_bytes(channel_header->channel_id);
	envelope->tx_id = proto_bytes(channel_header->tx_id);
	envelope->timestamp = txn_time(channel_header->timestamp);
	envelope->epoch = channel_header->epoch;
	envelope->extension = proto_bytes(channel_header->extension);
	envelope->tls_cert_hash = proto_bytes(channel_header->tls_cert_hash);
	envelope->creator = proto_bytes(signature_header->creator);
	envelope->nonce = proto_bytes(signature_header->nonce);
	FB_TRY(txn_refuse_zero(envelope->channel_id, "channel id", error));
	FB_TRY(txn_refuse_zero(envelope->tx_id, "transaction id", error));
	return tx_id_on_ledger(allocator, envelope->tx_id, envelope->nonce, envelope->creator,
						   &envelope->ledger_tx_id, error);
}

FbStatus
envelope_check_tx_id(const Envelope *envelope, FbError *error)
{
	char tx_id[TX_ID_LENGTH + 1];

	if (envelope->tx_id.size == 0 && envelope->type != TX_TYPE_ENDORSER_TRANSACTION)
		return FB_OK;
	tx_id_compute(envelope->nonce, envelope->creator, tx_id);
	if (fb_bytes_equal(envelope->tx_id, fb_bytes(tx_id, TX_ID_LENGTH)))
		return FB_OK;
	fb_fail(error, FB_INVALID_ARGUMENT, "transaction id is not the hash of nonce and creator");
	fb_error_detail(error, "The channel header has \"%s\", nonce and creator give \"%s\".",
					FB_DISPLAY(envelope->tx_id), tx_id);
	fb_error_hint(
		error,
		"Compute the id as hex(SHA-256(nonce, creator)), or use the one that fabric.new_proposal returns.");
	return FB_INVALID_ARGUMENT;
}

/* ---- the transaction ---- */

static FbStatus
check_responses(const ProposalResponse *responses, size_t responses_count, FbError *error)
{
	if (responses_count == 0)
		return fb_fail(error, FB_ENDORSEMENT_FAILED, "no endorsement was given");
	if (responses_count > FB_ENDORSEMENTS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d endorsements", FB_ENDORSEMENTS_MAX);
	for (size_t i = 0; i < responses_count; i++)
	{
		const ChaincodeResponse *response = &responses[i].response;

		if (response->status < 200 || response->status >= 400)
			return fb_fail(error, FB_ENDORSEMENT_FAILED, "chaincode answered with status %d: %s",
						   (int) response->status, FB_DISPLAY(response->message));
		if (!fb_bytes_equal(responses[i].payload, responses[0].payload))
			return fb_fail(error, FB_ENDORSEMENT_MISMATCH, "endorsements have different contents");
	}
	if (responses[0].payload.size == 0)
		return fb_fail(error, FB_ENDORSEMENT_FAILED, "endorsement has no content");
	return FB_OK;
}

/* each endorser once, in the order of the responses, because the order matters in validation */
static FbStatus
build_endorsements(FbAllocator *allocator, const ProposalResponse *responses,
				   size_t responses_count, Protos__ChaincodeEndorsedAction *action, FbError *error)
{
	Protos__Endorsement *items = fb_allocate_array(allocator, responses_count, sizeof(*items));

	action->endorsements =
		fb_allocate_array(allocator, responses_count, sizeof(*action->endorsements));
	if (items == NULL || action->endorsements == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < responses_count; i++)
	{
		Protos__Endorsement *item = &items[action->n_endorsements];
		bool repeated = false;

		for (size_t j = 0; j < i && !repeated; j++)
			repeated = fb_bytes_equal(responses[i].endorser, responses[j].endorser);
		if (repeated || responses[i].endorser.size == 0)
			continue;
		protos__endorsement__init(item);
		item->endorser = proto_data(responses[i].endorser);
		item->signature = proto_data(responses[i].signature);
		action->endorsements[action->n_endorsements++] = item;
	}
	if (action->n_endorsements == 0)
		return fb_fail(error, FB_ENDORSEMENT_FAILED, "no endorsement was given");
	return FB_OK;
}

FbStatus
envelope_assemble(FbAllocator *allocator, const ProposalView *proposal,
				  const ProposalResponse *responses, size_t responses_count,
				  EnvelopePayload *payload, FbError *error)
{
	Protos__ChaincodeEndorsedAction endorsed = PROTOS__CHAINCODE_ENDORSED_ACTION__INIT;
	Protos__ChaincodeActionPayload action_payload = PROTOS__CHAINCODE_ACTION_PAYLOAD__INIT;
	Protos__TransactionAction action = PROTOS__TRANSACTION_ACTION__INIT;
	Protos__TransactionAction *actions[1] = {&action};
	Protos__Transaction transaction = PROTOS__TRANSACTION__INIT;
	FbBytes bytes;

	/* a view that proposal_build or proposal_parse has made */
	FB_ASSERT(proposal->channel_header.size > 0 && proposal->signature_header.size > 0);
	memset(payload, 0, sizeof(*payload));
	FB_TRY(check_responses(responses, responses_count, error));
	endorsed.proposal_response_payload = proto_data(responses[0].payload);
	FB_TRY(build_endorsements(allocator, responses, responses_count, &endorsed, error));

	action_payload.chaincode_proposal_payload = proto_data(proposal->payload_for_transaction);
	action_payload.action = &endorsed;
	FB_TRY(PROTO_PACK(&action_payload, allocator, &bytes, error));
	action.header = proto_data(proposal->signature_header);
	action.payload = proto_data(bytes);
	transaction.actions = actions;
	transaction.n_actions = 1;
	FB_TRY(PROTO_PACK(&transaction, allocator, &bytes, error));
	return txn_pack_payload(allocator, proposal->channel_header, proposal->signature_header, bytes,
							payload, error);
}
