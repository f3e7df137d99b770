/*
 * crypto: hashes, ECDSA keys and signatures, X.509 certificates, chains, revocation lists,
 * certificate requests.
 *
 * OpenSSL does the work. This directory restricts what is allowed and adds Fabric's rules (bccsp of
 * Hyperledger Fabric).
 *
 * Ownership: each opaque object (key, certificate, list, request) is a single heap object outside
 * every arena; the caller frees it with its ..._free function (NULL is allowed). Bytes and texts
 * that an accessor returns live as long as the object. Bytes that a function makes are allocated
 * with the allocator that the caller passes. Two threads must not use an object at the same time.
 *
 * PEM input: the first block of the wanted type is used, and text around it is ignored, as Go's
 * pem.Decode does. Times are seconds since 1970-01-01 UTC; there is no clock. Texts are UTF-8.
 * Every function that can fail may also return FB_OUT_OF_MEMORY; FB_CRYPTO_FAILURE is a failure of
 * OpenSSL itself.
 */
#ifndef FABRIC_CORE_CRYPTO_H
#define FABRIC_CORE_CRYPTO_H

#include "core/base/base.h"

/* ---- hash.c: SHA-256 and random bytes ---- */

#define CRYPTO_SHA256_BYTES 32

/* out = SHA-256(bytes) (FIPS 180-4); cannot fail, allocates nothing */
extern void crypto_sha256(FbBytes bytes, uint8_t out[CRYPTO_SHA256_BYTES]);

/* out = SHA-256 of the concatenated parts, to hash signed concatenations without copying them */
extern void crypto_sha256_parts(const FbBytes *parts, size_t parts_count,
								uint8_t out[CRYPTO_SHA256_BYTES]);

/*
 * A hash in progress: start, add any number of times, finish once. A plain value that needs no
 * release.
 */
typedef struct CryptoSha256
{
	uint64_t state[16];
} CryptoSha256;

extern void crypto_sha256_start(CryptoSha256 *hash);
extern void crypto_sha256_add(CryptoSha256 *hash, FbBytes bytes);
extern void crypto_sha256_finish(CryptoSha256 *hash, uint8_t out[CRYPTO_SHA256_BYTES]);

/* size bytes from OpenSSL's generator, suitable for keys and nonces. Errors: FB_CRYPTO_FAILURE */
extern FbStatus crypto_random(uint8_t *out, size_t size, FbError *error);

/* Overwrite a secret before its memory is freed; the compiler cannot remove this. */
extern void crypto_wipe(void *data, size_t size);

/* ---- ecdsa.c: keys and signatures ---- */

/* The four curves that Go's crypto/x509 knows (bccsp/utils/ecdsa.go). */

typedef enum CryptoCurve
{
	CRYPTO_P224,
	CRYPTO_P256,
	CRYPTO_P384,
	CRYPTO_P521
} CryptoCurve;

typedef struct CryptoPrivateKey CryptoPrivateKey;
typedef struct CryptoPublicKey CryptoPublicKey;

#define CRYPTO_CURVES_COUNT 4

/* "P-256" */
extern const char *crypto_curve_name(CryptoCurve curve);

/* the longest signature: SEQUENCE of two INTEGERs of P-521 */
#define CRYPTO_SIGNATURE_BYTES_MAX 139

/* a new key pair. Errors: FB_CRYPTO_FAILURE */
extern FbStatus crypto_private_key_generate(CryptoCurve curve, CryptoPrivateKey **key,
											FbError *error);

/*
 * A private key from PEM: PKCS#8 ("PRIVATE KEY") or SEC 1 ("EC PRIVATE KEY"), not encrypted.
 * Errors: FB_INVALID_KEY (no such PEM block, encrypted, not ECDSA, another curve, public part does
 * not match).
 */
extern FbStatus crypto_private_key_parse(FbBytes pem, CryptoPrivateKey **key, FbError *error);

/* The key as PKCS#8 PEM. It is a secret: overwrite it with crypto_wipe after use. */
extern FbStatus crypto_private_key_pem(const CryptoPrivateKey *key, FbAllocator *allocator,
									   FbBytes *pem, FbError *error);

/* the public half, as an independent object */
extern FbStatus crypto_private_key_public(const CryptoPrivateKey *key, CryptoPublicKey **public_key,
										  FbError *error);

/* does the private key belong to the public key? */
extern bool crypto_private_key_matches(const CryptoPrivateKey *key,
									   const CryptoPublicKey *public_key);

