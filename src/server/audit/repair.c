/*
 * repair.c: damaged blocks are replaced by those of other nodes.
 *
 * No node is trusted: a received block must have the hash of its transactions, follow the block
 * before, which is proved already, and carry the signatures that the channel's BlockValidation
 * policy requires. Block 0, which is not signed, must be the one that block 1 follows.
 *
 * Each block is judged by the configuration that was in force then: the last configuration block
 * before it, intact or received. That a block is one is what its orderers have signed (slot 0 names
 * the block itself as the last configuration).
 *
 * Blocks are fetched before anything is locked. They are kept in a tuplestore and written to the
 * tables under the lock, as far as they are still needed.
 */
#include "server/audit/audit_internal.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "core/block_audit/block_audit.h"
#include "server/deliver/deliver.h"
#include "server/wire/wire.h"

/* how long the other node may wait for the block to be committed there */
#define DELIVER_WAIT_MS 200

/* a configuration of the channel, in force after block `number` */
typedef struct RepairConfig
{
	uint64 number;
	ConfigBundle *bundle;
} RepairConfig;

typedef struct Repair
{
	const Channel *channel;
	MemoryContext context; /* of the whole repair */
	List *configs;		   /* of RepairConfig *, ascending */
	ChainWalk walk;
	MemoryContext block_context;	   /* of the block at work */
	uint8_t hash[CRYPTO_SHA256_BYTES]; /* of the block before */
	List *addresses;
	bool is_nowhere;		  /* all nodes answered that they do not have the block asked for */
	const char *last_address; /* of the node asked last; NULL: none was */
	FbError last_error;		  /* why it could not help */
	Tuplestorestate *found;	  /* blocks of other nodes, proved: on disk when there are many */
	TupleTableSlot *found_row;
	uint64 end; /* rows from this block number on are forged; UINT64_MAX: none are */
} Repair;

enum
{
	FOUND_NUMBER,
	FOUND_ADDRESS,
	FOUND_BLOCK,
	FOUND_COLUMNS
};

static void
ignore_problem(void *context, int64 block_number, int64 tx_index, const char *problem,
			   const char *detail)
{
}

/* ---- configurations ---- */

static void
repair_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

/* judge block `number` by the configuration before it; without any, by the channel's present one */
static void
repair_use_config(Repair *repair, uint64 number)
{
	ListCell *cell;

	repair->walk.replay->bundle = (ConfigBundle *) repair->channel->bundle;
	foreach(cell, repair->configs)
	{
		const RepairConfig *config = lfirst(cell);

		if (config->number < number)
			repair->walk.replay->bundle = config->bundle;
	}
}

/* The block is intact. If it is a configuration block, it is the one for the blocks after it. */
static void
repair_follow_config(Repair *repair, uint64 number, FbBytes signatures, FbBytes envelope)
{
	FbAllocator *allocator = memory_allocator(repair->context);
	BlockView view = {.metadata = {signatures}};
	MemoryContext old;
	RepairConfig *config;
	uint64_t last_config;
	FbBytes kept;
	FbError error;

	if (block_last_config(&view, memory_allocator(CurrentMemoryContext), &last_config, &error) !=
			FB_OK ||
		last_config != number)
		return;
	old = MemoryContextSwitchTo(repair->context);
	config = palloc0(sizeof(RepairConfig));
	error_check(fb_bytes_copy(allocator, envelope, &kept, &error), &error);
	if (config_bundle_from_envelope(allocator, kept, &config->bundle, &error) == FB_OK)
	{
		memory_on_reset(repair->context, repair_destroy_bundle, config->bundle);
		config->number = number;
		repair->configs = lappend(repair->configs, config);
	}
	MemoryContextSwitchTo(old);
}

static void
repair_follow_stored(Repair *repair, uint64 number)
{
	const Ledger *ledger = repair->channel->ledger;
	TransactionRow transaction;
	BlockRow row;

	if (block_store_row(ledger, number, repair->walk.snapshot, &row) &&
		block_store_transaction(ledger, number, 0, repair->walk.snapshot, true, &transaction))
		repair_follow_config(repair, number, row.signatures, transaction.envelope);
}

