-- certificate authorities: registration, enrollment, content of certificates, revocation
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
SET TimeZone = 'UTC';
\set VERBOSITY terse
\pset null '(null)'

-- the result of a statement, or its error with detail and hint
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

-- applications make keys and requests outside of the database; the request asks for more than the
-- authority grants
\! umask 077; cd "$FABRIC_TEST_NODE" && for k in a b; do openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca_$k.key 2>/dev/null; done
\! cd "$FABRIC_TEST_NODE" && openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out ca_rsa.key 2>/dev/null
\! cd "$FABRIC_TEST_NODE" && for k in a b rsa; do openssl req -new -key ca_$k.key -subj '/O=Other/OU=admin/CN=another name' -addext 'subjectAltName=DNS:node.example.com,IP:10.1.2.3' -addext 'basicConstraints=critical,CA:TRUE' -out ca_$k.csr; done
\set csr `cat "$FABRIC_TEST_NODE/ca_a.csr"`
\set csr_b `cat "$FABRIC_TEST_NODE/ca_b.csr"`
\set csr_rsa `cat "$FABRIC_TEST_NODE/ca_rsa.csr"`
-- one bit of the signature is changed
\set csr_forged `openssl req -in "$FABRIC_TEST_NODE/ca_a.csr" -outform DER | perl -0777 -pe 'substr($_, -1) ^= "\x01"' | openssl base64 | (echo '-----BEGIN CERTIFICATE REQUEST-----'; cat; echo '-----END CERTIFICATE REQUEST-----')`
CREATE TEMP TABLE request AS SELECT :'csr'::text AS csr, :'csr_b'::text AS csr_b,
	:'csr_rsa'::text AS csr_rsa, :'csr_forged'::text AS csr_forged;
CREATE TEMP TABLE issued (name text PRIMARY KEY, certificate text);
GRANT SELECT ON request, issued TO PUBLIC;

-- the verdict of an MSP with these certificates on the identity, as a channel would have it:
-- administrators must be valid identities
CREATE FUNCTION pg_temp.msp_says(root text, identity text, intermediate text DEFAULT NULL, crl text DEFAULT NULL)
	RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	tls text := (SELECT certificate FROM issued WHERE name = 'tls of node1');
	organization jsonb := jsonb_build_object('msp_id', 'Org1MSP', 'root_certificates',
		jsonb_build_array(root), 'admins', jsonb_build_array(identity),
		'tls_root_certificates', jsonb_build_array(fabric.ca_certificate('tlsca')), 'endpoints', jsonb_build_array('localhost:5432'));
BEGIN
	IF intermediate IS NOT NULL THEN
		organization := organization || jsonb_build_object('intermediate_certificates', jsonb_build_array(intermediate));
	END IF;
	IF crl IS NOT NULL THEN
		organization := organization || jsonb_build_object('revocation_lists', jsonb_build_array(crl));
	END IF;
	RETURN pg_temp.try(format('SELECT CASE WHEN length(fabric.create_channel(''c'', %L)) > 0 THEN ''valid'' END',
		jsonb_build_object('organizations', jsonb_build_array(organization),
			'consenters', jsonb_build_array(jsonb_build_object('address', 'localhost:5432', 'client_tls_certificate', tls, 'server_tls_certificate', tls)))));
END
$$;

--
-- authorities
--
SELECT fabric.ca_create('ca1', 'Org1MSP') LIKE '-----BEGIN CERTIFICATE-----%' AS is_pem;
SELECT fabric.ca_create('tlsca', 'Org1MSP', kind => 'tls',
	subject => '{"C": "DE", "ST": "Berlin", "L": "Berlin", "O": "Org 1", "OU": "Security", "CN": "tls authority"}', valid_for => '2 years') = fabric.ca_certificate('tlsca') AS same;
SELECT ca, msp_id, kind, parent, crl_number, certificate = fabric.ca_certificate(ca) AS same,
	created_at <= now() AS created FROM fabric.cas WHERE ca IN ('ca1', 'tlsca') ORDER BY ca;
