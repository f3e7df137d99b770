/* declarations that the files of surface share: reading SQL arguments, building rows */
#ifndef FABRIC_SERVER_SURFACE_INTERNAL_H
#define FABRIC_SERVER_SURFACE_INTERNAL_H

#include "server/pg/pg.h"

#include "funcapi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"

#include "core/txn/txn.h"

/* FB_INVALID_ARGUMENT when the argument is null. name: as in the function's declaration. */
extern void argument_require(FunctionCallInfo fcinfo, int index, const char *name);
/*
 * Raise the error about an argument's content, with the argument's name: for functions with several
 * arguments of one kind.
 */
#define argument_check(status, error, name)                                                     \
	do                                                                                          \
	{                                                                                           \
		FbStatus argument_status_ = (status);                                                   \
                                                                                                \
		if (argument_status_ == FB_OUT_OF_MEMORY || argument_status_ == FB_INTERNAL ||          \
			argument_status_ == FB_CRYPTO_FAILURE)                                              \
			error_throw(error);                                                                 \
		if (argument_status_ != FB_OK)                                                          \
			ereport(ERROR, (fb_errcode(argument_status_),                                       \
							errmsg("invalid argument \"%s\": %s", name, (error)->message),      \
							(error)->detail[0] ? errdetail_internal("%s", (error)->detail) : 0, \
							(error)->hint[0] ? errhint("%s", (error)->hint) : 0));              \
	} while (0)
/* required arguments */
extern char *argument_text(FunctionCallInfo fcinfo, int index, const char *name);
extern FbBytes argument_bytes(FunctionCallInfo fcinfo, int index, const char *name);
/*
 * source of a channel's blocks: 'import' (true) or 'orderers' (false); FB_INVALID_ARGUMENT for
 * other texts
 */
extern bool argument_is_import(FunctionCallInfo fcinfo, int index, const char *name);
/* an interval argument in ms; null: the default */
extern int argument_milliseconds(FunctionCallInfo fcinfo, int index, const char *name,
								 int default_ms);
/* text[] or bytea[] without nulls, as bytes; null array: none */
extern FbBytes *argument_byte_array(FunctionCallInfo fcinfo, int index, const char *name,
									size_t *count);
/* text[] as List of char *; null array: NIL */
extern List *argument_text_list(FunctionCallInfo fcinfo, int index, const char *name);
/* a jsonb object {"name": "text"} as transient entries; null: none */
extern TransientEntry *argument_transient(FunctionCallInfo fcinfo, int index, const char *name,
										  size_t *count);

/* ---- transient.c ---- */

/*
 * Run the body of an SQL function that has transient data among its arguments. When it fails,
 * neither the statement nor the text of the error is logged; only the client gets the text.
 */
extern Datum transient_call(FunctionCallInfo fcinfo, PGFunction body);
/*
 * Run the body of an SQL function whose arguments begin with a protos.Proposal and its signature,
 * or with a protos.SignedProposal, which is parsed here and nowhere else. When it has transient
 * data, or cannot be read, the call is kept out of the log as by transient_call. Raises the errors
 * of proposal_parse_parts and proposal_parse_signed.
 */
typedef Datum (*ProposalFunction)(FunctionCallInfo fcinfo, const ProposalView *proposal);
extern Datum transient_proposal_call(FunctionCallInfo fcinfo, ProposalFunction body);
extern Datum transient_signed_proposal_call(FunctionCallInfo fcinfo, ProposalFunction body);

/* ---- sql_arguments.c, continued ---- */

/*
 * The result row of a function with OUT parameters, and one row of its result if that is a set.
 * values and nulls: arrays with an element for each column. Another number than in the function's
 * SQL is an error, since the extension in the database may be of another version than the library.
 */
#define RESULT_ROW(fcinfo, values, nulls) result_row((fcinfo), (values), (nulls), lengthof(values))
#define RESULT_ADD(set, values, nulls) result_add((set), (values), (nulls), lengthof(values))
#define RESULT_SET(fcinfo) ((ReturnSetInfo *) (fcinfo)->resultinfo)
extern Datum result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls, int columns_count);
extern void result_add(ReturnSetInfo *set, Datum *values, bool *nulls, int columns_count);
/* a chaincode's payload as text; bytes that are not text are shown as \x... */
extern Datum result_payload_text(FbBytes payload);

/* ---- result_json.c ---- */

/* jsonb of JSON text that functions of this directory built */
extern Datum result_jsonb(const char *json);
/*
 * Add a member to the object being written: a comma if needed, the name, and (all but the first
 * function) its value.
 */
extern void json_add_name(StringInfo json, const char *name);
extern void json_add_text(StringInfo json, const char *name, const char *value); /* NULL: null */
extern void json_add_hex(StringInfo json, const char *name, FbBytes value);
extern void json_add_time(StringInfo json, const char *name, int64 seconds); /* since 1970 UTC */

/* the same as in fabric.control */
#define FABRIC_VERSION "1.0"

#endif
