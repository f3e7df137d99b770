/*
 * core/txn: proposals, responses, envelopes and the checks of validation, against golden vectors
 * (docs/wire-format.md, "Test vectors"), the messages and blocks of a real Fabric network, and one
 * transaction for every code.
 */
#include "core/proto/proto.h"
#include "core/txn/txn.h"
#include "unit/check.h"

#define B FB_BYTES_LITERAL

static FbBytes
from_hex(FbAllocator *allocator, const char *hex)
{
	uint8_t *bytes = fb_allocate(allocator, strlen(hex) / 2);

	if (!fb_hex_decode(hex, strlen(hex), bytes))
		exit(2);
	return fb_bytes(bytes, strlen(hex) / 2);
}

static FbBytes
pack(FbAllocator *allocator, const ProtobufCMessage *message)
{
	FbBytes bytes;

	if (proto_pack(message, allocator, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

/* ---- golden vectors ---- */

static const uint8_t nonce_bytes[24] = {0,	1,	2,	3,	4,	5,	6,	7,	8,	9,	10, 11,
										12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
#define NONCE fb_bytes(nonce_bytes, sizeof(nonce_bytes))
#define V3_ID "151635d156b87fcdd972bf6d45d83eb75864e6b9caff423a784c5c4e58051968"
#define V4_HASH "a814770abc14aa94181a0f07f2b36b7748a1fd68d1838b1b9f63f5ab9a4a45bb"

static const FbBytes v4_args[2] = {{(const uint8_t *) "ReadAsset", 9},
								   {(const uint8_t *) "asset1", 6}};

static ProposalInput
v4_input(void)
{
	return (ProposalInput) {
		.channel_id = B("mychannel"),
		.chaincode_name = B("basic"),
		.creator = B("creator"),
		.nonce = NONCE,
		.chaincode_type = 1,
		.args = v4_args,
		.args_count = 2,
	};
}

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
	TransientEntry transient[2] = {{B("b"), B("2")}, {B("a"), B("")}};
	ProposalView proposal;
	ProposalView with_transient;
	ProposalView view;
	FbBytes signed_bytes;
	FbError error;
	static const char *const bad_inputs[6] = {
		"channel id must not be empty",	  "chaincode name must not be empty",
		"creator must not be empty",	  "nonce must not be empty",
		"channel id is not a valid text", "chaincode name is not a valid text",
	};
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

	/* the transient map changes the bytes that the client signs, not those that are endorsed */
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

	/* invalid input */
	CHECK_STATUS(proposal_pack_signed(allocator, &proposal, &signed_bytes, NULL), FB_OK);
	CHECK_STATUS(proposal_parse_signed(allocator, signed_bytes, &view, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(proposal_parse_signed(allocator, FB_BYTES_EMPTY, &view, &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(proposal_parse_signed(allocator, B("\xff"), &view, &error), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(proposal_parse(allocator, FB_BYTES_EMPTY, &view, &error), FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "proposal names no chaincode");
	transient[1].key = B("b");
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
	PROPOSAL_NAMES_NOBODY,
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
	channel_header.extension = proto_data(fault == PROPOSAL_NAMES_NOBODY  ? FB_BYTES_EMPTY
										  : fault == PROPOSAL_NAMES_EMPTY ? B("\x12\x00")
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
		[PROPOSAL_NAMES_NOBODY] = "proposal names no chaincode",
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

static void
test_codes(void)
{
	TxCode code;
	int named = 0;

	for (int i = -1; i <= 256; i++)
	{
		const char *name = tx_code_name(i);

		if (name == NULL)
			continue;
		named++;
		CHECK(tx_code_of_name(name, &code) && (int) code == i);
	}
	CHECK(named == 28);
	CHECK_TEXT(tx_code_name(0), "VALID");
	CHECK_TEXT(tx_code_name(11), "MVCC_READ_CONFLICT");
	CHECK_TEXT(tx_code_name(254), "NOT_VALIDATED");
	CHECK(!tx_code_of_name("NONSENSE", &code));
}

/* ---- one transaction for every code ---- */

typedef enum Knob
{
	AS_IT_IS,
	ENVELOPE_BROKEN,
	ENVELOPE_EMPTY,
	PAYLOAD_BROKEN,
	NO_HEADER,
	CHANNEL_HEADER_BROKEN,
	SIGNATURE_HEADER_BROKEN,
	TYPE_MESSAGE,
	TYPE_UNKNOWN,
	EPOCH,
	NO_NONCE,
	NO_CREATOR,
	TYPE_CONFIG_UPDATE,
	TYPE_CONFIG,
	TYPE_CONFIG_EMPTY,
	WRONG_TX_ID,
	WRONG_TX_ID_AND_HASH,
	NO_DATA,
	DATA_BROKEN,
	NO_ACTION,
	TWO_ACTIONS,
	ACTION_HEADER_BROKEN,
	ACTION_HEADER_EMPTY,
	ACTION_HEADER_NO_NONCE,
	ACTION_HEADER_NO_CREATOR,
	ACTION_PAYLOAD_BROKEN,
	NO_ENDORSED_ACTION,
	RESPONSE_PAYLOAD_BROKEN,
	WRONG_HASH,
	NO_PROPOSAL_PAYLOAD,
	OTHER_CHANNEL,
	OTHER_CHANNEL_AND_HASH,
	EXTENSION_BROKEN,
	NO_CHAINCODE_ACTION,
	CHAINCODE_ACTION_BROKEN,
	RESULTS_BROKEN,
	RESULTS_BROKEN_INSIDE,
	NO_CHAINCODE_IN_HEADER,
	NO_CHAINCODE_IN_ACTION,
	CHAINCODE_NAME_EMPTY,
	CHAINCODE_DIFFERS,
	NO_VERSION,
	EVENT_BROKEN,
	EVENT_OF_ANOTHER,
	NAMESPACE_TWICE,
	NAMESPACE_TWICE_AND_NO_VERSION,
	NO_TX_ID,
	ZERO_IN_TX_ID,
	ZERO_IN_CHANNEL,
	ZERO_IN_CHAINCODE,
	ZERO_IN_VERSION,
	ZERO_IN_MESSAGE,
	ZERO_IN_EVENT,
	ZERO_IN_NAMES,
	HEADER_IN_PARTS,
	CHAINCODE_IN_PARTS,
	GROUP_IN_ACTION,
	RESPONSE_OF_ANOTHER_TYPE,
	LONG_TAG,
	MANY_ENDORSEMENTS,
	TOO_MANY_ENDORSEMENTS,
	LONG_ENDORSER,
	LONG_KEY,
	LONG_NAMESPACE,
	DEEP_POLICY,
	TOO_DEEP_POLICY,
	TOO_DEEP_POLICY_OF_HASH,
	BROKEN_POLICY,
	MANY_NAMESPACES,
	LARGE_DEGREE,
	KNOBS_COUNT
} Knob;

static const struct
{
	Knob knob;
	TxCode code;
} knob_codes[] = {
	{AS_IT_IS, TX_VALID},
	{ENVELOPE_BROKEN, TX_INVALID_OTHER_REASON},
	{ENVELOPE_EMPTY, TX_BAD_COMMON_HEADER},
	{PAYLOAD_BROKEN, TX_BAD_PAYLOAD},
	{NO_HEADER, TX_BAD_COMMON_HEADER},
	{CHANNEL_HEADER_BROKEN, TX_BAD_COMMON_HEADER},
	{SIGNATURE_HEADER_BROKEN, TX_BAD_COMMON_HEADER},
	{TYPE_MESSAGE, TX_BAD_COMMON_HEADER},
	{TYPE_UNKNOWN, TX_BAD_COMMON_HEADER},
	{EPOCH, TX_BAD_COMMON_HEADER},
	{NO_NONCE, TX_BAD_COMMON_HEADER},
	{NO_CREATOR, TX_BAD_COMMON_HEADER},
	{TYPE_CONFIG_UPDATE, TX_UNSUPPORTED_TX_PAYLOAD},
	{TYPE_CONFIG, TX_VALID},
	{TYPE_CONFIG_EMPTY, TX_INVALID_CONFIG_TRANSACTION},
	{WRONG_TX_ID, TX_BAD_PROPOSAL_TXID},
	{WRONG_TX_ID_AND_HASH, TX_BAD_PROPOSAL_TXID},
	{NO_DATA, TX_INVALID_ENDORSER_TRANSACTION},
	{DATA_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_ACTION, TX_INVALID_ENDORSER_TRANSACTION},
	{TWO_ACTIONS, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_EMPTY, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_NO_NONCE, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_NO_CREATOR, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_PAYLOAD_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_ENDORSED_ACTION, TX_INVALID_ENDORSER_TRANSACTION},
	{RESPONSE_PAYLOAD_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{WRONG_HASH, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_PROPOSAL_PAYLOAD, TX_INVALID_ENDORSER_TRANSACTION},
	{OTHER_CHANNEL, TX_TARGET_CHAIN_NOT_FOUND},
	{OTHER_CHANNEL_AND_HASH, TX_INVALID_ENDORSER_TRANSACTION},
	{EXTENSION_BROKEN, TX_BAD_HEADER_EXTENSION},
	{NO_CHAINCODE_ACTION, TX_BAD_RESPONSE_PAYLOAD},
	{CHAINCODE_ACTION_BROKEN, TX_BAD_RESPONSE_PAYLOAD},
	{RESULTS_BROKEN, TX_BAD_RWSET},
	{RESULTS_BROKEN_INSIDE, TX_BAD_RWSET},
	{NO_CHAINCODE_IN_HEADER, TX_INVALID_OTHER_REASON},
	{NO_CHAINCODE_IN_ACTION, TX_INVALID_OTHER_REASON},
	{CHAINCODE_NAME_EMPTY, TX_INVALID_CHAINCODE},
	{CHAINCODE_DIFFERS, TX_INVALID_CHAINCODE},
	{NO_VERSION, TX_INVALID_CHAINCODE},
	{EVENT_BROKEN, TX_INVALID_OTHER_REASON},
	{EVENT_OF_ANOTHER, TX_INVALID_OTHER_REASON},
	{NAMESPACE_TWICE, TX_ILLEGAL_WRITESET},
	{NAMESPACE_TWICE_AND_NO_VERSION, TX_INVALID_CHAINCODE},
	/* encodings that Go's decoder accepts: U+0000 in texts, and encodings that no encoder writes */
	{NO_TX_ID, TX_BAD_PROPOSAL_TXID},
	{ZERO_IN_TX_ID, TX_BAD_PROPOSAL_TXID},
	{ZERO_IN_CHANNEL, TX_TARGET_CHAIN_NOT_FOUND},
	{ZERO_IN_CHAINCODE, TX_INVALID_CHAINCODE}, /* the header names the part before the zero */
	{ZERO_IN_VERSION, TX_VALID},
	{ZERO_IN_MESSAGE, TX_VALID},
	{ZERO_IN_EVENT, TX_VALID},
	{ZERO_IN_NAMES, TX_VALID},
	{HEADER_IN_PARTS, TX_VALID},
	{CHAINCODE_IN_PARTS, TX_VALID},
	{GROUP_IN_ACTION, TX_VALID},
	{RESPONSE_OF_ANOTHER_TYPE, TX_VALID},
	{LONG_TAG, TX_VALID},
	/* limits that Fabric does not have: see test_limits */
	{MANY_ENDORSEMENTS, TX_VALID},
	{TOO_MANY_ENDORSEMENTS, TX_VALID},
	{LONG_ENDORSER, TX_VALID},
	{LONG_KEY, TX_VALID},
	{LONG_NAMESPACE, TX_VALID},
	{DEEP_POLICY, TX_VALID},
	{TOO_DEEP_POLICY, TX_VALID},
	{TOO_DEEP_POLICY_OF_HASH, TX_VALID},
	{BROKEN_POLICY, TX_VALID},
	{MANY_NAMESPACES, TX_BAD_RWSET},
	{LARGE_DEGREE, TX_VALID},
};

/* rwset that writes namespaces z, b and basic, reads c */
#define RESULTS                            \
	B("\x12\x0d\x0a\x01"                   \
	  "z"                                  \
	  "\x12\x08\x1a\x06\x0a\x01k\x1a\x01v" \
	  "\x12\x0d\x0a\x01"                   \
	  "b"                                  \
	  "\x12\x08\x1a\x06\x0a\x01k\x1a\x01v" \
	  "\x12\x0b\x0a\x05"                   \
	  "basic"                              \
	  "\x12\x02\x1a\x00"                   \
	  "\x12\x09\x0a\x01"                   \
	  "c"                                  \
	  "\x12\x04\x0a\x02\x12\x00")
#define BROKEN B("\xff\xff")

static FbBytes
join(FbAllocator *allocator, FbBytes a, FbBytes b)
{
	FbBuffer buffer;
	FbBytes bytes;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_bytes(&buffer, a);
	fb_buffer_append_bytes(&buffer, b);
	if (fb_buffer_bytes(&buffer, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

/* a length-delimited field */
static FbBytes
field(FbAllocator *allocator, uint32_t number, FbBytes content)
{
	FbBuffer buffer;
	FbBytes bytes;
	size_t size = content.size;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_byte(&buffer, (uint8_t) (number << 3 | 2));
	for (; size > 0x7f; size >>= 7)
		fb_buffer_append_byte(&buffer, (uint8_t) (size | 0x80));
	fb_buffer_append_byte(&buffer, (uint8_t) size);
	fb_buffer_append_bytes(&buffer, content);
	if (fb_buffer_bytes(&buffer, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

static FbBytes
text_of_size(FbAllocator *allocator, size_t size)
{
	uint8_t *text = fb_allocate(allocator, size);

	memset(text, 'x', size);
	return fb_bytes(text, size);
}

/* A policy of this many nested operators, without principals; only its depth makes it costly. */
static FbBytes
nested_policy(FbAllocator *allocator, int gates)
{
	FbBytes rule = B("\x12\x00");

	for (int i = 1; i < gates; i++)
		rule = field(allocator, 2, field(allocator, 2, rule));
	return field(allocator, 2, rule);
}

/* a metadata write of a key with this policy: KVMetadataWrite or KVMetadataWriteHash */
static FbBytes
metadata_write(FbAllocator *allocator, FbBytes policy)
{
	FbBytes entry = join(allocator, field(allocator, 1, B(RWSET_VALIDATION_PARAMETER)),
						 field(allocator, 2, policy));

	return join(allocator, field(allocator, 1, B("k")), field(allocator, 2, entry));
}

static FbBytes
make_large_results(FbAllocator *allocator, Knob knob)
{
	FbBytes name =
		field(allocator, 1,
			  knob == LONG_NAMESPACE ? text_of_size(allocator, FB_CHAINCODE_NAME_BYTES_MAX + 1)
									 : B("basic"));
	FbBytes set = FB_BYTES_EMPTY;
	FbBytes results = FB_BYTES_EMPTY;

	switch (knob)
	{
		case LONG_KEY:
			set = field(allocator, 3,
						field(allocator, 1, text_of_size(allocator, FB_STATE_KEY_BYTES_MAX + 1)));
			break;
		case LONG_NAMESPACE:
			set = field(allocator, 3, field(allocator, 1, B("k")));
			break;
		case LARGE_DEGREE:
			set = field(allocator, 2, field(allocator, 5, B("\x08\xff\xff\xff\x0f")));
			break;
		case MANY_NAMESPACES:
			for (int i = 0; i <= FB_NAMESPACES_MAX; i++)
				results = join(allocator, results, B("\x12\x00"));
			return results;
		case TOO_DEEP_POLICY_OF_HASH:
			set =
				field(allocator, 3,
					  metadata_write(allocator, nested_policy(allocator, FB_POLICY_DEPTH_MAX + 2)));
			return field(allocator, 2,
						 join(allocator, name,
							  field(allocator, 3,
									join(allocator, field(allocator, 1, B("c")),
										 field(allocator, 2, set)))));
		default:
			set = field(allocator, 4,
						metadata_write(allocator,
									   knob == BROKEN_POLICY
										   ? BROKEN
										   : nested_policy(allocator,
														   FB_POLICY_DEPTH_MAX +
															   (knob == DEEP_POLICY ? 0 : 2))));
			break;
	}
	return field(allocator, 2, join(allocator, name, field(allocator, 2, set)));
}

static FbBytes
make_action(FbAllocator *allocator, Knob knob)
{
	Protos__ChaincodeAction action = PROTOS__CHAINCODE_ACTION__INIT;
	Protos__ChaincodeID chaincode = PROTOS__CHAINCODE_ID__INIT;
	Protos__Response response = PROTOS__RESPONSE__INIT;
	ChaincodeEvent event = {knob == EVENT_OF_ANOTHER ? B("other") : B("basic"), B("id"), B("name"),
							B("payload")};
	FbBytes bytes;
	FbBytes results = RESULTS;

	if (knob == NO_CHAINCODE_ACTION)
		return FB_BYTES_EMPTY;
	if (knob == CHAINCODE_ACTION_BROKEN)
		return BROKEN;
	if (response_event_pack(allocator, &event, &bytes, NULL) != FB_OK)
		exit(2);
	if (knob == RESULTS_BROKEN)
		results = BROKEN;
	if (knob == RESULTS_BROKEN_INSIDE)
		results = B("\x12\x05\x0a\x01"
					"b"
					"\x12\x00\x12\x04\x12\x02\xff\xff");
	if (knob == NAMESPACE_TWICE || knob == NAMESPACE_TWICE_AND_NO_VERSION)
		results = B("\x12\x03\x0a\x01"
					"b"
					"\x12\x03\x0a\x01"
					"b");
	if (knob >= LONG_KEY && knob <= LARGE_DEGREE)
		results = make_large_results(allocator, knob);
	if (knob == ZERO_IN_NAMES)
		results = B("\x12\x08\x0a\x02"
					"b\0"
					"\x1a\x02\x0a\x00"
					"\x12\x0d\x0a\x01"
					"b"
					"\x1a\x08\x0a\x02"
					"c\0"
					"\x12\x02\x0a\x00");
	if (knob == ZERO_IN_EVENT)
		bytes = B("\x0a\x05"
				  "basic"
				  "\x12\x02i\0"
				  "\x1a\x03"
				  "a\0b");
	chaincode.name = proto_data(knob == CHAINCODE_NAME_EMPTY ? B("")
								: knob == CHAINCODE_DIFFERS	 ? B("other")
								: knob == ZERO_IN_CHAINCODE	 ? B("basic\0x")
															 : B("basic"));
	chaincode.version =
		proto_data(knob == NO_VERSION || knob == NAMESPACE_TWICE_AND_NO_VERSION ? B("")
				   : knob == ZERO_IN_VERSION									? B("\0"
																													   "1")
																				: B("1.0"));
	response.status = 200;
	response.message = proto_data(knob == ZERO_IN_MESSAGE ? B("mess\0age") : B("message"));
	response.payload = proto_data(B("answer"));
	action.results = proto_data(results);
	action.events = proto_data(knob == EVENT_BROKEN ? BROKEN : bytes);
	action.response = &response;
	action.chaincode_id = knob == NO_CHAINCODE_IN_ACTION ? NULL : &chaincode;
	if (knob == CHAINCODE_IN_PARTS)
	{
		chaincode.name = proto_data(FB_BYTES_EMPTY);
		return join(allocator, pack(allocator, &action.base),
					B("\x22\x07\x12\x05"
					  "basic"));
	}
	if (knob == GROUP_IN_ACTION)
		return join(allocator, B("\x0b\x13\x12\x01x\x14\x0c"), pack(allocator, &action.base));
	if (knob == RESPONSE_OF_ANOTHER_TYPE)
		return join(allocator, pack(allocator, &action.base),
					B("\x18\x07\x08\x01\x25"
					  "four"));
	return pack(allocator, &action.base);
}

static FbBytes
make_data(FbAllocator *allocator, Knob knob, FbBytes channel_header, FbBytes signature_header)
{
	Protos__ProposalResponsePayload response_payload = PROTOS__PROPOSAL_RESPONSE_PAYLOAD__INIT;
	Protos__Endorsement endorsement = PROTOS__ENDORSEMENT__INIT;
	Protos__Endorsement *endorsements[1] = {&endorsement};
	Protos__ChaincodeEndorsedAction endorsed = PROTOS__CHAINCODE_ENDORSED_ACTION__INIT;
	Protos__ChaincodeActionPayload payload = PROTOS__CHAINCODE_ACTION_PAYLOAD__INIT;
	Protos__TransactionAction action = PROTOS__TRANSACTION_ACTION__INIT;
	Protos__TransactionAction *actions[2] = {&action, &action};
	Protos__Transaction transaction = PROTOS__TRANSACTION__INIT;
	FbBytes action_header = signature_header;
	FbBytes proposal_payload = knob == NO_PROPOSAL_PAYLOAD ? FB_BYTES_EMPTY : B("\x0a\x02\x0a\x00");
	uint8_t hash[32];

	if (knob == NO_DATA || knob == TYPE_CONFIG_EMPTY)
		return FB_BYTES_EMPTY;
	if (knob == DATA_BROKEN)
		return BROKEN;
	if (knob == ACTION_HEADER_BROKEN)
		action_header = BROKEN;
	if (knob == ACTION_HEADER_EMPTY)
		action_header = FB_BYTES_EMPTY;
	if (knob == ACTION_HEADER_NO_NONCE)
		action_header = B("\x0a\x07"
						  "creator");
	if (knob == ACTION_HEADER_NO_CREATOR)
		action_header = B("\x12\x05"
						  "nonce");
	crypto_sha256_parts((FbBytes[]) {channel_header, action_header, proposal_payload}, 3, hash);
	if (knob == WRONG_HASH || knob == WRONG_TX_ID_AND_HASH || knob == OTHER_CHANNEL_AND_HASH)
		hash[31] ^= 1;
	response_payload.proposal_hash = proto_data(fb_bytes(hash, 32));
	response_payload.extension = proto_data(make_action(allocator, knob));
	endorsement.endorser = proto_data(B("endorser"));
	endorsement.signature = proto_data(B("signature"));
	endorsed.endorsements = endorsements;
	endorsed.n_endorsements = 1;
	if (knob == LONG_ENDORSER)
		endorsement.endorser = proto_data(text_of_size(allocator, FB_IDENTITY_BYTES_MAX + 1));
	if (knob == MANY_ENDORSEMENTS || knob == TOO_MANY_ENDORSEMENTS)
	{
		endorsed.n_endorsements = FB_ENDORSEMENTS_MAX + (knob == TOO_MANY_ENDORSEMENTS);
		endorsed.endorsements =
			fb_allocate_array(allocator, endorsed.n_endorsements, sizeof(endorsements[0]));
		for (size_t i = 0; i < endorsed.n_endorsements; i++)
			endorsed.endorsements[i] = &endorsement;
	}
	endorsed.proposal_response_payload = proto_data(
		knob == RESPONSE_PAYLOAD_BROKEN ? BROKEN : pack(allocator, &response_payload.base));
	payload.chaincode_proposal_payload = proto_data(proposal_payload);
	payload.action = knob == NO_ENDORSED_ACTION ? NULL : &endorsed;
	action.header = proto_data(action_header);
	action.payload =
		proto_data(knob == ACTION_PAYLOAD_BROKEN ? BROKEN : pack(allocator, &payload.base));
	transaction.actions = actions;
	transaction.n_actions = knob == NO_ACTION ? 0 : knob == TWO_ACTIONS ? 2 : 1;
	if (knob == NO_ACTION)
		return B("\x92\x03\x00"); /* an unknown field, so that there are data */
	return pack(allocator, &transaction.base);
}

static FbBytes
make_envelope(FbAllocator *allocator, Knob knob)
{
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	char tx_id[TX_ID_LENGTH + 1];
	FbBytes channel_bytes;
	FbBytes signature_bytes;

	if (knob == ENVELOPE_BROKEN)
		return BROKEN;
	if (knob == ENVELOPE_EMPTY)
		return FB_BYTES_EMPTY;
	signature_header.creator = proto_data(knob == NO_CREATOR ? FB_BYTES_EMPTY : B("creator"));
	signature_header.nonce = proto_data(knob == NO_NONCE ? FB_BYTES_EMPTY : NONCE);
	tx_id_compute(proto_bytes(signature_header.nonce), proto_bytes(signature_header.creator),
				  tx_id);
	if (knob == WRONG_TX_ID || knob == WRONG_TX_ID_AND_HASH)
		tx_id[0] = tx_id[0] == '0' ? '1' : '0';
	channel_header.type = knob == TYPE_MESSAGE								 ? 0
						  : knob == TYPE_UNKNOWN							 ? 77
						  : knob == TYPE_CONFIG_UPDATE						 ? 2
						  : knob == TYPE_CONFIG || knob == TYPE_CONFIG_EMPTY ? 1
																			 : 3;
	timestamp.seconds = 77;
	channel_header.timestamp = &timestamp;
	channel_header.epoch = knob == EPOCH;
	channel_header.channel_id =
		proto_data(knob == OTHER_CHANNEL || knob == OTHER_CHANNEL_AND_HASH ? B("yourchannel")
				   : knob == ZERO_IN_CHANNEL							   ? B("mychannel\0")
																		   : B("mychannel"));
	channel_header.tx_id =
		proto_data(knob == NO_TX_ID ? FB_BYTES_EMPTY
									: fb_bytes(tx_id, TX_ID_LENGTH + (knob == ZERO_IN_TX_ID)));
	channel_header.extension = proto_data(knob == EXTENSION_BROKEN		   ? BROKEN
										  : knob == NO_CHAINCODE_IN_HEADER ? FB_BYTES_EMPTY
										  : knob == CHAINCODE_NAME_EMPTY   ? B("\x12\x00")
																		   : B("\x12\x07\x12\x05"
																				 "basic"));
	channel_bytes = knob == CHANNEL_HEADER_BROKEN ? BROKEN : pack(allocator, &channel_header.base);
	signature_bytes =
		knob == SIGNATURE_HEADER_BROKEN ? BROKEN : pack(allocator, &signature_header.base);
	header.channel_header = proto_data(channel_bytes);
	header.signature_header = proto_data(signature_bytes);
	payload.header = knob == NO_HEADER ? NULL : &header;
	payload.data = proto_data(make_data(allocator, knob, channel_bytes, signature_bytes));
	envelope.payload = proto_data(knob == PAYLOAD_BROKEN ? BROKEN : pack(allocator, &payload.base));
	if (knob == HEADER_IN_PARTS)
	{
		Common__Header first = COMMON__HEADER__INIT;
		Common__Payload only_header = COMMON__PAYLOAD__INIT;

		first.signature_header = header.signature_header;
		only_header.header = &first;
		header.signature_header = proto_data(FB_BYTES_EMPTY);
		envelope.payload = proto_data(
			join(allocator, pack(allocator, &only_header.base), pack(allocator, &payload.base)));
	}
	if (knob == LONG_TAG)
		envelope.payload = proto_data(
			join(allocator, B("\x9a\x80\x80\x80\x80\x80\x00\x80\x80\x80\x80\x80\x80\x00"),
				 pack(allocator, &payload.base)));
	envelope.signature = proto_data(B("signature"));
	return pack(allocator, &envelope.base);
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

/* the check of our limits before ordering, which applies only to an envelope that can be parsed */
static FbStatus
check_limits_of(FbAllocator *allocator, FbBytes bytes, FbError *error)
{
	Envelope envelope;
	FbStatus status = envelope_parse(allocator, bytes, &envelope, error);

	if (status == FB_OK)
		return check_limits(allocator, &envelope, error);
	return status == FB_MALFORMED_MESSAGE ? FB_OK : status;
}

static void
test_limits(FbAllocator *allocator)
{
	FbError error;

	for (size_t i = 0; i < KNOBS_COUNT; i++)
	{
		Knob knob = knob_codes[i].knob;
		bool over = knob == MANY_ENDORSEMENTS || knob == TOO_MANY_ENDORSEMENTS ||
					knob == LONG_ENDORSER || knob == LONG_KEY || knob == TOO_DEEP_POLICY ||
					knob == TOO_DEEP_POLICY_OF_HASH || knob == MANY_NAMESPACES ||
					knob == LARGE_DEGREE;

		if (!CHECK_STATUS(check_limits_of(allocator, make_envelope(allocator, knob), &error),
						  over ? FB_LIMIT_EXCEEDED : FB_OK))
			fprintf(stderr, "    knob %zu\n", i);
		if (over)
		{
			CHECK_TEXT(error.message, "transaction exceeds a limit of validation");
			CHECK(error.detail[0] != '\0');
		}
		CHECK_STATUS(check_limits_of(allocator, make_envelope(allocator, knob), NULL),
					 over ? FB_LIMIT_EXCEEDED : FB_OK);
	}
}

/*
 * a policy of this many rules of one operator over this many principals, with the first one
 * repeated as needed
 */
static FbBytes
wide_policy(FbAllocator *allocator, size_t rules, size_t principals)
{
	FbBuffer gate;
	FbBuffer envelope;
	FbBytes bytes;

	fb_buffer_init(&gate, allocator);
	for (size_t i = 1; i < rules; i++)
		fb_buffer_append(&gate, "\x12\x02\x08\x00", 4);
	if (fb_buffer_bytes(&gate, &bytes, NULL) != FB_OK)
		exit(2);
	fb_buffer_init(&envelope, allocator);
	fb_buffer_append_bytes(&envelope, field(allocator, 2, field(allocator, 2, bytes)));
	for (size_t i = 0; i < principals; i++)
		fb_buffer_append(&envelope, "\x1a\x00", 2);
	if (fb_buffer_bytes(&envelope, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

static void
expect_limit(FbAllocator *allocator, const RwSet *rwset, size_t endorsements, const char *detail)
{
	FbError error;

	error.detail[0] = '\0';
	CHECK_STATUS(check_limits_of_rwset(allocator, rwset, endorsements, &error),
				 detail[0] != '\0' ? FB_LIMIT_EXCEEDED : FB_OK);
	CHECK_TEXT(error.detail, detail);
}

/* the work that one transaction may cause for every committer: each limit, and one more */
static void
test_budget(FbAllocator *allocator)
{
	RwSetNamespace *namespaces =
		fb_allocate_array(allocator, FB_ADMITTED_NAMESPACES_MAX + 1, sizeof(RwSetNamespace));
	RwSetRange *ranges =
		fb_allocate_array(allocator, FB_ADMITTED_RANGES_MAX + 1, sizeof(RwSetRange));
	RwSetCollection *collections =
		fb_allocate_array(allocator, FB_ADMITTED_COLLECTIONS_MAX + 1, sizeof(RwSetCollection));
	RwSetWrite *writes = fb_allocate_array(allocator, 200000, sizeof(RwSetWrite));
	RwSetMetadataEntry entry = {B(RWSET_VALIDATION_PARAMETER), FB_BYTES_EMPTY};
	RwSetMetadataWrite guard = {B("k"), &entry, 1};
	FbBytes hashes[3] = {B("a"), B("b"), B("c")};
	RwSetNamespace one = {.name = B("basic")};
	RwSet rwset = {.namespaces = namespaces, .namespaces_count = FB_ADMITTED_NAMESPACES_MAX};

	expect_limit(allocator, &rwset, 1, "");
	rwset.namespaces_count++;
	expect_limit(allocator, &rwset, 1, "Namespaces: 65, more than 64.");

	rwset = (RwSet) {.namespaces = &one, .namespaces_count = 1};
	one.collections = collections;
	one.collections_count = FB_ADMITTED_COLLECTIONS_MAX;
	expect_limit(allocator, &rwset, 1, "");
	one.collections_count++;
	expect_limit(allocator, &rwset, 1, "Collections: 257, more than 256.");
	one.collections_count = 0;

	one.ranges = ranges;
	one.ranges_count = FB_ADMITTED_RANGES_MAX;
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count++;
	expect_limit(allocator, &rwset, 1, "Range queries: 10001, more than 10000.");

	/* results: 51^3 for each hash but the last; one hash represents nearly all of its level */
	one.ranges_count = 5;
	for (size_t i = 0; i < 5; i++)
		ranges[i] = (RwSetRange) {.kind = RWSET_RANGE_MERKLE, .merkle = {50, 3, hashes, 3}};
	one.ranges_count = 3;
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count = 4;
	expect_limit(allocator, &rwset, 1, "Results of range queries: 1061208, more than 1000000.");
	one.ranges_count = 1;
	ranges[0].merkle = (RwSetMerkle) {50, 4, hashes, 1};
	expect_limit(allocator, &rwset, 1, "Results of range queries: 6632550, more than 1000000.");
	ranges[0].merkle = (RwSetMerkle) {UINT32_MAX, UINT32_MAX, hashes, 3};
	expect_limit(allocator, &rwset, 1,
				 "Degree of the hashes of a range: 4294967295, more than 100000.");
	ranges[0].merkle = (RwSetMerkle) {50, UINT32_MAX, hashes, 3};
	CHECK_STATUS(check_limits_of_rwset(allocator, &rwset, 1, NULL), FB_LIMIT_EXCEEDED);
	ranges[0].merkle = (RwSetMerkle) {1, UINT32_MAX, hashes, 3};
	expect_limit(allocator, &rwset, 1, "");
	one.ranges_count = 0;

	one.metadata_writes = &guard;
	one.metadata_writes_count = 1;
	entry.value = wide_policy(allocator, FB_ADMITTED_KEY_POLICY_RULES_MAX,
							  FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX);
	expect_limit(allocator, &rwset, 1, "");
	entry.value = wide_policy(allocator, FB_ADMITTED_KEY_POLICY_RULES_MAX + 1, 1);
	expect_limit(allocator, &rwset, 1,
				 "Rules of the endorsement policy of a key: 257, more than 256.");
	entry.value = wide_policy(allocator, 2, FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX + 1);
	expect_limit(allocator, &rwset, 1,
				 "Principals of the endorsement policy of a key: 129, more than 128.");
	one.metadata_writes_count = 0;

	one.writes = writes;
	one.writes_count = 200000;
	expect_limit(allocator, &rwset, 10, "");
	expect_limit(allocator, &rwset, 11,
				 "Written keys times endorsements: 2200000, more than 2000000.");
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
	Envelope parts;
	FbBytes ids[6] = {B("a"), B("b"), B("a"), FB_BYTES_EMPTY, B("b"), FB_BYTES_EMPTY};
	uint8_t codes[6] = {0, 10, 0, 0, 0, 0};

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

	/*
	 * the id under which the ledger stores a transaction without one, and with one that is not its
	 * own
	 */
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

	/* the view of a valid transaction */
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

	/* only transactions that are still valid count, the first stays */
	CHECK_STATUS(check_mark_duplicates(allocator, ids, codes, 6, NULL), FB_OK);
	CHECK(codes[0] == 0 && codes[1] == 10 && codes[2] == 9 && codes[3] == 0 && codes[4] == 0 &&
		  codes[5] == 0);
	CHECK_STATUS(check_mark_duplicates(allocator, NULL, NULL, 0, NULL), FB_OK);
}

/* ---- assembly ---- */

static FbBytes
make_payload(FbAllocator *allocator, const ProposalView *proposal, const char *results_hex,
			 const char *version, int32_t status, FbBytes event)
{
	ResponsePayload content = {
		.proposal_hash = fb_bytes(proposal->proposal_hash, 32),
		.results = from_hex(allocator, results_hex),
		.event = event,
		.response = {status, FB_BYTES_EMPTY, B("done")},
		.chaincode_name = B("basic"),
		.chaincode_version = fb_bytes_of_text(version),
	};
	FbBytes bytes;

	if (response_payload_build(allocator, &content, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

#define V6_RESULTS                                                                                             \
	"123e0a05626173696312350a040a026b310a080a026b32120208051a110a0c00636f6c6f7200626c7565001a01001a080a026b31" \
	"1a0276311a060a026b321001"

static bool
contains(FbBytes bytes, FbBytes part)
{
	for (size_t i = 0; i + part.size <= bytes.size; i++)
	{
		if (memcmp(bytes.data + i, part.data, part.size) == 0)
			return true;
	}
	return false;
}

static void
test_assembly(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	TransientEntry transient = {B("secret"), B("hush")};
	ProposalView proposal;
	ProposalResponse responses[4];
	ProposalResponse many[FB_ENDORSEMENTS_MAX + 1];
	EnvelopePayload payload;
	FbBytes envelope;
	TxView view;
	TxCode code;
	FbError error;
	uint8_t digest[32];
	ResponseDifference *differences;
	size_t count;

	input.transient = &transient;
	input.transient_count = 1;
	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	for (int i = 0; i < 4; i++)
	{
		responses[i] = (ProposalResponse) {
			.response = {200, FB_BYTES_EMPTY, B("done")},
			.payload = make_payload(allocator, &proposal, V6_RESULTS, "1.0", 200, FB_BYTES_EMPTY),
			.endorser = i == 1 ? B("Org2") : B("Org1"),
			.signature = i == 2 ? B("again") : B("sig"),
		};
	}
	responses[3].endorser = FB_BYTES_EMPTY;
	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 4, &payload, NULL), FB_OK);
	crypto_sha256(payload.bytes, digest);
	CHECK(memcmp(digest, payload.digest, 32) == 0);
	CHECK_STATUS(envelope_pack(allocator, payload.bytes, B("client"), &envelope, NULL), FB_OK);
	CHECK_STATUS(check_structure(allocator, envelope, B("mychannel"), &view, &code, &error), FB_OK);
	CHECK(code == TX_VALID && view.endorsements_count == 2 &&
		  fb_bytes_equal(view.signature, B("client")));
	CHECK(fb_bytes_equal(view.endorsements[0].signature, B("sig")) &&
		  fb_bytes_equal(view.endorsements[1].endorser, B("Org2")));
	CHECK(!contains(envelope, B("hush")) && !contains(envelope, B("secret")) &&
		  contains(envelope, B("asset1")));
	CHECK_STATUS(response_compare(allocator, responses, 4, &differences, &count, NULL), FB_OK);
	CHECK(count == 0);

	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 0, &payload, &error),
				 FB_ENDORSEMENT_FAILED);
	CHECK_TEXT(error.message, "no endorsement was given");
	for (int i = 0; i <= FB_ENDORSEMENTS_MAX; i++)
		many[i] = responses[0];
	CHECK_STATUS(envelope_assemble(allocator, &proposal, many, FB_ENDORSEMENTS_MAX, &payload,
								   &error),
				 FB_OK);
	CHECK_STATUS(envelope_assemble(allocator, &proposal, many, FB_ENDORSEMENTS_MAX + 1, &payload,
								   &error),
				 FB_LIMIT_EXCEEDED);
	many[0].payload = FB_BYTES_EMPTY;
	CHECK_STATUS(envelope_assemble(allocator, &proposal, many, 1, &payload, &error),
				 FB_ENDORSEMENT_FAILED);
	CHECK_TEXT(error.message, "endorsement has no content");
	CHECK_STATUS(envelope_assemble(allocator, &proposal, &responses[3], 1, &payload, &error),
				 FB_ENDORSEMENT_FAILED);
	responses[1].response.status = 400;
	responses[1].response.message = B("no");
	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 2, &payload, &error),
				 FB_ENDORSEMENT_FAILED);
	CHECK_TEXT(error.message, "chaincode answered with status 400: no");
	responses[1].response.status = 399;
	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 2, &payload, &error), FB_OK);
	responses[1].response.status = 199;
	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 2, &payload, &error),
				 FB_ENDORSEMENT_FAILED);
	responses[1].response.status = 200;
	responses[1].payload = make_payload(allocator, &proposal, "1200", "1.0", 200, FB_BYTES_EMPTY);
	CHECK_STATUS(envelope_assemble(allocator, &proposal, responses, 2, &payload, &error),
				 FB_ENDORSEMENT_MISMATCH);
}

/* an rwset with the given public content of namespace basic, in hex for make_payload */
static char *
results_hex(FbAllocator *allocator, int variant)
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *range;
	RwSetResult result;
	RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), variant == 3 ? B("other") : B("EP")};
	RwSetVersion version = {true, variant == 1 ? 6 : 5, 0};
	char *hex;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK ||
		rwset_builder_add_read(builder, B("basic"), B("k"), version, NULL) != FB_OK ||
		rwset_builder_add_write(builder, B("basic"), B("k"),
								variant == 2 ? B("random 2") : B("random 1"), NULL) != FB_OK ||
		rwset_builder_add_metadata_write(builder, B("basic"), B("k"), &entry, variant != 7, NULL) !=
			FB_OK ||
		rwset_builder_add_private_write(builder, B("basic"), B("coll"), B("p"),
										variant == 4 ? B("2") : B("1"), NULL) != FB_OK ||
		rwset_builder_open_range(builder, B("basic"), B("a"), B("z"), &range, NULL) != FB_OK ||
		rwset_range_add_result(range, variant == 5 ? B("m") : B("n"), version, NULL) != FB_OK)
		exit(2);
	rwset_range_exhaust(range);
	if (variant == 6 &&
		rwset_builder_add_write(builder, B("basic"), B("extra"), B("v"), NULL) != FB_OK)
		exit(2);
	if (rwset_builder_finish(builder, &result, NULL) != FB_OK)
		exit(2);
	hex = fb_allocate(allocator, result.public_bytes.size * 2 + 1);
	fb_hex_encode(result.public_bytes, hex);
	return hex;
}

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
	ProposalView other_proposal;
	ProposalResponse responses[2] = {0};
	ResponseDifference *differences;
	size_t count;
	ChaincodeEvent event = {B("basic"), B("id"), B("name"), B("payload")};
	FbBytes event_bytes;
	FbBytes base;
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
	input.is_init = true;
	CHECK_STATUS(proposal_build(allocator, &input, &other_proposal, NULL), FB_OK);
	CHECK_STATUS(response_event_pack(allocator, &event, &event_bytes, NULL), FB_OK);
	base =
		make_payload(allocator, &proposal, results_hex(allocator, 0), "1.0", 200, FB_BYTES_EMPTY);
	responses[0].payload = base;
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
	/*
	 * Elements that only the first has; a metadata deletion; if the first is unreadable there is
	 * one line, the others are listed one by one.
	 */
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
	/* long ranges are compared by their hashes, and a long list of differences is cut */
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

/* ---- the real network: messages of one transaction ---- */

static bool
signed_by(FbAllocator *allocator, FbBytes identity, const FbBytes *parts, size_t parts_count,
		  FbBytes signature)
{
	Msp__SerializedIdentity *message;
	CryptoCertificate *certificate;
	bool good;

	if (PROTO_UNPACK(msp__serialized_identity, identity, allocator, &message, NULL) != FB_OK ||
		crypto_certificate_parse(proto_bytes(message->id_bytes), &certificate, NULL) != FB_OK)
		return false;
	good = crypto_verify_parts(crypto_certificate_public_key(certificate), parts, parts_count,
							   signature, NULL) == FB_OK;
	crypto_certificate_free(certificate);
	return good;
}

static void
test_messages(FbAllocator *allocator)
{
	FbBytes request_bytes = check_read_file("test/vectors/tx/1-EndorseRequest.pb");
	FbBytes response_bytes = check_read_file("test/vectors/tx/2-EndorseResponse.pb");
	FbBytes submit_bytes = check_read_file("test/vectors/tx/3-SubmitRequest.pb");
	Gateway__EndorseRequest *request;
	Gateway__EndorseResponse *endorsed;
	Gateway__SubmitRequest *submit;
	ProposalView view;
	ProposalInput input = {0};
	ProposalView again;
	FbBytes bytes;
	FbBytes again_bytes;
	TxView tx;
	TxCode code;
	ProposalResponse responses[4] = {0};
	ResponsePayload content;
	EnvelopePayload payload;
	Envelope envelope;

	CHECK_STATUS(PROTO_UNPACK(gateway__endorse_request, request_bytes, allocator, &request, NULL),
				 FB_OK);
	CHECK_STATUS(proto_pack(&request->proposed_transaction->base, allocator, &bytes, NULL), FB_OK);
	CHECK_STATUS(proposal_parse_signed(allocator, bytes, &view, NULL), FB_OK);
	CHECK(fb_bytes_equal(view.tx_id, fb_bytes_of_text(request->transaction_id)));
	CHECK(fb_bytes_equal(view.channel_id, B("bench")) &&
		  fb_bytes_equal(view.chaincode_name, B("asset")));
	CHECK(view.args_count == 3 && fb_bytes_equal(view.args[0], B("TransferAsset")));
	CHECK(signed_by(allocator, view.creator, &view.bytes, 1, view.signature));

	/* the proposal of Fabric's gateway client, rebuilt from its content */
	input.channel_id = view.channel_id;
	input.chaincode_name = view.chaincode_name;
	input.creator = view.creator;
	input.nonce = view.nonce;
	input.timestamp = view.timestamp;
	input.args = view.args;
	input.args_count = view.args_count;
	for (input.chaincode_type = 0; input.chaincode_type < 4; input.chaincode_type++)
	{
		CHECK_STATUS(proposal_build(allocator, &input, &again, NULL), FB_OK);
		if (fb_bytes_equal(again.bytes, view.bytes))
			break;
	}
	CHECK(fb_bytes_equal(again.bytes, view.bytes));
	CHECK(memcmp(again.proposal_hash, view.proposal_hash, 32) == 0);

	/* the prepared transaction, assembled again from its endorsements */
	CHECK_STATUS(PROTO_UNPACK(gateway__endorse_response, response_bytes, allocator, &endorsed,
							  NULL),
				 FB_OK);
	CHECK_STATUS(proto_pack(&endorsed->prepared_transaction->base, allocator, &bytes, NULL), FB_OK);
	CHECK_STATUS(check_structure(allocator, bytes, B("bench"), &tx, &code, NULL), FB_OK);
	CHECK(code == TX_VALID && tx.signature.size == 0 && tx.endorsements_count == 2);
	CHECK(fb_bytes_equal(tx.proposal_hash, fb_bytes(view.proposal_hash, 32)));
	for (size_t i = 0; i < tx.endorsements_count && i < 4; i++)
	{
		responses[i].response.status = 200;
		responses[i].payload = tx.proposal_response_payload;
		responses[i].endorser = tx.endorsements[i].endorser;
		responses[i].signature = tx.endorsements[i].signature;
	}
	CHECK_STATUS(envelope_assemble(allocator, &view, responses, tx.endorsements_count, &payload,
								   NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(payload.bytes, tx.payload));
	CHECK_STATUS(response_payload_parse(allocator, tx.proposal_response_payload, &content, NULL),
				 FB_OK);
	CHECK_STATUS(response_payload_build(allocator, &content, &bytes, NULL), FB_OK);
	CHECK(fb_bytes_equal(bytes, tx.proposal_response_payload));

	/* the envelope that the client submitted: the same payload, signed */
	CHECK_STATUS(PROTO_UNPACK(gateway__submit_request, submit_bytes, allocator, &submit, NULL),
				 FB_OK);
	CHECK_STATUS(proto_pack(&submit->prepared_transaction->base, allocator, &bytes, NULL), FB_OK);
	CHECK_STATUS(envelope_parse(allocator, bytes, &envelope, NULL), FB_OK);
	CHECK(fb_bytes_equal(envelope.payload, payload.bytes));
	CHECK(signed_by(allocator, envelope.creator, &envelope.payload, 1, envelope.signature));
	CHECK_STATUS(envelope_pack(allocator, envelope.payload, envelope.signature, &again_bytes, NULL),
				 FB_OK);
	CHECK(fb_bytes_equal(again_bytes, bytes));
	free((void *) request_bytes.data);
	free((void *) response_bytes.data);
	free((void *) submit_bytes.data);
}

/* a channel configuration update as a message of another kind */
static void
test_generic(FbAllocator *allocator)
{
	EnvelopeInput input = {
		.type = TX_TYPE_DELIVER_SEEK_INFO,
		.version = 1,
		.channel_id = B("bench"),
		.timestamp = {true, 12, 0},
		.extension = B("x"),
		.tls_cert_hash = B("hash"),
		.creator = B("creator"),
		.nonce = NONCE,
		.data = B("seek"),
		.epoch = 3,
	};
	EnvelopePayload payload;
	Envelope view;
	FbBytes bytes;

	CHECK_STATUS(envelope_payload_build(allocator, &input, &payload, NULL), FB_OK);
	CHECK_STATUS(envelope_pack(allocator, payload.bytes, B("sig"), &bytes, NULL), FB_OK);
	CHECK_STATUS(envelope_parse(allocator, bytes, &view, NULL), FB_OK);
	CHECK(view.type == 5 && view.version == 1 && view.epoch == 3 &&
		  fb_bytes_equal(view.data, B("seek")));
	CHECK(fb_bytes_equal(view.tls_cert_hash, B("hash")) && fb_bytes_equal(view.extension, B("x")));
	CHECK(view.timestamp.present && view.timestamp.seconds == 12 && view.tx_id.size == 0);
	CHECK(fb_bytes_equal(view.creator, B("creator")) && fb_bytes_equal(view.nonce, NONCE));
	input.channel_id = B("\xff");
	CHECK_STATUS(envelope_payload_build(allocator, &input, &payload, NULL), FB_INVALID_ARGUMENT);
}

/* ---- failing allocations, changed bytes ---- */

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

/*
 * An observer of a proposal has its id; with another creator or nonce it is not the envelope's own.
 */
static void
test_envelope_tx_id(void)
{
	Envelope good = {.type = TX_TYPE_ENDORSER_TRANSACTION,
					 .nonce = NONCE,
					 .creator = B("creator"),
					 .tx_id = B(V3_ID)};
	Envelope view;
	FbError error;

	CHECK_STATUS(envelope_check_tx_id(&good, &error), FB_OK);
	view = good;
	view.creator = B("observer");
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "transaction id is not the hash of nonce and creator");
	CHECK(strstr(error.detail, V3_ID) != NULL);
	view = good;
	view.nonce.size--;
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_INVALID_ARGUMENT);
	view = good;
	view.tx_id.size--;
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_INVALID_ARGUMENT);
	view.tx_id = FB_BYTES_EMPTY;
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_INVALID_ARGUMENT);
	/* another message may have no id, but not the id of another one */
	view.type = 0;
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_OK);
	view.tx_id = B(V3_ID);
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_OK);
	view.creator = B("observer");
	CHECK_STATUS(envelope_check_tx_id(&view, &error), FB_INVALID_ARGUMENT);
}

int
main(void)
{
	FbArena arena;

	fb_arena_init(&arena);
	CHECK_TEST(test_codes());
	CHECK_TEST(test_envelope_tx_id());
	CHECK_TEST(test_proposal(&arena.allocator));
	CHECK_TEST(test_proposal_limits(&arena.allocator));
	CHECK_TEST(test_proposal_refused(&arena.allocator));
	CHECK_TEST(test_response(&arena.allocator));
	CHECK_TEST(test_interest(&arena.allocator));
	CHECK_TEST(test_checks(&arena.allocator));
	CHECK_TEST(test_limits(&arena.allocator));
	CHECK_TEST(test_budget(&arena.allocator));
	CHECK_TEST(test_duplicates(&arena.allocator));
	CHECK_TEST(test_assembly(&arena.allocator));
	CHECK_TEST(test_compare(&arena.allocator));
	CHECK_TEST(test_messages(&arena.allocator));
	CHECK_TEST(test_generic(&arena.allocator));
	fb_arena_reset(&arena);
	CHECK_TEST(test_failures());
	return check_finish("txn/txn");
}
