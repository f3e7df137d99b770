/*
 * state_access: reads and writes of a simulation.
 *
 * The problem. A simulation's read set decides whether its transaction is valid: a committer
 * compares the version of each key that was read, and runs each range query again up to the last
 * key that was recorded (core/rwset/range.c). The read set must therefore be complete, and the same
 * on every endorser, because the client submits a transaction only if all endorsements are over the
 * same bytes. For a range query, chaincode sees a cursor, which it may stop reading at any row,
 * also because it raises an error that it catches itself.
 *
 * The rule. Reads see the simulation's snapshot, never the transaction's own writes, and are
 * recorded with the version found; an absent key is recorded without a version. Writes are only
 * recorded.
 *
 * A range query records rows when they are read from the state, whether or not chaincode fetches
 * them. Rows are read in batches, as in Fabric's peer (core/chaincode/query_response_generator.go,
 * BuildQueryResponse): FB_RANGE_PREFETCH rows, and one row more to know whether the range
 * continues. That row is recorded too, and is the first of the next batch. A range that ends is
 * recorded as exhausted, so that a new key after its last row is a conflict. At
 * FB_QUERY_RESULTS_MAX rows the query ends without an error and without being exhausted, as in
 * Fabric.
 *
 * Each batch is a scan of its own, which begins after the last key of the batch before. No scan is
 * open between two calls of the cursor. So when a subtransaction of the chaincode is rolled back
 * (an EXCEPTION block), there is nothing to clean up, and the next batch can be read in any
 * subtransaction: the snapshot is the same.
 *
 * A page (state_access_page) is read at once. Its rows are recorded; the row whose key becomes the
 * bookmark is not. A transaction that reads pages cannot write, as in Fabric.
 *
 * Rejected:
 *   - One row at a time: a recorded range would end at another key than in Fabric, where a conflict
 *     in the rest of a batch counts; and each row would need a scan of its own.
 *   - One scan for the whole query: it belongs to the resource owner of the subtransaction in which
 *     it was opened, which may end before the query does.
 *   - Reading the whole range at the first call: chaincode that stops early would conflict with
 *     writes that it never depended on, and the whole range would be in memory.
 *
 * What holds afterwards. The recorded rows depend only on the snapshot and on how many rows
 * chaincode fetched. A cursor holds at most FB_RANGE_PREFETCH + 1 rows in memory.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "server/chaincode/chaincode_internal.h"

/*
 * Keep an error of the builder: chaincode may catch it, but the transaction cannot continue,
 * because its read-write set is incomplete.
 */
static void
keep_failure(Simulation *simulation, FbStatus status, const FbError *error)
{
	if (status != FB_INVALID_ARGUMENT)
		simulation->failure = *error;
}

/* error_check for the builder's functions */
#define BUILDER_CHECK(simulation, status, error)              \
	do                                                        \
	{                                                         \
		FbStatus builder_status_ = (status);                  \
                                                              \
		if (unlikely(builder_status_ != FB_OK))               \
		{                                                     \
			keep_failure(simulation, builder_status_, error); \
			error_throw(error);                               \
		}                                                     \
	} while (0)

static void
check_may_write(Simulation *simulation)
{
	if (simulation->paginated)
		ereport(ERROR,
				(fb_errcode(FB_SANDBOX_VIOLATION),
				 errmsg("a transaction that made a paginated query cannot write"),
				 errhint("Read the pages in a query, and write in a transaction of its own.")));
}

bool
state_access_get(Simulation *simulation, FbBytes namespace_name, FbBytes key, FbBytes *value)
{
	StateRow row;
	FbError error;
	bool found =
		state_store_get(simulation->ledger, namespace_name, key, simulation->snapshot, &row);

	BUILDER_CHECK(simulation,
				  rwset_builder_add_read(simulation->builder, namespace_name, key, row.version,
										 &error),
				  &error);
	*value = row.value;
	return found;
}

bool
state_access_get_metadata(Simulation *simulation, FbBytes key, FbBytes *metadata)
{
	StateRow row;
	FbError error;
	bool found = state_store_get(simulation->ledger, simulation->namespace_name, key,
								 simulation->snapshot, &row);

	BUILDER_CHECK(simulation,
				  rwset_builder_add_read(simulation->builder, simulation->namespace_name, key,
										 row.version, &error),
				  &error);
	*metadata = row.metadata;
	return found && row.metadata.size > 0;
}

void
state_access_put(Simulation *simulation, FbBytes namespace_name, FbBytes key, FbBytes value)
{
	FbError error;

	check_may_write(simulation);
	BUILDER_CHECK(simulation,
				  rwset_builder_add_write(simulation->builder, namespace_name, key, value, &error),
				  &error);
}

void
state_access_delete(Simulation *simulation, FbBytes namespace_name, FbBytes key)
{
	FbError error;

	check_may_write(simulation);
	BUILDER_CHECK(simulation,
				  rwset_builder_add_delete(simulation->builder, namespace_name, key, &error),
				  &error);
}

