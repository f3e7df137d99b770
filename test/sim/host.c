/*
 * host.c: the part of server/order that drives a Raft, with a disk that loses data in a crash. The
 * duties keep the order of raft.h: store, report, send, apply. With disk_delay_max_ms > 0 several
 * steps share a transaction; a crash may happen between any two duties.
 */
#include "sim/sim.h"

static void host_after_step(Sim *sim, SimNode *node);

/* ---- messages ---- */

static void
waiting_clear(SimNode *node)
{
	for (size_t i = 0; i < node->waiting_count; i++)
		free((void *) node->waiting[i].bytes.data);
	node->waiting_count = 0;
}

static void
host_send(Sim *sim, SimNode *node, SimMessage *message)
{
	checks_sent(sim, node, message);
	network_send(sim, node->id, message->to, message->bytes);
	free((void *) message->bytes.data);
	message->bytes = FB_BYTES_EMPTY;
}

/* false: an entry is no longer in the log */
static bool
host_attach(SimNode *node, RaftMessage *message)
{
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		const SimEntry *entry = image_entry(&node->disk.written, message->index + 1 + i);

		if (entry == NULL || entry->term != message->entries[i].term)
			return false;
		message->entries[i].kind = entry->kind;
		message->entries[i].payload = fb_bytes(entry->payload, entry->payload_bytes);
	}
	return true;
}

/*
 * With an odd seed node 2 runs newer software: its messages have a version, a flag and a field that
 * the other nodes do not know and must ignore. Every invariant must still hold.
 */
#define NEWER_BYTES 11

static bool
host_is_newer(const Sim *sim, const SimNode *node)
{
	return sim->seed % 2 == 1 && node->id == 2;
}

static void
host_make_newer(uint8_t *message)
{
	message[1]++;		/* version of the sender */
	message[4] |= 0x80; /* flags */
}

static void
host_post(Sim *sim, SimNode *node, RaftMessage *message)
{
	FbArena arena;
	FbBytes bytes;
	FbError error;
	SimMessage packed;
	uint8_t head[BLOCK_HEAD_BYTES];
	uint8_t *copy;
	size_t size;

	if (!host_attach(node, message))
		return;
	for (uint32_t i = 0; i < message->entries_count; i++)
		checks_stored(sim, node, &node->disk.written, message->index + 1 + i);
	if (message->type == RAFT_APPEND_RESPONSE && message->rejected)
		sim->counters->refused_appends++;
	if (message->type == RAFT_TIMEOUT_NOW)
		sim->counters->transfers++;
	if (message->type == RAFT_SNAPSHOT)
	{
		block_head_encode(&node->disk.written.base_head, head);
		message->head = fb_bytes(head, sizeof(head));
	}
	fb_arena_init(&arena);
	if (raft_message_encode(&arena.allocator, message, &bytes, &error) != FB_OK)
		sim_fail(sim, "node %" PRIu64 " makes a message that cannot be encoded: %s", node->id,
				 error.message);
	size = bytes.size + (host_is_newer(sim, node) ? NEWER_BYTES : 0);
	copy = calloc(1, size);
	memcpy(copy, bytes.data, bytes.size);
	if (host_is_newer(sim, node))
		host_make_newer(copy);
	packed = (SimMessage) {message->to,		  message->type,  message->term,
						   message->rejected, message->index, fb_bytes(copy, size)};
	fb_arena_reset(&arena);
	if (message->early && sim->send_early)
	{
		host_send(sim, node, &packed);
		return;
	}
	if (node->waiting_count == node->waiting_capacity)
	{
		node->waiting_capacity = node->waiting_capacity * 2 + 16;
		node->waiting = realloc(node->waiting, node->waiting_capacity * sizeof(SimMessage));
	}
	node->waiting[node->waiting_count++] = packed;
}

static void
host_release_messages(Sim *sim, SimNode *node)
{
	for (size_t i = 0; i < node->waiting_count; i++)
	{
		if (sim_chance(sim, sim->crash_per_mille))
		{
			SAY(sim, "node %" PRIu64 " crashes with %zu messages unsent", node->id,
				node->waiting_count - i);
			host_crash(sim, node);
			return;
		}
		host_send(sim, node, &node->waiting[i]);
	}
	node->waiting_count = 0;
}

/* ---- steps ---- */

