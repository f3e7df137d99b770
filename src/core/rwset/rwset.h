/*
 * rwset: read-write sets of transactions, and their effect when a block is committed.
 *
 *   simulation
 *     RwSetBuilder         collects reads, writes, ranges and private data; gives the bytes of the
 *                          TxReadWriteSet and of the private sets
 *   validation
 *     rwset_parse          decodes bytes to an RwSet
 *     mvcc_prepare         collects the keys that the transactions of a block touch; the caller
 *                          looks all of them up in the committed state, in one query
 *     mvcc_validate        gives a code for each transaction, the conflicts, the state updates and
 *                          the history
 *   commit
 *     update_commit_hash, StateDigest
 *
 * Bytes and order are those of Hyperledger Fabric (rwsetutil, validation, update_batch_bytes.go).
 *
 * Keys and names are byte strings: a key is UTF-8 and may contain U+0000 (composite keys), so none
 * of them ends at a zero. Everything returned lives in the allocator that was passed in and may
 * point into the input bytes, which must live as long.
 */
#ifndef FABRIC_CORE_RWSET_H
#define FABRIC_CORE_RWSET_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"

/* ---- values ---- */

/*
 * (block, transaction) that wrote a key last; present = false: the key does not exist. Also
 * a metadata write counts
 */
typedef struct RwSetVersion
{
	bool present;
	uint64_t block_number;
	uint64_t tx_index;
} RwSetVersion;

extern bool rwset_version_equal(RwSetVersion a, RwSetVersion b); /* two absent ones are equal */

typedef struct RwSetRead
{
	FbBytes key; /* of a hashed read: the hash of the key */
	RwSetVersion version;
} RwSetRead;

typedef struct RwSetWrite
{
	FbBytes key;	/* of a hashed write: the hash of the key */
	FbBytes value;	/* of a hashed write: the hash of the value */
	bool is_delete; /* as encoded; ask rwset_write_deletes() and rwset_hashed_write_deletes() */
	bool is_purge;	/* hashed writes only */
} RwSetWrite;

/* a write without a value is a deletion */
extern bool rwset_write_deletes(const RwSetWrite *write);
/*
 * as above; also when the value's hash is the hash of the empty string (rwset_proto_util.go,
 * IsKVWriteHashDelete)
 */
extern bool rwset_hashed_write_deletes(const RwSetWrite *write);

typedef struct RwSetMetadataEntry
{
	FbBytes name;
	FbBytes value;
} RwSetMetadataEntry;

typedef struct RwSetMetadataWrite
{
	FbBytes key; /* of a hashed one: the hash of the key */
	RwSetMetadataEntry *entries;
	size_t entries_count; /* 0: the key's metadata are deleted */
} RwSetMetadataWrite;

/* Merkle summary of the results of a range query (docs/wire-format.md, "Range queries") */
typedef struct RwSetMerkle
{
	uint32_t max_degree;
	uint32_t max_level;
	FbBytes *hashes;
	size_t hashes_count;
} RwSetMerkle;

typedef enum RwSetRangeKind
{
	RWSET_RANGE_NONE, /* no result at all: nothing is encoded */
	RWSET_RANGE_READS,
	RWSET_RANGE_MERKLE
} RwSetRangeKind;

typedef struct RwSetRange
{
	FbBytes start_key;
	FbBytes end_key; /* empty: up to the end of the namespace. Belongs to the range only if
						!exhausted */
	bool exhausted;	 /* the iterator went to its end */
	RwSetRangeKind kind;
	RwSetRead *reads;
	size_t reads_count;
	RwSetMerkle merkle;
} RwSetRange;

typedef struct RwSetCollection
{
	FbBytes name;
	RwSetRead *hashed_reads;
	size_t hashed_reads_count;
	RwSetWrite *hashed_writes;
	size_t hashed_writes_count;
	RwSetMetadataWrite *metadata_writes;
	size_t metadata_writes_count;
	FbBytes private_hash; /* SHA-256 of the collection's private KVRWSet; empty if nothing private
							 was written */
} RwSetCollection;

typedef struct RwSetNamespace
{
	FbBytes name;
	RwSetRead *reads;
	size_t reads_count;
	RwSetRange *ranges;
	size_t ranges_count;
	RwSetWrite *writes;
	size_t writes_count;
	RwSetMetadataWrite *metadata_writes;
	size_t metadata_writes_count;
	RwSetCollection *collections;
	size_t collections_count;
} RwSetNamespace;

typedef struct RwSet
{
	int32_t data_model; /* 0 = KV, the only one there is */
	RwSetNamespace *namespaces;
	size_t namespaces_count;
} RwSet;

