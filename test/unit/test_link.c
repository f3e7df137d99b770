/*
 * core/block/link: the chain in a log: links that follow, links that do not, hostile bytes, lack of
 * memory
 */
#include "unit/check.h"

#include "core/block/block.h"

static bool
heads_equal(const BlockHead *a, const BlockHead *b)
{
	return a->number == b->number && memcmp(a->hash, b->hash, CRYPTO_SHA256_BYTES) == 0;
}

static FbArena arena;
static FbError error;

/* common.BlockData with one envelope of payload and signature */
static const uint8_t good_batch[] = {0x0a, 0x06, 0x0a, 0x01, 'p', 0x12, 0x01, 's'};
static const uint8_t other_batch[] = {0x0a, 0x06, 0x0a, 0x01, 'q', 0x12, 0x01, 's'};
static const uint8_t unsigned_batch[] = {0x0a, 0x03, 0x0a, 0x01, 'p'};

#define BATCH(bytes) fb_bytes(bytes, sizeof(bytes))

static BlockLink
link_of(const BlockHead *head, FbBytes batch)
{
	FbBytes payload;
	BlockLink link;

	CHECK_STATUS(block_link_pack(head, batch, &arena.allocator, &payload, &error), FB_OK);
	CHECK_STATUS(block_link_parse(payload, &link, &error), FB_OK);
	CHECK(fb_bytes_equal(link.batch, batch) && link.number == head->number + 1);
	return link;
}

static void
test_chain(void)
{
	BlockHead head = {7, {1, 2, 3}};
	BlockHead first = head;
	BlockHead made = head;
	BlockHeader previous = {.number = 7,
							.previous_hash = FB_BYTES_LITERAL("x"),
							.data_hash = FB_BYTES_LITERAL("y")};
	BlockHashes hashes;
	BlockLink link = link_of(&head, BATCH(good_batch));
	BlockBatch batch;
	CheckedBlock block;

	CHECK_STATUS(block_link_check(&link, &head, &error), FB_OK);
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &head, &error), FB_OK);
	CHECK(head.number == 8 && !heads_equal(&head, &first));

	/* the head is the block that a ledger makes of the batch */
	block_head_of(&previous, &made);
	link = link_of(&made, BATCH(good_batch));
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &made, &error), FB_OK);
	CHECK_STATUS(block_batch_parse(BATCH(good_batch), &arena.allocator, &batch, &error), FB_OK);
	block_make(&previous, &batch, &hashes, &block);
	CHECK_STATUS(block_check_data(&block.view, &error), FB_OK);
	block_head_of(&block.view.header, &first);
	CHECK(heads_equal(&made, &first));

	/*
	 * Another batch gives another head; the same link does not follow twice; another number or hash
	 * does not follow.
	 */
	first = (BlockHead) {7, {1, 2, 3}};
	made = first;
	link = link_of(&first, BATCH(other_batch));
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &made, &error), FB_OK);
	CHECK(made.number == head.number && !heads_equal(&made, &head));
	CHECK_STATUS(block_link_check(&link, &head, &error), FB_CHAINS_DIFFER);
	CHECK(strstr(error.detail, "block 8") != NULL);
	first.number++;
	CHECK_STATUS(block_link_check(&link, &first, &error), FB_CHAINS_DIFFER);
	first.number--;
	first.hash[31]++;
	CHECK_STATUS(block_link_check(&link, &first, &error), FB_CHAINS_DIFFER);

	/* an entry without a block does not move the head */
	made = head;
	link = link_of(&head, BATCH(unsigned_batch));
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &made, &error), FB_OK);
	CHECK(heads_equal(&made, &head) && batch.data_count == 0);
	link = link_of(&head, FB_BYTES_EMPTY);
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &made, &error), FB_OK);
	CHECK(heads_equal(&made, &head));
	link = link_of(&head, FB_BYTES_LITERAL("\xff\xff"));
	CHECK_STATUS(block_link_follow(&link, &arena.allocator, &batch, &made, &error), FB_OK);
	CHECK(heads_equal(&made, &head));
}

static void
test_bytes(void)
{
	BlockHead head = {INT64_MAX - 1, {9}};
	BlockHead read;
	BlockLink link;
	uint8_t bytes[BLOCK_HEAD_BYTES];

	block_head_encode(&head, bytes);
	CHECK_STATUS(block_head_decode(BATCH(bytes), &read, &error), FB_OK);
	CHECK(heads_equal(&head, &read));
	for (size_t size = 0; size < sizeof(bytes); size++)
	{
		CHECK_STATUS(block_head_decode(fb_bytes(bytes, size), &read, &error), FB_MALFORMED_MESSAGE);
		CHECK_STATUS(block_link_parse(fb_bytes(bytes, size), &link, &error), FB_MALFORMED_MESSAGE);
	}
	bytes[0] |= 0x80;
	CHECK_STATUS(block_head_decode(BATCH(bytes), &read, &error), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(block_link_parse(BATCH(bytes), &link, &error), FB_MALFORMED_MESSAGE);
	memset(bytes, 0, 8);
	CHECK_STATUS(block_link_parse(BATCH(bytes), &link, &error), FB_MALFORMED_MESSAGE);
}

static void
test_memory(void)
{
	BlockHead head = {7, {1}};
	BlockLink link = link_of(&head, BATCH(good_batch));
	BlockBatch batch;

	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena poor;
		BlockHead made = head;
		FbBytes payload;
		FbStatus status;

		fb_arena_init(&poor);
		poor.fail_at = fail_at;
		status = block_link_pack(&head, BATCH(good_batch), &poor.allocator, &payload, NULL);
		if (status == FB_OK)
			status = block_link_follow(&link, &poor.allocator, &batch, &made, NULL);
		fb_arena_reset(&poor);
		if (status == FB_OK)
		{
			CHECK(fail_at > 1 && made.number == 8);
			break;
		}
		CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		CHECK(heads_equal(&made, &head));
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_chain());
	CHECK_TEST(test_bytes());
	CHECK_TEST(test_memory());
	fb_arena_reset(&arena);
	return check_finish("block/link");
}
