/*
 * The transaction bracket of background workers, always in the same order.
 *
 * Their commits are promises: a vote, an entry that is confirmed to the leader, a block that a
 * client is told of, private plaintext that an endorsement speaks of. So each of them is on the
 * disk when it is done, whatever synchronous_commit says. It is not enough to set the parameter: a
 * reload of the configuration sets it again, and ALTER ROLE and ALTER DATABASE are other places to
 * say it. What the parameter asks beyond that, of standbys, is still done.
 *
 * The exception is what promises nothing: a notification, and a block that came from another node
 * when more of them are at hand. A crash can lose these commits, and only from the last one
 * backwards; the node then asks for the same blocks again. The next durable commit, that of the
 * last block at hand, makes them durable too.
 */
#include "server/pg/pg.h"

#include "access/xact.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

static void
bracket_start(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
bracket_begin(const char *activity)
{
	bracket_start(activity);
	ForceSyncCommit();
}

void
bracket_begin_repeatable(const char *activity)
{
	bracket_start(activity);
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

void
bracket_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
bracket_abort(void)
{
	AbortCurrentTransaction();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}
