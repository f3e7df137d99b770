/* loop.c: start, sleep and interrupts of all workers */
#include "server/worker/worker_internal.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/wait_event.h"

static ChannelSlot *own_slot = NULL;
static WorkerKind own_kind;
static emit_log_hook_type previous_log_hook = NULL;

/* log hook: remember the error that ends this process */
static void
note_error(ErrorData *data)
{
	if (data->elevel >= ERROR && own_slot != NULL && data->message != NULL &&
		data->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN)
		shmem_worker_note_error(own_slot, own_kind, data->message);
	if (previous_log_hook)
		previous_log_hook(data);
}

/*
 * Override settings of the instance under which a worker does not work well. A worker writes, has
 * its own checks, and must wait for the locks of a repair without a limit. Its statements look up
 * rows by key, and must use the index whatever the statistics were when the plan was made: a plan
 * for a small table would read the whole table for every block while the table grows.
 */
static void
loop_set_defaults(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	} settings[] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"lock_timeout", "0"},
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"jit", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i].name, settings[i].value, PGC_USERSET, PGC_S_OVERRIDE);
}

ChannelSlot *
worker_start(WorkerKind kind)
{
	WorkerOrder order;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	own_slot = shmem_worker_attach(order.slot_index, kind, order.generation);
	if (own_slot == NULL)
		proc_exit(0);
	own_kind = kind;
	condition_process(worker_kind(kind)->name);
	work_set_process(worker_kind(kind)->process);
	previous_log_hook = emit_log_hook;
	emit_log_hook = note_error;
	BackgroundWorkerInitializeConnection(guc_database, NULL, 0);
	loop_set_defaults();
	return own_slot;
}

void
worker_serve_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
	work_publish();
	/*
	 * A busy worker does not sleep, so WL_EXIT_ON_PM_DEATH does not end it. A new server cannot
	 * start before this process has ended.
	 */
	if (!PostmasterIsAlive())
		proc_exit(1);
	if (ConfigReloadPending)
		fault_read_settings();
}

void
worker_sleep(long timeout_ms)
{
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);

	(void) WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	worker_serve_interrupts();
}
