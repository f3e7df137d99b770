/*
 * core/snapshot: bytes of items, records and metadata as Fabric's own code writes them; hostile
 * bytes
 */
#include "unit/check.h"

#include "core/snapshot/snapshot.h"

static FbArena arena;
static FbError error;

static FbBytes
buffer_bytes(const FbBuffer *buffer)
{
	FbBytes bytes;

	CHECK_STATUS(fb_buffer_bytes(buffer, &bytes, &error), FB_OK);
	return bytes;
}

/* the file that snapshot/file.go makes of EncodeString("ns"), EncodeUVarint(300), EncodeBytes(ff)
 */
static void
test_file(void)
{
	FbBuffer buffer;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	FbBytes file;
	FbBytes item;
	uint64_t number;

	fb_buffer_init(&buffer, &arena.allocator);
	fb_buffer_append_byte(&buffer, SNAPSHOT_FORMAT);
	snapshot_put_bytes(&buffer, FB_BYTES_LITERAL("ns"));
	snapshot_put_number(&buffer, 300);
	snapshot_put_bytes(&buffer, FB_BYTES_LITERAL("\xff"));
	file = buffer_bytes(&buffer);
	CHECK_HEX(file, "01026e73ac0201ff");
	crypto_sha256(file, hash);
	CHECK_HEX(fb_bytes(hash, sizeof(hash)),
			  "e87c8dee7cf8d3ab9edc2ff4912e12c516ebd118ffd6fd3f6023eef0b63be746");

	file = fb_bytes(file.data + 1, file.size - 1);
	CHECK(snapshot_take_bytes(&file, &item) == SNAPSHOT_TAKEN);
	CHECK(fb_bytes_equal(item, FB_BYTES_LITERAL("ns")));
	CHECK(snapshot_take_number(&file, &number) == SNAPSHOT_TAKEN && number == 300);
	CHECK(snapshot_take_bytes(&file, &item) == SNAPSHOT_TAKEN);
	CHECK(fb_bytes_equal(item, FB_BYTES_LITERAL("\xff")) && file.size == 0);
	CHECK(snapshot_take_bytes(&file, &item) == SNAPSHOT_MORE);
}

static void
test_items(void)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT64_MAX};
	FbBytes window;
	uint64_t number;
	FbBytes item;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		FbBuffer buffer;

		fb_buffer_init(&buffer, &arena.allocator);
		snapshot_put_number(&buffer, numbers[i]);
		for (size_t size = 0; size < buffer.size; size++)
		{
			window = fb_bytes(buffer.data, size);
			CHECK(snapshot_take_number(&window, &number) == SNAPSHOT_MORE && window.size == size);
		}
		window = buffer_bytes(&buffer);
		CHECK(snapshot_take_number(&window, &number) == SNAPSHOT_TAKEN && number == numbers[i]);
	}
	window = FB_BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
	CHECK(snapshot_take_number(&window, &number) == SNAPSHOT_MALFORMED);
	/* the window ends in the item, and is left as it is */
	window = FB_BYTES_LITERAL("\x05"
							  "abcd");
	CHECK(snapshot_take_bytes(&window, &item) == SNAPSHOT_MORE && window.size == 5);
	/* larger than any value: not to be waited for */
	window = FB_BYTES_LITERAL("\xff\xff\xff\xff\x7f");
	CHECK(snapshot_take_bytes(&window, &item) == SNAPSHOT_MALFORMED);
}

