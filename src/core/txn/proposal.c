/*
 * proposal: the request of a client to simulate and endorse a call (docs/wire-format.md,
 * "Transactions"; core/endorser/msgvalidation.go).
 */
#include "core/txn/txn_internal.h"

#include <stdlib.h>

/* ---- building ---- */

static FbStatus
check_input(const ProposalInput *input, FbError *error)
{
	if (input->channel_id.size == 0 || input->chaincode_name.size == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s must not be empty",
					   input->channel_id.size == 0 ? "channel id" : "chaincode name");
	if (input->creator.size == 0 || input->nonce.size == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s must not be empty",
					   input->creator.size == 0 ? "creator" : "nonce");
	if (input->channel_id.size > FB_CHANNEL_ID_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "channel id is longer than %d bytes",
					   FB_CHANNEL_ID_BYTES_MAX);
	if (input->chaincode_name.size > FB_CHAINCODE_NAME_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "chaincode name is longer than %d bytes",
					   FB_CHAINCODE_NAME_BYTES_MAX);
	if (input->creator.size > FB_IDENTITY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "creator is longer than %d bytes",
					   FB_IDENTITY_BYTES_MAX);
	if (input->args_count > FB_ARGUMENTS_MAX || input->transient_count > FB_ARGUMENTS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d arguments or transient entries",
					   FB_ARGUMENTS_MAX);
	return FB_OK;
}

/* pb(ChaincodeHeaderExtension): names the chaincode in the header */
static FbStatus
pack_extension(FbAllocator *allocator, ProtobufCBinaryData chaincode_name, FbBytes *bytes,
			   FbError *error)
{
	Protos__ChaincodeID chaincode = PROTOS__CHAINCODE_ID__INIT;
	Protos__ChaincodeHeaderExtension extension = PROTOS__CHAINCODE_HEADER_EXTENSION__INIT;

	chaincode.name = chaincode_name;
	extension.chaincode_id = &chaincode;
	return PROTO_PACK(&extension, allocator, bytes, error);
}

/* pb(ChaincodeInvocationSpec) */
static FbStatus
pack_invocation(FbAllocator *allocator, const ProposalInput *input,
				ProtobufCBinaryData chaincode_name, FbBytes *bytes, FbError *error)
{
	Protos__ChaincodeID chaincode = PROTOS__CHAINCODE_ID__INIT;
	Protos__ChaincodeInput arguments = PROTOS__CHAINCODE_INPUT__INIT;
	Protos__ChaincodeSpec spec = PROTOS__CHAINCODE_SPEC__INIT;
	Protos__ChaincodeInvocationSpec invocation = PROTOS__CHAINCODE_INVOCATION_SPEC__INIT;

	chaincode.name = chaincode_name;
	arguments.args = fb_allocate_array(allocator, input->args_count, sizeof(*arguments.args));
	if (arguments.args == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < input->args_count; i++)
		arguments.args[i] = proto_data(input->args[i]);
	arguments.n_args = input->args_count;
	arguments.is_init = input->is_init;
	spec.type = (Protos__ChaincodeSpec__Type) input->chaincode_type;
	spec.chaincode_id = &chaincode;
	spec.input = &arguments;
	invocation.chaincode_spec = &spec;
	return PROTO_PACK(&invocation, allocator, bytes, error);
}

static int
compare_transient(const void *a, const void *b)
{
	return fb_bytes_compare(((const TransientEntry *) a)->key, ((const TransientEntry *) b)->key);
}

/*
 * pb(ChaincodeProposalPayload). transient: sorted by key, so that the same call gives the same
 * bytes.
 */
