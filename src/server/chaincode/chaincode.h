/*
 * chaincode: packages of SQL source, their installation into a sandbox, the simulation of one call,
 * and the definitions that the organisations of a channel agreed upon.
 *
 * Everything here runs in the caller's backend, inside the caller's transaction. Wrong requests and
 * failures of ours are raised with ereport; what chaincode answers - also a refusal - is data in
 * SimulationResult. Memory: results are palloc'ed in the caller's current memory context.
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

/* -------------------------------------------------------------------------------------------------
 * package.c, source_check.c, install.c: packages
 */

/* sizes: label as Fabric plus what fits into a column readably; "label:" and 64 hex digits */
#define CHAINCODE_LABEL_BYTES_MAX 255
#define CHAINCODE_PACKAGE_ID_BYTES (CHAINCODE_LABEL_BYTES_MAX + 1 + 64 + 1)
/* functions live in fabric_cc_<16 hex digits of the package's hash> */
#define CHAINCODE_SCHEMA_BYTES (10 + 16 + 1)

typedef struct ChaincodePackage
{
	char package_id[CHAINCODE_PACKAGE_ID_BYTES]; /* label ":" hex(SHA-256(all bytes of the file)),
													docs/wire-format.md, "Chaincode packages" */
	char schema_name[CHAINCODE_SCHEMA_BYTES];
	char *label;
	char *type;	  /* metadata.json's type, lower case: "sql" for what this node can run */
	char *path;	  /* metadata.json's path; may be empty */
	char *source; /* all *.sql of code.tar.gz in order of their names, joined by newlines; NULL if
					 there is none */
} ChaincodePackage;

/*
 * The bytes of a package: Fabric's tar.gz {metadata.json, code.tar.gz {src/chaincode.sql}}. The
 * same arguments give the same bytes on every node (no times, no owners). label must match
 * ^[[:alnum:]][[:alnum:]_.+-]*$ (FB_INVALID_ARGUMENT). source: SQL text, not empty, at most
 * FB_PACKAGE_SOURCE_BYTES_MAX bytes. type: "sql".
 */
extern bytea *package_build(const char *label, const char *type, FbBytes source);

/*
 * Reads any Fabric package: only metadata.json and code.tar.gz of the outer archive are looked at.
 * FB_INVALID_PACKAGE when it is not one, breaks the label rule or exceeds a limit (size, entries,
 * decompressed size). A package of another type (golang, node, java, ccaas) reads well and has
 * source NULL.
 */
extern void package_read(FbBytes bytes, ChaincodePackage *package);

/*
 * Installs a package and returns its id; a package that is already installed gives the same id and
 * changes nothing. Every function is checked (FB_INVALID_PACKAGE, FB_NONDETERMINISTIC_CHAINCODE
 * with function, line and the reason) and created in the package's schema as role fabric_chaincode.
 * What only may differ between nodes (dynamic SQL, a language that cannot be checked) is refused
 * too, or a WARNING with allow_warnings. The caller has checked the right to install.
 */
extern char *package_install(FbBytes bytes, bool allow_warnings);
/*
 * the package once more under the name of its schema, which takes another name; the caller rolls
 * both back
 */
extern void package_install_aside(const ChaincodePackage *package);

/*
 * package_compare.c: installed packages whose bytes, schema or functions are not what their hash
 * says; detail: sentences that go on from "Package X:"
 */
typedef void (*PackageProblem)(void *context, const char *package_id, const char *detail);
extern void package_compare_all(PackageProblem report, void *context);

extern bool package_is_installed(const char *package_id);
extern bytea *package_get(const char *package_id);	   /* FB_CHAINCODE_NOT_FOUND */
extern void package_uninstall(const char *package_id); /* FB_CHAINCODE_NOT_FOUND; FB_LIFECYCLE_ERROR
														  while a committed definition runs it */

/* -------------------------------------------------------------------------------------------------
 * system_chaincode.c: the chaincodes that are part of the node
 */

#define SYSTEM_CHAINCODE_VERSION "syscc" /* in a ChaincodeAction, and of the definition */

/* the one that keeps definitions, and the namespace that they are in */
#define LIFECYCLE_NAMESPACE "_lifecycle"

typedef struct SystemChaincode
{
	const char *name;
	bool runs_here; /* simulate.c has its code; otherwise the name is reserved, no more */
	/*
	 * who endorses it: what its definition names, and the policy that counts, because a channel
	 * need not have one at that path
	 */
	const char *policy_reference;
	const Policy *(*endorsement_policy)(const ConfigBundle *bundle);
	/* whom the channel's ACLs let propose; NULL: invoke checks "name/function" */
	const char *proposal_resource;
	/* each organization answers from what it alone knows: a refusal says nothing of the others */
	bool answers_differ;
	/* the function concerns the caller's organization alone: its own node endorses */
	bool (*concerns_caller)(FbBytes function);
} SystemChaincode;

