/*
 * sources.c: whom the ledger worker asks for blocks.
 *
 * The problem. A node that does not order a channel, or whose Raft log begins too late, needs one
 * other node that has the blocks and answers. Any of them may be down, frozen, shut to this node,
 * or behind; none may be able to hold this node up for longer than it takes to ask the next one,
 * and an operator must see which of them does not answer and why, while blocks come from another.
 *
 * The rule. Orderers of this node's organization come first, then those of others, then peers of
 * this node's organization (channel_block_sources). The worker stays with one that gives blocks. It
 * goes on to the next one at once when a request fails; when it got none, since one that withholds
 * blocks cannot be told from a quiet channel; and, after a minute at others, back to its own
 * organization's. One that failed is left out for a time that doubles from 1 s to 15 s, so that its
 * recovery is seen within that. Peers are asked only while no orderer is left.
 *
 * With several sources a request waits for new blocks 0.5 s at most, and its answer is given up
 * when nothing arrives for another 0.5 s: a node that is frozen takes connections and requests, and
 * says nothing, and sessions of this node wait for the blocks. For the same reason one that failed
 * is asked again with a short patience as long as another one answers: only whether it is back.
 * Where none does, a source that failed is given more time with each failure, as it is left out for
 * longer, so one that is far away or busy is not given up for ever. With a single source there is
 * nobody else to ask, and fabric.deliver_wait counts.
 *
 * In Fabric a peer takes a random orderer endpoint, and the next one after a failure
 * (internal/pkg/peer/blocksprovider/blocksprovider.go); and it gets blocks by gossip from peers of
 * its organization, always and from all of them. Here orderers must do: whoever has a connection to
 * one needs no other peer, and blocks that come twice cost the other nodes their time. Peers are
 * for the node that can reach no orderer.
 */
#include "server/deliver/deliver.h"

#define BACKOFF_MS_MIN 1000
#define BACKOFF_MS_MAX 15000
#define SEVERAL_WAIT_MS 500
#define PATIENCE_MS_MIN 500
#define PROBE_WAIT_MS 1
#define PROBE_PATIENCE_MS_MIN 250
#define RETURN_MS 60000

static BlockSourceState *
find_state(BlockSources *sources, const char *address)
{
	for (int i = 0; i < sources->count; i++)
		if (strcmp(sources->list[i].address, address) == 0)
			return &sources->list[i];
	return NULL;
}

static bool
is_listed(void *context, const char *subject)
{
	return find_state(context, subject) != NULL;
}

void
sources_refresh(BlockSources *sources, const Channel *channel)
{
	List *found = channel_block_sources(channel);
	BlockSources next = {.away_ms = sources->away_ms};
	const char *current = sources->count > 0 ? sources->list[sources->current].address : NULL;
	ListCell *cell;

	foreach(cell, found)
	{
		const BlockSource *source = lfirst(cell);
		BlockSourceState *known = find_state(sources, source->address);
		BlockSourceState *state = &next.list[next.count];

		if (next.count == BLOCK_SOURCES_MAX)
			break;
		if (known != NULL)
			*state = *known;
		else
			strlcpy(state->address, source->address, sizeof(state->address));
		state->tier = source->tier;
		if (current != NULL && strcmp(state->address, current) == 0)
			next.current = next.count;
		next.count++;
	}
	/* the worker that was ended by a bad block began with another source than its next one does */
	if (sources->count == 0 && next.count > 0)
		next.current = (int) (sources->first % (uint64) next.count);
	next.first = sources->first;
	*sources = next;
	condition_end_others(channel->name, "source", is_listed, sources);
	if (sources->count == 0)
	{
		FbError why;

		fb_fail(&why, FB_NODE_UNREACHABLE, "no other node has blocks of this channel");
		fb_error_detail(
			&why,
			"The channel configuration names no orderer, and no peer of organization \"%s\", but this node.",
			guc_node_msp_id);
		fb_error_hint(&why, "Orderers are found by the Endpoints of their organizations.");
		condition_report(channel->name, "blocks", NULL, &why);
	}
}

static bool
may_ask(const BlockSources *sources, int index, bool peers_too, uint64 now_ms)
{
	const BlockSourceState *state = &sources->list[index];

	return now_ms >= state->not_before_ms && (peers_too || state->tier != SOURCE_OWN_PEER);
}

