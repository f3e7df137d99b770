/*
 * config_update.c: apply a requested update to the current configuration, and check that a
 * configuration transaction is such a result (common/configtx/validator.go, ProposeConfigUpdate and
 * Validate; update.go, authorizeUpdate)
 *
 * The problem. A configuration replaces members and policies for all later blocks. A client can get
 * bytes of type CONFIG into a block with the help of a dishonest orderer. So only a decision of the
 * channel itself may count, and every node must decide alike, from the block and the current
 * configuration alone.
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
 * signature, and only the sequence changes. No tool makes one, and any client could make all
 * waiting updates and transactions be checked again with it.
 *
 * The result is packed from the decoded trees. Maps have no canonical bytes, so results
 * are compared as trees, never as bytes. Names are found by binary search, because the sender
 * decides how many there are.
 */
#include "core/config/config_internal.h"

#include <stdio.h>

/* a real path has three names of at most 249 bytes; one path is kept for each level of a walk */
#define PATH_BYTES_MAX 2048

/* of administrators; every node verifies each before it uses anything else of the update */
#define SIGNATURES_MAX 1024

typedef struct Update
{
	FbAllocator *allocator;
	const ConfigBundle *bundle;
	PolicySignatureSet *signatures;
	FbError *error;
	size_t authorized_count;
	bool fills_mod_policy; /* see filled_mod_policy */
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

/* validateModPolicy: names, separated by slashes, perhaps after a slash */
static FbStatus
check_mod_policy(Update *update, const char *mod_policy, const char *path, const char *name)
{
	const char *from = mod_policy[0] == '/' ? mod_policy + 1 : mod_policy;

	if (mod_policy[0] == '\0')
		return fb_fail(update->error, FB_INVALID_CONFIG,
					   "the update leaves %s%s%s without mod_policy", path,
					   name[0] != '\0' ? "/" : "", name);
	for (;;)
	{
		size_t size = strcspn(from, "/");

		if (config_check_element_id(fb_bytes(from, size), NULL) != FB_OK)
			return fb_fail(update->error, FB_INVALID_CONFIG,
						   "the update gives %s%s%s the invalid mod_policy \"%s\"", path,
						   name[0] != '\0' ? "/" : "", name,
						   FB_DISPLAY(fb_bytes_of_text(mod_policy)));
		if (from[size] == '\0')
			return FB_OK;
		from += size + 1;
	}
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
	FB_TRY(check_mod_policy(update, written.mod_policy, path, name));
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
		FB_TRY(
			check_read(update, policy_element(read->policies[i]->value),
					   policy_element(config_tree_policy(place->present, read->policies[i]->key)),
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

		FB_TRY(check_written(update, policy_element(config_tree_policy(place->read, name)),
							 policy_element(written->policies[i]->value),
							 policy_element(config_tree_policy(place->present, name)), place->path,
							 name));
	}
	for (size_t i = 0; i < written->n_groups; i++)
	{
		Place inner;

		FB_TRY(enter_group(update, place, written->groups[i]->key, &inner));
		FB_TRY(check_written_group(update, &inner));
	}
	return FB_OK;
}

/* ---- the result of the update (computeUpdateResult, configMapToConfig) ---- */

/*
 * Each element is the changed one, or otherwise the current one; a group determines which elements
 * it contains.
 */

/* configmap.go, recurseConfigMap: channels of Fabric 1.0 have elements without mod_policy */
static char *
filled_mod_policy(const Update *update, char *mod_policy)
{
	return update->fills_mod_policy && mod_policy[0] == '\0' ? (char *) "Admins" : mod_policy;
}

/*
 * Copies of `count` entries of a map, one after the other, with an array of pointers to them; NULL:
 * out of memory.
 */
static void **
copy_entries(FbAllocator *allocator, void *const *entries, size_t count, size_t entry_bytes)
{
	void **list = fb_allocate_array(allocator, count, sizeof(*list));
	uint8_t *copies = fb_allocate_array(allocator, count, entry_bytes);

	if (list == NULL || copies == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
	{
		memcpy(copies + i * entry_bytes, entries[i], entry_bytes);
		list[i] = copies + i * entry_bytes;
	}
	return list;
}

#define COPY_ENTRIES(allocator, list, count)                                       \
	((__typeof__(list)) copy_entries((allocator), (void *const *) (list), (count), \
									 sizeof(**(list))))

static FbStatus
build_values(Update *update, const Place *place, Common__ConfigGroup *group)
{
	Common__ConfigValue *values =
		fb_allocate_array(update->allocator, group->n_values, sizeof(*values));

	group->values = COPY_ENTRIES(update->allocator, group->values, group->n_values);
	if (values == NULL || group->values == NULL)
		return fb_out_of_memory(update->error);
	for (size_t i = 0; i < group->n_values; i++)
	{
		const char *name = group->values[i]->key;
		const Common__ConfigValue *from = config_tree_value(place->written, name);

		if (!is_change(value_element(config_tree_value(place->read, name)), value_element(from)))
			from = config_tree_value(place->present, name);
		FB_ASSERT(from != NULL);
		values[i] = *from;
		values[i].mod_policy = filled_mod_policy(update, values[i].mod_policy);
		group->values[i]->value = &values[i];
	}
	return FB_OK;
}

static FbStatus
build_policies(Update *update, const Place *place, Common__ConfigGroup *group)
{
	Common__ConfigPolicy *policies =
		fb_allocate_array(update->allocator, group->n_policies, sizeof(*policies));

	group->policies = COPY_ENTRIES(update->allocator, group->policies, group->n_policies);
	if (policies == NULL || group->policies == NULL)
		return fb_out_of_memory(update->error);
	for (size_t i = 0; i < group->n_policies; i++)
	{
		const char *name = group->policies[i]->key;
		const Common__ConfigPolicy *from = config_tree_policy(place->written, name);

		if (!is_change(policy_element(config_tree_policy(place->read, name)), policy_element(from)))
			from = config_tree_policy(place->present, name);
		FB_ASSERT(from != NULL);
		policies[i] = *from;
		policies[i].mod_policy = filled_mod_policy(update, policies[i].mod_policy);
		group->policies[i]->value = &policies[i];
	}
	return FB_OK;
}

/*
 * An element that the write set has and that is no change is in the read set, and therefore in the
 * current configuration (check_read): from is never NULL here and above.
 */
static FbStatus
build_group(Update *update, const Place *place, Common__ConfigGroup **result)
{
	bool changed = is_change(group_element(place->read), group_element(place->written));
	const Common__ConfigGroup *from = changed ? place->written : place->present;
	Common__ConfigGroup *group = fb_allocate(update->allocator, sizeof(*group));

	FB_ASSERT(from != NULL);
	if (group == NULL)
		return fb_out_of_memory(update->error);
	*group = *from;
	group->mod_policy = filled_mod_policy(update, group->mod_policy);
	FB_TRY(build_values(update, place, group));
	FB_TRY(build_policies(update, place, group));
	group->groups = COPY_ENTRIES(update->allocator, group->groups, group->n_groups);
	if (group->groups == NULL)
		return fb_out_of_memory(update->error);
	for (size_t i = 0; i < group->n_groups; i++)
	{
		Place inner;

		FB_TRY(enter_group(update, place, group->groups[i]->key, &inner));
		FB_TRY(build_group(update, &inner, &group->groups[i]->value));
	}
	*result = group;
	return FB_OK;
}

/* ---- is this the result? (Validate) ---- */

static FbStatus
version_differs(Update *update, const char *path, const char *name)
{
	return fb_fail(update->error, FB_INVALID_CONFIG,
				   "%s%s%s of the new configuration is not what the update results in", path,
				   name[0] != '\0' ? "/" : "", name);
}

static bool
same_element(Element expected, Element found)
{
	return expected.version == found.version && strcmp(expected.mod_policy, found.mod_policy) == 0;
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
	return same_element(policy_element(expected), policy_element(found)) &&
		   config_same_policy(expected->policy, found->policy);
}

/* both trees are in the decoder's order */
static FbStatus
compare_groups(Update *update, const char *path, const Common__ConfigGroup *expected,
			   const Common__ConfigGroup *found)
{
	if (!same_element(group_element(expected), group_element(found)) ||
		expected->n_values != found->n_values || expected->n_policies != found->n_policies ||
		expected->n_groups != found->n_groups)
		return version_differs(update, path, "");
	for (size_t i = 0; i < found->n_values; i++)
		if (strcmp(expected->values[i]->key, found->values[i]->key) != 0 ||
			!same_value(expected->values[i]->value, found->values[i]->value))
			return version_differs(update, path, found->values[i]->key);
	for (size_t i = 0; i < found->n_policies; i++)
		if (strcmp(expected->policies[i]->key, found->policies[i]->key) != 0 ||
			!same_policy(expected->policies[i]->value, found->policies[i]->value))
			return version_differs(update, path, found->policies[i]->key);
	for (size_t i = 0; i < found->n_groups; i++)
	{
		char inner[PATH_BYTES_MAX];

		if (strcmp(expected->groups[i]->key, found->groups[i]->key) != 0)
			return version_differs(update, path, found->groups[i]->key);
		snprintf(inner, sizeof(inner), "%s/%s", path, found->groups[i]->key);
		FB_TRY(compare_groups(update, inner, expected->groups[i]->value, found->groups[i]->value));
	}
	return FB_OK;
}

/* ---- the messages ---- */

FbStatus
config_unpack_update(FbAllocator *allocator, const Common__Envelope *envelope,
					 Common__ConfigUpdateEnvelope **signed_update, Common__ConfigUpdate **update,
					 FbError *error)
{
	Common__Payload *payload;
	Common__ChannelHeader *header;
	Common__ConfigUpdateEnvelope *content;

	if (envelope == NULL)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the configuration does not contain the update that made it");
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
						&content, error));
	if (signed_update != NULL)
		*signed_update = content;
	return PROTO_UNPACK(common__config_update, proto_bytes(content->config_update), allocator,
						update, error);
}

/*
 * the signed bytes: signature header, update (protoutil/signeddata.go,
 * ConfigUpdateEnvelopeAsSignedData)
 */
static FbStatus
collect_signatures(Update *update, const Common__ConfigUpdateEnvelope *message, PolicyVerify verify,
				   void *verify_context)
{
	FbAllocator *allocator = update->allocator;
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

/* authorizeUpdate, and the configuration that the update makes of the current one */
static FbStatus
authorize_update(Update *update, const Common__Envelope *envelope, PolicyVerify verify,
				 void *verify_context, Common__ConfigGroup **result)
{
	Place root = {.present = update->bundle->config->channel_group, .path = "/Channel"};
	Common__ConfigUpdateEnvelope *signed_update = NULL;
	Common__ConfigUpdate *message = NULL;
	FbError *error = update->error;

	FB_TRY(config_unpack_update(update->allocator, envelope, &signed_update, &message, error));
	if (strcmp(message->channel_id, update->bundle->channel_id) != 0)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the update of the configuration is for another channel");
	if (message->write_set == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the update of the configuration is empty");
	root.read = message->read_set;
	root.written = message->write_set;
	if (root.read != NULL)
	{
		FB_TRY(config_tree_check_names(root.read, root.path, error));
		FB_TRY(check_read_group(update, &root));
	}
	FB_TRY(config_tree_check_names(root.written, root.path, error));
	FB_TRY(collect_signatures(update, signed_update, verify, verify_context));
	FB_TRY(check_written_group(update, &root));
	if (update->authorized_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "the update changes nothing of the configuration");
	update->fills_mod_policy =
		config_tree_value(config_tree_group(root.present, "Orderer"), "Capabilities") != NULL ||
		config_tree_value(config_tree_group(root.written, "Orderer"), "Capabilities") != NULL;
	return build_group(update, &root, result);
}

FbStatus
config_apply_update(FbAllocator *allocator, const ConfigBundle *bundle, FbBytes envelope,
					PolicyVerify verify, void *verify_context, FbBytes *config_envelope,
					FbError *error)
{
	Update update = {.allocator = allocator, .bundle = bundle, .error = error};
	Common__ConfigEnvelope made = COMMON__CONFIG_ENVELOPE__INIT;
	Common__Config config = COMMON__CONFIG__INIT;
	Common__Envelope *last_update;

	*config_envelope = FB_BYTES_EMPTY;
	FB_TRY(PROTO_UNPACK(common__envelope, envelope, allocator, &last_update, error));
	FB_TRY(authorize_update(&update, last_update, verify, verify_context, &config.channel_group));
	config.sequence = bundle->sequence + 1;
	made.config = &config;
	made.last_update = last_update;
	return PROTO_PACK(&made, allocator, config_envelope, error);
}

FbStatus
config_check_update(FbAllocator *allocator, const ConfigBundle *bundle, FbBytes config_envelope,
					PolicyVerify verify, void *verify_context, FbError *error)
{
	Update update = {.allocator = allocator, .bundle = bundle, .error = error};
	Common__ConfigEnvelope *envelope;
	Common__ConfigGroup *expected = NULL;

	FB_TRY(PROTO_UNPACK(common__config_envelope, config_envelope, allocator, &envelope, error));
	if (envelope->config == NULL || envelope->config->channel_group == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the configuration is empty");
	if (envelope->config->sequence != bundle->sequence + 1)
		return fb_fail(error, FB_STALE_CONFIG,
					   "the configuration does not follow that of the channel");
	FB_TRY(authorize_update(&update, envelope->last_update, verify, verify_context, &expected));
	return compare_groups(&update, "/Channel", expected, envelope->config->channel_group);
}
