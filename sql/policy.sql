-- signature policies without a network: text to bytes and back, and which signatures satisfy them
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\pset null '(null)'

-- the bytes that Fabric's own compiler writes
SELECT policy, encode(fabric.policy_compile(policy), 'hex') = bytes AS same_bytes,
	fabric.policy_text(decode(bytes, 'hex')) AS text,
	fabric.policy_compile(fabric.policy_text(decode(bytes, 'hex'))) = decode(bytes, 'hex') AS same_again
FROM (VALUES ('OR(''Org1MSP.member'')', '120812060801120208001a0b12090a074f7267314d5350'),
	('AND(''Org1MSP.peer'',''Org2MSP.peer'')', '120c120a080212020800120208011a0d120b0a074f7267314d535010031a0d120b0a074f7267324d53501003'),
	('OutOf(2,''Org1MSP.member'',''Org2MSP.member'',''Org3MSP.admin'')', '1210120e08021202080012020801120208021a0b12090a074f7267314d53501a0b12090a074f7267324d53501a0d120b0a074f7267334d53501001'),
	('OR(''A.member'',AND(''A.member'',''B.member''))', '12161214080112020802120c120a080212020800120208011a0512030a01411a0512030a01421a0512030a0141')) AS v (policy, bytes);
SELECT fabric.policy_text(fabric.policy_compile(policy)) AS text FROM (VALUES ('or(''Org1MSP.peer'', and("Org2MSP.client", ''Org3MSP.orderer''))'), ('outof(2, ''A.peer'', ''B.peer'', OR(''C.peer'', ''D.peer''))'),
	('  AND (  ''A-b.c.peer'' )  ')) AS v (policy);
-- a policy in the form that a key's metadata holds
SELECT fabric.policy_text(fabric.state_policy('peer', 'Org2MSP', 'Org1MSP')),
	fabric.policy_text(fabric.state_policy('member', 'Org1MSP'));

SET client_min_messages = warning;
-- signatures are used in their order, one signature for one principal, as in Fabric
SELECT policy, principals, fabric.policy_satisfied(policy, principals),
	fabric.policy_satisfied(fabric.policy_compile(policy), principals) = expected AND
	fabric.policy_satisfied(policy, principals) = expected AS as_fabric
FROM (VALUES ('AND(OR(''A.member'',''B.member''),''A.member'')', '{A.peer,B.peer}'::text[], false),
	('AND(''A.member'',OR(''A.member'',''B.member''))', '{A.peer,B.peer}', true),
	('AND(''A.member'',''A.admin'')', '{A.admin,A.peer}', false),
	('AND(''A.member'',''A.admin'')', '{A.peer,A.admin}', true),
	('AND(''A.admin'',''A.member'')', '{A.peer,A.admin}', true),
	('AND(OutOf(1,''A.member'',''B.member''),''B.member'')', '{A.member,B.member}', false),
	('AND(''B.member'',OutOf(1,''A.member'',''B.member''))', '{A.member,B.member}', true),
	('OutOf(2,''A.member'',''A.member'')', '{A.peer}', false),
	('OutOf(2,''A.member'',''A.member'')', '{A.peer,A.admin}', true),
	('OutOf(2,AND(''A.member'',''B.member''),AND(''A.member'',''C.member''))', '{A.peer,B.peer,C.peer}', false),
	('OutOf(2,AND(''A.member'',''B.member''),AND(''A.member'',''C.member''))', '{A.peer,A.client,B.peer,C.peer}', true),
	('OutOf(0,''A.member'')', '{}', true),
	('OutOf(3,''A.member'',''B.member'')', '{A.peer,B.peer}', false),
	('OR(''A.peer'')', '{}', false),
	('OR(''A.peer'')', '{A.client}', false),
	('OR(''A.member'')', '{a.member}', false),
	('OR(''A.peer'')', '{B.peer,C.peer,A.peer}', true)) AS v (policy, principals, expected);

RESET client_min_messages;
-- texts that Fabric accepts although they can never, or always, be satisfied
SELECT fabric.policy_text(fabric.policy_compile('OutOf(3, ''A.member'', ''B.member'')'));
SELECT fabric.policy_text(fabric.policy_compile('OutOf(0, ''A.member'')'));

-- texts that are not a policy
SELECT fabric.policy_compile('OutOf(4, ''A.member'', ''B.member'')');
SELECT fabric.policy_compile('OutOf(-1, ''A.member'', ''B.member'')');
SELECT fabric.policy_compile('OR()');
SELECT fabric.policy_compile('''A.member''');
SELECT fabric.policy_compile('And(''A.MEMBER'')');
SELECT fabric.policy_compile('');
SELECT fabric.policy_compile('AND(''A.member''');
SELECT fabric.policy_compile('AND(''A.member'') x');
SELECT fabric.policy_compile('AND(A.member)');
SELECT fabric.policy_compile('AND(''A.president'')');
SELECT fabric.policy_compile('AND(''member'')');
SELECT fabric.policy_compile('XOR(''A.member'')');
SELECT fabric.policy_compile('OutOf(''A.member'', 1)');
SELECT fabric.policy_compile('OutOf(99999999999, ''A.member'')');
SELECT fabric.policy_compile(repeat('OR(', 25) || '''A.member''' || repeat(')', 25));
SELECT length(fabric.policy_compile(repeat('OR(', 20) || '''A.member''' || repeat(')', 20)));
SELECT fabric.policy_compile('OR(' || repeat('''A.member'', ', 5000) || '''A.member'')');
SELECT fabric.policy_compile(repeat(' ', 100000));
SELECT fabric.policy_text('');
SELECT fabric.policy_text('\xff');
-- a rule that refers to a principal that does not exist
SELECT fabric.policy_text('\x12020805');
SELECT fabric.policy_satisfied('\xff'::bytea, '{}');
SELECT fabric.policy_satisfied('\x12020805'::bytea, '{}');
SELECT fabric.policy_satisfied('OR(''A.peer'')', '{A}');
SELECT fabric.policy_satisfied('OR(''A.peer'')', '{""}');
SELECT fabric.policy_satisfied('OR(''A.peer'')', '{A.peer,A.president}');
SELECT fabric.policy_satisfied('OR(''A.peer'')', '{A.peer,NULL}');
SELECT fabric.policy_satisfied('OR(''A.peer'')', array_fill('A.client'::text, ARRAY[2000]));
