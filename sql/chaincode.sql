-- packages, the check of their source, installation
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse
\pset null '(null)'

-- the result of an installation: the package id without its hash, or the error
CREATE FUNCTION pg_temp.try(source text, allow_warnings boolean DEFAULT false) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	RETURN regexp_replace(fabric.install_chaincode(fabric.package_chaincode('try_1.0', source),
		allow_warnings), ':[0-9a-f]{64}$', ':HASH');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(detail, ''), '')
		|| coalesce(E'\n' || nullif(hint, ''), '');
END
$$;

--
-- packages
--
-- equal arguments give equal bytes; the id is the label and the SHA-256 of the bytes
WITH p AS (SELECT fabric.package_chaincode('asset_1.0', 'CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT ''x''$$') AS bytes)
SELECT bytes = fabric.package_chaincode('asset_1.0', 'CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT ''x''$$') AS same,
	   i.package_id = 'asset_1.0:' || encode(sha256(bytes), 'hex') AS id_is_hash, i.label, i.type,
	   	i.path, i.source
FROM p, fabric.package_info(p.bytes) i;
-- another source or label gives other bytes
SELECT fabric.package_chaincode('a', 'x') <> fabric.package_chaincode('a', 'y') AS source,
	fabric.package_chaincode('a', 'x') <> fabric.package_chaincode('b', 'x') AS label;
SELECT fabric.package_chaincode('a', 'x', 'SQL') = fabric.package_chaincode('a',
	'x') AS language_without_case;
SELECT label, source IS NULL AS has_no_source
	FROM fabric.package_info(fabric.package_chaincode('a-b.c+d_e', repeat('-- long' || E'\n', 100000)));

SELECT fabric.package_chaincode('', 'x');
SELECT fabric.package_chaincode('_a', 'x');
SELECT fabric.package_chaincode('a b', 'x');
SELECT fabric.package_chaincode('a:b', 'x');
SELECT fabric.package_chaincode('ä', 'x');
SELECT fabric.package_chaincode(repeat('a', 256), 'x');
SELECT fabric.package_chaincode('a', '');
SELECT fabric.package_chaincode('a', repeat('x', 16 * 1024 * 1024 + 1));
SELECT fabric.package_chaincode('a', 'x', 'golang');
SELECT fabric.package_chaincode(NULL, 'x');
SELECT fabric.package_chaincode('a', NULL);
SELECT fabric.package_chaincode('a', 'x', NULL);

