-- the ledger of a channel: blocks, transactions, state, history, views, statistics, verification
-- and repair, on a network of one node
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\pset null '(null)'
\set ca `cat "$FABRIC_TEST_NODE/ca.pem"`
\set tlsca `cat "$FABRIC_TEST_NODE/tlsca.pem"`
\set tls `cat "$FABRIC_TEST_NODE/tls.pem"`
\set admin `cat "$FABRIC_TEST_NODE/admin.pem"`
\set admin_key `cat "$FABRIC_TEST_NODE/admin.key"`

SELECT fabric.add_identity('ledger.admin', 'Org1MSP', :'admin', :'admin_key'), fabric.grant_identity('ledger.admin', current_user);
SET fabric.identity = 'ledger.admin';
SELECT encode(fabric.create_channel('ledger', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))), 'hex') AS genesis \gset
SELECT fabric.join_channel(decode(:'genesis', 'hex'));
-- the error of a statement, without the numbers of partitions
CREATE FUNCTION pg_temp.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '_[0-9]+"', '_N"');
END
$$;
SELECT fabric.install_chaincode(fabric.package_chaincode('ledger_1.0', $cc$
CREATE FUNCTION put(key text, value text) RETURNS text LANGUAGE sql AS $$ SELECT put_state(key, value);
	SELECT get_state_text(key) $$;
CREATE FUNCTION put_json(key text, value jsonb) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(key, value) $$;
CREATE FUNCTION put_bytes(key text, value bytea) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(key, value) $$;
CREATE FUNCTION put_composite(VARIADIC parts text[]) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(create_composite_key('color', VARIADIC parts), 'x') $$;
CREATE FUNCTION put_policy(key text, policy bytea) RETURNS void
	LANGUAGE sql AS $$ SELECT set_state_validation_parameter(key, policy) $$;
CREATE FUNCTION del(key text) RETURNS void LANGUAGE sql AS $$ SELECT del_state(key) $$;
CREATE FUNCTION tell(name text, payload text) RETURNS void
	LANGUAGE sql AS $$ SELECT set_event(name, payload) $$;
$cc$)) AS package_id \gset
SELECT fabric.approve_chaincode('ledger', 'cc', '1.0', 1, :'package_id', 'OR(''Org1MSP.peer'')');
SELECT fabric.commit_chaincode('ledger', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')');

-- block 0 is the configuration, block 1 the approval, block 2 the definition; then one block for
-- each of these calls
SELECT block_number, validation_code FROM fabric.submit_transaction('ledger', 'cc', 'put', ARRAY['a', 'one']);
SELECT fabric.invoke('ledger', 'cc', 'put', 'a', 'two') AS before;
SELECT fabric.invoke('ledger', 'cc', 'put_json', 'b', '{"color": "red", "size": 7}');
SELECT fabric.invoke('ledger', 'cc', 'put_bytes', 'c', '\x00ff');
SELECT fabric.invoke('ledger', 'cc', 'put_composite', 'blue', 'car1');
SELECT fabric.invoke('ledger', 'cc', 'put_policy', 'a', fabric.policy_compile('OR(''Org1MSP.peer'')')::text);
SELECT fabric.invoke('ledger', 'cc', 'del', 'b');
SELECT fabric.invoke('ledger', 'cc', 'tell', 'painted', '{"color": "green"}');
SELECT fabric.invoke('ledger', 'cc', 'tell', 'painted', 'plain text');

--
-- get_block and similar functions return the same bytes for a number, a hash and a transaction id
--
SELECT height, current_block_hash = b.block_hash AS current, previous_block_hash = b.previous_hash AS previous
	FROM fabric.chain_info('ledger') i JOIN fabric.blocks b ON b.channel = 'ledger' AND b.number = i.height - 1;
SELECT fabric.decode_block(fabric.get_block('ledger', 0)) -> 'data'
	= fabric.decode_block(decode(:'genesis', 'hex')) -> 'data' AS data,
	fabric.decode_block(fabric.get_block('ledger', 0)) -> 'header'
		= fabric.decode_block(decode(:'genesis', 'hex')) -> 'header' AS header;
