/*
 * snapshot: snapshots of a channel as files, in Fabric's format (core/snapshot).
 */
#ifndef FABRIC_SERVER_SNAPSHOTS_H
#define FABRIC_SERVER_SNAPSHOTS_H

#include "server/channel/channel.h"

#include "core/snapshot/snapshot.h"

/* ---- snapshot_export.c ---- */

typedef struct SnapshotExport
{
	char *directory; /* below fabric.snapshot_directory: CHANNEL/BLOCK */
	uint64 block_number;
	uint8_t hash[CRYPTO_SHA256_BYTES]; /* of _snapshot_signable_metadata.json */
} SnapshotExport;

/*
 * Write a snapshot of the channel as of its last block that the active snapshot sees. Commits
 * continue meanwhile. Raises FB_NOT_CONFIGURED without fabric.snapshot_directory, 58P02 when there
 * is a snapshot of this block, and errors of the file system; nothing stays behind then.
 */
extern void snapshot_export(const Ledger *ledger, SnapshotExport *result);

/* ---- snapshot_reader.c ---- */

typedef struct SnapshotContents
{
	const char *path;
	SnapshotMetadata metadata;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	/* by snapshot_verify */
	uint64 public_keys;
	uint64 private_keys;
	uint64 tx_ids;
	uint64 collection_configs;
} SnapshotContents;

/*
 * Read the metadata of a snapshot in a directory below fabric.snapshot_directory, and compare their
 * hash. Raises FB_INVALID_ARGUMENT for another directory, FB_MALFORMED_MESSAGE, errors of the file
 * system.
 */
extern void snapshot_open(const char *directory, SnapshotContents *contents);
/* Compare the hashes of all files and read them to their ends. Raises FB_MALFORMED_MESSAGE. */
extern void snapshot_verify(SnapshotContents *contents);

/* ---- snapshot_compare.c ---- */

/* a key of which the snapshots have different values; NULL: this one has none. False: no more */
typedef bool (*SnapshotDifference)(void *context, const StateRow *row, const StateRow *other);

/*
 * The keys that differ in two snapshots of the same block, in their order. Raises the errors of
 * snapshot_open and snapshot_verify, and FB_INVALID_ARGUMENT when they are of different blocks.
 */
extern void snapshot_compare(const char *directory, const char *other_directory,
							 SnapshotDifference visit, void *context);

#endif
