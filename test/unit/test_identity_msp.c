/* identity: definitions of MSPs, the manager of several, its cache, allocations that fail */
#include "unit/msp_samples.h"

static const struct
{
	MspCase msp;
	FbStatus status;
	const char *part;
} bad_definitions[] = {
	{{{NULL}}, FB_INVALID_CONFIG, "no root"},
	{{{"root"}}, FB_INVALID_CONFIG, "neither admins"},
	{{{"peer"}, {NULL}, {NULL}, {NULL}, true}, FB_INVALID_CERTIFICATE, "root certificate 0"},
	{{{"inter"}, {NULL}, {NULL}, {NULL}, true}, FB_INVALID_CERTIFICATE, "root certificate 0"},
	{{{"message.sig"}, {NULL}, {NULL}, {NULL}, true}, FB_INVALID_CERTIFICATE, "root certificate 0"},
	{{{"root"}, {"peer"}, {NULL}, {NULL}, true},
	 FB_INVALID_CERTIFICATE,
	 "intermediate certificate 0"},
	{{{"root"}, {"lower"}, {NULL}, {NULL}, true},
	 FB_INVALID_CERTIFICATE,
	 "intermediate certificate 0"},
	{{{"root"}, {"inter", "caleaf", "other"}, {NULL}, {NULL}, true},
	 FB_INVALID_CERTIFICATE,
	 "intermediate certificate 2"},
	/* the OUs are bound to the first intermediate, which is an inner node here */
	{{{"root"}, {"upper", "lower"}, {NULL}, {NULL}, true},
	 FB_INVALID_CONFIG,
	 "node organizational unit"},
	{{{"root"}, {"inter"}, {"wrongou"}, {NULL}, true}, FB_INVALID_IDENTITY, "admin 0"},
	{{{"root"}, {"inter"}, {"client", "revoked"}, {"inter.crl"}, true},
	 FB_CERTIFICATE_REVOKED,
	 "admin 1"},
	{{{"root"}, {"inter"}, {"message.sig"}, {NULL}, true}, FB_INVALID_CERTIFICATE, "admin 0"},
	{{{"root"}, {"inter"}, {"client", "peer"}, {NULL}, true},
	 FB_INVALID_IDENTITY,
	 "neither a client nor an admin"},
	{{{"root"}, {"inter"}, {NULL}, {"peer"}, true}, FB_INVALID_CERTIFICATE, "revocation list 0"},
};

static void
test_bad_definitions(void)
{
	FbError error;
	FbBytes config;
	Msp *msp;

	for (size_t i = 0; i < sizeof(bad_definitions) / sizeof(bad_definitions[0]); i++)
	{
		if (!CHECK_STATUS(make_config(&bad_definitions[i].msp, &config, &error),
						  bad_definitions[i].status) ||
			!CHECK(strstr(error.message, bad_definitions[i].part) != NULL))
			fprintf(stderr, "    case %zu: %s\n", i, error.message);
		CHECK(error.status == bad_definitions[i].status);
	}
	CHECK_STATUS(msp_create(FB_BYTES_LITERAL("\xff"), memory, &msp, NULL), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(msp_create(FB_BYTES_EMPTY, memory, &msp, NULL), FB_INVALID_CONFIG);
	CHECK(msp == NULL);
}

/* other hash functions; OUs bound to foreign CAs; an OU without a certificate */
static void
test_changed_definitions(void)
{
	FbError error;
	FbBytes config;
	Msp *msp;

	for (int variant = 0; variant < 6; variant++)
	{
		static const FbStatus expected[] = {FB_INVALID_CONFIG, FB_INVALID_CONFIG,
											FB_INVALID_CONFIG, FB_INVALID_CERTIFICATE,
											FB_INVALID_CONFIG, FB_OK};
		Msp__FabricMSPConfig *message;
		Msp__FabricOUIdentifier ou = MSP__FABRIC_OUIDENTIFIER__INIT;
		Msp__FabricOUIdentifier *ous[] = {&ou};
		FbBytes changed;

		CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
		CHECK_STATUS(PROTO_UNPACK(msp__fabric_mspconfig, config, memory, &message, NULL), FB_OK);
		ou.organizational_unit_identifier = "department1";
		switch (variant)
		{
			case 0:
				message->crypto_config->signature_hash_family = "SHA3";
				break;
			case 1:
				message->crypto_config->identity_identifier_hash_function = "SHA384";
				break;
			case 2:
				message->fabric_node_ous->peer_ou_identifier->certificate =
					proto_data(x509("other"));
				break;
			case 3:
				message->organizational_unit_identifiers = ous;
				message->n_organizational_unit_identifiers = 1;
				break;
			case 4:
				message->fabric_node_ous->enable = false;
				break;
			case 5:
				message->crypto_config = NULL;
				message->fabric_node_ous->peer_ou_identifier = NULL;
				message->fabric_node_ous->admin_ou_identifier->certificate =
					proto_data(FB_BYTES_EMPTY);
				break;
		}
		CHECK_STATUS(PROTO_PACK(message, memory, &changed, NULL), FB_OK);
		if (!CHECK_STATUS(msp_create(changed, memory, &msp, &error), expected[variant]))
			fprintf(stderr, "    variant %d: %s\n", variant, error.message);
		if (msp != NULL)
		{
			Identity *identity;

			/* the OU of peers is not configured now, so a peer has none of the four */
			CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("peer")), memory,
										 &identity, NULL),
						 FB_INVALID_IDENTITY);
			CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory,
										 &identity, NULL),
						 FB_OK);
			CHECK(!identity_has_role(identity, IDENTITY_PEER));
			identity_destroy(identity);
			msp_destroy(msp);
		}
	}
}

