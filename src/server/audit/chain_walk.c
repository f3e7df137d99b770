/*
 * chain_walk.c: compare the tables of a channel, block by block, with what the blocks prove.
 *
 * A block is damaged when its header, its transactions or its signatures are not those that the
 * orderers signed. Its effect on the state is then taken from the validation codes stored with it,
 * so that one changed byte does not make all later blocks look wrong.
 */
#include "server/audit/audit_internal.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/resowner.h"

#include "core/block_audit/block_audit.h"

/* for the current block; reset for the next one */
typedef struct BlockWork
{
	ChainWalk *walk;
	uint64 number;
	bool reporting; /* number >= from */
	bool present;	/* there is a row of the block */
	BlockRow row;
	StoredTransaction **stored; /* by position; NULL: missing */
	BlockView view;				/* data by position; empty where missing or unreadable */
	bool *refuted; /* by position: a damaged block's transactions whose bytes are no longer what was
					  committed; NULL: none */
	ChainBlock block;
} BlockWork;

/* what the next block needs of the one before */
typedef struct Link
{
	uint8_t hash[CRYPTO_SHA256_BYTES];		  /* of its header */
	uint8_t stored_hash[CRYPTO_SHA256_BYTES]; /* in its column */
	bool known;
	bool commit_hash_known;
	FbBytes commit_hash; /* in commit_hash_bytes; empty after block 0 */
	uint8_t commit_hash_bytes[CRYPTO_SHA256_BYTES];
	bool previous_known;
	AuditPrevious previous;
} Link;

#define PROBLEM(work, tx_index, ...)                                                      \
	do                                                                                    \
	{                                                                                     \
		if ((work)->reporting)                                                            \
			chain_problem((work)->walk, (int64) (work)->number, (tx_index), __VA_ARGS__); \
	} while (0)

/* a column that follows from the block is wrong */
#define DERIVED(work, tx_index, ...)          \
	do                                        \
	{                                         \
		(work)->block.derived_wrong = true;   \
		PROBLEM(work, tx_index, __VA_ARGS__); \
	} while (0)

static bool
frame_problem(void *context, const AuditProblem *problem)
{
	BlockWork *work = context;

	work->block.damaged = true;
	PROBLEM(work, problem->tx_index, problem->problem, "%s", problem->detail);
	return true;
}

/* ---- reading ---- */

/*
 * False, with *why, when the stored bytes are no envelope. In a subtransaction, because reading a
 * dictionary may fail
 */
static bool
decode_envelopes(const Ledger *ledger, StoredTransaction *const *stored, size_t count,
				 FbBytes *data, const char **why)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		for (size_t i = 0; i < count; i++)
			if (stored[i] != NULL)
				data[i] = envelope_codec_decode(ledger, stored[i]->envelope);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != error_sqlstate(FB_CORRUPTED))
			ReThrowError(error);
		*why = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return done;
}

static void
read_envelopes(BlockWork *work, FbBytes *data)
{
	size_t count = work->view.data_count;
	const char *why;

	if (decode_envelopes(work->walk->ledger, work->stored, count, data, &why))
		return;
	for (size_t i = 0; i < count; i++)
	{
		data[i] = FB_BYTES_EMPTY;
		if (work->stored[i] != NULL &&
			!decode_envelopes(work->walk->ledger, &work->stored[i], 1, &data[i], &why))
		{
			data[i] = FB_BYTES_EMPTY;
			work->block.damaged = true;
			PROBLEM(work, (int64) i, "envelope", "The envelope cannot be read: %s.", why);
		}
	}
}

