/* ca_functions.c: SQL functions of certificate authorities */
#include "server/surface/surface_internal.h"

#include "access/xact.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "server/ca/ca.h"

FABRIC_FUNCTION(fabric_ca_create);
FABRIC_FUNCTION(fabric_ca_certificate);
FABRIC_FUNCTION(fabric_ca_register);
FABRIC_FUNCTION(fabric_ca_enroll);
FABRIC_FUNCTION(fabric_ca_reenroll);
FABRIC_FUNCTION(fabric_ca_revoke);
FABRIC_FUNCTION(fabric_ca_crl);
FABRIC_FUNCTION(fabric_ca_export);
FABRIC_FUNCTION(fabric_ca_import);
FABRIC_FUNCTION(fabric_ca_adopt);
FABRIC_FUNCTION(fabric_ca_drop);

/* an X.509 certificate ends before the year 10000 */
#define VALID_YEARS_MAX 8000

/* the time at which a validity of this interval that begins now ends, in seconds since 1970 */
static int64
argument_valid_until(FunctionCallInfo fcinfo, int index, const char *name)
{
	Interval *interval;
	int64 days;
	Datum end;

	argument_require(fcinfo, index, name);
	interval = PG_GETARG_INTERVAL_P(index);
	days = (int64) interval->month * 30 + interval->day + interval->time / USECS_PER_DAY;
	if (days > VALID_YEARS_MAX * INT64CONST(366) || days < -VALID_YEARS_MAX * INT64CONST(366))
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("argument \"%s\" is out of range", name),
				 errdetail("It must be less than %d years.", VALID_YEARS_MAX)));
	end = DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
							  PG_GETARG_DATUM(index));
	return (int64) timestamptz_to_time_t(DatumGetTimestampTz(end));
}

static char *
optional_text(FunctionCallInfo fcinfo, int index)
{
	return PG_ARGISNULL(index) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(index));
}

static Jsonb *
optional_jsonb(FunctionCallInfo fcinfo, int index)
{
	return PG_ARGISNULL(index) ? NULL : PG_GETARG_JSONB_P(index);
}

/* ca_create(ca, msp_id, subject, valid_for, kind, parent): the certificate */
Datum
fabric_ca_create(PG_FUNCTION_ARGS)
{
	char *ca = argument_text(fcinfo, 0, "ca");
	char *msp_id = argument_text(fcinfo, 1, "msp_id");

	PG_RETURN_TEXT_P(
		memory_text(ca_create(ca, msp_id, optional_jsonb(fcinfo, 2),
							  argument_valid_until(fcinfo, 3, "valid_for"),
							  argument_text(fcinfo, 4, "kind"), optional_text(fcinfo, 5))));
}

Datum
fabric_ca_certificate(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(memory_text(ca_certificate(argument_text(fcinfo, 0, "ca"))));
}

/*
 * ca_register(ca, enrollment_id, role, secret, attributes, max_enrollments, affiliation): the
 * secret
 */
Datum
fabric_ca_register(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	CaRegistration registration;
	char *ca;
	char *secret;

	secret_scope_begin(&scope);
	ca = argument_text(fcinfo, 0, "ca");
	registration.enrollment_id = argument_text(fcinfo, 1, "enrollment_id");
	registration.role = argument_text(fcinfo, 2, "role");
	registration.secret = optional_text(fcinfo, 3);
	registration.attributes = optional_jsonb(fcinfo, 4);
	argument_require(fcinfo, 5, "max_enrollments");
	registration.enrollments_max = PG_GETARG_INT32(5);
	registration.affiliation = argument_text(fcinfo, 6, "affiliation");
	secret = ca_register(ca, &registration);
	secret_scope_end(&scope);
	PG_RETURN_TEXT_P(cstring_to_text(secret));
}

/*
 * Other nodes rely on the certificates of an authority: a certificate that it has forgotten could
 * never be revoked, and a revocation that it has forgotten has no effect. So the functions that
 * issue or revoke are durable, whatever the session's synchronous_commit is (ForceSyncCommit).
 */

/*
 * ca_enroll(ca, enrollment_id, secret, csr, profile, hosts, attributes, valid_for): the certificate
 */
