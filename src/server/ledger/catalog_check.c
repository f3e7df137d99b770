/*
 * catalog_check.c: the catalog entries of a channel's tables, on which their contents depend: a
 * trigger that is disabled lets rows be changed, another trigger or a rule changes what is stored,
 * an index that is not valid hides rows, a partition that is not attached is invisible to the
 * views.
 *
 * This file also has the repair of a channel's tables, which restores what this and the other
 * checks find missing.
 */
#include "server/ledger/ledger_internal.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

/*
 * One row for each problem. $1: the channel, $2: its number. Triggers of partitions are clones of
 * their parents' (those for statements are their own, see storage.c); tgtype is a sum of 1 row, 2
 * before, 4 insert, 8 delete, 16 update, 32 truncate (catalog/pg_trigger.h). The definitions of
 * indexes are those of storage.c as pg_get_indexdef writes them.
 */
static const char catalog_sql[] =
	"WITH partition(parent) AS (SELECT unnest('{raft_log,transaction,block,world_state,history,private_state,transient}'::text[])), "
	"relation AS (SELECT p.parent, p.parent || '_' || $2 AS name, c.* FROM partition p LEFT JOIN pg_class c "
	" ON c.relname = p.parent || '_' || $2 AND c.relnamespace = 'fabric_internal'::regnamespace), "
	"expected_trigger(name, tgname, proname, tgtype) AS (SELECT name || CASE WHEN name = 'envelope_dictionary' THEN '' ELSE '_' || $2 END, tgname, proname, tgtype "
	" FROM (VALUES ('block', 'refuse_change', 'refuse_change', 27), ('block', 'check_block', 'check_block', 7), ('block', 'refuse_truncate', 'refuse_change', 34), "
	" ('transaction', 'refuse_change', 'refuse_change', 27), ('transaction', 'refuse_truncate', 'refuse_change', 34), "
	" ('history', 'refuse_change', 'refuse_change', 27), ('history', 'refuse_truncate', 'refuse_change', 34), "
	" ('envelope_dictionary', 'refuse_change', 'refuse_change', 27), ('envelope_dictionary', 'refuse_truncate', 'refuse_change', 34)) v(name, tgname, proname, tgtype)), "
	"actual_trigger AS (SELECT c.relname AS name, t.tgname, t.tgtype, t.tgenabled, t.tgqual IS NULL AND p.pronamespace = 'fabric_internal'::regnamespace AND "
	" p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND p.prosrc = 'fabric_' || p.proname AND p.probin = '$libdir/fabric' AS plain, p.proname "
	" FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal "
	" AND c.relnamespace = 'fabric_internal'::regnamespace AND (c.relname = 'envelope_dictionary' OR c.oid IN (SELECT oid FROM relation))), "
	"expected_index(name, definition) AS (SELECT replace(v.name, '#', $2::text), format(replace(v.definition, '#', $2::text), replace(v.name, '#', $2::text)) "
	" FROM (VALUES ('raft_log_#_index', 'CREATE UNIQUE INDEX %s ON fabric_internal.raft_log_# USING btree (index)'), "
	" ('transaction_#_position', 'CREATE UNIQUE INDEX %s ON fabric_internal.transaction_# USING btree (block_number, \"position\")'), "
	" ('transaction_#_tx_id', 'CREATE INDEX %s ON fabric_internal.transaction_# USING btree (tx_id) WHERE (tx_id IS NOT NULL)'), "
	" ('block_#_number', 'CREATE UNIQUE INDEX %s ON fabric_internal.block_# USING btree (number)'), "
	" ('block_#_hash', 'CREATE UNIQUE INDEX %s ON fabric_internal.block_# USING btree (block_hash)'), "
	" ('world_state_#_key', 'CREATE UNIQUE INDEX %s ON fabric_internal.world_state_# USING btree (namespace, key)'), "
	" ('history_#_key', 'CREATE UNIQUE INDEX %s ON fabric_internal.history_# USING btree (namespace, key, block_number, \"position\")'), "
	" ('private_state_#_key', 'CREATE UNIQUE INDEX %s ON fabric_internal.private_state_# USING btree (namespace, collection, key)'), "
	" ('transient_#_tx_id', 'CREATE UNIQUE INDEX %s ON fabric_internal.transient_# USING btree (tx_id)')) v(name, definition)), "
	"actual_index AS (SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition, i.indisvalid AND i.indisready AND i.indislive AS valid "
	" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid IN (SELECT oid FROM relation)) "
	"SELECT format('Table \"%s\" is missing.', name) FROM relation WHERE oid IS NULL "
	"UNION ALL SELECT format('Table \"%s\" is not the partition of \"%s\" for the channel.', name, parent) FROM relation r WHERE oid IS NOT NULL AND "
	" (NOT relispartition OR pg_get_expr(relpartbound, oid) IS DISTINCT FROM format('FOR VALUES IN (%L)', $1) OR NOT EXISTS (SELECT FROM pg_inherits h "
	" WHERE h.inhrelid = r.oid AND h.inhparent = (SELECT c.oid FROM pg_class c WHERE c.relname = parent AND c.relnamespace = 'fabric_internal'::regnamespace))) "
	"UNION ALL SELECT format('Table \"%s\" is not an ordinary table: %s.', name, what) FROM relation r, LATERAL (VALUES (relkind <> 'r', 'it is of another kind'), "
	" (relpersistence <> 'p', 'it is lost after a crash'), (relrowsecurity OR relforcerowsecurity, 'row-level security can hide its rows'), (relhasrules, 'rules rewrite statements on it')) w(bad, what) "
	" WHERE oid IS NOT NULL AND bad "
	"UNION ALL SELECT format('Column \"%s\" of table \"%s\" is not that of table \"%s\".', a.attname, r.name, r.parent) FROM relation r JOIN pg_attribute a ON a.attrelid = "
	" (SELECT c.oid FROM pg_class c WHERE c.relname = r.parent AND c.relnamespace = 'fabric_internal'::regnamespace) AND a.attnum > 0 AND NOT a.attisdropped "
	" LEFT JOIN pg_attribute b ON b.attrelid = r.oid AND b.attname = a.attname AND NOT b.attisdropped WHERE r.oid IS NOT NULL AND "
	" (b.attname IS NULL OR (a.atttypid, a.attnum, a.attcollation) IS DISTINCT FROM (b.atttypid, b.attnum, b.attcollation) OR a.attnotnull AND NOT b.attnotnull) "
	"UNION ALL SELECT format('Constraint \"%s\" of table \"%s\" is not of the extension.', k.conname, r.name) FROM pg_constraint k JOIN relation r ON r.oid = k.conrelid "
	" WHERE k.contype IN ('c', 'x', 'f', 't') "
	"UNION ALL SELECT format('Trigger \"%s\" of table \"%s\" %s.', coalesce(e.tgname, a.tgname), coalesce(e.name, a.name), CASE WHEN a.tgname IS NULL THEN 'is missing' "
	" WHEN e.tgname IS NULL THEN 'is not of the extension' WHEN a.tgenabled NOT IN ('O', 'A') THEN 'is disabled' ELSE 'was changed' END) "
	" FROM expected_trigger e FULL JOIN actual_trigger a ON e.name = a.name AND e.tgname = a.tgname WHERE e.tgname IS NULL OR a.tgname IS NULL OR "
	" a.tgenabled NOT IN ('O', 'A') OR NOT a.plain OR a.proname <> e.proname OR a.tgtype <> e.tgtype "
	"UNION ALL SELECT format('Index \"%s\" %s.', e.name, CASE WHEN a.name IS NULL THEN 'is missing' WHEN NOT a.valid THEN 'is not valid' ELSE 'was changed' END) "
	" FROM expected_index e LEFT JOIN actual_index a ON e.name = a.name WHERE a.name IS NULL OR NOT a.valid OR a.definition <> e.definition";

