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
	MemoryContext key_context; /* of the current key of the replayed chain */
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
compare_state_row(ChainWalk *walk, const StateRow *row, const ReplayRow *key)
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

/* the next replayed key, in memory of its own */
static bool
next_key(Merge *merge, ReplayCursor *cursor, ReplayRow *key)
{
	MemoryContext caller;
	bool found;

	MemoryContextReset(merge->key_context);
	caller = MemoryContextSwitchTo(merge->key_context);
	found = replay_cursor_next(cursor, key);
	MemoryContextSwitchTo(caller);
	return found;
}

static void
compare_state(Merge *merge)
{
	ChainWalk *walk = merge->walk;
	StateScan *scan = state_store_scan_all(walk->ledger, walk->snapshot);
	ReplayCursor *cursor = replay_cursor_open(walk->replay->state, FB_BYTES_EMPTY, FB_BYTES_EMPTY);
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	ReplayRow key;
	StateRow row;
	bool have_key = next_key(merge, cursor, &key);
	bool have = state_scan_next(scan, &row);

	while (have || have_key)
	{
		int order = !have ? 1
					: !have_key
						? -1
						: replay_compare(row.namespace_name, row.key, key.namespace_name, key.key);

		CHECK_FOR_INTERRUPTS();
		if (order < 0)
			state_problem(walk, row.version, "state_extra", row.namespace_name, row.key,
						  "is in the world state, but not by the chain.");
		else if (order > 0)
			state_problem(walk, key.version, "state_missing", key.namespace_name, key.key,
						  "is not in the world state.");
		else
			compare_state_row(walk, &row, &key);
		if (order >= 0)
			have_key = next_key(merge, cursor, &key);
		if (order <= 0)
		{
			MemoryContextReset(merge->row_context);
			have = state_scan_next(scan, &row);
		}
	}
	MemoryContextSwitchTo(caller);
	replay_cursor_close(cursor);
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

static int
compare_writes(const HistoryRow *row, const ReplayWrite *write)
{
	int order = replay_compare(row->namespace_name, row->key, write->namespace_name, write->key);

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
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	HistoryRow row;
	ReplayWrite write;
	bool have = history_scan_next(scan, &row);
	bool have_write;

	replay_history_sort(walk->replay->history);
	have_write = replay_history_next(walk->replay->history, &write);
	while (have || have_write)
	{
		int order = !have ? 1 : !have_write ? -1 : compare_writes(&row, &write);

		CHECK_FOR_INTERRUPTS();
		if (order < 0)
			history_problem(walk, row.block_number, row.position, "history_extra",
							row.namespace_name, row.key, "was not written by this transaction.");
		else if (order > 0)
			history_problem(walk, write.block_number, write.position, "history_missing",
							write.namespace_name, write.key,
							"was written by this transaction, which the history does not say.");
		else
		{
			uint8_t hash[CRYPTO_SHA256_BYTES];

			crypto_sha256(row.value, hash);
			if (row.is_delete != write.is_delete ||
				memcmp(hash, write.value_hash, sizeof(hash)) != 0)
				history_problem(walk, write.block_number, write.position, "history_value",
								write.namespace_name, write.key,
								"has another value in the history than the transaction wrote.");
		}
		if (order >= 0)
			have_write = replay_history_next(walk->replay->history, &write);
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
find_removed(Merge *merge, ReplayState *present)
{
	ChainWalk *walk = merge->walk;
	FbBytes suffix = fb_bytes_of_text(psprintf("$$h_implicit_org_%s", guc_node_msp_id));

	ReplayCursor *cursor;
	ReplayRow key;
	ReplayRow known;

	if (guc_node_msp_id[0] == '\0')
		return;
	cursor = replay_cursor_open(walk->replay->state, FB_BYTES_EMPTY, FB_BYTES_EMPTY);
	while (next_key(merge, cursor, &key))
	{
		FbBytes ns = key.namespace_name;
		uint8_t digest[CRYPTO_SHA256_BYTES];

		if (ns.size <= suffix.size ||
			memcmp(ns.data + ns.size - suffix.size, suffix.data, suffix.size) != 0 ||
			key.metadata.size > 0)
			continue;
		MemoryContextReset(merge->row_context);
		plaintext_digest(ns, key.key, digest);
		if (replay_state_get(present, FB_BYTES_EMPTY, fb_bytes(digest, sizeof(digest)), &known) ||
			private_store_is_missing(walk->ledger, key.version))
			continue;
		chain_problem(
			walk, (int64) key.version.block_number, (int64) key.version.tx_index, "private_state",
			"The plaintext of the key with hash \"%s\" of \"%s\" is missing: restore it from a backup, or write the key again.",
			FB_DISPLAY(key.key), FB_DISPLAY(ns));
	}
	replay_cursor_close(cursor);
}

static void
compare_private(Merge *merge)
{
	ChainWalk *walk = merge->walk;
	ReplayState *present =
		replay_state_create(AllocSetContextCreate(CurrentMemoryContext, "fabric private plaintext",
												  ALLOCSET_DEFAULT_SIZES),
							replay_memory_bytes(8));
	PrivateScan *scan = private_store_scan(walk->ledger, walk->snapshot);
	MemoryContext caller = MemoryContextSwitchTo(merge->row_context);
	PrivateRow row;

	while (MemoryContextReset(merge->row_context), private_scan_next(scan, &row))
	{
		FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
		uint8_t key_hash[CRYPTO_SHA256_BYTES];
		uint8_t value_hash[CRYPTO_SHA256_BYTES];
		FbBytes hashed_namespace;
		ReplayRow key;
		const char *problem = NULL;
		uint8_t digest[CRYPTO_SHA256_BYTES];
		FbError error;

		error_check(rwset_hashed_namespace(allocator, row.namespace_name, row.collection,
										   &hashed_namespace, &error),
					&error);
		crypto_sha256(row.state.key, key_hash);
		crypto_sha256(row.state.value, value_hash);
		plaintext_digest(hashed_namespace, fb_bytes(key_hash, sizeof(key_hash)), digest);
		replay_state_put(present, FB_BYTES_EMPTY, fb_bytes(digest, sizeof(digest)), FB_BYTES_EMPTY,
						 FB_BYTES_EMPTY, (RwSetVersion) {false, 0, 0});
		replay_state_settle(present);
		if (!replay_state_get(walk->replay->state, hashed_namespace,
							  fb_bytes(key_hash, sizeof(key_hash)), &key))
			problem = "has no hash on the chain";
		else if (!fb_bytes_equal(key.value, fb_bytes(value_hash, sizeof(value_hash))))
			problem = "has another value than its hash on the chain";
		/* a change of metadata alone changes the version of the hash only */
		else if (key.metadata.size == 0 && !rwset_version_equal(key.version, row.state.version))
			problem = "is said to be written by another transaction than the chain says";
		if (problem != NULL)
			chain_problem(walk, (int64) row.state.version.block_number,
						  (int64) row.state.version.tx_index, "private_state",
						  "%s, collection \"%s\", %s.",
						  describe_difference(row.namespace_name, row.state.key),
						  FB_DISPLAY(row.collection), problem);
	}
	MemoryContextSwitchTo(caller);
	private_scan_end(scan);
	find_removed(merge, present);
	replay_state_close(present);
}

void
chain_compare(ChainWalk *walk)
{
	Merge merge = {walk,
				   AllocSetContextCreate(CurrentMemoryContext, "fabric row",
										 ALLOCSET_DEFAULT_SIZES),
				   AllocSetContextCreate(CurrentMemoryContext, "fabric key",
										 ALLOCSET_DEFAULT_SIZES)};

	compare_state(&merge);
	compare_history(&merge);
	compare_private(&merge);
	MemoryContextDelete(merge.row_context);
	MemoryContextDelete(merge.key_context);
}
