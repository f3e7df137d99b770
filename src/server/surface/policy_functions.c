/*
 * policy_functions.c: SQL functions for signature policies that need no network, for trials, tests
 * and audits
 */
#include "server/surface/surface_internal.h"

#include "core/policy/policy.h"

FABRIC_FUNCTION(fabric_policy_compile);
FABRIC_FUNCTION(fabric_policy_text);
FABRIC_FUNCTION(fabric_policy_satisfied_bytes);
FABRIC_FUNCTION(fabric_policy_satisfied_text);

static FbBytes
compile_policy_text(FbBytes text)
{
	PolicyNotice notice = {{0}};
	FbBytes envelope;
	FbError error;

	error_check(policy_compile(memory_allocator(CurrentMemoryContext), text, &envelope, &notice,
							   &error),
				&error);
	if (notice.text[0] != '\0')
		ereport(NOTICE, (errmsg_internal("%s", notice.text),
						 notice.detail[0] != '\0' ? errdetail_internal("%s", notice.detail) : 0));
	return envelope;
}

/* policy_compile(policy): SignaturePolicyEnvelope */
Datum
fabric_policy_compile(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(memory_bytea(compile_policy_text(argument_bytes(fcinfo, 0, "policy"))));
}

/* policy_text(policy) */
Datum
fabric_policy_text(PG_FUNCTION_ARGS)
{
	char *text;
	FbError error;

	error_check(policy_print(memory_allocator(CurrentMemoryContext),
							 argument_bytes(fcinfo, 0, "policy"), &text, &error),
				&error);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

static Datum
policy_is_satisfied(FunctionCallInfo fcinfo, FbBytes envelope)
{
	size_t count;
	FbBytes *principals;
	bool result;
	FbError error;

	argument_require(fcinfo, 1, "principals");
	principals = argument_byte_array(fcinfo, 1, "principals", &count);
	error_check(policy_satisfied(memory_allocator(CurrentMemoryContext), envelope, principals,
								 count, &result, &error),
				&error);
	PG_RETURN_BOOL(result);
}

/* policy_satisfied(policy bytea, principals) */
Datum
fabric_policy_satisfied_bytes(PG_FUNCTION_ARGS)
{
	return policy_is_satisfied(fcinfo, argument_bytes(fcinfo, 0, "policy"));
}

/* policy_satisfied(policy text, principals) */
Datum
fabric_policy_satisfied_text(PG_FUNCTION_ARGS)
{
	return policy_is_satisfied(fcinfo, compile_policy_text(argument_bytes(fcinfo, 0, "policy")));
}