static void
host_collect_entries(const RaftUpdate *update, const RaftEvent *event, const SimEntry *submitted,
					 SimEntry *entries)
{
	for (uint32_t i = 0; i < update->entries.count; i++)
	{
		FbBytes payload;

		switch (update->entries.source)
		{
			case RAFT_FROM_SUBMIT:
				entries[i] = submitted[i];
				entries[i].term = update->entries.last_term;
				continue;
			case RAFT_FROM_MESSAGE:
				entries[i].term = event->receive->entries[update->entries.first_position + i].term;
				entries[i].kind = event->receive->entries[update->entries.first_position + i].kind;
				payload = event->receive->entries[update->entries.first_position + i].payload;
				break;
			case RAFT_FROM_CORE:
				entries[i].term = update->entries.last_term;
				entries[i].kind = update->entries.kind;
				payload = update->entries.payload;
				break;
			default:
				abort();
		}
		FB_ASSERT(payload.size <= SIM_PAYLOAD_BYTES_MAX);
		entries[i].payload_bytes = (uint32_t) payload.size;
		if (payload.size > 0)
			memcpy(entries[i].payload, payload.data, payload.size);
	}
}

/*
 * The host's check of an append: the new entries must follow in the chain. Between correct nodes
 * they always do.
 */
static void
host_check_chain(Sim *sim, SimNode *node, const RaftMessage *message)
{
	const SimImage *image = &node->disk.written;
	uint64_t index = message->index;
	uint32_t position = 0;
	BlockHead head;

	if (message->type != RAFT_APPEND || message->term < node->seen.term ||
		index < node->seen.commit_index || index > image_last_index(image) ||
		(index != node->seen.commit_index &&
		 raft_entry_term(node->raft, index) != message->log_term))
		return;
	while (position < message->entries_count && image_entry(image, index + 1) != NULL &&
		   image_entry(image, index + 1)->term == message->entries[position].term)
	{
		index++;
		position++;
	}
	image_head(image, index, &head);
	for (; position < message->entries_count; position++)
	{
		const RaftEntry *entry = &message->entries[position];
		SimEntry copy = {.term = entry->term,
						 .kind = entry->kind,
						 .payload_bytes = (uint32_t) entry->payload.size};

		if (entry->payload.size > 0)
			memcpy(copy.payload, entry->payload.data, entry->payload.size);
		if (!entry_follow(&copy, &head))
			sim_fail(sim,
					 "chain: entry %" PRIu64 " of leader %" PRIu64
					 " does not follow in the log of %" PRIu64,
					 message->index + 1 + position, message->from, node->id);
	}
}

/* the chain at the log's new start */
static BlockHead
host_base_head(const SimNode *node, const RaftUpdate *update)
{
	BlockHead head = node->disk.written.base_head;

	if (update->log_start_changed && update->log_reset)
		return node->fetch_head;
	if (update->log_start_changed)
		image_head(&node->disk.written, update->log_start.index, &head);
	return head;
}

static FbStatus
host_step_with(Sim *sim, SimNode *node, RaftEvent *event, const SimEntry *submitted)
{
	static SimEntry entries[RAFT_SUBMIT_MAX];
	RaftUpdate update;
	BlockHead base_head;
	bool forgotten;
	FbError error;
	FbStatus status;

	event->now_ms = host_clock_ms(sim, node);
	raft_trace_enable(node->raft, sim->trace);
	status = raft_step(node->raft, event, &update, &error);
	if (sim->trace && raft_trace(node->raft)[0] != '\0')
		printf("%8" PRIu64 "  %s", sim->now_ms, raft_trace(node->raft));
	/*
	 * A message that contradicts a node's own state is refused and changes nothing. The sender
	 * lies, or believed a liar; or this node has lost its memory, and the vote is for an election
	 * that it started before.
	 */
	forgotten = sim->lose_memory && update.evidence.kind == RAFT_EVIDENCE_VOTE;
	if (status == FB_CORRUPTED && (sim->liar != 0 || forgotten) &&
		event->type == RAFT_EVENT_RECEIVE)
	{
		sim->counters->refused_lies++;
		status = FB_OK;
	}
	if (status != FB_OK && status != FB_NO_LEADER && status != FB_BUSY)
		sim_fail(sim, "node %" PRIu64 ": %s: %s", node->id, test_status_name(status),
				 error.message);
	if (update.evidence.kind != RAFT_EVIDENCE_NONE && sim->liar == 0 && !forgotten)
		sim_fail(sim, "node %" PRIu64 " has evidence of %s against %" PRIu64, node->id,
				 raft_evidence_name(update.evidence.kind), update.evidence.node);
	if (event->type == RAFT_EVENT_RECEIVE && event->receive->type == RAFT_SNAPSHOT &&
		update.fetch_index == event->receive->index)
		block_head_decode(event->receive->head, &node->fetch_head, NULL);
	host_collect_entries(&update, event, submitted, entries);
	base_head = host_base_head(node, &update);
	disk_write_update(&node->disk, &update, entries, &base_head);
	if (update.log_reset)
		sim->counters->snapshots_installed++;
	if (update.log_start_changed && !update.log_reset)
		sim->counters->compactions++;
	if (node->seen.participation == RAFT_RECOVERING && update.participation == RAFT_VOTING)
		sim->counters->recovered++;
	checks_step(sim, node, &update);
	for (uint32_t i = 0; i < update.messages_count; i++)
		host_post(sim, node, &update.messages[i]);
	node->seen = update;
	host_after_step(sim, node);
	return status;
}

