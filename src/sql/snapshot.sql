-- snapshots: the state of a channel as files, as Fabric's peers write and read them

CREATE FUNCTION fabric.snapshot(channel text, OUT directory text, OUT block_number bigint,
	OUT snapshot_hash text) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_snapshot';
COMMENT ON FUNCTION fabric.snapshot IS 'write a snapshot of a channel as of its last block, in the format of Hyperledger Fabric, to CHANNEL/BLOCK below fabric.snapshot_directory; snapshot_hash is the SHA-256, in hex, of _snapshot_signable_metadata.json, which has the hashes of the other files and is the same at every node. LF005 when the setting is empty, LF401 when the channel is not joined, 58P02 when there is a snapshot of this block';

CREATE FUNCTION fabric.verify_snapshot(directory text, OUT channel text, OUT block_number bigint,
	OUT snapshot_hash text, OUT public_keys bigint, OUT private_keys bigint,
	OUT transaction_ids bigint, OUT collection_configs bigint) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_verify_snapshot';
COMMENT ON FUNCTION fabric.verify_snapshot IS 'check a snapshot, also one of a Fabric peer, in a directory below fabric.snapshot_directory: every hash, every record, order and counts; returns what it is of. Compare snapshot_hash with the one of other organizations. LF002 when a file is not what its hash says or malformed, LF001 when the directory is not below the setting''s';

CREATE FUNCTION fabric.compare_snapshots(directory text, other_directory text,
	differences_max int DEFAULT 10, OUT namespace text, OUT key bytea, OUT value bytea,
	OUT block_number bigint, OUT tx_number int, OUT other_value bytea,
	OUT other_block_number bigint, OUT other_tx_number int) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_compare_snapshots';
COMMENT ON FUNCTION fabric.compare_snapshots IS 'the keys, at most differences_max, that differ in two snapshots of the same block of a channel, for example of two organizations; a null value: this one has no such key. LF001 when they are of different blocks, LF002 when one is not valid';
