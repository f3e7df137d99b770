/*
 * block: the chain of blocks.
 *
 * - header.c: header bytes and hashes, data hash, the links of the chain (BlockHeader)
 * - block_view.c: a received block as views into its bytes (BlockView)
 * - metadata.c: the five metadata slots (BlockSignatures)
 * - build.c: make the next block from a batch of envelopes
 * - cutter.c: where one batch ends and the next begins (Cutter)
 * - link.c: the chain in the log of a consenter (BlockLink)
 *
 * All functions are pure functions of bytes. None signs or verifies signatures; this header
 * documents which bytes are signed. Fabric's byte format: docs/wire-format.md.
 */
#ifndef FABRIC_CORE_BLOCK_H
#define FABRIC_CORE_BLOCK_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"
#include "core/proto/proto.h"

/* ---- header.c ---- */

/*
 * previous_hash: 32 bytes, empty in block 0. data_hash: 32 bytes. In a received header they may
 * have any length.
 */
typedef struct BlockHeader
{
	uint64_t number;
	FbBytes previous_hash;
	FbBytes data_hash;
} BlockHeader;

/*
 * The bytes of a header that are hashed and signed: DER SEQUENCE {INTEGER number, OCTET STRING
 * previous_hash, OCTET STRING data_hash} (docs/wire-format.md, "Block header";
 * protoutil/blockutils.go, BlockHeaderBytes). Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus block_header_bytes(const BlockHeader *header, FbAllocator *allocator,
								   FbBytes *bytes, FbError *error);

/* SHA-256 of block_header_bytes; allocates nothing */
extern void block_header_hash(const BlockHeader *header, uint8_t hash[CRYPTO_SHA256_BYTES]);

/*
 * SHA-256 of the concatenated transactions (docs/wire-format.md, "Block data";
 * protoutil/blockutils.go, ComputeBlockDataHash). It does not cover the boundaries between
 * transactions: a received block must also pass block_check_well_formed.
 */
extern void block_data_hash(const FbBytes *data, size_t data_count,
							uint8_t hash[CRYPTO_SHA256_BYTES]);

/*
 * Does a block with this header follow the block with number previous_number and header hash
 * previous_hash? Errors: FB_BLOCK_REFUSED (another number or previous hash; data_hash does not have
 * 32 bytes).
 */
extern FbStatus block_check_link(const BlockHeader *header, uint64_t previous_number,
								 FbBytes previous_hash, FbError *error);

/*
 * Check that every transaction is an envelope with payload and signature in canonical encoding, so
 * that a data hash identifies only one list of transactions. A configuration block is exempt, as in
 * Fabric: it has one transaction and cannot have more (docs/wire-format.md, "Block data";
 * protoutil/blockutils.go, VerifyTransactionsAreWellFormed). Errors: FB_BLOCK_REFUSED (also when
 * there is no transaction).
 */
extern FbStatus block_check_well_formed(const FbBytes *data, size_t data_count, FbError *error);

/* ---- block_view.c, header.c: a block that was received ---- */

/* Not a copy: every FbBytes points into the bytes that were parsed, which must live as long. */
typedef struct BlockView
{
	BlockHeader header;
	const FbBytes *data; /* the transactions: envelopes as received; the array is allocated with the
							allocator */
	size_t data_count;
	FbBytes metadata[FB_BLOCK_METADATA_COUNT]; /* by common.BlockMetadataIndex; slots that the block
												  does not have are empty */
	size_t metadata_count;					   /* number of slots that the block has */
} BlockView;

/*
 * bytes: pb(common.Block), untrusted. Errors: FB_MALFORMED_MESSAGE (also: no header, more than 5
 * metadata slots), FB_LIMIT_EXCEEDED (of the decoder; more than FB_BLOCK_TRANSACTIONS_MAX
 * transactions), FB_OUT_OF_MEMORY. Only the frame of the block is checked: see block_check_data and
 * block_check_link.
 */
extern FbStatus block_parse(FbBytes bytes, FbAllocator *allocator, BlockView *view, FbError *error);

/* bytes: pb(common.BlockData), as in a Raft log entry. Errors: those of block_parse. */
extern FbStatus block_parse_data(FbBytes bytes, FbAllocator *allocator, const FbBytes **data,
								 size_t *data_count, FbError *error);

