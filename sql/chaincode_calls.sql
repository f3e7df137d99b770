-- chaincode at work: the lifecycle, calls, results, errors, the world state, the sandbox, on a
-- network of one node
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse
\pset null '(null)'
\set ca `cat $FABRIC_TEST_NODE/ca.pem`
\set tlsca `cat $FABRIC_TEST_NODE/tlsca.pem`
\set tls `cat $FABRIC_TEST_NODE/tls.pem`
\set admin `cat $FABRIC_TEST_NODE/admin.pem`
\set admin_key `cat $FABRIC_TEST_NODE/admin.key`
\set user1 `cat $FABRIC_TEST_NODE/user1.pem`
\set user1_key `cat $FABRIC_TEST_NODE/user1.key`

SELECT fabric.add_identity('calls.admin', 'Org1MSP', :'admin', :'admin_key');
SELECT fabric.add_identity('calls.user', 'Org1MSP', :'user1', :'user1_key');
SELECT fabric.grant_identity('calls.admin', current_user), fabric.grant_identity('calls.user', current_user);
SET fabric.identity = 'calls.admin';
SELECT fabric.join_channel(fabric.create_channel('calls', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))));

-- the result of a statement, or its error with SQLSTATE, detail and hint
CREATE FUNCTION pg_temp.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE sql INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{64}', 'HASH', 'g')
		|| coalesce(E'\n' || nullif(detail, ''), '') || coalesce(E'\n' || nullif(hint, ''), '');
