/*
 * lifecycle: the system chaincode _lifecycle, which keeps the definitions of all other chaincodes
 * (core/chaincode/lifecycle). It reads and writes through the same read-write set as any chaincode,
 * under Fabric's keys (core/chaincode/lifecycle/lifecycle.go, scc.go, serializer.go).
 *
 * An organization's approval is written to its implicit collection: the content stays with the
 * organization, and the other organizations compare its hashes when a definition is committed.
 */
#include "postgres.h"

#include "core/identity/identity.h"
#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "server/chaincode/chaincode_internal.h"
#include "server/channel/channel.h"

#define DEFAULT_ENDORSEMENT_POLICY "/Channel/Application/Endorsement"

/* a call of one function of _lifecycle */
typedef struct Invocation
{
	Simulation *simulation;
	const ConfigBundle *bundle;
	DefinitionReader public_state;
	FbBytes input; /* the serialized argument */
} Invocation;

#define lifecycle_error(...) ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR), errmsg(__VA_ARGS__)))

/* ---- input and output ---- */

static void
unpack_input(Invocation *invocation, const ProtobufCMessageDescriptor *descriptor, void *message)
{
	FbError error;

	error_check(proto_unpack(descriptor, invocation->input, memory_allocator(CurrentMemoryContext),
							 (ProtobufCMessage **) message, &error),
				&error);
}

static void
lifecycle_answer(Invocation *invocation, const ProtobufCMessage *message)
{
	FbError error;

	error_check(proto_pack(message, invocation->simulation->allocator,
						   &invocation->simulation->result->payload, &error),
				&error);
}

static FbBytes
pack_collections(const Protos__CollectionConfigPackage *package)
{
	FbBytes bytes = FB_BYTES_EMPTY;
	FbError error;

	if (package != NULL)
		error_check(proto_pack(&package->base, memory_allocator(CurrentMemoryContext), &bytes,
							   &error),
					&error);
	return bytes;
}

static Protos__CollectionConfigPackage *
unpack_collections(FbBytes bytes)
{
	Protos__CollectionConfigPackage *package;
	FbError error;

	error_check(PROTO_UNPACK(protos__collection_config_package, bytes,
							 memory_allocator(CurrentMemoryContext), &package, &error),
				&error);
	return package;
}

/* empty fields get the channel's defaults */
static void
lifecycle_set_defaults(const Invocation *invocation, ChaincodeDefinition *definition)
{
	FbError error;

	if (definition->endorsement_plugin[0] == '\0')
		definition->endorsement_plugin = DEFINITION_ENDORSEMENT_PLUGIN;
	if (definition->validation_plugin[0] == '\0')
		definition->validation_plugin = DEFINITION_VALIDATION_PLUGIN;
	if (definition->validation_parameter.size > 0)
		return;
	if (policy_manager_find(invocation->bundle->policies, DEFAULT_ENDORSEMENT_POLICY) == NULL)
		lifecycle_error(
			"policy \"%s\" must be defined for channel \"%s\" before chaincode can be defined",
			DEFAULT_ENDORSEMENT_POLICY, invocation->simulation->request->channel);
	error_check(application_policy_of_reference(memory_allocator(CurrentMemoryContext),
												DEFAULT_ENDORSEMENT_POLICY,
												&definition->validation_parameter, &error),
				&error);
}

/* the definition in the arguments of approve, commit and readiness, which have the same fields */
#define DEFINITION_OF(args)                                                                    \
	((ChaincodeDefinition) {.name = (args)->name,                                              \
							.sequence = (args)->sequence,                                      \
							.version = (args)->version,                                        \
							.init_required = (args)->init_required,                            \
							.endorsement_plugin = (args)->endorsement_plugin,                  \
							.validation_plugin = (args)->validation_plugin,                    \
							.validation_parameter = proto_bytes((args)->validation_parameter), \
							.collections = pack_collections((args)->collections)})

/* the whole committed definition, read through the simulation; false when there is none */
static bool
read_committed(const Invocation *invocation, const char *name, ChaincodeDefinition *definition)
{
	const DefinitionReader *state = &invocation->public_state;

	if (!definition_has_metadata(state, "namespaces", name, "ChaincodeDefinition"))
		return false;
	memset(definition, 0, sizeof(*definition));
	definition->name = (char *) name;
	definition->sequence = definition_read_sequence(state, name);
	definition_read_parameters(state, name, definition);
	return true;
}

