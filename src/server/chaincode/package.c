/*
 * package: the file that organizations exchange: Fabric's tar.gz {metadata.json, code.tar.gz
 * {src/chaincode.sql}}.
 *
 * A package is untrusted: every size is checked before memory is allocated for it, and an entry's
 * size is known from its header before any of it is decompressed.
 */
#include "postgres.h"

#include <archive.h>
#include <archive_entry.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "core/crypto/crypto.h"
#include "server/chaincode/chaincode_internal.h"
#include "server/pg/compat.h"
#include "server/pg/pg.h"

/* limits of one archive: bounds the work that a small hostile file can cause */
typedef struct ArchiveBudget
{
	int entries_left;
	int64 bytes_left; /* decompressed */
} ArchiveBudget;

/* ---- writing ---- */

/*
 * The sink of libarchive: a buffer of sufficient size, because no error may jump out of libarchive.
 */
typedef struct FixedSink
{
	uint8 *data;
	size_t size;
	size_t capacity;
} FixedSink;

static la_ssize_t
sink_write(struct archive *archive, void *client, const void *data, size_t size)
{
	FixedSink *sink = client;

	if (size > sink->capacity - sink->size)
		return -1;
	memcpy(sink->data + sink->size, data, size);
	sink->size += size;
	return size;
}

static bool
write_entry(struct archive *archive, const char *name, FbBytes content)
{
	struct archive_entry *entry = archive_entry_new();
	bool good;

	if (entry == NULL)
		return false;
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, content.size);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	good = archive_write_header(archive, entry) == ARCHIVE_OK &&
		   archive_write_data(archive, content.data, content.size) == (la_ssize_t) content.size &&
		   archive_write_finish_entry(archive) == ARCHIVE_OK;
	archive_entry_free(entry);
	return good;
}

/* Make a tar.gz of the given files. The bytes do not depend on time, user or machine. */
static FbBytes
write_archive(int count, const char *const *names, const FbBytes *contents)
{
	FixedSink sink = {0};
	struct archive *archive;
	bool good;

	/*
	 * deflate adds less than a thousandth to incompressible input; a tar needs a header and padding
	 * per entry, and an end
	 */
	sink.capacity = 65536;
	for (int i = 0; i < count; i++)
		sink.capacity += contents[i].size + contents[i].size / 1000 + 2048;
	sink.data = palloc_extended(sink.capacity, MCXT_ALLOC_HUGE);

	archive = archive_write_new();
	good = archive != NULL && archive_write_set_format_ustar(archive) == ARCHIVE_OK &&
		   archive_write_add_filter_gzip(archive) == ARCHIVE_OK &&
		   archive_write_set_options(archive, "gzip:compression-level=9,gzip:!timestamp") ==
			   ARCHIVE_OK &&
		   archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK &&
		   archive_write_open(archive, &sink, NULL, sink_write, NULL) == ARCHIVE_OK;
	for (int i = 0; good && i < count; i++)
		good = write_entry(archive, names[i], contents[i]);
	good = good && archive_write_close(archive) == ARCHIVE_OK;
	if (archive != NULL)
		archive_write_free(archive);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not write the chaincode package")));
	return fb_bytes(sink.data, sink.size);
}

