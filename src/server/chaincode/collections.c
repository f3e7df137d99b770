/*
 * collections: private data collections of a definition: reading them from Fabric's configuration
 * file, and their rules
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "core/identity/identity.h"
#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "server/chaincode/chaincode_internal.h"

/* more collections than any real definition has; bounds the quadratic checks */
#define COLLECTIONS_MAX 1000

/* ---- from JSON (internal/peer/chaincode/common.go getCollectionConfigFromBytes) ---- */

#define INVALID_COLLECTIONS(...)                                   \
	ereport(                                                       \
		ERROR,                                                     \
		(fb_errcode(FB_INVALID_ARGUMENT),                          \
		 errmsg("invalid collection configuration: " __VA_ARGS__), \
		 errhint(                                                  \
			 "It is the JSON array of Fabric's collection configuration file, with \"name\", \"policy\", \"requiredPeerCount\", \"maxPeerCount\", \"blockToLive\", \"memberOnlyRead\", \"memberOnlyWrite\".")))

static bool
get_member(JsonbContainer *object, const char *name, enum jbvType type, JsonbValue *value)
{
	if (getKeyJsonValueFromContainer(object, name, strlen(name), value) == NULL ||
		value->type == jbvNull)
		return false;
	if (value->type != type)
		INVALID_COLLECTIONS("\"%s\" has the wrong type", name);
	return true;
}

static char *
get_text(JsonbContainer *object, const char *name)
{
	JsonbValue value;

	return get_member(object, name, jbvString, &value)
			   ? memory_cstring(fb_bytes(value.val.string.val, value.val.string.len))
			   : NULL;
}

static bool
get_bool(JsonbContainer *object, const char *name)
{
	JsonbValue value;

	return get_member(object, name, jbvBool, &value) && value.val.boolean;
}

static int64
collection_get_number(JsonbContainer *object, const char *name, int64 otherwise)
{
	JsonbValue value;

	if (!get_member(object, name, jbvNumeric, &value))
		return otherwise;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
}

static Common__SignaturePolicyEnvelope *
compile_policy(const char *text)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Common__SignaturePolicyEnvelope *envelope;
	FbBytes bytes;
	PolicyNotice notice = {0};
	FbError error;

	error_check(policy_compile(allocator, fb_bytes_of_text(text), &bytes, &notice, &error), &error);
	error_check(PROTO_UNPACK(common__signature_policy_envelope, bytes, allocator, &envelope,
							 &error),
				&error);
	return envelope;
}

static Protos__ApplicationPolicy *
endorsement_policy(JsonbContainer *collection)
{
	Protos__ApplicationPolicy *policy;
	JsonbValue value;
	char *signature;
	char *reference;

	if (!get_member(collection, "endorsementPolicy", jbvBinary, &value))
		return NULL;
	if (!JsonContainerIsObject(value.val.binary.data))
		INVALID_COLLECTIONS("\"endorsementPolicy\" is not an object");
	signature = get_text(value.val.binary.data, "signaturePolicy");
	reference = get_text(value.val.binary.data, "channelConfigPolicy");
	if (signature == NULL && reference == NULL)
		return NULL;
	if (signature != NULL && reference != NULL)
		INVALID_COLLECTIONS(
			"\"endorsementPolicy\" has both \"signaturePolicy\" and \"channelConfigPolicy\"");
	policy = palloc(sizeof(*policy));
	protos__application_policy__init(policy);
	if (signature != NULL)
	{
		policy->type_case = PROTOS__APPLICATION_POLICY__TYPE_SIGNATURE_POLICY;
		policy->signature_policy = compile_policy(signature);
	}
	else
	{
		policy->type_case = PROTOS__APPLICATION_POLICY__TYPE_CHANNEL_CONFIG_POLICY_REFERENCE;
		policy->channel_config_policy_reference = reference;
	}
	return policy;
}

