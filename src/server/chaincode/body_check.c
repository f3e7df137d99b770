/*
 * body_check: the analysis of installed function bodies.
 *
 * When a package is installed, its functions have been created and PostgreSQL's validators have
 * accepted them. Then every query in them is analyzed in the same way as at run time, and
 * query_check.c checks the result: bodies and default values in SQL as a whole, and each expression
 * and statement of PL/pgSQL, which the language itself analyzes only when it is reached. PL/pgSQL
 * exports its compiler and the hooks of its parser for this purpose. The compiled function stays in
 * the language's cache but is never called: the end of the installation changes the function's row,
 * which makes the language compile it again.
 *
 * Some code cannot be analyzed and is checked at run time only: dynamic SQL, and expressions with
 * fields of a record whose type is not known here. Statements with an error are also left to the
 * run, where they are errors of the chaincode. Only dates out of range are reported here, because
 * 'now' and 'today' are such dates under the fixed clock.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/functions.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "plpgsql.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/expandedrecord.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

#include "server/pg/compat.h"

/* problems shown in one error */
#define PROBLEMS_SHOWN_MAX 20

#define HINT_TIME "Use fabric.get_tx_timestamp() for the time of the transaction."
#define WHY_CONTEXT "tells an identifier of one database"

typedef struct BodyCheck
{
	const SourceFunction *function;
	Oid schema;
	MemoryContext context; /* of everything that is reported */
	StringInfoData lines;
	int count;
	const char *hint;
	PLpgSQL_function *compiled; /* the compiled function of PL/pgSQL */
} BodyCheck;

typedef PLpgSQL_function *(*CompileFunction)(FunctionCallInfo fcinfo, bool for_validator);

static void check_body_statements(BodyCheck *check, List *statements);

/* ---- problems ---- */

static int
count_lines(const char *text, int location)
{
	int count = 0;

	for (int i = 0; i < location && text[i] != '\0'; i++)
		count += text[i] == '\n';
	return count;
}

/* line: line of the package's source */
static void
add_problem(BodyCheck *check, int line, const char *what, const char *why, const char *hint)
{
	MemoryContext caller = MemoryContextSwitchTo(check->context);

	check->count++;
	if (check->count <= PROBLEMS_SHOWN_MAX)
		appendStringInfo(&check->lines, "%sLine %d: %s %s.", check->lines.len > 0 ? "\n" : "", line,
						 what, why);
	if (check->hint == NULL)
		check->hint = hint;
	MemoryContextSwitchTo(caller);
}

/*
 * Convert a line of a function's body, which begins in the line of its first quote, to a line of
 * the source.
 */
static int
body_source_line(const BodyCheck *check, int body_line)
{
	return check->function->body_line + Max(body_line, 1) - 1;
}

static void
check_query(BodyCheck *check, Query *query, const char *text, int first_line)
{
	QueryProblem problem;

	if (query->commandType == CMD_UTILITY)
		add_problem(check, first_line, GetCommandTagName(CreateCommandTag(query->utilityStmt)),
					"cannot be used in chaincode", NULL);
	else if (query_check_find((Node *) query, check->schema, &problem))
		add_problem(check,
					first_line + (problem.location > 0 ? count_lines(text, problem.location) : 0),
					problem.what, problem.why, problem.hint);
}

/*
 * Run an analysis in a subtransaction, whose end also releases locks and references. false: it
 * raised an error.
 */
typedef void (*Analysis)(BodyCheck *check, void *argument);

static bool
try_analysis(BodyCheck *check, Analysis analysis, void *argument, int line)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		analysis(check, argument);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return true;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES))
		ReThrowError(error);
	if (error->sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW)
		add_problem(check, line, error->message,
					"(a special date string returns another time on every node)", HINT_TIME);
	FreeErrorData(error);
	return false;
}

/* ---- SQL ---- */

