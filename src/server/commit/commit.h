/*
 * commit: append an ordered block to the ledger: every transaction gets its validation code, and
 * block, transactions, state, history and private plaintext are written in the caller's single
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
	const char *why; /* why the code is not VALID; NULL if the code says enough */
} ValidatedTransaction;

typedef struct ValidatedBlock
{
	ValidatedTransaction *transactions;
	size_t transactions_count;
	MvccResult mvcc;
	ValidationWork work;
	/* the configuration after the block, in the same memory context; NULL: it stays */
	const ConfigBundle *next_config;
} ValidatedBlock;

/*
 * Validate the transactions of block `number` against the active snapshot, which must see exactly
 * the blocks before it (core/committer/txvalidator/v20, core/common/validation). The outcome is the
 * same on every node. Raises only for failures of this node, and FB_OTHER_VERSION for a
 * configuration that requires a capability which this version does not have: that stops the
 * channel.
 */
extern void validate_block(const Channel *channel, uint64 number, const FbBytes *data,
						   size_t data_count, ValidatedBlock *result);

/*
 * The data of the ledger before the block that a validation reads: from the tables for the
 * committer, from the replayed chain for an audit.
 */
typedef struct ValidationSource
{
	PolicyVerify verify; /* its context is the source */
	/* For each id: does a transaction before the block have it? Empty ids are not found. */
	void (*find_tx_ids)(struct ValidationSource *self, const FbBytes *tx_ids, int count,
						bool *found);
	/* fill in committed version, value and metadata of the keys */
	void (*fetch)(struct ValidationSource *self, MvccBlock *keys);
	RangeSource *ranges;
	/* FB_CHAINCODE_NOT_FOUND, FB_CORRUPTED: transactions of the chaincode are invalid */
	FbStatus (*definition)(struct ValidationSource *self, const char *chaincode,
						   ChaincodeDefinition *definition, FbError *error);
} ValidationSource;

/*
 * The configuration after a block with these transactions, as validate_block finds it, in the
 * current memory context; NULL: it stays. An orderer needs it before the block exists, because the
 * block's signed metadata name the last configuration. Raises what validate_block raises.
 */
extern const ConfigBundle *validate_next_config(const Channel *channel, const FbBytes *data,
												size_t data_count);

/* validate_block with another source */
extern void validate_block_from(const Channel *channel, ValidationSource *source, uint64 number,
								const FbBytes *data, size_t data_count, ValidatedBlock *result);

/* ---- committer.c ---- */

typedef struct CommittedBlock
{
	uint64 number;
	uint64 raft_index;
	bool lifecycle_changed; /* a definition or an approval was written */
	bool config_changed;	/* the block holds the configuration of all later blocks */
	uint8_t block_hash[CRYPTO_SHA256_BYTES];
	int counts[256]; /* transactions by validation code */
	ValidationWork work;
	uint64 validation_us; /* duration of the validation */
	FbBytes *tx_ids;	  /* in the memory context of the caller of commit_block; freed with its
							 transaction */
	size_t tx_ids_count;
} CommittedBlock;

/*
 * comparison of the codes and the commit hash in slots 2 and 4 of a received block with this node's
 * own
 */
typedef struct CommitComparison
{
	bool accept;		/* a difference is not an error */
	FbError difference; /* the difference found; an empty message: none */
} CommitComparison;

/*
 * Commit a block that was received. Its slots 0, 1 and 3 are kept as they are; 2 and 4 are filled
 * in here. The block must follow the last one (FB_BLOCK_REFUSED). Signatures of the orderers are
 * checked by commit_check_signatures, not here. comparison: NULL: slots 2 and 4 are not looked at;
 * otherwise raises FB_BLOCK_REFUSED, before anything is written, when they differ and that is not
 * accepted. raft_term: of the entry in this node's log from which the block was made; 0: another
 * node sent the block.
 */
extern void commit_block(const Channel *channel, const CheckedBlock *checked, uint64 raft_term,
						 CommitComparison *comparison, CommittedBlock *committed);

/* Check the signatures in slot 0 against the policy BlockValidation; raises FB_BLOCK_REFUSED. */
extern void commit_check_signatures(const Channel *channel, const BlockView *block);

/* ---- block_import.c: blocks that an administrator imports ---- */

/*
 * In a session: pass the block to the channel's ledger worker and wait until it is committed. A
 * rollback of the caller's transaction does not undo that. Raises FB_BLOCK_REFUSED,
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_INVALID_CONFIG (a configuration transaction),
 * FB_CHANNEL_NOT_FOUND; 55000 on a consenter of the channel; 55006 when the caller's transaction
 * has locked the channel's tables; FB_BUSY when the worker does not run or ends. A difference that
 * is accepted is raised as a warning.
 */
extern void import_block(const char *channel, FbBytes block, bool accept_differences,
						 ImportAnswer *answer);
/*
 * In the worker: parse the block and find its place. True: it follows the last one; the caller
 * checks signatures and transactions. False: the ledger has this block already, and committed gets
 * its number and codes. Raises the same errors as import_block.
 */
extern bool import_check_block(const Channel *channel, FbBytes bytes, CheckedBlock *checked,
							   CommitComparison *comparison, CommittedBlock *committed);

/*
 * In the worker: metadata slots 0, 1 and 3 hold nothing unsigned that differs from the signed part.
 * Raises FB_BLOCK_REFUSED.
 */
extern void import_check_metadata(const Channel *channel, const BlockView *block);

/* ---- notify.c ---- */

/* After the commit: publish the block in shared memory and wake the sessions that wait for it. */
extern void commit_publish(ChannelSlot *slot, const CommittedBlock *committed);

/*
 * blocks of which sessions with LISTEN have not been notified yet; see the design note in notify.c
 */
typedef struct BlockNotifier
{
	ChannelSlot *slot;
	uint64 height;			   /* count of blocks committed here */
	size_t transactions_count; /* of the last one */
	/* lower blocks have a notification, of their own or with a later block */
	uint64 notified_height;
	uint32 failures_in_a_row;
	uint64 retry_at_ms; /* time of the next attempt, as clock_ms returns it; set after a failure */
	char error_text[256];
} BlockNotifier;

/*
 * height: current height of the ledger. The first notifier_run notifies of blocks that an earlier
 * worker committed without a notification.
 */
extern void notifier_init(BlockNotifier *notifier, ChannelSlot *slot, uint64 height);
/*
 * After the commit of a block, outside a transaction: NOTIFY fabric_block with {"channel": ...,
 * "block": ..., "transactions": ...}. Raises nothing, and does not wait for other sessions.
 * notifier_run sends the notifications that failed here.
 */
extern void notifier_add(BlockNotifier *notifier, const CommittedBlock *committed);
/*
 * Retry failed notifications when it is time. Returns the milliseconds until the next attempt; -1:
 * there is nothing to send.
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
