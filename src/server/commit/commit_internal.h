/* declarations that the files of commit share */
#ifndef FABRIC_SERVER_COMMIT_INTERNAL_H
#define FABRIC_SERVER_COMMIT_INTERNAL_H

#include "server/commit/commit.h"

/* ---- comparison.c ---- */

/* codes: this node's own, one byte for each transaction; commit_hash: empty if there is none */
extern void comparison_check(const Channel *channel, const BlockView *block, FbBytes codes,
							 FbBytes commit_hash, CommitComparison *comparison);

/* ---- endorsement_policy.c: does a transaction have the endorsements that its writes need? ---- */

typedef struct PolicyChecker PolicyChecker;

/*
 * For one block. keys: the keys that mvcc_prepare collected, with committed metadata filled in;
 * verify: for endorsements; work: counters to add to.
 */
extern PolicyChecker *policy_checker_create(const Channel *channel, ValidationSource *source,
											const MvccBlock *keys, PolicyVerify verify,
											void *verify_context, ValidationWork *work);
/*
 * Check all written namespaces of one transaction in their order: VALID, INVALID_CHAINCODE (25) or
 * ENDORSEMENT_POLICY_FAILURE (10) with the reason. Pass transactions in block order, and only those
 * that are valid so far: keys whose policy they change are remembered.
 */
extern TxCode policy_checker_check(PolicyChecker *checker, size_t tx_index, const TxView *view,
								   FbError *why);

/* ---- committer.c: is it the implicit collection of this node's organization? ---- */
extern bool commit_is_own_collection(FbBytes collection);

#endif
