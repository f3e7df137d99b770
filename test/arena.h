/*
 * arena.h: what programs without a server (unit tests, simulator, fuzzers) add to core/base.
 */
#ifndef FABRIC_TEST_ARENA_H
#define FABRIC_TEST_ARENA_H

#include "core/base/base.h"

#include <stdlib.h>

/* "FB_OK" */
static inline const char *
test_status_name(FbStatus status)
{
#define TEST_STATUS_NAME(name, sqlstate, text) [name] = #name,
	static const char *const names[] = {FB_STATUS_LIST(TEST_STATUS_NAME)};

#undef TEST_STATUS_NAME
	return (unsigned) status < FB_STATUS_COUNT ? names[status] : "?";
}

/*
 * An allocator over malloc. fb_arena_reset frees everything. fail_at: when > 0, the fail_at-th
 * allocation and all later allocations fail (tests increase it step by step).
 */
typedef struct FbArenaBlock
{
	struct FbArenaBlock *next;
	struct FbArenaBlock **previous_next;
	max_align_t data[];
} FbArenaBlock;

typedef struct FbArena
{
	FbAllocator allocator; /* must be first */
	struct FbArenaBlock *blocks;
	size_t allocations_count;
	size_t fail_at;
} FbArena;

static inline void *
arena_allocate(FbAllocator *self, size_t size)
{
	FbArena *arena = (FbArena *) self;
	FbArenaBlock *block;

	arena->allocations_count++;
	if (arena->fail_at > 0 && arena->allocations_count >= arena->fail_at)
		return NULL;
	if (size > SIZE_MAX - sizeof(FbArenaBlock))
		return NULL;
	block = malloc(sizeof(FbArenaBlock) + size);
	if (block == NULL)
		return NULL;
	block->next = arena->blocks;
	block->previous_next = &arena->blocks;
	if (block->next != NULL)
		block->next->previous_next = &block->next;
	arena->blocks = block;
	return block->data;
}

static inline void
arena_release(FbAllocator *self, void *pointer)
{
	FbArenaBlock *block;

	(void) self;
	if (pointer == NULL)
		return;
	block = (FbArenaBlock *) ((char *) pointer - offsetof(FbArenaBlock, data));
	*block->previous_next = block->next;
	if (block->next != NULL)
		block->next->previous_next = block->previous_next;
	free(block);
}

static inline void
fb_arena_init(FbArena *arena)
{
	memset(arena, 0, sizeof(*arena));
	arena->allocator.allocate = arena_allocate;
	arena->allocator.release = arena_release;
}

static inline void
fb_arena_reset(FbArena *arena)
{
	while (arena->blocks != NULL)
		arena_release(&arena->allocator, arena->blocks->data);
	arena->allocations_count = 0;
}

#endif
