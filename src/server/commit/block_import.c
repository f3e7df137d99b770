/*
 * block_import.c: an administrator imports the blocks of a channel, one at a time
 * (fabric.import_block).
 *
 * The problem. A node without a connection to the orderers, a copy of a Fabric network's channel at
 * an auditor that is not a member of it, and a test with blocks made elsewhere all need the
 * committer without a source of blocks. Nothing about the blocks may be trusted, and the ledger
 * tables have one writer, whose caches (configuration, chaincode definitions, envelope dictionary)
 * are valid only because there is no other writer.
 *
 * The rule. The session passes the bytes to the channel's ledger worker and waits
 * (pg/import_queue.c). The worker checks and commits the block like one from an orderer: number,
 * previous hash, data hash, the signatures that the policy BlockValidation requires, then every
 * transaction; one block, one transaction, flushed to disk. So the import is durable when the call
 * returns, even if the caller's transaction rolls back, as with fabric.invoke; and the isolation
 * level of the caller does not matter. A refused block changes nothing and the worker continues.
 * Only an error that is not about the block (disk full, damaged tables) ends the process, as with
 * any other block.
 *
 * Channels. A channel that was joined with source 'import' requests no blocks and signs nothing, so
 * the node needs no certificate and no membership. Blocks may also be imported into any other
 * channel: the checks are the same, so the block is the one that an orderer would deliver, and the
 * worker skips the same block when its own source delivers it. The exception is a consenter: its
 * blocks are made from the entries of its Raft log, and the ledger must not be ahead of the entries
 * that this node has confirmed to the others.
 *
 * Rejected: committing in the session under the lock that rebuild_state takes. It would make a loop
 * over many blocks one transaction, but the session would need all caches of the worker and their
 * invalidation (a definition committed by block N applies to block N + 1 of the same, uncommitted,
 * transaction), and would have to publish heights that a rollback revokes.
 *
 * Other statements of the block about itself (codes, commit hash) are compared, see comparison.c.
 * Blocks do not contain private data; it is missing here as on any node whose organization is not a
 * member of the collection.
 */
#include "server/commit/commit_internal.h"

#include "miscadmin.h"
#include "storage/lmgr.h"

#include "core/block_audit/block_audit.h"

/*
 * maximum time that the channel's ledger worker may take to start: longer than the launcher's
 * longest delay
 */
#define WORKER_START_MS 20000

/* ---- the worker's side ---- */

/*
 * A block that does not fit may belong to another channel. Names that no channel can have are not
 * repeated in the message.
 */
static void
refuse_foreign(const Channel *channel, const BlockView *block)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Envelope view;
	FbError error;

	if (block->data_count == 0 ||
		envelope_parse(allocator, block->data[0], &view, &error) != FB_OK ||
		config_check_channel_id(view.channel_id, &error) != FB_OK ||
		fb_bytes_equal(view.channel_id, fb_bytes_of_text(channel->name)))
		return;
	ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),
					errmsg("block %llu is not of channel \"%s\"",
						   (unsigned long long) block->header.number, channel->name),
					errdetail("Its first transaction is of channel \"%s\".",
							  fb_text_copy(allocator, view.channel_id)),
					errhint("Import it into that channel.")));
}

static void
refuse_gap(const Channel *channel, const BlockView *block, uint64 height)
{
	refuse_foreign(channel, block);
	ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),
					errmsg("block %llu does not follow the last block of channel \"%s\"",
						   (unsigned long long) block->header.number, channel->name),
					errdetail("The next block is number %llu.", (unsigned long long) height),
					errhint("Import the blocks in the order of their numbers.")));
}

static void
hash_text(FbBytes hash, char hex[2 * CRYPTO_SHA256_BYTES + 1])
{
	if (hash.size == CRYPTO_SHA256_BYTES)
		fb_hex_encode(hash, hex);
	else
		strcpy(hex, "no hash of 32 bytes");
}

