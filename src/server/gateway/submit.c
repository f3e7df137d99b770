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

/* orderers of other organisations, in random order so that load spreads; List of char * */
static List *
other_orderers(const Channel *channel)
{
	List	   *addresses = NIL;
	uint8_t		start = 0;
	FbError		error;

	for (size_t i = 0; i < channel->bundle->orderer_organizations_count; i++)
	{
		const ConfigOrganization *organization = &channel->bundle->orderer_organizations[i];

		if (channel_raft_id(channel) != 0 && strcmp(organization->msp_id, guc_node_msp_id) == 0)
			continue;
		for (size_t e = 0; e < organization->endpoints_count; e++)
			addresses = lappend(addresses, (void *) organization->endpoints[e]);
	}
	error_check(crypto_random(&start, 1, &error), &error);
	for (int turns = addresses == NIL ? 0 : start % list_length(addresses); turns > 0; turns--)
	{
		void	   *first = linitial(addresses);

		addresses = lappend(list_delete_first(addresses), first);
	}
	return addresses;
}

/* worth trying at another orderer, or a moment later */
static bool
is_temporary(FbStatus status)
{
	return status == FB_BUSY || status == FB_NO_LEADER || status == FB_NODE_UNREACHABLE || status == FB_NOT_CONSENTER;
}

static FbStatus
submit_to(const char *address, const char *channel, FbBytes envelope, TimestampTz deadline, FbError *error)
{
	WireCall   *call = wire_submit_start(address, channel, envelope);
	TimestampTz patience = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ATTEMPT_MS);
	const WireError *failure;
	FbStatus	status = FB_OK;

	(void) wire_wait(&call, 1, WIRE_WAIT_ALL, Min(deadline, patience), false);
	failure = wire_call_error(call);
	if (failure != NULL)
	{
		*error = failure->error;
		status = error->status;
		if (error->detail[0] != '\0')
			;
		else if (status == FB_NODE_UNREACHABLE)
			fb_error_detail(error, "It is not known whether the orderer at %s has taken the transaction.", address);
		else
			fb_error_detail(error, "Answer of the orderer at %s.", address);
	}
	wire_call_release(call);
	return status;
}

/* every orderer once; FB_OK when one has taken it */
static FbStatus
try_all(const Channel *channel, FbBytes envelope, TimestampTz deadline, FbError *error)
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
		status = submit_to(lfirst(cell), channel->name, envelope, deadline, error);
		if (!is_temporary(status))
			return status;
	}
	return status;
}

static void
pause_ms(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
gateway_submit(FbBytes envelope)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_submit_timeout_ms);
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	long		retry_ms = RETRY_MS_MIN;
	EnvelopeView view;
	const Channel *channel;
	FbStatus	status;
	FbError		error;

	error_check(envelope_parse(allocator, envelope, &view, &error), &error);
	channel = channel_open(fb_text_copy(allocator, view.channel_id));
	while ((status = try_all(channel, envelope, deadline, &error)) != FB_OK)
	{
		if (!is_temporary(status) || GetCurrentTimestamp() >= deadline)
			error_throw(&error);
		pause_ms(retry_ms);
		retry_ms = Min(retry_ms * 2, RETRY_MS_MAX);
	}
}