/* header, metadata and transactions as a view; missing ones are reported */
static void
walk_read_block(BlockWork *work)
{
	int rows_count;
	StoredTransaction *rows = block_store_stored_transactions(work->walk->ledger, work->number,
															  work->walk->snapshot, &rows_count);
	size_t count = Max((size_t) rows_count, work->row.transactions_filter.size);
	FbBytes *data;

	/*
	 * too many codes are a wrong column, not missing transactions, if the present ones have the
	 * right hash
	 */
	if (count > (size_t) rows_count)
	{
		bool dense = true;

		for (int i = 0; i < rows_count; i++)
			dense = dense && rows[i].position == i;
		if (dense && work->present)
		{
			FbBytes *envelopes = palloc0(rows_count * sizeof(FbBytes) + 1);
			StoredTransaction **pointers = palloc(rows_count * sizeof(StoredTransaction *) + 1);
			uint8_t hash[CRYPTO_SHA256_BYTES];
			const char *why;

			for (int i = 0; i < rows_count; i++)
				pointers[i] = &rows[i];
			if (decode_envelopes(work->walk->ledger, pointers, rows_count, envelopes, &why))
			{
				block_data_hash(envelopes, rows_count, hash);
				if (fb_bytes_equal(fb_bytes(hash, sizeof(hash)), work->row.data_hash))
					count = rows_count;
			}
		}
	}
	work->stored = palloc0(count * sizeof(StoredTransaction *) + 1);
	for (int i = 0; i < rows_count; i++)
		if (rows[i].position >= 0 && rows[i].position < count)
			work->stored[rows[i].position] = &rows[i];
		else
		{
			work->block.damaged = true;
			PROBLEM(work, rows[i].position, "transaction_extra",
					"The block has no such transaction.");
		}
	for (size_t i = 0; i < count; i++)
		if (work->stored[i] == NULL)
		{
			work->block.damaged = true;
			PROBLEM(work, (int64) i, "transaction_missing", "The transaction is not in the table.");
		}
	data = palloc0(count * sizeof(FbBytes) + 1);
	work->view.header = (BlockHeader) {work->number, work->row.previous_hash, work->row.data_hash};
	work->view.data = data;
	work->view.data_count = count;
	work->view.metadata_count = FB_BLOCK_METADATA_COUNT;
	work->view.metadata[0] = work->row.signatures;
	work->view.metadata[1] = work->row.last_config;
	work->view.metadata[2] = work->row.transactions_filter;
	work->view.metadata[3] = work->row.orderer;
	read_envelopes(work, data);
}

/* ---- header, link, signatures ---- */

static void
check_frame(BlockWork *work, const Link *link)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Audit audit = {.allocator = allocator,
				   .bundle = work->walk->replay->bundle,
				   .consenter_ids = block_is_configuration(&work->view)
										? NULL
										: &work->walk->replay->channel.consenter_ids,
				   .report = frame_problem,
				   .report_context = work};
	FbError error;

	error_check(audit_frame(&audit, &work->view, NULL, &error), &error);
	if (link->known &&
		!fb_bytes_equal(work->row.previous_hash, fb_bytes(link->hash, CRYPTO_SHA256_BYTES)) &&
		!fb_bytes_equal(work->row.previous_hash, fb_bytes(link->stored_hash, CRYPTO_SHA256_BYTES)))
	{
		work->block.damaged = true;
		PROBLEM(work, -1, "previous_hash",
				"The previous hash is not the hash of block " UINT64_FORMAT ".", work->number - 1);
	}
	if (work->reporting)
		error_check(audit_orderers(&audit, &work->view,
								   link->previous_known ? &link->previous : NULL, &error),
					&error);
}

/* ---- what follows from the block ---- */

static const char *
code_text(int code)
{
	const char *name = tx_code_name(code);

	return name != NULL ? psprintf("%d (%s)", code, name) : psprintf("%d", code);
}

/* the codes stored with a block: the filter's, or else those of the rows */
static uint8_t *
codes_beside(BlockWork *work)
{
	size_t count = work->view.data_count;
	uint8_t *codes = palloc(count + 1);

	for (size_t i = 0; i < count; i++)
		if (work->row.transactions_filter.size == count)
			codes[i] = work->row.transactions_filter.data[i];
		else
			codes[i] = work->stored[i] != NULL ? (uint8_t) work->stored[i]->validation_code
											   : TX_NOT_VALIDATED;
	return codes;
}

/*
 * find the transactions of a damaged block that were changed: those whose bytes or signatures are
 * wrong
 */
static void
name_damaged(BlockWork *work, const ValidatedBlock *validated, const uint8_t *codes)
{
	work->refuted = palloc0(validated->transactions_count * sizeof(bool) + 1);
	for (size_t i = 0; i < validated->transactions_count; i++)
	{
		const ValidatedTransaction *transaction = &validated->transactions[i];

		if (transaction->code == (TxCode) codes[i] || transaction->code == TX_VALID ||
			transaction->code == TX_MVCC_READ_CONFLICT ||
			transaction->code == TX_PHANTOM_READ_CONFLICT || work->stored[i] == NULL)
			continue;
		work->refuted[i] = true;
		PROBLEM(work, (int64) i, "envelope",
				"It was committed as %s, but its bytes now make it %s%s%s.", code_text(codes[i]),
				code_text(transaction->code), transaction->why != NULL ? ": " : "",
				transaction->why != NULL ? transaction->why : "");
	}
}