/* a block with this number is on the ledger: the imported block must be the same */
static void
import_check_same(const Channel *channel, const BlockView *block, CommitComparison *comparison,
				  CommittedBlock *committed)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	char here[2 * CRYPTO_SHA256_BYTES + 1];
	char there[2 * CRYPTO_SHA256_BYTES + 1];
	BlockRow row;

	if (!block_store_row(channel->ledger, block->header.number, NULL, &row))
		elog(ERROR, "block " UINT64_FORMAT " of channel \"%s\" is missing",
			 (uint64) block->header.number, channel->name);
	block_header_hash(&block->header, hash);
	if (!fb_bytes_equal(row.block_hash, fb_bytes(hash, sizeof(hash))))
	{
		refuse_foreign(channel, block);
		hash_text(row.block_hash, here);
		hash_text(fb_bytes(hash, sizeof(hash)), there);
		ereport(
			ERROR,
			(fb_errcode(FB_BLOCK_REFUSED),
			 errmsg("channel \"%s\" has another block %llu", channel->name,
					(unsigned long long) block->header.number),
			 errdetail("The block on the ledger has the hash %s, the passed block has %s.", here,
					   there),
			 errhint(
				 "The signatures of the passed block were not verified. Compare with other nodes before you trust either block: fabric.get_block, fabric.verify_block, fabric.verify_chain.")));
	}
	comparison_check(channel, block, row.transactions_filter, row.commit_hash, comparison);
	committed->number = row.number;
	for (size_t i = 0; i < row.transactions_filter.size; i++)
		committed->counts[row.transactions_filter.data[i]]++;
}

/* the error of block_check_link in commit_block does not name hashes or channels */
static void
check_previous(const Channel *channel, const BlockView *block)
{
	char here[2 * CRYPTO_SHA256_BYTES + 1];
	char there[2 * CRYPTO_SHA256_BYTES + 1];
	BlockRow last;

	if (!block_store_row(channel->ledger, block->header.number - 1, NULL, &last))
		elog(ERROR, "block " UINT64_FORMAT " of channel \"%s\" is missing",
			 (uint64) block->header.number - 1, channel->name);
	if (fb_bytes_equal(last.block_hash, block->header.previous_hash))
		return;
	refuse_foreign(channel, block);
	hash_text(last.block_hash, here);
	hash_text(block->header.previous_hash, there);
	ereport(
		ERROR,
		(fb_errcode(FB_BLOCK_REFUSED),
		 errmsg("block %llu does not follow the last block of channel \"%s\"",
				(unsigned long long) block->header.number, channel->name),
		 errdetail("Its previous hash is %s, the hash of block %llu here is %s.", there,
				   (unsigned long long) last.number, here),
		 errhint(
			 "The block is damaged, or one of the two copies of the chain is not the channel's: compare with other nodes.")));
}

bool
import_check_block(const Channel *channel, FbBytes bytes, CheckedBlock *checked,
				   CommitComparison *comparison, CommittedBlock *committed)
{
	BlockView view;
	const BlockView *block = &view;
	uint64 height = block_store_height(channel->ledger, NULL);
	FbError error;

	memset(committed, 0, sizeof(*committed));
	if (block_parse(bytes, memory_allocator(CurrentMemoryContext), &view, &error) != FB_OK)
	{
		if (error.hint[0] == '\0')
			fb_error_hint(
				&error,
				"Pass the bytes of a block, as fabric.get_block gives them or \"peer channel fetch\" writes them.");
		error_throw(&error);
	}
	if (!channel->ledger->import_only)
		channel_refuse_consenter(channel->bundle);
	if (block->header.number > height)
		refuse_gap(channel, block, height);
	if (block->header.number == height)
		check_previous(channel, block);
	if (block_check(block, checked, &error) != FB_OK)
	{
		if (error.hint[0] == '\0')
			fb_error_hint(&error, "The copy of the block is damaged: take it from another node.");
		error_throw(&error);
	}
	if (block->header.number == height)
		return true;
	import_check_same(channel, block, comparison, committed);
	return false;
}

static bool
refuse_problem(void *context, const AuditProblem *problem)
{
	const BlockView *block = context;

	ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),
					errmsg("metadata of block %llu were altered",
						   (unsigned long long) block->header.number),
					errdetail_internal("%s", problem->detail),
					errhint("The copy of the block is damaged: take it from another node.")));
}

