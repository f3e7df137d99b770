/* the decoder: accepted and refused messages, and the cost of decoding */
#include "unit/check.h"

#include "core/proto/proto_internal.h"

static FbArena arena;
static FbError error;

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

static void
test_real_blocks(void)
{
	static const int numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		char path[100];
		FbBytes bytes;
		Common__Block *block;
		FbBytes packed;
		bool canonical;

		snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", numbers[i]);
		bytes = check_read_file(path);
		CHECK_STATUS(PROTO_UNPACK(common__block, bytes, &arena.allocator, &block, &error), FB_OK);
		CHECK(block->header->number == (uint64_t) numbers[i]);
		CHECK(block->metadata->n_metadata == FB_BLOCK_METADATA_COUNT);
		CHECK_STATUS(PROTO_PACK(block, &arena.allocator, &packed, &error), FB_OK);
		CHECK(fb_bytes_equal(packed, bytes));
		for (size_t j = 0; j < block->data->n_data; j++)
		{
			FbBytes data = proto_bytes(block->data->data[j]);
			Common__Envelope *envelope;
			Common__Payload *payload;

			CHECK_STATUS(PROTO_UNPACK(common__envelope, data, &arena.allocator, &envelope, &error),
						 FB_OK);
			CHECK_STATUS(proto_is_canonical(&envelope->base, data, &arena.allocator, &canonical,
											&error),
						 FB_OK);
			CHECK(canonical);
			CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload),
									  &arena.allocator, &payload, &error),
						 FB_OK);
		}
		/*
		 * A block that is cut off is refused. The prefixes are those of the last 2000 bytes, which
		 * hold the metadata and the end of the data, in steps that meet all kinds of bytes.
		 */
		for (size_t size = bytes.size > 2000 ? bytes.size - 2000 : 0; size < bytes.size; size += 37)
			CHECK(proto_check(&common__block__descriptor, fb_bytes(bytes.data, size), &error) !=
				  FB_OK);
		free((void *) bytes.data);
		fb_arena_reset(&arena);
	}
}

static void
test_canonical(void)
{
	/* payload "p", signature "s" */
	static const struct
	{
		const char *hex;
		bool canonical;
	} cases[] = {
		{"0a0170120173", true},		   /* as an encoder writes it */
		{"1201730a0170", false},	   /* order */
		{"0a01700a0170120173", false}, /* a field twice */
		{"0a8100701201731a00", false}, /* a length in two bytes, and an unknown field */
		{"0a810070120173", false},	   /* a length in two bytes */
		{"0a00120173", false},		   /* an empty field that an encoder omits */
		{"0a01701201731800", false},   /* an unknown field */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Common__Envelope *envelope;
		FbBytes bytes = from_hex(cases[i].hex);
		bool canonical;

		CHECK_STATUS(PROTO_UNPACK(common__envelope, bytes, &arena.allocator, &envelope, &error),
					 FB_OK);
		CHECK_STATUS(proto_is_canonical(&envelope->base, bytes, &arena.allocator, &canonical,
										&error),
					 FB_OK);
		if (!CHECK(canonical == cases[i].canonical))
			fprintf(stderr, "    %s\n", cases[i].hex);
	}
	fb_arena_reset(&arena);
}

/*
 * Encodings that no encoder writes and that Go's decoder accepts. The expected bytes were printed
 * by Go: the message decoded, unknown fields dropped, encoded again.
 */
typedef struct UnusualCase
{
	const char *name;
	const ProtobufCMessageDescriptor *descriptor;
	const char *hex;
	const char *normal; /* NULL: not a message */
} UnusualCase;

