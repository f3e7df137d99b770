/*
 * chaincode: packages of SQL source, their installation into a sandbox, the simulation of one call,
 * and the definitions that the organizations of a channel have agreed on.
 *
 * Everything here runs in the caller's backend, inside the caller's transaction. Invalid requests
 * and failures of this node are raised with ereport. The answer of the chaincode, including a
 * refusal, is data in SimulationResult. Results are palloc'ed in the caller's current memory
 * context.
 */
#ifndef FABRIC_SERVER_CHAINCODE_H
#define FABRIC_SERVER_CHAINCODE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "core/base/base.h"
#include "core/config/config.h"
#include "core/rwset/rwset.h"
#include "core/txn/txn.h"

/* ---- package.c, source_check.c, install.c, package_compare.c: packages ---- */

/*
 * label: at most as long as Fabric allows, and short enough to be readable in a column. A package
 * id is "label:" and 64 hex digits.
 */
#define CHAINCODE_LABEL_BYTES_MAX 255
#define CHAINCODE_PACKAGE_ID_BYTES (CHAINCODE_LABEL_BYTES_MAX + 1 + 64 + 1)
/* the functions of a package are in schema fabric_cc_<first 16 hex digits of the package's hash> */
#define CHAINCODE_SCHEMA_BYTES (10 + 16 + 1)

typedef struct ChaincodePackage
{
	char package_id[CHAINCODE_PACKAGE_ID_BYTES]; /* label ":" hex(SHA-256(all bytes of the file)),
													docs/wire-format.md, "Chaincode packages" */
	char schema_name[CHAINCODE_SCHEMA_BYTES];
	char *label;
	char *type;	  /* the type of metadata.json, in lower case: "sql" for packages that this node can
					 run */
	char *path;	  /* the path of metadata.json; may be empty */
	char *source; /* all *.sql files of code.tar.gz, in the order of their names, joined by
					 newlines; NULL if there is none */
} ChaincodePackage;

/*
 * The bytes of a package: Fabric's tar.gz {metadata.json, code.tar.gz {src/chaincode.sql}}. The
 * same arguments give the same bytes on every node (no times, no owners). label must match
 * ^[[:alnum:]][[:alnum:]_.+-]*$ (FB_INVALID_ARGUMENT). source: SQL text, not empty, at most
 * FB_PACKAGE_SOURCE_BYTES_MAX bytes. type: "sql".
 */
extern bytea *package_build(const char *label, const char *type, FbBytes source);

/*
 * Read any Fabric package: only metadata.json and code.tar.gz of the outer archive are looked at.
 * Raises FB_INVALID_PACKAGE when the bytes are not a package, break the label rule or exceed a
 * limit (size, entries, decompressed size). A package of another type (golang, node, java, ccaas)
 * is no error; its source is NULL.
 */
extern void package_read(FbBytes bytes, ChaincodePackage *package);

/*
 * Install a package and return its id. A package that is already installed gives the same id and
 * changes nothing. Every function is checked (FB_INVALID_PACKAGE, FB_NONDETERMINISTIC_CHAINCODE
 * with function, line and the reason) and created in the package's schema as role fabric_chaincode.
 * Code that may or may not differ between nodes (dynamic SQL, a language that cannot be checked) is
 * also refused, or reported as a WARNING with allow_warnings. The caller has checked the right to
 * install.
 */
extern char *package_install(FbBytes bytes, bool allow_warnings);
/*
 * Install the package a second time under the name of its schema, after renaming the existing
 * schema. The caller rolls both back.
 */
extern void package_install_aside(const ChaincodePackage *package);

/*
 * package_compare.c: report each installed package whose bytes, schema or functions differ from
 * those that its hash identifies. detail: sentences that follow "Package X:".
 */
typedef void (*PackageProblem)(void *context, const char *package_id, const char *detail);
extern void package_compare_all(PackageProblem report, void *context);

extern bool package_is_installed(const char *package_id);
extern bytea *package_get(const char *package_id);	   /* FB_CHAINCODE_NOT_FOUND */
extern void package_uninstall(const char *package_id); /* FB_CHAINCODE_NOT_FOUND; FB_LIFECYCLE_ERROR
														  while a committed definition runs it */

