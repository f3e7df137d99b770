/*
 * storage.c: the partitions of a channel: made when the channel is joined, found again by every
 * session, dropped when it is left.
 *
 * Partitions are named <table>_<channel id> and are addressed directly. Their unique indexes do not
 * carry the channel, which the partition itself says. A session keeps what it found; an
 * invalidation message for one of the tables (dropped, altered) makes it look again.
 */
#include "server/ledger/ledger_internal.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

/*
 * values of one set-wise statement: far more than those of a usual block, far less than an array
 * can hold
 */
#define BATCH_BYTES_MAX (64 * 1024 * 1024)

typedef struct LedgerEntry
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1]; /* hash key */
	bool valid;
	Ledger ledger;
	SpiStatement *statements[LEDGER_STATEMENT_COUNT];
} LedgerEntry;

static HTAB *ledgers = NULL;
static uint64 invalidations_count = 0;

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
 * whatever ALTER DEFAULT PRIVILEGES says of tables: other organisations' nodes may look into the
 * schema
 */
static const char *const privileges_sql = "REVOKE ALL ON fabric_internal.%s_%d FROM PUBLIC";

/* ---- the session's list of ledgers ---- */

static bool
has_table(const Ledger *ledger, Oid table)
{
	return table == ledger->block.table || table == ledger->transaction.table ||
		   table == ledger->world_state.table || table == ledger->history.table ||
		   table == ledger->private_state.table || table == ledger->transient.table ||
		   table == ledger->raft_log.table;
}

static void
invalidate(Datum argument, Oid relation)
{
	HASH_SEQ_STATUS status;
	LedgerEntry *entry;

	invalidations_count++;
	hash_seq_init(&status, ledgers);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (relation == InvalidOid || has_table(&entry->ledger, relation))
			entry->valid = false;
}

static void
create_list(void)
{
	HASHCTL control = {.keysize = FB_CHANNEL_ID_BYTES_MAX + 1, .entrysize = sizeof(LedgerEntry)};

	ledgers = hash_create("fabric ledgers", 8, &control, HASH_ELEM | HASH_STRINGS);
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
}

static void
free_statements(LedgerEntry *entry)
{
	for (int kind = 0; kind < LEDGER_STATEMENT_COUNT; kind++)
	{
		SpiStatement *statement = entry->statements[kind];

		if (statement == NULL)
			continue;
		if (statement->plan != NULL)
			SPI_freeplan(statement->plan);
		pfree((char *) statement->sql);
		pfree(statement);
		entry->statements[kind] = NULL;
	}
}

static bool
find_table(LedgerTable *table, Oid schema, const char *name, const char *index,
		   const char *other_index, int id)
{
	table->table = get_relname_relid(psprintf("%s_%d", name, id), schema);
	table->index = get_relname_relid(psprintf("%s_%d_%s", name, id, index), schema);
	table->other_index =
		other_index != NULL ? get_relname_relid(psprintf("%s_%d_%s", name, id, other_index), schema)
							: InvalidOid;
	return OidIsValid(table->table) && OidIsValid(table->index) &&
		   (other_index == NULL || OidIsValid(table->other_index));
}

/* false: not all of them are there */
static bool
find_partitions(Ledger *ledger)
{
	int id = ledger->id;
	Oid schema = get_namespace_oid("fabric_internal", false);

	return find_table(&ledger->block, schema, "block", "number", "hash", id) &&
		   find_table(&ledger->transaction, schema, "transaction", "position", "tx_id", id) &&
		   find_table(&ledger->world_state, schema, "world_state", "key", NULL, id) &&
		   find_table(&ledger->history, schema, "history", "key", NULL, id) &&
		   find_table(&ledger->private_state, schema, "private_state", "key", NULL, id) &&
		   find_table(&ledger->transient, schema, "transient", "tx_id", NULL, id) &&
		   find_table(&ledger->raft_log, schema, "raft_log", "index", NULL, id);
}

