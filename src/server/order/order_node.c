/*
 * order_node.c: the worker `fabric orderer CHANNEL`, turn by turn.
 *
 * The problem. Raft allows a promise (a vote, a confirmation of entries) to leave the node only
 * when it is durable. A durable transaction needs a flush of the write-ahead log, which takes far
 * longer than everything else here, so with one flush per message the disk would set the number of
 * messages per second. At the same time a leader must send heartbeats on time whatever the load is,
 * or the others elect a new one.
 *
 * The rule. The worker runs in turns. A turn collects all pending inputs, feeds them to Raft as
 * events one after the other, and stores the result of all of them in one transaction:
 *
 * - take_configuration, take_deferred, take_inbox: the channel's configuration first, because it
 * decides who may send; then messages of other consenters, envelopes and requests, up to a limit
 * per turn.
 * - take_ledger, take_fork: how far the ledger worker has come, and whether it has stopped.
 * - take_time: Raft's timeout. After the inbox, so that a heartbeat that is already here prevents
 *   an election.
 * - take_note: an operator's statement about lost state.
 * - batching_run: a leader cuts batches and submits them to Raft, a follower forwards envelopes.
 *   After the inputs, so that everything that has arrived can share a batch.
 * - node_compact: delete old entries of the log.
 * - duties_finish: commit the transaction, send the messages that waited for it, publish the commit
 *   index.
 *
 * Each event runs duties_step: Raft's step, writes into the open transaction, and the messages that
 * may leave early. A leader's appends leave before its own flush, so that the followers flush at
 * the same time as the leader. Inputs that arrive during a turn set the latch and belong to the
 * next turn. So the batch of the next turn grows while this turn flushes, and the load sets the
 * size of the batches.
 *
 * The path of an envelope: inbox, queue (queue.c), batch (batching.c), entry in the log of the
 * leader and of the followers (duties.c), commit index, block in the ledger worker
 * (block_writer.c), applied index, which frees the pipeline for the next batch.
 *
 * Rejected: one transaction for each event (a flush for each). Making and committing blocks in this
 * worker: a block can take longer than an election timeout, and heartbeats would stop. Storing the
 * queue of envelopes: one more flush for each transaction, while clients must be able to submit
 * again in any case; Fabric loses its queue too.
 *
 * What holds afterwards. No promise leaves before it is durable. All state of the worker except the
 * queue is in raft_log, raft_state and the ledger, so an error may end the worker at any point, and
 * the next one continues from the tables. A turn is bounded in records, bytes and deleted entries.
 */
#include "server/order/order_internal.h"

#include "access/xact.h"
#include "utils/guc.h"

/*
 * Limits of what one turn takes from the inbox, so that its transaction, and the messages that wait
 * for it, are not delayed.
 */
#define RECORDS_PER_TURN_MAX 2000
#define BYTES_PER_TURN_MAX ((size_t) 8 * 1024 * 1024)
/* log refused messages at most this often, because their sender decides how many there are */
#define REFUSAL_LOG_MS 10000
/* interval of looking for an operator's note */
#define NOTES_MS 1000
/*
 * pauses between two warnings that too many consenters are recovering; they double up to the
 * maximum
 */
#define HOPELESS_PAUSE_MS 60000
#define HOPELESS_PAUSE_MAX_MS 3600000
/* a leader whose ledger takes no blocks offers the leadership again after this time */
#define HAND_OVER_MS 5000
/* entries deleted at once: more in one transaction would delay Raft */
#define COMPACT_ENTRIES_MAX 1000
/* entries of the tail that are kept whatever their size, as in Fabric (SnapshotCatchUpEntries) */
#define TAIL_ENTRIES_MIN 4

/* ---- start ---- */

/*
 * the log entry that the last block on this node was made from; term 0: another node made the block
 */
static void
ledger_raft_position(const char *channel, uint64 *index, uint64 *term)
{
	const Ledger *ledger = ledger_open(channel);
	uint64 height = block_store_height(ledger, NULL);
	BlockRow row = {0};

	if (height > 0)
		(void) block_store_row(ledger, height - 1, NULL, &row);
	*index = row.raft_index;
	*term = row.raft_term;
}

