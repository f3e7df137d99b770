/* endorser.c: check a proposal, simulate it, sign the result */
#include "server/endorse/endorse.h"

#include "utils/snapmgr.h"

#include "server/chaincode/chaincode.h"

#include "core/rwset/rwset.h"

/*
 * The longest wait for blocks; the rest of fabric.endorsement_timeout is for the simulation and for
 * the answer's way back.
 */
#define HEIGHT_WAIT_MS (guc_endorsement_timeout / 2)

/*
 * After PACE_MS the speed is known at which blocks arrive. A node that cannot reach the height in
 * the rest of the time, because it catches up after a long absence, fails at once, so that the
 * caller asks another node of the organization. PACE_BLOCKS_MIN blocks in PACE_MS are always
 * assumed to be possible; otherwise a short pause of the block source would look like an absence.
 */
#define PACE_MS 200
#define PACE_BLOCKS_MIN 10

/*
 * A node whose certificate the channel does not accept gets no blocks from others, so it waits only
 * for one that is under way.
 */
#define UNACCEPTED_WAIT_MS 1000

static bool
is_out_of_reach(ChannelSlot *slot, uint64 from, uint64 min_height)
{
	uint64 height = slot_height(slot);
	uint64 pace = Max(height - Min(from, height), PACE_BLOCKS_MIN);

	return height < min_height && (min_height - height) / pace > HEIGHT_WAIT_MS / PACE_MS;
}

/*
 * Wait for the height until the deadline, or until it is clear that it cannot be reached. False:
 * the node does not have the height.
 */
static bool
wait_while_in_reach(ChannelSlot *slot, uint64 min_height, TimestampTz deadline)
{
	uint64 from = slot_height(slot);
	TimestampTz look_at =
		Min(deadline, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PACE_MS));

	return shmem_wait_height(slot, min_height - 1, look_at) ||
		   (!is_out_of_reach(slot, from, min_height) &&
			shmem_wait_height(slot, min_height - 1, deadline));
}

/*
 * Wait until this node has min_height blocks. Only the caller claims that such a block exists, so
 * the wait is limited and holds no resources. True: it has waited, and the channel must be opened
 * again.
 */
static bool
wait_for_height(const Channel *channel, uint64 min_height)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HEIGHT_WAIT_MS);
	ChannelSlot *slot = channel_slot(channel);
	uint64 height;

	if (min_height == 0 || (slot != NULL && slot_height(slot) >= min_height))
		return false;
	/*
	 * The table also has the height if no worker runs (a standby), and after a start before the
	 * worker has published it.
	 */
	height = block_store_height(channel->ledger, GetLatestSnapshot());
	if (height >= min_height)
		return false;
	if (!node_is_accepted(channel))
		deadline =
			Min(deadline, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), UNACCEPTED_WAIT_MS));
	if (shmem_available() && (slot = channel_wait_slot(channel, deadline)) != NULL &&
		wait_while_in_reach(slot, min_height, deadline))
		return true;
	/* if the certificate is the reason why the blocks are missing, that is the error to raise */
	if (guc_node_certificate_file[0] != '\0')
		(void) node_channel_signer(channel);
	ereport(ERROR,
			(fb_errcode(FB_NODE_BEHIND),
			 errmsg("this node lacks blocks of channel \"%s\" that the caller has seen",
					channel->name),
			 errdetail("It has %llu blocks, the caller has seen %llu.", (unsigned long long) height,
					   (unsigned long long) min_height),
			 errhint("Try again; if the problem persists, see fabric.stat_workers on this node.")));
}

/*
 * Check creator, timestamp, duplicate and access; returns the channel at min_height. is_signed
 * false: the creator's key is held here, and nothing is signed; the nonce was made here, too, so no
 * other transaction has it.
 */
