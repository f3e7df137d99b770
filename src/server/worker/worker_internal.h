/* what the worker mains share: starting up as a worker of a channel, and sleeping */
#ifndef FABRIC_SERVER_WORKER_INTERNAL_H
#define FABRIC_SERVER_WORKER_INTERNAL_H

#include "server/worker/worker.h"

/* what the launcher tells a worker, in BackgroundWorker.bgw_extra */
typedef struct WorkerOrder
{
	int			slot_index;
	uint32		generation;
} WorkerOrder;

/*
 * Signals, database connection, slot. Ends the process quietly when the slot is not the one that it was started for. From now on an error that
 * ends the process is noted in the slot for fabric.stat_workers.
 */
extern ChannelSlot *worker_start(WorkerKind kind);

/* sleep until the latch is set, at most timeout_ms (-1: no limit); then reset it, serve interrupts and configuration reloads */
extern void worker_sleep(long timeout_ms);
/* the part of it that workers with an own wait need: interrupts and reloads */
extern void worker_serve_interrupts(void);

/* the launcher's: tell node_roles.c which other nodes there are; a warning when they have too few connections */
extern void connections_publish(int channels_count);

#endif
