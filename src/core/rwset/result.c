/*
 * result: the collected reads and writes in Fabric's order (rwset_builder.go).
 *
 * All entries are sorted once. Private keys are sorted in clear and hashed afterwards: their hashes
 * come out in the order of the plaintext keys, as Fabric's peers have it.
 */
#include "core/rwset/builder_internal.h"

#include <stdlib.h>

/* ---- ranges ---- */

/*
 * The end of a range is the requested one if the iterator got there; else the last result, since
 * only up to there the chaincode knows the state (query_executor.go, updateRangeQueryInfo).
 */
static FbStatus
settle_ends(RwSetBuilder *builder, FbError *error)
{
	for (RwSetRangeBuilder *range = builder->first_range; range != NULL; range = range->next)
	{
		if (range->range.exhausted)
			range->range.end_key = range->requested_end;
		else
			FB_TRY(fb_buffer_bytes(&range->last_key, &range->range.end_key, error));
	}
	return FB_OK;
}

static int
compare_range_reads(const void *a, const void *b)
{
	const RwSetRangeBuilder *x = *(RwSetRangeBuilder *const *) a;
	const RwSetRangeBuilder *y = *(RwSetRangeBuilder *const *) b;
	int order;

	if (x->space_index != y->space_index)
		return x->space_index < y->space_index ? -1 : 1;
	order = fb_bytes_compare(x->range.start_key, y->range.start_key);
	if (order == 0)
		order = fb_bytes_compare(x->range.end_key, y->range.end_key);
	if (order == 0)
		order = (int) x->range.exhausted - (int) y->range.exhausted;
	if (order == 0)
		order = x->order < y->order ? -1 : 1;
	return order;
}

/* of ranges with the same bounds and end the first opened one stays */
static FbStatus
mark_repeated_ranges(RwSetBuilder *builder, FbError *error)
{
	RwSetRangeBuilder **sorted =
		fb_allocate_array(builder->allocator, builder->ranges_count, sizeof(*sorted));
	size_t count = 0;

	if (sorted == NULL)
		return fb_out_of_memory(error);
	for (RwSetRangeBuilder *range = builder->first_range; range != NULL; range = range->next)
		sorted[count++] = range;
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_range_reads);
	for (size_t i = 1; i < count; i++)
	{
		const RwSetRangeBuilder *before = sorted[i - 1];

		sorted[i]->repeated = before->space_index == sorted[i]->space_index &&
							  before->range.exhausted == sorted[i]->range.exhausted &&
							  fb_bytes_equal(before->range.start_key, sorted[i]->range.start_key) &&
							  fb_bytes_equal(before->range.end_key, sorted[i]->range.end_key);
	}
	fb_release(builder->allocator, sorted);
	return FB_OK;
}

/* ---- the result ---- */

/* what the order of entries depends on, flat for the comparison */
typedef struct Sorted
{
	const Entry *entry;
	const Space *space;
} Sorted;

static int
compare_namespaces(const Space *x, const Space *y)
{
	int order = fb_bytes_compare(x->namespace_name, y->namespace_name);

	if (order == 0)
		order = (int) x->is_collection - (int) y->is_collection;
	if (order == 0)
		order = fb_bytes_compare(x->collection, y->collection);
	return order;
}

static int
compare_space_pointers(const void *a, const void *b)
{
	return compare_namespaces(*(const Space *const *) a, *(const Space *const *) b);
}

static int
compare_entries(const void *a, const void *b)
{
	const Sorted *x = a;
	const Sorted *y = b;
	int order = x->space == y->space ? 0 : compare_namespaces(x->space, y->space);

	if (order == 0)
		order = (int) x->entry->kind - (int) y->entry->kind;
	if (order == 0)
		order = fb_bytes_compare(x->entry->key, y->entry->key);
	return order;
}

static FbStatus
hash_copy(FbAllocator *allocator, FbBytes of, FbBytes *hash, FbError *error)
{
	uint8_t *bytes = fb_allocate(allocator, CRYPTO_SHA256_BYTES);

	if (bytes == NULL)
		return fb_out_of_memory(error);
	crypto_sha256(of, bytes);
	*hash = fb_bytes(bytes, CRYPTO_SHA256_BYTES);
	return FB_OK;
}

/* the sorted entries of one kind in one space: [*from, the return value); *from moves on */
static size_t
entries_of(const Sorted *sorted, size_t count, size_t *from, const Space *space, EntryKind kind,
		   size_t *first)
{
	*first = *from;
	while (*from < count && sorted[*from].space == space && sorted[*from].entry->kind == kind)
		(*from)++;
	return *from - *first;
}

