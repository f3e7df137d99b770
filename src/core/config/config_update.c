/*
 * config_update.c: does a configuration transaction follow the rules of the current configuration?
 * (common/configtx/validator.go, Validate; update.go, authorizeUpdate)
 *
 * The problem. A configuration block stops a ledger of this version, which cannot apply it:
 * policies and members may differ from then on. But a client can get bytes of type CONFIG into a
 * block with the help of a dishonest orderer. So a ledger must stop only for a decision of the
 * channel itself.
 *
 * The rule. A valid transaction holds the requested update, with the signatures of identities that
 * the current configuration allows to change these elements, and the complete configuration that
 * results from this update. Anything else is not a configuration, even if it is ordered.
 *
 * The current configuration, the update's read set and write set, and the new configuration are
 * trees of the same shape, and are walked together. An element of the write set is a change unless
 * the read set has it in the same version (computeDeltaSet). Fabric flattens the trees into maps by
 * path first; the rules are the same.
 *
 * There is one additional rule: at least one of the changes is of an existing element, so that a
 * policy had to be satisfied. Fabric accepts an update that adds elements to no group: it needs no
 * signature, and only the sequence changes. No tool makes one, and here any client could stop the
 * ledger with it.
 */
#include "core/config/config_internal.h"

#include <stdio.h>

/* a real path has three names of at most 249 bytes; one path is kept for each level of a walk */
#define PATH_BYTES_MAX 2048

/* of administrators; every node verifies each before it uses anything else of the update */
#define SIGNATURES_MAX 1024

typedef struct Update
{
	const ConfigBundle *bundle;
	PolicySignatureSet *signatures;
	FbError *error;
	size_t authorized_count;
} Update;

/* one element of a tree, of any kind */
typedef struct Element
{
	bool exists;
	uint64_t version;
	const char *mod_policy;
} Element;

/* the same group in three trees; NULL in trees that do not have it */
typedef struct Place
{
	const Common__ConfigGroup *present;
	const Common__ConfigGroup *read;
	const Common__ConfigGroup *written;
	char path[PATH_BYTES_MAX]; /* absolute */
} Place;

static Element
group_element(const Common__ConfigGroup *group)
{
	return group != NULL ? (Element) {true, group->version, group->mod_policy} : (Element) {0};
}

static Element
value_element(const Common__ConfigValue *value)
{
	return value != NULL ? (Element) {true, value->version, value->mod_policy} : (Element) {0};
}

static const Common__ConfigPolicy *
find_policy(const Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; group != NULL && i < group->n_policies; i++)
		if (strcmp(group->policies[i]->key, name) == 0)
			return group->policies[i]->value;
	return NULL;
}

static Element
policy_element(const Common__ConfigPolicy *policy)
{
	return policy != NULL ? (Element) {true, policy->version, policy->mod_policy} : (Element) {0};
}

/* Does the write set change the element? */
static bool
is_change(Element read, Element written)
{
	return written.exists && !(read.exists && read.version == written.version);
}

static FbStatus
check_read(Update *update, Element read, Element present, const char *path, const char *name)
{
	if (!read.exists || (present.exists && present.version == read.version))
		return FB_OK;
	return fb_fail(update->error, FB_INVALID_CONFIG,
				   "the update was made for another version of %s%s%s", path,
				   name[0] != '\0' ? "/" : "", name);
}

/*
 * policyForItem: a path relative to the group that contains the element, or to the element itself
 * if it is a group
 */
static const Policy *
modification_policy(Update *update, const char *mod_policy, const char *path)
{
	char absolute[PATH_BYTES_MAX];

	if (mod_policy[0] == '/')
		return policy_manager_find(update->bundle->policies, mod_policy);
	if (mod_policy[0] == '\0' ||
		snprintf(absolute, sizeof(absolute), "%s/%s", path, mod_policy) >= (int) sizeof(absolute))
		return NULL;
	return policy_manager_find(update->bundle->policies, absolute);
}

/*
 * verifyDeltaSet, for one element. path: of its group; if the element is a group, its own, and name
 * is empty.
 */
static FbStatus
check_written(Update *update, Element read, Element written, Element present, const char *path,
			  const char *name)
{
	bool satisfied = false;

	if (!is_change(read, written))
		return FB_OK;
	if (written.mod_policy[0] == '\0')
		return fb_fail(update->error, FB_INVALID_CONFIG,
					   "the update leaves %s%s%s without mod_policy", path,
					   name[0] != '\0' ? "/" : "", name);
	if (!present.exists && written.version == 0)
		return FB_OK;
	if (!present.exists || written.version != present.version + 1)
		return fb_fail(update->error, FB_INVALID_CONFIG,
					   "the update makes another version of %s%s%s than the next one", path,
					   name[0] != '\0' ? "/" : "", name);
	FB_TRY(policy_evaluate(modification_policy(update, present.mod_policy, path),
						   update->signatures, &satisfied, update->error));
	if (!satisfied)
		return fb_fail(update->error, FB_POLICY_NOT_SATISFIED,
					   "the update of %s%s%s is not signed as its policy %s wants", path,
					   name[0] != '\0' ? "/" : "", name, present.mod_policy);
	update->authorized_count++;
	return FB_OK;
}

