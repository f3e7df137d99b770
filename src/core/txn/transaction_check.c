/*
 * transaction_check: find the reason why a transaction in a block is invalid, in Fabric's order of
 * checks, so that every node finds the same code (core/common/validation/msgvalidation.go,
 * core/committer/txvalidator/v20/validator.go and plugindispatcher).
 */
#include "core/txn/txn_internal.h"

#include <stdlib.h>

/* ---- codes ---- */

const char *
tx_code_name(int code)
{
	switch (code)
	{
#define TX_CODE_NAME(name, number, text) \
	case number:                         \
		return text;
		TX_CODE_LIST(TX_CODE_NAME)
#undef TX_CODE_NAME
	}
	return NULL;
}

/* ---- refusing ---- */

/*
 * Refuse the transaction: set its code, and the reason as text. The decoder's message becomes the
 * detail.
 */
static FbStatus
check_refuse(TxCode *code, TxCode value, FbError *why, bool unreadable, const char *message)
{
	char reason[FB_ERROR_MESSAGE_BYTES] = "";

	*code = value;
	if (why != NULL && unreadable)
		memcpy(reason, why->message, sizeof(reason));
	fb_fail(why, FB_TRANSACTION_INVALID, "%s", message);
	if (reason[0] != 0)
		fb_error_detail(why, "The decoder says: %s.", reason);
	return FB_OK;
}

#define REFUSE(value, message) return check_refuse(code, (value), why, false, (message))

/* Decode bytes; if they are not such a message, the transaction gets this code. */
#define UNPACK_OR_REFUSE(name, bytes, target, value, message)                            \
	do                                                                                   \
	{                                                                                    \
		FbStatus unpack_status_ = PROTO_UNPACK(name, (bytes), allocator, (target), why); \
		if (unpack_status_ == FB_OUT_OF_MEMORY)                                          \
			return unpack_status_;                                                       \
		view->over_limit |= unpack_status_ == FB_LIMIT_EXCEEDED;                         \
		if (unpack_status_ != FB_OK)                                                     \
			return check_refuse(code, (value), why, true, (message));                    \
	} while (0)

/* ---- envelope, payload, headers: 255, 2, 3 ---- */

FbStatus
txn_check_headers(TxView *view, TxCode *code, FbError *why)
{
	if (view->type != TX_TYPE_ENDORSER_TRANSACTION && view->type != TX_TYPE_CONFIG_UPDATE &&
		view->type != TX_TYPE_CONFIG)
		REFUSE(TX_BAD_COMMON_HEADER, "header type is not one of a transaction");
	if (view->epoch != 0)
		REFUSE(TX_BAD_COMMON_HEADER, "epoch is not zero");
	if (view->nonce.size == 0)
		REFUSE(TX_BAD_COMMON_HEADER, "nonce is empty");
	if (view->creator.size == 0)
		REFUSE(TX_BAD_COMMON_HEADER, "creator is empty");
	*code = TX_VALID;
	return FB_OK;
}

FbStatus
check_envelope(FbAllocator *allocator, FbBytes envelope, TxView *view, TxCode *code, FbError *why)
{
	Common__Envelope *message;
	Common__Payload *payload;
	Common__ChannelHeader *channel_header;
	Common__SignatureHeader *signature_header;

	memset(view, 0, sizeof(*view));
	*code = TX_NOT_VALIDATED;
	UNPACK_OR_REFUSE(common__envelope, envelope, &message, TX_INVALID_OTHER_REASON,
					 "envelope cannot be decoded");
	view->payload = proto_bytes(message->payload);
	view->signature = proto_bytes(message->signature);
	UNPACK_OR_REFUSE(common__payload, view->payload, &payload, TX_BAD_PAYLOAD,
					 "payload cannot be decoded");
	view->data = proto_bytes(payload->data);
	if (payload->header == NULL)
		REFUSE(TX_BAD_COMMON_HEADER, "payload has no header");
	view->channel_header = proto_bytes(payload->header->channel_header);
	view->signature_header = proto_bytes(payload->header->signature_header);
	UNPACK_OR_REFUSE(common__channel_header, view->channel_header, &channel_header,
					 TX_BAD_COMMON_HEADER, "channel header cannot be decoded");
	view->type = channel_header->type;
	view->channel_id = proto_bytes(channel_header->channel_id);
	view->tx_id = proto_bytes(channel_header->tx_id);
	view->ledger_tx_id = view->tx_id;
	view->timestamp = txn_time(channel_header->timestamp);
	view->epoch = channel_header->epoch;
	view->extension = proto_bytes(channel_header->extension);
	UNPACK_OR_REFUSE(common__signature_header, view->signature_header, &signature_header,
					 TX_BAD_COMMON_HEADER, "signature header cannot be decoded");
	view->creator = proto_bytes(signature_header->creator);
	view->nonce = proto_bytes(signature_header->nonce);
	FB_TRY(tx_id_on_ledger(allocator, view->tx_id, view->nonce, view->creator, &view->ledger_tx_id,
						   why));

	return txn_check_headers(view, code, why);
}

