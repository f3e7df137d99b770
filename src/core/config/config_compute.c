/*
 * config_compute.c: the update that leads from one configuration to another
 * (internal/configtxlator/update/update.go, Compute).
 *
 * The read set holds the versions that the update relies on, the write set what it changes:
 *
 * - a changed value or policy is in the write set, with the next version;
 * - a new element is in the write set, with version 0;
 * - a group whose members or mod_policy change gets the next version, and then both sets hold all
 *   its unchanged elements, with their versions and nothing else: the write set of a group
 *   determines its members;
 * - a group in which only elements further below change keeps its version, and holds nothing else.
 *
 * Both configurations are in the decoder's order, so one walk over two sorted lists finds equal
 * names. The result is sorted in the same way.
 */
#include "core/config/config_internal.h"

typedef struct Compute
{
	FbAllocator *allocator;
	FbError *error;
} Compute;

/* one group of both sets while it is made */
typedef struct GroupSets
{
	Common__ConfigGroup *read;
	Common__ConfigGroup *write;
	bool members_changed;
} GroupSets;

/* the difference of two groups */
typedef struct GroupDifference
{
	Common__ConfigGroup *read;
	Common__ConfigGroup *write;
	bool changed;
} GroupDifference;

static FbStatus compute_group(Compute *compute, const Common__ConfigGroup *original,
							  const Common__ConfigGroup *updated, GroupDifference *difference);

/* new memory with a default message in it, and an array for as many entries as both maps have */
static FbStatus
make_delta_group(Compute *compute, const Common__ConfigGroup *original,
				 const Common__ConfigGroup *updated, Common__ConfigGroup **result)
{
	static const Common__ConfigGroup empty = COMMON__CONFIG_GROUP__INIT;
	Common__ConfigGroup *group = fb_allocate(compute->allocator, sizeof(*group));

	if (group == NULL)
		return fb_out_of_memory(compute->error);
	*group = empty;
	group->values = fb_allocate_array(compute->allocator, original->n_values + updated->n_values,
									  sizeof(*group->values));
	group->policies =
		fb_allocate_array(compute->allocator, original->n_policies + updated->n_policies,
						  sizeof(*group->policies));
	group->groups = fb_allocate_array(compute->allocator, original->n_groups + updated->n_groups,
									  sizeof(*group->groups));
	if (group->values == NULL || group->policies == NULL || group->groups == NULL)
		return fb_out_of_memory(compute->error);
	*result = group;
	return FB_OK;
}

static FbStatus
add_delta_value(Compute *compute, Common__ConfigGroup *group, char *name, Common__ConfigValue value)
{
	static const Common__ConfigGroup__ValuesEntry empty = COMMON__CONFIG_GROUP__VALUES_ENTRY__INIT;
	Common__ConfigGroup__ValuesEntry *entry = fb_allocate(compute->allocator, sizeof(*entry));
	Common__ConfigValue *copy = fb_allocate(compute->allocator, sizeof(*copy));

	if (entry == NULL || copy == NULL)
		return fb_out_of_memory(compute->error);
	*copy = value;
	*entry = empty;
	entry->key = name;
	entry->value = copy;
	group->values[group->n_values++] = entry;
	return FB_OK;
}

static FbStatus
add_delta_policy(Compute *compute, Common__ConfigGroup *group, char *name,
				 Common__ConfigPolicy policy)
{
	static const Common__ConfigGroup__PoliciesEntry empty =
		COMMON__CONFIG_GROUP__POLICIES_ENTRY__INIT;
	Common__ConfigGroup__PoliciesEntry *entry = fb_allocate(compute->allocator, sizeof(*entry));
	Common__ConfigPolicy *copy = fb_allocate(compute->allocator, sizeof(*copy));

	if (entry == NULL || copy == NULL)
		return fb_out_of_memory(compute->error);
	*copy = policy;
	*entry = empty;
	entry->key = name;
	entry->value = copy;
	group->policies[group->n_policies++] = entry;
	return FB_OK;
}

static FbStatus
add_group(Compute *compute, Common__ConfigGroup *group, char *name, Common__ConfigGroup *member)
{
	static const Common__ConfigGroup__GroupsEntry empty = COMMON__CONFIG_GROUP__GROUPS_ENTRY__INIT;
	Common__ConfigGroup__GroupsEntry *entry = fb_allocate(compute->allocator, sizeof(*entry));

	if (entry == NULL)
		return fb_out_of_memory(compute->error);
	*entry = empty;
	entry->key = name;
	entry->value = member;
	group->groups[group->n_groups++] = entry;
	return FB_OK;
}

