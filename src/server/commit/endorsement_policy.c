/*
 * endorsement_policy.c: POL-8 to POL-10, as core/common/validation/statebased and the v20 validator do it.
 *
 * For each written namespace: every public write, public metadata write, hashed write and hashed metadata write needs the policy of its key if the key has
 * one, else that of its collection, else that of the chaincode; collection and chaincode policies are evaluated once. If nothing asked
 * for any policy, the chaincode's must hold all the same. Namespaces are visited in byte order (T-2).
 *
 * POL-10: once an earlier transaction of the block has passed for a namespace and changes the metadata of a key there, every later
 * transaction that writes this key fails, because nobody can know yet which policy it needs.
 */
#include "server/commit/commit_internal.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "server/chaincode/chaincode.h"

#include "core/proto/proto.h"

/* the parsed policies of one namespace, kept for the block */
typedef struct NamespacePolicies
{
	FbBytes		name;
	bool		defined;
	FbError		why;			/* it is not defined */
	const Policy *chaincode;	/* NULL: cannot be satisfied */
	List	   *collections;	/* of CollectionPolicy * */
	Protos__CollectionConfigPackage *package; /* NULL when there are no collections */
} NamespacePolicies;

typedef struct CollectionPolicy
{
	FbBytes		name;
	bool		exists;
	bool		has_policy;		/* else the chaincode's applies */
	const Policy *policy;
} CollectionPolicy;

/* a key whose metadata an earlier transaction of the block changes */
typedef struct TouchedKey
{
	const MvccKey *key;			/* hash key */
} TouchedKey;

struct PolicyChecker
{
	const Channel *channel;
	ValidationSource *source;
	const MvccBlock *keys;
	FbAllocator *allocator;
	List	   *namespaces;		/* of NamespacePolicies * */
	HTAB	   *touched;		/* of TouchedKey, keys changed by transactions that passed for the key's namespace */
};

/* evaluation of one namespace of one transaction */
typedef struct Evaluation
{
	PolicyChecker *checker;
	const TxView *view;
	NamespacePolicies *policies;
	PolicySignatureSet *signatures;
	bool		chaincode_checked;
	List	   *collections_checked; /* of CollectionPolicy * */
	FbBytes		parameter_checked;	/* the last policy of a key that held: often many keys have the same one */
	FbError    *why;
} Evaluation;