/* find the last block at the start and at the end of the log */
static void
start_chain(OrderNode *node, const RaftStored *stored)
{
	node->log_start_index = stored->base_index;
	node->log_start_term = stored->base_term;
	node->log_start_head = stored->base_head;
	node->head_index = UINT64_MAX; /* not known */
	log_chain_head(node, stored->base_index + stored->entries_count, &node->head);
	node->head_index = stored->base_index + stored->entries_count;
}

/*
 * Log that the stored voters were corrected: before the first change of the configuration the
 * voters are the consenters of block 0. A stored state with other voters, and entries of the log
 * that name voters, come from a consenter that lied, or from a version that allowed this.
 */
static void
report_healed(const OrderNode *node, const RaftStored *stored, uint64 entries_healed)
{
	FbBytes now = node->hard_state.configuration_state;

	if (entries_healed == 0 && (!stored->present || stored->configuration.size == 0 ||
								fb_bytes_equal(stored->configuration, now)))
		return;
	ereport(
		LOG,
		(fb_errcode(FB_CORRUPTED),
		 errmsg("channel \"%s\": the Raft log named other voters than the channel's configuration",
				node->channel),
		 errdetail(
			 "The consenters of the channel's configuration vote again. Invalid entries in the log: %llu.",
			 (unsigned long long) entries_healed),
		 errhint("A consenter that led the channel has written them.")));
}

/*
 * The state in the tables belongs to another Raft id. A consenter that was removed and added again
 * has a new id: under that it has promised nothing, so it begins without state. In all other cases
 * the certificate was changed.
 */
static void
start_with_new_id(OrderNode *node, RaftStored *stored)
{
	if (node->raft_id < stored->raft_id ||
		raft_configuration_has(&node->settings.voters, stored->raft_id))
		ereport(ERROR,
				(fb_errcode(FB_INVALID_CONFIG),
				 errmsg("this node was consenter %llu of channel \"%s\" and is now consenter %llu",
						(unsigned long long) stored->raft_id, node->channel,
						(unsigned long long) node->raft_id),
				 errdetail("Consenter %llu is another one in the channel's configuration.",
						   (unsigned long long) node->raft_id),
				 errhint("A consenter keeps the key of its TLS certificate.")));
	ereport(
		LOG,
		(errmsg(
			 "channel \"%s\": this node was consenter %llu, was removed, and is now consenter %llu",
			 node->channel, (unsigned long long) stored->raft_id,
			 (unsigned long long) node->raft_id),
		 errdetail("Its Raft log begins again.")));
	raft_store_truncate(node->channel, 0);
	memset(stored, 0, sizeof(*stored));
	log_chain_genesis(node->channel, &stored->base_head);
}

/* the event that starts Raft: settings, and what was stored */
static void
fill_start_event(const OrderNode *node, const RaftStored *stored, RaftEvent *event)
{
	FbError error = {0};

	event->start.id = node->raft_id;
	error_check(crypto_random((uint8_t *) &event->start.seed, sizeof(event->start.seed), &error),
				&error);
	event->start.election_timeout_ms = guc_raft_election_timeout;
	event->start.heartbeat_ms =
		Min(guc_raft_heartbeat_interval, Max(guc_raft_election_timeout / 2, 1));
	event->start.in_flight_max = 16;
	event->start.message_bytes_max = Min(1024 * 1024, inbox_capacity() / 4);
	event->start.term = stored->term;
	event->start.vote = stored->vote;
	event->start.commit_index = stored->commit_index;
	if (node->settings.config_block_number > 0)
		event->start.configuration_state = stored->configuration;
	event->start.configuration = node->settings.voters;
	event->start.added = node->settings.config_block_number > 0;
	if (event->start.added)
		(void) raft_configuration_remove(&event->start.configuration, node->raft_id);
	event->start.base_index = stored->base_index;
	event->start.base_term = stored->base_term;
	event->start.entries = stored->entries;
	event->start.entries_count = stored->entries_count;
	event->start.recovery_witness = stored->recovery_witness;
	event->start.memory = stored->memory;
	event->start.established = stored->established;
}

