/* identity: which certificates an MSP accepts: chains, name constraints, revocation, made trees */
#include "unit/msp_samples.h"

static void
test_identities(void)
{
	static const struct
	{
		const char *name;
		FbStatus with_node_ous;
		IdentityRole role;
		FbStatus plain;
	} cases[] = {
		{"peer", FB_OK, IDENTITY_PEER, FB_OK},
		{"client", FB_OK, IDENTITY_CLIENT, FB_OK},
		{"expired", FB_OK, IDENTITY_CLIENT, FB_OK},
		{"escape", FB_OK, IDENTITY_CLIENT, FB_OK},
		{"early", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"rootleaf", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"upleaf", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"lowleaf", FB_INVALID_IDENTITY, 0, FB_OK}, /* inter does not certify its OU */
		{"revoked", FB_CERTIFICATE_REVOKED, 0, FB_CERTIFICATE_REVOKED},
		{"caleaf", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"root", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"inter", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"wrongou", FB_INVALID_IDENTITY, 0, FB_OK},
		{"twoous", FB_INVALID_IDENTITY, 0, FB_OK},
		{"stranger", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"p384", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"tlsclient", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"critical", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"rsaleaf", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"k1leaf", FB_INVALID_IDENTITY, 0, FB_INVALID_IDENTITY},
		{"message", FB_INVALID_CERTIFICATE, 0, FB_INVALID_CERTIFICATE},
	};
	Msp *node_ous = make_msp(&node_ous_case);
	Msp *plain = make_msp(&plain_case);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FbBytes bytes =
			serialized("TestMSP", strcmp(cases[i].name, "message") == 0 ? file(X509_DIR "message")
																		: x509(cases[i].name));
		Identity *identity;
		FbError error;

		if (!CHECK_STATUS(identity_create(node_ous, bytes, memory, &identity, &error),
						  cases[i].with_node_ous))
			fprintf(stderr, "    %s with NodeOUs\n", cases[i].name);
		if (identity != NULL)
		{
			CHECK(identity_role(identity) == cases[i].role);
			CHECK_TEXT(identity_msp_id(identity), "TestMSP");
			CHECK(identity->msp == node_ous);
		}
		else
			CHECK(error.message[0] != '\0');
		identity_destroy(identity);
		if (!CHECK_STATUS(identity_create(plain, bytes, memory, &identity, NULL), cases[i].plain))
			fprintf(stderr, "    %s without NodeOUs\n", cases[i].name);
		if (identity != NULL)
			CHECK(identity_role(identity) == IDENTITY_MEMBER);
		identity_destroy(identity);
	}
	msp_destroy(node_ous);
	msp_destroy(plain);
}

/* a CA is not an identity, by a rule of its own, wherever it is in the tree */
static void
test_authorities(void)
{
	Msp *plain = make_msp(&plain_case);

	for (int i = 0; i < 3; i++)
	{
		static const char *const cas[] = {"caleaf", "root", "inter"};
		Identity *identity;
		FbError error;

		CHECK_STATUS(identity_create(plain, serialized("TestMSP", x509(cas[i])), memory, &identity,
									 &error),
					 FB_INVALID_IDENTITY);
		CHECK(strstr(error.message, "cannot be an identity") != NULL);
	}
	msp_destroy(plain);
	msp_destroy(NULL);
	identity_destroy(NULL);
}

static void
test_other_chains(void)
{
	static const MspCase two_roots = {{"root", "other"}, {"crossa", "crossb"}, {"stranger"}};
	Msp *msp;
	Identity *identity;
	FbError error;

	/* other has a child now: its leaf is not an admin, so this MSP cannot be made */
	{
		FbBytes config;

		CHECK_STATUS(make_config(&two_roots, &config, &error), FB_INVALID_IDENTITY);
		CHECK(strstr(error.message, "admin 0") != NULL);
	}
	/* with NodeOUs no admin is needed; the leaf below both cross certificates has two chains */
	{
		static const MspCase crossed = {{"root", "other"},
										{"crossa", "crossb"},
										{NULL},
										{NULL},
										true};

		msp = make_msp(&crossed);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("twochains")), memory,
									 &identity, &error),
					 FB_INVALID_IDENTITY);
		CHECK(strstr(error.message, "2 chains") != NULL);
		msp_destroy(msp);
	}
	{
		static const MspCase one = {{"root"}, {"crossa"}, {NULL}, {NULL}, true};

		msp = make_msp(&one);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("twochains")), memory,
									 &identity, NULL),
					 FB_OK);
		identity_destroy(identity);
		msp_destroy(msp);
	}
	/* a root that is also in the list of intermediates gives no second chain */
	{
		static const MspCase both = {{"root", "root384"},
									 {"inter", "root384"},
									 {NULL},
									 {NULL},
									 true};

		msp = make_msp(&both);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &identity,
									 NULL),
					 FB_OK);
		identity_destroy(identity);
		msp_destroy(msp);
	}
}

