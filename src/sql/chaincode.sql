-- chaincode: packages, their installation on this node, and what the channels agreed upon

CREATE FUNCTION fabric.package_chaincode(label text, source text, language text DEFAULT 'sql')
	RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_package_chaincode';
COMMENT ON FUNCTION fabric.package_chaincode IS 'make a chaincode package, Fabric''s tar.gz, from SQL source: CREATE FUNCTION statements';

CREATE FUNCTION fabric.package_info(package bytea, OUT package_id text, OUT label text,
	OUT type text, OUT path text, OUT source text) RETURNS record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_package_info';
COMMENT ON FUNCTION fabric.package_info IS 'the content of a chaincode package; source is null when it has no SQL source. LF303 when the bytes are not a package';

CREATE FUNCTION fabric.install_chaincode(package bytea, allow_warnings boolean DEFAULT false)
	RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_install_chaincode';
COMMENT ON FUNCTION fabric.install_chaincode IS 'check a chaincode package and create its functions on this node; returns the package id';

CREATE FUNCTION fabric.uninstall_chaincode(package_id text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_uninstall_chaincode';
COMMENT ON FUNCTION fabric.uninstall_chaincode IS 'remove a chaincode package that no definition uses from this node';

CREATE FUNCTION fabric.get_installed_package(package_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_installed_package';
COMMENT ON FUNCTION fabric.get_installed_package IS 'the bytes of a chaincode package that is installed on this node';

CREATE FUNCTION fabric.list_chaincodes(channel text, OUT name text, OUT version text,
	OUT sequence bigint, OUT policy text, OUT init_required boolean, OUT collections bytea,
	OUT package_id text, OUT installed boolean) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_list_chaincodes';
COMMENT ON FUNCTION fabric.list_chaincodes IS 'the committed chaincode definitions of a channel, and the package that this node runs for them';

CREATE VIEW fabric.chaincodes AS
	SELECT c.channel, d.name, d.version, d.sequence, d.policy, d.init_required, d.collections,
		d.package_id, d.installed
	FROM fabric_internal.channel c, fabric.list_chaincodes(c.channel) d;
COMMENT ON VIEW fabric.chaincodes IS 'committed chaincode definitions of all channels, and the package that this node runs for them';

CREATE VIEW fabric.installed_chaincodes AS
	SELECT p.package_id, p.label, p.type, p.schema_name, pg_catalog.length(p.bytes) AS bytes,
		p.installed_at
	FROM fabric_internal.chaincode_package p;
COMMENT ON VIEW fabric.installed_chaincodes IS 'chaincode packages that are installed on this node';

CREATE FUNCTION fabric.chaincode_settings(OUT name text, OUT value text, OUT reason text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_chaincode_settings';
COMMENT ON FUNCTION fabric.chaincode_settings IS 'the settings of a session while chaincode runs: the fixed value ("default": as without configuration), or null if the session''s own value applies, each with its reason';