END
$$;
CREATE FUNCTION pg_temp.query(function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE sql AS
	$$ SELECT pg_temp.try(format('SELECT fabric.query(''calls'', ''cc'', %L, VARIADIC %L)', function, args)) $$;

SELECT fabric.install_chaincode(fabric.package_chaincode('cc_1.0', $cc$
-- values
CREATE FUNCTION put(k text, v text) RETURNS void LANGUAGE sql AS $$ SELECT put_state(k, v) $$;
CREATE FUNCTION put_json(k text, v jsonb) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(k, v) $$;
CREATE FUNCTION put_bytes(k text, v bytea) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(k, v) $$;
CREATE FUNCTION get(k text) RETURNS bytea LANGUAGE sql AS $$ SELECT get_state(k) $$;
CREATE FUNCTION get_text(k text) RETURNS text LANGUAGE sql AS $$ SELECT get_state_text(k) $$;
CREATE FUNCTION get_json(k text) RETURNS jsonb LANGUAGE sql AS $$ SELECT get_state_json(k) $$;
CREATE FUNCTION del(k text) RETURNS void LANGUAGE sql AS $$ SELECT del_state(k) $$;
CREATE FUNCTION put_and_get(k text, v text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN PERFORM put_state(k, v); RETURN get_state_text(k); END $$;
CREATE FUNCTION put_null(k text) RETURNS void LANGUAGE sql AS $$ SELECT put_state(k, NULL::text) $$;
CREATE FUNCTION put_marker() RETURNS void
	LANGUAGE sql AS $$ SELECT put_state('\x00f48fbfbf'::bytea || 'initialized'::bytea, 'x') $$;
-- results
CREATE FUNCTION result_nothing() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION result_null() RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$;
CREATE FUNCTION result_row(OUT a int, OUT b text, OUT c jsonb)
	LANGUAGE plpgsql AS $$ BEGIN a := 1; b := 'x'; c := '{"z": 1, "y": 2}'; END $$;
CREATE FUNCTION result_set(n int) RETURNS SETOF int LANGUAGE sql AS $$ SELECT i
	FROM generate_series(1, n) i $$;
CREATE FUNCTION result_table(n int) RETURNS TABLE (a int, b text)
	LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT i, repeat('x', i) FROM generate_series(1, n) i;
	END $$;
CREATE FUNCTION result_types(t timestamptz, i interval, f float8, b bytea) RETURNS text
	LANGUAGE sql AS $$ SELECT t || ' ' || i || ' ' || f || ' ' || b::text $$;
CREATE FUNCTION defaults(a int, b text DEFAULT 'x', c text DEFAULT 'y') RETURNS text
	LANGUAGE sql AS $$ SELECT a || b || c $$;
CREATE FUNCTION variadics(a int, VARIADIC b int[]) RETURNS text
	LANGUAGE sql AS $$ SELECT a || ':' || array_to_string(b, ',') $$;
CREATE FUNCTION _private() RETURNS text LANGUAGE sql AS $$ SELECT 'private'::text $$;
CREATE FUNCTION calls_private() RETURNS text LANGUAGE sql AS $$ SELECT _private() $$;
CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not like this'
	USING DETAIL = 'The detail.', HINT = 'The hint.', ERRCODE = '22023'; END $$;
CREATE FUNCTION divide(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a / b $$;
-- ranges
CREATE FUNCTION fill(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		PERFORM put_state('k' || lpad(i::text, 3, '0'), 'v' || i);
		PERFORM put_state(create_composite_key('color', CASE WHEN i % 2 = 0 THEN 'red' ELSE 'blue'
			END, lpad(i::text, 3, '0')), 'c' || i);
	END LOOP;
END
$$;
CREATE FUNCTION range(a text, b text) RETURNS text
	LANGUAGE sql AS $$ SELECT count(*) || ' ' || coalesce(min(key), '') || ' ' || coalesce(max(key), '')
	FROM get_state_by_range(a, b) $$;
CREATE FUNCTION colors(VARIADIC c text[]) RETURNS text LANGUAGE sql AS $$
	SELECT count(*) || ' ' || min((split_composite_key(key)).attributes::text) || ' '
		|| max((split_composite_key(key)).attributes::text)
	FROM get_state_by_partial_composite_key('color', VARIADIC c) $$;
CREATE FUNCTION page(a text, b text, size int, mark text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT key || ' ' || next_bookmark FROM get_state_by_range_with_pagination(a, b, size, mark) $$;
CREATE FUNCTION color_page(size int, mark bytea) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT encode(key, 'escape') || ' ' || encode(next_bookmark, 'escape')
		FROM get_state_by_partial_composite_key_with_pagination('color', '{red}', size, mark) $$;
CREATE FUNCTION page_and_write() RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN PERFORM get_state_by_range_with_pagination('', '', 1, '');
	PERFORM put_state('x', 'y'); END $$;
CREATE FUNCTION write_and_page() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM put_state('x', 'y');
	PERFORM get_state_by_range_with_pagination('', '', 1, ''); END $$;
CREATE FUNCTION history(k text)
	RETURNS TABLE (value text, is_delete boolean, has_id boolean, has_time boolean)
	LANGUAGE sql AS $$
	SELECT convert_from(h.value, 'UTF8'), h.is_delete, length(h.tx_id) = 64, h."timestamp" IS NOT NULL
		FROM get_history_for_key(k) h $$;
-- information about the call
CREATE FUNCTION who() RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('msp', get_client_msp_id(), 'id',
		convert_from(decode(get_client_id(), 'base64'), 'UTF8'), 'channel', get_channel_id(),
		'tx_id', length(get_tx_id()), 'time', get_tx_timestamp() > '2020-01-01', 'function',
			get_function(), 'arguments', cardinality(get_arguments()),
		'creator', length(get_creator()) > 100, 'attribute', get_client_attribute('none')) $$;
CREATE FUNCTION secret(name text) RETURNS text
	LANGUAGE sql AS $$ SELECT convert_from(get_transient(name), 'UTF8')
	|| (SELECT count(*) FROM list_transient()) $$;
CREATE FUNCTION tell(name text, what text) RETURNS void
	LANGUAGE sql AS $$ SELECT set_event(name, what) $$;
CREATE FUNCTION tell_json(name text, what jsonb) RETURNS void
	LANGUAGE sql AS $$ SELECT set_event(name, what) $$;
CREATE FUNCTION protect(k text, VARIADIC orgs text[]) RETURNS void
	LANGUAGE sql AS $$ SELECT set_state_validation_parameter(k, state_policy('peer', VARIADIC orgs)) $$;
CREATE FUNCTION protection(k text) RETURNS bytea
	LANGUAGE sql AS $$ SELECT get_state_validation_parameter(k) $$;
-- functions that fail or are not allowed
CREATE FUNCTION run(sql text) RETURNS text
	LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE sql INTO r; RETURN r; END $$;
CREATE FUNCTION run_caught(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; BEGIN BEGIN EXECUTE sql INTO r; EXCEPTION WHEN OTHERS THEN RETURN 'caught ' || SQLSTATE;
	END; RETURN r; END $$;
CREATE FUNCTION spin() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOOP BEGIN LOOP END LOOP;
	EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$;
CREATE FUNCTION spin_sql() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*)
	FROM generate_series(1, 1000000000000) $$;
CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN deep(n + 1); END $$;
$cc$), allow_warnings => true) AS package_id \gset
-- two functions run dynamic SQL, which causes warnings

--
-- lifecycle
--
SELECT pg_temp.query('who');
SET fabric.identity = 'calls.user';
SELECT pg_temp.try(format('SELECT fabric.approve_chaincode(%L, %L, %L, 1, %L)', 'calls', 'cc', '1.0', :'package_id'));
SET fabric.identity = 'calls.admin';
SELECT pg_temp.try(format('SELECT fabric.approve_chaincode(%L, %L, %L, 2, %L)', 'calls', 'cc', '1.0', :'package_id'));
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 0, NULL)');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''_lifecycle'', ''1.0'', 1, NULL)');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''c c'', ''1.0'', 1, NULL)');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''lscc'', ''1.0'', 1, NULL)');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1/0'', 1, NULL)');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, policy => ''OR()'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''{}'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''[{"name": "c"}]'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''[{"name": "_c", "policy": "OR(''''Org1MSP.member'''')"}]'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''[{"name": "c", "policy": "OR(''''Org9MSP.member'''')"}]'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''[{"name": "c", "policy": "AND(''''Org1MSP.member'''', ''''Org1MSP.admin'''')"}]'')');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.0'', 1, NULL, collections => ''[{"name": "c", "policy": "OR(''''Org1MSP.member'''')", "requiredPeerCount": 2}]'')');
-- plugins that do not exist: the argument of _lifecycle is handmade, because no function of the
-- extension names a plugin
CREATE FUNCTION pg_temp.approve_with(field int, plugin text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT tx_id FROM fabric.submit_transaction(%L, %L, %L, ARRAY[%L])', 'calls', '_lifecycle', 'ApproveChaincodeDefinitionForMyOrg',
		chr(8) || chr(1) || chr(18) || chr(2) || 'cc' || chr(26) || chr(3) || '1.0'
			|| chr(field * 8 + 2) || chr(length(plugin)) || plugin)) $$;