static FbStatus
enter_group(Update *update, const Place *place, const char *name, Place *inner)
{
	inner->present = config_tree_group(place->present, name);
	inner->read = config_tree_group(place->read, name);
	inner->written = config_tree_group(place->written, name);
	if (snprintf(inner->path, sizeof(inner->path), "%s/%s", place->path, name) >=
		(int) sizeof(inner->path))
		return fb_fail(update->error, FB_INVALID_CONFIG, "a path of the update is too long");
	return FB_OK;
}

static FbStatus
check_read_group(Update *update, const Place *place)
{
	const Common__ConfigGroup *read = place->read;

	FB_TRY(check_read(update, group_element(read), group_element(place->present), place->path, ""));
	for (size_t i = 0; i < read->n_values; i++)
		FB_TRY(check_read(update, value_element(read->values[i]->value),
						  value_element(config_tree_value(place->present, read->values[i]->key)),
						  place->path, read->values[i]->key));
	for (size_t i = 0; i < read->n_policies; i++)
		FB_TRY(check_read(update, policy_element(read->policies[i]->value),
						  policy_element(find_policy(place->present, read->policies[i]->key)),
						  place->path, read->policies[i]->key));
	for (size_t i = 0; i < read->n_groups; i++)
	{
		Place inner;

		FB_TRY(enter_group(update, place, read->groups[i]->key, &inner));
		FB_TRY(check_read_group(update, &inner));
	}
	return FB_OK;
}

static FbStatus
check_written_group(Update *update, const Place *place)
{
	const Common__ConfigGroup *written = place->written;

	FB_TRY(check_written(update, group_element(place->read), group_element(written),
						 group_element(place->present), place->path, ""));
	for (size_t i = 0; i < written->n_values; i++)
	{
		const char *name = written->values[i]->key;

		FB_TRY(check_written(update, value_element(config_tree_value(place->read, name)),
							 value_element(written->values[i]->value),
							 value_element(config_tree_value(place->present, name)), place->path,
							 name));
	}
	for (size_t i = 0; i < written->n_policies; i++)
	{
		const char *name = written->policies[i]->key;

		FB_TRY(check_written(update, policy_element(find_policy(place->read, name)),
							 policy_element(written->policies[i]->value),
							 policy_element(find_policy(place->present, name)), place->path, name));
	}
	for (size_t i = 0; i < written->n_groups; i++)
	{
		Place inner;

		FB_TRY(enter_group(update, place, written->groups[i]->key, &inner));
		FB_TRY(check_written_group(update, &inner));
	}
	return FB_OK;
}

/*
 * ---- the result of the update (computeUpdateResult, configMapToConfig): each element is the
 * changed one, or otherwise the current one ----
 */

static FbStatus
version_differs(Update *update, const char *path, const char *name)
{
	return fb_fail(update->error, FB_INVALID_CONFIG,
				   "the new configuration has another %s%s%s than the update gives", path,
				   name[0] != '\0' ? "/" : "", name);
}

static bool
same_element(Element expected, Element found)
{
	return expected.exists && expected.version == found.version &&
		   strcmp(expected.mod_policy, found.mod_policy) == 0;
}

static bool
same_value(const Common__ConfigValue *expected, const Common__ConfigValue *found)
{
	return same_element(value_element(expected), value_element(found)) &&
		   fb_bytes_equal(proto_bytes(expected->value), proto_bytes(found->value));
}

static bool
same_policy(const Common__ConfigPolicy *expected, const Common__ConfigPolicy *found)
{
	if (!same_element(policy_element(expected), policy_element(found)) ||
		(expected->policy == NULL) != (found->policy == NULL))
		return false;
	return expected->policy == NULL || (expected->policy->type == found->policy->type &&
										fb_bytes_equal(proto_bytes(expected->policy->value),
													   proto_bytes(found->policy->value)));
}

static FbStatus
check_updated_config(Update *update, const Place *place, const Common__ConfigGroup *found)
{
	bool changed = is_change(group_element(place->read), group_element(place->written));
	const Common__ConfigGroup *expected = changed ? place->written : place->present;

	/* a group determines which elements it contains */
	if (!same_element(group_element(expected), group_element(found)) ||
		expected->n_values != found->n_values || expected->n_policies != found->n_policies ||
		expected->n_groups != found->n_groups)
		return version_differs(update, place->path, "");
	for (size_t i = 0; i < found->n_values; i++)
	{
		const char *name = found->values[i]->key;
		const Common__ConfigValue *written = config_tree_value(place->written, name);

		if (!is_change(value_element(config_tree_value(place->read, name)), value_element(written)))
			written = config_tree_value(place->present, name);
		if (config_tree_value(expected, name) == NULL ||
			!same_value(written, found->values[i]->value))
			return version_differs(update, place->path, name);
	}
	for (size_t i = 0; i < found->n_policies; i++)
	{
		const char *name = found->policies[i]->key;
		const Common__ConfigPolicy *written = find_policy(place->written, name);

		if (!is_change(policy_element(find_policy(place->read, name)), policy_element(written)))
			written = find_policy(place->present, name);
		if (find_policy(expected, name) == NULL || !same_policy(written, found->policies[i]->value))
			return version_differs(update, place->path, name);
	}
	for (size_t i = 0; i < found->n_groups; i++)
	{
		const char *name = found->groups[i]->key;
		Place inner;

		if (config_tree_group(expected, name) == NULL)
			return version_differs(update, place->path, name);
		FB_TRY(enter_group(update, place, name, &inner));
		FB_TRY(check_updated_config(update, &inner, found->groups[i]->value));
	}
	return FB_OK;
}

