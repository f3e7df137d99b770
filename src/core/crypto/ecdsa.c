/* ecdsa.c: ECDSA keys and signatures on the curves of Go's crypto/x509, with Fabric's low-S rule */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

typedef struct CurveFacts
{
	const char *name;
	const char *group_name; /* OpenSSL's name */
	size_t scalar_bytes;
	uint8_t order[CRYPTO_SCALAR_BYTES_MAX]; /* of the group, FIPS 186-4 D.1.2, big-endian */
} CurveFacts;

static const CurveFacts curves[CRYPTO_CURVES_COUNT] = {
	[CRYPTO_P224] = {"P-224", "secp224r1", 28, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												0x16, 0xa2, 0xe0, 0xb8, 0xf0, 0x3e, 0x13,
												0xdd, 0x29, 0x45, 0x5c, 0x5c, 0x2a, 0x3d}},
	[CRYPTO_P256] = {"P-256", "prime256v1", 32, {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
												 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
												 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51}},
	[CRYPTO_P384] = {"P-384", "secp384r1", 48, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
												0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
												0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a,
												0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73}},
	[CRYPTO_P521] = {"P-521",
					 "secp521r1",
					 66,
					 {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc,
					  0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89,
					  0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09}},
};

const char *
crypto_curve_name(CryptoCurve curve)
{
	return curves[curve].name;
}

static size_t
scalar_size(CryptoCurve curve)
{
	return curves[curve].scalar_bytes;
}

static const uint8_t *
curve_order(CryptoCurve curve)
{
	return curves[curve].order;
}

/* ---- signatures as bytes ---- */

/*
 * read one INTEGER in shortest form, above zero and below the order, as a number of scalar_size
 * bytes
 */
static bool
read_scalar(FbBytes *input, CryptoCurve curve, uint8_t *scalar)
{
	size_t size = scalar_size(curve);
	FbBytes content;
	uint8_t tag;

	if (!der_read(input, &tag, &content, NULL) || tag != DER_INTEGER || content.size == 0)
		return false;
	if (content.data[0] & 0x80)
		return false; /* negative */
	if (content.data[0] == 0)
	{
		if (content.size == 1 || !(content.data[1] & 0x80))
			return false; /* zero, or not the shortest form */
		content = fb_bytes(content.data + 1, content.size - 1);
	}
	if (content.size > size)
		return false;
	memset(scalar, 0, size - content.size);
	memcpy(scalar + size - content.size, content.data, content.size);
	return memcmp(scalar, curve_order(curve), size) < 0;
}

/*
 * SEQUENCE { r INTEGER, s INTEGER }. strict: the signature of a certificate must have no other
 * bytes (crypto/ecdsa, VerifyASN1). In the signature of a message, Fabric ignores bytes after s or
 * after the sequence (bccsp/utils/ecdsa.go, UnmarshalECDSASignature; encoding/asn1).
 */
static bool
read_signature(FbBytes signature, CryptoCurve curve, bool strict, uint8_t *r, uint8_t *s)
{
	FbBytes content;
	uint8_t tag;

	return der_read(&signature, &tag, &content, NULL) && tag == DER_SEQUENCE &&
		   read_scalar(&content, curve, r) && read_scalar(&content, curve, s) &&
		   (!strict || (signature.size == 0 && content.size == 0));
}

/* s <= order / 2, rounded down: the doubled s is below the (odd) order */
static bool
is_low_s(const uint8_t *s, CryptoCurve curve)
{
	size_t size = scalar_size(curve);
	uint8_t twice[CRYPTO_SCALAR_BYTES_MAX];

	if (s[0] & 0x80)
		return false;
	for (size_t i = 0; i < size; i++)
		twice[i] = (uint8_t) (s[i] << 1 | (i + 1 < size ? s[i + 1] >> 7 : 0));
	return memcmp(twice, curve_order(curve), size) < 0;
}

