/* declarations that the files of core/identity share */
#ifndef FABRIC_CORE_IDENTITY_INTERNAL_H
#define FABRIC_CORE_IDENTITY_INTERNAL_H

#include "core/identity/identity.h"

/* number of roles that a NodeOU can stand for: IDENTITY_ADMIN to IDENTITY_ORDERER */
#define IDENTITY_ROLES_COUNT 5

/*
 * an organizational unit, and the chain of CAs for which it is valid (certifiers: SHA-256, or empty
 * for any)
 */
typedef struct OuIdentifier
{
	bool present;
	FbBytes name;
	FbBytes certifiers;
} OuIdentifier;

typedef struct CertificateList
{
	CryptoCertificate **items;
	size_t count;
} CertificateList;

struct Msp
{
	FbAllocator *allocator;
	char *id;
	FbBytes config;
	CertificateList roots; /* in low-S form, as Fabric keeps them */
	CertificateList intermediates;
	const CryptoCertificate **issuers; /* of roots, then of intermediates: the CA that signed each
										  (a root signed itself) */
	/*
	 * For each intermediate: has it issued another CA of the MSP? Such a CA is an inner node of the
	 * tree of CAs, and may not issue identities. root_inner: the same for each root.
	 */
	bool *inner;
	bool *root_inner;
	CryptoCrl **crls;
	size_t crls_count;
	uint8_t (*admins)[CRYPTO_SHA256_BYTES]; /* SHA-256 of the low-S certificates */
	size_t admins_count;
	bool node_ous;
	OuIdentifier node_ou[IDENTITY_ROLES_COUNT];
	OuIdentifier *ous; /* organizational_unit_identifiers */
	size_t ous_count;
	CertificateList tls_roots;
	CertificateList tls_intermediates;
};

/* the form of a certificate that is hashed: depends on the key that signed it */
typedef enum NormalForm
{
	NORMAL_AS_IS,	   /* not signed with ECDSA */
	NORMAL_FIRST_CURVE /* + CryptoCurve */
} NormalForm;

#define NORMAL_FORMS_COUNT (NORMAL_FIRST_CURVE + CRYPTO_CURVES_COUNT)

struct Identity
{
	FbAllocator *allocator;
	const Msp *msp;
	CryptoCertificate *certificate;
	FbBytes serialized; /* as received */
	NormalForm form;
	uint8_t digest[CRYPTO_SHA256_BYTES]; /* of the certificate in this form; its hex is the identity
											id */
	char id[2 * CRYPTO_SHA256_BYTES + 1];
	uint8_t certifiers[CRYPTO_SHA256_BYTES]; /* over the chain without the certificate itself */
	IdentityRole role;
	bool is_listed_admin;
	FbBytes *ous; /* of the certificate, sorted, because policies look them up repeatedly. NULL
					 where only the role is needed. */
	size_t ous_count;
};

/* ---- scratch.c: temporary memory from another allocator, released as a whole ---- */

typedef struct Scratch
{
	FbAllocator allocator; /* must be first */
	FbAllocator *parent;
	struct ScratchBlock *blocks;
} Scratch;

extern void scratch_init(Scratch *scratch, FbAllocator *parent);
extern void scratch_free(Scratch *scratch);

/* ---- msp_validate.c ---- */

/*
 * The only chain of a certificate to the MSP's CAs, at its NotBefore + 1 s. Errors:
 * FB_INVALID_IDENTITY.
 */
extern FbStatus msp_unique_chain(const Msp *msp, const CryptoCertificate *certificate,
								 CryptoChain *chain, FbError *error);
/* FB_CERTIFICATE_REVOKED if a list that the issuer signed names the certificate */
extern FbStatus msp_check_revocation(const Msp *msp, const CryptoCertificate *certificate,
									 const CryptoCertificate *issuer, FbError *error);
/*
 * Can a host have this name? Labels of letters, digits, '-', '_' and ':', none empty, none begins
 * with '-'; the first one may be "*" (validHostname of Go's crypto/x509).
 */
extern bool msp_is_host_name(const char *name);
/* Is another configured CA below this one of the MSP's CAs? */
extern bool msp_is_inner(const Msp *msp, const CryptoCertificate *ca);

/* SHA-256 over the DER of chain[from], chain[from + 1], ... */
extern void chain_digest(const CryptoChain *chain, size_t from,
						 uint8_t digest[CRYPTO_SHA256_BYTES]);

/* like msp_unique_chain, with these CAs */
extern FbStatus chain_unique(const CertificateList *roots, const CertificateList *intermediates,
							 const CryptoCertificate *certificate, CryptoChain *chain,
							 FbError *error);
/* the position of a CA in the list; false if it is not there */
extern bool msp_find_ca(const CertificateList *list, FbBytes der, size_t *index);
/*
 * Check all rules for the certificate of an identity; sets every field of *identity but allocator,
 * certificate and serialized.
 */
extern FbStatus identity_check(Identity *identity, const Msp *msp,
							   const CryptoCertificate *certificate, FbAllocator *scratch,
							   FbError *error);

/* ---- identity.c ---- */

/*
 * Does one of the certificate's organizational units have this name? Not for an identity that only
 * identity_check has filled in.
 */
extern bool identity_has_ou(const Identity *identity, FbBytes name);

/* ---- msp_manager.c ---- */

/* how many identities it remembers; tests look at it */
extern size_t msp_manager_identities_count(const MspManager *manager);

#endif
