/*
 * identity and crypto, curve by curve: identities and CAs on P-224, P-256, P-384 and P-521, one
 * certificate with both possible signatures, signatures of messages as Go reads them, and the keys
 * and roots that an MSP may have. Certificates are made here with OpenSSL alone.
 */
#include "core/crypto/crypto_internal.h"
#include "core/identity/identity.h"
#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "unit/check.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static FbArena arena;
static FbAllocator *memory = &arena.allocator;
static FbError error;

static FbStatus
verified(const Identity *identity, FbBytes message, FbBytes signature)
{
	return identity_verify_parts(identity, &message, 1, signature, NULL);
}

/* ---- certificates ---- */

typedef struct Made
{
	EVP_PKEY *key;
	X509 *x509;
	FbBytes der;
} Made;

static FbBytes
copy_bytes(const uint8_t *data, size_t size)
{
	FbBytes copy;

	if (fb_bytes_copy(memory, fb_bytes(data, size), &copy, NULL) != FB_OK)
		exit(2);
	return copy;
}

static FbBytes
to_pem(FbBytes der)
{
	FbBytes pem;

	CHECK_STATUS(pem_write("CERTIFICATE", der, memory, &pem, NULL), FB_OK);
	return pem;
}

static void
add_extension(X509 *x509, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (extension == NULL || X509_add_ext(x509, extension, -1) != 1)
		exit(2);
	X509_EXTENSION_free(extension);
}

/*
 * usage NULL: no key usage. issuer NULL: a root; the subject's organizational unit is "client"
 * unless it is a CA
 */
static Made
make(EVP_PKEY *key, const char *name, bool is_ca, const char *usage, const Made *issuer,
	 const EVP_MD *digest)
{
	Made made = {key, X509_new(), FB_BYTES_EMPTY};
	X509_NAME *subject = X509_get_subject_name(made.x509);
	uint8_t *der = NULL;
	int size;
	static long serial = 1;

	X509_set_version(made.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial++);
	ASN1_TIME_set(X509_getm_notBefore(made.x509), 1795176000);
	ASN1_TIME_set(X509_getm_notAfter(made.x509), 1895176000);
	if (!is_ca)
		X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_ASC, (const uint8_t *) "client", -1, -1,
								   0);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *) name, -1, -1, 0);
	X509_set_issuer_name(made.x509, issuer == NULL ? subject : X509_get_subject_name(issuer->x509));
	X509_set_pubkey(made.x509, key);
	add_extension(made.x509, NID_subject_key_identifier, "hash");
	add_extension(made.x509, NID_basic_constraints,
				  is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (usage != NULL)
		add_extension(made.x509, NID_key_usage, usage);
	if (X509_sign(made.x509, issuer == NULL ? key : issuer->key, digest) <= 0)
		exit(2);
	size = i2d_X509(made.x509, &der);
	made.der = copy_bytes(der, (size_t) size);
	OPENSSL_free(der);
	return made;
}

static void
free_made(Made *made)
{
	X509_free(made->x509);
	EVP_PKEY_free(made->key);
}

/* signature bytes with the other S */
static FbBytes
other_s(FbBytes signature, CryptoCurve curve)
{
	static const int nids[] = {NID_secp224r1, NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
	EC_GROUP *group = EC_GROUP_new_by_curve_name(nids[curve]);
	const unsigned char *position = signature.data;
	ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &position, (long) signature.size);
	BIGNUM *r = BN_dup(ECDSA_SIG_get0_r(numbers));
	BIGNUM *s = BN_new();
	uint8_t *out = NULL;
	FbBytes result;
	int size;

	BN_sub(s, EC_GROUP_get0_order(group), ECDSA_SIG_get0_s(numbers));
	ECDSA_SIG_set0(numbers, r, s);
	size = i2d_ECDSA_SIG(numbers, &out);
	result = copy_bytes(out, (size_t) size);
	OPENSSL_free(out);
	ECDSA_SIG_free(numbers);
	EC_GROUP_free(group);
	return result;
}