/*
 * Organizational units are listed: a certificate needs one of them, from the right CA, with or
 * without NodeOUs.
 */
static void
test_listed_ous(void)
{
	static const struct
	{
		const char *certifier;
		const char *leaf;
		FbStatus status;
	} cases[] = {
		{"inter", "client", FB_OK},
		{"inter", "peer", FB_INVALID_IDENTITY},
		{"lower", "client", FB_INVALID_IDENTITY},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Msp__FabricMSPConfig *message;
		Msp__FabricOUIdentifier ou = MSP__FABRIC_OUIDENTIFIER__INIT;
		Msp__FabricOUIdentifier *ous[] = {&ou};
		FbBytes config;
		Msp *msp;
		Identity *identity;

		CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
		CHECK_STATUS(PROTO_UNPACK(msp__fabric_mspconfig, config, memory, &message, NULL), FB_OK);
		ou.organizational_unit_identifier = "department1";
		ou.certificate = proto_data(x509(cases[i].certifier));
		message->organizational_unit_identifiers = ous;
		message->n_organizational_unit_identifiers = 1;
		/*
		 * NodeOUs on: one of the list and one of the four (msp/mspimplvalidate.go
		 * validateIdentityOUsV142).
		 */
		CHECK_STATUS(PROTO_PACK(message, memory, &config, NULL), FB_OK);
		CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509(cases[i].leaf)), memory,
									 &identity, NULL),
					 cases[i].status);
		identity_destroy(identity);
		msp_destroy(msp);
		/* off: an admin is needed, and the list applies to it, too */
		message->fabric_node_ous = NULL;
		message->admins = (ProtobufCBinaryData[]) {proto_data(x509("client"))};
		message->n_admins = 1;
		CHECK_STATUS(PROTO_PACK(message, memory, &config, NULL), FB_OK);
		if (strcmp(cases[i].certifier, "lower") == 0)
		{
			CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_INVALID_IDENTITY);
			continue;
		}
		CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509(cases[i].leaf)), memory,
									 &identity, NULL),
					 cases[i].status);
		identity_destroy(identity);
		msp_destroy(msp);
	}
}

/* a manager of the MSP that most certificates belong to, which remembers two identities */
static MspManager *
manager_of_test_msp(void)
{
	MspManager *manager;
	FbBytes config;
	FbBytes wrapped;

	CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &wrapped, NULL), FB_OK);
	CHECK_STATUS(msp_manager_create(2, memory, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, wrapped, NULL, NULL), FB_OK);
	return manager;
}

