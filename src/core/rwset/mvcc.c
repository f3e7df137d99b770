/*
 * mvcc: decide which transactions of a block read a state that is still current, and compute the
 * effect of the block on the state.
 *
 * The problem. Endorsers simulate transactions on different heights and in parallel. When a block
 * is committed, every node must find the same transactions valid, and reach the same state, as a
 * peer of Fabric does (core/ledger/kvledger/txmgmt/validation, validator.go and tx_ops.go), byte
 * for byte: codes, versions and the commit hash depend on it. A block comes from outside: its
 * read-write sets may have a million entries, and nothing but limits of size holds for them.
 *
 * The rule. The transactions are checked in block order against the committed state with the writes
 * of the block's earlier valid transactions on top:
 *
 *   - A read conflicts if an earlier valid transaction of the block wrote the key, even the same
 *     value, or if its version is not the committed one. A write without a read never conflicts.
 *   - A range query conflicts if, run again, it gives other keys or versions (range.c).
 *   - Within a transaction, namespaces count in their order, and in each the public reads, the
 *     ranges, and the hashed reads; the first failure decides the code. Writes of keys that the
 *     state cannot store come before all of these.
 *   - A transaction that is invalid, here or before, has no influence on later ones.
 *   - The version of a key is (block, transaction) of the last valid transaction that wrote its
 *     value or its metadata. A change of metadata alone has no effect on a missing key.
 *
 * How. mvcc_prepare sorts all keys of the block once and gives each a number, its slot. Every read
 * and write refers to its slot, and the caller fetches all committed versions in one query. So
 * validation itself is a walk over arrays and needs no look-up. mvcc_validate keeps one MvccState
 * for each slot: what the valid transactions so far have made of the key.
 *
 * Rejected: a hash table instead of sorting, because the keys come from outside and could be chosen
 * to collide, while sorting has no bad case. Looking keys up one by one while validating, because
 * each would be a query of its own. Dependency graphs that validate in parallel: signatures, not
 * this part, take the time, and the order of the block must decide anyway.
 *
 * What holds afterwards. The result depends on the block, the committed state and nothing else. It
 * is complete: no error leaves a part of it usable. Memory and time grow with the size of the
 * block, and for range queries with the rows that they find (KeySet and DeletedRun in
 * rwset_internal.h keep ten thousand queries over the same deleted keys from reading each of them
 * ten thousand times).
 */
#include "core/rwset/rwset_internal.h"

#include <stdlib.h>

/*
 * references to keys in a block, with repetitions: bounds the memory of sorting them (32 bytes
 * each)
 */
#define REFERENCES_MAX 50000000

typedef enum ReferenceUse
{
	USE_READ,
	USE_WRITE,
	USE_METADATA_WRITE
} ReferenceUse;

typedef struct Reference
{
	const FbBytes *namespace_name;
	const FbBytes *collection; /* NULL: public */
	const FbBytes *key;
	uint32_t order;
	uint8_t use;
	bool storable;
} Reference;

/* ---- the references of a read-write set, always in the same order ---- */

typedef struct Visit
{
	Reference *references; /* NULL: only count */
	size_t count;
	Reference unstorable; /* the first one; its key is NULL while there is none */
} Visit;

static void
mvcc_visit(Visit *to, const FbBytes *namespace_name, const FbBytes *collection, const FbBytes *key,
		   ReferenceUse use)
{
	Reference reference = {namespace_name,
						   collection,
						   key,
						   (uint32_t) to->count,
						   (uint8_t) use,
						   mvcc_is_storable(*namespace_name, collection, *key)};

	if (!reference.storable && to->unstorable.key == NULL)
		to->unstorable = reference;
	if (to->references != NULL)
		to->references[to->count] = reference;
	to->count++;
}

/* per namespace: reads, end keys of open ranges, hashed reads */
static void
visit_reads(Visit *to, const RwSet *rwset)
{
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		for (size_t i = 0; i < ns->reads_count; i++)
			mvcc_visit(to, &ns->name, NULL, &ns->reads[i].key, USE_READ);
		for (size_t i = 0; i < ns->ranges_count; i++)
		{
			if (!ns->ranges[i].exhausted)
				mvcc_visit(to, &ns->name, NULL, &ns->ranges[i].end_key, USE_READ);
		}
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			for (size_t i = 0; i < collection->hashed_reads_count; i++)
				mvcc_visit(to, &ns->name, &collection->name, &collection->hashed_reads[i].key,
						   USE_READ);
		}
	}
}

