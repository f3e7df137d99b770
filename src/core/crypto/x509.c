/* x509.c: certificates, parsed once into plain values */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

/* real certificates have about ten; bounds the search for duplicates */
#define EXTENSIONS_MAX 64

static const char *const certificate_names[] = {"CERTIFICATE", NULL};

/*
 * critical extensions that this file, or OpenSSL on its behalf, handles: the same as in Go's
 * crypto/x509
 */
static const int understood_extensions[] =
	{NID_key_usage,		   NID_subject_alt_name,		NID_basic_constraints,
	 NID_name_constraints, NID_crl_distribution_points, NID_authority_key_identifier,
	 NID_ext_key_usage,	   NID_subject_key_identifier,	NID_certificate_policies};

static FbBytes
octets_of(const ASN1_OCTET_STRING *string)
{
	return string == NULL ? FB_BYTES_EMPTY
						  : fb_bytes(ASN1_STRING_get0_data(string), ASN1_STRING_length(string));
}

static FbStatus
read_time(const ASN1_TIME *from, int64_t *to, FbError *error)
{
	struct tm parts;

	if (from == NULL || ASN1_TIME_to_tm(from, &parts) != 1)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "unreadable time in certificate");
	*to = timegm(&parts);
	return FB_OK;
}

static FbStatus
check_extensions(CryptoCertificate *certificate, FbError *error)
{
	int count = X509_get_ext_count(certificate->x509);

	if (count > EXTENSIONS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "certificate has more than %d extensions",
					   EXTENSIONS_MAX);
	for (int i = 0; i < count; i++)
	{
		X509_EXTENSION *extension = X509_get_ext(certificate->x509, i);
		ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
		bool understood = !X509_EXTENSION_get_critical(extension);

		for (int k = 0; k < i; k++)
			if (OBJ_cmp(object, X509_EXTENSION_get_object(X509_get_ext(certificate->x509, k))) == 0)
				return fb_fail(error, FB_INVALID_CERTIFICATE, "certificate has an extension twice");
		for (size_t k = 0; k < sizeof(understood_extensions) / sizeof(int) && !understood; k++)
			understood = OBJ_obj2nid(object) == understood_extensions[k];
		if (!understood)
			certificate->unknown_critical = true;
	}
	return FB_OK;
}

static FbStatus
read_fields(CryptoCertificate *certificate, FbError *error)
{
	X509 *x509 = certificate->x509;
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);
	EVP_PKEY *pkey = X509_get0_pubkey(x509);
	uint32_t flags;
	uint32_t usage;
	FbStatus status;

	/* this fills OpenSSL's cache of extensions; the flags tell whether it could read all of them */
	if (X509_check_purpose(x509, -1, 0) != 1 ||
		(X509_get_extension_flags(x509) & EXFLAG_INVALID) != 0)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
								   "certificate has a malformed extension");
	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "certificate has a negative serial number");
	if (pkey == NULL)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
								   "certificate has a malformed public key");
	FB_TRY(check_extensions(certificate, error));
	FB_TRY(dn_read(X509_get_subject_name(x509), &certificate->subject, error));
	FB_TRY(dn_read(X509_get_issuer_name(x509), &certificate->issuer, error));
	FB_TRY(read_time(X509_get0_notBefore(x509), &certificate->not_before, error));
	FB_TRY(read_time(X509_get0_notAfter(x509), &certificate->not_after, error));

	certificate->serial = octets_of(serial);
	while (certificate->serial.size > 0 && certificate->serial.data[0] == 0)
		certificate->serial = fb_bytes(certificate->serial.data + 1, certificate->serial.size - 1);
	certificate->ski = octets_of(X509_get0_subject_key_id(x509));
	certificate->aki = octets_of(X509_get0_authority_key_id(x509));
	flags = X509_get_extension_flags(x509);
	certificate->basic_constraints = (flags & EXFLAG_BCONS) != 0;
	certificate->is_ca = certificate->basic_constraints && (flags & EXFLAG_CA) != 0;
	certificate->path_length = (int) X509_get_pathlen(x509);
	usage = X509_get_key_usage(x509);
	if (usage != UINT32_MAX)
	{
		/* OpenSSL numbers the bits of the first byte from its top */
		for (int bit = 0; bit < 8; bit++)
			if (usage & (0x80 >> bit))
				certificate->key_usage |= 1u << bit;
		if (usage & KU_DECIPHER_ONLY)
			certificate->key_usage |= 1u << 8;
	}

	status = public_key_wrap(pkey, &certificate->public_key, error);
	return status == FB_INVALID_KEY ? FB_OK : status;
}

