/*
 * ledger: the tables of a channel on this node. Blocks, transactions, world state, history, private
 * plaintext.
 *
 * One writer: the ledger worker of the channel (and join_channel for block 0). Everybody else
 * reads, with point and range reads straight through the indexes of the channel's own partitions:
 * no SQL, no privileges needed, so callers decide who may see what. snapshot NULL means the active
 * snapshot. Results are palloc'ed in the current memory context.
 */
#ifndef FABRIC_SERVER_LEDGER_H
#define FABRIC_SERVER_LEDGER_H

#include "server/pg/pg.h"

#include "storage/block.h"
#include "utils/snapshot.h"

#include "core/block/block.h"
#include "core/rwset/rwset.h"
#include "core/txn/txn.h"

/* ---- ledger_cache.c, storage.c: the partitions of a channel ---- */

typedef struct LedgerTable
{
	Oid table;
	Oid index;		 /* the main unique index: by position in the ledger, or by key */
	Oid other_index; /* block: by hash; transaction: by tx id; else InvalidOid */
} LedgerTable;

typedef struct Ledger
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	int id;			  /* in the names of its partitions */
	bool import_only; /* blocks come only from fabric.import_block: no node is asked for blocks */
	LedgerTable block;
	LedgerTable transaction;
	LedgerTable world_state;
	LedgerTable history;
	LedgerTable private_state;
	LedgerTable transient;
	LedgerTable raft_log;
} Ledger;

/*
 * the ledger of a joined channel, NULL when this node has not joined it. Cached in the session,
 * valid for the transaction
 */
extern const Ledger *ledger_find(const char *channel);
/* the same; raises FB_CHANNEL_NOT_FOUND */
extern const Ledger *ledger_open(const char *channel);
/*
 * row and partitions of a new channel. config: ConfigEnvelope of block config_block_number.
 * FB_CHANNEL_EXISTS
 */
extern const Ledger *ledger_create(const char *channel, uint64 config_block_number, FbBytes config,
								   bool import_only);
/*
 * keeps the committer out until the end of this transaction; other sessions know it then.
 * FB_CHANNEL_NOT_FOUND
 */
extern void ledger_set_import_only(const char *channel, bool import_only);
extern void ledger_drop(const char *channel); /* FB_CHANNEL_NOT_FOUND */
/* fabric_internal.<table>_<id>, for SQL text */
extern char *ledger_partition_name(const Ledger *ledger, const char *table);

/* statements that name a partition, prepared once per session and ledger */
typedef enum LedgerStatementKind
{
	LEDGER_HEAL_RAFT_LOG,
	LEDGER_INSERT_TRANSACTIONS,
	LEDGER_INSERT_BLOCK,
	LEDGER_UPSERT_STATE,
	LEDGER_DELETE_STATE,
	LEDGER_INSERT_HISTORY,
	LEDGER_INSERT_TRANSIENT,
	LEDGER_DELETE_TRANSIENT,
	LEDGER_UPSERT_PRIVATE,
	LEDGER_DELETE_PRIVATE,
	LEDGER_DROP_STALE_PRIVATE,
	LEDGER_FILL_STATE,
	LEDGER_LOAD_RAFT_LOG,
	LEDGER_APPEND_RAFT_LOG,
	LEDGER_TRUNCATE_RAFT_LOG,
	LEDGER_COMPACT_RAFT_LOG,
	LEDGER_READ_RAFT_LOG,
	LEDGER_FIND_RAFT_BATCH,
	LEDGER_FIND_NEXT_RAFT_BATCH,
	LEDGER_STATEMENT_COUNT
} LedgerStatementKind;

/* format: SQL with %d where the ledger's id belongs, the same everywhere; made at first use */
extern SpiStatement *ledger_statement(const Ledger *ledger, LedgerStatementKind kind,
									  const char *format, int argument_count,
									  const Oid *argument_types);

/* the channel's configuration as stored: false when the channel is not joined */
extern bool ledger_config(const char *channel, uint64 *config_block_number, FbBytes *config);
extern void ledger_set_config(const char *channel, uint64 config_block_number, FbBytes config);

/* ---- block_store.c, transaction_row.c: blocks and transactions ---- */

typedef struct BlockRow
{
	uint64 number;
	FbBytes previous_hash;
	FbBytes data_hash;
	FbBytes block_hash;
	FbBytes signatures; /* metadata slots 0, 1, 2, 3 as bytes; commit_hash is the bare hash, may be
						   empty */
	FbBytes last_config;
	FbBytes transactions_filter;
	FbBytes orderer;
	FbBytes commit_hash;
	uint64 raft_index;
	uint64 raft_term; /* of the entry, if this node made the block from its own log; 0: not known */
	TimestampTz committed_at;
} BlockRow;

