/*
 * storage.c: the partitions of a channel are made when the channel is joined and dropped when it is
 * left; ledger_cache.c finds them.
 */
#include "server/ledger/ledger_internal.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"

/*
 * Both lists in the order in which the workers lock the tables: joining and leaving must not wait
 * for a worker that waits for them.
 */
static const char *const partition_sql[] = {
	"CREATE TABLE fabric_internal.raft_log_%1$d PARTITION OF fabric_internal.raft_log FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX raft_log_%1$d_index ON fabric_internal.raft_log_%1$d (index)",
	"CREATE TABLE fabric_internal.transaction_%1$d PARTITION OF fabric_internal.transaction FOR VALUES IN (%2$s)",
	"ALTER TABLE fabric_internal.transaction_%1$d ALTER envelope SET STORAGE EXTERNAL",
	"CREATE UNIQUE INDEX transaction_%1$d_position ON fabric_internal.transaction_%1$d (block_number, position)",
	"CREATE INDEX transaction_%1$d_tx_id ON fabric_internal.transaction_%1$d (tx_id) WHERE tx_id IS NOT NULL",
	"CREATE TABLE fabric_internal.block_%1$d PARTITION OF fabric_internal.block FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX block_%1$d_number ON fabric_internal.block_%1$d (number)",
	"CREATE UNIQUE INDEX block_%1$d_hash ON fabric_internal.block_%1$d (block_hash)",
	"CREATE TABLE fabric_internal.world_state_%1$d PARTITION OF fabric_internal.world_state FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX world_state_%1$d_key ON fabric_internal.world_state_%1$d (namespace, key)",
	"CREATE TABLE fabric_internal.history_%1$d PARTITION OF fabric_internal.history FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX history_%1$d_key ON fabric_internal.history_%1$d (namespace, key, block_number, position)",
	"CREATE TABLE fabric_internal.private_state_%1$d PARTITION OF fabric_internal.private_state FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX private_state_%1$d_key ON fabric_internal.private_state_%1$d (namespace, collection, key)",
	"CREATE TABLE fabric_internal.transient_%1$d PARTITION OF fabric_internal.transient FOR VALUES IN (%2$s)",
	"CREATE UNIQUE INDEX transient_%1$d_tx_id ON fabric_internal.transient_%1$d (tx_id)",
	/* triggers for statements are not inherited by partitions; those for rows are */
	"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.block_%1$d EXECUTE FUNCTION fabric_internal.refuse_change()",
	"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.transaction_%1$d EXECUTE FUNCTION fabric_internal.refuse_change()",
	"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.history_%1$d EXECUTE FUNCTION fabric_internal.refuse_change()",
};

static const char *const partitioned_tables[] = {"raft_log",	"transaction", "block",
												 "world_state", "history",	   "private_state",
												 "transient"};

/*
 * whatever ALTER DEFAULT PRIVILEGES says of tables: other organizations' nodes may look into the
 * schema
 */
static const char *const privileges_sql = "REVOKE ALL ON fabric_internal.%s_%d FROM PUBLIC";

/* ---- making and dropping ---- */

/*
 * One session at a time joins or leaves: they count the channels, and take strong locks on the same
 * tables in different orders. Held until the end of the transaction; disturbs neither those who
 * read the list nor the workers, which change the rows of their channels.
 */
static void
lock_memberships(void)
{
	LockRelationOid(spi_relation_oid("channel"), ShareUpdateExclusiveLock);
}

static const char *
source_name(bool import_only)
{
	return import_only ? "import" : "orderers";
}

const Ledger *
ledger_create(const char *channel, uint64 config_block_number, FbBytes config, bool import_only)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.channel (channel, config_block_number, config, source) VALUES ($1, $2, $3, $4) "
		"ON CONFLICT DO NOTHING RETURNING id",
		4,
		{TEXTOID, INT8OID, BYTEAOID, TEXTOID}};
	Datum values[4] = {CStringGetTextDatum(channel), Int64GetDatum((int64) config_block_number),
					   PointerGetDatum(memory_bytea(config)),
					   CStringGetTextDatum(source_name(import_only))};
	SpiScope scope;
	char *channel_literal;
	int id;
	bool is_null;

	lock_memberships();
	spi_begin(&scope);
	spi_run(&insert, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR, (fb_errcode(FB_CHANNEL_EXISTS),
						errmsg("this node has already joined channel \"%s\"", channel)));
	id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	channel_literal = quote_literal_cstr(channel);
	for (int i = 0; i < lengthof(partition_sql); i++)
	{
		char *sql = psprintf(partition_sql[i], id, channel_literal);

		if (SPI_execute(sql, false, 0) < 0)
			elog(ERROR, "could not run \"%s\"", sql);
	}
	for (int i = 0; i < lengthof(partitioned_tables); i++)
		if (SPI_execute(psprintf(privileges_sql, partitioned_tables[i], id), false, 0) < 0)
			elog(ERROR, "could not revoke privileges on the tables of channel \"%s\"", channel);
	spi_end(&scope);
	CommandCounterIncrement();
	return ledger_open(channel);
}

