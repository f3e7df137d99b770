-- messages, hashes and texts of Fabric without a network: the blocks of a real network, and vectors
-- that Fabric's own code computed
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\pset null '(null)'
\getenv srcdir PG_ABS_SRCDIR

SELECT fabric.version() = extversion AS version FROM pg_extension WHERE extname = 'fabric';

-- test/vectors/README.md says where the vectors come from. JSON in PostgreSQL has no U+0000.
CREATE TEMP TABLE block AS
	SELECT n AS number, pg_read_binary_file(:'srcdir' || '/test/vectors/blocks/' || n || '.block') AS bytes,
		   replace(pg_read_file(:'srcdir' || '/test/vectors/blocks/' || n || '.json'), '\u0000', '\u2400')::jsonb AS configtxlator
	FROM unnest(ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15]) AS n;
CREATE TEMP TABLE orderer_block AS
	SELECT n AS number, pg_read_binary_file(:'srcdir' || '/test/vectors/orderer-blocks/' || n
		|| '.block') AS bytes FROM unnest(ARRAY[0, 5, 15]) AS n;
-- one field of a message: the tag is followed by the length and the content
CREATE FUNCTION pg_temp.varint(n int) RETURNS bytea LANGUAGE sql AS $$
	SELECT CASE WHEN n < 128 THEN set_byte('\x00', 0, n) ELSE set_byte('\x00', 0, 128 + n % 128)
		|| pg_temp.varint(n / 128) END
$$;
CREATE FUNCTION pg_temp.field(number int, content bytea) RETURNS bytea
	LANGUAGE sql AS $$ SELECT pg_temp.varint(number * 8 + 2) || pg_temp.varint(length(content))
	|| content $$;

