/*
 * validate.c: compute the validation codes of a block's transactions.
 *
 * The problem. Every node must give each transaction the code that a peer of Fabric gives it
 * (core/committer/txvalidator/v20/validator.go, Validate, then the read conflicts in
 * core/ledger/kvledger/txmgmt/validation): the codes are part of the commit hash, and decide which
 * writes are applied. Fabric checks each transaction by itself, many at a time; if several checks
 * fail, the first one in its order decides the code. Here, most checks need data of the ledger, and
 * a query per transaction would dominate the cost of a block.
 *
 * The rule. The checks run in phases over the whole block, so that each query serves all
 * transactions. A transaction that fails in one phase is skipped by the later ones, which keeps
 * Fabric's order for each transaction:
 *
 *   1. envelope and headers (check_envelope), the creator's signature, the form of the transaction
 *   (check_transaction); configuration transactions (check_configuration);
 *   2. transaction ids that are on the ledger already: one query;
 *   3. the action: proposal, response and read-write set (check_action);
 *   4. the keys of all remaining transactions are collected (mvcc_prepare), and their versions,
 *   values and metadata are fetched: one query;
 *   5. endorsement policies, in block order, because a transaction may change the policy of a key
 *   that a later one writes (endorsement_policy.c);
 *   6. transaction ids that occur more than once in the block. This is after the policies, so a
 *   transaction that failed before does not make a later one a duplicate (validator.go,
 *   markTXIdDuplicates);
 *   7. read conflicts, in block order (core/rwset/mvcc.c).
 *
 * A failed check is data: a code and a reason. Lack of memory and failures of OpenSSL are errors of
 * this node and are raised: as a code they would give the transaction another code than on other
 * nodes.
 *
 * All data of the ledger is read through a ValidationSource. The committer reads the tables; an
 * audit runs the same validation against the chain that it replays (server/audit/replay.c).
 *
 * Rejected: all checks of one transaction before the next one, as Fabric does in parallel: it would
 * need several queries for each transaction. Using the codes of the orderer or of another peer:
 * no one signs them.
 *
 * A configuration transaction is alone in its block and is judged in phase 1. If it is valid, it is
 * the configuration of all later blocks; its own block is judged by the one before.
 *
 * What holds afterwards. The codes depend only on the block, the ledger before it and the channel's
 * configuration. No clock is read, and caches (access_verify, BlockVerifier) only avoid repeated
 * work.
 */
#include "server/commit/commit_internal.h"

#include "miscadmin.h"
#include "utils/hsearch.h"

/*
 * Verifies the signatures of a block. An invalid signature is verified only once, because the
 * client can repeat it. Valid signatures are cached by access_verify; an audit has no cache.
 */
typedef struct BlockVerifier
{
	ValidationSource *source;
	ValidationWork *work;
	HTAB *wrong; /* digests of invalid signatures; NULL: there is none yet */
} BlockVerifier;

static void
signature_key(const PolicySignature *signature, uint8_t key[CRYPTO_SHA256_BYTES])
{
	uint8_t message_digest[CRYPTO_SHA256_BYTES];
	uint64 size = signature->identity.size;
	FbBytes parts[4] = {fb_bytes(&size, sizeof(size)), signature->identity,
						fb_bytes(message_digest, sizeof(message_digest)), signature->signature};

	policy_signature_digest(signature, message_digest);
	crypto_sha256_parts(parts, lengthof(parts), key);
}

