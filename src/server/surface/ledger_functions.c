/*
 * ledger_functions.c: SQL functions that return blocks, transactions, state and history of a
 * channel as Fabric's bytes and as rows
 */
#include "server/surface/surface_internal.h"

#include "server/channel/channel.h"
#include "server/ledger/ledger.h"

#include "core/crypto/crypto.h"
#include "core/proto/proto.h"

FABRIC_FUNCTION(fabric_get_block);
FABRIC_FUNCTION(fabric_get_block_by_hash);
FABRIC_FUNCTION(fabric_get_block_by_tx_id);
FABRIC_FUNCTION(fabric_get_transaction);
FABRIC_FUNCTION(fabric_chain_info);
FABRIC_FUNCTION(fabric_state_digest);
FABRIC_FUNCTION(fabric_get_history);
FABRIC_FUNCTION(fabric_state_at);

static const Ledger *
argument_ledger(FunctionCallInfo fcinfo, int index)
{
	return channel_open(argument_text(fcinfo, index, "channel"))->ledger;
}

static void
block_not_found(const Ledger *ledger, const char *which)
{
	ereport(ERROR, (fb_errcode(FB_BLOCK_NOT_FOUND),
					errmsg("channel \"%s\" has no block %s", ledger->channel, which)));
}

static Datum
block_bytes(const Ledger *ledger, uint64 number)
{
	const bool as_peer = true;
	FbBytes block;

	if (!block_store_block(ledger, number, NULL, as_peer, &block))
		block_not_found(ledger, psprintf(UINT64_FORMAT, number));
	return PointerGetDatum(memory_bytea(block));
}

static uint64
argument_block_number(FunctionCallInfo fcinfo, int index, const char *name)
{
	argument_require(fcinfo, index, name);
	if (PG_GETARG_INT64(index) < 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be negative", name)));
	return (uint64) PG_GETARG_INT64(index);
}

/* get_block(channel, number): common.Block as a peer stores it */
Datum
fabric_get_block(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = argument_ledger(fcinfo, 0);

	return block_bytes(ledger, argument_block_number(fcinfo, 1, "number"));
}

/* get_block_by_hash(channel, block_hash) */
Datum
fabric_get_block_by_hash(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	FbBytes hash = argument_bytes(fcinfo, 1, "block_hash");
	uint64 number;

	if (hash.size != CRYPTO_SHA256_BYTES)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must have 32 bytes", "block_hash"),
						errdetail("It has %zu bytes.", hash.size)));
	if (!block_store_number_of_hash(ledger, hash, NULL, &number))
	{
		char hex[2 * CRYPTO_SHA256_BYTES + 1];

		fb_hex_encode(hash, hex);
		block_not_found(ledger, psprintf("with hash %s", hex));
	}
	return block_bytes(ledger, number);
}

/* the transaction that argument 1 names */
static void
find_transaction(FunctionCallInfo fcinfo, const Ledger *ledger, uint64 *block_number,
				 uint32 *position, uint8 *code)
{
	FbBytes tx_id = argument_bytes(fcinfo, 1, "tx_id");

	if (!tx_index_find(ledger, tx_id, NULL, block_number, position, code))
		ereport(ERROR, (fb_errcode(FB_TRANSACTION_NOT_FOUND),
						errmsg("channel \"%s\" has no transaction \"%s\"", ledger->channel,
							   FB_DISPLAY(tx_id))));
}

/* get_block_by_tx_id(channel, tx_id): the block with the first transaction of this id */
Datum
fabric_get_block_by_tx_id(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	uint64 number;
	uint32 position;
	uint8 code;

	find_transaction(fcinfo, ledger, &number, &position, &code);
	return block_bytes(ledger, number);
}

/* get_transaction(channel, tx_id): protos.ProcessedTransaction, as qscc's GetTransactionByID */
Datum
fabric_get_transaction(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Protos__ProcessedTransaction processed = PROTOS__PROCESSED_TRANSACTION__INIT;
	const bool with_envelope = true;
	TransactionRow row;
	FbBytes bytes;
	FbError error;
	uint64 number;
	uint32 position;
	uint8 code;

	find_transaction(fcinfo, ledger, &number, &position, &code);
	if (!block_store_transaction(ledger, number, position, NULL, with_envelope, &row))
		elog(ERROR, "transaction %u of block " UINT64_FORMAT " is missing", position, number);
	error_check(PROTO_UNPACK(common__envelope, row.envelope, allocator,
							 &processed.transactionenvelope, &error),
				&error);
	processed.validationcode = code;
	error_check(PROTO_PACK(&processed, allocator, &bytes, &error), &error);
	PG_RETURN_BYTEA_P(memory_bytea(bytes));
}

/* chain_info(channel): height, current_block_hash, previous_block_hash */
Datum
fabric_chain_info(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	uint64 height = block_store_height(ledger, NULL);
	BlockRow row;
	Datum values[3];
	bool nulls[3] = {false};

	if (height == 0 || !block_store_row(ledger, height - 1, NULL, &row))
		elog(ERROR, "channel \"%s\" has no block", ledger->channel);
	values[0] = Int64GetDatum((int64) height);
	values[1] = PointerGetDatum(memory_bytea(row.block_hash));
	values[2] = PointerGetDatum(memory_bytea(row.previous_hash));
	return RESULT_ROW(fcinfo, values, nulls);
}

