/*
 * ca: certificate authorities in the database (the task of Fabric CA) and the keystore: identities
 * that this node holds for applications.
 *
 * Private keys are files in fabric.keystore_directory (mode 0600), or rows encrypted with pgcrypto
 * under a passphrase that a session supplies. They are never in clear in a table, a log or the WAL.
 */
#ifndef FABRIC_SERVER_CA_H
#define FABRIC_SERVER_CA_H

#include "server/pg/pg.h"

#include "core/identity/identity.h"

#include "utils/jsonb.h"

/* ---- key_file.c: private keys as files ---- */

/*
 * Write a key, durably, mode 0600, under a name made from purpose ("identity", "ca") and label.
 * Returns the file's name inside the keystore directory, palloc'ed. If the transaction aborts, the
 * file is removed. Raises FB_NOT_CONFIGURED when the directory cannot be used.
 */
extern char *key_file_write(const char *purpose, const char *label, FbBytes pem);
/* palloc'ed; overwrite it after use. Raises FB_INVALID_KEY (missing, permissions too open). */
extern FbBytes key_file_read(const char *file_name);
/* remove the file after the transaction has committed */
extern void key_file_remove_at_commit(const char *file_name);
/*
 * From now on, errors of the running function do not log the statement, because it contains a
 * secret. Ends with the function's error or return.
 */
typedef struct SecretScope
{
	struct ErrorContextCallback *previous;
	char callback[64] pg_attribute_aligned(8); /* an ErrorContextCallback */
} SecretScope;
extern void secret_scope_begin(SecretScope *scope);
extern void secret_scope_end(SecretScope *scope);

/* ---- keystore.c: client identities ---- */

/*
 * Store an identity for applications. passphrase NULL: the key becomes a file; otherwise it is
 * encrypted and must be opened in each session that uses it. The certificate must have the form of
 * one of msp_id and belong to the key. Raises FB_INVALID_ARGUMENT (label taken or empty),
 * FB_INVALID_CERTIFICATE, FB_INVALID_KEY.
 */
extern void keystore_add(const char *label, const char *msp_id, FbBytes certificate,
						 FbBytes private_key, const char *passphrase);
extern void keystore_drop(const char *label);			 /* FB_UNKNOWN_IDENTITY */
extern void keystore_grant(const char *label, Oid role); /* FB_UNKNOWN_IDENTITY */
extern void keystore_revoke(const char *label, Oid role);
/*
 * Decrypt the key and keep it for the current role: to the end of the transaction, or with
 * fabric.session_identity to the end of the session, a change of the session user, RESET ALL or
 * DISCARD ALL. FB_UNKNOWN_IDENTITY, FB_INVALID_KEY (wrong passphrase).
 */
extern void keystore_open(const char *label, const char *passphrase);
extern void keystore_close(const char *label);

/*
 * The client identity that signs for this session: the given label or, with NULL, the identity that
 * fabric.identity names, or the only one that is granted to the current role. Cached in the
 * session, valid until the end of the transaction. Raises FB_UNKNOWN_IDENTITY (none; several, and
 * no choice made in this transaction; not granted; encrypted and not opened), FB_INVALID_KEY.
 */
extern const Signer *keystore_signer(const char *label);

/* ---- ca.c, ca_registry.c, ca_enroll.c, ca_revoke.c: certificate authorities ---- */

/*
 * They follow Fabric CA: an authority registers identities, each with a secret. A client that has
 * the secret enrolls with a certificate request, and gets a certificate for its own key. Keys of
 * authorities are files of the keystore. Names of authorities have 1 to 63 bytes. All functions
 * raise FB_INVALID_ARGUMENT for an authority that does not exist.
 */

/*
 * Create an authority with a new P-256 key; returns its certificate. subject: members C, ST, L, O,
 * OU, CN (texts), NULL: O = msp_id, CN = ca. not_after: seconds since 1970, limited to the
 * parent's. kind: "signing" (identities of the MSP, also TLS certificates on request) or "tls" (TLS
 * only). parent: NULL for a root, or a root of this database. Raises FB_INVALID_ARGUMENT (name
 * taken, subject, kind, parent).
 */
extern FbBytes ca_create(const char *ca, const char *msp_id, Jsonb *subject, int64 not_after,
						 const char *kind, const char *parent);
extern FbBytes ca_certificate(const char *ca); /* PEM */

