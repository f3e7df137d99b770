/* txn: where the results of two endorsers differ */
#include "unit/txn_samples.h"

/* a long range and many writes */
static char *
many_hex(FbAllocator *allocator, int variant)
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *range;
	RwSetResult result;
	char *hex;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK ||
		rwset_builder_open_range(builder, B("basic"), B("a"), B("z"), &range, NULL) != FB_OK)
		exit(2);
	for (int i = 0; i < 120; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%03d", i);
		if (rwset_range_add_result(range, fb_bytes_of_text(key),
								   (RwSetVersion) {true, 5 + variant * i / 119, 0},
								   NULL) != FB_OK ||
			rwset_builder_add_write(builder, B("basic"), fb_bytes_of_text(key),
									variant == 0 ? B("0") : B("1"), NULL) != FB_OK)
			exit(2);
	}
	rwset_range_exhaust(range);
	if (rwset_builder_finish(builder, &result, NULL) != FB_OK)
		exit(2);
	hex = fb_allocate(allocator, result.public_bytes.size * 2 + 1);
	fb_hex_encode(result.public_bytes, hex);
	return hex;
}

static void
test_compare(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;
	static const struct
	{
		int variant;
		size_t count;
		ResponseDifferenceKind kind;
		const char *key;
	} cases[] = {
		/* a version that was read is in the read and in the range */
		{1, 2, RESPONSE_DIFFERS_READ, "k"},		{2, 1, RESPONSE_DIFFERS_WRITE, "k"},
		{3, 1, RESPONSE_DIFFERS_METADATA, "k"}, {4, 1, RESPONSE_DIFFERS_PRIVATE, ""},
		{5, 1, RESPONSE_DIFFERS_RANGE, "a"},	{6, 1, RESPONSE_DIFFERS_WRITE, "extra"},
	};

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	responses[0].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		responses[1].payload =
			make_payload(allocator, &proposal, results_hex(allocator, cases[i].variant), "1.0", 200,
						 FB_BYTES_EMPTY);
		CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
		if (!CHECK(count == cases[i].count))
			continue;
		CHECK(differences[0].kind == cases[i].kind && differences[0].response_index == 1);
		CHECK(fb_bytes_equal(differences[0].key, fb_bytes_of_text(cases[i].key)));
		CHECK(fb_bytes_equal(differences[0].namespace_name, B("basic")));
		CHECK(differences[0].expected_present == (cases[i].variant != 6) &&
			  differences[0].actual_present);
	}
}

/* the values that differ, as text */
static void
test_compare_texts(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;
	ChaincodeEvent event = {B("basic"), B("id"), B("name"), B("payload")};
	FbBytes event_bytes;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	CHECK_STATUS(response_event_pack(allocator, &event, &event_bytes, NULL), FB_OK);
	responses[0].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	responses[1].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 1), "1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(fb_bytes_equal(differences[0].expected, B("block 5, transaction 0")));
	CHECK(fb_bytes_equal(differences[0].actual, B("block 6, transaction 0")));
	responses[1].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 2), "1.1", 201, event_bytes);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	if (CHECK(count == 4))
	{
		CHECK(fb_bytes_equal(differences[0].expected, B("random 1")) &&
			  fb_bytes_equal(differences[0].actual, B("random 2")));
		CHECK(differences[1].kind == RESPONSE_DIFFERS_EVENT && !differences[1].expected_present);
		CHECK(differences[2].kind == RESPONSE_DIFFERS_RESPONSE &&
			  differences[3].kind == RESPONSE_DIFFERS_CHAINCODE);
		CHECK(fb_bytes_equal(differences[3].actual, B("basic 1.1")));
	}
}

/* payloads of another proposal, that cannot be read, or with the same content in other bytes */
static void
test_compare_payloads(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalView other_proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;
	FbBytes base;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	input.is_init = true;
	CHECK_STATUS(proposal_build(allocator, &input, &other_proposal, NULL), FB_OK);
	base =
		make_payload(allocator, &proposal, results_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	responses[0].payload = base;
	responses[1].payload = make_payload(allocator, &other_proposal, results_hex(allocator, 0),
										"1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 1 && differences[0].kind == RESPONSE_DIFFERS_PROPOSAL);
	responses[1].payload = B("\xff");
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 1 && differences[0].kind == RESPONSE_UNREADABLE &&
		  differences[0].response_index == 1);
	responses[0].payload = B("\xff\xff");
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 2 && differences[0].response_index == 0);
	/* the same content with an unknown field in the middle */
	responses[0].payload = base;
	{
		uint8_t *bytes = fb_allocate(allocator, base.size + 3);

		memcpy(bytes, base.data, base.size);
		memcpy(bytes + base.size, "\x92\x03\x00", 3);
		responses[1].payload = fb_bytes(bytes, base.size + 3);
	}
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 1 && differences[0].kind == RESPONSE_DIFFERS_ENCODING);
}