void
state_access_put_metadata(Simulation *simulation, FbBytes key, const RwSetMetadataEntry *entries,
						  size_t entries_count)
{
	FbError error;

	check_may_write(simulation);
	BUILDER_CHECK(simulation,
				  rwset_builder_add_metadata_write(simulation->builder, simulation->namespace_name,
												   key, entries, entries_count, &error),
				  &error);
}

/* ---- private data ---- */

/* Read the committed hash of a private value; its version is recorded in the read set. */
static bool
get_hash(Simulation *simulation, FbBytes namespace_name, FbBytes collection, FbBytes key,
		 StateRow *row)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	uint8_t key_hash[CRYPTO_SHA256_BYTES];
	FbBytes hashed_namespace;
	FbError error;
	bool found;

	error_check(rwset_hashed_namespace(allocator, namespace_name, collection, &hashed_namespace,
									   &error),
				&error);
	crypto_sha256(key, key_hash);
	found = state_store_get(simulation->ledger, hashed_namespace,
							fb_bytes(key_hash, sizeof(key_hash)), simulation->snapshot, row);
	BUILDER_CHECK(simulation,
				  rwset_builder_add_hashed_read(simulation->builder, namespace_name, collection,
												key, row->version, &error),
				  &error);
	return found;
}

bool
state_access_get_private_hash(Simulation *simulation, FbBytes namespace_name, FbBytes collection,
							  FbBytes key, FbBytes *hash)
{
	StateRow row;

	if (!get_hash(simulation, namespace_name, collection, key, &row))
		return false;
	*hash = row.value;
	return true;
}

/* The plaintext for the committed hash; false when this node does not hold it. */
static bool
get_plaintext(Simulation *simulation, FbBytes namespace_name, FbBytes collection, FbBytes key,
			  RwSetVersion version, FbBytes *value)
{
	StateRow row;

	if (!private_store_get(simulation->ledger, namespace_name, collection, key,
						   simulation->snapshot, &row) ||
		!rwset_version_equal(row.version, version))
		return false;
	*value = row.value;
	return true;
}

/*
 * false when this node does not hold the committed value, for example after it has left the channel
 * and joined again
 */
bool
state_access_held_private(Simulation *simulation, FbBytes namespace_name, FbBytes collection,
						  FbBytes key, FbBytes *value)
{
	StateRow committed;

	return get_hash(simulation, namespace_name, collection, key, &committed) &&
		   get_plaintext(simulation, namespace_name, collection, key, committed.version, value);
}

/* raises an error when this node does not hold the plaintext of the committed hash */
bool
state_access_get_private(Simulation *simulation, FbBytes namespace_name, FbBytes collection,
						 FbBytes key, FbBytes *value)
{
	StateRow committed;

	if (!get_hash(simulation, namespace_name, collection, key, &committed))
		return false;
	if (!get_plaintext(simulation, namespace_name, collection, key, committed.version, value))
		ereport(
			ERROR,
			(fb_errcode(FB_CHAINCODE_ERROR),
			 errmsg("private data matching public hash version is not available"),
			 errdetail(
				 "Collection \"%s\": this node does not hold the value that block %llu, transaction %llu wrote.",
				 FB_DISPLAY(collection), (unsigned long long) committed.version.block_number,
				 (unsigned long long) committed.version.tx_index)));
	return true;
}

void
state_access_put_private(Simulation *simulation, FbBytes namespace_name, FbBytes collection,
						 FbBytes key, FbBytes value)
{
	FbError error;

	check_may_write(simulation);
	BUILDER_CHECK(simulation,
				  rwset_builder_add_private_write(simulation->builder, namespace_name, collection,
												  key, value, &error),
				  &error);
}

/* ---- ranges ---- */

/* A range query, see the design note. */
struct ShimCursor
{
	Simulation *simulation;
	MemoryContext context; /* rows of the current batch */
	FbBytes namespace_name;
	FbBytes next_key; /* start of the next batch */
	FbBytes end_key;
	RwSetRangeBuilder *range;
	ShimRow rows[FB_RANGE_PREFETCH + 1];
	int rows_count;
	int index;		   /* of the next row to return */
	int64 taken_count; /* rows read from the state in total */
	bool finished;	   /* there are no more rows to read */
};

static FbBytes
state_copy_bytes(MemoryContext context, FbBytes from)
{
	uint8_t *data = MemoryContextAllocHuge(context, from.size + 1);

	if (from.size > 0)
		memcpy(data, from.data, from.size);
	data[from.size] = 0;
	return fb_bytes(data, from.size);
}

/* the first key after this one */
static FbBytes
key_after(MemoryContext context, FbBytes key)
{
	return fb_bytes(state_copy_bytes(context, key).data, key.size + 1);
}

static ShimCursor *
open_cursor(Simulation *simulation, FbBytes namespace_name, FbBytes start_key, FbBytes end_key)
{
	ShimCursor *cursor = MemoryContextAllocZero(simulation->context, sizeof(ShimCursor));
	FbError error;

	cursor->simulation = simulation;
	cursor->context =
		AllocSetContextCreate(simulation->context, "fabric range", ALLOCSET_DEFAULT_SIZES);
	cursor->namespace_name = namespace_name;
	cursor->next_key = state_copy_bytes(simulation->context, start_key);
	cursor->end_key = state_copy_bytes(simulation->context, end_key);
	BUILDER_CHECK(simulation,
				  rwset_builder_open_range(simulation->builder, namespace_name, start_key, end_key,
										   &cursor->range, &error),
				  &error);
	return cursor;
}

