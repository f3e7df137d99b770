/*
 * The audit finds nothing in real blocks, as peers store them and as orderers deliver them; and it
 * covers every byte of them: it reports each changed byte.
 */
#include "unit/check.h"

#include "core/block_audit/block_audit.h"
#include "core/proto/proto.h"

typedef struct Seen
{
	size_t count;
	size_t count_max;
	AuditProblem last;
	bool print;
} Seen;

static FbArena config_arena;
static ConfigBundle *bundle;

static bool
note(void *context, const AuditProblem *problem)
{
	Seen *seen = context;

	seen->count++;
	seen->last = *problem;
	if (seen->print)
		fprintf(stderr, "    transaction %d: %s: %s\n", (int) problem->tx_index, problem->problem,
				problem->detail);
	return seen->count < seen->count_max;
}

static FbBytes
read_block(const char *directory, int number)
{
	char path[100];

	snprintf(path, sizeof(path), "test/vectors/%s/%d.block", directory, number);
	return check_read_file(path);
}

/* the number of problems (up to max) */
static size_t
problems(FbBytes block, FbBytes previous, const ConfigBundle *config, size_t max, bool print,
		 AuditProblem *last)
{
	FbArena arena;
	FbError error;
	Seen seen = {.count_max = max, .print = print};
	Audit audit = {.bundle = config, .report = note, .report_context = &seen};

	fb_arena_init(&arena);
	audit.allocator = &arena.allocator;
	CHECK_STATUS(audit_block(&audit, block, previous, &error), FB_OK);
	fb_arena_reset(&arena);
	if (config != NULL)
		msp_manager_trim(config->msps);
	if (last != NULL)
		*last = seen.last;
	return seen.count;
}

static void
clean(const char *directory, int number, int previous_number)
{
	FbBytes block = read_block(directory, number);
	FbBytes previous = previous_number < 0 ? FB_BYTES_EMPTY : read_block("blocks", previous_number);

	CHECK(problems(block, FB_BYTES_EMPTY, NULL, 100, true, NULL) == 0);
	CHECK(problems(block, previous, NULL, 100, true, NULL) == 0);
	CHECK(problems(block, FB_BYTES_EMPTY, bundle, 100, true, NULL) == 0);
	CHECK(problems(block, previous, bundle, 100, true, NULL) == 0);
	free((void *) block.data);
	free((void *) previous.data);
}

/* change every step-th byte, each in another bit; every change must be found */
static void
flip(int number, int previous_number, const ConfigBundle *config, size_t step)
{
	FbBytes block = read_block("blocks", number);
	FbBytes previous = previous_number < 0 ? FB_BYTES_EMPTY : read_block("blocks", previous_number);
	uint8_t *bytes = (uint8_t *) block.data;
	size_t missed = 0;

	for (size_t i = 0; i < block.size; i += step)
	{
		uint8_t bit = (uint8_t) (1u << (i / step % 8));

		bytes[i] ^= bit;
		if (problems(block, previous, config, 1, false, NULL) == 0)
		{
			fprintf(stderr, "    block %d, byte %zu, bit 0x%02x: not found\n", number, i, bit);
			missed++;
		}
		bytes[i] ^= bit;
	}
	CHECK(missed == 0);
	CHECK(problems(block, previous, config, 100, true, NULL) == 0);
	free(bytes);
	free((void *) previous.data);
}

/*
 * Rebuild block 9 with changes that keep its hashes consistent: only the signatures, the codes or
 * the commit hash show them.
 */