static void
compare_text(BlockWork *work, size_t index, const char *column, FbBytes stored, FbBytes expected)
{
	if (!fb_bytes_equal(stored, expected))
		DERIVED(work, (int64) index, column, "Column %s is \"%s\"; the envelope says \"%s\".",
				column, FB_DISPLAY(stored), FB_DISPLAY(expected));
}

/* the columns of a transaction against its envelope */
static void
compare_transaction(BlockWork *work, size_t index, const TransactionRow *expected)
{
	const StoredTransaction *stored = work->stored[index];

	if (stored->validation_code != expected->validation_code)
		DERIVED(work, (int64) index, "validation_code",
				"Column validation_code is %s; the transaction is %s.",
				code_text(stored->validation_code), code_text(expected->validation_code));
	if (stored->type != expected->type)
		DERIVED(work, (int64) index, "type", "Column type is %d; the envelope says %d.",
				stored->type, expected->type);
	if (!fb_bytes_equal(stored->tx_id, tx_index_encode(expected->tx_id)))
		DERIVED(work, (int64) index, "tx_id", "Column tx_id is not the transaction's id, %s.",
				FB_DISPLAY(expected->tx_id));
	compare_text(work, index, "creator_msp", stored->creator_msp, expected->creator_msp);
	compare_text(work, index, "chaincode", stored->chaincode, expected->chaincode);
	if (stored->created_at != expected->created_at)
		DERIVED(work, (int64) index, "created_at",
				"Column created_at is not the time in the envelope.");
}

static void
compare_column_bytes(BlockWork *work, const char *problem, FbBytes stored, FbBytes expected,
					 const char *detail)
{
	if (!fb_bytes_equal(stored, expected))
		DERIVED(work, -1, problem, "%s", detail);
}

/* codes: as they should be */
static void
check_derived(BlockWork *work, const TxView *const *views, const uint8_t *codes,
			  FbBytes commit_hash)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	size_t count = work->view.data_count;
	uint8_t *block_hash = palloc(CRYPTO_SHA256_BYTES);
	BlockRow *expected = &work->block.expected;

	work->block.transactions_count = count;
	work->block.expected_transactions = palloc(count * sizeof(TransactionRow) + 1);
	for (size_t i = 0; i < count; i++)
	{
		TransactionRow *row = &work->block.expected_transactions[i];

		transaction_row_fill(row, allocator, work->number, i, work->view.data[i], views[i],
							 codes[i]);
		/* changed bytes say nothing about the other columns */
		if (work->stored[i] != NULL && work->view.data[i].size > 0 &&
			!(work->refuted != NULL && work->refuted[i]))
			compare_transaction(work, i, row);
	}
	block_header_hash(&work->view.header, block_hash);
	*expected = work->row;
	expected->number = work->number;
	expected->block_hash = fb_bytes(block_hash, CRYPTO_SHA256_BYTES);
	expected->transactions_filter = fb_bytes(codes, count);
	expected->commit_hash = commit_hash;
	expected->raft_index = block_raft_index(work->row.signatures, allocator);
	if (!work->present)
		return;
	compare_column_bytes(work, "block_hash", work->row.block_hash, expected->block_hash,
						 "Column block_hash is not the hash of the header.");
	if (work->row.transactions_filter.size != count)
		DERIVED(work, -1, "transactions_filter",
				"There are %zu validation codes for %zu transactions.",
				work->row.transactions_filter.size, count);
	else
		for (size_t i = 0; i < count; i++)
			if (work->row.transactions_filter.data[i] != codes[i])
				DERIVED(work, (int64) i, "transactions_filter",
						"The block marks it %s; the transaction is %s.",
						code_text(work->row.transactions_filter.data[i]), code_text(codes[i]));
	compare_column_bytes(work, "commit_hash", work->row.commit_hash, expected->commit_hash,
						 "The commit hash is not that of the validation codes and writes.");
	if (work->row.raft_index != expected->raft_index)
		DERIVED(work, -1, "raft_index",
				"Column raft_index is " UINT64_FORMAT "; the block's metadata say " UINT64_FORMAT
				".",
				work->row.raft_index, expected->raft_index);
}