static void
test_p384_identity(void)
{
	static const MspCase p384 = {{"root384"}, {NULL}, {NULL}, {NULL}, true};
	Msp *msp;
	Identity *identity;
	CryptoCertificate *certificate;

	msp = make_msp(&p384);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("p384")), memory, &identity, NULL),
				 FB_OK);
	{
		FbBytes low_s;

		CHECK_STATUS(crypto_signature_to_low_s(CRYPTO_P384, file(X509_DIR "message-p384.sig"),
											   memory, &low_s, NULL),
					 FB_OK);
		CHECK_STATUS(verified(identity, file(X509_DIR "message"), low_s), FB_OK);
		CHECK_STATUS(verified(identity, FB_BYTES_LITERAL("x"), low_s), FB_INVALID_SIGNATURE);
	}
	/* a principal that names the identity, with either signature of its certificate */
	{
		CryptoCertificate *other;
		FbBytes pem;
		const Principal *principal;

		for (int form = 0; form < 2; form++)
		{
			CHECK_STATUS(crypto_certificate_parse(x509("p384"), &certificate, NULL), FB_OK);
			CHECK_STATUS(crypto_certificate_low_s_der(certificate, CRYPTO_P384, memory, &pem, NULL),
						 FB_OK);
			CHECK_STATUS(crypto_certificate_parse(form == 0 ? crypto_certificate_der(certificate)
															: pem,
												  &other, NULL),
						 FB_OK);
			CHECK_STATUS(crypto_certificate_pem(other, memory, &pem, NULL), FB_OK);
			CHECK_STATUS(principal_parse(PRINCIPAL_IDENTITY, serialized("TestMSP", pem), memory,
										 &principal, NULL),
						 FB_OK);
			CHECK(principal_matches(principal, identity));
			crypto_certificate_free(certificate);
			crypto_certificate_free(other);
		}
		CHECK_STATUS(principal_parse(PRINCIPAL_IDENTITY, serialized("TestMSP", x509("root384")),
									 memory, &principal, NULL),
					 FB_OK);
		CHECK(!principal_matches(principal, identity));
	}
	identity_destroy(identity);
	msp_destroy(msp);
}

/* issued by RSA: the certificate is hashed unchanged */
static void
test_rsa_issuer(void)
{
	static const MspCase rsa = {{"rootrsa"}, {NULL}, {NULL}, {NULL}, true};
	Msp *msp;
	Identity *identity;
	CryptoCertificate *certificate;
	uint8_t digest[CRYPTO_SHA256_BYTES];
	char hex[65];

	msp = make_msp(&rsa);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("rsaissued")), memory, &identity,
								 NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(x509("rsaissued"), &certificate, NULL), FB_OK);
	crypto_sha256(crypto_certificate_der(certificate), digest);
	fb_hex_encode(fb_bytes(digest, sizeof(digest)), hex);
	CHECK_TEXT(identity_id(identity), hex);
	crypto_certificate_free(certificate);
	identity_destroy(identity);
	msp_destroy(msp);
}

/*
 * Name constraints of a CA; and a rule that Fabric kept from Go 1.14: a certificate whose common
 * name looks like a host needs alternative names.
 */
static void
test_name_constraints(void)
{
	static const MspCase narrow = {{"narrow"}, {NULL}, {NULL}, {NULL}, true};
	static const struct
	{
		const char *leaf;
		FbStatus status;
		const char *why;
	} cases[] = {
		{"inside", FB_OK, NULL},
		{"person", FB_OK, NULL},
		{"outside", FB_INVALID_IDENTITY, "name constraints of certificate"},
		{"hostname", FB_INVALID_IDENTITY, "has no alternative names"},
	};
	Msp *msp = make_msp(&narrow);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Identity *identity;
		FbError error = {0};

		if (!CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509(cases[i].leaf)), memory,
										  &identity, &error),
						  cases[i].status) ||
			!CHECK(cases[i].why == NULL || strstr(error.message, cases[i].why) != NULL))
			fprintf(stderr, "    %s: %s\n", cases[i].leaf, error.message);
		identity_destroy(identity);
	}
	msp_destroy(msp);
}

