-- the keystore: identities that the node holds for applications
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse
\pset null '(null)'

CREATE SCHEMA identity_test;
GRANT USAGE ON SCHEMA identity_test TO PUBLIC;
-- the result of a statement, or its error with detail and hint
CREATE FUNCTION identity_test.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(nullif(result, ''), '(nothing)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(detail, ''), '')
		|| coalesce(E'\n' || nullif(hint, ''), '');
END
$$;
-- The label of the identity that would sign. A query chooses the identity before it opens its
-- channel, so the error about a channel that does not exist shows that the choice succeeded.
CREATE FUNCTION identity_test.sign(label text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	says text;
BEGIN
	PERFORM set_config('fabric.identity', label, false);
	says := identity_test.try($q$SELECT fabric.query('nosuch', 'x', 'f')$q$);
	RETURN CASE WHEN says LIKE 'LF401%' THEN 'signs' ELSE says END;
END
$$;
-- remove identities of other tests
CREATE TABLE identity_test.before AS SELECT label, key_file FROM fabric_internal.identity;
CREATE VIEW identity_test.identities AS SELECT * FROM fabric.identities i
	WHERE NOT EXISTS (SELECT FROM identity_test.before b WHERE b.label = i.label);
CREATE FUNCTION identity_test.key_files() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f
	WHERE f LIKE 'identity\_%' AND NOT EXISTS (SELECT FROM identity_test.before b WHERE b.key_file = f)
$$;

-- certificates made by openssl, by cryptogen, and by an authority of this database; keys as PKCS #8
-- and SEC 1
\set user1 `cat "$FABRIC_TEST_NODE/user1.pem"`
\set user1_key `cat "$FABRIC_TEST_NODE/user1.key"`
\set user1_sec1 `openssl ec -in "$FABRIC_TEST_NODE/user1.key" 2>/dev/null`
\set user1_locked `openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:xyz -in "$FABRIC_TEST_NODE/user1.key"`
\set admin `cat "$FABRIC_TEST_NODE/admin.pem"`
\set admin_key `cat "$FABRIC_TEST_NODE/admin.key"`
\set cryptogen `cat "$PG_ABS_SRCDIR/test/vectors/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem"`
\set cryptogen_key `cat "$PG_ABS_SRCDIR/test/vectors/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp/keystore/priv_sk"`
\set p384 `cat "$PG_ABS_SRCDIR/test/vectors/x509/p384.pem"`
\set p384_key `cat "$PG_ABS_SRCDIR/test/vectors/x509/p384.key"`
\set request `openssl req -new -key "$FABRIC_TEST_NODE/user1.key" -subj /CN=request`
CREATE TABLE identity_test.material AS SELECT :'user1'::text AS user1, :'user1_key'::text AS user1_key,
	:'user1_sec1'::text AS user1_sec1, :'user1_locked'::text AS user1_locked,
	:'admin'::text AS admin, :'admin_key'::text AS admin_key, :'cryptogen'::text AS cryptogen,
		:'cryptogen_key'::text AS cryptogen_key, :'p384'::text AS p384, :'p384_key'::text AS p384_key;
GRANT SELECT ON identity_test.material TO PUBLIC;

CREATE ROLE regress_identity_app;
CREATE ROLE regress_identity_other;
CREATE ROLE regress_identity_member IN ROLE regress_identity_app;
CREATE ROLE regress_identity_stranger;
GRANT fabric_client TO regress_identity_app, regress_identity_other, regress_identity_member;
CREATE ROLE regress_identity_admin IN ROLE fabric_admin;

--
-- adding
--
SELECT fabric.add_identity('user1', 'Org1MSP', user1, user1_key) FROM identity_test.material;
SELECT fabric.add_identity('sec1', 'Org1MSP', user1, user1_sec1) FROM identity_test.material;
SELECT fabric.add_identity('cryptogen', 'Org1MSP', cryptogen, cryptogen_key) FROM identity_test.material;
SELECT fabric.add_identity('p384', 'Org1MSP', p384, p384_key) FROM identity_test.material;
SELECT fabric.ca_create('identity test', 'Org1MSP') <> '' AS made;
SELECT fabric.add_identity('enrolled', 'Org1MSP',
	fabric.ca_enroll('identity test', 'enrolled', fabric.ca_register('identity test', 'enrolled'),
	:'request'), user1_key) FROM identity_test.material;
SELECT fabric.add_identity('locked', 'Org1MSP', admin, admin_key, 'passphrase of locked') FROM identity_test.material;
SELECT label, msp_id, encrypted, roles, certificate LIKE '-----BEGIN%' AS pem, created_at <= now() AS created
	FROM identity_test.identities ORDER BY label;
-- one file for each unencrypted key, readable by its owner only
SELECT identity_test.key_files();
\! find "$FABRIC_TEST_NODE/keystore" -name 'identity_*' ! -perm 0600
-- the table has no plain key, and encrypting the same key twice gives different bytes
SELECT fabric.add_identity('locked again', 'Org1MSP', admin, admin_key, 'passphrase of locked') FROM identity_test.material;
SELECT count(*) FILTER (WHERE key_file IS NULL) AS encrypted, count(DISTINCT encrypted_key),
	count(*) FILTER (WHERE position('PRIVATE'::bytea IN encrypted_key) > 0) AS in_clear
FROM fabric_internal.identity JOIN identity_test.identities USING (label)
	WHERE encrypted_key IS NOT NULL;
SELECT fabric.drop_identity('locked again');

SELECT identity_test.try($$SELECT fabric.add_identity('user1', 'Org1MSP', admin, admin_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, admin_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, admin_key, 'long enough')
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_locked)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, user1)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1_key, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, '')
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', '', user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, 'no key')
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', left(user1, 200), user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, left(user1_key, 100))
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, repeat('x', 100000))
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', repeat('x', 100000), user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', '', user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', repeat('x', 256), user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('', 'Org1MSP', user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity(repeat('x', 64), 'Org1MSP', user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_key, '')
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_key, 'seven77')
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity(NULL, 'Org1MSP', user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', NULL, user1, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', NULL, user1_key)
	FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.add_identity('x', 'Org1MSP', user1, NULL)
	FROM identity_test.material$$);
