/*
 * tx_index.c: transaction ids.
 *
 * A well-formed id is 64 lower-case hex digits: its 32 bytes are stored. Any other value, of a
 * hostile client, is stored behind a byte 0, or behind two bytes 1 if it would have 32 bytes then,
 * so no two ids are stored in the same form. The index may hold an id several times: a duplicate is
 * stored as an invalid transaction. The first occurrence counts.
 */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "utils/array.h"

enum
{
	COLUMN_BLOCK = 2,
	COLUMN_POSITION = 3,
	COLUMN_CODE = 5,
	INDEX_TX_ID = 1
};

static bool
is_well_formed(FbBytes tx_id)
{
	if (tx_id.size != 64)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (!((tx_id.data[i] >= '0' && tx_id.data[i] <= '9') ||
			  (tx_id.data[i] >= 'a' && tx_id.data[i] <= 'f')))
			return false;
	return true;
}

FbBytes
tx_index_encode(FbBytes tx_id)
{
	uint8_t *stored;
	size_t mark;

	if (tx_id.size == 0)
		return FB_BYTES_EMPTY;
	if (is_well_formed(tx_id))
	{
		stored = palloc(32);
		(void) fb_hex_decode((const char *) tx_id.data, 64, stored);
		return fb_bytes(stored, 32);
	}
	mark = tx_id.size == 31 ? 2 : 1;
	stored = palloc(mark + tx_id.size);
	memset(stored, mark == 2 ? 1 : 0, mark);
	memcpy(stored + mark, tx_id.data, tx_id.size);
	return fb_bytes(stored, mark + tx_id.size);
}

FbBytes
tx_index_decode(FbBytes stored)
{
	if (stored.size == 32)
	{
		char *hex = palloc(65);

		fb_hex_encode(stored, hex);
		return fb_bytes(hex, 64);
	}
	if (stored.size == 33 && stored.data[0] == 1)
		return fb_bytes(stored.data + 2, 31);
	return stored.size > 0 ? fb_bytes(stored.data + 1, stored.size - 1) : FB_BYTES_EMPTY;
}

bool
tx_index_find(const Ledger *ledger, FbBytes tx_id, Snapshot snapshot, uint64 *block_number,
			  uint32 *position, uint8 *validation_code)
{
	LedgerScan scan;
	ScanKeyData key;
	bool found = false;

	if (tx_id.size == 0)
		return false;
	scan_key_bytea(&key, INDEX_TX_ID, BTEqualStrategyNumber, tx_index_encode(tx_id));
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_OTHER_INDEX, &key, 1, snapshot);
	while (ledger_scan_next(&scan, ForwardScanDirection))
	{
		uint64 block = (uint64) ledger_scan_int8(&scan, COLUMN_BLOCK);
		uint32 place = (uint32) ledger_scan_int4(&scan, COLUMN_POSITION);

		if (found && (block > *block_number || (block == *block_number && place > *position)))
			continue;
		found = true;
		*block_number = block;
		*position = place;
		*validation_code = (uint8) ledger_scan_int2(&scan, COLUMN_CODE);
	}
	ledger_scan_end(&scan);
	return found;
}

void
tx_index_find_many(const Ledger *ledger, const FbBytes *tx_ids, int count, bool *found)
{
	LedgerScan scan;
	ScanKeyData key;

	memset(found, 0, count * sizeof(bool));
	if (count == 0)
		return;
	/*
	 * one scan object, moved from id to id: opening it once is most of the cost of a single look-up
	 */
	scan_key_bytea(&key, INDEX_TX_ID, BTEqualStrategyNumber, FB_BYTES_EMPTY);
	ledger_scan_begin(&scan, ledger, &ledger->transaction, LEDGER_OTHER_INDEX, &key, 1, NULL);
	for (int i = 0; i < count; i++)
	{
		if (tx_ids[i].size == 0)
			continue;
		scan_key_bytea(&key, INDEX_TX_ID, BTEqualStrategyNumber, tx_index_encode(tx_ids[i]));
		index_rescan(scan.scan, &key, 1, NULL, 0);
		found[i] = ledger_scan_next(&scan, ForwardScanDirection);
	}
	ledger_scan_end(&scan);
}
