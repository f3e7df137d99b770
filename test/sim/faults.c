/*
 * faults.c: what goes wrong in a story until it is healed: crashes, partitions, pauses, lost
 * memory, changes of membership and leader, and the messages of a consenter that lies.
 */
#include "sim/sim.h"

static void
fault_partition(Sim *sim)
{
	uint32_t side = (uint32_t) fb_rand_next(&sim->rand);
	bool one_way = sim_chance(sim, 300);

	sim->counters->partitions++;
	SAY(sim, "partition%s", one_way ? ", one way" : "");
	for (uint64_t a = 1; a <= SIM_NODES_MAX; a++)
	{
		for (uint64_t b = 1; b <= SIM_NODES_MAX; b++)
		{
			bool apart = ((side >> a) & 1) != ((side >> b) & 1);

			sim->network.cut[a][b] = apart && (!one_way || ((side >> a) & 1));
		}
	}
}

/*
 * The leader, alone or with one other node, collects entries that the rest never receives, so the
 * logs differ.
 */
static void
fault_isolate_leader(Sim *sim)
{
	SimNode *leader = sim_leader(sim);
	uint64_t friend = 1 + sim_below(sim, SIM_NODES_MAX);
	uint64_t ignored;

	if (leader == NULL)
		return;
	SAY(sim, "leader %" PRIu64 " is cut off with %" PRIu64, leader->id, friend);
	for (uint64_t a = 1; a <= SIM_NODES_MAX; a++)
	{
		for (uint64_t b = 1; b <= SIM_NODES_MAX; b++)
			sim->network.cut[a][b] =
				(a == leader->id || a == friend) != (b == leader->id || b == friend);
	}
	host_submit(sim, leader, 1 + (uint32_t) sim_below(sim, 6), &ignored);
}

/*
 * A node to add: a new one, or one that was removed, with what is on its disk; 0 if there is none.
 * A removed one may not have noticed, and may be down.
 */
static uint64_t
fault_choose_added(Sim *sim, const RaftConfiguration *configuration)
{
	uint64_t first = sim_below(sim, SIM_NODES_MAX);
	bool again = sim_chance(sim, 500);

	for (uint64_t i = 0; i < 2 * SIM_NODES_MAX; i++)
	{
		uint64_t id = 1 + (first + i) % SIM_NODES_MAX;

		if (raft_configuration_has(configuration, id))
			continue;
		/* in the second round any */
		if (sim->nodes[id].exists == again || i >= SIM_NODES_MAX)
			return id;
	}
	return 0;
}

/* a node that is recovering, or asks whether it must, needs all others */
static bool
fault_may_remove(const Sim *sim, const RaftConfiguration *configuration)
{
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		const SimNode *voter = &sim->nodes[configuration->voters[i]];

		if (host_is_recovering(voter) || !voter->disk.durable.established)
			return false;
	}
	return true;
}

static bool
fault_configure(Sim *sim)
{
	SimNode *leader = sim_leader(sim);
	RaftEvent event = {.type = RAFT_EVENT_CONFIGURE};
	RaftStatus status;
	uint64_t id;
	bool added;

	if (leader == NULL)
		return false;
	raft_status(leader->raft, &status);
	event.configure = status.configuration;
	added = status.configuration.voters_count < 3 ||
			(status.configuration.voters_count < SIM_VOTERS_MAX && sim_chance(sim, 500));
	if (added)
	{
		id = fault_choose_added(sim, &status.configuration);
		if (id == 0 || !raft_configuration_add(&event.configure, id))
			return false;
	}
	else
	{
		if (!fault_may_remove(sim, &status.configuration))
			return false;
		id = status.configuration.voters[sim_below(sim, status.configuration.voters_count)];
		raft_configuration_remove(&event.configure, id);
	}
	if (host_step(sim, leader, &event) != FB_OK)
		return false;
	SAY(sim, "leader %" PRIu64 " %s %" PRIu64, leader->id, added ? "adds" : "removes", id);
	sim->counters->configurations++;
	if (added && sim->nodes[id].exists)
		sim->counters->added_again++;
	/* a leader that removes itself has to hand over */
	if (sim->healed && id == leader->id)
		sim->elections_expected++;
	if (!sim->nodes[id].exists)
	{
		sim->nodes[id].first_configuration = status.configuration;
		sim->nodes[id].added = true;
		host_start(sim, &sim->nodes[id]);
	}
	return true;
}

void
fault_change_members(Sim *sim)
{
	if (!sim->change_membership || sim->now_ms < sim->next_change_ms ||
		(sim->healed && sim->changes_made >= SIM_CHANGES_MIN))
		return;
	if (sim->changes_wanted == 0)
	{
		/* the second one is refused until the first one is committed, and tried again */
		sim->changes_wanted = sim_chance(sim, 300) ? 2 : 1;
		sim->counters->queued_changes += sim->changes_wanted - 1;
	}
	if (!fault_configure(sim))
		return;
	sim->changes_made++;
	if (--sim->changes_wanted == 0)
		sim->next_change_ms = sim->now_ms + 100 + sim_below(sim, 1200);
}

