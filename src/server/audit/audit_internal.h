/* what the files of the audit share: the chain replayed in memory, from its blocks alone */
#ifndef FABRIC_SERVER_AUDIT_INTERNAL_H
#define FABRIC_SERVER_AUDIT_INTERNAL_H

#include "server/audit/audit.h"

#include "server/commit/commit.h"

/* ---- replay_state.c ---- */

/* A state in bounded memory, ordered as the tables are; see the design note there. */

typedef struct ReplayRow
{
	FbBytes namespace_name;
	FbBytes key;
	bool present; /* false: the key was deleted */
	FbBytes value;
	FbBytes metadata;
	RwSetVersion version;
} ReplayRow;

typedef struct ReplayState ReplayState;

/* memory_bytes_max: of the part in memory; the rest is in temporary files */
extern ReplayState *replay_state_create(MemoryContext context, size_t memory_bytes_max);
/* Close its files; after an error the transaction's end does that. Its memory goes with its context
 */
extern void replay_state_close(ReplayState *state);
/* False: the key is not present. The bytes of *row are valid until the next change of the key or
 * the next replay_state_settle */
extern bool replay_state_get(ReplayState *state, FbBytes namespace_name, FbBytes key,
							 ReplayRow *row);
extern void replay_state_put(ReplayState *state, FbBytes namespace_name, FbBytes key, FbBytes value,
							 FbBytes metadata, RwSetVersion version);
extern void replay_state_remove(ReplayState *state, FbBytes namespace_name, FbBytes key);
/* Move the part in memory to a file if it has become too large. Ends all cursors. */
extern void replay_state_settle(ReplayState *state);

/*
 * The keys that are present, in the order of (namespace, key), from this one on. Nothing may be
 * changed while a cursor is open. A row's bytes may be in the context current at its call
 */
typedef struct ReplayCursor ReplayCursor;
extern ReplayCursor *replay_cursor_open(ReplayState *state, FbBytes namespace_name, FbBytes key);
extern bool replay_cursor_next(ReplayCursor *cursor, ReplayRow *row);
extern void replay_cursor_close(ReplayCursor *cursor);

/* ---- replay_run.c ---- */

/* rows are added in order, deleted keys included; then replay_run_finish, then it is read */
typedef struct ReplayRun ReplayRun;
extern ReplayRun *replay_run_create(MemoryContext parent, uint64 rows_count_max);
extern void replay_run_add(ReplayRun *run, const ReplayRow *row);
extern void replay_run_finish(ReplayRun *run);
extern void replay_run_close(ReplayRun *run);
extern uint64 replay_run_count(const ReplayRun *run);
/* false: the run says nothing of the key; row->present: see ReplayRow */
extern bool replay_run_find(ReplayRun *run, FbBytes namespace_name, FbBytes key, ReplayRow *row);

/* the rows from this key on; a row is valid until the next call */
typedef struct ReplayRunCursor ReplayRunCursor;
extern ReplayRunCursor *replay_run_open(ReplayRun *run, FbBytes namespace_name, FbBytes key);
extern const ReplayRow *replay_run_next(ReplayRunCursor *cursor); /* NULL: at its end */
extern void replay_run_end(ReplayRunCursor *cursor);

/* order of (namespace, key) */
extern int replay_compare(FbBytes namespace_name, FbBytes key, FbBytes other_namespace,
						  FbBytes other_key);

/* ---- replay_history.c ---- */

/* every write of the chain, sorted by key; in temporary files when they are many */

typedef struct ReplayWrite
{
	FbBytes namespace_name;
	FbBytes key;
	uint64 block_number;
	uint32 position;
	bool is_delete;
	uint8_t value_hash[CRYPTO_SHA256_BYTES];
} ReplayWrite;

typedef struct ReplayHistory ReplayHistory;

extern ReplayHistory *replay_history_create(MemoryContext context, int memory_kb_max);
extern void replay_history_close(ReplayHistory *history); /* as replay_state_close */
extern void replay_history_add(ReplayHistory *history, uint64 number, const HistoryEntry *entry);
/* all are added: the writes in the order of key, block, position; bytes are valid until the next
 * call */
extern void replay_history_sort(ReplayHistory *history);
extern bool replay_history_next(ReplayHistory *history, ReplayWrite *write);

/* ---- verify_ahead.c ---- */

/* background workers that verify signatures ahead of a walk; results are the same without them */

typedef struct VerifyAhead VerifyAhead;

/* fabric.verify_workers of them for blocks 0..to; NULL: none */
extern VerifyAhead *verify_ahead_start(const Ledger *ledger, uint64 to);
/* the walk is at this block now; numbers increase. Waits for its worker */
extern void verify_ahead_block(VerifyAhead *ahead, uint64 number);
/* did a worker find this signature of the current block valid? False: it is not known */
extern bool verify_ahead_contains(const VerifyAhead *ahead, FbBytes identity,
								  FbBytes message_digest, FbBytes signature);
extern void verify_ahead_end(VerifyAhead *ahead);

/* ---- replay.c ---- */

/* Blocks in order. Every signature is verified here, none is taken from the verified set. */

