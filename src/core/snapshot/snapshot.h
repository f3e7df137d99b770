/*
 * snapshot: the files of a snapshot of a channel, byte for byte as a Fabric peer writes them
 * (core/ledger/kvledger/snapshot.go; common/ledger/snapshot/file.go;
 * core/ledger/kvledger/txmgmt/privacyenabledstate/snapshot.go; core/ledger/confighistory/mgr.go;
 * common/ledger/blkstorage/blockindex.go).
 *
 * Each data file begins with one byte, the format, followed by items: a number is an unsigned
 * varint, bytes are their length as a number, then the bytes. The files:
 *
 *   public_state.data, private_state_hashes.data   for each key bytes with pb(SnapshotRecord), in
 *                       the order of (namespace, key)
 *   ... .metadata       the number of namespaces, then name and number of keys of each
 *   txids.data          transaction ids, by length, then by bytes; each once
 *   confighistory.data  a key (snapshot_config_key) and pb(CollectionConfigPackage) in turn, sorted
 *   ... .metadata       of both: the number of ids, of pairs
 *
 * A pair of files is left out when it would be empty. Two JSON files have their hashes.
 *
 * Reading: the bytes are hostile. snapshot_take_* read from a window of a file, which the caller
 * extends when they ask for more. Everything is pure: the caller opens, hashes and flushes files.
 */
#ifndef FABRIC_CORE_SNAPSHOT_H
#define FABRIC_CORE_SNAPSHOT_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"
#include "core/rwset/rwset.h"

/* the data files, in the order of their names; metadata files are at odd numbers */
typedef enum SnapshotFile
{
	SNAPSHOT_CONFIG_HISTORY,
	SNAPSHOT_CONFIG_HISTORY_COUNT,
	SNAPSHOT_PRIVATE_HASHES,
	SNAPSHOT_PRIVATE_HASHES_COUNT,
	SNAPSHOT_PUBLIC_STATE,
	SNAPSHOT_PUBLIC_STATE_COUNT,
	SNAPSHOT_TX_IDS,
	SNAPSHOT_TX_IDS_COUNT,
	SNAPSHOT_FILES_COUNT
} SnapshotFile;

extern const char *snapshot_file_name(SnapshotFile file);
#define SNAPSHOT_SIGNABLE_FILE "_snapshot_signable_metadata.json"
#define SNAPSHOT_ADDITIONAL_FILE "_snapshot_additional_metadata.json"

/* ---- the two JSON files (snapshot_json.c) ---- */

/* of _snapshot_signable_metadata.json, whose SHA-256 is the hash of the snapshot */
typedef struct SnapshotMetadata
{
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	uint64_t last_block_number;
	uint8_t last_block_hash[CRYPTO_SHA256_BYTES];
	bool has_previous; /* false: the last block is block 0 */
	uint8_t previous_block_hash[CRYPTO_SHA256_BYTES];
	bool present[SNAPSHOT_FILES_COUNT];
	uint8_t hashes[SNAPSHOT_FILES_COUNT][CRYPTO_SHA256_BYTES];
	bool is_couchdb; /* state_db_type: the other peers' state database; not used for anything */
} SnapshotMetadata;

/* of _snapshot_additional_metadata.json */
typedef struct SnapshotAdditional
{
	uint8_t snapshot_hash[CRYPTO_SHA256_BYTES];
	bool has_commit_hash; /* false: the last block is block 0 */
	uint8_t commit_hash[CRYPTO_SHA256_BYTES];
} SnapshotAdditional;

/* The bytes of the files. Errors: FB_OUT_OF_MEMORY. */
extern FbStatus snapshot_metadata_pack(FbAllocator *allocator, const SnapshotMetadata *metadata,
									   FbBytes *json, FbError *error);
extern FbStatus snapshot_additional_pack(FbAllocator *allocator,
										 const SnapshotAdditional *additional, FbBytes *json,
										 FbError *error);

/* size of a file of metadata that is read */
#define SNAPSHOT_JSON_BYTES_MAX (64 * 1024)

/*
 * Any JSON object with these members, in any order and with any white space; members with other
 * names, members that occur twice, files with other names and a data file without its metadata file
 * are refused. Nothing is allocated. Errors: FB_MALFORMED_MESSAGE.
 */
extern FbStatus snapshot_metadata_parse(FbBytes json, SnapshotMetadata *metadata, FbError *error);
extern FbStatus snapshot_additional_parse(FbBytes json, SnapshotAdditional *additional,
										  FbError *error);

/* ---- items of the data files (snapshot_items.c) ---- */

#define SNAPSHOT_FORMAT 1
/* an item that is read; a value is not larger than a message */
#define SNAPSHOT_ITEM_BYTES_MAX (FB_MESSAGE_BYTES_MAX + 64 * 1024)

typedef struct SnapshotRecord
{
	FbBytes key; /* of a private key: its SHA-256 */
	FbBytes value;
	FbBytes metadata; /* pb(KVMetadataWrite entries), as in the state; empty: none */
	RwSetVersion version;
} SnapshotRecord;

extern void snapshot_put_number(FbBuffer *buffer, uint64_t number);
extern void snapshot_put_bytes(FbBuffer *buffer, FbBytes bytes);
extern void snapshot_put_record(FbBuffer *buffer, const SnapshotRecord *record);

/*
 * The key of a chaincode's collections as of a block: "s", "lscc", 0, NAME "~collection", then the
 * complement of the number as 8 bytes, big-endian (confighistory/db_helper.go, encodeCompositeKey).
 */
extern FbStatus snapshot_config_key(FbAllocator *allocator, FbBytes chaincode, uint64_t number,
									FbBytes *key, FbError *error);
extern FbStatus snapshot_config_key_parse(FbBytes key, FbBytes *chaincode, uint64_t *number,
										  FbError *error);

typedef enum SnapshotTake
{
	SNAPSHOT_TAKEN,
	SNAPSHOT_MORE,	   /* the window ends in the item: a file that ends there is damaged */
	SNAPSHOT_MALFORMED /* longer than allowed */
} SnapshotTake;

/* the first item of *window, which is shortened by it; bytes point into the window */
extern SnapshotTake snapshot_take_number(FbBytes *window, uint64_t *number);
extern SnapshotTake snapshot_take_bytes(FbBytes *window, FbBytes *bytes);

/* The record points into the item. Errors: FB_MALFORMED_MESSAGE. */
extern FbStatus snapshot_record_parse(FbBytes item, SnapshotRecord *record, FbError *error);

#endif