/*
 * Less than half of the nodes lose their memory at a time, so the others are a quorum; these may be
 * down, cut off, and recover from crashes.
 */
static bool
fault_lose_memory_of(Sim *sim, SimNode *node)
{
	uint32_t voters_count = 0;
	uint32_t recovering_count = 1;

	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		voters_count += sim->nodes[id].exists ? 1 : 0;
		if (&sim->nodes[id] != node && sim->nodes[id].exists)
			recovering_count +=
				host_is_recovering(&sim->nodes[id]) || !sim->nodes[id].disk.durable.established ? 1
																								: 0;
	}
	if (!node->exists || 2 * recovering_count >= voters_count)
		return false;
	if (node->up)
		host_crash(sim, node);
	host_lose_memory(sim, node);
	return true;
}

static void
fault_lose_memory(Sim *sim)
{
	SimNode *node = &sim->nodes[1 + sim_below(sim, SIM_NODES_MAX)];

	if (!sim->lose_memory || !node->exists)
		return;
	if (sim_chance(sim, 400))
	{
		disk_backup(&node->disk, &node->backup);
		node->backup_ledger = node->ledger_durable;
		node->backup_ledger_term = node->ledger_durable_term;
		node->has_backup = true;
		return;
	}
	(void) fault_lose_memory_of(sim, node);
}

/*
 * The leader is frozen until the others elect another one and commit. Then a minority of the others
 * loses its memory, and is alone with the old leader, which resumes: if it counted the minority, it
 * would commit other entries.
 */
static void
fault_freeze_leader(Sim *sim)
{
	SimNode *leader = sim_leader(sim);

	if (!sim->lose_memory || leader == NULL || sim->frozen != 0)
		return;
	leader->stalled_until_ms = sim->now_ms + 5 * sim->election_timeout_ms;
	SAY(sim, "leader %" PRIu64 " freezes until %" PRIu64, leader->id, leader->stalled_until_ms);
	sim->frozen = leader->id;
	sim->thaw_at_ms = leader->stalled_until_ms > sim->submit_every_ms * 3
						  ? leader->stalled_until_ms - sim->submit_every_ms * 3
						  : 0;
}

void
fault_thaw_leader(Sim *sim)
{
	SimNode *old = &sim->nodes[sim->frozen];
	SimNode *leader = sim_leader(sim);
	bool friend[SIM_NODES_MAX + 1] = {false};

	sim->frozen = 0;
	if (!old->up || old->seen.role != RAFT_LEADER || leader == NULL || leader == old)
		return;
	SAY(sim, "old leader %" PRIu64 " is alone with those that lose their memory", old->id);
	sim->counters->old_leaders++;
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		SimNode *node = &sim->nodes[id];

		friend[id] = node == old || (node != leader && fault_lose_memory_of(sim, node));
	}
	for (uint64_t a = 1; a <= SIM_NODES_MAX; a++)
	{
		for (uint64_t b = 1; b <= SIM_NODES_MAX; b++)
			sim->network.cut[a][b] = friend[a] != friend[b];
	}
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		if (friend[id] && !sim->nodes[id].up)
			host_start(sim, &sim->nodes[id]);
	}
}

/*
 * Lies of one consenter in its own name that keep the promises on which Raft depends: it neither
 * votes twice nor confirms entries that it has not stored, nor calls an entry committed. It sends a
 * leadership without votes, log starts near and far, later terms, configurations, changes of
 * leader. It begins after the network was founded: earlier, a restarting node could take a lie for
 * entries that it has confirmed and lost.
 */