/* ---- judging ---- */

static bool
repair_refuse(void *context, const AuditProblem *problem)
{
	Repair *repair = context;

	fb_fail(&repair->last_error, FB_BLOCK_REFUSED, "%s", problem->problem);
	fb_error_detail(&repair->last_error, "%s", problem->detail);
	return false;
}

/* block 0 must be the one that block 1 of this node follows, which the orderers signed */
static bool
is_the_first(Repair *repair, const uint8_t hash[CRYPTO_SHA256_BYTES])
{
	uint8_t next_hash[CRYPTO_SHA256_BYTES];

	if (!chain_block_damaged(&repair->walk, 1, hash, next_hash))
		return true;
	fb_fail(&repair->last_error, FB_BLOCK_REFUSED, "nothing proves block 0");
	fb_error_detail(
		&repair->last_error,
		"Block 1 of this node is missing or damaged too, or does not follow the block that was received.");
	return false;
}

static bool
is_proved(Repair *repair, uint64 number, FbBytes bytes, BlockView *view)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Audit audit = {.allocator = allocator,
				   .bundle = repair->walk.replay->bundle,
				   .consenter_ids = number > repair->channel->config_block_number
										? &repair->channel->consenter_ids
										: NULL,
				   .report = repair_refuse,
				   .report_context = repair};
	uint8_t hash[CRYPTO_SHA256_BYTES];
	FbError error;

	if (block_parse(bytes, allocator, view, &repair->last_error) != FB_OK)
		return false;
	if (view->header.number != number ||
		(number > 0 &&
		 !fb_bytes_equal(view->header.previous_hash, fb_bytes(repair->hash, sizeof(repair->hash)))))
	{
		fb_fail(&repair->last_error, FB_BLOCK_REFUSED,
				"the block received does not follow block " INT64_FORMAT, (int64) number - 1);
		return false;
	}
	error_check(audit_frame(&audit, view, NULL, &error), &error);
	error_check(audit_orderers(&audit, view, NULL, &error), &error);
	if (audit.problems_count > 0)
		return false;
	block_header_hash(&view->header, hash);
	return number > 0 || is_the_first(repair, hash);
}

/* ---- asking ---- */

/* the bytes of the block at one node, in the current context; false: last_error says why not */
static bool
repair_ask(Repair *repair, const char *address, uint64 number, FbBytes *bytes)
{
	WireCall *call =
		wire_deliver_start(address, deliver_seek(repair->channel, number), 1, DELIVER_WAIT_MS);
	const WireError *failure;
	bool found = false;

	(void) wire_wait(&call, 1, WIRE_WAIT_ALL,
					 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 DELIVER_WAIT_MS + guc_connect_timeout + 5000),
					 false);
	failure = wire_call_error(call);
	if (failure != NULL)
		repair->last_error = failure->error;
	else if (wire_call_rows_count(call) == 0)
		fb_fail(&repair->last_error, FB_BLOCK_NOT_FOUND,
				"node %s does not have block " UINT64_FORMAT, address, number);
	else
	{
		*bytes = memory_bytes(memory_bytea(wire_call_row(call, 0)));
		found = true;
	}
	wire_call_release(call);
	return found;
}

/*
 * the address of the node that gave the bytes of the right block; NULL: none did. Moves on to its
 * hash
 */
static const char *
fetch_block(Repair *repair, uint64 number, FbBytes *bytes)
{
	ListCell *cell;

	repair->is_nowhere = repair->addresses != NIL;
	foreach(cell, repair->addresses)
	{
		BlockView view;

		CHECK_FOR_INTERRUPTS();
		repair->last_address = lfirst(cell);
		if (repair_ask(repair, lfirst(cell), number, bytes) &&
			is_proved(repair, number, *bytes, &view))
		{
			block_header_hash(&view.header, repair->hash);
			repair_follow_config(repair, number, view.metadata[0], view.data[0]);
			return lfirst(cell);
		}
		repair->is_nowhere = repair->is_nowhere && repair->last_error.status == FB_BLOCK_NOT_FOUND;
	}
	return NULL;
}

