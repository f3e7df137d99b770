/*
 * explain.c: why a committed transaction was a read conflict, derived from the ledger itself, at any later time and on any node.
 *
 * A read was not current if the last write of its key before the transaction's place in the chain is not the version that it read; a range, if its
 * keys with their versions are not those that it read. Public keys only: their writes are in the history. A change of a key's metadata alone is not
 * there, so a conflict with one is not explained; nor is a range of so many keys that only their hashes are recorded.
 */
#include "server/commit/commit.h"

/* both present */
static bool
is_before(RwSetVersion a, RwSetVersion b)
{
	return a.present && b.present && (a.block_number < b.block_number || (a.block_number == b.block_number && a.tx_index < b.tx_index));
}

typedef struct Place
{
	const Ledger *ledger;
	Snapshot	snapshot;
	uint64		block_number;	/* of the transaction that is explained */
	uint32		position;
} Place;

/* the version that a key had there is not the one that was read */
static bool
differs(RwSetVersion found, RwSetVersion read)
{
	/* an older one than was read: a later transaction changed the key's metadata */
	return !rwset_version_equal(found, read) && !is_before(found, read);
}

static bool
explain_read(const Place *place, FbBytes ns, const RwSetRead *read, CommitConflict *conflict, RwSetVersion *writer)
{
	RwSetVersion found = {false, 0, 0};
	bool		is_delete;

	if (!history_version_before(place->ledger, ns, read->key, place->block_number, place->position, place->snapshot, writer, &is_delete))
		writer->present = false;
	else if (!is_delete)
		found = *writer;
	if (!differs(found, read->version))
		return false;
	*conflict = (CommitConflict) {true, ns, read->key, read->version, found, FB_BYTES_EMPTY};
	return true;
}

/* an iterator that was left early has read its end key, too: up to the key that follows it */
static FbBytes
end_of_range(const RwSetRange *range)
{
	uint8_t    *following;

	if (range->exhausted || range->end_key.size == 0)
		return range->end_key;
	following = palloc0(range->end_key.size + 1);
	memcpy(following, range->end_key.data, range->end_key.size);
	return fb_bytes(following, range->end_key.size + 1);
}

/* the first key of the range that is not what was read: changed, gone, or come in. Only if the keys are recorded one by one */
static bool
explain_range(const Place *place, FbBytes ns, const RwSetRange *range, CommitConflict *conflict, RwSetVersion *writer)
{
	static const RwSetVersion absent = {false, 0, 0};
	size_t		next_read = 0;
	HistoryScan *scan;
	HistoryRow	row;
	bool		more;

	if (range->kind == RWSET_RANGE_MERKLE)
		return false;
	scan = history_scan_range(place->ledger, ns, range->start_key, end_of_range(range), place->snapshot);
	more = history_scan_next(scan, &row);
	while (!conflict->found && (more || next_read < range->reads_count))
	{
		const RwSetRead *read = next_read < range->reads_count ? &range->reads[next_read] : NULL;
		int			order = !more ? 1 : read == NULL ? -1 : fb_bytes_compare(row.key, read->key);
		RwSetVersion version_read = order >= 0 ? read->version : absent;
		FbBytes		key = order > 0 ? read->key : row.key;
		RwSetVersion found = absent;

		*writer = absent;
		for (; order <= 0 && more && fb_bytes_equal(row.key, key); more = history_scan_next(scan, &row))
		{
			if (row.block_number > place->block_number || (row.block_number == place->block_number && row.position >= place->position))
				continue;
			*writer = (RwSetVersion) {true, row.block_number, row.position};
			found = row.is_delete ? absent : *writer;
		}
		next_read += order >= 0 ? 1 : 0;
		if (differs(found, version_read))
			*conflict = (CommitConflict) {true, ns, key, version_read, found, FB_BYTES_EMPTY};
	}
	history_scan_end(scan);
	return conflict->found;
}

/* in the order in which the validation looks */
static bool
explain_namespace(const Place *place, const RwSetNamespace *ns, CommitConflict *conflict, RwSetVersion *writer)
{
	for (size_t i = 0; i < ns->reads_count; i++)
		if (explain_read(place, ns->name, &ns->reads[i], conflict, writer))
			return true;
	for (size_t i = 0; i < ns->ranges_count; i++)
		if (explain_range(place, ns->name, &ns->ranges[i], conflict, writer))
			return true;
	return false;
}

void
commit_explain_conflict(const Ledger *ledger, uint64 block_number, uint32 position, Snapshot snapshot, CommitConflict *conflict)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Place		place = {ledger, snapshot, block_number, position};
	RwSetVersion writer = {false, 0, 0};
	TransactionRow row;
	TxView		view;
	TxCode		code;
	FbError		error;

	memset(conflict, 0, sizeof(*conflict));
	if (!block_store_transaction(ledger, block_number, position, snapshot, true, &row))
		return;
	if (check_structure(allocator, row.envelope, fb_bytes_of_text(ledger->channel), &view, &code, &error) != FB_OK || view.rwset == NULL)
		return;
	for (size_t n = 0; n < view.rwset->namespaces_count && !conflict->found; n++)
		(void) explain_namespace(&place, &view.rwset->namespaces[n], conflict, &writer);
	if (conflict->found && writer.present &&
		block_store_transaction(ledger, writer.block_number, (uint32) writer.tx_index, snapshot, false, &row))
		conflict->writer_tx_id = row.tx_id;
}
