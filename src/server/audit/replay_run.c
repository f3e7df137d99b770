/*
 * replay_run.c: a sorted run of a replayed state in a temporary file: written once from its first
 * row to its last, then read.
 *
 * The file consists of blocks of whole rows. The first key of each block is in memory, so that a
 * look-up reads one block; a Bloom filter spares most look-ups of keys that the run does not have.
 */
#include "server/audit/audit_internal.h"

#include "lib/bloomfilter.h"
#include "lib/stringinfo.h"
#include "storage/buffile.h"

/* a block ends with the row that reaches this size */
#define BLOCK_BYTES 16384
/* of the filter, which has at least 1 MB */
#define FILTER_BYTES_OF_KEY 2

typedef struct RunBlock
{
	FbBytes namespace_name; /* of its first row */
	FbBytes key;
	uint64 offset;
	size_t size;
} RunBlock;

struct ReplayRun
{
	MemoryContext context;
	BufFile *file;
	bloom_filter *filter;
	RunBlock *blocks;
	size_t blocks_count;
	size_t blocks_capacity;
	uint64 rows_count;
	uint64 file_bytes;
	StringInfoData block; /* while it is written: the last block */
	StringInfoData name;  /* of a key, for the filter */

	/* the block that the last look-up read */
	uint8_t *cached;
	size_t cached_capacity;
	size_t cached_index; /* SIZE_MAX: none */
};

/* before the bytes of namespace, key, value and metadata */
typedef struct RunRowHeader
{
	size_t namespace_bytes;
	size_t key_bytes;
	size_t value_bytes;
	size_t metadata_bytes;
	bool present;
	RwSetVersion version;
} RunRowHeader;

int
replay_compare(FbBytes namespace_name, FbBytes key, FbBytes other_namespace, FbBytes other_key)
{
	int order =
		namespace_name.data == other_namespace.data && namespace_name.size == other_namespace.size
			? 0
			: fb_bytes_compare(namespace_name, other_namespace);

	return order != 0 ? order : fb_bytes_compare(key, other_key);
}

