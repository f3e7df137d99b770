-- audit: proofs of a single block, and of a channel's whole ledger on this node

CREATE FUNCTION fabric.verify_block(block bytea, config_block bytea DEFAULT NULL,
	previous_block bytea DEFAULT NULL, OUT tx_number int, OUT problem text, OUT detail text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE ROWS 1 COST 10000 AS 'MODULE_PATHNAME', 'fabric_verify_block';
COMMENT ON FUNCTION fabric.verify_block IS 'the problems of a block (common.Block); no row if there are none. With the configuration block, signers and the orderers'' policy are checked, too; with the previous block, the link and the commit hash. LF002 when an argument is not a block';

CREATE FUNCTION fabric.verify_chain(channel text, from_block bigint DEFAULT 0,
	to_block bigint DEFAULT NULL, OUT block_number bigint, OUT tx_number int, OUT problem text,
	OUT detail text) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'fabric_verify_chain';
COMMENT ON FUNCTION fabric.verify_chain IS 'the problems of this node''s copy of a chain; no row if there are none. Verifies every hash, signature and validation code of the blocks, and with the last block also each key of world state and history, replayed from block 0';

CREATE FUNCTION fabric.rebuild_state(channel text, OUT blocks bigint, OUT blocks_corrected bigint,
	OUT state_rows bigint, OUT state_corrected bigint, OUT history_rows bigint,
	OUT history_corrected bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_rebuild_state';
COMMENT ON FUNCTION fabric.rebuild_state IS 'rebuild world state, history and all columns that follow from the blocks; returns how many rows there are and how many were wrong. LF401 when the channel is not joined, LF902 when a block is damaged';

CREATE FUNCTION fabric.repair_tables(channel text, OUT table_name text, OUT page bigint,
	OUT detail text) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_tables';
COMMENT ON FUNCTION fabric.repair_tables IS 'remove unreadable rows from the pages of a channel''s tables, one result row for each, and rebuild triggers and indexes; call fabric.repair_chain afterwards to restore the missing rows. LF401 when the channel is not joined';

CREATE FUNCTION fabric.repair_chain(channel text, OUT block_number bigint, OUT address text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_repair_chain';
COMMENT ON FUNCTION fabric.repair_chain IS 'replace damaged blocks by those of other nodes, if hashes and signatures prove them, then rebuild the state; returns the replaced blocks and the nodes that sent them. LF401 when the channel is not joined';