/*
 * Check block_check_well_formed, and that the header's data hash is that of the transactions.
 * Errors: FB_BLOCK_REFUSED.
 */
extern FbStatus block_check_data(const BlockView *view, FbError *error);

/*
 * A block that has passed block_check_data. Made by block_check, and by block_make (build.c), so
 * that functions that take one neither walk its envelopes nor hash them again. The link to the
 * previous block, metadata and signatures are not checked.
 */
typedef struct CheckedBlock
{
	BlockView view;
} CheckedBlock;

/* Errors: those of block_check_data. */
extern FbStatus block_check(const BlockView *view, CheckedBlock *block, FbError *error);

/* Get the two parts of an envelope. Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED. */
extern FbStatus block_parse_envelope(FbBytes envelope, FbBytes *payload, FbBytes *signature,
									 FbError *error);

/*
 * Does the envelope have the bytes that an encoder writes for this payload and signature, which are
 * not empty and point into it?
 */
extern bool block_is_canonical_envelope(FbBytes envelope, FbBytes payload, FbBytes signature);

/*
 * Is this envelope a configuration transaction (channel header type CONFIG)? False when a part that
 * contains the header is malformed.
 */
extern bool block_is_config_envelope(FbBytes envelope);

/*
 * Is this the data of a configuration block: a single transaction, which is a configuration?
 * (protoutil.HasConfigTx)
 */
extern bool block_has_config(const FbBytes *data, size_t data_count);

/*
 * Is it a configuration block (block_has_config) whose configuration is in force after it? It is
 * not when slot 2 has another code than VALID for the transaction: no orderer that follows the
 * rules made such a block, and later blocks continue from the configuration before. A block that
 * is not validated yet has no code: true.
 */
extern bool block_is_configuration(const BlockView *view);

/* ---- metadata.c ---- */

/*
 * The slots: 0 SIGNATURES, 1 LAST_CONFIG, 2 TRANSACTIONS_FILTER, 3 ORDERER (unused), 4 COMMIT_HASH
 * (docs/wire-format.md, "Block metadata").
 */

/*
 * The value that orderers sign: pb(OrdererBlockMetadata{last_config {index}, consenter_metadata}).
 * consenter_metadata: from block_raft_metadata; empty in the genesis block. Errors:
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus block_signature_value(uint64_t last_config_number, FbBytes consenter_metadata,
									  FbAllocator *allocator, FbBytes *value, FbError *error);

/*
 * Consenter metadata of a Raft channel: pb(Metadata{value: pb(etcdraft.BlockMetadata)}), with the
 * additional Metadata around it that Fabric writes. consenter_ids: in the order of the consenters
 * in the configuration. raft_index: of the entry that became this block.
 */
extern FbStatus block_raft_metadata(const uint64_t *consenter_ids, size_t consenter_ids_count,
									uint64_t next_consenter_id, uint64_t raft_index,
									FbAllocator *allocator, FbBytes *consenter_metadata,
									FbError *error);

/*
 * The reverse. The arrays of metadata are allocated with the allocator. Errors:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus block_raft_metadata_parse(FbBytes consenter_metadata, FbAllocator *allocator,
										  Etcdraft__BlockMetadata **metadata, FbError *error);

/*
 * The Raft index that the signer of the block states in slot 0. 0: there is none, or the slot
 * cannot be read.
 */
extern uint64_t block_raft_index(FbBytes signatures_slot, FbAllocator *allocator);

/*
 * The signature of one orderer. Either signature_header (pb(SignatureHeader)) or identifier_header
 * is empty.
 */
typedef struct BlockSignature
{
	FbBytes signature_header;
	FbBytes signature;		   /* DER, over block_signed_parts */
	FbBytes identifier_header; /* pb(IdentifierHeader): BFT */
} BlockSignature;

/* the parts of slot 0 */
typedef struct BlockSignatures
{
	FbBytes value; /* as received; it is part of the signed bytes */
	uint64_t last_config_number;
	FbBytes consenter_metadata;
	BlockSignature *signatures;
	size_t signatures_count;
} BlockSignatures;

