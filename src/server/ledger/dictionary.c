/*
 * dictionary.c: dictionaries for the compression of a channel's envelopes.
 *
 * Most of an envelope is the certificates of its creator and endorsers, and they repeat. The ledger
 * worker counts the identities that it sees; once some that the newest dictionary lacks are
 * frequent enough, it stores a new dictionary: the identities, the most frequent ones last, then
 * one whole envelope for the rest of the structure. Dictionaries are numbered and never change,
 * because stored envelopes name theirs.
 *
 * A lost dictionary would make envelopes unreadable, so the table is append-only like the ledger's
 * own, and the digest of a dictionary is checked when it is loaded. The channel's row has the last
 * number, so that a number is never used twice, even if its dictionary was lost. After damage the
 * blocks can be fetched again from another node (fabric.repair_chain); the committer continues
 * without the dictionary.
 */
#include "server/ledger/ledger_internal.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

/* an identity is worth its space after this many appearances */
#define APPEARANCES_MIN 8
/* the first dictionary is made early, later ones less and less often: each may take 64 kB */
#define FIRST_AFTER_TRANSACTIONS 64
#define NEXT_AFTER_TRANSACTIONS_MAX 100000
#define IDENTITIES_MAX 48
#define DICTIONARY_BYTES_MAX (64 * 1024)
/* identities counted at the same time; when there are more, counting starts again from zero */
#define COUNTED_MAX 4096

/* ---- loaded dictionaries ---- */

/*
 * A process keeps the dictionaries it has loaded, and checks once in each transaction that the row
 * is still the version it loaded, by ctid and xmin. So a process that runs for months notices a
 * dictionary that was changed, lost or restored with the triggers disabled; a worker that continued
 * with its copy would write envelopes that no other process can read.
 */

typedef struct LoadedKey
{
	int ledger_id;
	int dictionary_id;
} LoadedKey;

typedef struct Loaded
{
	LoadedKey key;		   /* hash key */
	uint64 seen_in;		   /* transactions_ended when the row was last looked at */
	ItemPointerData place; /* of the row */
	TransactionId writer;
	ZSTD_CDict *compress; /* made when first needed */
	ZSTD_DDict *decompress;
	uint8_t *bytes;
	size_t size;
} Loaded;

static HTAB *loaded = NULL;

/* the newest dictionary's id by ledger, as this session knows it */
typedef struct Newest
{
	int ledger_id;	   /* hash key */
	int dictionary_id; /* 0: none */
	uint64 seen_in;
	int warned_of_id; /* of a dictionary that cannot be used, once */
} Newest;

static HTAB *newest = NULL;
static uint64 transactions_ended = 0;

static void
dictionary_at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT ||
		event == XACT_EVENT_PREPARE)
		transactions_ended++;
}

static void
create_tables(void)
{
	HASHCTL loaded_control = {.keysize = sizeof(LoadedKey), .entrysize = sizeof(Loaded)};
	HASHCTL newest_control = {.keysize = sizeof(int), .entrysize = sizeof(Newest)};

	if (loaded != NULL)
		return;
	newest = hash_create("fabric newest dictionaries", 8, &newest_control, HASH_ELEM | HASH_BLOBS);
	loaded = hash_create("fabric dictionaries", 8, &loaded_control, HASH_ELEM | HASH_BLOBS);
	RegisterXactCallback(dictionary_at_transaction_end, NULL);
}

static void
refuse_dictionary(const Ledger *ledger, int dictionary_id, const char *why)
{
	ereport(
		ERROR,
		(fb_errcode(FB_CORRUPTED),
		 errmsg("envelope dictionary %d of channel \"%s\" %s", dictionary_id, ledger->channel, why),
		 errhint(
			 "Transactions stored with it cannot be read: fabric.repair_chain fetches them again from another node.")));
}

