-- channel: channels are created, joined and left

CREATE FUNCTION fabric.create_channel(channel text, profile jsonb) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_create_channel';
COMMENT ON FUNCTION fabric.create_channel IS 'make the genesis block of a new channel from a profile (the content of configtx.yaml as jsonb), without joining it. LF410 for an invalid profile';

CREATE FUNCTION fabric.join_channel(genesis_block bytea, source text DEFAULT 'orderers')
	RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_join_channel';
COMMENT ON FUNCTION fabric.join_channel IS 'join the channel of this genesis block on this node; source: where its blocks come from, ''orderers'' or ''import'' (only from fabric.import_block); returns the channel''s name';

CREATE FUNCTION fabric.leave_channel(channel text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_leave_channel';
COMMENT ON FUNCTION fabric.leave_channel IS 'remove a channel and all its data from this node';
