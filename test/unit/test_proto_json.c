/*
 * JSON: the text that configtxlator prints, for real blocks; and for bytes that are not valid
 * messages.
 */
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
		FbBytes block;
		FbBytes expected;
		FbBytes json;

		snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", numbers[i]);
		block = check_read_file(path);
		snprintf(path, sizeof(path), "test/vectors/blocks/%d.json", numbers[i]);
		expected = check_read_file(path);
		CHECK_STATUS(proto_json(&common__block__descriptor, block, PROTO_JSON_PRETTY,
								&arena.allocator, &json, &error),
					 FB_OK);
		if (!CHECK(fb_bytes_equal(json, expected)))
		{
			size_t at = 0;
			size_t from;

			while (at < json.size && at < expected.size && json.data[at] == expected.data[at])
				at++;
			from = at > 100 ? at - 100 : 0;
			fprintf(stderr, "    %s differs at byte %zu: \"%.*s\"\n", path, at,
					(int) (at + 40 - from), json.data + from);
		}
		free((void *) block.data);
		free((void *) expected.data);
		fb_arena_reset(&arena);
	}
}

static void
check_json(const ProtobufCMessageDescriptor *descriptor, const char *hex, const char *expected)
{
	FbBytes json;
	char *text;

	if (!CHECK_STATUS(proto_json(descriptor, from_hex(hex), PROTO_JSON_COMPACT, &arena.allocator,
								 &json, &error),
					  FB_OK))
		return;
	text = fb_text_copy(&arena.allocator, json);
	if (!CHECK_TEXT(text, expected))
		fprintf(stderr, "    for %s\n", hex);
}

static void
test_values(void)
{
	check_json(&common__last_config__descriptor, "", "{\"index\":\"0\"}");
	check_json(&common__last_config__descriptor, "08ffffffffffffffffff01",
			   "{\"index\":\"18446744073709551615\"}");
	check_json(&lifecycle__state_data__descriptor, "", "{}");
	check_json(&lifecycle__state_data__descriptor, "08ffffffffffffffffff01", "{\"Int64\":\"-1\"}");
	check_json(&lifecycle__state_data__descriptor, "1a00", "{\"String\":\"\"}");
	check_json(&protos__response__descriptor,
			   "08c801"
			   "1202"
			   "6f6b"
			   "1a01ff",
			   "{\"message\":\"ok\",\"payload\":\"/w==\",\"status\":200}");
	check_json(&protos__response__descriptor, "08ffffffffffffffffff01",
			   "{\"message\":\"\",\"payload\":null,\"status\":-1}");
	check_json(&common__block_metadata__descriptor, "0a000a01610a0261620a03616263",
			   "{\"metadata\":[\"\",\"YQ==\",\"YWI=\",\"YWJj\"]}");
	check_json(
		&etcdraft__block_metadata__descriptor,
		"0a03010203"
		"1004",
		"{\"consenter_ids\":[\"1\",\"2\",\"3\"],\"next_consenter_id\":\"4\",\"raft_index\":\"0\"}");
	/* enums: name, and number when it has none */
	check_json(&orderer__seek_info__descriptor, "1801",
			   "{\"behavior\":\"FAIL_IF_NOT_READY\",\"content_type\":\"BLOCK\","
			   "\"error_response\":\"STRICT\",\"start\":null,\"stop\":null}");
	check_json(&common__implicit_meta_policy__descriptor, "1063",
			   "{\"rule\":99,\"sub_policy\":\"\"}");
	/* text: characters that Go escapes */
	check_json(
		&common__consortium__descriptor,
		"0a11"
		"225c2f080c0a0d09011f7f3c3e2627c3a4",
		"{\"name\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u003c\\u003e\\u0026'\xc3\xa4\"}");
	check_json(&common__consortium__descriptor,
			   "0a09"
			   "e280a8e280a9e282ac",
			   "{\"name\":\"\\u2028\\u2029\xe2\x82\xac\"}");
	/* maps */
	check_json(&protos__acls__descriptor,
			   "0a0a"
			   "0a0162"
			   "12050a03"
			   "2f5858"
			   "0a03"
			   "0a0161",
			   "{\"acls\":{\"a\":{\"policy_ref\":\"\"},\"b\":{\"policy_ref\":\"/XX\"}}}");
	check_json(&protos__chaincode_proposal_payload__descriptor,
			   "1206"
			   "0a0161"
			   "120178"
			   "1203"
			   "0a0162",
			   "{\"TransientMap\":{\"a\":\"eA==\",\"b\":\"\"},\"input\":null}");
	check_json(&lifecycle__check_commit_readiness_result__descriptor,
			   "0a05"
			   "0a0161"
			   "1001",
			   "{\"approvals\":{\"a\":true},\"mismatches\":{}}");
	fb_arena_reset(&arena);
}