extern void crypto_private_key_free(CryptoPrivateKey *key);

/*
 * A public key from DER SubjectPublicKeyInfo (RFC 5280 4.1).
 * Errors: FB_INVALID_CERTIFICATE (malformed, not ECDSA, other curve, point not on the curve).
 */
extern FbStatus crypto_public_key_parse(FbBytes spki_der, CryptoPublicKey **public_key,
										FbError *error);

extern CryptoCurve crypto_public_key_curve(const CryptoPublicKey *public_key);

/*
 * the point, uncompressed: 04 || x || y; lives as long as the key. Its SHA-256 is Fabric's SKI of
 * the key (bccsp/sw/ecdsakey.go)
 */
extern FbBytes crypto_public_key_point(const CryptoPublicKey *public_key);

extern void crypto_public_key_free(CryptoPublicKey *public_key);

/*
 * Sign: ECDSA over SHA-256 of the message (also for P-384: Fabric's hash family is SHA2), DER,
 * low-S, as Sign of msp/identities.go does (docs/wire-format.md, "Transactions"). Errors:
 * FB_CRYPTO_FAILURE.
 */
extern FbStatus crypto_sign(const CryptoPrivateKey *key, FbBytes message, FbAllocator *allocator,
							FbBytes *signature, FbError *error);
extern FbStatus crypto_sign_digest(const CryptoPrivateKey *key,
								   const uint8_t digest[CRYPTO_SHA256_BYTES],
								   FbAllocator *allocator, FbBytes *signature, FbError *error);

/*
 * Verify: DER in its shortest form, 0 < r, s and s at most half of the group order (a high-S
 * signature fails, bccsp/sw/ecdsa.go verifyECDSA), then ECDSA over SHA-256 of the message (of the
 * concatenated parts). Returns FB_OK or FB_INVALID_SIGNATURE; FB_OUT_OF_MEMORY or FB_CRYPTO_FAILURE
 * when it could not be decided. The key keeps its OpenSSL context, so repeated verification with
 * the same object is cheap. Bytes after the two numbers, inside the SEQUENCE and after it, are
 * ignored, as in Go: anyone can change the bytes of a signature in this way, so the bytes of a
 * signature identify nothing.
 */
extern FbStatus crypto_verify(const CryptoPublicKey *public_key, FbBytes message, FbBytes signature,
							  FbError *error);
extern FbStatus crypto_verify_parts(const CryptoPublicKey *public_key, const FbBytes *parts,
									size_t parts_count, FbBytes signature, FbError *error);
extern FbStatus crypto_verify_digest(const CryptoPublicKey *public_key,
									 const uint8_t digest[CRYPTO_SHA256_BYTES], FbBytes signature,
									 FbError *error);

/*
 * Make any signature low-S: s := order - s if needed. The input is strict DER.
 * Errors: FB_INVALID_SIGNATURE (malformed).
 */
extern FbStatus crypto_signature_to_low_s(CryptoCurve curve, FbBytes signature,
										  FbAllocator *allocator, FbBytes *low_s, FbError *error);

/* ---- x509.c, certificate_chain.c, alternative_names.c: certificates ---- */

typedef struct CryptoCertificate CryptoCertificate;

/* key usage bits, numbered as in RFC 5280 4.2.1.3 */
#define CRYPTO_USAGE_DIGITAL_SIGNATURE (1u << 0)
#define CRYPTO_USAGE_KEY_ENCIPHERMENT (1u << 2)
#define CRYPTO_USAGE_CERTIFICATE_SIGN (1u << 5)
#define CRYPTO_USAGE_CRL_SIGN (1u << 6)

/* Fabric CA's attribute extension: UTF-8 JSON {"attrs":{"name":"value",...}} */
#define CRYPTO_OID_ATTRIBUTES "1.2.3.4.5.6.7.8.1"

/*
 * One certificate, PEM or DER, at most FB_CERTIFICATE_BYTES_MAX. It must be strict DER without
 * bytes after it, have readable names and times and no extension twice. Any public key is accepted
 * here (CAs may be RSA): see crypto_certificate_public_key. Errors: FB_INVALID_CERTIFICATE,
 * FB_LIMIT_EXCEEDED.
 */
extern FbStatus crypto_certificate_parse(FbBytes pem_or_der, CryptoCertificate **certificate,
										 FbError *error);