/* ---- system_chaincode.c: the chaincodes that are part of the node ---- */

#define SYSTEM_CHAINCODE_VERSION "syscc" /* in a ChaincodeAction, and of the definition */

/* the chaincode that keeps definitions, and the namespace that holds them */
#define LIFECYCLE_NAMESPACE "_lifecycle"

typedef struct SystemChaincode
{
	const char *name;
	bool runs_here; /* simulate.c has its code; false: the name is only reserved */
	/*
	 * the policy that its definition names as its endorsement policy, and the policy that applies,
	 * because a channel need not have a policy at that path
	 */
	const char *policy_reference;
	const Policy *(*endorsement_policy)(const ConfigBundle *bundle);
	/*
	 * the resource whose ACL of the channel decides who may propose; NULL: invoke checks
	 * "name/function"
	 */
	const char *proposal_resource;
	/*
	 * each organization answers from its own data, so a refusal by one says nothing about the
	 * others
	 */
	bool answers_differ;
	/*
	 * the function concerns the caller's organization only, so only a node of that organization
	 * endorses
	 */
	bool (*concerns_caller)(FbBytes function);
} SystemChaincode;

/* NULL when the name is not that of a system chaincode of this node */
extern const SystemChaincode *system_chaincode_find(FbBytes name);
/*
 * Does Fabric or this node have a system chaincode of that name? No definition may take such a
 * name.
 */
extern bool system_chaincode_reserves(const char *name);

/* ---- definition.c: the definitions that a channel has agreed on ---- */

/* docs/wire-format.md, "Chaincode definitions" */

/* The only plugins. A definition that names another plugin cannot be approved or committed. */
#define DEFINITION_ENDORSEMENT_PLUGIN "escc"
#define DEFINITION_VALIDATION_PLUGIN "vscc"

typedef struct ChaincodeDefinition
{
	char *name;
	int64 sequence;
	char *version;
	bool init_required;
	char *endorsement_plugin;	  /* "escc" */
	char *validation_plugin;	  /* "vscc" */
	FbBytes validation_parameter; /* pb(ApplicationPolicy) */
	FbBytes collections;		  /* pb(CollectionConfigPackage), empty when there are none */
	/* of its Sequence key, when it was read from the state; absent for a system chaincode */
	RwSetVersion committed_at;
} ChaincodeDefinition;

/*
 * Get the committed definition of a chaincode as the active snapshot sees it; false when there is
 * none. A system chaincode has a fixed definition: version "syscc" and the policy reference of its
 * row. The cost is one point read: the Sequence key changes with every commit of a definition, so
 * the parsed form is cached per session under (channel, name, version of that key). The cache needs
 * no shared memory, and is right inside any snapshot and on a hot standby. Raises FB_CORRUPTED when
 * the state under _lifecycle cannot be parsed.
 */
extern bool definition_get(const char *channel, const char *name, ChaincodeDefinition *definition);

/*
 * The same for a validation, for which bad state is not an error of this node: returns
 * FB_CHAINCODE_NOT_FOUND when there is no definition, FB_CORRUPTED when it cannot be parsed.
 */
extern FbStatus definition_find(const char *channel, const char *name,
								ChaincodeDefinition *definition, FbError *error);

/*
 * The same from a state that is not in the tables: get returns the value of a key of namespace
 * _lifecycle. Nothing is cached.
 */
typedef bool (*DefinitionGet)(void *context, FbBytes key, FbBytes *value);
extern FbStatus definition_find_in(DefinitionGet get, void *context, const char *name,
								   ChaincodeDefinition *definition, FbError *error);

/*
 * The committed definitions of a channel in the order of their names: List of ChaincodeDefinition
 * *. A definition that cannot be parsed has only its name.
 */
extern List *definition_list(const char *channel);
/* The same for a message: a sentence with the names, cut when there are many. */
extern char *definition_list_text(const char *channel);

/*
 * The package that this node's organization approved for a definition that was just read; NULL when
 * it has not approved this definition, or has approved it without a package.
 */
extern char *definition_package_id(const char *channel, const ChaincodeDefinition *definition);

/* Is this a valid name of a chaincode? NULL, or the reason why not. */
extern const char *definition_check_name(const char *name);

/* ---- name_rules.c ---- */

