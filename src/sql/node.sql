-- node: what other nodes call on this one as a peer

CREATE FUNCTION fabric_internal.endorse(signed_proposal bytea, min_height bigint,
	seen_height bigint, OUT response bytea, OUT height bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_endorse';
COMMENT ON FUNCTION fabric_internal.endorse IS 'endorse a client''s signed proposal: protos.ProposalResponse, and the height of the simulation; waits until this node has min_height blocks, and before a refusal until it has seen_height blocks (LF507 when this takes too long)';

CREATE FUNCTION fabric_internal.deliver(seek bytea, bytes_max int, wait_ms int) RETURNS SETOF bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_deliver';
COMMENT ON FUNCTION fabric_internal.deliver IS 'blocks for a signed request (envelope of ab.SeekInfo), waiting for the first';

CREATE FUNCTION fabric_internal.private_put(request bytea, tx_id text, private_rwset bytea)
	RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_private_put';
COMMENT ON FUNCTION fabric_internal.private_put IS 'store private plaintext of a transaction (pb(TxPvtReadWriteSet)) until it is committed; request: an envelope for exactly this content, signed by a node of this node''s organization (LF203 for any other)';

CREATE FUNCTION fabric_internal.private_get(request bytea, block_number bigint, tx_number int)
	RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_private_get';
COMMENT ON FUNCTION fabric_internal.private_get IS 'private plaintext of a committed transaction (pb(TxPvtReadWriteSet)), unless it was overwritten; empty if this node has none; request: an envelope for exactly this content, signed by a node of this node''s organization (LF203 for any other)';
