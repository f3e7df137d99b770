/*
 * gateway_functions.c: SQL functions for a client's transactions: in one call, and in separate
 * steps for clients that keep their own keys
 */
#include "server/surface/surface_internal.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "server/ca/ca.h"
#include "server/chaincode/chaincode.h"
#include "server/gateway/gateway.h"

FABRIC_FUNCTION(fabric_invoke);
FABRIC_FUNCTION(fabric_query);
FABRIC_FUNCTION(fabric_submit_transaction);
FABRIC_FUNCTION(fabric_evaluate_transaction);
FABRIC_FUNCTION(fabric_new_proposal);
FABRIC_FUNCTION(fabric_endorse);
FABRIC_FUNCTION(fabric_submit);
FABRIC_FUNCTION(fabric_commit_status);
FABRIC_FUNCTION(fabric_evaluate);
FABRIC_FUNCTION(fabric_approve_chaincode);
FABRIC_FUNCTION(fabric_commit_chaincode);
FABRIC_FUNCTION(fabric_check_commit_readiness);
FABRIC_FUNCTION(fabric_endorsement_plan);

/* Set function name and arguments in the form that the chaincode gets: the function first. */
static void
set_call(GatewayRequest *request, const char *function, const FbBytes *arguments,
		 size_t arguments_count)
{
	FbBytes *all = palloc((arguments_count + 1) * sizeof(FbBytes));

	all[0] = fb_bytes_of_text(function);
	for (size_t i = 0; i < arguments_count; i++)
		all[i + 1] = arguments[i];
	request->arguments = all;
	request->arguments_count = arguments_count + 1;
}

/* channel, chaincode, function, args: the first four arguments of all these functions */
static void
take_call(FunctionCallInfo fcinfo, GatewayRequest *request)
{
	size_t count;
	FbBytes *arguments = argument_byte_array(fcinfo, 3, "args", &count);

	memset(request, 0, sizeof(*request));
	request->channel = argument_text(fcinfo, 0, "channel");
	request->chaincode = argument_text(fcinfo, 1, "chaincode");
	set_call(request, argument_text(fcinfo, 2, "function"), arguments, count);
}

static FbBytes
run_whole_call(const GatewayRequest *request)
{
	GatewayTransaction transaction;
	GatewayStatus status;

	gateway_submit_transaction(request, keystore_signer(NULL), true, &transaction, &status);
	if (!status.committed)
		ereport(
			ERROR,
			(fb_errcode(FB_COMMIT_TIMEOUT),
			 errmsg("transaction %s was submitted, but this node has not committed it yet",
					transaction.tx_id),
			 errdetail("It may still be committed, but never twice."),
			 errhint(
				 "Check the transaction with fabric.commit_status, and see fabric.stat_channel and fabric.stat_orderer.")));
	gateway_raise_invalid(request->channel, transaction.tx_id, &status);
	return transaction.result;
}

/* invoke(channel, chaincode, function, VARIADIC args) */
Datum
fabric_invoke(PG_FUNCTION_ARGS)
{
	GatewayRequest request;

	take_call(fcinfo, &request);
	PG_RETURN_DATUM(result_payload_text(run_whole_call(&request)));
}

/* query(channel, chaincode, function, VARIADIC args) */
Datum
fabric_query(PG_FUNCTION_ARGS)
{
	GatewayRequest request;

	take_call(fcinfo, &request);
	PG_RETURN_DATUM(result_payload_text(gateway_query(&request, keystore_signer(NULL))));
}

/* null: the call chooses no identity */
static const char *
argument_identity(FunctionCallInfo fcinfo, int index)
{
	return PG_ARGISNULL(index) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(index));
}

static Datum
submit_transaction(PG_FUNCTION_ARGS)
{
	GatewayRequest request;
	GatewayTransaction transaction;
	GatewayStatus status;
	Datum values[4];
	bool nulls[4] = {false};
	const char *name;

	take_call(fcinfo, &request);
	request.transient = argument_transient(fcinfo, 4, "transient", &request.transient_count);
	request.endorsing_organizations = argument_text_list(fcinfo, 5, "endorsing_orgs");
	argument_require(fcinfo, 6, "wait");
	argument_require(fcinfo, 7, "is_init");
	request.is_init = PG_GETARG_BOOL(7);
	gateway_submit_transaction(&request, keystore_signer(argument_identity(fcinfo, 8)),
							   PG_GETARG_BOOL(6), &transaction, &status);
	name = tx_code_name(status.code);
	values[0] = CStringGetTextDatum(transaction.tx_id);
	values[1] = PointerGetDatum(memory_bytea(transaction.result));
	values[2] = Int64GetDatum((int64) status.block_number);
	values[3] = CStringGetTextDatum(name != NULL ? name : psprintf("%d", status.code));
	nulls[2] = nulls[3] = !status.committed;
	PG_RETURN_DATUM(RESULT_ROW(fcinfo, values, nulls));
}

