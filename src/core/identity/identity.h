/*
 * identity: membership service providers (MSPs), identities, principals, signers. The rules are
 * those of Hyperledger Fabric's msp package for channel capability V2_0 and later, that is MSP
 * version 1.4.3.
 *
 * An Identity object is always a *valid* identity of its MSP: a certificate that does not parse,
 * has no chain, is revoked or breaks the OU rules never becomes an Identity. Validity does not
 * depend on the clock: certificates are checked at their NotBefore plus 1 s, so every node reaches
 * the same verdict at any time. Expiry is checked only where a message enters the node
 * (identity_expired).
 *
 * Memory: Msp, Identity, MspManager and Signer are allocated with the caller's allocator and also
 * own OpenSSL objects: destroy them before the allocator is reset. All destroy functions accept
 * NULL. Bytes are borrowed only during the call unless said otherwise. Every function that can fail
 * may also return FB_OUT_OF_MEMORY and FB_CRYPTO_FAILURE.
 */
#ifndef FABRIC_CORE_IDENTITY_H
#define FABRIC_CORE_IDENTITY_H

#include "core/crypto/crypto.h"

typedef struct Msp Msp;
typedef struct Identity Identity;
typedef struct MspManager MspManager;
typedef struct Signer Signer;

/* Fabric's MSPRole.MSPRoleType, same numbers */
typedef enum IdentityRole
{
	IDENTITY_MEMBER = 0,
	IDENTITY_ADMIN = 1,
	IDENTITY_CLIENT = 2,
	IDENTITY_PEER = 3,
	IDENTITY_ORDERER = 4
} IdentityRole;

/*
 * "member", "admin", "client", "peer", "orderer": the words of policies, and of the NodeOUs that
 * msp_config_make writes
 */
extern const char *identity_role_name(IdentityRole role);

/* ---- msp.c: an organization's definition ---- */

/*
 * Create an MSP from FabricMSPConfig bytes. All certificates must be well formed CAs with SKI and
 * exactly one chain. NodeOUs and OU identifiers must be bound to CAs of this MSP. Admins must be
 * valid identities, and with NodeOUs clients or admins; without an admin OU at least one admin is
 * needed. An expired CA is no error. Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED,
 * FB_INVALID_CERTIFICATE, FB_INVALID_IDENTITY (an admin), FB_CERTIFICATE_REVOKED (an admin or a
 * CA), FB_INVALID_CONFIG (everything else); the message names the part.
 */
extern FbStatus msp_create(FbBytes fabric_msp_config, FbAllocator *allocator, Msp **msp,
						   FbError *error);
extern void msp_destroy(Msp *msp); /* destroy all its identities before */

extern const char *msp_id(const Msp *msp);
/* the bytes from which it was made (a copy that lives as long as the MSP) */
extern FbBytes msp_config(const Msp *msp);
/*
 * Was this TLS certificate issued by one of the MSP's TLS CAs, with a chain that is valid at time
 * `now`? Errors: FB_INVALID_CERTIFICATE, FB_CERTIFICATE_EXPIRED.
 */
extern FbStatus msp_check_tls_certificate(const Msp *msp, const CryptoCertificate *certificate,
										  int64_t now, FbError *error);

/* ---- msp_config.c ---- */

/*
 * The parts of an organization's definition for create_channel; PEM certificates, one per element.
 */
typedef struct MspParts
{
	const char *msp_id; /* 1 to FB_MSP_ID_BYTES_MAX bytes */
	/* at least one; NodeOUs are bound to the first one, as cryptogen does */
	const FbBytes *root_certificates;
	size_t root_certificates_count;
	const FbBytes *intermediate_certificates;
	size_t intermediate_certificates_count;
	const FbBytes *admins;
	size_t admins_count;
	const FbBytes *revocation_lists;
	size_t revocation_lists_count;
	const FbBytes *tls_root_certificates;
	size_t tls_root_certificates_count;
	const FbBytes *tls_intermediate_certificates;
	size_t tls_intermediate_certificates_count;
	/*
	 * OUs client, peer, admin, orderer. If there are intermediates, they are bound to the first
	 * one.
	 */
	bool node_ous;
} MspParts;

