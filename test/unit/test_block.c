/*
 * blocks: header bytes and hashes, views, metadata, building; against Fabric's vectors and real
 * blocks
 */
#include "unit/check.h"

#include "core/block/block.h"

static FbArena arena;
static FbError error;

static FbBytes
repeated(uint8_t byte, size_t size)
{
	uint8_t *data = fb_allocate(&arena.allocator, size);

	memset(data, byte, size);
	return fb_bytes(data, size);
}

static FbBytes
from_hex(const char *hex)
{
	size_t size = strlen(hex) / 2;
	uint8_t *data = fb_allocate(&arena.allocator, size + 1);

	if (!fb_hex_decode(hex, size * 2, data))
	{
		fprintf(stderr, "bad hex in a test: %s\n", hex);
		exit(2);
	}
	return fb_bytes(data, size);
}

static FbBytes
read_block(const char *folder, int number)
{
	char path[100];
	FbBytes file;
	FbBytes copy;

	snprintf(path, sizeof(path), "test/vectors/%s/%d.block", folder, number);
	file = check_read_file(path);
	if (fb_bytes_copy(&arena.allocator, file, &copy, &error) != FB_OK)
		exit(2);
	free((void *) file.data);
	return copy;
}

static void
test_header_vectors(void)
{
	static const struct
	{
		uint64_t number;
		const char *integer;
		const char *hash;
	} cases[] = {
		{0, "020100", "e9499908dd9bee5c08cb5ce778e7a913f0b4ade2be6ab5270cdcc242f2438588"},
		{1, "020101", "2a44e23703a89329b8e1050c1fc8855c2b2e1fd990091e145a5cada75d513896"},
		{127, "02017f", "1e50be891d2475affbe8b2292d2f771d4ea0b0e853d52d0b341336d81fd27424"},
		{128, "02020080", "21255970fce2d8bd67c1b022cb7528f12d311fec7fc8ba34f5414d3983808260"},
		{255, "020200ff", "0d69ddada34e9bb302ac09891b2bd3fd5f05763a8a364f2415e8b87a937e7e37"},
		{256, "02020100", "102f5fcde227f2fd991cf9af0ffa571244bf6cd2aee8d14fb8ff40a0a0d44e7c"},
		{UINT64_C(1) << 63, "0209008000000000000000",
		 "2e0de14bd29f764b8865a34ee9a7ed5579668d9320917168311b1c33bb703204"},
	};
	BlockHeader header = {.previous_hash = repeated(0x11, 32), .data_hash = repeated(0x22, 32)};
	uint8_t hash[CRYPTO_SHA256_BYTES];
	uint8_t hash_of_bytes[CRYPTO_SHA256_BYTES];
	FbBytes bytes;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t integer_size = strlen(cases[i].integer) / 2;

		header.number = cases[i].number;
		block_header_hash(&header, hash);
		CHECK_HEX(fb_bytes(hash, sizeof(hash)), cases[i].hash);
		CHECK_STATUS(block_header_bytes(&header, &arena.allocator, &bytes, &error), FB_OK);
		CHECK_HEX(fb_bytes(bytes.data + 2, integer_size), cases[i].integer);
		crypto_sha256(bytes, hash_of_bytes);
		CHECK(memcmp(hash, hash_of_bytes, sizeof(hash)) == 0);
	}
	header.number = 1;
	CHECK_STATUS(block_header_bytes(&header, &arena.allocator, &bytes, &error), FB_OK);
	CHECK_HEX(bytes,
			  "304702010104201111111111111111111111111111111111111111111111111111111111111111"
			  "04202222222222222222222222222222222222222222222222222222222222222222");
	header.number = 0;
	header.previous_hash = FB_BYTES_EMPTY;
	CHECK_STATUS(block_header_bytes(&header, &arena.allocator, &bytes, &error), FB_OK);
	CHECK_HEX(bytes, "30270201000400"
					 "04202222222222222222222222222222222222222222222222222222222222222222");
	block_header_hash(&header, hash);
	CHECK_HEX(fb_bytes(hash, sizeof(hash)),
			  "bc6f715bf0b5af641d2359a60c419057757571a331a11111b794455d9dbfa6d3");

	/* hashes of any length can be sent: long forms of the DER length */
	header.previous_hash = repeated(0x33, 200);
	header.data_hash = repeated(0x44, 70000);
	CHECK_STATUS(block_header_bytes(&header, &arena.allocator, &bytes, &error), FB_OK);
	CHECK(bytes.size == 5 + 3 + 3 + 200 + 5 + 70000);
	CHECK_HEX(fb_bytes(bytes.data, 12), "3083011243"
										"020100"
										"0481c833");
	CHECK_HEX(fb_bytes(bytes.data + 211, 6), "048301117044");
	block_header_hash(&header, hash);
	crypto_sha256(bytes, hash_of_bytes);
	CHECK(memcmp(hash, hash_of_bytes, sizeof(hash)) == 0);
}

