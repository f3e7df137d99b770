/*
 * compat.h: what differs between the supported versions of PostgreSQL, 15 to 17, under one name
 * each.
 *
 * Only interfaces of the server that changed stand here. A difference in behavior is handled, with
 * its reason, where the behavior matters.
 */
#ifndef FABRIC_SERVER_COMPAT_H
#define FABRIC_SERVER_COMPAT_H

#include "postgres.h"

#include "common/jsonapi.h"
#include "postmaster/postmaster.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM < 160000
#include "parser/gramparse.h"
#else
#include "parser/scanner.h"
#endif

/*
 * Token codes of the core scanner. PostgreSQL 16 stopped installing gram.h, but the codes are
 * fixed: every grammar on top of the core scanner (core, PL/pgSQL) declares these tokens first and
 * in this order, see the comment above them in pl_gram.y. Codes above are keywords.
 */
#define COMPAT_TOKEN_FIRST 258
enum
{
	TOKEN_IDENT = COMPAT_TOKEN_FIRST,
	TOKEN_SCONST = COMPAT_TOKEN_FIRST + 3,
	TOKEN_TYPECAST = COMPAT_TOKEN_FIRST + 10,
	TOKEN_COLON_EQUALS = COMPAT_TOKEN_FIRST + 12,
	TOKEN_NOT_EQUALS = COMPAT_TOKEN_FIRST + 16, /* the last one that is no keyword */
};
#if PG_VERSION_NUM < 160000
StaticAssertDecl((int) TOKEN_IDENT == (int) IDENT && (int) TOKEN_SCONST == (int) SCONST &&
					 (int) TOKEN_TYPECAST == (int) TYPECAST &&
					 (int) TOKEN_COLON_EQUALS == (int) COLON_EQUALS &&
					 (int) TOKEN_NOT_EQUALS == (int) NOT_EQUALS,
				 "token codes of the core scanner");
#endif

/*
 * A callback of pg_parse_json returns nothing before PostgreSQL 16, and whether to go on since
 * then.
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

/* This process holds the lock in exactly this mode. */
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
 * The number of this process's current top-level transaction: another one for each transaction of
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
 * Connections that are not for ordinary roles: superuser_reserved_connections, and
 * reserved_connections of PostgreSQL 16.
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

/* At least count more backends could start. */
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