-- the refused calls left no row and no file
SELECT count(*) FROM identity_test.identities;
SELECT identity_test.key_files();

--
-- grants
--
SET ROLE regress_identity_app;
SELECT identity_test.sign();
SELECT identity_test.sign('user1');
SELECT identity_test.sign('nosuch');
RESET ROLE;
SELECT fabric.grant_identity('user1', 'regress_identity_app');
SELECT fabric.grant_identity('user1', 'regress_identity_app') AS again;
SET ROLE regress_identity_app;
-- the only identity of a role is chosen without being named
SELECT identity_test.sign();
SELECT identity_test.sign('user1');
SELECT identity_test.sign('cryptogen');
SET ROLE regress_identity_member;
SELECT identity_test.sign() AS of_a_granted_role;
SET ROLE regress_identity_other;
SELECT identity_test.sign('user1');
RESET ROLE;
SELECT fabric.grant_identity(label, 'regress_identity_app') FROM unnest('{sec1,cryptogen,p384,enrolled,locked}'::text[]) AS label;
SELECT label, roles FROM identity_test.identities ORDER BY label;
SET ROLE regress_identity_app;
SELECT identity_test.sign();
SELECT label, identity_test.sign(label) FROM unnest('{user1,sec1,cryptogen,p384,enrolled}'::text[]) AS label;
RESET ROLE;
SELECT fabric.revoke_identity('cryptogen', 'regress_identity_app');
SELECT fabric.revoke_identity('cryptogen', 'regress_identity_app') AS again;
SET ROLE regress_identity_app;
-- a revoked grant counts at once, although the key is in this session's memory
SELECT identity_test.sign('cryptogen');
RESET ROLE;
SELECT identity_test.try($$SELECT fabric.grant_identity('nosuch', 'regress_identity_app')$$);
SELECT identity_test.try($$SELECT fabric.grant_identity('user1', 'regress_identity_nosuch')$$);
SELECT identity_test.try($$SELECT fabric.grant_identity(NULL, 'regress_identity_app')$$);
SELECT identity_test.try($$SELECT fabric.grant_identity('user1', NULL)$$);
SELECT identity_test.try($$SELECT fabric.revoke_identity('user1', 'regress_identity_nosuch')$$);
SELECT identity_test.try($$SELECT fabric.revoke_identity(NULL, 'regress_identity_app')$$);
SELECT identity_test.try($$SELECT fabric.revoke_identity('user1', NULL)$$);

