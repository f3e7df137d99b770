/*
 * block_store.c: blocks and their transactions: append, find, assemble as Fabric's bytes
 */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "core/block/block.h"

enum
{
	BLOCK_NUMBER = 2,
	BLOCK_PREVIOUS_HASH,
	BLOCK_DATA_HASH,
	BLOCK_HASH,
	BLOCK_SIGNATURES,
	BLOCK_LAST_CONFIG,
	BLOCK_FILTER,
	BLOCK_ORDERER,
	BLOCK_COMMIT_HASH,
	BLOCK_RAFT_INDEX,
	BLOCK_COMMITTED_AT,
	BLOCK_RAFT_TERM
};
enum
{
	TX_BLOCK = 2,
	TX_POSITION,
	TX_TYPE,
	TX_CODE,
	TX_ID,
	TX_CREATOR,
	TX_CHAINCODE,
	TX_CREATED_AT,
	TX_ENVELOPE
};

/* what is in the column of the envelopes now, by position; lives until spi_end */
static const FbBytes *
insert_transactions(const Ledger *ledger, uint64 block_number, const TransactionRow *rows,
					int count)
{
	static const Oid types[] = {TEXTOID,	   INT8OID,		 INT2ARRAYOID, INT2ARRAYOID,
								BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
								BYTEAARRAYOID};
	Datum *kinds = palloc(count * sizeof(Datum));
	Datum *codes = palloc(count * sizeof(Datum));
	Datum *times = palloc(count * sizeof(Datum));
	bool *times_nulls = palloc(count * sizeof(bool));
	FbBytes *columns = palloc(4 * count * sizeof(FbBytes));
	bool *nulls = palloc(4 * count * sizeof(bool));
	Datum values[9];

	for (int i = 0; i < count; i++)
	{
		const TransactionRow *row = &rows[i];

		kinds[i] = Int16GetDatum(row->type);
		codes[i] = Int16GetDatum(row->validation_code);
		times[i] = TimestampTzGetDatum(row->created_at);
		times_nulls[i] = TIMESTAMP_IS_NOBEGIN(row->created_at);
		columns[i] = tx_index_encode(row->tx_id);
		nulls[i] = row->tx_id.size == 0;
		columns[count + i] = row->creator_msp;
		nulls[count + i] = row->creator_msp.size == 0;
		columns[2 * count + i] = row->chaincode;
		nulls[2 * count + i] = row->chaincode.size == 0;
		columns[3 * count + i] = envelope_codec_encode(ledger, row->envelope);
		nulls[3 * count + i] = false;
	}
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = Int64GetDatum((int64) block_number);
	values[2] = ledger_array(kinds, NULL, count, INT2OID, 2, true, TYPALIGN_SHORT);
	values[3] = ledger_array(codes, NULL, count, INT2OID, 2, true, TYPALIGN_SHORT);
	values[4] = ledger_bytea_array(columns, nulls, count);
	values[5] = ledger_text_array(columns + count, nulls + count, count);
	values[6] = ledger_text_array(columns + 2 * count, nulls + 2 * count, count);
	values[7] = ledger_array(times, times_nulls, count, TIMESTAMPTZOID, 8, true, TYPALIGN_DOUBLE);
	values[8] = ledger_bytea_array(columns + 3 * count, nulls + 3 * count, count);
	spi_run(
		ledger_statement(
			ledger, LEDGER_INSERT_TRANSACTIONS,
			"INSERT INTO fabric_internal.transaction_%d (channel, block_number, position, type, validation_code, tx_id, "
			"creator_msp, chaincode, created_at, envelope) "
			"SELECT $1, $2, u.ordinality - 1, u.a, u.b, u.c, u.d, u.e, u.f, u.g "
			"FROM unnest($3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY u(a, b, c, d, e, f, g, ordinality)",
			9, types),
		values, NULL, false, 0);
	return columns + 3 * count;
}

/* a prepared row of the table of blocks */
typedef struct BlockInsert
{
	SpiStatement *statement;
	Datum *values;
	const char *nulls;
} BlockInsert;

static void
insert_block(void *argument)
{
	const BlockInsert *insert = argument;

	(void) spi_run(insert->statement, insert->values, insert->nulls, false, 0);
}

