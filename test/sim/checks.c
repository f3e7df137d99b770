/*
 * checks.c: the five properties of the Raft paper's figure 3, and the conditions that keep them
 * true across crashes. All are checked after every step, on the node that stepped: the step cannot
 * change another one.
 *
 *   - Election safety: one leader per term; one vote per node and term, across crashes. (A node
 *     that lost its memory may vote again; one leader per term must hold nevertheless.)
 *   - Leader append-only: a leader truncates nothing.
 *   - Log matching: an (index, term) has the same content and the same predecessor in every log.
 *   - Leader completeness: a new leader has every entry that was committed in an earlier term.
 *   - State machine safety: an index is committed, and applied, with one content only.
 *   - Chain: a batch is linked to the block before it, at every node, after every change of leader.
 *   - Durability: an entry that a leader calls committed is on the disks of a quorum; no message
 *     reports a term, a vote or an entry that a crash of its sender could undo.
 */
#include "sim/sim.h"

bool
checks_same_head(const BlockHead *a, const BlockHead *b)
{
	return a->number == b->number && memcmp(a->hash, b->hash, CRYPTO_SHA256_BYTES) == 0;
}

void
checks_begin(Sim *sim)
{
	SimChecks *checks = sim->checks;
	SimKnown *known = checks->known;
	size_t capacity = checks->known_capacity;

	if (known == NULL)
	{
		capacity = 1 << 14;
		known = malloc(capacity * sizeof(SimKnown));
	}
	memset(checks, 0, sizeof(*checks));
	memset(known, 0, capacity * sizeof(SimKnown));
	checks->known = known;
	checks->known_capacity = capacity;
}

uint64_t
checks_entry_hash(const SimEntry *entry)
{
	uint64_t hash = UINT64_C(1469598103934665603) ^ entry->kind;

	for (uint32_t i = 0; i < entry->payload_bytes; i++)
		hash = (hash ^ entry->payload[i]) * UINT64_C(1099511628211);
	return hash;
}

static SimKnown *
known_place(SimKnown *known, size_t capacity, uint64_t index, uint64_t term)
{
	size_t at = (index * UINT64_C(0x9E3779B97F4A7C15) ^ term * UINT64_C(0xC2B2AE3D27D4EB4F)) >> 20;

	for (;; at++)
	{
		SimKnown *place = &known[at & (capacity - 1)];

		if (place->index == 0 || (place->index == index && place->term == term))
			return place;
	}
}

static void
known_grow(SimChecks *checks)
{
	size_t capacity = checks->known_capacity * 2;
	SimKnown *known = calloc(capacity, sizeof(SimKnown));

	for (size_t i = 0; i < checks->known_capacity; i++)
	{
		if (checks->known[i].index != 0)
			*known_place(known, capacity, checks->known[i].index, checks->known[i].term) =
				checks->known[i];
	}
	free(checks->known);
	checks->known = known;
	checks->known_capacity = capacity;
}

static uint64_t
image_term(const SimImage *image, uint64_t index)
{
	const SimEntry *entry = image_entry(image, index);

	if (entry != NULL)
		return entry->term;
	return index == image->base_index ? image->base_term : 0;
}

/*
 * Log matching: entries with the same index and term have the same content and the same
 * predecessor; by induction, logs are equal up to there. Called when an entry becomes durable and
 * when it is sent. (A single voter may lose the writes since its last transaction, including the
 * term, and write other entries in the same term: no other node has seen the lost ones.)
 */
void
checks_stored(Sim *sim, const SimNode *node, const SimImage *image, uint64_t index)
{
	SimChecks *checks = sim->checks;
	const SimEntry *entry = image_entry(image, index);
	/*
	 * A log that starts after fetched blocks has a lower term there than the entry in the other
	 * logs: unknown
	 */
	uint64_t prev_term = index - 1 == image->base_index ? 0 : image_term(image, index - 1);
	uint64_t hash = checks_entry_hash(entry);
	SimKnown *known;

	if (checks->known_count * 2 >= checks->known_capacity)
		known_grow(checks);
	known = known_place(checks->known, checks->known_capacity, index, entry->term);
	if (known->index == 0)
	{
		known->index = index;
		known->term = entry->term;
		known->hash = hash;
		known->prev_term = prev_term;
		checks->known_count++;
	}
	else if (known->hash != hash ||
			 (known->prev_term != 0 && prev_term != 0 && known->prev_term != prev_term))
		sim_fail(sim,
				 "log matching: node %" PRIu64 " stores another entry %" PRIu64 "/%" PRIu64
				 " than others",
				 node->id, index, entry->term);
	else if (known->prev_term == 0)
		known->prev_term = prev_term;
}