--
-- decode_block prints a block as configtxlator does
--
SELECT number, fabric.decode_block(bytes) = configtxlator AS same,
	jsonb_array_length(fabric.decode_block(bytes) #> '{data,data}') AS transactions FROM block ORDER BY number;
-- a block of an orderer has no codes and no commit hash
SELECT number, j -> 'header' = p -> 'header' AS header, j -> 'data' = p -> 'data' AS data,
	j #> '{metadata,metadata,2}' AS codes, j #> '{metadata,metadata,4}' AS commit_hash
FROM orderer_block o JOIN block b USING (number), fabric.decode_block(o.bytes) j,
	fabric.decode_block(b.bytes) p ORDER BY number;
-- empty bytes are a message without fields
SELECT fabric.decode_block('');
-- a field that Fabric does not know is omitted, as configtxlator does
SELECT fabric.decode_block(bytes || pg_temp.field(99, 'x')) = configtxlator AS same FROM block
	WHERE number = 9;
-- bytes that are not a block
SELECT fabric.decode_block('\xff');
SELECT fabric.decode_block('no block');
SELECT fabric.decode_block(substr(bytes, 1, length(bytes) - 1)) FROM block WHERE number = 9;
SELECT fabric.decode_block(pg_temp.field(1, '\x0801') || pg_temp.field(1, '\x0802'));
SELECT fabric.decode_block(decode(repeat('00', 105 * 1024 * 1024), 'hex'));

--
-- decode_message
--
SELECT fabric.decode_message('common.Block', bytes) = configtxlator AS same FROM block WHERE number = 9;
SELECT jsonb_pretty(fabric.decode_message('common.ConfigUpdate', pg_read_binary_file(:'srcdir' || '/test/vectors/tx/config_update.pb')));
SELECT jsonb_pretty(fabric.decode_message('common.Envelope', pg_read_binary_file(:'srcdir' || '/test/vectors/tx/config_update_envelope_unsigned.pb')) #> '{payload,data}');
-- header and payload of a proposal; a proposal response; read-write sets with an absent key, a
-- version, a composite key, a deletion, and a key's policy
SELECT fabric.decode_message('common.ChannelHeader', '\x080322096d796368616e6e656c2a40' || convert_to('151635d156b87fcdd972bf6d45d83eb75864e6b9caff423a784c5c4e58051968', 'UTF8') || '\x3a09120712056261736963');
SELECT fabric.decode_message('protos.ChaincodeProposalPayload', '\x0a220a2008011207120562617369631a130a095265616441737365740a06617373657431');
SELECT fabric.decode_message('protos.ProposalResponsePayload', '\x0a20a814770abc14aa94181a0f07f2b36b7748a1fd68d1838b1b9f63f5ab9a4a45bb121b0a0212001a0708c8011a026f6b220c120562617369631a03312e30');
SELECT jsonb_pretty(fabric.decode_message('rwset.TxReadWriteSet', '\x123e0a05626173696312350a040a026b310a080a026b32120208051a110a0c00636f6c6f7200626c7565001a01001a080a026b311a0276311a060a026b321001'));
SELECT fabric.decode_message('rwset.TxReadWriteSet', '\x122b0a056261736963122222200a026b31121a0a1456414c49444154494f4e5f504152414d4554455212024550') #> '{ns_rwset,0,rwset,metadata_writes}';
-- the hashes of private data, and the private data
SELECT jsonb_pretty(fabric.decode_message('rwset.TxReadWriteSet', '\x12cb010a0562617369631ac1010a04636f6c6c1296010a280a206ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd012040807100112240a20d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58100112440a206ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd01a202bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b1a20fbc9790230c7186ed30c618f36b2327f3ec5d23ccf70829ae51b4f991792b60c') #> '{ns_rwset,0,collection_hashed_rwset,0}');
SELECT jsonb_pretty(fabric.decode_message('rwset.TxPvtReadWriteSet', '\x12270a056261736963121e0a04636f6c6c12161a060a026b3010011a0c0a026b311a06736563726574'));
SELECT fabric.decode_message('common.SignaturePolicyEnvelope', '\x120c120a080212020800120208011a0d120b0a074f7267314d535010031a0d120b0a074f7267324d53501003');
-- 64-bit numbers are text in JSON, as Go writes them
SELECT fabric.decode_message('common.BlockHeader', '\x08ffffffffffffffffff01');
-- bytes that cannot be decoded inside of a message are shown as bytes
SELECT fabric.decode_message('common.Envelope', pg_temp.field(1, '\xff'));
-- bytes that are not a message, or a message of another type
SELECT fabric.decode_message('common.Envelope', '\x0a');
SELECT fabric.decode_message('common.Nothing', '');
SELECT fabric.decode_message('', '');
SELECT fabric.decode_message('common.block', '');

--
-- hashes and ids
--
SELECT number, encode(fabric.block_header_hash(number, decode(repeat('11', 32), 'hex'),
	decode(repeat('22', 32), 'hex')), 'hex') = hash AS right_hash
FROM (VALUES (0, 'e9499908dd9bee5c08cb5ce778e7a913f0b4ade2be6ab5270cdcc242f2438588'), (1, '2a44e23703a89329b8e1050c1fc8855c2b2e1fd990091e145a5cada75d513896'),
	(127, '1e50be891d2475affbe8b2292d2f771d4ea0b0e853d52d0b341336d81fd27424'), (128, '21255970fce2d8bd67c1b022cb7528f12d311fec7fc8ba34f5414d3983808260'),
	(255, '0d69ddada34e9bb302ac09891b2bd3fd5f05763a8a364f2415e8b87a937e7e37'), (256, '102f5fcde227f2fd991cf9af0ffa571244bf6cd2aee8d14fb8ff40a0a0d44e7c')) AS v (number, hash);
SELECT encode(fabric.block_header_hash(0, '', decode(repeat('22', 32), 'hex')), 'hex') AS first_block;
-- each real block has the hash of the block before it
SELECT b.number, fabric.block_header_hash(p.number,
	decode(coalesce(p.configtxlator #>> '{header,previous_hash}', ''), 'base64'), decode(p.configtxlator #>> '{header,data_hash}', 'base64')) =
	decode(b.configtxlator #>> '{header,previous_hash}', 'base64') AS linked
FROM block b JOIN block p ON p.number = b.number - 1 ORDER BY b.number;
SELECT fabric.block_header_hash(1, '', decode(repeat('22', 32), 'hex'));
SELECT fabric.block_header_hash(1, decode(repeat('11', 32), 'hex'), '\x22');
SELECT fabric.block_header_hash(-1, '', '');

SELECT fabric.compute_tx_id(decode('000102030405060708090a0b0c0d0e0f1011121314151617', 'hex'), 'creator');
SELECT fabric.compute_tx_id('', '');
-- the ids of all real transactions
SELECT count(*) AS transactions,
	count(*) FILTER (WHERE fabric.compute_tx_id(decode(h #>> '{signature_header,nonce}', 'base64'),
	fabric.identity_bytes(h #>> '{signature_header,creator,mspid}',
	convert_from(decode(h #>> '{signature_header,creator,id_bytes}', 'base64'), 'UTF8'))) = h #>> '{channel_header,tx_id}') AS right_ids
FROM block, jsonb_array_elements(configtxlator #> '{data,data}') t,
	jsonb_extract_path(t, 'payload', 'header') h WHERE number > 0;
SELECT fabric.identity_info(fabric.identity_bytes(h #>> '{signature_header,creator,mspid}',
	convert_from(decode(h #>> '{signature_header,creator,id_bytes}', 'base64'), 'UTF8'))) - '{serial,identity_id,client_id}'::text[]
FROM block, jsonb_extract_path(configtxlator, 'data', 'data', '0', 'payload', 'header') h WHERE number = 9;

--
-- functions under the views
--
SELECT v, fabric.bytes_to_json(convert_to(v, 'UTF8')) AS json,
	fabric.bytes_to_text(convert_to(v, 'UTF8')) AS text
	FROM (VALUES ('{"b": 1, "a": [1.10, 9007199254740993]}'), ('[]'), ('"s"'), ('null'), ('1e40'), (' 1 '), (''),
	('{'), ('{"a": 1} x'), ('1e1001'), ('1e-1001'), ('1e99999999999999999999'), ('"\u0000"'), ('"\ud800"'), ('ä€😀'), ('true'), ('NaN')) AS w (v);
SELECT v, fabric.bytes_to_json(v) AS json, fabric.bytes_to_text(v) AS text
	FROM (VALUES ('\xff'::bytea), ('\x00'), ('\x610062'), ('\xeda080'), ('\xc080'), ('\xf4908080')) AS w (v);
SELECT fabric.bytes_to_json(convert_to(repeat('[', n) || repeat(']', n), 'UTF8')) IS NULL AS too_deep
	FROM unnest(ARRAY[500, 501, 100000]) n;
SELECT fabric.bytes_to_json(convert_to(repeat('9', n), 'UTF8')) IS NULL AS too_long
	FROM unnest(ARRAY[1000, 1001, 1000000]) n;
-- a value that jsonb could not hold
SELECT fabric.bytes_to_json(convert_to('[' || repeat('[1,1],', 5600000) || '1]', 'UTF8')) IS NULL AS too_large;
SELECT fabric.bytes_to_json(NULL) AS json, fabric.bytes_to_text(NULL) AS text,
	fabric.key_to_text(NULL) AS key;
SELECT k, fabric.key_to_text(k)
	FROM (VALUES ('asset1'::bytea), ('\x00636f6c6f7200626c756500'), ('\x00f48fbfbf696e697469616c697a6564'), (''), ('\xff00'), (sha256('pk'))) AS w (k);

-- a transaction id is stored as 32 bytes, or as a zero byte and the client's text
SELECT t, fabric_internal.tx_id_text(t)
	FROM (VALUES ('\x151635d156b87fcdd972bf6d45d83eb75864e6b9caff423a784c5c4e58051968'::bytea), ('\x006e6f206964'), ('\x00'), ('\x00ff'), (''), ('\x01'), (NULL)) AS w (t);
SELECT code, fabric_internal.validation_code_name(code::smallint) FROM generate_series(-1, 28) code
	UNION ALL
SELECT code, fabric_internal.validation_code_name(code::smallint)
	FROM unnest(ARRAY[NULL, 253, 254, 255, 256, -32768, 32767]) code;
SELECT number, fabric_internal.block_signers(decode(configtxlator #>> '{metadata,metadata,0}', 'base64'))
	FROM block WHERE number IN (0, 9) ORDER BY number;
SELECT v, fabric_internal.block_signers(v)
	FROM (VALUES (''::bytea), ('\xff'), (NULL), ('\x1204120212ff'), ('\x12020a00')) AS w (v);
SELECT fabric_internal.key_policy(pg_temp.field(2, pg_temp.field(1, 'VALIDATION_PARAMETER')
	|| pg_temp.field(2, fabric.state_policy('peer', 'Org1MSP', 'Org2MSP')))) AS policy;
SELECT v, fabric_internal.key_policy(v)
	FROM (VALUES (''::bytea), ('\xff'), (NULL),
	(pg_temp.field(2, pg_temp.field(1, 'OTHER') || pg_temp.field(2, 'x'))),
	(pg_temp.field(2, pg_temp.field(1, 'VALIDATION_PARAMETER') || pg_temp.field(2, '\xff')))) AS w (v);
