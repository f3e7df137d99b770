/* shim_functions.c: the functions that chaincode calls */
#include "server/surface/surface_internal.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "server/chaincode/chaincode.h"

FABRIC_FUNCTION(fabric_shim_get_tx_id);
FABRIC_FUNCTION(fabric_shim_get_channel_id);
FABRIC_FUNCTION(fabric_shim_get_creator);
FABRIC_FUNCTION(fabric_shim_get_tx_timestamp);
FABRIC_FUNCTION(fabric_shim_get_function);
FABRIC_FUNCTION(fabric_shim_get_arguments);
FABRIC_FUNCTION(fabric_shim_get_transient);
FABRIC_FUNCTION(fabric_shim_list_transient);
FABRIC_FUNCTION(fabric_shim_get_client_msp_id);
FABRIC_FUNCTION(fabric_shim_get_client_id);
FABRIC_FUNCTION(fabric_shim_get_client_attribute);
FABRIC_FUNCTION(fabric_shim_get_state);
FABRIC_FUNCTION(fabric_shim_get_state_text);
FABRIC_FUNCTION(fabric_shim_get_state_json);
FABRIC_FUNCTION(fabric_shim_put_state);
FABRIC_FUNCTION(fabric_shim_put_state_jsonb);
FABRIC_FUNCTION(fabric_shim_del_state);
FABRIC_FUNCTION(fabric_shim_get_state_by_range);
FABRIC_FUNCTION(fabric_shim_get_state_by_range_with_pagination);
FABRIC_FUNCTION(fabric_shim_create_composite_key);
FABRIC_FUNCTION(fabric_shim_split_composite_key);
FABRIC_FUNCTION(fabric_shim_get_state_by_partial_composite_key);
FABRIC_FUNCTION(fabric_shim_get_state_by_partial_composite_key_with_pagination);
FABRIC_FUNCTION(fabric_shim_get_history_for_key);
FABRIC_FUNCTION(fabric_shim_set_event);
FABRIC_FUNCTION(fabric_shim_set_event_jsonb);
FABRIC_FUNCTION(fabric_shim_set_state_validation_parameter);
FABRIC_FUNCTION(fabric_shim_get_state_validation_parameter);
FABRIC_FUNCTION(fabric_shim_state_policy);

/* ---- arguments and results ---- */

/* Require a non-null argument. Outside a simulation, raise the error about that instead. */
static void
require_argument(FunctionCallInfo fcinfo, int index, const char *name)
{
	(void) shim_request();
	argument_require(fcinfo, index, name);
}

/* Bytes that must be text here. what: their name in the error. */
static text *
checked_text(FbBytes bytes, const char *what)
{
	if (bytes.size > 0 && (memchr(bytes.data, 0, bytes.size) != NULL ||
						   !pg_verifymbstr((const char *) bytes.data, bytes.size, true)))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE), errmsg("%s is not text", what),
				 errhint("Use the form of the function that takes and gives bytea.")));
	return memory_text(bytes);
}

/* the text form, which is the same on every node */
static FbBytes
jsonb_bytes(Jsonb *value)
{
	return fb_bytes_of_text(JsonbToCString(NULL, &value->root, VARSIZE(value)));
}

static Datum
bytes_or_null(FbBytes bytes)
{
	return PointerGetDatum(memory_bytea(bytes));
}

/* ---- the call ---- */

Datum
fabric_shim_get_tx_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(shim_request()->tx_id));
}

Datum
fabric_shim_get_channel_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(shim_request()->channel));
}

Datum
fabric_shim_get_creator(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(bytes_or_null(shim_request()->creator));
}

Datum
fabric_shim_get_tx_timestamp(PG_FUNCTION_ARGS)
{
	const TxTime *time = &shim_request()->timestamp;
	int64 epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	TimestampTz timestamp;

	if (!time->present)
		PG_RETURN_NULL();
	if (time->seconds < -INT64CONST(62135596800) || time->seconds > INT64CONST(253402300799))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("the transaction's timestamp is out of range")));
	timestamp = (time->seconds - epoch) * USECS_PER_SEC + time->nanoseconds / 1000;
	PG_RETURN_TIMESTAMPTZ(timestamp);
}