/* do the rows hold the envelopes of this block, and the row of the block its header? */
static bool
is_same_block(const CheckedBlock *checked, const BlockRow *block, const TransactionRow *rows,
			  int rows_count)
{
	const BlockView *view = &checked->view;

	if (view->header.number != block->number || view->data_count != (size_t) rows_count ||
		!fb_bytes_equal(view->header.data_hash, block->data_hash))
		return false;
	for (int i = 0; i < rows_count; i++)
		if (rows[i].envelope.data != view->data[i].data ||
			rows[i].envelope.size != view->data[i].size)
			return false;
	return true;
}

void
block_store_append(const Ledger *ledger, const BlockRow *block, const TransactionRow *transactions,
				   int transactions_count, const CheckedBlock *checked)
{
	static const Oid types[] = {TEXTOID,  INT8OID,		  BYTEAOID, BYTEAOID, BYTEAOID,
								BYTEAOID, BYTEAOID,		  BYTEAOID, BYTEAOID, BYTEAOID,
								INT8OID,  TIMESTAMPTZOID, INT8OID};
	char nulls[13] = "            ";
	Datum values[13] = {CStringGetTextDatum(ledger->channel),
						Int64GetDatum((int64) block->number),
						PointerGetDatum(memory_bytea(block->previous_hash)),
						PointerGetDatum(memory_bytea(block->data_hash)),
						PointerGetDatum(memory_bytea(block->block_hash)),
						PointerGetDatum(memory_bytea(block->signatures)),
						PointerGetDatum(memory_bytea(block->last_config)),
						PointerGetDatum(memory_bytea(block->transactions_filter)),
						PointerGetDatum(memory_bytea(block->orderer)),
						PointerGetDatum(memory_bytea(block->commit_hash)),
						Int64GetDatum((int64) block->raft_index),
						TimestampTzGetDatum(block->committed_at),
						Int64GetDatum((int64) block->raft_term)};
	StoredBlock stored = {.ledger = ledger, .block = checked};
	BlockInsert insert = {.values = values, .nulls = nulls};
	SpiScope scope;

	FB_ASSERT(checked == NULL || is_same_block(checked, block, transactions, transactions_count));
	nulls[12] = block->raft_term == 0 ? 'n' : ' ';

	spi_begin(&scope);
	/* the transactions first: the block's trigger checks the data hash over them */
	stored.stored = insert_transactions(ledger, block->number, transactions, transactions_count);
	insert.statement = ledger_statement(
		ledger, LEDGER_INSERT_BLOCK,
		"INSERT INTO fabric_internal.block_%d (channel, number, previous_hash, data_hash, block_hash, signatures, last_config, "
		"transactions_filter, orderer, commit_hash, raft_index, committed_at, raft_term) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		13, types);
	if (checked != NULL)
		proved_block_insert(&stored, insert_block, &insert);
	else
		insert_block(&insert);
	spi_end(&scope);
}

uint64
block_store_height(const Ledger *ledger, Snapshot snapshot)
{
	LedgerScan scan;
	uint64 height = 0;

	ledger_scan_begin(&scan, ledger, &ledger->block, LEDGER_MAIN_INDEX, NULL, 0, snapshot);
	if (ledger_scan_next(&scan, BackwardScanDirection))
		height = (uint64) ledger_scan_int8(&scan, BLOCK_NUMBER) + 1;
	ledger_scan_end(&scan);
	return height;
}

bool
block_store_row(const Ledger *ledger, uint64 number, Snapshot snapshot, BlockRow *row)
{
	LedgerScan scan;
	ScanKeyData key;
	bool found;

	memset(row, 0, sizeof(*row));
	if (number > PG_INT64_MAX)
		return false;
	scan_key_int8(&key, 1, BTEqualStrategyNumber, (int64) number);
	ledger_scan_begin(&scan, ledger, &ledger->block, LEDGER_MAIN_INDEX, &key, 1, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		row->number = number;
		row->previous_hash = ledger_copy(ledger_scan_bytes(&scan, BLOCK_PREVIOUS_HASH));
		row->data_hash = ledger_copy(ledger_scan_bytes(&scan, BLOCK_DATA_HASH));
		row->block_hash = ledger_copy(ledger_scan_bytes(&scan, BLOCK_HASH));
		row->signatures = ledger_copy(ledger_scan_bytes(&scan, BLOCK_SIGNATURES));
		row->last_config = ledger_copy(ledger_scan_bytes(&scan, BLOCK_LAST_CONFIG));
		row->transactions_filter = ledger_copy(ledger_scan_bytes(&scan, BLOCK_FILTER));
		row->orderer = ledger_copy(ledger_scan_bytes(&scan, BLOCK_ORDERER));
		row->commit_hash = ledger_copy(ledger_scan_bytes(&scan, BLOCK_COMMIT_HASH));
		row->raft_index = (uint64) ledger_scan_int8(&scan, BLOCK_RAFT_INDEX);
		row->committed_at = (TimestampTz) ledger_scan_int8(&scan, BLOCK_COMMITTED_AT);
		row->raft_term = ledger_scan_is_null(&scan, BLOCK_RAFT_TERM)
							 ? 0
							 : (uint64) ledger_scan_int8(&scan, BLOCK_RAFT_TERM);
	}
	ledger_scan_end(&scan);
	return found;
}

bool
block_store_number_of_hash(const Ledger *ledger, FbBytes block_hash, Snapshot snapshot,
						   uint64 *number)
{
	LedgerScan scan;
	ScanKeyData key;
	bool found;

	scan_key_bytea(&key, 1, BTEqualStrategyNumber, block_hash);
	ledger_scan_begin(&scan, ledger, &ledger->block, LEDGER_OTHER_INDEX, &key, 1, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
		*number = (uint64) ledger_scan_int8(&scan, BLOCK_NUMBER);
	ledger_scan_end(&scan);
	return found;
}

static void
block_fill_transaction(const Ledger *ledger, LedgerScan *scan, bool with_envelope,
					   TransactionRow *row)
{
	memset(row, 0, sizeof(*row));
	row->block_number = (uint64) ledger_scan_int8(scan, TX_BLOCK);
	row->position = (uint32) ledger_scan_int4(scan, TX_POSITION);
	row->type = ledger_scan_int2(scan, TX_TYPE);
	row->validation_code = (uint8) ledger_scan_int2(scan, TX_CODE);
	row->tx_id = ledger_copy(tx_index_decode(ledger_scan_bytes(scan, TX_ID)));
	row->creator_msp = ledger_copy(ledger_scan_bytes(scan, TX_CREATOR));
	row->chaincode = ledger_copy(ledger_scan_bytes(scan, TX_CHAINCODE));
	row->created_at = ledger_scan_is_null(scan, TX_CREATED_AT)
						  ? DT_NOBEGIN
						  : (TimestampTz) ledger_scan_int8(scan, TX_CREATED_AT);
	if (with_envelope)
		row->envelope =
			ledger_copy(envelope_codec_decode(ledger, ledger_scan_bytes(scan, TX_ENVELOPE)));
}

TransactionRow *
block_store_transactions(const Ledger *ledger, uint64 number, Snapshot snapshot,
						 bool with_envelopes, int *count)
{
	LedgerScan scan;
	ScanKeyData key;
	int capacity = 16;
	TransactionRow *rows = palloc(capacity * sizeof(TransactionRow));

	*count = 0;
	scan_key_int8(&key, 1, BTEqualStrategyNumber, (int64) number);
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_MAIN_INDEX, &key, 1, snapshot);
	while (ledger_scan_next(&scan, ForwardScanDirection))
	{
		if (*count == capacity)
		{
			capacity *= 2;
			rows = repalloc_huge(rows, capacity * sizeof(TransactionRow));
		}
		block_fill_transaction(ledger, &scan, with_envelopes, &rows[(*count)++]);
	}
	ledger_scan_end(&scan);
	return rows;
}

bool
block_store_holds(const Ledger *ledger, uint64 number, const FbBytes *stored, size_t stored_count)
{
	LedgerScan scan;
	ScanKeyData key;
	size_t count = 0;
	bool same = true;

	scan_key_int8(&key, 1, BTEqualStrategyNumber, (int64) number);
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_MAIN_INDEX, &key, 1, NULL);
	while (same && ledger_scan_next(&scan, ForwardScanDirection))
	{
		same = count < stored_count && ledger_scan_int4(&scan, TX_POSITION) == (int32) count &&
			   fb_bytes_equal(ledger_scan_bytes(&scan, TX_ENVELOPE), stored[count]);
		count++;
	}
	ledger_scan_end(&scan);
	return same && count == stored_count;
}