SELECT fabric.ca_certificate('ca1')
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -issuer -ext basicConstraints,keyUsage -nameopt RFC2253
SELECT fabric.ca_certificate('tlsca')
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -nameopt RFC2253
-- the certificate is valid for ten years
SELECT fabric.ca_certificate('ca1')
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -checkend 315360000
SELECT fabric.ca_certificate('ca1')
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -checkend 315800000

SELECT pg_temp.try($$SELECT fabric.ca_create('ca1', 'Org1MSP')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create(NULL, 'Org1MSP')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('', 'Org1MSP')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', '')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create(repeat('x', 64), 'Org1MSP')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', repeat('x', 256))$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', kind => 'other')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', kind => NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', parent => 'nosuch')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', parent => 'tlsca')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org2MSP', parent => 'ca1')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', valid_for => '-1 day')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', valid_for => NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', valid_for => '9000 years')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', subject => '[]')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', subject => '{"CN": 1}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', subject => '{"CN": ""}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', subject => '{"cn": "x"}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', subject => '{"C": "Germany"}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_certificate('nosuch')$$);
SELECT pg_temp.try($$SELECT fabric.ca_certificate(NULL)$$);
-- a ca_create that is rolled back leaves no key
SELECT count(*) AS keys FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f WHERE f LIKE 'ca\_%' \gset
BEGIN;
SELECT fabric.ca_create('gone', 'Org1MSP') <> '' AS made;
SELECT count(*) - :keys AS new_keys FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f WHERE f LIKE 'ca\_%';
SAVEPOINT s;
SELECT fabric.ca_create('gone too', 'Org1MSP') <> '' AS made;
SELECT count(*) - :keys AS new_keys FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f WHERE f LIKE 'ca\_%';
ROLLBACK TO s;
SELECT count(*) - :keys AS new_keys FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f WHERE f LIKE 'ca\_%';
ROLLBACK;
SELECT count(*) - :keys AS new_keys FROM pg_ls_dir(current_setting('fabric.keystore_directory')) AS f WHERE f LIKE 'ca\_%';

--
-- registration
--
-- a generated secret has 128 random bits
SELECT fabric.ca_register('ca1', 'made') ~ '^[0-9a-f]{32}$' AS made;
SELECT fabric.ca_register('ca1', 'user1', secret => 'password of user1', affiliation => 'org1.department1',
	attributes => '{"color": "blue", "level": {"value": "3", "ecert": true}, "hidden": {"value": "x"}, "also hidden": {"value": "y", "ecert": false}}');
SELECT fabric.ca_register('ca1', 'node1', 'peer', 'password of node1');
SELECT fabric.ca_register('ca1', 'order1', 'orderer', 'password of order1');
SELECT fabric.ca_register('ca1', 'admin1', 'admin', 'password of admin1', max_enrollments => 1);
SELECT fabric.ca_register('tlsca', 'node1', 'peer', 'password of node1');
SELECT fabric.ca_register('tlsca', 'user1', 'client', 'password of user1');
SELECT ca, enrollment_id, role, affiliation, attributes, max_enrollments, enrollments, revoked_at
	FROM fabric.ca_identities WHERE ca IN ('ca1', 'tlsca') ORDER BY ca, enrollment_id;
-- only a hash of the secret is stored
SELECT count(*) AS hashes FROM fabric_internal.ca_identity WHERE secret_hash LIKE '$2a$08$%'
	AND ca IN ('ca1', 'tlsca');

SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'user1')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('nosuch', 'x')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register(NULL, 'x')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', '')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', repeat('x', 65))$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', E'x\ny')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', 'member')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', 'Client')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', secret => 'short')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', secret => repeat('x', 1025))$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', max_enrollments => 0)$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', max_enrollments => -2)$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', max_enrollments => NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', affiliation => 'a..b')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', affiliation => 'a.admin')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', affiliation => repeat('a.', 16) || 'a')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '[]')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"a": 1}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"a": ["b"]}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"a": {"ecert": true}}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"a": {"value": "b", "ecert": "true"}}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"a": {"value": "b", "other": true}}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"hf.Type": "admin"}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x', attributes => '{"": "b"}')$$);
SELECT pg_temp.try($$SELECT fabric.ca_register('ca1', 'x',
	attributes => jsonb_build_object('a', repeat('x', 20000)))$$);

