/*
 * Blocks 0 to 9 of a real Fabric network replayed: parse, validate reads against the state so far,
 * apply the updates. The validation codes and the commit hash of each block must be those that
 * Fabric's peer wrote.
 */
#include "unit/check.h"

#include "core/block/block.h"
#include "core/rwset/rwset.h"

#define STATE_ROWS_MAX 1000

typedef struct StateRow
{
	FbBytes state_namespace;
	FbBytes key;
	FbBytes value;
	FbBytes metadata;
	RwSetVersion version;
} StateRow;

static FbArena arena;
static FbError error;
static StateRow state[STATE_ROWS_MAX];
static size_t state_count;

static StateRow *
find_row(FbBytes state_namespace, FbBytes key)
{
	for (size_t i = 0; i < state_count; i++)
	{
		if (fb_bytes_equal(state[i].state_namespace, state_namespace) &&
			fb_bytes_equal(state[i].key, key))
			return &state[i];
	}
	return NULL;
}

/* the read-write set of an endorser transaction; NULL for any other one */
static RwSet *
transaction_rwset(FbBytes envelope_bytes)
{
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ChannelHeader *header;
	Protos__Transaction *transaction;
	Protos__ChaincodeActionPayload *action_payload;
	Protos__ProposalResponsePayload *response;
	Protos__ChaincodeAction *action;
	RwSet *rwset;
	FbBytes packed;

	CHECK_STATUS(PROTO_UNPACK(common__envelope, envelope_bytes, &arena.allocator, &envelope,
							  &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), &arena.allocator,
							  &payload, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__channel_header, proto_bytes(payload->header->channel_header),
							  &arena.allocator, &header, &error),
				 FB_OK);
	if (header->type != COMMON__HEADER_TYPE__ENDORSER_TRANSACTION)
		return NULL;
	CHECK_STATUS(PROTO_UNPACK(protos__transaction, proto_bytes(payload->data), &arena.allocator,
							  &transaction, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action_payload,
							  proto_bytes(transaction->actions[0]->payload), &arena.allocator,
							  &action_payload, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__proposal_response_payload,
							  proto_bytes(action_payload->action->proposal_response_payload),
							  &arena.allocator, &response, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action, proto_bytes(response->extension),
							  &arena.allocator, &action, &error),
				 FB_OK);
	CHECK_STATUS(rwset_parse(&arena.allocator, proto_bytes(action->results), &rwset, &error),
				 FB_OK);
	/* packing again gives the bytes of Fabric's simulator */
	CHECK_STATUS(rwset_pack(&arena.allocator, rwset, &packed, &error), FB_OK);
	CHECK(fb_bytes_equal(packed, proto_bytes(action->results)));
	return rwset;
}

static void
apply(const MvccResult *result)
{
	for (size_t i = 0; i < result->updates_count; i++)
	{
		const StateUpdate *update = &result->updates[i];
		StateRow *row = find_row(update->state_namespace, update->key);

		if (update->is_delete)
		{
			if (row != NULL)
				*row = state[--state_count];
			continue;
		}
		if (row == NULL)
		{
			FB_ASSERT(state_count < STATE_ROWS_MAX);
			row = &state[state_count++];
			*row = (StateRow) {.state_namespace = update->state_namespace, .key = update->key};
		}
		row->value = update->value;
		row->version = update->version;
		row->metadata = update->metadata;
	}
}

static void
replay(int number, uint8_t commit_hash[CRYPTO_SHA256_BYTES])
{
	char path[100];
	FbBytes file;
	FbBytes bytes;
	BlockView view;
	MvccTransaction *transactions;
	MvccBlock *block;
	MvccResult result;
	FbBytes filter;
	FbBytes expected;
	uint8_t *codes;

	snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", number);
	file = check_read_file(path);
	CHECK_STATUS(fb_bytes_copy(&arena.allocator, file, &bytes, &error), FB_OK);
	free((void *) file.data);
	CHECK_STATUS(block_parse(bytes, &arena.allocator, &view, &error), FB_OK);
	filter = view.metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];
	transactions = fb_allocate_array(&arena.allocator, view.data_count, sizeof(MvccTransaction));
	codes = fb_allocate(&arena.allocator, view.data_count);
	for (size_t i = 0; i < view.data_count; i++)
	{
		transactions[i].rwset = transaction_rwset(view.data[i]);
		transactions[i].post_order = transactions[i].rwset == NULL;
	}
	CHECK_STATUS(mvcc_prepare(&arena.allocator, transactions, view.data_count, &block, &error),
				 FB_OK);
	for (size_t i = 0; i < block->keys_count; i++)
	{
		StateRow *row = find_row(block->keys[i].state_namespace, block->keys[i].key);

		if (row != NULL)
		{
			block->keys[i].committed = row->version;
			block->keys[i].committed_value = row->value;
			block->keys[i].committed_metadata = row->metadata;
		}
	}
	CHECK(!block->has_ranges);
	CHECK_STATUS(mvcc_validate(&arena.allocator, block, view.header.number, NULL, &result, &error),
				 FB_OK);
	for (size_t i = 0; i < view.data_count; i++)
		codes[i] = transactions[i].code;
	CHECK(fb_bytes_equal(fb_bytes(codes, view.data_count), filter));
	CHECK(result.conflicts_count == 0);
	apply(&result);

	CHECK_STATUS(block_commit_hash_parse(view.metadata[COMMON__BLOCK_METADATA_INDEX__COMMIT_HASH],
										 &arena.allocator, &expected, &error),
				 FB_OK);
	if (number == 0)
	{
		CHECK(expected.size == 0);
		return;
	}
	update_commit_hash(filter, result.updates, result.updates_count,
					   number == 1 ? FB_BYTES_EMPTY : fb_bytes(commit_hash, CRYPTO_SHA256_BYTES),
					   commit_hash);
	if (!CHECK(fb_bytes_equal(fb_bytes(commit_hash, CRYPTO_SHA256_BYTES), expected)))
		fprintf(stderr, "    in block %d\n", number);
}

int
main(void)
{
	uint8_t commit_hash[CRYPTO_SHA256_BYTES];
	StateRow *row;

	fb_arena_init(&arena);
	for (int number = 0; number <= 9; number++)
		CHECK_TEST(replay(number, commit_hash));

	/* the definition of chaincode "asset", committed in block 5: sequence 1 */
	row = find_row(FB_BYTES_LITERAL("_lifecycle"),
				   FB_BYTES_LITERAL("namespaces/fields/asset/Sequence"));
	if (CHECK(row != NULL))
	{
		CHECK_HEX(row->value, "0801");
		CHECK(row->version.block_number == 5 && row->version.tx_index == 0);
	}
	row = find_row(FB_BYTES_LITERAL("_lifecycle"),
				   FB_BYTES_LITERAL("namespaces/fields/asset/Collections"));
	if (CHECK(row != NULL))
		CHECK_HEX(row->value, "1200");
	fb_arena_reset(&arena);
	return check_finish("block/chain");
}
