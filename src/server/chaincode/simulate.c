/*
 * simulate: one call of chaincode, from its arguments to its read-write set.
 *
 * The function runs in a subtransaction that is always rolled back. The rollback also restores
 * everything that sandbox_enter changed: user, settings, search path. The result and the builder's
 * memory must survive it and are allocated outside.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "server/chaincode/chaincode_internal.h"

/* ---- the node's limits ---- */

static void
simulate_throw_time_is_up(const SimulationRequest *request)
{
	ereport(ERROR, (fb_errcode(FB_CHAINCODE_TIMEOUT),
					errmsg("chaincode \"%s\" did not finish in %d ms", request->chaincode,
						   guc_chaincode_execute_timeout),
					errhint("The limit of this node is fabric.chaincode_execute_timeout.")));
}

static void
throw_out_of_stack(const SimulationRequest *request, const ErrorData *error)
{
	ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
					errmsg("chaincode \"%s\" nests its calls too deeply", request->chaincode),
					errdetail_internal("%s", error->message),
					errhint("The limit of this node is max_stack_depth.")));
}

static void
throw_out_of_memory(const SimulationRequest *request, const ErrorData *error)
{
	ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
					errmsg("chaincode \"%s\" needs too much memory", request->chaincode),
					errdetail_internal("%s", error->detail ? error->detail : error->message),
					errhint("The limit of this node is fabric.chaincode_memory_limit.")));
}

/* ---- arguments ---- */

/* the parameter that an argument belongs to; a variadic parameter takes all remaining arguments */
static ChaincodeParameter *
parameter_of(ChaincodeFunction *function, int index)
{
	return &function->parameters[Min(index, function->parameters_count - 1)];
}

static void
simulate_check_count(const ChaincodeFunction *function, int count)
{
	int least =
		function->parameters_count - function->defaults_count - (function->is_variadic ? 1 : 0);
	bool too_many = count > function->parameters_count && !function->is_variadic;

	if (count < Max(least, 0) || too_many || count > CHAINCODE_ARGUMENTS_MAX)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("function \"%s\" does not take %d arguments", function->name, count),
				 function->is_variadic ? errdetail("It takes %d or more: %s.", Max(least, 0),
												   function_cache_signature(function))
				 : least < function->parameters_count
					 ? errdetail("It takes %d to %d: %s.", least, function->parameters_count,
								 function_cache_signature(function))
					 : errdetail("It takes %d: %s.", least, function_cache_signature(function))));
}

static bool
is_text_type(FbBytes argument)
{
	return argument.size == 0 ||
		   (memchr(argument.data, 0, argument.size) == NULL &&
			pg_verifymbstr((const char *) argument.data, argument.size, true));
}

static char *
simulate_text(FbBytes argument)
{
	if (!is_text_type(argument))
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("it is not text in the encoding %s", GetDatabaseEncodingName())));
	return memory_cstring(argument);
}

/* a bytea parameter takes an argument that is not text as it is */
static Datum
cast_argument(ChaincodeParameter *parameter, FbBytes argument)
{
	Datum value;

	if (parameter->type == BYTEAOID && !is_text_type(argument))
		return PointerGetDatum(memory_bytea(argument));
	value = InputFunctionCall(&parameter->input, simulate_text(argument), parameter->type_parameter,
							  -1);
	if (query_check_is_now(parameter->type, value))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("it depends on the clock of the node")));
	return value;
}

static const char *
argument_hint(FbBytes argument, const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW && is_text_type(argument) &&
		fixed_clock_has_special_word(simulate_text(argument)))
		return "Give the date or time itself: special strings such as \"today\" would differ between nodes.";
	return error->hint;
}

/* convert texts to values of the parameters' types; an error names the argument */
static void
cast_arguments(ChaincodeFunction *function, const FbBytes *arguments, int count, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int index = 0;

	PG_TRY();
	{
		for (; index < count; index++)
			values[index] = cast_argument(parameter_of(function, index), arguments[index]);
	}
	PG_CATCH();
	{
		ChaincodeParameter *parameter = parameter_of(function, index);
		ErrorData *error;
		const char *hint;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
			PG_RE_THROW();
		FlushErrorState();
		hint = argument_hint(arguments[index], error);
		ereport(ERROR, (errcode(error->sqlerrcode),
						errmsg("argument %d of function \"%s\"%s%s%s of type %s: %s", index + 1,
							   function->name, parameter->name[0] ? " (\"" : "", parameter->name,
							   parameter->name[0] ? "\")" : "", format_type_be(parameter->type),
							   error->message),
						error->detail ? errdetail_internal("%s", error->detail) : 0,
						hint ? errhint("%s", hint)
							 : errhint("The function is %s.", function_cache_signature(function))));
	}
	PG_END_TRY();
}

