/*
 * principal.c: which identities satisfy a principal of a policy (msp/mspimpl.go,
 * satisfiesPrincipalInternalV142)
 */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"

static FbStatus principal_read(int32_t classification, FbBytes bytes, size_t *parts_left,
							   FbAllocator *allocator, const Principal **result, FbError *error);

/*
 * A message inside a principal that cannot be unpacked makes the principal impossible; lack of
 * memory and limits stay errors.
 */
static FbStatus
principal_forgive(FbStatus status, Principal *principal)
{
	if (status != FB_MALFORMED_MESSAGE && status != FB_LIMIT_EXCEEDED &&
		status != FB_INVALID_CERTIFICATE)
		return status;
	principal->impossible = true;
	return FB_OK;
}

static FbStatus
read_role(FbBytes bytes, FbAllocator *allocator, Principal *principal, FbError *error)
{
	Common__MSPRole *role;

	FB_TRY(PROTO_UNPACK(common__msprole, bytes, allocator, &role, error));
	principal->msp_id = role->msp_identifier;
	if ((unsigned) role->role < IDENTITY_ROLES_COUNT)
		principal->role = (IdentityRole) role->role;
	else
		principal->impossible = true;
	return FB_OK;
}

static FbStatus
read_unit(FbBytes bytes, FbAllocator *allocator, Principal *principal, FbError *error)
{
	Common__OrganizationUnit *unit;

	FB_TRY(PROTO_UNPACK(common__organization_unit, bytes, allocator, &unit, error));
	principal->msp_id = unit->msp_identifier;
	principal->ou = fb_bytes_of_text(unit->organizational_unit_identifier);
	principal->certifiers = proto_bytes(unit->certifiers_identifier);
	return FB_OK;
}

static FbStatus
principal_read_identity(FbBytes bytes, FbAllocator *allocator, Principal *principal, FbError *error)
{
	CryptoCertificate *certificate;
	FbBytes pem;
	FbStatus status;

	FB_TRY(fb_bytes_copy(allocator, bytes, &principal->serialized, error));
	FB_TRY(identity_unpack(bytes, allocator, &principal->msp_id, &pem, error));
	FB_TRY(crypto_certificate_parse_pem(pem, &certificate, error));
	crypto_sha256(crypto_certificate_der(certificate), principal->digests[NORMAL_AS_IS]);
	status = FB_OK;
	for (int form = NORMAL_FIRST_CURVE; form < NORMAL_FORMS_COUNT && status == FB_OK; form++)
	{
		FbBytes normal;

		status =
			crypto_certificate_low_s_der(certificate, (CryptoCurve) (form - NORMAL_FIRST_CURVE),
										 allocator, &normal, error);
		/*
		 * not a signature of this curve: then its issuer has no key of this curve, and the digest,
		 * all zeros, never compares equal
		 */
		if (status == FB_INVALID_CERTIFICATE)
			status = FB_OK;
		else if (status == FB_OK)
			crypto_sha256(normal, principal->digests[form]);
	}
	crypto_certificate_free(certificate);
	return status;
}

static FbStatus
read_anonymity(FbBytes bytes, FbAllocator *allocator, Principal *principal, FbError *error)
{
	Common__MSPIdentityAnonymity *anonymity;

	FB_TRY(PROTO_UNPACK(common__mspidentity_anonymity, bytes, allocator, &anonymity, error));
	principal->anonymous = anonymity->anonymity_type !=
						   COMMON__MSPIDENTITY_ANONYMITY__MSPIDENTITY_ANONYMITY_TYPE__NOMINAL;
	return FB_OK;
}