static const UnusualCase unusual_cases[] = {
	{"a part of the header each", &common__payload__descriptor, "0a030a01610a03120162",
	 "0a060a0161120162"},
	{"the later part of a header wins", &common__payload__descriptor, "0a030a016112000a030a0163",
	 "0a030a0163"},
	{"an empty part takes nothing away", &common__payload__descriptor, "0a030a01610a00",
	 "0a030a0161"},
	{"a header as number", &common__payload__descriptor, "08010a030a0161", "0a030a0161"},
	{"a header as group", &common__payload__descriptor, "0b0a01610c120162", "120162"},
	{"a group in a group", &common__envelope__descriptor, "1b230a00241c0a0170", "0a0170"},
	{"a group that ends with another number", &common__envelope__descriptor, "1b24", NULL},
	{"a group without end", &common__envelope__descriptor, "1b0a00", NULL},
	{"an end without group", &common__envelope__descriptor, "1c", NULL},
	{"a large number inside of a group", &common__envelope__descriptor, "1bf8ffffff3f001c", ""},
	{"a larger one", &common__envelope__descriptor, "1b8080808040001c", NULL},
	{"field number 0 inside of a group", &common__envelope__descriptor, "1b00001c", NULL},
	{"bytes as number", &common__envelope__descriptor, "0801120173", "120173"},
	{"a number as bytes", &common__last_config__descriptor, "0a01010805", "0805"},
	{"a number in four bytes", &common__last_config__descriptor, "0d010000000805", "0805"},
	{"text of another type is not looked at", &common__channel_header__descriptor, "2d010203042001",
	 ""},
	{"a long tag", &common__envelope__descriptor, "8a8080808080808080000170", "0a0170"},
	{"a tag of eleven bytes", &common__envelope__descriptor, "8a80808080808080808080000170", NULL},
	{"a tag beyond 64 bits", &common__envelope__descriptor, "8a8080808080808080020170", NULL},
	{"a long length", &common__envelope__descriptor, "0a8180808080808080800070", "0a0170"},
	{"a long number", &common__last_config__descriptor, "0885808080808080808000", "0805"},
	{"parts of a oneof member are merged", &common__signature_policy__descriptor,
	 "1204080112001202080312021a00", "120408031200"},
	{"a oneof member in parts", &common__signature_policy__descriptor, "12020802120412020801",
	 "1206080212020801"},
	{"another member replaces it", &common__signature_policy__descriptor, "120208020805", "0805"},
	{"and what came before it is gone", &common__signature_policy__descriptor,
	 "1206120208010802080512020803", "12020803"},
	{"an unknown field between the parts", &common__signature_policy__descriptor,
	 "120208022a00120412020801", "1206080212020801"},
	{"a foreign type does not replace", &common__signature_policy__descriptor, "120208020a00",
	 "12020802"},
	{"the last number of a oneof", &common__signature_policy__descriptor, "08010802", "0802"},
	{"a member set to its default counts", &common__signature_policy__descriptor, "0800", "0800"},
	{"parts within parts", &common__config__descriptor, "12040a020a0012022a00", "1200"},
	{"packed and not packed", &etcdraft__block_metadata__descriptor, "0a0201020803", "0a03010203"},
	{"four bytes in a repeated number", &etcdraft__block_metadata__descriptor, "0d010203040801",
	 "0a0101"},
	{"bad UTF-8 in a part", &common__payload__descriptor, "0a030a01610a0212", NULL},
	{"response in parts", &protos__chaincode_action__descriptor, "1a0308c8011a0412026f6b",
	 "1a0708c80112026f6b"},
	{"version in parts", &kvrwset__kvread__descriptor, "0a016b1202080512021007",
	 "0a016b120408051007"},
	{"range results of two kinds", &kvrwset__range_query_info__descriptor,
	 "22040a020a002a0408021001", "2a0408021001"},
	{"range results of one kind twice", &kvrwset__range_query_info__descriptor,
	 "22050a030a016122050a030a0162", "220a0a030a01610a030a0162"},
	{"ends inside of a group", &common__envelope__descriptor, "1b0a05", NULL},
};

