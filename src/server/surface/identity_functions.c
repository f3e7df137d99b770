/* identity_functions.c: SQL functions of the identities that this node holds for applications */
#include "server/surface/surface_internal.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "server/ca/ca.h"

FABRIC_FUNCTION(fabric_add_identity);
FABRIC_FUNCTION(fabric_drop_identity);
FABRIC_FUNCTION(fabric_grant_identity);
FABRIC_FUNCTION(fabric_revoke_identity);
FABRIC_FUNCTION(fabric_open_identity);
FABRIC_FUNCTION(fabric_close_identity);

/* add_identity(label, msp_id, certificate, private_key, passphrase) */
Datum
fabric_add_identity(PG_FUNCTION_ARGS)
{
	SecretScope scope;
	Oid admin = get_role_oid("fabric_admin", false);
	char *label;
	FbBytes key;
	bool encrypted = !PG_ARGISNULL(4);

	secret_scope_begin(&scope);
	label = argument_text(fcinfo, 0, "label");
	if (!encrypted && !has_privs_of_role(GetUserId(), admin))
		ereport(
			ERROR,
			(fb_errcode(FB_ACCESS_DENIED),
			 errmsg("only members of fabric_admin can add an identity without a passphrase"),
			 errhint(
				 "Pass a passphrase: the key is stored encrypted then, and opened with fabric.open_identity.")));
	key = argument_bytes(fcinfo, 3, "private_key");
	keystore_add(label, argument_text(fcinfo, 1, "msp_id"),
				 argument_bytes(fcinfo, 2, "certificate"), key,
				 encrypted ? text_to_cstring(PG_GETARG_TEXT_PP(4)) : NULL);
	/* a role that stores its own encrypted key may use it */
	if (!has_privs_of_role(GetUserId(), admin))
		keystore_grant(label, GetUserId());
	secret_scope_end(&scope);
	PG_RETURN_VOID();
}

Datum
fabric_drop_identity(PG_FUNCTION_ARGS)
{
	keystore_drop(argument_text(fcinfo, 0, "label"));
	PG_RETURN_VOID();
}

Datum
fabric_grant_identity(PG_FUNCTION_ARGS)
{
	char *label = argument_text(fcinfo, 0, "label");

	argument_require(fcinfo, 1, "role");
	keystore_grant(label, get_role_oid(NameStr(*PG_GETARG_NAME(1)), false));
	PG_RETURN_VOID();
}

Datum
fabric_revoke_identity(PG_FUNCTION_ARGS)
{
	char *label = argument_text(fcinfo, 0, "label");

	argument_require(fcinfo, 1, "role");
	keystore_revoke(label, get_role_oid(NameStr(*PG_GETARG_NAME(1)), false));
	PG_RETURN_VOID();
}

Datum
fabric_open_identity(PG_FUNCTION_ARGS)
{
	SecretScope scope;

	secret_scope_begin(&scope);
	keystore_open(argument_text(fcinfo, 0, "label"), argument_text(fcinfo, 1, "passphrase"));
	secret_scope_end(&scope);
	PG_RETURN_VOID();
}

Datum
fabric_close_identity(PG_FUNCTION_ARGS)
{
	keystore_close(argument_text(fcinfo, 0, "label"));
	PG_RETURN_VOID();
}