/* the same for a version, and for the name of a collection */
extern const char *definition_check_version(const char *version);
extern const char *definition_check_collection_name(const char *name);

/* ---- simulate.c: one call ---- */

/*
 * Message, detail, hint and context of a refusal are each cut to this size, because other nodes
 * keep them in memory and in their logs.
 */
#define CHAINCODE_REFUSAL_TEXT_BYTES_MAX 8192

typedef struct SimulationRequest
{
	const char *channel;
	const char *chaincode; /* a committed chaincode's name, or "_lifecycle" */
	const char *tx_id;	   /* lower case hex */
	FbBytes creator;	   /* SerializedIdentity, as signed; already authenticated by the caller */
	TxTime timestamp;	   /* from the client's channel header */
	size_t arguments_count;
	const FbBytes *arguments; /* [0] is the name of the function */
	size_t transient_count;
	const TransientEntry *transient;
	bool is_init;
} SimulationRequest;

typedef struct SimulationResult
{
	int32 status;  /* 200, or 500 when the chaincode raised an error; 404 from _lifecycle's
					  queries */
	char *message; /* of the error; "" on success */
	char *detail;  /* of the error, or NULL; not part of Fabric's response: only for the client of
					  this node's gateway */
	char *hint;	   /* like detail */
	char sqlstate[6]; /* like detail; "00000" on success */
	char *context;	 /* like detail: the functions that were running, one per line, innermost first;
						NULL or not empty */
	FbBytes payload; /* the function's result */
	char *chaincode_version; /* of the definition that ran, for ChaincodeAction.chaincode_id */
	RwSetResult rwset; /* all reads and writes; private values in clear are only in private_bytes */
	bool has_writes;
	char *event_name; /* NULL: no event */
	FbBytes event_payload;
} SimulationResult;

/*
 * Run one function of a chaincode, or of _lifecycle, against the caller's active snapshot (one is
 * taken when there is none) and collect its reads and writes. Nothing is written in any case, and
 * the caller's transaction, memory contexts, GUCs and user stay as they were. Works in a read-only
 * transaction and on a hot standby. Must not be called inside a simulation.
 *
 * Raises FB_CHANNEL_NOT_FOUND; FB_CHAINCODE_NOT_FOUND (no definition, not approved by this
 * organization, not installed); FB_LIFECYCLE_ERROR (not initialized, or initialized already);
 * FB_LIMIT_EXCEEDED (read-write set, fabric.chaincode_memory_limit); FB_CHAINCODE_TIMEOUT
 * (fabric.chaincode_execute_timeout); cancellation; errors of the ledger. An error that the
 * function itself raises, a function that the chaincode does not have, and arguments that do not
 * fit are results with status 500.
 */
extern void simulate(const SimulationRequest *request, SimulationResult *result);

/* ---- sandbox.c ---- */

/*
 * Install the hooks of the server that guard chaincode while it runs and prevent calls
 * of its functions in any other way. Call this when the library is loaded; otherwise the first
 * simulation of a session installs them.
 */
extern void sandbox_install_hooks(void);

/* ---- settings_table.c: the settings of a session while chaincode runs ---- */

typedef struct SettingRule
{
	const char *name;
	const char *value;	/* while chaincode runs; "default": the value without configuration; NULL:
						   the setting is not changed */
	const char *reason; /* why it has this value, or why it is not changed */
} SettingRule;

/* sorted by name */
extern const SettingRule settings_table[];
extern const int settings_table_count;

/* ---- shim.c, state_access.c: the requests of chaincode while it runs ---- */

/*
 * All raise FB_NOT_IN_SIMULATION outside a simulation. Keys and values are bytes; a key is UTF-8.
 */

/* the request of the running call */
extern const SimulationRequest *shim_request(void);
extern bool shim_get_transient(FbBytes key, FbBytes *value);
extern const char *shim_client_msp_id(void);
extern const char *shim_client_id(void); /* cid.GetID: base64 of x509::subject::issuer */
/* false: the certificate has no such attribute */
extern bool shim_client_attribute(FbBytes name, FbBytes *value);

/* A read does not see the writes of the same transaction. An empty value deletes the key. */
extern bool shim_get_state(FbBytes key, FbBytes *value);
extern void shim_put_state(FbBytes key, FbBytes value);
extern void shim_delete_state(FbBytes key);