static void
test_host_names(void)
{
	static const char *const hosts[] = {"a",
										"z",
										"A",
										"Z",
										"0",
										"9",
										"_",
										":",
										"a.b",
										"peer0.org1.example.com",
										"peer0.org1.example.com.",
										"a-b",
										"a--",
										"*",
										"*.",
										"*.a",
										"_x.y:7051",
										"x.9-Z"};
	static const char *const others[] = {"",   ".",	   "..",  ".a",		"a..b",		 "a..", "-",
										 "-a", "a.-b", "a b", "Peer 0", "user@org1", "a*",	"*a",
										 "**", "a.*",  "*.*", "*..a",	"a/b",		 "@",	"[",
										 "`",  "{",	   "/",	  ";",		"\xc3\xa9"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (!CHECK(msp_is_host_name(hosts[i])))
			fprintf(stderr, "    \"%s\"\n", hosts[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!CHECK(!msp_is_host_name(others[i])))
			fprintf(stderr, "    \"%s\"\n", others[i]);
}

/* a list counts only if the issuer signed it; an invalid one does not hide another */
static void
test_revocation_lists(void)
{
	FbBytes good = x509("inter.crl");
	FbBytes bad;
	FbBytes root = x509("root");
	FbBytes inter = x509("inter");
	const char *text = fb_text_copy(memory, good);
	size_t changed =
		(size_t) (strstr(text, "-----END") - text) - 12; /* well inside the signature */

	CHECK_STATUS(fb_bytes_copy(memory, good, &bad, NULL), FB_OK);
	((uint8_t *) bad.data)[changed] = bad.data[changed] == 'A' ? 'B' : 'A';
	for (int lists = 0; lists < 4; lists++)
	{
		FbBytes both[2] = {lists & 1 ? bad : good, good};
		MspParts parts = {.msp_id = "TestMSP",
						  .node_ous = true,
						  .root_certificates = &root,
						  .root_certificates_count = 1,
						  .intermediate_certificates = &inter,
						  .intermediate_certificates_count = 1,
						  .revocation_lists = both};
		FbBytes config;
		Msp *msp;
		Identity *identity;

		parts.revocation_lists_count = lists < 2 ? 1 : 2;
		CHECK_STATUS(msp_config_make(&parts, memory, &config, NULL), FB_OK);
		CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("revoked")), memory, &identity,
									 NULL),
					 lists == 1 ? FB_OK : FB_CERTIFICATE_REVOKED);
		identity_destroy(identity);
		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &identity,
									 NULL),
					 FB_OK);
		identity_destroy(identity);
		msp_destroy(msp);
	}
}

#define MADE_AT 1795176000

typedef struct MadeCa
{
	CryptoPrivateKey *key;
	CryptoCertificate *certificate;
	FbBytes pem;
} MadeCa;

/* a CA, or a client, below issuer; NULL: a root */
static MadeCa
make_certificate(const char *name, CryptoCurve curve, const MadeCa *issuer, bool is_ca)
{
	FbBytes ou = FB_BYTES_LITERAL("client");
	CryptoTemplate template = {.subject = {.common_name = fb_bytes_of_text(name)},
							   .not_before = MADE_AT,
							   .not_after = MADE_AT + 1000000,
							   .is_ca = is_ca,
							   .path_length = -1};
	CryptoPublicKey *public_key;
	MadeCa made;

	if (!is_ca)
	{
		template.subject.ous = &ou;
		template.subject.ous_count = 1;
	}
	CHECK_STATUS(crypto_private_key_generate(curve, &made.key, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(made.key, &public_key, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_issue(&template, public_key,
										  issuer == NULL ? NULL : issuer->certificate,
										  issuer == NULL ? made.key : issuer->key, memory,
										  &made.pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(made.pem, &made.certificate, NULL), FB_OK);
	crypto_public_key_free(public_key);
	return made;
}

static FbBytes
make_crl(const MadeCa *issuer, const MadeCa *revoked)
{
	CryptoRevocation revocation = {crypto_certificate_serial(revoked->certificate), MADE_AT, -1};
	FbBytes pem;

	CHECK_STATUS(crypto_crl_issue(issuer->certificate, issuer->key, &revocation, 1, MADE_AT,
								  MADE_AT + 1000, 1, memory, &pem, NULL),
				 FB_OK);
	return pem;
}

static void
free_made(MadeCa *made)
{
	crypto_private_key_free(made->key);
	crypto_certificate_free(made->certificate);
}

/* two roots on different curves, CAs and identities below them, and the MSP that they define */
typedef struct MadeTree
{
	MadeCa root;
	MadeCa root384;
	MadeCa inter;		/* below root384 */
	MadeCa client;		/* below inter */
	MadeCa tls_inter;	/* below root */
	MadeCa root_client; /* below root */
	FbBytes roots[FB_MSP_CERTIFICATES_MAX + 1];
	FbBytes crls[FB_MSP_CERTIFICATES_MAX + 1];
	MspParts parts;
} MadeTree;

static MadeTree *
make_tree(void)
{
	MadeTree *tree = fb_allocate_zero(memory, sizeof(*tree));

	tree->root = make_certificate("root", CRYPTO_P256, NULL, true);
	tree->root384 = make_certificate("root384", CRYPTO_P384, NULL, true);
	tree->inter = make_certificate("inter", CRYPTO_P256, &tree->root384, true);
	tree->client = make_certificate("client", CRYPTO_P256, &tree->inter, false);
	tree->tls_inter = make_certificate("tls inter", CRYPTO_P256, &tree->root, true);
	tree->root_client = make_certificate("client of the root", CRYPTO_P256, &tree->root, false);
	tree->roots[0] = tree->root.pem;
	tree->roots[1] = tree->root384.pem;
	tree->parts = (MspParts) {.msp_id = "TestMSP",
							  .node_ous = true,
							  .root_certificates = tree->roots,
							  .root_certificates_count = 2,
							  .intermediate_certificates = &tree->inter.pem,
							  .intermediate_certificates_count = 1,
							  .revocation_lists = tree->crls,
							  .revocation_lists_count = 1};
	return tree;
}

static void
free_tree(MadeTree *tree)
{
	free_made(&tree->root);
	free_made(&tree->root384);
	free_made(&tree->inter);
	free_made(&tree->client);
	free_made(&tree->tls_inter);
	free_made(&tree->root_client);
}

/*
 * The first CAs are on another curve than those that the units are bound to; each certificate
 * is compared in the form of its own issuer.
 */
static void
test_made_trees(void)
{
	MadeTree *tree = make_tree();
	FbBytes config;
	FbError error;
	Msp *msp;
	Identity *identity;

	tree->crls[0] = make_crl(&tree->root, &tree->inter); /* of another CA: it revokes nothing */
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_OK);
	CHECK_STATUS(msp_create(config, memory, &msp, &error), FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", tree->client.pem), memory, &identity,
								 &error),
				 FB_OK);
	CHECK(identity_role(identity) == IDENTITY_CLIENT);
	identity_destroy(identity);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", tree->root_client.pem), memory,
								 &identity, &error),
				 FB_INVALID_IDENTITY);
	CHECK(strstr(error.message, "was not given by the CA that its MSP names") != NULL);
	msp_destroy(msp);
	free_tree(tree);
}