static size_t
ecdsa_write_scalar(const uint8_t *scalar, size_t size, uint8_t *out)
{
	size_t zeros = 0;
	bool pad;

	while (zeros + 1 < size && scalar[zeros] == 0)
		zeros++;
	pad = scalar[zeros] & 0x80;
	out[0] = DER_INTEGER;
	out[1] = (uint8_t) (size - zeros + pad);
	out[2] = 0;
	memcpy(out + 2 + pad, scalar + zeros, size - zeros);
	return 2 + pad + size - zeros;
}

/* out has CRYPTO_SIGNATURE_BYTES_MAX bytes; returns how many it takes */
static size_t
write_signature(CryptoCurve curve, const uint8_t *r, const uint8_t *s, uint8_t *out)
{
	uint8_t numbers[CRYPTO_SIGNATURE_BYTES_MAX];
	size_t size = ecdsa_write_scalar(r, scalar_size(curve), numbers);
	size_t header = 2;

	size += ecdsa_write_scalar(s, scalar_size(curve), numbers + size);
	out[0] = DER_SEQUENCE;
	if (size >= 0x80)
	{
		out[1] = 0x81;
		header = 3;
	}
	out[header - 1] = (uint8_t) size; /* at most 136 */
	memcpy(out + header, numbers, size);
	return header + size;
}

FbStatus
crypto_signature_to_low_s(CryptoCurve curve, FbBytes signature, FbAllocator *allocator,
						  FbBytes *low_s, FbError *error)
{
	uint8_t r[CRYPTO_SCALAR_BYTES_MAX];
	uint8_t s[CRYPTO_SCALAR_BYTES_MAX];
	uint8_t out[CRYPTO_SIGNATURE_BYTES_MAX];
	const uint8_t *order = curve_order(curve);
	int borrow = 0;

	if (!read_signature(signature, curve, true, r, s))
		return fb_fail(error, FB_INVALID_SIGNATURE, "malformed ECDSA signature");
	if (!is_low_s(s, curve))
	{
		for (size_t i = scalar_size(curve); i-- > 0;)
		{
			int difference = order[i] - s[i] - borrow;

			borrow = difference < 0;
			s[i] = (uint8_t) difference;
		}
	}
	return fb_bytes_copy(allocator, fb_bytes(out, write_signature(curve, r, s, out)), low_s, error);
}

/* ---- keys ---- */

/*
 * Only keys with a named curve are allowed: explicit parameters are refused, as in Go. kind:
 * "public key", ...
 */
static FbStatus
key_curve(const EVP_PKEY *pkey, CryptoCurve *curve, const char *kind, FbError *error)
{
	char name[64] = "";
	size_t size;

	ERR_clear_error();
	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
		EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, name, sizeof(name),
									   &size) != 1 ||
		strcmp(name, OSSL_PKEY_EC_ENCODING_GROUP) != 0 ||
		EVP_PKEY_get_group_name(pkey, name, sizeof(name), &size) != 1)
	{
		if (crypto_openssl_starved())
			return fb_out_of_memory(error);
		name[0] = '\0';
	}
	for (int i = 0; i < CRYPTO_CURVES_COUNT; i++)
		if (strcmp(name, curves[i].group_name) == 0)
		{
			*curve = (CryptoCurve) i;
			return FB_OK;
		}
	return fb_fail(error, FB_INVALID_KEY, "%s is not an ECDSA key on P-224, P-256, P-384 or P-521",
				   kind);
}

FbStatus
public_key_wrap(EVP_PKEY *pkey, CryptoPublicKey **public_key, FbError *error)
{
	CryptoPublicKey *key;
	CryptoCurve curve;

	*public_key = NULL;
	FB_TRY(key_curve(pkey, &curve, "public key", error));
	key = fb_allocate_zero(&crypto_heap, sizeof(*key));
	if (key == NULL)
		return fb_out_of_memory(error);
	key->curve = curve;
	EVP_PKEY_up_ref(pkey);
	key->pkey = pkey;
	if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, key->point,
										sizeof(key->point), &key->point_size) != 1 ||
		key->point_size != 1 + 2 * scalar_size(curve) ||
		key->point[0] != POINT_CONVERSION_UNCOMPRESSED)
	{
		crypto_public_key_free(key);
		return crypto_openssl_fail(error, FB_INVALID_KEY,
								   "public key is not an uncompressed point");
	}
	key->verify_context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (key->verify_context == NULL || EVP_PKEY_verify_init(key->verify_context) != 1)
	{
		crypto_public_key_free(key);
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not prepare signature verification");
	}
	*public_key = key;
	return FB_OK;
}

