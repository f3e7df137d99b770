/*
 * chain_compare.c: world state, history and private plaintext in the tables against those of the
 * replayed chain, key by key
 */
#include "server/audit/audit_internal.h"

#include "miscadmin.h"

/*
 * The table's rows and the replayed keys are in the same order: read both once, as in a merge join.
 */
typedef struct Merge
{
	ChainWalk *walk;
	MemoryContext row_context; /* of the current row of the table */
} Merge;

static char *
describe_difference(FbBytes namespace_name, FbBytes key)
{
	return psprintf("Key \"%s\" of \"%s\"", FB_DISPLAY(key), FB_DISPLAY(namespace_name));
}

/* ---- world state ---- */

static void
state_problem(ChainWalk *walk, RwSetVersion version, const char *problem, FbBytes namespace_name,
			  FbBytes key, const char *what)
{
	char *name = describe_difference(namespace_name, key);

	walk->state_differences++;
	chain_problem(walk, (int64) version.block_number, (int64) version.tx_index, problem, "%s %s",
				  name, what);
	pfree(name);
}

static void
compare_state_row(ChainWalk *walk, const StateRow *row, const ReplayKey *key)
{
	bool value = fb_bytes_equal(row->value, key->value);
	bool metadata = fb_bytes_equal(row->metadata, key->metadata);

	if (value && metadata && rwset_version_equal(row->version, key->version))
		return;
	if (!value)
		state_problem(walk, key->version, "state_value", key->namespace_name, key->key,
					  "has another value than the transaction wrote.");
	else if (!metadata)
		state_problem(walk, key->version, "state_metadata", key->namespace_name, key->key,
					  "has other metadata than on the chain.");
	else
		state_problem(walk, key->version, "state_version", key->namespace_name, key->key,
					  psprintf("names transaction %d of block " INT64_FORMAT
							   " as its writer, and the chain names another.",
							   (int) row->version.tx_index, (int64) row->version.block_number));
}

static ReplayKey *
next_present(ReplayKey *key)
{
	while (key != NULL && !key->present)
		key = key->next[0];
	return key;
}

static void
compare_state(Merge *merge)
{
	ChainWalk *walk = merge->walk;
	StateScan *scan = state_store_scan_all(walk->ledger, walk->snapshot);
	ReplayKey *key = next_present(replay_state_first(walk->replay->state));
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	StateRow row;
	bool have = state_scan_next(scan, &row);

	while (have || key != NULL)
	{
		int order = !have		  ? 1
					: key == NULL ? -1
								  : replay_compare(row.namespace_name, row.key, key->namespace_name,
												   key->key);

		CHECK_FOR_INTERRUPTS();
		if (order < 0)
			state_problem(walk, row.version, "state_extra", row.namespace_name, row.key,
						  "is in the world state, but not by the chain.");
		else if (order > 0)
			state_problem(walk, key->version, "state_missing", key->namespace_name, key->key,
						  "is not in the world state.");
		else
			compare_state_row(walk, &row, key);
		if (order >= 0)
			key = next_present(key->next[0]);
		if (order <= 0)
		{
			MemoryContextReset(merge->row_context);
			have = state_scan_next(scan, &row);
		}
	}
	MemoryContextSwitchTo(caller);
	state_scan_end(scan);
}

/* ---- history ---- */

static void
history_problem(ChainWalk *walk, uint64 block_number, uint32 position, const char *problem,
				FbBytes namespace_name, FbBytes key, const char *what)
{
	char *name = describe_difference(namespace_name, key);

	walk->history_differences++;
	chain_problem(walk, (int64) block_number, position, problem, "%s %s", name, what);
	pfree(name);
}

/* the next write of the replayed chain, in the order of key, block, position */
static void
next_write(ReplayKey **key, int *index)
{
	while (*key != NULL && *index >= (*key)->writes_count)
	{
		*key = (*key)->next[0];
		*index = 0;
	}
}

static int
compare_writes(const HistoryRow *row, const ReplayKey *key, const ReplayWrite *write)
{
	int order = replay_compare(row->namespace_name, row->key, key->namespace_name, key->key);

	if (order == 0 && row->block_number != write->block_number)
		/* as the index has it: signed */
		order = (int64) row->block_number < (int64) write->block_number ? -1 : 1;
	if (order == 0 && row->position != write->position)
		order = (int32) row->position < (int32) write->position ? -1 : 1;
	return order;
}

static void
compare_history(Merge *merge)
{
	ChainWalk *walk = merge->walk;
	HistoryScan *scan = history_scan(walk->ledger, walk->snapshot);
	ReplayKey *key = replay_state_first(walk->replay->state);
	int index = 0;
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	HistoryRow row;
	bool have = history_scan_next(scan, &row);

	next_write(&key, &index);
	while (have || key != NULL)
	{
		const ReplayWrite *write = key != NULL ? &key->writes[index] : NULL;
		int order = !have ? 1 : key == NULL ? -1 : compare_writes(&row, key, write);

		CHECK_FOR_INTERRUPTS();
		if (order < 0)
			history_problem(walk, row.block_number, row.position, "history_extra",
							row.namespace_name, row.key, "was not written by this transaction.");
		else if (order > 0)
			history_problem(walk, write->block_number, write->position, "history_missing",
							key->namespace_name, key->key,
							"was written by this transaction, which the history does not say.");
		else
		{
			uint8_t hash[CRYPTO_SHA256_BYTES];

			crypto_sha256(row.value, hash);
			if (row.is_delete != write->is_delete ||
				memcmp(hash, write->value_hash, sizeof(hash)) != 0)
				history_problem(walk, write->block_number, write->position, "history_value",
								key->namespace_name, key->key,
								"has another value in the history than the transaction wrote.");
		}
		if (order >= 0)
		{
			index++;
			next_write(&key, &index);
		}
		if (order <= 0)
		{
			MemoryContextReset(merge->row_context);
			have = history_scan_next(scan, &row);
		}
	}
	MemoryContextSwitchTo(caller);
	history_scan_end(scan);
}