bool
block_store_transaction(const Ledger *ledger, uint64 number, uint32 position, Snapshot snapshot,
						bool with_envelope, TransactionRow *row)
{
	LedgerScan scan;
	ScanKeyData keys[2];
	bool found;

	scan_key_int8(&keys[0], 1, BTEqualStrategyNumber, (int64) number);
	scan_key_int4(&keys[1], 2, BTEqualStrategyNumber, (int32) position);
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_MAIN_INDEX, keys, 2, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
		block_fill_transaction(ledger, &scan, with_envelope, row);
	ledger_scan_end(&scan);
	return found;
}

bool
block_store_block(const Ledger *ledger, uint64 number, Snapshot snapshot, bool as_peer,
				  FbBytes *block)
{
	BlockRow row;
	TransactionRow *transactions;
	int count;
	FbBytes *data;
	FbBytes metadata[FB_BLOCK_METADATA_COUNT];
	BlockHeader header;
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbError error;

	if (!block_store_row(ledger, number, snapshot, &row))
		return false;
	transactions = block_store_transactions(ledger, number, snapshot, true, &count);
	data = palloc(count * sizeof(FbBytes) + 1);
	for (int i = 0; i < count; i++)
		data[i] = transactions[i].envelope;
	header = (BlockHeader) {number, row.previous_hash, row.data_hash};
	metadata[0] = row.signatures;
	metadata[1] = row.last_config;
	metadata[2] = as_peer ? row.transactions_filter : FB_BYTES_EMPTY;
	metadata[3] = row.orderer;
	metadata[4] = FB_BYTES_EMPTY;
	if (as_peer && row.commit_hash.size > 0)
		error_check(block_commit_hash_pack(row.commit_hash, allocator, &metadata[4], &error),
					&error);
	error_check(block_pack(&header, data, count, metadata, allocator, block, &error), &error);
	return true;
}