/* a revoked CA is invalid, both for identities and for TLS */
static void
test_revoked_authorities(void)
{
	MadeTree *tree = make_tree();
	FbBytes config;
	FbError error;

	tree->crls[0] = make_crl(&tree->root384, &tree->inter);
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_CERTIFICATE_REVOKED);
	CHECK(strstr(error.message, "intermediate certificate 0") != NULL);
	tree->parts.intermediate_certificates_count = 0;
	tree->parts.tls_root_certificates = tree->roots;
	tree->parts.tls_root_certificates_count = 2;
	tree->parts.tls_intermediate_certificates = &tree->tls_inter.pem;
	tree->parts.tls_intermediate_certificates_count = 1;
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_OK);
	tree->crls[0] = make_crl(&tree->root, &tree->tls_inter);
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_CERTIFICATE_REVOKED);
	CHECK(strstr(error.message, "TLS intermediate certificate 0") != NULL);
	free_tree(tree);
}

/* more than enough of each kind */
static void
test_definition_limits(void)
{
	MadeTree *tree = make_tree();
	FbBytes crl = make_crl(&tree->root, &tree->tls_inter);
	FbBytes config;
	FbError error;

	for (size_t i = 0; i <= FB_MSP_CERTIFICATES_MAX; i++)
	{
		tree->roots[i] = tree->root.pem;
		tree->crls[i] = crl;
	}
	tree->parts.intermediate_certificates_count = 0;
	tree->parts.tls_root_certificates = tree->roots;
	tree->parts.root_certificates_count = 1;
	tree->parts.revocation_lists_count = FB_MSP_CERTIFICATES_MAX;
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_OK);
	tree->parts.revocation_lists_count++;
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_LIMIT_EXCEEDED);
	CHECK(strstr(error.message, "revocation lists") != NULL);
	tree->parts.revocation_lists_count = 0;
	tree->parts.tls_root_certificates_count = FB_MSP_CERTIFICATES_MAX;
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error),
				 FB_OK); /* one CA many times is one CA */
	tree->parts.tls_root_certificates_count++;
	CHECK_STATUS(msp_config_make(&tree->parts, memory, &config, &error), FB_LIMIT_EXCEEDED);
	free_tree(tree);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_identities());
	CHECK_TEST(test_authorities());
	CHECK_TEST(test_other_chains());
	CHECK_TEST(test_p384_identity());
	CHECK_TEST(test_rsa_issuer());
	CHECK_TEST(test_name_constraints());
	CHECK_TEST(test_host_names());
	CHECK_TEST(test_revocation_lists());
	CHECK_TEST(test_made_trees());
	CHECK_TEST(test_revoked_authorities());
	CHECK_TEST(test_definition_limits());
	fb_arena_reset(&arena);
	return check_finish("identity/chains");
}