/* the first that may be asked, from an index on and around; -1: none */
static int
look_from(const BlockSources *sources, int from, uint64 now_ms)
{
	for (int peers_too = 0; peers_too < 2; peers_too++)
		for (int i = 0; i < sources->count; i++)
			if (may_ask(sources, (from + i) % sources->count, peers_too, now_ms))
				return (from + i) % sources->count;
	return -1;
}

BlockSourceState *
sources_choose(BlockSources *sources, uint64 now_ms)
{
	int index;

	if (sources->count == 0)
		return NULL;
	if (sources->list[0].tier != SOURCE_OWN_ORDERER ||
		sources->list[sources->current].tier == SOURCE_OWN_ORDERER || sources->away_ms == 0)
		sources->away_ms = now_ms;
	else if (now_ms >= sources->away_ms + RETURN_MS)
		sources->current = 0;
	index = look_from(sources, sources->current, now_ms);
	if (index < 0)
		return NULL;
	sources->current = index;
	return &sources->list[index];
}

uint64
sources_next_ms(const BlockSources *sources, uint64 now_ms)
{
	uint64 next_ms = now_ms + BACKOFF_MS_MAX;

	for (int i = 0; i < sources->count; i++)
		next_ms = Min(next_ms, sources->list[i].not_before_ms);
	return Max(next_ms, now_ms + 1);
}

/*
 * is the one to ask now one that failed, while another one answers? Then it is only looked whether
 * it is back: sessions wait for blocks meanwhile
 */
static bool
is_probe(const BlockSources *sources)
{
	for (int i = 0; i < sources->count && sources->list[sources->current].backoff_ms > 0; i++)
		if (sources->list[i].backoff_ms == 0)
			return true;
	return false;
}

int
sources_wait_ms(const BlockSources *sources)
{
	if (is_probe(sources))
		return PROBE_WAIT_MS;
	return sources->count > 1 ? Min(guc_deliver_wait_ms, SEVERAL_WAIT_MS) : guc_deliver_wait_ms;
}

int
sources_patience_ms(const BlockSources *sources)
{
	if (is_probe(sources))
		return PROBE_PATIENCE_MS_MIN + (int) sources->list[sources->current].backoff_ms / 10;
	return sources->count > 1 ? PATIENCE_MS_MIN + (int) sources->list[sources->current].backoff_ms
							  : guc_connect_timeout_ms + 5000;
}

static void
go_on(BlockSources *sources)
{
	sources->current = (sources->current + 1) % sources->count;
}

void
sources_answered(BlockSources *sources, BlockSourceState *state, const char *channel,
				 bool with_blocks, bool too_early)
{
	condition_end(channel, "source", state->address);
	if (state->tier != SOURCE_OWN_PEER)
		condition_end(channel, "blocks", NULL);
	state->backoff_ms = 0;
	/* it did not wait, as this very node does not when it is asked by itself: not again at once */
	state->not_before_ms = too_early ? clock_ms() + BACKOFF_MS_MIN : 0;
	if (!with_blocks)
		go_on(sources);
}

static bool
any_orderer_answers(const BlockSources *sources)
{
	for (int i = 0; i < sources->count; i++)
		if (sources->list[i].tier != SOURCE_OWN_PEER && sources->list[i].backoff_ms == 0)
			return true;
	return false;
}

void
sources_failed(BlockSources *sources, BlockSourceState *state, const char *channel,
			   const FbError *error)
{
	FbError why;

	fb_fail(&why, error->status, "no blocks from %s: %s", state->address, error->message);
	fb_error_detail(&why, "%s", error->detail);
	fb_error_hint(&why, "%s", error->hint);
	condition_report(channel, "source", state->address, &why);
	state->backoff_ms = Min(Max(state->backoff_ms * 2, BACKOFF_MS_MIN), BACKOFF_MS_MAX);
	state->not_before_ms = clock_ms() + state->backoff_ms;
	go_on(sources);
	if (any_orderer_answers(sources))
		return;
	fb_fail(&why, FB_NODE_UNREACHABLE, "no other orderer gives blocks of this channel");
	fb_error_detail(&why, "The last one: %s: %s%s%s", state->address, error->message,
					error->detail[0] != '\0' ? ": " : "", error->detail);
	fb_error_hint(
		&why,
		"Conditions of topic source in fabric.stat_conditions have the reason of each. Peers of this node's organization are asked meanwhile.");
	condition_report(channel, "blocks", NULL, &why);
}

static bool
none(void *context, const char *subject)
{
	return false;
}

void
sources_unneeded(const char *channel)
{
	condition_end(channel, "blocks", NULL);
	condition_end_others(channel, "source", none, NULL);
}
