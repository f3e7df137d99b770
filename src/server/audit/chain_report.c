/* chain_report.c: report problems to the caller */
#include "server/audit/audit_internal.h"

void
chain_problem(ChainWalk *walk, int64 block_number, int64 tx_index, const char *problem,
			  const char *format, ...)
{
	char detail[FB_ERROR_DETAIL_BYTES];
	MemoryContext caller;
	va_list arguments;

	va_start(arguments, format);
	fb_print_cut(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	walk->problems_count++;
	/* there may be millions */
	caller = MemoryContextSwitchTo(walk->problem_context != NULL ? walk->problem_context
																 : CurrentMemoryContext);
	walk->report(walk->report_context, block_number, tx_index, problem, detail);
	MemoryContextSwitchTo(caller);
	if (walk->problem_context != NULL)
		MemoryContextReset(walk->problem_context);
}
