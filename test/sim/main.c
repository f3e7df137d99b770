/*
 * main.c: raft_sim --seeds N [--first SEED] | --seed SEED [--trace]
 *
 * Every seed is one story: its parameters are drawn, faults happen until heal_at_ms, then
 * everything is repaired. The cluster must then make progress, without a long pause, until one
 * leader has committed a new entry and every voter has it. A violation prints the seed; --seed SEED
 * --trace replays it, line by line.
 */
#include "sim/sim.h"

#include <stdarg.h>

#define SIM_STEPS_MAX 2000000

uint64_t
sim_below(Sim *sim, uint64_t limit)
{
	return fb_rand_below(&sim->rand, limit);
}

bool
sim_chance(Sim *sim, uint32_t per_mille)
{
	return per_mille > 0 && sim_below(sim, 1000) < per_mille;
}

void
sim_say(const Sim *sim, const char *format, ...)
{
	va_list arguments;

	printf("%8" PRIu64 "  -- ", sim->now_ms);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

static const Sim *sim_running;

void
sim_fail(const Sim *sim, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "raft_sim: seed %" PRIu64 ", at %" PRIu64 " ms: ", sim->seed, sim->now_ms);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nreplay: build/core/sim/raft_sim --seed %" PRIu64 " --trace\n", sim->seed);
	exit(1);
}

static void
sim_assertion(const char *condition, const char *file, int line)
{
	sim_fail(sim_running, "assertion \"%s\" failed at %s:%d", condition, file, line);
}

/* ---- the cluster ---- */

SimNode *
sim_random_node(Sim *sim, bool up)
{
	uint64_t first = sim_below(sim, SIM_NODES_MAX);

	for (uint64_t i = 0; i < SIM_NODES_MAX; i++)
	{
		SimNode *node = &sim->nodes[1 + (first + i) % SIM_NODES_MAX];

		if (node->exists && node->up == up)
			return node;
	}
	return NULL;
}

/* the leader with the highest term; older leaders may not know of it yet */
SimNode *
sim_leader(Sim *sim)
{
	SimNode *leader = NULL;

	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		SimNode *node = &sim->nodes[id];

		if (node->up && node->seen.role == RAFT_LEADER &&
			(leader == NULL || node->seen.term > leader->seen.term))
			leader = node;
	}
	return leader;
}

static void
sim_begin(Sim *sim)
{
	static const uint32_t delays[] = {5, 20, 80, 400, 3000};
	static const uint32_t drops[] = {0, 10, 50, 200};
	static const uint32_t disks[] = {0, 0, 5, 40};
	static const uint32_t tails[] = {0, 3, 10, 40};
	static const uint32_t bytes[] = {1, 200, 2000, 1000000};
	static const uint32_t submits[] = {3, 20, 100};
	uint64_t nodes_count = 1 + 2 * sim_below(sim, 3); /* 1, 3, 5 */
	bool same_rate = sim_chance(sim, 500);
	RaftConfiguration configuration = {0};

	if (sim_chance(sim, 200))
		nodes_count = 2 + 2 * sim_below(sim, 2); /* 2, 4 */
	sim->election_timeout_ms = 150 + sim_below(sim, 300);
	sim->heartbeat_ms = sim->election_timeout_ms / (3 + sim_below(sim, 5));
	sim->in_flight_max = 1 + (uint32_t) sim_below(sim, 8);
	sim->message_bytes_max = bytes[sim_below(sim, 4)];
	sim->disk_delay_max_ms = disks[sim_below(sim, 4)];
	sim->send_early = sim_chance(sim, 700);
	sim->compact_tail = tails[sim_below(sim, 4)];
	sim->crash_per_mille = sim_chance(sim, 500) ? 2 : 0;
	sim->fail_per_mille = sim_chance(sim, 300) ? 2 : 0;
	sim->submit_every_ms = submits[sim_below(sim, 3)];
	sim->fault_every_ms = sim_chance(sim, 300) ? 30 + (uint32_t) sim_below(sim, 100)
											   : 100 + (uint32_t) sim_below(sim, 900);
	sim->change_membership = sim_chance(sim, 500);
	sim->lose_memory = !sim->change_membership && nodes_count > 2 && sim_chance(sim, 700);
	if (!sim->change_membership && !sim->lose_memory && nodes_count >= 3 && sim_chance(sim, 500))
		sim->liar = 1 + sim_below(sim, nodes_count);
	sim->heal_at_ms = 8000;
	sim->next_value = 1;
	sim->network.drop_per_mille = drops[sim_below(sim, 4)];
	sim->network.double_per_mille = drops[sim_below(sim, 4)];
	sim->network.delay_min_ms = 1;
	sim->network.delay_max_ms = delays[sim_chance(sim, 50) ? 4 : sim_below(sim, 4)];

	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		sim->nodes[id].id = id;
		sim->nodes[id].clock_offset_ms = sim_below(sim, 1000000);
		sim->nodes[id].clock_rate = same_rate ? 1000 : 900 + sim_below(sim, 201);
		if (id <= nodes_count)
			raft_configuration_add(&configuration, id);
	}
	SAY(sim,
		"%" PRIu64 " nodes, election timeout %" PRIu64 ", drop %" PRIu32 ", double %" PRIu32
		", delay %" PRIu32 ", disk %" PRIu32 ", in flight %" PRIu32 ", tail %" PRIu32,
		nodes_count, sim->election_timeout_ms, sim->network.drop_per_mille,
		sim->network.double_per_mille, sim->network.delay_max_ms, sim->disk_delay_max_ms,
		sim->in_flight_max, sim->compact_tail);
	for (uint64_t id = 1; id <= nodes_count; id++)
	{
		sim->nodes[id].first_configuration = configuration;
		host_start(sim, &sim->nodes[id]);
	}
}

