/*
 * msp.c: an organization's definition: its CAs, revocation lists, organizational units and admins
 * (msp/mspimplsetup.go, MSP version 1.4.3)
 */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"

const char *
identity_role_name(IdentityRole role)
{
	static const char *const names[IDENTITY_ROLES_COUNT] = {"member", "admin", "client", "peer",
															"orderer"};

	FB_ASSERT((unsigned) role < IDENTITY_ROLES_COUNT);
	return names[role];
}

/* add the part of the definition to an error */
static FbStatus
fail_in(FbStatus status, const char *part, size_t index, FbError *error)
{
	char message[FB_ERROR_MESSAGE_BYTES];
	char detail[FB_ERROR_DETAIL_BYTES];

	if (error != NULL && status != FB_OUT_OF_MEMORY)
	{
		memcpy(message, error->message, sizeof(message));
		memcpy(detail, error->detail, sizeof(detail));
		fb_fail(error, status, "%s %zu of the MSP: %s", part, index, message);
		if (detail[0] != '\0')
			fb_error_detail(error, "%s", detail);
	}
	return status;
}

static void
mark_inner(Msp *msp, const CryptoCertificate *ca)
{
	FbBytes der = crypto_certificate_der(ca);
	size_t index;

	if (msp_find_ca(&msp->roots, der, &index))
		msp->root_inner[index] = true;
	if (msp_find_ca(&msp->intermediates, der, &index))
		msp->inner[index] = true;
}

/* ---- creation ---- */

/*
 * mspimpl.go, getIdentityFromConf: the software provider accepts ECDSA and RSA keys only. TLS CAs
 * are only parsed, so they need a key that Go's parser accepts.
 */
static FbStatus
msp_check_key(const CryptoCertificate *certificate, bool tls, FbError *error)
{
	CryptoKeyKind kind = crypto_certificate_key_kind(certificate);

	if (kind == CRYPTO_KEY_ECDSA || kind == CRYPTO_KEY_RSA || (tls && kind == CRYPTO_KEY_OTHER))
		return FB_OK;
	return fb_fail(error, FB_INVALID_CERTIFICATE,
				   "the key of \"%s\" is neither RSA nor ECDSA on P-224, P-256, P-384 or P-521",
				   crypto_certificate_subject(certificate));
}

