-- view: what users read. The reader of a view calls its functions, so the roles that may read a
-- view
-- may call its functions.

CREATE FUNCTION fabric_internal.tx_id_text(tx_id bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_tx_id_text';
COMMENT ON FUNCTION fabric_internal.tx_id_text IS 'the text of a stored transaction id';

CREATE FUNCTION fabric_internal.validation_code_name(code smallint) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_validation_code_name';
COMMENT ON FUNCTION fabric_internal.validation_code_name IS 'the name of a validation code; its number if it has none';

CREATE FUNCTION fabric_internal.block_signers(signatures bytea) RETURNS text[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_block_signers';
COMMENT ON FUNCTION fabric_internal.block_signers IS 'the MSP ids of a block''s signers, from its metadata; nothing is verified';

CREATE FUNCTION fabric_internal.key_policy(metadata bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_internal_key_policy';
COMMENT ON FUNCTION fabric_internal.key_policy IS 'the endorsement policy in a key''s metadata; null when there is none';

CREATE FUNCTION fabric_internal.envelope_bytes(channel text, envelope bytea) RETURNS bytea
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_bytes';
COMMENT ON FUNCTION fabric_internal.envelope_bytes IS 'Fabric''s bytes of a stored envelope';

CREATE FUNCTION fabric_internal.envelope_creator(channel text, envelope bytea) RETURNS bytea
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_creator';
COMMENT ON FUNCTION fabric_internal.envelope_creator IS 'the creator of a stored envelope (msp.SerializedIdentity)';

CREATE FUNCTION fabric_internal.envelope_arguments(channel text, envelope bytea) RETURNS text[]
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_envelope_arguments';
COMMENT ON FUNCTION fabric_internal.envelope_arguments IS 'function and arguments of a stored envelope';

CREATE FUNCTION fabric_internal.envelope_event(channel text, envelope bytea, OUT chaincode text,
	OUT event_name text, OUT payload bytea) RETURNS SETOF record
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'fabric_internal_envelope_event';
COMMENT ON FUNCTION fabric_internal.envelope_event IS 'the chaincode event of a stored envelope, if it has one';

CREATE FUNCTION fabric_internal.organizations(channel text, OUT msp_id text, OUT name text,
	OUT is_application boolean, OUT is_orderer boolean, OUT peers text[], OUT orderers text[],
	OUT is_own boolean) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_organizations';
COMMENT ON FUNCTION fabric_internal.organizations IS 'the organizations of a channel; read it as fabric.organizations';

CREATE FUNCTION fabric_internal.nodes(channel text, OUT address text, OUT role text,
	OUT msp_id text, OUT consenter_id bigint, OUT is_own boolean, OUT state text,
	OUT last_answer_at timestamptz, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_nodes';
COMMENT ON FUNCTION fabric_internal.nodes IS 'the peers and orderers that a channel''s configuration names; read it as fabric.nodes';

CREATE VIEW fabric.channels AS
	SELECT c.channel, l.number + 1 AS height, l.block_hash AS current_block_hash,
		l.committed_at AS last_block_at, c.config_block_number, c.joined_at, c.source
	FROM fabric_internal.channel c
	LEFT JOIN LATERAL (SELECT b.number, b.block_hash, b.committed_at FROM fabric_internal.block b
		WHERE b.channel = c.channel ORDER BY b.number DESC LIMIT 1) l ON true;
COMMENT ON VIEW fabric.channels IS 'the channels that this node has joined';

CREATE VIEW fabric.blocks AS
	SELECT b.channel, b.number, b.block_hash, b.previous_hash, b.data_hash,
		pg_catalog.length(b.transactions_filter) AS transactions, b.committed_at, b.commit_hash,
		b.raft_index, fabric_internal.block_signers(b.signatures) AS signers
	FROM fabric_internal.block b;
COMMENT ON VIEW fabric.blocks IS 'the blocks of all channels: header, number of transactions, commit hash (as Fabric''s peers compute it), signers';

CREATE VIEW fabric.transactions AS
	SELECT t.channel, t.block_number, t.position AS tx_number,
		fabric_internal.tx_id_text(t.tx_id) AS tx_id,
		CASE t.type WHEN 0 THEN 'MESSAGE' WHEN 1 THEN 'CONFIG' WHEN 2 THEN 'CONFIG_UPDATE'
			WHEN 3 THEN 'ENDORSER_TRANSACTION' WHEN 4 THEN 'ORDERER_TRANSACTION'
			WHEN 5 THEN 'DELIVER_SEEK_INFO' WHEN 6 THEN 'CHAINCODE_PACKAGE'
			WHEN -1 THEN NULL ELSE t.type::text END AS type,
		fabric_internal.validation_code_name(t.validation_code) AS validation_code,
		t.creator_msp, t.chaincode,
		(fabric_internal.envelope_arguments(t.channel, t.envelope))[1] AS function,
		(fabric_internal.envelope_arguments(t.channel, t.envelope))[2:] AS arguments,
		t.created_at, fabric_internal.envelope_creator(t.channel, t.envelope) AS creator,
		fabric_internal.envelope_bytes(t.channel, t.envelope) AS envelope
	FROM fabric_internal.transaction t;
COMMENT ON VIEW fabric.transactions IS 'the transactions of all blocks, valid or not; created_at is the client''s clock';

CREATE VIEW fabric.world_state AS
	SELECT s.channel, s.namespace, fabric.key_to_text(s.key) AS key,
		fabric.bytes_to_text(s.value) AS value_text, fabric.bytes_to_json(s.value) AS value_json,
		s.value, s.block_number, s.position AS tx_number,
		fabric_internal.key_policy(s.metadata) AS endorsement_policy, s.key AS key_bytes
	FROM fabric_internal.world_state s;
COMMENT ON VIEW fabric.world_state IS 'the newest values of all keys; value_text and value_json are null if the value is not text or JSON; block and transaction that wrote it last';

CREATE VIEW fabric.history AS
	SELECT h.channel, h.namespace, fabric.key_to_text(h.key) AS key, h.block_number,
		h.position AS tx_number,
		(SELECT fabric_internal.tx_id_text(t.tx_id) FROM fabric_internal.transaction t
			WHERE t.channel = h.channel AND t.block_number = h.block_number
				AND t.position = h.position) AS tx_id,
		(SELECT t.created_at FROM fabric_internal.transaction t
			WHERE t.channel = h.channel AND t.block_number = h.block_number
				AND t.position = h.position) AS created_at,
		h.value IS NULL AS is_delete, fabric.bytes_to_text(h.value) AS value_text,
		fabric.bytes_to_json(h.value) AS value_json, h.value, h.key AS key_bytes
	FROM fabric_internal.history h;
COMMENT ON VIEW fabric.history IS 'every write of every public key by valid transactions';

CREATE VIEW fabric.events AS
	SELECT t.channel, t.block_number, t.position AS tx_number,
		fabric_internal.tx_id_text(t.tx_id) AS tx_id, e.chaincode, e.event_name,
		t.validation_code = 0 AS valid,
		fabric_internal.validation_code_name(t.validation_code) AS validation_code,
		fabric.bytes_to_text(e.payload) AS payload_text,
		fabric.bytes_to_json(e.payload) AS payload_json, e.payload
	FROM fabric_internal.transaction t, fabric_internal.envelope_event(t.channel, t.envelope) e
	WHERE t.type = 3;
COMMENT ON VIEW fabric.events IS 'chaincode events. Blocks also contain events of invalid transactions, which had no effect: check valid';

CREATE VIEW fabric.organizations AS
	SELECT c.channel, o.msp_id, o.name, o.is_application, o.is_orderer, o.peers, o.orderers,
		o.is_own
	FROM fabric_internal.channel c, fabric_internal.organizations(c.channel) o;
COMMENT ON VIEW fabric.organizations IS 'the organizations of all channels, with the addresses of their peers and orderers; is_own: this node''s';

CREATE VIEW fabric.nodes AS
	SELECT c.channel, n.address, n.role, n.msp_id, n.consenter_id, n.is_own, n.state,
		n.last_answer_at, n.last_error, n.last_error_at, a.options
	FROM fabric_internal.channel c, fabric_internal.nodes(c.channel) n
	LEFT JOIN fabric_internal.node a USING (address);
COMMENT ON VIEW fabric.nodes IS 'the peers and orderers that the channels'' configurations name, and how this node connects to them. state: whether the node answered the last request of this one (answers, silent; behind: it lacked blocks; null: none since the start of the server); last_error: the last failure, however long ago';
