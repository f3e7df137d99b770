/*
 * config: names, durations, the bundle of a real genesis block and of changed ones, signatures of
 * real blocks against its policies, and generated genesis blocks compared with one of Fabric.
 */
#include "core/block/block.h"
#include "core/config/config.h"
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;
static FbError error;

static FbBytes
read_vector(const char *path)
{
	FbBytes file = check_read_file(path);
	FbBytes copy;

	if (fb_bytes_copy(allocator, file, &copy, NULL) != FB_OK)
		exit(2);
	free((void *) file.data);
	return copy;
}

static FbBytes
read_block(const char *folder, int number)
{
	char path[100];

	snprintf(path, sizeof(path), "test/vectors/%s/%d.block", folder, number);
	return read_vector(path);
}

static const char *
number_text(size_t number)
{
	char *text = fb_allocate(allocator, 24);

	snprintf(text, 24, "%zu", number);
	return text;
}

/* ---- names, addresses, durations ---- */

static void
test_names(void)
{
	static const char *const good_channels[] = {"a", "mychannel", "a.b-c9", "z0"};
	static const char *const bad_channels[] = {"",			 "A",		  "1a",	 ".a",		 "-a",
											   "my_channel", "myChannel", "a b", "\xc3\xa9", "a/"};
	static const char *const good_elements[] = {"a", "A", "9", "Org1MSP", "-", "...", "a.b-c"};
	static const char *const bad_elements[] = {"", ".", "..", "a_b", "a/b", "a b", "\xc3\xa9"};
	char long_name[FB_CHANNEL_ID_BYTES_MAX + 1];

	for (size_t i = 0; i < sizeof(good_channels) / sizeof(good_channels[0]); i++)
		CHECK_STATUS(config_check_channel_id(fb_bytes_of_text(good_channels[i]), &error), FB_OK);
	for (size_t i = 0; i < sizeof(bad_channels) / sizeof(bad_channels[0]); i++)
		CHECK_STATUS(config_check_channel_id(fb_bytes_of_text(bad_channels[i]), &error),
					 FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "invalid channel name \"a/\"");
	for (size_t i = 0; i < sizeof(good_elements) / sizeof(good_elements[0]); i++)
		CHECK_STATUS(config_check_element_id(fb_bytes_of_text(good_elements[i]), &error), FB_OK);
	for (size_t i = 0; i < sizeof(bad_elements) / sizeof(bad_elements[0]); i++)
		CHECK_STATUS(config_check_element_id(fb_bytes_of_text(bad_elements[i]), &error),
					 FB_INVALID_CONFIG);
	memset(long_name, 'a', sizeof(long_name));
	CHECK_STATUS(config_check_channel_id(fb_bytes(long_name, FB_CHANNEL_ID_BYTES_MAX), &error),
				 FB_OK);
	CHECK_STATUS(config_check_channel_id(fb_bytes(long_name, FB_CHANNEL_ID_BYTES_MAX + 1), &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(config_check_element_id(fb_bytes(long_name, FB_CONFIG_ID_BYTES_MAX), &error),
				 FB_OK);
	CHECK_STATUS(config_check_element_id(fb_bytes(long_name, FB_CONFIG_ID_BYTES_MAX + 1), &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_check_channel_id(FB_BYTES_LITERAL("a\0b"), &error), FB_INVALID_ARGUMENT);
}

static void
test_addresses(void)
{
	static const struct
	{
		const char *address;
		const char *host; /* NULL: refused */
		int port;
	} table[] = {
		{"localhost:7050", "localhost", 7050},
		{"10.0.0.1:1", "10.0.0.1", 1},
		{"a-b.c:65535", "a-b.c", 65535},
		{"[::1]:7050", "::1", 7050},
		{"", NULL, 0},
		{"localhost", NULL, 0},
		{":7050", NULL, 0},
		{"localhost:", NULL, 0},
		{"localhost:0", NULL, 0},
		{"localhost:65536", NULL, 0},
		{"localhost:070500", NULL, 0},
		{"localhost:+70", NULL, 0},
		{"::1:7050", NULL, 0},
		{"[]:7050", NULL, 0},
		{"[::1:7050", NULL, 0},
		{"a b:7050", NULL, 0},
		{"a\nb:7050", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		char *host;
		uint16_t port = 0;
		FbStatus status = config_parse_address(allocator, fb_bytes_of_text(table[i].address), &host,
											   &port, &error);

		if (!CHECK_STATUS(status, table[i].host != NULL ? FB_OK : FB_INVALID_ARGUMENT))
			fprintf(stderr, "    %s\n", table[i].address);
		if (status == FB_OK)
			CHECK(strcmp(host, table[i].host) == 0 && port == table[i].port);
	}
}

static void
test_durations(void)
{
	static const struct
	{
		const char *text;
		int64_t nanoseconds;
		const char *printed; /* NULL: the same text */
	} good[] = {
		{"0s", 0, NULL},
		{"0", 0, "0s"},
		{"-0", 0, "0s"},
		{"1ns", 1, NULL},
		{"999ns", 999, NULL},
		{"1\xc2\xb5s", 1000, NULL},
		{"1us", 1000, "1\xc2\xb5s"},
		{"1.5us", 1500, "1.5\xc2\xb5s"},
		{"500ms", 500000000, NULL},
		{"2s", 2000000000, NULL},
		{"1.5s", 1500000000, NULL},
		{".5s", 500000000, "500ms"},
		{"1.s", 1000000000, "1s"},
		{"90s", INT64_C(90000000000), "1m30s"},
		{"1h", INT64_C(3600000000000), "1h0m0s"},
		{"1.5h", INT64_C(5400000000000), "1h30m0s"},
		{"1h2m3.004s", INT64_C(3723004000000), "1h2m3.004s"},
		{"-250ms", -250000000, NULL},
		{"+3m", INT64_C(180000000000), "3m0s"},
		{"2562047h47m16.854775807s", INT64_MAX, NULL},
		{"1.0000000000000000001s", 1000000000, "1s"},
	};
	static const char *const bad[] = {"",
									  "1",
									  "s",
									  ".s",
									  "-",
									  "1 s",
									  "1d",
									  "1s ",
									  "s1",
									  "1.2.3s",
									  "2562047h47m16.854775808s",
									  "99999999999999999999s",
									  "1e3s",
									  "--1s"};
	int64_t nanoseconds;
	char text[CONFIG_DURATION_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		CHECK_STATUS(config_parse_duration(fb_bytes_of_text(good[i].text), &nanoseconds, &error),
					 FB_OK);
		if (!CHECK(nanoseconds == good[i].nanoseconds))
			fprintf(stderr, "    %s is %lld\n", good[i].text, (long long) nanoseconds);
		config_print_duration(nanoseconds, text);
		CHECK_TEXT(text, good[i].printed != NULL ? good[i].printed : good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK_STATUS(config_parse_duration(fb_bytes_of_text(bad[i]), &nanoseconds, &error),
						  FB_INVALID_CONFIG))
			fprintf(stderr, "    %s\n", bad[i]);
	config_print_duration(INT64_MIN, text);
	CHECK_TEXT(text, "-2562047h47m16.854775808s");
}

/* ---- the real genesis block ---- */

static void
test_bundle(void)
{
	ConfigBundle *bundle;
	const ConfigOrganization *organization;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);
	if (bundle == NULL)
	{
		fprintf(stderr, "%s %s\n", error.message, error.detail);
		exit(2);
	}
	CHECK_TEXT(bundle->channel_id, "bench");
	CHECK(bundle->sequence == 0 && bundle->has_orderer && bundle->has_application &&
		  !bundle->maintenance);
	CHECK_TEXT(bundle->consensus_type, "etcdraft");
	CHECK(bundle->batch_messages_max == 10 && bundle->batch_bytes_absolute_max == 10485760 &&
		  bundle->batch_bytes_preferred_max == 2097152);
	CHECK(bundle->batch_timeout_ns == 500000000);
	CHECK(bundle->raft.tick_interval_ns == 500000000 && bundle->raft.election_ticks == 10 &&
		  bundle->raft.heartbeat_ticks == 1 && bundle->raft.inflight_blocks_max == 5 &&
		  bundle->raft.snapshot_interval_bytes == 16777216);
	CHECK(bundle->consenters_count == 3);
	for (size_t i = 0; i < bundle->consenters_count; i++)
	{
		CHECK_TEXT(bundle->consenters[i].host, "localhost");
		CHECK(bundle->consenters[i].port == 7150 + 100 * i);
		CHECK(bundle->consenters[i].client_tls_certificate.size > 500 &&
			  bundle->consenters[i].server_tls_certificate.size > 500);
	}
	CHECK(bundle->orderer_organizations_count == 1 && bundle->application_organizations_count == 2);
	CHECK_TEXT(bundle->orderer_organizations[0].name, "OrdererOrg");
	CHECK_TEXT(bundle->orderer_organizations[0].msp_id, "OrdererMSP");
	CHECK(bundle->orderer_organizations[0].endpoints_count == 3);
	CHECK_TEXT(bundle->orderer_organizations[0].endpoints[1], "localhost:7250");
	organization = config_application_organization(bundle, "Org2MSP");
	CHECK(organization == &bundle->application_organizations[1] &&
		  organization->anchors_count == 1);
	CHECK_TEXT(organization->anchors[0].host, "localhost");
	CHECK(organization->anchors[0].port == 9051);
	CHECK(config_application_organization(bundle, "OrdererMSP") == NULL &&
		  config_application_organization(bundle, "org2msp") == NULL);
	CHECK(config_orderer_organization(bundle, "OrdererMSP") == &bundle->orderer_organizations[0]);
	CHECK(config_orderer_organization(bundle, "OrdererOrg") == NULL);
	CHECK(msp_manager_count(bundle->msps) == 3 &&
		  msp_manager_find(bundle->msps, "Org1MSP") != NULL);
	CHECK(bundle->channel_capabilities_count == 1 &&
		  strcmp(bundle->channel_capabilities[0], "V2_0") == 0);
	CHECK(bundle->application_capabilities_count == 1 &&
		  strcmp(bundle->application_capabilities[0], "V2_5") == 0);
	CHECK(config_has_application_capability(bundle, "V2_5") &&
		  config_has_application_capability(bundle, "V2_0") &&
		  config_has_application_capability(bundle, "V1_1") &&
		  !config_has_application_capability(bundle, "V9"));

	/* every policy that the nodes evaluate exists */
	{
		static const char *const paths[] = {CONFIG_POLICY_CHANNEL_READERS,
											CONFIG_POLICY_CHANNEL_WRITERS,
											CONFIG_POLICY_APPLICATION_READERS,
											CONFIG_POLICY_APPLICATION_WRITERS,
											CONFIG_POLICY_APPLICATION_ADMINS,
											CONFIG_POLICY_ENDORSEMENT,
											CONFIG_POLICY_LIFECYCLE_ENDORSEMENT,
											CONFIG_POLICY_BLOCK_VALIDATION,
											"/Channel/Orderer/OrdererOrg/Admins"};

		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
			CHECK(policy_manager_find(bundle->policies, paths[i]) != NULL);
	}

	/* the default ACLs */
	CHECK(bundle->acls_count == 0);
	CHECK_TEXT(config_acl_policy_path(bundle, "peer/Propose"), "/Channel/Application/Writers");
	CHECK_TEXT(config_acl_policy_path(bundle, "event/Block"), "/Channel/Application/Readers");
	CHECK_TEXT(config_acl_policy_path(bundle, "_lifecycle/CommitChaincodeDefinition"),
			   "/Channel/Application/Writers");
	CHECK(config_acl_policy_path(bundle, "peer/propose") == NULL &&
		  config_acl_policy_path(bundle, "cscc/JoinChain") == NULL);
	CHECK(config_acl_local_access("cscc/JoinChain") == CONFIG_ACCESS_LOCAL_ADMINS &&
		  config_acl_local_access("cscc/GetChannels") == CONFIG_ACCESS_LOCAL_MEMBERS);
	CHECK(config_acl_local_access("peer/Propose") == CONFIG_ACCESS_NOT_LOCAL &&
		  config_acl_local_access("x") == CONFIG_ACCESS_NOT_LOCAL);
	config_bundle_destroy(bundle);

	/* other blocks are no configuration */
	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 1), &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the transaction is not a configuration: it has type 3");
	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 9), &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_bundle_from_block(allocator, FB_BYTES_EMPTY, &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_bundle_from_block(allocator, FB_BYTES_LITERAL("\xff"), &bundle, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK(bundle == NULL);
	config_bundle_destroy(NULL);
}

/* ---- real signatures against the policies of the real channel ---- */

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

	/* orderers' signatures on blocks */
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

/* ---- skipping, de-duplication, laziness, messages ---- */

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

static void
test_signature_sets(void)
{
	ConfigBundle *bundle;
	BlockView view;
	Endorsed transaction;
	PolicySignature a;
	PolicySignature b;
	PolicySignature bad;
	PolicySignature garbage;
	PolicySignatureSet *set;
	const Policy *both;
	const Policy *first;
	const Policy *twice;
	Verifier verifier = {0};
	FbBytes envelope;
	bool satisfied;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);
	CHECK_STATUS(block_parse(read_block("blocks", 7), allocator, &view, &error), FB_OK);
	transaction = read_transaction(view.data[0]);
	a = transaction.signatures[0];
	b = transaction.signatures[1];
	bad = a;
	bad.parts[1] = FB_BYTES_EMPTY;
	garbage = a;
	garbage.identity = FB_BYTES_LITERAL("\x0a\x07Org1MSP\x12\x03xyz");
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('Org1MSP.peer','Org2MSP.peer')"),
								&envelope, NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &both, &error), FB_OK);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("OR('Org1MSP.member')"), &envelope,
								NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &first, &error), FB_OK);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('Org1MSP.peer','Org1MSP.member')"),
								&envelope, NULL, &error),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, envelope, &twice, &error), FB_OK);

	/*
	 * The order of organizations does not matter; one identity counts once; invalid identities are
	 * skipped and block no other one.
	 */
	{
		PolicySignature ba[] = {b, a};
		PolicySignature aa[] = {a, a};
		PolicySignature bad_ab[] = {bad, garbage, a, b};
		PolicySignature bad_only[] = {bad, garbage, b};
		PolicySignature a_bad[] = {a, bad};

		CHECK(satisfies(bundle, both, ba, 2) && satisfies(bundle, both, bad_ab, 4) &&
			  !satisfies(bundle, both, bad_only, 3));
		CHECK(satisfies(bundle, first, aa, 2) && !satisfies(bundle, twice, aa, 2) &&
			  !satisfies(bundle, twice, a_bad, 2));
		CHECK(!satisfies(bundle, both, NULL, 0));
	}

	/*
	 * ... also when the same identity is encoded otherwise: the certificate and the MSP identify it
	 */
	{
		PolicySignature other = a;
		uint8_t *bytes = fb_allocate(allocator, a.identity.size + 3);
		PolicySignature a_other[] = {a, other};
		PolicySignature other_a[] = {other, a};
		PolicySignature bad_other[] = {bad, other};

		memcpy(bytes, a.identity.data, a.identity.size);
		memcpy(bytes + a.identity.size, "\x92\x03", 3); /* an unknown field, empty */
		other.identity = fb_bytes(bytes, a.identity.size + 3);
		a_other[1] = other_a[0] = bad_other[1] = other;
		CHECK(satisfies(bundle, first, &other, 1) && satisfies(bundle, first, bad_other, 2));
		CHECK(!satisfies(bundle, twice, a_other, 2) && !satisfies(bundle, twice, other_a, 2) &&
			  !satisfies(bundle, twice, bad_other, 2));
	}

	/* each signature is verified once for all policies, and only if a principal needs it */
	{
		PolicySignature ab[] = {a, b};

		CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, ab, 2, counting_verify,
											  &verifier, &set, &error),
					 FB_OK);
		CHECK_STATUS(policy_evaluate(first, set, &satisfied, &error), FB_OK);
		CHECK(satisfied && verifier.calls == 1 && verifier.calls_of[0] == 1);
		CHECK_STATUS(policy_evaluate(both, set, &satisfied, &error), FB_OK);
		CHECK(satisfied && verifier.calls == 2);
		CHECK_STATUS(policy_evaluate(both, set, &satisfied, &error), FB_OK);
		CHECK_STATUS(policy_evaluate(twice, set, &satisfied, &error), FB_OK);
		CHECK(!satisfied && verifier.calls == 2);
	}

	/*
	 * A wrong signature is verified once however often it is there; after the first policies an
	 * invalid one is not compared again.
	 */
	{
		PolicySignature many[200];
		FbBytes names[2] = {FB_BYTES_LITERAL("OR('Org1MSP.peer','Org1MSP.peer','Org2MSP.peer')"),
							FB_BYTES_LITERAL("AND('Org2MSP.peer','Org1MSP.peer')")};

		for (int i = 0; i < 198; i++)
			many[i] = bad;
		many[198] = a;
		many[199] = b;
		verifier = (Verifier) {0};
		CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, many, 200, counting_verify,
											  &verifier, &set, &error),
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
	{
		CryptoSha256 hash;
		uint8_t digests[2][CRYPTO_SHA256_BYTES];
		PolicySignature started = a;

		crypto_sha256_start(&hash);
		crypto_sha256_add(&hash, a.parts[0]);
		started.first_part = &hash;
		policy_signature_digest(&a, digests[0]);
		policy_signature_digest(&started, digests[1]);
		CHECK(memcmp(digests[0], digests[1], CRYPTO_SHA256_BYTES) == 0);
		CHECK(satisfies(bundle, first, &started, 1));
	}

	/* a failure of the verifier is an error, not a verdict, and a later attempt may succeed */
	{
		PolicySignature ab[] = {a, b};

		CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, ab, 2, counting_verify,
											  &verifier, &set, &error),
					 FB_OK);
		verifier.fail = FB_OUT_OF_MEMORY;
		CHECK_STATUS(policy_evaluate(both, set, &satisfied, &error), FB_OUT_OF_MEMORY);
		CHECK_TEXT(error.message, "verifier is ill");
		verifier.fail = FB_CRYPTO_FAILURE;
		CHECK_STATUS(policy_require(allocator, both, set, &error), FB_CRYPTO_FAILURE);
		verifier.fail =
			FB_BUSY; /* neither a failure of memory nor of OpenSSL, but the verifier's own */
		CHECK_STATUS(policy_evaluate(both, set, &satisfied, &error), FB_BUSY);
		verifier.fail = FB_OK;
		CHECK_STATUS(policy_require(allocator, both, set, &error), FB_OK);
	}

	/* the error has the result of each signature */
	{
		PolicySignature mixed[] = {bad, garbage, b, b};

		CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, mixed, 4, NULL, NULL, &set,
											  &error),
					 FB_OK);
		CHECK_STATUS(policy_require(allocator,
									policy_manager_find(bundle->policies,
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
	CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, NULL, FB_POLICY_SIGNATURES_MAX,
										  NULL, NULL, &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, NULL,
										  FB_POLICY_SIGNATURES_MAX + 1, NULL, NULL, &set, &error),
				 FB_LIMIT_EXCEEDED);
	config_bundle_destroy(bundle);
}

