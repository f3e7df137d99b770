/* identity: signers, and every signature of the real network's blocks */
#include "unit/msp_samples.h"

#define ORG2 CRYPTO_DIR "peerOrganizations/org2.example.com/"
#define ORDERER CRYPTO_DIR "ordererOrganizations/example.com/"

static void
test_signer(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Signer *signer;
	Identity *identity;
	FbBytes signature;
	FbBytes parts[2] = {FB_BYTES_LITERAL("a mess"), FB_BYTES_LITERAL("age")};
	char long_id[FB_MSP_ID_BYTES_MAX + 2];

	CHECK_STATUS(signer_create("TestMSP", x509("peer"), file(X509_DIR "peer.key"), memory, &signer,
							   NULL),
				 FB_OK);
	CHECK_STATUS(signer_sign(signer, FB_BYTES_LITERAL("a message"), memory, &signature, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, signer_identity(signer), memory, &identity, NULL), FB_OK);
	CHECK_STATUS(verified(identity, FB_BYTES_LITERAL("a message"), signature), FB_OK);
	CHECK_STATUS(identity_verify_parts(identity, parts, 2, signature, NULL), FB_OK);
	CHECK_STATUS(identity_verify_parts(identity, parts, 1, signature, NULL), FB_INVALID_SIGNATURE);
	identity_destroy(identity);
	signer_destroy(signer);
	signer_destroy(NULL);
	CHECK_STATUS(signer_create("TestMSP", x509("client"), file(X509_DIR "peer.key"), memory,
							   &signer, NULL),
				 FB_INVALID_KEY);
	CHECK(signer == NULL);
	CHECK_STATUS(signer_create("TestMSP", x509("rsaleaf"), file(X509_DIR "peer.key"), memory,
							   &signer, NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(signer_create("TestMSP", x509("peer"), x509("peer"), memory, &signer, NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(signer_create("TestMSP", file(X509_DIR "peer.key"), file(X509_DIR "peer.key"),
							   memory, &signer, NULL),
				 FB_INVALID_CERTIFICATE);
	CHECK_STATUS(signer_create("", x509("peer"), file(X509_DIR "peer.key"), memory, &signer, NULL),
				 FB_INVALID_ARGUMENT);
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	CHECK_STATUS(signer_create(long_id, x509("peer"), file(X509_DIR "peer.key"), memory, &signer,
							   NULL),
				 FB_INVALID_ARGUMENT);
	msp_destroy(msp);
}

static FbBytes
value_of(const Common__ConfigGroup *group, const char *key)
{
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, key) == 0)
			return proto_bytes(group->values[i]->value->value);
	CHECK(!"no such value");
	return FB_BYTES_EMPTY;
}

static const Common__ConfigGroup *
group_of(const Common__ConfigGroup *group, const char *key)
{
	for (size_t i = 0; i < group->n_groups; i++)
		if (strcmp(group->groups[i]->key, key) == 0)
			return group->groups[i]->value;
	CHECK(!"no such group");
	return NULL;
}

/* a definition made from the certificates is the one that configtxgen made from the MSP folder */
static void
check_config_like_configtxgen(FbBytes msp_config, const char *id, const char *root,
							  const char *tls_root)
{
	FbBytes root_pem = file(root);
	FbBytes tls_pem = file(tls_root);
	MspParts parts = {.msp_id = id,
					  .root_certificates = &root_pem,
					  .root_certificates_count = 1,
					  .tls_root_certificates = &tls_pem,
					  .tls_root_certificates_count = 1,
					  .node_ous = true};
	FbBytes made;
	FbBytes wrapped;

	CHECK_STATUS(msp_config_make(&parts, memory, &made, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(made, memory, &wrapped, NULL), FB_OK);
	CHECK(fb_bytes_equal(wrapped, msp_config));
}

static MspManager *
real_manager(void)
{
	MspManager *manager;
	Common__Block *block;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *config;
	const Common__ConfigGroup *root;
	FbBytes org1;
	FbBytes org2;
	FbBytes orderer;

	CHECK_STATUS(PROTO_UNPACK(common__block, file("test/vectors/blocks/0.block"), memory, &block,
							  NULL),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__envelope, proto_bytes(block->data->data[0]), memory,
							  &envelope, NULL),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), memory, &payload,
							  NULL),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__config_envelope, proto_bytes(payload->data), memory, &config,
							  NULL),
				 FB_OK);
	root = config->config->channel_group;
	org1 = value_of(group_of(group_of(root, "Application"), "Org1MSP"), "MSP");
	org2 = value_of(group_of(group_of(root, "Application"), "Org2MSP"), "MSP");
	orderer = value_of(root->groups[1]->value->groups[0]->value, "MSP");
	check_config_like_configtxgen(org1, "Org1MSP", ORG1 "ca/ca.org1.example.com-cert.pem",
								  ORG1 "tlsca/tlsca.org1.example.com-cert.pem");
	check_config_like_configtxgen(org2, "Org2MSP", ORG2 "ca/ca.org2.example.com-cert.pem",
								  ORG2 "tlsca/tlsca.org2.example.com-cert.pem");
	check_config_like_configtxgen(orderer, "OrdererMSP", ORDERER "ca/ca.example.com-cert.pem",
								  ORDERER "tlsca/tlsca.example.com-cert.pem");
	CHECK_STATUS(msp_manager_create(100, memory, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, org1, NULL, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, org2, NULL, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, orderer, NULL, NULL), FB_OK);
	return manager;
}

