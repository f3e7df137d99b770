/* allocator.c: allocation through an FbAllocator */
#include "core/base/base.h"

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
