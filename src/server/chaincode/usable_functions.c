/*
 * usable_functions.c: which functions chaincode can call: its own, those of schema fabric that are
 * made for it, and built-in functions whose result depends only on their arguments.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

/*
 * Built-in functions that are not immutable, but whose result depends only on their arguments and
 * on settings that the sandbox fixes. Sorted by name. All other functions of pg_catalog that are
 * not immutable are refused.
 */
/* clang-format off */
static const char *const usable_builtins[] = {
	"anytextcat", "array_to_json", "array_to_string", "concat", "concat_ws", "convert", "convert_from", "convert_to",
	"date", "date_add", "date_cmp_timestamptz", "date_eq_timestamptz", "date_ge_timestamptz", "date_gt_timestamptz",
	"date_le_timestamptz", "date_lt_timestamptz", "date_ne_timestamptz", "date_part", "date_subtract", "date_trunc",
	"enum_first", "enum_last", "enum_range", "extract", "format", "generate_series", "in_range",
	"interval_pl_timestamptz", "json_agg", "json_agg_strict", "json_agg_strict_transfn", "json_agg_transfn",
	"json_build_array", "json_build_object", "json_object_agg", "json_object_agg_strict",
	"json_object_agg_strict_transfn", "json_object_agg_transfn", "json_object_agg_unique",
	"json_object_agg_unique_strict", "json_object_agg_unique_strict_transfn", "json_object_agg_unique_transfn",
	"json_populate_record", "json_populate_recordset", "json_to_record", "json_to_recordset", "jsonb_agg",
	"jsonb_agg_finalfn", "jsonb_agg_strict", "jsonb_agg_strict_transfn", "jsonb_agg_transfn", "jsonb_build_array",
	"jsonb_build_object", "jsonb_object_agg", "jsonb_object_agg_finalfn", "jsonb_object_agg_strict",
	"jsonb_object_agg_strict_transfn", "jsonb_object_agg_transfn", "jsonb_object_agg_unique",
	"jsonb_object_agg_unique_strict", "jsonb_object_agg_unique_strict_transfn", "jsonb_object_agg_unique_transfn",
	"jsonb_path_exists_tz", "jsonb_path_match_tz", "jsonb_path_query_array_tz", "jsonb_path_query_first_tz",
	"jsonb_path_query_tz", "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_to_record",
	"jsonb_to_recordset", "length", "make_timestamptz", "overlaps", "quote_literal", "quote_nullable",
	"row_to_json", "textanycat", "time", "timestamp", "timestamp_cmp_timestamptz", "timestamp_eq_timestamptz",
	"timestamp_ge_timestamptz", "timestamp_gt_timestamptz", "timestamp_le_timestamptz", "timestamp_lt_timestamptz",
	"timestamp_ne_timestamptz", "timestamptz", "timestamptz_cmp_date", "timestamptz_cmp_timestamp",
	"timestamptz_eq_date", "timestamptz_eq_timestamp", "timestamptz_ge_date", "timestamptz_ge_timestamp",
	"timestamptz_gt_date", "timestamptz_gt_timestamp", "timestamptz_le_date", "timestamptz_le_timestamp",
	"timestamptz_lt_date", "timestamptz_lt_timestamp", "timestamptz_mi_interval", "timestamptz_ne_date",
	"timestamptz_ne_timestamp", "timestamptz_pl_interval", "timetz", "timezone", "to_char", "to_date", "to_json",
	"to_jsonb", "to_number", "to_timestamp",
};
/* clang-format on */

/*
 * The conversions from and to text of types that query_check.c allows. The executor calls them
 * without a check of privileges; only the planner, when it evaluates a conversion for an estimate,
 * checks it like any function. In the text of a query they are refused. Sorted by name.
 */
