/*
 * ca_enroll.c: issue certificates to registered identities, with the content that Fabric CA gives
 * them: common name = enrollment id, OUs = role and affiliation, attributes in an extension. Only
 * the key of the request is used, and for TLS its alternative names.
 */
#include "server/ca/ca_internal.h"

#include "utils/builtins.h"

static void
free_csr(void *csr)
{
	crypto_csr_free(csr);
}

static CryptoCsr *
parse_csr(FbBytes bytes)
{
	CryptoCsr *csr;
	FbError error;

	error_check(crypto_csr_parse(bytes, &csr, &error), &error);
	memory_on_reset(CurrentMemoryContext, free_csr, csr);
	return csr;
}

/* ---- attributes ---- */

static bool
attribute_is_wanted(List *wanted, const char *name)
{
	ListCell *cell;

	foreach(cell, wanted)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/*
 * The attributes that Fabric CA adds automatically, then the registered ones. wanted NIL: all but
 * those that are issued only on request.
 */
static FbBytes
make_attributes(const CaIdentity *identity, List *wanted)
{
	int all_count = identity->attributes_count + 3;
	CaAttribute *all = palloc0(all_count * sizeof(CaAttribute));
	CertificateAttribute *chosen = palloc(all_count * sizeof(CertificateAttribute));
	size_t chosen_count = 0;
	ListCell *cell;
	FbBytes json;
	FbError error;

	all[0] = (CaAttribute) {"hf.EnrollmentID", identity->enrollment_id, true};
	all[1] = (CaAttribute) {"hf.Type", identity->role, true};
	all[2] = (CaAttribute) {"hf.Affiliation", identity->affiliation, true};
	if (identity->attributes_count > 0)
		memcpy(all + 3, identity->attributes, identity->attributes_count * sizeof(CaAttribute));
	for (int i = 0; i < all_count; i++)
	{
		if (wanted == NIL ? !all[i].for_all : !attribute_is_wanted(wanted, all[i].name))
			continue;
		chosen[chosen_count].name = fb_bytes_of_text(all[i].name);
		chosen[chosen_count++].value = fb_bytes_of_text(all[i].value);
	}
	foreach(cell, wanted)
	{
		bool found = false;

		for (int i = 0; i < all_count && !found; i++)
			found = strcmp(all[i].name, lfirst(cell)) == 0;
		if (!found)
			ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
							errmsg("identity \"%s\" has no attribute \"%s\"",
								   identity->enrollment_id, error_excerpt((char *) lfirst(cell)))));
	}
	error_check(attributes_make(chosen, chosen_count, memory_allocator(CurrentMemoryContext), &json,
								&error),
				&error);
	return json;
}

/* ---- names ---- */

typedef struct Request
{
	const char *profile;
	FbBytes csr;
	List *hosts;
	const CryptoCertificate *previous; /* of a re-enrollment; otherwise NULL */
	List *attributes;
	int64 not_after;
} Request;

static bool
may_be_server(const CaIdentity *identity)
{
	return strcmp(identity->role, "peer") == 0 || strcmp(identity->role, "orderer") == 0;
}

/*
 * Choose the alternative names: only for roles that run servers, because a client that could choose
 * them could impersonate a server. A re-enrollment whose request has none keeps those of the
 * certificate: without them the node would become unreachable.
 */
static void
choose_hosts(CryptoTemplate *template, const CaIdentity *identity, const CryptoCsr *csr,
			 const Request *request)
{
	size_t count = request->hosts != NIL ? (size_t) list_length(request->hosts)
										 : crypto_csr_dns_names_count(csr);
	FbBytes *names;
	FbError error;

	if (!may_be_server(identity))
	{
		if (request->hosts != NIL)
			ereport(ERROR,
					(fb_errcode(FB_INVALID_ARGUMENT),
					 errmsg("only peers and orderers can have hosts in their certificates")));
		return;
	}
	if (count == 0 && request->previous != NULL)
		error_check(crypto_certificate_hosts(request->previous,
											 memory_allocator(CurrentMemoryContext), &names, &count,
											 &error),
					&error);
	else
	{
		names = palloc(count * sizeof(FbBytes) + 1);
		for (size_t i = 0; i < count; i++)
			names[i] = request->hosts != NIL ? fb_bytes_of_text(list_nth(request->hosts, (int) i))
											 : crypto_csr_dns_name(csr, i);
	}
	if (count > FB_CA_HOSTS_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("a certificate has more than %d hosts", FB_CA_HOSTS_MAX)));
	template->dns_names = names;
	template->dns_names_count = count;
}

static FbBytes *
make_ous(const CaIdentity *identity, size_t *count)
{
	List *parts =
		identity->affiliation[0] == '\0' ? NIL : ca_affiliation_parts(identity->affiliation);
	FbBytes *ous = palloc((1 + list_length(parts)) * sizeof(FbBytes));
	ListCell *cell;

	*count = 0;
	ous[(*count)++] = fb_bytes_of_text(identity->role);
	foreach(cell, parts)
		ous[(*count)++] = fb_bytes_of_text(lfirst(cell));
	return ous;
}

/* ---- issuing ---- */