/*
 * Fabric accepts any plugin's name here. If no peer has the plugin, the first transaction of the
 * chaincode stops the channel, or no transaction is ever endorsed. Therefore the name is refused
 * before the channel agrees on it.
 */
static void
check_plugin(const char *kind, const char *plugin, const char *existing)
{
	if (plugin[0] == '\0' || strcmp(plugin, existing) == 0)
		return;
	ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),
					errmsg("%s plugin \"%s\" does not exist", kind, error_excerpt(plugin)),
					errdetail("The only %s plugin is \"%s\".", kind, existing),
					errhint("Leave the field empty.")));
}

/*
 * The channel must not agree on a policy that no node of this project can evaluate. Whether the
 * policy is reasonable is not checked, as in Fabric.
 */
static void
check_policy_limits(const Invocation *invocation, FbBytes application_policy)
{
	const Policy *policy;
	FbError error;
	FbStatus status = policy_from_application_policy(memory_allocator(CurrentMemoryContext),
													 invocation->bundle->policies,
													 application_policy, &policy, &error);

	if (status == FB_LIMIT_EXCEEDED || status == FB_OUT_OF_MEMORY)
		error_throw(&error);
}

static void
lifecycle_check_policies(const Invocation *invocation, const ChaincodeDefinition *definition,
						 const Protos__CollectionConfigPackage *collections)
{
	check_policy_limits(invocation, definition->validation_parameter);
	for (size_t i = 0; collections != NULL && i < collections->n_config; i++)
	{
		const Protos__CollectionConfig *config = collections->config[i];

		if (config->payload_case == PROTOS__COLLECTION_CONFIG__PAYLOAD_STATIC_COLLECTION_CONFIG &&
			config->static_collection_config->endorsement_policy != NULL)
			check_policy_limits(invocation,
								definition_pack(
									&config->static_collection_config->endorsement_policy->base));
	}
}

/* names and collections (core/chaincode/lifecycle/scc.go, validateInput) */
static void
validate_input(const Invocation *invocation, const ChaincodeDefinition *definition,
			   const Protos__CollectionConfigPackage *collections)
{
	const char *why = definition_check_name(definition->name);
	ChaincodeDefinition committed;

	if (why != NULL)
		lifecycle_error("invalid chaincode name \"%s\": %s", error_excerpt(definition->name), why);
	why = definition_check_version(definition->version);
	if (why != NULL)
		lifecycle_error("invalid chaincode version \"%s\": %s", error_excerpt(definition->version),
						why);
	check_plugin("endorsement", definition->endorsement_plugin, DEFINITION_ENDORSEMENT_PLUGIN);
	check_plugin("validation", definition->validation_plugin, DEFINITION_VALIDATION_PLUGIN);
	collections_check(collections, invocation->bundle);
	lifecycle_check_policies(invocation, definition, collections);
	if (read_committed(invocation, definition->name, &committed))
		collections_check_upgrade(collections, committed.collections);
}

/* ---- ApproveChaincodeDefinitionForMyOrg ---- */

/* the first parameter in which two definitions differ, or NULL */
static const char *
find_difference(const ChaincodeDefinition *a, const ChaincodeDefinition *b)
{
	if (strcmp(a->version, b->version) != 0)
		return "version";
	if (strcmp(a->endorsement_plugin, b->endorsement_plugin) != 0)
		return "endorsement plugin";
	if (a->init_required != b->init_required)
		return "init_required";
	if (strcmp(a->validation_plugin, b->validation_plugin) != 0)
		return "validation plugin";
	if (!fb_bytes_equal(a->validation_parameter, b->validation_parameter))
		return "endorsement policy";
	if (!fb_bytes_equal(a->collections, b->collections))
		return "collections";
	return NULL;
}