static void
dictionary_forget(Loaded *entry)
{
	LoadedKey key = entry->key;

	ZSTD_freeCDict(entry->compress);
	ZSTD_freeDDict(entry->decompress);
	pfree(entry->bytes);
	hash_search(loaded, &key, HASH_REMOVE, NULL);
}

void
dictionary_forget_all(void)
{
	HASH_SEQ_STATUS status;
	Loaded *entry;

	if (loaded == NULL)
		return;
	hash_seq_init(&status, loaded);
	while ((entry = hash_seq_search(&status)) != NULL)
		dictionary_forget(entry);
}

static Loaded *
dictionary_keep(const Ledger *ledger, int dictionary_id, FbBytes bytes,
				const ItemPointerData *place, TransactionId writer)
{
	LoadedKey key = {ledger->id, dictionary_id};
	Loaded *entry;
	uint8_t *copy = MemoryContextAlloc(TopMemoryContext, Max(bytes.size, 1));
	bool found;

	memcpy(copy, bytes.data, bytes.size);
	entry = hash_search(loaded, &key, HASH_ENTER, &found);
	entry->seen_in = transactions_ended;
	entry->place = *place;
	entry->writer = writer;
	entry->compress = NULL;
	entry->decompress = NULL;
	entry->bytes = copy;
	entry->size = bytes.size;
	return entry;
}

static Datum
result_column(int column)
{
	bool is_null;

	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null);
}

/* the row that the entry was made of is still there */
static bool
dictionary_is_current(const Ledger *ledger, Loaded *entry)
{
	static SpiStatement statement = {
		"SELECT ctid, xmin FROM fabric_internal.envelope_dictionary WHERE channel = $1 AND id = $2",
		2,
		{TEXTOID, INT4OID}};
	Datum values[2] = {CStringGetTextDatum(ledger->channel),
					   Int32GetDatum(entry->key.dictionary_id)};
	bool current;
	SpiScope scope;

	if (entry->seen_in == transactions_ended)
		return true;
	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	current = SPI_processed > 0 &&
			  ItemPointerEquals((ItemPointer) DatumGetPointer(result_column(1)), &entry->place) &&
			  DatumGetTransactionId(result_column(2)) == entry->writer;
	spi_end(&scope);
	entry->seen_in = transactions_ended;
	return current;
}

/* NULL: *why tells what is wrong with it */
static Loaded *
dictionary_load(const Ledger *ledger, int dictionary_id, const char **why)
{
	static SpiStatement statement = {
		"SELECT content, digest, ctid, xmin FROM fabric_internal.envelope_dictionary WHERE channel = $1 AND id = $2",
		2,
		{TEXTOID, INT4OID}};
	LoadedKey key = {ledger->id, dictionary_id};
	Datum values[2] = {CStringGetTextDatum(ledger->channel), Int32GetDatum(dictionary_id)};
	Loaded *entry;
	SpiScope scope;
	uint8_t digest[CRYPTO_SHA256_BYTES];

	create_tables();
	entry = hash_search(loaded, &key, HASH_FIND, NULL);
	if (entry != NULL && dictionary_is_current(ledger, entry))
		return entry;
	if (entry != NULL)
		dictionary_forget(entry);
	entry = NULL;
	*why = "is missing";
	spi_begin(&scope);
	spi_run_latest(&statement, values, NULL, 1);
	if (SPI_processed > 0)
	{
		FbBytes content = memory_bytes(DatumGetByteaPP(result_column(1)));
		FbBytes expected = memory_bytes(DatumGetByteaPP(result_column(2)));

		*why = "was changed";
		crypto_sha256(content, digest);
		if (fb_bytes_equal(fb_bytes(digest, sizeof(digest)), expected))
			entry = dictionary_keep(ledger, dictionary_id, content,
									(ItemPointer) DatumGetPointer(result_column(3)),
									DatumGetTransactionId(result_column(4)));
	}
	spi_end(&scope);
	return entry;
}

