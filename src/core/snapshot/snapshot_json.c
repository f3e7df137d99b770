/*
 * snapshot_json.c: the two JSON files of a snapshot, written as Go's json.MarshalIndent does with
 * four spaces, and read from any JSON with the same members
 */
#include "core/snapshot/snapshot.h"

#include <inttypes.h>

/* ---- writing ---- */

static void
append_hash(FbBuffer *buffer, const uint8_t *hash)
{
	char hex[2 * CRYPTO_SHA256_BYTES + 1];

	fb_hex_encode(fb_bytes(hash, CRYPTO_SHA256_BYTES), hex);
	fb_buffer_append_text(buffer, hex);
}

static void
append_hash_member(FbBuffer *buffer, const char *name, bool present, const uint8_t *hash)
{
	fb_buffer_append_format(buffer, "    \"%s\": \"", name);
	if (present)
		append_hash(buffer, hash);
	fb_buffer_append_text(buffer, "\"");
}

FbStatus
snapshot_metadata_pack(FbAllocator *allocator, const SnapshotMetadata *metadata, FbBytes *json,
					   FbError *error)
{
	FbBuffer buffer;
	const char *separator = "\n";

	fb_buffer_init(&buffer, allocator);
	/* names of channels and files have no character that JSON escapes */
	fb_buffer_append_format(&buffer,
							"{\n    \"channel_name\": \"%s\",\n    \"last_block_number\": %" PRIu64
							",\n",
							metadata->channel, metadata->last_block_number);
	append_hash_member(&buffer, "last_block_hash", true, metadata->last_block_hash);
	fb_buffer_append_text(&buffer, ",\n");
	append_hash_member(&buffer, "previous_block_hash", metadata->has_previous,
					   metadata->previous_block_hash);
	fb_buffer_append_text(&buffer, ",\n    \"snapshot_files_raw_hashes\": {");
	for (int i = 0; i < SNAPSHOT_FILES_COUNT; i++)
		if (metadata->present[i])
		{
			fb_buffer_append_text(&buffer, separator);
			fb_buffer_append_text(&buffer, "    ");
			append_hash_member(&buffer, snapshot_file_name((SnapshotFile) i), true,
							   metadata->hashes[i]);
			separator = ",\n";
		}
	fb_buffer_append_format(&buffer, "%s},\n    \"state_db_type\": \"%s\"\n}",
							separator[0] == ',' ? "\n    " : "",
							metadata->is_couchdb ? "CouchDB" : "SimpleKeyValueDB");
	return fb_buffer_bytes(&buffer, json, error);
}

FbStatus
snapshot_additional_pack(FbAllocator *allocator, const SnapshotAdditional *additional,
						 FbBytes *json, FbError *error)
{
	FbBuffer buffer;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_text(&buffer, "{\n");
	append_hash_member(&buffer, "snapshot_hash", true, additional->snapshot_hash);
	fb_buffer_append_text(&buffer, ",\n");
	append_hash_member(&buffer, "last_block_commit_hash", additional->has_commit_hash,
					   additional->commit_hash);
	fb_buffer_append_text(&buffer, "\n}");
	return fb_buffer_bytes(&buffer, json, error);
}

/* ---- reading ---- */

typedef struct JsonReader
{
	FbBytes text;
	size_t at;
	FbError *error;
} JsonReader;

static FbStatus
json_malformed(JsonReader *reader, const char *expected)
{
	return fb_fail(reader->error, FB_MALFORMED_MESSAGE,
				   "metadata of the snapshot: %s expected at byte %zu", expected, reader->at);
}

static void
json_skip_space(JsonReader *reader)
{
	while (reader->at < reader->text.size &&
		   memchr(" \t\r\n", reader->text.data[reader->at], 4) != NULL)
		reader->at++;
}

static bool
json_take(JsonReader *reader, char mark)
{
	json_skip_space(reader);
	if (reader->at == reader->text.size || reader->text.data[reader->at] != (uint8_t) mark)
		return false;
	reader->at++;
	return true;
}