static const char *const conversions[] = {
	"array_in",		"array_out",	 "cash_in",		   "cash_out",		  "date_in",
	"date_out",		"interval_in",	 "interval_out",   "multirange_in",	  "multirange_out",
	"range_in",		"range_out",	 "record_in",	   "record_out",	  "time_in",
	"timestamp_in", "timestamp_out", "timestamptz_in", "timestamptz_out", "timetz_in",
	"xml_in",
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool
builtin_is_usable(Form_pg_proc procedure)
{
	const char *name = NameStr(procedure->proname);

	return procedure->provolatile == PROVOLATILE_IMMUTABLE ||
		   bsearch(&name, usable_builtins, lengthof(usable_builtins), sizeof(char *),
				   compare_names) != NULL;
}

static bool
is_shim(HeapTuple tuple)
{
	bool isnull;
	Datum source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	bool result;
	char *symbol;

	if (isnull || ((Form_pg_proc) GETSTRUCT(tuple))->prolang != ClanguageId)
		return false;
	symbol = TextDatumGetCString(source);
	result = strncmp(symbol, CHAINCODE_SHIM_PREFIX, strlen(CHAINCODE_SHIM_PREFIX)) == 0;
	pfree(symbol);
	return result;
}

static bool
fabric_function_is_usable(HeapTuple tuple)
{
	return ((Form_pg_proc) GETSTRUCT(tuple))->provolatile == PROVOLATILE_IMMUTABLE ||
		   is_shim(tuple);
}

static bool
function_is_usable(HeapTuple tuple)
{
	Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(tuple);

	if (procedure->pronamespace == PG_CATALOG_NAMESPACE)
		return builtin_is_usable(procedure);
	if (procedure->pronamespace == get_namespace_oid("fabric", true))
		return fabric_function_is_usable(tuple);
	return false;
}

static bool
any_function_exists(const char *name, Oid schema, bool *usable)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	bool exists = false;

	*usable = false;
	for (int i = 0; i < list->n_members; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;

		if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace != schema)
			continue;
		exists = true;
		if (function_is_usable(tuple))
			*usable = true;
	}
	ReleaseSysCacheList(list);
	return exists;
}

bool
usable_builtin_exists(const char *name, bool *usable)
{
	return any_function_exists(name, PG_CATALOG_NAMESPACE, usable);
}

bool
usable_fabric_function_exists(const char *name, bool *usable)
{
	Oid schema = get_namespace_oid("fabric", true);

	*usable = false;
	return OidIsValid(schema) && any_function_exists(name, schema, usable);
}

/*
 * The verdicts of this session on functions outside the chaincode's schema. There are few, since
 * chaincode calls few such functions.
 */
typedef struct Verdict
{
	Oid function;
	bool is_usable;
	bool is_conversion;
} Verdict;

static Verdict verdicts[256];

static void
forget_verdicts(Datum argument, int cache, uint32 hash)
{
	memset(verdicts, 0, sizeof(verdicts));
}

void
usable_function_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, forget_verdicts, (Datum) 0);
}

static bool
is_conversion(Form_pg_proc procedure)
{
	const char *name = NameStr(procedure->proname);

	return procedure->pronamespace == PG_CATALOG_NAMESPACE &&
		   bsearch(&name, conversions, lengthof(conversions), sizeof(char *), compare_names) !=
			   NULL;
}

HeapTuple
usable_function_tuple(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	return tuple;
}

/*
 * Judge a function that is not the chaincode's own. A refusal is not remembered: such a function is
 * judged each time.
 */
static const Verdict *
judge_function(Oid function, HeapTuple tuple)
{
	Verdict *verdict = &verdicts[function % lengthof(verdicts)];

	verdict->is_usable = function_is_usable(tuple);
	verdict->is_conversion = is_conversion((Form_pg_proc) GETSTRUCT(tuple));
	verdict->function = verdict->is_usable || verdict->is_conversion ? function : InvalidOid;
	return verdict;
}

bool
usable_function_check(Oid function, Oid schema)
{
	const Verdict *verdict = &verdicts[function % lengthof(verdicts)];
	HeapTuple tuple;
	bool usable;

	if (verdict->function == function)
		return verdict->is_usable;
	tuple = usable_function_tuple(function);
	usable = ((Form_pg_proc) GETSTRUCT(tuple))->pronamespace == schema ||
			 judge_function(function, tuple)->is_usable;
	ReleaseSysCache(tuple);
	return usable;
}

bool
usable_function_is_known(Oid function)
{
	return verdicts[function % lengthof(verdicts)].function == function;
}

bool
usable_function_judge(Oid function, HeapTuple tuple)
{
	return judge_function(function, tuple)->function == function;
}
