/*
 * ca_transfer.c: moving authorities: exports for a backup or another node, imports of exports and
 * of authorities created elsewhere, and removal.
 *
 * An export is JSON in an OpenPGP message (RFC 4880), so that gpg can open it without this
 * extension:
 *
 *   {"format": "fabric certificate authority", "version": 1, "private_key": PEM,
 *    "authority": {...}, "identities": [...], "certificates": [...]}
 *
 * The last three are the rows of the tables ca, ca_identity and ca_certificate. An authority that
 * runs on two nodes would issue revocation lists with the same numbers and different content, so
 * the documentation asks to run only one; the code cannot enforce that.
 *
 * A role that may import is trusted with authorities, but an export may be damaged or made by
 * another program. So an import checks what the tables cannot: that the key is the certificate's,
 * and that every certificate was signed by it.
 */
#include "server/ca/ca_internal.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define EXPORT_FORMAT "fabric certificate authority"

/* ---- exporting ---- */

bytea *
ca_export(const char *ca, const char *passphrase)
{
	static SpiStatement statement = {
		"SELECT convert_to(jsonb_build_object('format', '" EXPORT_FORMAT
		"', 'version', 1, 'private_key', $2, "
		"'authority', to_jsonb(c) - 'key_file'::text, "
		"'identities', COALESCE((SELECT jsonb_agg(to_jsonb(i)) FROM fabric_internal.ca_identity i WHERE i.ca = c.ca), '[]'), "
		"'certificates', COALESCE((SELECT jsonb_agg(to_jsonb(t)) FROM fabric_internal.ca_certificate t WHERE t.ca = c.ca), '[]'))::text, 'UTF8') "
		"FROM fabric_internal.ca c WHERE c.ca = $1",
		2,
		{TEXTOID, TEXTOID}};
	CaAuthority *authority = ca_find(ca);
	FbBytes key;
	Datum values[2];
	bytea *document;
	bytea *exported;
	SpiScope scope;
	MemoryContext inner;
	bool is_null;

	secret_check_passphrase(passphrase);
	key = key_file_read(authority->key_file);
	values[0] = CStringGetTextDatum(ca);
	values[1] = PointerGetDatum(memory_text(key));
	spi_begin(&scope);
	/* not read-only: the row may have been written by the same statement */
	spi_run(&statement, values, NULL, false, 1);
	inner = MemoryContextSwitchTo(scope.outer);
	document = DatumGetByteaPCopy(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	MemoryContextSwitchTo(inner);
	spi_end(&scope);
	exported = secret_encrypt(memory_bytes(document), passphrase);
	crypto_wipe(VARDATA(document), VARSIZE(document) - VARHDRSZ);
	crypto_wipe(VARDATA(DatumGetPointer(values[1])),
				VARSIZE(DatumGetPointer(values[1])) - VARHDRSZ);
	crypto_wipe((void *) key.data, key.size);
	/*
	 * the owner of an export can issue certificates in the organization's name, so this is logged
	 */
	ereport(LOG, (errmsg("certificate authority \"%s\" was exported by role \"%s\"", ca,
						 GetUserNameFromId(GetUserId(), false))));
	return exported;
}

/* ---- importing ---- */

#define REFUSE_EXPORT(detail)                                                    \
	ereport(                                                                     \
		ERROR,                                                                   \
		(fb_errcode(FB_INVALID_ARGUMENT),                                        \
		 errmsg("argument is not an export of a certificate authority"), detail, \
		 errhint(                                                                \
			 "Pass what fabric.ca_export returned. For a certificate and its key use ca_import(ca, msp_id, certificate, private_key).")))

/* run a statement that returns one text of the document; NULL: there is none */
static char *
read_member(Datum document, const char *member, const char *inner)
{
	static SpiStatement statement =
		{"SELECT CASE WHEN $3 IS NULL THEN $1 ->> $2 ELSE ($1 -> $2) ->> $3 END",
		 3,
		 {JSONBOID, TEXTOID, TEXTOID}};
	Datum values[3] = {document, CStringGetTextDatum(member),
					   inner == NULL ? (Datum) 0 : CStringGetTextDatum(inner)};
	SpiScope scope;
	char *text;

	spi_begin(&scope);
	spi_run(&statement, values, inner == NULL ? "  n" : NULL, true, 1);
	text = ca_column_text(&scope, 1);
	spi_end(&scope);
	return text;
}

/*
 * An error of a type's input function or a table's constraint quotes the part of the document,
 * which may be the hash of a secret. So only the kind of failure is reported. The transaction fails
 * in any case.
 */
static void
rethrow_without_content(void)
{
	int category = ERRCODE_TO_CATEGORY(geterrcode());

	if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		PG_RE_THROW();
	FlushErrorState();
	REFUSE_EXPORT(errdetail("A part of it is malformed, or does not fit the rest."));
}

static Datum
read_jsonb(FbBytes text)
{
	static SpiStatement statement = {"SELECT $1::jsonb", 1, {TEXTOID}};
	Datum values[1] = {PointerGetDatum(memory_text(text))};
	SpiScope scope;
	MemoryContext inner;
	Datum document;
	bool is_null;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, true, 1);
	inner = MemoryContextSwitchTo(scope.outer);
	document = PointerGetDatum(PG_DETOAST_DATUM_COPY(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null)));
	MemoryContextSwitchTo(inner);
	spi_end(&scope);
	return document;
}

