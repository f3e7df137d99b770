/*
 * Policy language: a text that compiles must decode, print, and its print must compile to the same bytes. The same input is
 * also taken as compiled bytes of a policy that came from outside.
 */
#include "core/base/base.h"
#include "core/policy/policy.h"

#include <stdlib.h>

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
print_and_compile(FbAllocator *allocator, FbBytes envelope)
{
	SignaturePolicy *policy;
	PolicyNotice notice;
	FbBytes		again;
	FbError		error;
	char	   *text;

	if (signature_policy_decode(allocator, envelope, &policy, &error) != FB_OK ||
		policy_print(allocator, envelope, &text, &error) != FB_OK ||
		policy_compile(allocator, fb_bytes_of_text(text), &again, &notice, &error) != FB_OK ||
		!fb_bytes_equal(envelope, again))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FbBytes		input = fb_bytes(data, size);
	FbBytes		envelope;
	SignaturePolicy *policy;
	PolicyNotice notice;
	FbArena		arena;
	FbError		error;
	char	   *text;

	fb_arena_init(&arena);
	if (policy_compile(&arena.allocator, input, &envelope, &notice, &error) == FB_OK)
		print_and_compile(&arena.allocator, envelope);
	if (signature_policy_decode(&arena.allocator, input, &policy, &error) == FB_OK)
		(void) policy_print(&arena.allocator, input, &text, &error);
	(void) policy_compile_implicit_meta(&arena.allocator, input, &envelope, &error);
	fb_arena_reset(&arena);
	return 0;
}
