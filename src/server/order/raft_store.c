/*
 * raft_store.c: the Raft log and the state that Raft must not forget, in tables. The orderer worker
 * is the only writer; the ledger worker reads committed entries. The log is accessed through its
 * partition, because joining or leaving another channel locks the partitioned table.
 */
#include "server/order/order_internal.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

static Datum
store_bytes_datum(FbBytes bytes)
{
	return PointerGetDatum(memory_bytea(bytes));
}

static uint64
column_u64(int row_index, int column_number)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row_index], SPI_tuptable->tupdesc, column_number,
								&is_null);

	return is_null ? 0 : (uint64) DatumGetInt64(value);
}

static RaftEntryKind
column_kind(int row_index, int column_number)
{
	bool is_null;

	return (RaftEntryKind) DatumGetInt16(SPI_getbinval(SPI_tuptable->vals[row_index],
													   SPI_tuptable->tupdesc, column_number,
													   &is_null));
}

/* a copy of the column in the context */
static FbBytes
column_bytes(int row_index, int column_number, MemoryContext context)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row_index], SPI_tuptable->tupdesc, column_number,
								&is_null);
	struct varlena *detoasted;
	FbBytes bytes;
	uint8_t *copy;

	if (is_null)
		return FB_BYTES_EMPTY;
	detoasted = PG_DETOAST_DATUM_PACKED(value);
	bytes = memory_bytes(detoasted);
	copy = MemoryContextAlloc(context, Max(bytes.size, 1));
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	if ((Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
	return fb_bytes(copy, bytes.size);
}

static void
store_column_text(int row_index, int column_number, char *text, size_t size)
{
	char *value = SPI_getvalue(SPI_tuptable->vals[row_index], SPI_tuptable->tupdesc, column_number);

	strlcpy(text, value != NULL ? value : "", size);
}

static bool
load_state(Datum channel, MemoryContext context, RaftStored *stored)
{
	bool is_null;
	static SpiStatement statement = {
		.sql =
			"SELECT raft_id, term, vote, commit_index, configuration, base_index, base_term, promises, has_voted, "
			"recovery, recovery_witness, recovering_since, recovery_detail, timeline, storage, base_block, base_hash "
			"FROM fabric_internal.raft_state WHERE channel = $1",
		.argument_count = 1,
		.argument_types = {TEXTOID},
	};
	FbBytes hash;

	(void) spi_run(&statement, &channel, NULL, true, 1);
	if (SPI_processed == 0)
		return false;
	stored->raft_id = column_u64(0, 1);
	stored->term = column_u64(0, 2);
	stored->vote = column_u64(0, 3);
	stored->commit_index = column_u64(0, 4);
	stored->configuration = column_bytes(0, 5, context);
	stored->base_index = column_u64(0, 6);
	stored->base_term = column_u64(0, 7);
	stored->memory = column_bytes(0, 8, context);
	stored->established =
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 9, &is_null));
	stored->recovery = (RaftRecoveryReason) column_u64(0, 10);
	stored->recovery_witness = column_u64(0, 11);
	stored->recovering_since = DatumGetTimestampTz(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 12, &is_null));
	if (is_null)
		stored->recovering_since = 0;
	store_column_text(0, 13, stored->recovery_detail, sizeof(stored->recovery_detail));
	stored->place.timeline = (uint32) column_u64(0, 14);
	store_column_text(0, 15, stored->place.storage, sizeof(stored->place.storage));
	stored->base_head.number = column_u64(0, 16);
	hash = column_bytes(0, 17, context);
	if (hash.size != sizeof(stored->base_head.hash))
		elog(ERROR, "block hash of the Raft log's start has %zu bytes", hash.size);
	memcpy(stored->base_head.hash, hash.data, hash.size);
	return true;
}

FbStatus
raft_store_load(const char *channel, RaftStored *stored, FbError *error)
{
	SpiStatement *statement = ledger_statement(
		ledger_open(channel), LEDGER_LOAD_RAFT_LOG,
		"SELECT index, term, octet_length(payload)::bigint FROM fabric_internal.raft_log_%d ORDER BY index",
		0, NULL);
	SpiScope scope;
	FbStatus status = FB_OK;

	memset(stored, 0, sizeof(*stored));
	spi_begin(&scope);
	stored->present = load_state(CStringGetTextDatum(channel), scope.outer, stored);

	(void) spi_run(statement, NULL, NULL, true, 0);
	stored->entries_count = SPI_processed;
	stored->entries =
		MemoryContextAllocHuge(scope.outer, sizeof(RaftTrailEntry) * Max(SPI_processed, 1));
	for (size_t index = 0; index < stored->entries_count; index++)
	{
		if (column_u64(index, 1) != stored->base_index + 1 + index)
		{
			status = fb_fail(error, FB_CORRUPTED, "Raft log of channel \"%s\" has no entry %llu",
							 channel, (unsigned long long) (stored->base_index + 1 + index));
			break;
		}
		stored->entries[index].term = column_u64(index, 2);
		stored->entries[index].payload_bytes = (uint32_t) column_u64(index, 3);
	}
	if (status == FB_OK && !stored->present && stored->entries_count > 0)
		status = fb_fail(error, FB_CORRUPTED,
						 "Raft log of channel \"%s\" has entries, but no state", channel);
	spi_end(&scope);
	return status;
}

