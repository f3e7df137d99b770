/*
 * committer.c: write a validated block: block, transactions, state, history and private plaintext,
 * all in the caller's transaction
 */
#include "server/commit/commit_internal.h"

#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

static TransactionRow *
transaction_rows(FbAllocator *allocator, uint64 number, const BlockView *block,
				 const ValidatedBlock *validated, uint8_t *filter)
{
	TransactionRow *rows = palloc(block->data_count * sizeof(TransactionRow) + 1);

	for (size_t i = 0; i < block->data_count; i++)
	{
		filter[i] = (uint8_t) validated->transactions[i].code;
		transaction_row_fill(&rows[i], allocator, number, i, block->data[i],
							 &validated->transactions[i].view, filter[i]);
	}
	return rows;
}

/* the collection of a transaction with exactly these writes; NULL: there is none */
static const RwSetCollection *
find_collection_row(const RwSet *rwset, const RwSetPrivateCollection *kept)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];

	crypto_sha256(kept->bytes, hash);
	for (size_t n = 0; n < rwset->namespaces_count; n++)
		for (size_t c = 0; c < rwset->namespaces[n].collections_count; c++)
		{
			const RwSetCollection *collection = &rwset->namespaces[n].collections[c];

			if (fb_bytes_equal(rwset->namespaces[n].name, kept->namespace_name) &&
				fb_bytes_equal(collection->name, kept->collection) &&
				fb_bytes_equal(collection->private_hash, fb_bytes(hash, sizeof(hash))))
				return collection;
		}
	return NULL;
}

bool
commit_is_own_collection(FbBytes collection)
{
	return fb_bytes_equal(collection,
						  fb_bytes_of_text(psprintf("_implicit_org_%s", guc_node_msp_id)));
}

/* Count the collections of this node's own organization whose plaintext the transaction wrote. */
static int
count_own_collections(const RwSet *rwset)
{
	int count = 0;

	for (size_t n = 0; n < rwset->namespaces_count; n++)
		for (size_t c = 0; c < rwset->namespaces[n].collections_count; c++)
			if (rwset->namespaces[n].collections[c].private_hash.size > 0 &&
				commit_is_own_collection(rwset->namespaces[n].collections[c].name))
				count++;
	return count;
}

/*
 * The plaintext of the transaction is missing. Note that, so that reconcile.c requests it. Delete
 * the older plaintext of the keys that the transaction wrote, because it no longer matches the
 * chain: an approval that was replaced must not be used.
 */
static void
note_missing(const Ledger *ledger, const RwSet *rwset, RwSetVersion version)
{
	private_store_note_missing(ledger, version);
	for (size_t n = 0; n < rwset->namespaces_count; n++)
		for (size_t c = 0; c < rwset->namespaces[n].collections_count; c++)
		{
			const RwSetCollection *collection = &rwset->namespaces[n].collections[c];

			if (collection->hashed_writes_count > 0 && commit_is_own_collection(collection->name))
				private_store_drop_stale(ledger, rwset->namespaces[n].name, collection, version);
		}
}

/*
 * Plaintext that this node kept for a transaction is written to the private state if its hashes are
 * those of the transaction. Plaintext that cannot be read counts as missing; the validity of the
 * block does not depend on it. Missing plaintext of this organization's own collections is noted,
 * as Fabric does (pvtdatastorage/store.go, Commit): an audit reports plaintext that is neither
 * present nor noted, because someone removed it.
 */
static void
apply_private(const Ledger *ledger, FbAllocator *allocator, const TxView *view,
			  RwSetVersion version)
{
	RwSetPrivateCollection *collections;
	size_t collections_count;
	FbBytes kept;
	FbError error;
	FbStatus status;
	int missing = count_own_collections(view->rwset);
	bool any = false;

	for (size_t i = 0; i < view->rwset->namespaces_count; i++)
		any = any || view->rwset->namespaces[i].collections_count > 0;
	if (!any)
		return;
	if (!private_store_take_transient(ledger, fb_text_copy(allocator, view->tx_id), &kept))
	{
		if (missing > 0)
			note_missing(ledger, view->rwset, version);
		return;
	}
	status =
		rwset_private_collections_parse(allocator, kept, &collections, &collections_count, &error);
	for (size_t i = 0; status == FB_OK && i < collections_count; i++)
	{
		RwSetPrivate *set;

		if (find_collection_row(view->rwset, &collections[i]) == NULL)
			continue;
		status = rwset_private_parse(allocator, collections[i].bytes, &set, &error);
		if (status != FB_OK)
			break;
		private_store_apply(ledger, collections[i].namespace_name, collections[i].collection, set,
							version);
		missing -= commit_is_own_collection(collections[i].collection) ? 1 : 0;
	}
	if (missing > 0)
		note_missing(ledger, view->rwset, version);
	if (status == FB_OUT_OF_MEMORY)
		error_throw(&error);
	if (status != FB_OK)
		ereport(WARNING, (fb_errcode(FB_CORRUPTED),
						  errmsg("private data of transaction %s of channel \"%s\" cannot be read",
								 fb_text_copy(allocator, view->tx_id), ledger->channel),
						  errdetail_internal("%s", error.message)));
}

