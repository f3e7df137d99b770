/* policy: shared by the files of this directory */
#ifndef FABRIC_CORE_POLICY_INTERNAL_H
#define FABRIC_CORE_POLICY_INTERNAL_H

#include "core/policy/policy.h"
#include "core/proto/proto.h"

/*
 * 'MSPID.role' without its quotes, split; false when it is not of that form. msp_id points into
 * text
 */
extern bool policy_parse_principal(FbBytes text, FbBytes *msp_id, IdentityRole *role);

/* append the text of a signature policy to the buffer: see policy_print */
extern void policy_print_rule(FbBuffer *buffer, const SignaturePolicy *policy,
							  const PolicyRule *rule);

/* ---- evaluate.c: signers as sets of bits ---- */

#define POLICY_SIGNER_WORDS_MAX (FB_POLICY_SIGNATURES_MAX / 64)

/*
 * Signers whose comparison with a principal and whose signature are separate questions, so that a
 * policy of many rules asks each only once: rules that name the same principal share the set of
 * signers that match it, and a signer that turned out not to be valid is never looked at again.
 */
typedef struct PolicySigners
{
	size_t count;	   /* at most FB_POLICY_SIGNATURES_MAX */
	PolicyMatch match; /* by the principal alone */
	bool (*valid)(void *context, size_t signer_index);
	void *context;
	uint64_t bad[POLICY_SIGNER_WORDS_MAX]; /* not valid: kept for all evaluations */

	/*
	 * of the signature policy that is being evaluated: for each principal whether it was compared,
	 * and with whom it matches
	 */
	FbAllocator *allocator;
	size_t capacity; /* principals that there is space for */
	uint8_t *compared;
	uint64_t *matching; /* (count + 63) / 64 words for each principal */
} PolicySigners;

/* as policy_evaluate_match. Errors: FB_OUT_OF_MEMORY */
extern FbStatus policy_evaluate_signers(const Policy *policy, PolicySigners *signers,
										bool *satisfied, FbError *error);

typedef enum PolicyKind
{
	POLICY_SIGNATURE,
	POLICY_IMPLICIT_META
} PolicyKind;

/*
 * A policy that can be evaluated. An ImplicitMeta policy refers to one policy of each sub-group of
 * its group; NULL where a sub-group has none of that name: it counts, and never passes.
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
