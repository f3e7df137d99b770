/*
 * rwset_internal: shared by the files of this directory.
 */
#ifndef FABRIC_CORE_RWSET_INTERNAL_H
#define FABRIC_CORE_RWSET_INTERNAL_H

#include "core/proto/proto.h"
#include "core/rwset/rwset.h"

/* validation codes that this directory gives (the whole list is in core/txn) */
#define MVCC_VALID PROTOS__TX_VALIDATION_CODE__VALID
#define MVCC_READ_CONFLICT PROTOS__TX_VALIDATION_CODE__MVCC_READ_CONFLICT
#define MVCC_PHANTOM_CONFLICT PROTOS__TX_VALIDATION_CODE__PHANTOM_READ_CONFLICT
#define MVCC_INVALID_WRITESET PROTOS__TX_VALIDATION_CODE__INVALID_WRITESET

/* space for count elements in *array; count 0 is a valid empty array */
#define NEW_ARRAY(array, count, allocator, error)                            \
	do                                                                       \
	{                                                                        \
		(array) = fb_allocate_array((allocator), (count), sizeof(*(array))); \
		if ((array) == NULL)                                                 \
			return fb_out_of_memory(error);                                  \
	} while (0)

/* ---- rwset_pack.c ---- */

/* pb(KVRWSet) of a private collection; public ones are packed inside rwset_pack */
extern FbStatus codec_pack_private(FbAllocator *allocator, const RwSetPrivate *set, FbBytes *bytes,
								   FbError *error);
/* pb(TxPvtReadWriteSet); the collections are grouped by namespace already */
extern FbStatus codec_pack_private_collections(FbAllocator *allocator,
											   const RwSetPrivateCollection *collections,
											   size_t collections_count, FbBytes *bytes,
											   FbError *error);
/* ---- merkle.c: the tree over the results of a range query ---- */

/* core/ledger/kvledger/txmgmt/rwsetutil/query_results_helper.go */

/* each level above the first holds one hash for more than two hashes below it: 3^41 > 2^64 */
#define MERKLE_LEVELS_MAX 48

typedef struct MerkleHash
{
	uint8_t bytes[CRYPTO_SHA256_BYTES];
} MerkleHash;

typedef struct MerkleLevel
{
	MerkleHash *hashes; /* space for max_degree + 1, allocated in steps */
	uint32_t count;
	uint32_t capacity;
} MerkleLevel;

typedef struct MerkleTree
{
	FbAllocator *allocator;
	uint32_t max_degree;
	/* results that are not hashed yet; the bytes of their keys are in pending_keys */
	RwSetRead *pending;
	uint32_t pending_count;
	uint32_t pending_capacity;
	FbBuffer pending_keys;
	uint32_t max_level;						   /* 1 at the start */
	MerkleLevel levels[MERKLE_LEVELS_MAX + 1]; /* [0] is not used */

	/* used again for each leaf: a range may have many results, and a block many ranges */
	uint32_t messages_capacity;
	Kvrwset__KVRead *messages;
	Kvrwset__KVRead **pointers;
	Kvrwset__Version *versions;
	uint8_t *packed;
	size_t packed_capacity;
} MerkleTree;

extern void merkle_init(MerkleTree *tree, FbAllocator *allocator);
/* start with an empty tree, keeping its memory; max_degree >= 2 */
extern void merkle_start(MerkleTree *tree, uint32_t max_degree);
extern FbStatus merkle_add(MerkleTree *tree, FbBytes key, RwSetVersion version, FbError *error);
/*
 * Up to max_degree results: the results themselves; more: the summary; none: RWSET_RANGE_NONE.
 * Fills kind, reads, merkle, which point into the tree and hold until it is started again.
 */
extern FbStatus merkle_finish(MerkleTree *tree, RwSetRange *range, FbError *error);

/* ---- mvcc.c ---- */

/* what the valid transactions so far made of one key; parallel to MvccBlock.keys */
typedef struct MvccState
{
	bool updated;
	bool deleted;
	bool purged;
	uint32_t tx_index; /* of the last writer */
	uint32_t purge_tx_index;
	FbBytes value;
	FbBytes metadata;

	/*
	 * what the transaction that is being applied does to it; valid if pending_stamp is that
	 * transaction's
	 */
	size_t pending_stamp;
	uint8_t pending_sum;  /* of KeyOperation, see mvcc.c */
	FbBytes new_value;	  /* of the last write that does not delete */
	FbBytes new_metadata; /* of the last metadata write that has entries */
	size_t history_stamp; /* pending_stamp of the transaction that history has an entry of */
} MvccState;

