/*
 * ca.c: create and look up authorities, and issue certificates with them.
 *
 * These rules are Fabric CA's: a certificate becomes valid some minutes before it is issued,
 * because clocks differ, and never outlives its issuer. Fabric checks a chain one second after the
 * certificate became valid, so a certificate must not become valid before its issuer either.
 */
#include "server/ca/ca_internal.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define NAME_BYTES_MAX 63 /* of an authority: like database identifiers */
#define BACKDATE_S 300	  /* cfssl, which Fabric CA uses: signer.ParseCertificateRequest */

int64
ca_now(void)
{
	return (int64) timestamptz_to_time_t(GetCurrentTimestamp());
}

/* ---- rows ---- */

char *
ca_column_text(SpiScope *scope, int column)
{
	char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(scope->outer, value);
}

int64
ca_column_int64(int column)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null);

	return is_null ? 0 : DatumGetInt64(value);
}

bool
ca_column_is_null(int column)
{
	bool is_null;

	(void) SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null);
	return is_null;
}

static void
ca_free_certificate(void *certificate)
{
	crypto_certificate_free(certificate);
}

static void
free_private_key(void *key)
{
	crypto_private_key_free(key);
}

static void
free_public_key(void *key)
{
	crypto_public_key_free(key);
}

CryptoCertificate *
ca_parse_certificate(FbBytes bytes)
{
	CryptoCertificate *certificate;
	FbError error;

	error_check(crypto_certificate_parse(bytes, &certificate, &error), &error);
	memory_on_reset(CurrentMemoryContext, ca_free_certificate, certificate);
	return certificate;
}

static FbBytes
bytes_of(const char *text)
{
	return text == NULL ? FB_BYTES_EMPTY : fb_bytes_of_text(text);
}

CaAuthority *
ca_find(const char *ca)
{
	static SpiStatement statement = {
		"SELECT ca, msp_id, kind, country, province, locality, organization, key_file, certificate FROM fabric_internal.ca WHERE ca = $1",
		1,
		{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(ca)};
	CaAuthority *authority = palloc0(sizeof(CaAuthority));
	SpiScope scope;
	bool found;

	spi_begin(&scope);
	/* not read-only: the row may have been written by the same statement */
	spi_run(&statement, values, NULL, false, 1);
	found = SPI_processed > 0;
	if (found)
	{
		authority->ca = ca_column_text(&scope, 1);
		authority->msp_id = ca_column_text(&scope, 2);
		authority->tls_only = strcmp(ca_column_text(&scope, 3), "tls") == 0;
		authority->country = bytes_of(ca_column_text(&scope, 4));
		authority->province = bytes_of(ca_column_text(&scope, 5));
		authority->locality = bytes_of(ca_column_text(&scope, 6));
		authority->organization = bytes_of(ca_column_text(&scope, 7));
		authority->key_file = ca_column_text(&scope, 8);
		authority->certificate_pem = bytes_of(ca_column_text(&scope, 9));
	}
	spi_end(&scope);
	if (!found)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("certificate authority \"%s\" does not exist", error_excerpt(ca))));
	authority->certificate = ca_parse_certificate(authority->certificate_pem);
	/*
	 * The column parent does not show whether it is a root: the parent of an imported authority may
	 * be in another database.
	 */
	authority->is_root = fb_bytes_equal(crypto_certificate_subject_der(authority->certificate),
										crypto_certificate_issuer_der(authority->certificate));
	return authority;
}

CryptoPrivateKey *
ca_parse_key(FbBytes pem, bool wipe)
{
	CryptoPrivateKey *key;
	FbError error;
	FbStatus status = crypto_private_key_parse(pem, &key, &error);

	if (wipe)
		crypto_wipe((void *) pem.data, pem.size);
	error_check(status, &error);
	memory_on_reset(CurrentMemoryContext, free_private_key, key);
	return key;
}

CryptoPrivateKey *
ca_key(const CaAuthority *authority)
{
	return ca_parse_key(key_file_read(authority->key_file), true);
}

FbBytes
ca_certificate(const char *ca)
{
	return ca_find(ca)->certificate_pem;
}

/* ---- issuing ---- */

