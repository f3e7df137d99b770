/*
 * codec: read-write sets from bytes (docs/wire-format.md, "Read-write sets"); back to bytes:
 * rwset_pack.c.
 *
 * The encoding is layered: a TxReadWriteSet carries, per namespace, the packed bytes of a KVRWSet,
 * and per collection the packed bytes of a HashedRWSet. Each layer is decoded separately.
 * Order and repetitions are taken over as they are, so that packing what was parsed gives the bytes
 * that Fabric's encoder wrote.
 */
#include "core/rwset/rwset_internal.h"

bool
rwset_version_equal(RwSetVersion a, RwSetVersion b)
{
	if (!a.present || !b.present)
		return a.present == b.present;
	return a.block_number == b.block_number && a.tx_index == b.tx_index;
}

bool
rwset_write_deletes(const RwSetWrite *write)
{
	return write->is_delete || write->value.size == 0;
}

bool
rwset_hashed_write_deletes(const RwSetWrite *write)
{
	uint8_t hash_of_nothing[CRYPTO_SHA256_BYTES];

	if (rwset_write_deletes(write))
		return true;
	crypto_sha256(FB_BYTES_EMPTY, hash_of_nothing);
	return fb_bytes_equal(write->value, fb_bytes(hash_of_nothing, sizeof(hash_of_nothing)));
}

bool
rwset_namespace_writes(const RwSetNamespace *ns)
{
	if (ns->writes_count > 0 || ns->metadata_writes_count > 0)
		return true;
	for (size_t i = 0; i < ns->collections_count; i++)
	{
		if (ns->collections[i].hashed_writes_count > 0 ||
			ns->collections[i].metadata_writes_count > 0)
			return true;
	}
	return false;
}

static size_t
longest_key(const RwSetWrite *writes, size_t writes_count, const RwSetMetadataWrite *metadata,
			size_t metadata_count, size_t longest)
{
	for (size_t i = 0; i < writes_count; i++)
		if (writes[i].key.size > longest)
			longest = writes[i].key.size;
	for (size_t i = 0; i < metadata_count; i++)
		if (metadata[i].key.size > longest)
			longest = metadata[i].key.size;
	return longest;
}

size_t
rwset_longest_written_key(const RwSet *rwset)
{
	size_t longest = 0;

	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		longest = longest_key(ns->writes, ns->writes_count, ns->metadata_writes,
							  ns->metadata_writes_count, longest);
		for (size_t c = 0; c < ns->collections_count; c++)
			longest = longest_key(ns->collections[c].hashed_writes,
								  ns->collections[c].hashed_writes_count,
								  ns->collections[c].metadata_writes,
								  ns->collections[c].metadata_writes_count, longest);
	}
	return longest;
}

/* ---- bytes to structure ---- */

static RwSetVersion
version_of(const Kvrwset__Version *message)
{
	RwSetVersion version = {false, 0, 0};

	if (message != NULL)
	{
		version.present = true;
		version.block_number = message->block_num;
		version.tx_index = message->tx_num;
	}
	return version;
}

static FbStatus
parse_entries(FbAllocator *allocator, Kvrwset__KVMetadataEntry **messages, size_t count,
			  RwSetMetadataEntry **entries, size_t *entries_count, FbError *error)
{
	NEW_ARRAY(*entries, count, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		(*entries)[i].name = proto_bytes(messages[i]->name);
		(*entries)[i].value = proto_bytes(messages[i]->value);
	}
	*entries_count = count;
	return FB_OK;
}

static FbStatus
parse_reads(FbAllocator *allocator, Kvrwset__KVRead **messages, size_t count, RwSetRead **reads,
			size_t *reads_count, FbError *error)
{
	NEW_ARRAY(*reads, count, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		(*reads)[i].key = proto_bytes(messages[i]->key);
		(*reads)[i].version = version_of(messages[i]->version);
	}
	*reads_count = count;
	return FB_OK;
}

static FbStatus
parse_writes(FbAllocator *allocator, Kvrwset__KVWrite **messages, size_t count, RwSetWrite **writes,
			 size_t *writes_count, FbError *error)
{
	NEW_ARRAY(*writes, count, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		(*writes)[i].key = proto_bytes(messages[i]->key);
		(*writes)[i].value = proto_bytes(messages[i]->value);
		(*writes)[i].is_delete = messages[i]->is_delete;
	}
	*writes_count = count;
	return FB_OK;
}

