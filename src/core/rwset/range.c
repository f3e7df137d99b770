/*
 * range: run a recorded range query again, and see whether its result is still the same
 * (core/ledger/kvledger/txmgmt/validation/rangequery_validator.go, combined_iterator.go).
 */
#include "core/rwset/rwset_internal.h"

#include <stdlib.h>

/* ---- sets of keys ---- */

FbStatus
key_set_init(KeySet *set, FbAllocator *allocator, size_t keys_count, FbError *error)
{
	set->words_count = (keys_count + 63) / 64;
	set->words = fb_allocate_array(allocator, set->words_count, sizeof(uint64_t));
	set->summary = fb_allocate_array(allocator, (set->words_count + 63) / 64, sizeof(uint64_t));
	return set->words == NULL || set->summary == NULL ? fb_out_of_memory(error) : FB_OK;
}

void
key_set_clear(KeySet *set)
{
	memset(set->words, 0, set->words_count * sizeof(uint64_t));
	memset(set->summary, 0, (set->words_count + 63) / 64 * sizeof(uint64_t));
}

void
key_set_put(KeySet *set, size_t slot, bool is_member)
{
	size_t word = slot / 64;
	uint64_t bit = UINT64_C(1) << (slot % 64);

	if (is_member)
		set->words[word] |= bit;
	else
		set->words[word] &= ~bit;
	if (set->words[word] != 0)
		set->summary[word / 64] |= UINT64_C(1) << (word % 64);
	else
		set->summary[word / 64] &= ~(UINT64_C(1) << (word % 64));
}

size_t
key_set_next(const KeySet *set, size_t slot)
{
	size_t word = slot / 64;
	size_t summary_word;
	uint64_t bits;

	if (word >= set->words_count)
		return SIZE_MAX;
	bits = set->words[word] & (UINT64_MAX << (slot % 64));
	if (bits != 0)
		return word * 64 + (size_t) __builtin_ctzll(bits);
	word++;
	summary_word = word / 64;
	for (bits = word % 64 == 0 ? UINT64_MAX : UINT64_MAX << (word % 64);
		 summary_word * 64 < set->words_count; bits = UINT64_MAX)
	{
		bits &= set->summary[summary_word];
		if (bits != 0)
		{
			word = summary_word * 64 + (size_t) __builtin_ctzll(bits);
			return word * 64 + (size_t) __builtin_ctzll(set->words[word]);
		}
		summary_word++;
	}
	return SIZE_MAX;
}

/* ---- queries that are the same ---- */

