/* txn: proposals: Fabric's bytes, limits, and those that are refused */
#include "unit/txn_samples.h"

/* a proposal as built, and as parsed from its bytes */
static void
check_same_proposal(const ProposalView *built, const ProposalView *parsed)
{
	CHECK(fb_bytes_equal(built->bytes, parsed->bytes));
	CHECK(fb_bytes_equal(built->signature, parsed->signature));
	CHECK(built->type == parsed->type && built->is_init == parsed->is_init);
	CHECK(fb_bytes_equal(built->channel_id, parsed->channel_id));
	CHECK(fb_bytes_equal(built->tx_id, parsed->tx_id));
	CHECK(built->timestamp.present == parsed->timestamp.present &&
		  built->timestamp.seconds == parsed->timestamp.seconds &&
		  built->timestamp.nanoseconds == parsed->timestamp.nanoseconds);
	CHECK(fb_bytes_equal(built->tls_cert_hash, parsed->tls_cert_hash));
	CHECK(fb_bytes_equal(built->creator, parsed->creator));
	CHECK(fb_bytes_equal(built->nonce, parsed->nonce));
	CHECK(fb_bytes_equal(built->chaincode_name, parsed->chaincode_name));
	CHECK(memcmp(built->digest, parsed->digest, sizeof(built->digest)) == 0);
	CHECK(memcmp(built->proposal_hash, parsed->proposal_hash, sizeof(built->proposal_hash)) == 0);
	CHECK(fb_bytes_equal(built->channel_header, parsed->channel_header));
	CHECK(fb_bytes_equal(built->signature_header, parsed->signature_header));
	CHECK(fb_bytes_equal(built->payload_for_transaction, parsed->payload_for_transaction));
	if (!CHECK(built->args_count == parsed->args_count &&
			   built->transient_count == parsed->transient_count))
		return;
	for (size_t i = 0; i < built->args_count; i++)
		CHECK(fb_bytes_equal(built->args[i], parsed->args[i]));
	for (size_t i = 0; i < built->transient_count; i++)
		CHECK(fb_bytes_equal(built->transient[i].key, parsed->transient[i].key) &&
			  fb_bytes_equal(built->transient[i].value, parsed->transient[i].value));
}

static void
test_proposal(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalView view;
	char tx_id[TX_ID_LENGTH + 1];
	uint8_t digest[32];

	tx_id_compute(NONCE, B("creator"), tx_id);
	CHECK_TEXT(tx_id, V3_ID);
	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	CHECK(fb_bytes_equal(proposal.tx_id, fb_bytes_of_text(V3_ID)));
	CHECK_HEX(fb_bytes(proposal.proposal_hash, 32), V4_HASH);
	crypto_sha256(proposal.bytes, digest);
	CHECK(memcmp(digest, proposal.digest, 32) == 0);
	CHECK_STATUS(proposal_parse(allocator, proposal.bytes, &view, NULL), FB_OK);
	check_same_proposal(&proposal, &view);
	CHECK_HEX(view.payload_for_transaction,
			  "0a220a2008011207120562617369631a130a095265616441737365740a06617373657431");
	CHECK_HEX(
		view.channel_header,
		"080322096d796368616e6e656c2a40"
		"313531363335643135366238376663646439373262663664343564383365623735383634653662396361666634323361373834633563"
		"34653538303531393638"
		"3a09120712056261736963");
	CHECK_HEX(view.signature_header,
			  "0a0763726561746f721218000102030405060708090a0b0c0d0e0f1011121314151617");
	CHECK_HEX(fb_bytes(view.proposal_hash, 32), V4_HASH);
	CHECK(view.args_count == 2 && fb_bytes_equal(view.args[1], B("asset1")) && !view.is_init &&
		  view.type == 3);
	CHECK(fb_bytes_equal(view.chaincode_name, B("basic")) &&
		  fb_bytes_equal(view.channel_id, B("mychannel")));
	CHECK(view.transient_count == 0 && !view.timestamp.present);
}