--
-- enrollment
--
INSERT INTO issued SELECT 'user1', fabric.ca_enroll('ca1', 'user1', 'password of user1', csr) FROM request;
INSERT INTO issued SELECT 'node1', fabric.ca_enroll('ca1', 'node1', 'password of node1', csr_b) FROM request;
INSERT INTO issued SELECT 'admin1', fabric.ca_enroll('ca1', 'admin1', 'password of admin1', csr) FROM request;
INSERT INTO issued SELECT 'tls of node1', fabric.ca_enroll('tlsca', 'node1', 'password of node1', csr) FROM request;
INSERT INTO issued SELECT 'tls of user1', fabric.ca_enroll('tlsca', 'user1', 'password of user1', csr) FROM request;
INSERT INTO issued SELECT 'other tls of node1', fabric.ca_enroll('tlsca', 'node1', 'password of node1', csr, hosts => '{db1,::1,127.0.0.1}') FROM request;
INSERT INTO issued SELECT 'tls of order1', fabric.ca_enroll('ca1', 'order1', 'password of order1', csr, 'tls', hosts => '{localhost}') FROM request;
INSERT INTO issued SELECT 'chosen', fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, attributes => '{hidden,hf.Type}') FROM request;
-- the certificate takes only the key from the request; it has the attributes that every certificate
-- has
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -issuer -ext basicConstraints,keyUsage,extendedKeyUsage,subjectAltName -nameopt RFC2253 2>/dev/null
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl x509 -noout -text | grep -A 1 '1.2.3.4.5.6.7.8.1' | sed 's/^ *//; s/ *$//'
SELECT certificate FROM issued
	WHERE name = 'chosen' \g (format=unaligned tuples_only=on) |openssl x509 -noout -text | grep -A 1 '1.2.3.4.5.6.7.8.1' | sed 's/^ *//; s/ *$//'
-- the certificate is valid for one year
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl x509 -noout -checkend 31530000
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl x509 -noout -checkend 31630000
-- TLS certificates are for both directions; host names of the request are only for nodes
SELECT certificate FROM issued
	WHERE name = 'tls of node1'
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -issuer -ext keyUsage,extendedKeyUsage,subjectAltName -nameopt RFC2253
SELECT certificate FROM issued
	WHERE name = 'tls of user1'
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -ext extendedKeyUsage,subjectAltName -nameopt RFC2253 2>/dev/null
SELECT certificate FROM issued
	WHERE name = 'other tls of node1' \g (format=unaligned tuples_only=on) |openssl x509 -noout -ext subjectAltName
SELECT certificate FROM issued
	WHERE name = 'tls of order1'
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -ext extendedKeyUsage,subjectAltName -nameopt RFC2253
-- openssl verifies the chains
SELECT fabric.ca_certificate('ca1') \g (format=unaligned tuples_only=on) |cat > "$FABRIC_TEST_NODE/ca_ca1.pem"
SELECT fabric.ca_certificate('tlsca') \g (format=unaligned tuples_only=on) |cat > "$FABRIC_TEST_NODE/ca_tlsca.pem"
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl verify -x509_strict -CAfile "$FABRIC_TEST_NODE/ca_ca1.pem"
SELECT certificate FROM issued
	WHERE name = 'tls of node1'
	\g (format=unaligned tuples_only=on) |openssl verify -x509_strict -purpose sslserver -verify_hostname node.example.com -CAfile "$FABRIC_TEST_NODE/ca_tlsca.pem"
SELECT certificate FROM issued
	WHERE name = 'tls of node1'
	\g (format=unaligned tuples_only=on) |openssl verify -x509_strict -purpose sslclient -verify_ip 10.1.2.3 -CAfile "$FABRIC_TEST_NODE/ca_tlsca.pem"
