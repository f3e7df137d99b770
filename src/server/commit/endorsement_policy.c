/*
 * endorsement_policy.c: find and evaluate the policies that guard each write, as
 * core/common/validation/statebased and the v20 validator do.
 *
 * The rule. For each written namespace: every public write, public metadata write, hashed write and
 * hashed metadata write needs the policy of its key if the key has one, otherwise that of its
 * collection, otherwise that of the chaincode. Collection and chaincode policies are evaluated
 * once. If no write required a policy, the chaincode's policy is still checked. Namespaces are
 * visited in byte order.
 *
 * Bounded work. The work is bounded by the bytes of the block and of the state that it reads, not
 * by products of its parts. Endorsers decide how many keys a transaction has, which policies these
 * have and how often they alternate; the client decides how many endorsements it has. So nothing is
 * done twice for the same bytes:
 *   - a policy is parsed once per block and found by the hash of its bytes (likewise a key's
 *     metadata, namespaces and collections);
 *   - a policy is evaluated once per transaction: the signatures are the same for all its keys and
 *     namespaces;
 *   - a signature is verified once per block, even if it is invalid; the bytes that all endorsers
 *     of a transaction signed are hashed once for all of them;
 *   - an evaluation compares each principal with each valid signer once (core/policy/evaluate.c),
 *     and a reason is one line, not a list of signers.
 * Fabric's validator caches none of this; the results are the same. ValidationWork counts the
 * steps.
 *
 * Changed key policies. Once an earlier transaction of the block has passed for a namespace and
 * changes the metadata of a key there, every later transaction that writes this key fails: the
 * policy that it needs is not known before the block is committed.
 */
#include "server/commit/commit_internal.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "server/chaincode/chaincode.h"

#include "core/proto/proto.h"

/* the policies of one namespace, kept until the end of the block */
typedef struct NamespacePolicies
{
	uint8_t digest[CRYPTO_SHA256_BYTES]; /* hash key: digest of the name */
	bool defined;
	FbError *why;							  /* if it is not defined: the reason */
	const Policy *chaincode;				  /* NULL: cannot be satisfied */
	Protos__CollectionConfigPackage *package; /* NULL when there are no collections */
} NamespacePolicies;

typedef struct CollectionPolicy
{
	/* hash key: digest of the namespace's digest and the name */
	uint8_t digest[CRYPTO_SHA256_BYTES];
	bool exists;
	bool has_policy; /* false: the chaincode's policy applies */
	const Policy *policy;
} CollectionPolicy;

/* a policy by its bytes */
typedef struct ParsedPolicy
{
	uint8_t digest[CRYPTO_SHA256_BYTES]; /* hash key: digest of the kind and the bytes */
	const Policy *policy;				 /* NULL: it cannot be read */
} ParsedPolicy;

/* parsed metadata of a key, found by their bytes */
typedef struct KeyMetadata
{
	uint8_t digest[CRYPTO_SHA256_BYTES]; /* hash key */
	bool has_policy;
	const Policy *policy;
} KeyMetadata;

/* the last verdict on a policy */
typedef struct JudgedPolicy
{
	const Policy *policy; /* hash key */
	size_t transaction;	  /* index + 1 of the transaction to which the verdict belongs */
	bool satisfied;
} JudgedPolicy;

/* a key whose metadata an earlier transaction of the block changes */
typedef struct TouchedKey
{
	const MvccKey *key; /* hash key */
} TouchedKey;

struct PolicyChecker
{
	const Channel *channel;
	ValidationSource *source;
	const MvccBlock *keys;
	PolicyVerify verify;
	void *verify_context;
	ValidationWork *work;
	FbAllocator *allocator;
	HTAB *namespaces;  /* of NamespacePolicies */
	HTAB *collections; /* of CollectionPolicy */
	HTAB *parsed;	   /* of ParsedPolicy */
	HTAB *metadata;	   /* of KeyMetadata */
	HTAB *judged;	   /* of JudgedPolicy */
	HTAB *touched;	   /* of TouchedKey, keys changed by transactions that passed for the key's
						  namespace */
};

/* evaluation of one namespace of one transaction */
typedef struct Evaluation
{
	PolicyChecker *checker;
	size_t tx_index;
	const RwSetNamespace *set; /* NULL: the transaction writes nothing in the namespace */
	NamespacePolicies *policies;
	PolicySignatureSet *signatures;
	bool policy_asked; /* of the chaincode or of a collection */
	FbError *why;
} Evaluation;

