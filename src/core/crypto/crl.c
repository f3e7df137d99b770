/* crl.c: revocation lists */
#include "core/crypto/crypto_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct CryptoCrl
{
	X509_CRL *crl;
	AUTHORITY_KEYID *aki;
	FbBytes *serials; /* sorted; the bytes belong to crl */
	size_t serials_count;
};

static FbBytes
integer_magnitude(FbBytes serial)
{
	while (serial.size > 0 && serial.data[0] == 0)
		serial = fb_bytes(serial.data + 1, serial.size - 1);
	return serial;
}

static int
compare_serials(const void *a, const void *b)
{
	return fb_bytes_compare(*(const FbBytes *) a, *(const FbBytes *) b);
}

static FbStatus
read_crl(CryptoCrl *crl, FbBytes der, FbError *error)
{
	const unsigned char *position = der.data;
	STACK_OF(X509_REVOKED) * entries;
	int critical;

	/*
	 * OpenSSL 3.2 and later do not report that a list of entries could not grow for lack of memory,
	 * so one failure does not prove that the bytes are malformed. A second failure does: if there
	 * is still no memory, other allocations fail as well, and OpenSSL reports those.
	 */
	for (int attempt = 1; attempt <= 2 && crl->crl == NULL; attempt++)
	{
		position = der.data;
		crl->crl = d2i_X509_CRL(NULL, &position, (long) der.size);
	}
	if (crl->crl == NULL || position != der.data + der.size)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "malformed revocation list");
	crl->aki = X509_CRL_get_ext_d2i(crl->crl, NID_authority_key_identifier, &critical, NULL);
	if (crl->aki == NULL && critical != -1)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
								   "malformed authority key identifier in revocation list");
	entries = X509_CRL_get_REVOKED(crl->crl);
	crl->serials_count = entries == NULL ? 0 : sk_X509_REVOKED_num(entries);
	crl->serials = fb_allocate_array(&crypto_heap, crl->serials_count, sizeof(FbBytes));
	if (crl->serials == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < crl->serials_count; i++)
	{
		const ASN1_INTEGER *serial =
			X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, (int) i));

		crl->serials[i] =
			integer_magnitude(fb_bytes(ASN1_STRING_get0_data(serial), ASN1_STRING_length(serial)));
	}
	qsort(crl->serials, crl->serials_count, sizeof(FbBytes), compare_serials);
	return FB_OK;
}

FbStatus
crypto_crl_parse(FbBytes pem_or_der, CryptoCrl **crl, FbError *error)
{
	static const char *const names[] = {"X509 CRL", NULL};
	CryptoCrl *result;
	FbBytes der;
	FbStatus status;

	*crl = NULL;
	if (pem_or_der.size > FB_CRL_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "revocation list has %zu bytes, more than %d",
					   pem_or_der.size, FB_CRL_BYTES_MAX);
	FB_TRY(pem_read(pem_or_der, names, &der, NULL, NULL, error));
	if (der.data == NULL)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "no revocation list found");
	result = fb_allocate_zero(&crypto_heap, sizeof(*result));
	status = result == NULL ? fb_out_of_memory(error) : read_crl(result, der, error);
	fb_release(&crypto_heap, (void *) der.data);
	if (status != FB_OK)
	{
		crypto_crl_free(result);
		return status;
	}
	ERR_clear_error();
	*crl = result;
	return FB_OK;
}

void
crypto_crl_free(CryptoCrl *crl)
{
	if (crl == NULL)
		return;
	fb_release(&crypto_heap, crl->serials);
	AUTHORITY_KEYID_free(crl->aki);
	X509_CRL_free(crl->crl);
	fb_release(&crypto_heap, crl);
}

FbBytes
crypto_crl_aki(const CryptoCrl *crl)
{
	if (crl->aki == NULL || crl->aki->keyid == NULL)
		return FB_BYTES_EMPTY;
	return fb_bytes(ASN1_STRING_get0_data(crl->aki->keyid), ASN1_STRING_length(crl->aki->keyid));
}

FbStatus
crypto_crl_check_signature(const CryptoCrl *crl, const CryptoCertificate *issuer, FbError *error)
{
	int result = 0;

	if (!signature_algorithm_allowed(X509_CRL_get_signature_nid(crl->crl)))
		return fb_fail(error, FB_INVALID_SIGNATURE,
					   "revocation list is signed with an algorithm that is not allowed");
	/* twice: see crypto_openssl_starved */
	ERR_clear_error();
	for (int attempt = 0; attempt < 2 && result != 1; attempt++)
	{
		result = X509_CRL_verify(crl->crl, X509_get0_pubkey(issuer->x509));
		if (crypto_openssl_starved() && result != 1)
			return fb_out_of_memory(error);
	}
	if (result == 1)
		return FB_OK;
	return crypto_memory_is_short()
			   ? fb_out_of_memory(error)
			   : fb_fail(error, FB_INVALID_SIGNATURE, "revocation list is not signed by \"%s\"",
						 issuer->subject.text);
}

bool
crypto_crl_lists(const CryptoCrl *crl, FbBytes serial)
{
	FbBytes wanted = integer_magnitude(serial);

	return bsearch(&wanted, crl->serials, crl->serials_count, sizeof(FbBytes), compare_serials) !=
		   NULL;
}
