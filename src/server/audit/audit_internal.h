/* what the files of the audit share: the chain replayed in memory, from its blocks alone */
#ifndef FABRIC_SERVER_AUDIT_INTERNAL_H
#define FABRIC_SERVER_AUDIT_INTERNAL_H

#include "server/audit/audit.h"

#include "utils/hsearch.h"

#include "server/commit/commit.h"

/* ---- replay_state.c ---- */

/*
 * A state in memory, ordered as the tables are; keys stay when they are deleted, because of their
 * history.
 */

typedef struct ReplayWrite
{
	uint64 block_number;
	uint32 position;
	bool is_delete;
	uint8_t value_hash[CRYPTO_SHA256_BYTES];
} ReplayWrite;

typedef struct ReplayKey
{
	FbBytes namespace_name;
	FbBytes key;
	bool present;
	FbBytes value; /* the rest of the state's row, if it is present */
	FbBytes metadata;
	RwSetVersion version;
	ReplayWrite *writes; /* the key's history, oldest first */
	int writes_count;
	int writes_capacity;
	struct ReplayKey *next[FLEXIBLE_ARRAY_MEMBER]; /* by level; [0] is the next key in order */
} ReplayKey;

typedef struct ReplayState ReplayState;

extern ReplayState *replay_state_create(MemoryContext context);
extern ReplayKey *replay_state_first(ReplayState *state);
/* NULL: never written */
extern ReplayKey *replay_state_find(ReplayState *state, FbBytes namespace_name, FbBytes key);
/* the first key that is not before this one; NULL: none */
extern ReplayKey *replay_state_seek(ReplayState *state, FbBytes namespace_name, FbBytes key);
extern ReplayKey *replay_state_enter(ReplayState *state, FbBytes namespace_name, FbBytes key);
extern void replay_state_set(ReplayState *state, ReplayKey *key, FbBytes value, FbBytes metadata,
							 RwSetVersion version);
extern void replay_state_delete(ReplayState *state, ReplayKey *key);
extern void replay_state_add_write(ReplayState *state, ReplayKey *key, const ReplayWrite *write);
/* order of (namespace, key) */
extern int replay_compare(FbBytes namespace_name, FbBytes key, FbBytes other_namespace,
						  FbBytes other_key);

/* ---- replay.c ---- */

/* Blocks in order. Every signature is verified here, none is taken from the verified set. */

typedef struct Replay
{
	ValidationSource source; /* must be first */
	RangeSource ranges;
	ReplayKey *cursor; /* of the open range */
	FbBytes cursor_namespace;
	FbBytes cursor_end;

	MemoryContext context; /* for everything that is kept from block to block */
	ReplayState *state;
	HTAB *tx_ids;		  /* SHA-256 of each id so far */
	ConfigBundle *bundle; /* NULL before block 0 */
	Channel channel;	  /* with that configuration */
	const Ledger *ledger;
} Replay;

extern Replay *replay_create(const Ledger *ledger);
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