static Protos__CollectionConfig *
collection_of_json(JsonbContainer *object)
{
	Protos__CollectionConfig *config = palloc(sizeof(*config));
	Protos__StaticCollectionConfig *collection = palloc(sizeof(*collection));
	Protos__CollectionPolicyConfig *members = palloc(sizeof(*members));
	char *policy = get_text(object, "policy");
	int64 required = collection_get_number(object, "requiredPeerCount", 0);
	int64 most = collection_get_number(object, "maxPeerCount", 1);
	int64 block_to_live = collection_get_number(object, "blockToLive", 0);

	protos__collection_config__init(config);
	protos__static_collection_config__init(collection);
	protos__collection_policy_config__init(members);
	collection->name = get_text(object, "name");
	if (collection->name == NULL || policy == NULL)
		INVALID_COLLECTIONS("a collection needs \"name\" and \"policy\"");
	if (required < PG_INT32_MIN || required > PG_INT32_MAX || most < PG_INT32_MIN ||
		most > PG_INT32_MAX || block_to_live < 0)
		INVALID_COLLECTIONS("a number of collection \"%s\" is out of range",
							FB_DISPLAY(fb_bytes_of_text(collection->name)));
	members->payload_case = PROTOS__COLLECTION_POLICY_CONFIG__PAYLOAD_SIGNATURE_POLICY;
	members->signature_policy = compile_policy(policy);
	collection->member_orgs_policy = members;
	collection->required_peer_count = (int32) required;
	collection->maximum_peer_count = (int32) most;
	collection->block_to_live = (uint64) block_to_live;
	collection->member_only_read = get_bool(object, "memberOnlyRead");
	collection->member_only_write = get_bool(object, "memberOnlyWrite");
	collection->endorsement_policy = endorsement_policy(object);
	config->payload_case = PROTOS__COLLECTION_CONFIG__PAYLOAD_STATIC_COLLECTION_CONFIG;
	config->static_collection_config = collection;
	return config;
}

Protos__CollectionConfigPackage *
collections_of_json(Jsonb *json)
{
	Protos__CollectionConfigPackage *package = palloc(sizeof(*package));
	uint32 count = JB_ROOT_COUNT(json);

	protos__collection_config_package__init(package);
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		INVALID_COLLECTIONS("it is not an array");
	if (count > COLLECTIONS_MAX)
		INVALID_COLLECTIONS("it has more than %d collections", COLLECTIONS_MAX);
	package->config = palloc_array(Protos__CollectionConfig *, count + 1);
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&json->root, i);

		if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
			INVALID_COLLECTIONS("element %u is not an object", i + 1);
		package->config[package->n_config++] = collection_of_json(element->val.binary.data);
	}
	return package;
}

/* ---- rules (core/chaincode/lifecycle/scc.go validateCollectionConfigs) ---- */