static FbBytes
enroll_issue(const CaAuthority *authority, const CaIdentity *identity, const Request *request)
{
	CryptoCsr *csr = parse_csr(request->csr);
	CryptoTemplate template = {.path_length = -1, .not_after = request->not_after};
	size_t ous_count;
	FbBytes *ous = make_ous(identity, &ous_count);

	template.subject = (CryptoName) {authority->country,
									 authority->province,
									 authority->locality,
									 authority->organization,
									 ous,
									 ous_count,
									 fb_bytes_of_text(identity->enrollment_id)};
	template.is_tls = strcmp(request->profile, "tls") == 0;
	if (template.is_tls)
		choose_hosts(&template, identity, csr, request);
	else if (request->hosts != NIL)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("only certificates of profile tls can have hosts")));
	template.attributes_json = make_attributes(identity, request->attributes);
	return ca_issue(authority, &template, crypto_csr_public_key(csr), identity->enrollment_id,
					request->profile);
}

static const char *
choose_profile(const CaAuthority *authority, const char *profile)
{
	if (profile == NULL)
		return authority->tls_only ? "tls" : "signing";
	if (strcmp(profile, "signing") != 0 && strcmp(profile, "tls") != 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("unrecognized profile \"%s\"", error_excerpt(profile)),
						errdetail("It must be signing or tls.")));
	if (authority->tls_only && strcmp(profile, "tls") != 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("authority \"%s\" issues TLS certificates only", authority->ca)));
	return profile;
}

FbBytes
ca_enroll(const char *ca, const CaEnrollment *enrollment)
{
	CaAuthority *authority = ca_find(ca);
	CaIdentity *identity = ca_authenticate(ca, enrollment->enrollment_id, enrollment->secret);
	Request request = {choose_profile(authority, enrollment->profile),
					   enrollment->csr,
					   enrollment->hosts,
					   NULL,
					   enrollment->attributes,
					   enrollment->not_after};

	return enroll_issue(authority, identity, &request);
}

/* ---- re-enrollment ---- */

/*
 * Find the row of a certificate that this authority issued, by all its bytes; returns its id and
 * profile.
 */
static void
find_issued_certificate(const CaAuthority *authority, const CryptoCertificate *certificate,
						char **enrollment_id, char **profile)
{
	static SpiStatement statement = {
		"SELECT enrollment_id, profile, revoked_at, certificate FROM fabric_internal.ca_certificate "
		"WHERE ca = $1 AND serial = $2 AND enrollment_id IS NOT NULL FOR UPDATE",
		2,
		{TEXTOID, BYTEAOID}};
	Datum values[2] = {CStringGetTextDatum(authority->ca),
					   PointerGetDatum(memory_bytea(crypto_certificate_serial(certificate)))};
	CryptoCertificate *kept;
	char *pem = NULL;
	bool revoked = false;
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 1);
	if (SPI_processed > 0)
	{
		*enrollment_id = ca_column_text(&scope, 1);
		*profile = ca_column_text(&scope, 2);
		revoked = !ca_column_is_null(3);
		pem = ca_column_text(&scope, 4);
	}
	spi_end(&scope);
	if (pem == NULL)
		ereport(ERROR, (fb_errcode(FB_ACCESS_DENIED),
						errmsg("the certificate is not of authority \"%s\"", authority->ca)));
	kept = ca_parse_certificate(fb_bytes_of_text(pem));
	if (!fb_bytes_equal(crypto_certificate_der(kept), crypto_certificate_der(certificate)))
		ereport(ERROR, (fb_errcode(FB_ACCESS_DENIED),
						errmsg("the certificate is not of authority \"%s\"", authority->ca)));
	if (revoked)
		ereport(ERROR, (fb_errcode(FB_CERTIFICATE_REVOKED), errmsg("the certificate is revoked")));
	if (crypto_certificate_not_after(certificate) <= ca_now())
		ereport(ERROR, (fb_errcode(FB_CERTIFICATE_EXPIRED), errmsg("the certificate has expired"),
						errdetail("Enroll with the secret instead.")));
}

FbBytes
ca_reenroll(const char *ca, FbBytes certificate_bytes, FbBytes csr, FbBytes signature,
			int64 not_after)
{
	CaAuthority *authority = ca_find(ca);
	CryptoCertificate *certificate;
	const CryptoPublicKey *key;
	char *enrollment_id;
	char *profile;
	FbBytes low_s;
	FbError error;

	certificate = ca_parse_certificate(certificate_bytes);
	find_issued_certificate(authority, certificate, &enrollment_id, &profile);
	key = crypto_certificate_public_key(certificate);
	/* accept a signature by any tool: OpenSSL makes high-S signatures half of the time */
	error_check(crypto_signature_to_low_s(crypto_public_key_curve(key), signature,
										  memory_allocator(CurrentMemoryContext), &low_s, &error),
				&error);
	error_check(crypto_verify(key, csr, low_s, &error), &error);
	ca_lock_identity(ca, enrollment_id);
	return enroll_issue(authority, ca_identity(ca, enrollment_id),
						&(Request) {profile, csr, NIL, certificate, NIL, not_after});
}
