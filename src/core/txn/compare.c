/*
 * compare: find where the responses of several endorsers differ, key by key
 * (internal/pkg/gateway/diff.go).
 *
 * Each payload is flattened into items (kind, namespace, key, name -> value); two sorted lists of
 * items are then merged.
 */
#include "core/txn/txn_internal.h"

#include <stdlib.h>

typedef struct Item
{
	ResponseDifferenceKind kind;
	FbBytes namespace_name;
	FbBytes key;
	FbBytes name;
	FbBytes value;
} Item;

typedef struct Items
{
	FbAllocator *allocator;
	Item *items;
	size_t count;
	size_t capacity;
} Items;

typedef struct Differences
{
	ResponseDifference *list;
	size_t count;
} Differences;

const char *
response_difference_name(ResponseDifferenceKind kind)
{
	switch (kind)
	{
		case RESPONSE_DIFFERS_READ:
			return "read version";
		case RESPONSE_DIFFERS_RANGE:
			return "range query result";
		case RESPONSE_DIFFERS_WRITE:
			return "write";
		case RESPONSE_DIFFERS_METADATA:
			return "key metadata";
		case RESPONSE_DIFFERS_PRIVATE:
			return "private data";
		case RESPONSE_DIFFERS_EVENT:
			return "chaincode event";
		case RESPONSE_DIFFERS_RESPONSE:
			return "chaincode response";
		case RESPONSE_DIFFERS_CHAINCODE:
			return "chaincode version";
		case RESPONSE_DIFFERS_PROPOSAL:
			return "proposal";
		case RESPONSE_DIFFERS_ENCODING:
			return "encoding";
		case RESPONSE_UNREADABLE:
			return "unreadable response";
	}
	return "difference";
}

/* ---- flattening ---- */

static FbStatus
add_item(Items *items, ResponseDifferenceKind kind, FbBytes namespace_name, FbBytes key,
		 FbBytes name, FbBytes value, FbError *error)
{
	if (items->count == items->capacity)
	{
		size_t capacity = items->capacity == 0 ? 32 : items->capacity * 2;
		Item *bigger = fb_allocate_array(items->allocator, capacity, sizeof(Item));

		if (bigger == NULL)
			return fb_out_of_memory(error);
		if (items->count > 0)
			memcpy(bigger, items->items, items->count * sizeof(Item));
		fb_release(items->allocator, items->items);
		items->items = bigger;
		items->capacity = capacity;
	}
	items->items[items->count++] = (Item) {kind, namespace_name, key, name, value};
	return FB_OK;
}

static void
append_version(FbBuffer *text, RwSetVersion version)
{
	if (version.present)
		fb_buffer_append_format(text, "block %llu, transaction %llu",
								(unsigned long long) version.block_number,
								(unsigned long long) version.tx_index);
	else
		fb_buffer_append_text(text, "does not exist");
}

static FbStatus
add_reads(Items *items, FbBytes namespace_name, FbBytes collection, const RwSetRead *reads,
		  size_t count, FbError *error)
{
	for (size_t i = 0; i < count; i++)
	{
		FbBuffer text;
		FbBytes bytes;

		fb_buffer_init(&text, items->allocator);
		append_version(&text, reads[i].version);
		FB_TRY(fb_buffer_bytes(&text, &bytes, error));
		FB_TRY(add_item(items, RESPONSE_DIFFERS_READ, namespace_name, reads[i].key, collection,
						bytes, error));
	}
	return FB_OK;
}

/* a range as text: the number of results, its end, and a fingerprint of keys and versions */
static FbStatus
add_range(Items *items, FbBytes namespace_name, const RwSetRange *range, FbError *error)
{
	CryptoSha256 hash;
	uint8_t fingerprint[CRYPTO_SHA256_BYTES];
	char hex[2 * CRYPTO_SHA256_BYTES + 1];
	FbBuffer text;
	FbBytes bytes;

	crypto_sha256_start(&hash);
	fb_buffer_init(&text, items->allocator);
	for (size_t i = 0; i < range->reads_count; i++)
	{
		text.size = 0;
		fb_buffer_append_format(&text, "%zu:", range->reads[i].key.size);
		fb_buffer_append_bytes(&text, range->reads[i].key);
		append_version(&text, range->reads[i].version);
		FB_TRY(fb_buffer_bytes(&text, &bytes, error));
		crypto_sha256_add(&hash, bytes);
	}
	for (size_t i = 0; i < range->merkle.hashes_count; i++)
		crypto_sha256_add(&hash, range->merkle.hashes[i]);
	crypto_sha256_finish(&hash, fingerprint);
	fb_hex_encode(fb_bytes(fingerprint, sizeof(fingerprint)), hex);
	fb_buffer_init(&text, items->allocator);
	if (range->kind == RWSET_RANGE_MERKLE)
		fb_buffer_append_format(&text, "more than %u results (level %u, %zu hashes)",
								range->merkle.max_degree, range->merkle.max_level,
								range->merkle.hashes_count);
	else
		fb_buffer_append_format(&text, "%zu results", range->reads_count);
	fb_buffer_append_format(&text, "%s, SHA-256 %s", range->exhausted ? "" : ", stopped early",
							hex);
	FB_TRY(fb_buffer_bytes(&text, &bytes, error));
	return add_item(items, RESPONSE_DIFFERS_RANGE, namespace_name, range->start_key, range->end_key,
					bytes, error);
}

