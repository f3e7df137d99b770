/*
 * audit_functions.c: SQL functions that verify a single block, or this node's copy of a channel,
 * and repair it
 */
#include "server/surface/surface_internal.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "server/audit/audit.h"
#include "server/channel/channel.h"

#include "core/block_audit/block_audit.h"

FABRIC_FUNCTION(fabric_verify_block);
FABRIC_FUNCTION(fabric_verify_chain);
FABRIC_FUNCTION(fabric_rebuild_state);
FABRIC_FUNCTION(fabric_repair_chain);
FABRIC_FUNCTION(fabric_repair_tables);

static void
audit_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

static bool
put_block_problem(void *context, const AuditProblem *problem)
{
	ReturnSetInfo *result = context;
	Datum values[3] = {Int32GetDatum((int32) problem->tx_index),
					   CStringGetTextDatum(problem->problem), CStringGetTextDatum(problem->detail)};
	bool nulls[3] = {problem->tx_index < 0, false, false};

	CHECK_FOR_INTERRUPTS();
	RESULT_ADD(result, values, nulls);
	return true;
}

/* verify_block(block, config_block, previous_block): a row for each problem */
Datum
fabric_verify_block(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Audit audit = {.allocator = allocator,
				   .report = put_block_problem,
				   .report_context = fcinfo->resultinfo};
	FbBytes block = argument_bytes(fcinfo, 0, "block");
	FbBytes previous = PG_ARGISNULL(2) ? FB_BYTES_EMPTY : PG_GETARG_FB_BYTES(2);
	FbError error;

	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(1))
	{
		ConfigBundle *bundle;

		argument_check(config_bundle_from_block(allocator, PG_GETARG_FB_BYTES(1), &bundle, &error),
					   &error, "config_block");
		memory_on_reset(CurrentMemoryContext, audit_destroy_bundle, bundle);
		audit.bundle = bundle;
	}
	if (!PG_ARGISNULL(2) && previous.size == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be empty", "previous_block")));
	argument_check(audit_block(&audit, block, previous, &error), &error, "previous_block");
	return (Datum) 0;
}

/* ---- verify_chain ---- */

static void
put_chain_problem(void *context, int64 block_number, int64 tx_index, const char *problem,
				  const char *detail)
{
	ReturnSetInfo *result = context;
	Datum values[4] = {Int64GetDatum(block_number), Int32GetDatum((int32) tx_index),
					   CStringGetTextDatum(problem), CStringGetTextDatum(detail)};
	bool nulls[4] = {block_number < 0, tx_index < 0, false, false};

	RESULT_ADD(result, values, nulls);
}

static uint64
argument_number(FunctionCallInfo fcinfo, int index, const char *name, uint64 default_number)
{
	if (PG_ARGISNULL(index))
		return default_number;
	if (PG_GETARG_INT64(index) < 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be negative", name)));
	return (uint64) PG_GETARG_INT64(index);
}

/* verify_chain(channel, from, to): a row for each problem */
Datum
fabric_verify_chain(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = ledger_open(argument_text(fcinfo, 0, "channel"));
	uint64 from = argument_number(fcinfo, 1, "from_block", 0);
	uint64 to = argument_number(fcinfo, 2, "to_block", UINT64_MAX);

	InitMaterializedSRF(fcinfo, 0);
	chain_verify(ledger, from, to, put_chain_problem, fcinfo->resultinfo);
	return (Datum) 0;
}

/* ---- rebuild_state, repair_chain ---- */

/* rebuild_state(channel): counts of blocks and rows, and of those that were corrected */
Datum
fabric_rebuild_state(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = ledger_open(argument_text(fcinfo, 0, "channel"));
	ChainRebuild rebuild;
	Datum values[6];
	bool nulls[6] = {false};

	chain_rebuild(ledger, &rebuild);
	values[0] = Int64GetDatum((int64) rebuild.blocks_count);
	values[1] = Int64GetDatum((int64) rebuild.blocks_corrected);
	values[2] = Int64GetDatum((int64) rebuild.state_rows);
	values[3] = Int64GetDatum((int64) rebuild.state_corrected);
	values[4] = Int64GetDatum((int64) rebuild.history_rows);
	values[5] = Int64GetDatum((int64) rebuild.history_corrected);
	return RESULT_ROW(fcinfo, values, nulls);
}

static void
put_replaced(void *context, uint64 number, const char *address)
{
	ReturnSetInfo *result = context;
	Datum values[2] = {Int64GetDatum((int64) number), CStringGetTextDatum(address)};
	bool nulls[2] = {false};

	RESULT_ADD(result, values, nulls);
}

/*
 * repair_chain(channel): the blocks that were replaced, and the node that each replacement is from
 */
Datum
fabric_repair_chain(PG_FUNCTION_ARGS)
{
	const Channel *channel = channel_open(argument_text(fcinfo, 0, "channel"));
	ChainRebuild rebuild;

	InitMaterializedSRF(fcinfo, 0);
	chain_repair(channel, put_replaced, fcinfo->resultinfo);
	CommandCounterIncrement();
	chain_rebuild(channel->ledger, &rebuild);
	return (Datum) 0;
}

static void
put_damage(void *context, const char *relation, BlockNumber page, const char *detail)
{
	ReturnSetInfo *result = context;
	Datum values[3] = {CStringGetTextDatum(relation), Int64GetDatum((int64) page),
					   CStringGetTextDatum(detail)};
	bool nulls[3] = {false};

	RESULT_ADD(result, values, nulls);
}

/* repair_tables(channel): the rows that could not be read and were removed */
Datum
fabric_repair_tables(PG_FUNCTION_ARGS)
{
	const char *channel = argument_text(fcinfo, 0, "channel");

	PreventCommandIfReadOnly("fabric.repair_tables");
	InitMaterializedSRF(fcinfo, 0);
	ledger_repair_tables(channel, put_damage, fcinfo->resultinfo);
	return (Datum) 0;
}
