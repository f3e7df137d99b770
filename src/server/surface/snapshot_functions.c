/* snapshot_functions.c: SQL functions of snapshots */
#include "server/surface/surface_internal.h"

#include "miscadmin.h"

#include "server/snapshots/snapshots.h"

FABRIC_FUNCTION(fabric_snapshot);
FABRIC_FUNCTION(fabric_verify_snapshot);
FABRIC_FUNCTION(fabric_compare_snapshots);

/* snapshot(channel): (directory, block_number, snapshot_hash) */
Datum
fabric_snapshot(PG_FUNCTION_ARGS)
{
	const Ledger *ledger = ledger_open(argument_text(fcinfo, 0, "channel"));
	SnapshotExport snapshot;
	char hex[2 * CRYPTO_SHA256_BYTES + 1];
	Datum values[3];
	bool nulls[3] = {false};

	snapshot_export(ledger, &snapshot);
	fb_hex_encode(fb_bytes(snapshot.hash, sizeof(snapshot.hash)), hex);
	values[0] = CStringGetTextDatum(snapshot.directory);
	values[1] = Int64GetDatum((int64) snapshot.block_number);
	values[2] = CStringGetTextDatum(hex);
	return result_row(fcinfo, values, nulls, lengthof(values));
}

/* verify_snapshot(directory): what it is of, and how much is in it */
Datum
fabric_verify_snapshot(PG_FUNCTION_ARGS)
{
	SnapshotContents contents;
	char hex[2 * CRYPTO_SHA256_BYTES + 1];
	Datum values[7];
	bool nulls[7] = {false};

	snapshot_open(argument_text(fcinfo, 0, "directory"), &contents);
	snapshot_verify(&contents);
	fb_hex_encode(fb_bytes(contents.hash, sizeof(contents.hash)), hex);
	values[0] = CStringGetTextDatum(contents.metadata.channel);
	values[1] = Int64GetDatum((int64) contents.metadata.last_block_number);
	values[2] = CStringGetTextDatum(hex);
	values[3] = Int64GetDatum((int64) contents.public_keys);
	values[4] = Int64GetDatum((int64) contents.private_keys);
	values[5] = Int64GetDatum((int64) contents.tx_ids);
	values[6] = Int64GetDatum((int64) contents.collection_configs);
	return result_row(fcinfo, values, nulls, lengthof(values));
}

typedef struct DifferenceRows
{
	ReturnSetInfo *result;
	int64 left;
} DifferenceRows;

/* value or NULL, and the version as "block:transaction" */
static void
put_side(const StateRow *row, Datum *values, bool *nulls)
{
	nulls[0] = nulls[1] = nulls[2] = row == NULL;
	if (row == NULL)
		return;
	values[0] = PointerGetDatum(memory_bytea(row->value));
	values[1] = Int64GetDatum((int64) row->version.block_number);
	values[2] = Int32GetDatum((int32) row->version.tx_index);
}

static bool
put_difference(void *context, const StateRow *row, const StateRow *other)
{
	DifferenceRows *rows = context;
	const StateRow *named = row != NULL ? row : other;
	Datum values[8];
	bool nulls[8] = {false};

	CHECK_FOR_INTERRUPTS();
	values[0] = PointerGetDatum(memory_text(named->namespace_name));
	values[1] = PointerGetDatum(memory_bytea(named->key));
	put_side(row, values + 2, nulls + 2);
	put_side(other, values + 5, nulls + 5);
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc, values, nulls);
	return --rows->left > 0;
}

/* compare_snapshots(directory, other_directory, limit): a row for each key that differs */
Datum
fabric_compare_snapshots(PG_FUNCTION_ARGS)
{
	char *directory = argument_text(fcinfo, 0, "directory");
	char *other_directory = argument_text(fcinfo, 1, "other_directory");
	DifferenceRows rows = {(ReturnSetInfo *) fcinfo->resultinfo, 0};

	argument_require(fcinfo, 2, "differences_max");
	rows.left = PG_GETARG_INT32(2);
	if (rows.left < 1)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must be positive", "differences_max")));
	InitMaterializedSRF(fcinfo, 0);
	snapshot_compare(directory, other_directory, put_difference, &rows);
	return (Datum) 0;
}
