/*
 * Messages from JSON: what proto_json prints of real blocks becomes messages again, and texts that
 * are no messages are refused.
 */
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;
static FbError error;

static FbBytes
json_of(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes, ProtoJsonStyle style)
{
	FbBytes text;

	CHECK_STATUS(proto_json(descriptor, bytes, style, allocator, &text, &error), FB_OK);
	return text;
}

/* the JSON of a message, its bytes again, and their JSON; in every style */
static FbBytes
check_round_trip(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes)
{
	FbBytes again = FB_BYTES_EMPTY;

	for (int style = PROTO_JSON_PRETTY; style <= PROTO_JSON_DATABASE; style++)
	{
		FbBytes text = json_of(descriptor, bytes, (ProtoJsonStyle) style);

		if (CHECK_STATUS(proto_encode(descriptor, text, allocator, &again, &error), FB_OK))
			CHECK(fb_bytes_equal(text, json_of(descriptor, again, (ProtoJsonStyle) style)));
		else
			fprintf(stderr, "    %s: %s\n", error.message, error.detail);
	}
	return again;
}

/* real blocks: all kinds of messages; the bytes are the same where no maps are in them */
static void
test_real_blocks(void)
{
	static const int numbers[] = {0, 1, 5, 9, 13, 15};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		char path[100];
		FbBytes file;
		FbBytes again;

		snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", numbers[i]);
		file = check_read_file(path);
		again = check_round_trip(&common__block__descriptor, file);
		CHECK(again.size == file.size);
		if (numbers[i] > 0)
			CHECK(fb_bytes_equal(again, file));
		free((void *) file.data);
		fb_arena_reset(&arena);
	}
}

static FbStatus
encode(const ProtobufCMessageDescriptor *descriptor, const char *text, FbBytes *bytes)
{
	return proto_encode(descriptor, fb_bytes_of_text(text), allocator, bytes, &error);
}

static void
test_values(void)
{
	FbBytes bytes;

	CHECK_STATUS(encode(&common__header__descriptor, "{}", &bytes), FB_OK);
	CHECK(bytes.size == 0);
	CHECK_STATUS(
		encode(&common__block_header__descriptor,
			   " { \"data_hash\" : \"AQI=\" , \"number\" : 300 , \"previous_hash\" : null } ",
			   &bytes),
		FB_OK);
	CHECK_HEX(bytes, "08ac021a020102");
	CHECK_STATUS(encode(&common__block_header__descriptor, "{\"number\":\"18446744073709551615\"}",
						&bytes),
				 FB_OK);
	CHECK_HEX(bytes, "08ffffffffffffffffff01");
	/* the type, which comes last, decides what the value holds */
	CHECK_STATUS(encode(&common__policy__descriptor,
						"{\"value\":{\"rule\":\"MAJORITY\",\"sub_policy\":\"Admins\"},\"type\":3}",
						&bytes),
				 FB_OK);
	CHECK_HEX(bytes, "0803120a0a0641646d696e731002");
	/* escapes, and a surrogate pair */
	CHECK_STATUS(encode(&common__implicit_meta_policy__descriptor,
						"{\"sub_policy\":\"\\u00e4\\n\\\"\\ud83d\\ude00\"}", &bytes),
				 FB_OK);
	CHECK_HEX(bytes, "0a08c3a40a22f09f9880");
	CHECK_STATUS(encode(&common__channel_header__descriptor,
						"{\"timestamp\":\"2024-02-29T23:59:59.5Z\"}", &bytes),
				 FB_OK);
	CHECK_HEX(bytes, "1a0c08ffb484af0610"
					 "80cab5ee01");
	/* maps are sorted, and the last value of a key counts */
	CHECK_STATUS(encode(&common__capabilities__descriptor,
						"{\"capabilities\":{\"b\":{},\"a\":{},\"b\":{}}}", &bytes),
				 FB_OK);
	CHECK_HEX(bytes, "0a050a01611200"
					 "0a050a01621200");
}