SELECT b.number, transactions, signers, raft_index > 0 AS ordered,
	length(commit_hash) AS commit_hash,
	fabric.get_block('ledger', number) = fabric.get_block_by_hash('ledger', block_hash) AS by_hash,
	(SELECT bool_and(fabric.get_block('ledger', number) = fabric.get_block_by_tx_id('ledger', tx_id))
		FROM fabric.transactions t WHERE t.channel = 'ledger' AND t.block_number = b.number) AS by_tx_id,
	fabric.block_header_hash(number, previous_hash, data_hash) = block_hash AS hash,
	decode(fabric.decode_block(fabric.get_block('ledger', number)) #>> '{header,data_hash}', 'base64') = data_hash AS data_hash
FROM fabric.blocks b WHERE channel = 'ledger' ORDER BY number;
SELECT bool_and(b.previous_hash = p.block_hash) AS linked, count(*) FROM fabric.blocks b
	JOIN fabric.blocks p ON p.channel = b.channel AND p.number = b.number - 1 WHERE b.channel = 'ledger';
-- a transaction with its code; its envelope is the one in the block
SELECT block_number, type, validation_code, creator_msp, chaincode, function,
	left(arguments[1], 20) AS argument,
	fabric.decode_message('protos.ProcessedTransaction', fabric.get_transaction('ledger', tx_id)) =
		jsonb_build_object('validationCode', 0, 'transactionEnvelope', fabric.decode_message('common.Envelope', envelope)) AS processed,
	position(envelope IN fabric.get_block('ledger', block_number)) > 0 AS in_block,
		fabric.compute_tx_id(decode(h ->> 'nonce', 'base64'), creator) = tx_id AS id
FROM fabric.transactions, jsonb_extract_path(fabric.decode_message('common.Envelope', envelope), 'payload', 'header', 'signature_header') h
WHERE channel = 'ledger' AND type = 'ENDORSER_TRANSACTION' ORDER BY block_number;
SELECT DISTINCT fabric.identity_info(creator) ->> 'common_name' AS creator FROM fabric.transactions
	WHERE channel = 'ledger' AND block_number > 0;
-- blocks and transactions that do not exist
SELECT fabric.get_block('ledger', 12);
SELECT fabric.get_block('ledger', 9223372036854775807);
SELECT fabric.get_block('ledger', -1);
SELECT fabric.get_block_by_hash('ledger', decode(repeat('00', 32), 'hex'));
SELECT fabric.get_block_by_hash('ledger', '\x00');
SELECT fabric.get_block_by_tx_id('ledger', repeat('0', 64));
SELECT fabric.get_transaction('ledger', 'no id');
SELECT fabric.get_transaction('ledger', '');
SELECT fabric.get_block('nowhere', 0);

--
-- functions under the views: parts of the stored envelope
--
SELECT block_number, fabric_internal.envelope_bytes('ledger', t.envelope) = v.envelope AS bytes,
	fabric_internal.envelope_creator('ledger', t.envelope) = v.creator AS creator,
	fabric_internal.envelope_arguments('ledger', t.envelope) AS arguments, e.*,
		octet_length(t.envelope) < octet_length(v.envelope) AS compressed
FROM fabric_internal.transaction t JOIN
	LATERAL (SELECT v.envelope, v.creator FROM fabric.transactions v WHERE v.channel = 'ledger'
	AND v.block_number = t.block_number) v ON true
	LEFT JOIN LATERAL fabric_internal.envelope_event('ledger', t.envelope) e ON true
WHERE channel = 'ledger' AND block_number IN (3, 6, 7, 10) ORDER BY block_number;
SELECT fabric_internal.envelope_bytes('ledger', '');
SELECT fabric_internal.envelope_bytes('ledger', '\xffffffff');
SELECT fabric_internal.envelope_creator('ledger', '\xff');
SELECT fabric_internal.envelope_arguments('ledger', '\x09');
SELECT fabric_internal.envelope_event('nowhere', '\x00');

--
-- views
--
SELECT channel, height, config_block_number,
	current_block_hash = (fabric.chain_info(channel)).current_block_hash AS hash,
	last_block_at <= now() AS committed FROM fabric.channels WHERE channel = 'ledger';
SELECT namespace, key, value_text, value_json, value, block_number, tx_number, endorsement_policy,
	key_bytes FROM fabric.world_state WHERE channel = 'ledger' AND namespace = 'cc' ORDER BY key_bytes;
SELECT DISTINCT namespace FROM fabric.world_state WHERE channel = 'ledger' ORDER BY namespace;
SELECT key, block_number, tx_number, is_delete, value_text, value_json, tx_id = (SELECT tx_id
	FROM fabric.transactions t WHERE t.channel = 'ledger' AND t.block_number = h.block_number) AS tx_id,
	created_at IS NOT NULL AS created_at FROM fabric.history h WHERE channel = 'ledger'
		AND namespace = 'cc' ORDER BY key_bytes, block_number;
SELECT block_number, tx_number, chaincode, event_name, valid, validation_code, payload_text,
	payload_json, payload FROM fabric.events WHERE channel = 'ledger' ORDER BY block_number;
SELECT msp_id, name, is_application, is_orderer, cardinality(peers) AS peers,
	cardinality(orderers) AS orderers, is_own FROM fabric.organizations WHERE channel = 'ledger';
SELECT address = 'localhost:' || current_setting('port') AS address, role, msp_id, consenter_id, options
	FROM fabric.nodes WHERE channel = 'ledger' ORDER BY role;
SELECT name, version, sequence, policy, init_required, collections,
	package_id = :'package_id' AS package_id, installed FROM fabric.chaincodes WHERE channel = 'ledger';
SELECT label, type, bytes > 100 AS bytes FROM fabric.installed_chaincodes WHERE package_id = :'package_id';
SELECT fabric_internal.organizations('nowhere');
SELECT fabric_internal.nodes('nowhere');

--
-- statistics
--
SELECT height, last_block_at <= now() AS last_block_at, lag, config_block_number,
	lifecycle_block_number, waiting_envelopes, waiting_bytes, inbox_records, inbox_bytes,
	inbox_refused,
	private_inbox_records, private_inbox_bytes, private_inbox_refused, source, source_at
		FROM fabric.stat_channel WHERE channel = 'ledger';
SELECT kind, pid IS NOT NULL AS runs, started_at <= now() AS started, restarts, last_error, last_error_at
	FROM fabric.stat_workers WHERE channel = 'ledger' ORDER BY kind;
SELECT kind, channel, pid IS NOT NULL AS runs FROM fabric.stat_workers WHERE kind = 'launcher';
SELECT code, name, count FROM fabric.stat_validation WHERE channel = 'ledger' ORDER BY code;
SELECT consenter_id, running, role, term > 0 AS term, leader_id, commit_index = applied_index
	AND commit_index <= last_index AS applied, batches > 0 AS batches, pending_envelopes,
	pending_bytes,
	dropped_envelopes, inbox_records, inbox_bytes, inbox_refused, inbox_size > 0 AS inbox_size
		FROM fabric.stat_orderer WHERE channel = 'ledger';
SELECT count(*) AS followers FROM fabric.stat_orderer_followers WHERE channel = 'ledger';
-- no condition is reported
SELECT * FROM fabric.stat_conditions WHERE channel = 'ledger';
-- the views show the results of their functions
SELECT (SELECT count(*) FROM fabric_internal.stat_channel()) = (SELECT count(*)
	FROM fabric.stat_channel) AS stat_channel,
	(SELECT count(*) FROM fabric_internal.stat_workers()) = (SELECT count(*)
		FROM fabric.stat_workers) AS stat_workers,
	(SELECT count(*) FROM fabric_internal.stat_conditions()) = (SELECT count(*)
		FROM fabric.stat_conditions) AS stat_conditions,
	(SELECT count(*) FROM fabric_internal.stat_validation()) = (SELECT count(*)
		FROM fabric.stat_validation) AS stat_validation;
SELECT pid IS NOT NULL AS runs, connections >= 0 AS connections, requests_now,
	requests >= refused AS requests FROM fabric.stat_relay;
SELECT channel, failures, failing_since, last_error, queue_usage < 0.5 AS has_space
	FROM fabric.stat_notifications;

--
-- history and earlier states
--
SELECT block_number, tx_number, is_delete, value, created_at IS NOT NULL AS created_at,
	length(tx_id) AS tx_id FROM fabric.get_history('ledger', 'cc', 'a');
SELECT block_number, is_delete, value FROM fabric.get_history('ledger', 'cc', 'b');
SELECT block_number, is_delete, value
	FROM fabric.get_history('ledger', 'cc', fabric.create_composite_key('color', 'blue', 'car1'));
SELECT count(*) FROM fabric.get_history('ledger', 'cc', 'nothing');
SELECT count(*) FROM fabric.get_history('ledger', 'nosuch', 'a');
SELECT count(*) FROM fabric.get_history('ledger', '', '');
SELECT fabric.get_history('nowhere', 'cc', 'a');
-- the state after each block
SELECT b AS block, s.key, s.value, s.written_in_block, s.tx_number FROM generate_series(2, 11) b
	LEFT JOIN LATERAL (SELECT * FROM fabric.state_at('ledger', b) s WHERE namespace = 'cc') s ON true
	ORDER BY b, s.key;
-- the state after the last block is the world state, except that a change of a key's policy makes a new version of the key
SELECT namespace, key, value, written_in_block, tx_number FROM fabric.state_at('ledger', 11)
EXCEPT SELECT namespace, key_bytes, value, block_number, tx_number FROM fabric.world_state
	WHERE channel = 'ledger';
SELECT namespace, key_bytes FROM fabric.world_state WHERE channel = 'ledger' EXCEPT SELECT namespace, key
	FROM fabric.state_at('ledger', 11) ORDER BY namespace, key_bytes;
SELECT fabric.state_at('ledger', 12);
SELECT fabric.state_at('ledger', -1);
SELECT fabric.state_at('nowhere', 0);

--
-- verification: each block by itself, the whole chain, the state
--
SELECT count(*) AS problems FROM fabric.blocks b,
	LATERAL fabric.verify_block(fabric.get_block('ledger', number), fabric.get_block('ledger', 0),
	CASE WHEN number > 0 THEN fabric.get_block('ledger', number - 1) END) WHERE b.channel = 'ledger';
SELECT * FROM fabric.verify_chain('ledger');
SELECT * FROM fabric.verify_chain('ledger', 5, 7);
SELECT * FROM fabric.verify_chain('ledger', 7, 5);
SELECT * FROM fabric.verify_chain('ledger', 100);
SELECT * FROM fabric.verify_chain('ledger', 0, 12);
SELECT * FROM fabric.verify_chain('ledger', -1);
SELECT * FROM fabric.verify_chain('ledger', 0, -1);
SELECT * FROM fabric.verify_chain('nowhere');
SELECT fabric.state_digest('ledger') AS digest \gset
SELECT length(:'digest'::bytea);
SELECT fabric.state_digest('nowhere');
SELECT blocks, blocks_corrected, state_rows > 4 AS state_rows, state_corrected,
	history_rows > 6 AS history_rows, history_corrected FROM fabric.rebuild_state('ledger');
SELECT fabric.state_digest('ledger') = :'digest' AS same;
SELECT * FROM fabric.rebuild_state('nowhere');
SELECT * FROM fabric.repair_chain('ledger');
SELECT * FROM fabric.repair_chain('nowhere');
-- the tables refuse every change
TRUNCATE fabric_internal.history;
SELECT pg_temp.error(statement) FROM unnest(ARRAY['UPDATE fabric_internal.block SET raft_index = 0 WHERE channel = ''ledger''', 'DELETE FROM fabric_internal.transaction WHERE channel = ''ledger''',
	'UPDATE fabric_internal.history SET value = '''' WHERE channel = ''ledger''', 'TRUNCATE fabric_internal.block', 'TRUNCATE fabric_internal.transaction',
	'INSERT INTO fabric_internal.block SELECT b.* FROM fabric_internal.block b WHERE channel = ''ledger'' AND number = 3',
	'INSERT INTO fabric_internal.block SELECT channel, number + 1, block_hash, data_hash, sha256(''x''), signatures, last_config, transactions_filter, orderer, commit_hash, raft_index, committed_at
		FROM fabric_internal.block WHERE channel = ''ledger'' AND number = 11']) AS statement;
-- changes made without the triggers are found
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE fabric_internal.world_state SET value = 'three' WHERE channel = 'ledger' AND namespace = 'cc'
	AND key = 'a';
DELETE FROM fabric_internal.history WHERE channel = 'ledger' AND namespace = 'cc' AND block_number = 9;
COMMIT;
SELECT fabric.state_digest('ledger') = :'digest' AS same;
SELECT * FROM fabric.verify_chain('ledger');
SELECT blocks_corrected, state_corrected, history_corrected FROM fabric.rebuild_state('ledger');
SELECT fabric.state_digest('ledger') = :'digest' AS same, (SELECT count(*)
	FROM fabric.verify_chain('ledger')) AS problems;
-- repair_chain fails, because no other node has the block
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE fabric_internal.block SET data_hash = sha256('x') WHERE channel = 'ledger' AND number = 4;
SELECT * FROM fabric.verify_chain('ledger', 0, 4);
SAVEPOINT damaged;
SELECT fabric.rebuild_state('ledger');
ROLLBACK TO damaged;
SELECT fabric.repair_chain('ledger');
ROLLBACK;

SELECT fabric.leave_channel('ledger');
SELECT count(*) FROM fabric.blocks WHERE channel = 'ledger';
RESET fabric.identity;
SELECT fabric.drop_identity('ledger.admin'), fabric.uninstall_chaincode(:'package_id');