SELECT pg_temp.approve_with(4, 'escc2');
SELECT pg_temp.approve_with(5, 'vscc ');
SELECT pg_temp.try('SELECT fabric.commit_chaincode(''calls'', ''cc'', ''1.0'', 1)');
SELECT * FROM fabric.check_commit_readiness('calls', 'cc', '1.0', 1);
SELECT fabric.approve_chaincode('calls', 'cc', '1.0', 1, :'package_id');
SELECT * FROM fabric.check_commit_readiness('calls', 'cc', '1.0', 1);
SELECT * FROM fabric.check_commit_readiness('calls', 'cc', '1.1', 1, policy => 'OR(''Org1MSP.peer'')');
SELECT pg_temp.try(format('SELECT fabric.approve_chaincode(%L, %L, %L, 1, %L)', 'calls', 'cc', '1.0', :'package_id'));
SELECT pg_temp.try('SELECT fabric.commit_chaincode(''calls'', ''cc'', ''1.1'', 1)');
SELECT fabric.commit_chaincode('calls', 'cc', '1.0', 1);
SELECT pg_temp.try('SELECT fabric.commit_chaincode(''calls'', ''cc'', ''1.0'', 1)');
-- keys and bytes are Fabric's; the public state has only a hash of an approval, and this node has its plaintext
SELECT convert_from(key, 'UTF8') AS key, value FROM fabric_internal.world_state
	WHERE channel = 'calls' AND namespace = '_lifecycle' ORDER BY key;