/* format: a literal */
#define REFUSE_COLLECTION(name, format, ...)                                                 \
	ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),                                          \
					errmsg("collection \"%s\": " format, FB_DISPLAY(fb_bytes_of_text(name)), \
						   ##__VA_ARGS__)))

static bool
is_any_of(const PolicyRule *rule)
{
	if (rule->signed_by >= 0)
		return true;
	if (rule->needed != 1)
		return false;
	for (size_t i = 0; i < rule->rules_count; i++)
		if (!is_any_of(&rule->rules[i]))
			return false;
	return true;
}

static void
collection_check_members(const Protos__StaticCollectionConfig *collection,
						 const ConfigBundle *bundle)
{
	SignaturePolicy *policy;
	FbError error;

	if (collection->member_orgs_policy == NULL ||
		collection->member_orgs_policy->payload_case !=
			PROTOS__COLLECTION_POLICY_CONFIG__PAYLOAD_SIGNATURE_POLICY ||
		collection->member_orgs_policy->signature_policy == NULL)
		REFUSE_COLLECTION(collection->name, "it has no member policy");
	if (signature_policy_from_message(memory_allocator(CurrentMemoryContext),
									  collection->member_orgs_policy->signature_policy, &policy,
									  &error) != FB_OK)
		REFUSE_COLLECTION(collection->name, "invalid member policy: %s", error.message);
	if (!is_any_of(&policy->rule))
		REFUSE_COLLECTION(collection->name, "the member policy is not an OR of principals");
	for (size_t i = 0; i < policy->principals_count; i++)
	{
		const Principal *principal = policy->principals[i];

		if (principal == NULL ||
			(principal->kind != PRINCIPAL_ROLE && principal->kind != PRINCIPAL_ORGANIZATION_UNIT &&
			 principal->kind != PRINCIPAL_IDENTITY))
			REFUSE_COLLECTION(collection->name,
							  "a principal of the member policy is not supported");
		if (principal->msp_id == NULL || msp_manager_find(bundle->msps, principal->msp_id) == NULL)
			REFUSE_COLLECTION(collection->name, "member \"%s\" is not part of the channel",
							  FB_DISPLAY(
								  fb_bytes_of_text(principal->msp_id ? principal->msp_id : "")));
	}
}

static const Protos__StaticCollectionConfig *
static_collection(const Protos__CollectionConfig *config)
{
	if (config->payload_case != PROTOS__COLLECTION_CONFIG__PAYLOAD_STATIC_COLLECTION_CONFIG ||
		config->static_collection_config == NULL)
		ereport(ERROR, (fb_errcode(FB_LIFECYCLE_ERROR),
						errmsg("a collection's configuration is of an unrecognized kind")));
	return config->static_collection_config;
}

static const Protos__StaticCollectionConfig *
find_collection_config(const Protos__CollectionConfigPackage *package, const char *name)
{
	for (size_t i = 0; package != NULL && i < package->n_config; i++)
		if (strcmp(static_collection(package->config[i])->name, name) == 0)
			return package->config[i]->static_collection_config;
	return NULL;
}

void
collections_check(const Protos__CollectionConfigPackage *package, const ConfigBundle *bundle)
{
	if (package == NULL)
		return;
	if (package->n_config > COLLECTIONS_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("more than %d collections", COLLECTIONS_MAX)));
	for (size_t i = 0; i < package->n_config; i++)
	{
		const Protos__StaticCollectionConfig *collection = static_collection(package->config[i]);
		const char *why = definition_check_collection_name(collection->name);

		if (why != NULL)
			REFUSE_COLLECTION(collection->name, "invalid name: %s", why);
		if (find_collection_config(package, collection->name) != collection)
			REFUSE_COLLECTION(collection->name, "it is defined twice");
		if (collection->maximum_peer_count < collection->required_peer_count)
			REFUSE_COLLECTION(
				collection->name,
				"maximum peer count (%d) cannot be less than the required peer count (%d)",
				collection->maximum_peer_count, collection->required_peer_count);
		if (collection->required_peer_count < 0)
			REFUSE_COLLECTION(collection->name, "required peer count (%d) cannot be less than zero",
							  collection->required_peer_count);
		collection_check_members(collection, bundle);
	}
}

/* No collection of the committed definition may disappear or change the lifetime of its data. */
void
collections_check_upgrade(const Protos__CollectionConfigPackage *proposed, FbBytes committed_bytes)
{
	Protos__CollectionConfigPackage *committed;
	FbError error;

	error_check(PROTO_UNPACK(protos__collection_config_package, committed_bytes,
							 memory_allocator(CurrentMemoryContext), &committed, &error),
				&error);
	for (size_t i = 0; i < committed->n_config; i++)
	{
		const Protos__StaticCollectionConfig *old = static_collection(committed->config[i]);
		const Protos__StaticCollectionConfig *new = find_collection_config(proposed, old->name);

		if (new == NULL)
			REFUSE_COLLECTION(old->name, "it exists and is missing in the proposed definition");
		if (new->block_to_live != old->block_to_live)
			REFUSE_COLLECTION(old->name, "its block to live " UINT64_FORMAT " cannot be changed",
							  (uint64) old->block_to_live);
	}
}
