/*
 * crypto: hashes, keys, low-S signatures, certificates against openssl's and cryptogen's, chains,
 * revocation, issuing
 */
#include "core/crypto/crypto.h"
#include "unit/check.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#define X509_DIR "test/vectors/x509/"
#define ORG1 "test/vectors/crypto/peerOrganizations/org1.example.com/"

static FbArena arena;
static FbAllocator *const memory = &arena.allocator;

static FbBytes
read_x509(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s", name);
	return check_read_file(path);
}

static CryptoCertificate *
load_path(const char *path)
{
	FbBytes pem = check_read_file(path);
	CryptoCertificate *certificate = NULL;
	FbError error;

	if (!CHECK_STATUS(crypto_certificate_parse(pem, &certificate, &error), FB_OK))
		fprintf(stderr, "    %s: %s\n", path, error.message);
	free((void *) pem.data);
	return certificate;
}

static CryptoCertificate *
load(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s.pem", name);
	return load_path(path);
}

static CryptoPrivateKey *
load_key(const char *name)
{
	FbBytes pem = read_x509(name);
	CryptoPrivateKey *key = NULL;

	CHECK_STATUS(crypto_private_key_parse(pem, &key, NULL), FB_OK);
	free((void *) pem.data);
	return key;
}

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

/* Signatures (1, s) at the limits of s: half of the order, rounded down, is the largest low one. */
static void
test_scalar_edges(void)
{
	static const struct
	{
		CryptoCurve curve;
		const char *s;	 /* content of its INTEGER */
		const char *low; /* the same in low form; NULL: no signature */
	} cases[] = {
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

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (int order = 0; order < 2; order++)
		{
			/* s as the second number, and as the first one, where it may be high */
			FbBytes s = bytes_of_hex(cases[i].s);
			FbBytes low = bytes_of_hex(cases[i].low == NULL ? ""
									   : order == 0			? cases[i].low
															: cases[i].s);
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
			if (!CHECK_STATUS(crypto_signature_to_low_s(cases[i].curve, fb_bytes(der, size), memory,
														&made, NULL),
							  cases[i].low == NULL ? FB_INVALID_SIGNATURE : FB_OK))
				fprintf(stderr, "    %s\n", cases[i].s);
			if (cases[i].low == NULL)
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

static void
test_certificate_fields(void)
{
	CryptoCertificate *user = load_path(
		ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem");
	CryptoCertificate *ca = load_path(ORG1 "ca/ca.org1.example.com-cert.pem");
	CryptoCertificate *client = load("client");
	CryptoCertificate *escape = load("escape");
	CryptoCertificate *inter = load("inter");
	CryptoCertificate *rsa = load("rsaleaf");
	CryptoCertificate *k1 = load("k1leaf");
	CryptoCertificate *root = load("root");
	FbBytes value;
	FbBytes pem;
	FbBytes file;

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
	CHECK(crypto_certificate_key_usage(user) == CRYPTO_USAGE_DIGITAL_SIGNATURE);
	CHECK(crypto_certificate_key_usage(ca) ==
		  (CRYPTO_USAGE_DIGITAL_SIGNATURE | CRYPTO_USAGE_KEY_ENCIPHERMENT |
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
	crypto_certificate_free(rsa);
	crypto_certificate_free(k1);
	crypto_certificate_free(root);
}

static void
test_malformed_certificates(void)
{
	CryptoCertificate *peer = load("peer");
	CryptoCertificate *result;
	CryptoCertificate **list;
	CryptoCrl *crl;
	CryptoCsr *csr;
	size_t count;
	FbBytes der = crypto_certificate_der(peer);
	uint8_t *bad = malloc(der.size + 1);
	uint8_t *large = calloc(1, FB_CRL_BYTES_MAX + 1);
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

	/* several in one file, with text around them */
	{
		FbBytes a = read_x509("root.pem");
		FbBytes b = read_x509("inter.pem");
		FbBuffer both;
		FbBytes text;

		fb_buffer_init(&both, memory);
		fb_buffer_append_text(&both, "the root:\n");
		fb_buffer_append_bytes(&both, a);
		fb_buffer_append_text(&both, "its child:\n");
		fb_buffer_append_bytes(&both, b);
		CHECK_STATUS(fb_buffer_bytes(&both, &text, NULL), FB_OK);
		CHECK_STATUS(crypto_certificates_parse(text, 2, memory, &list, &count, NULL), FB_OK);
		if (CHECK(count == 2))
		{
			CHECK_STATUS(crypto_certificate_check_signature(list[1], list[0], NULL), FB_OK);
			crypto_certificate_free(list[0]);
			crypto_certificate_free(list[1]);
		}
		CHECK_STATUS(crypto_certificates_parse(text, 1, memory, &list, &count, NULL),
					 FB_LIMIT_EXCEEDED);
		CHECK_STATUS(crypto_certificates_parse(FB_BYTES_LITERAL("nothing"), 1, memory, &list,
											   &count, NULL),
					 FB_OK);
		CHECK(count == 0);
		free((void *) a.data);
		free((void *) b.data);
	}
	free(bad);
	free(large);
	crypto_certificate_free(peer);
}

static void
test_chains(void)
{
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
	} cases[] = {
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

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		CryptoCertificate *roots[3];
		CryptoCertificate *intermediates[4];
		CryptoTrust trust = {roots, 0, intermediates, 0};
		CryptoCertificate *leaf = load(cases[i].leaf);
		CryptoChain chain;
		size_t count;

		while (trust.roots_count < 3 && cases[i].roots[trust.roots_count] != NULL)
		{
			roots[trust.roots_count] = load(cases[i].roots[trust.roots_count]);
			trust.roots_count++;
		}
		while (trust.intermediates_count < 4 &&
			   cases[i].intermediates[trust.intermediates_count] != NULL)
		{
			intermediates[trust.intermediates_count] =
				load(cases[i].intermediates[trust.intermediates_count]);
			trust.intermediates_count++;
		}
		if (!CHECK_STATUS(crypto_chain_find(leaf, &trust, crypto_certificate_not_before(leaf) + 1,
											&chain, &count, NULL),
						  cases[i].status) ||
			!CHECK(count == cases[i].chains) || !CHECK(chain.length == cases[i].length))
			fprintf(stderr, "    case %zu, %s\n", i, cases[i].leaf);
		if (cases[i].status == FB_OK)
			CHECK(chain.certificates[0] == leaf);
		/* after the end of all validity periods there is no chain */
		if (strcmp(cases[i].leaf, "critical") != 0)
			CHECK_STATUS(crypto_chain_find(leaf, &trust, 4000000000, &chain, &count, NULL),
						 FB_CERTIFICATE_EXPIRED);
		for (size_t k = 0; k < trust.roots_count; k++)
			crypto_certificate_free(roots[k]);
		for (size_t k = 0; k < trust.intermediates_count; k++)
			crypto_certificate_free(intermediates[k]);
		crypto_certificate_free(leaf);
	}
}

/* a CA, or a leaf, for key below issuer; issuer NULL: a root */
static CryptoCertificate *
issue(const char *name, bool is_ca, CryptoPrivateKey *key, const CryptoCertificate *issuer,
	  CryptoPrivateKey *issuer_key)
{
	CryptoTemplate template = {.subject = {.common_name = fb_bytes_of_text(name)},
							   .not_before = 1000,
							   .not_after = 2000,
							   .is_ca = is_ca,
							   .path_length = -1};
	CryptoPublicKey *public_key;
	CryptoCertificate *certificate;
	FbBytes pem;

	CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_issue(&template, public_key, issuer, issuer_key, memory, &pem,
										  NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &certificate, NULL), FB_OK);
	crypto_public_key_free(public_key);
	return certificate;
}

/* hostile trees: CAs of one name, and a CA below a CA below a CA */
static void
test_chain_limits(void)
{
	enum
	{
		SAME = FB_CHAIN_SIGNATURE_CHECKS_MAX + 1,
		DEEP = FB_CERTIFICATE_CHAIN_LENGTH_MAX
	};
	CryptoPrivateKey *keys[2];
	CryptoCertificate *same[SAME];
	CryptoCertificate *deep[DEEP + 1];
	CryptoCertificate *intermediates[DEEP + 1];
	CryptoCertificate *leaf;
	CryptoTrust trust = {same, SAME, NULL, 0};
	CryptoChain chain;
	size_t count;

	for (int i = 0; i < 2; i++)
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &keys[i], NULL), FB_OK);

	/*
	 * The right certificate of many is the last that is tried, one too late, and the first: the
	 * result found then counts.
	 */
	for (size_t i = 0; i < SAME; i++)
		same[i] = issue("ca", true, keys[1], NULL, keys[1]);
	for (int place = 0; place < 3; place++)
	{
		size_t index = place == 0 ? SAME - 2 : place == 1 ? SAME - 1 : 0;
		CryptoCertificate *other = same[index];

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

	for (size_t i = 0; i <= DEEP; i++)
	{
		char name[16];

		snprintf(name, sizeof(name), "ca %zu", i);
		deep[i] = issue(name, true, keys[0], i == 0 ? NULL : deep[i - 1], keys[0]);
		intermediates[i] = deep[i];
	}
	for (size_t depth = DEEP - 2; depth < DEEP; depth++)
	{
		trust = (CryptoTrust) {deep, 1, intermediates + 1, DEEP};
		leaf = issue("leaf", false, keys[1], deep[depth], keys[0]);
		CHECK_STATUS(crypto_chain_find(leaf, &trust, 1500, &chain, &count, NULL),
					 depth == DEEP - 2 ? FB_OK : FB_INVALID_CERTIFICATE);
		CHECK(depth != DEEP - 2 || (count == 1 && chain.length == DEEP));
		crypto_certificate_free(leaf);
	}

	/* times: from the first second to the last */
	trust = (CryptoTrust) {deep, 1, NULL, 0};
	leaf = issue("leaf", false, keys[1], deep[0], keys[0]);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 999, &chain, &count, NULL),
				 FB_CERTIFICATE_EXPIRED);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 1000, &chain, &count, NULL), FB_OK);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 2000, &chain, &count, NULL), FB_OK);
	CHECK_STATUS(crypto_chain_find(leaf, &trust, 2001, &chain, &count, NULL),
				 FB_CERTIFICATE_EXPIRED);
	crypto_certificate_free(leaf);
	for (size_t i = 0; i < SAME; i++)
		crypto_certificate_free(same[i]);
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
	CHECK(crypto_crl_entries_count(crl) == 1);
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
	CHECK(crypto_certificate_key_usage(ca) ==
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
	CHECK_STATUS(crypto_csr_create(&template.subject, names, 3, key, memory, &pem, NULL), FB_OK);
	CHECK_STATUS(crypto_csr_parse(pem, &csr, NULL), FB_OK);
	CHECK_TEXT(crypto_csr_common_name(csr), "alice");
	CHECK_TEXT(crypto_csr_subject(csr), "CN=alice,O=\xc3\x9c"
										"ber Org,C=DE");
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
	CHECK(crypto_certificate_key_usage(leaf) ==
		  (CRYPTO_USAGE_DIGITAL_SIGNATURE | CRYPTO_USAGE_KEY_ENCIPHERMENT));
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
		CHECK(crypto_crl_entries_count(crl) == 2);
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
	CHECK(crypto_crl_entries_count(crl) == 0);
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
	CHECK_TEXT(crypto_csr_subject(csr), "CN=bob,OU=client,C=US");
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
	CryptoCertificate **list;
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
	size_t count;
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
	WALK(crypto_csr_create(&template.subject, names, 1, key, memory, &pem, NULL), (void) 0);
	WALK(crypto_crl_issue(ca, key, &revocation, 1, TEST_TIME, TEST_TIME + DAY, 1, memory, &pem,
						  NULL),
		 (void) 0);
	WALK(crypto_certificates_parse(ca_pem, 8, memory, &list, &count, NULL),
		 crypto_certificate_free(list[0]));
#undef WALK
	crypto_certificate_free(ca);
	crypto_certificate_free(client);
	crypto_certificate_free(inter);
	crypto_public_key_free(public_key);
	crypto_private_key_free(key);
	fb_arena_reset(&kept);
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
	CHECK_TEST(test_certificate_fields());
	CHECK_TEST(test_malformed_certificates());
	CHECK_TEST(test_chains());
	CHECK_TEST(test_chain_limits());
	CHECK_TEST(test_same_key());
	CHECK_TEST(test_crl());
	CHECK_TEST(test_issue(CRYPTO_P256));
	CHECK_TEST(test_issue(CRYPTO_P384));
	CHECK_TEST(test_csr_of_openssl());
	CHECK_TEST(test_out_of_memory());
	fb_arena_reset(&arena);
	return check_finish("crypto");
}
