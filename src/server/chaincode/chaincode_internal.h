/* what the files of server/chaincode share among themselves */
#ifndef FABRIC_SERVER_CHAINCODE_INTERNAL_H
#define FABRIC_SERVER_CHAINCODE_INTERNAL_H

#include "server/chaincode/chaincode.h"

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "utils/snapshot.h"

#include "core/config/config.h"
#include "server/ledger/ledger.h"
#include "server/pg/pg.h"

#define CHAINCODE_TYPE_SQL "sql"
#define CHAINCODE_SCHEMA_PREFIX "fabric_cc_"
#define CHAINCODE_ROLE "fabric_chaincode"
/*
 * the key under which a chaincode's namespace keeps the version that was initialized
 * (docs/wire-format.md, "Composite keys"): U+0000, U+10FFFF, "initialized"
 */
#define CHAINCODE_INITIALIZED_KEY \
	"\0\xF4\x8F\xBF\xBF"          \
	"initialized"
/* C symbols of the functions that chaincode may call begin with this */
#define CHAINCODE_SHIM_PREFIX "fabric_shim_"

/* ---- usable_functions.c: which functions chaincode can call ---- */

/* once in a process: verdicts are forgotten when a function changes */
extern void usable_function_init(void);
/* can code of that schema call the function */
extern bool usable_function_check(Oid function, Oid schema);
/*
 * a function of pg_catalog by name: is there one, and can chaincode call at least one of that name
 */
extern bool usable_builtin_exists(const char *name, bool *usable);
/* a function of schema fabric by name: likewise */
extern bool usable_fabric_function_exists(const char *name, bool *usable);
/*
 * A function that is not of the chaincode's own schema was found usable, here or as a conversion of
 * a type, and has not changed since.
 */
extern bool usable_function_is_known(Oid function);
/* find that out, and remember it; tuple: of pg_proc */
extern bool usable_function_judge(Oid function, HeapTuple tuple);
/* its row of pg_proc, to be released with ReleaseSysCache; an error when there is none */
extern HeapTuple usable_function_tuple(Oid function);

/* ---- sandbox.c: what code of chaincode may do ---- */

extern Oid sandbox_role(void);
/*
 * From now to the end of the current subtransaction: role fabric_chaincode, fixed search path
 * (pg_catalog, the schema, fabric), fixed values of all settings that can change a result. Must run
 * inside a subtransaction that will be rolled back, or whose owner restores user and settings.
 */
extern void sandbox_enter(Oid schema);
/*
 * the gate at run time: while a schema is set, its code can call only itself, the shim and harmless
 * built-in functions
 */
extern void sandbox_guard(Oid schema); /* InvalidOid: off */

/* ---- time_limit.c: the end of code that does not end by itself; its design is described there
 * ---- */

/*
 * From now to time_limit_stop code of a package runs: it is ended after limit_ms, and when it does
 * not react to a cancellation or termination of the session. what: the code's name in messages.
 * stack_base: an address in a frame of the caller; what lies outside of it is the node's own code.
 * Not to be nested.
 */
extern void time_limit_start(const char *what, int limit_ms, void *stack_base);
/*
 * true: the limit has passed. Not to be called before the code's errors have been caught. Ends the
 * session if it was told to end
 */
extern bool time_limit_stop(void);
/*
 * for conditions.c: the code was cancelled (and may catch that); the error at work is the end of
 * the session that the limit asked for; its texts
 */
extern void time_limit_note_cancellation(void);
extern bool time_limit_ends_session(void);
extern void time_limit_describe_end(void);

/* ---- interpreter.c: languages other than SQL and PL/pgSQL bring an interpreter that can reach
 * this process ---- */

/* does the schema have functions in such languages? Not to be called while chaincode runs */
extern bool interpreter_needed(Oid schema);
/*
 * From now on signal handlers stay as they are, and standard output and standard error lead
 * nowhere. leave: as before, also when not entered
 */
extern void interpreter_enter(void);
extern void interpreter_leave(void);
/* true between enter and leave: what goes to the server's log is lost */
extern bool interpreter_entered(void);
/* the process ends: standard error is the log again. Can be called in a signal handler */
extern void interpreter_abandon(void);

/* ---- conditions.c: messages and errors of code that runs ---- */

/*
 * From now to conditions_stop messages below ERROR are limited in number and size and name the code
 * (what), and errors that are the node's own are kept even if the code catches them. To be called
 * inside PG_TRY, which takes the context callback away; context: for the kept error.
 */
