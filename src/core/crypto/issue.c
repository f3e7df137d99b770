/*
 * issue.c: issue certificates and revocation lists: extensions as cryptogen and Fabric CA write
 * them, signatures low-S
 */
#include "core/crypto/crypto_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define SERIAL_BYTES_MAX 20
#define SERIAL_RANDOM_BYTES 16

/* an extension with this DER content */
static FbStatus
make_extension(const char *oid, bool critical, FbBytes content, X509_EXTENSION **extension,
			   FbError *error)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();

	*extension = NULL;
	if (object != NULL && octets != NULL &&
		ASN1_OCTET_STRING_set(octets, content.data, (int) content.size) == 1)
		*extension = X509_EXTENSION_create_by_OBJ(NULL, object, critical, octets);
	ASN1_OBJECT_free(object);
	ASN1_OCTET_STRING_free(octets);
	if (*extension == NULL)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not make extension %s", oid);
	return FB_OK;
}

static FbStatus
add_extension(X509 *x509, const char *oid, bool critical, FbBytes content, FbError *error)
{
	X509_EXTENSION *extension;
	int added;

	FB_TRY(make_extension(oid, critical, content, &extension, error));
	added = X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	if (added != 1)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not add extension %s", oid);
	return FB_OK;
}

/* SEQUENCE { [0] key identifier } */
static FbStatus
make_aki(FbBytes key_identifier, FbAllocator *allocator, FbBytes *content, FbError *error)
{
	FbBuffer inside;
	FbBuffer outside;
	FbBytes bytes;

	fb_buffer_init(&inside, allocator);
	der_append(&inside, 0x80, key_identifier);
	FB_TRY(fb_buffer_bytes(&inside, &bytes, error));
	fb_buffer_init(&outside, allocator);
	der_append(&outside, DER_SEQUENCE, bytes);
	return fb_buffer_bytes(&outside, content, error);
}

FbStatus
alternative_names_make(const FbBytes *dns_names, size_t dns_names_count, FbAllocator *allocator,
					   FbBytes *content, FbError *error)
{
	FbBuffer inside;
	FbBuffer outside;
	FbBytes bytes;

	fb_buffer_init(&inside, allocator);
	for (size_t i = 0; i < dns_names_count; i++)
	{
		char name[256];
		ASN1_OCTET_STRING *address;

		if (dns_names[i].size == 0 || dns_names[i].size >= sizeof(name))
			return fb_fail(error, FB_INVALID_ARGUMENT,
						   "alternative name is empty or longer than %zu bytes", sizeof(name) - 1);
		memcpy(name, dns_names[i].data, dns_names[i].size);
		name[dns_names[i].size] = '\0';
		/* IA5String without control characters and spaces */
		for (size_t k = 0; k < dns_names[i].size; k++)
			if (name[k] <= ' ' || name[k] > '~')
				return fb_fail(error, FB_INVALID_ARGUMENT,
							   "invalid character in an alternative name");
		address = a2i_IPADDRESS(name);
		if (address != NULL)
			der_append(&inside, 0x87,
					   fb_bytes(ASN1_STRING_get0_data(address), ASN1_STRING_length(address)));
		else
			der_append(&inside, 0x82, dns_names[i]);
		ASN1_OCTET_STRING_free(address);
		ERR_clear_error();
	}
	FB_TRY(fb_buffer_bytes(&inside, &bytes, error));
	fb_buffer_init(&outside, allocator);
	der_append(&outside, DER_SEQUENCE, bytes);
	return fb_buffer_bytes(&outside, content, error);
}