/* ^[[:alnum:]][[:alnum:]_.+-]*$ of core/chaincode/persistence/chaincode_package.go, in ASCII */
static bool
is_label(const char *label)
{
	for (const char *c = label; *c != '\0'; c++)
	{
		bool alphanumeric =
			(*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

		if (!alphanumeric && (c == label || strchr("_.+-", *c) == NULL))
			return false;
	}
	return *label != '\0' && strlen(label) <= CHAINCODE_LABEL_BYTES_MAX;
}

/* label:hash, docs/wire-format.md, "Chaincode packages" */
bool
package_is_id(const char *package_id)
{
	const char *colon = strchr(package_id, ':');
	const char *hash;

	if (colon == NULL || !is_label(memory_cstring(fb_bytes(package_id, colon - package_id))))
		return false;
	hash = colon + 1;
	return strlen(hash) == 2 * CRYPTO_SHA256_BYTES &&
		   strspn(hash, "0123456789abcdef") == 2 * CRYPTO_SHA256_BYTES;
}

bytea *
package_build(const char *label, const char *type, FbBytes source)
{
	static const char *const code_names[] = {"src/chaincode.sql"};
	static const char *const outer_names[] = {"metadata.json", "code.tar.gz"};
	FbBytes outer[2];
	FbBytes bytes;
	StringInfoData metadata;
	bytea *result;

	if (!is_label(label))
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("invalid chaincode label \"%s\"", error_excerpt(label)),
			 errdetail(
				 "A label begins with a letter or digit and consists of letters, digits, \"_\", \".\", \"+\" and "
				 "\"-\", at most %d in all.",
				 CHAINCODE_LABEL_BYTES_MAX)));
	if (pg_strcasecmp(type, CHAINCODE_TYPE_SQL) != 0)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("unrecognized chaincode language \"%s\"", error_excerpt(type)),
			 errdetail("A package holds SQL source; its language is \"%s\".", CHAINCODE_TYPE_SQL),
			 errhint(
				 "The LANGUAGE clause of each function in the source names the function's own language.")));
	if (source.size == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("chaincode source is empty")));
	if (source.size > FB_PACKAGE_SOURCE_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("chaincode source of %zu bytes is too long", source.size),
						errdetail("The limit is %d bytes.", FB_PACKAGE_SOURCE_BYTES_MAX)));

	initStringInfo(&metadata);
	appendStringInfo(&metadata, "{\"type\":\"%s\",\"path\":\"src\",\"label\":\"%s\"}",
					 CHAINCODE_TYPE_SQL, label);
	outer[0] = fb_bytes(metadata.data, metadata.len);
	outer[1] = write_archive(1, code_names, &source);
	bytes = write_archive(2, outer_names, outer);

	result = palloc(VARHDRSZ + bytes.size);
	SET_VARSIZE(result, VARHDRSZ + bytes.size);
	memcpy(VARDATA(result), bytes.data, bytes.size);
	return result;
}

/* ---- reading ---- */

#define INVALID_PACKAGE(...)                                                             \
	ereport(ERROR, (fb_errcode(FB_INVALID_PACKAGE), errmsg("invalid chaincode package"), \
					errdetail(__VA_ARGS__)))

static struct archive *
open_archive(FbBytes bytes, const char *what)
{
	struct archive *archive = archive_read_new();

	if (archive == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
		archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
		archive_read_open_memory(archive, bytes.data, bytes.size) != ARCHIVE_OK)
	{
		archive_read_free(archive);
		INVALID_PACKAGE("%s is not a tar archive compressed with gzip.", what);
	}
	return archive;
}

/*
 * Find the next regular file; NULL at the end. Its size is taken from the budget before any of it
 * is decompressed.
 */
static const char *
next_file(struct archive *archive, const char *what, ArchiveBudget *budget, int64 *size)
{
	for (;;)
	{
		struct archive_entry *entry;
		const char *name;
		int status = archive_read_next_header(archive, &entry);

		CHECK_FOR_INTERRUPTS();
		if (status == ARCHIVE_EOF)
			return NULL;
		if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
			INVALID_PACKAGE("%s is not a tar archive compressed with gzip.", what);
		if (--budget->entries_left < 0)
			INVALID_PACKAGE("%s has more than %d entries.", what, FB_PACKAGE_ENTRIES_MAX);
		*size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
		if (*size < 0 || *size > budget->bytes_left)
			INVALID_PACKAGE("%s is larger than %lld bytes when decompressed.", what,
							(long long) FB_PACKAGE_EXPANDED_BYTES_MAX);
		budget->bytes_left -= *size;
		if (archive_entry_filetype(entry) != AE_IFREG)
			continue;
		name = archive_entry_pathname(entry);
		if (name == NULL)
			name = archive_entry_pathname_utf8(entry);
		if (name != NULL)
			return pstrdup(name);
	}
}

