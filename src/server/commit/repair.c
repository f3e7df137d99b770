/*
 * repair.c: damaged blocks are replaced by those of other nodes.
 *
 * Nobody is believed: a block from elsewhere must have the hash of its transactions, follow the block before, which is proved already, and bear
 * the signatures that the channel's BlockValidation policy wants. Block 0, which nobody signs, must be the one that block 1 follows.
 */
#include "server/commit/replay_internal.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "core/audit/audit.h"
#include "server/wire/wire.h"

/* how long another node may wait for a block: it has it, or not */
#define DELIVER_WAIT_MS 200

typedef struct Repair
{
	const Channel *channel;
	ChainWalk	walk;
	uint8_t		hash[CRYPTO_SHA256_BYTES];	/* of the block before */
	List	   *addresses;
	FbError		last_error;		/* why the last node could not help */
} Repair;

static void
ignore_problem(void *context, int64 block_number, int64 tx_index, const char *problem, const char *detail)
{
}

/* ---- judging ---- */

static bool
refuse(void *context, const AuditProblem *problem)
{
	Repair	   *repair = context;

	fb_fail(&repair->last_error, FB_BLOCK_REFUSED, "%s", problem->problem);
	fb_error_detail(&repair->last_error, "%s", problem->detail);
	return false;
}

/* block 0 must be the one that block 1 of this node follows, which the orderers signed */
static bool
is_the_first(Repair *repair, const uint8_t hash[CRYPTO_SHA256_BYTES])
{
	uint8_t		next_hash[CRYPTO_SHA256_BYTES];

	if (!chain_block_damaged(&repair->walk, 1, hash, next_hash))
		return true;
	fb_fail(&repair->last_error, FB_BLOCK_REFUSED, "nothing proves block 0");
	fb_error_detail(&repair->last_error, "Block 1 of this node is missing or damaged too, or does not follow the block that was received.");
	return false;
}

static bool
is_proved(Repair *repair, uint64 number, FbBytes bytes, BlockView *view)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Audit		audit = {.allocator = allocator, .bundle = repair->channel->bundle, .report = refuse, .report_context = repair};
	uint8_t		hash[CRYPTO_SHA256_BYTES];
	FbError		error;

	if (block_parse(bytes, allocator, view, &repair->last_error) != FB_OK)
		return false;
	if (view->header.number != number || (number > 0 && !fb_bytes_equal(view->header.previous_hash, fb_bytes(repair->hash, sizeof(repair->hash)))))
	{
		fb_fail(&repair->last_error, FB_BLOCK_REFUSED, "the block received does not follow block " INT64_FORMAT, (int64) number - 1);
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
ask(Repair *repair, const char *address, uint64 number, FbBytes *bytes)
{
	WireCall   *call = wire_deliver_start(address, deliver_seek(repair->channel, number), 1, DELIVER_WAIT_MS);
	const WireError *failure;
	bool		found = false;

	(void) wire_wait(&call, 1, WIRE_WAIT_ALL,
					 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DELIVER_WAIT_MS + guc_connect_timeout_ms + 5000), false);
	failure = wire_call_error(call);
	if (failure != NULL)
		repair->last_error = failure->error;
	else if (wire_call_rows_count(call) == 0)
		fb_fail(&repair->last_error, FB_BLOCK_NOT_FOUND, "node %s does not have block " UINT64_FORMAT, address, number);
	else
	{
		*bytes = memory_bytes(memory_bytea(wire_call_row(call, 0)));
		found = true;
	}
	wire_call_release(call);
	return found;
}

static const char *
fetch_block(Repair *repair, uint64 number, BlockView *view)
{
	ListCell   *cell;

	foreach(cell, repair->addresses)
	{
		FbBytes		bytes;

		CHECK_FOR_INTERRUPTS();
		if (ask(repair, lfirst(cell), number, &bytes) && is_proved(repair, number, bytes, view))
			return lfirst(cell);
	}
	return NULL;
}

/* ---- replacing ---- */

