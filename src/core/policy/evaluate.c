/*
 * Evaluation exactly as Fabric's common/cauthdsl/cauthdsl.go: greedy, in the order of rules and signers, with the use of signers given back
 * where a rule fails, and without backtracking. Also evaluation with role names instead of identities.
 */
#include "core/policy/policy_internal.h"

#include <stdio.h>

#define USED_WORDS (FB_POLICY_SIGNATURES_MAX / 64)

/* which signers have been used up by a principal; one identity satisfies at most one of the whole tree */
typedef struct UsedSet
{
	uint64_t	words[USED_WORDS];
} UsedSet;

typedef struct Evaluation
{
	const SignaturePolicy *policy;
	size_t		signers_count;
	PolicyMatch match;
	void	   *context;
} Evaluation;

static bool
evaluate_principal(const Evaluation *evaluation, int32_t signed_by, UsedSet *used)
{
	const Principal *principal = evaluation->policy->principals[signed_by];

	if (principal == NULL)
		return false;
	for (size_t i = 0; i < evaluation->signers_count; i++)
	{
		uint64_t	bit = UINT64_C(1) << (i % 64);

		if ((used->words[i / 64] & bit) == 0 && evaluation->match(evaluation->context, i, principal))
		{
			used->words[i / 64] |= bit;
			return true;
		}
	}
	return false;
}

static bool
evaluate_rule(const Evaluation *evaluation, const PolicyRule *rule, UsedSet *used)
{
	int64_t		satisfied = 0;

	if (rule->signed_by >= 0)
		return evaluate_principal(evaluation, rule->signed_by, used);

	/* all rules, also when enough are satisfied: later ones still use up signers, and that decides about rules further on */
	for (size_t i = 0; i < rule->rules_count; i++)
	{
		UsedSet		attempt = *used;

		if (evaluate_rule(evaluation, &rule->rules[i], &attempt))
		{
			satisfied++;
			*used = attempt;
		}
	}
	return satisfied >= rule->needed;
}

bool
signature_policy_evaluate(const SignaturePolicy *policy, size_t signers_count, PolicyMatch match, void *context)
{
	Evaluation	evaluation = {policy, signers_count, match, context};
	UsedSet		used;

	if (evaluation.signers_count > FB_POLICY_SIGNATURES_MAX)
		evaluation.signers_count = FB_POLICY_SIGNATURES_MAX;
	memset(&used, 0, sizeof(used));
	return evaluate_rule(&evaluation, &policy->rule, &used);
}

/*
 * ImplicitMeta (common/policies/implicitmeta.go): every member policy sees all signers. A policy refers only to policies of sub-groups, so the
 * recursion ends with the tree, whose depth the gate has limited.
 */
bool
policy_evaluate_match(const Policy *policy, size_t signers_count, PolicyMatch match, void *context)
{
	size_t		satisfied = 0;

	if (policy == NULL)
		return false;
	if (policy->kind == POLICY_SIGNATURE)
		return signature_policy_evaluate(policy->signature, signers_count, match, context);
	for (size_t i = 0; i < policy->members_count && satisfied < policy->threshold; i++)
		if (policy_evaluate_match(policy->members[i], signers_count, match, context))
			satisfied++;
	return satisfied >= policy->threshold;
}

/* ---- signers that are only names: 'MSPID.role' ---- */

typedef struct NamedSigner
{
	const char *msp_id;
	IdentityRole role;
} NamedSigner;

static bool
match_named(void *context, size_t signer_index, const Principal *principal)
{
	const NamedSigner *signer = &((const NamedSigner *) context)[signer_index];

	if (principal->impossible)
		return false;
	if (principal->kind == PRINCIPAL_COMBINED)
	{
		for (size_t i = 0; i < principal->parts_count; i++)
			if (!match_named(context, signer_index, principal->parts[i]))
				return false;
		return true;
	}
	return principal->kind == PRINCIPAL_ROLE && strcmp(principal->msp_id, signer->msp_id) == 0 &&
		(principal->role == IDENTITY_MEMBER || principal->role == signer->role);
}

FbStatus
policy_satisfied(FbAllocator *allocator, FbBytes envelope, const FbBytes *principals, size_t principals_count, bool *satisfied,
				 FbError *error)
{
	SignaturePolicy *policy;
	NamedSigner *signers;

	*satisfied = false;
	if (principals_count > FB_POLICY_SIGNATURES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d principals", FB_POLICY_SIGNATURES_MAX);
	FB_TRY(signature_policy_decode(allocator, envelope, &policy, error));
	signers = fb_allocate_array(allocator, principals_count, sizeof(*signers));
	if (signers == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < principals_count; i++)
	{
		FbBytes		msp_id;

		if (!policy_parse_principal(principals[i], &msp_id, &signers[i].role))
		{
			fb_fail(error, FB_INVALID_ARGUMENT, "invalid principal \"%s\"", FB_DISPLAY(principals[i]));
			fb_error_hint(error, "A principal is MSPID.role; roles are admin, member, client, peer and orderer, in lower case.");
			return FB_INVALID_ARGUMENT;
		}
		signers[i].msp_id = fb_text_copy(allocator, msp_id);
		if (signers[i].msp_id == NULL)
			return fb_out_of_memory(error);
	}
	*satisfied = signature_policy_evaluate(policy, principals_count, match_named, signers);
	return FB_OK;
}