static void
fault_lie(Sim *sim)
{
	static const RaftMessageType types[] = {RAFT_SNAPSHOT,	RAFT_SNAPSHOT,	  RAFT_SNAPSHOT,
											RAFT_HEARTBEAT, RAFT_TIMEOUT_NOW, RAFT_VOTE,
											RAFT_PRE_VOTE,	RAFT_APPEND};
	SimNode *node = sim_random_node(sim, true);
	RaftMessage message = {.type = types[sim_below(sim, 8)], .from = sim->liar};
	RaftConfiguration only_liar = {1, {sim->liar}};
	uint8_t bytes[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	uint8_t head[BLOCK_HEAD_BYTES] = {0};
	RaftEntry entry = {0};
	FbArena arena;
	FbBytes packed;
	FbError error;

	if (node == NULL || node->id == sim->liar)
		return;
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
		if (sim->nodes[id].exists && !sim->nodes[id].disk.durable.established)
			return;
	message.to = node->id;
	message.term = node->seen.term + sim_below(sim, 3);
	if (message.term == 0)
		return;
	switch (message.type)
	{
		case RAFT_SNAPSHOT:
			/*
			 * Beyond any index that this log can have by then: a lower one would call an entry
			 * committed.
			 */
			message.index = sim_chance(sim, 300) ? UINT64_C(1) << 50
												 : node->seen.last_index + 300 + sim_below(sim, 50);
			message.log_term = message.term;
			message.head = fb_bytes(head, sizeof(head));
			/* the configuration is opaque (raft.h): use the bytes that the node stores itself */
			message.configuration = fb_bytes(node->disk.written.configuration_state,
											 node->disk.written.configuration_state_bytes);
			break;
		case RAFT_VOTE:
		case RAFT_PRE_VOTE:
			message.forced = message.type == RAFT_VOTE && sim_chance(sim, 500);
			break;
		case RAFT_APPEND:
			message.index = node->seen.commit_index;
			message.log_term = raft_entry_term(node->raft, message.index);
			entry.term = message.term;
			entry.kind = RAFT_ENTRY_CONFIGURATION;
			bytes[0] = (uint8_t) only_liar.voters_count;
			for (int i = 0; i < 8; i++)
				bytes[1 + i] = (uint8_t) (only_liar.voters[0] >> (56 - 8 * i));
			entry.payload = fb_bytes(bytes, 9);
			message.entries_count = 1;
			message.entries = &entry;
			break;
		default:
			break;
	}
	fb_arena_init(&arena);
	if (raft_message_encode(&arena.allocator, &message, &packed, &error) == FB_OK)
	{
		SAY(sim, "%" PRIu64 " lies to %" PRIu64 ": %s", sim->liar, node->id,
			raft_message_type_name(message.type));
		sim->counters->lies++;
		network_send(sim, sim->liar, node->id, packed);
	}
	fb_arena_reset(&arena);
}

static void
fault_crash(Sim *sim)
{
	SimNode *node = sim_random_node(sim, true);

	if (node == NULL)
		return;
	SAY(sim, "node %" PRIu64 " crashes", node->id);
	host_crash(sim, node);
}

static void
fault_crash_leader(Sim *sim)
{
	SimNode *leader = sim_leader(sim);

	if (leader == NULL)
		return;
	SAY(sim, "leader %" PRIu64 " crashes", leader->id);
	host_crash(sim, leader);
}

static void
fault_stall(Sim *sim)
{
	SimNode *node = sim_random_node(sim, true);

	if (node == NULL)
		return;
	node->stalled_until_ms = sim->now_ms + sim_below(sim, 4 * sim->election_timeout_ms);
	SAY(sim, "node %" PRIu64 " stalls until %" PRIu64, node->id, node->stalled_until_ms);
}

static void
fault_transfer(Sim *sim)
{
	SimNode *leader = sim_leader(sim);
	RaftEvent event = {.type = RAFT_EVENT_TRANSFER};
	RaftStatus status;

	if (leader == NULL)
		return;
	raft_status(leader->raft, &status);
	if (status.followers_count == 0)
		return;
	if (sim_chance(sim, 700))
		event.transfer.to = status.followers[sim_below(sim, status.followers_count)].id;
	event.transfer.leaving = sim_chance(sim, 500);
	host_step(sim, leader, &event);
}

static void
fault_end_partition(Sim *sim)
{
	SAY(sim, "partition ends");
	memset(sim->network.cut, 0, sizeof(sim->network.cut));
}

/* not a fault: without restarts soon no node would be up */
static void
fault_start(Sim *sim)
{
	SimNode *node = sim_random_node(sim, false);

	if (node != NULL)
		host_start(sim, node);
}

static void
fault_start_all(Sim *sim)
{
	for (uint64_t id = 1; id <= SIM_NODES_MAX; id++)
	{
		if (sim->nodes[id].exists && !sim->nodes[id].up)
			host_start(sim, &sim->nodes[id]);
	}
}

/* for a while each transaction of this node takes up to three election timeouts longer */
static void
fault_slow_disk(Sim *sim)
{
	SimNode *node = sim_random_node(sim, true);

	if (node == NULL || sim->disk_delay_max_ms == 0)
		return;
	sim->counters->slow_disks++;
	node->slow_until_ms = sim->now_ms + sim_below(sim, 8 * sim->election_timeout_ms);
	SAY(sim, "the disk of node %" PRIu64 " is slow until %" PRIu64, node->id, node->slow_until_ms);
}

void
fault_any(Sim *sim)
{
	/* one of these, all equally likely */
	static void (*const faults[])(
		Sim * sim) = {fault_crash,		   fault_crash,			 fault_start,
					  fault_start,		   fault_start,			 fault_partition,
					  fault_end_partition, fault_stall,			 fault_transfer,
					  fault_slow_disk,	   fault_isolate_leader, fault_isolate_leader,
					  fault_crash_leader,  fault_start_all,		 fault_lose_memory,
					  fault_lose_memory,   fault_lose_memory,	 fault_freeze_leader};

	for (int i = 0; sim->liar != 0 && i < 5; i++)
		fault_lie(sim);
	faults[sim_below(sim, sizeof(faults) / sizeof(faults[0]))](sim);
}
