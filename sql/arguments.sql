-- Every argument of every function as null, empty, oversized and malformed: the call succeeds, or
-- fails with a clear error of a documented class. The functions come from the catalogs, so that a
-- new one changes the lists below. Functions for chaincode are called inside of a chaincode.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
\pset null '(null)'
\set ca `cat "$FABRIC_TEST_NODE/ca.pem"`
\set tlsca `cat "$FABRIC_TEST_NODE/tlsca.pem"`
\set tls `cat "$FABRIC_TEST_NODE/tls.pem"`
\set admin `cat "$FABRIC_TEST_NODE/admin.pem"`
\set admin_key `cat "$FABRIC_TEST_NODE/admin.key"`
\set csr `openssl req -new -key "$FABRIC_TEST_NODE/admin.key" -subj /CN=request`

--
-- a channel, a chaincode, an authority and an identity, so that the ordinary values of arguments
-- are valid
--
CREATE SCHEMA arguments_test;
SELECT fabric.add_identity('arguments.admin', 'Org1MSP', :'admin', :'admin_key'), fabric.grant_identity('arguments.admin', current_user);
SELECT fabric.add_identity('arguments.locked', 'Org1MSP', :'admin', :'admin_key', 'the passphrase'), fabric.grant_identity('arguments.locked', current_user);
SET fabric.identity = 'arguments.admin';
SELECT encode(fabric.create_channel('arguments', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))), 'hex') AS genesis \gset
SELECT fabric.join_channel(decode(:'genesis', 'hex'));
SELECT fabric.install_chaincode(fabric.package_chaincode('arguments_1.0', $cc$
CREATE FUNCTION count(VARIADIC args text[] DEFAULT '{}') RETURNS int
	LANGUAGE sql AS $$ SELECT cardinality(args) $$;
$cc$)) AS package_id \gset
SELECT fabric.approve_chaincode('arguments', 'cc', '1.0', 1, :'package_id'), fabric.commit_chaincode('arguments', 'cc', '1.0', 1);
SELECT length(fabric.ca_create('arguments', 'Org1MSP')) > 0 AS ca;
SELECT fabric.ca_register('arguments', 'who', secret => 'the secret') AS secret;
SELECT fabric.ca_enroll('arguments', 'who', 'the secret', :'csr') AS certificate \gset

-- a signed proposal, and a signed request for the channel's blocks
CREATE FUNCTION arguments_test.varint(n bigint) RETURNS bytea LANGUAGE sql AS $$
	SELECT CASE WHEN n < 128 THEN set_byte('\x00', 0, n::int)
		ELSE set_byte('\x00', 0, (128 + n % 128)::int) || arguments_test.varint(n / 128) END
