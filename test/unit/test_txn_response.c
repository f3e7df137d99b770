/* txn: proposal responses, and their chaincode interest */
#include "unit/txn_samples.h"

static void
test_response(FbAllocator *allocator)
{
	uint8_t hash[32];
	ResponsePayload content = {
		.results = B("\x12\x00"),
		.response = {200, FB_BYTES_EMPTY, B("ok")},
		.chaincode_name = B("basic"),
		.chaincode_version = B("1.0"),
	};
	ResponsePayload parsed;
	ChaincodeEvent event = {B("basic"), B("id"), B("name"), B("\xff")};
	ChaincodeEvent event_parsed;
	ProposalResponse response = {.response = {200, B("ok"), B("p")},
								 .endorser = B("E"),
								 .signature = B("S")};
	ProposalResponse response_parsed;
	FbBytes bytes;

	fb_hex_decode(V4_HASH, 64, hash);
	content.proposal_hash = fb_bytes(hash, 32);
	CHECK_STATUS(response_payload_build(allocator, &content, &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "0a20" V4_HASH "121b0a0212001a0708c8011a026f6b220c120562617369631a03312e30");
	CHECK_STATUS(response_payload_parse(allocator, bytes, &parsed, NULL), FB_OK);
	CHECK(fb_bytes_equal(parsed.results, content.results) && parsed.has_chaincode &&
		  parsed.has_response);
	CHECK(parsed.response.status == 200 && fb_bytes_equal(parsed.chaincode_version, B("1.0")));
	CHECK_STATUS(response_payload_parse(allocator, FB_BYTES_EMPTY, &parsed, NULL),
				 FB_MALFORMED_MESSAGE);
	response.payload = bytes;
	CHECK_STATUS(response_endorsement_message(allocator, B("payload"), B("E"), &bytes, NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(bytes, B("payloadE")));

	CHECK_STATUS(response_event_pack(allocator, &event, &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "0a056261736963120269641a046e616d652201ff");
	CHECK_STATUS(response_event_parse(allocator, bytes, &event_parsed, NULL), FB_OK);
	CHECK(fb_bytes_equal(event_parsed.event_name, B("name")) &&
		  fb_bytes_equal(event_parsed.payload, B("\xff")));
	CHECK(fb_bytes_equal(event_parsed.chaincode_name, B("basic")) &&
		  fb_bytes_equal(event_parsed.tx_id, B("id")));
	event.event_name = B("a\0");
	CHECK_STATUS(response_event_pack(allocator, &event, &bytes, NULL), FB_INVALID_ARGUMENT);

	CHECK_STATUS(response_pack(allocator, &response, &bytes, NULL), FB_OK);
	CHECK_STATUS(response_parse(allocator, bytes, &response_parsed, NULL), FB_OK);
	CHECK(fb_bytes_equal(response_parsed.payload, response.payload) &&
		  fb_bytes_equal(response_parsed.endorser, B("E")));
	CHECK(fb_bytes_equal(response_parsed.signature, B("S")) &&
		  response_parsed.response.status == 200);
	CHECK(fb_bytes_equal(response_parsed.response.message, B("ok")) &&
		  fb_bytes_equal(response_parsed.response.payload, B("p")));
	/* only an endorsed response has the version */
	response.payload = B("P");
	CHECK_STATUS(response_pack(allocator, &response, &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "0801"
					 "220a08c80112026f6b1a0170"
					 "2a0150"
					 "32060a0145120153");
	response.endorser = FB_BYTES_EMPTY;
	CHECK_STATUS(response_pack(allocator, &response, &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "220a08c80112026f6b1a0170"
					 "2a0150");
	CHECK_STATUS(response_parse(allocator, bytes, &response_parsed, NULL), FB_OK);
	CHECK(response_parsed.endorser.size == 0 && response_parsed.signature.size == 0);
	CHECK_STATUS(response_parse(allocator, FB_BYTES_EMPTY, &response_parsed, NULL),
				 FB_MALFORMED_MESSAGE);
}

/*
 * Field numbers as in peer/proposal_response.proto; the statement of a response about its own
 * interest is not read.
 */
static void
test_interest(FbAllocator *allocator)
{
	FbBytes policies[3] = {B("\x08\x01"), B("\xff"), B("\x08\x02")};
	InterestCall calls[3] = {
		{.name = B("cc"), .key_policies = policies, .key_policies_count = 3},
		{.name = B("cc"), .collection = B("coll"), .no_private_reads = true, .policy_needed = true},
		{.name = B("dd"), .policy_needed = true},
	};
	ProposalResponse response = {.response = {200, FB_BYTES_EMPTY, FB_BYTES_EMPTY},
								 .interest = calls,
								 .interest_count = 3};
	ProposalResponse parsed;
	FbBytes bytes;

	CHECK_STATUS(response_pack(allocator, &response, &bytes, NULL), FB_OK);
	CHECK_HEX(bytes, "220308c801"
					 "3a24"
					 "0a0e"
					 "0a026363"
					 "2a020801"
					 "2a020802"
					 "3001"
					 "0a0c"
					 "0a026363"
					 "1204636f6c6c"
					 "1801"
					 "0a04"
					 "0a026464");
	CHECK_STATUS(response_parse(allocator, bytes, &parsed, NULL), FB_OK);
	CHECK(parsed.interest == NULL && parsed.interest_count == 0);
	calls[0].name = B("c\0");
	CHECK_STATUS(response_pack(allocator, &response, &bytes, NULL), FB_INVALID_ARGUMENT);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_response(&arena.allocator));
	CHECK_TEST(test_interest(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("txn/response");
}