static FbStatus
add_extensions(X509 *x509, const CryptoTemplate *template, const CryptoPublicKey *subject_key,
			   FbBytes issuer_ski, FbAllocator *allocator, FbError *error)
{
	uint8_t key_identifier[CRYPTO_SHA256_BYTES];
	uint8_t usage[4] = {DER_BIT_STRING, 2, 0, KU_DIGITAL_SIGNATURE};
	uint8_t ca_limited[8] = {DER_SEQUENCE, 6,			1, 1,
							 0xff,		   DER_INTEGER, 1, (uint8_t) template->path_length};
	static const uint8_t ca_unlimited[5] = {DER_SEQUENCE, 3, 1, 1, 0xff};
	static const uint8_t no_ca[2] = {DER_SEQUENCE, 0};
	static const uint8_t server_and_client[22] =
		{DER_SEQUENCE, 20, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2};
	FbBytes content;
	FbBuffer buffer;

	if (template->is_ca)
		usage[3] |= KU_KEY_CERT_SIGN | KU_CRL_SIGN;
	if (template->is_tls)
		usage[3] |= KU_KEY_ENCIPHERMENT;
	/* number of unused bits at the end */
	while ((usage[3] >> usage[2] & 1) == 0)
		usage[2]++;
	FB_TRY(add_extension(x509, "2.5.29.15", true, fb_bytes(usage, sizeof(usage)), error));
	if (template->is_tls)
		FB_TRY(add_extension(x509, "2.5.29.37", false,
							 fb_bytes(server_and_client, sizeof(server_and_client)), error));
	content = fb_bytes(no_ca, sizeof(no_ca));
	if (template->is_ca)
		content = template->path_length < 0 ? fb_bytes(ca_unlimited, sizeof(ca_unlimited))
											: fb_bytes(ca_limited, sizeof(ca_limited));
	FB_TRY(add_extension(x509, "2.5.29.19", true, content, error));

	crypto_sha256(crypto_public_key_point(subject_key), key_identifier);
	fb_buffer_init(&buffer, allocator);
	der_append(&buffer, DER_OCTET_STRING, fb_bytes(key_identifier, sizeof(key_identifier)));
	FB_TRY(fb_buffer_bytes(&buffer, &content, error));
	FB_TRY(add_extension(x509, "2.5.29.14", false, content, error));
	if (issuer_ski.size > 0)
	{
		FB_TRY(make_aki(issuer_ski, allocator, &content, error));
		FB_TRY(add_extension(x509, "2.5.29.35", false, content, error));
	}
	if (template->dns_names_count > 0)
	{
		FB_TRY(alternative_names_make(template->dns_names, template->dns_names_count, allocator,
									  &content, error));
		FB_TRY(add_extension(x509, "2.5.29.17", false, content, error));
	}
	if (template->attributes_json.size > 0)
		FB_TRY(add_extension(x509, CRYPTO_OID_ATTRIBUTES, false, template->attributes_json, error));
	return FB_OK;
}

static FbStatus
set_serial(ASN1_INTEGER *integer, FbBytes serial, FbError *error)
{
	uint8_t made[SERIAL_RANDOM_BYTES];
	BIGNUM *number;
	bool done;

	if (serial.size == 0)
	{
		FB_TRY(crypto_random(made, sizeof(made), error));
		made[0] = (made[0] & 0x7f) | 0x40; /* positive, and always of full length */
		serial = fb_bytes(made, sizeof(made));
	}
	number = BN_bin2bn(serial.data, (int) serial.size, NULL);
	done = number != NULL && BN_to_ASN1_INTEGER(number, integer) != NULL;
	BN_free(number);
	if (!done)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not set the serial number");
	return FB_OK;
}

static FbStatus
issue_check_issuer(const CryptoCertificate *issuer, const CryptoPrivateKey *issuer_key,
				   uint32_t usage, FbError *error)
{
	if (!issuer->is_ca || (issuer->key_usage != 0 && !(issuer->key_usage & usage)))
		return fb_fail(error, FB_INVALID_KEY, "certificate \"%s\" may not issue this",
					   issuer->subject.text);
	if (!crypto_private_key_matches(issuer_key, issuer->public_key))
		return fb_fail(error, FB_INVALID_KEY, "private key does not belong to certificate \"%s\"",
					   issuer->subject.text);
	return FB_OK;
}

static FbStatus
check_template(const CryptoTemplate *template, FbError *error)
{
	if (template->not_after <= template->not_before)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "a certificate cannot expire before it becomes valid");
	/* years 1 to 9999, the range of X.509 */
	if (template->not_before < -62135596800 || template->not_after > 253402300799)
		return fb_fail(error, FB_INVALID_ARGUMENT, "validity of a certificate is out of range");
	if (template->serial.size > SERIAL_BYTES_MAX ||
		(template->serial.size == SERIAL_BYTES_MAX && template->serial.data[0] & 0x80))
		return fb_fail(error, FB_INVALID_ARGUMENT, "serial number is longer than %d bytes",
					   SERIAL_BYTES_MAX);
	if (template->path_length > 100)
		return fb_fail(error, FB_INVALID_ARGUMENT, "path length %d is out of range",
					   template->path_length);
	if (template->attributes_json.size > FB_CERTIFICATE_BYTES_MAX / 2)
		return fb_fail(error, FB_INVALID_ARGUMENT, "attributes have more than %d bytes",
					   FB_CERTIFICATE_BYTES_MAX / 2);
	return FB_OK;
}

