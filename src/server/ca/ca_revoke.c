/* ca_revoke.c: revoke certificates and identities, and make revocation lists */
#include "server/ca/ca_internal.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define SERIAL_BYTES_MAX 20 /* RFC 5280 4.1.2.2 */

/* RFC 5280 5.3.1, except removeFromCRL, which is only for delta lists */
static const struct
{
	const char *name;
	int code;
} reasons[] = {{"unspecified", 0},		  {"keyCompromise", 1},		 {"cACompromise", 2},
			   {"affiliationChanged", 3}, {"superseded", 4},		 {"cessationOfOperation", 5},
			   {"certificateHold", 6},	  {"privilegeWithdrawn", 9}, {"aACompromise", 10}};

static int
reason_code(const char *reason)
{
	for (int i = 0; i < lengthof(reasons); i++)
		if (pg_strcasecmp(reasons[i].name, reason) == 0)
			return reasons[i].code;
	ereport(
		ERROR,
		(fb_errcode(FB_INVALID_ARGUMENT),
		 errmsg("unrecognized revocation reason \"%s\"", error_excerpt(reason)),
		 errdetail(
			 "It must be unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold, "
			 "privilegeWithdrawn or aACompromise.")));
}

/* hex as openssl and the views print it, without leading zeros */
static bytea *
parse_serial(const char *hex)
{
	uint8_t bytes[SERIAL_BYTES_MAX + 1];
	size_t size = strlen(hex);
	FbBytes serial;

	if (size == 0 || size % 2 != 0 || size > 2 * sizeof(bytes) || !fb_hex_decode(hex, size, bytes))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("invalid serial number \"%s\"", error_excerpt(hex)),
						errdetail("It must be hexadecimal, two digits for each byte.")));
	serial = fb_bytes(bytes, size / 2);
	while (serial.size > 1 && serial.data[0] == 0)
		serial = fb_bytes(serial.data + 1, serial.size - 1);
	return memory_bytea(serial);
}

/* returns the number of rows that the statement changed */
static uint64
revoke_certificates(SpiStatement *statement, Datum *values)
{
	SpiScope scope;
	uint64 count;

	spi_begin(&scope);
	spi_run(statement, values, NULL, false, 0);
	count = SPI_processed;
	spi_end(&scope);
	return count;
}

static int64
revoke_identity(const char *ca, const char *enrollment_id, int reason)
{
	static SpiStatement mark = {
		"UPDATE fabric_internal.ca_identity SET revoked_at = coalesce(revoked_at, now()) WHERE ca = $1 AND enrollment_id = $2",
		2,
		{TEXTOID, TEXTOID}};
	static SpiStatement certificates = {
		"UPDATE fabric_internal.ca_certificate SET revoked_at = now(), reason = $3 WHERE ca = $1 AND enrollment_id = $2 AND revoked_at IS NULL",
		3,
		{TEXTOID, TEXTOID, INT4OID}};
	Datum values[3] = {CStringGetTextDatum(ca), CStringGetTextDatum(enrollment_id),
					   Int32GetDatum(reason)};

	/* prevents an enrollment of the same identity at the same time */
	ca_lock_identity(ca, enrollment_id);
	if (revoke_certificates(&mark, values) == 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("\"%s\" is not registered at authority \"%s\"",
							   error_excerpt(enrollment_id), ca)));
	return (int64) revoke_certificates(&certificates, values);
}

static int64
revoke_certificate(const char *ca, const char *serial, int reason)
{
	static SpiStatement exists =
		{"SELECT FROM fabric_internal.ca_certificate WHERE ca = $1 AND serial = $2",
		 2,
		 {TEXTOID, BYTEAOID}};
	static SpiStatement certificate = {
		"UPDATE fabric_internal.ca_certificate SET revoked_at = now(), reason = $3 WHERE ca = $1 AND serial = $2 AND revoked_at IS NULL",
		3,
		{TEXTOID, BYTEAOID, INT4OID}};
	Datum values[3] = {CStringGetTextDatum(ca), PointerGetDatum(parse_serial(serial)),
					   Int32GetDatum(reason)};

	if (revoke_certificates(&exists, values) == 0)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("authority \"%s\" has not issued a certificate with serial number %s", ca,
						error_excerpt(serial))));
	return (int64) revoke_certificates(&certificate, values);
}

int64
ca_revoke(const char *ca, const char *enrollment_id, const char *serial, const char *reason)
{
	int code = reason_code(reason);

	(void) ca_find(ca);
	if ((enrollment_id == NULL) == (serial == NULL))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("either an enrollment id or a serial number must be given")));
	return enrollment_id != NULL ? revoke_identity(ca, enrollment_id, code)
								 : revoke_certificate(ca, serial, code);
}

/* ---- lists ---- */

static CryptoRevocation *
read_revocations(const char *ca, size_t *count)
{
	static SpiStatement statement = {
		"SELECT serial, extract(epoch FROM revoked_at)::int8, reason FROM fabric_internal.ca_certificate WHERE ca = $1 AND revoked_at IS NOT NULL "
		"ORDER BY revoked_at, serial",
		1,
		{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(ca)};
	CryptoRevocation *revocations;
	SpiScope scope;
	MemoryContext inner;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	*count = SPI_processed;
	inner = MemoryContextSwitchTo(scope.outer);
	revocations = palloc0(*count * sizeof(CryptoRevocation) + 1);
	for (size_t i = 0; i < *count; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc description = SPI_tuptable->tupdesc;
		bool is_null;

		revocations[i].serial =
			memory_bytes(DatumGetByteaPCopy(SPI_getbinval(row, description, 1, &is_null)));
		revocations[i].at = DatumGetInt64(SPI_getbinval(row, description, 2, &is_null));
		revocations[i].reason = DatumGetInt32(SPI_getbinval(row, description, 3, &is_null));
	}
	MemoryContextSwitchTo(inner);
	spi_end(&scope);
	return revocations;
}

/* lists are numbered, RFC 5280 5.2.3 */
static int64
next_number(const char *ca)
{
	static SpiStatement statement = {
		"UPDATE fabric_internal.ca SET crl_number = crl_number + 1 WHERE ca = $1 RETURNING crl_number",
		1,
		{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(ca)};
	SpiScope scope;
	int64 number;

	spi_begin(&scope);
	spi_run(&statement, values, NULL, false, 0);
	number = ca_column_int64(1);
	spi_end(&scope);
	return number;
}

FbBytes
ca_crl(const char *ca, int64 next_update)
{
	CaAuthority *authority = ca_find(ca);
	int64 number = next_number(ca);
	int64 now = ca_now();
	size_t count;
	CryptoRevocation *revocations = read_revocations(ca, &count);
	FbBytes pem;
	FbError error;

	if (next_update <= now)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"valid_for\" must be positive")));
	error_check(crypto_crl_issue(authority->certificate, ca_key(authority), revocations, count, now,
								 next_update, (uint64) number,
								 memory_allocator(CurrentMemoryContext), &pem, &error),
				&error);
	if (pem.size > FB_CRL_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("the revocation list has more than %d bytes", FB_CRL_BYTES_MAX)));
	return pem;
}
