/*
 * fan_out.c: collect endorsements of one proposal from several organizations at once.
 *
 * The problem. A transaction needs endorsements of nodes that this node does not control. Any of
 * them can be down, slow, some blocks behind, wrong or malicious, and which organizations are
 * needed is known only after the chaincode ran, because keys and collections can have policies of
 * their own. The call must be as fast as the nodes allow, and no organization may be able to block
 * a transaction that the policy allows without it.
 *
 * The rule. gather_answers repeats the following until one combination of members has given equal
 * answers that satisfy the policies:
 *
 * - Choose a combination among the members that are still usable (answers_choose, plan_choose).
 * - Send the proposal to those that have not been asked, and then simulate on this node, so that
 *   the others simulate meanwhile.
 * - Derive the policies from what the first answer touches, and choose again if they need other
 *   members. This happens before waiting, so that additional members are asked at once.
 * - Wait for the chosen members. A member that refuses or gives an answer that no committer would
 *   count has failed. A member that takes longer than usual (pg/answer_times.c) is late: the next
 *   round chooses another combination if there is one, but the call stays open, and if the answer
 *   arrives after all, it counts. Whichever combination is complete first is taken.
 * - If the answers differ, agree.c decides who is asked again at a greater height, and which
 *   answers are given up.
 *
 * Answers are kept from round to round: no member is asked twice unless it lacked blocks. The
 * proposal and its transaction id stay the same in all rounds.
 *
 * A refusal of this node's own chaincode ends the call, except for _lifecycle: there a refusal can
 * mean that this organization has not approved a definition that a majority has approved. Fabric's
 * gateway ends the call when all peers of the first endorser's organization have failed or refused
 * (internal/pkg/gateway/endorse.go, planFromFirstEndorser). It asks the other organizations after
 * the first endorser, layout by layout (endorse.go, Endorse; endorsement.go, processEndorsement);
 * here they are asked at the same time.
 *
 * Rejected: asking one organization after the other, because the call would take as long as all of
 * them together. Asking all nodes and taking the first answers that suffice: every call would cost
 * a simulation on every node. A fixed timeout for each member: a usual answer takes one millisecond
 * or one second, depending on the function. Canceling a late call: the member may be the only one
 * left.
 *
 * What holds afterwards. Each round asks a new member, excludes one or marks it late, or uses one
 * of the limited attempts to reach equal heights, so the loop ends. No wait for another node lasts
 * beyond fabric.endorsement_timeout. The caller gets equal answers with verified signatures, or an
 * error that names the failure of each member. Calls that are still open are released without
 * waiting.
 */
#include "server/gateway/gateway_internal.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/chaincode/chaincode.h"
#include "server/endorse/endorse.h"

static void
note_refusal(FanOut *fan_out, uint32_t member, const WireRefusal *refusal)
{
	fan_out->branches[member].refusal = refusal_copy(refusal);
	answers_note_failure(fan_out, member,
						 refusal->detail != NULL
							 ? psprintf("%s (%s)", refusal->message, refusal->detail)
							 : refusal->message);
}

static void
start_call(FanOut *fan_out, uint32_t index, uint64 height)
{
	Branch *branch = &fan_out->branches[index];

	branch->asked_height = Max(height, branch->wanted_height);
	branch->asked_seen = fan_out->seen_height;
	branch->call =
		wire_endorse_start(fan_out->plan->members[index].address, fan_out->signed_proposal,
						   branch->asked_height, branch->asked_seen, fan_out->call_name);
	branch->patience_until = 0;
}

static bool
includes_this_node(const FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
		if (fan_out->plan->members[chosen[i]].address == NULL)
			return true;
	return false;
}

static void
start_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	/* Why 0: this node's own answer shows whether another one is old (heights.c). */
	uint64 height = includes_this_node(fan_out, chosen, chosen_count) ? 0 : fan_out->seen_height;

	for (size_t i = 0; i < chosen_count; i++)
	{
		const Branch *branch = &fan_out->branches[chosen[i]];

		if (fan_out->plan->members[chosen[i]].address != NULL && !branch->answered &&
			branch->call == NULL)
			start_call(fan_out, chosen[i], height);
	}
}