/* validation codes and what else follows from the chain are left to the rebuild */
static void
replace(Repair *repair, uint64 number, const BlockView *view)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Ledger *ledger = repair->channel->ledger;
	TransactionRow *rows = palloc(view->data_count * sizeof(TransactionRow) + 1);
	uint8_t    *filter = palloc(view->data_count + 1);
	BlockRow	row;

	if (!block_store_row(ledger, number, repair->walk.snapshot, &row))
	{
		memset(&row, 0, sizeof(row));
		row.committed_at = GetCurrentTimestamp();
	}
	txflags_start(filter, view->data_count);
	for (size_t i = 0; i < view->data_count; i++)
	{
		TxView		transaction;
		TxCode		code;
		FbError		error;

		error_check(check_structure(allocator, view->data[i], fb_bytes_of_text(ledger->channel), &transaction, &code, &error), &error);
		transaction_row_fill(&rows[i], allocator, number, i, view->data[i], &transaction, filter[i]);
	}
	block_header_hash(&view->header, repair->hash);
	row.number = number;
	row.previous_hash = view->header.previous_hash;
	row.data_hash = view->header.data_hash;
	row.block_hash = fb_bytes(repair->hash, sizeof(repair->hash));
	row.signatures = view->metadata[0];
	row.last_config = view->metadata[1];
	row.transactions_filter = fb_bytes(filter, view->data_count);
	row.orderer = view->metadata[3];
	row.commit_hash = FB_BYTES_EMPTY;
	row.raft_index = commit_raft_index(allocator, view->metadata[0]);
	block_store_replace(ledger, &row, rows, (int) view->data_count);
}

static void
refuse_unrepaired(Repair *repair, uint64 number)
{
	FbError		error;

	fb_fail(&error, repair->last_error.status == FB_NODE_UNREACHABLE ? FB_NODE_UNREACHABLE : FB_CORRUPTED,
			"no other node could replace block " UINT64_FORMAT " of channel \"%s\"", number, repair->channel->name);
	fb_error_detail(&error, "The last answer was: %s%s%s", repair->last_error.message, repair->last_error.detail[0] ? ": " : "",
					repair->last_error.detail);
	fb_error_hint(&error, "Try again when the other organisations' nodes answer; fabric.nodes lists them.");
	error_throw(&error);
}

/* rows with a number that no block of the chain has had yet: they do not even prove themselves */
static bool
is_forged(Repair *repair, uint64 number)
{
	uint8_t		hash[CRYPTO_SHA256_BYTES];

	return chain_block_damaged(&repair->walk, number, NULL, hash);
}

void
chain_repair(const Channel *channel, void (*replaced) (void *context, uint64 number, const char *address), void *context)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "fabric repair", ALLOCSET_DEFAULT_SIZES);
	MemoryContext block_context = AllocSetContextCreate(work, "fabric repaired block", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	Repair		repair = {.channel = channel, .addresses = list_concat(channel_other_orderers(channel), channel_other_peers(channel))};
	uint64		height;

	fb_fail(&repair.last_error, FB_NODE_UNREACHABLE, "the channel has no other node");
	ledger_repair_begin(channel->ledger);
	PushActiveSnapshot(GetLatestSnapshot());
	repair.walk = (ChainWalk) {.ledger = channel->ledger, .snapshot = GetActiveSnapshot(), .report = ignore_problem};
	repair.walk.replay = replay_create(channel->ledger);
	repair.walk.replay->bundle = (ConfigBundle *) channel->bundle;
	height = block_store_height(channel->ledger, repair.walk.snapshot);
	MemoryContextSwitchTo(block_context);
	for (uint64 number = 0; number < height; number++)
	{
		uint8_t		hash[CRYPTO_SHA256_BYTES];
		BlockView	view;
		const char *address;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(block_context);
		if (!chain_block_damaged(&repair.walk, number, number > 0 ? repair.hash : NULL, hash))
		{
			memcpy(repair.hash, hash, sizeof(hash));
			continue;
		}
		address = fetch_block(&repair, number, &view);
		if (address == NULL)
		{
			/* perhaps the chain ends here, and what follows is forged */
			uint64		next = block_store_next(channel->ledger, number);

			if (repair.last_error.status != FB_BLOCK_NOT_FOUND || next == number || next == UINT64_MAX || !is_forged(&repair, next))
				refuse_unrepaired(&repair, number);
			block_store_remove_strays(channel->ledger, number);
			break;
		}
		replace(&repair, number, &view);
		replaced(context, number, address);
	}
	MemoryContextSwitchTo(caller);
	PopActiveSnapshot();
	MemoryContextDelete(work);
}
