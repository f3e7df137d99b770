/* node_functions.c: functions that other nodes call on a peer: endorse, deliver and private data */
#include "server/surface/surface_internal.h"

#include "utils/builtins.h"

#include "server/deliver/deliver.h"
#include "server/endorse/endorse.h"

FABRIC_FUNCTION(fabric_internal_endorse);
FABRIC_FUNCTION(fabric_internal_deliver);
FABRIC_FUNCTION(fabric_internal_private_put);
FABRIC_FUNCTION(fabric_internal_private_get);

static Datum
endorse_proposal(FunctionCallInfo fcinfo, const ProposalView *proposal)
{
	Endorsement endorsement;
	Datum values[2];
	bool nulls[2] = {false};

	argument_require(fcinfo, 1, "min_height");
	argument_require(fcinfo, 2, "seen_height");
	endorser_endorse(channel_open(memory_cstring(proposal->channel_id)), proposal,
					 (uint64) Max(PG_GETARG_INT64(1), 0), (uint64) Max(PG_GETARG_INT64(2), 0),
					 &endorsement);
	endorser_check_refusal(&endorsement);
	values[0] = PointerGetDatum(memory_bytea(endorser_pack_response(&endorsement)));
	values[1] = Int64GetDatum((int64) endorsement.height);
	PG_RETURN_DATUM(RESULT_ROW(fcinfo, values, nulls));
}

/*
 * endorse(signed_proposal, min_height, seen_height): protos.ProposalResponse, and the height at
 * which it was simulated
 */
Datum
fabric_internal_endorse(PG_FUNCTION_ARGS)
{
	return transient_signed_proposal_call(fcinfo, endorse_proposal);
}

/* deliver(seek, bytes_max, wait_ms): common.Block rows */
Datum
fabric_internal_deliver(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FbBytes seek = argument_bytes(fcinfo, 0, "seek");
	List *blocks;
	ListCell *cell;

	argument_require(fcinfo, 1, "bytes_max");
	argument_require(fcinfo, 2, "wait_ms");
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	/* the other node can only lower these limits: memory and time are this node's */
	blocks = deliver_serve(seek, Min(PG_GETARG_INT32(1), guc_deliver_batch_size * INT64CONST(1024)),
						   Min(PG_GETARG_INT32(2), guc_deliver_wait));
	foreach(cell, blocks)
	{
		Datum value = PointerGetDatum(lfirst(cell));
		bool is_null = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
	}
	return (Datum) 0;
}

/* private_put(request, tx_id, private_rwset) */
Datum
fabric_internal_private_put(PG_FUNCTION_ARGS)
{
	FbBytes request = argument_bytes(fcinfo, 0, "request");

	argument_require(fcinfo, 1, "tx_id");
	private_take(request, text_to_cstring(PG_GETARG_TEXT_PP(1)),
				 argument_bytes(fcinfo, 2, "private_rwset"));
	PG_RETURN_VOID();
}

/*
 * private_get(request, block_number, tx_number): bytes of a TxPvtReadWriteSet, empty when there is
 * nothing
 */
Datum
fabric_internal_private_get(PG_FUNCTION_ARGS)
{
	FbBytes request = argument_bytes(fcinfo, 0, "request");
	RwSetVersion transaction = {.present = true};
	FbBytes found = FB_BYTES_EMPTY;

	argument_require(fcinfo, 1, "block_number");
	argument_require(fcinfo, 2, "tx_number");
	transaction.block_number = (uint64) Max(PG_GETARG_INT64(1), 0);
	transaction.tx_index = (uint64) Max(PG_GETARG_INT32(2), 0);
	(void) private_answer(request, transaction, &found);
	PG_RETURN_DATUM(PointerGetDatum(memory_bytea(found)));
}