Datum
fabric_ca_enroll(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	CaEnrollment enrollment;
	FbBytes certificate;
	char *ca;

	secret_scope_begin(&scope);
	ca = argument_text(fcinfo, 0, "ca");
	enrollment.enrollment_id = argument_text(fcinfo, 1, "enrollment_id");
	enrollment.secret = argument_text(fcinfo, 2, "secret");
	enrollment.csr = argument_bytes(fcinfo, 3, "csr");
	enrollment.profile = optional_text(fcinfo, 4);
	enrollment.hosts = argument_text_list(fcinfo, 5, "hosts");
	enrollment.attributes = argument_text_list(fcinfo, 6, "attributes");
	enrollment.not_after = argument_valid_until(fcinfo, 7, "valid_for");
	ForceSyncCommit();
	certificate = ca_enroll(ca, &enrollment);
	secret_scope_end(&scope);
	PG_RETURN_TEXT_P(memory_text(certificate));
}

/* ca_reenroll(ca, certificate, csr, signature, valid_for): the certificate */
Datum
fabric_ca_reenroll(PG_FUNCTION_ARGS)
{
	char *ca = argument_text(fcinfo, 0, "ca");
	FbBytes certificate = argument_bytes(fcinfo, 1, "certificate");
	FbBytes csr = argument_bytes(fcinfo, 2, "csr");

	ForceSyncCommit();
	PG_RETURN_TEXT_P(
		memory_text(ca_reenroll(ca, certificate, csr, argument_bytes(fcinfo, 3, "signature"),
								argument_valid_until(fcinfo, 4, "valid_for"))));
}

/* ca_revoke(ca, enrollment_id, serial, reason): the number of revoked certificates */
Datum
fabric_ca_revoke(PG_FUNCTION_ARGS)
{
	char *ca = argument_text(fcinfo, 0, "ca");

	ForceSyncCommit();
	PG_RETURN_INT64(ca_revoke(ca, optional_text(fcinfo, 1), optional_text(fcinfo, 2),
							  argument_text(fcinfo, 3, "reason")));
}

Datum
fabric_ca_crl(PG_FUNCTION_ARGS)
{
	char *ca = argument_text(fcinfo, 0, "ca");

	ForceSyncCommit();
	PG_RETURN_TEXT_P(memory_text(ca_crl(ca, argument_valid_until(fcinfo, 1, "valid_for"))));
}

/* ca_export(ca, passphrase): an OpenPGP message */
Datum
fabric_ca_export(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	char *ca;
	bytea *exported;

	secret_scope_begin(&scope);
	ca = argument_text(fcinfo, 0, "ca");
	exported = ca_export(ca, argument_text(fcinfo, 1, "passphrase"));
	secret_scope_end(&scope);
	PG_RETURN_BYTEA_P(exported);
}

/* ca_import(export, passphrase): the authority's name */
Datum
fabric_ca_import(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	char *ca;

	secret_scope_begin(&scope);
	argument_require(fcinfo, 0, "export");
	ca = ca_import(PG_GETARG_BYTEA_PP(0), argument_text(fcinfo, 1, "passphrase"));
	secret_scope_end(&scope);
	PG_RETURN_TEXT_P(cstring_to_text(ca));
}

/*
 * The other ca_import: ca_import(ca, msp_id, certificate, private_key, kind): the authority's name.
 * It takes an authority that another program made.
 */
Datum
fabric_ca_adopt(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	char *ca;

	secret_scope_begin(&scope);
	ca = argument_text(fcinfo, 0, "ca");
	ca_adopt(ca, argument_text(fcinfo, 1, "msp_id"), argument_bytes(fcinfo, 2, "certificate"),
			 argument_bytes(fcinfo, 3, "private_key"), argument_text(fcinfo, 4, "kind"));
	secret_scope_end(&scope);
	PG_RETURN_TEXT_P(cstring_to_text(ca));
}

Datum
fabric_ca_drop(PG_FUNCTION_ARGS)
{
	ca_drop(argument_text(fcinfo, 0, "ca"));
	PG_RETURN_VOID();
}
