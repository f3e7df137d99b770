/*
 * identity: the rules of MSPs, identities and principals, one by one and on the real blocks;
 * attributes, signer, cache
 */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"
#include "unit/check.h"

#define X509_DIR "test/vectors/x509/"
#define CRYPTO_DIR "test/vectors/crypto/"
#define ORG1 CRYPTO_DIR "peerOrganizations/org1.example.com/"
#define ORG2 CRYPTO_DIR "peerOrganizations/org2.example.com/"
#define ORDERER CRYPTO_DIR "ordererOrganizations/example.com/"

static FbArena arena;
static FbAllocator *const memory = &arena.allocator;

/* a file as bytes of the arena */
static FbBytes
file(const char *path)
{
	FbBytes from = check_read_file(path);
	FbBytes to;

	fb_bytes_copy(memory, from, &to, NULL);
	free((void *) from.data);
	return to;
}

static FbBytes
x509(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s%s", name, strchr(name, '.') ? "" : ".pem");
	return file(path);
}

static FbBytes
serialized(const char *msp, FbBytes pem)
{
	FbBytes bytes;

	CHECK_STATUS(identity_serialize(msp, pem, memory, &bytes, NULL), FB_OK);
	return bytes;
}

#define LIST_MAX 6

/* an MSP of fixtures by name; NULL-terminated lists */
typedef struct MspCase
{
	const char *roots[LIST_MAX];
	const char *intermediates[LIST_MAX];
	const char *admins[LIST_MAX];
	const char *crls[LIST_MAX];
	bool node_ous;
} MspCase;

static size_t
load_list(const char *const *names, FbBytes *to)
{
	size_t count = 0;

	while (count < LIST_MAX && names[count] != NULL)
	{
		to[count] = x509(names[count]);
		count++;
	}
	return count;
}

static FbStatus
make_config(const MspCase *from, FbBytes *config, FbError *error)
{
	FbBytes roots[LIST_MAX];
	FbBytes intermediates[LIST_MAX];
	FbBytes admins[LIST_MAX];
	FbBytes crls[LIST_MAX];
	MspParts parts = {.msp_id = "TestMSP", .node_ous = from->node_ous};

	parts.root_certificates = roots;
	parts.root_certificates_count = load_list(from->roots, roots);
	parts.intermediate_certificates = intermediates;
	parts.intermediate_certificates_count = load_list(from->intermediates, intermediates);
	parts.admins = admins;
	parts.admins_count = load_list(from->admins, admins);
	parts.revocation_lists = crls;
	parts.revocation_lists_count = load_list(from->crls, crls);
	return msp_config_make(&parts, memory, config, error);
}

static Msp *
make_msp(const MspCase *from)
{
	FbBytes config;
	FbError error;
	Msp *msp = NULL;

	if (!CHECK_STATUS(make_config(from, &config, &error), FB_OK))
	{
		fprintf(stderr, "    %s\n", error.message);
		exit(1);
	}
	CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
	CHECK(fb_bytes_equal(msp_config(msp), config));
	return msp;
}

static const MspCase node_ous_case = {{"root"},
									  {"inter", "upper", "lower"},
									  {NULL},
									  {"inter.crl"},
									  true};
static const MspCase plain_case = {{"root"},
								   {"inter", "upper", "lower"},
								   {"client"},
								   {"inter.crl"},
								   false};

/* ---- valid identities ---- */

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

	CHECK(msp_node_ous_enabled(node_ous) && !msp_node_ous_enabled(plain));
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
			CHECK(fb_bytes_equal(identity_serialized(identity), bytes));
			CHECK_TEXT(identity_msp_id(identity), "TestMSP");
			CHECK(identity_msp(identity) == node_ous);
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
	/* a CA is not an identity, by a rule of its own, wherever it is in the tree */
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
	msp_destroy(node_ous);
	msp_destroy(plain);
	msp_destroy(NULL);
	identity_destroy(NULL);
}

static void
test_other_chains(void)
{
	static const MspCase two_roots = {{"root", "other"}, {"crossa", "crossb"}, {"stranger"}};
	static const MspCase p384 = {{"root384"}, {NULL}, {NULL}, {NULL}, true};
	static const MspCase rsa = {{"rootrsa"}, {NULL}, {NULL}, {NULL}, true};
	Msp *msp;
	Identity *identity;
	CryptoCertificate *certificate;
	uint8_t digest[CRYPTO_SHA256_BYTES];
	char hex[65];
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
	msp = make_msp(&p384);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("p384")), memory, &identity, NULL),
				 FB_OK);
	{
		FbBytes low_s;

		CHECK_STATUS(crypto_signature_to_low_s(CRYPTO_P384, file(X509_DIR "message-p384.sig"),
											   memory, &low_s, NULL),
					 FB_OK);
		CHECK_STATUS(identity_verify(identity, file(X509_DIR "message"), low_s, NULL), FB_OK);
		CHECK_STATUS(identity_verify(identity, FB_BYTES_LITERAL("x"), low_s, NULL),
					 FB_INVALID_SIGNATURE);
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

	/* issued by RSA: the certificate is hashed unchanged */
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

/* ---- generated trees of CAs ---- */

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
free_made(MadeCa *made, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		crypto_private_key_free(made[i].key);
		crypto_certificate_free(made[i].certificate);
	}
}

