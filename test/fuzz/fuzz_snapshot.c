/*
 * Files of snapshots from outside: any bytes as a data file, as a record, as a key of the history
 * of collections and as metadata. What is accepted must give the same bytes when it is written
 * again.
 */
#include "core/snapshot/snapshot.h"
#include "arena.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FbArena arena;

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static FbBytes
written(const FbBuffer *buffer)
{
	FbBytes bytes;

	require(fb_buffer_bytes(buffer, &bytes, NULL) == FB_OK);
	return bytes;
}

static void
fuzz_record(FbBytes item)
{
	SnapshotRecord record;
	FbBuffer buffer;
	FbBytes again;
	FbBytes window;
	FbError error;

	if (snapshot_record_parse(item, &record, &error) != FB_OK)
		return;
	fb_buffer_init(&buffer, &arena.allocator);
	snapshot_put_record(&buffer, &record);
	window = written(&buffer);
	require(snapshot_take_bytes(&window, &again) == SNAPSHOT_TAKEN && window.size == 0);
	require(fb_bytes_equal(again, item));
}

static void
fuzz_config_key(FbBytes key)
{
	FbBytes chaincode;
	FbBytes again;
	uint64_t number;
	FbError error;

	if (snapshot_config_key_parse(key, &chaincode, &number, &error) != FB_OK)
		return;
	require(snapshot_config_key(&arena.allocator, chaincode, number, &again, &error) == FB_OK);
	require(fb_bytes_equal(again, key));
}

static void
fuzz_metadata(FbBytes json)
{
	SnapshotMetadata metadata;
	SnapshotMetadata again;
	SnapshotAdditional additional;
	FbBytes packed;
	FbError error;

	(void) snapshot_additional_parse(json, &additional, &error);
	if (snapshot_metadata_parse(json, &metadata, &error) != FB_OK)
		return;
	require(snapshot_metadata_pack(&arena.allocator, &metadata, &packed, &error) == FB_OK);
	require(snapshot_metadata_parse(packed, &again, &error) == FB_OK);
	require(memcmp(&metadata, &again, sizeof(metadata)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FbBytes window = fb_bytes(data, size);
	FbBytes item;
	uint64_t number;

	fb_arena_init(&arena);
	fuzz_record(window);
	fuzz_config_key(window);
	fuzz_metadata(window);
	while (snapshot_take_bytes(&window, &item) == SNAPSHOT_TAKEN)
		fuzz_record(item);
	window = fb_bytes(data, size);
	while (snapshot_take_number(&window, &number) == SNAPSHOT_TAKEN)
		;
	fb_arena_reset(&arena);
	return 0;
}
