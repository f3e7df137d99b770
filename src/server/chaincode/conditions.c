/*
 * conditions.c: messages and errors of running chaincode.
 *
 * Messages. RAISE LOG, RAISE NOTICE and similar, elog in PL/Perl and PL/Tcl, and messages of
 * built-in functions reach the client and the server's log as usual, but the number of messages per
 * call and the length of each are limited: otherwise any caller of chaincode could fill the log,
 * also that of other organizations' nodes. The messages name the code, since a reader of the log
 * could mistake them for the server's own. The hook for messages (emit_log_hook) sees only messages
 * that go to the server's log. Therefore the level of the log is lowered during the call, and the
 * hook applies the configured level. DEBUG messages are dropped.
 *
 * Errors. An error that chaincode raises is the chaincode's, whatever its SQLSTATE: the call has
 * status 500. An error that depends on the node or the moment (memory, disk, stack, cancellation,
 * lock conflicts, failures of the server itself) is the node's and makes the whole call fail, even
 * if chaincode catches it: otherwise the result would depend on how much memory a node has. A
 * context callback at the base of the call sees every error when it is raised, before any handler.
 * RAISE is distinguished from the server's own errors by the place that raised the error:
 * PL/pgSQL's exec_stmt_raise. Other languages cannot choose the SQLSTATE of their errors (it is
 * 38000).
 *
 * Refusals of the sandbox, and errors about names of objects that do not exist or may not be used,
 * reveal something about one database. Dynamic SQL could try names and react to the error.
 * Therefore a call in which such an error was raised has status 500 with that error, even if
 * chaincode catches it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/elog.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "server/chaincode/chaincode_internal.h"

/* messages of one call, and bytes of one field of a message */
#define CLIENT_MESSAGES_MAX 100
#define LOG_MESSAGES_MAX 10
#define FIELD_BYTES_MAX 1000

static struct
{
	bool active;
	const char *what;
	MemoryContext context;
	ErrorContextCallback callback;
	ErrorData *failure;
	ErrorData *refusal;	  /* an error of the sandbox, or about a name that does not exist */
	int failure_sqlstate; /* set when the failure could not be copied; 0: none */
	bool copying;
	int client_count;
	int log_count;
	bool hidden_from_log;
	List *deferred; /* of char *: lines for the log, collected while standard error is discarded */
	int saved_log_min_messages;
	int saved_client_min_messages;
} conditions;

static emit_log_hook_type previous_log_hook;

/* ---- errors ---- */

/* Does the error depend on the node or the moment, and not on the call and the state? */
static bool
is_node_condition(int sqlstate)
{
	int class = ERRCODE_TO_CATEGORY(sqlstate);
	FbStatus status;

	if (class == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_CONFIG_FILE_ERROR) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR) ||
		sqlstate == ERRCODE_STATEMENT_TOO_COMPLEX || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlstate == MAKE_SQLSTATE('7', '2', '0', '0', '0'))
		return true;
	if (class != MAKE_SQLSTATE('L', 'F', '0', '0', '0'))
		return false;
	status = error_status_of(sqlstate);
	return status == FB_CORRUPTED || status == FB_CRYPTO_FAILURE || status == FB_INTERNAL;
}

/*
 * Does the error depend on the objects of one database, or contain the name of a cursor, which
 * counts the session's cursors?
 */
static bool
is_object_condition(int sqlstate)
{
	return sqlstate == error_sqlstate(FB_SANDBOX_VIOLATION) ||
		   sqlstate == ERRCODE_UNDEFINED_TABLE || sqlstate == ERRCODE_UNDEFINED_OBJECT ||
		   sqlstate == ERRCODE_UNDEFINED_FUNCTION || sqlstate == ERRCODE_UNDEFINED_SCHEMA ||
		   sqlstate == ERRCODE_UNDEFINED_DATABASE || sqlstate == ERRCODE_AMBIGUOUS_FUNCTION ||
		   sqlstate == ERRCODE_WRONG_OBJECT_TYPE || sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE ||
		   sqlstate == ERRCODE_UNDEFINED_CURSOR || sqlstate == ERRCODE_DUPLICATE_CURSOR ||
		   sqlstate == ERRCODE_INVALID_CURSOR_STATE;
}

static bool
is_raised_by_chaincode(const ErrorData *error)
{
	const char *file = error->filename ? error->filename : "";
	const char *slash = strrchr(file, '/');

	return error->funcname != NULL && strcmp(error->funcname, "exec_stmt_raise") == 0 &&
		   strcmp(slash ? slash + 1 : file, "pl_exec.c") == 0;
}

/* the context callback, called while an error or a message is being raised */
static void
note_condition(void *argument)
{
	int sqlstate = geterrcode();
	MemoryContext caller;
	ErrorData **kept;
	ErrorData *error;
	bool is_of_node;

	if (sqlstate == ERRCODE_ADMIN_SHUTDOWN && time_limit_ends_session())
	{
		interpreter_abandon();
		time_limit_describe_end();
		return;
	}
	is_of_node = is_node_condition(sqlstate);
	if (conditions.copying || (!is_of_node && !is_object_condition(sqlstate)))
		return;
	kept = is_of_node ? &conditions.failure : &conditions.refusal;
	/* copying may fail when memory is short; that error must not be copied again */
	conditions.copying = true;
	if (conditions.failure == NULL)
		conditions.failure_sqlstate = is_of_node ? sqlstate : ERRCODE_OUT_OF_MEMORY;
	caller = MemoryContextSwitchTo(conditions.context);
	error = CopyErrorData();
	MemoryContextSwitchTo(caller);
	conditions.copying = false;
	conditions.failure_sqlstate = 0;
	if (error->elevel < ERROR || is_raised_by_chaincode(error) || *kept != NULL)
		FreeErrorData(error);
	else
		*kept = error;
	if (conditions.failure != NULL && sqlstate == ERRCODE_QUERY_CANCELED)
		time_limit_note_cancellation();
}

