/*
 * snapshot_export.c: write a snapshot of a channel.
 *
 * The problem. A snapshot is the state of a channel exactly after one block, as files that are the
 * same bytes on every peer, so that organizations can compare one hash and a new node can start
 * from it. Fabric pauses commits while it exports (core/ledger/kvledger/snapshot_mgmt.go). A state
 * may be larger than memory, and a crash must not leave files that look like a snapshot.
 *
 * The rule. Everything is read on one database snapshot: the block that it sees as the last one is
 * the block of the files, and commits continue. The files are streamed into a directory with a
 * temporary name below fabric.snapshot_directory/CHANNEL, each flushed to disk, then the directory
 * is renamed to the number of the block. Nothing is ever replaced: if the name is taken, the export
 * fails. After an error the temporary directory is removed; after a crash it stays, and its name
 * says what it is.
 *
 * Versions. Fabric's records name block and transaction of the last write, as the world state here
 * does. The history of collections is derived from the writes of `_lifecycle`: for each write of a
 * chaincode's Sequence, the collections that are defined after that block
 * (core/ledger/confighistory/mgr.go, HandleStateUpdates).
 *
 * What holds afterwards. The bytes are those of a Fabric peer with LevelDB at the same block. What
 * is not in them, as in Fabric: blocks, history, plaintext of private data.
 */
#include "server/snapshots/snapshot_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/snapmgr.h"

typedef struct NamespaceCount
{
	FbBytes name;
	uint64 keys_count;
} NamespaceCount;

/* a pair of a data file and its metadata file; made when the first item comes */
typedef struct FilePair
{
	SnapshotFile data_file;
	SnapshotWriter *writer; /* NULL: no item yet */
	uint64 items_count;
	List *namespaces; /* of NamespaceCount *; of states only */
} FilePair;

typedef struct Export
{
	const Ledger *ledger;
	char *directory; /* temporary */
	SnapshotMetadata metadata;
	FilePair public_state;
	FilePair private_hashes;
	FilePair tx_ids;
	FilePair config_history;
} Export;

/* ---- pairs of files ---- */

static SnapshotWriter *
open_data_file(Export *export, SnapshotFile file)
{
	SnapshotWriter *writer = snapshot_writer_open(export->directory, snapshot_file_name(file));

	fb_buffer_append_byte(snapshot_writer_buffer(writer), SNAPSHOT_FORMAT);
	return writer;
}

static FbBuffer *
snapshot_add_item(Export *export, FilePair *pair)
{
	if (pair->writer == NULL)
		pair->writer = open_data_file(export, pair->data_file);
	pair->items_count++;
	return snapshot_writer_buffer(pair->writer);
}

static void
add_record(Export *export, FilePair *pair, const StateRow *row)
{
	SnapshotRecord record = {row->key, row->value, row->metadata, row->version};
	NamespaceCount *last = pair->namespaces == NIL ? NULL : llast(pair->namespaces);

	if (last == NULL || !fb_bytes_equal(last->name, row->namespace_name))
	{
		last = palloc(sizeof(NamespaceCount));
		last->name = memory_bytes(memory_bytea(row->namespace_name));
		last->keys_count = 0;
		pair->namespaces = lappend(pair->namespaces, last);
	}
	last->keys_count++;
	snapshot_put_record(snapshot_add_item(export, pair), &record);
	snapshot_writer_flush(pair->writer);
}

static void
close_pair(Export *export, FilePair *pair)
{
	SnapshotFile count_file = pair->data_file + 1;
	SnapshotWriter *writer;
	FbBuffer *buffer;
	ListCell *cell;

	if (pair->writer == NULL)
		return;
	snapshot_writer_close(pair->writer, export->metadata.hashes[pair->data_file]);
	export->metadata.present[pair->data_file] = true;
	writer = open_data_file(export, count_file);
	buffer = snapshot_writer_buffer(writer);
	if (pair->namespaces == NIL)
		snapshot_put_number(buffer, pair->items_count);
	else
		snapshot_put_number(buffer, (uint64) list_length(pair->namespaces));
	foreach(cell, pair->namespaces)
	{
		const NamespaceCount *counted = lfirst(cell);

		snapshot_put_bytes(buffer, counted->name);
		snapshot_put_number(buffer, counted->keys_count);
	}
	snapshot_writer_close(writer, export->metadata.hashes[count_file]);
	export->metadata.present[count_file] = true;
}

/* ---- contents ---- */

/* privacyenabledstate/common_storage_db.go, isHashedDataNs */
bool
snapshot_is_hashed(FbBytes namespace_name)
{
	return namespace_name.size > 0 &&
		   memmem(namespace_name.data, namespace_name.size, "$$h", 3) != NULL;
}

static void
export_state(Export *export)
{
	StateScan *scan = state_store_scan_all(export->ledger, NULL);
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric snapshot row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	StateRow row;

	while (true)
	{
		bool found;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		found = state_scan_next(scan, &row);
		MemoryContextSwitchTo(caller);
		if (!found)
			break;
		add_record(export,
				   snapshot_is_hashed(row.namespace_name) ? &export->private_hashes
														  : &export->public_state,
				   &row);
	}
	MemoryContextDelete(row_context);
	state_scan_end(scan);
	close_pair(export, &export->public_state);
	close_pair(export, &export->private_hashes);
}

static void
export_tx_id(void *context, FbBytes tx_id)
{
	Export *export = context;

	snapshot_put_bytes(snapshot_add_item(export, &export->tx_ids), tx_id);
	snapshot_writer_flush(export->tx_ids.writer);
}