void
ledger_repair_partitions(const char *channel)
{
	bool import_only;
	int id = ledger_read_id(channel, &import_only);
	SpiScope scope;

	if (id == 0)
		return;
	lock_memberships();
	spi_begin(&scope);
	/* not "already exists, skipping"; spi_end takes it back */
	(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	for (int i = 0; i < lengthof(partition_sql); i++)
	{
		static const struct
		{
			const char *begin;
			const char *instead;
		} again[] = {{"CREATE INDEX ", "CREATE INDEX IF NOT EXISTS "},
					 {"CREATE UNIQUE INDEX ", "CREATE UNIQUE INDEX IF NOT EXISTS "},
					 {"CREATE TRIGGER ", "CREATE OR REPLACE TRIGGER "}};

		for (int k = 0; k < lengthof(again); k++)
			if (strncmp(partition_sql[i], again[k].begin, strlen(again[k].begin)) == 0 &&
				SPI_execute(psprintf("%s%s", again[k].instead,
									 psprintf(partition_sql[i] + strlen(again[k].begin), id)),
							false, 0) < 0)
				elog(ERROR, "could not restore an index or trigger of channel \"%s\"", channel);
	}
	spi_end(&scope);
	CommandCounterIncrement();
}

void
ledger_drop(const char *channel)
{
	static SpiStatement delete = {"DELETE FROM fabric_internal.channel WHERE channel = $1",
								  1,
								  {TEXTOID}};
	/*
	 * the promises of this node as a consenter are deleted with the log: note that, for when it
	 * joins again (order/lost_state.c)
	 */
	static SpiStatement promised = {
		"SELECT 1 FROM fabric_internal.raft_state WHERE channel = $1 AND (term > 0 OR recovery > 0)",
		1,
		{TEXTOID}};
	static SpiStatement note = {
		"INSERT INTO fabric_internal.consenter_note (channel, genesis_hash, action, reason) "
		"VALUES ($1, $2, 'recover', 'the channel was left on ' || to_char(now(), 'YYYY-MM-DD HH24:MI:SS TZ')) "
		"ON CONFLICT (channel) DO UPDATE SET genesis_hash = excluded.genesis_hash, action = excluded.action, reason = excluded.reason, noted_at = excluded.noted_at",
		2,
		{TEXTOID, BYTEAOID}};
	Datum value = CStringGetTextDatum(channel);
	Datum note_values[2];
	BlockRow genesis;
	SpiScope scope;
	int id;

	(void) ledger_open(channel);
	/* of two sessions that leave at the same time, the second one fails here */
	lock_memberships();
	id = ledger_open(channel)->id;
	note_values[0] = value;
	note_values[1] = PointerGetDatum(
		memory_bytea(block_store_row(ledger_open(channel), 0, NULL, &genesis) ? genesis.block_hash
																			  : FB_BYTES_EMPTY));
	spi_begin(&scope);
	for (int i = 0; i < lengthof(partitioned_tables); i++)
		if (SPI_execute(psprintf("DROP TABLE fabric_internal.%s_%d", partitioned_tables[i], id),
						false, 0) < 0)
			elog(ERROR, "could not drop partition of channel \"%s\"", channel);
	/*
	 * the log's table is locked by now: the orderer writes nothing more. With a snapshot that shows
	 * its last transaction
	 */
	spi_run_latest(&promised, &value, NULL, 1);
	if (SPI_processed > 0)
		spi_run(&note, note_values, NULL, false, 0);
	spi_run(&delete, &value, NULL, false, 0);
	spi_end(&scope);
}

bool
ledger_config(const char *channel, uint64 *config_block_number, FbBytes *config)
{
	static SpiStatement statement =
		{"SELECT config_block_number, config FROM fabric_internal.channel WHERE channel = $1",
		 1,
		 {TEXTOID}};
	Datum value = CStringGetTextDatum(channel);
	SpiScope scope;
	bool found;

	spi_begin(&scope);
	spi_run_latest(&statement, &value, NULL, 1);
	found = SPI_processed > 0;
	if (found)
	{
		bool is_null;
		HeapTuple row = SPI_tuptable->vals[0];
		MemoryContext inner;

		*config_block_number =
			(uint64) DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null));
		inner = MemoryContextSwitchTo(scope.outer);
		*config = ledger_copy(
			memory_bytes(DatumGetByteaPP(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null))));
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return found;
}

void
ledger_set_config(const char *channel, uint64 config_block_number, FbBytes config)
{
	static SpiStatement statement = {
		"UPDATE fabric_internal.channel SET config_block_number = $2, config = $3 WHERE channel = $1",
		3,
		{TEXTOID, INT8OID, BYTEAOID}};
	Datum values[3] = {CStringGetTextDatum(channel), Int64GetDatum((int64) config_block_number),
					   PointerGetDatum(memory_bytea(config))};
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	spi_end(&scope);
}

void
ledger_set_import_only(const char *channel, bool import_only)
{
	static SpiStatement statement =
		{"UPDATE fabric_internal.channel SET source = $2 WHERE channel = $1",
		 2,
		 {TEXTOID, TEXTOID}};
	Datum values[2] = {CStringGetTextDatum(channel), CStringGetTextDatum(source_name(import_only))};
	const Ledger *ledger;
	SpiScope scope;

	lock_memberships();
	/* left meanwhile? */
	ledger = ledger_open(channel);
	/*
	 * The committer changes the channel's row too, for a new envelope dictionary. Lock it out
	 * first: it must not wait for this transaction, which may wait for a block in its turn;
	 * ledger_is_locked_here tells that.
	 */
	LockRelationOid(ledger->transaction.table, ShareRowExclusiveLock);
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	spi_end(&scope);
	/* sessions that keep the ledger look it up again */
	CacheInvalidateRelcacheByRelid(ledger->block.table);
}
