/* what the files of server/snapshots share */
#ifndef FABRIC_SERVER_SNAPSHOT_INTERNAL_H
#define FABRIC_SERVER_SNAPSHOT_INTERNAL_H

#include "server/snapshots/snapshots.h"

#include "core/snapshot/snapshot.h"

/* ---- snapshot_export.c ---- */

/* fabric.snapshot_directory; FB_NOT_CONFIGURED when it is empty */
extern const char *snapshot_root(void);
/* is it a namespace of hashes of private data? */
extern bool snapshot_is_hashed(FbBytes namespace_name);

/* ---- snapshot_writer.c ---- */

/* one file; after an error the transaction's end closes it */
typedef struct SnapshotWriter SnapshotWriter;

/* the file must not exist */
extern SnapshotWriter *snapshot_writer_open(const char *directory, const char *name);
/* append here, then call snapshot_writer_flush, which writes a full buffer */
extern FbBuffer *snapshot_writer_buffer(SnapshotWriter *writer);
extern void snapshot_writer_flush(SnapshotWriter *writer);
/* flushes it to disk; hash: SHA-256 of the file */
extern void snapshot_writer_close(SnapshotWriter *writer, uint8_t hash[CRYPTO_SHA256_BYTES]);

/* ---- snapshot_reader.c ---- */

/* one file; raises 58P01 and other errors of the file system */
typedef struct SnapshotReader SnapshotReader;
extern SnapshotReader *snapshot_reader_open(const char *directory, const char *name);
/* the next item, valid until the next call; FB_MALFORMED_MESSAGE */
extern FbBytes snapshot_reader_bytes(SnapshotReader *reader);

/* the public state, or hashes of private data; rows are in order, and valid until the next call */
typedef struct SnapshotStateReader SnapshotStateReader;
extern SnapshotStateReader *snapshot_state_open(const char *directory,
												const SnapshotMetadata *metadata, bool hashed);
extern bool snapshot_state_next(SnapshotStateReader *reader, StateRow *row);
extern void snapshot_state_close(SnapshotStateReader *reader);

/* ---- snapshot_rows.c ---- */

/* what a snapshot has beside the state, read by SQL on the active snapshot */

/* each transaction id once, by length, then by bytes */
extern void snapshot_read_tx_ids(const Ledger *ledger, void (*visit)(void *context, FbBytes tx_id),
								 void *context);
/* the history of collections: keys and values in their order */
extern void snapshot_read_config_history(const Ledger *ledger,
										 void (*visit)(void *context, FbBytes key, FbBytes value),
										 void *context);

#endif