/*
 * Find out whether members that did not answer lately are back. This call does not wait for these
 * answers; the relay takes an answer that arrives after the call's end.
 */
static void
send_probes(FanOut *fan_out)
{
	for (uint32_t i = 0; i < fan_out->plan->members_count && !fan_out->plan->fixed; i++)
	{
		const PlanMember *member = &fan_out->plan->members[i];

		if (member->slow && member->address != NULL && fan_out->branches[i].call == NULL &&
			answer_take_probe(member->address, ANSWER_ENDORSEMENT))
			start_call(fan_out, i, 0);
	}
}

/* A refusal by this node's chaincode is final, unless other nodes may answer otherwise. */
static bool
is_final(const Endorsement *endorsement)
{
	const SystemChaincode *system = system_chaincode_find(endorsement->proposal->chaincode_name);

	return system == NULL || !system->answers_differ;
}

/* false: this node refused, so the combination must be chosen again */
static bool
endorse_here(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
	{
		Branch *branch = &fan_out->branches[chosen[i]];
		Endorsement endorsement;

		if (fan_out->plan->members[chosen[i]].address != NULL || branch->answered)
			continue;
		endorser_endorse(fan_out->channel, fan_out->proposal, branch->wanted_height, 0,
						 &endorsement);
		if (endorsement.refusal != NULL)
		{
			if (is_final(&endorsement))
				refusal_raise(fan_out->proposal, guc_node_msp_id, NULL, endorsement.refusal, NULL);
			note_refusal(fan_out, chosen[i], endorsement.refusal);
			return false;
		}
		branch->response = endorsement.response;
		branch->height = endorsement.height;
		branch->interest = endorsement.response.interest;
		branch->interest_count = endorsement.response.interest_count;
		branch->interest_known = true;
		branch->answered = true;
		/* refusals of other nodes count only at the height of this answer */
		fan_out->seen_height = Max(fan_out->seen_height, endorsement.height);
	}
	return true;
}

static FbBytes
fan_out_copy_bytes(FbAllocator *allocator, FbBytes bytes)
{
	FbBytes copy;
	FbError error;

	error_check(fb_bytes_copy(allocator, bytes, &copy, &error), &error);
	return copy;
}

/* why committers would not count the answer; NULL: it is in order */
static const char *
flaw_of(FanOut *fan_out, uint32_t index)
{
	const ProposalResponse *response = &fan_out->branches[index].response;
	PolicySignature signature = {response->endorser,
								 response->signature,
								 {response->payload, response->endorser}};
	const Identity *identity;
	bool valid;
	FbError error;
	FbStatus status;

	if (response->payload.size == 0 || response->signature.size == 0)
		return "it did not endorse";
	status =
		msp_manager_identity(fan_out->channel->bundle->msps, response->endorser, &identity, &error);
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(&error);
	if (status != FB_OK)
		return psprintf("it signed with a certificate that is not valid on the channel (%s)",
						error.message);
	if (strcmp(identity_msp_id(identity), fan_out->plan->members[index].msp_id) != 0)
		return psprintf("it signed with a certificate of %s", identity_msp_id(identity));
	/* The result is cached: this node's committer does not verify the signature again. */
	error_check(access_verify(NULL, identity, &signature, 0, &valid, &error), &error);
	return valid ? NULL : "its signature is not valid";
}

/* did the chaincode on the other node refuse? */
static bool
is_endorser_refusal(const FbError *error)
{
	return error->status == FB_CHAINCODE_ERROR;
}

/*
 * Can a node's error be due to blocks that it lacks? For example, a definition is not committed
 * there yet, or its configuration does not contain the client yet. Then it is asked once more at
 * the height that the caller has seen. If its chaincode refuses, the node itself waits for
 * asked_seen blocks before it answers, so such a refusal is old only if the caller has seen more
 * since.
 */