SELECT certificate FROM issued
	WHERE name = 'user1' \g (format=unaligned tuples_only=on) |openssl verify -CAfile "$FABRIC_TEST_NODE/ca_tlsca.pem" 2>/dev/null || echo 'another authority'
-- MSPs verify the chains; the certificate of a peer is not that of an administrator
SELECT name, pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate) FROM issued
	WHERE name NOT LIKE '%tls%' ORDER BY name;
SELECT pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate) LIKE 'LF105%' AS other_authority
	FROM issued WHERE name = 'tls of node1';
SELECT ca, enrollment_id, profile, count(*), bool_and(not_before < now() AND not_after > now()) AS valid,
	bool_and(revoked_at IS NULL AND reason IS NULL) AS unrevoked,
	count(DISTINCT serial) AS serials, bool_and(serial ~ '^[0-9a-f]{32}$') AS well_formed
FROM fabric.ca_certificates WHERE ca IN ('ca1', 'tlsca') GROUP BY ca, enrollment_id, profile
	ORDER BY ca, enrollment_id, profile;
SELECT enrollment_id, enrollments, max_enrollments FROM fabric.ca_identities WHERE ca = 'ca1'
	ORDER BY enrollment_id;

-- refused callers: the error does not tell whether the id or the secret is wrong, and takes the
-- same time
SELECT clock_timestamp() AS start \gset
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of node1', csr) FROM request$$);
SELECT clock_timestamp() - :'start'::timestamptz >= '0.5 s' AS slow, clock_timestamp() AS start \gset
\echo :slow
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'nosuch', 'password of user1', csr) FROM request$$);
SELECT clock_timestamp() - :'start'::timestamptz >= '0.5 s' AS slow \gset
\echo :slow
-- statement_timeout cannot shorten the delay
SET statement_timeout = '490ms';
SELECT fabric.ca_enroll('ca1', 'user1', 'password of node1', csr) FROM request;
RESET statement_timeout;
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', '', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'Password of user1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'admin1', 'password of admin1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', (SELECT secret_hash
	FROM fabric_internal.ca_identity WHERE ca = 'ca1' AND enrollment_id = 'user1'), csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'admin1', 'password of admin1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('nosuch', 'user1', 'password of user1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll(NULL, 'user1', 'password of user1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', NULL, 'password of user1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', NULL, csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', repeat('x', 1025), csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', repeat('x', 65), 'password of user1', csr) FROM request$$);
-- requests
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', '')$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', 'no request')$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', fabric.ca_certificate('ca1'))$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', repeat('x', 70000))$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr_rsa) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr_forged)
	FROM request$$) LIKE 'LF1%' AS forged;
-- profiles, hosts, attributes, validity
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, 'other') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'user1', 'password of user1', csr, 'signing') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'user1', 'password of user1', csr, hosts => '{localhost}') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'node1', 'password of node1', csr, hosts => '{localhost}') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'node1', 'password of node1', csr, hosts => '{local host}') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'node1', 'password of node1', csr, hosts => '{NULL}') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('tlsca', 'node1', 'password of node1', csr,
	hosts => array_fill('x'::text, '{65}')) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, attributes => '{color,nosuch}') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, valid_for => '0') FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, valid_for => NULL) FROM request$$);
-- no certificate is valid for longer than its authority
SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr, valid_for => '100 years') <> '' AS made FROM request;
SELECT max(not_after) < now() + '10 years' AS within_the_authority FROM fabric.ca_certificates
	WHERE ca = 'ca1' AND enrollment_id = 'user1';
-- a failed attempt does not count as an enrollment
SELECT enrollments FROM fabric.ca_identities WHERE ca = 'ca1' AND enrollment_id = 'user1';

--
-- an intermediate authority
--
SELECT fabric.ca_create('ca1 intermediate', 'Org1MSP', parent => 'ca1', valid_for => '50 years') <> '' AS made;
SELECT fabric.ca_certificate('ca1 intermediate')
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -issuer -ext basicConstraints -nameopt RFC2253
SELECT fabric.ca_certificate('ca1 intermediate')
	\g (format=unaligned tuples_only=on) |openssl verify -x509_strict -CAfile "$FABRIC_TEST_NODE/ca_ca1.pem"
