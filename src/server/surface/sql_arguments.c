/* sql_arguments.c: read SQL arguments, build result rows */
#include "server/surface/surface_internal.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

void
argument_require(FunctionCallInfo fcinfo, int index, const char *name)
{
	if (PG_ARGISNULL(index))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be null", name)));
}

char *
argument_text(FunctionCallInfo fcinfo, int index, const char *name)
{
	argument_require(fcinfo, index, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(index));
}

FbBytes
argument_bytes(FunctionCallInfo fcinfo, int index, const char *name)
{
	argument_require(fcinfo, index, name);
	return PG_GETARG_FB_BYTES(index);
}

bool
argument_is_import(FunctionCallInfo fcinfo, int index, const char *name)
{
	char *source = argument_text(fcinfo, index, name);

	if (strcmp(source, "import") != 0 && strcmp(source, "orderers") != 0)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("unrecognized source of blocks \"%s\"", error_excerpt(source)),
			 errhint(
				 "Use 'orderers', or 'import' for a channel that gets its blocks only from fabric.import_block.")));
	return strcmp(source, "import") == 0;
}

int
argument_milliseconds(FunctionCallInfo fcinfo, int index, const char *name, int default_ms)
{
	Interval *interval;
	int64 milliseconds;

	if (PG_ARGISNULL(index))
		return default_ms;
	interval = PG_GETARG_INTERVAL_P(index);
	milliseconds = interval->time / 1000 + (int64) interval->day * 86400000 +
				   (int64) interval->month * 30 * INT64CONST(86400000);
	if (milliseconds < 0 || milliseconds > PG_INT32_MAX)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("argument \"%s\" is out of range", name),
				 errdetail("It must be between 0 and 24 days.")));
	return (int) milliseconds;
}

static void
deconstruct_argument(FunctionCallInfo fcinfo, int index, const char *name, Datum **elements,
					 int *count)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(index);
	bool *nulls;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, elements, &nulls, count);
	for (int i = 0; i < *count; i++)
		if (nulls[i])
			ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
							errmsg("argument \"%s\" must not contain nulls", name),
							errdetail("Element %d is null.", i + 1)));
}

FbBytes *
argument_byte_array(FunctionCallInfo fcinfo, int index, const char *name, size_t *count)
{
	Datum *elements;
	int elements_count;
	FbBytes *result;

	*count = 0;
	if (PG_ARGISNULL(index))
		return NULL;
	deconstruct_argument(fcinfo, index, name, &elements, &elements_count);
	result = palloc0(elements_count * sizeof(FbBytes) + 1);
	for (int i = 0; i < elements_count; i++)
		result[i] = memory_bytes(PG_DETOAST_DATUM_PACKED(elements[i]));
	*count = (size_t) elements_count;
	return result;
}

List *
argument_text_list(FunctionCallInfo fcinfo, int index, const char *name)
{
	Datum *elements;
	int count;
	List *list = NIL;

	if (PG_ARGISNULL(index))
		return NIL;
	deconstruct_argument(fcinfo, index, name, &elements, &count);
	for (int i = 0; i < count; i++)
		list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}

TransientEntry *
argument_transient(FunctionCallInfo fcinfo, int index, const char *name, size_t *count)
{
	Jsonb *object;
	JsonbIterator *iterator;
	JsonbValue value;
	JsonbIteratorToken token;
	TransientEntry *entries;

	*count = 0;
	if (PG_ARGISNULL(index))
		return NULL;
	object = PG_GETARG_JSONB_P(index);
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must be a JSON object", name)));
	entries = palloc0(JB_ROOT_COUNT(object) * sizeof(TransientEntry) + 1);
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			entries[*count].key = fb_bytes(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && value.type == jbvString)
			entries[(*count)++].value = fb_bytes(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			/* numbers, objects and other values are passed on as their JSON text */
			char *json = JsonbToCString(NULL,
										value.type == jbvBinary ? value.val.binary.data
																: &JsonbValueToJsonb(&value)->root,
										-1);

			entries[(*count)++].value = fb_bytes_of_text(json);
		}
	}
	return entries;
}

static void
result_check_columns(TupleDesc description, int columns_count)
{
	if (description->natts != columns_count)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function returns %d columns, but is declared with %d", columns_count,
						description->natts),
				 errhint("The library and the extension in this database differ in version.")));
}

void
result_add(ReturnSetInfo *set, Datum *values, bool *nulls, int columns_count)
{
	result_check_columns(set->setDesc, columns_count);
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls, int columns_count)
{
	TupleDesc description;

	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result_check_columns(description, columns_count);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls));
}

Datum
result_payload_text(FbBytes payload)
{
	char *hex;

	if (fb_utf8_valid(payload) &&
		(payload.size == 0 || memchr(payload.data, 0, payload.size) == NULL))
		return PointerGetDatum(memory_text(payload));
	hex = palloc(payload.size * 2 + 3);
	hex[0] = '\\';
	hex[1] = 'x';
	fb_hex_encode(payload, hex + 2);
	return CStringGetTextDatum(hex);
}
