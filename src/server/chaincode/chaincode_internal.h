/* declarations that the files of server/chaincode share */
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
 * The key in a chaincode's namespace that holds the version that was initialized
 * (docs/wire-format.md, "Composite keys"): U+0000, U+10FFFF, "initialized".
 */
#define CHAINCODE_INITIALIZED_KEY \
	"\0\xF4\x8F\xBF\xBF"          \
	"initialized"
/* prefix of the C symbols of functions that chaincode may call */
#define CHAINCODE_SHIM_PREFIX "fabric_shim_"

/* ---- usable_functions.c: which functions chaincode can call ---- */

/*
 * Call once per process: registers the callback that forgets a verdict when its function changes.
 */
extern void usable_function_init(void);
/* Can code of that schema call the function? */
extern bool usable_function_check(Oid function, Oid schema);
/* Does pg_catalog have a function of this name? usable: chaincode can call at least one of them. */
extern bool usable_builtin_exists(const char *name, bool *usable);
/* the same for a function of schema fabric */
extern bool usable_fabric_function_exists(const char *name, bool *usable);
/*
 * Was the function, which is not of the chaincode's own schema, found usable (in a check or as a
 * conversion of a type), and has it not changed since?
 */
extern bool usable_function_is_known(Oid function);
/*
 * Decide whether chaincode can call the function, and remember the verdict. tuple: its row of
 * pg_proc.
 */
extern bool usable_function_judge(Oid function, HeapTuple tuple);
/* its row of pg_proc, to be released with ReleaseSysCache; raises an error when there is none */
extern HeapTuple usable_function_tuple(Oid function);

/* ---- sandbox.c: limits on what chaincode may do ---- */

extern Oid sandbox_role(void);
/*
 * From now to the end of the current subtransaction: role fabric_chaincode, fixed search path
 * (pg_catalog, the schema, fabric), fixed values of all settings that can change a result. Must run
 * inside a subtransaction that will be rolled back, or whose owner restores user and settings.
 */
extern void sandbox_enter(Oid schema);
/*
 * The check at run time: while a schema is set, its code can call only itself, the shim and
 * harmless built-in functions.
 */
extern void sandbox_guard(Oid schema); /* InvalidOid: no check */

/* ---- time_limit.c: ending code that does not end by itself; see the design note there ---- */

/*
 * From now to time_limit_stop, code of a package runs. It is ended after limit_ms, and also when it
 * does not react to cancellation or termination of the session. what: the name of the code in
 * messages. stack_base: an address in a frame of the caller; frames outside of it belong to the
 * node's own code. Must not be nested.
 */
extern void time_limit_start(const char *what, int limit_ms, void *stack_base);
/*
 * True when the limit has passed. Call it only after the code's errors have been caught. Ends the
 * session if the session was told to end.
 */
extern bool time_limit_stop(void);
/*
 * For conditions.c: note that the code was canceled (it may catch that error); whether the current
 * error is the end of the session that the limit requested; the texts of that error.
 */
extern void time_limit_note_cancellation(void);
extern bool time_limit_ends_session(void);
extern void time_limit_describe_end(void);

/* ---- interpreter.c ---- */

/* Languages other than SQL and PL/pgSQL, whose interpreters can reach this process. */

/* Does the schema have functions in such languages? Must not be called while chaincode runs. */
extern bool interpreter_needed(Oid schema);
/*
 * From now on signal handlers cannot change, and standard output and standard error are discarded.
 * leave restores them, and may be called without enter.
 */
extern void interpreter_enter(void);
extern void interpreter_leave(void);
/* true between enter and leave: output to the server's log is lost */
extern bool interpreter_entered(void);
/* The process ends: connect standard error to the log again. Can be called in a signal handler. */
extern void interpreter_abandon(void);

/* ---- conditions.c: messages and errors of running chaincode ---- */

/*
 * From now to conditions_stop, messages below ERROR are limited in number and size and name the
 * code (what), and errors of the node itself are kept even if the code catches them. Call it inside
 * PG_TRY, which removes the context callback. context: memory for the kept error.
 */
extern void conditions_start(const char *what, MemoryContext context);
/* after start: messages of the code go to the client only, since they may quote transient data */
extern void conditions_hide_from_log(void);
extern void conditions_stop(void); /* may be called without start */
/* forget the errors of an earlier call */
extern void conditions_clear(void);
/*
 * The first error of the node itself since conditions_start, NULL if there is none. error: the
 * error that ended the code, or NULL.
 */
extern const ErrorData *conditions_node_failure(const ErrorData *error);
/*
 * The first error since conditions_start that reveals something about the objects of this database,
 * NULL if there is none. The call is refused with it.
 */
extern const ErrorData *conditions_refusal(void);
/* ---- settings_table.c, fixed_settings.c: the settings under which chaincode runs ---- */

/* the value of a rule that stands for PostgreSQL's value without any configuration */
#define SETTING_BOOT_VALUE "default"

/*
 * From enter to leave, each setting that could change a result has the value of the table. Must be
 * called inside a subtransaction, or a GUC nest level, whose end restores the settings with assign
 * hooks. leave restores the others, and may be called at any time.
 */