static void
repair_keep(Repair *repair, uint64 number, const char *address, FbBytes block)
{
	Datum values[FOUND_COLUMNS] = {Int64GetDatum((int64) number), CStringGetTextDatum(address),
								   PointerGetDatum(memory_bytea(block))};
	bool nulls[FOUND_COLUMNS] = {false};

	tuplestore_putvalues(repair->found, repair->found_row->tts_tupleDescriptor, values, nulls);
}

static void
refuse_unrepaired(Repair *repair, uint64 number)
{
	ereport(
		ERROR,
		(fb_errcode(repair->last_error.status == FB_NODE_UNREACHABLE ? FB_NODE_UNREACHABLE
																	 : FB_CORRUPTED),
		 errmsg("no other node could replace block %llu of channel \"%s\"",
				(unsigned long long) number, repair->channel->name),
		 repair->last_address == NULL
			 ? errdetail("The channel has no other node.")
			 : errdetail("The last answer, of node %s, was: %s%s%s", repair->last_address,
						 repair->last_error.message, repair->last_error.detail[0] ? ": " : "",
						 repair->last_error.detail),
		 errhint(
			 "Try again when the other organizations' nodes answer; fabric.nodes lists them.")));
}

/* rows with a number that the chain has not reached, and that are not valid by themselves */
static bool
is_forged(Repair *repair, uint64 number)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];

	return chain_block_damaged(&repair->walk, number, NULL, hash);
}

/* find what is damaged, and the right blocks for it */
static void
repair_collect(Repair *repair)
{
	const Ledger *ledger = repair->channel->ledger;
	uint64 height = block_store_height(ledger, repair->walk.snapshot);

	for (uint64 number = 0; number < height; number++)
	{
		uint8_t hash[CRYPTO_SHA256_BYTES];
		const char *address;
		FbBytes block;
		uint64 next;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(repair->block_context);
		repair_use_config(repair, number);
		if (!chain_block_damaged(&repair->walk, number, number > 0 ? repair->hash : NULL, hash))
		{
			memcpy(repair->hash, hash, sizeof(hash));
			repair_follow_stored(repair, number);
			continue;
		}
		address = fetch_block(repair, number, &block);
		if (address != NULL)
		{
			repair_keep(repair, number, address, block);
			continue;
		}
		/* the chain may end here, with forged rows behind it */
		next = block_store_next(ledger, number);
		if (!repair->is_nowhere || next == number || next == UINT64_MAX || !is_forged(repair, next))
			refuse_unrepaired(repair, number);
		repair->end = number;
		return;
	}
}

/* ---- replacing ---- */

/* the rebuild fills in validation codes and the other columns that follow from the chain */
static void
repair_replace(Repair *repair, uint64 number, const BlockView *view)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Ledger *ledger = repair->channel->ledger;
	TransactionRow *rows = palloc(view->data_count * sizeof(TransactionRow) + 1);
	uint8_t *filter = palloc(view->data_count + 1);
	uint8_t hash[CRYPTO_SHA256_BYTES];
	BlockRow row;

	if (!block_store_row(ledger, number, repair->walk.snapshot, &row))
	{
		memset(&row, 0, sizeof(row));
		row.committed_at = GetCurrentTimestamp();
	}
	txflags_start(filter, view->data_count);
	for (size_t i = 0; i < view->data_count; i++)
	{
		TxView transaction;
		TxCode code;
		FbError error;

		error_check(check_structure(allocator, view->data[i], fb_bytes_of_text(ledger->channel),
									&transaction, &code, &error),
					&error);
		transaction_row_fill(&rows[i], allocator, number, i, view->data[i], &transaction,
							 filter[i]);
	}
	block_header_hash(&view->header, hash);
	row.number = number;
	row.previous_hash = view->header.previous_hash;
	row.data_hash = view->header.data_hash;
	row.block_hash = fb_bytes(hash, sizeof(hash));
	row.signatures = view->metadata[0];
	row.last_config = view->metadata[1];
	row.transactions_filter = fb_bytes(filter, view->data_count);
	row.orderer = view->metadata[3];
	row.commit_hash = FB_BYTES_EMPTY;
	row.raft_index = block_raft_index(view->metadata[0], allocator);
	row.raft_term = 0;
	block_store_replace(ledger, &row, rows, (int) view->data_count);
}