/* the id of a joined channel, 0 when it is not joined */
static int
read_id(const char *channel, bool *import_only)
{
	static SpiStatement statement =
		{"SELECT id, source = 'import' FROM fabric_internal.channel WHERE channel = $1",
		 1,
		 {TEXTOID}};
	SpiScope scope;
	Datum value = CStringGetTextDatum(channel);
	int id = 0;

	spi_begin(&scope);
	spi_run_latest(&statement, &value, NULL, 1);
	if (SPI_processed > 0)
	{
		bool is_null;

		id =
			DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
		*import_only =
			DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	}
	spi_end(&scope);
	return id;
}

static void
refuse_incomplete(const Ledger *ledger)
{
	FbError error;

	fb_fail(&error, FB_CORRUPTED, "channel \"%s\" lacks some of its tables or their indexes",
			ledger->channel);
	fb_error_detail(&error, "Its partitions are fabric_internal.block_%d and so on.", ledger->id);
	fb_error_hint(&error,
				  "fabric.repair_tables makes indexes again; tables come back from a backup only.");
	error_throw(&error);
}

/* what the tables say now; false when the channel is not joined */
static bool
look_up(const char *channel, Ledger *ledger)
{
	for (;;)
	{
		memset(ledger, 0, sizeof(*ledger));
		strlcpy(ledger->channel, channel, sizeof(ledger->channel));
		ledger->id = read_id(channel, &ledger->import_only);
		if (ledger->id == 0)
			return false;
		if (find_partitions(ledger))
			return true;
		/* left between the two looks, or damaged */
		if (read_id(channel, &ledger->import_only) == ledger->id)
			refuse_incomplete(ledger);
	}
}

const Ledger *
ledger_find(const char *channel)
{
	LedgerEntry *entry;
	Ledger ledger;
	uint64 invalidations_before;
	bool found;

	if (strlen(channel) > FB_CHANNEL_ID_BYTES_MAX)
		return NULL;
	if (ledgers == NULL)
		create_list();
	/* a channel may have been left or joined since the statement began */
	AcceptInvalidationMessages();
	entry = hash_search(ledgers, channel, HASH_FIND, NULL);
	if (entry != NULL && entry->valid)
		return &entry->ledger;

	invalidations_before = invalidations_count;
	if (!look_up(channel, &ledger))
		return NULL;
	entry = hash_search(ledgers, channel, HASH_ENTER, &found);
	if (!found)
		memset(entry->statements, 0, sizeof(entry->statements));
	/*
	 * Statements are for the partitions of one id. With the same id they stay, all the more since
	 * one of them may be running: the trigger on the blocks comes here from within an INSERT. Their
	 * plans look after themselves.
	 */
	else if (entry->ledger.id != ledger.id)
		free_statements(entry);
	entry->ledger = ledger;
	entry->valid = invalidations_count == invalidations_before;
	return &entry->ledger;
}

/*
 * the names of the channels that this node has joined, for whoever may see them in the view; the
 * list is cut where it is long
 */
static char *
joined_channels_text(void)
{
	static SpiStatement statement = {
		"SELECT left(string_agg('\"' || channel || '\"', ', ' ORDER BY channel), 500) FROM fabric_internal.channel "
		"WHERE has_table_privilege($1, 'fabric.channels', 'SELECT')",
		1,
		{OIDOID}};
	Datum values[1] = {ObjectIdGetDatum(GetUserId())};
	SpiScope scope;
	char *names;

	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	names =
		SPI_processed == 1 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
	if (names != NULL)
		names = MemoryContextStrdup(scope.outer, names);
	spi_end(&scope);
	return names;
}