static void
test_unusual(void)
{
	for (size_t i = 0; i < sizeof(unusual_cases) / sizeof(unusual_cases[0]); i++)
	{
		const UnusualCase *unusual = &unusual_cases[i];
		FbBytes bytes = from_hex(unusual->hex);
		FbBytes normal;
		FbBytes packed;
		ProtobufCMessage *message;

		if (unusual->normal == NULL)
		{
			if (!CHECK_STATUS(proto_unpack(unusual->descriptor, bytes, &arena.allocator, &message,
										   &error),
							  FB_MALFORMED_MESSAGE))
				fprintf(stderr, "    %s\n", unusual->name);
			CHECK_STATUS(proto_check(unusual->descriptor, bytes, &error), FB_MALFORMED_MESSAGE);
			continue;
		}
		CHECK_STATUS(proto_check(unusual->descriptor, bytes, &error), FB_OK);
		CHECK_STATUS(proto_unpack(unusual->descriptor, bytes, &arena.allocator, &message, &error),
					 FB_OK);
		CHECK_STATUS(proto_pack(message, &arena.allocator, &packed, &error), FB_OK);
		/*
		 * proto_unpack drops unknown fields only where it has to rewrite the message; they are
		 * dropped here, so that all cases are compared in the same way
		 */
		CHECK_STATUS(proto_normalize(unusual->descriptor, packed, &arena.allocator, &normal,
									 &error),
					 FB_OK);
		CHECK_STATUS(proto_unpack(unusual->descriptor, normal, &arena.allocator, &message, &error),
					 FB_OK);
		CHECK_STATUS(proto_pack(message, &arena.allocator, &packed, &error), FB_OK);
		if (!CHECK_HEX(packed, unusual->normal))
			fprintf(stderr, "    %s\n", unusual->name);
	}
	/* proto_check_plain, for readers of single fields, refuses such encodings */
	CHECK_STATUS(proto_check_plain(&common__payload__descriptor, from_hex("0a000a00"), &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(proto_check_plain(&common__envelope__descriptor, from_hex("1b1c"), &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(proto_check_plain(&common__envelope__descriptor, from_hex("0801"), &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(proto_check_plain(&common__envelope__descriptor, from_hex("0a0170"), &error),
				 FB_OK);
	fb_arena_reset(&arena);
}

/*
 * a field of this tag and content; empty_part_too: the message is sent in two parts, the second one
 * empty
 */
static FbBytes
field_of(uint8_t tag, FbBytes content, bool empty_part_too)
{
	FbBuffer buffer;
	FbBytes bytes;
	size_t size = content.size;

	fb_buffer_init(&buffer, &arena.allocator);
	fb_buffer_append_byte(&buffer, tag);
	for (; size > 0x7f; size >>= 7)
		fb_buffer_append_byte(&buffer, (uint8_t) (size | 0x80));
	fb_buffer_append_byte(&buffer, (uint8_t) size);
	fb_buffer_append_bytes(&buffer, content);
	if (empty_part_too)
	{
		fb_buffer_append_byte(&buffer, tag);
		fb_buffer_append_byte(&buffer, 0);
	}
	CHECK_STATUS(fb_buffer_bytes(&buffer, &bytes, NULL), FB_OK);
	return bytes;
}

/*
 * Messages sent in parts, at each level of nesting: joining the parts of one level copies all
 * levels below, so there is a limit of the bytes that are copied.
 */
static void
test_many_parts(void)
{
	enum
	{
		PADDING_BYTES = 3 * 1024 * 1024
	};

	for (int levels = 10; levels <= 45; levels += 35)
	{
		FbBytes content = {calloc(PADDING_BYTES, 1), PADDING_BYTES};
		uint8_t *padding = (uint8_t *) content.data;
		ProtobufCMessage *message;

		content = field_of(0x7a, content, false); /* an unknown field of the innermost operator */
		for (int i = 0; i < levels; i++)
			content = field_of(0x12, i == 0 ? content : field_of(0x12, content, false), true);
		CHECK_STATUS(proto_check(&common__signature_policy__descriptor, content, &error), FB_OK);
		CHECK_STATUS(proto_unpack(&common__signature_policy__descriptor, content, &arena.allocator,
								  &message, &error),
					 levels == 10 ? FB_OK : FB_LIMIT_EXCEEDED);
		free(padding);
		fb_arena_reset(&arena);
	}
}

static void
test_malformed(void)
{
	static const struct
	{
		const ProtobufCMessageDescriptor *descriptor;
		const char *hex;
		FbStatus status;
	} cases[] = {
		{&common__envelope__descriptor, "", FB_OK},
		{&common__envelope__descriptor, "0a", FB_MALFORMED_MESSAGE},   /* no length */
		{&common__envelope__descriptor, "0a05", FB_MALFORMED_MESSAGE}, /* cut off */
		{&common__envelope__descriptor, "0a0570707070", FB_MALFORMED_MESSAGE},
		{&common__envelope__descriptor, "0affffffff7f", FB_MALFORMED_MESSAGE}, /* a huge length */
		{&common__envelope__descriptor, "0affffffffffffffffff01", FB_MALFORMED_MESSAGE},
		{&common__envelope__descriptor, "00", FB_MALFORMED_MESSAGE}, /* field number 0 */
		{&common__envelope__descriptor, "0200", FB_MALFORMED_MESSAGE},
		{&common__envelope__descriptor, "8080808080", FB_MALFORMED_MESSAGE}, /* an endless tag */
		{&common__envelope__descriptor, "1e", FB_MALFORMED_MESSAGE},		 /* wire type 6 */
		{&common__envelope__descriptor, "1d010203",
		 FB_MALFORMED_MESSAGE}, /* unknown fixed32, cut off */
		{&common__envelope__descriptor, "1d01020304", FB_OK},
		{&common__envelope__descriptor, "190102030405060708", FB_OK},
		{&common__last_config__descriptor, "08ffffffffffffffffff01", FB_OK}, /* 2^64 - 1 */
		{&common__last_config__descriptor, "08ffffffffffffffffff02",
		 FB_MALFORMED_MESSAGE}, /* more than 64 bits */
		{&common__last_config__descriptor, "08ffffffffffffffffffff01", FB_MALFORMED_MESSAGE},
		{&common__channel_header__descriptor, "2202c3a4", FB_OK},			   /* U+00E4 */
		{&common__channel_header__descriptor, "2201c3", FB_MALFORMED_MESSAGE}, /* invalid UTF-8 */
		{&common__channel_header__descriptor, "2203eda080", FB_MALFORMED_MESSAGE}, /* a surrogate */
		{&msp__serialized_identity__descriptor, "0a03610062",
		 FB_MALFORMED_MESSAGE}, /* U+0000 in a string */
		{&common__channel_header__descriptor, "2203610062",
		 FB_OK}, /* in a field where a valid transaction may have it */
		{&protos__response__descriptor, "1203610062", FB_OK},
		{&protos__response__descriptor, "1201ff", FB_MALFORMED_MESSAGE},
		{&protos__chaincode_event__descriptor, "0a01001201001a0100", FB_OK},
		{&protos__chaincode_event__descriptor, "1a01ff", FB_MALFORMED_MESSAGE},
		{&protos__chaincode_id__descriptor, "0a01001201001a0100", FB_OK},
		{&protos__chaincode_id__descriptor, "1a01ff", FB_MALFORMED_MESSAGE},
		{&rwset__ns_read_write_set__descriptor, "0a0100", FB_OK},
		{&rwset__ns_read_write_set__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&rwset__collection_hashed_read_write_set__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__kvread__descriptor, "0a03610062", FB_OK},			/* U+0000 in a key */
		{&kvrwset__kvread__descriptor, "0a01ff", FB_MALFORMED_MESSAGE}, /* a key is UTF-8 */
		{&kvrwset__kvwrite__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__kvwrite__descriptor, "0a01611a01ff", FB_OK}, /* a value need not be UTF-8 */
		{&kvrwset__kvmetadata_write__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__kvmetadata_entry__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__range_query_info__descriptor, "0a01ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__range_query_info__descriptor, "1201ff", FB_MALFORMED_MESSAGE},
		{&kvrwset__kvread_hash__descriptor, "0a01ff", FB_OK}, /* a hash is not */
		{&queryresult__kv__descriptor, "1201ff", FB_MALFORMED_MESSAGE},
		{&queryresult__kv__descriptor, "1a01ff", FB_OK},
		{&common__metadata__descriptor, "12001200", FB_OK},			  /* a repeated one */
		{&etcdraft__block_metadata__descriptor, "0a03010203", FB_OK}, /* packed */
		{&etcdraft__block_metadata__descriptor, "080108020803",
		 FB_OK}, /* not packed: both are allowed */
		{&etcdraft__block_metadata__descriptor, "0a0180",
		 FB_MALFORMED_MESSAGE}, /* a number truncated inside the packed field */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FbBytes bytes = from_hex(cases[i].hex);
		ProtobufCMessage *message;

		if (!CHECK_STATUS(proto_check(cases[i].descriptor, bytes, &error), cases[i].status))
			fprintf(stderr, "    %s %s\n", cases[i].descriptor->name, cases[i].hex);
		/* the unpacker agrees with the decoder */
		CHECK_STATUS(proto_unpack(cases[i].descriptor, bytes, &arena.allocator, &message, &error),
					 cases[i].status);
		CHECK((message != NULL) == (cases[i].status == FB_OK));
	}
	CHECK_STATUS(proto_check(&common__channel_header__descriptor, from_hex("08012201c3"), &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_TEXT(error.message, "malformed message of type common.ChannelHeader");
	CHECK_TEXT(error.detail,
			   "At byte 4, in common.ChannelHeader.channel_id: string is not valid UTF-8.");
	fb_arena_reset(&arena);
}

/* a SignaturePolicy nested to this depth: each level is a SignaturePolicy and a NOutOf */
static FbBytes
nested_policy(int levels)
{
	uint8_t *data = fb_allocate(&arena.allocator, 64 * 1024);
	size_t start = 64 * 1024;

	for (int i = 0; i < levels; i++)
	{
		for (int part = 0; part < 2; part++)
		{
			size_t size = 64 * 1024 - start;

			FB_ASSERT(size < 16384);
			data[--start] = (uint8_t) (size >> 7);
			data[--start] = (uint8_t) (0x80 | (size & 0x7f));
			data[--start] = 0x12;
		}
	}
	return fb_bytes(data + start, 64 * 1024 - start);
}

static void
test_limits(void)
{
	ProtobufCMessage *message;
	FbBuffer buffer;
	FbBytes bytes;
	uint8_t *big;

	/* depth: n levels of policy are 2 n + 1 messages */
	CHECK_STATUS(proto_unpack(&common__signature_policy__descriptor,
							  nested_policy((FB_MESSAGE_DEPTH_MAX - 1) / 2), &arena.allocator,
							  &message, &error),
				 FB_OK);
	CHECK_STATUS(proto_check(&common__signature_policy__descriptor,
							 nested_policy(FB_MESSAGE_DEPTH_MAX / 2), &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(proto_check(&common__signature_policy__descriptor, nested_policy(2000), &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_TEXT(error.detail, "More than 100 levels of nesting.");
	CHECK((FB_MESSAGE_DEPTH_MAX - 5) / 2 >= FB_POLICY_DEPTH_MAX);

	/* size: too large is refused before decoding */
	CHECK_STATUS(proto_check(&common__block__descriptor,
							 fb_bytes("", (size_t) FB_MESSAGE_BYTES_MAX + 1), &error),
				 FB_LIMIT_EXCEEDED);

	/* the number of fields: each number of a repeated field counts */
	big = calloc(1, FB_MESSAGE_FIELDS_MAX + 10);
	big[0] = 0x0a;
	big[1] = 0x80 | (FB_MESSAGE_FIELDS_MAX & 0x7f);
	big[2] = 0x80 | ((FB_MESSAGE_FIELDS_MAX >> 7) & 0x7f);
	big[3] = 0x80 | ((FB_MESSAGE_FIELDS_MAX >> 14) & 0x7f);
	big[4] = FB_MESSAGE_FIELDS_MAX >> 21;
	CHECK_STATUS(proto_check(&etcdraft__block_metadata__descriptor,
							 fb_bytes(big, 5 + FB_MESSAGE_FIELDS_MAX), &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_TEXT(error.detail, "More than 4000000 fields.");
	free(big);

	/* memory: empty messages of two bytes each, as many as the number of fields allows */
	fb_buffer_init(&buffer, &arena.allocator);
	for (int i = 0; i < 3900000; i++)
		fb_buffer_append(&buffer, "\x12\x00", 2);
	CHECK_STATUS(fb_buffer_bytes(&buffer, &bytes, &error), FB_OK);
	arena.allocations_count = 0;
	CHECK_STATUS(proto_unpack(&kvrwset__kvrwset__descriptor, bytes, &arena.allocator, &message,
							  &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_TEXT(error.detail, "More than 536870912 bytes of memory.");
	CHECK(arena.allocations_count == 0);
	fb_arena_reset(&arena);
}

static void
test_maps(void)
{
	/* groups: "b" {version 1}, "a" without value, "b" {version 2} */
	FbBytes bytes = from_hex("1207"
							 "0a0162"
							 "12020801"
							 "1203"
							 "0a0161"
							 "1207"
							 "0a0162"
							 "12020802");
	Common__ConfigGroup *group;
	Common__Payload *payload;

	CHECK_STATUS(PROTO_UNPACK(common__config_group, bytes, &arena.allocator, &group, &error),
				 FB_OK);
	if (CHECK(group->n_groups == 2))
	{
		CHECK_TEXT(group->groups[0]->key, "a");
		CHECK(group->groups[0]->value != NULL && group->groups[0]->value->version == 0);
		CHECK_TEXT(group->groups[1]->key, "b");
		CHECK(group->groups[1]->value->version == 2);
	}
	/* the same inside another map */
	bytes = from_hex("121a"
					 "0a0178"
					 "1215"
					 "1207"
					 "0a0162"
					 "12020801"
					 "1200"
					 "1208"
					 "0a0161"
					 "1203080510"
					 "00");
	CHECK_STATUS(PROTO_UNPACK(common__config_group, bytes, &arena.allocator, &group, &error),
				 FB_MALFORMED_MESSAGE);
	bytes = from_hex("1217"
					 "0a0178"
					 "1212"
					 "1207"
					 "0a0162"
					 "12020801"
					 "1207"
					 "0a0161"
					 "12020805");
	CHECK_STATUS(PROTO_UNPACK(common__config_group, bytes, &arena.allocator, &group, &error),
				 FB_OK);
	if (CHECK(group->n_groups == 1 && group->groups[0]->value->n_groups == 2))
		CHECK_TEXT(group->groups[0]->value->groups[0]->key, "a");

	/* messages that were not sent are NULL, strings are empty */
	CHECK_STATUS(PROTO_UNPACK(common__payload, FB_BYTES_EMPTY, &arena.allocator, &payload, &error),
				 FB_OK);
	CHECK(payload->header == NULL && proto_bytes(payload->data).size == 0);
	fb_arena_reset(&arena);
}

static void
test_out_of_memory(void)
{
	FbBytes block_bytes = check_read_file("test/vectors/blocks/0.block");
	Common__Block *block;
	Common__Envelope *envelope;
	Common__Payload *payload;
	FbBytes config_bytes;
	FbArena failing;
	size_t fail_at;
	FbStatus status = FB_OUT_OF_MEMORY;

	FB_ASSERT(PROTO_UNPACK(common__block, block_bytes, &arena.allocator, &block, &error) == FB_OK);
	FB_ASSERT(PROTO_UNPACK(common__envelope, proto_bytes(block->data->data[0]), &arena.allocator,
						   &envelope, &error) == FB_OK);
	FB_ASSERT(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), &arena.allocator,
						   &payload, &error) == FB_OK);
	config_bytes = proto_bytes(payload->data);
	for (fail_at = 1; status == FB_OUT_OF_MEMORY; fail_at++)
	{
		Common__ConfigEnvelope *config = NULL;
		FbBytes packed;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = PROTO_UNPACK(common__config_envelope, config_bytes, &failing.allocator, &config,
							  &error);
		CHECK((status == FB_OK) == (config != NULL));
		if (status == FB_OK)
			status = PROTO_PACK(config, &failing.allocator, &packed, &error);
		fb_arena_reset(&failing);
	}
	CHECK_STATUS(status, FB_OK);
	CHECK(fail_at > 100);
	free((void *) block_bytes.data);
	fb_arena_reset(&arena);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_real_blocks());
	CHECK_TEST(test_canonical());
	CHECK_TEST(test_unusual());
	CHECK_TEST(test_many_parts());
	CHECK_TEST(test_malformed());
	CHECK_TEST(test_limits());
	CHECK_TEST(test_maps());
	CHECK_TEST(test_out_of_memory());
	fb_arena_reset(&arena);
	return check_finish("proto/decoder");
}
