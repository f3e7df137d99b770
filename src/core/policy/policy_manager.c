/*
 * policy_manager.c: the policies of a channel by path (common/policies/policy.go, NewManagerImpl;
 * implicitmeta.go; core/policy/application.go). A group's own policies are made after those of its
 * sub-groups, because ImplicitMeta policies refer to them and only to them.
 */
#include "core/policy/policy_internal.h"

#include <stdlib.h>

typedef struct NamedPolicy
{
	const char *name;
	const Policy *policy;
} NamedPolicy;

typedef struct PolicyGroup
{
	const char *name;
	const char *path; /* "/Channel/Application" */
	size_t groups_count;
	const struct PolicyGroup *groups; /* sorted by name, in the decoder's order */
	size_t policies_count;
	const NamedPolicy *policies;
} PolicyGroup;

struct PolicyManager
{
	PolicyGroup root;
};

/* ---- looking up ---- */

static const PolicyGroup *
group_find(const PolicyGroup *group, FbBytes name)
{
	for (size_t i = 0; i < group->groups_count; i++)
		if (fb_bytes_equal(fb_bytes_of_text(group->groups[i].name), name))
			return &group->groups[i];
	return NULL;
}

/*
 * Find a path below the group ("Org1MSP/Admins"), or an absolute path that leads through the group.
 */
static const Policy *
group_policy(const PolicyGroup *group, const char *path)
{
	const char *slash;

	if (path[0] == '/')
	{
		size_t prefix_size = strlen(group->path);

		if (strncmp(path, group->path, prefix_size) != 0 || path[prefix_size] != '/')
			return NULL;
		path += prefix_size + 1;
	}
	while ((slash = strchr(path, '/')) != NULL)
	{
		group = group_find(group, fb_bytes(path, (size_t) (slash - path)));
		if (group == NULL)
			return NULL;
		path = slash + 1;
	}
	for (size_t i = 0; i < group->policies_count; i++)
		if (strcmp(group->policies[i].name, path) == 0)
			return group->policies[i].policy;
	return NULL;
}

const Policy *
policy_manager_find(const PolicyManager *manager, const char *path)
{
	return group_policy(&manager->root, path);
}

const char *
policy_path(const Policy *policy)
{
	if (policy == NULL)
		return "missing policy";
	return policy->path != NULL ? policy->path : "signature policy";
}

/* ---- building ---- */

static FbStatus
join_path(FbAllocator *allocator, const char *parent, const char *name, const char **path,
		  FbError *error)
{
	FbBuffer buffer;
	FbBytes bytes;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_text(&buffer, parent);
	fb_buffer_append_byte(&buffer, '/');
	fb_buffer_append_text(&buffer, name);
	fb_buffer_append_byte(&buffer, '\0');
	FB_TRY(fb_buffer_bytes(&buffer, &bytes, error));
	*path = (const char *) bytes.data;
	return FB_OK;
}