static void
test_made_trees(void)
{
	MadeCa made[6];
	MadeCa *root = &made[0];
	MadeCa *root384 = &made[1];
	MadeCa *inter = &made[2];	  /* below root384 */
	MadeCa *client = &made[3];	  /* below inter */
	MadeCa *tls_inter = &made[4]; /* below root */
	MadeCa *root_client = &made[5];
	FbBytes roots[FB_MSP_CERTIFICATES_MAX + 1];
	FbBytes crls[FB_MSP_CERTIFICATES_MAX + 1];
	MspParts parts = {.msp_id = "TestMSP",
					  .node_ous = true,
					  .root_certificates = roots,
					  .root_certificates_count = 2,
					  .revocation_lists = crls,
					  .revocation_lists_count = 1};
	FbBytes config;
	FbError error;
	Msp *msp;
	Identity *identity;

	*root = make_certificate("root", CRYPTO_P256, NULL, true);
	*root384 = make_certificate("root384", CRYPTO_P384, NULL, true);
	*inter = make_certificate("inter", CRYPTO_P256, root384, true);
	*client = make_certificate("client", CRYPTO_P256, inter, false);
	*tls_inter = make_certificate("tls inter", CRYPTO_P256, root, true);
	*root_client = make_certificate("client of the root", CRYPTO_P256, root, false);
	roots[0] = root->pem;
	roots[1] = root384->pem;

	/*
	 * The first CAs are on another curve than those that the units are bound to; each certificate
	 * is compared in the form of its own issuer.
	 */
	crls[0] = make_crl(root, inter); /* of another CA: it revokes nothing */
	parts.intermediate_certificates = &inter->pem;
	parts.intermediate_certificates_count = 1;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_OK);
	CHECK_STATUS(msp_create(config, memory, &msp, &error), FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", client->pem), memory, &identity,
								 &error),
				 FB_OK);
	CHECK(identity_role(identity) == IDENTITY_CLIENT);
	identity_destroy(identity);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", root_client->pem), memory, &identity,
								 &error),
				 FB_INVALID_IDENTITY);
	CHECK(strstr(error.message, "was not given by the CA that its MSP names") != NULL);
	msp_destroy(msp);

	/* a revoked CA is invalid, both for identities and for TLS */
	crls[0] = make_crl(root384, inter);
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_CERTIFICATE_REVOKED);
	CHECK(strstr(error.message, "intermediate certificate 0") != NULL);
	parts.intermediate_certificates_count = 0;
	parts.tls_root_certificates = roots;
	parts.tls_root_certificates_count = 2;
	parts.tls_intermediate_certificates = &tls_inter->pem;
	parts.tls_intermediate_certificates_count = 1;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_OK);
	crls[0] = make_crl(root, tls_inter);
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_CERTIFICATE_REVOKED);
	CHECK(strstr(error.message, "TLS intermediate certificate 0") != NULL);

	/* more than enough of each kind */
	parts.tls_intermediate_certificates_count = 0;
	for (size_t i = 0; i <= FB_MSP_CERTIFICATES_MAX; i++)
	{
		roots[i] = root->pem;
		crls[i] = crls[0];
	}
	parts.tls_root_certificates_count = 0;
	parts.root_certificates_count = 1;
	parts.revocation_lists_count = FB_MSP_CERTIFICATES_MAX;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_OK);
	parts.revocation_lists_count++;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_LIMIT_EXCEEDED);
	CHECK(strstr(error.message, "revocation lists") != NULL);
	parts.revocation_lists_count = 0;
	parts.tls_root_certificates_count = FB_MSP_CERTIFICATES_MAX;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error),
				 FB_OK); /* one CA many times is one CA */
	parts.tls_root_certificates_count++;
	CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_LIMIT_EXCEEDED);
	free_made(made, 6);
}