FbStatus
host_step(Sim *sim, SimNode *node, RaftEvent *event)
{
	return host_step_with(sim, node, event, NULL);
}

static void
host_report_applied(Sim *sim, SimNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_APPLIED};

	event.applied.index = node->ledger_durable;
	host_step(sim, node, &event);
	if (node->up && sim->compact_tail > 0 &&
		node->ledger_durable > node->seen.log_start.index + 2 * (uint64_t) sim->compact_tail)
	{
		event.type = RAFT_EVENT_COMPACT;
		event.compact.index = node->ledger_durable - sim->compact_tail;
		host_step(sim, node, &event);
	}
}

static void
host_apply(Sim *sim, SimNode *node)
{
	bool applied = false;

	for (; node->ledger_index < node->seen.apply_index; applied = true)
	{
		checks_applied(sim, node, ++node->ledger_index);
		node->ledger_term = image_entry(&node->disk.durable, node->ledger_index)->term;
	}
	if (!applied)
		return;
	if (sim->disk_delay_max_ms == 0)
		host_ledger_commit(sim, node);
	else if (node->ledger_commit_at_ms == UINT64_MAX)
		node->ledger_commit_at_ms = sim->now_ms + sim_below(sim, 4 * sim->disk_delay_max_ms);
}

static void
host_after_step(Sim *sim, SimNode *node)
{
	if (node->seen.fetch_index == 0)
		node->fetch_at_ms = UINT64_MAX;
	else if (node->fetch_at_ms == UINT64_MAX)
		node->fetch_at_ms = sim->now_ms + sim_below(sim, 100);
	if (!node->disk.open)
		host_release_messages(sim, node);
	else if (sim->disk_delay_max_ms == 0)
		host_commit(sim, node);
	else if (node->commit_at_ms == UINT64_MAX)
	{
		uint64_t delay_ms = sim->disk_delay_max_ms;

		if (node->slow_until_ms > sim->now_ms)
			delay_ms += 3 * sim->election_timeout_ms;
		node->commit_at_ms = sim->now_ms + sim_below(sim, delay_ms);
	}
	if (node->up)
		host_apply(sim, node);
}

/* duties 1 and 2 */
void
host_commit(Sim *sim, SimNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_PERSISTED};

	node->commit_at_ms = UINT64_MAX;
	if (sim_chance(sim, sim->fail_per_mille))
	{
		SAY(sim, "node %" PRIu64 ": its transaction fails", node->id);
		host_fail(sim, node);
		return;
	}
	if (sim_chance(sim, sim->crash_per_mille))
	{
		SAY(sim, "node %" PRIu64 " crashes before its transaction", node->id);
		host_crash(sim, node);
		return;
	}
	for (uint64_t index = node->disk.changed_from; index <= image_last_index(&node->disk.written);
		 index++)
	{
		if (index > node->disk.written.base_index)
			checks_stored(sim, node, &node->disk.written, index);
	}
	disk_commit(&node->disk);
	if (node->lost && node->disk.durable.recovery != RAFT_RECOVERY_NONE)
		node->lost = false;
	if (sim_chance(sim, sim->crash_per_mille))
	{
		SAY(sim, "node %" PRIu64 " crashes after its transaction", node->id);
		host_crash(sim, node);
		return;
	}
	event.persisted.index = image_last_index(&node->disk.durable);
	event.persisted.term = event.persisted.index == node->disk.durable.base_index
							   ? node->disk.durable.base_term
							   : image_entry(&node->disk.durable, event.persisted.index)->term;
	host_step(sim, node, &event);
}