static FbStatus
verify_once(void *context, const Identity *identity, const PolicySignature *signature, size_t index,
			bool *valid, FbError *error)
{
	BlockVerifier *verifier = context;
	uint8_t key[CRYPTO_SHA256_BYTES];

	CHECK_FOR_INTERRUPTS();
	*valid = false;
	if (verifier->wrong != NULL)
	{
		signature_key(signature, key);
		if (hash_search(verifier->wrong, key, HASH_FIND, NULL) != NULL)
			return FB_OK;
	}
	verifier->work->signatures_checked++;
	FB_TRY(verifier->source->verify(verifier->source, identity, signature, index, valid, error));
	if (*valid)
		return FB_OK;
	if (verifier->wrong == NULL)
	{
		HASHCTL control = {.keysize = sizeof(key),
						   .entrysize = sizeof(key),
						   .hcxt = CurrentMemoryContext};

		verifier->wrong = hash_create("fabric wrong signatures", 64, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		signature_key(signature, key);
	}
	(void) hash_search(verifier->wrong, key, HASH_ENTER, NULL);
	return FB_OK;
}

/* Is the creator's identity valid, and is the signature over the payload its own? */
static bool
creator_signed(const Channel *channel, BlockVerifier *verifier, const TxView *view, FbError *why)
{
	const Identity *identity;
	PolicySignature signature = {view->creator, view->signature, {view->payload}};
	FbStatus status = msp_manager_identity(channel->bundle->msps, view->creator, &identity, why);
	bool valid = false;

	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(why);
	if (status != FB_OK)
		return false;
	status = verify_once(verifier, identity, &signature, 0, &valid, why);
	error_check(status, why);
	if (!valid)
		fb_fail(why, FB_INVALID_SIGNATURE, "the creator's signature is not valid");
	return valid;
}

static void
validate_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

/*
 * Does the transaction give the channel another configuration, and which one? (core/peer/peer.go,
 * createChannel and Apply.) Any other configuration transaction is merely invalid: no honest
 * orderer orders it, and a dishonest one must not be able to stop every node. Fabric relies on its
 * orderers here: a peer that receives such a transaction stops (txvalidator/v20/validator.go,
 * validateTx). What a newer version may accept is neither applied nor rejected: the ledger stops at
 * this block.
 */
static TxCode
check_configuration(const Channel *channel, BlockVerifier *verifier, FbAllocator *allocator,
					const TxView *view, ConfigBundle **next, FbError *why)
{
	FbStatus status =
		config_check_update(allocator, channel->bundle, view->data, verify_once, verifier, why);

	if (status == FB_OK)
		status = config_check_capabilities(allocator, view->data, why);
	if (status == FB_OTHER_VERSION)
		ereport(ERROR,
				(fb_errcode(FB_OTHER_VERSION),
				 errmsg("channel \"%s\" requires a capability that this version does not have",
						channel->name),
				 errdetail_internal("%s.", why->message),
				 errhint("Update the extension on this node; its ledger continues with this block "
						 "then.")));
	if (status == FB_OK)
		status = config_bundle_create(allocator, channel->name, view->data, next, why);
	if (status == FB_OK)
	{
		memory_on_reset(CurrentMemoryContext, validate_destroy_bundle, *next);
		status = config_check_successor(channel->bundle, *next, why);
	}
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE || status == FB_INTERNAL)
		error_throw(why);
	return status == FB_OK ? TX_VALID : TX_INVALID_CONFIG_TRANSACTION;
}

/*
 * alone: the block has no other transaction. next: the configuration after the block, if the
 * transaction is a valid one.
 */
static TxCode
check_first(const Channel *channel, BlockVerifier *verifier, FbAllocator *allocator,
			FbBytes envelope, bool alone, TxView *view, ConfigBundle **next, FbError *why)
{
	ConfigBundle *bundle = NULL;
	TxCode code;

	error_check(check_envelope(allocator, envelope, view, &code, why), why);
	if (code != TX_VALID)
		return code;
	if (!creator_signed(channel, verifier, view, why))
		return TX_BAD_CREATOR_SIGNATURE;
	error_check(check_transaction(allocator, fb_bytes_of_text(channel->name), view, &code, why),
				why);
	if (code != TX_VALID || view->type != TX_TYPE_CONFIG)
		return code;
	if (!alone)
	{
		/* the rest of the block would be judged by one of the two configurations */
		fb_fail(why, FB_INVALID_CONFIG, "a configuration transaction is not alone in its block");
		return TX_INVALID_CONFIG_TRANSACTION;
	}
	code = check_configuration(channel, verifier, allocator, view, &bundle, why);
	if (code == TX_VALID)
		*next = bundle;
	return code;
}

/*
 * Set the code of a transaction. Only an invalid one gets a copy of the reason, so valid ones need
 * no memory for it.
 */
