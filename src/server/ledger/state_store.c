/*
 * state_store.c: the world state: point reads, range reads, the look-ups of a validation, the net
 * effect of a block
 */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

enum
{
	COLUMN_NAMESPACE = 2,
	COLUMN_KEY = 3,
	COLUMN_VALUE = 4,
	COLUMN_METADATA = 5,
	COLUMN_BLOCK = 6,
	COLUMN_POSITION = 7
};
enum
{
	INDEX_NAMESPACE = 1,
	INDEX_KEY = 2
};

static RwSetVersion
current_version(LedgerScan *scan)
{
	return (RwSetVersion) {true, (uint64_t) ledger_scan_int8(scan, COLUMN_BLOCK),
						   (uint64_t) ledger_scan_int4(scan, COLUMN_POSITION)};
}

bool
state_store_get(const Ledger *ledger, FbBytes namespace_name, FbBytes key, Snapshot snapshot,
				StateRow *row)
{
	LedgerScan scan;
	ScanKeyData keys[2];
	bool found;

	memset(row, 0, sizeof(*row));
	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, key);
	ledger_scan_begin(&scan, ledger, &ledger->world_state, LEDGER_MAIN_INDEX, keys, 2, snapshot);
	found = ledger_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		row->value = ledger_copy(ledger_scan_bytes(&scan, COLUMN_VALUE));
		row->metadata = ledger_copy(ledger_scan_bytes(&scan, COLUMN_METADATA));
		row->version = current_version(&scan);
	}
	ledger_scan_end(&scan);
	return found;
}

struct StateScan
{
	LedgerScan scan;
};

StateScan *
state_store_scan(const Ledger *ledger, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
				 Snapshot snapshot)
{
	StateScan *scan = palloc(sizeof(StateScan));
	ScanKeyData keys[3];
	int keys_count = 2;

	scan_key_text(&keys[0], INDEX_NAMESPACE, namespace_name);
	scan_key_bytea(&keys[1], INDEX_KEY, BTGreaterEqualStrategyNumber, start_key);
	if (end_key.size > 0)
		scan_key_bytea(&keys[keys_count++], INDEX_KEY, BTLessStrategyNumber, end_key);
	ledger_scan_begin(&scan->scan, ledger, &ledger->world_state, LEDGER_MAIN_INDEX, keys,
					  keys_count, snapshot);
	return scan;
}

StateScan *
state_store_scan_all(const Ledger *ledger, Snapshot snapshot)
{
	StateScan *scan = palloc(sizeof(StateScan));

	ledger_scan_begin(&scan->scan, ledger, &ledger->world_state, LEDGER_MAIN_INDEX, NULL, 0,
					  snapshot);
	return scan;
}

bool
state_scan_next(StateScan *scan, StateRow *row)
{
	if (!ledger_scan_next(&scan->scan, ForwardScanDirection))
		return false;
	row->namespace_name = ledger_scan_bytes(&scan->scan, COLUMN_NAMESPACE);
	row->key = ledger_scan_bytes(&scan->scan, COLUMN_KEY);
	row->value = ledger_scan_bytes(&scan->scan, COLUMN_VALUE);
	row->metadata = ledger_scan_bytes(&scan->scan, COLUMN_METADATA);
	row->version = current_version(&scan->scan);
	return true;
}

bool
state_scan_next_version(StateScan *scan, StateRow *row)
{
	memset(row, 0, sizeof(*row));
	if (!ledger_scan_next(&scan->scan, ForwardScanDirection))
		return false;
	row->key = ledger_scan_bytes(&scan->scan, COLUMN_KEY);
	row->version = current_version(&scan->scan);
	return true;
}

void
state_scan_end(StateScan *scan)
{
	ledger_scan_end(&scan->scan);
	pfree(scan);
}

void
state_store_fetch(const Ledger *ledger, MvccBlock *block)
{
	LedgerScan scan;
	ScanKeyData keys[2];

	if (block->keys_count == 0)
		return;
	/*
	 * The keys are sorted, so consecutive look-ups find the same pages. One scan object moves from
	 * key to key; a join with an array of keys costs about the same per key and more for small
	 * blocks.
	 */
	scan_key_text(&keys[0], INDEX_NAMESPACE, FB_BYTES_EMPTY);
	scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, FB_BYTES_EMPTY);
	ledger_scan_begin(&scan, ledger, &ledger->world_state, LEDGER_MAIN_INDEX, keys, 2, NULL);
	for (size_t i = 0; i < block->keys_count; i++)
	{
		MvccKey *key = &block->keys[i];

		CHECK_FOR_INTERRUPTS();
		if (!key->storable)
			continue;
		scan_key_text(&keys[0], INDEX_NAMESPACE, key->state_namespace);
		scan_key_bytea(&keys[1], INDEX_KEY, BTEqualStrategyNumber, key->key);
		index_rescan(scan.scan, keys, 2, NULL, 0);
		if (!ledger_scan_next(&scan, ForwardScanDirection))
			continue;
		key->committed = current_version(&scan);
		if (key->value_needed)
			key->committed_value = ledger_copy(ledger_scan_bytes(&scan, COLUMN_VALUE));
		if (key->written)
			key->committed_metadata = ledger_copy(ledger_scan_bytes(&scan, COLUMN_METADATA));
	}
	ledger_scan_end(&scan);
}

