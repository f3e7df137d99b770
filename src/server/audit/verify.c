/* verify.c: verify this node's copy of a chain */
#include "server/audit/audit_internal.h"

#include "utils/snapmgr.h"

void
chain_verify(const Ledger *ledger, uint64 from, uint64 to, ChainReport report, void *context)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "fabric verification", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	ChainWalk walk = {.ledger = ledger,
					  .snapshot = GetActiveSnapshot(),
					  .with_tables = true,
					  .from = from,
					  .to = to,
					  .report = report,
					  .report_context = context};

	chain_walk(&walk);
	chain_walk_close(&walk);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
}