static bool
changes_lifecycle(const MvccResult *mvcc)
{
	for (size_t i = 0; i < mvcc->updates_count; i++)
		if (fb_bytes_equal(mvcc->updates[i].namespace_name, FB_BYTES_LITERAL(LIFECYCLE_NAMESPACE)))
			return true;
	return false;
}

/* certificates that repeat are added to the dictionary, which makes stored envelopes small */
static void
maintain_dictionary(const Ledger *ledger, const BlockView *block, const ValidatedBlock *validated)
{
	FbBytes sample = FB_BYTES_EMPTY;

	for (size_t i = 0; i < validated->transactions_count; i++)
	{
		const TxView *view = &validated->transactions[i].view;

		if (validated->transactions[i].code != TX_VALID)
			continue;
		dictionary_count(ledger, view->creator);
		for (size_t e = 0; e < view->endorsements_count; e++)
			dictionary_count(ledger, view->endorsements[e].endorser);
		sample = block->data[i];
	}
	if (sample.size > 0)
		dictionary_maintain(ledger, (int) block->data_count, sample);
}

/* the last block, which this one must follow */
static void
check_follows(const Channel *channel, const BlockView *block, BlockRow *previous)
{
	FbError error;

	if (block->header.number == 0 ||
		!block_store_row(channel->ledger, block->header.number - 1, NULL, previous))
		ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),
						errmsg("block %llu does not follow the last block of channel \"%s\"",
							   (unsigned long long) block->header.number, channel->name)));
	error_check(block_check_link(&block->header, previous->number, previous->block_hash, &error),
				&error);
}

/*
 * The ids of the consenters follow from the chain, so that an orderer cannot renumber them: see
 * core/config/consenters.c. Blocks of Fabric's first releases, which can only be imported, do not
 * name them in slot 0.
 */
static void
committer_check_consenters(const ConsenterIds *expected, const BlockView *block, bool imported)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	BlockSignatures slot;
	FbError error;
	FbStatus status = block_signatures_parse(block->metadata[0], allocator, &slot, &error);

	if (status == FB_OK && !(imported && slot.value.size == 0))
		status = consenter_ids_require(expected, block->metadata[0], allocator, &error);
	if (status == FB_OUT_OF_MEMORY)
		error_throw(&error);
	if (status != FB_OK)
		ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),
						errmsg("metadata of block %llu are not those of this chain",
							   (unsigned long long) block->header.number),
						errdetail("%s.", error.message),
						errhint("Its orderer made a mistake or lies: take it from another node.")));
}

static void
describe_block(FbAllocator *allocator, const BlockView *block, const ValidatedBlock *validated,
			   const TransactionRow *rows, CommittedBlock *committed)
{
	memset(committed, 0, sizeof(*committed));
	block_header_hash(&block->header, committed->block_hash);
	committed->number = block->header.number;
	committed->raft_index = block_raft_index(block->metadata[0], allocator);
	committed->lifecycle_changed = changes_lifecycle(&validated->mvcc);
	committed->config_changed = validated->next_config != NULL;
	committed->work = validated->work;
	committed->tx_ids = palloc0(block->data_count * sizeof(FbBytes) + 1);
	committed->tx_ids_count = block->data_count;
	for (size_t i = 0; i < block->data_count; i++)
	{
		committed->counts[rows[i].validation_code]++;
		committed->tx_ids[i] = rows[i].tx_id;
	}
}

static void
store_block(const Ledger *ledger, FbAllocator *allocator, const CheckedBlock *checked,
			const BlockRow *row, const TransactionRow *rows, const ValidatedBlock *validated)
{
	FAULT_POINT("commit_before_block");
	block_store_append(ledger, row, rows, (int) validated->transactions_count, checked);
	FAULT_POINT("commit_before_state");
	state_store_apply(ledger, validated->mvcc.updates, validated->mvcc.updates_count);
	history_append(ledger, row->number, validated->mvcc.history, validated->mvcc.history_count);
	for (size_t i = 0; i < validated->transactions_count; i++)
		if (validated->transactions[i].code == TX_VALID &&
			validated->transactions[i].view.rwset != NULL)
			apply_private(ledger, allocator, &validated->transactions[i].view,
						  (RwSetVersion) {true, row->number, i});
	if (validated->next_config != NULL)
		channel_store_config(ledger, row->number, validated->next_config->config_envelope);
}