static int
compare_sizes(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

static int
compare_versions(RwSetVersion a, RwSetVersion b)
{
	if (a.present != b.present)
		return a.present - b.present;
	if (a.block_number != b.block_number)
		return a.block_number > b.block_number ? 1 : -1;
	return (a.tx_index > b.tx_index) - (a.tx_index < b.tx_index);
}

static int
compare_results(const RwSetRange *a, const RwSetRange *b)
{
	int order = compare_sizes(a->reads_count, b->reads_count);

	if (order == 0)
		order = compare_sizes(a->merkle.hashes_count, b->merkle.hashes_count);
	if (order == 0)
		order = compare_sizes(a->merkle.max_degree, b->merkle.max_degree);
	if (order == 0)
		order = compare_sizes(a->merkle.max_level, b->merkle.max_level);
	for (size_t i = 0; order == 0 && i < a->reads_count; i++)
	{
		order = fb_bytes_compare(a->reads[i].key, b->reads[i].key);
		if (order == 0)
			order = compare_versions(a->reads[i].version, b->reads[i].version);
	}
	for (size_t i = 0; order == 0 && i < a->merkle.hashes_count; i++)
		order = fb_bytes_compare(a->merkle.hashes[i], b->merkle.hashes[i]);
	return order;
}

/*
 * in the order of content; equal ones in the order of the read-write set, which is that of their
 * addresses
 */
static int
compare_contents(const void *a, const void *b)
{
	const RwSetRange *x = *(const RwSetRange *const *) a;
	const RwSetRange *y = *(const RwSetRange *const *) b;
	int order = fb_bytes_compare(x->start_key, y->start_key);

	if (order == 0)
		order = fb_bytes_compare(x->end_key, y->end_key);
	if (order == 0)
		order = x->exhausted - y->exhausted;
	if (order == 0)
		order = (int) x->kind - (int) y->kind;
	return order != 0 ? order : compare_results(x, y);
}

static int
compare_range_keys(const void *a, const void *b)
{
	int order = compare_contents(a, b);

	return order != 0 ? order
					  : (*(const RwSetRange *const *) a > *(const RwSetRange *const *) b) -
							(*(const RwSetRange *const *) a < *(const RwSetRange *const *) b);
}

FbStatus
range_find_repeated(FbAllocator *allocator, const RwSetNamespace *ns, bool **repeated,
					FbError *error)
{
	const RwSetRange **sorted = fb_allocate_array(allocator, ns->ranges_count, sizeof(*sorted));

	*repeated = fb_allocate_array(allocator, ns->ranges_count, sizeof(bool));
	if (sorted == NULL || *repeated == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < ns->ranges_count; i++)
		sorted[i] = &ns->ranges[i];
	if (ns->ranges_count > 1)
		qsort(sorted, ns->ranges_count, sizeof(*sorted), compare_range_keys);
	for (size_t i = 1; i < ns->ranges_count; i++)
		(*repeated)[sorted[i] - ns->ranges] = compare_contents(&sorted[i - 1], &sorted[i]) == 0;
	fb_release(allocator, sorted);
	return FB_OK;
}

/* ---- the state as a query finds it ---- */

/* committed state and updates of the block, merged: where both have a key, the update counts */
typedef struct Merged
{
	FbAllocator *allocator;
	const MvccBlock *block;
	RangeSource *source;
	bool source_open;
	FbBytes namespace_name;
	FbBytes end_key;
	size_t next_update;	 /* index in block->keys: of those that the block changes */
	size_t next_deleted; /* ... and deletes */
	uint32_t run;		 /* the DeletedRun that the query is in; 0: none */
	bool state_ended;
	bool state_taken; /* the current row of the state was used: fetch the next one first */
	FbBytes state_key;
	RwSetVersion state_version;
	bool end_wanted; /* the end key itself belongs to the range, and was not looked at yet */
	uint32_t end_slot;
} Merged;

/*
 * a public key of the query's namespace? Those come one after the other, in the order of their
 * bytes
 */
static bool
is_in_namespace(const Merged *merged, const MvccKey *key)
{
	return !key->hashed && fb_bytes_equal(key->namespace_name, merged->namespace_name);
}

/* the next key inside the range that the block changes and does not delete, or NULL */
static const MvccKey *
peek_update(Merged *merged)
{
	const MvccBlock *block = merged->block;
	const MvccKey *key;
	size_t slot = key_set_next(&block->plan->present, merged->next_update);

	if (slot == SIZE_MAX)
		return NULL;
	key = &block->keys[slot];
	if (!is_in_namespace(merged, key) ||
		(merged->end_key.size > 0 && fb_bytes_compare(key->key, merged->end_key) >= 0))
		return NULL;
	merged->next_update = slot;
	return key;
}

/* ---- rows of the state that the block has deleted ---- */

/* reading fewer rows again is about as fast as starting another query */
#define RUN_ROWS_MIN 4

/* the key of the current row if the block has deleted it; SIZE_MAX: it has not */
static size_t
find_deleted(Merged *merged)
{
	const MvccBlock *block = merged->block;
	size_t slot = key_set_next(&block->plan->deleted, merged->next_deleted);
	int order = 1;

	while (slot != SIZE_MAX && is_in_namespace(merged, &block->keys[slot]))
	{
		order = fb_bytes_compare(block->keys[slot].key, merged->state_key);
		if (order >= 0)
			break;
		slot = key_set_next(&block->plan->deleted, slot + 1);
	}
	merged->next_deleted = slot == SIZE_MAX ? block->keys_count : slot;
	return order == 0 ? slot : SIZE_MAX;
}

static FbStatus
add_run(Merged *merged, FbError *error)
{
	MvccPlan *plan = merged->block->plan;

	if (plan->runs_of_keys == NULL)
	{
		plan->runs_of_keys =
			fb_allocate_array(merged->allocator, merged->block->keys_count, sizeof(uint32_t));
		if (plan->runs_of_keys == NULL)
			return fb_out_of_memory(error);
	}
	if (plan->runs_count == plan->runs_capacity)
	{
		size_t capacity = plan->runs_capacity == 0 ? 64 : plan->runs_capacity * 2;
		DeletedRun *runs = capacity > UINT32_MAX
							   ? NULL
							   : fb_allocate_array(merged->allocator, capacity, sizeof(DeletedRun));

		if (runs == NULL)
			return fb_out_of_memory(error);
		if (plan->runs_count > 0)
			memcpy(runs, plan->runs, plan->runs_count * sizeof(DeletedRun));
		fb_release(merged->allocator, plan->runs);
		plan->runs = runs;
		plan->runs_capacity = capacity;
	}
	plan->runs[plan->runs_count] = (DeletedRun) {0};
	merged->run = (uint32_t) ++plan->runs_count;
	return FB_OK;
}

/* continue after a known stretch; if the range ends before, nothing is left of it */
static FbStatus
skip_run(Merged *merged, const DeletedRun *run, FbError *error)
{
	FbBytes until = run->until;

	merged->source->close(merged->source);
	merged->source_open = false;
	if (run->unbounded ||
		(merged->end_key.size > 0 && fb_bytes_compare(until, merged->end_key) >= 0))
	{
		/* the stretch that the query is in reaches as far as the one behind */
		merged->block->plan->runs[merged->run - 1].until = until;
		merged->block->plan->runs[merged->run - 1].unbounded = run->unbounded;
		merged->run = 0;
		merged->state_ended = true;
		return FB_OK;
	}
	FB_TRY(merged->source->open(merged->source, merged->namespace_name, until, merged->end_key,
								error));
	merged->source_open = true;
	merged->next_deleted = mvcc_lower_bound(merged->block, merged->namespace_name, until);
	return FB_OK;
}

/*
 * the current row is deleted: it belongs to the stretch that the query is in, or to another one,
 * after which the query continues
 */
static FbStatus
pass_deleted(Merged *merged, size_t slot, FbError *error)
{
	MvccPlan *plan = merged->block->plan;
	uint32_t known = plan->runs_of_keys == NULL ? 0 : plan->runs_of_keys[slot];

	if (known > plan->runs_base && known != merged->run &&
		plan->runs[known - 1].rows_count >= RUN_ROWS_MIN)
	{
		if (merged->run == 0)
			merged->run = known;
		else
			plan->runs[merged->run - 1].rows_count += plan->runs[known - 1].rows_count;
		return skip_run(merged, &plan->runs[known - 1], error);
	}
	if (merged->run == 0)
		FB_TRY(add_run(merged, error));
	plan->runs_of_keys[slot] = merged->run;
	plan->runs[merged->run - 1].rows_count++;
	return FB_OK;
}

/* the stretch that the query is in ends before the current row, or with the range */
static FbStatus
end_run(Merged *merged, FbError *error)
{
	DeletedRun *run;

	if (merged->run == 0)
		return FB_OK;
	run = &merged->block->plan->runs[merged->run - 1];
	merged->run = 0;
	run->unbounded = merged->state_ended && merged->end_key.size == 0;
	if (!merged->state_ended)
		return fb_bytes_copy(merged->allocator, merged->state_key, &run->until, error);
	run->until = merged->end_key;
	return FB_OK;
}

/* the next row of the state that the block has not deleted, if the last one was used */
static FbStatus
fetch_row(Merged *merged, FbError *error)
{
	while (merged->state_taken && !merged->state_ended)
	{
		bool more;
		size_t slot;

		FB_TRY(merged->source->next(merged->source, &merged->state_key, &merged->state_version,
									&more, error));
		merged->state_ended = !more;
		slot = more ? find_deleted(merged) : SIZE_MAX;
		if (slot != SIZE_MAX)
		{
			merged->block->plan->range_rows++;
			FB_TRY(pass_deleted(merged, slot, error));
			continue;
		}
		merged->state_taken = false;
		FB_TRY(end_run(merged, error));
	}
	return FB_OK;
}

/*
 * the end key of an iterator that was not exhausted comes last, whatever its order
 * (combined_iterator.go)
 */
static void
serve_end(Merged *merged, FbBytes *key, RwSetVersion *version, bool *found)
{
	const MvccKey *end = &merged->block->keys[merged->end_slot];
	const MvccState *state = &merged->block->plan->states[merged->end_slot];

	*found = false;
	if (!merged->end_wanted)
		return;
	merged->end_wanted = false;
	*key = end->key;
	*version = state->updated ? mvcc_version(merged->block->plan->block_number, state->tx_index)
							  : end->committed;
	*found = state->updated ? !state->deleted : end->committed.present;
}

static FbStatus
merged_next(Merged *merged, FbBytes *key, RwSetVersion *version, bool *found, FbError *error)
{
	const MvccKey *update;
	int order;

	merged->block->plan->range_rows++;
	FB_TRY(fetch_row(merged, error));
	update = peek_update(merged);
	if (merged->state_ended && update == NULL)
	{
		serve_end(merged, key, version, found);
		return FB_OK;
	}
	*found = true;
	order = merged->state_ended ? 1
			: update == NULL	? -1
								: fb_bytes_compare(merged->state_key, update->key);
	if (order <= 0)
		merged->state_taken = true;
	if (order < 0)
	{
		*key = merged->state_key;
		*version = merged->state_version;
		return FB_OK;
	}
	*key = update->key;
	*version = mvcc_version(merged->block->plan->block_number,
							merged->block->plan->states[merged->next_update++].tx_index);
	return FB_OK;
}

/* say which key differs: the one that was read, or the one that is there now */
static FbStatus
range_report(FbAllocator *allocator, const Merged *merged, FbBytes key, RwSetVersion version_read,
			 RwSetVersion version_found, MvccConflict *conflict, FbError *error)
{
	size_t slot = mvcc_lower_bound(merged->block, merged->namespace_name, key);

	FB_TRY(fb_bytes_copy(allocator, key, &conflict->key, error));
	conflict->version_read = version_read;
	conflict->version_found = version_found;
	conflict->writer_tx_index = -1;
	if (slot < merged->block->keys_count && merged->block->plan->states[slot].updated &&
		!merged->block->keys[slot].hashed &&
		fb_bytes_equal(merged->block->keys[slot].namespace_name, merged->namespace_name) &&
		fb_bytes_equal(merged->block->keys[slot].key, key))
		conflict->writer_tx_index = merged->block->plan->states[slot].tx_index;
	return FB_OK;
}

static FbStatus
compare_reads(FbAllocator *allocator, Merged *merged, const RwSetRange *range, bool *differs,
			  MvccConflict *conflict, FbError *error)
{
	static const RwSetVersion absent = {false, 0, 0};

	*differs = true;
	for (size_t i = 0;; i++)
	{
		const RwSetRead *read = i < range->reads_count ? &range->reads[i] : NULL;
		FbBytes key;
		RwSetVersion version;
		bool found;
		int order;

		FB_TRY(merged_next(merged, &key, &version, &found, error));
		if (!found && read == NULL)
		{
			*differs = false;
			return FB_OK;
		}
		order = !found ? -1 : read == NULL ? 1 : fb_bytes_compare(read->key, key);
		if (order < 0)
			return range_report(allocator, merged, read->key, read->version, absent, conflict,
								error);
		if (order > 0)
			return range_report(allocator, merged, key, absent, version, conflict, error);
		if (!rwset_version_equal(read->version, version))
			return range_report(allocator, merged, key, read->version, version, conflict, error);
	}
}

static bool
summary_equal(const RwSetMerkle *a, const RwSetMerkle *b)
{
	if (a->max_degree != b->max_degree || a->max_level != b->max_level ||
		a->hashes_count != b->hashes_count)
		return false;
	for (size_t i = 0; i < a->hashes_count; i++)
	{
		if (!fb_bytes_equal(a->hashes[i], b->hashes[i]))
			return false;
	}
	return true;
}

/*
 * hashes that the growing tree has at its top level already, and that can only be replaced by a
 * higher level
 */
static bool
summary_still_possible(const MerkleTree *tree, const RwSetMerkle *wanted, size_t *matched)
{
	const MerkleLevel *level;

	if (tree->max_level < wanted->max_level)
		return true;
	if (tree->max_level > wanted->max_level)
		return false;
	level = &tree->levels[tree->max_level];
	for (; *matched < level->count; (*matched)++)
	{
		if (*matched >= wanted->hashes_count ||
			!fb_bytes_equal(fb_bytes(level->hashes[*matched].bytes, sizeof(MerkleHash)),
							wanted->hashes[*matched]))
			return false;
	}
	return true;
}

static FbStatus
compare_summary(Merged *merged, const RwSetRange *range, MerkleTree *tree, bool *differs,
				FbError *error)
{
	const RwSetMerkle *wanted = &range->merkle;
	size_t matched = 0;
	RwSetRange now = {0};

	*differs = true;
	/*
	 * Fabric's peers write degree 50 only, and stop for good when they meet one below 2; a summary
	 * that no endorser can have made does not match. The upper limit bounds what is kept in memory.
	 */
	if (wanted->max_degree < 2 || wanted->max_degree > FB_QUERY_RESULTS_MAX)
		return FB_OK;
	merkle_start(tree, wanted->max_degree);
	for (;;)
	{
		FbBytes key;
		RwSetVersion version;
		bool found;

		FB_TRY(merged_next(merged, &key, &version, &found, error));
		if (!found)
			break;
		FB_TRY(merkle_add(tree, key, version, error));
		if (tree->pending_count == 0 && !summary_still_possible(tree, wanted, &matched))
			return FB_OK;
	}
	FB_TRY(merkle_finish(tree, &now, error));
	*differs = now.kind != RWSET_RANGE_MERKLE || !summary_equal(&now.merkle, wanted);
	return FB_OK;
}

FbStatus
range_validate(FbAllocator *allocator, const MvccBlock *block, FbBytes namespace_name,
			   const RwSetRange *range, uint32_t end_slot, RangeSource *source, MerkleTree *tree,
			   bool *conflict, MvccConflict *found, FbError *error)
{
	size_t start = mvcc_lower_bound(block, namespace_name, range->start_key);
	Merged merged = {
		.allocator = allocator,
		.block = block,
		.source = source,
		.namespace_name = namespace_name,
		.end_key = range->end_key,
		.next_update = start,
		.next_deleted = start,
		.state_taken = true,
		.end_wanted = !range->exhausted,
		.end_slot = end_slot,
	};
	FbStatus status;

	*conflict = true;
	if (mvcc_namespace_is_storable(namespace_name))
	{
		FB_TRY(source->open(source, namespace_name, range->start_key, range->end_key, error));
		merged.source_open = true;
	}
	else
	{
		merged.state_taken = false;
		merged.state_ended = true;
	}
	if (range->kind == RWSET_RANGE_MERKLE)
		status = compare_summary(&merged, range, tree, conflict, error);
	else
		status = compare_reads(allocator, &merged, range, conflict, found, error);
	if (merged.source_open)
		source->close(source);
	return status;
}