static bool
may_be_old(const FanOut *fan_out, const Branch *branch, const FbError *error)
{
	uint64 height = is_endorser_refusal(error) ? Max(branch->asked_height, branch->asked_seen)
											   : branch->asked_height;

	switch (error->status)
	{
		case FB_NODE_UNREACHABLE:
		case FB_NODE_BEHIND:
		case FB_CHAINCODE_TIMEOUT:
		case FB_LIMIT_EXCEEDED:
		case FB_BUSY:
		case FB_DUPLICATE_TXID:
			return false;
		default:
			return height < fan_out->seen_height && GetCurrentTimestamp() < fan_out->deadline;
	}
}

static void
take_endorsement(FanOut *fan_out, uint32_t index)
{
	Branch *branch = &fan_out->branches[index];
	const char *address = fan_out->plan->members[index].address;
	const char *flaw;
	FbError error;

	branch->interest_known = false;
	if (wire_call_rows_count(branch->call) != 1 ||
		!wire_call_height(branch->call, &branch->height) ||
		response_parse(fan_out->allocator,
					   fan_out_copy_bytes(fan_out->allocator, wire_call_row(branch->call, 0)),
					   &branch->response, &error) != FB_OK)
		answers_note_failure(fan_out, index, "its answer cannot be read");
	else if (branch->height < branch->asked_height)
		answers_note_failure(fan_out, index,
							 "it answered without the blocks that it was asked to wait for");
	else if ((flaw = flaw_of(fan_out, index)) != NULL)
	{
		candidate_note_unfit(fan_out->channel, fan_out->proposal->chaincode_name, address);
		answers_note_failure(fan_out, index, flaw);
	}
	else
		branch->answered = true;
	if (branch->answered && branch->height + GATEWAY_BLOCKS_BEHIND < fan_out->seen_height)
		contact_note_behind(address, GATEWAY_BEHIND_MS);
}

static void
finish_call(FanOut *fan_out, uint32_t index)
{
	Branch *branch = &fan_out->branches[index];
	const WireError *failure = wire_call_error(branch->call);
	bool again = failure != NULL && may_be_old(fan_out, branch, &failure->error);

	if (failure != NULL && !again)
		candidate_note_error(fan_out->channel, fan_out->proposal->chaincode_name,
							 fan_out->plan->members[index].address, failure->error.status);
	if (failure == NULL)
		take_endorsement(fan_out, index);
	else if (wire_call_refusal(branch->call) != NULL && !again)
		note_refusal(fan_out, index, wire_call_refusal(branch->call));
	else if (!again)
		answers_note_failure(fan_out, index,
							 failure->error.detail[0] ? psprintf("%s (%s)", failure->error.message,
																 failure->error.detail)
													  : failure->error.message);
	wire_call_release(branch->call);
	branch->call = NULL;
	if (again)
		slow_call_note("%s refused without the last blocks", answers_member_label(fan_out, index));
	if (again)
		start_call(fan_out, index, fan_out->seen_height);
}

static bool
is_chosen(uint32_t index, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
		if (chosen[i] == index)
			return true;
	return false;
}

/*
 * List the unfinished calls, also those of members that are not chosen now. Returns how many belong
 * to chosen members; *until is the time at which the first of these becomes late.
 */
static size_t
list_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count, WireCall **calls,
		   int *calls_count, TimestampTz *until)
{
	size_t count = 0;

	*calls_count = 0;
	*until = fan_out->deadline;
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		Branch *branch = &fan_out->branches[i];

		if (branch->call == NULL)
			continue;
		calls[(*calls_count)++] = branch->call;
		if (!is_chosen(i, chosen, chosen_count))
			continue;
		count++;
		if (branch->patience_until == 0)
			branch->patience_until =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											Min(wire_call_patience_ms(branch->call),
												GATEWAY_PATIENCE_MS_MAX));
		if (!fan_out->plan->members[i].late)
			*until = Min(*until, branch->patience_until);
	}
	return count;
}