/*
 * The same where Fabric expects PEM: the first block, of any type, with any headers, is the
 * certificate (msp/mspimpl.go, deserializeIdentityInternal; encoding/pem). Errors: those of
 * crypto_certificate_parse.
 */
extern FbStatus crypto_certificate_parse_pem(FbBytes pem, CryptoCertificate **certificate,
											 FbError *error);
extern void crypto_certificate_free(CryptoCertificate *certificate);

extern FbBytes crypto_certificate_der(const CryptoCertificate *certificate); /* as received */
/* DER of the Name */
extern FbBytes crypto_certificate_subject_der(const CryptoCertificate *certificate);
extern FbBytes crypto_certificate_issuer_der(const CryptoCertificate *certificate);
/*
 * Distinguished names as Fabric's cid library prints them (getDN of fabric-chaincode-go pkg/cid:
 * RFC 2253 over Go's pkix.Name.ToRDNSequence): "CN=User1,OU=client,O=Org,C=US". For the client id
 * and for messages, never for comparisons.
 */
extern const char *crypto_certificate_subject(const CryptoCertificate *certificate);
extern const char *crypto_certificate_issuer(const CryptoCertificate *certificate);
/* the last CN; "" if none */
extern const char *crypto_certificate_common_name(const CryptoCertificate *certificate);
/* big-endian magnitude, no leading zeros */
extern FbBytes crypto_certificate_serial(const CryptoCertificate *certificate);
/* organizational units of the subject */
extern size_t crypto_certificate_ous_count(const CryptoCertificate *certificate);
extern FbBytes crypto_certificate_ou(const CryptoCertificate *certificate, size_t index);
extern int64_t crypto_certificate_not_before(const CryptoCertificate *certificate);
extern int64_t crypto_certificate_not_after(const CryptoCertificate *certificate);
/* subject key identifier; empty if none */
extern FbBytes crypto_certificate_ski(const CryptoCertificate *certificate);
/* authority key identifier; empty if none */
extern FbBytes crypto_certificate_aki(const CryptoCertificate *certificate);
/* basic constraints present and CA:TRUE */
extern bool crypto_certificate_is_ca(const CryptoCertificate *certificate);
/* CRYPTO_USAGE_... bits; 0 if there is no such extension */

/*
 * the value (content of the OCTET STRING) of the extension with this dotted OID; false if there is
 * no such extension
 */
extern bool crypto_certificate_extension(const CryptoCertificate *certificate, const char *oid,
										 FbBytes *value);

/*
 * Kind of the subject's key. Go's parser refuses a certificate with an ECDSA key on another curve,
 * or with explicit curve parameters.
 */
typedef enum CryptoKeyKind
{
	CRYPTO_KEY_ECDSA,
	CRYPTO_KEY_ECDSA_OTHER,
	CRYPTO_KEY_RSA,
	CRYPTO_KEY_OTHER
} CryptoKeyKind;

extern CryptoKeyKind crypto_certificate_key_kind(const CryptoCertificate *certificate);

/* Is the certificate itself signed with ECDSA, SHA-1 included? (msp/cert.go, isECDSASignedCert) */
extern bool crypto_certificate_signed_with_ecdsa(const CryptoCertificate *certificate);

/*
 * Can the certificate sign other certificates? (crypto/x509, CheckSignatureFrom, without the
 * signature) FB_INVALID_CERTIFICATE if not.
 */
extern FbStatus crypto_certificate_check_may_sign(const CryptoCertificate *certificate,
												  FbError *error);

/*
 * the subject's ECDSA key, owned by the certificate; NULL when the key is not ECDSA or not on one
 * of the four curves
 */
extern const CryptoPublicKey *crypto_certificate_public_key(const CryptoCertificate *certificate);

/*
 * The DNS names and IP addresses (as texts) among the certificate's subject alternative names, in
 * their order. Errors: FB_INVALID_CERTIFICATE (malformed), FB_LIMIT_EXCEEDED (more than 256).
 */
extern FbStatus crypto_certificate_hosts(const CryptoCertificate *certificate,
										 FbAllocator *allocator, FbBytes **hosts,
										 size_t *hosts_count, FbError *error);

/*
 * Do both have the same public key? The keys are compared, not their bytes
 * (common/crypto/expiration.go, CertificatesWithSamePublicKey, encodes both again and compares the
 * results). Keys may be of any kind that OpenSSL knows.
 */