static void
check_durable_quorum(Sim *sim, const SimNode *node, uint64_t index)
{
	RaftStatus status;
	uint64_t term = image_term(&node->disk.written, index);
	uint32_t have = 0;

	raft_status(node->raft, &status);
	for (uint32_t i = 0; i < status.configuration.voters_count; i++)
	{
		const SimNode *voter = &sim->nodes[status.configuration.voters[i]];
		const SimImage *image = &voter->disk.durable;

		/*
		 * A node that lost its memory had confirmed the entry, and does not vote before it has the
		 * entry again.
		 */
		if (image->base_index >= index || image_term(image, index) == term ||
			host_is_recovering(voter))
			have++;
	}
	if (have * 2 <= status.configuration.voters_count)
		sim_fail(sim,
				 "durability: leader %" PRIu64 " commits %" PRIu64 "/%" PRIu64 ", but only %" PRIu32
				 " of %" PRIu32 " disks have it",
				 node->id, index, term, have, status.configuration.voters_count);
}

/* every node whose log has an entry, or begins after it, has the same chain up to it */
static void
check_head(Sim *sim, const SimNode *node, uint64_t index)
{
	const SimImage *image = &node->disk.written;
	BlockHead head;

	image_head(image, index, &head);
	if (!checks_same_head(&head, &sim->checks->truth[index].head))
		sim_fail(sim,
				 "chain: node %" PRIu64 " is at block %" PRIu64 " after entry %" PRIu64
				 ", others at %" PRIu64,
				 node->id, head.number, index, sim->checks->truth[index].head.number);
}

/* state machine safety, at the commit index */
static void
check_commit(Sim *sim, SimNode *node, const RaftUpdate *update)
{
	SimChecks *checks = sim->checks;

	if (update->commit_index <= node->checked_commit)
		return;
	if (update->commit_index >= SIM_INDEX_MAX)
		sim_fail(sim, "the simulator's index limit is too small");
	if (update->commit_index > update->last_index)
		sim_fail(sim, "node %" PRIu64 " commits %" PRIu64 " beyond its log's end %" PRIu64,
				 node->id, update->commit_index, update->last_index);
	for (uint64_t index = node->checked_commit + 1; index <= update->commit_index; index++)
	{
		const SimEntry *entry = image_entry(&node->disk.written, index);
		SimTruth *truth = &checks->truth[index];

		if (entry == NULL)
		{
			/* below the log's start: the node fetched it as blocks */
			if (truth->term == 0)
				sim_fail(sim,
						 "node %" PRIu64 " commits entry %" PRIu64
						 ", which no node committed and it does not have",
						 node->id, index);
			continue;
		}
		if (truth->term == 0)
		{
			truth->term = entry->term;
			truth->hash = checks_entry_hash(entry);
			truth->committed_in_term = update->term;
			truth->head = checks->truth[index - 1].head;
			if (!entry_follow(entry, &truth->head))
				sim_fail(sim,
						 "chain: the committed entry %" PRIu64 "/%" PRIu64 " of node %" PRIu64
						 " does not follow the one before",
						 index, entry->term, node->id);
			sim->counters->committed++;
		}
		else if (truth->term != entry->term || truth->hash != checks_entry_hash(entry))
			sim_fail(sim,
					 "state machine safety: node %" PRIu64 " commits %" PRIu64 "/%" PRIu64
					 ", but %" PRIu64 "/%" PRIu64 " was committed",
					 node->id, index, entry->term, index, truth->term);
	}
	check_head(sim, node, update->commit_index);
	if (update->role == RAFT_LEADER)
		check_durable_quorum(sim, node, update->commit_index);
	if (update->commit_index > checks->committed_index)
		checks->committed_index = update->commit_index;
	node->checked_commit = update->commit_index;
}

static void
check_new_leader(Sim *sim, SimNode *node, const RaftUpdate *update)
{
	SimChecks *checks = sim->checks;
	uint64_t *leader;
	RaftStatus status;

	if (update->term >= SIM_TERM_MAX)
		sim_fail(sim, "the simulator's term limit is too small");
	leader = &checks->leader_of_term[update->term];
	raft_status(node->raft, &status);
	if (*leader != 0 && (*leader != node->id || status.configuration.voters_count > 1))
		sim_fail(sim, "election safety: %" PRIu64 " and %" PRIu64 " lead in term %" PRIu64, *leader,
				 node->id, update->term);
	*leader = node->id;
	sim->counters->elections++;
	if (sim->healed)
		sim->elections_after++;
	if (node->disk.durable.term < update->term && status.configuration.voters_count > 1)
		sim_fail(sim, "durability: node %" PRIu64 " leads in term %" PRIu64 " before storing it",
				 node->id, update->term);
	for (uint64_t index = node->disk.written.base_index + 1; index <= checks->committed_index;
		 index++)
	{
		const SimEntry *entry = image_entry(&node->disk.written, index);
		const SimTruth *truth = &checks->truth[index];

		if (truth->committed_in_term < update->term &&
			(entry == NULL || entry->term != truth->term))
			sim_fail(sim,
					 "leader completeness: leader %" PRIu64 " of term %" PRIu64
					 " lacks the committed entry %" PRIu64 "/%" PRIu64,
					 node->id, update->term, index, truth->term);
	}
}

