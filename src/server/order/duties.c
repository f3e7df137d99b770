/*
 * duties.c: the duties of Raft's host after each step, as core/raft/raft.h requires them.
 *
 *   1. Store term, vote, truncation and entries: at once, in a transaction that the first write of
 *      the turn opens.
 *   2. Hand early messages (a leader's appends and heartbeats) to the connections: at once. They
 *      travel while the transaction is flushed.
 *   3. Commit, send the other messages, report PERSISTED: duties_finish, once per turn of the
 *      worker. PERSISTED can cause further duties, so this repeats.
 *   4. Publish the commit index: duties_finish. The ledger worker then makes the blocks.
 *
 * Step 3 keeps Raft's promises: a vote or a confirmation leaves only when it is durable. An error
 * ends the worker. Then the open transaction is rolled back, messages that promised its contents
 * were not sent, and the next worker starts from the tables.
 */
#include "server/order/order_internal.h"

#include "storage/lmgr.h"
#include "utils/syscache.h"

/* ---- storing ---- */

/* the envelopes of a batch in the log, in the turn's memory */
static bool
envelopes_of(OrderNode *node, FbBytes payload, const FbBytes **envelopes, size_t *envelopes_count)
{
	BlockLink link;

	return block_link_parse(payload, &link, NULL) == FB_OK &&
		   block_parse_data(link.batch, node->turn_allocator, envelopes, envelopes_count, NULL) ==
			   FB_OK;
}

/* a batch leaves the log; if this node made it, its envelopes are queued again */
static void
drop_batch(OrderNode *node, FbBytes payload, bool own)
{
	const FbBytes *envelopes;
	size_t envelopes_count;

	if (!envelopes_of(node, payload, &envelopes, &envelopes_count))
		return;
	queue_note_unlogged(node->queue, envelopes, envelopes_count);
	for (size_t position = 0; own && position < envelopes_count; position++)
	{
		/*
		 * a configuration that is queued again is applied again, if the channel has another one
		 * than its first
		 */
		bool is_config = block_has_config(envelopes, envelopes_count);
		QueueEntry entry = {.envelope = envelopes[position],
							.config_sequence = is_config ? 0 : node->settings.config_sequence,
							.is_config = is_config};

		if (cutter_message_bytes(entry.envelope, &entry.message_bytes, NULL) == FB_OK)
			(void) queue_add(node->queue, &entry, node->now_ms);
	}
}

/*
 * Entries of an old leader that no majority has are replaced by a new leader's. Each of their
 * envelopes must leave the memory of logged envelopes, also if the entry has left the cache: an
 * envelope that counts as logged, and is not, could never be ordered through this node.
 */
static void
truncate_log(OrderNode *node, uint64 from_index, uint64 last_index)
{
	for (uint64 index = from_index; index <= last_index; index++)
	{
		const LogCacheEntry *entry = log_cache_find(node->cache, index);
		RaftStoredEntry *stored;
		int stored_count;

		if (entry != NULL)
		{
			if (entry->kind == RAFT_ENTRY_DATA)
				drop_batch(node, entry->payload, entry->own);
			continue;
		}
		stored = raft_store_read(node->channel, index, index, FB_MESSAGE_BYTES_MAX, &stored_count);
		if (stored_count == 1 && stored[0].kind == RAFT_ENTRY_DATA)
			drop_batch(node, stored[0].payload, false);
	}
	log_cache_truncate(node->cache, from_index);
	raft_store_truncate(node->channel, from_index);
	node->config_index = Min(node->config_index, from_index - 1);
}

/*
 * A snapshot replaced the log. Uncommitted batches of this node are queued again, although they may
 * be in the blocks that replaced the log: validation finds duplicates. Other envelopes of the old
 * log may be in those blocks or not, so none counts as logged.
 */
static void
reset_log(OrderNode *node, uint64 last_index)
{
	queue_forget_logged(node->queue);
	for (uint64 index = Max(node->log_start_index, node->commit_index) + 1; index <= last_index;
		 index++)
	{
		const LogCacheEntry *entry = log_cache_find(node->cache, index);

		if (entry != NULL && entry->own && entry->kind == RAFT_ENTRY_DATA)
			drop_batch(node, entry->payload, true);
	}
	log_cache_clear(node->cache);
	raft_store_truncate(node->channel, 0);
	node->stored_index = 0; /* the stored entry was just deleted */
}