typedef struct Replay
{
	ValidationSource source; /* must be first */
	RangeSource ranges;
	ReplayCursor *cursor; /* of the open range */
	FbBytes cursor_namespace;
	FbBytes cursor_end;

	MemoryContext context; /* for everything that is kept from block to block */
	ReplayState *state;
	ReplayState *tx_ids;	/* SHA-256 of each id so far, as keys */
	ReplayHistory *history; /* NULL: not wanted */
	VerifyAhead *ahead;		/* NULL: this process verifies all signatures */
	ConfigBundle *bundle;	/* NULL before block 0 */
	Channel channel;		/* with that configuration */
	const Ledger *ledger;
} Replay;

/* with_history: keep the writes, too. Memory is bounded by maintenance_work_mem */
extern Replay *replay_create(const Ledger *ledger, bool with_history);
extern void replay_close(Replay *replay); /* as replay_state_close */
/* the part of maintenance_work_mem that one structure may use: 1/2, 1/4, 1/8 of it */
extern size_t replay_memory_bytes(int divisor);
/* block 0; false when its envelope holds no configuration of this channel, why tells */
extern bool replay_genesis(Replay *replay, FbBytes envelope, FbError *why);
/* how far the codes stored with a block are trusted */
typedef enum ReplayTrust
{
	REPLAY_OWN,	  /* not at all: each transaction gets the code that the validation computes */
	REPLAY_STATE, /* where the state decides: an earlier block is damaged, so the state may not be
					 what it was */
	REPLAY_STORED /* always: the block itself is damaged, and its transactions no longer say which
					 code they got */
} ReplayTrust;

/*
 * The next block. stored: one code for each transaction, not used for REPLAY_OWN. codes: those by
 * which the block was applied. commit_hash: in: of the block before, empty if it has none; out: of
 * this block. Results are in the current context; of validated->mvcc only history and conflicts may
 * be used, for the updates point into the state as it was before.
 */
extern void replay_block(Replay *replay, uint64 number, const FbBytes *data, size_t data_count,
						 ReplayTrust trust, const uint8_t *stored, ValidatedBlock *validated,
						 uint8_t *codes, FbBytes *commit_hash);

/* ---- chain_walk.c: the tables of a channel against its replayed chain ---- */

/* a block of the walk: what the tables have, and what they should have */
typedef struct ChainBlock
{
	uint64 number;
	bool damaged;		/* header, transactions or signatures are not what the orderers signed: only
						   another node can help */
	bool derived_wrong; /* a column that follows from them is wrong */
	BlockRow expected;	/* if not damaged: as it should be; time of commit as stored */
	TransactionRow *expected_transactions;
	size_t transactions_count;
	const MvccResult *mvcc; /* its history; NULL of block 0 */
} ChainBlock;

typedef struct ChainWalk
{
	/* by the caller */
	const Ledger *ledger;
	Snapshot snapshot; /* one for all; the active one */
	uint64 from; /* problems of earlier blocks are not reported, nor their signatures checked */
	/* the last block to look at; state and history are compared if the chain ends here */
	uint64 to;
	ChainReport report;
	void *report_context;
	void (*visit)(void *context, const ChainBlock *block); /* may be NULL */
	void *visit_context;

	bool with_tables; /* the tables themselves are checked first */

	MemoryContext problem_context; /* set by chain_walk, for one call of report */

	/* results */
	Replay *replay; /* state and history as they should be after block `to` */
	uint64 height;
	bool uncertain; /* a damaged block was met: the replayed state may not be what it was */
	bool stopped;	/* block 0 is unusable, so nothing else could be looked at */
	uint64 problems_count;
	uint64 state_differences; /* rows of the world state that are wrong, missing or too many */
	uint64 history_differences;
} ChainWalk;

extern void chain_walk(ChainWalk *walk);
extern void chain_walk_close(ChainWalk *walk); /* the temporary files of its replay */
/*
 * Is block `number` missing, or not what the orderers signed? previous_hash: of the block before,
 * NULL: unknown. walk: ledger, snapshot, report and a replay that has the configuration. *hash: the
 * hash of its header, if it is not damaged.
 */
extern bool chain_block_damaged(ChainWalk *walk, uint64 number, const uint8_t *previous_hash,
								uint8_t hash[CRYPTO_SHA256_BYTES]);

/* ---- chain_report.c ---- */

extern void chain_problem(ChainWalk *walk, int64 block_number, int64 tx_index, const char *problem,
						  const char *format, ...) pg_attribute_printf(5, 6);

/* ---- chain_tables.c ---- */

/*
 * what is below the chain: pages, indexes, catalogs, dictionaries. False: reading on would not be
 * safe, or would fail, which is reported
 */
extern bool chain_tables(ChainWalk *walk);
/* pages alone, before a rebuild or a repair reads them: FB_CORRUPTED when one is damaged */
extern void chain_require_pages(const Ledger *ledger);

/* ---- chain_compare.c ---- */

/* world state, history and private plaintext against the replayed ones */
extern void chain_compare(ChainWalk *walk);

#endif