/*
 * Elements that only the first has; a metadata deletion; if the first is unreadable there is
 * one line, the others are listed one by one.
 */
static void
test_compare_elements(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;
	FbBytes base;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	base =
		make_payload(allocator, &proposal, results_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	responses[0].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 6), "1.0", 200, FB_BYTES_EMPTY);
	responses[1].payload = base;
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 1 && differences[0].kind == RESPONSE_DIFFERS_WRITE &&
		  fb_bytes_equal(differences[0].key, B("extra")));
	CHECK(differences[0].expected_present && !differences[0].actual_present &&
		  fb_bytes_equal(differences[0].expected, B("v")));
	responses[0].payload = base;
	responses[1].payload =
		make_payload(allocator, &proposal, results_hex(allocator, 7), "1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	if (CHECK(count == 2))
	{
		CHECK(differences[0].kind == RESPONSE_DIFFERS_METADATA && differences[0].name.size == 0 &&
			  differences[0].actual_present);
		CHECK(differences[1].kind == RESPONSE_DIFFERS_METADATA &&
			  fb_bytes_equal(differences[1].name, B("VALIDATION_PARAMETER")));
		CHECK(!differences[1].actual_present && fb_bytes_equal(differences[1].expected, B("EP")));
	}
	{
		ProposalResponse three[3] = {{.payload = B("\xff")},
									 {.payload = base},
									 {.payload = B("\xff\xff")}};

		CHECK_STATUS(response_compare(allocator, three, 3, &differences, &count, NULL), FB_OK);
		CHECK(count == 2 && differences[0].response_index == 0 &&
			  differences[1].response_index == 2);
	}
}

static void
test_compare_order(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	/* the order of a set is no difference of content */
	responses[0].payload = make_payload(allocator, &proposal,
										"12150a016e12101a060a016b1a01761a060a016c1a0176"
										"120d0a016f12081a060a016b1a0176",
										"1.0", 200, FB_BYTES_EMPTY);
	responses[1].payload = make_payload(allocator, &proposal,
										"120d0a016f12081a060a016b1a0176"
										"12150a016e12101a060a016c1a01761a060a016b1a0176",
										"1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	CHECK(count == 1 && differences[0].kind == RESPONSE_DIFFERS_ENCODING);
}

/* long ranges are compared by their hashes, and a long list of differences is cut */
static void
test_compare_long(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	responses[0].payload =
		make_payload(allocator, &proposal, many_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	responses[1].payload =
		make_payload(allocator, &proposal, many_hex(allocator, 1), "1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(response_compare(allocator, responses, 2, &differences, &count, NULL), FB_OK);
	if (CHECK(count == FB_RESPONSE_DIFFERENCES_MAX))
	{
		static const char *const beginning = "more than 50 results (level 1, 3 hashes), SHA-256 ";

		CHECK(differences[0].kind == RESPONSE_DIFFERS_RANGE &&
			  fb_bytes_equal(differences[0].key, B("a")));
		CHECK(fb_bytes_equal(differences[0].name, B("z")) &&
			  differences[1].kind == RESPONSE_DIFFERS_WRITE);
		CHECK(differences[0].expected.size == strlen(beginning) + 64 &&
			  memcmp(differences[0].expected.data, beginning, strlen(beginning)) == 0);
	}
	for (int kind = RESPONSE_DIFFERS_READ; kind <= RESPONSE_UNREADABLE; kind++)
		CHECK(strlen(response_difference_name((ResponseDifferenceKind) kind)) > 3);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_compare(&arena.allocator));
	CHECK_TEST(test_compare_texts(&arena.allocator));
	CHECK_TEST(test_compare_payloads(&arena.allocator));
	CHECK_TEST(test_compare_elements(&arena.allocator));
	CHECK_TEST(test_compare_order(&arena.allocator));
	CHECK_TEST(test_compare_long(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("txn/compare");
}
