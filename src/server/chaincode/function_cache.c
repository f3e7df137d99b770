/*
 * function_cache: the functions of installed packages, looked up once per session and prepared for
 * calls
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "server/chaincode/chaincode_internal.h"

typedef struct FunctionKey
{
	Oid schema;
	char name[NAMEDATALEN];
} FunctionKey;

typedef struct FunctionEntry
{
	FunctionKey key; /* must be first */
	ChaincodeFunction *function;
} FunctionEntry;

typedef struct PackageEntry
{
	char package_id[CHAINCODE_PACKAGE_ID_BYTES]; /* must be first */
	Oid schema;
} PackageEntry;

static MemoryContext cache_context; /* memory of the tables and all functions */
static HTAB *cache;
static HTAB *packages; /* installed packages that were looked up */
static bool cache_is_stale = true;

static void
note_change(Datum argument, int cache_id, uint32 hash)
{
	cache_is_stale = true;
}

/* must not be called while a function of the cache runs */
static void
function_make_cache(void)
{
	static bool registered = false;
	HASHCTL control = {.keysize = sizeof(FunctionKey), .entrysize = sizeof(FunctionEntry)};
	HASHCTL package_control = {.keysize = CHAINCODE_PACKAGE_ID_BYTES,
							   .entrysize = sizeof(PackageEntry)};

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, note_change, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, note_change, (Datum) 0);
		registered = true;
	}
	if (cache_context != NULL)
	{
		HASH_SEQ_STATUS status;
		FunctionEntry *entry;

		hash_seq_init(&status, cache);
		while ((entry = hash_seq_search(&status)) != NULL)
			for (int i = 0; i < entry->function->plans_count; i++)
				if (entry->function->plans[i] != NULL)
					SPI_freeplan(entry->function->plans[i]);
		MemoryContextDelete(cache_context);
		cache_context = NULL;
	}
	cache_context = AllocSetContextCreate(TopMemoryContext, "fabric chaincode functions",
										  ALLOCSET_DEFAULT_SIZES);
	control.hcxt = cache_context;
	cache = hash_create("fabric chaincode functions", 64, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	package_control.hcxt = cache_context;
	packages = hash_create("fabric chaincode packages", 16, &package_control,
						   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	cache_is_stale = false;
}

Oid
function_cache_schema(const char *package_id)
{
	PackageEntry *entry;
	char *schema_name;
	Oid schema;

	if (strlen(package_id) >= CHAINCODE_PACKAGE_ID_BYTES)
		return InvalidOid;
	if (cache_is_stale)
		function_make_cache();
	entry = hash_search(packages, package_id, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->schema;
	schema_name = package_schema_name(package_id);
	schema = schema_name != NULL ? get_namespace_oid(schema_name, true) : InvalidOid;
	if (OidIsValid(schema))
	{
		entry = hash_search(packages, package_id, HASH_ENTER, NULL);
		entry->schema = schema;
	}
	return schema;
}

static void
load_parameters(HeapTuple tuple, ChaincodeFunction *function)
{
	Oid *types;
	char **names;
	char *modes;
	int count = get_func_arg_info(tuple, &types, &names, &modes);

	function->parameters = palloc0(sizeof(ChaincodeParameter) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		ChaincodeParameter *parameter = &function->parameters[function->parameters_count];
		Oid input;

		if (modes != NULL && modes[i] != PROARGMODE_IN && modes[i] != PROARGMODE_INOUT &&
			modes[i] != PROARGMODE_VARIADIC)
			continue;
		parameter->type = types[i];
		if (modes != NULL && modes[i] == PROARGMODE_VARIADIC)
		{
			/* the arguments are passed one by one */
			function->is_variadic = true;
			parameter->type = get_element_type(types[i]);
		}
		parameter->name = names != NULL && names[i] != NULL ? pstrdup(names[i]) : "";
		getTypeInputInfo(parameter->type, &input, &parameter->type_parameter);
		fmgr_info_cxt(input, &parameter->input, cache_context);
		function->parameters_count++;
	}
}

static ChaincodeFunction *
load_function(HeapTuple tuple)
{
	Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(tuple);
	ChaincodeFunction *function = palloc0(sizeof(ChaincodeFunction));
	Oid output;
	bool is_varlena;

	namestrcpy((Name) function->name, NameStr(procedure->proname));
	function->oid = procedure->oid;
	function->schema = procedure->pronamespace;
	function->defaults_count = procedure->pronargdefaults;
	function->returns_set = procedure->proretset;
	function->result_type = procedure->prorettype;
	function->result_kind = get_typtype(procedure->prorettype);
	load_parameters(tuple, function);
	fixed_settings_prepare_language(procedure->prolang);
	fmgr_info_cxt(procedure->oid, &function->call, cache_context);
	if (function->result_type != VOIDOID && function->result_type != RECORDOID)
	{
		getTypeOutputInfo(function->result_type, &output, &is_varlena);
		fmgr_info_cxt(output, &function->output, cache_context);
	}
	return function;
}

static ChaincodeFunction *
function_search(Oid schema, const char *name)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	ChaincodeFunction *function = NULL;

	for (int i = 0; i < list->n_members && function == NULL; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;

		if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace == schema)
		{
			MemoryContext caller = MemoryContextSwitchTo(cache_context);

			function = load_function(tuple);
			MemoryContextSwitchTo(caller);
		}
	}
	ReleaseSysCacheList(list);
	return function;
}

