/*
 * disk.c: two images of a node's tables. A transaction is atomic: a crash discards the open one and
 * keeps all earlier ones.
 */
#include "sim/sim.h"

uint64_t
image_last_index(const SimImage *image)
{
	return image->base_index + image->count;
}

const SimEntry *
image_entry(const SimImage *image, uint64_t index)
{
	if (index <= image->base_index || index > image_last_index(image))
		return NULL;
	return &image->entries[index - image->base_index - 1];
}

bool
entry_follow(const SimEntry *entry, BlockHead *head)
{
	FbBytes payload = fb_bytes(entry->payload, entry->payload_bytes);
	FbArena arena;
	BlockLink link;
	BlockBatch batch;
	bool fits;

	if (entry->kind != RAFT_ENTRY_DATA)
		return true;
	fb_arena_init(&arena);
	fits = block_link_parse(payload, &link, NULL) == FB_OK &&
		   block_link_check(&link, head, NULL) == FB_OK &&
		   block_link_follow(&link, &arena.allocator, &batch, head, NULL) == FB_OK;
	fb_arena_reset(&arena);
	return fits;
}

void
image_head(const SimImage *image, uint64_t index, BlockHead *head)
{
	const SimEntry *entry;

	while ((entry = image_entry(image, index)) != NULL && entry->kind != RAFT_ENTRY_DATA)
		index--;
	*head = image->base_head;
	if (entry != NULL)
	{
		BlockLink link;
		FbStatus status =
			block_link_parse(fb_bytes(entry->payload, entry->payload_bytes), &link, NULL);

		FB_ASSERT(status == FB_OK);
		head->number = link.number - 1;
		memcpy(head->hash, link.previous_hash.data, link.previous_hash.size);
		FB_ASSERT(entry_follow(entry, head));
	}
}

static void
image_reserve(SimImage *image, size_t count)
{
	if (count <= image->capacity)
		return;
	image->capacity = count * 2 + 64;
	image->entries = realloc(image->entries, image->capacity * sizeof(SimEntry));
}

static void
disk_changed(SimDisk *disk, uint64_t from)
{
	if (!disk->open || from < disk->changed_from)
		disk->changed_from = from;
	disk->open = true;
}

void
disk_write_update(SimDisk *disk, const RaftUpdate *update, const SimEntry *entries,
				  const BlockHead *base_head)
{
	SimImage *image = &disk->written;

	if (update->persist_hard_state)
	{
		image->term = update->hard_state.term;
		image->vote = update->hard_state.vote;
		image->commit_index = update->hard_state.commit_index;
		memcpy(image->configuration_state, update->hard_state.configuration_state.data,
			   update->hard_state.configuration_state.size);
		image->configuration_state_bytes = update->hard_state.configuration_state.size;
		memcpy(image->memory, update->hard_state.memory.data, update->hard_state.memory.size);
		image->memory_bytes = update->hard_state.memory.size;
		image->recovery = update->hard_state.recovery;
		image->recovery_witness = update->hard_state.recovery_witness;
		image->established = update->hard_state.established;
		disk_changed(disk, UINT64_MAX);
	}
	if (update->log_start_changed)
	{
		size_t gone = image->count;

		if (!update->log_reset)
			gone = (size_t) (update->log_start.index - image->base_index);
		if (image->count > gone)
			memmove(image->entries, image->entries + gone,
					(image->count - gone) * sizeof(SimEntry));
		image->count -= gone;
		image->base_index = update->log_start.index;
		image->base_term = update->log_start.term;
		image->base_head = *base_head;
		disk_changed(disk, 0);
	}
	if (update->truncate_from_index > 0)
	{
		FB_ASSERT(update->truncate_from_index > image->base_index);
		image->count = (size_t) (update->truncate_from_index - image->base_index - 1);
		disk_changed(disk, update->truncate_from_index);
	}
	if (update->entries.count > 0)
	{
		FB_ASSERT(update->entries.first_index == image_last_index(image) + 1);
		image_reserve(image, image->count + update->entries.count);
		memcpy(image->entries + image->count, entries, update->entries.count * sizeof(SimEntry));
		image->count += update->entries.count;
		disk_changed(disk, update->entries.first_index);
	}
}

static void
image_copy(SimImage *to, const SimImage *from, uint64_t changed_from)
{
	SimEntry *entries = to->entries;
	size_t capacity = to->capacity;
	size_t first = 0;

	if (changed_from > from->base_index && to->base_index == from->base_index)
		first = changed_from - from->base_index - 1 < from->count
					? (size_t) (changed_from - from->base_index - 1)
					: from->count;
	*to = *from;
	to->entries = entries;
	to->capacity = capacity;
	image_reserve(to, to->count);
	if (from->count > first)
		memcpy(to->entries + first, from->entries + first,
			   (from->count - first) * sizeof(SimEntry));
}

void
disk_commit(SimDisk *disk)
{
	if (disk->open)
		image_copy(&disk->durable, &disk->written, disk->changed_from);
	disk->open = false;
}

void
disk_crash(SimDisk *disk)
{
	if (disk->open)
		image_copy(&disk->written, &disk->durable, 0);
	disk->open = false;
}

void
disk_backup(const SimDisk *disk, SimImage *backup)
{
	image_copy(backup, &disk->durable, 0);
}

void
disk_restore(SimDisk *disk, const SimImage *backup)
{
	static const SimImage empty;

	image_copy(&disk->durable, backup != NULL ? backup : &empty, 0);
	image_copy(&disk->written, &disk->durable, 0);
	disk->open = false;
}

void
disk_free(SimDisk *disk)
{
	free(disk->written.entries);
	free(disk->durable.entries);
	memset(disk, 0, sizeof(*disk));
}