static int
read_newest(const Ledger *ledger)
{
	static SpiStatement statement =
		{"SELECT dictionaries FROM fabric_internal.channel WHERE channel = $1", 1, {TEXTOID}};
	Datum value = CStringGetTextDatum(ledger->channel);
	int dictionary_id = 0;
	bool is_null;
	SpiScope scope;

	spi_begin(&scope);
	spi_run_latest(&statement, &value, NULL, 1);
	if (SPI_processed > 0)
		dictionary_id =
			DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	spi_end(&scope);
	return dictionary_id;
}

/* the newest dictionary, NULL: there is none that can be used */
static Loaded *
find_newest(const Ledger *ledger)
{
	const char *why;
	Newest *entry;
	Loaded *dictionary;
	int dictionary_id;

	create_tables();
	entry = hash_search(newest, &ledger->id, HASH_FIND, NULL);
	if (entry == NULL || entry->seen_in != transactions_ended)
	{
		bool found;

		dictionary_id = read_newest(ledger);
		entry = hash_search(newest, &ledger->id, HASH_ENTER, &found);
		if (!found)
			entry->warned_of_id = 0;
		entry->dictionary_id = dictionary_id;
		entry->seen_in = transactions_ended;
	}
	if (entry->dictionary_id == 0)
		return NULL;
	dictionary = dictionary_load(ledger, entry->dictionary_id, &why);
	if (dictionary != NULL)
		return dictionary;
	if (entry->warned_of_id != entry->dictionary_id)
		ereport(
			WARNING,
			(fb_errcode(FB_CORRUPTED),
			 errmsg("envelope dictionary %d of channel \"%s\" %s", entry->dictionary_id,
					ledger->channel, why),
			 errdetail("New transactions are stored without it."),
			 errhint(
				 "fabric.repair_chain fetches the transactions stored with it again from another node.")));
	entry->warned_of_id = entry->dictionary_id;
	/* not again in this transaction */
	entry->dictionary_id = 0;
	return NULL;
}

ZSTD_CDict *
dictionary_for_compression(const Ledger *ledger, int level, int *dictionary_id)
{
	Loaded *entry = find_newest(ledger);

	if (entry == NULL)
		return NULL;
	*dictionary_id = entry->key.dictionary_id;
	if (entry->compress == NULL)
		entry->compress = ZSTD_createCDict(entry->bytes, entry->size, level);
	return entry->compress;
}

