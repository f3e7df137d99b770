/* config_samples.h: blocks and the configuration of a real Fabric network, for the tests of
 * core/config */
#ifndef FABRIC_TEST_CONFIG_SAMPLES_H
#define FABRIC_TEST_CONFIG_SAMPLES_H

#include "core/block/block.h"
#include "core/config/config.h"
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;
static FbError error;

static inline FbBytes
read_vector(const char *path)
{
	FbBytes file = check_read_file(path);
	FbBytes copy;

	if (fb_bytes_copy(allocator, file, &copy, NULL) != FB_OK)
		exit(2);
	free((void *) file.data);
	return copy;
}

static inline FbBytes
read_block(const char *folder, int number)
{
	char path[100];

	snprintf(path, sizeof(path), "test/vectors/%s/%d.block", folder, number);
	return read_vector(path);
}

#endif