/* Has the organization approved exactly this already, package included? */
static bool
is_redefinition(const DefinitionReader *state, const char *private_name,
				const ChaincodeDefinition *definition, const char *package_id)
{
	ChaincodeDefinition approved;

	if (!definition_has_metadata(state, "namespaces", private_name, "ChaincodeParameters"))
		return false;
	memset(&approved, 0, sizeof(approved));
	definition_read_parameters(state, private_name, &approved);
	return find_difference(&approved, definition) == NULL &&
		   definition_has_metadata(state, "chaincode-sources", private_name,
								   "ChaincodeLocalPackage") &&
		   strcmp(definition_read_text(state, "chaincode-sources", private_name, "PackageID"),
				  package_id) == 0;
}

static void
check_sequence_to_approve(const ChaincodeDefinition *definition, int64 current)
{
	if (definition->sequence < 1)
		lifecycle_error("requested sequence is " INT64_FORMAT
						", but the first definable sequence is 1",
						definition->sequence);
	if (definition->sequence < current)
		lifecycle_error("currently defined sequence " INT64_FORMAT
						" is larger than requested sequence " INT64_FORMAT,
						current, definition->sequence);
	if (definition->sequence > current + 1)
		lifecycle_error("requested sequence " INT64_FORMAT
						" is larger than the next available sequence " INT64_FORMAT,
						definition->sequence, current + 1);
}

static void
lifecycle_approve(Invocation *invocation)
{
	static const char *const source_fields[] = {"PackageID"};
	Lifecycle__ApproveChaincodeDefinitionForMyOrgArgs *args;
	Lifecycle__ApproveChaincodeDefinitionForMyOrgResult result =
		LIFECYCLE__APPROVE_CHAINCODE_DEFINITION_FOR_MY_ORG_RESULT__INIT;
	DefinitionReader state =
		lifecycle_state_open_private(invocation->simulation, guc_node_msp_id, true);
	const char *package_id = "";
	ChaincodeDefinition definition;
	char *private_name;
	int64 current;
	FbBytes values[DEFINITION_PARAMETERS_COUNT];
	FbBytes source;
	bool written;

	unpack_input(invocation, &lifecycle__approve_chaincode_definition_for_my_org_args__descriptor,
				 &args);
	definition = DEFINITION_OF(args);
	validate_input(invocation, &definition, args->collections);
	if (args->source != NULL &&
		args->source->type_case == LIFECYCLE__CHAINCODE_SOURCE__TYPE_LOCAL_PACKAGE)
		package_id = args->source->local_package->package_id;
	current = definition_read_sequence(&invocation->public_state, definition.name);
	check_sequence_to_approve(&definition, current);
	lifecycle_set_defaults(invocation, &definition);
	private_name = psprintf("%s#" INT64_FORMAT, definition.name, definition.sequence);
	if (definition.sequence == current)
	{
		ChaincodeDefinition committed;
		const char *difference;

		if (!read_committed(invocation, definition.name, &committed))
			lifecycle_error("metadata of the committed sequence " INT64_FORMAT " are missing",
							current);
		difference = find_difference(&committed, &definition);
		if (difference != NULL)
			lifecycle_error("attempted to redefine the committed sequence " INT64_FORMAT
							" of chaincode \"%s\" with another %s",
							current, definition.name, difference);
	}
	/*
	 * the committed sequence may be approved again, to write the values that this node's collection
	 * lacks
	 */
	if (definition.sequence == current + 1 &&
		is_redefinition(&state, private_name, &definition, package_id))
		lifecycle_error("this organization has approved sequence " INT64_FORMAT
						" of chaincode \"%s\" with the same content already",
						definition.sequence, definition.name);
	definition_pack_parameters(&definition, values);
	written =
		lifecycle_state_serialize(&state, "namespaces", private_name, "ChaincodeParameters",
								  definition_parameter_names, values, DEFINITION_PARAMETERS_COUNT);
	source = definition_pack_text(package_id);
	/*
	 * The committed sequence is approved once more, unchanged, and the package id is written again:
	 * a transaction that writes nothing would need the endorsements of the policy of _lifecycle, so
	 * this one, endorsed by this node only, would be invalid, as it is in Fabric.
	 */
	if (!lifecycle_state_serialize(&state, "chaincode-sources", private_name,
								   "ChaincodeLocalPackage", source_fields, &source, 1) &&
		!written)
		lifecycle_state_put(&state,
							definition_field_key("chaincode-sources", private_name,
												 source_fields[0]),
							source);
	lifecycle_answer(invocation, &result.base);
}

