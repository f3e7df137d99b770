/* declarations that the files of core/crypto share */
#ifndef FABRIC_CORE_CRYPTO_INTERNAL_H
#define FABRIC_CORE_CRYPTO_INTERNAL_H

#include "core/crypto/crypto.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* coordinates of the largest curve, P-521 */
#define CRYPTO_SCALAR_BYTES_MAX 66

struct CryptoPrivateKey
{
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *sign_context; /* ready to sign, reused by every signature */
	CryptoCurve curve;
};

struct CryptoPublicKey
{
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *verify_context; /* ready to verify, reused by every verification */
	CryptoCurve curve;
	uint8_t point[1 + 2 * CRYPTO_SCALAR_BYTES_MAX];
	size_t point_size;
};

/* a parsed distinguished name */
typedef struct CryptoDn
{
	char *text;
	char *common_name;
	FbBytes *ous; /* each in its own allocation */
	size_t ous_count;
} CryptoDn;

struct CryptoCertificate
{
	X509 *x509;
	FbBytes der; /* all bytes are heap copies or belong to x509 */
	CryptoDn subject;
	CryptoDn issuer;
	FbBytes serial;
	int64_t not_before;
	int64_t not_after;
	FbBytes ski;
	FbBytes aki;
	bool basic_constraints;
	bool is_ca;
	int path_length; /* -1: no limit */
	uint32_t key_usage;
	bool unknown_critical; /* has a critical extension that neither this code nor OpenSSL handles */
	CryptoPublicKey *public_key; /* NULL if not ECDSA, or on another curve */
};

/* memory of opaque objects: OpenSSL's heap, which outlives every arena */
extern FbAllocator crypto_heap;

/*
 * A verdict reached without memory must not count: "not valid" would give a transaction another
 * code than on all other nodes. So, before a function reports a negative verdict, it asks whether
 * OpenSSL has run out of memory since its error queue was last empty (this call empties the queue).
 * OpenSSL does not record every such failure. Where it may not, the operation is repeated once; a
 * lasting shortage shows in a plain allocation that fails.
 */
extern bool crypto_openssl_starved(void);
extern bool crypto_memory_is_short(void);

/*
 * Fail with status. OpenSSL's messages become the detail, and its error queue is emptied. Out of
 * memory in OpenSSL becomes FB_OUT_OF_MEMORY.
 */
extern FbStatus crypto_openssl_fail(FbError *error, FbStatus status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- der.c ---- */

/*
 * Take one element from the front of *input: its tag and content; strict DER lengths, tag numbers
 * below 31. whole (may be NULL): the element with its header. Returns false if there is no such
 * element.
 */
extern bool der_read(FbBytes *input, uint8_t *tag, FbBytes *content, FbBytes *whole);
extern void der_append(FbBuffer *buffer, uint8_t tag, FbBytes content);

#define DER_INTEGER 0x02
#define DER_BIT_STRING 0x03
#define DER_OCTET_STRING 0x04
#define DER_SEQUENCE 0x30

/* ---- pem.c ---- */

/*
 * The content of the first PEM block of any type and with any headers, as Go's pem.Decode finds it.
 * *der is in crypto_heap and the caller releases it; its data is NULL when there is no block.
 * Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus pem_read_first(FbBytes input, FbBytes *der, FbError *error);

/*
 * The content of the first block without headers that has one of the names (a NULL-terminated
 * list), or the input itself when it starts like DER; otherwise like pem_read_first. found_name and
 * rest (the bytes after the block) may be NULL. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus pem_read(FbBytes input, const char *const *names, FbBytes *der, FbBytes *rest,
						 const char **found_name, FbError *error);
extern FbStatus pem_write(const char *name, FbBytes der, FbAllocator *allocator, FbBytes *pem,
						  FbError *error);

/* ---- ecdsa.c ---- */

/*
 * Make the signature of a signed structure low-S: SEQUENCE { body, algorithm, BIT STRING signature
 * } (certificate, request, revocation list), signed with an ECDSA key on curve. The result equals
 * the input if the signature is low-S already.
 */
extern FbStatus der_signed_to_low_s(CryptoCurve curve, FbBytes der, FbAllocator *allocator,
									FbBytes *result, FbError *error);

/*
 * Wrap pkey (takes a new reference). FB_INVALID_KEY when it is not an uncompressed point on a named
 * curve of CryptoCurve.
 */
extern FbStatus public_key_wrap(EVP_PKEY *pkey, CryptoPublicKey **public_key, FbError *error);

/* ---- alternative_names.c ---- */

/*
 * DNS names and IP addresses as texts. With crypto_heap as allocator, free them with
 * alternative_names_free, also after an error (*list NULL: nothing to free). Errors:
 * FB_LIMIT_EXCEEDED, FB_INVALID_CERTIFICATE, FB_OUT_OF_MEMORY.
 */
extern FbStatus alternative_names_read(const GENERAL_NAMES *names, FbAllocator *allocator,
									   FbBytes **list, size_t *count, FbError *error);
extern void alternative_names_free(FbBytes *list, size_t count);

/* ---- name.c ---- */

extern FbStatus dn_read(const X509_NAME *name, CryptoDn *dn, FbError *error);
extern void dn_free(CryptoDn *dn);
/* the reverse; the caller frees *name */
extern FbStatus dn_make(const CryptoName *from, X509_NAME **name, FbError *error);

/* ---- issue.c ---- */

/* content of a subject alternative name extension */
extern FbStatus alternative_names_make(const FbBytes *dns_names, size_t dns_names_count,
									   FbAllocator *allocator, FbBytes *content, FbError *error);

/* ---- x509.c ---- */

/* allowed algorithms of certificate signatures: ECDSA and RSA with SHA-2, as in Go */
extern bool signature_algorithm_allowed(int signature_nid);

#endif