/* NULL: it is none, or none of this node */
extern const SystemChaincode *system_chaincode_find(FbBytes name);
/* Fabric or this node has a system chaincode of that name: no definition may take it */
extern bool system_chaincode_reserves(const char *name);

/* -------------------------------------------------------------------------------------------------
 * definition.c: what a channel agreed upon (docs/wire-format.md, "Chaincode definitions")
 */

/*
 * the plugins that there are; a definition that names another one cannot be approved or committed
 */
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
} ChaincodeDefinition;

/*
 * The committed definition of a chaincode as the active snapshot sees it; false when there is none.
 * A system chaincode has a fixed one: version "syscc" and its row's policy reference.
 * Costs one point read: the Sequence key changes with every commit of a definition, so the parsed
 * form is kept per session under (channel, name, version of that key). Needs no shared memory;
 * right inside any snapshot and on a hot standby. FB_CORRUPTED when the state under _lifecycle
 * cannot be parsed.
 */
extern bool definition_get(const char *channel, const char *name, ChaincodeDefinition *definition);

/*
 * The same for a validation, to which nothing that lies there is an error: FB_CHAINCODE_NOT_FOUND
 * when there is none, FB_CORRUPTED when it cannot be parsed.
 */
extern FbStatus definition_find(const char *channel, const char *name,
								ChaincodeDefinition *definition, FbError *error);

/*
 * The same from a state that is not in the tables: get gives the value of a key of namespace
 * _lifecycle. Nothing is cached.
 */
typedef bool (*DefinitionGet)(void *context, FbBytes key, FbBytes *value);
extern FbStatus definition_find_in(DefinitionGet get, void *context, const char *name,
								   ChaincodeDefinition *definition, FbError *error);

/*
 * the committed definitions of a channel in order of their names: List of ChaincodeDefinition *; of
 * one that cannot be parsed only the name
 */
extern List *definition_list(const char *channel);
/* the same for a message: a sentence with their names, cut where there are many */
extern char *definition_list_text(const char *channel);

/*
 * The package this node's organisation approved for that definition; NULL when it has not approved
 * this definition, or has approved it without a package.
 */
extern char *definition_package_id(const char *channel, const ChaincodeDefinition *definition);

/* name, version and collection rules; NULL when good, otherwise why not */
extern const char *definition_check_name(const char *name);
extern const char *definition_check_version(const char *version);
extern const char *definition_check_collection_name(const char *name);

/* -------------------------------------------------------------------------------------------------
 * simulate.c: one call
 */

/*
 * message, detail, hint and context of a refusal are cut here, each: another node's memory and log
 * have to take them
 */
#define CHAINCODE_REFUSAL_TEXT_BYTES_MAX 8192

typedef struct SimulationRequest
{
	const char *channel;
	const char *chaincode; /* a committed chaincode's name, or "_lifecycle" */
	const char *tx_id;	   /* lower case hex */
	FbBytes creator;	   /* SerializedIdentity, as signed; already authenticated by the caller */
	TxTime timestamp;	   /* of the client's channel header */
	size_t arguments_count;
	const FbBytes *arguments; /* [0] is the function's name */
	size_t transient_count;
	const TransientEntry *transient;
	bool is_init;
} SimulationRequest;

typedef struct SimulationResult
{
	int32 status;  /* 200, or 500 when the chaincode raised an error; 404 from _lifecycle's
					  queries */
	char *message; /* of the error; "" when good */
	char *detail; /* of the error, or NULL; not part of Fabric's response: for the client of our own
					 gateway */
	char *hint;	  /* likewise */
	char sqlstate[6]; /* likewise; "00000" when good */
	char *context; /* likewise: the functions that were running, a line each, innermost first; NULL
					  or not empty */
	FbBytes payload;		 /* the function's result */
	char *chaincode_version; /* of the definition that ran, for ChaincodeAction.chaincode_id */
	RwSetResult rwset; /* all reads and writes; the private ones in clear only in private_bytes */
	bool has_writes;
	char *event_name; /* NULL without event */
	FbBytes event_payload;
} SimulationResult;

/*
 * Runs one chaincode function, or a function of _lifecycle, against the caller's active snapshot
 * (one is taken when there is none) and collects what it reads and writes. Nothing is written,
 * whatever happens; the caller's transaction, memory contexts, GUCs and user are as before. Works
 * in a read-only transaction and on a hot standby. Must not be called from inside a simulation.
 * Raises: FB_CHANNEL_NOT_FOUND, FB_CHAINCODE_NOT_FOUND (no definition, not approved by this
 * organisation, not installed), FB_LIFECYCLE_ERROR (not initialized, or initialized
 * already), FB_LIMIT_EXCEEDED (the read-write set), FB_CHAINCODE_TIMEOUT
 * (fabric.chaincode_execute_timeout), FB_LIMIT_EXCEEDED (fabric.chaincode_memory_limit),
 * cancellation, what the ledger raises. What the function itself raises, a function that the
 * chaincode does not have, arguments that do not fit, are results with status 500.
 */
extern void simulate(const SimulationRequest *request, SimulationResult *result);