/* the identity id does not depend on which of its two signatures a certificate has */
static void
test_identity_id(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *high;
	Identity *low;
	CryptoCertificate *certificate;
	CryptoCertificate *normalized;
	FbBytes der;
	FbBytes pem;

	CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_low_s_der(certificate, CRYPTO_P256, memory, &der, NULL), FB_OK);
	CHECK(!fb_bytes_equal(der, crypto_certificate_der(certificate)));
	CHECK_STATUS(crypto_certificate_parse(der, &normalized, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_pem(normalized, memory, &pem, NULL), FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &high, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", pem), memory, &low, NULL), FB_OK);
	CHECK_TEXT(identity_id(high), identity_id(low));
	identity_destroy(low);
	/* bare DER is not an identity, only PEM */
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", der), memory, &low, NULL),
				 FB_INVALID_CERTIFICATE);
	identity_destroy(high);
	crypto_certificate_free(certificate);
	crypto_certificate_free(normalized);

	CHECK_STATUS(identity_create(msp, serialized("OtherMSP", pem), memory, &low, NULL),
				 FB_UNKNOWN_MSP);
	CHECK_STATUS(identity_create(msp, FB_BYTES_LITERAL("\x0a\xff"), memory, &low, NULL),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(identity_create(msp, FB_BYTES_EMPTY, memory, &low, NULL), FB_UNKNOWN_MSP);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", FB_BYTES_EMPTY), memory, &low, NULL),
				 FB_INVALID_CERTIFICATE);
	CHECK_STATUS(identity_create(msp, fb_bytes(pem.data, FB_IDENTITY_BYTES_MAX + 1), memory, &low,
								 NULL),
				 FB_LIMIT_EXCEEDED);
	/* exactly at the limit of length: the rest is an unknown field */
	{
		FbBytes good = serialized("TestMSP", pem);
		uint8_t *longest = fb_allocate_zero(memory, FB_IDENTITY_BYTES_MAX);
		size_t filler = FB_IDENTITY_BYTES_MAX - good.size - 5;

		memcpy(longest, good.data, good.size);
		memcpy(longest + good.size,
			   (uint8_t[]) {0x92, 0x03, 0x80 | (filler & 0x7f), 0x80 | (filler >> 7 & 0x7f),
							filler >> 14},
			   5);
		CHECK_STATUS(identity_create(msp, fb_bytes(longest, FB_IDENTITY_BYTES_MAX), memory, &low,
									 NULL),
					 FB_OK);
		CHECK_TEXT(identity_msp_id(low), "TestMSP");
		identity_destroy(low);
	}
	msp_destroy(msp);
}

/* ---- definitions that must be refused ---- */

static void
test_bad_definitions(void)
{
	static const struct
	{
		MspCase msp;
		FbStatus status;
		const char *part;
	} cases[] = {
		{{{NULL}}, FB_INVALID_CONFIG, "no root"},
		{{{"root"}}, FB_INVALID_CONFIG, "neither admins"},
		{{{"peer"}, {NULL}, {NULL}, {NULL}, true}, FB_INVALID_CERTIFICATE, "root certificate 0"},
		{{{"inter"}, {NULL}, {NULL}, {NULL}, true}, FB_INVALID_CERTIFICATE, "root certificate 0"},
		{{{"message.sig"}, {NULL}, {NULL}, {NULL}, true},
		 FB_INVALID_CERTIFICATE,
		 "root certificate 0"},
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
		{{{"root"}, {"inter"}, {NULL}, {"peer"}, true},
		 FB_INVALID_CERTIFICATE,
		 "revocation list 0"},
	};
	FbError error;
	FbBytes config;
	Msp *msp;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		if (!CHECK_STATUS(make_config(&cases[i].msp, &config, &error), cases[i].status) ||
			!CHECK(strstr(error.message, cases[i].part) != NULL))
			fprintf(stderr, "    case %zu: %s\n", i, error.message);
		CHECK(error.status == cases[i].status);
	}
	CHECK_STATUS(msp_create(FB_BYTES_LITERAL("\xff"), memory, &msp, NULL), FB_MALFORMED_MESSAGE);
	CHECK_STATUS(msp_create(FB_BYTES_EMPTY, memory, &msp, NULL), FB_INVALID_CONFIG);
	CHECK(msp == NULL);

	/* other hash functions; OUs bound to foreign CAs; an OU without a certificate */
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

/* ---- principals ---- */

static const Principal *
role_principal(const char *msp, int role)
{
	Common__MSPRole message = COMMON__MSPROLE__INIT;
	Common__MSPPrincipal outer = COMMON__MSPPRINCIPAL__INIT;
	const Principal *principal = NULL;
	FbBytes bytes;

	message.msp_identifier = (char *) msp;
	message.role = role;
	CHECK_STATUS(PROTO_PACK(&message, memory, &bytes, NULL), FB_OK);
	outer.principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE;
	outer.principal = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&outer, memory, &bytes, NULL), FB_OK);
	CHECK_STATUS(principal_unpack(bytes, memory, &principal, NULL), FB_OK);
	return principal;
}

static const Principal *
parsed(int32_t classification, FbBytes bytes)
{
	const Principal *principal = NULL;

	CHECK_STATUS(principal_parse(classification, bytes, memory, &principal, NULL), FB_OK);
	return principal;
}

