/* what the files of ledger share: scans through an index, statements per ledger */
#ifndef FABRIC_SERVER_LEDGER_INTERNAL_H
#define FABRIC_SERVER_LEDGER_INTERNAL_H

#include "server/ledger/ledger.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include <zstd.h>

/* ---- scan.c: rows of one partition in index order, through one snapshot ---- */

typedef struct LedgerScan
{
	Relation table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	Snapshot snapshot;
	MemoryContext context; /* where the scan began */
} LedgerScan;

typedef enum LedgerIndex
{
	LEDGER_MAIN_INDEX,
	LEDGER_OTHER_INDEX
} LedgerIndex;

/*
 * table: of this ledger. keys: scan keys over the leading columns of the index, by index column
 * number. FB_CHANNEL_NOT_FOUND when it was left meanwhile
 */
extern void ledger_scan_begin(LedgerScan *scan, const Ledger *ledger, const LedgerTable *table,
							  LedgerIndex index, ScanKey keys, int keys_count, Snapshot snapshot);
extern bool ledger_scan_next(LedgerScan *scan, ScanDirection direction);
extern void ledger_scan_end(LedgerScan *scan);
/*
 * a set of places of rows in a table, for comparing an index with its table: how many, and the sum
 * of a hash of each
 */
typedef struct LedgerPlaces
{
	uint64 count;
	uint64 sum;
} LedgerPlaces;

extern void ledger_scan_add_place(LedgerScan *scan, LedgerPlaces *places); /* of the current row */
/* of all rows of the table, not through the index */
extern void ledger_scan_places(LedgerScan *scan, LedgerPlaces *places);
/* a column of the current row; borrowed (detoasted copies live in the current context) */
extern bool ledger_scan_is_null(LedgerScan *scan, AttrNumber column);
/* bytea or text; empty when null */
extern FbBytes ledger_scan_bytes(LedgerScan *scan, AttrNumber column);
extern int64 ledger_scan_int8(LedgerScan *scan, AttrNumber column);
extern int32 ledger_scan_int4(LedgerScan *scan, AttrNumber column);
extern int16 ledger_scan_int2(LedgerScan *scan, AttrNumber column);
extern FbBytes ledger_copy(FbBytes bytes); /* palloc'ed in the current context */

#define LEDGER_DAMAGE_HINT \
	"fabric.verify_chain lists what is damaged; fabric.repair_tables and then fabric.repair_chain repair it."

/* ---- row_check.c ---- */

/* What is wrong with a row, before anything reads its values; NULL: nothing. */

/* the row within its page; page: its first byte */
extern const char *row_check_place(const char *page, const char *row, size_t bytes);
/*
 * the place and length of every value within the row. columns: of its table. toast_table: where its
 * long values are, InvalidOid: nowhere
 */
extern const char *row_check(TupleDesc columns, Oid toast_table, HeapTupleHeader header,
							 size_t bytes);
/* the same of an entry of an index, whose size is known to be right */
extern const char *index_entry_check(TupleDesc columns, IndexTuple entry);

/* ---- page_check.c ---- */

/* take what cannot be read out of the tables' pages, under the locks of the repair */
extern void page_check_repair(const Ledger *ledger, LedgerDamage report, void *context);

/* ---- index_check.c ---- */

/*
 * remove rows: of those with the same key in a unique index all but the first; the table alone is
 * read. For the repair, under its locks
 */
extern void index_check_remove_duplicates(Oid table);
/*
 * rows with a value that cannot be read, because its part of the TOAST table is gone; after the
 * indexes were made
 */
extern void index_check_remove_unreadable(Oid table, LedgerDamage report, void *context);

/* ---- scan.c ---- */

/* of a ledger, in the order in which a commit locks them */
/* clang-format off */
#define LEDGER_TABLES(ledger) {(ledger)->raft_log.table, (ledger)->transaction.table, (ledger)->block.table, (ledger)->world_state.table, \
	(ledger)->history.table, (ledger)->private_state.table, (ledger)->transient.table}
/* clang-format on */

/* scan keys */
extern void scan_key_int8(ScanKey key, AttrNumber column, StrategyNumber strategy, int64 value);
extern void scan_key_int4(ScanKey key, AttrNumber column, StrategyNumber strategy, int32 value);
extern void scan_key_bytea(ScanKey key, AttrNumber column, StrategyNumber strategy, FbBytes value);
/* equality, collation "C" */
extern void scan_key_text(ScanKey key, AttrNumber column, FbBytes value);

/* ---- ledger_cache.c, arrays.c, storage.c ---- */

/* of a channel, with the latest snapshot; 0: it is not joined here, *import_only is not set */
extern int ledger_read_id(const char *channel, bool *import_only);

/*
 * in place, what is known of the tables' ids, if a message has come that some changed.
 * FB_CHANNEL_NOT_FOUND
 */
extern void ledger_refresh(const Ledger *ledger);
/*
 * of a joined channel: indexes and triggers of its partitions that are missing; nothing when there
 * is no such channel
 */
extern void ledger_repair_partitions(const char *channel);

/*
 * Arrays for the set-wise statements. An array holds at most 1 GB, and a few large values reach
 * that: ledger_batch_rows says how many of the rows go into one statement, at least one. row_bytes:
 * what one of them adds to the arrays.
 */
extern int ledger_batch_rows(const void *rows, int count,
							 size_t (*row_bytes)(const void *rows, int index));
extern Datum ledger_bytea_array(const FbBytes *values, const bool *nulls, int count);
extern Datum ledger_text_array(const FbBytes *values, const bool *nulls, int count);
extern Datum ledger_array(Datum *values, bool *nulls, int count, Oid type, int16 length,
						  bool by_value, char align);

/* ---- dictionary.c ---- */

/* the newest dictionary of a ledger (NULL and id 0: none), and one by its id; owned by the session
 */
extern ZSTD_CDict *dictionary_for_compression(const Ledger *ledger, int level, int *dictionary_id);
extern ZSTD_DDict *dictionary_for_decompression(const Ledger *ledger, int dictionary_id);
/* after this transaction has removed dictionaries */
extern void dictionary_forget_all(void);

/* ---- guard.c, block_store.c: what the trigger of the table of blocks need not prove again ---- */

/*
 * The transactions of a block as this process has just put them into the table: what
 * envelope_codec_encode made of each of the block's envelopes.
 */
typedef struct StoredBlock
{
	const Ledger *ledger;
	const CheckedBlock *block;
	const FbBytes *stored; /* by position */
} StoredBlock;

/* ---- proved_block.c ---- */

/* run insert(argument), during which the trigger takes this block for proved */
extern void proved_block_insert(const StoredBlock *block, void (*insert)(void *argument),
								void *argument);
/* NULL: none */
extern const StoredBlock *proved_block_now(void);

/* ---- block_store.c ---- */

/*
 * has the table of transactions just these stored bytes for the block, at positions 0, 1, ...?
 * Nothing is decompressed
 */
extern bool block_store_holds(const Ledger *ledger, uint64 number, const FbBytes *stored,
							  size_t stored_count);

#endif
