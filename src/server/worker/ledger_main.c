/*
 * ledger_main.c: `fabric ledger CHANNEL` commits ordered blocks to the ledger. It is the only
 * writer of the ledger tables.
 *
 * Sources of blocks:
 *
 *   - On a consenter, the local Raft log: each committed entry is the next block, built and signed
 *     here.
 *   - On other nodes, and on a consenter whose log begins too late (it was down for a long time),
 *     other nodes (sources.c): long polls for the blocks after the last one. Each block is checked
 *     against the channel's BlockValidation policy and compared with another orderer's
 *     (witnesses.c).
 *   - On all nodes except consenters, sessions that import blocks, with the same checks. It is the
 *     only source of a channel that was joined for imports only.
 *
 * One block is one transaction. After a crash nothing needs repair: the worker continues after the
 * last block.
 */
#include "server/worker/worker_internal.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "server/channel/channel.h"
#include "server/commit/commit.h"
#include "server/deliver/deliver.h"
#include "server/order/order.h"
#include "server/wire/wire.h"

/* how long a consenter's request may wait for blocks at another node */
#define CONSENTER_WAIT_MS 100

typedef struct LedgerWorker
{
	ChannelSlot *slot;
	const char *channel;
	uint64 height;
	BlockNotifier notifier;
	uint64 raft_position; /* the last Raft entry that was processed */
	uint64 raft_id;		  /* 0: this node is not a consenter */
	bool import_only;	  /* blocks come from imports only, not from other nodes */
	bool log_lost;		  /* the local log begins after raft_position */
	/* the configuration and the TLS certificate from which raft_id was derived */
	uint64 role_config;
	uint64 role_generation;
	BlockSources sources;
	Reconciler reconciler;
	/* the ledger differs from the log: no blocks until an administrator acknowledges it */
	bool forked;
	uint64 requested_height; /* the first block of the last request */
	bool pulled;			 /* other nodes were asked after the last use of the local log */
	uint64 pull_at_ms;		 /* of clock_ms: do not ask other nodes before this time */
	/* the consenters whose copies of a block are compared with the source's */
	Witnesses witnesses;
} LedgerWorker;

/* interval at which a forked ledger checks for the acknowledgment */
#define FORK_LOOK_MS 1000

/* read the state from the tables, and publish it before all other work */
static void
ledger_load(LedgerWorker *worker)
{
	const Channel *channel;
	BlockRow last;

	bracket_begin("reading the ledger's height");
	if (!channel_exists(worker->channel))
	{
		/* this node has left the channel */
		bracket_commit();
		proc_exit(0);
	}
	channel = channel_open(worker->channel);
	worker->import_only = channel->ledger->import_only;
	worker->height = block_store_height(channel->ledger, NULL);
	if (worker->height == 0 || !block_store_row(channel->ledger, worker->height - 1, NULL, &last))
		elog(ERROR, "channel \"%s\" has no block", worker->channel);
	worker->raft_position = last.raft_index;
	worker->forked = worker->raft_id != 0 && fork_is_open(worker->channel);
	slot_set_forked(worker->slot, worker->forked);
	slot_publish_ledger(worker->slot, channel->config_block_number, last.raft_index,
						worker->height);
	bracket_commit();
	notifier_init(&worker->notifier, worker->slot, worker->height);
}

/* raft_term, comparison: see commit_block. The commit frees committed->tx_ids. */
static void
finish_block(LedgerWorker *worker, const Channel *channel, const CheckedBlock *block,
			 uint64 raft_term, CommitComparison *comparison, CommittedBlock *committed)
{
	uint64 *names;

	commit_block(channel, block, raft_term, comparison, committed);
	names = waiters_names(committed->tx_ids, committed->tx_ids_count);
	FAULT_POINT("ledger_before_commit");
	bracket_commit();
	FAULT_POINT("ledger_after_commit");
	worker->height = committed->number + 1;
	commit_publish(worker->slot, committed);
	waiters_wake(worker->slot, names, committed->tx_ids_count);
	shmem_worker_wake(worker->slot, WORKER_ORDERER);
	/* last, because no other step depends on it */
	notifier_add(&worker->notifier, committed);
}