/* the transient map changes the bytes that the client signs, not those that are endorsed */
static void
test_proposal_transient(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	TransientEntry transient[2] = {{B("b"), B("2")}, {B("a"), B("")}};
	ProposalView proposal;
	ProposalView with_transient;
	ProposalView view;
	FbBytes signed_bytes;

	input.transient = transient;
	input.transient_count = 2;
	input.timestamp = (TxTime) {true, 1700000000, 5};
	CHECK_STATUS(proposal_build(allocator, &input, &with_transient, NULL), FB_OK);
	input.transient_count = 0;
	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	CHECK(!fb_bytes_equal(proposal.bytes, with_transient.bytes));
	CHECK(memcmp(proposal.proposal_hash, with_transient.proposal_hash, 32) == 0);
	with_transient.signature = B("sig");
	CHECK_STATUS(proposal_pack_signed(allocator, &with_transient, &signed_bytes, NULL), FB_OK);
	CHECK_STATUS(proposal_parse_signed(allocator, signed_bytes, &view, NULL), FB_OK);
	check_same_proposal(&with_transient, &view);
	CHECK(view.transient_count == 2 && fb_bytes_equal(view.transient[0].key, B("a")) &&
		  view.transient[0].value.size == 0);
	CHECK(fb_bytes_equal(view.signature, B("sig")) &&
		  fb_bytes_equal(view.bytes, with_transient.bytes));
	CHECK(view.timestamp.present && view.timestamp.seconds == 1700000000 &&
		  view.timestamp.nanoseconds == 5);
	CHECK(memcmp(view.proposal_hash, proposal.proposal_hash, 32) == 0);
}