/* ---- results ---- */

static FbBytes
copy_result(Simulation *simulation, FbBytes bytes)
{
	FbBytes copy;
	FbError error;

	error_check(fb_bytes_copy(simulation->allocator, bytes, &copy, &error), &error);
	return copy;
}

/* a bytea as it is, a row as JSON, any other value as its text */
static FbBytes
render_result(ChaincodeFunction *function, Datum value)
{
	if (function->result_type == BYTEAOID)
		return memory_bytes(PG_DETOAST_DATUM_PACKED(value));
	if (function->result_type == RECORDOID || function->result_kind == TYPTYPE_COMPOSITE)
		return memory_bytes(PG_DETOAST_DATUM_PACKED(DirectFunctionCall1(row_to_json, value)));
	return fb_bytes_of_text(OutputFunctionCall(&function->output, value));
}

static FbBytes
call_directly(ChaincodeFunction *function, const Datum *values, int count)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Datum value;

	InitFunctionCallInfoData(*fcinfo, &function->call, count, InvalidOid, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		fcinfo->args[i].value = values[i];
		fcinfo->args[i].isnull = false;
	}
	value = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull || function->result_type == VOIDOID)
		return FB_BYTES_EMPTY;
	return render_result(function, value);
}

/* ---- calls that need the parser: default values, variadic parameters, sets ---- */

static SPIPlanPtr
prepare_plan(ChaincodeFunction *function, int count)
{
	StringInfoData sql;
	Oid types[FUNC_MAX_ARGS];
	bool no_variadic_argument = function->is_variadic && count < function->parameters_count;
	SPIPlanPtr plan;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 function->returns_set ? "SELECT pg_catalog.to_json(r) FROM %s(" : "SELECT %s(",
					 quote_qualified_identifier(get_namespace_name(function->schema),
												function->name));
	for (int i = 0; i < count; i++)
	{
		types[i] = parameter_of(function, i)->type;
		appendStringInfo(&sql, "%s$%d", i > 0 ? ", " : "", i + 1);
	}
	if (no_variadic_argument && count == function->parameters_count - 1)
		appendStringInfo(&sql, "%sVARIADIC '{}'::%s[]", count > 0 ? ", " : "",
						 format_type_be_qualified(parameter_of(function, count)->type));
	appendStringInfoString(&sql, function->returns_set ? ") AS r" : ")");
	plan = SPI_prepare(sql.data, count, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the call of \"%s\": %s", function->name,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

static SPIPlanPtr
plan_for(ChaincodeFunction *function, int count)
{
	if (function->plans == NULL)
	{
		function->plans = MemoryContextAllocZero(GetMemoryChunkContext(function),
												 sizeof(SPIPlanPtr) * (FUNC_MAX_ARGS + 1));
		function->plans_count = FUNC_MAX_ARGS + 1;
	}
	if (function->plans[count] == NULL)
		function->plans[count] = prepare_plan(function, count);
	return function->plans[count];
}

static FbBytes
read_set(void)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		if (i > 0)
			appendStringInfoChar(&json, ',');
		if (isnull)
			appendStringInfoString(&json, "null");
		else
		{
			FbBytes row = memory_bytes(PG_DETOAST_DATUM_PACKED(value));

			appendBinaryStringInfo(&json, (const char *) row.data, row.size);
		}
	}
	appendStringInfoChar(&json, ']');
	return fb_bytes(json.data, json.len);
}

static FbBytes
call_by_query(Simulation *simulation, ChaincodeFunction *function, Datum *values, int count)
{
	FbBytes payload = FB_BYTES_EMPTY;
	int code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	code = SPI_execute_plan(plan_for(function, count), values, NULL, false, 0);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "could not call \"%s\": %s", function->name, SPI_result_code_string(code));
	if (function->returns_set)
		payload = copy_result(simulation, read_set());
	else if (SPI_processed == 1 && function->result_type != VOIDOID)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		if (!isnull)
			payload = copy_result(simulation, render_result(function, value));
	}
	SPI_finish();
	return payload;
}