Datum
fabric_shim_get_function(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(checked_text(shim_request()->arguments[0], "the function's name"));
}

Datum
fabric_shim_get_arguments(PG_FUNCTION_ARGS)
{
	const SimulationRequest *request = shim_request();
	int count = (int) request->arguments_count - 1;
	Datum *elements = palloc_array(Datum, count + 1);

	for (int i = 0; i < count; i++)
		elements[i] = bytes_or_null(request->arguments[i + 1]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, BYTEAOID, -1, false, TYPALIGN_INT));
}

Datum
fabric_shim_get_transient(PG_FUNCTION_ARGS)
{
	FbBytes value;

	require_argument(fcinfo, 0, "name");
	if (!shim_get_transient(PG_GETARG_FB_BYTES(0), &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytes_or_null(value));
}

Datum
fabric_shim_list_transient(PG_FUNCTION_ARGS)
{
	const SimulationRequest *request = shim_request();
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < request->transient_count; i++)
	{
		Datum values[2];
		bool nulls[2] = {false};

		values[0] = PointerGetDatum(
			checked_text(request->transient[i].key, "the name of a transient value"));
		values[1] = bytes_or_null(request->transient[i].value);
		RESULT_ADD(set, values, nulls);
	}
	return (Datum) 0;
}

Datum
fabric_shim_get_client_msp_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(shim_client_msp_id()));
}

Datum
fabric_shim_get_client_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(shim_client_id()));
}

Datum
fabric_shim_get_client_attribute(PG_FUNCTION_ARGS)
{
	FbBytes value;

	require_argument(fcinfo, 0, "name");
	if (!shim_client_attribute(PG_GETARG_FB_BYTES(0), &value))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(checked_text(value, "the attribute's value"));
}

/* ---- state ---- */

/* Keys are text or bytea: the same C functions serve both, because the C type of both is bytes. */

Datum
fabric_shim_get_state(PG_FUNCTION_ARGS)
{
	FbBytes value;

	require_argument(fcinfo, 0, "key");
	if (!shim_get_state(PG_GETARG_FB_BYTES(0), &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytes_or_null(value));
}

Datum
fabric_shim_get_state_text(PG_FUNCTION_ARGS)
{
	FbBytes value;

	require_argument(fcinfo, 0, "key");
	if (!shim_get_state(PG_GETARG_FB_BYTES(0), &value))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(checked_text(value, "the value"));
}

Datum
fabric_shim_get_state_json(PG_FUNCTION_ARGS)
{
	FbBytes value;

	require_argument(fcinfo, 0, "key");
	if (!shim_get_state(PG_GETARG_FB_BYTES(0), &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(
													  checked_text(value, "the value")))));
}

static void
require_value(FunctionCallInfo fcinfo)
{
	require_argument(fcinfo, 0, "key");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("argument \"value\" must not be null"),
				 errhint("fabric.del_state deletes a key.")));
}

/* text, json and bytea are stored as they are */
Datum
fabric_shim_put_state(PG_FUNCTION_ARGS)
{
	require_value(fcinfo);
	shim_put_state(PG_GETARG_FB_BYTES(0), PG_GETARG_FB_BYTES(1));
	PG_RETURN_VOID();
}

Datum
fabric_shim_put_state_jsonb(PG_FUNCTION_ARGS)
{
	Jsonb *value;

	require_value(fcinfo);
	value = PG_GETARG_JSONB_P(1);
	shim_put_state(PG_GETARG_FB_BYTES(0), jsonb_bytes(value));
	PG_RETURN_VOID();
}

Datum
fabric_shim_del_state(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "key");
	shim_delete_state(PG_GETARG_FB_BYTES(0));
	PG_RETURN_VOID();
}

/* ---- ranges ---- */