static void
test_role_principals(void)
{
	/* rows: who; columns: member, admin, client, peer, orderer */
	static const struct
	{
		bool node_ous;
		const char *name;
		bool expected[5];
	} cases[] = {
		{true, "peer", {true, false, false, true, false}},
		{true, "client", {true, true, true, false, false}}, /* in the admins list */
		{true, "escape", {true, false, true, false, false}},
		{false, "peer", {true, false, false, false, false}},
		{false, "client", {true, true, false, false, false}},
	};
	MspCase listed = node_ous_case;

	listed.admins[0] = "client";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Msp *msp = make_msp(cases[i].node_ous ? &listed : &plain_case);
		Identity *identity;

		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509(cases[i].name)), memory,
									 &identity, NULL),
					 FB_OK);
		for (int role = 0; role < 5; role++)
		{
			const Principal *principal = role_principal("TestMSP", role);

			CHECK_TEXT(principal->msp_id, "TestMSP");
			CHECK(principal->kind == PRINCIPAL_ROLE && principal->role == (IdentityRole) role &&
				  !principal->impossible);
			if (!CHECK(principal_matches(principal, identity) == cases[i].expected[role]))
				fprintf(stderr, "    %s, role %s, NodeOUs %d\n", cases[i].name,
						identity_role_name(role), cases[i].node_ous);
			CHECK(identity_has_role(identity, role) == cases[i].expected[role]);
			CHECK(!principal_matches(role_principal("OtherMSP", role), identity));
		}
		CHECK(!principal_matches(role_principal("TestMSP", 5), identity));
		CHECK(!principal_matches(role_principal("TestMSP", -1), identity));
		identity_destroy(identity);
		msp_destroy(msp);
	}
}

