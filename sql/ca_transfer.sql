-- transfer of certificate authorities: export and import, authorities made elsewhere, removal;
-- renewed TLS certificates keep their hosts
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
SET TimeZone = 'UTC';
\set VERBOSITY terse
\pset null '(null)'

CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, '(null)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(detail, ''), '')
		|| coalesce(E'\n' || nullif(hint, ''), '');
END
$$;

\! umask 077; cd "$FABRIC_TEST_NODE" && for k in move made; do openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca_$k.key 2>/dev/null; done
\! cd "$FABRIC_TEST_NODE" && openssl req -new -key ca_move.key -subj '/CN=node' -out ca_move.csr
\! cd "$FABRIC_TEST_NODE" && openssl req -new -key ca_move.key -subj '/CN=node' -addext 'subjectAltName=DNS:db9.example.com' -out ca_other.csr
\set csr `cat "$FABRIC_TEST_NODE/ca_move.csr"`
\set csr_other `cat "$FABRIC_TEST_NODE/ca_other.csr"`
\! cd "$FABRIC_TEST_NODE" && for f in move other; do printf '%s' "$(cat ca_$f.csr)" > ca_$f.signed; done
\set by `openssl dgst -sha256 -sign "$FABRIC_TEST_NODE/ca_move.key" "$FABRIC_TEST_NODE/ca_move.signed" | od -An -v -tx1 | tr -d ' \n'`
\set by_other `openssl dgst -sha256 -sign "$FABRIC_TEST_NODE/ca_move.key" "$FABRIC_TEST_NODE/ca_other.signed" | od -An -v -tx1 | tr -d ' \n'`
CREATE TEMP TABLE request AS SELECT :'csr'::text AS csr, :'csr_other'::text AS csr_other,
	decode(:'by', 'hex') AS signature, decode(:'by_other', 'hex') AS signature_other;

-- an authority with an intermediate one, registrations, certificates, one revoked
SELECT fabric.ca_create('move', 'Org1MSP', subject => '{"C": "DE", "O": "Org 1", "CN": "the root"}') <> '' AS made;
SELECT fabric.ca_create('move below', 'Org1MSP', parent => 'move') <> '' AS made;
SELECT fabric.ca_register('move', 'alice', secret => 'password of alice',
	attributes => '{"color": "blue"}', affiliation => 'a.b', max_enrollments => 5);
SELECT fabric.ca_register('move', 'node', 'peer', secret => 'password of node');
SELECT fabric.ca_enroll('move', 'alice', 'password of alice', csr) <> '' AS made FROM request;
SELECT fabric.ca_enroll('move', 'alice', 'password of alice', csr) <> '' AS made FROM request;
SELECT fabric.ca_revoke('move', serial => (SELECT serial FROM fabric.ca_certificates
	WHERE ca = 'move' AND enrollment_id = 'alice' LIMIT 1), reason => 'superseded');

-- a renewed TLS certificate keeps its hosts, also after a second renewal, unless the request names
-- others
CREATE TEMP TABLE issued (number int, certificate text);
INSERT INTO issued SELECT 1, fabric.ca_enroll('move', 'node', 'password of node', csr,
	profile => 'tls', hosts => '{db1.example.com,10.0.0.7,2001:db8::1}') FROM request;
INSERT INTO issued SELECT 2, fabric.ca_reenroll('move', certificate, csr, signature)
	FROM issued, request WHERE number = 1;
INSERT INTO issued SELECT 3, fabric.ca_reenroll('move', certificate, csr, signature)
	FROM issued, request WHERE number = 2;
INSERT INTO issued SELECT 4, fabric.ca_reenroll('move', certificate, csr_other, signature_other)
	FROM issued, request WHERE number = 3;
SELECT certificate FROM issued
	WHERE number = 1 \g (format=unaligned tuples_only=on) |openssl x509 -noout -ext subjectAltName
SELECT certificate FROM issued
	WHERE number = 3 \g (format=unaligned tuples_only=on) |openssl x509 -noout -ext subjectAltName
SELECT certificate FROM issued
	WHERE number = 4 \g (format=unaligned tuples_only=on) |openssl x509 -noout -ext subjectAltName

--
-- export, removal, import
--
CREATE TEMP TABLE exported AS SELECT fabric.ca_export('move', 'a long passphrase') AS root,
	fabric.ca_export('move below', 'a long passphrase') AS below;
-- any program that reads OpenPGP can read the export
CREATE FUNCTION pg_temp.opened(export bytea) RETURNS jsonb
	LANGUAGE sql AS $$ SELECT convert_from(pgp_sym_decrypt_bytea(export, 'a long passphrase'), 'UTF8')::jsonb $$;
