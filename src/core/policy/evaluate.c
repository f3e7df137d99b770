/*
 * evaluate.c: evaluation exactly as in Fabric's common/cauthdsl/cauthdsl.go: greedy, in the order
 * of rules and signers; a failing rule releases the signers that it used; no backtracking. Also
 * evaluation with role names instead of identities.
 */
#include "core/policy/policy_internal.h"

#include <stdio.h>

/*
 * The signers that principals have used: one identity satisfies at most one principal of the whole
 * tree.
 */
typedef struct UsedSet
{
	uint64_t words[POLICY_SIGNER_WORDS_MAX];
} UsedSet;

typedef struct Evaluation
{
	const SignaturePolicy *policy;
	size_t signers_count;
	size_t words_count; /* number of used words in a UsedSet */
	PolicyMatch match;
	void *context;
	PolicySigners *signers; /* NULL: match alone decides, and is called for each rule */
} Evaluation;

/* the signers that match the principal, as a set of bits */
static uint64_t *
matching_signers(const Evaluation *evaluation, int32_t signed_by)
{
	PolicySigners *signers = evaluation->signers;
	uint64_t *words = signers->matching + (size_t) signed_by * evaluation->words_count;

	if (signers->compared[signed_by])
		return words;
	signers->compared[signed_by] = 1;
	memset(words, 0, evaluation->words_count * sizeof(uint64_t));
	for (size_t i = 0; i < evaluation->signers_count; i++)
	{
		uint64_t bit = UINT64_C(1) << (i % 64);

		if ((signers->bad[i / 64] & bit) == 0 &&
			signers->match(signers->context, i, evaluation->policy->principals[signed_by]))
			words[i / 64] |= bit;
	}
	return words;
}

/* Take the first signer that matches, is not used and is valid, in the order of the signatures. */
static bool
take_signer(const Evaluation *evaluation, int32_t signed_by, UsedSet *used)
{
	PolicySigners *signers = evaluation->signers;
	const uint64_t *matching = matching_signers(evaluation, signed_by);

	for (size_t word = 0; word < evaluation->words_count; word++)
	{
		uint64_t left = matching[word] & ~used->words[word] & ~signers->bad[word];

		while (left != 0)
		{
			uint64_t bit = left & -left;

			if (signers->valid(signers->context, word * 64 + (size_t) __builtin_ctzll(left)))
			{
				used->words[word] |= bit;
				return true;
			}
			signers->bad[word] |= bit;
			left &= ~bit;
		}
	}
	return false;
}