ChaincodeFunction *
function_cache_find(Oid schema, const char *name)
{
	FunctionKey key;
	FunctionEntry *entry;
	ChaincodeFunction *function;

	if (name[0] == '_' || strlen(name) >= NAMEDATALEN)
		return NULL;
	if (cache_is_stale)
		function_make_cache();
	memset(&key, 0, sizeof(key));
	key.schema = schema;
	strlcpy(key.name, name, sizeof(key.name));
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->function;
	function = function_search(schema, name);
	if (function != NULL)
	{
		entry = hash_search(cache, &key, HASH_ENTER, NULL);
		entry->function = function;
	}
	return function;
}

/* ---- lists of functions, for the error about a function that does not exist ---- */

/* a list in a message is cut here */
#define LIST_BYTES_MAX 900
/* up to this many changed, missing or superfluous letters of ten, a name is similar */
#define NEAR_LETTERS_OF_TEN 4

char *
function_cache_signature(const ChaincodeFunction *function)
{
	/* parameters with names, types and default values as in the source */
	return psprintf("%s(%s)", function->name,
					TextDatumGetCString(DirectFunctionCall1(pg_get_function_arguments,
															ObjectIdGetDatum(function->oid))));
}

static int
compare_function_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * The names of the functions that can be called from outside, sorted. A sequential scan, because
 * pg_proc has no index that begins with the schema.
 */
static List *
list_names(Oid schema)
{
	Relation procedures = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	List *names = NIL;

	ScanKeyInit(&key, Anum_pg_proc_pronamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(procedures, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const char *name = NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname);

		if (name[0] != '_')
			names = lappend(names, pstrdup(name));
	}
	systable_endscan(scan);
	table_close(procedures, AccessShareLock);
	list_sort(names, compare_function_names);
	return names;
}

char *
function_cache_list(Oid schema)
{
	StringInfoData list;
	List *names = list_names(schema);
	ListCell *cell;

	initStringInfo(&list);
	foreach(cell, names)
	{
		ChaincodeFunction *function = function_cache_find(schema, lfirst(cell));
		char *signature = function != NULL ? function_cache_signature(function) : lfirst(cell);

		if (list.len + strlen(signature) > LIST_BYTES_MAX)
		{
			appendStringInfo(&list, "%s%d more", list.len > 0 ? ", and " : "",
							 list_length(names) - foreach_current_index(cell));
			break;
		}
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", signature);
	}
	return list.data;
}

char *
function_cache_nearest(Oid schema, const char *name)
{
	int length = (int) strlen(name);
	int nearest = Max(length * NEAR_LETTERS_OF_TEN / 10, 1);
	char *found = NULL;
	ListCell *cell;

	if (length == 0 || length >= NAMEDATALEN)
		return NULL;
	foreach(cell, list_names(schema))
	{
		const char *other = lfirst(cell);
		int distance = varstr_levenshtein_less_equal(name, length, other, (int) strlen(other), 1, 1,
													 1, nearest, true);

		if (distance > nearest || (found != NULL && distance == nearest))
			continue;
		nearest = distance;
		found = lfirst(cell);
	}
	return found;
}