void
commit_block(const Channel *channel, const CheckedBlock *checked, uint64 raft_term,
			 CommitComparison *comparison, CommittedBlock *committed)
{
	const BlockView *block = &checked->view;
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Ledger *ledger = channel->ledger;
	uint8_t *filter = palloc0(block->data_count + 1);
	uint8_t hash[CRYPTO_SHA256_BYTES];
	ConsenterIds consenter_ids = channel->consenter_ids;
	ValidatedBlock validated;
	TransactionRow *rows;
	BlockRow previous;
	BlockRow row = {0};
	instr_time begin;
	instr_time duration;

	/* a repair of the ledger locks commits out; read the state after the repair */
	LockRelationOid(ledger->transaction.table, RowExclusiveLock);
	PushActiveSnapshot(GetLatestSnapshot());
	check_follows(channel, block, &previous);
	INSTR_TIME_SET_CURRENT(begin);
	validate_block(channel, block->header.number, block->data, block->data_count, &validated);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, begin);
	if (validated.next_config != NULL)
		channel_follow_consenters(channel, validated.next_config, &consenter_ids);
	/* a block that this node made from its own log names the ids that this node knows */
	if (raft_term == 0)
		committer_check_consenters(&consenter_ids, block, comparison != NULL);
	rows = transaction_rows(allocator, block->header.number, block, &validated, filter);
	/* hash of the state changes (docs/wire-format.md, "Commit hash"); block 1 starts the chain */
	update_commit_hash(fb_bytes(filter, block->data_count), validated.mvcc.updates,
					   validated.mvcc.updates_count, previous.commit_hash, hash);
	if (comparison != NULL)
		comparison_check(channel, block, fb_bytes(filter, block->data_count),
						 fb_bytes(hash, sizeof(hash)), comparison);
	describe_block(allocator, block, &validated, rows, committed);
	committed->validation_us = INSTR_TIME_GET_MICROSEC(duration);

	row.number = block->header.number;
	row.previous_hash = block->header.previous_hash;
	row.data_hash = block->header.data_hash;
	row.block_hash = fb_bytes(committed->block_hash, CRYPTO_SHA256_BYTES);
	row.signatures = block->metadata[0];
	row.last_config = block->metadata[1];
	row.transactions_filter = fb_bytes(filter, block->data_count);
	row.orderer = block->metadata[3];
	row.commit_hash = fb_bytes(hash, sizeof(hash));
	row.raft_index = committed->raft_index;
	row.raft_term = raft_term;
	row.committed_at = GetCurrentTimestamp();
	store_block(ledger, allocator, checked, &row, rows, &validated);
	maintain_dictionary(ledger, block, &validated);
	PopActiveSnapshot();
	FAULT_POINT("commit_after_state");
}

void
commit_check_signatures(const Channel *channel, const BlockView *block)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Policy *policy =
		policy_manager_find(channel->bundle->policies, CONFIG_POLICY_BLOCK_VALIDATION);
	BlockSignatures slot;
	PolicySignature *signatures;
	PolicySignatureSet *set;
	FbBytes header;
	FbError error;
	FbStatus status;

	error_check(block_header_bytes(&block->header, allocator, &header, &error), &error);
	error_check(block_signatures_parse(block->metadata[0], allocator, &slot, &error), &error);
	signatures = palloc0(slot.signatures_count * sizeof(PolicySignature) + 1);
	for (size_t i = 0; i < slot.signatures_count; i++)
	{
		Common__SignatureHeader *signer;

		block_signed_parts(slot.value, &slot.signatures[i], header, signatures[i].parts);
		signatures[i].signature = slot.signatures[i].signature;
		/* a header that cannot be read leaves an empty identity, which satisfies no principal */
		if (PROTO_UNPACK(common__signature_header, slot.signatures[i].signature_header, allocator,
						 &signer, &error) == FB_OK)
			signatures[i].identity = proto_bytes(signer->creator);
	}
	error_check(policy_signatures_create(allocator, channel->bundle->msps, signatures,
										 slot.signatures_count, access_verify, NULL, &set, &error),
				&error);
	status = policy_require(allocator, policy, set, &error);
	if (status == FB_POLICY_NOT_SATISFIED)
		ereport(ERROR,
				(fb_errcode(FB_BLOCK_REFUSED),
				 errmsg("block %llu of channel \"%s\" is not signed by an orderer of the channel",
						(unsigned long long) block->header.number, channel->name),
				 errdetail("%s: %s", error.message, error.detail),
				 errhint("Take the block from another node.")));
	error_check(status, &error);
}
