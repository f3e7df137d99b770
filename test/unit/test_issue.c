/* crypto: issued certificates and revocation lists, requests, allocations that fail */
#include "unit/x509_samples.h"

#define DAY 86400
#define TEST_TIME 1795176000

static void
test_issue(CryptoCurve curve)
{
	FbBytes ous[2] = {FB_BYTES_LITERAL("client"), FB_BYTES_LITERAL("audit")};
	FbBytes names[3] = {FB_BYTES_LITERAL("node1.example.com"), FB_BYTES_LITERAL("127.0.0.1"),
						FB_BYTES_LITERAL("2001:db8::1")};
	CryptoTemplate template = {.subject = {.country = FB_BYTES_LITERAL("DE"),
										   .organization = FB_BYTES_LITERAL("\xc3\x9c"
																			"ber Org"),
										   .common_name = FB_BYTES_LITERAL("ca.org")},
							   .not_before = TEST_TIME,
							   .not_after = TEST_TIME + 3650LL * DAY,
							   .is_ca = true,
							   .path_length = -1};
	CryptoPrivateKey *ca_key;
	CryptoPrivateKey *key;
	CryptoPublicKey *ca_public;
	CryptoCertificate *ca;
	CryptoCertificate *leaf;
	CryptoCsr *csr;
	CryptoCrl *crl;
	CryptoTrust trust;
	CryptoChain chain;
	FbBytes pem;
	FbBytes value;
	FbBytes *hosts;
	CryptoName name;
	size_t count;
	CryptoRevocation revocations[2];

	CHECK_STATUS(crypto_private_key_generate(curve, &ca_key, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(ca_key, &ca_public, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_issue(&template, ca_public, NULL, ca_key, memory, &pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &ca, NULL), FB_OK);
	CHECK(crypto_certificate_is_ca(ca));
	CHECK(ca->key_usage ==
		  (CRYPTO_USAGE_DIGITAL_SIGNATURE | CRYPTO_USAGE_CERTIFICATE_SIGN | CRYPTO_USAGE_CRL_SIGN));
	CHECK_TEXT(crypto_certificate_subject(ca), "CN=ca.org,O=\xc3\x9c"
											   "ber Org,C=DE");
	CHECK_TEXT(crypto_certificate_issuer(ca), crypto_certificate_subject(ca));
	CHECK_STATUS(crypto_certificate_check_signature(ca, ca, NULL), FB_OK);
	CHECK(crypto_certificate_serial(ca).size == 16);
	CHECK(fb_bytes_equal(crypto_certificate_ski(ca), crypto_certificate_aki(ca)));
	CHECK_STATUS(crypto_certificate_normalized_der(ca, ca, memory, &value, NULL), FB_OK);
	CHECK(fb_bytes_equal(value, crypto_certificate_der(ca)));

	/* a leaf from a request */
	CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &key, NULL), FB_OK);
	template.subject.common_name = FB_BYTES_LITERAL("alice");
	CHECK_STATUS(request_make(&template.subject, names, 3, key, memory, &pem, NULL), FB_OK);
	CHECK_STATUS(crypto_csr_parse(pem, &csr, NULL), FB_OK);
	CHECK(crypto_private_key_matches(key, crypto_csr_public_key(csr)));
	if (CHECK(crypto_csr_dns_names_count(csr) == 3))
	{
		CHECK(fb_bytes_equal(crypto_csr_dns_name(csr, 0), names[0]));
		CHECK(fb_bytes_equal(crypto_csr_dns_name(csr, 1), names[1]));
		CHECK(
			fb_bytes_equal(crypto_csr_dns_name(csr, 2), FB_BYTES_LITERAL("2001:db8:0:0:0:0:0:1")));
	}
	template.subject.ous = ous;
	template.subject.ous_count = 2;
	template.is_ca = false;
	template.is_tls = true;
	template.dns_names = names;
	template.dns_names_count = 3;
	template.attributes_json = FB_BYTES_LITERAL("{\"attrs\":{\"a\":\"b\"}}");
	template.serial = FB_BYTES_LITERAL("\x80\x01");
	template.not_after = 2600000000LL; /* years from 2050 on: GeneralizedTime */
	CHECK_STATUS(crypto_certificate_issue(&template, crypto_csr_public_key(csr), ca, ca_key, memory,
										  &pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &leaf, NULL), FB_OK);
	CHECK_HEX(crypto_certificate_serial(leaf), "8001");
	CHECK(crypto_certificate_not_after(leaf) == 2600000000LL);
	CHECK(!crypto_certificate_is_ca(leaf) && crypto_certificate_ous_count(leaf) == 2);
	CHECK(fb_bytes_equal(crypto_certificate_ou(leaf, 1), FB_BYTES_LITERAL("audit")));
	CHECK(leaf->key_usage == (CRYPTO_USAGE_DIGITAL_SIGNATURE | CRYPTO_USAGE_KEY_ENCIPHERMENT));
	CHECK(crypto_certificate_extension(leaf, CRYPTO_OID_ATTRIBUTES, &value) &&
		  fb_bytes_equal(value, template.attributes_json));
	CHECK(crypto_certificate_extension(leaf, "2.5.29.17", &value) &&
		  value.size == 2 + 2 + 17 + 6 + 18);
	CHECK_STATUS(crypto_certificate_hosts(leaf, memory, &hosts, &count, NULL), FB_OK);
	if (CHECK(count == 3))
	{
		CHECK(fb_bytes_equal(hosts[0], names[0]) && fb_bytes_equal(hosts[1], names[1]));
		CHECK(fb_bytes_equal(hosts[2], FB_BYTES_LITERAL("2001:db8:0:0:0:0:0:1")));
	}
	CHECK_STATUS(crypto_certificate_hosts(ca, memory, &hosts, &count, NULL), FB_OK);
	CHECK(count == 0);
	CHECK_STATUS(crypto_certificate_name(leaf, memory, &name, NULL), FB_OK);
	CHECK(fb_bytes_equal(name.country, template.subject.country) &&
		  fb_bytes_equal(name.organization, template.subject.organization));
	CHECK(fb_bytes_equal(name.common_name, template.subject.common_name) &&
		  name.province.size == 0 && name.locality.size == 0);
	CHECK(fb_bytes_equal(crypto_certificate_aki(leaf), crypto_certificate_ski(ca)));
	trust = (CryptoTrust) {&ca, 1, NULL, 0};
	CHECK_STATUS(crypto_chain_find(leaf, &trust, TEST_TIME + 1, &chain, &count, NULL), FB_OK);
	CHECK(count == 1 && chain.length == 2);

	/* revocation list, with numbers at the edges of DER's INTEGER */
	for (uint64_t number = 0; number < 70000; number = number == 0 ? 1 : number * 2 + (number & 1))
	{
		revocations[0] = (CryptoRevocation) {crypto_certificate_serial(leaf), TEST_TIME, 1};
		revocations[1] = (CryptoRevocation) {FB_BYTES_LITERAL("\x05"), TEST_TIME, -1};
		CHECK_STATUS(crypto_crl_issue(ca, ca_key, revocations, 2, TEST_TIME, TEST_TIME + DAY,
									  number, memory, &pem, NULL),
					 FB_OK);
		CHECK_STATUS(crypto_crl_parse(pem, &crl, NULL), FB_OK);
		CHECK_STATUS(crypto_crl_check_signature(crl, ca, NULL), FB_OK);
		CHECK(crypto_crl_lists(crl, crypto_certificate_serial(leaf)) &&
			  crypto_crl_lists(crl, FB_BYTES_LITERAL("\0\x05")));
		CHECK(!crypto_crl_lists(crl, crypto_certificate_serial(ca)));
		CHECK(fb_bytes_equal(crypto_crl_aki(crl), crypto_certificate_ski(ca)));
		crypto_crl_free(crl);
	}
	CHECK_STATUS(crypto_crl_issue(ca, ca_key, NULL, 0, TEST_TIME, TEST_TIME + DAY, UINT64_MAX,
								  memory, &pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_crl_parse(pem, &crl, NULL), FB_OK);
	crypto_crl_free(crl);

	/* invalid input is refused */
	CHECK_STATUS(crypto_certificate_issue(&template, crypto_csr_public_key(csr), ca, key, memory,
										  &pem, NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(crypto_certificate_issue(&template, crypto_csr_public_key(csr), leaf, key, memory,
										  &pem, NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(crypto_certificate_issue(&template, crypto_csr_public_key(csr), NULL, ca_key,
										  memory, &pem, NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(crypto_crl_issue(leaf, key, NULL, 0, TEST_TIME, TEST_TIME + DAY, 1, memory, &pem,
								  NULL),
				 FB_INVALID_KEY);
	CHECK_STATUS(crypto_crl_issue(ca, ca_key, NULL, 0, TEST_TIME, TEST_TIME, 1, memory, &pem, NULL),
				 FB_INVALID_ARGUMENT);
	revocations[0].reason = 7;
	CHECK_STATUS(crypto_crl_issue(ca, ca_key, revocations, 1, TEST_TIME, TEST_TIME + DAY, 1, memory,
								  &pem, NULL),
				 FB_INVALID_ARGUMENT);
	{
		CryptoTemplate bad = template;
		char long_name[100];

		bad.not_after = bad.not_before;
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
		bad = template;
		memset(long_name, 'x', sizeof(long_name));
		bad.subject.common_name = fb_bytes(long_name, sizeof(long_name));
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
		bad = template;
		bad.subject = (CryptoName) {0};
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
		bad = template;
		bad.subject.organization = FB_BYTES_LITERAL("\xff");
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
		bad = template;
		bad.serial = FB_BYTES_LITERAL("012345678901234567890");
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
		bad = template;
		names[0] = FB_BYTES_LITERAL("with space");
		CHECK_STATUS(crypto_certificate_issue(&bad, crypto_csr_public_key(csr), ca, ca_key, memory,
											  &pem, NULL),
					 FB_INVALID_ARGUMENT);
	}
	crypto_csr_free(csr);
	crypto_certificate_free(ca);
	crypto_certificate_free(leaf);
	crypto_private_key_free(key);
	crypto_private_key_free(ca_key);
	crypto_public_key_free(ca_public);
}

static void
test_csr_of_openssl(void)
{
	FbBytes pem = read_x509("bob.csr");
	CryptoPrivateKey *key = load_key("client.key");
	CryptoCsr *csr;

	CHECK_STATUS(crypto_csr_parse(pem, &csr, NULL), FB_OK);
	CHECK(crypto_private_key_matches(key, crypto_csr_public_key(csr)));
	CHECK(crypto_csr_dns_names_count(csr) == 2);
	CHECK(fb_bytes_equal(crypto_csr_dns_name(csr, 0), FB_BYTES_LITERAL("bob.example.com")));
	CHECK(fb_bytes_equal(crypto_csr_dns_name(csr, 1), FB_BYTES_LITERAL("10.0.0.7")));
	crypto_csr_free(csr);
	/* another subject under the same signature */
	for (size_t i = 0; i + 1 < pem.size; i++)
		if (memcmp(pem.data + i, "\nM", 2) == 0)
		{
			((uint8_t *) pem.data)[i + 30] ^= 1;
			break;
		}
	CHECK(crypto_csr_parse(pem, &csr, NULL) != FB_OK);
	free((void *) pem.data);
	crypto_private_key_free(key);
}

/* every function that takes an allocator, with the n-th allocation failing */
static void
test_out_of_memory(void)
{
	CryptoPrivateKey *key = load_key("peer.key");
	CryptoPublicKey *public_key;
	CryptoCertificate *client = load("client");
	CryptoCertificate *inter = load("inter");
	CryptoCertificate *ca;
	FbBytes names[1] = {FB_BYTES_LITERAL("a.example.com")};
	CryptoTemplate template = {.subject = {.common_name = FB_BYTES_LITERAL("ca")},
							   .not_before = TEST_TIME,
							   .not_after = TEST_TIME + DAY,
							   .is_ca = true,
							   .dns_names = names,
							   .dns_names_count = 1};
	CryptoRevocation revocation = {FB_BYTES_LITERAL("\x05"), TEST_TIME, 1};
	FbBytes pem;
	FbBytes bytes;
	FbBytes ca_pem;
	FbArena kept;

	fb_arena_init(&kept);
	CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_issue(&template, public_key, NULL, key, &kept.allocator,
										  &ca_pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(ca_pem, &ca, NULL), FB_OK);
#define WALK(call, cleanup)                                  \
	do                                                       \
	{                                                        \
		FbStatus status = FB_OUT_OF_MEMORY;                  \
		for (size_t n = 1; n < 1000 && status != FB_OK; n++) \
		{                                                    \
			fb_arena_reset(&arena);                          \
			arena.fail_at = n;                               \
			status = (call);                                 \
			if (status != FB_OK)                             \
				CHECK_STATUS(status, FB_OUT_OF_MEMORY);      \
			else                                             \
			{                                                \
				CHECK(n > 1);                                \
				cleanup;                                     \
			}                                                \
		}                                                    \
		CHECK_STATUS(status, FB_OK);                         \
		arena.fail_at = 0;                                   \
		fb_arena_reset(&arena);                              \
	} while (0)
	WALK(crypto_sign(key, FB_BYTES_LITERAL("x"), memory, &bytes, NULL), (void) 0);
	WALK(crypto_private_key_pem(key, memory, &bytes, NULL), (void) 0);
	WALK(crypto_certificate_pem(client, memory, &bytes, NULL), (void) 0);
	WALK(crypto_certificate_normalized_der(client, inter, memory, &bytes, NULL), (void) 0);
	WALK(crypto_certificate_issue(&template, public_key, NULL, key, memory, &pem, NULL), (void) 0);
	WALK(crypto_crl_issue(ca, key, &revocation, 1, TEST_TIME, TEST_TIME + DAY, 1, memory, &pem,
						  NULL),
		 (void) 0);
#undef WALK
	crypto_certificate_free(ca);
	crypto_certificate_free(client);
	crypto_certificate_free(inter);
	crypto_public_key_free(public_key);
	crypto_private_key_free(key);
	fb_arena_reset(&kept);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_issue(CRYPTO_P256));
	CHECK_TEST(test_issue(CRYPTO_P384));
	CHECK_TEST(test_csr_of_openssl());
	CHECK_TEST(test_out_of_memory());
	fb_arena_reset(&arena);
	return check_finish("crypto/issue");
}