/* Name the path of an error: the reason becomes the detail. */
static FbStatus
fail_at_path(FbError *error, FbStatus status, const char *path)
{
	char reason[FB_ERROR_MESSAGE_BYTES];

	if (error == NULL || status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		return status;
	if (status != FB_LIMIT_EXCEEDED)
		status = FB_INVALID_POLICY;
	memcpy(reason, error->message, sizeof(reason));
	fb_fail(error, status, "invalid policy \"%s\"", path);
	fb_error_detail(error, "%s.", reason);
	return status;
}

static FbStatus
make_signature(FbAllocator *allocator, FbBytes envelope, Policy *policy, FbError *error)
{
	SignaturePolicy *signature;

	FB_TRY(signature_policy_decode(allocator, envelope, &signature, error));
	if (signature->version != 0)
		return fb_fail(error, FB_INVALID_POLICY, "signature policy has version %d, only 0 is known",
					   signature->version);
	policy->kind = POLICY_SIGNATURE;
	policy->signature = signature;
	return FB_OK;
}

static FbStatus
make_implicit_meta(FbAllocator *allocator, FbBytes value, const PolicyGroup *group, Policy *policy,
				   FbError *error)
{
	Common__ImplicitMetaPolicy *message;
	const Policy **members = fb_allocate_array(allocator, group->groups_count, sizeof(*members));
	const char **names = fb_allocate_array(allocator, group->groups_count, sizeof(*names));

	if (members == NULL || names == NULL)
		return fb_out_of_memory(error);
	FB_TRY(PROTO_UNPACK(common__implicit_meta_policy, value, allocator, &message, error));
	for (size_t i = 0; i < group->groups_count; i++)
	{
		names[i] = group->groups[i].name;
		members[i] = group_policy(&group->groups[i], message->sub_policy);
	}
	policy->kind = POLICY_IMPLICIT_META;
	policy->rule = (int32_t) message->rule;
	policy->sub_policy = message->sub_policy;
	policy->members_count = group->groups_count;
	policy->members = members;
	policy->member_names = names;
	switch (message->rule)
	{
		case COMMON__IMPLICIT_META_POLICY__RULE__ANY:
			policy->threshold = group->groups_count == 0 ? 0 : 1;
			return FB_OK;
		case COMMON__IMPLICIT_META_POLICY__RULE__ALL:
			policy->threshold = group->groups_count;
			return FB_OK;
		case COMMON__IMPLICIT_META_POLICY__RULE__MAJORITY:
			policy->threshold = group->groups_count == 0 ? 0 : group->groups_count / 2 + 1;
			return FB_OK;
		default:

			/* Fabric would evaluate it as satisfied exactly when no sub-policy is */
			return fb_fail(error, FB_INVALID_POLICY, "unrecognized ImplicitMeta rule %d",
						   (int) message->rule);
	}
}

static FbStatus
make_policy(FbAllocator *allocator, const Common__ConfigPolicy *message, const PolicyGroup *group,
			Policy *policy, FbError *error)
{
	if (message->policy == NULL)
		return fb_fail(error, FB_INVALID_POLICY, "the policy is missing");
	switch (message->policy->type)
	{
		case COMMON__POLICY__POLICY_TYPE__SIGNATURE:
			return make_signature(allocator, proto_bytes(message->policy->value), policy, error);
		case COMMON__POLICY__POLICY_TYPE__IMPLICIT_META:
			return make_implicit_meta(allocator, proto_bytes(message->policy->value), group, policy,
									  error);
		default:
			return fb_fail(error, FB_INVALID_POLICY, "unrecognized policy type %d",
						   message->policy->type);
	}
}

static FbStatus
make_group(FbAllocator *allocator, const Common__ConfigGroup *message, const char *parent_path,
		   const char *name, PolicyGroup *group, FbError *error)
{
	PolicyGroup *groups = fb_allocate_array(allocator, message->n_groups, sizeof(*groups));
	NamedPolicy *named = fb_allocate_array(allocator, message->n_policies, sizeof(*named));
	Policy *policies = fb_allocate_array(allocator, message->n_policies, sizeof(*policies));

	if (groups == NULL || named == NULL || policies == NULL)
		return fb_out_of_memory(error);
	group->name = name;
	FB_TRY(join_path(allocator, parent_path, name, &group->path, error));
	for (size_t i = 0; i < message->n_groups; i++)
		FB_TRY(make_group(allocator, message->groups[i]->value, group->path,
						  message->groups[i]->key, &groups[i], error));
	group->groups = groups;
	group->groups_count = message->n_groups;
	for (size_t i = 0; i < message->n_policies; i++)
	{
		FbStatus status;

		FB_TRY(
			join_path(allocator, group->path, message->policies[i]->key, &policies[i].path, error));
		status = make_policy(allocator, message->policies[i]->value, group, &policies[i], error);
		if (status != FB_OK)
			return fail_at_path(error, status, policies[i].path);
		named[i].name = message->policies[i]->key;
		named[i].policy = &policies[i];
	}
	group->policies = named;
	group->policies_count = message->n_policies;
	return FB_OK;
}

FbStatus
policy_manager_create(FbAllocator *allocator, const Common__ConfigGroup *channel_group,
					  PolicyManager **manager, FbError *error)
{
	PolicyManager *made = fb_allocate_zero(allocator, sizeof(*made));

	*manager = NULL;
	if (made == NULL)
		return fb_out_of_memory(error);
	FB_TRY(make_group(allocator, channel_group, "", "Channel", &made->root, error));
	*manager = made;
	return FB_OK;
}

/* ---- policies without a manager ---- */

FbStatus
policy_from_message(FbAllocator *allocator, const Common__SignaturePolicyEnvelope *message,
					const Policy **policy, FbError *error)
{
	Policy *made = fb_allocate_zero(allocator, sizeof(*made));
	SignaturePolicy *signature;

	*policy = NULL;
	if (made == NULL)
		return fb_out_of_memory(error);
	FB_TRY(signature_policy_from_message(allocator, message, &signature, error));
	made->kind = POLICY_SIGNATURE;
	made->signature = signature;
	*policy = made;
	return FB_OK;
}

FbStatus
policy_from_envelope(FbAllocator *allocator, FbBytes envelope, const Policy **policy,
					 FbError *error)
{
	Common__SignaturePolicyEnvelope *message;

	*policy = NULL;
	FB_TRY(PROTO_UNPACK(common__signature_policy_envelope, envelope, allocator, &message, error));
	return policy_from_message(allocator, message, policy, error);
}

FbStatus
policy_from_application_policy(FbAllocator *allocator, const PolicyManager *manager,
							   FbBytes application_policy, const Policy **policy, FbError *error)
{
	Protos__ApplicationPolicy *message;
	FbStatus status;

	*policy = NULL;
	status =
		PROTO_UNPACK(protos__application_policy, application_policy, allocator, &message, error);
	if (status == FB_MALFORMED_MESSAGE)
		return fb_fail(error, FB_INVALID_POLICY,
					   "the endorsement policy is not an ApplicationPolicy");
	FB_TRY(status);
	switch (message->type_case)
	{
		case PROTOS__APPLICATION_POLICY__TYPE_SIGNATURE_POLICY:
			return policy_from_message(allocator, message->signature_policy, policy, error);
		case PROTOS__APPLICATION_POLICY__TYPE_CHANNEL_CONFIG_POLICY_REFERENCE:
			*policy = policy_manager_find(manager, message->channel_config_policy_reference);
			if (*policy == NULL)
				return fb_fail(error, FB_INVALID_POLICY, "the channel has no policy \"%s\"",
							   message->channel_config_policy_reference);
			return FB_OK;
		default:
			return fb_fail(
				error, FB_INVALID_POLICY,
				"the endorsement policy names neither a signature policy nor a channel policy");
	}
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

FbStatus
policy_from_members(FbAllocator *allocator, size_t needed, const char *const *msp_ids,
					size_t msp_ids_count, const Policy **policy, FbError *error)
{
	Policy *made = fb_allocate_zero(allocator, sizeof(*made));
	SignaturePolicy *signature = fb_allocate_zero(allocator, sizeof(*signature));
	const char **ids = fb_allocate_array(allocator, msp_ids_count, sizeof(*ids));
	PolicyRule *rules = fb_allocate_array(allocator, msp_ids_count, sizeof(*rules));
	const Principal **principals = fb_allocate_array(allocator, msp_ids_count, sizeof(*principals));

	*policy = NULL;
	if (made == NULL || signature == NULL || ids == NULL || rules == NULL || principals == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < msp_ids_count; i++)
		ids[i] = msp_ids[i];
	if (msp_ids_count > 1)
		qsort(ids, msp_ids_count, sizeof(*ids), compare_texts);
	for (size_t i = 0; i < msp_ids_count; i++)
	{
		Common__MSPRole role = COMMON__MSPROLE__INIT;
		FbBytes bytes;

		role.msp_identifier = (char *) ids[i];
		role.role = COMMON__MSPROLE__MSPROLE_TYPE__MEMBER;
		FB_TRY(PROTO_PACK(&role, allocator, &bytes, error));
		FB_TRY(principal_parse(PRINCIPAL_ROLE, bytes, allocator, &principals[i], error));
		rules[i] = (PolicyRule) {.signed_by = (int32_t) i};
	}
	signature->rule = (PolicyRule) {.signed_by = -1,
									.needed = (int32_t) needed,
									.rules_count = msp_ids_count,
									.rules = rules};
	signature->principals_count = msp_ids_count;
	signature->principals = principals;
	made->kind = POLICY_SIGNATURE;
	made->signature = signature;
	*policy = made;
	return FB_OK;
}

FbStatus
application_policy_of_envelope(FbAllocator *allocator, FbBytes envelope,
							   FbBytes *application_policy, FbError *error)
{
	Protos__ApplicationPolicy message = PROTOS__APPLICATION_POLICY__INIT;

	*application_policy = FB_BYTES_EMPTY;
	FB_TRY(PROTO_UNPACK(common__signature_policy_envelope, envelope, allocator,
						&message.signature_policy, error));
	message.type_case = PROTOS__APPLICATION_POLICY__TYPE_SIGNATURE_POLICY;
	return PROTO_PACK(&message, allocator, application_policy, error);
}

FbStatus
application_policy_of_reference(FbAllocator *allocator, const char *reference,
								FbBytes *application_policy, FbError *error)
{
	Protos__ApplicationPolicy message = PROTOS__APPLICATION_POLICY__INIT;

	*application_policy = FB_BYTES_EMPTY;
	if (reference[0] == '\0' || !fb_utf8_valid(fb_bytes_of_text(reference)))
		return fb_fail(error, FB_INVALID_POLICY,
					   "the reference to a channel policy is empty or not UTF-8");
	message.type_case = PROTOS__APPLICATION_POLICY__TYPE_CHANNEL_CONFIG_POLICY_REFERENCE;
	message.channel_config_policy_reference = (char *) reference;
	return PROTO_PACK(&message, allocator, application_policy, error);
}