/* ---- changed configurations ---- */

/* the real configuration, to be changed and packed again */
static Common__ConfigEnvelope *
real_config(void)
{
	BlockView view;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *config;

	if (block_parse(read_block("blocks", 0), allocator, &view, &error) != FB_OK ||
		PROTO_UNPACK(common__envelope, view.data[0], allocator, &envelope, &error) != FB_OK ||
		PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload,
					 &error) != FB_OK ||
		PROTO_UNPACK(common__config_envelope, proto_bytes(payload->data), allocator, &config,
					 &error) != FB_OK)
		exit(2);
	return config;
}

static Common__ConfigGroup *
group_at(Common__ConfigGroup *group, const char *path)
{
	while (*path != '\0')
	{
		size_t size = strcspn(path, "/");
		Common__ConfigGroup *next = NULL;

		for (size_t i = 0; i < group->n_groups; i++)
			if (strlen(group->groups[i]->key) == size &&
				memcmp(group->groups[i]->key, path, size) == 0)
				next = group->groups[i]->value;
		if (next == NULL)
			exit(2);
		group = next;
		path += size + (path[size] == '/');
	}
	return group;
}

static void
set_value_bytes(Common__ConfigGroup *group, const char *name, FbBytes bytes)
{
	Common__ConfigGroup__ValuesEntry **values;
	Common__ConfigGroup__ValuesEntry *entry;

	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
		{
			group->values[i]->value->value = proto_data(bytes);
			return;
		}
	values = fb_allocate_array(allocator, group->n_values + 1, sizeof(*values));
	if (group->n_values > 0)
		memcpy(values, group->values, group->n_values * sizeof(*values));
	entry = fb_allocate(allocator, sizeof(*entry));
	common__config_group__values_entry__init(entry);
	entry->key = (char *) name;
	entry->value = fb_allocate(allocator, sizeof(*entry->value));
	common__config_value__init(entry->value);
	entry->value->value = proto_data(bytes);
	values[group->n_values] = entry;
	group->values = values;
	group->n_values++;
}

