/* snapshot_writer.c: one file of a snapshot: buffered, hashed while it is written, never replacing
 * another file, and flushed to disk */
#include "server/snapshots/snapshot_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#define BUFFER_BYTES (256 * 1024)

struct SnapshotWriter
{
	MemoryContext context; /* of the buffer; reset when it is written */
	char *path;
	int file;
	CryptoSha256 hash;
	FbBuffer buffer;
};

static void
start_buffer(SnapshotWriter *writer)
{
	MemoryContextReset(writer->context);
	fb_buffer_init(&writer->buffer, memory_allocator(writer->context));
}

SnapshotWriter *
snapshot_writer_open(const char *directory, const char *name)
{
	SnapshotWriter *writer = palloc0(sizeof(SnapshotWriter));

	writer->path = psprintf("%s/%s", directory, name);
	writer->context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric snapshot file", ALLOCSET_DEFAULT_SIZES);
	writer->file = OpenTransientFile(writer->path, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY);
	if (writer->file < 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create file \"%s\": %m", writer->path)));
	crypto_sha256_start(&writer->hash);
	start_buffer(writer);
	return writer;
}

FbBuffer *
snapshot_writer_buffer(SnapshotWriter *writer)
{
	return &writer->buffer;
}

static void
write_buffer(SnapshotWriter *writer)
{
	FbBytes bytes;
	FbError error;

	error_check(fb_buffer_bytes(&writer->buffer, &bytes, &error), &error);
	crypto_sha256_add(&writer->hash, bytes);
	while (bytes.size > 0)
	{
		ssize_t written;

		CHECK_FOR_INTERRUPTS();
		errno = 0;
		written = write(writer->file, bytes.data, Min(bytes.size, BUFFER_BYTES));
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not write to file \"%s\": %m", writer->path)));
		}
		bytes = fb_bytes(bytes.data + written, bytes.size - (size_t) written);
	}
	start_buffer(writer);
}

void
snapshot_writer_flush(SnapshotWriter *writer)
{
	if (writer->buffer.failed || writer->buffer.size >= BUFFER_BYTES)
		write_buffer(writer);
}

void
snapshot_writer_close(SnapshotWriter *writer, uint8_t hash[CRYPTO_SHA256_BYTES])
{
	write_buffer(writer);
	crypto_sha256_finish(&writer->hash, hash);
	if (pg_fsync(writer->file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not fsync file \"%s\": %m", writer->path)));
	if (CloseTransientFile(writer->file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not close file \"%s\": %m", writer->path)));
	MemoryContextDelete(writer->context);
	pfree(writer->path);
	pfree(writer);
}