static void
sim_heal(Sim *sim)
{
	SAY(sim, "healing");
	sim->healed = true;
	network_heal(&sim->network);
	sim->crash_per_mille = 0;
	sim->fail_per_mille = 0;
	sim->disk_delay_max_ms = sim->disk_delay_max_ms > 0 ? 1 : 0;
	sim->next_fault_ms = UINT64_MAX;
	sim->next_submit_ms = sim->now_ms;
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		SimNode *node = &sim->nodes[id];

		node->stalled_until_ms = 0;
		node->slow_until_ms = 0;
		if (node->exists && !node->up)
			host_start(sim, node);
	}
}

/* ---- time ---- */

static uint64_t
node_due_ms(const SimNode *node)
{
	uint64_t due = UINT64_MAX;

	if (!node->up)
		return node->restart_at_ms > 0 ? node->restart_at_ms : UINT64_MAX;
	if (node->seen.deadline_ms != UINT64_MAX)
		due = host_due_ms(node, node->seen.deadline_ms);
	due = due < node->commit_at_ms ? due : node->commit_at_ms;
	due = due < node->ledger_commit_at_ms ? due : node->ledger_commit_at_ms;
	due = due < node->fetch_at_ms ? due : node->fetch_at_ms;
	return due > node->stalled_until_ms ? due : node->stalled_until_ms;
}

static void
node_run(Sim *sim, SimNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_TIMEOUT};

	if (!node->up)
		host_start(sim, node);
	else if (node->commit_at_ms <= sim->now_ms)
		host_commit(sim, node);
	else if (node->ledger_commit_at_ms <= sim->now_ms)
		host_ledger_commit(sim, node);
	else if (node->fetch_at_ms <= sim->now_ms)
		host_fetch(sim, node);
	else
		host_step(sim, node, &event);
}

static void
sim_deliver(Sim *sim)
{
	SimPacket packet = network_take(&sim->network);
	SimNode *node = &sim->nodes[packet.to];

	if (node->up && node->stalled_until_ms > sim->now_ms)
	{
		network_put_back(&sim->network, packet, node->stalled_until_ms);
		return;
	}
	/* a cut also stops messages in transit */
	if (node->up && !sim->network.cut[packet.from][packet.to])
		host_receive(sim, node, packet);
	free(packet.bytes);
}