static void
start_raft(OrderNode *node)
{
	MemoryContext raft_context =
		AllocSetContextCreate(TopMemoryContext, "fabric raft", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	RaftEvent event = {.type = RAFT_EVENT_START};
	RaftStored stored;
	uint64 entries_healed = 0;
	bool trusted;
	FbError error = {0};

	error_check(raft_create(memory_allocator(raft_context), &node->raft, &error), &error);

	bracket_begin("loading the Raft log");
	old_context = MemoryContextSwitchTo(node->turn_context);
	node->raft_log = ledger_open(node->channel)->raft_log.table;
	if (node->settings.config_block_number == 0)
		entries_healed = raft_store_remove_configurations(node->channel);
	error_check(raft_store_load(node->channel, &stored, &error), &error);
	if (!stored.present)
		log_chain_genesis(node->channel, &stored.base_head);
	else if (stored.raft_id != node->raft_id)
		start_with_new_id(node, &stored);
	ledger_raft_position(node->channel, &event.start.applied_index, &event.start.applied_term);
	lost_state_read_genesis(node->channel, node->genesis_hash);
	MemoryContextSwitchTo(old_context);
	bracket_commit();
	lost_state_describe(&node->place);
	/* the new state is stored and the note deleted in one transaction */
	turn_open_transaction(node);
	node->state_changed = true;
	event.start.recovery = lost_state_judge(node, &stored, node->recovery_detail,
											sizeof(node->recovery_detail), &trusted);
	node->recovering_since = stored.recovery != RAFT_RECOVERY_NONE ? stored.recovering_since : 0;
	fill_start_event(node, &stored, &event);
	start_chain(node, &stored);
	node->config_index = stored.base_index + stored.entries_count;
	node->applied_index = event.start.applied_index;
	error_check(duties_step(node, &event, NULL, &error), &error);
	if (trusted)
	{
		event = (RaftEvent) {.type = RAFT_EVENT_RECOVER};
		error_check(duties_step(node, &event, NULL, &error), &error);
	}
	if (node->settings.config_block_number == 0)
		report_healed(node, &stored, entries_healed);
	duties_finish(node);
}

OrderNode *
order_node_start(ChannelSlot *slot)
{
	OrderNode *node = MemoryContextAllocZero(TopMemoryContext, sizeof(OrderNode));

	strlcpy(node->channel, slot_name(slot), sizeof(node->channel));
	node->slot = slot;
	order_settings_load(node->channel, 0, 0, &node->settings);
	node->raft_id = node->settings.self_id;
	if (node->raft_id == 0)
		return NULL;

	node->turn_context =
		AllocSetContextCreate(TopMemoryContext, "fabric orderer turn", ALLOCSET_DEFAULT_SIZES);
	node->cache = log_cache_create(TopMemoryContext);
	node->queue = queue_create(TopMemoryContext);
	node->wires = wire_set_create(node->channel);
	wire_set_configure(node->wires, node->settings.peers, node->settings.peers_count);
	node->now_ms = clock_ms();
	turn_reset_batching(node);
	node->turn_allocator = memory_allocator(node->turn_context);
	start_raft(node);
	return node;
}

/* ---- inputs ---- */

/*
 * Log a message that cannot be true: the sender lies, or one of the two nodes has lost its state.
 * The message has changed nothing, and the worker continues.
 */
static void
note_refused_message(OrderNode *node, uint64 sender_id, const FbError *error)
{
	char *text = MemoryContextStrdup(node->turn_context, error->message);

	shmem_worker_note_error(node->slot, WORKER_ORDERER, text);
	if (node->refusal_logged_ms != 0 && node->now_ms < node->refusal_logged_ms + REFUSAL_LOG_MS)
		return;
	node->refusal_logged_ms = node->now_ms;
	ereport(LOG, (errmsg("channel \"%s\": Raft message of consenter %llu refused: %s",
						 node->channel, (unsigned long long) sender_id, text),
				  error->hint[0] != '\0' ? errhint("%s", error->hint) : 0));
}

/*
 * Answer a contradicting append, because the leader waits for an answer, and so that its
 * administrator learns of the contradiction too. The answer has the term of the append, which this
 * node has not entered because of it.
 */
static void
answer_contradiction(OrderNode *node, const RaftMessage *append)
{
	RaftMessage answer = {.type = RAFT_APPEND_RESPONSE,
						  .from = node->raft_id,
						  .to = append->from,
						  .term = append->term,
						  .index = append->index,
						  .rejected = true,
						  .contradicted = true,
						  .nonce = append->nonce};
	RaftStatus status;
	FbBytes bytes;
	FbError error;

	/* a recovering node must not contradict: it may be the one that lost its state */
	raft_status(node->raft, &status);
	if (status.participation != RAFT_VOTING)
		return;
	error_check(raft_message_encode(node->turn_allocator, &answer, &bytes, &error), &error);
	(void) wire_set_send_raft(node->wires, append->from, node->channel, node->raft_id, bytes);
}

/* record a message that no consenter that keeps its promises can send to this node */
static void
note_contradiction(OrderNode *node, const RaftMessage *message, const char *kind, uint64 index,
				   FbError *error)
{
	if (error->detail[0] == '\0')
		fb_error_detail(
			error,
			"It came in a message of type %s and term %llu; this node is in term %llu, with entry %llu committed.",
			raft_message_type_name(message->type), (unsigned long long) message->term,
			(unsigned long long) node->term, (unsigned long long) node->commit_index);
	evidence_note(node, kind, message->from, message->term, index, error);
	if (message->type == RAFT_APPEND)
		answer_contradiction(node, message);
}

static FbStatus
check_head(const RaftMessage *message, FbError *error)
{
	BlockHead head;

	return message->type == RAFT_SNAPSHOT ? block_head_decode(message->head, &head, error) : FB_OK;
}

/* the rest of a message, for the ledger to come as far as the message needs; instead of the last */
static void
node_defer_message(OrderNode *node, uint64 sender_id, FbBytes bytes)
{
	uint8_t *copy = MemoryContextAllocHuge(TopMemoryContext, bytes.size);

	memcpy(copy, bytes.data, bytes.size);
	if (node->deferred.size > 0)
		pfree(unconstify(uint8_t *, node->deferred.data));
	node->deferred = fb_bytes(copy, bytes.size);
	node->deferred_sender = sender_id;
}

static FbStatus
take_message(OrderNode *node, const RaftMessage *message, FbError *error)
{
	RaftEvent event = {.type = RAFT_EVENT_RECEIVE, .receive = message};
	RaftEvidence evidence = {RAFT_EVIDENCE_NONE};
	StepInput input = {.message = message, .evidence = &evidence};
	uint64 index;
	FbStatus status;

	FB_TRY(check_head(message, error));
	status = log_chain_check(node, message, &input.steps, &index, error);
	if (status != FB_OK)
	{
		if (status == FB_OUT_OF_MEMORY)
			error_throw(error);
		note_contradiction(node, message, EVIDENCE_CHAIN, index, error);
		return status;
	}
	status = duties_step(node, &event, &input, error);
	if (evidence.kind == RAFT_EVIDENCE_NONE)
		return status;
	if (status == FB_OK)
		fb_fail(error, FB_CHAINS_DIFFER, "consenter %llu refuses entries after %llu",
				(unsigned long long) evidence.node, (unsigned long long) evidence.index);
	note_contradiction(node, message, raft_evidence_name(evidence.kind), evidence.index, error);
	return status;
}

static void
take_raft(OrderNode *node, uint64 sender_id, FbBytes bytes)
{
	RaftMessage message;
	FbError error;
	FbStatus status;
	bool cut = false;

	/* order_receive_raft has checked the sender; check that the message is the sender's own */
	status = raft_message_decode(node->turn_allocator, bytes, &message, &error);
	if (status == FB_OK && message.from != sender_id)
		status = fb_fail(&error, FB_MALFORMED_MESSAGE, "it is not the sender's own");
	if (status == FB_OK)
	{
		status = voters_admit(node, &message, &cut, &error);
		if (status == FB_CORRUPTED)
			note_contradiction(node, &message, raft_evidence_name(RAFT_EVIDENCE_VOTERS),
							   message.index, &error);
	}
	if (cut)
		node_defer_message(node, sender_id, bytes);
	if (status == FB_OK)
		status = take_message(node, &message, &error);
	if (status != FB_OK)
		note_refused_message(node, sender_id, &error);
}

/* a message that waited for the ledger */
static void
take_deferred(OrderNode *node)
{
	FbBytes bytes = node->deferred;

	if (bytes.size == 0 || !voters_are_known(node))
		return;
	node->deferred = FB_BYTES_EMPTY;
	take_raft(node, node->deferred_sender,
			  fb_bytes(memcpy(MemoryContextAllocHuge(node->turn_context, bytes.size), bytes.data,
							  bytes.size),
					   bytes.size));
	pfree(unconstify(uint8_t *, bytes.data));
}

static void
take_envelopes(OrderNode *node, uint64 config_sequence, FbBytes rest)
{
	while (rest.size > 0)
	{
		RecordMark mark;
		QueueEntry entry = {.config_sequence = config_sequence};

		FB_ASSERT(rest.size >= sizeof(mark));
		memcpy(&mark, rest.data, sizeof(mark));
		FB_ASSERT(mark.envelope_bytes <= rest.size - sizeof(mark));
		entry.envelope = fb_bytes(rest.data + sizeof(mark), mark.envelope_bytes);
		entry.message_bytes = mark.message_bytes;
		entry.is_config = mark.is_config;
		batching_add(node, &entry);
		rest = fb_bytes(entry.envelope.data + entry.envelope.size,
						rest.size - sizeof(mark) - entry.envelope.size);
	}
}

static void
take_transfer(OrderNode *node, uint64 target_id)
{
	RaftEvent event = {.type = RAFT_EVENT_TRANSFER};
	FbError error = {0};

	event.transfer.to = target_id;
	if (duties_step(node, &event, NULL, &error) != FB_OK)
		ereport(LOG, (errmsg("channel \"%s\": leadership was not transferred: %s", node->channel,
							 error.message)));
}

/* process the inbox up to the turn's limits; true if there may be more */
static bool
take_inbox(OrderNode *node)
{
	size_t bytes = 0;

	for (int count = 0; count < RECORDS_PER_TURN_MAX && bytes < BYTES_PER_TURN_MAX; count++)
	{
		StringInfoData record;
		char kind;
		size_t first_size;
		uint64 number;
		FbBytes second;
		MemoryContext old_context = MemoryContextSwitchTo(node->turn_context);
		bool taken;

		/* a buffer for each record: a step may keep pointers into it until the end of the turn */
		initStringInfo(&record);
		taken = inbox_take(node->slot, &kind, &record, &first_size);
		MemoryContextSwitchTo(old_context);
		if (!taken)
			return false;
		if (first_size != sizeof(number))
			continue;
		memcpy(&number, record.data, sizeof(number));
		second = fb_bytes(record.data + first_size, (size_t) record.len - first_size);
		bytes += record.len;
		switch (kind)
		{
			case RECORD_RAFT:
				take_raft(node, number, second);
				break;
			case RECORD_ENVELOPES:
				take_envelopes(node, number, second);
				break;
			case RECORD_TRANSFER:
				take_transfer(node, number);
				break;
		}
	}
	return true;
}

/*
 * The ledger has reached the start of the leader's log. Check that its block made from that entry
 * is the one that the leader names; otherwise the ledger is another chain.
 */
static void
take_fetched(OrderNode *node, uint64 ledger_index)
{
	RaftEvent event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
	FbError error;

	turn_open_transaction(node);
	if (!log_chain_ledger_has(node->channel, &node->fetch_head, node->fetch_index))
	{
		node->fetch_refused = true;
		fb_fail(&error, FB_CHAINS_DIFFER,
				"block %llu of this node is not the one after which the leader's log starts",
				(unsigned long long) node->fetch_head.number);
		fb_error_detail(&error, "The log of this node stays as it is.");
		evidence_note(node, EVIDENCE_SNAPSHOT, node->leader, node->term, node->fetch_index, &error);
		return;
	}
	event.snapshot_installed.index = ledger_index;
	voters_before(node, node->fetch_index + 1, &event.snapshot_installed.configuration);
	(void) duties_step(node, &event, NULL, &error);
}

/* report the ledger's progress to Raft */
static void
take_ledger(OrderNode *node)
{
	uint64 ledger_index = slot_applied_index(node->slot);
	FbError error;

	if (node->fetch_index > 0 && ledger_index >= node->fetch_index && !node->fetch_refused)
		take_fetched(node, ledger_index);
	ledger_index = Min(ledger_index, node->apply_index);
	if (ledger_index > node->applied_index)
	{
		RaftEvent event = {.type = RAFT_EVENT_APPLIED};

		event.applied.index = ledger_index;
		(void) duties_step(node, &event, NULL, &error);
		node->applied_index = ledger_index;
	}
}

static void
take_time(OrderNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_TIMEOUT};
	FbError error;

	if (node->now_ms >= node->deadline_ms)
		(void) duties_step(node, &event, NULL, &error);
}