/* ---- the messages ---- */

static FbStatus
unpack_update(FbAllocator *allocator, const Common__Envelope *envelope,
			  Common__ConfigUpdateEnvelope **signed_update, Common__ConfigUpdate **update,
			  FbError *error)
{
	Common__Payload *payload;
	Common__ChannelHeader *header;

	if (envelope == NULL)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the configuration does not hold the update that it comes from");
	FB_TRY(
		PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload, error));
	if (payload->header == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the update of the configuration has no header");
	FB_TRY(PROTO_UNPACK(common__channel_header, proto_bytes(payload->header->channel_header),
						allocator, &header, error));
	if (header->type != COMMON__HEADER_TYPE__CONFIG_UPDATE)
		return fb_fail(error, FB_INVALID_CONFIG, "the update of the configuration has type %d",
					   (int) header->type);
	FB_TRY(PROTO_UNPACK(common__config_update_envelope, proto_bytes(payload->data), allocator,
						signed_update, error));
	return PROTO_UNPACK(common__config_update, proto_bytes((*signed_update)->config_update),
						allocator, update, error);
}

/*
 * the signed bytes: signature header, update (protoutil/signeddata.go,
 * ConfigUpdateEnvelopeAsSignedData)
 */
static FbStatus
collect_signatures(Update *update, FbAllocator *allocator,
				   const Common__ConfigUpdateEnvelope *message, PolicyVerify verify,
				   void *verify_context)
{
	PolicySignature *signatures =
		fb_allocate_array(allocator, message->n_signatures + 1, sizeof(PolicySignature));

	if (message->n_signatures > SIGNATURES_MAX)
		return fb_fail(update->error, FB_INVALID_CONFIG,
					   "the update of the configuration has %zu signatures", message->n_signatures);
	if (signatures == NULL)
		return fb_out_of_memory(update->error);
	memset(signatures, 0, (message->n_signatures + 1) * sizeof(PolicySignature));
	for (size_t i = 0; i < message->n_signatures; i++)
	{
		Common__SignatureHeader *header;
		FbStatus status = PROTO_UNPACK(common__signature_header,
									   proto_bytes(message->signatures[i]->signature_header),
									   allocator, &header, update->error);

		if (status != FB_OK)
			return status;
		signatures[i].identity = proto_bytes(header->creator);
		signatures[i].signature = proto_bytes(message->signatures[i]->signature);
		signatures[i].parts[0] = proto_bytes(message->signatures[i]->signature_header);
		signatures[i].parts[1] = proto_bytes(message->config_update);
	}
	return policy_signatures_create(allocator, update->bundle->msps, signatures,
									message->n_signatures, verify, verify_context,
									&update->signatures, update->error);
}

FbStatus
config_check_update(FbAllocator *allocator, const ConfigBundle *bundle, FbBytes config_envelope,
					PolicyVerify verify, void *verify_context, FbError *error)
{
	Update update = {.bundle = bundle, .error = error};
	Place root = {.present = bundle->config->channel_group, .path = "/Channel"};
	Common__ConfigEnvelope *envelope;
	Common__ConfigUpdateEnvelope *signed_update = NULL;
	Common__ConfigUpdate *message = NULL;

	FB_TRY(PROTO_UNPACK(common__config_envelope, config_envelope, allocator, &envelope, error));
	if (envelope->config == NULL || envelope->config->channel_group == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the configuration is empty");
	if (envelope->config->sequence != bundle->sequence + 1)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the configuration does not follow that of the channel");
	FB_TRY(unpack_update(allocator, envelope->last_update, &signed_update, &message, error));
	if (strcmp(message->channel_id, bundle->channel_id) != 0)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the update of the configuration is for another channel");
	if (message->write_set == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the update of the configuration is empty");
	root.read = message->read_set;
	root.written = message->write_set;
	if (root.read != NULL)
	{
		FB_TRY(config_tree_check_names(root.read, root.path, error));
		FB_TRY(check_read_group(&update, &root));
	}
	FB_TRY(config_tree_check_names(root.written, root.path, error));
	FB_TRY(collect_signatures(&update, allocator, signed_update, verify, verify_context));
	FB_TRY(check_written_group(&update, &root));
	if (update.authorized_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "the update changes nothing of the configuration");
	return check_updated_config(&update, &root, envelope->config->channel_group);
}
