-- privileges on every function, table, view and setting: of a role without any privilege and of the
-- four roles, from the catalogs and by trying
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
\pset null '(null)'
\set ca `cat "$FABRIC_TEST_NODE/ca.pem"`
\set tlsca `cat "$FABRIC_TEST_NODE/tlsca.pem"`
\set tls `cat "$FABRIC_TEST_NODE/tls.pem"`
\set admin `cat "$FABRIC_TEST_NODE/admin.pem"`
\set admin_key `cat "$FABRIC_TEST_NODE/admin.key"`

-- a channel and a chaincode, which have objects of their own
CREATE SCHEMA privileges_test;
SELECT fabric.add_identity('privileges.admin', 'Org1MSP', :'admin', :'admin_key'), fabric.grant_identity('privileges.admin', current_user);
SET fabric.identity = 'privileges.admin';
SELECT fabric.join_channel(fabric.create_channel('privileges', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))));
SELECT fabric.install_chaincode(fabric.package_chaincode('privileges_1.0', $cc$
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(key, value) $$;
CREATE FUNCTION pure() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
$cc$)) AS package_id \gset
SELECT fabric.approve_chaincode('privileges', 'cc', '1.0', 1, :'package_id'), fabric.commit_chaincode('privileges', 'cc', '1.0', 1);
SELECT fabric.invoke('privileges', 'cc', 'put', 'a', '1');

CREATE ROLE regress_privileges_stranger;
CREATE TABLE privileges_test.role (number int, short text, name name);
INSERT INTO privileges_test.role VALUES (1, 'stranger', 'regress_privileges_stranger'),
	(2, 'client', 'fabric_client'), (3, 'admin', 'fabric_admin'), (4, 'node', 'fabric_node'), (5, 'chaincode', 'fabric_chaincode');

--
-- the roles have no attributes, no memberships, and no objects of their own
--
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
	rolbypassrls FROM pg_roles WHERE rolname IN (SELECT name FROM privileges_test.role)
	AND rolname LIKE 'fabric%' ORDER BY rolname;
SELECT r.rolname, m.rolname AS member_of FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member
	JOIN pg_roles m ON m.oid = a.roleid WHERE r.rolname LIKE 'fabric\_%' OR m.rolname = 'fabric_chaincode';
SELECT nspname, has_schema_privilege('regress_privileges_stranger', oid, 'USAGE') AS stranger,
	has_schema_privilege('fabric_client', oid, 'USAGE') AS client, has_schema_privilege('fabric_admin', oid, 'USAGE') AS admin,
	has_schema_privilege('fabric_node', oid, 'USAGE') AS node, has_schema_privilege('fabric_chaincode', oid, 'USAGE') AS chaincode
FROM pg_namespace WHERE nspname IN ('fabric', 'fabric_internal') ORDER BY nspname;
SELECT nspname, short AS may_create FROM pg_namespace, privileges_test.role
	WHERE nspname LIKE 'fabric%' AND has_schema_privilege(name, pg_namespace.oid, 'CREATE')
	ORDER BY nspname, number;
SELECT p.oid::regprocedure::text AS owned_by_another FROM pg_proc p
	WHERE pronamespace IN ('fabric'::regnamespace, 'fabric_internal'::regnamespace)
	AND proowner <> (SELECT extowner FROM pg_extension WHERE extname = 'fabric')
UNION ALL SELECT c.oid::regclass::text FROM pg_class c
	WHERE relnamespace IN ('fabric'::regnamespace, 'fabric_internal'::regnamespace)
	AND relowner <> (SELECT extowner FROM pg_extension WHERE extname = 'fabric');
SELECT p.oid::regprocedure AS security_definer, proconfig FROM pg_proc p
	WHERE prosecdef AND pronamespace IN ('fabric'::regnamespace, 'fabric_internal'::regnamespace);