static void
check_genesis(BlockWork *work)
{
	static const uint8_t valid[1] = {TX_VALID};
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	TxView *view = palloc0(sizeof(TxView));
	Envelope envelope;
	const TxView *views[1] = {view};
	FbError error;

	if (work->view.data_count != 1 ||
		envelope_parse(allocator, work->view.data[0], &envelope, &error) != FB_OK)
		return; /* reported as damaged */
	view->channel_header = envelope.channel_header;
	view->type = envelope.type;
	view->tx_id = envelope.tx_id;
	view->ledger_tx_id = envelope.ledger_tx_id;
	view->timestamp = envelope.timestamp;
	check_derived(work, views, valid, FB_BYTES_EMPTY);
}

static void
walk_check_transactions(BlockWork *work, Link *link)
{
	size_t count = work->view.data_count;
	ReplayTrust trust = work->block.damaged		? REPLAY_STORED
						: work->walk->uncertain ? REPLAY_STATE
												: REPLAY_OWN;
	uint8_t *beside = codes_beside(work);
	uint8_t *codes = palloc(count + 1);
	FbBytes commit_hash = link->commit_hash;
	const TxView **views = palloc(count * sizeof(TxView *) + 1);
	ValidatedBlock *validated = palloc(sizeof(ValidatedBlock));

	replay_block(work->walk->replay, work->number, work->view.data, count, trust, beside, validated,
				 codes, &commit_hash);
	work->block.mvcc = &validated->mvcc;
	for (size_t i = 0; i < count; i++)
		views[i] = &validated->transactions[i].view;
	if (work->block.damaged)
		name_damaged(work, validated, beside);
	/* what a damaged block wrote is not known: continue from the stored commit hash */
	check_derived(work, views, codes,
				  work->block.damaged || !link->commit_hash_known ? work->row.commit_hash
																  : commit_hash);
	link->commit_hash_known = work->block.expected.commit_hash.size == CRYPTO_SHA256_BYTES;
	link->commit_hash = FB_BYTES_EMPTY;
	if (link->commit_hash_known)
	{
		memcpy(link->commit_hash_bytes, work->block.expected.commit_hash.data, CRYPTO_SHA256_BYTES);
		link->commit_hash = fb_bytes(link->commit_hash_bytes, CRYPTO_SHA256_BYTES);
	}
}

/* ---- the walk ---- */

static void
move_link(Link *link, const BlockWork *work)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbError error;

	link->known = work->present;
	link->previous_known = false;
	if (!work->present)
		return;
	block_header_hash(&work->view.header, link->hash);
	memcpy(link->stored_hash, link->hash, sizeof(link->hash));
	if (work->row.block_hash.size == sizeof(link->stored_hash))
		memcpy(link->stored_hash, work->row.block_hash.data, sizeof(link->stored_hash));
	link->previous.header.number = work->number;
	link->previous.is_config = block_is_configuration(&work->view);
	link->previous_known = block_last_config(&work->view, allocator,
											 &link->previous.last_config_number, &error) == FB_OK;
}

static void
walk_check_block(ChainWalk *walk, uint64 number, Link *link)
{
	BlockWork work = {.walk = walk,
					  .number = number,
					  .reporting = number >= walk->from,
					  .block = {.number = number}};
	FbError why;

	why.message[0] = '\0';
	work.present = block_store_row(walk->ledger, number, walk->snapshot, &work.row);
	if (!work.present)
	{
		work.block.damaged = true;
		PROBLEM(&work, -1, "block_missing", "The block is not in the table.");
	}
	walk_read_block(&work);
	if (number == 0 &&
		(work.view.data_count != 1 || !replay_genesis(walk->replay, work.view.data[0], &why)))
	{
		chain_problem(walk, 0, 0, "envelope",
					  "Without the channel's first configuration nothing can be verified%s%s.",
					  why.message[0] ? ": " : "", why.message);
		walk->stopped = true;
		return;
	}
	if (work.present)
		check_frame(&work, link);
	if (number == 0)
	{
		check_genesis(&work);
		link->commit_hash_known = true;
	}
	else
		walk_check_transactions(&work, link);
	walk->uncertain = walk->uncertain || work.block.damaged;
	if (walk->visit != NULL)
		walk->visit(walk->visit_context, &work.block);
	move_link(link, &work);
}

