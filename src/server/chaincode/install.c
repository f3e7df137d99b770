/* install: installed packages: their table, and the schemas of their functions */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/schemacmds.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"
#include "server/channel/channel.h"

/* ---- the table ---- */

static SpiStatement select_package =
	{"SELECT bytes FROM fabric_internal.chaincode_package WHERE package_id = $1", 1, {TEXTOID}};

bool
package_is_installed(const char *package_id)
{
	return OidIsValid(function_cache_schema(package_id));
}

static void
package_not_found(const char *package_id)
{
	ereport(ERROR,
			(fb_errcode(FB_CHAINCODE_NOT_FOUND),
			 errmsg("chaincode package \"%s\" is not installed", error_excerpt(package_id)),
			 errhint("The view fabric.installed_chaincodes lists the packages of this node.")));
}

bytea *
package_get(const char *package_id)
{
	bytea *bytes = NULL;

	if (!package_select(&select_package, package_id, &bytes))
		package_not_found(package_id);
	return bytes;
}

static void
insert_package(const ChaincodePackage *package, FbBytes bytes)
{
	static SpiStatement statement =
		{"INSERT INTO fabric_internal.chaincode_package (package_id, label, type, "
		 "schema_name, bytes) VALUES ($1, $2, $3, $4, $5) "
		 "ON CONFLICT (package_id) DO UPDATE SET label = EXCLUDED.label, type = EXCLUDED.type, "
		 "schema_name = EXCLUDED.schema_name, bytes = EXCLUDED.bytes",
		 5,
		 {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}};
	SpiScope scope;
	Datum values[5];

	values[0] = CStringGetTextDatum(package->package_id);
	values[1] = CStringGetTextDatum(package->label);
	values[2] = CStringGetTextDatum(package->type);
	values[3] = CStringGetTextDatum(package->schema_name);
	values[4] = PointerGetDatum(memory_bytea(bytes));
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	spi_end(&scope);
}

/* one install or uninstall at a time, so that the second sees the result of the first */
static void
lock_packages(void)
{
	LockRelationOid(spi_relation_oid("chaincode_package"), ShareRowExclusiveLock);
	CommandCounterIncrement();
}

/* ---- the functions ---- */

/*
 * Remove labels for the planner: it folds an immutable function into the plan of a session, so that
 * the value of one call would appear in the next call. Chaincode reads and writes state, so every
 * function is volatile, and has the default costs. STRICT stays, because it is part of the
 * function's behavior.
 */
static void
remove_labels(CreateFunctionStmt *statement)
{
	static const char *const labels[] = {"volatility", "leakproof", "cost",
										 "rows",	   "support",	"parallel"};
	ListCell *cell;

	foreach(cell, statement->options)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		for (int i = 0; i < lengthof(labels); i++)
			if (strcmp(name, labels[i]) == 0)
			{
				statement->options = foreach_delete_current(statement->options, cell);
				break;
			}
	}
}

typedef struct CreationStep
{
	ParseState *state;
	const char *schema_name;
	SourceFunction *function;
} CreationStep;

static void
create_function(CheckedSource *checked, void *argument)
{
	CreationStep *step = argument;
	SourceFunction *function = step->function;

	function->statement->funcname =
		list_make2(makeString(pstrdup(step->schema_name)), makeString(pstrdup(function->name)));
	function->statement->replace = false;
	remove_labels(function->statement);
	function->function = CreateFunction(step->state, function->statement).objectId;
	CommandCounterIncrement();
}