static FbStatus
load_certificates(Msp *msp, const ProtobufCBinaryData *from, size_t count, const char *part,
				  CertificateList *list, FbError *error)
{
	bool tls = strncmp(part, "TLS", 3) == 0;

	if (count > FB_MSP_CERTIFICATES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "MSP has %zu times %s, more than %d", count, part,
					   FB_MSP_CERTIFICATES_MAX);
	list->items = fb_allocate_array(msp->allocator, count, sizeof(CryptoCertificate *));
	if (list->items == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
	{
		FbStatus status =
			crypto_certificate_parse_pem(proto_bytes(from[i]), &list->items[i], error);

		if (status == FB_OK)
		{
			list->count++;
			status = msp_check_key(list->items[i], tls, error);
		}
		if (status != FB_OK)
			return fail_in(status, part, i, error);
	}
	return FB_OK;
}

/*
 * Find the signer of a CA, as far as its normal form depends on it (mspimpl.go, sanitizeCert): NULL
 * when the CA is not signed with ECDSA. A root signs itself, even if it is listed among the
 * intermediates, and must be allowed to sign.
 */
static FbStatus
find_issuer(const Msp *msp, const CryptoCertificate *ca, const CryptoCertificate **issuer,
			FbError *error)
{
	CryptoChain chain;

	*issuer = NULL;
	if (!crypto_certificate_signed_with_ecdsa(ca))
		return FB_OK;
	if (crypto_certificate_is_ca(ca) && crypto_certificate_check_may_sign(ca, error) == FB_OK)
	{
		FbStatus status = crypto_certificate_check_signature(ca, ca, error);

		*issuer = ca;
		if (status != FB_INVALID_SIGNATURE)
			return status;
	}
	FB_TRY(msp_unique_chain(msp, ca, &chain, error));
	if (chain.length < 2)
		return fb_fail(
			error, FB_INVALID_CERTIFICATE,
			"certificate \"%s\" is neither signed by itself, as one that may sign certificates, nor by another CA",
			crypto_certificate_subject(ca));
	*issuer = chain.certificates[1];
	return FB_OK;
}

/* the form of a certificate that is hashed and compared; issuer NULL: unchanged */
static FbStatus
msp_normalize(const CryptoCertificate *certificate, const CryptoCertificate *issuer,
			  FbAllocator *allocator, FbBytes *normal, FbError *error)
{
	if (issuer == NULL)
		return fb_bytes_copy(allocator, crypto_certificate_der(certificate), normal, error);
	return crypto_certificate_normalized_der(certificate, issuer, allocator, normal, error);
}

/* root certificates first, then intermediate ones */
static CryptoCertificate **
authority_at(Msp *msp, size_t index)
{
	return index < msp->roots.count ? &msp->roots.items[index]
									: &msp->intermediates.items[index - msp->roots.count];
}

/*
 * Replace every CA by its low-S form (sanitizeCert). All issuers are found before the first CA is
 * replaced, because they are found with the certificates as configured.
 */
static FbStatus
normalize_cas(Msp *msp, FbAllocator *scratch, FbError *error)
{
	size_t count = msp->roots.count + msp->intermediates.count;
	FbBytes *normal = fb_allocate_array(scratch, count, sizeof(FbBytes));
	size_t *issuer_index = fb_allocate_array(scratch, count, sizeof(size_t));

	msp->issuers = fb_allocate_array(msp->allocator, count, sizeof(CryptoCertificate *));
	if (normal == NULL || issuer_index == NULL || msp->issuers == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
	{
		bool is_root = i < msp->roots.count;
		const CryptoCertificate *issuer = NULL;
		FbStatus status = find_issuer(msp, *authority_at(msp, i), &issuer, error);

		if (status == FB_OK)
			status = msp_normalize(*authority_at(msp, i), issuer, scratch, &normal[i], error);
		if (status == FB_INVALID_IDENTITY)
			status = FB_INVALID_CERTIFICATE;
		if (status != FB_OK)
			return fail_in(status, is_root ? "root certificate" : "intermediate certificate",
						   is_root ? i : i - msp->roots.count, error);
		issuer_index[i] = count;
		for (size_t k = 0; k < count; k++)
			if (*authority_at(msp, k) == issuer)
				issuer_index[i] = k;
	}
	for (size_t i = 0; i < count; i++)
	{
		CryptoCertificate *low_s;

		/* decoding a certificate with OpenSSL is slow, and most are normal already */
		if (fb_bytes_equal(normal[i], crypto_certificate_der(*authority_at(msp, i))))
			continue;
		FB_TRY(crypto_certificate_parse(normal[i], &low_s, error));
		crypto_certificate_free(*authority_at(msp, i));
		*authority_at(msp, i) = low_s;
	}
	for (size_t i = 0; i < count; i++)
		msp->issuers[i] = issuer_index[i] == count ? NULL : *authority_at(msp, issuer_index[i]);
	return FB_OK;
}

static FbStatus
load_crls(Msp *msp, const Msp__FabricMSPConfig *config, FbError *error)
{
	if (config->n_revocation_list > FB_MSP_CERTIFICATES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "MSP has %zu revocation lists, more than %d",
					   config->n_revocation_list, FB_MSP_CERTIFICATES_MAX);
	msp->crls = fb_allocate_array(msp->allocator, config->n_revocation_list, sizeof(CryptoCrl *));
	if (msp->crls == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < config->n_revocation_list; i++)
	{
		FbStatus status =
			crypto_crl_parse(proto_bytes(config->revocation_list[i]), &msp->crls[i], error);

		if (status == FB_OK)
		{
			msp->crls_count++;
			/* Fabric accepts such a list, but then every identity of the MSP is invalid */
			if (crypto_crl_aki(msp->crls[i]).size == 0)
				status =
					fb_fail(error, FB_INVALID_CERTIFICATE, "it has no authority key identifier");
		}
		if (status != FB_OK)
			return fail_in(status, "revocation list", i, error);
	}
	return FB_OK;
}

/*
 * Every CA must be a CA, be identified by its key identifier, have exactly one chain and not be
 * revoked.
 */
static FbStatus
check_cas(const Msp *msp, const CertificateList *checked, const CertificateList *roots,
		  const CertificateList *intermediates, const char *part, FbError *error)
{
	for (size_t i = 0; i < checked->count; i++)
	{
		const CryptoCertificate *ca = checked->items[i];
		CryptoChain chain;
		FbStatus status = FB_OK;

		if (!crypto_certificate_is_ca(ca))
			status = fb_fail(error, FB_INVALID_CERTIFICATE, "\"%s\" is not a CA certificate",
							 crypto_certificate_subject(ca));
		else if (crypto_certificate_ski(ca).size == 0)
			status = fb_fail(error, FB_INVALID_CERTIFICATE, "\"%s\" has no subject key identifier",
							 crypto_certificate_subject(ca));
		else
			status = chain_unique(roots, intermediates, ca, &chain, error);
		if (status == FB_OK && chain.length > 1)
			status = msp_check_revocation(msp, ca, chain.certificates[1], error);
		if (status == FB_INVALID_IDENTITY)
			status = FB_INVALID_CERTIFICATE;
		if (status != FB_OK)
			return fail_in(status, part, i, error);
	}
	return FB_OK;
}

static FbStatus
mark_inner_nodes(Msp *msp, FbError *error)
{
	msp->inner = fb_allocate_array(msp->allocator, msp->intermediates.count, sizeof(bool));
	msp->root_inner = fb_allocate_array(msp->allocator, msp->roots.count, sizeof(bool));
	if (msp->inner == NULL || msp->root_inner == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < msp->intermediates.count; i++)
	{
		CryptoChain chain;

		FB_TRY(msp_unique_chain(msp, msp->intermediates.items[i], &chain, error));
		for (size_t k = 1; k < chain.length; k++)
			mark_inner(msp, chain.certificates[k]);
	}
	return FB_OK;
}

/*
 * getCertifiersIdentifier: the hash over the chain of a CA that the definition names; the CA must
 * be one of the MSP's.
 */
static FbStatus
certifiers_digest(const Msp *msp, FbBytes pem, FbAllocator *scratch,
				  uint8_t digest[CRYPTO_SHA256_BYTES], FbError *error)
{
	CryptoCertificate *named;
	const CryptoCertificate *ca = NULL;
	bool is_root = false;
	CryptoChain chain;
	FbStatus status;

	FB_TRY(crypto_certificate_parse_pem(pem, &named, error));
	status = FB_OK;
	for (size_t i = 0;
		 i < msp->roots.count + msp->intermediates.count && status == FB_OK && ca == NULL; i++)
	{
		const CryptoCertificate *candidate;
		FbBytes normal;

		is_root = i < msp->roots.count;
		candidate = is_root ? msp->roots.items[i] : msp->intermediates.items[i - msp->roots.count];
		status = msp_normalize(named, msp->issuers[i], scratch, &normal, error);
		if (status == FB_INVALID_CERTIFICATE)
			status = FB_OK; /* signed with a key of another kind: not this CA */
		else if (status == FB_OK && fb_bytes_equal(normal, crypto_certificate_der(candidate)))
			ca = candidate;
	}
	if (status == FB_OK && ca == NULL)
		status = fb_fail(error, FB_INVALID_CONFIG,
						 "certificate \"%s\" of an organizational unit is not a CA of the MSP",
						 crypto_certificate_subject(named));
	crypto_certificate_free(named);
	FB_TRY(status);
	if (is_root)
		chain = (CryptoChain) {{ca}, 1};
	else
	{
		FB_TRY(msp_unique_chain(msp, ca, &chain, error));
		if (msp_is_inner(msp, ca))
			return fb_fail(error, FB_INVALID_CONFIG,
						   "organizational unit is bound to \"%s\", which issues no identities",
						   crypto_certificate_subject(ca));
	}
	chain_digest(&chain, 0, digest);
	return FB_OK;
}

static FbStatus
load_ou(const Msp *msp, const Msp__FabricOUIdentifier *from, bool certificate_needed,
		OuIdentifier *to, FbAllocator *scratch, FbError *error)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	to->present = true;
	FB_TRY(fb_bytes_copy(msp->allocator, fb_bytes_of_text(from->organizational_unit_identifier),
						 &to->name, error));
	if (from->certificate.len > 0 || certificate_needed)
	{
		FB_TRY(certifiers_digest(msp, proto_bytes(from->certificate), scratch, digest, error));
		FB_TRY(fb_bytes_copy(msp->allocator, fb_bytes(digest, sizeof(digest)), &to->certifiers,
							 error));
	}
	return FB_OK;
}

/* the roles mostly name the same certificate, which is slow to decode with OpenSSL */
static FbStatus
load_node_ou(Msp *msp, const Msp__FabricOUIdentifier *const from[IDENTITY_ROLES_COUNT], int role,
			 FbAllocator *scratch, FbError *error)
{
	OuIdentifier *to = &msp->node_ou[role];
	FbBytes certificate = proto_bytes(from[role]->certificate);

	for (int other = IDENTITY_ADMIN; other < role && certificate.size > 0; other++)
		if (from[other] != NULL &&
			fb_bytes_equal(proto_bytes(from[other]->certificate), certificate))
		{
			to->present = true;
			FB_TRY(fb_bytes_copy(msp->allocator,
								 fb_bytes_of_text(from[role]->organizational_unit_identifier),
								 &to->name, error));
			return fb_bytes_copy(msp->allocator, msp->node_ou[other].certifiers, &to->certifiers,
								 error);
		}
	return load_ou(msp, from[role], false, to, scratch, error);
}

static FbStatus
load_ous(Msp *msp, const Msp__FabricMSPConfig *config, FbAllocator *scratch, FbError *error)
{
	const Msp__FabricNodeOUs *node = config->fabric_node_ous;
	size_t count = config->n_organizational_unit_identifiers;

	if (count > FB_MSP_CERTIFICATES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "MSP has %zu organizational units, more than %d",
					   count, FB_MSP_CERTIFICATES_MAX);
	msp->ous = fb_allocate_array(msp->allocator, count, sizeof(OuIdentifier));
	if (msp->ous == NULL)
		return fb_out_of_memory(error);
	msp->ous_count = count;
	for (size_t i = 0; i < count; i++)
	{
		FbStatus status = load_ou(msp, config->organizational_unit_identifiers[i], true,
								  &msp->ous[i], scratch, error);

		if (status != FB_OK)
			return fail_in(status, "organizational unit", i, error);
	}
	if (node != NULL)
	{
		const Msp__FabricOUIdentifier *from[IDENTITY_ROLES_COUNT] =
			{[IDENTITY_ADMIN] = node->admin_ou_identifier,
			 [IDENTITY_CLIENT] = node->client_ou_identifier,
			 [IDENTITY_PEER] = node->peer_ou_identifier,
			 [IDENTITY_ORDERER] = node->orderer_ou_identifier};
		bool any = false;

		for (int role = IDENTITY_ADMIN; role <= IDENTITY_ORDERER; role++)
		{
			FbStatus status;

			if (from[role] == NULL)
				continue;
			any = true;
			status = load_node_ou(msp, from, role, scratch, error);
			if (status != FB_OK)
				return fail_in(status, "node organizational unit", role, error);
		}
		msp->node_ous = node->enable && any;
	}
	return FB_OK;
}

static FbStatus
load_admins(Msp *msp, const Msp__FabricMSPConfig *config, FbAllocator *scratch, FbError *error)
{
	if (config->n_admins == 0 && (!msp->node_ous || !msp->node_ou[IDENTITY_ADMIN].present))
		return fb_fail(error, FB_INVALID_CONFIG,
					   "MSP has neither admins nor an organizational unit for them");
	if (config->n_admins > FB_MSP_CERTIFICATES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "MSP has %zu admins, more than %d",
					   config->n_admins, FB_MSP_CERTIFICATES_MAX);
	msp->admins = fb_allocate_array(msp->allocator, config->n_admins, CRYPTO_SHA256_BYTES);
	if (msp->admins == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < config->n_admins; i++)
	{
		CryptoCertificate *certificate;
		Identity admin;
		FbStatus status =
			crypto_certificate_parse_pem(proto_bytes(config->admins[i]), &certificate, error);

		if (status == FB_OK)
			status = identity_check(&admin, msp, certificate, scratch, error);
		if (status == FB_OK && msp->node_ous && admin.role != IDENTITY_CLIENT &&
			admin.role != IDENTITY_ADMIN)
			status = fb_fail(error, FB_INVALID_IDENTITY,
							 "\"%s\" is by its organizational unit neither a client nor an admin",
							 crypto_certificate_subject(certificate));
		crypto_certificate_free(certificate);
		if (status != FB_OK)
			return fail_in(status, "admin", i, error);
		memcpy(msp->admins[msp->admins_count++], admin.digest, CRYPTO_SHA256_BYTES);
	}
	return FB_OK;
}

static FbStatus
check_crypto_config(const Msp__FabricCryptoConfig *config, FbError *error)
{
	if (config == NULL)
		return FB_OK; /* the defaults are the only algorithms supported here */
	if (config->signature_hash_family[0] != '\0' &&
		strcmp(config->signature_hash_family, "SHA2") != 0)
		return fb_fail(error, FB_INVALID_CONFIG, "signature hash family \"%s\" is not supported",
					   config->signature_hash_family);
	if (config->identity_identifier_hash_function[0] != '\0' &&
		strcmp(config->identity_identifier_hash_function, "SHA256") != 0)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "identity identifier hash function \"%s\" is not supported",
					   config->identity_identifier_hash_function);
	return FB_OK;
}