/* the header as it is hashed (docs/wire-format.md, "Block header"), for block numbers below 128 */
static FbBytes
header_der(const Common__BlockHeader *header)
{
	uint8_t out[80] = {0x30, 3 + 2 + 32 + 2 + 32, 0x02, 1, (uint8_t) header->number, 0x04, 32};
	FbBytes bytes;

	memcpy(out + 7, header->previous_hash.data, 32);
	out[39] = 0x04;
	out[40] = 32;
	memcpy(out + 41, header->data_hash.data, 32);
	fb_bytes_copy(memory, fb_bytes(out, 73), &bytes, NULL);
	return bytes;
}

/* the orderer's signature: value, signature header, block header */
static void
check_block_signature(MspManager *manager, const Common__Block *block)
{
	Common__Metadata *metadata;

	CHECK_STATUS(PROTO_UNPACK(common__metadata, proto_bytes(block->metadata->metadata[0]), memory,
							  &metadata, NULL),
				 FB_OK);
	CHECK(metadata->n_signatures == 1);
	for (size_t i = 0; i < metadata->n_signatures; i++)
	{
		Common__SignatureHeader *header;
		const Identity *identity;
		FbBytes parts[3] = {proto_bytes(metadata->value),
							proto_bytes(metadata->signatures[i]->signature_header),
							header_der(block->header)};

		CHECK_STATUS(PROTO_UNPACK(common__signature_header, parts[1], memory, &header, NULL),
					 FB_OK);
		CHECK_STATUS(msp_manager_identity(manager, proto_bytes(header->creator), &identity, NULL),
					 FB_OK);
		CHECK(identity_has_role(identity, IDENTITY_ORDERER) &&
			  identity_role(identity) == IDENTITY_ORDERER);
		CHECK_STATUS(identity_verify_parts(identity, parts, 3,
										   proto_bytes(metadata->signatures[i]->signature), NULL),
					 FB_OK);
	}
}

static size_t
check_endorsements(MspManager *manager, FbBytes action_bytes)
{
	Protos__ChaincodeActionPayload *action;

	CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action_payload, action_bytes, memory, &action,
							  NULL),
				 FB_OK);
	for (size_t e = 0; e < action->action->n_endorsements; e++)
	{
		const Identity *identity;
		Protos__Endorsement *endorsement = action->action->endorsements[e];
		FbBytes parts[2] = {proto_bytes(action->action->proposal_response_payload),
							proto_bytes(endorsement->endorser)};
		FbBytes signature = proto_bytes(endorsement->signature);

		CHECK_STATUS(msp_manager_identity(manager, parts[1], &identity, NULL), FB_OK);
		CHECK(identity_role(identity) == IDENTITY_PEER);
		CHECK_STATUS(identity_verify_parts(identity, parts, 2, signature, NULL), FB_OK);
		CHECK_STATUS(identity_verify_parts(identity, parts, 1, signature, NULL),
					 FB_INVALID_SIGNATURE);
	}
	return action->action->n_endorsements;
}