/*
 * A set of keys of the block: a bit for each key, and a bit for each word of these, so that a range
 * query skips the keys that the block only mentions: a transaction may have ten thousand queries
 * over a hundred thousand of them.
 */
typedef struct KeySet
{
	uint64_t *words;
	uint64_t *summary;
	size_t words_count;
} KeySet;

/*
 * A stretch of the state that queries of one transaction have found to be deleted by the block:
 * from the keys that belong to it (MvccPlan.runs_of_keys) up to `until` there is no row that is
 * still there. A later query that reaches one of these keys continues after it: ten thousand
 * queries over a hundred thousand deleted keys read these once.
 */
typedef struct DeletedRun
{
	FbBytes until;
	bool unbounded; /* up to the end of the namespace */
	size_t rows_count;
} DeletedRun;

typedef struct MvccPlan
{
	MvccTransaction *transactions;
	size_t transactions_count;
	uint32_t *slots; /* key of each reference, in the order of mvcc_visit */
	size_t slots_count;
	size_t *first_slots;  /* of each transaction: its reads */
	size_t *first_writes; /* of each transaction: its writes, which follow the reads */
	MvccState *states;
	KeySet present;			/* changed by the block so far, and not deleted */
	KeySet deleted;			/* deleted by the block so far, and in the state */
	uint32_t *runs_of_keys; /* number of the DeletedRun, from 1; above runs_base: of the transaction
							   at hand. NULL: not needed yet */
	DeletedRun *runs;
	size_t runs_count;
	size_t runs_capacity;
	size_t runs_base;
	uint64_t range_rows; /* see MvccResult */
	uint64_t block_number;
} MvccPlan;

static inline RwSetVersion
mvcc_version(uint64_t block_number, uint32_t tx_index)
{
	return (RwSetVersion) {true, block_number, tx_index};
}

/* ---- mvcc_keys.c ---- */

/* can a namespace of this name be in the state? Others are read as empty */
extern bool mvcc_namespace_is_storable(FbBytes namespace_name);

/*
 * Can this key be in the state? One that is longer than the limits, or has a name with U+0000, can
 * be read and is absent. collection: NULL: public
 */
extern bool mvcc_is_storable(FbBytes namespace_name, const FbBytes *collection, FbBytes key);
/* order of (namespace, collection); public ones first */
extern int mvcc_compare_spaces(FbBytes namespace_a, const FbBytes *collection_a,
							   FbBytes namespace_b, const FbBytes *collection_b);

/* the first key that is not before (namespace, public, key) */
extern size_t mvcc_lower_bound(const MvccBlock *block, FbBytes namespace_name, FbBytes key);

/* ---- range.c ---- */

extern FbStatus key_set_init(KeySet *set, FbAllocator *allocator, size_t keys_count,
							 FbError *error);
extern void key_set_clear(KeySet *set);
extern void key_set_put(KeySet *set, size_t slot, bool is_member);
/* the first one from this slot on; SIZE_MAX: there is none */
extern size_t key_set_next(const KeySet *set, size_t slot);

/*
 * For each range query of a namespace, whether an earlier one of it is the same in all: what was
 * found for that one holds for this one, since both ask for the same state. Errors:
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus range_find_repeated(FbAllocator *allocator, const RwSetNamespace *ns,
									bool **repeated, FbError *error);

/*
 * run a recorded query again on the committed state and the block's earlier valid writes.
 * end_slot: index of the end key in block->keys (only used if !range->exhausted). *conflict: it
 * differs; then key, version_read, version_found and writer_tx_index of *found are filled in, the
 * key as a copy.
 */
extern FbStatus range_validate(FbAllocator *allocator, const MvccBlock *block,
							   FbBytes namespace_name, const RwSetRange *range, uint32_t end_slot,
							   RangeSource *source, MerkleTree *tree, bool *conflict,
							   MvccConflict *found, FbError *error);

/* ---- builder.c: writes of private data that chaincode here cannot make ---- */

/* Blocks of a Fabric network contain them. Only tests make such read-write sets. */

extern FbStatus rwset_builder_add_private_delete(RwSetBuilder *builder, FbBytes namespace_name,
												 FbBytes collection, FbBytes key, FbError *error);
extern FbStatus rwset_builder_add_private_purge(RwSetBuilder *builder, FbBytes namespace_name,
												FbBytes collection, FbBytes key, FbError *error);
extern FbStatus rwset_builder_add_private_metadata_write(RwSetBuilder *builder,
														 FbBytes namespace_name, FbBytes collection,
														 FbBytes key,
														 const RwSetMetadataEntry *entries,
														 size_t entries_count, FbError *error);

#endif