static void
create_functions(const char *schema_name, CheckedSource *checked)
{
	ParseState *state = make_parsestate(NULL);
	ListCell *cell;

	state->p_sourcetext = checked->text;
	foreach(cell, checked->functions)
	{
		CreationStep step = {state, schema_name, lfirst(cell)};

		checked->current = step.function->name;
		install_problems_try(checked, step.function, create_function, &step);
	}
	install_problems_raise(checked);
	checked->current = NULL;
	foreach(cell, checked->comments)
	{
		CommentStmt *comment = lfirst_node(CommentStmt, cell);
		ObjectWithArgs *object = castNode(ObjectWithArgs, comment->object);

		object->objname = lcons(makeString(pstrdup(schema_name)), object->objname);
		CommentObject(comment);
		CommandCounterIncrement();
	}
	free_parsestate(state);
}

typedef struct ValidationStep
{
	SourceFunction *function;
	Oid schema;
} ValidationStep;

static void
validate_function(CheckedSource *checked, void *argument)
{
	ValidationStep *step = argument;
	SourceFunction *function = step->function;
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->function));
	HeapTuple language;
	Oid validator;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function->function);
	language =
		SearchSysCache1(LANGOID, ObjectIdGetDatum(((Form_pg_proc) GETSTRUCT(tuple))->prolang));
	if (!HeapTupleIsValid(language))
		elog(ERROR, "cache lookup failed for the language of function %u", function->function);
	validator = ((Form_pg_language) GETSTRUCT(language))->lanvalidator;
	ReleaseSysCache(language);
	ReleaseSysCache(tuple);
	if (OidIsValid(validator))
		OidFunctionCall1(validator, ObjectIdGetDatum(function->function));
	body_check(function, step->schema);
}

/*
 * run the languages' own checks of the bodies, after all functions exist and can refer to each
 * other
 */
static void
validate_functions(CheckedSource *checked, Oid schema)
{
	ListCell *cell;

	foreach(cell, checked->functions)
	{
		SourceFunction *function = lfirst(cell);
		ValidationStep step = {function, schema};

		checked->current = function->name;
		install_problems_try(checked, function, validate_function, &step);
	}
	install_problems_raise(checked);
}

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* an error of the parser and of the validators of functions means that the package is invalid */
static void
rethrow_as_invalid(MemoryContext context, const char *function)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!install_problems_is_of_parser(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE),
					function != NULL ? errmsg("invalid chaincode source: function \"%s\": %s",
											  function, error->message)
									 : errmsg("invalid chaincode source: %s", error->message),
					error->detail ? errdetail_internal("%s", error->detail) : 0,
					error->hint ? errhint("%s", error->hint) : 0,
					error->context ? errcontext_msg("%s", error->context) : 0));
}

/*
 * before any function is created: code in a language that cannot be checked may run when it is
 * compiled
 */
static void
refuse_warnings(const CheckedSource *checked)
{
	StringInfoData detail;
	ListCell *cell;

	if (checked->warnings == NIL)
		return;
	initStringInfo(&detail);
	foreach(cell, checked->warnings)
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? "\n" : "", (char *) lfirst(cell));
	ereport(ERROR,
			(fb_errcode(FB_NONDETERMINISTIC_CHAINCODE),
			 errmsg("chaincode may differ between nodes"), errdetail_internal("%s", detail.data),
			 errhint("If it does not, install it with allow_warnings => true.")));
}

static void
install_throw_time_is_up(const ChaincodePackage *package)
{
	ereport(ERROR, (fb_errcode(FB_CHAINCODE_TIMEOUT),
					errmsg("chaincode package \"%s\" could not be installed in %d ms",
						   package->package_id, guc_chaincode_execute_timeout),
					errhint("The limit of this node is fabric.chaincode_execute_timeout.")));
}

/* true: the time limit has passed */
static bool
leave_package(void)
{
	bool expired;

	sandbox_guard(InvalidOid);
	expired = time_limit_stop();
	interpreter_leave();
	conditions_stop();
	hidden_portals_leave();
	return expired;
}

/*
 * Create the functions of a package under the limits that apply when they run: their languages'
 * validators compile them, PL/Perl runs their BEGIN blocks, and default values are read by the
 * input functions of their types.
 */