/* a string without escapes: none of the names and values needs one */
static FbStatus
json_string(JsonReader *reader, FbBytes *string)
{
	size_t start;

	if (!json_take(reader, '"'))
		return json_malformed(reader, "a string");
	for (start = reader->at; reader->at < reader->text.size; reader->at++)
	{
		uint8_t byte = reader->text.data[reader->at];

		if (byte == '"')
		{
			*string = fb_bytes(reader->text.data + start, reader->at - start);
			reader->at++;
			return FB_OK;
		}
		if (byte < 0x20 || byte >= 0x7f || byte == '\\')
			break;
	}
	return json_malformed(reader, "a printable ASCII character without escape");
}

static FbStatus
json_number(JsonReader *reader, uint64_t *number)
{
	size_t start;

	json_skip_space(reader);
	start = reader->at;
	*number = 0;
	while (reader->at < reader->text.size && reader->text.data[reader->at] >= '0' &&
		   reader->text.data[reader->at] <= '9')
	{
		uint64_t digit = (uint64_t) (reader->text.data[reader->at] - '0');

		/* block numbers are stored in 63 bits */
		if (*number > (INT64_MAX - digit) / 10)
			return json_malformed(reader, "a smaller number");
		*number = *number * 10 + digit;
		reader->at++;
	}
	if (reader->at == start || (reader->at > start + 1 && reader->text.data[start] == '0'))
		return json_malformed(reader, "a number");
	return FB_OK;
}

/* an empty string is allowed if present is not NULL */
static FbStatus
json_hash(JsonReader *reader, bool *present, uint8_t *hash)
{
	FbBytes hex;

	FB_TRY(json_string(reader, &hex));
	if (present != NULL)
		*present = hex.size > 0;
	if (present != NULL && hex.size == 0)
		return FB_OK;
	if (hex.size != 2 * CRYPTO_SHA256_BYTES ||
		!fb_hex_decode((const char *) hex.data, hex.size, hash))
		return json_malformed(reader, "a SHA-256 hash in hex before this");
	return FB_OK;
}

typedef FbStatus (*JsonMember)(JsonReader *reader, FbBytes name, void *target);

/* an object; member reads each value */
static FbStatus
json_object(JsonReader *reader, JsonMember member, void *target)
{
	if (!json_take(reader, '{'))
		return json_malformed(reader, "an object");
	if (json_take(reader, '}'))
		return FB_OK;
	do
	{
		FbBytes name;

		FB_TRY(json_string(reader, &name));
		if (!json_take(reader, ':'))
			return json_malformed(reader, "a colon");
		FB_TRY(member(reader, name, target));
	} while (json_take(reader, ','));
	return json_take(reader, '}') ? FB_OK : json_malformed(reader, "a comma or a brace");
}

static FbStatus
json_document(FbBytes json, JsonMember member, void *target, FbError *error)
{
	JsonReader reader = {json, 0, error};

	if (json.size > SNAPSHOT_JSON_BYTES_MAX)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "metadata of the snapshot have %zu bytes",
					   json.size);
	FB_TRY(json_object(&reader, member, target));
	json_skip_space(&reader);
	return reader.at == json.size ? FB_OK : json_malformed(&reader, "the end");
}

/* the index of the name; names_count: it is not one of them, or was read before */
static size_t
find_member(FbBytes name, const char *const *names, size_t names_count, bool *seen)
{
	for (size_t i = 0; i < names_count; i++)
		if (fb_bytes_equal(name, fb_bytes_of_text(names[i])) && !seen[i])
		{
			seen[i] = true;
			return i;
		}
	return names_count;
}

enum
{
	MEMBER_CHANNEL,
	MEMBER_NUMBER,
	MEMBER_LAST_HASH,
	MEMBER_PREVIOUS_HASH,
	MEMBER_FILES,
	MEMBER_DB_TYPE,
	MEMBER_COUNT
};

typedef struct MetadataTarget
{
	SnapshotMetadata *metadata;
	bool seen[MEMBER_COUNT];
} MetadataTarget;

static FbStatus
read_file_hash(JsonReader *reader, FbBytes name, void *context)
{
	SnapshotMetadata *metadata = context;
	const char *names[SNAPSHOT_FILES_COUNT];
	size_t file;

	for (int i = 0; i < SNAPSHOT_FILES_COUNT; i++)
		names[i] = snapshot_file_name((SnapshotFile) i);
	file = find_member(name, names, SNAPSHOT_FILES_COUNT, metadata->present);
	if (file == SNAPSHOT_FILES_COUNT)
		return json_malformed(reader, "the name of another file");
	return json_hash(reader, NULL, metadata->hashes[file]);
}

