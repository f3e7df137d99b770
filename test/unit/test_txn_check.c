/*
 * txn: the checks of a committer: one transaction for every validation code, allocations
 * that fail, changed bytes
 */
#include "unit/txn_samples.h"

/* the list of txn.h has the names and numbers of Fabric's .proto file, no more and no fewer */
static void
test_codes(void)
{
	const ProtobufCEnumDescriptor *fabric = &protos__tx_validation_code__descriptor;
	unsigned named = 0;

	for (int i = -1; i <= 256; i++)
	{
		const char *name = tx_code_name(i);

		if (name == NULL)
			continue;
		named++;
	}
	CHECK(named == fabric->n_values);
	for (unsigned i = 0; i < fabric->n_values; i++)
	{
		const char *name = tx_code_name(fabric->values[i].value);

		CHECK_TEXT(name != NULL ? name : "(none)", fabric->values[i].name);
	}
	CHECK_TEXT(tx_code_name(0), "VALID");
	CHECK_TEXT(tx_code_name(11), "MVCC_READ_CONFLICT");
	CHECK_TEXT(tx_code_name(254), "NOT_VALIDATED");
}

/* whether the code results from bytes that are not such a message; then the reason says where */
static bool
is_unreadable(Knob knob)
{
	return knob == ENVELOPE_BROKEN || knob == PAYLOAD_BROKEN || knob == CHANNEL_HEADER_BROKEN ||
		   knob == SIGNATURE_HEADER_BROKEN || knob == DATA_BROKEN || knob == ACTION_HEADER_BROKEN ||
		   knob == ACTION_PAYLOAD_BROKEN || knob == RESPONSE_PAYLOAD_BROKEN ||
		   knob == EXTENSION_BROKEN || knob == CHAINCODE_ACTION_BROKEN || knob == RESULTS_BROKEN ||
		   knob == RESULTS_BROKEN_INSIDE || knob == EVENT_BROKEN || knob == MANY_NAMESPACES;
}

/* random blocks of few ids: a valid transaction that is not the first of its id is a duplicate */
static void
test_duplicates(FbAllocator *allocator)
{
	static const char *const names[] = {"", "a", "b", "ab", "c", "\xff"};
	FbRand rand;
	size_t duplicates = 0;

	fb_rand_seed(&rand, 9);
	for (int block = 0; block < 200; block++)
	{
		FbBytes ids[40];
		uint8_t codes[40];
		uint8_t expected[40];
		size_t count = fb_rand_below(&rand, 41);

		for (size_t i = 0; i < count; i++)
		{
			ids[i] = fb_bytes_of_text(names[fb_rand_below(&rand, 6)]);
			codes[i] = expected[i] = fb_rand_below(&rand, 4) == 0 ? TX_BAD_RWSET : TX_VALID;
			for (size_t j = 0; j < i; j++)
			{
				if (expected[i] == TX_VALID && expected[j] == TX_VALID && ids[i].size > 0 &&
					fb_bytes_equal(ids[i], ids[j]))
					expected[i] = TX_DUPLICATE_TXID;
			}
			duplicates += expected[i] == TX_DUPLICATE_TXID;
		}
		CHECK_STATUS(check_mark_duplicates(allocator, ids, codes, count, NULL), FB_OK);
		CHECK(memcmp(codes, expected, count) == 0);
	}
	CHECK(duplicates > 500);
}

static void
test_checks(FbAllocator *allocator)
{
	TxView view;
	TxCode code;
	FbError why;

	CHECK(sizeof(knob_codes) / sizeof(knob_codes[0]) == KNOBS_COUNT);
	for (size_t i = 0; i < KNOBS_COUNT; i++)
	{
		memset(&why, 0, sizeof(why));
		CHECK_STATUS(check_structure(allocator, make_envelope(allocator, knob_codes[i].knob),
									 B("mychannel"), &view, &code, &why),
					 FB_OK);
		if (!CHECK(code == knob_codes[i].code))
			fprintf(stderr, "    knob %zu: code %d, expected %d: %s\n", i, code, knob_codes[i].code,
					why.message);
		CHECK((code == TX_VALID) == (why.message[0] == 0));
		CHECK(is_unreadable(knob_codes[i].knob) ==
			  (strncmp(why.detail, "The decoder says: ", 18) == 0));
		CHECK_STATUS(check_structure(allocator, make_envelope(allocator, knob_codes[i].knob),
									 B("mychannel"), &view, &code, NULL),
					 FB_OK);
		CHECK(code == knob_codes[i].code);
	}
}

