/*
 * response: the answer of an endorser, and the bytes that it signs (docs/wire-format.md,
 * "Transactions"; protoutil/proputils.go).
 */
#include "core/txn/txn_internal.h"

/* ---- chaincode events ---- */

FbStatus
response_event_pack(FbAllocator *allocator, const ChaincodeEvent *event, FbBytes *bytes,
					FbError *error)
{
	Protos__ChaincodeEvent message = PROTOS__CHAINCODE_EVENT__INIT;

	FB_TRY(txn_check_text(event->chaincode_name, "chaincode name", &message.chaincode_id, error));
	FB_TRY(txn_check_text(event->tx_id, "transaction id", &message.tx_id, error));
	FB_TRY(txn_check_text(event->event_name, "event name", &message.event_name, error));
	message.payload = proto_data(event->payload);
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
response_event_parse(FbAllocator *allocator, FbBytes bytes, ChaincodeEvent *event, FbError *error)
{
	Protos__ChaincodeEvent *message;

	memset(event, 0, sizeof(*event));
	FB_TRY(PROTO_UNPACK(protos__chaincode_event, bytes, allocator, &message, error));
	event->chaincode_name = proto_bytes(message->chaincode_id);
	event->tx_id = proto_bytes(message->tx_id);
	event->event_name = proto_bytes(message->event_name);
	event->payload = proto_bytes(message->payload);
	return FB_OK;
}

/* ---- the payload, which must be equal for all endorsers ---- */

static FbStatus
build_response(FbAllocator *allocator, const ChaincodeResponse *response, Protos__Response *message,
			   FbError *error)
{
	protos__response__init(message);
	message->status = response->status;
	FB_TRY(txn_check_text(response->message, "message of the chaincode's response",
						  &message->message, error));
	message->payload = proto_data(response->payload);
	return FB_OK;
}

static ChaincodeResponse
response_of(const Protos__Response *message)
{
	ChaincodeResponse response = {0, FB_BYTES_EMPTY, FB_BYTES_EMPTY};

	if (message != NULL)
	{
		response.status = message->status;
		response.message = proto_bytes(message->message);
		response.payload = proto_bytes(message->payload);
	}
	return response;
}

FbStatus
response_payload_build(FbAllocator *allocator, const ResponsePayload *content, FbBytes *bytes,
					   FbError *error)
{
	Protos__ChaincodeAction action = PROTOS__CHAINCODE_ACTION__INIT;
	Protos__ChaincodeID chaincode = PROTOS__CHAINCODE_ID__INIT;
	Protos__Response response;
	Protos__ProposalResponsePayload message = PROTOS__PROPOSAL_RESPONSE_PAYLOAD__INIT;
	FbBytes extension;

	FB_TRY(build_response(allocator, &content->response, &response, error));
	FB_TRY(txn_check_text(content->chaincode_name, "chaincode name", &chaincode.name, error));
	FB_TRY(
		txn_check_text(content->chaincode_version, "chaincode version", &chaincode.version, error));
	action.results = proto_data(content->results);
	action.events = proto_data(content->event);
	action.response = &response;
	action.chaincode_id = &chaincode;
	FB_TRY(PROTO_PACK(&action, allocator, &extension, error));
	message.proposal_hash = proto_data(content->proposal_hash);
	message.extension = proto_data(extension);
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
response_payload_parse(FbAllocator *allocator, FbBytes bytes, ResponsePayload *content,
					   FbError *error)
{
	Protos__ProposalResponsePayload *message;
	Protos__ChaincodeAction *action;

	memset(content, 0, sizeof(*content));
	FB_TRY(PROTO_UNPACK(protos__proposal_response_payload, bytes, allocator, &message, error));
	if (message->extension.len == 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "response payload has no chaincode action");
	FB_TRY(PROTO_UNPACK(protos__chaincode_action, proto_bytes(message->extension), allocator,
						&action, error));
	content->proposal_hash = proto_bytes(message->proposal_hash);
	content->results = proto_bytes(action->results);
	content->event = proto_bytes(action->events);
	content->has_response = action->response != NULL;
	content->response = response_of(action->response);
	content->has_chaincode = action->chaincode_id != NULL;
	if (content->has_chaincode)
	{
		content->chaincode_name = proto_bytes(action->chaincode_id->name);
		content->chaincode_version = proto_bytes(action->chaincode_id->version);
	}
	FB_TRY(
		txn_refuse_zero(content->response.message, "message of the chaincode's response", error));
	FB_TRY(txn_refuse_zero(content->chaincode_name, "chaincode name", error));
	FB_TRY(txn_refuse_zero(content->chaincode_version, "chaincode version", error));
	return FB_OK;
}

FbStatus
response_endorsement_message(FbAllocator *allocator, FbBytes payload, FbBytes endorser,
							 FbBytes *message, FbError *error)
{
	FbBuffer buffer;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_bytes(&buffer, payload);
	fb_buffer_append_bytes(&buffer, endorser);
	return fb_buffer_bytes(&buffer, message, error);
}

/* ---- the complete response ---- */

/*
 * Bytes that are not a policy are left out: the message has no field for them, and no signatures
 * satisfy them.
 */
static FbStatus
build_key_policies(FbAllocator *allocator, const InterestCall *call, Protos__ChaincodeCall *message,
				   FbError *error)
{
	message->key_policies =
		fb_allocate_array(allocator, call->key_policies_count + 1, sizeof(*message->key_policies));
	if (message->key_policies == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < call->key_policies_count; i++)
	{
		FbStatus status =
			PROTO_UNPACK(common__signature_policy_envelope, call->key_policies[i], allocator,
						 &message->key_policies[message->n_key_policies], error);

		if (status == FB_OK)
			message->n_key_policies++;
		else if (status != FB_MALFORMED_MESSAGE && status != FB_LIMIT_EXCEEDED)
			return status;
	}
	return FB_OK;
}

static FbStatus
build_call(FbAllocator *allocator, const InterestCall *call, Protos__ChaincodeCall *message,
		   FbError *error)
{
	protos__chaincode_call__init(message);
	FB_TRY(txn_text(allocator, call->name, "chaincode name", &message->name, error));
	if (call->collection.size > 0)
	{
		message->collection_names =
			fb_allocate_array(allocator, 1, sizeof(*message->collection_names));
		if (message->collection_names == NULL)
			return fb_out_of_memory(error);
		FB_TRY(txn_text(allocator, call->collection, "collection name",
						&message->collection_names[0], error));
		message->n_collection_names = 1;
		message->no_private_reads = call->no_private_reads;
	}
	/*
	 * With a collection, the flag would mean that the chaincode's policy does not apply in addition
	 * to the collection's. It never does, so the flag is not set.
	 */
	message->disregard_namespace_policy = call->collection.size == 0 && !call->policy_needed;
	return build_key_policies(allocator, call, message, error);
}

static FbStatus
build_interest(FbAllocator *allocator, const ProposalResponse *response,
			   Protos__ChaincodeInterest *interest, FbError *error)
{
	Protos__ChaincodeCall *calls =
		fb_allocate_array(allocator, response->interest_count, sizeof(*calls));

	interest->chaincodes =
		fb_allocate_array(allocator, response->interest_count, sizeof(*interest->chaincodes));
	if (calls == NULL || interest->chaincodes == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < response->interest_count; i++)
	{
		FB_TRY(build_call(allocator, &response->interest[i], &calls[i], error));
		interest->chaincodes[interest->n_chaincodes++] = &calls[i];
	}
	return FB_OK;
}

FbStatus
response_pack(FbAllocator *allocator, const ProposalResponse *response, FbBytes *bytes,
			  FbError *error)
{
	Protos__ProposalResponse message = PROTOS__PROPOSAL_RESPONSE__INIT;
	Protos__Response chaincode_response;
	Protos__Endorsement endorsement = PROTOS__ENDORSEMENT__INIT;
	Protos__ChaincodeInterest interest = PROTOS__CHAINCODE_INTEREST__INIT;

	FB_TRY(build_response(allocator, &response->response, &chaincode_response, error));
	message.response = &chaincode_response;
	message.payload = proto_data(response->payload);
	if (response->endorser.size > 0)
	{
		endorsement.endorser = proto_data(response->endorser);
		endorsement.signature = proto_data(response->signature);
		message.endorsement = &endorsement;
		message.version = 1; /* as in Fabric: only endorsed responses have it */
	}
	if (response->interest_count > 0)
	{
		FB_TRY(build_interest(allocator, response, &interest, error));
		message.interest = &interest;
	}
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
response_parse(FbAllocator *allocator, FbBytes bytes, ProposalResponse *response, FbError *error)
{
	Protos__ProposalResponse *message;

	memset(response, 0, sizeof(*response));
	FB_TRY(PROTO_UNPACK(protos__proposal_response, bytes, allocator, &message, error));
	if (message->response == NULL)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "proposal response has no status");
	response->response = response_of(message->response);
	response->payload = proto_bytes(message->payload);
	if (message->endorsement != NULL)
	{
		response->endorser = proto_bytes(message->endorsement->endorser);
		response->signature = proto_bytes(message->endorsement->signature);
	}
	return FB_OK;
}
