/* scratch.c: temporary memory from a long-lived allocator */
#include "core/identity/identity_internal.h"

typedef struct ScratchBlock
{
	struct ScratchBlock *next;
	uint64_t data[]; /* aligned like a memory context's chunks, not like malloc's */
} ScratchBlock;

static void *
scratch_allocate(FbAllocator *self, size_t size)
{
	Scratch *scratch = (Scratch *) self;
	ScratchBlock *block;

	if (size > SIZE_MAX - sizeof(ScratchBlock))
		return NULL;
	block = fb_allocate(scratch->parent, sizeof(ScratchBlock) + size);
	if (block == NULL)
		return NULL;
	block->next = scratch->blocks;
	scratch->blocks = block;
	return block->data;
}

static void
scratch_release(FbAllocator *self, void *pointer)
{
	/* everything is released together, soon */
}

void
scratch_init(Scratch *scratch, FbAllocator *parent)
{
	*scratch = (Scratch) {{scratch_allocate, scratch_release}, parent, NULL};
}

void
scratch_free(Scratch *scratch)
{
	while (scratch->blocks != NULL)
	{
		ScratchBlock *block = scratch->blocks;

		scratch->blocks = block->next;
		fb_release(scratch->parent, block);
	}
}
