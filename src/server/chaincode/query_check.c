/*
 * query_check: which objects an analyzed query of chaincode may contain.
 *
 * The text of a function is read token by token when it is installed (source_check.c), but only
 * PostgreSQL's analysis tells what a token means: which function an operator is, which type a
 * literal gets, that U&"\0063urrent_date" is a name and CURRENT_DATE is not. This file checks the
 * result of the analysis. It is used at installation (body_check.c), and for every query that the
 * planner gets while chaincode runs, so that dynamic SQL and other languages are covered. Plans are
 * cached, so a repeated call does not reach this file.
 *
 * It refuses relations; functions that usable_functions.c refuses; CURRENT_TIMESTAMP, CURRENT_USER
 * and similar, which are not functions; and types whose text form depends on more than the value.
 * The server calls the input and output functions of a type without any hook and without a check of
 * privileges, so only the type can be refused:
 *
 *   - reg* and aclitem read the catalogs of one database: names of relations, roles, functions;
 *   - refcursor names a cursor of the session, with a number that counts the session's cursors;
 *   - row types of relations, domains and types outside pg_catalog are objects of one database;
 *   - any type of pg_catalog whose input or output is not immutable, unless it depends only on
 *     fixed settings and the fixed clock.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

#include "server/pg/compat.h"

#define HINT_TIME "Use fabric.get_tx_timestamp() for the time of the transaction."
#define HINT_CLIENT "Use fabric.get_client_id() and fabric.get_client_msp_id()."
#define HINT_STATE \
	"Use fabric.get_state, fabric.put_state and the other functions of schema fabric."

/* ---- types ---- */

static const char *find_type_problem(Oid type);

/*
 * Types whose input or output is not immutable although it depends only on the text, the fixed
 * settings (DateStyle, IntervalStyle, TimeZone, lc_monetary, xmloption) and the fixed clock. Arrays
 * and ranges depend on their elements.
 */
static bool
conversion_is_fixed(Oid type, Form_pg_type form)
{
	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case MONEYOID:
		case XMLOID:
			return true;
		default:
			return func_volatile(form->typinput) == PROVOLATILE_IMMUTABLE &&
				   func_volatile(form->typoutput) == PROVOLATILE_IMMUTABLE;
	}
}

static const char *
find_base_type_problem(Oid type, Form_pg_type form)
{
	if (type == REFCURSOROID)
		return "names a cursor of one session";
	if (type == ACLITEMOID || type == REGCLASSOID || type == REGTYPEOID || type == REGPROCOID ||
		type == REGPROCEDUREOID || type == REGOPEROID || type == REGOPERATOROID ||
		type == REGROLEOID || type == REGNAMESPACEOID || type == REGCONFIGOID ||
		type == REGDICTIONARYOID || type == REGCOLLATIONOID)
		return "refers to the catalogs of one database";
	if (IsTrueArrayType(form))
		return find_type_problem(form->typelem);
	return conversion_is_fixed(type, form) ? NULL
										   : "has values that depend on more than their text";
}

/* why chaincode cannot use a type, as text that follows its name; NULL: it can */
static const char *
find_type_problem(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	const char *problem = NULL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (form->typnamespace != PG_CATALOG_NAMESPACE)
		problem = "is not a built-in type of PostgreSQL";
	else if (form->typtype == TYPTYPE_BASE)
		problem = find_base_type_problem(type, form);
	else if (form->typtype == TYPTYPE_RANGE)
		problem = find_type_problem(get_range_subtype(type));
	else if (form->typtype == TYPTYPE_MULTIRANGE)
		problem = find_type_problem(get_multirange_range(type));
	else if (form->typtype != TYPTYPE_PSEUDO)
		problem = "refers to the catalogs of one database";
	ReleaseSysCache(tuple);
	return problem;
}

/* types that chaincode can use; types of pg_catalog never change */
static Oid usable_types[128];