-- bytes that are not a package
\set VERBOSITY default
SELECT fabric.package_info(NULL);
SELECT fabric.package_info('');
SELECT fabric.package_info('no package');
SELECT fabric.package_info(substr(fabric.package_chaincode('a', 'x'), 1, 100));
SELECT fabric.package_info('\x1f8b080000000000000303000000000000000000');
-- a tar without metadata.json
SELECT fabric.package_info('\x1f8b08000000000002ffedcdbb0980401404c0578a257870683d8286267ec0f23d8dc45c419c4976d964a7a1ebc7211e55174dce6716f72cd2a51f7b9b528eaa8e17acf3d24de532fe690b000000000000000000be680719ab62c200280000');
-- a tar without code.tar.gz
SELECT fabric.package_info('\x1f8b08000000000002ffedcd310a02410c85e11c45522f320bc316de26e2802ce3ba3a1114f1ee062d047b45f0ff9af79214d915b78db92dc7b69fe4335218727e6478cf945eb7e7be4fb91f6491e40b4ecded18efe53f5dd52f73d195b643d54e67f36d0cd1aaad4b8d7ad69b00000000000000000000000000007ece1dd36d714400280000');
-- metadata that is not JSON
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e834101822b181e286062606e60c0a060c7400a5c525894540eb194626a8661805231924e7a7a4ea0173805e7a15cdec2094ff0dcd4dd0f33f108de67f7a00f96e0e30cdf4ffed65473e070301878b965ddc0b26669d0fdee694a1da971fe1f9bde347bef1e49b675e1d5fbade59f4b9e3bbe4299bbfcdd19a7f2aeedbe3776b3f0749541e900a8ef8b2f44f70a498e387e8c0dfef576d591afe3bffd3bfe8c72ffe733e766146b6307e1bb3861bb31f83c668de1b05a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c128a0060000b0fabc3000280000');
-- a label that is not allowed
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48181b109820d12373430313465503060a003282d2e492c025acf303241b552496541aa92955271618e928e524e62526a0e9097a89fa454cb300a863d48ce4f49d503e600bdf42a9ad94128ff1b9a63e47f201acdfff400f2dd1c609ae9ffdbcb8e7c0e06020e172dbbb8174ccc3a1fbccd2943b52f3fc2f37bc78f7ce3c937cfbc3abe74bdb3e873c777c953367f9ba335ff54dcb7c7efd67e0e92a83c20151cf165e99fe04831c70fd181bfdfafdab234fc77fea77fd18f5ffce77cecc28c6c61fc36660d37663f068dd1bc370a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251400d000088085fd600280000');
-- a type that is not a text
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b481819119820d12373430313463503060a003282d2e492c025acf303241b552496541aa9295a18e524e62526a8e929552a2522dc328182120393f25550f9803f4d2ab686607a1fc6f686e829eff816834ffd303c877738069a6ff6f2f3bf2391808385cb4ece25e3031eb7cf036a70cd5befc08cfef1d3ff28d27df3cf3eaf8d2f5cea2cf1ddf254fd9fc6d8ed6fc5371df1ebf5bfb3948a2f2805470c497a57f8223c51c3f4407fe7ebf6acbd2f0dff99ffe453f7ef19ff3b10b33b285f1db9835dc98fd183446f3de281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a4601350000a3863be000280000');
-- a package without SQL
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48101420e226e68606268c6a060c04007505a5c925804b49e6164826aa592ca8254252ba5e2c21c251da582c4920c2007c8ca494c4acd01322b946a1946c1b005c9f929a97ac01ca0975e45333b08e57f433323f4fc6f60603a9affe901e4bb39c034d3ffb797bcb90e3908b01eb0f3f24b5033aa98afe821d0e965f7fdfc91de07718e6ba2be547f59666eeb5f6b3dedf45b833b8f83834a4ffd9c79b57ad995a7e1f7bfc7ce3d9e115473d04a3f75d5f3c7f6b65ef5ba8777deac57805bf343527a92a54f3583c6688e1b05a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c128a02e00002b6c857a00280000');
-- code.tar.gz that is not a tar archive
SELECT fabric.package_info('\x1f8b08000000000002ffedd34d0ac2301086e11c45b2963285d882b7893628126d3511aae2dd1d7421ba71d582fa3e9bf95bcceadb86ec1b9f7db149edce0c4354e5dcbdaaf72af2bc3df6a5b8b23213312338a6ec0ffadefca78bcda72ed8b94dfb68a7b6f379ad8376d12f42d4b6b757839fb56c9b5068028ad579b01f1ff32fe56bfea5aeeb19f91f434f04000000000000000000000000beda0dc1b18d9200280000');
-- source that is not UTF-8
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48101420e226e68606268c6a060c04007505a5c925804b49e6164826aa592ca8254252ba5e2c21c251da582c4920c2007c8ca494c4acd01322b946a1946c1b005c9f929a97ac01ca0975e45333b08e57f436353f4fc6f60603a9affe901e4bb39c034d3ffb767adf91c0244582eec16d116109af7f58569ddebe7819df35ce65c3e9332ebe5e94a994791a1d3663d3bf3665e64edcbe3f382aebb051ee5be56f972798de4ff2dac7013e3b730177f9e54cda0319ab946c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300ae800009e9138bf00280000');
-- a header that announces a file of 8 GB
SELECT fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d0470ba0122cd045383903737353660503060a003282d2e492c52506018a100009e86ef9e00020000');
-- metadata of 100 kB
SELECT fabric.package_info('\x1f8b08000000000002ffedcd410a83300044d11ca527903406ef136837422dd4081edfd042a107b008beb7f9309b79dc6bb9955aba717e4e611fb119727eb7f96d1ffb94bfdb67bfc69c52b8c4f007cb5ccbabdd87735a01000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000080c3da00a47174a3a0880100');
-- packages made by other programs: any order of members, other files, all *.sql files by name
SELECT label, type, path, source FROM fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48101420e226e68606268c6a060c04007505a5c925804b49e6164826aa592ca8254252ba5e2c21c251da582c4920c2007c8ca494c4acd01322b946a1946c1b005c9f929a97ac01ca0975e45333b08e57f235323f4fc6f60603a9affe901e4bb39c034d3ffb757bdb90e1908343c94592aee31e7cbceb2850a2b14aa1a7f312ddd722344e0c8eee85d82bbb7bb7eaa9fcdb9f9e4abf46fc7ee727d8dbee4f578c7ecb5ff44367efbfcee5be6ac542d01d386ddd99f76fd0dfae9f9fac05cbed0ca900f17b3b6cd7e75b4caae72c6ead5a70a7f4dffb0bb5e3bd1e57f73c5be8c03e93b6fe64d5b7cbffee5fdff2a5e2fea17fcaedf7765dd421684f37ee4e747af751465d018cda9a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805d801008b1802a300280000');
SELECT label, type, path, source FROM fabric.package_info('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48181a929820d12373430313260503060a003282d2e492c025acf303241b552486541aa929592bbbf8fa39fbb928e5241624906909fa89f04e4f82426a5e60079e9f9f1864ab50ca360b881e4fc94543d600ed04bafa2991d84f2bfa199117afe079609a3f99f1e40be9b034c33fd7f7bc99beb908300eb013b2fbf0435a38af98a1e029d5e76dfcf1fe97d10e7b826ea4bf59765e6b6feb5d6d34ebf35b8f33838a8f4d4cf9957ab975d791a7eff7becdce319413507adf453573d7f6c6feb55af7b78e7cd7a05b8353f24a52759fa5433688ce6b8c105522b4a8a12696c07c1fadfc01035ff1b981b18188de67f7a00c3d12c300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805c302000070be15c300280000');
SELECT fabric.install_chaincode('\x1f8b08000000000002ffcb4d2d494c492c49d4cb2acecf63a00d300002331313300d04e8b48181a929820d12373430313260503060a003282d2e492c025acf303241b552486541aa929592bbbf8fa39fbb928e5241624906909fa89f04e4f82426a5e60079e9f9f1864ab50ca360b881e4fc94543d600ed04bafa2991d84f2bfa199117afe079609a3f99f1e40be9b034c33fd7f7bc99beb908300eb013b2fbf0435a38af98a1e029d5e76dfcf1fe97d10e7b826ea4bf59765e6b6feb5d6d34ebf35b8f33838a8f4d4cf9957ab975d791a7eff7becdce319413507adf453573d7f6c6feb55af7b78e7cd7a05b8353f24a52759fa5433688ce6b8c105522b4a8a12696c07c1fadfc01035ff1b981b18188de67f7a00c3d12c300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805a360148c8251300a46c1281805c302000070be15c300280000');
\set VERBOSITY terse