static FbStatus
add_metadata(Items *items, FbBytes namespace_name, const RwSetMetadataWrite *writes, size_t count,
			 FbError *error)
{
	for (size_t i = 0; i < count; i++)
	{
		/* no entries: the metadata is deleted; an item with an empty name */
		if (writes[i].entries_count == 0)
			FB_TRY(add_item(items, RESPONSE_DIFFERS_METADATA, namespace_name, writes[i].key,
							FB_BYTES_EMPTY, FB_BYTES_EMPTY, error));
		for (size_t j = 0; j < writes[i].entries_count; j++)
			FB_TRY(add_item(items, RESPONSE_DIFFERS_METADATA, namespace_name, writes[i].key,
							writes[i].entries[j].name, writes[i].entries[j].value, error));
	}
	return FB_OK;
}

static FbStatus
add_rwset(Items *items, const RwSet *set, FbError *error)
{
	for (size_t n = 0; n < set->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &set->namespaces[n];

		FB_TRY(add_reads(items, ns->name, FB_BYTES_EMPTY, ns->reads, ns->reads_count, error));
		for (size_t i = 0; i < ns->ranges_count; i++)
			FB_TRY(add_range(items, ns->name, &ns->ranges[i], error));
		for (size_t i = 0; i < ns->writes_count; i++)
			FB_TRY(add_item(items, RESPONSE_DIFFERS_WRITE, ns->name, ns->writes[i].key,
							FB_BYTES_EMPTY, ns->writes[i].value, error));
		FB_TRY(
			add_metadata(items, ns->name, ns->metadata_writes, ns->metadata_writes_count, error));
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			FB_TRY(add_reads(items, ns->name, collection->name, collection->hashed_reads,
							 collection->hashed_reads_count, error));
			FB_TRY(add_metadata(items, ns->name, collection->metadata_writes,
								collection->metadata_writes_count, error));
			/* one hash covers everything written there, keys and values */
			FB_TRY(add_item(items, RESPONSE_DIFFERS_PRIVATE, ns->name, FB_BYTES_EMPTY,
							collection->name, collection->private_hash, error));
		}
	}
	return FB_OK;
}

static FbStatus
add_response(Items *items, const ResponsePayload *content, FbError *error)
{
	FbBuffer text;
	FbBytes bytes;

	fb_buffer_init(&text, items->allocator);
	fb_buffer_append_format(&text, "status %d, message \"", (int) content->response.status);
	fb_buffer_append_bytes(&text, content->response.message);
	fb_buffer_append_text(&text, "\", payload ");
	fb_buffer_append_bytes(&text, content->response.payload);
	FB_TRY(fb_buffer_bytes(&text, &bytes, error));
	FB_TRY(add_item(items, RESPONSE_DIFFERS_RESPONSE, FB_BYTES_EMPTY, FB_BYTES_EMPTY,
					FB_BYTES_EMPTY, bytes, error));
	fb_buffer_init(&text, items->allocator);
	fb_buffer_append_bytes(&text, content->chaincode_name);
	fb_buffer_append_text(&text, " ");
	fb_buffer_append_bytes(&text, content->chaincode_version);
	FB_TRY(fb_buffer_bytes(&text, &bytes, error));
	FB_TRY(add_item(items, RESPONSE_DIFFERS_CHAINCODE, FB_BYTES_EMPTY, FB_BYTES_EMPTY,
					FB_BYTES_EMPTY, bytes, error));
	return add_item(items, RESPONSE_DIFFERS_PROPOSAL, FB_BYTES_EMPTY, FB_BYTES_EMPTY,
					FB_BYTES_EMPTY, content->proposal_hash, error);
}

static FbStatus
add_event(Items *items, FbBytes event_bytes, FbError *error)
{
	ChaincodeEvent event;

	if (event_bytes.size == 0)
		return FB_OK;
	FB_TRY(response_event_parse(items->allocator, event_bytes, &event, error));
	return add_item(items, RESPONSE_DIFFERS_EVENT, FB_BYTES_EMPTY, FB_BYTES_EMPTY, event.event_name,
					event.payload, error);
}

static int
compare_places(const Item *x, const Item *y)
{
	int order = (int) x->kind - (int) y->kind;

	if (order == 0)
		order = fb_bytes_compare(x->namespace_name, y->namespace_name);
	if (order == 0)
		order = fb_bytes_compare(x->key, y->key);
	if (order == 0)
		order = fb_bytes_compare(x->name, y->name);
	return order;
}