/* ---- CheckCommitReadiness, CommitChaincodeDefinition ---- */

typedef struct Approval
{
	const char *msp_id;
	bool approved;
	List *mismatches;
} Approval;

static int
compare_approvals(const void *a, const void *b)
{
	return strcmp(((const Approval *) a)->msp_id, ((const Approval *) b)->msp_id);
}

/* approvals of all application organizations, by MSP id */
static Approval *
query_approvals(Invocation *invocation, const ChaincodeDefinition *definition, size_t *count)
{
	const ConfigBundle *bundle = invocation->bundle;
	char *private_name = psprintf("%s#" INT64_FORMAT, definition->name, definition->sequence);
	Approval *approvals = palloc0_array(Approval, bundle->application_organizations_count + 1);

	*count = bundle->application_organizations_count;
	for (size_t i = 0; i < *count; i++)
	{
		approvals[i].msp_id = bundle->application_organizations[i].msp_id;
		approvals[i].approved =
			lifecycle_state_is_serialized(invocation->simulation, approvals[i].msp_id, private_name,
										  definition, &approvals[i].mismatches);
	}
	qsort(approvals, *count, sizeof(Approval), compare_approvals);
	return approvals;
}

static void
check_sequence_to_commit(const Invocation *invocation, const ChaincodeDefinition *definition)
{
	int64 current = definition_read_sequence(&invocation->public_state, definition->name);

	if (definition->sequence != current + 1)
		lifecycle_error("requested sequence is " INT64_FORMAT
						", but the new definition must be sequence " INT64_FORMAT,
						definition->sequence, current + 1);
}

static void
check_readiness(Invocation *invocation)
{
	Lifecycle__CheckCommitReadinessArgs *args;
	Lifecycle__CheckCommitReadinessResult result = LIFECYCLE__CHECK_COMMIT_READINESS_RESULT__INIT;
	ChaincodeDefinition definition;
	Approval *approvals;
	size_t count;

	unpack_input(invocation, &lifecycle__check_commit_readiness_args__descriptor, &args);
	definition = DEFINITION_OF(args);
	check_sequence_to_commit(invocation, &definition);
	lifecycle_set_defaults(invocation, &definition);
	approvals = query_approvals(invocation, &definition, &count);
	result.approvals =
		palloc_array(Lifecycle__CheckCommitReadinessResult__ApprovalsEntry *, count + 1);
	result.mismatches =
		palloc_array(Lifecycle__CheckCommitReadinessResult__MismatchesEntry *, count + 1);
	for (size_t i = 0; i < count; i++)
	{
		Lifecycle__CheckCommitReadinessResult__ApprovalsEntry *entry = palloc(sizeof(*entry));
		Lifecycle__CheckCommitReadinessResult__MismatchesEntry *mismatch =
			palloc(sizeof(*mismatch));
		ListCell *cell;

		lifecycle__check_commit_readiness_result__approvals_entry__init(entry);
		entry->key = (char *) approvals[i].msp_id;
		entry->value = approvals[i].approved;
		result.approvals[result.n_approvals++] = entry;
		if (approvals[i].mismatches == NIL)
			continue;
		lifecycle__check_commit_readiness_result__mismatches_entry__init(mismatch);
		mismatch->key = (char *) approvals[i].msp_id;
		mismatch->value = palloc(sizeof(*mismatch->value));
		lifecycle__check_commit_readiness_result__mismatches__init(mismatch->value);
		mismatch->value->items = palloc_array(char *, list_length(approvals[i].mismatches));
		foreach(cell, approvals[i].mismatches)
			mismatch->value->items[mismatch->value->n_items++] = lfirst(cell);
		result.mismatches[result.n_mismatches++] = mismatch;
	}
	lifecycle_answer(invocation, &result.base);
}