--
-- installation
--
SELECT pg_temp.try('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$SELECT a + 1$$; COMMENT ON FUNCTION f(int) IS ''adds one''');
-- installing the same package again changes nothing and returns the same id
SELECT pg_temp.try('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$SELECT a + 1$$; COMMENT ON FUNCTION f(int) IS ''adds one''');
SELECT label, type, schema_name = 'fabric_cc_'
	|| substr(split_part(package_id, ':', 2), 1, 16) AS schema_is_hash, bytes > 0 AS has_bytes
FROM fabric.installed_chaincodes;
SELECT p.proname, p.proowner::regrole, p.proacl, n.nspowner::regrole, n.nspacl, d.description
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	LEFT JOIN pg_description d ON d.objoid = p.oid
WHERE n.nspname LIKE 'fabric\_cc\_%';
SELECT i.source = (SELECT source
	FROM fabric.package_info(fabric.get_installed_package(c.package_id))) AS same_bytes
FROM fabric.installed_chaincodes c, fabric.package_info(fabric.get_installed_package(c.package_id))
	i;
SELECT fabric.get_installed_package('a:b');
SELECT fabric.get_installed_package(NULL);
SELECT fabric.uninstall_chaincode(package_id) FROM fabric.installed_chaincodes;
SELECT count(*) FROM fabric.installed_chaincodes;
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fabric\_cc\_%';
SELECT fabric.uninstall_chaincode('a:b');
SELECT fabric.uninstall_chaincode(NULL);
SELECT fabric.install_chaincode(NULL);
SELECT fabric.install_chaincode('x');
SELECT fabric.install_chaincode(fabric.package_chaincode('a', 'x'), NULL);
BEGIN TRANSACTION READ ONLY;
SELECT fabric.install_chaincode(fabric.package_chaincode('a', 'x'));
ROLLBACK;