static void
test_manager(void)
{
	MspManager *manager;
	MspCase changed = node_ous_case;
	FbBytes config;
	FbBytes wrapped;
	FbBytes other;
	const Msp *msp;
	const Msp *again;
	const Identity *a;
	FbBytes peer = serialized("TestMSP", x509("peer"));
	Msp__MSPConfig idemix = MSP__MSPCONFIG__INIT;

	CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &wrapped, NULL), FB_OK);
	CHECK_STATUS(msp_config_unwrap(wrapped, memory, &other, NULL), FB_OK);
	CHECK(fb_bytes_equal(config, other));
	CHECK_STATUS(msp_manager_create(2, memory, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, peer, &a, NULL), FB_UNKNOWN_MSP);
	CHECK_STATUS(msp_manager_add(manager, wrapped, &msp, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, wrapped, &again, NULL), FB_OK);
	CHECK(msp == again && msp_manager_count(manager) == 1 && msp_manager_msp(manager, 0) == msp);
	CHECK(msp_manager_find(manager, "TestMSP") == msp &&
		  msp_manager_find(manager, "OtherMSP") == NULL);
	CHECK_TEXT(msp_id(msp), "TestMSP");
	changed.crls[0] = NULL;
	CHECK_STATUS(make_config(&changed, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &other, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, other, NULL, NULL), FB_INVALID_CONFIG);
	idemix.type = 1;
	CHECK_STATUS(PROTO_PACK(&idemix, memory, &other, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, other, NULL, NULL), FB_INVALID_CONFIG);
	CHECK_STATUS(msp_manager_add(manager, FB_BYTES_LITERAL("\xff"), NULL, NULL),
				 FB_MALFORMED_MESSAGE);
	CHECK(msp_manager_count(manager) == 1);
	msp_manager_destroy(manager);
	msp_manager_destroy(NULL);
}

static void
test_remembered_identities(void)
{
	MspManager *manager = manager_of_test_msp();
	const Identity *a;
	const Identity *b;
	const Identity *c;
	FbBytes peer = serialized("TestMSP", x509("peer"));
	FbBytes client = serialized("TestMSP", x509("client"));
	FbBytes escape = serialized("TestMSP", x509("escape"));

	CHECK_STATUS(msp_manager_identity(manager, peer, &a, NULL), FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, peer, &b, NULL), FB_OK);
	CHECK(a == b && msp_manager_identities_count(manager) == 1);
	CHECK_STATUS(msp_manager_identity(manager, client, &b, NULL), FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, escape, &c, NULL), FB_OK);
	CHECK(msp_manager_identities_count(manager) == 3);
	/* before a trim everything stays valid, even beyond the limit */
	CHECK_TEXT(crypto_certificate_common_name(identity_certificate(a)), "peer0");
	CHECK_TEXT(crypto_certificate_common_name(identity_certificate(b)), "alice");
	CHECK_STATUS(msp_manager_identity(manager, peer, &a, NULL), FB_OK);
	msp_manager_trim(manager);
	CHECK(msp_manager_identities_count(manager) == 2);
	/* client was the least recently used one; peer and escape are the same objects as before */
	CHECK_STATUS(msp_manager_identity(manager, peer, &b, NULL), FB_OK);
	CHECK(a == b);
	CHECK_STATUS(msp_manager_identity(manager, escape, &b, NULL), FB_OK);
	CHECK(b == c);
	CHECK_STATUS(msp_manager_identity(manager, client, &b, NULL), FB_OK);
	CHECK(msp_manager_identities_count(manager) == 3);
	msp_manager_destroy(manager);
}

/* invalid bytes are examined once, and refused each time */
static void
test_remembered_refusals(void)
{
	MspManager *manager = manager_of_test_msp();
	const Identity *b;
	FbBytes revoked = serialized("TestMSP", x509("revoked"));
	uint64_t before = msp_manager_checks_count(manager);
	FbError first = {0};
	FbError second = {0};

	CHECK_STATUS(msp_manager_identity(manager, revoked, &b, &first), FB_CERTIFICATE_REVOKED);
	CHECK_STATUS(msp_manager_identity(manager, revoked, &b, &second), FB_CERTIFICATE_REVOKED);
	CHECK(b == NULL && msp_manager_checks_count(manager) == before + 1);
	CHECK(second.status == FB_CERTIFICATE_REVOKED && first.message[0] != '\0');
	CHECK_TEXT(second.message, first.message);
	CHECK_TEXT(second.detail, first.detail);
	/* of the invalid ones only as many are remembered as identities */
	CHECK_STATUS(msp_manager_identity(manager, serialized("OtherMSP", x509("peer")), &b, NULL),
				 FB_UNKNOWN_MSP);
	CHECK_STATUS(msp_manager_identity(manager, serialized("OtherMSP", x509("client")), &b, NULL),
				 FB_UNKNOWN_MSP);
	CHECK_STATUS(msp_manager_identity(manager, revoked, &b, NULL), FB_CERTIFICATE_REVOKED);
	CHECK(msp_manager_checks_count(manager) == before + 4);
	msp_manager_destroy(manager);
}

