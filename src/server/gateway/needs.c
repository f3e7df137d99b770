/*
 * needs.c: the policies that committers will require of a transaction, derived from what it
 * touches. PolicyChecker in commit/endorsement_policy.c applies the same rules; the two must agree,
 * or a transaction that was endorsed here would be invalid.
 *
 * A key is protected by its own policy if it has one, else by its collection's if that has one,
 * else by the chaincode's. The chaincode's policy is also required if nothing else requires a
 * policy. No endorsement can satisfy a policy that cannot be read; it is NULL here and in
 * PolicyChecker.
 */
#include "server/gateway/gateway_internal.h"

#include "core/policy/policy.h"
#include "core/proto/proto.h"

#define IMPLICIT_PREFIX "_implicit_org_"

typedef struct Needs
{
	const Channel *channel;
	FbAllocator *allocator;
	const Policy **policies;
	size_t count;
	size_t capacity;
	List *applied; /* of FbBytes *: application policies that were added */
} Needs;

static void
add_policy(Needs *needs, const Policy *policy)
{
	if (needs->count == needs->capacity)
	{
		needs->capacity = Max(8, needs->capacity * 2);
		needs->policies = needs->policies == NULL
							  ? palloc(needs->capacity * sizeof(Policy *))
							  : repalloc(needs->policies, needs->capacity * sizeof(Policy *));
	}
	needs->policies[needs->count++] = policy;
}

/* NULL if the bytes are not a policy; only failures of this process are errors */
static const Policy *
usable_policy(FbStatus status, const Policy *policy, const FbError *error)
{
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(error);
	return status == FB_OK ? policy : NULL;
}

/* add an ApplicationPolicy, unless it was added before */
static void
add_application_policy(Needs *needs, FbBytes bytes)
{
	const Policy *policy = NULL;
	FbBytes *copy;
	FbError error;
	FbStatus status;
	ListCell *cell;

	foreach(cell, needs->applied)
		if (fb_bytes_equal(*(FbBytes *) lfirst(cell), bytes))
			return;
	copy = palloc(sizeof(FbBytes));
	*copy = bytes;
	needs->applied = lappend(needs->applied, copy);
	status = policy_from_application_policy(needs->allocator, needs->channel->bundle->policies,
											bytes, &policy, &error);
	add_policy(needs, usable_policy(status, policy, &error));
}

/*
 * The organization to which an implicit collection (_implicit_org_MSPID, which every chaincode has)
 * belongs; NULL if the collection is not implicit.
 */
static const ConfigOrganization *
implicit_organization(const Channel *channel, FbBytes collection, FbAllocator *allocator)
{
	size_t prefix = strlen(IMPLICIT_PREFIX);

	if (collection.size <= prefix || memcmp(collection.data, IMPLICIT_PREFIX, prefix) != 0)
		return NULL;
	return config_application_organization(channel->bundle,
										   fb_text_copy(allocator,
														fb_bytes(collection.data + prefix,
																 collection.size - prefix)));
}

static bool
add_implicit_policy(Needs *needs, FbBytes collection)
{
	const ConfigOrganization *organization =
		implicit_organization(needs->channel, collection, needs->allocator);

	if (organization == NULL)
		return false;
	add_policy(needs, organization->endorsement);
	return true;
}

static const Protos__StaticCollectionConfig *
needs_find_collection(FbAllocator *allocator, const ChaincodeDefinition *definition,
					  FbBytes collection)
{
	Protos__CollectionConfigPackage *package;
	FbError error;

	if (definition->collections.size == 0)
		return NULL;
	error_check(PROTO_UNPACK(protos__collection_config_package, definition->collections, allocator,
							 &package, &error),
				&error);
	for (size_t i = 0; i < package->n_config; i++)
	{
		const Protos__CollectionConfig *config = package->config[i];

		if (config->payload_case == PROTOS__COLLECTION_CONFIG__PAYLOAD_STATIC_COLLECTION_CONFIG &&
			fb_bytes_equal(fb_bytes_of_text(config->static_collection_config->name), collection))
			return config->static_collection_config;
	}
	return NULL;
}

