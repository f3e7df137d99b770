/*
 * Blocks from outside: any bytes as a block. A block that parses must rebuild to one with the same
 * content, the quick check of canonical envelopes must agree with packing again, and the JSON form
 * must be JSON.
 */
#include "arena.h"
#include "core/block/block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- a JSON value as RFC 8259 writes it; returns the position after it ---- */

static size_t
check_string(FbBytes text, size_t at, bool nul_allowed)
{
	require(text.data[at] == '"');
	for (at++; at < text.size && text.data[at] != '"'; at++)
	{
		require(text.data[at] >= 0x20);
		if (text.data[at] == '\\')
		{
			at++;
			require(at < text.size && text.data[at] != 0 &&
					strchr("\"\\/bfnrtu", text.data[at]) != NULL);
			if (text.data[at] == 'u')
			{
				require(text.size - at > 4);
				require(nul_allowed || memcmp(text.data + at + 1, "0000", 4) != 0);
			}
		}
	}
	require(at < text.size);
	return at + 1;
}

static size_t
check_value(FbBytes text, size_t at, bool nul_allowed)
{
	size_t start = at;

	require(at < text.size);
	if (text.data[at] == '"')
		return check_string(text, at, nul_allowed);
	if (text.data[at] == '{' || text.data[at] == '[')
	{
		bool object = text.data[at] == '{';
		uint8_t close = object ? '}' : ']';

		at++;
		require(at < text.size);
		if (text.data[at] == close)
			return at + 1;
		for (;;)
		{
			if (object)
			{
				at = check_string(text, at, nul_allowed);
				require(at < text.size && text.data[at] == ':');
				at++;
			}
			at = check_value(text, at, nul_allowed);
			require(at < text.size && (text.data[at] == ',' || text.data[at] == close));
			if (text.data[at++] == close)
				return at;
		}
	}
	while (at < text.size && text.data[at] != 0 &&
		   strchr("-0123456789truefalsn", text.data[at]) != NULL)
		at++;
	require(at > start);
	return at;
}

static void
check_envelope(FbBytes envelope, FbAllocator *allocator)
{
	Common__Envelope *message;
	FbError error;
	bool expected = false;

	if (block_is_config_envelope(envelope))
		expected = true;
	else if (PROTO_UNPACK(common__envelope, envelope, allocator, &message, &error) == FB_OK)
	{
		require(proto_is_canonical(&message->base, envelope, allocator, &expected, &error) ==
				FB_OK);
		expected = expected && message->payload.len > 0 && message->signature.len > 0;
	}
	require((block_check_well_formed(&envelope, 1, &error) == FB_OK) == expected);
}

static void
check_view(const BlockView *view, FbAllocator *allocator)
{
	BlockView again;
	BlockSignatures signatures;
	FbBytes packed;
	FbBytes header_bytes;
	FbError error;
	uint64_t number;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	uint8_t hash_of_bytes[CRYPTO_SHA256_BYTES];

	require(block_pack(&view->header, view->data, view->data_count, view->metadata, allocator,
					   &packed, &error) == FB_OK);
	require(block_parse(packed, allocator, &again, &error) == FB_OK);
	require(again.header.number == view->header.number && again.data_count == view->data_count);
	require(fb_bytes_equal(again.header.previous_hash, view->header.previous_hash));
	require(fb_bytes_equal(again.header.data_hash, view->header.data_hash));
	for (size_t i = 0; i < view->data_count; i++)
		require(fb_bytes_equal(again.data[i], view->data[i]));
	for (size_t i = 0; i < FB_BLOCK_METADATA_COUNT; i++)
		require(fb_bytes_equal(again.metadata[i], view->metadata[i]));

	require(block_header_bytes(&view->header, allocator, &header_bytes, &error) == FB_OK);
	block_header_hash(&view->header, hash);
	crypto_sha256(header_bytes, hash_of_bytes);
	require(memcmp(hash, hash_of_bytes, sizeof(hash)) == 0);
	(void) block_check_data(view, &error);
	if (block_signatures_parse(view->metadata[0], allocator, &signatures, &error) == FB_OK)
	{
		Etcdraft__BlockMetadata *raft;

		(void) block_raft_metadata_parse(signatures.consenter_metadata, allocator, &raft, &error);
	}
	(void) block_last_config(view, allocator, &number, &error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FbBytes bytes = fb_bytes(data, size);
	FbBytes json;
	FbArena arena;
	FbError error;
	BlockView view;

	fb_arena_init(&arena);
	if (block_parse(bytes, &arena.allocator, &view, &error) == FB_OK)
	{
		check_view(&view, &arena.allocator);
		for (size_t i = 0; i < view.data_count; i++)
			check_envelope(view.data[i], &arena.allocator);
		require(proto_json(&common__block__descriptor, bytes, PROTO_JSON_COMPACT, &arena.allocator,
						   &json, &error) == FB_OK);
		require(fb_utf8_valid(json));
		require(check_value(json, 0, true) == json.size);
		require(proto_json(&common__block__descriptor, bytes, PROTO_JSON_DATABASE, &arena.allocator,
						   &json, &error) == FB_OK);
		require(check_value(json, 0, false) == json.size);
	}
	fb_arena_reset(&arena);
	return 0;
}