static void
check_timestamp(int64_t seconds, int32_t nanos, const char *expected)
{
	Protos__ProposalResponse response = PROTOS__PROPOSAL_RESPONSE__INIT;
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	FbBytes bytes;
	FbBytes json;
	char *found;

	timestamp.seconds = seconds;
	timestamp.nanos = nanos;
	response.timestamp = &timestamp;
	CHECK_STATUS(PROTO_PACK(&response, &arena.allocator, &bytes, &error), FB_OK);
	CHECK_STATUS(proto_json(&protos__proposal_response__descriptor, bytes, PROTO_JSON_COMPACT,
							&arena.allocator, &json, &error),
				 FB_OK);
	found = strstr(fb_text_copy(&arena.allocator, json), "\"timestamp\":");
	if (CHECK(found != NULL))
	{
		found += strlen("\"timestamp\":");
		found[strcspn(found, ",}")] = '\0';
		CHECK_TEXT(found, expected);
	}
}

static void
test_timestamps(void)
{
	check_timestamp(0, 0, "\"1970-01-01T00:00:00Z\"");
	check_timestamp(0, 1, "\"1970-01-01T00:00:00.000000001Z\"");
	check_timestamp(0, 1000, "\"1970-01-01T00:00:00.000001Z\"");
	check_timestamp(0, 500000000, "\"1970-01-01T00:00:00.500Z\"");
	check_timestamp(-1, 999999999, "\"1969-12-31T23:59:59.999999999Z\"");
	check_timestamp(951782400, 0, "\"2000-02-29T00:00:00Z\"");
	check_timestamp(951868800, 0, "\"2000-03-01T00:00:00Z\"");
	check_timestamp(1709164800, 0, "\"2024-02-29T00:00:00Z\"");
	check_timestamp(4107542399, 0, "\"2100-02-28T23:59:59Z\"");
	check_timestamp(4107542400, 0, "\"2100-03-01T00:00:00Z\"");
	check_timestamp(-INT64_C(62135596800), 0, "\"0001-01-01T00:00:00Z\"");
	check_timestamp(INT64_C(253402300799), 0, "\"9999-12-31T23:59:59Z\"");
	check_timestamp(INT64_C(253402300800), 0, "null");
	check_timestamp(INT64_MAX, 0, "null");
	check_timestamp(INT64_MIN, 0, "null");
	check_timestamp(0, -1, "null");
	check_timestamp(0, 1000000000, "null");
	fb_arena_reset(&arena);
}