/* the next row of a cursor as (key, value); the key as text or as bytea */
static Datum
next_row(FunctionCallInfo fcinfo, bool text_keys)
{
	FuncCallContext *context = SRF_PERCALL_SETUP();
	FbBytes key;
	FbBytes value;
	Datum values[2];
	bool nulls[2] = {false};

	if (!shim_cursor_next(context->user_fctx, &key, &value))
		SRF_RETURN_DONE(context);
	values[0] =
		text_keys ? PointerGetDatum(checked_text(key, "a key of the range")) : bytes_or_null(key);
	values[1] = bytes_or_null(value);
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
}

static void
prepare_rows(FunctionCallInfo fcinfo, FuncCallContext *context, ShimCursor *cursor)
{
	TupleDesc description;
	MemoryContext caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);

	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context->tuple_desc = BlessTupleDesc(description);
	context->user_fctx = cursor;
	MemoryContextSwitchTo(caller);
}

static bool
first_argument_is_text(FunctionCallInfo fcinfo)
{
	return get_fn_expr_argtype(fcinfo->flinfo, 0) != BYTEAOID;
}

Datum
fabric_shim_get_state_by_range(PG_FUNCTION_ARGS)
{
	bool text_keys = first_argument_is_text(fcinfo);

	if (SRF_IS_FIRSTCALL())
	{
		require_argument(fcinfo, 0, "start_key");
		require_argument(fcinfo, 1, "end_key");
		prepare_rows(fcinfo, SRF_FIRSTCALL_INIT(),
					 shim_open_range(PG_GETARG_FB_BYTES(0), PG_GETARG_FB_BYTES(1)));
	}
	return next_row(fcinfo, text_keys);
}

Datum
fabric_shim_get_state_by_partial_composite_key(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		FbBytes *attributes;
		size_t count;

		require_argument(fcinfo, 0, "object_type");
		require_argument(fcinfo, 1, "attributes");
		attributes = argument_byte_array(fcinfo, 1, "attributes", &count);
		prepare_rows(fcinfo, SRF_FIRSTCALL_INIT(),
					 shim_open_composite(PG_GETARG_FB_BYTES(0), attributes, count));
	}
	return next_row(fcinfo, false);
}

/* a page: each row has the bookmark of the next page, empty on the last page */
static Datum
put_page(FunctionCallInfo fcinfo, const ShimPage *page, bool text_keys)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < page->rows_count; i++)
	{
		Datum values[3];
		bool nulls[3] = {false};

		values[0] = text_keys
						? PointerGetDatum(checked_text(page->rows[i].key, "a key of the range"))
						: bytes_or_null(page->rows[i].key);
		values[1] = bytes_or_null(page->rows[i].value);
		values[2] = text_keys ? PointerGetDatum(checked_text(page->bookmark, "the bookmark"))
							  : bytes_or_null(page->bookmark);
		RESULT_ADD(set, values, nulls);
	}
	return (Datum) 0;
}

Datum
fabric_shim_get_state_by_range_with_pagination(PG_FUNCTION_ARGS)
{
	ShimPage page;

	require_argument(fcinfo, 0, "start_key");
	require_argument(fcinfo, 1, "end_key");
	require_argument(fcinfo, 2, "page_size");
	require_argument(fcinfo, 3, "bookmark");
	shim_page_range(PG_GETARG_FB_BYTES(0), PG_GETARG_FB_BYTES(1), PG_GETARG_INT32(2),
					PG_GETARG_FB_BYTES(3), &page);
	return put_page(fcinfo, &page, first_argument_is_text(fcinfo));
}

Datum
fabric_shim_get_state_by_partial_composite_key_with_pagination(PG_FUNCTION_ARGS)
{
	FbBytes *attributes;
	size_t count;
	ShimPage page;

	require_argument(fcinfo, 0, "object_type");
	require_argument(fcinfo, 1, "attributes");
	require_argument(fcinfo, 2, "page_size");
	require_argument(fcinfo, 3, "bookmark");
	attributes = argument_byte_array(fcinfo, 1, "attributes", &count);
	shim_page_composite(PG_GETARG_FB_BYTES(0), attributes, count, PG_GETARG_INT32(2),
						PG_GETARG_FB_BYTES(3), &page);
	return put_page(fcinfo, &page, false);
}

