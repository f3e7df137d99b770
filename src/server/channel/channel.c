/*
 * channel.c: joined channels and their configuration.
 *
 * A session caches the parsed configuration of each channel it has used. The cached one is current
 * while the number of the last configuration block is the same (in shared memory if it is published
 * there, else in the table). A rebuild may repair the configuration under the same number, and
 * announces that by an invalidation of the world state's table. A replaced configuration is freed
 * at the end of the transaction, so pointers into it are valid until then.
 */
#include "server/channel/channel.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "core/block/block.h"
#include "core/txn/txn.h"

/* how often a session looks for the processes of a channel that was just joined */
#define SLOT_LOOK_MS 20

typedef struct ChannelEntry
{
	char name[FB_CHANNEL_ID_BYTES_MAX + 1]; /* hash key */
	int ledger_id; /* of the ledger that the configuration is from: leaving and joining again makes
					  a new one */
	Oid table;	   /* of its world state */
	bool is_stale; /* the tables have a newer configuration than bundle */
	MemoryContext context; /* owns bundle; NULL when there is none */
	ConfigBundle *bundle;
	uint64 raft_id_generation; /* of the TLS certificate that raft_id is of; 0: it is not known */
	uint64 raft_id;
	/* consenters of the configuration before this one, in context; see load_former */
	bool former_loaded;
	ConsenterIds former_ids;
	ConfigConsenter *former;
	Channel channel;
} ChannelEntry;

static HTAB *channels = NULL;
static List *retired = NIL; /* memory contexts; in TopMemoryContext */

static void
channel_at_transaction_end(XactEvent event, void *argument)
{
	ListCell *cell;
	HASH_SEQ_STATUS status;
	ChannelEntry *entry;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	foreach(cell, retired)
		MemoryContextDelete(lfirst(cell));
	list_free(retired);
	retired = NIL;
	/* identities seen in this transaction beyond the cache's bound */
	hash_seq_init(&status, channels);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->bundle != NULL)
			msp_manager_trim(entry->bundle->msps);
}

/*
 * the configuration may have been repaired; as for the definitions of chaincode,
 * chaincode/definition.c
 */
static void
channel_invalidate(Datum argument, Oid relation)
{
	HASH_SEQ_STATUS status;
	ChannelEntry *entry;

	hash_seq_init(&status, channels);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (relation == InvalidOid || relation == entry->table)
			entry->is_stale = true;
}

static void
channel_create_list(void)
{
	HASHCTL control = {.keysize = FB_CHANNEL_ID_BYTES_MAX + 1, .entrysize = sizeof(ChannelEntry)};

	channels = hash_create("fabric channels", 8, &control, HASH_ELEM | HASH_STRINGS);
	RegisterXactCallback(channel_at_transaction_end, NULL);
	CacheRegisterRelcacheCallback(channel_invalidate, (Datum) 0);
}

static void
channel_retire(ChannelEntry *entry)
{
	MemoryContext old;

	if (entry->context == NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	retired = lappend(retired, entry->context);
	MemoryContextSwitchTo(old);
	entry->context = NULL;
	entry->bundle = NULL;
}

static void
channel_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

/* the index of the consenter with this public key; the count: there is none */
static size_t
find_consenter(const ConfigBundle *bundle, FbBytes certificate_der)
{
	CryptoCertificate *wanted;
	size_t found = bundle->consenters_count;
	FbError error;

	if (crypto_certificate_parse(certificate_der, &wanted, &error) != FB_OK)
		return found;
	for (size_t i = 0; i < bundle->consenters_count && found == bundle->consenters_count; i++)
	{
		CryptoCertificate *certificate;

		if (crypto_certificate_parse(bundle->consenters[i].client_tls_certificate, &certificate,
									 &error) != FB_OK)
			continue;
		if (crypto_certificate_same_key(certificate, wanted))
			found = i;
		crypto_certificate_free(certificate);
	}
	crypto_certificate_free(wanted);
	return found;
}

static size_t
find_own_consenter(const ConfigBundle *bundle)
{
	FbBytes own = node_tls_certificate_der();

	return own.size > 0 ? find_consenter(bundle, own) : bundle->consenters_count;
}

/* a block may be newer than the statement's snapshot, as the configuration may */
static bool
newest_block_row(const Ledger *ledger, uint64 number, BlockRow *row)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool found = block_store_row(ledger, number, snapshot, row);

	UnregisterSnapshot(snapshot);
	return found;
}