static void
test_opaque(void)
{
	/* bytes that are not the expected message are shown as bytes, and the rest is still decoded */
	check_json(&common__envelope__descriptor,
			   "0a02ffff"
			   "120173",
			   "{\"payload\":\"//8=\",\"signature\":\"cw==\"}");
	check_json(
		&common__block_data__descriptor,
		"0a00"
		"0a0101"
		"0a03120173",
		"{\"data\":[{\"payload\":null,\"signature\":null},\"AQ==\",{\"payload\":null,\"signature\":\"cw==\"}]}");
	/* payload data: no header; unknown type; malformed channel header */
	check_json(&common__payload__descriptor, "120178", "{\"data\":\"eA==\",\"header\":null}");
	check_json(
		&common__payload__descriptor,
		"0a04"
		"0a02"
		"0863"
		"120178",
		"{\"data\":\"eA==\",\"header\":{\"channel_header\":{\"channel_id\":\"\",\"epoch\":\"0\",\"extension\":null,"
		"\"timestamp\":null,\"tls_cert_hash\":null,\"tx_id\":\"\",\"type\":99,\"version\":0},\"signature_header\":null}}");
	check_json(
		&common__payload__descriptor,
		"0a03"
		"0a01"
		"08"
		"120178",
		"{\"data\":\"eA==\",\"header\":{\"channel_header\":\"CA==\",\"signature_header\":null}}");
	/* principals by classification: role, organization unit, identity, unknown */
	check_json(
		&common__mspprincipal__descriptor,
		"1205"
		"0a0141"
		"1003",
		"{\"principal\":{\"msp_identifier\":\"A\",\"role\":\"PEER\"},\"principal_classification\":\"ROLE\"}");
	check_json(
		&common__mspprincipal__descriptor,
		"0801"
		"1206"
		"0a0141"
		"120142",
		"{\"principal\":{\"certifiers_identifier\":null,\"msp_identifier\":\"A\",\"organizational_unit_identifier\":\"B\"},"
		"\"principal_classification\":\"ORGANIZATION_UNIT\"}");
	check_json(
		&common__mspprincipal__descriptor,
		"0802"
		"1206"
		"0a0141"
		"120142",
		"{\"principal\":{\"id_bytes\":\"Qg==\",\"mspid\":\"A\"},\"principal_classification\":\"IDENTITY\"}");
	check_json(&common__mspprincipal__descriptor,
			   "0809"
			   "120142",
			   "{\"principal\":\"Qg==\",\"principal_classification\":9}");
	/* policies by type */
	check_json(&common__policy__descriptor,
			   "0803"
			   "1205"
			   "0a0141"
			   "1001",
			   "{\"type\":3,\"value\":{\"rule\":\"ALL\",\"sub_policy\":\"A\"}}");
	check_json(&common__policy__descriptor,
			   "0802"
			   "120141",
			   "{\"type\":2,\"value\":\"QQ==\"}");
	/* the read-write set of a namespace, with a composite key */
	check_json(
		&rwset__tx_read_write_set__descriptor,
		"120e"
		"0a0162"
		"1209"
		"1a07"
		"0a03006100"
		"1001",
		"{\"data_model\":\"KV\",\"ns_rwset\":[{\"collection_hashed_rwset\":[],\"namespace\":\"b\",\"rwset\":{"
		"\"metadata_writes\":[],\"range_queries_info\":[],\"reads\":[],\"writes\":[{\"is_delete\":true,"
		"\"key\":\"\\u0000a\\u0000\",\"value\":null}]}}]}");
	/* configuration: a value is known by its group; the same name elsewhere is bytes */
	check_json(
		&common__config__descriptor,
		"1226"
		"1218"
		"0a074f726465726572"
		"120d1a0b"
		"0a014d"
		"1206"
		"1204"
		"0a020801"
		"1a0a"
		"0a03"
		"4d5350"
		"1203120141",
		"{\"channel_group\":{\"groups\":{\"Orderer\":{\"groups\":{},\"mod_policy\":\"\",\"policies\":{},\"values\":{\"M\":{"
		"\"mod_policy\":\"\",\"value\":\"CgIIAQ==\",\"version\":\"0\"}},\"version\":\"0\"}},\"mod_policy\":\"\","
		"\"policies\":{},\"values\":{\"MSP\":{\"mod_policy\":\"\",\"value\":\"QQ==\",\"version\":\"0\"}},"
		"\"version\":\"0\"},\"sequence\":\"0\"}");
	fb_arena_reset(&arena);
}

