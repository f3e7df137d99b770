/*
 * batching.c: process the queue of envelopes. A leader cuts them into batches and submits these to
 * Raft; a follower forwards them to the leader; without a leader they wait.
 *
 * The cutter's rules are Fabric's (orderer/common/blockcutter), with one more: pending envelopes
 * are cut as soon as the pipeline is free, that is, when Raft has committed the last batch and this
 * node's ledger is at most one batch behind. So a single transaction never waits for BatchTimeout,
 * and under load the batches grow to the number of envelopes that arrive during one round of the
 * pipeline.
 */
#include "server/order/order_internal.h"

#include <time.h>

/* full batches between submission and Raft's commit, as Fabric's MaxInflightBlocks */
#define UNCOMMITTED_BATCHES_MAX 5
/*
 * Batches between submission and this node's ledger. When there are more, cutting waits: the
 * batches become larger, and throughput is the same.
 */
#define UNAPPLIED_BATCHES_MAX 8
/*
 * Size of one forward message: about a batch, and a small part of the leader's inbox, which is
 * assumed to be as large as this node's.
 */
#define FORWARD_BYTES_MAX Min((size_t) 1024 * 1024, inbox_capacity() / 8)
#define FORWARD_ENVELOPES_MAX 500
/*
 * Forward an envelope again if it is not in the log after this time: it was lost with a connection
 * or a leader, or refused by a full inbox.
 */
#define FORWARD_RETRY_MS 3000
/* the leader refused envelopes because its inbox is full: pause before forwarding again */
#define FORWARD_PAUSE_MS 50
/*
 * Raft refused a batch because it hands over the leadership or its log is full: pause before trying
 * again.
 */
#define REFUSED_RETRY_MS 50
/* drop an envelope after this time: its client has probably given up or submitted it elsewhere */
#define ENVELOPE_LIFE_MS 120000

void
batching_add(OrderNode *node, const QueueEntry *entry)
{
	(void) queue_add(node->queue, entry, node->now_ms);
}

static void
batching_drop(OrderNode *node, QueueItem *item, const char *why)
{
	node->dropped_count++;
	ereport(LOG, (errmsg("channel \"%s\": an envelope was not ordered", node->channel),
				  errdetail_internal("%s", why)));
	queue_remove(node->queue, item);
}

/* ---- leader ---- */

/*
 * Check again a configuration that was made for an older one: its update is applied to the present
 * one, and the result takes the item's place at the end of the queue. True: the item is right as it
 * is.
 */
static bool
check_config_again(OrderNode *node, QueueItem *item, const Envelope *envelope, FbError *error)
{
	QueueEntry entry = {.config_sequence = node->settings.config_sequence, .is_config = true};
	Envelope result;

	if (config_admission_check(channel_open(node->channel), envelope, (int64) time(NULL), &result,
							   error) != FB_OK)
	{
		batching_drop(node, item, error->message);
		return false;
	}
	if (fb_bytes_equal(result.bytes, item->envelope))
	{
		item->config_sequence = node->settings.config_sequence;
		return true;
	}
	entry.envelope = result.bytes;
	entry.message_bytes = result.message_bytes;
	queue_remove(node->queue, item);
	(void) queue_add(node->queue, &entry, node->now_ms);
	return false;
}

static bool
check_normal_again(OrderNode *node, QueueItem *item, const Envelope *envelope, FbError *error)
{
	if (admission_check(channel_open(node->channel)->bundle, envelope, (int64) time(NULL), error) !=
		FB_OK)
	{
		batching_drop(node, item, error->message);
		return false;
	}
	item->config_sequence = node->settings.config_sequence;
	return true;
}

/*
 * Check again an envelope that was admitted under an older configuration. False: the item is not in
 * the queue now.
 */
static bool
still_admissible(OrderNode *node, QueueItem *item)
{
	FbError error = {0};
	Envelope envelope;
	MemoryContext old_context;
	bool own_transaction = !node->in_transaction;
	bool stays = false;

	if (item->config_sequence == node->settings.config_sequence)
		return true;
	if (own_transaction)
		bracket_begin("checking an envelope again");
	old_context = MemoryContextSwitchTo(node->turn_context);
	if (envelope_parse(node->turn_allocator, item->envelope, &envelope, &error) != FB_OK)
		batching_drop(node, item, error.message);
	else if (item->is_config)
		stays = check_config_again(node, item, &envelope, &error);
	else
		stays = check_normal_again(node, item, &envelope, &error);
	MemoryContextSwitchTo(old_context);
	if (own_transaction)
		bracket_commit();
	return stays;
}