/* ---- the transaction: 8, 5 ---- */

static FbStatus
copy_endorsements(FbAllocator *allocator, const Protos__ChaincodeEndorsedAction *action,
				  TxView *view, FbError *error)
{
	view->endorsements =
		fb_allocate_array(allocator, action->n_endorsements, sizeof(TxEndorsement));
	if (view->endorsements == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < action->n_endorsements; i++)
	{
		view->endorsements[i].endorser = proto_bytes(action->endorsements[i]->endorser);
		view->endorsements[i].signature = proto_bytes(action->endorsements[i]->signature);
	}
	view->endorsements_count = action->n_endorsements;
	return FB_OK;
}

static FbStatus
check_endorser_transaction(FbAllocator *allocator, TxView *view, TxCode *code, FbError *why)
{
	Protos__Transaction *transaction;
	Common__SignatureHeader *action_header;
	Protos__ChaincodeActionPayload *payload;
	Protos__ProposalResponsePayload *response_payload;
	uint8_t hash[CRYPTO_SHA256_BYTES];

	if (view->data.size == 0)
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION, "payload has no data");
	UNPACK_OR_REFUSE(protos__transaction, view->data, &transaction, TX_INVALID_ENDORSER_TRANSACTION,
					 "transaction cannot be decoded");
	if (transaction->n_actions != 1)
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION, "transaction has not exactly one action");
	view->action_header = proto_bytes(transaction->actions[0]->header);
	UNPACK_OR_REFUSE(common__signature_header, view->action_header, &action_header,
					 TX_INVALID_ENDORSER_TRANSACTION,
					 "signature header of the action cannot be decoded");
	if (action_header->nonce.len == 0 || action_header->creator.len == 0)
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION,
			   "signature header of the action has no nonce or no creator");
	UNPACK_OR_REFUSE(protos__chaincode_action_payload,
					 proto_bytes(transaction->actions[0]->payload), &payload,
					 TX_INVALID_ENDORSER_TRANSACTION, "payload of the action cannot be decoded");
	view->proposal_payload = proto_bytes(payload->chaincode_proposal_payload);
	if (payload->action == NULL)
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION, "action has no content");
	view->proposal_response_payload = proto_bytes(payload->action->proposal_response_payload);
	FB_TRY(copy_endorsements(allocator, payload->action, view, why));
	UNPACK_OR_REFUSE(protos__proposal_response_payload, view->proposal_response_payload,
					 &response_payload, TX_INVALID_ENDORSER_TRANSACTION,
					 "proposal response payload cannot be decoded");
	view->proposal_hash = proto_bytes(response_payload->proposal_hash);
	view->chaincode_action = proto_bytes(response_payload->extension);

	/* the header that was endorsed is the channel header with the action's own signature header */
	if (view->channel_header.size == 0 || view->proposal_payload.size == 0)
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION, "proposal payload is missing");
	txn_proposal_hash(view->channel_header, view->action_header, view->proposal_payload, hash);
	if (!fb_bytes_equal(view->proposal_hash, fb_bytes(hash, sizeof(hash))))
		REFUSE(TX_INVALID_ENDORSER_TRANSACTION,
			   "endorsed proposal hash is not the hash of this proposal");
	*code = TX_VALID;
	return FB_OK;
}

FbStatus
check_transaction(FbAllocator *allocator, FbBytes channel_id, TxView *view, TxCode *code,
				  FbError *why)
{
	char tx_id[TX_ID_LENGTH + 1];

	*code = TX_NOT_VALIDATED;
	switch (view->type)
	{
		case TX_TYPE_ENDORSER_TRANSACTION:
			tx_id_compute(view->nonce, view->creator, tx_id);
			if (!fb_bytes_equal(view->tx_id, fb_bytes(tx_id, TX_ID_LENGTH)))
				REFUSE(TX_BAD_PROPOSAL_TXID, "transaction id is not the hash of nonce and creator");
			FB_TRY(check_endorser_transaction(allocator, view, code, why));
			if (*code != TX_VALID)
				return FB_OK;
			break;
		case TX_TYPE_CONFIG:
			if (view->data.size == 0)
				REFUSE(TX_INVALID_CONFIG_TRANSACTION, "configuration transaction has no content");
			break;
		default:
			REFUSE(TX_UNSUPPORTED_TX_PAYLOAD, "a configuration update is not a transaction");
	}
	/* Fabric has this code at this place, but leaves the comparison to the orderer's routing. */
	if (!fb_bytes_equal(view->channel_id, channel_id))
		REFUSE(TX_TARGET_CHAIN_NOT_FOUND, "transaction is for another channel");
	*code = TX_VALID;
	return FB_OK;
}