static void
store_entry(OrderNode *node, uint64 index, uint64 term, RaftEntryKind kind, bool own,
			FbBytes payload, const LogStep *known)
{
	LogStep step = {.head = node->head};

	raft_store_append(node->channel, index, term, kind, payload);
	log_cache_append(node->cache, index, term, kind, own, payload);
	node->head_index = index;
	if (kind != RAFT_ENTRY_DATA)
		return;
	if (known != NULL)
		step = *known;
	else
		log_chain_follow(node, payload, &step);
	node->head = step.head;
	/*
	 * A batch that makes no block has no envelopes here: they are not ordered by it, so another
	 * batch must be able to order them.
	 */
	queue_note_logged(node->queue, step.batch.data, step.batch.data_count);
	if (block_has_config(step.batch.data, step.batch.data_count))
		node->config_index = index;
}

static void
store_entries(OrderNode *node, const RaftUpdate *update, const StepInput *input)
{
	for (uint32_t position = 0; position < update->entries.count; position++)
	{
		uint64 index = update->entries.first_index + position;

		switch (update->entries.source)
		{
			case RAFT_FROM_SUBMIT:
				store_entry(node, index, update->entries.last_term, RAFT_ENTRY_DATA, true,
							input->payloads[position], NULL);
				break;
			case RAFT_FROM_MESSAGE:
			{
				const RaftEntry *entry =
					&input->message->entries[update->entries.first_position + position];

				store_entry(node, index, entry->term, entry->kind, false, entry->payload,
							&input->steps[update->entries.first_position + position]);
			}
			break;
			case RAFT_FROM_CORE:
				store_entry(node, index, update->entries.last_term, update->entries.kind, false,
							update->entries.payload, NULL);
				break;
		}
	}
	node->stored_index = update->entries.first_index + update->entries.count - 1;
	node->stored_term = update->entries.last_term;
}

static void
change_log_start(OrderNode *node, const RaftUpdate *update)
{
	if (update->log_reset)
	{
		reset_log(node, node->last_index);
		node->log_start_head = node->fetch_head;
		node->head = node->fetch_head;
		node->head_index = update->log_start.index;
		node->config_index = Min(node->config_index, update->log_start.index);
	}
	else
	{
		log_chain_head(node, update->log_start.index, &node->log_start_head);
		raft_store_compact(node->channel, update->log_start.index);
	}
	node->log_start_index = update->log_start.index;
	node->log_start_term = update->log_start.term;
}

static void
duty_store(OrderNode *node, const RaftUpdate *update, const StepInput *input)
{
	node->hard_state = update->hard_state;
	FB_ASSERT(update->hard_state.configuration_state.size <= sizeof(node->configuration_state));
	if (update->hard_state.configuration_state.size > 0)
		memcpy(node->configuration_state, update->hard_state.configuration_state.data,
			   update->hard_state.configuration_state.size);
	node->hard_state.configuration_state =
		fb_bytes(node->configuration_state, update->hard_state.configuration_state.size);
	FB_ASSERT(update->hard_state.memory.size <= sizeof(node->memory));
	if (update->hard_state.memory.size > 0)
		memcpy(node->memory, update->hard_state.memory.data, update->hard_state.memory.size);
	node->hard_state.memory = fb_bytes(node->memory, update->hard_state.memory.size);

	if (!update->persist_hard_state && !update->log_start_changed &&
		update->truncate_from_index == 0 && update->entries.count == 0)
		return;
	turn_open_transaction(node);
	if (update->persist_hard_state || update->log_start_changed)
		node->state_changed = true;
	if (update->log_start_changed)
		change_log_start(node, update);
	if (update->truncate_from_index > 0)
	{
		truncate_log(node, update->truncate_from_index, node->last_index);
		log_chain_head(node, update->truncate_from_index - 1, &node->head);
		node->head_index = update->truncate_from_index - 1;
		if (node->stored_index >= update->truncate_from_index)
			node->stored_index = 0;
	}
	if (update->entries.count > 0)
		store_entries(node, update, input);
}

/* ---- sending ---- */

/*
 * Put kind and payload into the entries of an append; false if one of them is no longer in the log.
 */