typedef struct TransactionRow
{
	uint64 block_number;
	uint32 position;
	int16 type; /* -1: unreadable */
	uint8 validation_code;
	FbBytes tx_id;			/* as in the channel header; empty: none */
	FbBytes creator_msp;	/* empty: none */
	FbBytes chaincode;		/* empty: none */
	TimestampTz created_at; /* DT_NOBEGIN: none */
	FbBytes envelope;		/* uncompressed */
} TransactionRow;

/*
 * The row of a transaction (transaction_row.c): what follows from its envelope, and its code. view:
 * of that envelope, as far as it could be read. Texts that are no names, and times that are none,
 * are left out: they are still in the envelope.
 */
extern void transaction_row_fill(TransactionRow *row, FbAllocator *allocator, uint64 number,
								 size_t position, FbBytes envelope, const TxView *view, uint8 code);

/*
 * Append one block with its transactions, in the caller's transaction. The triggers check number,
 * previous hash and data hash: FB_BLOCK_REFUSED when the block does not follow. checked: the same
 * block, whose envelopes the rows point to, so that its data hash need not be computed once more
 * (guard.c); NULL: it is.
 */
extern void block_store_append(const Ledger *ledger, const BlockRow *block,
							   const TransactionRow *transactions, int transactions_count,
							   const CheckedBlock *checked);
/*
 * replace a block and its transactions, or put a missing one back; the caller has proved that they
 * belong to the chain
 */
extern void block_store_replace(const Ledger *ledger, const BlockRow *block,
								const TransactionRow *transactions, int transactions_count);

extern uint64 block_store_height(const Ledger *ledger, Snapshot snapshot); /* count of blocks */
extern bool block_store_row(const Ledger *ledger, uint64 number, Snapshot snapshot, BlockRow *row);
extern bool block_store_number_of_hash(const Ledger *ledger, FbBytes block_hash, Snapshot snapshot,
									   uint64 *number);
/* the transactions of a block in order; with_envelopes false leaves envelope empty */
extern TransactionRow *block_store_transactions(const Ledger *ledger, uint64 number,
												Snapshot snapshot, bool with_envelopes, int *count);
extern bool block_store_transaction(const Ledger *ledger, uint64 number, uint32 position,
									Snapshot snapshot, bool with_envelope, TransactionRow *row);
/*
 * the transactions of a block exactly as stored, for an audit: nothing is decoded
 */
typedef struct StoredTransaction
{
	int32 position;
	int16 type;
	int16 validation_code;
	FbBytes tx_id; /* the column's form */
	FbBytes creator_msp;
	FbBytes chaincode;
	TimestampTz created_at; /* DT_NOBEGIN: null */
	FbBytes envelope;		/* for envelope_codec_decode */
} StoredTransaction;

extern StoredTransaction *block_store_stored_transactions(const Ledger *ledger, uint64 number,
														  Snapshot snapshot, int *count);
/* the first number >= number that a block or a transaction has; UINT64_MAX when none has */
extern uint64 block_store_next(const Ledger *ledger, uint64 number);
/*
 * rows of the tables block and transaction beyond the chain of this height: "block -1",
 * "transaction 3 of block 17"; List of char *, the first ten
 */
extern List *block_store_strays(const Ledger *ledger, uint64 height);
/* see ledger_repair_begin */
extern void block_store_remove_strays(const Ledger *ledger, uint64 height);
/*
 * Fabric's bytes of a block as a peer serves it (slots 2 and 4 filled), or as an orderer does
 * (bare)
 */
extern bool block_store_block(const Ledger *ledger, uint64 number, Snapshot snapshot, bool as_peer,
							  FbBytes *block);
/* a bare block without its transactions */
extern bool block_store_header(const Ledger *ledger, uint64 number, Snapshot snapshot,
							   FbBytes *block);

/* ---- tx_index.c: transaction ids. The first occurrence counts ---- */

extern FbBytes tx_index_encode(FbBytes tx_id); /* to the column's form, palloc'ed */
extern FbBytes tx_index_decode(FbBytes stored);
extern bool tx_index_find(const Ledger *ledger, FbBytes tx_id, Snapshot snapshot,
						  uint64 *block_number, uint32 *position, uint8 *validation_code);
/* for each of the ids, whether it is on the ledger; one pass for a whole block */
extern void tx_index_find_many(const Ledger *ledger, const FbBytes *tx_ids, int count, bool *found);

/* ---- state_store.c: the world state ---- */

typedef struct StateRow
{
	FbBytes namespace_name; /* filled by scans */
	FbBytes key;			/* filled by scans */
	FbBytes value;
	FbBytes metadata;
	RwSetVersion version;
} StateRow;