static void
remove_value(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
		{
			memmove(&group->values[i], &group->values[i + 1],
					(group->n_values - i - 1) * sizeof(group->values[0]));
			group->n_values--;
			return;
		}
	exit(2);
}

static FbBytes
pack(const ProtobufCMessage *message)
{
	FbBytes bytes;

	if (proto_pack(message, allocator, &bytes, &error) != FB_OK)
		exit(2);
	return bytes;
}

/* a Capabilities value with these names, NULL at the end */
static FbBytes
capabilities(const char *first, const char *second)
{
	Common__Capabilities message = COMMON__CAPABILITIES__INIT;
	Common__Capabilities__CapabilitiesEntry entries[2] =
		{COMMON__CAPABILITIES__CAPABILITIES_ENTRY__INIT,
		 COMMON__CAPABILITIES__CAPABILITIES_ENTRY__INIT};
	Common__Capabilities__CapabilitiesEntry *pointers[2] = {&entries[0], &entries[1]};
	Common__Capability capability = COMMON__CAPABILITY__INIT;

	entries[0].key = (char *) first;
	entries[0].value = &capability;
	entries[1].key = (char *) second;
	entries[1].value = &capability;
	message.capabilities = pointers;
	message.n_capabilities = second != NULL ? 2 : 1;
	return pack(&message.base);
}

static FbStatus
try_config(const Common__ConfigEnvelope *config)
{
	ConfigBundle *bundle;
	FbStatus status =
		config_bundle_create(allocator, "bench", pack(&config->base), &bundle, &error);

	CHECK((status == FB_OK) == (bundle != NULL));
	config_bundle_destroy(bundle);
	return status;
}

static void
change_batch(Common__ConfigGroup *orderer, uint32_t messages, uint32_t absolute, uint32_t preferred)
{
	Orderer__BatchSize batch_size = ORDERER__BATCH_SIZE__INIT;

	batch_size.max_message_count = messages;
	batch_size.absolute_max_bytes = absolute;
	batch_size.preferred_max_bytes = preferred;
	set_value_bytes(orderer, "BatchSize", pack(&batch_size.base));
}

static void
change_raft(Common__ConfigGroup *orderer, int what)
{
	Orderer__ConsensusType *consensus = NULL;
	Etcdraft__ConfigMetadata *metadata = NULL;

	for (size_t i = 0; i < orderer->n_values; i++)
		if (strcmp(orderer->values[i]->key, "ConsensusType") == 0 &&
			PROTO_UNPACK(orderer__consensus_type, proto_bytes(orderer->values[i]->value->value),
						 allocator, &consensus, &error) != FB_OK)
			exit(2);
	if (consensus == NULL ||
		PROTO_UNPACK(etcdraft__config_metadata, proto_bytes(consensus->metadata), allocator,
					 &metadata, &error) != FB_OK)
		exit(2);
	switch (what)
	{
		case 0:
			metadata->options = NULL;
			break;
		case 1:
			metadata->n_consenters = 0;
			break;
		case 2:
			metadata->options->election_tick = 1;
			break;
		case 3:
			metadata->options->tick_interval = "soon";
			break;
		case 4:
			metadata->options->tick_interval = "0s";
			break;
		case 5:
			metadata->consenters[1]->client_tls_cert = metadata->consenters[0]->server_tls_cert;
			break;
		case 6:
			metadata->consenters[2]->server_tls_cert.len = 20;
			break;
		case 7:
			metadata->options->max_inflight_blocks = 0;
			break;
	}
	consensus->metadata = proto_data(pack(&metadata->base));
	set_value_bytes(orderer, "ConsensusType", pack(&consensus->base));
}