static bool
attach_payloads(OrderNode *node, RaftMessage *message)
{
	for (uint32_t position = 0; position < message->entries_count; position++)
	{
		uint64 index = message->index + 1 + position;
		RaftEntry *entry = &message->entries[position];
		const LogCacheEntry *cached = log_cache_find(node->cache, index);
		RaftStoredEntry *stored;
		int stored_count;

		if (cached != NULL)
		{
			if (cached->term != entry->term)
				return false;
			entry->kind = cached->kind;
			entry->payload = cached->payload;
			continue;
		}
		/* the follower is far behind: read the rest of the message's entries at once */
		turn_open_transaction(node);
		stored = raft_store_read(node->channel, index, message->index + message->entries_count,
								 FB_MESSAGE_BYTES_MAX, &stored_count);
		if (stored_count == 0)
			return false;
		for (int row = 0; row < stored_count; row++)
		{
			entry = &message->entries[position + row];
			if (stored[row].index != index + row || stored[row].term != entry->term)
				return false;
			entry->kind = stored[row].kind;
			entry->payload = stored[row].payload;
		}
		position += stored_count - 1;
	}
	return true;
}

static void
send_messages(OrderNode *node, const RaftUpdate *update)
{
	uint8_t head[BLOCK_HEAD_BYTES];

	for (uint32_t index = 0; index < update->messages_count; index++)
	{
		RaftMessage *message = &update->messages[index];
		LateMessage *late;
		FbBytes bytes;
		FbError error;

		if (message->type == RAFT_APPEND && !attach_payloads(node, message))
			continue;
		if (message->type == RAFT_SNAPSHOT)
		{
			block_head_encode(&node->log_start_head, head);
			message->head = fb_bytes(head, sizeof(head));
		}
		error_check(raft_message_encode(node->turn_allocator, message, &bytes, &error), &error);
		if (message->early)
		{
			(void) wire_set_send_raft(node->wires, message->to, node->channel, node->raft_id,
									  bytes);
			continue;
		}
		late = MemoryContextAlloc(node->turn_context, sizeof(LateMessage));
		late->next = NULL;
		late->to = message->to;
		late->bytes = bytes;
		if (node->late_first == NULL)
			node->late_first = late;
		else
			node->late_last->next = late;
		node->late_last = late;
	}
}

/* ---- the step ---- */

static void
note_role(OrderNode *node, const RaftUpdate *update)
{
	bool leader_changed = node->leader != update->leader;
	bool was_leader = node->role == RAFT_LEADER;

	node->role = update->role;
	node->term = update->term;
	node->leader = update->leader;
	if (leader_changed && update->leader != 0)
	{
		node->leader_changes_count++;
		ereport(LOG,
				(errmsg("channel \"%s\": consenter %llu is the leader in term %llu", node->channel,
						(unsigned long long) update->leader, (unsigned long long) update->term)));
	}
	if (leader_changed || was_leader != (update->role == RAFT_LEADER))
		turn_reset_batching(node);
}

/* If the host itself decided to recover, recovery_detail was set before this step. */
static void
note_recovery(OrderNode *node, const RaftUpdate *update)
{
	unsigned long long witness = update->hard_state.recovery_witness;
	RaftRecoveryReason before = node->recovery;

	node->recovery = update->hard_state.recovery;
	if (node->recovery == before)
		return;
	if (node->recovery == RAFT_RECOVERY_NONE)
	{
		ereport(LOG,
				(errmsg("channel \"%s\": this node takes part as a consenter again", node->channel),
				 errdetail("It has the log up to entry %llu.",
						   (unsigned long long) update->last_index)));
		node->recovering_since = 0;
		node->recovery_detail[0] = '\0';
		return;
	}
	if (node->recovery == RAFT_RECOVERY_STATELESS)
		snprintf(node->recovery_detail, sizeof(node->recovery_detail),
				 "it has no Raft state, and consenter %llu has entries", witness);
	else if (node->recovery == RAFT_RECOVERY_REMEMBERED)
		snprintf(
			node->recovery_detail, sizeof(node->recovery_detail),
			"consenter %llu remembers a vote or a confirmation that this node does not know of",
			witness);
	if (node->recovering_since == 0)
		node->recovering_since = GetCurrentTimestamp();
	lost_state_log_begin(node->channel, node->recovery_detail);
}