/* invalid input */
static void
test_proposal_invalid(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	TransientEntry transient[2] = {{B("b"), B("2")}, {B("a"), B("")}};
	ProposalView proposal;
	ProposalView view;
	FbBytes signed_bytes;
	FbError error;
	static const char *const bad_inputs[6] = {
		"channel id must not be empty",	  "chaincode name must not be empty",
		"creator must not be empty",	  "nonce must not be empty",
		"channel id is not a valid text", "chaincode name is not a valid text",
	};

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	CHECK_STATUS(proposal_pack_signed(allocator, &proposal, &signed_bytes, NULL), FB_OK);
	CHECK_STATUS(proposal_parse_signed(allocator, signed_bytes, &view, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(proposal_parse_signed(allocator, FB_BYTES_EMPTY, &view, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(proposal_parse_signed(allocator, B("\xff"), &view, &error), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(proposal_parse(allocator, FB_BYTES_EMPTY, &view, &error), FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "proposal names no chaincode");
	transient[1].key = B("b");
	input.transient = transient;
	input.transient_count = 2;
	CHECK_STATUS(proposal_build(allocator, &input, &proposal, &error), FB_INVALID_ARGUMENT);
	for (int i = 0; i < 6; i++)
	{
		ProposalInput bad = v4_input();

		switch (i)
		{
			case 0:
				bad.channel_id = FB_BYTES_EMPTY;
				break;
			case 1:
				bad.chaincode_name = FB_BYTES_EMPTY;
				break;
			case 2:
				bad.creator = FB_BYTES_EMPTY;
				break;
			case 3:
				bad.nonce = FB_BYTES_EMPTY;
				break;
			case 4:
				bad.channel_id = B("a\0b");
				break;
			case 5:
				bad.chaincode_name = B("\xff");
				break;
		}
		CHECK_STATUS(proposal_build(allocator, &bad, &proposal, &error), FB_INVALID_ARGUMENT);
		CHECK_TEXT(error.message, bad_inputs[i]);
	}
}

/* a field as long as its limit passes, one byte or entry more does not */
static void
test_proposal_limits(FbAllocator *allocator)
{
	uint8_t *letters = fb_allocate(allocator, FB_IDENTITY_BYTES_MAX + 1);
	FbBytes *args = fb_allocate_array(allocator, FB_ARGUMENTS_MAX + 1, sizeof(FbBytes));
	TransientEntry *transient =
		fb_allocate_array(allocator, FB_ARGUMENTS_MAX + 1, sizeof(TransientEntry));
	ProposalView proposal;
	ProposalView view;

	memset(letters, 'x', FB_IDENTITY_BYTES_MAX + 1);
	for (int i = 0; i <= FB_ARGUMENTS_MAX; i++)
	{
		args[i] = B("argument");
		transient[i] = (TransientEntry) {fb_bytes(letters, i + 1), B("value")};
	}
	for (int what = 0; what < 5; what++)
	{
		for (int more = 0; more <= 1; more++)
		{
			ProposalInput input = v4_input();
			FbError error;

			switch (what)
			{
				case 0:
					input.channel_id = fb_bytes(letters, FB_CHANNEL_ID_BYTES_MAX + more);
					break;
				case 1:
					input.chaincode_name = fb_bytes(letters, FB_CHAINCODE_NAME_BYTES_MAX + more);
					break;
				case 2:
					input.creator = fb_bytes(letters, FB_IDENTITY_BYTES_MAX + more);
					break;
				case 3:
					input.args = args;
					input.args_count = FB_ARGUMENTS_MAX + more;
					break;
				case 4:
					input.transient = transient;
					input.transient_count = FB_ARGUMENTS_MAX + more;
					break;
			}
			CHECK_STATUS(proposal_build(allocator, &input, &proposal, &error),
						 more ? FB_LIMIT_EXCEEDED : FB_OK);
			if (!more)
				CHECK_STATUS(proposal_parse(allocator, proposal.bytes, &view, &error), FB_OK);
		}
	}
	CHECK(view.transient_count == FB_ARGUMENTS_MAX &&
		  fb_bytes_equal(view.transient[7].value, B("value")));
}

typedef enum ProposalFault
{
	PROPOSAL_GOOD,
	PROPOSAL_OF_CONFIG,
	PROPOSAL_NAMES_NO_CHAINCODE,
	PROPOSAL_NAMES_EMPTY,
	PROPOSAL_WITHOUT_SPECIFICATION,
	PROPOSAL_WITHOUT_INPUT,
	PROPOSAL_OF_UPDATE,
	PROPOSAL_OF_MESSAGE,
	PROPOSAL_WITH_EPOCH,
	PROPOSAL_WITHOUT_NONCE,
	PROPOSAL_WITHOUT_CREATOR,
	PROPOSAL_WITH_WRONG_ID,
	PROPOSAL_WITH_CUT_ID,
	PROPOSAL_WITH_MANY_ARGUMENTS,
	PROPOSAL_WITH_MANY_TRANSIENTS,
	PROPOSAL_FAULTS_COUNT
} ProposalFault;

static FbBytes
make_proposal(FbAllocator *allocator, ProposalFault fault)
{
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Protos__ChaincodeInput input = PROTOS__CHAINCODE_INPUT__INIT;
	Protos__ChaincodeSpec spec = PROTOS__CHAINCODE_SPEC__INIT;
	Protos__ChaincodeInvocationSpec invocation = PROTOS__CHAINCODE_INVOCATION_SPEC__INIT;
	Protos__ChaincodeProposalPayload payload = PROTOS__CHAINCODE_PROPOSAL_PAYLOAD__INIT;
	Protos__ChaincodeProposalPayload__TransientMapEntry items[FB_ARGUMENTS_MAX + 1];
	Protos__ChaincodeProposalPayload__TransientMapEntry *item_pointers[FB_ARGUMENTS_MAX + 1];
	Protos__Proposal proposal = PROTOS__PROPOSAL__INIT;
	ProtobufCBinaryData args[FB_ARGUMENTS_MAX + 1];
	char keys[FB_ARGUMENTS_MAX + 1][16];
	char tx_id[TX_ID_LENGTH + 1];

	for (int i = 0; i <= FB_ARGUMENTS_MAX; i++)
	{
		args[i] = proto_data(B("a"));
		snprintf(keys[i], sizeof(keys[i]), "%04d", i);
		protos__chaincode_proposal_payload__transient_map_entry__init(&items[i]);
		items[i].key = keys[i];
		item_pointers[i] = &items[i];
	}
	signature_header.creator =
		proto_data(fault == PROPOSAL_WITHOUT_CREATOR ? FB_BYTES_EMPTY : B("creator"));
	signature_header.nonce = proto_data(fault == PROPOSAL_WITHOUT_NONCE ? FB_BYTES_EMPTY : NONCE);
	tx_id_compute(proto_bytes(signature_header.nonce), proto_bytes(signature_header.creator),
				  tx_id);
	if (fault == PROPOSAL_WITH_WRONG_ID)
		tx_id[0] = tx_id[0] == '0' ? '1' : '0';
	if (fault == PROPOSAL_WITH_CUT_ID)
		tx_id[TX_ID_LENGTH - 1] = 0;
	channel_header.type = fault == PROPOSAL_OF_CONFIG	 ? 1
						  : fault == PROPOSAL_OF_UPDATE	 ? 2
						  : fault == PROPOSAL_OF_MESSAGE ? 0
														 : 3;
	channel_header.epoch = fault == PROPOSAL_WITH_EPOCH;
	channel_header.channel_id = proto_data(B("mychannel"));
	channel_header.tx_id = proto_data(fb_bytes_of_text(tx_id));
	channel_header.tls_cert_hash = proto_data(B("hash"));
	channel_header.extension = proto_data(fault == PROPOSAL_NAMES_NO_CHAINCODE ? FB_BYTES_EMPTY
										  : fault == PROPOSAL_NAMES_EMPTY	   ? B("\x12\x00")
																		  : B("\x12\x07\x12\x05"
																			  "basic"));
	header.channel_header = proto_data(pack(allocator, &channel_header.base));
	header.signature_header = proto_data(pack(allocator, &signature_header.base));
	input.args = args;
	input.n_args = fault == PROPOSAL_WITH_MANY_ARGUMENTS ? FB_ARGUMENTS_MAX + 1 : FB_ARGUMENTS_MAX;
	input.is_init = true;
	spec.input = fault == PROPOSAL_WITHOUT_INPUT ? NULL : &input;
	invocation.chaincode_spec = fault == PROPOSAL_WITHOUT_SPECIFICATION ? NULL : &spec;
	payload.input = proto_data(pack(allocator, &invocation.base));
	payload.transientmap = item_pointers;
	payload.n_transientmap =
		fault == PROPOSAL_WITH_MANY_TRANSIENTS ? FB_ARGUMENTS_MAX + 1 : FB_ARGUMENTS_MAX;
	proposal.header = proto_data(pack(allocator, &header.base));
	proposal.payload = proto_data(pack(allocator, &payload.base));
	return pack(allocator, &proposal.base);
}

/* proposals that our own client never builds */
static void
test_proposal_refused(FbAllocator *allocator)
{
	static const char *const messages[PROPOSAL_FAULTS_COUNT] = {
		[PROPOSAL_NAMES_NO_CHAINCODE] = "proposal names no chaincode",
		[PROPOSAL_NAMES_EMPTY] = "proposal names no chaincode",
		[PROPOSAL_WITHOUT_SPECIFICATION] = "proposal has no chaincode specification",
		[PROPOSAL_WITHOUT_INPUT] = "proposal has no chaincode input",
		[PROPOSAL_OF_UPDATE] = "proposal has header type 2, which cannot be endorsed",
		[PROPOSAL_OF_MESSAGE] = "proposal has header type 0, which cannot be endorsed",
		[PROPOSAL_WITH_EPOCH] = "epoch of the proposal is not zero",
		[PROPOSAL_WITHOUT_NONCE] = "proposal has no nonce",
		[PROPOSAL_WITHOUT_CREATOR] = "proposal has no creator",
		[PROPOSAL_WITH_WRONG_ID] = "transaction id is not the hash of nonce and creator",
		[PROPOSAL_WITH_CUT_ID] = "transaction id is not the hash of nonce and creator",
		[PROPOSAL_WITH_MANY_ARGUMENTS] = "more than 1024 arguments or transient entries",
		[PROPOSAL_WITH_MANY_TRANSIENTS] = "more than 1024 arguments or transient entries",
	};
	ProposalView view;
	FbError error;

	for (int fault = 0; fault < PROPOSAL_FAULTS_COUNT; fault++)
	{
		FbBytes bytes = make_proposal(allocator, (ProposalFault) fault);

		if (messages[fault] == NULL)
			CHECK_STATUS(proposal_parse(allocator, bytes, &view, &error), FB_OK);
		else
		{
			CHECK_STATUS(proposal_parse(allocator, bytes, &view, &error),
						 fault >= PROPOSAL_WITH_MANY_ARGUMENTS ? FB_LIMIT_EXCEEDED
															   : FB_INVALID_ARGUMENT);
			CHECK_TEXT(error.message, messages[fault]);
		}
	}
	CHECK_STATUS(proposal_parse(allocator, make_proposal(allocator, PROPOSAL_GOOD), &view, &error),
				 FB_OK);
	CHECK(view.is_init && view.args_count == FB_ARGUMENTS_MAX &&
		  view.transient_count == FB_ARGUMENTS_MAX);
	CHECK(fb_bytes_equal(view.tls_cert_hash, B("hash")) &&
		  fb_bytes_equal(view.transient[1023].key, B("1023")));
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_proposal(&arena.allocator));
	CHECK_TEST(test_proposal_transient(&arena.allocator));
	CHECK_TEST(test_proposal_invalid(&arena.allocator));
	CHECK_TEST(test_proposal_limits(&arena.allocator));
	CHECK_TEST(test_proposal_refused(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("txn/proposal");
}
