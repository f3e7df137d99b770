/* transient.c: calls whose arguments must not get into the server's log */
#include "server/surface/surface_internal.h"

#include "server/ca/ca.h"

Datum
transient_call(FunctionCallInfo fcinfo, PGFunction body)
{
	MemoryContext context = CurrentMemoryContext;
	SecretScope scope;
	volatile Datum result = (Datum) 0;

	secret_scope_begin(&scope);
	PG_TRY();
	{
		result = body(fcinfo);
	}
	PG_CATCH();
	{
		unlogged_rethrow(context);
	}
	PG_END_TRY();
	secret_scope_end(&scope);
	return result;
}

bool
transient_in_proposal(FbBytes proposal, bool is_signed)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric proposal", ALLOCSET_DEFAULT_SIZES);
	FbAllocator *allocator = memory_allocator(context);
	ProposalView view;
	FbError error;
	FbStatus status = is_signed ? proposal_parse_signed(allocator, proposal, &view, &error)
								: proposal_parse(allocator, proposal, &view, &error);
	bool transient = status != FB_OK || view.transient_count > 0;

	MemoryContextDelete(context);
	return transient;
}
