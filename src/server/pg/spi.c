/*
 * spi.c: SQL on the extension's own tables.
 *
 * Functions of schema fabric run with the caller's rights. Only statements on the extension's own
 * tables run as the bootstrap superuser, between spi_begin and spi_end. The search path is fixed,
 * so that no object of the caller is used in between.
 */
#include "server/pg/pg.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

void
spi_begin(SpiScope *scope)
{
	scope->outer = CurrentMemoryContext;
	GetUserIdAndSecContext(&scope->saved_user, &scope->saved_security_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   scope->saved_security_context | SECURITY_LOCAL_USERID_CHANGE);
	scope->guc_nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
}

void
spi_end(SpiScope *scope)
{
	SPI_finish();
	AtEOXact_GUC(true, scope->guc_nest_level);
	SetUserIdAndSecContext(scope->saved_user, scope->saved_security_context);
	MemoryContextSwitchTo(scope->outer);
}

static void
spi_prepare(SpiStatement *statement)
{
	SPIPlanPtr plan;

	fb_work_add(statement->periodic ? FB_WORK_PERIODIC_STATEMENT : FB_WORK_STATEMENT);
	if (statement->plan != NULL)
		return;
	/*
	 * The extension's statements are look-ups and bulk writes whose best plan does not depend on
	 * the values, so a generic plan saves repeated planning.
	 */
	plan = SPI_prepare_cursor(statement->sql, statement->argument_count, statement->argument_types,
							  CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare statement: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

static int
spi_check_result(SpiStatement *statement, int code)
{
	if (code < 0)
		elog(ERROR, "could not run statement \"%s\": %s", statement->sql,
			 SPI_result_code_string(code));
	return code;
}

int
spi_run(SpiStatement *statement, Datum *values, const char *nulls, bool read_only, long row_limit)
{
	spi_prepare(statement);
	return spi_check_result(statement,
							SPI_execute_plan(statement->plan, values, nulls, read_only, row_limit));
}

int
spi_run_latest(SpiStatement *statement, Datum *values, const char *nulls, long row_limit)
{
	/*
	 * The leader of a parallel query must not take a new snapshot; its active one was taken for
	 * this statement.
	 */
	Snapshot snapshot = IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot();
	int code;

	spi_prepare(statement);
	code = SPI_execute_snapshot(statement->plan, values, nulls, snapshot, InvalidSnapshot, true,
								false, row_limit);
	return spi_check_result(statement, code);
}

Oid
spi_relation_oid(const char *relation_name)
{
	Oid schema = get_namespace_oid("fabric_internal", true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(relation_name, schema) : InvalidOid;

	if (!OidIsValid(relation))
		ereport(
			ERROR,
			(fb_errcode(FB_INTERNAL),
			 errmsg("table \"fabric_internal.%s\" does not exist", relation_name),
			 errhint(
				 "The extension must be created in this database: CREATE EXTENSION fabric CASCADE.")));
	return relation;
}
