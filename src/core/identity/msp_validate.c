/* msp_validate.c: is a certificate valid in an MSP? (msp/mspimplvalidate.go) */
#include "core/identity/identity_internal.h"

#define OID_ALTERNATIVE_NAMES "2.5.29.17"
#define OID_NAME_CONSTRAINTS "2.5.29.30"

/* of a certificate of this issuer */
static NormalForm
normal_form(const CryptoCertificate *issuer)
{
	const CryptoPublicKey *key = crypto_certificate_public_key(issuer);

	if (key == NULL)
		return NORMAL_AS_IS;
	return (NormalForm) (NORMAL_FIRST_CURVE + crypto_public_key_curve(key));
}

void
chain_digest(const CryptoChain *chain, size_t from, uint8_t digest[CRYPTO_SHA256_BYTES])
{
	CryptoSha256 hash;

	crypto_sha256_start(&hash);
	for (size_t i = from; i < chain->length; i++)
		crypto_sha256_add(&hash, crypto_certificate_der(chain->certificates[i]));
	crypto_sha256_finish(&hash, digest);
}

bool
msp_is_host_name(const char *name)
{
	size_t size = strlen(name);
	size_t label = 0; /* start of the current label */

	if (size > 0 && name[size - 1] == '.')
		size--;
	for (size_t i = 0; i <= size; i++)
	{
		char c = name[i];

		if (i == size || c == '.')
		{
			if (i == label)
				return false; /* an empty label */
			label = i + 1;
		}
		else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
				   c == '_' || c == ':' || (c == '-' && i > label) ||
				   (c == '*' && i == 0 && (size == 1 || name[1] == '.'))))
			return false;
	}
	return true;
}

/*
 * A rule of Go 1.14 that Fabric keeps (verifyLegacyNameConstraints): a certificate whose common
 * name looks like a host name needs alternative names when a CA above it has name constraints.
 */
static FbStatus
check_legacy_name_constraints(const CryptoChain *chain, FbError *error)
{
	const CryptoCertificate *certificate = chain->certificates[0];
	FbBytes ignored;

	if (chain->length < 2 ||
		crypto_certificate_extension(certificate, OID_ALTERNATIVE_NAMES, &ignored) ||
		!msp_is_host_name(crypto_certificate_common_name(certificate)))
		return FB_OK;
	for (size_t i = 1; i < chain->length; i++)
		if (crypto_certificate_extension(chain->certificates[i], OID_NAME_CONSTRAINTS, &ignored))
			return fb_fail(
				error, FB_INVALID_IDENTITY,
				"certificate \"%s\" has no alternative names, but its CA has name constraints",
				crypto_certificate_subject(certificate));
	return FB_OK;
}

FbStatus
chain_unique(const CertificateList *roots, const CertificateList *intermediates,
			 const CryptoCertificate *certificate, CryptoChain *chain, FbError *error)
{
	CryptoTrust trust = {roots->items, roots->count, intermediates->items, intermediates->count};
	size_t count;
	FbStatus status;

	status = crypto_chain_find(certificate, &trust, crypto_certificate_not_before(certificate) + 1,
							   chain, &count, error);
	if (status == FB_INVALID_CERTIFICATE || status == FB_CERTIFICATE_EXPIRED ||
		status == FB_LIMIT_EXCEEDED)
	{
		if (error != NULL)
			error->status = FB_INVALID_IDENTITY;
		return FB_INVALID_IDENTITY;
	}
	FB_TRY(status);
	if (count != 1)
		return fb_fail(error, FB_INVALID_IDENTITY,
					   "certificate \"%s\" has %zu chains, but only one is allowed",
					   crypto_certificate_subject(certificate), count);
	return check_legacy_name_constraints(chain, error);
}

FbStatus
msp_unique_chain(const Msp *msp, const CryptoCertificate *certificate, CryptoChain *chain,
				 FbError *error)
{
	return chain_unique(&msp->roots, &msp->intermediates, certificate, chain, error);
}

FbStatus
msp_check_revocation(const Msp *msp, const CryptoCertificate *certificate,
					 const CryptoCertificate *issuer, FbError *error)
{
	for (size_t i = 0; i < msp->crls_count; i++)
	{
		FbStatus status;

		if (!fb_bytes_equal(crypto_crl_aki(msp->crls[i]), crypto_certificate_ski(issuer)) ||
			!crypto_crl_lists(msp->crls[i], crypto_certificate_serial(certificate)))
			continue;
		status = crypto_crl_check_signature(msp->crls[i], issuer, error);
		if (status == FB_OK)
			return fb_fail(error, FB_CERTIFICATE_REVOKED, "certificate \"%s\" has been revoked",
						   crypto_certificate_subject(certificate));
		/* a list that this CA has not signed revokes nothing; another one may */
		if (status != FB_INVALID_SIGNATURE)
			return status;
	}
	return FB_OK;
}

bool
msp_find_ca(const CertificateList *list, FbBytes der, size_t *index)
{
	for (size_t i = 0; i < list->count; i++)
	{
		if (fb_bytes_equal(crypto_certificate_der(list->items[i]), der))
		{
			*index = i;
			return true;
		}
	}
	return false;
}

bool
msp_is_inner(const Msp *msp, const CryptoCertificate *ca)
{
	FbBytes der = crypto_certificate_der(ca);
	size_t index;

	if (msp_find_ca(&msp->roots, der, &index) && msp->root_inner[index])
		return true;
	return msp_find_ca(&msp->intermediates, der, &index) && msp->inner[index];
}

