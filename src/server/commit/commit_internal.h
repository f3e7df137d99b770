/* what the files of commit share */
#ifndef FABRIC_SERVER_COMMIT_INTERNAL_H
#define FABRIC_SERVER_COMMIT_INTERNAL_H

#include "server/commit/commit.h"

#include "server/chaincode/chaincode.h"

/* ---- validate.c ---- */

/*
 * what a validation needs to know of the ledger before the block: the tables for the committer, the
 * replayed chain for an audit
 */
typedef struct ValidationSource
{
	PolicyVerify verify;
	/* for each id, whether a transaction before the block has it; empty ids are not found */
	void (*find_tx_ids)(struct ValidationSource *self, const FbBytes *tx_ids, int count,
						bool *found);
	/* fill committed version, value and metadata of the keys */
	void (*fetch)(struct ValidationSource *self, MvccBlock *keys);
	RangeSource *ranges;
	/* FB_CHAINCODE_NOT_FOUND, FB_CORRUPTED: no transaction of the chaincode is valid */
	FbStatus (*definition)(struct ValidationSource *self, const char *chaincode,
						   ChaincodeDefinition *definition, FbError *error);
} ValidationSource;

/* validate_block with another source */
extern void validate_block_from(const Channel *channel, ValidationSource *source, uint64 number,
								const FbBytes *data, size_t data_count, ValidatedBlock *result);

/* ---- committer.c ---- */

extern uint64 commit_raft_index(FbAllocator *allocator,
								FbBytes signatures_slot); /* 0 when there is none */

/* ---- comparison.c ---- */

/* codes: this node's own, one byte for each transaction; commit_hash: empty if it has none */
extern void comparison_check(const Channel *channel, const BlockView *block, FbBytes codes,
							 FbBytes commit_hash, CommitComparison *comparison);

/* ---- endorsement_policy.c: does a transaction have the endorsements that its writes need? ---- */

typedef struct PolicyChecker PolicyChecker;

/*
 * for one block; keys: what mvcc_prepare collected, with committed metadata filled in; verify: for
 * endorsements; work is added to
 */
extern PolicyChecker *policy_checker_create(const Channel *channel, ValidationSource *source,
											const MvccBlock *keys, PolicyVerify verify,
											void *verify_context, ValidationWork *work);
/*
 * All written namespaces of one transaction in their order: VALID, INVALID_CHAINCODE (25) or
 * ENDORSEMENT_POLICY_FAILURE (10) with the reason. Transactions must be passed in block order, and
 * only those that are valid so far (POL-10 remembers them).
 */
extern TxCode policy_checker_check(PolicyChecker *checker, size_t tx_index, const TxView *view,
								   FbError *why);

/* ---- committer.c: is it the implicit collection of this node's organization? ---- */
extern bool commit_is_own_collection(FbBytes collection);

#endif