static void
add_chaincode_policy(Needs *needs, const ChaincodeDefinition *definition)
{
	const SystemChaincode *system = system_chaincode_find(fb_bytes_of_text(definition->name));

	if (system != NULL)
		add_policy(needs, system->endorsement_policy(needs->channel->bundle));
	else
		add_application_policy(needs, definition->validation_parameter);
}

static void
add_collection_policy(Needs *needs, const ChaincodeDefinition *definition, FbBytes collection)
{
	const Protos__StaticCollectionConfig *config;
	FbBytes bytes = FB_BYTES_EMPTY;
	FbError error;

	if (add_implicit_policy(needs, collection))
		return;
	config = needs_find_collection(needs->allocator, definition, collection);
	if (config != NULL && config->endorsement_policy != NULL)
		error_check(PROTO_PACK(config->endorsement_policy, needs->allocator, &bytes, &error),
					&error);
	/* an empty ApplicationPolicy counts as none (statebased/v20.go, CheckCCEPIfNotChecked) */
	if (bytes.size > 0)
		add_application_policy(needs, bytes);
	else
		add_chaincode_policy(needs, definition);
}

static void
needs_add_call(Needs *needs, const ChaincodeDefinition *called, const InterestCall *call)
{
	ChaincodeDefinition definition = *called;

	if (!fb_bytes_equal(call->name, fb_bytes_of_text(called->name)) &&
		!definition_get(needs->channel->name, fb_text_copy(needs->allocator, call->name),
						&definition))
	{
		add_policy(needs, NULL);
		return;
	}
	if (call->policy_needed && call->collection.size > 0)
		add_collection_policy(needs, &definition, call->collection);
	else if (call->policy_needed)
		add_chaincode_policy(needs, &definition);
	for (size_t i = 0; i < call->key_policies_count; i++)
	{
		const Policy *policy = NULL;
		FbError error;
		FbStatus status =
			policy_from_envelope(needs->allocator, call->key_policies[i], &policy, &error);

		add_policy(needs, usable_policy(status, policy, &error));
	}
}

static bool
mentions_chaincode(const InterestCall *calls, size_t calls_count, FbBytes name)
{
	for (size_t i = 0; i < calls_count; i++)
		if (fb_bytes_equal(calls[i].name, name))
			return true;
	return false;
}

void
needs_of_interest(const Channel *channel, const ChaincodeDefinition *definition,
				  const InterestCall *calls, size_t calls_count, FbAllocator *allocator,
				  const Policy *const **policies, size_t *policies_count)
{
	Needs needs = {.channel = channel, .allocator = allocator};

	for (size_t i = 0; i < calls_count; i++)
		needs_add_call(&needs, definition, &calls[i]);
	/* a transaction without writes still needs the policy of the called chaincode (FAB-9473) */
	if (!mentions_chaincode(calls, calls_count, fb_bytes_of_text(definition->name)))
		add_chaincode_policy(&needs, definition);
	*policies = needs.policies;
	*policies_count = needs.count;
}

bool
needs_collection_exists(const Channel *channel, const ChaincodeDefinition *definition,
						FbBytes collection, FbAllocator *allocator)
{
	return implicit_organization(channel, collection, allocator) != NULL ||
		   needs_find_collection(allocator, definition, collection) != NULL;
}

bool
needs_is_member(const Channel *channel, const ChaincodeDefinition *definition, FbBytes collection,
				const char *msp_id, FbAllocator *allocator)
{
	const Protos__StaticCollectionConfig *config =
		needs_find_collection(allocator, definition, collection);
	const Policy *policy = NULL;
	PolicyEndorser endorser = {.msp_id = msp_id};
	PolicyLayout *layouts;
	size_t layouts_count;
	FbError error;
	FbStatus status;

	if (config == NULL)
		return fb_bytes_equal(collection, fb_bytes_of_text(psprintf(IMPLICIT_PREFIX "%s", msp_id)));
	if (config->member_orgs_policy == NULL || config->member_orgs_policy->signature_policy == NULL)
		return false;
	status = policy_from_message(allocator, config->member_orgs_policy->signature_policy, &policy,
								 &error);
	policy = usable_policy(status, policy, &error);
	if (policy == NULL)
		return false;
	error_check(policy_layouts(allocator, &policy, 1, &endorser, 1, 1, &layouts, &layouts_count,
							   &error),
				&error);
	return layouts_count > 0;
}