extern bool crypto_certificate_same_key(const CryptoCertificate *first,
										const CryptoCertificate *second);

/*
 * Is the certificate issued for this host, a DNS name or an IP address? Decided by the alternative
 * names; by the common name only if there is no alternative name (RFC 6125, 6.4.4); never by a
 * wildcard, because such a certificate does not distinguish one host from another.
 */
extern bool crypto_certificate_names_host(const CryptoCertificate *certificate, const char *host);

extern FbStatus crypto_certificate_pem(const CryptoCertificate *certificate, FbAllocator *allocator,
									   FbBytes *pem, FbError *error);

/*
 * The DER over which Fabric computes identity identifiers (docs/wire-format.md, "Identities";
 * msp/cert.go, sanitizeECDSASignedCert): the certificate with its own signature made low-S with the
 * issuer's curve; the received bytes when the signature is low-S already or the issuer's key is not
 * ECDSA. issuer: the certificate that signed this one (itself when self-signed). Errors:
 * FB_INVALID_CERTIFICATE (signature malformed).
 */
extern FbStatus crypto_certificate_normalized_der(const CryptoCertificate *certificate,
												  const CryptoCertificate *issuer,
												  FbAllocator *allocator, FbBytes *der,
												  FbError *error);

/* the same when the issuer's curve is known but its certificate is not available */
extern FbStatus crypto_certificate_low_s_der(const CryptoCertificate *certificate,
											 CryptoCurve curve, FbAllocator *allocator,
											 FbBytes *der, FbError *error);

/* ---- certificate_chain.c ---- */

/* Chains of certificates as Go's x509.Certificate.Verify, on which Fabric relies, finds them. */

/*
 * Trusted certificates: borrowed arrays of borrowed certificates. Certificates of the operating
 * system are not trusted.
 */
typedef struct CryptoTrust
{
	CryptoCertificate *const *roots;
	size_t roots_count;
	CryptoCertificate *const *intermediates;
	size_t intermediates_count;
} CryptoTrust;

typedef struct CryptoChain
{
	/* [0] is the certificate itself, the last one a root */
	const CryptoCertificate *certificates[FB_CERTIFICATE_CHAIN_LENGTH_MAX];
	size_t length;
} CryptoChain;

/*
 * Find all chains from the certificate to a root at the time `at`: names and signatures match,
 * every certificate is valid at that time, issuers are CAs with certificate-sign usage (if they
 * state usages), path lengths are respected, there is no unrecognized critical extension, and, as
 * Go requires when the caller gives no usage, extended key usages (where stated) allow server
 * authentication or any. A certificate that is itself a root has one chain, of length 1.
 * chains_count: number of chains; chain: the first one. Fabric accepts exactly one chain, and
 * verifies it at crypto_certificate_not_before + 1 (msp/mspimplvalidate.go,
 * getValidityOptsForCert).
 *
 * Errors: FB_INVALID_CERTIFICATE (no chain; the message has the reason of the last candidate),
 * FB_CERTIFICATE_EXPIRED (that reason was a time), FB_LIMIT_EXCEEDED (no chain found in 100
 * signature checks; chains found before the limit count, as in Go).
 */
extern FbStatus crypto_chain_find(const CryptoCertificate *certificate, const CryptoTrust *trust,
								  int64_t at, CryptoChain *chain, size_t *chains_count,
								  FbError *error);

/*
 * Did issuer sign the certificate? Only the signature is checked: no names, no times. FB_OK or
 * FB_INVALID_SIGNATURE.
 */
extern FbStatus crypto_certificate_check_signature(const CryptoCertificate *certificate,
												   const CryptoCertificate *issuer, FbError *error);

/* ---- crl.c: revocation lists ---- */

typedef struct CryptoCrl CryptoCrl;

/*
 * a revocation list, PEM or DER; at most FB_CRL_BYTES_MAX. Errors: FB_INVALID_CERTIFICATE,
 * FB_LIMIT_EXCEEDED
 */
extern FbStatus crypto_crl_parse(FbBytes pem_or_der, CryptoCrl **crl, FbError *error);
extern void crypto_crl_free(CryptoCrl *crl);
extern FbBytes crypto_crl_aki(const CryptoCrl *crl); /* authority key identifier; empty if none */
/* Did issuer sign the list? FB_OK or FB_INVALID_SIGNATURE. */
extern FbStatus crypto_crl_check_signature(const CryptoCrl *crl, const CryptoCertificate *issuer,
										   FbError *error);