static Datum
parse_document(FbBytes text)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum document = (Datum) 0;

	if (!fb_utf8_valid(text) || memchr(text.data, '\0', text.size) != NULL)
		REFUSE_EXPORT(errdetail("It is not a text."));
	PG_TRY();
	{
		document = read_jsonb(text);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		rethrow_without_content();
	}
	PG_END_TRY();
	return document;
}

/*
 * Insert the rows of the document. Its members are read by name; a missing member becomes null and
 * is subject to the table's constraints. The parent is set only if it is in this database and did
 * sign.
 */
static void
transfer_insert_rows(Datum document, const char *ca)
{
	static SpiStatement authority = {
		"INSERT INTO fabric_internal.ca (ca, msp_id, kind, country, province, locality, organization, certificate, crl_number, created_at) "
		"SELECT $2, r.msp_id, r.kind, r.country, r.province, r.locality, r.organization, r.certificate, r.crl_number, r.created_at "
		"FROM jsonb_populate_record(NULL::fabric_internal.ca, $1 -> 'authority') r ON CONFLICT DO NOTHING",
		2,
		{JSONBOID, TEXTOID}};
	static SpiStatement identities = {
		"INSERT INTO fabric_internal.ca_identity (ca, enrollment_id, role, affiliation, secret_hash, attributes, max_enrollments, enrollments, revoked_at, registered_at) "
		"SELECT $2, r.enrollment_id, r.role, r.affiliation, r.secret_hash, r.attributes, r.max_enrollments, r.enrollments, r.revoked_at, r.registered_at "
		"FROM jsonb_populate_recordset(NULL::fabric_internal.ca_identity, $1 -> 'identities') r",
		2,
		{JSONBOID, TEXTOID}};
	static SpiStatement certificates = {
		"INSERT INTO fabric_internal.ca_certificate (ca, serial, enrollment_id, profile, certificate, not_before, not_after, revoked_at, reason) "
		"SELECT $2, r.serial, r.enrollment_id, r.profile, r.certificate, r.not_before, r.not_after, r.revoked_at, r.reason "
		"FROM jsonb_populate_recordset(NULL::fabric_internal.ca_certificate, $1 -> 'certificates') r",
		2,
		{JSONBOID, TEXTOID}};
	Datum values[2] = {document, CStringGetTextDatum(ca)};
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&authority, values, NULL, false, 0);
	if (SPI_processed == 0)
		ca_fail_exists(ca);
	spi_run(&identities, values, NULL, false, 0);
	spi_run(&certificates, values, NULL, false, 0);
	spi_end(&scope);
}

/* Is the key the authority's, and can the authority sign certificates? */
static void
check_authority(const CaAuthority *authority, const CryptoPrivateKey *key)
{
	const CryptoPublicKey *public_key = crypto_certificate_public_key(authority->certificate);
	FbError error;

	if (!crypto_certificate_is_ca(authority->certificate))
		ereport(ERROR, (fb_errcode(FB_INVALID_CERTIFICATE),
						errmsg("the certificate is not that of a certificate authority"),
						errdetail("Its basic constraints do not say CA:TRUE.")));
	error_check(crypto_certificate_check_may_sign(authority->certificate, &error), &error);
	if (public_key == NULL || !crypto_private_key_matches(key, public_key))
		ereport(ERROR, (fb_errcode(FB_INVALID_KEY),
						errmsg("the private key does not belong to the certificate")));
}