/* store private plaintext from sessions durably; the sessions answer only after that */
static void
ledger_store_private(LedgerWorker *worker)
{
	StringInfoData record;
	size_t tx_id_size;
	bool any = false;

	initStringInfo(&record);
	while (private_inbox_take(worker->slot, &record, &tx_id_size))
	{
		const Channel *channel;

		if (!any)
			bracket_begin("storing private data");
		any = true;
		channel = channel_open(worker->channel);
		private_store_put_transient(channel->ledger,
									memory_cstring(fb_bytes(record.data, tx_id_size)),
									fb_bytes(record.data + tx_id_size, record.len - tx_id_size));
	}
	if (any)
	{
		bracket_commit();
		private_inbox_stored(worker->slot);
	}
	pfree(record.data);
}

/* ---- from sessions ---- */

/*
 * True if the error is about the block, not about this node. Such an error is raised before
 * anything is written, and before a cache is filled with data that the abort removes.
 */
static bool
is_source_refusal(int sqlstate)
{
	switch (error_status_of(sqlstate))
	{
		case FB_INTERNAL:
			return sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		case FB_CORRUPTED:
		case FB_CRYPTO_FAILURE:
		case FB_OUT_OF_MEMORY:
			return false;
		default:
			return true;
	}
}

static void
try_import(LedgerWorker *worker, FbBytes bytes, CommitComparison *comparison,
		   CommittedBlock *committed, ImportAnswer *answer)
{
	const Channel *channel;
	CheckedBlock block;

	bracket_begin("importing a block");
	channel = channel_open(worker->channel);
	answer->stored = import_check_block(channel, bytes, &block, comparison, committed);
	if (answer->stored)
	{
		commit_check_signatures(channel, &block.view);
		import_check_metadata(channel, &block.view);
		finish_block(worker, channel, &block, 0, comparison, committed);
	}
	else
		bracket_commit();
	answer->block_number = committed->number;
	memcpy(answer->counts, committed->counts, sizeof(answer->counts));
	answer->error = comparison->difference;
}

/*
 * Import a block for a session. An error is sent to the session, and ends this process only if it
 * is not about the block.
 */
