/*
 * fan_out.c: endorsements are collected from several organisations at once.
 *
 * The requests leave before this node simulates. When an organisation fails, or does not answer for a while, the plan is asked for another combination;
 * those that have answered keep their answers. Two nodes that are some blocks apart read different versions of a key: then all are asked again, a moment later, because the
 * one that is behind is catching up (the proposal and its transaction id stay the same).
 */
#include "server/gateway/gateway_internal.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/endorse/endorse.h"
#include "server/wire/wire.h"

/* how often differing read versions are asked for again */
#define ATTEMPTS_MAX 20
#define ATTEMPT_PAUSE_MS 20

/* one organisation's part in the fan-out */
typedef struct Branch
{
	WireCall   *call;			/* NULL: this node, or not asked */
	TimestampTz patience_until; /* of the call; 0: it was not waited for yet, because this node simulates */
	bool		answered;
	ProposalResponse response;
	char	   *failure;		/* of a member that failed */
} Branch;

typedef struct FanOut
{
	const Channel *channel;
	FbAllocator *allocator;
	EndorsementPlan	   *plan;
	Branch	   *branches;		/* by member */
	FbBytes		signed_proposal;
	uint64		height;			/* the others must have so many blocks before they answer; 0: any */
	TimestampTz deadline;
} FanOut;

static void
note_failure(FanOut *fan_out, uint32_t member, const char *why)
{
	fan_out->plan->members[member].failed = true;
	fan_out->branches[member].failure = pstrdup(why);
}

static void
start_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
	{
		PlanMember *member = &fan_out->plan->members[chosen[i]];
		Branch	   *branch = &fan_out->branches[chosen[i]];

		if (member->address == NULL || branch->answered || branch->call != NULL)
			continue;
		branch->call = wire_endorse_start(member->address, fan_out->signed_proposal, fan_out->height);
		branch->patience_until = 0;
	}
}

/* a refusal here is the chaincode's own word, and final: it is raised as it is */
static void
endorse_here(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 0; i < chosen_count; i++)
	{
		Branch	   *branch = &fan_out->branches[chosen[i]];
		Endorsement endorsement;

		if (fan_out->plan->members[chosen[i]].address != NULL || branch->answered)
			continue;
		endorser_endorse(fan_out->signed_proposal, 0, &endorsement);
		branch->response = endorsement.response;
		branch->answered = true;
	}
}

static FbBytes
copy_bytes(FbAllocator *allocator, FbBytes bytes)
{
	FbBytes		copy;
	FbError		error;

	error_check(fb_bytes_copy(allocator, bytes, &copy, &error), &error);
	return copy;
}

/* the remote chaincode's refusal is passed on with its detail and hint */
static void
raise_chaincode_error(const PlanMember *member, const FbError *remote)
{
	FbError		error = *remote;

	if (error.detail[0] == '\0')
		fb_error_detail(&error, "Raised by the chaincode on a node of %s.", member->msp_id);
	error_throw(&error);
}

/* why no committer would count the answer; NULL: it is in order */
static const char *
flaw_of(FanOut *fan_out, uint32_t index)
{
	const ProposalResponse *response = &fan_out->branches[index].response;
	PolicySignature signature = {response->endorser, response->signature, {response->payload, response->endorser}};
	const Identity *identity;
	bool		valid;
	FbError		error;
	FbStatus	status;

	if (response->payload.size == 0 || response->signature.size == 0)
		return "it did not endorse";
	status = msp_manager_identity(fan_out->channel->bundle->msps, response->endorser, &identity, &error);
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(&error);
	if (status != FB_OK)
		return psprintf("it signed with a certificate that is not valid on the channel (%s)", error.message);
	if (strcmp(identity_msp_id(identity), fan_out->plan->members[index].msp_id) != 0)
		return psprintf("it signed with a certificate of %s", identity_msp_id(identity));
	/* this node's committer will not verify it again */
	error_check(access_verify(NULL, identity, &signature, 0, &valid, &error), &error);
	return valid ? NULL : "its signature is not valid";
}