/*
 * sandbox.c: hooks of the server that guard chaincode while it runs, and keep its functions from
 * being called in any other way. To be called when the library is loaded; what was not called then
 * is done by the first simulation of a session.
 */
extern void sandbox_install_hooks(void);

/* -------------------------------------------------------------------------------------------------
 * settings_table.c: the settings of a session while chaincode runs
 */

typedef struct SettingRule
{
	const char *name;
	const char
		*value; /* while chaincode runs; "default": as without configuration; NULL: left as it is */
	const char *reason; /* for the value, or for leaving it */
} SettingRule;

/* sorted by name */
extern const SettingRule settings_table[];
extern const int settings_table_count;

/* -------------------------------------------------------------------------------------------------
 * shim.c: what chaincode can ask for while it runs; FB_NOT_IN_SIMULATION otherwise. Keys and values
 * as bytes; a key is UTF-8.
 */

/* the running call */
extern const SimulationRequest *shim_request(void);
extern bool shim_get_transient(FbBytes key, FbBytes *value);
extern const char *shim_client_msp_id(void);
extern const char *shim_client_id(void); /* cid.GetID: base64 of x509::subject::issuer */
extern bool
shim_client_attribute(FbBytes name,
					  FbBytes *value); /* false: the certificate has no such attribute */

/* a read does not see the writes of the same transaction. An empty value deletes. */
extern bool shim_get_state(FbBytes key, FbBytes *value);
extern void shim_put_state(FbBytes key, FbBytes value);
extern void shim_delete_state(FbBytes key);

/*
 * keys of [start, end). Rows are taken from the state 100 at a time and one ahead,
 * and recorded when taken
 */
typedef struct ShimCursor ShimCursor;
extern ShimCursor *shim_open_range(FbBytes start_key,
								   FbBytes end_key); /* neither may begin with U+0000 */
extern ShimCursor *shim_open_composite(FbBytes object_type, const FbBytes *attributes,
									   size_t attributes_count);
extern bool shim_cursor_next(ShimCursor *cursor, FbBytes *key, FbBytes *value);

/*
 * one page, read-only transactions only. bookmark: where to go on, empty at the start and
 * at the end
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

/* docs/wire-format.md, "Composite keys". Need no simulation */
extern FbBytes shim_composite_key(FbBytes object_type, const FbBytes *attributes,
								  size_t attributes_count);
extern size_t shim_split_composite_key(FbBytes key, FbBytes **parts); /* [0] is the object type */

/*
 * newest first; not part of the read set. put is called for each write; what it is given
 * lives until it returns
 */
typedef struct ShimHistory
{
	FbBytes tx_id;
	FbBytes value;
	TimestampTz created_at; /* the client's time */
	bool is_delete;
	uint64 block_number;
} ShimHistory;

extern void shim_history(FbBytes key, void (*put)(void *context, const ShimHistory *write),
						 void *context);

extern void shim_set_event(FbBytes name, FbBytes payload); /* the last call wins */

/* SignaturePolicyEnvelope bytes, not looked at; empty: as if there were none */
extern void shim_set_validation_parameter(FbBytes key, FbBytes parameter);
extern bool shim_get_validation_parameter(FbBytes key, FbBytes *parameter);
/*
 * every one of these organisations must endorse. role: "member" or "peer". Needs no
 * simulation. FB_INVALID_ARGUMENT
 */
extern FbBytes shim_state_policy(const char *role, const FbBytes *msp_ids, size_t msp_ids_count);

/* -------------------------------------------------------------------------------------------------
 * lifecycle.c: the arguments of _lifecycle's functions: marshalled protobuf, the second
 * argument of the call
 */

typedef struct LifecycleParameters
{
	const char *name;
	const char *version;
	int64 sequence;
	const char *policy; /* text of a signature policy, or the path of a channel policy
						   ("/Channel/..."); NULL: the default */
	Jsonb *collections; /* Fabric's collection configuration file, or NULL */
	bool init_required;
	const char *package_id; /* only for approval; NULL: approve without a package */
} LifecycleParameters;

/* Raise FB_INVALID_ARGUMENT, FB_INVALID_POLICY for parameters that no node would accept. */
extern FbBytes lifecycle_approve_arguments(
	const LifecycleParameters *parameters); /* ApproveChaincodeDefinitionForMyOrg */
extern FbBytes
lifecycle_commit_arguments(const LifecycleParameters *parameters); /* CommitChaincodeDefinition */
extern FbBytes
lifecycle_readiness_arguments(const LifecycleParameters *parameters); /* CheckCommitReadiness */

/* one answer of CheckCommitReadiness */
typedef struct LifecycleReadiness
{
	char *msp_id;
	bool approved;
	List *mismatches; /* of char *: the fields that differ */
} LifecycleReadiness;

/*
 * parses the payload that CheckCommitReadiness returned: List of LifecycleReadiness *, in order of
 * MSP ids
 */
extern List *lifecycle_readiness_result(FbBytes payload);

#endif
