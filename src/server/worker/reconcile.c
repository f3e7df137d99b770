/*
 * reconcile.c: the ledger worker asks the organization's other peers for private plaintext that
 * was missing here when its transaction was committed.
 *
 * It requests one transaction at a time, in the order of the chain, and after the last one starts
 * again with the first. There is one request at a time, without waiting: the worker checks it
 * between blocks. Each round asks one peer; the next round asks the next peer, after a pause of
 * one second at first and up to one minute. In Fabric gossip/privdata/reconcile.go does the same,
 * every minute.
 */
#include "server/worker/worker_internal.h"

#include "server/commit/commit.h"

#define LOOK_MS 5000 /* how often to check whether anything is missing */
#define PAUSE_MS_MIN 1000
#define PAUSE_MS_MAX 60000
#define ANSWER_TIMEOUT_MS 10000
#define POLL_MS 20

static void
report_missing(const char *channel, int64 count, int peers_count, const char *last_address,
			   const FbError *last)
{
	bool failed = last->message[0] != '\0';
	FbError why;

	fb_fail(&why, FB_NODE_BEHIND,
			"plaintext of private data of " INT64_FORMAT " transactions is missing", count);
	if (peers_count == 0)
		fb_error_detail(
			&why,
			"The channel configuration names no other peer of organization \"%s\" that could have it.",
			guc_node_msp_id);
	else
		fb_error_detail(
			&why, "None of the %d other peers of organization \"%s\" has given it yet%s%s%s%s%s%s.",
			peers_count, guc_node_msp_id, failed ? "; the last one, " : "",
			failed ? last_address : "", failed ? ": " : "", last->message,
			last->detail[0] != '\0' ? ": " : "", last->detail);
	fb_error_hint(
		&why,
		"Approvals in the missing data do not count at this node. Approve again here, or start the peer that has the data.");
	condition_report(channel, "private data", NULL, &why);
}

/* find the next missing transaction and request it */
static void
reconcile_ask(Reconciler *reconciler, const char *channel_name, uint64 now_ms)
{
	const Channel *channel;
	List *peers;
	RwSetVersion next;
	int64 count;

	bracket_begin("asking for private data");
	channel = channel_open(channel_name);
	count = private_store_next_missing(channel->ledger, reconciler->at, &next);
	if (count == 0)
	{
		bracket_commit();
		condition_end(channel_name, "private data", NULL);
		reconciler->next_ms = now_ms + LOOK_MS;
		reconciler->pause_ms = 0;
		reconciler->at = (RwSetVersion) {false, 0, 0};
		return;
	}
	peers = channel_own_peers(channel);
	if (!next.present)
	{
		/* the round is complete: begin again, with the next peer */
		report_missing(channel_name, count, list_length(peers), reconciler->address,
					   &reconciler->last_error);
		bracket_commit();
		reconciler->at = (RwSetVersion) {false, 0, 0};
		reconciler->peer_index++;
		reconciler->pause_ms = Min(Max(reconciler->pause_ms * 2, PAUSE_MS_MIN), PAUSE_MS_MAX);
		reconciler->next_ms = now_ms + reconciler->pause_ms;
		return;
	}
	reconciler->at = next;
	/* complete without a request: later transactions overwrote all its keys */
	if (commit_private_found(channel, next, FB_BYTES_EMPTY))
	{
		bracket_commit();
		return;
	}
	if (peers == NIL)
	{
		bracket_commit();
		return;
	}
	/* copied to a longer-lived context: a call started inside the transaction would end with it */
	reconciler->request = private_request(channel, next, TopMemoryContext);
	strlcpy(reconciler->address, list_nth(peers, reconciler->peer_index % list_length(peers)),
			sizeof(reconciler->address));
	bracket_commit();
	reconciler->call = wire_private_get_start(reconciler->address, reconciler->request,
											  next.block_number, (int32) next.tx_index);
	reconciler->deadline_ms = now_ms + ANSWER_TIMEOUT_MS;
}

/* the answer has arrived, or the deadline has passed */
static void
reconcile_take(Reconciler *reconciler, const char *channel_name)
{
	const WireError *failure = wire_call_error(reconciler->call);
	bool complete = false;

	reconciler->last_error.message[0] = reconciler->last_error.detail[0] = '\0';
	if (failure != NULL)
		reconciler->last_error = failure->error;
	else if (wire_call_rows_count(reconciler->call) > 0 &&
			 wire_call_row(reconciler->call, 0).size > 0)
	{
		bracket_begin("storing private data");
		complete = commit_private_found(channel_open(channel_name), reconciler->at,
										wire_call_row(reconciler->call, 0));
		bracket_commit();
	}
	wire_call_release(reconciler->call);
	pfree((void *) reconciler->request.data);
	reconciler->call = NULL;
	if (complete)
	{
		ereport(
			LOG,
			(errmsg(
				"channel \"%s\": private data of transaction %d of block %llu was fetched from %s",
				channel_name, (int) reconciler->at.tx_index,
				(unsigned long long) reconciler->at.block_number, reconciler->address)));
		reconciler->pause_ms = 0;
	}
}

long
reconcile_turn(Reconciler *reconciler, const char *channel_name)
{
	MemoryContext caller = CurrentMemoryContext;
	uint64 now_ms = clock_ms();

	if (reconciler->call != NULL)
	{
		if (!wire_poll(reconciler->call) && now_ms < reconciler->deadline_ms)
			return POLL_MS;
		reconcile_take(reconciler, channel_name);
	}
	else if (now_ms >= reconciler->next_ms)
		reconcile_ask(reconciler, channel_name, now_ms);
	MemoryContextSwitchTo(caller);
	if (reconciler->call != NULL)
		return POLL_MS;
	return reconciler->next_ms > now_ms ? (long) (reconciler->next_ms - now_ms) : 1;
}
