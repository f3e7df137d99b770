/*
 * plan.c: choose the nodes that are asked for an endorsement.
 *
 * The committed definition of the chaincode names the policy; the channel's configuration names the
 * organizations' nodes. The plan takes the smallest set of organizations that satisfies the policy
 * and in which each organization has a node that has not failed. It prefers this node's own
 * organization, and in it this node. One node of each organization is asked, in the order of
 * candidates.c. If it fails, the next node of the organization replaces it, and if there is none,
 * another set of organizations is chosen. Several nodes of one organization are asked at once only
 * if a policy wants several identities of one organization, as in Fabric, whose layouts have a
 * quantity for each group. When it is known what the transaction touches, the policies of keys and
 * collections are added (plan_set_interest).
 */
#include "server/gateway/gateway_internal.h"

static void
add_member(EndorsementPlan *plan, const char *msp_id, const char *address, bool slow)
{
	plan->members[plan->members_count++] =
		(PlanMember) {.msp_id = msp_id, .address = address, .slow = slow};
}

/* the other nodes of an organization */
static void
add_candidates(EndorsementPlan *plan, const Channel *channel, const char *msp_id, FbBytes call_name)
{
	ListCell *cell;

	foreach(cell, candidates_of_organization(channel, msp_id,
											 fb_bytes_of_text(plan->definition.name), call_name))
	{
		const Candidate *candidate = lfirst(cell);

		add_member(plan, msp_id, candidate->address, candidate->avoid);
	}
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
	char *package_id;

	if (!node_is_configured() ||
		config_application_organization(channel->bundle, guc_node_msp_id) == NULL)
		return false;
	if (system_chaincode_find(fb_bytes_of_text(definition->name)) != NULL)
		return true;
	package_id = definition_package_id(channel->name, definition);
	return package_id != NULL && package_is_installed(package_id);
}

static void
add_all(EndorsementPlan *plan, const Channel *channel, FbBytes call_name)
{
	const ConfigBundle *bundle = channel->bundle;

	if (can_endorse_here(channel, &plan->definition))
		add_member(plan, guc_node_msp_id, NULL, false);
	add_candidates(plan, channel, guc_node_msp_id, call_name);
	for (size_t i = 0; i < bundle->application_organizations_count; i++)
		if (strcmp(bundle->application_organizations[i].msp_id, guc_node_msp_id) != 0)
			add_candidates(plan, channel, bundle->application_organizations[i].msp_id, call_name);
}

static void
add_named(EndorsementPlan *plan, const Channel *channel, List *organizations, FbBytes call_name)
{
	ListCell *cell;

	plan->fixed = true;
	foreach(cell, organizations)
	{
		const char *msp_id = lfirst(cell);
		bool own = strcmp(msp_id, guc_node_msp_id) == 0;

		if (has_member(plan, msp_id))
			continue;
		if (own && can_endorse_here(channel, &plan->definition))
			add_member(plan, msp_id, NULL, false);
		add_candidates(plan, channel, msp_id, call_name);
		if (has_member(plan, msp_id))
			continue;
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("organization \"%s\" cannot be asked for an endorsement",
					error_excerpt(msp_id)),
			 own ? errdetail("This node has not installed an approved package of the chaincode.")
				 : errdetail(
					   "It is not a member of channel \"%s\", or the configuration has no anchor peer for it.",
					   channel->name)));
	}
}

/*
 * The only member is this node: which definition this organization has approved is known only to
 * the node that endorses it, until the organization's other nodes get the block.
 */
static void
add_this_node(EndorsementPlan *plan, const Channel *channel)
{
	plan->fixed = true;
	if (can_endorse_here(channel, &plan->definition))
	{
		add_member(plan, guc_node_msp_id, NULL, false);
		return;
	}
	ereport(
		ERROR,
		(fb_errcode(FB_INVALID_ARGUMENT),
		 errmsg("organization \"%s\" cannot approve chaincode on channel \"%s\"", guc_node_msp_id,
				channel->name),
		 errdetail(
			 "It is not an application organization of the channel, or this node is not configured.")));
}

/* Does the call concern the caller's organization alone? Then its own node endorses. */
static bool
concerns_caller_alone(const ProposalView *proposal)
{
	const SystemChaincode *system = system_chaincode_find(proposal->chaincode_name);

	return system != NULL && system->concerns_caller != NULL && proposal->args_count > 0 &&
		   system->concerns_caller(proposal->args[0]);
}

