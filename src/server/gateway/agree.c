/*
 * agree.c: decide what to do when the endorsers' answers differ.
 *
 * The problem. Chaincode gives the same result everywhere if it runs on the same state. So answers
 * differ for one of two reasons. Either the nodes have different blocks, which is normal and
 * passes, or one of them is wrong: another package, chaincode that depends on the node, a falsified
 * state, a lie. A wrong answer must not stop the others.
 *
 * The rule for different blocks. Each answer states the number of blocks that its simulation saw.
 * The answer with the most blocks is kept, and the members with other answers and fewer blocks are
 * asked again at its height. Meanwhile there may be further blocks, so this repeats, at most
 * ATTEMPTS_MAX times. A height that another node claims counts only if this node gets these blocks
 * too within CLAIM_WAIT_MS; if not, the members that claim it have failed. Otherwise a node that
 * invents heights could block all others.
 *
 * The rule for wrong answers. If this node has endorsed, its own answer is taken as right, and
 * members that differ are left out of the next combination. Fabric's gateway does so with the first
 * answer, which is its own organization's (endorsement.go, processEndorsement). If this node does
 * not endorse, Fabric still trusts the first answer, which lets one organization block all others.
 * Here every group of equal answers is tried instead, larger groups first, until one can be
 * completed to a combination that satisfies the policies.
 *
 * What holds afterwards. A member that lies can delay a call, but it cannot prevent a combination
 * of members with equal answers from being found (equal to this node's, if it endorsed). It cannot
 * make others satisfy more policies either: each group is judged by the policies of its own answer.
 */
#include "server/gateway/gateway_internal.h"

#include "lib/stringinfo.h"
#include "utils/snapmgr.h"

#include "server/endorse/endorse.h"

/*
 * Maximum of repetitions because of different heights. With very hot keys there is a new block for
 * almost every answer.
 */
#define ATTEMPTS_MAX 20
/*
 * How long to wait for a height that another node claims; nodes are rarely more than some ten
 * milliseconds apart.
 */
#define CLAIM_WAIT_MS 3000

const char *
answers_member_label(const FanOut *fan_out, uint32_t member)
{
	const char *address = fan_out->plan->members[member].address;

	return address != NULL ? address : "this node";
}

void
answers_note_failure(FanOut *fan_out, uint32_t member, const char *why)
{
	slow_call_note("%s failed (%s)", answers_member_label(fan_out, member), why);
	fan_out->plan->members[member].failed = true;
	fan_out->branches[member].answered = false;
	fan_out->branches[member].failure = pstrdup(why);
}

static FbBytes
payload_of(const FanOut *fan_out, uint32_t member)
{
	return fan_out->branches[member].response.payload;
}

static const char *
member_name(const FanOut *fan_out, size_t member)
{
	return candidate_name(fan_out->channel, fan_out->plan->members[member].msp_id,
						  fan_out->plan->members[member].address);
}

bool
answers_agree(const FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	for (size_t i = 1; i < chosen_count; i++)
		if (!fb_bytes_equal(payload_of(fan_out, chosen[i]), payload_of(fan_out, chosen[0])))
			return false;
	return true;
}

/* ---- choosing among answers that differ ---- */

/* how many members gave the same answer as this one, itself included */
static uint32_t
count_equal(const FanOut *fan_out, uint32_t member)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->branches[i].answered &&
			fb_bytes_equal(payload_of(fan_out, i), payload_of(fan_out, member)))
			count++;
	return count;
}

static bool
is_first_of_group(const FanOut *fan_out, uint32_t member)
{
	for (uint32_t i = 0; i < member; i++)
		if (fan_out->branches[i].answered &&
			fb_bytes_equal(payload_of(fan_out, i), payload_of(fan_out, member)))
			return false;
	return true;
}

/*
 * Find out what another node's answer touches. A member whose read-write set cannot be read has
 * failed.
 */
static void
learn_interest(FanOut *fan_out, uint32_t member)
{
	Branch *branch = &fan_out->branches[member];
	ResponsePayload payload;
	InterestCall *calls;
	FbError error;
	FbStatus status;

	if (!branch->answered || branch->interest_known || fan_out->plan->fixed)
		return;
	status = response_payload_parse(fan_out->allocator, branch->response.payload, &payload, &error);
	if (status == FB_OK)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		status = interest_collect(fan_out->channel, payload.results, fan_out->allocator, &calls,
								  &branch->interest_count, &error);
		PopActiveSnapshot();
	}
	if (status == FB_MALFORMED_MESSAGE || status == FB_LIMIT_EXCEEDED)
	{
		answers_note_failure(fan_out, member,
							 psprintf("its read-write set cannot be read (%s)", error.message));
		return;
	}
	error_check(status, &error);
	branch->interest = calls;
	branch->interest_known = true;
}