/* Is the serial number (big-endian magnitude) listed? Dates are ignored. */
extern bool crypto_crl_lists(const CryptoCrl *crl, FbBytes serial);

/* ---- issue.c, name.c, csr.c: issuing certificates, requests and revocation lists ---- */

typedef struct CryptoName
{
	FbBytes country; /* empty fields are left out */
	FbBytes province;
	FbBytes locality;
	FbBytes organization;
	const FbBytes *ous; /* one attribute per organizational unit, in this order */
	size_t ous_count;
	FbBytes common_name;
} CryptoName;

/*
 * The country, province, locality, organization and common name of a certificate's subject, UTF-8;
 * ous stays empty. If an attribute occurs more than once, its first value. Errors:
 * FB_INVALID_CERTIFICATE.
 */
extern FbStatus crypto_certificate_name(const CryptoCertificate *certificate,
										FbAllocator *allocator, CryptoName *name, FbError *error);

typedef struct CryptoTemplate
{
	CryptoName subject;
	int64_t not_before;
	int64_t not_after;
	FbBytes serial; /* big-endian, 1 to 20 bytes; empty: 16 random bytes */
	/* basic constraints CA:TRUE, key usages: certificate sign, CRL sign, digital signature */
	bool is_ca;
	int path_length; /* for a CA: how many CAs may follow below it; -1: no limit */
	bool is_tls; /* adds extended key usages server and client authentication, and key encipherment
				  */
	/* subject alternative names; an IP address in text form becomes an IP entry */
	const FbBytes *dns_names;
	size_t dns_names_count;
	FbBytes attributes_json; /* content of CRYPTO_OID_ATTRIBUTES; empty: no such extension */
} CryptoTemplate;

/*
 * A certificate for subject_key, signed by issuer with issuer_key. issuer NULL makes a self-signed
 * certificate (subject_key is then the public half of issuer_key). Version 3, SHA-256 (also with
 * P-384 issuers, as Fabric CA does), low-S; SKI = SHA-256 of the point, AKI = issuer's SKI, as
 * cryptogen does. Errors: FB_INVALID_ARGUMENT (empty subject, times reversed, serial, texts not
 * UTF-8 or too long), FB_INVALID_KEY (issuer_key does not belong to issuer, or issuer is not a CA),
 * FB_CRYPTO_FAILURE.
 */
extern FbStatus crypto_certificate_issue(const CryptoTemplate *template,
										 const CryptoPublicKey *subject_key,
										 const CryptoCertificate *issuer,
										 const CryptoPrivateKey *issuer_key, FbAllocator *allocator,
										 FbBytes *pem, FbError *error);

typedef struct CryptoCsr CryptoCsr;

/*
 * A PKCS#10 request, PEM or DER, whose own signature is checked. Errors: FB_INVALID_CERTIFICATE,
 * FB_INVALID_SIGNATURE, FB_LIMIT_EXCEEDED
 */
extern FbStatus crypto_csr_parse(FbBytes pem_or_der, CryptoCsr **csr, FbError *error);
extern void crypto_csr_free(CryptoCsr *csr);
/* owned by the request */
extern const CryptoPublicKey *crypto_csr_public_key(const CryptoCsr *csr);
/*
 * requested subject alternative names (DNS and IP, IP in text form); the CA decides whether to
 * grant them
 */
extern size_t crypto_csr_dns_names_count(const CryptoCsr *csr);
extern FbBytes crypto_csr_dns_name(const CryptoCsr *csr, size_t index);

typedef struct CryptoRevocation
{
	FbBytes serial; /* big-endian magnitude */
	int64_t at;		/* revocation date */
	int reason;		/* RFC 5280 5.3.1; -1 or 0 (unspecified): left out */
} CryptoRevocation;

/*
 * a version 2 revocation list, PEM, with AKI and CRL number, signed by issuer. Errors:
 * FB_INVALID_ARGUMENT, FB_INVALID_KEY, FB_CRYPTO_FAILURE
 */
extern FbStatus crypto_crl_issue(const CryptoCertificate *issuer,
								 const CryptoPrivateKey *issuer_key,
								 const CryptoRevocation *revocations, size_t revocations_count,
								 int64_t this_update, int64_t next_update, uint64_t number,
								 FbAllocator *allocator, FbBytes *pem, FbError *error);

#endif
