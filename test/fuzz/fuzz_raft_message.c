/*
 * Raft messages from another node. The encoding covers every byte, so what decodes must encode to
 * the very same bytes
 */
#include "core/base/base.h"
#include "core/raft/raft.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RaftMessage message;
	FbBytes encoded;
	FbArena arena;
	FbError error;

	fb_arena_init(&arena);
	if (raft_message_decode(&arena.allocator, fb_bytes(data, size), &message, &error) == FB_OK)
	{
		if (raft_message_encode(&arena.allocator, &message, &encoded, &error) != FB_OK ||
			!fb_bytes_equal(encoded, fb_bytes(data, size)))
			abort();
	}
	fb_arena_reset(&arena);
	return 0;
}
