/* history.c: every write of every public key (WST-12) */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

enum { COLUMN_NAMESPACE = 2, COLUMN_KEY = 3, COLUMN_BLOCK = 4, COLUMN_POSITION = 5, COLUMN_VALUE = 6, INDEX_NAMESPACE = 1, INDEX_KEY = 2 };

void
history_append(const Ledger *ledger, uint64 block_number, const HistoryEntry *entries, size_t entries_count)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTARRAYOID, BYTEAARRAYOID, INT4ARRAYOID, BYTEAARRAYOID};
	int			count = (int) entries_count;
	FbBytes    *namespaces = palloc(count * sizeof(FbBytes) + 1);
	FbBytes    *keys = palloc(count * sizeof(FbBytes) + 1);
	FbBytes    *history_values = palloc(count * sizeof(FbBytes) + 1);
	bool	   *deleted = palloc(count * sizeof(bool) + 1);
	Datum	   *positions = palloc(count * sizeof(Datum) + 1);
	Datum		values[6];
	SpiScope	scope;

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
	{
		namespaces[i] = entries[i].namespace_name;
		keys[i] = entries[i].key;
		history_values[i] = entries[i].value;
		deleted[i] = entries[i].is_delete;
		positions[i] = Int32GetDatum((int32) entries[i].tx_index);
	}
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = Int64GetDatum((int64) block_number);
	values[2] = ledger_text_array(namespaces, NULL, count);
	values[3] = ledger_bytea_array(keys, NULL, count);
	values[4] = ledger_array(positions, NULL, count, INT4OID, 4, true, TYPALIGN_INT);
	values[5] = ledger_bytea_array(history_values, deleted, count);
	spi_begin(&scope);
	spi_run(ledger_statement(ledger, LEDGER_INSERT_HISTORY,
							 "INSERT INTO fabric_internal.history_%d (channel, namespace, key, block_number, position, value) "
							 "SELECT $1, u.namespace, u.key, $2, u.position, u.value FROM unnest($3, $4, $5, $6) u(namespace, key, position, value)",
							 6, types), values, NULL, false, 0);
	spi_end(&scope);
}

HistoryRow *
history_of_key(const Ledger *ledger, FbBytes namespace_name, FbBytes key, Snapshot snapshot, int *count)
{
	LedgerScan	scan;
	ScanKeyData keys[2];
	int			capacity = 16;
	HistoryRow *rows = palloc(capacity * sizeof(HistoryRow));

	*count = 0;
	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, key);
	ledger_scan_begin(&scan, ledger->history.table, ledger->history.index, keys, 2, snapshot);
	while (ledger_scan_next(&scan, BackwardScanDirection))
	{
		HistoryRow *row;

		if (*count == capacity)
		{
			capacity *= 2;
			rows = repalloc_huge(rows, capacity * sizeof(HistoryRow));
		}
		row = &rows[(*count)++];
		row->block_number = (uint64) ledger_scan_int8(&scan, COLUMN_BLOCK);
		row->position = (uint32) ledger_scan_int4(&scan, COLUMN_POSITION);
		row->is_delete = ledger_scan_is_null(&scan, COLUMN_VALUE);
		row->value = ledger_copy(ledger_scan_bytes(&scan, COLUMN_VALUE));
	}
	ledger_scan_end(&scan);
	return rows;
}

struct HistoryScan
{
	LedgerScan	scan;
};

HistoryScan *
history_scan(const Ledger *ledger, Snapshot snapshot)
{
	HistoryScan *scan = palloc(sizeof(HistoryScan));

	ledger_scan_begin(&scan->scan, ledger->history.table, ledger->history.index, NULL, 0, snapshot);
	return scan;
}

bool
history_scan_next(HistoryScan *scan, HistoryScanRow *row)
{
	if (!ledger_scan_next(&scan->scan, ForwardScanDirection))
		return false;
	row->namespace_name = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_NAMESPACE));
	row->key = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_KEY));
	row->write.block_number = (uint64) ledger_scan_int8(&scan->scan, COLUMN_BLOCK);
	row->write.position = (uint32) ledger_scan_int4(&scan->scan, COLUMN_POSITION);
	row->write.is_delete = ledger_scan_is_null(&scan->scan, COLUMN_VALUE);
	row->write.value = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_VALUE));
	return true;
}

void
history_scan_end(HistoryScan *scan)
{
	ledger_scan_end(&scan->scan);
	pfree(scan);
}

void
history_clear(const Ledger *ledger)
{
	SpiScope	scope;

	spi_begin(&scope);
	if (SPI_execute(psprintf("DELETE FROM %s", ledger_partition_name(ledger, "history")), false, 0) < 0)
		elog(ERROR, "could not clear the history of channel \"%s\"", ledger->channel);
	spi_end(&scope);
}