static FbStatus
fill_certificate(X509 *x509, const CryptoTemplate *template, const CryptoPublicKey *subject_key,
				 const CryptoCertificate *issuer, FbAllocator *allocator, FbError *error)
{
	X509_NAME *subject;
	uint8_t own_ski[CRYPTO_SHA256_BYTES];
	FbBytes issuer_ski;
	bool done;

	FB_TRY(dn_make(&template->subject, &subject, error));
	done = X509_set_version(x509, X509_VERSION_3) == 1 &&
		   X509_set_subject_name(x509, subject) == 1 &&
		   X509_set_issuer_name(x509, issuer == NULL ? subject
													 : X509_get_subject_name(issuer->x509)) == 1 &&
		   ASN1_TIME_set(X509_getm_notBefore(x509), template->not_before) != NULL &&
		   ASN1_TIME_set(X509_getm_notAfter(x509), template->not_after) != NULL &&
		   X509_set_pubkey(x509, subject_key->pkey) == 1;
	X509_NAME_free(subject);
	if (!done)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not make a certificate");
	FB_TRY(set_serial(X509_get_serialNumber(x509), template->serial, error));
	crypto_sha256(crypto_public_key_point(subject_key), own_ski);
	issuer_ski = issuer == NULL ? fb_bytes(own_ski, sizeof(own_ski)) : issuer->ski;
	return add_extensions(x509, template, subject_key, issuer_ski, allocator, error);
}

/* low-S, PEM */
static FbStatus
issue_finish(CryptoCurve curve, unsigned char *der, int size, const char *name,
			 FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	FbBytes low_s;
	FbStatus status;

	if (size <= 0)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not sign");
	status = der_signed_to_low_s(curve, fb_bytes(der, size), allocator, &low_s, error);
	OPENSSL_free(der);
	FB_TRY(status);
	return pem_write(name, low_s, allocator, pem, error);
}

FbStatus
crypto_certificate_issue(const CryptoTemplate *template, const CryptoPublicKey *subject_key,
						 const CryptoCertificate *issuer, const CryptoPrivateKey *issuer_key,
						 FbAllocator *allocator, FbBytes *pem, FbError *error)
{
	unsigned char *der = NULL;
	int size = 0;
	X509 *x509;
	FbStatus status;

	*pem = FB_BYTES_EMPTY;
	FB_TRY(check_template(template, error));
	if (issuer != NULL)
		FB_TRY(issue_check_issuer(issuer, issuer_key, CRYPTO_USAGE_CERTIFICATE_SIGN, error));
	else if (!crypto_private_key_matches(issuer_key, subject_key))
		return fb_fail(error, FB_INVALID_KEY,
					   "a self-signed certificate must be signed with its own key");
	x509 = X509_new();
	if (x509 == NULL)
		return fb_out_of_memory(error);
	status = fill_certificate(x509, template, subject_key, issuer, allocator, error);
	if (status == FB_OK && X509_sign(x509, issuer_key->pkey, EVP_sha256()) > 0)
		size = i2d_X509(x509, &der);
	X509_free(x509);
	FB_TRY(status);
	return issue_finish(issuer_key->curve, der, size, "CERTIFICATE", allocator, pem, error);
}

static FbStatus
add_revocation(X509_CRL *crl, const CryptoRevocation *revocation, FbError *error)
{
	X509_REVOKED *entry;
	ASN1_INTEGER *serial;
	ASN1_TIME *at;
	ASN1_ENUMERATED *reason;
	bool done;
	FbStatus status = FB_OK;

	if (revocation->serial.size == 0 || revocation->serial.size > SERIAL_BYTES_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "serial number must have 1 to %d bytes",
					   SERIAL_BYTES_MAX);
	/* RFC 5280 5.3.1: 7 is not used */
	if (revocation->reason > 10 || revocation->reason == 7)
		return fb_fail(error, FB_INVALID_ARGUMENT, "unrecognized revocation reason %d",
					   revocation->reason);
	entry = X509_REVOKED_new();
	serial = ASN1_INTEGER_new();
	at = ASN1_TIME_set(NULL, revocation->at);
	done = entry != NULL && serial != NULL && at != NULL;
	if (done)
	{
		status = set_serial(serial, revocation->serial, error);
		done = status == FB_OK && X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
			   X509_REVOKED_set_revocationDate(entry, at) == 1;
	}
	if (done && revocation->reason > 0)
	{
		reason = ASN1_ENUMERATED_new();
		done = reason != NULL && ASN1_ENUMERATED_set(reason, revocation->reason) == 1 &&
			   X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) == 1;
		ASN1_ENUMERATED_free(reason);
	}
	if (done)
	{
		done = X509_CRL_add0_revoked(crl, entry) == 1;
		if (done)
			entry = NULL; /* the list owns it now */
	}
	X509_REVOKED_free(entry);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(at);
	if (status == FB_OK && !done)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE,
								   "could not add to the revocation list");
	return status;
}

