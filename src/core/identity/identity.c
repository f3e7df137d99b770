/*
 * who somebody is: a certificate that one MSP vouches for (msp/mspimplvalidate.go,
 * msp/identities.go)
 */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"

#include <stdlib.h>

/* ---- bytes ---- */

FbStatus
identity_serialize(const char *msp_id, FbBytes certificate_pem, FbAllocator *allocator,
				   FbBytes *serialized, FbError *error)
{
	Msp__SerializedIdentity message = MSP__SERIALIZED_IDENTITY__INIT;

	message.mspid = (char *) msp_id;
	message.id_bytes = proto_data(certificate_pem);
	return PROTO_PACK(&message, allocator, serialized, error);
}

FbStatus
identity_unpack(FbBytes serialized, FbAllocator *allocator, const char **msp_id,
				FbBytes *certificate_pem, FbError *error)
{
	Msp__SerializedIdentity *message;

	*msp_id = NULL;
	*certificate_pem = FB_BYTES_EMPTY;
	if (serialized.size > FB_IDENTITY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "identity has %zu bytes, more than %d",
					   serialized.size, FB_IDENTITY_BYTES_MAX);
	FB_TRY(PROTO_UNPACK(msp__serialized_identity, serialized, allocator, &message, error));
	*msp_id = message->mspid;
	*certificate_pem = proto_bytes(message->id_bytes);
	return FB_OK;
}

/* ---- rules ---- */

/*
 * NodeOUs on: exactly one organizational unit of the certificate is one of the four, and it was
 * given by the certifiers that the MSP names. Where two roles have one name, the later of client,
 * peer, admin, orderer counts, as in Fabric.
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
	FbStatus status;

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

	status = crypto_certificate_normalised_der(certificate, issuer, scratch, &normal, error);
	FB_TRY(status);
	identity->form = normal_form(issuer);
	crypto_sha256(normal, identity->digest);
	fb_hex_encode(fb_bytes(identity->digest, sizeof(identity->digest)), identity->id);
	identity->is_listed_admin = msp_is_listed_admin(msp, identity->digest);
	return FB_OK;
}

static int
compare_ous(const void *a, const void *b)
{
	return fb_bytes_compare(*(const FbBytes *) a, *(const FbBytes *) b);
}

static FbStatus
sort_ous(Identity *identity, FbError *error)
{
	size_t count = crypto_certificate_ous_count(identity->certificate);

	identity->ous = fb_allocate_array(identity->allocator, count, sizeof(FbBytes));
	if (identity->ous == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
		identity->ous[i] = crypto_certificate_ou(identity->certificate, i);
	if (count > 1)
		qsort(identity->ous, count, sizeof(FbBytes), compare_ous);
	identity->ous_count = count;
	return FB_OK;
}

bool
identity_has_ou(const Identity *identity, FbBytes name)
{
	return identity->ous_count > 0 &&
		   bsearch(&name, identity->ous, identity->ous_count, sizeof(FbBytes), compare_ous) != NULL;
}

static FbStatus
identity_fill(Identity *identity, const Msp *msp, FbBytes serialized, FbAllocator *scratch,
			  FbError *error)
{
	const char *id;
	FbBytes pem;

	FB_TRY(identity_unpack(serialized, scratch, &id, &pem, error));
	if (strcmp(id, msp->id) != 0)
		return fb_fail(error, FB_UNKNOWN_MSP, "identity is of MSP \"%s\", expected \"%s\"", id,
					   msp->id);
	FB_TRY(crypto_certificate_parse_pem(pem, &identity->certificate, error));
	FB_TRY(identity_check(identity, msp, identity->certificate, scratch, error));
	FB_TRY(sort_ous(identity, error));
	return fb_bytes_copy(identity->allocator, serialized, &identity->serialized, error);
}

FbStatus
identity_create(const Msp *msp, FbBytes serialized, FbAllocator *allocator, Identity **identity,
				FbError *error)
{
	Identity *result = fb_allocate_zero(allocator, sizeof(*result));
	Scratch scratch;
	FbStatus status;

	*identity = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	scratch_init(&scratch, allocator);
	status = identity_fill(result, msp, serialized, &scratch.allocator, error);
	scratch_free(&scratch);
	if (status != FB_OK)
	{
		identity_destroy(result);
		return status;
	}
	*identity = result;
	return FB_OK;
}

void
identity_destroy(Identity *identity)
{
	if (identity == NULL)
		return;
	fb_release(identity->allocator, identity->ous);
	crypto_certificate_free(identity->certificate);
	fb_release(identity->allocator, (void *) identity->serialized.data);
	fb_release(identity->allocator, identity);
}

/* ---- asking it ---- */

const Msp *
identity_msp(const Identity *identity)
{
	return identity->msp;
}

const char *
identity_msp_id(const Identity *identity)
{
	return identity->msp->id;
}

FbBytes
identity_serialized(const Identity *identity)
{
	return identity->serialized;
}

const CryptoCertificate *
identity_certificate(const Identity *identity)
{
	return identity->certificate;
}

const char *
identity_id(const Identity *identity)
{
	return identity->id;
}

IdentityRole
identity_role(const Identity *identity)
{
	return identity->role;
}

FbStatus
identity_verify(const Identity *identity, FbBytes message, FbBytes signature, FbError *error)
{
	return identity_verify_parts(identity, &message, 1, signature, error);
}

FbStatus
identity_verify_parts(const Identity *identity, const FbBytes *parts, size_t parts_count,
					  FbBytes signature, FbError *error)
{
	return crypto_verify_parts(crypto_certificate_public_key(identity->certificate), parts,
							   parts_count, signature, error);
}

FbStatus
identity_verify_digest(const Identity *identity, const uint8_t digest[CRYPTO_SHA256_BYTES],
					   FbBytes signature, FbError *error)
{
	return crypto_verify_digest(crypto_certificate_public_key(identity->certificate), digest,
								signature, error);
}

bool
identity_expired(const Identity *identity, int64_t now)
{
	return now > crypto_certificate_not_after(identity->certificate);
}
