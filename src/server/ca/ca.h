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

/* ---- keystore.c ---- */

/*
 * The client identity that signs for this session: the label given, or (NULL) the one that fabric.identity names, or the only one that is granted to
 * the caller's role. Kept in the session, valid until the end of the transaction. The caller's role is the one outside of the function
 * being called. Raises FB_UNKNOWN_IDENTITY (none, several and no choice made, not granted, encrypted and not opened), FB_INVALID_KEY.
 */
extern const Signer *keystore_signer(const char *label);

#endif