static void
test_other_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Identity *peer;
	Common__OrganizationUnit unit = COMMON__ORGANIZATION_UNIT__INIT;
	Common__MSPIdentityAnonymity anonymity = COMMON__MSPIDENTITY_ANONYMITY__INIT;
	Common__CombinedPrincipal combined = COMMON__COMBINED_PRINCIPAL__INIT;
	Common__MSPPrincipal parts[2] = {COMMON__MSPPRINCIPAL__INIT, COMMON__MSPPRINCIPAL__INIT};
	Common__MSPPrincipal *part_pointers[2] = {&parts[0], &parts[1]};
	CryptoCertificate *certificates[2];
	CryptoSha256 hash;
	uint8_t certifiers[CRYPTO_SHA256_BYTES];
	const Principal *principal;
	FbBytes bytes;
	FbBytes normal;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("peer")), memory, &peer, NULL),
				 FB_OK);

	/*
	 * Organizational unit: the chain is inter, root, each with its low-S signature
	 * (mspimpl.go:880).
	 */
	CHECK_STATUS(crypto_certificate_parse(x509("inter"), &certificates[0], NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_parse(x509("root"), &certificates[1], NULL), FB_OK);
	crypto_sha256_start(&hash);
	for (int i = 0; i < 2; i++)
	{
		CHECK_STATUS(crypto_certificate_normalized_der(certificates[i], certificates[1], memory,
													   &normal, NULL),
					 FB_OK);
		crypto_sha256_add(&hash, normal);
		crypto_certificate_free(certificates[i]);
	}
	crypto_sha256_finish(&hash, certifiers);
	unit.msp_identifier = "TestMSP";
	unit.organizational_unit_identifier = "department1";
	unit.certifiers_identifier = proto_data(fb_bytes(certifiers, sizeof(certifiers)));
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	principal = parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes);
	CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
	parts[0].principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__ORGANIZATION_UNIT;
	parts[0].principal = proto_data(bytes);
	unit.msp_identifier = "OtherMSP";
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes), client));
	unit.msp_identifier = "TestMSP";
	certifiers[0] ^= 1;
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes), client));

	/* Identity: the certificate counts, not its PEM form or which of the two signatures it has. */
	principal = parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", x509("client")));
	CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
	{
		CryptoCertificate *certificate;
		CryptoCertificate *low;
		FbBytes pem;

		CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_low_s_der(certificate, CRYPTO_P256, memory, &normal, NULL),
					 FB_OK);
		CHECK_STATUS(crypto_certificate_parse(normal, &low, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_pem(low, memory, &pem, NULL), FB_OK);
		CHECK(principal_matches(parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", pem)), client));
		CHECK(!principal_matches(parsed(PRINCIPAL_IDENTITY, serialized("OtherMSP", pem)), client));
		crypto_certificate_free(certificate);
		crypto_certificate_free(low);
	}
	CHECK(parsed(PRINCIPAL_IDENTITY, FB_BYTES_LITERAL("rubbish"))->impossible);
	CHECK(
		parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", FB_BYTES_LITERAL("rubbish")))->impossible);

	/* anonymity */
	CHECK_STATUS(PROTO_PACK(&anonymity, memory, &bytes, NULL), FB_OK);
	CHECK(principal_matches(parsed(PRINCIPAL_ANONYMITY, bytes), client));
	anonymity.anonymity_type = COMMON__MSPIDENTITY_ANONYMITY__MSPIDENTITY_ANONYMITY_TYPE__ANONYMOUS;
	CHECK_STATUS(PROTO_PACK(&anonymity, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ANONYMITY, bytes), client));

	/* combined: department1 and (member or orderer) */
	{
		Common__MSPRole role = COMMON__MSPROLE__INIT;

		role.msp_identifier = "TestMSP";
		CHECK_STATUS(PROTO_PACK(&role, memory, &bytes, NULL), FB_OK);
		parts[1].principal = proto_data(bytes);
		combined.principals = part_pointers;
		combined.n_principals = 2;
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		principal = parsed(PRINCIPAL_COMBINED, bytes);
		CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
		role.role = COMMON__MSPROLE__MSPROLE_TYPE__ORDERER;
		CHECK_STATUS(PROTO_PACK(&role, memory, &bytes, NULL), FB_OK);
		parts[1].principal = proto_data(bytes);
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK(!principal_matches(parsed(PRINCIPAL_COMBINED, bytes), client));
	}
	CHECK(parsed(PRINCIPAL_COMBINED, FB_BYTES_EMPTY)->impossible);
	bytes = FB_BYTES_EMPTY;
	/* combined principals inside each other, and many beside each other */
	for (int depth = 0; depth < FB_PRINCIPAL_PARTS_MAX + 2; depth++)
	{
		combined.n_principals = 1;
		parts[0].principal_classification = depth == 0
												? COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE
												: COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED;
		parts[0].principal = proto_data(bytes);
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK_STATUS(principal_parse(PRINCIPAL_COMBINED, bytes, memory, &principal, NULL),
					 depth + 1 <= FB_PRINCIPAL_PARTS_MAX ? FB_OK : FB_INVALID_POLICY);
	}
	for (size_t count = FB_PRINCIPAL_PARTS_MAX; count <= FB_PRINCIPAL_PARTS_MAX + 1; count++)
	{
		Common__MSPPrincipal *many[FB_PRINCIPAL_PARTS_MAX + 1];

		for (size_t i = 0; i < count; i++)
			many[i] = &parts[1];
		combined.principals = many;
		combined.n_principals = count;
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK_STATUS(principal_parse(PRINCIPAL_COMBINED, bytes, memory, &principal, NULL),
					 count <= FB_PRINCIPAL_PARTS_MAX ? FB_OK : FB_INVALID_POLICY);
		CHECK(count > FB_PRINCIPAL_PARTS_MAX ||
			  (!principal_matches(principal, client) && !principal->impossible));
	}
	/* malformed or unknown: never satisfied, but no error */
	for (int kind = -1; kind < 7; kind++)
	{
		principal = parsed(kind, FB_BYTES_LITERAL("\x0a\xff\xff"));
		CHECK(principal->impossible && !principal_matches(principal, client));
	}
	CHECK_STATUS(principal_unpack(FB_BYTES_LITERAL("\x0a\xff\xff"), memory, &principal, NULL),
				 FB_MALFORMED_MESSAGE);

	/* expiry is a separate check */
	CHECK(!identity_expired(client, 1795176000) && identity_expired(client, 3000000000));
	identity_destroy(client);
	identity_destroy(peer);
	msp_destroy(msp);
}

/* ---- attributes ---- */

static void
check_attributes(const char *json, const char *expected)
{
	static CryptoPrivateKey *key;
	static CryptoPublicKey *public_key;
	CryptoTemplate template = {.subject = {.common_name = FB_BYTES_LITERAL("a")},
							   .not_before = 0,
							   .not_after = 1,
							   .attributes_json = fb_bytes_of_text(json == NULL ? "" : json)};
	CryptoCertificate *certificate;
	CertificateAttribute *attributes;
	size_t count;
	FbBytes pem;
	FbStatus status;
	char text[512] = "";

	if (json == NULL)
	{
		crypto_private_key_free(key);
		crypto_public_key_free(public_key);
		return;
	}
	if (key == NULL)
	{
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &key, NULL), FB_OK);
		CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	}
	CHECK_STATUS(crypto_certificate_issue(&template, public_key, NULL, key, memory, &pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &certificate, NULL), FB_OK);
	status = certificate_attributes(certificate, memory, &attributes, &count, NULL);
	if (status != FB_OK)
		snprintf(text, sizeof(text), "%s", fb_status_name(status));
	else
		for (size_t i = 0; i < count; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s=%.*s;",
					 (int) attributes[i].name.size, (const char *) attributes[i].name.data,
					 (int) attributes[i].value.size, (const char *) attributes[i].value.data);
	CHECK_TEXT(text, expected);
	crypto_certificate_free(certificate);
}