static void
finish_call(FanOut *fan_out, uint32_t index)
{
	Branch	   *branch = &fan_out->branches[index];
	const WireError *failure = wire_call_error(branch->call);
	const char *flaw;
	FbError		error;

	if (failure != NULL)
	{
		if (failure->error.status == FB_CHAINCODE_ERROR)
			raise_chaincode_error(&fan_out->plan->members[index], &failure->error);
		note_failure(fan_out, index, failure->error.detail[0] ? psprintf("%s (%s)", failure->error.message, failure->error.detail) :
					 failure->error.message);
	}
	else if (wire_call_rows_count(branch->call) != 1 ||
			 response_parse(fan_out->allocator, copy_bytes(fan_out->allocator, wire_call_row(branch->call, 0)), &branch->response, &error) != FB_OK)
		note_failure(fan_out, index, "its answer cannot be read");
	else if ((flaw = flaw_of(fan_out, index)) != NULL)
		note_failure(fan_out, index, flaw);
	else
		branch->answered = true;
	wire_call_release(branch->call);
	branch->call = NULL;
}

/* the unfinished calls of the chosen ones, and until when they are waited for before somebody else is asked */
static size_t
list_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count, WireCall **calls, TimestampTz *until)
{
	size_t		count = 0;

	*until = fan_out->deadline;
	for (size_t i = 0; i < chosen_count; i++)
	{
		Branch	   *branch = &fan_out->branches[chosen[i]];

		if (branch->call == NULL)
			continue;
		calls[count++] = branch->call;
		if (branch->patience_until == 0)
			branch->patience_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), GATEWAY_PATIENCE_MS);
		if (!fan_out->plan->members[chosen[i]].slow)
			*until = Min(*until, branch->patience_until);
	}
	return count;
}

/* wait for the calls of the chosen ones, until all have answered or one may have to be replaced */
static void
collect_calls(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	WireCall  **calls = palloc(chosen_count * sizeof(WireCall *) + 1);
	TimestampTz until;
	size_t		count;
	bool		replace = false;

	while (!replace && (count = list_calls(fan_out, chosen, chosen_count, calls, &until)) > 0)
	{
		TimestampTz now;

		(void) wire_wait(calls, (int) count, WIRE_WAIT_ANY, until, false);
		now = GetCurrentTimestamp();
		for (size_t i = 0; i < chosen_count; i++)
		{
			PlanMember *member = &fan_out->plan->members[chosen[i]];
			Branch	   *branch = &fan_out->branches[chosen[i]];

			if (branch->call == NULL)
				continue;
			if (wire_call_finished(branch->call) || now >= fan_out->deadline)
			{
				finish_call(fan_out, chosen[i]);
				replace |= member->failed;
			}
			else if (!member->slow && now >= branch->patience_until)
				member->slow = replace = true;
		}
	}
	pfree(calls);
}

/* answers of slow members that came while others were asked */
static void
collect_late(FanOut *fan_out)
{
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		WireCall   *call = fan_out->branches[i].call;

		if (call == NULL || !wire_poll(call))
			continue;
		fan_out->plan->members[i].slow = false;
		finish_call(fan_out, i);
	}
}

/* nobody waits for them any more */
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
	FbError		error;

	error_check(msp_manager_identity(fan_out->channel->bundle->msps, fan_out->branches[index].response.endorser, &identity, &error), &error);
	return identity_has_role(identity, IDENTITY_PEER);
}

