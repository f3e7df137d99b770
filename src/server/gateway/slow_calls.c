/*
 * slow_calls.c: log one line for each call that took long, with the steps in which it waited.
 *
 * A call passes through several nodes. A session that waited five seconds looks the same whether it
 * waited for another organization's node, a turn for a key, an orderer, or the block.
 * fabric.log_min_call_duration is for calls the equivalent of log_min_duration_statement for
 * statements. The line states how long each step took, and what happened during the call (a node
 * was late, an answer was asked for again, an orderer refused, the transaction was submitted
 * again), each with its time since the call began.
 *
 * The notes are kept in a buffer of fixed size while the call runs, and discarded if it was fast. A
 * session runs one call at a time: chaincode cannot start another call.
 */
#include "server/gateway/gateway_internal.h"

#define NOTES_BYTES 2048

static struct
{
	bool active;
	uint64 began_ms;
	uint64 entered_ms;
	CallStep step;
	uint64 steps_ms[CALL_STEPS];
	size_t notes_size;
	char notes[NOTES_BYTES];
} slow_call;

void
slow_call_begin(void)
{
	memset(&slow_call, 0, offsetof(typeof(slow_call), notes));
	slow_call.notes[0] = '\0';
	slow_call.active = guc_log_min_call_duration >= 0;
	slow_call.began_ms = slow_call.entered_ms = clock_ms();
}

void
slow_call_enter(CallStep step)
{
	uint64 now_ms = clock_ms();

	slow_call.steps_ms[slow_call.step] += now_ms - slow_call.entered_ms;
	slow_call.entered_ms = now_ms;
	slow_call.step = step;
}

void
slow_call_note(const char *format, ...)
{
	size_t left = NOTES_BYTES - slow_call.notes_size;
	char text[256];
	va_list arguments;
	int size;

	if (!slow_call.active)
		return;
	va_start(arguments, format);
	(void) pg_vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	size =
		pg_snprintf(slow_call.notes + slow_call.notes_size, left, "%s%s after " UINT64_FORMAT " ms",
					slow_call.notes_size > 0 ? "; " : "", text, clock_ms() - slow_call.began_ms);
	/* a note that does not fit is left out */
	if (size < 0 || (size_t) size >= left)
		slow_call.notes[slow_call.notes_size] = '\0';
	else
		slow_call.notes_size += (size_t) size;
}

void
slow_call_end(const GatewayRequest *request, const char *tx_id)
{
	uint64 total_ms;

	if (!slow_call.active)
		return;
	slow_call_enter(CALL_ENDORSING);
	slow_call.active = false;
	total_ms = clock_ms() - slow_call.began_ms;
	if (total_ms < (uint64) guc_log_min_call_duration)
		return;
	ereport(
		LOG,
		(errhidestmt(true), errhidecontext(true),
		 errmsg(
			 "call of chaincode \"%s\" on channel \"%s\" took %llu ms: endorsing %llu, waiting for keys %llu, submitting %llu, waiting for the block %llu",
			 request->chaincode, request->channel, (unsigned long long) total_ms,
			 (unsigned long long) slow_call.steps_ms[CALL_ENDORSING],
			 (unsigned long long) slow_call.steps_ms[CALL_TAKING_TURNS],
			 (unsigned long long) slow_call.steps_ms[CALL_SUBMITTING],
			 (unsigned long long) slow_call.steps_ms[CALL_COMMITTING]),
		 errdetail_log("Transaction %s.%s%s", tx_id[0] != '\0' ? tx_id : "not endorsed",
					   slow_call.notes_size > 0 ? " " : "", slow_call.notes)));
}
