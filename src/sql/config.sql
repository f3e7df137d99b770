-- config: a channel's configuration is read and changed

CREATE FUNCTION fabric.config(channel text, block bigint DEFAULT NULL) RETURNS jsonb
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_config';
COMMENT ON FUNCTION fabric.config IS 'the channel''s configuration (common.Config) as the JSON that configtxlator prints: the present one, or the one after a block. LF401 when the channel is not joined, LF403 when it has no such block';

CREATE FUNCTION fabric.encode_message(type text, message jsonb) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_encode_message';
COMMENT ON FUNCTION fabric.encode_message IS 'the bytes of any of Fabric''s messages from the JSON that fabric.decode_message returns; type is its full name, such as common.Config. LF002 when the JSON is not such a message';

CREATE FUNCTION fabric.compute_config_update(channel text, old jsonb, new jsonb) RETURNS bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_compute_config_update';
COMMENT ON FUNCTION fabric.compute_config_update IS 'the update (common.ConfigUpdate) that leads from one configuration to another, as configtxlator compute_update makes it. LF410 when they do not differ';

CREATE FUNCTION fabric.sign_config_update(update bytea, identity text DEFAULT NULL) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_sign_config_update';
COMMENT ON FUNCTION fabric.sign_config_update IS 'a signature (common.ConfigSignature) for an update, with an identity that the caller may use; identity: its label. Look at what the update changes first: fabric.decode_message(''common.ConfigUpdate'', update)';

CREATE FUNCTION fabric.submit_config_update(update bytea, signatures bytea[] DEFAULT '{}',
	identity text DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_submit_config_update';
COMMENT ON FUNCTION fabric.submit_config_update IS 'sign an update with an identity that the caller may use, submit it with the signatures of others, and wait until this node has committed it; returns the number of its block. LF202 when signatures are missing, LF410 when the configuration cannot change so';
