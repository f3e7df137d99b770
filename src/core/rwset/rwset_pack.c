/*
 * rwset_pack.c: read-write sets to bytes, in the order in which they are given
 * (docs/wire-format.md, "Read-write sets").
 */
#include "core/rwset/rwset_internal.h"

/* an array of messages and the array of pointers to them that protobuf-c wants */
#define NEW_MESSAGES(items, pointers, count, init, allocator, error) \
	do                                                               \
	{                                                                \
		NEW_ARRAY(items, count, allocator, error);                   \
		NEW_ARRAY(pointers, count, allocator, error);                \
		for (size_t new_i_ = 0; new_i_ < (count); new_i_++)          \
		{                                                            \
			init(&(items)[new_i_]);                                  \
			(pointers)[new_i_] = &(items)[new_i_];                   \
		}                                                            \
	} while (0)

static FbStatus
pack_text(FbAllocator *allocator, FbBytes bytes, char **text, FbError *error)
{
	*text = fb_text_copy(allocator, bytes);
	return *text == NULL ? fb_out_of_memory(error) : FB_OK;
}

static FbStatus
check_text(FbBytes bytes, FbError *error)
{
	if (!fb_utf8_valid(bytes))
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "the name of a namespace or collection is not a valid text");
	return FB_OK;
}

static FbStatus
build_version(FbAllocator *allocator, RwSetVersion version, Kvrwset__Version **message,
			  FbError *error)
{
	*message = NULL;
	if (!version.present)
		return FB_OK;
	*message = fb_allocate(allocator, sizeof(Kvrwset__Version));
	if (*message == NULL)
		return fb_out_of_memory(error);
	kvrwset__version__init(*message);
	(*message)->block_num = version.block_number;
	(*message)->tx_num = version.tx_index;
	return FB_OK;
}

static FbStatus
build_reads(FbAllocator *allocator, const RwSetRead *reads, size_t count,
			Kvrwset__KVRead ***messages, FbError *error)
{
	Kvrwset__KVRead *items;

	NEW_MESSAGES(items, *messages, count, kvrwset__kvread__init, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		items[i].key = proto_data(reads[i].key);
		FB_TRY(build_version(allocator, reads[i].version, &items[i].version, error));
	}
	return FB_OK;
}

static FbStatus
build_entries(FbAllocator *allocator, const RwSetMetadataEntry *entries, size_t count,
			  Kvrwset__KVMetadataEntry ***messages, FbError *error)
{
	Kvrwset__KVMetadataEntry *items;

	NEW_MESSAGES(items, *messages, count, kvrwset__kvmetadata_entry__init, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		items[i].name = proto_data(entries[i].name);
		items[i].value = proto_data(entries[i].value);
	}
	return FB_OK;
}

static FbStatus
build_writes(FbAllocator *allocator, const RwSetWrite *writes, size_t count,
			 Kvrwset__KVWrite ***messages, FbError *error)
{
	Kvrwset__KVWrite *items;

	NEW_MESSAGES(items, *messages, count, kvrwset__kvwrite__init, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		items[i].key = proto_data(writes[i].key);
		items[i].is_delete = writes[i].is_delete;
		items[i].value = proto_data(writes[i].value);
	}
	return FB_OK;
}

static FbStatus
build_metadata_writes(FbAllocator *allocator, const RwSetMetadataWrite *writes, size_t count,
					  Kvrwset__KVMetadataWrite ***messages, FbError *error)
{
	Kvrwset__KVMetadataWrite *items;

	NEW_MESSAGES(items, *messages, count, kvrwset__kvmetadata_write__init, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		items[i].key = proto_data(writes[i].key);
		FB_TRY(build_entries(allocator, writes[i].entries, writes[i].entries_count,
							 &items[i].entries, error));
		items[i].n_entries = writes[i].entries_count;
	}
	return FB_OK;
}