static void
delete_keys(const Ledger *ledger, const StateUpdate *const *updates, int count)
{
	static const Oid types[] = {TEXTARRAYOID, BYTEAARRAYOID};
	FbBytes *namespaces = palloc(count * sizeof(FbBytes));
	FbBytes *keys = palloc(count * sizeof(FbBytes));
	Datum values[2];
	SpiStatement *statement;

	for (int i = 0; i < count; i++)
	{
		namespaces[i] = updates[i]->state_namespace;
		keys[i] = updates[i]->key;
	}
	values[0] = ledger_text_array(namespaces, NULL, count);
	values[1] = ledger_bytea_array(keys, NULL, count);
	statement = ledger_statement(
		ledger, LEDGER_DELETE_STATE,
		"DELETE FROM fabric_internal.world_state_%d w USING unnest($1, $2) d(namespace, key) "
		"WHERE w.namespace = d.namespace COLLATE \"C\" AND w.key = d.key",
		2, types);
	spi_run(statement, values, NULL, false, 0);
}

static void
upsert_keys(const Ledger *ledger, const StateUpdate *const *updates, int count)
{
	static const Oid types[] = {TEXTOID,	   TEXTARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID,
								BYTEAARRAYOID, INT8OID,		 INT4ARRAYOID};
	FbBytes *namespaces = palloc(count * sizeof(FbBytes));
	FbBytes *keys = palloc(count * sizeof(FbBytes));
	FbBytes *state_values = palloc(count * sizeof(FbBytes));
	FbBytes *metadata = palloc(count * sizeof(FbBytes));
	bool *metadata_nulls = palloc(count * sizeof(bool));
	Datum *positions = palloc(count * sizeof(Datum));
	Datum values[7];
	SpiStatement *statement;

	for (int i = 0; i < count; i++)
	{
		namespaces[i] = updates[i]->state_namespace;
		keys[i] = updates[i]->key;
		state_values[i] = updates[i]->value;
		metadata[i] = updates[i]->metadata;
		metadata_nulls[i] = updates[i]->metadata.size == 0;
		positions[i] = Int32GetDatum((int32) updates[i]->version.tx_index);
	}
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = ledger_text_array(namespaces, NULL, count);
	values[2] = ledger_bytea_array(keys, NULL, count);
	values[3] = ledger_bytea_array(state_values, NULL, count);
	values[4] = ledger_bytea_array(metadata, metadata_nulls, count);
	values[5] = Int64GetDatum((int64) updates[0]->version.block_number);
	values[6] = ledger_array(positions, NULL, count, INT4OID, 4, true, TYPALIGN_INT);
	statement = ledger_statement(
		ledger, LEDGER_UPSERT_STATE,
		"INSERT INTO fabric_internal.world_state_%d (channel, namespace, key, value, metadata, block_number, position) "
		"SELECT $1, u.namespace, u.key, u.value, u.metadata, $6, u.position "
		"FROM unnest($2, $3, $4, $5, $7) u(namespace, key, value, metadata, position) "
		"ON CONFLICT (namespace, key) DO UPDATE SET value = EXCLUDED.value, metadata = EXCLUDED.metadata, "
		"block_number = EXCLUDED.block_number, position = EXCLUDED.position",
		7, types);
	spi_run(statement, values, NULL, false, 0);
}

static size_t
update_bytes(const void *updates, int index)
{
	const StateUpdate *update = ((const StateUpdate *const *) updates)[index];

	return update->state_namespace.size + update->key.size + update->value.size +
		   update->metadata.size;
}

/* apply the change in as many statements as its values need; memory of each statement is freed
 * after it */
static void
apply_keys(const Ledger *ledger, void (*change)(const Ledger *, const StateUpdate *const *, int),
		   const StateUpdate *const *updates, int count)
{
	for (int rows; count > 0; updates += rows, count -= rows)
	{
		SpiScope scope;

		rows = ledger_batch_rows(updates, count, update_bytes);
		spi_begin(&scope);
		change(ledger, updates, rows);
		spi_end(&scope);
	}
}

void
state_store_apply(const Ledger *ledger, const StateUpdate *updates, size_t updates_count)
{
	const StateUpdate **deletes = palloc(updates_count * sizeof(StateUpdate *) + 1);
	const StateUpdate **upserts = palloc(updates_count * sizeof(StateUpdate *) + 1);
	int deletes_count = 0;
	int upserts_count = 0;

	for (size_t i = 0; i < updates_count; i++)
		if (updates[i].is_delete)
			deletes[deletes_count++] = &updates[i];
		else
			upserts[upserts_count++] = &updates[i];
	apply_keys(ledger, delete_keys, deletes, deletes_count);
	apply_keys(ledger, upsert_keys, upserts, upserts_count);
}