ShimCursor *
state_access_open(Simulation *simulation, FbBytes namespace_name, FbBytes start_key,
				  FbBytes end_key)
{
	return open_cursor(simulation, namespace_name, start_key, end_key);
}

/*
 * Read rows until there are rows_max + 1 of them. The last one is only returned with the next
 * batch.
 */
static void
state_take_batch(ShimCursor *cursor, int rows_max)
{
	Simulation *simulation = cursor->simulation;
	ShimRow ahead = {0};
	bool has_ahead = cursor->rows_count > cursor->index;
	StateScan *scan;
	StateRow row;
	FbError error;

	if (has_ahead)
	{
		ahead.key = state_copy_bytes(CurrentMemoryContext, cursor->rows[cursor->index].key);
		ahead.value = state_copy_bytes(CurrentMemoryContext, cursor->rows[cursor->index].value);
	}
	MemoryContextReset(cursor->context);
	cursor->rows_count = 0;
	cursor->index = 0;
	if (has_ahead)
	{
		cursor->rows[0].key = state_copy_bytes(cursor->context, ahead.key);
		cursor->rows[0].value = state_copy_bytes(cursor->context, ahead.value);
		cursor->rows_count = 1;
	}
	scan = state_store_scan(simulation->ledger, cursor->namespace_name, cursor->next_key,
							cursor->end_key, simulation->snapshot);
	while (cursor->rows_count <= rows_max)
	{
		/* the total is limited without an error */
		if (cursor->taken_count >= FB_QUERY_RESULTS_MAX)
		{
			cursor->finished = true;
			break;
		}
		if (!state_scan_next(scan, &row))
		{
			rwset_range_exhaust(cursor->range);
			cursor->finished = true;
			break;
		}
		BUILDER_CHECK(simulation,
					  rwset_range_add_result(cursor->range, row.key, row.version, &error), &error);
		cursor->rows[cursor->rows_count].key = state_copy_bytes(cursor->context, row.key);
		cursor->rows[cursor->rows_count].value = state_copy_bytes(cursor->context, row.value);
		cursor->rows_count++;
		cursor->taken_count++;
	}
	state_scan_end(scan);
	if (!cursor->finished)
		cursor->next_key = key_after(simulation->context, cursor->rows[cursor->rows_count - 1].key);
}

bool
shim_cursor_next(ShimCursor *cursor, FbBytes *key, FbBytes *value)
{
	int available = cursor->finished ? cursor->rows_count : cursor->rows_count - 1;

	if (simulation_current() != cursor->simulation)
		return false;
	if (cursor->index >= available && !cursor->finished)
	{
		state_take_batch(cursor, FB_RANGE_PREFETCH);
		available = cursor->finished ? cursor->rows_count : cursor->rows_count - 1;
	}
	if (cursor->index >= available)
		return false;
	*key = cursor->rows[cursor->index].key;
	*value = cursor->rows[cursor->index].value;
	cursor->index++;
	return true;
}

void
state_access_page(Simulation *simulation, FbBytes start_key, FbBytes end_key, int64 page_size,
				  ShimPage *page)
{
	FbError error;
	RwSetRangeBuilder *range;
	StateScan *scan;
	StateRow row;

	if (page_size < 1 || page_size > FB_QUERY_RESULTS_MAX)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("page size %lld is out of range", (long long) page_size),
						errdetail("A page has 1 to %d rows.", FB_QUERY_RESULTS_MAX)));
	if (rwset_builder_has_writes(simulation->builder))
		ereport(ERROR,
				(fb_errcode(FB_SANDBOX_VIOLATION),
				 errmsg("a transaction that writes cannot make paginated queries"),
				 errhint("Read the pages in a query, and write in a transaction of its own.")));
	simulation->paginated = true;
	memset(page, 0, sizeof(*page));
	page->rows = palloc_array(ShimRow, page_size);
	BUILDER_CHECK(simulation,
				  rwset_builder_open_range(simulation->builder, simulation->namespace_name,
										   start_key, end_key, &range, &error),
				  &error);
	scan = state_store_scan(simulation->ledger, simulation->namespace_name, start_key, end_key,
							simulation->snapshot);
	while (page->rows_count < page_size && state_scan_next(scan, &row))
	{
		BUILDER_CHECK(simulation, rwset_range_add_result(range, row.key, row.version, &error),
					  &error);
		page->rows[page->rows_count].key = state_copy_bytes(CurrentMemoryContext, row.key);
		page->rows[page->rows_count].value = state_copy_bytes(CurrentMemoryContext, row.value);
		page->rows_count++;
	}
	if (page->rows_count < page_size)
		rwset_range_exhaust(range);
	else if (state_scan_next(scan, &row))
		page->bookmark = state_copy_bytes(CurrentMemoryContext, row.key);
	state_scan_end(scan);
}