/* ---- the effects of the chaincode: 19, 21, 22, 255, 25, 23 ---- */

/*
 * a namespace of the read-write set, or the invoked chaincode; set is NULL if it has no namespace
 * there
 */
typedef struct NamedSet
{
	FbBytes name;
	const RwSetNamespace *set;
} NamedSet;

/* if both have the same name, the chaincode comes before the namespace */
static int
compare_named_sets(const void *a, const void *b)
{
	const NamedSet *x = a;
	const NamedSet *y = b;
	int order = fb_bytes_compare(x->name, y->name);

	return order != 0 ? order : (x->set != NULL) - (y->set != NULL);
}

/*
 * All namespaces and the invoked chaincode, sorted by name. *repeated: two namespaces have the same
 * name.
 */
static FbStatus
sort_namespaces(FbAllocator *allocator, const TxView *view, NamedSet **sorted, size_t *count,
				bool *repeated, FbError *error)
{
	const RwSet *rwset = view->rwset;
	NamedSet *sets = fb_allocate_array(allocator, rwset->namespaces_count + 1, sizeof(NamedSet));

	if (sets == NULL)
		return fb_out_of_memory(error);
	sets[0] = (NamedSet) {view->chaincode_name, NULL};
	for (size_t i = 0; i < rwset->namespaces_count; i++)
		sets[i + 1] = (NamedSet) {rwset->namespaces[i].name, &rwset->namespaces[i]};
	*count = rwset->namespaces_count + 1;
	qsort(sets, *count, sizeof(*sets), compare_named_sets);
	*repeated = false;
	for (size_t i = 1; i < *count; i++)
		*repeated |= sets[i - 1].set != NULL && fb_bytes_equal(sets[i - 1].name, sets[i].name);
	*sorted = sets;
	return FB_OK;
}

/* sorted, since different namespaces can cause different codes */
static FbStatus
list_written_namespaces(FbAllocator *allocator, TxView *view, const NamedSet *sorted,
						size_t sorted_count, FbError *error)
{
	TxNamespace *written = fb_allocate_array(allocator, sorted_count, sizeof(TxNamespace));
	size_t count = 0;

	if (written == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < sorted_count; i++)
	{
		const RwSetNamespace *set = sorted[i].set;

		FB_ASSERT(i == 0 || fb_bytes_compare(sorted[i - 1].name, sorted[i].name) <= 0);
		if (set != NULL && !rwset_namespace_writes(set))
			continue;
		if (count > 0 && fb_bytes_equal(written[count - 1].name, sorted[i].name))
			written[count - 1].set = set;
		else
			written[count++] = (TxNamespace) {sorted[i].name, set};
	}
	view->written_namespaces = written;
	view->written_namespaces_count = count;
	return FB_OK;
}

static FbStatus
check_chaincode(const Protos__ChaincodeHeaderExtension *extension,
				const Protos__ChaincodeAction *action, TxView *view, TxCode *code, FbError *why)
{
	if (extension->chaincode_id == NULL)
		REFUSE(TX_INVALID_OTHER_REASON, "header names no chaincode");
	if (action->chaincode_id == NULL)
		REFUSE(TX_INVALID_OTHER_REASON, "action names no chaincode");
	view->chaincode_name = proto_bytes(extension->chaincode_id->name);
	view->chaincode_version = proto_bytes(action->chaincode_id->version);
	if (view->chaincode_name.size == 0)
		REFUSE(TX_INVALID_CHAINCODE, "chaincode name is empty");
	if (!fb_bytes_equal(view->chaincode_name, proto_bytes(action->chaincode_id->name)))
		REFUSE(TX_INVALID_CHAINCODE, "header and action name different chaincodes");
	if (view->chaincode_version.size == 0)
		REFUSE(TX_INVALID_CHAINCODE, "chaincode version is empty");
	*code = TX_VALID;
	return FB_OK;
}

