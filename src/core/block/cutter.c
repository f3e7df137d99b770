/* cutter.c: where one batch ends and the next begins: Fabric's rules, applied to counts */
#include "core/block/block.h"

void
cutter_reset(Cutter *cutter)
{
	memset(cutter, 0, sizeof(*cutter));
}

FbStatus
cutter_message_bytes(FbBytes envelope, uint64_t *message_bytes, FbError *error)
{
	FbBytes payload;
	FbBytes signature;

	*message_bytes = 0;
	FB_TRY(block_parse_envelope(envelope, &payload, &signature, error));
	*message_bytes = (uint64_t) payload.size + signature.size;
	return FB_OK;
}

static void
add_batch(CutterDecision *decision, uint32_t messages)
{
	FB_ASSERT(decision->batches_count < 2 && messages > 0);
	decision->batch_messages[decision->batches_count++] = messages;
}

static void
cut_pending(Cutter *cutter, CutterDecision *decision)
{
	if (cutter->pending_count > 0)
		add_batch(decision, cutter->pending_count);
	cutter->pending_count = 0;
	cutter->pending_bytes = 0;
}

/* the timer runs if and only if messages are pending */
static void
decide_timer(Cutter *cutter, CutterDecision *decision)
{
	bool run = cutter->pending_count > 0;

	decision->timer = CUTTER_TIMER_KEEP;
	if (run && !cutter->timer_running)
		decision->timer = CUTTER_TIMER_START;
	else if (!run && cutter->timer_running)
		decision->timer = CUTTER_TIMER_STOP;
	cutter->timer_running = run;
}

void
cutter_add(Cutter *cutter, const CutterLimits *limits, uint64_t message_bytes, bool is_config,
		   CutterDecision *decision)
{
	memset(decision, 0, sizeof(*decision));
	if (is_config || message_bytes > limits->preferred_bytes_max)
	{
		cut_pending(cutter, decision);
		add_batch(decision, 1);
	}
	else
	{
		if (cutter->pending_bytes + message_bytes > limits->preferred_bytes_max)
			cut_pending(cutter, decision);
		cutter->pending_count++;
		cutter->pending_bytes += message_bytes;
		if (cutter->pending_count >= limits->message_count_max)
			cut_pending(cutter, decision);
	}
	decide_timer(cutter, decision);
}

void
cutter_cut_now(Cutter *cutter, CutterDecision *decision)
{
	memset(decision, 0, sizeof(*decision));
	cut_pending(cutter, decision);
	decide_timer(cutter, decision);
}
