/*
 * audit: compare a channel's tables with its chain, and repair them from it; see the notes in
 * replay.c and chain_walk.c.
 */
#ifndef FABRIC_SERVER_AUDIT_H
#define FABRIC_SERVER_AUDIT_H

#include "server/channel/channel.h"

#include "core/rwset/rwset.h"

/* ---- explain.c: why a committed transaction was a read conflict ---- */

typedef struct ReadConflict
{
	bool found;
	FbBytes namespace_name;
	FbBytes key;
	RwSetVersion version_read;
	RwSetVersion version_found;
	FbBytes writer_tx_id; /* the transaction that wrote the version found; empty if unknown */
} ReadConflict;

/*
 * From the ledger: the first read of the transaction that was not current at its place in the
 * chain.
 */
extern void explain_conflict(const Ledger *ledger, uint64 block_number, uint32 position,
							 Snapshot snapshot, ReadConflict *conflict);

/* ---- verify_ahead.c ---- */

/* entry point of the background workers of a verification */
extern PGDLLEXPORT void fabric_verifier_main(Datum argument);

/* ---- verify.c: audits and repairs of a channel's tables  ---- */

/* block_number, tx_index: -1 when the problem is not of a single one */
typedef void (*ChainReport)(void *context, int64 block_number, int64 tx_index, const char *problem,
							const char *detail);

/*
 * Verify this node's copy of the chain, with the active snapshot; commits continue meanwhile.
 * Blocks from..to (UINT64_MAX: the last one): hashes, links, orderers' signatures, every client's
 * and endorser's signature, validation codes (all are computed again), commit hashes, and every
 * column that follows from the blocks. If `to` is the last block, also each key of world state and
 * history, replayed from block 0, and the plaintext of private data against its hashes. Not
 * covered: the time at which a block was committed here. The trust anchor is block 0. Raises
 * FB_BLOCK_NOT_FOUND.
 */
extern void chain_verify(const Ledger *ledger, uint64 from, uint64 to, ChainReport report,
						 void *context);

/* ---- rebuild.c ---- */

typedef struct ChainRebuild
{
	uint64 blocks_count;
	uint64 blocks_corrected; /* blocks with wrong columns that follow from the chain: codes, ids,
								commit hash ... */
	uint64 state_rows;
	uint64 state_corrected; /* keys that were wrong, missing or too many */
	uint64 history_rows;
	uint64 history_corrected;
} ChainRebuild;

/*
 * Rebuild world state, history and all columns that follow from the chain, in this transaction,
 * which locks the committer out. FB_CORRUPTED when a block itself is damaged: see chain_repair.
 */
extern void chain_rebuild(const Ledger *ledger, ChainRebuild *result);

/* ---- repair.c ---- */

/*
 * Replace damaged or missing blocks by those of other nodes: taken only if they continue the chain
 * and are signed as the channel's BlockValidation policy wants. The configuration is that of the
 * channel as stored. replaced is called for each. Run chain_rebuild afterwards. Raises FB_CORRUPTED
 * when no node has the right block, FB_NODE_UNREACHABLE when none could be asked.
 */
extern void chain_repair(const Channel *channel,
						 void (*replaced)(void *context, uint64 number, const char *address),
						 void *context);

#endif
