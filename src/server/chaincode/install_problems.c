/*
 * install_problems: report all problems of a source, not only the first one.
 *
 * A package has many functions, and its author needs the problems of all of them at once. Each
 * function is checked in a subtransaction of its own. The problems of one pass (the statements, the
 * creation of the functions, the languages' validators) are raised before the next pass begins,
 * because a later pass would report consequences of earlier problems: a function that could not be
 * created does not exist for its callers.
 *
 * The server's parsers count lines from the beginning of the function's body; the errors here have
 * the line in the package's source.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "server/chaincode/chaincode_internal.h"

/* problems shown in one error, and bytes of one of them */
#define PROBLEMS_SHOWN_MAX 30
#define PROBLEM_BYTES_MAX 1000

typedef struct SourceProblem
{
	const SourceFunction *function; /* NULL: the message names it */
	int line;						/* in the package's source */
	ErrorData *error;
} SourceProblem;

bool
install_problems_is_of_parser(int sqlerrcode)
{
	int class = ERRCODE_TO_CATEGORY(sqlerrcode);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		   class == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		   class == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		   class == ERRCODE_TO_CATEGORY(ERRCODE_UNDEFINED_SCHEMA) ||
		   class == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

/*
 * Is it a refusal by the checks of the source, or an error of the parser or the validators of
 * functions?
 */
static bool
is_about_source(const ErrorData *error)
{
	if (conditions_node_failure(error) != NULL)
		return false;
	return error->sqlerrcode == error_sqlstate(FB_INVALID_PACKAGE) ||
		   error->sqlerrcode == error_sqlstate(FB_NONDETERMINISTIC_CHAINCODE) ||
		   install_problems_is_of_parser(error->sqlerrcode);
}

static bool
is_of_our_checks(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == MAKE_SQLSTATE('L', 'F', '0', '0', '0');
}

/* the text between AS and its end; NULL when there is none (BEGIN ATOMIC) */
static const char *
body_of(const SourceFunction *function)
{
	ListCell *cell;

	foreach(cell, function->statement->options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "as") == 0)
			return strVal(linitial(castNode(List, option->arg)));
	}
	return NULL;
}

/*
 * Count the line feeds in a text from a place to a position, which counts characters of the whole
 * text from 1. -1: the position is before the place.
 */
static int
lines_until(const char *text, const char *from, int position)
{
	const char *end = text + pg_mbcharcliplen(text, strlen(text), position - 1);
	int count = 0;

	if (end < from)
		return -1;
	for (const char *at = from; at < end; at++)
		count += *at == '\n';
	return count;
}

/*
 * The line of the source to which an error of the server's parsers points; otherwise the line where
 * the function begins. Parsers of bodies (pg_proc.c, function_parse_error_transpose) point into the
 * body or, if they find the body exactly once in the client's statement, into that statement.
 */
static int
install_source_line(const SourceFunction *function, const ErrorData *error)
{
	static const char near_text[] = " near line ";
	const char *near = error->context != NULL ? strstr(error->context, near_text) : NULL;
	const char *statement = ActivePortal != NULL ? ActivePortal->sourceText : NULL;
	const char *body = body_of(function);
	const char *found =
		error->cursorpos > 0 && statement != NULL && body != NULL ? strstr(statement, body) : NULL;
	int lines = -1;

	if (error->internalquery != NULL && error->internalpos > 0)
		lines = lines_until(error->internalquery, error->internalquery, error->internalpos);
	else if (found != NULL)
		lines = lines_until(statement, found, error->cursorpos);
	/* PL/pgSQL: compilation of PL/pgSQL function "f" near line 3 */
	else if (near != NULL)
		lines = atoi(near + strlen(near_text)) - 1;
	return lines >= 0 ? function->body_line + lines : function->line;
}

static void
install_note_problem(CheckedSource *checked, const SourceFunction *function, ErrorData *error)
{
	SourceProblem *problem = palloc0(sizeof(SourceProblem));

	problem->error = error;
	if (!is_of_our_checks(error) && function != NULL)
	{
		problem->function = function;
		problem->line = install_source_line(function, error);
	}
	checked->problems = lappend(checked->problems, problem);
}

void
install_problems_try(CheckedSource *checked, const SourceFunction *function, SourceStep step,
					 void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		step(checked, argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_about_source(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		install_note_problem(checked, function, error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* "line 3: function "f": message" */
static char *
problem_text(const SourceProblem *problem)
{
	if (problem->function == NULL)
		return problem->error->message;
	return psprintf("line %d: function \"%s\": %s", problem->line, problem->function->name,
					problem->error->message);
}

static void
raise_one(const SourceProblem *problem)
{
	ErrorData *error = problem->error;

	if (is_of_our_checks(error))
		ReThrowError(error);
	ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE),
					errmsg("invalid chaincode source: %s", problem_text(problem)),
					error->detail ? errdetail_internal("%s", error->detail) : 0,
					error->hint ? errhint("%s", error->hint) : 0));
}

static void
append_cut(StringInfo text, const char *part)
{
	appendBinaryStringInfo(text, part,
						   pg_mbcliplen(part, (int) strnlen(part, PROBLEM_BYTES_MAX + 1),
										PROBLEM_BYTES_MAX));
}

void
install_problems_raise(const CheckedSource *checked)
{
	static const char prefix[] = "invalid chaincode source: ";
	FbStatus status = FB_NONDETERMINISTIC_CHAINCODE;
	const char *hint = NULL;
	StringInfoData detail;
	ListCell *cell;

	if (checked->problems == NIL)
		return;
	if (list_length(checked->problems) == 1)
		raise_one(linitial(checked->problems));
	initStringInfo(&detail);
	foreach(cell, checked->problems)
	{
		const SourceProblem *problem = lfirst(cell);
		const char *text = problem_text(problem);

		if (problem->error->sqlerrcode != error_sqlstate(FB_NONDETERMINISTIC_CHAINCODE))
			status = FB_INVALID_PACKAGE;
		if (hint == NULL)
			hint = problem->error->hint;
		if (foreach_current_index(cell) >= PROBLEMS_SHOWN_MAX)
			continue;
		if (strncmp(text, prefix, strlen(prefix)) == 0)
			text += strlen(prefix);
		if (detail.len > 0)
			appendStringInfoChar(&detail, '\n');
		append_cut(&detail, text);
		if (problem->error->detail != NULL)
		{
			appendStringInfoString(&detail, ": ");
			append_cut(&detail, problem->error->detail);
		}
	}
	if (list_length(checked->problems) > PROBLEMS_SHOWN_MAX)
		appendStringInfo(&detail, "\n%d more.",
						 list_length(checked->problems) - PROBLEMS_SHOWN_MAX);
	ereport(ERROR, (fb_errcode(status),
					errmsg("invalid chaincode source: %d functions have errors",
						   list_length(checked->problems)),
					errdetail_internal("%s", detail.data), hint != NULL ? errhint("%s", hint) : 0));
}