/*
 * The ids under the configuration of this block, which has this many consenters. The block itself
 * names them, and commit_block has compared them with those that follow from the blocks before.
 * None if they cannot be read: blocks of Fabric's first releases do not have them, and an audit
 * must be able to open the channel of a damaged one.
 */
static void
load_consenter_ids(const Ledger *ledger, uint64 config_block_number, size_t consenters_count,
				   ConsenterIds *ids)
{
	BlockRow row;
	FbError error;

	if (config_block_number == 0 || consenters_count == 0)
	{
		consenter_ids_first(consenters_count, ids);
		return;
	}
	if (!newest_block_row(ledger, config_block_number, &row) ||
		consenter_ids_parse(row.signatures, memory_allocator(CurrentMemoryContext), ids, &error) !=
			FB_OK ||
		ids->count != consenters_count)
		memset(ids, 0, sizeof(*ids));
}

void
channel_follow_consenters(const Channel *channel, const ConfigBundle *next, ConsenterIds *ids)
{
	ConsenterChange change;

	if (channel->consenter_ids.count != channel->bundle->consenters_count ||
		consenter_ids_follow(&channel->consenter_ids, channel->bundle, next, ids, &change, NULL) !=
			FB_OK)
		memset(ids, 0, sizeof(*ids));
}

static void
channel_load(ChannelEntry *entry, const Ledger *ledger)
{
	/* not to be lost if an error comes in between */
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric channel configuration",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	uint64 config_block_number;
	FbBytes config;
	FbError error;
	ConfigBundle *bundle;
	ConsenterIds ids;
	FbStatus status;

	/* read before the tables: an invalidation that arrives meanwhile must count */
	entry->is_stale = false;
	if (!ledger_config(entry->name, &config_block_number, &config))
		elog(ERROR, "channel \"%s\" has no configuration", entry->name);
	status = config_bundle_create(memory_allocator(context), entry->name, config, &bundle, &error);
	if (status == FB_OK)
		load_consenter_ids(ledger, config_block_number, bundle->consenters_count, &ids);
	MemoryContextSwitchTo(old);
	if (status != FB_OK)
	{
		MemoryContextDelete(context);
		entry->is_stale = true;
		error_throw(&error);
	}
	memory_on_reset(context, channel_destroy_bundle, bundle);
	MemoryContextSetParent(context, TopMemoryContext);
	channel_retire(entry);
	entry->context = context;
	entry->bundle = bundle;
	entry->ledger_id = ledger->id;
	entry->table = ledger->world_state.table;
	entry->raft_id_generation = 0;
	entry->former_loaded = false;
	entry->channel = (Channel) {.name = entry->name,
								.config_block_number = config_block_number,
								.bundle = bundle,
								.consenter_ids = ids,
								.ledger = ledger};
}

/* the number of the last configuration block that is committed here */
static uint64
current_config_block(const Ledger *ledger)
{
	ChannelSlot *slot = shmem_channel_find(ledger->channel, ledger->id);
	uint64 number;
	FbBytes config;

	if (slot != NULL && slot_height(slot) > 0)
		return slot_config_block(slot);
	if (!ledger_config(ledger->channel, &number, &config))
		return 0;
	return number;
}

static void
channel_check_name(const char *name)
{
	FbError error;

	error_check(config_check_channel_id(fb_bytes_of_text(name), &error), &error);
}

const Channel *
channel_open(const char *name)
{
	ChannelEntry *entry;
	const Ledger *ledger;
	bool found;

	channel_check_name(name);
	ledger = ledger_open(name);
	if (channels == NULL)
		channel_create_list();
	entry = hash_search(channels, name, HASH_ENTER, &found);
	if (!found)
	{
		entry->table = InvalidOid;
		entry->is_stale = false;
		entry->context = NULL;
		entry->bundle = NULL;
	}
	if (entry->bundle == NULL || entry->is_stale || entry->ledger_id != ledger->id ||
		entry->channel.config_block_number != current_config_block(ledger))
		channel_load(entry, ledger);
	entry->channel.ledger = ledger;
	return &entry->channel;
}