static FbBytes
read_file(struct archive *archive, const char *name, int64 size, int64 size_max)
{
	uint8 *data;
	int64 done = 0;

	if (size > size_max)
		INVALID_PACKAGE("\"%s\" has %lld bytes; the limit is %lld.",
						FB_DISPLAY(fb_bytes_of_text(name)), (long long) size, (long long) size_max);
	data = palloc_extended(size + 1, MCXT_ALLOC_HUGE);
	while (done < size)
	{
		la_ssize_t count = archive_read_data(archive, data + done, size - done);

		if (count <= 0)
			INVALID_PACKAGE("\"%s\" is cut short or damaged.", FB_DISPLAY(fb_bytes_of_text(name)));
		done += count;
		CHECK_FOR_INTERRUPTS();
	}
	data[size] = '\0';
	return fb_bytes(data, size);
}

/*
 * metadata.json: a flat object; names compare case-insensitively and the last one takes effect, as
 * with Go's encoding/json
 */
typedef struct MetadataReader
{
	int depth;
	char **wanted; /* destination of the next scalar, or NULL */
	ChaincodePackage *package;
	bool not_text;
} MetadataReader;

static CompatJsonResult
metadata_object_start(void *state)
{
	((MetadataReader *) state)->depth++;
	COMPAT_JSON_RETURN();
}

static CompatJsonResult
metadata_object_end(void *state)
{
	((MetadataReader *) state)->depth--;
	COMPAT_JSON_RETURN();
}

static CompatJsonResult
metadata_field(void *state, char *name, bool isnull)
{
	MetadataReader *reader = state;

	reader->wanted = NULL;
	if (reader->depth != 1)
		COMPAT_JSON_RETURN();
	if (pg_strcasecmp(name, "label") == 0)
		reader->wanted = &reader->package->label;
	else if (pg_strcasecmp(name, "type") == 0)
		reader->wanted = &reader->package->type;
	else if (pg_strcasecmp(name, "path") == 0)
		reader->wanted = &reader->package->path;
	COMPAT_JSON_RETURN();
}

static CompatJsonResult
metadata_scalar(void *state, char *token, JsonTokenType type)
{
	MetadataReader *reader = state;

	if (reader->wanted != NULL && type == JSON_TOKEN_STRING)
		*reader->wanted = pstrdup(token);
	else if (reader->wanted != NULL && type != JSON_TOKEN_NULL)
		reader->not_text = true;
	reader->wanted = NULL;
	COMPAT_JSON_RETURN();
}

