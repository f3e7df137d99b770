/* what the files of commit share */
#ifndef FABRIC_SERVER_COMMIT_INTERNAL_H
#define FABRIC_SERVER_COMMIT_INTERNAL_H

#include "server/commit/commit.h"

/* ---- endorsement_policy.c: does a transaction have the endorsements that its writes need? ---- */

typedef struct PolicyChecker PolicyChecker;

/* for one block; keys: what mvcc_prepare collected, with committed metadata filled in */
extern PolicyChecker *policy_checker_create(const Channel *channel, const MvccBlock *keys, size_t transactions_count);
/* true when the chaincode has a committed definition, or is a system chaincode that may write */
extern bool policy_checker_defined(PolicyChecker *checker, FbBytes chaincode);
/*
 * All written namespaces of one transaction in their order: VALID, INVALID_CHAINCODE (25) or ENDORSEMENT_POLICY_FAILURE (10) with the reason.
 * Transactions must be passed in block order, and only those that are valid so far (POL-10 remembers them).
 */
extern TxCode policy_checker_check(PolicyChecker *checker, size_t tx_index, const TxView *view, FbError *why);

#endif