/* do the endorsements satisfy the policy that they were collected for? Policies may ask for other roles than the usual one */
static bool
satisfy_policy(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	PolicySignature *signatures = palloc0(chosen_count * sizeof(PolicySignature) + 1);
	PolicySignatureSet *set;
	bool		satisfied;
	FbError		error;

	for (size_t i = 0; i < chosen_count; i++)
	{
		const ProposalResponse *response = &fan_out->branches[chosen[i]].response;

		signatures[i] = (PolicySignature) {response->endorser, response->signature, {response->payload, response->endorser}};
	}
	error_check(policy_signatures_create(fan_out->allocator, fan_out->channel->bundle->msps, signatures, chosen_count, access_verify, NULL, &set,
										 &error), &error);
	error_check(policy_evaluate(fan_out->plan->policy, set, &satisfied, &error), &error);
	return satisfied;
}

/* a node whose certificate has another role than peer may not be who the policy wants; false: such ones are to be replaced */
static bool
roles_suffice(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	bool		peers = true;

	for (size_t i = 0; i < chosen_count && peers; i++)
		peers = is_peer(fan_out, chosen[i]);
	if (peers || fan_out->plan->fixed || satisfy_policy(fan_out, chosen, chosen_count))
		return true;
	for (size_t i = 0; i < chosen_count; i++)
		if (!is_peer(fan_out, chosen[i]))
		{
			fan_out->branches[chosen[i]].answered = false;
			note_failure(fan_out, chosen[i], "the certificate that it signed with does not have the role peer");
		}
	return false;
}

static void
raise_failed(FanOut *fan_out)
{
	StringInfoData detail;
	FbError		error;

	initStringInfo(&detail);
	for (size_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->plan->members[i].failed)
			appendStringInfo(&detail, "%s%s: %s", detail.len > 0 ? "; " : "", fan_out->plan->members[i].msp_id, fan_out->branches[i].failure);
	fb_fail(&error, FB_ENDORSEMENT_FAILED, "not enough organisations endorsed the transaction");
	if (detail.len > 0)
		fb_error_detail(&error, "%s.", detail.data);
	else
		fb_error_detail(&error, "No organisation that the endorsement policy asks for can be reached from this node.");
	fb_error_hint(&error, "Look at fabric.nodes, and try again when the organisations' nodes answer.");
	error_throw(&error);
}

/* ask until one combination has answered completely; returns its members */
static void
gather(FanOut *fan_out, const uint32_t **chosen, size_t *chosen_count)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		collect_late(fan_out);
		if (!plan_choose(fan_out->plan, chosen, chosen_count))
			raise_failed(fan_out);
		start_calls(fan_out, *chosen, *chosen_count);
		endorse_here(fan_out, *chosen, *chosen_count);
		collect_calls(fan_out, *chosen, *chosen_count);
		if (all_answered(fan_out, *chosen, *chosen_count) && roles_suffice(fan_out, *chosen, *chosen_count))
			return;
	}
}

/* ---- comparing ---- */

static char *
describe_value(FbBytes value, bool present)
{
	if (!present)
		return "none";
	if (value.size > 64 || !fb_utf8_valid(value) || memchr(value.data, 0, value.size) != NULL)
		return psprintf("%zu bytes", value.size);
	return psprintf("\"%.*s\"", (int) value.size, (const char *) value.data);
}

static void
raise_mismatch(FanOut *fan_out, const uint32_t *chosen, const ResponseDifference *differences, size_t count)
{
	StringInfoData detail;
	FbError		error;

	initStringInfo(&detail);
	for (size_t i = 0; i < count && detail.len < FB_ERROR_DETAIL_BYTES; i++)
	{
		const ResponseDifference *difference = &differences[i];

		appendStringInfo(&detail, "%s%s of ", i > 0 ? " " : "", response_difference_name(difference->kind));
		if (difference->key.size > 0)
			appendStringInfo(&detail, "key \"%s\" in ", key_text(difference->key));
		appendStringInfo(&detail, "\"%.*s\": ", (int) difference->namespace_name.size, (const char *) difference->namespace_name.data);
		appendStringInfo(&detail, "%s has %s, %s has %s.", fan_out->plan->members[chosen[0]].msp_id,
						 describe_value(difference->expected, difference->expected_present),
						 fan_out->plan->members[chosen[difference->response_index]].msp_id,
						 describe_value(difference->actual, difference->actual_present));
	}
	fb_fail(&error, FB_ENDORSEMENT_MISMATCH, "the organisations' endorsements differ");
	fb_error_detail(&error, "%s", detail.data);
	fb_error_hint(&error, "Chaincode must give the same result everywhere: compare the installed packages, and look for random values or "
				  "local time in it.");
	error_throw(&error);
}

