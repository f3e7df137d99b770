/* join.c: a channel's first block is stored when this node joins it */
#include "server/channel/channel.h"

#include "miscadmin.h"

#include "core/block/block.h"
#include "core/txn/txn.h"

/* the genesis transaction as a row; it has no creator */
static void
join_fill_transaction(FbAllocator *allocator, FbBytes envelope, TransactionRow *row)
{
	Envelope parts;
	TxView view = {0};
	FbError error;

	error_check(envelope_parse(allocator, envelope, &parts, &error), &error);
	view.channel_header = parts.channel_header;
	view.type = parts.type;
	view.tx_id = parts.tx_id;
	view.ledger_tx_id = parts.ledger_tx_id;
	view.timestamp = parts.timestamp;
	transaction_row_fill(row, allocator, 0, 0, envelope, &view, TX_VALID);
}

/*
 * the state copy of the configuration, as Fabric keeps it (docs/wire-format.md, "Channel
 * configuration")
 */
static void
store_config_state(const Ledger *ledger, uint64 block_number, FbBytes config_envelope)
{
	StateUpdate update = {
		.key = FB_BYTES_LITERAL("CHANNEL_CONFIG_ENV_BYTES"),
		.value = config_envelope,
		.version = {true, block_number, 0},
	};

	state_store_apply(ledger, &update, 1);
}

void
channel_store_config(const Ledger *ledger, uint64 block_number, FbBytes config_envelope)
{
	ledger_set_config(ledger->channel, block_number, config_envelope);
	store_config_state(ledger, block_number, config_envelope);
}

/*
 * there must be a slot in shared memory for each channel, the new one included; the lock keeps
 * other sessions from joining meanwhile
 */
static void
join_check_room(void)
{
	if (list_length(channel_memberships()) <= guc_max_channels)
		return;
	ereport(ERROR,
			(fb_errcode(FB_LIMIT_EXCEEDED), errmsg("too many channels"),
			 errdetail("This node can join %d channels.", guc_max_channels),
			 errhint("Raise fabric.max_channels in postgresql.conf and restart the server.")));
}

char *
channel_join(FbBytes genesis_block, bool import_only)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	static const uint8_t valid[1] = {TX_VALID};
	ConfigBundle *bundle;
	BlockView view;
	CheckedBlock checked;
	BlockRow block = {0};
	TransactionRow transaction;
	const Ledger *ledger;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	char *name;
	FbError error;

	PreventCommandIfReadOnly("join_channel()");
	error_check(block_parse(genesis_block, allocator, &view, &error), &error);
	if (view.header.number != 0)
		ereport(ERROR,
				(fb_errcode(FB_BLOCK_REFUSED), errmsg("a channel is joined with its block 0"),
				 errdetail("This is block %llu.", (unsigned long long) view.header.number),
				 errhint(
					 "Pass the bytes of block 0 that fabric.create_channel or configtxgen made.")));
	if (view.header.previous_hash.size != 0 || view.data_count != 1)
		ereport(ERROR,
				(fb_errcode(FB_BLOCK_REFUSED), errmsg("block is not a genesis block"),
				 errdetail("A genesis block has no previous hash and exactly one transaction."),
				 errhint(
					 "Pass the bytes of block 0 that fabric.create_channel or configtxgen made.")));
	error_check(block_check(&view, &checked, &error), &error);
	error_check(config_bundle_from_block(allocator, genesis_block, &bundle, &error), &error);
	memory_on_reset(CurrentMemoryContext, (void (*)(void *)) config_bundle_destroy, bundle);

	if (import_only)
		channel_refuse_consenter(bundle);
	name = pstrdup(bundle->channel_id);
	ledger = ledger_create(name, 0, bundle->config_envelope, import_only);
	join_check_room();
	join_fill_transaction(allocator, view.data[0], &transaction);
	block_header_hash(&view.header, hash);
	block.data_hash = view.header.data_hash;
	block.block_hash = fb_bytes(hash, sizeof(hash));
	block.signatures = view.metadata[0];
	block.last_config = view.metadata[1];
	block.transactions_filter = fb_bytes(valid, 1);
	block.orderer = view.metadata[3];
	block.committed_at = GetCurrentTimestamp();
	block_store_append(ledger, &block, &transaction, 1, &checked);
	store_config_state(ledger, 0, bundle->config_envelope);
	return name;
}
