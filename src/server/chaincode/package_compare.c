/*
 * package_compare.c: compare installed packages with the files that they were installed from.
 *
 * The hash of a package is in its id, which proves its bytes. Its functions are rows of pg_proc,
 * which a superuser can change; only an installation shows how they should be. Therefore the
 * package is installed again in a subtransaction that is always rolled back: the schema of the
 * installed functions is renamed, the same schema is created again, both are described from the
 * catalogs in the same form, and the descriptions are compared. No other session sees either
 * change. On a standby, and where catalogs cannot be written, only the bytes are compared.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "commands/schemacmds.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "server/chaincode/chaincode_internal.h"

typedef struct InstalledPackage
{
	char *package_id;
	char *schema_name;
	FbBytes bytes;
} InstalledPackage;

/* an object of a schema: its name, and a description of all its catalog entries */
typedef struct SchemaObject
{
	char *name;
	char *description;
} SchemaObject;

static List *
read_packages(void)
{
	SpiScope scope;
	List *packages = NIL;

	spi_begin(&scope);
	if (SPI_execute(
			"SELECT package_id, schema_name, bytes FROM fabric_internal.chaincode_package ORDER BY package_id",
			true, 0) < 0)
		elog(ERROR, "could not read the packages");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc columns = SPI_tuptable->tupdesc;
		bool isnull;
		Datum bytes = SPI_getbinval(row, columns, 3, &isnull);
		char *package_id = SPI_getvalue(row, columns, 1);
		char *schema_name = SPI_getvalue(row, columns, 2);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);
		InstalledPackage *package = palloc(sizeof(InstalledPackage));

		package->package_id = pstrdup(package_id);
		package->schema_name = pstrdup(schema_name);
		package->bytes = memory_bytes(DatumGetByteaPCopy(bytes));
		packages = lappend(packages, package);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return packages;
}

/*
 * The schema itself and each object in it, by name. Trees of default values and bodies contain
 * object ids and places in the source, so the output of pg_get_functiondef is used instead.
 */
static List *
describe_schema(const char *schema_name)
{
	static const char sql[] =
		"SELECT 'schema' AS name, format('%%s %%s', nspowner::regrole, nspacl) AS description FROM pg_namespace WHERE nspname = %1$s "
		"UNION ALL SELECT format('function %%s(%%s)', proname, pg_get_function_identity_arguments(p.oid)), format('%%s %%s %%s', "
		"CASE WHEN prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END, to_jsonb(p) - '{oid,pronamespace,proargdefaults,prosqlbody}'::text[], "
		"obj_description(p.oid, 'pg_proc')) FROM pg_proc p WHERE pronamespace = %1$s::regnamespace "
		"UNION ALL SELECT pg_describe_object(classid, objid, 0), '' FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND "
		"refobjid = %1$s::regnamespace AND classid <> 'pg_proc'::regclass ORDER BY 1";
	SpiScope scope;
	List *objects = NIL;
	char *literal = quote_literal_cstr(schema_name);

	CommandCounterIncrement();
	spi_begin(&scope);
	if (SPI_execute(psprintf(sql, literal), false, 0) < 0)
		elog(ERROR, "could not read schema \"%s\"", schema_name);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char *description = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);
		SchemaObject *object = palloc(sizeof(SchemaObject));

		object->name = pstrdup(name);
		object->description = pstrdup(description != NULL ? description : "");
		objects = lappend(objects, object);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return objects;
}

static const SchemaObject *
find_object(const List *objects, const char *name)
{
	const ListCell *cell;

	foreach(cell, objects)
	{
		const SchemaObject *object = lfirst(cell);

		if (strcmp(object->name, name) == 0)
			return object;
	}
	return NULL;
}

static void
compare_objects(const InstalledPackage *package, const List *installed, const List *expected,
				PackageProblem report, void *context)
{
	static const char hint[] = "Drop the schema and install the package again.";
	const ListCell *cell;

	foreach(cell, expected)
	{
		const SchemaObject *object = lfirst(cell);
		const SchemaObject *found = find_object(installed, object->name);

		if (found == NULL)
			report(context, package->package_id,
				   psprintf("%s of schema \"%s\" is missing. %s", object->name,
							package->schema_name, hint));
		else if (strcmp(found->description, object->description) != 0)
			report(context, package->package_id,
				   psprintf("%s of schema \"%s\" differs from the package. %s", object->name,
							package->schema_name, hint));
	}
	foreach(cell, installed)
	{
		const SchemaObject *object = lfirst(cell);

		if (find_object(expected, object->name) == NULL)
			report(context, package->package_id,
				   psprintf("%s of schema \"%s\" is not in the package. %s", object->name,
							package->schema_name, hint));
	}
}

/*
 * Both descriptions, in the caller's context. *expected is NIL when the package can no longer be
 * installed; *why has the reason.
 */
static void
describe_both(const InstalledPackage *package, const ChaincodePackage *content, List **installed,
			  List **expected, char **why)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	*expected = NIL;
	*installed = NIL;
	*why = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		*installed = describe_schema(package->schema_name);
		package_install_aside(content);
		*expected = describe_schema(package->schema_name);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED) ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_OUT_OF_MEMORY))
			ReThrowError(error);
		*why = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/* check the hash first: only the genuine package is unpacked */
static bool
read_matching(const InstalledPackage *package, ChaincodePackage *content)
{
	uint8 hash[CRYPTO_SHA256_BYTES];
	char hash_hex[2 * CRYPTO_SHA256_BYTES + 1];
	const char *colon = strrchr(package->package_id, ':');

	crypto_sha256(package->bytes, hash);
	fb_hex_encode(fb_bytes(hash, sizeof(hash)), hash_hex);
	if (colon == NULL || strcmp(colon + 1, hash_hex) != 0)
		return false;
	package_read(package->bytes, content);
	return strcmp(content->package_id, package->package_id) == 0;
}

static void
compare_package(const InstalledPackage *package, PackageProblem report, void *context)
{
	ChaincodePackage content;
	List *installed;
	List *expected;
	char *why;

	if (!read_matching(package, &content))
	{
		report(context, package->package_id,
			   "its stored bytes are not those of its hash. Install it again from the file.");
		return;
	}
	if (strcmp(content.schema_name, package->schema_name) != 0)
	{
		report(context, package->package_id,
			   psprintf("it is registered with another schema: \"%s\".", package->schema_name));
		return;
	}
	if (!OidIsValid(get_namespace_oid(package->schema_name, true)))
	{
		report(context, package->package_id,
			   psprintf("its schema \"%s\" is missing. Install it again.", package->schema_name));
		return;
	}
	if (RecoveryInProgress())
		return;
	describe_both(package, &content, &installed, &expected, &why);
	if (why != NULL)
		report(context, package->package_id,
			   psprintf("it cannot be compared with its functions: %s.", why));
	else
		compare_objects(package, installed, expected, report, context);
}

void
package_compare_all(PackageProblem report, void *context)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "fabric packages", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	ListCell *cell;

	foreach(cell, read_packages())
	{
		CHECK_FOR_INTERRUPTS();
		compare_package(lfirst(cell), report, context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
}
