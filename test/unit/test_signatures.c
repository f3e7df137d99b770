/* crypto: hashes, keys, ECDSA signatures and their edges */
#include "unit/x509_samples.h"

static void
test_hash(void)
{
	uint8_t out[CRYPTO_SHA256_BYTES];
	uint8_t a[40] = {0};
	uint8_t b[40] = {0};
	FbBytes parts[3] = {FB_BYTES_LITERAL("a"), FB_BYTES_EMPTY, FB_BYTES_LITERAL("bc")};
	CryptoSha256 hash;

	crypto_sha256(FB_BYTES_LITERAL("abc"), out);
	CHECK_HEX(fb_bytes(out, 32),
			  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha256(FB_BYTES_EMPTY, out);
	CHECK_HEX(fb_bytes(out, 32),
			  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	crypto_sha256_parts(parts, 3, out);
	CHECK_HEX(fb_bytes(out, 32),
			  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha256_start(&hash);
	for (int i = 0; i < 1000000; i += 1000)
	{
		char chunk[1000];

		memset(chunk, 'a', sizeof(chunk));
		crypto_sha256_add(&hash, fb_bytes(chunk, sizeof(chunk)));
	}
	crypto_sha256_finish(&hash, out);
	CHECK_HEX(fb_bytes(out, 32),
			  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	CHECK_STATUS(crypto_random(a, sizeof(a), NULL), FB_OK);
	CHECK_STATUS(crypto_random(b, sizeof(b), NULL), FB_OK);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
}

/* the other signature of the pair (r, s), (r, n - s) */
static FbBytes
flip_s(FbBytes signature, CryptoCurve curve)
{
	const unsigned char *position = signature.data;
	ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &position, (long) signature.size);
	BIGNUM *order = NULL;
	BIGNUM *s = BN_new();
	BIGNUM *r = BN_dup(ECDSA_SIG_get0_r(parsed));
	unsigned char *out = NULL;
	FbBytes result;
	int size;

	BN_hex2bn(
		&order,
		curve == CRYPTO_P256
			? "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
			: "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973");
	BN_sub(s, order, ECDSA_SIG_get0_s(parsed));
	ECDSA_SIG_set0(parsed, r, s);
	size = i2d_ECDSA_SIG(parsed, &out);
	fb_bytes_copy(memory, fb_bytes(out, size), &result, NULL);
	OPENSSL_free(out);
	BN_free(order);
	ECDSA_SIG_free(parsed);
	return result;
}

static void
test_sign(CryptoCurve curve)
{
	CryptoPrivateKey *key;
	CryptoPrivateKey *again;
	CryptoPublicKey *public_key;
	CryptoPublicKey *other;
	FbBytes message = FB_BYTES_LITERAL("hello");
	FbBytes parts[2] = {FB_BYTES_LITERAL("hel"), FB_BYTES_LITERAL("lo")};
	FbBytes signature;
	FbBytes pem;
	FbBytes flipped;

	CHECK_STATUS(crypto_private_key_generate(curve, &key, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	CHECK(crypto_public_key_curve(public_key) == curve);
	CHECK(crypto_private_key_matches(key, public_key));
	CHECK(crypto_public_key_point(public_key).size == (curve == CRYPTO_P256 ? 65 : 97));
	/* often enough to meet scalars of every length that is not extremely rare */
	for (int i = 0; i < 300; i++)
	{
		uint8_t number = (uint8_t) i;
		uint8_t digest[CRYPTO_SHA256_BYTES];

		crypto_sha256(fb_bytes(&number, 1), digest);
		CHECK_STATUS(crypto_sign_digest(key, digest, memory, &signature, NULL), FB_OK);
		CHECK_STATUS(crypto_verify_digest(public_key, digest, signature, NULL), FB_OK);
		CHECK(signature.size <= CRYPTO_SIGNATURE_BYTES_MAX);
		flipped = flip_s(signature, curve);
		CHECK_STATUS(crypto_verify_digest(public_key, digest, flipped, NULL), FB_INVALID_SIGNATURE);
		CHECK_STATUS(crypto_signature_to_low_s(curve, flipped, memory, &flipped, NULL), FB_OK);
		CHECK(fb_bytes_equal(flipped, signature));
	}
	CHECK_STATUS(crypto_sign(key, message, memory, &signature, NULL), FB_OK);
	CHECK_STATUS(crypto_verify(public_key, message, signature, NULL), FB_OK);
	CHECK_STATUS(crypto_verify_parts(public_key, parts, 2, signature, NULL), FB_OK);
	CHECK_STATUS(crypto_verify(public_key, FB_BYTES_LITERAL("hellO"), signature, NULL),
				 FB_INVALID_SIGNATURE);

	/* through PEM and back */
	CHECK_STATUS(crypto_private_key_pem(key, memory, &pem, NULL), FB_OK);
	CHECK(pem.size > 27 && memcmp(pem.data, "-----BEGIN PRIVATE KEY-----", 27) == 0);
	CHECK_STATUS(crypto_private_key_parse(pem, &again, NULL), FB_OK);
	CHECK(crypto_private_key_matches(again, public_key));
	crypto_private_key_free(again);

	CHECK_STATUS(crypto_private_key_generate(curve, &again, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(again, &other, NULL), FB_OK);
	CHECK(!crypto_private_key_matches(key, other));
	CHECK_STATUS(crypto_verify(other, message, signature, NULL), FB_INVALID_SIGNATURE);
	crypto_public_key_free(other);
	crypto_private_key_free(again);
	crypto_public_key_free(public_key);
	crypto_private_key_free(key);
}

/* the private number of one of our keys */
static BIGNUM *
secret_of(const CryptoPrivateKey *key)
{
	BIGNUM *secret = NULL;
	EVP_PKEY *pkey;
	BIO *bio;
	FbBytes pem;

	CHECK_STATUS(crypto_private_key_pem(key, memory, &pem, NULL), FB_OK);
	bio = BIO_new_mem_buf(pem.data, (int) pem.size);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	CHECK(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &secret) == 1);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return secret;
}

/*
 * r = -e / d and any s: u1 * G + u2 * Q is the point at infinity, which OpenSSL reports as an
 * internal error. Every owner of a certificate can make such a signature, so it must be a wrong
 * signature and nothing else.
 */
static void
test_signature_of_infinity(CryptoCurve curve)
{
	CryptoPrivateKey *key;
	CryptoPublicKey *public_key;
	EC_GROUP *group =
		EC_GROUP_new_by_curve_name(curve == CRYPTO_P256 ? NID_X9_62_prime256v1 : NID_secp384r1);
	const BIGNUM *order = EC_GROUP_get0_order(group);
	BN_CTX *context = BN_CTX_new();
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *secret;
	BIGNUM *e;
	BIGNUM *r = BN_new();
	BIGNUM *s = BN_new();
	uint8_t digest[CRYPTO_SHA256_BYTES];
	unsigned char *der = NULL;
	FbBytes good;
	int size;
	FbError error;

	CHECK_STATUS(crypto_private_key_generate(curve, &key, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	secret = secret_of(key);
	crypto_sha256(FB_BYTES_LITERAL("hello"), digest);
	e = BN_bin2bn(digest, sizeof(digest), NULL);
	BN_mod_inverse(r, secret, order, context);
	BN_mod_mul(r, r, e, order, context);
	BN_sub(r, order, r);
	BN_set_word(s, 12345);
	ECDSA_SIG_set0(signature, r, s);
	size = i2d_ECDSA_SIG(signature, &der);
	CHECK_STATUS(crypto_verify_digest(public_key, digest, fb_bytes(der, size), &error),
				 FB_INVALID_SIGNATURE);
	CHECK_TEXT(error.message, "signature does not match");
	/* the key still works afterwards */
	CHECK_STATUS(crypto_sign_digest(key, digest, memory, &good, NULL), FB_OK);
	CHECK_STATUS(crypto_verify_digest(public_key, digest, good, NULL), FB_OK);
	OPENSSL_free(der);
	ECDSA_SIG_free(signature);
	BN_free(e);
	BN_clear_free(secret);
	BN_CTX_free(context);
	EC_GROUP_free(group);
	crypto_public_key_free(public_key);
	crypto_private_key_free(key);
}

static FbBytes
bytes_of_hex(const char *hex)
{
	uint8_t *bytes = fb_allocate(memory, strlen(hex) / 2);

	CHECK(fb_hex_decode(hex, strlen(hex), bytes));
	return fb_bytes(bytes, strlen(hex) / 2);
}

static const struct
{
	CryptoCurve curve;
	const char *s;	 /* content of its INTEGER */
	const char *low; /* the same in low form; NULL: no signature */
} scalar_edges[] = {
	{CRYPTO_P256, "01", "01"},
	{CRYPTO_P256, "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8",
	 "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"},
	{CRYPTO_P256, "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a9",
	 "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"},
	{CRYPTO_P256, "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550", "01"},
	{CRYPTO_P256, "7fffffff7fffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "7fffffff7fffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
	{CRYPTO_P256, "0080", "0080"},
	{CRYPTO_P256, "00ff", "00ff"},
	{CRYPTO_P256, "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", NULL},
	{CRYPTO_P256, "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552", NULL},
	{CRYPTO_P256, "010000000000000000000000000000000000000000000000000000000000000000", NULL},
	{CRYPTO_P256,
	 "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", NULL},
	{CRYPTO_P384, "01", "01"},
	{CRYPTO_P384,
	 "7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294b9",
	 "7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294b9"},
	{CRYPTO_P384,
	 "7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294ba",
	 "7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294b9"},
	{CRYPTO_P384,
	 "00ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52972",
	 "01"},
	{CRYPTO_P384,
	 "7fffffff7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "7fffffff7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
	{CRYPTO_P384, "0080", "0080"},
	{CRYPTO_P384, "00ff", "00ff"},
	{CRYPTO_P384,
	 "00ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
	 NULL},
	{CRYPTO_P384,
	 "00ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52974",
	 NULL},
	{CRYPTO_P384,
	 "01000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
	 NULL},
	{CRYPTO_P384,
	 "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 NULL},
	{CRYPTO_P256, "", NULL},
	{CRYPTO_P256, "00", NULL},
	{CRYPTO_P256, "0001", NULL}, /* not the shortest form */
	{CRYPTO_P256, "80", NULL},	 /* negative */
};

/* Signatures (1, s) at the limits of s: half of the order, rounded down, is the largest low one. */
static void
test_scalar_edges(void)
{
	for (size_t i = 0; i < sizeof(scalar_edges) / sizeof(scalar_edges[0]); i++)
	{
		for (int order = 0; order < 2; order++)
		{
			/* s as the second number, and as the first one, where it may be high */
			FbBytes s = bytes_of_hex(scalar_edges[i].s);
			FbBytes low = bytes_of_hex(scalar_edges[i].low == NULL ? ""
									   : order == 0				   ? scalar_edges[i].low
																   : scalar_edges[i].s);
			FbBytes made;
			uint8_t der[128];
			size_t size = 2;

			for (int number = 0; number < 2; number++)
			{
				FbBytes content = number == 1 - order ? s : FB_BYTES_LITERAL("\1");

				der[size++] = 0x02;
				der[size++] = (uint8_t) content.size;
				if (content.size > 0)
					memcpy(der + size, content.data, content.size);
				size += content.size;
			}
			der[0] = 0x30;
			der[1] = (uint8_t) (size - 2);
			if (!CHECK_STATUS(crypto_signature_to_low_s(scalar_edges[i].curve, fb_bytes(der, size),
														memory, &made, NULL),
							  scalar_edges[i].low == NULL ? FB_INVALID_SIGNATURE : FB_OK))
				fprintf(stderr, "    %s\n", scalar_edges[i].s);
			if (scalar_edges[i].low == NULL)
				continue;
			if (order == 0)
				CHECK(made.size == 7 + low.size &&
					  fb_bytes_equal(fb_bytes(made.data + 7, made.size - 7), low));
			else
				CHECK(fb_bytes_equal(made, fb_bytes(der, size)));
		}
	}
}

/* every damage to the form of a signature is refused, for all numbers in it */
static void
test_malformed_signatures(void)
{
	CryptoCertificate *peer = load("peer");
	const CryptoPublicKey *key = crypto_certificate_public_key(peer);
	FbBytes message = read_x509("message");
	FbBytes made = read_x509("message.sig");
	FbBytes signature;
	uint8_t bad[256];
	static const char *const hex[] =
		{"",
		 "30",
		 "3000",
		 "3080",
		 "300602010002010100",
		 "3006020101020100",
		 "3006020100020101",
		 "30060201ff020101",
		 "3007020200010201"
		 "01",
		 "30060201010201",
		 "3008020101020101"
		 "0500",
		 "310602010102010"
		 "1",
		 "3081060201010201"
		 "01",
		 "30250221"
		 "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
		 "0201"
		 "01",
		 "30250201"
		 "010221"
		 "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		 "3006020101020100"};

	CHECK_STATUS(crypto_signature_to_low_s(CRYPTO_P256, made, memory, &signature, NULL), FB_OK);
	CHECK_STATUS(crypto_verify(key, message, signature, NULL), FB_OK);
	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++)
	{
		if (!CHECK(fb_hex_decode(hex[i], strlen(hex[i]), bad)))
			continue;
		CHECK_STATUS(crypto_verify(key, message, fb_bytes(bad, strlen(hex[i]) / 2), NULL),
					 FB_INVALID_SIGNATURE);
	}
	memcpy(bad, signature.data, signature.size);
	bad[signature.size] = 0;
	CHECK_STATUS(crypto_verify(key, message, fb_bytes(bad, signature.size + 1), NULL),
				 FB_OK); /* Go ignores the bytes after it */
	for (size_t size = 0; size < signature.size; size++)
		CHECK_STATUS(crypto_verify(key, message, fb_bytes(bad, size), NULL), FB_INVALID_SIGNATURE);
	for (size_t i = 0; i < signature.size; i++)
	{
		bad[i] ^= 1;
		CHECK_STATUS(crypto_verify(key, message, fb_bytes(bad, signature.size), NULL),
					 FB_INVALID_SIGNATURE);
		bad[i] ^= 1;
	}
	CHECK_STATUS(crypto_verify(key, message, FB_BYTES_EMPTY, NULL), FB_INVALID_SIGNATURE);
	free((void *) message.data);
	free((void *) made.data);
	crypto_certificate_free(peer);
}

static void
test_keys_of_openssl(void)
{
	CryptoPrivateKey *pkcs8 = load_key("peer.key");
	CryptoPrivateKey *sec1 = load_key("peer-sec1.key");
	CryptoPrivateKey *p384 = load_key("p384.key");
	CryptoPrivateKey *none;
	CryptoCertificate *peer = load("peer");
	CryptoCertificate *leaf384 = load("p384");
	FbBytes message = read_x509("message");
	FbBytes signature = read_x509("message-p384.sig");
	FbBytes low_s;
	static const char *const refused[] = {"peer-encrypted.key", "rootrsa.key", "k1leaf.key",
										  "peer.pem", "message"};

	CHECK(crypto_private_key_matches(pkcs8, crypto_certificate_public_key(peer)));
	CHECK(crypto_private_key_matches(sec1, crypto_certificate_public_key(peer)));
	CHECK(!crypto_private_key_matches(p384, crypto_certificate_public_key(peer)));
	CHECK(!crypto_private_key_matches(p384, NULL));
	CHECK(crypto_private_key_matches(p384, crypto_certificate_public_key(leaf384)));
	CHECK_STATUS(crypto_signature_to_low_s(CRYPTO_P384, signature, memory, &low_s, NULL), FB_OK);
	CHECK_STATUS(crypto_verify(crypto_certificate_public_key(leaf384), message, low_s, NULL),
				 FB_OK);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		FbBytes pem = read_x509(refused[i]);

		CHECK_STATUS(crypto_private_key_parse(pem, &none, NULL), FB_INVALID_KEY);
		CHECK(none == NULL);
		free((void *) pem.data);
	}
	CHECK_STATUS(crypto_private_key_parse(FB_BYTES_EMPTY, &none, NULL), FB_INVALID_KEY);
	free((void *) message.data);
	free((void *) signature.data);
	crypto_private_key_free(pkcs8);
	crypto_private_key_free(sec1);
	crypto_private_key_free(p384);
	crypto_certificate_free(peer);
	crypto_certificate_free(leaf384);
	crypto_private_key_free(NULL);
	crypto_public_key_free(NULL);
	crypto_certificate_free(NULL);
	crypto_crl_free(NULL);
	crypto_csr_free(NULL);
}

/* compare the key of a certificate, for any issuer and validity, and its host names */
static void
test_same_key(void)
{
	FbBytes names[3] = {FB_BYTES_LITERAL("node1.org1.example.com"), FB_BYTES_LITERAL("10.0.0.7"),
						FB_BYTES_LITERAL("*.org2.example.com")};
	CryptoTemplate template = {.subject = {.common_name = FB_BYTES_LITERAL("node1.com")},
							   .not_before = 1000,
							   .not_after = 2000,
							   .path_length = -1,
							   .is_tls = true,
							   .dns_names = names,
							   .dns_names_count = 3};
	CryptoPrivateKey *keys[2];
	CryptoPublicKey *public_key;
	CryptoCertificate *authority;
	CryptoCertificate *first;
	CryptoCertificate *renewed;
	CryptoCertificate *other;
	CryptoCertificate *rsa = load("rsaleaf");
	CryptoCertificate *named;
	FbBytes pem;

	for (int i = 0; i < 2; i++)
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &keys[i], NULL), FB_OK);
	authority = issue("ca", true, keys[1], NULL, keys[1]);
	first = issue("node", false, keys[0], authority, keys[1]);
	renewed = issue("node, renewed", false, keys[0], authority, keys[1]);
	other = issue("node", false, keys[1], authority, keys[1]);
	CHECK(crypto_certificate_same_key(first, first) && crypto_certificate_same_key(first, renewed));
	CHECK(!crypto_certificate_same_key(first, other) && !crypto_certificate_same_key(first, rsa) &&
		  crypto_certificate_same_key(rsa, rsa));

	CHECK_STATUS(crypto_private_key_public(keys[0], &public_key, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_issue(&template, public_key, authority, keys[1], memory, &pem,
										  NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &named, NULL), FB_OK);
	CHECK(crypto_certificate_names_host(named, "node1.org1.example.com") &&
		  crypto_certificate_names_host(named, "NODE1.org1.example.com"));
	CHECK(crypto_certificate_names_host(named, "10.0.0.7"));
	CHECK(!crypto_certificate_names_host(named, "node2.org1.example.com") &&
		  !crypto_certificate_names_host(named, "10.0.0.8"));
	/* A wildcard matches no host, and the common name does not count beside alternative names. */
	CHECK(!crypto_certificate_names_host(named, "node1.org2.example.com") &&
		  !crypto_certificate_names_host(named, "node1.com"));
	CHECK(!crypto_certificate_names_host(named, ""));
	crypto_certificate_free(named);
	crypto_public_key_free(public_key);
	crypto_certificate_free(rsa);
	crypto_certificate_free(other);
	crypto_certificate_free(renewed);
	crypto_certificate_free(first);
	crypto_certificate_free(authority);
	for (int i = 0; i < 2; i++)
		crypto_private_key_free(keys[i]);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_hash());
	CHECK_TEST(test_sign(CRYPTO_P256));
	CHECK_TEST(test_sign(CRYPTO_P384));
	CHECK_TEST(test_signature_of_infinity(CRYPTO_P256));
	CHECK_TEST(test_signature_of_infinity(CRYPTO_P384));
	CHECK_TEST(test_scalar_edges());
	CHECK_TEST(test_malformed_signatures());
	CHECK_TEST(test_keys_of_openssl());
	CHECK_TEST(test_same_key());
	fb_arena_reset(&arena);
	return check_finish("crypto/signatures");
}