SELECT member, jsonb_typeof(content -> member) AS type, CASE jsonb_typeof(content -> member)
	WHEN 'array' THEN jsonb_array_length(content -> member) END AS rows
	FROM exported, LATERAL (SELECT pg_temp.opened(root) AS content) d,
		LATERAL jsonb_object_keys(content) member ORDER BY member;
SELECT pg_temp.opened(root) ->> 'private_key' LIKE '-----BEGIN PRIVATE KEY-----%' AS has_key FROM exported;
SELECT pgp_key_id(root) AS "key", position('PRIVATE'::bytea IN root) AS clear FROM exported;
CREATE TEMP TABLE rows_before AS
	SELECT 'ca' AS t, to_jsonb(c) - 'key_file' AS r FROM fabric_internal.ca c WHERE ca LIKE 'move%' UNION ALL
	SELECT 'identity', to_jsonb(i) FROM fabric_internal.ca_identity i WHERE ca LIKE 'move%' UNION ALL
	SELECT 'certificate', to_jsonb(i) FROM fabric_internal.ca_certificate i WHERE ca LIKE 'move%';
SELECT key_file AS file FROM fabric_internal.ca WHERE ca = 'move' \gset
SELECT pg_temp.try('SELECT fabric.ca_import(root, ''a long passphrase'') FROM exported');
SELECT pg_temp.try($$SELECT fabric.ca_drop('move')$$);
-- the key file is removed at commit
BEGIN;
SELECT fabric.ca_drop('move below'), fabric.ca_drop('move');
SELECT count(*) AS files FROM pg_ls_dir(current_setting('fabric.keystore_directory')) f WHERE f = :'file';
COMMIT;
SELECT count(*) AS files FROM pg_ls_dir(current_setting('fabric.keystore_directory')) f WHERE f = :'file';
SELECT pg_temp.try($$SELECT fabric.ca_certificate('move')$$);
-- a child can be imported before its parent
SELECT fabric.ca_import(below, 'a long passphrase') FROM exported;
SELECT parent FROM fabric.cas WHERE ca = 'move below';
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', parent => 'move below')$$);
SELECT fabric.ca_import(root, 'a long passphrase') FROM exported;
SELECT t, count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM rows_before b
	WHERE b.t = a.t AND b.r = a.r)) AS different FROM (
	SELECT 'ca' AS t, to_jsonb(c) - 'key_file' AS r FROM fabric_internal.ca c WHERE ca LIKE 'move%' UNION ALL
	SELECT 'identity', to_jsonb(i) FROM fabric_internal.ca_identity i WHERE ca LIKE 'move%' UNION ALL
	SELECT 'certificate', to_jsonb(i) FROM fabric_internal.ca_certificate i WHERE ca LIKE 'move%') a
		GROUP BY t ORDER BY t;
-- the imported authority works as before
SELECT fabric.ca_enroll('move', 'alice', 'password of alice', csr) <> '' AS made FROM request;
SELECT pg_temp.try($$SELECT fabric.ca_enroll('move', 'alice', 'another password', csr) FROM request$$);
SELECT fabric.ca_reenroll('move', certificate, csr, signature) <> '' AS made FROM issued, request
	WHERE number = 3;
SELECT fabric.ca_crl('move') \g (format=unaligned tuples_only=on) |openssl crl -noout -text | grep -c 'Serial Number'
SELECT fabric.ca_enroll('move below', 'bob', fabric.ca_register('move below', 'bob'), csr) <> '' AS made FROM request;

-- refused imports
SELECT pg_temp.try($$SELECT fabric.ca_export('nosuch', 'a long passphrase')$$);
SELECT pg_temp.try($$SELECT fabric.ca_export('move', 'short')$$);
SELECT pg_temp.try($$SELECT fabric.ca_drop('nosuch')$$);
SELECT fabric.ca_drop('move below'), fabric.ca_drop('move');
SELECT pg_temp.try($$SELECT fabric.ca_import(root, 'another passphrase') FROM exported$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('\x00', 'a long passphrase')$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('', 'a long passphrase')$$);
CREATE FUNCTION pg_temp.changed(path text[], value jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT fabric.ca_import(%L, %L)',
		pgp_sym_encrypt(jsonb_set(pg_temp.opened(root), path, value)::text, 'a long passphrase'), 'a long passphrase'))
	FROM exported
