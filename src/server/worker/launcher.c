/*
 * launcher.c: `fabric launcher` starts and restarts the workers of the joined channels.
 *
 * It reads the list of channels, gives each a slot in shared memory, and registers a background worker for every kind that the channel needs and that does
 * not run. A worker that ended is started again, but not more often than fabric.worker_restart_delay. Recovery is a new start from the tables; there is
 * no other.
 */
#include "server/worker/worker_internal.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/wait_event.h"

#include "server/channel/channel.h"

/* without anything to do it still looks now and then: the extension may have been created while the library was loaded */
#define LAUNCHER_NAP_MS 5000
/* a registered worker that did not announce itself within this time has failed to start */
#define ATTACH_TIMEOUT_MS 10000

static const char *const kind_names[WORKER_KIND_COUNT] = {"ledger", "orderer"};
static const char *const kind_functions[WORKER_KIND_COUNT] = {"fabric_ledger_main", "fabric_orderer_main"};

/* what the launcher alone knows of a worker, by slot and kind */
typedef struct Start
{
	TimestampTz at;				/* last registration, 0 = never */
	BackgroundWorkerHandle *handle;
} Start;

static Start *starts;

void
worker_register_launcher(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 5,
	};

	strlcpy(worker.bgw_library_name, "fabric", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "fabric_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "fabric launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "fabric launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* ---- waking the launcher when a change to the list of channels has been committed ---- */

static bool wake_wanted = false;

static void
wake_at_commit(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT && wake_wanted)
		shmem_launcher_wake();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		wake_wanted = false;
}

void
worker_launcher_wake_at_commit(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(wake_at_commit, NULL);
	registered = true;
	wake_wanted = true;
}

/* ---- starting workers ---- */

static void
register_worker(ChannelSlot *slot, WorkerKind kind, Start *start)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_notify_pid = MyProcPid,
	};
	WorkerOrder order = {.slot_index = slot->index};

	SpinLockAcquire(&slot->mutex);
	order.generation = ++slot->workers[kind].generation;
	if (order.generation > 1)
		slot->workers[kind].restarts_count++;
	SpinLockRelease(&slot->mutex);
	memcpy(worker.bgw_extra, &order, sizeof(order));
	strlcpy(worker.bgw_library_name, "fabric", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, kind_functions[kind], BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "fabric %s %s", kind_names[kind], slot->name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "fabric %s", kind_names[kind]);
	start->at = GetCurrentTimestamp();
	if (!RegisterDynamicBackgroundWorker(&worker, &start->handle))
	{
		start->handle = NULL;
		shmem_worker_note_error(slot, kind, "too many background workers: raise max_worker_processes");
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start background process \"%s\"", worker.bgw_name),
				 errhint("Raise max_worker_processes in postgresql.conf and restart the server.")));
	}
}

/* start it if it does not run and may be tried again; returns the milliseconds until then, or the longest nap */
static long
keep_running(ChannelSlot *slot, WorkerKind kind)
{
	Start	   *start = &starts[slot->index * WORKER_KIND_COUNT + kind];
	TimestampTz now = GetCurrentTimestamp();
	pid_t		pid;
	long		waited;

	SpinLockAcquire(&slot->mutex);
	pid = slot->workers[kind].pid;
	SpinLockRelease(&slot->mutex);
	if (pid != 0)
		return LAUNCHER_NAP_MS;
	waited = start->at == 0 ? PG_INT32_MAX : TimestampDifferenceMilliseconds(start->at, now);
	if (start->handle != NULL && waited < ATTACH_TIMEOUT_MS)
	{
		pid_t		started;

		/* registered, and on its way to announce itself */
		if (GetBackgroundWorkerPid(start->handle, &started) != BGWH_STOPPED)
			return 100;
	}
	if (waited < guc_worker_restart_ms)
		return guc_worker_restart_ms - waited;
	if (start->handle != NULL)
		pfree(start->handle);
	register_worker(slot, kind, start);
	return 100;
}

static void
stop_workers(ChannelSlot *slot)
{
	for (int kind = 0; kind < WORKER_KIND_COUNT; kind++)
	{
		Start	   *start = &starts[slot->index * WORKER_KIND_COUNT + kind];

		if (start->handle != NULL)
			TerminateBackgroundWorker(start->handle);
		start->handle = NULL;
		start->at = 0;
	}
}

/* ---- one look at the list of channels ---- */

typedef struct Wanted
{
	char	   *channel;
	bool		orderer;
} Wanted;

static List *
read_names(MemoryContext context)
{
	List	   *wanted = NIL;
	ListCell   *cell;

	bracket_begin("reading the list of channels");
	if (OidIsValid(get_extension_oid("fabric", true)))
		foreach(cell, channel_names())
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			Wanted	   *entry = palloc0(sizeof(Wanted));

			entry->channel = pstrdup(lfirst(cell));
			wanted = lappend(wanted, entry);
			MemoryContextSwitchTo(old);
		}
	bracket_commit();
	return wanted;
}

/* a channel whose configuration or files are in trouble must not keep the others from running; its ledger worker says what is wrong */
static bool
is_orderer(const char *channel)
{
	volatile bool result = false;

	PG_TRY();
	{
		bracket_begin("looking for the channel's orderer");
		result = channel_raft_id(channel_open(channel)) != 0;
		bracket_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		FlushErrorState();
		bracket_abort();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return result;
}

static List *
read_wanted(MemoryContext context)
{
	List	   *wanted = read_names(context);
	ListCell   *cell;

	foreach(cell, wanted)
		((Wanted *) lfirst(cell))->orderer = is_orderer(((Wanted *) lfirst(cell))->channel);
	return wanted;
}

static bool
is_wanted(List *wanted, const char *channel)
{
	ListCell   *cell;

	foreach(cell, wanted)
		if (strcmp(((Wanted *) lfirst(cell))->channel, channel) == 0)
			return true;
	return false;
}

static long
look(MemoryContext context)
{
	List	   *wanted = read_wanted(context);
	ListCell   *cell;
	long		nap_ms = LAUNCHER_NAP_MS;

	for (int i = 0; i < guc_channels_max; i++)
	{
		ChannelSlot *slot = shmem_channel_at(i);

		if (slot != NULL && !is_wanted(wanted, slot->name))
		{
			stop_workers(slot);
			shmem_channel_drop(slot->name);
		}
	}
	foreach(cell, wanted)
	{
		Wanted	   *entry = lfirst(cell);
		ChannelSlot *slot = shmem_channel_create(entry->channel);

		nap_ms = Min(nap_ms, keep_running(slot, WORKER_LEDGER));
		if (entry->orderer)
			nap_ms = Min(nap_ms, keep_running(slot, WORKER_ORDERER));
	}
	return nap_ms;
}

void
fabric_launcher_main(Datum argument)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(guc_database, NULL, 0);
	shmem_launcher_attach();
	starts = MemoryContextAllocZero(TopMemoryContext, sizeof(Start) * guc_channels_max * WORKER_KIND_COUNT);
	context = AllocSetContextCreate(TopMemoryContext, "fabric launcher", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		long		nap_ms;
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		worker_serve_interrupts();
		nap_ms = look(context);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		worker_sleep(nap_ms);
	}
}
