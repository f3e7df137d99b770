/*
 * rebuild.c: rebuild world state, history and all columns that follow from the blocks, in one
 * transaction
 */
#include "server/audit/audit_internal.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

/* rows that go into the world state with one statement */
#define STATE_BATCH 1000

typedef struct Rebuild
{
	const Ledger *ledger;
	ChainRebuild *result;
	char *first_problem; /* of the block that is being looked at */
	/* every write in the order of the chain, on disk when there are many */
	Tuplestorestate *history;
	TupleDesc history_row;
	MemoryContext context;
} Rebuild;

enum
{
	HISTORY_NAMESPACE,
	HISTORY_KEY,
	HISTORY_BLOCK,
	HISTORY_POSITION,
	HISTORY_VALUE,
	HISTORY_COLUMNS
};

static void
refuse_damaged(Rebuild *rebuild, uint64 number)
{
	ereport(
		ERROR,
		(fb_errcode(FB_CORRUPTED),
		 errmsg("block %llu of channel \"%s\" is damaged", (unsigned long long) number,
				rebuild->ledger->channel),
		 rebuild->first_problem != NULL ? errdetail_internal("%s", rebuild->first_problem) : 0,
		 errhint(
			 "fabric.repair_chain replaces damaged blocks by those of another node, and rebuilds the state then.")));
}

static void
rebuild_note_problem(void *context, int64 block_number, int64 tx_index, const char *problem,
					 const char *detail)
{
	Rebuild *rebuild = context;

	if (rebuild->first_problem == NULL)
		rebuild->first_problem = MemoryContextStrdup(rebuild->context, detail);
	if (strcmp(problem, "block_missing") == 0)
		refuse_damaged(rebuild, (uint64) block_number);
}

static void
keep_history(Rebuild *rebuild, uint64 number, const MvccResult *mvcc)
{
	for (size_t i = 0; i < mvcc->history_count; i++)
	{
		const HistoryEntry *entry = &mvcc->history[i];
		Datum values[HISTORY_COLUMNS];
		bool nulls[HISTORY_COLUMNS] = {false};

		values[HISTORY_NAMESPACE] = PointerGetDatum(memory_bytea(entry->namespace_name));
		values[HISTORY_KEY] = PointerGetDatum(memory_bytea(entry->key));
		values[HISTORY_BLOCK] = Int64GetDatum((int64) number);
		values[HISTORY_POSITION] = Int32GetDatum((int32) entry->tx_index);
		nulls[HISTORY_VALUE] = entry->is_delete;
		values[HISTORY_VALUE] =
			entry->is_delete ? (Datum) 0 : PointerGetDatum(memory_bytea(entry->value));
		tuplestore_putvalues(rebuild->history, rebuild->history_row, values, nulls);
	}
}

static void
rebuild_visit(void *context, const ChainBlock *block)
{
	Rebuild *rebuild = context;

	if (block->damaged)
		refuse_damaged(rebuild, block->number);
	if (block->derived_wrong)
	{
		block_store_replace(rebuild->ledger, &block->expected, block->expected_transactions,
							(int) block->transactions_count);
		rebuild->result->blocks_corrected++;
	}
	if (block->mvcc != NULL)
		keep_history(rebuild, block->number, block->mvcc);
	if (rebuild->first_problem != NULL)
		pfree(rebuild->first_problem);
	rebuild->first_problem = NULL;
	rebuild->result->blocks_count++;
}

/* ---- writing ---- */

static void
write_state(Rebuild *rebuild, ReplayState *state)
{
	MemoryContext batch_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric state batch", ALLOCSET_DEFAULT_SIZES);
	StateRow *rows = palloc(STATE_BATCH * sizeof(StateRow));
	ReplayCursor *cursor = replay_cursor_open(state, FB_BYTES_EMPTY, FB_BYTES_EMPTY);
	MemoryContext caller = MemoryContextSwitchTo(batch_context);
	int count = 0;
	size_t batch_bytes = 0;
	bool more;

	state_store_clear(rebuild->ledger);
	do
	{
		ReplayRow row;

		more = replay_cursor_next(cursor, &row);
		if (more)
		{
			rows[count++] =
				(StateRow) {row.namespace_name, row.key, row.value, row.metadata, row.version};
			batch_bytes += row.value.size;
		}
		if (count == STATE_BATCH || batch_bytes > replay_memory_bytes(4) || (!more && count > 0))
		{
			state_store_fill(rebuild->ledger, rows, count);
			MemoryContextReset(batch_context);
			rebuild->result->state_rows += count;
			count = 0;
			batch_bytes = 0;
		}
	} while (more);
	MemoryContextSwitchTo(caller);
	replay_cursor_close(cursor);
	MemoryContextDelete(batch_context);
}

