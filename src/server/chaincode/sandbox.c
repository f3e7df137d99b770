/*
 * sandbox: limits on what chaincode may do. There are several barriers, each of which stops most
 * attacks alone:
 *
 *   - role fabric_chaincode owns nothing but the functions and has no privilege on any table;
 *   - the subtransaction is read-only and rolled back;
 *   - no relation can be read, catalogs included (ExecutorCheckPerms_hook), and no utility
 *     statement can run (ProcessUtility_hook);
 *   - every query that the planner gets is checked as a tree: query_check.c;
 *   - functions are refused unless they are the chaincode's own, the shim's, or built in and
 *     without effects and secrets (object_access_hook). At run time, this also catches code in
 *     dynamic SQL that differs between nodes.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

#include "server/pg/compat.h"

static Oid guarded_schema = InvalidOid;

static object_access_hook_type previous_object_access;
static ExecutorCheckPerms_hook_type previous_check_permissions;
static ProcessUtility_hook_type previous_utility;
static planner_hook_type previous_planner;

/* ---- calls of functions ---- */

/* functions known not to be a chaincode's; used when no chaincode runs */
static Oid other_functions[64];

static void
forget_other_functions(Datum argument, int cache, uint32 hash)
{
	memset(other_functions, 0, sizeof(other_functions));
}

static void
refuse_function(HeapTuple tuple)
{
	Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(tuple);
	char *schema = get_namespace_name(procedure->pronamespace);

	ereport(
		ERROR,
		(fb_errcode(FB_SANDBOX_VIOLATION),
		 errmsg("function %s.%s cannot be called in chaincode", schema ? schema : "?",
				NameStr(procedure->proname)),
		 procedure->pronamespace == PG_CATALOG_NAMESPACE
			 ? errdetail(
				   "Its result may differ between nodes, or it has effects outside the ledger.")
			 : errdetail(
				   "Chaincode can call its own functions, those of schema fabric that are made for it, and "
				   "functions of "
				   "PostgreSQL that depend on nothing but their arguments.")));
}

static void
sandbox_check_function(Oid function)
{
	HeapTuple tuple;

	if (usable_function_is_known(function))
		return;
	tuple = usable_function_tuple(function);
	if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace == guarded_schema)
		fixed_settings_prepare_language(((Form_pg_proc) GETSTRUCT(tuple))->prolang);
	else if (!usable_function_judge(function, tuple))
		refuse_function(tuple);
	ReleaseSysCache(tuple);
}

/*
 * Only superusers could call a function of a chaincode directly. They are refused too: the function
 * would be compiled and planned under the settings of their session, and a later simulation in that
 * session would use the result.
 */
static void
refuse_chaincode(Oid function)
{
	Oid *known = &other_functions[function % lengthof(other_functions)];
	HeapTuple tuple;
	Form_pg_proc procedure;

	if (*known == function)
		return;
	tuple = usable_function_tuple(function);
	procedure = (Form_pg_proc) GETSTRUCT(tuple);
	if (procedure->proowner == get_role_oid(CHAINCODE_ROLE, true))
		ereport(ERROR, (fb_errcode(FB_SANDBOX_VIOLATION),
						errmsg("chaincode function \"%s\" cannot be called directly",
							   NameStr(procedure->proname)),
						errhint("Call it with fabric.invoke or fabric.query.")));
	ReleaseSysCache(tuple);
	*known = function;
}

/* ---- the hooks ---- */

/* When no schema is guarded, they only prevent calls of chaincode's functions. */

/*
 * A function of the shim may need a statement of the extension: to find the channel's tables again
 * after other sessions changed them. It runs as the extension's owner (spi_begin), which chaincode
 * never does.
 */
static bool
is_chaincode_running(void)
{
	return OidIsValid(guarded_schema) && GetUserId() != BOOTSTRAP_SUPERUSERID;
}

static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, argument);
	if (access != OAT_FUNCTION_EXECUTE)
		return;
	if (is_chaincode_running())
		sandbox_check_function(object_id);
	else if (object_id >= FirstNormalObjectId && !OidIsValid(guarded_schema))
		refuse_chaincode(object_id);
}