/*
 * Slots 1 and 3 repeat signed contents of slot 0, and slot 0 can hold fields and signatures that
 * nothing checks. Refuse a block in which these were changed: once stored, fabric.verify_chain
 * would report them at each call. Fabric's peer stores them.
 */
void
import_check_metadata(const Channel *channel, const BlockView *block)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	BlockView checked = *block;
	Audit audit = {.allocator = allocator,
				   .bundle = channel->bundle,
				   .consenter_ids = block_is_configuration(block) ? NULL : &channel->consenter_ids,
				   .report = refuse_problem,
				   .report_context = &checked};
	BlockSignatures slot;
	FbError error;

	error_check(block_signatures_parse(block->metadata[COMMON__BLOCK_METADATA_INDEX__SIGNATURES],
									   allocator, &slot, &error),
				&error);
	/* the first releases of Fabric sign the header only */
	if (slot.value.size == 0)
		return;
	/* Fabric 1.4 fills slot 3 too (blockwriter.go, addBlockSignature) */
	if (fb_bytes_equal(block->metadata[COMMON__BLOCK_METADATA_INDEX__ORDERER],
					   slot.consenter_metadata))
		checked.metadata[COMMON__BLOCK_METADATA_INDEX__ORDERER] = FB_BYTES_EMPTY;
	error_check(audit_orderers(&audit, &checked, NULL, &error), &error);
}

/* ---- the session's side ---- */

static void
refuse_unanswered(const Channel *channel)
{
	ereport(
		ERROR,
		(fb_errcode(FB_BUSY),
		 errmsg("ledger process of channel \"%s\" does not answer", channel->name),
		 errdetail(
			 "It does not run, or ended before the block was imported; whether the block was stored is not known."),
		 errhint(
			 "Look at fabric.stat_workers, and import the same block again: one that is stored already is left as it is.")));
}

static void
raise_answer(const ImportAnswer *answer)
{
	const FbError *error = &answer->error;

	if (answer->sqlstate == 0 && error->message[0] == '\0')
		return;
	ereport(answer->sqlstate != 0 ? ERROR : WARNING,
			(errcode(answer->sqlstate != 0 ? answer->sqlstate : error_sqlstate(FB_BLOCK_REFUSED)),
			 errmsg_internal("%s", error->message),
			 error->detail[0] ? errdetail_internal("%s", error->detail) : 0,
			 error->hint[0] ? errhint("%s", error->hint) : 0));
}

void
import_block(const char *channel_name, FbBytes block, bool accept_differences, ImportAnswer *answer)
{
	const Channel *channel;
	ChannelSlot *slot;
	Oid channels;
	int ledger_id;
	bool answered;

	PreventCommandIfReadOnly("import_block()");
	channel = channel_open(channel_name);
	channel_refuse_locked(channel);
	if (block.size > FB_MESSAGE_BYTES_MAX)
		ereport(ERROR,
				(fb_errcode(FB_LIMIT_EXCEEDED), errmsg("block is too large"),
				 errdetail("It has %zu bytes, %d are allowed.", block.size, FB_MESSAGE_BYTES_MAX),
				 errhint("No orderer makes such blocks: check the bytes that were passed.")));
	ledger_id = channel->ledger->id;
	channels = spi_relation_oid("channel");
	/* One importer at a time for a channel. No SQL statement takes this kind of lock. */
	LockDatabaseObject(channels, (Oid) ledger_id, 0, ExclusiveLock);
	channel = channel_open(channel_name);
	slot = channel_wait_slot(channel,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WORKER_START_MS));
	answered =
		slot != NULL && channel->ledger->id == ledger_id &&
		import_queue_send(slot, ledger_id, block, accept_differences, WORKER_START_MS, answer);
	UnlockDatabaseObject(channels, (Oid) ledger_id, 0, ExclusiveLock);
	if (!answered)
		refuse_unanswered(channel);
	raise_answer(answer);
}