static void
rebuilt(void)
{
	FbArena arena;
	FbError error;
	FbBytes bytes = read_block("blocks", 9);
	FbBytes previous = read_block("blocks", 8);
	BlockView view;
	BlockHeader header;
	FbBytes metadata[FB_BLOCK_METADATA_COUNT];
	FbBytes changed;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	uint8_t *filter;
	AuditProblem last;

	fb_arena_init(&arena);
	CHECK_STATUS(block_parse(bytes, &arena.allocator, &view, &error), FB_OK);
	header = view.header;
	memcpy(metadata, view.metadata, sizeof(metadata));
	filter = fb_allocate(&arena.allocator, view.data_count);

	/* a transaction removed, and the hash made again: the orderer's signature does not cover it */
	block_data_hash(view.data, view.data_count - 1, hash);
	header.data_hash = fb_bytes(hash, sizeof(hash));
	metadata[2] = fb_bytes(metadata[2].data, view.data_count - 1);
	CHECK_STATUS(block_pack(&header, view.data, view.data_count - 1, metadata, &arena.allocator,
							&changed, &error),
				 FB_OK);
	CHECK(problems(changed, FB_BYTES_EMPTY, bundle, 100, false, &last) == 2);
	CHECK_TEXT(last.problem, "block_validation");
	CHECK(problems(changed, FB_BYTES_EMPTY, NULL, 100, false, &last) == 1);
	CHECK_TEXT(last.problem, "orderer_signature");

	/*
	 * A valid transaction marked invalid, and an invalid one marked valid: the commit hash shows
	 * it, if the block before is known.
	 */
	memcpy(filter, view.metadata[2].data, view.data_count);
	filter[3] = TX_MVCC_READ_CONFLICT;
	metadata[2] = fb_bytes(filter, view.data_count);
	CHECK_STATUS(block_pack(&view.header, view.data, view.data_count, metadata, &arena.allocator,
							&changed, &error),
				 FB_OK);
	CHECK(problems(changed, FB_BYTES_EMPTY, bundle, 100, false, NULL) == 0);
	CHECK(problems(changed, previous, bundle, 100, false, &last) == 1);
	CHECK_TEXT(last.problem, "commit_hash");

	/* a code that contradicts the bytes of the transaction */
	filter[3] = TX_BAD_CREATOR_SIGNATURE;
	CHECK_STATUS(block_pack(&view.header, view.data, view.data_count, metadata, &arena.allocator,
							&changed, &error),
				 FB_OK);
	CHECK(problems(changed, FB_BYTES_EMPTY, bundle, 100, false, &last) == 1);
	CHECK_TEXT(last.problem, "validation_code");
	CHECK(last.tx_index == 3);
	filter[3] = 99;
	CHECK_STATUS(block_pack(&view.header, view.data, view.data_count, metadata, &arena.allocator,
							&changed, &error),
				 FB_OK);
	CHECK(problems(changed, FB_BYTES_EMPTY, bundle, 1, false, &last) == 1);
	CHECK_TEXT(last.problem, "validation_code");

	/* a transaction twice */
	{
		FbBytes data[2] = {view.data[0], view.data[0]};

		block_data_hash(data, 2, hash);
		metadata[2] = FB_BYTES_LITERAL("\0\0");
		CHECK_STATUS(block_pack(&header, data, 2, metadata, &arena.allocator, &changed, &error),
					 FB_OK);
		CHECK(problems(changed, FB_BYTES_EMPTY, NULL, 100, false, &last) == 2);
		CHECK_TEXT(last.problem, "tx_id");
		CHECK(last.tx_index == 1);
	}

	/* the wrong block before */
	CHECK(problems(bytes, bytes, bundle, 100, false, &last) >= 1);
	CHECK(problems(FB_BYTES_LITERAL("\xff"), FB_BYTES_EMPTY, bundle, 100, false, &last) == 1);
	CHECK_TEXT(last.problem, "malformed");
	{
		Seen seen = {.count_max = 1};
		Audit audit = {.allocator = &arena.allocator, .report = note, .report_context = &seen};

		CHECK_STATUS(audit_block(&audit, bytes, FB_BYTES_LITERAL("\xff"), &error),
					 FB_INVALID_ARGUMENT);
	}
	fb_arena_reset(&arena);
	free((void *) bytes.data);
	free((void *) previous.data);
}

/*
 * An allocator whose n-th call fails: the audit reports that it ran out of memory, and nothing
 * else.
 */
static void
out_of_memory(void)
{
	FbBytes block = read_block("blocks", 6);
	FbBytes previous = read_block("blocks", 5);
	FbStatus status = FB_OUT_OF_MEMORY;

	for (size_t fail_at = 1; status != FB_OK && fail_at < 100000; fail_at += fail_at < 100 ? 1 : 7)
	{
		FbArena arena;
		FbError error;
		Seen seen = {.count_max = 100};
		Audit audit = {.report = note, .report_context = &seen};

		fb_arena_init(&arena);
		arena.fail_at = fail_at;
		audit.allocator = &arena.allocator;
		status = audit_block(&audit, block, previous, &error);
		if (status != FB_OK)
			CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		CHECK(seen.count == 0);
		fb_arena_reset(&arena);
	}
	CHECK_STATUS(status, FB_OK);
	free((void *) block.data);
	free((void *) previous.data);
}

/* blocks with a header and nothing else: they have neither transactions nor codes */
static void
test_empty_blocks(void)
{
	static const FbBytes blocks[] = {FB_BYTES_LITERAL("\x0a\x00"),
									 FB_BYTES_LITERAL("\x0a\x02\x08\x01")};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
	{
		CHECK(problems(blocks[i], FB_BYTES_EMPTY, NULL, 100, false, NULL) > 1);
		CHECK(problems(blocks[i], FB_BYTES_EMPTY, bundle, 100, false, NULL) > 1);
	}
}

int
main(void)
{
	FbBytes genesis = read_block("blocks", 0);
	FbError error;

	fb_arena_init(&config_arena);
	CHECK_STATUS(config_bundle_from_block(&config_arena.allocator, genesis, &bundle, &error),
				 FB_OK);
	for (int number = 0; number <= 9; number++)
		CHECK_TEST(clean("blocks", number, number - 1));
	CHECK_TEST(clean("blocks", 13, -1));
	CHECK_TEST(clean("blocks", 15, -1));
	CHECK_TEST(clean("orderer-blocks", 0, -1));
	CHECK_TEST(clean("orderer-blocks", 5, 4));
	CHECK_TEST(clean("orderer-blocks", 15, -1));

	CHECK_TEST(flip(0, -1, bundle, 1));
	CHECK_TEST(flip(6, 5, bundle, 1));
	CHECK_TEST(flip(6, 5, NULL, 1));
	CHECK_TEST(flip(9, 8, bundle, 5));
	CHECK_TEST(rebuilt());
	CHECK_TEST(test_empty_blocks());
	CHECK_TEST(out_of_memory());

	config_bundle_destroy(bundle);
	fb_arena_reset(&config_arena);
	free((void *) genesis.data);
	return check_finish("audit");
}