static bool
evaluate_principal(const Evaluation *evaluation, int32_t signed_by, UsedSet *used)
{
	const Principal *principal;

	/* the decoder refuses a rule with a principal that does not exist */
	FB_ASSERT((size_t) signed_by < evaluation->policy->principals_count);
	principal = evaluation->policy->principals[signed_by];
	if (principal == NULL)
		return false;
	if (evaluation->signers != NULL)
		return take_signer(evaluation, signed_by, used);
	for (size_t i = 0; i < evaluation->signers_count; i++)
	{
		uint64_t bit = UINT64_C(1) << (i % 64);

		if ((used->words[i / 64] & bit) == 0 &&
			evaluation->match(evaluation->context, i, principal))
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
	size_t used_bytes = evaluation->words_count * sizeof(uint64_t);
	int64_t satisfied = 0;

	/* a principal that is not satisfied uses no signer */
	if (rule->signed_by >= 0)
		return evaluate_principal(evaluation, rule->signed_by, used);

	/*
	 * evaluate all rules, even when enough are satisfied: later ones still use signers, which
	 * affects the rules after them
	 */
	for (size_t i = 0; i < rule->rules_count; i++)
	{
		UsedSet before;

		memcpy(before.words, used->words, used_bytes);
		if (evaluate_rule(evaluation, &rule->rules[i], used))
			satisfied++;
		else
			memcpy(used->words, before.words, used_bytes);
	}
	return satisfied >= rule->needed;
}

static bool
evaluate_tree(Evaluation *evaluation)
{
	UsedSet used;

	if (evaluation->signers_count > FB_POLICY_SIGNATURES_MAX)
		evaluation->signers_count = FB_POLICY_SIGNATURES_MAX;
	evaluation->words_count = (evaluation->signers_count + 63) / 64;
	FB_ASSERT(evaluation->words_count * sizeof(used.words[0]) <= sizeof(used.words));
	memset(&used, 0, sizeof(used));
	return evaluate_rule(evaluation, &evaluation->policy->rule, &used);
}

bool
signature_policy_evaluate(const SignaturePolicy *policy, size_t signers_count, PolicyMatch match,
						  void *context)
{
	Evaluation evaluation = {.policy = policy,
							 .signers_count = signers_count,
							 .match = match,
							 .context = context};

	return evaluate_tree(&evaluation);
}

/*
 * ImplicitMeta (common/policies/implicitmeta.go): every member policy gets all signers. A policy
 * refers only to policies of sub-groups, so the depth of the recursion is that of the tree, which
 * the decoder has limited.
 */
bool
policy_evaluate_match(const Policy *policy, size_t signers_count, PolicyMatch match, void *context)
{
	size_t satisfied = 0;

	if (policy == NULL)
		return false;
	if (policy->kind == POLICY_SIGNATURE)
		return signature_policy_evaluate(policy->signature, signers_count, match, context);
	for (size_t i = 0; i < policy->members_count && satisfied < policy->threshold; i++)
		if (policy_evaluate_match(policy->members[i], signers_count, match, context))
			satisfied++;
	return satisfied >= policy->threshold;
}

/* ---- signers with signatures ---- */

/* Make space for the comparisons of a policy's principals, and mark all as not made. */
static FbStatus
prepare_comparisons(PolicySigners *signers, size_t principals_count, FbError *error)
{
	size_t words_count = (signers->count + 63) / 64;

	if (signers->capacity < principals_count)
	{
		fb_release(signers->allocator, signers->compared);
		fb_release(signers->allocator, signers->matching);
		signers->capacity = 0;
		signers->compared = fb_allocate_array(signers->allocator, principals_count, 1);
		signers->matching =
			fb_allocate_array(signers->allocator, principals_count, words_count * sizeof(uint64_t));
		if (signers->compared == NULL || signers->matching == NULL)
			return fb_out_of_memory(error);
		signers->capacity = principals_count;
	}
	if (principals_count > 0)
		memset(signers->compared, 0, principals_count);
	return FB_OK;
}

FbStatus
policy_evaluate_signers(const Policy *policy, PolicySigners *signers, bool *satisfied,
						FbError *error)
{
	size_t passed = 0;

	*satisfied = false;
	if (policy == NULL)
		return FB_OK;
	if (policy->kind == POLICY_SIGNATURE)
	{
		Evaluation evaluation = {.policy = policy->signature,
								 .signers_count = signers->count,
								 .signers = signers};

		FB_TRY(prepare_comparisons(signers, policy->signature->principals_count, error));
		*satisfied = evaluate_tree(&evaluation);
		return FB_OK;
	}
	for (size_t i = 0; i < policy->members_count && passed < policy->threshold; i++)
	{
		bool member_satisfied;

		FB_TRY(policy_evaluate_signers(policy->members[i], signers, &member_satisfied, error));
		passed += member_satisfied;
	}
	*satisfied = passed >= policy->threshold;
	return FB_OK;
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
policy_satisfied(FbAllocator *allocator, FbBytes envelope, const FbBytes *principals,
				 size_t principals_count, bool *satisfied, FbError *error)
{
	SignaturePolicy *policy;
	NamedSigner *signers;

	*satisfied = false;
	if (principals_count > FB_POLICY_SIGNATURES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d principals",
					   FB_POLICY_SIGNATURES_MAX);
	FB_TRY(signature_policy_decode(allocator, envelope, &policy, error));
	signers = fb_allocate_array(allocator, principals_count, sizeof(*signers));
	if (signers == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < principals_count; i++)
	{
		FbBytes msp_id;

		if (!policy_parse_principal(principals[i], &msp_id, &signers[i].role))
		{
			fb_fail(error, FB_INVALID_ARGUMENT, "invalid principal \"%s\"",
					FB_DISPLAY(principals[i]));
			fb_error_hint(
				error,
				"A principal is MSPID.role; roles are admin, member, client, peer and orderer, in lower case.");
			return FB_INVALID_ARGUMENT;
		}
		signers[i].msp_id = fb_text_copy(allocator, msp_id);
		if (signers[i].msp_id == NULL)
			return fb_out_of_memory(error);
	}
	*satisfied = signature_policy_evaluate(policy, principals_count, match_named, signers);
	return FB_OK;
}
