/*
 * fabric--1.0.sql: a Hyperledger Fabric ledger inside PostgreSQL.
 *
 * make joins the files of src/sql in the order that the Makefile gives: roles and schemas, all
 * tables, then functions and views by domain, and at the end all privileges. A file of functions
 * has the name of the file in src/server/surface with their C side.
 */

-- complain if the script is sourced in psql rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION fabric CASCADE" to load this file. \quit

DO $guard$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'fabric needs a database with encoding UTF8'
			USING HINT = 'Create one: CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$guard$;

-- roles: global objects, so they may be there already from another database of the same server

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['fabric_admin', 'fabric_client', 'fabric_node',
			'fabric_chaincode'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
		END IF;
	END LOOP;
	-- a member of fabric_chaincode could change installed functions; a role that it is a member of
	-- would lend it rights
	IF EXISTS (SELECT FROM pg_catalog.pg_auth_members m
			   JOIN pg_catalog.pg_roles r ON r.oid IN (m.roleid, m.member)
			   WHERE r.rolname = 'fabric_chaincode') THEN
		RAISE EXCEPTION 'role "fabric_chaincode" must have no members and be a member of no role'
			USING HINT = 'Revoke the memberships, then create the extension.';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_roles
			   WHERE rolname = 'fabric_chaincode' AND (rolsuper OR rolcanlogin OR rolcreaterole
				   OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
		RAISE EXCEPTION 'role "fabric_chaincode" must have no attributes'
			USING HINT = 'Drop the role, then create the extension.';
	END IF;
END
$roles$;

CREATE SCHEMA fabric;
COMMENT ON SCHEMA fabric IS 'Fabric ledger: functions and views for users';
CREATE SCHEMA fabric_internal;
COMMENT ON SCHEMA fabric_internal IS 'Fabric ledger: tables, and functions that nodes call at each other';