static void
note_certificate(const CaAuthority *authority, const CryptoCertificate *certificate, FbBytes pem,
				 const char *enrollment_id, const char *profile)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.ca_certificate (ca, serial, enrollment_id, profile, certificate, not_before, not_after) "
		"VALUES ($1, $2, $3, $4, $5, to_timestamp($6), to_timestamp($7))",
		7,
		{TEXTOID, BYTEAOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID}};
	Datum values[7] = {CStringGetTextDatum(authority->ca),
					   PointerGetDatum(memory_bytea(crypto_certificate_serial(certificate))),
					   enrollment_id == NULL ? (Datum) 0 : CStringGetTextDatum(enrollment_id),
					   CStringGetTextDatum(profile),
					   PointerGetDatum(memory_text(pem)),
					   Int64GetDatum(crypto_certificate_not_before(certificate)),
					   Int64GetDatum(crypto_certificate_not_after(certificate))};
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&insert, values, enrollment_id == NULL ? "  n    " : NULL, false, 0);
	spi_end(&scope);
}

FbBytes
ca_issue(const CaAuthority *authority, CryptoTemplate *template, const CryptoPublicKey *key,
		 const char *enrollment_id, const char *profile)
{
	int64 now = ca_now();
	int64 ca_not_after = crypto_certificate_not_after(authority->certificate);
	FbError error;
	FbBytes pem;

	if (ca_not_after <= now)
		ereport(ERROR, (fb_errcode(FB_CERTIFICATE_EXPIRED),
						errmsg("the certificate of authority \"%s\" has expired", authority->ca)));
	if (template->not_after <= now)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"valid_for\" must be positive")));
	template->not_before =
		Max(now - BACKDATE_S, crypto_certificate_not_before(authority->certificate));
	template->not_after = Min(template->not_after, ca_not_after);
	error_check(crypto_certificate_issue(template, key, authority->certificate, ca_key(authority),
										 memory_allocator(CurrentMemoryContext), &pem, &error),
				&error);
	note_certificate(authority, ca_parse_certificate(pem), pem, enrollment_id, profile);
	return pem;
}

/* ---- creating an authority ---- */

/* one member of the subject; OpenSSL limits its length */
static char *
subject_member(Jsonb *subject, const char *name)
{
	JsonbValue *value =
		getKeyJsonValueFromContainer(&subject->root, name, (int) strlen(name), NULL);

	if (value == NULL)
		return NULL;
	if (value->type != jbvString || value->val.string.len == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid subject of a certificate"),
						errdetail("Member \"%s\" must be a text that is not empty.", name)));
	return memory_cstring(fb_bytes(value->val.string.val, value->val.string.len));
}

typedef struct Subject
{
	char *country;
	char *province;
	char *locality;
	char *organization;
	char *ou;
	char *common_name;
} Subject;

static Subject
read_subject(Jsonb *json, const char *ca, const char *msp_id)
{
	static const char *const names[] = {"C", "ST", "L", "O", "OU", "CN"};
	Subject subject = {.organization = pstrdup(msp_id), .common_name = pstrdup(ca)};
	uint32 known = 0;

	if (json == NULL)
		return subject;
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"subject\" must be a JSON object")));
	for (int i = 0; i < lengthof(names); i++)
		known += getKeyJsonValueFromContainer(&json->root, names[i], (int) strlen(names[i]),
											  NULL) != NULL;
	if (known != JB_ROOT_COUNT(json))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid subject of a certificate"),
						errdetail("Its members are C, ST, L, O, OU and CN.")));
	subject.country = subject_member(json, "C");
	subject.province = subject_member(json, "ST");
	subject.locality = subject_member(json, "L");
	subject.ou = subject_member(json, "OU");
	if (subject_member(json, "O") != NULL)
		subject.organization = subject_member(json, "O");
	if (subject_member(json, "CN") != NULL)
		subject.common_name = subject_member(json, "CN");
	return subject;
}

static void
insert_authority(const char *ca, const char *msp_id, const Subject *subject, const char *kind,
				 const char *parent, FbBytes certificate)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.ca (ca, msp_id, kind, parent, country, province, locality, organization, certificate) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
		9,
		{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	const char *texts[8] = {ca,
							msp_id,
							kind,
							parent,
							subject->country,
							subject->province,
							subject->locality,
							subject->organization};
	Datum values[9];
	char nulls[10] = "         ";
	SpiScope scope;
	bool inserted;

	for (int i = 0; i < lengthof(texts); i++)
	{
		values[i] = texts[i] == NULL ? (Datum) 0 : CStringGetTextDatum(texts[i]);
		nulls[i] = texts[i] == NULL ? 'n' : ' ';
	}
	values[8] = PointerGetDatum(memory_text(certificate));
	spi_begin(&scope);
	spi_run(&insert, values, nulls, false, 0);
	inserted = SPI_processed > 0;
	spi_end(&scope);
	if (!inserted)
		ca_fail_exists(ca);
}