ReplayRun *
replay_run_create(MemoryContext parent, uint64 rows_count_max)
{
	MemoryContext context = AllocSetContextCreate(parent, "fabric run", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ReplayRun *run = palloc0(sizeof(ReplayRun));
	uint64 filter_kb = rows_count_max * FILTER_BYTES_OF_KEY / 1024;

	run->context = context;
	run->cached_index = SIZE_MAX;
	initStringInfo(&run->block);
	initStringInfo(&run->name);
	run->filter =
		bloom_create((int64) Max(rows_count_max, 1), (int) Min(filter_kb + 1, INT_MAX), 0);
	run->file = BufFileCreateTemp(false);
	MemoryContextSwitchTo(caller);
	return run;
}

static void
append_run_bytes(StringInfo text, FbBytes bytes)
{
	if (bytes.size > 0)
		appendBinaryStringInfo(text, (const char *) bytes.data, (int) bytes.size);
}

static void
name_key(ReplayRun *run, FbBytes namespace_name, FbBytes key)
{
	resetStringInfo(&run->name);
	appendBinaryStringInfo(&run->name, (const char *) &namespace_name.size, sizeof(size_t));
	append_run_bytes(&run->name, namespace_name);
	append_run_bytes(&run->name, key);
}

static void
write_run_block(ReplayRun *run)
{
	if (run->block.len == 0)
		return;
	BufFileWrite(run->file, run->block.data, (size_t) run->block.len);
	run->blocks[run->blocks_count - 1].size = (size_t) run->block.len;
	run->file_bytes += (uint64) run->block.len;
	resetStringInfo(&run->block);
}

static FbBytes
keep_first_key(ReplayRun *run, FbBytes bytes)
{
	uint8_t *copy = MemoryContextAlloc(run->context, bytes.size + 1);

	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	return fb_bytes(copy, bytes.size);
}

static void
begin_run_block(ReplayRun *run, const ReplayRow *row)
{
	if (run->blocks_count == run->blocks_capacity)
	{
		size_t capacity = Max(64, run->blocks_capacity * 2);

		run->blocks = run->blocks == NULL
						  ? MemoryContextAllocHuge(run->context, capacity * sizeof(RunBlock))
						  : repalloc_huge(run->blocks, capacity * sizeof(RunBlock));
		run->blocks_capacity = capacity;
	}
	run->blocks[run->blocks_count++] =
		(RunBlock) {keep_first_key(run, row->namespace_name), keep_first_key(run, row->key),
					run->file_bytes, 0};
}

void
replay_run_add(ReplayRun *run, const ReplayRow *row)
{
	const FbBytes *parts[] = {&row->namespace_name, &row->key, &row->value, &row->metadata};
	RunRowHeader header;

	memset(&header, 0, sizeof(header));
	header.namespace_bytes = row->namespace_name.size;
	header.key_bytes = row->key.size;
	header.value_bytes = row->value.size;
	header.metadata_bytes = row->metadata.size;
	header.present = row->present;
	header.version = row->version;
	if (run->block.len >= BLOCK_BYTES)
		write_run_block(run);
	if (run->block.len == 0)
		begin_run_block(run, row);
	appendBinaryStringInfo(&run->block, (const char *) &header, sizeof(header));
	for (int i = 0; i < lengthof(parts); i++)
		append_run_bytes(&run->block, *parts[i]);
	name_key(run, row->namespace_name, row->key);
	bloom_add_element(run->filter, (unsigned char *) run->name.data, (size_t) run->name.len);
	run->rows_count++;
}

void
replay_run_finish(ReplayRun *run)
{
	write_run_block(run);
	pfree(run->block.data);
	run->block.data = NULL;
}

void
replay_run_close(ReplayRun *run)
{
	BufFileClose(run->file);
	MemoryContextDelete(run->context);
}

uint64
replay_run_count(const ReplayRun *run)
{
	return run->rows_count;
}

/* ---- reading ---- */

static void
read_run_block(ReplayRun *run, size_t index, uint8_t **buffer, size_t *capacity)
{
	const RunBlock *block = &run->blocks[index];

	if (*capacity < block->size)
	{
		if (*buffer != NULL)
			pfree(*buffer);
		*buffer = MemoryContextAllocHuge(run->context, block->size);
		*capacity = block->size;
	}
	if (BufFileSeek(run->file, 0, (off_t) block->offset, SEEK_SET) != 0 ||
		BufFileRead(run->file, *buffer, block->size) != block->size)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read from the temporary file of a verification")));
}

/* the row at *at, whose bytes are in the block; *at: of the next one */
static void
parse_run_row(const uint8_t *block, size_t *at, ReplayRow *row)
{
	RunRowHeader header;

	memcpy(&header, block + *at, sizeof(header));
	*at += sizeof(header);
	row->namespace_name = fb_bytes(block + *at, header.namespace_bytes);
	*at += header.namespace_bytes;
	row->key = fb_bytes(block + *at, header.key_bytes);
	*at += header.key_bytes;
	row->value = fb_bytes(block + *at, header.value_bytes);
	*at += header.value_bytes;
	row->metadata = fb_bytes(block + *at, header.metadata_bytes);
	*at += header.metadata_bytes;
	row->present = header.present;
	row->version = header.version;
}

/* the last block whose first key is not after this one; 0 if there is none */
static size_t
seek_run_block(const ReplayRun *run, FbBytes namespace_name, FbBytes key)
{
	size_t low = 0;
	size_t high = run->blocks_count;

	while (high - low > 1)
	{
		size_t middle = low + (high - low) / 2;
		const RunBlock *block = &run->blocks[middle];

		if (replay_compare(block->namespace_name, block->key, namespace_name, key) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static FbBytes
copy_found(FbBytes bytes)
{
	uint8_t *copy = MemoryContextAllocHuge(CurrentMemoryContext, bytes.size + 1);

	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	return fb_bytes(copy, bytes.size);
}

bool
replay_run_find(ReplayRun *run, FbBytes namespace_name, FbBytes key, ReplayRow *row)
{
	size_t index;
	size_t at = 0;

	name_key(run, namespace_name, key);
	if (run->blocks_count == 0 ||
		bloom_lacks_element(run->filter, (unsigned char *) run->name.data, (size_t) run->name.len))
		return false;
	index = seek_run_block(run, namespace_name, key);
	if (run->cached_index != index)
	{
		run->cached_index = SIZE_MAX;
		read_run_block(run, index, &run->cached, &run->cached_capacity);
		run->cached_index = index;
	}
	while (at < run->blocks[index].size)
	{
		int order;

		parse_run_row(run->cached, &at, row);
		order = replay_compare(row->namespace_name, row->key, namespace_name, key);
		if (order > 0)
			return false;
		if (order < 0)
			continue;
		row->namespace_name = copy_found(row->namespace_name);
		row->key = copy_found(row->key);
		row->value = copy_found(row->value);
		row->metadata = copy_found(row->metadata);
		return true;
	}
	return false;
}

struct ReplayRunCursor
{
	ReplayRun *run;
	size_t block_index;
	uint8_t *block;
	size_t block_capacity;
	size_t at;
	bool loaded;
	ReplayRow row;
};

ReplayRunCursor *
replay_run_open(ReplayRun *run, FbBytes namespace_name, FbBytes key)
{
	ReplayRunCursor *cursor = MemoryContextAllocZero(run->context, sizeof(ReplayRunCursor));

	cursor->run = run;
	cursor->block_index = seek_run_block(run, namespace_name, key);
	while (replay_run_next(cursor) != NULL)
	{
		if (replay_compare(cursor->row.namespace_name, cursor->row.key, namespace_name, key) < 0)
			continue;
		/* replay_run_next returns this row again: go back to its beginning */
		cursor->at -= sizeof(RunRowHeader) + cursor->row.namespace_name.size +
					  cursor->row.key.size + cursor->row.value.size + cursor->row.metadata.size;
		break;
	}
	return cursor;
}

const ReplayRow *
replay_run_next(ReplayRunCursor *cursor)
{
	ReplayRun *run = cursor->run;

	if (cursor->loaded && cursor->at >= run->blocks[cursor->block_index].size)
	{
		cursor->block_index++;
		cursor->loaded = false;
	}
	if (cursor->block_index >= run->blocks_count)
		return NULL;
	if (!cursor->loaded)
	{
		read_run_block(run, cursor->block_index, &cursor->block, &cursor->block_capacity);
		cursor->loaded = true;
		cursor->at = 0;
	}
	parse_run_row(cursor->block, &cursor->at, &cursor->row);
	return &cursor->row;
}

void
replay_run_end(ReplayRunCursor *cursor)
{
	if (cursor->block != NULL)
		pfree(cursor->block);
	pfree(cursor);
}