static void
lifecycle_commit(Invocation *invocation)
{
	static const char *const fields[] = {"Sequence", "EndorsementInfo", "ValidationInfo",
										 "Collections"};
	Lifecycle__CommitChaincodeDefinitionArgs *args;
	Lifecycle__CommitChaincodeDefinitionResult result =
		LIFECYCLE__COMMIT_CHAINCODE_DEFINITION_RESULT__INIT;
	ChaincodeDefinition definition;
	Approval *approvals;
	size_t count;
	bool is_member = false;
	FbBytes values[lengthof(fields)];

	unpack_input(invocation, &lifecycle__commit_chaincode_definition_args__descriptor, &args);
	definition = DEFINITION_OF(args);
	validate_input(invocation, &definition, args->collections);
	check_sequence_to_commit(invocation, &definition);
	lifecycle_set_defaults(invocation, &definition);
	approvals = query_approvals(invocation, &definition, &count);
	for (size_t i = 0; i < count; i++)
	{
		if (strcmp(approvals[i].msp_id, guc_node_msp_id) != 0)
			continue;
		is_member = true;
		if (!approvals[i].approved)
			ereport(
				ERROR,
				(fb_errcode(FB_LIFECYCLE_ERROR),
				 errmsg("chaincode definition not agreed to by this organization (%s)",
						guc_node_msp_id),
				 errhint(
					 "fabric.check_commit_readiness shows who approved, and in what the definitions differ.")));
	}
	if (!is_member)
		lifecycle_error("this node's organization (%s) is not a member of channel \"%s\"",
						guc_node_msp_id, invocation->simulation->request->channel);
	values[0] = definition_pack_number(definition.sequence);
	definition_pack_parameters(&definition, values + 1);
	(void) lifecycle_state_serialize(&invocation->public_state, "namespaces", definition.name,
									 "ChaincodeDefinition", fields, values, lengthof(fields));
	lifecycle_answer(invocation, &result.base);
}

/* ---- queries ---- */

static void
lifecycle_not_found(Invocation *invocation, const char *name)
{
	SimulationResult *result = invocation->simulation->result;

	result->status = 404;
	result->message = MemoryContextStrdup(GetMemoryChunkContext(result->message),
										  psprintf("namespace %s is not defined", name));
	strlcpy(result->sqlstate, fb_status_sqlstate(FB_CHAINCODE_NOT_FOUND), sizeof(result->sqlstate));
}

static void
query_definition(Invocation *invocation)
{
	Lifecycle__QueryChaincodeDefinitionArgs *args;
	Lifecycle__QueryChaincodeDefinitionResult result =
		LIFECYCLE__QUERY_CHAINCODE_DEFINITION_RESULT__INIT;
	ChaincodeDefinition definition;
	Approval *approvals;
	size_t count;

	unpack_input(invocation, &lifecycle__query_chaincode_definition_args__descriptor, &args);
	if (!read_committed(invocation, args->name, &definition))
	{
		lifecycle_not_found(invocation, args->name);
		return;
	}
	approvals = query_approvals(invocation, &definition, &count);
	result.sequence = definition.sequence;
	result.version = definition.version;
	result.endorsement_plugin = definition.endorsement_plugin;
	result.validation_plugin = definition.validation_plugin;
	result.validation_parameter = proto_data(definition.validation_parameter);
	result.init_required = definition.init_required;
	result.collections = unpack_collections(definition.collections);
	result.approvals =
		palloc_array(Lifecycle__QueryChaincodeDefinitionResult__ApprovalsEntry *, count + 1);
	for (size_t i = 0; i < count; i++)
	{
		Lifecycle__QueryChaincodeDefinitionResult__ApprovalsEntry *entry = palloc(sizeof(*entry));

		lifecycle__query_chaincode_definition_result__approvals_entry__init(entry);
		entry->key = (char *) approvals[i].msp_id;
		entry->value = approvals[i].approved;
		result.approvals[result.n_approvals++] = entry;
	}
	lifecycle_answer(invocation, &result.base);
}

