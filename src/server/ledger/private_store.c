/*
 * private_store.c: plaintext of private data which this node's organization holds, before and after
 * its transaction is committed
 */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

enum
{
	COLUMN_NAMESPACE = 2,
	COLUMN_COLLECTION = 3,
	COLUMN_KEY = 4,
	COLUMN_VALUE = 5,
	COLUMN_BLOCK = 6,
	COLUMN_POSITION = 7
};

bool
private_store_get(const Ledger *ledger, FbBytes namespace_name, FbBytes collection, FbBytes key,
				  Snapshot snapshot, StateRow *row)
{
	LedgerScan scan;
	ScanKeyData keys[3];
	bool found;

	memset(row, 0, sizeof(*row));
	scan_key_text(&keys[0], 1, namespace_name);
	scan_key_text(&keys[1], 2, collection);
	scan_key_bytea(&keys[2], 3, BTEqualStrategyNumber, key);
	ledger_scan_begin(&scan, ledger, &ledger->private_state, LEDGER_MAIN_INDEX, keys, 3, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		row->value = ledger_copy(ledger_scan_bytes(&scan, COLUMN_VALUE));
		row->version = (RwSetVersion) {true, (uint64_t) ledger_scan_int8(&scan, COLUMN_BLOCK),
									   (uint64_t) ledger_scan_int4(&scan, COLUMN_POSITION)};
	}
	ledger_scan_end(&scan);
	return found;
}

void
private_store_put_transient(const Ledger *ledger, const char *tx_id, FbBytes private_rwset)
{
	static const Oid types[] = {TEXTOID, TEXTOID, BYTEAOID, INT8OID};
	Datum values[4] = {CStringGetTextDatum(ledger->channel), CStringGetTextDatum(tx_id),
					   PointerGetDatum(memory_bytea(private_rwset)),
					   Int64GetDatum((int64) block_store_height(ledger, NULL))};
	SpiScope scope;

	spi_begin(&scope);
	spi_run(
		ledger_statement(
			ledger, LEDGER_INSERT_TRANSIENT,
			"INSERT INTO fabric_internal.transient_%d (channel, tx_id, private_rwset, received_at_height) "
			"VALUES ($1, $2, $3, $4) ON CONFLICT (tx_id) DO NOTHING",
			4, types),
		values, NULL, false, 0);
	spi_end(&scope);
}

bool
private_store_take_transient(const Ledger *ledger, const char *tx_id, FbBytes *private_rwset)
{
	static const Oid types[] = {TEXTOID};
	Datum value = CStringGetTextDatum(tx_id);
	SpiScope scope;
	bool found;

	spi_begin(&scope);
	spi_run(ledger_statement(
				ledger, LEDGER_DELETE_TRANSIENT,
				"DELETE FROM fabric_internal.transient_%d WHERE tx_id = $1 RETURNING private_rwset",
				1, types),
			&value, NULL, false, 0);
	found = SPI_processed > 0;
	if (found)
	{
		bool is_null;
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		*private_rwset = ledger_copy(memory_bytes(DatumGetByteaPP(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null))));
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return found;
}

/*
 * a statement that changes what is noted of one transaction; its parameters are channel, block
 * number and position
 */
static void
change_missing(SpiStatement *statement, const Ledger *ledger, RwSetVersion transaction)
{
	Datum values[3] = {CStringGetTextDatum(ledger->channel),
					   Int64GetDatum((int64) transaction.block_number),
					   Int32GetDatum((int32) transaction.tx_index)};
	SpiScope scope;

	spi_begin(&scope);
	spi_run(statement, values, NULL, false, 0);
	spi_end(&scope);
}

void
private_store_note_missing(const Ledger *ledger, RwSetVersion transaction)
{
	static SpiStatement statement = {
		"INSERT INTO fabric_internal.private_missing (channel, block_number, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		3,
		{TEXTOID, INT8OID, INT4OID}};

	change_missing(&statement, ledger, transaction);
}

bool
private_store_is_missing(const Ledger *ledger, RwSetVersion transaction)
{
	static SpiStatement statement = {
		"SELECT FROM fabric_internal.private_missing WHERE channel = $1 AND block_number = $2 AND position = $3",
		3,
		{TEXTOID, INT8OID, INT4OID}};
	Datum values[3] = {CStringGetTextDatum(ledger->channel),
					   Int64GetDatum((int64) transaction.block_number),
					   Int32GetDatum((int32) transaction.tx_index)};
	SpiScope scope;
	bool found;

	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	found = SPI_processed > 0;
	spi_end(&scope);
	return found;
}

void
private_store_forget_missing(const Ledger *ledger, RwSetVersion transaction)
{
	static SpiStatement statement = {
		"DELETE FROM fabric_internal.private_missing WHERE channel = $1 AND block_number = $2 AND position = $3",
		3,
		{TEXTOID, INT8OID, INT4OID}};

	change_missing(&statement, ledger, transaction);
}

