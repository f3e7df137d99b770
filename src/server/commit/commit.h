/*
 * commit: an ordered block becomes part of the ledger: every transaction gets its validation code,
 * and block, transactions, state, history and private plaintext are written in the caller's one
 * transaction.
 */
#ifndef FABRIC_SERVER_COMMIT_H
#define FABRIC_SERVER_COMMIT_H

#include "server/channel/channel.h"
#include "server/chaincode/chaincode.h"

#include "core/block/block.h"
#include "core/rwset/rwset.h"
#include "core/txn/txn.h"

/* ---- validate.c, endorsement_policy.c ---- */

typedef struct ValidatedTransaction
{
	TxView view;
	TxCode code;
	const char *why; /* of a code other than VALID: what is wrong; NULL if the code says it all */
} ValidatedTransaction;

typedef struct ValidatedBlock
{
	ValidatedTransaction *transactions;
	size_t transactions_count;
	MvccResult mvcc;
	ValidationWork work;
} ValidatedBlock;

/*
 * Validate the transactions of block `number` against the active snapshot, which must see exactly
 * the blocks before it (core/committer/txvalidator/v20, core/common/validation). The outcome is the
 * same on every node. Raises only for failures of this node, and FB_INVALID_CONFIG for a
 * configuration transaction that cannot be applied, which stops the channel.
 */
extern void validate_block(const Channel *channel, uint64 number, const FbBytes *data,
						   size_t data_count, ValidatedBlock *result);

/*
 * What a validation reads of the ledger before the block: the tables for the committer, the
 * replayed chain for an audit.
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

typedef struct CommittedBlock
{
	uint64 number;
	uint64 raft_index;
	bool lifecycle_changed; /* a definition or an approval was written */
	uint8_t block_hash[CRYPTO_SHA256_BYTES];
	int counts[256]; /* transactions by validation code */
	ValidationWork work;
	uint64 validation_us; /* how long the validation took */
	FbBytes *
		tx_ids; /* in the memory context of the caller of commit_block; gone with its transaction */
	size_t tx_ids_count;
} CommittedBlock;

/*
 * the codes and the commit hash that a received block holds in slots 2 and 4, against this node's
 * own
 */
typedef struct CommitComparison
{
	bool accept;		/* a difference is no error */
	FbError difference; /* found; message empty: none */
} CommitComparison;

/*
 * Commit a block that was received (its slots 0, 1 and 3 are kept as they are; 2 and 4 are filled
 * in here). It must follow the last one (FB_BLOCK_REFUSED). Signatures of the orderers are checked
 * by commit_check_signatures, not here. comparison: NULL: slots 2 and 4 are not looked at; else
 * FB_BLOCK_REFUSED, before anything is written, when they differ and that is not accepted.
 * raft_term: of the entry in this node's log that the block was made from; 0: it came from another
 * node.
 */
extern void commit_block(const Channel *channel, const CheckedBlock *checked, uint64 raft_term,
						 CommitComparison *comparison, CommittedBlock *committed);

/* BlockValidation over slot 0; raises FB_BLOCK_REFUSED */
extern void commit_check_signatures(const Channel *channel, const BlockView *block);

/* ---- block_import.c: blocks that an administrator brings ---- */

/*
 * In a session: hand the block to the channel's ledger worker, wait until it is committed, which
 * the caller's transaction does not undo. Raises what is wrong with it: FB_BLOCK_REFUSED,
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_INVALID_CONFIG (a configuration transaction),
 * FB_CHANNEL_NOT_FOUND; 55000 on a consenter of the channel; 55006 when the caller's transaction
 * has locked the channel's tables; FB_BUSY when the worker does not run or ends. A difference that
 * is accepted is raised as a warning.
 */
extern void import_block(const char *channel, FbBytes block, bool accept_differences,
						 ImportAnswer *answer);
/*
 * In the worker: parse the block and find its place. True: it follows the last one; the caller
 * checks signatures and transactions. False: the ledger has this block already; committed has its
 * number and codes. Raises as above.
 */
extern bool import_check_block(const Channel *channel, FbBytes bytes, CheckedBlock *checked,
							   CommitComparison *comparison, CommittedBlock *committed);

/*
 * Also in the worker: metadata slots 0, 1 and 3 hold nothing unsigned that differs from the signed
 * part. Raises FB_BLOCK_REFUSED.
 */
extern void import_check_metadata(const Channel *channel, const BlockView *block);

/* ---- notify.c ---- */

/* after the commit: publish in shared memory, wake the sessions that wait for the block */
extern void commit_publish(ChannelSlot *slot, const CommittedBlock *committed);

/* blocks that sessions with LISTEN have not been notified of yet; see the note in notify.c */
typedef struct BlockNotifier
{
	ChannelSlot *slot;
	uint64 height;			   /* count of blocks committed here */
	size_t transactions_count; /* of the last one */
	uint64 notified_height;	   /* blocks below have a notification, their own or a later one */
	uint32 failures_in_a_row;
	uint64 retry_at_ms; /* of clock_ms; after a failure */
	char error_text[256];
} BlockNotifier;

/*
 * height: of the ledger now. The first notifier_run notifies of blocks that an earlier worker
 * committed without a notification.
 */
extern void notifier_init(BlockNotifier *notifier, ChannelSlot *slot, uint64 height);
/*
 * After the commit of a block, outside a transaction: NOTIFY fabric_block with {"channel": ...,
 * "block": ..., "transactions": ...}. Raises nothing, and does not wait for other sessions;
 * notifier_run sends what could not be sent.
 */
extern void notifier_add(BlockNotifier *notifier, const CommittedBlock *committed);
/*
 * Try again to send what could not be sent, if it is time. Returns the milliseconds until the next
 * attempt, -1: there is nothing to send.
 */
extern long notifier_run(BlockNotifier *notifier);

/* ---- private_found.c: private plaintext that arrives after its transaction was committed ---- */

/*
 * Store those values of private_rwset (a packed TxPvtReadWriteSet, untrusted) whose hashes the
 * transaction wrote and that no later transaction has overwritten. Returns true, and removes the
 * note that plaintext is missing, when this organization's collections are complete for the
 * transaction. In the ledger worker's transaction.
 */
extern bool commit_private_found(const Channel *channel, RwSetVersion version,
								 FbBytes private_rwset);

#endif
