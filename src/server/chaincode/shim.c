/* shim: the requests of chaincode while it runs. surface/shim_functions.c gives them SQL names. */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "core/identity/identity.h"
#include "core/policy/policy.h"
#include "server/chaincode/chaincode_internal.h"

/* Go's minimal and maximal code points around a partial composite key: U+0000 and U+10FFFF */
static const uint8_t composite_end[] = {0xF4, 0x8F, 0xBF, 0xBF};

/* shim/stub.go: an empty start of a range means the first simple key, after all composite ones */
#define FIRST_SIMPLE_KEY "\x01"

/* ---- the call ---- */

const SimulationRequest *
shim_request(void)
{
	return simulation_current()->request;
}

bool
shim_get_transient(FbBytes key, FbBytes *value)
{
	const SimulationRequest *request = shim_request();

	for (size_t i = 0; i < request->transient_count; i++)
		if (fb_bytes_equal(request->transient[i].key, key))
		{
			*value = request->transient[i].value;
			return true;
		}
	return false;
}

static const CryptoCertificate *
client_certificate(Simulation *simulation)
{
	FbAllocator *allocator = memory_allocator(simulation->context);
	FbBytes pem;
	FbError error;

	if (simulation->creator_msp_id == NULL)
		error_check(identity_unpack(simulation->request->creator, allocator,
									&simulation->creator_msp_id, &pem, &error),
					&error);
	if (simulation->certificate == NULL)
	{
		const char *msp_id;

		error_check(identity_unpack(simulation->request->creator, allocator, &msp_id, &pem, &error),
					&error);
		error_check(crypto_certificate_parse(pem, &simulation->certificate, &error), &error);
	}
	return simulation->certificate;
}

const char *
shim_client_msp_id(void)
{
	Simulation *simulation = simulation_current();

	if (simulation->creator_msp_id == NULL)
	{
		FbBytes pem;
		FbError error;

		error_check(identity_unpack(simulation->request->creator,
									memory_allocator(simulation->context),
									&simulation->creator_msp_id, &pem, &error),
					&error);
	}
	return simulation->creator_msp_id;
}

const char *
shim_client_id(void)
{
	const char *id;
	FbError error;

	error_check(certificate_client_id(client_certificate(simulation_current()),
									  memory_allocator(CurrentMemoryContext), &id, &error),
				&error);
	return id;
}

bool
shim_client_attribute(FbBytes name, FbBytes *value)
{
	bool found;
	FbError error;

	error_check(certificate_attribute(client_certificate(simulation_current()), name,
									  memory_allocator(CurrentMemoryContext), &found, value,
									  &error),
				&error);
	return found;
}

/* ---- state ---- */

static void
shim_check_key(FbBytes key)
{
	if (key.size == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("key must not be empty")));
	/* Fabric would let chaincode forge it and so skip its own initialization */
	if (fb_bytes_equal(key, FB_BYTES_LITERAL(CHAINCODE_INITIALIZED_KEY)))
		ereport(ERROR, (fb_errcode(FB_SANDBOX_VIOLATION),
						errmsg("the key that marks a chaincode as initialized is reserved")));
}

bool
shim_get_state(FbBytes key, FbBytes *value)
{
	Simulation *simulation = simulation_current();

	return state_access_get(simulation, simulation->namespace_name, key, value);
}

void
shim_put_state(FbBytes key, FbBytes value)
{
	Simulation *simulation = simulation_current();

	shim_check_key(key);
	state_access_put(simulation, simulation->namespace_name, key, value);
}

void
shim_delete_state(FbBytes key)
{
	Simulation *simulation = simulation_current();

	shim_check_key(key);
	state_access_delete(simulation, simulation->namespace_name, key);
}

/* ---- ranges and composite keys ---- */

static void
check_simple_key(FbBytes key)
{
	if (key.size > 0 && key.data[0] == 0)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("the first character of a range's key must not be U+0000"),
				 errhint("Use fabric.get_state_by_partial_composite_key for composite keys.")));
}

static FbBytes
first_key(FbBytes start_key)
{
	return start_key.size > 0 ? start_key : FB_BYTES_LITERAL(FIRST_SIMPLE_KEY);
}

