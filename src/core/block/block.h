/*
 * block: the chain of blocks.
 *
 * - header.c: header bytes and hashes, data hash, the links of the chain (BlockHeader)
 * - block_view.c: a received block as views into its bytes (BlockView)
 * - metadata.c: the five metadata slots (BlockSignatures)
 * - txflags.c: the validation codes of a block's transactions
 * - build.c: a batch of envelopes becomes the next block
 * - cutter.c: where one batch ends and the next begins (Cutter)
 * - link.c: the chain in the log of a consenter (BlockLink)
 *
 * Everything here is a pure function of bytes. Nothing here signs or verifies signatures; the
 * header says which bytes are signed. Fabric's byte format: docs/wire-format.md.
 */
#ifndef FABRIC_CORE_BLOCK_H
#define FABRIC_CORE_BLOCK_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"
#include "core/proto/proto.h"

/* ---- header.c ---- */

/*
 * previous_hash: 32 bytes, empty in block 0. data_hash: 32 bytes. From outside they may have any
 * length
 */
typedef struct BlockHeader
{
	uint64_t number;
	FbBytes previous_hash;
	FbBytes data_hash;
} BlockHeader;

/*
 * What is hashed and signed of a header: DER SEQUENCE {INTEGER number, OCTET STRING previous_hash,
 * OCTET STRING data_hash} (docs/wire-format.md, "Block header"; protoutil/blockutils.go,
 * BlockHeaderBytes). Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus block_header_bytes(const BlockHeader *header, FbAllocator *allocator,
								   FbBytes *bytes, FbError *error);

/* SHA-256 of block_header_bytes; allocates nothing */
extern void block_header_hash(const BlockHeader *header, uint8_t hash[CRYPTO_SHA256_BYTES]);

/*
 * SHA-256 of the concatenated transactions (docs/wire-format.md, "Block data";
 * protoutil/blockutils.go, ComputeBlockDataHash). Boundaries are not covered: a received block must
 * also pass block_check_well_formed.
 */
extern void block_data_hash(const FbBytes *data, size_t data_count,
							uint8_t hash[CRYPTO_SHA256_BYTES]);

/*
 * Does a block with this header follow the block with number previous_number and header hash
 * previous_hash? Errors: FB_BLOCK_REFUSED (another number or previous hash; data_hash has not 32
 * bytes).
 */
extern FbStatus block_check_link(const BlockHeader *header, uint64_t previous_number,
								 FbBytes previous_hash, FbError *error);

/*
 * Every transaction is an envelope with payload and signature in canonical encoding, so that one
 * data hash stands for one list of transactions. A configuration block is exempt, as in Fabric: it
 * has one transaction and cannot have more. (docs/wire-format.md, "Block data";
 * protoutil/blockutils.go, VerifyTransactionsAreWellFormed.) Errors: FB_BLOCK_REFUSED (also when
 * there is no transaction).
 */
extern FbStatus block_check_well_formed(const FbBytes *data, size_t data_count, FbError *error);

/* ---- block_view.c: zero copy; every FbBytes points into the bytes that were passed in, which must
 * live as long ---- */

typedef struct BlockView
{
	BlockHeader header;
	const FbBytes
		*data; /* the transactions: envelopes as received; the array is in the allocator */
	size_t data_count;
	FbBytes metadata[FB_BLOCK_METADATA_COUNT]; /* by common.BlockMetadataIndex; slots that were not
												  sent are empty */
	size_t metadata_count;					   /* how many slots were sent */
} BlockView;

/*
 * bytes: pb(common.Block), untrusted. Errors: FB_MALFORMED_MESSAGE (also: no header, more than 5
 * metadata slots), FB_LIMIT_EXCEEDED (of the decoder; more than FB_BLOCK_TRANSACTIONS_MAX
 * transactions), FB_OUT_OF_MEMORY. It looks at the block's frame only: see block_check_data and
 * block_check_link.
 */
extern FbStatus block_parse(FbBytes bytes, FbAllocator *allocator, BlockView *view, FbError *error);

/* bytes: pb(common.BlockData), as in a Raft log entry. Errors as block_parse */
extern FbStatus block_parse_data(FbBytes bytes, FbAllocator *allocator, const FbBytes **data,
								 size_t *data_count, FbError *error);

/*
 * block_check_well_formed, and the header's data hash is that of the transactions. Errors:
 * FB_BLOCK_REFUSED
 */