int64
private_store_next_missing(const Ledger *ledger, RwSetVersion after, RwSetVersion *next)
{
	static SpiStatement statement = {
		"SELECT (SELECT count(*) FROM fabric_internal.private_missing WHERE channel = $1), n.block_number, n.position FROM (VALUES (1)) one "
		"LEFT JOIN LATERAL (SELECT block_number, position FROM fabric_internal.private_missing "
		"WHERE channel = $1 AND (block_number, position) > ($2, $3) ORDER BY block_number, position LIMIT 1) n ON true",
		3,
		{TEXTOID, INT8OID, INT4OID},
		.periodic = true};
	Datum values[3] = {CStringGetTextDatum(ledger->channel),
					   Int64GetDatum(after.present ? (int64) after.block_number : -1),
					   Int32GetDatum(after.present ? (int32) after.tx_index : -1)};
	SpiScope scope;
	int64 count;
	bool is_null;

	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	next->block_number = (uint64_t) DatumGetInt64(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	next->tx_index = (uint64_t) DatumGetInt32(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &is_null));
	next->present = !is_null;
	spi_end(&scope);
	return count;
}

void
private_store_drop_stale(const Ledger *ledger, FbBytes namespace_name,
						 const RwSetCollection *collection, RwSetVersion version)
{
	static const Oid types[] = {TEXTOID, TEXTOID, BYTEAARRAYOID, INT8OID, INT4OID};
	Datum *hashes = palloc(collection->hashed_writes_count * sizeof(Datum));
	Datum values[5] = {PointerGetDatum(memory_text(namespace_name)),
					   PointerGetDatum(memory_text(collection->name)), 0,
					   Int64GetDatum((int64) version.block_number),
					   Int32GetDatum((int32) version.tx_index)};
	SpiScope scope;

	for (size_t i = 0; i < collection->hashed_writes_count; i++)
		hashes[i] = PointerGetDatum(memory_bytea(collection->hashed_writes[i].key));
	values[2] = PointerGetDatum(construct_array(hashes, (int) collection->hashed_writes_count,
												BYTEAOID, -1, false, TYPALIGN_INT));
	spi_begin(&scope);
	spi_run(
		ledger_statement(
			ledger, LEDGER_DROP_STALE_PRIVATE,
			"DELETE FROM fabric_internal.private_state_%d WHERE namespace = $1 AND collection = $2 AND pg_catalog.sha256(key) = ANY ($3) "
			"AND (block_number, position) < ($4, $5)",
			5, types),
		values, NULL, false, 0);
	spi_end(&scope);
}

void
private_store_apply(const Ledger *ledger, FbBytes namespace_name, FbBytes collection,
					const RwSetPrivate *set, RwSetVersion version)
{
	static const Oid delete_types[] = {TEXTOID, TEXTOID, BYTEAOID};
	static const Oid upsert_types[] = {TEXTOID,	 TEXTOID, BYTEAOID, TEXTOID,
									   BYTEAOID, INT8OID, INT4OID};
	SpiScope scope;

	spi_begin(&scope);
	for (size_t i = 0; i < set->writes_count; i++)
	{
		const RwSetWrite *write = &set->writes[i];
		Datum values[7] = {PointerGetDatum(memory_text(namespace_name)),
						   PointerGetDatum(memory_text(collection)),
						   PointerGetDatum(memory_bytea(write->key)),
						   CStringGetTextDatum(ledger->channel),
						   PointerGetDatum(memory_bytea(write->value)),
						   Int64GetDatum((int64) version.block_number),
						   Int32GetDatum((int32) version.tx_index)};

		if (rwset_write_deletes(write))
			spi_run(
				ledger_statement(
					ledger, LEDGER_DELETE_PRIVATE,
					"DELETE FROM fabric_internal.private_state_%d WHERE namespace = $1 AND collection = $2 AND key = $3",
					3, delete_types),
				values, NULL, false, 0);
		else
			spi_run(
				ledger_statement(
					ledger, LEDGER_UPSERT_PRIVATE,
					"INSERT INTO fabric_internal.private_state_%d (namespace, collection, key, channel, value, block_number, position) "
					"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (namespace, collection, key) DO UPDATE SET "
					"value = EXCLUDED.value, block_number = EXCLUDED.block_number, position = EXCLUDED.position",
					7, upsert_types),
				values, NULL, false, 0);
	}
	spi_end(&scope);
}

struct PrivateScan
{
	LedgerScan scan;
};

PrivateScan *
private_store_scan(const Ledger *ledger, Snapshot snapshot)
{
	PrivateScan *scan = palloc(sizeof(PrivateScan));

	ledger_scan_begin(&scan->scan, ledger, &ledger->private_state, LEDGER_MAIN_INDEX, NULL, 0,
					  snapshot);
	return scan;
}

bool
private_scan_next(PrivateScan *scan, PrivateRow *row)
{
	if (!ledger_scan_next(&scan->scan, ForwardScanDirection))
		return false;
	memset(row, 0, sizeof(*row));
	row->namespace_name = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_NAMESPACE));
	row->collection = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_COLLECTION));
	row->state.key = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_KEY));
	row->state.value = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_VALUE));
	row->state.version =
		(RwSetVersion) {true, (uint64_t) ledger_scan_int8(&scan->scan, COLUMN_BLOCK),
						(uint64_t) ledger_scan_int4(&scan->scan, COLUMN_POSITION)};
	return true;
}

void
private_scan_end(PrivateScan *scan)
{
	ledger_scan_end(&scan->scan);
	pfree(scan);
}