static FbStatus
pack_proposal_payload(FbAllocator *allocator, FbBytes invocation, const TransientEntry *transient,
					  size_t count, FbBytes *bytes, FbError *error)
{
	Protos__ChaincodeProposalPayload payload = PROTOS__CHAINCODE_PROPOSAL_PAYLOAD__INIT;
	Protos__ChaincodeProposalPayload__TransientMapEntry *items =
		fb_allocate_array(allocator, count, sizeof(*items));

	payload.transientmap = fb_allocate_array(allocator, count, sizeof(*payload.transientmap));
	if (items == NULL || payload.transientmap == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0 && fb_bytes_equal(transient[i].key, transient[i - 1].key))
			return fb_fail(error, FB_INVALID_ARGUMENT, "transient entry is given twice");
		protos__chaincode_proposal_payload__transient_map_entry__init(&items[i]);
		FB_TRY(txn_text(allocator, transient[i].key, "key of a transient entry", &items[i].key,
						error));
		items[i].value = proto_data(transient[i].value);
		payload.transientmap[i] = &items[i];
	}
	payload.n_transientmap = count;
	payload.input = proto_data(invocation);
	return PROTO_PACK(&payload, allocator, bytes, error);
}

/*
 * Set the fields that proposal_parse would find in the proposal built from this input; bytes are
 * set already.
 */
static FbStatus
view_input(FbAllocator *allocator, const ProposalInput *input, ProposalView *view, FbError *error)
{
	view->type = TX_TYPE_ENDORSER_TRANSACTION;
	view->channel_id = input->channel_id;
	view->timestamp = input->timestamp;
	view->tls_cert_hash = input->tls_cert_hash;
	view->creator = input->creator;
	view->nonce = input->nonce;
	view->chaincode_name = input->chaincode_name;
	view->is_init = input->is_init;
	view->args_count = input->args_count;
	view->transient_count = input->transient_count;
	view->args = fb_allocate_array(allocator, input->args_count, sizeof(FbBytes));
	view->transient = fb_allocate_array(allocator, input->transient_count, sizeof(TransientEntry));
	if (view->args == NULL || view->transient == NULL)
		return fb_out_of_memory(error);
	if (input->args_count > 0)
		memcpy(view->args, input->args, input->args_count * sizeof(FbBytes));
	if (input->transient_count > 0)
		memcpy(view->transient, input->transient, input->transient_count * sizeof(TransientEntry));
	if (input->transient_count > 1)
		qsort(view->transient, input->transient_count, sizeof(TransientEntry), compare_transient);
	return FB_OK;
}

FbStatus
proposal_build(FbAllocator *allocator, const ProposalInput *input, ProposalView *view,
			   FbError *error)
{
	EnvelopeInput header_input = {
		.type = TX_TYPE_ENDORSER_TRANSACTION,
		.channel_id = input->channel_id,
		.timestamp = input->timestamp,
		.tls_cert_hash = input->tls_cert_hash,
	};
	Common__Header header = COMMON__HEADER__INIT;
	Protos__Proposal message = PROTOS__PROPOSAL__INIT;
	ProtobufCBinaryData chaincode_name;
	char tx_id[TX_ID_LENGTH + 1];
	FbBytes header_bytes;
	FbBytes invocation;
	FbBytes payload;

	memset(view, 0, sizeof(*view));
	FB_TRY(check_input(input, error));
	FB_TRY(txn_check_text(input->chaincode_name, "chaincode name", &chaincode_name, error));
	FB_TRY(view_input(allocator, input, view, error));
	tx_id_compute(input->nonce, input->creator, tx_id);
	FB_TRY(fb_bytes_copy(allocator, fb_bytes(tx_id, TX_ID_LENGTH), &view->tx_id, error));
	header_input.tx_id = view->tx_id;
	FB_TRY(pack_extension(allocator, chaincode_name, &header_input.extension, error));
	FB_TRY(txn_pack_channel_header(allocator, &header_input, &view->channel_header, error));
	FB_TRY(txn_pack_signature_header(allocator, input->creator, input->nonce,
									 &view->signature_header, error));
	header.channel_header = proto_data(view->channel_header);
	header.signature_header = proto_data(view->signature_header);
	FB_TRY(PROTO_PACK(&header, allocator, &header_bytes, error));

	FB_TRY(pack_invocation(allocator, input, chaincode_name, &invocation, error));
	FB_TRY(pack_proposal_payload(allocator, invocation, NULL, 0, &view->payload_for_transaction,
								 error));
	txn_proposal_hash(view->channel_header, view->signature_header, view->payload_for_transaction,
					  view->proposal_hash);
	payload = view->payload_for_transaction;
	if (input->transient_count > 0)
		FB_TRY(pack_proposal_payload(allocator, invocation, view->transient, view->transient_count,
									 &payload, error));
	message.header = proto_data(header_bytes);
	message.payload = proto_data(payload);
	FB_TRY(PROTO_PACK(&message, allocator, &view->bytes, error));
	crypto_sha256(view->bytes, view->digest);
	return FB_OK;
}