extern FbStatus block_check_data(const BlockView *view, FbError *error);

/*
 * A block of which block_check_data is proved. Made by block_check, and by block_make (build.c), so
 * that whoever gets one neither walks its envelopes nor hashes them again. What the header says of
 * the block before, metadata and signatures are not proved.
 */
typedef struct CheckedBlock
{
	BlockView view;
} CheckedBlock;

/* Errors as block_check_data */
extern FbStatus block_check(const BlockView *view, CheckedBlock *block, FbError *error);

/* An envelope's two parts. Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED */
extern FbStatus block_parse_envelope(FbBytes envelope, FbBytes *payload, FbBytes *signature,
									 FbError *error);

/*
 * Are these the bytes that one would write for an envelope of this payload and signature, which are
 * not empty and point into them?
 */
extern bool block_is_canonical_envelope(FbBytes envelope, FbBytes payload, FbBytes signature);

/*
 * Is this envelope a configuration transaction (channel header type CONFIG)? False when anything on
 * the way to the header is malformed.
 */
extern bool block_is_config_envelope(FbBytes envelope);

/*
 * is this the data of a configuration block: one transaction, a configuration?
 * (protoutil.HasConfigTx)
 */
extern bool block_has_config(const FbBytes *data, size_t data_count);

/*
 * Is it a block with a new configuration? One that is called so but has another code than VALID in
 * slot 2 is not: no orderer that follows the rules made it, and later blocks continue from the
 * configuration before. True without codes.
 */
extern bool block_is_configuration(const BlockView *view);

/* ---- metadata.c: slots 0 SIGNATURES, 1 LAST_CONFIG, 2 TRANSACTIONS_FILTER, 3 ORDERER, 4
 * COMMIT_HASH (docs/wire-format.md, "Block metadata") ---- */

/*
 * The value that orderers sign: pb(OrdererBlockMetadata{last_config {index}, consenter_metadata}).
 * consenter_metadata: of block_raft_metadata; empty in the genesis block. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus block_signature_value(uint64_t last_config_number, FbBytes consenter_metadata,
									  FbAllocator *allocator, FbBytes *value, FbError *error);

/*
 * Consenter metadata of a Raft channel: pb(Metadata{value: pb(etcdraft.BlockMetadata)}), with the
 * extra Metadata around it that Fabric writes. consenter_ids: in the order of the consenters in the
 * configuration. raft_index: of the entry that became this block.
 */
extern FbStatus block_raft_metadata(const uint64_t *consenter_ids, size_t consenter_ids_count,
									uint64_t next_consenter_id, uint64_t raft_index,
									FbAllocator *allocator, FbBytes *consenter_metadata,
									FbError *error);

/*
 * The reverse. metadata's arrays live in the allocator. Errors: FB_MALFORMED_MESSAGE,
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY
 */
extern FbStatus block_raft_metadata_parse(FbBytes consenter_metadata, FbAllocator *allocator,
										  Etcdraft__BlockMetadata **metadata, FbError *error);

/*
 * The Raft index that the signer of the block states in slot 0. 0: none, or the slot cannot be
 * read
 */
extern uint64_t block_raft_index(FbBytes signatures_slot, FbAllocator *allocator);

/*
 * one orderer's signature: one of signature_header (pb(SignatureHeader)) and identifier_header is
 * empty
 */
typedef struct BlockSignature
{
	FbBytes signature_header;
	FbBytes signature;		   /* DER, over block_signed_parts */
	FbBytes identifier_header; /* pb(IdentifierHeader): BFT */
} BlockSignature;

/* slot 0, taken apart */
typedef struct BlockSignatures
{
	FbBytes value; /* as received: part of what is signed */
	uint64_t last_config_number;
	FbBytes consenter_metadata;
	BlockSignature *signatures;
	size_t signatures_count;
} BlockSignatures;

/*
 * slot: the bytes of slot 0, untrusted. An empty slot, or one with an empty value, gives
 * last_config_number 0. Results point into slot or live in the allocator. Errors:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (also more than FB_POLICY_SIGNATURES_MAX signatures),
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus block_signatures_parse(FbBytes slot, FbAllocator *allocator,
									   BlockSignatures *signatures, FbError *error);

/* the bytes of slot 0. signatures may be none (genesis block). Errors: FB_OUT_OF_MEMORY */
extern FbStatus block_signatures_pack(FbBytes value, const BlockSignature *signatures,
									  size_t signatures_count, FbAllocator *allocator,
									  FbBytes *slot, FbError *error);