$$;
CREATE FUNCTION arguments_test.field(number int, content bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT arguments_test.varint(number * 8 + 2) || arguments_test.varint(length(content))
		|| content
$$;
SELECT encode(fabric.identity_bytes('Org1MSP', :'admin'), 'hex') AS creator \gset
SELECT encode(proposal, 'hex') AS proposal
	FROM fabric.new_proposal('arguments', 'cc', 'count', '{a}', decode(:'creator', 'hex')) \gset
\setenv MESSAGE :proposal
\set signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`
SELECT encode(payload, 'hex') AS payload FROM fabric.endorse(decode(:'proposal', 'hex'), decode(:'signature', 'hex')) \gset
\setenv MESSAGE :payload
\set payload_signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`
-- a new proposal: the call above has used up the transaction id of the first
SELECT encode(proposal, 'hex') AS proposal
	FROM fabric.new_proposal('arguments', 'cc', 'count', '{a}', decode(:'creator', 'hex')) \gset
\setenv MESSAGE :proposal
\set signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`
-- a request for a new certificate is signed with the key of the old certificate
SELECT encode(convert_to(:'csr', 'UTF8'), 'hex') AS message \gset
\setenv MESSAGE :message
\set csr_signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`
SELECT encode(arguments_test.field(1, arguments_test.field(1, '\x0805'
	|| arguments_test.field(3, '\x08' || arguments_test.varint(extract(epoch FROM now())::bigint))
	|| arguments_test.field(4, 'arguments')) ||
		arguments_test.field(2, arguments_test.field(1, decode(:'creator', 'hex'))
			|| arguments_test.field(2, decode(repeat('07', 24), 'hex')))) ||
	-- SeekInfo: from block 0 up to block 0
	arguments_test.field(2, arguments_test.field(1, arguments_test.field(3, ''))
		|| arguments_test.field(2, arguments_test.field(3, ''))), 'hex') AS seek \gset
\setenv MESSAGE :seek
\set seek_signature `"$PG_ABS_SRCDIR"/t/sign "$FABRIC_TEST_NODE/admin.key"`

--
-- the values
--
-- an ordinary value of each argument, as SQL; function is null: for every function
CREATE TABLE arguments_test.ordinary (function text, argument text, value text);
INSERT INTO arguments_test.ordinary VALUES
	(NULL, 'accept_differences', 'false'), (NULL, 'affiliation', '''org1'''), (NULL, 'allow_warnings', 'false'), (NULL, 'args', '''{a}'''), (NULL, 'attributes', 'NULL'), (NULL, 'block', 'fabric.get_block(''arguments'', 1)'),
	(NULL, 'directory', '''arguments/1'''), (NULL, 'other_directory', '''arguments/2'''), (NULL, 'differences_max', '10'),
	(NULL, 'request', '''\x0a00'''), (NULL, 'private_rwset', '''\x'''), (NULL, 'tx_number', '0'),
	(NULL, 'block_number', '1'), (NULL, 'bytes_max', '1000000'), (NULL, 'ca', '''arguments'''),
		('ca_create', 'ca', '''another'''), ('fabric.ca_import(text,text,text,text,text)', 'ca',
		'''another'''), (NULL, 'certificate', quote_literal(:'admin')), ('ca_reenroll', 'certificate', quote_literal(:'certificate')), (NULL, 'chaincode', '''cc'''),
	(NULL, 'channel', '''arguments'''), (NULL, 'collections', 'NULL'), (NULL, 'config_block', 'fabric.get_block(''arguments'', 0)'), (NULL, 'consenter', '1'),
	(NULL, 'creator', quote_literal('\x' || :'creator')), (NULL, 'csr', quote_literal(:'csr')),
		(NULL, 'data_hash', 'sha256(''x'')'), (NULL, 'endorsing_orgs', 'NULL'),
	(NULL, 'enrollment_id', '''who'''), ('ca_register', 'enrollment_id', '''another'''), (NULL, 'envelope', '''x'''), (NULL, 'envelopes', '''x'''),
	(NULL, 'from_block', '0'), (NULL, 'function', '''count'''),
		(NULL, 'genesis_block', 'fabric.get_block(''arguments'', 0)'), (NULL, 'hosts', 'NULL'),
		(NULL, 'identity', '''arguments.admin'''), (NULL, 'init_required', 'false'),
		(NULL, 'is_init', 'false'), (NULL, 'key', '''k'''), (NULL, 'keys', 'NULL'), (NULL, 'no_private_reads', 'false'),
	(NULL, 'kind', '''signing'''), (NULL, 'label', '''arguments.admin'''), ('add_identity', 'label', '''another'''), ('open_identity', 'label', '''arguments.locked'''), ('package_chaincode', 'label', '''a_1'''), (NULL, 'language', '''sql'''),
	(NULL, 'max_enrollments', '-1'), (NULL, 'message', '''x'''), (NULL, 'min_height', '0'), (NULL, 'msp_id', '''Org1MSP'''), (NULL, 'msp_ids', '''{Org1MSP}'''), (NULL, 'name', '''other'''),
	(NULL, 'nonce', '''x'''), (NULL, 'number', '1'), (NULL, 'object_type', '''color'''),
		(NULL, 'package', 'fabric.package_chaincode(''a_1'', ''CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'')'),
		(NULL, 'package_id', 'NULL'), (NULL, 'parent', 'NULL'), (NULL, 'passphrase', 'NULL'),
		('open_identity', 'passphrase', '''the passphrase'''), ('ca_export', 'passphrase', '''the passphrase'''), ('ca_import', 'passphrase', '''the passphrase'''), (NULL, 'export', 'fabric.ca_export(''arguments'', ''the passphrase'')'),
	(NULL, 'old', 'fabric.config(''arguments'', 0)'), (NULL, 'new', 'jsonb_set(fabric.config(''arguments'', 0), ''{channel_group,groups,Orderer,values,BatchTimeout,value,timeout}'', ''"900ms"'')'),
	(NULL, 'update', 'fabric.compute_config_update(''arguments'', fabric.config(''arguments'', 0), jsonb_set(fabric.config(''arguments'', 0), ''{channel_group,groups,Orderer,values,BatchTimeout,value,timeout}'', ''"900ms"''))'),
	('submit_config_update', 'update', '(SELECT fabric.compute_config_update(''arguments'', c, jsonb_set(c, ''{channel_group,groups,Orderer,values,BatchTimeout,value,timeout}'', to_jsonb(1000 + (c ->> ''sequence'')::int || ''ms''))) FROM fabric.config(''arguments'') c)'),
	(NULL, 'signatures', '''{}'''), ('config', 'block', '0'), ('encode_message', 'message', '''{}'''),
	(NULL, 'payload', quote_literal('\x' || :'payload')), (NULL, 'policy', '''OR(''''Org1MSP.peer'''')'''), ('policy_satisfied', 'policy', '''OR(''''Org1MSP.peer'''')'''),
	('fabric.policy_satisfied(bytea,text[])', 'policy', 'fabric.policy_compile(''OR(''''Org1MSP.peer'''')'')'), (NULL, 'previous_block', 'fabric.get_block(''arguments'', 0)'),
	(NULL, 'previous_hash', 'sha256(''x'')'), (NULL, 'principals', '''{Org1MSP.peer}'''), (NULL, 'private_key', quote_literal(:'admin_key')), (NULL, 'profile', 'NULL'),
	(NULL, 'proposal', quote_literal('\x' || :'proposal')), (NULL, 'reason', '''unspecified'''), (NULL, 'role', '''client'''), ('grant_identity', 'role', 'current_user'),
	('revoke_identity', 'role', 'current_user'), ('state_policy', 'role', '''peer'''), (NULL, 'seen_height', '0'), (NULL, 'secret', '''the secret'''),
	(NULL, 'seek', quote_literal('\x' || encode(arguments_test.field(1, decode(:'seek', 'hex'))
		|| arguments_test.field(2, decode(:'seek_signature', 'hex')), 'hex'))),
	(NULL, 'sender', '1'), (NULL, 'sequence', '1'), (NULL, 'serial', 'NULL'),
		(NULL, 'signature', quote_literal('\x' || :'signature')), ('submit', 'signature', quote_literal('\x' || :'payload_signature')),
	('ca_reenroll', 'signature', quote_literal('\x' || :'csr_signature')),
	(NULL, 'signed_proposal',
		quote_literal('\x' || encode(arguments_test.field(1, decode(:'proposal', 'hex'))
		|| arguments_test.field(2, decode(:'signature', 'hex')), 'hex'))),
	(NULL, 'source', '''CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'''), ('join_channel', 'source', '''orderers'''), ('set_channel_source', 'source', '''orderers'''), (NULL, 'subject', 'NULL'), (NULL, 'timeout', '''0'''), (NULL, 'to_block', 'NULL'),
	(NULL, 'transient', 'NULL'),
		(NULL, 'tx_id', '(SELECT tx_id FROM fabric.transactions WHERE channel = ''arguments'' AND block_number = 1)'),
		(NULL, 'type', '''common.Block'''), (NULL, 'up_to', 'NULL'), (NULL, 'valid_for', '''1 day'''),
		(NULL, 'version', '''1.0'''), (NULL, 'wait', 'true'), (NULL, 'wait_ms', '100');

-- hostile values, by type
CREATE TABLE arguments_test.hostile (number int GENERATED ALWAYS AS IDENTITY, type regtype,
	kind text, value text);
INSERT INTO arguments_test.hostile (type, kind, value)
	SELECT t, 'null', 'NULL' FROM unnest('{text,bytea,bigint,integer,smallint,boolean,jsonb,json,text[],bytea[],interval,name,timestamptz}'::regtype[]) t UNION ALL
	SELECT t, 'empty', '''''' FROM unnest('{text,bytea,name}'::regtype[]) t UNION ALL
	SELECT t, 'empty', '''{}''' FROM unnest('{json,jsonb}'::regtype[]) t UNION ALL
	SELECT t, 'empty', '''{}''' FROM unnest('{text[],bytea[]}'::regtype[]) t UNION ALL
	SELECT t, 'of null', '''{NULL}''' FROM unnest('{text[],bytea[]}'::regtype[]) t UNION ALL
	SELECT t, 'of empty', '''{""}''' FROM unnest('{text[],bytea[]}'::regtype[]) t UNION ALL
	SELECT 'bytea[]', 'odd', '''{{"\\xff"},{"\\x00"}}''' UNION ALL
	SELECT 'text', 'huge', 'repeat(''x'', 2000000)' UNION ALL
	SELECT 'json', 'huge', 'to_json(repeat(''x'', 2000000))' UNION ALL
	SELECT 'bytea', 'huge', 'decode(repeat(''0a'', 2000000), ''hex'')' UNION ALL
	SELECT 'jsonb', 'huge', 'jsonb_build_object(repeat(''x'', 2000000), repeat(''x'', 2000000))' UNION ALL
	SELECT 'text[]', 'huge', 'array_fill(repeat(''x'', 40), ARRAY[100000])' UNION ALL
	SELECT 'text', 'odd', 'E''\x01\t"\''\\;ä😀--''' UNION ALL
	SELECT 'name', 'odd', '''no such role''' UNION ALL
	SELECT 'json', 'odd', '''{"a": "\u0000"}''' UNION ALL
	SELECT 'bytea', 'odd', '''\xff''' UNION ALL
	SELECT 'bytea', 'other', '''\x0a03414243''' UNION ALL	-- a message, but not the right one
	SELECT 'jsonb', 'list', '''[1]''' UNION ALL
	SELECT 'jsonb', 'text', '''"x"''' UNION ALL
	SELECT 'jsonb', 'odd', '''{"ä\n": [null, {"a": 1e400}]}''' UNION ALL
	SELECT 'text[]', 'odd', '''{{a,b},{c,d}}''' UNION ALL
	SELECT 'timestamptz', v, quote_literal(v) FROM unnest('{-infinity,infinity,2000-01-01}'::text[]) v UNION ALL
	SELECT 'interval', v, quote_literal(v) FROM unnest('{0,-1 day,178000000 years}'::text[]) v UNION ALL
	SELECT t, v, quote_literal(v) FROM unnest('{bigint,integer,smallint}'::regtype[]) t, unnest('{-1,0}'::text[]) v UNION ALL
	SELECT 'bigint', v, quote_literal(v) FROM unnest('{-9223372036854775808,9223372036854775807}'::text[]) v UNION ALL
	SELECT 'integer', v, quote_literal(v) FROM unnest('{-2147483648,2147483647}'::text[]) v UNION ALL
	SELECT 'smallint', v, quote_literal(v) FROM unnest('{-32768,32767}'::text[]) v;

--
-- the walk: a call for each argument and each of these values, with ordinary values for the other
-- arguments; each call is rolled back
--
CREATE TABLE arguments_test.argument AS
	SELECT p.oid::regprocedure AS function, p.proname, x.position, x.argument, x.type::oid::regtype,
		coalesce(p.proargmodes[x.position], 'i') = 'v' AS is_variadic,
		has_function_privilege('fabric_chaincode', p.oid, 'EXECUTE')
			AND NOT has_function_privilege('public', p.oid, 'EXECUTE') AS is_shim
	FROM pg_proc p, LATERAL ROWS
		FROM (unnest(p.proargnames[1:p.pronargs]), unnest(string_to_array(p.proargtypes::text, ' ')))
		WITH ORDINALITY AS x (argument, type, position)
	WHERE p.pronamespace IN ('fabric'::regnamespace, 'fabric_internal'::regnamespace) AND p.pronargs > 0;
-- arguments and types that the lists above lack
SELECT DISTINCT argument AS argument_without_ordinary_value FROM arguments_test.argument a
WHERE NOT is_shim AND NOT EXISTS (SELECT FROM arguments_test.ordinary o WHERE o.argument = a.argument)
	AND (SELECT count(*) FROM arguments_test.argument b WHERE b.function = a.function) > 1;
SELECT DISTINCT type AS type_without_hostile_values FROM arguments_test.argument
	WHERE type NOT IN (SELECT type FROM arguments_test.hostile);

CREATE TABLE arguments_test.outcome (function regprocedure, position int, argument text, number int,
	kind text, state text, message text, detail text, hint text);
CREATE FUNCTION arguments_test.attempt(call text, OUT state text, OUT message text, OUT detail text,
	OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE call;
	RAISE EXCEPTION 'take it back' USING ERRCODE = 'ZZZZZ';
EXCEPTION
	WHEN SQLSTATE 'ZZZZZ' THEN
		state := 'ok';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END
$$;
CREATE FUNCTION arguments_test.call(called regprocedure, hostile_argument text, hostile_value text)
	RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT * FROM %s(%s)', regexp_replace(called::text, '\(.*', ''),
		string_agg(format('%s%I => (%s)::%s', CASE WHEN is_variadic THEN 'VARIADIC ' ELSE '' END, argument,
			CASE WHEN argument = hostile_argument THEN hostile_value
			ELSE coalesce((SELECT value FROM arguments_test.ordinary o WHERE o.argument = a.argument
				AND (o.function IS NULL OR o.function IN (a.proname, a.function::text))
				ORDER BY o.function LIMIT 1), 'NULL') END, type),
			', ' ORDER BY position))
	FROM arguments_test.argument a WHERE a.function = called
$$;
CREATE FUNCTION arguments_test.walk() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
	o record;
BEGIN
	FOR a IN SELECT f.*, h.number, h.kind, h.value FROM arguments_test.argument f
		JOIN arguments_test.hostile h USING (type) WHERE NOT is_shim
		ORDER BY function::text COLLATE "C", position, number LOOP
		o := arguments_test.attempt(arguments_test.call(a.function, a.argument, a.value));
		INSERT INTO arguments_test.outcome
			VALUES (a.function, a.position, a.argument, a.number, a.kind, o.state, o.message,
			o.detail, o.hint);
	END LOOP;
END
$$;
SET fabric.endorsement_timeout = '2s';
SELECT arguments_test.walk();

-- the outcomes: ok, or the SQLSTATE
SELECT function::text COLLATE "C" AS function, argument, string_agg(kind || ' ' || state, ', '
	ORDER BY number) AS outcomes FROM arguments_test.outcome GROUP BY function, position, argument
	ORDER BY 1, position;
-- each error is of class LF, or one of PostgreSQL's about data, privileges, names and limits; no error is internal, and texts are neither empty nor too long
SELECT function, argument, kind, state, left(message, 300) AS message FROM arguments_test.outcome
WHERE state <> 'ok' AND (state !~ '^(LF[0-5]|22|42501|42704|54000)'
	AND NOT (state = 'LF902' AND argument = 'envelope') OR length(message) NOT BETWEEN 10 AND 300
	OR length(detail) > 1100 OR
	length(hint) > 300 OR message ~ '^[A-Z][a-z]' OR message ~ '\.$') ORDER BY 1::text COLLATE "C", 2, 3;
-- an error about a null names the argument
SELECT function, argument, state, message FROM arguments_test.outcome
	WHERE kind = 'null' AND state NOT IN ('ok', 'LF301') AND (state <> 'LF001' OR message <> format('argument "%s" must not be null', argument));
-- the texts of the errors
SELECT DISTINCT state, replace(replace(message, repeat('x', 50), '...'),
	format('role "%s"', session_user), 'role SESSION_USER') COLLATE "C" AS message,
	regexp_replace(left(detail, 200), '[0-9]+ blocks', 'N blocks') COLLATE "C" AS detail, hint COLLATE "C" AS hint
FROM arguments_test.outcome WHERE state <> 'ok' AND kind <> 'null' ORDER BY 1, 2, 3, 4;

--
-- functions that chaincode calls: outside of a simulation they raise one error, whatever the
-- arguments are
--
CREATE FUNCTION arguments_test.walk_shim_outside() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
	o record;
BEGIN
	FOR a IN SELECT f.*, h.number, h.kind, h.value FROM arguments_test.argument f
		JOIN arguments_test.hostile h USING (type) WHERE is_shim
		ORDER BY function::text COLLATE "C", position, number LOOP
		o := arguments_test.attempt(arguments_test.call(a.function, a.argument, a.value));
		INSERT INTO arguments_test.outcome
			VALUES (a.function, a.position, a.argument, a.number, a.kind, o.state, o.message,
			o.detail, o.hint);
	END LOOP;
END
$$;
TRUNCATE arguments_test.outcome;
SELECT arguments_test.walk_shim_outside();
SELECT count(*) > 100 AS calls, state, message, hint FROM arguments_test.outcome
	GROUP BY state, message, hint ORDER BY state DESC, message COLLATE "C", hint COLLATE "C";

--
-- inside of a simulation: a chaincode has a function for each of these calls
--
INSERT INTO arguments_test.ordinary VALUES (NULL, 'start_key', '''a'''), (NULL, 'end_key', '''z'''),
	(NULL, 'page_size', '10'), (NULL, 'bookmark', ''''''), (NULL, 'value', '''1'''),
	('get_state_by_partial_composite_key', 'attributes', '''{a}'''), ('get_state_by_partial_composite_key_with_pagination', 'attributes', '''{a}'''),
	('set_event', 'payload', '''1'''), ('set_state_validation_parameter', 'policy', '''''');
SELECT DISTINCT argument AS argument_without_ordinary_value FROM arguments_test.argument a
	WHERE is_shim AND NOT EXISTS (SELECT FROM arguments_test.ordinary o
	WHERE o.argument = a.argument);
CREATE TABLE arguments_test.shim_call AS
	SELECT 'call' || row_number() OVER (ORDER BY function::text COLLATE "C", position, h.number) AS name,
		function, position, argument, h.number, kind,
		arguments_test.call(function, argument, value) AS call
	FROM arguments_test.argument JOIN arguments_test.hostile h USING (type) WHERE is_shim;
SELECT fabric.install_chaincode(fabric.package_chaincode('shim_1.0',
	string_agg(format('CREATE FUNCTION %s() RETURNS void LANGUAGE sql AS %L;', name, call), E'\n'
		ORDER BY function::text COLLATE "C", position, number))) AS shim_package_id
		FROM arguments_test.shim_call \gset
SELECT fabric.approve_chaincode('arguments', 'shim', '1.0', 1, :'shim_package_id'), fabric.commit_chaincode('arguments', 'shim', '1.0', 1);
TRUNCATE arguments_test.outcome;
INSERT INTO arguments_test.outcome SELECT c.function, c.position, c.argument, c.number, c.kind, o.*
	FROM arguments_test.shim_call c, arguments_test.attempt(format('SELECT fabric.query(''arguments'', ''shim'', %L)', c.name)) o;
-- the error of chaincode has the original SQLSTATE in its detail; errors about limits keep their
-- SQLSTATE
SELECT function::text COLLATE "C" AS function, argument,
	string_agg(kind || ' ' || coalesce(substring(detail FROM 'with SQLSTATE (.....)'), state), ', '
	ORDER BY number) AS outcomes
FROM arguments_test.outcome GROUP BY function, position, argument ORDER BY 1, position;
SELECT function, argument, kind, state, message, detail FROM arguments_test.outcome
WHERE state NOT IN ('ok', 'LF301', 'LF003') OR detail ~ 'SQLSTATE (XX|LF9|P0)'
	OR length(message) NOT BETWEEN 10 AND 300 OR message ~ '^[A-Z][a-z]' OR message ~ '\.$'
	ORDER BY 1::text COLLATE "C", 2, 3;
SELECT function, argument, state, message FROM arguments_test.outcome
	WHERE kind = 'null' AND (state <> 'LF301' OR message <> format('argument "%s" must not be null', argument));
SELECT DISTINCT substring(detail FROM 'with SQLSTATE (.....)') AS state,
	replace(message, repeat('x', 50), '...') COLLATE "C" AS message, hint COLLATE "C" AS hint
FROM arguments_test.outcome WHERE state <> 'ok' AND kind <> 'null' ORDER BY 1, 2, 3;

--
-- the end
--
SELECT fabric.leave_channel('arguments');
SELECT fabric.uninstall_chaincode(:'package_id'), fabric.uninstall_chaincode(:'shim_package_id');
RESET fabric.identity;
SELECT fabric.drop_identity('arguments.admin'), fabric.drop_identity('arguments.locked');
DROP SCHEMA arguments_test CASCADE;