/*
 * slot: the bytes of slot 0, untrusted. An empty slot, or a slot with an empty value, gives
 * last_config_number 0. Results point into slot or are allocated with the allocator. Errors:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (also more than FB_POLICY_SIGNATURES_MAX signatures),
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus block_signatures_parse(FbBytes slot, FbAllocator *allocator,
									   BlockSignatures *signatures, FbError *error);

/* The bytes of slot 0. There may be no signatures (genesis block). Errors: FB_OUT_OF_MEMORY. */
extern FbStatus block_signatures_pack(FbBytes value, const BlockSignature *signatures,
									  size_t signatures_count, FbAllocator *allocator,
									  FbBytes *slot, FbError *error);

/*
 * The bytes that a signature covers: value, then its signature_header (or, if that is empty,
 * identifier_header), then header_bytes = block_header_bytes(header)
 * (protoutil.BlockSignatureVerifier).
 */
extern void block_signed_parts(FbBytes value, const BlockSignature *signature, FbBytes header_bytes,
							   FbBytes parts[3]);

/*
 * The number of the channel's last configuration block: from slot 0, or from slot 1 when slot 0 has
 * no value (protoutil.GetLastConfigIndexFromBlock). Errors: FB_MALFORMED_MESSAGE,
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus block_last_config(const BlockView *view, FbAllocator *allocator, uint64_t *number,
								  FbError *error);

/*
 * The bytes of slot 1: pb(Metadata{value: pb(LastConfig{index})}); empty for block 0. Errors:
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus block_last_config_pack(uint64_t last_config_number, FbAllocator *allocator,
									   FbBytes *slot, FbError *error);

/*
 * The bytes of slot 4: pb(Metadata{value: hash}), and the reverse; an empty slot gives an empty
 * hash.
 */
extern FbStatus block_commit_hash_pack(FbBytes hash, FbAllocator *allocator, FbBytes *slot,
									   FbError *error);
extern FbStatus block_commit_hash_parse(FbBytes slot, FbAllocator *allocator, FbBytes *hash,
										FbError *error);

/* slot 2, one byte per transaction: its protos.TxValidationCode */

/* set all codes to NOT_VALIDATED (254), before a validation */
extern void txflags_start(uint8_t *filter, size_t count);

/* ---- build.c ---- */

/*
 * pb(common.Block) of these parts. metadata: FB_BLOCK_METADATA_COUNT slots; empty slots are written
 * too, as Fabric does. Errors: FB_OUT_OF_MEMORY, FB_LIMIT_EXCEEDED.
 */
extern FbStatus block_pack(const BlockHeader *header, const FbBytes *data, size_t data_count,
						   const FbBytes *metadata, FbAllocator *allocator, FbBytes *bytes,
						   FbError *error);

/* pb(common.BlockData): the payload of a Raft log entry; read it with block_parse_data */
extern FbStatus block_pack_data(const FbBytes *data, size_t data_count, FbAllocator *allocator,
								FbBytes *bytes, FbError *error);

/* memory for the two hashes of a new header; must live as long as the header */
typedef struct BlockHashes
{
	uint8_t previous_hash[CRYPTO_SHA256_BYTES];
	uint8_t data_hash[CRYPTO_SHA256_BYTES];
} BlockHashes;

/*
 * Transactions from which a block can be made: at least one and not too many, each well formed
 * (block_check_well_formed). Made by block_batch_parse, or from envelopes that were admitted.
 */
typedef struct BlockBatch
{
	const FbBytes *data;
	size_t data_count; /* 0: no batch */
} BlockBatch;

/*
 * Make the block that follows previous (blockwriter.CreateNextBlock); its metadata slots are empty.
 * It points into batch and hashes.
 */
extern void block_make(const BlockHeader *previous, const BlockBatch *batch, BlockHashes *hashes,
					   CheckedBlock *block);

/*
 * Make the genesis block of a configuration envelope: number 0, no previous hash, unsigned
 * (common/genesis/genesis.go).
 */
extern FbStatus block_pack_genesis(FbBytes envelope, FbAllocator *allocator, FbBytes *bytes,
								   FbError *error);

/* ---- cutter.c: which messages form a batch (orderer/common/blockcutter) ---- */

/*
 * The cutter counts; it holds no messages. Its host keeps the pending messages in a queue. For each
 * new message the host calls the cutter, appends the message to the queue, and then takes the
 * batches of the decision from the front of the queue. The remaining messages are pending.
 */
typedef struct CutterLimits
{
	uint32_t message_count_max;	  /* BatchSize.max_message_count */
	uint32_t preferred_bytes_max; /* BatchSize.preferred_max_bytes */
} CutterLimits;

