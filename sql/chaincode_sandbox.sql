-- a result of chaincode does not depend on the caller's session: its settings, cursors and time
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
\set VERBOSITY terse
\pset null '(null)'
\set ca `cat $FABRIC_TEST_NODE/ca.pem`
\set tlsca `cat $FABRIC_TEST_NODE/tlsca.pem`
\set tls `cat $FABRIC_TEST_NODE/tls.pem`
\set admin `cat $FABRIC_TEST_NODE/admin.pem`
\set admin_key `cat $FABRIC_TEST_NODE/admin.key`
SELECT fabric.add_identity('sandbox.admin', 'Org1MSP', :'admin', :'admin_key');
SELECT fabric.grant_identity('sandbox.admin', current_user);
SET fabric.identity = 'sandbox.admin';
SELECT fabric.join_channel(fabric.create_channel('sandbox', jsonb_build_object(
	'organizations', jsonb_build_array(jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates', jsonb_build_array(:'ca'::text),
		'tls_root_certificates', jsonb_build_array(:'tlsca'::text), 'application', true, 'orderer', true,
		'anchor_peers', jsonb_build_array('localhost:' || current_setting('port')), 'endpoints',
			jsonb_build_array('localhost:' || current_setting('port')))),
	'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:' || current_setting('port'),
		'client_tls_certificate', :'tls'::text, 'server_tls_certificate', :'tls'::text)))));

