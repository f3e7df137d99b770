/*
 * launcher.c: `fabric launcher` starts and restarts the workers of the joined channels.
 *
 * It reads the list of channels, assigns each a slot in shared memory, and registers a background
 * worker for every kind that the channel needs and that does not run. It starts a worker that has
 * ended again, but not more often than fabric.worker_restart_delay. A worker recovers by starting
 * from the tables; there is no other recovery.
 */
#include "server/worker/worker_internal.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/wait_event.h"

#include "server/channel/channel.h"

/*
 * Longest sleep: the extension may have been created in the database without waking the launcher.
 */
#define LAUNCHER_NAP_MS 5000
/* a registered worker that did not announce itself within this time has failed to start */
#define ATTACH_TIMEOUT_MS 10000
/*
 * A worker that ends within this time has failed. After each failure in a row the delay before the
 * next start doubles, up to RESTART_DELAY_MS_MAX.
 */
#define STEADY_MS 60000
#define RESTART_DELAY_MS_MAX 10000
/* how often the launcher checks whether stopped workers have ended */
#define STOP_LOOK_MS 50

/* the launcher's private state of a worker, by slot and kind */
typedef struct Start
{
	uint64 at_ms;		/* last registration, of clock_ms; 0 = never */
	int failures_count; /* starts in a row that did not last */
	bool refused;		/* the last registration was refused */
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
	WorkerOrder order = {.slot_index = slot_index(slot),
						 .generation = shmem_worker_next_generation(slot, kind)};
	FbError why;

	memcpy(worker.bgw_extra, &order, sizeof(order));
	strlcpy(worker.bgw_library_name, "fabric", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, worker_kind(kind)->function, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "fabric %s %s", worker_kind(kind)->name, slot_name(slot));
	snprintf(worker.bgw_type, BGW_MAXLEN, "fabric %s", worker_kind(kind)->name);
	start->at_ms = clock_ms();
	start->refused = !RegisterDynamicBackgroundWorker(&worker, &start->handle);
	if (!start->refused)
	{
		condition_end(slot_name(slot), "start", worker_kind(kind)->name);
		return;
	}
	start->handle = NULL;
	shmem_worker_note_error(slot, kind, "too many background workers: raise max_worker_processes");
	fb_fail(&why, FB_LIMIT_EXCEEDED, "could not start background process \"%s\"", worker.bgw_name);
	fb_error_detail(&why, "The node tries again until a slot for it is free.");
	fb_error_hint(&why, "Raise max_worker_processes in postgresql.conf and restart the server.");
	condition_report(slot_name(slot), "start", worker_kind(kind)->name, &why);
}

static long
restart_delay_ms(const Start *start)
{
	int64 delay_ms = guc_worker_restart_delay;

	for (int i = 0; i < start->failures_count && delay_ms < RESTART_DELAY_MS_MAX; i++)
		delay_ms *= 2;
	return (long) Max(Min(delay_ms, RESTART_DELAY_MS_MAX), guc_worker_restart_delay);
}

/*
 * Start the worker if it does not run and its delay is over. Returns the milliseconds until the
 * next check.
 */
static long
keep_running(ChannelSlot *slot, WorkerKind kind)
{
	Start *start = &starts[slot_index(slot) * WORKER_KIND_COUNT + kind];
	uint64 waited_ms = clock_ms() - start->at_ms;
	pid_t pid;

	if (slot_worker_pid(slot, kind) != 0)
	{
		if (waited_ms >= STEADY_MS)
			start->failures_count = 0;
		return LAUNCHER_NAP_MS;
	}
	if (start->at_ms != 0)
	{
		/* registered, and not yet attached */
		if (start->handle != NULL && waited_ms < ATTACH_TIMEOUT_MS &&
			GetBackgroundWorkerPid(start->handle, &pid) != BGWH_STOPPED)
			return 100;
		if (waited_ms < restart_delay_ms(start))
			return restart_delay_ms(start) - (long) waited_ms;
		if (waited_ms < STEADY_MS && !start->refused)
			start->failures_count++;
	}
	slot_note_start(slot, kind);
	if (start->handle != NULL)
		pfree(start->handle);
	register_worker(slot, kind, start);
	return 100;
}

/* true when none of them runs */
static bool
stop_workers(ChannelSlot *slot)
{
	bool stopped = true;

	for (int kind = 0; kind < WORKER_KIND_COUNT; kind++)
		stopped &= shmem_worker_stop(slot, kind);
	return stopped;
}

/* forget the starts of a slot's workers, before the slot is reused or a new mode begins */
static void
forget_starts(ChannelSlot *slot)
{
	for (int kind = 0; kind < WORKER_KIND_COUNT; kind++)
	{
		Start *start = &starts[slot_index(slot) * WORKER_KIND_COUNT + kind];

		if (start->handle != NULL)
			pfree(start->handle);
		memset(start, 0, sizeof(*start));
	}
}

/*
 * Workers keep the source of blocks (import only or not) with which they were started. When it
 * changes, the launcher stops them and starts new ones. False while the old ones still run.
 */
static bool
start_in_mode(ChannelSlot *slot, bool import_only)
{
	if (slot_import_only(slot) == import_only)
		return true;
	if (!stop_workers(slot))
		return false;
	forget_starts(slot);
	slot_set_import_only(slot, import_only);
	return true;
}

/* ---- one pass over the list of channels ---- */

typedef struct Wanted
{
	ChannelMembership membership;
	bool orderer;
} Wanted;