/* a unique name, which lives as long as the configuration */
static char *
numbered_name(size_t number)
{
	char *name = fb_allocate(allocator, 16);

	snprintf(name, 16, "x%zu", number);
	return name;
}

/* empty organizations, until there are this many */
static void
add_groups(Common__ConfigGroup *group, size_t count)
{
	Common__ConfigGroup__GroupsEntry **groups =
		fb_allocate_array(allocator, count, sizeof(*groups));

	memcpy(groups, group->groups, group->n_groups * sizeof(*groups));
	for (size_t i = group->n_groups; i < count; i++)
	{
		Common__ConfigGroup *empty = fb_allocate(allocator, sizeof(*empty));

		groups[i] = fb_allocate(allocator, sizeof(*groups[i]));
		common__config_group__groups_entry__init(groups[i]);
		common__config_group__init(empty);
		groups[i]->key = numbered_name(i);
		groups[i]->value = empty;
	}
	group->groups = groups;
	group->n_groups = count;
}

static void
add_policies(Common__ConfigGroup *group, size_t count)
{
	Common__ConfigGroup__PoliciesEntry **policies =
		fb_allocate_array(allocator, count, sizeof(*policies));

	memcpy(policies, group->policies, group->n_policies * sizeof(*policies));
	for (size_t i = group->n_policies; i < count; i++)
	{
		policies[i] = fb_allocate(allocator, sizeof(*policies[i]));
		common__config_group__policies_entry__init(policies[i]);
		policies[i]->key = numbered_name(i);
		policies[i]->value = group->policies[0]->value;
	}
	group->policies = policies;
	group->n_policies = count;
}