SELECT pg_temp.try($$SELECT fabric.ca_create('x', 'Org1MSP', parent => 'ca1 intermediate')$$);
INSERT INTO issued SELECT 'user2',
	fabric.ca_enroll('ca1 intermediate', 'user2', fabric.ca_register('ca1 intermediate', 'user2'), csr) FROM request;
SELECT pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate,
	fabric.ca_certificate('ca1 intermediate')) AS of_the_intermediate FROM issued WHERE name = 'user2';
-- as in Fabric, an MSP with intermediate certificates accepts identities only from these
SELECT pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate,
	fabric.ca_certificate('ca1 intermediate')) LIKE 'LF105%' AS of_the_root FROM issued WHERE name = 'user1';

--
-- reenrollment with the key of a certificate
--
SELECT csr FROM request \g (format=unaligned tuples_only=on) |perl -0777 -pe 's/\n\z//' > "$FABRIC_TEST_NODE/ca_signed"
\set by_a `openssl dgst -sha256 -sign "$FABRIC_TEST_NODE/ca_a.key" "$FABRIC_TEST_NODE/ca_signed" | od -An -v -tx1 | tr -d ' \n'`
\set by_b `openssl dgst -sha256 -sign "$FABRIC_TEST_NODE/ca_b.key" "$FABRIC_TEST_NODE/ca_signed" | od -An -v -tx1 | tr -d ' \n'`
CREATE TEMP TABLE signature AS SELECT decode(:'by_a', 'hex') AS by_a, decode(:'by_b', 'hex') AS by_b;
INSERT INTO issued SELECT 'admin1 again', fabric.ca_reenroll('ca1', certificate, csr, by_a)
	FROM issued, request, signature WHERE name = 'admin1';
SELECT certificate FROM issued
	WHERE name = 'admin1 again'
	\g (format=unaligned tuples_only=on) |openssl x509 -noout -subject -nameopt RFC2253
SELECT pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate) FROM issued WHERE name = 'admin1 again';
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr, by_b)
	FROM issued, request, signature WHERE name = 'admin1'$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr_b, by_a)
	FROM issued, request, signature WHERE name = 'admin1'$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr, by_a)
	FROM issued, request, signature WHERE name = 'tls of node1'$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', fabric.ca_certificate('ca1 intermediate'), csr, by_a)
	FROM request, signature$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', 'no certificate', csr, by_a) FROM request, signature$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr, '\x00') FROM issued, request
	WHERE name = 'admin1'$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr, NULL) FROM issued, request
	WHERE name = 'admin1'$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', NULL, csr, by_a) FROM request, signature$$);

--
-- revocation
--
SELECT fabric.ca_crl('ca1')
	\g (format=unaligned tuples_only=on) |openssl crl -noout -crlnumber -verify -CAfile "$FABRIC_TEST_NODE/ca_ca1.pem" 2>&1
SELECT fabric.ca_crl('ca1')
	\g (format=unaligned tuples_only=on) |openssl crl -noout -text | grep -E 'No Revoked|CRL Number' -A 1 | sed 's/^ *//; s/ *$//'
-- revoking one certificate keeps the others of the same identity valid
SELECT fabric.ca_revoke('ca1', serial => serial, reason => 'KeyCompromise')
	FROM fabric.ca_certificates c JOIN issued i USING (certificate) WHERE i.name = 'chosen';
SELECT fabric.ca_revoke('ca1', serial => upper('00' || serial)) AS again FROM fabric.ca_certificates c
	JOIN issued i USING (certificate) WHERE i.name = 'chosen';
SELECT i.name, revoked_at IS NOT NULL AS revoked, reason FROM fabric.ca_certificates c
	JOIN issued i USING (certificate) WHERE c.ca = 'ca1' ORDER BY i.name;
SELECT name, split_part(pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate,
	crl => fabric.ca_crl('ca1')), ' ', 1) AS says FROM issued WHERE name IN ('user1', 'chosen') ORDER BY name;