/* ---- one call ---- */

static void
throw_no_function(const SimulationRequest *request, Oid schema, const char *name)
{
	char *nearest = function_cache_nearest(schema, name);
	char *list = function_cache_list(schema);

	ereport(
		ERROR,
		(fb_errcode(FB_CHAINCODE_NOT_FOUND),
		 errmsg("chaincode \"%s\" has no function \"%s\"", request->chaincode, error_excerpt(name)),
		 name[0] == '_'
			 ? errdetail(
				   "Functions whose names begin with an underscore are the chaincode's own, they "
				   "cannot be called from outside. The others are: %s.",
				   list)
		 : list[0] != '\0' ? errdetail("Its functions are: %s.", list)
						   : errdetail("It has no functions."),
		 nearest != NULL ? errhint("Perhaps you meant the function \"%s\".", nearest) : 0));
}

static void
call_function(Simulation *simulation, Oid schema)
{
	const SimulationRequest *request = simulation->request;
	int count = (int) request->arguments_count - 1;
	Datum values[FUNC_MAX_ARGS];
	FbBytes name_bytes = request->arguments_count > 0 ? request->arguments[0] : FB_BYTES_EMPTY;
	const char *name = simulate_text(name_bytes);
	ChaincodeFunction *function = function_cache_find(schema, name);

	if (function == NULL)
		throw_no_function(request, schema, name);
	simulate_check_count(function, count);
	cast_arguments(function, request->arguments + 1, count, values);
	if (!function->returns_set && !function->is_variadic && count == function->parameters_count)
		simulation->result->payload =
			copy_result(simulation, call_directly(function, values, count));
	else
		simulation->result->payload = call_by_query(simulation, function, values, count);
}

/* A text that the chaincode chose, of any length, for a message to the client. */
static char *
refusal_text(const char *text)
{
	int size;

	if (text == NULL || text[0] == '\0')
		return NULL;
	size = pg_mbcliplen(text, (int) strnlen(text, CHAINCODE_REFUSAL_TEXT_BYTES_MAX + 1),
						CHAINCODE_REFUSAL_TEXT_BYTES_MAX);
	return memory_cstring(fb_bytes(text, size));
}

static void
keep_refusal(SimulationResult *result, const ErrorData *error, int32 status)
{
	char *message = refusal_text(error->message);

	result->status = status;
	result->message = message != NULL ? message : pstrdup("unknown error");
	result->detail = refusal_text(error->detail);
	result->hint = refusal_text(error->hint);
	/*
	 * the other lines quote the data at hand (JSON, dynamic statements, parameters), which would
	 * get into the logs of all endorsers
	 */
	result->context = refusal_text(unlogged_functions(error->context));
	strlcpy(result->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result->sqlstate));
	result->payload = FB_BYTES_EMPTY;
}

/* raise an error of the node itself as it is, or as the limit that was reached */
static void
throw_node_failure(const SimulationRequest *request, const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
		error->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		throw_out_of_memory(request, error);
	if (error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX)
		throw_out_of_stack(request, error);
	ReThrowError((ErrorData *) error);
}

static void
enter_chaincode(const Simulation *simulation, Oid schema, bool needs_interpreter,
				MemoryContext context, void *stack_base)
{
	const char *what = psprintf("chaincode \"%s\"", simulation->request->chaincode);

	sandbox_enter(schema);
	conditions_start(what, context);
	if (simulation->request->transient_count > 0)
		conditions_hide_from_log();
	if (needs_interpreter)
		interpreter_enter();
	time_limit_start(what, guc_chaincode_execute_timeout, stack_base);
	sandbox_guard(schema);
}

/* true: the time limit has passed */
static bool
leave_chaincode(void)
{
	bool expired = time_limit_stop();

	interpreter_leave();
	conditions_stop();
	return expired;
}

/*
 * Run body(simulation, schema) in a read-only subtransaction that is rolled back; an error that it
 * raises becomes a refusal. With a schema, the body runs as chaincode, inside the sandbox and under
 * the time limit.
 */
