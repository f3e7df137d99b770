-- verify_block finds nothing in real blocks, and names every change
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\pset null '(null)'
\getenv srcdir PG_ABS_SRCDIR

CREATE TEMP TABLE block AS
	SELECT n AS number, pg_read_binary_file(:'srcdir' || '/test/vectors/blocks/' || n || '.block') AS bytes
		FROM unnest(ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15]) AS n;
CREATE TEMP TABLE orderer_block AS
	SELECT n AS number, pg_read_binary_file(:'srcdir' || '/test/vectors/orderer-blocks/' || n
		|| '.block') AS bytes FROM unnest(ARRAY[0, 5, 15]) AS n;
CREATE FUNCTION pg_temp.block(n int) RETURNS bytea LANGUAGE sql AS $$ SELECT bytes FROM pg_temp.block
	WHERE number = n $$;
-- parts of a message: a varint, and a field with its tag and length
CREATE FUNCTION pg_temp.varint(n int) RETURNS bytea LANGUAGE sql AS $$
	SELECT CASE WHEN n < 128 THEN set_byte('\x00', 0, n) ELSE set_byte('\x00', 0, 128 + n % 128)
		|| pg_temp.varint(n / 128) END
$$;
CREATE FUNCTION pg_temp.field(number int, content bytea) RETURNS bytea
	LANGUAGE sql AS $$ SELECT pg_temp.varint(number * 8 + 2) || pg_temp.varint(length(content))
	|| content $$;

--
-- real blocks: by themselves, with the configuration, with the block before
--
SELECT number, (SELECT count(*) FROM fabric.verify_block(bytes)) AS alone, (SELECT count(*)
	FROM fabric.verify_block(bytes, pg_temp.block(0))) AS with_configuration,
	(SELECT count(*) FROM fabric.verify_block(bytes, pg_temp.block(0), pg_temp.block(number - 1))
		WHERE number IN (1, 2, 3, 4, 5, 6, 7, 8, 9)) AS with_block_before
FROM block ORDER BY number;
-- blocks as an orderer delivers them
SELECT number, (SELECT count(*) FROM fabric.verify_block(bytes)) AS alone, (SELECT count(*)
	FROM fabric.verify_block(bytes, pg_temp.block(0))) AS with_configuration
FROM orderer_block ORDER BY number;

--
-- blocks of another chain
--
SELECT * FROM fabric.verify_block(pg_temp.block(9), NULL, pg_temp.block(7));
SELECT * FROM fabric.verify_block(pg_temp.block(0), NULL, pg_temp.block(0));
SELECT * FROM fabric.verify_block(pg_temp.block(1), NULL, pg_temp.block(1));