/* log Raft's decisions of the last step, one line each */
static void
log_trace(const OrderNode *node)
{
	const char *line = raft_trace(node->raft);
	const char *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1)
	{
		char *text = memory_cstring(fb_bytes(line, end - line));

		ereport(LOG, (errmsg_internal("channel \"%s\": raft: %s", node->channel, text),
					  errhidestmt(true), errhidecontext(true)));
		pfree(text);
	}
}

static void
duties_note_voters(OrderNode *node)
{
	RaftStatus status;

	raft_status(node->raft, &status);
	node->raft_voters = status.configuration;
	node->raft_voters_index = status.configuration_index;
}

/*
 * The others have no leader for this node and refuse its messages: it may have missed the
 * configuration block that removed it, or that replaced its certificate.
 */
static bool
duties_suspect_removal(const OrderNode *node)
{
	return node->leader == 0 && node->leaderless_ms != 0 &&
		   node->now_ms >= node->leaderless_ms + 2 * (uint64) guc_raft_election_timeout &&
		   wire_set_denied(node->wires);
}

FbStatus
duties_step(OrderNode *node, RaftEvent *event, const StepInput *input, FbError *error)
{
	RaftUpdate update;
	FbStatus status;

	event->now_ms = node->now_ms;
	raft_trace_enable(node->raft, guc_raft_trace);
	status = raft_step(node->raft, event, &update, error);
	if (guc_raft_trace)
		log_trace(node);
	/* messages of other nodes may be corrupted without harm; this node's own state may not */
	if (status == FB_OUT_OF_MEMORY || status == FB_INTERNAL ||
		(status == FB_CORRUPTED && event->type != RAFT_EVENT_RECEIVE))
		error_throw(error);
	if (input != NULL && input->evidence != NULL)
		*input->evidence = update.evidence;
	if (event->type == RAFT_EVENT_RECEIVE && event->receive->type == RAFT_SNAPSHOT &&
		update.fetch_index == event->receive->index && update.fetch_from == event->receive->from)
	{
		/* checked when the message arrived (check_head) */
		error_check(block_head_decode(event->receive->head, &node->fetch_head, error), error);
		node->fetch_refused = false;
	}
	if (status == FB_OK)
	{
		note_recovery(node, &update);
		duty_store(node, &update, input);
		send_messages(node, &update);
	}
	node->last_index = update.last_index;
	node->commit_index = update.commit_index;
	node->apply_index = update.apply_index;
	node->fetch_index = update.fetch_index;
	node->deadline_ms = update.deadline_ms;
	if (update.configuration_changed)
		duties_note_voters(node);
	if (status == FB_OK)
		note_role(node, &update);
	return status;
}

static void
publish_commit(OrderNode *node)
{
	uint64 wanted_index =
		duties_suspect_removal(node) ? slot_applied_index(node->slot) + 1 : node->fetch_index;
	bool wants_other = slot_set_wanted_index(node->slot, Max(wanted_index, node->fetch_index));

	if (slot_raise_commit_index(node->slot, node->apply_index) || wants_other)
		shmem_worker_wake(node->slot, WORKER_LEDGER);
}

void
duties_finish(OrderNode *node)
{
	for (;;)
	{
		RaftEvent event = {.type = RAFT_EVENT_PERSISTED};
		FbError error;

		wire_set_flush(node->wires); /* the early messages */
		if (node->in_transaction)
		{
			FAULT_POINT("raft_before_commit");
			if (node->state_changed)
				raft_store_save_state(node);
			node->state_changed = false;
			bracket_commit();
			node->in_transaction = false;
			FAULT_POINT("raft_after_commit");
		}
		for (LateMessage *late = node->late_first; late != NULL; late = late->next)
			(void) wire_set_send_raft(node->wires, late->to, node->channel, node->raft_id,
									  late->bytes);
		node->late_first = node->late_last = NULL;
		if (node->stored_index == 0)
			break;
		event.persisted.index = node->stored_index;
		event.persisted.term = node->stored_term;
		node->stored_index = 0;
		(void) duties_step(node, &event, NULL, &error);
	}
	wire_set_flush(node->wires);
	publish_commit(node);
}