static FbStatus
msp_fill(Msp *msp, FbBytes bytes, FbAllocator *scratch, FbError *error)
{
	Msp__FabricMSPConfig *config;
	size_t id_size;

	FB_TRY(fb_bytes_copy(msp->allocator, bytes, &msp->config, error));
	FB_TRY(PROTO_UNPACK(msp__fabric_mspconfig, bytes, scratch, &config, error));
	id_size = strlen(config->name);
	if (id_size == 0 || id_size > FB_MSP_ID_BYTES_MAX)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP id must have 1 to %d bytes",
					   FB_MSP_ID_BYTES_MAX);
	msp->id = fb_text_copy(msp->allocator, fb_bytes(config->name, id_size));
	if (msp->id == NULL)
		return fb_out_of_memory(error);
	/*
	 * Fabric refuses a signing identity without a usable certificate and key; here it is always
	 * refused, because a private key must not be in a definition that all members read
	 */
	if (config->signing_identity != NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP \"%s\" has a signing identity", msp->id);
	FB_TRY(check_crypto_config(config->crypto_config, error));
	if (config->n_root_certs == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP \"%s\" has no root certificate", msp->id);
	FB_TRY(load_certificates(msp, config->root_certs, config->n_root_certs, "root certificate",
							 &msp->roots, error));
	FB_TRY(load_certificates(msp, config->intermediate_certs, config->n_intermediate_certs,
							 "intermediate certificate", &msp->intermediates, error));
	FB_TRY(normalize_cas(msp, scratch, error));
	FB_TRY(load_crls(msp, config, error));
	FB_TRY(
		check_cas(msp, &msp->roots, &msp->roots, &msp->intermediates, "root certificate", error));
	FB_TRY(check_cas(msp, &msp->intermediates, &msp->roots, &msp->intermediates,
					 "intermediate certificate", error));
	FB_TRY(mark_inner_nodes(msp, error));
	FB_TRY(load_certificates(msp, config->tls_root_certs, config->n_tls_root_certs,
							 "TLS root certificate", &msp->tls_roots, error));
	FB_TRY(load_certificates(msp, config->tls_intermediate_certs, config->n_tls_intermediate_certs,
							 "TLS intermediate certificate", &msp->tls_intermediates, error));
	FB_TRY(check_cas(msp, &msp->tls_roots, &msp->tls_roots, &msp->tls_intermediates,
					 "TLS root certificate", error));
	FB_TRY(check_cas(msp, &msp->tls_intermediates, &msp->tls_roots, &msp->tls_intermediates,
					 "TLS intermediate certificate", error));
	FB_TRY(load_ous(msp, config, scratch, error));
	return load_admins(msp, config, scratch, error);
}

