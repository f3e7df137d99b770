/*
 * index_check.c: the rows of a table against its indexes, both ways.
 *
 * Readers of the ledger go through the indexes: a row that the table has and its index has not is
 * invisible to them and to any comparison that goes through the index, too; it appears as soon as
 * the index is made again. So the table is read page by page, each of its visible rows looked up in
 * each of its indexes, and what the index gives for the row's key must be this row. The other way
 * round, an index gives as many rows as the table has: what it gives twice or under another key
 * would be too many.
 *
 * Values that are stored outside of their row are read, too, because a row whose value is gone is
 * worth nothing.
 */
#include "server/ledger/ledger_internal.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#define INDEXES_MAX 4

typedef struct IndexLookup
{
	Relation index;
	IndexInfo *info;
	RegProcedure equal[INDEX_MAX_KEYS];
	uint64 expected; /* visible rows that belong into it */
} IndexLookup;

typedef struct IndexCheck
{
	Relation table;
	Snapshot snapshot;
	TupleTableSlot *row; /* of the table */
	IndexLookup indexes[INDEXES_MAX];
	int indexes_count;
	MemoryContext row_context;
	char *row_name;
	uint64 problems_count;
	LedgerRowDamage report;
	void *context;
} IndexCheck;

static const char *
index_value_text(Oid type, Datum value)
{
	switch (type)
	{
		case INT8OID:
			return psprintf(INT64_FORMAT, DatumGetInt64(value));
		case INT4OID:
			return psprintf("%d", DatumGetInt32(value));
		case BYTEAOID:
		case TEXTOID:
			return psprintf("\"%s\"", FB_DISPLAY(memory_bytes(PG_DETOAST_DATUM_PACKED(value))));
		default:
			return "...";
	}
}

/* the key of the row in the main index, as far as it can be read; else its place */
static void
name_row(void *context)
{
	IndexCheck *check = context;
	StringInfoData name;

	initStringInfo(&name);
	for (int i = 0; check->indexes_count > 0 && i < check->indexes[0].info->ii_NumIndexKeyAttrs;
		 i++)
	{
		Form_pg_attribute column =
			TupleDescAttr(RelationGetDescr(check->table),
						  check->indexes[0].info->ii_IndexAttrNumbers[i] - 1);
		bool is_null;
		Datum value = slot_getattr(check->row, column->attnum, &is_null);

		appendStringInfo(&name, "%s%s %s", i > 0 ? ", " : "", NameStr(column->attname),
						 is_null ? "null" : index_value_text(column->atttypid, value));
	}
	check->row_name = name.data;
}

static void
report_row(IndexCheck *check, const char *index, bool readable, const char *what)
{
	char *why;

	check->problems_count++;
	check->row_name = NULL;
	if (!ledger_try(name_row, check, &why) || check->row_name == NULL || check->row_name[0] == '\0')
		check->row_name =
			psprintf("row %u of page %u", ItemPointerGetOffsetNumberNoCheck(&check->row->tts_tid),
					 ItemPointerGetBlockNumberNoCheck(&check->row->tts_tid));
	check->report(check->context, RelationGetRelationName(check->table), index, check->row_name,
				  readable, what);
}

static void
open_indexes(IndexCheck *check)
{
	List *indexes = RelationGetIndexList(check->table);
	ListCell *cell;

	foreach(cell, indexes)
	{
		IndexLookup *lookup = &check->indexes[check->indexes_count];

		if (check->indexes_count == INDEXES_MAX)
			break;
		lookup->index = index_open(lfirst_oid(cell), AccessShareLock);
		lookup->info = BuildIndexInfo(lookup->index);
		/*
		 * an index that the extension did not make may be of any kind; catalog_check.c reports one
		 * that is not valid
		 */
		if (!lookup->index->rd_index->indisvalid || lookup->index->rd_rel->relam != BTREE_AM_OID ||
			lookup->info->ii_Expressions != NIL)
		{
			index_close(lookup->index, AccessShareLock);
			continue;
		}
		for (int i = 0; i < lookup->info->ii_NumIndexKeyAttrs; i++)
			lookup->equal[i] = get_opcode(
				get_opfamily_member(lookup->index->rd_opfamily[i], lookup->index->rd_opcintype[i],
									lookup->index->rd_opcintype[i], BTEqualStrategyNumber));
		check->indexes_count++;
	}
}

static void
close_indexes(IndexCheck *check)
{
	for (int i = 0; i < check->indexes_count; i++)
		index_close(check->indexes[i].index, AccessShareLock);
}

/*
 * the only partial index of the ledger is the one of transaction ids that are not null; false: the
 * row does not belong into the index
 */
