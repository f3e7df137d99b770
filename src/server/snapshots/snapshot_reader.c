/*
 * snapshot_reader.c: read the files of a snapshot, which another organization may have written.
 *
 * The directory is named below fabric.snapshot_directory. First the hashes of all files are
 * compared with the metadata, then the files are read item by item with memory for one item, each
 * item by the decoders of core/snapshot. Counts in the metadata files must be those of the data
 * files, and keys and ids must be in their order, each once: a state that is loaded from a snapshot
 * and one that is compared with it rely on that.
 */
#include "server/snapshots/snapshot_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#define READ_BYTES (256 * 1024)

struct SnapshotReader
{
	MemoryContext context;
	const char *path;
	int file;
	bool at_end;
	uint8_t *buffer;
	size_t capacity;
	FbBytes window; /* what is read and not taken */
};

#define REFUSE_SNAPSHOT(path, ...)                                                   \
	ereport(ERROR, (fb_errcode(FB_MALFORMED_MESSAGE),                                \
					errmsg("file \"%s\" is not a valid part of a snapshot", (path)), \
					errdetail(__VA_ARGS__)))

/* ---- one file ---- */

SnapshotReader *
snapshot_reader_open(const char *directory, const char *name)
{
	SnapshotReader *reader = palloc0(sizeof(SnapshotReader));

	reader->context = CurrentMemoryContext;
	reader->path = psprintf("%s/%s", directory, name);
	reader->file = OpenTransientFile(reader->path, O_RDONLY | PG_BINARY);
	if (reader->file < 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open file \"%s\": %m", reader->path)));
	return reader;
}

static void
snapshot_reader_close(SnapshotReader *reader)
{
	(void) CloseTransientFile(reader->file);
	if (reader->buffer != NULL)
		pfree(reader->buffer);
	pfree(reader);
}

/* read more behind the window; false at the end of the file */
static bool
read_more(SnapshotReader *reader)
{
	size_t kept = reader->window.size;
	ssize_t count;

	CHECK_FOR_INTERRUPTS();
	if (reader->at_end)
		return false;
	if (reader->capacity < kept + READ_BYTES)
	{
		size_t capacity = Max(2 * kept, kept + READ_BYTES);
		uint8_t *buffer = MemoryContextAllocHuge(reader->context, capacity);

		if (kept > 0)
			memcpy(buffer, reader->window.data, kept);
		if (reader->buffer != NULL)
			pfree(reader->buffer);
		reader->buffer = buffer;
		reader->capacity = capacity;
	}
	else if (kept > 0)
		memmove(reader->buffer, reader->window.data, kept);
	do
		count = read(reader->file, reader->buffer + kept, READ_BYTES);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read file \"%s\": %m", reader->path)));
	reader->at_end = count == 0;
	reader->window = fb_bytes(reader->buffer, kept + (size_t) count);
	return count > 0;
}

static bool
snapshot_reader_at_end(SnapshotReader *reader)
{
	return reader->window.size == 0 && !read_more(reader);
}

static void
check_taken(SnapshotReader *reader, SnapshotTake taken)
{
	if (taken == SNAPSHOT_MALFORMED)
		REFUSE_SNAPSHOT(reader->path, "An item in it is larger than any can be.");
	if (taken == SNAPSHOT_MORE)
		REFUSE_SNAPSHOT(reader->path, "It ends in the middle of an item.");
}

static uint64
snapshot_reader_number(SnapshotReader *reader)
{
	SnapshotTake taken;
	uint64_t number = 0;

	do
		taken = snapshot_take_number(&reader->window, &number);
	while (taken == SNAPSHOT_MORE && read_more(reader));
	check_taken(reader, taken);
	return number;
}

FbBytes
snapshot_reader_bytes(SnapshotReader *reader)
{
	SnapshotTake taken;
	FbBytes bytes = FB_BYTES_EMPTY;

	do
		taken = snapshot_take_bytes(&reader->window, &bytes);
	while (taken == SNAPSHOT_MORE && read_more(reader));
	check_taken(reader, taken);
	return bytes;
}

/* a data file: its first byte is the format */
static SnapshotReader *
open_items(const char *directory, SnapshotFile file)
{
	SnapshotReader *reader = snapshot_reader_open(directory, snapshot_file_name(file));
	uint8_t format;

	if (snapshot_reader_at_end(reader))
		REFUSE_SNAPSHOT(reader->path, "It is empty.");
	format = reader->window.data[0];
	if (format != SNAPSHOT_FORMAT)
		REFUSE_SNAPSHOT(reader->path, "Its format is %d instead of %d.", format, SNAPSHOT_FORMAT);
	reader->window = fb_bytes(reader->window.data + 1, reader->window.size - 1);
	return reader;
}

/* ---- a state ---- */