--
-- functions that PUBLIC may call, or which roles may call
--
CREATE TABLE privileges_test.function AS
	SELECT p.oid::regprocedure AS function, n.nspname AS schema, p.proname, r.number, r.short,
		r.name AS role, has_function_privilege(r.name, p.oid, 'EXECUTE') AS granted,
		has_schema_privilege(r.name, n.oid, 'USAGE') AS visible,
		format('SELECT * FROM %s(%s)', regexp_replace(p.oid::regprocedure::text, '\(.*', ''),
			(SELECT string_agg(format('%s(SELECT NULL::%s)', CASE WHEN p.proargmodes[i] = 'v'
			THEN 'VARIADIC ' ELSE '' END, t::oid::regtype), ', ' ORDER BY i)
			FROM unnest(string_to_array(p.proargtypes::text, ' ')) WITH ORDINALITY AS x (t, i)
				WHERE t <> '')) AS call
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, privileges_test.role r
		WHERE n.nspname IN ('fabric', 'fabric_internal') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype);
SELECT function::text COLLATE "C" AS function, CASE WHEN bool_and(granted) THEN 'everybody'
	ELSE coalesce(string_agg(short, ', ' ORDER BY number) FILTER (WHERE granted), 'the owner')
	END AS may_execute
FROM privileges_test.function GROUP BY function ORDER BY 1;

-- calls with nulls, written so that they are not folded: a role without the privilege gets an error
-- about it, other roles get the error about nulls
CREATE FUNCTION privileges_test.try_as(role name, call text, OUT state text, OUT message text)
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', role, true);
	EXECUTE call;
	RAISE EXCEPTION 'take it back' USING ERRCODE = 'ZZZZZ';
EXCEPTION
	WHEN SQLSTATE 'ZZZZZ' THEN
		state := 'ok';
	WHEN OTHERS THEN
		state := SQLSTATE;
		message := SQLERRM;
END
$$;
CREATE TABLE privileges_test.tried AS SELECT f.*, t.state, t.message
	FROM privileges_test.function f, privileges_test.try_as(f.role, f.call) t;
SELECT current_user = session_user AS same_user;
SELECT short, granted, count(*) FILTER (WHERE state = '42501') > 0 AS refused,
	count(*) FILTER (WHERE state IN ('ok', 'LF001', 'LF305', 'LF401')) > 0 AS called
	FROM privileges_test.tried WHERE visible GROUP BY number, short, granted
	ORDER BY number, granted;
SELECT short, function, state, message FROM privileges_test.tried
WHERE CASE WHEN NOT visible THEN state <> '42501' OR message <> 'permission denied for schema ' || schema
	WHEN NOT granted THEN state <> '42501' OR message <> 'permission denied for function ' || proname
	ELSE state NOT IN ('ok', 'LF001', 'LF305') END ORDER BY number, function::text COLLATE "C";

--
-- tables, views, sequences, and the partitions of a channel
--
CREATE TABLE privileges_test.relation AS
	SELECT c.oid::regclass AS relation, n.nspname || '.'
		|| regexp_replace(c.relname, '_[0-9]+', '_N') AS name, c.relkind, r.number, r.short,
		r.name AS role, p.privilege,
		has_schema_privilege(r.name, n.oid, 'USAGE') AS visible,
			has_table_privilege(r.name, c.oid, p.privilege) AS granted,
		CASE p.privilege WHEN 'SELECT' THEN format('SELECT * FROM %s LIMIT 0', c.oid::regclass)
			WHEN 'INSERT' THEN format('INSERT INTO %s DEFAULT VALUES', c.oid::regclass) WHEN 'DELETE' THEN format('DELETE FROM %s', c.oid::regclass)
			WHEN 'UPDATE' THEN format('UPDATE %s SET %2$I = %2$I', c.oid::regclass, (SELECT attname
				FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1)) WHEN 'TRUNCATE'
				THEN format('TRUNCATE %s', c.oid::regclass) END AS call
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, privileges_test.role r,
		unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p (privilege)
	WHERE n.nspname IN ('fabric', 'fabric_internal') AND c.relkind IN ('r', 'p', 'v');