PolicyChecker *
policy_checker_create(const Channel *channel, ValidationSource *source, const MvccBlock *keys)
{
	PolicyChecker *checker = palloc0(sizeof(PolicyChecker));
	HASHCTL		control = {.keysize = sizeof(MvccKey *), .entrysize = sizeof(TouchedKey), .hcxt = CurrentMemoryContext};

	checker->channel = channel;
	checker->source = source;
	checker->keys = keys;
	checker->allocator = memory_allocator(CurrentMemoryContext);
	checker->touched = hash_create("fabric touched keys", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return checker;
}

/* ---- the policies of a namespace ---- */

static const Policy *
application_policy(PolicyChecker *checker, FbBytes bytes)
{
	const Policy *policy = NULL;
	FbError		error;
	FbStatus	status = policy_from_application_policy(checker->allocator, checker->channel->bundle->policies, bytes, &policy, &error);

	/* a policy that cannot be read or does not exist satisfies nobody; only our own failures are errors */
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(&error);
	return status == FB_OK ? policy : NULL;
}

/*
 * Plugindispatcher's dispatcher.go, getCDataForCC: a definition without a plugin or a policy makes the transaction invalid, with the code of a chaincode that
 * is not defined. A plugin that a Fabric peer does not have stops its channel; here it is the same as none.
 */
static bool
is_judgeable(const ChaincodeDefinition *definition, FbError *why)
{
	if (strcmp(definition->validation_plugin, DEFINITION_VALIDATION_PLUGIN) != 0)
		fb_fail(why, FB_CHAINCODE_NOT_FOUND, "the definition of chaincode \"%s\" names the validation plugin \"%s\", which does not exist",
				definition->name, FB_DISPLAY(fb_bytes_of_text(definition->validation_plugin)));
	else if (definition->validation_parameter.size == 0)
		fb_fail(why, FB_CHAINCODE_NOT_FOUND, "the definition of chaincode \"%s\" has no endorsement policy", definition->name);
	else
		return true;
	return false;
}

static NamespacePolicies *
namespace_policies(PolicyChecker *checker, FbBytes name)
{
	ListCell   *cell;
	NamespacePolicies *policies;
	ChaincodeDefinition definition;
	FbStatus	status;
	char	   *text;

	foreach(cell, checker->namespaces)
	{
		policies = lfirst(cell);
		if (fb_bytes_equal(policies->name, name))
			return policies;
	}
	policies = palloc0(sizeof(NamespacePolicies));
	policies->name = name;
	checker->namespaces = lappend(checker->namespaces, policies);
	text = fb_text_copy(checker->allocator, name);
	if (text == NULL)
		error_check(fb_out_of_memory(&policies->why), &policies->why);
	if (strlen(text) != name.size)
	{
		fb_fail(&policies->why, FB_CHAINCODE_NOT_FOUND, "no chaincode has a name with U+0000");
		return policies;
	}
	status = checker->source->definition(checker->source, text, &definition, &policies->why);
	if (status == FB_CHAINCODE_NOT_FOUND || status == FB_CORRUPTED)
		return policies;
	error_check(status, &policies->why);
	if (!is_judgeable(&definition, &policies->why))
		return policies;
	policies->defined = true;
	policies->chaincode = strcmp(text, LIFECYCLE_NAMESPACE) == 0 ? checker->channel->bundle->lifecycle_endorsement :
		application_policy(checker, definition.validation_parameter);
	if (definition.collections.size > 0)
	{
		FbError		error;

		error_check(PROTO_UNPACK(protos__collection_config_package, definition.collections, checker->allocator, &policies->package, &error),
					&error);
	}
	return policies;
}

#define IMPLICIT_PREFIX "_implicit_org_"

/*
 * PVT-9: every organisation has its own collection in every chaincode; its Endorsement policy guards it. False if the name is not one of
 * these; one of an organization that is no member does not exist.
 */
static bool
implicit_collection_policy(PolicyChecker *checker, FbBytes collection, CollectionPolicy *policy)
{
	size_t		prefix = strlen(IMPLICIT_PREFIX);
	const ConfigOrganization *organization;
	char	   *msp_id;
	FbError		error;

	if (collection.size < prefix || memcmp(collection.data, IMPLICIT_PREFIX, prefix) != 0)
		return false;
	msp_id = fb_text_copy(checker->allocator, fb_bytes(collection.data + prefix, collection.size - prefix));
	if (msp_id == NULL)
		error_check(fb_out_of_memory(&error), &error);
	organization = strlen(msp_id) == collection.size - prefix ? config_application_organization(checker->channel->bundle, msp_id) : NULL;
	policy->exists = organization != NULL;
	policy->has_policy = true;
	policy->policy = organization == NULL ? NULL : organization->endorsement;
	return true;
}

static CollectionPolicy *
collection_policy(PolicyChecker *checker, NamespacePolicies *policies, FbBytes collection)
{
	ListCell   *cell;
	CollectionPolicy *policy;
	size_t		count = policies->package == NULL ? 0 : policies->package->n_config;

	foreach(cell, policies->collections)
	{
		policy = lfirst(cell);
		if (fb_bytes_equal(policy->name, collection))
			return policy;
	}
	policy = palloc0(sizeof(CollectionPolicy));
	policy->name = collection;
	policies->collections = lappend(policies->collections, policy);
	if (implicit_collection_policy(checker, collection, policy))
		return policy;
	for (size_t i = 0; i < count; i++)
	{
		Protos__CollectionConfig *config = policies->package->config[i];
		Protos__StaticCollectionConfig *fixed;

		if (config->payload_case != PROTOS__COLLECTION_CONFIG__PAYLOAD_STATIC_COLLECTION_CONFIG)
			continue;
		fixed = config->static_collection_config;
		if (!fb_bytes_equal(fb_bytes_of_text(fixed->name), collection))
			continue;
		policy->exists = true;
		if (fixed->endorsement_policy != NULL)
		{
			FbBytes		bytes;
			FbError		error;

			error_check(PROTO_PACK(fixed->endorsement_policy, checker->allocator, &bytes, &error), &error);
			/* an ApplicationPolicy without content is none (statebased/v20.go, CheckCCEPIfNotChecked) */
			policy->has_policy = bytes.size > 0;
			if (policy->has_policy)
				policy->policy = application_policy(checker, bytes);
		}
		break;
	}
	return policy;
}

/* ---- evaluation ---- */

static bool
require(Evaluation *evaluation, const Policy *policy)
{
	FbError		error;
	FbStatus	status = policy_require(evaluation->checker->allocator, policy, evaluation->signatures, &error);

	if (status == FB_OK)
		return true;
	if (status != FB_POLICY_NOT_SATISFIED)
		error_throw(&error);
	*evaluation->why = error;
	return false;
}

static bool
require_chaincode_policy(Evaluation *evaluation)
{
	if (evaluation->chaincode_checked)
		return true;
	evaluation->chaincode_checked = true;
	return require(evaluation, evaluation->policies->chaincode);
}

static bool
require_collection_policy(Evaluation *evaluation, FbBytes collection)
{
	CollectionPolicy *policy = collection_policy(evaluation->checker, evaluation->policies, collection);

	if (!policy->exists)
	{
		fb_fail(evaluation->why, FB_POLICY_NOT_SATISFIED, "collection \"%s\" is not defined", FB_DISPLAY(collection));
		return false;
	}
	if (!policy->has_policy)
		return require_chaincode_policy(evaluation);
	if (list_member_ptr(evaluation->collections_checked, policy))
		return true;
	evaluation->collections_checked = lappend(evaluation->collections_checked, policy);
	return require(evaluation, policy->policy);
}

static bool
require_key_policy(Evaluation *evaluation, FbBytes parameter)
{
	const Policy *policy = NULL;
	FbError		error;
	FbStatus	status;

	if (fb_bytes_equal(evaluation->parameter_checked, parameter))
		return true;
	status = policy_from_envelope(evaluation->checker->allocator, parameter, &policy, &error);
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(&error);
	if (!require(evaluation, status == FB_OK ? policy : NULL))
		return false;
	evaluation->parameter_checked = parameter;
	return true;
}

/* one written key: its own policy, or that of its collection or chaincode */
static bool
check_key(Evaluation *evaluation, FbBytes collection, FbBytes key)
{
	PolicyChecker *checker = evaluation->checker;
	const MvccKey *known = mvcc_find_key(checker->keys, evaluation->policies->name, collection, key);
	FbBytes		parameter = FB_BYTES_EMPTY;
	FbError		error;

	if (known != NULL)
	{
		if (hash_search(checker->touched, &known, HASH_FIND, NULL) != NULL)
		{
			fb_fail(evaluation->why, FB_POLICY_NOT_SATISFIED,
					"an earlier transaction of the block changes the endorsement policy of a key that this one writes");
			return false;
		}
		if (known->committed_metadata.size > 0)
			error_check(rwset_metadata_validation_parameter(checker->allocator, known->committed_metadata, &parameter, &error), &error);
	}
	if (parameter.size > 0)
		return require_key_policy(evaluation, parameter);
	return collection.size > 0 ? require_collection_policy(evaluation, collection) : require_chaincode_policy(evaluation);
}

static bool
check_writes(Evaluation *evaluation, FbBytes collection, const RwSetWrite *writes, size_t writes_count,
			 const RwSetMetadataWrite *metadata, size_t metadata_count)
{
	for (size_t i = 0; i < writes_count; i++)
		if (!check_key(evaluation, collection, writes[i].key))
			return false;
	for (size_t i = 0; i < metadata_count; i++)
		if (!check_key(evaluation, collection, metadata[i].key))
			return false;
	return true;
}

static bool
check_namespace(Evaluation *evaluation)
{
	const RwSet *rwset = evaluation->view->rwset;

	for (size_t i = 0; i < rwset->namespaces_count; i++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[i];

		if (!fb_bytes_equal(ns->name, evaluation->policies->name))
			continue;
		if (!check_writes(evaluation, FB_BYTES_EMPTY, ns->writes, ns->writes_count, ns->metadata_writes, ns->metadata_writes_count))
			return false;
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			if (!check_writes(evaluation, collection->name, collection->hashed_writes, collection->hashed_writes_count,
							  collection->metadata_writes, collection->metadata_writes_count))
				return false;
		}
	}
	if (!evaluation->chaincode_checked && evaluation->collections_checked == NIL)
	{
		bool		any_key = false;

		/* key policies may have been enough; if nothing was written, the chaincode's policy must hold (FAB-9473) */
		for (size_t i = 0; i < rwset->namespaces_count; i++)
			if (fb_bytes_equal(rwset->namespaces[i].name, evaluation->policies->name) && rwset_namespace_writes(&rwset->namespaces[i]))
				any_key = true;
		if (!any_key)
			return require_chaincode_policy(evaluation);
	}
	return true;
}