void
state_store_digest(const Ledger *ledger, Snapshot snapshot, uint8_t digest[32])
{
	StateDigest state;
	LedgerPlaces through_index = {0};
	LedgerPlaces in_table = {0};
	StateScan *scan;
	StateRow row;
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric state digest", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	ledger_require_pages(ledger, &ledger->world_state);
	scan = state_store_scan_all(ledger, snapshot);
	old = MemoryContextSwitchTo(row_context);
	state_digest_start(&state);
	while (MemoryContextReset(row_context), state_scan_next(scan, &row))
	{
		ledger_scan_add_place(&scan->scan, &through_index);
		state_digest_add(&state, row.namespace_name, row.key, row.value, row.metadata, row.version);
	}
	state_digest_finish(&state, digest);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
	ledger_scan_places(&scan->scan, &in_table);
	state_scan_end(scan);
	if (through_index.count == in_table.count && through_index.sum == in_table.sum)
		return;
	ereport(
		ERROR,
		(fb_errcode(FB_CORRUPTED),
		 errmsg("index of the world state of channel \"%s\" does not have the rows of its table",
				ledger->channel),
		 errdetail("The table has %llu rows, the index gives %llu.",
				   (unsigned long long) in_table.count, (unsigned long long) through_index.count),
		 errhint(LEDGER_DAMAGE_HINT)));
}

void
state_store_clear(const Ledger *ledger)
{
	SpiScope scope;

	spi_begin(&scope);
	if (SPI_execute(psprintf("DELETE FROM %s", ledger_partition_name(ledger, "world_state")), false,
					0) < 0)
		elog(ERROR, "could not clear the world state of channel \"%s\"", ledger->channel);
	spi_end(&scope);
}

static void
state_insert_rows(const Ledger *ledger, const StateRow *rows, int count)
{
	static const Oid types[] = {TEXTOID,	   TEXTARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID,
								BYTEAARRAYOID, INT8ARRAYOID, INT4ARRAYOID};
	FbBytes *columns = palloc(4 * count * sizeof(FbBytes));
	bool *metadata_nulls = palloc(count * sizeof(bool));
	Datum *numbers = palloc(count * sizeof(Datum));
	Datum *positions = palloc(count * sizeof(Datum));
	Datum values[7];

	for (int i = 0; i < count; i++)
	{
		columns[i] = rows[i].namespace_name;
		columns[count + i] = rows[i].key;
		columns[2 * count + i] = rows[i].value;
		columns[3 * count + i] = rows[i].metadata;
		metadata_nulls[i] = rows[i].metadata.size == 0;
		numbers[i] = Int64GetDatum((int64) rows[i].version.block_number);
		positions[i] = Int32GetDatum((int32) rows[i].version.tx_index);
	}
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = ledger_text_array(columns, NULL, count);
	values[2] = ledger_bytea_array(columns + count, NULL, count);
	values[3] = ledger_bytea_array(columns + 2 * count, NULL, count);
	values[4] = ledger_bytea_array(columns + 3 * count, metadata_nulls, count);
	values[5] = ledger_array(numbers, NULL, count, INT8OID, 8, true, TYPALIGN_DOUBLE);
	values[6] = ledger_array(positions, NULL, count, INT4OID, 4, true, TYPALIGN_INT);
	spi_run(
		ledger_statement(
			ledger, LEDGER_FILL_STATE,
			"INSERT INTO fabric_internal.world_state_%d (channel, namespace, key, value, metadata, block_number, position) "
			"SELECT $1, u.namespace, u.key, u.value, u.metadata, u.block_number, u.position "
			"FROM unnest($2, $3, $4, $5, $6, $7) u(namespace, key, value, metadata, block_number, position)",
			7, types),
		values, NULL, false, 0);
}

static size_t
row_bytes(const void *rows, int index)
{
	const StateRow *row = (const StateRow *) rows + index;

	return row->namespace_name.size + row->key.size + row->value.size + row->metadata.size;
}

void
state_store_fill(const Ledger *ledger, const StateRow *rows, int count)
{
	for (int batch; count > 0; rows += batch, count -= batch)
	{
		SpiScope scope;

		batch = ledger_batch_rows(rows, count, row_bytes);
		spi_begin(&scope);
		state_insert_rows(ledger, rows, batch);
		spi_end(&scope);
	}
}

char *
state_key_text(FbBytes key)
{
	StringInfoData text;

	initStringInfo(&text);
	if (!fb_utf8_valid(key))
	{
		char *hex = palloc(key.size * 2 + 1);

		fb_hex_encode(key, hex);
		appendStringInfo(&text, "\\x%s", hex);
		return text.data;
	}
	for (size_t i = 0; i < key.size; i++)
		if (key.data[i] == 0)
			appendStringInfoString(&text, "\xE2\x90\x80"); /* U+2400, the picture of a zero, as in
															  decoded blocks */
		else
			appendStringInfoChar(&text, (char) key.data[i]);
	return text.data;
}