static FbStatus
parse_metadata_writes(FbAllocator *allocator, Kvrwset__KVMetadataWrite **messages, size_t count,
					  RwSetMetadataWrite **writes, size_t *writes_count, FbError *error)
{
	NEW_ARRAY(*writes, count, allocator, error);
	for (size_t i = 0; i < count; i++)
	{
		(*writes)[i].key = proto_bytes(messages[i]->key);
		FB_TRY(parse_entries(allocator, messages[i]->entries, messages[i]->n_entries,
							 &(*writes)[i].entries, &(*writes)[i].entries_count, error));
	}
	*writes_count = count;
	return FB_OK;
}

static FbStatus
parse_range(FbAllocator *allocator, const Kvrwset__RangeQueryInfo *message, RwSetRange *range,
			FbError *error)
{
	range->start_key = proto_bytes(message->start_key);
	range->end_key = proto_bytes(message->end_key);
	range->exhausted = message->itr_exhausted;
	range->kind = RWSET_RANGE_NONE;
	if (message->reads_info_case == KVRWSET__RANGE_QUERY_INFO__READS_INFO_RAW_READS &&
		message->raw_reads != NULL)
	{
		range->kind = RWSET_RANGE_READS;
		FB_TRY(parse_reads(allocator, message->raw_reads->kv_reads, message->raw_reads->n_kv_reads,
						   &range->reads, &range->reads_count, error));
	}
	else if (message->reads_info_case ==
				 KVRWSET__RANGE_QUERY_INFO__READS_INFO_READS_MERKLE_HASHES &&
			 message->reads_merkle_hashes != NULL)
	{
		const Kvrwset__QueryReadsMerkleSummary *summary = message->reads_merkle_hashes;

		range->kind = RWSET_RANGE_MERKLE;
		range->merkle.max_degree = summary->max_degree;
		range->merkle.max_level = summary->max_level;
		NEW_ARRAY(range->merkle.hashes, summary->n_max_level_hashes, allocator, error);
		for (size_t i = 0; i < summary->n_max_level_hashes; i++)
			range->merkle.hashes[i] = proto_bytes(summary->max_level_hashes[i]);
		range->merkle.hashes_count = summary->n_max_level_hashes;
	}
	return FB_OK;
}

static FbStatus
parse_collection(FbAllocator *allocator, const Rwset__CollectionHashedReadWriteSet *message,
				 RwSetCollection *collection, FbError *error)
{
	Kvrwset__HashedRWSet *set;

	collection->name = proto_bytes(message->collection_name);
	collection->private_hash = proto_bytes(message->pvt_rwset_hash);
	FB_TRY(PROTO_UNPACK(kvrwset__hashed_rwset, proto_bytes(message->hashed_rwset), allocator, &set,
						error));

	NEW_ARRAY(collection->hashed_reads, set->n_hashed_reads, allocator, error);
	for (size_t i = 0; i < set->n_hashed_reads; i++)
	{
		collection->hashed_reads[i].key = proto_bytes(set->hashed_reads[i]->key_hash);
		collection->hashed_reads[i].version = version_of(set->hashed_reads[i]->version);
	}
	collection->hashed_reads_count = set->n_hashed_reads;

	NEW_ARRAY(collection->hashed_writes, set->n_hashed_writes, allocator, error);
	for (size_t i = 0; i < set->n_hashed_writes; i++)
	{
		collection->hashed_writes[i].key = proto_bytes(set->hashed_writes[i]->key_hash);
		collection->hashed_writes[i].value = proto_bytes(set->hashed_writes[i]->value_hash);
		collection->hashed_writes[i].is_delete = set->hashed_writes[i]->is_delete;
		collection->hashed_writes[i].is_purge = set->hashed_writes[i]->is_purge;
	}
	collection->hashed_writes_count = set->n_hashed_writes;

	NEW_ARRAY(collection->metadata_writes, set->n_metadata_writes, allocator, error);
	for (size_t i = 0; i < set->n_metadata_writes; i++)
	{
		RwSetMetadataWrite *write = &collection->metadata_writes[i];

		write->key = proto_bytes(set->metadata_writes[i]->key_hash);
		FB_TRY(parse_entries(allocator, set->metadata_writes[i]->entries,
							 set->metadata_writes[i]->n_entries, &write->entries,
							 &write->entries_count, error));
	}
	collection->metadata_writes_count = set->n_metadata_writes;
	return FB_OK;
}

