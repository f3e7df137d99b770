/*
 * decode.c: decode and check a SignaturePolicyEnvelope once, so that evaluation needs no checks
 * (common/cauthdsl/cauthdsl.go, compile)
 */
#include "core/policy/policy_internal.h"

typedef struct Decoder
{
	FbAllocator *allocator;
	size_t principals_count;
	size_t rules_count;
	FbError *error;
} Decoder;

static FbStatus
decode_rule(Decoder *decoder, const Common__SignaturePolicy *message, size_t depth,
			PolicyRule *rule)
{
	const Common__SignaturePolicy__NOutOf *n_out_of;
	PolicyRule *rules;

	if (depth > FB_POLICY_DEPTH_MAX + 1) /* one more for the leaves of the deepest operator */
		return fb_fail(decoder->error, FB_LIMIT_EXCEEDED,
					   "policy is nested more than %d operators deep", FB_POLICY_DEPTH_MAX);
	if (++decoder->rules_count > FB_POLICY_RULES_MAX)
		return fb_fail(decoder->error, FB_LIMIT_EXCEEDED, "policy has more than %d rules",
					   FB_POLICY_RULES_MAX);
	if (message == NULL)
		return fb_fail(decoder->error, FB_INVALID_POLICY, "invalid policy: a rule is missing");
	switch (message->type_case)
	{
		case COMMON__SIGNATURE_POLICY__TYPE_SIGNED_BY:
			if (message->signed_by < 0 || (size_t) message->signed_by >= decoder->principals_count)
				return fb_fail(decoder->error, FB_INVALID_POLICY,
							   "invalid policy: principal %d of %zu does not exist",
							   message->signed_by, decoder->principals_count);
			*rule = (PolicyRule) {.signed_by = message->signed_by};
			return FB_OK;
		case COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF:
			n_out_of = message->n_out_of;
			rules = fb_allocate_array(decoder->allocator, n_out_of->n_rules, sizeof(*rules));
			if (rules == NULL)
				return fb_out_of_memory(decoder->error);
			for (size_t i = 0; i < n_out_of->n_rules; i++)
				FB_TRY(decode_rule(decoder, n_out_of->rules[i], depth + 1, &rules[i]));
			*rule = (PolicyRule) {.signed_by = -1,
								  .needed = n_out_of->n,
								  .rules_count = n_out_of->n_rules,
								  .rules = rules};
			return FB_OK;
		default:
			return fb_fail(decoder->error, FB_INVALID_POLICY,
						   "invalid policy: a rule is neither an operator nor a principal");
	}
}

FbStatus
signature_policy_from_message(FbAllocator *allocator,
							  const Common__SignaturePolicyEnvelope *message,
							  SignaturePolicy **policy, FbError *error)
{
	Decoder decoder = {.allocator = allocator, .error = error};
	SignaturePolicy *decoded;
	const Principal **principals;

	*policy = NULL;
	if (message->n_identities > FB_POLICY_PRINCIPALS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "policy has %zu principals, more than %d",
					   message->n_identities, FB_POLICY_PRINCIPALS_MAX);
	decoded = fb_allocate_zero(allocator, sizeof(*decoded));
	principals = fb_allocate_array(allocator, message->n_identities, sizeof(*principals));
	if (decoded == NULL || principals == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < message->n_identities; i++)
	{
		const Common__MSPPrincipal *principal = message->identities[i];
		FbStatus status =
			principal_parse(principal->principal_classification, proto_bytes(principal->principal),
							allocator, &principals[i], error);

		/*
		 * Fabric finds an invalid principal only when it compares an identity with it, and then no
		 * identity satisfies it
		 */
		if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
			return status;
		if (status != FB_OK || principals[i]->impossible)
			principals[i] = NULL;
	}
	decoder.principals_count = message->n_identities;
	FB_TRY(decode_rule(&decoder, message->rule, 1, &decoded->rule));
	decoded->version = message->version;
	decoded->principals_count = message->n_identities;
	decoded->principals = principals;
	*policy = decoded;
	return FB_OK;
}

FbStatus
signature_policy_decode(FbAllocator *allocator, FbBytes envelope, SignaturePolicy **policy,
						FbError *error)
{
	Common__SignaturePolicyEnvelope *message;

	*policy = NULL;
	FB_TRY(PROTO_UNPACK(common__signature_policy_envelope, envelope, allocator, &message, error));
	return signature_policy_from_message(allocator, message, policy, error);
}

static FbStatus
measure_rule(const Common__SignaturePolicy *message, size_t depth, size_t *count, FbError *error)
{
	if (depth > FB_POLICY_DEPTH_MAX + 1)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "policy is nested more than %d operators deep",
					   FB_POLICY_DEPTH_MAX);
	(*count)++;
	if (message == NULL || message->type_case != COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF)
		return FB_OK;
	for (size_t i = 0; i < message->n_out_of->n_rules; i++)
		FB_TRY(measure_rule(message->n_out_of->rules[i], depth + 1, count, error));
	return FB_OK;
}

FbStatus
signature_policy_measure(FbAllocator *allocator, FbBytes envelope, size_t *rules_count,
						 size_t *principals_count, FbError *error)
{
	Common__SignaturePolicyEnvelope *message;

	*rules_count = *principals_count = 0;
	FB_TRY(PROTO_UNPACK(common__signature_policy_envelope, envelope, allocator, &message, error));
	*principals_count = message->n_identities;
	return measure_rule(message->rule, 1, rules_count, error);
}
