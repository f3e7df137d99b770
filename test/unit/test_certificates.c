/* crypto: certificates, their chains, and lists of revoked ones */
#include "unit/x509_samples.h"

#define ORG1 "test/vectors/crypto/peerOrganizations/org1.example.com/"

static void
test_certificate_fields(void)
{
	CryptoCertificate *user = load_path(
		ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
	CryptoCertificate *ca = load_path(ORG1 "ca/ca.org1.example.com-cert.pem");
	CryptoCertificate *client = load("client");
	CryptoCertificate *escape = load("escape");
	CryptoCertificate *rsa = load("rsaleaf");
	CryptoCertificate *k1 = load("k1leaf");
	FbBytes value;

	CHECK_TEXT(crypto_certificate_subject(user),
			   "CN=User1@org1.example.com,OU=client,L=San Francisco,ST=California,C=US");
	CHECK_TEXT(crypto_certificate_issuer(user),
			   "CN=ca.org1.example.com,O=org1.example.com,L=San Francisco,ST=California,C=US");
	CHECK_TEXT(crypto_certificate_common_name(user), "User1@org1.example.com");
	CHECK_HEX(crypto_certificate_serial(user), "2951bb4c1b979036055c06a32a5b446f");
	CHECK(crypto_certificate_ous_count(user) == 1);
	CHECK(fb_bytes_equal(crypto_certificate_ou(user, 0), FB_BYTES_LITERAL("client")));
	CHECK(crypto_certificate_not_before(user) == 1795176000); /* 2026-11-20 12:00:00 UTC */
	CHECK(crypto_certificate_not_after(user) == 2110536000);  /* 2036-11-17 12:00:00 UTC */
	CHECK(crypto_certificate_ski(user).size == 0);
	CHECK_HEX(crypto_certificate_aki(user),
			  "2e79c0cca33fdf26caeb87878ff6b86752aae96f28872ad69a50cdc430208809");
	CHECK(fb_bytes_equal(crypto_certificate_aki(user), crypto_certificate_ski(ca)));
	CHECK(fb_bytes_equal(crypto_certificate_issuer_der(user), crypto_certificate_subject_der(ca)));
	CHECK(!crypto_certificate_is_ca(user) && crypto_certificate_is_ca(ca));
	CHECK(user->key_usage == CRYPTO_USAGE_DIGITAL_SIGNATURE);
	CHECK(ca->key_usage == (CRYPTO_USAGE_DIGITAL_SIGNATURE | CRYPTO_USAGE_KEY_ENCIPHERMENT |
							CRYPTO_USAGE_CERTIFICATE_SIGN | CRYPTO_USAGE_CRL_SIGN));
	CHECK(!crypto_certificate_extension(user, CRYPTO_OID_ATTRIBUTES, &value));
	CHECK(crypto_certificate_extension(client, CRYPTO_OID_ATTRIBUTES, &value));
	CHECK(fb_bytes_equal(
		value, FB_BYTES_LITERAL(
				   "{\"attrs\":{\"hf.EnrollmentID\":\"alice\",\"role\":\"auditor \xc3\xa9\"}}")));
	CHECK(!crypto_certificate_extension(client, "no oid", &value));
	/* several values of one kind belong together; special characters are escaped */
	CHECK_TEXT(crypto_certificate_subject(client),
			   "CN=alice,OU=client+OU=department1,O=Hyperledger,ST=North Carolina,C=US");
	CHECK_TEXT(
		crypto_certificate_subject(escape),
		"CN=\\ a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h#\xc3\xa9\\ ,OU=client,O=Hyperledger,ST=North Carolina,C=US");
	CHECK_TEXT(crypto_certificate_issuer(client),
			   "CN=ica.org.example.com,OU=ca,O=org.example.com,C=US");
	/* keys that may not sign transactions can still be in certificates */
	CHECK(crypto_certificate_public_key(rsa) == NULL && crypto_certificate_public_key(k1) == NULL);
	/* SKI of the key as Fabric names it in keystores */
	CHECK(crypto_public_key_point(crypto_certificate_public_key(user)).size == 65);

	crypto_certificate_free(user);
	crypto_certificate_free(ca);
	crypto_certificate_free(client);
	crypto_certificate_free(escape);
	crypto_certificate_free(rsa);
	crypto_certificate_free(k1);
}

static void
test_certificate_forms(void)
{
	CryptoCertificate *user = load_path(
		ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
	CryptoCertificate *ca = load_path(ORG1 "ca/ca.org1.example.com-cert.pem");
	CryptoCertificate *client = load("client");
	CryptoCertificate *escape = load("escape");
	CryptoCertificate *inter = load("inter");
	CryptoCertificate *root = load("root");
	FbBytes value;
	FbBytes pem;
	FbBytes file;

	file = check_read_file(ORG1 "ca/ca.org1.example.com-cert.pem");
	CHECK_STATUS(crypto_certificate_pem(ca, memory, &pem, NULL), FB_OK);
	CHECK(fb_bytes_equal(pem, file));
	free((void *) file.data);

	/* low-S form: cryptogen's certificates have it already, this one by openssl does not */
	CHECK_STATUS(crypto_certificate_normalized_der(user, ca, memory, &value, NULL), FB_OK);
	CHECK(fb_bytes_equal(value, crypto_certificate_der(user)));
	CHECK_STATUS(crypto_certificate_normalized_der(client, inter, memory, &value, NULL), FB_OK);
	CHECK(!fb_bytes_equal(value, crypto_certificate_der(client)));
	{
		CryptoCertificate *normalized;
		FbBytes again;

		CHECK_STATUS(crypto_certificate_parse(value, &normalized, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_check_signature(normalized, inter, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_normalized_der(normalized, inter, memory, &again, NULL),
					 FB_OK);
		CHECK(fb_bytes_equal(value, again));
		crypto_certificate_free(normalized);
	}
	CHECK_STATUS(crypto_certificate_check_signature(client, root, NULL), FB_INVALID_SIGNATURE);
	CHECK_STATUS(crypto_certificate_check_signature(inter, root, NULL), FB_OK);

	crypto_certificate_free(user);
	crypto_certificate_free(ca);
	crypto_certificate_free(client);
	crypto_certificate_free(escape);
	crypto_certificate_free(inter);
	crypto_certificate_free(root);
}

static void
test_changed_certificates(void)
{
	CryptoCertificate *peer = load("peer");
	CryptoCertificate *result;
	FbBytes der = crypto_certificate_der(peer);
	uint8_t *bad = malloc(der.size + 1);
	int accepted = 0;

	memcpy(bad, der.data, der.size);
	bad[der.size] = 0;
	CHECK_STATUS(crypto_certificate_parse(fb_bytes(bad, der.size + 1), &result, NULL),
				 FB_INVALID_CERTIFICATE);
	for (size_t size = 0; size < der.size; size++)
	{
		if (crypto_certificate_parse(fb_bytes(bad, size), &result, NULL) != FB_INVALID_CERTIFICATE)
			CHECK(!"a truncated certificate was accepted");
	}
	/*
	 * A flipped bit may leave a certificate well formed (then its signature is wrong), but must
	 * never do harm.
	 */
	for (size_t bit = 0; bit < der.size * 8; bit += 3)
	{
		bad[bit / 8] ^= 1 << bit % 8;
		if (crypto_certificate_parse(fb_bytes(bad, der.size), &result, NULL) == FB_OK)
		{
			CHECK(fb_bytes_equal(crypto_certificate_der(result), fb_bytes(bad, der.size)));
			crypto_certificate_free(result);
			accepted++;
		}
		else
			CHECK(result == NULL);
		bad[bit / 8] ^= 1 << bit % 8;
	}
	CHECK(accepted > 0);
	free(bad);
	crypto_certificate_free(peer);
}

/* too many bytes, bytes of another kind, text that only begins like a certificate */
static void
test_other_bytes(void)
{
	CryptoCertificate *peer = load("peer");
	CryptoCertificate *result;
	CryptoCrl *crl;
	CryptoCsr *csr;
	FbBytes der = crypto_certificate_der(peer);
	uint8_t *large = calloc(1, FB_CRL_BYTES_MAX + 1);

	CHECK_STATUS(crypto_certificate_parse(fb_bytes(large, FB_CERTIFICATE_BYTES_MAX + 1), &result,
										  NULL),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(crypto_crl_parse(fb_bytes(large, FB_CRL_BYTES_MAX + 1), &crl, NULL),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(crypto_crl_parse(der, &crl, NULL), FB_INVALID_CERTIFICATE);
	CHECK_STATUS(crypto_csr_parse(der, &csr, NULL), FB_INVALID_CERTIFICATE);
	CHECK_STATUS(crypto_csr_parse(fb_bytes(large, FB_CERTIFICATE_BYTES_MAX + 1), &csr, NULL),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(crypto_certificate_parse(
					 FB_BYTES_LITERAL(
						 "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
					 &result, NULL),
				 FB_INVALID_CERTIFICATE);
	CHECK_STATUS(crypto_certificate_parse(FB_BYTES_LITERAL("-----BEGIN CERTIFICATE-----\n"),
										  &result, NULL),
				 FB_INVALID_CERTIFICATE);
	free(large);
	crypto_certificate_free(peer);
}

/*
 * The trusted certificates (roots / intermediates by name), the certificate in question, the
 * verdict and the number of chains.
 */
static const struct
{
	const char *leaf;
	const char *roots[3];
	const char *intermediates[4];
	FbStatus status;
	size_t chains;
	size_t length;
} chain_cases[] = {
	{"peer", {"root"}, {"inter"}, FB_OK, 1, 3},
	{"peer", {"root", "root"}, {"inter", "inter"}, FB_OK, 1, 3},
	{"peer", {"root"}, {NULL}, FB_INVALID_CERTIFICATE},
	{"peer", {NULL}, {"root", "inter"}, FB_INVALID_CERTIFICATE},
	{"peer", {"inter"}, {NULL}, FB_OK, 1, 2},
	{"peer", {"root", "inter"}, {"inter"}, FB_OK, 2, 2},
	{"inter", {"root"}, {NULL}, FB_OK, 1, 2},
	{"root", {"root"}, {NULL}, FB_OK, 1, 1},
	{"peer", {"peer"}, {NULL}, FB_OK, 1, 1},
	{"expired", {"root"}, {"inter"}, FB_OK, 1, 3},
	{"early", {"root"}, {"inter"}, FB_CERTIFICATE_EXPIRED},
	{"stranger", {"root"}, {"inter"}, FB_INVALID_CERTIFICATE},
	{"twochains", {"root", "other"}, {"crossa", "crossb"}, FB_OK, 2, 3},
	{"twochains", {"root"}, {"crossa", "crossb"}, FB_OK, 1, 3},
	{"tlsclient", {"root"}, {"inter"}, FB_INVALID_CERTIFICATE},
	{"critical", {"root"}, {"inter"}, FB_INVALID_CERTIFICATE},
	{"lowleaf", {"root"}, {"upper", "lower"}, FB_OK, 1, 4},
	{"lowleaf", {"root"}, {"lower"}, FB_INVALID_CERTIFICATE},
	{"p384", {"root384"}, {NULL}, FB_OK, 1, 2},
	{"rsaissued", {"rootrsa"}, {NULL}, FB_OK, 1, 2},
};

static void
test_chains(void)
{
	for (size_t i = 0; i < sizeof(chain_cases) / sizeof(chain_cases[0]); i++)
	{
		CryptoCertificate *roots[3];
		CryptoCertificate *intermediates[4];
		CryptoTrust trust = {roots, 0, intermediates, 0};
		CryptoCertificate *leaf = load(chain_cases[i].leaf);
		CryptoChain chain;
		size_t count;

		while (trust.roots_count < 3 && chain_cases[i].roots[trust.roots_count] != NULL)
		{
			roots[trust.roots_count] = load(chain_cases[i].roots[trust.roots_count]);
			trust.roots_count++;
		}
		while (trust.intermediates_count < 4 &&
			   chain_cases[i].intermediates[trust.intermediates_count] != NULL)
		{
			intermediates[trust.intermediates_count] =
				load(chain_cases[i].intermediates[trust.intermediates_count]);
			trust.intermediates_count++;
		}
		if (!CHECK_STATUS(crypto_chain_find(leaf, &trust, crypto_certificate_not_before(leaf) + 1,
											&chain, &count, NULL),
						  chain_cases[i].status) ||
			!CHECK(count == chain_cases[i].chains) || !CHECK(chain.length == chain_cases[i].length))
			fprintf(stderr, "    case %zu, %s\n", i, chain_cases[i].leaf);
		if (chain_cases[i].status == FB_OK)
			CHECK(chain.certificates[0] == leaf);
		/* after the end of all validity periods there is no chain */
		if (strcmp(chain_cases[i].leaf, "critical") != 0)
			CHECK_STATUS(crypto_chain_find(leaf, &trust, 4000000000, &chain, &count, NULL),
						 FB_CERTIFICATE_EXPIRED);
		for (size_t k = 0; k < trust.roots_count; k++)
			crypto_certificate_free(roots[k]);
		for (size_t k = 0; k < trust.intermediates_count; k++)
			crypto_certificate_free(intermediates[k]);
		crypto_certificate_free(leaf);
	}
}

/*
 * The right certificate of many is the last that is tried, one too late, and the first: the result
 * found then counts.
 */
static void
test_many_issuers(void)
{
	enum
	{
		SAME = FB_CHAIN_SIGNATURE_CHECKS_MAX + 1
	};
	CryptoPrivateKey *keys[2];
	CryptoCertificate *same[SAME];
	CryptoTrust trust = {same, SAME, NULL, 0};

	for (int i = 0; i < 2; i++)
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &keys[i], NULL), FB_OK);
	for (size_t i = 0; i < SAME; i++)
		same[i] = issue("ca", true, keys[1], NULL, keys[1]);
	for (int place = 0; place < 3; place++)
	{
		size_t index = place == 0 ? SAME - 2 : place == 1 ? SAME - 1 : 0;
		CryptoCertificate *other = same[index];
		CryptoCertificate *leaf;
		CryptoChain chain;
		size_t count;

		same[index] = issue("ca", true, keys[0], NULL, keys[0]);
		leaf = issue("leaf", false, keys[0], same[index], keys[0]);
		trust.roots_count = place == 0 ? SAME - 1 : SAME;
		CHECK_STATUS(crypto_chain_find(leaf, &trust, 1500, &chain, &count, NULL),
					 place == 1 ? FB_LIMIT_EXCEEDED : FB_OK);
		CHECK(place == 1 ||
			  (count == 1 && chain.length == 2 && chain.certificates[1] == same[index]));
		crypto_certificate_free(leaf);
		crypto_certificate_free(same[index]);
		same[index] = other;
	}
	for (size_t i = 0; i < SAME; i++)
		crypto_certificate_free(same[i]);
	for (int i = 0; i < 2; i++)
		crypto_private_key_free(keys[i]);
}

static void
test_deep_chain(void)
{
	enum
	{
		DEEP = FB_CERTIFICATE_CHAIN_LENGTH_MAX
	};
	CryptoPrivateKey *keys[2];
	CryptoCertificate *deep[DEEP + 1];
	CryptoTrust trust = {deep, 1, deep + 1, DEEP};
	CryptoCertificate *leaf;
	CryptoChain chain;
	size_t count;

	for (int i = 0; i < 2; i++)
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &keys[i], NULL), FB_OK);
	for (size_t i = 0; i <= DEEP; i++)
	{
		char name[16];

		snprintf(name, sizeof(name), "ca %zu", i);
		deep[i] = issue(name, true, keys[0], i == 0 ? NULL : deep[i - 1], keys[0]);
	}
	for (size_t depth = DEEP - 2; depth < DEEP; depth++)
	{
		leaf = issue("leaf", false, keys[1], deep[depth], keys[0]);
		CHECK_STATUS(crypto_chain_find(leaf, &trust, 1500, &chain, &count, NULL),
					 depth == DEEP - 2 ? FB_OK : FB_INVALID_CERTIFICATE);
		CHECK(depth != DEEP - 2 || (count == 1 && chain.length == DEEP));
		crypto_certificate_free(leaf);
	}

	/* times: from the first second to the last */
	trust.intermediates_count = 0;
	leaf = issue("leaf", false, keys[1], deep[0], keys[0]);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 999, &chain, &count, NULL),
				 FB_CERTIFICATE_EXPIRED);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 1000, &chain, &count, NULL), FB_OK);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 2000, &chain, &count, NULL), FB_OK);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 2001, &chain, &count, NULL),
				 FB_CERTIFICATE_EXPIRED);
	crypto_certificate_free(leaf);
	for (size_t i = 0; i <= DEEP; i++)
		crypto_certificate_free(deep[i]);
	for (int i = 0; i < 2; i++)
		crypto_private_key_free(keys[i]);
}

