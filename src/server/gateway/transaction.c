/*
 * transaction.c: proposals, queries, and the whole call. The whole call runs the same steps as the
 * split one; this node signs in place of the client.
 */
#include "server/gateway/gateway_internal.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/chaincode/chaincode.h"
#include "server/endorse/endorse.h"
#include "server/wire/wire.h"

#include <sys/time.h>

static void
transaction_new_proposal(const GatewayRequest *request, FbBytes creator, ProposalView *proposal)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	uint8_t *nonce = palloc(FB_NONCE_BYTES);
	struct timeval now;
	ProposalInput input = {0};
	FbError error;

	gettimeofday(&now, NULL);
	error_check(crypto_random(nonce, FB_NONCE_BYTES, &error), &error);
	input.channel_id = fb_bytes_of_text(request->channel);
	input.chaincode_name = fb_bytes_of_text(request->chaincode);
	input.creator = creator;
	input.nonce = fb_bytes(nonce, FB_NONCE_BYTES);
	input.timestamp = (TxTime) {true, now.tv_sec, (int32_t) now.tv_usec * 1000};
	input.args = request->arguments;
	input.args_count = request->arguments_count;
	input.is_init = request->is_init;
	input.transient = request->transient;
	input.transient_count = request->transient_count;
	error_check(proposal_build(allocator, &input, proposal, &error), &error);
}

void
gateway_new_proposal(const GatewayRequest *request, FbBytes creator, ProposalView *proposal)
{
	(void) channel_open(request->channel);
	transaction_new_proposal(request, creator, proposal);
}

/* sign and submit an endorsed transaction, and wait for its commit */
static void
submit_and_wait(const Channel *channel, const Signer *signer, bool wait,
				GatewayTransaction *transaction, GatewayStatus *status)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbBytes bytes;
	Envelope envelope;
	Doubt doubt;
	FbError error;

	error_check(envelope_pack(allocator, transaction->payload.bytes,
							  access_sign(signer, transaction->payload.digest), &bytes, &error),
				&error);
	error_check(envelope_parse(allocator, bytes, &envelope, &error), &error);
	FAULT_POINT("gateway_before_submit");
	doubt_begin(&doubt, fb_bytes_of_text(transaction->tx_id));
	if (wait)
		commit_expect(channel, transaction->tx_id);
	slow_call_enter(CALL_SUBMITTING);
	submit_in_doubt(channel, &envelope, &doubt);
	slow_call_enter(CALL_COMMITTING);
	if (wait)
		commit_wait(channel, transaction->tx_id, guc_commit_timeout, &envelope, status);
	doubt_end(&doubt);
}

/* true: the transaction must be endorsed again */
static bool
take_turns(const Channel *channel, const GatewayTransaction *transaction)
{
	bool changed;

	slow_call_enter(CALL_TAKING_TURNS);
	changed = hot_keys_take_turns(channel, transaction);
	slow_call_enter(CALL_ENDORSING);
	return changed;
}

void
gateway_submit_transaction(const GatewayRequest *request, const Signer *signer, bool wait,
						   GatewayTransaction *transaction, GatewayStatus *status)
{
	const Channel *channel;
	ProposalView proposal;

	memset(status, 0, sizeof(*status));
	transaction->tx_id[0] = '\0';
	channel = gateway_open_writable(request->channel);
	shmem_require();
	slow_call_begin();
	PG_TRY();
	{
		transaction_new_proposal(request, signer_identity(signer), &proposal);
		proposal.signature = access_sign(signer, proposal.digest);
		fan_out_endorse(channel, &proposal, request->endorsing_organizations, transaction);
		if (wait && take_turns(channel, transaction))
			fan_out_endorse(channel, &proposal, request->endorsing_organizations, transaction);
		submit_and_wait(channel, signer, wait, transaction, status);
	}
	PG_FINALLY();
	{
		waiter_leave();
		turns_end();
		slow_call_end(request, transaction->tx_id);
	}
	PG_END_TRY();
}

/* ---- queries ---- */

/* a node that can be asked to run a query */
typedef struct Evaluation
{
	const char *msp_id;
	const char *address;
	WireCall *call;
	TimestampTz patience_until;
} Evaluation;

/*
 * Take the answer of a finished call and release it. False: there is no usable answer, and the
 * reason is appended to reasons. A refusal of the chaincode is raised.
 */