static EndorsementPlan *
make_plan(const Channel *channel, const char *chaincode)
{
	EndorsementPlan *plan = palloc0(sizeof(EndorsementPlan));
	size_t members_max = 1;

	for (size_t i = 0; i < channel->bundle->application_organizations_count; i++)
		members_max += channel->bundle->application_organizations[i].anchors_count;
	plan->allocator = memory_allocator(CurrentMemoryContext);
	plan->members = palloc0(members_max * sizeof(PlanMember));
	if (!definition_get(channel->name, chaincode, &plan->definition))
		ereport(
			ERROR,
			(fb_errcode(FB_CHAINCODE_NOT_FOUND),
			 errmsg("chaincode \"%s\" is not defined on channel \"%s\"", error_excerpt(chaincode),
					channel->name),
			 errdetail_internal("%s", definition_list_text(channel->name)),
			 errhint(
				 "The view fabric.chaincodes lists the definitions; fabric.commit_chaincode makes one.")));
	return plan;
}

/*
 * Is only the chaincode's own policy needed? This holds for most transactions, and for _lifecycle,
 * whose interest is always empty.
 */
static bool
is_plain(const EndorsementPlan *plan, const InterestCall *calls, size_t calls_count)
{
	for (size_t i = 0; i < calls_count; i++)
		if (calls[i].collection.size > 0 || !calls[i].policy_needed ||
			calls[i].key_policies_count > 0 ||
			!fb_bytes_equal(calls[i].name, fb_bytes_of_text(plan->definition.name)))
			return false;
	return true;
}

bool
plan_set_interest(EndorsementPlan *plan, const Channel *channel, const InterestCall *calls,
				  size_t calls_count)
{
	bool plain = is_plain(plan, calls, calls_count);

	if (plan->fixed || (plain && plan->plain))
		return false;
	plan->plain = plain;
	needs_of_interest(channel, &plan->definition, calls, calls_count, plan->allocator,
					  &plan->policies, &plan->policies_count);
	return true;
}

FbBytes
plan_call_name(const ProposalView *proposal)
{
	FbBytes function = proposal->args_count > 0 ? proposal->args[0] : FB_BYTES_EMPTY;
	StringInfoData name;

	initStringInfo(&name);
	appendBinaryStringInfo(&name, (const char *) proposal->chaincode_name.data,
						   (int) proposal->chaincode_name.size);
	appendStringInfoChar(&name, '\0');
	/* cut, because the argument can have any content and size */
	appendBinaryStringInfo(&name, (const char *) function.data,
						   (int) Min(function.size, NAMEDATALEN));
	return fb_bytes(name.data, (size_t) name.len);
}

static EndorsementPlan *
plan_for_call(const Channel *channel, const char *chaincode, FbBytes call_name)
{
	EndorsementPlan *plan = make_plan(channel, chaincode);

	add_all(plan, channel, call_name);
	(void) plan_set_interest(plan, channel, NULL, 0);
	return plan;
}

EndorsementPlan *
plan_create_for_chaincode(const Channel *channel, const char *chaincode)
{
	return plan_for_call(channel, chaincode, FB_BYTES_EMPTY);
}

EndorsementPlan *
plan_create(const Channel *channel, const ProposalView *proposal, List *organizations)
{
	char *chaincode =
		fb_text_copy(memory_allocator(CurrentMemoryContext), proposal->chaincode_name);
	EndorsementPlan *plan;

	if (organizations == NIL && !concerns_caller_alone(proposal))
		return plan_for_call(channel, chaincode, plan_call_name(proposal));
	plan = make_plan(channel, chaincode);
	if (organizations == NIL)
		add_this_node(plan, channel);
	else
		add_named(plan, channel, organizations, plan_call_name(proposal));
	return plan;
}

/* which members a choice may contain */
typedef enum Choice
{
	CHOICE_PROMPT,	 /* members that are neither slow nor late */
	CHOICE_NOT_LATE, /* also slow members */
	CHOICE_ALL
} Choice;

static bool
may_choose(const PlanMember *member, Choice choice)
{
	if (member->failed || member->differs)
		return false;
	return choice == CHOICE_ALL || (!member->late && (choice == CHOICE_NOT_LATE || !member->slow));
}

/* is it the first member of its organization that may be chosen? */
static bool
is_first_usable(const EndorsementPlan *plan, size_t index, Choice choice)
{
	if (!may_choose(&plan->members[index], choice))
		return false;
	for (size_t i = 0; i < index; i++)
		if (strcmp(plan->members[i].msp_id, plan->members[index].msp_id) == 0 &&
			may_choose(&plan->members[i], choice))
			return false;
	return true;
}

/*
 * The member of an organization to ask if the client wants one of each; members_count if there is
 * none.
 */
