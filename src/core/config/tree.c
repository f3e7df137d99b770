/*
 * tree.c: access to the decoded tree of a configuration. The decoder has sorted all entries by
 * name; names are distinct and not empty.
 */
#include "core/config/config_internal.h"

#include <stdio.h>

const Common__ConfigGroup *
config_tree_group(const Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; group != NULL && i < group->n_groups; i++)
		if (strcmp(group->groups[i]->key, name) == 0)
			return group->groups[i]->value;
	return NULL;
}

const Common__ConfigValue *
config_tree_value(const Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; group != NULL && i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
			return group->values[i]->value;
	return NULL;
}

static FbStatus
tree_check_name(const char *name, const char *kind, const char *path, FbError *error)
{
	FbStatus status = config_check_element_id(fb_bytes_of_text(name), error);

	if (status != FB_OK)
		fb_error_detail(error, "It is the name of a %s in %s.", kind, path);
	return status;
}

FbStatus
config_tree_check_names(const Common__ConfigGroup *group, const char *path, FbError *error)
{
	if (group->n_groups > FB_CONFIG_GROUPS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "%s has %zu sub-groups, more than %d", path,
					   group->n_groups, FB_CONFIG_GROUPS_MAX);
	if (group->n_policies > FB_CONFIG_POLICIES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "%s has %zu policies, more than %d", path,
					   group->n_policies, FB_CONFIG_POLICIES_MAX);
	for (size_t i = 0; i < group->n_values; i++)
		FB_TRY(tree_check_name(group->values[i]->key, "value", path, error));
	for (size_t i = 0; i < group->n_policies; i++)
		FB_TRY(tree_check_name(group->policies[i]->key, "policy", path, error));
	for (size_t i = 0; i < group->n_groups; i++)
	{
		char sub_path[FB_ERROR_DETAIL_BYTES]; /* for messages only: cut when it is very long */

		FB_TRY(tree_check_name(group->groups[i]->key, "group", path, error));
		snprintf(sub_path, sizeof(sub_path), "%s/%s", path, group->groups[i]->key);
		FB_TRY(config_tree_check_names(group->groups[i]->value, sub_path, error));
	}
	return FB_OK;
}

FbStatus
config_tree_check_values(const Common__ConfigGroup *group, const char *path,
						 const char *const *names, FbError *error)
{
	for (size_t i = 0; i < group->n_values; i++)
	{
		const char *const *name = names;

		while (*name != NULL && strcmp(*name, group->values[i]->key) != 0)
			name++;
		if (*name == NULL)
			return fb_fail(error, FB_INVALID_CONFIG, "unknown value \"%s\" in %s",
						   group->values[i]->key, path);
	}
	return FB_OK;
}

FbStatus
config_tree_unpack(FbAllocator *allocator, const Common__ConfigGroup *group, const char *path,
				   const char *name, const ProtobufCMessageDescriptor *descriptor,
				   ProtobufCMessage **message, FbError *error)
{
	const Common__ConfigValue *value = config_tree_value(group, name);
	FbStatus status =
		proto_unpack(descriptor, value != NULL ? proto_bytes(value->value) : FB_BYTES_EMPTY,
					 allocator, message, error);

	if (status == FB_MALFORMED_MESSAGE)
		return fb_fail(error, FB_INVALID_CONFIG, "value \"%s\" in %s is not a %s", name, path,
					   descriptor->short_name);
	return status;
}
