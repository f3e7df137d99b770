-- ca: certificate authorities; their keys are files of the keystore

CREATE FUNCTION fabric.ca_create(ca text, msp_id text, subject jsonb DEFAULT NULL,
	valid_for interval DEFAULT '10 years', kind text DEFAULT 'signing', parent text DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_create';
COMMENT ON FUNCTION fabric.ca_create IS 'make a certificate authority, its key in the keystore; returns its certificate (PEM)';

CREATE FUNCTION fabric.ca_certificate(ca text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_certificate';
COMMENT ON FUNCTION fabric.ca_certificate IS 'the certificate of an authority (PEM)';

CREATE FUNCTION fabric.ca_register(ca text, enrollment_id text, role text DEFAULT 'client',
	secret text DEFAULT NULL, attributes jsonb DEFAULT NULL, max_enrollments int DEFAULT -1,
	affiliation text DEFAULT '') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_register';
COMMENT ON FUNCTION fabric.ca_register IS 'register an identity for a certificate (role client, peer, admin, orderer); returns its enrollment secret. LF001 for an unrecognized role or an id that exists';

CREATE FUNCTION fabric.ca_enroll(ca text, enrollment_id text, secret text, csr text,
	profile text DEFAULT NULL, hosts text[] DEFAULT NULL, attributes text[] DEFAULT NULL,
	valid_for interval DEFAULT '1 year') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_enroll';
COMMENT ON FUNCTION fabric.ca_enroll IS 'issue a certificate for the key of a certificate request (PKCS #10, PEM) to a caller with the enrollment secret; returns it as PEM. LF203 when id or secret is wrong';

CREATE FUNCTION fabric.ca_reenroll(ca text, certificate text, csr text, signature bytea,
	valid_for interval DEFAULT '1 year') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_reenroll';
COMMENT ON FUNCTION fabric.ca_reenroll IS 'issue a new certificate for a request that is signed with the key of a valid certificate; a TLS certificate keeps its host names unless the request names others';

CREATE FUNCTION fabric.ca_revoke(ca text, enrollment_id text DEFAULT NULL, serial text DEFAULT NULL,
	reason text DEFAULT 'unspecified') RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_revoke';
COMMENT ON FUNCTION fabric.ca_revoke IS 'revoke one certificate (serial, hex), or an identity with all its certificates; returns the number of revoked certificates';

CREATE FUNCTION fabric.ca_crl(ca text, valid_for interval DEFAULT '7 days') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_crl';
COMMENT ON FUNCTION fabric.ca_crl IS 'a new revocation list (PEM), for the MSP in the channels'' configurations';

CREATE FUNCTION fabric.ca_export(ca text, passphrase text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_export';
COMMENT ON FUNCTION fabric.ca_export IS 'an authority with its key, registrations and certificates, as an OpenPGP message under a passphrase of at least 8 bytes: for a backup, or for ca_import on another node; superusers only, unless granted';

CREATE FUNCTION fabric.ca_import(export bytea, passphrase text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_import';
COMMENT ON FUNCTION fabric.ca_import(bytea, text) IS 'import an authority that ca_export wrote; returns its name. LF102: wrong passphrase, or the key does not belong to the certificate; LF001: the authority exists here, or the bytes are not an export';

CREATE FUNCTION fabric.ca_import(ca text, msp_id text, certificate text, private_key text,
	kind text DEFAULT 'signing') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_adopt';
COMMENT ON FUNCTION fabric.ca_import(text, text, text, text, text) IS 'import an authority of Fabric CA, cryptogen or openssl: certificate and key (PEM), kind signing or tls; returns its name. Certificates that it issued before are not known here';

CREATE FUNCTION fabric.ca_drop(ca text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_drop';
COMMENT ON FUNCTION fabric.ca_drop IS 'remove an authority from this node, with its key, registrations and certificates: export it first; superusers only, unless granted';

CREATE VIEW fabric.cas AS
	SELECT ca, msp_id, kind, parent, certificate, crl_number, created_at
	FROM fabric_internal.ca;
COMMENT ON VIEW fabric.cas IS 'the certificate authorities of this node';

CREATE VIEW fabric.ca_identities AS
	SELECT ca, enrollment_id, role, affiliation, attributes, max_enrollments, enrollments,
		revoked_at, registered_at
	FROM fabric_internal.ca_identity;
COMMENT ON VIEW fabric.ca_identities IS 'the identities that are registered at the certificate authorities of this node';

CREATE VIEW fabric.ca_certificates AS
	SELECT ca, encode(serial, 'hex') AS serial, enrollment_id, profile, not_before, not_after,
		revoked_at, reason, certificate
	FROM fabric_internal.ca_certificate;
COMMENT ON VIEW fabric.ca_certificates IS 'the certificates that the authorities of this node have issued; reason as in RFC 5280 5.3.1';