FbStatus
proposal_pack_signed(FbAllocator *allocator, const ProposalView *view, FbBytes *signed_proposal,
					 FbError *error)
{
	Protos__SignedProposal message = PROTOS__SIGNED_PROPOSAL__INIT;

	message.proposal_bytes = proto_data(view->bytes);
	message.signature = proto_data(view->signature);
	return PROTO_PACK(&message, allocator, signed_proposal, error);
}

/* ---- parsing ---- */

static FbStatus
parse_headers(FbAllocator *allocator, FbBytes header_bytes, ProposalView *view, uint64_t *epoch,
			  FbError *error)
{
	Common__Header *header;
	Common__ChannelHeader *channel_header;
	Common__SignatureHeader *signature_header;
	Protos__ChaincodeHeaderExtension *extension;

	FB_TRY(PROTO_UNPACK(common__header, header_bytes, allocator, &header, error));
	view->channel_header = proto_bytes(header->channel_header);
	view->signature_header = proto_bytes(header->signature_header);
	FB_TRY(PROTO_UNPACK(common__channel_header, view->channel_header, allocator, &channel_header,
						error));
	FB_TRY(PROTO_UNPACK(common__signature_header, view->signature_header, allocator,
						&signature_header, error));
	FB_TRY(PROTO_UNPACK(protos__chaincode_header_extension, proto_bytes(channel_header->extension),
						allocator, &extension, error));
	if (extension->chaincode_id == NULL || extension->chaincode_id->name.len == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "proposal names no chaincode");
	view->type = channel_header->type;
	view->channel_id = proto_bytes(channel_header->channel_id);
	view->tx_id = proto_bytes(channel_header->tx_id);
	view->timestamp = txn_time(channel_header->timestamp);
	view->tls_cert_hash = proto_bytes(channel_header->tls_cert_hash);
	view->creator = proto_bytes(signature_header->creator);
	view->nonce = proto_bytes(signature_header->nonce);
	view->chaincode_name = proto_bytes(extension->chaincode_id->name);
	*epoch = channel_header->epoch;
	FB_TRY(txn_refuse_zero(view->channel_id, "channel id", error));
	FB_TRY(txn_refuse_zero(view->tx_id, "transaction id", error));
	FB_TRY(txn_refuse_zero(view->chaincode_name, "chaincode name", error));
	return FB_OK;
}