static void
set_code(ValidatedTransaction *transaction, TxCode code, const FbError *why)
{
	transaction->code = code;
	if (code != TX_VALID && why->message[0] != '\0')
		transaction->why = pstrdup(why->message);
}

static void
check_duplicates_on_ledger(ValidationSource *source, ValidatedTransaction *transactions,
						   size_t count)
{
	FbBytes *tx_ids = palloc0(count * sizeof(FbBytes) + 1);
	bool *found = palloc0(count * sizeof(bool) + 1);

	/* as in Fabric, the id of a configuration transaction does not matter */
	for (size_t i = 0; i < count; i++)
		if (transactions[i].code == TX_VALID && transactions[i].view.type != TX_TYPE_CONFIG)
			tx_ids[i] = transactions[i].view.tx_id;
	source->find_tx_ids(source, tx_ids, (int) count, found);
	for (size_t i = 0; i < count; i++)
		if (found[i])
		{
			transactions[i].code = TX_DUPLICATE_TXID;
			transactions[i].why = "the transaction id is on the ledger already";
		}
}

static void
check_actions(FbAllocator *allocator, ValidatedTransaction *transactions, size_t count)
{
	FbError why;

	for (size_t i = 0; i < count; i++)
		if (transactions[i].code == TX_VALID)
		{
			TxCode code;

			why.message[0] = '\0';
			error_check(check_action(allocator, &transactions[i].view, &code, &why), &why);
			set_code(&transactions[i], code, &why);
		}
}

static void
validate_check_policies(const Channel *channel, ValidationSource *source, BlockVerifier *verifier,
						const MvccBlock *keys, ValidatedTransaction *transactions, size_t count)
{
	PolicyChecker *checker =
		policy_checker_create(channel, source, keys, verify_once, verifier, verifier->work);
	FbError why;

	for (size_t i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (transactions[i].code == TX_VALID)
		{
			TxCode code;

			why.message[0] = '\0';
			code = policy_checker_check(checker, i, &transactions[i].view, &why);
			set_code(&transactions[i], code, &why);
		}
	}
}

static void
check_duplicates_in_block(FbAllocator *allocator, ValidatedTransaction *transactions, size_t count)
{
	FbBytes *tx_ids = palloc0(count * sizeof(FbBytes) + 1);
	uint8_t *codes = palloc0(count + 1);
	FbError error;

	for (size_t i = 0; i < count; i++)
	{
		codes[i] = (uint8_t) transactions[i].code;
		tx_ids[i] = transactions[i].view.tx_id;
	}
	error_check(check_mark_duplicates(allocator, tx_ids, codes, count, &error), &error);
	for (size_t i = 0; i < count; i++)
		transactions[i].code = (TxCode) codes[i];
}

static void
check_conflicts(ValidationSource *source, FbAllocator *allocator, uint64 number,
				MvccTransaction *mvcc, MvccBlock *keys, ValidatedBlock *result)
{
	FbError error;

	for (size_t i = 0; i < result->transactions_count; i++)
		mvcc[i].code = (uint8_t) result->transactions[i].code;
	error_check(mvcc_validate(allocator, keys, number, source->ranges, &result->mvcc, &error),
				&error);
	for (size_t i = 0; i < result->transactions_count; i++)
		result->transactions[i].code = (TxCode) mvcc[i].code;
}