/*
 * What a signature covers: value, then its signature_header (or, if that is empty,
 * identifier_header), then header_bytes = block_header_bytes(header).
 * (protoutil.BlockSignatureVerifier)
 */
extern void block_signed_parts(FbBytes value, const BlockSignature *signature, FbBytes header_bytes,
							   FbBytes parts[3]);

/*
 * The number of the channel's last configuration block: from slot 0, or from slot 1 when slot 0 has
 * no value. (protoutil.GetLastConfigIndexFromBlock) Errors: FB_MALFORMED_MESSAGE,
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus block_last_config(const BlockView *view, FbAllocator *allocator, uint64_t *number,
								  FbError *error);

/*
 * the bytes of slot 1: pb(Metadata{value: pb(LastConfig{index})}); empty for block 0. Errors:
 * FB_OUT_OF_MEMORY
 */
extern FbStatus block_last_config_pack(uint64_t last_config_number, FbAllocator *allocator,
									   FbBytes *slot, FbError *error);

/* the bytes of slot 4: pb(Metadata{value: hash}), and back; an empty slot gives an empty hash */
extern FbStatus block_commit_hash_pack(FbBytes hash, FbAllocator *allocator, FbBytes *slot,
									   FbError *error);
extern FbStatus block_commit_hash_parse(FbBytes slot, FbAllocator *allocator, FbBytes *hash,
										FbError *error);

/* ---- txflags.c: slot 2, one byte per transaction: its protos.TxValidationCode ---- */

/* every transaction NOT_VALIDATED (254): where validation begins */
extern void txflags_start(uint8_t *filter, size_t count);

/* how many transactions have this code */
extern size_t txflags_count(FbBytes filter, uint8_t code);

/* one code per transaction, and none NOT_VALIDATED. Errors: FB_BLOCK_REFUSED */
extern FbStatus txflags_check(FbBytes filter, size_t data_count, FbError *error);

/* ---- build.c ---- */

/*
 * pb(common.Block) of these parts. metadata: FB_BLOCK_METADATA_COUNT slots, empty ones are written
 * too, as Fabric does. Errors: FB_OUT_OF_MEMORY, FB_LIMIT_EXCEEDED.
 */
extern FbStatus block_pack(const BlockHeader *header, const FbBytes *data, size_t data_count,
						   const FbBytes *metadata, FbAllocator *allocator, FbBytes *bytes,
						   FbError *error);

/* pb(common.BlockData): the payload of a Raft log entry; read it with block_parse_data */
extern FbStatus block_pack_data(const FbBytes *data, size_t data_count, FbAllocator *allocator,
								FbBytes *bytes, FbError *error);

/* the two hashes of a new header; keep it as long as the header */
typedef struct BlockHashes
{
	uint8_t previous_hash[CRYPTO_SHA256_BYTES];
	uint8_t data_hash[CRYPTO_SHA256_BYTES];
} BlockHashes;

/*
 * Transactions of which a block can be made: at least one and not too many, each well formed
 * (block_check_well_formed). Made by block_batch_parse, or of envelopes that were admitted.
 */
typedef struct BlockBatch
{
	const FbBytes *data;
	size_t data_count; /* 0: no batch */
} BlockBatch;

/*
 * the block that follows previous (blockwriter.CreateNextBlock); its metadata slots are empty.
 * Points into batch and hashes
 */
extern void block_make(const BlockHeader *previous, const BlockBatch *batch, BlockHashes *hashes,
					   CheckedBlock *block);

/*
 * the genesis block of a configuration envelope: number 0, no previous hash, unsigned
 * (common/genesis/genesis.go)
 */
extern FbStatus block_pack_genesis(FbBytes envelope, FbAllocator *allocator, FbBytes *bytes,
								   FbError *error);

/* ---- cutter.c: which messages form a batch (orderer/common/blockcutter) ---- */

/*
 * The cutter counts; it holds no messages. Its host keeps the pending messages in a queue. For each
 * new message it asks the cutter, appends the message to the queue, and then takes from the front
 * of the queue the batches that the decision names. What is left in the queue is pending.
 */
typedef struct CutterLimits
{
	uint32_t message_count_max;	  /* BatchSize.max_message_count */
	uint32_t preferred_bytes_max; /* BatchSize.preferred_max_bytes */
} CutterLimits;