/* after healing: every voter applies an entry of the newest leader, and all logs end alike */
static bool
sim_is_whole(Sim *sim, uint64_t marker)
{
	SimNode *leader = sim_leader(sim);
	RaftStatus status;

	if (leader == NULL || marker == 0 || leader->ledger_index < marker ||
		(sim->change_membership && sim->changes_made < SIM_CHANGES_MIN))
		return false;
	raft_status(leader->raft, &status);
	for (uint32_t i = 0; i < status.configuration.voters_count; i++)
	{
		SimNode *node = &sim->nodes[status.configuration.voters[i]];

		if (node->ledger_index < marker || node->seen.participation != RAFT_VOTING ||
			node->seen.last_index != leader->seen.last_index ||
			node->seen.term != leader->seen.term ||
			node->seen.commit_index != leader->seen.commit_index)
			return false;
	}
	return true;
}

/*
 * When all faults have ended, the cluster needs at most one election, and another one for each
 * leader that removes itself. A second one is possible if two nodes campaign within the same
 * milliseconds, or if lies have brought single nodes to later terms than a quorum's: it must be
 * rare (sim_covered), and there must be no more.
 */
static void
check_elections_after(const Sim *sim)
{
	uint32_t expected = 1 + sim->elections_expected;

	if (sim->elections_after > expected)
		sim->counters->second_elections++;
	if (sim->elections_after > expected + 2)
		sim_fail(sim, "%" PRIu32 " elections after all faults have ended, expected %" PRIu32,
				 sim->elections_after, expected);
}

/* changes whenever any node makes progress */
static uint64_t
sim_progress(const Sim *sim)
{
	uint64_t sum = 0;

	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
		sum += sim->nodes[id].checked_commit + sim->nodes[id].seen.last_index;
	return sum;
}

static void
sim_submit(Sim *sim, uint64_t *marker)
{
	SimNode *leader;

	fault_change_members(sim);
	leader = sim_leader(sim);
	if (sim->healed)
	{
		sim->next_submit_ms = sim->now_ms + 3 * sim->election_timeout_ms;
		if (leader != NULL && leader->seen.leader_ready)
			host_submit(sim, leader, 1, marker);
		return;
	}
	sim->next_submit_ms = sim->now_ms + 1 + sim_below(sim, 2 * sim->submit_every_ms);
	if (sim->frozen != 0 && sim->now_ms >= sim->thaw_at_ms)
		fault_thaw_leader(sim);
	/* sometimes a random node, which may be a leader or take itself for one */
	if (leader == NULL || sim_chance(sim, 200))
		leader = sim_random_node(sim, true);
	if (leader != NULL)
	{
		uint64_t ignored;

		host_submit(sim, leader, 1 + (uint32_t) sim_below(sim, sim_chance(sim, 20) ? 200 : 4),
					&ignored);
	}
}

static void
sim_run(Sim *sim)
{
	uint64_t marker = 0;
	uint64_t progress = 0;
	uint64_t progress_ms = 0;
	uint64_t steps_before = sim->counters->steps;

	sim_begin(sim);
	sim->next_submit_ms = sim->election_timeout_ms * 2;
	sim->next_fault_ms = sim->fault_every_ms;
	for (;;)
	{
		uint64_t next = network_next_ms(&sim->network);
		SimNode *due = NULL;

		for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
		{
			uint64_t at = node_due_ms(&sim->nodes[id]);

			if (at < next)
			{
				next = at;
				due = &sim->nodes[id];
			}
		}
		if (next > sim->now_ms)
		{
			uint64_t story =
				sim->next_submit_ms < sim->next_fault_ms ? sim->next_submit_ms : sim->next_fault_ms;

			if (!sim->healed && sim->heal_at_ms < story)
				story = sim->heal_at_ms;
			if (story <= next)
			{
				sim->now_ms = story > sim->now_ms ? story : sim->now_ms;
				if (!sim->healed && sim->now_ms >= sim->heal_at_ms)
					sim_heal(sim);
				else if (sim->next_fault_ms <= sim->now_ms)
				{
					sim->next_fault_ms = sim->now_ms + 1 + sim_below(sim, 2 * sim->fault_every_ms);
					fault_any(sim);
				}
				else
					sim_submit(sim, &marker);
				continue;
			}
			sim->now_ms = next;
		}
		if (due != NULL)
			node_run(sim, due);
		else
			sim_deliver(sim);
		if (sim->healed && sim_is_whole(sim, marker))
			return;
		if (!sim->healed || sim_progress(sim) != progress)
		{
			progress = sim_progress(sim);
			progress_ms = sim->now_ms;
		}
		if (sim->healed &&
			sim->now_ms > (progress_ms > sim->heal_at_ms ? progress_ms : sim->heal_at_ms) +
							  20 * sim->election_timeout_ms)
			sim_fail(sim, "no progress for %" PRIu64 " ms, although all faults have ended",
					 sim->now_ms - progress_ms);
		if (sim->counters->steps - steps_before > SIM_STEPS_MAX)
			sim_fail(sim, "%d steps without an end", SIM_STEPS_MAX);
	}
}

