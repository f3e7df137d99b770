/*
 * node_session.c: restrict a session of another node to calls of the functions of the interface
 * between nodes.
 *
 * The problem. Privileges do not make a small interface of SQL. A role without any privileges may
 * read catalogs (including the sources of functions), take locks, open transactions and leave them
 * open, create large objects, prepare statements, wait, and change its own settings and password.
 * The nodes of other organizations need none of that: they send the statements of remote.c.
 *
 * The rule. At the top level of such a session a statement must have one of these forms:
 *
 *     SELECT fabric_internal.NAME(...)
 *     SELECT column, ... FROM fabric_internal.NAME(...)
 *
 * with constants and parameters as arguments, where NAME is a function that a statement of
 * remote.c calls. Any other statement is refused with 42501. The check looks at the statement
 * after PostgreSQL's analysis (post_parse_analyze_hook), so no spelling avoids it: the simple and
 * the extended protocol, prepared statements, and every utility statement (BEGIN, SET, COPY, DO,
 * PREPARE, LISTEN ...) pass there before anything is executed. Statements that the functions
 * themselves run are not at the top level. Three ways avoid the analysis; each has its own check:
 *
 *   - utility statements that were analyzed elsewhere (ProcessUtility_hook): none is known;
 *   - function calls without a statement, the protocol's message F, which large objects use too
 *     (object_access_hook);
 *   - the replication protocol (node_login.c).
 *
 * The analysis itself takes read locks on relations that the statement names; the refusal is an
 * error, which releases them at once.
 *
 * Open transactions. Even without BEGIN, the extended protocol keeps a transaction open until the
 * message Sync: a peer that sends a call and no Sync keeps locks, for example those that make
 * leave_channel wait. PostgreSQL's idle_in_transaction_session_timeout does not cover that. So
 * this file starts the timer whenever a statement was parsed or bound (both open a transaction) or
 * has run, and none is running; when the timer expires, the session ends. Further messages that
 * run nothing do not restart the timer.
 *
 * Log messages. The peer can cause any error of such a session. Their number (node_roles.c) and
 * length in the log are limited, and they are logged without the statement; the client gets them
 * in full.
 *
 * Memory. A named prepared statement remains in memory, and the protocol does not limit their
 * number; a session whose statements take more than PREPARED_BYTES_MAX ends.
 *
 * Rejected: comparing the text of statements with those of remote.c. It would refuse an extra
 * blank, and operators and tests call the functions with psql.
 */
#include "server/wire/wire_internal.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/timeout.h"

#define PREPARED_BYTES_MAX ((Size) 256 * 1024 * 1024)
/* limit of a message's texts in the log; longer texts are cut */
#define LOG_TEXT_BYTES_MAX 2048

/* set when the session starts, never reset; NULL: not a session of a node */
static NodeRole *session_role = NULL;
static char session_role_name[NAMEDATALEN];

/*
 * Number of ExecutorRun calls for statements of the session: 0 or 1. After an error the end of the
 * transaction resets it.
 */
static int running_count = 0;
/* number of active planner calls; the planner analyzes the bodies of functions */
static int planning_count = 0;
static bool timer_runs = false;
static bool in_log_hook = false;

static post_parse_analyze_hook_type previous_analyze;
static ProcessUtility_hook_type previous_utility;
static object_access_hook_type previous_object_access;
static planner_hook_type previous_planner;
static ExecutorStart_hook_type previous_start;
static ExecutorRun_hook_type previous_run;
static emit_log_hook_type previous_log;

/* ---- allowed statements ---- */

static void
refuse_statement(const char *what)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("%s is not allowed in a session of another node", what),
		 errdetail(
			 "Role \"%s\" is a member of fabric_node, which can call the functions of the interface between nodes only.",
			 session_role_name),
		 errhint("Connect as another role to work in the database.")));
}

/* a constant or a parameter, possibly converted by the parser to the function's type */
static bool
is_plain_argument(const Node *node)
{
	if (IsA(node, RelabelType))
		return is_plain_argument((const Node *) ((const RelabelType *) node)->arg);
	if (IsA(node, FuncExpr))
	{
		const FuncExpr *conversion = (const FuncExpr *) node;

		return conversion->funcformat == COERCE_IMPLICIT_CAST &&
			   conversion->funcid < FirstUnpinnedObjectId && list_length(conversion->args) == 1 &&
			   is_plain_argument(linitial(conversion->args));
	}
	return IsA(node, Const) || IsA(node, Param);
}

