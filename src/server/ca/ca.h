/*
 * ca: certificate authorities in the database (the job of Fabric CA) and the keystore: identities
 * that this node holds for applications.
 *
 * Private keys are files in fabric.keystore_directory (mode 0600), or rows encrypted with pgcrypto
 * under a passphrase which a session opens. Never in clear in a table, a log or the WAL.
 */
#ifndef FABRIC_SERVER_CA_H
#define FABRIC_SERVER_CA_H

#include "server/pg/pg.h"

#include "core/identity/identity.h"

#include "utils/jsonb.h"

/* ---- key_file.c: private keys as files ---- */

/*
 * Write a key, durably, mode 0600, under a name made from purpose ("identity", "ca") and label;
 * returns the file's name inside of the keystore directory, palloc'ed. The file goes away again if
 * the transaction does. Raises FB_NOT_CONFIGURED when the directory cannot be used.
 */
extern char *key_file_write(const char *purpose, const char *label, FbBytes pem);
/* palloc'ed; wipe it after use. Raises FB_INVALID_KEY (missing, too open) */
extern FbBytes key_file_read(const char *file_name);
/* remove it once the transaction has committed */
extern void key_file_remove_at_commit(const char *file_name);
/*
 * from now on, errors of the function that is running do not log the statement, because it contains
 * a secret; ends with the function's error or return
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
 * Keep an identity for applications. passphrase NULL: the key becomes a file; else it is encrypted
 * and must be opened in each session that uses it. The certificate must be one of msp_id's form and
 * belong to the key. Raises FB_INVALID_ARGUMENT (label taken or empty), FB_INVALID_CERTIFICATE,
 * FB_INVALID_KEY.
 */
extern void keystore_add(const char *label, const char *msp_id, FbBytes certificate,
						 FbBytes private_key, const char *passphrase);
extern void keystore_drop(const char *label);			 /* FB_UNKNOWN_IDENTITY */
extern void keystore_grant(const char *label, Oid role); /* FB_UNKNOWN_IDENTITY */
extern void keystore_revoke(const char *label, Oid role);
/*
 * Decrypt and keep, for the current role: to the end of the transaction, or with
 * fabric.session_identity to the end of the session, a change of the session user, RESET ALL or
 * DISCARD ALL. FB_UNKNOWN_IDENTITY, FB_INVALID_KEY (wrong passphrase)
 */
extern void keystore_open(const char *label, const char *passphrase);
extern void keystore_close(const char *label);

/*
 * The client identity that signs for this session: the label given, or (NULL) the one that
 * fabric.identity names, or the only one that is granted to the current role. Kept in the session,
 * valid until the end of the transaction. Raises FB_UNKNOWN_IDENTITY (none, several and no choice
 * made in this transaction, not granted, encrypted and not opened), FB_INVALID_KEY.
 */
extern const Signer *keystore_signer(const char *label);

/*
 * ---- ca.c, ca_registry.c, ca_enroll.c, ca_revoke.c, ca_transfer.c: certificate authorities ----
 *
 * They do what Fabric CA does: an authority registers identities, each with a secret; whoever has
 * the secret enrols with a certificate request and gets a certificate for the key that he keeps.
 * Keys of authorities are files of the keystore. Names of authorities have 1 to 63 bytes. All raise
 * FB_INVALID_ARGUMENT for an authority that does not exist.
 */

/*
 * A new authority with a new P-256 key; returns its certificate. subject: members C, ST, L, O, OU,
 * CN (texts), NULL: O = msp_id, CN = ca. not_after: seconds since 1970, cut to the parent's. kind:
 * "signing" (identities of the MSP, also TLS certificates on request) or "tls" (TLS only). parent:
 * NULL for a root, or a root of this database. Raises FB_INVALID_ARGUMENT (name taken, subject,
 * kind, parent).
 */
extern FbBytes ca_create(const char *ca, const char *msp_id, Jsonb *subject, int64 not_after,
						 const char *kind, const char *parent);
extern FbBytes ca_certificate(const char *ca); /* PEM */

typedef struct CaRegistration
{
	const char *enrollment_id; /* becomes the common name: 1 to 64 bytes */
	const char *role;		   /* client, peer, admin, orderer: becomes the one NodeOU */
	const char *secret;		   /* at least 8 bytes; NULL: one is made, of 128 random bits */
	Jsonb *attributes;	 /* {"name": "value"} or {"name": {"value": "...", "ecert": false}}: only on
							request; may be NULL */
	int enrollments_max; /* -1: no limit */
	const char *affiliation; /* "a.b.c": further OUs, as Fabric CA does; may be empty */
} CaRegistration;