static void
test_crl(void)
{
	CryptoCertificate *inter = load("inter");
	CryptoCertificate *other = load("other");
	CryptoCertificate *revoked = load("revoked");
	CryptoCertificate *peer = load("peer");
	FbBytes pem = read_x509("inter.crl");
	CryptoCrl *crl;

	CHECK_STATUS(crypto_crl_parse(pem, &crl, NULL), FB_OK);
	CHECK(fb_bytes_equal(crypto_crl_aki(crl), crypto_certificate_ski(inter)));
	CHECK_STATUS(crypto_crl_check_signature(crl, inter, NULL), FB_OK);
	CHECK_STATUS(crypto_crl_check_signature(crl, other, NULL), FB_INVALID_SIGNATURE);
	CHECK(crypto_crl_lists(crl, crypto_certificate_serial(revoked)));
	CHECK(!crypto_crl_lists(crl, crypto_certificate_serial(peer)));
	CHECK(!crypto_crl_lists(crl, FB_BYTES_EMPTY));
	crypto_crl_free(crl);
	free((void *) pem.data);
	crypto_certificate_free(inter);
	crypto_certificate_free(other);
	crypto_certificate_free(revoked);
	crypto_certificate_free(peer);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_certificate_fields());
	CHECK_TEST(test_certificate_forms());
	CHECK_TEST(test_changed_certificates());
	CHECK_TEST(test_other_bytes());
	CHECK_TEST(test_chains());
	CHECK_TEST(test_many_issuers());
	CHECK_TEST(test_deep_chain());
	CHECK_TEST(test_crl());
	fb_arena_reset(&arena);
	return check_finish("crypto/certificates");
}