static FbStatus
read_certificate(FbBytes der, CryptoCertificate **result, FbError *error)
{
	CryptoCertificate *certificate = fb_allocate_zero(&crypto_heap, sizeof(*certificate));
	const unsigned char *position = der.data;
	unsigned char *again = NULL;
	int size;
	FbStatus status;

	*result = NULL;
	if (certificate == NULL)
		return fb_out_of_memory(error);
	status = fb_bytes_copy(&crypto_heap, der, &certificate->der, error);
	if (status == FB_OK)
	{
		certificate->x509 = d2i_X509(NULL, &position, (long) der.size);
		if (certificate->x509 == NULL || position != der.data + der.size)
			status = crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "malformed certificate");
	}
	if (status == FB_OK)
	{
		/* OpenSSL reads BER, but bytes that are hashed and compared must have one form only */
		size = i2d_X509(certificate->x509, &again);
		if (size <= 0 || !fb_bytes_equal(fb_bytes(again, size), der))
			status =
				crypto_openssl_fail(error, FB_INVALID_CERTIFICATE, "certificate is not in DER");
		OPENSSL_free(again);
	}
	if (status == FB_OK)
		status = read_fields(certificate, error);
	if (status != FB_OK)
	{
		crypto_certificate_free(certificate);
		return status;
	}
	ERR_clear_error();
	*result = certificate;
	return FB_OK;
}

static FbStatus
certificate_from_der(FbBytes der, CryptoCertificate **result, FbError *error)
{
	FbStatus status = read_certificate(der, result, error);
	CryptoCertificate *again;

	if (status != FB_INVALID_CERTIFICATE)
		return status;
	/* see crypto_openssl_starved: malformed bytes fail a second time as well */
	if (read_certificate(der, &again, NULL) == status && !crypto_memory_is_short())
		return status;
	crypto_certificate_free(again);
	return fb_out_of_memory(error);
}

FbStatus
crypto_certificate_parse(FbBytes pem_or_der, CryptoCertificate **certificate, FbError *error)
{
	FbBytes der;
	FbStatus status;

	*certificate = NULL;
	if (pem_or_der.size > FB_CERTIFICATE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "certificate has %zu bytes, more than %d",
					   pem_or_der.size, FB_CERTIFICATE_BYTES_MAX);
	FB_TRY(pem_read(pem_or_der, certificate_names, &der, NULL, NULL, error));
	if (der.data == NULL)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "no certificate found");
	status = certificate_from_der(der, certificate, error);
	fb_release(&crypto_heap, (void *) der.data);
	return status;
}

FbStatus
crypto_certificate_parse_pem(FbBytes pem, CryptoCertificate **certificate, FbError *error)
{
	FbBytes der;
	FbStatus status;

	*certificate = NULL;
	if (pem.size > FB_CERTIFICATE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "certificate has %zu bytes, more than %d",
					   pem.size, FB_CERTIFICATE_BYTES_MAX);
	FB_TRY(pem_read_first(pem, &der, error));
	if (der.data == NULL && pem.size > 1 && pem.data[0] == DER_SEQUENCE && pem.data[1] >= 0x80)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "certificate is not in PEM");
	if (der.data == NULL)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "no certificate found");
	status = certificate_from_der(der, certificate, error);
	fb_release(&crypto_heap, (void *) der.data);
	return status;
}

void
crypto_certificate_free(CryptoCertificate *certificate)
{
	if (certificate == NULL)
		return;
	crypto_public_key_free(certificate->public_key);
	dn_free(&certificate->subject);
	dn_free(&certificate->issuer);
	X509_free(certificate->x509);
	fb_release(&crypto_heap, (void *) certificate->der.data);
	fb_release(&crypto_heap, certificate);
}

FbBytes
crypto_certificate_der(const CryptoCertificate *certificate)
{
	return certificate->der;
}

static FbBytes
name_der(const X509_NAME *name)
{
	const unsigned char *data = NULL;
	size_t size = 0;

	X509_NAME_get0_der(name, &data, &size);
	return fb_bytes(data, size);
}

FbBytes
crypto_certificate_subject_der(const CryptoCertificate *certificate)
{
	return name_der(X509_get_subject_name(certificate->x509));
}

FbBytes
crypto_certificate_issuer_der(const CryptoCertificate *certificate)
{
	return name_der(X509_get_issuer_name(certificate->x509));
}

const char *
crypto_certificate_subject(const CryptoCertificate *certificate)
{
	return certificate->subject.text;
}

const char *
crypto_certificate_issuer(const CryptoCertificate *certificate)
{
	return certificate->issuer.text;
}

const char *
crypto_certificate_common_name(const CryptoCertificate *certificate)
{
	return certificate->subject.common_name;
}

FbBytes
crypto_certificate_serial(const CryptoCertificate *certificate)
{
	return certificate->serial;
}