static void
touch(PolicyChecker *checker, FbBytes ns, FbBytes collection, const RwSetMetadataWrite *writes, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		const MvccKey *key = mvcc_find_key(checker->keys, ns, collection, writes[i].key);

		if (key != NULL)
			(void) hash_search(checker->touched, &key, HASH_ENTER, NULL);
	}
}

/* POL-10: remember the keys whose metadata this transaction changes in a namespace for which it has passed */
static void
touch_namespace(PolicyChecker *checker, const RwSet *rwset, FbBytes name)
{
	for (size_t i = 0; i < rwset->namespaces_count; i++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[i];

		if (!fb_bytes_equal(ns->name, name))
			continue;
		touch(checker, name, FB_BYTES_EMPTY, ns->metadata_writes, ns->metadata_writes_count);
		for (size_t c = 0; c < ns->collections_count; c++)
			touch(checker, name, ns->collections[c].name, ns->collections[c].metadata_writes, ns->collections[c].metadata_writes_count);
	}
}

static PolicySignatureSet *
endorsements(PolicyChecker *checker, const TxView *view)
{
	PolicySignature *signatures = palloc0(view->endorsements_count * sizeof(PolicySignature) + 1);
	PolicySignatureSet *set;
	FbError		error;
	FbStatus	status;

	for (size_t i = 0; i < view->endorsements_count; i++)
		signatures[i] = (PolicySignature) {view->endorsements[i].endorser, view->endorsements[i].signature,
		{view->proposal_response_payload, view->endorsements[i].endorser}};
	status = policy_signatures_create(checker->allocator, checker->channel->bundle->msps, signatures, view->endorsements_count,
									  checker->source->verify, NULL, &set, &error);
	if (status == FB_LIMIT_EXCEEDED)
		return NULL;
	error_check(status, &error);
	return set;
}