static HTAB *
create_table(const char *name, Size key_bytes, Size entry_bytes)
{
	HASHCTL control = {.keysize = key_bytes,
					   .entrysize = entry_bytes,
					   .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

PolicyChecker *
policy_checker_create(const Channel *channel, ValidationSource *source, const MvccBlock *keys,
					  PolicyVerify verify, void *verify_context, ValidationWork *work)
{
	PolicyChecker *checker = palloc0(sizeof(PolicyChecker));

	checker->channel = channel;
	checker->source = source;
	checker->keys = keys;
	checker->verify = verify;
	checker->verify_context = verify_context;
	checker->work = work;
	checker->allocator = memory_allocator(CurrentMemoryContext);
	checker->namespaces =
		create_table("fabric namespaces", CRYPTO_SHA256_BYTES, sizeof(NamespacePolicies));
	checker->collections =
		create_table("fabric collections", CRYPTO_SHA256_BYTES, sizeof(CollectionPolicy));
	checker->parsed = create_table("fabric policies", CRYPTO_SHA256_BYTES, sizeof(ParsedPolicy));
	checker->metadata =
		create_table("fabric key metadata", CRYPTO_SHA256_BYTES, sizeof(KeyMetadata));
	checker->judged =
		create_table("fabric judged policies", sizeof(Policy *), sizeof(JudgedPolicy));
	checker->touched = create_table("fabric touched keys", sizeof(MvccKey *), sizeof(TouchedKey));
	return checker;
}

/* ---- the policies of a namespace ---- */

typedef enum PolicyForm
{
	FORM_APPLICATION_POLICY, /* of a definition */
	FORM_SIGNATURE_POLICY	 /* of a key */
} PolicyForm;

/*
 * Parse a policy, or find it among those parsed before. NULL: it cannot be read or does not exist,
 * so no set of signatures satisfies it.
 */
static const Policy *
parse_policy(PolicyChecker *checker, PolicyForm form, FbBytes bytes)
{
	uint8_t kind = (uint8_t) form;
	FbBytes parts[2] = {fb_bytes(&kind, 1), bytes};
	uint8_t digest[CRYPTO_SHA256_BYTES];
	ParsedPolicy *parsed;
	bool found;
	FbError error;
	FbStatus status;

	crypto_sha256_parts(parts, lengthof(parts), digest);
	parsed = hash_search(checker->parsed, digest, HASH_ENTER, &found);
	if (found)
		return parsed->policy;
	checker->work->policies_parsed++;
	if (form == FORM_APPLICATION_POLICY)
		status =
			policy_from_application_policy(checker->allocator, checker->channel->bundle->policies,
										   bytes, &parsed->policy, &error);
	else
		status = policy_from_envelope(checker->allocator, bytes, &parsed->policy, &error);
	/* only failures of this node are raised */
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(&error);
	if (status != FB_OK)
		parsed->policy = NULL;
	return parsed->policy;
}

/*
 * Plugindispatcher's dispatcher.go, getCDataForCC: a definition without a plugin or a policy makes
 * the transaction invalid, with the code for an undefined chaincode. A plugin that a Fabric peer
 * does not have stops its channel; here it counts as no plugin.
 */
static bool
is_judgeable(const ChaincodeDefinition *definition, FbError *why)
{
	if (strcmp(definition->validation_plugin, DEFINITION_VALIDATION_PLUGIN) != 0)
		fb_fail(
			why, FB_CHAINCODE_NOT_FOUND,
			"the definition of chaincode \"%s\" names the validation plugin \"%s\", which does not exist",
			definition->name, FB_DISPLAY(fb_bytes_of_text(definition->validation_plugin)));
	else if (definition->validation_parameter.size == 0)
		fb_fail(why, FB_CHAINCODE_NOT_FOUND,
				"the definition of chaincode \"%s\" has no endorsement policy", definition->name);
	else
		return true;
	return false;
}

static void
policy_read_definition(PolicyChecker *checker, FbBytes name, NamespacePolicies *policies)
{
	const SystemChaincode *system;
	ChaincodeDefinition definition;
	FbStatus status;
	FbError error;
	char *text = fb_text_copy(checker->allocator, name);

	if (text == NULL)
		error_check(fb_out_of_memory(&error), &error);
	if (strlen(text) != name.size)
		status = fb_fail(&error, FB_CHAINCODE_NOT_FOUND, "no chaincode has a name with U+0000");
	else
		status = checker->source->definition(checker->source, text, &definition, &error);
	if (status != FB_CHAINCODE_NOT_FOUND && status != FB_CORRUPTED)
	{
		error_check(status, &error);
		policies->defined = is_judgeable(&definition, &error);
	}
	if (!policies->defined)
	{
		policies->why = palloc(sizeof(FbError));
		*policies->why = error;
		return;
	}
	system = system_chaincode_find(name);
	policies->chaincode = system != NULL ? system->endorsement_policy(checker->channel->bundle)
										 : parse_policy(checker, FORM_APPLICATION_POLICY,
														definition.validation_parameter);
	if (definition.collections.size > 0)
		error_check(PROTO_UNPACK(protos__collection_config_package, definition.collections,
								 checker->allocator, &policies->package, &error),
					&error);
}

static NamespacePolicies *
namespace_policies(PolicyChecker *checker, FbBytes name)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	NamespacePolicies *policies;
	bool found;

	crypto_sha256(name, digest);
	policies = hash_search(checker->namespaces, digest, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) policies + sizeof(digest), 0, sizeof(*policies) - sizeof(digest));
		policy_read_definition(checker, name, policies);
	}
	return policies;
}