ZSTD_DDict *
dictionary_for_decompression(const Ledger *ledger, int dictionary_id)
{
	const char *why;
	Loaded *entry = dictionary_load(ledger, dictionary_id, &why);

	if (entry == NULL)
		refuse_dictionary(ledger, dictionary_id, why);
	if (entry->decompress == NULL)
		entry->decompress = ZSTD_createDDict(entry->bytes, entry->size);
	if (entry->decompress == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return entry->decompress;
}

/* ---- counting, in the ledger worker ---- */

typedef struct Counted
{
	uint64 hash; /* hash key */
	int appearances;
	bool in_dictionary;
	FbBytes identity; /* in counting_context */
} Counted;

static HTAB *counted = NULL;
static MemoryContext counting_context = NULL;
static int64 transactions_since = 0;
static int64 transactions_wanted = FIRST_AFTER_TRANSACTIONS;
static int candidates = 0; /* frequent identities that the dictionary lacks */

static void
start_counting(void)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(Counted)};

	if (counting_context == NULL)
		counting_context = AllocSetContextCreate(TopMemoryContext, "fabric envelope dictionary",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(counting_context);
	control.hcxt = counting_context;
	counted =
		hash_create("fabric identities seen", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	candidates = 0;
}

static bool
newest_contains(const Ledger *ledger, FbBytes identity)
{
	Loaded *entry = find_newest(ledger);

	return entry != NULL && memmem(entry->bytes, entry->size, identity.data, identity.size) != NULL;
}

void
dictionary_count(const Ledger *ledger, FbBytes identity)
{
	uint64 hash;
	Counted *entry;
	bool found;

	if (identity.size == 0 || identity.size > DICTIONARY_BYTES_MAX / 8)
		return;
	if (counted == NULL || hash_get_num_entries(counted) >= COUNTED_MAX)
		start_counting();
	hash = hash_bytes_extended(identity.data, (int) identity.size, 0);
	entry = hash_search(counted, &hash, HASH_ENTER, &found);
	if (!found)
	{
		uint8_t *copy = MemoryContextAlloc(counting_context, identity.size);

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

	return left->appearances < right->appearances	? -1
		   : left->appearances > right->appearances ? 1
													: 0;
}

/*
 * the most frequent identities, ascending, then the sample: zstd refers most cheaply to what is
 * nearest to the end
 */
static FbBytes
make_content(FbBytes sample)
{
	Counted **entries = palloc(hash_get_num_entries(counted) * sizeof(Counted *));
	int count = 0;
	StringInfoData content;
	HASH_SEQ_STATUS status;
	Counted *entry;

	hash_seq_init(&status, counted);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->appearances >= APPEARANCES_MIN)
			entries[count++] = entry;
	qsort(entries, count, sizeof(Counted *), by_appearances);
	initStringInfo(&content);
	for (int i = Max(0, count - IDENTITIES_MAX); i < count; i++)
		if (content.len + entries[i]->identity.size < DICTIONARY_BYTES_MAX)
			appendBinaryStringInfo(&content, (const char *) entries[i]->identity.data,
								   (int) entries[i]->identity.size);
	if (sample.size < DICTIONARY_BYTES_MAX / 4)
		appendBinaryStringInfo(&content, (const char *) sample.data, (int) sample.size);
	return fb_bytes(content.data, content.len);
}

/* store it under the next number; 0: there are no more numbers */
static int
insert_dictionary(const Ledger *ledger, FbBytes content)
{
	static SpiStatement statement = {
		"WITH number AS (UPDATE fabric_internal.channel SET dictionaries = dictionaries + 1 WHERE channel = $1 AND dictionaries < $4 "
		"RETURNING dictionaries) "
		"INSERT INTO fabric_internal.envelope_dictionary (channel, id, content, digest) SELECT $1, number.dictionaries, $2, $3 FROM number "
		"RETURNING id",
		4,
		{TEXTOID, BYTEAOID, BYTEAOID, INT4OID}};
	uint8_t digest[CRYPTO_SHA256_BYTES];
	Datum values[4];
	int dictionary_id = 0;
	bool is_null;
	SpiScope scope;

	crypto_sha256(content, digest);
	values[0] = CStringGetTextDatum(ledger->channel);
	values[1] = PointerGetDatum(memory_bytea(content));
	values[2] = PointerGetDatum(memory_bytea(fb_bytes(digest, sizeof(digest))));
	/* two bytes in front of each envelope */
	values[3] = Int32GetDatum(PG_UINT16_MAX);
	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	if (SPI_processed > 0)
		dictionary_id =
			DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	spi_end(&scope);
	return dictionary_id;
}

void
dictionary_maintain(const Ledger *ledger, int transactions_count, FbBytes sample)
{
	FbBytes content;
	Newest *current;
	int dictionary_id;

	transactions_since += transactions_count;
	if (candidates == 0 || transactions_since < transactions_wanted)
		return;
	content = make_content(sample);
	dictionary_id = insert_dictionary(ledger, content);
	if (dictionary_id > 0)
	{
		/* it is loaded when the next block looks */
		current = hash_search(newest, &ledger->id, HASH_FIND, NULL);
		if (current != NULL)
			current->seen_in = transactions_ended - 1;
	}
	transactions_since = 0;
	transactions_wanted = Min(Max(transactions_wanted * 4, 1000), NEXT_AFTER_TRANSACTIONS_MAX);
	start_counting();
}