extern void conditions_start(const char *what, MemoryContext context);
/* after start: what the code says goes to the client only, since it may quote transient data */
extern void conditions_hide_from_log(void);
extern void conditions_stop(void); /* also when not started */
/* forgets the errors of an earlier call */
extern void conditions_clear(void);
/*
 * the first error of the node itself since conditions_start, NULL: none. error: what the code ended
 * with, or NULL
 */
extern const ErrorData *conditions_node_failure(const ErrorData *error);
/*
 * the first error since conditions_start that tells something about the objects of this database,
 * NULL: none. The call is refused with it
 */
extern const ErrorData *conditions_refusal(void);
/* ---- settings_table.c, fixed_settings.c: the settings under which chaincode runs ---- */

/* a value of a rule: what PostgreSQL has without any configuration */
#define SETTING_BOOT_VALUE "default"

/*
 * From enter to leave, each setting that could change a result has the value of the table. Must be
 * called inside a subtransaction, or a GUC nest level, whose end undoes the settings with assign
 * hooks; leave puts back the others, and may be called at any time.
 */
extern void fixed_settings_enter(void);
extern void fixed_settings_leave(void);
/*
 * To be called before the first function of a language runs: loads its library, which may define
 * settings. FB_SANDBOX_VIOLATION when one of them cannot be fixed any more in this call.
 */
extern void fixed_settings_prepare_language(Oid language);

/* ---- fixed_clock.c: the time of the transaction while chaincode runs ---- */

/* what 'now' is as time or timetz (in UTC), in microseconds of the day */
#define FIXED_CLOCK_TIME_OF_DAY INT64CONST(40063510973)

/*
 * From enter to leave, 'now', 'today' and the like are errors in dates and timestamps. Both may be
 * called at any time
 */
extern void fixed_clock_enter(void);
extern void fixed_clock_leave(void);
/*
 * has the text a word in it that input functions of dates and times replace by the present time?
 * Only for hints
 */
extern bool fixed_clock_has_special_word(const char *text);

/* ---- hidden_portals.c: the session's cursors ---- */

/*
 * From enter to leave, no portal that exists now can be found by its name. leave must come after
 * the subtransaction of the call has been rolled back; it may be called at any time.
 */
extern void hidden_portals_enter(void);
extern void hidden_portals_leave(void);

/* ---- query_check.c: what an analyzed query may contain ---- */

typedef struct QueryProblem
{
	char *what;		  /* "type regclass", "CURRENT_TIMESTAMP" */
	const char *why;  /* goes on: "refers to the catalogs of one database" */
	const char *hint; /* or NULL */
	bool is_function; /* what is a function */
	int location;	  /* in the text that was analyzed, in bytes; -1: not known */
} QueryProblem;

/* is it what 'now' gives as a time of day under the fixed clock? */
extern bool query_check_is_now(Oid type, Datum value);
/* why chaincode cannot use a type, to follow its name; NULL: it can */
extern const char *query_check_type(Oid type);
/*
 * the first thing in a query, or a list of expressions, that chaincode of that schema cannot use;
 * false: there is none
 */
extern bool query_check_find(Node *query, Oid schema, QueryProblem *problem);
/* likewise, raises FB_SANDBOX_VIOLATION */
extern void query_check_run(Query *query, Oid schema);

/* ---- source_check.c: what the source of a package may contain ---- */

typedef struct SourceFunction
{
	CreateFunctionStmt *statement;
	const char *name;
	int location;  /* of the statement in the source */
	int line;	   /* of the statement; the first line is 1 */
	int body_line; /* where the text of the body begins */
	Oid function;  /* filled in when created */
} SourceFunction;

typedef struct CheckedSource
{
	const char *text;
	List *functions;		/* of SourceFunction * */
	List *comments;			/* of CommentStmt * */
	List *warnings;			/* of char *: what may differ between nodes */
	bool needs_interpreter; /* a function is in a language other than SQL and PL/pgSQL */
	const char *current; /* the function at work, for errors of the server's parsers; NULL: none */
	List *problems;		 /* of SourceProblem *, see install_problems.c */
} CheckedSource;

/*
 * raises FB_INVALID_PACKAGE or FB_NONDETERMINISTIC_CHAINCODE. Types are looked up in the current
 * search path.
 */
extern void source_check(const char *text, CheckedSource *checked);

/* ---- install_problems.c: everything that is wrong with a source, not only the first thing ---- */