/* ---- private plaintext: what its hashes on the chain say ---- */

/*
 * Missing plaintext is not damage: not every node receives it. But of its own organization's
 * collections a node has all plaintext that the committer did not note as missing.
 */

/* the hashes whose plaintext is here: SHA-256 over namespace and key of the hashed state */
static void
plaintext_digest(FbBytes hashed_namespace, FbBytes key_hash, uint8_t digest[CRYPTO_SHA256_BYTES])
{
	FbBytes parts[2] = {hashed_namespace, key_hash};

	crypto_sha256_parts(parts, lengthof(parts), digest);
}

static void
find_removed(ChainWalk *walk, HTAB *present)
{
	FbBytes suffix = fb_bytes_of_text(psprintf("$$h_implicit_org_%s", guc_node_msp_id));

	if (guc_node_msp_id[0] == '\0')
		return;
	for (const ReplayKey *key = next_present(replay_state_first(walk->replay->state)); key != NULL;
		 key = next_present(key->next[0]))
	{
		FbBytes ns = key->namespace_name;
		uint8_t digest[CRYPTO_SHA256_BYTES];

		CHECK_FOR_INTERRUPTS();
		if (ns.size <= suffix.size ||
			memcmp(ns.data + ns.size - suffix.size, suffix.data, suffix.size) != 0 ||
			key->metadata.size > 0)
			continue;
		plaintext_digest(ns, key->key, digest);
		if (hash_search(present, digest, HASH_FIND, NULL) != NULL ||
			private_store_is_missing(walk->ledger, key->version))
			continue;
		chain_problem(
			walk, (int64) key->version.block_number, (int64) key->version.tx_index, "private_state",
			"The plaintext of the key with hash \"%s\" of \"%s\" is missing: restore it from a backup, or write the key again.",
			FB_DISPLAY(key->key), FB_DISPLAY(ns));
	}
}

static void
compare_private(Merge *merge)
{
	ChainWalk *walk = merge->walk;
	HASHCTL control = {.keysize = CRYPTO_SHA256_BYTES,
					   .entrysize = CRYPTO_SHA256_BYTES,
					   .hcxt = CurrentMemoryContext};
	HTAB *present = hash_create("fabric private plaintext", 256, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	PrivateScan *scan = private_store_scan(walk->ledger, walk->snapshot);
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	PrivateRow row;

	while (MemoryContextReset(merge->row_context), private_scan_next(scan, &row))
	{
		FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
		uint8_t key_hash[CRYPTO_SHA256_BYTES];
		uint8_t value_hash[CRYPTO_SHA256_BYTES];
		FbBytes hashed_namespace;
		const ReplayKey *key;
		const char *problem = NULL;
		uint8_t digest[CRYPTO_SHA256_BYTES];
		FbError error;

		error_check(rwset_hashed_namespace(allocator, row.namespace_name, row.collection,
										   &hashed_namespace, &error),
					&error);
		crypto_sha256(row.state.key, key_hash);
		crypto_sha256(row.state.value, value_hash);
		plaintext_digest(hashed_namespace, fb_bytes(key_hash, sizeof(key_hash)), digest);
		(void) hash_search(present, digest, HASH_ENTER, NULL);
		key = replay_state_find(walk->replay->state, hashed_namespace,
								fb_bytes(key_hash, sizeof(key_hash)));
		if (key == NULL || !key->present)
			problem = "has no hash on the chain";
		else if (!fb_bytes_equal(key->value, fb_bytes(value_hash, sizeof(value_hash))))
			problem = "has another value than its hash on the chain";
		/* a change of metadata alone changes the version of the hash only */
		else if (key->metadata.size == 0 && !rwset_version_equal(key->version, row.state.version))
			problem = "names another writer than the chain";
		if (problem != NULL)
			chain_problem(walk, (int64) row.state.version.block_number,
						  (int64) row.state.version.tx_index, "private_state",
						  "%s, collection \"%s\", %s.",
						  describe_difference(row.namespace_name, row.state.key),
						  FB_DISPLAY(row.collection), problem);
	}
	MemoryContextSwitchTo(caller);
	private_scan_end(scan);
	find_removed(walk, present);
	hash_destroy(present);
}

void
chain_compare(ChainWalk *walk)
{
	Merge merge = {walk, AllocSetContextCreate(CurrentMemoryContext, "fabric row",
											   ALLOCSET_DEFAULT_SIZES)};

	compare_state(&merge);
	compare_history(&merge);
	compare_private(&merge);
	MemoryContextDelete(merge.row_context);
}