/* an operator's statement about this node's state; a note of leave_channel is read at the start */
static void
take_note(OrderNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_RECOVER};
	char reason[LOST_STATE_REASON_BYTES];
	ConsenterNote note;
	FbError error;

	if (node->now_ms < node->notes_read_ms + NOTES_MS)
		return;
	node->notes_read_ms = node->now_ms;
	turn_open_transaction(node);
	note = lost_state_take_note(node->channel, node->genesis_hash, reason, sizeof(reason));
	if (note == CONSENTER_NOTE_NONE)
		return;
	node->state_changed = true;
	event.recover.begin = note == CONSENTER_NOTE_RECOVER;
	if (event.recover.begin)
		strlcpy(node->recovery_detail, reason, sizeof(node->recovery_detail));
	else
		lost_state_log_trust(node->channel, reason);
	(void) duties_step(node, &event, NULL, &error);
}

/*
 * Warn at growing intervals if so many consenters recover that no leader can be elected: an
 * operator must act.
 */
static void
warn_if_hopeless(OrderNode *node)
{
	RaftStatus status;
	uint32 voters_count;
	uint32 recovering_count;

	if (node->recovery == RAFT_RECOVERY_NONE)
	{
		node->hopeless_logged_ms = 0;
		return;
	}
	raft_status(node->raft, &status);
	voters_count = status.configuration.voters_count;
	recovering_count = status.other_recovering_count + 1;
	if (2 * (voters_count - Min(recovering_count, voters_count)) > voters_count)
		return;
	if (node->hopeless_logged_ms != 0 &&
		node->now_ms < node->hopeless_logged_ms + node->hopeless_pause_ms)
		return;
	node->hopeless_pause_ms = node->hopeless_logged_ms == 0
								  ? HOPELESS_PAUSE_MS
								  : Min(2 * node->hopeless_pause_ms, HOPELESS_PAUSE_MAX_MS);
	node->hopeless_logged_ms = node->now_ms;
	lost_state_log_hopeless(node->channel, recovering_count, voters_count);
}

