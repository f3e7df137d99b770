/* config: signatures of real transactions and blocks against the policies of their channel */
#include "unit/config_samples.h"

typedef struct Endorsed
{
	PolicySignature signatures[8];
	size_t count;
	PolicySignature creator;	 /* the client over the envelope's payload */
	Kvrwset__KVRWSet *lifecycle; /* public writes of _lifecycle, if there are any */
} Endorsed;

/* take an endorser transaction apart; message parts point into the received bytes */
static Endorsed
read_transaction(FbBytes envelope_bytes)
{
	Endorsed endorsed = {.count = 0};
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__SignatureHeader *signature_header;
	Protos__Transaction *transaction;
	Protos__ChaincodeActionPayload *action;
	Protos__ProposalResponsePayload *response;
	Protos__ChaincodeAction *chaincode_action;
	Rwset__TxReadWriteSet *rwset;

	CHECK_STATUS(PROTO_UNPACK(common__envelope, envelope_bytes, allocator, &envelope, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload,
							  &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__signature_header,
							  proto_bytes(payload->header->signature_header), allocator,
							  &signature_header, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__transaction, proto_bytes(payload->data), allocator,
							  &transaction, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action_payload,
							  proto_bytes(transaction->actions[0]->payload), allocator, &action,
							  &error),
				 FB_OK);
	endorsed.creator = (PolicySignature) {proto_bytes(signature_header->creator),
										  proto_bytes(envelope->signature),
										  {proto_bytes(envelope->payload)}};
	for (size_t i = 0; i < action->action->n_endorsements; i++)
	{
		const Protos__Endorsement *endorsement = action->action->endorsements[i];

		endorsed.signatures[endorsed.count++] =
			(PolicySignature) {proto_bytes(endorsement->endorser),
							   proto_bytes(endorsement->signature),
							   {proto_bytes(action->action->proposal_response_payload),
								proto_bytes(endorsement->endorser)}};
	}
	CHECK_STATUS(PROTO_UNPACK(protos__proposal_response_payload,
							  proto_bytes(action->action->proposal_response_payload), allocator,
							  &response, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action, proto_bytes(response->extension), allocator,
							  &chaincode_action, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(rwset__tx_read_write_set, proto_bytes(chaincode_action->results),
							  allocator, &rwset, &error),
				 FB_OK);
	for (size_t i = 0; i < rwset->n_ns_rwset; i++)
		if (fb_bytes_equal(proto_bytes(rwset->ns_rwset[i]->namespace_),
						   FB_BYTES_LITERAL("_lifecycle")))
			CHECK_STATUS(PROTO_UNPACK(kvrwset__kvrwset, proto_bytes(rwset->ns_rwset[i]->rwset),
									  allocator, &endorsed.lifecycle, &error),
						 FB_OK);
	return endorsed;
}

static bool
satisfies(const ConfigBundle *bundle, const Policy *policy, const PolicySignature *signatures,
		  size_t count)
{
	PolicySignatureSet *set;
	bool satisfied = false;

	CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, signatures, count, NULL, NULL,
										  &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_evaluate(policy, set, &satisfied, &error), FB_OK);
	return satisfied;
}

/*
 * The validation parameter in the write of namespaces/fields/NAME/ValidationInfo: the chaincode's
 * policy as Fabric committed it.
 */
static const Policy *
committed_policy(const ConfigBundle *bundle, const Kvrwset__KVRWSet *writes)
{
	const Policy *policy = NULL;

	for (size_t i = 0; i < writes->n_writes; i++)
	{
		Lifecycle__StateData *data;
		Lifecycle__ChaincodeValidationInfo *info;
		FbBytes key = proto_bytes(writes->writes[i]->key);
		FbBytes suffix = FB_BYTES_LITERAL("/ValidationInfo");

		if (key.size < suffix.size ||
			memcmp(key.data + key.size - suffix.size, suffix.data, suffix.size) != 0)
			continue;
		CHECK_STATUS(PROTO_UNPACK(lifecycle__state_data, proto_bytes(writes->writes[i]->value),
								  allocator, &data, &error),
					 FB_OK);
		CHECK_STATUS(PROTO_UNPACK(lifecycle__chaincode_validation_info, proto_bytes(data->bytes),
								  allocator, &info, &error),
					 FB_OK);
		CHECK_STATUS(policy_from_application_policy(allocator, bundle->policies,
													proto_bytes(info->validation_parameter),
													&policy, &error),
					 FB_OK);
	}
	CHECK(policy != NULL);
	return policy;
}

