/*
 * evidence.c: store evidence that a consenter, this node or another, broke a promise, in table
 * fabric_internal.raft_evidence.
 *
 * There is one row for each kind and consenter, so that a sender cannot fill the table. The row
 * contains the first message since the last acknowledgment and counts the others. New evidence is
 * stored durably and logged once. Repetitions are counted in memory and stored at most every
 * EVIDENCE_WRITE_MS, because their sender decides how many there are. The table keeps the evidence
 * after the worker has ended.
 *
 * An administrator acknowledges evidence by inserting into raft_acknowledgment, never by updating
 * the row itself: Raft would have to wait for the row lock of an administrator's open transaction.
 */
#include "server/order/order_internal.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define EVIDENCE_WRITE_MS 10000

/* add to the count of an unacknowledged row; false: there is none */
static bool
count_on(const char *channel, const char *kind, uint64 consenter_id, uint64 count)
{
	static SpiStatement statement = {
		.sql =
			"UPDATE fabric_internal.raft_evidence e SET last_at = clock_timestamp(), occurrences = occurrences + $4 "
			"WHERE channel = $1 AND kind = $2 AND consenter_id = $3 AND NOT EXISTS "
			"(SELECT FROM fabric_internal.raft_acknowledgment k WHERE k.channel = e.channel AND k.up_to >= e.last_at)",
		.argument_count = 4,
		.argument_types = {TEXTOID, TEXTOID, INT8OID, INT8OID},
	};
	Datum values[4] = {CStringGetTextDatum(channel), CStringGetTextDatum(kind),
					   Int64GetDatum((int64) consenter_id), Int64GetDatum((int64) count)};

	(void) spi_run(&statement, values, NULL, false, 0);
	return SPI_processed > 0;
}

static void
begin_row(const char *channel, const char *kind, uint64 consenter_id, uint64 term, uint64 index,
		  const FbError *error, uint64 count)
{
	static SpiStatement statement = {
		.sql =
			"INSERT INTO fabric_internal.raft_evidence "
			"(channel, kind, consenter_id, term, index, sqlstate, message, detail, first_at, last_at, occurrences) "
			"SELECT $1, $2, $3, $4, $5, $6, $7, $8, now, now, $9 FROM clock_timestamp() now "
			"ON CONFLICT (channel, kind, consenter_id) DO UPDATE SET term = excluded.term, index = excluded.index, sqlstate = excluded.sqlstate, "
			"message = excluded.message, detail = excluded.detail, first_at = excluded.first_at, last_at = excluded.last_at, "
			"occurrences = excluded.occurrences",
		.argument_count = 9,
		.argument_types = {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
						   INT8OID},
	};
	Datum values[9];

	values[0] = CStringGetTextDatum(channel);
	values[1] = CStringGetTextDatum(kind);
	values[2] = Int64GetDatum((int64) consenter_id);
	values[3] = Int64GetDatum((int64) term);
	values[4] = Int64GetDatum((int64) index);
	values[5] = CStringGetTextDatum(fb_status_sqlstate(error->status));
	values[6] = CStringGetTextDatum(error->message);
	values[7] = CStringGetTextDatum(error->detail);
	values[8] = Int64GetDatum((int64) count);
	(void) spi_run(&statement, values, NULL, false, 0);
}

void
order_record_evidence(const char *channel, const char *kind, uint64 consenter_id, uint64 term,
					  uint64 index, const FbError *error, uint64 count)
{
	SpiScope scope;
	bool is_new;

	spi_begin(&scope);
	is_new = !count_on(channel, kind, consenter_id, count);
	if (is_new)
		begin_row(channel, kind, consenter_id, term, index, error, count);
	spi_end(&scope);
	if (!is_new)
		return;
	ereport(
		LOG,
		(fb_errcode(error->status),
		 consenter_id != 0
			 ? errmsg("channel \"%s\": consenter %llu and this node contradict each other: %s",
					  channel, (unsigned long long) consenter_id, error->message)
			 : errmsg("channel \"%s\": this node contradicts itself: %s", channel, error->message),
		 errdetail("Kind %s, term %llu, entry %llu. %s", kind, (unsigned long long) term,
				   (unsigned long long) index, error->detail),
		 errhint(
			 "It is logged once; fabric.raft_evidence shows it until it is acknowledged with fabric.acknowledge_evidence.")));
}

