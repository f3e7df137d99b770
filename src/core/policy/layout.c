/*
 * Layouts: the smallest sets of endorsers that satisfy policies.
 *
 * Sets are tried in the order of their size, starting at a lower bound that follows from the shape
 * of the policies, and within a size in the order of preference. Each set is tested by evaluating
 * the policies with it: in greedy evaluation a set may satisfy a policy that a larger one does not,
 * so nothing can be concluded from one set about another. The work is bounded by a budget of
 * comparisons. If it is exhausted without a result, endorsers are dropped one by one from the whole
 * list, least preferred first, as long as the rest satisfies the policies.
 */
#include "core/policy/policy_internal.h"

#include <stdlib.h>

/*
 * Budget of comparisons of a principal with an endorser, and of visited rules: about 50 ms.
 * Networks of up to 12 organizations need less than a hundredth of it.
 */
#define LAYOUT_STEPS_MAX 4000000

#define BOUND_NEVER UINT32_MAX

typedef struct LayoutSearch
{
	FbAllocator *allocator;
	const Policy *const *policies;
	size_t policies_count;
	const PolicyEndorser *endorsers;
	size_t endorsers_count;
	size_t rules_count; /* of all policies: the cost of one evaluation */
	uint64_t steps;

	/* the set that is being tested */
	uint32_t chosen[FB_POLICY_ENDORSERS_MAX];
	size_t chosen_count;

	PolicyLayout *layouts;
	size_t layouts_count;
	size_t layouts_max;
	uint32_t *masks; /* the same as a set of bits */
	FbError *error;
} LayoutSearch;

/*
 * An endorser has the role peer. Its organizational units are not known here, so a principal that
 * names one does not match it.
 */
static bool
endorser_matches(const PolicyEndorser *endorser, const Principal *principal)
{
	if (principal->impossible)
		return false; /* a part of a combined principal; other principals do not get here */
	switch (principal->kind)
	{
		case PRINCIPAL_ROLE:
			return strcmp(principal->msp_id, endorser->msp_id) == 0 &&
				   (principal->role == IDENTITY_MEMBER || principal->role == IDENTITY_PEER);
		case PRINCIPAL_IDENTITY:
			return endorser->identity.size > 0 &&
				   fb_bytes_equal(principal->serialized, endorser->identity);
		case PRINCIPAL_ANONYMITY:
			return !principal->anonymous;
		case PRINCIPAL_COMBINED:
			for (size_t i = 0; i < principal->parts_count; i++)
				if (!endorser_matches(endorser, principal->parts[i]))
					return false;
			return true;
		case PRINCIPAL_ORGANIZATION_UNIT:
			break;
	}
	return false;
}

static bool
match_chosen(void *context, size_t signer_index, const Principal *principal)
{
	LayoutSearch *search = context;

	search->steps++;
	return endorser_matches(&search->endorsers[search->chosen[signer_index]], principal);
}

static bool
chosen_satisfies(LayoutSearch *search)
{
	search->steps += search->rules_count;
	for (size_t i = 0; i < search->policies_count; i++)
		if (!policy_evaluate_match(search->policies[i], search->chosen_count, match_chosen, search))
			return false;
	return true;
}

/* ---- bounds from the shape of a policy ---- */

/* Which endorsers are useful, and how many are needed at least. */

static uint32_t
endorsers_of_principal(const LayoutSearch *search, const Principal *principal)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < search->endorsers_count && principal != NULL; i++)
		if (endorser_matches(&search->endorsers[i], principal))
			mask |= UINT32_C(1) << i;
	return mask;
}

static uint32_t
endorsers_of_policy(const LayoutSearch *search, const Policy *policy)
{
	uint32_t mask = 0;

	if (policy == NULL)
		return 0;
	if (policy->kind == POLICY_SIGNATURE)
		for (size_t i = 0; i < policy->signature->principals_count; i++)
			mask |= endorsers_of_principal(search, policy->signature->principals[i]);
	else
		for (size_t i = 0; i < policy->members_count; i++)
			mask |= endorsers_of_policy(search, policy->members[i]);
	return mask;
}

static int
compare_bounds(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *) a;
	uint32_t right = *(const uint32_t *) b;

	return left < right ? -1 : left > right;
}

/*
 * Combine the `needed` smallest of bounds[]: their sum when no endorser can serve two of them,
 * otherwise the largest of them.
 */