/* Process one call: finished, out of time, or late. True: the combination must be chosen again. */
static bool
look_at_call(FanOut *fan_out, uint32_t index, bool chosen, TimestampTz now)
{
	PlanMember *member = &fan_out->plan->members[index];
	Branch *branch = &fan_out->branches[index];

	if (wire_call_finished(branch->call) || (chosen && now >= fan_out->deadline))
	{
		/* a member that was passed over is usable again */
		member->slow = member->late = false;
		finish_call(fan_out, index);
		return !chosen || member->failed;
	}
	if (!chosen || member->late || now < branch->patience_until)
		return false;
	wire_call_note_late(branch->call);
	slow_call_note("%s was late", answers_member_label(fan_out, index));
	member->late = true;
	return true;
}

/*
 * Wait for the calls of the chosen members until all have answered, one may have to be replaced, or
 * a late member that was replaced has answered.
 */
static void
collect_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	WireCall **calls = palloc(fan_out->plan->members_count * sizeof(WireCall *) + 1);
	TimestampTz until;
	int calls_count;
	bool replace = false;

	while (!replace && list_calls(fan_out, chosen, chosen_count, calls, &calls_count, &until) > 0)
	{
		TimestampTz now;

		(void) wire_wait(calls, calls_count, WIRE_WAIT_ANY, until, false);
		now = GetCurrentTimestamp();
		for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
			if (fan_out->branches[i].call != NULL)
				replace |= look_at_call(fan_out, i, is_chosen(i, chosen, chosen_count), now);
	}
	pfree(calls);
}

/* Take the answers that arrived while this node did something else. */
static void
collect_late(FanOut *fan_out)
{
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		WireCall *call = fan_out->branches[i].call;

		if (call == NULL || !wire_poll(call))
			continue;
		fan_out->plan->members[i].slow = fan_out->plan->members[i].late = false;
		finish_call(fan_out, i);
	}
}

/* release the open calls without waiting */
static void
release_calls(FanOut *fan_out)
{
	for (size_t i = 0; i < fan_out->plan->members_count; i++)
	{
		wire_call_release(fan_out->branches[i].call);
		fan_out->branches[i].call = NULL;
	}
}

static bool
all_answered(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
		if (!fan_out->branches[chosen[i]].answered)
			return false;
	return true;
}

static bool
is_peer(FanOut *fan_out, uint32_t index)
{
	const Identity *identity;
	FbError error;

	error_check(msp_manager_identity(fan_out->channel->bundle->msps,
									 fan_out->branches[index].response.endorser, &identity, &error),
				&error);
	return identity_has_role(identity, IDENTITY_PEER);
}

/*
 * Do the endorsements satisfy the policies? The plan counts one member as one identity with the
 * role peer; a policy may ask for another role.
 */
static bool
satisfy_policy(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	PolicySignature *signatures = palloc0(chosen_count * sizeof(PolicySignature) + 1);
	PolicySignatureSet *set;
	bool satisfied;
	FbError error;

	for (size_t i = 0; i < chosen_count; i++)
	{
		const ProposalResponse *response = &fan_out->branches[chosen[i]].response;

		signatures[i] = (PolicySignature) {response->endorser,
										   response->signature,
										   {response->payload, response->endorser}};
	}
	error_check(policy_signatures_create(fan_out->allocator, fan_out->channel->bundle->msps,
										 signatures, chosen_count, access_verify, NULL, &set,
										 &error),
				&error);
	for (size_t i = 0; i < fan_out->plan->policies_count; i++)
	{
		error_check(policy_evaluate(fan_out->plan->policies[i], set, &satisfied, &error), &error);
		if (!satisfied)
			return false;
	}
	return true;
}

/*
 * Check the roles if a member's certificate does not have the role peer: such a member may not be
 * the identity that the policy wants. False: these members have failed and must be replaced.
 */
static bool
roles_suffice(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	bool peers = true;

	for (size_t i = 0; i < chosen_count && peers; i++)
		peers = is_peer(fan_out, chosen[i]);
	if (peers || fan_out->plan->fixed || satisfy_policy(fan_out, chosen, chosen_count))
		return true;
	for (size_t i = 0; i < chosen_count; i++)
		if (!is_peer(fan_out, chosen[i]))
			answers_note_failure(fan_out, chosen[i],
								 "the certificate that it signed with does not have the role peer");
	return false;
}

