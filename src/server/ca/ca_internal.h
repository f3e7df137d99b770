/* declarations that the files of ca share */
#ifndef FABRIC_SERVER_CA_INTERNAL_H
#define FABRIC_SERVER_CA_INTERNAL_H

#include "server/ca/ca.h"

/* keystore.c: a function of extension pgcrypto with its schema, quoted; palloc'ed */
extern char *pgcrypto_function(const char *name);
/* raise FB_INVALID_ARGUMENT for a passphrase of fewer than 8 bytes */
extern void secret_check_passphrase(const char *passphrase);
/*
 * an OpenPGP message (RFC 4880) under a passphrase: AES-256, iterated and salted S2K with SHA-256;
 * palloc'ed
 */
extern bytea *secret_encrypt(FbBytes secret, const char *passphrase);
/* what: its name in the error message. FB_INVALID_KEY: wrong passphrase, or not such a message. */
extern FbBytes secret_decrypt(bytea *encrypted, const char *passphrase, const char *what);

/* ---- ca.c ---- */

/*
 * An authority as stored in its row. Everything, OpenSSL objects too, is in the memory context that
 * was current.
 */
typedef struct CaAuthority
{
	char *ca;
	char *msp_id;
	bool tls_only;
	bool is_root;
	FbBytes country; /* from its subject, for the subjects of the certificates that it issues */
	FbBytes province;
	FbBytes locality;
	FbBytes organization;
	char *key_file;
	FbBytes certificate_pem;
	CryptoCertificate *certificate;
} CaAuthority;

extern int64 ca_now(void); /* seconds since 1970 */
extern CaAuthority *ca_find(const char *ca);
/* FB_INVALID_ARGUMENT when an authority cannot have the name, MSP id or kind */
extern void ca_check_names(const char *ca, const char *msp_id, const char *kind);
/* write the key into the keystore and the name of its file into the authority's row */
extern void ca_store_key(const char *ca, const CryptoPrivateKey *key);
/*
 * The key is freed with the current memory context. wipe: overwrite the text, which must be the
 * caller's own copy, even if it is not a key.
 */
extern CryptoPrivateKey *ca_parse_key(FbBytes pem, bool wipe);
extern void ca_fail_exists(const char *ca) pg_attribute_noreturn();
extern CryptoPrivateKey *ca_key(const CaAuthority *authority);
/*
 * Issue the certificate that the template describes, its times limited to the authority's, and note
 * it in table ca_certificate. enrollment_id NULL: the certificate of an authority.
 */
extern FbBytes ca_issue(const CaAuthority *authority, CryptoTemplate *template,
						const CryptoPublicKey *key, const char *enrollment_id, const char *profile);

/* PEM or DER; freed with the current memory context */
extern CryptoCertificate *ca_parse_certificate(FbBytes bytes);

/* copies of result columns in memory outside the SPI scope; NULL for null */
extern char *ca_column_text(SpiScope *scope, int column);
extern int64 ca_column_int64(int column); /* 0 for null */
extern bool ca_column_is_null(int column);

/* ---- ca_registry.c ---- */

typedef struct CaAttribute
{
	char *name;
	char *value;
	bool for_all; /* in every certificate, not only on request */
} CaAttribute;

typedef struct CaIdentity
{
	char *enrollment_id;
	char *role;
	char *affiliation;
	CaAttribute *attributes;
	int attributes_count;
} CaIdentity;

/* "a.b.c" as List of char *: a, b, c */
extern List *ca_affiliation_parts(const char *affiliation);
/*
 * Lock an identity, so that only one session at a time can enroll it. This also limits the rate of
 * guesses.
 */
extern void ca_lock_identity(const char *ca, const char *enrollment_id);
/*
 * Check the secret, and reduce the identity's remaining enrollments by one. Raises the errors of
 * ca_enroll about secrets.
 */
extern CaIdentity *ca_authenticate(const char *ca, const char *enrollment_id, const char *secret);
/* without a secret, for re-enrollment: the caller has proved possession of a certificate */
extern CaIdentity *ca_identity(const char *ca, const char *enrollment_id);

#endif
