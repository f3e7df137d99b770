/*
 * allocator.c: allocation through an FbAllocator, and the malloc arena of programs without a server
 */
#include "core/base/base.h"

#include <stdlib.h>

void *
fb_allocate(FbAllocator *allocator, size_t size)
{
	return allocator->allocate(allocator, size > 0 ? size : 1);
}

void *
fb_allocate_zero(FbAllocator *allocator, size_t size)
{
	void *pointer = fb_allocate(allocator, size);

	if (pointer != NULL)
		memset(pointer, 0, size);
	return pointer;
}

void *
fb_allocate_array(FbAllocator *allocator, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return fb_allocate_zero(allocator, total);
}

void
fb_release(FbAllocator *allocator, void *pointer)
{
	if (pointer != NULL)
		allocator->release(allocator, pointer);
}

FbStatus
fb_bytes_copy(FbAllocator *allocator, FbBytes from, FbBytes *to, FbError *error)
{
	uint8_t *data;

	*to = FB_BYTES_EMPTY;
	if (from.size == 0)
		return FB_OK;
	data = fb_allocate(allocator, from.size);
	if (data == NULL)
		return fb_out_of_memory(error);
	memcpy(data, from.data, from.size);
	*to = fb_bytes(data, from.size);
	return FB_OK;
}

char *
fb_text_copy(FbAllocator *allocator, FbBytes from)
{
	char *text = fb_allocate(allocator, from.size + 1);

	if (text == NULL)
		return NULL;
	if (from.size > 0)
		memcpy(text, from.data, from.size);
	text[from.size] = '\0';
	return text;
}

typedef struct FbArenaBlock
{
	struct FbArenaBlock *next;
	struct FbArenaBlock **previous_next;
	max_align_t data[];
} FbArenaBlock;

static void *
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

static void
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

void
fb_arena_init(FbArena *arena)
{
	memset(arena, 0, sizeof(*arena));
	arena->allocator.allocate = arena_allocate;
	arena->allocator.release = arena_release;
}

void
fb_arena_reset(FbArena *arena)
{
	while (arena->blocks != NULL)
		arena_release(&arena->allocator, arena->blocks->data);
	arena->allocations_count = 0;
}