/* submit a batch of the first `count` items of the queue */
static bool
submit_batch(OrderNode *node, uint32 count)
{
	FbBytes *envelopes = MemoryContextAlloc(node->turn_context, sizeof(FbBytes) * count);
	QueueItem *item = NULL;
	RaftEvent event = {.type = RAFT_EVENT_SUBMIT};
	StepInput input = {0};
	FbBytes batch;
	FbBytes payload;
	uint32_t payload_bytes;
	FbError error;

	for (uint32 index = 0; index < count; index++)
	{
		item = queue_next(node->queue, item);
		FB_ASSERT(item != NULL);
		envelopes[index] = item->envelope;
	}
	error_check(block_pack_data(envelopes, count, node->turn_allocator, &batch, &error), &error);
	error_check(block_link_pack(&node->head, batch, node->turn_allocator, &payload, &error),
				&error);
	payload_bytes = (uint32_t) payload.size;
	event.submit.payload_bytes = &payload_bytes;
	event.submit.count = 1;
	input.payloads = &payload;
	/* the step removes the items from the queue, so no pointer to them may remain */
	if (node->last_counted == item)
		node->last_counted = NULL;
	if (duties_step(node, &event, &input, &error) != FB_OK)
	{
		/* not the leader now, handing over, or the log is full: the batch stays in the queue */
		if (node->last_counted == NULL)
			node->last_counted = item;
		return false;
	}
	node->batches_count++;
	return true;
}

static bool
submit_ready(OrderNode *node)
{
	if (!submit_batch(node, node->ready[0]))
	{
		node->batch_deadline_ms = node->now_ms + REFUSED_RETRY_MS;
		return false;
	}
	node->ready[0] = node->ready[1];
	node->ready_count--;
	return true;
}

static void
take_decision(OrderNode *node, const CutterDecision *decision)
{
	FB_ASSERT(node->ready_count == 0);
	node->ready_count = (int) decision->batches_count;
	for (unsigned index = 0; index < decision->batches_count; index++)
		node->ready[index] = decision->batch_messages[index];
	if (decision->timer == CUTTER_TIMER_START)
		node->batch_deadline_ms = node->now_ms + node->settings.batch_timeout_ms;
	else if (decision->timer == CUTTER_TIMER_STOP)
		node->batch_deadline_ms = UINT64_MAX;
}

/* the first item that the cutter has not counted */
static QueueItem *
next_uncounted(OrderNode *node)
{
	return queue_next(node->queue, node->last_counted);
}

static uint64
unapplied_count(const OrderNode *node)
{
	uint64 applied = slot_applied_index(node->slot);

	return node->last_index > applied ? node->last_index - applied : 0;
}

/* too many batches are uncommitted; the answers of other consenters wake the worker */
static bool
raft_is_full(const OrderNode *node)
{
	return node->last_index - node->commit_index >= UNCOMMITTED_BATCHES_MAX;
}

static bool
may_submit_full(const OrderNode *node)
{
	if (raft_is_full(node))
		return false;
	/*
	 * A ledger that is behind slows its leader down to one batch per BatchTimeout, but cannot stop
	 * it, because other nodes' ledgers may be faster.
	 */
	return unapplied_count(node) < UNAPPLIED_BATCHES_MAX || node->now_ms >= node->batch_deadline_ms;
}

static bool
pipeline_is_free(const OrderNode *node)
{
	return node->last_index == node->commit_index && unapplied_count(node) <= 1;
}

static bool
run_leader(OrderNode *node)
{
	bool submitted = false;
	QueueItem *item;
	CutterDecision decision;

	for (;;)
	{
		if (!voters_settled(node))
			return submitted;
		if (node->ready_count > 0)
		{
			if (!may_submit_full(node))
			{
				/* submit after BatchTimeout at the latest if only the ledger is behind */
				if (node->batch_deadline_ms == UINT64_MAX)
					node->batch_deadline_ms = node->now_ms + node->settings.batch_timeout_ms;
				return submitted;
			}
			if (!submit_ready(node))
				return submitted;
			submitted = true;
			if (node->ready_count == 0 && node->cutter.pending_count == 0)
				node->batch_deadline_ms = UINT64_MAX;
			continue;
		}
		item = next_uncounted(node);
		if (item == NULL)
			break;
		if (!still_admissible(node, item))
			continue;
		cutter_add(&node->cutter, &node->settings.limits, item->message_bytes, item->is_config,
				   &decision);
		node->last_counted = item;
		take_decision(node, &decision);
	}
	if (node->cutter.pending_count > 0 && !raft_is_full(node) &&
		(pipeline_is_free(node) || node->now_ms >= node->batch_deadline_ms))
	{
		cutter_cut_now(&node->cutter, &decision);
		take_decision(node, &decision);
		while (node->ready_count > 0 && submit_ready(node))
			submitted = true;
	}
	return submitted;
}