/* a row of one text for each problem */
static uint64
report_rows(SpiStatement *statement, Datum *values, LedgerCatalogDamage report, void *context)
{
	SpiScope scope;
	uint64 count;

	spi_begin(&scope);
	spi_run_latest(statement, values, NULL, 0);
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
	{
		char *detail = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		report(context, detail);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return count;
}

uint64
ledger_check_catalog(const Ledger *ledger, LedgerCatalogDamage report, void *context)
{
	static SpiStatement statement = {catalog_sql, 2, {TEXTOID, INT4OID}};
	Datum values[2] = {CStringGetTextDatum(ledger->channel), Int32GetDatum(ledger->id)};

	return report_rows(&statement, values, report, context);
}

uint64
ledger_check_dictionaries(const Ledger *ledger, LedgerCatalogDamage report, void *context)
{
	static SpiStatement statement = {
		"SELECT format('Envelope dictionary %s was changed.', id) FROM fabric_internal.envelope_dictionary WHERE channel = $1 AND sha256(content) <> digest "
		"UNION ALL SELECT format('Envelope dictionary %s has a number that was not given.', d.id) FROM fabric_internal.envelope_dictionary d "
		"JOIN fabric_internal.channel c USING (channel) WHERE channel = $1 AND d.id NOT BETWEEN 1 AND c.dictionaries",
		1,
		{TEXTOID}};
	Datum value = CStringGetTextDatum(ledger->channel);

	return report_rows(&statement, &value, report, context);
}

/* ---- repair ---- */

static void run_sql(const char *format, ...) pg_attribute_printf(1, 2);

static void
run_sql(const char *format, ...)
{
	char sql[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sql, sizeof(sql), format, arguments);
	va_end(arguments);
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", sql);
}

static void
reindex_table(void *context)
{
	run_sql("REINDEX TABLE %s", (const char *) context);
}

/*
 * This is enough in most cases. A unique index cannot be built over rows with the same key; the
 * chain tells which of them is right.
 */
static void
make_indexes(const Ledger *ledger, const char *name, Oid table)
{
	char *full_name = psprintf("fabric_internal.%s_%d", name, ledger->id);
	char *why;

	if (ledger_try(reindex_table, full_name, &why))
		return;
	index_check_remove_duplicates(table);
	reindex_table(full_name);
}

static void
remove_dictionaries(const Ledger *ledger)
{
	run_sql(
		"DELETE FROM fabric_internal.envelope_dictionary d USING fabric_internal.channel c WHERE c.channel = d.channel AND d.channel = %s "
		"AND (sha256(d.content) <> d.digest OR d.id NOT BETWEEN 1 AND c.dictionaries)",
		quote_literal_cstr(ledger->channel));
	dictionary_forget_all();
}

void
ledger_repair_tables(const char *channel, LedgerDamage report, void *context)
{
	static const char *const guarded[] = {"transaction", "block", "history"};
	static const char *const names[] = {"raft_log", "transaction",	 "block",	 "world_state",
										"history",	"private_state", "transient"};
	Oid tables[lengthof(names)];
	const Ledger *ledger;
	SpiScope scope;

	/* before the channel is looked up: that needs its indexes */
	ledger_repair_partitions(channel);
	ledger = ledger_open(channel);
	LockRelationOid(ledger->raft_log.table, ShareRowExclusiveLock);
	ledger_repair_begin(ledger);
	LockRelationOid(ledger->private_state.table, ShareRowExclusiveLock);
	LockRelationOid(ledger->transient.table, ShareRowExclusiveLock);
	page_check_repair(ledger, report, context);
	memcpy(tables, (Oid[]) LEDGER_TABLES(ledger), sizeof(tables));
	spi_begin(&scope);
	for (int i = 0; i < lengthof(guarded); i++)
		run_sql("ALTER TABLE fabric_internal.%s_%d ENABLE TRIGGER USER", guarded[i], ledger->id);
	run_sql("ALTER TABLE fabric_internal.envelope_dictionary ENABLE TRIGGER USER");
	for (int i = 0; i < lengthof(names); i++)
	{
		make_indexes(ledger, names[i], tables[i]);
		index_check_remove_unreadable(tables[i], report, context);
	}
	remove_dictionaries(ledger);
	spi_end(&scope);
}