/*
 * Per namespace: writes, metadata writes, then those of its collections. A collection without a
 * name writes to the public state, and reads what nothing writes: Fabric collects the writes of a
 * transaction by (namespace, collection, key) with "" for public ones (tx_ops.go, applyTxRwset),
 * but keeps public and hashed reads apart (validator.go).
 */
static void
visit_writes(Visit *to, const RwSet *rwset)
{
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		for (size_t i = 0; i < ns->writes_count; i++)
			mvcc_visit(to, &ns->name, NULL, &ns->writes[i].key, USE_WRITE);
		for (size_t i = 0; i < ns->metadata_writes_count; i++)
			mvcc_visit(to, &ns->name, NULL, &ns->metadata_writes[i].key, USE_METADATA_WRITE);
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];
			const FbBytes *name = collection->name.size > 0 ? &collection->name : NULL;

			for (size_t i = 0; i < collection->hashed_writes_count; i++)
				mvcc_visit(to, &ns->name, name, &collection->hashed_writes[i].key, USE_WRITE);
			for (size_t i = 0; i < collection->metadata_writes_count; i++)
				mvcc_visit(to, &ns->name, name, &collection->metadata_writes[i].key,
						   USE_METADATA_WRITE);
		}
	}
}

/* ---- preparing ---- */

/* long names are never compared: all keys that cannot be in the state are one key, the first */
static int
compare_references(const void *a, const void *b)
{
	const Reference *x = a;
	const Reference *y = b;
	int order = 0;

	if (!x->storable || !y->storable)
		return x->storable - y->storable;
	/* most keys of a block are in the same namespace: the same bytes, often at the same address */
	if (x->namespace_name != y->namespace_name || x->collection != y->collection)
		order = mvcc_compare_spaces(*x->namespace_name, x->collection, *y->namespace_name,
									y->collection);
	if (order == 0)
		order = fb_bytes_compare(*x->key, *y->key);
	return order;
}

/* before: the reference that the key before this one was made from, or NULL */
static FbStatus
fill_key(FbAllocator *allocator, const Reference *reference, const Reference *before, MvccKey *key,
		 FbError *error)
{
	key->namespace_name = *reference->namespace_name;
	key->collection = reference->collection == NULL ? FB_BYTES_EMPTY : *reference->collection;
	key->hashed = reference->collection != NULL;
	key->key = *reference->key;
	key->storable = true;
	key->state_namespace = key->namespace_name;
	if (!key->hashed)
		return FB_OK;
	if (before == NULL || !before->storable || before->collection == NULL ||
		mvcc_compare_spaces(*before->namespace_name, before->collection, key->namespace_name,
							reference->collection) != 0)
		return rwset_hashed_namespace(allocator, key->namespace_name, key->collection,
									  &key->state_namespace, error);
	key->state_namespace = key[-1].state_namespace;
	return FB_OK;
}

/* one MvccKey for each distinct reference, and the slots of all of them */
static FbStatus
merge_references(FbAllocator *allocator, const Reference *references, size_t count,
				 MvccBlock *block, FbError *error)
{
	MvccPlan *plan = block->plan;
	const Reference *before = NULL;
	size_t distinct = 0;

	for (size_t i = 0; i < count; i++)
		distinct += i == 0 || compare_references(&references[i - 1], &references[i]) != 0;
	block->keys = fb_allocate_array(allocator, distinct, sizeof(MvccKey));
	plan->slots = fb_allocate_array(allocator, count, sizeof(uint32_t));
	plan->states = fb_allocate_array(allocator, distinct, sizeof(MvccState));
	if (block->keys == NULL || plan->slots == NULL || plan->states == NULL)
		return fb_out_of_memory(error);
	plan->slots_count = count;
	for (size_t i = 0; i < count; i++)
	{
		const Reference *reference = &references[i];
		MvccKey *key;

		if (before == NULL || compare_references(before, reference) != 0)
		{
			key = &block->keys[block->keys_count++];
			if (reference->storable)
				FB_TRY(fill_key(allocator, reference, before, key, error));
			before = reference;
		}
		key = &block->keys[block->keys_count - 1];
		if (reference->use == USE_READ)
			key->read = true;
		else
			key->written = true;
		if (reference->use == USE_METADATA_WRITE)
			key->value_needed = true;
		plan->slots[reference->order] = (uint32_t) (block->keys_count - 1);
	}
	FB_ASSERT(block->keys_count == distinct);
	return FB_OK;
}