/* reads, writes and metadata writes of one space, keys and values in clear */
typedef struct Lists
{
	RwSetRead *reads;
	size_t reads_count;
	RwSetWrite *writes;
	size_t writes_count;
	RwSetMetadataWrite *metadata_writes;
	size_t metadata_writes_count;
} Lists;

static FbStatus
build_lists(FbAllocator *allocator, const Sorted *sorted, size_t count, size_t *from,
			const Space *space, Lists *lists, FbError *error)
{
	size_t first;

	lists->reads_count = entries_of(sorted, count, from, space, ENTRY_READ, &first);
	lists->reads = fb_allocate_array(allocator, lists->reads_count, sizeof(RwSetRead));
	if (lists->reads == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < lists->reads_count; i++)
	{
		lists->reads[i].key = sorted[first + i].entry->key;
		lists->reads[i].version = sorted[first + i].entry->version;
	}

	lists->writes_count = entries_of(sorted, count, from, space, ENTRY_WRITE, &first);
	lists->writes = fb_allocate_array(allocator, lists->writes_count, sizeof(RwSetWrite));
	if (lists->writes == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < lists->writes_count; i++)
	{
		const Entry *entry = sorted[first + i].entry;

		lists->writes[i].key = entry->key;
		lists->writes[i].value = entry->value;
		lists->writes[i].is_delete = entry->value.size == 0;
		lists->writes[i].is_purge = entry->is_purge;
	}

	lists->metadata_writes_count = entries_of(sorted, count, from, space, ENTRY_METADATA, &first);
	lists->metadata_writes =
		fb_allocate_array(allocator, lists->metadata_writes_count, sizeof(RwSetMetadataWrite));
	if (lists->metadata_writes == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < lists->metadata_writes_count; i++)
	{
		lists->metadata_writes[i].key = sorted[first + i].entry->key;
		lists->metadata_writes[i].entries = sorted[first + i].entry->entries;
		lists->metadata_writes[i].entries_count = sorted[first + i].entry->entries_count;
	}
	return FB_OK;
}

/* the private set with keys in clear, and the hashes of it on the public side (docs/wire-format.md,
 * "Private data") */
static FbStatus
build_collection(RwSetBuilder *builder, const Space *space, const Lists *lists,
				 RwSetCollection *collection, RwSetResult *result, FbError *error)
{
	FbAllocator *allocator = builder->allocator;

	collection->name = space->collection;
	if (lists->writes_count > 0 || lists->metadata_writes_count > 0)
	{
		RwSetPrivateCollection *private_part = &result->collections[result->collections_count];
		RwSetPrivate set = {lists->writes, lists->writes_count, NULL, lists->metadata_writes_count};

		set.metadata_writes =
			fb_allocate_array(allocator, lists->metadata_writes_count, sizeof(RwSetMetadataWrite));
		if (set.metadata_writes == NULL)
			return fb_out_of_memory(error);
		for (size_t i = 0; i < lists->metadata_writes_count; i++)
			set.metadata_writes[i].key = lists->metadata_writes[i].key;
		private_part->namespace_name = space->namespace_name;
		private_part->collection = space->collection;
		FB_TRY(codec_pack_private(allocator, &set, &private_part->bytes, error));
		FB_TRY(hash_copy(allocator, private_part->bytes, &collection->private_hash, error));
		result->collections_count++;
	}

	/* from here on the lists are the public ones: hashes in place of keys and values */
	for (size_t i = 0; i < lists->reads_count; i++)
		FB_TRY(hash_copy(allocator, lists->reads[i].key, &lists->reads[i].key, error));
	for (size_t i = 0; i < lists->writes_count; i++)
	{
		FB_TRY(hash_copy(allocator, lists->writes[i].key, &lists->writes[i].key, error));
		if (!lists->writes[i].is_delete)
			FB_TRY(hash_copy(allocator, lists->writes[i].value, &lists->writes[i].value, error));
	}
	for (size_t i = 0; i < lists->metadata_writes_count; i++)
		FB_TRY(hash_copy(allocator, lists->metadata_writes[i].key, &lists->metadata_writes[i].key,
						 error));
	collection->hashed_reads = lists->reads;
	collection->hashed_reads_count = lists->reads_count;
	collection->hashed_writes = lists->writes;
	collection->hashed_writes_count = lists->writes_count;
	collection->metadata_writes = lists->metadata_writes;
	collection->metadata_writes_count = lists->metadata_writes_count;
	return FB_OK;
}

