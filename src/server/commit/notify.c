/*
 * notify.c: after a block is committed: publish the height in shared memory, wake the waiting
 * sessions, and NOTIFY the sessions that LISTEN.
 *
 * The problem. NOTIFY is a service of the whole instance, and any login can exhaust it: a session
 * that executes LISTEN and then stays in a transaction keeps every notification in the queue, and
 * once the queue is full every commit that notifies fails (async.c, asyncQueueAddEntries). A commit
 * that notifies also takes a heavyweight lock on "database 0", which serializes these commits in
 * all databases (async.c, PreCommit_Notify), and holds it while it waits for a synchronous standby.
 *
 * The rule. A block's transaction never notifies. The ledger worker notifies in a separate
 * transaction after the block. That transaction
 *   - takes the lock beforehand, and only if it is free, so that PreCommit_Notify finds it held and
 *     never waits for another session;
 *   - is skipped while the queue is nearly full;
 *   - may fail: the block, the waiting sessions and the next block do not depend on it.
 * A failed notification is repeated after 1 s, 2 s ... 60 s, for the last block at that time. One
 * notification stands for all blocks up to its own, so a listener that reads blocks by number after
 * each notification misses none.
 *
 * Rejected: notifying with the block's commit, which saves a transaction per block but makes every
 * block depend on every login; and a separate process, which would need another worker slot and
 * would have the same problems. The transaction writes no WAL but its commit record, and its commit
 * is asynchronous.
 */
#include "server/commit/commit.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/fmgroids.h"

/* the rest of the queue is left to other users of NOTIFY, whose commits fail when it is full */
#define QUEUE_USAGE_MAX 0.9
#define RETRY_MS_MIN 1000
#define RETRY_MS_MAX 60000

void
notifier_init(BlockNotifier *notifier, ChannelSlot *slot, uint64 height)
{
	memset(notifier, 0, sizeof(*notifier));
	notifier->slot = slot;
	notifier->height = height;
	/*
	 * blocks of which an earlier worker could not notify; before the first worker, no session can
	 * have listened
	 */
	notifier->notified_height = slot_notified_start(slot, height);
}

/* the lock that PreCommit_Notify takes */
static bool
lock_queue(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, InvalidOid, 0);
	return LockAcquire(&tag, AccessExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* NULL, or the reason why it could not be sent */
static const char *
send_notification(const BlockNotifier *notifier)
{
	const char *problem = NULL;

	bracket_begin_repeatable("notifying of a block");
	FAULT_POINT("notify_before_send");
	if (DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE)) > QUEUE_USAGE_MAX)
		problem = "the NOTIFY queue is nearly full";
	else if (!lock_queue())
		problem = "another session's commit holds the NOTIFY queue";
	else
		/* channel names need no escaping in JSON */
		Async_Notify("fabric_block", psprintf("{\"channel\": \"%s\", \"block\": " UINT64_FORMAT
											  ", \"transactions\": %zu}",
											  slot_name(notifier->slot), notifier->height - 1,
											  notifier->transactions_count));
	bracket_commit();
	return problem;
}

/* like send_notification, but returns also the text of an error, which is stored in the notifier */
static const char *
try_notification(BlockNotifier *notifier)
{
	MemoryContext caller = CurrentMemoryContext;
	const char *volatile problem = NULL;

	PG_TRY();
	{
		problem = send_notification(notifier);
	}
	PG_CATCH();
	{
		ErrorData *data;

		MemoryContextSwitchTo(caller);
		data = CopyErrorData();
		strlcpy(notifier->error_text, data->message != NULL ? data->message : "unknown error",
				sizeof(notifier->error_text));
		problem = notifier->error_text;
		HOLD_INTERRUPTS();
		FlushErrorState();
		FreeErrorData(data);
		bracket_abort();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return problem;
}

static void
note_sent(BlockNotifier *notifier)
{
	ChannelSlot *slot = notifier->slot;

	if (notifier->failures_in_a_row > 0)
		ereport(LOG,
				(errmsg("sessions that listen for blocks of channel \"%s\" are notified again",
						slot_name(slot)),
				 errdetail("Up to %llu blocks had no notification of their own.",
						   (unsigned long long) (notifier->height - notifier->notified_height))));
	notifier->notified_height = notifier->height;
	notifier->failures_in_a_row = 0;
	slot_note_notified(slot, notifier->height);
}

static void
notify_note_failure(BlockNotifier *notifier, const char *problem)
{
	ChannelSlot *slot = notifier->slot;
	uint64 retry_ms =
		Min(RETRY_MS_MAX, (uint64) RETRY_MS_MIN << Min(notifier->failures_in_a_row, 10));

	notifier->failures_in_a_row++;
	notifier->retry_at_ms = clock_ms() + retry_ms;
	slot_note_unnotified(slot, problem);
	/* log attempts 1, 2, 4, 8 ...: the first failure at once, later ones less often */
	if ((notifier->failures_in_a_row & (notifier->failures_in_a_row - 1)) == 0)
		ereport(
			LOG,
			(errmsg("could not notify sessions that listen for blocks of channel \"%s\": %s",
					slot_name(slot), problem),
			 errdetail("Block %llu is committed nevertheless. The next attempt is in %llu s.",
					   (unsigned long long) (notifier->height - 1),
					   (unsigned long long) (retry_ms / 1000)),
			 errhint(
				 "The view fabric.stat_notifications shows the queue; a session that listens and stays in a transaction keeps it from being emptied.")));
}

long
notifier_run(BlockNotifier *notifier)
{
	const char *problem;
	uint64 now_ms;

	if (notifier->notified_height >= notifier->height)
		return -1;
	if (notifier->failures_in_a_row > 0)
	{
		now_ms = clock_ms();
		if (now_ms < notifier->retry_at_ms)
			return (long) (notifier->retry_at_ms - now_ms);
	}
	problem = try_notification(notifier);
	if (problem == NULL)
	{
		note_sent(notifier);
		return -1;
	}
	notify_note_failure(notifier, problem);
	now_ms = clock_ms();
	return now_ms < notifier->retry_at_ms ? (long) (notifier->retry_at_ms - now_ms) : 0;
}

void
notifier_add(BlockNotifier *notifier, const CommittedBlock *committed)
{
	notifier->height = committed->number + 1;
	notifier->transactions_count = committed->tx_ids_count;
	(void) notifier_run(notifier);
}

void
commit_publish(ChannelSlot *slot, const CommittedBlock *committed)
{
	BlockNews news = {.number = committed->number,
					  .config_changed = committed->config_changed,
					  .raft_index = committed->raft_index,
					  .lifecycle_changed = committed->lifecycle_changed,
					  .counts = committed->counts,
					  .work = &committed->work,
					  .validation_us = committed->validation_us};

	slot_publish_block(slot, &news);
}