/*
 * A key that one transaction writes more than once may end as a change of its metadata only, which
 * repeats the value that it has. The stamps of the states mark what the transaction at hand has
 * written already; mvcc_validate starts with clean ones.
 */
static void
mark_repeated_writes(MvccBlock *block)
{
	MvccPlan *plan = block->plan;

	for (size_t t = 0; t < plan->transactions_count; t++)
	{
		size_t end =
			t + 1 < plan->transactions_count ? plan->first_slots[t + 1] : plan->slots_count;

		for (size_t i = plan->first_writes[t]; plan->transactions[t].rwset != NULL && i < end; i++)
		{
			uint32_t slot = plan->slots[i];

			if (plan->states[slot].pending_stamp == t + 1)
				block->keys[slot].value_needed = true;
			plan->states[slot].pending_stamp = t + 1;
		}
	}
}

FbStatus
mvcc_prepare(FbAllocator *allocator, MvccTransaction *transactions, size_t transactions_count,
			 MvccBlock **block, FbError *error)
{
	MvccBlock *made = fb_allocate_zero(allocator, sizeof(MvccBlock));
	MvccPlan *plan = fb_allocate_zero(allocator, sizeof(MvccPlan));
	Visit visit_state = {0};
	size_t count;

	*block = NULL;
	if (made == NULL || plan == NULL)
		return fb_out_of_memory(error);
	if (transactions_count > FB_BLOCK_TRANSACTIONS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "block has %zu transactions, more than %d",
					   transactions_count, FB_BLOCK_TRANSACTIONS_MAX);
	made->plan = plan;
	plan->transactions = transactions;
	plan->transactions_count = transactions_count;
	plan->first_slots = fb_allocate_array(allocator, transactions_count, sizeof(size_t));
	plan->first_writes = fb_allocate_array(allocator, transactions_count, sizeof(size_t));
	if (plan->first_slots == NULL || plan->first_writes == NULL)
		return fb_out_of_memory(error);
	for (size_t t = 0; t < transactions_count; t++)
	{
		plan->first_slots[t] = visit_state.count;
		if (transactions[t].rwset == NULL)
			continue;
		visit_reads(&visit_state, transactions[t].rwset);
		plan->first_writes[t] = visit_state.count;
		visit_writes(&visit_state, transactions[t].rwset);
		for (size_t n = 0; n < transactions[t].rwset->namespaces_count; n++)
			made->has_ranges |= transactions[t].rwset->namespaces[n].ranges_count > 0;
		if (visit_state.count > REFERENCES_MAX)
			return fb_fail(error, FB_LIMIT_EXCEEDED,
						   "transactions of the block mention more than %d keys", REFERENCES_MAX);
	}
	count = visit_state.count;
	visit_state.references = fb_allocate_array(allocator, count, sizeof(Reference));
	if (visit_state.references == NULL)
		return fb_out_of_memory(error);
	visit_state.count = 0;
	for (size_t t = 0; t < transactions_count; t++)
	{
		if (transactions[t].rwset == NULL)
			continue;
		visit_reads(&visit_state, transactions[t].rwset);
		visit_writes(&visit_state, transactions[t].rwset);
	}
	if (count > 1)
		qsort(visit_state.references, count, sizeof(Reference), compare_references);
	FB_TRY(merge_references(allocator, visit_state.references, count, made, error));
	FB_TRY(key_set_init(&plan->present, allocator, made->keys_count, error));
	FB_TRY(key_set_init(&plan->deleted, allocator, made->keys_count, error));
	mark_repeated_writes(made);
	fb_release(allocator, visit_state.references);
	*block = made;
	return FB_OK;
}

/* ---- checking one transaction ---- */

typedef struct Validation
{
	FbAllocator *allocator;
	MvccBlock *block;
	RangeSource *ranges;
	MerkleTree tree;
	bool *repeated; /* of the namespace at hand: range queries that are the same as earlier ones */
	uint32_t *touched; /* slots that the transaction being applied writes */
	size_t touched_count;
	MvccResult *result;
} Validation;

/*
 * what a read finds: the version that an earlier transaction of the block will give the key, or the
 * committed one
 */