static void
test_styles(void)
{
	FbBytes json;
	FbBytes bytes = from_hex("0a03006100");

	CHECK_STATUS(proto_json(&kvrwset__kvread__descriptor, bytes, PROTO_JSON_DATABASE,
							&arena.allocator, &json, &error),
				 FB_OK);
	CHECK_TEXT(fb_text_copy(&arena.allocator, json), "{\"key\":\"\xe2\x90\x80"
													 "a"
													 "\xe2\x90\x80\",\"version\":null}");
	CHECK_STATUS(proto_json(&kvrwset__kvread__descriptor, bytes, PROTO_JSON_PRETTY,
							&arena.allocator, &json, &error),
				 FB_OK);
	CHECK_TEXT(fb_text_copy(&arena.allocator, json),
			   "{\n\t\"key\": \"\\u0000a\\u0000\",\n\t\"version\": null\n}\n");
	CHECK_STATUS(proto_json(&common__capabilities__descriptor,
							from_hex("0a03"
									 "0a0141"),
							PROTO_JSON_PRETTY, &arena.allocator, &json, &error),
				 FB_OK);
	CHECK_TEXT(fb_text_copy(&arena.allocator, json),
			   "{\n\t\"capabilities\": {\n\t\t\"A\": {}\n\t}\n}\n");
	CHECK_STATUS(proto_json(&common__block__descriptor, from_hex("0a01"), PROTO_JSON_PRETTY,
							&arena.allocator, &json, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK(proto_descriptor_by_name(FB_BYTES_LITERAL("common.Block")) == &common__block__descriptor);
	CHECK(proto_descriptor_by_name(FB_BYTES_LITERAL("rwset.TxReadWriteSet")) ==
		  &rwset__tx_read_write_set__descriptor);
	CHECK(proto_descriptor_by_name(FB_BYTES_LITERAL("common.Bloc")) == NULL);
	CHECK(proto_descriptor_by_name(FB_BYTES_EMPTY) == NULL);
	fb_arena_reset(&arena);
}

/*
 * Envelopes in envelopes (header type ORDERER_TRANSACTION): decoded to a limited depth, deeper ones
 * shown as bytes.
 */
static void
test_nesting(void)
{
	FbBytes envelope = FB_BYTES_LITERAL("\x12\x01s");
	FbBytes json;

	for (int i = 0; i < 1000; i++)
	{
		Common__Envelope outer = COMMON__ENVELOPE__INIT;
		Common__Payload payload = COMMON__PAYLOAD__INIT;
		Common__Header header = COMMON__HEADER__INIT;
		FbBytes packed;

		header.channel_header = proto_data(FB_BYTES_LITERAL("\x08\x04"));
		payload.header = &header;
		payload.data = proto_data(envelope);
		FB_ASSERT(PROTO_PACK(&payload, &arena.allocator, &packed, &error) == FB_OK);
		outer.payload = proto_data(packed);
		FB_ASSERT(PROTO_PACK(&outer, &arena.allocator, &envelope, &error) == FB_OK);
	}
	CHECK_STATUS(proto_json(&common__envelope__descriptor, envelope, PROTO_JSON_COMPACT,
							&arena.allocator, &json, &error),
				 FB_OK);
	CHECK(json.size < 10 * envelope.size);
	fb_arena_reset(&arena);
}

/* counts allocated and unreleased bytes: malloc with the size in front */
typedef struct CountingAllocator
{
	FbAllocator allocator; /* must be first */
	size_t bytes;
	size_t bytes_max;
} CountingAllocator;

static void *
counting_allocate(FbAllocator *self, size_t size)
{
	CountingAllocator *counting = (CountingAllocator *) self;
	max_align_t *block = malloc(sizeof(max_align_t) + size);

	memcpy(block, &size, sizeof(size));
	counting->bytes += size;
	if (counting->bytes > counting->bytes_max)
		counting->bytes_max = counting->bytes;
	return block + 1;
}

static void
counting_release(FbAllocator *self, void *pointer)
{
	max_align_t *block = (max_align_t *) pointer - 1;
	size_t size;

	memcpy(&size, block, sizeof(size));
	((CountingAllocator *) self)->bytes -= size;
	free(block);
}

/* Unpacking with a limit: the estimate is not below the real allocation, and is never exceeded. */
static void
test_memory_of_a_message(void)
{
	FbBytes block = check_read_file("test/vectors/blocks/15.block");
	CountingAllocator counting = {{counting_allocate, counting_release}, 0, 0};
	uint64_t estimate = UINT64_MAX;
	uint64_t limit;
	ProtobufCMessage *message;

	CHECK_STATUS(proto_unpack_within(&common__block__descriptor, block, &counting.allocator,
									 &estimate, &message, NULL),
				 FB_OK);
	CHECK(estimate >= counting.bytes && estimate < 2 * block.size + 4096);
	proto_release(message, &counting.allocator);
	CHECK(counting.bytes == 0);
	counting.bytes_max = 0;
	limit = estimate - 1;
	CHECK_STATUS(proto_unpack_within(&common__block__descriptor, block, &counting.allocator, &limit,
									 &message, &error),
				 FB_LIMIT_EXCEEDED);
	CHECK(message == NULL && counting.bytes_max == 0);
	limit = estimate;
	CHECK_STATUS(proto_unpack_within(&common__block__descriptor, block, &counting.allocator, &limit,
									 &message, NULL),
				 FB_OK);
	proto_release(message, &counting.allocator);
	free((void *) block.data);
}

static void
test_out_of_memory(void)
{
	FbBytes block = check_read_file("test/vectors/blocks/15.block");
	FbStatus status = FB_OUT_OF_MEMORY;
	size_t step = 1;

	for (size_t fail_at = 1; status == FB_OUT_OF_MEMORY; fail_at += step)
	{
		FbArena failing;
		FbBytes json;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = proto_json(&common__block__descriptor, block, PROTO_JSON_DATABASE,
							&failing.allocator, &json, &error);
		CHECK(status == FB_OK || (status == FB_OUT_OF_MEMORY && json.size == 0));
		fb_arena_reset(&failing);
		if (fail_at > 300)
			step = 13;
	}
	CHECK_STATUS(status, FB_OK);
	free((void *) block.data);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_real_blocks());
	CHECK_TEST(test_values());
	CHECK_TEST(test_timestamps());
	CHECK_TEST(test_opaque());
	CHECK_TEST(test_styles());
	CHECK_TEST(test_nesting());
	CHECK_TEST(test_memory_of_a_message());
	CHECK_TEST(test_out_of_memory());
	fb_arena_reset(&arena);
	return check_finish("proto/json");
}
