/*
 * dictionary.c: what the envelopes of a channel have in common, for their compression.
 *
 * Most of an envelope is the certificates of its creator and endorsers, and they repeat. The ledger worker counts the identities that it sees; once
 * some that the newest dictionary lacks have come often enough, it stores a new dictionary: the identities, the most frequent ones last, behind
 * them one whole envelope for the rest of the structure. Dictionaries are numbered and never change, because stored envelopes name theirs.
 *
 * A lost dictionary would make envelopes unreadable, so the table is append-only like the ledger's own, and the digest of a dictionary is checked when
 * it is loaded. After a damage the blocks can be fetched again from another node.
 */
#include "server/ledger/ledger_internal.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

/* an identity has this many appearances before it is worth its place */
#define APPEARANCES_MIN 8
/* the first dictionary comes early, later ones ever more rarely: each may cost 64 kB */
#define FIRST_AFTER_TRANSACTIONS 64
#define NEXT_AFTER_TRANSACTIONS_MAX 100000
#define IDENTITIES_MAX 48
#define DICTIONARY_BYTES_MAX (64 * 1024)
/* identities that are counted at the same time; when there are more, counting starts anew */
#define COUNTED_MAX 4096

/* ---- loaded dictionaries ---- */

typedef struct LoadedKey
{
	int			ledger_id;
	int			dictionary_id;
} LoadedKey;

typedef struct Loaded
{
	LoadedKey	key;			/* hash key */
	ZSTD_CDict *compress;		/* made when first needed */
	ZSTD_DDict *decompress;
	uint8_t    *bytes;
	size_t		size;
} Loaded;

static HTAB *loaded = NULL;

/* the newest dictionary's id by ledger, -1 = not looked up */
typedef struct Newest
{
	int			ledger_id;		/* hash key */
	int			dictionary_id;	/* 0: none */
} Newest;

static HTAB *newest = NULL;

static void
create_tables(void)
{
	HASHCTL		loaded_control = {.keysize = sizeof(LoadedKey), .entrysize = sizeof(Loaded)};
	HASHCTL		newest_control = {.keysize = sizeof(int), .entrysize = sizeof(Newest)};

	if (loaded != NULL)
		return;
	newest = hash_create("fabric newest dictionaries", 8, &newest_control, HASH_ELEM | HASH_BLOBS);
	loaded = hash_create("fabric dictionaries", 8, &loaded_control, HASH_ELEM | HASH_BLOBS);
}

static void
refuse_dictionary(const Ledger *ledger, int dictionary_id, const char *why)
{
	FbError		error;

	fb_fail(&error, FB_CORRUPTED, "envelope dictionary %d of channel \"%s\" %s", dictionary_id, ledger->channel, why);
	fb_error_hint(&error, "Stored transactions cannot be read without it: restore it from a backup, or leave the channel and join it again.");
	error_throw(&error);
}

static void
keep(const Ledger *ledger, int dictionary_id, FbBytes bytes)
{
	LoadedKey	key = {ledger->id, dictionary_id};
	Loaded	   *entry;
	uint8_t    *copy = MemoryContextAlloc(TopMemoryContext, Max(bytes.size, 1));
	bool		found;

	memcpy(copy, bytes.data, bytes.size);
	entry = hash_search(loaded, &key, HASH_ENTER, &found);
	entry->compress = NULL;
	entry->decompress = NULL;
	entry->bytes = copy;
	entry->size = bytes.size;
}

static Loaded *
find(const Ledger *ledger, int dictionary_id)
{
	static SpiStatement statement = {
		"SELECT content, digest FROM fabric_internal.envelope_dictionary WHERE channel = $1 AND id = $2", 2, {TEXTOID, INT4OID}};
	LoadedKey	key = {ledger->id, dictionary_id};
	Datum		values[2] = {CStringGetTextDatum(ledger->channel), Int32GetDatum(dictionary_id)};
	Loaded	   *entry;
	SpiScope	scope;
	uint8_t		digest[CRYPTO_SHA256_BYTES];

	create_tables();
	entry = hash_search(loaded, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry;
	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	if (SPI_processed == 0)
		refuse_dictionary(ledger, dictionary_id, "is missing");
	else
	{
		bool		is_null;
		FbBytes		content = memory_bytes(DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null)));
		FbBytes		expected = memory_bytes(DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null)));

		crypto_sha256(content, digest);
		if (!fb_bytes_equal(fb_bytes(digest, sizeof(digest)), expected))
			refuse_dictionary(ledger, dictionary_id, "was changed");
		keep(ledger, dictionary_id, content);
	}
	spi_end(&scope);
	return hash_search(loaded, &key, HASH_FIND, NULL);
}

static Newest *
find_newest(const Ledger *ledger)
{
	static SpiStatement statement = {
		"SELECT coalesce(max(id), 0) FROM fabric_internal.envelope_dictionary WHERE channel = $1", 1, {TEXTOID}};
	Datum		value = CStringGetTextDatum(ledger->channel);
	Newest	   *entry;
	bool		found;
	bool		is_null;
	int			dictionary_id;
	SpiScope	scope;

	create_tables();
	entry = hash_search(newest, &ledger->id, HASH_FIND, NULL);
	if (entry != NULL)
		return entry;
	spi_begin(&scope);
	spi_run_latest(&statement, &value, NULL, 1);
	dictionary_id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	spi_end(&scope);
	entry = hash_search(newest, &ledger->id, HASH_ENTER, &found);
	entry->dictionary_id = dictionary_id;
	return entry;
}