FbStatus
msp_create(FbBytes fabric_msp_config, FbAllocator *allocator, Msp **msp, FbError *error)
{
	Msp *result = fb_allocate_zero(allocator, sizeof(*result));
	Scratch scratch;
	FbStatus status;

	*msp = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	scratch_init(&scratch, allocator);
	status = msp_fill(result, fabric_msp_config, &scratch.allocator, error);
	scratch_free(&scratch);
	if (status != FB_OK)
	{
		msp_destroy(result);
		return status;
	}
	*msp = result;
	return FB_OK;
}

static void
list_destroy(FbAllocator *allocator, CertificateList *list)
{
	for (size_t i = 0; i < list->count; i++)
		crypto_certificate_free(list->items[i]);
	fb_release(allocator, list->items);
}

void
msp_destroy(Msp *msp)
{
	if (msp == NULL)
		return;
	list_destroy(msp->allocator, &msp->roots);
	list_destroy(msp->allocator, &msp->intermediates);
	list_destroy(msp->allocator, &msp->tls_roots);
	list_destroy(msp->allocator, &msp->tls_intermediates);
	for (size_t i = 0; i < msp->crls_count; i++)
		crypto_crl_free(msp->crls[i]);
	for (int role = 0; role < IDENTITY_ROLES_COUNT; role++)
	{
		fb_release(msp->allocator, (void *) msp->node_ou[role].name.data);
		fb_release(msp->allocator, (void *) msp->node_ou[role].certifiers.data);
	}
	for (size_t i = 0; i < msp->ous_count; i++)
	{
		fb_release(msp->allocator, (void *) msp->ous[i].name.data);
		fb_release(msp->allocator, (void *) msp->ous[i].certifiers.data);
	}
	fb_release(msp->allocator, msp->crls);
	fb_release(msp->allocator, msp->ous);
	fb_release(msp->allocator, msp->admins);
	fb_release(msp->allocator, msp->issuers);
	fb_release(msp->allocator, msp->inner);
	fb_release(msp->allocator, msp->root_inner);
	fb_release(msp->allocator, (void *) msp->config.data);
	fb_release(msp->allocator, msp->id);
	fb_release(msp->allocator, msp);
}

/* ---- accessors ---- */

const char *
msp_id(const Msp *msp)
{
	return msp->id;
}

FbBytes
msp_config(const Msp *msp)
{
	return msp->config;
}

FbStatus
msp_check_tls_certificate(const Msp *msp, const CryptoCertificate *certificate, int64_t now,
						  FbError *error)
{
	CryptoTrust trust = {msp->tls_roots.items, msp->tls_roots.count, msp->tls_intermediates.items,
						 msp->tls_intermediates.count};
	CryptoChain chain;
	size_t count;
	FbStatus status = crypto_chain_find(certificate, &trust, now, &chain, &count, error);

	if (status == FB_LIMIT_EXCEEDED)
	{
		if (error != NULL)
			error->status = FB_INVALID_CERTIFICATE;
		return FB_INVALID_CERTIFICATE;
	}
	return status;
}