/*
 * Choose with the policies of this answer, so that a wrong answer cannot make other groups satisfy
 * more.
 */
static bool
choose_with(FanOut *fan_out, uint32_t member, const uint32_t **chosen, size_t *chosen_count)
{
	const Branch *branch = &fan_out->branches[member];

	(void) plan_set_interest(fan_out->plan, fan_out->channel, branch->interest,
							 branch->interest_count);
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		fan_out->plan->members[i].differs =
			fan_out->branches[i].answered &&
			!fb_bytes_equal(payload_of(fan_out, i), payload_of(fan_out, member));
	return plan_choose(fan_out->plan, chosen, chosen_count);
}

bool
answers_choose(FanOut *fan_out, const uint32_t **chosen, size_t *chosen_count)
{
	bool any = false;

	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		fan_out->plan->members[i].differs = false;
		if (fan_out->plan->members[i].address == NULL && fan_out->branches[i].answered)
			return choose_with(fan_out, i, chosen, chosen_count);
	}
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		learn_interest(fan_out, i);
		any |= fan_out->branches[i].answered;
	}
	if (!any)
		return plan_choose(fan_out->plan, chosen, chosen_count);
	for (uint32_t count = fan_out->plan->members_count; count > 0; count--)
		for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
			if (fan_out->branches[i].answered && is_first_of_group(fan_out, i) &&
				count_equal(fan_out, i) == count && choose_with(fan_out, i, chosen, chosen_count))
				return true;
	return false;
}

/* ---- bringing nodes to the same height ---- */

/* the member that has seen the most blocks; UINT32_MAX: none has answered */
static uint32_t
find_highest(const FanOut *fan_out)
{
	uint32_t highest = UINT32_MAX;

	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->branches[i].answered &&
			(highest == UINT32_MAX ||
			 fan_out->branches[i].height > fan_out->branches[highest].height))
			highest = i;
	return highest;
}

static bool
has_height(const FanOut *fan_out, uint64 height)
{
	ChannelSlot *slot = channel_slot(fan_out->channel);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CLAIM_WAIT_MS);

	if (height_of_node(fan_out->channel) >= height)
		return true;
	return slot != NULL && shmem_wait_height(slot, height - 1, Min(until, fan_out->deadline));
}

/* fail the members that claim blocks that this node does not have */
static void
drop_unconfirmed(FanOut *fan_out)
{
	uint64 height = height_of_node(fan_out->channel);

	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->branches[i].answered && fan_out->branches[i].height > height)
			answers_note_failure(fan_out, i,
								 psprintf("it answered at block " UINT64_FORMAT
										  ", which this node does not have",
										  fan_out->branches[i].height - 1));
}

bool
answers_catch_up(FanOut *fan_out)
{
	uint32_t highest = find_highest(fan_out);
	uint64 height;
	bool found = false;

	if (highest == UINT32_MAX || fan_out->catch_ups_count == ATTEMPTS_MAX ||
		GetCurrentTimestamp() >= fan_out->deadline)
		return false;
	fan_out->catch_ups_count++;
	height = fan_out->branches[highest].height;
	if (!has_height(fan_out, height))
	{
		slow_call_note("%s claims to have " UINT64_FORMAT " blocks", member_name(fan_out, highest),
					   height);
		drop_unconfirmed(fan_out);
		return true;
	}
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
	{
		Branch *branch = &fan_out->branches[i];

		if (!branch->answered || branch->height >= height ||
			fb_bytes_equal(payload_of(fan_out, i), payload_of(fan_out, highest)))
			continue;
		slow_call_note("%s has " UINT64_FORMAT " of " UINT64_FORMAT " blocks",
					   member_name(fan_out, i), branch->height, height);
		branch->answered = false;
		branch->wanted_height = height;
		found = true;
	}
	return found;
}

/* ---- errors ---- */

static char *
describe_value(FbBytes value, bool present)
{
	if (!present)
		return "none";
	if (value.size > 64 || !fb_utf8_valid(value) || memchr(value.data, 0, value.size) != NULL)
		return psprintf("%zu bytes", value.size);
	return psprintf("\"%s\"", FB_DISPLAY(value));
}

void
answers_note_difference(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count)
{
	ProposalResponse *responses = palloc0(chosen_count * sizeof(ProposalResponse) + 1);
	FbError error;

	if (fan_out->differing_members != NULL)
		return;
	for (size_t i = 0; i < chosen_count; i++)
		responses[i] = fan_out->branches[chosen[i]].response;
	error_check(response_compare(fan_out->allocator, responses, chosen_count, &fan_out->differences,
								 &fan_out->differences_count, &error),
				&error);
	fan_out->differing_members = chosen;
}

/*
 * Answers that were never part of one combination may differ too: compare the first answer of each
 * group of equal answers.
 */