static int
compare_items(const void *a, const void *b)
{
	int order = compare_places(a, b);

	return order != 0 ? order
					  : fb_bytes_compare(((const Item *) a)->value, ((const Item *) b)->value);
}

/* *readable = false: not a payload; other failures are failures of this node */
static FbStatus
flatten_response(FbAllocator *allocator, FbBytes payload, Items *items, bool *readable,
				 FbError *error)
{
	ResponsePayload content;
	RwSet *set;
	FbStatus status;

	memset(items, 0, sizeof(*items));
	items->allocator = allocator;
	*readable = false;
	status = response_payload_parse(allocator, payload, &content, error);
	if (status == FB_OK)
		status = rwset_parse(allocator, content.results, &set, error);
	if (status == FB_OK)
		status = add_event(items, content.event, error);
	if (status == FB_OK)
		status = add_rwset(items, set, error);
	if (status == FB_OK)
		status = add_response(items, &content, error);
	if (status == FB_MALFORMED_MESSAGE || status == FB_LIMIT_EXCEEDED)
		return FB_OK;
	FB_TRY(status);
	if (items->count > 1)
		qsort(items->items, items->count, sizeof(Item), compare_items);
	*readable = true;
	return FB_OK;
}

/* ---- comparing ---- */

static void
note_difference(Differences *differences, size_t response_index, ResponseDifferenceKind kind,
				const Item *expected, const Item *actual)
{
	const Item *place = expected != NULL ? expected : actual;
	ResponseDifference *difference;

	if (differences->count == FB_RESPONSE_DIFFERENCES_MAX)
		return;
	difference = &differences->list[differences->count++];
	memset(difference, 0, sizeof(*difference));
	difference->response_index = response_index;
	difference->kind = kind;
	if (place != NULL)
	{
		difference->namespace_name = place->namespace_name;
		difference->key = place->key;
		difference->name = place->name;
	}
	difference->expected_present = expected != NULL;
	difference->actual_present = actual != NULL;
	if (expected != NULL)
		difference->expected = expected->value;
	if (actual != NULL)
		difference->actual = actual->value;
}

static void
merge_items(Differences *differences, size_t response_index, const Items *expected,
			const Items *actual)
{
	size_t before = differences->count;
	size_t i = 0;
	size_t j = 0;

	while (i < expected->count || j < actual->count)
	{
		/* both are in the order of flatten_response */
		FB_ASSERT(i == 0 || i == expected->count ||
				  compare_places(&expected->items[i - 1], &expected->items[i]) <= 0);
		FB_ASSERT(j == 0 || j == actual->count ||
				  compare_places(&actual->items[j - 1], &actual->items[j]) <= 0);
		int order = i == expected->count ? 1
					: j == actual->count ? -1
										 : compare_places(&expected->items[i], &actual->items[j]);

		if (order < 0)
			note_difference(differences, response_index, expected->items[i].kind,
							&expected->items[i], NULL);
		else if (order > 0)
			note_difference(differences, response_index, actual->items[j].kind, NULL,
							&actual->items[j]);
		else if (!fb_bytes_equal(expected->items[i].value, actual->items[j].value))
			note_difference(differences, response_index, expected->items[i].kind,
							&expected->items[i], &actual->items[j]);
		i += order <= 0;
		j += order >= 0;
	}
	if (differences->count == before)
		note_difference(differences, response_index, RESPONSE_DIFFERS_ENCODING, NULL, NULL);
}

FbStatus
response_compare(FbAllocator *allocator, const ProposalResponse *responses, size_t responses_count,
				 ResponseDifference **differences, size_t *differences_count, FbError *error)
{
	Differences found = {NULL, 0};
	Items expected = {0};
	bool expected_readable = false;
	bool expected_done = false;

	*differences = NULL;
	*differences_count = 0;
	found.list =
		fb_allocate_array(allocator, FB_RESPONSE_DIFFERENCES_MAX, sizeof(ResponseDifference));
	if (found.list == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 1; i < responses_count; i++)
	{
		Items actual;
		bool readable;

		if (fb_bytes_equal(responses[i].payload, responses[0].payload))
			continue;
		if (!expected_done)
		{
			FB_TRY(flatten_response(allocator, responses[0].payload, &expected, &expected_readable,
									error));
			expected_done = true;
			if (!expected_readable)
				note_difference(&found, 0, RESPONSE_UNREADABLE, NULL, NULL);
		}
		FB_TRY(flatten_response(allocator, responses[i].payload, &actual, &readable, error));
		if (!readable)
			note_difference(&found, i, RESPONSE_UNREADABLE, NULL, NULL);
		else if (expected_readable)
			merge_items(&found, i, &expected, &actual);
	}
	*differences = found.list;
	*differences_count = found.count;
	return FB_OK;
}
