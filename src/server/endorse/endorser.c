/* endorser.c: check, simulate, sign */
#include "server/endorse/endorse.h"

#include "utils/snapmgr.h"

#include "server/chaincode/chaincode.h"

#include "core/rwset/rwset.h"

/* TXF-2: who asks, when, whether it was asked before, and whether he may */
static const Channel *
check_proposal(FbAllocator *allocator, FbBytes signed_proposal, ProposalView *view)
{
	const Channel *channel;
	SignedMessage message;
	uint64		block_number;
	uint32		position;
	uint8		code;
	FbError		error;

	error_check(proposal_parse_signed(allocator, signed_proposal, view, &error), &error);
	channel = channel_open(fb_text_copy(allocator, view->channel_id));
	if (!view->timestamp.present)
	{
		fb_fail(&error, FB_INVALID_ARGUMENT, "the proposal has no timestamp");
		error_throw(&error);
	}
	access_check_time(view->timestamp.seconds, view->timestamp.nanoseconds);
	message = (SignedMessage) {view->creator, view->signature, view->bytes};
	(void) access_authenticate(channel, &message);
	if (tx_index_find(channel->ledger, view->tx_id, NULL, &block_number, &position, &code))
	{
		fb_fail(&error, FB_DUPLICATE_TXID, "transaction \"%.*s\" is on the ledger already", (int) view->tx_id.size,
				(const char *) view->tx_id.data);
		fb_error_hint(&error, "Make a new proposal: it has a new nonce and so a new transaction id.");
		error_throw(&error);
	}
	/* a system chaincode has rules of its own for each of its functions */
	if (!fb_bytes_equal(view->chaincode_name, FB_BYTES_LITERAL(LIFECYCLE_NAMESPACE)))
		access_authorize(channel, "peer/Propose", &message);
	return channel;
}

static void
run(FbAllocator *allocator, const Channel *channel, const ProposalView *view, Snapshot snapshot, SimulationResult *result)
{
	SimulationRequest request = {
		.channel = channel->name,
		.chaincode = fb_text_copy(allocator, view->chaincode_name),
		.tx_id = fb_text_copy(allocator, view->tx_id),
		.creator = view->creator,
		.timestamp = view->timestamp,
		.arguments_count = view->args_count,
		.arguments = view->args,
		.transient_count = view->transient_count,
		.transient = view->transient,
		.is_init = view->is_init,
	};

	PushActiveSnapshot(snapshot);
	simulate(&request, result);
	PopActiveSnapshot();
}

/* CCA-34: what the chaincode refused cannot be endorsed */
static void
check_status(const ProposalView *view, const SimulationResult *result)
{
	FbError		error;

	if (result->status >= 200 && result->status < 400)
		return;
	fb_fail(&error, FB_CHAINCODE_ERROR, "%s", result->message[0] ? result->message : "chaincode refused the transaction");
	if (result->detail != NULL)
		fb_error_detail(&error, "%s", result->detail);
	else
		fb_error_detail(&error, "Raised by chaincode \"%.*s\" with SQLSTATE %s.", (int) view->chaincode_name.size,
						(const char *) view->chaincode_name.data, result->sqlstate);
	if (result->hint != NULL)
		fb_error_hint(&error, "%s", result->hint);
	error_throw(&error);
}

static ChaincodeResponse
chaincode_response(const SimulationResult *result)
{
	return (ChaincodeResponse) {result->status, fb_bytes_of_text(result->message), result->payload};
}

static FbBytes
pack_event(FbAllocator *allocator, const ProposalView *view, const SimulationResult *result)
{
	ChaincodeEvent event = {view->chaincode_name, view->tx_id};
	FbBytes		bytes;
	FbError		error;

	if (result->event_name == NULL)
		return FB_BYTES_EMPTY;
	event.event_name = fb_bytes_of_text(result->event_name);
	event.payload = result->event_payload;
	error_check(response_event_pack(allocator, &event, &bytes, &error), &error);
	return bytes;
}