void
raft_store_save_state(const OrderNode *node)
{
	static SpiStatement statement = {
		.sql =
			"INSERT INTO fabric_internal.raft_state AS s "
			"(channel, raft_id, term, vote, commit_index, configuration, base_index, base_term, promises, has_voted, "
			"recovery, recovery_witness, recovering_since, recovery_detail, timeline, storage, base_block, base_hash) "
			"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
			"ON CONFLICT (channel) DO UPDATE SET raft_id = excluded.raft_id, term = excluded.term, vote = excluded.vote, "
			"commit_index = excluded.commit_index, configuration = excluded.configuration, "
			"base_index = excluded.base_index, base_term = excluded.base_term, promises = excluded.promises, "
			"has_voted = excluded.has_voted, recovery = excluded.recovery, recovery_witness = excluded.recovery_witness, "
			"recovering_since = excluded.recovering_since, recovery_detail = excluded.recovery_detail, "
			"timeline = excluded.timeline, storage = excluded.storage, base_block = excluded.base_block, base_hash = excluded.base_hash",
		.argument_count = 18,
		.argument_types = {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, BYTEAOID, INT8OID, INT8OID,
						   BYTEAOID, BOOLOID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID,
						   TEXTOID, INT8OID, BYTEAOID},
	};
	const RaftHardState *state = &node->hard_state;
	SpiScope scope;
	Datum values[18];
	char nulls[19] = "                  ";

	spi_begin(&scope);
	values[0] = CStringGetTextDatum(node->channel);
	values[1] = Int64GetDatum((int64) node->raft_id);
	values[2] = Int64GetDatum((int64) state->term);
	values[3] = Int64GetDatum((int64) state->vote);
	values[4] = Int64GetDatum((int64) state->commit_index);
	values[5] = store_bytes_datum(state->configuration_state);
	values[6] = Int64GetDatum((int64) node->log_start_index);
	values[7] = Int64GetDatum((int64) node->log_start_term);
	values[8] = store_bytes_datum(state->memory);
	values[9] = BoolGetDatum(state->established);
	values[10] = Int64GetDatum((int64) state->recovery);
	values[11] = Int64GetDatum((int64) state->recovery_witness);
	values[12] = TimestampTzGetDatum(node->recovering_since);
	values[13] = CStringGetTextDatum(node->recovery_detail);
	values[14] = Int64GetDatum((int64) node->place.timeline);
	values[15] = CStringGetTextDatum(node->place.storage);
	values[16] = Int64GetDatum((int64) node->log_start_head.number);
	values[17] =
		store_bytes_datum(fb_bytes(node->log_start_head.hash, sizeof(node->log_start_head.hash)));
	if (state->recovery == RAFT_RECOVERY_NONE)
		nulls[12] = nulls[13] = 'n';
	(void) spi_run(&statement, values, nulls, false, 0);
	spi_end(&scope);
}

void
raft_store_append(const char *channel, uint64 index, uint64 term, RaftEntryKind kind,
				  FbBytes payload)
{
	static const Oid types[] = {TEXTOID, INT8OID, INT8OID, INT2OID, BYTEAOID};
	SpiStatement *statement = ledger_statement(
		ledger_open(channel), LEDGER_APPEND_RAFT_LOG,
		"INSERT INTO fabric_internal.raft_log_%d (channel, index, term, kind, payload) VALUES ($1, $2, $3, $4, $5)",
		lengthof(types), types);
	SpiScope scope;
	Datum values[5];

	spi_begin(&scope);
	values[0] = CStringGetTextDatum(channel);
	values[1] = Int64GetDatum((int64) index);
	values[2] = Int64GetDatum((int64) term);
	values[3] = Int16GetDatum((int16) kind);
	values[4] = store_bytes_datum(payload);
	(void) spi_run(statement, values, NULL, false, 0);
	spi_end(&scope);
}

