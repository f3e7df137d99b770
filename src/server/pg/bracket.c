/*
 * The transaction bracket of background workers, always in the same order.
 *
 * Their commits are promises: a vote, an entry that is confirmed to the leader, a block that a
 * client is told of, private plaintext that an endorsement speaks of. So each of them is on the
 * disk when it is done, whatever synchronous_commit says. It is not enough to set the parameter: a
 * reload of the configuration sets it again, and ALTER ROLE and ALTER DATABASE are other places to
 * say it. What the parameter asks beyond that, of standbys, is still done.
 */
#include "server/pg/pg.h"

#include "access/xact.h"
#include "pgstat.h"
#include "utils/snapmgr.h"

void
bracket_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	ForceSyncCommit();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
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