/* TXF-4: sign payload and identity; the committer here need not verify it again */
static void
sign(FbAllocator *allocator, const Channel *channel, ProposalResponse *response)
{
	const Signer *signer = node_channel_signer(channel);
	FbBytes		message;
	FbBytes		parts[FB_POLICY_MESSAGE_PARTS_MAX] = {response->payload, signer_identity(signer)};
	FbError		error;

	response->endorser = signer_identity(signer);
	error_check(response_endorsement_message(allocator, response->payload, response->endorser, &message, &error), &error);
	error_check(signer_sign(signer, message, allocator, &response->signature, &error), &error);
	access_note_verified(response->endorser, response->signature, parts, FB_POLICY_MESSAGE_PARTS_MAX);
}

/* the asking node has simulated with this many blocks; with fewer the read versions would differ */
static void
wait_for_height(const Channel *channel, uint64 min_height)
{
	ChannelSlot *slot = channel_slot(channel);

	if (slot == NULL || min_height == 0 || pg_atomic_read_u64(&slot->height) >= min_height)
		return;
	(void) shmem_wait_height(slot, min_height - 1, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorse_timeout_ms));
}

/* PVT-3: plaintext is kept, durably, before anybody can submit the transaction that it belongs to */
static void
store_private(const Channel *channel, const ProposalView *view, FbBytes private_rwset)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorse_timeout_ms);
	ChannelSlot *slot;
	FbError		error;

	if (private_rwset.size == 0)
		return;
	shmem_require();
	slot = channel_wait_slot(channel, deadline);
	if (slot != NULL && private_inbox_put(slot, pnstrdup((const char *) view->tx_id.data, view->tx_id.size), private_rwset, deadline))
		return;
	fb_fail(&error, FB_BUSY, "private data of the transaction could not be stored in time");
	fb_error_detail(&error, "The ledger process of channel \"%s\" is busy or does not run.", channel->name);
	fb_error_hint(&error, "Look at fabric.stat_workers, and try again.");
	error_throw(&error);
}

void
endorser_endorse(FbBytes signed_proposal, uint64 min_height, Endorsement *endorsement)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ProposalView *view = &endorsement->proposal;
	ProposalResponse *response = &endorsement->response;
	ResponsePayload payload = {0};
	const Channel *channel;
	SimulationResult result;
	FbError		error;

	memset(endorsement, 0, sizeof(*endorsement));
	(void) node_signer();		/* a node that cannot sign need not simulate */
	channel = check_proposal(allocator, signed_proposal, view);
	wait_for_height(channel, min_height);
	/* the newest state, also in a transaction that goes on seeing an old one: what it read there would only conflict */
	run(allocator, channel, view, GetLatestSnapshot(), &result);
	check_status(view, &result);
	store_private(channel, view, result.rwset.private_bytes);
	payload.proposal_hash = fb_bytes(view->proposal_hash, sizeof(view->proposal_hash));
	payload.results = result.rwset.public_bytes;
	payload.event = pack_event(allocator, view, &result);
	payload.response = chaincode_response(&result);
	payload.has_response = true;
	payload.has_chaincode = true;
	payload.chaincode_name = view->chaincode_name;
	payload.chaincode_version = fb_bytes_of_text(result.chaincode_version);
	error_check(response_payload_build(allocator, &payload, &response->payload, &error), &error);
	response->response = payload.response;
	sign(allocator, channel, response);
	error_check(response_pack(allocator, response, &endorsement->response_bytes, &error), &error);
}

void
endorser_evaluate(FbBytes signed_proposal, Endorsement *endorsement)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Channel *channel;
	SimulationResult result;
	FbError		error;

	memset(endorsement, 0, sizeof(*endorsement));
	channel = check_proposal(allocator, signed_proposal, &endorsement->proposal);
	/* a query is a query: under REPEATABLE READ it sees what the transaction's others see */
	run(allocator, channel, &endorsement->proposal, GetTransactionSnapshot(), &result);
	check_status(&endorsement->proposal, &result);
	endorsement->response.response = chaincode_response(&result);
	error_check(response_pack(allocator, &endorsement->response, &endorsement->response_bytes, &error), &error);
}