static void
test_changed_configurations(void)
{
	static const struct
	{
		FbStatus status;
		const char *message;
	} expected[] = {
		[0] = {FB_OK, NULL},
		[1] = {FB_INVALID_CONFIG, "Channel capability \"V3_0\" is required but not supported"},
		[2] = {FB_INVALID_CONFIG, "Orderer capability \"V9\" is required but not supported"},
		[3] = {FB_INVALID_CONFIG, "Application capability \"V1_5\" is required but not supported"},
		[4] = {FB_INVALID_CONFIG, "channel capability V2_0 is not enabled"},
		[5] = {FB_INVALID_CONFIG, "application capability V2_0 is not enabled"},
		[6] = {FB_INVALID_CONFIG, "capabilities need orderer capabilities to be enabled first"},
		[7] = {FB_INVALID_CONFIG, "hashing algorithm \"SHA3_256\" is not supported"},
		[8] = {FB_INVALID_CONFIG, "block data hashing structure width 3 is not supported"},
		[9] = {FB_INVALID_CONFIG, "unrecognized value \"Extra\" in /Channel"},
		[10] = {FB_INVALID_CONFIG, "unrecognized value \"Extra\" in /Channel/Orderer"},
		[11] = {FB_INVALID_CONFIG,
				"unrecognized value \"AnchorPeers\" in /Channel/Orderer/OrdererOrg"},
		[12] = {FB_INVALID_CONFIG,
				"unrecognized value \"Endpoints\" in /Channel/Application/Org1MSP"},
		[13] = {FB_INVALID_CONFIG, "maximum message count of a batch is 0"},
		[14] = {FB_INVALID_CONFIG, "absolute maximum size of a batch is 0"},
		[15] = {FB_INVALID_CONFIG, "preferred maximum size of a batch is 0"},
		[16] =
			{FB_INVALID_CONFIG,
			 "preferred maximum size of a batch, 11 bytes, is greater than the absolute maximum, 10 bytes"},
		[17] = {FB_INVALID_CONFIG, "invalid duration \"\""},
		[18] = {FB_INVALID_CONFIG, "batch timeout is not positive"},
		[19] = {FB_INVALID_CONFIG, "the etcdraft metadata of the consensus type is malformed"},
		[20] = {FB_INVALID_CONFIG, "channel has no consenter"},
		[21] = {FB_INVALID_CONFIG, "Raft election ticks (1) must be more than heartbeat ticks (1)"},
		[22] = {FB_INVALID_CONFIG, "invalid duration \"soon\""},
		[23] = {FB_INVALID_CONFIG, "Raft tick interval is not positive"},
		[24] = {FB_INVALID_CONFIG,
				"consenters localhost:7150 and localhost:7250 have the same TLS certificate"},
		[25] = {FB_INVALID_CONFIG,
				"consenter localhost:7350 has an invalid TLS server certificate"},
		[26] = {FB_INVALID_CONFIG,
				"Raft election ticks, heartbeat ticks and blocks in flight must not be 0"},
		[27] = {FB_INVALID_CONFIG, "organization /Channel/Application/Org2MSP has no MSP"},
		[28] = {FB_INVALID_CONFIG, "value \"BatchSize\" in /Channel/Orderer is not a BatchSize"},
		[29] = {FB_INVALID_CONFIG, "invalid name \"a_b\" of a configuration element"},
		[30] = {FB_INVALID_CONFIG, "unrecognized group \"Consortiums\" in /Channel"},
		[31] = {FB_INVALID_CONFIG, "organization /Channel/Application/Org1MSP has sub-groups"},
		[32] = {FB_INVALID_CONFIG, "the configuration is empty"},
		[33] = {FB_INVALID_CONFIG, "the configuration is empty"},
		[34] = {FB_INVALID_POLICY, "invalid policy \"/Channel/Application/Writers\""},
		[35] = {FB_OK, NULL}, /* orderers only */
		[36] = {FB_OK, NULL}, /* application only */
		[37] = {FB_OK, NULL}, /* another consensus type is read, without consenters */
		[38] = {FB_LIMIT_EXCEEDED, "/Channel/Application has 1025 sub-groups, more than 1024"},
		[39] = {FB_LIMIT_EXCEEDED, "/Channel/Application has 1025 policies, more than 1024"},
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
	{
		Common__ConfigEnvelope *config = real_config();
		Common__ConfigGroup *channel = config->config->channel_group;
		Common__ConfigGroup *orderer = group_at(channel, "Orderer");
		Common__ConfigGroup *application = group_at(channel, "Application");
		Common__HashingAlgorithm algorithm = COMMON__HASHING_ALGORITHM__INIT;
		Common__BlockDataHashingStructure structure = COMMON__BLOCK_DATA_HASHING_STRUCTURE__INIT;
		Orderer__BatchTimeout batch_timeout = ORDERER__BATCH_TIMEOUT__INIT;
		Orderer__ConsensusType consensus = ORDERER__CONSENSUS_TYPE__INIT;
		FbStatus status;

		switch (i)
		{
			case 1:
				set_value_bytes(channel, "Capabilities", capabilities("V2_0", "V3_0"));
				break;
			case 2:
				set_value_bytes(orderer, "Capabilities", capabilities("V9", NULL));
				break;
			case 3:
				set_value_bytes(application, "Capabilities", capabilities("V1_5", NULL));
				break;
			case 4:
				set_value_bytes(channel, "Capabilities", capabilities("V1_4_2", "V1_3"));
				break;
			case 5:
				remove_value(application, "Capabilities");
				break;
			case 6:
				remove_value(orderer, "Capabilities");
				break;
			case 7:
				algorithm.name = "SHA3_256";
				set_value_bytes(channel, "HashingAlgorithm", pack(&algorithm.base));
				break;
			case 8:
				structure.width = 3;
				set_value_bytes(channel, "BlockDataHashingStructure", pack(&structure.base));
				break;
			case 9:
				set_value_bytes(channel, "Extra", FB_BYTES_EMPTY);
				break;
			case 10:
				set_value_bytes(orderer, "Extra", FB_BYTES_EMPTY);
				break;
			case 11:
				set_value_bytes(group_at(orderer, "OrdererOrg"), "AnchorPeers", FB_BYTES_EMPTY);
				break;
			case 12:
				set_value_bytes(group_at(application, "Org1MSP"), "Endpoints", FB_BYTES_EMPTY);
				break;
			case 13:
				change_batch(orderer, 0, 10, 10);
				break;
			case 14:
				change_batch(orderer, 1, 0, 0);
				break;
			case 15:
				change_batch(orderer, 1, 10, 0);
				break;
			case 16:
				change_batch(orderer, 1, 10, 11);
				break;
			case 17:
				remove_value(orderer, "BatchTimeout");
				break;
			case 18:
				batch_timeout.timeout = "-1s";
				set_value_bytes(orderer, "BatchTimeout", pack(&batch_timeout.base));
				break;
			case 19:
			case 20:
			case 21:
			case 22:
			case 23:
			case 24:
			case 25:
			case 26:
				change_raft(orderer, (int) i - 19);
				break;
			case 27:
				remove_value(group_at(application, "Org2MSP"), "MSP");
				break;
			case 28:
				set_value_bytes(orderer, "BatchSize", FB_BYTES_LITERAL("\xff"));
				break;
			case 29:
				application->groups[0]->value->policies[0]->key = "a_b";
				break;
			case 30:
				channel->groups[0]->key = "Consortiums";
				break;
			case 31:
				group_at(application, "Org1MSP")->groups = &application->groups[1];
				group_at(application, "Org1MSP")->n_groups = 1;
				break;
			case 32:
				config->config->channel_group = NULL;
				break;
			case 33:
				config->config = NULL;
				break;
			case 34:
				for (size_t k = 0; k < application->n_policies; k++)
					if (strcmp(application->policies[k]->key, "Writers") == 0)
						application->policies[k]->value->policy->type = 9;
				break;
			case 35:
				channel->groups[0] = channel->groups[1];
				channel->n_groups = 1;
				break;
			case 36:
				channel->n_groups = 1;
				break;
			case 37:
				consensus.type = "BFT";
				set_value_bytes(orderer, "ConsensusType", pack(&consensus.base));
				break;
			case 38:
				add_groups(application, FB_CONFIG_GROUPS_MAX + 1);
				break;
			case 39:
				add_policies(application, FB_CONFIG_POLICIES_MAX + 1);
				break;
		}
		status = try_config(config);
		if (!CHECK_STATUS(status, expected[i].status))
			fprintf(stderr, "    case %zu: %s %s\n", i, error.message, error.detail);
		if (status != FB_OK && expected[i].message != NULL &&
			!CHECK_TEXT(error.message, expected[i].message))
			fprintf(stderr, "    case %zu\n", i);
	}

	/* the sorted pair of the application and orderer groups, which the cases above rely on */
	{
		Common__ConfigEnvelope *config = real_config();

		CHECK_TEXT(config->config->channel_group->groups[0]->key, "Application");
		CHECK_TEXT(config->config->channel_group->groups[1]->key, "Orderer");
	}
	{
		ConfigBundle *bundle;

		CHECK_STATUS(config_bundle_create(allocator, "Bench", pack(&real_config()->base), &bundle,
										  &error),
					 FB_INVALID_ARGUMENT);
	}
}

/* ---- genesis ---- */

/* the profile of the real network, where it differs from our defaults */
static ConfigProfile
real_profile(const ConfigBundle *bundle)
{
	ConfigProfile profile;
	ProfileOrganization *organizations = fb_allocate_array(allocator, 3, sizeof(*organizations));

	config_profile_defaults(&profile);
	profile.channel_id = "bench";
	for (size_t i = 0; i < 2; i++)
	{
		organizations[i].msp_config = bundle->application_organizations[i].msp_config;
		organizations[i].application = true;
		organizations[i].anchors = bundle->application_organizations[i].anchors;
		organizations[i].anchors_count = bundle->application_organizations[i].anchors_count;
	}
	organizations[2].name = "OrdererOrg";
	organizations[2].msp_config = bundle->orderer_organizations[0].msp_config;
	organizations[2].orderer = true;
	organizations[2].endpoints = bundle->orderer_organizations[0].endpoints;
	organizations[2].endpoints_count = bundle->orderer_organizations[0].endpoints_count;
	profile.organizations = organizations;
	profile.organizations_count = 3;
	profile.consenters = bundle->consenters;
	profile.consenters_count = bundle->consenters_count;
	profile.batch_messages_max = 10;
	profile.batch_timeout_ns = 500000000;
	profile.application_capability = "V2_5";
	profile.timestamp_s = 1795176307;
	return profile;
}

/*
 * Both have the same groups, values, policies, versions and mod_policies, with the same bytes in
 * values and policies.
 */
static void
compare_groups(const Common__ConfigGroup *ours, const Common__ConfigGroup *theirs, const char *path)
{
	CHECK(ours->version == theirs->version);
	CHECK_TEXT(ours->mod_policy, theirs->mod_policy);
	if (!CHECK(ours->n_values == theirs->n_values && ours->n_policies == theirs->n_policies &&
			   ours->n_groups == theirs->n_groups))
	{
		fprintf(stderr, "    in %s\n", path);
		return;
	}
	for (size_t i = 0; i < ours->n_values; i++)
	{
		CHECK_TEXT(ours->values[i]->key, theirs->values[i]->key);
		CHECK_TEXT(ours->values[i]->value->mod_policy, theirs->values[i]->value->mod_policy);
		CHECK(ours->values[i]->value->version == theirs->values[i]->value->version);
		if (!CHECK(fb_bytes_equal(proto_bytes(ours->values[i]->value->value),
								  proto_bytes(theirs->values[i]->value->value))))
			fprintf(stderr, "    value %s in %s\n", ours->values[i]->key, path);
	}
	for (size_t i = 0; i < ours->n_policies; i++)
	{
		CHECK_TEXT(ours->policies[i]->key, theirs->policies[i]->key);
		CHECK_TEXT(ours->policies[i]->value->mod_policy, theirs->policies[i]->value->mod_policy);
		CHECK(ours->policies[i]->value->policy->type == theirs->policies[i]->value->policy->type);
		if (!CHECK(fb_bytes_equal(proto_bytes(ours->policies[i]->value->policy->value),
								  proto_bytes(theirs->policies[i]->value->policy->value))))
			fprintf(stderr, "    policy %s in %s\n", ours->policies[i]->key, path);
	}
	for (size_t i = 0; i < ours->n_groups; i++)
	{
		CHECK_TEXT(ours->groups[i]->key, theirs->groups[i]->key);
		compare_groups(ours->groups[i]->value, theirs->groups[i]->value, ours->groups[i]->key);
	}
}

/* the envelope of a configuration block, its payload and channel header */
static void
open_block(FbBytes block, BlockView *view, Common__Envelope **envelope, Common__Payload **payload,
		   Common__ChannelHeader **channel_header, Common__SignatureHeader **signature_header)
{
	CHECK_STATUS(block_parse(block, allocator, view, &error), FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__envelope, view->data[0], allocator, envelope, &error), FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes((*envelope)->payload), allocator,
							  payload, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__channel_header,
							  proto_bytes((*payload)->header->channel_header), allocator,
							  channel_header, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__signature_header,
							  proto_bytes((*payload)->header->signature_header), allocator,
							  signature_header, &error),
				 FB_OK);
}