/*
 * submit_transaction(channel, chaincode, function, args, transient, endorsing_orgs, wait, is_init,
 * identity)
 */
Datum
fabric_submit_transaction(PG_FUNCTION_ARGS)
{
	return PG_ARGISNULL(4) ? submit_transaction(fcinfo)
						   : transient_call(fcinfo, submit_transaction);
}

static Datum
evaluate_transaction(PG_FUNCTION_ARGS)
{
	GatewayRequest request;

	take_call(fcinfo, &request);
	request.transient = argument_transient(fcinfo, 4, "transient", &request.transient_count);
	PG_RETURN_BYTEA_P(
		memory_bytea(gateway_query(&request, keystore_signer(argument_identity(fcinfo, 5)))));
}

/* evaluate_transaction(channel, chaincode, function, args, transient, identity): the payload */
Datum
fabric_evaluate_transaction(PG_FUNCTION_ARGS)
{
	return PG_ARGISNULL(4) ? evaluate_transaction(fcinfo)
						   : transient_call(fcinfo, evaluate_transaction);
}

/* ---- separate steps ---- */

static Datum
digest_datum(const uint8_t digest[32])
{
	return PointerGetDatum(memory_bytea(fb_bytes(digest, 32)));
}

static Datum
new_proposal(PG_FUNCTION_ARGS)
{
	GatewayRequest request;
	ProposalView proposal;
	Datum values[3];
	bool nulls[3] = {false};

	take_call(fcinfo, &request);
	request.transient = argument_transient(fcinfo, 5, "transient", &request.transient_count);
	argument_require(fcinfo, 6, "is_init");
	request.is_init = PG_GETARG_BOOL(6);
	gateway_new_proposal(&request, argument_bytes(fcinfo, 4, "creator"), &proposal);
	values[0] = PointerGetDatum(memory_text(proposal.tx_id));
	values[1] = PointerGetDatum(memory_bytea(proposal.bytes));
	values[2] = digest_datum(proposal.digest);
	PG_RETURN_DATUM(RESULT_ROW(fcinfo, values, nulls));
}

/* new_proposal(channel, chaincode, function, args, creator, transient, is_init) */
Datum
fabric_new_proposal(PG_FUNCTION_ARGS)
{
	return PG_ARGISNULL(5) ? new_proposal(fcinfo) : transient_call(fcinfo, new_proposal);
}

static Datum
endorse_call(FunctionCallInfo fcinfo, const ProposalView *proposal)
{
	GatewayTransaction transaction;
	Datum values[3];
	bool nulls[3] = {false};

	gateway_endorse(proposal, argument_text_list(fcinfo, 2, "endorsing_orgs"), &transaction);
	values[0] = PointerGetDatum(memory_bytea(transaction.payload.bytes));
	values[1] = digest_datum(transaction.payload.digest);
	values[2] = PointerGetDatum(memory_bytea(transaction.result));
	PG_RETURN_DATUM(RESULT_ROW(fcinfo, values, nulls));
}

/* endorse(proposal, signature, endorsing_orgs) */
Datum
fabric_endorse(PG_FUNCTION_ARGS)
{
	return transient_proposal_call(fcinfo, endorse_call);
}

/* submit(payload, signature): the transaction id */
Datum
fabric_submit(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbBytes payload = argument_bytes(fcinfo, 0, "payload");
	FbBytes signature = argument_bytes(fcinfo, 1, "signature");
	Envelope envelope;
	FbBytes bytes;
	FbError error;

	error_check(envelope_pack(allocator, payload, signature, &bytes, &error), &error);
	error_check(envelope_parse(allocator, bytes, &envelope, &error), &error);
	gateway_submit(&envelope);
	PG_RETURN_TEXT_P(memory_text(envelope.tx_id));
}