void
crypto_public_key_free(CryptoPublicKey *public_key)
{
	if (public_key == NULL)
		return;
	EVP_PKEY_CTX_free(public_key->verify_context);
	EVP_PKEY_free(public_key->pkey);
	fb_release(&crypto_heap, public_key);
}

FbStatus
crypto_public_key_parse(FbBytes spki_der, CryptoPublicKey **public_key, FbError *error)
{
	const unsigned char *position = spki_der.data;
	EVP_PKEY *pkey;
	FbStatus status;

	*public_key = NULL;
	if (spki_der.size > FB_CERTIFICATE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "public key has %zu bytes, more than %d",
					   spki_der.size, FB_CERTIFICATE_BYTES_MAX);
	pkey = d2i_PUBKEY(NULL, &position, (long) spki_der.size);
	if (pkey == NULL || position != spki_der.data + spki_der.size)
	{
		EVP_PKEY_free(pkey);
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "malformed public key");
	}
	status = public_key_wrap(pkey, public_key, error);
	EVP_PKEY_free(pkey);
	if (status == FB_INVALID_KEY)
	{
		if (error != NULL)
			error->status = FB_INVALID_CERTIFICATE;
		status = FB_INVALID_CERTIFICATE;
	}
	return status;
}

CryptoCurve
crypto_public_key_curve(const CryptoPublicKey *public_key)
{
	return public_key->curve;
}

FbBytes
crypto_public_key_point(const CryptoPublicKey *public_key)
{
	return fb_bytes(public_key->point, public_key->point_size);
}

/* takes ownership of pkey, also when it fails */
static FbStatus
private_key_wrap(EVP_PKEY *pkey, CryptoPrivateKey **key, FbError *error)
{
	CryptoPrivateKey *result;
	EVP_PKEY_CTX *check = NULL;
	CryptoCurve curve;
	FbStatus status = key_curve(pkey, &curve, "private key", error);

	*key = NULL;
	if (status != FB_OK)
	{
		EVP_PKEY_free(pkey);
		return status;
	}
	/* check the range of the secret, and that the public half belongs to it */
	check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (check == NULL || EVP_PKEY_check(check) != 1)
	{
		EVP_PKEY_CTX_free(check);
		EVP_PKEY_free(pkey);
		return crypto_openssl_fail(error, FB_INVALID_KEY, "private key is not consistent");
	}
	EVP_PKEY_CTX_free(check);
	result = fb_allocate_zero(&crypto_heap, sizeof(*result));
	if (result == NULL)
	{
		EVP_PKEY_free(pkey);
		return fb_out_of_memory(error);
	}
	result->pkey = pkey;
	result->curve = curve;
	result->sign_context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (result->sign_context == NULL || EVP_PKEY_sign_init(result->sign_context) != 1)
	{
		crypto_private_key_free(result);
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not prepare signing");
	}
	*key = result;
	return FB_OK;
}

FbStatus
crypto_private_key_generate(CryptoCurve curve, CryptoPrivateKey **key, FbError *error)
{
	EVP_PKEY *pkey = EVP_EC_gen(curves[curve].name);

	*key = NULL;
	if (pkey == NULL)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not generate a key");
	return private_key_wrap(pkey, key, error);
}