CREATE SCHEMA sandbox_test;
-- the result of a statement, or its error with SQLSTATE, detail and hint
CREATE FUNCTION sandbox_test.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
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
CREATE FUNCTION sandbox_test.query(function text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE sql AS
	$$ SELECT sandbox_test.try(format('SELECT fabric.query(''sandbox'', ''cc'', %L, VARIADIC %L)', function, args)) $$;
-- install a source, return the result or the error, and uninstall it
CREATE FUNCTION sandbox_test.install(source text, allow_warnings boolean DEFAULT false) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	result := sandbox_test.try(format('SELECT fabric.install_chaincode(fabric.package_chaincode(''x_1'', %L), %L)', source, allow_warnings));
	IF result LIKE 'x\_1:%' THEN
		PERFORM fabric.uninstall_chaincode(result);
		RETURN 'installed';
	END IF;
	RETURN result;
END
$$;

--
-- settings: each setting that a session can change is fixed or kept, with a reason; a new setting
-- of a server version must be added to the table
--
LOAD 'plpgsql';
SELECT s.name, s.context, 'not in src/server/chaincode/settings_table.c: can it change a result of chaincode?' AS problem
FROM pg_settings s
WHERE s.context IN ('user', 'superuser', 'backend', 'superuser-backend')
	AND lower(s.name) NOT IN (SELECT lower(name) FROM fabric.chaincode_settings())
ORDER BY 1;
SELECT count(*) > 200 AS many, count(*) FILTER (WHERE reason = '') AS without_reason,
	bool_and(name = lower(name)) AS lower_case,
	array_agg(name ORDER BY lower(name) COLLATE "C") = array_agg(name) AS sorted
FROM fabric.chaincode_settings() WHERE name NOT IN ('DateStyle', 'IntervalStyle', 'TimeZone');

SELECT fabric.install_chaincode(fabric.package_chaincode('cc_1.0', $cc$
CREATE FUNCTION pay(amount int) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN ASSERT amount > 0, 'amount must be positive';
	PERFORM put_state('paid', amount::text); RETURN 'paid'; END $$;
CREATE FUNCTION binary_in_xml() RETURNS text
	LANGUAGE sql AS $$ SELECT xmlelement(name v, '\x0102ff'::bytea)::text $$;
CREATE FUNCTION content_as_xml() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a<b/>'::xml::text;
	EXCEPTION WHEN OTHERS THEN RETURN 'no xml'; END $$;
CREATE FUNCTION shadow(a int) RETURNS int
	LANGUAGE plpgsql AS $$ BEGIN DECLARE a int := 2; BEGIN RETURN a; END; END $$;
CREATE FUNCTION strict_detail(a int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r int; d text;
BEGIN SELECT i INTO STRICT r FROM generate_series(1, 2) i WHERE i > a; RETURN r;
	EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL; RETURN '<' || d || '>';
	END $$;
CREATE FUNCTION conflict(i int) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum(i) FROM generate_series(1, 3) i);
	EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
CREATE FUNCTION rows_in_order(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(x::text, ' ')
	FROM (SELECT DISTINCT (i * 7919) % 101 AS x FROM generate_series(1, n) i) s $$;
CREATE FUNCTION joined_in_order(n int) RETURNS text
	LANGUAGE sql AS $$ SELECT string_agg(a || ':' || b, ' ') FROM generate_series(1, n) a
	JOIN generate_series(n, 1, -1) b ON a = b $$;
CREATE FUNCTION count_up() RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1 AS $$
DECLARE n bigint := coalesce(get_state_text('n')::bigint, 0) + 1; BEGIN PERFORM put_state('n', n::text);
	RETURN n; END $$;
CREATE FUNCTION count_by_sql() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count_up() $$;
CREATE FUNCTION count_in_loop() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN count_up();
	END $$;
CREATE FUNCTION strict_text(t text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT coalesce(t, 'was null') $$;
CREATE FUNCTION call_strict() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN strict_text(NULL);
	END $$;
CREATE FUNCTION own_cursor(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c CURSOR FOR SELECT i FROM generate_series(1, n) i; r int; s text := '';
BEGIN
	OPEN c; FETCH c INTO r; MOVE c; FETCH c INTO r; s := r::text; CLOSE c;
	FOR v IN c LOOP s := s || ' ' || v.i; END LOOP;
	RETURN s;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION fetch_by_name(n text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor := n; r record; BEGIN FETCH c INTO r; RETURN r::text;
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE FUNCTION move_by_name(n text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor := n; BEGIN MOVE FORWARD ALL FROM c; RETURN 'moved';
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE FUNCTION close_by_name(n text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor := n; BEGIN CLOSE c; RETURN 'closed'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE
	|| ' ' || SQLERRM; END $$;
CREATE FUNCTION open_by_name(n text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor := n; r int; BEGIN OPEN c FOR SELECT 7; FETCH c INTO r; RETURN r::text;
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE FUNCTION as_date(t text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE d date; BEGIN d := t;
	RETURN d; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE FUNCTION as_times(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text;
BEGIN
	BEGIN s := t::timestamp; EXCEPTION WHEN OTHERS THEN s := SQLSTATE; END;
	BEGIN s := s || ' ' || t::timestamptz; EXCEPTION WHEN OTHERS THEN s := s || ' ' || SQLSTATE; END;
	BEGIN s := s || ' ' || format('[%s,)', t)::tstzrange; EXCEPTION WHEN OTHERS THEN s := s || ' '
		|| SQLSTATE; END;
	BEGIN s := s || ' ' || (SELECT d FROM json_to_record(json_build_object('d', t)) AS x (d date));
		EXCEPTION WHEN OTHERS THEN s := s || ' ' || SQLSTATE; END;
	BEGIN s := s || ' ' || (SELECT d
		FROM jsonb_to_recordset(jsonb_build_array(jsonb_build_object('d', t))) AS x (d timestamp));
		EXCEPTION WHEN OTHERS THEN s := s || ' ' || SQLSTATE; END;
	RETURN s;
END $$;
CREATE FUNCTION as_time(t text) RETURNS text LANGUAGE sql AS $$ SELECT t::time::text $$;
CREATE FUNCTION give_date(d date) RETURNS text LANGUAGE sql AS $$ SELECT d::text $$;
CREATE FUNCTION context_of_call() RETURNS text
	LANGUAGE plpgsql AS $$ DECLARE c text; BEGIN GET DIAGNOSTICS c = PG_CONTEXT; RETURN c; END $$;
CREATE FUNCTION context_of_error() RETURNS text LANGUAGE plpgsql AS $$
DECLARE c text; BEGIN PERFORM 1 / 0; RETURN '';
	EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS c = PG_EXCEPTION_CONTEXT; RETURN c; END $$;
CREATE FUNCTION count_dates(t text) RETURNS bigint
	LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM unnest(ARRAY[t]::date[]) d); END $$;
CREATE FUNCTION opening(t time) RETURNS text LANGUAGE sql AS $$ SELECT t::text $$;
CREATE FUNCTION run(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE q INTO r;
	RETURN r; END $$;
CREATE FUNCTION try(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE q INTO r;
	RETURN r; EXCEPTION WHEN OTHERS THEN RETURN 'caught ' || SQLSTATE; END $$;
CREATE FUNCTION strings() RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN RETURN 'a\b' || ('{NULL}'::text)::text[]::text; END $$;
$cc$), allow_warnings => true) AS package_id \gset
-- two functions run dynamic SQL, which causes warnings
SELECT fabric.approve_chaincode('sandbox', 'cc', '1.0', 1, :'package_id');
SELECT fabric.commit_chaincode('sandbox', 'cc', '1.0', 1);

CREATE TABLE sandbox_test.result AS SELECT f.name, sandbox_test.query(f.name, VARIADIC f.arguments) AS result
	FROM (VALUES
	('pay', '{0}'::text[]), ('pay', '{1}'), ('binary_in_xml', '{}'), ('content_as_xml', '{}'), ('shadow', '{1}'), ('strict_detail', '{0}'), ('conflict', '{9}'),
	('rows_in_order', '{40}'), ('joined_in_order', '{20}'), ('strings', '{}')) AS f (name, arguments);
SELECT * FROM sandbox_test.result WHERE name NOT LIKE '%order';
-- another session with other values of all settings, set before any library is loaded, gets the
-- same results
\c -
SET client_min_messages = error;
SET plpgsql.check_asserts = off;
SET plpgsql.extra_errors = 'all';
SET plpgsql.print_strict_params = on;
SET plpgsql.variable_conflict = 'use_variable';
SET xmlbinary = hex;
SET xmloption = document;
SET array_nulls = off;
SET enable_hashagg = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET standard_conforming_strings = off;
SET lock_timeout = '1ms';
SET work_mem = '64kB';
SET fabric.identity = 'sandbox.admin';
SELECT r.name, r.result = sandbox_test.query(r.name, VARIADIC f.arguments) AS same FROM (VALUES
	('pay', '{1}'::text[]), ('binary_in_xml', '{}'), ('content_as_xml', '{}'), ('shadow', '{1}'), ('strict_detail', '{0}'), ('conflict', '{9}'),
	('rows_in_order', '{40}'), ('joined_in_order', '{20}'), ('strings', '{}')) AS f (name, arguments) JOIN sandbox_test.result r USING (name)
WHERE r.name <> 'pay' OR r.result = 'paid' ORDER BY 1;
SELECT fabric.invoke('sandbox', 'cc', 'pay', '0');
-- the session has its own settings again, also after an error
SELECT current_setting('plpgsql.check_asserts') AS a, current_setting('plpgsql.extra_errors') AS b,
	current_setting('xmlbinary') AS c, current_setting('enable_hashagg') AS d,
	current_setting('work_mem') AS e, current_setting('lock_timeout') AS f, now() > '2020-01-01' AS g;
\c -
SET fabric.identity = 'sandbox.admin';

--
-- labels: the planner never sees IMMUTABLE and similar labels; STRICT is kept
--
SELECT proname, provolatile, proparallel, procost, proisstrict FROM pg_proc
	WHERE pronamespace = (SELECT schema_name::regnamespace FROM fabric.installed_chaincodes
	WHERE package_id = :'package_id')
	AND (provolatile <> 'v' OR proparallel <> 'u' OR procost <> 100 OR proisstrict);
SELECT fabric.invoke('sandbox', 'cc', f) FROM unnest(ARRAY['count_up', 'count_by_sql', 'count_in_loop', 'count_in_loop', 'count_by_sql', 'count_in_loop']) f;
SELECT value_text FROM fabric.world_state WHERE channel = 'sandbox' AND namespace = 'cc' AND key = 'n';
SELECT sandbox_test.query('call_strict');

--
-- cursors: chaincode finds only its own cursors, whatever cursors the session has
--
BEGIN;
CREATE TABLE sandbox_test.secret AS SELECT 'secret ' || i AS s FROM generate_series(1, 4) i;
DECLARE c CURSOR FOR SELECT * FROM sandbox_test.secret;
DECLARE dba CURSOR WITH HOLD FOR SELECT * FROM sandbox_test.secret;
FETCH 1 FROM c;
SELECT sandbox_test.query(f, n)
	FROM unnest(ARRAY['fetch_by_name', 'move_by_name', 'close_by_name', 'open_by_name']) f,
	unnest(ARRAY['c', 'dba', '', '<unnamed portal 1>']) n ORDER BY f COLLATE "C", n COLLATE "C";
SELECT sandbox_test.query('own_cursor', '5');
-- the session's cursors are open at their old positions, and no cursor of chaincode is left
FETCH 1 FROM c;
SELECT name FROM pg_cursors WHERE name <> '' ORDER BY name COLLATE "C";
SAVEPOINT s;
SELECT fabric.query('sandbox', 'cc', 'pay', '0');
ROLLBACK TO s;
FETCH 1 FROM c;
COMMIT;
FETCH 1 FROM dba;
CLOSE dba;
-- a loop of the application, whose rows chaincode could fetch
DO $$
DECLARE
	r record;
	answers text[] := '{}';
	seen text := '';
BEGIN
	FOR r IN SELECT s FROM sandbox_test.secret LOOP
		seen := seen || r.s || ' ';
		FOR i IN 1..60 LOOP
			answers := answers || sandbox_test.query('fetch_by_name', '<unnamed portal ' || i || '>');
		END LOOP;
	END LOOP;
	RAISE NOTICE '%, % answers with a secret', seen, (SELECT count(*) FROM unnest(answers) a WHERE a ~ 'secret');
END $$;

--
-- the clock: special date strings are errors in every conversion to a date; other strings work as
-- usual
--
SELECT w, sandbox_test.query('as_date', w), sandbox_test.query('as_times', w)
	FROM unnest(ARRAY['now', 'today', ' ToDay ', 'tomorrow', 'yesterday', 'today 12:00', 'today BC', 'now z']) WITH ORDINALITY AS u (w, o) ORDER BY o;
SELECT w, sandbox_test.query('as_date', w), sandbox_test.query('as_times', w)
	FROM unnest(ARRAY['epoch', 'infinity', '2024-02-29', '0044-03-15 BC', '2024-02-29 12:00 Europe/Berlin']) WITH ORDINALITY AS u (w, o) ORDER BY o;
SELECT w, sandbox_test.query('as_time', w) FROM unnest(ARRAY['allballs', '12:00', '12:00:00+02', 'now'])
	WITH ORDINALITY AS u (w, o) ORDER BY o;
SELECT sandbox_test.query('give_date', 'today'), sandbox_test.query('give_date', '2024-02-29');

SELECT sandbox_test.query('opening', 'now'), sandbox_test.query('opening', '08:30');
-- a generic plan and a custom plan give the same result
SELECT DISTINCT sandbox_test.query('count_dates', '2024-02-29') FROM generate_series(1, 10);

--
-- contexts of errors that chaincode can read do not name the caller's functions
--
SELECT sandbox_test.query('context_of_call') = fabric.query('sandbox', 'cc', 'context_of_call') AS same,
	sandbox_test.query('context_of_error') = fabric.query('sandbox', 'cc', 'context_of_error') AS same,
	sandbox_test.query('context_of_error') ~ 'sandbox_test' AS shows_caller;

--
-- dynamic SQL: code that the check of the source would refuse fails when it runs
--
SELECT q AS query, split_part(sandbox_test.query('run', q), E'\n', 1) AS result FROM (VALUES
	('SELECT CURRENT_TIMESTAMP'), ('SELECT current_date'), ('SELECT localtime(0)'), ('SELECT CURRENT_USER'), ('SELECT session_user'), ('SELECT user'), ('SELECT current_schema'), ('SELECT current_catalog'),
	('SELECT upper(x) FROM (SELECT current_role::text AS x) s'), ('SELECT CASE WHEN false THEN current_user END'),
	('SELECT ''now''::timestamptz'), ('SELECT U&''\006eow''::timestamp'), ('SELECT date ''today'''), ('SELECT timestamp ''today 12:00'''), ('SELECT ''[yesterday,tomorrow)''::daterange'), ('SELECT ''{today}''::date[]'),
	('SELECT time ''now'''), ('SELECT ''now''::timetz'), ('SELECT x FROM json_to_record(''{"x": "today"}'') AS x (x date)'), ('SELECT (jsonb_path_query(''"now"'', ''$.datetime()''))::text'),
	('SELECT ''pg_authid''::regclass'), ('SELECT 1260::regclass'), ('SELECT 1260::oid::regclass::text'), ('SELECT ''{pg_authid}''::regclass[]'), ('SELECT ''fabric_chaincode''::regrole'), ('SELECT ''text''::regtype::oid'),
	('SELECT ''now''::regproc'), ('SELECT x FROM json_to_record(''{"x": "pg_authid"}'') AS x (x regclass)'), ('SELECT x FROM jsonb_to_recordset(''[{"x": 10}]'') AS x (x regrole)'),
	('SELECT ''fabric_chaincode=r/fabric_chaincode''::aclitem'), ('SELECT makeaclitem(10, 10, ''SELECT'', false)'), ('SELECT to_tsvector(''english'', ''a'')'), ('SELECT pg_typeof(1)'),
	('SELECT NULL::pg_catalog.pg_class'), ('SELECT jsonb_populate_record(NULL::pg_catalog.pg_proc, ''{}'')'), ('SELECT ''x''::information_schema.sql_identifier'), ('SELECT (''a'' || ''b'')::refcursor'),
	('SELECT record_in(''(1)'', 1247::oid, -1)'), ('SELECT date_in(''today''::cstring)'), ('SELECT count(*) FROM pg_authid'), ('SELECT nosuch(1)'), ('SELECT count(*) FROM nosuch'),
	('SELECT date ''2024-02-29'' + 1'), ('SELECT time ''12:00'' + interval ''1 hour'''), ('SELECT ''[2024-01-01,2024-02-01)''::daterange * ''[2024-01-15,)'''), ('SELECT ''1.5''::money + ''2''::money'),
	('SELECT ''{"a": 1}''::jsonb #>> ''{a}''')) AS v (q);
-- chaincode cannot catch these errors, nor find out which names exist; it can catch other errors
SELECT q AS query, split_part(sandbox_test.query('try', q), E'\n', 1) AS result
	FROM (VALUES ('SELECT CURRENT_USER'), ('SELECT ''pg_authid''::regclass'), ('SELECT ''nosuch''::regclass'), ('SELECT random()'), ('SELECT nosuch()'),
	('SELECT count(*) FROM nosuch'), ('SELECT count(*) FROM fabric_internal.world_state'), ('SELECT ''x''::nosuch'), ('COMMIT'), ('SELECT 1 / 0'), ('SELECT ''today''::date')) AS v (q);
-- each built-in type whose input or output is not immutable, and whether chaincode may use it; a
-- new type is refused until the table has it
SELECT t.typname, regexp_replace(split_part(sandbox_test.query('run',
	format('SELECT count(NULL::%I)', t.typname)), E'\n', 1), '^0$', 'usable') AS verdict
FROM pg_type t JOIN pg_proc i ON i.oid = t.typinput JOIN pg_proc o ON o.oid = t.typoutput
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm')
	AND t.typcategory <> 'A' AND (i.provolatile <> 'i' OR o.provolatile <> 'i')
	ORDER BY t.typname::text COLLATE "C";

--
-- installation: the same errors, with function and line
--
SET client_min_messages = error;
SELECT sandbox_test.install(E'CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$\nDECLARE\n  d date := ''today'';\n  r regclass;\n  c refcursor;\n  v record;\nBEGIN\n  d := U&''\\0074omorrow'';\n  IF d > ''yesterday'' THEN\n    PERFORM x FROM json_to_record(''{}'') AS x (x regrole);\n  END IF;\n  FOR v IN SELECT i AS day FROM generate_series(1, 2) i LOOP\n    d := d + v.day; PERFORM v.day > 0 AND c::text = ''x'';\n  END LOOP;\n  RETURN ''{postgres=r/postgres}''::aclitem[];\nEND $$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n  SELECT x::text\n  FROM json_to_record(''{}'') AS x (x regclass)\n$$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT (1260::oid::regclass)::text; END;');
SELECT sandbox_test.install(E'CREATE FUNCTION f(d date DEFAULT ''today'') RETURNS text LANGUAGE sql AS $$ SELECT d::text $$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f(t text DEFAULT 1260::oid::regclass::text) RETURNS text LANGUAGE sql AS $$ SELECT t $$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f(c refcursor) RETURNS text LANGUAGE sql AS $$ SELECT ''a'' $$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f(t time) RETURNS boolean LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN t > ''now'';\nEND $$;');
SELECT sandbox_test.install(E'CREATE FUNCTION f() RETURNS date LANGUAGE plpgsql AS $$\nDECLARE d date := ''2024-02-29''; r record; c CURSOR FOR SELECT 1 AS a;\nBEGIN\n  SELECT d AS x INTO r; r.x := r.x + 1; OPEN c; FETCH c INTO r; CLOSE c; RETURN r.x::text;\nEND $$;');

--
-- chaincode functions can be called only through a simulation
--
SELECT sandbox_test.try(format('SELECT %I.pay(1)', (SELECT schema_name FROM fabric.installed_chaincodes
	WHERE package_id = :'package_id')));

DROP SCHEMA sandbox_test CASCADE;
RESET fabric.identity;
SELECT fabric.leave_channel('sandbox');
SELECT fabric.uninstall_chaincode(:'package_id');
SELECT fabric.drop_identity('sandbox.admin');
