/* worker_kinds.c: the kinds of workers of a channel */
#include "server/worker/worker.h"

static const WorkerKindRow worker_kinds[] = {
	[WORKER_LEDGER] = {"ledger", "fabric_ledger_main", WORK_LEDGER},
	[WORKER_ORDERER] = {"orderer", "fabric_orderer_main", WORK_ORDERER},
};

StaticAssertDecl(lengthof(worker_kinds) == WORKER_KIND_COUNT, "each kind of worker needs a row");

const WorkerKindRow *
worker_kind(WorkerKind kind)
{
	return &worker_kinds[kind];
}