static void
package_read_metadata(FbBytes json, ChaincodePackage *package)
{
	MetadataReader reader = {.package = package};
	JsonSemAction actions = {
		.semstate = &reader,
		.object_start = metadata_object_start,
		.object_end = metadata_object_end,
		.array_start = metadata_object_start,
		.array_end = metadata_object_end,
		.object_field_start = metadata_field,
		.scalar = metadata_scalar,
	};
	JsonLexContext *lexer;

	if (json.size == 0 || memchr(json.data, '\0', json.size) != NULL || !fb_utf8_valid(json))
		INVALID_PACKAGE("\"metadata.json\" is not a JSON object.");
	lexer = compat_json_lexer((const char *) json.data, json.size, GetDatabaseEncoding());
	if (pg_parse_json(lexer, &actions) != JSON_SUCCESS || reader.not_text)
		INVALID_PACKAGE(
			"\"metadata.json\" is not a JSON object with the texts \"type\", \"path\" and \"label\".");
	if (package->label == NULL || !is_label(package->label))
		INVALID_PACKAGE(
			"The label in \"metadata.json\" is missing or not allowed: a label begins with a letter or "
			"digit and consists "
			"of letters, digits, \"_\", \".\", \"+\" and \"-\", at most %d in all.",
			CHAINCODE_LABEL_BYTES_MAX);
	if (package->type == NULL)
		package->type = pstrdup("");
	for (char *c = package->type; *c != '\0'; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	if (package->path == NULL)
		package->path = pstrdup("");
}

typedef struct SourceFile
{
	const char *name;
	FbBytes content;
} SourceFile;

static int
compare_source_files(const ListCell *a, const ListCell *b)
{
	return strcmp(((SourceFile *) lfirst(a))->name, ((SourceFile *) lfirst(b))->name);
}

/* all *.sql files of code.tar.gz, in the order of their names */
static char *
read_source(FbBytes code)
{
	ArchiveBudget budget = {FB_PACKAGE_ENTRIES_MAX, FB_PACKAGE_EXPANDED_BYTES_MAX};
	struct archive *archive = open_archive(code, "\"code.tar.gz\"");
	StringInfoData source;
	List *files = NIL;
	ListCell *cell;

	PG_TRY();
	{
		const char *name;
		int64 size;
		int64 source_bytes_left = FB_PACKAGE_SOURCE_BYTES_MAX;

		while ((name = next_file(archive, "\"code.tar.gz\"", &budget, &size)) != NULL)
		{
			SourceFile *file;
			size_t name_bytes = strlen(name);

			if (name_bytes < 4 || pg_strcasecmp(name + name_bytes - 4, ".sql") != 0)
				continue;
			file = palloc(sizeof(SourceFile));
			file->name = name;
			file->content = read_file(archive, name, size, source_bytes_left);
			source_bytes_left -= size;
			files = lappend(files, file);
		}
	}
	PG_FINALLY();
	{
		archive_read_free(archive);
	}
	PG_END_TRY();

	if (files == NIL)
		INVALID_PACKAGE("\"code.tar.gz\" has no file whose name ends in \".sql\".");
	list_sort(files, compare_source_files);
	initStringInfo(&source);
	foreach(cell, files)
	{
		SourceFile *file = lfirst(cell);

		if (memchr(file->content.data, '\0', file->content.size) != NULL ||
			pg_encoding_verifymbstr(GetDatabaseEncoding(), (const char *) file->content.data,
									file->content.size) != (int) file->content.size)
			INVALID_PACKAGE("\"%s\" is not text in the encoding %s.",
							FB_DISPLAY(fb_bytes_of_text(file->name)), GetDatabaseEncodingName());
		if (source.len > 0)
			appendStringInfoChar(&source, '\n');
		appendBinaryStringInfo(&source, (const char *) file->content.data, file->content.size);
	}
	return source.data;
}

void
package_read(FbBytes bytes, ChaincodePackage *package)
{
	ArchiveBudget budget = {FB_PACKAGE_ENTRIES_MAX, FB_PACKAGE_EXPANDED_BYTES_MAX};
	struct archive *archive;
	FbBytes metadata = FB_BYTES_EMPTY;
	FbBytes code = FB_BYTES_EMPTY;
	uint8 hash[CRYPTO_SHA256_BYTES];
	char hash_hex[2 * CRYPTO_SHA256_BYTES + 1];

	memset(package, 0, sizeof(*package));
	if (bytes.size > FB_MESSAGE_BYTES_MAX)
		INVALID_PACKAGE("The package has %zu bytes; the limit is %d.", bytes.size,
						FB_MESSAGE_BYTES_MAX);

	archive = open_archive(bytes, "The package");
	PG_TRY();
	{
		const char *name;
		int64 size;

		while ((name = next_file(archive, "The package", &budget, &size)) != NULL)
		{
			if (strcmp(name, "metadata.json") == 0)
				metadata = read_file(archive, name, size, FB_PACKAGE_METADATA_BYTES_MAX);
			else if (strcmp(name, "code.tar.gz") == 0)
				code = read_file(archive, name, size, FB_MESSAGE_BYTES_MAX);
		}
	}
	PG_FINALLY();
	{
		archive_read_free(archive);
	}
	PG_END_TRY();

	if (metadata.data == NULL)
		INVALID_PACKAGE("The package has no file \"metadata.json\".");
	if (code.data == NULL)
		INVALID_PACKAGE("The package has no file \"code.tar.gz\".");
	package_read_metadata(metadata, package);
	if (strcmp(package->type, CHAINCODE_TYPE_SQL) == 0)
		package->source = read_source(code);

	crypto_sha256(bytes, hash);
	fb_hex_encode(fb_bytes(hash, sizeof(hash)), hash_hex);
	snprintf(package->package_id, sizeof(package->package_id), "%s:%s", package->label, hash_hex);
	snprintf(package->schema_name, sizeof(package->schema_name), "%s%.16s", CHAINCODE_SCHEMA_PREFIX,
			 hash_hex);
}
