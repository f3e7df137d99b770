-- message, policy: pure functions, without any network: for what-if, tests and auditors. PUBLIC may
-- call them.

CREATE FUNCTION fabric.version() RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_version';
COMMENT ON FUNCTION fabric.version IS 'version of the extension''s library';

CREATE FUNCTION fabric.decode_block(block bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_decode_block';
COMMENT ON FUNCTION fabric.decode_block IS 'a block (common.Block) as the JSON that configtxlator prints; U+2400 stands for the zeros of composite keys';

CREATE FUNCTION fabric.decode_message(type text, message bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_decode_message';
COMMENT ON FUNCTION fabric.decode_message IS 'any of Fabric''s messages as JSON; type is its full name, such as common.Envelope';

CREATE FUNCTION fabric.compute_tx_id(nonce bytea, creator bytea) RETURNS text
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_compute_tx_id';
COMMENT ON FUNCTION fabric.compute_tx_id IS 'the transaction id of a nonce and a creator (SerializedIdentity): hex of SHA-256 over both';

CREATE FUNCTION fabric.block_header_hash(number bigint, previous_hash bytea, data_hash bytea)
	RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_block_header_hash';
COMMENT ON FUNCTION fabric.block_header_hash IS 'the hash of a block header, which is the previous hash of the next block';

CREATE FUNCTION fabric.identity_info(creator bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_identity_info';
COMMENT ON FUNCTION fabric.identity_info IS 'the content of an identity (msp.SerializedIdentity): MSP, certificate, organizational units, attributes; nothing is verified';

CREATE FUNCTION fabric.identity_bytes(msp_id text, certificate text) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_identity_bytes';
COMMENT ON FUNCTION fabric.identity_bytes IS 'an identity (msp.SerializedIdentity) of an MSP id and a PEM certificate: the creator of new_proposal';

CREATE FUNCTION fabric.policy_compile(policy text) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_compile';
COMMENT ON FUNCTION fabric.policy_compile IS 'compile policy text such as OutOf(2, ''Org1MSP.peer'', ''Org2MSP.peer'', ''Org3MSP.peer'') to a SignaturePolicyEnvelope';

CREATE FUNCTION fabric.policy_text(policy bytea) RETURNS text
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_text';
COMMENT ON FUNCTION fabric.policy_text IS 'the text of a SignaturePolicyEnvelope';

CREATE FUNCTION fabric.policy_satisfied(policy bytea, principals text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_satisfied_bytes';
COMMENT ON FUNCTION fabric.policy_satisfied(bytea, text[]) IS 'would signatures of these principals, in this order, satisfy the policy (SignaturePolicyEnvelope)?';

CREATE FUNCTION fabric.policy_satisfied(policy text, principals text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_policy_satisfied_text';
COMMENT ON FUNCTION fabric.policy_satisfied(text, text[]) IS 'would signatures of these principals, in this order, satisfy the policy (text)?';

-- what the views are made of
CREATE FUNCTION fabric.bytes_to_json(bytes bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_bytes_to_json';
COMMENT ON FUNCTION fabric.bytes_to_json IS 'bytes as JSON; null if they are not JSON';

CREATE FUNCTION fabric.bytes_to_text(bytes bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_bytes_to_text';
COMMENT ON FUNCTION fabric.bytes_to_text IS 'bytes as text; null if they are not valid text';

CREATE FUNCTION fabric.key_to_text(key bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_key_to_text';
COMMENT ON FUNCTION fabric.key_to_text IS 'a state key in readable form: U+2400 for the zeros of composite keys, hex for keys that are hashes';
