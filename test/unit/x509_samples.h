/* x509_samples.h: certificates and keys for the tests of core/crypto */
#ifndef FABRIC_TEST_X509_SAMPLES_H
#define FABRIC_TEST_X509_SAMPLES_H

#include "core/crypto/crypto.h"
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

#endif