bool
block_store_header(const Ledger *ledger, uint64 number, Snapshot snapshot, FbBytes *block)
{
	BlockRow row;
	BlockHeader header;
	FbBytes metadata[FB_BLOCK_METADATA_COUNT] = {{0}};
	FbError error;

	if (!block_store_row(ledger, number, snapshot, &row))
		return false;
	header = (BlockHeader) {number, row.previous_hash, row.data_hash};
	metadata[0] = row.signatures;
	metadata[1] = row.last_config;
	metadata[3] = row.orderer;
	error_check(block_pack(&header, NULL, 0, metadata, memory_allocator(CurrentMemoryContext),
						   block, &error),
				&error);
	return true;
}

/* ---- for audits and repairs ---- */

StoredTransaction *
block_store_stored_transactions(const Ledger *ledger, uint64 number, Snapshot snapshot, int *count)
{
	LedgerScan scan;
	ScanKeyData key;
	int capacity = 16;
	StoredTransaction *rows = palloc(capacity * sizeof(StoredTransaction));

	*count = 0;
	scan_key_int8(&key, 1, BTEqualStrategyNumber, (int64) number);
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_MAIN_INDEX, &key, 1, snapshot);
	while (ledger_scan_next(&scan, ForwardScanDirection))
	{
		StoredTransaction *row;

		if (*count == capacity)
		{
			capacity *= 2;
			rows = repalloc_huge(rows, capacity * sizeof(StoredTransaction));
		}
		row = &rows[(*count)++];
		row->position = ledger_scan_int4(&scan, TX_POSITION);
		row->type = ledger_scan_int2(&scan, TX_TYPE);
		row->validation_code = ledger_scan_int2(&scan, TX_CODE);
		row->tx_id = ledger_copy(ledger_scan_bytes(&scan, TX_ID));
		row->creator_msp = ledger_copy(ledger_scan_bytes(&scan, TX_CREATOR));
		row->chaincode = ledger_copy(ledger_scan_bytes(&scan, TX_CHAINCODE));
		row->created_at = ledger_scan_is_null(&scan, TX_CREATED_AT)
							  ? DT_NOBEGIN
							  : (TimestampTz) ledger_scan_int8(&scan, TX_CREATED_AT);
		row->envelope = ledger_copy(ledger_scan_bytes(&scan, TX_ENVELOPE));
	}
	ledger_scan_end(&scan);
	return rows;
}

