/* scan.c: rows of one partition in the order of one of its indexes, through one snapshot */
#include "server/ledger/ledger_internal.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

/*
 * Open and lock the table. Taking the lock processes the invalidations of concurrent changes: the
 * channel may have been left (and joined again), or an index rebuilt. Nothing changes while the
 * lock is held.
 */
static Relation
open_table(const Ledger *ledger, const LedgerTable *table)
{
	for (;;)
	{
		Oid wanted = table->table;
		Relation relation = try_table_open(wanted, AccessShareLock);

		ledger_refresh(ledger);
		if (relation != NULL && wanted == table->table)
			return relation;
		if (relation != NULL)
			table_close(relation, AccessShareLock);
		else if (wanted == table->table)
			elog(ERROR, "table %u of channel \"%s\" is missing", wanted, ledger->channel);
	}
}

void
ledger_scan_begin(LedgerScan *scan, const Ledger *ledger, const LedgerTable *table,
				  LedgerIndex index, ScanKey keys, int keys_count, Snapshot snapshot)
{
	scan->context = CurrentMemoryContext;
	scan->table = open_table(ledger, table);
	scan->index =
		index_open(index == LEDGER_MAIN_INDEX ? table->index : table->other_index, AccessShareLock);
	scan->slot = table_slot_create(scan->table, NULL);
	scan->snapshot = RegisterSnapshot(snapshot != NULL ? snapshot : GetActiveSnapshot());
	scan->scan = index_beginscan(scan->table, scan->index, scan->snapshot, keys_count, 0);
	index_rescan(scan->scan, keys, keys_count, NULL, 0);
}

/*
 * the row that was found, before its values are read: FB_CORRUPTED when they are not all within it
 */
static void
scan_check_row(LedgerScan *scan)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) scan->slot;
	HeapTuple row = slot->base.tuple;
	const char *problem;

	if (!TTS_IS_BUFFERTUPLE(scan->slot) || row == NULL || !BufferIsValid(slot->buffer))
		return;
	problem = row_check_place(BufferGetPage(slot->buffer), (const char *) row->t_data, row->t_len);
	if (problem == NULL)
		problem = row_check(RelationGetDescr(scan->table), scan->table->rd_rel->reltoastrelid,
							row->t_data, row->t_len);
	if (problem == NULL)
		return;
	ereport(ERROR,
			(fb_errcode(FB_CORRUPTED),
			 errmsg("page %u of table \"%s\" is damaged",
					ItemPointerGetBlockNumberNoCheck(&row->t_self),
					RelationGetRelationName(scan->table)),
			 errdetail("Row %u: %s.", ItemPointerGetOffsetNumberNoCheck(&row->t_self), problem),
			 errhint(LEDGER_DAMAGE_HINT)));
}

bool
ledger_scan_next(LedgerScan *scan, ScanDirection direction)
{
	/*
	 * what the index access method allocates (its list of dead entries) must live as long as the
	 * scan, even if the caller resets its context
	 */
	MemoryContext old;
	bool found;

	CHECK_FOR_INTERRUPTS();
	old = MemoryContextSwitchTo(scan->context);
	found = index_getnext_slot(scan->scan, direction, scan->slot);
	MemoryContextSwitchTo(old);
	if (found)
		scan_check_row(scan);
	return found;
}

static void
add_place(const ItemPointerData *place, LedgerPlaces *places)
{
	uint64 number = (uint64) ItemPointerGetBlockNumberNoCheck(place) << 16 |
					ItemPointerGetOffsetNumberNoCheck(place);

	places->count++;
	places->sum += hash_bytes_extended((const unsigned char *) &number, sizeof(number), 0);
}

void
ledger_scan_add_place(LedgerScan *scan, LedgerPlaces *places)
{
	add_place(&scan->slot->tts_tid, places);
}

void
ledger_scan_places(LedgerScan *scan, LedgerPlaces *places)
{
	TupleTableSlot *slot = table_slot_create(scan->table, NULL);
	TableScanDesc rows = table_beginscan(scan->table, scan->snapshot, 0, NULL);

	while (table_scan_getnextslot(rows, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		add_place(&slot->tts_tid, places);
	}
	table_endscan(rows);
	ExecDropSingleTupleTableSlot(slot);
}

void
ledger_scan_end(LedgerScan *scan)
{
	index_endscan(scan->scan);
	UnregisterSnapshot(scan->snapshot);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}

bool
ledger_scan_is_null(LedgerScan *scan, AttrNumber column)
{
	bool is_null;

	(void) slot_getattr(scan->slot, column, &is_null);
	return is_null;
}

FbBytes
ledger_scan_bytes(LedgerScan *scan, AttrNumber column)
{
	bool is_null;
	Datum datum = slot_getattr(scan->slot, column, &is_null);

	if (is_null)
		return FB_BYTES_EMPTY;
	return memory_bytes(PG_DETOAST_DATUM_PACKED(datum));
}

int64
ledger_scan_int8(LedgerScan *scan, AttrNumber column)
{
	bool is_null;

	return DatumGetInt64(slot_getattr(scan->slot, column, &is_null));
}

int32
ledger_scan_int4(LedgerScan *scan, AttrNumber column)
{
	bool is_null;

	return DatumGetInt32(slot_getattr(scan->slot, column, &is_null));
}

int16
ledger_scan_int2(LedgerScan *scan, AttrNumber column)
{
	bool is_null;

	return DatumGetInt16(slot_getattr(scan->slot, column, &is_null));
}

FbBytes
ledger_copy(FbBytes bytes)
{
	uint8_t *copy;

	if (bytes.size == 0)
		return FB_BYTES_EMPTY;
	copy = palloc(bytes.size);
	memcpy(copy, bytes.data, bytes.size);
	return fb_bytes(copy, bytes.size);
}

void
scan_key_int8(ScanKey key, AttrNumber column, StrategyNumber strategy, int64 value)
{
	RegProcedure function = strategy == BTEqualStrategyNumber		   ? F_INT8EQ
							: strategy == BTGreaterEqualStrategyNumber ? F_INT8GE
																	   : F_INT8LE;

	Assert(strategy == BTEqualStrategyNumber || strategy == BTGreaterEqualStrategyNumber ||
		   strategy == BTLessEqualStrategyNumber);
	ScanKeyInit(key, column, strategy, function, Int64GetDatum(value));
}

void
scan_key_int4(ScanKey key, AttrNumber column, StrategyNumber strategy, int32 value)
{
	Assert(strategy == BTEqualStrategyNumber);
	ScanKeyInit(key, column, strategy, F_INT4EQ, Int32GetDatum(value));
}

void
scan_key_bytea(ScanKey key, AttrNumber column, StrategyNumber strategy, FbBytes value)
{
	RegProcedure function = strategy == BTEqualStrategyNumber		   ? F_BYTEAEQ
							: strategy == BTGreaterEqualStrategyNumber ? F_BYTEAGE
																	   : F_BYTEALT;

	Assert(strategy == BTEqualStrategyNumber || strategy == BTGreaterEqualStrategyNumber ||
		   strategy == BTLessStrategyNumber);
	ScanKeyInit(key, column, strategy, function, PointerGetDatum(memory_bytea(value)));
}

void
scan_key_text(ScanKey key, AttrNumber column, FbBytes value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(memory_text(value)));
}
