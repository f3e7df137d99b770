/*
 * explain.c: why a committed transaction was a read conflict, derived from the ledger itself, at
 * any later time and on any node.
 *
 * A read was not current if the last write of its key before the transaction's place in the chain
 * is not the version that it read; a range, if its keys with their versions are not those that it
 * read. Public keys only: their writes are in the history. A change of a key's metadata alone is
 * not there, so a conflict with one is not explained; nor is a range of so many keys that only
 * their hashes are recorded.
 */
#include "server/audit/audit.h"

/* keys of a range that are compared, to bound the work of an explanation */
#define RANGE_KEYS_MAX 10000

/* both present */
static bool
is_before(RwSetVersion a, RwSetVersion b)
{
	return a.present && b.present &&
		   (a.block_number < b.block_number ||
			(a.block_number == b.block_number && a.tx_index < b.tx_index));
}

typedef struct Place
{
	const Ledger *ledger;
	Snapshot snapshot;
	uint64 block_number; /* of the transaction that is explained */
	uint32 position;
} Place;

/* the version that a key had there is not the one that was read */
static bool
is_other_version(RwSetVersion found, RwSetVersion read)
{
	/* it is older than the one that was read: a later transaction changed the key's metadata */
	return !rwset_version_equal(found, read) && !is_before(found, read);
}

/*
 * is the key, which was read with this version (not present: not read), why the transaction
 * conflicts?
 */
static bool
explain_key(const Place *place, FbBytes ns, FbBytes key, RwSetVersion read, ReadConflict *conflict,
			RwSetVersion *writer)
{
	RwSetVersion found = {false, 0, 0};
	bool is_delete;

	if (!history_version_before(place->ledger, ns, key, place->block_number, place->position,
								place->snapshot, writer, &is_delete))
		writer->present = false;
	else if (!is_delete)
		found = *writer;
	if (!is_other_version(found, read))
		return false;
	*conflict = (ReadConflict) {true, ns, key, read, found, FB_BYTES_EMPTY};
	return true;
}

/* the first key behind this one */
static FbBytes
key_behind(FbBytes key)
{
	uint8_t *following = palloc0(key.size + 1);

	if (key.size > 0)
		memcpy(following, key.data, key.size);
	return fb_bytes(following, key.size + 1);
}

/*
 * The first key of the range that differs from what was read: changed, deleted or new. Only if the
 * keys are recorded one by one.
 */
static bool
explain_range(const Place *place, FbBytes ns, const RwSetRange *range, ReadConflict *conflict,
			  RwSetVersion *writer)
{
	/* an iterator that was left early has read its end key, too */
	FbBytes end =
		range->exhausted || range->end_key.size == 0 ? range->end_key : key_behind(range->end_key);
	FbBytes at = range->start_key;
	size_t next_read = 0;

	if (range->kind == RWSET_RANGE_MERKLE)
		return false;
	/* keys that were deleted long ago are in the history, too */
	for (int looks = 0; looks < RANGE_KEYS_MAX; looks++)
	{
		const RwSetRead *read = next_read < range->reads_count ? &range->reads[next_read] : NULL;
		RwSetVersion version_read = {false, 0, 0};
		FbBytes key;

		if (!history_next_key(place->ledger, ns, at, end, place->snapshot, &key))
		{
			if (read == NULL)
				return false;
			key = read->key;
		}
		if (read != NULL && fb_bytes_compare(read->key, key) <= 0)
		{
			key = read->key;
			version_read = read->version;
			next_read++;
		}
		if (explain_key(place, ns, key, version_read, conflict, writer))
			return true;
		at = key_behind(key);
	}
	return false;
}

/* in the order in which the validation looks */
static bool
explain_namespace(const Place *place, const RwSetNamespace *ns, ReadConflict *conflict,
				  RwSetVersion *writer)
{
	for (size_t i = 0; i < ns->reads_count; i++)
		if (explain_key(place, ns->name, ns->reads[i].key, ns->reads[i].version, conflict, writer))
			return true;
	for (size_t i = 0; i < ns->ranges_count; i++)
		if (explain_range(place, ns->name, &ns->ranges[i], conflict, writer))
			return true;
	return false;
}

void
explain_conflict(const Ledger *ledger, uint64 block_number, uint32 position, Snapshot snapshot,
				 ReadConflict *conflict)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Place place = {ledger, snapshot, block_number, position};
	RwSetVersion writer = {false, 0, 0};
	TransactionRow row;
	TxView view;
	TxCode code;
	FbError error;

	memset(conflict, 0, sizeof(*conflict));
	if (!block_store_transaction(ledger, block_number, position, snapshot, true, &row))
		return;
	if (check_structure(allocator, row.envelope, fb_bytes_of_text(ledger->channel), &view, &code,
						&error) != FB_OK ||
		view.rwset == NULL)
		return;
	for (size_t n = 0; n < view.rwset->namespaces_count && !conflict->found; n++)
		(void) explain_namespace(&place, &view.rwset->namespaces[n], conflict, &writer);
	if (conflict->found && writer.present &&
		block_store_transaction(ledger, writer.block_number, (uint32) writer.tx_index, snapshot,
								false, &row))
		conflict->writer_tx_id = row.tx_id;
}