static List *
read_memberships(MemoryContext context)
{
	List *wanted = NIL;
	ListCell *cell;

	bracket_begin("reading the list of channels");
	if (OidIsValid(get_extension_oid("fabric", true)))
		foreach(cell, channel_memberships())
		{
			const ChannelMembership *membership = lfirst(cell);
			MemoryContext old = MemoryContextSwitchTo(context);
			Wanted *entry = palloc0(sizeof(Wanted));

			entry->membership =
				(ChannelMembership) {pstrdup(membership->name), membership->ledger_id,
									 membership->import_only};
			wanted = lappend(wanted, entry);
			MemoryContextSwitchTo(old);
		}
	bracket_commit();
	return wanted;
}

/*
 * Errors are caught here, because a channel with a bad configuration or bad files must not stop
 * the others; a condition shows the reason.
 */
static bool
is_orderer(const char *channel)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		bracket_begin("looking for the channel's orderer");
		result = channel_raft_id(channel_open(channel)) != 0;
		bracket_commit();
	}
	PG_CATCH();
	{
		ErrorData *data;
		FbError why;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		HOLD_INTERRUPTS();
		FlushErrorState();
		bracket_abort();
		RESUME_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error_capture(data, &why);
		FreeErrorData(data);
		condition_report(channel, "configuration", NULL, &why);
		return false;
	}
	PG_END_TRY();
	condition_end(channel, "configuration", NULL);
	return result;
}

static List *
read_wanted(MemoryContext context)
{
	List *wanted = read_memberships(context);
	ListCell *cell;

	foreach(cell, wanted)
	{
		Wanted *entry = lfirst(cell);

		entry->orderer = is_orderer(entry->membership.name);
	}
	return wanted;
}

static bool
worker_is_wanted(List *wanted, const ChannelSlot *slot)
{
	ListCell *cell;

	foreach(cell, wanted)
	{
		const ChannelMembership *membership = &((Wanted *) lfirst(cell))->membership;

		if (strcmp(membership->name, slot_name(slot)) == 0)
			return membership->ledger_id == slot_ledger_id(slot);
	}
	return false;
}

/*
 * The channel's slot, created if there is none. NULL while the slot still belongs to an earlier
 * membership, or all slots are in use.
 */
static ChannelSlot *
launcher_find_slot(const ChannelMembership *membership)
{
	ChannelSlot *slot = shmem_channel_create(membership->name, membership->ledger_id);
	FbError why;

	if (slot == NULL)
	{
		fb_fail(&why, FB_LIMIT_EXCEEDED,
				"too many channels: no process is started for channel \"%s\"", membership->name);
		fb_error_detail(&why, "This node can join %d channels.", guc_max_channels);
		fb_error_hint(&why, "Raise fabric.max_channels in postgresql.conf and restart the server.");
		condition_report(membership->name, "slot", NULL, &why);
	}
	else
		condition_end(membership->name, "slot", NULL);
	return slot == NULL || slot_ledger_id(slot) != membership->ledger_id ? NULL : slot;
}

static long
launcher_look(MemoryContext context)
{
	List *wanted = read_wanted(context);
	ListCell *cell;
	long nap_ms = LAUNCHER_NAP_MS;

	connections_publish(list_length(wanted));
	for (int i = 0; i < guc_max_channels; i++)
	{
		ChannelSlot *slot = shmem_channel_at(i, NULL);

		if (slot == NULL || worker_is_wanted(wanted, slot))
			continue;
		if (!stop_workers(slot))
		{
			/* the workers write into the slot until they have ended */
			nap_ms = STOP_LOOK_MS;
			continue;
		}
		forget_starts(slot);
		shmem_channel_drop(slot);
	}
	foreach(cell, wanted)
	{
		Wanted *entry = lfirst(cell);
		ChannelSlot *slot = launcher_find_slot(&entry->membership);

		if (slot == NULL)
			continue;
		if (!start_in_mode(slot, entry->membership.import_only))
		{
			nap_ms = STOP_LOOK_MS;
			continue;
		}
		nap_ms = Min(nap_ms, keep_running(slot, WORKER_LEDGER));
		if (entry->orderer)
			nap_ms = Min(nap_ms, keep_running(slot, WORKER_ORDERER));
	}
	return nap_ms;
}

/*
 * Warn about settings that weaken this node's promises; once for each time that a setting is
 * turned off.
 */
static void
warn_of_settings(void)
{
	static bool fsync_told = false;
	static bool full_page_writes_told = false;

	if (!enableFsync && !fsync_told)
		ereport(
			WARNING,
			(errmsg(
				 "fsync is off: this node can lose blocks and votes that it has promised to keep"),
			 errdetail(
				 "After a crash of the machine its ledger may be damaged, and its channels may fork."),
			 errhint("Set fsync = on in postgresql.conf.")));
	if (!fullPageWrites && !full_page_writes_told)
		ereport(
			WARNING,
			(errmsg(
				 "full_page_writes is off: this node can lose blocks and votes that it has promised to keep"),
			 errdetail("After a crash of the machine pages of its ledger may be torn."),
			 errhint("Set full_page_writes = on in postgresql.conf.")));
	fsync_told = !enableFsync;
	full_page_writes_told = !fullPageWrites;
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
	condition_process("launcher");
	work_set_process(WORK_LAUNCHER);
	starts = MemoryContextAllocZero(TopMemoryContext,
									sizeof(Start) * guc_max_channels * WORKER_KIND_COUNT);
	context = AllocSetContextCreate(TopMemoryContext, "fabric launcher", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		long nap_ms;
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		worker_serve_interrupts();
		warn_of_settings();
		nap_ms = launcher_look(context);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		worker_sleep(nap_ms);
	}
}
