/*
 * work_counters.c: the work of all processes of this node (fabric.stat_work), by kind of process.
 *
 * Core counts in each process (core/base/work.c). The difference to the last published counts is
 * added to shared memory at the end of each transaction, and whenever a worker is about to sleep:
 * one atomic addition for each count that has changed.
 */
#include "server/pg/shmem_internal.h"

#include "access/xact.h"

typedef struct WorkShared
{
	pg_atomic_uint64 counts[WORK_PROCESS_COUNT][FB_WORK_COUNT];
} WorkShared;

static WorkShared *shared = NULL;
static WorkProcess own_process = WORK_SESSION;
/* the part of this process's counts that was published */
static uint64 published[FB_WORK_COUNT];

Size
work_bytes(void)
{
	return MAXALIGN(sizeof(WorkShared));
}

void
work_init(char *place)
{
	shared = (WorkShared *) place;
	for (int process = 0; process < WORK_PROCESS_COUNT; process++)
		for (int work = 0; work < FB_WORK_COUNT; work++)
			pg_atomic_init_u64(&shared->counts[process][work], 0);
}

void
work_publish(void)
{
	if (shared == NULL)
		return;
	for (int work = 0; work < FB_WORK_COUNT; work++)
	{
		uint64 done = fb_work_done((FbWork) work);

		if (done != published[work])
			(void) pg_atomic_fetch_add_u64(&shared->counts[own_process][work],
										   (int64) (done - published[work]));
		published[work] = done;
	}
}

static void
end_of_transaction(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		work_publish();
}

void
work_install(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
}

void
work_set_process(WorkProcess process)
{
	own_process = process;
}

uint64
work_of_processes(WorkProcess process, FbWork work)
{
	return pg_atomic_read_u64(&shared->counts[process][work]);
}
