/* fabric--1.0.sql: a Hyperledger Fabric ledger inside PostgreSQL. Sections: guard, roles, tables, functions by domain, views. */

-- complain if the script is sourced in psql rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION fabric CASCADE" to load this file. \quit

DO $guard$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'fabric needs a database with encoding UTF8' USING HINT = 'Create one: CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$guard$;

------------------------------------------------------------------------------------------------------------------------
-- roles: global objects, so they may be there already from another database of the same server
------------------------------------------------------------------------------------------------------------------------

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['fabric_admin', 'fabric_client', 'fabric_node', 'fabric_chaincode'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
		END IF;
	END LOOP;
	-- whoever could become fabric_chaincode could change installed functions; whoever it is a member of would lend it rights
	IF EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid IN (m.roleid, m.member)
			   WHERE r.rolname = 'fabric_chaincode') THEN
		RAISE EXCEPTION 'role "fabric_chaincode" must have no members and be a member of no role'
			USING HINT = 'Revoke the memberships, then create the extension.';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'fabric_chaincode' AND (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
		RAISE EXCEPTION 'role "fabric_chaincode" must have no attributes' USING HINT = 'Drop the role, then create the extension.';
	END IF;
END
$roles$;

CREATE SCHEMA fabric;
COMMENT ON SCHEMA fabric IS 'Fabric ledger: what users call and read';
GRANT USAGE ON SCHEMA fabric TO PUBLIC;
CREATE SCHEMA fabric_internal;
COMMENT ON SCHEMA fabric_internal IS 'Fabric ledger: tables and the functions that nodes call on each other';
GRANT USAGE ON SCHEMA fabric_internal TO fabric_node;

------------------------------------------------------------------------------------------------------------------------
-- tables. The ledger tables are partitioned by channel: join_channel makes the partitions <table>_<channel id> with their own indexes,
-- which need not carry the channel, and leave_channel drops them.
------------------------------------------------------------------------------------------------------------------------

-- a channel that this node has joined
CREATE TABLE fabric_internal.channel (
	channel				text COLLATE "C" PRIMARY KEY,
	id					int GENERATED ALWAYS AS IDENTITY UNIQUE,	-- in the names of the partitions
	config_block_number	bigint NOT NULL,	-- the last configuration block
	config				bytea NOT NULL,		-- its ConfigEnvelope, as received
	dictionaries		int NOT NULL DEFAULT 0,	-- made so far: the number of the newest envelope_dictionary
	-- where blocks come from: the channel's orderers (a node that orders: its Raft log), or fabric.import_block alone
	source				text COLLATE "C" NOT NULL DEFAULT 'orderers' CHECK (source IN ('orderers', 'import')),
	joined_at			timestamptz NOT NULL DEFAULT now()
);
-- sessions know a channel's tables by its id: none comes again, not even after DROP EXTENSION
SELECT setval(pg_get_serial_sequence('fabric_internal.channel', 'id'), 'fabric_internal.channel'::regclass::oid::bigint % 1000000000);

-- one block without its transactions; append-only
CREATE TABLE fabric_internal.block (
	channel				text COLLATE "C" NOT NULL,
	number				bigint NOT NULL,
	previous_hash		bytea NOT NULL,
	data_hash			bytea NOT NULL,
	block_hash			bytea NOT NULL,		-- SHA-256 of the DER header
	signatures			bytea NOT NULL,		-- metadata slot 0, as received or signed here
	last_config			bytea NOT NULL,		-- metadata slot 1
	transactions_filter	bytea NOT NULL,		-- metadata slot 2: one validation code per transaction
	orderer				bytea NOT NULL,		-- metadata slot 3
	commit_hash			bytea NOT NULL,		-- the hash in metadata slot 4; empty where Fabric has none
	raft_index			bigint NOT NULL,	-- of the log entry that it was made from, from slot 0; 0 if none
	committed_at		timestamptz NOT NULL,
	raft_term			bigint				-- of that log entry, where this node made the block from its own log; null: it came from another node
) PARTITION BY LIST (channel);

-- one transaction, valid or not; append-only
CREATE TABLE fabric_internal.transaction (
	channel				text COLLATE "C" NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL,		-- in the block, from 0
	type				smallint NOT NULL,	-- common.HeaderType; -1 when it could not be read
	validation_code		smallint NOT NULL,	-- protos.TxValidationCode
	tx_id				bytea,				-- the 32 bytes of a well-formed id; others: see ledger/tx_index; null: none
	creator_msp			text COLLATE "C",
	chaincode			text COLLATE "C",
	created_at			timestamptz,		-- the client's timestamp
	envelope			bytea NOT NULL		-- common.Envelope, compressed; see ledger/envelope_codec
) PARTITION BY LIST (channel);

-- what the envelopes of a channel have in common, for their compression; append-only
CREATE TABLE fabric_internal.envelope_dictionary (
	channel				text COLLATE "C" NOT NULL REFERENCES fabric_internal.channel ON DELETE CASCADE,
	id					int NOT NULL,
	content				bytea NOT NULL,
	digest				bytea NOT NULL,		-- SHA-256 of content
	PRIMARY KEY (channel, id)
);
ALTER TABLE fabric_internal.envelope_dictionary ALTER COLUMN content SET STORAGE EXTERNAL;

-- the newest value of a key
CREATE TABLE fabric_internal.world_state (
	channel				text COLLATE "C" NOT NULL,
	namespace			text COLLATE "C" NOT NULL,	-- chaincode; <chaincode>$$h<collection> for hashed private keys
	key					bytea NOT NULL,
	value				bytea NOT NULL,
	metadata			bytea,				-- pb(KVMetadataWrite entries), null when there is none
	block_number		bigint NOT NULL,	-- the version: block and position of the transaction that wrote it last
	position			int NOT NULL
) PARTITION BY LIST (channel);

-- one write of a public key; append-only
CREATE TABLE fabric_internal.history (
	channel				text COLLATE "C" NOT NULL,
	namespace			text COLLATE "C" NOT NULL,
	key					bytea NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL,
	value				bytea				-- null: the key was deleted
) PARTITION BY LIST (channel);

-- plaintext of private collections that this node's organisation holds
CREATE TABLE fabric_internal.private_state (
	channel				text COLLATE "C" NOT NULL,
	namespace			text COLLATE "C" NOT NULL,
	collection			text COLLATE "C" NOT NULL,
	key					bytea NOT NULL,
	value				bytea NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL
) PARTITION BY LIST (channel);

-- transactions that wrote a private collection of this organisation, and whose plaintext this node did not have when it committed them
CREATE TABLE fabric_internal.private_missing (
	channel				text COLLATE "C" NOT NULL REFERENCES fabric_internal.channel ON DELETE CASCADE,
	block_number		bigint NOT NULL,
	position			int NOT NULL,
	PRIMARY KEY (channel, block_number, position)
);

-- plaintext of private writes that this node endorsed or received, until their transaction is committed
CREATE TABLE fabric_internal.transient (
	channel				text COLLATE "C" NOT NULL,
	tx_id				text COLLATE "C" NOT NULL,
	private_rwset		bytea NOT NULL,		-- pb(TxPvtReadWriteSet)
	received_at_height	bigint NOT NULL
) PARTITION BY LIST (channel);

-- what shows that a consenter broke a promise: one row for each kind and consenter; written by the workers of the channel only
CREATE TABLE fabric_internal.raft_evidence (
	channel				text COLLATE "C" NOT NULL REFERENCES fabric_internal.channel ON DELETE CASCADE,
	kind				text COLLATE "C" NOT NULL,
	consenter_id		bigint NOT NULL,	-- 0: this node alone
	term				bigint NOT NULL,
	index				bigint NOT NULL,	-- of the entry; 0: of none
	sqlstate			text NOT NULL,
	message				text NOT NULL,		-- of the first since the last acknowledgement
	detail				text NOT NULL,
	first_at			timestamptz NOT NULL,
	last_at				timestamptz NOT NULL,
	occurrences			bigint NOT NULL,
	PRIMARY KEY (channel, kind, consenter_id)
) WITH (fillfactor = 50);

-- evidence that administrators have seen; of its own, so that no worker waits for an administrator's transaction
CREATE TABLE fabric_internal.raft_acknowledgement (
	channel				text COLLATE "C" NOT NULL REFERENCES fabric_internal.channel ON DELETE CASCADE,
	up_to				timestamptz NOT NULL,	-- of evidence that was last seen until then
	acknowledged_at		timestamptz NOT NULL,
	acknowledged_by		text NOT NULL
);
CREATE INDEX raft_acknowledgement_channel ON fabric_internal.raft_acknowledgement (channel, up_to);

-- the Raft log of a channel that this node orders; written by its orderer worker only
CREATE TABLE fabric_internal.raft_log (
	channel				text COLLATE "C" NOT NULL,
	index				bigint NOT NULL,
	term				bigint NOT NULL,
	kind				smallint NOT NULL,	-- 0 batch, 1 a new leader's empty entry, 2 Raft configuration
	payload				bytea NOT NULL		-- kind 0: u64 number of the block, 32 bytes hash of the block before, common.BlockData
) PARTITION BY LIST (channel);
-- envelopes do not get smaller by trying again and again
ALTER TABLE fabric_internal.raft_log ALTER COLUMN payload SET STORAGE EXTERNAL;

-- what Raft must not forget; one row for each channel that this node orders, written by its orderer worker only
CREATE TABLE fabric_internal.raft_state (
	channel				text COLLATE "C" PRIMARY KEY REFERENCES fabric_internal.channel ON DELETE CASCADE,
	raft_id				bigint NOT NULL,
	term				bigint NOT NULL,
	vote				bigint NOT NULL,	-- 0: nobody yet in this term
	commit_index		bigint NOT NULL,	-- at least; the truth may be ahead
	configuration		bytea NOT NULL,		-- opaque, of core/raft
	base_index			bigint NOT NULL,	-- the log begins after this entry
	base_term			bigint NOT NULL,
	promises			bytea NOT NULL,		-- what the others promised to this node; opaque, of core/raft
	has_voted			boolean NOT NULL,	-- ever had a vote: without entries it is new, not one that lost them
	recovery			bigint NOT NULL,	-- 0: takes part; else why it recovers, as core/raft numbers the reasons
	recovery_witness	bigint NOT NULL,	-- the consenter that knew more, or 0
	recovering_since	timestamptz,
	recovery_detail		text,
	timeline			bigint NOT NULL,	-- of the server when this was written
	storage				text NOT NULL,		-- identity of the data directory when this was written
	base_block			bigint NOT NULL,	-- the last block that was made from an entry up to there, and its hash
	base_hash			bytea NOT NULL
) WITH (fillfactor = 50);

-- what the orderer worker must know of this node's memory: written by leave_channel, recover_consenter and trust_consenter;
-- deleted by the worker when it has done it. It outlives the channel's membership
CREATE TABLE fabric_internal.consenter_note (
	channel				text COLLATE "C" PRIMARY KEY,
	genesis_hash		bytea NOT NULL,		-- of block 0: for another channel of this name it says nothing
	action				text COLLATE "C" NOT NULL CHECK (action IN ('recover', 'trust')),
	reason				text NOT NULL,
	noted_at			timestamptz NOT NULL DEFAULT now()
);

-- how to reach a node where its address in the channel configuration is not enough
CREATE TABLE fabric_internal.node (
	address				text COLLATE "C" PRIMARY KEY,	-- host:port, as in the channel configuration
	options				text NOT NULL DEFAULT ''		-- libpq connection options such as dbname=... hostaddr=...
);


-- the append-only tables: rows are neither changed nor removed, and a new block follows the last one
CREATE FUNCTION fabric_internal.refuse_change() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_refuse_change';
COMMENT ON FUNCTION fabric_internal.refuse_change IS 'trigger: refuses every change of an append-only table';
REVOKE ALL ON FUNCTION fabric_internal.refuse_change FROM PUBLIC;

CREATE FUNCTION fabric_internal.check_block() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_check_block';
COMMENT ON FUNCTION fabric_internal.check_block IS 'trigger: a new block has the next number, the last block''s hash, and the data hash of its transactions';
REVOKE ALL ON FUNCTION fabric_internal.check_block FROM PUBLIC;

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.block
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.block EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER check_block BEFORE INSERT ON fabric_internal.block
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.check_block();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.transaction
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.transaction EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.history
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.history EXECUTE FUNCTION fabric_internal.refuse_change();
-- goes with its channel
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.envelope_dictionary
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.envelope_dictionary EXECUTE FUNCTION fabric_internal.refuse_change();

------------------------------------------------------------------------------------------------------------------------
-- channel: channels are created, joined and left
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.create_channel(channel text, profile jsonb) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_create_channel';
COMMENT ON FUNCTION fabric.create_channel IS 'the genesis block of a new channel, from a profile with the content of configtx.yaml; nothing is joined yet';
REVOKE ALL ON FUNCTION fabric.create_channel FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.create_channel TO fabric_admin;

CREATE FUNCTION fabric.join_channel(genesis_block bytea, source text DEFAULT 'orderers') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_join_channel';
COMMENT ON FUNCTION fabric.join_channel IS 'join the channel of this genesis block on this node; source: where its blocks come from, ''orderers'' or ''import'' (only from fabric.import_block); returns the channel''s name';
REVOKE ALL ON FUNCTION fabric.join_channel FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.join_channel TO fabric_admin;

CREATE FUNCTION fabric.leave_channel(channel text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_leave_channel';
COMMENT ON FUNCTION fabric.leave_channel IS 'remove a channel and all its data from this node';
REVOKE ALL ON FUNCTION fabric.leave_channel FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.leave_channel TO fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- import: blocks that an administrator brings
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.set_channel_source(channel text, source text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_set_channel_source';
COMMENT ON FUNCTION fabric.set_channel_source IS 'where the blocks of a channel come from on this node: ''orderers'', or ''import'' (only from fabric.import_block)';
REVOKE ALL ON FUNCTION fabric.set_channel_source FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_channel_source TO fabric_admin;

CREATE FUNCTION fabric.import_block(channel text, block bytea, accept_differences boolean DEFAULT false, OUT block_number bigint, OUT imported boolean,
									OUT validation_codes jsonb) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_import_block';
COMMENT ON FUNCTION fabric.import_block IS 'validate the next block of a channel as if an orderer had delivered it, and commit it at once, independent of the caller''s transaction; imported: false if the ledger has it already. Validation codes and commit hash in the block must be those that this node finds; accept_differences: store this node''s own, with a warning';
REVOKE ALL ON FUNCTION fabric.import_block FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.import_block TO fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- chaincode: packages, their installation on this node, and what the channels agreed upon
------------------------------------------------------------------------------------------------------------------------

-- an installed package; its functions live in the schema
CREATE TABLE fabric_internal.chaincode_package (
	package_id			text COLLATE "C" PRIMARY KEY,	-- label:SHA-256 of bytes
	label				text COLLATE "C" NOT NULL,
	type				text COLLATE "C" NOT NULL,
	schema_name			text COLLATE "C" NOT NULL UNIQUE,
	bytes				bytea NOT NULL,
	installed_at		timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION fabric.package_chaincode(label text, source text, language text DEFAULT 'sql') RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_package_chaincode';
COMMENT ON FUNCTION fabric.package_chaincode IS 'make a chaincode package, Fabric''s tar.gz, from SQL source: CREATE FUNCTION statements';
GRANT EXECUTE ON FUNCTION fabric.package_chaincode TO PUBLIC;

CREATE FUNCTION fabric.package_info(package bytea, OUT package_id text, OUT label text, OUT type text, OUT path text, OUT source text) RETURNS record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_package_info';
COMMENT ON FUNCTION fabric.package_info IS 'what is in a chaincode package; source is null when it holds no SQL source';
GRANT EXECUTE ON FUNCTION fabric.package_info TO PUBLIC;

CREATE FUNCTION fabric.install_chaincode(package bytea, allow_warnings boolean DEFAULT false) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_install_chaincode';
COMMENT ON FUNCTION fabric.install_chaincode IS 'check a chaincode package and create its functions on this node; returns the package id';
REVOKE ALL ON FUNCTION fabric.install_chaincode FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.install_chaincode TO fabric_admin;

CREATE FUNCTION fabric.uninstall_chaincode(package_id text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_uninstall_chaincode';
COMMENT ON FUNCTION fabric.uninstall_chaincode IS 'remove a chaincode package that no definition uses from this node';
REVOKE ALL ON FUNCTION fabric.uninstall_chaincode FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.uninstall_chaincode TO fabric_admin;

CREATE FUNCTION fabric.get_installed_package(package_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_installed_package';
COMMENT ON FUNCTION fabric.get_installed_package IS 'the bytes of a chaincode package that is installed on this node';
REVOKE ALL ON FUNCTION fabric.get_installed_package FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_installed_package TO fabric_admin;

CREATE FUNCTION fabric.list_chaincodes(channel text, OUT name text, OUT version text, OUT sequence bigint, OUT policy text,
									   OUT init_required boolean, OUT collections bytea, OUT package_id text, OUT installed boolean) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_list_chaincodes';
COMMENT ON FUNCTION fabric.list_chaincodes IS 'the committed chaincode definitions of a channel, and the package that this node runs for them';
REVOKE ALL ON FUNCTION fabric.list_chaincodes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.list_chaincodes TO fabric_admin, fabric_client;

CREATE VIEW fabric.chaincodes AS
	SELECT c.channel, d.name, d.version, d.sequence, d.policy, d.init_required, d.collections, d.package_id, d.installed
	FROM fabric_internal.channel c, fabric.list_chaincodes(c.channel) d;
COMMENT ON VIEW fabric.chaincodes IS 'committed chaincode definitions of all channels, and the package that this node runs for them';
GRANT SELECT ON fabric.chaincodes TO fabric_admin, fabric_client;

CREATE VIEW fabric.installed_chaincodes AS
	SELECT p.package_id, p.label, p.type, p.schema_name, pg_catalog.length(p.bytes) AS bytes, p.installed_at
	FROM fabric_internal.chaincode_package p;
COMMENT ON VIEW fabric.installed_chaincodes IS 'chaincode packages that are installed on this node';
GRANT SELECT ON fabric.installed_chaincodes TO fabric_admin;

CREATE FUNCTION fabric.chaincode_settings(OUT name text, OUT value text, OUT reason text) RETURNS SETOF record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_chaincode_settings';
COMMENT ON FUNCTION fabric.chaincode_settings IS 'the settings of a session while chaincode runs: the fixed value ("default": as without configuration), or null where the session''s own is left, each with its reason';
REVOKE ALL ON FUNCTION fabric.chaincode_settings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.chaincode_settings TO fabric_admin, fabric_client;

------------------------------------------------------------------------------------------------------------------------
-- shim: what chaincode functions call. Outside of a simulation all but the pure ones are an error. Keys are text; composite keys, which contain
-- U+0000 and so cannot be text in PostgreSQL, are bytea. Nothing that reads or writes the state may be folded or moved: VOLATILE.
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.get_tx_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_tx_id';
COMMENT ON FUNCTION fabric.get_tx_id() IS 'chaincode: the id of the transaction';
REVOKE ALL ON FUNCTION fabric.get_tx_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_tx_id() TO fabric_chaincode;

CREATE FUNCTION fabric.get_channel_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_channel_id';
COMMENT ON FUNCTION fabric.get_channel_id() IS 'chaincode: the channel of the transaction';
REVOKE ALL ON FUNCTION fabric.get_channel_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_channel_id() TO fabric_chaincode;

CREATE FUNCTION fabric.get_creator() RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_creator';
COMMENT ON FUNCTION fabric.get_creator() IS 'chaincode: the client''s identity (msp.SerializedIdentity)';
REVOKE ALL ON FUNCTION fabric.get_creator() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_creator() TO fabric_chaincode;

CREATE FUNCTION fabric.get_tx_timestamp() RETURNS timestamptz
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_tx_timestamp';
COMMENT ON FUNCTION fabric.get_tx_timestamp() IS 'chaincode: the time that the client gave to the transaction, the same on every node';
REVOKE ALL ON FUNCTION fabric.get_tx_timestamp() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_tx_timestamp() TO fabric_chaincode;

CREATE FUNCTION fabric.get_function() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_function';
COMMENT ON FUNCTION fabric.get_function() IS 'chaincode: the name of the called function';
REVOKE ALL ON FUNCTION fabric.get_function() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_function() TO fabric_chaincode;

CREATE FUNCTION fabric.get_arguments() RETURNS bytea[]
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_arguments';
COMMENT ON FUNCTION fabric.get_arguments() IS 'chaincode: the arguments of the call, as they were sent';
REVOKE ALL ON FUNCTION fabric.get_arguments() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_arguments() TO fabric_chaincode;

CREATE FUNCTION fabric.get_transient(name text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_transient';
COMMENT ON FUNCTION fabric.get_transient(text) IS 'chaincode: a value that the client sent beside the arguments and that never reaches the ledger; null when there is none';
REVOKE ALL ON FUNCTION fabric.get_transient(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_transient(text) TO fabric_chaincode;

CREATE FUNCTION fabric.list_transient(OUT name text, OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_list_transient';
COMMENT ON FUNCTION fabric.list_transient() IS 'chaincode: all values that the client sent beside the arguments';
REVOKE ALL ON FUNCTION fabric.list_transient() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.list_transient() TO fabric_chaincode;

CREATE FUNCTION fabric.get_client_msp_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_msp_id';
COMMENT ON FUNCTION fabric.get_client_msp_id() IS 'chaincode: the MSP id of the client''s organisation';
REVOKE ALL ON FUNCTION fabric.get_client_msp_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_client_msp_id() TO fabric_chaincode;

CREATE FUNCTION fabric.get_client_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_id';
COMMENT ON FUNCTION fabric.get_client_id() IS 'chaincode: the client''s id, base64 of x509::subject::issuer';
REVOKE ALL ON FUNCTION fabric.get_client_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_client_id() TO fabric_chaincode;

CREATE FUNCTION fabric.get_client_attribute(name text) RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_attribute';
COMMENT ON FUNCTION fabric.get_client_attribute(text) IS 'chaincode: an attribute that the CA put into the client''s certificate; null when there is none';
REVOKE ALL ON FUNCTION fabric.get_client_attribute(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_client_attribute(text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state(key text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state';
COMMENT ON FUNCTION fabric.get_state(text) IS 'chaincode: the committed value of a key; null when the key does not exist';
REVOKE ALL ON FUNCTION fabric.get_state(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state(text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_text(key text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_text';
COMMENT ON FUNCTION fabric.get_state_text(text) IS 'chaincode: the committed value of a key as text';
REVOKE ALL ON FUNCTION fabric.get_state_text(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_text(text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_json(key text) RETURNS jsonb
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_json';
COMMENT ON FUNCTION fabric.get_state_json(text) IS 'chaincode: the committed value of a key as JSON';
REVOKE ALL ON FUNCTION fabric.get_state_json(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_json(text) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key text, value text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, text) IS 'chaincode: write a value; an empty one deletes the key';
REVOKE ALL ON FUNCTION fabric.put_state(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(text, text) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key text, value bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, bytea) IS 'chaincode: write a value; an empty one deletes the key';
REVOKE ALL ON FUNCTION fabric.put_state(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(text, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key text, value json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, json) IS 'chaincode: write a value; an empty one deletes the key';
REVOKE ALL ON FUNCTION fabric.put_state(text, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(text, json) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key text, value jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state_jsonb';
COMMENT ON FUNCTION fabric.put_state(text, jsonb) IS 'chaincode: write a value; an empty one deletes the key';
REVOKE ALL ON FUNCTION fabric.put_state(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(text, jsonb) TO fabric_chaincode;

CREATE FUNCTION fabric.del_state(key text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_del_state';
COMMENT ON FUNCTION fabric.del_state(text) IS 'chaincode: delete a key';
REVOKE ALL ON FUNCTION fabric.del_state(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.del_state(text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_by_range(start_key text, end_key text, OUT key text, OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range';
COMMENT ON FUNCTION fabric.get_state_by_range(text, text) IS 'chaincode: the keys from start_key up to, not including, end_key; empty: from the first, to the last';
REVOKE ALL ON FUNCTION fabric.get_state_by_range(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_range(text, text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_by_range_with_pagination(start_key text, end_key text, page_size int, bookmark text, OUT key text, OUT value bytea, OUT next_bookmark text) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_range_with_pagination(text, text, int, text) IS 'chaincode: one page of a range; next_bookmark is empty on the last one; for queries only';
REVOKE ALL ON FUNCTION fabric.get_state_by_range_with_pagination(text, text, int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_range_with_pagination(text, text, int, text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state(key bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state';
COMMENT ON FUNCTION fabric.get_state(bytea) IS 'chaincode: the committed value of a key; null when the key does not exist (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_text(key bytea) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_text';
COMMENT ON FUNCTION fabric.get_state_text(bytea) IS 'chaincode: the committed value of a key as text (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state_text(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_text(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_json(key bytea) RETURNS jsonb
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_json';
COMMENT ON FUNCTION fabric.get_state_json(bytea) IS 'chaincode: the committed value of a key as JSON (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state_json(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_json(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key bytea, value text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, text) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.put_state(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(bytea, text) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key bytea, value bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, bytea) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.put_state(bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(bytea, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key bytea, value json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, json) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.put_state(bytea, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(bytea, json) TO fabric_chaincode;

CREATE FUNCTION fabric.put_state(key bytea, value jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state_jsonb';
COMMENT ON FUNCTION fabric.put_state(bytea, jsonb) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.put_state(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.put_state(bytea, jsonb) TO fabric_chaincode;

CREATE FUNCTION fabric.del_state(key bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_del_state';
COMMENT ON FUNCTION fabric.del_state(bytea) IS 'chaincode: delete a key (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.del_state(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.del_state(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_by_range(start_key bytea, end_key bytea, OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range';
COMMENT ON FUNCTION fabric.get_state_by_range(bytea, bytea) IS 'chaincode: the keys from start_key up to, not including, end_key; empty: from the first, to the last (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state_by_range(bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_range(bytea, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_by_range_with_pagination(start_key bytea, end_key bytea, page_size int, bookmark bytea, OUT key bytea, OUT value bytea, OUT next_bookmark bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_range_with_pagination(bytea, bytea, int, bytea) IS 'chaincode: one page of a range; next_bookmark is empty on the last one; for queries only (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state_by_range_with_pagination(bytea, bytea, int, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_range_with_pagination(bytea, bytea, int, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.create_composite_key(object_type text, VARIADIC attributes text[] DEFAULT '{}') RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_create_composite_key';
COMMENT ON FUNCTION fabric.create_composite_key(text, VARIADIC text[]) IS 'a composite key: object type and attributes in an order that partial keys can find';
GRANT EXECUTE ON FUNCTION fabric.create_composite_key(text, VARIADIC text[]) TO PUBLIC;

CREATE FUNCTION fabric.split_composite_key(key bytea, OUT object_type text, OUT attributes text[]) RETURNS record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_split_composite_key';
COMMENT ON FUNCTION fabric.split_composite_key(bytea) IS 'the parts of a composite key';
GRANT EXECUTE ON FUNCTION fabric.split_composite_key(bytea) TO PUBLIC;

CREATE FUNCTION fabric.get_state_by_partial_composite_key(object_type text, VARIADIC attributes text[] DEFAULT '{}', OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_partial_composite_key';
COMMENT ON FUNCTION fabric.get_state_by_partial_composite_key(text, VARIADIC text[]) IS 'chaincode: the composite keys that begin with these parts';
REVOKE ALL ON FUNCTION fabric.get_state_by_partial_composite_key(text, VARIADIC text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_partial_composite_key(text, VARIADIC text[]) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(object_type text, attributes text[], page_size int, bookmark bytea, OUT key bytea, OUT value bytea, OUT next_bookmark bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_partial_composite_key_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(text, text[], int, bytea) IS 'chaincode: one page of the composite keys that begin with these parts; for queries only';
REVOKE ALL ON FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(text, text[], int, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(text, text[], int, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_history_for_key(key text, OUT tx_id text, OUT value bytea, OUT "timestamp" timestamptz, OUT is_delete boolean, OUT block_number bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_history_for_key';
COMMENT ON FUNCTION fabric.get_history_for_key(text) IS 'chaincode: what was written to a key, newest first; not part of the read set';
REVOKE ALL ON FUNCTION fabric.get_history_for_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_history_for_key(text) TO fabric_chaincode;

CREATE FUNCTION fabric.set_state_validation_parameter(key text, policy bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_state_validation_parameter';
COMMENT ON FUNCTION fabric.set_state_validation_parameter(text, bytea) IS 'chaincode: the endorsement policy of a key, bytes of a SignaturePolicyEnvelope; empty: none of its own';
REVOKE ALL ON FUNCTION fabric.set_state_validation_parameter(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_state_validation_parameter(text, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_validation_parameter(key text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_validation_parameter';
COMMENT ON FUNCTION fabric.get_state_validation_parameter(text) IS 'chaincode: the endorsement policy of a key; null when it has none';
REVOKE ALL ON FUNCTION fabric.get_state_validation_parameter(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_validation_parameter(text) TO fabric_chaincode;

CREATE FUNCTION fabric.get_history_for_key(key bytea, OUT tx_id text, OUT value bytea, OUT "timestamp" timestamptz, OUT is_delete boolean, OUT block_number bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_history_for_key';
COMMENT ON FUNCTION fabric.get_history_for_key(bytea) IS 'chaincode: what was written to a key, newest first; not part of the read set (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_history_for_key(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_history_for_key(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.set_state_validation_parameter(key bytea, policy bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_state_validation_parameter';
COMMENT ON FUNCTION fabric.set_state_validation_parameter(bytea, bytea) IS 'chaincode: the endorsement policy of a key, bytes of a SignaturePolicyEnvelope; empty: none of its own (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.set_state_validation_parameter(bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_state_validation_parameter(bytea, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.get_state_validation_parameter(key bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_validation_parameter';
COMMENT ON FUNCTION fabric.get_state_validation_parameter(bytea) IS 'chaincode: the endorsement policy of a key; null when it has none (key as bytes, for composite keys)';
REVOKE ALL ON FUNCTION fabric.get_state_validation_parameter(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_state_validation_parameter(bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.set_event(name text, payload text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, text) IS 'chaincode: the event of the transaction; the last call wins';
REVOKE ALL ON FUNCTION fabric.set_event(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_event(text, text) TO fabric_chaincode;

CREATE FUNCTION fabric.set_event(name text, payload bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, bytea) IS 'chaincode: the event of the transaction; the last call wins';
REVOKE ALL ON FUNCTION fabric.set_event(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_event(text, bytea) TO fabric_chaincode;

CREATE FUNCTION fabric.set_event(name text, payload json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, json) IS 'chaincode: the event of the transaction; the last call wins';
REVOKE ALL ON FUNCTION fabric.set_event(text, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_event(text, json) TO fabric_chaincode;

CREATE FUNCTION fabric.set_event(name text, payload jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event_jsonb';
COMMENT ON FUNCTION fabric.set_event(text, jsonb) IS 'chaincode: the event of the transaction; the last call wins';
REVOKE ALL ON FUNCTION fabric.set_event(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.set_event(text, jsonb) TO fabric_chaincode;

CREATE FUNCTION fabric.state_policy(role text, VARIADIC msp_ids text[]) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_state_policy';
COMMENT ON FUNCTION fabric.state_policy(text, VARIADIC text[]) IS 'an endorsement policy for a key: all of these organisations, by role member or peer';
GRANT EXECUTE ON FUNCTION fabric.state_policy(text, VARIADIC text[]) TO PUBLIC;

------------------------------------------------------------------------------------------------------------------------
-- order: what nodes call on the orderers of a channel, and how operators watch and steer them
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric_internal.submit(channel text, envelope bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_submit';
COMMENT ON FUNCTION fabric_internal.submit IS 'check an envelope and put it into the queue of this node''s orderer';
REVOKE ALL ON FUNCTION fabric_internal.submit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.submit TO fabric_node;

CREATE FUNCTION fabric_internal.raft_receive(channel text, sender bigint, message bytea) RETURNS boolean
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_raft_receive';
COMMENT ON FUNCTION fabric_internal.raft_receive IS 'a Raft message of another consenter, known by its TLS client certificate; false: not taken';
REVOKE ALL ON FUNCTION fabric_internal.raft_receive FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.raft_receive TO fabric_node;

CREATE FUNCTION fabric_internal.raft_forward(channel text, sender bigint, envelopes bytea) RETURNS boolean
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_raft_forward';
COMMENT ON FUNCTION fabric_internal.raft_forward IS 'envelopes that another consenter has admitted, for the leader; false: not taken';
REVOKE ALL ON FUNCTION fabric_internal.raft_forward FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.raft_forward TO fabric_node;

CREATE FUNCTION fabric.transfer_leadership(channel text, consenter bigint DEFAULT 0) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_transfer_leadership';
COMMENT ON FUNCTION fabric.transfer_leadership IS 'ask this node, the leader, to hand over to another consenter (0: the most up-to-date one); see fabric.stat_orderer';
REVOKE ALL ON FUNCTION fabric.transfer_leadership FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.transfer_leadership TO fabric_admin;

CREATE FUNCTION fabric.recover_consenter(channel text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_recover_consenter';
COMMENT ON FUNCTION fabric.recover_consenter IS 'this node was set back to an older state as a consenter of the channel: it neither votes nor is counted until a leader, elected without it, has brought it up to date; see fabric.stat_orderer. LF401, LF505 where it is no consenter';
REVOKE ALL ON FUNCTION fabric.recover_consenter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.recover_consenter TO fabric_admin;

CREATE FUNCTION fabric.trust_consenter(channel text, accept_loss boolean) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_trust_consenter';
COMMENT ON FUNCTION fabric.trust_consenter IS 'DANGEROUS: a recovering consenter takes part at once with the state that it has; transactions that were committed with what it lost are lost, and nodes that have them differ for good. For the case that a majority has lost its memory. accept_loss must be true. LF401, LF505 where it is no consenter';
REVOKE ALL ON FUNCTION fabric.trust_consenter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.trust_consenter TO fabric_admin;

CREATE FUNCTION fabric_internal.stat_orderer(OUT channel text, OUT consenter_id bigint, OUT running boolean, OUT role text, OUT term bigint,
		OUT leader_id bigint, OUT leader_changes bigint, OUT last_index bigint, OUT commit_index bigint, OUT applied_index bigint,
		OUT batches bigint, OUT pending_envelopes bigint, OUT pending_bytes bigint, OUT dropped_envelopes bigint,
		OUT inbox_records bigint, OUT inbox_bytes bigint, OUT inbox_refused bigint, OUT inbox_size bigint,
		OUT participation text, OUT recovering_since timestamptz, OUT recovering_reason text, OUT recovering_to bigint,
		OUT others_recovering bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_stat_orderer';
COMMENT ON FUNCTION fabric_internal.stat_orderer IS 'what the orderer processes of this node publish; read it as fabric.stat_orderer';
REVOKE ALL ON FUNCTION fabric_internal.stat_orderer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_orderer TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_orderer_followers(OUT channel text, OUT consenter_id bigint, OUT connected boolean, OUT progress text,
		OUT match_index bigint, OUT next_index bigint, OUT lag bigint, OUT last_contact_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_stat_orderer_followers';
COMMENT ON FUNCTION fabric_internal.stat_orderer_followers IS 'what the orderer processes of this node know of the other consenters; read it as fabric.stat_orderer_followers';
REVOKE ALL ON FUNCTION fabric_internal.stat_orderer_followers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_orderer_followers TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_conditions(OUT process text, OUT channel text, OUT topic text, OUT subject text, OUT sqlstate text,
		OUT message text, OUT detail text, OUT hint text, OUT since timestamptz, OUT last_at timestamptz, OUT count bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_conditions';
COMMENT ON FUNCTION fabric_internal.stat_conditions IS 'what is wrong now at this node, as its processes report it; read it as fabric.stat_conditions';
REVOKE ALL ON FUNCTION fabric_internal.stat_conditions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_conditions TO fabric_admin, fabric_client;

-- evidence that no administrator has acknowledged
CREATE VIEW fabric.raft_evidence AS
	SELECT channel, kind, consenter_id, term, index, sqlstate, message, detail, first_at, last_at, occurrences
	FROM fabric_internal.raft_evidence e
	WHERE NOT EXISTS (SELECT FROM fabric_internal.raft_acknowledgement k WHERE k.channel = e.channel AND k.up_to >= e.last_at);
COMMENT ON VIEW fabric.raft_evidence IS 'what shows that a consenter broke a promise of Raft, or that chains differ: kind, which other consenter (0: this node alone), term and log entry, what was found first, since when and how often; until it is acknowledged with fabric.acknowledge_evidence';
GRANT SELECT ON fabric.raft_evidence TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.acknowledge_evidence(channel text, up_to timestamptz DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_acknowledge_evidence';
COMMENT ON FUNCTION fabric.acknowledge_evidence IS 'the evidence of a channel that was last seen until then (null: now) is dealt with: fabric.raft_evidence shows it no more, and a ledger that stood still for it goes on if it can; returns how much there was';
REVOKE ALL ON FUNCTION fabric.acknowledge_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.acknowledge_evidence TO fabric_admin;

CREATE VIEW fabric.stat_orderer AS
	SELECT channel, consenter_id, running, role, term, leader_id, leader_changes, last_index, commit_index, applied_index, batches,
		   pending_envelopes, pending_bytes, dropped_envelopes, inbox_records, inbox_bytes, inbox_refused, inbox_size,
		   participation, recovering_since, recovering_reason, recovering_to, others_recovering,
		   coalesce(e.evidence, 0) AS evidence, e.evidence_since, e.evidence_last_at, e.evidence_detail
	FROM fabric_internal.stat_orderer() s
	LEFT JOIN LATERAL (SELECT count(*) AS evidence, min(first_at) AS evidence_since, max(last_at) AS evidence_last_at,
			string_agg(format('%s: %s (%s, consenter %s, term %s, entry %s, %s times)', sqlstate, message, kind, consenter_id, term, index, occurrences),
				'; ' ORDER BY first_at) AS evidence_detail
		FROM fabric.raft_evidence WHERE channel = s.channel) e ON true;
COMMENT ON VIEW fabric.stat_orderer IS 'one row for each channel that this node orders: Raft role, term, leader, log and ledger position, queues; evidence: how many rows fabric.raft_evidence has of the channel, since when, and all of them in words (null: none)';
GRANT SELECT ON fabric.stat_orderer TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_orderer_followers AS
	SELECT f.channel, f.consenter_id, f.connected, f.progress, f.match_index, f.next_index, f.lag, f.last_contact_at,
		   nullif(concat_ws(': ', c.message, c.detail), '') AS error, c.since AS error_since
	FROM fabric_internal.stat_orderer_followers() f
	LEFT JOIN fabric_internal.stat_conditions() c
		ON c.process = 'orderer' AND c.channel = f.channel AND c.topic = 'consenter' AND c.subject = f.consenter_id::text;
COMMENT ON VIEW fabric.stat_orderer_followers IS 'the other consenters as this node sees them; match_index, lag and last contact are known to the leader only; error: why one cannot be reached or refuses messages now, and since when';
GRANT SELECT ON fabric.stat_orderer_followers TO fabric_admin, fabric_client;

------------------------------------------------------------------------------------------------------------------------
-- keystore: identities that this node holds for applications
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE fabric_internal.identity (
	label				text COLLATE "C" PRIMARY KEY,
	msp_id				text COLLATE "C" NOT NULL,
	certificate			text COLLATE "C" NOT NULL,	-- PEM
	key_file			text,				-- in fabric.keystore_directory; null: the key is encrypted in here
	encrypted_key		bytea,				-- PEM, encrypted by pgcrypto under a passphrase
	created_at			timestamptz NOT NULL DEFAULT now()
);

-- which roles may sign with an identity
CREATE TABLE fabric_internal.identity_grant (
	label				text COLLATE "C" NOT NULL REFERENCES fabric_internal.identity ON DELETE CASCADE,
	role				oid NOT NULL,
	PRIMARY KEY (label, role)
);

CREATE FUNCTION fabric.add_identity(label text, msp_id text, certificate text, private_key text, passphrase text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_add_identity';
COMMENT ON FUNCTION fabric.add_identity IS 'keep a client identity (PEM): its key as a file, or encrypted under a passphrase';
REVOKE ALL ON FUNCTION fabric.add_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.add_identity TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.drop_identity(label text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_drop_identity';
COMMENT ON FUNCTION fabric.drop_identity IS 'remove an identity and its key from this node';
REVOKE ALL ON FUNCTION fabric.drop_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.drop_identity TO fabric_admin;

CREATE FUNCTION fabric.grant_identity(label text, role name) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_grant_identity';
COMMENT ON FUNCTION fabric.grant_identity IS 'let a database role sign with an identity';
REVOKE ALL ON FUNCTION fabric.grant_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.grant_identity TO fabric_admin;

CREATE FUNCTION fabric.revoke_identity(label text, role name) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_revoke_identity';
COMMENT ON FUNCTION fabric.revoke_identity IS 'take an identity away from a database role';
REVOKE ALL ON FUNCTION fabric.revoke_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.revoke_identity TO fabric_admin;

CREATE FUNCTION fabric.open_identity(label text, passphrase text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_open_identity';
COMMENT ON FUNCTION fabric.open_identity IS 'decrypt an identity''s key for the current role, until the end of the transaction; with fabric.session_identity, of the session';
REVOKE ALL ON FUNCTION fabric.open_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.open_identity TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.close_identity(label text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_close_identity';
COMMENT ON FUNCTION fabric.close_identity IS 'forget an opened identity''s key in this session';
REVOKE ALL ON FUNCTION fabric.close_identity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.close_identity TO fabric_admin, fabric_client;

CREATE VIEW fabric.identities AS
	SELECT i.label, i.msp_id, i.certificate, i.encrypted_key IS NOT NULL AS encrypted,
		   ARRAY(SELECT r.rolname FROM fabric_internal.identity_grant g JOIN pg_catalog.pg_roles r ON r.oid = g.role
				 WHERE g.label = i.label ORDER BY r.rolname) AS roles, i.created_at
	FROM fabric_internal.identity i;
COMMENT ON VIEW fabric.identities IS 'identities that this node holds for applications, and the roles that may use them';
GRANT SELECT ON fabric.identities TO fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- ca: certificate authorities; their keys are files of the keystore
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE fabric_internal.ca (
	ca					text COLLATE "C" PRIMARY KEY,
	msp_id				text COLLATE "C" NOT NULL,
	kind				text NOT NULL CHECK (kind IN ('signing', 'tls')),
	parent				text COLLATE "C" REFERENCES fabric_internal.ca,	-- null: a root, or its parent is not in this database
	country				text,				-- of the subject, for the subjects of what it issues
	province			text,
	locality			text,
	organization		text,
	certificate			text COLLATE "C" NOT NULL,	-- PEM
	key_file			text,				-- in fabric.keystore_directory
	crl_number			bigint NOT NULL DEFAULT 0,	-- of its last revocation list
	created_at			timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fabric_internal.ca_identity (
	ca					text COLLATE "C" NOT NULL REFERENCES fabric_internal.ca,
	enrollment_id		text COLLATE "C" NOT NULL,
	role				text NOT NULL CHECK (role IN ('client', 'peer', 'admin', 'orderer')),
	affiliation			text NOT NULL,
	secret_hash			text NOT NULL,		-- bcrypt of the hex SHA-256 of the secret
	attributes			jsonb CHECK (jsonb_typeof(attributes) = 'object'),	-- as registered
	max_enrollments		int NOT NULL CHECK (max_enrollments >= -1),			-- -1: no limit
	enrollments			int NOT NULL DEFAULT 0 CHECK (enrollments >= 0),
	revoked_at			timestamptz,
	registered_at		timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (ca, enrollment_id)
);

-- every certificate that an authority has issued
CREATE TABLE fabric_internal.ca_certificate (
	ca					text COLLATE "C" NOT NULL REFERENCES fabric_internal.ca,
	serial				bytea NOT NULL,
	enrollment_id		text COLLATE "C",	-- null: an intermediate authority
	profile				text NOT NULL CHECK (profile IN ('signing', 'tls', 'ca')),
	certificate			text COLLATE "C" NOT NULL,
	not_before			timestamptz NOT NULL,
	not_after			timestamptz NOT NULL,
	revoked_at			timestamptz,
	reason				int,				-- RFC 5280 5.3.1
	PRIMARY KEY (ca, serial),
	FOREIGN KEY (ca, enrollment_id) REFERENCES fabric_internal.ca_identity
);
CREATE INDEX ON fabric_internal.ca_certificate (ca, enrollment_id);

CREATE FUNCTION fabric.ca_create(ca text, msp_id text, subject jsonb DEFAULT NULL, valid_for interval DEFAULT '10 years',
								 kind text DEFAULT 'signing', parent text DEFAULT NULL) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_create';
COMMENT ON FUNCTION fabric.ca_create IS 'make a certificate authority, its key in the keystore; returns its certificate (PEM)';
REVOKE ALL ON FUNCTION fabric.ca_create FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_create TO fabric_admin;

CREATE FUNCTION fabric.ca_certificate(ca text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_certificate';
COMMENT ON FUNCTION fabric.ca_certificate IS 'the certificate of an authority (PEM)';
REVOKE ALL ON FUNCTION fabric.ca_certificate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_certificate TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.ca_register(ca text, enrollment_id text, role text DEFAULT 'client', secret text DEFAULT NULL, attributes jsonb DEFAULT NULL,
								   max_enrollments int DEFAULT -1, affiliation text DEFAULT '') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_register';
COMMENT ON FUNCTION fabric.ca_register IS 'register who may get a certificate (role client, peer, admin, orderer); returns the secret to enroll with';
REVOKE ALL ON FUNCTION fabric.ca_register FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_register TO fabric_admin;

CREATE FUNCTION fabric.ca_enroll(ca text, enrollment_id text, secret text, csr text, profile text DEFAULT NULL, hosts text[] DEFAULT NULL,
								 attributes text[] DEFAULT NULL, valid_for interval DEFAULT '1 year') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_enroll';
COMMENT ON FUNCTION fabric.ca_enroll IS 'get a certificate for the key of a certificate request; who has the secret may';
REVOKE ALL ON FUNCTION fabric.ca_enroll FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_enroll TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.ca_reenroll(ca text, certificate text, csr text, signature bytea, valid_for interval DEFAULT '1 year') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_reenroll';
COMMENT ON FUNCTION fabric.ca_reenroll IS 'get a new certificate for a request that is signed with the key of a valid one; a TLS certificate keeps its host names unless the request names others';
REVOKE ALL ON FUNCTION fabric.ca_reenroll FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_reenroll TO fabric_admin, fabric_client;

CREATE FUNCTION fabric.ca_revoke(ca text, enrollment_id text DEFAULT NULL, serial text DEFAULT NULL, reason text DEFAULT 'unspecified') RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_revoke';
COMMENT ON FUNCTION fabric.ca_revoke IS 'revoke one certificate (serial, hex), or an identity with all of its; returns how many certificates that were';
REVOKE ALL ON FUNCTION fabric.ca_revoke FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_revoke TO fabric_admin;

CREATE FUNCTION fabric.ca_crl(ca text, valid_for interval DEFAULT '7 days') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_crl';
COMMENT ON FUNCTION fabric.ca_crl IS 'a new revocation list (PEM), for the MSP in the channels'' configurations';
REVOKE ALL ON FUNCTION fabric.ca_crl FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_crl TO fabric_admin;

CREATE FUNCTION fabric.ca_export(ca text, passphrase text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_export';
COMMENT ON FUNCTION fabric.ca_export IS 'an authority with its key, registrations and certificates, as an OpenPGP message under a passphrase of at least 8 bytes: for a copy in a safe place, and for ca_import on another node; superusers only, unless granted';
REVOKE ALL ON FUNCTION fabric.ca_export FROM PUBLIC;

CREATE FUNCTION fabric.ca_import(export bytea, passphrase text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_import';
COMMENT ON FUNCTION fabric.ca_import(bytea, text) IS 'take in an authority that ca_export wrote; returns its name. LF102: wrong passphrase, or the key is another one''s; LF001: it exists here, or this is no export';
REVOKE ALL ON FUNCTION fabric.ca_import(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_import(bytea, text) TO fabric_admin;

CREATE FUNCTION fabric.ca_import(ca text, msp_id text, certificate text, private_key text, kind text DEFAULT 'signing') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_adopt';
COMMENT ON FUNCTION fabric.ca_import(text, text, text, text, text) IS 'take over an authority of Fabric CA, cryptogen or openssl: certificate and key (PEM), kind signing or tls; returns its name. What it issued before is not known here';
REVOKE ALL ON FUNCTION fabric.ca_import(text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.ca_import(text, text, text, text, text) TO fabric_admin;

CREATE FUNCTION fabric.ca_drop(ca text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_ca_drop';
COMMENT ON FUNCTION fabric.ca_drop IS 'remove an authority from this node, with its key, registrations and certificates: export it first; superusers only, unless granted';
REVOKE ALL ON FUNCTION fabric.ca_drop FROM PUBLIC;

CREATE VIEW fabric.cas AS
	SELECT ca, msp_id, kind, parent, certificate, crl_number, created_at
	FROM fabric_internal.ca;
COMMENT ON VIEW fabric.cas IS 'the certificate authorities of this node';
GRANT SELECT ON fabric.cas TO fabric_admin;

CREATE VIEW fabric.ca_identities AS
	SELECT ca, enrollment_id, role, affiliation, attributes, max_enrollments, enrollments, revoked_at, registered_at
	FROM fabric_internal.ca_identity;
COMMENT ON VIEW fabric.ca_identities IS 'who is registered at the certificate authorities of this node';
GRANT SELECT ON fabric.ca_identities TO fabric_admin;

CREATE VIEW fabric.ca_certificates AS
	SELECT ca, encode(serial, 'hex') AS serial, enrollment_id, profile, not_before, not_after, revoked_at, reason, certificate
	FROM fabric_internal.ca_certificate;
COMMENT ON VIEW fabric.ca_certificates IS 'the certificates that the authorities of this node have issued; reason as in RFC 5280 5.3.1';
GRANT SELECT ON fabric.ca_certificates TO fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- gateway: a client's transactions. The whole call signs with an identity that this node holds for the caller's role; the split call
-- is for clients that keep their key.
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.invoke(channel text, chaincode text, function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_invoke';
COMMENT ON FUNCTION fabric.invoke IS 'execute a chaincode function as a transaction, and wait until it is committed on this node; returns its result';
REVOKE ALL ON FUNCTION fabric.invoke FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.invoke TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.query(channel text, chaincode text, function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_query';
COMMENT ON FUNCTION fabric.query IS 'execute a chaincode function without ordering anything; returns its result';
REVOKE ALL ON FUNCTION fabric.query FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.query TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.submit_transaction(channel text, chaincode text, function text, args text[] DEFAULT '{}', transient jsonb DEFAULT NULL,
									  endorsing_orgs text[] DEFAULT NULL, wait boolean DEFAULT true, is_init boolean DEFAULT false,
									  identity text DEFAULT NULL,
									  OUT tx_id text, OUT payload bytea, OUT block_number bigint, OUT validation_code text) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_submit_transaction';
COMMENT ON FUNCTION fabric.submit_transaction IS 'as invoke, with all options; an invalid transaction is a result here, not an error; identity: the label of the one that signs';
REVOKE ALL ON FUNCTION fabric.submit_transaction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.submit_transaction TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.evaluate_transaction(channel text, chaincode text, function text, args text[] DEFAULT '{}', transient jsonb DEFAULT NULL,
											identity text DEFAULT NULL) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_evaluate_transaction';
COMMENT ON FUNCTION fabric.evaluate_transaction IS 'as query, with all options: returns the chaincode''s payload; identity: the label of the one that signs';
REVOKE ALL ON FUNCTION fabric.evaluate_transaction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.evaluate_transaction TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.new_proposal(channel text, chaincode text, function text, args text[], creator bytea, transient jsonb DEFAULT NULL,
								is_init boolean DEFAULT false, OUT tx_id text, OUT proposal bytea, OUT digest bytea) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_new_proposal';
COMMENT ON FUNCTION fabric.new_proposal IS 'the bytes of a proposal for the creator, a SerializedIdentity, to sign; digest is their SHA-256';
REVOKE ALL ON FUNCTION fabric.new_proposal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.new_proposal TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.endorse(proposal bytea, signature bytea, endorsing_orgs text[] DEFAULT NULL,
						   OUT payload bytea, OUT digest bytea, OUT result bytea) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_endorse';
COMMENT ON FUNCTION fabric.endorse IS 'collect the endorsements for a signed proposal; returns the transaction for the client to sign';
REVOKE ALL ON FUNCTION fabric.endorse FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.endorse TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.submit(payload bytea, signature bytea) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_submit';
COMMENT ON FUNCTION fabric.submit IS 'hand a signed transaction to an orderer; returns its transaction id';
REVOKE ALL ON FUNCTION fabric.submit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.submit TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.commit_status(channel text, tx_id text, timeout interval DEFAULT NULL,
								 OUT block_number bigint, OUT validation_code text, OUT tx_number int) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_commit_status';
COMMENT ON FUNCTION fabric.commit_status IS 'wait until this node has committed a transaction; nulls when the time is over';
REVOKE ALL ON FUNCTION fabric.commit_status FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.commit_status TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.evaluate(proposal bytea, signature bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_evaluate';
COMMENT ON FUNCTION fabric.evaluate IS 'execute a signed proposal without ordering anything; returns the chaincode''s payload';
REVOKE ALL ON FUNCTION fabric.evaluate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.evaluate TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.approve_chaincode(channel text, name text, version text, sequence bigint, package_id text, policy text DEFAULT NULL,
									 collections jsonb DEFAULT NULL, init_required boolean DEFAULT false) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_approve_chaincode';
COMMENT ON FUNCTION fabric.approve_chaincode IS 'approve a chaincode definition for this node''s organisation; package_id null: without code';
REVOKE ALL ON FUNCTION fabric.approve_chaincode FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.approve_chaincode TO fabric_admin;

CREATE FUNCTION fabric.check_commit_readiness(channel text, name text, version text, sequence bigint, policy text DEFAULT NULL,
										  collections jsonb DEFAULT NULL, init_required boolean DEFAULT false,
										  OUT msp_id text, OUT approved boolean, OUT mismatches text[]) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_check_commit_readiness';
COMMENT ON FUNCTION fabric.check_commit_readiness IS 'which organisations have approved this chaincode definition, and what differs where they have not';
REVOKE ALL ON FUNCTION fabric.check_commit_readiness FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.check_commit_readiness TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.commit_chaincode(channel text, name text, version text, sequence bigint, policy text DEFAULT NULL,
									collections jsonb DEFAULT NULL, init_required boolean DEFAULT false, endorsing_orgs text[] DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_commit_chaincode';
COMMENT ON FUNCTION fabric.commit_chaincode IS 'commit a chaincode definition that enough organisations have approved; those that have not are passed over. endorsing_orgs: ask exactly these';
REVOKE ALL ON FUNCTION fabric.commit_chaincode FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.commit_chaincode TO fabric_admin;

CREATE FUNCTION fabric.endorsement_plan(channel text, chaincode text, collections text[] DEFAULT NULL, keys bytea[] DEFAULT NULL,
									no_private_reads boolean DEFAULT false) RETURNS jsonb
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_endorsement_plan';
COMMENT ON FUNCTION fabric.endorsement_plan IS 'which combinations of organisations can endorse a call, as Fabric''s "discover endorsers" shows them; with collections or public keys that it would write: as their policies ask (LF001: no such collection, LF302: no such chaincode)';
REVOKE ALL ON FUNCTION fabric.endorsement_plan FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.endorsement_plan TO fabric_client, fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- peer to peer: what other nodes call on this one as a peer
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric_internal.endorse(signed_proposal bytea, min_height bigint, seen_height bigint, OUT response bytea, OUT height bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_endorse';
COMMENT ON FUNCTION fabric_internal.endorse IS 'endorse a client''s signed proposal: protos.ProposalResponse, and how many blocks the simulation has seen; waits until this node has min_height blocks, and before it refuses seen_height (LF507 when it takes too long)';
REVOKE ALL ON FUNCTION fabric_internal.endorse FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.endorse TO fabric_node;

CREATE FUNCTION fabric_internal.deliver(seek bytea, bytes_max int, wait_ms int) RETURNS SETOF bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_deliver';
COMMENT ON FUNCTION fabric_internal.deliver IS 'blocks for a signed request (envelope of ab.SeekInfo), waiting for the first';
REVOKE ALL ON FUNCTION fabric_internal.deliver FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.deliver TO fabric_node;

CREATE FUNCTION fabric_internal.private_put(request bytea, tx_id text, private_rwset bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_private_put';
COMMENT ON FUNCTION fabric_internal.private_put IS 'keep private plaintext of a transaction (pb(TxPvtReadWriteSet)) until it is committed; request: an envelope about just this, signed by a node of this node''s organisation (LF203 for any other)';
REVOKE ALL ON FUNCTION fabric_internal.private_put FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.private_put TO fabric_node;

CREATE FUNCTION fabric_internal.private_get(request bytea, block_number bigint, tx_number int) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_private_get';
COMMENT ON FUNCTION fabric_internal.private_get IS 'private plaintext of a committed transaction (pb(TxPvtReadWriteSet)), as far as it was not overwritten; empty when this node has none; request: an envelope about just this, signed by a node of this node''s organisation (LF203 for any other)';
REVOKE ALL ON FUNCTION fabric_internal.private_get FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.private_get TO fabric_node;

------------------------------------------------------------------------------------------------------------------------
-- message, policy: pure functions, without any network: for what-if, tests and auditors. PUBLIC may call them.
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.version() RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_version';
COMMENT ON FUNCTION fabric.version IS 'version of the extension''s library';
GRANT EXECUTE ON FUNCTION fabric.version TO PUBLIC;

CREATE FUNCTION fabric.decode_block(block bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_decode_block';
COMMENT ON FUNCTION fabric.decode_block IS 'a block (common.Block) as the JSON that configtxlator prints; U+2400 stands for the zeros of composite keys';
GRANT EXECUTE ON FUNCTION fabric.decode_block TO PUBLIC;

CREATE FUNCTION fabric.decode_message(type text, message bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_decode_message';
COMMENT ON FUNCTION fabric.decode_message IS 'any of Fabric''s messages as JSON; type is its full name, such as common.Envelope';
GRANT EXECUTE ON FUNCTION fabric.decode_message TO PUBLIC;

CREATE FUNCTION fabric.compute_tx_id(nonce bytea, creator bytea) RETURNS text
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_compute_tx_id';
COMMENT ON FUNCTION fabric.compute_tx_id IS 'the transaction id of a nonce and a creator (SerializedIdentity): hex of SHA-256 over both';
GRANT EXECUTE ON FUNCTION fabric.compute_tx_id TO PUBLIC;

CREATE FUNCTION fabric.block_header_hash(number bigint, previous_hash bytea, data_hash bytea) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_block_header_hash';
COMMENT ON FUNCTION fabric.block_header_hash IS 'the hash of a block header: what the next block holds as its previous hash';
GRANT EXECUTE ON FUNCTION fabric.block_header_hash TO PUBLIC;

CREATE FUNCTION fabric.identity_info(creator bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_identity_info';
COMMENT ON FUNCTION fabric.identity_info IS 'what an identity (msp.SerializedIdentity) says: MSP, certificate, organisational units, attributes; nothing is verified';
GRANT EXECUTE ON FUNCTION fabric.identity_info TO PUBLIC;

CREATE FUNCTION fabric.identity_bytes(msp_id text, certificate text) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_identity_bytes';
COMMENT ON FUNCTION fabric.identity_bytes IS 'an identity (msp.SerializedIdentity) of an MSP id and a PEM certificate: the creator of new_proposal';
GRANT EXECUTE ON FUNCTION fabric.identity_bytes TO PUBLIC;

CREATE FUNCTION fabric.policy_compile(policy text) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_compile';
COMMENT ON FUNCTION fabric.policy_compile IS 'compile policy text such as OutOf(2, ''Org1MSP.peer'', ''Org2MSP.peer'', ''Org3MSP.peer'') to a SignaturePolicyEnvelope';
GRANT EXECUTE ON FUNCTION fabric.policy_compile TO PUBLIC;

CREATE FUNCTION fabric.policy_text(policy bytea) RETURNS text
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_text';
COMMENT ON FUNCTION fabric.policy_text IS 'the text of a SignaturePolicyEnvelope';
GRANT EXECUTE ON FUNCTION fabric.policy_text TO PUBLIC;

CREATE FUNCTION fabric.policy_satisfied(policy bytea, principals text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_satisfied_bytes';
COMMENT ON FUNCTION fabric.policy_satisfied(bytea, text[]) IS 'would signatures of these principals, in this order, satisfy the policy (SignaturePolicyEnvelope)?';
GRANT EXECUTE ON FUNCTION fabric.policy_satisfied(bytea, text[]) TO PUBLIC;

CREATE FUNCTION fabric.policy_satisfied(policy text, principals text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_satisfied_text';
COMMENT ON FUNCTION fabric.policy_satisfied(text, text[]) IS 'would signatures of these principals, in this order, satisfy the policy (text)?';
GRANT EXECUTE ON FUNCTION fabric.policy_satisfied(text, text[]) TO PUBLIC;

-- what the views are made of
CREATE FUNCTION fabric.bytes_to_json(bytes bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_bytes_to_json';
COMMENT ON FUNCTION fabric.bytes_to_json IS 'bytes as JSON; null when they are none';
GRANT EXECUTE ON FUNCTION fabric.bytes_to_json TO PUBLIC;

CREATE FUNCTION fabric.bytes_to_text(bytes bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_bytes_to_text';
COMMENT ON FUNCTION fabric.bytes_to_text IS 'bytes as text; null when they are none';
GRANT EXECUTE ON FUNCTION fabric.bytes_to_text TO PUBLIC;

CREATE FUNCTION fabric.key_to_text(key bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_key_to_text';
COMMENT ON FUNCTION fabric.key_to_text IS 'a state key for people: U+2400 for the zeros of composite keys, hex for keys that are hashes';
GRANT EXECUTE ON FUNCTION fabric.key_to_text TO PUBLIC;

------------------------------------------------------------------------------------------------------------------------
-- ledger: blocks, transactions, state and history of a channel
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.get_block(channel text, number bigint) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block';
COMMENT ON FUNCTION fabric.get_block IS 'a block (common.Block) as a peer of Fabric stores it';
REVOKE ALL ON FUNCTION fabric.get_block FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_block TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.get_block_by_hash(channel text, block_hash bytea) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block_by_hash';
COMMENT ON FUNCTION fabric.get_block_by_hash IS 'the block (common.Block) whose header has this hash';
REVOKE ALL ON FUNCTION fabric.get_block_by_hash FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_block_by_hash TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.get_block_by_tx_id(channel text, tx_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block_by_tx_id';
COMMENT ON FUNCTION fabric.get_block_by_tx_id IS 'the block (common.Block) that holds a transaction';
REVOKE ALL ON FUNCTION fabric.get_block_by_tx_id FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_block_by_tx_id TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.get_transaction(channel text, tx_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_transaction';
COMMENT ON FUNCTION fabric.get_transaction IS 'a transaction with its validation code (protos.ProcessedTransaction)';
REVOKE ALL ON FUNCTION fabric.get_transaction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_transaction TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.chain_info(channel text, OUT height bigint, OUT current_block_hash bytea, OUT previous_block_hash bytea) RETURNS record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_chain_info';
COMMENT ON FUNCTION fabric.chain_info IS 'height of a channel on this node, hash of its last block, and of the one before';
REVOKE ALL ON FUNCTION fabric.chain_info FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.chain_info TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.state_digest(channel text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_state_digest';
COMMENT ON FUNCTION fabric.state_digest IS 'one hash over the whole world state, key policies included: the same on every node of the same height';
REVOKE ALL ON FUNCTION fabric.state_digest FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.state_digest TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.get_history(channel text, chaincode text, key text, OUT tx_id text, OUT block_number bigint, OUT tx_number int,
								   OUT created_at timestamptz, OUT is_delete boolean, OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_history';
COMMENT ON FUNCTION fabric.get_history(text, text, text) IS 'the writes of a key by valid transactions, newest first';
REVOKE ALL ON FUNCTION fabric.get_history(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_history(text, text, text) TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.get_history(channel text, chaincode text, key bytea, OUT tx_id text, OUT block_number bigint, OUT tx_number int,
								   OUT created_at timestamptz, OUT is_delete boolean, OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_history';
COMMENT ON FUNCTION fabric.get_history(text, text, bytea) IS 'the writes of a key by valid transactions, newest first; for composite keys, which text cannot hold';
REVOKE ALL ON FUNCTION fabric.get_history(text, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.get_history(text, text, bytea) TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.state_at(channel text, block_number bigint, OUT namespace text, OUT key bytea, OUT value bytea,
								OUT written_in_block bigint, OUT tx_number int) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_state_at';
COMMENT ON FUNCTION fabric.state_at IS 'the keys and values of all chaincodes as they were after this block';
REVOKE ALL ON FUNCTION fabric.state_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.state_at TO fabric_client, fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- views. Their functions are called by the reader of a view, so the roles that may read the views may call them.
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric_internal.tx_id_text(tx_id bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_tx_id_text';
COMMENT ON FUNCTION fabric_internal.tx_id_text IS 'a transaction id as it is stored, to text';
GRANT EXECUTE ON FUNCTION fabric_internal.tx_id_text TO PUBLIC;

CREATE FUNCTION fabric_internal.validation_code_name(code smallint) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_validation_code_name';
COMMENT ON FUNCTION fabric_internal.validation_code_name IS 'the name of a validation code; its number if it has none';
GRANT EXECUTE ON FUNCTION fabric_internal.validation_code_name TO PUBLIC;

CREATE FUNCTION fabric_internal.block_signers(signatures bytea) RETURNS text[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_block_signers';
COMMENT ON FUNCTION fabric_internal.block_signers IS 'the MSP ids of a block''s signers, from its metadata; nothing is verified';
GRANT EXECUTE ON FUNCTION fabric_internal.block_signers TO PUBLIC;

CREATE FUNCTION fabric_internal.key_policy(metadata bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_key_policy';
COMMENT ON FUNCTION fabric_internal.key_policy IS 'the endorsement policy in a key''s metadata; null when there is none';
GRANT EXECUTE ON FUNCTION fabric_internal.key_policy TO PUBLIC;

CREATE FUNCTION fabric_internal.envelope_bytes(channel text, envelope bytea) RETURNS bytea
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_bytes';
COMMENT ON FUNCTION fabric_internal.envelope_bytes IS 'an envelope as it is stored, to Fabric''s bytes';
REVOKE ALL ON FUNCTION fabric_internal.envelope_bytes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.envelope_bytes TO fabric_client, fabric_admin;

CREATE FUNCTION fabric_internal.envelope_creator(channel text, envelope bytea) RETURNS bytea
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_creator';
COMMENT ON FUNCTION fabric_internal.envelope_creator IS 'the creator of a stored envelope (msp.SerializedIdentity)';
REVOKE ALL ON FUNCTION fabric_internal.envelope_creator FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.envelope_creator TO fabric_client, fabric_admin;

CREATE FUNCTION fabric_internal.envelope_arguments(channel text, envelope bytea) RETURNS text[]
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_arguments';
COMMENT ON FUNCTION fabric_internal.envelope_arguments IS 'function and arguments of a stored envelope';
REVOKE ALL ON FUNCTION fabric_internal.envelope_arguments FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.envelope_arguments TO fabric_client, fabric_admin;

CREATE FUNCTION fabric_internal.envelope_event(channel text, envelope bytea, OUT chaincode text, OUT event_name text, OUT payload bytea) RETURNS SETOF record
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'fabric_internal_envelope_event';
COMMENT ON FUNCTION fabric_internal.envelope_event IS 'the chaincode event of a stored envelope, if it has one';
REVOKE ALL ON FUNCTION fabric_internal.envelope_event FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.envelope_event TO fabric_client, fabric_admin;

CREATE FUNCTION fabric_internal.organisations(channel text, OUT msp_id text, OUT name text, OUT is_application boolean, OUT is_orderer boolean,
		OUT peers text[], OUT orderers text[], OUT is_own boolean) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_organisations';
COMMENT ON FUNCTION fabric_internal.organisations IS 'the organisations of a channel; read it as fabric.organisations';
REVOKE ALL ON FUNCTION fabric_internal.organisations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.organisations TO fabric_client, fabric_admin;

CREATE FUNCTION fabric_internal.nodes(channel text, OUT address text, OUT role text, OUT msp_id text, OUT consenter_id bigint, OUT is_own boolean,
		OUT state text, OUT last_answer_at timestamptz, OUT last_error text, OUT last_error_at timestamptz) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_nodes';
COMMENT ON FUNCTION fabric_internal.nodes IS 'the peers and orderers that a channel''s configuration names; read it as fabric.nodes';
REVOKE ALL ON FUNCTION fabric_internal.nodes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.nodes TO fabric_client, fabric_admin;

CREATE VIEW fabric.channels AS
	SELECT c.channel, l.number + 1 AS height, l.block_hash AS current_block_hash, l.committed_at AS last_block_at, c.config_block_number, c.joined_at,
		   c.source
	FROM fabric_internal.channel c
	LEFT JOIN LATERAL (SELECT b.number, b.block_hash, b.committed_at FROM fabric_internal.block b WHERE b.channel = c.channel
					   ORDER BY b.number DESC LIMIT 1) l ON true;
COMMENT ON VIEW fabric.channels IS 'the channels that this node has joined';
GRANT SELECT ON fabric.channels TO fabric_client, fabric_admin;

CREATE VIEW fabric.blocks AS
	SELECT b.channel, b.number, b.block_hash, b.previous_hash, b.data_hash, pg_catalog.length(b.transactions_filter) AS transactions,
		   b.committed_at, b.commit_hash, b.raft_index, fabric_internal.block_signers(b.signatures) AS signers
	FROM fabric_internal.block b;
COMMENT ON VIEW fabric.blocks IS 'the blocks of all channels: header, number of transactions, commit hash (as Fabric''s peers compute it), signers';
GRANT SELECT ON fabric.blocks TO fabric_client, fabric_admin;

CREATE VIEW fabric.transactions AS
	SELECT t.channel, t.block_number, t.position AS tx_number, fabric_internal.tx_id_text(t.tx_id) AS tx_id,
		   CASE t.type WHEN 0 THEN 'MESSAGE' WHEN 1 THEN 'CONFIG' WHEN 2 THEN 'CONFIG_UPDATE' WHEN 3 THEN 'ENDORSER_TRANSACTION'
					   WHEN 4 THEN 'ORDERER_TRANSACTION' WHEN 5 THEN 'DELIVER_SEEK_INFO' WHEN 6 THEN 'CHAINCODE_PACKAGE'
					   WHEN -1 THEN NULL ELSE t.type::text END AS type,
		   fabric_internal.validation_code_name(t.validation_code) AS validation_code, t.creator_msp, t.chaincode,
		   (fabric_internal.envelope_arguments(t.channel, t.envelope))[1] AS function,
		   (fabric_internal.envelope_arguments(t.channel, t.envelope))[2:] AS arguments,
		   t.created_at, fabric_internal.envelope_creator(t.channel, t.envelope) AS creator,
		   fabric_internal.envelope_bytes(t.channel, t.envelope) AS envelope
	FROM fabric_internal.transaction t;
COMMENT ON VIEW fabric.transactions IS 'the transactions of all blocks, valid or not; created_at is the client''s clock';
GRANT SELECT ON fabric.transactions TO fabric_client, fabric_admin;

CREATE VIEW fabric.world_state AS
	SELECT s.channel, s.namespace, fabric.key_to_text(s.key) AS key, fabric.bytes_to_text(s.value) AS value_text,
		   fabric.bytes_to_json(s.value) AS value_json, s.value, s.block_number, s.position AS tx_number,
		   fabric_internal.key_policy(s.metadata) AS endorsement_policy, s.key AS key_bytes
	FROM fabric_internal.world_state s;
COMMENT ON VIEW fabric.world_state IS 'the newest values of all keys; value_text and value_json are null when a value is none; block and transaction that wrote it last';
GRANT SELECT ON fabric.world_state TO fabric_client, fabric_admin;

CREATE VIEW fabric.history AS
	SELECT h.channel, h.namespace, fabric.key_to_text(h.key) AS key, h.block_number, h.position AS tx_number,
		   (SELECT fabric_internal.tx_id_text(t.tx_id) FROM fabric_internal.transaction t
			WHERE t.channel = h.channel AND t.block_number = h.block_number AND t.position = h.position) AS tx_id,
		   (SELECT t.created_at FROM fabric_internal.transaction t
			WHERE t.channel = h.channel AND t.block_number = h.block_number AND t.position = h.position) AS created_at,
		   h.value IS NULL AS is_delete, fabric.bytes_to_text(h.value) AS value_text, fabric.bytes_to_json(h.value) AS value_json,
		   h.value, h.key AS key_bytes
	FROM fabric_internal.history h;
COMMENT ON VIEW fabric.history IS 'every write of every public key by valid transactions';
GRANT SELECT ON fabric.history TO fabric_client, fabric_admin;

CREATE VIEW fabric.events AS
	SELECT t.channel, t.block_number, t.position AS tx_number, fabric_internal.tx_id_text(t.tx_id) AS tx_id, e.chaincode, e.event_name,
		   t.validation_code = 0 AS valid, fabric_internal.validation_code_name(t.validation_code) AS validation_code,
		   fabric.bytes_to_text(e.payload) AS payload_text, fabric.bytes_to_json(e.payload) AS payload_json, e.payload
	FROM fabric_internal.transaction t, fabric_internal.envelope_event(t.channel, t.envelope) e
	WHERE t.type = 3;
COMMENT ON VIEW fabric.events IS 'chaincode events. Those of invalid transactions are in the blocks too, but nothing happened: look at valid';
GRANT SELECT ON fabric.events TO fabric_client, fabric_admin;

CREATE VIEW fabric.organisations AS
	SELECT c.channel, o.msp_id, o.name, o.is_application, o.is_orderer, o.peers, o.orderers, o.is_own
	FROM fabric_internal.channel c, fabric_internal.organisations(c.channel) o;
COMMENT ON VIEW fabric.organisations IS 'the organisations of all channels, with the addresses of their peers and orderers; is_own: this node''s';
GRANT SELECT ON fabric.organisations TO fabric_client, fabric_admin;

CREATE VIEW fabric.nodes AS
	SELECT c.channel, n.address, n.role, n.msp_id, n.consenter_id, n.is_own, n.state, n.last_answer_at, n.last_error, n.last_error_at, a.options
	FROM fabric_internal.channel c, fabric_internal.nodes(c.channel) n LEFT JOIN fabric_internal.node a USING (address);
COMMENT ON VIEW fabric.nodes IS 'the peers and orderers that the channels'' configurations name, and how this node connects to them. state: whether the node answered the last request of this one (answers, silent; behind: it lacked blocks; null: none since the start of the server); last_error: why not, or what was wrong, however long ago';
GRANT SELECT ON fabric.nodes TO fabric_client, fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- statistics: what this node's processes publish in shared memory
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric_internal.stat_channel(OUT channel text, OUT height bigint, OUT config_block_number bigint, OUT lifecycle_block_number bigint,
		OUT lag bigint, OUT waiting_envelopes bigint, OUT waiting_bytes bigint, OUT inbox_records bigint, OUT inbox_bytes bigint,
		OUT inbox_refused bigint, OUT private_inbox_records bigint, OUT private_inbox_bytes bigint, OUT private_inbox_refused bigint, OUT sessions_waiting int, OUT sessions_woken bigint,
		OUT source text, OUT source_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_channel';
COMMENT ON FUNCTION fabric_internal.stat_channel IS 'what the processes of this node publish about its channels; read it as fabric.stat_channel';
REVOKE ALL ON FUNCTION fabric_internal.stat_channel FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_channel TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_workers(OUT kind text, OUT channel text, OUT pid int, OUT started_at timestamptz, OUT restarts bigint,
		OUT last_exit_at timestamptz, OUT last_error text, OUT last_error_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_workers';
COMMENT ON FUNCTION fabric_internal.stat_workers IS 'the background processes of this node; read it as fabric.stat_workers';
REVOKE ALL ON FUNCTION fabric_internal.stat_workers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_workers TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_validation(OUT channel text, OUT code smallint, OUT name text, OUT count bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_validation';
COMMENT ON FUNCTION fabric_internal.stat_validation IS 'transactions by validation code; read it as fabric.stat_validation';
REVOKE ALL ON FUNCTION fabric_internal.stat_validation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_validation TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_relay(OUT pid int, OUT connections int, OUT requests_now int, OUT requests bigint, OUT refused bigint)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'fabric_internal_stat_relay';
COMMENT ON FUNCTION fabric_internal.stat_relay IS 'the process that carries the requests of sessions to other nodes; read it as fabric.stat_relay';
REVOKE ALL ON FUNCTION fabric_internal.stat_relay FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_relay TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_validation_work(OUT channel text, OUT blocks bigint, OUT policies_parsed bigint, OUT policies_evaluated bigint,
		OUT signatures_checked bigint, OUT identities_checked bigint, OUT range_rows bigint, OUT total_ms float8, OUT last_ms float8, OUT longest_ms float8,
		OUT longest_block bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_validation_work';
COMMENT ON FUNCTION fabric_internal.stat_validation_work IS 'what validating blocks costs; read it as fabric.stat_validation_work';
REVOKE ALL ON FUNCTION fabric_internal.stat_validation_work FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_validation_work TO fabric_admin, fabric_client;

CREATE FUNCTION fabric_internal.stat_notifications(OUT channel text, OUT block_number bigint, OUT blocks_behind bigint, OUT failures bigint,
		OUT failing_since timestamptz, OUT last_error text) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_notifications';
COMMENT ON FUNCTION fabric_internal.stat_notifications IS 'how NOTIFY of blocks goes; read it as fabric.stat_notifications';
REVOKE ALL ON FUNCTION fabric_internal.stat_notifications FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric_internal.stat_notifications TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_channel AS
	SELECT s.channel, s.height, l.committed_at AS last_block_at, s.lag, s.config_block_number, s.lifecycle_block_number, s.waiting_envelopes,
		   s.waiting_bytes, s.inbox_records, s.inbox_bytes, s.inbox_refused, s.private_inbox_records, s.private_inbox_bytes, s.private_inbox_refused,
		   s.sessions_waiting, s.sessions_woken, s.source, s.source_at
	FROM fabric_internal.stat_channel() s
	LEFT JOIN LATERAL (SELECT b.committed_at FROM fabric_internal.block b WHERE b.channel = s.channel ORDER BY b.number DESC LIMIT 1) l ON true;
COMMENT ON VIEW fabric.stat_channel IS 'channels of this node: height, Raft entries ordered but not yet in the ledger (lag; null on a node that does not order), queues, sessions that wait for a transaction now and that were woken by one since the start of the server, the node that last answered a request for blocks and when (null where all came from the own Raft log)';
GRANT SELECT ON fabric.stat_channel TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_conditions AS
	SELECT c.process, c.channel, c.topic, c.subject, c.sqlstate, c.message, c.detail, c.hint, c.since, c.last_at, c.count FROM fabric_internal.stat_conditions() c;
COMMENT ON VIEW fabric.stat_conditions IS 'what is wrong now at this node, with the whole reason: no row, no trouble. process reports it, of a topic (source, blocks, consenter, leader, certificate, private data, node, start ...) and in it a subject (an address, a consenter); since when it holds, when it was met last and how often. What is over is not shown; the log has a line for its beginning, its end, and in between';
GRANT SELECT ON fabric.stat_conditions TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_workers AS
	SELECT w.kind, w.channel, w.pid, w.started_at, w.restarts, w.last_exit_at, w.last_error, w.last_error_at
	FROM fabric_internal.stat_workers() w;
COMMENT ON VIEW fabric.stat_workers IS 'the background processes of this node: pid is null while one does not run; last_error ended it, or is what it last complained about, at last_error_at; what is wrong now is in fabric.stat_conditions';
GRANT SELECT ON fabric.stat_workers TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_validation AS
	SELECT v.channel, v.code, v.name, v.count FROM fabric_internal.stat_validation() v;
COMMENT ON VIEW fabric.stat_validation IS 'transactions committed since the start of the server, by validation code';
GRANT SELECT ON fabric.stat_validation TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_relay AS
	SELECT r.pid, r.connections, r.requests_now, r.requests, r.refused FROM fabric_internal.stat_relay() r;
COMMENT ON VIEW fabric.stat_relay IS 'the process that carries the requests of sessions to other nodes: pid is null while it does not run; connections it has; requests that wait or are under way now; requests since the start of the server; refused ones, whose sessions made connections of their own';
GRANT SELECT ON fabric.stat_relay TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_validation_work AS
	SELECT w.channel, w.blocks, w.policies_parsed, w.policies_evaluated, w.signatures_checked, w.identities_checked, w.range_rows, w.total_ms, w.last_ms,
		   w.longest_ms, w.longest_block
	FROM fabric_internal.stat_validation_work() w;
COMMENT ON VIEW fabric.stat_validation_work IS 'what validating blocks has cost since the start of the server: policies parsed and evaluated, signatures checked (also those that this node had verified before), certificates parsed and verified, keys that range queries looked at when they were run again; milliseconds of all blocks, of the last one, of the longest one and its number';
GRANT SELECT ON fabric.stat_validation_work TO fabric_admin, fabric_client;

CREATE VIEW fabric.stat_notifications AS
	SELECT n.channel, n.block_number, n.blocks_behind, n.failures, n.failing_since, n.last_error, pg_notification_queue_usage() AS queue_usage
	FROM fabric_internal.stat_notifications() n;
COMMENT ON VIEW fabric.stat_notifications IS 'NOTIFY fabric_block by channel: the last block that was told, later blocks without a notification, failed attempts since the start of the server, since when they fail (null: they do not), what went wrong last; and how full the instance''s queue is (0 to 1). Blocks do not depend on it';
GRANT SELECT ON fabric.stat_notifications TO fabric_admin, fabric_client;

------------------------------------------------------------------------------------------------------------------------
-- audit: proofs of a single block, and of a channel's whole ledger on this node
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric.verify_block(block bytea, config_block bytea DEFAULT NULL, previous_block bytea DEFAULT NULL,
									OUT tx_number int, OUT problem text, OUT detail text) RETURNS SETOF record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE ROWS 1 COST 10000 AS 'MODULE_PATHNAME', 'fabric_verify_block';
COMMENT ON FUNCTION fabric.verify_block IS 'what is wrong with a block (common.Block), no row: nothing. With the configuration block, signers and orderers'' policy are checked too; with the block before, the link and the commit hash';
GRANT EXECUTE ON FUNCTION fabric.verify_block TO PUBLIC;

CREATE FUNCTION fabric.verify_chain(channel text, from_block bigint DEFAULT 0, to_block bigint DEFAULT NULL,
									OUT block_number bigint, OUT tx_number int, OUT problem text, OUT detail text) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'fabric_verify_chain';
COMMENT ON FUNCTION fabric.verify_chain IS 'what is wrong with this node''s copy of a chain, no row: nothing. Verifies every hash, signature and validation code of the blocks, and with the last block also each key of world state and history, replayed from block 0';
REVOKE ALL ON FUNCTION fabric.verify_chain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.verify_chain TO fabric_client, fabric_admin;

CREATE FUNCTION fabric.rebuild_state(channel text, OUT blocks bigint, OUT blocks_corrected bigint, OUT state_rows bigint, OUT state_corrected bigint,
									 OUT history_rows bigint, OUT history_corrected bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_rebuild_state';
COMMENT ON FUNCTION fabric.rebuild_state IS 'make world state, history and all columns that follow from the blocks anew from the chain; says how many rows there are and how many were wrong';
REVOKE ALL ON FUNCTION fabric.rebuild_state FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.rebuild_state TO fabric_admin;

CREATE FUNCTION fabric.repair_tables(channel text, OUT table_name text, OUT page bigint, OUT detail text) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_tables';
COMMENT ON FUNCTION fabric.repair_tables IS 'take rows that cannot be read out of the pages of a channel''s tables, one row for each, and make triggers and indexes again; then fabric.repair_chain brings back what is missing. LF401 when the channel is not joined';
REVOKE ALL ON FUNCTION fabric.repair_tables FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.repair_tables TO fabric_admin;

CREATE FUNCTION fabric.repair_chain(channel text, OUT block_number bigint, OUT address text) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_chain';
COMMENT ON FUNCTION fabric.repair_chain IS 'replace damaged blocks by those of other nodes, if hashes and signatures prove them, then rebuild the state; returns the blocks replaced and the nodes they came from';
REVOKE ALL ON FUNCTION fabric.repair_chain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.repair_chain TO fabric_admin;

------------------------------------------------------------------------------------------------------------------------
-- whatever ALTER DEFAULT PRIVILEGES says of tables: the views are for whom they were granted to, and the tables for nobody, least of all for the
-- other organisations' nodes, who may look into their schema
------------------------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL TABLES IN SCHEMA fabric, fabric_internal FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA fabric, fabric_internal FROM PUBLIC;

------------------------------------------------------------------------------------------------------------------------
-- What keeps the extension from being dropped by mistake is in the library, which an ordinary session without
-- shared_preload_libraries has not loaded.
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fabric_internal.load_library() RETURNS event_trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_load_library';
COMMENT ON FUNCTION fabric_internal.load_library IS 'event trigger: loads the library, which refuses to drop joined channels and authorities (fabric.allow_drop_extension)';
REVOKE ALL ON FUNCTION fabric_internal.load_library FROM PUBLIC;
CREATE EVENT TRIGGER fabric_drop_guard ON ddl_command_start WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
	EXECUTE FUNCTION fabric_internal.load_library();
COMMENT ON EVENT TRIGGER fabric_drop_guard IS 'loads the library before a statement that could drop the extension';