static bool
make_keys(IndexCheck *check, IndexLookup *lookup, ScanKey keys)
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	FormIndexDatum(lookup->info, check->row, NULL, values, nulls);
	for (int i = 0; i < lookup->info->ii_NumIndexKeyAttrs; i++)
	{
		if (nulls[i])
			return false;
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   lookup->index->rd_indcollation[i], lookup->equal[i], values[i]);
	}
	return true;
}

/* in a subtransaction, which must own the pins of the scan: so it begins and ends here */
static void
index_look_up(IndexCheck *check, IndexLookup *lookup, TupleTableSlot *found)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	IndexScanDesc scan;
	bool any = false;
	bool same = false;

	if (!make_keys(check, lookup, keys))
		return;
	lookup->expected++;
	scan = index_beginscan(check->table, lookup->index, check->snapshot,
						   lookup->info->ii_NumIndexKeyAttrs, 0);
	index_rescan(scan, keys, lookup->info->ii_NumIndexKeyAttrs, NULL, 0);
	while (!same && index_getnext_slot(scan, ForwardScanDirection, found))
	{
		any = true;
		same = ItemPointerEquals(&found->tts_tid, &check->row->tts_tid);
	}
	ExecClearTuple(found);
	index_endscan(scan);
	if (!same)
		report_row(check, RelationGetRelationName(lookup->index), true,
				   any ? "is in the table, but the index returns another row for its key"
					   : "is in the table, but not in its index");
}

/* every value can be read */
static void
read_values(IndexCheck *check)
{
	TupleDesc columns = RelationGetDescr(check->table);

	slot_getallattrs(check->row);
	for (int i = 0; i < columns->natts; i++)
		if (!check->row->tts_isnull[i] && TupleDescAttr(columns, i)->attlen == -1)
			(void) PG_DETOAST_DATUM(check->row->tts_values[i]);
}

static void
index_check_row(void *context)
{
	IndexCheck *check = context;
	TupleTableSlot *found = table_slot_create(check->table, NULL);

	read_values(check);
	for (int i = 0; i < check->indexes_count; i++)
		index_look_up(check, &check->indexes[i], found);
	ExecDropSingleTupleTableSlot(found);
}

/* ---- errors of damaged pages as problems ---- */

bool
ledger_try(void (*work)(void *context), void *context, char **why)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(context);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error;
		int category;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
		/*
		 * what damaged bytes lead to; a cancellation, too little memory, a channel that was left go
		 * on
		 */
		if (category != ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR) &&
			error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION &&
			category != ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR) &&
			category != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) &&
			error->sqlerrcode != error_sqlstate(FB_CORRUPTED))
			ReThrowError(error);
		*why = error->detail != NULL ? psprintf("%s: %s", error->message, error->detail)
									 : error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return done;
}

/* ---- the whole ---- */

/*
 * rows that the index gives; the scan reads the table, too, because only that knows what is visible
 */
static void
count_indexes(void *context)
{
	IndexCheck *check = context;
	TupleTableSlot *found = table_slot_create(check->table, NULL);

	for (int i = 0; i < check->indexes_count; i++)
	{
		IndexLookup *lookup = &check->indexes[i];
		IndexScanDesc scan = index_beginscan(check->table, lookup->index, check->snapshot, 0, 0);
		uint64 count = 0;

		index_rescan(scan, NULL, 0, NULL, 0);
		while (index_getnext_slot(scan, ForwardScanDirection, found))
		{
			CHECK_FOR_INTERRUPTS();
			count++;
		}
		ExecClearTuple(found);
		index_endscan(scan);
		if (count <= lookup->expected)
			continue;
		check->problems_count++;
		check->report(check->context, RelationGetRelationName(check->table),
					  RelationGetRelationName(lookup->index), NULL, true,
					  psprintf("returns " UINT64_FORMAT " rows more than once or for another key",
							   count - lookup->expected));
	}
	ExecDropSingleTupleTableSlot(found);
}

static void
check_table(IndexCheck *check, Oid table)
{
	TableScanDesc scan;
	char *why;

	check->table = table_open(table, AccessShareLock);
	check->indexes_count = 0;
	check->row = table_slot_create(check->table, NULL);
	memset(check->indexes, 0, sizeof(check->indexes));
	open_indexes(check);
	scan = table_beginscan(check->table, check->snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, check->row))
	{
		MemoryContext caller = MemoryContextSwitchTo(check->row_context);

		CHECK_FOR_INTERRUPTS();
		if (!ledger_try(index_check_row, check, &why))
			report_row(check, NULL, false, psprintf("cannot be read: %s", why));
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check->row_context);
	}
	table_endscan(scan);
	if (!ledger_try(count_indexes, check, &why))
	{
		check->problems_count++;
		check->report(check->context, RelationGetRelationName(check->table), NULL, NULL, false,
					  psprintf("cannot be read through its indexes: %s", why));
	}
	close_indexes(check);
	ExecDropSingleTupleTableSlot(check->row);
	table_close(check->table, NoLock);
}