static bool
read_conflicts(const MvccBlock *block, FbBytes namespace_name, FbBytes collection,
			   const RwSetRead *read, uint32_t slot, MvccConflict *conflict)
{
	const MvccKey *key = &block->keys[slot];
	const MvccState *state = &block->plan->states[slot];

	if (state->updated)
	{
		/* even if the same value was written, and also if the key was deleted */
		conflict->writer_tx_index = state->tx_index;
		if (!state->deleted)
			conflict->version_found = mvcc_version(block->plan->block_number, state->tx_index);
	}
	else if (rwset_version_equal(read->version, key->committed))
		return false;
	else
		conflict->version_found = key->committed;
	conflict->version_read = read->version;
	conflict->code = MVCC_READ_CONFLICT;
	conflict->namespace_name = namespace_name;
	conflict->collection = collection;
	conflict->key = read->key;
	return true;
}

/*
 * Namespaces in their order; in each public reads, ranges, hashed reads. The first failure decides.
 */
static FbStatus
check_reads(Validation *validation, const RwSet *rwset, const uint32_t *slot,
			MvccConflict *conflict, FbError *error)
{
	const MvccBlock *block = validation->block;

	/* keys that queries of earlier transactions found deleted may exist again */
	block->plan->runs_base = block->plan->runs_count;
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		for (size_t i = 0; i < ns->reads_count; i++)
		{
			if (read_conflicts(block, ns->name, FB_BYTES_EMPTY, &ns->reads[i], *slot++, conflict))
				return FB_OK;
		}
		if (ns->ranges_count > 0)
			FB_TRY(range_find_repeated(validation->allocator, ns, &validation->repeated, error));
		for (size_t i = 0; i < ns->ranges_count; i++)
		{
			const RwSetRange *range = &ns->ranges[i];
			uint32_t end_slot = range->exhausted ? 0 : *slot++;
			bool phantom;

			if (validation->repeated[i])
				continue;
			FB_TRY(range_validate(validation->allocator, block, ns->name, range, end_slot,
								  validation->ranges, &validation->tree, &phantom, conflict,
								  error));
			if (phantom)
			{
				conflict->code = MVCC_PHANTOM_CONFLICT;
				conflict->namespace_name = ns->name;
				conflict->range = range;
				return FB_OK;
			}
		}
		if (ns->ranges_count > 0)
			fb_release(validation->allocator, validation->repeated);
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			for (size_t i = 0; i < collection->hashed_reads_count; i++)
			{
				if (read_conflicts(block, ns->name, collection->name, &collection->hashed_reads[i],
								   *slot++, conflict))
					return FB_OK;
			}
		}
	}
	return FB_OK;
}

/*
 * The state has limits for keys and names. As in Fabric's preprocessing (batch_preparer.go,
 * validateWriteset), they are checked before the reads.
 */
static void
mvcc_check_writes(const RwSet *rwset, MvccConflict *conflict)
{
	Visit look = {0};

	visit_writes(&look, rwset);
	if (look.unstorable.key == NULL)
		return;
	conflict->code = MVCC_INVALID_WRITESET;
	conflict->namespace_name = *look.unstorable.namespace_name;
	conflict->collection =
		look.unstorable.collection == NULL ? FB_BYTES_EMPTY : *look.unstorable.collection;
	conflict->key = *look.unstorable.key;
}

/* ---- applying a valid transaction ---- */

/*
 * What the writes of one transaction do to one key is a sum, as in Fabric (tx_ops.go, keyOps): each
 * write adds its operation to a byte, and the bits of the byte decide. For a key that is written
 * once the result is the obvious one. Two values written to one key add up to a change of its
 * metadata; every peer of Fabric finds this result, so it is the same here. No builder makes such a
 * set, but endorsers can sign one.
 */
typedef enum KeyOperation
{
	KEY_UPSERT = 1,
	KEY_METADATA_UPDATE = 2,
	KEY_METADATA_DELETE = 4,
	KEY_DELETE = 8
} KeyOperation;

static MvccState *
mvcc_touch(Validation *validation, uint32_t slot, size_t stamp)
{
	MvccState *state = &validation->block->plan->states[slot];

	if (state->pending_stamp != stamp)
	{
		state->pending_stamp = stamp;
		state->pending_sum = 0;
		state->new_value = FB_BYTES_EMPTY;
		state->new_metadata = FB_BYTES_EMPTY;
		validation->touched[validation->touched_count++] = slot;
	}
	return state;
}