static size_t
choose_of_organization(const EndorsementPlan *plan, const char *msp_id)
{
	for (Choice choice = CHOICE_PROMPT; choice <= CHOICE_ALL; choice++)
		for (size_t i = 0; i < plan->members_count; i++)
			if (strcmp(plan->members[i].msp_id, msp_id) == 0 &&
				may_choose(&plan->members[i], choice))
				return i;
	return plan->members_count;
}

static bool
choose_fixed(EndorsementPlan *plan, const uint32_t **members, size_t *members_count)
{
	uint32_t *all = palloc(plan->members_count * sizeof(uint32_t) + 1);
	size_t count = 0;

	for (size_t i = 0; i < plan->members_count; i++)
	{
		size_t chosen;

		/* the members of an organization are adjacent */
		if (i > 0 && strcmp(plan->members[i].msp_id, plan->members[i - 1].msp_id) == 0)
			continue;
		chosen = choose_of_organization(plan, plan->members[i].msp_id);
		if (chosen == plan->members_count)
			return false;
		all[count++] = (uint32_t) chosen;
	}
	*members = all;
	*members_count = count;
	return count > 0;
}

/*
 * List the members that may be asked as endorsers for a search of layouts; places: their indexes in
 * the plan. single: only the first usable member of each organization.
 */
static size_t
list_endorsers(const EndorsementPlan *plan, Choice choice, bool single, PolicyEndorser **endorsers,
			   uint32_t **places)
{
	size_t count = 0;

	*endorsers = palloc0(plan->members_count * sizeof(PolicyEndorser) + 1);
	*places = palloc(plan->members_count * sizeof(uint32_t) + 1);
	for (size_t i = 0; i < plan->members_count && count < FB_POLICY_ENDORSERS_MAX; i++)
		if (single ? is_first_usable(plan, i, choice) : may_choose(&plan->members[i], choice))
		{
			(*endorsers)[count].msp_id = plan->members[i].msp_id;
			(*places)[count++] = (uint32_t) i;
		}
	return count;
}

/* search layouts, and return them with indexes of members instead of endorsers */
static void
find_layouts(EndorsementPlan *plan, Choice choice, bool single, size_t layouts_max,
			 PolicyLayout **layouts, size_t *layouts_count)
{
	PolicyEndorser *endorsers;
	uint32_t *places;
	size_t endorsers_count = list_endorsers(plan, choice, single, &endorsers, &places);
	FbError error;

	*layouts_count = 0;
	if (endorsers_count == 0)
		return;
	error_check(policy_layouts(plan->allocator, plan->policies, plan->policies_count, endorsers,
							   endorsers_count, layouts_max, layouts, layouts_count, &error),
				&error);
	for (size_t l = 0; l < *layouts_count; l++)
	{
		PolicyLayout *layout = &(*layouts)[l];
		uint32_t *members = palloc((layout->endorsers_count + 1) * sizeof(uint32_t));

		for (size_t i = 0; i < layout->endorsers_count; i++)
			members[i] = places[layout->endorsers[i]];
		/*
		 * No endorsement is required by the policy, but one node must still execute the function.
		 */
		if (layout->endorsers_count == 0)
			members[0] = places[0];
		layout->endorsers_count = Max(layout->endorsers_count, 1);
		layout->endorsers = members;
	}
}

void
plan_list_layouts(EndorsementPlan *plan, size_t layouts_max, PolicyLayout **layouts,
				  size_t *layouts_count)
{
	find_layouts(plan, CHOICE_ALL, true, layouts_max, layouts, layouts_count);
	if (*layouts_count == 0)
		find_layouts(plan, CHOICE_ALL, false, layouts_max, layouts, layouts_count);
}

static bool
choose_among(EndorsementPlan *plan, Choice choice, bool single, const uint32_t **members,
			 size_t *members_count)
{
	PolicyLayout *layouts;
	size_t layouts_count;

	find_layouts(plan, choice, single, 1, &layouts, &layouts_count);
	if (layouts_count == 0)
		return false;
	*members = layouts[0].endorsers;
	*members_count = layouts[0].endorsers_count;
	return true;
}

bool
plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count)
{
	if (plan->fixed)
		return choose_fixed(plan, members, members_count);
	/*
	 * Several nodes of one organization only if the policy wants several of its identities: there
	 * are many more sets of nodes than of organizations to search.
	 */
	for (Choice choice = CHOICE_PROMPT; choice <= CHOICE_ALL; choice++)
		if (choose_among(plan, choice, true, members, members_count) ||
			choose_among(plan, choice, false, members, members_count))
			return true;
	return false;
}