static void
test_real_signatures(void)
{
	ConfigBundle *bundle;
	const Policy *lifecycle;
	const Policy *writers;
	const Policy *asset = NULL;
	const Policy *assetor = NULL;
	char *text;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);
	lifecycle = policy_manager_find(bundle->policies, CONFIG_POLICY_LIFECYCLE_ENDORSEMENT);
	writers = policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS);

	for (int number = 1; number <= 9; number++)
	{
		BlockView view;

		CHECK_STATUS(block_parse(read_block("blocks", number), allocator, &view, &error), FB_OK);
		for (size_t i = 0; i < view.data_count; i++)
		{
			Endorsed transaction = read_transaction(view.data[i]);
			PolicySignature *signatures = transaction.signatures;

			CHECK(satisfies(bundle, writers, &transaction.creator, 1));
			if (number <= 4) /* approvals: by one organization, into its own collection */
			{
				const char *own = number <= 2 ? "/Channel/Application/Org1MSP/Endorsement"
											  : "/Channel/Application/Org2MSP/Endorsement";
				const char *other = number <= 2 ? "/Channel/Application/Org2MSP/Endorsement"
												: "/Channel/Application/Org1MSP/Endorsement";

				CHECK(transaction.count == 1);
				CHECK(satisfies(bundle, policy_manager_find(bundle->policies, own), signatures, 1));
				CHECK(!satisfies(bundle, policy_manager_find(bundle->policies, other), signatures,
								 1));
				CHECK(!satisfies(bundle, lifecycle, signatures, 1));
				continue;
			}
			CHECK(transaction.count == 2 && satisfies(bundle, lifecycle, signatures, 2));
			if (number == 5)
				asset = committed_policy(bundle, transaction.lifecycle);
			else if (number == 6)
				assetor = committed_policy(bundle, transaction.lifecycle);
			else
			{
				CHECK(satisfies(bundle, asset, signatures, 2) &&
					  satisfies(bundle, assetor, signatures, 2));
				CHECK(!satisfies(bundle, asset, signatures, 1) &&
					  satisfies(bundle, assetor, signatures, 1));
			}
			CHECK(!satisfies(bundle, writers, signatures, 2)); /* peers may not write */
			CHECK(!satisfies(bundle, NULL, signatures, 2));
		}
	}
	CHECK_STATUS(policy_describe(allocator, asset, &text, &error), FB_OK);
	CHECK_TEXT(text, "AND('Org1MSP.peer', 'Org2MSP.peer')");
	CHECK_STATUS(policy_describe(allocator, assetor, &text, &error), FB_OK);
	CHECK_TEXT(text, "OR('Org1MSP.peer', 'Org2MSP.peer')");
	config_bundle_destroy(bundle);
}