static void
take_configuration(OrderNode *node)
{
	uint64 leaving_id = voters_leaving(node);

	if (slot_height(node->slot) == 0 ||
		(slot_config_block(node->slot) == node->settings.config_block_number &&
		 leaving_id == node->settings.leaving_id))
		return;
	order_settings_load(node->channel, node->raft_id, leaving_id, &node->settings);
	wire_set_configure(node->wires, node->settings.peers, node->settings.peers_count);
	batching_note_configuration(node);
}

/*
 * The index after which the tail of the log begins: at most entries_max entries and bytes_max bytes
 * up to the last entry that is in the ledger, but TAIL_ENTRIES_MIN entries whatever their size.
 */
static uint64
tail_start(const OrderNode *node, uint64 entries_max, uint64 bytes_max)
{
	uint64 by_entries = node->applied_index - Min(node->applied_index, entries_max);
	uint64 by_bytes = Min(raft_tail_start(node->raft, node->applied_index, bytes_max),
						  node->applied_index - Min(node->applied_index, TAIL_ENTRIES_MIN));

	return Max(by_entries, by_bytes);
}

/*
 * The last entry up to up_to_index that became a block; if there is none after the log's start, the
 * first one after up_to_index that is not after limit; 0: none. The second search is needed because
 * there may be more than COMPACT_ENTRIES_MAX entries in a row that became no block (each new leader
 * adds one): looking only backward would then find nothing forever.
 */
