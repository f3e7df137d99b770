/* buffer.c: growing buffers */
#include "core/base/base.h"

#include <stdio.h>

void
fb_buffer_init(FbBuffer *buffer, FbAllocator *allocator)
{
	memset(buffer, 0, sizeof(*buffer));
	buffer->allocator = allocator;
}

/* reserve space for size more bytes; false (and sticky) when there is no memory */
static bool
buffer_reserve(FbBuffer *buffer, size_t size)
{
	size_t needed;
	size_t capacity;
	uint8_t *data;

	if (buffer->failed || __builtin_add_overflow(buffer->size, size, &needed))
	{
		buffer->failed = true;
		return false;
	}
	if (needed <= buffer->capacity)
		return true;
	capacity = buffer->capacity > 0 ? buffer->capacity : 64;
	while (capacity < needed)
		capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
	data = fb_allocate(buffer->allocator, capacity);
	if (data == NULL)
	{
		buffer->failed = true;
		return false;
	}
	if (buffer->size > 0)
		memcpy(data, buffer->data, buffer->size);
	fb_release(buffer->allocator, buffer->data);
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

void
fb_buffer_append(FbBuffer *buffer, const void *data, size_t size)
{
	if (size == 0 || !buffer_reserve(buffer, size))
		return;
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

void
fb_buffer_append_bytes(FbBuffer *buffer, FbBytes bytes)
{
	fb_buffer_append(buffer, bytes.data, bytes.size);
}

void
fb_buffer_append_text(FbBuffer *buffer, const char *text)
{
	fb_buffer_append(buffer, text, strlen(text));
}

void
fb_buffer_append_format(FbBuffer *buffer, const char *format, ...)
{
	va_list arguments;
	int printed;

	va_start(arguments, format);
	printed = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (printed < 0 || !buffer_reserve(buffer, (size_t) printed + 1))
	{
		buffer->failed = true;
		return;
	}
	va_start(arguments, format);
	vsnprintf((char *) buffer->data + buffer->size, (size_t) printed + 1, format, arguments);
	va_end(arguments);
	buffer->size += (size_t) printed;
}

void
fb_buffer_append_byte(FbBuffer *buffer, uint8_t byte)
{
	fb_buffer_append(buffer, &byte, 1);
}

FbStatus
fb_buffer_bytes(const FbBuffer *buffer, FbBytes *bytes, FbError *error)
{
	*bytes = FB_BYTES_EMPTY;
	if (buffer->failed)
		return fb_out_of_memory(error);
	*bytes = fb_bytes(buffer->data, buffer->size);
	return FB_OK;
}