/*
 * true if the namespace has public, hashed or metadata writes (dispatcher.go, txWritesToNamespace)
 */
extern bool rwset_namespace_writes(const RwSetNamespace *ns);

/* ---- codec (codec.c, rwset_pack.c; docs/wire-format.md, "Read-write sets") ---- */

/*
 * Parse the bytes of a TxReadWriteSet. FB_MALFORMED_MESSAGE (code BAD_RWSET; in the ledger
 * phase INVALID_OTHER_REASON), FB_LIMIT_EXCEEDED (FB_NAMESPACES_MAX, FB_RWSET_ENTRIES_MAX; treat
 * alike), FB_OUT_OF_MEMORY. Order and repetitions are kept as they are: parsing and packing again
 * gives the same bytes for everything that a builder made.
 */
extern FbStatus rwset_parse(FbAllocator *allocator, FbBytes bytes, RwSet **rwset, FbError *error);
extern FbStatus rwset_pack(FbAllocator *allocator, const RwSet *rwset, FbBytes *bytes,
						   FbError *error);

/* the size of the longest key that is written, its value or its metadata */
extern size_t rwset_longest_written_key(const RwSet *rwset);

/*
 * remove all reads and ranges, so that the transaction conflicts with nothing: for callers that
 * know that it is valid and want its writes
 */
extern void rwset_forget_reads(RwSet *rwset);

/* key metadata as stored in the state: pb(KVMetadataWrite{entries}); no entries give no bytes */
extern FbStatus rwset_metadata_pack(FbAllocator *allocator, const RwSetMetadataEntry *entries,
									size_t entries_count, FbBytes *bytes, FbError *error);
extern FbStatus rwset_metadata_parse(FbAllocator *allocator, FbBytes bytes,
									 RwSetMetadataEntry **entries, size_t *entries_count,
									 FbError *error);
/*
 * the value of the entry VALIDATION_PARAMETER in stored metadata; empty if there is none
 */
#define RWSET_VALIDATION_PARAMETER "VALIDATION_PARAMETER"
extern FbStatus rwset_metadata_validation_parameter(FbAllocator *allocator, FbBytes metadata,
													FbBytes *parameter, FbError *error);

/*
 * one collection's private set: bytes of a KVRWSet with writes and metadata writes, their keys in
 * clear (docs/wire-format.md, "Private data")
 */
typedef struct RwSetPrivate
{
	RwSetWrite *writes;
	size_t writes_count;
	RwSetMetadataWrite *metadata_writes; /* keys only */
	size_t metadata_writes_count;
} RwSetPrivate;

extern FbStatus rwset_private_parse(FbAllocator *allocator, FbBytes bytes, RwSetPrivate **set,
									FbError *error);

/* the private sets of one transaction: bytes of a TxPvtReadWriteSet */
typedef struct RwSetPrivateCollection
{
	FbBytes namespace_name;
	FbBytes collection;
	/* KVRWSet, see rwset_private_parse; SHA-256 of it = RwSetCollection.private_hash */
	FbBytes bytes;
} RwSetPrivateCollection;

extern FbStatus rwset_private_collections_parse(FbAllocator *allocator, FbBytes bytes,
												RwSetPrivateCollection **collections,
												size_t *collections_count, FbError *error);

/* the state namespace of the hashed keys of a collection: ns$$hCOLL */
extern FbStatus rwset_hashed_namespace(FbAllocator *allocator, FbBytes namespace_name,
									   FbBytes collection, FbBytes *name, FbError *error);

/* ---- builder (builder.c): what the shim of a simulation calls ---- */

/* docs/wire-format.md, "Read-write sets" */

/*
 * Collects in any order, produces Fabric's order. All given bytes are copied. Every function
 * returns FB_OK, FB_OUT_OF_MEMORY, FB_LIMIT_EXCEEDED (FB_RWSET_ENTRIES_MAX, FB_STATE_KEY_BYTES_MAX,
 * FB_NAMESPACES_MAX; FB_MESSAGE_BYTES_MAX for all of it) or FB_INVALID_ARGUMENT (a key, namespace
 * or collection that is not UTF-8). After an exceeded limit the builder cannot be used any further.
 */
typedef struct RwSetBuilder RwSetBuilder;

extern FbStatus rwset_builder_create(FbAllocator *allocator, RwSetBuilder **builder,
									 FbError *error);

/* a point read; recorded once, the version is that of the simulation's snapshot */
extern FbStatus rwset_builder_add_read(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key,
									   RwSetVersion version, FbError *error);
/* the last write of a key wins; an empty value deletes */
extern FbStatus rwset_builder_add_write(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key,
										FbBytes value, FbError *error);