/*
 * FabricMSPConfig bytes from the parts, equal to those that configtxgen makes from an MSP folder
 * (hash family SHA2, identifier hash SHA256). The result is checked with msp_create, so its errors
 * can be returned. msp_config_wrap makes the MSPConfig{type FABRIC, config} that is the value of an
 * organization's "MSP" in the channel configuration.
 */
extern FbStatus msp_config_make(const MspParts *parts, FbAllocator *allocator,
								FbBytes *fabric_msp_config, FbError *error);
extern FbStatus msp_config_wrap(FbBytes fabric_msp_config, FbAllocator *allocator,
								FbBytes *msp_config, FbError *error);
/* the reverse; an MSP type other than FABRIC (idemix) is FB_INVALID_CONFIG */
extern FbStatus msp_config_unwrap(FbBytes msp_config, FbAllocator *allocator,
								  FbBytes *fabric_msp_config, FbError *error);

/* ---- identity.c ---- */

/*
 * Bytes of msp.SerializedIdentity{mspid, id_bytes = PEM}, and the reverse (a zero-terminated MSP id
 * without zeros inside, and PEM, in allocator).
 */
extern FbStatus identity_serialize(const char *msp_id, FbBytes certificate_pem,
								   FbAllocator *allocator, FbBytes *serialized, FbError *error);
extern FbStatus identity_unpack(FbBytes serialized, FbAllocator *allocator, const char **msp_id,
								FbBytes *certificate_pem, FbError *error);

/*
 * Create a valid identity of msp from SerializedIdentity bytes, at most FB_IDENTITY_BYTES_MAX.
 * Rules (msp/mspimplvalidate.go, validateIdentity): an ECDSA key; not a CA; exactly one chain of at
 * least 2 certificates, verified at NotBefore + 1 s; the issuer is a leaf of the CA tree (no CA of
 * the MSP was issued by it); not revoked (the date of the revocation is ignored); one of the OUs
 * that the MSP lists, if it lists any; exactly one NodeOU. Errors: FB_MALFORMED_MESSAGE,
 * FB_LIMIT_EXCEEDED, FB_UNKNOWN_MSP (not msp's id), FB_INVALID_CERTIFICATE (does not parse),
 * FB_CERTIFICATE_REVOKED, FB_INVALID_IDENTITY (all other rules).
 */
extern FbStatus identity_create(const Msp *msp, FbBytes serialized, FbAllocator *allocator,
								Identity **identity, FbError *error);
extern void identity_destroy(Identity *identity);

extern const char *identity_msp_id(const Identity *identity);
extern const CryptoCertificate *identity_certificate(const Identity *identity);
/*
 * Lower-case hex of SHA-256 over the certificate with low-S signature (docs/wire-format.md,
 * "Identities"). Two serializations of one certificate have the same id.
 */
extern const char *identity_id(const Identity *identity);
/*
 * The NodeOU, or IDENTITY_MEMBER without NodeOUs. An identity of the admins list whose OU is that
 * of a client is IDENTITY_CLIENT here.
 */
extern IdentityRole identity_role(const Identity *identity);

/*
 * Verify a signature by this identity (SHA-256, strict DER, low-S). FB_OK or FB_INVALID_SIGNATURE.
 */
extern FbStatus identity_verify_digest(const Identity *identity,
									   const uint8_t digest[CRYPTO_SHA256_BYTES], FbBytes signature,
									   FbError *error);
extern FbStatus identity_verify_parts(const Identity *identity, const FbBytes *parts,
									  size_t parts_count, FbBytes signature, FbError *error);