ShimCursor *
shim_open_range(FbBytes start_key, FbBytes end_key)
{
	Simulation *simulation = simulation_current();

	check_simple_key(start_key);
	check_simple_key(end_key);
	return state_access_open(simulation, simulation->namespace_name, first_key(start_key), end_key);
}

void
shim_page_range(FbBytes start_key, FbBytes end_key, int64 page_size, FbBytes bookmark,
				ShimPage *page)
{
	Simulation *simulation = simulation_current();

	check_simple_key(start_key);
	check_simple_key(end_key);
	check_simple_key(bookmark);
	state_access_page(simulation, bookmark.size > 0 ? bookmark : first_key(start_key), end_key,
					  page_size, page);
}

static void
check_part(FbBytes part)
{
	bool good = fb_utf8_valid(part) && (part.size == 0 || memchr(part.data, 0, part.size) == NULL);

	for (size_t i = 0; good && i + sizeof(composite_end) <= part.size; i++)
		good = memcmp(part.data + i, composite_end, sizeof(composite_end)) != 0;
	if (!good)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("a part of a composite key must be UTF-8 without U+0000 and U+10FFFF")));
}

FbBytes
shim_composite_key(FbBytes object_type, const FbBytes *attributes, size_t attributes_count)
{
	FbBuffer key;
	FbBytes bytes;
	FbError error;

	fb_buffer_init(&key, memory_allocator(CurrentMemoryContext));
	check_part(object_type);
	fb_buffer_append_byte(&key, 0);
	fb_buffer_append_bytes(&key, object_type);
	fb_buffer_append_byte(&key, 0);
	for (size_t i = 0; i < attributes_count; i++)
	{
		check_part(attributes[i]);
		fb_buffer_append_bytes(&key, attributes[i]);
		fb_buffer_append_byte(&key, 0);
	}
	error_check(fb_buffer_bytes(&key, &bytes, &error), &error);
	return bytes;
}

/*
 * shim/stub.go splitCompositeKey: the parts between the zeros after the first zero; nothing is
 * checked
 */
size_t
shim_split_composite_key(FbBytes key, FbBytes **parts)
{
	size_t count = 0;
	size_t first = 1;

	*parts = palloc_array(FbBytes, key.size + 1);
	for (size_t i = 1; i < key.size; i++)
		if (key.data[i] == 0)
		{
			(*parts)[count++] = fb_bytes(key.data + first, i - first);
			first = i + 1;
		}
	return count;
}

static FbBytes
composite_range_end(FbBytes start)
{
	uint8_t *end = palloc(start.size + sizeof(composite_end));

	memcpy(end, start.data, start.size);
	memcpy(end + start.size, composite_end, sizeof(composite_end));
	return fb_bytes(end, start.size + sizeof(composite_end));
}

ShimCursor *
shim_open_composite(FbBytes object_type, const FbBytes *attributes, size_t attributes_count)
{
	Simulation *simulation = simulation_current();
	FbBytes start = shim_composite_key(object_type, attributes, attributes_count);

	return state_access_open(simulation, simulation->namespace_name, start,
							 composite_range_end(start));
}

void
shim_page_composite(FbBytes object_type, const FbBytes *attributes, size_t attributes_count,
					int64 page_size, FbBytes bookmark, ShimPage *page)
{
	Simulation *simulation = simulation_current();
	FbBytes start = shim_composite_key(object_type, attributes, attributes_count);
	FbBytes end = composite_range_end(start);

	if (bookmark.size > 0 &&
		(fb_bytes_compare(bookmark, start) < 0 || fb_bytes_compare(bookmark, end) >= 0))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("bookmark does not belong to this query")));
	state_access_page(simulation, bookmark.size > 0 ? bookmark : start, end, page_size, page);
}

/* ---- history, events, policies of keys ---- */

static void
shim_put_history(Simulation *simulation, const HistoryRow *row,
				 void (*put)(void *context, const ShimHistory *write), void *context)
{
	TransactionRow transaction;
	ShimHistory write = {.value = row->value,
						 .is_delete = row->is_delete,
						 .block_number = row->block_number};

	if (!block_store_transaction(simulation->ledger, row->block_number, row->position,
								 simulation->snapshot, false, &transaction))
		ereport(ERROR, (fb_errcode(FB_CORRUPTED),
						errmsg("transaction %u of block %llu is missing", row->position,
							   (unsigned long long) row->block_number)));
	write.tx_id = transaction.tx_id;
	write.created_at = transaction.created_at;
	put(context, &write);
}

