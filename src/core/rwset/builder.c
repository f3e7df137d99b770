/*
 * builder: collects what a simulation reads and writes. Every (kind, space, key) has one entry,
 * found through a hash table; a space is a namespace or one collection of it. result.c sorts them.
 */
#include "core/rwset/builder_internal.h"

#include <stdlib.h>

#define FIRST_TABLE_SIZE 64

FbStatus
rwset_builder_create(FbAllocator *allocator, RwSetBuilder **builder, FbError *error)
{
	RwSetBuilder *result = fb_allocate_zero(allocator, sizeof(RwSetBuilder));

	*builder = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	result->table_size = FIRST_TABLE_SIZE;
	result->table = fb_allocate_array(allocator, result->table_size, sizeof(Entry *));
	if (result->table == NULL)
		return fb_out_of_memory(error);
	*builder = result;
	return FB_OK;
}

bool
rwset_builder_has_writes(const RwSetBuilder *builder)
{
	return builder->has_writes;
}

/* ---- spaces ---- */

static FbStatus
builder_check_name(FbBytes name, const char *what, FbError *error)
{
	if (!fb_utf8_valid(name) || (name.size > 0 && memchr(name.data, 0, name.size) != NULL))
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s is not a valid text", what);
	return FB_OK;
}

static bool
space_is(const Space *space, FbBytes namespace_name, const FbBytes *collection)
{
	return space->is_collection == (collection != NULL) &&
		   fb_bytes_equal(space->namespace_name, namespace_name) &&
		   (collection == NULL || fb_bytes_equal(space->collection, *collection));
}

/* collection NULL: the public space of the namespace */
static FbStatus
find_space(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection,
		   uint32_t *space_index, FbError *error)
{
	Space *space;

	if (builder->spaces_count > 0 &&
		space_is(&builder->spaces[builder->last_space], namespace_name, collection))
	{
		*space_index = builder->last_space;
		return FB_OK;
	}
	for (uint32_t i = 0; i < builder->spaces_count; i++)
	{
		if (space_is(&builder->spaces[i], namespace_name, collection))
		{
			*space_index = builder->last_space = i;
			return FB_OK;
		}
	}
	FB_TRY(builder_check_name(namespace_name, "namespace", error));
	if (collection != NULL)
		FB_TRY(builder_check_name(*collection, "collection name", error));
	if (builder->spaces_count >= FB_NAMESPACES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED,
					   "transaction touches more than %d namespaces and collections",
					   FB_NAMESPACES_MAX);
	if (builder->spaces_count == builder->spaces_capacity)
	{
		uint32_t capacity = builder->spaces_capacity == 0 ? 8 : builder->spaces_capacity * 2;
		Space *bigger = fb_allocate_array(builder->allocator, capacity, sizeof(Space));

		if (bigger == NULL)
			return fb_out_of_memory(error);
		if (builder->spaces_count > 0)
			memcpy(bigger, builder->spaces, builder->spaces_count * sizeof(Space));
		fb_release(builder->allocator, builder->spaces);
		builder->spaces = bigger;
		builder->spaces_capacity = capacity;
	}
	space = &builder->spaces[builder->spaces_count];
	memset(space, 0, sizeof(*space));
	FB_TRY(fb_bytes_copy(builder->allocator, namespace_name, &space->namespace_name, error));
	if (collection != NULL)
	{
		FB_TRY(fb_bytes_copy(builder->allocator, *collection, &space->collection, error));
		space->is_collection = true;
	}
	*space_index = builder->last_space = builder->spaces_count++;
	return FB_OK;
}

/* ---- entries ---- */

/*
 * FNV-1a: the keys are the chaincode's own, and its running time is limited, so no protection
 * against collisions
 */
static uint64_t
hash_of(EntryKind kind, uint32_t space_index, FbBytes key)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ ((uint64_t) space_index << 2 | kind);

	hash *= UINT64_C(1099511628211);
	for (size_t i = 0; i < key.size; i++)
		hash = (hash ^ key.data[i]) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

static Entry **
builder_find_slot(Entry **table, size_t table_size, uint64_t hash, EntryKind kind,
				  uint32_t space_index, FbBytes key)
{
	size_t i = hash & (table_size - 1);

	while (table[i] != NULL &&
		   !(table[i]->hash == hash && table[i]->kind == kind &&
			 table[i]->space_index == space_index && fb_bytes_equal(table[i]->key, key)))
		i = (i + 1) & (table_size - 1);
	return &table[i];
}

static FbStatus
grow_table(RwSetBuilder *builder, FbError *error)
{
	size_t size = builder->table_size * 2;
	Entry **table = fb_allocate_array(builder->allocator, size, sizeof(Entry *));

	if (table == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < builder->table_size; i++)
	{
		Entry *entry = builder->table[i];

		if (entry != NULL)
			*builder_find_slot(table, size, entry->hash, entry->kind, entry->space_index,
							   entry->key) = entry;
	}
	fb_release(builder->allocator, builder->table);
	builder->table = table;
	builder->table_size = size;
	return FB_OK;
}