extern void fixed_settings_enter(void);
extern void fixed_settings_leave(void);
/*
 * Call this before the first function of a language runs: it loads the language's library, which
 * may define settings. FB_SANDBOX_VIOLATION when one of them can no longer be fixed in this call.
 */
extern void fixed_settings_prepare_language(Oid language);

/* ---- fixed_clock.c: the transaction's time while chaincode runs ---- */

/* the value of 'now' as time or timetz (in UTC), in microseconds of the day */
#define FIXED_CLOCK_TIME_OF_DAY INT64CONST(40063510973)

/*
 * From enter to leave, 'now', 'today' and similar words in dates and timestamps are errors. Both
 * functions may be called at any time.
 */
extern void fixed_clock_enter(void);
extern void fixed_clock_leave(void);
/*
 * Does the text have a word that input functions of dates and times replace with the current time?
 * For hints only.
 */
extern bool fixed_clock_has_special_word(const char *text);

/* ---- hidden_portals.c: the session's cursors ---- */

/*
 * From enter to leave, no portal that exists now can be found by its name. Call leave after the
 * subtransaction of the call has been rolled back; it may be called at any time.
 */
extern void hidden_portals_enter(void);
extern void hidden_portals_leave(void);

/* ---- query_check.c: which objects an analyzed query may contain ---- */

typedef struct QueryProblem
{
	char *what;		  /* "type regclass", "CURRENT_TIMESTAMP" */
	const char *why;  /* continues the sentence: "refers to the catalogs of one database" */
	const char *hint; /* or NULL */
	bool is_function; /* the name in `what` is that of a function */
	int location;	  /* in the text that was analyzed, in bytes; -1: not known */
} QueryProblem;

/* Is it the value that 'now' has as a time of day under the fixed clock? */
extern bool query_check_is_now(Oid type, Datum value);
/* why chaincode cannot use a type, as text that follows its name; NULL: it can */
extern const char *query_check_type(Oid type);
/*
 * Find the first object in a query, or a list of expressions, that chaincode of that schema cannot
 * use; false: there is none.
 */
extern bool query_check_find(Node *query, Oid schema, QueryProblem *problem);
/* the same, but raises FB_SANDBOX_VIOLATION */
extern void query_check_run(Query *query, Oid schema);

/* ---- source_check.c: which statements the source of a package may contain ---- */

typedef struct SourceFunction
{
	CreateFunctionStmt *statement;
	const char *name;
	int location;  /* of the statement in the source */
	int line;	   /* of the statement; the first line is 1 */
	int body_line; /* line where the text of the body begins */
	Oid function;  /* filled in when it is created */
} SourceFunction;

typedef struct CheckedSource
{
	const char *text;
	List *functions;		/* of SourceFunction * */
	List *comments;			/* of CommentStmt * */
	List *warnings;			/* of char *: constructs that may differ between nodes */
	bool needs_interpreter; /* a function is in a language other than SQL and PL/pgSQL */
	const char
		*current;	/* the function being checked, for errors of the server's parsers; NULL: none */
	List *problems; /* of SourceProblem *, see install_problems.c */
} CheckedSource;

/*
 * Raises FB_INVALID_PACKAGE or FB_NONDETERMINISTIC_CHAINCODE. Types are looked up in the current
 * search path.
 */
extern void source_check(const char *text, CheckedSource *checked);

/* ---- source_tokens.c ---- */

/* the line of a position in a text; the first one is 1 */
extern int source_line_of(const char *text, int location);

/*
 * Check the tokens of one function, of which body_text is the body: FB_NONDETERMINISTIC_CHAINCODE
 * with every finding and its line; warnings are appended to checked->warnings.
 */
extern void source_tokens_check(CheckedSource *checked, SourceFunction *function,
								const char *statement_text, const char *body_text);

/* ---- install_problems.c: all problems of a source in one error, not only the first ---- */

/*
 * A step of the installation that concerns one function. Its errors are about the source of the
 * function, or are raised as they are.
 */
typedef void (*SourceStep)(CheckedSource *checked, void *argument);

/*
 * Run a step in a subtransaction. An error about the source is noted and the step is undone, so
 * that the caller can check the next function; any other error is raised. function: NULL when the
 * step itself determines the function.
 */
extern void install_problems_try(CheckedSource *checked, const SourceFunction *function,
								 SourceStep step, void *argument);
/* Can the server's parser or a language's validator raise this SQLSTATE about a source? */
extern bool install_problems_is_of_parser(int sqlerrcode);
/* Raise the noted problems: one as it is, several as one error that lists them. */
extern void install_problems_raise(const CheckedSource *checked);

/* ---- body_check.c: the queries in the bodies of functions ---- */

/* Check a function that has been created in the schema. Raises FB_NONDETERMINISTIC_CHAINCODE. */
extern void body_check(const SourceFunction *function, Oid schema);

/* ---- package.c, package_store.c ---- */

