/*
 * relay_main.c: `fabric relay` sends the requests of sessions to other nodes over a few
 * connections; the work is in wire/relay.c
 */
#include "server/worker/worker_internal.h"

#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"

#include "server/wire/wire.h"

/* sessions use their own connections in the meantime */
#define RESTART_S 1

void
worker_register_relay(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = RESTART_S,
	};

	strlcpy(worker.bgw_library_name, "fabric", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "fabric_relay_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "fabric relay", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "fabric relay", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
fabric_relay_main(Datum argument)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(guc_database, NULL, 0);
	condition_process("relay");
	work_set_process(WORK_RELAY);
	/* announced last, so that no session waits for a process that cannot connect to its database */
	if (!exchange_attach_relay())
		proc_exit(1);
	for (;;)
	{
		bool reloaded = ConfigReloadPending;

		worker_serve_interrupts();
		/*
		 * The reload may have changed certificates, keys and addresses, even if only the contents
		 * of a file changed.
		 */
		if (reloaded)
			wire_relay_reconnect();
		wire_relay_turn();
	}
}