bool
chain_block_damaged(ChainWalk *walk, uint64 number, const uint8_t *previous_hash,
					uint8_t hash[CRYPTO_SHA256_BYTES])
{
	BlockWork work = {.walk = walk,
					  .number = number,
					  .reporting = true,
					  .block = {.number = number}};
	Link link = {{0}};

	work.present = block_store_row(walk->ledger, number, walk->snapshot, &work.row);
	if (!work.present)
		return true;
	walk_read_block(&work);
	if (previous_hash != NULL)
	{
		memcpy(link.hash, previous_hash, sizeof(link.hash));
		memcpy(link.stored_hash, previous_hash, sizeof(link.stored_hash));
		link.known = true;
	}
	check_frame(&work, &link);
	block_header_hash(&work.view.header, hash);
	return work.block.damaged;
}

/*
 * The next block of which a row or transactions exist; the missing ones before it are reported as
 * one range.
 */
static uint64
skip_missing(ChainWalk *walk, uint64 number)
{
	uint64 next = block_store_next(walk->ledger, number);

	if (next == number)
		return number;
	next = Min(next, walk->to + 1);
	if (next > walk->from)
		chain_problem(walk, (int64) number, -1, "block_missing",
					  next == number + 1 ? "The block and its transactions are not in the tables."
										 : "Blocks " UINT64_FORMAT " to " UINT64_FORMAT
										   " and their transactions are not in the tables.",
					  number, next - 1);
	walk->uncertain = true;
	return next;
}

static void
check_channel_row(ChainWalk *walk)
{
	uint64 number;
	FbBytes config;

	if (ledger_config(walk->ledger->channel, &number, &config) &&
		(number != walk->replay->channel.config_block_number ||
		 !fb_bytes_equal(config, walk->replay->bundle->config_envelope)))
		chain_problem(
			walk, (int64) walk->replay->channel.config_block_number, 0, "config",
			"The stored configuration of the channel is not that of its last configuration block.");
}

/* the blocks to look at: those asked for must be there */
static void
set_range(ChainWalk *walk)
{
	walk->height = block_store_height(walk->ledger, walk->snapshot);
	if (walk->to == UINT64_MAX && walk->from < walk->height)
		walk->to = walk->height - 1;
	if (walk->from > walk->to)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("first block %llu is after last block %llu",
							   (unsigned long long) walk->from, (unsigned long long) walk->to)));
	if (walk->to >= walk->height)
		ereport(ERROR,
				(fb_errcode(FB_BLOCK_NOT_FOUND),
				 errmsg("channel \"%s\" has no block %llu", walk->ledger->channel,
						(unsigned long long) (walk->from >= walk->height ? walk->from : walk->to)),
				 errdetail("It has %llu blocks.", (unsigned long long) walk->height)));
}

void
chain_walk(ChainWalk *walk)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric chain", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	Link link = {{0}};
	ListCell *cell;

	walk->problem_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric problem", ALLOCSET_SMALL_SIZES);
	if (walk->with_tables && !chain_tables(walk))
		return;
	set_range(walk);
	walk->replay = replay_create(walk->ledger, walk->to == walk->height - 1);
	walk->replay->ahead = verify_ahead_start(walk->ledger, walk->to);
	caller = MemoryContextSwitchTo(context);
	for (uint64 number = 0; number <= walk->to && !walk->stopped; number++)
	{
		uint64 next;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		next = skip_missing(walk, number);
		if (next > number)
		{
			link.known = false;
			link.previous_known = false;
			link.commit_hash_known = false;
			number = next;
		}
		if (number <= walk->to)
			walk_check_block(walk, number, &link);
	}
	MemoryContextReset(context);
	if (walk->to == walk->height - 1 && !walk->stopped)
	{
		foreach(cell, block_store_strays(walk->ledger, walk->height))
			chain_problem(walk, -1, -1, "stray", "The tables hold %s, which is not of the chain.",
						  (char *) lfirst(cell));
		check_channel_row(walk);
		chain_compare(walk);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
chain_walk_close(ChainWalk *walk)
{
	if (walk->replay != NULL)
		replay_close(walk->replay);
	walk->replay = NULL;
}