SELECT fabric.ca_crl('ca1') \g (format=unaligned tuples_only=on) |openssl crl -noout -text | grep -c 'Serial Number'
SELECT fabric.ca_crl('ca1')
	\g (format=unaligned tuples_only=on) |openssl crl -noout -text | grep -A 1 'Reason Code' | sed 's/^ *//; s/ *$//'
-- revoking an identity revokes all of its certificates
SELECT fabric.ca_revoke('ca1', 'user1', reason => 'cessationOfOperation') > 0 AS some;
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', 'user1')$$) AS again;
SELECT bool_and(revoked_at IS NOT NULL) AS revoked, array_agg(DISTINCT reason ORDER BY reason) AS reasons
	FROM fabric.ca_certificates WHERE ca = 'ca1' AND enrollment_id = 'user1';
SELECT split_part(pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate, crl => fabric.ca_crl('ca1')),
	' ', 1) AS says FROM issued WHERE name = 'user1';
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'password of user1', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_enroll('ca1', 'user1', 'another password', csr) FROM request$$);
SELECT pg_temp.try($$SELECT fabric.ca_reenroll('ca1', certificate, csr, by_a)
	FROM issued, request, signature WHERE name = 'user1'$$);
-- an identity with the same id at another authority is another identity
SELECT fabric.ca_enroll('tlsca', 'user1', 'password of user1', csr) <> '' AS enrolled FROM request;
-- revoking the certificate of the intermediate authority
SELECT fabric.ca_revoke('ca1', serial => serial, reason => 'cACompromise') FROM fabric.ca_certificates
	WHERE certificate = fabric.ca_certificate('ca1 intermediate');
SELECT split_part(pg_temp.msp_says(fabric.ca_certificate('ca1'), certificate,
	fabric.ca_certificate('ca1 intermediate'), fabric.ca_crl('ca1')), ' ', 1) AS says FROM issued WHERE name = 'user2';

SELECT pg_temp.try($$SELECT fabric.ca_revoke('nosuch', 'user1')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke(NULL, 'user1')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', 'user1', '00')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', 'nosuch')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', serial => '00')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', serial => '')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', serial => '123')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', serial => 'xy')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', serial => repeat('00', 100))$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', 'node1', reason => 'removeFromCRL')$$);
SELECT pg_temp.try($$SELECT fabric.ca_revoke('ca1', 'node1', reason => NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_crl('nosuch')$$);
SELECT pg_temp.try($$SELECT fabric.ca_crl(NULL)$$);
SELECT pg_temp.try($$SELECT fabric.ca_crl('ca1', '-1 s')$$);
SELECT pg_temp.try($$SELECT fabric.ca_crl('ca1', NULL)$$);

--
-- privileges
--
CREATE ROLE regress_ca_client IN ROLE fabric_client INHERIT;
CREATE ROLE regress_ca_stranger;
SET ROLE regress_ca_client;
SELECT fabric.ca_certificate('ca1') <> '' AS may;
SELECT fabric.ca_enroll('ca1', 'node1', 'password of node1', csr) <> '' AS may FROM request;
SELECT fabric.ca_create('x', 'Org1MSP');
SELECT fabric.ca_register('ca1', 'x');
SELECT fabric.ca_revoke('ca1', 'node1');
SELECT fabric.ca_crl('ca1');
SELECT * FROM fabric.cas;
SELECT * FROM fabric.ca_identities;
SELECT * FROM fabric.ca_certificates;
SELECT * FROM fabric_internal.ca_identity;
SET ROLE regress_ca_stranger;
SELECT fabric.ca_certificate('ca1');
SELECT fabric.ca_enroll('ca1', 'node1', 'password of node1', csr) FROM request;
SELECT fabric.ca_reenroll('ca1', '', '', '');
RESET ROLE;
DROP ROLE regress_ca_client;
DROP ROLE regress_ca_stranger;
\! rm -f "$FABRIC_TEST_NODE"/ca_*.key "$FABRIC_TEST_NODE"/ca_*.csr "$FABRIC_TEST_NODE"/ca_*.pem "$FABRIC_TEST_NODE"/ca_signed