extern FbStatus rwset_builder_add_delete(RwSetBuilder *builder, FbBytes namespace_name, FbBytes key,
										 FbError *error);
/*
 * the whole metadata of a key, the last call wins; no entries delete them. Entries in any
 * order, names distinct
 */
extern FbStatus rwset_builder_add_metadata_write(RwSetBuilder *builder, FbBytes namespace_name,
												 FbBytes key, const RwSetMetadataEntry *entries,
												 size_t entries_count, FbError *error);

/*
 * a range query. open() at its start, in the order in which the chaincode opened its
 * iterators; add_result() for each result that the iterator took from the state (with what the
 * peer fetches ahead, not only those that the chaincode saw); exhaust() when the state had no
 * further result. start_key as passed to the ledger, i.e. after "" -> "\x01".
 */
typedef struct RwSetRangeBuilder RwSetRangeBuilder;

extern FbStatus rwset_builder_open_range(RwSetBuilder *builder, FbBytes namespace_name,
										 FbBytes start_key, FbBytes end_key,
										 RwSetRangeBuilder **range, FbError *error);
extern FbStatus rwset_range_add_result(RwSetRangeBuilder *range, FbBytes key, RwSetVersion version,
									   FbError *error);
extern void rwset_range_exhaust(RwSetRangeBuilder *range);

/* keys and values in clear; the builder hashes them */
extern FbStatus rwset_builder_add_hashed_read(RwSetBuilder *builder, FbBytes namespace_name,
											  FbBytes collection, FbBytes key, RwSetVersion version,
											  FbError *error);
extern FbStatus rwset_builder_add_private_write(RwSetBuilder *builder, FbBytes namespace_name,
												FbBytes collection, FbBytes key, FbBytes value,
												FbError *error);

/*
 * true once anything was written: afterwards paginated and private queries are refused
 */
extern bool rwset_builder_has_writes(const RwSetBuilder *builder);

/* ---- result.c ---- */

typedef struct RwSetResult
{
	FbBytes public_bytes;  /* TxReadWriteSet: ChaincodeAction.results */
	FbBytes private_bytes; /* TxPvtReadWriteSet; empty if nothing private was written */
	RwSetPrivateCollection *collections; /* the parts of private_bytes, in its order */
	size_t collections_count;
} RwSetResult;

/* may be called once; the builder cannot be used afterwards */
extern FbStatus rwset_builder_finish(RwSetBuilder *builder, RwSetResult *result, FbError *error);

/* ---- MVCC (mvcc.c, mvcc_keys.c; core/ledger/kvledger/txmgmt/validation) ---- */

typedef struct MvccTransaction
{
	const RwSet *rwset; /* NULL: reads and writes nothing (a set that the caller could not parse has
						   code 255 already) */
	uint8_t code; /* in: 0 = valid so far, else the transaction is skipped. out: the final code */
	bool post_order; /* not an endorser transaction (config): its writes are no history */
} MvccTransaction;

/* a key that some transaction of the block reads or writes */
typedef struct MvccKey
{
	FbBytes namespace_name;
	FbBytes collection; /* empty: public */
	bool hashed;		/* of a collection: key is a hash */
	FbBytes key;
	FbBytes state_namespace; /* where the state has it: namespace, or ns$$hCOLL */
	bool storable; /* false: represents all keys whose names or key are too long for the state, and
					  has no name itself */
	bool read;	   /* some transaction reads it */
	bool written;  /* value or metadata: the committed metadata are needed */
	bool value_needed; /* a metadata write without a value: the committed value is needed */

	/* filled in by the caller before mvcc_validate; as they are for a key that does not exist */
	RwSetVersion committed;		/* of every key */
	FbBytes committed_value;	/* only if value_needed */
	FbBytes committed_metadata; /* only if written; also for the checks of key-level policies */
} MvccKey;

typedef struct MvccBlock
{
	MvccKey *keys; /* distinct; one that is not storable first, then by namespace, collection
					  (public first), key */
	size_t keys_count;
	bool has_ranges;	   /* a RangeSource is needed */
	struct MvccPlan *plan; /* private */
} MvccBlock;

/*
 * Collect the keys of a block. transactions must stay as they are until mvcc_validate, except for
 * their codes. FB_OUT_OF_MEMORY, FB_LIMIT_EXCEEDED.
 */
extern FbStatus mvcc_prepare(FbAllocator *allocator, MvccTransaction *transactions,
							 size_t transactions_count, MvccBlock **block, FbError *error);
/* NULL if the block does not touch it */
extern MvccKey *mvcc_find_key(const MvccBlock *block, FbBytes namespace_name, FbBytes collection,
							  FbBytes key);