SELECT convert_from(p.key, 'UTF8') AS key, CASE WHEN p.key::text NOT LIKE '%'
	|| encode('PackageID', 'hex') THEN p.value END AS value, s.value = sha256(p.value) AS hash_is_public
FROM fabric_internal.private_state p
LEFT JOIN fabric_internal.world_state s ON s.channel = p.channel AND s.namespace = '_lifecycle$$h'
	|| p.collection AND s.key = sha256(p.key)
WHERE p.channel = 'calls' AND p.namespace = '_lifecycle' AND p.collection = '_implicit_org_Org1MSP' ORDER BY p.key;
SELECT name, version, sequence, policy, init_required, collections,
	package_id = :'package_id' AS package, installed FROM fabric.list_chaincodes('calls');
SELECT pg_temp.try(format('SELECT fabric.uninstall_chaincode(%L)', :'package_id'));

--
-- calls
--
SET fabric.identity = 'calls.user';
SELECT fabric.invoke('calls', 'cc', 'put', 'a', 'apple');
SELECT pg_temp.query('get', 'a'), pg_temp.query('get_text', 'a'), pg_temp.query('get_text', 'b');
SELECT fabric.invoke('calls', 'cc', 'put_json', 'j', '{"b": 1, "a": [1, 2.50]}');
SELECT pg_temp.query('get_text', 'j'), pg_temp.query('get_json', 'j');
SELECT pg_temp.query('get_json', 'a');
SELECT fabric.invoke('calls', 'cc', 'put_bytes', 'x', '\x00ff');
SELECT pg_temp.query('get', 'x');
SELECT pg_temp.query('get_text', 'x');
-- a read does not see writes of the same transaction
SELECT fabric.invoke('calls', 'cc', 'put_and_get', 'a', 'pear');
SELECT pg_temp.query('get_text', 'a');
SELECT fabric.invoke('calls', 'cc', 'del', 'a');
SELECT pg_temp.query('get_text', 'a');
SELECT fabric.invoke('calls', 'cc', 'put', 'a', 'plum');
-- writing an empty value deletes the key
SELECT fabric.invoke('calls', 'cc', 'put', 'a', '');
SELECT pg_temp.query('get_text', 'a');
SELECT pg_temp.query('history', 'a');
SELECT pg_temp.query('put', '', 'x');
SELECT pg_temp.query('put', repeat('k', 2000), 'x');
SELECT pg_temp.query('put_null', 'x');
SELECT pg_temp.query('put_marker');

-- results of every kind
SELECT pg_temp.query('result_nothing');
SELECT pg_temp.query('result_null');
SELECT pg_temp.query('result_row');
SELECT pg_temp.query('result_set', '3');
SELECT pg_temp.query('result_set', '0');
SELECT pg_temp.query('result_table', '2');
-- settings of the session do not change a result
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -3;
SET bytea_output = 'escape';
SELECT pg_temp.query('result_types', '2024-02-01 12:00+02', '1 day 2 hours', '0.30000000000000004', '\x00ff');
SHOW TimeZone;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;
-- arguments
SELECT pg_temp.query('defaults', '1');
SELECT pg_temp.query('defaults', '1', 'b');
SELECT pg_temp.query('defaults', '1', 'b', 'c');
SELECT pg_temp.query('defaults');
SELECT pg_temp.query('defaults', '1', 'b', 'c', 'd');
SELECT pg_temp.query('variadics', '1');
SELECT pg_temp.query('variadics', '1', '2', '3');
SELECT pg_temp.query('variadics', '1', '2', 'three');
SELECT pg_temp.query('defaults', 'one');
SELECT pg_temp.query('nosuch');
SELECT pg_temp.query('');
SELECT pg_temp.query('_private');
SELECT pg_temp.query('calls_private');
SELECT pg_temp.query('refuse');
SELECT pg_temp.try('SELECT fabric.invoke(''calls'', ''cc'', ''refuse'')');
SELECT pg_temp.query('divide', '1', '0');
SELECT pg_temp.try('SELECT fabric.query(''calls'', ''nosuch'', ''f'')');
SELECT pg_temp.try('SELECT fabric.query(''nosuch'', ''cc'', ''f'')');

