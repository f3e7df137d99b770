/* what the files of ledger share: scans through an index, statements per ledger */
#ifndef FABRIC_SERVER_LEDGER_INTERNAL_H
#define FABRIC_SERVER_LEDGER_INTERNAL_H

#include "server/ledger/ledger.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include <zstd.h>

/* ---- scan.c: rows of one partition in index order, through one snapshot ---- */

typedef struct LedgerScan
{
	Relation	table;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	MemoryContext context;		/* where the scan began */
} LedgerScan;

typedef enum LedgerIndex
{
	LEDGER_MAIN_INDEX,
	LEDGER_OTHER_INDEX
} LedgerIndex;

/* table: of this ledger. keys: scan keys over the leading columns of the index, by index column number. FB_CHANNEL_NOT_FOUND when it was left meanwhile */
extern void ledger_scan_begin(LedgerScan *scan, const Ledger *ledger, const LedgerTable *table, LedgerIndex index, ScanKey keys, int keys_count,
							  Snapshot snapshot);
extern bool ledger_scan_next(LedgerScan *scan, ScanDirection direction);
extern void ledger_scan_end(LedgerScan *scan);
/* a column of the current row; borrowed (detoasted copies live in the current context) */
extern bool ledger_scan_is_null(LedgerScan *scan, AttrNumber column);
extern FbBytes ledger_scan_bytes(LedgerScan *scan, AttrNumber column); /* bytea or text; empty when null */
extern int64 ledger_scan_int8(LedgerScan *scan, AttrNumber column);
extern int32 ledger_scan_int4(LedgerScan *scan, AttrNumber column);
extern int16 ledger_scan_int2(LedgerScan *scan, AttrNumber column);
extern FbBytes ledger_copy(FbBytes bytes);	/* palloc'ed in the current context */

/* scan keys */
extern void scan_key_int8(ScanKey key, AttrNumber column, StrategyNumber strategy, int64 value);
extern void scan_key_int4(ScanKey key, AttrNumber column, StrategyNumber strategy, int32 value);
extern void scan_key_bytea(ScanKey key, AttrNumber column, StrategyNumber strategy, FbBytes value);
extern void scan_key_text(ScanKey key, AttrNumber column, FbBytes value); /* equality, collation "C" */

/* ---- storage.c ---- */

/* in place, what is known of the tables' ids, if a message has come that some changed. FB_CHANNEL_NOT_FOUND */
extern void ledger_refresh(const Ledger *ledger);

/*
 * Arrays for the set-wise statements. An array holds at most 1 GB, and a few large values reach that: ledger_batch_rows says how many of the rows go
 * into one statement, at least one. row_bytes: what one of them adds to the arrays.
 */
extern int	ledger_batch_rows(const void *rows, int count, size_t (*row_bytes) (const void *rows, int index));
extern Datum ledger_bytea_array(const FbBytes *values, const bool *nulls, int count);
extern Datum ledger_text_array(const FbBytes *values, const bool *nulls, int count);
extern Datum ledger_array(Datum *values, bool *nulls, int count, Oid type, int16 length, bool by_value, char align);

/* ---- dictionary.c: the newest dictionary of a ledger (NULL and id 0: none), and one by its id; owned by the session ---- */
extern ZSTD_CDict *dictionary_for_compression(const Ledger *ledger, int level, int *dictionary_id);
extern ZSTD_DDict *dictionary_for_decompression(const Ledger *ledger, int dictionary_id);

#endif