static void
test_refused(void)
{
	static const char *const texts[] = {
		"",
		"x",
		"[]",
		"{",
		"{}}",
		"{} {}",
		"{\"number\"}",
		"{\"number\":}",
		"{\"number\":1,}",
		"{\"number\":1 \"data_hash\":null}",
		"{\"number\":-1}",
		"{\"number\":1.5}",
		"{\"number\":18446744073709551616}",
		"{\"number\":\"\"}",
		"{\"number\":{}}",
		"{\"number\":1,\"number\":1}",
		"{\"Number\":1}",
		"{\"data_hash\":1}",
		"{\"data_hash\":{}}",
		"{\"data_hash\":\"A\"}",
		"{\"data_hash\":\"A===\"}",
		"{\"data_hash\":\"=AAA\"}",
		"{\"data_hash\":\"AAA-\"}",
		"{\"data_hash\":\"\\q\"}",
		"{\"data_hash\":\"\\ud800\"}",
		"{\"data_hash\":\"\\udc00\"}",
		"{\"data_hash\":\"\\u12\"}",
		"{\"data_hash\":\"\n\"}",
		"{\"data_hash\":\"",
		"{\"data_hash\":\"\\",
		"{\"data_hash\":[\"AA==\"]}",
	};
	FbBytes bytes;
	char *deep = fb_allocate(allocator, 60001);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!CHECK_STATUS(encode(&common__block_header__descriptor, texts[i], &bytes),
						  FB_MALFORMED_MESSAGE))
			fprintf(stderr, "    %s\n", texts[i]);
	CHECK_STATUS(encode(&common__implicit_meta_policy__descriptor, "{\"rule\":\"WHAT\"}", &bytes),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(encode(&common__policy__descriptor, "{\"value\":{\"rule\":1}}", &bytes),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(encode(&common__implicit_meta_policy__descriptor, "{\"sub_policy\":\"a\\u0000b\"}",
						&bytes),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(encode(&common__channel_header__descriptor,
						"{\"timestamp\":\"2024-13-01T00:00:00Z\"}", &bytes),
				 FB_MALFORMED_MESSAGE);
	/* a group in a group in a group ... */
	deep[0] = '\0';
	for (size_t i = 0; i < 60000 / 15; i++)
		memcpy(deep + i * 15, "{\"groups\":{\"g\":", 15);
	deep[60000] = '\0';
	CHECK_STATUS(encode(&common__config_group__descriptor, deep, &bytes), FB_MALFORMED_MESSAGE);
	memset(deep, '{', 60000);
	CHECK_STATUS(encode(&common__config_group__descriptor, deep, &bytes), FB_MALFORMED_MESSAGE);
}

/* nesting that is closed again is refused by its depth */
static void
test_nesting(void)
{
	FbBuffer buffer;
	FbBytes bytes;

	fb_buffer_init(&buffer, allocator);
	for (int i = 0; i < 1000; i++)
		fb_buffer_append_text(&buffer, "{\"groups\":{\"g\":");
	fb_buffer_append_text(&buffer, "{}");
	for (int i = 0; i < 1000; i++)
		fb_buffer_append_text(&buffer, "}}");
	CHECK_STATUS(proto_encode(&common__config_group__descriptor, fb_bytes(buffer.data, buffer.size),
							  allocator, &bytes, &error),
				 FB_LIMIT_EXCEEDED);
}

static void
test_failing_allocator(void)
{
	const char *text = "{\"type\":3,\"value\":{\"sub_policy\":\"\\u00e4\",\"rule\":\"ALL\"}}";
	size_t fail_at = 1;

	for (;; fail_at++)
	{
		FbArena failing;
		FbBytes bytes;
		FbStatus status;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = proto_encode(&common__policy__descriptor, fb_bytes_of_text(text),
							  &failing.allocator, &bytes, &error);
		fb_arena_reset(&failing);
		if (status == FB_OK)
			break;
		if (!CHECK_STATUS(status, FB_OUT_OF_MEMORY))
			break;
	}
	CHECK(fail_at > 5);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_real_blocks());
	CHECK_TEST(test_values());
	CHECK_TEST(test_refused());
	CHECK_TEST(test_nesting());
	CHECK_TEST(test_failing_allocator());
	fb_arena_reset(&arena);
	return check_finish("proto encode");
}