static void
run_isolated(Simulation *simulation, void (*body)(Simulation *, Oid), Oid schema)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorContextCallback *outer_contexts = error_context_stack;
	ErrorData *volatile error = NULL;
	bool needs_interpreter = OidIsValid(schema) && interpreter_needed(schema);
	const ErrorData *failure;
	bool expired;

	conditions_clear();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(simulation->context);
	PG_TRY();
	{
		XactReadOnly = true;
		/*
		 * PG_CONTEXT and PG_EXCEPTION_CONTEXT show the chaincode's own calls only, not its caller's
		 */
		error_context_stack = NULL;
		if (OidIsValid(schema))
		{
			hidden_portals_enter();
			enter_chaincode(simulation, schema, needs_interpreter, caller,
							__builtin_frame_address(0));
		}
		body(simulation, schema);
		sandbox_guard(InvalidOid);
	}
	PG_CATCH();
	{
		sandbox_guard(InvalidOid);
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	error_context_stack = outer_contexts;
	expired = leave_chaincode();
	MemoryContextSwitchTo(caller);
	RollbackAndReleaseCurrentSubTransaction();
	hidden_portals_leave();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;

	if (expired)
		simulate_throw_time_is_up(simulation->request);
	if (simulation->failure.status != FB_OK)
		error_throw(&simulation->failure);
	failure = conditions_node_failure(error);
	if (failure != NULL)
		throw_node_failure(simulation->request, failure);
	if (error != NULL)
		keep_refusal(simulation->result, error, 500);
	else if (conditions_refusal() != NULL)
		keep_refusal(simulation->result, conditions_refusal(), 500);
}

/*
 * If the definition requires it, the first call of each version must be the initialization
 * (chaincode_support.go, CheckInvocation).
 */
static void
check_initialized(Simulation *simulation, const ChaincodeDefinition *definition)
{
	FbBytes key = FB_BYTES_LITERAL(CHAINCODE_INITIALIZED_KEY);
	FbBytes version = fb_bytes_of_text(definition->version);
	bool needed = false;
	FbBytes value;

	if (definition->init_required)
		needed = !state_access_get(simulation, simulation->namespace_name, key, &value) ||
				 !fb_bytes_equal(value, version);
	if (simulation->request->is_init && !definition->init_required)
		ereport(ERROR,
				(fb_errcode(FB_LIFECYCLE_ERROR),
				 errmsg("chaincode \"%s\" does not require initialization but was called as init",
						definition->name)));
	if (simulation->request->is_init && !needed)
		ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),
						errmsg("chaincode \"%s\" is already initialized but was called as init",
							   definition->name)));
	if (simulation->request->is_init)
		state_access_put(simulation, simulation->namespace_name, key, version);
	else if (needed)
		ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),
						errmsg("chaincode \"%s\" has not been initialized for version \"%s\"",
							   definition->name, definition->version),
						errhint("Its first transaction must be one with is_init.")));
}

/*
 * Find the schema of the package that this organization approved. The read of the definition is
 * recorded, as in Fabric.
 */
static Oid
find_schema(Simulation *simulation, ChaincodeDefinition *definition)
{
	const SimulationRequest *request = simulation->request;
	FbBytes lifecycle = fb_bytes_of_text(LIFECYCLE_NAMESPACE);
	RwSetVersion version;
	FbError error;
	bool approved;
	char *package_id;
	Oid schema;

	if (!definition_load(simulation->ledger, request->chaincode, simulation->snapshot, definition,
						 &version))
		ereport(ERROR, (fb_errcode(FB_CHAINCODE_NOT_FOUND),
						errmsg("chaincode \"%s\" is not defined on channel \"%s\"",
							   request->chaincode, request->channel),
						errdetail_internal("%s", definition_list_text(request->channel)),
						errhint("The view fabric.chaincodes lists the committed definitions.")));
	error_check(rwset_builder_add_read(simulation->builder, lifecycle,
									   definition_field_key("namespaces", definition->name,
															"Sequence"),
									   version, &error),
				&error);
	package_id = definition_find_package(simulation->ledger, simulation->snapshot, definition,
										 version, &approved);
	if (!approved)
		ereport(
			ERROR,
			(fb_errcode(FB_CHAINCODE_NOT_FOUND),
			 errmsg(
				 "chaincode definition \"%s\" at sequence %lld has not been approved by this organization",
				 definition->name, (long long) definition->sequence),
			 errdetail("Channel \"%s\", organization \"%s\".", request->channel, guc_node_msp_id),
			 errhint(
				 "An administrator of the organization can approve it with fabric.approve_chaincode.")));
	if (package_id == NULL)
		ereport(ERROR,
				(fb_errcode(FB_CHAINCODE_NOT_FOUND),
				 errmsg("chaincode \"%s\" was approved without a package by this organization",
						definition->name),
				 errhint("Approve the definition again with a package id.")));
	schema = function_cache_schema(package_id);
	if (!OidIsValid(schema))
		ereport(ERROR,
				(fb_errcode(FB_CHAINCODE_NOT_FOUND),
				 errmsg("chaincode package \"%s\" is not installed on this node", package_id),
				 errdetail("Chaincode \"%s\" on channel \"%s\" needs it.", definition->name,
						   request->channel),
				 errhint("Install it with fabric.install_chaincode.")));
	return schema;
}