/*
 * The committed state's side of a range query, as it was before the block. One query is open at a
 * time. next() gives the keys of [start, end) in byte order (an empty end: up to the end of the
 * namespace); the key must stay valid until the next call. found = false: no more.
 */
typedef struct RangeSource
{
	FbStatus (*open)(struct RangeSource *self, FbBytes namespace_name, FbBytes start_key,
					 FbBytes end_key, FbError *error);
	FbStatus (*next)(struct RangeSource *self, FbBytes *key, RwSetVersion *version, bool *found,
					 FbError *error);
	void (*close)(struct RangeSource *self); /* called once for each successful open() */
} RangeSource;

/* why a transaction got code 11, 12 or 24 */
typedef struct MvccConflict
{
	uint32_t tx_index;
	uint8_t code;
	FbBytes namespace_name;
	FbBytes collection; /* empty: public */
	FbBytes key; /* of a phantom: the first key that differs; empty if only the summary tells */
	const RwSetRange *range; /* of a phantom: the query; else NULL */
	RwSetVersion version_read;
	RwSetVersion version_found;
	int64_t writer_tx_index; /* the earlier transaction of this block which wrote the key, or -1 */
} MvccConflict;

/* the net effect of a block on one key */
typedef struct StateUpdate
{
	FbBytes namespace_name;
	FbBytes collection; /* empty: public */
	bool hashed;		/* of a collection: key and value are hashes */
	FbBytes state_namespace;
	FbBytes key;
	bool is_delete; /* remove the row with its metadata */
	bool is_purge;	/* transaction purge_tx_index purged the key, whatever was written
					   afterwards */
	uint32_t purge_tx_index;
	FbBytes value;	  /* complete, also when only the metadata were written */
	FbBytes metadata; /* complete as well, as stored; may be empty */
	RwSetVersion version;
	uint32_t tx_index; /* of the last valid transaction that wrote it */
} StateUpdate;

/*
 * one write of a public key by a valid endorser transaction, in the order of block and
 * read-write set
 */
typedef struct HistoryEntry
{
	FbBytes namespace_name;
	FbBytes key;
	uint32_t tx_index;
	bool is_delete;
	FbBytes value;
} HistoryEntry;

typedef struct MvccResult
{
	StateUpdate *updates; /* sorted by namespace, collection (public first), key */
	size_t updates_count;
	HistoryEntry *history;
	size_t history_count;
	uint64_t range_rows; /* keys of the state and of the block that range queries looked at, and one
							for each query's end */
	MvccConflict *conflicts; /* one for each transaction that was invalidated here, in order */
	size_t conflicts_count;
} MvccResult;

/*
 * Validate in block order and set the codes (11, 12; 24 for a key that the state cannot hold).
 * ranges may be NULL if !block->has_ranges. Fails only for FB_OUT_OF_MEMORY and what ranges
 * returns; then nothing of the result may be used.
 */
extern FbStatus mvcc_validate(FbAllocator *allocator, MvccBlock *block, uint64_t block_number,
							  RangeSource *ranges, MvccResult *result, FbError *error);

/* ---- updates (commit_hash.c; docs/wire-format.md, "Commit hash") ---- */

/* Height bytes: ordvar(block) || ordvar(tx); out has 18 bytes, returns the number used */
#define RWSET_VERSION_BYTES_MAX 18
extern size_t rwset_version_bytes(RwSetVersion version, uint8_t *out);

/*
 * H(uvarint(len(filter)) || filter || pb(Updates) || previous). filter: one byte per transaction.
 * updates: namespace "" is left out. previous: the 32 bytes of the block before, empty for block 1.
 * Block 0 has none.
 */
extern void update_commit_hash(FbBytes filter, const StateUpdate *updates, size_t updates_count,
							   FbBytes previous, uint8_t hash[CRYPTO_SHA256_BYTES]);

/*
 * A digest of the whole world state for comparing nodes (unlike the commit hash it covers key
 * metadata). SHA-256 over, for each row in the byte order of (state namespace, key): 8-byte
 * big-endian length and bytes of state namespace, key, value and metadata, then block number and
 * transaction index as 8 bytes each. The caller ensures the order.
 */
typedef struct StateDigest
{
	CryptoSha256 hash;
} StateDigest;

extern void state_digest_start(StateDigest *digest);
extern void state_digest_add(StateDigest *digest, FbBytes state_namespace, FbBytes key,
							 FbBytes value, FbBytes metadata, RwSetVersion version);
extern void state_digest_finish(StateDigest *digest, uint8_t out[CRYPTO_SHA256_BYTES]);

#endif
