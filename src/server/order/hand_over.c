/*
 * hand_over.c: a leader that is about to end gives the leadership away first.
 *
 * Problem: when a leader just ends, the others notice after an election timeout, and nothing is
 * ordered until then: 1 to 2 s and more for every planned restart of a node. A leader that is asked
 * to end (fast shutdown, pg_terminate_backend, leave_channel) knows it, and can name its successor.
 *
 * In a fast shutdown the postmaster ends all processes at the same moment, also those through which
 * other consenters' messages come in: so there may be no answer to anything that is sent from now
 * on, neither to the last appends nor to the request to take over. Therefore:
 *   - the successor is told at once, behind the entries on the same connection, and not when it has
 * confirmed them (RaftEvent.transfer.leaving);
 *   - whoever was heard last is asked first, and when the new leader is not heard of after ASK_MS
 * the next one is asked, whatever became of the first;
 *   - it ends after HAND_OVER_MS at the latest.
 * Where messages still come in (pg_terminate_backend), the worker goes on with its turns until it
 * has heard the new leader: then envelopes that wait in its queue have been forwarded to that one.
 * In a shutdown they are lost, as in a crash: their sessions hand them in again when the leader has
 * changed.
 *
 * Rejected: refusing to end until there is a new leader (a node must be able to stop when the
 * others are down); handing over from the launcher or a hook of the postmaster's exit (they end at
 * the same moment); stepping down silently (the others would wait for their timeout all the same).
 *
 * Afterwards the others have a leader within a few round trips. Safety depends on none of this: an
 * election is won by votes only.
 */
#include "server/order/order_internal.h"

/*
 * in a shutdown the answer cannot be heard, so all of it is waited: short, but time enough for a
 * few round trips and a flush elsewhere
 */
#define HAND_OVER_MS 300
#define ASK_MS 150

/*
 * the follower to ask next: none twice while there are others; those heard lately first, then those
 * with the longest log. 0: there is none
 */
static uint64
next_successor(const OrderNode *node, const RaftStatus *status, uint64 asked)
{
	const RaftFollowerStatus *best = NULL;
	uint64 heard_after_ms =
		node->now_ms - Min(node->now_ms, 3 * (uint64) guc_raft_heartbeat_interval);

	for (uint32 i = 0; i < status->followers_count; i++)
	{
		const RaftFollowerStatus *follower = &status->followers[i];
		bool heard = follower->heard_ms >= heard_after_ms;
		bool best_heard = best != NULL && best->heard_ms >= heard_after_ms;

		if ((asked & (UINT64CONST(1) << i)) != 0 || !wire_set_connected(node->wires, follower->id))
			continue;
		if (best == NULL || heard > best_heard ||
			(heard == best_heard && follower->match_index > best->match_index))
			best = follower;
	}
	return best != NULL ? best->id : 0;
}

static void
ask_successor(OrderNode *node, uint64 *asked)
{
	RaftEvent event = {.type = RAFT_EVENT_TRANSFER, .transfer.leaving = true};
	RaftStatus status;
	FbError error;

	raft_status(node->raft, &status);
	event.transfer.to = next_successor(node, &status, *asked);
	if (event.transfer.to == 0)
		return;
	for (uint32 i = 0; i < status.followers_count; i++)
		if (status.followers[i].id == event.transfer.to)
			*asked |= UINT64CONST(1) << i;
	if (duties_step(node, &event, NULL, &error) == FB_OK)
		ereport(
			LOG,
			(errmsg(
				"channel \"%s\": this node ends and hands the leadership over to consenter %llu",
				node->channel, (unsigned long long) event.transfer.to)));
	duties_finish(node);
}

bool
order_node_leads(const OrderNode *node)
{
	return node->role == RAFT_LEADER && node->settings.voters.voters_count > 1;
}

void
order_node_hand_over(OrderNode *node)
{
	uint64 begin_ms = clock_ms();
	uint64 ask_ms = begin_ms;
	uint64 asked = 0;

	StaticAssertStmt(FB_RAFT_NODES_MAX <= 64, "a bit for each follower");
	for (;;)
	{
		uint64 now_ms = clock_ms();

		if (now_ms >= begin_ms + HAND_OVER_MS || (node->role != RAFT_LEADER && node->leader != 0))
			break;
		if (node->role == RAFT_LEADER && now_ms >= ask_ms)
		{
			node->now_ms = Max(node->now_ms, now_ms);
			ask_successor(node, &asked);
			ask_ms = now_ms + ASK_MS;
			if (asked == 0)
				break; /* nobody is connected */
		}
		node->sleep_until_ms = Min(ask_ms, begin_ms + HAND_OVER_MS);
		order_node_sleep(node);
		order_node_turn(node);
	}
	node->sleep_until_ms = 0;
	/* what the last turn has forwarded leaves with the connections' last bytes */
	wire_set_flush(node->wires);
}
