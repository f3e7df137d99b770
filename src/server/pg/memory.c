/*
 * memory.c: allocators of core that use a memory context, and conversions between FbBytes and
 * varlena
 */
#include "server/pg/pg.h"

typedef struct ContextAllocator
{
	FbAllocator allocator; /* must be first */
	MemoryContext context;
} ContextAllocator;

static void *
context_allocate(FbAllocator *self, size_t size)
{
	ContextAllocator *bound = (ContextAllocator *) self;

	if (size > MaxAllocHugeSize)
		return NULL;
	return MemoryContextAllocExtended(bound->context, size, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
}

static void
context_release(FbAllocator *self, void *pointer)
{
	if (pointer != NULL)
		pfree(pointer);
}

FbAllocator *
memory_allocator(MemoryContext context)
{
	ContextAllocator *bound = MemoryContextAlloc(context, sizeof(ContextAllocator));

	bound->allocator.allocate = context_allocate;
	bound->allocator.release = context_release;
	bound->context = context;
	return &bound->allocator;
}

static struct varlena *
make_varlena(FbBytes bytes)
{
	struct varlena *result;

	if (bytes.size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("value of %zu bytes is too large", bytes.size)));
	result = palloc(bytes.size + VARHDRSZ);
	SET_VARSIZE(result, bytes.size + VARHDRSZ);
	if (bytes.size > 0)
		memcpy(VARDATA(result), bytes.data, bytes.size);
	return result;
}

bytea *
memory_bytea(FbBytes bytes)
{
	return (bytea *) make_varlena(bytes);
}

text *
memory_text(FbBytes bytes)
{
	return (text *) make_varlena(bytes);
}

FbBytes
memory_bytes(const void *varlena)
{
	return fb_bytes(VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena));
}

char *
memory_cstring(FbBytes bytes)
{
	char *text;

	if (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("text contains U+0000: \"%s\"", FB_DISPLAY(bytes))));
	text = palloc(bytes.size + 1);
	if (bytes.size > 0)
		memcpy(text, bytes.data, bytes.size);
	text[bytes.size] = '\0';
	return text;
}

bool
memory_next_row(Tuplestorestate *rows, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(slot->tts_mcxt);
	bool found = tuplestore_gettupleslot(rows, true, false, slot);

	MemoryContextSwitchTo(caller);
	return found;
}

typedef struct ResetCallback
{
	MemoryContextCallback callback;
	void (*free_object)(void *);
	void *pointer;
} ResetCallback;

static void
run_reset_callback(void *argument)
{
	ResetCallback *reset = argument;

	reset->free_object(reset->pointer);
}

void
memory_on_reset(MemoryContext context, void (*free_object)(void *), void *pointer)
{
	ResetCallback *reset = MemoryContextAlloc(context, sizeof(ResetCallback));

	reset->free_object = free_object;
	reset->pointer = pointer;
	reset->callback.func = run_reset_callback;
	reset->callback.arg = reset;
	MemoryContextRegisterResetCallback(context, &reset->callback);
}
