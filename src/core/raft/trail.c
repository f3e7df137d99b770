/*
 * trail.c: the log without payloads: term and size of each entry after the base. The live entries
 * are a window of one array; forgetting the oldest moves the window's start, and the array is
 * packed or doubled when its end is reached.
 */
#include "core/raft/raft_internal.h"

#define TRAIL_CAPACITY_MIN 256

void
trail_init(RaftTrail *trail, FbAllocator *allocator)
{
	memset(trail, 0, sizeof(*trail));
	trail->allocator = allocator;
}

uint64_t
trail_last_index(const RaftTrail *trail)
{
	return trail->base_index + trail->count;
}

uint64_t
trail_last_term(const RaftTrail *trail)
{
	return trail->count > 0 ? trail->entries[trail->first + trail->count - 1].term
							: trail->base_term;
}

uint64_t
trail_term(const RaftTrail *trail, uint64_t index)
{
	if (index == trail->base_index)
		return trail->base_term;
	if (index < trail->base_index || index > trail_last_index(trail))
		return 0;
	return trail->entries[trail->first + (size_t) (index - trail->base_index - 1)].term;
}

/* "before the log" (0, 0) matches only while nothing has been forgotten */
bool
trail_matches(const RaftTrail *trail, uint64_t index, uint64_t term)
{
	if (index < trail->base_index || index > trail_last_index(trail))
		return false;
	return trail_term(trail, index) == term;
}

uint32_t
trail_payload_bytes(const RaftTrail *trail, uint64_t index)
{
	FB_ASSERT(index > trail->base_index && index <= trail_last_index(trail));
	return trail->entries[trail->first + (size_t) (index - trail->base_index - 1)].payload_bytes;
}

uint64_t
trail_bytes_between(const RaftTrail *trail, uint64_t after_index, uint64_t up_to_index)
{
	uint64_t bytes = 0;

	for (uint64_t index = after_index + 1; index <= up_to_index; index++)
		bytes += trail_payload_bytes(trail, index);
	return bytes;
}

size_t
trail_space(const RaftTrail *trail)
{
	return FB_RAFT_TRAIL_ENTRIES_MAX - trail->count;
}

FbStatus
trail_reserve(RaftTrail *trail, size_t count, FbError *error)
{
	size_t needed = trail->count + count;
	size_t capacity = trail->capacity > 0 ? trail->capacity : TRAIL_CAPACITY_MIN;
	RaftTrailEntry *grown;

	FB_ASSERT(count <= trail_space(trail));
	if (trail->first + needed <= trail->capacity)
		return FB_OK;
	/*
	 * half of the array is free at the front: moving costs no more than the entries that were
	 * forgotten
	 */
	if (needed <= trail->capacity && trail->first >= trail->capacity / 2)
	{
		memmove(trail->entries, trail->entries + trail->first,
				trail->count * sizeof(RaftTrailEntry));
		trail->first = 0;
		return FB_OK;
	}
	while (capacity < needed || capacity == trail->capacity)
		capacity *= 2;
	grown = fb_allocate_array(trail->allocator, capacity, sizeof(RaftTrailEntry));
	if (grown == NULL)
		return fb_out_of_memory(error);
	if (trail->count > 0)
		memcpy(grown, trail->entries + trail->first, trail->count * sizeof(RaftTrailEntry));
	fb_release(trail->allocator, trail->entries);
	trail->entries = grown;
	trail->capacity = capacity;
	trail->first = 0;
	return FB_OK;
}

void
trail_append(RaftTrail *trail, uint64_t term, uint32_t payload_bytes)
{
	RaftTrailEntry *entry = &trail->entries[trail->first + trail->count];

	FB_ASSERT(trail->first + trail->count < trail->capacity);
	FB_ASSERT(term >= trail_last_term(trail));
	entry->term = term;
	entry->payload_bytes = payload_bytes;
	trail->count++;
}

void
trail_truncate(RaftTrail *trail, uint64_t from_index)
{
	FB_ASSERT(from_index > trail->base_index);
	if (from_index <= trail_last_index(trail))
		trail->count = (size_t) (from_index - trail->base_index - 1);
}

void
trail_compact(RaftTrail *trail, uint64_t index)
{
	size_t gone = (size_t) (index - trail->base_index);

	FB_ASSERT(index >= trail->base_index && index <= trail_last_index(trail));
	trail->base_term = trail_term(trail, index);
	trail->base_index = index;
	trail->first += gone;
	trail->count -= gone;
}

void
trail_reset(RaftTrail *trail, uint64_t base_index, uint64_t base_term)
{
	trail->first = 0;
	trail->count = 0;
	trail->base_index = base_index;
	trail->base_term = base_term;
}

uint64_t
trail_last_with_term_up_to(const RaftTrail *trail, uint64_t index, uint64_t term)
{
	uint64_t low = trail->base_index;
	uint64_t high = index < trail_last_index(trail) ? index : trail_last_index(trail);

	/* terms never fall along the log, so this is a binary search */
	while (low < high)
	{
		uint64_t middle = high - (high - low) / 2;

		if (trail_term(trail, middle) <= term)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}