const ErrorData *
conditions_node_failure(const ErrorData *error)
{
	if (conditions.failure != NULL)
		return conditions.failure;
	if (conditions.failure_sqlstate != 0)
		ereport(ERROR, (errcode(conditions.failure_sqlstate),
						errmsg("%s exceeded a resource limit of this node", conditions.what)));
	if (error != NULL && is_node_condition(error->sqlerrcode) && !is_raised_by_chaincode(error))
		return error;
	return NULL;
}

const ErrorData *
conditions_refusal(void)
{
	return conditions.refusal;
}

/* ---- messages ---- */

/* elog.c, is_log_level_output: LOG is between ERROR and FATAL for the log */
static bool
log_wants(int level, int log_level)
{
	if (level == LOG || level == LOG_SERVER_ONLY)
		return log_level == LOG || log_level <= ERROR;
	if (log_level == LOG)
		return level >= FATAL;
	return level >= log_level;
}

static char *
cut_field(char *text)
{
	size_t size;

	if (text == NULL || (size = strnlen(text, FIELD_BYTES_MAX + 1)) <= FIELD_BYTES_MAX)
		return text;
	return psprintf("%s...", memory_cstring(
								 fb_bytes(text, pg_mbcliplen(text, (int) size, FIELD_BYTES_MAX))));
}

/* memory: context of the message, which is current */
static void
limit_condition_message(ErrorData *message, bool is_last)
{
	if (is_last)
	{
		message->message =
			psprintf("%s: more messages of this call are not shown", conditions.what);
		message->detail = message->detail_log = message->hint = message->context = NULL;
	}
	else
		message->message = psprintf("%s: %s", conditions.what,
									cut_field(message->message ? message->message : ""));
	message->detail = cut_field(message->detail);
	message->detail_log = cut_field(message->detail_log);
	message->hint = cut_field(message->hint);
	message->context = cut_field(message->context);
	message->internalquery = NULL;
	message->internalpos = message->cursorpos = 0;
	message->schema_name = message->table_name = message->column_name = NULL;
	message->datatype_name = message->constraint_name = NULL;
	/* the statement is the caller's and contains the arguments */
	message->hide_stmt = true;
}

/*
 * Keep the message until the interpreter has been left: before that, its code could write to the
 * same descriptor.
 */
static void
defer_message(const ErrorData *message)
{
	MemoryContext caller = MemoryContextSwitchTo(conditions.context);

	conditions.deferred = lappend(conditions.deferred, pstrdup(message->message));
	MemoryContextSwitchTo(caller);
}

static void
filter_message(ErrorData *message)
{
	if (!conditions.active)
		goto pass;
	message->output_to_server = log_wants(message->elevel, conditions.saved_log_min_messages) &&
								!(conditions.hidden_from_log && message->elevel < ERROR);
	if (message->elevel < ERROR)
	{
		if (message->output_to_server && ++conditions.log_count > LOG_MESSAGES_MAX)
			message->output_to_server = false;
		if (message->output_to_client && ++conditions.client_count > CLIENT_MESSAGES_MAX)
			message->output_to_client = false;
		if (message->output_to_server || message->output_to_client)
			limit_condition_message(message, (!message->output_to_server ||
											  conditions.log_count == LOG_MESSAGES_MAX) &&
												 (!message->output_to_client ||
												  conditions.client_count == CLIENT_MESSAGES_MAX));
	}
	if (message->elevel >= FATAL)
		interpreter_abandon();
	else if (message->output_to_server && interpreter_entered())
	{
		defer_message(message);
		message->output_to_server = false;
	}
pass:
	if (message->output_to_server && previous_log_hook)
		previous_log_hook(message);
}

/* ---- beginning and end ---- */

void
conditions_clear(void)
{
	conditions.failure = NULL;
	conditions.refusal = NULL;
	conditions.failure_sqlstate = 0;
}

void
conditions_start(const char *what, MemoryContext context)
{
	static bool installed = false;

	if (!installed)
	{
		previous_log_hook = emit_log_hook;
		emit_log_hook = filter_message;
		installed = true;
	}
	conditions.what = what;
	conditions.context = context;
	conditions_clear();
	conditions.copying = false;
	conditions.client_count = conditions.log_count = 0;
	conditions.hidden_from_log = false;
	conditions.deferred = NIL;
	conditions.callback.callback = note_condition;
	conditions.callback.arg = NULL;
	conditions.callback.previous = error_context_stack;
	error_context_stack = &conditions.callback;
	conditions.saved_log_min_messages = log_min_messages;
	conditions.saved_client_min_messages = client_min_messages;
	log_min_messages = INFO;
	client_min_messages = Max(client_min_messages, LOG);
	conditions.active = true;
}

void
conditions_hide_from_log(void)
{
	conditions.hidden_from_log = true;
}

void
conditions_stop(void)
{
	ListCell *cell;

	if (!conditions.active)
		return;
	conditions.active = false;
	log_min_messages = conditions.saved_log_min_messages;
	client_min_messages = conditions.saved_client_min_messages;
	foreach(cell, conditions.deferred)
		ereport(LOG_SERVER_ONLY, (errmsg_internal("%s", (char *) lfirst(cell)), errhidestmt(true),
								  errhidecontext(true)));
	conditions.deferred = NIL;
}
