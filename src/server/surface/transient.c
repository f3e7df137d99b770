/* transient.c: calls whose arguments must not be logged */
#include "server/surface/surface_internal.h"

#include "server/ca/ca.h"

/* Run body(fcinfo, argument) without logging anything of the call. */
static Datum
run_unlogged(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo, void *), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	SecretScope scope;
	volatile Datum result = (Datum) 0;

	secret_scope_begin(&scope);
	PG_TRY();
	{
		result = body(fcinfo, argument);
	}
	PG_CATCH();
	{
		unlogged_rethrow(context);
	}
	PG_END_TRY();
	secret_scope_end(&scope);
	return result;
}

/* ---- functions that take transient data ---- */

static Datum
run_function(FunctionCallInfo fcinfo, void *argument)
{
	PGFunction *body = argument;

	return (*body)(fcinfo);
}

Datum
transient_call(FunctionCallInfo fcinfo, PGFunction body)
{
	return run_unlogged(fcinfo, run_function, &body);
}

/* ---- functions that take a proposal, which may have transient data ---- */

typedef struct ProposalCall
{
	ProposalView proposal;
	FbStatus status; /* result of parsing the proposal */
	FbError error;
	ProposalFunction body;
} ProposalCall;

static Datum
run_proposal_function(FunctionCallInfo fcinfo, void *argument)
{
	ProposalCall *call = argument;

	error_check(call->status, &call->error);
	return call->body(fcinfo, &call->proposal);
}

static Datum
run_proposal_call(FunctionCallInfo fcinfo, ProposalCall *call)
{
	if (call->status == FB_OK && call->proposal.transient_count == 0)
		return run_proposal_function(fcinfo, call);
	return run_unlogged(fcinfo, run_proposal_function, call);
}

/* a proposal that cannot be read may have transient data too */
static Datum
require_signature(FunctionCallInfo fcinfo, void *argument)
{
	argument_require(fcinfo, 1, "signature");
	return (Datum) 0;
}

Datum
transient_proposal_call(FunctionCallInfo fcinfo, ProposalFunction body)
{
	ProposalCall call = {.body = body};
	FbBytes proposal = argument_bytes(fcinfo, 0, "proposal");

	if (PG_ARGISNULL(1))
		return run_unlogged(fcinfo, require_signature, NULL);
	call.status =
		proposal_parse_parts(memory_allocator(CurrentMemoryContext), proposal,
							 argument_bytes(fcinfo, 1, "signature"), &call.proposal, &call.error);
	return run_proposal_call(fcinfo, &call);
}

Datum
transient_signed_proposal_call(FunctionCallInfo fcinfo, ProposalFunction body)
{
	ProposalCall call = {.body = body};

	call.status = proposal_parse_signed(memory_allocator(CurrentMemoryContext),
										argument_bytes(fcinfo, 0, "signed_proposal"),
										&call.proposal, &call.error);
	return run_proposal_call(fcinfo, &call);
}