#define IMPLICIT_PREFIX "_implicit_org_"

/*
 * Every organization has its own collection in every chaincode, which its Endorsement policy
 * guards. Returns false if the name is not such a collection; the collection of an organization
 * that is not a member does not exist.
 */
static bool
implicit_collection_policy(PolicyChecker *checker, FbBytes collection, CollectionPolicy *policy)
{
	size_t prefix = strlen(IMPLICIT_PREFIX);
	const ConfigOrganization *organization;
	char *msp_id;
	FbError error;

	if (collection.size < prefix || memcmp(collection.data, IMPLICIT_PREFIX, prefix) != 0)
		return false;
	msp_id = fb_text_copy(checker->allocator,
						  fb_bytes(collection.data + prefix, collection.size - prefix));
	if (msp_id == NULL)
		error_check(fb_out_of_memory(&error), &error);
	organization = strlen(msp_id) == collection.size - prefix
					   ? config_application_organization(checker->channel->bundle, msp_id)
					   : NULL;
	policy->exists = organization != NULL;
	policy->has_policy = true;
	policy->policy = organization == NULL ? NULL : organization->endorsement;
	return true;
}

static void
read_collection(PolicyChecker *checker, const NamespacePolicies *policies, FbBytes collection,
				CollectionPolicy *policy)
{
	size_t count = policies->package == NULL ? 0 : policies->package->n_config;

	if (implicit_collection_policy(checker, collection, policy))
		return;
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
			FbBytes bytes;
			FbError error;

			error_check(PROTO_PACK(fixed->endorsement_policy, checker->allocator, &bytes, &error),
						&error);
			/*
			 * an ApplicationPolicy without content means no policy (statebased/v20.go,
			 * CheckCCEPIfNotChecked)
			 */
			policy->has_policy = bytes.size > 0;
			if (policy->has_policy)
				policy->policy = parse_policy(checker, FORM_APPLICATION_POLICY, bytes);
		}
		break;
	}
}

static CollectionPolicy *
collection_policy(PolicyChecker *checker, const NamespacePolicies *policies, FbBytes collection)
{
	FbBytes parts[2] = {fb_bytes(policies->digest, CRYPTO_SHA256_BYTES), collection};
	uint8_t digest[CRYPTO_SHA256_BYTES];
	CollectionPolicy *policy;
	bool found;

	crypto_sha256_parts(parts, lengthof(parts), digest);
	policy = hash_search(checker->collections, digest, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) policy + sizeof(digest), 0, sizeof(*policy) - sizeof(digest));
		read_collection(checker, policies, collection, policy);
	}
	return policy;
}

/* ---- evaluation ---- */

/* policies are compared by address: equal bytes have the same parsed policy */
static bool
require_policy(Evaluation *evaluation, const Policy *policy)
{
	PolicyChecker *checker = evaluation->checker;
	JudgedPolicy *judged = NULL;
	bool satisfied = false;
	bool found;
	FbError error;

	if (policy != NULL)
	{
		judged = hash_search(checker->judged, &policy, HASH_ENTER, &found);
		if (found && judged->transaction == evaluation->tx_index + 1)
			satisfied = judged->satisfied;
		else
		{
			checker->work->policies_evaluated++;
			judged->transaction = 0;
			error_check(policy_evaluate(policy, evaluation->signatures, &satisfied, &error),
						&error);
			judged->transaction = evaluation->tx_index + 1;
			judged->satisfied = satisfied;
		}
	}
	if (!satisfied)
		fb_fail(evaluation->why, FB_POLICY_NOT_SATISFIED, "policy \"%s\" is not satisfied",
				policy_path(policy));
	return satisfied;
}

