-- transactions of a client in one call and in steps, with valid and invalid arguments, for all
-- roles, on a network of one node
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse
\pset null '(null)'
\set ca `cat "$FABRIC_TEST_NODE/ca.pem"`
\set tlsca `cat "$FABRIC_TEST_NODE/tlsca.pem"`
\set tls `cat "$FABRIC_TEST_NODE/tls.pem"`
\set admin `cat "$FABRIC_TEST_NODE/admin.pem"`
\set admin_key `cat "$FABRIC_TEST_NODE/admin.key"`
\set user1 `cat "$FABRIC_TEST_NODE/user1.pem"`
\set user1_key `cat "$FABRIC_TEST_NODE/user1.key"`

CREATE ROLE regress_gateway_stranger;
CREATE ROLE regress_gateway_client IN ROLE fabric_client;
CREATE ROLE regress_gateway_admin IN ROLE fabric_admin;
CREATE ROLE regress_gateway_node IN ROLE fabric_node;
CREATE SCHEMA gateway_test;
GRANT USAGE ON SCHEMA gateway_test TO PUBLIC;
-- the result of a statement, or its error with detail and hint; transaction ids differ each time
CREATE FUNCTION gateway_test.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, '(null)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(regexp_replace(replace(SQLSTATE || ' ' || SQLERRM
		|| coalesce(E'\n' || nullif(detail, ''), '') || coalesce(E'\n' || nullif(hint, ''), ''),
		format('role "%s"', session_user), 'role SESSION_USER'), '[0-9a-f]{64}', 'HASH', 'g'), '\m(block|transaction|has) [0-9]+\M', '\1 N', 'g');
END
$$;

SELECT fabric.add_identity('gateway.admin', 'Org1MSP', :'admin', :'admin_key');
SELECT fabric.add_identity('gateway.user', 'Org1MSP', :'user1', :'user1_key');
SELECT fabric.grant_identity('gateway.admin', current_user), fabric.grant_identity('gateway.admin', 'regress_gateway_admin');
SELECT fabric.grant_identity('gateway.user', current_user), fabric.grant_identity('gateway.user', 'regress_gateway_client');
SET fabric.identity = 'gateway.admin';
SELECT fabric.join_channel(fabric.create_channel('gateway', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))));
SELECT fabric.install_chaincode(fabric.package_chaincode('gateway_1.0', $cc$
CREATE FUNCTION put(key text, value text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN PERFORM fabric.put_state(key, value);
	RETURN 'was ' || coalesce(fabric.get_state_text(key), 'nothing'); END $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
CREATE FUNCTION secret() RETURNS text
	LANGUAGE sql AS $$ SELECT string_agg(name || '=' || encode(value, 'escape'), ' ' ORDER BY name)
	FROM fabric.list_transient() $$;
CREATE FUNCTION refuse() RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'the detail', HINT = 'the hint',
	ERRCODE = 'P1234'; END $$;
CREATE FUNCTION size(a text) RETURNS int LANGUAGE sql AS $$ SELECT length(a) $$;
CREATE FUNCTION binary() RETURNS bytea LANGUAGE sql AS $$ SELECT '\x00ff'::bytea $$;
$cc$)) AS package_id \gset

--
-- the lifecycle
--
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 2, NULL)$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 0, NULL)$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'c c', '1.0', 1, NULL)$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', '', '1.0', 1, NULL)$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '', 1, NULL)$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, 'gateway_1.0:nosuch')$$);
-- a package that is not installed can be approved
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, 'gateway_1.0:' || repeat('0', 64))$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, NULL, policy => 'AND(')$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, NULL, policy => '')$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, NULL,
	collections => '{"a": 1}')$$);
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('nosuch', 'cc', '1.0', 1, NULL)$$);
SELECT * FROM fabric.check_commit_readiness('gateway', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')');
SELECT gateway_test.try($$SELECT fabric.commit_chaincode('gateway', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')')$$);
SELECT fabric.approve_chaincode('gateway', 'cc', '1.0', 1, :'package_id', 'OR(''Org1MSP.peer'')');
SELECT * FROM fabric.check_commit_readiness('gateway', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')');
SELECT * FROM fabric.check_commit_readiness('gateway', 'cc', '1.1', 1);
SELECT gateway_test.try($$SELECT fabric.commit_chaincode('gateway', 'cc', '1.1', 1)$$);
SELECT fabric.commit_chaincode('gateway', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')');
SELECT gateway_test.try($$SELECT fabric.commit_chaincode('gateway', 'cc', '1.0', 1, 'OR(''Org1MSP.peer'')')$$);
SELECT name, version, sequence, policy, init_required, installed FROM fabric.list_chaincodes('gateway');