static void
serve_import(LedgerWorker *worker)
{
	MemoryContext caller = CurrentMemoryContext;
	CommitComparison comparison = {0};
	ImportAnswer *answer;
	CommittedBlock *committed;
	FbBytes bytes;

	if (!import_queue_receive(worker->slot, &bytes, &comparison.accept))
		return;
	answer = palloc0(sizeof(ImportAnswer));
	committed = palloc0(sizeof(CommittedBlock));
	PG_TRY();
	{
		try_import(worker, bytes, &comparison, committed, answer);
	}
	PG_CATCH();
	{
		ErrorData *data;

		MemoryContextSwitchTo(caller);
		data = CopyErrorData();
		memset(answer, 0, sizeof(*answer));
		answer->sqlstate = data->sqlerrcode;
		error_capture(data, &answer->error);
		if (!is_source_refusal(data->sqlerrcode))
		{
			import_queue_answer(answer);
			PG_RE_THROW();
		}
		HOLD_INTERRUPTS();
		FlushErrorState();
		FreeErrorData(data);
		bracket_abort();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	import_queue_answer(answer);
	pfree(answer);
	pfree(committed);
}

/*
 * Sleep until there is work, at most timeout_ms (-1: no limit). Failed notifications and requests
 * for private data shorten the sleep.
 */
static void
sleep_until_work(LedgerWorker *worker, long timeout_ms)
{
	long notify_ms = notifier_run(&worker->notifier);
	long reconcile_ms = reconcile_turn(&worker->reconciler, worker->channel);

	if (notify_ms >= 0 && (timeout_ms < 0 || notify_ms < timeout_ms))
		timeout_ms = notify_ms;
	worker_sleep(timeout_ms < 0 || reconcile_ms < timeout_ms ? reconcile_ms : timeout_ms);
}

/* handle the requests of sessions to this process */
static void
serve_sessions(LedgerWorker *worker)
{
	MemoryContext caller = CurrentMemoryContext;

	ledger_store_private(worker);
	MemoryContextSwitchTo(caller);
	serve_import(worker);
	(void) notifier_run(&worker->notifier);
	MemoryContextSwitchTo(caller);
}

/* ---- from the local Raft log ---- */

/* apply the next entry; false when there is none */
static bool
apply_next_entry(LedgerWorker *worker)
{
	const Channel *channel;
	OrderEntry *entries;
	int entries_count;
	CheckedBlock block;
	CommittedBlock committed;
	FbError error;

	if (slot_commit_index(worker->slot) <= worker->raft_position)
		return false;
	bracket_begin("committing a block");
	channel = channel_open(worker->channel);
	error_check(order_read_entries(channel, worker->raft_position, 1, &entries, &entries_count,
								   &worker->log_lost, &error),
				&error);
	if (worker->log_lost || entries_count == 0)
	{
		bracket_commit();
		return false;
	}
	if (!fork_check(channel, &entries[0]))
	{
		bracket_commit();
		worker->forked = true;
		slot_set_forked(worker->slot, true);
		shmem_worker_wake(worker->slot, WORKER_ORDERER);
		return false;
	}
	worker->raft_position = entries[0].index;
	if (entries[0].batch.data_count == 0)
	{
		bracket_commit();
		/*
		 * An empty entry needs no storing, so it counts as applied. The orderer must know, because
		 * it counts the entries that are not yet applied.
		 */
		slot_set_applied_index(worker->slot, worker->raft_position);
		shmem_worker_wake(worker->slot, WORKER_ORDERER);
		return true;
	}
	order_build_block(channel, &entries[0].batch, entries[0].index,
					  validate_next_config(channel, entries[0].batch.data,
										   entries[0].batch.data_count),
					  &block);
	finish_block(worker, channel, &block, entries[0].term, NULL, &committed);
	return true;
}

/* check if an administrator has acknowledged the evidence; then the next entry is tried again */
static void
look_at_fork(LedgerWorker *worker)
{
	bracket_begin("looking for an acknowledgment");
	worker->forked = fork_is_open(worker->channel);
	bracket_commit();
	if (worker->forked)
	{
		worker_sleep(FORK_LOOK_MS);
		return;
	}
	slot_set_forked(worker->slot, false);
	shmem_worker_wake(worker->slot, WORKER_ORDERER);
}

/* ---- from other nodes ---- */

/* called repeatedly during waits for other nodes */
static void
serve_meanwhile(void *worker)
{
	worker_serve_interrupts();
	serve_sessions(worker);
}

/* signed requests of one turn, in the turn's memory context */
typedef struct PullRequests
{
	FbBytes blocks;			  /* all blocks that this ledger lacks */
	FbBytes headers;		  /* their headers */
	FbBytes probe;			  /* the header of this ledger's last block */
	BlockSourceState *probed; /* the source to probe; NULL: none */
	FbBytes probe_hash;		  /* hash of that block */
} PullRequests;

static FbBytes
keep_bytes(MemoryContext context, FbBytes bytes)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	FbBytes copy = memory_bytes(memory_bytea(bytes));

	MemoryContextSwitchTo(old);
	return copy;
}

static void
prepare_probe(LedgerWorker *worker, const Channel *channel, MemoryContext context,
			  PullRequests *requests)
{
	uint64 number = worker->height - 1;
	BlockRow last;

	if (!block_store_row(channel->ledger, number, NULL, &last))
		elog(ERROR, "channel \"%s\" has no block " UINT64_FORMAT, worker->channel, number);
	requests->probe = keep_bytes(context, deliver_seek_headers(channel, number, number));
	requests->probe_hash = keep_bytes(context, last.block_hash);
}

/* choose the source and sign the requests; NULL when no source can be asked now */
static BlockSourceState *
next_request(LedgerWorker *worker, MemoryContext context, PullRequests *requests)
{
	const Channel *channel;
	BlockSourceState *source;

	memset(requests, 0, sizeof(*requests));
	bracket_begin("asking for blocks");
	channel = channel_open(worker->channel);
	sources_refresh(&worker->sources, channel);
	witnesses_refresh(&worker->witnesses, channel);
	source = sources_choose(&worker->sources, clock_ms());
	if (source != NULL)
	{
		requests->blocks = keep_bytes(context, deliver_seek(channel, worker->height));
		requests->headers =
			keep_bytes(context, deliver_seek_headers(channel, worker->height, UINT64_MAX));
		worker->requested_height = worker->height;
	}
	requests->probed = sources_to_probe(&worker->sources, clock_ms());
	if (requests->probed != NULL)
		prepare_probe(worker, channel, context, requests);
	bracket_commit();
	return source;
}

