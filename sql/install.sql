-- installation: one error lists all problems of a source with their lines
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA install_test;
-- the error of a source, or the number of its functions
CREATE FUNCTION install_test.try(source text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	package bytea := fabric.package_chaincode('install_1', source);
	package_id text;
	functions bigint;
	detail text;
	hint text;
BEGIN
	package_id := fabric.install_chaincode(package);
	functions := (SELECT count(*) FROM pg_proc p JOIN fabric_internal.chaincode_package c
		ON c.schema_name::regnamespace = p.pronamespace WHERE c.label = 'install_1');
	PERFORM fabric.uninstall_chaincode(package_id);
	RETURN 'functions: ' || functions;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(detail, ''), '')
		|| coalesce(E'\n' || nullif(hint, ''), '');
END
$$;

-- the error of a source with one problem
SELECT install_test.try($source$CREATE FUNCTION good() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;

CREATE FUNCTION bad() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	i int;
BEGIN
	IF i IS NULL THE
		RETURN 1;
	END IF;
END
$$;
CREATE FUNCTION also_good() RETURNS int LANGUAGE sql AS $$ SELECT good() $$;$source$);
-- PL/pgSQL: problems of the parser, of later checks, of expressions, of the whole body; SQL: types,
-- columns, results
SELECT install_test.try($source$CREATE FUNCTION good() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION syntax() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN 1;
	RETRUN 2;
END
$$;
CREATE FUNCTION variable() RETURNS int LANGUAGE plpgsql
AS $$
BEGIN
	nosuch := 1;
	RETURN 1;
END
$$;
CREATE FUNCTION expression() RETURNS int LANGUAGE plpgsql AS
$$
BEGIN

	RETURN 1 + + * 2;
END
$$;
CREATE FUNCTION "returns"() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RETURN 1;
END
$$;
CREATE FUNCTION "type"() RETURNS int LANGUAGE sql AS $$
	SELECT 1;
	SELECT 'x'::nosuch;
$$;
CREATE FUNCTION "column"() RETURNS int LANGUAGE sql AS $$ SELECT nosuch $$;
CREATE FUNCTION result() RETURNS int LANGUAGE sql AS $$ SELECT 'x'::text $$;
CREATE FUNCTION also_good() RETURNS int LANGUAGE sql AS $$ SELECT good() $$;$source$);
-- problems that are found in all functions before an object is created
SELECT install_test.try($source$CREATE FUNCTION definer() RETURNS int
	LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$;
CREATE FUNCTION a_table() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_class $$;
CREATE FUNCTION chance() RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM now();
	RETURN random();
END
$$;
CREATE FUNCTION untrusted() RETURNS int LANGUAGE c AS 'x', 'y';
CREATE FUNCTION good() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;$source$);
SELECT install_test.try($source$CREATE FUNCTION one() RETURNS float8
	LANGUAGE sql AS $$ SELECT random() $$;
CREATE FUNCTION two() RETURNS timestamptz LANGUAGE sql AS $$ SELECT now() $$;$source$);
-- bodies in quotes; many functions with the same body
SELECT install_test.try($source$

CREATE FUNCTION quoted() RETURNS int LANGUAGE plpgsql AS '
BEGIN
	RETURN ''1'' ''2'' + ;
END';$source$);
SELECT install_test.try((SELECT
	string_agg(format('CREATE FUNCTION f%s() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETRUN 1; END $$;', i), E'\n' ORDER BY i) FROM generate_series(1, 31) i));
-- a refused installation leaves no objects
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fabric_cc_%'
	AND nspname NOT IN (SELECT schema_name FROM fabric_internal.chaincode_package);
SELECT install_test.try($source$CREATE FUNCTION good() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION also_good() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN good();
	END $$;$source$);

DROP SCHEMA install_test CASCADE;