static void
note_groups(FanOut *fan_out)
{
	uint32_t *members = palloc(fan_out->plan->members_count * sizeof(uint32_t) + 1);
	size_t count = 0;

	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->branches[i].answered && is_first_of_group(fan_out, i))
			members[count++] = i;
	if (count > 1)
		answers_note_difference(fan_out, members, count);
}

/* append the failure of every member: "Org2MSP: could not connect ...; Org3MSP (host:port): ..." */
static void
append_failures(const FanOut *fan_out, StringInfo detail)
{
	bool first = true;

	for (size_t i = 0; i < fan_out->plan->members_count; i++)
	{
		if (!fan_out->plan->members[i].failed)
			continue;
		appendStringInfo(detail, "%s%s: %s", first ? "" : "; ", member_name(fan_out, i),
						 fan_out->branches[i].failure);
		first = false;
	}
	if (!first)
		appendStringInfoChar(detail, '.');
}

/*
 * Append the policies if they are not only the chaincode's: otherwise the user cannot tell why so
 * many endorsements are needed.
 */
static void
append_policies(const EndorsementPlan *plan, StringInfo detail)
{
	if (plan->fixed || plan->plain)
		return;
	appendStringInfo(
		detail,
		"%sThe transaction writes keys or collections that have their own endorsement policies; it needs ",
		detail->len > 0 ? " " : "");
	for (size_t i = 0; i < plan->policies_count; i++)
	{
		char *text;
		FbError error;

		error_check(policy_describe(plan->allocator, plan->policies[i], &text, &error), &error);
		appendStringInfo(detail, "%s%s", i > 0 ? ", and " : "", text);
	}
	appendStringInfoChar(detail, '.');
}

static void
raise_mismatch(const FanOut *fan_out)
{
	const uint32_t *members = fan_out->differing_members;
	StringInfoData detail;

	initStringInfo(&detail);
	for (size_t i = 0; i < fan_out->differences_count && detail.len < FB_ERROR_DETAIL_BYTES; i++)
	{
		const ResponseDifference *difference = &fan_out->differences[i];

		appendStringInfo(&detail, "%s of ", response_difference_name(difference->kind));
		if (difference->key.size > 0)
			appendStringInfo(&detail, "key \"%s\" in ", FB_DISPLAY(difference->key));
		appendStringInfo(&detail, "\"%s\": ", FB_DISPLAY(difference->namespace_name));
		appendStringInfo(&detail, "%s has %s, %s has %s. ", member_name(fan_out, members[0]),
						 describe_value(difference->expected, difference->expected_present),
						 member_name(fan_out, members[difference->response_index]),
						 describe_value(difference->actual, difference->actual_present));
	}
	append_failures(fan_out, &detail);
	while (detail.len > 0 && detail.data[detail.len - 1] == ' ')
		detail.data[--detail.len] = '\0';
	ereport(
		ERROR,
		(fb_errcode(FB_ENDORSEMENT_MISMATCH), errmsg("the organizations' endorsements differ"),
		 errdetail_internal("%s", detail.data),
		 errhint(
			 "Chaincode must give the same result everywhere: compare the installed packages, and look for random values or "
			 "local time in it.")));
}

/* raise the chaincode's own message; if several members failed, with the reason of each */
static void
raise_refusal(const FanOut *fan_out, uint32_t member)
{
	const PlanMember *asked = &fan_out->plan->members[member];
	StringInfoData detail;
	size_t failed_count = 0;

	initStringInfo(&detail);
	for (size_t i = 0; i < fan_out->plan->members_count; i++)
		failed_count += fan_out->plan->members[i].failed;
	if (failed_count > 1)
		append_failures(fan_out, &detail);
	refusal_raise(fan_out->proposal, asked->msp_id, asked->address,
				  fan_out->branches[member].refusal, detail.len > 0 ? detail.data : NULL);
}

void
answers_raise(FanOut *fan_out)
{
	StringInfoData detail;

	note_groups(fan_out);
	if (fan_out->differing_members != NULL)
		raise_mismatch(fan_out);
	for (uint32_t i = 0; i < fan_out->plan->members_count; i++)
		if (fan_out->branches[i].refusal != NULL)
			raise_refusal(fan_out, i);
	initStringInfo(&detail);
	append_failures(fan_out, &detail);
	append_policies(fan_out->plan, &detail);
	ereport(
		ERROR,
		(fb_errcode(FB_ENDORSEMENT_FAILED),
		 errmsg("not enough organizations endorsed the transaction"),
		 detail.len > 0
			 ? errdetail_internal("%s", detail.data)
			 : errdetail(
				   "No organization that the endorsement policy asks for can be reached from this node."),
		 errhint("Look at fabric.nodes, and try again when the organizations' nodes answer.")));
}
