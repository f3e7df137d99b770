/*
 * ledger_cache.c: the ledgers that a session knows: tables, indexes and prepared statements of each
 * channel.
 *
 * Partitions are named <table>_<channel id> and are addressed directly. Their unique indexes do not
 * carry the channel, which the partition itself says. A session caches what it found; an
 * invalidation message for one of the tables (dropped, altered) makes it look again.
 */
#include "server/ledger/ledger_internal.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

typedef struct LedgerEntry
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1]; /* hash key */
	bool valid;
	Ledger ledger;
	SpiStatement *statements[LEDGER_STATEMENT_COUNT];
} LedgerEntry;

static HTAB *ledgers = NULL;
static uint64 invalidations_count = 0;

static bool
has_table(const Ledger *ledger, Oid table)
{
	return table == ledger->block.table || table == ledger->transaction.table ||
		   table == ledger->world_state.table || table == ledger->history.table ||
		   table == ledger->private_state.table || table == ledger->transient.table ||
		   table == ledger->raft_log.table;
}

static void
ledger_cache_invalidate(Datum argument, Oid relation)
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
	CacheRegisterRelcacheCallback(ledger_cache_invalidate, (Datum) 0);
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

int
ledger_read_id(const char *channel, bool *import_only)
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
	ereport(ERROR,
			(fb_errcode(FB_CORRUPTED),
			 errmsg("channel \"%s\" lacks tables or indexes", ledger->channel),
			 errdetail("Its partitions are fabric_internal.block_%d and so on.", ledger->id),
			 errhint("fabric.repair_tables rebuilds indexes; restore tables from a backup.")));
}

/* what the tables say now; false when the channel is not joined */
static bool
look_up(const char *channel, Ledger *ledger)
{
	for (;;)
	{
		memset(ledger, 0, sizeof(*ledger));
		strlcpy(ledger->channel, channel, sizeof(ledger->channel));
		ledger->id = ledger_read_id(channel, &ledger->import_only);
		if (ledger->id == 0)
			return false;
		if (find_partitions(ledger))
			return true;
		/* left between the two looks, or damaged */
		if (ledger_read_id(channel, &ledger->import_only) == ledger->id)
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
	 * Statements are for the partitions of one id. With the same id they are kept, and must be,
	 * because one of them may be running: the trigger on the blocks calls this from within an
	 * INSERT. Invalidation replaces their plans.
	 */
	else if (entry->ledger.id != ledger.id)
		free_statements(entry);
	entry->ledger = ledger;
	entry->valid = invalidations_count == invalidations_before;
	return &entry->ledger;
}

/*
 * the names of the channels that this node has joined, for users that may read the view; a long
 * list is cut
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

		ereport(
			ERROR,
			(fb_errcode(FB_CHANNEL_NOT_FOUND),
			 errmsg("channel \"%s\" does not exist on this node", error_excerpt(channel)),
			 joined != NULL ? errdetail("Channels of this node: %s.", joined) : 0,
			 errhint(
				 "Join it with fabric.join_channel; the view fabric.channels lists those that are joined.")));
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
