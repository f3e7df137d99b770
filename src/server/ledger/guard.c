/*
 * guard.c: the triggers of the append-only tables.
 *
 * They stop mistakes, not superusers, who can disable them: against those there are the hash chain,
 * the signatures and the other organizations' copies (verify_chain).
 *
 * Problem. A new block's data hash must be that of the transactions that can be read back from
 * their table, or the chain has a block that cannot be verified. Reading them back costs a
 * decompression and a hash of every envelope, just after the committer has done both.
 *
 * Rule. The trigger proves: number, previous hash and block hash, always and from the tables; that
 * the transactions of the block are numbered without gaps; and the data hash over the envelopes,
 * decompressed from the table. It takes the last one as proved for one INSERT only, that of
 * block_store_append, and only when all of this holds:
 *   - this process has checked the data hash over the envelopes (CheckedBlock), and the new row has
 *     that hash;
 *   - what it stored for each of them was decompressed again and compared by the codec, in this
 *     transaction (envelope_codec_encode);
 *   - the table has now, at the positions 0, 1, ..., just the bytes that the codec made: they are
 *     read from the table and compared, so that what another trigger, rule or session has done to
 *     the rows is found.
 * Otherwise the long way is taken, as for any INSERT that comes as SQL, and its error is raised.
 *
 * Rejected: trusting the committer without reading the rows. The trigger would then prove only what
 * the process meant to write.
 */
#include "server/ledger/ledger_internal.h"

#include "access/stratnum.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "server/pg/compat.h"

#include "core/block/block.h"

FABRIC_FUNCTION(fabric_refuse_change);
FABRIC_FUNCTION(fabric_check_block);

/* ---- repairs ---- */

static int repaired_ledger_id = 0; /* 0: none */
static SubTransactionId repair_subtransaction;

static void
end_repair(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		repaired_ledger_id = 0;
}

static void
end_repair_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
						  void *argument)
{
	if (mine != repair_subtransaction)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		repaired_ledger_id = 0;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		repair_subtransaction = parent;
}

void
ledger_repair_begin(const Ledger *ledger)
{
	static bool registered = false;
	/* in the order in which a commit locks them */
	Oid tables[] = {ledger->transaction.table, ledger->block.table, ledger->world_state.table,
					ledger->history.table};

	if (!registered)
	{
		RegisterXactCallback(end_repair, NULL);
		RegisterSubXactCallback(end_repair_subtransaction, NULL);
		registered = true;
	}
	for (int i = 0; i < lengthof(tables); i++)
		LockRelationOid(tables[i], ShareRowExclusiveLock);
	repaired_ledger_id = ledger->id;
	repair_subtransaction = GetCurrentSubTransactionId();
}

bool
ledger_is_locked_here(const Ledger *ledger)
{
	Oid tables[] = {ledger->transaction.table, ledger->block.table, ledger->world_state.table,
					ledger->history.table};

	for (int i = 0; i < lengthof(tables); i++)
		for (LOCKMODE mode = ShareLock; mode <= AccessExclusiveLock; mode++)
		{
			LOCKTAG tag;

			SET_LOCKTAG_RELATION(tag, MyDatabaseId, tables[i]);
			if (compat_lock_is_held(&tag, mode))
				return true;
		}
	return false;
}

/* the table belongs to the ledger that this transaction repairs */
static bool
is_repairing(Oid table)
{
	static const char *const names[] = {"block", "transaction", "history"};

	for (int i = 0; repaired_ledger_id != 0 && i < lengthof(names); i++)
		if (spi_relation_oid(psprintf("%s_%d", names[i], repaired_ledger_id)) == table)
			return true;
	return false;
}

/*
 * the envelope dictionaries of a channel go when it is left; one that cannot be used, when its
 * ledger is repaired
 */
static bool
is_left(TriggerData *trigger)
{
	const Ledger *ledger;
	bool is_null;
	Datum channel;

	if (RelationGetRelid(trigger->tg_relation) != spi_relation_oid("envelope_dictionary"))
		return false;
	channel =
		heap_getattr(trigger->tg_trigtuple, SPI_fnumber(trigger->tg_relation->rd_att, "channel"),
					 trigger->tg_relation->rd_att, &is_null);
	ledger = ledger_find(TextDatumGetCString(channel));
	return ledger == NULL || (repaired_ledger_id != 0 && ledger->id == repaired_ledger_id);
}

/* trigger: no row of an append-only table is ever changed or removed */
Datum
fabric_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called by the trigger manager");
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event) &&
		(is_repairing(RelationGetRelid(trigger->tg_relation)) || is_left(trigger)))
		return PointerGetDatum(trigger->tg_trigtuple);
	ereport(
		ERROR,
		(fb_errcode(FB_LEDGER_IMMUTABLE),
		 errmsg("table \"%s\" is append-only", RelationGetRelationName(trigger->tg_relation)),
		 errdetail("The rows of a ledger are covered by its hash chain and must not change."),
		 errhint(
			 "To remove a channel from this node, use fabric.leave_channel; to repair its tables, fabric.repair_chain.")));
}