--
-- a null for each argument of each function
--
SET fabric.identity = 'gateway.user';
CREATE TABLE gateway_test.arguments (name text, value text);
INSERT INTO gateway_test.arguments VALUES ('channel', '''gateway'''), ('chaincode', '''cc'''), ('function', '''get'''), ('args', 'ARRAY[''a'']'), ('transient', '''{}'''),
	('endorsing_orgs', 'ARRAY[''Org1MSP'']'), ('wait', 'true'), ('is_init', 'false'), ('creator', '''\x0a'''), ('proposal', '''\x0a'''), ('signature', '''\x30'''),
	('payload', '''\x0a'''), ('tx_id', '''a'''), ('timeout', '''0'''), ('name', '''x'''), ('version', '''1.0'''), ('sequence', '1'), ('package_id', 'NULL'), ('policy', 'NULL'),
	('collections', 'NULL'), ('init_required', 'false');
CREATE FUNCTION gateway_test.with_null(function text, argument text) RETURNS text LANGUAGE sql AS $$
	SELECT gateway_test.try(format('SELECT fabric.%s(%s)', function,
		string_agg(n || ' => ' || CASE WHEN n = argument THEN 'NULL' ELSE a.value END, ', ' ORDER BY i)))
	FROM pg_proc p, unnest(p.proargnames[1:p.pronargs]) WITH ORDINALITY AS x (n, i)
		LEFT JOIN gateway_test.arguments a ON a.name = n
	WHERE p.pronamespace = 'fabric'::regnamespace AND p.proname = function
$$;
-- arguments that must not be null
SELECT function, argument, gateway_test.with_null(function, argument) AS says FROM (VALUES
	('submit_transaction', 'channel'), ('submit_transaction', 'chaincode'), ('submit_transaction', 'function'), ('submit_transaction', 'wait'), ('submit_transaction', 'is_init'),
	('new_proposal', 'channel'), ('new_proposal', 'chaincode'), ('new_proposal', 'function'), ('new_proposal', 'creator'), ('new_proposal', 'is_init'),
	('endorse', 'proposal'), ('endorse', 'signature'), ('submit', 'payload'), ('submit', 'signature'), ('evaluate', 'proposal'), ('evaluate', 'signature'),
	('commit_status', 'channel'), ('commit_status', 'tx_id'),
	('approve_chaincode', 'channel'), ('approve_chaincode', 'name'), ('approve_chaincode', 'version'), ('approve_chaincode', 'sequence'), ('approve_chaincode', 'init_required'),
	('check_commit_readiness', 'channel'), ('check_commit_readiness', 'name'), ('check_commit_readiness', 'version'), ('check_commit_readiness', 'sequence'),
	('check_commit_readiness', 'init_required'),
	('commit_chaincode', 'channel'), ('commit_chaincode', 'name'), ('commit_chaincode', 'version'), ('commit_chaincode', 'sequence'), ('commit_chaincode', 'init_required'))
	AS calls (function, argument);
SELECT gateway_test.try('SELECT fabric.invoke(NULL, ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', NULL, ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', NULL, ''a'')');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', ''get'', NULL)');
SELECT gateway_test.try('SELECT fabric.query(NULL, ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', NULL, ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', NULL, ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''put'', ''a'', NULL)');
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''put'', ARRAY[''a'', NULL])');
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''put'', ARRAY[''a'', ''b''], endorsing_orgs => ARRAY[NULL])');