static void
test_records(void)
{
	SnapshotRecord record = {FB_BYTES_LITERAL("k"),
							 FB_BYTES_LITERAL("v"),
							 FB_BYTES_LITERAL("m"),
							 {true, 256, 0}};
	SnapshotRecord read;
	FbBuffer buffer;
	FbBytes window;
	FbBytes item;
	/* without version, version cut off, trailing byte, long number, fields twice, other field,
	 * another order, another type, a tag of two bytes */
	static const FbBytes wrong[] = {
		FB_BYTES_LITERAL(""),
		FB_BYTES_LITERAL("\x0a\x01k"),
		FB_BYTES_LITERAL("\x22\x01\x01"),
		FB_BYTES_LITERAL("\x22\x03\x01\x01\x01"),
		FB_BYTES_LITERAL("\x22\x03\x00\x00\x00"),
		FB_BYTES_LITERAL("\x22\x03\x01\x00\x00"),
		FB_BYTES_LITERAL("\x22\x01\x09"),
		FB_BYTES_LITERAL("\x0a\x01k\x0a\x01k\x22\x02\x00\x00"),
		FB_BYTES_LITERAL("\x22\x02\x00\x00\x0a\x01k"),
		FB_BYTES_LITERAL("\x12\x01v\x0a\x01k\x22\x02\x00\x00"),
		FB_BYTES_LITERAL("\x2a\x01x\x22\x02\x00\x00"),
		FB_BYTES_LITERAL("\x08\x01\x22\x02\x00\x00"),
		FB_BYTES_LITERAL("\x8a\x00\x01k\x22\x02\x00\x00"),
		FB_BYTES_LITERAL("\x22\x02\x00"),
		FB_BYTES_LITERAL("\x22\x02\x00\x00\x00"),
	};

	fb_buffer_init(&buffer, &arena.allocator);
	snapshot_put_record(&buffer, &record);
	window = buffer_bytes(&buffer);
	CHECK_HEX(window, "0f0a016b1201761a016d220402010000");
	CHECK(snapshot_take_bytes(&window, &item) == SNAPSHOT_TAKEN);
	CHECK_STATUS(snapshot_record_parse(item, &read, &error), FB_OK);
	CHECK(fb_bytes_equal(read.key, record.key) && fb_bytes_equal(read.value, record.value) &&
		  fb_bytes_equal(read.metadata, record.metadata) &&
		  rwset_version_equal(read.version, record.version));
	CHECK_STATUS(snapshot_record_parse(FB_BYTES_LITERAL("\x22\x02\x00\x00"), &read, &error), FB_OK);
	CHECK(read.key.size == 0 && read.version.block_number == 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_STATUS(snapshot_record_parse(wrong[i], &read, &error), FB_MALFORMED_MESSAGE);
}

static void
test_config_keys(void)
{
	FbBytes key;
	FbBytes chaincode;
	uint64_t number;

	CHECK_STATUS(snapshot_config_key(&arena.allocator, FB_BYTES_LITERAL("cc"), 258, &key, &error),
				 FB_OK);
	/* "slscc", 0, "cc~collection", MaxUint64 - 258 (confighistory/db_helper.go) */
	CHECK_HEX(key, "736c7363630063637e636f6c6c656374696f6efffffffffffffefd");
	CHECK_STATUS(snapshot_config_key_parse(key, &chaincode, &number, &error), FB_OK);
	CHECK(fb_bytes_equal(chaincode, FB_BYTES_LITERAL("cc")) && number == 258);
	for (size_t size = 0; size < key.size; size++)
		CHECK_STATUS(snapshot_config_key_parse(fb_bytes(key.data, size), &chaincode, &number,
											   &error),
					 FB_MALFORMED_MESSAGE);
}

/* as json.MarshalIndent(m, "", "    ") writes SnapshotSignableMetadata (kvledger/snapshot.go) */
static const char metadata_text[] =
	"{\n"
	"    \"channel_name\": \"trade\",\n"
	"    \"last_block_number\": 7,\n"
	"    \"last_block_hash\": "
	"\"0101010101010101010101010101010101010101010101010101010101010101\",\n"
	"    \"previous_block_hash\": "
	"\"0202020202020202020202020202020202020202020202020202020202020202\",\n"
	"    \"snapshot_files_raw_hashes\": {\n"
	"        \"public_state.data\": "
	"\"0303030303030303030303030303030303030303030303030303030303030303\",\n"
	"        \"public_state.metadata\": "
	"\"0404040404040404040404040404040404040404040404040404040404040404\"\n"
	"    },\n"
	"    \"state_db_type\": \"SimpleKeyValueDB\"\n"
	"}";

static SnapshotMetadata
example(void)
{
	SnapshotMetadata metadata = {.channel = "trade", .last_block_number = 7, .has_previous = true};

	memset(metadata.last_block_hash, 1, CRYPTO_SHA256_BYTES);
	memset(metadata.previous_block_hash, 2, CRYPTO_SHA256_BYTES);
	metadata.present[SNAPSHOT_PUBLIC_STATE] = metadata.present[SNAPSHOT_PUBLIC_STATE_COUNT] = true;
	memset(metadata.hashes[SNAPSHOT_PUBLIC_STATE], 3, CRYPTO_SHA256_BYTES);
	memset(metadata.hashes[SNAPSHOT_PUBLIC_STATE_COUNT], 4, CRYPTO_SHA256_BYTES);
	return metadata;
}

static void
test_metadata(void)
{
	SnapshotMetadata metadata = example();
	SnapshotMetadata read;
	FbBytes json;
	const char *compact = "{\"state_db_type\":\"CouchDB\" , \"snapshot_files_raw_hashes\":{},"
						  "\"previous_block_hash\":\"\",\"last_block_hash\":"
						  "\"0101010101010101010101010101010101010101010101010101010101010101\","
						  "\"last_block_number\":0,\"channel_name\":\"a\"}\n";

	CHECK_STATUS(snapshot_metadata_pack(&arena.allocator, &metadata, &json, &error), FB_OK);
	CHECK(fb_bytes_equal(json, fb_bytes_of_text(metadata_text)));
	CHECK_STATUS(snapshot_metadata_parse(json, &read, &error), FB_OK);
	CHECK(memcmp(&read, &metadata, sizeof(read)) == 0);
	CHECK_STATUS(snapshot_metadata_parse(fb_bytes_of_text(compact), &read, &error), FB_OK);
	CHECK(read.is_couchdb && !read.has_previous && read.last_block_number == 0);
	/* nothing that is cut off, and no changed byte that changes the meaning */
	for (size_t size = 0; size < json.size; size++)
		CHECK_STATUS(snapshot_metadata_parse(fb_bytes(json.data, size), &read, &error),
					 FB_MALFORMED_MESSAGE);
}

static void
replace_text(const char *from, const char *to)
{
	SnapshotMetadata read;
	const char *found = strstr(metadata_text, from);
	FbBuffer buffer;

	CHECK(found != NULL);
	fb_buffer_init(&buffer, &arena.allocator);
	fb_buffer_append(&buffer, metadata_text, (size_t) (found - metadata_text));
	fb_buffer_append_text(&buffer, to);
	fb_buffer_append_text(&buffer, found + strlen(from));
	CHECK_STATUS(snapshot_metadata_parse(buffer_bytes(&buffer), &read, &error),
				 FB_MALFORMED_MESSAGE);
}

static void
test_wrong_metadata(void)
{
	replace_text("\"trade\"", "\"\"");
	replace_text("\"trade\"", "\"tr\\u0061de\"");
	replace_text("\"trade\"", "7");
	replace_text(": 7,", ": 07,");
	replace_text(": 7,", ": -7,");
	replace_text(": 7,", ": 7.0,");
	replace_text(": 7,", ": 9223372036854775808,");
	replace_text(": 7,", ": 0,");
	replace_text("0101", "01");
	replace_text("0101", "01zz");
	replace_text("0202020202020202020202020202020202020202020202020202020202020202", "");
	replace_text("public_state.metadata", "public_state.data");
	replace_text("public_state.metadata", "txids.data");
	replace_text("public_state.metadata", "../../etc/passwd");
	replace_text("SimpleKeyValueDB", "goleveldb");
	replace_text("channel_name", "state_db_type");
	replace_text("channel_name", "name");
	replace_text("\"\n}", "\"\n}}");
	replace_text("\"\n}", "\",\n}");
}

static void
test_additional(void)
{
	SnapshotAdditional additional = {.has_commit_hash = true};
	SnapshotAdditional read;
	FbBytes json;

	memset(additional.snapshot_hash, 5, CRYPTO_SHA256_BYTES);
	memset(additional.commit_hash, 6, CRYPTO_SHA256_BYTES);
	CHECK_STATUS(snapshot_additional_pack(&arena.allocator, &additional, &json, &error), FB_OK);
	CHECK(fb_bytes_equal(
		json, FB_BYTES_LITERAL(
				  "{\n    \"snapshot_hash\": "
				  "\"0505050505050505050505050505050505050505050505050505050505050505\","
				  "\n    \"last_block_commit_hash\": "
				  "\"0606060606060606060606060606060606060606060606060606060606060606\"\n}")));
	CHECK_STATUS(snapshot_additional_parse(json, &read, &error), FB_OK);
	CHECK(memcmp(&read, &additional, sizeof(read)) == 0);
	additional.has_commit_hash = false;
	CHECK_STATUS(snapshot_additional_pack(&arena.allocator, &additional, &json, &error), FB_OK);
	CHECK_STATUS(snapshot_additional_parse(json, &read, &error), FB_OK);
	CHECK(!read.has_commit_hash);
	CHECK_STATUS(snapshot_additional_parse(FB_BYTES_LITERAL("{}"), &read, &error),
				 FB_MALFORMED_MESSAGE);
}

static void
test_memory(void)
{
	SnapshotMetadata metadata = example();
	FbStatus status = FB_OUT_OF_MEMORY;

	for (size_t n = 1; status != FB_OK; n++)
	{
		FbArena failing;
		FbBytes json;

		CHECK(n < 1000);
		fb_arena_init(&failing);
		failing.fail_at = n;
		status = snapshot_metadata_pack(&failing.allocator, &metadata, &json, &error);
		CHECK(status == FB_OK || status == FB_OUT_OF_MEMORY);
		fb_arena_reset(&failing);
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_file());
	CHECK_TEST(test_items());
	CHECK_TEST(test_records());
	CHECK_TEST(test_config_keys());
	CHECK_TEST(test_metadata());
	CHECK_TEST(test_wrong_metadata());
	CHECK_TEST(test_additional());
	CHECK_TEST(test_memory());
	fb_arena_reset(&arena);
	return check_finish("snapshot");
}