/* true when everything that differs is how far the nodes are: the same question a moment later may be answered alike */
static bool
only_versions_differ(const ResponseDifference *differences, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (differences[i].kind == RESPONSE_DIFFERS_READ || differences[i].kind == RESPONSE_DIFFERS_RANGE)
			return true;
	return false;
}

static void
forget_answers(FanOut *fan_out)
{
	for (size_t i = 0; i < fan_out->plan->members_count; i++)
		fan_out->branches[i].answered = false;
}

static uint64
own_height(const Channel *channel)
{
	ChannelSlot *slot = channel_slot(channel);

	return slot != NULL ? pg_atomic_read_u64(&slot->height) : 0;
}

static void
pause_for_blocks(FanOut *fan_out)
{
	ChannelSlot *slot = channel_slot(fan_out->channel);

	if (slot != NULL)
		(void) shmem_wait_height(slot, own_height(fan_out->channel), TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ATTEMPT_PAUSE_MS));
	CHECK_FOR_INTERRUPTS();
}

void
gateway_endorse(FbBytes proposal, FbBytes signature, List *organisations, GatewayTransaction *transaction)
{
	FanOut		fan_out = {.allocator = memory_allocator(CurrentMemoryContext)};
	ProposalView view;
	FbError		error;

	error_check(proposal_parse(fan_out.allocator, proposal, &view, &error), &error);
	error_check(proposal_pack_signed(fan_out.allocator, proposal, signature, &fan_out.signed_proposal, &error), &error);
	fan_out.channel = channel_open(fb_text_copy(fan_out.allocator, view.channel_id));
	fan_out.plan = plan_create(fan_out.channel, &view, organisations);
	fan_out.branches = palloc0(fan_out.plan->members_count * sizeof(Branch) + 1);
	fan_out.deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_endorse_timeout_ms);
	for (int attempt = 1;; attempt++)
	{
		const uint32_t *chosen;
		size_t		chosen_count;
		ProposalResponse *responses;
		ResponseDifference *differences;
		size_t		differences_count;

		gather(&fan_out, &chosen, &chosen_count);
		release_calls(&fan_out);
		responses = palloc0(chosen_count * sizeof(ProposalResponse) + 1);
		for (size_t i = 0; i < chosen_count; i++)
			responses[i] = fan_out.branches[chosen[i]].response;
		error_check(response_compare(fan_out.allocator, responses, chosen_count, &differences, &differences_count, &error), &error);
		if (differences_count == 0)
		{
			error_check(envelope_assemble(fan_out.allocator, proposal, responses, chosen_count, &transaction->payload, &error), &error);
			transaction->result = responses[0].response.payload;
			strlcpy(transaction->tx_id, fb_text_copy(fan_out.allocator, view.tx_id), sizeof(transaction->tx_id));
			return;
		}
		if (attempt == ATTEMPTS_MAX || GetCurrentTimestamp() >= fan_out.deadline || !only_versions_differ(differences, differences_count))
			raise_mismatch(&fan_out, chosen, differences, differences_count);
		/* from now on the others wait until they have the blocks that this node has; at first they do not, because most keys are not that hot */
		forget_answers(&fan_out);
		pause_for_blocks(&fan_out);
		fan_out.height = own_height(fan_out.channel);
	}
}
