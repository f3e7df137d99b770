-- statistics: what this node's processes publish in shared memory

CREATE FUNCTION fabric_internal.stat_channel(OUT channel text, OUT height bigint,
	OUT config_block_number bigint, OUT lifecycle_block_number bigint, OUT lag bigint,
	OUT waiting_envelopes bigint, OUT waiting_bytes bigint, OUT inbox_records bigint,
	OUT inbox_bytes bigint, OUT inbox_refused bigint, OUT private_inbox_records bigint,
	OUT private_inbox_bytes bigint, OUT private_inbox_refused bigint, OUT sessions_waiting int,
	OUT sessions_woken bigint, OUT source text, OUT source_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_channel';
COMMENT ON FUNCTION fabric_internal.stat_channel IS 'state of its channels that the processes of this node publish; read it as fabric.stat_channel';

CREATE FUNCTION fabric_internal.stat_conditions(OUT process text, OUT channel text, OUT topic text,
	OUT subject text, OUT sqlstate text, OUT message text, OUT detail text, OUT hint text,
	OUT since timestamptz, OUT last_at timestamptz, OUT count bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_conditions';
COMMENT ON FUNCTION fabric_internal.stat_conditions IS 'current problems of this node, as its processes report them; read it as fabric.stat_conditions';

CREATE FUNCTION fabric_internal.stat_workers(OUT kind text, OUT channel text, OUT pid int,
	OUT started_at timestamptz, OUT restarts bigint, OUT last_exit_at timestamptz,
	OUT last_error text, OUT last_error_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_workers';
COMMENT ON FUNCTION fabric_internal.stat_workers IS 'the background processes of this node; read it as fabric.stat_workers';

CREATE FUNCTION fabric_internal.stat_validation(OUT channel text, OUT code smallint, OUT name text,
	OUT count bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_validation';
COMMENT ON FUNCTION fabric_internal.stat_validation IS 'transactions by validation code; read it as fabric.stat_validation';

CREATE FUNCTION fabric_internal.stat_relay(OUT pid int, OUT connections int, OUT requests_now int,
	OUT requests bigint, OUT refused bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'fabric_internal_stat_relay';
COMMENT ON FUNCTION fabric_internal.stat_relay IS 'the process that carries the requests of sessions to other nodes; read it as fabric.stat_relay';

CREATE FUNCTION fabric_internal.stat_validation_work(OUT channel text, OUT blocks bigint,
	OUT policies_parsed bigint, OUT policies_evaluated bigint, OUT signatures_checked bigint,
	OUT identities_checked bigint, OUT range_rows bigint, OUT total_ms float8, OUT last_ms float8,
	OUT longest_ms float8, OUT longest_block bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_validation_work';
COMMENT ON FUNCTION fabric_internal.stat_validation_work IS 'the cost of validating blocks; read it as fabric.stat_validation_work';

CREATE FUNCTION fabric_internal.stat_work(OUT process text, OUT action text, OUT object text,
		OUT count bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 50 AS 'MODULE_PATHNAME', 'fabric_internal_stat_work';
COMMENT ON FUNCTION fabric_internal.stat_work IS 'how often the processes of this node did their most expensive work; read it as fabric.stat_work';

CREATE FUNCTION fabric_internal.stat_notifications(OUT channel text, OUT block_number bigint,
	OUT blocks_behind bigint, OUT failures bigint, OUT failing_since timestamptz,
	OUT last_error text) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'fabric_internal_stat_notifications';
COMMENT ON FUNCTION fabric_internal.stat_notifications IS 'the state of NOTIFY for blocks; read it as fabric.stat_notifications';

CREATE VIEW fabric.stat_channel AS
	SELECT s.channel, s.height, l.committed_at AS last_block_at, s.lag, s.config_block_number,
		s.lifecycle_block_number, s.waiting_envelopes, s.waiting_bytes, s.inbox_records,
		s.inbox_bytes, s.inbox_refused, s.private_inbox_records, s.private_inbox_bytes,
		s.private_inbox_refused, s.sessions_waiting, s.sessions_woken, s.source, s.source_at
	FROM fabric_internal.stat_channel() s
	LEFT JOIN LATERAL (SELECT b.committed_at FROM fabric_internal.block b
		WHERE b.channel = s.channel ORDER BY b.number DESC LIMIT 1) l ON true;
COMMENT ON VIEW fabric.stat_channel IS 'channels of this node: height, Raft entries ordered but not yet in the ledger (lag; null on a node that does not order), queues, sessions that are waiting for a transaction, and that were woken by one since the start of the server, the node that last answered a request for blocks and when (null if all came from the node''s own Raft log)';

CREATE VIEW fabric.stat_conditions AS SELECT * FROM fabric_internal.stat_conditions();
COMMENT ON VIEW fabric.stat_conditions IS 'current problems of this node, with the full reason; no rows if there are none. process reports a problem of a topic (source, blocks, consenter, leader, certificate, private data, node, start ...) and a subject (an address, a consenter); since when it lasts, when it occurred last and how often. Solved problems are not shown; the log has lines for the beginning, the end, and in between';

CREATE VIEW fabric.stat_workers AS SELECT * FROM fabric_internal.stat_workers();
COMMENT ON VIEW fabric.stat_workers IS 'the background processes of this node: pid is null while one does not run; last_error: the error that ended it, or its last problem, at last_error_at; current problems are in fabric.stat_conditions';

CREATE VIEW fabric.stat_validation AS SELECT * FROM fabric_internal.stat_validation();
COMMENT ON VIEW fabric.stat_validation IS 'transactions committed since the start of the server, by validation code';

CREATE VIEW fabric.stat_relay AS SELECT * FROM fabric_internal.stat_relay();
COMMENT ON VIEW fabric.stat_relay IS 'the process that carries the requests of sessions to other nodes: pid is null while it does not run; its connections; requests that wait or are in progress; requests since the start of the server; refused requests, whose sessions made connections of their own';

CREATE VIEW fabric.stat_validation_work AS SELECT * FROM fabric_internal.stat_validation_work();
COMMENT ON VIEW fabric.stat_validation_work IS 'the cost of validating blocks since the start of the server: policies parsed and evaluated, signatures checked (including those that this node had verified before), certificates parsed and verified, keys that repeated range queries read; milliseconds of all blocks, of the last one, of the longest one and its number';

CREATE VIEW fabric.stat_work AS SELECT * FROM fabric_internal.stat_work();
COMMENT ON VIEW fabric.stat_work IS 'how often the processes of this node did their most expensive work, since the start of the server: messages decoded, by type; SHA-256 computed, and how many of these over the transactions of a block; ECDSA signatures made and verified; envelopes compressed and decompressed; prepared statements of the extension executed, and those apart that a process repeats whether there are transactions or not. process: session (of clients and of other nodes), ledger, orderer, relay, launcher. A process adds what it did at the end of each transaction. What is zero has no row';

CREATE VIEW fabric.stat_notifications AS
	SELECT n.channel, n.block_number, n.blocks_behind, n.failures, n.failing_since, n.last_error,
		pg_notification_queue_usage() AS queue_usage
	FROM fabric_internal.stat_notifications() n;
COMMENT ON VIEW fabric.stat_notifications IS 'NOTIFY fabric_block by channel: the last announced block, later blocks without a notification, failed attempts since the start of the server, since when they fail (null: they do not), the last error; and the usage of the instance''s queue (0 to 1). Blocks do not depend on it';