void
host_ledger_commit(Sim *sim, SimNode *node)
{
	node->ledger_commit_at_ms = UINT64_MAX;
	node->ledger_durable = node->ledger_index;
	node->ledger_durable_term = node->ledger_term;
	host_report_applied(sim, node);
}

/* fetch blocks from any node that has them and can be reached */
void
host_fetch(Sim *sim, SimNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
	uint64_t source = 1 + sim_below(sim, SIM_NODES_MAX);
	SimNode *other = &sim->nodes[source];

	node->fetch_at_ms = sim->now_ms + 1 + sim_below(sim, 50);
	if (node->ledger_durable < node->seen.fetch_index)
	{
		if (!other->up || other == node || sim->network.cut[source][node->id] ||
			other->ledger_durable < node->seen.fetch_index)
			return;
		node->ledger_durable = other->ledger_durable;
		node->ledger_durable_term = 0;
	}
	/* the block that the leader named must be the one in the chain */
	if (!checks_same_head(&node->fetch_head, &sim->checks->truth[node->seen.fetch_index].head))
	{
		if (sim->liar == 0)
			sim_fail(sim, "chain: node %" PRIu64 " was told of another block at entry %" PRIu64,
					 node->id, node->seen.fetch_index);
		return;
	}
	if (node->ledger_index < node->ledger_durable)
	{
		node->ledger_index = node->ledger_durable;
		node->ledger_term = node->ledger_durable_term;
	}
	event.snapshot_installed.index = node->ledger_durable;
	host_step(sim, node, &event);
}

void
host_receive(Sim *sim, SimNode *node, SimPacket packet)
{
	RaftEvent event = {.type = RAFT_EVENT_RECEIVE};
	RaftMessage message;
	FbArena arena;
	FbError error;

	fb_arena_init(&arena);
	if (raft_message_decode(&arena.allocator, fb_bytes(packet.bytes, packet.size), &message,
							&error) != FB_OK)
		sim_fail(sim, "node %" PRIu64 " cannot decode a message of %" PRIu64 ": %s", node->id,
				 packet.from, error.message);
	event.receive = &message;
	host_check_chain(sim, node, &message);
	host_step(sim, node, &event);
	fb_arena_reset(&arena);
}

/* a batch of one envelope with a unique value, linked to the head */
static void
host_make_batch(Sim *sim, const BlockHead *head, SimEntry *entry)
{
	uint8_t value_bytes =
		(uint8_t) (sizeof(uint64_t) + sim_below(sim, SIM_VALUE_BYTES_MAX - sizeof(uint64_t) + 1));
	uint8_t batch[SIM_PAYLOAD_BYTES_MAX] = {0x0a, (uint8_t) (value_bytes + 5), 0x0a, value_bytes};
	FbArena arena;
	FbBytes payload;
	FbStatus status;

	/* common.BlockData{data: common.Envelope{payload, signature}} */
	memset(batch + 4, (int) (sim->next_value & 0xFF), value_bytes);
	memcpy(batch + 4, &sim->next_value, sizeof(sim->next_value));
	memcpy(batch + 4 + value_bytes, "\x12\x01s", 3);
	sim->next_value++;
	fb_arena_init(&arena);
	status = block_link_pack(head, fb_bytes(batch, (size_t) value_bytes + 7), &arena.allocator,
							 &payload, NULL);
	FB_ASSERT(status == FB_OK && payload.size <= SIM_PAYLOAD_BYTES_MAX);
	entry->kind = RAFT_ENTRY_DATA;
	entry->payload_bytes = (uint32_t) payload.size;
	memcpy(entry->payload, payload.data, payload.size);
	fb_arena_reset(&arena);
}

FbStatus
host_submit(Sim *sim, SimNode *node, uint32_t count, uint64_t *last_index)
{
	static SimEntry entries[RAFT_SUBMIT_MAX];
	uint32_t sizes[RAFT_SUBMIT_MAX];
	RaftEvent event = {.type = RAFT_EVENT_SUBMIT};
	BlockHead head;
	FbStatus status;

	image_head(&node->disk.written, image_last_index(&node->disk.written), &head);
	for (uint32_t i = 0; i < count; i++)
	{
		host_make_batch(sim, &head, &entries[i]);
		FB_ASSERT(entry_follow(&entries[i], &head));
		sizes[i] = entries[i].payload_bytes;
	}
	event.submit.payload_bytes = sizes;
	event.submit.count = count;
	status = host_step_with(sim, node, &event, entries);
	if (status == FB_OK)
	{
		sim->counters->submitted += count;
		*last_index = node->seen.last_index;
	}
	return status;
}