struct SnapshotStateReader
{
	SnapshotReader *data;
	SnapshotReader *counts;
	uint64 namespaces_left;
	uint64 keys_left; /* of this namespace */
	bool is_hashed;
	StringInfoData namespace_name; /* of the current record */
	StringInfoData previous_key;
	bool has_previous;
};

SnapshotStateReader *
snapshot_state_open(const char *directory, const SnapshotMetadata *metadata, bool hashed)
{
	SnapshotFile file = hashed ? SNAPSHOT_PRIVATE_HASHES : SNAPSHOT_PUBLIC_STATE;
	SnapshotStateReader *reader = palloc0(sizeof(SnapshotStateReader));

	reader->is_hashed = hashed;
	initStringInfo(&reader->namespace_name);
	initStringInfo(&reader->previous_key);
	if (!metadata->present[file])
		return reader;
	reader->data = open_items(directory, file);
	reader->counts = open_items(directory, file + 1);
	reader->namespaces_left = snapshot_reader_number(reader->counts);
	return reader;
}

static void
set_kept(StringInfo text, FbBytes bytes)
{
	resetStringInfo(text);
	if (bytes.size > 0)
		appendBinaryStringInfo(text, (const char *) bytes.data, (int) bytes.size);
}

static FbBytes
kept_bytes(const StringInfoData *text)
{
	return fb_bytes(text->data, (size_t) text->len);
}

static void
begin_namespace(SnapshotStateReader *reader, bool first)
{
	FbBytes name = snapshot_reader_bytes(reader->counts);

	if (!first && fb_bytes_compare(kept_bytes(&reader->namespace_name), name) >= 0)
		REFUSE_SNAPSHOT(reader->counts->path, "Its namespaces are not in order.");
	if (name.size > 1024 || !fb_utf8_valid(name) ||
		(name.size > 0 && memchr(name.data, 0, name.size) != NULL) ||
		snapshot_is_hashed(name) != reader->is_hashed)
		REFUSE_SNAPSHOT(reader->counts->path, "\"%s\" is not the name of one of its namespaces.",
						FB_DISPLAY(name));
	set_kept(&reader->namespace_name, name);
	reader->keys_left = snapshot_reader_number(reader->counts);
	if (reader->keys_left == 0)
		REFUSE_SNAPSHOT(reader->counts->path, "Namespace \"%s\" has no key.", FB_DISPLAY(name));
	reader->has_previous = false;
}

static void
check_key(SnapshotStateReader *reader, FbBytes key)
{
	if (reader->has_previous && fb_bytes_compare(kept_bytes(&reader->previous_key), key) >= 0)
		REFUSE_SNAPSHOT(reader->data->path, "The keys of \"%s\" are not in order.",
						FB_DISPLAY(kept_bytes(&reader->namespace_name)));
	if (key.size > FB_STATE_KEY_BYTES_MAX)
		REFUSE_SNAPSHOT(reader->data->path, "A key of \"%s\" has %zu bytes.",
						FB_DISPLAY(kept_bytes(&reader->namespace_name)), key.size);
	set_kept(&reader->previous_key, key);
	reader->has_previous = true;
}

bool
snapshot_state_next(SnapshotStateReader *reader, StateRow *row)
{
	SnapshotRecord record;
	FbError error;

	if (reader->data == NULL)
		return false;
	if (reader->keys_left == 0)
	{
		if (reader->namespaces_left == 0)
		{
			if (!snapshot_reader_at_end(reader->data) || !snapshot_reader_at_end(reader->counts))
				REFUSE_SNAPSHOT(reader->data->path, "It has more records than \"%s\" says.",
								reader->counts->path);
			return false;
		}
		begin_namespace(reader, reader->namespace_name.len == 0 && !reader->has_previous);
		reader->namespaces_left--;
	}
	reader->keys_left--;
	if (snapshot_record_parse(snapshot_reader_bytes(reader->data), &record, &error) != FB_OK)
		REFUSE_SNAPSHOT(reader->data->path, "It does not hold valid records: %s.", error.message);
	check_key(reader, record.key);
	*row = (StateRow) {kept_bytes(&reader->namespace_name), record.key, record.value,
					   record.metadata, record.version};
	return true;
}

void
snapshot_state_close(SnapshotStateReader *reader)
{
	if (reader->data != NULL)
	{
		snapshot_reader_close(reader->data);
		snapshot_reader_close(reader->counts);
	}
	pfree(reader);
}

/* ---- the whole ---- */

/* names of directories, none of which leads upwards, with single slashes in between */
static bool
is_path_below(const char *directory)
{
	const char *name = directory;

	if (strlen(directory) >= MAXPGPATH)
		return false;

	while (true)
	{
		size_t size = strcspn(name, "/");

		if (size == 0 || (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.'))))
			return false;
		if (name[size] == '\0')
			return true;
		name += size + 1;
	}
}

static const char *
snapshot_path(const char *directory)
{
	if (!is_path_below(directory))
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("invalid name of the directory of a snapshot"),
				 errdetail("It must be a path below fabric.snapshot_directory, without \"..\"."),
				 errhint("fabric.snapshot returns such names: CHANNEL/BLOCK.")));
	return psprintf("%s/%s", snapshot_root(), directory);
}