/* the client's signature, and those of the endorsers; returns how many endorsers signed */
static size_t
check_transaction(MspManager *manager, FbBytes bytes)
{
	const Identity *identity;
	size_t endorsements = 0;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__SignatureHeader *header;
	Protos__Transaction *transaction;

	CHECK_STATUS(PROTO_UNPACK(common__envelope, bytes, memory, &envelope, NULL), FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), memory, &payload,
							  NULL),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__signature_header,
							  proto_bytes(payload->header->signature_header), memory, &header,
							  NULL),
				 FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, proto_bytes(header->creator), &identity, NULL),
				 FB_OK);
	CHECK_STATUS(verified(identity, proto_bytes(envelope->payload),
						  proto_bytes(envelope->signature)),
				 FB_OK);
	CHECK(identity_has_role(identity, IDENTITY_CLIENT) ||
		  identity_has_role(identity, IDENTITY_ADMIN));
	CHECK_STATUS(PROTO_UNPACK(protos__transaction, proto_bytes(payload->data), memory, &transaction,
							  NULL),
				 FB_OK);
	for (size_t k = 0; k < transaction->n_actions; k++)
		endorsements += check_endorsements(manager, proto_bytes(transaction->actions[k]->payload));
	return endorsements;
}

static void
test_real_blocks(void)
{
	static const int numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15};
	MspManager *manager = real_manager();
	size_t transactions = 0;
	size_t endorsements = 0;

	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
	{
		char path[64];
		Common__Block *block;

		snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", numbers[n]);
		CHECK_STATUS(PROTO_UNPACK(common__block, file(path), memory, &block, NULL), FB_OK);
		check_block_signature(manager, block);
		for (size_t t = 0; t < block->data->n_data; t++)
			endorsements += check_transaction(manager, proto_bytes(block->data->data[t]));
		transactions += block->data->n_data;
	}
	CHECK(transactions > 20 && endorsements > 20);
	CHECK(msp_manager_identities_count(manager) < 12);
	msp_manager_destroy(manager);
}

static void
test_real_identity(void)
{
	MspManager *manager = real_manager();
	FbBytes pem =
		file(ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
	FbBytes key = file(ORG1 "users/User1@org1.example.com/msp/keystore/priv_sk");
	const Identity *identity;
	Signer *signer;
	FbBytes signature;

	/*
	 * cryptogen's certificates are low-S already: the id is the plain fingerprint, as `openssl
	 * x509 -fingerprint -sha256` prints it.
	 */
	CHECK_STATUS(msp_manager_identity(manager, serialized("Org1MSP", pem), &identity, NULL), FB_OK);
	CHECK_TEXT(identity_id(identity),
			   "29082cf05c39fdae62abd43a22545164ea88d61fe7d68843e4684aab0993b8b3");
	CHECK_STATUS(signer_create("Org1MSP", pem, key, memory, &signer, NULL), FB_OK);
	CHECK(fb_bytes_equal(signer_identity(signer), serialized("Org1MSP", pem)));
	CHECK_STATUS(signer_sign(signer, FB_BYTES_LITERAL("x"), memory, &signature, NULL), FB_OK);
	CHECK_STATUS(verified(identity, FB_BYTES_LITERAL("x"), signature), FB_OK);
	signer_destroy(signer);

	/* an organization does not accept identities of another one */
	CHECK_STATUS(msp_manager_identity(manager, serialized("Org2MSP", pem), &identity, NULL),
				 FB_INVALID_IDENTITY);
	msp_manager_destroy(manager);
}

/* TLS certificates have CAs of their own */
static void
test_tls_certificates(void)
{
	MspManager *manager = real_manager();
	FbBytes pem =
		file(ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
	const Identity *identity;
	CryptoCertificate *tls;
	const Msp *org1 = msp_manager_find(manager, "Org1MSP");

	CHECK_STATUS(msp_manager_identity(manager, serialized("Org1MSP", pem), &identity, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_parse(file(ORG1 "peers/peer0.org1.example.com/tls/server.crt"),
										  &tls, NULL),
				 FB_OK);
	CHECK_STATUS(msp_check_tls_certificate(org1, tls, crypto_certificate_not_before(tls) + 1, NULL),
				 FB_OK);
	CHECK_STATUS(msp_check_tls_certificate(org1, tls, crypto_certificate_not_after(tls) + 1, NULL),
				 FB_CERTIFICATE_EXPIRED);
	CHECK_STATUS(msp_check_tls_certificate(org1, identity_certificate(identity),
										   crypto_certificate_not_before(tls) + 1, NULL),
				 FB_INVALID_CERTIFICATE);
	crypto_certificate_free(tls);
	msp_manager_destroy(manager);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_signer());
	CHECK_TEST(test_real_blocks());
	CHECK_TEST(test_real_identity());
	CHECK_TEST(test_tls_certificates());
	fb_arena_reset(&arena);
	return check_finish("identity/network");
}