/* does the text have the form of a package id? */
extern bool package_is_id(const char *package_id);
/* the schema of an installed package, NULL when it is not installed */
extern char *package_schema_name(const char *package_id);
/*
 * Run a statement with the id as its argument: does it return a row? column: NULL, or receives a
 * copy of its first column, a bytea.
 */
extern bool package_select(SpiStatement *statement, const char *package_id, bytea **column);

/* ---- function_cache.c: the functions of installed packages, prepared for calls ---- */

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

/* InvalidOid when the package is not installed. Must not be called while chaincode runs. */
extern Oid function_cache_schema(const char *package_id);
/* NULL when the schema has no such function, or its name begins with an underscore */
extern ChaincodeFunction *function_cache_find(Oid schema, const char *name);

/*
 * For messages: "name(parameter type, ...)"; the signatures of all functions that can be called, in
 * the order of their names, cut when there are many.
 */
extern char *function_cache_signature(const ChaincodeFunction *function);
extern char *function_cache_list(Oid schema);
/* the most similar name among them; NULL when none is similar */
extern char *function_cache_nearest(Oid schema, const char *name);

/* ---- simulate.c ---- */

typedef struct Simulation
{
	const SimulationRequest *request;
	SimulationResult *result;
	const Ledger *ledger;
	Snapshot snapshot;
	MemoryContext context;	/* lives as long as the simulation */
	FbAllocator *allocator; /* in the memory context of the result */
	RwSetBuilder *builder;
	FbBytes namespace_name;
	FbError failure; /* an error of the builder; kept even if the chaincode catches it */
	bool paginated;	 /* a paginated query was made: no writes are allowed after it */
	CryptoCertificate *certificate; /* of the creator, parsed when first needed; freed at the end */
	const char *creator_msp_id;
	char *event_name;
	FbBytes event_payload;
} Simulation;

/* ---- simulation.c: the simulation that runs in this process ---- */

extern Simulation *simulation_current(void); /* FB_NOT_IN_SIMULATION outside */
extern bool simulation_is_running(void);
/* NULL: it has ended */
extern void simulation_set_current(Simulation *simulation);

/* ---- state_access.c: recorded reads and writes of a simulation ---- */

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

/* Run a call of _lifecycle inside a simulation; sets status, message and payload. */
extern void lifecycle_invoke(Simulation *simulation);

/* ---- collections.c ---- */

struct Protos__CollectionConfigPackage;
struct ProtobufCMessage;

/* from Fabric's collection configuration file; FB_INVALID_ARGUMENT, FB_INVALID_POLICY */
extern struct Protos__CollectionConfigPackage *collections_of_json(Jsonb *json);
/*
 * Raise FB_LIFECYCLE_ERROR when a collection breaks a rule (core/chaincode/lifecycle/scc.go,
 * validateCollectionConfigs). package may be NULL.
 */
extern void collections_check(const struct Protos__CollectionConfigPackage *package,
							  const ConfigBundle *bundle);
extern void collections_check_upgrade(const struct Protos__CollectionConfigPackage *proposed,
									  FbBytes committed_bytes);

/* ---- definition.c ---- */

#define DEFINITION_PARAMETERS_COUNT 3
extern const char *const definition_parameter_names[DEFINITION_PARAMETERS_COUNT];

/*
 * Source of the fields: the committed state, an organization's collection, or either of them
 * through a simulation.
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
 * Reading: absent fields are 0 and "", as in Fabric. FB_CORRUPTED is raised for a field that cannot
 * be parsed or has another type.
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
/*
 * the package that this node's organization approved; NULL when there is no approval or it names no
 * package
 */
extern char *definition_find_package(const Ledger *ledger, Snapshot snapshot,
									 const ChaincodeDefinition *definition, RwSetVersion version,
									 bool *approved);
extern char *definition_implicit_collection(const char *msp_id);

/* ---- name_rules.c ---- */

extern bool name_is_alphanumeric(char c);

/* ---- lifecycle_state.c: definitions in the read-write set of a simulation ---- */

/* the public state of _lifecycle */
extern DefinitionReader lifecycle_state_open(Simulation *simulation);
/*
 * The implicit collection of an organization. held: for a new approval, where values that this node
 * does not hold, or no longer holds, are approved again.
 */
extern DefinitionReader lifecycle_state_open_private(Simulation *simulation, const char *msp_id,
													 bool held);
extern void lifecycle_state_put(const DefinitionReader *state, FbBytes key, FbBytes value);
/*
 * Serializer.Serialize: writes only fields whose bytes changed, and the metadata when they differ.
 * The set of fields never changes here. Returns whether anything was written.
 */
extern bool lifecycle_state_serialize(const DefinitionReader *state, const char *space,
									  const char *name, const char *datatype,
									  const char *const *fields, const FbBytes *values, int count);
/*
 * Serializer.IsSerialized: do the hashes in the organization's collection match? Fields that do not
 * match are added to *mismatches.
 */
extern bool lifecycle_state_is_serialized(Simulation *simulation, const char *msp_id,
										  const char *private_name,
										  const ChaincodeDefinition *definition, List **mismatches);

#endif