FbStatus
crypto_private_key_parse(FbBytes pem, CryptoPrivateKey **key, FbError *error)
{
	static const char *const names[] = {"PRIVATE KEY", "EC PRIVATE KEY", NULL};
	const unsigned char *position;
	const char *name = NULL;
	FbBytes der;
	EVP_PKEY *pkey = NULL;

	*key = NULL;
	if (pem.size > FB_CERTIFICATE_BYTES_MAX)
		return fb_fail(error, FB_INVALID_KEY, "private key has %zu bytes, more than %d", pem.size,
					   FB_CERTIFICATE_BYTES_MAX);
	der = FB_BYTES_EMPTY;
	/* text only: pem_read would also accept bare DER */
	if (pem.size > 0 && pem.data[0] != DER_SEQUENCE)
		FB_TRY(pem_read(pem, names, &der, NULL, &name, error));
	if (der.data == NULL)
	{
		fb_fail(error, FB_INVALID_KEY, "no private key found");
		fb_error_hint(error, "Expected is an unencrypted PEM block PRIVATE KEY or EC PRIVATE KEY.");
		return FB_INVALID_KEY;
	}
	position = der.data;
	if (strcmp(name, "PRIVATE KEY") == 0)
	{
		PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &position, (long) der.size);

		if (info != NULL)
			pkey = EVP_PKCS82PKEY(info);
		PKCS8_PRIV_KEY_INFO_free(info);
	}
	else
		pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &position, (long) der.size);
	crypto_wipe((void *) der.data, der.size);
	fb_release(&crypto_heap, (void *) der.data);
	if (pkey == NULL)
		return crypto_openssl_fail(error, FB_INVALID_KEY, "malformed private key");
	return private_key_wrap(pkey, key, error);
}

FbStatus
crypto_private_key_pem(const CryptoPrivateKey *key, FbAllocator *allocator, FbBytes *pem,
					   FbError *error)
{
	BIO *bio = BIO_new(BIO_s_mem());
	FbStatus status;
	char *data;
	long size;

	if (bio == NULL ||
		PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
	{
		BIO_free(bio);
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not write the private key");
	}
	size = BIO_get_mem_data(bio, &data);
	status = fb_bytes_copy(allocator, fb_bytes(data, size), pem, error);
	crypto_wipe(data, size);
	BIO_free(bio);
	return status;
}

FbStatus
crypto_private_key_public(const CryptoPrivateKey *key, CryptoPublicKey **public_key, FbError *error)
{
	unsigned char *spki = NULL;
	int size = i2d_PUBKEY(key->pkey, &spki);
	FbStatus status;

	*public_key = NULL;
	if (size <= 0)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not read the public key");
	/* copy by way of DER, so that the result does not hold the secret */
	status = crypto_public_key_parse(fb_bytes(spki, size), public_key, error);
	OPENSSL_free(spki);
	return status;
}

bool
crypto_private_key_matches(const CryptoPrivateKey *key, const CryptoPublicKey *public_key)
{
	bool matches = public_key != NULL && EVP_PKEY_eq(key->pkey, public_key->pkey) == 1;

	ERR_clear_error();
	return matches;
}

void
crypto_private_key_free(CryptoPrivateKey *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_CTX_free(key->sign_context);
	EVP_PKEY_free(key->pkey); /* wipes the secret */
	fb_release(&crypto_heap, key);
}

/* ---- sign and verify ---- */

FbStatus
crypto_sign_digest(const CryptoPrivateKey *key, const uint8_t digest[CRYPTO_SHA256_BYTES],
				   FbAllocator *allocator, FbBytes *signature, FbError *error)
{
	uint8_t made[CRYPTO_SIGNATURE_BYTES_MAX];
	size_t size = sizeof(made);

	*signature = FB_BYTES_EMPTY;
	fb_work_add(FB_WORK_SIGN);
	if (EVP_PKEY_sign(key->sign_context, made, &size, digest, CRYPTO_SHA256_BYTES) != 1)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not sign");
	return crypto_signature_to_low_s(key->curve, fb_bytes(made, size), allocator, signature, error);
}

FbStatus
crypto_sign(const CryptoPrivateKey *key, FbBytes message, FbAllocator *allocator,
			FbBytes *signature, FbError *error)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	crypto_sha256(message, digest);
	return crypto_sign_digest(key, digest, allocator, signature, error);
}

/*
 * Did the point at infinity stop the verification? OpenSSL reports it like an internal failure, but
 * the cause is the signature: the owner of a private key can make such a signature for any message.
 * It is an invalid signature (FIPS 186-4 6.4.2, as in Go), and must not stop a node.
 */