static Datum
new_column(TriggerData *trigger, const char *column, bool *is_null)
{
	return heap_getattr(trigger->tg_trigtuple, SPI_fnumber(trigger->tg_relation->rd_att, column),
						trigger->tg_relation->rd_att, is_null);
}

/* a column of the new row */
static FbBytes
new_bytes(TriggerData *trigger, const char *column)
{
	bool is_null;
	Datum datum = new_column(trigger, column, &is_null);

	return is_null ? FB_BYTES_EMPTY : memory_bytes(PG_DETOAST_DATUM_PACKED(datum));
}

#define REFUSE_BLOCK(channel, number, detail)                                           \
	ereport(ERROR, (fb_errcode(FB_BLOCK_REFUSED),                                       \
					errmsg("block %llu does not belong to the chain of channel \"%s\"", \
						   (unsigned long long) (number), (channel)),                   \
					detail))

/* number and previous hash must be those that follow the last block */
static void
guard_check_link(const Ledger *ledger, const BlockHeader *header)
{
	uint64 height = block_store_height(ledger, NULL);
	BlockRow last;
	FbError error;

	if (height == 0)
	{
		if (header->number != 0 || header->previous_hash.size != 0)
			REFUSE_BLOCK(ledger->channel, header->number,
						 errdetail(
							 "The first block of a channel is block 0 without a previous hash."));
		return;
	}
	if (!block_store_row(ledger, height - 1, NULL, &last))
		elog(ERROR, "block " UINT64_FORMAT " of channel \"%s\" is missing", height - 1,
			 ledger->channel);
	error_check(block_check_link(header, last.number, last.block_hash, &error), &error);
}

/* see the note above */
static bool
is_data_proved(const Ledger *ledger, const BlockHeader *header)
{
	const StoredBlock *proved_block = proved_block_now();
	const BlockView *view;

	if (proved_block == NULL || proved_block->ledger->id != ledger->id)
		return false;
	view = &proved_block->block->view;
	return view->header.number == header->number &&
		   fb_bytes_equal(view->header.data_hash, header->data_hash) &&
		   block_store_holds(ledger, header->number, proved_block->stored, view->data_count);
}

/* the transactions, as they can be read back from their table, must have the header's data hash */
static void
check_data(const Ledger *ledger, const BlockHeader *header)
{
	int count;
	TransactionRow *rows = block_store_transactions(ledger, header->number, NULL, true, &count);
	FbBytes *data = palloc(count * sizeof(FbBytes) + 1);
	uint8_t hash[CRYPTO_SHA256_BYTES];

	for (int i = 0; i < count; i++)
	{
		if (rows[i].position != (uint32) i)
			REFUSE_BLOCK(ledger->channel, header->number,
						 errdetail("Its transactions are not numbered from 0 without gaps."));
		data[i] = rows[i].envelope;
	}
	block_data_hash(data, count, hash);
	if (!fb_bytes_equal(fb_bytes(hash, sizeof(hash)), header->data_hash))
		REFUSE_BLOCK(ledger->channel, header->number,
					 errdetail("Its data hash is not that of its transactions."));
}

/*
 * trigger: a new block follows the last one and its transactions are the ones in the
 * transaction table
 */
Datum
fabric_check_block(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const Ledger *ledger;
	BlockHeader header;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	bool no_channel;
	bool no_number;
	MemoryContext context;
	MemoryContext old;
	Datum channel;
	Datum number;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called by the trigger manager");
	if (is_repairing(RelationGetRelid(trigger->tg_relation)))
		return PointerGetDatum(trigger->tg_trigtuple);
	channel = new_column(trigger, "channel", &no_channel);
	number = new_column(trigger, "number", &no_number);
	/* nulls are for the constraints of the columns, which are looked at after the triggers */
	if (no_channel || no_number)
		return PointerGetDatum(trigger->tg_trigtuple);
	context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric block check", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	ledger = ledger_open(TextDatumGetCString(channel));
	header = (BlockHeader) {(uint64) DatumGetInt64(number), new_bytes(trigger, "previous_hash"),
							new_bytes(trigger, "data_hash")};
	block_header_hash(&header, hash);
	if (!fb_bytes_equal(fb_bytes(hash, sizeof(hash)), new_bytes(trigger, "block_hash")))
		REFUSE_BLOCK(ledger->channel, header.number,
					 errdetail("Its block hash is not the hash of its header."));
	guard_check_link(ledger, &header);
	if (!is_data_proved(ledger, &header))
		check_data(ledger, &header);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return PointerGetDatum(trigger->tg_trigtuple);
}