bool
channel_exists(const char *name)
{
	return ledger_find(name) != NULL;
}

List *
channel_memberships(void)
{
	static SpiStatement statement =
		{"SELECT channel, id, source = 'import' FROM fabric_internal.channel ORDER BY channel",
		 0,
		 {0}};
	SpiScope scope;
	List *memberships = NIL;

	spi_begin(&scope);
	spi_run_latest(&statement, NULL, NULL, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		char *name = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		bool is_null;
		int ledger_id = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null));
		bool import_only = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &is_null));
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);
		ChannelMembership *membership = palloc(sizeof(ChannelMembership));

		*membership = (ChannelMembership) {pstrdup(name), ledger_id, import_only};
		memberships = lappend(memberships, membership);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return memberships;
}

uint64
channel_own_consenter(const Channel *channel)
{
	ChannelEntry *entry = hash_search(channels, channel->name, HASH_FIND, NULL);
	uint64 generation = node_tls_generation();

	if (entry->raft_id_generation != generation)
	{
		entry->raft_id =
			consenter_ids_id(&channel->consenter_ids, find_own_consenter(entry->bundle));
		entry->raft_id_generation = generation;
	}
	return entry->raft_id;
}

uint64
channel_raft_id(const Channel *channel)
{
	return channel->ledger->import_only ? 0 : channel_own_consenter(channel);
}

uint64
channel_consenter_of_certificate(const Channel *channel, FbBytes certificate_der)
{
	return consenter_ids_id(&channel->consenter_ids,
							find_consenter(channel->bundle, certificate_der));
}

/* ---- earlier configurations ---- */

/* the number of the configuration block before this one, which is not block 0 */
static bool
previous_config_block(const Ledger *ledger, uint64 config_block_number, uint64 *previous)
{
	BlockSignatures signatures;
	BlockRow row;
	FbError error;

	*previous = 0;
	if (config_block_number == 1)
		return true;
	if (!newest_block_row(ledger, config_block_number - 1, &row) ||
		block_signatures_parse(row.signatures, memory_allocator(CurrentMemoryContext), &signatures,
							   &error) != FB_OK ||
		signatures.last_config_number >= config_block_number)
		return false;
	*previous = signatures.last_config_number;
	return true;
}

/* the configuration of a block, in the current context; NULL: it cannot be read */
static ConfigBundle *
read_config_bundle(const Ledger *ledger, uint64 config_block_number)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	int count;
	TransactionRow *rows =
		block_store_transactions(ledger, config_block_number, snapshot, true, &count);
	ConfigBundle *bundle;
	FbError error;

	UnregisterSnapshot(snapshot);
	if (count == 0 || config_bundle_from_envelope(memory_allocator(CurrentMemoryContext),
												  rows[0].envelope, &bundle, &error) != FB_OK)
		return NULL;
	memory_on_reset(CurrentMemoryContext, channel_destroy_bundle, bundle);
	return bundle;
}

static FbBytes
copy_certificate(FbBytes certificate)
{
	uint8_t *copy = palloc(certificate.size + 1);

	if (certificate.size > 0)
		memcpy(copy, certificate.data, certificate.size);
	return fb_bytes(copy, certificate.size);
}