/*
 * state_digest(channel): one hash over the whole world state, the same on every node at the same
 * height
 */
Datum
fabric_state_digest(PG_FUNCTION_ARGS)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	state_store_digest(argument_ledger(fcinfo, 0), NULL, digest);
	PG_RETURN_BYTEA_P(memory_bytea(fb_bytes(digest, sizeof(digest))));
}

/*
 * get_history(channel, chaincode, key): the writes of a key, newest first, like Fabric's
 * GetHistoryForKey
 */
Datum
fabric_get_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	FbBytes chaincode = argument_bytes(fcinfo, 1, "chaincode");
	FbBytes key = argument_bytes(fcinfo, 2, "key");
	HistoryScan *scan;
	HistoryRow row;
	MemoryContext row_context;
	MemoryContext caller;

	InitMaterializedSRF(fcinfo, 0);
	scan = history_scan_key(ledger, chaincode, key, NULL);
	row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric history row", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(row_context);
	while (MemoryContextReset(row_context), history_scan_next(scan, &row))
	{
		const bool with_envelope = false;
		TransactionRow transaction;
		/* false only in a damaged ledger: its history is shown nevertheless */
		bool known = block_store_transaction(ledger, row.block_number, row.position, NULL,
											 with_envelope, &transaction);
		Datum values[6];
		bool nulls[6] = {false};

		nulls[0] = !known || transaction.tx_id.size == 0;
		values[0] = nulls[0] ? (Datum) 0 : PointerGetDatum(memory_text(transaction.tx_id));
		values[1] = Int64GetDatum((int64) row.block_number);
		values[2] = Int32GetDatum((int32) row.position);
		nulls[3] = !known || TIMESTAMP_IS_NOBEGIN(transaction.created_at);
		values[3] = nulls[3] ? (Datum) 0 : TimestampTzGetDatum(transaction.created_at);
		values[4] = BoolGetDatum(row.is_delete);
		nulls[5] = row.is_delete;
		values[5] = nulls[5] ? (Datum) 0 : PointerGetDatum(memory_bytea(row.value));
		RESULT_ADD(result, values, nulls);
	}
	MemoryContextSwitchTo(caller);
	history_scan_end(scan);
	return (Datum) 0;
}

/* ---- state_at ---- */

static bool
is_same_key(const HistoryRow *a, const HistoryRow *b)
{
	return fb_bytes_equal(a->namespace_name, b->namespace_name) && fb_bytes_equal(a->key, b->key);
}

/* add a row to the result, unless the write deleted the key */
static void
state_at_add_row(ReturnSetInfo *result, const HistoryRow *row)
{
	Datum values[5];
	bool nulls[5] = {false};

	if (row->is_delete)
		return;
	values[0] = PointerGetDatum(memory_text(row->namespace_name));
	values[1] = PointerGetDatum(memory_bytea(row->key));
	values[2] = PointerGetDatum(memory_bytea(row->value));
	values[3] = Int64GetDatum((int64) row->block_number);
	values[4] = Int32GetDatum((int32) row->position);
	RESULT_ADD(result, values, nulls);
}

/*
 * state_at(channel, block_number): the public keys and values after that block, computed from the
 * history
 */
Datum
fabric_state_at(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Ledger *ledger = argument_ledger(fcinfo, 0);
	uint64 number = argument_block_number(fcinfo, 1, "block_number");
	MemoryContext contexts[2];
	MemoryContext caller;
	HistoryScan *scan;
	HistoryRow rows[2];
	bool have = false; /* rows[last] is the newest write of its key so far */
	int last = 0;

	if (number >= block_store_height(ledger, NULL))
		block_not_found(ledger, psprintf(UINT64_FORMAT, number));
	InitMaterializedSRF(fcinfo, 0);
	scan = history_scan(ledger, NULL);
	/* two rows are in use at a time, each in its own context */
	contexts[0] = AllocSetContextCreate(CurrentMemoryContext, "fabric state at a block",
										ALLOCSET_DEFAULT_SIZES);
	contexts[1] = AllocSetContextCreate(CurrentMemoryContext, "fabric state at a block",
										ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(contexts[0]);
	for (;;)
	{
		int next = have ? 1 - last : last;

		MemoryContextReset(contexts[next]);
		MemoryContextSwitchTo(contexts[next]);
		if (!history_scan_next(scan, &rows[next]))
			break;
		if (rows[next].block_number > number)
			continue;
		if (have && !is_same_key(&rows[last], &rows[next]))
			state_at_add_row(result, &rows[last]);
		last = next;
		have = true;
	}
	if (have)
		state_at_add_row(result, &rows[last]);
	MemoryContextSwitchTo(caller);
	history_scan_end(scan);
	return (Datum) 0;
}
