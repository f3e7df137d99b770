/*
 * A configuration block from outside: either a bundle is made from it, and all queries of the
 * bundle work, or it is refused with a reason; no memory is left allocated.
 */
#include "arena.h"
#include "core/config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FbArena arena;
	ConfigBundle *bundle;
	FbError error;

	fb_arena_init(&arena);
	if (config_bundle_from_block(&arena.allocator, fb_bytes(data, size), &bundle, &error) != FB_OK)
		require(bundle == NULL && error.status != FB_OK && error.message[0] != '\0' &&
				fb_utf8_valid(fb_bytes_of_text(error.detail)));
	else
	{
		PolicySignature signature = {.identity = fb_bytes(data, size < 100 ? size : 100)};
		PolicySignatureSet *set;
		bool satisfied;

		require(config_check_channel_id(fb_bytes_of_text(bundle->channel_id), NULL) == FB_OK);
		for (size_t i = 0; i < bundle->application_organizations_count; i++)
			require(config_application_organization(bundle,
													bundle->application_organizations[i].msp_id) !=
					NULL);
		(void) config_acl_policy_path(bundle, "peer/Propose");
		require(policy_signatures_create(&arena.allocator, bundle->msps, &signature, 1, NULL, NULL,
										 &set, &error) == FB_OK);
		require(
			policy_evaluate(policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS),
							set, &satisfied, &error) == FB_OK);
	}
	config_bundle_destroy(bundle);
	fb_arena_reset(&arena);
	return 0;
}