/*
 * history/db.go, Commit: public writes of endorser transactions; of several of one key
 * query_executer.go finds the first
 */
static void
add_history(Validation *validation, const RwSetWrite *write, uint32_t slot, size_t tx_index)
{
	const MvccKey *key = &validation->block->keys[slot];
	MvccState *state = &validation->block->plan->states[slot];
	HistoryEntry *entry;

	if (state->history_stamp == tx_index + 1)
		return;
	state->history_stamp = tx_index + 1;
	entry = &validation->result->history[validation->result->history_count++];
	entry->namespace_name = key->namespace_name;
	entry->key = key->key;
	entry->tx_index = (uint32_t) tx_index;
	entry->is_delete = rwset_write_deletes(write);
	entry->value = entry->is_delete ? FB_BYTES_EMPTY : write->value;
}

static void
collect_writes(Validation *validation, const RwSetWrite *writes, size_t count, bool hashed,
			   bool with_history, const uint32_t **slot, size_t tx_index)
{
	for (size_t i = 0; i < count; i++)
	{
		MvccState *state = mvcc_touch(validation, **slot, tx_index + 1);

		if (hashed ? rwset_hashed_write_deletes(&writes[i]) : rwset_write_deletes(&writes[i]))
			state->pending_sum += KEY_DELETE;
		else
		{
			state->pending_sum += KEY_UPSERT;
			state->new_value = writes[i].value;
		}
		if (writes[i].is_purge)
		{
			state->purged = true;
			state->purge_tx_index = (uint32_t) tx_index;
		}
		if (with_history)
			add_history(validation, &writes[i], **slot, tx_index);
		(*slot)++;
	}
}

static FbStatus
collect_metadata_writes(Validation *validation, const RwSetMetadataWrite *writes, size_t count,
						const uint32_t **slot, size_t tx_index, FbError *error)
{
	for (size_t i = 0; i < count; i++)
	{
		MvccState *state = mvcc_touch(validation, *(*slot)++, tx_index + 1);

		if (writes[i].entries_count == 0)
		{
			state->pending_sum += KEY_METADATA_DELETE;
			continue;
		}
		state->pending_sum += KEY_METADATA_UPDATE;
		FB_TRY(rwset_metadata_pack(validation->allocator, writes[i].entries,
								   writes[i].entries_count, &state->new_metadata, error));
	}
	return FB_OK;
}

/* what the transaction as a whole does to one key (tx_ops.go, prepareTxOps) */
static void
apply_key(const MvccKey *key, MvccState *state, size_t tx_index)
{
	uint8_t sum = state->pending_sum;
	bool value_and_metadata =
		(sum & KEY_UPSERT) && (sum & (KEY_METADATA_UPDATE | KEY_METADATA_DELETE));
	bool value_only = (sum | KEY_UPSERT) == KEY_UPSERT; /* 0 after 256 writes */

	/* no value is left, after 32 deletions: Fabric's peers panic here */
	if ((sum & KEY_DELETE) || ((value_and_metadata || value_only) && state->new_value.size == 0))
	{
		state->deleted = true;
		state->value = FB_BYTES_EMPTY;
		state->metadata = FB_BYTES_EMPTY;
	}
	else if (value_and_metadata || value_only)
	{
		if (value_and_metadata)
			state->metadata = state->new_metadata;
		else if (!state->updated)
			state->metadata = key->committed_metadata; /* a value write keeps them */
		state->deleted = false;
		state->value = state->new_value;
	}
	else
	{
		/*
		 * only metadata: no effect on a key that does not exist; else a new version of it
		 */
		if (state->updated ? state->deleted : !key->committed.present)
			return;
		if (!state->updated)
			state->value = key->committed_value;
		state->metadata = state->new_metadata;
	}
	state->updated = true;
	state->tx_index = (uint32_t) tx_index;
}

