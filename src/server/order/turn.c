/*
 * turn.c: state of the worker that several parts of a turn change: the turn's transaction, and the
 * progress of the queue when the leader changes
 */
#include "server/order/order_internal.h"

#include "storage/lmgr.h"
#include "utils/syscache.h"

void
turn_open_transaction(OrderNode *node)
{
	if (node->in_transaction)
		return;
	bracket_begin("storing Raft entries");
	node->in_transaction = true;

	/*
	 * A channel that was left and joined again has a new log, into which this worker must not
	 * write. The lock on the old log's table keeps the channel from being left until the turn's
	 * end.
	 */
	LockRelationOid(node->raft_log, RowExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(node->raft_log)))
		ereport(ERROR, (fb_errcode(FB_CHANNEL_NOT_FOUND),
						errmsg("channel \"%s\" was left", node->channel)));
}

void
turn_reset_batching(OrderNode *node)
{
	cutter_reset(&node->cutter);
	node->ready_count = 0;
	node->last_counted = NULL;
	node->batch_deadline_ms = UINT64_MAX;
	node->forward_retry_ms = UINT64_MAX;
	node->forward_pause_ms = 0;
	for (QueueItem *item = queue_next(node->queue, NULL); item != NULL;
		 item = queue_next(node->queue, item))
		item->state = QUEUE_WAITING;
}