/*
 * Keys of [start, end). Rows are read in batches of 100 and one row ahead, and are recorded when
 * they are read, as Fabric does: see state_access.c.
 */
typedef struct ShimCursor ShimCursor;
/* neither may begin with U+0000 */
extern ShimCursor *shim_open_range(FbBytes start_key, FbBytes end_key);
extern ShimCursor *shim_open_composite(FbBytes object_type, const FbBytes *attributes,
									   size_t attributes_count);
extern bool shim_cursor_next(ShimCursor *cursor, FbBytes *key, FbBytes *value);

/*
 * One page, for transactions that do not write. bookmark: the start key of the next page; empty at
 * the start and at the end.
 */
typedef struct ShimRow
{
	FbBytes key;
	FbBytes value;
} ShimRow;

typedef struct ShimPage
{
	ShimRow *rows;
	size_t rows_count;
	FbBytes bookmark;
} ShimPage;

extern void shim_page_range(FbBytes start_key, FbBytes end_key, int64 page_size, FbBytes bookmark,
							ShimPage *page);
extern void shim_page_composite(FbBytes object_type, const FbBytes *attributes,
								size_t attributes_count, int64 page_size, FbBytes bookmark,
								ShimPage *page);

/* See docs/wire-format.md, "Composite keys". These functions need no simulation. */
extern FbBytes shim_composite_key(FbBytes object_type, const FbBytes *attributes,
								  size_t attributes_count);
extern size_t shim_split_composite_key(FbBytes key, FbBytes **parts); /* [0] is the object type */

/*
 * Newest first; not part of the read set. put is called for each write; its argument lives until it
 * returns.
 */
typedef struct ShimHistory
{
	FbBytes tx_id;
	FbBytes value;
	TimestampTz created_at; /* the timestamp that the client set */
	bool is_delete;
	uint64 block_number;
} ShimHistory;

extern void shim_history(FbBytes key, void (*put)(void *context, const ShimHistory *write),
						 void *context);

extern void shim_set_event(FbBytes name, FbBytes payload); /* the last call takes effect */

/* SignaturePolicyEnvelope bytes, not checked; empty: the key has no policy of its own */
extern void shim_set_validation_parameter(FbBytes key, FbBytes parameter);
extern bool shim_get_validation_parameter(FbBytes key, FbBytes *parameter);
/*
 * A policy that every one of these organizations must satisfy. role: "member" or "peer". Needs no
 * simulation. FB_INVALID_ARGUMENT.
 */
extern FbBytes shim_state_policy(const char *role, const FbBytes *msp_ids, size_t msp_ids_count);

/* ---- lifecycle_arguments.c: the arguments of _lifecycle's functions ---- */

/* They are serialized protobuf messages, the second argument of each call. */

typedef struct LifecycleParameters
{
	const char *name;
	const char *version;
	int64 sequence;
	const char *policy; /* text of a signature policy, or the path of a channel policy
						   ("/Channel/..."); NULL: the default */
	Jsonb *collections; /* Fabric's collection configuration file, or NULL */
	bool init_required;
	const char *package_id; /* for approval only; NULL: approve without a package */
} LifecycleParameters;

/*
 * Arguments of functions of _lifecycle. FB_INVALID_ARGUMENT, FB_INVALID_POLICY are raised for
 * parameters that no node would accept.
 */
/* ApproveChaincodeDefinitionForMyOrg */
extern FbBytes lifecycle_approve_arguments(const LifecycleParameters *parameters);
/* CommitChaincodeDefinition */
extern FbBytes lifecycle_commit_arguments(const LifecycleParameters *parameters);
/* CheckCommitReadiness */
extern FbBytes lifecycle_readiness_arguments(const LifecycleParameters *parameters);

/* the answer of CheckCommitReadiness about one organization */
typedef struct LifecycleReadiness
{
	char *msp_id;
	bool approved;
	List *mismatches; /* of char *: the fields that differ */
} LifecycleReadiness;

/*
 * Parse the payload that CheckCommitReadiness returned: List of LifecycleReadiness *, in the order
 * of MSP ids.
 */
extern List *lifecycle_readiness_result(FbBytes payload);

#endif
