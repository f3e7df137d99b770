/* x509_samples.h: certificates and keys for the tests of core/crypto */
#ifndef FABRIC_TEST_X509_SAMPLES_H
#define FABRIC_TEST_X509_SAMPLES_H

#include "core/crypto/crypto_internal.h"
#include "unit/check.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#define X509_DIR "test/vectors/x509/"
static FbArena arena;
static FbAllocator *const memory = &arena.allocator;

static inline FbBytes
read_x509(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s", name);
	return check_read_file(path);
}

static inline CryptoCertificate *
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

static inline CryptoCertificate *
load(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s.pem", name);
	return load_path(path);
}

static inline CryptoPrivateKey *
load_key(const char *name)
{
	FbBytes pem = read_x509(name);
	CryptoPrivateKey *key = NULL;

	CHECK_STATUS(crypto_private_key_parse(pem, &key, NULL), FB_OK);
	free((void *) pem.data);
	return key;
}

/* a CA, or a leaf, for key below issuer; issuer NULL: a root */
static inline CryptoCertificate *
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

static inline FbStatus
request_add_names(X509_REQ *request, const FbBytes *dns_names, size_t dns_names_count,
				  FbAllocator *allocator, FbError *error)
{
	STACK_OF(X509_EXTENSION) * extensions;
	ASN1_OCTET_STRING *octets;
	X509_EXTENSION *extension = NULL;
	FbBytes content;
	bool done = false;

	FB_TRY(alternative_names_make(dns_names, dns_names_count, allocator, &content, error));
	extensions = sk_X509_EXTENSION_new_null();
	octets = ASN1_OCTET_STRING_new();
	if (extensions != NULL && octets != NULL &&
		ASN1_OCTET_STRING_set(octets, content.data, (int) content.size) == 1)
		extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
	if (extension != NULL && sk_X509_EXTENSION_push(extensions, extension) > 0)
		done = X509_REQ_add_extensions(request, extensions) == 1;
	sk_X509_EXTENSION_free(extensions);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(octets);
	if (!done)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not add alternative names");
	return FB_OK;
}

static inline FbStatus
request_fill(X509_REQ *request, const CryptoName *subject, const FbBytes *dns_names,
			 size_t dns_names_count, const CryptoPrivateKey *key, FbAllocator *allocator,
			 FbError *error)
{
	X509_NAME *name;
	bool done;

	FB_TRY(dn_make(subject, &name, error));
	done = X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
		   X509_REQ_set_subject_name(request, name) == 1 &&
		   X509_REQ_set_pubkey(request, key->pkey) == 1;
	X509_NAME_free(name);
	if (!done)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not make a certificate request");
	if (dns_names_count > 0)
		FB_TRY(request_add_names(request, dns_names, dns_names_count, allocator, error));
	if (X509_REQ_sign(request, key->pkey, EVP_sha256()) <= 0)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not sign a certificate request");
	return FB_OK;
}

/* a PKCS#10 request as a client sends it: PEM, signed by key */
static inline FbStatus
request_make(const CryptoName *subject, const FbBytes *dns_names, size_t dns_names_count,
			 const CryptoPrivateKey *key, FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	unsigned char *der = NULL;
	int size = 0;
	X509_REQ *request = X509_REQ_new();
	FbStatus status;

	*pem = FB_BYTES_EMPTY;
	if (request == NULL)
		return fb_out_of_memory(error);
	status = request_fill(request, subject, dns_names, dns_names_count, key, allocator, error);
	if (status == FB_OK)
		size = i2d_X509_REQ(request, &der);
	X509_REQ_free(request);
	FB_TRY(status);
	if (size <= 0)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not write a certificate request");
	status = pem_write("CERTIFICATE REQUEST", fb_bytes(der, size), allocator, pem, error);
	OPENSSL_free(der);
	return status;
}

#endif