static void
test_attributes(void)
{
	CryptoCertificate *certificate;
	const char *client_id;
	FbBytes value;
	bool found;
	CertificateAttribute attributes[3] = {
		{FB_BYTES_LITERAL("z"), FB_BYTES_LITERAL("<&>\"\\\n\x01\xe2\x80\xa8\xc3\xa9")},
		{FB_BYTES_LITERAL("a"), FB_BYTES_EMPTY},
		{FB_BYTES_LITERAL("\xff"), FB_BYTES_EMPTY},
	};
	FbBytes json;
	static const char *const malformed[] = {
		"",
		" ",
		"{",
		"}",
		"{}x",
		"[]",
		"1",
		"\"a\"",
		"{\"attrs\":1}",
		"{\"attrs\":{\"a\":1}}",
		"{\"attrs\":{\"a\":\"b\"}",
		"{\"attrs\":{\"a\":\"b\",}}",
		"{\"attrs\":{\"a\":\"b\"},}",
		"{\"attrs\":[\"a\"]}",
		"{\"attrs\":{a:\"b\"}}",
		"{\"attrs\":{\"a\":\"\\x\"}}",
		"{\"attrs\":{\"a\":\"\\u12\"}}",
		"{\"attrs\":{\"a\":\"b}}",
		"{\"attrs\":{\"a\":\"\t\"}}",
		"{\"x\":01}",
		"{\"x\":1.}",
		"{\"x\":-}",
		"{\"x\":1e}",
		"{\"x\":tru}",
		"{\"x\":[1,]}",
		"{\"x\"}",
		"{\"attrs\":{\"a\":{}}}",
		"\\",
	};

	certificate = NULL;
	CHECK_STATUS(
		crypto_certificate_parse(
			file(ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem"),
			&certificate, NULL),
		FB_OK);
	CHECK_STATUS(certificate_client_id(certificate, memory, &client_id, NULL), FB_OK);
	CHECK_TEXT(
		client_id,
		"eDUwOTo6Q049VXNlcjFAb3JnMS5leGFtcGxlLmNvbSxPVT1jbGllbnQsTD1TYW4gRnJhbmNpc2NvLFNUPUNhbGlmb3JuaWEsQz1VUzo6Q049Y2Eub3JnMS5leGFt"
		"cGxlLmNvbSxPPW9yZzEuZXhhbXBsZS5jb20sTD1TYW4gRnJhbmNpc2NvLFNUPUNhbGlmb3JuaWEsQz1VUw==");
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(!found);
	crypto_certificate_free(certificate);

	CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(found && fb_bytes_equal(value, FB_BYTES_LITERAL("auditor \xc3\xa9")));
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("Role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(!found);
	crypto_certificate_free(certificate);

	check_attributes("{\"attrs\":{\"a\":\"b\",\"c\":\"\"}}", "a=b;c=;");
	check_attributes(" { \"ATTRS\" : { \"a\" : \"b\" , \"a\" : \"c\" } } ", "a=c;");
	check_attributes("{\"attrs\":{\"a\":null},\"attrs\":{\"b\":\"2\"}}", "a=;b=2;");
	check_attributes("{\"attrs\":null}", "");
	check_attributes("null", "");
	check_attributes("{}", "");
	check_attributes(
		"{\"x\":[1,-0.5e+3,{\"y\":[true,false,null,\"z\"]},[],{}],\"attrs\":{\"a\":\"b\"}}",
		"a=b;");
	check_attributes(
		"{\"attrs\":{\"\\u0061\\\"\\\\\\/\\n\":\"\\u00e9\\u20ac\\ud83d\\ude00\\ud83dx\\ude00\"}}",
		"a\"\\/\n=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd;");
	check_attributes("{\"attrs\":{\"a\":\"\xc3\xa9\xff\xe2\x82\"}}",
					 "a=\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd;");
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		if (malformed[i][0] != '\0')
			check_attributes(malformed[i], "FB_INVALID_CERTIFICATE");
	{
		FbBuffer deep;

		fb_buffer_init(&deep, memory);
		fb_buffer_append_text(&deep, "{\"x\":");
		for (int i = 0; i < 2000; i++)
			fb_buffer_append_byte(&deep, '[');
		fb_buffer_append_byte(&deep, '\0');
		check_attributes((const char *) deep.data, "FB_INVALID_CERTIFICATE");
	}
	check_attributes(NULL, NULL);

	CHECK_STATUS(attributes_make(attributes, 2, memory, &json, NULL), FB_OK);
	CHECK(fb_bytes_equal(
		json,
		FB_BYTES_LITERAL(
			"{\"attrs\":{\"a\":\"\",\"z\":\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\\u2028\xc3\xa9\"}}")));
	CHECK_STATUS(attributes_make(attributes, 3, memory, &json, NULL), FB_INVALID_ARGUMENT);
	attributes[0].name = attributes[1].name;
	CHECK_STATUS(attributes_make(attributes, 2, memory, &json, NULL), FB_INVALID_ARGUMENT);
	CHECK_STATUS(attributes_make(attributes, 0, memory, &json, NULL), FB_OK);
	CHECK(fb_bytes_equal(json, FB_BYTES_LITERAL("{\"attrs\":{}}")));
}

/* ---- signer ---- */

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
	CHECK_TEXT(signer_msp_id(signer), "TestMSP");
	CHECK_TEXT(crypto_certificate_common_name(signer_certificate(signer)), "peer0");
	CHECK_STATUS(signer_sign(signer, FB_BYTES_LITERAL("a message"), memory, &signature, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, signer_identity(signer), memory, &identity, NULL), FB_OK);
	CHECK_STATUS(identity_verify(identity, FB_BYTES_LITERAL("a message"), signature, NULL), FB_OK);
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

/* ---- the cache ---- */

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
	const Identity *b;
	const Identity *c;
	FbBytes peer = serialized("TestMSP", x509("peer"));
	FbBytes client = serialized("TestMSP", x509("client"));
	FbBytes escape = serialized("TestMSP", x509("escape"));
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
	/* invalid bytes are examined once, and refused each time */
	{
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
		CHECK_STATUS(msp_manager_identity(manager, serialized("OtherMSP", x509("client")), &b,
										  NULL),
					 FB_UNKNOWN_MSP);
		CHECK_STATUS(msp_manager_identity(manager, revoked, &b, NULL), FB_CERTIFICATE_REVOKED);
		CHECK(msp_manager_checks_count(manager) == before + 4);
	}
	/* failures are returned, and are not stored as identities */
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
	CHECK(msp_manager_identities_count(manager) == 3);
	msp_manager_trim(manager);
	msp_manager_trim(manager);
	CHECK(msp_manager_identities_count(manager) == 2);
	msp_manager_destroy(manager);
	msp_manager_destroy(NULL);
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
		CHECK(fb_bytes_equal(identity_serialized(identity), who[one]));
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

/* ---- the real network ---- */

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

static void
test_real_blocks(void)
{
	static const int numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15};
	MspManager *manager = real_manager();
	int transactions = 0;
	int endorsements_checked = 0;

	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
	{
		char path[64];
		Common__Block *block;
		Common__Metadata *metadata;
		const Identity *identity;

		snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", numbers[n]);
		CHECK_STATUS(PROTO_UNPACK(common__block, file(path), memory, &block, NULL), FB_OK);
		/* the orderer's signature: value, signature header, block header */
		CHECK_STATUS(PROTO_UNPACK(common__metadata, proto_bytes(block->metadata->metadata[0]),
								  memory, &metadata, NULL),
					 FB_OK);
		CHECK(metadata->n_signatures == 1);
		for (size_t i = 0; i < metadata->n_signatures; i++)
		{
			Common__SignatureHeader *header;
			FbBytes parts[3] = {proto_bytes(metadata->value),
								proto_bytes(metadata->signatures[i]->signature_header),
								header_der(block->header)};

			CHECK_STATUS(PROTO_UNPACK(common__signature_header, parts[1], memory, &header, NULL),
						 FB_OK);
			CHECK_STATUS(msp_manager_identity(manager, proto_bytes(header->creator), &identity,
											  NULL),
						 FB_OK);
			CHECK(identity_has_role(identity, IDENTITY_ORDERER) &&
				  identity_role(identity) == IDENTITY_ORDERER);
			CHECK_STATUS(identity_verify_parts(identity, parts, 3,
											   proto_bytes(metadata->signatures[i]->signature),
											   NULL),
						 FB_OK);
		}
		for (size_t t = 0; t < block->data->n_data; t++)
		{
			Common__Envelope *envelope;
			Common__Payload *payload;
			Common__SignatureHeader *header;
			Protos__Transaction *transaction;

			CHECK_STATUS(PROTO_UNPACK(common__envelope, proto_bytes(block->data->data[t]), memory,
									  &envelope, NULL),
						 FB_OK);
			CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), memory,
									  &payload, NULL),
						 FB_OK);
			CHECK_STATUS(PROTO_UNPACK(common__signature_header,
									  proto_bytes(payload->header->signature_header), memory,
									  &header, NULL),
						 FB_OK);
			CHECK_STATUS(msp_manager_identity(manager, proto_bytes(header->creator), &identity,
											  NULL),
						 FB_OK);
			CHECK_STATUS(identity_verify(identity, proto_bytes(envelope->payload),
										 proto_bytes(envelope->signature), NULL),
						 FB_OK);
			CHECK(identity_has_role(identity, IDENTITY_CLIENT) ||
				  identity_has_role(identity, IDENTITY_ADMIN));
			CHECK_STATUS(PROTO_UNPACK(protos__transaction, proto_bytes(payload->data), memory,
									  &transaction, NULL),
						 FB_OK);
			transactions++;
			for (size_t k = 0; k < transaction->n_actions; k++)
			{
				Protos__ChaincodeActionPayload *action;

				CHECK_STATUS(PROTO_UNPACK(protos__chaincode_action_payload,
										  proto_bytes(transaction->actions[k]->payload), memory,
										  &action, NULL),
							 FB_OK);
				for (size_t e = 0; e < action->action->n_endorsements; e++)
				{
					Protos__Endorsement *endorsement = action->action->endorsements[e];
					FbBytes parts[2] = {proto_bytes(action->action->proposal_response_payload),
										proto_bytes(endorsement->endorser)};
					FbBytes signature = proto_bytes(endorsement->signature);

					CHECK_STATUS(msp_manager_identity(manager, parts[1], &identity, NULL), FB_OK);
					CHECK(identity_role(identity) == IDENTITY_PEER);
					CHECK_STATUS(identity_verify_parts(identity, parts, 2, signature, NULL), FB_OK);
					CHECK_STATUS(identity_verify_parts(identity, parts, 1, signature, NULL),
								 FB_INVALID_SIGNATURE);
					endorsements_checked++;
				}
			}
		}
	}
	CHECK(transactions > 20 && endorsements_checked > 20);
	CHECK(msp_manager_identities_count(manager) < 12);
	{
		FbBytes pem =
			file(ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
		FbBytes key = file(ORG1 "users/User1@org1.example.com/msp/keystore/priv_sk");
		const Identity *identity;
		Signer *signer;
		FbBytes signature;
		CryptoCertificate *tls;
		const Msp *org1 = msp_manager_find(manager, "Org1MSP");

		/*
		 * cryptogen's certificates are low-S already: the id is the plain fingerprint, as `openssl
		 * x509 -fingerprint -sha256` prints it.
		 */
		CHECK_STATUS(msp_manager_identity(manager, serialized("Org1MSP", pem), &identity, NULL),
					 FB_OK);
		CHECK_TEXT(identity_id(identity),
				   "29082cf05c39fdae62abd43a22545164ea88d61fe7d68843e4684aab0993b8b3");
		CHECK_STATUS(signer_create("Org1MSP", pem, key, memory, &signer, NULL), FB_OK);
		CHECK(fb_bytes_equal(signer_identity(signer), identity_serialized(identity)));
		CHECK_STATUS(signer_sign(signer, FB_BYTES_LITERAL("x"), memory, &signature, NULL), FB_OK);
		CHECK_STATUS(identity_verify(identity, FB_BYTES_LITERAL("x"), signature, NULL), FB_OK);
		signer_destroy(signer);

		/* TLS certificates have CAs of their own */
		CHECK(msp_tls_roots_count(org1) == 1 && msp_roots_count(org1) == 1);
		CHECK(!fb_bytes_equal(crypto_certificate_der(msp_tls_root(org1, 0)),
							  crypto_certificate_der(msp_root(org1, 0))));
		CHECK_STATUS(crypto_certificate_parse(file(ORG1
												   "peers/peer0.org1.example.com/tls/server.crt"),
											  &tls, NULL),
					 FB_OK);
		CHECK_STATUS(msp_check_tls_certificate(org1, tls, crypto_certificate_not_before(tls) + 1,
											   NULL),
					 FB_OK);
		CHECK_STATUS(msp_check_tls_certificate(org1, tls, crypto_certificate_not_after(tls) + 1,
											   NULL),
					 FB_CERTIFICATE_EXPIRED);
		CHECK_STATUS(msp_check_tls_certificate(org1, identity_certificate(identity),
											   crypto_certificate_not_before(tls) + 1, NULL),
					 FB_INVALID_CERTIFICATE);
		crypto_certificate_free(tls);
		/* an organization does not accept identities of another one */
		CHECK_STATUS(msp_manager_identity(manager, serialized("Org2MSP", pem), &identity, NULL),
					 FB_INVALID_IDENTITY);
	}
	msp_manager_destroy(manager);
}

/* ---- the n-th allocation fails ---- */

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
		status = principal_unpack(principal_bytes, allocator, &principal, NULL);
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
	Common__MSPPrincipal outer = COMMON__MSPPRINCIPAL__INIT;
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
	outer.principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED;
	outer.principal = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&outer, memory, &bytes, NULL), FB_OK);
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
	CHECK_TEST(test_identities());
	CHECK_TEST(test_other_chains());
	CHECK_TEST(test_name_constraints());
	CHECK_TEST(test_host_names());
	CHECK_TEST(test_revocation_lists());
	CHECK_TEST(test_made_trees());
	CHECK_TEST(test_identity_id());
	CHECK_TEST(test_bad_definitions());
	CHECK_TEST(test_listed_ous());
	CHECK_TEST(test_role_principals());
	CHECK_TEST(test_other_principals());
	CHECK_TEST(test_attributes());
	CHECK_TEST(test_signer());
	CHECK_TEST(test_manager());
	CHECK_TEST(test_cache());
	CHECK_TEST(test_real_blocks());
	CHECK_TEST(test_out_of_memory());
	CHECK_TEST(test_nothing_is_kept());
	fb_arena_reset(&arena);
	return check_finish("identity");
}