static FbStatus
build_ranges(RwSetBuilder *builder, const Space *space, RwSetNamespace *ns, FbError *error)
{
	size_t count = 0;

	for (RwSetRangeBuilder *range = builder->first_range; range != NULL; range = range->next)
		count += &builder->spaces[range->space_index] == space && !range->repeated;
	ns->ranges = fb_allocate_array(builder->allocator, count, sizeof(RwSetRange));
	if (ns->ranges == NULL)
		return fb_out_of_memory(error);
	for (RwSetRangeBuilder *range = builder->first_range; range != NULL && count > 0;
		 range = range->next)
	{
		if (&builder->spaces[range->space_index] == space && !range->repeated)
		{
			FB_TRY(merkle_finish(&range->tree, &range->range, error));
			ns->ranges[ns->ranges_count++] = range->range;
		}
	}
	return FB_OK;
}

/* spaces: sorted; a namespace of which only collections were touched has an entry too (rule 5) */
static FbStatus
build_namespaces(RwSetBuilder *builder, Space *const *spaces, const Sorted *sorted, RwSet *set,
				 RwSetResult *result, FbError *error)
{
	size_t from = 0;

	for (uint32_t i = 0; i < builder->spaces_count; i++)
	{
		const Space *space = spaces[i];
		RwSetNamespace *ns;
		Lists lists = {0};

		if (i == 0 || !fb_bytes_equal(space->namespace_name, spaces[i - 1]->namespace_name))
		{
			uint32_t end = i;

			while (end < builder->spaces_count &&
				   fb_bytes_equal(spaces[end]->namespace_name, space->namespace_name))
				end++;
			ns = &set->namespaces[set->namespaces_count++];
			ns->name = space->namespace_name;
			ns->collections =
				fb_allocate_array(builder->allocator, end - i, sizeof(RwSetCollection));
			if (ns->collections == NULL)
				return fb_out_of_memory(error);
		}
		ns = &set->namespaces[set->namespaces_count - 1];
		FB_TRY(build_lists(builder->allocator, sorted, builder->entries_count, &from, space, &lists,
						   error));
		if (space->is_collection)
		{
			FB_TRY(build_collection(builder, space, &lists, &ns->collections[ns->collections_count],
									result, error));
			ns->collections_count++;
			continue;
		}
		ns->reads = lists.reads;
		ns->reads_count = lists.reads_count;
		ns->writes = lists.writes;
		ns->writes_count = lists.writes_count;
		ns->metadata_writes = lists.metadata_writes;
		ns->metadata_writes_count = lists.metadata_writes_count;
		FB_TRY(build_ranges(builder, space, ns, error));
	}
	FB_ASSERT(from == builder->entries_count);
	return FB_OK;
}

FbStatus
rwset_builder_finish(RwSetBuilder *builder, RwSetResult *result, FbError *error)
{
	FbAllocator *allocator = builder->allocator;
	RwSet set = {0};
	Space **spaces = fb_allocate_array(allocator, builder->spaces_count, sizeof(*spaces));
	Sorted *sorted = fb_allocate_array(allocator, builder->entries_count, sizeof(*sorted));
	size_t count = 0;

	FB_ASSERT(!builder->finished);
	memset(result, 0, sizeof(*result));
	if (spaces == NULL || sorted == NULL)
		return fb_out_of_memory(error);
	builder->finished = true;
	FB_TRY(settle_ends(builder, error));
	FB_TRY(mark_repeated_ranges(builder, error));

	for (uint32_t i = 0; i < builder->spaces_count; i++)
		spaces[i] = &builder->spaces[i];
	if (builder->spaces_count > 1)
		qsort(spaces, builder->spaces_count, sizeof(*spaces), compare_space_pointers);
	for (size_t i = 0; i < builder->table_size; i++)
	{
		if (builder->table[i] != NULL)
		{
			sorted[count].entry = builder->table[i];
			sorted[count++].space = &builder->spaces[builder->table[i]->space_index];
		}
	}
	FB_ASSERT(count == builder->entries_count);
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_entries);

	set.namespaces = fb_allocate_array(allocator, builder->spaces_count, sizeof(RwSetNamespace));
	result->collections =
		fb_allocate_array(allocator, builder->spaces_count, sizeof(RwSetPrivateCollection));
	if (set.namespaces == NULL || result->collections == NULL)
		return fb_out_of_memory(error);
	FB_TRY(build_namespaces(builder, spaces, sorted, &set, result, error));
	if (result->collections_count > 0)
		FB_TRY(codec_pack_private_collections(allocator, result->collections,
											  result->collections_count, &result->private_bytes,
											  error));
	return rwset_pack(allocator, &set, &result->public_bytes, error);
}