static bool
msp_is_listed_admin(const Msp *msp, const uint8_t digest[CRYPTO_SHA256_BYTES])
{
	for (size_t i = 0; i < msp->admins_count; i++)
		if (memcmp(msp->admins[i], digest, CRYPTO_SHA256_BYTES) == 0)
			return true;
	return false;
}

/*
 * With NodeOUs: exactly one organizational unit of the certificate must be one of the four, and be
 * valid for the certifiers that the MSP names. If two roles have the same name, the later one of
 * client, peer, admin, orderer counts, as in Fabric.
 */
static FbStatus
check_node_ous(Identity *identity, const CryptoCertificate *certificate, FbError *error)
{
	static const IdentityRole order[] = {IDENTITY_ORDERER, IDENTITY_ADMIN, IDENTITY_PEER,
										 IDENTITY_CLIENT};
	FbBytes certifiers = fb_bytes(identity->certifiers, sizeof(identity->certifiers));
	int found = 0;

	for (size_t i = 0; i < crypto_certificate_ous_count(certificate) && found < 2; i++)
	{
		for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
		{
			const OuIdentifier *ou = &identity->msp->node_ou[order[k]];

			if (!ou->present || !fb_bytes_equal(ou->name, crypto_certificate_ou(certificate, i)))
				continue;
			if (ou->certifiers.size > 0 && !fb_bytes_equal(ou->certifiers, certifiers))
				return fb_fail(
					error, FB_INVALID_IDENTITY,
					"organizational unit \"%s\" of \"%s\" was not given by the CA that its MSP names",
					FB_DISPLAY(ou->name), crypto_certificate_subject(certificate));
			identity->role = order[k];
			found++;
			break;
		}
	}
	if (found != 1)
	{
		fb_fail(
			error, FB_INVALID_IDENTITY,
			"certificate \"%s\" must have exactly one of the organizational units of MSP \"%s\"",
			crypto_certificate_subject(certificate), identity->msp->id);
		fb_error_hint(error, "A certificate is for a client, a peer, an admin or an orderer.");
		return FB_INVALID_IDENTITY;
	}
	return FB_OK;
}

/* if the MSP lists organizational units, the certificate must have one of them */
static FbStatus
check_listed_ous(const Identity *identity, const CryptoCertificate *certificate, FbError *error)
{
	FbBytes certifiers = fb_bytes(identity->certifiers, sizeof(identity->certifiers));

	if (identity->msp->ous_count == 0)
		return FB_OK;
	for (size_t i = 0; i < crypto_certificate_ous_count(certificate); i++)
		for (size_t k = 0; k < identity->msp->ous_count; k++)
			if (fb_bytes_equal(identity->msp->ous[k].name, crypto_certificate_ou(certificate, i)) &&
				fb_bytes_equal(identity->msp->ous[k].certifiers, certifiers))
				return FB_OK;
	return fb_fail(error, FB_INVALID_IDENTITY,
				   "certificate \"%s\" has none of the organizational units of MSP \"%s\"",
				   crypto_certificate_subject(certificate), identity->msp->id);
}

FbStatus
identity_check(Identity *identity, const Msp *msp, const CryptoCertificate *certificate,
			   FbAllocator *scratch, FbError *error)
{
	const CryptoCertificate *issuer;
	CryptoChain chain;
	FbBytes normal;

	identity->msp = msp;
	identity->role = IDENTITY_MEMBER;
	if (crypto_certificate_public_key(certificate) == NULL)
		return fb_fail(error, FB_INVALID_IDENTITY,
					   "key of certificate \"%s\" is not ECDSA on P-224, P-256, P-384 or P-521",
					   crypto_certificate_subject(certificate));
	if (crypto_certificate_is_ca(certificate))
		return fb_fail(error, FB_INVALID_IDENTITY, "CA certificate \"%s\" cannot be an identity",
					   crypto_certificate_subject(certificate));
	FB_TRY(msp_unique_chain(msp, certificate, &chain, error));
	if (chain.length < 2)
		return fb_fail(error, FB_INVALID_IDENTITY, "certificate \"%s\" has no issuer",
					   crypto_certificate_subject(certificate));
	FB_ASSERT(chain.certificates[0] == certificate);
	issuer = chain.certificates[1];
	if (msp_is_inner(msp, issuer))
		return fb_fail(
			error, FB_INVALID_IDENTITY,
			"certificate \"%s\" was issued by \"%s\", which is not a leaf of the CA tree",
			crypto_certificate_subject(certificate), crypto_certificate_subject(issuer));
	FB_TRY(msp_check_revocation(msp, certificate, issuer, error));
	chain_digest(&chain, 1, identity->certifiers);
	FB_TRY(check_listed_ous(identity, certificate, error));
	if (msp->node_ous)
		FB_TRY(check_node_ous(identity, certificate, error));

	FB_TRY(crypto_certificate_normalized_der(certificate, issuer, scratch, &normal, error));
	identity->form = normal_form(issuer);
	crypto_sha256(normal, identity->digest);
	fb_hex_encode(fb_bytes(identity->digest, sizeof(identity->digest)), identity->id);
	identity->is_listed_admin = msp_is_listed_admin(msp, identity->digest);
	return FB_OK;
}
