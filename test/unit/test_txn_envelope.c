/* txn: envelopes that are assembled and taken apart, with the messages of the real network */
#include "unit/txn_samples.h"

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

/* two endorsers, one of them twice, and a response without endorser */
static void
make_responses(FbAllocator *allocator, const ProposalView *proposal, ProposalResponse responses[4])
{
	for (int i = 0; i < 4; i++)
	{
		responses[i] = (ProposalResponse) {
			.response = {200, FB_BYTES_EMPTY, B("done")},
			.payload = make_payload(allocator, proposal, V6_RESULTS, "1.0", 200, FB_BYTES_EMPTY),
			.endorser = i == 1 ? B("Org2") : B("Org1"),
			.signature = i == 2 ? B("again") : B("sig"),
		};
	}
	responses[3].endorser = FB_BYTES_EMPTY;
}

static void
test_assembly(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	TransientEntry transient = {B("secret"), B("hush")};
	ProposalView proposal;
	ProposalResponse responses[4];
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
	make_responses(allocator, &proposal, responses);
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
}

static void
test_assembly_refused(FbAllocator *allocator)
{
	ProposalInput input = v4_input();
	ProposalView proposal;
	ProposalResponse responses[4];
	ProposalResponse many[FB_ENDORSEMENTS_MAX + 1];
	EnvelopePayload payload;
	FbError error;

	CHECK_STATUS(proposal_build(allocator, &input, &proposal, NULL), FB_OK);
	make_responses(allocator, &proposal, responses);
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
	Gateway__EndorseRequest *request;
	ProposalView view;
	ProposalInput input = {0};
	ProposalView again;
	FbBytes bytes;

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
	free((void *) request_bytes.data);
}

/* the prepared transaction, assembled again from its endorsements */
static void
test_prepared_message(FbAllocator *allocator)
{
	FbBytes request_bytes = check_read_file("test/vectors/tx/1-EndorseRequest.pb");
	Gateway__EndorseRequest *request;
	FbBytes response_bytes = check_read_file("test/vectors/tx/2-EndorseResponse.pb");
	FbBytes submit_bytes = check_read_file("test/vectors/tx/3-SubmitRequest.pb");
	Gateway__EndorseResponse *endorsed;
	Gateway__SubmitRequest *submit;
	ProposalView view;
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
	CHECK_TEST(test_envelope_tx_id());
	CHECK_TEST(test_assembly(&arena.allocator));
	CHECK_TEST(test_assembly_refused(&arena.allocator));
	CHECK_TEST(test_messages(&arena.allocator));
	CHECK_TEST(test_prepared_message(&arena.allocator));
	CHECK_TEST(test_generic(&arena.allocator));
	fb_arena_reset(&arena);
	return check_finish("txn/envelope");
}