static uint64
find_start(OrderNode *node, uint64 up_to_index, uint64 limit)
{
	uint64 index = up_to_index;

	while ((index = raft_store_last_batch(node->channel, index)) > node->log_start_index)
	{
		if (log_chain_makes_block(node, index))
			return index;
		index--;
	}
	index = up_to_index;
	while ((index = raft_store_first_batch(node->channel, index)) > 0 && index <= limit)
		if (log_chain_makes_block(node, index))
			return index;
	return 0;
}

/*
 * Delete entries that are in the ledger, except a tail. The new start must be an entry that became
 * a block: a node that receives this start as a snapshot looks for the block whose metadata names
 * it.
 */
static void
node_compact(OrderNode *node)
{
	RaftEvent event = {.type = RAFT_EVENT_COMPACT};
	uint64 entries_max = guc_raft_log_tail;
	uint64 bytes_max = guc_raft_log_tail_size * UINT64CONST(1024);
	uint64 up_to_index;
	uint64 limit;
	FbError error;

	/*
	 * Compact in batches (a quarter of the tail): one entry at a time would cost a transaction per
	 * entry.
	 */
	if (node->applied_index <= Max(node->log_start_index, node->compact_looked_index) ||
		tail_start(node, entries_max + Max(entries_max / 4, 1) - 1, bytes_max + bytes_max / 4) <=
			node->log_start_index)
		return;
	limit = tail_start(node, entries_max, bytes_max);
	turn_open_transaction(node);
	up_to_index = find_start(node, Min(limit, node->log_start_index + COMPACT_ENTRIES_MAX), limit);
	if (up_to_index <= node->log_start_index)
	{
		/* no new start until more of the log is applied */
		node->compact_looked_index = node->applied_index;
		return;
	}
	event.compact.index = up_to_index;
	(void) duties_step(node, &event, NULL, &error);
}

