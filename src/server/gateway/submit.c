/* submit.c: a signed transaction goes to an orderer (GWY-3) */
#include "server/gateway/gateway_internal.h"

#include "miscadmin.h"
#include "utils/wait_event.h"

#include "server/order/order.h"
#include "server/wire/wire.h"

/* an orderer that has not answered after this time is passed over: another one may be well */
#define ATTEMPT_MS 5000
#define RETRY_MS_MIN 20
#define RETRY_MS_MAX 1000

/* ---- doubt ---- */

static void
tell_doubt(void *argument)
{
	const Doubt *doubt = argument;

	if (doubt->exists)
		errcontext("transaction %s was handed to an orderer and may be committed all the same: ask fabric.commit_status", doubt->tx_id);
}

void
doubt_begin(Doubt *doubt, FbBytes tx_id)
{
	strlcpy(doubt->tx_id, FB_DISPLAY(tx_id), sizeof(doubt->tx_id));
	doubt->exists = false;
	doubt->callback.callback = tell_doubt;
	doubt->callback.arg = doubt;
	doubt->callback.previous = error_context_stack;
	error_context_stack = &doubt->callback;
}

void
doubt_end(Doubt *doubt)
{
	error_context_stack = doubt->callback.previous;
}

/* ---- one orderer ---- */

/* orderers of other organisations, in random order so that load spreads, those that did not answer lately last; List of char * */
static List *
other_orderers(const Channel *channel)
{
	List	   *addresses = NIL;
	List	   *silent = NIL;
	uint8_t		start = 0;
	FbError		error;

	for (size_t i = 0; i < channel->bundle->orderer_organizations_count; i++)
	{
		const ConfigOrganization *organization = &channel->bundle->orderer_organizations[i];

		if (channel_raft_id(channel) != 0 && strcmp(organization->msp_id, guc_node_msp_id) == 0)
			continue;
		for (size_t e = 0; e < organization->endpoints_count; e++)
			if (wire_is_silent(organization->endpoints[e]))
				silent = lappend(silent, (void *) organization->endpoints[e]);
			else
				addresses = lappend(addresses, (void *) organization->endpoints[e]);
	}
	error_check(crypto_random(&start, 1, &error), &error);
	for (int turns = addresses == NIL ? 0 : start % list_length(addresses); turns > 0; turns--)
	{
		void	   *first = linitial(addresses);

		addresses = lappend(list_delete_first(addresses), first);
	}
	return list_concat(addresses, silent);
}

/* worth trying at another orderer, or a moment later */
static bool
is_temporary(FbStatus status)
{
	return status == FB_BUSY || status == FB_NO_LEADER || status == FB_NODE_UNREACHABLE || status == FB_NOT_CONSENTER;
}

/* what it says; *doubtful becomes true where it may have taken the envelope, although it does not say so */
static FbStatus
submit_to(const char *address, const char *channel, FbBytes envelope, TimestampTz deadline, bool *doubtful, FbError *error)
{
	bool		doubtful_before = *doubtful;
	WireCall   *call = wire_submit_start(address, channel, envelope);
	TimestampTz patience = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ATTEMPT_MS);
	const WireError *failure;
	FbStatus	status = FB_OK;

	/* a cancellation finds it so */
	*doubtful = true;
	(void) wire_wait(&call, 1, WIRE_WAIT_ALL, Min(deadline, patience), false);
	failure = wire_call_error(call);
	if (failure != NULL)
	{
		*error = failure->error;
		status = error->status;
		if (failure->not_executed)
			*doubtful = doubtful_before;
		if (!failure->not_executed)
			fb_error_detail(error, "%s%sIt is not known whether the orderer at %s has taken the transaction.", failure->error.detail,
							failure->error.detail[0] != '\0' ? ". " : "", address);
		else if (error->detail[0] == '\0' && status == FB_NODE_UNREACHABLE)
			fb_error_detail(error, "There was no connection to the orderer at %s in time.", address);
		else if (error->detail[0] == '\0')
			fb_error_detail(error, "Answer of the orderer at %s.", address);
	}
	wire_call_release(call);
	return status;
}

/* every orderer once, as long as there is time; FB_OK when one has taken it */
static FbStatus
try_all(const Channel *channel, FbBytes envelope, TimestampTz deadline, bool *doubtful, FbError *error)
{
	FbStatus	status = FB_NO_LEADER;
	ListCell   *cell;

	fb_fail(error, FB_NO_LEADER, "channel \"%s\" has no orderer that can be reached", channel->name);
	if (channel_raft_id(channel) != 0)
	{
		status = order_broadcast(channel->name, envelope, error);
		if (!is_temporary(status))
			return status;
	}
	foreach(cell, other_orderers(channel))
	{
		status = submit_to(lfirst(cell), channel->name, envelope, deadline, doubtful, error);
		if (!is_temporary(status) || GetCurrentTimestamp() >= deadline)
			return status;
	}
	return status;
}

/* ---- until one has taken it ---- */

static void
pause_ms(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
submit_in_doubt(FbBytes envelope, Doubt *doubt)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_submit_timeout_ms);
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	long		retry_ms = RETRY_MS_MIN;
	EnvelopeView view;
	const Channel *channel;
	FbStatus	status;
	FbError		error;
	FbError		answer = {0};	/* the last one that an orderer gave */

	error_check(envelope_parse(allocator, envelope, &view, &error), &error);
	channel = channel_open(fb_text_copy(allocator, view.channel_id));
	while ((status = try_all(channel, envelope, deadline, &doubt->exists, &error)) != FB_OK)
	{
		if (status != FB_NODE_UNREACHABLE)
			answer = error;
		if (!is_temporary(status) || GetCurrentTimestamp() >= deadline)
		{
			/* an attempt that the deadline cut off before it was sent says less than what an orderer answered before */
			if (!doubt->exists && answer.status != FB_OK)
				error = answer;
			if (doubt->exists)
				fb_error_hint(&error, "Ask fabric.commit_status what became of it before the call is repeated.");
			error_throw(&error);
		}
		pause_ms(retry_ms);
		retry_ms = Min(retry_ms * 2, RETRY_MS_MAX);
	}
	doubt->exists = true;
}

bool
submit_again(const Channel *channel, FbBytes envelope, TimestampTz deadline)
{
	bool		doubtful = true;
	FbError		error;

	return try_all(channel, envelope, deadline, &doubtful, &error) == FB_OK;
}

void
gateway_submit(FbBytes envelope)
{
	EnvelopeView view;
	Doubt		doubt;
	FbError		error;

	error_check(envelope_parse(memory_allocator(CurrentMemoryContext), envelope, &view, &error), &error);
	doubt_begin(&doubt, view.tx_id);
	submit_in_doubt(envelope, &doubt);
	doubt_end(&doubt);
}