/*
 * a piece of the installation that concerns one function; its errors are about the function's
 * source, or raised as they are
 */
typedef void (*SourceStep)(CheckedSource *checked, void *argument);

/*
 * Run a step in a subtransaction. An error about the source is noted, the step is undone, and the
 * next function can be looked at; any other error is raised. function: NULL when the step itself
 * finds out which it is.
 */
extern void install_problems_try(CheckedSource *checked, const SourceFunction *function,
								 SourceStep step, void *argument);
/* the server's parser and the validators of languages object with such SQLSTATEs */
extern bool install_problems_is_of_parser(int sqlerrcode);
/* raise what was noted: one problem as it is, several as one error that lists them */
extern void install_problems_raise(const CheckedSource *checked);

/* ---- body_check.c: the queries in the bodies of functions ---- */

/* of a function that has been created in the schema; raises FB_NONDETERMINISTIC_CHAINCODE */
extern void body_check(const SourceFunction *function, Oid schema);

/* ---- install.c ---- */

/* the schema of an installed package, NULL when it is not installed */
extern bool package_is_id(const char *package_id); /* could be one */
extern char *package_schema_name(const char *package_id);
/*
 * run a statement with the id as its argument: does it give a row? column: NULL, or for a copy of
 * its first column, a bytea
 */
extern bool package_select(SpiStatement *statement, const char *package_id, bytea **column);

/* ---- function_cache.c: the functions of installed packages, ready to be called ---- */

#define CHAINCODE_ARGUMENTS_MAX FUNC_MAX_ARGS

typedef struct ChaincodeParameter
{
	const char *name; /* "" when it has none */
	Oid type;
	Oid type_parameter; /* for the input function */
	FmgrInfo input;
} ChaincodeParameter;

typedef struct ChaincodeFunction
{
	char name[NAMEDATALEN];
	Oid oid;
	Oid schema;
	int parameters_count; /* input parameters */
	int defaults_count;
	bool is_variadic;
	bool returns_set;
	Oid result_type;
	char result_kind; /* typtype of the result */
	FmgrInfo call;
	FmgrInfo output;
	ChaincodeParameter *parameters;
	SPIPlanPtr *plans; /* by number of arguments, for calls that need the parser: defaults,
						  variadic, sets */
	int plans_count;
} ChaincodeFunction;

/* InvalidOid when the package is not installed. Not to be called while chaincode runs */
extern Oid function_cache_schema(const char *package_id);
/* NULL when the schema has no such function, or its name begins with an underscore */
extern ChaincodeFunction *function_cache_find(Oid schema, const char *name);

/*
 * for messages: "name(parameter type, ...)"; those of all functions that can be called, in order of
 * name, cut where there are many
 */
extern char *function_cache_signature(const ChaincodeFunction *function);
extern char *function_cache_list(Oid schema);
/* the name among them that is most like this one; NULL when none is much like it */
extern char *function_cache_nearest(Oid schema, const char *name);

/* ---- simulate.c ---- */

typedef struct Simulation
{
	const SimulationRequest *request;
	SimulationResult *result;
	const Ledger *ledger;
	Snapshot snapshot;
	MemoryContext context;	/* for the time of the simulation */
	FbAllocator *allocator; /* in the memory context of the result */
	RwSetBuilder *builder;
	FbBytes namespace_name;
	FbError failure; /* of the builder; kept although the chaincode may catch the error */
	bool paginated;	 /* a paginated query was made: no writes any more */
	CryptoCertificate
		*certificate; /* of the creator, parsed when first asked for; freed at the end */
	const char *creator_msp_id;
	char *event_name;
	FbBytes event_payload;
} Simulation;

/* ---- simulation.c: the simulation that runs in this process ---- */

extern Simulation *simulation_current(void); /* FB_NOT_IN_SIMULATION outside */
extern bool simulation_is_running(void);
/* NULL: it is over */
extern void simulation_set_current(Simulation *simulation);

/* ---- state_access.c: reads and writes of a simulation, recorded ---- */

extern bool state_access_get(Simulation *simulation, FbBytes namespace_name, FbBytes key,
							 FbBytes *value);
extern bool state_access_get_metadata(Simulation *simulation, FbBytes key, FbBytes *metadata);
extern void state_access_put(Simulation *simulation, FbBytes namespace_name, FbBytes key,
							 FbBytes value);
