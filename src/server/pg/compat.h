/*
 * compat.h: differences between the supported versions of PostgreSQL, 15 to 17, each under one
 * name.
 *
 * No other file looks at PG_VERSION_NUM (tools/check_shared.pl). A comment here describes the
 * difference; the caller explains why it matters.
 */
#ifndef FABRIC_SERVER_COMPAT_H
#define FABRIC_SERVER_COMPAT_H

#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_auth_members.h"
#include "common/jsonapi.h"
#include "nodes/nodes.h"
#include "postmaster/postmaster.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM < 160000
#include "parser/gramparse.h"
#else
#include "parser/scanner.h"
#include "varatt.h"
#endif

/*
 * Token codes of the core scanner. PostgreSQL 16 stopped installing gram.h, but the codes are
 * fixed: every grammar on top of the core scanner (core, PL/pgSQL) declares these tokens first and
 * in this order, see the comment above them in pl_gram.y. Higher codes are keywords.
 */
#define COMPAT_TOKEN_FIRST 258
enum
{
	TOKEN_IDENT = COMPAT_TOKEN_FIRST,
	TOKEN_SCONST = COMPAT_TOKEN_FIRST + 3,
	TOKEN_TYPECAST = COMPAT_TOKEN_FIRST + 10,
	TOKEN_COLON_EQUALS = COMPAT_TOKEN_FIRST + 12,
	TOKEN_NOT_EQUALS = COMPAT_TOKEN_FIRST + 16, /* the last token that is not a keyword */
};
#if PG_VERSION_NUM < 160000
StaticAssertDecl((int) TOKEN_IDENT == (int) IDENT && (int) TOKEN_SCONST == (int) SCONST &&
					 (int) TOKEN_TYPECAST == (int) TYPECAST &&
					 (int) TOKEN_COLON_EQUALS == (int) COLON_EQUALS &&
					 (int) TOKEN_NOT_EQUALS == (int) NOT_EQUALS,
				 "token codes of the core scanner");
#endif

/*
 * A callback of pg_parse_json returns nothing before PostgreSQL 16; since then it returns
 * JSON_SUCCESS to continue.
 */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType CompatJsonResult;
#define COMPAT_JSON_RETURN() return JSON_SUCCESS
#else
typedef void CompatJsonResult;
#define COMPAT_JSON_RETURN() return
#endif

/*
 * A lexer over size bytes of JSON in the given encoding, in the current memory context; strings are
 * unescaped.
 */
static inline JsonLexContext *
compat_json_lexer(const char *json, size_t size, int encoding)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, size, encoding, true);
#else
	return makeJsonLexContextCstringLen(unconstify(char *, json), (int) size, encoding, true);
#endif
}

/* True if this process holds the lock in exactly this mode. */
static inline bool
compat_lock_is_held(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

/*
 * The number of this process's current top-level transaction; different for each transaction of
 * the process.
 */
static inline LocalTransactionId
compat_local_transaction(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/* Memory for the "extra" value of a setting's check hook; NULL when there is none. */
static inline void *
compat_setting_extra(size_t size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

/*
 * Connections that ordinary roles cannot use: superuser_reserved_connections, and
 * reserved_connections since PostgreSQL 16.
 */
static inline int
compat_reserved_connections(void)
{
#if PG_VERSION_NUM >= 160000
	return SuperuserReservedConnections + ReservedConnections;
#else
	return ReservedBackends;
#endif
}

/* True if at least count more backends can start. */
static inline bool
compat_has_free_connections(int count)
{
#if PG_VERSION_NUM >= 160000
	int free_count;

	return HaveNFreeProcs(count, &free_count);
#else
	return HaveNFreeProcs(count);
#endif
}

/* The parameters of ExecutorCheckPerms_hook, and the same as arguments. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_CHECK_PERMS_PARAMETERS List *range_table, List *permissions, bool abort
#define COMPAT_CHECK_PERMS_ARGUMENTS range_table, permissions, abort
#else
#define COMPAT_CHECK_PERMS_PARAMETERS List *range_table, bool abort
#define COMPAT_CHECK_PERMS_ARGUMENTS range_table, abort
#endif

/*
 * Set the search path of the current subtransaction, until its end: pg_catalog and two schemas.
 * PostgreSQL 17 has no stack of search paths. In older versions the stack costs much less than the
 * setting, which is parsed every time.
 */
static inline void
compat_push_search_path(Oid first, Oid second)
{
#if PG_VERSION_NUM >= 170000
	char *value =
		psprintf("pg_catalog, %s, %s, pg_temp", quote_identifier(get_namespace_name(first)),
				 quote_identifier(get_namespace_name(second)));

	(void) set_config_option("search_path", value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
#else
	OverrideSearchPath path = {.schemas = list_make2_oid(first, second),
							   .addCatalog = true,
							   .addTemp = false};

	PushOverrideSearchPath(&path);
	list_free(path.schemas);
#endif
}

/* All settings of the server. */
static inline struct config_generic **
compat_settings(int *count)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(count);
#else
	*count = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/*
 * True if the member can act as the role. PostgreSQL 16 made this two options of a membership;
 * with ADMIN OPTION alone, which the creator of a role gets there, one can grant the role, but not
 * act as it.
 */
static inline bool
compat_membership_counts(Form_pg_auth_members membership)
{
#if PG_VERSION_NUM >= 160000
	return membership->inherit_option || membership->set_option;
#else
	return true;
#endif
}

/* True for an expression of SQL/JSON; PostgreSQL 15 has none. */
static inline bool
compat_is_json_expression(const Node *node)
{
#if PG_VERSION_NUM >= 170000
	if (IsA(node, JsonExpr))
		return true;
#endif
#if PG_VERSION_NUM >= 160000
	return IsA(node, JsonConstructorExpr) || IsA(node, JsonValueExpr);
#else
	return false;
#endif
}

/*
 * The kind of item of PL/pgSQL's GET DIAGNOSTICS that gives the function's oid; PostgreSQL 15 has
 * none. A macro, because plpgsql.h is not included here.
 */
#if PG_VERSION_NUM >= 160000
#define COMPAT_GETDIAG_ROUTINE_OID ((int) PLPGSQL_GETDIAG_ROUTINE_OID)
#else
#define COMPAT_GETDIAG_ROUTINE_OID (-1)
#endif

/* PostgreSQL 15 does not export the functions of its allocators: they have no names at run time. */
#if PG_VERSION_NUM < 160000
#define COMPAT_NAMELESS_ALLOCATORS
#endif

/* A set that lives until it is freed, not until the end of a transaction. */
static inline WaitEventSet *
compat_wait_event_set_create(int events_max)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, events_max);
#else
	return CreateWaitEventSet(TopMemoryContext, events_max);
#endif
}

#endif
