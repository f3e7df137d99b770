/*
 * Any text as the JSON of any message; the first byte selects the type. What is accepted becomes
 * JSON again, and that the same bytes.
 */
#include "core/proto/proto.h"
#include "arena.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
	&common__config__descriptor,   &common__config_update__descriptor,
	&common__envelope__descriptor, &common__policy__descriptor,
	&common__block__descriptor,	   &protos__transaction__descriptor,
};

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *type;
	FbBytes bytes;
	FbBytes text;
	FbBytes again;
	FbArena arena;
	FbError error;

	if (size == 0)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	fb_arena_init(&arena);
	if (proto_encode(type, fb_bytes(data + 1, size - 1), &arena.allocator, &bytes, &error) != FB_OK)
		require(error.message[0] != '\0' && fb_utf8_valid(fb_bytes_of_text(error.detail)));
	else if (proto_json(type, bytes, PROTO_JSON_COMPACT, &arena.allocator, &text, &error) == FB_OK)
	{
		require(proto_encode(type, text, &arena.allocator, &again, &error) == FB_OK);
		require(proto_json(type, again, PROTO_JSON_COMPACT, &arena.allocator, &bytes, &error) ==
				FB_OK);
		require(fb_bytes_equal(text, bytes));
	}
	fb_arena_reset(&arena);
	return 0;
}