UPDATE privileges_test.relation SET call = NULL WHERE relkind = 'v' AND privilege <> 'SELECT';
SELECT name COLLATE "C" AS name, CASE relkind WHEN 'v' THEN 'view' WHEN 'p' THEN 'partitioned table' ELSE 'table' END AS kind,
	coalesce(string_agg(DISTINCT CASE WHEN granted THEN lower(privilege) END, ', '), 'nothing') AS what,
		coalesce(string_agg(DISTINCT CASE WHEN granted THEN short END, ', '), 'no role') AS who
FROM privileges_test.relation GROUP BY name, relkind ORDER BY 1;
SELECT c.oid::regclass AS sequence, r.short FROM pg_class c, privileges_test.role r
	WHERE relnamespace = 'fabric_internal'::regnamespace AND relkind = 'S'
	AND has_sequence_privilege(r.name, c.oid, 'USAGE,SELECT,UPDATE');
-- reads: a table refuses, and a view returns its rows, with all functions that it uses
SELECT count(*) > 500 AS attempts FROM privileges_test.relation WHERE call IS NOT NULL;
SELECT short, relation, privilege, state, message
	FROM (SELECT r.*, t.* FROM privileges_test.relation r, privileges_test.try_as(role, call) t
	WHERE call IS NOT NULL) x
WHERE CASE WHEN granted THEN state <> 'ok' ELSE state <> '42501'
	OR message !~ '^permission denied for (table|view|schema) ' END ORDER BY number, relation::text COLLATE "C", privilege;
SELECT short, relation, state, message
	FROM (SELECT r.*, t.* FROM privileges_test.relation r,
	privileges_test.try_as(role, format('SELECT count(x::text) FROM %s x', relation)) t
	WHERE relkind = 'v' AND privilege = 'SELECT' AND granted) x
WHERE state <> 'ok' ORDER BY number, relation::text COLLATE "C";

--
-- chaincode functions: only a simulation calls them
--
SELECT schema_name FROM fabric.installed_chaincodes WHERE package_id = :'package_id' \gset
SELECT short, has_schema_privilege(name, :'schema_name', 'USAGE') AS usage,
	has_function_privilege(name, (:'schema_name' || '.pure()')::regprocedure, 'EXECUTE') AS execute,
	t.state, regexp_replace(t.message, 'fabric_cc_[0-9a-f]+', 'SCHEMA') AS message
FROM privileges_test.role, privileges_test.try_as(name, format('SELECT %I.pure()', :'schema_name')) t ORDER BY number;
SELECT short, t.state, regexp_replace(t.message, 'fabric_cc_[0-9a-f]+', 'SCHEMA') AS message
	FROM privileges_test.role, privileges_test.try_as(name, format('SELECT %I.put(''a'', ''2'')', :'schema_name')) t ORDER BY number;
SELECT fabric.query('privileges', 'cc', 'pure');

--
-- settings: every role may change the settings of a session, and only the server's configuration the others; a role can have fabric.session_identity, but cannot change it with SET
--
SELECT name, context FROM pg_settings WHERE name LIKE 'fabric.%' ORDER BY name COLLATE "C";
SELECT s.name, t.state, t.message
	FROM pg_settings s, privileges_test.try_as('regress_privileges_stranger', format('SET %s = %L', s.name, s.setting)) t
WHERE s.name LIKE 'fabric.%' AND (s.context = 'user') IS DISTINCT FROM (t.state = 'ok');

--
-- the end
--
SELECT fabric.leave_channel('privileges');
RESET fabric.identity;
SELECT fabric.drop_identity('privileges.admin'), fabric.uninstall_chaincode(:'package_id');
DROP SCHEMA privileges_test CASCADE;
DROP ROLE regress_privileges_stranger;
