-- audit: proofs of a single block, and of a channel's whole ledger on this node

CREATE FUNCTION fabric.verify_block(block bytea, config_block bytea DEFAULT NULL,
	previous_block bytea DEFAULT NULL, OUT tx_number int, OUT problem text, OUT detail text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE ROWS 1 COST 10000 AS 'MODULE_PATHNAME', 'fabric_verify_block';
COMMENT ON FUNCTION fabric.verify_block IS 'what is wrong with a block (common.Block), no row: nothing. With the configuration block, signers and orderers'' policy are checked too; with the block before, the link and the commit hash';

CREATE FUNCTION fabric.verify_chain(channel text, from_block bigint DEFAULT 0,
	to_block bigint DEFAULT NULL, OUT block_number bigint, OUT tx_number int, OUT problem text,
	OUT detail text) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'fabric_verify_chain';
COMMENT ON FUNCTION fabric.verify_chain IS 'what is wrong with this node''s copy of a chain, no row: nothing. Verifies every hash, signature and validation code of the blocks, and with the last block also each key of world state and history, replayed from block 0';

CREATE FUNCTION fabric.rebuild_state(channel text, OUT blocks bigint, OUT blocks_corrected bigint,
	OUT state_rows bigint, OUT state_corrected bigint, OUT history_rows bigint,
	OUT history_corrected bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_rebuild_state';
COMMENT ON FUNCTION fabric.rebuild_state IS 'make world state, history and all columns that follow from the blocks anew from the chain; says how many rows there are and how many were wrong';

CREATE FUNCTION fabric.repair_tables(channel text, OUT table_name text, OUT page bigint,
	OUT detail text) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_tables';
COMMENT ON FUNCTION fabric.repair_tables IS 'take rows that cannot be read out of the pages of a channel''s tables, one row for each, and make triggers and indexes again; then fabric.repair_chain brings back what is missing. LF401 when the channel is not joined';

CREATE FUNCTION fabric.repair_chain(channel text, OUT block_number bigint, OUT address text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_chain';
COMMENT ON FUNCTION fabric.repair_chain IS 'replace damaged blocks by those of other nodes, if hashes and signatures prove them, then rebuild the state; returns the blocks replaced and the nodes they came from';