static FbStatus
read_channel_name(JsonReader *reader, SnapshotMetadata *metadata)
{
	FbBytes name;

	FB_TRY(json_string(reader, &name));
	if (name.size == 0 || name.size > FB_CHANNEL_ID_BYTES_MAX)
		return json_malformed(reader, "the name of a channel before this");
	memcpy(metadata->channel, name.data, name.size);
	metadata->channel[name.size] = '\0';
	return FB_OK;
}

static FbStatus
read_db_type(JsonReader *reader, SnapshotMetadata *metadata)
{
	FbBytes type;

	FB_TRY(json_string(reader, &type));
	metadata->is_couchdb = fb_bytes_equal(type, FB_BYTES_LITERAL("CouchDB"));
	if (!metadata->is_couchdb && !fb_bytes_equal(type, FB_BYTES_LITERAL("SimpleKeyValueDB")))
		return json_malformed(reader, "\"SimpleKeyValueDB\" or \"CouchDB\" before this");
	return FB_OK;
}

static FbStatus
read_metadata_member(JsonReader *reader, FbBytes name, void *context)
{
	static const char *const names[MEMBER_COUNT] = {"channel_name",
													"last_block_number",
													"last_block_hash",
													"previous_block_hash",
													"snapshot_files_raw_hashes",
													"state_db_type"};
	MetadataTarget *target = context;
	SnapshotMetadata *metadata = target->metadata;

	switch (find_member(name, names, MEMBER_COUNT, target->seen))
	{
		case MEMBER_CHANNEL:
			return read_channel_name(reader, metadata);
		case MEMBER_NUMBER:
			return json_number(reader, &metadata->last_block_number);
		case MEMBER_LAST_HASH:
			return json_hash(reader, NULL, metadata->last_block_hash);
		case MEMBER_PREVIOUS_HASH:
			return json_hash(reader, &metadata->has_previous, metadata->previous_block_hash);
		case MEMBER_FILES:
			return json_object(reader, read_file_hash, metadata);
		case MEMBER_DB_TYPE:
			return read_db_type(reader, metadata);
		default:
			return json_malformed(reader, "the name of another member");
	}
}

FbStatus
snapshot_metadata_parse(FbBytes json, SnapshotMetadata *metadata, FbError *error)
{
	MetadataTarget target = {.metadata = metadata};

	memset(metadata, 0, sizeof(*metadata));
	FB_TRY(json_document(json, read_metadata_member, &target, error));
	for (int i = 0; i < MEMBER_COUNT; i++)
		if (!target.seen[i])
			return fb_fail(error, FB_MALFORMED_MESSAGE, "metadata of the snapshot are incomplete");
	for (int i = 0; i < SNAPSHOT_FILES_COUNT; i += 2)
		if (metadata->present[i] != metadata->present[i + 1])
			return fb_fail(error, FB_MALFORMED_MESSAGE,
						   "the snapshot has only one of the files \"%s\" and \"%s\"",
						   snapshot_file_name((SnapshotFile) i),
						   snapshot_file_name((SnapshotFile) (i + 1)));
	if (metadata->has_previous != (metadata->last_block_number > 0))
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "metadata of the snapshot: only block 0 has no previous block");
	return FB_OK;
}

typedef struct AdditionalTarget
{
	SnapshotAdditional *additional;
	bool seen[2];
} AdditionalTarget;

static FbStatus
read_additional_member(JsonReader *reader, FbBytes name, void *context)
{
	static const char *const names[2] = {"snapshot_hash", "last_block_commit_hash"};
	AdditionalTarget *target = context;

	switch (find_member(name, names, 2, target->seen))
	{
		case 0:
			return json_hash(reader, NULL, target->additional->snapshot_hash);
		case 1:
			return json_hash(reader, &target->additional->has_commit_hash,
							 target->additional->commit_hash);
		default:
			return json_malformed(reader, "the name of another member");
	}
}

FbStatus
snapshot_additional_parse(FbBytes json, SnapshotAdditional *additional, FbError *error)
{
	AdditionalTarget target = {.additional = additional};

	memset(additional, 0, sizeof(*additional));
	FB_TRY(json_document(json, read_additional_member, &target, error));
	if (!target.seen[0] || !target.seen[1])
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "additional metadata of the snapshot are incomplete");
	return FB_OK;
}
