-- ledger: blocks, transactions, state and history of a channel

CREATE FUNCTION fabric.get_block(channel text, number bigint) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block';
COMMENT ON FUNCTION fabric.get_block IS 'a block (common.Block) as a peer of Fabric stores it';

CREATE FUNCTION fabric.get_block_by_hash(channel text, block_hash bytea) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block_by_hash';
COMMENT ON FUNCTION fabric.get_block_by_hash IS 'the block (common.Block) whose header has this hash';

CREATE FUNCTION fabric.get_block_by_tx_id(channel text, tx_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_block_by_tx_id';
COMMENT ON FUNCTION fabric.get_block_by_tx_id IS 'the block (common.Block) that contains a transaction';

CREATE FUNCTION fabric.get_transaction(channel text, tx_id text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_transaction';
COMMENT ON FUNCTION fabric.get_transaction IS 'a transaction with its validation code (protos.ProcessedTransaction)';

CREATE FUNCTION fabric.chain_info(channel text, OUT height bigint, OUT current_block_hash bytea,
	OUT previous_block_hash bytea) RETURNS record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_chain_info';
COMMENT ON FUNCTION fabric.chain_info IS 'height of a channel on this node, hash of its last block, and of the one before';

CREATE FUNCTION fabric.state_digest(channel text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_state_digest';
COMMENT ON FUNCTION fabric.state_digest IS 'one hash over the whole world state, including key policies: equal on all nodes at the same height';

CREATE FUNCTION fabric.get_history(channel text, chaincode text, key text, OUT tx_id text,
	OUT block_number bigint, OUT tx_number int, OUT created_at timestamptz, OUT is_delete boolean,
	OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_history';
COMMENT ON FUNCTION fabric.get_history(text, text, text) IS 'the writes of a key by valid transactions, newest first';

CREATE FUNCTION fabric.get_history(channel text, chaincode text, key bytea, OUT tx_id text,
	OUT block_number bigint, OUT tx_number int, OUT created_at timestamptz, OUT is_delete boolean,
	OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_get_history';
COMMENT ON FUNCTION fabric.get_history(text, text, bytea) IS 'the writes of a key by valid transactions, newest first; for composite keys, which text cannot contain';

CREATE FUNCTION fabric.state_at(channel text, block_number bigint, OUT namespace text,
	OUT key bytea, OUT value bytea, OUT written_in_block bigint, OUT tx_number int)
	RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_state_at';
COMMENT ON FUNCTION fabric.state_at IS 'the keys and values of all chaincodes after this block';