/*
 * Only where a message enters the node (endorser, admission, deliver), never in validation. now:
 * seconds since 1970 UTC.
 */
extern bool identity_expired(const Identity *identity, int64_t now);

/* ---- principal.c: the identities that satisfy a part of a policy ---- */

/* Fabric's MSPPrincipal.Classification, same numbers */
typedef enum PrincipalKind
{
	PRINCIPAL_ROLE = 0,
	PRINCIPAL_ORGANIZATION_UNIT = 1,
	PRINCIPAL_IDENTITY = 2,
	PRINCIPAL_ANONYMITY = 3,
	PRINCIPAL_COMBINED = 4
} PrincipalKind;

/* a principal, parsed once and matched often; lives in its allocator, owns nothing else */
typedef struct Principal
{
	PrincipalKind kind;
	bool impossible;	/* no identity ever satisfies it */
	const char *msp_id; /* ROLE, ORGANIZATION_UNIT, IDENTITY; NULL otherwise */
	IdentityRole role;	/* ROLE */
	FbBytes ou;			/* ORGANIZATION_UNIT: its name, and SHA-256 over the certifying chain */
	FbBytes certifiers;
	FbBytes serialized; /* IDENTITY: as in the policy */
	/*
	 * IDENTITY: SHA-256 of the certificate as it is, then with its signature in low-S form for each
	 * curve. The curve is that of its issuer's key, which the policy does not have: the identity
	 * that is compared has found its issuer, and says which digest counts.
	 */
	uint8_t digests[1 + CRYPTO_CURVES_COUNT][CRYPTO_SHA256_BYTES];
	bool anonymous;						  /* ANONYMITY: true ANONYMOUS, false NOMINAL */
	const struct Principal *const *parts; /* COMBINED: all parts must match */
	size_t parts_count;
} Principal;

/*
 * Parse a principal: classification and principal of MSPPrincipal. A principal that can never be
 * satisfied (unrecognized classification or role, malformed bytes, IDENTITY without a readable
 * certificate, COMBINED without parts) is accepted, as in Fabric, is marked impossible and never
 * matches: other branches of its policy still count. Errors: FB_INVALID_POLICY (COMBINED with more
 * than FB_PRINCIPAL_PARTS_MAX parts in total; Fabric has no limit).
 */
extern FbStatus principal_parse(int32_t classification, FbBytes principal, FbAllocator *allocator,
								const Principal **result, FbError *error);

/*
 * Does the identity satisfy the principal (msp/mspimpl.go, satisfiesPrincipalInternalV142)? MEMBER:
 * any identity of that MSP. ADMIN: in the admins list, or with the admin OU when NodeOUs are on.
 * CLIENT, PEER, ORDERER: that OU, with NodeOUs on. ORGANIZATION_UNIT: name and certifiers.
 * IDENTITY: the same certificate. ANONYMITY: NOMINAL always (every X.509 identity is nominal),
 * ANONYMOUS never. COMBINED: all parts. Allocates nothing.
 */
extern bool principal_matches(const Principal *principal, const Identity *identity);

/* shorthand for a ROLE principal of the identity's own MSP */
extern bool identity_has_role(const Identity *identity, IdentityRole role);

/* ---- attributes.c: data about its caller that chaincode can get ---- */

/* base64 of "x509::SUBJECT::ISSUER", as cid.GetID; zero-terminated, in allocator */
extern FbStatus certificate_client_id(const CryptoCertificate *certificate, FbAllocator *allocator,
									  const char **client_id, FbError *error);

/*
 * The value of an attribute that Fabric CA put into the certificate; found = false if there is
 * none. Errors: FB_INVALID_CERTIFICATE (the extension is not a JSON object of texts).
 */
extern FbStatus certificate_attribute(const CryptoCertificate *certificate, FbBytes name,
									  FbAllocator *allocator, bool *found, FbBytes *value,
									  FbError *error);