/* failures are returned, and are not stored as identities */
static void
test_refused_identities(void)
{
	MspManager *manager = manager_of_test_msp();
	const Identity *b;
	FbBytes peer = serialized("TestMSP", x509("peer"));

	CHECK_STATUS(msp_manager_identity(manager, serialized("TestMSP", x509("revoked")), &b, NULL),
				 FB_CERTIFICATE_REVOKED);
	CHECK(b == NULL);
	CHECK_STATUS(msp_manager_identity(manager, serialized("OtherMSP", x509("peer")), &b, NULL),
				 FB_UNKNOWN_MSP);
	CHECK_STATUS(msp_manager_identity(manager, FB_BYTES_LITERAL("\xff"), &b, NULL),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(msp_manager_identity(manager, fb_bytes(peer.data, FB_IDENTITY_BYTES_MAX + 1), &b,
									  NULL),
				 FB_LIMIT_EXCEEDED);
	CHECK(msp_manager_identities_count(manager) == 0);
	msp_manager_destroy(manager);
}

/*
 * Random requests of more identities than there are buckets, compared with a list ordered by last
 * use.
 */
static void
test_cache(void)
{
	enum
	{
		WHO = 40,
		KEPT = 6
	};
	static const char *const names[] = {"peer", "client", "escape", "expired"};
	MspManager *manager;
	FbBytes who[WHO];
	const Identity *known[WHO] = {NULL};
	size_t used[WHO]; /* the latest at the end */
	size_t used_count = 0;
	FbBytes config;
	FbRand rand;

	fb_rand_seed(&rand, 5);
	CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &config, NULL), FB_OK);
	CHECK_STATUS(msp_manager_create(KEPT, memory, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, config, NULL, NULL), FB_OK);
	for (size_t i = 0; i < WHO; i++)
	{
		FbBytes plain = serialized("TestMSP", x509(names[i % 4]));
		uint8_t *bytes = fb_allocate(memory, plain.size + 3);

		/* the same identities in many encodings: an unknown field with a number */
		memcpy(bytes, plain.data, plain.size);
		memcpy(bytes + plain.size, (uint8_t[]) {0x90, 0x03, (uint8_t) i}, 3);
		who[i] = fb_bytes(bytes, plain.size + 3);
	}
	for (int round = 0; round < 600; round++)
	{
		size_t one = fb_rand_below(&rand, fb_rand_below(&rand, 3) == 0 ? WHO : KEPT + 2);
		size_t place = 0;
		const Identity *identity;

		CHECK_STATUS(msp_manager_identity(manager, who[one], &identity, NULL), FB_OK);
		CHECK(fb_bytes_equal(identity->serialized, who[one]));
		while (place < used_count && used[place] != one)
			place++;
		if (place < used_count)
		{
			CHECK(identity == known[one]);
			memmove(&used[place], &used[place + 1], (used_count - place - 1) * sizeof(used[0]));
			used_count--;
		}
		used[used_count++] = one;
		known[one] = identity;
		if (fb_rand_below(&rand, 4) == 0)
		{
			msp_manager_trim(manager);
			if (used_count > KEPT)
			{
				memmove(used, &used[used_count - KEPT], KEPT * sizeof(used[0]));
				used_count = KEPT;
			}
		}
		CHECK(msp_manager_identities_count(manager) == used_count);
	}
	msp_manager_destroy(manager);
}

static FbArena failing;