static void
query_definitions(Invocation *invocation)
{
	static const char prefix[] = "namespaces/metadata/";
	Lifecycle__QueryChaincodeDefinitionsResult result =
		LIFECYCLE__QUERY_CHAINCODE_DEFINITIONS_RESULT__INIT;
	Lifecycle__QueryChaincodeDefinitionsArgs *args;
	ShimCursor *cursor;
	FbBytes key;
	FbBytes value;
	List *names = NIL;
	ListCell *cell;

	unpack_input(invocation, &lifecycle__query_chaincode_definitions_args__descriptor, &args);
	cursor =
		state_access_open(invocation->simulation, fb_bytes_of_text(LIFECYCLE_NAMESPACE),
						  fb_bytes_of_text(prefix), fb_bytes_of_text("namespaces/metadata/\x7f"));
	while (shim_cursor_next(cursor, &key, &value))
		names =
			lappend(names,
					memory_cstring(fb_bytes(key.data + strlen(prefix), key.size - strlen(prefix))));
	result.chaincode_definitions =
		palloc_array(Lifecycle__QueryChaincodeDefinitionsResult__ChaincodeDefinition *,
					 list_length(names) + 1);
	foreach(cell, names)
	{
		Lifecycle__QueryChaincodeDefinitionsResult__ChaincodeDefinition *item =
			palloc(sizeof(*item));
		ChaincodeDefinition definition;

		if (!read_committed(invocation, lfirst(cell), &definition))
			continue;
		lifecycle__query_chaincode_definitions_result__chaincode_definition__init(item);
		item->name = definition.name;
		item->sequence = definition.sequence;
		item->version = definition.version;
		item->endorsement_plugin = definition.endorsement_plugin;
		item->validation_plugin = definition.validation_plugin;
		item->validation_parameter = proto_data(definition.validation_parameter);
		item->init_required = definition.init_required;
		item->collections = unpack_collections(definition.collections);
		result.chaincode_definitions[result.n_chaincode_definitions++] = item;
	}
	lifecycle_answer(invocation, &result.base);
}

/*
 * Query this organization's approval. Without a sequence the newest approval: that of the next
 * sequence if there is one, otherwise of the committed one.
 */
static void
query_approved(Invocation *invocation)
{
	Lifecycle__QueryApprovedChaincodeDefinitionArgs *args;
	Lifecycle__QueryApprovedChaincodeDefinitionResult result =
		LIFECYCLE__QUERY_APPROVED_CHAINCODE_DEFINITION_RESULT__INIT;
	Lifecycle__ChaincodeSource source = LIFECYCLE__CHAINCODE_SOURCE__INIT;
	Lifecycle__ChaincodeSource__Local local = LIFECYCLE__CHAINCODE_SOURCE__LOCAL__INIT;
	Lifecycle__ChaincodeSource__Unavailable unavailable =
		LIFECYCLE__CHAINCODE_SOURCE__UNAVAILABLE__INIT;
	DefinitionReader state =
		lifecycle_state_open_private(invocation->simulation, guc_node_msp_id, false);
	ChaincodeDefinition definition;
	int64 sequence;
	char *private_name;

	unpack_input(invocation, &lifecycle__query_approved_chaincode_definition_args__descriptor,
				 &args);
	sequence = args->sequence;
	if (sequence == 0)
	{
		sequence = definition_read_sequence(&invocation->public_state, args->name) + 1;
		if (!definition_has_metadata(&state, "namespaces",
									 psprintf("%s#" INT64_FORMAT, args->name, sequence),
									 "ChaincodeParameters"))
			sequence--;
	}
	private_name = psprintf("%s#" INT64_FORMAT, args->name, sequence);
	if (!definition_has_metadata(&state, "namespaces", private_name, "ChaincodeParameters"))
		lifecycle_error(
			"this organization has not approved chaincode \"%s\", sequence " INT64_FORMAT
			", on channel \"%s\"",
			args->name, sequence, invocation->simulation->request->channel);
	memset(&definition, 0, sizeof(definition));
	definition_read_parameters(&state, private_name, &definition);
	result.sequence = sequence;
	result.version = definition.version;
	result.endorsement_plugin = definition.endorsement_plugin;
	result.validation_plugin = definition.validation_plugin;
	result.validation_parameter = proto_data(definition.validation_parameter);
	result.init_required = definition.init_required;
	result.collections = unpack_collections(definition.collections);
	local.package_id = definition_read_text(&state, "chaincode-sources", private_name, "PackageID");
	if (local.package_id[0] != '\0')
	{
		source.type_case = LIFECYCLE__CHAINCODE_SOURCE__TYPE_LOCAL_PACKAGE;
		source.local_package = &local;
	}
	else
	{
		source.type_case = LIFECYCLE__CHAINCODE_SOURCE__TYPE_UNAVAILABLE;
		source.unavailable = &unavailable;
	}
	result.source = &source;
	lifecycle_answer(invocation, &result.base);
}