--
-- transactions in one call
--
SELECT fabric.invoke('gateway', 'cc', 'put', 'a', '1');
SELECT fabric.invoke('gateway', 'cc', 'put', 'a', '2');
SELECT fabric.query('gateway', 'cc', 'get', 'a');
-- a query changes nothing, whatever function it calls
SELECT fabric.query('gateway', 'cc', 'put', 'a', 'query');
SELECT fabric.query('gateway', 'cc', 'get', 'a');
SELECT fabric.query('gateway', 'cc', 'get', 'nothing here');
SELECT fabric.query('gateway', 'cc', 'binary');
SELECT fabric.query('gateway', 'cc', 'size', repeat('ä', 1000000));
-- results of submit_transaction
SELECT tx_id ~ '^[0-9a-f]{64}$' AS tx_id, convert_from(payload, 'UTF8') AS payload,
	block_number > 0 AS block_number, validation_code
FROM fabric.submit_transaction('gateway', 'cc', 'put', ARRAY['b', '1']);
SELECT tx_id ~ '^[0-9a-f]{64}$' AS tx_id, payload, block_number, validation_code,
	(fabric.commit_status('gateway', tx_id)).validation_code AS later
FROM fabric.submit_transaction('gateway', 'cc', 'put', ARRAY['b', '2'], wait => false);
SELECT convert_from(payload, 'UTF8') AS transient
	FROM fabric.submit_transaction('gateway', 'cc', 'secret', transient => '{"text": "a", "number": 1.50, "object": {"b": [null, true]}, "empty": ""}');
SELECT payload FROM fabric.submit_transaction('gateway', 'cc', 'secret', NULL, NULL, NULL);
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''secret'', transient => ''[1]'')');
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''secret'', transient => ''"text"'')');
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''secret'', endorsing_orgs => ARRAY[''Org2MSP''])');
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''secret'', endorsing_orgs => ARRAY[''''])');
SELECT validation_code FROM fabric.submit_transaction('gateway', 'cc', 'secret', endorsing_orgs => '{}');
SELECT validation_code FROM fabric.submit_transaction('gateway', 'cc', 'secret', endorsing_orgs => ARRAY['Org1MSP']);
SELECT gateway_test.try('SELECT fabric.submit_transaction(''gateway'', ''cc'', ''put'', ARRAY[''a'', ''b''], is_init => true)');
-- names
SELECT gateway_test.try('SELECT fabric.query(''nosuch'', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query('''', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''No Channel'', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(repeat(''a'', 250), ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''nosuch'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', '''', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', repeat(''a'', 10000), ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''nosuch'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', '''')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'', ''b'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''"; DROP TABLE x; --'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', VARIADIC array_fill(''a''::text, ARRAY[100000]))');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', ''refuse'')');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''refuse'')');
-- a value larger than a block may be: 10 MB by default
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', ''put'', ''big'', repeat(''x'', 11000000))');
SELECT fabric.query('gateway', 'cc', 'get', 'big');
-- the identity that signs
SET fabric.identity = 'nosuch';
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', ''put'', ''a'', ''x'')');
RESET fabric.identity;
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')');
-- a rollback does not undo an invocation
SET fabric.identity = 'gateway.user';
BEGIN;
SELECT fabric.invoke('gateway', 'cc', 'put', 'c', 'before the rollback');
SELECT fabric.query('gateway', 'cc', 'get', 'c');
ROLLBACK;
SELECT fabric.query('gateway', 'cc', 'get', 'c');
BEGIN TRANSACTION READ ONLY;
SELECT fabric.query('gateway', 'cc', 'get', 'c');
ROLLBACK;

--
-- transactions in steps
--
SELECT encode(fabric.identity_bytes('Org1MSP', :'user1'), 'hex') AS creator \gset
SELECT tx_id, encode(proposal, 'hex') AS proposal, digest = sha256(proposal) AS digest,
	fabric.compute_tx_id(decode('00', 'hex'), '\x00') = tx_id AS id_of_another
