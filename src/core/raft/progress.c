/*
 * progress.c: what a leader knows about one follower.
 *
 *                 accepted                     refused, or a heartbeat finds a loss
 *       PROBE ---------------> PIPELINE        PIPELINE ---------------> PROBE
 *       any   -- what comes next is gone here --> CATCH_UP -- it has the blocks --> PIPELINE
 */
#include "core/raft/raft_internal.h"

const char *
raft_progress_state_name(RaftProgressState state)
{
	switch (state)
	{
		case RAFT_PROBE:
			return "probe";
		case RAFT_PIPELINE:
			return "pipeline";
		case RAFT_CATCH_UP:
			return "catch_up";
	}
	return "unknown";
}

void
progress_init(RaftProgress *progress, uint64_t id, uint64_t next_index, uint64_t now_ms)
{
	memset(progress, 0, sizeof(*progress));
	progress->id = id;
	progress->next_index = next_index;
	progress->since_ms = now_ms;
}

static void
progress_move(RaftProgress *progress, RaftProgressState state)
{
	progress->state = state;
	progress->probe_sent = false;
	progress->in_flight_first = 0;
	progress->in_flight_count = 0;
}

void
progress_to_probe(RaftProgress *progress, uint64_t next_index)
{
	progress_move(progress, RAFT_PROBE);
	progress->next_index =
		next_index > progress->match_index ? next_index : progress->match_index + 1;
}

void
progress_to_pipeline(RaftProgress *progress)
{
	progress_move(progress, RAFT_PIPELINE);
	progress->next_index = progress->match_index + 1;
}

void
progress_to_catch_up(RaftProgress *progress)
{
	progress_move(progress, RAFT_CATCH_UP);
}

void
progress_sent(RaftProgress *progress, uint64_t last_index)
{
	uint32_t at = (progress->in_flight_first + progress->in_flight_count) % RAFT_IN_FLIGHT_MAX;

	FB_ASSERT(progress->in_flight_count < RAFT_IN_FLIGHT_MAX);
	progress->in_flight[at] = last_index;
	progress->in_flight_count++;
	progress->next_index = last_index + 1;
}

void
progress_free_first(RaftProgress *progress)
{
	if (progress->in_flight_count == 0)
		return;
	progress->in_flight_first = (progress->in_flight_first + 1) % RAFT_IN_FLIGHT_MAX;
	progress->in_flight_count--;
}

void
progress_free_up_to(RaftProgress *progress, uint64_t index)
{
	while (progress->in_flight_count > 0 && progress->in_flight[progress->in_flight_first] <= index)
		progress_free_first(progress);
}

uint64_t
progress_alive_ms(const RaftProgress *progress)
{
	return progress->counted_ms > progress->since_ms ? progress->counted_ms : progress->since_ms;
}
