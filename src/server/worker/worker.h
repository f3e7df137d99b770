/*
 * worker: the background processes. `fabric launcher` keeps one `fabric ledger CHANNEL` running
 * for every joined channel and one `fabric orderer CHANNEL` for every channel that this node
 * orders. A worker that fails exits, and the launcher starts a new one, which reads its state from
 * the tables. There is one `fabric relay` for the node; the postmaster starts it.
 */
#ifndef FABRIC_SERVER_WORKER_H
#define FABRIC_SERVER_WORKER_H

#include "server/pg/pg.h"

/* from _PG_init while preloading */
extern void worker_register_launcher(void);
extern void worker_register_relay(void);

/* a kind of the workers of a channel, one row each (worker_kinds.c) */
typedef struct WorkerKindRow
{
	const char *name;	  /* in fabric.stat_workers, fabric.stat_conditions, pg_stat_activity */
	const char *function; /* its main */
	WorkProcess process;  /* in fabric.stat_work */
} WorkerKindRow;

extern const WorkerKindRow *worker_kind(WorkerKind kind);

/* wake the launcher when this transaction commits, to read the list of channels again */
extern void worker_launcher_wake_at_commit(void);

/* entry points of the processes: their names are in BackgroundWorker.bgw_function_name */
extern PGDLLEXPORT void fabric_launcher_main(Datum argument);
extern PGDLLEXPORT void fabric_ledger_main(Datum argument);
extern PGDLLEXPORT void fabric_orderer_main(Datum argument);
extern PGDLLEXPORT void fabric_relay_main(Datum argument);

#endif