-- ranges
SELECT fabric.invoke('calls', 'cc', 'fill', '250');
SELECT pg_temp.query('range', 'k', 'l');
SELECT pg_temp.query('range', 'k101', 'k201');
SELECT pg_temp.query('range', 'k250', '');
SELECT pg_temp.query('range', 'z', '');
SELECT pg_temp.query('colors');
SELECT pg_temp.query('colors', 'red');
SELECT pg_temp.query('colors', 're');
SELECT pg_temp.query('colors', 'red', '002');
SELECT pg_temp.query('page', 'k', 'l', '3', '');
SELECT pg_temp.query('page', 'k', 'l', '3', 'k004');
SELECT pg_temp.query('page', 'k', 'l', '3', 'k249');
SELECT pg_temp.query('page', 'k', 'l', '0', '');
SELECT pg_temp.query('color_page', '2', '');
SELECT pg_temp.query('color_page', '2', 'abc');
SELECT pg_temp.query('page_and_write');
SELECT pg_temp.query('write_and_page');

-- information about the call
SELECT pg_temp.query('who');
SELECT validation_code FROM fabric.submit_transaction('calls', 'cc', 'secret', '{pin}', transient => '{"pin": "1234"}');
SELECT convert_from(payload, 'UTF8') AS payload
	FROM fabric.submit_transaction('calls', 'cc', 'secret', '{pin}', transient => '{"pin": "1234"}');
SELECT fabric.invoke('calls', 'cc', 'tell', 'sold', 'a car');
SELECT fabric.invoke('calls', 'cc', 'tell_json', 'sold', '{"what": "a car"}');
SELECT pg_temp.query('tell', '', 'x');
SELECT pg_temp.query('protection', 'k001');
SELECT fabric.invoke('calls', 'cc', 'protect', 'k001', 'Org1MSP');
SELECT fabric.policy_text(pg_temp.query('protection', 'k001')::bytea);

--
-- the sandbox at run time: code that the check of the source cannot see
--
SELECT q AS query, split_part(pg_temp.query('run', q), E'\n', 1) AS answer FROM (VALUES
	('SELECT random()'), ('SELECT now()'), ('SELECT clock_timestamp()'), ('SELECT gen_random_uuid()'), ('SELECT pg_sleep(1000)'), ('SELECT txid_current()'),
	('SELECT count(*) FROM pg_class'), ('SELECT count(*) FROM pg_catalog.pg_proc'), ('SELECT count(*) FROM information_schema.sql_features'),
	('SELECT count(*) FROM fabric.chaincodes'), ('SELECT count(*) FROM fabric_internal.world_state'), ('TABLE pg_authid'),
	('CREATE TABLE t (a int)'), ('CREATE TEMP TABLE t (a int)'), ('DROP FUNCTION put'), ('SET work_mem = 100'), ('RESET ROLE'), ('SET ROLE postgres'),
	('SET SESSION AUTHORIZATION DEFAULT'), ('LISTEN x'), ('NOTIFY x'), ('DO $$BEGIN END$$'), ('PREPARE p AS SELECT 1'), ('DECLARE c CURSOR WITH HOLD FOR SELECT 1'),
	('COPY (SELECT 1) TO STDOUT'), ('LOCK TABLE pg_class'), ('EXPLAIN SELECT 1'), ('VACUUM'), ('COMMIT'),
	('SELECT set_config(''work_mem'', ''100'', false)'), ('SELECT current_setting(''data_directory'')'), ('SELECT pg_notify(''a'', ''b'')'),
	('SELECT pg_advisory_lock(1)'), ('SELECT lo_create(0)'), ('SELECT pg_logical_emit_message(false, ''a'', ''b'')'), ('SELECT pg_read_file(''PG_VERSION'')'),
	('SELECT query_to_xml(''SELECT 1'', true, true, '''')'), ('SELECT pg_terminate_backend(0)'), ('SELECT has_table_privilege(''pg_class'', ''SELECT'')'),
	('SELECT fabric.query(''calls'', ''cc'', ''who'')'), ('SELECT fabric.install_chaincode('''')'), ('SELECT public.gen_random_bytes(1)'),
	('SELECT 1 + 1'), ('SELECT to_char(get_tx_timestamp(), ''YYYY'') > ''2000'''), ('SELECT string_agg(x, '','') FROM unnest(ARRAY[''a'', ''b'']) x')) AS v (q);