/* more: another block is at hand, whose commit makes this one durable too */
static void
commit_received(LedgerWorker *worker, FbBytes bytes, bool more)
{
	const Channel *channel;
	BlockView view;
	CheckedBlock block;
	CommittedBlock committed;
	FbError error;

	/* a consenter's commits must be durable at once, because other nodes rely on its ledger */
	if (more && worker->raft_id == 0)
		bracket_begin_repeatable("committing a block");
	else
		bracket_begin("committing a block");
	channel = channel_open(worker->channel);
	error_check(block_parse(bytes, memory_allocator(CurrentMemoryContext), &view, &error), &error);
	/* a session imported the block while it was in transit */
	if (view.header.number >= worker->requested_height && view.header.number < worker->height)
	{
		bracket_commit();
		return;
	}
	commit_check_signatures(channel, &view);
	error_check(block_check(&view, &block, &error), &error);
	finish_block(worker, channel, &block, 0, NULL, &committed);
	/* the log, if there is one, continues after this block's entry */
	worker->raft_position = Max(worker->raft_position, slot_applied_index(worker->slot));
}

/* error context: the operator must see which node sent a refused block */
static void
tell_source(void *address)
{
	errcontext("block received from %s", (const char *) address);
}

/*
 * Wait for the answer as long as bytes arrive: changing the source does not help when one is
 * merely slow. When the witness has shown the next block, the source should have it too, so from
 * then on it only has the time that a frozen source gets.
 */
static void
wait_for_answer(LedgerWorker *worker, WireCall *call, int wait_ms)
{
	int patience_ms = sources_patience_ms(&worker->sources);
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) wait_ms + patience_ms);
	/* counts for the whole connection: only bytes from now on belong to this answer */
	uint64 received = wire_call_received(call);
	bool shown = false;

	while (!wire_call_finished(call) && GetCurrentTimestamp() < deadline)
	{
		WireCall *calls[4] = {call, worker->reconciler.call, worker->witnesses.early,
							  worker->sources.probe};

		(void) wire_wait(calls, lengthof(calls), WIRE_WAIT_ANY, deadline, true);
		serve_meanwhile(worker);
		sources_probe_turn(&worker->sources, worker->channel);
		(void) reconcile_turn(&worker->reconciler, worker->channel);
		if (wire_call_received(call) != received)
			deadline =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) wait_ms + patience_ms);
		else if (!shown && worker->witnesses.early != NULL &&
				 wire_call_finished(worker->witnesses.early))
		{
			shown = true;
			if (wire_call_rows_count(worker->witnesses.early) > 0)
				deadline =
					Min(deadline, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), patience_ms));
		}
		received = wire_call_received(call);
	}
}

/* a witness that has the next block becomes the next source */
static void
prefer_witness(LedgerWorker *worker)
{
	WireCall *early = worker->witnesses.early;

	if (early != NULL && wire_call_finished(early) && wire_call_rows_count(early) > 0)
		sources_prefer(&worker->sources, wire_call_address(early));
}

static void
ledger_note_failure(LedgerWorker *worker, BlockSourceState *source, const FbError *error)
{
	shmem_worker_note_error(worker->slot, WORKER_LEDGER,
							psprintf("%s: %s", source->address, error->message));
	sources_failed(&worker->sources, source, worker->channel, error);
}

/* commit the blocks of an answer that other consenters confirm */
static void
commit_confirmed(LedgerWorker *worker, BlockSourceState *source, const char *address,
				 WireCall *call)
{
	ErrorContextCallback context_callback = {error_context_stack, tell_source,
											 unconstify(char *, address)};
	int rows_count = wire_call_rows_count(call);
	int done_count = 0;
	FbError why;

	error_context_stack = &context_callback;
	while (done_count < rows_count)
	{
		int confirmed_count = witnesses_confirm(&worker->witnesses, worker->channel, address, call,
												done_count, serve_meanwhile, worker, &why);

		if (confirmed_count == 0)
			break;
		for (int i = 0; i < confirmed_count; i++)
		{
			serve_meanwhile(worker);
			commit_received(worker, wire_call_row(call, done_count + i), i + 1 < confirmed_count);
		}
		done_count += confirmed_count;
	}
	error_context_stack = context_callback.previous;
	if (rows_count > 0 && done_count == 0)
		ledger_note_failure(worker, source, &why);
}