--
-- encrypted keys
--
SET ROLE regress_identity_app;
SELECT identity_test.sign('locked');
SELECT identity_test.try($$SELECT fabric.open_identity('locked', 'passphrase of lockes')$$);
SELECT identity_test.try($$SELECT fabric.open_identity('locked', '')$$);
SELECT identity_test.try($$SELECT fabric.open_identity('locked', repeat('x', 100000))$$);
SELECT identity_test.try($$SELECT fabric.open_identity('locked', NULL)$$);
SELECT identity_test.try($$SELECT fabric.open_identity(NULL, 'passphrase of locked')$$);
SELECT identity_test.try($$SELECT fabric.open_identity('nosuch', 'passphrase of locked')$$);
SELECT identity_test.sign('locked');
SELECT fabric.open_identity('locked', 'passphrase of locked');
SELECT identity_test.sign('locked');
-- neither a later error nor a wrong passphrase closes an opened identity
SELECT fabric.open_identity('locked', 'passphrase of lockes');
SELECT identity_test.sign('locked');
-- an identity that one role opened is not open for another role
SET ROLE regress_identity_other;
SELECT identity_test.sign('locked');
SELECT identity_test.try($$SELECT fabric.open_identity('locked', 'passphrase of locked')$$);
SET ROLE regress_identity_app;
SELECT fabric.close_identity('locked');
SELECT identity_test.sign('locked');
SELECT fabric.close_identity('locked') AS again;
SELECT fabric.close_identity('nosuch');
SELECT fabric.close_identity(repeat('x', 1000));
SELECT identity_test.try($$SELECT fabric.close_identity(NULL)$$);
-- an unencrypted identity is always open
SELECT fabric.open_identity('user1', 'whatever');
SELECT identity_test.sign('user1');
-- a new session has no opened identity
SELECT fabric.open_identity('locked', 'passphrase of locked');
\c -
SET ROLE regress_identity_app;
SELECT identity_test.sign('locked');
-- applications can add only encrypted identities
SET ROLE regress_identity_other;
SELECT identity_test.try($$SELECT fabric.add_identity('own', 'Org1MSP', user1, user1_key)
	FROM identity_test.material$$);
SELECT fabric.add_identity('own', 'Org1MSP', user1, user1_key, 'passphrase of own') FROM identity_test.material;
SELECT fabric.open_identity('own', 'passphrase of own');
SELECT identity_test.sign();
SET ROLE regress_identity_app;
SELECT identity_test.sign('own');
SELECT identity_test.try($$SELECT fabric.open_identity('own', 'passphrase of own')$$);
RESET ROLE;
SELECT label, encrypted, roles FROM fabric.identities WHERE label = 'own';

--
-- dropping, and key files that follow the transaction
--
SELECT identity_test.key_files() AS files \gset
SELECT fabric.drop_identity('sec1');
SELECT :files - identity_test.key_files() AS fewer_files;
SELECT identity_test.try($$SELECT fabric.drop_identity('sec1')$$);
SELECT identity_test.try($$SELECT fabric.drop_identity(NULL)$$);
SET ROLE regress_identity_app;
SELECT identity_test.sign('sec1');
RESET ROLE;
BEGIN;
SELECT fabric.drop_identity('p384');
ROLLBACK;
BEGIN;
SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_key) FROM identity_test.material;
SAVEPOINT s;
SELECT fabric.add_identity('y', 'Org1MSP', user1, user1_key) FROM identity_test.material;
SELECT fabric.drop_identity('p384');
ROLLBACK TO s;
SELECT :files - identity_test.key_files() AS fewer_files;
ROLLBACK;
SELECT :files - identity_test.key_files() AS fewer_files;
-- replacing a certificate under the same label in one transaction, rolled back and committed
BEGIN;
SELECT fabric.drop_identity('enrolled');
SELECT fabric.add_identity('enrolled', 'Org1MSP', admin, admin_key) FROM identity_test.material;
ROLLBACK;
BEGIN;
SELECT fabric.drop_identity('user1');
SELECT fabric.add_identity('user1', 'Org1MSP', admin, admin_key) FROM identity_test.material;
SELECT fabric.grant_identity('user1', 'regress_identity_app');
COMMIT;
SELECT :files - identity_test.key_files() AS fewer_files;
\c -
SET ROLE regress_identity_app;
SELECT label, identity_test.sign(label) FROM unnest('{user1,enrolled,p384}'::text[]) AS label;
RESET ROLE;
SELECT label, certificate = admin AS is_new FROM fabric.identities, identity_test.material
	WHERE label IN ('user1', 'enrolled') ORDER BY label;