SELECT pg_temp.query('run_caught', 'SELECT random()');
SELECT split_part(pg_temp.query('deep', '1'), E'\n', 1);
-- the session has its role and settings again
SELECT current_user = session_user AS same_user, current_setting('transaction_read_only') AS read_only,
	current_setting('search_path') AS search_path;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
-- calls in a read-only transaction, and after an error that was caught
BEGIN TRANSACTION READ ONLY;
SELECT pg_temp.query('divide', '1', '0');
SELECT pg_temp.query('divide', '6', '3');
COMMIT;

-- the time limit
ALTER SYSTEM SET fabric.chaincode_execute_timeout = '2s';
SELECT pg_reload_conf();
-- this session has the setting for its next statement when a new session has it
\! until [ "$(psql -XqAt -d postgres -c 'SHOW fabric.chaincode_execute_timeout')" = 2s ]; do sleep 0.1; done
SHOW fabric.chaincode_execute_timeout;
SELECT pg_temp.query('spin');
SELECT pg_temp.query('spin_sql');
SELECT pg_temp.query('divide', '6', '3');
ALTER SYSTEM RESET fabric.chaincode_execute_timeout;
SELECT pg_reload_conf();

--
-- an upgrade has the next sequence; initialization
--
SET fabric.identity = 'calls.admin';
SELECT fabric.approve_chaincode('calls', 'cc', '1.1', 2, :'package_id', init_required => true);
SELECT fabric.commit_chaincode('calls', 'cc', '1.1', 2, init_required => true);
SELECT name, version, sequence, init_required FROM fabric.chaincodes WHERE channel = 'calls';
SET fabric.identity = 'calls.user';
SELECT pg_temp.query('get_text', 'j');
SELECT validation_code FROM fabric.submit_transaction('calls', 'cc', 'put', '{i,1}', is_init => true);
SELECT pg_temp.query('get_text', 'j');
SELECT pg_temp.try('SELECT tx_id FROM fabric.submit_transaction(''calls'', ''cc'', ''put'', ''{i,1}'', is_init => true)');
SET fabric.identity = 'calls.admin';
-- an organization that approves without a package validates, but cannot endorse
SELECT fabric.approve_chaincode('calls', 'cc', '1.2', 3, NULL);
SELECT fabric.commit_chaincode('calls', 'cc', '1.2', 3);
SELECT version, sequence, package_id, installed FROM fabric.list_chaincodes('calls');
SELECT pg_temp.query('get_text', 'j');
SELECT pg_temp.try('SELECT fabric.approve_chaincode(''calls'', ''cc'', ''1.3'', 3, NULL)');
-- the same definition approved again with a package
SELECT fabric.approve_chaincode('calls', 'cc', '1.2', 3, :'package_id');
-- the committed sequence can be approved again without changes
SELECT fabric.approve_chaincode('calls', 'cc', '1.2', 3, :'package_id');
SELECT validation_code FROM fabric.transactions WHERE channel = 'calls'
	ORDER BY block_number DESC, tx_number DESC LIMIT 1;
SELECT pg_temp.query('get_text', 'j');
SELECT pg_temp.try('SELECT fabric.submit_transaction(''calls'', ''cc'', ''put'', ''{i,1}'', is_init => true)');

RESET fabric.identity;
SELECT fabric.leave_channel('calls');
SELECT fabric.uninstall_chaincode(:'package_id');
SELECT fabric.drop_identity('calls.admin'), fabric.drop_identity('calls.user');