/* the consenters of the configuration before the current one: read once, when first asked for */
static void
load_former(ChannelEntry *entry)
{
	const Ledger *ledger = entry->channel.ledger;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric former configuration",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ConfigBundle *bundle = NULL;
	uint64 previous;

	memset(&entry->former_ids, 0, sizeof(entry->former_ids));
	if (entry->channel.config_block_number > 0 &&
		previous_config_block(ledger, entry->channel.config_block_number, &previous))
		bundle = read_config_bundle(ledger, previous);
	if (bundle != NULL)
	{
		load_consenter_ids(ledger, previous, bundle->consenters_count, &entry->former_ids);
		MemoryContextSwitchTo(entry->context);
		entry->former = palloc0(entry->former_ids.count * sizeof(ConfigConsenter) + 1);
		for (uint32 i = 0; i < entry->former_ids.count; i++)
		{
			entry->former[i] = bundle->consenters[i];
			entry->former[i].host = pstrdup(bundle->consenters[i].host);
			entry->former[i].client_tls_certificate =
				copy_certificate(bundle->consenters[i].client_tls_certificate);
			entry->former[i].server_tls_certificate = FB_BYTES_EMPTY;
		}
	}
	entry->former_loaded = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

const ConfigConsenter *
channel_former_consenter(const Channel *channel, uint64 id)
{
	ChannelEntry *entry = hash_search(channels, channel->name, HASH_FIND, NULL);

	if (!entry->former_loaded)
		load_former(entry);
	for (uint32 i = 0; i < entry->former_ids.count; i++)
		if (entry->former_ids.ids[i] == id)
			return &entry->former[i];
	return NULL;
}

bool
channel_former_consenter_has(const Channel *channel, uint64 id, FbBytes certificate_der)
{
	const ConfigConsenter *former = channel_former_consenter(channel, id);
	ConfigBundle bundle = {.consenters = former, .consenters_count = 1};

	return former != NULL && find_consenter(&bundle, certificate_der) == 0;
}

void
channel_consenter_ids_before(const Channel *channel, uint64 raft_index, ConsenterIds *ids)
{
	uint64 number = channel->config_block_number;
	ConfigBundle *bundle;
	BlockRow row;

	while (number > 0)
	{
		if (!newest_block_row(channel->ledger, number, &row))
			ereport(ERROR, (fb_errcode(FB_CORRUPTED),
							errmsg("configuration block %llu of channel \"%s\" is missing",
								   (unsigned long long) number, channel->name)));
		if (row.raft_index < raft_index)
			break;
		if (!previous_config_block(channel->ledger, number, &number))
			ereport(
				ERROR,
				(fb_errcode(FB_CORRUPTED),
				 errmsg(
					 "the configuration before that of block %llu of channel \"%s\" cannot be found",
					 (unsigned long long) row.number, channel->name)));
	}
	if (number == channel->config_block_number)
	{
		*ids = channel->consenter_ids;
		return;
	}
	bundle = read_config_bundle(channel->ledger, number);
	memset(ids, 0, sizeof(*ids));
	if (bundle != NULL)
		load_consenter_ids(channel->ledger, number, bundle->consenters_count, ids);
}

ChannelSlot *
channel_slot(const Channel *channel)
{
	return shmem_channel_find(channel->name, channel->ledger->id);
}

ChannelSlot *
channel_wait_slot(const Channel *channel, TimestampTz deadline)
{
	int ledger_id = channel->ledger->id;
	ChannelSlot *slot;

	while ((slot = shmem_channel_find(channel->name, ledger_id)) == NULL &&
		   GetCurrentTimestamp() < deadline)
	{
		const Ledger *ledger;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SLOT_LOOK_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		ledger = ledger_find(channel->name);
		if (ledger == NULL || ledger->id != ledger_id)
			break;
	}
	return slot;
}

void
channel_refuse_consenter(const ConfigBundle *bundle)
{
	if (find_own_consenter(bundle) == bundle->consenters_count)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("cannot import blocks of channel \"%s\": this node is one of its orderers",
				bundle->channel_id),
		 errdetail(
			 "An orderer's blocks are made from its Raft log; imported blocks could contradict it."),
		 errhint(
			 "Import them on a node whose TLS certificate is not in the channel's list of consenters.")));
}

void
channel_refuse_locked(const Channel *channel)
{
	if (ledger_is_locked_here(channel->ledger))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("this transaction keeps blocks of channel \"%s\" from being committed",
					channel->name),
			 errdetail(
				 "It has locked the channel's tables, as joining it, fabric.set_channel_source, fabric.rebuild_state and fabric.repair_chain do."),
			 errhint("Commit it first.")));
}

void
channel_set_source(const char *name, bool import_only)
{
	const Channel *channel;

	PreventCommandIfReadOnly("set_channel_source()");
	channel = channel_open(name);
	/* both ways: the Raft log of an orderer would not fit the blocks that are here */
	if (import_only != channel->ledger->import_only)
		channel_refuse_consenter(channel->bundle);
	ledger_set_import_only(name, import_only);
}

void
channel_leave(const char *name)
{
	PreventCommandIfReadOnly("leave_channel()");
	channel_check_name(name);
	ledger_drop(name);
}