/* the functions of the system chaincodes that run here; they set status, message and payload */
static const struct
{
	const char *name;
	void (*invoke)(Simulation *simulation);
} system_code[] = {{LIFECYCLE_NAMESPACE, lifecycle_invoke}};

static void
run_system(Simulation *simulation, Oid schema)
{
	for (int i = 0; i < lengthof(system_code); i++)
		if (strcmp(simulation->request->chaincode, system_code[i].name) == 0)
		{
			system_code[i].invoke(simulation);
			return;
		}
	elog(ERROR, "system chaincode \"%s\" has no code", simulation->request->chaincode);
}

static void
simulate_run(Simulation *simulation)
{
	const SimulationRequest *request = simulation->request;

	if (system_chaincode_find(fb_bytes_of_text(request->chaincode)) != NULL)
	{
		simulation->result->chaincode_version = pstrdup(SYSTEM_CHAINCODE_VERSION);
		run_isolated(simulation, run_system, InvalidOid);
	}
	else
	{
		ChaincodeDefinition definition;
		Oid schema = find_schema(simulation, &definition);

		simulation->result->chaincode_version = definition.version;
		check_initialized(simulation, &definition);
		run_isolated(simulation, call_function, schema);
	}
}

static void
simulate_finish(Simulation *simulation)
{
	SimulationResult *result = simulation->result;
	FbError error;

	result->has_writes = rwset_builder_has_writes(simulation->builder);
	error_check(rwset_builder_finish(simulation->builder, &result->rwset, &error), &error);
	if (result->status < 400)
	{
		result->event_name = simulation->event_name;
		result->event_payload = simulation->event_payload;
	}
}

void
simulate(const SimulationRequest *request, SimulationResult *result)
{
	Simulation simulation = {.request = request, .result = result};
	FbError error;
	bool pushed = false;

	if (simulation_is_running())
		ereport(ERROR, (fb_errcode(FB_SANDBOX_VIOLATION),
						errmsg("chaincode cannot be called from chaincode")));
	memset(result, 0, sizeof(*result));
	result->status = 200;
	result->message = pstrdup("");
	strcpy(result->sqlstate, "00000");
	simulation.ledger = ledger_open(request->channel);
	simulation.namespace_name = fb_bytes_of_text(request->chaincode);
	simulation.allocator = memory_allocator(CurrentMemoryContext);
	error_check(rwset_builder_create(simulation.allocator, &simulation.builder, &error), &error);
	simulation.context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric simulation", ALLOCSET_DEFAULT_SIZES);
	if (!ActiveSnapshotSet())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		pushed = true;
	}
	simulation.snapshot = RegisterSnapshot(GetActiveSnapshot());
	simulation_set_current(&simulation);
	PG_TRY();
	{
		simulate_run(&simulation);
	}
	PG_FINALLY();
	{
		simulation_set_current(NULL);
		crypto_certificate_free(simulation.certificate);
	}
	PG_END_TRY();
	UnregisterSnapshot(simulation.snapshot);
	if (pushed)
		PopActiveSnapshot();
	simulate_finish(&simulation);
	MemoryContextDelete(simulation.context);
}
