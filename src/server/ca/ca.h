/*
 * ca: certificate authorities in the database (IDN-16, IDN-17) and the keystore: identities that this node holds for applications.
 *
 * Private keys are files in fabric.keystore_directory (mode 0600), or rows encrypted with pgcrypto under a passphrase which a session opens. Never in
 * clear in a table, a log or the WAL.
 */
#ifndef FABRIC_SERVER_CA_H
#define FABRIC_SERVER_CA_H

#include "server/pg/pg.h"

#include "core/identity/identity.h"

/* ---- key_file.c: private keys as files ---- */

/*
 * Write a key, durably, mode 0600, under a name made from purpose ("identity", "ca") and label; returns the file's name inside of the keystore directory,
 * palloc'ed. The file goes away again if the transaction does. Raises FB_NOT_CONFIGURED when the directory cannot be used.
 */
extern char *key_file_write(const char *purpose, const char *label, FbBytes pem);
/* palloc'ed; wipe it after use. Raises FB_INVALID_KEY (missing, too open) */
extern FbBytes key_file_read(const char *file_name);
/* remove it once the transaction has committed */
extern void key_file_remove_at_commit(const char *file_name);
/* from now on, errors of the function that is running do not log the statement, because it contains a secret; ends with the function's error or return */
typedef struct SecretScope
{
	struct ErrorContextCallback *previous;
	char		callback[64] pg_attribute_aligned(8); /* an ErrorContextCallback */
} SecretScope;
extern void secret_scope_begin(SecretScope *scope);
extern void secret_scope_end(SecretScope *scope);

/* ---- keystore.c: client identities ---- */

/*
 * Keep an identity for applications. passphrase NULL: the key becomes a file; else it is encrypted and must be opened in each session that uses
 * it. The certificate must be one of msp_id's form and belong to the key. Raises FB_INVALID_ARGUMENT (label taken or empty), FB_INVALID_CERTIFICATE,
 * FB_INVALID_KEY.
 */
extern void keystore_add(const char *label, const char *msp_id, FbBytes certificate, FbBytes private_key, const char *passphrase);
extern void keystore_drop(const char *label);						/* FB_UNKNOWN_IDENTITY */
extern void keystore_grant(const char *label, Oid role);			/* FB_UNKNOWN_IDENTITY */
extern void keystore_revoke(const char *label, Oid role);
/* decrypt and keep for this session. FB_UNKNOWN_IDENTITY, FB_INVALID_KEY (wrong passphrase) */
extern void keystore_open(const char *label, const char *passphrase);
extern void keystore_close(const char *label);

/*
 * The client identity that signs for this session: the label given, or (NULL) the one that fabric.identity names, or the only one that is granted to
 * the current role. Kept in the session, valid until the end of the transaction. Raises FB_UNKNOWN_IDENTITY (none, several and no choice
 * made, not granted, encrypted and not opened), FB_INVALID_KEY.
 */
extern const Signer *keystore_signer(const char *label);

#endif
