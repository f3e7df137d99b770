/*
 * unlogged.c: errors whose text goes to the client, but not into the server's log.
 *
 * The text of an error can quote data: a built-in function quotes a text that is not a number, and
 * chaincode chooses its messages. In a call with transient data this may be data that must not be
 * stored anywhere, and other people than the client read the log. An extension can keep a message
 * out of the log (emit_log_hook); it recognizes the message by a mark on the error, its
 * translation domain. The domain has no further use once the text is made, and stays with the
 * error however often it is caught and raised again.
 */
#include "server/pg/pg.h"

static const char unlogged_domain[] = "fabric-unlogged";
static emit_log_hook_type previous_hook;

char *
unlogged_functions(const char *context)
{
	static const char *const kinds[] = {"PL/pgSQL function ",  "SQL function ",
										"PL/Perl function ",   "PL/Tcl function ",
										"PL/Python function ", "chaincode \""};
	StringInfoData lines;

	initStringInfo(&lines);
	while (context != NULL && context[0] != '\0')
	{
		size_t length = strcspn(context, "\n");

		for (int i = 0; i < lengthof(kinds); i++)
			if (strncmp(context, kinds[i], strlen(kinds[i])) == 0)
				appendStringInfo(&lines, "%s%.*s", lines.len > 0 ? "\n" : "", (int) length,
								 context);
		context += length + (context[length] == '\n' ? 1 : 0);
	}
	return lines.len > 0 ? lines.data : NULL;
}

static void
emit_unlogged(ErrorData *error)
{
	char *functions;

	/* compare the text, not the pointer: a copy of the error may have its own */
	if (error->domain == NULL || strcmp(error->domain, unlogged_domain) != 0)
	{
		if (previous_hook != NULL)
			previous_hook(error);
		return;
	}
	error->output_to_server = false;
	functions = unlogged_functions(error->context);
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("a call with transient data failed with SQLSTATE %s",
					unpack_sql_state(error->sqlerrcode)),
			 errdetail("The text of the error may quote transient data; only the client gets it."),
			 functions != NULL ? errcontext_msg("%s", functions) : 0, errhidestmt(true)));
}

void
unlogged_install(void)
{
	previous_hook = emit_log_hook;
	emit_log_hook = emit_unlogged;
}

void
unlogged_rethrow(MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	error->domain = unlogged_domain;
	error->hide_stmt = true;
	error->hide_ctx = true;
	ReThrowError(error);
}