/* commit_status(channel, tx_id, timeout) */
Datum
fabric_commit_status(PG_FUNCTION_ARGS)
{
	GatewayStatus status;
	Datum values[3];
	bool nulls[3] = {false};
	const char *name;

	gateway_commit_status(argument_text(fcinfo, 0, "channel"), argument_text(fcinfo, 1, "tx_id"),
						  argument_milliseconds(fcinfo, 2, "timeout", guc_commit_timeout), &status);
	name = tx_code_name(status.code);
	values[0] = Int64GetDatum((int64) status.block_number);
	values[1] = CStringGetTextDatum(name != NULL ? name : psprintf("%d", status.code));
	values[2] = Int32GetDatum((int32) status.position);
	nulls[0] = nulls[1] = nulls[2] = !status.committed;
	PG_RETURN_DATUM(RESULT_ROW(fcinfo, values, nulls));
}

static Datum
evaluate_call(FunctionCallInfo fcinfo, const ProposalView *proposal)
{
	PG_RETURN_BYTEA_P(memory_bytea(gateway_evaluate(proposal)));
}

/* evaluate(proposal, signature): the payload */
Datum
fabric_evaluate(PG_FUNCTION_ARGS)
{
	return transient_proposal_call(fcinfo, evaluate_call);
}

/* ---- the lifecycle: transactions of the system chaincode _lifecycle ---- */

/*
 * name, version, sequence, policy, collections and init_required, of which policy and the next two
 * start at policy_index
 */
static void
take_parameters(FunctionCallInfo fcinfo, int policy_index, LifecycleParameters *parameters)
{
	memset(parameters, 0, sizeof(*parameters));
	parameters->name = argument_text(fcinfo, 1, "name");
	parameters->version = argument_text(fcinfo, 2, "version");
	argument_require(fcinfo, 3, "sequence");
	parameters->sequence = PG_GETARG_INT64(3);
	parameters->policy =
		PG_ARGISNULL(policy_index) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(policy_index));
	parameters->collections =
		PG_ARGISNULL(policy_index + 1) ? NULL : PG_GETARG_JSONB_P(policy_index + 1);
	argument_require(fcinfo, policy_index + 2, "init_required");
	parameters->init_required = PG_GETARG_BOOL(policy_index + 2);
}

static void
set_lifecycle_call(FunctionCallInfo fcinfo, GatewayRequest *request, const char *function,
				   FbBytes argument)
{
	memset(request, 0, sizeof(*request));
	request->channel = argument_text(fcinfo, 0, "channel");
	request->chaincode = LIFECYCLE_NAMESPACE;
	set_call(request, function, &argument, 1);
}

/*
 * approve_chaincode(channel, name, version, sequence, package_id, policy, collections,
 * init_required)
 */
Datum
fabric_approve_chaincode(PG_FUNCTION_ARGS)
{
	LifecycleParameters parameters;
	GatewayRequest request;

	take_parameters(fcinfo, 5, &parameters);
	parameters.package_id = PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4));
	set_lifecycle_call(fcinfo, &request, "ApproveChaincodeDefinitionForMyOrg",
					   lifecycle_approve_arguments(&parameters));
	(void) run_whole_call(&request);
	PG_RETURN_VOID();
}

/*
 * commit_chaincode(channel, name, version, sequence, policy, collections, init_required,
 * endorsing_orgs)
 */
Datum
fabric_commit_chaincode(PG_FUNCTION_ARGS)
{
	LifecycleParameters parameters;
	GatewayRequest request;

	take_parameters(fcinfo, 4, &parameters);
	set_lifecycle_call(fcinfo, &request, "CommitChaincodeDefinition",
					   lifecycle_commit_arguments(&parameters));
	request.endorsing_organizations = argument_text_list(fcinfo, 7, "endorsing_orgs");
	(void) run_whole_call(&request);
	PG_RETURN_VOID();
}

