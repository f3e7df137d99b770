/*
 * replay_history.c: the writes of a replayed chain, sorted as the history table is; PostgreSQL's
 * sort moves them to temporary files when they exceed their memory
 */
#include "server/audit/audit_internal.h"

#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/tuplesort.h"

enum
{
	COLUMN_NAMESPACE,
	COLUMN_KEY,
	COLUMN_BLOCK,
	COLUMN_POSITION,
	COLUMN_DELETE,
	COLUMN_HASH,
	COLUMN_COUNT
};
/* the sort compares the columns up to the position */
#define KEY_COLUMNS (COLUMN_POSITION + 1)

struct ReplayHistory
{
	MemoryContext row_context; /* of the row that is being added */
	Tuplesortstate *sort;
	TupleTableSlot *added;
	TupleTableSlot *read;
};

/* bytea has no operator with a name in the headers */
#define OPERATOR_BYTEA_LESS 1957

ReplayHistory *
replay_history_create(MemoryContext context, int memory_kb_max)
{
	static const Oid types[COLUMN_COUNT] = {TEXTOID, BYTEAOID, INT8OID, INT4OID, BOOLOID, BYTEAOID};
	AttrNumber columns[KEY_COLUMNS] = {1, 2, 3, 4};
	Oid operators[KEY_COLUMNS] = {TextLessOperator, OPERATOR_BYTEA_LESS, Int8LessOperator,
								  Int4LessOperator};
	Oid collations[KEY_COLUMNS] = {C_COLLATION_OID};
	bool nulls_first[KEY_COLUMNS] = {false};
	MemoryContext caller = MemoryContextSwitchTo(context);
	ReplayHistory *history = palloc0(sizeof(ReplayHistory));
	TupleDesc row = CreateTemplateTupleDesc(COLUMN_COUNT);

	for (int i = 0; i < COLUMN_COUNT; i++)
		TupleDescInitEntry(row, (AttrNumber) (i + 1), NULL, types[i], -1, 0);
	history->row_context =
		AllocSetContextCreate(context, "fabric replayed write", ALLOCSET_DEFAULT_SIZES);
	history->sort = tuplesort_begin_heap(row, KEY_COLUMNS, columns, operators, collations,
										 nulls_first, Max(memory_kb_max, 64), NULL, TUPLESORT_NONE);
	history->added = MakeSingleTupleTableSlot(row, &TTSOpsVirtual);
	history->read = MakeSingleTupleTableSlot(row, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(caller);
	return history;
}

void
replay_history_close(ReplayHistory *history)
{
	ExecDropSingleTupleTableSlot(history->added);
	ExecDropSingleTupleTableSlot(history->read);
	tuplesort_end(history->sort);
}

void
replay_history_add(ReplayHistory *history, uint64 number, const HistoryEntry *entry)
{
	MemoryContext caller = MemoryContextSwitchTo(history->row_context);
	Datum *values = history->added->tts_values;
	uint8_t hash[CRYPTO_SHA256_BYTES];

	crypto_sha256(entry->value, hash);
	ExecClearTuple(history->added);
	values[COLUMN_NAMESPACE] = PointerGetDatum(memory_text(entry->namespace_name));
	values[COLUMN_KEY] = PointerGetDatum(memory_bytea(entry->key));
	values[COLUMN_BLOCK] = Int64GetDatum((int64) number);
	values[COLUMN_POSITION] = Int32GetDatum((int32) entry->tx_index);
	values[COLUMN_DELETE] = BoolGetDatum(entry->is_delete);
	values[COLUMN_HASH] = PointerGetDatum(memory_bytea(fb_bytes(hash, sizeof(hash))));
	memset(history->added->tts_isnull, 0, COLUMN_COUNT * sizeof(bool));
	ExecStoreVirtualTuple(history->added);
	tuplesort_puttupleslot(history->sort, history->added);
	ExecClearTuple(history->added);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(history->row_context);
}

void
replay_history_sort(ReplayHistory *history)
{
	tuplesort_performsort(history->sort);
}

bool
replay_history_next(ReplayHistory *history, ReplayWrite *write)
{
	Datum *values = history->read->tts_values;
	FbBytes hash;

	if (!tuplesort_gettupleslot(history->sort, true, false, history->read, NULL))
		return false;
	slot_getallattrs(history->read);
	write->namespace_name = memory_bytes(DatumGetPointer(values[COLUMN_NAMESPACE]));
	write->key = memory_bytes(DatumGetPointer(values[COLUMN_KEY]));
	write->block_number = (uint64) DatumGetInt64(values[COLUMN_BLOCK]);
	write->position = (uint32) DatumGetInt32(values[COLUMN_POSITION]);
	write->is_delete = DatumGetBool(values[COLUMN_DELETE]);
	hash = memory_bytes(DatumGetPointer(values[COLUMN_HASH]));
	Assert(hash.size == sizeof(write->value_hash));
	memcpy(write->value_hash, hash.data, sizeof(write->value_hash));
	return true;
}