static uint32_t
combine_bounds(uint32_t *bounds, size_t bounds_count, size_t needed, bool distinct)
{
	uint64_t sum = 0;

	if (needed > bounds_count)
		return BOUND_NEVER;
	if (needed == 0)
		return 0;
	qsort(bounds, bounds_count, sizeof(bounds[0]), compare_bounds);
	if (bounds[needed - 1] == BOUND_NEVER)
		return BOUND_NEVER;
	if (!distinct)
		return bounds[needed - 1];
	for (size_t i = 0; i < needed; i++)
		sum += bounds[i];
	return sum > FB_POLICY_ENDORSERS_MAX ? BOUND_NEVER : (uint32_t) sum;
}

/* each principal uses an endorser of its own, so the bounds of an operator's rules add up */
static FbStatus
bound_of_rule(LayoutSearch *search, const SignaturePolicy *policy, const PolicyRule *rule,
			  uint32_t *bound)
{
	uint32_t *bounds;

	search->rules_count++;
	if (rule->signed_by >= 0)
	{
		*bound = endorsers_of_principal(search, policy->principals[rule->signed_by]) != 0
					 ? 1
					 : BOUND_NEVER;
		return FB_OK;
	}
	bounds = fb_allocate_array(search->allocator, rule->rules_count, sizeof(*bounds));
	if (bounds == NULL)
		return fb_out_of_memory(search->error);
	for (size_t i = 0; i < rule->rules_count; i++)
		FB_TRY(bound_of_rule(search, policy, &rule->rules[i], &bounds[i]));
	*bound = combine_bounds(bounds, rule->rules_count, rule->needed > 0 ? (size_t) rule->needed : 0,
							true);
	fb_release(search->allocator, bounds);
	return FB_OK;
}

static FbStatus
bound_of_policy(LayoutSearch *search, const Policy *policy, uint32_t *bound)
{
	uint32_t *bounds;
	uint32_t seen = 0;
	bool distinct = true;

	*bound = BOUND_NEVER;
	if (policy == NULL)
		return FB_OK;
	if (policy->kind == POLICY_SIGNATURE)
		return bound_of_rule(search, policy->signature, &policy->signature->rule, bound);
	bounds = fb_allocate_array(search->allocator, policy->members_count, sizeof(*bounds));
	if (bounds == NULL)
		return fb_out_of_memory(search->error);
	for (size_t i = 0; i < policy->members_count; i++)
	{
		uint32_t mask = endorsers_of_policy(search, policy->members[i]);

		FB_TRY(bound_of_policy(search, policy->members[i], &bounds[i]));
		if ((mask & seen) != 0)
			distinct = false;
		seen |= mask;
	}
	*bound = combine_bounds(bounds, policy->members_count, policy->threshold, distinct);
	fb_release(search->allocator, bounds);
	return FB_OK;
}

/* ---- the search ---- */

static FbStatus
keep_chosen(LayoutSearch *search)
{
	uint32_t *endorsers =
		fb_allocate_array(search->allocator, search->chosen_count, sizeof(*endorsers));
	uint32_t mask = 0;

	FB_ASSERT(search->layouts_count < search->layouts_max);
	if (endorsers == NULL)
		return fb_out_of_memory(search->error);
	for (size_t i = 0; i < search->chosen_count; i++)
	{
		FB_ASSERT(search->chosen[i] < FB_POLICY_ENDORSERS_MAX);
		endorsers[i] = search->chosen[i];
		mask |= UINT32_C(1) << search->chosen[i];
	}
	search->masks[search->layouts_count] = mask;
	search->layouts[search->layouts_count++] = (PolicyLayout) {search->chosen_count, endorsers};
	return FB_OK;
}

static bool
contains_known_layout(const LayoutSearch *search)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < search->chosen_count; i++)
		mask |= UINT32_C(1) << search->chosen[i];
	for (size_t i = 0; i < search->layouts_count; i++)
		if ((search->masks[i] & ~mask) == 0)
			return true;
	return false;
}

/*
 * Try all sets of this size of the candidates, in lexicographic order, until there are enough
 * layouts or the budget is exhausted.
 */