static void
run_with_index(const char *channel, LedgerStatementKind kind, const char *sql, uint64 index)
{
	static const Oid types[] = {INT8OID};
	SpiStatement *statement =
		ledger_statement(ledger_open(channel), kind, sql, lengthof(types), types);
	SpiScope scope;
	Datum value = Int64GetDatum((int64) index);

	spi_begin(&scope);
	(void) spi_run(statement, &value, NULL, false, 0);
	spi_end(&scope);
}

void
raft_store_truncate(const char *channel, uint64 from_index)
{
	run_with_index(channel, LEDGER_TRUNCATE_RAFT_LOG,
				   "DELETE FROM fabric_internal.raft_log_%d WHERE index >= $1", from_index);
}

void
raft_store_compact(const char *channel, uint64 up_to_index)
{
	run_with_index(channel, LEDGER_COMPACT_RAFT_LOG,
				   "DELETE FROM fabric_internal.raft_log_%d WHERE index <= $1", up_to_index);
}

RaftStoredEntry *
raft_store_read(const char *channel, uint64 first_index, uint64 last_index, size_t bytes_max,
				int *entries_count)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID};
	/* the running sum avoids reading large payloads beyond the limit from their TOAST table */
	SpiStatement *statement = ledger_statement(
		ledger_open(channel), LEDGER_READ_RAFT_LOG,
		"SELECT index, term, kind, payload FROM ("
		"SELECT index, term, kind, payload, sum(octet_length(payload)) OVER (ORDER BY index) - octet_length(payload) AS before "
		"FROM fabric_internal.raft_log_%d WHERE index BETWEEN $1 AND $2) AS entry "
		"WHERE before < $3 ORDER BY index",
		lengthof(types), types);
	SpiScope scope;
	Datum values[3];
	RaftStoredEntry *entries;

	*entries_count = 0;
	/* limits the rows of the sum, however long the log is */
	last_index = Min(last_index, first_index + FB_RAFT_ENTRIES_PER_MESSAGE_MAX - 1);
	spi_begin(&scope);
	values[0] = Int64GetDatum((int64) first_index);
	values[1] = Int64GetDatum((int64) last_index);
	values[2] = Int64GetDatum((int64) Max(bytes_max, 1));
	/* not the transaction's snapshot: the commit index that the caller saw may be newer */
	(void) spi_run_latest(statement, values, NULL, 0);
	entries = MemoryContextAlloc(scope.outer, sizeof(RaftStoredEntry) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		entries[row].index = column_u64(row, 1);
		entries[row].term = column_u64(row, 2);
		entries[row].kind = column_kind(row, 3);
		entries[row].payload = column_bytes(row, 4, scope.outer);
	}
	*entries_count = (int) SPI_processed;
	spi_end(&scope);
	return entries;
}

uint64
raft_store_remove_configurations(const char *channel)
{
	SpiStatement *statement = ledger_statement(
		ledger_open(channel), LEDGER_HEAL_RAFT_LOG,
		"UPDATE fabric_internal.raft_log_%d SET kind = 1, payload = '' WHERE kind = 2", 0, NULL);
	SpiScope scope;
	uint64 count;

	spi_begin(&scope);
	(void) spi_run(statement, NULL, NULL, false, 0);
	count = SPI_processed;
	spi_end(&scope);
	return count;
}

static uint64
store_find_batch(const char *channel, LedgerStatementKind kind, const char *sql, uint64 index)
{
	static const Oid types[] = {INT8OID};
	SpiStatement *statement =
		ledger_statement(ledger_open(channel), kind, sql, lengthof(types), types);
	SpiScope scope;
	Datum value = Int64GetDatum((int64) index);
	uint64 result = 0;

	spi_begin(&scope);
	(void) spi_run_latest(statement, &value, NULL, 1);
	if (SPI_processed > 0)
		result = column_u64(0, 1);
	spi_end(&scope);
	return result;
}

uint64
raft_store_last_batch(const char *channel, uint64 up_to_index)
{
	return store_find_batch(
		channel, LEDGER_FIND_RAFT_BATCH,
		"SELECT index FROM fabric_internal.raft_log_%d WHERE index <= $1 AND kind = 0 ORDER BY index DESC LIMIT 1",
		up_to_index);
}

uint64
raft_store_first_batch(const char *channel, uint64 after_index)
{
	return store_find_batch(
		channel, LEDGER_FIND_NEXT_RAFT_BATCH,
		"SELECT index FROM fabric_internal.raft_log_%d WHERE index > $1 AND kind = 0 ORDER BY index LIMIT 1",
		after_index);
}