static void
refuse_relations(List *range_table)
{
	ListCell *cell;

	foreach(cell, range_table)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		char *name;

		if (entry->rtekind != RTE_RELATION)
			continue;
		name = get_rel_name(entry->relid);
		ereport(
			ERROR,
			(fb_errcode(FB_SANDBOX_VIOLATION),
			 errmsg("relation \"%s\" cannot be used in chaincode", name ? name : "?"),
			 errdetail("Chaincode sees nothing but the world state of its channel."),
			 errhint(
				 "Use fabric.get_state, fabric.put_state and the other functions of schema fabric.")));
	}
}

static bool
check_permissions(COMPAT_CHECK_PERMS_PARAMETERS)
{
	if (is_chaincode_running())
		refuse_relations(range_table);
	return previous_check_permissions ? previous_check_permissions(COMPAT_CHECK_PERMS_ARGUMENTS)
									  : true;
}

static void
sandbox_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo parameters,
				QueryEnvironment *environment, DestReceiver *destination,
				QueryCompletion *completion)
{
	if (is_chaincode_running())
		ereport(ERROR, (fb_errcode(FB_SANDBOX_VIOLATION),
						errmsg("%s cannot be used in chaincode",
							   GetCommandTagName(CreateCommandTag(statement->utilityStmt))),
						errdetail("Chaincode sees nothing but the world state of its channel.")));
	if (previous_utility)
		previous_utility(statement, text, read_only_tree, context, parameters, environment,
						 destination, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, parameters, environment,
								destination, completion);
}

static PlannedStmt *
sandbox_plan_query(Query *query, const char *text, int options, ParamListInfo parameters)
{
	if (is_chaincode_running())
		query_check_run(query, guarded_schema);
	return previous_planner ? previous_planner(query, text, options, parameters)
							: standard_planner(query, text, options, parameters);
}

void
sandbox_install_hooks(void)
{
	static bool installed = false;

	if (installed)
		return;
	usable_function_init();
	CacheRegisterSyscacheCallback(PROCOID, forget_other_functions, (Datum) 0);
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = sandbox_utility;
	previous_planner = planner_hook;
	planner_hook = sandbox_plan_query;
	installed = true;
}

/* ---- entering ---- */

Oid
sandbox_role(void)
{
	return get_role_oid(CHAINCODE_ROLE, false);
}

static void
fix_search_path(Oid schema)
{
	Oid fabric = get_namespace_oid("fabric", false);

	compat_push_search_path(schema, fabric);
}

void
sandbox_enter(Oid schema)
{
	Oid user;
	int security;

	fixed_settings_enter();
	fix_search_path(schema);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(sandbox_role(),
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

/*
 * The memory that chaincode takes is the process's own. Without a limit, the kernel would kill some
 * process of the instance when memory runs out, and the postmaster would then end all others. With
 * a limit an allocation fails, which is an ordinary error. Sorts that spill to temporary files
 * instead are stopped by temp_file_limit.
 */
static struct rlimit saved_memory_limit;
static bool memory_is_limited;
static int saved_temp_file_limit;

static void
sandbox_limit_memory(void)
{
	struct rlimit limit;

	saved_temp_file_limit = temp_file_limit;
	if (guc_chaincode_memory_limit == 0 || getrlimit(RLIMIT_DATA, &saved_memory_limit) != 0)
		return;
	if (temp_file_limit < 0 || temp_file_limit > guc_chaincode_memory_limit)
		temp_file_limit = guc_chaincode_memory_limit;
	limit = saved_memory_limit;
	limit.rlim_cur = Min(limit.rlim_cur, (rlim_t) guc_chaincode_memory_limit * 1024);
	memory_is_limited = setrlimit(RLIMIT_DATA, &limit) == 0;
}

static void
unlimit_memory(void)
{
	temp_file_limit = saved_temp_file_limit;
	if (memory_is_limited && setrlimit(RLIMIT_DATA, &saved_memory_limit) != 0)
		elog(FATAL, "could not reset the limit of memory: %m");
	memory_is_limited = false;
}

void
sandbox_guard(Oid schema)
{
	sandbox_install_hooks();
	if (OidIsValid(schema) && !OidIsValid(guarded_schema))
	{
		fixed_clock_enter();
		sandbox_limit_memory();
	}
	else if (!OidIsValid(schema))
	{
		if (OidIsValid(guarded_schema))
			unlimit_memory();
		fixed_clock_leave();
		fixed_settings_leave();
	}
	guarded_schema = schema;
}