static FbStatus
mvcc_apply(Validation *validation, size_t tx_index, const uint32_t *slot, FbError *error)
{
	MvccBlock *block = validation->block;
	const MvccTransaction *transaction = &block->plan->transactions[tx_index];

	validation->touched_count = 0;
	for (size_t n = 0; n < transaction->rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &transaction->rwset->namespaces[n];

		collect_writes(validation, ns->writes, ns->writes_count, false, !transaction->post_order,
					   &slot, tx_index);
		FB_TRY(collect_metadata_writes(validation, ns->metadata_writes, ns->metadata_writes_count,
									   &slot, tx_index, error));
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			collect_writes(validation, collection->hashed_writes, collection->hashed_writes_count,
						   true, false, &slot, tx_index);
			FB_TRY(collect_metadata_writes(validation, collection->metadata_writes,
										   collection->metadata_writes_count, &slot, tx_index,
										   error));
		}
	}
	for (size_t i = 0; i < validation->touched_count; i++)
	{
		uint32_t touched = validation->touched[i];

		apply_key(&block->keys[touched], &block->plan->states[touched], tx_index);
		key_set_put(&block->plan->present, touched,
					block->plan->states[touched].updated && !block->plan->states[touched].deleted);
		key_set_put(&block->plan->deleted, touched,
					block->plan->states[touched].deleted && block->keys[touched].committed.present);
	}
	return FB_OK;
}

/* ---- the block ---- */

static FbStatus
list_updates(Validation *validation, FbError *error)
{
	const MvccBlock *block = validation->block;
	MvccResult *result = validation->result;
	size_t count = 0;

	for (size_t i = 0; i < block->keys_count; i++)
		count += block->plan->states[i].updated;
	result->updates = fb_allocate_array(validation->allocator, count, sizeof(StateUpdate));
	if (result->updates == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < block->keys_count; i++)
	{
		const MvccKey *key = &block->keys[i];
		const MvccState *state = &block->plan->states[i];
		StateUpdate *update = &result->updates[result->updates_count];

		if (!state->updated)
			continue;
		update->namespace_name = key->namespace_name;
		update->collection = key->collection;
		update->hashed = key->hashed;
		update->state_namespace = key->state_namespace;
		update->key = key->key;
		update->is_delete = state->deleted;
		update->is_purge = state->purged && key->hashed;
		update->purge_tx_index = state->purge_tx_index;
		update->value = state->value;
		update->metadata = state->metadata;
		update->version = mvcc_version(block->plan->block_number, state->tx_index);
		update->tx_index = state->tx_index;
		result->updates_count++;
	}
	return FB_OK;
}

FbStatus
mvcc_validate(FbAllocator *allocator, MvccBlock *block, uint64_t block_number, RangeSource *ranges,
			  MvccResult *result, FbError *error)
{
	MvccPlan *plan = block->plan;
	Validation validation = {.allocator = allocator,
							 .block = block,
							 .ranges = ranges,
							 .result = result};

	FB_ASSERT(ranges != NULL || !block->has_ranges);
	memset(result, 0, sizeof(*result));
	memset(plan->states, 0, block->keys_count * sizeof(MvccState));
	key_set_clear(&plan->present);
	key_set_clear(&plan->deleted);
	plan->range_rows = 0;
	plan->block_number = block_number;
	merkle_init(&validation.tree, allocator);
	validation.touched = fb_allocate_array(allocator, block->keys_count, sizeof(uint32_t));
	result->history = fb_allocate_array(allocator, plan->slots_count, sizeof(HistoryEntry));
	result->conflicts =
		fb_allocate_array(allocator, plan->transactions_count, sizeof(MvccConflict));
	if (validation.touched == NULL || result->history == NULL || result->conflicts == NULL)
		return fb_out_of_memory(error);

	for (size_t t = 0; t < plan->transactions_count; t++)
	{
		MvccTransaction *transaction = &plan->transactions[t];
		MvccConflict conflict = {.tx_index = (uint32_t) t,
								 .code = MVCC_VALID,
								 .writer_tx_index = -1};
		const uint32_t *writes;

		if (transaction->code != MVCC_VALID || transaction->rwset == NULL)
			continue;
		writes = plan->slots + plan->first_writes[t];
		mvcc_check_writes(transaction->rwset, &conflict);
		if (conflict.code == MVCC_VALID)
			FB_TRY(check_reads(&validation, transaction->rwset, plan->slots + plan->first_slots[t],
							   &conflict, error));
		if (conflict.code != MVCC_VALID)
		{
			transaction->code = conflict.code;
			result->conflicts[result->conflicts_count++] = conflict;
			continue;
		}
		FB_TRY(mvcc_apply(&validation, t, writes, error));
	}
	fb_release(allocator, validation.touched);
	result->range_rows = plan->range_rows;
	return list_updates(&validation, error);
}