static FbStatus
search_size(LayoutSearch *search, const uint32_t *candidates, size_t candidates_count, size_t size)
{
	size_t places[FB_POLICY_ENDORSERS_MAX];

	for (size_t i = 0; i < size; i++)
		places[i] = i;
	for (;;)
	{
		size_t i = size;

		for (size_t k = 0; k < size; k++)
			search->chosen[k] = candidates[places[k]];
		search->chosen_count = size;
		search->steps++;
		if (!contains_known_layout(search) && chosen_satisfies(search))
			FB_TRY(keep_chosen(search));
		if (search->layouts_count == search->layouts_max || search->steps > LAYOUT_STEPS_MAX)
			return FB_OK;

		/* the next set: advance the last place that can advance */
		while (i > 0 && places[i - 1] == candidates_count - size + i - 1)
			i--;
		if (i == 0)
			return FB_OK;
		places[i - 1]++;
		for (size_t k = i; k < size; k++)
			places[k] = places[k - 1] + 1;
	}
}

/* The budget is exhausted: reduce all candidates to a minimal set. */
static FbStatus
search_by_dropping(LayoutSearch *search, const uint32_t *candidates, size_t candidates_count)
{
	memcpy(search->chosen, candidates, candidates_count * sizeof(candidates[0]));
	search->chosen_count = candidates_count;
	if (!chosen_satisfies(search))
		return FB_OK;
	for (size_t i = candidates_count; i > 0; i--)
	{
		uint32_t dropped = search->chosen[i - 1];
		size_t after = search->chosen_count - i;

		memmove(&search->chosen[i - 1], &search->chosen[i], after * sizeof(search->chosen[0]));
		search->chosen_count--;
		if (!chosen_satisfies(search))
		{
			memmove(&search->chosen[i], &search->chosen[i - 1], after * sizeof(search->chosen[0]));
			search->chosen[i - 1] = dropped;
			search->chosen_count++;
		}
	}
	return keep_chosen(search);
}

FbStatus
policy_layouts(FbAllocator *allocator, const Policy *const *policies, size_t policies_count,
			   const PolicyEndorser *endorsers, size_t endorsers_count, size_t layouts_max,
			   PolicyLayout **layouts, size_t *layouts_count, FbError *error)
{
	LayoutSearch search = {.allocator = allocator,
						   .policies = policies,
						   .policies_count = policies_count,
						   .endorsers = endorsers,
						   .endorsers_count = endorsers_count,
						   .layouts_max = layouts_max,
						   .error = error};
	uint32_t candidates[FB_POLICY_ENDORSERS_MAX];
	size_t candidates_count = 0;
	uint32_t bound = 0;
	uint32_t relevant = 0;

	*layouts = NULL;
	*layouts_count = 0;
	if (endorsers_count > FB_POLICY_ENDORSERS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "%zu endorsers, more than %d", endorsers_count,
					   FB_POLICY_ENDORSERS_MAX);
	if (layouts_max == 0)
		return FB_OK;
	for (size_t i = 0; i < policies_count; i++)
	{
		uint32_t policy_bound;

		FB_TRY(bound_of_policy(&search, policies[i], &policy_bound));
		if (policy_bound > bound)
			bound = policy_bound;
		relevant |= endorsers_of_policy(&search, policies[i]);
	}
	for (uint32_t i = 0; i < endorsers_count; i++)
		if ((relevant & UINT32_C(1) << i) != 0)
			candidates[candidates_count++] = i;
	if (bound > candidates_count)
		return FB_OK;
	search.layouts = fb_allocate_array(allocator, layouts_max, sizeof(search.layouts[0]));
	search.masks = fb_allocate_array(allocator, layouts_max, sizeof(search.masks[0]));
	if (search.layouts == NULL || search.masks == NULL)
		return fb_out_of_memory(error);
	for (size_t size = bound; size <= candidates_count && search.layouts_count < layouts_max &&
							  search.steps <= LAYOUT_STEPS_MAX;
		 size++)
	{
		FB_TRY(search_size(&search, candidates, candidates_count, size));
		if (size == 0 && search.layouts_count > 0)
			break; /* every other set contains the empty set */
	}
	if (search.layouts_count == 0 && search.steps > LAYOUT_STEPS_MAX)
		FB_TRY(search_by_dropping(&search, candidates, candidates_count));
	*layouts = search.layouts;
	*layouts_count = search.layouts_count;
	return FB_OK;
}