static FbStatus
build_range(FbAllocator *allocator, const RwSetRange *range, Kvrwset__RangeQueryInfo *message,
			FbError *error)
{
	message->start_key = proto_data(range->start_key);
	message->end_key = proto_data(range->end_key);
	message->itr_exhausted = range->exhausted;
	if (range->kind == RWSET_RANGE_READS)
	{
		Kvrwset__QueryReads *reads = fb_allocate(allocator, sizeof(*reads));

		if (reads == NULL)
			return fb_out_of_memory(error);
		kvrwset__query_reads__init(reads);
		FB_TRY(build_reads(allocator, range->reads, range->reads_count, &reads->kv_reads, error));
		reads->n_kv_reads = range->reads_count;
		message->reads_info_case = KVRWSET__RANGE_QUERY_INFO__READS_INFO_RAW_READS;
		message->raw_reads = reads;
	}
	else if (range->kind == RWSET_RANGE_MERKLE)
	{
		Kvrwset__QueryReadsMerkleSummary *summary = fb_allocate(allocator, sizeof(*summary));

		if (summary == NULL)
			return fb_out_of_memory(error);
		kvrwset__query_reads_merkle_summary__init(summary);
		summary->max_degree = range->merkle.max_degree;
		summary->max_level = range->merkle.max_level;
		NEW_ARRAY(summary->max_level_hashes, range->merkle.hashes_count, allocator, error);
		for (size_t i = 0; i < range->merkle.hashes_count; i++)
			summary->max_level_hashes[i] = proto_data(range->merkle.hashes[i]);
		summary->n_max_level_hashes = range->merkle.hashes_count;
		message->reads_info_case = KVRWSET__RANGE_QUERY_INFO__READS_INFO_READS_MERKLE_HASHES;
		message->reads_merkle_hashes = summary;
	}
	return FB_OK;
}

static FbStatus
pack_hashed(FbAllocator *allocator, const RwSetCollection *collection, FbBytes *bytes,
			FbError *error)
{
	Kvrwset__HashedRWSet set = KVRWSET__HASHED_RWSET__INIT;
	Kvrwset__KVReadHash *reads;
	Kvrwset__KVWriteHash *writes;
	Kvrwset__KVMetadataWriteHash *metadata_writes;

	NEW_MESSAGES(reads, set.hashed_reads, collection->hashed_reads_count,
				 kvrwset__kvread_hash__init, allocator, error);
	for (size_t i = 0; i < collection->hashed_reads_count; i++)
	{
		reads[i].key_hash = proto_data(collection->hashed_reads[i].key);
		FB_TRY(build_version(allocator, collection->hashed_reads[i].version, &reads[i].version,
							 error));
	}
	set.n_hashed_reads = collection->hashed_reads_count;

	NEW_MESSAGES(writes, set.hashed_writes, collection->hashed_writes_count,
				 kvrwset__kvwrite_hash__init, allocator, error);
	for (size_t i = 0; i < collection->hashed_writes_count; i++)
	{
		writes[i].key_hash = proto_data(collection->hashed_writes[i].key);
		writes[i].is_delete = collection->hashed_writes[i].is_delete;
		writes[i].value_hash = proto_data(collection->hashed_writes[i].value);
		writes[i].is_purge = collection->hashed_writes[i].is_purge;
	}
	set.n_hashed_writes = collection->hashed_writes_count;

	NEW_MESSAGES(metadata_writes, set.metadata_writes, collection->metadata_writes_count,
				 kvrwset__kvmetadata_write_hash__init, allocator, error);
	for (size_t i = 0; i < collection->metadata_writes_count; i++)
	{
		metadata_writes[i].key_hash = proto_data(collection->metadata_writes[i].key);
		FB_TRY(build_entries(allocator, collection->metadata_writes[i].entries,
							 collection->metadata_writes[i].entries_count,
							 &metadata_writes[i].entries, error));
		metadata_writes[i].n_entries = collection->metadata_writes[i].entries_count;
	}
	set.n_metadata_writes = collection->metadata_writes_count;
	return PROTO_PACK(&set, allocator, bytes, error);
}

static FbStatus
build_namespace(FbAllocator *allocator, const RwSetNamespace *ns, Rwset__NsReadWriteSet *message,
				FbError *error)
{
	Kvrwset__KVRWSet set = KVRWSET__KVRWSET__INIT;
	Kvrwset__RangeQueryInfo *ranges;
	Rwset__CollectionHashedReadWriteSet *collections;
	FbBytes bytes;

	FB_TRY(build_reads(allocator, ns->reads, ns->reads_count, &set.reads, error));
	set.n_reads = ns->reads_count;
	FB_TRY(build_writes(allocator, ns->writes, ns->writes_count, &set.writes, error));
	set.n_writes = ns->writes_count;
	FB_TRY(build_metadata_writes(allocator, ns->metadata_writes, ns->metadata_writes_count,
								 &set.metadata_writes, error));
	set.n_metadata_writes = ns->metadata_writes_count;
	NEW_MESSAGES(ranges, set.range_queries_info, ns->ranges_count, kvrwset__range_query_info__init,
				 allocator, error);
	for (size_t i = 0; i < ns->ranges_count; i++)
		FB_TRY(build_range(allocator, &ns->ranges[i], &ranges[i], error));
	set.n_range_queries_info = ns->ranges_count;

	FB_TRY(check_text(ns->name, error));
	message->namespace_ = proto_data(ns->name);
	FB_TRY(PROTO_PACK(&set, allocator, &bytes, error));
	message->rwset = proto_data(bytes);
	NEW_MESSAGES(collections, message->collection_hashed_rwset, ns->collections_count,
				 rwset__collection_hashed_read_write_set__init, allocator, error);
	for (size_t i = 0; i < ns->collections_count; i++)
	{
		FB_TRY(check_text(ns->collections[i].name, error));
		collections[i].collection_name = proto_data(ns->collections[i].name);
		FB_TRY(pack_hashed(allocator, &ns->collections[i], &bytes, error));
		collections[i].hashed_rwset = proto_data(bytes);
		collections[i].pvt_rwset_hash = proto_data(ns->collections[i].private_hash);
	}
	message->n_collection_hashed_rwset = ns->collections_count;
	return FB_OK;
}