typedef enum CutterTimer
{
	CUTTER_TIMER_KEEP,	/* leave it as it is */
	CUTTER_TIMER_START, /* start it now, for BatchTimeout; when it fires, call cutter_cut_now */
	CUTTER_TIMER_STOP
} CutterTimer;

typedef struct CutterDecision
{
	unsigned batches_count; /* 0, 1 or 2 */
	uint32_t
		batch_messages[2]; /* how many messages from the front of the queue form each batch; > 0 */
	CutterTimer timer;
} CutterDecision;

typedef struct Cutter
{
	uint32_t pending_count;
	uint64_t pending_bytes;
	bool timer_running;
} Cutter;

/*
 * nothing pending, timer stopped: at the start, and when a leader steps down (then the host empties
 * its queue, too)
 */
extern void cutter_reset(Cutter *cutter);

/*
 * The size of a message for the cutter: payload and signature, without their framing.
 * Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (of the decoder).
 */
extern FbStatus cutter_message_bytes(FbBytes envelope, uint64_t *message_bytes, FbError *error);

/*
 * A new message. A configuration message goes into a batch of its own, after the pending ones.
 * Fabric's order of rules: larger than preferred_bytes_max: what is pending is cut, and the message
 * is a batch of its own; would overflow preferred_bytes_max: what is pending is cut first;
 * message_count_max is reached: cut. The timer starts with the first pending message and, as in
 * Fabric, is not restarted by an overflow. Limits are passed each time because a configuration
 * block may have changed them.
 */
extern void cutter_add(Cutter *cutter, const CutterLimits *limits, uint64_t message_bytes,
					   bool is_config, CutterDecision *decision);

/*
 * Cut what is pending: the timer fired, or the pipeline is free (adaptive cutting). No batch when
 * nothing is pending.
 */
extern void cutter_cut_now(Cutter *cutter, CutterDecision *decision);

/* ---- link.c: the number and previous hash that a batch in a Raft log begins with; the rule stands
 * there ---- */

/* where a chain ends: the last block's number and the hash of its header */
typedef struct BlockHead
{
	uint64_t number;
	uint8_t hash[CRYPTO_SHA256_BYTES];
} BlockHead;

/* u64 number, big-endian, and the hash */
#define BLOCK_HEAD_BYTES (8 + CRYPTO_SHA256_BYTES)

extern void block_head_of(const BlockHeader *header, BlockHead *head);
extern void block_head_encode(const BlockHead *head, uint8_t out[BLOCK_HEAD_BYTES]);
extern FbStatus block_head_decode(FbBytes bytes, BlockHead *head,
								  FbError *error); /* FB_MALFORMED_MESSAGE */
extern bool block_head_equal(const BlockHead *a, const BlockHead *b);

/* a batch as a log keeps it. Points into the payload */
typedef struct BlockLink
{
	uint64_t number;	   /* of the block that the batch makes; not 0 */
	FbBytes previous_hash; /* of the block before; 32 bytes */
	FbBytes batch;		   /* pb(common.BlockData) */
} BlockLink;

/* the payload of the batch that follows head. FB_OUT_OF_MEMORY */
extern FbStatus block_link_pack(const BlockHead *head, FbBytes batch, FbAllocator *allocator,
								FbBytes *payload, FbError *error);
/* bytes that anybody may have sent; looks at the link only. FB_MALFORMED_MESSAGE */
extern FbStatus block_link_parse(FbBytes payload, BlockLink *link, FbError *error);
/* does the batch follow this head? FB_CHAINS_DIFFER, with both in the detail */
extern FbStatus block_link_check(const BlockLink *link, const BlockHead *head, FbError *error);
/*
 * Can a block be made of this batch? FB_OK with its transactions, or why not: FB_MALFORMED_MESSAGE,
 * FB_LIMIT_EXCEEDED, FB_BLOCK_REFUSED (block_check_well_formed); FB_OUT_OF_MEMORY. A pure function
 * of the bytes: all nodes find the same.
 */
extern FbStatus block_batch_parse(FbBytes bytes, FbAllocator *allocator, BlockBatch *batch,
								  FbError *error);
/*
 * *head becomes the block of this batch, *batch its transactions; when no block can be made of it,
 * *head stays as it is and *batch has none. FB_OUT_OF_MEMORY
 */
extern FbStatus block_link_follow(const BlockLink *link, FbAllocator *allocator, BlockBatch *batch,
								  BlockHead *head, FbError *error);
#endif