static FbStatus
add_crl_extension(X509_CRL *crl, const char *oid, FbBytes content, FbError *error)
{
	X509_EXTENSION *extension;
	int added;

	FB_TRY(make_extension(oid, false, content, &extension, error));
	added = X509_CRL_add_ext(crl, extension, -1);
	X509_EXTENSION_free(extension);
	if (added != 1)
		return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not add extension %s", oid);
	return FB_OK;
}

static FbStatus
fill_crl(X509_CRL *crl, const CryptoCertificate *issuer, const CryptoRevocation *revocations,
		 size_t revocations_count, int64_t this_update, int64_t next_update, uint64_t number,
		 FbAllocator *allocator, FbError *error)
{
	ASN1_TIME *this_time = ASN1_TIME_set(NULL, this_update);
	ASN1_TIME *next_time = ASN1_TIME_set(NULL, next_update);
	uint8_t number_der[11] = {DER_INTEGER, 9, 0};
	FbBytes content;
	int skip = 0;
	bool done;

	done = this_time != NULL && next_time != NULL &&
		   X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
		   X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) == 1 &&
		   X509_CRL_set1_lastUpdate(crl, this_time) == 1 &&
		   X509_CRL_set1_nextUpdate(crl, next_time) == 1;
	ASN1_TIME_free(this_time);
	ASN1_TIME_free(next_time);
	if (!done)
		return crypto_openssl_fail(error, FB_INVALID_ARGUMENT, "could not make a revocation list");
	for (size_t i = 0; i < revocations_count; i++)
		FB_TRY(add_revocation(crl, &revocations[i], error));
	X509_CRL_sort(crl);

	FB_TRY(make_aki(issuer->ski, allocator, &content, error));
	FB_TRY(add_crl_extension(crl, "2.5.29.35", content, error));
	/* the number as INTEGER in its shortest form: a zero byte only before a set top bit */
	for (int i = 0; i < 8; i++)
		number_der[3 + i] = (uint8_t) (number >> (56 - 8 * i));
	while (skip < 8 && number_der[2 + skip] == 0 && !(number_der[3 + skip] & 0x80))
		skip++;
	memmove(number_der + 2, number_der + 2 + skip, 9 - skip);
	number_der[1] = (uint8_t) (9 - skip);
	return add_crl_extension(crl, "2.5.29.20", fb_bytes(number_der, 2 + number_der[1]), error);
}

FbStatus
crypto_crl_issue(const CryptoCertificate *issuer, const CryptoPrivateKey *issuer_key,
				 const CryptoRevocation *revocations, size_t revocations_count, int64_t this_update,
				 int64_t next_update, uint64_t number, FbAllocator *allocator, FbBytes *pem,
				 FbError *error)
{
	unsigned char *der = NULL;
	int size = 0;
	X509_CRL *crl;
	FbStatus status;

	*pem = FB_BYTES_EMPTY;
	if (next_update <= this_update)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "the next update of a revocation list must come after this one");
	FB_TRY(issue_check_issuer(issuer, issuer_key, CRYPTO_USAGE_CRL_SIGN, error));
	if (issuer->ski.size == 0)
		return fb_fail(error, FB_INVALID_KEY, "certificate \"%s\" has no subject key identifier",
					   issuer->subject.text);
	crl = X509_CRL_new();
	if (crl == NULL)
		return fb_out_of_memory(error);
	status = fill_crl(crl, issuer, revocations, revocations_count, this_update, next_update, number,
					  allocator, error);
	if (status == FB_OK && X509_CRL_sign(crl, issuer_key->pkey, EVP_sha256()) > 0)
		size = i2d_X509_CRL(crl, &der);
	X509_CRL_free(crl);
	FB_TRY(status);
	return issue_finish(issuer_key->curve, der, size, "X509 CRL", allocator, pem, error);
}