extern void state_access_delete(Simulation *simulation, FbBytes namespace_name, FbBytes key);
extern void state_access_put_metadata(Simulation *simulation, FbBytes key,
									  const RwSetMetadataEntry *entries, size_t entries_count);
extern bool state_access_get_private(Simulation *simulation, FbBytes namespace_name,
									 FbBytes collection, FbBytes key, FbBytes *value);
extern bool state_access_held_private(Simulation *simulation, FbBytes namespace_name,
									  FbBytes collection, FbBytes key, FbBytes *value);
extern bool state_access_get_private_hash(Simulation *simulation, FbBytes namespace_name,
										  FbBytes collection, FbBytes key, FbBytes *hash);
extern void state_access_put_private(Simulation *simulation, FbBytes namespace_name,
									 FbBytes collection, FbBytes key, FbBytes value);

/* a range iterator, see ShimCursor */
extern ShimCursor *state_access_open(Simulation *simulation, FbBytes namespace_name,
									 FbBytes start_key, FbBytes end_key);
extern void state_access_page(Simulation *simulation, FbBytes start_key, FbBytes end_key,
							  int64 page_size, ShimPage *page);

/* ---- lifecycle.c ---- */

/* a call of _lifecycle inside a simulation; fills status, message and payload */
extern void lifecycle_invoke(Simulation *simulation);

/* ---- collections.c ---- */

struct Protos__CollectionConfigPackage;
struct ProtobufCMessage;

/* from Fabric's collection configuration file; FB_INVALID_ARGUMENT, FB_INVALID_POLICY */
extern struct Protos__CollectionConfigPackage *collections_of_json(Jsonb *json);
/* FB_LIFECYCLE_ERROR when a collection breaks a rule (core/chaincode/lifecycle/scc.go,
 * validateCollectionConfigs); package may be NULL */
extern void collections_check(const struct Protos__CollectionConfigPackage *package,
							  const ConfigBundle *bundle);
extern void collections_check_upgrade(const struct Protos__CollectionConfigPackage *proposed,
									  FbBytes committed_bytes);

/* ---- definition.c ---- */

#define DEFINITION_PARAMETERS_COUNT 3
extern const char *const definition_parameter_names[DEFINITION_PARAMETERS_COUNT];

/*
 * where fields are read: the committed state, an organisation's collection, or either of them
 * through a simulation
 */
typedef struct DefinitionReader
{
	bool (*get)(const struct DefinitionReader *self, FbBytes key,
				FbBytes *value); /* false: absent */
	const Ledger *ledger;
	Snapshot snapshot;
	const char *collection;
	Simulation *simulation;
} DefinitionReader;

/* keys: space is "namespaces" or "chaincode-sources", name a chaincode's or "chaincode#sequence" */
extern FbBytes definition_metadata_key(const char *space, const char *name);
extern FbBytes definition_field_key(const char *space, const char *name, const char *field);
/* values */
extern FbBytes definition_pack(const struct ProtobufCMessage *message);
extern FbBytes definition_pack_text(const char *value);
extern FbBytes definition_pack_number(int64 value);
extern FbBytes definition_pack_metadata(const char *datatype, const char *const *fields, int count);
extern void definition_pack_parameters(const ChaincodeDefinition *definition,
									   FbBytes values[DEFINITION_PARAMETERS_COUNT]);
/*
 * reading; absent fields give 0 and "", as in Fabric; FB_CORRUPTED is raised for what cannot be
 * parsed or is of another type
 */
extern bool definition_has_metadata(const DefinitionReader *reader, const char *space,
									const char *name, const char *datatype);
extern int64 definition_read_sequence(const DefinitionReader *reader, const char *name);
extern char *definition_read_text(const DefinitionReader *reader, const char *space,
								  const char *name, const char *field);
extern void definition_read_parameters(const DefinitionReader *reader, const char *name,
									   ChaincodeDefinition *definition);

/*
 * a committed definition and the version of its Sequence key (not present for a system chaincode)
 */
extern bool definition_load(const Ledger *ledger, const char *name, Snapshot snapshot,
							ChaincodeDefinition *definition, RwSetVersion *version);
/* the package of this node's organisation; NULL when not approved, or approved without one */
extern char *definition_find_package(const Ledger *ledger, Snapshot snapshot,
									 const ChaincodeDefinition *definition, RwSetVersion version,
									 bool *approved);
extern char *definition_implicit_collection(const char *msp_id);

/* ---- name_rules.c ---- */

extern bool name_is_alphanumeric(char c);

#endif
