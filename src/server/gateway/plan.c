/*
 * plan.c: which organisations are asked for an endorsement (GWY-2, POL-13).
 *
 * The committed definition of the chaincode tells the policy; the channel's configuration tells where the organisations' nodes are. Of the smallest sets
 * that satisfy the policy the first is taken whose members have not failed; this node's own organisation comes first.
 */
#include "server/gateway/gateway_internal.h"

#include "server/chaincode/chaincode.h"
#include "server/wire/wire.h"

#define APPROVE_FUNCTION "ApproveChaincodeDefinitionForMyOrg"

static void
add_member(EndorsementPlan *plan, const char *msp_id, const char *address)
{
	plan->members[plan->members_count++] = (PlanMember) {.msp_id = msp_id, .address = address, .slow = address != NULL && wire_is_silent(address)};
}

static bool
has_member(const EndorsementPlan *plan, const char *msp_id)
{
	for (size_t i = 0; i < plan->members_count; i++)
		if (strcmp(plan->members[i].msp_id, msp_id) == 0)
			return true;
	return false;
}

static bool
can_endorse_here(const Channel *channel, const ChaincodeDefinition *definition)
{
	char	   *package_id;

	if (!node_is_configured() || config_application_organization(channel->bundle, guc_node_msp_id) == NULL)
		return false;
	if (strcmp(definition->name, LIFECYCLE_NAMESPACE) == 0)
		return true;
	package_id = definition_package_id(channel->name, definition);
	return package_id != NULL && package_is_installed(package_id);
}

static void
add_all(EndorsementPlan *plan, const Channel *channel, const ChaincodeDefinition *definition)
{
	if (can_endorse_here(channel, definition))
		add_member(plan, guc_node_msp_id, NULL);
	for (size_t i = 0; i < channel->bundle->application_organizations_count; i++)
	{
		const char *msp_id = channel->bundle->application_organizations[i].msp_id;
		const char *address = strcmp(msp_id, guc_node_msp_id) == 0 ? NULL : channel_peer_address(channel, msp_id);

		if (address != NULL)
			add_member(plan, msp_id, address);
	}
}

static void
add_named(EndorsementPlan *plan, const Channel *channel, const ChaincodeDefinition *definition, List *organisations)
{
	ListCell   *cell;

	plan->fixed = true;
	foreach(cell, organisations)
	{
		const char *msp_id = lfirst(cell);
		bool		own = strcmp(msp_id, guc_node_msp_id) == 0;
		const char *address = own ? NULL : channel_peer_address(channel, msp_id);
		FbError		error;

		if (has_member(plan, msp_id))
			continue;
		if (own ? can_endorse_here(channel, definition) : address != NULL)
		{
			add_member(plan, msp_id, address);
			continue;
		}
		fb_fail(&error, FB_INVALID_ARGUMENT, "organisation \"%s\" cannot be asked for an endorsement", msp_id);
		fb_error_detail(&error, own ? "This node has not installed an approved package of the chaincode." :
						"It is no member of channel \"%s\", or has no anchor peer in its configuration.", channel->name);
		error_throw(&error);
	}
}

/* approving concerns one organisation alone: its own collection is written, its own node endorses (LIF-3) */
static bool
is_approval(const ProposalView *proposal)
{
	return fb_bytes_equal(proposal->chaincode_name, fb_bytes_of_text(LIFECYCLE_NAMESPACE)) && proposal->args_count > 0 &&
		fb_bytes_equal(proposal->args[0], fb_bytes_of_text(APPROVE_FUNCTION));
}

EndorsementPlan *
plan_create(const Channel *channel, const ProposalView *proposal, List *organisations)
{
	EndorsementPlan	   *plan = palloc0(sizeof(EndorsementPlan));
	ChaincodeDefinition definition;
	char	   *name;
	FbError		error;

	plan->allocator = memory_allocator(CurrentMemoryContext);
	plan->members = palloc0((channel->bundle->application_organizations_count + list_length(organisations) + 1) * sizeof(PlanMember));
	name = fb_text_copy(plan->allocator, proposal->chaincode_name);
	if (!definition_get(channel->name, name, &definition))
	{
		fb_fail(&error, FB_CHAINCODE_NOT_FOUND, "chaincode \"%s\" is not defined on channel \"%s\"", name, channel->name);
		fb_error_detail(&error, "%s", definition_list_text(channel->name));
		fb_error_hint(&error, "The view fabric.chaincodes lists the definitions; fabric.commit_chaincode makes one.");
		error_throw(&error);
	}
	if (organisations != NIL)
		add_named(plan, channel, &definition, organisations);
	else if (is_approval(proposal))
		add_named(plan, channel, &definition, list_make1(guc_node_msp_id));
	else
	{
		add_all(plan, channel, &definition);
		plan->policy = channel->bundle->lifecycle_endorsement;
		if (strcmp(name, LIFECYCLE_NAMESPACE) != 0)
			error_check(policy_from_application_policy(plan->allocator, channel->bundle->policies, definition.validation_parameter, &plan->policy,
													   &error), &error);
	}
	return plan;
}

static bool
choose_fixed(EndorsementPlan *plan, const uint32_t **members, size_t *members_count)
{
	uint32_t   *all = palloc(plan->members_count * sizeof(uint32_t) + 1);

	for (size_t i = 0; i < plan->members_count; i++)
	{
		if (plan->members[i].failed || plan->members[i].differs)
			return false;
		all[i] = (uint32_t) i;
	}
	*members = all;
	*members_count = plan->members_count;
	return plan->members_count > 0;
}

static bool
choose_among(EndorsementPlan *plan, bool slow_too, const uint32_t **members, size_t *members_count)
{
	PolicyEndorser *endorsers = palloc0(plan->members_count * sizeof(PolicyEndorser) + 1);
	uint32_t   *places = palloc(plan->members_count * sizeof(uint32_t) + 1);
	uint32_t   *chosen;
	size_t		endorsers_count = 0;
	PolicyLayout *layouts;
	size_t		layouts_count;
	FbError		error;

	for (size_t i = 0; i < plan->members_count && endorsers_count < FB_POLICY_ENDORSERS_MAX; i++)
		if (!plan->members[i].failed && !plan->members[i].differs && (slow_too || !plan->members[i].slow))
		{
			endorsers[endorsers_count].msp_id = plan->members[i].msp_id;
			places[endorsers_count++] = (uint32_t) i;
		}
	error_check(policy_layouts(plan->allocator, &plan->policy, 1, endorsers, endorsers_count, 1, &layouts, &layouts_count, &error), &error);
	if (layouts_count == 0 || endorsers_count == 0)
		return false;
	chosen = palloc((layouts[0].endorsers_count + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < layouts[0].endorsers_count; i++)
		chosen[i] = places[layouts[0].endorsers[i]];
	/* a policy that nobody has to satisfy: somebody has to execute the function all the same */
	if (layouts[0].endorsers_count == 0)
		chosen[0] = places[0];
	*members = chosen;
	*members_count = Max(layouts[0].endorsers_count, 1);
	return true;
}

bool
plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count)
{
	if (plan->fixed)
		return choose_fixed(plan, members, members_count);
	return choose_among(plan, false, members, members_count) || choose_among(plan, true, members, members_count);
}
