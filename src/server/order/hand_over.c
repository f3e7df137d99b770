/*
 * hand_over.c: a leader that is about to end hands the leadership over first.
 *
 * The problem. If a leader just ends, the others notice it after an election timeout, and until
 * then nothing is ordered: 1 to 2 s or more for every planned restart of a node. A leader that is
 * told to end (fast shutdown, pg_terminate_backend, leave_channel) can name its successor.
 *
 * In a fast shutdown the postmaster ends all processes at the same moment, including those that
 * receive the messages of other consenters. So the leader may get no answer to anything that it
 * sends from now on, neither to its last appends nor to the request to take over.
 *
 * The rule:
 *
 * - The successor is told at once, after the entries on the same connection, and not when it has
 *   confirmed them (RaftEvent.transfer.leaving).
 * - The consenter heard last is asked first. If the new leader is not heard within ASK_MS, the next
 *   one is asked, whatever happened to the first.
 * - The worker ends after HAND_OVER_MS at the latest.
 *
 * If messages still arrive (pg_terminate_backend), the worker continues its turns until it has
 * heard the new leader, and so forwards the envelopes in its queue to it. In a shutdown they are
 * lost, as in a crash, and their sessions submit them again when the leader has changed.
 *
 * Rejected: refusing to end until there is a new leader, because a node must be able to stop when
 * the others are down. Handing over from the launcher or a hook of the postmaster's exit, because
 * they end at the same moment. Stepping down silently, because the others would still wait for
 * their timeout.
 *
 * What holds afterwards. The others have a leader within a few round trips. Safety depends on none
 * of this: only votes elect a leader.
 */
#include "server/order/order_internal.h"

/*
 * In a shutdown no answer arrives and the whole time passes, so it is short; but it is enough for a
 * few round trips and a flush on another node.
 */
#define HAND_OVER_MS 300
#define ASK_MS 150

/*
 * The follower to ask next, among those that were not asked yet: those heard lately first, then
 * those with the longest log. 0: there is none.
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
				break; /* no follower is connected */
		}
		node->sleep_until_ms = Min(ask_ms, begin_ms + HAND_OVER_MS);
		order_node_sleep(node);
		order_node_turn(node);
	}
	node->sleep_until_ms = 0;
	/* send the envelopes that the last turn has forwarded */
	wire_set_flush(node->wires);
}
