/*
 * fixed_clock: the transaction's time while chaincode runs.
 *
 * The problem. The input functions of date and timestamps accept 'now', 'today', 'tomorrow' and
 * 'yesterday' wherever a text becomes a value: casts, assignments of PL/pgSQL, fields of records,
 * arrays and ranges, JSON, XML. No hook sees these calls.
 *
 * The rule. All these functions read the start of the transaction (datetime.c, GetCurrentTimeUsec),
 * so while chaincode runs it is set to a time before Christ. Its year is not positive, which
 * ValidateDate refuses for all of these words: the same error on every node. CURRENT_TIMESTAMP,
 * now() and similar have checks of their own (query_check.c, sandbox.c); if a check missed one of
 * them, it would return this time on every node.
 *
 * 'now' as time or timetz has no year: the result is FIXED_CLOCK_TIME_OF_DAY on every node.
 * Rejected: an invalid time of transaction, which would make this an error too, but also every
 * other time of day without a zone, because its input looks up the zone's offset today.
 *
 * The only function of the server that sets the time of a transaction is made for parallel workers.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"

#include "server/chaincode/chaincode_internal.h"

/* a day about the year 1001 BC, in days since 2000-01-01 */
#define FIXED_CLOCK_DAY INT64CONST(-1095728)

static bool is_fixed;
static TimestampTz saved_transaction_start;
static TimestampTz saved_statement_start;

static void
set_start_times(TimestampTz transaction_start, TimestampTz statement_start)
{
	int saved_worker_number = ParallelWorkerNumber;

	/* SetParallelStartTimestamps asserts that this is a parallel worker */
	ParallelWorkerNumber = 0;
	SetParallelStartTimestamps(transaction_start, statement_start);
	ParallelWorkerNumber = saved_worker_number;
}

void
fixed_clock_enter(void)
{
	TimestampTz fixed = FIXED_CLOCK_DAY * USECS_PER_DAY + FIXED_CLOCK_TIME_OF_DAY;

	if (is_fixed)
		return;
	saved_transaction_start = GetCurrentTransactionStartTimestamp();
	saved_statement_start = GetCurrentStatementStartTimestamp();
	set_start_times(fixed, fixed);
	is_fixed = true;
}

void
fixed_clock_leave(void)
{
	if (!is_fixed)
		return;
	set_start_times(saved_transaction_start, saved_statement_start);
	is_fixed = false;
}

bool
fixed_clock_has_special_word(const char *text)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	for (; *text != '\0'; text++)
		for (int i = 0; i < lengthof(words); i++)
			if (pg_strncasecmp(text, words[i], strlen(words[i])) == 0)
				return true;
	return false;
}