static void
make_functions(const ChaincodePackage *package, CheckedSource *checked, bool allow_warnings,
			   void *stack_base)
{
	const char *what = psprintf("chaincode package \"%s\"", package->label);

	hidden_portals_enter();
	fixed_settings_enter();
	conditions_start(what, CurrentMemoryContext);
	time_limit_start(what, guc_chaincode_execute_timeout, stack_base);
	sandbox_guard(get_namespace_oid(package->schema_name, false));
	source_check(package->source, checked);
	if (!allow_warnings)
		refuse_warnings(checked);
	if (checked->needs_interpreter)
		interpreter_enter();
	create_functions(package->schema_name, checked);
	set_for_now("check_function_bodies", "on");
	validate_functions(checked, get_namespace_oid(package->schema_name, false));
}

static void
install_functions(const ChaincodePackage *package, CheckedSource *checked, bool allow_warnings)
{
	MemoryContext context = CurrentMemoryContext;
	Oid saved_user;
	int saved_security;
	int nest_level = NewGUCNestLevel();
	bool expired;

	GetUserIdAndSecContext(&saved_user, &saved_security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, saved_security | SECURITY_LOCAL_USERID_CHANGE);
	NamespaceCreate(package->schema_name, sandbox_role(), false);
	CommandCounterIncrement();
	/*
	 * only the rights and settings of chaincode from here on: creating a function runs code of its
	 * source (default values, BEGIN ATOMIC)
	 */
	set_for_now("search_path", psprintf("pg_catalog, %s, fabric, pg_temp",
										quote_identifier(package->schema_name)));
	set_for_now("check_function_bodies", "off");
	SetUserIdAndSecContext(sandbox_role(), saved_security | SECURITY_LOCAL_USERID_CHANGE |
											   SECURITY_RESTRICTED_OPERATION);
	PG_TRY();
	{
		make_functions(package, checked, allow_warnings, __builtin_frame_address(0));
		expired = leave_package();
	}
	PG_CATCH();
	{
		if (leave_package())
		{
			MemoryContextSwitchTo(context);
			FlushErrorState();
			install_throw_time_is_up(package);
		}
		rethrow_as_invalid(context, checked->current);
	}
	PG_END_TRY();
	if (expired)
		install_throw_time_is_up(package);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(saved_user, saved_security);
}

/*
 * DROP EXTENSION must drop the schema and its functions: without an entry in pg_depend it would
 * leave code behind that nothing refers to. DEPENDENCY_AUTO, so that it needs no CASCADE.
 */
static void
depend_on_extension(Oid schema)
{
	static SpiStatement statement = {"SELECT oid FROM pg_proc WHERE pronamespace = $1",
									 1,
									 {OIDOID}};
	Datum values[1] = {ObjectIdGetDatum(schema)};
	ObjectAddress extension;
	ObjectAddress dependent;
	SpiScope scope;

	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("fabric", false));
	ObjectAddressSet(dependent, NamespaceRelationId, schema);
	recordDependencyOn(&dependent, &extension, DEPENDENCY_AUTO);
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum function = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		ObjectAddressSet(dependent, ProcedureRelationId, DatumGetObjectId(function));
		recordDependencyOn(&dependent, &extension, DEPENDENCY_AUTO);
	}
	spi_end(&scope);
}

/* no one but the owner may use the functions, and no one may use the schema */
static void
revoke_rights(const char *schema_name)
{
	SpiScope scope;
	char *sql = psprintf("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %s FROM PUBLIC",
						 quote_identifier(schema_name));

	spi_begin(&scope);
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not revoke the rights on schema \"%s\"", schema_name);
	spi_end(&scope);
}