static void
test_genesis(void)
{
	ConfigBundle *real;
	ConfigBundle *made;
	ConfigProfile profile;
	FbBytes block;
	FbBytes again;
	BlockView real_view;
	BlockView view;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__Payload *real_payload;
	Common__ChannelHeader *channel_header;
	Common__SignatureHeader *signature_header;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	open_block(read_block("orderer-blocks", 0), &real_view, &envelope, &real_payload,
			   &channel_header, &signature_header);
	profile = real_profile(real);
	CHECK(signature_header->nonce.len == FB_NONCE_BYTES);
	memcpy(profile.nonce, signature_header->nonce.data, FB_NONCE_BYTES);
	profile.timestamp_s = channel_header->timestamp->seconds;
	if (!CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK))
	{
		fprintf(stderr, "%s %s\n", error.message, error.detail);
		exit(2);
	}

	/* with the same nonce and time, only the order of the maps differs */
	open_block(block, &view, &envelope, &payload, &channel_header, &signature_header);
	CHECK(envelope->signature.len == 0 && signature_header->creator.len == 0);
	CHECK(fb_bytes_equal(proto_bytes(payload->header->channel_header),
						 proto_bytes(real_payload->header->channel_header)));
	CHECK(fb_bytes_equal(proto_bytes(payload->header->signature_header),
						 proto_bytes(real_payload->header->signature_header)));
	CHECK(payload->data.len == real_payload->data.len);
	CHECK(view.header.number == 0 && view.header.previous_hash.size == 0);
	CHECK_STATUS(block_check_data(&view, &error), FB_OK);
	CHECK(view.metadata_count == real_view.metadata_count);
	for (size_t i = 0; i < FB_BLOCK_METADATA_COUNT; i++)
		CHECK(fb_bytes_equal(view.metadata[i], real_view.metadata[i]));
	CHECK_STATUS(config_bundle_from_block(allocator, block, &made, &error), FB_OK);
	compare_groups(made->config->channel_group, real->config->channel_group, "/Channel");
	CHECK(block_is_config_envelope(view.data[0]));

	/* the same profile gives the same block */
	CHECK_STATUS(config_genesis_block(allocator, &profile, &again, &error), FB_OK);
	CHECK(fb_bytes_equal(block, again));
	config_bundle_destroy(made);
	config_bundle_destroy(real);
}

/* ACLs, policies of the profile, an organization in both roles */
static void
test_genesis_variants(void)
{
	ConfigBundle *real;
	ConfigBundle *made;
	ConfigProfile profile;
	ProfileOrganization both;
	FbBytes block;
	ConfigAcl acls[] = {{"peer/Propose", "Admins"}, {"event/Block", "/Channel/Readers"}};
	ProfilePolicy policies[] = {
		{"/Channel/Application", "LifecycleEndorsement", false,
		 "OutOf(1, 'OrdererMSP.peer', 'OrdererMSP.admin')"},
		{"/Channel/Application/OrdererMSP", "Auditors", false, "OR('OrdererMSP.client')"},
		{"/Channel/Application", "Audit", true, "ANY Auditors"},
		{"/Channel", "Writers", true, "ALL Writers"},
	};
	char *text;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	profile = real_profile(real);
	both = profile.organizations[2];
	both.name = NULL;
	both.application = true;
	profile.organizations = &both;
	profile.organizations_count = 1;
	profile.acls = acls;
	profile.acls_count = 2;
	profile.policies = policies;
	profile.policies_count = 4;
	if (!CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK))
		fprintf(stderr, "%s %s\n", error.message, error.detail);
	CHECK_STATUS(config_bundle_from_block(allocator, block, &made, &error), FB_OK);
	CHECK(made->application_organizations_count == 1 && made->orderer_organizations_count == 1 &&
		  msp_manager_count(made->msps) == 1);
	CHECK_TEXT(made->application_organizations[0].name, "OrdererMSP");
	CHECK(made->application_organizations[0].anchors_count == 0);
	CHECK(made->acls_count == 2);
	CHECK_TEXT(config_acl_policy_path(made, "peer/Propose"), "/Channel/Application/Admins");
	CHECK_TEXT(config_acl_policy_path(made, "event/Block"), "/Channel/Readers");
	CHECK_TEXT(config_acl_policy_path(made, "event/FilteredBlock"), "/Channel/Application/Readers");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies,
													 CONFIG_POLICY_LIFECYCLE_ENDORSEMENT),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "OR('OrdererMSP.peer', 'OrdererMSP.admin')");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies, "/Channel/Application/Audit"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "ANY Auditors of OrdererMSP");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies,
													 "/Channel/Application/OrdererMSP/Auditors"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "OR('OrdererMSP.client')");
	CHECK_STATUS(policy_describe(allocator, policy_manager_find(made->policies, "/Channel/Writers"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "ALL Writers of Application, Orderer");
	config_bundle_destroy(made);
	config_bundle_destroy(real);
}

static void
test_profile_errors(void)
{
	static const struct
	{
		FbStatus status;
		const char *message;
	} expected[] = {
		{FB_INVALID_ARGUMENT, "channel has no name"},
		{FB_INVALID_ARGUMENT, "invalid channel name \"My\""},
		{FB_INVALID_CONFIG, "channel has no application organization"},
		{FB_INVALID_CONFIG, "channel has no orderer organization"},
		{FB_INVALID_CONFIG, "MSP id \"Org1MSP\" is given twice"},
		{FB_INVALID_CONFIG, "organization \"Org2MSP\" is given twice"},
		{FB_INVALID_CONFIG, "invalid name \"a_b\" of a configuration element"},
		{FB_INVALID_CONFIG, "an organization is neither application nor orderer member"},
		{FB_INVALID_CONFIG, "an orderer organization has no endpoint"},
		{FB_INVALID_ARGUMENT, "invalid address \"localhost\""},
		{FB_INVALID_CONFIG, "an anchor peer has no host or no valid port"},
		{FB_INVALID_CONFIG, "channel has no consenter"},
		{FB_INVALID_CONFIG, "consenter localhost:7150 is given twice"},
		{FB_INVALID_CONFIG, "consenter 1 has no host or no valid port"},
		{FB_INVALID_CONFIG, "consenter localhost:7150 has an invalid TLS client certificate"},
		{FB_INVALID_CONFIG,
		 "TLS server certificate of consenter localhost:7150 is not issued by an orderer organization of the channel"},
		{FB_INVALID_CONFIG, "maximum message count of a batch is 0"},
		{FB_INVALID_CONFIG,
		 "preferred maximum size of a batch, 2097152 bytes, is greater than the absolute maximum, 2097151 bytes"},
		{FB_INVALID_CONFIG, "batch timeout is not positive"},
		{FB_INVALID_CONFIG, "Raft tick interval is not positive"},
		{FB_INVALID_CONFIG, "unrecognized resource \"peer/Fly\" in the ACLs"},
		{FB_INVALID_CONFIG, "resource \"cscc/JoinChain\" cannot be guarded by a channel"},
		{FB_INVALID_CONFIG, "resource \"peer/Propose\" is given twice in the ACLs"},
		{FB_INVALID_CONFIG,
		 "the ACL of \"peer/Propose\" names policy \"/Channel/Application/Nobody\", which does not exist"},
		{FB_INVALID_POLICY, "invalid policy: expected AND, OR or OutOf"},
		{FB_INVALID_CONFIG,
		 "the profile's policy \"P\" is for group \"/Channel/Consortiums\", which does not exist"},
		{FB_INVALID_CONFIG, "invalid name \"a b\" of a configuration element"},
		{FB_INVALID_CONFIG, "policy \"P\" of /Channel is given twice"},
		{FB_INVALID_CONFIG, "unrecognized Channel capability \"V3_0\""},
		{FB_INVALID_CONFIG, "application capability V2_0 is not enabled"},
		{FB_INVALID_ARGUMENT, "invalid address \"localhost\""},
	};
	ConfigBundle *real;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
	{
		ConfigProfile profile = real_profile(real);
		ProfileOrganization organizations[3];
		ConfigConsenter consenters[3];
		ConfigAddress anchor = {"", 1};
		ConfigAcl acls[2] = {{"peer/Propose", "Nobody"}, {"peer/Propose", "Admins"}};
		ProfilePolicy policies[2] = {{"/Channel", "P", false, "OR('Org1MSP.peer')"},
									 {"/Channel", "P", true, "ANY Readers"}};
		const char *endpoint = "localhost";
		FbBytes block;
		FbStatus status;

		memcpy(organizations, profile.organizations, sizeof(organizations));
		memcpy(consenters, profile.consenters, sizeof(consenters));
		profile.organizations = organizations;
		profile.consenters = consenters;
		profile.acls = acls;
		profile.policies = policies;
		switch (i)
		{
			case 0:
				profile.channel_id = NULL;
				break;
			case 1:
				profile.channel_id = "My";
				break;
			case 2:
				profile.organizations = &organizations[2];
				profile.organizations_count = 1;
				break;
			case 3:
				profile.organizations_count = 2;
				break;
			case 4:
				organizations[1] = organizations[0];
				break;
			case 5:
				organizations[0].name = "Org2MSP";
				break;
			case 6:
				organizations[1].name = "a_b";
				break;
			case 7:
				organizations[1].application = false;
				break;
			case 8:
				organizations[2].endpoints_count = 0;
				break;
			case 9:
				organizations[2].endpoints = &endpoint;
				organizations[2].endpoints_count = 1;
				break;
			case 10:
				organizations[0].anchors = &anchor;
				break;
			case 11:
				profile.consenters_count = 0;
				break;
			case 12:
				consenters[2] = consenters[0];
				break;
			case 13:
				consenters[0].port = 70000;
				break;
			case 14:
				consenters[0].client_tls_certificate = FB_BYTES_EMPTY;
				break;
			case 15:
			{
				FbBytes file = check_read_file(
					"test/vectors/crypto/peerOrganizations/org1.example.com/peers/peer0.org1.example.com/tls/server.crt");

				fb_bytes_copy(allocator, file, &consenters[0].server_tls_certificate, NULL);
				free((void *) file.data);
				break;
			}
			case 16:
				profile.batch_messages_max = 0;
				break;
			case 17:
				profile.batch_bytes_absolute_max = profile.batch_bytes_preferred_max - 1;
				break;
			case 18:
				profile.batch_timeout_ns = 0;
				break;
			case 19:
				profile.raft.tick_interval_ns = -1;
				break;
			case 20:
				acls[0].resource = "peer/Fly";
				profile.acls_count = 1;
				break;
			case 21:
				acls[0].resource = "cscc/JoinChain";
				profile.acls_count = 1;
				break;
			case 22:
				profile.acls_count = 2;
				break;
			case 23:
				profile.acls_count = 1;
				break;
			case 24:
				policies[0].rule = "Org1MSP.peer";
				profile.policies_count = 1;
				break;
			case 25:
				policies[0].group = "/Channel/Consortiums";
				profile.policies_count = 1;
				break;
			case 26:
				policies[0].name = "a b";
				profile.policies_count = 1;
				break;
			case 27:
				profile.policies_count = 2;
				break;
			case 28:
				profile.channel_capability = "V3_0";
				break;
			case 29:
				profile.application_capability = "V1_3";
				break;
			case 30:
				/* not even beside an organization's endpoints, where it is not used */
				profile.orderer_addresses = &endpoint;
				profile.orderer_addresses_count = 1;
				break;
		}
		status = config_genesis_block(allocator, &profile, &block, &error);
		CHECK(block.size == 0);
		if (!CHECK_STATUS(status, expected[i].status) ||
			!CHECK_TEXT(error.message, expected[i].message))
			fprintf(stderr, "    case %s: %s %s\n", number_text(i), error.message, error.detail);
	}
	config_bundle_destroy(real);
}

/*
 * Addresses of the channel instead of the organizations': written as configtxgen does (encoder.go,
 * NewChannelGroup), and read again.
 */
static void
test_orderer_addresses(void)
{
	static const char *const addresses[] = {"orderer1.example.com:7050",
											"orderer2.example.com:7050"};
	ConfigBundle *real;
	ConfigBundle *bundle;
	ConfigProfile profile;
	ProfileOrganization organizations[3];
	FbBytes block;
	const Common__ConfigGroup *group;
	bool found = false;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	profile = real_profile(real);
	memcpy(organizations, profile.organizations, sizeof(organizations));
	organizations[2].endpoints_count = 0;
	profile.organizations = organizations;
	profile.orderer_addresses = addresses;
	profile.orderer_addresses_count = 2;
	CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK);
	CHECK_STATUS(config_bundle_from_block(allocator, block, &bundle, &error), FB_OK);
	CHECK(bundle->orderer_addresses_count == 2);
	CHECK_TEXT(bundle->orderer_addresses[1], addresses[1]);
	CHECK(bundle->orderer_organizations[0].endpoints_count == 0);
	group = bundle->config->channel_group;
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, "OrdererAddresses") == 0)
			found = CHECK_TEXT(group->values[i]->value->mod_policy, "/Channel/Orderer/Admins");
	CHECK(found);
	config_bundle_destroy(bundle);
	config_bundle_destroy(real);
}