/*
 * Under the lock: another repair may have finished first, and the chain may have grown.
 */
static void
replace_damaged(Repair *repair, void (*replaced)(void *context, uint64 number, const char *address),
				void *context)
{
	TupleTableSlot *slot = repair->found_row;
	uint8_t hash[CRYPTO_SHA256_BYTES];

	while (MemoryContextReset(repair->block_context), memory_next_row(repair->found, slot))
	{
		bool is_null;
		uint64 number = (uint64) DatumGetInt64(slot_getattr(slot, FOUND_NUMBER + 1, &is_null));
		const char *address = TextDatumGetCString(slot_getattr(slot, FOUND_ADDRESS + 1, &is_null));
		FbBytes block =
			memory_bytes(DatumGetByteaPP(slot_getattr(slot, FOUND_BLOCK + 1, &is_null)));
		BlockView view;
		FbError error;

		CHECK_FOR_INTERRUPTS();
		repair_use_config(repair, number);
		error_check(block_parse(block, memory_allocator(CurrentMemoryContext), &view, &error),
					&error);
		if (!chain_block_damaged(&repair->walk, number,
								 number > 0 ? view.header.previous_hash.data : NULL, hash))
			continue;
		repair_replace(repair, number, &view);
		replaced(context, number, address);
	}
	repair_use_config(repair, repair->end);
	if (repair->end != UINT64_MAX && chain_block_damaged(&repair->walk, repair->end, NULL, hash))
		block_store_remove_strays(repair->channel->ledger, repair->end);
}

static void
repair_start(Repair *repair)
{
	TupleDesc row = CreateTemplateTupleDesc(FOUND_COLUMNS);

	TupleDescInitEntry(row, FOUND_NUMBER + 1, "number", INT8OID, -1, 0);
	TupleDescInitEntry(row, FOUND_ADDRESS + 1, "address", TEXTOID, -1, 0);
	TupleDescInitEntry(row, FOUND_BLOCK + 1, "block", BYTEAOID, -1, 0);
	repair->found_row = MakeSingleTupleTableSlot(row, &TTSOpsMinimalTuple);
	repair->found = tuplestore_begin_heap(false, false, work_mem);
	repair->walk = (ChainWalk) {.ledger = repair->channel->ledger, .report = ignore_problem};
	repair->walk.replay = replay_create(repair->channel->ledger, false);
	repair_use_config(repair, 0);
	fb_fail(&repair->last_error, FB_NODE_UNREACHABLE, "the channel has no other node");
}

void
chain_repair(const Channel *channel,
			 void (*replaced)(void *context, uint64 number, const char *address), void *context)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "fabric repair", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	Repair repair = {.channel = channel, .context = work, .end = UINT64_MAX};

	chain_require_pages(channel->ledger);
	repair.block_context =
		AllocSetContextCreate(work, "fabric repaired block", ALLOCSET_DEFAULT_SIZES);
	repair.addresses = channel_other_nodes(channel);
	repair_start(&repair);
	MemoryContextSwitchTo(repair.block_context);
	PushActiveSnapshot(GetLatestSnapshot());
	repair.walk.snapshot = GetActiveSnapshot();
	repair_collect(&repair);
	PopActiveSnapshot();

	ledger_repair_begin(channel->ledger);
	PushActiveSnapshot(GetLatestSnapshot());
	repair.walk.snapshot = GetActiveSnapshot();
	replace_damaged(&repair, replaced, context);
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	ExecDropSingleTupleTableSlot(repair.found_row);
	tuplestore_end(repair.found);
	chain_walk_close(&repair.walk);
	MemoryContextDelete(work);
}
