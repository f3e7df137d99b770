/*
 * builder: collects what a simulation reads and writes, and puts it into Fabric's order (rwset_builder.go, WIRE 2.7).
 *
 * Every (kind, space, key) has one entry, found through a hash table; a space is a namespace or one collection of it. At
 * the end all entries are sorted once. Private keys are sorted in clear and hashed afterwards: their hashes come out in
 * the order of the plaintext keys (T-9), as Fabric's peers have it.
 */
#include "core/rwset/rwset_internal.h"

#include <stdlib.h>

typedef enum EntryKind
{
	ENTRY_READ,
	ENTRY_WRITE,
	ENTRY_METADATA
} EntryKind;

typedef struct Space
{
	FbBytes		namespace_name;
	FbBytes		collection;
	bool		is_collection;
} Space;

typedef struct Entry
{
	EntryKind	kind;
	uint32_t	space_index;
	uint64_t	hash;
	FbBytes		key;
	RwSetVersion version;
	FbBytes		value;
	bool		is_purge;
	RwSetMetadataEntry *entries;
	size_t		entries_count;
} Entry;

struct RwSetRangeBuilder
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *next;	/* in the order of opening */
	size_t		order;
	uint32_t	space_index;
	FbBytes		requested_end;
	FbBuffer	last_key;		/* of the results so far */
	MerkleTree	tree;
	RwSetRange	range;
	bool		repeated;
};

struct RwSetBuilder
{
	FbAllocator *allocator;
	Space	   *spaces;
	uint32_t	spaces_count;
	uint32_t	spaces_capacity;
	uint32_t	last_space;		/* most calls are for the same one */
	Entry	  **table;			/* open addressing, a power of two */
	size_t		table_size;
	size_t		entries_count;
	size_t		results_count;	/* of ranges */
	RwSetRangeBuilder *first_range;
	RwSetRangeBuilder *last_range;
	size_t		ranges_count;
	bool		has_writes;
	bool		finished;
};

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
check_name(FbBytes name, const char *what, FbError *error)
{
	if (!fb_utf8_valid(name) || (name.size > 0 && memchr(name.data, 0, name.size) != NULL))
		return fb_fail(error, FB_INVALID_ARGUMENT, "%s is not a valid text", what);
	return FB_OK;
}

static bool
space_is(const Space *space, FbBytes namespace_name, const FbBytes *collection)
{
	return space->is_collection == (collection != NULL) && fb_bytes_equal(space->namespace_name, namespace_name) &&
		(collection == NULL || fb_bytes_equal(space->collection, *collection));
}