static FbBytes
read_json(const char *path, const char *name)
{
	SnapshotReader *reader = snapshot_reader_open(path, name);
	FbBytes bytes;

	while (reader->window.size <= SNAPSHOT_JSON_BYTES_MAX && read_more(reader))
		;
	bytes = memory_bytes(memory_bytea(reader->window));
	snapshot_reader_close(reader);
	return bytes;
}

static void
check_file_hash(const char *path, const char *name, const uint8_t *expected)
{
	SnapshotReader *reader = snapshot_reader_open(path, name);
	CryptoSha256 hash;
	uint8_t digest[CRYPTO_SHA256_BYTES];

	crypto_sha256_start(&hash);
	while (read_more(reader))
	{
		crypto_sha256_add(&hash, reader->window);
		reader->window = FB_BYTES_EMPTY;
	}
	crypto_sha256_finish(&hash, digest);
	if (memcmp(digest, expected, sizeof(digest)) != 0)
		REFUSE_SNAPSHOT(reader->path, "Its hash is not the one in the metadata of the snapshot.");
	snapshot_reader_close(reader);
}

static uint64
check_counted(const char *path, SnapshotFile file, int items_of_entry)
{
	SnapshotReader *data = open_items(path, file);
	SnapshotReader *counts = open_items(path, file + 1);
	uint64 count = snapshot_reader_number(counts);
	StringInfoData previous;

	initStringInfo(&previous);
	for (uint64 i = 0; i < count; i++)
	{
		FbBytes item = snapshot_reader_bytes(data);
		FbBytes before = kept_bytes(&previous);
		int order = fb_bytes_compare(before, item);

		/* transaction ids: by length first */
		if (items_of_entry == 1 && before.size != item.size)
			order = before.size < item.size ? -1 : 1;
		if (i > 0 && order >= 0)
			REFUSE_SNAPSHOT(data->path, "Its entries are not in order.");
		set_kept(&previous, item);
		for (int more = 1; more < items_of_entry; more++)
			(void) snapshot_reader_bytes(data);
	}
	if (!snapshot_reader_at_end(data) || !snapshot_reader_at_end(counts))
		REFUSE_SNAPSHOT(data->path, "It has more entries than \"%s\" says.", counts->path);
	snapshot_reader_close(data);
	snapshot_reader_close(counts);
	pfree(previous.data);
	return count;
}

static uint64
count_state(const char *path, const SnapshotMetadata *metadata, bool hashed)
{
	SnapshotStateReader *reader = snapshot_state_open(path, metadata, hashed);
	uint64 count = 0;
	StateRow row;

	while (snapshot_state_next(reader, &row))
		count++;
	snapshot_state_close(reader);
	return count;
}

void
snapshot_open(const char *directory, SnapshotContents *contents)
{
	const char *path = snapshot_path(directory);
	FbBytes signable = read_json(path, SNAPSHOT_SIGNABLE_FILE);
	SnapshotAdditional additional;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	FbError error;

	memset(contents, 0, sizeof(*contents));
	contents->path = path;
	error_check(snapshot_additional_parse(read_json(path, SNAPSHOT_ADDITIONAL_FILE), &additional,
										  &error),
				&error);
	crypto_sha256(signable, hash);
	if (memcmp(hash, additional.snapshot_hash, sizeof(hash)) != 0)
		REFUSE_SNAPSHOT(psprintf("%s/%s", path, SNAPSHOT_SIGNABLE_FILE),
						"Its hash is not the snapshot_hash in \"%s\".", SNAPSHOT_ADDITIONAL_FILE);
	error_check(snapshot_metadata_parse(signable, &contents->metadata, &error), &error);
	memcpy(contents->hash, hash, sizeof(hash));
}

void
snapshot_verify(SnapshotContents *contents)
{
	const SnapshotMetadata *metadata = &contents->metadata;

	for (int i = 0; i < SNAPSHOT_FILES_COUNT; i++)
		if (metadata->present[i])
			check_file_hash(contents->path, snapshot_file_name(i), metadata->hashes[i]);
	contents->public_keys = count_state(contents->path, metadata, false);
	contents->private_keys = count_state(contents->path, metadata, true);
	if (metadata->present[SNAPSHOT_TX_IDS])
		contents->tx_ids = check_counted(contents->path, SNAPSHOT_TX_IDS, 1);
	if (metadata->present[SNAPSHOT_CONFIG_HISTORY])
		contents->collection_configs = check_counted(contents->path, SNAPSHOT_CONFIG_HISTORY, 2);
}