/* one key; false when it is absent (row->version.present is false then) */
extern bool state_store_get(const Ledger *ledger, FbBytes namespace_name, FbBytes key,
							Snapshot snapshot, StateRow *row);

/*
 * keys of [start, end) in byte order; an empty end: up to the end of the namespace. The row's bytes
 * live until the next call
 */
typedef struct StateScan StateScan;
extern StateScan *state_store_scan(const Ledger *ledger, FbBytes namespace_name, FbBytes start_key,
								   FbBytes end_key, Snapshot snapshot);
/* all keys of all namespaces, in byte order of both */
extern StateScan *state_store_scan_all(const Ledger *ledger, Snapshot snapshot);
extern bool state_scan_next(StateScan *scan, StateRow *row);
/* the same with key and version only: a large value is not read */
extern bool state_scan_next_version(StateScan *scan, StateRow *row);
extern void state_scan_end(StateScan *scan);

/*
 * fill committed version (and value, metadata where asked for) of the keys of a block that is being
 * validated
 */
extern void state_store_fetch(const Ledger *ledger, MvccBlock *block);
/* write the net effect of a block */
extern void state_store_apply(const Ledger *ledger, const StateUpdate *updates,
							  size_t updates_count);
/* Replace all rows, to rebuild the state; see ledger_repair_begin. */
extern void state_store_clear(const Ledger *ledger);
extern void state_store_fill(const Ledger *ledger, const StateRow *rows, int count);
/*
 * a state key for display: U+2400 for the zeros of composite keys, \x... for a key that is not
 * text; palloc'ed
 */
extern char *state_key_text(FbBytes key);
/* digest over the whole world state in order, for comparing nodes */
extern void state_store_digest(const Ledger *ledger, Snapshot snapshot, uint8_t digest[32]);

/* ---- history.c ---- */

extern void history_append(const Ledger *ledger, uint64 block_number, const HistoryEntry *entries,
						   size_t entries_count);

typedef struct HistoryRow
{
	FbBytes namespace_name;
	FbBytes key;
	uint64 block_number;
	uint32 position;
	bool is_delete;
	FbBytes value;
} HistoryRow;

/* a row's bytes are in the context current at its call */
typedef struct HistoryScan HistoryScan;
/* the whole history in the order of namespace, key, block, position */
extern HistoryScan *history_scan(const Ledger *ledger, Snapshot snapshot);
/* the writes of a key, newest first */
extern HistoryScan *history_scan_key(const Ledger *ledger, FbBytes namespace_name, FbBytes key,
									 Snapshot snapshot);
extern bool history_scan_next(HistoryScan *scan, HistoryRow *row);
extern void history_scan_end(HistoryScan *scan);

/*
 * the first key from start_key up to end_key (not included; empty: the end of the namespace) that
 * was ever written
 */
extern bool history_next_key(const Ledger *ledger, FbBytes namespace_name, FbBytes start_key,
							 FbBytes end_key, Snapshot snapshot, FbBytes *key);
/*
 * the last transaction before this place in the chain that wrote the key, and whether it deleted
 * it; false: there is none
 */
extern bool history_version_before(const Ledger *ledger, FbBytes namespace_name, FbBytes key,
								   uint64 block_number, uint32 position, Snapshot snapshot,
								   RwSetVersion *writer, bool *is_delete);

extern void history_clear(const Ledger *ledger);

/* ---- private_store.c: plaintext of private data which this node's organization holds ---- */

extern bool private_store_get(const Ledger *ledger, FbBytes namespace_name, FbBytes collection,
							  FbBytes key, Snapshot snapshot, StateRow *row);
/* all rows; those of the scan live in the context current at the call */
typedef struct PrivateRow
{
	FbBytes namespace_name;
	FbBytes collection;
	StateRow state;
} PrivateRow;

typedef struct PrivateScan PrivateScan;
extern PrivateScan *private_store_scan(const Ledger *ledger, Snapshot snapshot);
extern bool private_scan_next(PrivateScan *scan, PrivateRow *row);
extern void private_scan_end(PrivateScan *scan);
/*
 * keep what an endorsement produced until its transaction is committed; in the caller's transaction
 */
extern void private_store_put_transient(const Ledger *ledger, const char *tx_id,
										FbBytes private_rwset);
/* take it out at commit; false when there is none */
extern bool private_store_take_transient(const Ledger *ledger, const char *tx_id,
										 FbBytes *private_rwset);
/*
 * the committed transaction wrote a collection of this organization, and its plaintext is not here;
 * was that noted?
 */
