/*
 * bracket.c: the transaction bracket of background workers, always in the same order.
 *
 * The commits of workers are promises: a vote, an entry that is confirmed to the leader, a block
 * that is reported to a client, private plaintext on which an endorsement relies. So each commit
 * is on disk when it returns, whatever the value of synchronous_commit. Setting the parameter is
 * not enough: a reload of the configuration changes it, and so do ALTER ROLE and ALTER DATABASE.
 * ForceSyncCommit flushes the commit in any case; requirements of the parameter for standbys still
 * apply.
 *
 * The exception is work that promises nothing: a notification, and a block that came from another
 * node when more blocks are at hand. A crash can lose these commits, always from the last one
 * backwards; the node then requests the same blocks again. The next durable commit, of the last
 * block at hand, makes them durable too.
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