static const Channel *
check_proposal(const Channel *channel, const ProposalView *view, uint64 min_height, bool is_signed)
{
	const SystemChaincode *system = system_chaincode_find(view->chaincode_name);
	/* NULL: the system chaincode checks access for each of its functions */
	const char *resource = system != NULL ? system->proposal_resource : "peer/Propose";
	SignedMessage message;
	uint64 block_number;
	uint32 position;
	uint8 code;

	/*
	 * before the other checks, because the configuration that they need may be in a missing block
	 */
	if (wait_for_height(channel, min_height))
		channel = channel_open(channel->name);
	if (!view->timestamp.present)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("the proposal has no timestamp")));
	access_check_time(view->timestamp.seconds, view->timestamp.nanoseconds);
	message = (SignedMessage) {view->creator, view->signature, view->bytes};
	if (is_signed)
		(void) access_authenticate(channel, &message);
	else
		(void) access_identify(channel, view->creator);
	if (is_signed && tx_index_find(channel->ledger, view->tx_id, GetLatestSnapshot(), &block_number,
								   &position, &code))
		ereport(ERROR,
				(fb_errcode(FB_DUPLICATE_TXID),
				 errmsg("transaction \"%s\" is on the ledger already", FB_DISPLAY(view->tx_id)),
				 errhint("Make a new proposal: it has a new nonce and so a new transaction id.")));
	if (resource != NULL)
		access_authorize(channel, resource, &message);
	return channel;
}

/*
 * Simulate in a snapshot, and take height and interest from the same snapshot. A block is one
 * transaction, so a snapshot sees all of it or nothing.
 */
static void
endorse_run(FbAllocator *allocator, const Channel *channel, Snapshot snapshot, bool with_interest,
			Endorsement *endorsement, SimulationResult *result)
{
	const ProposalView *view = endorsement->proposal;
	InterestCall *interest;
	FbError error;

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
	endorsement->height = block_store_height(channel->ledger, GetActiveSnapshot());
	simulate(&request, result);
	if (with_interest && result->status < 400)
	{
		error_check(interest_collect(channel, result->rwset.public_bytes, allocator, &interest,
									 &endorsement->response.interest_count, &error),
					&error);
		endorsement->response.interest = interest;
	}
	PopActiveSnapshot();
}

/* the refusal in a simulation's result; NULL: the chaincode did not refuse */
static const WireRefusal *
refusal_of(const SimulationResult *result)
{
	WireRefusal *refusal;

	if (result->status >= 200 && result->status < 400)
		return NULL;
	refusal = palloc0(sizeof(WireRefusal));
	strlcpy(refusal->sqlstate, result->sqlstate, sizeof(refusal->sqlstate));
	refusal->message = result->message[0] ? result->message : "chaincode refused the transaction";
	refusal->detail = result->detail;
	refusal->hint = result->hint;
	refusal->context = result->context;
	return refusal;
}

/*
 * The SQLSTATE is FB_CHAINCODE_ERROR, so that the caller does not take an error of the chaincode
 * for an error of the node. The chaincode's own SQLSTATE is in the field DATATYPE_NAME; the gateway
 * decides what the client sees.
 */
void
endorser_check_refusal(const Endorsement *endorsement)
{
	const ProposalView *view = endorsement->proposal;
	const WireRefusal *refusal = endorsement->refusal;

	if (refusal == NULL)
		return;
	ereport(ERROR, (fb_errcode(FB_CHAINCODE_ERROR), errmsg_internal("%s", refusal->message),
					refusal->detail != NULL ? errdetail_internal("%s", refusal->detail) : 0,
					refusal->hint != NULL ? errhint("%s", refusal->hint) : 0,
					err_generic_string(PG_DIAG_DATATYPE_NAME, refusal->sqlstate),
					refusal->context != NULL ? errcontext_msg("%s", refusal->context) : 0,
					errcontext("chaincode \"%s\", function \"%s\", organization %s (SQLSTATE %s)",
							   error_printable(view->chaincode_name),
							   view->args_count > 0 ? error_printable(view->args[0]) : "",
							   guc_node_msp_id, refusal->sqlstate)));
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
	FbBytes bytes;
	FbError error;

	if (result->event_name == NULL)
		return FB_BYTES_EMPTY;
	event.event_name = fb_bytes_of_text(result->event_name);
	event.payload = result->event_payload;
	error_check(response_event_pack(allocator, &event, &bytes, &error), &error);
	return bytes;
}