size_t
crypto_certificate_ous_count(const CryptoCertificate *certificate)
{
	return certificate->subject.ous_count;
}

FbBytes
crypto_certificate_ou(const CryptoCertificate *certificate, size_t index)
{
	FB_ASSERT(index < certificate->subject.ous_count);
	return certificate->subject.ous[index];
}

int64_t
crypto_certificate_not_before(const CryptoCertificate *certificate)
{
	return certificate->not_before;
}

int64_t
crypto_certificate_not_after(const CryptoCertificate *certificate)
{
	return certificate->not_after;
}

FbBytes
crypto_certificate_ski(const CryptoCertificate *certificate)
{
	return certificate->ski;
}

FbBytes
crypto_certificate_aki(const CryptoCertificate *certificate)
{
	return certificate->aki;
}

bool
crypto_certificate_is_ca(const CryptoCertificate *certificate)
{
	return certificate->is_ca;
}

CryptoKeyKind
crypto_certificate_key_kind(const CryptoCertificate *certificate)
{
	if (certificate->public_key != NULL)
		return CRYPTO_KEY_ECDSA;
	switch (EVP_PKEY_get_base_id(X509_get0_pubkey(certificate->x509)))
	{
		case EVP_PKEY_EC:
			return CRYPTO_KEY_ECDSA_OTHER;
		case EVP_PKEY_RSA:
			return CRYPTO_KEY_RSA;
		default:
			return CRYPTO_KEY_OTHER;
	}
}

bool
crypto_certificate_signed_with_ecdsa(const CryptoCertificate *certificate)
{
	switch (X509_get_signature_nid(certificate->x509))
	{
		case NID_ecdsa_with_SHA1:
		case NID_ecdsa_with_SHA256:
		case NID_ecdsa_with_SHA384:
		case NID_ecdsa_with_SHA512:
			return true;
		default:
			return false;
	}
}

const CryptoPublicKey *
crypto_certificate_public_key(const CryptoCertificate *certificate)
{
	return certificate->public_key;
}

bool
crypto_certificate_same_key(const CryptoCertificate *first, const CryptoCertificate *second)
{
	bool same = EVP_PKEY_eq(X509_get0_pubkey(first->x509), X509_get0_pubkey(second->x509)) == 1;

	/* EVP_PKEY_eq leaves an entry in the error queue for keys of different kinds */
	ERR_clear_error();
	return same;
}

bool
crypto_certificate_names_host(const CryptoCertificate *certificate, const char *host)
{
	bool named =
		X509_check_ip_asc(certificate->x509, host, 0) == 1 ||
		X509_check_host(certificate->x509, host, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;

	ERR_clear_error();
	return named;
}

bool
crypto_certificate_extension(const CryptoCertificate *certificate, const char *oid, FbBytes *value)
{
	*value = FB_BYTES_EMPTY;
	/* compare the text of each name: this allocates nothing, so it cannot fail */
	for (int i = 0; i < X509_get_ext_count(certificate->x509); i++)
	{
		X509_EXTENSION *extension = X509_get_ext(certificate->x509, i);
		char text[80];
		int size = OBJ_obj2txt(text, sizeof(text), X509_EXTENSION_get_object(extension), 1);

		if (size > 0 && size < (int) sizeof(text) && strcmp(text, oid) == 0)
		{
			*value = octets_of(X509_EXTENSION_get_data(extension));
			return true;
		}
	}
	return false;
}

FbStatus
crypto_certificate_pem(const CryptoCertificate *certificate, FbAllocator *allocator, FbBytes *pem,
					   FbError *error)
{
	return pem_write("CERTIFICATE", certificate->der, allocator, pem, error);
}

bool
signature_algorithm_allowed(int signature_nid)
{
	switch (signature_nid)
	{
		case NID_ecdsa_with_SHA256:
		case NID_ecdsa_with_SHA384:
		case NID_ecdsa_with_SHA512:
		case NID_sha256WithRSAEncryption:
		case NID_sha384WithRSAEncryption:
		case NID_sha512WithRSAEncryption:
		case NID_rsassaPss:
			return true;
		default:
			return false;
	}
}

FbStatus
crypto_certificate_normalized_der(const CryptoCertificate *certificate,
								  const CryptoCertificate *issuer, FbAllocator *allocator,
								  FbBytes *der, FbError *error)
{
	if (issuer->public_key == NULL)
		return fb_bytes_copy(allocator, certificate->der, der, error);
	return der_signed_to_low_s(issuer->public_key->curve, certificate->der, allocator, der, error);
}

FbStatus
crypto_certificate_low_s_der(const CryptoCertificate *certificate, CryptoCurve curve,
							 FbAllocator *allocator, FbBytes *der, FbError *error)
{
	return der_signed_to_low_s(curve, certificate->der, allocator, der, error);
}