FbStatus
rwset_pack(FbAllocator *allocator, const RwSet *rwset, FbBytes *bytes, FbError *error)
{
	Rwset__TxReadWriteSet message = RWSET__TX_READ_WRITE_SET__INIT;
	Rwset__NsReadWriteSet *namespaces;

	*bytes = FB_BYTES_EMPTY;
	message.data_model = (Rwset__TxReadWriteSet__DataModel) rwset->data_model;
	NEW_MESSAGES(namespaces, message.ns_rwset, rwset->namespaces_count,
				 rwset__ns_read_write_set__init, allocator, error);
	for (size_t i = 0; i < rwset->namespaces_count; i++)
		FB_TRY(build_namespace(allocator, &rwset->namespaces[i], &namespaces[i], error));
	message.n_ns_rwset = rwset->namespaces_count;
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
codec_pack_private(FbAllocator *allocator, const RwSetPrivate *set, FbBytes *bytes, FbError *error)
{
	Kvrwset__KVRWSet message = KVRWSET__KVRWSET__INIT;

	FB_TRY(build_writes(allocator, set->writes, set->writes_count, &message.writes, error));
	message.n_writes = set->writes_count;
	FB_TRY(build_metadata_writes(allocator, set->metadata_writes, set->metadata_writes_count,
								 &message.metadata_writes, error));
	message.n_metadata_writes = set->metadata_writes_count;
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
codec_pack_private_collections(FbAllocator *allocator, const RwSetPrivateCollection *collections,
							   size_t collections_count, FbBytes *bytes, FbError *error)
{
	Rwset__TxPvtReadWriteSet message = RWSET__TX_PVT_READ_WRITE_SET__INIT;
	Rwset__NsPvtReadWriteSet *namespaces;
	Rwset__CollectionPvtReadWriteSet *items;
	Rwset__CollectionPvtReadWriteSet **pointers;

	/* as many namespaces as collections is the most there can be */
	NEW_MESSAGES(namespaces, message.ns_pvt_rwset, collections_count,
				 rwset__ns_pvt_read_write_set__init, allocator, error);
	NEW_MESSAGES(items, pointers, collections_count, rwset__collection_pvt_read_write_set__init,
				 allocator, error);
	for (size_t i = 0; i < collections_count; i++)
	{
		FB_TRY(pack_text(allocator, collections[i].collection, &items[i].collection_name, error));
		items[i].rwset = proto_data(collections[i].bytes);
		if (i == 0 ||
			!fb_bytes_equal(collections[i].namespace_name, collections[i - 1].namespace_name))
		{
			Rwset__NsPvtReadWriteSet *ns = &namespaces[message.n_ns_pvt_rwset++];

			FB_TRY(pack_text(allocator, collections[i].namespace_name, &ns->namespace_, error));
			ns->collection_pvt_rwset = &pointers[i];
		}
		namespaces[message.n_ns_pvt_rwset - 1].n_collection_pvt_rwset++;
	}
	return PROTO_PACK(&message, allocator, bytes, error);
}

FbStatus
rwset_metadata_pack(FbAllocator *allocator, const RwSetMetadataEntry *entries, size_t entries_count,
					FbBytes *bytes, FbError *error)
{
	Kvrwset__KVMetadataWrite message = KVRWSET__KVMETADATA_WRITE__INIT;

	FB_TRY(build_entries(allocator, entries, entries_count, &message.entries, error));
	message.n_entries = entries_count;
	return PROTO_PACK(&message, allocator, bytes, error);
}
