/*
 * source_check: which statements and constructs the source of a chaincode package may contain.
 *
 * The source is a list of CREATE FUNCTION and COMMENT ON FUNCTION statements. PostgreSQL's own
 * parser reads it; function bodies in SQL and PL/pgSQL are read with its scanner, token by token.
 * This finds the constructs that differ between nodes in all ordinary code, and reports them before
 * any organization approves the package. Code that it cannot see (dynamic SQL) is refused by the
 * sandbox at run time.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"
#include "server/pg/compat.h"

/* format: a literal */
#define REFUSE_SOURCE(checked, location, format, ...)                    \
	ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE),                      \
					errmsg("invalid chaincode source: line %d: " format, \
						   source_line_of((checked)->text, (location)), ##__VA_ARGS__)))

/* ---- statements ---- */

/*
 * Check the type of a parameter or result: it must be built in, so that it is the same on every
 * node.
 */
static void
source_check_type(CheckedSource *checked, const SourceFunction *function, TypeName *name,
				  bool is_result, const char *what)
{
	Type type;
	Form_pg_type form;
	const char *why;
	Oid oid;
	char kind;
	Oid schema;

	if (name->pct_type)
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": %%TYPE refers to a table, and chaincode has none",
					  function->name);
	type = LookupTypeName(NULL, name, NULL, true);
	if (type == NULL)
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": type \"%s\" of %s does not exist", function->name,
					  error_excerpt(TypeNameToString(name)), what);
	form = (Form_pg_type) GETSTRUCT(type);
	oid = form->oid;
	kind = form->typtype;
	schema = form->typnamespace;
	ReleaseSysCache(type);

	if (is_result && (oid == VOIDOID || oid == RECORDOID))
		return;
	if (schema != PG_CATALOG_NAMESPACE || kind == TYPTYPE_COMPOSITE)
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": type \"%s\" of %s is not a built-in type of PostgreSQL",
					  function->name, error_excerpt(TypeNameToString(name)), what);
	if (kind == TYPTYPE_PSEUDO)
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": type \"%s\" of %s is a pseudo-type", function->name,
					  error_excerpt(TypeNameToString(name)), what);
	why = query_check_type(oid);
	if (why != NULL)
		REFUSE_SOURCE(checked, function->location, "function \"%s\": type \"%s\" of %s %s",
					  function->name, error_excerpt(TypeNameToString(name)), what, why);
}

static void
check_signature(CheckedSource *checked, const SourceFunction *function)
{
	CreateFunctionStmt *statement = function->statement;
	ListCell *cell;
	int outputs = 0;
	bool bare_set;

	foreach(cell, statement->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);
		bool is_result = parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE;

		if (parameter->argType->setof)
			REFUSE_SOURCE(checked, function->location,
						  "function \"%s\": a parameter cannot be a set", function->name);
		source_check_type(checked, function, parameter->argType, false,
						  psprintf("%s \"%s\"", is_result ? "output column" : "parameter",
								   parameter->name ? parameter->name : "unnamed"));
		outputs += is_result || parameter->mode == FUNC_PARAM_INOUT;
	}
	if (statement->returnType == NULL)
		return;
	bare_set = statement->returnType->setof && outputs == 0;
	source_check_type(checked, function, statement->returnType, true, "the result");
	if (bare_set && list_length(statement->returnType->names) == 1 &&
		strcmp(strVal(linitial(statement->returnType->names)), "record") == 0)
		REFUSE_SOURCE(
			checked, function->location,
			"function \"%s\" returns SETOF record without naming the columns; use RETURNS TABLE",
			function->name);
}

static void
check_language(CheckedSource *checked, const SourceFunction *function, const char *language)
{
	HeapTuple tuple = SearchSysCache1(LANGNAME, CStringGetDatum(language));
	bool trusted;

	if (!HeapTupleIsValid(tuple))
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": language \"%s\" is not installed in this database",
					  function->name, language);
	trusted = ((Form_pg_language) GETSTRUCT(tuple))->lanpltrusted;
	ReleaseSysCache(tuple);
	if (!trusted)
		REFUSE_SOURCE(checked, function->location,
					  "function \"%s\": language \"%s\" is not trusted", function->name, language);
	if (strcmp(language, "sql") == 0 || strcmp(language, "plpgsql") == 0)
		return;
	checked->needs_interpreter = true;
	checked->warnings = lappend(
		checked->warnings,
		psprintf(
			"function \"%s\" is written in %s, which cannot be checked for what differs between nodes",
			function->name, language));
}

/* the body's text, NULL for a body in the SQL standard's style */
static const char *
check_options(CheckedSource *checked, const SourceFunction *function, const char **language)
{
	const char *body = NULL;
	ListCell *cell;

	*language = "sql";
	foreach(cell, function->statement->options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "language") == 0)
			*language = strVal(option->arg);
		else if (strcmp(option->defname, "as") == 0)
		{
			if (list_length((List *) option->arg) != 1)
				REFUSE_SOURCE(checked, function->location,
							  "function \"%s\": a function of a C library", function->name);
			body = strVal(linitial((List *) option->arg));
		}
		else if (strcmp(option->defname, "security") == 0 && boolVal(option->arg))
			REFUSE_SOURCE(checked, function->location,
						  "function \"%s\": SECURITY DEFINER has no meaning in chaincode",
						  function->name);
		else if (strcmp(option->defname, "leakproof") == 0 && boolVal(option->arg))
			REFUSE_SOURCE(checked, function->location, "function \"%s\": LEAKPROOF is not allowed",
						  function->name);
		else if (strcmp(option->defname, "set") == 0 || strcmp(option->defname, "window") == 0 ||
				 strcmp(option->defname, "support") == 0 ||
				 strcmp(option->defname, "transform") == 0)
			REFUSE_SOURCE(checked, function->location, "function \"%s\": %s is not allowed",
						  function->name,
						  strcmp(option->defname, "set") == 0
							  ? "a SET clause"
							  : asc_toupper(option->defname, strlen(option->defname)));
	}
	check_language(checked, function, *language);
	return body;
}