/* the certificate with the other S */
static FbBytes
with_other_s(FbBytes der, CryptoCurve issuer_curve)
{
	FbBytes input = der;
	FbBytes inside;
	FbBytes body;
	FbBytes algorithm;
	FbBytes bits;
	FbBytes ignored;
	FbBytes bytes;
	FbBuffer bit_string;
	FbBuffer content;
	FbBuffer output;
	uint8_t tag;

	CHECK(der_read(&input, &tag, &inside, NULL) && der_read(&inside, &tag, &ignored, &body) &&
		  der_read(&inside, &tag, &ignored, &algorithm) && der_read(&inside, &tag, &bits, NULL));
	fb_buffer_init(&bit_string, memory);
	fb_buffer_append_byte(&bit_string, 0);
	fb_buffer_append_bytes(&bit_string,
						   other_s(fb_bytes(bits.data + 1, bits.size - 1), issuer_curve));
	CHECK_STATUS(fb_buffer_bytes(&bit_string, &bytes, NULL), FB_OK);
	fb_buffer_init(&content, memory);
	fb_buffer_append_bytes(&content, body);
	fb_buffer_append_bytes(&content, algorithm);
	der_append(&content, DER_BIT_STRING, bytes);
	CHECK_STATUS(fb_buffer_bytes(&content, &bytes, NULL), FB_OK);
	fb_buffer_init(&output, memory);
	der_append(&output, DER_SEQUENCE, bytes);
	CHECK_STATUS(fb_buffer_bytes(&output, &bytes, NULL), FB_OK);
	return bytes;
}

/* ---- an MSP with one root ---- */

static FbStatus
make_config(FbBytes root_der, FbBytes *config)
{
	FbBytes root = to_pem(root_der);
	MspParts parts = {.msp_id = "TestMSP",
					  .node_ous = true,
					  .root_certificates = &root,
					  .root_certificates_count = 1};

	return msp_config_make(&parts, memory, config, &error);
}

static FbBytes
serialize(FbBytes der)
{
	FbBytes bytes;

	CHECK_STATUS(identity_serialize("TestMSP", to_pem(der), memory, &bytes, NULL), FB_OK);
	return bytes;
}

static FbBytes
sign(EVP_PKEY *key, FbBytes message)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t out[256];
	size_t size = sizeof(out);

	CHECK(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(context, out, &size, message.data, message.size) == 1);
	EVP_MD_CTX_free(context);
	return copy_bytes(out, size);
}

/* the signature with bytes inserted: inside the sequence after s, or after the sequence */
static FbBytes
with_more(FbBytes signature, bool inside)
{
	FbBytes content;
	FbBytes bytes;
	FbBuffer more;
	FbBuffer output;
	uint8_t tag;

	CHECK(der_read(&signature, &tag, &content, NULL));
	fb_buffer_init(&more, memory);
	fb_buffer_append_bytes(&more, content);
	if (inside)
		fb_buffer_append_bytes(&more, FB_BYTES_LITERAL("\x05\x00\xff"));
	CHECK_STATUS(fb_buffer_bytes(&more, &bytes, NULL), FB_OK);
	fb_buffer_init(&output, memory);
	der_append(&output, DER_SEQUENCE, bytes);
	if (!inside)
		fb_buffer_append_bytes(&output, FB_BYTES_LITERAL("anything"));
	CHECK_STATUS(fb_buffer_bytes(&output, &bytes, NULL), FB_OK);
	return bytes;
}

