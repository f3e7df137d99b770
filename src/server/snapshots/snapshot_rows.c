/* snapshot_rows.c: transaction ids and the history of collections, read by SQL */
#include "server/snapshots/snapshot_internal.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "core/proto/proto.h"

#define FETCH_ROWS 1000

/*
 * The rows of a query one after the other, on the active snapshot. visit is called in the caller's
 * memory context; the row lives until its end.
 */
static void
read_rows(const char *sql, void (*visit)(void *context, HeapTuple row, TupleDesc columns),
		  void *context)
{
	SpiScope scope;
	Portal portal;
	bool found;

	spi_begin(&scope);
	portal = SPI_cursor_open_with_args(NULL, sql, 0, NULL, NULL, NULL, true, 0);
	do
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			MemoryContext inner = MemoryContextSwitchTo(scope.outer);

			CHECK_FOR_INTERRUPTS();
			visit(context, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
			MemoryContextSwitchTo(inner);
		}
		found = SPI_processed > 0;
		SPI_freetuptable(SPI_tuptable);
	} while (found);
	SPI_cursor_close(portal);
	spi_end(&scope);
}

static FbBytes
row_bytes_of(HeapTuple row, TupleDesc columns, int column)
{
	bool is_null;
	Datum value = SPI_getbinval(row, columns, column, &is_null);

	return is_null ? FB_BYTES_EMPTY : memory_bytes(PG_DETOAST_DATUM_PACKED(value));
}

/* ---- transaction ids ---- */

typedef struct TxIdReader
{
	void (*visit)(void *context, FbBytes tx_id);
	void *context;
} TxIdReader;

static void
visit_tx_id(void *context, HeapTuple row, TupleDesc columns)
{
	TxIdReader *reader = context;

	reader->visit(reader->context, row_bytes_of(row, columns, 1));
}

void
snapshot_read_tx_ids(const Ledger *ledger, void (*visit)(void *context, FbBytes tx_id),
					 void *context)
{
	TxIdReader reader = {visit, context};

	/*
	 * The forms of a stored id are those of tx_index.c. Fabric's index sorts by length first
	 * (blkstorage/blockindex.go, constructTxIDKey).
	 */
	read_rows(
		psprintf(
			"SELECT id FROM (SELECT DISTINCT CASE WHEN length(tx_id) = 32 THEN convert_to(encode(tx_id, 'hex'), 'UTF8') "
			"WHEN length(tx_id) = 33 AND get_byte(tx_id, 0) = 1 THEN substr(tx_id, 3) ELSE substr(tx_id, 2) END AS id "
			"FROM %s WHERE length(tx_id) > 0) ids ORDER BY length(id), id",
			ledger_partition_name(ledger, "transaction")),
		visit_tx_id, &reader);
}

/* ---- the history of collections ---- */

typedef struct ConfigEntry
{
	FbBytes key;
	FbBytes value;
} ConfigEntry;

typedef struct ConfigReader
{
	FbAllocator *allocator;
	MemoryContext context;
	ConfigEntry *entries;
	size_t count;
	size_t capacity;
} ConfigReader;

static FbBytes
keep_value(ConfigReader *reader, FbBytes bytes)
{
	FbBytes copy;
	FbError error;

	error_check(fb_bytes_copy(reader->allocator, bytes, &copy, &error), &error);
	return copy;
}

/*
 * columns: chaincode, block, the value of its field Collections then: pb(StateData) with
 * pb(CollectionConfigPackage) in field 2, which is empty for none
 */
static void
visit_definition(void *context, HeapTuple row, TupleDesc columns)
{
	ConfigReader *reader = context;
	FbBytes rest = row_bytes_of(row, columns, 3);
	FbBytes package = FB_BYTES_EMPTY;
	ProtoField field;
	ConfigEntry *entry;
	bool is_null;
	FbError error;

	while (proto_next_field(&rest, &field))
		if (field.number == 2 && field.is_bytes)
			package = field.bytes;
	if (package.size == 0)
		return;
	if (reader->count == reader->capacity)
	{
		reader->capacity = Max(16, reader->capacity * 2);
		reader->entries =
			reader->entries == NULL
				? MemoryContextAlloc(reader->context, reader->capacity * sizeof(ConfigEntry))
				: repalloc_huge(reader->entries, reader->capacity * sizeof(ConfigEntry));
	}
	entry = &reader->entries[reader->count++];
	entry->value = keep_value(reader, package);
	error_check(snapshot_config_key(reader->allocator, row_bytes_of(row, columns, 1),
									(uint64) DatumGetInt64(
										SPI_getbinval(row, columns, 2, &is_null)),
									&entry->key, &error),
				&error);
}

static int
compare_config_entries(const void *left, const void *right)
{
	return fb_bytes_compare(((const ConfigEntry *) left)->key, ((const ConfigEntry *) right)->key);
}

void
snapshot_read_config_history(const Ledger *ledger,
							 void (*visit)(void *context, FbBytes key, FbBytes value),
							 void *context)
{
	ConfigReader reader = {.allocator = memory_allocator(CurrentMemoryContext),
						   .context = CurrentMemoryContext};
	const char *history = ledger_partition_name(ledger, "history");

	read_rows(
		psprintf(
			"SELECT chaincode, block_number, (SELECT c.value FROM %s c WHERE c.namespace = '_lifecycle' "
			"AND c.key = '\\x6e616d657370616365732f6669656c64732f'::bytea || chaincode || convert_to('/Collections', 'UTF8') "
			"AND c.block_number <= s.block_number ORDER BY c.block_number DESC, c.position DESC LIMIT 1) "
			"FROM (SELECT DISTINCT substr(key, 19, length(key) - 27) AS chaincode, block_number FROM %s "
			"WHERE namespace = '_lifecycle' AND key >= convert_to('namespaces/fields/', 'UTF8') "
			"AND key < convert_to('namespaces/fields0', 'UTF8') AND length(key) > 27 "
			"AND substr(key, length(key) - 8) = convert_to('/Sequence', 'UTF8')) s",
			history, history),
		visit_definition, &reader);
	if (reader.count > 1)
		qsort(reader.entries, reader.count, sizeof(ConfigEntry), compare_config_entries);
	for (size_t i = 0; i < reader.count; i++)
		visit(context, reader.entries[i].key, reader.entries[i].value);
}