/* called after the update was written to disk.written */
void
checks_step(Sim *sim, SimNode *node, const RaftUpdate *update)
{
	sim->counters->steps++;
	if (update->term < node->seen.term)
		sim_fail(sim, "node %" PRIu64 " goes back from term %" PRIu64 " to %" PRIu64, node->id,
				 node->seen.term, update->term);
	if (update->commit_index < node->seen.commit_index)
		sim_fail(sim, "node %" PRIu64 " takes back commit %" PRIu64, node->id,
				 node->seen.commit_index);
	if (update->last_index != image_last_index(&node->disk.written))
		sim_fail(sim, "node %" PRIu64 ": trail ends at %" PRIu64 ", log at %" PRIu64, node->id,
				 update->last_index, image_last_index(&node->disk.written));
	if (update->truncate_from_index > 0)
	{
		sim->counters->truncations++;
		if (update->role == RAFT_LEADER)
			sim_fail(sim, "leader append-only: leader %" PRIu64 " truncates", node->id);
		if (update->truncate_from_index <= node->checked_commit)
			sim_fail(sim, "node %" PRIu64 " truncates the committed entry %" PRIu64, node->id,
					 update->truncate_from_index);
	}
	if (update->role == RAFT_LEADER &&
		(node->seen.role != RAFT_LEADER || node->seen.term != update->term))
		check_new_leader(sim, node, update);
	check_commit(sim, node, update);
	if (update->deadline_ms == 0)
		sim_fail(sim, "node %" PRIu64 " has no deadline", node->id);
}

/* called when a message leaves its node: a crash must not undo anything that it reports */
void
checks_sent(Sim *sim, const SimNode *node, const SimMessage *message)
{
	SimChecks *checks = sim->checks;
	bool asks = message->type == RAFT_PRE_VOTE || message->type == RAFT_PRE_VOTE_RESPONSE ||
				message->type == RAFT_HELLO || message->type == RAFT_HELLO_RESPONSE;

	if (!asks && message->term > node->disk.durable.term)
		sim_fail(sim,
				 "durability: node %" PRIu64 " sends %s in term %" PRIu64 ", stored is %" PRIu64,
				 node->id, raft_message_type_name(message->type), message->term,
				 node->disk.durable.term);
	if (message->type == RAFT_VOTE_RESPONSE && !message->rejected)
	{
		uint8_t *vote = &checks->vote_sent[node->id][message->term];

		if (*vote != 0 && *vote != message->to)
			sim_fail(sim,
					 "election safety: node %" PRIu64 " votes for %d and %" PRIu64
					 " in term %" PRIu64,
					 node->id, *vote, message->to, message->term);
		*vote = (uint8_t) message->to;
		if (node->disk.durable.term == message->term && node->disk.durable.vote != message->to)
			sim_fail(sim,
					 "durability: node %" PRIu64 " sends its vote for %" PRIu64 " in term %" PRIu64
					 ", stored is %" PRIu64,
					 node->id, message->to, message->term, node->disk.durable.vote);
	}
	/*
	 * An answer to the leader of an earlier term is only late: the next leader may have removed the
	 * entries that it confirms.
	 */
	if (message->type == RAFT_APPEND_RESPONSE && !message->rejected &&
		message->term == node->disk.durable.term &&
		image_last_index(&node->disk.durable) < message->index)
		sim_fail(sim,
				 "durability: node %" PRIu64 " confirms entry %" PRIu64
				 ", its stored log ends at %" PRIu64,
				 node->id, message->index, image_last_index(&node->disk.durable));
	if (message->type == RAFT_VOTE)
	{
		uint8_t *vote = &checks->vote_sent[node->id][message->term];

		if (*vote != 0 && *vote != node->id)
			sim_fail(sim,
					 "election safety: node %" PRIu64 " votes for %d and itself in term %" PRIu64,
					 node->id, *vote, message->term);
		*vote = (uint8_t) node->id;
	}
}

/* state machine safety, at the ledger; and only durable entries are applied */
void
checks_applied(Sim *sim, const SimNode *node, uint64_t index)
{
	const SimEntry *entry = image_entry(&node->disk.durable, index);
	const SimTruth *truth = &sim->checks->truth[index];

	if (entry == NULL)
		sim_fail(sim, "node %" PRIu64 " is to apply entry %" PRIu64 ", which is not on its disk",
				 node->id, index);
	if (truth->term != entry->term || truth->hash != checks_entry_hash(entry))
		sim_fail(sim,
				 "state machine safety: node %" PRIu64 " applies another entry %" PRIu64
				 " than was committed",
				 node->id, index);
}