static void
check_certificate(const CaAuthority *authority, FbBytes serial, FbBytes pem)
{
	CryptoCertificate *certificate = ca_parse_certificate(pem);
	FbError error;

	if (!fb_bytes_equal(crypto_certificate_serial(certificate), serial))
		REFUSE_EXPORT(errdetail("A certificate has another serial number than its row says."));
	if (!fb_bytes_equal(crypto_certificate_issuer_der(certificate),
						crypto_certificate_subject_der(authority->certificate)) ||
		crypto_certificate_check_signature(certificate, authority->certificate, &error) != FB_OK)
		REFUSE_EXPORT(errdetail("It has a certificate that this authority did not issue."));
}

/*
 * Every certificate must be signed by the authority: it could be added to revocation lists, and
 * could be renewed.
 */
static void
check_certificates(const CaAuthority *authority)
{
	static SpiStatement statement =
		{"SELECT serial, certificate FROM fabric_internal.ca_certificate WHERE ca = $1",
		 1,
		 {TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(authority->ca)};
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "fabric imported certificate",
											  ALLOCSET_DEFAULT_SIZES);
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		MemoryContext inner = MemoryContextSwitchTo(one);
		bool is_null;
		Datum serial = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null);

		CHECK_FOR_INTERRUPTS();
		check_certificate(authority, memory_bytes(DatumGetByteaPP(serial)),
						  fb_bytes_of_text(SPI_getvalue(row, SPI_tuptable->tupdesc, 2)));
		MemoryContextSwitchTo(inner);
		MemoryContextReset(one);
	}
	spi_end(&scope);
	MemoryContextDelete(one);
}

/*
 * Find the authority in this database that signed this one, if there is one, and make this one the
 * parent of those in this database that it signed.
 */
static void
link_parents(const CaAuthority *authority)
{
	static SpiStatement others =
		{"SELECT ca FROM fabric_internal.ca WHERE ca <> $1 AND msp_id = $2 AND parent IS NULL",
		 2,
		 {TEXTOID, TEXTOID}};
	static SpiStatement link = {"UPDATE fabric_internal.ca SET parent = $2 WHERE ca = $1",
								2,
								{TEXTOID, TEXTOID}};
	Datum values[2] = {CStringGetTextDatum(authority->ca), CStringGetTextDatum(authority->msp_id)};
	List *names = NIL;
	ListCell *cell;
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&others, values, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		names = lappend(names, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	foreach(cell, names)
	{
		const CaAuthority *other = ca_find(lfirst(cell));
		const CaAuthority *child = authority->is_root ? other : authority;
		const CaAuthority *parent = authority->is_root ? authority : other;
		FbError error;

		if (child->is_root || !parent->is_root ||
			crypto_certificate_check_signature(child->certificate, parent->certificate, &error) !=
				FB_OK)
			continue;
		values[0] = CStringGetTextDatum(child->ca);
		values[1] = CStringGetTextDatum(parent->ca);
		spi_begin(&scope);
		spi_run(&link, values, NULL, false, 0);
		spi_end(&scope);
	}
}

char *
ca_import(bytea *exported, const char *passphrase)
{
	FbBytes text = secret_decrypt(exported, passphrase, "the export");
	Datum document = parse_document(text);
	char *format = read_member(document, "format", NULL);
	char *version = read_member(document, "version", NULL);
	char *ca = read_member(document, "authority", "ca");
	char *msp_id = read_member(document, "authority", "msp_id");
	char *kind = read_member(document, "authority", "kind");
	char *pem = read_member(document, "private_key", NULL);
	MemoryContext context = CurrentMemoryContext;
	CryptoPrivateKey *key;
	CaAuthority *authority;

	crypto_wipe((void *) text.data, text.size);
	if (format == NULL || strcmp(format, EXPORT_FORMAT) != 0 || version == NULL || ca == NULL ||
		msp_id == NULL || kind == NULL || pem == NULL)
		REFUSE_EXPORT(errdetail("Its members are not those of an export."));
	if (strcmp(version, "1") != 0)
		REFUSE_EXPORT(errdetail("It is of version %s, which this version of fabric cannot read.",
								error_excerpt(version)));
	ca_check_names(ca, msp_id, kind);
	key = ca_parse_key(fb_bytes_of_text(pem), true);
	PG_TRY();
	{
		transfer_insert_rows(document, ca);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		rethrow_without_content();
	}
	PG_END_TRY();
	authority = ca_find(ca);
	check_authority(authority, key);
	check_certificates(authority);
	link_parents(authority);
	ca_store_key(ca, key);
	return ca;
}

/* ---- authorities created elsewhere ---- */

/*
 * Lists that the authority issued elsewhere had their own numbers, which must increase (RFC 5280
 * 5.2.3). The time in seconds is above any counter so far.
 */
static void
insert_adopted(const char *ca, const char *msp_id, const char *kind, FbBytes pem,
			   const CryptoName *name)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.ca (ca, msp_id, kind, certificate, country, province, locality, organization, crl_number) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
		9,
		{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}};
	const FbBytes parts[4] = {name->country, name->province, name->locality, name->organization};
	Datum values[9] = {CStringGetTextDatum(ca), CStringGetTextDatum(msp_id),
					   CStringGetTextDatum(kind), PointerGetDatum(memory_text(pem))};
	char nulls[10] = "         ";
	SpiScope scope;
	bool inserted;

	for (int i = 0; i < lengthof(parts); i++)
	{
		values[4 + i] = parts[i].size == 0 ? (Datum) 0 : PointerGetDatum(memory_text(parts[i]));
		nulls[4 + i] = parts[i].size == 0 ? 'n' : ' ';
	}
	values[8] = Int64GetDatum(ca_now());
	spi_begin(&scope);
	spi_run(&insert, values, nulls, false, 0);
	inserted = SPI_processed > 0;
	spi_end(&scope);
	if (!inserted)
		ca_fail_exists(ca);
}