/* does the transaction change metadata of keys of this namespace? */
static bool
changes_metadata(const RwSet *rwset, FbBytes name)
{
	for (size_t i = 0; i < rwset->namespaces_count; i++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[i];

		if (!fb_bytes_equal(ns->name, name))
			continue;
		if (ns->metadata_writes_count > 0)
			return true;
		for (size_t c = 0; c < ns->collections_count; c++)
			if (ns->collections[c].metadata_writes_count > 0)
				return true;
	}
	return false;
}

/*
 * All written namespaces, also after one has failed, as far as they change policies of keys: Fabric's plugin judges each namespace by itself, and a later
 * transaction must not write a key whose policy changes in a namespace that passed (vpmanagerimpl.go, SetTxValidationResult), whatever became of the
 * other namespaces. Fabric visits them in random order and stops at the first failure; a later transaction that needs the result of one that was
 * not visited waits for it forever. Whenever Fabric's peer comes to an end, this is what it found.
 */
TxCode
policy_checker_check(PolicyChecker *checker, size_t tx_index, const TxView *view, FbError *why)
{
	PolicySignatureSet *set = endorsements(checker, view);
	TxCode		code = TX_VALID;

	if (set == NULL)
	{
		fb_fail(why, FB_LIMIT_EXCEEDED, "too many endorsements");
		return TX_ENDORSEMENT_POLICY_FAILURE;
	}
	for (size_t i = 0; i < view->written_namespaces_count; i++)
	{
		FbError		ignored;
		FbBytes		name = view->written_namespaces[i];
		Evaluation	evaluation = {checker, view, NULL, set, .why = code == TX_VALID ? why : &ignored};

		if (code != TX_VALID && !changes_metadata(view->rwset, name))
			continue;
		evaluation.policies = namespace_policies(checker, name);
		if (!evaluation.policies->defined)
		{
			if (code == TX_VALID)
			{
				*why = evaluation.policies->why;
				code = TX_INVALID_CHAINCODE;
			}
		}
		else if (check_namespace(&evaluation))
			touch_namespace(checker, view->rwset, name);
		else if (code == TX_VALID)
			code = TX_ENDORSEMENT_POLICY_FAILURE;
	}
	return code;
}
