/* Raft messages from another node: what decodes must encode again to something that decodes to the same bytes */
#include "core/base/base.h"
#include "core/raft/raft.h"

#include <stdlib.h>

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RaftMessage message;
	FbBytes		encoded,
				again;
	FbArena		arena;
	FbError		error;

	fb_arena_init(&arena);
	if (raft_message_decode(&arena.allocator, fb_bytes(data, size), &message, &error) == FB_OK)
	{
		if (raft_message_encode(&arena.allocator, &message, &encoded, &error) != FB_OK ||
			raft_message_decode(&arena.allocator, encoded, &message, &error) != FB_OK ||
			raft_message_encode(&arena.allocator, &message, &again, &error) != FB_OK ||
			!fb_bytes_equal(encoded, again))
			abort();
	}
	fb_arena_reset(&arena);
	return 0;
}