static bool
require_chaincode_policy(Evaluation *evaluation)
{
	evaluation->policy_asked = true;
	return require_policy(evaluation, evaluation->policies->chaincode);
}

static bool
require_collection_policy(Evaluation *evaluation, FbBytes collection,
						  const CollectionPolicy *policy)
{
	if (!policy->exists)
	{
		fb_fail(evaluation->why, FB_POLICY_NOT_SATISFIED, "collection \"%s\" is not defined",
				FB_DISPLAY(collection));
		return false;
	}
	if (!policy->has_policy)
		return require_chaincode_policy(evaluation);
	evaluation->policy_asked = true;
	return require_policy(evaluation, policy->policy);
}

/* the parsed committed metadata of a key */
static const KeyMetadata *
key_metadata(PolicyChecker *checker, FbBytes bytes)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	KeyMetadata *metadata;
	FbBytes parameter;
	bool found;
	FbError error;

	crypto_sha256(bytes, digest);
	metadata = hash_search(checker->metadata, digest, HASH_ENTER, &found);
	if (found)
		return metadata;
	error_check(rwset_metadata_validation_parameter(checker->allocator, bytes, &parameter, &error),
				&error);
	metadata->has_policy = parameter.size > 0;
	metadata->policy =
		metadata->has_policy ? parse_policy(checker, FORM_SIGNATURE_POLICY, parameter) : NULL;
	return metadata;
}

/*
 * Check one written key: its own policy, or that of its collection (policy NULL: the public state),
 * or the chaincode's.
 */
static bool
policy_check_key(Evaluation *evaluation, FbBytes collection, const CollectionPolicy *policy,
				 FbBytes key)
{
	PolicyChecker *checker = evaluation->checker;
	const MvccKey *known = mvcc_find_key(checker->keys, evaluation->set->name, collection, key);

	CHECK_FOR_INTERRUPTS();
	if (known != NULL)
	{
		if (hash_search(checker->touched, &known, HASH_FIND, NULL) != NULL)
		{
			fb_fail(
				evaluation->why, FB_POLICY_NOT_SATISFIED,
				"an earlier transaction of the block changes the endorsement policy of a key that this one writes");
			return false;
		}
		if (known->committed_metadata.size > 0)
		{
			const KeyMetadata *metadata = key_metadata(checker, known->committed_metadata);

			if (metadata->has_policy)
				return require_policy(evaluation, metadata->policy);
		}
	}
	return policy != NULL ? require_collection_policy(evaluation, collection, policy)
						  : require_chaincode_policy(evaluation);
}

static bool
policy_check_writes(Evaluation *evaluation, FbBytes collection, const RwSetWrite *writes,
					size_t writes_count, const RwSetMetadataWrite *metadata, size_t metadata_count)
{
	const CollectionPolicy *policy = NULL;

	/* a collection without a name writes to the public state (see mvcc.c) */
	if (collection.size > 0 && writes_count + metadata_count > 0)
		policy = collection_policy(evaluation->checker, evaluation->policies, collection);
	for (size_t i = 0; i < writes_count; i++)
		if (!policy_check_key(evaluation, collection, policy, writes[i].key))
			return false;
	for (size_t i = 0; i < metadata_count; i++)
		if (!policy_check_key(evaluation, collection, policy, metadata[i].key))
			return false;
	return true;
}

static bool
check_namespace(Evaluation *evaluation)
{
	const RwSetNamespace *set = evaluation->set;

	if (set != NULL)
	{
		if (!policy_check_writes(evaluation, FB_BYTES_EMPTY, set->writes, set->writes_count,
								 set->metadata_writes, set->metadata_writes_count))
			return false;
		for (size_t c = 0; c < set->collections_count; c++)
		{
			const RwSetCollection *collection = &set->collections[c];

			if (!policy_check_writes(evaluation, collection->name, collection->hashed_writes,
									 collection->hashed_writes_count, collection->metadata_writes,
									 collection->metadata_writes_count))
				return false;
		}
	}
	/*
	 * key policies may have been sufficient; if nothing was written, the chaincode's policy must
	 * hold (FAB-9473)
	 */
	if (!evaluation->policy_asked && (set == NULL || !rwset_namespace_writes(set)))
		return require_chaincode_policy(evaluation);
	return true;
}