uint64
ledger_check_indexes(const Ledger *ledger, Snapshot snapshot, LedgerRowDamage report, void *context)
{
	IndexCheck check = {.snapshot = snapshot, .report = report, .context = context};
	Oid tables[] = LEDGER_TABLES(ledger);

	check.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric row", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < lengthof(tables); i++)
		check_table(&check, tables[i]);
	MemoryContextDelete(check.row_context);
	return check.problems_count;
}

/* ---- rows with the same key ---- */

/* of the row's key in the index: its values with their sizes */
static void
digest_key(IndexCheck *check, IndexLookup *lookup, uint8_t digest[CRYPTO_SHA256_BYTES])
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	CryptoSha256 hash;

	FormIndexDatum(lookup->info, check->row, NULL, values, nulls);
	crypto_sha256_start(&hash);
	for (int i = 0; i < lookup->info->ii_NumIndexKeyAttrs; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(lookup->index), i);
		FbBytes bytes = fb_bytes(&values[i], sizeof(Datum));
		uint64 size;

		if (column->attlen == -1)
			bytes = memory_bytes(PG_DETOAST_DATUM(values[i]));
		size = bytes.size;
		crypto_sha256_add(&hash, fb_bytes(&size, sizeof(size)));
		crypto_sha256_add(&hash, bytes);
	}
	crypto_sha256_finish(&hash, digest);
}

static void
remove_of_index(IndexCheck *check, IndexLookup *lookup)
{
	HASHCTL control = {.keysize = CRYPTO_SHA256_BYTES,
					   .entrysize = CRYPTO_SHA256_BYTES,
					   .hcxt = CurrentMemoryContext};
	HTAB *seen = hash_create("fabric keys", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	TableScanDesc scan = table_beginscan(check->table, check->snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, check->row))
	{
		MemoryContext caller = MemoryContextSwitchTo(check->row_context);
		uint8_t digest[CRYPTO_SHA256_BYTES];
		bool found;

		CHECK_FOR_INTERRUPTS();
		digest_key(check, lookup, digest);
		(void) hash_search(seen, digest, HASH_ENTER, &found);
		if (found)
			simple_heap_delete(check->table, &check->row->tts_tid);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check->row_context);
	}
	table_endscan(scan);
	hash_destroy(seen);
}

void
index_check_remove_duplicates(Oid table)
{
	IndexCheck check = {.table = table_open(table, RowExclusiveLock)};

	check.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric row", ALLOCSET_DEFAULT_SIZES);
	check.row = table_slot_create(check.table, NULL);
	open_indexes(&check);
	for (int i = 0; i < check.indexes_count; i++)
	{
		if (!check.indexes[i].index->rd_index->indisunique)
			continue;
		CommandCounterIncrement();
		check.snapshot = RegisterSnapshot(GetLatestSnapshot());
		remove_of_index(&check, &check.indexes[i]);
		UnregisterSnapshot(check.snapshot);
	}
	close_indexes(&check);
	ExecDropSingleTupleTableSlot(check.row);
	table_close(check.table, NoLock);
	MemoryContextDelete(check.row_context);
	CommandCounterIncrement();
}

/* ---- rows whose values are gone ---- */

static void
read_row(void *context)
{
	read_values(context);
}

void
index_check_remove_unreadable(Oid table, LedgerDamage report, void *context)
{
	IndexCheck check = {.table = table_open(table, RowExclusiveLock)};
	TableScanDesc scan;
	char *why;

	CommandCounterIncrement();
	check.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric row", ALLOCSET_DEFAULT_SIZES);
	check.row = table_slot_create(check.table, NULL);
	check.snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(check.table, check.snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, check.row))
	{
		MemoryContext caller = MemoryContextSwitchTo(check.row_context);

		CHECK_FOR_INTERRUPTS();
		if (!ledger_try(read_row, &check, &why))
		{
			report(context, RelationGetRelationName(check.table),
				   ItemPointerGetBlockNumber(&check.row->tts_tid),
				   psprintf("Row %u cannot be read: %s.",
							ItemPointerGetOffsetNumber(&check.row->tts_tid), why));
			simple_heap_delete(check.table, &check.row->tts_tid);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check.row_context);
	}
	table_endscan(scan);
	UnregisterSnapshot(check.snapshot);
	ExecDropSingleTupleTableSlot(check.row);
	table_close(check.table, NoLock);
	MemoryContextDelete(check.row_context);
	CommandCounterIncrement();
}