--
-- changed blocks: one bit in each part of block 9, which has ten transactions, and the problems
-- that result
--
CREATE TEMP TABLE part (number int, part text, place int);
WITH b AS (SELECT bytes, length(bytes) AS size, j, jsonb_extract_path(j, 'data', 'data', '3') AS t,
	decode(j #>> '{metadata,metadata,0}', 'base64') AS slot
		   FROM block, fabric.decode_block(bytes) j WHERE number = 9)
INSERT INTO part
	SELECT 1, 'number', 4 FROM b UNION ALL
	SELECT 2, 'previous hash', position(decode(j #>> '{header,previous_hash}', 'base64') IN bytes) FROM b UNION ALL
	SELECT 3, 'data hash', position(decode(j #>> '{header,data_hash}', 'base64') IN bytes) FROM b UNION ALL
	SELECT 4, 'transaction 3: nonce', position(decode(t #>> '{payload,header,signature_header,nonce}', 'base64') IN bytes) FROM b UNION ALL
	SELECT 5, 'transaction 3: id', position(convert_to(t #>> '{payload,header,channel_header,tx_id}', 'UTF8') IN bytes) FROM b UNION ALL
	SELECT 6, 'transaction 3: client''s signature', position(decode(t #>> '{signature}', 'base64') IN bytes) + 20 FROM b UNION ALL
	SELECT 7, 'transaction 3: endorser''s signature', position(decode(t #>> '{payload,data,actions,0,payload,action,endorsements,1,signature}', 'base64') IN bytes) + 20 FROM b UNION ALL
	SELECT 8, 'transaction 3: argument',
		position(decode(t #>> '{payload,data,actions,0,payload,chaincode_proposal_payload,input,chaincode_spec,input,args,1}', 'base64') IN bytes) FROM b UNION ALL
	SELECT 9, 'orderer''s signature', position(slot IN bytes) + length(slot) - 20 FROM b UNION ALL
	-- at the end: ten codes, the empty slot 3, the commit hash
	SELECT 10, 'validation code of transaction 9', size - 38 FROM b UNION ALL
	SELECT 11, 'commit hash', size FROM b;
CREATE FUNCTION pg_temp.flip(bytes bytea, place int) RETURNS bytea
	LANGUAGE sql AS $$ SELECT set_byte(bytes, place - 1, get_byte(bytes, place - 1) # 1) $$;
-- the block by itself
SELECT part, v.* FROM part LEFT JOIN
	LATERAL fabric.verify_block(pg_temp.flip(pg_temp.block(9), place)) v ON true
	ORDER BY number, tx_number NULLS FIRST, problem;
-- an invalid endorsement is a problem only if no other one is valid
SELECT v.tx_number, v.problem, v.detail
FROM block, fabric.decode_block(bytes) j,
	LATERAL (SELECT j #> '{data,data,3,payload,data,actions,0,payload,action,endorsements}' AS e) e,
	LATERAL fabric.verify_block(pg_temp.flip(pg_temp.flip(bytes,
		position(decode(e #>> '{0,signature}', 'base64') IN bytes) + 20),
			position(decode(e #>> '{1,signature}', 'base64') IN bytes) + 20)) v
WHERE number = 9 AND v.problem = 'endorser_signature';
-- with the configuration and the block before, no bit can be changed without a problem
SELECT part, string_agg(coalesce(tx_number || ' ', '') || problem, ', '
	ORDER BY tx_number NULLS FIRST, problem) AS problems
FROM part LEFT JOIN LATERAL fabric.verify_block(pg_temp.flip(pg_temp.block(9), place),
	pg_temp.block(0), pg_temp.block(8)) v ON true GROUP BY number, part ORDER BY number;

--
-- a consistent forgery: all transactions but one are removed, and hash and codes are adapted
--
CREATE TEMP TABLE forged AS
	SELECT pg_temp.field(1, '\x0809' || pg_temp.field(2, decode(j #>> '{header,previous_hash}', 'base64'))
		|| pg_temp.field(3, sha256(data))) ||
		pg_temp.field(2, pg_temp.field(1, data))
			|| pg_temp.field(3, pg_temp.field(1, decode(j #>> '{metadata,metadata,0}', 'base64')) || '\x0a000a01000a000a00') AS bytes
	FROM block, fabric.decode_block(bytes) j,
		-- the first envelope: after the header, tag and length of the data, and its own tag and
		-- length
		substr(bytes, 2 + get_byte(bytes, 1) + 4 + 3 + 1, 4029) AS data WHERE number = 9;
SELECT v.* FROM forged, fabric.verify_block(bytes, pg_temp.block(0), pg_temp.block(8)) v;

--
-- bytes that are not a block
--
SELECT * FROM fabric.verify_block('');
SELECT * FROM fabric.verify_block('\xff');
SELECT * FROM fabric.verify_block('no block');
SELECT * FROM fabric.verify_block(substr(pg_temp.block(9), 1, 20000));
SELECT * FROM fabric.verify_block(pg_temp.block(9) || '\x00');
SELECT problem, detail FROM fabric.verify_block(pg_temp.block(9) || pg_temp.field(99, 'x'));
SELECT problem, detail FROM fabric.verify_block(decode(repeat('00', 101 * 1024 * 1024), 'hex'));
-- arguments that are not a configuration block, and not the block before
SELECT * FROM fabric.verify_block(pg_temp.block(9), pg_temp.block(8));
SELECT * FROM fabric.verify_block(pg_temp.block(9), '');
SELECT * FROM fabric.verify_block(pg_temp.block(9), '\xff');
SELECT * FROM fabric.verify_block(pg_temp.block(9), NULL, '');
SELECT * FROM fabric.verify_block(pg_temp.block(9), NULL, '\xff');
SELECT * FROM fabric.verify_block(NULL);