/* ---- the whole source ---- */

static void
source_check_function(CheckedSource *checked, CreateFunctionStmt *statement, int location, int size)
{
	SourceFunction *function = palloc0(sizeof(SourceFunction));
	const char *language;
	const char *body;
	ListCell *cell;

	function->statement = statement;
	function->location = location;
	function->line = source_line_of(checked->text, location);
	function->body_line = function->line;
	function->name = strVal(llast(statement->funcname));
	if (statement->is_procedure)
		REFUSE_SOURCE(checked, location, "\"%s\" is a procedure; chaincode consists of functions",
					  function->name);
	if (list_length(statement->funcname) != 1)
		REFUSE_SOURCE(checked, location, "function name \"%s\" must not be qualified with a schema",
					  error_excerpt(NameListToString(statement->funcname)));
	foreach(cell, checked->functions)
		if (strcmp(((SourceFunction *) lfirst(cell))->name, function->name) == 0)
			REFUSE_SOURCE(
				checked, location,
				"function \"%s\" is defined twice; a chaincode has one function of a name",
				function->name);
	if (list_length(checked->functions) >= FB_PACKAGE_FUNCTIONS_MAX)
		REFUSE_SOURCE(checked, location, "more than %d functions", FB_PACKAGE_FUNCTIONS_MAX);
	body = check_options(checked, function, &language);
	check_signature(checked, function);
	if (strcmp(language, "sql") == 0 || strcmp(language, "plpgsql") == 0)
		source_tokens_check(checked, function,
							memory_cstring(fb_bytes(checked->text + location, size)), body);
	checked->functions = lappend(checked->functions, function);
}

/* the arguments of source_check_function */
typedef struct FoundFunction
{
	CreateFunctionStmt *statement;
	int location;
	int size;
} FoundFunction;

static void
check_found_function(CheckedSource *checked, void *argument)
{
	FoundFunction *found = argument;

	source_check_function(checked, found->statement, found->location, found->size);
}

static void
check_comment(CheckedSource *checked, CommentStmt *statement, int location)
{
	ObjectWithArgs *object;

	if (statement->objtype != OBJECT_FUNCTION)
		REFUSE_SOURCE(checked, location, "only functions can be commented on");
	object = castNode(ObjectWithArgs, statement->object);
	if (list_length(object->objname) != 1)
		REFUSE_SOURCE(checked, location, "function name \"%s\" must not be qualified with a schema",
					  error_excerpt(NameListToString(object->objname)));
	checked->comments = lappend(checked->comments, statement);
}

static void
check_comment_target(const CheckedSource *checked, const CommentStmt *statement)
{
	const char *name = strVal(linitial(castNode(ObjectWithArgs, statement->object)->objname));
	ListCell *cell;

	foreach(cell, checked->functions)
		if (strcmp(((SourceFunction *) lfirst(cell))->name, name) == 0)
			return;
	ereport(
		ERROR,
		(fb_errcode(FB_INVALID_PACKAGE),
		 errmsg(
			 "invalid chaincode source: a comment on function \"%s\", which the chaincode does not define",
			 name)));
}

static void
source_check_statements(CheckedSource *checked)
{
	List *statements = raw_parser(checked->text, RAW_PARSE_DEFAULT);
	ListCell *cell;

	foreach(cell, statements)
	{
		RawStmt *raw = lfirst_node(RawStmt, cell);
		int location = raw->stmt_location;
		int size = raw->stmt_len > 0 ? raw->stmt_len : (int) strlen(checked->text) - location;

		/* the parser includes the white space before a statement */
		while (size > 0 && isspace((unsigned char) checked->text[location]))
		{
			location++;
			size--;
		}
		if (IsA(raw->stmt, CreateFunctionStmt))
			install_problems_try(checked, NULL, check_found_function,
								 &(FoundFunction) {castNode(CreateFunctionStmt, raw->stmt),
												   location, size});
		else if (IsA(raw->stmt, CommentStmt))
			check_comment(checked, castNode(CommentStmt, raw->stmt), location);
		else
			REFUSE_SOURCE(
				checked, location,
				"%s is not allowed; a chaincode consists of CREATE FUNCTION and COMMENT ON FUNCTION statements",
				GetCommandTagName(CreateCommandTag(raw->stmt)));
	}
	/* a comment may be on a function with problems, so raise these first */
	install_problems_raise(checked);
	if (checked->functions == NIL)
		ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE),
						errmsg("invalid chaincode source: it defines no function")));
	foreach(cell, checked->comments)
		check_comment_target(checked, lfirst_node(CommentStmt, cell));
}

void
source_check(const char *text, CheckedSource *checked)
{
	MemoryContext context = CurrentMemoryContext;

	memset(checked, 0, sizeof(*checked));
	checked->text = text;
	PG_TRY();
	{
		source_check_statements(checked);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_SYNTAX_ERROR)
		{
			FreeErrorData(error);
			PG_RE_THROW();
		}
		FlushErrorState();
		ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE),
						error->cursorpos > 0
							? errmsg("invalid chaincode source: line %d: %s",
									 source_line_of(text, pg_mbcliplen(text, strlen(text),
																	   error->cursorpos - 1)),
									 error->message)
							: errmsg("invalid chaincode source: %s", error->message)));
	}
	PG_END_TRY();
}
