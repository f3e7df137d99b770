/* policy_samples.h: policies from text, for the tests of core/policy */
#ifndef FABRIC_TEST_POLICY_SAMPLES_H
#define FABRIC_TEST_POLICY_SAMPLES_H

#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;

static inline FbBytes
compile(const char *text)
{
	FbBytes envelope;
	FbError error;

	if (!CHECK_STATUS(policy_compile(allocator, fb_bytes_of_text(text), &envelope, NULL, &error),
					  FB_OK))
		fprintf(stderr, "    %s: %s %s\n", text, error.message, error.detail);
	return envelope;
}

static inline FbBytes
from_hex(const char *hex)
{
	uint8_t *out = fb_allocate(allocator, strlen(hex) / 2);

	CHECK(fb_hex_decode(hex, strlen(hex), out));
	return fb_bytes(out, strlen(hex) / 2);
}

static inline Common__ConfigGroup *
new_group(void)
{
	Common__ConfigGroup *group = fb_allocate(allocator, sizeof(*group));

	common__config_group__init(group);
	group->groups = fb_allocate_array(allocator, 16, sizeof(group->groups[0]));
	group->policies = fb_allocate_array(allocator, 16, sizeof(group->policies[0]));
	return group;
}

/* names are added in sorted order, as the decoder delivers them */
static inline Common__ConfigGroup *
add_group(Common__ConfigGroup *parent, const char *name)
{
	Common__ConfigGroup__GroupsEntry *entry = fb_allocate(allocator, sizeof(*entry));

	common__config_group__groups_entry__init(entry);
	entry->key = (char *) name;
	entry->value = new_group();
	parent->groups[parent->n_groups++] = entry;
	return entry->value;
}

static inline Common__ConfigPolicy *
add_policy_bytes(Common__ConfigGroup *group, const char *name, int type, FbBytes value)
{
	Common__ConfigGroup__PoliciesEntry *entry = fb_allocate(allocator, sizeof(*entry));

	common__config_group__policies_entry__init(entry);
	entry->key = (char *) name;
	entry->value = fb_allocate(allocator, sizeof(*entry->value));
	common__config_policy__init(entry->value);
	entry->value->policy = fb_allocate(allocator, sizeof(*entry->value->policy));
	common__policy__init(entry->value->policy);
	entry->value->policy->type = type;
	entry->value->policy->value = proto_data(value);
	group->policies[group->n_policies++] = entry;
	return entry->value;
}

static inline void
add_policy(Common__ConfigGroup *group, const char *name, const char *rule)
{
	FbBytes value;

	if (strchr(rule, '(') != NULL)
		add_policy_bytes(group, name, COMMON__POLICY__POLICY_TYPE__SIGNATURE, compile(rule));
	else
	{
		CHECK_STATUS(policy_compile_implicit_meta(allocator, fb_bytes_of_text(rule), &value, NULL),
					 FB_OK);
		add_policy_bytes(group, name, COMMON__POLICY__POLICY_TYPE__IMPLICIT_META, value);
	}
}

typedef struct Names
{
	const char *msp_ids[8];
	size_t count;
} Names;

static inline bool
match_name(void *context, size_t signer_index, const Principal *principal)
{
	const Names *names = context;

	return principal->kind == PRINCIPAL_ROLE &&
		   strcmp(principal->msp_id, names->msp_ids[signer_index]) == 0;
}

#endif