static bool
take_evaluation(const Channel *channel, Evaluation *asked, const ProposalView *proposal,
				StringInfo reasons, FbBytes *payload)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const WireError *failure = wire_call_error(asked->call);
	ProposalResponse response;
	FbBytes answer = FB_BYTES_EMPTY;
	FbError error;
	bool answered;

	if (wire_call_refusal(asked->call) != NULL)
		refusal_raise(proposal, asked->msp_id, asked->address, wire_call_refusal(asked->call),
					  NULL);
	answered = failure == NULL && wire_call_rows_count(asked->call) == 1 &&
			   fb_bytes_copy(allocator, wire_call_row(asked->call, 0), &answer, &error) == FB_OK &&
			   response_parse(allocator, answer, &response, &error) == FB_OK;
	if (failure != NULL)
		candidate_note_error(channel, proposal->chaincode_name, asked->address,
							 failure->error.status);
	if (!answered)
		appendStringInfo(reasons, "%s%s: %s", reasons->len > 0 ? "; " : "",
						 candidate_name(channel, asked->msp_id, asked->address),
						 failure != NULL ? failure->error.message : "its answer cannot be read");
	wire_call_release(asked->call);
	asked->call = NULL;
	if (answered)
		*payload = response.response.payload;
	return answered;
}

/*
 * List the nodes that can be asked: this node's organization first, avoided nodes last. own_only:
 * only this organization's nodes.
 */
static Evaluation *
list_evaluations(const Channel *channel, const ProposalView *proposal, FbBytes call_name,
				 bool own_only, int *count)
{
	const ConfigBundle *bundle = channel->bundle;
	List *kept = NIL;
	List *avoided = NIL;
	Evaluation *list;
	ListCell *cell;

	for (int others = 0; others <= (own_only ? 0 : 1); others++)
		for (size_t i = 0; i < bundle->application_organizations_count; i++)
		{
			const char *msp_id = bundle->application_organizations[i].msp_id;

			if ((strcmp(msp_id, guc_node_msp_id) != 0) != others)
				continue;
			foreach(cell, candidates_of_organization(channel, msp_id, proposal->chaincode_name,
													 call_name))
			{
				const Candidate *candidate = lfirst(cell);
				Evaluation *evaluation = palloc0(sizeof(Evaluation));

				*evaluation = (Evaluation) {msp_id, candidate->address};
				if (candidate->avoid)
					avoided = lappend(avoided, evaluation);
				else
					kept = lappend(kept, evaluation);
			}
		}
	kept = list_concat(kept, avoided);
	list = palloc0(list_length(kept) * sizeof(Evaluation) + 1);
	*count = 0;
	foreach(cell, kept)
		list[(*count)++] = *(const Evaluation *) lfirst(cell);
	return list;
}

/*
 * Wait until a node answers, or until the next one is to be asked too; true: one has given a usable
 * answer.
 */
static bool
collect_evaluations(const Channel *channel, Evaluation *list, int asked_count,
					const ProposalView *proposal, TimestampTz until, StringInfo reasons,
					FbBytes *payload)
{
	WireCall **calls = palloc(asked_count * sizeof(WireCall *) + 1);
	int count = 0;

	for (int i = 0; i < asked_count; i++)
		if (list[i].call != NULL)
			calls[count++] = list[i].call;
	if (count > 0)
		(void) wire_wait(calls, count, WIRE_WAIT_ANY, until, false);
	for (int i = 0; i < asked_count; i++)
	{
		if (list[i].call == NULL)
			continue;
		if (wire_call_finished(list[i].call))
		{
			if (take_evaluation(channel, &list[i], proposal, reasons, payload))
				return true;
		}
		else if (GetCurrentTimestamp() >= list[i].patience_until)
			wire_call_note_late(list[i].call);
	}
	return false;
}

/*
 * Run a query on another node: of this organization, or else of another one (Fabric:
 * internal/pkg/gateway/registry.go, evaluator). The node must have this node's height, so that the
 * caller finds there what it has seen here. A node that fails is skipped; when one takes longer
 * than usual, the next one is asked too, and the first answer counts.
 */