/* sign payload and identity */
static void
endorse_sign(FbAllocator *allocator, const Channel *channel, ProposalResponse *response)
{
	const Signer *signer = node_channel_signer(channel);
	FbBytes message;
	uint8_t digest[CRYPTO_SHA256_BYTES];
	FbError error;

	response->endorser = signer_identity(signer);
	error_check(response_endorsement_message(allocator, response->payload, response->endorser,
											 &message, &error),
				&error);
	crypto_sha256(message, digest);
	response->signature = access_sign(signer, digest);
}

/*
 * Store the plaintext durably before the endorsement leaves: after that the transaction can be
 * submitted at any time.
 */
static void
endorse_store_private(const Channel *channel, const ProposalView *view, FbBytes private_rwset)
{
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorsement_timeout);
	ChannelSlot *slot;

	if (private_rwset.size == 0)
		return;
	shmem_require();
	slot = channel_wait_slot(channel, deadline);
	if (slot != NULL &&
		private_inbox_put(slot, memory_cstring(view->tx_id), private_rwset, deadline))
	{
		/*
		 * Give it to the organization's other peers before the transaction can be committed. Peers
		 * that cannot be reached ask for it later.
		 */
		private_give(channel, memory_cstring(view->tx_id), private_rwset);
		return;
	}
	ereport(ERROR, (fb_errcode(FB_BUSY),
					errmsg("private data of the transaction could not be stored in time"),
					errdetail("The ledger process of channel \"%s\" is busy or does not run.",
							  channel->name),
					errhint("Look at fabric.stat_workers, and try again.")));
}

void
endorser_endorse(const Channel *channel, const ProposalView *view, uint64 min_height,
				 uint64 seen_height, Endorsement *endorsement)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ProposalResponse *response = &endorsement->response;
	ResponsePayload payload = {0};
	SimulationResult result;
	FbError error;

	*endorsement = (Endorsement) {.proposal = view};
	(void) node_signer(); /* a node that cannot sign need not simulate */
	channel = check_proposal(channel, view, min_height, true);
	(void) node_channel_signer(
		channel); /* nor simulate if the channel does not accept its certificate */
	/*
	 * Use the newest state, also in a SQL transaction whose snapshot is older: reads from that
	 * would only conflict.
	 */
	endorse_run(allocator, channel, GetLatestSnapshot(), true, endorsement, &result);
	endorsement->refusal = refusal_of(&result);
	if (endorsement->refusal != NULL && endorsement->height < seen_height)
	{
		if (wait_for_height(channel, seen_height))
			channel = channel_open(channel->name);
		endorse_run(allocator, channel, GetLatestSnapshot(), true, endorsement, &result);
		endorsement->refusal = refusal_of(&result);
	}
	if (endorsement->refusal != NULL)
		return;
	endorse_store_private(channel, view, result.rwset.private_bytes);
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
	endorse_sign(allocator, channel, response);
}

FbBytes
endorser_pack_response(const Endorsement *endorsement)
{
	FbBytes bytes;
	FbError error;

	error_check(response_pack(memory_allocator(CurrentMemoryContext), &endorsement->response,
							  &bytes, &error),
				&error);
	return bytes;
}

void
endorser_evaluate(const Channel *channel, const ProposalView *view, bool is_signed,
				  Endorsement *endorsement)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	SimulationResult result;

	*endorsement = (Endorsement) {.proposal = view};
	channel = check_proposal(channel, view, 0, is_signed);
	/* a query sees the same state as the other queries of its SQL transaction (REPEATABLE READ) */
	endorse_run(allocator, channel, GetTransactionSnapshot(), false, endorsement, &result);
	endorsement->refusal = refusal_of(&result);
	if (endorsement->refusal != NULL)
		return;
	endorsement->response.response = chaincode_response(&result);
}