static FbStatus
everything(FbBytes wrapped, FbBytes peer, FbBytes pem, FbBytes key, FbBytes principal_bytes)
{
	FbAllocator *allocator = &failing.allocator;
	MspManager *manager = NULL;
	Signer *signer = NULL;
	const Identity *identity;
	const Principal *principal;
	const char *client_id;
	CertificateAttribute *attributes;
	size_t count;
	FbBytes bytes;
	FbStatus status = msp_manager_create(1, allocator, &manager, NULL);

	if (status == FB_OK)
		status = msp_manager_add(manager, wrapped, NULL, NULL);
	if (status == FB_OK)
		status = msp_manager_identity(manager, peer, &identity, NULL);
	if (status == FB_OK)
		status = signer_create("TestMSP", pem, key, allocator, &signer, NULL);
	if (status == FB_OK)
		status = msp_manager_identity(manager, signer_identity(signer), &identity, NULL);
	if (status == FB_OK)
		status = signer_sign(signer, peer, allocator, &bytes, NULL);
	if (status == FB_OK)
		status = certificate_client_id(identity_certificate(identity), allocator, &client_id, NULL);
	if (status == FB_OK)
		status = certificate_attributes(identity_certificate(identity), allocator, &attributes,
										&count, NULL);
	if (status == FB_OK)
		status = attributes_make(attributes, count, allocator, &bytes, NULL);
	if (status == FB_OK)
		status = principal_parse(PRINCIPAL_COMBINED, principal_bytes, allocator, &principal, NULL);
	signer_destroy(signer);
	msp_manager_destroy(manager);
	return status;
}

static void
test_out_of_memory(void)
{
	MspCase with_admin = node_ous_case;
	Common__MSPPrincipal inner = COMMON__MSPPRINCIPAL__INIT;
	Common__MSPPrincipal *inners[] = {&inner};
	Common__CombinedPrincipal combined = COMMON__COMBINED_PRINCIPAL__INIT;
	FbBytes config;
	FbBytes wrapped;
	FbBytes bytes;
	FbBytes peer = serialized("TestMSP", x509("peer"));
	FbBytes pem = x509("client");
	FbBytes key = file(X509_DIR "client.key");
	FbStatus status = FB_OUT_OF_MEMORY;
	size_t n;

	with_admin.admins[0] = "client";
	CHECK_STATUS(make_config(&with_admin, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &wrapped, NULL), FB_OK);
	inner.principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__IDENTITY;
	inner.principal = proto_data(peer);
	combined.principals = inners;
	combined.n_principals = 1;
	CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
	fb_arena_init(&failing);
	for (n = 1; n < 5000 && status != FB_OK; n++)
	{
		fb_arena_reset(&failing);
		failing.fail_at = n;
		status = everything(wrapped, peer, pem, key, bytes);
		if (status != FB_OK)
			CHECK_STATUS(status, FB_OUT_OF_MEMORY);
	}
	CHECK_STATUS(status, FB_OK);
	CHECK(n > 100);
	fb_arena_reset(&failing);
}

/* destroying the objects frees every byte, if the allocator can free */
static void
test_nothing_is_kept(void)
{
	FbBytes config;
	FbBytes wrapped;
	MspManager *manager;
	Signer *signer;
	const Identity *identity;

	CHECK_STATUS(make_config(&node_ous_case, &config, NULL), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &wrapped, NULL), FB_OK);
	fb_arena_init(&failing);
	CHECK_STATUS(msp_manager_create(1, &failing.allocator, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, wrapped, NULL, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, wrapped, NULL, NULL), FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, serialized("TestMSP", x509("peer")), &identity,
									  NULL),
				 FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, serialized("TestMSP", x509("client")), &identity,
									  NULL),
				 FB_OK);
	CHECK_STATUS(msp_manager_identity(manager, serialized("TestMSP", x509("wrongou")), &identity,
									  NULL),
				 FB_INVALID_IDENTITY);
	CHECK_STATUS(signer_create("TestMSP", x509("peer"), file(X509_DIR "peer.key"),
							   &failing.allocator, &signer, NULL),
				 FB_OK);
	msp_manager_trim(manager);
	signer_destroy(signer);
	msp_manager_destroy(manager);
	CHECK(failing.blocks == NULL);
	fb_arena_reset(&failing);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_bad_definitions());
	CHECK_TEST(test_changed_definitions());
	CHECK_TEST(test_listed_ous());
	CHECK_TEST(test_manager());
	CHECK_TEST(test_remembered_identities());
	CHECK_TEST(test_remembered_refusals());
	CHECK_TEST(test_refused_identities());
	CHECK_TEST(test_cache());
	CHECK_TEST(test_out_of_memory());
	CHECK_TEST(test_nothing_is_kept());
	fb_arena_reset(&arena);
	return check_finish("identity/msp");
}