/* ---- dispatch ---- */

static const struct
{
	const char *name;
	void (*run)(Invocation *);
} functions[] = {
	{"ApproveChaincodeDefinitionForMyOrg", lifecycle_approve},
	{"CheckCommitReadiness", check_readiness},
	{"CommitChaincodeDefinition", lifecycle_commit},
	{"QueryApprovedChaincodeDefinition", query_approved},
	{"QueryChaincodeDefinition", query_definition},
	{"QueryChaincodeDefinitions", query_definitions},
};

static bool
identity_matches(void *context, size_t signer_index, const Principal *principal)
{
	return principal_matches(principal, context);
}

/*
 * Functions that concern one organization are for the administrators of this node's organization;
 * for the others, the channel's policy for the function decides. The creator is authenticated
 * already.
 */
static void
check_access(const Invocation *invocation, const char *function)
{
	const ConfigBundle *bundle = invocation->bundle;
	char *resource = psprintf("%s/%s", LIFECYCLE_NAMESPACE, function);
	const char *path = NULL;
	const Identity *identity;
	bool allowed;
	FbError error;

	error_check(msp_manager_identity(bundle->msps, invocation->simulation->request->creator,
									 &identity, &error),
				&error);
	if (config_acl_local_access(resource) != CONFIG_ACCESS_NOT_LOCAL)
		allowed = strcmp(identity_msp_id(identity), guc_node_msp_id) == 0 &&
				  identity_has_role(identity, IDENTITY_ADMIN);
	else
	{
		path = config_acl_policy_path(bundle, resource);
		allowed = path != NULL && policy_evaluate_match(policy_manager_find(bundle->policies, path),
														1, identity_matches, (void *) identity);
	}
	if (!allowed)
		ereport(
			ERROR,
			(fb_errcode(FB_ACCESS_DENIED),
			 errmsg("access denied to \"%s\" on channel \"%s\"", resource,
					invocation->simulation->request->channel),
			 path != NULL
				 ? errdetail(
					   "Policy \"%s\" is not satisfied by the client's identity of organization \"%s\".",
					   path, identity_msp_id(identity))
				 : errdetail(
					   "This is for administrators of organization \"%s\"; the client is an identity of "
					   "organization \"%s\" with role %s.",
					   guc_node_msp_id, identity_msp_id(identity),
					   identity_role_name(identity_role(identity)))));
}

void
lifecycle_invoke(Simulation *simulation)
{
	const SimulationRequest *request = simulation->request;
	Invocation invocation = {.simulation = simulation};

	if (request->arguments_count != 2)
		lifecycle_error(
			"_lifecycle takes exactly two arguments, a function's name and its marshalled argument, but received %zu",
			request->arguments_count);
	invocation.bundle = channel_open(request->channel)->bundle;
	if (!invocation.bundle->has_application ||
		!config_has_application_capability(invocation.bundle, "V2_0"))
		lifecycle_error(
			"channel \"%s\" does not have the application capability V2_0 that _lifecycle needs",
			request->channel);
	if (guc_node_msp_id[0] == '\0')
		ereport(ERROR, (fb_errcode(FB_NOT_CONFIGURED), errmsg("fabric.node_msp_id is not set")));
	invocation.public_state = lifecycle_state_open(simulation);
	invocation.input = request->arguments[1];
	for (int i = 0; i < lengthof(functions); i++)
		if (fb_bytes_equal(request->arguments[0], fb_bytes_of_text(functions[i].name)))
		{
			check_access(&invocation, functions[i].name);
			functions[i].run(&invocation);
			return;
		}
	ereport(
		ERROR,
		(fb_errcode(FB_LIFECYCLE_ERROR),
		 errmsg("_lifecycle has no function \"%s\"", FB_DISPLAY(request->arguments[0])),
		 errhint(
			 "Packages are installed with fabric.install_chaincode and listed in fabric.installed_chaincodes.")));
}
