/* csr.c: PKCS#10 certificate requests */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>

struct CryptoCsr
{
	X509_REQ *request;
	CryptoPublicKey *public_key;
	FbBytes *dns_names;
	size_t dns_names_count;
};

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
	crypto_public_key_free(csr->public_key);
	X509_REQ_free(csr->request);
	fb_release(&crypto_heap, csr);
}

const CryptoPublicKey *
crypto_csr_public_key(const CryptoCsr *csr)
{
	return csr->public_key;
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