/*
 * the id under which the ledger stores a transaction without one, and with one that is not its
 * own
 */
static void
test_ledger_ids(FbAllocator *allocator)
{
	TxView view;
	TxCode code;
	Envelope parts;

	CHECK_STATUS(check_structure(allocator, make_envelope(allocator, NO_TX_ID), B("mychannel"),
								 &view, &code, NULL),
				 FB_OK);
	CHECK(view.tx_id.size == 0 && fb_bytes_equal(view.ledger_tx_id, B(V3_ID)));
	CHECK_STATUS(envelope_parse(allocator, make_envelope(allocator, NO_TX_ID), &parts, NULL),
				 FB_OK);
	CHECK(parts.tx_id.size == 0 && fb_bytes_equal(parts.ledger_tx_id, B(V3_ID)));
	CHECK_STATUS(check_structure(allocator, make_envelope(allocator, WRONG_TX_ID), B("mychannel"),
								 &view, &code, NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(view.ledger_tx_id, view.tx_id) && !fb_bytes_equal(view.tx_id, B(V3_ID)));
	/* a field that becomes a C string elsewhere does not hold U+0000 */
	CHECK_STATUS(envelope_parse(allocator, make_envelope(allocator, ZERO_IN_TX_ID), &parts, NULL),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(envelope_parse(allocator, make_envelope(allocator, ZERO_IN_CHANNEL), &parts, NULL),
				 FB_MALFORMED_MESSAGE);
}

/* the view of a valid transaction */
static void
test_valid_view(FbAllocator *allocator)
{
	TxView view;
	TxCode code;
	Envelope parts;

	CHECK_STATUS(check_structure(allocator, make_envelope(allocator, AS_IT_IS), B("mychannel"),
								 &view, &code, NULL),
				 FB_OK);
	CHECK(view.written_namespaces_count == 3 &&
		  fb_bytes_equal(view.written_namespaces[0].name, B("b")));
	CHECK(fb_bytes_equal(view.written_namespaces[1].name, B("basic")) &&
		  fb_bytes_equal(view.written_namespaces[2].name, B("z")));
	CHECK(fb_bytes_equal(view.chaincode_version, B("1.0")));
	CHECK(view.endorsements_count == 1 &&
		  fb_bytes_equal(view.endorsements[0].endorser, B("endorser")));
	CHECK(fb_bytes_equal(view.event_view.event_name, B("name")) &&
		  fb_bytes_equal(view.event_view.payload, B("payload")));
	CHECK(fb_bytes_equal(view.event_view.chaincode_name, B("basic")) &&
		  fb_bytes_equal(view.event_view.tx_id, B("id")));
	CHECK(view.response.status == 200 && fb_bytes_equal(view.response.message, B("message")));
	CHECK(fb_bytes_equal(view.response.payload, B("answer")) && view.timestamp.present &&
		  view.timestamp.seconds == 77);
	CHECK(fb_bytes_equal(view.tx_id, B(V3_ID)) && fb_bytes_equal(view.creator, B("creator")));

	/* a generic view of the same envelope; broken ones are errors */
	CHECK_STATUS(envelope_parse(allocator, make_envelope(allocator, AS_IT_IS), &parts, NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(parts.channel_id, B("mychannel")));
	CHECK(parts.type == 3 && fb_bytes_equal(parts.payload, view.payload) &&
		  fb_bytes_equal(parts.data, view.data));
	CHECK(fb_bytes_equal(parts.signature, B("signature")) &&
		  fb_bytes_equal(parts.tx_id, view.tx_id));
	for (size_t i = ENVELOPE_BROKEN; i <= SIGNATURE_HEADER_BROKEN; i++)
		CHECK_STATUS(envelope_parse(allocator, make_envelope(allocator, (Knob) i), &parts, NULL),
					 FB_MALFORMED_MESSAGE);
}

/* only transactions that are still valid count, the first stays */
static void
test_marked_duplicates(FbAllocator *allocator)
{
	FbBytes ids[6] = {B("a"), B("b"), B("a"), FB_BYTES_EMPTY, B("b"), FB_BYTES_EMPTY};
	uint8_t codes[6] = {0, 10, 0, 0, 0, 0};

	CHECK_STATUS(check_mark_duplicates(allocator, ids, codes, 6, NULL), FB_OK);
	CHECK(codes[0] == 0 && codes[1] == 10 && codes[2] == 9 && codes[3] == 0 && codes[4] == 0 &&
		  codes[5] == 0);
	CHECK_STATUS(check_mark_duplicates(allocator, NULL, NULL, 0, NULL), FB_OK);
}

static FbStatus
whole_street(FbAllocator *allocator, TxCode *code, FbError *error)
{
	ProposalInput input = v4_input();
	TransientEntry transient = {B("secret"), B("hush")};
	ProposalView proposal;
	ProposalView view;
	FbBytes bytes;
	ProposalResponse responses[2] = {0};
	ResponsePayload content = {.response = {200, B("ok"), FB_BYTES_EMPTY},
							   .chaincode_name = B("basic"),
							   .chaincode_version = B("1.0"),
							   .results = RESULTS};
	EnvelopePayload payload;
	TxView tx;
	uint8_t codes[2] = {0, 0};
	FbBytes ids[2] = {B("a"), B("a")};
	ResponseDifference *differences;
	size_t count;

	input.transient = &transient;
	input.transient_count = 1;
	FB_TRY(proposal_build(allocator, &input, &proposal, error));
	proposal.signature = B("s");
	FB_TRY(proposal_pack_signed(allocator, &proposal, &bytes, error));
	FB_TRY(proposal_parse_signed(allocator, bytes, &view, error));
	content.proposal_hash = fb_bytes(view.proposal_hash, 32);
	FB_TRY(response_payload_build(allocator, &content, &responses[0].payload, error));
	responses[0].response = content.response;
	responses[0].endorser = B("E");
	FB_TRY(response_endorsement_message(allocator, responses[0].payload, B("E"),
										&responses[0].signature, error));
	FB_TRY(response_pack(allocator, &responses[0], &bytes, error));
	FB_TRY(response_parse(allocator, bytes, &responses[1], error));
	FB_TRY(envelope_assemble(allocator, &proposal, responses, 2, &payload, error));
	FB_TRY(envelope_pack(allocator, payload.bytes, B("s"), &bytes, error));
	FB_TRY(check_structure(allocator, bytes, B("mychannel"), &tx, code, error));
	FB_TRY(check_mark_duplicates(allocator, ids, codes, 2, error));
	content.results = B("\x12\x0b\x0a\x05"
						"basic"
						"\x12\x02\x1a\x00");
	FB_TRY(response_payload_build(allocator, &content, &responses[1].payload, error));
	return response_compare(allocator, responses, 2, &differences, &count, error);
}

static void
test_failures(void)
{
	size_t failures = 0;

	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena arena;
		TxCode code = TX_NOT_VALIDATED;
		FbStatus status;

		fb_arena_init(&arena);
		arena.fail_at = fail_at;
		status = whole_street(&arena.allocator, &code, NULL);
		fb_arena_reset(&arena);
		if (status == FB_OK)
		{
			CHECK(code == TX_VALID);
			break;
		}
		if (status != FB_OUT_OF_MEMORY)
			CHECK_STATUS(status, FB_OUT_OF_MEMORY);
		failures++;
	}
	CHECK(failures > 200);

	/* every bit of a transaction flipped, every truncation: always a code, never a crash */
	{
		FbArena keep;
		FbBytes good;
		uint8_t *copy;
		size_t valid = 0;

		fb_arena_init(&keep);
		good = make_envelope(&keep.allocator, AS_IT_IS);
		copy = malloc(good.size);
		for (size_t i = 0; i < good.size * 9; i++)
		{
			FbArena arena;
			TxView view;
			TxCode code;
			size_t size = i < good.size * 8 ? good.size : i - good.size * 8;

			fb_arena_init(&arena);
			memcpy(copy, good.data, good.size);
			if (i < good.size * 8)
				copy[i / 8] ^= (uint8_t) (1 << i % 8);
			CHECK_STATUS(check_structure(&arena.allocator, fb_bytes(copy, size), B("mychannel"),
										 &view, &code, NULL),
						 FB_OK);
			valid += code == TX_VALID;
			fb_arena_reset(&arena);
		}
		/*
		 * fields that no structural check covers: the signatures, the endorsed content, the
		 * response
		 */
		CHECK(valid > 0 && valid < good.size * 8);
		free(copy);
		fb_arena_reset(&keep);
	}
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_codes());
	CHECK_TEST(test_checks(&arena.allocator));
	CHECK_TEST(test_ledger_ids(&arena.allocator));
	CHECK_TEST(test_valid_view(&arena.allocator));
	CHECK_TEST(test_marked_duplicates(&arena.allocator));
	CHECK_TEST(test_duplicates(&arena.allocator));
	CHECK_TEST(test_failures());
	fb_arena_reset(&arena);
	return check_finish("txn/check");
}