static void
policy_touch(PolicyChecker *checker, FbBytes ns, FbBytes collection,
			 const RwSetMetadataWrite *writes, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		const MvccKey *key = mvcc_find_key(checker->keys, ns, collection, writes[i].key);

		if (key != NULL)
			(void) hash_search(checker->touched, &key, HASH_ENTER, NULL);
	}
}

/*
 * remember the keys whose metadata this transaction changes in a namespace for which it has
 * passed
 */
static void
touch_namespace(PolicyChecker *checker, const RwSetNamespace *set)
{
	policy_touch(checker, set->name, FB_BYTES_EMPTY, set->metadata_writes,
				 set->metadata_writes_count);
	for (size_t c = 0; c < set->collections_count; c++)
		policy_touch(checker, set->name, set->collections[c].name,
					 set->collections[c].metadata_writes,
					 set->collections[c].metadata_writes_count);
}

static PolicySignatureSet *
endorsements_of(PolicyChecker *checker, const TxView *view)
{
	PolicySignature *signatures = palloc0(view->endorsements_count * sizeof(PolicySignature) + 1);
	CryptoSha256 *payload_hash = palloc(sizeof(CryptoSha256));
	PolicySignatureSet *set;
	FbError error;
	FbStatus status;

	/* each endorser signs the payload followed by its own identity */
	crypto_sha256_start(payload_hash);
	crypto_sha256_add(payload_hash, view->proposal_response_payload);
	for (size_t i = 0; i < view->endorsements_count; i++)
		signatures[i] =
			(PolicySignature) {view->endorsements[i].endorser,
							   view->endorsements[i].signature,
							   {view->proposal_response_payload, view->endorsements[i].endorser},
							   payload_hash};
	status = policy_signatures_create(checker->allocator, checker->channel->bundle->msps,
									  signatures, view->endorsements_count, checker->verify,
									  checker->verify_context, &set, &error);
	if (status == FB_LIMIT_EXCEEDED)
		return NULL;
	error_check(status, &error);
	return set;
}

/* Does the transaction change metadata of keys of this namespace? */
static bool
changes_metadata(const RwSetNamespace *set)
{
	if (set == NULL)
		return false;
	for (size_t c = 0; c < set->collections_count; c++)
		if (set->collections[c].metadata_writes_count > 0)
			return true;
	return set->metadata_writes_count > 0;
}

/*
 * All written namespaces are judged, also after one has failed, if they change policies of keys:
 * Fabric's plugin judges each namespace separately, and a later transaction must not write a key
 * whose policy changes in a namespace that passed (vpmanagerimpl.go, SetTxValidationResult),
 * whether or not the other namespaces passed. Fabric visits them in random order and stops at the
 * first failure; a later transaction that needs the result of a namespace that was not visited
 * waits for it forever. In every order in which Fabric's peer finishes, its result is the same as
 * here.
 */
TxCode
policy_checker_check(PolicyChecker *checker, size_t tx_index, const TxView *view, FbError *why)
{
	PolicySignatureSet *set = endorsements_of(checker, view);
	TxCode code = TX_VALID;

	if (set == NULL)
	{
		fb_fail(why, FB_LIMIT_EXCEEDED, "too many endorsements");
		return TX_ENDORSEMENT_POLICY_FAILURE;
	}
	for (size_t i = 0; i < view->written_namespaces_count; i++)
	{
		FbError ignored;
		const TxNamespace *written = &view->written_namespaces[i];
		Evaluation evaluation = {checker, tx_index, written->set,
								 NULL,	  set,		.why = code == TX_VALID ? why : &ignored};

		if (code != TX_VALID && !changes_metadata(written->set))
			continue;
		evaluation.policies = namespace_policies(checker, written->name);
		if (!evaluation.policies->defined)
		{
			if (code == TX_VALID)
			{
				*why = *evaluation.policies->why;
				code = TX_INVALID_CHAINCODE;
			}
		}
		else if (!check_namespace(&evaluation))
			code = code == TX_VALID ? TX_ENDORSEMENT_POLICY_FAILURE : code;
		else if (written->set != NULL)
			touch_namespace(checker, written->set);
	}
	return code;
}