void
validate_block_from(const Channel *channel, ValidationSource *source, uint64 number,
					const FbBytes *data, size_t data_count, ValidatedBlock *result)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ValidatedTransaction *transactions = palloc0(data_count * sizeof(ValidatedTransaction) + 1);
	MvccTransaction *mvcc = palloc0(data_count * sizeof(MvccTransaction) + 1);
	BlockVerifier verifier = {source, &result->work};
	uint64 checks_before = msp_manager_checks_count(channel->bundle->msps);
	ConfigBundle *next = NULL;
	MvccBlock *keys;
	FbError error;

	result->transactions = transactions;
	result->transactions_count = data_count;
	memset(&result->work, 0, sizeof(result->work));
	for (size_t i = 0; i < data_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		error.message[0] = '\0';
		set_code(&transactions[i],
				 check_first(channel, &verifier, allocator, data[i], data_count == 1,
							 &transactions[i].view, &next, &error),
				 &error);
	}
	result->next_config = next;
	check_duplicates_on_ledger(source, transactions, data_count);
	check_actions(allocator, transactions, data_count);

	for (size_t i = 0; i < data_count; i++)
	{
		mvcc[i].code = (uint8_t) transactions[i].code;
		mvcc[i].rwset = transactions[i].code == TX_VALID ? transactions[i].view.rwset : NULL;
	}
	error_check(mvcc_prepare(allocator, mvcc, data_count, &keys, &error), &error);
	source->fetch(source, keys);

	validate_check_policies(channel, source, &verifier, keys, transactions, data_count);
	result->work.identities_checked =
		msp_manager_checks_count(channel->bundle->msps) - checks_before;
	check_duplicates_in_block(allocator, transactions, data_count);
	check_conflicts(source, allocator, number, mvcc, keys, result);
	result->work.range_rows = result->mvcc.range_rows;
}

/* ---- the tables as the source ---- */

typedef struct StateRangeSource
{
	RangeSource source; /* must be first */
	const Ledger *ledger;
	StateScan *scan;
	MemoryContext row_context; /* memory for one row, reset for the next */
} StateRangeSource;

static FbStatus
ledger_range_open(RangeSource *self, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
				  FbError *error)
{
	StateRangeSource *source = (StateRangeSource *) self;

	source->scan = state_store_scan(source->ledger, namespace_name, start_key, end_key, NULL);
	return FB_OK;
}

static FbStatus
ledger_range_next(RangeSource *self, FbBytes *key, RwSetVersion *version, bool *found,
				  FbError *error)
{
	StateRangeSource *source = (StateRangeSource *) self;
	MemoryContext old;
	StateRow row;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	*found = state_scan_next_version(source->scan, &row);
	if (*found)
	{
		*key = row.key;
		*version = row.version;
	}
	MemoryContextSwitchTo(old);
	return FB_OK;
}

static void
ledger_range_close(RangeSource *self)
{
	StateRangeSource *source = (StateRangeSource *) self;

	state_scan_end(source->scan);
	source->scan = NULL;
}

typedef struct LedgerSource
{
	ValidationSource source; /* must be first */
	const Ledger *ledger;
	StateRangeSource ranges;
} LedgerSource;

static void
ledger_find_tx_ids(ValidationSource *self, const FbBytes *tx_ids, int count, bool *found)
{
	tx_index_find_many(((LedgerSource *) self)->ledger, tx_ids, count, found);
}

static void
ledger_fetch(ValidationSource *self, MvccBlock *keys)
{
	state_store_fetch(((LedgerSource *) self)->ledger, keys);
}

static FbStatus
ledger_definition(ValidationSource *self, const char *chaincode, ChaincodeDefinition *result,
				  FbError *error)
{
	return definition_find(((LedgerSource *) self)->ledger->channel, chaincode, result, error);
}

const ConfigBundle *
validate_next_config(const Channel *channel, const FbBytes *data, size_t data_count)
{
	ValidationSource source = {.verify = access_verify};
	ValidationWork work = {0};
	BlockVerifier verifier = {&source, &work};
	ConfigBundle *next = NULL;
	TxView view;
	FbError error;

	if (block_has_config(data, data_count))
		(void) check_first(channel, &verifier, memory_allocator(CurrentMemoryContext), data[0],
						   true, &view, &next, &error);
	return next;
}

void
validate_block(const Channel *channel, uint64 number, const FbBytes *data, size_t data_count,
			   ValidatedBlock *result)
{
	LedgerSource source = {
		.source = {access_verify, ledger_find_tx_ids, ledger_fetch, &source.ranges.source,
				   ledger_definition},
		.ledger = channel->ledger,
		.ranges = {{ledger_range_open, ledger_range_next, ledger_range_close},
				   channel->ledger,
				   NULL,
				   AllocSetContextCreate(CurrentMemoryContext, "fabric range validation",
										 ALLOCSET_SMALL_SIZES)},
	};

	validate_block_from(channel, &source.source, number, data, data_count, result);
}