/*
 * Order of the next names of two sorted lists; a list that has ended comes last. 0: the same name.
 */
static int
next_order(bool left_ended, const char *left, bool right_ended, const char *right)
{
	if (left_ended || right_ended)
		return left_ended ? 1 : -1;
	return strcmp(left, right);
}

/*
 * Find which elements of the group differ, and whether its members or its mod_policy do. Only the
 * write set gets them here. Unchanged elements are added afterwards, by keep_unchanged, because it
 * is not known before whether they belong to the sets.
 */
static bool
value_differs(const Common__ConfigValue *a, const Common__ConfigValue *b)
{
	return strcmp(a->mod_policy, b->mod_policy) != 0 ||
		   !fb_bytes_equal(proto_bytes(a->value), proto_bytes(b->value));
}

static bool
policy_differs(const Common__ConfigPolicy *a, const Common__ConfigPolicy *b)
{
	return strcmp(a->mod_policy, b->mod_policy) != 0 || !config_same_policy(a->policy, b->policy);
}

/* Are the names of both lists the same? Each list begins with the entry's key. */
static bool
same_members(const Common__ConfigGroup *a, const Common__ConfigGroup *b)
{
	if (a->n_values != b->n_values || a->n_policies != b->n_policies || a->n_groups != b->n_groups)
		return false;
	for (size_t i = 0; i < a->n_values; i++)
		if (strcmp(a->values[i]->key, b->values[i]->key) != 0)
			return false;
	for (size_t i = 0; i < a->n_policies; i++)
		if (strcmp(a->policies[i]->key, b->policies[i]->key) != 0)
			return false;
	for (size_t i = 0; i < a->n_groups; i++)
		if (strcmp(a->groups[i]->key, b->groups[i]->key) != 0)
			return false;
	return true;
}

static FbStatus
compute_values(Compute *compute, const Common__ConfigGroup *original,
			   const Common__ConfigGroup *updated, GroupSets *sets)
{
	size_t old = 0;
	size_t new = 0;

	while (old < original->n_values || new < updated->n_values)
	{
		int order = next_order(old == original->n_values,
							   old < original->n_values ? original->values[old]->key : NULL,
							   new == updated->n_values,
							   new < updated->n_values ? updated->values[new]->key : NULL);
		Common__ConfigValue written = COMMON__CONFIG_VALUE__INIT;
		Common__ConfigValue same = COMMON__CONFIG_VALUE__INIT;
		bool differs;

		if (order < 0)
		{
			old++; /* removed */
			continue;
		}
		written.mod_policy = updated->values[new]->value->mod_policy;
		written.value = updated->values[new]->value->value;
		differs =
			order > 0 || value_differs(original->values[old]->value, updated->values[new]->value);
		if (order == 0)
		{
			same.version = original->values[old]->value->version;
			written.version = same.version + 1;
		}
		if (differs)
			FB_TRY(add_delta_value(compute, sets->write, updated->values[new]->key, written));
		else if (sets->members_changed)
		{
			FB_TRY(add_delta_value(compute, sets->read, updated->values[new]->key, same));
			FB_TRY(add_delta_value(compute, sets->write, updated->values[new]->key, same));
		}
		new ++;
		if (order == 0)
			old++;
	}
	return FB_OK;
}

static FbStatus
compute_policies(Compute *compute, const Common__ConfigGroup *original,
				 const Common__ConfigGroup *updated, GroupSets *sets)
{
	size_t old = 0;
	size_t new = 0;

	while (old < original->n_policies || new < updated->n_policies)
	{
		int order = next_order(old == original->n_policies,
							   old < original->n_policies ? original->policies[old]->key : NULL,
							   new == updated->n_policies,
							   new < updated->n_policies ? updated->policies[new]->key : NULL);
		Common__ConfigPolicy written = COMMON__CONFIG_POLICY__INIT;
		Common__ConfigPolicy same = COMMON__CONFIG_POLICY__INIT;
		bool differs;

		if (order < 0)
		{
			old++; /* removed */
			continue;
		}
		written.mod_policy = updated->policies[new]->value->mod_policy;
		written.policy = updated->policies[new]->value->policy;
		differs = order > 0 ||
				  policy_differs(original->policies[old]->value, updated->policies[new]->value);
		if (order == 0)
		{
			same.version = original->policies[old]->value->version;
			written.version = same.version + 1;
		}
		if (differs)
			FB_TRY(add_delta_policy(compute, sets->write, updated->policies[new]->key, written));
		else if (sets->members_changed)
		{
			FB_TRY(add_delta_policy(compute, sets->read, updated->policies[new]->key, same));
			FB_TRY(add_delta_policy(compute, sets->write, updated->policies[new]->key, same));
		}
		new ++;
		if (order == 0)
			old++;
	}
	return FB_OK;
}