/* ---- composite keys: pure functions ---- */

Datum
fabric_shim_create_composite_key(PG_FUNCTION_ARGS)
{
	FbBytes *attributes;
	size_t count;

	attributes = argument_byte_array(fcinfo, 1, "attributes", &count);
	PG_RETURN_DATUM(bytes_or_null(shim_composite_key(PG_GETARG_FB_BYTES(0), attributes, count)));
}

Datum
fabric_shim_split_composite_key(PG_FUNCTION_ARGS)
{
	TupleDesc description;
	FbBytes *parts;
	size_t count = shim_split_composite_key(PG_GETARG_FB_BYTES(0), &parts);
	Datum *attributes = palloc_array(Datum, count + 1);
	Datum values[2];
	bool nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (count == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("not a composite key"),
						errdetail("A composite key begins with U+0000 and ends with it.")));
	for (size_t i = 1; i < count; i++)
		attributes[i - 1] =
			PointerGetDatum(checked_text(parts[i], "an attribute of the composite key"));
	values[0] = PointerGetDatum(checked_text(parts[0], "the object type of the composite key"));
	values[1] = PointerGetDatum(
		construct_array(attributes, (int) count - 1, TEXTOID, -1, false, TYPALIGN_INT));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}

/* ---- history, events, policies of keys ---- */

static void
put_history_row(void *context, const ShimHistory *write)
{
	ReturnSetInfo *set = context;
	Datum values[5];
	bool nulls[5] = {false};

	values[0] = PointerGetDatum(memory_text(write->tx_id));
	nulls[1] = write->is_delete;
	values[1] = nulls[1] ? (Datum) 0 : bytes_or_null(write->value);
	nulls[2] = TIMESTAMP_IS_NOBEGIN(write->created_at);
	values[2] = TimestampTzGetDatum(write->created_at);
	values[3] = BoolGetDatum(write->is_delete);
	values[4] = Int64GetDatum((int64) write->block_number);
	RESULT_ADD(set, values, nulls);
}

Datum
fabric_shim_get_history_for_key(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "key");
	InitMaterializedSRF(fcinfo, 0);
	shim_history(PG_GETARG_FB_BYTES(0), put_history_row, fcinfo->resultinfo);
	return (Datum) 0;
}

Datum
fabric_shim_set_event(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "name");
	require_argument(fcinfo, 1, "payload");
	shim_set_event(PG_GETARG_FB_BYTES(0), PG_GETARG_FB_BYTES(1));
	PG_RETURN_VOID();
}

Datum
fabric_shim_set_event_jsonb(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "name");
	require_argument(fcinfo, 1, "payload");
	shim_set_event(PG_GETARG_FB_BYTES(0), jsonb_bytes(PG_GETARG_JSONB_P(1)));
	PG_RETURN_VOID();
}

Datum
fabric_shim_set_state_validation_parameter(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "key");
	require_argument(fcinfo, 1, "policy");
	shim_set_validation_parameter(PG_GETARG_FB_BYTES(0), PG_GETARG_FB_BYTES(1));
	PG_RETURN_VOID();
}

Datum
fabric_shim_get_state_validation_parameter(PG_FUNCTION_ARGS)
{
	FbBytes parameter;

	require_argument(fcinfo, 0, "key");
	if (!shim_get_validation_parameter(PG_GETARG_FB_BYTES(0), &parameter))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytes_or_null(parameter));
}

Datum
fabric_shim_state_policy(PG_FUNCTION_ARGS)
{
	FbBytes *msp_ids;
	size_t count;

	msp_ids = argument_byte_array(fcinfo, 1, "msp_ids", &count);
	PG_RETURN_DATUM(
		bytes_or_null(shim_state_policy(text_to_cstring(PG_GETARG_TEXT_PP(0)), msp_ids, count)));
}