static bool
is_interface_call(const Node *node)
{
	const FuncExpr *call = (const FuncExpr *) node;
	ListCell *cell;
	char *schema;
	char *name;

	if (node == NULL || !IsA(node, FuncExpr) || call->funcvariadic)
		return false;
	schema = get_namespace_name(get_func_namespace(call->funcid));
	name = get_func_name(call->funcid);
	if (schema == NULL || name == NULL || strcmp(schema, "fabric_internal") != 0 ||
		!remote_function_is(name))
		return false;
	foreach(cell, call->args)
	{
		if (!is_plain_argument(lfirst(cell)))
			return false;
	}
	return true;
}

/* only a target list, which may return rows, and FROM */
static bool
is_plain_select(const Query *query)
{
	return query->commandType == CMD_SELECT && query->utilityStmt == NULL && !query->hasAggs &&
		   !query->hasWindowFuncs && !query->hasSubLinks && !query->hasDistinctOn &&
		   !query->hasRecursive && !query->hasModifyingCTE && !query->hasForUpdate &&
		   query->cteList == NIL && query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->windowClause == NIL &&
		   query->distinctClause == NIL && query->sortClause == NIL && query->limitOffset == NULL &&
		   query->limitCount == NULL && query->rowMarks == NIL && query->setOperations == NULL &&
		   query->jointree != NULL && query->jointree->quals == NULL;
}

/* SELECT fabric_internal.NAME(...) */
static bool
is_call_in_targets(const Query *query)
{
	const TargetEntry *target;

	if (query->rtable != NIL || query->jointree->fromlist != NIL ||
		list_length(query->targetList) != 1)
		return false;
	target = linitial_node(TargetEntry, query->targetList);
	return is_interface_call((const Node *) target->expr);
}

/*
 * SELECT column, ... FROM fabric_internal.NAME(...), each column at most once, so that the answer
 * is not multiplied
 */
static bool
is_call_in_from(const Query *query)
{
	const RangeTblEntry *entry;
	Bitmapset *columns = NULL;
	ListCell *cell;

	if (list_length(query->rtable) != 1 || list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return false;
	entry = linitial_node(RangeTblEntry, query->rtable);
	if (entry->rtekind != RTE_FUNCTION || list_length(entry->functions) != 1 ||
		entry->funcordinality ||
		!is_interface_call(linitial_node(RangeTblFunction, entry->functions)->funcexpr))
		return false;
	foreach(cell, query->targetList)
	{
		const Var *column = (const Var *) lfirst_node(TargetEntry, cell)->expr;

		if (!IsA(column, Var) || column->varlevelsup != 0 || column->varattno <= 0 ||
			bms_is_member(column->varattno, columns))
			return false;
		columns = bms_add_member(columns, column->varattno);
	}
	return true;
}

/* true for statements that another node sends, false for those that the called functions run */
static bool
is_top_level(void)
{
	return session_role != NULL && ActivePortal == NULL && planning_count == 0;
}

/* ---- open transactions ---- */

static void
start_timer(void)
{
	if (timer_runs || running_count > 0 || !IsTransactionState())
		return;
	enable_timeout_after(IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
						 Max(IdleInTransactionSessionTimeout, 1));
	timer_runs = true;
}

static void
stop_timer(void)
{
	if (timer_runs)
		disable_timeout(IDLE_IN_TRANSACTION_SESSION_TIMEOUT, false);
	timer_runs = false;
}

static void
session_at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
	{
		stop_timer();
		running_count = 0;
	}
}

/* ---- the hooks ---- */

static void
session_analyze(ParseState *state, Query *query, JumbleState *jumble)
{
	if (is_top_level())
	{
		if (!is_plain_select(query) || !(is_call_in_targets(query) || is_call_in_from(query)))
			refuse_statement(query->commandType == CMD_UTILITY
								 ? GetCommandTagName(CreateCommandTag(query->utilityStmt))
								 : "this statement");
		if (MemoryContextMemAllocated(CacheMemoryContext, true) > PREPARED_BYTES_MAX)
			ereport(FATAL,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("terminating connection because of too many prepared statements")));
		start_timer();
	}
	if (previous_analyze != NULL)
		previous_analyze(state, query, jumble);
}