$$;
SELECT pg_temp.try(format('SELECT fabric.ca_import(%L, ''a long passphrase'')', pgp_sym_encrypt('no JSON', 'a long passphrase')));
SELECT pg_temp.try(format('SELECT fabric.ca_import(%L, ''a long passphrase'')', pgp_sym_encrypt_bytea('\xff00', 'a long passphrase')));
SELECT pg_temp.try(format('SELECT fabric.ca_import(%L, ''a long passphrase'')', pgp_sym_encrypt('[]', 'a long passphrase')));
SELECT pg_temp.changed('{format}', '"other"');
SELECT pg_temp.changed('{version}', '2');
SELECT pg_temp.changed('{authority}', 'null');
SELECT pg_temp.changed('{authority,ca}', '""');
SELECT pg_temp.changed('{authority,kind}', '"other"');
SELECT pg_temp.changed('{authority,crl_number}', 'null');
SELECT pg_temp.changed('{private_key}', '"no key"');
SELECT pg_temp.changed('{private_key}', to_jsonb((SELECT pg_temp.opened(below) ->> 'private_key' FROM exported)));
SELECT pg_temp.changed('{authority,certificate}', to_jsonb((SELECT certificate FROM issued WHERE number = 1)));
SELECT pg_temp.changed('{identities}', '[]');
SELECT pg_temp.changed('{identities,0,role}', '"king"');
SELECT pg_temp.changed('{identities,0,attributes}', '"none"');
SELECT pg_temp.changed('{certificates,0,serial}', '"\\x01"');
SELECT pg_temp.changed('{certificates,1,certificate}', to_jsonb((SELECT pg_temp.opened(below) -> 'authority' ->> 'certificate' FROM exported)));
SELECT pg_temp.changed('{certificates,0,certificate}', '"none"');
SELECT count(*) AS authorities FROM fabric.cas WHERE ca LIKE 'move%';

--
-- an authority that openssl made
--
\! cd "$FABRIC_TEST_NODE" && openssl req -x509 -key ca_made.key -subj '/C=FR/O=Made elsewhere/CN=made' -days 365 -addext 'keyUsage=critical,keyCertSign,cRLSign' -out ca_made.pem 2>/dev/null
\! cd "$FABRIC_TEST_NODE" && openssl req -x509 -key ca_made.key -subj '/CN=leaf' -days 365 -config /dev/null -addext 'basicConstraints=critical,CA:FALSE' -out ca_leaf.pem 2>/dev/null
\set made `cat "$FABRIC_TEST_NODE/ca_made.pem"`
\set made_key `cat "$FABRIC_TEST_NODE/ca_made.key"`
\set other_key `cat "$FABRIC_TEST_NODE/ca_move.key"`
\set leaf `cat "$FABRIC_TEST_NODE/ca_leaf.pem"`
CREATE TEMP TABLE made AS SELECT :'made'::text AS certificate, :'made_key'::text AS "key",
	:'other_key'::text AS other_key, :'leaf'::text AS leaf;
SELECT fabric.ca_import('made', 'Org1MSP', certificate, key) FROM made;
SELECT ca, msp_id, kind, parent, crl_number > 1700000000 AS numbers_go_on FROM fabric.cas
	WHERE ca = 'made';
SELECT fabric.ca_enroll('made', 'carol', fabric.ca_register('made', 'carol'), csr)
	FROM request \g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -issuer -nameopt RFC2253
SELECT fabric.ca_create('under made', 'Org1MSP', parent => 'made') <> '' AS made;
SELECT pg_temp.try($$SELECT fabric.ca_import('made', 'Org1MSP', certificate, key) FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('again', 'Org1MSP', certificate, other_key) FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('again', 'Org1MSP', leaf, key) FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('again', 'Org1MSP', certificate, 'no key') FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('again', 'Org1MSP', 'no certificate', key) FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('', 'Org1MSP', certificate, key) FROM made$$);
SELECT pg_temp.try($$SELECT fabric.ca_import('again', 'Org1MSP', certificate, key, 'other') FROM made$$);
SELECT fabric.ca_drop('under made'), fabric.ca_drop('made');

--
-- privileges: an export contains the key
--
CREATE ROLE regress_ca_admin IN ROLE fabric_admin INHERIT;
SET ROLE regress_ca_admin;
SELECT fabric.ca_export('ca1', 'a long passphrase');
SELECT fabric.ca_drop('ca1');
SELECT fabric.ca_import('\x00', 'a long passphrase');
RESET ROLE;
DROP ROLE regress_ca_admin;
\! rm -f "$FABRIC_TEST_NODE"/ca_*.key "$FABRIC_TEST_NODE"/ca_*.csr "$FABRIC_TEST_NODE"/ca_*.pem "$FABRIC_TEST_NODE"/ca_*.signed
