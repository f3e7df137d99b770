/*
 * builder_internal: the collected reads and writes of a simulation, shared by builder.c
 * (collecting) and result.c (ordering).
 */
#ifndef FABRIC_CORE_RWSET_BUILDER_INTERNAL_H
#define FABRIC_CORE_RWSET_BUILDER_INTERNAL_H

#include "core/rwset/rwset_internal.h"

typedef enum EntryKind
{
	ENTRY_READ,
	ENTRY_WRITE,
	ENTRY_METADATA
} EntryKind;

typedef struct Space
{
	FbBytes namespace_name;
	FbBytes collection;
	bool is_collection;
} Space;

typedef struct Entry
{
	EntryKind kind;
	uint32_t space_index;
	uint64_t hash;
	FbBytes key;
	RwSetVersion version;
	FbBytes value;
	bool is_purge;
	RwSetMetadataEntry *entries;
	size_t entries_count;
} Entry;

struct RwSetRangeBuilder
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *next; /* in the order of opening */
	size_t order;
	uint32_t space_index;
	FbBytes requested_end;
	FbBuffer last_key; /* of the results so far */
	MerkleTree tree;
	RwSetRange range;
	bool repeated;
};

struct RwSetBuilder
{
	FbAllocator *allocator;
	Space *spaces;
	uint32_t spaces_count;
	uint32_t spaces_capacity;
	uint32_t last_space; /* most calls are for the same one */
	Entry **table;		 /* open addressing, a power of two */
	size_t table_size;
	size_t entries_count;
	size_t results_count; /* of ranges */
	RwSetRangeBuilder *first_range;
	RwSetRangeBuilder *last_range;
	size_t ranges_count;
	size_t bytes; /* of keys, values, metadata and bounds of ranges */
	bool has_writes;
	bool finished;
};

#endif
