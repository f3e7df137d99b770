-- What the isolation specs share: a channel of one organization with a small chaincode, and calls
-- whose output is the same in every run.
-- tools/run_tests runs it once, before the specs.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION fabric CASCADE;
CREATE EXTENSION dblink;
CREATE SCHEMA race;

-- ---- the channel ----

CREATE FUNCTION race.file(name text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_read_file(regexp_replace(current_setting('fabric.node_key_file'), '[^/]+$', name))
$$;

CREATE FUNCTION race.genesis(channel text) RETURNS bytea LANGUAGE sql AS $$
	SELECT fabric.create_channel(channel, jsonb_build_object(
		'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(race.file('ca.pem')),
			'tls_root_certificates', jsonb_build_array(race.file('tlsca.pem')), 'application', true, 'orderer', true,
			'anchor_peers', jsonb_build_array(address), 'endpoints', jsonb_build_array(address))),
		'consenters', jsonb_build_array(jsonb_build_object('address', address,
			'client_tls_certificate', race.file('tls.pem'), 'server_tls_certificate', race.file('tls.pem')))))
	FROM (SELECT 'localhost:' || current_setting('port') AS address) x
$$;

CREATE FUNCTION race.package() RETURNS bytea LANGUAGE sql AS $package$
	SELECT fabric.package_chaincode('race_1.0', $cc$
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
CREATE FUNCTION add(key text, amount int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE total int := fabric.get_state_text(key)::int + amount;
BEGIN PERFORM fabric.put_state(key, total::text); RETURN total; END $$;
CREATE FUNCTION add_owned(owner text, amount int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	key bytea := fabric.create_composite_key('owner~account', VARIADIC ARRAY[owner, '1']);
	total int := coalesce(fabric.get_state_text(key)::int, 0) + amount;
BEGIN PERFORM fabric.put_state(key, total::text); RETURN total; END $$;
CREATE FUNCTION copy(source text, target text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE value text := coalesce(fabric.get_state_text(source), 'nothing');
BEGIN PERFORM fabric.put_state(target, value); RETURN value; END $$;
CREATE FUNCTION remove(key text) RETURNS void LANGUAGE sql AS $$ SELECT fabric.del_state(key) $$;
CREATE FUNCTION list(first text, last text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(key || '=' || convert_from(value, 'UTF8'), ' ' ORDER BY key), 'nothing')
		FROM fabric.get_state_by_range(first, last) $$;
CREATE FUNCTION count_into(first text, last text, target text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE many int := (SELECT count(*) FROM fabric.get_state_by_range(first, last));
BEGIN PERFORM fabric.put_state(target, many::text); RETURN many; END $$;
CREATE FUNCTION reset() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fabric.del_state(r.key) FROM (SELECT key FROM fabric.get_state_by_range('', '')
		ORDER BY key) r;
	PERFORM fabric.del_state(fabric.create_composite_key('owner~account', VARIADIC ARRAY['Ada', '1']));
	PERFORM fabric.put_state('k', '1');
	PERFORM fabric.put_state('l', '1');
END $$;
$cc$)
$package$;

CREATE PROCEDURE race.prepare() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fabric.add_identity('race.admin', 'Org1MSP', race.file('admin.pem'), race.file('admin.key'));
	PERFORM fabric.add_identity('race.user', 'Org1MSP', race.file('user1.pem'), race.file('user1.key'));
	PERFORM fabric.grant_identity('race.admin', current_user), fabric.grant_identity('race.user', current_user);
	PERFORM fabric.install_chaincode(race.package());
END $$;
CALL race.prepare();

ALTER DATABASE :"DBNAME" SET fabric.identity = 'race.user';

-- the state of the channel at the beginning of a permutation, and the transactions that the
-- permutation names
CREATE TABLE race.base (channel text PRIMARY KEY, height bigint);
CREATE TABLE race.call (name text PRIMARY KEY, tx_id text, payload bytea, signature bytea);

-- set up the channel with its chaincode, whatever the last permutation did; only keys k and l
-- exist, both '1'
CREATE PROCEDURE race.open(name text) LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM fabric.channels c WHERE c.channel = name) THEN
		PERFORM fabric.join_channel(race.genesis(name));
		COMMIT;
	END IF;
	IF NOT EXISTS (SELECT FROM fabric.list_chaincodes(name)) THEN
		SET LOCAL fabric.identity = 'race.admin';
		PERFORM fabric.approve_chaincode(name, 'cc', '1.0', 1,
			(fabric.package_info(race.package())).package_id);
		PERFORM fabric.commit_chaincode(name, 'cc', '1.0', 1);
		COMMIT;
	END IF;
	PERFORM race.ordered(0);
	PERFORM fabric.invoke(name, 'cc', 'reset');
	COMMIT;
	TRUNCATE race.base, race.call;
	INSERT INTO race.base SELECT name, height FROM fabric.chain_info(name);
END $$;

-- ---- stable output ----

-- replace transaction ids by the names of their calls, and count blocks from the beginning of the
-- permutation
CREATE FUNCTION race.mask(words text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	result text := words;
BEGIN
	FOR c IN SELECT name, tx_id FROM race.call WHERE tx_id IS NOT NULL LOOP
		result := replace(result, c.tx_id, c.name);
	END LOOP;
	-- invocations are named by their position while the channel exists; this takes no lock
	IF result ~ '\m[0-9a-f]{64}\M' THEN
		FOR c IN SELECT t.tx_id, t.block_number, t.tx_number
			FROM regexp_matches(result, '\m[0-9a-f]{64}\M', 'g') m, fabric.transactions t
			WHERE t.channel = 'races' AND t.tx_id = m[1] LOOP
			result := replace(result, c.tx_id, format('(block %s, transaction %s)', c.block_number, c.tx_number));
		END LOOP;
	END IF;
	FOR c IN SELECT height + i AS number, CASE WHEN i < -1 THEN 'base' || i + 1 WHEN i < 0
		THEN 'base' ELSE '+' || i + 1 END AS name
		FROM race.base, generate_series(-5, 9) i WHERE height + i >= 0 LOOP
		result := regexp_replace(result, format('\mblock %s\M', c.number), 'block ' || c.name, 'g');
	END LOOP;
	RETURN regexp_replace(result, '\m[0-9a-f]{64}\M', 'ID', 'g');
END $$;

-- the result of a statement, or its error with detail and hint
CREATE FUNCTION race.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN race.mask(coalesce(result, '(null)'));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN race.mask(SQLSTATE || ' ' || SQLERRM || coalesce(' | ' || nullif(detail, ''), '')
		|| coalesce(' | ' || nullif(hint, ''), ''));
END $$;

-- ---- calls ----

CREATE FUNCTION race.invoke(function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE sql AS $$
	SELECT race.try(format('SELECT fabric.invoke(''races'', ''cc'', %L, VARIADIC %L)', function, args))
$$;

CREATE FUNCTION race.query(function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE sql AS $$
	SELECT race.try(format('SELECT fabric.query(''races'', ''cc'', %L, VARIADIC %L)', function, args))
$$;

-- sign like an application that keeps its key
CREATE FUNCTION race.sign(message bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	signature text;
BEGIN
	CREATE TEMP TABLE signature (hex text) ON COMMIT DROP;
	EXECUTE format('COPY signature FROM PROGRAM %L', format('MESSAGE=%s "$PG_ABS_SRCDIR"/t/sign %s', encode(message, 'hex'),
		regexp_replace(current_setting('fabric.node_key_file'), '[^/]+$', 'user1.key')));
	SELECT hex INTO signature FROM signature;
	DROP TABLE signature;
	RETURN decode(signature, 'hex');
END $$;

-- the first steps of a transaction in steps: name, endorse, sign and store it
CREATE FUNCTION race.endorse(call_name text, function text, VARIADIC args text[] DEFAULT '{}')
	RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	p record;
	e record;
BEGIN
	SELECT * INTO p FROM fabric.new_proposal('races', 'cc', function, args,
		fabric.identity_bytes('Org1MSP', race.file('user1.pem')));
	SELECT * INTO e FROM fabric.endorse(p.proposal, race.sign(p.proposal));
	INSERT INTO race.call VALUES (call_name, p.tx_id, e.payload, race.sign(e.payload));
	RETURN convert_from(e.result, 'UTF8');
END $$;

CREATE FUNCTION race.submit(call_name text) RETURNS text LANGUAGE sql AS $$
	SELECT race.try(format('SELECT fabric.submit(%L, %L)', payload, signature)) FROM race.call WHERE name = call_name
$$;

-- the result of a transaction: block, position and code, and the reason of a conflict
CREATE FUNCTION race.status(call_name text, timeout interval DEFAULT NULL) RETURNS text
	LANGUAGE sql AS $$
	SELECT race.try(format('SELECT ''block '' || s.block_number || '' transaction '' || s.tx_number || '' '' || s.validation_code FROM fabric.commit_status(''races'', %L, %L) s', tx_id, timeout))
	FROM race.call WHERE name = call_name
$$;

-- ---- stopping the node's processes where a race needs it ----

-- make one of the channel's tables readable but not writable until the end of the transaction
CREATE FUNCTION race.hold(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT format('LOCK TABLE fabric_internal.%s_%s IN SHARE MODE', name, id) FROM fabric_internal.channel WHERE channel = 'races');
END $$;

-- commit nothing; the orderer continues
CREATE FUNCTION race.hold_ledger() RETURNS void LANGUAGE sql AS $$ SELECT race.hold('transaction') $$;

-- order nothing: transactions that arrive after the first one make one block
CREATE FUNCTION race.hold_orderer() RETURNS void LANGUAGE sql AS $$ SELECT race.hold('raft_log') $$;

-- wait for a condition that another process makes true; false after three minutes
CREATE FUNCTION race.wait_until(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	reached boolean := false;
BEGIN
	FOR i IN 1 .. 18000 LOOP
		-- within a transaction pg_stat_activity would not change
		PERFORM pg_stat_clear_snapshot();
		EXECUTE 'SELECT ' || condition INTO reached;
		EXIT WHEN reached;
		PERFORM pg_sleep(0.01); -- sleep: between two looks
	END LOOP;
	RETURN reached;
END $$;

-- wait until a process has read its queue, and stop it
CREATE FUNCTION race.stands(kind text) RETURNS boolean LANGUAGE sql AS $$
	SELECT race.wait_until(format('EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.backend_type = %L)', kind))
$$;

CREATE FUNCTION race.orderer_stands() RETURNS boolean LANGUAGE sql AS $$ SELECT race.stands('fabric orderer') $$;
CREATE FUNCTION race.ledger_stands() RETURNS boolean LANGUAGE sql AS $$ SELECT race.stands('fabric ledger') $$;

-- this many transactions are ordered, each in its own block, and not yet committed
CREATE FUNCTION race.ordered(many int) RETURNS boolean LANGUAGE sql AS $$
	SELECT race.wait_until(format('coalesce((SELECT lag FROM fabric.stat_channel WHERE channel = ''races''), 0) = %s', many))
$$;

-- ---- statements in sessions of their own ----

-- Run a statement in a session of its own, because isolationtester cannot see waits for anything
-- but locks. The result is text.
CREATE FUNCTION race.start(call_name text, statement text, settings text DEFAULT '') RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dblink_connect(call_name, format('host=%s port=%s dbname=%s application_name=%s options=''%s''', current_setting('unix_socket_directories'),
		current_setting('port'), current_database(), call_name, settings));
	PERFORM dblink_send_query(call_name, statement);
END $$;

CREATE FUNCTION race.start_invoke(call_name text, function text, VARIADIC args text[] DEFAULT '{}')
	RETURNS void LANGUAGE sql AS $$
	SELECT race.start(call_name, format('SELECT race.invoke(%L, VARIADIC %L)', function, args))
$$;

CREATE FUNCTION race.waits_for_lock(call_name text) RETURNS boolean LANGUAGE sql AS $$
	SELECT race.wait_until(format('EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %L AND wait_event_type = ''Lock'')', call_name))
$$;

CREATE FUNCTION race.waits_for_commit(call_name text) RETURNS boolean LANGUAGE sql AS $$
	SELECT race.wait_until(format('EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %L AND wait_event_type = ''Extension'')', call_name))
$$;

CREATE FUNCTION race.is_busy(call_name text) RETURNS boolean LANGUAGE sql AS $$
	SELECT dblink_is_busy(call_name) = 1
$$;

CREATE FUNCTION race.finish(call_name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	SELECT race.mask(r) INTO answer FROM dblink_get_result(call_name) AS t (r text);
	PERFORM dblink_disconnect(call_name);
	RETURN answer;
EXCEPTION WHEN OTHERS OR query_canceled THEN
	PERFORM dblink_disconnect(call_name);
	GET STACKED DIAGNOSTICS answer = PG_EXCEPTION_DETAIL;
	RETURN race.mask(SQLSTATE || ' ' || regexp_replace(SQLERRM, '\n.*', '')
		|| coalesce(' | ' || nullif(answer, ''), ''));
END $$;

-- calls that only an administrator's identity may make
CREATE FUNCTION race.start_admin(call_name text, expression text) RETURNS void LANGUAGE sql AS $$
	SELECT race.start(call_name, format('SELECT race.try(%L)', 'SELECT ' || expression), '-c fabric.identity=race.admin')
$$;