static void
test_data_hash(void)
{
	FbBytes data[] = {FB_BYTES_LITERAL("a"), FB_BYTES_LITERAL("bc")};
	FbBytes other[] = {FB_BYTES_LITERAL("ab"), FB_BYTES_LITERAL("c")};
	uint8_t hash[CRYPTO_SHA256_BYTES];

	block_data_hash(data, 2, hash);
	CHECK_HEX(fb_bytes(hash, sizeof(hash)),
			  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	block_data_hash(other, 2, hash);
	CHECK_HEX(fb_bytes(hash, sizeof(hash)),
			  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	block_data_hash(NULL, 0, hash);
	CHECK_HEX(fb_bytes(hash, sizeof(hash)),
			  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/*
 * Blocks 0 to 9 follow each other; each is rebuilt from its parts, and its header from the block
 * before.
 */
static void
test_real_chain(void)
{
	BlockHeader previous = {0};
	uint8_t previous_hash[CRYPTO_SHA256_BYTES];

	for (int number = 0; number <= 9; number++)
	{
		FbBytes bytes = read_block("blocks", number);
		FbBytes packed;
		FbBytes batch;
		const FbBytes *batch_data;
		size_t batch_count;
		BlockView view;

		CHECK_STATUS(block_parse(bytes, &arena.allocator, &view, &error), FB_OK);
		CHECK(view.header.number == (uint64_t) number);
		CHECK(view.metadata_count == FB_BLOCK_METADATA_COUNT);
		CHECK(view.metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER].size ==
			  view.data_count);
		CHECK_STATUS(block_check_data(&view, &error), FB_OK);
		if (number > 0)
		{
			BlockBatch transactions = {view.data, view.data_count};
			CheckedBlock next;
			BlockHashes hashes;

			CHECK_STATUS(block_check_link(&view.header, previous.number,
										  fb_bytes(previous_hash, 32), &error),
						 FB_OK);
			block_make(&previous, &transactions, &hashes, &next);
			CHECK(next.view.header.number == view.header.number);
			CHECK(fb_bytes_equal(next.view.header.previous_hash, view.header.previous_hash));
			CHECK(fb_bytes_equal(next.view.header.data_hash, view.header.data_hash));
		}
		else
			CHECK(view.header.previous_hash.size == 0);
		CHECK_STATUS(block_pack(&view.header, view.data, view.data_count, view.metadata,
								&arena.allocator, &packed, &error),
					 FB_OK);
		CHECK(fb_bytes_equal(packed, bytes));
		CHECK_STATUS(block_pack_data(view.data, view.data_count, &arena.allocator, &batch, &error),
					 FB_OK);
		CHECK_STATUS(block_parse_data(batch, &arena.allocator, &batch_data, &batch_count, &error),
					 FB_OK);
		CHECK(batch_count == view.data_count);
		for (size_t i = 0; i < batch_count; i++)
			CHECK(fb_bytes_equal(batch_data[i], view.data[i]));
		previous = view.header;
		block_header_hash(&previous, previous_hash);
	}
	fb_arena_reset(&arena);
}

static void
test_genesis(void)
{
	FbBytes bytes = read_block("orderer-blocks", 0);
	FbBytes built;
	BlockView view;

	CHECK_STATUS(block_parse(bytes, &arena.allocator, &view, &error), FB_OK);
	CHECK(block_has_config(view.data, view.data_count));
	CHECK_STATUS(block_pack_genesis(view.data[0], &arena.allocator, &built, &error), FB_OK);
	CHECK(fb_bytes_equal(built, bytes));
	CHECK_STATUS(block_parse(read_block("blocks", 9), &arena.allocator, &view, &error), FB_OK);
	CHECK(!block_has_config(view.data, view.data_count));
	CHECK(!block_is_config_envelope(view.data[0]));
	CHECK(!block_is_config_envelope(FB_BYTES_EMPTY));
	fb_arena_reset(&arena);
}

static void
test_links(void)
{
	FbBytes hash = repeated(7, 32);
	BlockHeader header = {.number = 5, .previous_hash = hash, .data_hash = hash};

	CHECK_STATUS(block_check_link(&header, 4, hash, &error), FB_OK);
	CHECK_STATUS(block_check_link(&header, 5, hash, &error), FB_BLOCK_REFUSED);
	CHECK_STATUS(block_check_link(&header, 3, hash, &error), FB_BLOCK_REFUSED);
	CHECK_STATUS(block_check_link(&header, 4, repeated(8, 32), &error), FB_BLOCK_REFUSED);
	CHECK_TEXT(error.message, "block 5 does not follow block 4");
	header.data_hash.size = 31;
	CHECK_STATUS(block_check_link(&header, 4, hash, &error), FB_BLOCK_REFUSED);
	header.data_hash.size = 32;
	header.number = 0;
	CHECK_STATUS(block_check_link(&header, UINT64_MAX, hash, &error), FB_BLOCK_REFUSED);
	fb_arena_reset(&arena);
}

static void
test_well_formed(void)
{
	static const struct
	{
		const char *hex;
		FbStatus status;
		const char *message;
	} cases[] = {
		{"0a0170120173", FB_OK, NULL},
		{"0a0170", FB_BLOCK_REFUSED, "transaction 0 of the block has no signature"},
		{"120173", FB_BLOCK_REFUSED, "transaction 0 of the block has no payload"},
		{"", FB_BLOCK_REFUSED, "transaction 0 of the block has no payload"},
		{"1201730a0170", FB_BLOCK_REFUSED, "transaction 0 of the block is not in canonical form"},
		{"0a01700a0170120173", FB_BLOCK_REFUSED,
		 "transaction 0 of the block is not in canonical form"},
		{"0a0170120173120173", FB_BLOCK_REFUSED,
		 "transaction 0 of the block is not in canonical form"},
		{"0a810070120173", FB_BLOCK_REFUSED, "transaction 0 of the block is not in canonical form"},
		{"0a017012810073", FB_BLOCK_REFUSED, "transaction 0 of the block is not in canonical form"},
		{"8a000170120173", FB_BLOCK_REFUSED, "transaction 0 of the block is not in canonical form"},
		{"0a01701201731a00", FB_BLOCK_REFUSED,
		 "transaction 0 of the block is not in canonical form"},
		{"1a000a0170120173", FB_BLOCK_REFUSED,
		 "transaction 0 of the block is not in canonical form"},
		{"0a0170"
		 "1a00"
		 "120173",
		 FB_BLOCK_REFUSED, "transaction 0 of the block is not in canonical form"},
		{"0a01701205", FB_BLOCK_REFUSED, "transaction 0 of the block is malformed"},
	};
	FbBytes two[2];
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FbBytes data = from_hex(cases[i].hex);

		if (!CHECK_STATUS(block_check_well_formed(&data, 1, &error), cases[i].status))
			fprintf(stderr, "    %s\n", cases[i].hex);
		if (cases[i].message != NULL)
			CHECK_TEXT(error.message, cases[i].message);
	}
	CHECK_STATUS(block_check_well_formed(NULL, 0, &error), FB_BLOCK_REFUSED);
	two[0] = from_hex("0a0170120173");
	two[1] = from_hex("0a0170");
	CHECK_STATUS(block_check_well_formed(two, 2, &error), FB_BLOCK_REFUSED);
	CHECK_TEXT(error.message, "transaction 1 of the block has no signature");

	/* lengths at the limits of the variable-length encoding */
	for (size_t size = 126; size <= 129; size++)
	{
		envelope.payload = proto_data(repeated('p', size));
		envelope.signature = proto_data(repeated('s', 16382 + size - 126));
		CHECK_STATUS(PROTO_PACK(&envelope, &arena.allocator, &two[0], &error), FB_OK);
		CHECK_STATUS(block_check_well_formed(two, 1, &error), FB_OK);
	}

	/*
	 * A configuration block is exempt: payload {header {channel_header {type 1}}}, no signature.
	 * Two of them are not.
	 */
	two[0] = two[1] = from_hex("0a06"
							   "0a04"
							   "0a02"
							   "0801");
	CHECK(block_is_config_envelope(two[0]));
	CHECK_STATUS(block_check_well_formed(two, 1, &error), FB_OK);
	CHECK_STATUS(block_check_well_formed(two, 2, &error), FB_BLOCK_REFUSED);
	fb_arena_reset(&arena);
}

static void
test_parse(void)
{
	BlockView view;
	FbBuffer buffer;
	FbBytes bytes;

	/* number 7, data ["x"], metadata ["m"] */
	CHECK_STATUS(block_parse(from_hex("0a020807"
									  "12030a0178"
									  "1a030a016d"),
							 &arena.allocator, &view, &error),
				 FB_OK);
	CHECK(view.header.number == 7 && view.data_count == 1 && view.metadata_count == 1);
	CHECK_HEX(view.data[0], "78");
	CHECK_HEX(view.metadata[0], "6d");
	CHECK(view.metadata[1].size == 0);
	CHECK_STATUS(block_check_data(&view, &error), FB_BLOCK_REFUSED);

	CHECK_STATUS(block_parse(from_hex("0a00"), &arena.allocator, &view, &error), FB_OK);
	CHECK(view.data_count == 0);
	CHECK_STATUS(block_check_data(&view, &error), FB_BLOCK_REFUSED);
	CHECK_STATUS(block_parse(FB_BYTES_EMPTY, &arena.allocator, &view, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(block_parse(from_hex("12030a0178"), &arena.allocator, &view, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_TEXT(error.detail, "It has no header.");
	CHECK_STATUS(block_parse(from_hex("0a00"
									  "1a0a"
									  "0a000a000a000a000a00"),
							 &arena.allocator, &view, &error),
				 FB_OK);
	CHECK_STATUS(block_parse(from_hex("0a00"
									  "1a0c"
									  "0a000a000a000a000a000a00"),
							 &arena.allocator, &view, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(block_parse(from_hex("0a00"
									  "12030a0278"),
							 &arena.allocator, &view, &error),
				 FB_MALFORMED_MESSAGE);

	/* too many transactions */
	fb_buffer_init(&buffer, &arena.allocator);
	for (int i = 0; i <= FB_BLOCK_TRANSACTIONS_MAX; i++)
		fb_buffer_append(&buffer, "\x0a\x00", 2);
	CHECK_STATUS(fb_buffer_bytes(&buffer, &bytes, &error), FB_OK);
	CHECK_STATUS(block_parse_data(bytes, &arena.allocator, &view.data, &view.data_count, &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(block_parse_data(fb_bytes(bytes.data, bytes.size - 2), &arena.allocator,
								  &view.data, &view.data_count, &error),
				 FB_OK);
	CHECK(view.data_count == FB_BLOCK_TRANSACTIONS_MAX);

	/* the data hash shows a changed byte in a transaction */
	bytes = read_block("blocks", 9);
	CHECK_STATUS(block_parse(bytes, &arena.allocator, &view, &error), FB_OK);
	((uint8_t *) view.data[3].data)[500] ^= 1;
	CHECK_STATUS(block_check_data(&view, &error), FB_BLOCK_REFUSED);
	CHECK_TEXT(error.message, "block 9 has a wrong data hash");
	fb_arena_reset(&arena);
}

static void
test_metadata(void)
{
	static const struct
	{
		const char *folder;
		int number;
	} blocks[] = {{"blocks", 5}, {"orderer-blocks", 5}, {"blocks", 9}, {"blocks", 15}};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
	{
		BlockView view;
		BlockSignatures signatures;
		Etcdraft__BlockMetadata *raft;
		FbBytes slot;
		FbBytes value;
		FbBytes consenter_metadata;
		FbBytes header_bytes;
		FbBytes parts[3];
		FbBytes hash;
		uint64_t last_config;

		CHECK_STATUS(block_parse(read_block(blocks[i].folder, blocks[i].number), &arena.allocator,
								 &view, &error),
					 FB_OK);
		CHECK_STATUS(block_signatures_parse(view.metadata[0], &arena.allocator, &signatures,
											&error),
					 FB_OK);
		CHECK(signatures.signatures_count == 1);
		CHECK_STATUS(block_raft_metadata_parse(signatures.consenter_metadata, &arena.allocator,
											   &raft, &error),
					 FB_OK);
		CHECK(raft->n_consenter_ids == 3 && raft->consenter_ids[0] == 1 &&
			  raft->consenter_ids[2] == 3);
		CHECK(raft->next_consenter_id == 4);
		CHECK(raft->raft_index > 0);

		/* every slot that orderers and peers write is the same when built from its parts */
		CHECK_STATUS(block_raft_metadata(raft->consenter_ids, raft->n_consenter_ids,
										 raft->next_consenter_id, raft->raft_index,
										 &arena.allocator, &consenter_metadata, &error),
					 FB_OK);
		CHECK(fb_bytes_equal(consenter_metadata, signatures.consenter_metadata));
		CHECK_STATUS(block_signature_value(signatures.last_config_number, consenter_metadata,
										   &arena.allocator, &value, &error),
					 FB_OK);
		CHECK(fb_bytes_equal(value, signatures.value));
		CHECK_STATUS(block_signatures_pack(value, signatures.signatures,
										   signatures.signatures_count, &arena.allocator, &slot,
										   &error),
					 FB_OK);
		CHECK(fb_bytes_equal(slot, view.metadata[0]));
		CHECK_STATUS(block_last_config(&view, &arena.allocator, &last_config, &error), FB_OK);
		CHECK(last_config == signatures.last_config_number);
		CHECK_STATUS(block_last_config_pack(last_config, &arena.allocator, &slot, &error), FB_OK);
		CHECK(fb_bytes_equal(slot, view.metadata[1]));
		CHECK_STATUS(block_commit_hash_parse(view.metadata[4], &arena.allocator, &hash, &error),
					 FB_OK);
		CHECK(hash.size == (strcmp(blocks[i].folder, "blocks") == 0 ? 32 : 0));
		CHECK_STATUS(block_commit_hash_pack(hash, &arena.allocator, &slot, &error), FB_OK);
		CHECK(fb_bytes_equal(slot, view.metadata[4]));

		CHECK_STATUS(block_header_bytes(&view.header, &arena.allocator, &header_bytes, &error),
					 FB_OK);
		block_signed_parts(signatures.value, &signatures.signatures[0], header_bytes, parts);
		CHECK(fb_bytes_equal(parts[0], signatures.value));
		CHECK(fb_bytes_equal(parts[1], signatures.signatures[0].signature_header) &&
			  parts[1].size > 0);
		CHECK(fb_bytes_equal(parts[2], header_bytes));
	}
	{
		BlockSignature bft = {.identifier_header = FB_BYTES_LITERAL("id")};
		FbBytes parts[3];
		BlockView view;
		BlockSignatures signatures;
		uint64_t last_config;

		block_signed_parts(FB_BYTES_LITERAL("v"), &bft, FB_BYTES_LITERAL("h"), parts);
		CHECK_HEX(parts[1], "6964");
		/* no value in slot 0: slot 1 counts. Metadata{value: LastConfig{index 6}} */
		memset(&view, 0, sizeof(view));
		view.metadata[1] = from_hex("0a020806");
		CHECK_STATUS(block_last_config(&view, &arena.allocator, &last_config, &error), FB_OK);
		CHECK(last_config == 6);
		CHECK_STATUS(block_signatures_parse(from_hex("0a05"), &arena.allocator, &signatures,
											&error),
					 FB_MALFORMED_MESSAGE);
		CHECK_STATUS(block_signatures_parse(FB_BYTES_EMPTY, &arena.allocator, &signatures, &error),
					 FB_OK);
		CHECK(signatures.signatures_count == 0 && signatures.last_config_number == 0);
	}
	fb_arena_reset(&arena);
}

static void
test_txflags(void)
{
	BlockView view;
	FbBytes filter;
	uint8_t codes[10];

	CHECK_STATUS(block_parse(read_block("blocks", 15), &arena.allocator, &view, &error), FB_OK);
	filter = view.metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];
	CHECK_HEX(filter, "00000b0b000b0b0b0b0b");
	txflags_start(codes, 10);
	CHECK_HEX(fb_bytes(codes, 10), "fefefefefefefefefefe");
	fb_arena_reset(&arena);
}

/* the orderer's signature on real blocks covers the parts that block_signed_parts gives */
static void
test_signed_bytes(void)
{
	static const int numbers[] = {1, 5, 9, 15};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		BlockView view;
		BlockSignatures signatures;
		Common__SignatureHeader *signature_header;
		Msp__SerializedIdentity *identity;
		CryptoCertificate *certificate;
		const CryptoPublicKey *key;
		FbBytes header_bytes;
		FbBytes parts[3];

		CHECK_STATUS(block_parse(read_block("blocks", numbers[i]), &arena.allocator, &view, &error),
					 FB_OK);
		CHECK_STATUS(block_signatures_parse(view.metadata[0], &arena.allocator, &signatures,
											&error),
					 FB_OK);
		CHECK_STATUS(PROTO_UNPACK(common__signature_header,
								  signatures.signatures[0].signature_header, &arena.allocator,
								  &signature_header, &error),
					 FB_OK);
		CHECK_STATUS(PROTO_UNPACK(msp__serialized_identity, proto_bytes(signature_header->creator),
								  &arena.allocator, &identity, &error),
					 FB_OK);
		CHECK_TEXT(identity->mspid, "OrdererMSP");
		if (!CHECK_STATUS(crypto_certificate_parse(proto_bytes(identity->id_bytes), &certificate,
												   &error),
						  FB_OK))
			continue;
		key = crypto_certificate_public_key(certificate);
		CHECK_STATUS(block_header_bytes(&view.header, &arena.allocator, &header_bytes, &error),
					 FB_OK);
		block_signed_parts(signatures.value, &signatures.signatures[0], header_bytes, parts);
		CHECK_STATUS(crypto_verify_parts(key, parts, 3, signatures.signatures[0].signature, &error),
					 FB_OK);
		view.header.number++;
		CHECK_STATUS(block_header_bytes(&view.header, &arena.allocator, &header_bytes, &error),
					 FB_OK);
		block_signed_parts(signatures.value, &signatures.signatures[0], header_bytes, parts);
		CHECK_STATUS(crypto_verify_parts(key, parts, 3, signatures.signatures[0].signature, &error),
					 FB_INVALID_SIGNATURE);
		crypto_certificate_free(certificate);
	}
	fb_arena_reset(&arena);
}

static FbStatus
parse_and_rebuild(FbBytes bytes, FbAllocator *allocator)
{
	BlockView view;
	BlockSignatures signatures;
	Etcdraft__BlockMetadata *raft;
	FbBytes out;
	FbBytes slot;
	FbBytes header_bytes;
	uint64_t last_config;

	FB_TRY(block_parse(bytes, allocator, &view, &error));
	FB_TRY(block_check_data(&view, &error));
	FB_TRY(block_header_bytes(&view.header, allocator, &header_bytes, &error));
	FB_TRY(block_signatures_parse(view.metadata[0], allocator, &signatures, &error));
	FB_TRY(block_raft_metadata_parse(signatures.consenter_metadata, allocator, &raft, &error));
	FB_TRY(block_last_config(&view, allocator, &last_config, &error));
	FB_TRY(block_signatures_pack(signatures.value, signatures.signatures,
								 signatures.signatures_count, allocator, &slot, &error));
	FB_TRY(block_pack_data(view.data, view.data_count, allocator, &out, &error));
	FB_TRY(block_pack_genesis(view.data[0], allocator, &out, &error));
	return block_pack(&view.header, view.data, view.data_count, view.metadata, allocator, &out,
					  &error);
}

static void
test_out_of_memory(void)
{
	FbBytes bytes = read_block("blocks", 9);
	FbStatus status = FB_OUT_OF_MEMORY;
	size_t fail_at;

	for (fail_at = 1; status == FB_OUT_OF_MEMORY; fail_at++)
	{
		FbArena failing;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = parse_and_rebuild(bytes, &failing.allocator);
		fb_arena_reset(&failing);
	}
	CHECK_STATUS(status, FB_OK);
	CHECK(fail_at > 20);
	fb_arena_reset(&arena);
}

/*
 * Whether a block is a configuration, as check_envelope decides, whatever the encoding of the
 * payload; hex of the payload's header fields, and the expected answer
 */
static void
test_config_envelopes(void)
{
	static const struct
	{
		const char *payload;
		bool is_config;
	} cases[] = {
		{"0a040a020801", true},
		{"0a040a020803", false},
		{"0a040a020801"
		 "0a03120178",
		 true}, /* the header in two parts */
		{"0a03120178"
		 "0a040a020801",
		 true},
		{"0a040a020803"
		 "0a040a020801",
		 true}, /* the later channel header counts */
		{"0a040a020801"
		 "0a040a020803",
		 false},
		{"0a080a020801"
		 "0a020803",
		 false},
		{"0a070a050d01000000", false}, /* a type field with another wire type does not count */
		{"0a090a0708010d03000000", true},
		{"08010a040a020801", true}, /* nor does a header with another wire type */
		{"0b0c0a040a020801", true}, /* a group before it */
		{"0a040a0208", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FbBytes payload = from_hex(cases[i].payload);
		uint8_t envelope[64] = {0x0a, (uint8_t) payload.size};

		memcpy(envelope + 2, payload.data, payload.size);
		if (!CHECK(block_is_config_envelope(fb_bytes(envelope, payload.size + 2)) ==
				   cases[i].is_config))
			fprintf(stderr, "    %s\n", cases[i].payload);
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_header_vectors());
	CHECK_TEST(test_data_hash());
	CHECK_TEST(test_real_chain());
	CHECK_TEST(test_genesis());
	CHECK_TEST(test_links());
	CHECK_TEST(test_well_formed());
	CHECK_TEST(test_parse());
	CHECK_TEST(test_metadata());
	CHECK_TEST(test_txflags());
	CHECK_TEST(test_config_envelopes());
	CHECK_TEST(test_signed_bytes());
	CHECK_TEST(test_out_of_memory());
	fb_arena_reset(&arena);
	return check_finish("block/block");
}