/* orderers' signatures on blocks */
static void
test_block_signatures(void)
{
	ConfigBundle *bundle;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);

	for (int number = 1; number <= 9; number++)
	{
		BlockView view;
		BlockSignatures slot;
		FbBytes header_bytes;
		const Policy *block_validation =
			policy_manager_find(bundle->policies, CONFIG_POLICY_BLOCK_VALIDATION);

		CHECK_STATUS(block_parse(read_block(number == 5 ? "orderer-blocks" : "blocks", number),
								 allocator, &view, &error),
					 FB_OK);
		CHECK_STATUS(block_signatures_parse(view.metadata[0], allocator, &slot, &error), FB_OK);
		CHECK_STATUS(block_header_bytes(&view.header, allocator, &header_bytes, &error), FB_OK);
		CHECK(slot.signatures_count > 0);
		for (size_t i = 0; i < slot.signatures_count; i++)
		{
			Common__SignatureHeader *signature_header;
			PolicySignature signature = {.signature = slot.signatures[i].signature};

			CHECK_STATUS(PROTO_UNPACK(common__signature_header, slot.signatures[i].signature_header,
									  allocator, &signature_header, &error),
						 FB_OK);
			signature.identity = proto_bytes(signature_header->creator);
			block_signed_parts(slot.value, &slot.signatures[i], header_bytes, signature.parts);
			CHECK(satisfies(bundle, block_validation, &signature, 1));
			signature.parts[2] = signature.parts[1];
			CHECK(!satisfies(bundle, block_validation, &signature, 1));
		}
	}
	config_bundle_destroy(bundle);
}

typedef struct Verifier
{
	size_t calls;
	size_t calls_of[256];
	FbStatus fail; /* answer with this status instead of the real one */
} Verifier;

static FbStatus
counting_verify(void *context, const Identity *identity, const PolicySignature *signature,
				size_t index, bool *valid, FbError *verify_error)
{
	Verifier *verifier = context;
	FbStatus status;

	verifier->calls++;
	verifier->calls_of[index]++;
	if (verifier->fail != FB_OK)
		return fb_fail(verify_error, verifier->fail, "verifier is ill");
	status = identity_verify_parts(identity, signature->parts, FB_POLICY_MESSAGE_PARTS_MAX,
								   signature->signature, verify_error);
	*valid = status == FB_OK;
	return FB_OK;
}

/* a transaction that two peers endorsed, altered signatures of it, and policies */
static struct
{
	ConfigBundle *bundle;
	PolicySignature a;
	PolicySignature b;
	PolicySignature bad;	 /* by a, over other bytes */
	PolicySignature garbage; /* by a certificate that cannot be read */
	const Policy *both;
	const Policy *first;
	const Policy *twice;
} sample;

static void
make_sample(void)
{
	BlockView view;
	Endorsed transaction;
	FbBytes envelope;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &sample.bundle,
										  &error),
				 FB_OK);
	CHECK_STATUS(block_parse(read_block("blocks", 7), allocator, &view, &error), FB_OK);
	transaction = read_transaction(view.data[0]);
	sample.a = transaction.signatures[0];
	sample.b = transaction.signatures[1];
	sample.bad = sample.a;
	sample.bad.parts[1] = FB_BYTES_EMPTY;
	sample.garbage = sample.a;
	sample.garbage.identity = FB_BYTES_LITERAL("\x0a\x07Org1MSP\x12\x03xyz");
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('Org1MSP.peer','Org2MSP.peer')"),
								&envelope, NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &sample.both, &error), FB_OK);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("OR('Org1MSP.member')"), &envelope,
								NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &sample.first, &error), FB_OK);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('Org1MSP.peer','Org1MSP.member')"),
								&envelope, NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &sample.twice, &error), FB_OK);
}

/*
 * The order of organizations does not matter; one identity counts once; invalid identities are
 * skipped and block no other one.
 */
static void
test_skipped_signatures(void)
{
	PolicySignature ba[] = {sample.b, sample.a};
	PolicySignature aa[] = {sample.a, sample.a};
	PolicySignature bad_ab[] = {sample.bad, sample.garbage, sample.a, sample.b};
	PolicySignature bad_only[] = {sample.bad, sample.garbage, sample.b};
	PolicySignature a_bad[] = {sample.a, sample.bad};

	CHECK(satisfies(sample.bundle, sample.both, ba, 2) &&
		  satisfies(sample.bundle, sample.both, bad_ab, 4) &&
		  !satisfies(sample.bundle, sample.both, bad_only, 3));
	CHECK(satisfies(sample.bundle, sample.first, aa, 2) &&
		  !satisfies(sample.bundle, sample.twice, aa, 2) &&
		  !satisfies(sample.bundle, sample.twice, a_bad, 2));
	CHECK(!satisfies(sample.bundle, sample.both, NULL, 0));
}