static Datum
mismatches_array(List *mismatches)
{
	Datum *values = palloc(list_length(mismatches) * sizeof(Datum) + 1);
	int count = 0;
	ListCell *cell;

	foreach(cell, mismatches)
		values[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * check_commit_readiness(channel, name, version, sequence, policy, collections, init_required): a
 * row per organization
 */
Datum
fabric_check_commit_readiness(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	LifecycleParameters parameters;
	GatewayRequest request;
	ListCell *cell;

	take_parameters(fcinfo, 4, &parameters);
	set_lifecycle_call(fcinfo, &request, "CheckCommitReadiness",
					   lifecycle_readiness_arguments(&parameters));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, lifecycle_readiness_result(gateway_query(&request, keystore_signer(NULL))))
	{
		LifecycleReadiness *readiness = lfirst(cell);
		Datum values[3] = {CStringGetTextDatum(readiness->msp_id),
						   BoolGetDatum(readiness->approved),
						   mismatches_array(readiness->mismatches)};
		bool nulls[3] = {false};

		RESULT_ADD(result, values, nulls);
	}
	return (Datum) 0;
}

/* ---- possible endorsers ---- */

static void
json_add_group(StringInfo json, const GatewayPlan *plan, size_t group)
{
	bool first = true;

	json_add_name(json, psprintf("G%zu", group));
	appendStringInfoChar(json, '[');
	for (size_t i = group; i < plan->endorsers_count; i++)
	{
		const GatewayEndorser *endorser = &plan->endorsers[i];

		if (endorser->group != group)
			continue;
		appendStringInfoString(json, first ? "{" : ",{");
		json_add_text(json, "MSPID", endorser->msp_id);
		json_add_text(json, "Endpoint", endorser->address);
		if (endorser->height > 0)
		{
			json_add_name(json, "LedgerHeight");
			appendStringInfo(json, UINT64_FORMAT, endorser->height);
		}
		appendStringInfoChar(json, '}');
		first = false;
	}
	appendStringInfoChar(json, ']');
}

/* the names are those of Fabric's `discover endorsers`; a group is an organization */
static void
add_groups(StringInfo json, const GatewayPlan *plan)
{
	json_add_name(json, "EndorsersByGroups");
	appendStringInfoChar(json, '{');
	for (size_t i = 0; i < plan->endorsers_count; i++)
	{
		bool used = false;

		for (size_t l = 0; l < plan->layouts_count; l++)
			for (size_t g = 0; g < plan->layouts[l].groups_count; g++)
				used |= plan->layouts[l].groups[g] == i;
		if (used)
			json_add_group(json, plan, i);
	}
	appendStringInfoChar(json, '}');
}

static void
add_layouts(StringInfo json, const GatewayPlan *plan)
{
	json_add_name(json, "Layouts");
	appendStringInfoChar(json, '[');
	for (size_t l = 0; l < plan->layouts_count; l++)
	{
		const GatewayLayout *layout = &plan->layouts[l];

		appendStringInfoString(json, l > 0 ? ",{" : "{");
		json_add_name(json, "quantities_by_group");
		appendStringInfoChar(json, '{');
		for (size_t g = 0; g < layout->groups_count; g++)
		{
			json_add_name(json, psprintf("G%zu", layout->groups[g]));
			appendStringInfo(json, "%u", layout->quantities[g]);
		}
		appendStringInfoString(json, "}}");
	}
	appendStringInfoChar(json, ']');
}

static void
add_policies(StringInfo json, const GatewayPlan *plan)
{
	json_add_name(json, "Policies");
	appendStringInfoChar(json, '[');
	for (size_t i = 0; i < plan->policies_count; i++)
	{
		if (i > 0)
			appendStringInfoChar(json, ',');
		escape_json(json, plan->policies[i]);
	}
	appendStringInfoChar(json, ']');
}

/* endorsement_plan(channel, chaincode, collections, keys, no_private_reads) */
Datum
fabric_endorsement_plan(PG_FUNCTION_ARGS)
{
	char *channel = argument_text(fcinfo, 0, "channel");
	char *chaincode = argument_text(fcinfo, 1, "chaincode");
	GatewayInterest interest = {0};
	GatewayPlan plan;
	StringInfoData json;

	interest.collections =
		argument_byte_array(fcinfo, 2, "collections", &interest.collections_count);
	interest.keys = argument_byte_array(fcinfo, 3, "keys", &interest.keys_count);
	argument_require(fcinfo, 4, "no_private_reads");
	interest.no_private_reads = PG_GETARG_BOOL(4);
	gateway_plan(channel, chaincode, &interest, &plan);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_add_text(&json, "Chaincode", chaincode);
	add_groups(&json, &plan);
	add_layouts(&json, &plan);
	add_policies(&json, &plan);
	appendStringInfoChar(&json, '}');
	PG_RETURN_DATUM(result_jsonb(json.data));
}