static FbStatus
builder_check_size(const RwSetBuilder *builder, FbError *error)
{
	if (builder->entries_count + builder->results_count + builder->ranges_count >=
		FB_RWSET_ENTRIES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "transaction reads and writes more than %d keys",
					   FB_RWSET_ENTRIES_MAX);
	return FB_OK;
}

/*
 * check limits while collecting: otherwise a chaincode could fill all memory with a set that cannot
 * become a transaction
 */
static FbStatus
count_bytes(RwSetBuilder *builder, size_t added, size_t replaced, FbError *error)
{
	builder->bytes += added;
	builder->bytes -= replaced;
	if (builder->bytes > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "transaction reads and writes more than %d bytes",
					   FB_MESSAGE_BYTES_MAX);
	return FB_OK;
}

/* the entry of a key, new or known */
static FbStatus
builder_find_entry(RwSetBuilder *builder, EntryKind kind, FbBytes namespace_name,
				   const FbBytes *collection, FbBytes key, Entry **entry, FbError *error)
{
	uint32_t space_index;
	uint64_t hash;
	Entry **slot;
	Entry *made;

	FB_ASSERT(!builder->finished);
	if (key.size > FB_STATE_KEY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "key has %zu bytes, more than %d", key.size,
					   FB_STATE_KEY_BYTES_MAX);
	FB_TRY(find_space(builder, namespace_name, collection, &space_index, error));
	hash = hash_of(kind, space_index, key);
	slot = builder_find_slot(builder->table, builder->table_size, hash, kind, space_index, key);
	if (*slot != NULL)
	{
		*entry = *slot;
		return FB_OK;
	}
	if (!fb_utf8_valid(key))
		return fb_fail(error, FB_INVALID_ARGUMENT, "key is not valid UTF-8");
	FB_TRY(builder_check_size(builder, error));
	FB_TRY(count_bytes(builder, key.size, 0, error));
	if ((builder->entries_count + 1) * 4 > builder->table_size * 3)
	{
		FB_TRY(grow_table(builder, error));
		slot = builder_find_slot(builder->table, builder->table_size, hash, kind, space_index, key);
	}
	made = fb_allocate_zero(builder->allocator, sizeof(Entry));
	if (made == NULL)
		return fb_out_of_memory(error);
	made->kind = kind;
	made->space_index = space_index;
	made->hash = hash;
	FB_TRY(fb_bytes_copy(builder->allocator, key, &made->key, error));
	*slot = made;
	builder->entries_count++;
	*entry = made;
	return FB_OK;
}

static FbStatus
add_read(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, FbBytes key,
		 RwSetVersion version, FbError *error)
{
	Entry *entry;

	FB_TRY(builder_find_entry(builder, ENTRY_READ, namespace_name, collection, key, &entry, error));
	entry->version = version;
	return FB_OK;
}

static FbStatus
add_write(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, FbBytes key,
		  FbBytes value, bool is_purge, FbError *error)
{
	Entry *entry;
	FbBytes copy;

	if (value.size > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "value has %zu bytes, more than %d", value.size,
					   FB_MESSAGE_BYTES_MAX);
	FB_TRY(
		builder_find_entry(builder, ENTRY_WRITE, namespace_name, collection, key, &entry, error));
	FB_TRY(count_bytes(builder, value.size, entry->value.size, error));
	FB_TRY(fb_bytes_copy(builder->allocator, value, &copy, error));
	if (entry->value.size > 0)
		fb_release(builder->allocator, (void *) entry->value.data);
	entry->value = copy;
	entry->is_purge = is_purge;
	builder->has_writes = true;
	return FB_OK;
}

static int
compare_metadata_entries(const void *a, const void *b)
{
	return fb_bytes_compare(((const RwSetMetadataEntry *) a)->name,
							((const RwSetMetadataEntry *) b)->name);
}

static size_t
metadata_bytes(const RwSetMetadataEntry *entries, size_t entries_count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < entries_count; i++)
		bytes += sizeof(RwSetMetadataEntry) + entries[i].name.size + entries[i].value.size;
	return bytes;
}

static void
release_metadata(FbAllocator *allocator, RwSetMetadataEntry *entries, size_t entries_count)
{
	for (size_t i = 0; i < entries_count; i++)
	{
		fb_release(allocator, (void *) entries[i].name.data);
		fb_release(allocator, (void *) entries[i].value.data);
	}
	fb_release(allocator, entries);
}