static char *
function_text(HeapTuple tuple, AttrNumber attribute)
{
	bool isnull;
	Datum value = SysCacheGetAttr(PROCOID, tuple, attribute, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * A parsed body is a query, or a list of lists of queries (BEGIN ATOMIC). It has no line numbers.
 */
static void
check_parsed_body(BodyCheck *check, Node *node)
{
	ListCell *cell;

	if (node == NULL)
		return;
	if (IsA(node, Query))
	{
		check_query(check, castNode(Query, node), "", check->function->line);
		return;
	}
	foreach(cell, castNode(List, node))
		check_parsed_body(check, lfirst(cell));
}

static void
analyze_sql_body(BodyCheck *check, void *argument)
{
	HeapTuple tuple = argument;
	char *body = function_text(tuple, Anum_pg_proc_prosrc);
	char *parsed = function_text(tuple, Anum_pg_proc_prosqlbody);
	SQLFunctionParseInfoPtr info;
	ListCell *cell;

	if (parsed != NULL)
	{
		check_parsed_body(check, stringToNode(parsed));
		return;
	}
	info = prepare_sql_fn_parse_info(tuple, NULL, InvalidOid);
	foreach(cell, raw_parser(body, RAW_PARSE_DEFAULT))
	{
		Query *query = parse_analyze_withcb(lfirst_node(RawStmt, cell), body,
											(ParserSetupHook) sql_fn_parser_setup, info, NULL);

		check_query(check, query, body, body_source_line(check, 1));
	}
}

static void
analyze_defaults(BodyCheck *check, void *argument)
{
	char *defaults = function_text(argument, Anum_pg_proc_proargdefaults);
	QueryProblem problem;

	if (defaults != NULL && query_check_find(stringToNode(defaults), check->schema, &problem))
		add_problem(check, check->function->line, problem.what, problem.why, problem.hint);
}

/* ---- PL/pgSQL: expressions ---- */

typedef struct Expression
{
	PLpgSQL_expr *expression;
	int line;
	PLpgSQL_variable *target; /* the record that receives the rows, or NULL */
	Oid type; /* of the variable or result that receives the value; InvalidOid: not known */
} Expression;

/*
 * A record variable gets the columns of the query that fills it, so that later expressions can be
 * analyzed.
 */
static void
assume_columns(BodyCheck *check, PLpgSQL_variable *target, Query *query)
{
	MemoryContext caller;
	TupleDesc columns;

	if (target->dtype != PLPGSQL_DTYPE_REC || query->commandType != CMD_SELECT)
		return;
	caller = MemoryContextSwitchTo(check->compiled->fn_cxt);
	columns = BlessTupleDesc(ExecCleanTypeFromTL(query->targetList));
	((PLpgSQL_rec *) target)->erh =
		make_expanded_record_from_tupdesc(columns, CurrentMemoryContext);
	MemoryContextSwitchTo(caller);
}

/* check a string that PL/pgSQL converts at run time: d date := 'today' */
static void
check_assigned_string(BodyCheck *check, const Expression *item, Query *query)
{
	Const *constant;
	Oid input;
	Oid parameter;
	char *string;

	if (item->type != DATEOID && item->type != TIMESTAMPOID && item->type != TIMESTAMPTZOID &&
		item->type != TIMEOID && item->type != TIMETZOID)
		return;
	if (list_length(query->targetList) != 1)
		return;
	constant = (Const *) linitial_node(TargetEntry, query->targetList)->expr;
	if (!IsA(constant, Const) || constant->constisnull || constant->consttype != TEXTOID)
		return;
	string = TextDatumGetCString(constant->constvalue);
	getTypeInputInfo(item->type, &input, &parameter);
	if (query_check_is_now(item->type, OidInputFunctionCall(input, string, parameter, -1)))
		add_problem(check, item->line, "'now'", "returns another time on every node", HINT_TIME);
}

static void
analyze_expression(BodyCheck *check, void *argument)
{
	static ParserSetupHook parser_setup = NULL;
	Expression *item = argument;
	PLpgSQL_expr *expression = item->expression;
	ListCell *cell;

	if (parser_setup == NULL)
		parser_setup = (ParserSetupHook) load_external_function("$libdir/plpgsql",
																"plpgsql_parser_setup", true, NULL);
	expression->func = check->compiled;
	foreach(cell, raw_parser(expression->query, expression->parseMode))
	{
		Query *query = parse_analyze_withcb(lfirst_node(RawStmt, cell), expression->query,
											parser_setup, expression, NULL);

		check_query(check, query, expression->query, item->line);
		check_assigned_string(check, item, query);
		if (item->target != NULL)
			assume_columns(check, item->target, query);
	}
}

static void
check_rows(BodyCheck *check, int body_line, PLpgSQL_expr *expression, PLpgSQL_variable *target)
{
	Expression item = {expression, body_source_line(check, body_line), target, InvalidOid};

	if (target != NULL && target->dtype == PLPGSQL_DTYPE_REC &&
		((PLpgSQL_rec *) target)->rectypeid == RECORDOID)
		((PLpgSQL_rec *) target)->erh = NULL;
	if (expression != NULL)
		(void) try_analysis(check, analyze_expression, &item, item.line);
}

static void
check_expression(BodyCheck *check, int body_line, PLpgSQL_expr *expression)
{
	check_rows(check, body_line, expression, NULL);
}

static void
check_default_value(BodyCheck *check, int body_line, PLpgSQL_expr *expression, Oid type)
{
	Expression item = {expression, body_source_line(check, body_line), NULL, type};

	if (expression != NULL)
		(void) try_analysis(check, analyze_expression, &item, item.line);
}

static void
check_expressions(BodyCheck *check, int body_line, List *expressions)
{
	ListCell *cell;

	foreach(cell, expressions)
		check_expression(check, body_line, lfirst(cell));
}

/* ---- PL/pgSQL: statements ---- */

static void
check_body_block(BodyCheck *check, PLpgSQL_stmt_block *block)
{
	ListCell *cell;

	check_body_statements(check, block->body);
	if (block->exceptions == NULL)
		return;
	foreach(cell, block->exceptions->exc_list)
		check_body_statements(check, ((PLpgSQL_exception *) lfirst(cell))->action);
}

static void
check_if(BodyCheck *check, PLpgSQL_stmt_if *statement)
{
	ListCell *cell;

	check_expression(check, statement->lineno, statement->cond);
	check_body_statements(check, statement->then_body);
	foreach(cell, statement->elsif_list)
	{
		PLpgSQL_if_elsif *arm = lfirst(cell);

		check_expression(check, arm->lineno, arm->cond);
		check_body_statements(check, arm->stmts);
	}
	check_body_statements(check, statement->else_body);
}

static void
check_case(BodyCheck *check, PLpgSQL_stmt_case *statement)
{
	ListCell *cell;

	check_expression(check, statement->lineno, statement->t_expr);
	foreach(cell, statement->case_when_list)
	{
		PLpgSQL_case_when *arm = lfirst(cell);

		check_expression(check, arm->lineno, arm->expr);
		check_body_statements(check, arm->stmts);
	}
	check_body_statements(check, statement->else_stmts);
}

static void
check_for_cursor(BodyCheck *check, PLpgSQL_stmt_forc *statement)
{
	PLpgSQL_var *cursor = (PLpgSQL_var *) check->compiled->datums[statement->curvar];

	check_expression(check, statement->lineno, statement->argquery);
	check_rows(check, statement->lineno, cursor->cursor_explicit_expr, statement->var);
	check_body_statements(check, statement->body);
}

static void
check_raise(BodyCheck *check, PLpgSQL_stmt_raise *statement)
{
	ListCell *cell;

	check_expressions(check, statement->lineno, statement->params);
	foreach(cell, statement->options)
		check_expression(check, statement->lineno, ((PLpgSQL_raise_option *) lfirst(cell))->expr);
}

static void
check_diagnostics(BodyCheck *check, PLpgSQL_stmt_getdiag *statement)
{
	ListCell *cell;

	foreach(cell, statement->diag_items)
		if ((int) ((PLpgSQL_diag_item *) lfirst(cell))->kind == COMPAT_GETDIAG_ROUTINE_OID)
			add_problem(check, body_source_line(check, statement->lineno), "PG_ROUTINE_OID",
						WHY_CONTEXT, NULL);
}

static void
check_open(BodyCheck *check, PLpgSQL_stmt_open *statement)
{
	check_expression(check, statement->lineno, statement->argquery);
	check_expression(check, statement->lineno, statement->query);
	check_expression(check, statement->lineno, statement->dynquery);
	check_expressions(check, statement->lineno, statement->params);
}

static void
check_loop(BodyCheck *check, PLpgSQL_stmt *statement)
{
	int line = statement->lineno;

	switch (statement->cmd_type)
	{
		case PLPGSQL_STMT_LOOP:
			check_body_statements(check, ((PLpgSQL_stmt_loop *) statement)->body);
			break;
		case PLPGSQL_STMT_WHILE:
			check_expression(check, line, ((PLpgSQL_stmt_while *) statement)->cond);
			check_body_statements(check, ((PLpgSQL_stmt_while *) statement)->body);
			break;
		case PLPGSQL_STMT_FORI:
			check_expression(check, line, ((PLpgSQL_stmt_fori *) statement)->lower);
			check_expression(check, line, ((PLpgSQL_stmt_fori *) statement)->upper);
			check_expression(check, line, ((PLpgSQL_stmt_fori *) statement)->step);
			check_body_statements(check, ((PLpgSQL_stmt_fori *) statement)->body);
			break;
		case PLPGSQL_STMT_FORS:
			check_rows(check, line, ((PLpgSQL_stmt_fors *) statement)->query,
					   ((PLpgSQL_stmt_fors *) statement)->var);
			check_body_statements(check, ((PLpgSQL_stmt_fors *) statement)->body);
			break;
		case PLPGSQL_STMT_FORC:
			check_for_cursor(check, (PLpgSQL_stmt_forc *) statement);
			break;
		case PLPGSQL_STMT_DYNFORS:
			check_rows(check, line, NULL, ((PLpgSQL_stmt_dynfors *) statement)->var);
			check_expression(check, line, ((PLpgSQL_stmt_dynfors *) statement)->query);
			check_expressions(check, line, ((PLpgSQL_stmt_dynfors *) statement)->params);
			check_body_statements(check, ((PLpgSQL_stmt_dynfors *) statement)->body);
			break;
		case PLPGSQL_STMT_FOREACH_A:
			check_expression(check, line, ((PLpgSQL_stmt_foreach_a *) statement)->expr);
			check_body_statements(check, ((PLpgSQL_stmt_foreach_a *) statement)->body);
			break;
		default:
			break;
	}
}

static void
check_simple_statement(BodyCheck *check, PLpgSQL_stmt *statement)
{
	int line = statement->lineno;

	switch (statement->cmd_type)
	{
		case PLPGSQL_STMT_ASSIGN:
			check_expression(check, line, ((PLpgSQL_stmt_assign *) statement)->expr);
			break;
		case PLPGSQL_STMT_EXIT:
			check_expression(check, line, ((PLpgSQL_stmt_exit *) statement)->cond);
			break;
		case PLPGSQL_STMT_RETURN:
			check_default_value(check, line, ((PLpgSQL_stmt_return *) statement)->expr,
								check->compiled->fn_rettype);
			break;
		case PLPGSQL_STMT_RETURN_NEXT:
			check_expression(check, line, ((PLpgSQL_stmt_return_next *) statement)->expr);
			break;
		case PLPGSQL_STMT_RETURN_QUERY:
			check_expression(check, line, ((PLpgSQL_stmt_return_query *) statement)->query);
			check_expression(check, line, ((PLpgSQL_stmt_return_query *) statement)->dynquery);
			check_expressions(check, line, ((PLpgSQL_stmt_return_query *) statement)->params);
			break;
		case PLPGSQL_STMT_ASSERT:
			check_expression(check, line, ((PLpgSQL_stmt_assert *) statement)->cond);
			check_expression(check, line, ((PLpgSQL_stmt_assert *) statement)->message);
			break;
		case PLPGSQL_STMT_EXECSQL:
			check_rows(check, line, ((PLpgSQL_stmt_execsql *) statement)->sqlstmt,
					   ((PLpgSQL_stmt_execsql *) statement)->target);
			break;
		case PLPGSQL_STMT_DYNEXECUTE:
			check_rows(check, line, NULL, ((PLpgSQL_stmt_dynexecute *) statement)->target);
			check_expression(check, line, ((PLpgSQL_stmt_dynexecute *) statement)->query);
			check_expressions(check, line, ((PLpgSQL_stmt_dynexecute *) statement)->params);
			break;
		case PLPGSQL_STMT_FETCH:
			check_rows(check, line, NULL, ((PLpgSQL_stmt_fetch *) statement)->target);
			check_expression(check, line, ((PLpgSQL_stmt_fetch *) statement)->expr);
			break;
		case PLPGSQL_STMT_PERFORM:
			check_expression(check, line, ((PLpgSQL_stmt_perform *) statement)->expr);
			break;
		case PLPGSQL_STMT_CALL:
			check_expression(check, line, ((PLpgSQL_stmt_call *) statement)->expr);
			break;
		default:
			check_loop(check, statement);
	}
}

static void
check_body_statement(BodyCheck *check, PLpgSQL_stmt *statement)
{
	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (statement->cmd_type)
	{
		case PLPGSQL_STMT_BLOCK:
			check_body_block(check, (PLpgSQL_stmt_block *) statement);
			break;
		case PLPGSQL_STMT_IF:
			check_if(check, (PLpgSQL_stmt_if *) statement);
			break;
		case PLPGSQL_STMT_CASE:
			check_case(check, (PLpgSQL_stmt_case *) statement);
			break;
		case PLPGSQL_STMT_RAISE:
			check_raise(check, (PLpgSQL_stmt_raise *) statement);
			break;
		case PLPGSQL_STMT_GETDIAG:
			check_diagnostics(check, (PLpgSQL_stmt_getdiag *) statement);
			break;
		case PLPGSQL_STMT_OPEN:
			check_open(check, (PLpgSQL_stmt_open *) statement);
			break;
		case PLPGSQL_STMT_COMMIT:
		case PLPGSQL_STMT_ROLLBACK:
			add_problem(check, body_source_line(check, statement->lineno), "COMMIT or ROLLBACK",
						"cannot be used in chaincode", NULL);
			break;
		default:
			check_simple_statement(check, statement);
	}
}

static void
check_body_statements(BodyCheck *check, List *statements)
{
	ListCell *cell;

	foreach(cell, statements)
		check_body_statement(check, lfirst(cell));
}

/* ---- PL/pgSQL: variables, functions ---- */

/* A cursor variable may be opened and fetched from; no expression needs its value. */
static void
check_variable(BodyCheck *check, PLpgSQL_datum *datum)
{
	PLpgSQL_variable *variable = (PLpgSQL_variable *) datum;
	const char *why = NULL;
	Oid type = InvalidOid;

	if (datum->dtype == PLPGSQL_DTYPE_VAR)
	{
		PLpgSQL_var *scalar = (PLpgSQL_var *) datum;

		type = scalar->datatype->typoid;
		check_expression(check, variable->lineno, scalar->cursor_explicit_expr);
	}
	else if (datum->dtype == PLPGSQL_DTYPE_REC)
		type = ((PLpgSQL_rec *) datum)->rectypeid;
	else
		return;
	check_default_value(check, variable->lineno, variable->default_val, type);
	if (type != REFCURSOROID)
		why = query_check_type(type);
	if (why != NULL)
		add_problem(check, body_source_line(check, variable->lineno),
					psprintf("variable \"%s\" is of type %s, which", variable->refname,
							 format_type_be(type)),
					why, NULL);
}

static void
analyze_compiled(BodyCheck *check)
{
	PLpgSQL_function *compiled = check->compiled;
	PLpgSQL_execstate state;

	/* the parser looks up the types of variables here */
	memset(&state, 0, sizeof(state));
	state.func = compiled;
	state.ndatums = compiled->ndatums;
	state.datums = compiled->datums;
	state.found_varno = compiled->found_varno;
	state.err_text = NULL;
	compiled->cur_estate = &state;
	for (int i = 0; i < compiled->ndatums; i++)
		check_variable(check, compiled->datums[i]);
	check_body_statement(check, (PLpgSQL_stmt *) compiled->action);
	compiled->cur_estate = NULL;
	for (int i = 0; i < compiled->ndatums; i++)
		if (compiled->datums[i]->dtype == PLPGSQL_DTYPE_REC)
			((PLpgSQL_rec *) compiled->datums[i])->erh = NULL;
}

static void
analyze_plpgsql_body(BodyCheck *check, void *argument)
{
	static CompileFunction compile = NULL;
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo function;

	if (compile == NULL)
		compile = (CompileFunction) load_external_function("$libdir/plpgsql", "plpgsql_compile",
														   true, NULL);
	/* as plpgsql_validator does */
	memset(fcinfo, 0, SizeForFunctionCallInfo(0));
	memset(&function, 0, sizeof(function));
	fcinfo->flinfo = &function;
	function.fn_oid = check->function->function;
	function.fn_mcxt = CurrentMemoryContext;
	check->compiled = compile(fcinfo, true);
	analyze_compiled(check);
}

/* ---- one function ---- */

static void
report_problems(const BodyCheck *check)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, check->lines.data);
	if (check->count > PROBLEMS_SHOWN_MAX)
		appendStringInfo(&detail, "\n%d more.", check->count - PROBLEMS_SHOWN_MAX);
	ereport(ERROR,
			(fb_errcode(FB_NONDETERMINISTIC_CHAINCODE),
			 errmsg("chaincode function \"%s\" is not deterministic", check->function->name),
			 errdetail_internal("%s", detail.data), check->hint ? errhint("%s", check->hint) : 0));
}

void
body_check(const SourceFunction *function, Oid schema)
{
	BodyCheck check = {.function = function, .schema = schema, .context = CurrentMemoryContext};
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->function));
	HeapTuple language;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function->function);
	language =
		SearchSysCache1(LANGOID, ObjectIdGetDatum(((Form_pg_proc) GETSTRUCT(tuple))->prolang));
	if (!HeapTupleIsValid(language))
		elog(ERROR, "cache lookup failed for the language of function %u", function->function);
	name = NameStr(((Form_pg_language) GETSTRUCT(language))->lanname);
	initStringInfo(&check.lines);
	(void) try_analysis(&check, analyze_defaults, tuple, function->line);
	if (strcmp(name, "sql") == 0)
		(void) try_analysis(&check, analyze_sql_body, tuple, body_source_line(&check, 1));
	else if (strcmp(name, "plpgsql") == 0)
		(void) try_analysis(&check, analyze_plpgsql_body, tuple, body_source_line(&check, 1));
	ReleaseSysCache(language);
	ReleaseSysCache(tuple);
	if (check.count > 0)
		report_problems(&check);
}