/*
 * Returns the secret, which is kept as a hash only. Raises FB_INVALID_ARGUMENT (also: the id is
 * taken), FB_LIMIT_EXCEEDED
 */
extern char *ca_register(const char *ca, const CaRegistration *registration);

typedef struct CaEnrollment
{
	const char *enrollment_id;
	const char *secret;
	FbBytes csr; /* PEM or DER; only its key and its alternative names count, as in Fabric CA */
	const char *profile; /* "signing" or "tls"; NULL: the authority's kind */
	List *hosts; /* TLS of peers and orderers: alternative names (char *); NIL: those of the request
				  */
	List *attributes; /* names (char *) of the attributes wanted, exactly; NIL: the automatic ones
						 and those registered for all */
	int64 not_after;  /* cut to the authority's */
} CaEnrollment;

/*
 * The certificate, PEM. Raises FB_ACCESS_DENIED (unknown id, wrong secret: not told apart, and each
 * failure takes half a second during which nobody else can try this id; then: enrolled too often),
 * FB_CERTIFICATE_REVOKED (the identity), FB_INVALID_CERTIFICATE, FB_INVALID_SIGNATURE (the
 * request), FB_INVALID_ARGUMENT, FB_CERTIFICATE_EXPIRED (the authority).
 */
extern FbBytes ca_enroll(const char *ca, const CaEnrollment *enrollment);

/*
 * A new certificate like one that this authority issued and that is neither expired nor revoked:
 * same profile, attributes as registered now, and the old one's host names unless the request names
 * some. signature: by the old certificate's key over the bytes of csr. Raises FB_ACCESS_DENIED,
 * FB_INVALID_SIGNATURE and what ca_enroll raises.
 */
extern FbBytes ca_reenroll(const char *ca, FbBytes certificate, FbBytes csr, FbBytes signature,
						   int64 not_after);

/*
 * Revoke one certificate (serial in hex), or an identity with all its certificates: it cannot enrol
 * any more. reason: a name of RFC 5280 5.3.1 in any case. Returns how many certificates were
 * revoked now. Channels learn it from a revocation list in their configuration. Raises
 * FB_INVALID_ARGUMENT.
 */
extern int64 ca_revoke(const char *ca, const char *enrollment_id, const char *serial,
					   const char *reason);

/*
 * A new revocation list, PEM. It keeps certificates that have expired, because Fabric validates
 * transactions without a clock. Raises FB_LIMIT_EXCEEDED, FB_INVALID_ARGUMENT.
 */
extern FbBytes ca_crl(const char *ca, int64 next_update);

/*
 * ---- ca_transfer.c: authorities that move ----
 *
 * Everything of an authority as an OpenPGP message (RFC 4880) under a passphrase: its certificate
 * and key, registrations with the hashes of their secrets, and what it has issued and revoked. For
 * a copy in a safe place, and for a move to another node. Raises FB_INVALID_ARGUMENT (no such
 * authority, passphrase shorter than 8 bytes), FB_INVALID_KEY.
 */
extern bytea *ca_export(const char *ca, const char *passphrase);
/*
 * Take in what ca_export gave; returns the authority's name. Everything is checked: the key belongs
 * to the certificate, and each certificate is signed with it. Raises FB_INVALID_ARGUMENT (the
 * authority exists, or this is no export), FB_INVALID_KEY (passphrase), and what parsing
 * certificates raises.
 */
extern char *ca_import(bytea *exported, const char *passphrase);
/*
 * Take over an authority that was made elsewhere (Fabric CA, cryptogen, openssl). Registrations and
 * issued certificates are not known here: only what it issues from now on can be renewed and
 * revoked. Raises FB_INVALID_ARGUMENT (exists, name, kind), FB_INVALID_CERTIFICATE (no CA),
 * FB_INVALID_KEY.
 */
extern void ca_adopt(const char *ca, const char *msp_id, FbBytes certificate, FbBytes private_key,
					 const char *kind);
/*
 * Remove an authority with all that it registered and issued; its key file goes when the
 * transaction commits. FB_INVALID_ARGUMENT: authorities under it are here
 */
extern void ca_drop(const char *ca);

#endif