-- a key file that is missing or that others can read; tried in new sessions, because a session
-- reads a key once
\! cd "$FABRIC_TEST_NODE/keystore" && chmod 0640 identity_*
\c -
SET ROLE regress_identity_app;
SELECT split_part(identity_test.sign('p384'), ' ', 1) AS others_can_read_it;
\! cd "$FABRIC_TEST_NODE/keystore" && chmod 0600 identity_* && mkdir away && mv identity_* away
SELECT split_part(identity_test.sign('p384'), ' ', 1) AS missing;
\! cd "$FABRIC_TEST_NODE/keystore" && mv away/* . && rmdir away
SELECT identity_test.sign('p384');
RESET ROLE;
-- a prepared transaction cannot change key files
BEGIN;
SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_key) FROM identity_test.material;
PREPARE TRANSACTION 'x';
SELECT count(*) FROM fabric.identities WHERE label = 'x';
SELECT identity_test.key_files();

--
-- privileges
--
SET ROLE regress_identity_app;
SELECT fabric.drop_identity('user1');
SELECT fabric.grant_identity('p384', 'regress_identity_other');
SELECT fabric.revoke_identity('p384', 'regress_identity_app');
SELECT * FROM fabric.identities;
SELECT * FROM fabric_internal.identity;
SET ROLE regress_identity_stranger;
SELECT fabric.add_identity('x', 'Org1MSP', '', '', '');
SELECT fabric.open_identity('locked', 'passphrase of locked');
SELECT fabric.close_identity('locked');
SET ROLE regress_identity_admin;
SELECT fabric.add_identity('x', 'Org1MSP', user1, user1_key) FROM identity_test.material;
SELECT fabric.grant_identity('x', 'regress_identity_other');
SELECT label, encrypted, roles FROM fabric.identities WHERE label = 'x';
SELECT fabric.revoke_identity('x', 'regress_identity_other');
-- an administrator cannot sign with an identity without a grant
SELECT identity_test.sign('x');
SELECT fabric.drop_identity('x');
RESET ROLE;

--
-- the content of an identity
--
SELECT jsonb_pretty(fabric.identity_info(fabric.identity_bytes('Org1MSP', cryptogen)))
	FROM identity_test.material;
-- Fabric's client id, and its identifier of a certificate
SELECT convert_from(decode(info ->> 'client_id', 'base64'), 'UTF8') AS client_id,
	info ->> 'identity_id' = encode(sha256(decode(regexp_replace(cryptogen, '-----[^-]*-----', '', 'g'), 'base64')), 'hex') AS is_hash
FROM identity_test.material, fabric.identity_info(fabric.identity_bytes('Org1MSP', cryptogen)) AS info;
SELECT fabric.ca_register('identity test', 'with attributes', 'peer', 'secret of attributes', '{"color": "blue", "quote \" and ü": "b\\\u0009"}', affiliation => 'a.b') <> '' AS made;
SELECT jsonb_pretty(fabric.identity_info(fabric.identity_bytes('Org2MSP',
	fabric.ca_enroll('identity test', 'with attributes', 'secret of attributes', :'request')))
	- '{serial,not_before,not_after,client_id,identity_id,subject_key_id,authority_key_id}'::text[]);
SELECT fabric.identity_bytes('Org1MSP', p384) = '\x0a074f7267314d5350'::bytea || '\x12'::bytea
	|| substr(fabric.identity_bytes('Org1MSP', p384), 11) AS as_fabric FROM identity_test.material;
SELECT identity_test.try($$SELECT fabric.identity_info(NULL)$$);
SELECT identity_test.try($$SELECT fabric.identity_info('')$$);
SELECT identity_test.try($$SELECT fabric.identity_info('\xff')$$);
SELECT identity_test.try($$SELECT fabric.identity_info('\x0a0141120178')$$);
SELECT identity_test.try($$SELECT fabric.identity_info(convert_to(repeat('x', 100000), 'UTF8'))$$);
SELECT identity_test.try($$SELECT fabric.identity_bytes('Org1MSP', 'no certificate')$$);
SELECT identity_test.try($$SELECT fabric.identity_bytes('', user1) FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.identity_bytes(NULL, user1) FROM identity_test.material$$);
SELECT identity_test.try($$SELECT fabric.identity_bytes('Org1MSP', NULL)$$);

SELECT fabric.drop_identity(label) FROM identity_test.identities;
SELECT identity_test.key_files();
SET client_min_messages = warning;
DROP SCHEMA identity_test CASCADE;
DROP ROLE regress_identity_member, regress_identity_app, regress_identity_other,
	regress_identity_stranger, regress_identity_admin;