static FbStatus
parse_payload(FbAllocator *allocator, FbBytes bytes, ProposalView *view, FbError *error)
{
	Protos__ChaincodeProposalPayload *payload;
	Protos__ChaincodeInvocationSpec *invocation;
	const Protos__ChaincodeInput *input;

	FB_TRY(PROTO_UNPACK(protos__chaincode_proposal_payload, bytes, allocator, &payload, error));
	FB_TRY(PROTO_UNPACK(protos__chaincode_invocation_spec, proto_bytes(payload->input), allocator,
						&invocation, error));
	if (invocation->chaincode_spec == NULL)
		return fb_fail(error, FB_INVALID_ARGUMENT, "proposal has no chaincode specification");
	if (invocation->chaincode_spec->input == NULL)
		return fb_fail(error, FB_INVALID_ARGUMENT, "proposal has no chaincode input");
	input = invocation->chaincode_spec->input;
	if (input->n_args > FB_ARGUMENTS_MAX || payload->n_transientmap > FB_ARGUMENTS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d arguments or transient entries",
					   FB_ARGUMENTS_MAX);
	view->args = fb_allocate_array(allocator, input->n_args, sizeof(FbBytes));
	view->transient = fb_allocate_array(allocator, payload->n_transientmap, sizeof(TransientEntry));
	if (view->args == NULL || view->transient == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < input->n_args; i++)
		view->args[i] = proto_bytes(input->args[i]);
	view->args_count = input->n_args;
	view->is_init = input->is_init;
	/* the decoder has sorted the map and removed duplicates */
	for (size_t i = 0; i < payload->n_transientmap; i++)
	{
		view->transient[i].key = fb_bytes_of_text(payload->transientmap[i]->key);
		view->transient[i].value = proto_bytes(payload->transientmap[i]->value);
	}
	view->transient_count = payload->n_transientmap;
	/*
	 * The only place where received content is packed again, as in Fabric: the transient map must
	 * not be part of the hash.
	 */
	return pack_proposal_payload(allocator, proto_bytes(payload->input), NULL, 0,
								 &view->payload_for_transaction, error);
}

FbStatus
proposal_parse(FbAllocator *allocator, FbBytes proposal, ProposalView *view, FbError *error)
{
	Protos__Proposal *message;
	char tx_id[TX_ID_LENGTH + 1];
	uint64_t epoch = 0;

	memset(view, 0, sizeof(*view));
	FB_TRY(PROTO_UNPACK(protos__proposal, proposal, allocator, &message, error));
	FB_TRY(parse_headers(allocator, proto_bytes(message->header), view, &epoch, error));
	FB_TRY(parse_payload(allocator, proto_bytes(message->payload), view, error));
	view->bytes = proposal;
	crypto_sha256(proposal, view->digest);
	txn_proposal_hash(view->channel_header, view->signature_header, view->payload_for_transaction,
					  view->proposal_hash);

	/* CONFIG is wrong here, but Fabric accepts it */
	if (view->type != TX_TYPE_ENDORSER_TRANSACTION && view->type != TX_TYPE_CONFIG)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "proposal has header type %d, which cannot be endorsed", (int) view->type);
	if (epoch != 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "epoch of the proposal is not zero");
	if (view->nonce.size == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "proposal has no nonce");
	if (view->creator.size == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "proposal has no creator");
	tx_id_compute(view->nonce, view->creator, tx_id);
	if (!fb_bytes_equal(view->tx_id, fb_bytes(tx_id, TX_ID_LENGTH)))
	{
		fb_fail(error, FB_INVALID_ARGUMENT, "transaction id is not the hash of nonce and creator");
		fb_error_detail(error, "The proposal has \"%s\", expected is \"%s\".",
						FB_DISPLAY(view->tx_id), tx_id);
		return FB_INVALID_ARGUMENT;
	}
	return FB_OK;
}

FbStatus
proposal_parse_parts(FbAllocator *allocator, FbBytes proposal, FbBytes signature,
					 ProposalView *view, FbError *error)
{
	FB_TRY(proposal_parse(allocator, proposal, view, error));
	if (signature.size == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "signed proposal has no signature");
	view->signature = signature;
	return FB_OK;
}

FbStatus
proposal_parse_signed(FbAllocator *allocator, FbBytes signed_proposal, ProposalView *view,
					  FbError *error)
{
	Protos__SignedProposal *message;

	memset(view, 0, sizeof(*view));
	FB_TRY(PROTO_UNPACK(protos__signed_proposal, signed_proposal, allocator, &message, error));
	if (message->proposal_bytes.len == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "signed proposal has no proposal");
	return proposal_parse_parts(allocator, proto_bytes(message->proposal_bytes),
								proto_bytes(message->signature), view, error);
}