typedef enum CutterTimer
{
	CUTTER_TIMER_KEEP,	/* do not change it */
	CUTTER_TIMER_START, /* start it now, for BatchTimeout; when it fires, call cutter_cut_now */
	CUTTER_TIMER_STOP
} CutterTimer;

typedef struct CutterDecision
{
	unsigned batches_count;		/* 0, 1 or 2 */
	uint32_t batch_messages[2]; /* number of messages from the front of the queue that form each
								   batch; > 0 */
	CutterTimer timer;
} CutterDecision;

typedef struct Cutter
{
	uint32_t pending_count;
	uint64_t pending_bytes;
	bool timer_running;
} Cutter;

/*
 * Nothing is pending and the timer is stopped: at the start, and when a leader steps down (then the
 * host also empties its queue).
 */
extern void cutter_reset(Cutter *cutter);

/*
 * The size of a message for the cutter: payload and signature, without their framing. Errors:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (of the decoder).
 */
extern FbStatus cutter_message_bytes(FbBytes envelope, uint64_t *message_bytes, FbError *error);

/*
 * Add a new message. A configuration message is a batch of its own, after the pending messages.
 * Otherwise Fabric's rules, in this order: if the message is larger than preferred_bytes_max, cut
 * the pending messages, and the message is a batch of its own; if it would exceed
 * preferred_bytes_max, cut the pending messages first; if message_count_max is reached, cut. The
 * timer starts with the first pending message and, as in Fabric, does not restart when
 * preferred_bytes_max is exceeded. Limits are passed each time because a configuration block may
 * have changed them.
 */
extern void cutter_add(Cutter *cutter, const CutterLimits *limits, uint64_t message_bytes,
					   bool is_config, CutterDecision *decision);

/*
 * Cut the pending messages: the timer fired, or the host has nothing else to do than make a block
 * of them. No batch when nothing is pending.
 */
extern void cutter_cut_now(Cutter *cutter, CutterDecision *decision);

/* ---- link.c: the number and previous hash with which a batch in a Raft log begins ---- */

/* the end of a chain: the last block's number and the hash of its header */
typedef struct BlockHead
{
	uint64_t number;
	uint8_t hash[CRYPTO_SHA256_BYTES];
} BlockHead;

/* u64 number, big-endian, and the hash */
#define BLOCK_HEAD_BYTES (8 + CRYPTO_SHA256_BYTES)

extern void block_head_of(const BlockHeader *header, BlockHead *head);
extern void block_head_encode(const BlockHead *head, uint8_t out[BLOCK_HEAD_BYTES]);
/* FB_MALFORMED_MESSAGE */
extern FbStatus block_head_decode(FbBytes bytes, BlockHead *head, FbError *error);

/* A batch as stored in a log. Points into the payload. */
typedef struct BlockLink
{
	uint64_t number;	   /* of the block that is made from the batch; not 0 */
	FbBytes previous_hash; /* of the previous block; 32 bytes */
	FbBytes batch;		   /* pb(common.BlockData) */
} BlockLink;

/* The payload of the batch that follows head. Errors: FB_OUT_OF_MEMORY. */
extern FbStatus block_link_pack(const BlockHead *head, FbBytes batch, FbAllocator *allocator,
								FbBytes *payload, FbError *error);
/* payload: untrusted bytes. Only the link is checked. Errors: FB_MALFORMED_MESSAGE. */
extern FbStatus block_link_parse(FbBytes payload, BlockLink *link, FbError *error);
/* Does the batch follow this head? FB_CHAINS_DIFFER, with both in the detail. */
extern FbStatus block_link_check(const BlockLink *link, const BlockHead *head, FbError *error);
/*
 * Can a block be made from this batch? FB_OK with its transactions, or the reason why not:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_BLOCK_REFUSED (block_check_well_formed);
 * FB_OUT_OF_MEMORY. A pure function of the bytes, so the result is the same on all nodes.
 */
extern FbStatus block_batch_parse(FbBytes bytes, FbAllocator *allocator, BlockBatch *batch,
								  FbError *error);
/*
 * Set *head to the block of this batch, and *batch to its transactions. If no block can be made
 * from it, *head does not change and *batch is empty. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus block_link_follow(const BlockLink *link, FbAllocator *allocator, BlockBatch *batch,
								  BlockHead *head, FbError *error);
#endif