void
shim_history(FbBytes key, void (*put)(void *context, const ShimHistory *write), void *context)
{
	Simulation *simulation = simulation_current();
	HistoryScan *scan =
		history_scan_key(simulation->ledger, simulation->namespace_name, key, simulation->snapshot);
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric history row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row_context);
	HistoryRow row;

	while (MemoryContextReset(row_context), history_scan_next(scan, &row))
		shim_put_history(simulation, &row, put, context);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
	history_scan_end(scan);
}

void
shim_set_event(FbBytes name, FbBytes payload)
{
	Simulation *simulation = simulation_current();
	FbError error;

	if (name.size == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("event name must not be empty")));
	if (name.size > FB_EVENT_NAME_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("event name of %zu bytes is too long", name.size),
						errdetail("The limit is %d bytes.", FB_EVENT_NAME_BYTES_MAX)));
	error_check(fb_bytes_copy(simulation->allocator, payload, &simulation->event_payload, &error),
				&error);
	simulation->event_name = fb_text_copy(simulation->allocator, name);
	if (simulation->event_name == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

void
shim_set_validation_parameter(FbBytes key, FbBytes parameter)
{
	RwSetMetadataEntry entry = {.name = fb_bytes_of_text(RWSET_VALIDATION_PARAMETER),
								.value = parameter};
	Simulation *simulation = simulation_current();
	SignaturePolicy *policy;
	FbError error;

	shim_check_key(key);
	/* Fabric accepts any bytes here, and then the key can never be written again */
	if (parameter.size > 0)
		error_check(signature_policy_decode(memory_allocator(CurrentMemoryContext), parameter,
											&policy, &error),
					&error);
	state_access_put_metadata(simulation, key, &entry, 1);
}

bool
shim_get_validation_parameter(FbBytes key, FbBytes *parameter)
{
	FbBytes metadata;
	FbError error;

	if (!state_access_get_metadata(simulation_current(), key, &metadata))
		return false;
	error_check(rwset_metadata_validation_parameter(memory_allocator(CurrentMemoryContext),
													metadata, parameter, &error),
				&error);
	return true;
}

static int
shim_compare_bytes(const void *a, const void *b)
{
	return fb_bytes_compare(*(const FbBytes *) a, *(const FbBytes *) b);
}

/*
 * statebased/statebasedimpl.go: n out of n, one principal for each organization, sorted by MSP id
 */
FbBytes
shim_state_policy(const char *role, const FbBytes *msp_ids, size_t msp_ids_count)
{
	FbBytes *sorted = palloc_array(FbBytes, msp_ids_count + 1);
	StringInfoData text;
	PolicyNotice notice = {0};
	FbBytes envelope;
	FbError error;

	if (strcmp(role, "member") != 0 && strcmp(role, "peer") != 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("unrecognized role \"%s\" of a state policy", error_excerpt(role)),
						errdetail("The role is \"member\" or \"peer\".")));
	if (msp_ids_count == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("a state policy needs at least one organization")));
	memcpy(sorted, msp_ids, msp_ids_count * sizeof(FbBytes));
	qsort(sorted, msp_ids_count, sizeof(FbBytes), shim_compare_bytes);
	initStringInfo(&text);
	appendStringInfoString(&text, "AND(");
	for (size_t i = 0, n = 0; i < msp_ids_count; i++)
	{
		if (i > 0 && fb_bytes_equal(sorted[i], sorted[i - 1]))
			continue;
		appendStringInfoString(&text, n++ > 0 ? ",'" : "'");
		appendBinaryStringInfo(&text, (const char *) sorted[i].data, (int) sorted[i].size);
		appendStringInfo(&text, ".%s'", role);
	}
	appendStringInfoChar(&text, ')');
	error_check(policy_compile(memory_allocator(CurrentMemoryContext),
							   fb_bytes(text.data, text.len), &envelope, &notice, &error),
				&error);
	return envelope;
}
