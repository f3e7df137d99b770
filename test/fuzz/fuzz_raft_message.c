/*
 * Raft messages from another node. In a message of this version the encoding covers every byte, so
 * a decoded message must encode to the same bytes. Bytes of a newer version may be ignored: the
 * decoded part must be in its place, and must survive another round.
 */
#include "arena.h"
#include "core/base/base.h"
#include "core/raft/raft.h"

#include <stdlib.h>
#include <string.h>

/* 'R', version, needs, type, flags */
#define HEAD_BYTES 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_newer(FbAllocator *allocator, FbBytes bytes, FbBytes encoded)
{
	RaftMessage again;
	FbBytes second;
	FbError error;

	if (encoded.size > bytes.size || encoded.data[3] != bytes.data[3] ||
		memcmp(encoded.data + HEAD_BYTES, bytes.data + HEAD_BYTES, encoded.size - HEAD_BYTES) != 0)
		abort();
	if (raft_message_decode(allocator, encoded, &again, &error) != FB_OK ||
		again.version != RAFT_MESSAGE_VERSION ||
		raft_message_encode(allocator, &again, &second, &error) != FB_OK ||
		!fb_bytes_equal(encoded, second))
		abort();
}

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
		if (raft_message_encode(&arena.allocator, &message, &encoded, &error) != FB_OK)
			abort();
		if (message.version > RAFT_MESSAGE_VERSION)
			check_newer(&arena.allocator, fb_bytes(data, size), encoded);
		else if (!fb_bytes_equal(encoded, fb_bytes(data, size)))
			abort();
	}
	fb_arena_reset(&arena);
	return 0;
}