/* ---- hostile bytes and failing allocators ---- */

/*
 * the genesis block with one byte changed, truncated, or extended: it is refused or accepted
 * without further harm
 */
static void
test_hostile(void)
{
	FbBytes block = read_block("blocks", 0);
	uint8_t *copy = fb_allocate(allocator, block.size);
	FbRand rand;
	size_t accepted = 0;
	size_t refused = 0;

	fb_rand_seed(&rand, 20);
	for (int round = 0; round < 400; round++)
	{
		FbArena own;
		ConfigBundle *bundle;
		size_t size = block.size;

		memcpy(copy, block.data, block.size);
		copy[fb_rand_below(&rand, block.size)] ^= (uint8_t) (1 + fb_rand_below(&rand, 255));
		if (round % 8 == 0)
			size = fb_rand_below(&rand, block.size);
		fb_arena_init(&own);
		if (config_bundle_from_block(&own.allocator, fb_bytes(copy, size), &bundle, &error) ==
			FB_OK)
			accepted++;
		else
			refused++;
		config_bundle_destroy(bundle);
		fb_arena_reset(&own);
	}
	CHECK(refused > 100 && accepted > 0);
}

static FbBytes walked_block;
static const ConfigProfile *walked_profile;

static FbStatus
walk_bundle(FbAllocator *memory)
{
	ConfigBundle *bundle;
	PolicySignatureSet *set;
	FbStatus status = config_bundle_from_block(memory, walked_block, &bundle, &error);
	PolicySignature signature = {.identity = FB_BYTES_LITERAL("x")};
	bool satisfied;

	if (status == FB_OK)
		status =
			policy_signatures_create(memory, bundle->msps, &signature, 1, NULL, NULL, &set, &error);
	if (status == FB_OK)
		status =
			policy_evaluate(policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS),
							set, &satisfied, &error);
	if (status == FB_OK)
		status =
			policy_require(memory,
						   policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS),
						   set, &error);
	config_bundle_destroy(bundle);
	return status == FB_POLICY_NOT_SATISFIED ? FB_OK : status;
}

static FbStatus
walk_genesis(FbAllocator *memory)
{
	FbBytes block;

	return config_genesis_block(memory, walked_profile, &block, &error);
}

/*
 * Every allocation fails once, in steps that keep the test short: each of the first ones, later
 * only some.
 */
static void
walk_failures(FbStatus (*work)(FbAllocator *memory))
{
	for (size_t fail_at = 1;; fail_at += 1 + fail_at / 60)
	{
		FbArena failing;
		FbStatus status;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = work(&failing.allocator);
		fb_arena_reset(&failing);
		if (status == FB_OK)
		{
			CHECK(fail_at > 100);
			return;
		}
		if (!CHECK_STATUS(status, FB_OUT_OF_MEMORY))
		{
			fprintf(stderr, "    allocation %zu: %s\n", fail_at, error.message);
			return;
		}
	}
}

static void
test_failing_allocator(void)
{
	ConfigBundle *real;
	ConfigProfile profile;

	walked_block = read_block("blocks", 0);
	walk_failures(walk_bundle);
	CHECK_STATUS(config_bundle_from_block(allocator, walked_block, &real, &error), FB_OK);
	profile = real_profile(real);
	walked_profile = &profile;
	walk_failures(walk_genesis);
	config_bundle_destroy(real);
}

/* ---- update.c ---- */

static Common__Config *
config_of_genesis(void)
{
	Common__Block *block;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *result;

	CHECK_STATUS(PROTO_UNPACK(common__block, read_block("blocks", 0), allocator, &block, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__envelope, proto_bytes(block->data->data[0]), allocator,
							  &envelope, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload,
							  &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__config_envelope, proto_bytes(payload->data), allocator,
							  &result, &error),
				 FB_OK);
	return result->config;
}