static void
test_pair(CryptoCurve ca_curve, CryptoCurve curve)
{
	FbBytes message = FB_BYTES_LITERAL("a message");
	Made root = make(EVP_EC_gen(crypto_curve_name(ca_curve)), "root", true, "critical,keyCertSign",
					 NULL, EVP_sha256());
	Made leaf =
		make(EVP_EC_gen(crypto_curve_name(curve)), "leaf", false, NULL, &root, EVP_sha256());
	FbBytes forms[2] = {serialize(leaf.der), serialize(with_other_s(leaf.der, ca_curve))};
	FbBytes low_s;
	FbBytes config;
	FbBytes wrapped;
	FbBytes envelope;
	MspManager *manager;
	const Identity *identities[2];
	const Principal *principal;
	PolicySignature signatures[2];
	PolicySignatureSet *set;
	const Policy *policy;
	bool satisfied;

	CHECK_STATUS(make_config(root.der, &config), FB_OK);
	CHECK_STATUS(msp_config_wrap(config, memory, &wrapped, NULL), FB_OK);
	CHECK_STATUS(msp_manager_create(10, memory, &manager, NULL), FB_OK);
	CHECK_STATUS(msp_manager_add(manager, wrapped, NULL, &error), FB_OK);
	CHECK_STATUS(crypto_signature_to_low_s(curve, sign(leaf.key, message), memory, &low_s, NULL),
				 FB_OK);
	for (int i = 0; i < 2; i++)
	{
		if (!CHECK_STATUS(msp_manager_identity(manager, forms[i], &identities[i], &error), FB_OK))
			exit(1);
		CHECK_STATUS(verified(identities[i], message, low_s), FB_OK);
		signatures[i] = (PolicySignature) {forms[i], low_s, {message}};
	}
	CHECK(crypto_public_key_curve(
			  crypto_certificate_public_key(identity_certificate(identities[0]))) == curve);

	/* one certificate with either of its two signatures is one signer */
	CHECK_TEXT(identity_id(identities[0]), identity_id(identities[1]));
	CHECK_STATUS(policy_compile(memory,
								FB_BYTES_LITERAL("OutOf(2, 'TestMSP.member', 'TestMSP.client')"),
								&envelope, NULL, NULL),
				 FB_OK);
	CHECK_STATUS(policy_from_envelope(memory, envelope, &policy, NULL), FB_OK);
	CHECK_STATUS(policy_signatures_create(memory, manager, signatures, 2, NULL, NULL, &set, NULL),
				 FB_OK);
	CHECK_STATUS(policy_evaluate(policy, set, &satisfied, NULL), FB_OK);
	CHECK(!satisfied);
	for (int i = 0; i < 2; i++)
	{
		CHECK_STATUS(principal_parse(PRINCIPAL_IDENTITY, forms[i], memory, &principal, NULL),
					 FB_OK);
		CHECK(principal_matches(principal, identities[0]) &&
			  principal_matches(principal, identities[1]));
	}

	/* messages: low S; trailing bytes after the numbers do not matter, other deviations do */
	CHECK_STATUS(verified(identities[0], message, other_s(low_s, curve)), FB_INVALID_SIGNATURE);
	CHECK_STATUS(verified(identities[0], message, with_more(low_s, true)), FB_OK);
	CHECK_STATUS(verified(identities[0], message, with_more(low_s, false)), FB_OK);
	CHECK_STATUS(verified(identities[0], FB_BYTES_LITERAL("a Message"), low_s),
				 FB_INVALID_SIGNATURE);
	CHECK_STATUS(verified(identities[0], message, fb_bytes(low_s.data, low_s.size - 1)),
				 FB_INVALID_SIGNATURE);
	msp_manager_destroy(manager);
	free_made(&leaf);
	free_made(&root);
}