const char *
query_check_type(Oid type)
{
	Oid *known = &usable_types[type % lengthof(usable_types)];
	const char *problem;

	if (!OidIsValid(type) || *known == type)
		return NULL;
	problem = find_type_problem(type);
	if (problem == NULL)
		*known = type;
	return problem;
}

/* ---- queries ---- */

typedef struct QueryWalk
{
	Oid schema; /* of the package */
	QueryProblem *problem;
} QueryWalk;

/* the location of a function that check_functions_in_node finds is that of its node */
typedef struct FunctionWalk
{
	QueryWalk *walk;
	Node *node;
} FunctionWalk;

static bool
query_note_problem(QueryWalk *walk, Node *node, char *what, const char *why, const char *hint)
{
	walk->problem->what = what;
	walk->problem->why = why;
	walk->problem->hint = hint;
	walk->problem->location = node != NULL ? exprLocation(node) : -1;
	return true;
}

static bool
query_refuse_type(QueryWalk *walk, Node *node, Oid type)
{
	const char *why = query_check_type(type);

	if (why == NULL)
		return false;
	return query_note_problem(walk, node, psprintf("type %s", format_type_be(type)), why, NULL);
}

static bool
check_types(QueryWalk *walk, Node *node, const List *types)
{
	ListCell *cell;

	foreach(cell, types)
		if (query_refuse_type(walk, node, lfirst_oid(cell)))
			return true;
	return false;
}

static bool
query_check_function(Oid function, void *context)
{
	FunctionWalk *call = context;
	char *schema;

	if (usable_function_check(function, call->walk->schema))
		return false;
	schema = get_namespace_name(get_func_namespace(function));
	call->walk->problem->is_function = true;
	return query_note_problem(
		call->walk, call->node,
		psprintf("function %s.%s", schema ? schema : "?", get_func_name(function)),
		"may give another result on another node, or has effects outside the ledger", NULL);
}

/* 'now' as time of day is the only special string that is not an error under the fixed clock */
bool
query_check_is_now(Oid type, Datum value)
{
	if (type == TIMEOID)
		return DatumGetTimeADT(value) == FIXED_CLOCK_TIME_OF_DAY;
	return type == TIMETZOID && DatumGetTimeTzADTP(value)->time == FIXED_CLOCK_TIME_OF_DAY;
}

static bool
check_constant(QueryWalk *walk, Const *constant)
{
	if (!constant->constisnull && query_check_is_now(constant->consttype, constant->constvalue))
		return query_note_problem(walk, (Node *) constant, pstrdup("'now'"),
								  "returns another time on every node", HINT_TIME);
	/* the name of a cursor variable, which PL/pgSQL itself initializes */
	if (constant->consttype == REFCURSOROID)
		return false;
	return query_refuse_type(walk, (Node *) constant, constant->consttype);
}

static bool
check_value_function(QueryWalk *walk, SQLValueFunction *function)
{
	static const struct
	{
		SQLValueFunctionOp op;
		const char *name;
		bool is_time;
	} names[] = {
		{SVFOP_CURRENT_DATE, "CURRENT_DATE", true},
		{SVFOP_CURRENT_TIME, "CURRENT_TIME", true},
		{SVFOP_CURRENT_TIME_N, "CURRENT_TIME", true},
		{SVFOP_CURRENT_TIMESTAMP, "CURRENT_TIMESTAMP", true},
		{SVFOP_CURRENT_TIMESTAMP_N, "CURRENT_TIMESTAMP", true},
		{SVFOP_LOCALTIME, "LOCALTIME", true},
		{SVFOP_LOCALTIME_N, "LOCALTIME", true},
		{SVFOP_LOCALTIMESTAMP, "LOCALTIMESTAMP", true},
		{SVFOP_LOCALTIMESTAMP_N, "LOCALTIMESTAMP", true},
		{SVFOP_CURRENT_ROLE, "CURRENT_ROLE", false},
		{SVFOP_CURRENT_USER, "CURRENT_USER", false},
		{SVFOP_USER, "USER", false},
		{SVFOP_SESSION_USER, "SESSION_USER", false},
		{SVFOP_CURRENT_CATALOG, "CURRENT_CATALOG", false},
		{SVFOP_CURRENT_SCHEMA, "CURRENT_SCHEMA", false},
	};

	for (int i = 0; i < lengthof(names); i++)
		if (names[i].op == function->op)
			return query_note_problem(walk, (Node *) function, pstrdup(names[i].name),
									  names[i].is_time ? "returns another time on every node"
													   : "names an object of one database",
									  names[i].is_time ? HINT_TIME : HINT_CLIENT);
	return query_note_problem(walk, (Node *) function, pstrdup("a value of the session"),
							  "differs between nodes", NULL);
}