static Common__ConfigValue *
batch_timeout_of(Common__ConfigGroup *channel)
{
	for (size_t i = 0; i < channel->n_groups; i++)
		for (size_t v = 0; strcmp(channel->groups[i]->key, "Orderer") == 0 &&
						   v < channel->groups[i]->value->n_values;
			 v++)
			if (strcmp(channel->groups[i]->value->values[v]->key, "BatchTimeout") == 0)
				return channel->groups[i]->value->values[v]->value;
	return NULL;
}

/* the parts of a new configuration, to be changed before it is put together */
typedef struct NewConfig
{
	Common__Config *config;
	Common__ConfigUpdate *update;
	Common__ChannelHeader header;
	Common__ConfigUpdateEnvelope signed_update;
	Common__ConfigSignature signature;
	bool has_update;
} NewConfig;

/*
 * A real update by configtxlator for the real network: another BatchTimeout. Signed by an orderer
 */
static NewConfig
real_update(void)
{
	Msp__SerializedIdentity identity = MSP__SERIALIZED_IDENTITY__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	NewConfig made = {config_of_genesis(),
					  NULL,
					  COMMON__CHANNEL_HEADER__INIT,
					  COMMON__CONFIG_UPDATE_ENVELOPE__INIT,
					  COMMON__CONFIG_SIGNATURE__INIT,
					  true};
	FbBytes bytes;

	CHECK_STATUS(PROTO_UNPACK(common__config_update,
							  read_vector("test/vectors/tx/config_update.pb"), allocator,
							  &made.update, &error),
				 FB_OK);
	made.header.type = COMMON__HEADER_TYPE__CONFIG_UPDATE;
	made.config->sequence++;
	*batch_timeout_of(made.config->channel_group) = *batch_timeout_of(made.update->write_set);
	identity.mspid = "OrdererMSP";
	identity.id_bytes = proto_data(read_vector(
		"test/vectors/crypto/ordererOrganizations/example.com/orderers/orderer1.example.com/msp/signcerts/orderer1.example.com-cert.pem"));
	CHECK_STATUS(PROTO_PACK(&identity, allocator, &bytes, &error), FB_OK);
	signature_header.creator = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&signature_header, allocator, &bytes, &error), FB_OK);
	made.signature.signature_header = proto_data(bytes);
	made.signature.signature = proto_data(FB_BYTES_LITERAL("good"));
	return made;
}

/*
 * no orderer's private key is available: the test compares the bytes that a signature would cover
 */
static FbStatus
verify_text(void *context, const Identity *identity, const PolicySignature *signature, size_t index,
			bool *valid, FbError *verify_error)
{
	Common__ConfigUpdate *update;

	CHECK_STATUS(PROTO_UNPACK(common__config_update, signature->parts[1], allocator, &update,
							  verify_error),
				 FB_OK);
	*valid = signature->parts[0].size > 0 &&
			 fb_bytes_equal(signature->signature, FB_BYTES_LITERAL("good"));
	return FB_OK;
}

static FbStatus
check_update(const ConfigBundle *bundle, NewConfig made)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	Common__Envelope last_update = COMMON__ENVELOPE__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__ConfigSignature *signatures[] = {&made.signature};
	FbBytes bytes;

	CHECK_STATUS(PROTO_PACK(made.update, allocator, &bytes, &error), FB_OK);
	made.signed_update.config_update = proto_data(bytes);
	made.signed_update.n_signatures = 1;
	made.signed_update.signatures = signatures;
	CHECK_STATUS(PROTO_PACK(&made.signed_update, allocator, &bytes, &error), FB_OK);
	payload.data = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&made.header, allocator, &bytes, &error), FB_OK);
	header.channel_header = proto_data(bytes);
	payload.header = &header;
	CHECK_STATUS(PROTO_PACK(&payload, allocator, &bytes, &error), FB_OK);
	last_update.payload = proto_data(bytes);
	envelope.config = made.config;
	envelope.last_update = made.has_update ? &last_update : NULL;
	CHECK_STATUS(PROTO_PACK(&envelope, allocator, &bytes, &error), FB_OK);
	return config_check_update(allocator, bundle, bytes, verify_text, NULL, &error);
}

static ConfigBundle *
bundle_of(Common__Config *config)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	ConfigBundle *bundle;
	FbBytes bytes;

	envelope.config = config;
	CHECK_STATUS(PROTO_PACK(&envelope, allocator, &bytes, &error), FB_OK);
	CHECK_STATUS(config_bundle_create(allocator, "bench", bytes, &bundle, &error), FB_OK);
	return bundle;
}

/* a new configuration counts only if all its parts fit: after any change it is refused */
static void
test_updates(void)
{
	ConfigBundle *strict = bundle_of(config_of_genesis());
	Common__Config *relaxed = config_of_genesis();
	Common__ConfigGroup *group;
	ConfigBundle *bundle;
	NewConfig made;

	/* the orderer organization's administrators decide about the timeout */
	CHECK_STATUS(check_update(strict, real_update()), FB_POLICY_NOT_SATISFIED);
	CHECK_TEXT(
		error.message,
		"the update of /Channel/Orderer/BatchTimeout is not signed as its policy Admins wants");
	batch_timeout_of(relaxed->channel_group)->mod_policy = "BlockValidation";
	bundle = bundle_of(relaxed);
	CHECK_STATUS(check_update(bundle, real_update()), FB_OK);
	made = real_update();
	made.signature.signature = proto_data(FB_BYTES_LITERAL("bad"));
	CHECK_STATUS(check_update(bundle, made), FB_POLICY_NOT_SATISFIED);
	made = real_update();
	made.signature.signature_header = proto_data(FB_BYTES_LITERAL("\xff"));
	CHECK_STATUS(check_update(bundle, made), FB_MALFORMED_MESSAGE);

	made = real_update();
	made.config->sequence++;
	CHECK_STATUS(check_update(bundle, made), FB_STALE_CONFIG);
	made = real_update();
	made.has_update = false;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group = NULL;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.header.type = COMMON__HEADER_TYPE__CONFIG;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.update->channel_id = "other";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.update->write_set = NULL;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);

	/*
	 * The result differs from that of the update: an element changed, missing, or too many; the
	 * present configuration.
	 */
	made = real_update();
	made.config->channel_group->values[0]->value->version++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->values[0]->value->value = proto_data(FB_BYTES_LITERAL("x"));
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->policies[0]->value->policy->type++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->mod_policy = "Writers";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->n_groups--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->n_values--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->values[0]->key = "New";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->groups[0]->value->groups[0]->value->n_policies--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);

	/* versions other than the present and the next ones */
	made = real_update();
	made.update->read_set->version = 7;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->version++;
	batch_timeout_of(made.config->channel_group)->version++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->mod_policy = "";
	batch_timeout_of(made.config->channel_group)->mod_policy = "";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	/* an allowed change does not permit another, forbidden one */
	made = real_update();
	made.update->write_set->version = 1;
	made.update->write_set->mod_policy = "Admins";
	CHECK_STATUS(check_update(bundle, made), FB_POLICY_NOT_SATISFIED);

	/* no element with a policy changes: only the sequence would differ */
	made = real_update();
	CHECK_STATUS(PROTO_UNPACK(common__config_group, FB_BYTES_EMPTY, allocator, &group, &error),
				 FB_OK);
	made.update->read_set = group;
	made.update->write_set = group;
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->version = 0;
	for (size_t i = 0; i < made.update->write_set->n_groups; i++)
		for (size_t v = 0; v < made.update->write_set->groups[i]->value->n_values; v++)
			made.update->write_set->groups[i]->value->values[v]->key = "Unheard";
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the update changes nothing of the configuration");
	config_bundle_destroy(bundle);
	config_bundle_destroy(strict);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_names());
	CHECK_TEST(test_addresses());
	CHECK_TEST(test_durations());
	CHECK_TEST(test_bundle());
	CHECK_TEST(test_real_signatures());
	CHECK_TEST(test_signature_sets());
	CHECK_TEST(test_changed_configurations());
	CHECK_TEST(test_genesis());
	CHECK_TEST(test_genesis_variants());
	CHECK_TEST(test_profile_errors());
	CHECK_TEST(test_orderer_addresses());
	CHECK_TEST(test_hostile());
	CHECK_TEST(test_failing_allocator());
	CHECK_TEST(test_updates());
	fb_arena_reset(&arena);
	return check_finish("config");
}
