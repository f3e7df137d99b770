/*
 * tree.c: access to the decoded tree of a configuration. The decoder has sorted all entries by
 * name; names are distinct and not empty.
 */
#include "core/config/config_internal.h"

#include <stddef.h>
#include <stdio.h>

/*
 * The index of a name among the entries of a map, which the decoder has sorted; -1: there is none.
 * Every entry begins with its protobuf base and its key.
 */
static ptrdiff_t
find_entry(void *const *entries, size_t count, const char *name)
{
	size_t low = 0;
	size_t high = count;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;
		const char *key = ((const Common__ConfigGroup__GroupsEntry *) entries[middle])->key;
		int order = strcmp(name, key);

		if (order == 0)
			return (ptrdiff_t) middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

_Static_assert(offsetof(Common__ConfigGroup__GroupsEntry, key) ==
					   offsetof(Common__ConfigGroup__ValuesEntry, key) &&
				   offsetof(Common__ConfigGroup__GroupsEntry, key) ==
					   offsetof(Common__ConfigGroup__PoliciesEntry, key),
			   "entries of all maps begin alike");

const Common__ConfigGroup *
config_tree_group(const Common__ConfigGroup *group, const char *name)
{
	ptrdiff_t i =
		group != NULL ? find_entry((void *const *) group->groups, group->n_groups, name) : -1;

	return i >= 0 ? group->groups[i]->value : NULL;
}

const Common__ConfigValue *
config_tree_value(const Common__ConfigGroup *group, const char *name)
{
	ptrdiff_t i =
		group != NULL ? find_entry((void *const *) group->values, group->n_values, name) : -1;

	return i >= 0 ? group->values[i]->value : NULL;
}

const Common__ConfigPolicy *
config_tree_policy(const Common__ConfigGroup *group, const char *name)
{
	ptrdiff_t i =
		group != NULL ? find_entry((void *const *) group->policies, group->n_policies, name) : -1;

	return i >= 0 ? group->policies[i]->value : NULL;
}

bool
config_same_policy(const Common__Policy *a, const Common__Policy *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->type == b->type && fb_bytes_equal(proto_bytes(a->value), proto_bytes(b->value));
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
			return fb_fail(error, FB_INVALID_CONFIG, "unrecognized value \"%s\" in %s",
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