const Ledger *
ledger_open(const char *channel)
{
	const Ledger *ledger = ledger_find(channel);

	if (ledger == NULL)
	{
		char *joined = joined_channels_text();
		FbError error;

		fb_fail(&error, FB_CHANNEL_NOT_FOUND, "channel \"%s\" does not exist on this node",
				channel);
		if (joined != NULL)
			fb_error_detail(&error, "Channels of this node: %s.", joined);
		fb_error_hint(
			&error,
			"Join it with fabric.join_channel; the view fabric.channels lists those that are joined.");
		error_throw(&error);
	}
	return ledger;
}

void
ledger_refresh(const Ledger *ledger)
{
	const LedgerEntry *entry =
		(const LedgerEntry *) ((const char *) ledger - offsetof(LedgerEntry, ledger));

	if (!entry->valid)
		(void) ledger_open(ledger->channel);
}

char *
ledger_partition_name(const Ledger *ledger, const char *table)
{
	return psprintf("fabric_internal.%s_%d", table, ledger->id);
}

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
	{
		FbError error;

		fb_fail(&error, FB_CHANNEL_EXISTS, "this node has already joined channel \"%s\"", channel);
		error_throw(&error);
	}
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
			elog(ERROR, "could not take privileges on the tables of channel \"%s\" away", channel);
	spi_end(&scope);
	CommandCounterIncrement();
	return ledger_open(channel);
}

void
ledger_repair_partitions(const char *channel)
{
	bool import_only;
	int id = read_id(channel, &import_only);
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
				elog(ERROR, "could not put an index or a trigger of channel \"%s\" back", channel);
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
	 * what this node promised as a consenter goes with the log: when it joins again, it must know
	 * (order/lost_state.c)
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
	/* of two that leave at once, the second one finds out here */
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

/* ---- statements and arrays ---- */

SpiStatement *
ledger_statement(const Ledger *ledger, LedgerStatementKind kind, const char *format,
				 int argument_count, const Oid *argument_types)
{
	LedgerEntry *entry = hash_search(ledgers, ledger->channel, HASH_FIND, NULL);
	SpiStatement *statement = entry->statements[kind];

	if (statement == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		statement = palloc0(sizeof(SpiStatement));
		statement->sql = psprintf(format, ledger->id);
		statement->argument_count = argument_count;
		for (int i = 0; i < argument_count; i++)
			statement->argument_types[i] = argument_types[i];
		MemoryContextSwitchTo(old);
		entry->statements[kind] = statement;
	}
	return statement;
}

int
ledger_batch_rows(const void *rows, int count, size_t (*row_bytes)(const void *rows, int index))
{
	size_t bytes = 0;

	for (int i = 0; i < count; i++)
	{
		bytes += row_bytes(rows, i);
		if (bytes > BATCH_BYTES_MAX && i > 0)
			return i;
	}
	return count;
}

Datum
ledger_array(Datum *values, bool *nulls, int count, Oid type, int16 length, bool by_value,
			 char align)
{
	int dimensions[1] = {count};
	int lower_bounds[1] = {1};

	return PointerGetDatum(construct_md_array(values, nulls, 1, dimensions, lower_bounds, type,
											  length, by_value, align));
}

static Datum
varlena_array(const FbBytes *values, const bool *nulls, int count, Oid type)
{
	Datum *data = palloc(count * sizeof(Datum) + 1);
	bool *is_null = palloc0(count * sizeof(bool) + 1);

	for (int i = 0; i < count; i++)
	{
		is_null[i] = nulls != NULL && nulls[i];
		data[i] = is_null[i] ? (Datum) 0 : PointerGetDatum(memory_bytea(values[i]));
	}
	return ledger_array(data, is_null, count, type, -1, false, TYPALIGN_INT);
}

Datum
ledger_bytea_array(const FbBytes *values, const bool *nulls, int count)
{
	return varlena_array(values, nulls, count, BYTEAOID);
}

Datum
ledger_text_array(const FbBytes *values, const bool *nulls, int count)
{
	return varlena_array(values, nulls, count, TEXTOID);
}