static void
export_config_entry(void *context, FbBytes key, FbBytes value)
{
	Export *export = context;
	FbBuffer *buffer = snapshot_add_item(export, &export->config_history);

	snapshot_put_bytes(buffer, key);
	snapshot_put_bytes(buffer, value);
	snapshot_writer_flush(export->config_history.writer);
}

static void
write_json(const Export *export, const char *name, FbBytes json, uint8_t *hash)
{
	SnapshotWriter *writer = snapshot_writer_open(export->directory, name);

	fb_buffer_append_bytes(snapshot_writer_buffer(writer), json);
	snapshot_writer_close(writer, hash);
}

static void
export_metadata(Export *export, const BlockRow *last, uint8_t *snapshot_hash)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	SnapshotMetadata *metadata = &export->metadata;
	SnapshotAdditional additional = {.has_commit_hash = last->commit_hash.size > 0};
	uint8_t ignored[CRYPTO_SHA256_BYTES];
	FbBytes json;
	FbError error;

	strlcpy(metadata->channel, export->ledger->channel, sizeof(metadata->channel));
	metadata->last_block_number = last->number;
	if (last->block_hash.size != CRYPTO_SHA256_BYTES ||
		(last->commit_hash.size != CRYPTO_SHA256_BYTES && last->commit_hash.size != 0) ||
		last->previous_hash.size != (last->number > 0 ? CRYPTO_SHA256_BYTES : 0))
		ereport(ERROR, (fb_errcode(FB_CORRUPTED),
						errmsg("block %llu of channel \"%s\" has hashes of another size",
							   (unsigned long long) last->number, export->ledger->channel),
						errhint("fabric.verify_chain finds what else is damaged.")));
	memcpy(metadata->last_block_hash, last->block_hash.data, CRYPTO_SHA256_BYTES);
	metadata->has_previous = last->number > 0;
	if (metadata->has_previous)
		memcpy(metadata->previous_block_hash, last->previous_hash.data, CRYPTO_SHA256_BYTES);
	error_check(snapshot_metadata_pack(allocator, metadata, &json, &error), &error);
	write_json(export, SNAPSHOT_SIGNABLE_FILE, json, snapshot_hash);
	memcpy(additional.snapshot_hash, snapshot_hash, CRYPTO_SHA256_BYTES);
	if (additional.has_commit_hash)
		memcpy(additional.commit_hash, last->commit_hash.data, CRYPTO_SHA256_BYTES);
	error_check(snapshot_additional_pack(allocator, &additional, &json, &error), &error);
	write_json(export, SNAPSHOT_ADDITIONAL_FILE, json, ignored);
}

static void
export_contents(Export *export, const BlockRow *last, uint8_t *snapshot_hash)
{
	snapshot_read_tx_ids(export->ledger, export_tx_id, export);
	close_pair(export, &export->tx_ids);
	snapshot_read_config_history(export->ledger, export_config_entry, export);
	close_pair(export, &export->config_history);
	export_state(export);
	export_metadata(export, last, snapshot_hash);
}

/* ---- directories ---- */

static void
make_directory(const char *path)
{
	if (MakePGDirectory(path) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", path)));
}

static void
refuse_existing(const char *directory)
{
	struct stat info;

	if (lstat(directory, &info) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("directory \"%s\" already exists", directory),
				 errdetail("A snapshot is never replaced."), errhint("Move it away, or use it.")));
	if (errno != ENOENT)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not stat \"%s\": %m", directory)));
}

const char *
snapshot_root(void)
{
	if (guc_snapshot_directory[0] == '\0')
		ereport(ERROR, (fb_errcode(FB_NOT_CONFIGURED),
						errmsg("parameter \"fabric.snapshot_directory\" is not set"),
						errdetail("Snapshots are written to, and read from, this directory."),
						errhint("Set it in postgresql.conf to a directory of the server's user.")));
	return guc_snapshot_directory;
}

void
snapshot_export(const Ledger *ledger, SnapshotExport *result)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "fabric snapshot", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	const char *parent = psprintf("%s/%s", snapshot_root(), ledger->channel);
	uint64 height = block_store_height(ledger, NULL);
	Export *export = palloc0(sizeof(Export));
	char *final;
	BlockRow last;

	if (height == 0 || !block_store_row(ledger, height - 1, NULL, &last))
		ereport(ERROR,
				(fb_errcode(FB_BLOCK_NOT_FOUND),
				 errmsg("channel \"%s\" has no block to take a snapshot of", ledger->channel)));
	final = psprintf("%s/" UINT64_FORMAT, parent, last.number);
	*export = (Export) {.ledger = ledger,
						.public_state.data_file = SNAPSHOT_PUBLIC_STATE,
						.private_hashes.data_file = SNAPSHOT_PRIVATE_HASHES,
						.tx_ids.data_file = SNAPSHOT_TX_IDS,
						.config_history.data_file = SNAPSHOT_CONFIG_HISTORY};
	export->directory = psprintf("%s.%d.incomplete", final, MyProcPid);
	make_directory(parent);
	fsync_fname(snapshot_root(), true);
	refuse_existing(final);
	if (MakePGDirectory(export->directory) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create directory \"%s\": %m", export->directory)));
	PG_TRY();
	{
		export_contents(export, &last, result->hash);
		fsync_fname(export->directory, true);
		refuse_existing(final);
		if (rename(export->directory, final) != 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not rename directory \"%s\" to \"%s\": %m",
								   export->directory, final)));
	}
	PG_CATCH();
	{
		(void) rmtree(export->directory, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	fsync_fname(parent, true);
	MemoryContextSwitchTo(caller);
	result->directory = psprintf("%s/" UINT64_FORMAT, ledger->channel, last.number);
	result->block_number = last.number;
	MemoryContextDelete(work);
}