static FbStatus
parse_namespace(FbAllocator *allocator, const Rwset__NsReadWriteSet *message, RwSetNamespace *ns,
				FbError *error)
{
	Kvrwset__KVRWSet *set;

	ns->name = proto_bytes(message->namespace_);
	FB_TRY(PROTO_UNPACK(kvrwset__kvrwset, proto_bytes(message->rwset), allocator, &set, error));
	FB_TRY(parse_reads(allocator, set->reads, set->n_reads, &ns->reads, &ns->reads_count, error));
	FB_TRY(
		parse_writes(allocator, set->writes, set->n_writes, &ns->writes, &ns->writes_count, error));
	FB_TRY(parse_metadata_writes(allocator, set->metadata_writes, set->n_metadata_writes,
								 &ns->metadata_writes, &ns->metadata_writes_count, error));
	NEW_ARRAY(ns->ranges, set->n_range_queries_info, allocator, error);
	for (size_t i = 0; i < set->n_range_queries_info; i++)
		FB_TRY(parse_range(allocator, set->range_queries_info[i], &ns->ranges[i], error));
	ns->ranges_count = set->n_range_queries_info;

	NEW_ARRAY(ns->collections, message->n_collection_hashed_rwset, allocator, error);
	for (size_t i = 0; i < message->n_collection_hashed_rwset; i++)
		FB_TRY(parse_collection(allocator, message->collection_hashed_rwset[i], &ns->collections[i],
								error));
	ns->collections_count = message->n_collection_hashed_rwset;
	return FB_OK;
}

/* everything that validation will look at one by one; an entry can be as small as two bytes */
static size_t
count_entries(const RwSetNamespace *ns)
{
	size_t count = ns->reads_count + ns->ranges_count + ns->writes_count +
				   ns->metadata_writes_count + ns->collections_count;

	for (size_t i = 0; i < ns->ranges_count; i++)
		count += ns->ranges[i].reads_count + ns->ranges[i].merkle.hashes_count;
	for (size_t i = 0; i < ns->collections_count; i++)
		count += ns->collections[i].hashed_reads_count + ns->collections[i].hashed_writes_count +
				 ns->collections[i].metadata_writes_count;
	return count;
}

FbStatus
rwset_parse(FbAllocator *allocator, FbBytes bytes, RwSet **rwset, FbError *error)
{
	Rwset__TxReadWriteSet *message;
	RwSet *set;
	size_t entries_count = 0;

	*rwset = NULL;
	FB_TRY(PROTO_UNPACK(rwset__tx_read_write_set, bytes, allocator, &message, error));
	if (message->n_ns_rwset > FB_NAMESPACES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "read-write set has %zu namespaces, more than %d",
					   message->n_ns_rwset, FB_NAMESPACES_MAX);
	set = fb_allocate_zero(allocator, sizeof(RwSet));
	if (set == NULL)
		return fb_out_of_memory(error);
	set->data_model = (int32_t) message->data_model;
	NEW_ARRAY(set->namespaces, message->n_ns_rwset, allocator, error);
	for (size_t i = 0; i < message->n_ns_rwset; i++)
	{
		FB_TRY(parse_namespace(allocator, message->ns_rwset[i], &set->namespaces[i], error));
		entries_count += count_entries(&set->namespaces[i]);
		if (entries_count > FB_RWSET_ENTRIES_MAX)
			return fb_fail(error, FB_LIMIT_EXCEEDED, "read-write set has more than %d entries",
						   FB_RWSET_ENTRIES_MAX);
	}
	set->namespaces_count = message->n_ns_rwset;
	*rwset = set;
	return FB_OK;
}