/*
 * A consenter whose ledger has stopped (ORDER_EVIDENCE_FORK) still votes and stores, because its
 * log is a chain. But it must not lead: each batch would wait for its ledger.
 */
static void
take_fork(OrderNode *node)
{
	bool forked = slot_is_forked(node->slot);
	FbError error;

	if (forked != node->abstains)
	{
		RaftEvent event = {.type = RAFT_EVENT_ABSTAIN, .abstain = forked};

		(void) duties_step(node, &event, NULL, &error);
		node->abstains = forked;
	}
	if (forked && node->role == RAFT_LEADER && node->now_ms >= node->hand_over_ms)
	{
		node->hand_over_ms = node->now_ms + HAND_OVER_MS;
		take_transfer(node, 0);
	}
}

/* ---- the turn ---- */

static void
node_publish(OrderNode *node)
{
	PublishCounts counts;

	if (node->leader != 0)
		node->leaderless_since = 0;
	else if (node->leaderless_since == 0)
		node->leaderless_since = GetCurrentTimestamp();
	counts = (PublishCounts) {
		.pending_count = queue_count(node->queue),
		.pending_bytes = queue_bytes(node->queue),
		.batches_count = node->batches_count,
		.dropped_count = node->dropped_count,
		.leader_changes_count = node->leader_changes_count,
		.leaderless_since = node->leaderless_since,
		.recovering_since = node->recovering_since,
		.recovery_detail = node->recovery_detail,
	};

	publish_status(node->slot, node->raft, node->wires, &counts, node->now_ms);
	if (node->leader_changes_told != node->leader_changes_count)
		waiters_wake_all(node->slot);
	node->leader_changes_told = node->leader_changes_count;
	publish_leadership(node);
}

void
order_node_turn(OrderNode *node)
{
	MemoryContextReset(node->turn_context);
	node->turn_allocator = memory_allocator(node->turn_context);
	node->now_ms = Max(node->now_ms, clock_ms());
	take_configuration(node);
	take_deferred(node);
	node->more = take_inbox(node);
	take_ledger(node);
	voters_reconcile(node);
	take_fork(node);
	take_time(node);
	take_note(node);
	(void) batching_run(node);
	node_compact(node);
	duties_finish(node);
	/*
	 * A commit may have freed the pipeline. A single consenter gets no message that would wake it
	 * for the next batch.
	 */
	while (batching_run(node))
		duties_finish(node);
	warn_if_hopeless(node);
	node_publish(node);
}

void
order_node_sleep(OrderNode *node)
{
	uint64 deadline_ms = Min(Min(node->deadline_ms, batching_deadline_ms(node)),
							 node->sleep_until_ms != 0 ? node->sleep_until_ms : UINT64_MAX);
	uint64 now_ms = clock_ms();
	long timeout_ms = -1;

	if (node->more)
		timeout_ms = 0; /* do not sleep, only serve the connections */
	else if (deadline_ms != UINT64_MAX)
		timeout_ms = deadline_ms <= now_ms ? 0 : (long) Min(deadline_ms - now_ms, 60000);
	wire_set_wait(node->wires, timeout_ms);
}