extern void private_store_note_missing(const Ledger *ledger, RwSetVersion transaction);
extern bool private_store_is_missing(const Ledger *ledger, RwSetVersion transaction);
extern void private_store_forget_missing(const Ledger *ledger, RwSetVersion transaction);
/*
 * how many are noted, and the first of them behind one (not present: the first of all); next is not
 * present when there is none behind it
 */
extern int64 private_store_next_missing(const Ledger *ledger, RwSetVersion after,
										RwSetVersion *next);
/*
 * the older plaintext of the keys whose hashes a collection of a transaction writes or deletes; it
 * looks at all keys of the collection
 */
extern void private_store_drop_stale(const Ledger *ledger, FbBytes namespace_name,
									 const RwSetCollection *collection, RwSetVersion version);
/* one collection's writes of a committed transaction, already checked against the public hash */
extern void private_store_apply(const Ledger *ledger, FbBytes namespace_name, FbBytes collection,
								const RwSetPrivate *set, RwSetVersion version);

/* ---- page_check.c, index_check.c, catalog_check.c: tables below what SQL shows ---- */

/*
 * Each reports what is wrong by a callback and returns how many problems it found. Locks nothing
 * but the tables against being dropped; runs on a standby.
 */

/*
 * a page of a table or an index of the ledger is damaged: page: its number; detail: a sentence
 * about it
 */
typedef void (*LedgerDamage)(void *context, const char *relation, BlockNumber page,
							 const char *detail);
/*
 * every page of every table, TOAST table and index. Only when there is no problem, everything else
 * can be read without danger for the process
 */
extern uint64 ledger_check_pages(const Ledger *ledger, LedgerDamage report, void *context);

/* of one table alone, with its indexes: FB_CORRUPTED when there is a problem */
extern void ledger_require_pages(const Ledger *ledger, const LedgerTable *table);

/*
 * a row of a table: row: its key as text, NULL: the whole index; readable: false when one of its
 * values cannot be read. detail: a sentence without "The row"
 */
typedef void (*LedgerRowDamage)(void *context, const char *table, const char *index,
								const char *row, bool readable, const char *detail);
/* the rows that the snapshot sees against all indexes, both ways */
extern uint64 ledger_check_indexes(const Ledger *ledger, Snapshot snapshot, LedgerRowDamage report,
								   void *context);

/*
 * an object of the catalogs on which the ledger depends: a trigger, an index, a partition, a
 * column. detail: a sentence about it
 */
typedef void (*LedgerCatalogDamage)(void *context, const char *detail);
extern uint64 ledger_check_catalog(const Ledger *ledger, LedgerCatalogDamage report, void *context);
/* an envelope dictionary that cannot be used; detail as above */
extern uint64 ledger_check_dictionaries(const Ledger *ledger, LedgerCatalogDamage report,
										void *context);

/*
 * Locks the channel's workers out until the end of the transaction; takes rows that cannot be read
 * out of their pages (report tells which), makes pages with a damaged header empty, puts triggers
 * and indexes back, removes rows with the key of another row, makes all indexes again, and removes
 * dictionaries that cannot be used. Blocks that are missing then come from other nodes
 * (fabric.repair_chain). FB_CHANNEL_NOT_FOUND
 */
extern void ledger_repair_tables(const char *channel, LedgerDamage report, void *context);

/*
 * work(context) in a subtransaction; false when it failed as reading damaged bytes fails: *why
 * tells, palloc'ed. Other errors are raised
 */
extern bool ledger_try(void (*work)(void *context), void *context, char **why);

/* ---- envelope_codec.c: how an envelope is stored; lossless, checked when written ---- */

extern FbBytes envelope_codec_encode(const Ledger *ledger, FbBytes envelope);
extern FbBytes envelope_codec_decode(const Ledger *ledger, FbBytes stored); /* FB_CORRUPTED */

/* ---- dictionary.c ---- */

/*
 * The ledger worker tells which identities the transactions of a block name, and
 * after the block how many transactions it had and one of its envelopes; now and then that makes a
 * new dictionary, in the caller's transaction.
 */
extern void dictionary_count(const Ledger *ledger, FbBytes identity);
extern void dictionary_maintain(const Ledger *ledger, int transactions_count, FbBytes sample);

/* ---- guard.c: the append-only tables ---- */

/*
 * The only exception: a repair replaces rows that the chain proves wrong by those that it proves
 * right.
 *
 * Locks the committer out and lets this transaction replace rows of the channel's append-only
 * tables until its end. Take a new snapshot afterwards: then it sees everything that was committed.
 * Callers check fabric_admin by the privileges of their SQL functions.
 */
extern void ledger_repair_begin(const Ledger *ledger);
/* does this transaction hold a lock that keeps blocks from being committed? */
extern bool ledger_is_locked_here(const Ledger *ledger);

#endif