/*
 * The first answer shows what the transaction touches, which may need other members than the
 * chaincode's policy alone. True when members must be chosen again; those that have answered keep
 * their answers.
 */
static bool
needs_other_choice(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	const Branch *reference = NULL;

	for (size_t i = 0; i < chosen_count; i++)
	{
		const Branch *branch = &fan_out->branches[chosen[i]];

		if (branch->answered &&
			(reference == NULL || fan_out->plan->members[chosen[i]].address == NULL))
			reference = branch;
	}
	if (reference == NULL || fan_out->plan->fixed ||
		fb_bytes_equal(fan_out->grown_payload, reference->response.payload))
		return false;
	fan_out->grown_payload = reference->response.payload;
	/* usually the policies are the same, and no new search is needed */
	return !reference->interest_known ||
		   plan_set_interest(fan_out->plan, fan_out->channel, reference->interest,
							 reference->interest_count);
}

/* ask until one combination has given equal answers; returns its members */
static void
gather_answers(FanOut *fan_out, const uint32_t **chosen, size_t *chosen_count)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		collect_late(fan_out);
		if (!answers_choose(fan_out, chosen, chosen_count))
			answers_raise(fan_out);
		start_calls(fan_out, *chosen, *chosen_count);
		if (!endorse_here(fan_out, *chosen, *chosen_count))
			continue;
		if (needs_other_choice(fan_out, *chosen, *chosen_count))
			continue;
		collect_calls(fan_out, *chosen, *chosen_count);
		if (!all_answered(fan_out, *chosen, *chosen_count) ||
			!roles_suffice(fan_out, *chosen, *chosen_count))
			continue;
		if (needs_other_choice(fan_out, *chosen, *chosen_count))
			continue;
		if (answers_agree(fan_out, *chosen, *chosen_count))
			return;
		if (!answers_catch_up(fan_out))
			answers_note_difference(fan_out, *chosen, *chosen_count);
	}
}

void
fan_out_endorse(const Channel *channel, const ProposalView *proposal, List *organizations,
				GatewayTransaction *transaction)
{
	FanOut fan_out = {.allocator = memory_allocator(CurrentMemoryContext),
					  .channel = channel,
					  .proposal = proposal};
	const uint32_t *chosen;
	size_t chosen_count;
	ProposalResponse *responses;
	FbError error;

	fan_out.call_name = plan_call_name(proposal);
	error_check(proposal_pack_signed(fan_out.allocator, proposal, &fan_out.signed_proposal, &error),
				&error);
	fan_out.seen_height = height_of_node(fan_out.channel);
	/* use the newest definition, also in a SQL transaction whose snapshot is older */
	PushActiveSnapshot(GetLatestSnapshot());
	fan_out.plan = plan_create(fan_out.channel, proposal, organizations);
	PopActiveSnapshot();
	fan_out.branches = palloc0(fan_out.plan->members_count * sizeof(Branch) + 1);
	fan_out.deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorsement_timeout);
	send_probes(&fan_out);
	gather_answers(&fan_out, &chosen, &chosen_count);
	release_calls(&fan_out);
	responses = palloc0(chosen_count * sizeof(ProposalResponse) + 1);
	transaction->height = 0;
	for (size_t i = 0; i < chosen_count; i++)
	{
		responses[i] = fan_out.branches[chosen[i]].response;
		if (fan_out.plan->members[chosen[i]].address == NULL)
			transaction->height = fan_out.branches[chosen[i]].height;
	}
	error_check(envelope_assemble(fan_out.allocator, proposal, responses, chosen_count,
								  &transaction->payload, &error),
				&error);
	transaction->result = responses[0].response.payload;
	transaction->response_payload = responses[0].payload;
	strlcpy(transaction->tx_id, fb_text_copy(fan_out.allocator, proposal->tx_id),
			sizeof(transaction->tx_id));
}

void
gateway_endorse(const ProposalView *proposal, List *organizations, GatewayTransaction *transaction)
{
	char *channel = fb_text_copy(memory_allocator(CurrentMemoryContext), proposal->channel_id);

	fan_out_endorse(channel_open(channel), proposal, organizations, transaction);
}
