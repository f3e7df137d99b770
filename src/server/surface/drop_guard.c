/*
 * drop_guard.c: prevent the loss of ledgers and keys by one careless statement, and remove key
 * files with the extension.
 *
 * The problem. DROP EXTENSION fabric would remove the only local copy of every ledger, a
 * consenter's votes, and the keys of authorities on which an organization depends. So it is refused
 * while a channel is joined or an authority has issued certificates, unless
 * fabric.allow_drop_extension is on.
 *
 * The rule. The hook does not check the statement, because the extension is also dropped by DROP
 * EXTENSION pgcrypto CASCADE, by DROP SCHEMA ... CASCADE of the schema that pgcrypto is in, and by
 * DROP OWNED. All of them remove the extension's tables one by one, and PostgreSQL calls
 * object_access_hook before it removes each. The table can still be read then. An error in the hook
 * ends the statement, and its rollback restores objects that were removed before.
 *
 * The hook also sees which key files lose their rows: they are removed when the transaction
 * commits. Schemas of chaincode packages need no code here: they depend on the extension in
 * pg_depend (install.c).
 *
 * The hook exists only where the library is loaded. Without shared_preload_libraries, an event
 * trigger loads it before a statement that could drop the extension (fabric--1.0.sql).
 *
 * DROP DATABASE does not drop tables one by one. Without FORCE, the sessions of the extension's
 * workers prevent it; with FORCE it is refused here while a channel is joined. To drop the
 * database, an administrator first leaves the channels, or sets fabric.allow_drop_extension, or
 * stops preloading the library.
 */
#include "server/surface/surface.h"

#include "server/surface/surface_internal.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "server/ca/ca.h"

FABRIC_FUNCTION(fabric_load_library);

static object_access_hook_type previous_object_access;

/* ---- reading a table that is about to be dropped ---- */

typedef void (*RowVisitor)(char *value, void *argument);

/*
 * Call visit for the non-null values of a text column, up to limit of them (0: all). The caller's
 * statement holds an exclusive lock on the table. Its indexes may be gone already, so this is a
 * plain scan.
 */
static void
visit_column(Oid table, const char *column, int limit, RowVisitor visit, void *argument)
{
	AttrNumber number = get_attnum(table, column);
	Relation relation = table_open(table, AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	HeapTuple row;
	int seen = 0;

	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool is_null;
		Datum value = heap_getattr(row, number, RelationGetDescr(relation), &is_null);

		CHECK_FOR_INTERRUPTS();
		if (is_null)
			continue;
		visit(TextDatumGetCString(value), argument);
		if (++seen == limit)
			break;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
}

static void
remember_value(char *value, void *argument)
{
	*(char **) argument = value;
}

static void
remove_key_file(char *value, void *argument)
{
	key_file_remove_at_commit(value);
}

/* ---- checks of each table ---- */

static void
refuse_joined(Oid table)
{
	char *channel = NULL;

	visit_column(table, "channel", 1, remember_value, &channel);
	if (channel != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop extension fabric because channel \"%s\" is joined", channel),
			 errdetail(
				 "This node's copy of its blocks, transactions and world state would be lost."),
			 errhint(
				 "Leave all channels with fabric.leave_channel first, or set fabric.allow_drop_extension to on.")));
}

static void
refuse_issued(Oid table)
{
	char *ca = NULL;

	visit_column(table, "ca", 1, remember_value, &ca);
	if (ca != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg(
				 "cannot drop extension fabric because certificate authority \"%s\" has issued certificates",
				 ca),
			 errdetail(
				 "Its private key would be lost, and its certificates could be neither renewed nor revoked."),
			 errhint(
				 "Keep it with fabric.ca_export and remove it with fabric.ca_drop, or set fabric.allow_drop_extension to on.")));
}

static void
check_dropped_table(Oid table)
{
	Oid schema = get_namespace_oid("fabric_internal", true);
	char *name;

	if (!OidIsValid(schema) || get_rel_namespace(table) != schema ||
		get_rel_relkind(table) != RELKIND_RELATION)
		return;
	name = get_rel_name(table);
	if (strcmp(name, "channel") == 0 && !guc_allow_drop_extension)
		refuse_joined(table);
	else if (strcmp(name, "ca_certificate") == 0 && !guc_allow_drop_extension)
		refuse_issued(table);
	else if (strcmp(name, "ca") == 0 || strcmp(name, "identity") == 0)
		visit_column(table, "key_file", 0, remove_key_file, NULL);
}

static void
check_dropped_database(Oid database)
{
	char *name = get_database_name(database);

	if (guc_allow_drop_extension || name == NULL || strcmp(name, guc_database) != 0 ||
		!shmem_available())
		return;
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];

		if (shmem_channel_at(i, channel) != NULL)
			ereport(
				ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop database \"%s\" because channel \"%s\" is joined in it", name,
						channel),
				 errdetail(
					 "This node's copy of its blocks, transactions and world state would be lost."),
				 errhint(
					 "Leave all channels with fabric.leave_channel first, or set fabric.allow_drop_extension to on.")));
	}
}

static void
object_dropped(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, argument);
	if (access != OAT_DROP || sub_id != 0)
		return;
	if (class_id == RelationRelationId)
		check_dropped_table(object_id);
	else if (class_id == DatabaseRelationId)
		check_dropped_database(object_id);
}

void
drop_guard_install(void)
{
	previous_object_access = object_access_hook;
	object_access_hook = object_dropped;
}

/*
 * Called by the event trigger fabric_drop_guard. The call itself loads the library, and with it the
 * hook, so there is nothing else to do.
 */
Datum
fabric_load_library(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg(
				 "function fabric_internal.load_library can only be called as an event trigger")));
	PG_RETURN_VOID();
}