static bool
sum_is_infinity(unsigned long code)
{
	return ERR_GET_LIB(code) == ERR_LIB_EC && ERR_GET_REASON(code) == EC_R_POINT_AT_INFINITY;
}

FbStatus
crypto_verify_digest(const CryptoPublicKey *public_key, const uint8_t digest[CRYPTO_SHA256_BYTES],
					 FbBytes signature, FbError *error)
{
	uint8_t r[CRYPTO_SCALAR_BYTES_MAX];
	uint8_t s[CRYPTO_SCALAR_BYTES_MAX];
	uint8_t numbers[CRYPTO_SIGNATURE_BYTES_MAX];
	int result;

	if (!read_signature(signature, public_key->curve, false, r, s))
		return fb_fail(error, FB_INVALID_SIGNATURE, "malformed ECDSA signature");
	if (!is_low_s(s, public_key->curve))
		return fb_fail(error, FB_INVALID_SIGNATURE, "ECDSA signature has a high S value");
	ERR_clear_error();
	fb_work_add(FB_WORK_VERIFY);
	result = EVP_PKEY_verify(public_key->verify_context, numbers,
							 write_signature(public_key->curve, r, s, numbers), digest,
							 CRYPTO_SHA256_BYTES);
	if (result < 0 && !sum_is_infinity(ERR_peek_error()))
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not verify a signature");
	if (result != 1)
	{
		ERR_clear_error();
		return fb_fail(error, FB_INVALID_SIGNATURE, "signature does not match");
	}
	return FB_OK;
}

FbStatus
crypto_verify(const CryptoPublicKey *public_key, FbBytes message, FbBytes signature, FbError *error)
{
	return crypto_verify_parts(public_key, &message, 1, signature, error);
}

FbStatus
crypto_verify_parts(const CryptoPublicKey *public_key, const FbBytes *parts, size_t parts_count,
					FbBytes signature, FbError *error)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	crypto_sha256_parts(parts, parts_count, digest);
	return crypto_verify_digest(public_key, digest, signature, error);
}

FbStatus
der_signed_to_low_s(CryptoCurve curve, FbBytes der, FbAllocator *allocator, FbBytes *result,
					FbError *error)
{
	FbBytes input = der;
	FbBytes inside;
	FbBytes body;
	FbBytes algorithm;
	FbBytes bits;
	FbBytes unused;
	FbBytes low_s;
	uint8_t tag;
	FbStatus status;
	FbBuffer bit_string;
	FbBuffer content;
	FbBuffer output;
	FbBytes bytes;

	if (!der_read(&input, &tag, &inside, NULL) || tag != DER_SEQUENCE || input.size != 0 ||
		!der_read(&inside, &tag, &unused, &body) || tag != DER_SEQUENCE ||
		!der_read(&inside, &tag, &unused, &algorithm) || tag != DER_SEQUENCE ||
		!der_read(&inside, &tag, &bits, NULL) || tag != DER_BIT_STRING || inside.size != 0 ||
		bits.size < 1 || bits.data[0] != 0)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "malformed signature in certificate");
	bits = fb_bytes(bits.data + 1, bits.size - 1);
	status = crypto_signature_to_low_s(curve, bits, allocator, &low_s, error);
	if (status == FB_INVALID_SIGNATURE)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "malformed signature in certificate");
	FB_TRY(status);
	if (fb_bytes_equal(bits, low_s))
		return fb_bytes_copy(allocator, der, result, error);

	fb_buffer_init(&bit_string, allocator);
	fb_buffer_append_byte(&bit_string, 0);
	fb_buffer_append_bytes(&bit_string, low_s);
	FB_TRY(fb_buffer_bytes(&bit_string, &bytes, error));
	fb_buffer_init(&content, allocator);
	fb_buffer_append_bytes(&content, body);
	fb_buffer_append_bytes(&content, algorithm);
	der_append(&content, DER_BIT_STRING, bytes);
	FB_TRY(fb_buffer_bytes(&content, &bytes, error));
	fb_buffer_init(&output, allocator);
	der_append(&output, DER_SEQUENCE, bytes);
	return fb_buffer_bytes(&output, result, error);
}