static FbStatus
read_combined(FbBytes bytes, size_t *parts_left, FbAllocator *allocator, Principal *principal,
			  FbError *error)
{
	Common__CombinedPrincipal *combined;
	const Principal **parts;

	FB_TRY(PROTO_UNPACK(common__combined_principal, bytes, allocator, &combined, error));
	if (combined->n_principals == 0)
	{
		principal->impossible = true;
		return FB_OK;
	}
	if (combined->n_principals > *parts_left)
		return fb_fail(error, FB_INVALID_POLICY, "combined principal has more than %d parts",
					   FB_PRINCIPAL_PARTS_MAX);
	*parts_left -= combined->n_principals;
	parts = fb_allocate_array(allocator, combined->n_principals, sizeof(*parts));
	if (parts == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < combined->n_principals; i++)
		FB_TRY(principal_read(combined->principals[i]->principal_classification,
							  proto_bytes(combined->principals[i]->principal), parts_left,
							  allocator, &parts[i], error));
	principal->parts = parts;
	principal->parts_count = combined->n_principals;
	return FB_OK;
}

static FbStatus
principal_read(int32_t classification, FbBytes bytes, size_t *parts_left, FbAllocator *allocator,
			   const Principal **result, FbError *error)
{
	Principal *principal;
	FbStatus status = FB_OK;

	*result = NULL;
	principal = fb_allocate_zero(allocator, sizeof(*principal));
	if (principal == NULL)
		return fb_out_of_memory(error);
	principal->kind = (PrincipalKind) classification;
	switch (principal->kind)
	{
		case PRINCIPAL_ROLE:
			status = read_role(bytes, allocator, principal, error);
			break;
		case PRINCIPAL_ORGANIZATION_UNIT:
			status = read_unit(bytes, allocator, principal, error);
			break;
		case PRINCIPAL_IDENTITY:
			status = principal_read_identity(bytes, allocator, principal, error);
			break;
		case PRINCIPAL_ANONYMITY:
			status = read_anonymity(bytes, allocator, principal, error);
			break;
		case PRINCIPAL_COMBINED:
			status = read_combined(bytes, parts_left, allocator, principal, error);
			break;
		default:
			principal->impossible = true;
			break;
	}
	FB_TRY(principal_forgive(status, principal));
	*result = principal;
	return FB_OK;
}

FbStatus
principal_parse(int32_t classification, FbBytes principal, FbAllocator *allocator,
				const Principal **result, FbError *error)
{
	size_t parts_left = FB_PRINCIPAL_PARTS_MAX;

	return principal_read(classification, principal, &parts_left, allocator, result, error);
}

bool
identity_has_role(const Identity *identity, IdentityRole role)
{
	const Msp *msp = identity->msp;

	switch (role)
	{
		case IDENTITY_MEMBER:
			return true;
		case IDENTITY_ADMIN:
			if (identity->is_listed_admin)
				return true;
			break;
		case IDENTITY_CLIENT:
		case IDENTITY_PEER:
		case IDENTITY_ORDERER:
			break;
		default:
			return false;
	}
	return msp->node_ous && msp->node_ou[role].present &&
		   identity_has_ou(identity, msp->node_ou[role].name);
}

bool
principal_matches(const Principal *principal, const Identity *identity)
{
	if (principal->impossible)
		return false;
	if (principal->msp_id != NULL && strcmp(principal->msp_id, identity->msp->id) != 0)
		return false;
	switch (principal->kind)
	{
		case PRINCIPAL_ROLE:
			return identity_has_role(identity, principal->role);
		case PRINCIPAL_ORGANIZATION_UNIT:
			return fb_bytes_equal(principal->certifiers,
								  fb_bytes(identity->certifiers, sizeof(identity->certifiers))) &&
				   identity_has_ou(identity, principal->ou);
		case PRINCIPAL_IDENTITY:
			return memcmp(principal->digests[identity->form], identity->digest,
						  CRYPTO_SHA256_BYTES) == 0;
		case PRINCIPAL_ANONYMITY:
			return !principal->anonymous;
		case PRINCIPAL_COMBINED:
			for (size_t i = 0; i < principal->parts_count; i++)
				if (!principal_matches(principal->parts[i], identity))
					return false;
			return true;
	}
	return false;
}