/* collection NULL: the public space of the namespace */
static FbStatus
find_space(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, uint32_t *space_index, FbError *error)
{
	Space	   *space;

	if (builder->spaces_count > 0 && space_is(&builder->spaces[builder->last_space], namespace_name, collection))
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
	FB_TRY(check_name(namespace_name, "namespace", error));
	if (collection != NULL)
		FB_TRY(check_name(*collection, "collection name", error));
	if (builder->spaces_count >= FB_NAMESPACES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "transaction touches more than %d namespaces and collections",
					   FB_NAMESPACES_MAX);
	if (builder->spaces_count == builder->spaces_capacity)
	{
		uint32_t	capacity = builder->spaces_capacity == 0 ? 8 : builder->spaces_capacity * 2;
		Space	   *bigger = fb_allocate_array(builder->allocator, capacity, sizeof(Space));

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

/* FNV-1a: the keys are the chaincode's own, and its running time is limited, so no protection against collisions */
static uint64_t
hash_of(EntryKind kind, uint32_t space_index, FbBytes key)
{
	uint64_t	hash = UINT64_C(14695981039346656037) ^ ((uint64_t) space_index << 2 | kind);

	hash *= UINT64_C(1099511628211);
	for (size_t i = 0; i < key.size; i++)
		hash = (hash ^ key.data[i]) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

static Entry **
find_slot(Entry **table, size_t table_size, uint64_t hash, EntryKind kind, uint32_t space_index, FbBytes key)
{
	size_t		i = hash & (table_size - 1);

	while (table[i] != NULL && !(table[i]->hash == hash && table[i]->kind == kind && table[i]->space_index == space_index &&
								 fb_bytes_equal(table[i]->key, key)))
		i = (i + 1) & (table_size - 1);
	return &table[i];
}

static FbStatus
grow_table(RwSetBuilder *builder, FbError *error)
{
	size_t		size = builder->table_size * 2;
	Entry	  **table = fb_allocate_array(builder->allocator, size, sizeof(Entry *));

	if (table == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < builder->table_size; i++)
	{
		Entry	   *entry = builder->table[i];

		if (entry != NULL)
			*find_slot(table, size, entry->hash, entry->kind, entry->space_index, entry->key) = entry;
	}
	fb_release(builder->allocator, builder->table);
	builder->table = table;
	builder->table_size = size;
	return FB_OK;
}

static FbStatus
check_room(const RwSetBuilder *builder, FbError *error)
{
	if (builder->entries_count + builder->results_count + builder->ranges_count >= FB_RWSET_ENTRIES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "transaction reads and writes more than %d keys", FB_RWSET_ENTRIES_MAX);
	return FB_OK;
}

/* the entry of a key, new or known */
static FbStatus
find_entry(RwSetBuilder *builder, EntryKind kind, FbBytes namespace_name, const FbBytes *collection, FbBytes key,
		   Entry **entry, FbError *error)
{
	uint32_t	space_index;
	uint64_t	hash;
	Entry	  **slot;
	Entry	   *made;

	FB_ASSERT(!builder->finished);
	if (key.size > FB_STATE_KEY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "key has %zu bytes, more than %d", key.size, FB_STATE_KEY_BYTES_MAX);
	FB_TRY(find_space(builder, namespace_name, collection, &space_index, error));
	hash = hash_of(kind, space_index, key);
	slot = find_slot(builder->table, builder->table_size, hash, kind, space_index, key);
	if (*slot != NULL)
	{
		*entry = *slot;
		return FB_OK;
	}
	if (!fb_utf8_valid(key))
		return fb_fail(error, FB_INVALID_ARGUMENT, "key is not valid UTF-8");
	FB_TRY(check_room(builder, error));
	if ((builder->entries_count + 1) * 4 > builder->table_size * 3)
	{
		FB_TRY(grow_table(builder, error));
		slot = find_slot(builder->table, builder->table_size, hash, kind, space_index, key);
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
add_read(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, FbBytes key, RwSetVersion version,
		 FbError *error)
{
	Entry	   *entry;

	FB_TRY(find_entry(builder, ENTRY_READ, namespace_name, collection, key, &entry, error));
	entry->version = version;
	return FB_OK;
}

static FbStatus
add_write(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, FbBytes key, FbBytes value, bool is_purge,
		  FbError *error)
{
	Entry	   *entry;
	FbBytes		copy;

	if (value.size > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "value has %zu bytes, more than %d", value.size, FB_MESSAGE_BYTES_MAX);
	FB_TRY(fb_bytes_copy(builder->allocator, value, &copy, error));
	FB_TRY(find_entry(builder, ENTRY_WRITE, namespace_name, collection, key, &entry, error));
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
	return fb_bytes_compare(((const RwSetMetadataEntry *) a)->name, ((const RwSetMetadataEntry *) b)->name);
}

static FbStatus
add_metadata_write(RwSetBuilder *builder, FbBytes namespace_name, const FbBytes *collection, FbBytes key,
				   const RwSetMetadataEntry *entries, size_t entries_count, FbError *error)
{
	RwSetMetadataEntry *copies = fb_allocate_array(builder->allocator, entries_count, sizeof(RwSetMetadataEntry));
	Entry	   *entry;

	if (copies == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < entries_count; i++)
	{
		if (!fb_utf8_valid(entries[i].name))
			return fb_fail(error, FB_INVALID_ARGUMENT, "name of a metadata entry is not valid UTF-8");
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
	FB_TRY(find_entry(builder, ENTRY_METADATA, namespace_name, collection, key, &entry, error));
	entry->entries = copies;
	entry->entries_count = entries_count;
	builder->has_writes = true;
	return FB_OK;
}

FbStatus
rwset_builder_add_read(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key, RwSetVersion version, FbError *error)
{
	return add_read(builder, namespace_name, NULL, key, version, error);
}

FbStatus
rwset_builder_add_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key, FbBytes value, FbError *error)
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
								 const RwSetMetadataEntry *entries, size_t entries_count, FbError *error)
{
	return add_metadata_write(builder, namespace_name, NULL, key, entries, entries_count, error);
}

FbStatus
rwset_builder_add_hashed_read(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection, FbBytes key,
							  RwSetVersion version, FbError *error)
{
	return add_read(builder, namespace_name, &collection, key, version, error);
}

FbStatus
rwset_builder_add_private_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection, FbBytes key, FbBytes value,
								FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, value, false, error);
}

FbStatus
rwset_builder_add_private_delete(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection, FbBytes key,
								 FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, FB_BYTES_EMPTY, false, error);
}

FbStatus
rwset_builder_add_private_purge(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection, FbBytes key, FbError *error)
{
	return add_write(builder, namespace_name, &collection, key, FB_BYTES_EMPTY, true, error);
}

FbStatus
rwset_builder_add_private_metadata_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes collection, FbBytes key,
										 const RwSetMetadataEntry *entries, size_t entries_count, FbError *error)
{
	return add_metadata_write(builder, namespace_name, &collection, key, entries, entries_count, error);
}