FbStatus
check_action(FbAllocator *allocator, TxView *view, TxCode *code, FbError *why)
{
	Protos__ChaincodeHeaderExtension *extension;
	Protos__ChaincodeAction *action;
	Protos__ChaincodeEvent *event;
	NamedSet *sorted = NULL;
	size_t sorted_count = 0;
	bool repeated = false;
	FbStatus status;

	*code = TX_VALID;
	if (view->type != TX_TYPE_ENDORSER_TRANSACTION)
		return FB_OK;
	UNPACK_OR_REFUSE(protos__chaincode_header_extension, view->extension, &extension,
					 TX_BAD_HEADER_EXTENSION, "extension of the channel header cannot be decoded");
	if (view->chaincode_action.size == 0)
		REFUSE(TX_BAD_RESPONSE_PAYLOAD, "response payload has no chaincode action");
	UNPACK_OR_REFUSE(protos__chaincode_action, view->chaincode_action, &action,
					 TX_BAD_RESPONSE_PAYLOAD, "chaincode action cannot be decoded");
	view->results = proto_bytes(action->results);
	view->event = proto_bytes(action->events);
	if (action->response != NULL)
	{
		view->response.status = action->response->status;
		view->response.message = proto_bytes(action->response->message);
		view->response.payload = proto_bytes(action->response->payload);
	}
	status = rwset_parse(allocator, view->results, &view->rwset, why);
	if (status == FB_OUT_OF_MEMORY)
		return status;
	view->over_limit |= status == FB_LIMIT_EXCEEDED;
	if (status != FB_OK)
		return check_refuse(code, TX_BAD_RWSET, why, true, "read-write set cannot be decoded");
	FB_TRY(check_chaincode(extension, action, view, code, why));
	if (*code != TX_VALID)
		return FB_OK;
	if (view->event.size > 0)
	{
		UNPACK_OR_REFUSE(protos__chaincode_event, view->event, &event, TX_INVALID_OTHER_REASON,
						 "chaincode event cannot be decoded");
		view->event_view.chaincode_name = proto_bytes(event->chaincode_id);
		view->event_view.tx_id = proto_bytes(event->tx_id);
		view->event_view.event_name = proto_bytes(event->event_name);
		view->event_view.payload = proto_bytes(event->payload);
		if (!fb_bytes_equal(view->event_view.chaincode_name, view->chaincode_name))
			REFUSE(TX_INVALID_OTHER_REASON, "chaincode event is of another chaincode");
	}
	FB_TRY(sort_namespaces(allocator, view, &sorted, &sorted_count, &repeated, why));
	if (repeated)
		REFUSE(TX_ILLEGAL_WRITESET, "read-write set has a namespace twice");
	return list_written_namespaces(allocator, view, sorted, sorted_count, why);
}

FbStatus
check_structure(FbAllocator *allocator, FbBytes envelope, FbBytes channel_id, TxView *view,
				TxCode *code, FbError *why)
{
	FB_TRY(check_envelope(allocator, envelope, view, code, why));
	if (*code != TX_VALID)
		return FB_OK;
	FB_TRY(check_transaction(allocator, channel_id, view, code, why));
	if (*code != TX_VALID)
		return FB_OK;
	return check_action(allocator, view, code, why);
}

/* ---- duplicates inside a block: 9 ---- */

typedef struct Numbered
{
	FbBytes tx_id;
	size_t index;
} Numbered;

static int
compare_numbered(const void *a, const void *b)
{
	const Numbered *x = a;
	const Numbered *y = b;
	int order = fb_bytes_compare(x->tx_id, y->tx_id);

	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

FbStatus
check_mark_duplicates(FbAllocator *allocator, const FbBytes *tx_ids, uint8_t *codes, size_t count,
					  FbError *error)
{
	Numbered *sorted = fb_allocate_array(allocator, count, sizeof(Numbered));
	size_t valid_count = 0;

	if (sorted == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
	{
		if (codes[i] == TX_VALID && tx_ids[i].size > 0)
			sorted[valid_count++] = (Numbered) {tx_ids[i], i};
	}
	if (valid_count > 1)
		qsort(sorted, valid_count, sizeof(*sorted), compare_numbered);
	for (size_t i = 1; i < valid_count; i++)
	{
		if (fb_bytes_equal(sorted[i].tx_id, sorted[i - 1].tx_id))
			codes[sorted[i].index] = TX_DUPLICATE_TXID;
	}
	fb_release(allocator, sorted);
	return FB_OK;
}
