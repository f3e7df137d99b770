/* print.c: policies as text for people. Text in the policy language compiles to the same bytes. */
#include "core/policy/policy_internal.h"

static void
print_principal(FbBuffer *buffer, const Principal *principal)
{
	if (principal == NULL || principal->impossible)
	{
		fb_buffer_append_text(buffer, "<unreadable principal>");
		return;
	}
	switch (principal->kind)
	{
		case PRINCIPAL_ROLE:
			fb_buffer_append_format(buffer, "'%s.%s'", principal->msp_id,
									identity_role_name(principal->role));
			return;
		case PRINCIPAL_ORGANIZATION_UNIT:
			fb_buffer_append_format(buffer, "<%s unit %s>", principal->msp_id,
									FB_DISPLAY(principal->ou));
			return;
		case PRINCIPAL_IDENTITY:
			fb_buffer_append_format(buffer, "<%s identity>", principal->msp_id);
			return;
		case PRINCIPAL_ANONYMITY:
			fb_buffer_append_text(buffer, principal->anonymous ? "<anonymous>" : "<nominal>");
			return;
		case PRINCIPAL_COMBINED:
			fb_buffer_append_text(buffer, "<all of ");
			for (size_t i = 0; i < principal->parts_count; i++)
			{
				if (i > 0)
					fb_buffer_append_text(buffer, ", ");
				print_principal(buffer, principal->parts[i]);
			}
			fb_buffer_append_text(buffer, ">");
			return;
	}
	fb_buffer_append_text(buffer, "<unrecognized principal>");
}

void
policy_print_rule(FbBuffer *buffer, const SignaturePolicy *policy, const PolicyRule *rule)
{
	if (rule->signed_by >= 0)
	{
		print_principal(buffer, policy->principals[rule->signed_by]);
		return;
	}
	if (rule->rules_count == 0)
	{
		fb_buffer_append_format(buffer, "<%d of no rules>", rule->needed);
		return;
	}
	if (rule->needed == 1)
		fb_buffer_append_text(buffer, "OR(");
	else if (rule->needed > 1 && (size_t) rule->needed == rule->rules_count)
		fb_buffer_append_text(buffer, "AND(");
	else
		fb_buffer_append_format(buffer, "OutOf(%d, ", rule->needed);
	for (size_t i = 0; i < rule->rules_count; i++)
	{
		if (i > 0)
			fb_buffer_append_text(buffer, ", ");
		policy_print_rule(buffer, policy, &rule->rules[i]);
	}
	fb_buffer_append_byte(buffer, ')');
}

static FbStatus
finish_text(FbBuffer *buffer, char **text, FbError *error)
{
	FbBytes bytes;

	fb_buffer_append_byte(buffer, '\0');
	FB_TRY(fb_buffer_bytes(buffer, &bytes, error));
	*text = (char *) bytes.data;
	return FB_OK;
}

FbStatus
policy_print(FbAllocator *allocator, FbBytes envelope, char **text, FbError *error)
{
	SignaturePolicy *policy;
	FbBuffer buffer;

	*text = NULL;
	FB_TRY(signature_policy_decode(allocator, envelope, &policy, error));
	fb_buffer_init(&buffer, allocator);
	policy_print_rule(&buffer, policy, &policy->rule);
	return finish_text(&buffer, text, error);
}

FbStatus
policy_describe(FbAllocator *allocator, const Policy *policy, char **text, FbError *error)
{
	static const char *const rules[] = {"ANY", "ALL", "MAJORITY"};
	FbBuffer buffer;

	*text = NULL;
	fb_buffer_init(&buffer, allocator);
	if (policy == NULL)
		fb_buffer_append_text(&buffer, "a policy that does not exist");
	else if (policy->kind == POLICY_SIGNATURE)
		policy_print_rule(&buffer, policy->signature, &policy->signature->rule);
	else
	{
		fb_buffer_append_format(&buffer, "%s %s",
								(size_t) policy->rule < sizeof(rules) / sizeof(rules[0])
									? rules[policy->rule]
									: "unrecognized rule",
								policy->sub_policy);
		for (size_t i = 0; i < policy->members_count; i++)
			fb_buffer_append_format(&buffer, "%s%s", i == 0 ? " of " : ", ",
									policy->member_names[i]);
	}
	return finish_text(&buffer, text, error);
}
