/* history.c: every write of every public key */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

enum
{
	COLUMN_NAMESPACE = 2,
	COLUMN_KEY = 3,
	COLUMN_BLOCK = 4,
	COLUMN_POSITION = 5,
	COLUMN_VALUE = 6,
	INDEX_NAMESPACE = 1,
	INDEX_KEY = 2,
	INDEX_BLOCK = 3
};

static void
insert_entries(const Ledger *ledger, uint64 block_number, const HistoryEntry *entries, int count)
{
	static const Oid types[] = {TEXTOID,	   INT8OID,		 TEXTARRAYOID,
								BYTEAARRAYOID, INT4ARRAYOID, BYTEAARRAYOID};
	FbBytes *namespaces = palloc(count * sizeof(FbBytes));
	FbBytes *keys = palloc(count * sizeof(FbBytes));
	FbBytes *history_values = palloc(count * sizeof(FbBytes));
	bool *deleted = palloc(count * sizeof(bool));
	Datum *positions = palloc(count * sizeof(Datum));
	Datum values[6];

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
	spi_run(
		ledger_statement(
			ledger, LEDGER_INSERT_HISTORY,
			"INSERT INTO fabric_internal.history_%d (channel, namespace, key, block_number, position, value) "
			"SELECT $1, u.namespace, u.key, $2, u.position, u.value FROM unnest($3, $4, $5, $6) u(namespace, key, position, value)",
			6, types),
		values, NULL, false, 0);
}

static size_t
entry_bytes(const void *entries, int index)
{
	const HistoryEntry *entry = (const HistoryEntry *) entries + index;

	return entry->namespace_name.size + entry->key.size + entry->value.size;
}

void
history_append(const Ledger *ledger, uint64 block_number, const HistoryEntry *entries,
			   size_t entries_count)
{
	for (size_t from = 0; from < entries_count;)
	{
		SpiScope scope;
		int count = ledger_batch_rows(entries + from, (int) (entries_count - from), entry_bytes);

		spi_begin(&scope);
		insert_entries(ledger, block_number, entries + from, count);
		spi_end(&scope);
		from += (size_t) count;
	}
}

bool
history_version_before(const Ledger *ledger, FbBytes namespace_name, FbBytes key,
					   uint64 block_number, uint32 position, Snapshot snapshot,
					   RwSetVersion *writer, bool *is_delete)
{
	LedgerScan scan;
	ScanKeyData keys[3];
	bool found = false;

	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, key);
	scan_key_int8(&keys[2], INDEX_BLOCK, BTLessEqualStrategyNumber, (int64) block_number);
	ledger_scan_begin(&scan, ledger, &ledger->history, LEDGER_MAIN_INDEX, keys, 3, snapshot);
	/* passes by no more than the later writes of the same block */
	while (!found && ledger_scan_next(&scan, BackwardScanDirection))
	{
		*writer = (RwSetVersion) {true, (uint64_t) ledger_scan_int8(&scan, COLUMN_BLOCK),
								  (uint64_t) ledger_scan_int4(&scan, COLUMN_POSITION)};
		*is_delete = ledger_scan_is_null(&scan, COLUMN_VALUE);
		found = writer->block_number < block_number || writer->tx_index < position;
	}
	ledger_scan_end(&scan);
	return found;
}

bool
history_next_key(const Ledger *ledger, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
				 Snapshot snapshot, FbBytes *key)
{
	LedgerScan scan;
	ScanKeyData keys[3];
	bool found;

	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTGreaterEqualStrategyNumber, start_key);
	if (end_key.size > 0)
		scan_key_bytea(&keys[2], INDEX_KEY, BTLessStrategyNumber, end_key);
	ledger_scan_begin(&scan, ledger, &ledger->history, LEDGER_MAIN_INDEX, keys,
					  end_key.size > 0 ? 3 : 2, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
		*key = ledger_copy(ledger_scan_bytes(&scan, COLUMN_KEY));
	ledger_scan_end(&scan);
	return found;
}

struct HistoryScan
{
	LedgerScan scan;
	ScanDirection direction;
};

HistoryScan *
history_scan(const Ledger *ledger, Snapshot snapshot)
{
	HistoryScan *scan = palloc(sizeof(HistoryScan));

	scan->direction = ForwardScanDirection;
	ledger_scan_begin(&scan->scan, ledger, &ledger->history, LEDGER_MAIN_INDEX, NULL, 0, snapshot);
	return scan;
}

HistoryScan *
history_scan_key(const Ledger *ledger, FbBytes namespace_name, FbBytes key, Snapshot snapshot)
{
	HistoryScan *scan = palloc(sizeof(HistoryScan));
	ScanKeyData keys[2];

	scan->direction = BackwardScanDirection;
	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, key);
	ledger_scan_begin(&scan->scan, ledger, &ledger->history, LEDGER_MAIN_INDEX, keys, 2, snapshot);
	return scan;
}

bool
history_scan_next(HistoryScan *scan, HistoryRow *row)
{
	if (!ledger_scan_next(&scan->scan, scan->direction))
		return false;
	row->namespace_name = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_NAMESPACE));
	row->key = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_KEY));
	row->block_number = (uint64) ledger_scan_int8(&scan->scan, COLUMN_BLOCK);
	row->position = (uint32) ledger_scan_int4(&scan->scan, COLUMN_POSITION);
	row->is_delete = ledger_scan_is_null(&scan->scan, COLUMN_VALUE);
	row->value = ledger_copy(ledger_scan_bytes(&scan->scan, COLUMN_VALUE));
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
	SpiScope scope;

	spi_begin(&scope);
	if (SPI_execute(psprintf("DELETE FROM %s", ledger_partition_name(ledger, "history")), false,
					0) < 0)
		elog(ERROR, "could not clear the history of channel \"%s\"", ledger->channel);
	spi_end(&scope);
}