static EvidenceCount *
find_count(OrderNode *node, const char *kind, uint64 consenter_id)
{
	for (int i = 0; i < node->evidence_count; i++)
		if (node->evidence[i].kind == kind && node->evidence[i].consenter_id == consenter_id)
			return &node->evidence[i];
	if (node->evidence_count == lengthof(node->evidence))
		return NULL;
	node->evidence[node->evidence_count] = (EvidenceCount) {kind, consenter_id};
	return &node->evidence[node->evidence_count++];
}

void
evidence_note(OrderNode *node, const char *kind, uint64 consenter_id, uint64 term, uint64 index,
			  const FbError *error)
{
	EvidenceCount *count = find_count(node, kind, consenter_id);

	/*
	 * the array is full only if consenter_id is not a consenter of the channel: that is no evidence
	 */
	if (count == NULL)
		return;
	count->unwritten++;
	if (node->now_ms < count->write_ms)
		return;
	turn_open_transaction(node);
	order_record_evidence(node->channel, kind, consenter_id, term, index, error, count->unwritten);
	count->unwritten = 0;
	count->write_ms = node->now_ms + EVIDENCE_WRITE_MS;
}

bool
order_has_evidence(const char *channel, const char *kind)
{
	static SpiStatement statement = {
		.sql =
			"SELECT FROM fabric_internal.raft_evidence e WHERE channel = $1 AND kind = $2 AND NOT EXISTS "
			"(SELECT FROM fabric_internal.raft_acknowledgment k WHERE k.channel = e.channel AND k.up_to >= e.last_at)",
		.argument_count = 2,
		.argument_types = {TEXTOID, TEXTOID},
	};
	SpiScope scope;
	Datum values[2];
	bool has;

	spi_begin(&scope);
	values[0] = CStringGetTextDatum(channel);
	values[1] = CStringGetTextDatum(kind);
	(void) spi_run_latest(&statement, values, NULL, 1);
	has = SPI_processed > 0;
	spi_end(&scope);
	return has;
}

int64
order_acknowledge_evidence(const char *channel, TimestampTz up_to)
{
	static SpiStatement statement = {
		.sql =
			"WITH a AS (INSERT INTO fabric_internal.raft_acknowledgment (channel, up_to, acknowledged_at, acknowledged_by) "
			"VALUES ($1, $2, clock_timestamp(), $3)) "
			"SELECT count(*) FROM fabric.raft_evidence WHERE channel = $1 AND last_at <= $2",
		.argument_count = 3,
		.argument_types = {TEXTOID, TIMESTAMPTZOID, TEXTOID},
	};
	SpiScope scope;
	ChannelSlot *slot;
	Datum values[3];
	bool is_null;
	int64 count;
	char *who = GetUserNameFromId(GetUserId(), false);

	PreventCommandIfReadOnly("acknowledge_evidence()");
	slot = channel_slot(channel_open(channel));
	if (up_to > GetCurrentTimestamp())
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT), errmsg("cannot acknowledge evidence of the future"),
			 errhint(
				 "Pass the time at which you read fabric.raft_evidence, or omit the argument.")));
	spi_begin(&scope);
	values[0] = CStringGetTextDatum(channel);
	values[1] = TimestampTzGetDatum(up_to);
	values[2] = CStringGetTextDatum(who);
	(void) spi_run(&statement, values, NULL, false, 0);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	spi_end(&scope);
	/* only to save time: the ledger worker looks again within a second */
	if (slot != NULL)
		shmem_worker_wake(slot, WORKER_LEDGER);
	return count;
}
