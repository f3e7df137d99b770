-- import: blocks that an administrator brings

CREATE FUNCTION fabric.set_channel_source(channel text, source text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_set_channel_source';
COMMENT ON FUNCTION fabric.set_channel_source IS 'set the source of a channel''s blocks on this node: ''orderers'', or ''import'' (only from fabric.import_block)';

CREATE FUNCTION fabric.import_block(channel text, block bytea,
	accept_differences boolean DEFAULT false, OUT block_number bigint, OUT imported boolean,
	OUT validation_codes jsonb) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_import_block';
COMMENT ON FUNCTION fabric.import_block IS 'validate the next block of a channel as if an orderer had delivered it, and commit it at once, independent of the caller''s transaction; imported: false if the ledger already has it. Validation codes and commit hash in the block must be those that this node computes (LF405); accept_differences: store this node''s own, with a warning';