/* ---- ranges ---- */

FbStatus
rwset_builder_open_range(RwSetBuilder *builder, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
						 RwSetRangeBuilder **range, FbError *error)
{
	RwSetRangeBuilder *made;

	*range = NULL;
	FB_ASSERT(!builder->finished);
	if (!fb_utf8_valid(start_key) || !fb_utf8_valid(end_key))
		return fb_fail(error, FB_INVALID_ARGUMENT, "bound of a range is not valid UTF-8");
	FB_TRY(check_room(builder, error));
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
	FB_TRY(check_room(range->builder, error));
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

/*
 * The end of a range is the requested one if the iterator got there; else the last result, since only up to there the
 * chaincode knows the state (query_executor.go, updateRangeQueryInfo).
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
compare_ranges(const void *a, const void *b)
{
	const RwSetRangeBuilder *x = *(RwSetRangeBuilder *const *) a;
	const RwSetRangeBuilder *y = *(RwSetRangeBuilder *const *) b;
	int			order;

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

/* rule 3 of WIRE 2.7: of ranges with the same bounds and end the first opened one stays */
static FbStatus
mark_repeated_ranges(RwSetBuilder *builder, FbError *error)
{
	RwSetRangeBuilder **sorted = fb_allocate_array(builder->allocator, builder->ranges_count, sizeof(*sorted));
	size_t		count = 0;

	if (sorted == NULL)
		return fb_out_of_memory(error);
	for (RwSetRangeBuilder *range = builder->first_range; range != NULL; range = range->next)
		sorted[count++] = range;
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_ranges);
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
compare_spaces(const Space *x, const Space *y)
{
	int			order = fb_bytes_compare(x->namespace_name, y->namespace_name);

	if (order == 0)
		order = (int) x->is_collection - (int) y->is_collection;
	if (order == 0)
		order = fb_bytes_compare(x->collection, y->collection);
	return order;
}

static int
compare_space_pointers(const void *a, const void *b)
{
	return compare_spaces(*(const Space *const *) a, *(const Space *const *) b);
}

static int
compare_entries(const void *a, const void *b)
{
	const Sorted *x = a;
	const Sorted *y = b;
	int			order = x->space == y->space ? 0 : compare_spaces(x->space, y->space);

	if (order == 0)
		order = (int) x->entry->kind - (int) y->entry->kind;
	if (order == 0)
		order = fb_bytes_compare(x->entry->key, y->entry->key);
	return order;
}

static FbStatus
hash_copy(FbAllocator *allocator, FbBytes of, FbBytes *hash, FbError *error)
{
	uint8_t    *bytes = fb_allocate(allocator, CRYPTO_SHA256_BYTES);

	if (bytes == NULL)
		return fb_out_of_memory(error);
	crypto_sha256(of, bytes);
	*hash = fb_bytes(bytes, CRYPTO_SHA256_BYTES);
	return FB_OK;
}

/* the sorted entries of one kind in one space: [*from, the return value); *from moves on */
static size_t
entries_of(const Sorted *sorted, size_t count, size_t *from, const Space *space, EntryKind kind, size_t *first)
{
	*first = *from;
	while (*from < count && sorted[*from].space == space && sorted[*from].entry->kind == kind)
		(*from)++;
	return *from - *first;
}

/* reads, writes and metadata writes of one space, keys and values in clear */
typedef struct Lists
{
	RwSetRead  *reads;
	size_t		reads_count;
	RwSetWrite *writes;
	size_t		writes_count;
	RwSetMetadataWrite *metadata_writes;
	size_t		metadata_writes_count;
} Lists;

static FbStatus
build_lists(FbAllocator *allocator, const Sorted *sorted, size_t count, size_t *from, const Space *space, Lists *lists,
			FbError *error)
{
	size_t		first;

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
	lists->metadata_writes = fb_allocate_array(allocator, lists->metadata_writes_count, sizeof(RwSetMetadataWrite));
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

/* the private set with keys in clear, and the hashes of it on the public side (WIRE 2.9) */
static FbStatus
build_collection(RwSetBuilder *builder, const Space *space, const Lists *lists, RwSetCollection *collection,
				 RwSetResult *result, FbError *error)
{
	FbAllocator *allocator = builder->allocator;

	collection->name = space->collection;
	if (lists->writes_count > 0 || lists->metadata_writes_count > 0)
	{
		RwSetPrivateCollection *private_part = &result->collections[result->collections_count];
		RwSetPrivate set = {lists->writes, lists->writes_count, NULL, lists->metadata_writes_count};

		set.metadata_writes = fb_allocate_array(allocator, lists->metadata_writes_count, sizeof(RwSetMetadataWrite));
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
		FB_TRY(hash_copy(allocator, lists->metadata_writes[i].key, &lists->metadata_writes[i].key, error));
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
	size_t		count = 0;

	for (RwSetRangeBuilder *range = builder->first_range; range != NULL; range = range->next)
		count += &builder->spaces[range->space_index] == space && !range->repeated;
	ns->ranges = fb_allocate_array(builder->allocator, count, sizeof(RwSetRange));
	if (ns->ranges == NULL)
		return fb_out_of_memory(error);
	for (RwSetRangeBuilder *range = builder->first_range; range != NULL && count > 0; range = range->next)
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
build_namespaces(RwSetBuilder *builder, Space *const *spaces, const Sorted *sorted, RwSet *set, RwSetResult *result,
				 FbError *error)
{
	size_t		from = 0;

	for (uint32_t i = 0; i < builder->spaces_count; i++)
	{
		const Space *space = spaces[i];
		RwSetNamespace *ns;
		Lists		lists = {0};

		if (i == 0 || !fb_bytes_equal(space->namespace_name, spaces[i - 1]->namespace_name))
		{
			uint32_t	end = i;

			while (end < builder->spaces_count && fb_bytes_equal(spaces[end]->namespace_name, space->namespace_name))
				end++;
			ns = &set->namespaces[set->namespaces_count++];
			ns->name = space->namespace_name;
			ns->collections = fb_allocate_array(builder->allocator, end - i, sizeof(RwSetCollection));
			if (ns->collections == NULL)
				return fb_out_of_memory(error);
		}
		ns = &set->namespaces[set->namespaces_count - 1];
		FB_TRY(build_lists(builder->allocator, sorted, builder->entries_count, &from, space, &lists, error));
		if (space->is_collection)
		{
			FB_TRY(build_collection(builder, space, &lists, &ns->collections[ns->collections_count], result, error));
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
	RwSet		set = {0};
	Space	  **spaces = fb_allocate_array(allocator, builder->spaces_count, sizeof(*spaces));
	Sorted	   *sorted = fb_allocate_array(allocator, builder->entries_count, sizeof(*sorted));
	size_t		count = 0;

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
	result->collections = fb_allocate_array(allocator, builder->spaces_count, sizeof(RwSetPrivateCollection));
	if (set.namespaces == NULL || result->collections == NULL)
		return fb_out_of_memory(error);
	FB_TRY(build_namespaces(builder, spaces, sorted, &set, result, error));
	if (result->collections_count > 0)
		FB_TRY(codec_pack_private_collections(allocator, result->collections, result->collections_count,
											  &result->private_bytes, error));
	return rwset_pack(allocator, &set, &result->public_bytes, error);
}