/* a group that only the new configuration has, with version 0, as everything in it */
static FbStatus
compute_new_group(Compute *compute, const Common__ConfigGroup *updated,
				  Common__ConfigGroup **written)
{
	static const Common__ConfigGroup nothing = COMMON__CONFIG_GROUP__INIT;
	GroupDifference difference;

	FB_TRY(compute_group(compute, &nothing, updated, &difference));
	*written = difference.write;
	(*written)->version = 0;
	(*written)->mod_policy = updated->mod_policy;
	return FB_OK;
}

static FbStatus
compute_groups(Compute *compute, const Common__ConfigGroup *original,
			   const Common__ConfigGroup *updated, GroupSets *sets)
{
	size_t old = 0;
	size_t new = 0;

	while (old < original->n_groups || new < updated->n_groups)
	{
		int order = next_order(old == original->n_groups,
							   old < original->n_groups ? original->groups[old]->key : NULL,
							   new == updated->n_groups,
							   new < updated->n_groups ? updated->groups[new]->key : NULL);
		GroupDifference difference = {0};

		if (order < 0)
		{
			old++; /* removed */
			continue;
		}
		if (order > 0)
		{
			FB_TRY(compute_new_group(compute, updated->groups[new]->value, &difference.write));
			FB_TRY(add_group(compute, sets->write, updated->groups[new]->key, difference.write));
			new ++;
			continue;
		}
		FB_TRY(compute_group(compute, original->groups[old]->value, updated->groups[new]->value,
							 &difference));
		if (difference.changed || sets->members_changed)
		{
			FB_TRY(add_group(compute, sets->read, updated->groups[new]->key, difference.read));
			FB_TRY(add_group(compute, sets->write, updated->groups[new]->key, difference.write));
		}
		new ++;
		old++;
	}
	return FB_OK;
}

static FbStatus
compute_group(Compute *compute, const Common__ConfigGroup *original,
			  const Common__ConfigGroup *updated, GroupDifference *difference)
{
	GroupSets sets = {0};

	FB_TRY(make_delta_group(compute, original, updated, &sets.read));
	FB_TRY(make_delta_group(compute, original, updated, &sets.write));
	sets.members_changed =
		strcmp(original->mod_policy, updated->mod_policy) != 0 || !same_members(original, updated);
	FB_TRY(compute_policies(compute, original, updated, &sets));
	FB_TRY(compute_values(compute, original, updated, &sets));
	FB_TRY(compute_groups(compute, original, updated, &sets));
	sets.read->version = original->version;
	sets.write->version = original->version;
	if (sets.members_changed)
	{
		sets.write->version++;
		sets.write->mod_policy = updated->mod_policy;
	}
	difference->read = sets.read;
	difference->write = sets.write;
	difference->changed = sets.members_changed || sets.write->n_policies > 0 ||
						  sets.write->n_values > 0 || sets.write->n_groups > 0;
	return FB_OK;
}

FbStatus
config_compute_update(FbAllocator *allocator, const char *channel_id, FbBytes original,
					  FbBytes updated, FbBytes *update, FbError *error)
{
	Compute compute = {allocator, error};
	Common__ConfigUpdate message = COMMON__CONFIG_UPDATE__INIT;
	Common__Config *old;
	Common__Config *new;
	GroupDifference difference;

	*update = FB_BYTES_EMPTY;
	FB_TRY(config_check_channel_id(fb_bytes_of_text(channel_id), error));
	FB_TRY(PROTO_UNPACK(common__config, original, allocator, &old, error));
	FB_TRY(PROTO_UNPACK(common__config, updated, allocator, &new, error));
	if (old->channel_group == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the old configuration has no channel group");
	if (new->channel_group == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the new configuration has no channel group");
	FB_TRY(compute_group(&compute, old->channel_group, new->channel_group, &difference));
	if (!difference.changed)
		return fb_fail(error, FB_INVALID_CONFIG, "the configurations do not differ");
	message.channel_id = (char *) channel_id;
	message.read_set = difference.read;
	message.write_set = difference.write;
	return PROTO_PACK(&message, allocator, update, error);
}