/*
 * The same identity counts once, also when it is encoded otherwise: the certificate and the MSP
 * identify it
 */
static void
test_other_encoding(void)
{
	PolicySignature other = sample.a;
	uint8_t *bytes = fb_allocate(allocator, sample.a.identity.size + 3);
	PolicySignature a_other[] = {sample.a, other};
	PolicySignature other_a[] = {other, sample.a};
	PolicySignature bad_other[] = {sample.bad, other};

	memcpy(bytes, sample.a.identity.data, sample.a.identity.size);
	memcpy(bytes + sample.a.identity.size, "\x92\x03", 3); /* an unknown field, empty */
	other.identity = fb_bytes(bytes, sample.a.identity.size + 3);
	a_other[1] = other_a[0] = bad_other[1] = other;
	CHECK(satisfies(sample.bundle, sample.first, &other, 1) &&
		  satisfies(sample.bundle, sample.first, bad_other, 2));
	CHECK(!satisfies(sample.bundle, sample.twice, a_other, 2) &&
		  !satisfies(sample.bundle, sample.twice, other_a, 2) &&
		  !satisfies(sample.bundle, sample.twice, bad_other, 2));
}

/* each signature is verified once for all policies, and only if a principal needs it */
static void
test_lazy_verification(void)
{
	PolicySignature ab[] = {sample.a, sample.b};
	PolicySignatureSet *set;
	bool satisfied;
	Verifier verifier = {0};

	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, ab, 2, counting_verify,
										  &verifier, &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_evaluate(sample.first, set, &satisfied, &error), FB_OK);
	CHECK(satisfied && verifier.calls == 1 && verifier.calls_of[0] == 1);
	CHECK_STATUS(policy_evaluate(sample.both, set, &satisfied, &error), FB_OK);
	CHECK(satisfied && verifier.calls == 2);
	CHECK_STATUS(policy_evaluate(sample.both, set, &satisfied, &error), FB_OK);
	CHECK_STATUS(policy_evaluate(sample.twice, set, &satisfied, &error), FB_OK);
	CHECK(!satisfied && verifier.calls == 2);
}

/*
 * A wrong signature is verified once however often it is there; after the first policies an
 * invalid one is not compared again.
 */
static void
test_repeated_signatures(void)
{
	PolicySignature many[200];
	FbBytes names[2] = {FB_BYTES_LITERAL("OR('Org1MSP.peer','Org1MSP.peer','Org2MSP.peer')"),
						FB_BYTES_LITERAL("AND('Org2MSP.peer','Org1MSP.peer')")};
	PolicySignatureSet *set;
	bool satisfied;
	Verifier verifier = {0};
	FbBytes envelope;

	for (int i = 0; i < 198; i++)
		many[i] = sample.bad;
	many[198] = sample.a;
	many[199] = sample.b;
	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, many, 200,
										  counting_verify, &verifier, &set, &error),
				 FB_OK);
	for (int i = 0; i < 20; i++)
	{
		const Policy *policy;

		CHECK_STATUS(policy_compile(allocator, names[i % 2], &envelope, NULL, &error), FB_OK);
		CHECK_STATUS(policy_from_envelope(allocator, envelope, &policy, &error), FB_OK);
		CHECK_STATUS(policy_evaluate(policy, set, &satisfied, &error), FB_OK);
		CHECK(satisfied);
	}
	CHECK(verifier.calls == 3 && verifier.calls_of[0] == 1 && verifier.calls_of[198] == 1 &&
		  verifier.calls_of[199] == 1);
}