static FbStatus
add_metadata_write(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection,
				   FbBytes key, const RwSetMetadataEntry *entries, size_t entries_count,
				   FbError *error)
{
	size_t bytes = metadata_bytes(entries, entries_count);
	RwSetMetadataEntry *copies;
	Entry *entry;

	if (bytes > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "metadata of a key have more than %d bytes",
					   FB_MESSAGE_BYTES_MAX);
	copies = fb_allocate_array(builder->allocator, entries_count, sizeof(RwSetMetadataEntry));
	if (copies == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < entries_count; i++)
	{
		if (!fb_utf8_valid(entries[i].name))
			return fb_fail(error, FB_INVALID_ARGUMENT,
						   "name of a metadata entry is not valid UTF-8");
		FB_TRY(fb_bytes_copy(builder->allocator, entries[i].name, &copies[i].name, error));
		FB_TRY(fb_bytes_copy(builder->allocator, entries[i].value, &copies[i].value, error));
	}
	if (entries_count > 1)
		qsort(copies, entries_count, sizeof(*copies), compare_metadata_entries);
	for (size_t i = 1; i < entries_count; i++)
	{
		if (fb_bytes_equal(copies[i - 1].name, copies[i].name))
			return fb_fail(error, FB_INVALID_ARGUMENT, "a metadata entry is given twice");
	}
	FB_TRY(builder_find_entry(builder, ENTRY_METADATA, namespace_name, collection, key, &entry,
							  error));
	FB_TRY(
		count_bytes(builder, bytes, metadata_bytes(entry->entries, entry->entries_count), error));
	release_metadata(builder->allocator, entry->entries, entry->entries_count);
	entry->entries = copies;
	entry->entries_count = entries_count;
	builder->has_writes = true;
	return FB_OK;
}

FbStatus
rwset_builder_add_read(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key,
					   RwSetVersion version, FbError *error)
{
	return add_read(builder, namespace_name, NULL, key, version, error);
}

FbStatus
rwset_builder_add_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key, FbBytes value,
						FbError *error)
{
	return add_write(builder, namespace_name, NULL, key, value, false, error);
}

FbStatus
rwset_builder_add_delete(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key, FbError *error)
{
	return add_write(builder, namespace_name, NULL, key, FB_BYTES_EMPTY, false, error);
}

FbStatus
rwset_builder_add_metadata_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key,
								 const RwSetMetadataEntry *entries, size_t entries_count,
								 FbError *error)
{
	return add_metadata_write(builder, namespace_name, NULL, key, entries, entries_count, error);
}

FbStatus
rwset_builder_add_hashed_read(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection,
							  FbBytes key, RwSetVersion version, FbError *error)
{
	return add_read(builder, namespace_name, &collection, key, version, error);
}

FbStatus
rwset_builder_add_private_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection,
								FbBytes key, FbBytes value, FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, value, false, error);
}

FbStatus
rwset_builder_add_private_delete(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection,
								 FbBytes key, FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, FB_BYTES_EMPTY, false, error);
}

FbStatus
rwset_builder_add_private_purge(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection,
								FbBytes key, FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, FB_BYTES_EMPTY, true, error);
}

FbStatus
rwset_builder_add_private_metadata_write(RwSetBuilder *builder, FbBytes namespace_name,
										 FbBytes collection, FbBytes key,
										 const RwSetMetadataEntry *entries, size_t entries_count,
										 FbError *error)
{
	return add_metadata_write(builder, namespace_name, &collection, key, entries, entries_count,
							  error);
}

/* ---- ranges ---- */

FbStatus
rwset_builder_open_range(RwSetBuilder *builder, FbBytes namespace_name, FbBytes start_key,
						 FbBytes end_key, RwSetRangeBuilder **range, FbError *error)
{
	RwSetRangeBuilder *made;

	*range = NULL;
	FB_ASSERT(!builder->finished);
	if (!fb_utf8_valid(start_key) || !fb_utf8_valid(end_key))
		return fb_fail(error, FB_INVALID_ARGUMENT, "bound of a range is not valid UTF-8");
	FB_TRY(builder_check_size(builder, error));
	FB_TRY(count_bytes(builder, start_key.size + end_key.size, 0, error));
	made = fb_allocate_zero(builder->allocator, sizeof(*made));
	if (made == NULL)
		return fb_out_of_memory(error);
	FB_TRY(find_space(builder, namespace_name, NULL, &made->space_index, error));
	FB_TRY(fb_bytes_copy(builder->allocator, start_key, &made->range.start_key, error));
	FB_TRY(fb_bytes_copy(builder->allocator, end_key, &made->requested_end, error));
	made->builder = builder;
	made->order = builder->ranges_count++;
	fb_buffer_init(&made->last_key, builder->allocator);
	merkle_init(&made->tree, builder->allocator);
	merkle_start(&made->tree, FB_RANGE_MERKLE_DEGREE);
	if (builder->last_range == NULL)
		builder->first_range = made;
	else
		builder->last_range->next = made;
	builder->last_range = made;
	*range = made;
	return FB_OK;
}

FbStatus
rwset_range_add_result(RwSetRangeBuilder *range, FbBytes key, RwSetVersion version, FbError *error)
{
	FB_ASSERT(!range->builder->finished && !range->range.exhausted);
	FB_TRY(builder_check_size(range->builder, error));
	range->last_key.size = 0;
	fb_buffer_append_bytes(&range->last_key, key);
	if (range->last_key.failed)
		return fb_out_of_memory(error);
	range->builder->results_count++;
	return merkle_add(&range->tree, key, version, error);
}

void
rwset_range_exhaust(RwSetRangeBuilder *range)
{
	range->range.exhausted = true;
}
