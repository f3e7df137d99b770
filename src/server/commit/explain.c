/*
 * explain.c: why a committed transaction was a read conflict, derived from the ledger itself, at any later time and on any node.
 *
 * A read was not current if the last write of its key before the transaction's place in the chain is not the version that it read. Public keys
 * only: their writes are in the history. A change of a key's metadata alone is not there, so a conflict with one is not explained.
 */
#include "server/commit/commit.h"

/* both present */
static bool
is_before(RwSetVersion a, RwSetVersion b)
{
	return a.present && b.present && (a.block_number < b.block_number || (a.block_number == b.block_number && a.tx_index < b.tx_index));
}

void
commit_explain_conflict(const Ledger *ledger, uint64 block_number, uint32 position, Snapshot snapshot, CommitConflict *conflict)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	TransactionRow row;
	TxView		view;
	TxCode		code;
	FbError		error;

	memset(conflict, 0, sizeof(*conflict));
	if (!block_store_transaction(ledger, block_number, position, snapshot, true, &row))
		return;
	if (check_structure(allocator, row.envelope, fb_bytes_of_text(ledger->channel), &view, &code, &error) != FB_OK || view.rwset == NULL)
		return;
	for (size_t n = 0; n < view.rwset->namespaces_count; n++)
		for (size_t r = 0; r < view.rwset->namespaces[n].reads_count; r++)
		{
			const RwSetNamespace *ns = &view.rwset->namespaces[n];
			const RwSetRead *read = &ns->reads[r];
			RwSetVersion writer;
			RwSetVersion found = {false, 0, 0};
			bool		is_delete = true;
			bool		written = history_version_before(ledger, ns->name, read->key, block_number, position, snapshot, &writer, &is_delete);
			TransactionRow writer_row;

			if (!is_delete)
				found = writer;
			/* an older one than was read: a later transaction changed the key's metadata */
			if (rwset_version_equal(found, read->version) || is_before(found, read->version))
				continue;
			*conflict = (CommitConflict) {true, ns->name, read->key, read->version, found, FB_BYTES_EMPTY};
			if (written && block_store_transaction(ledger, writer.block_number, (uint32) writer.tx_index, snapshot, false, &writer_row))
				conflict->writer_tx_id = writer_row.tx_id;
			return;
		}
}