/* ---- follower ---- */

static void
drop_old(OrderNode *node)
{
	QueueItem *item = queue_next(node->queue, NULL);

	while (item != NULL && item->arrived_ms + ENVELOPE_LIFE_MS <= node->now_ms)
	{
		QueueItem *next = queue_next(node->queue, item);

		batching_drop(node, item, "No leader took it in time.");
		item = next;
	}
}

static bool
batch_is_due(const OrderNode *node, const QueueItem *item)
{
	return item->state == QUEUE_WAITING || item->forwarded_ms + FORWARD_RETRY_MS <= node->now_ms;
}

/*
 * Send one message with due envelopes, from *position on; false if there are none or it cannot be
 * sent.
 */
static bool
forward_some(OrderNode *node, QueueItem **position)
{
	FbBytes *envelopes =
		MemoryContextAlloc(node->turn_context, sizeof(FbBytes) * FORWARD_ENVELOPES_MAX);
	QueueItem **items =
		MemoryContextAlloc(node->turn_context, sizeof(QueueItem *) * FORWARD_ENVELOPES_MAX);
	int count = 0;
	size_t bytes = 0;
	FbBytes message;
	FbError error;

	while (*position != NULL && count < FORWARD_ENVELOPES_MAX && bytes < FORWARD_BYTES_MAX)
	{
		if (batch_is_due(node, *position))
		{
			items[count] = *position;
			envelopes[count++] = (*position)->envelope;
			bytes += (*position)->envelope.size;
		}
		*position = queue_next(node->queue, *position);
	}
	if (count == 0)
		return false;
	error_check(block_pack_data(envelopes, count, node->turn_allocator, &message, &error), &error);
	if (!wire_set_send_forward(node->wires, node->leader, node->channel, node->raft_id, message))
		return false;
	for (int index = 0; index < count; index++)
	{
		items[index]->state = QUEUE_FORWARDED;
		items[index]->forwarded_ms = node->now_ms;
	}
	return true;
}

static void
run_follower(OrderNode *node, bool refused)
{
	QueueItem *position;

	drop_old(node);
	node->forward_retry_ms = UINT64_MAX;
	if (refused)
		node->forward_pause_ms = node->now_ms + FORWARD_PAUSE_MS;
	position = queue_next(node->queue, NULL);
	if (position == NULL)
		return;
	if (node->forward_pause_ms != 0)
	{
		if (node->now_ms < node->forward_pause_ms)
		{
			node->forward_retry_ms = node->forward_pause_ms;
			return;
		}
		/*
		 * It is not known which envelopes were refused. Send all again: the leader recognizes those
		 * that it has taken.
		 */
		node->forward_pause_ms = 0;
		for (QueueItem *item = position; item != NULL; item = queue_next(node->queue, item))
			item->state = QUEUE_WAITING;
	}
	node->forward_retry_ms = node->now_ms + FORWARD_RETRY_MS / 3;
	if (node->leader == 0 || !wire_set_connected(node->wires, node->leader))
		return;
	while (forward_some(node, &position))
		;
}

/*
 * The channel has another configuration. A leader that was sent a configuration made for the old
 * one has applied its update to the new one, or has refused it, so it need not be sent again.
 */
void
batching_note_configuration(OrderNode *node)
{
	QueueItem *item = queue_next(node->queue, NULL);

	while (item != NULL)
	{
		QueueItem *next = queue_next(node->queue, item);

		if (item->is_config && item->state == QUEUE_FORWARDED &&
			item->config_sequence != node->settings.config_sequence)
			queue_remove(node->queue, item);
		item = next;
	}
}

bool
batching_run(OrderNode *node)
{
	bool refused = wire_set_take_refusal(node->wires);

	if (node->role == RAFT_LEADER)
		return run_leader(node);
	run_follower(node, refused);
	return false;
}

uint64
batching_deadline_ms(const OrderNode *node)
{
	if (node->role == RAFT_LEADER)
		return raft_is_full(node) || !voters_settled(node) ? UINT64_MAX : node->batch_deadline_ms;
	return node->forward_retry_ms;
}