typedef struct CertificateAttribute
{
	FbBytes name;
	FbBytes value;
} CertificateAttribute;

/*
 * All attributes, in the order of the certificate. For an attribute that occurs twice, the last
 * value, as Go's JSON decoder does.
 */
extern FbStatus certificate_attributes(const CryptoCertificate *certificate, FbAllocator *allocator,
									   CertificateAttribute **attributes, size_t *attributes_count,
									   FbError *error);

/*
 * The JSON for CryptoTemplate.attributes_json: {"attrs":{"name":"value",...}}, names sorted as Go
 * does. Errors: FB_INVALID_ARGUMENT (not UTF-8, or a name twice).
 */
extern FbStatus attributes_make(const CertificateAttribute *attributes, size_t attributes_count,
								FbAllocator *allocator, FbBytes *json, FbError *error);

/* ---- signer.c: a certificate with its private key ---- */

/*
 * Errors: FB_INVALID_CERTIFICATE, FB_INVALID_KEY (malformed, or not the certificate's key),
 * FB_INVALID_ARGUMENT (MSP id). Does not check whether the certificate is valid in its MSP.
 */
extern FbStatus signer_create(const char *msp_id, FbBytes certificate_pem, FbBytes key_pem,
							  FbAllocator *allocator, Signer **signer, FbError *error);
extern void signer_destroy(Signer *signer);
/* SerializedIdentity bytes: creator, endorser */
extern FbBytes signer_identity(const Signer *signer);
extern FbStatus signer_sign(const Signer *signer, FbBytes message, FbAllocator *allocator,
							FbBytes *signature, FbError *error);
/* the same for a message whose SHA-256 the caller has */
extern FbStatus signer_sign_digest(const Signer *signer, const uint8_t digest[CRYPTO_SHA256_BYTES],
								   FbAllocator *allocator, FbBytes *signature, FbError *error);

/* ---- msp_manager.c: the MSPs of a channel, and the cache of its identities ---- */

/*
 * identities_max: number of identities that msp_manager_trim leaves in the cache, at least 1. The
 * manager lives long and releases what it removes, so the allocator's release() should free memory,
 * which that of an arena does not.
 */
extern FbStatus msp_manager_create(size_t identities_max, FbAllocator *allocator,
								   MspManager **manager, FbError *error);
/* also destroys all its MSPs and identities */
extern void msp_manager_destroy(MspManager *manager);

/*
 * Add an organization: the value of its "MSP" (MSPConfig bytes). Adding the same definition twice
 * is allowed (application and orderer groups); two different definitions with one MSP id are
 * FB_INVALID_CONFIG, as in Fabric. Other errors: those of msp_create. msp may be NULL.
 */
extern FbStatus msp_manager_add(MspManager *manager, FbBytes msp_config, const Msp **msp,
								FbError *error);

/* NULL if there is no such MSP */
extern const Msp *msp_manager_find(const MspManager *manager, const char *msp_id);
extern size_t msp_manager_count(const MspManager *manager);
/* in the order they were added */
extern const Msp *msp_manager_msp(const MspManager *manager, size_t index);

/*
 * The identity for SerializedIdentity bytes: from the cache (no X.509 work, one hash of the bytes),
 * or created and cached. It stays valid until the next msp_manager_trim or msp_manager_destroy.
 * Errors: those of identity_create. A refusal that depends only on the bytes is cached too.
 */
extern FbStatus msp_manager_identity(MspManager *manager, FbBytes serialized,
									 const Identity **identity, FbError *error);

/*
 * Remove the least recently used identities beyond identities_max. Call it between units of work
 * (each transaction or block); cheap if there is nothing to remove.
 */
extern void msp_manager_trim(MspManager *manager);
/* how often bytes were parsed and checked because neither an identity nor a refusal was cached */
extern uint64_t msp_manager_checks_count(const MspManager *manager);

#endif