typedef struct CaRegistration
{
	const char *enrollment_id; /* becomes the common name: 1 to 64 bytes */
	const char *role;		   /* client, peer, admin, orderer: becomes the single NodeOU */
	const char *secret;		   /* at least 8 bytes; NULL: generate one of 128 random bits */
	Jsonb *attributes;	 /* {"name": "value"} or {"name": {"value": "...", "ecert": false}}: only on
							request; may be NULL */
	int enrollments_max; /* -1: no limit */
	const char *affiliation; /* "a.b.c": further OUs, as Fabric CA does; may be empty */
} CaRegistration;

/*
 * Returns the secret, of which only a hash is stored. Raises FB_INVALID_ARGUMENT (also when the id
 * is taken), FB_LIMIT_EXCEEDED.
 */
extern char *ca_register(const char *ca, const CaRegistration *registration);

typedef struct CaEnrollment
{
	const char *enrollment_id;
	const char *secret;
	FbBytes csr; /* PEM or DER; only its key and its alternative names are used, as in Fabric CA */
	const char *profile; /* "signing" or "tls"; NULL: the authority's kind */
	List *hosts; /* TLS of peers and orderers: alternative names (char *); NIL: those of the request
				  */
	List *attributes; /* exact names (char *) of the wanted attributes; NIL: the automatic ones and
						 those registered for all certificates */
	int64 not_after;  /* limited to the authority's */
} CaEnrollment;

/*
 * Returns the certificate, PEM. Raises FB_ACCESS_DENIED (unknown id and wrong secret, with the same
 * text; each failure takes half a second, during which no other session can try this id; also:
 * enrolled too often), FB_CERTIFICATE_REVOKED (the identity), FB_INVALID_CERTIFICATE,
 * FB_INVALID_SIGNATURE (the request), FB_INVALID_ARGUMENT, FB_CERTIFICATE_EXPIRED (the authority).
 */
extern FbBytes ca_enroll(const char *ca, const CaEnrollment *enrollment);

/*
 * Issue a certificate in place of one that this authority issued and that is neither expired nor
 * revoked: the same profile, attributes as registered now, and the old host names unless the
 * request has any. signature: made with the old certificate's key over the bytes of csr. Raises
 * FB_ACCESS_DENIED, FB_INVALID_SIGNATURE and the errors of ca_enroll.
 */
extern FbBytes ca_reenroll(const char *ca, FbBytes certificate, FbBytes csr, FbBytes signature,
						   int64 not_after);

/*
 * Revoke one certificate (serial in hex), or an identity with all its certificates, which can then
 * no longer enroll. reason: a name of RFC 5280 5.3.1, in upper or lower case. Returns the number of
 * certificates that this call revoked. Channels get revocations from a revocation list in their
 * configuration. Raises FB_INVALID_ARGUMENT.
 */
extern int64 ca_revoke(const char *ca, const char *enrollment_id, const char *serial,
					   const char *reason);

/*
 * Make a revocation list, PEM. It keeps certificates that have expired, because Fabric validates
 * transactions without a clock. Raises FB_LIMIT_EXCEEDED, FB_INVALID_ARGUMENT.
 */
extern FbBytes ca_crl(const char *ca, int64 next_update);

/* ---- ca_transfer.c: moving authorities ---- */

/*
 * Export an authority as an OpenPGP message (RFC 4880) under a passphrase: its certificate and key,
 * registrations with the hashes of their secrets, and all issued and revoked certificates. For a
 * backup, and for a move to another node. Raises FB_INVALID_ARGUMENT (no such authority, passphrase
 * shorter than 8 bytes), FB_INVALID_KEY.
 */
extern bytea *ca_export(const char *ca, const char *passphrase);
/*
 * Import the result of ca_export; returns the authority's name. Everything is checked: the key
 * belongs to the certificate, and each certificate is signed with it. Raises FB_INVALID_ARGUMENT
 * (the authority exists, or the bytes are not an export), FB_INVALID_KEY (passphrase), and the
 * errors of parsing certificates.
 */
extern char *ca_import(bytea *exported, const char *passphrase);
/*
 * Import an authority that was created elsewhere (Fabric CA, cryptogen, openssl). Its earlier
 * registrations and certificates are not known here: only certificates that it issues from now on
 * can be renewed and revoked. Raises FB_INVALID_ARGUMENT (exists, name, kind),
 * FB_INVALID_CERTIFICATE (not a CA), FB_INVALID_KEY.
 */
extern void ca_adopt(const char *ca, const char *msp_id, FbBytes certificate, FbBytes private_key,
					 const char *kind);
/*
 * Remove an authority with all its registrations and certificates; its key file is removed when the
 * transaction commits. FB_INVALID_ARGUMENT when the database has authorities below it.
 */
extern void ca_drop(const char *ca);

#endif