/* ---- start and stop ---- */

void
host_start(Sim *sim, SimNode *node)
{
	SimImage *image = &node->disk.written;
	RaftTrailEntry *trail = malloc((image->count + 1) * sizeof(RaftTrailEntry));
	RaftEvent event = {.type = RAFT_EVENT_START};
	FbError error;

	fb_arena_init(&node->arena);
	if (raft_create(&node->arena.allocator, &node->raft, &error) != FB_OK)
		sim_fail(sim, "could not create node %" PRIu64 ": %s", node->id, error.message);
	for (size_t i = 0; i < image->count; i++)
		trail[i] = (RaftTrailEntry) {image->entries[i].term, image->entries[i].payload_bytes};
	event.start.id = node->id;
	event.start.seed = sim->seed * 1000003 + node->id * 1009 + node->starts++;
	event.start.election_timeout_ms = sim->election_timeout_ms;
	event.start.heartbeat_ms = sim->heartbeat_ms;
	event.start.in_flight_max = sim->in_flight_max;
	event.start.message_bytes_max = sim->message_bytes_max;
	event.start.term = image->term;
	event.start.vote = image->vote;
	event.start.commit_index = image->commit_index;
	event.start.configuration_state =
		fb_bytes(image->configuration_state, image->configuration_state_bytes);
	event.start.configuration = node->first_configuration;
	event.start.added = node->added;
	event.start.configuration_fixed = !sim->change_membership;
	event.start.memory = fb_bytes(image->memory, image->memory_bytes);
	event.start.recovery = node->lost ? RAFT_RECOVERY_TOLD : image->recovery;
	event.start.recovery_witness = image->recovery_witness;
	event.start.established = image->established;
	event.start.base_index = image->base_index;
	event.start.base_term = image->base_term;
	event.start.entries = trail;
	event.start.entries_count = image->count;
	event.start.applied_index = node->ledger_durable;
	event.start.applied_term = node->ledger_durable_term;
	node->exists = true;
	node->up = true;
	node->restart_at_ms = 0;
	memset(&node->seen, 0, sizeof(node->seen));
	node->checked_commit = 0;
	node->ledger_index = node->ledger_durable;
	node->ledger_term = node->ledger_durable_term;
	node->commit_at_ms = UINT64_MAX;
	node->ledger_commit_at_ms = UINT64_MAX;
	node->fetch_at_ms = UINT64_MAX;
	node->stalled_until_ms = 0;
	SAY(sim, "node %" PRIu64 " starts", node->id);
	host_step(sim, node, &event);
	free(trail);
}

void
host_crash(Sim *sim, SimNode *node)
{
	sim->counters->crashes++;
	if (node->disk.open)
		sim->counters->lost_transactions++;
	disk_crash(&node->disk);
	waiting_clear(node);
	fb_arena_reset(&node->arena);
	node->raft = NULL;
	node->up = false;
}

void
host_fail(Sim *sim, SimNode *node)
{
	host_crash(sim, node);
	sim->counters->failed_transactions++;
	node->restart_at_ms = sim->now_ms + 1 + sim_below(sim, 200);
}

uint64_t
host_clock_ms(const Sim *sim, const SimNode *node)
{
	return node->clock_offset_ms + sim->now_ms * node->clock_rate / 1000;
}

uint64_t
host_due_ms(const SimNode *node, uint64_t clock_ms)
{
	if (clock_ms <= node->clock_offset_ms)
		return 0;
	return ((clock_ms - node->clock_offset_ms) * 1000 + node->clock_rate - 1) / node->clock_rate;
}

bool
host_is_recovering(const SimNode *node)
{
	return node->lost || node->disk.written.recovery != RAFT_RECOVERY_NONE ||
		   node->disk.durable.recovery != RAFT_RECOVERY_NONE;
}

void
host_lose_memory(Sim *sim, SimNode *node)
{
	FB_ASSERT(!node->up);
	sim->counters->memories_lost++;
	if (node->has_backup)
		sim->counters->restored++;
	SAY(sim, "node %" PRIu64 " %s", node->id,
		node->has_backup ? "is set back to its backup" : "loses everything");
	disk_restore(&node->disk, node->has_backup ? &node->backup : NULL);
	node->ledger_durable = node->has_backup ? node->backup_ledger : 0;
	node->ledger_durable_term = node->has_backup ? node->backup_ledger_term : 0;
	node->lost = true;
	memset(sim->checks->vote_sent[node->id], 0, sizeof(sim->checks->vote_sent[node->id]));
}