/* send one request to one source and one witness, and commit the blocks of the answer */
static void
pull_blocks(LedgerWorker *worker, MemoryContext context)
{
	BlockSourceState *source;
	PullRequests requests;
	char *address;
	WireCall *call;
	const WireError *failure;
	uint64 started_ms = clock_ms();
	int wait_ms;
	int rows_count;

	source = next_request(worker, context, &requests);
	if (requests.probed != NULL)
		sources_probe_start(&worker->sources, requests.probed, requests.probe,
							requests.probe_hash.data);
	if (source == NULL)
	{
		worker->pull_at_ms = sources_next_ms(&worker->sources, started_ms);
		return;
	}
	/*
	 * A consenter usually only has to fill a gap: it must not wait long at a node that lacks the
	 * blocks too.
	 */
	wait_ms = worker->raft_id != 0 ? CONSENTER_WAIT_MS : sources_wait_ms(&worker->sources);
	address = MemoryContextStrdup(context, source->address);
	call = wire_deliver_start(address, requests.blocks, guc_deliver_batch_size * 1024, wait_ms);
	witnesses_ask_early(&worker->witnesses, address, requests.headers, worker->height, wait_ms);
	wait_for_answer(worker, call, wait_ms);
	failure = wire_call_error(call);
	rows_count = failure == NULL ? wire_call_rows_count(call) : 0;
	if (failure != NULL)
		ledger_note_failure(worker, source, &failure->error);
	else
	{
		sources_answered(&worker->sources, source, worker->channel, rows_count > 0,
						 rows_count == 0 && clock_ms() < started_ms + wait_ms / 2);
		slot_note_source(worker->slot, address);
	}
	if (rows_count == 0)
		prefer_witness(worker);
	else
		commit_confirmed(worker, source, address, call);
	witnesses_end_early(&worker->witnesses, serve_meanwhile, worker);
	wire_call_release(call);
}

/*
 * Determine if this node is a consenter of the channel, again whenever the configuration or the
 * node's TLS certificate has changed.
 */
static void
look_at_role(LedgerWorker *worker)
{
	uint64 config = slot_config_block(worker->slot);
	uint64 generation = node_tls_generation();
	const Channel *channel;
	FbError why;

	if (config == worker->role_config && generation == worker->role_generation)
		return;
	bracket_begin("reading the channel configuration");
	channel = channel_open(worker->channel);
	worker->raft_id = channel_raft_id(channel);
	if (channel_lost_consenter(channel, &why))
		condition_report(worker->channel, "certificate", NULL, &why);
	else
		condition_end(worker->channel, "certificate", NULL);
	bracket_commit();
	worker->role_config = config;
	worker->role_generation = generation;
}

void
fabric_ledger_main(Datum argument)
{
	LedgerWorker worker = {.slot = worker_start(WORKER_LEDGER)};
	uint64 now_ms;
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "fabric ledger", ALLOCSET_DEFAULT_SIZES);

	worker.channel = MemoryContextStrdup(TopMemoryContext, slot_name(worker.slot));
	/* if a bad block ended the last worker, this one begins with another source */
	worker.sources.first = slot_worker_restarts(worker.slot, WORKER_LEDGER);
	worker.role_config = UINT64_MAX;
	ledger_load(&worker);
	for (;;)
	{
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		worker_serve_interrupts();
		serve_sessions(&worker);
		look_at_role(&worker);
		/* also here: a busy worker does not call sleep_until_work */
		(void) reconcile_turn(&worker.reconciler, worker.channel);
		if (worker.forked)
		{
			look_at_fork(&worker);
			continue;
		}
		/*
		 * The own log first: entries that it has are not fetched, even if the wanted index is
		 * higher.
		 */
		if (worker.raft_id != 0 && !worker.log_lost)
		{
			if (apply_next_entry(&worker) || worker.forked)
				continue;
			if (!worker.log_lost && slot_wanted_index(worker.slot) <= worker.raft_position)
			{
				if (worker.pulled)
					sources_unneeded(&worker.sources, worker.channel);
				worker.pulled = false;
				sleep_until_work(&worker, -1);
				continue;
			}
		}
		now_ms = clock_ms();
		if (worker.import_only || now_ms < worker.pull_at_ms)
		{
			sleep_until_work(&worker,
							 worker.import_only ? -1 : (long) (worker.pull_at_ms - now_ms));
			continue;
		}
		worker.pulled = true;
		pull_blocks(&worker, context);
		/* the local log may reach back far enough now */
		worker.log_lost = false;
	}
}
