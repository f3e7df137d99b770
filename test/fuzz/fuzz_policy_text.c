/*
 * Policy text: any bytes compile, or are refused with a position. A compiled policy can be decoded,
 * evaluated, laid out and printed, and the printed text compiles to the same bytes.
 */
#include "arena.h"
#include "core/policy/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* some signers match and some do not, depending on the index, so that operators succeed and fail */
static bool
match_some(void *context, size_t signer_index, const Principal *principal)
{
	return (strlen(principal->msp_id) + signer_index + (size_t) principal->role) % 3 != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const PolicyEndorser endorsers[] = {{.msp_id = "A"},
											   {.msp_id = "Org1MSP"},
											   {.msp_id = "A"},
											   {.msp_id = "Org2MSP"}};
	FbArena arena;
	FbBytes envelope;
	PolicyNotice notice;
	FbError error;

	if (size > 4096)
		return 0;
	fb_arena_init(&arena);
	if (policy_compile(&arena.allocator, fb_bytes(data, size), &envelope, &notice, &error) != FB_OK)
	{
		require(error.status == FB_INVALID_POLICY || error.status == FB_LIMIT_EXCEEDED);
		require(error.message[0] != '\0' && fb_utf8_valid(fb_bytes_of_text(error.detail)));
	}
	else
	{
		const Policy *policy;
		SignaturePolicy *decoded;
		PolicyLayout *layouts;
		size_t layouts_count;
		char *text;
		FbBytes again;

		require(signature_policy_decode(&arena.allocator, envelope, &decoded, &error) == FB_OK);
		signature_policy_evaluate(decoded, 5, match_some, NULL);
		require(policy_print(&arena.allocator, envelope, &text, &error) == FB_OK);
		require(policy_compile(&arena.allocator, fb_bytes_of_text(text), &again, NULL, &error) ==
				FB_OK);
		require(fb_bytes_equal(envelope, again));
		require(policy_from_envelope(&arena.allocator, envelope, &policy, &error) == FB_OK);
		require(policy_layouts(&arena.allocator, &policy, 1, endorsers, 4, 8, &layouts,
							   &layouts_count, &error) == FB_OK);
	}
	fb_arena_reset(&arena);
	return 0;
}