FbStatus
rwset_private_parse(FbAllocator *allocator, FbBytes bytes, RwSetPrivate **set, FbError *error)
{
	Kvrwset__KVRWSet *message;
	RwSetPrivate *result;

	*set = NULL;
	FB_TRY(PROTO_UNPACK(kvrwset__kvrwset, bytes, allocator, &message, error));
	result = fb_allocate_zero(allocator, sizeof(RwSetPrivate));
	if (result == NULL)
		return fb_out_of_memory(error);
	FB_TRY(parse_writes(allocator, message->writes, message->n_writes, &result->writes,
						&result->writes_count, error));
	FB_TRY(parse_metadata_writes(allocator, message->metadata_writes, message->n_metadata_writes,
								 &result->metadata_writes, &result->metadata_writes_count, error));
	*set = result;
	return FB_OK;
}

FbStatus
rwset_private_collections_parse(FbAllocator *allocator, FbBytes bytes,
								RwSetPrivateCollection **collections, size_t *collections_count,
								FbError *error)
{
	Rwset__TxPvtReadWriteSet *message;
	size_t count = 0;

	*collections = NULL;
	*collections_count = 0;
	FB_TRY(PROTO_UNPACK(rwset__tx_pvt_read_write_set, bytes, allocator, &message, error));
	for (size_t i = 0; i < message->n_ns_pvt_rwset; i++)
		count += message->ns_pvt_rwset[i]->n_collection_pvt_rwset;
	NEW_ARRAY(*collections, count, allocator, error);
	count = 0;
	for (size_t i = 0; i < message->n_ns_pvt_rwset; i++)
	{
		const Rwset__NsPvtReadWriteSet *ns = message->ns_pvt_rwset[i];

		for (size_t j = 0; j < ns->n_collection_pvt_rwset; j++)
		{
			RwSetPrivateCollection *collection = &(*collections)[count++];

			collection->namespace_name = fb_bytes_of_text(ns->namespace_);
			collection->collection = fb_bytes_of_text(ns->collection_pvt_rwset[j]->collection_name);
			collection->bytes = proto_bytes(ns->collection_pvt_rwset[j]->rwset);
		}
	}
	*collections_count = count;
	return FB_OK;
}

/* ---- key metadata and names of state namespaces ---- */

FbStatus
rwset_metadata_parse(FbAllocator *allocator, FbBytes bytes, RwSetMetadataEntry **entries,
					 size_t *entries_count, FbError *error)
{
	Kvrwset__KVMetadataWrite *message;

	*entries = NULL;
	*entries_count = 0;
	FB_TRY(PROTO_UNPACK(kvrwset__kvmetadata_write, bytes, allocator, &message, error));
	return parse_entries(allocator, message->entries, message->n_entries, entries, entries_count,
						 error);
}

FbStatus
rwset_metadata_validation_parameter(FbAllocator *allocator, FbBytes metadata, FbBytes *parameter,
									FbError *error)
{
	RwSetMetadataEntry *entries;
	size_t count;

	*parameter = FB_BYTES_EMPTY;
	FB_TRY(rwset_metadata_parse(allocator, metadata, &entries, &count, error));
	/* Go reads the entries into a map: the last one of a name counts */
	for (size_t i = 0; i < count; i++)
	{
		if (fb_bytes_equal(entries[i].name, FB_BYTES_LITERAL(RWSET_VALIDATION_PARAMETER)))
			*parameter = entries[i].value;
	}
	return FB_OK;
}

FbStatus
rwset_hashed_namespace(FbAllocator *allocator, FbBytes namespace_name, FbBytes collection,
					   FbBytes *name, FbError *error)
{
	FbBuffer buffer;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_bytes(&buffer, namespace_name);
	fb_buffer_append_text(&buffer, "$$h");
	fb_buffer_append_bytes(&buffer, collection);
	return fb_buffer_bytes(&buffer, name, error);
}

void
rwset_forget_reads(RwSet *rwset)
{
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		RwSetNamespace *ns = &rwset->namespaces[n];

		ns->reads_count = 0;
		ns->ranges_count = 0;
		for (size_t c = 0; c < ns->collections_count; c++)
			ns->collections[c].hashed_reads_count = 0;
	}
}