void
ca_fail_exists(const char *ca)
{
	ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
					errmsg("certificate authority \"%s\" already exists", ca)));
}

void
ca_store_key(const char *ca, const CryptoPrivateKey *key)
{
	static SpiStatement update = {"UPDATE fabric_internal.ca SET key_file = $2 WHERE ca = $1",
								  2,
								  {TEXTOID, TEXTOID}};
	Datum values[2] = {CStringGetTextDatum(ca)};
	SpiScope scope;
	FbError error;
	FbBytes pem;

	error_check(crypto_private_key_pem(key, memory_allocator(CurrentMemoryContext), &pem, &error),
				&error);
	values[1] = CStringGetTextDatum(key_file_write("ca", ca, pem));
	crypto_wipe((void *) pem.data, pem.size);
	spi_begin(&scope);
	spi_run(&update, values, NULL, false, 0);
	spi_end(&scope);
}

void
ca_check_names(const char *ca, const char *msp_id, const char *kind)
{
	if (ca[0] == '\0' || strlen(ca) > NAME_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the name of a certificate authority must have 1 to 63 bytes")));
	if (msp_id[0] == '\0' || strlen(msp_id) > FB_MSP_ID_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("an MSP id must have 1 to %d bytes", FB_MSP_ID_BYTES_MAX)));
	if (strcmp(kind, "signing") != 0 && strcmp(kind, "tls") != 0)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("unrecognized kind \"%s\" of a certificate authority", error_excerpt(kind)),
				 errdetail("It must be signing or tls.")));
}

static void
check_parent(const char *msp_id, const char *kind, const CaAuthority *parent)
{
	if (parent == NULL)
		return;
	if (!parent->is_root)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("authority \"%s\" is itself an intermediate one", parent->ca),
						errdetail("The parent must be a root.")));
	if (parent->tls_only != (strcmp(kind, "tls") == 0) || strcmp(parent->msp_id, msp_id) != 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("authority \"%s\" is not of the same kind and MSP", parent->ca)));
}

FbBytes
ca_create(const char *ca, const char *msp_id, Jsonb *subject_json, int64 not_after,
		  const char *kind, const char *parent)
{
	CaAuthority *issuer = parent == NULL ? NULL : ca_find(parent);
	CryptoTemplate template = {.is_ca = true,
							   .not_after = not_after,
							   .path_length = issuer == NULL ? -1 : 0};
	Subject subject;
	FbBytes ou;
	CryptoPrivateKey *key;
	CryptoPublicKey *public_key;
	FbBytes pem;
	FbError error;

	ca_check_names(ca, msp_id, kind);
	check_parent(msp_id, kind, issuer);
	subject = read_subject(subject_json, ca, msp_id);
	ou = bytes_of(subject.ou);
	template.subject = (CryptoName) {bytes_of(subject.country),
									 bytes_of(subject.province),
									 bytes_of(subject.locality),
									 bytes_of(subject.organization),
									 &ou,
									 ou.size > 0 ? 1 : 0,
									 bytes_of(subject.common_name)};

	error_check(crypto_private_key_generate(CRYPTO_P256, &key, &error), &error);
	memory_on_reset(CurrentMemoryContext, free_private_key, key);
	error_check(crypto_private_key_public(key, &public_key, &error), &error);
	memory_on_reset(CurrentMemoryContext, free_public_key, public_key);

	if (issuer != NULL)
		pem = ca_issue(issuer, &template, public_key, NULL, "ca");
	else
	{
		template.not_before = ca_now() - BACKDATE_S;
		if (not_after <= ca_now())
			ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
							errmsg("argument \"valid_for\" must be positive")));
		error_check(crypto_certificate_issue(&template, public_key, NULL, key,
											 memory_allocator(CurrentMemoryContext), &pem, &error),
					&error);
	}
	insert_authority(ca, msp_id, &subject, kind, parent, pem);
	ca_store_key(ca, key);
	return pem;
}
