/*
 * sources.c: the choice of the node that the ledger worker asks for blocks.
 *
 * The problem. A node that does not order a channel, or whose Raft log begins too late, needs one
 * other node that has the blocks and answers. Any of them may be down, frozen, inaccessible to
 * this node, or behind. None may delay this node for longer than it takes to ask the next one, and
 * an operator must see which of them does not answer and why, even while blocks come from another.
 *
 * The rule. Orderers of this node's organization come first, then other organizations' orderers,
 * then peers of this node's organization (channel_block_sources). The worker stays with a source
 * that gives blocks. It asks the next one
 *
 *   - at once when a request fails;
 *   - when a request gave no block, because a source that withholds blocks looks like a quiet
 *     channel;
 *   - after a minute at other sources: then it returns to the orderers of its own organization.
 *
 * Peers are asked only while no orderer answers.
 *
 * With several sources a request waits for new blocks at most 0.5 s, and the worker gives up its
 * answer when nothing arrives for another 0.5 s: a frozen node accepts connections and requests
 * and sends nothing, and sessions of this node wait for the blocks. When another consenter shows
 * the header of the block in the meantime (witnesses.c), these last 0.5 s begin at once.
 *
 * A source that failed is not asked for blocks while another one answers. Instead it is probed in
 * parallel, without delaying the requests: for the header of this node's last block, after a pause
 * that doubles from 1 s to 15 s while it fails. Its answer ends the condition. A source whose
 * blocks other consenters did not confirm must show the same last block as this node; until then
 * it is asked for blocks only when no other source is left. When no source answers, a source that
 * failed is asked for blocks after that pause, with more patience after each failure, so that a
 * distant or busy source can answer. With a single source there is no alternative, and
 * fabric.deliver_wait applies.
 *
 * In Fabric a peer takes a random orderer endpoint, and the next one after a failure
 * (internal/pkg/peer/blocksprovider/blocksprovider.go). It also gets blocks by gossip from peers
 * of its organization, always and from all of them. Here orderers suffice: a node that is
 * connected to one needs no other peer, and sending blocks twice costs the other nodes time. Peers
 * are for a node that can reach no orderer.
 */
#include "server/deliver/deliver.h"

#include "core/block/block.h"

#define BACKOFF_MS_MIN 1000
#define BACKOFF_MS_MAX 15000
#define SEVERAL_WAIT_MS 500
#define PATIENCE_MS_MIN 500
/* time after which an unanswered probe has failed, so that it does not delay other probes */
#define PROBE_PATIENCE_MS 2000
/* a probe asks for a header that the source already has, or lacks */
#define PROBE_WAIT_MS 1
#define PROBE_BYTES_MAX 1
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
	BlockSources next = *sources;
	const char *current = sources->count > 0 ? sources->list[sources->current].address : NULL;
	ListCell *cell;

	memset(next.list, 0, sizeof(next.list));
	next.count = next.current = 0;
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
	/* If a bad block from a source ended the last worker, this one begins with another source. */
	if (sources->count == 0 && next.count > 0)
		next.current = (int) (sources->first % (uint64) next.count);
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
has_failed(const BlockSourceState *state)
{
	return state->backoff_ms > 0;
}