-- functions may refer to each other in any order
SELECT pg_temp.try('CREATE FUNCTION a() RETURNS int LANGUAGE sql AS $$SELECT b()$$; CREATE FUNCTION b() RETURNS int LANGUAGE sql AS $$SELECT 1$$');
-- words that are a name in one place and a statement in another
SELECT pg_temp.try($cc$
CREATE FUNCTION f(a date, update text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	delete int;
	now text := 'today is a word';
BEGIN
	delete := 1;
	SELECT x.* INTO r FROM json_to_record('{}') AS x(a int);
	IF r.user IS DISTINCT FROM r.now AND extract(year FROM a) > 1 THEN
		RETURN trim(both FROM now);
	END IF;
	WITH pg_class AS (SELECT 1 AS n) SELECT n INTO delete FROM pg_class;
	RETURN age(a, date '2020-01-01') || to_char(a, 'YYYY') || upper(now) || update;
END
$$;
$cc$);

--
-- code that differs between nodes
--
SELECT pg_temp.try($cc$
-- the line numbers in errors are those of the source
CREATE FUNCTION f(a int, t timestamptz DEFAULT now()) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM random();
	PERFORM clock_timestamp(), pg_catalog.statement_timestamp(), timeofday();
	PERFORM gen_random_uuid(), nextval('s'), txid_current(), pg_sleep(1000), pg_advisory_lock(1),
		set_config('a', 'b', false);
	INSERT INTO t VALUES (1);
	UPDATE t SET a = 1 WHERE b;
	UPDATE ONLY s.t AS x SET a = 1;
	DELETE FROM t;
	MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE;
	CREATE TABLE t (a int);
	COPY t FROM '/tmp/x';
	TRUNCATE t;
	SELECT count(*) INTO a FROM pg_class c JOIN fabric_internal.channel d ON true;
	COMMIT;
	RETURN current_user || CURRENT_TIMESTAMP || 'now'::timestamp || timestamp ' Tomorrow ' || age(t);
END
$$;
$cc$);
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS float LANGUAGE sql AS $$SELECT random()$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS float LANGUAGE sql AS ''SELECT random()''');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS float LANGUAGE sql RETURN random()');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS float LANGUAGE sql BEGIN ATOMIC SELECT random(); END');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT now()::text$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT session_user::text$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT fabric.install_chaincode(NULL)$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT channel FROM chaincodes$$');
-- code that could catch the end of the time limit
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN LOOP END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN LOOP END LOOP; EXCEPTION WHEN SQLSTATE ''57014'' THEN NULL; END$$');
-- code that cannot be checked: an error, or a warning with allow_warnings
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE ''SELECT 1''; END$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE ''SELECT 1''; END$$', true);

--
-- sources that are not chaincode
--
SELECT pg_temp.try('-- nothing');
SELECT pg_temp.try('SELECT 1');
SELECT pg_temp.try(E'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$;\nDROP TABLE x');
SELECT pg_temp.try('CREATE TABLE t (a int)');
SELECT pg_temp.try('CREATE PROCEDURE f() LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql LEAKPROOF AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql SET work_mem = 1 AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE c AS ''a'', ''b''');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE internal AS ''now''');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE nosuch AS ''now''');
SELECT pg_temp.try('CREATE FUNCTION f(a anyelement) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f(a pg_class) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f(a pg_class.relname%TYPE) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f(a regclass) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f(a nosuch) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN END$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS SETOF record LANGUAGE sql AS $$SELECT 1$$');
SELECT pg_temp.try(E'\nCREATE FUNCTION f( RETURNS int');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT x$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT nosuch()$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN nonsense END$$');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; COMMENT ON FUNCTION g() IS ''x''');
SELECT pg_temp.try('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; COMMENT ON TABLE g IS ''x''');
-- a refused package leaves no objects
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fabric\_cc\_%';
SELECT fabric.uninstall_chaincode(package_id) FROM fabric.installed_chaincodes;

--
-- privileges
--
CREATE ROLE regress_chaincode_user;
CREATE ROLE regress_chaincode_admin;
GRANT fabric_admin TO regress_chaincode_admin;
SET ROLE regress_chaincode_user;
SELECT length(fabric.package_chaincode('a', 'x')) > 0 AS anybody_packages;
SELECT label FROM fabric.package_info(fabric.package_chaincode('a', 'x'));
SELECT fabric.install_chaincode('x');
SELECT fabric.uninstall_chaincode('x');
SELECT fabric.get_installed_package('x');
SELECT fabric.list_chaincodes('x');
SELECT * FROM fabric.installed_chaincodes;
SELECT * FROM fabric.chaincodes;
SELECT * FROM fabric_internal.chaincode_package;
RESET ROLE;
SET ROLE regress_chaincode_admin;
SELECT regexp_replace(fabric.install_chaincode(fabric.package_chaincode('by_admin', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$')), ':.*', '');
SELECT label FROM fabric.installed_chaincodes;
SELECT fabric.uninstall_chaincode(package_id) FROM fabric.installed_chaincodes;
SELECT * FROM fabric.list_chaincodes('nosuch');
SELECT * FROM fabric.list_chaincodes(NULL);
RESET ROLE;
DROP ROLE regress_chaincode_user;
DROP ROLE regress_chaincode_admin;