static void
run_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
			DestReceiver *destination, QueryCompletion *completion)
{
	if (session_role != NULL && context == PROCESS_UTILITY_TOPLEVEL)
		refuse_statement(GetCommandTagName(CreateCommandTag(statement->utilityStmt)));
	if (previous_utility != NULL)
		previous_utility(statement, text, read_only_tree, context, parameters, environment,
						 destination, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, parameters, environment,
								destination, completion);
}

static void
access_object(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
	/*
	 * debug_query_string is the statement that is planned or executed; a function call of the
	 * protocol has none
	 */
	if (access == OAT_FUNCTION_EXECUTE && is_top_level() && debug_query_string == NULL)
		refuse_statement("a function call without a statement");
	if (previous_object_access != NULL)
		previous_object_access(access, class_id, object_id, sub_id, argument);
}

static PlannedStmt *
session_plan_query(Query *query, const char *text, int options, ParamListInfo parameters)
{
	PlannedStmt *volatile result = NULL;

	planning_count++;
	/*
	 * Also after an error that is caught inside the transaction: with a wrong count the next
	 * statement would not be checked.
	 */
	PG_TRY();
	{
		result = previous_planner != NULL ? previous_planner(query, text, options, parameters)
										  : standard_planner(query, text, options, parameters);
	}
	PG_FINALLY();
	{
		planning_count--;
	}
	PG_END_TRY();
	return result;
}

/* a statement is bound; its plan may be an earlier one, without a new analysis */
static void
start_executor(QueryDesc *query, int flags)
{
	if (session_role != NULL)
		start_timer();
	if (previous_start != NULL)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

static void
session_execute(QueryDesc *query, ScanDirection direction, uint64 count, bool once)
{
	if (previous_run != NULL)
		previous_run(query, direction, count, once);
	else
		standard_ExecutorRun(query, direction, count, once);
}

static void
run_executor(QueryDesc *query, ScanDirection direction, uint64 count, bool once)
{
	if (session_role == NULL || running_count > 0)
	{
		session_execute(query, direction, count, once);
		return;
	}
	stop_timer();
	running_count++;
	session_execute(query, direction, count, once);
	running_count--;
	start_timer();
}

/* ---- messages to the log ---- */

static size_t
text_bytes(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

/* log the beginnings of the texts instead of the message */
static void
log_excerpt(ErrorData *error)
{
	error->output_to_server = false;
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg_internal("%s:  %s", error_severity(error->elevel),
							 error_excerpt(error->message != NULL ? error->message : "")),
			 error->detail_log != NULL || error->detail != NULL
				 ? errdetail_internal("%s",
									  error_excerpt(error->detail_log != NULL ? error->detail_log
																			  : error->detail))
				 : 0,
			 error->context != NULL ? errcontext_msg("%s", error_excerpt(error->context)) : 0,
			 errhidestmt(true)));
}

static void
session_limit_message(ErrorData *error)
{
	uint64 left_out;

	if (!node_roles_may_log(session_role, &left_out))
	{
		error->output_to_server = false;
		return;
	}
	if (left_out > 0)
		ereport(LOG_SERVER_ONLY,
				(errmsg("%llu messages of sessions of node role \"%s\" were not logged",
						(unsigned long long) left_out, session_role_name),
				 errdetail("Sessions of another node may put few messages into the log."),
				 errhidestmt(true)));
	if (text_bytes(error->message) + text_bytes(error->detail) + text_bytes(error->detail_log) +
			text_bytes(error->hint) + text_bytes(error->context) +
			text_bytes(error->internalquery) >
		LOG_TEXT_BYTES_MAX)
		log_excerpt(error);
}

static void
emit_log(ErrorData *error)
{
	if (session_role != NULL && !in_log_hook)
	{
		/* messages of this function itself are not limited */
		in_log_hook = true;
		session_limit_message(error);
		in_log_hook = false;
	}
	if (previous_log != NULL)
		previous_log(error);
}

/* ---- installing, starting ---- */

void
node_session_start(Oid role_id, const char *role_name)
{
	strlcpy(session_role_name, role_name, sizeof(session_role_name));
	session_role = node_roles_enter(role_id);
	RegisterXactCallback(session_at_transaction_end, NULL);
}

void
node_session_install(void)
{
	previous_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = session_analyze;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = run_utility;
	previous_object_access = object_access_hook;
	object_access_hook = access_object;
	previous_planner = planner_hook;
	planner_hook = session_plan_query;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
	previous_log = emit_log_hook;
	emit_log_hook = emit_log;
}
