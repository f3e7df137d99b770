/*
 * layouts.c: which nodes can endorse a call, and in which combinations, for users and for clients
 * that choose organizations themselves
 */
#include "server/gateway/gateway_internal.h"

#include "utils/snapmgr.h"

#include "server/endorse/endorse.h"

/* more combinations than a user reads; policies such as "6 of 12" have some hundreds */
#define LAYOUTS_MAX 256

/* convert the names that the client gives to the interest of a call */
static InterestCall *
list_interest(const Channel *channel, const EndorsementPlan *plan, const GatewayInterest *interest,
			  size_t *count)
{
	InterestCall *calls = palloc0((interest->collections_count + 1) * sizeof(InterestCall));
	FbBytes name = fb_bytes_of_text(plan->definition.name);

	*count = 0;
	if (interest->keys_count > 0)
		interest_of_keys(channel, name, interest->keys, interest->keys_count, plan->allocator,
						 &calls[(*count)++]);
	for (size_t i = 0; i < interest->collections_count; i++)
		calls[(*count)++] = (InterestCall) {.name = name,
											.collection = interest->collections[i],
											.no_private_reads = interest->no_private_reads,
											.policy_needed = true};
	return calls;
}

static void
check_collections(const Channel *channel, const EndorsementPlan *plan,
				  const GatewayInterest *interest)
{
	for (size_t i = 0; i < interest->collections_count; i++)
	{
		if (needs_collection_exists(channel, &plan->definition, interest->collections[i],
									plan->allocator))
			continue;
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("chaincode \"%s\" has no collection \"%s\"", plan->definition.name,
						error_excerpt(fb_text_copy(plan->allocator, interest->collections[i])))));
	}
}

/* only members of a collection can read its private data, so only they can endorse such a call */
static void
drop_nonmembers(const Channel *channel, EndorsementPlan *plan, const GatewayInterest *interest)
{
	for (size_t i = 0; i < plan->members_count && !interest->no_private_reads; i++)
		for (size_t c = 0; c < interest->collections_count; c++)
			if (!needs_is_member(channel, &plan->definition, interest->collections[c],
								 plan->members[i].msp_id, plan->allocator))
				plan->members[i].failed = true;
}

static void
describe_policies(const EndorsementPlan *plan, GatewayPlan *result)
{
	FbError error;

	result->policies_count = plan->policies_count;
	result->policies = palloc0(plan->policies_count * sizeof(char *) + 1);
	for (size_t i = 0; i < plan->policies_count; i++)
		error_check(policy_describe(plan->allocator, plan->policies[i], &result->policies[i],
									&error),
					&error);
}

/* the group of a member: the index of its organization's first member */
static size_t
group_of(const EndorsementPlan *plan, size_t member)
{
	size_t group = 0;

	while (strcmp(plan->members[group].msp_id, plan->members[member].msp_id) != 0)
		group++;
	return group;
}

static GatewayLayout
count_groups(const EndorsementPlan *plan, const PolicyLayout *layout)
{
	GatewayLayout result = {0};

	result.groups = palloc(layout->endorsers_count * sizeof(size_t) + 1);
	result.quantities = palloc(layout->endorsers_count * sizeof(uint32) + 1);
	/* the members of one organization are adjacent */
	for (size_t i = 0; i < layout->endorsers_count; i++)
	{
		size_t group = group_of(plan, layout->endorsers[i]);

		if (result.groups_count > 0 && result.groups[result.groups_count - 1] == group)
		{
			result.quantities[result.groups_count - 1]++;
			continue;
		}
		result.groups[result.groups_count] = group;
		result.quantities[result.groups_count++] = 1;
	}
	return result;
}

static bool
has_layout(const GatewayPlan *plan, const GatewayLayout *layout)
{
	for (size_t l = 0; l < plan->layouts_count; l++)
	{
		const GatewayLayout *known = &plan->layouts[l];

		if (known->groups_count == layout->groups_count &&
			memcmp(known->groups, layout->groups, layout->groups_count * sizeof(size_t)) == 0 &&
			memcmp(known->quantities, layout->quantities, layout->groups_count * sizeof(uint32)) ==
				0)
			return true;
	}
	return false;
}

/* sets of different nodes of the same organizations are listed once */
static void
list_layouts(EndorsementPlan *plan, GatewayPlan *result)
{
	PolicyLayout *layouts;
	size_t layouts_count;

	plan_list_layouts(plan, LAYOUTS_MAX, &layouts, &layouts_count);
	result->layouts = palloc0(layouts_count * sizeof(GatewayLayout) + 1);
	for (size_t l = 0; l < layouts_count; l++)
	{
		GatewayLayout layout = count_groups(plan, &layouts[l]);

		if (!has_layout(result, &layout))
			result->layouts[result->layouts_count++] = layout;
	}
}

void
gateway_plan(const char *channel_name, const char *chaincode, const GatewayInterest *interest,
			 GatewayPlan *result)
{
	const Channel *channel = channel_open(channel_name);
	EndorsementPlan *plan;
	InterestCall *calls;
	size_t calls_count;

	PushActiveSnapshot(GetLatestSnapshot());
	plan = plan_create_for_chaincode(channel, chaincode);
	check_collections(channel, plan, interest);
	calls = list_interest(channel, plan, interest, &calls_count);
	(void) plan_set_interest(plan, channel, calls, calls_count);
	drop_nonmembers(channel, plan, interest);
	PopActiveSnapshot();
	memset(result, 0, sizeof(*result));
	describe_policies(plan, result);
	result->endorsers = palloc0(plan->members_count * sizeof(GatewayEndorser) + 1);
	list_layouts(plan, result);
	for (size_t i = 0; i < plan->members_count; i++)
	{
		const PlanMember *member = &plan->members[i];

		result->endorsers[result->endorsers_count++] = (GatewayEndorser) {
			.msp_id = member->msp_id,
			.address = member->address != NULL ? member->address : candidate_own_address(channel),
			.height = member->address == NULL ? height_of_node(channel) : 0,
			.group = group_of(plan, i),
		};
	}
}
