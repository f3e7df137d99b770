/* declarations that the files of core/policy share */
#ifndef FABRIC_CORE_POLICY_INTERNAL_H
#define FABRIC_CORE_POLICY_INTERNAL_H

#include "core/policy/policy.h"
#include "core/proto/proto.h"

/*
 * Split 'MSPID.role' without its quotes; false when the text does not have that form. msp_id points
 * into text.
 */
extern bool policy_parse_principal(FbBytes text, FbBytes *msp_id, IdentityRole *role);

/* append the text of a signature policy to the buffer: see policy_print */
extern void policy_print_rule(FbBuffer *buffer, const SignaturePolicy *policy,
							  const PolicyRule *rule);

/* ---- evaluate.c: sets of signers as bits ---- */

#define POLICY_SIGNER_WORDS_MAX (FB_POLICY_SIGNATURES_MAX / 64)

/*
 * Signers for which the comparison with a principal and the verification of the signature are
 * separate steps, so that a policy with many rules does each only once: rules with the same
 * principal share the set of matching signers, and a signer found invalid is not checked again.
 */
typedef struct PolicySigners
{
	size_t count;	   /* at most FB_POLICY_SIGNATURES_MAX */
	PolicyMatch match; /* compares a signer with a principal, without its signature */
	bool (*valid)(void *context, size_t signer_index);
	void *context;
	uint64_t bad[POLICY_SIGNER_WORDS_MAX]; /* invalid signers, remembered for all evaluations */

	/*
	 * of the current signature policy: for each principal whether it was compared, and the signers
	 * that match it
	 */
	FbAllocator *allocator;
	size_t capacity; /* number of principals for which there is space */
	uint8_t *compared;
	uint64_t *matching; /* (count + 63) / 64 words for each principal */
} PolicySigners;

/* Like policy_evaluate_match. Errors: FB_OUT_OF_MEMORY. */
extern FbStatus policy_evaluate_signers(const Policy *policy, PolicySigners *signers,
										bool *satisfied, FbError *error);

typedef enum PolicyKind
{
	POLICY_SIGNATURE,
	POLICY_IMPLICIT_META
} PolicyKind;

/*
 * A policy that can be evaluated. An ImplicitMeta policy refers to one policy of each sub-group of
 * its group. A member is NULL if the sub-group has no policy of that name: it counts, and never
 * passes.
 */
struct Policy
{
	PolicyKind kind;
	const char *path;
	const SignaturePolicy *signature;

	int32_t rule; /* of ImplicitMeta: ANY, ALL, MAJORITY as on the wire */
	const char *sub_policy;
	size_t threshold;
	size_t members_count;
	const Policy *const *members;
	const char *const *member_names;
};

#endif