/* the bytes that many sign are hashed once */
static void
test_shared_digest(void)
{
	CryptoSha256 hash;
	uint8_t digests[2][CRYPTO_SHA256_BYTES];
	PolicySignature started = sample.a;

	crypto_sha256_start(&hash);
	crypto_sha256_add(&hash, sample.a.parts[0]);
	started.first_part = &hash;
	policy_signature_digest(&sample.a, digests[0]);
	policy_signature_digest(&started, digests[1]);
	CHECK(memcmp(digests[0], digests[1], CRYPTO_SHA256_BYTES) == 0);
	CHECK(satisfies(sample.bundle, sample.first, &started, 1));
}

/* a failure of the verifier is an error, not a verdict, and a later attempt may succeed */
static void
test_failing_verifier(void)
{
	PolicySignature ab[] = {sample.a, sample.b};
	PolicySignatureSet *set;
	bool satisfied;
	Verifier verifier = {0};

	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, ab, 2, counting_verify,
										  &verifier, &set, &error),
				 FB_OK);
	verifier.fail = FB_OUT_OF_MEMORY;
	CHECK_STATUS(policy_evaluate(sample.both, set, &satisfied, &error), FB_OUT_OF_MEMORY);
	CHECK_TEXT(error.message, "verifier is ill");
	verifier.fail = FB_CRYPTO_FAILURE;
	CHECK_STATUS(policy_require(allocator, sample.both, set, &error), FB_CRYPTO_FAILURE);
	verifier.fail =
		FB_BUSY; /* neither a failure of memory nor of OpenSSL, but the verifier's own */
	CHECK_STATUS(policy_evaluate(sample.both, set, &satisfied, &error), FB_BUSY);
	verifier.fail = FB_OK;
	CHECK_STATUS(policy_require(allocator, sample.both, set, &error), FB_OK);
}

/* the error has the result of each signature */
static void
test_signature_errors(void)
{
	PolicySignature mixed[] = {sample.bad, sample.garbage, sample.b, sample.b};
	PolicySignatureSet *set;

	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, mixed, 4, NULL, NULL,
										  &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_require(allocator,
								policy_manager_find(sample.bundle->policies,
													CONFIG_POLICY_LIFECYCLE_ENDORSEMENT),
								set, &error),
				 FB_POLICY_NOT_SATISFIED);
	CHECK_TEXT(error.message,
			   "policy \"/Channel/Application/LifecycleEndorsement\" is not satisfied");
	CHECK_TEXT(
		error.detail,
		"It needs MAJORITY Endorsement of Org1MSP, Org2MSP. Signed by: Org1MSP peer \"peer0.org1.example.com\": wrong signature; "
		"signature 2: invalid certificate; Org2MSP peer \"peer0.org2.example.com\": valid; Org2MSP peer \"peer0.org2.example.com\": "
		"matches no principal.");
	CHECK_STATUS(policy_require(allocator, NULL, set, &error), FB_POLICY_NOT_SATISFIED);
	CHECK_TEXT(error.message, "policy \"missing policy\" is not satisfied");
}

static void
test_signatures_limit(void)
{
	PolicySignatureSet *set;

	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, NULL,
										  FB_POLICY_SIGNATURES_MAX, NULL, NULL, &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_signatures_create(allocator, sample.bundle->msps, NULL,
										  FB_POLICY_SIGNATURES_MAX + 1, NULL, NULL, &set, &error),
				 FB_LIMIT_EXCEEDED);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_real_signatures());
	CHECK_TEST(test_block_signatures());
	make_sample();
	CHECK_TEST(test_skipped_signatures());
	CHECK_TEST(test_other_encoding());
	CHECK_TEST(test_lazy_verification());
	CHECK_TEST(test_repeated_signatures());
	CHECK_TEST(test_shared_digest());
	CHECK_TEST(test_failing_verifier());
	CHECK_TEST(test_signature_errors());
	CHECK_TEST(test_signatures_limit());
	config_bundle_destroy(sample.bundle);
	fb_arena_reset(&arena);
	return check_finish("config/signatures");
}