/* keys generated, written, read again and used by this project */
static void
test_keys(CryptoCurve curve)
{
	FbBytes message = FB_BYTES_LITERAL("x");
	FbBytes pem;
	FbBytes signature;
	CryptoPrivateKey *key;
	CryptoPrivateKey *again;
	CryptoPublicKey *public_key;

	CHECK_STATUS(crypto_private_key_generate(curve, &key, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_pem(key, memory, &pem, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_parse(pem, &again, NULL), FB_OK);
	CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	CHECK(crypto_private_key_matches(again, public_key));
	for (int i = 0; i < 20; i++)
	{
		CHECK_STATUS(crypto_sign(again, message, memory, &signature, NULL), FB_OK);
		CHECK(signature.size <= CRYPTO_SIGNATURE_BYTES_MAX);
		CHECK_STATUS(crypto_verify(public_key, message, signature, NULL), FB_OK);
		CHECK_STATUS(crypto_verify(public_key, message, other_s(signature, curve), NULL),
					 FB_INVALID_SIGNATURE);
	}
	crypto_public_key_free(public_key);
	crypto_private_key_free(again);
	crypto_private_key_free(key);
}

/* the roots that an MSP may have: mspimplsetup.go setupCAs, mspimpl.go sanitizeCert */
static void
test_roots(void)
{
	FbBytes config;
	struct
	{
		const char *what;
		EVP_PKEY *key;
		const char *usage;
		const EVP_MD *digest;
		FbStatus status;
	} cases[] = {
		{"no key usage", EVP_EC_gen("P-256"), NULL, EVP_sha256(), FB_OK},
		{"may sign certificates", EVP_EC_gen("P-256"), "keyCertSign,digitalSignature", EVP_sha384(),
		 FB_OK},
		{"may not sign certificates", EVP_EC_gen("P-256"), "digitalSignature,cRLSign", EVP_sha256(),
		 FB_INVALID_CERTIFICATE},
		{"may not, P-521", EVP_EC_gen("P-521"), "digitalSignature", EVP_sha256(),
		 FB_INVALID_CERTIFICATE},
		{"ECDSA with SHA-1", EVP_EC_gen("P-256"), "keyCertSign", EVP_sha1(),
		 FB_INVALID_CERTIFICATE},
		{"RSA", EVP_RSA_gen(2048), "keyCertSign", EVP_sha256(), FB_OK},
		{"RSA that may not sign", EVP_RSA_gen(2048), "digitalSignature", EVP_sha256(), FB_OK},
		{"RSA with SHA-1", EVP_RSA_gen(2048), "keyCertSign", EVP_sha1(), FB_OK},
		{"secp256k1", EVP_EC_gen("secp256k1"), "keyCertSign", EVP_sha256(), FB_INVALID_CERTIFICATE},
		{"brainpool", EVP_EC_gen("brainpoolP256r1"), "keyCertSign", EVP_sha256(),
		 FB_INVALID_CERTIFICATE},
		{"Ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "keyCertSign", NULL,
		 FB_INVALID_CERTIFICATE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Made root = make(cases[i].key, cases[i].what, true, cases[i].usage, NULL, cases[i].digest);
		FbBytes pem = to_pem(root.der);
		MspParts parts = {.msp_id = "TestMSP",
						  .root_certificates = &pem,
						  .root_certificates_count = 1,
						  .node_ous = true};

		if (!CHECK_STATUS(make_config(root.der, &config), cases[i].status))
			fprintf(stderr, "    %s: %s\n", cases[i].what, error.message);
		/* the same certificate as a TLS CA too */
		parts.tls_root_certificates = &pem;
		parts.tls_root_certificates_count = 1;
		if (cases[i].status == FB_OK)
			CHECK_STATUS(msp_config_make(&parts, memory, &config, &error), FB_OK);
		free_made(&root);
	}
}

/*
 * a CA that another one signed is not a root, unless it is signed with RSA: then the signature is
 * not checked
 */
static void
test_signed_root(void)
{
	FbBytes config;

	for (int i = 0; i < 2; i++)
	{
		Made above = make(i == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048), "above", true,
						  "keyCertSign", NULL, EVP_sha256());
		Made root = make(EVP_EC_gen("P-256"), "root", true, "keyCertSign", &above, EVP_sha256());

		CHECK_STATUS(make_config(root.der, &config), i == 0 ? FB_INVALID_CERTIFICATE : FB_OK);
		if (i == 0)
			CHECK(strstr(error.message, "is neither signed by itself") != NULL);
		free_made(&root);
		free_made(&above);
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	for (int ca = 0; ca < CRYPTO_CURVES_COUNT; ca++)
		for (int leaf = 0; leaf < CRYPTO_CURVES_COUNT; leaf++)
			CHECK_TEST(test_pair((CryptoCurve) ca, (CryptoCurve) leaf));
	for (int curve = 0; curve < CRYPTO_CURVES_COUNT; curve++)
		CHECK_TEST(test_keys((CryptoCurve) curve));
	CHECK_TEST(test_roots());
	CHECK_TEST(test_signed_root());
	fb_arena_reset(&arena);
	ERR_clear_error();
	return check_finish("identity/curves");
}
