/* arrays.c: rows as arrays, one for each column, for statements that take a set of rows */
#include "server/ledger/ledger_internal.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

/*
 * values of one statement: far more than a usual block has, far less than an array can hold
 */
#define BATCH_BYTES_MAX (64 * 1024 * 1024)

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