FROM fabric.new_proposal('gateway', 'cc', 'put', ARRAY['split', 'call'], decode(:'creator', 'hex')) \gset
\echo :digest :id_of_another
\setenv MESSAGE :proposal
\set signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/user1.key"`
\set other_signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, %L)', '\x' || :'proposal', '\x' || :'other_signature'));
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, '''')', '\x' || :'proposal'));
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, ''\x3000'')', '\x' || :'proposal'));
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, %L)', '\x00' || :'proposal', '\x' || :'signature'));
SELECT gateway_test.try(format('SELECT fabric.endorse('''', %L)', '\x' || :'signature'));
SELECT gateway_test.try(format('SELECT fabric.evaluate('''', %L)', '\x' || :'signature'));
SELECT gateway_test.try(format('SELECT fabric.evaluate(%L, %L)', '\x' || :'proposal', '\x' || :'other_signature'));
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, %L, ARRAY[''Org1MSP'', ''Org2MSP''])', '\x' || :'proposal', '\x' || :'signature'));
SELECT convert_from(fabric.evaluate(decode(:'proposal', 'hex'), decode(:'signature', 'hex')), 'UTF8') AS evaluated;
SELECT encode(payload, 'hex') AS payload, digest = sha256(payload) AS digest,
	convert_from(result, 'UTF8') AS result
FROM fabric.endorse(decode(:'proposal', 'hex'), decode(:'signature', 'hex')) \gset
\echo :digest :result
SELECT gateway_test.try(format('SELECT fabric.submit(%L, %L)', '\x' || :'payload', '\x' || :'signature'));
SELECT gateway_test.try(format('SELECT fabric.submit(%L, '''')', '\x' || :'payload'));
SELECT gateway_test.try(format('SELECT fabric.submit('''', %L)', '\x' || :'signature'));
SELECT gateway_test.try(format('SELECT fabric.submit(%L, %L)', '\x0aff', '\x' || :'signature'));
SELECT * FROM fabric.commit_status('gateway', :'tx_id', '0');
\setenv MESSAGE :payload
\set payload_signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/user1.key"`
SELECT fabric.submit(decode(:'payload', 'hex'), decode(:'payload_signature', 'hex')) = :'tx_id' AS submitted;
SELECT validation_code, tx_number, block_number > 0 AS in_block FROM fabric.commit_status('gateway', :'tx_id');
SELECT fabric.query('gateway', 'cc', 'get', 'split');
-- the transaction id is on the ledger
SELECT gateway_test.try(format('SELECT fabric.endorse(%L, %L)', '\x' || :'proposal', '\x' || :'signature'));

-- new_proposal
SELECT gateway_test.try(format('SELECT tx_id ~ ''^[0-9a-f]{64}$'' FROM fabric.new_proposal(''gateway'', ''cc'', ''get'', NULL, %L)', '\x' || :'creator'));
SELECT gateway_test.try('SELECT fabric.new_proposal(''gateway'', ''cc'', ''get'', ''{}'', '''')');
SELECT gateway_test.try('SELECT fabric.new_proposal(''nosuch'', ''cc'', ''get'', ''{}'', ''x'')');
SELECT gateway_test.try('SELECT fabric.new_proposal(''gateway'', '''', ''get'', ''{}'', ''x'')');
SELECT gateway_test.try('SELECT fabric.new_proposal(''gateway'', ''cc'', ''get'', ARRAY[NULL], ''x'')');
SELECT gateway_test.try('SELECT fabric.new_proposal(''gateway'', ''cc'', ''get'', ''{}'', decode(repeat(''00'', 100000), ''hex''))');
SELECT gateway_test.try('SELECT fabric.new_proposal(''gateway'', ''cc'', ''get'', ''{}'', ''x'', ''7'')');
-- each proposal has a nonce of its own
SELECT count(DISTINCT p.tx_id)
	FROM generate_series(1, 100) i, fabric.new_proposal('gateway', 'cc', 'get', ARRAY[i::text],
	decode(:'creator', 'hex')) p;

-- commit_status
SELECT * FROM fabric.commit_status('gateway', repeat('0', 64), '0');
SELECT * FROM fabric.commit_status('gateway', 'not even an id', '10 ms');
SELECT * FROM fabric.commit_status('gateway', '', '0');
SELECT gateway_test.try('SELECT fabric.commit_status(''nosuch'', ''a'', ''0'')');
SELECT gateway_test.try('SELECT fabric.commit_status(''gateway'', ''a'', ''-1 s'')');
SELECT gateway_test.try('SELECT fabric.commit_status(''gateway'', ''a'', ''1 year'')');
SET fabric.commit_timeout = '200ms';
SELECT * FROM fabric.commit_status('gateway', 'not even an id');
RESET fabric.commit_timeout;
SET statement_timeout = '200ms';
SELECT gateway_test.try('SELECT fabric.commit_status(''gateway'', ''a'')');
RESET statement_timeout;

--
-- privileges
--
CREATE FUNCTION gateway_test.all_calls(creator text, proposal text, signature text, payload text,
	payload_signature text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT name || ': ' || gateway_test.try(call) FROM (VALUES
		(1, 'invoke', 'SELECT fabric.invoke(''gateway'', ''cc'', ''put'', ''role'', ''x'')'),
		(2, 'query', 'SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')'),
		(3, 'submit_transaction', 'SELECT validation_code FROM fabric.submit_transaction(''gateway'', ''cc'', ''put'', ARRAY[''role'', ''y''])'),
		(4, 'new_proposal', format('SELECT length(tx_id) FROM fabric.new_proposal(''gateway'', ''cc'', ''get'', ''{}'', %L)', '\x' || creator)),
		(5, 'endorse', format('SELECT fabric.endorse(%L, %L)', '\x' || proposal, '\x' || signature)),
		(6, 'submit', format('SELECT length(fabric.submit(%L, %L))', '\x' || payload, '\x' || payload_signature)),
		(7, 'evaluate', format('SELECT fabric.evaluate(%L, %L)', '\x' || proposal, '\x' || signature)),
		(8, 'commit_status', 'SELECT fabric.commit_status(''gateway'', ''a'', ''0'')'),
		(9, 'approve_chaincode', 'SELECT fabric.approve_chaincode(''gateway'', ''other'', ''1.0'', 1, NULL)'),
		(10, 'check_commit_readiness', 'SELECT count(*) FROM fabric.check_commit_readiness(''gateway'', ''other'', ''1.0'', 1)'),
		(11, 'commit_chaincode', 'SELECT fabric.commit_chaincode(''gateway'', ''other'', ''1.0'', 1)'),
		(12, 'internal endorse', 'SELECT fabric_internal.endorse(''x'', 0, 0)'),
		(13, 'internal submit', 'SELECT fabric_internal.submit(''gateway'', ''x'')'),
		(14, 'internal deliver', 'SELECT fabric_internal.deliver(''x'', 1, 1)')) AS calls (number, name, call) ORDER BY number
$$;
RESET fabric.identity;
SET ROLE regress_gateway_stranger;
SELECT * FROM gateway_test.all_calls(:'creator', :'proposal', :'signature', :'payload', :'payload_signature');
SET ROLE regress_gateway_node;
SELECT * FROM gateway_test.all_calls(:'creator', :'proposal', :'signature', :'payload', :'payload_signature');
-- the only identity of a role signs without being named
SET ROLE regress_gateway_client;
SELECT * FROM gateway_test.all_calls(:'creator', :'proposal', :'signature', :'payload', :'payload_signature');
SET fabric.identity = 'gateway.admin';
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')');
RESET fabric.identity;
SET ROLE regress_gateway_admin;
SELECT * FROM gateway_test.all_calls(:'creator', :'proposal', :'signature', :'payload', :'payload_signature');
RESET ROLE;
-- an identity of a client is not an administrator, whatever its database role may do
SET fabric.identity = 'gateway.user';
SELECT gateway_test.try($$SELECT fabric.approve_chaincode('gateway', 'third', '1.0', 1, NULL)$$);

--
-- no function works on a channel that was left
--
SELECT fabric.leave_channel('gateway');
SELECT gateway_test.try('SELECT fabric.query(''gateway'', ''cc'', ''get'', ''a'')');
SELECT gateway_test.try('SELECT fabric.invoke(''gateway'', ''cc'', ''put'', ''a'', ''x'')');
SELECT gateway_test.try('SELECT fabric.commit_status(''gateway'', ''a'', ''0'')');
RESET fabric.identity;
SELECT fabric.drop_identity('gateway.admin'), fabric.drop_identity('gateway.user');
SELECT fabric.uninstall_chaincode(:'package_id');
SET client_min_messages = warning;
DROP SCHEMA gateway_test CASCADE;
DROP ROLE regress_gateway_stranger, regress_gateway_client, regress_gateway_admin,
	regress_gateway_node;