ZSTD_CDict *
dictionary_for_compression(const Ledger *ledger, int level, int *dictionary_id)
{
	Loaded	   *entry;

	*dictionary_id = find_newest(ledger)->dictionary_id;
	if (*dictionary_id == 0)
		return NULL;
	entry = find(ledger, *dictionary_id);
	if (entry->compress == NULL)
		entry->compress = ZSTD_createCDict(entry->bytes, entry->size, level);
	return entry->compress;
}

ZSTD_DDict *
dictionary_for_decompression(const Ledger *ledger, int dictionary_id)
{
	Loaded	   *entry = find(ledger, dictionary_id);

	if (entry->decompress == NULL)
		entry->decompress = ZSTD_createDDict(entry->bytes, entry->size);
	if (entry->decompress == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return entry->decompress;
}

/* ---- counting, in the ledger worker ---- */

typedef struct Counted
{
	uint64		hash;			/* hash key */
	int			appearances;
	bool		in_dictionary;
	FbBytes		identity;		/* in counting_context */
} Counted;

static HTAB *counted = NULL;
static MemoryContext counting_context = NULL;
static int64 transactions_since = 0;
static int64 transactions_wanted = FIRST_AFTER_TRANSACTIONS;
static int	candidates = 0;		/* frequent identities that the dictionary lacks */

static void
start_counting(void)
{
	HASHCTL		control = {.keysize = sizeof(uint64), .entrysize = sizeof(Counted)};

	if (counting_context == NULL)
		counting_context = AllocSetContextCreate(TopMemoryContext, "fabric envelope dictionary", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(counting_context);
	control.hcxt = counting_context;
	counted = hash_create("fabric identities seen", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	candidates = 0;
}

static bool
newest_contains(const Ledger *ledger, FbBytes identity)
{
	int			dictionary_id = find_newest(ledger)->dictionary_id;
	Loaded	   *entry = dictionary_id == 0 ? NULL : find(ledger, dictionary_id);

	return entry != NULL && memmem(entry->bytes, entry->size, identity.data, identity.size) != NULL;
}

void
dictionary_count(const Ledger *ledger, FbBytes identity)
{
	uint64		hash;
	Counted    *entry;
	bool		found;

	if (identity.size == 0 || identity.size > DICTIONARY_BYTES_MAX / 8)
		return;
	if (counted == NULL || hash_get_num_entries(counted) >= COUNTED_MAX)
		start_counting();
	hash = hash_bytes_extended(identity.data, (int) identity.size, 0);
	entry = hash_search(counted, &hash, HASH_ENTER, &found);
	if (!found)
	{
		uint8_t    *copy = MemoryContextAlloc(counting_context, identity.size);

		memcpy(copy, identity.data, identity.size);
		entry->identity = fb_bytes(copy, identity.size);
		entry->appearances = 0;
		entry->in_dictionary = newest_contains(ledger, identity);
	}
	if (++entry->appearances == APPEARANCES_MIN && !entry->in_dictionary)
		candidates++;
}

static int
by_appearances(const void *a, const void *b)
{
	const Counted *left = *(const Counted *const *) a;
	const Counted *right = *(const Counted *const *) b;

	return left->appearances < right->appearances ? -1 : left->appearances > right->appearances ? 1 : 0;
}

/* the most frequent identities, ascending, then the sample: what lies nearest to the end is cheapest to refer to */
static FbBytes
make_content(FbBytes sample)
{
	Counted   **entries = palloc(hash_get_num_entries(counted) * sizeof(Counted *));
	int			count = 0;
	StringInfoData content;
	HASH_SEQ_STATUS status;
	Counted    *entry;

	hash_seq_init(&status, counted);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->appearances >= APPEARANCES_MIN)
			entries[count++] = entry;
	qsort(entries, count, sizeof(Counted *), by_appearances);
	initStringInfo(&content);
	for (int i = Max(0, count - IDENTITIES_MAX); i < count; i++)
		if (content.len + entries[i]->identity.size < DICTIONARY_BYTES_MAX)
			appendBinaryStringInfo(&content, (const char *) entries[i]->identity.data, (int) entries[i]->identity.size);
	if (sample.size < DICTIONARY_BYTES_MAX / 4)
		appendBinaryStringInfo(&content, (const char *) sample.data, (int) sample.size);
	return fb_bytes(content.data, content.len);
}

void
dictionary_maintain(const Ledger *ledger, int transactions_count, FbBytes sample)
{
	static SpiStatement statement = {
		"INSERT INTO fabric_internal.envelope_dictionary (channel, id, content, digest) VALUES ($1, $2, $3, $4)", 4,
		{TEXTOID, INT4OID, BYTEAOID, BYTEAOID}};
	uint8_t		digest[CRYPTO_SHA256_BYTES];
	Datum		values[4];
	FbBytes		content;
	Newest	   *current;
	SpiScope	scope;

	transactions_since += transactions_count;
	if (candidates == 0 || transactions_since < transactions_wanted)
		return;
	current = find_newest(ledger);
	if (current->dictionary_id >= PG_UINT16_MAX)
		return;
	content = make_content(sample);
	crypto_sha256(content, digest);
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = Int32GetDatum(current->dictionary_id + 1);
	values[2] = PointerGetDatum(memory_bytea(content));
	values[3] = PointerGetDatum(memory_bytea(fb_bytes(digest, sizeof(digest))));
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	spi_end(&scope);
	/* should this transaction abort, the process ends with it and forgets */
	current->dictionary_id++;
	keep(ledger, current->dictionary_id, content);
	transactions_since = 0;
	transactions_wanted = Min(Max(transactions_wanted * 4, 1000), NEXT_AFTER_TRANSACTIONS_MAX);
	start_counting();
}
