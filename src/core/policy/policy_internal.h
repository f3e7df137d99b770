/* policy: what the files of this room share */
#ifndef FABRIC_CORE_POLICY_INTERNAL_H
#define FABRIC_CORE_POLICY_INTERNAL_H

#include "core/policy/policy.h"
#include "core/proto/proto.h"

/* 'MSPID.role' without its quotes, split; false when it is not of that form. msp_id points into text */
extern bool policy_parse_principal(FbBytes text, FbBytes *msp_id, IdentityRole *role);

/* append the text of a signature policy to the buffer: see policy_print */
extern void policy_print_rule(FbBuffer *buffer, const SignaturePolicy *policy, const PolicyRule *rule);

typedef enum PolicyKind
{
	POLICY_SIGNATURE,
	POLICY_IMPLICIT_META
} PolicyKind;

/*
 * A policy that can be evaluated. An ImplicitMeta policy refers to one policy of each sub-group of its group; NULL where a sub-group has none of
 * that name: it counts, and never passes.
 */
struct Policy
{
	PolicyKind	kind;
	const char *path;
	const SignaturePolicy *signature;

	int32_t		rule;			/* of ImplicitMeta: ANY, ALL, MAJORITY as on the wire */
	const char *sub_policy;
	size_t		threshold;
	size_t		members_count;
	const Policy *const *members;
	const char *const *member_names;
};

#endif