static bool
check_relations(QueryWalk *walk, List *range_table)
{
	ListCell *cell;

	foreach(cell, range_table)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);

		/* a view is a subquery here; PostgreSQL 16 and later keep the view's oid in it */
		if (entry->rtekind == RTE_RELATION ||
			(entry->rtekind == RTE_SUBQUERY && OidIsValid(entry->relid)))
		{
			char *name = get_rel_name(entry->relid);

			return query_note_problem(walk, NULL, psprintf("relation \"%s\"", name ? name : "?"),
									  "belongs to one database", HINT_STATE);
		}
	}
	return false;
}

static bool
check_node(Node *node, QueryWalk *walk)
{
	switch (nodeTag(node))
	{
		case T_Const:
			return check_constant(walk, castNode(Const, node));
		case T_SQLValueFunction:
			return check_value_function(walk, castNode(SQLValueFunction, node));
		case T_NextValueExpr:
		case T_CurrentOfExpr:
			return query_note_problem(walk, NULL, pstrdup("a sequence or cursor of a table"),
									  "belongs to one database", HINT_STATE);
		case T_RangeTblFunction:
			return check_types(walk, NULL, castNode(RangeTblFunction, node)->funccoltypes);
		case T_TableFunc:
			return check_types(walk, NULL, castNode(TableFunc, node)->coltypes);
		case T_Var:
		case T_Param:
		case T_Aggref:
		case T_WindowFunc:
		case T_SubscriptingRef:
		case T_FuncExpr:
		case T_OpExpr:
		case T_NullIfExpr:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CaseExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_CoerceToDomain:
			return query_refuse_type(walk, node, exprType(node));
		default:
			return compat_is_json_expression(node) && query_refuse_type(walk, node, exprType(node));
	}
}

static bool
walk_query(Node *node, void *context)
{
	QueryWalk *walk = context;
	FunctionWalk call = {walk, node};

	if (node == NULL)
		return false;
	check_stack_depth();
	if (IsA(node, Query))
		return check_relations(walk, castNode(Query, node)->rtable) ||
			   query_tree_walker(castNode(Query, node), walk_query, context, 0);
	if (check_node(node, walk))
		return true;
	/* the input and output functions of a type are judged with the type */
	if (!IsA(node, CoerceViaIO) && check_functions_in_node(node, query_check_function, &call))
		return true;
	return expression_tree_walker(node, walk_query, context);
}

bool
query_check_find(Node *query, Oid schema, QueryProblem *problem)
{
	QueryWalk walk = {schema, problem};

	memset(problem, 0, sizeof(*problem));
	return walk_query(query, &walk);
}

void
query_check_run(Query *query, Oid schema)
{
	QueryProblem problem;

	if (query_check_find((Node *) query, schema, &problem))
		ereport(ERROR, (fb_errcode(FB_SANDBOX_VIOLATION),
						errmsg(problem.is_function ? "%s cannot be called in chaincode"
												   : "%s cannot be used in chaincode",
							   problem.what),
						errdetail_internal("It %s.", problem.why),
						problem.hint ? errhint("%s", problem.hint) : 0));
}
