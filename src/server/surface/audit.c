/* surface/audit: proofs: of a single block, and of a channel's whole ledger on this node */
#include "server/surface/surface_internal.h"

#include "miscadmin.h"

#include "core/audit/audit.h"

FABRIC_FUNCTION(fabric_verify_block);

static void
destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

static bool
put_block_problem(void *context, const AuditProblem *problem)
{
	ReturnSetInfo *result = context;
	Datum		values[3] = {Int32GetDatum((int32) problem->tx_index), CStringGetTextDatum(problem->problem), CStringGetTextDatum(problem->detail)};
	bool		nulls[3] = {problem->tx_index < 0, false, false};

	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return true;
}

/* verify_block(block, config_block, previous_block): a row for each problem */
Datum
fabric_verify_block(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Audit		audit = {.allocator = allocator, .report = put_block_problem, .report_context = fcinfo->resultinfo};
	FbBytes		block = argument_bytes(fcinfo, 0, "block");
	FbBytes		previous = PG_ARGISNULL(2) ? FB_BYTES_EMPTY : PG_GETARG_FB_BYTES(2);
	FbError		error;

	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(1))
	{
		ConfigBundle *bundle;

		error_check(config_bundle_from_block(allocator, PG_GETARG_FB_BYTES(1), &bundle, &error), &error);
		memory_on_reset(CurrentMemoryContext, destroy_bundle, bundle);
		audit.bundle = bundle;
	}
	if (!PG_ARGISNULL(2) && previous.size == 0)
		ereport(ERROR,
				(errcode(error_sqlstate(FB_INVALID_ARGUMENT)),
				 errmsg("argument \"%s\" must not be empty", "previous_block")));
	error_check(audit_block(&audit, block, previous, &error), &error);
	return (Datum) 0;
}