static void
sim_seed(uint64_t seed, bool trace, SimChecks *checks, SimCounters *counters)
{
	static Sim sim;

	memset(&sim, 0, sizeof(sim));
	sim.seed = seed;
	sim.trace = trace;
	sim.checks = checks;
	sim.counters = counters;
	fb_rand_seed(&sim.rand, seed);
	checks_begin(&sim);
	sim_running = &sim;
	counters->stories++;
	sim_run(&sim);
	check_elections_after(&sim);
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		SimNode *node = &sim.nodes[id];

		if (node->up)
			host_crash(&sim, node);
		disk_free(&node->disk);
		free(node->waiting);
		free(node->backup.entries);
	}
	network_free(&sim.network);
}

/* a simulation proves something only if it meets the hard cases */
static int
sim_covered(const SimCounters *counters)
{
	struct
	{
		const char *what;
		uint64_t count;
	} rows[] = {
		{"steps", counters->steps},
		{"elections", counters->elections},
		{"crashes", counters->crashes},
		{"lost transactions", counters->lost_transactions},
		{"partitions", counters->partitions},
		{"truncations", counters->truncations},
		{"refused appends", counters->refused_appends},
		{"compactions", counters->compactions},
		{"snapshots installed", counters->snapshots_installed},
		{"leadership transfers", counters->transfers},
		{"configuration changes", counters->configurations},
		{"members added again", counters->added_again},
		{"queued changes", counters->queued_changes},
		{"failed transactions", counters->failed_transactions},
		{"slow disks", counters->slow_disks},
		{"lies", counters->lies},
		{"refused lies", counters->refused_lies},
		{"submitted", counters->submitted},
		{"committed", counters->committed},
		{"memories lost", counters->memories_lost},
		{"set back to a backup", counters->restored},
		{"recovered", counters->recovered},
		{"old leaders with them", counters->old_leaders},
	};
	int missing = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		printf("  %-22s %10" PRIu64 "\n", rows[i].what, rows[i].count);
		missing += rows[i].count == 0;
	}
	printf("  %-22s %10" PRIu64 "\n", "second elections", counters->second_elections);
	if (counters->second_elections > 3 + counters->stories / 100)
	{
		fprintf(stderr, "raft_sim: second elections are not rare\n");
		missing++;
	}
	return missing;
}

int
main(int argc, char **argv)
{
	static SimChecks checks;
	SimCounters counters = {0};
	uint64_t first = 1;
	uint64_t count = 0;
	bool trace = false;

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
			count = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--first") == 0)
			first = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
		{
			first = strtoull(argv[++i], NULL, 10);
			count = 1;
		}
		else
			count = 0;
	}
	if (count == 0)
	{
		fprintf(stderr, "usage: raft_sim --seeds COUNT [--first SEED] | --seed SEED [--trace]\n");
		return 2;
	}
	fb_assert_hook = sim_assertion;
	for (uint64_t seed = first; seed < first + count; seed++)
		sim_seed(seed, trace, &checks, &counters);
	printf("raft_sim: %" PRIu64 " seeds from %" PRIu64 " held\n", count, first);
	if (sim_covered(&counters) > 0 && count >= 100)
	{
		fprintf(stderr, "raft_sim: something was never exercised, or too often\n");
		return 1;
	}
	free(checks.known);
	return 0;
}