static FbBytes
slot_bytes(TupleTableSlot *slot, int column)
{
	bool is_null;
	Datum value = slot_getattr(slot, column + 1, &is_null);

	return is_null ? FB_BYTES_EMPTY : memory_bytes(DatumGetByteaPP(value));
}

static FbBytes
rebuild_copy(FbBytes bytes)
{
	return memory_bytes(memory_bytea(bytes));
}

static void
write_history(Rebuild *rebuild)
{
	MemoryContext block_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric history of a block",
							  ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rebuild->history_row, &TTSOpsMinimalTuple);
	MemoryContext caller = MemoryContextSwitchTo(block_context);
	HistoryEntry *entries = NULL;
	size_t count = 0;
	size_t capacity = 0;
	int64 current = -1;
	bool more;

	history_clear(rebuild->ledger);
	do
	{
		bool is_null;
		int64 number = -1;

		CHECK_FOR_INTERRUPTS();
		more = memory_next_row(rebuild->history, slot);
		if (more)
			number = DatumGetInt64(slot_getattr(slot, HISTORY_BLOCK + 1, &is_null));
		if (count > 0 && number != current)
		{
			history_append(rebuild->ledger, (uint64) current, entries, count);
			rebuild->result->history_rows += count;
			MemoryContextReset(block_context);
			entries = NULL;
			count = capacity = 0;
		}
		if (!more)
			break;
		current = number;
		if (count == capacity)
		{
			capacity = Max(16, capacity * 2);
			entries = entries == NULL ? palloc(capacity * sizeof(HistoryEntry))
									  : repalloc_huge(entries, capacity * sizeof(HistoryEntry));
		}
		entries[count] = (HistoryEntry) {
			.namespace_name = rebuild_copy(slot_bytes(slot, HISTORY_NAMESPACE)),
			.key = rebuild_copy(slot_bytes(slot, HISTORY_KEY)),
			.tx_index =
				(uint32_t) DatumGetInt32(slot_getattr(slot, HISTORY_POSITION + 1, &is_null)),
			.value = rebuild_copy(slot_bytes(slot, HISTORY_VALUE)),
		};
		(void) slot_getattr(slot, HISTORY_VALUE + 1, &is_null);
		entries[count++].is_delete = is_null;
	} while (more);
	MemoryContextSwitchTo(caller);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(block_context);
}

/* ---- the whole ---- */

static void
start_history(Rebuild *rebuild)
{
	static const struct
	{
		const char *name;
		Oid type;
	} columns[HISTORY_COLUMNS] = {{"namespace", BYTEAOID},
								  {"key", BYTEAOID},
								  {"block", INT8OID},
								  {"position", INT4OID},
								  {"value", BYTEAOID}};

	rebuild->history_row = CreateTemplateTupleDesc(HISTORY_COLUMNS);
	for (int i = 0; i < HISTORY_COLUMNS; i++)
		TupleDescInitEntry(rebuild->history_row, i + 1, columns[i].name, columns[i].type, -1, 0);
	rebuild->history = tuplestore_begin_heap(false, false, work_mem);
}

void
chain_rebuild(const Ledger *ledger, ChainRebuild *result)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "fabric rebuild", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	Rebuild rebuild = {.ledger = ledger, .result = result, .context = work};
	ChainWalk walk = {.ledger = ledger,
					  .to = UINT64_MAX,
					  .report = rebuild_note_problem,
					  .report_context = &rebuild,
					  .visit = rebuild_visit,
					  .visit_context = &rebuild};

	memset(result, 0, sizeof(*result));
	chain_require_pages(ledger);
	ledger_repair_begin(ledger);
	/* what was committed before the lock was granted, and nothing after it */
	PushActiveSnapshot(GetLatestSnapshot());
	walk.snapshot = GetActiveSnapshot();
	start_history(&rebuild);
	chain_walk(&walk);
	if (walk.stopped)
		refuse_damaged(&rebuild, 0);
	result->state_corrected = walk.state_differences;
	result->history_corrected = walk.history_differences;
	block_store_remove_strays(ledger, walk.height);
	ledger_set_config(ledger->channel, walk.replay->channel.config_block_number,
					  walk.replay->bundle->config_envelope);
	write_state(&rebuild, walk.replay->state);
	write_history(&rebuild);
	chain_walk_close(&walk);
	tuplestore_end(rebuild.history);
	PopActiveSnapshot();
	/* sessions drop what they have cached of the old state */
	CacheInvalidateRelcacheByRelid(ledger->world_state.table);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
}