static uint64
next_in(const Ledger *ledger, const LedgerTable *table, AttrNumber column, uint64 number)
{
	LedgerScan scan;
	ScanKeyData key;
	uint64 next = UINT64_MAX;

	scan_key_int8(&key, 1, BTGreaterEqualStrategyNumber, (int64) number);
	ledger_scan_begin(&scan, ledger, table, LEDGER_MAIN_INDEX, &key, 1, NULL);
	if (ledger_scan_next(&scan, ForwardScanDirection))
		next = (uint64) ledger_scan_int8(&scan, column);
	ledger_scan_end(&scan);
	return next;
}

uint64
block_store_next(const Ledger *ledger, uint64 number)
{
	return Min(next_in(ledger, &ledger->block, BLOCK_NUMBER, number),
			   next_in(ledger, &ledger->transaction, TX_BLOCK, number));
}

List *
block_store_strays(const Ledger *ledger, uint64 height)
{
	SpiScope scope;
	List *strays = NIL;

	spi_begin(&scope);
	if (SPI_execute(
			psprintf(
				"SELECT format('block %%s', number) FROM %s WHERE number < 0 OR number >= " INT64_FORMAT
				" UNION ALL "
				"SELECT format('transaction %%s of block %%s', position, block_number) FROM %s "
				"WHERE block_number < 0 OR block_number >= " INT64_FORMAT " LIMIT 10",
				ledger_partition_name(ledger, "block"), (int64) height,
				ledger_partition_name(ledger, "transaction"), (int64) height),
			true, 0) < 0)
		elog(ERROR, "could not read the blocks of channel \"%s\"", ledger->channel);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *text = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		strays = lappend(strays, pstrdup(text));
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return strays;
}

void
block_store_remove_strays(const Ledger *ledger, uint64 height)
{
	SpiScope scope;

	spi_begin(&scope);
	if (SPI_execute(
			psprintf("DELETE FROM %s WHERE block_number < 0 OR block_number >= " INT64_FORMAT,
					 ledger_partition_name(ledger, "transaction"), (int64) height),
			false, 0) < 0 ||
		SPI_execute(psprintf("DELETE FROM %s WHERE number < 0 OR number >= " INT64_FORMAT,
							 ledger_partition_name(ledger, "block"), (int64) height),
					false, 0) < 0)
		elog(ERROR, "could not remove rows of channel \"%s\"", ledger->channel);
	spi_end(&scope);
}

void
block_store_replace(const Ledger *ledger, const BlockRow *block, const TransactionRow *transactions,
					int transactions_count)
{
	SpiScope scope;
	char *hash = palloc(block->block_hash.size * 2 + 1);

	fb_hex_encode(block->block_hash, hash);
	spi_begin(&scope);
	/* another row with this block's hash is a forgery: no other block has it */
	if (SPI_execute(psprintf("DELETE FROM %s WHERE block_number = " INT64_FORMAT,
							 ledger_partition_name(ledger, "transaction"), (int64) block->number),
					false, 0) < 0 ||
		SPI_execute(psprintf("DELETE FROM %s WHERE number = " INT64_FORMAT
							 " OR block_hash = '\\x%s'",
							 ledger_partition_name(ledger, "block"), (int64) block->number, hash),
					false, 0) < 0)
		elog(ERROR, "could not replace block " UINT64_FORMAT " of channel \"%s\"", block->number,
			 ledger->channel);
	spi_end(&scope);
	block_store_append(ledger, block, transactions, transactions_count, NULL);
}
