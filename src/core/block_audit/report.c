/* report.c: report problems to the caller */
#include "core/block_audit/block_audit_internal.h"

void
audit_problem(Audit *audit, int64_t tx_index, const char *problem, const char *format, ...)
{
	AuditProblem row = {tx_index, problem, {0}};
	va_list arguments;

	if (audit->stopped)
		return;
	va_start(arguments, format);
	fb_print_cut(row.detail, sizeof(row.detail), format, arguments);
	va_end(arguments);
	audit->problems_count++;
	audit->stopped = !audit->report(audit->report_context, &row);
}