void
package_install_aside(const ChaincodePackage *package)
{
	CheckedSource checked;
	Oid saved_user;
	int saved_security;

	GetUserIdAndSecContext(&saved_user, &saved_security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, saved_security | SECURITY_LOCAL_USERID_CHANGE);
	(void) RenameSchema(package->schema_name, psprintf("%s_aside", package->schema_name));
	SetUserIdAndSecContext(saved_user, saved_security);
	CommandCounterIncrement();
	/* allow_warnings: the installation reported them already */
	install_functions(package, &checked, true);
	revoke_rights(package->schema_name);
}

static void
report_warnings(const CheckedSource *checked)
{
	ListCell *cell;

	foreach(cell, checked->warnings)
		ereport(WARNING, (fb_errcode(FB_NONDETERMINISTIC_CHAINCODE),
						  errmsg_internal("%s", (char *) lfirst(cell))));
}

char *
package_install(FbBytes bytes, bool allow_warnings)
{
	ChaincodePackage package;
	CheckedSource checked;

	PreventCommandIfReadOnly("install_chaincode()");
	package_read(bytes, &package);
	lock_packages();
	if (package_is_installed(package.package_id))
		return pstrdup(package.package_id);
	if (package.source == NULL)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_PACKAGE),
			 errmsg("chaincode package \"%s\" is of type \"%s\"", package.package_id, package.type),
			 errdetail("This node runs packages of type \"%s\".", CHAINCODE_TYPE_SQL),
			 errhint(
				 "An organization can approve a definition without a package; it then validates, but "
				 "does not endorse.")));
	if (OidIsValid(get_namespace_oid(package.schema_name, true)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_SCHEMA),
						errmsg("schema \"%s\" of the package exists already", package.schema_name),
						errhint("Drop the schema; only chaincode may use that name.")));
	install_functions(&package, &checked, allow_warnings);
	report_warnings(&checked);
	revoke_rights(package.schema_name);
	depend_on_extension(get_namespace_oid(package.schema_name, false));
	insert_package(&package, bytes);
	return pstrdup(package.package_id);
}

/* a channel whose committed definition runs this package here, or NULL */
static const char *
find_user(const char *package_id, const char **chaincode)
{
	ListCell *membership;

	foreach(membership, channel_memberships())
	{
		const char *channel = ((ChannelMembership *) lfirst(membership))->name;
		ListCell *cell;

		foreach(cell, definition_list(channel))
		{
			ChaincodeDefinition *definition = lfirst(cell);
			char *used = definition_package_id(channel, definition);

			if (used != NULL && strcmp(used, package_id) == 0)
			{
				*chaincode = definition->name;
				return channel;
			}
		}
	}
	return NULL;
}

void
package_uninstall(const char *package_id)
{
	static SpiStatement statement = {
		"DELETE FROM fabric_internal.chaincode_package WHERE package_id = $1 RETURNING convert_to(schema_name, 'UTF8')",
		1,
		{TEXTOID}};
	const char *chaincode = NULL;
	const char *channel;
	bytea *schema_name = NULL;
	ObjectAddress schema;
	SpiScope scope;
	Datum values[1];

	PreventCommandIfReadOnly("uninstall_chaincode()");
	lock_packages();
	if (!package_is_installed(package_id))
		package_not_found(package_id);
	channel = find_user(package_id, &chaincode);
	if (channel != NULL)
		ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),
						errmsg("chaincode package \"%s\" is in use", package_id),
						errdetail("Chaincode \"%s\" on channel \"%s\" runs it on this node.",
								  chaincode, channel),
						errhint("Approve another package for that definition first.")));
	values[0] = CStringGetTextDatum(package_id);
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	if (SPI_processed > 0)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		schema_name = DatumGetByteaPCopy(value);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	if (schema_name == NULL)
		package_not_found(package_id);
	ObjectAddressSet(schema, NamespaceRelationId,
					 get_namespace_oid(memory_cstring(memory_bytes(schema_name)), true));
	if (OidIsValid(schema.objectId))
		performDeletion(&schema, DROP_CASCADE, PERFORM_DELETION_QUIETLY);
}