void
ca_adopt(const char *ca, const char *msp_id, FbBytes certificate_bytes, FbBytes private_key,
		 const char *kind)
{
	CryptoCertificate *certificate;
	CryptoPrivateKey *key;
	CryptoName name;
	CaAuthority *authority;
	FbBytes pem;
	FbError error;

	ca_check_names(ca, msp_id, kind);
	certificate = ca_parse_certificate(certificate_bytes);
	key = ca_parse_key(private_key, false);
	error_check(crypto_certificate_name(certificate, memory_allocator(CurrentMemoryContext), &name,
										&error),
				&error);
	/* keep one certificate only, without any other content of the text */
	error_check(crypto_certificate_pem(certificate, memory_allocator(CurrentMemoryContext), &pem,
									   &error),
				&error);
	insert_adopted(ca, msp_id, kind, pem, &name);
	authority = ca_find(ca);
	check_authority(authority, key);
	link_parents(authority);
	ca_store_key(ca, key);
}

/* ---- removal ---- */

void
ca_drop(const char *ca)
{
	static SpiStatement children = {
		"SELECT string_agg(quote_ident(ca), ', ' ORDER BY ca) FROM fabric_internal.ca WHERE parent = $1",
		1,
		{TEXTOID}};
	static SpiStatement certificates = {"DELETE FROM fabric_internal.ca_certificate WHERE ca = $1",
										1,
										{TEXTOID}};
	static SpiStatement identities = {"DELETE FROM fabric_internal.ca_identity WHERE ca = $1",
									  1,
									  {TEXTOID}};
	static SpiStatement authorities = {"DELETE FROM fabric_internal.ca WHERE ca = $1",
									   1,
									   {TEXTOID}};
	CaAuthority *authority = ca_find(ca);
	Datum values[1] = {CStringGetTextDatum(ca)};
	char *names;
	SpiScope scope;

	spi_begin(&scope);
	spi_run(&children, values, NULL, false, 1);
	names = ca_column_text(&scope, 1);
	if (names != NULL)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("authority \"%s\" is the parent of others", ca),
						errdetail("Drop them first: %s.", names)));
	spi_run(&certificates, values, NULL, false, 0);
	spi_run(&identities, values, NULL, false, 0);
	spi_run(&authorities, values, NULL, false, 0);
	spi_end(&scope);
	key_file_remove_at_commit(authority->key_file);
}
