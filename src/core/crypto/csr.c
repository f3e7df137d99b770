/* csr.c: PKCS#10 certificate requests */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>

struct CryptoCsr
{
	X509_REQ *request;
	CryptoDn subject;
	CryptoPublicKey *public_key;
	FbBytes *dns_names;
	size_t dns_names_count;
};

static FbStatus
add_alternative_names(X509_REQ *request, const FbBytes *dns_names, size_t dns_names_count,
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

static FbStatus
fill_request(X509_REQ *request, const CryptoName *subject, const FbBytes *dns_names,
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
		FB_TRY(add_alternative_names(request, dns_names, dns_names_count, allocator, error));
	if (X509_REQ_sign(request, key->pkey, EVP_sha256()) <= 0)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not sign a certificate request");
	return FB_OK;
}

FbStatus
crypto_csr_create(const CryptoName *subject, const FbBytes *dns_names, size_t dns_names_count,
				  const CryptoPrivateKey *key, FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	unsigned char *der = NULL;
	int size = 0;
	X509_REQ *request = X509_REQ_new();
	FbStatus status;

	*pem = FB_BYTES_EMPTY;
	if (request == NULL)
		return fb_out_of_memory(error);
	status = fill_request(request, subject, dns_names, dns_names_count, key, allocator, error);
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

static FbStatus
read_request(CryptoCsr *csr, FbBytes der, FbError *error)
{
	const unsigned char *position = der.data;
	EVP_PKEY *pkey;
	STACK_OF(X509_EXTENSION) * extensions;
	GENERAL_NAMES *names;
	FbStatus status = FB_OK;
	int critical;

	csr->request = d2i_X509_REQ(NULL, &position, (long) der.size);
	if (csr->request == NULL || position != der.data + der.size)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "malformed certificate request");
	pkey = X509_REQ_get0_pubkey(csr->request);
	if (pkey == NULL)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
								   "malformed public key in certificate request");
	status = public_key_wrap(pkey, &csr->public_key, error);
	if (status == FB_INVALID_KEY)
		return fb_fail(
			error, FB_INVALID_CERTIFICATE,
			"certificate request is not for an ECDSA key on P-224, P-256, P-384 or P-521");
	FB_TRY(status);
	if (!signature_algorithm_allowed(X509_REQ_get_signature_nid(csr->request)) ||
		X509_REQ_verify(csr->request, pkey) != 1)
		return crypto_openssl_fail(error, FB_INVALID_SIGNATURE,
								   "certificate request is not signed by its own key");
	FB_TRY(dn_read(X509_REQ_get_subject_name(csr->request), &csr->subject, error));
	extensions = X509_REQ_get_extensions(csr->request);
	names = extensions == NULL ? NULL
							   : X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, NULL);
	if (names != NULL)
		status = alternative_names_read(names, &crypto_heap, &csr->dns_names, &csr->dns_names_count,
										error);
	else if (extensions != NULL && critical != -1)
		status = crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
									 "malformed alternative names in certificate request");
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return status;
}

FbStatus
crypto_csr_parse(FbBytes pem_or_der, CryptoCsr **csr, FbError *error)
{
	static const char *const names[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL};
	CryptoCsr *result;
	FbBytes der;
	FbStatus status;

	*csr = NULL;
	if (pem_or_der.size > FB_CERTIFICATE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "certificate request has %zu bytes, more than %d",
					   pem_or_der.size, FB_CERTIFICATE_BYTES_MAX);
	FB_TRY(pem_read(pem_or_der, names, &der, NULL, NULL, error));
	if (der.data == NULL)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "no certificate request found");
	result = fb_allocate_zero(&crypto_heap, sizeof(*result));
	status = result == NULL ? fb_out_of_memory(error) : read_request(result, der, error);
	fb_release(&crypto_heap, (void *) der.data);
	if (status != FB_OK)
	{
		crypto_csr_free(result);
		return status;
	}
	ERR_clear_error();
	*csr = result;
	return FB_OK;
}

void
crypto_csr_free(CryptoCsr *csr)
{
	if (csr == NULL)
		return;
	alternative_names_free(csr->dns_names, csr->dns_names_count);
	dn_free(&csr->subject);
	crypto_public_key_free(csr->public_key);
	X509_REQ_free(csr->request);
	fb_release(&crypto_heap, csr);
}

const CryptoPublicKey *
crypto_csr_public_key(const CryptoCsr *csr)
{
	return csr->public_key;
}

const char *
crypto_csr_subject(const CryptoCsr *csr)
{
	return csr->subject.text;
}

const char *
crypto_csr_common_name(const CryptoCsr *csr)
{
	return csr->subject.common_name;
}

size_t
crypto_csr_dns_names_count(const CryptoCsr *csr)
{
	return csr->dns_names_count;
}

FbBytes
crypto_csr_dns_name(const CryptoCsr *csr, size_t index)
{
	FB_ASSERT(index < csr->dns_names_count);
	return csr->dns_names[index];
}