/* the first source that may be asked, from an index on and around; -1: none */
static int
look_from(const BlockSources *sources, int from, bool peers_too, bool failed_too, uint64 now_ms)
{
	for (int i = 0; i < sources->count; i++)
	{
		int index = (from + i) % sources->count;
		const BlockSourceState *state = &sources->list[index];

		if (now_ms >= state->not_before_ms && (peers_too || state->tier != SOURCE_OWN_PEER) &&
			(failed_too || !has_failed(state)))
			return index;
	}
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
	/* orderers that answer, then peers that answer, then failed orderers, then failed peers */
	index = look_from(sources, sources->current, false, false, now_ms);
	for (int choice = 1; choice < 4 && index < 0; choice++)
		index = look_from(sources, sources->current, choice % 2 == 1, choice >= 2, now_ms);
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

int
sources_wait_ms(const BlockSources *sources)
{
	return sources->count > 1 ? Min(guc_deliver_wait, SEVERAL_WAIT_MS) : guc_deliver_wait;
}

int
sources_patience_ms(const BlockSources *sources)
{
	return sources->count > 1 ? PATIENCE_MS_MIN + (int) sources->list[sources->current].backoff_ms
							  : guc_connect_timeout + 5000;
}

static void
go_on(BlockSources *sources)
{
	sources->current = (sources->current + 1) % sources->count;
}

/* it has not failed or has recovered: it may be asked at once */
static void
note_success(BlockSourceState *state, const char *channel)
{
	condition_end(channel, "source", state->address);
	if (state->tier != SOURCE_OWN_PEER)
		condition_end(channel, "blocks", NULL);
	state->backoff_ms = 0;
	state->not_before_ms = 0;
	state->refused = false;
}

void
sources_answered(BlockSources *sources, BlockSourceState *state, const char *channel,
				 bool with_blocks, bool too_early)
{
	note_success(state, channel);
	/*
	 * A node that answers without waiting, as this node answers its own requests, must not be
	 * asked again at once.
	 */
	if (too_early)
		state->not_before_ms = clock_ms() + BACKOFF_MS_MIN;
	if (!with_blocks)
		go_on(sources);
}

static bool
any_orderer_answers(const BlockSources *sources)
{
	for (int i = 0; i < sources->count; i++)
		if (sources->list[i].tier != SOURCE_OWN_PEER && !has_failed(&sources->list[i]))
			return true;
	return false;
}

void
sources_prefer(BlockSources *sources, const char *address)
{
	const BlockSourceState *state = find_state(sources, address);

	if (state != NULL && !has_failed(state) && state->tier != SOURCE_OWN_PEER)
		sources->current = (int) (state - sources->list);
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
	state->refused = error->status == FB_BLOCK_REFUSED;
	if (state == &sources->list[sources->current])
		go_on(sources);
	if (any_orderer_answers(sources))
		return;
	fb_fail(&why, FB_NODE_UNREACHABLE, "no other orderer delivers blocks of this channel");
	fb_error_detail(&why, "The last answer, from %s: %s%s%s", state->address, error->message,
					error->detail[0] != '\0' ? ": " : "", error->detail);
	fb_error_hint(
		&why,
		"The conditions of topic source in fabric.stat_conditions tell the reason for each orderer. Meanwhile this node asks the peers of its organization.");
	condition_report(channel, "blocks", NULL, &why);
}

/* ---- probes ---- */

BlockSourceState *
sources_to_probe(BlockSources *sources, uint64 now_ms)
{
	BlockSourceState *found = NULL;
	bool any_answers = false;

	if (sources->probe != NULL)
		return NULL;
	for (int i = 0; i < sources->count; i++)
	{
		BlockSourceState *state = &sources->list[i];

		if (!has_failed(state))
			any_answers = true;
		else if (now_ms >= state->not_before_ms && found == NULL)
			found = state;
	}
	return any_answers ? found : NULL;
}

void
sources_probe_start(BlockSources *sources, const BlockSourceState *state, FbBytes seek,
					const uint8_t *block_hash)
{
	memcpy(sources->probe_hash, block_hash, sizeof(sources->probe_hash));
	sources->probe = wire_deliver_start(state->address, seek, PROBE_BYTES_MAX, PROBE_WAIT_MS);
	sources->probe_until_ms = clock_ms() + PROBE_PATIENCE_MS;
}

/* decide if a source that answered a probe still counts as failed; FB_OK: it does not */
static FbStatus
check_probe(const BlockSources *sources, const BlockSourceState *state, const WireCall *call,
			FbError *why)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	BlockView block;

	if (wire_call_rows_count(call) == 0)
	{
		if (!state->refused)
			return FB_OK;
		return fb_fail(why, FB_BLOCK_REFUSED, "it does not have this node's last block");
	}
	FB_TRY(
		block_parse(wire_call_row(call, 0), memory_allocator(CurrentMemoryContext), &block, why));
	block_header_hash(&block.header, hash);
	if (memcmp(hash, sources->probe_hash, sizeof(hash)) == 0)
		return FB_OK;
	return fb_fail(why, FB_BLOCK_REFUSED, "its block " UINT64_FORMAT " is not this node's",
				   (uint64) block.header.number);
}

void
sources_probe_turn(BlockSources *sources, const char *channel)
{
	WireCall *call = sources->probe;
	BlockSourceState *state;
	const WireError *failure;
	FbError why;

	if (call == NULL || (!wire_poll(call) && clock_ms() < sources->probe_until_ms))
		return;
	sources->probe = NULL;
	/*
	 * In the meantime the configuration may have changed, or a request for blocks may have
	 * succeeded.
	 */
	state = find_state(sources, wire_call_address(call));
	failure = wire_call_error(call);
	if (state != NULL && has_failed(state) && failure != NULL)
		sources_failed(sources, state, channel, &failure->error);
	else if (state != NULL && has_failed(state) && check_probe(sources, state, call, &why) != FB_OK)
		sources_failed(sources, state, channel, &why);
	else if (state != NULL && has_failed(state))
		note_success(state, channel);
	wire_call_release(call);
}

/* ---- no sources needed ---- */

static bool
no_source(void *context, const char *subject)
{
	return false;
}

void
sources_unneeded(BlockSources *sources, const char *channel)
{
	wire_call_release(sources->probe);
	sources->probe = NULL;
	condition_end(channel, "blocks", NULL);
	condition_end_others(channel, "source", no_source, NULL);
}