static FbBytes
evaluate_elsewhere(const Channel *channel, const ProposalView *proposal, FbError *own_error)
{
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorsement_timeout);
	FbBytes name = plan_call_name(proposal);
	StringInfoData reasons;
	FbBytes signed_proposal;
	FbBytes payload;
	FbError error;
	int count;
	int asked_count = 0;
	/* transient data may be secret: it goes only to nodes of this organization */
	Evaluation *list =
		list_evaluations(channel, proposal, name, proposal->transient_count > 0, &count);
	bool answered = false;

	error_check(proposal_pack_signed(memory_allocator(CurrentMemoryContext), proposal,
									 &signed_proposal, &error),
				&error);
	initStringInfo(&reasons);
	while (!answered && GetCurrentTimestamp() < deadline)
	{
		TimestampTz until = deadline;
		bool waits = false;

		for (int i = 0; i < asked_count; i++)
			waits |= list[i].call != NULL;
		if (!waits && asked_count == count)
			break;
		if (!waits ||
			(asked_count < count && GetCurrentTimestamp() >= list[asked_count - 1].patience_until))
		{
			Evaluation *next = &list[asked_count++];

			next->call = wire_endorse_start(next->address, signed_proposal, height_of_node(channel),
											0, name);
			next->patience_until =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											Min(wire_call_patience_ms(next->call),
												GATEWAY_PATIENCE_MS_MAX));
		}
		if (asked_count < count)
			until = Min(until, list[asked_count - 1].patience_until);
		answered =
			collect_evaluations(channel, list, asked_count, proposal, until, &reasons, &payload);
	}
	for (int i = 0; i < asked_count; i++)
		if (list[i].call != NULL && !answered)
			(void) take_evaluation(channel, &list[i], proposal, &reasons, &payload);
		else
			wire_call_release(list[i].call);
	if (answered)
		return payload;
	if (reasons.len == 0 && proposal->transient_count > 0)
		ereport(ERROR,
				(fb_errcode(FB_CHAINCODE_NOT_FOUND),
				 errmsg("chaincode \"%s\" is not installed on this node",
						FB_DISPLAY(proposal->chaincode_name)),
				 errdetail(
					 "The proposal has transient data, which is not sent to other organizations."),
				 errhint("Install the package and approve it for this organization.")));
	if (reasons.len == 0)
		error_throw(own_error);
	ereport(ERROR, (fb_errcode(own_error->status), errmsg_internal("%s", own_error->message),
					errdetail_internal("%s.", reasons.data),
					own_error->hint[0] != '\0' ? errhint("%s", own_error->hint) : 0));
}

static bool
runs_here(const Channel *channel, const ProposalView *view, FbAllocator *allocator, FbError *error)
{
	ChaincodeDefinition definition;
	char *name = fb_text_copy(allocator, view->chaincode_name);
	char *package_id;

	if (system_chaincode_find(view->chaincode_name) != NULL)
		return true;
	if (!definition_get(channel->name, name, &definition))
		ereport(ERROR, (fb_errcode(FB_CHAINCODE_NOT_FOUND),
						errmsg("chaincode \"%s\" is not defined on channel \"%s\"",
							   error_excerpt(name), channel->name),
						errdetail_internal("%s", definition_list_text(channel->name)),
						errhint("The view fabric.chaincodes lists the definitions.")));
	package_id = definition_package_id(channel->name, &definition);
	if (package_id != NULL && package_is_installed(package_id))
		return true;
	fb_fail(error, FB_CHAINCODE_NOT_FOUND,
			"chaincode \"%s\" is not installed on this node, and no other node answered", name);
	fb_error_hint(error, "Install the package and approve it for this organization.");
	return false;
}

/* signer: of a proposal that is not signed; it is signed only if another node must be asked */
static FbBytes
transaction_evaluate(const Channel *channel, ProposalView *proposal, const Signer *signer)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Endorsement endorsement;
	FbError error;

	if (!runs_here(channel, proposal, allocator, &error))
	{
		if (signer != NULL)
			proposal->signature = access_sign(signer, proposal->digest);
		return evaluate_elsewhere(channel, proposal, &error);
	}
	endorser_evaluate(channel, proposal, signer == NULL, &endorsement);
	if (endorsement.refusal != NULL)
		refusal_raise(proposal, guc_node_msp_id, NULL, endorsement.refusal, NULL);
	return endorsement.response.response.payload;
}

FbBytes
gateway_evaluate(const ProposalView *proposal)
{
	char *channel = fb_text_copy(memory_allocator(CurrentMemoryContext), proposal->channel_id);
	ProposalView signed_proposal = *proposal;

	return transaction_evaluate(channel_open(channel), &signed_proposal, NULL);
}

FbBytes
gateway_query(const GatewayRequest *request, const Signer *signer)
{
	const Channel *channel = channel_open(request->channel);
	ProposalView proposal;

	transaction_new_proposal(request, signer_identity(signer), &proposal);
	return transaction_evaluate(channel, &proposal, signer);
}
