-- identity: identities that this node holds for applications

CREATE FUNCTION fabric.add_identity(label text, msp_id text, certificate text, private_key text,
	passphrase text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_add_identity';
COMMENT ON FUNCTION fabric.add_identity IS 'store a client identity (PEM): its key in a file, or encrypted under a passphrase';

CREATE FUNCTION fabric.drop_identity(label text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_drop_identity';
COMMENT ON FUNCTION fabric.drop_identity IS 'remove an identity and its key from this node';

CREATE FUNCTION fabric.grant_identity(label text, role name) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_grant_identity';
COMMENT ON FUNCTION fabric.grant_identity IS 'let a database role sign with an identity';

CREATE FUNCTION fabric.revoke_identity(label text, role name) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_revoke_identity';
COMMENT ON FUNCTION fabric.revoke_identity IS 'withdraw from a database role the right to sign with an identity';

CREATE FUNCTION fabric.open_identity(label text, passphrase text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_open_identity';
COMMENT ON FUNCTION fabric.open_identity IS 'decrypt an identity''s key for the current role, until the end of the transaction; with fabric.session_identity, of the session';

CREATE FUNCTION fabric.close_identity(label text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_close_identity';
COMMENT ON FUNCTION fabric.close_identity IS 'wipe an opened identity''s key from the memory of this session';

CREATE VIEW fabric.identities AS
	SELECT i.label, i.msp_id, i.certificate, i.encrypted_key IS NOT NULL AS encrypted,
		ARRAY(SELECT r.rolname FROM fabric_internal.identity_grant g
			JOIN pg_catalog.pg_roles r ON r.oid = g.role
			WHERE g.label = i.label ORDER BY r.rolname) AS roles, i.created_at
	FROM fabric_internal.identity i;
COMMENT ON VIEW fabric.identities IS 'identities that this node keeps for applications, and the roles that may use them';
