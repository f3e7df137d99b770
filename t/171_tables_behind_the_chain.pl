# Damage that no reader of a ledger sees, but that changes results: rows that an index lacks, rows
# that share a key, triggers, indexes and constraints of the catalogs, private plaintext, packages
# and their functions, envelope dictionaries. verify_chain names each with its repair, and finds
# nothing after the repair.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle invoke fingerprints height_of wait_until);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
$org1->query(join(";\n", map { create_vehicle("V$_") } 1 .. 5));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $id = $org2->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");

sub problems
{
	return $org2->query("SELECT concat_ws(' ', problem, detail) FROM fabric.verify_chain('trade')");
}

sub falsify
{
	my ($sql) = @_;

	$org2->query(
		"BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL allow_system_table_mods = on; $sql; COMMIT"
	);
}

is(problems(), '', 'verify_chain finds nothing at first');

# ---- rows in the table that the index lacks ----

# insert rows while the catalogs say that the table has no index
sub hidden
{
	my ($table, $sql) = @_;
	my $indexes =
	  "UPDATE pg_index SET indisready = %s, indislive = %s WHERE indrelid = 'fabric_internal.${table}_$id'::regclass";

	falsify(
		sprintf($indexes, 'false', 'false')
		  . "; UPDATE pg_class SET relhasindex = false WHERE oid = 'fabric_internal.${table}_$id'::regclass"
	);
	falsify($sql);
	falsify(
		"UPDATE pg_class SET relhasindex = true WHERE oid = 'fabric_internal.${table}_$id'::regclass; "
		  . sprintf($indexes, 'true', 'true'));
}

foreach my $case (
	[
		'a key of the world state',
		'world_state',
		"INSERT INTO fabric_internal.world_state_$id SELECT channel, namespace, 'V99', value, metadata, block_number, position FROM fabric_internal.world_state_$id WHERE namespace = 'vehicles' AND key = 'V1'",
		qr/^index The row namespace "vehicles", key "V99" of table "world_state_$id" is in the table, but not in its index.*repair_tables/m
	],
	[
		'a second value of a key',
		'world_state',
		"INSERT INTO fabric_internal.world_state_$id SELECT channel, namespace, key, '{}', metadata, block_number, position FROM fabric_internal.world_state_$id WHERE namespace = 'vehicles' AND key = 'V1'",
		qr/^index The row namespace "vehicles", key "V1" of table "world_state_$id" is in the table, but the index returns another row/m
	],
	[
		'a write of the history',
		'history',
		"INSERT INTO fabric_internal.history_$id SELECT channel, namespace, 'V99', block_number, position, value FROM fabric_internal.history_$id WHERE namespace = 'vehicles' AND key = 'V1'",
		qr/^index The row namespace "vehicles", key "V99", block_number \d+, position 0 of table "history_$id" is in the table, but not in its index/m
	],
	[
		'a transaction',
		'transaction',
		"INSERT INTO fabric_internal.transaction_$id SELECT channel, block_number, 7, type, validation_code, tx_id, creator_msp, chaincode, created_at, envelope FROM fabric_internal.transaction_$id WHERE block_number = 2",
		qr/^index The row block_number 2, position 7 of table "transaction_$id" is in the table, but not in its index/m
	],
	[
		'a second transaction',
		'transaction',
		"INSERT INTO fabric_internal.transaction_$id SELECT channel, block_number, position, type, 11, tx_id, creator_msp, chaincode, created_at, envelope FROM fabric_internal.transaction_$id WHERE block_number = 2",
		qr/^index The row block_number 2, position 0 of table "transaction_$id" is in the table, but the index returns another row/m
	])
{
	my ($name, $table, $sql, $pattern) = @$case;

	hidden($table, $sql);
	like(problems(), $pattern, "$name behind the index: verify_chain finds and names it");
	like($org2->error_of("SELECT fabric.state_digest('trade')"),
		qr/LF902.*repair_tables/s, 'state_digest fails, and the hint names the repair')
	  if $table eq 'world_state';
	is($org2->query("SELECT count(*) FROM fabric.repair_tables('trade')"),
		0, 'repair_tables removes no row');
	$org2->query("SELECT * FROM fabric.repair_chain('trade')");
	is(problems(), '', "$name: repair_chain repairs it");
}

# ---- catalogs ----

foreach my $case (
	[
		'a disabled trigger',
		"ALTER TABLE fabric_internal.block_$id DISABLE TRIGGER refuse_change",
		qr/^catalog Trigger "refuse_change" of table "block_$id" is disabled\. fabric\.repair_tables/m,
		''
	],
	[
		'a missing trigger',
		"DROP TRIGGER refuse_truncate ON fabric_internal.history_$id",
		qr/^catalog Trigger "refuse_truncate" of table "history_$id" is missing/m, ''
	],
	[
		'another trigger',
		"CREATE TRIGGER mine BEFORE INSERT ON fabric_internal.world_state_$id FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		qr/^catalog Trigger "mine" of table "world_state_$id" is not of the extension/m,
		"DROP TRIGGER mine ON fabric_internal.world_state_$id"
	],
	[
		'an index that is not valid',
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'fabric_internal.history_${id}_key'::regclass",
		qr/^catalog Index "history_${id}_key" is not valid/m,
		''
	],
	[
		'another index',
		"DROP INDEX fabric_internal.transaction_${id}_tx_id; CREATE INDEX transaction_${id}_tx_id ON fabric_internal.transaction_$id (tx_id) WHERE tx_id > ''",
		qr/^catalog Index "transaction_${id}_tx_id" was changed/m,
		"DROP INDEX fabric_internal.transaction_${id}_tx_id"
	],
	[
		'a column that may be null',
		"ALTER TABLE fabric_internal.world_state_$id ALTER value DROP NOT NULL",
		undef, ''
	],
	[
		'a constraint',
		"ALTER TABLE fabric_internal.world_state_$id ADD CONSTRAINT mine CHECK (key <> 'V77')",
		qr/^catalog Constraint "mine" of table "world_state_$id" is not of the extension/m,
		"ALTER TABLE fabric_internal.world_state_$id DROP CONSTRAINT mine"
	],
	[
		'row security',
		"ALTER TABLE fabric_internal.world_state_$id ENABLE ROW LEVEL SECURITY",
		qr/^catalog Table "world_state_$id" is not an ordinary table: row-level security/m,
		"ALTER TABLE fabric_internal.world_state_$id DISABLE ROW LEVEL SECURITY"
	],
	[
		'a partition that is not attached',
		"ALTER TABLE fabric_internal.private_state DETACH PARTITION fabric_internal.private_state_$id",
		qr/^catalog Table "private_state_$id" is not the partition/m,
		"ALTER TABLE fabric_internal.private_state ATTACH PARTITION fabric_internal.private_state_$id FOR VALUES IN ('trade')"
	])
{
	my ($name, $sql, $pattern, $undo) = @$case;

	next unless defined $pattern;
	falsify($sql);
	like(problems(), $pattern, "$name: verify_chain finds and names it");
	falsify($undo) if $undo ne '';
	$org2->query("SELECT * FROM fabric.repair_tables('trade')");
	is(problems(), '', "$name: repair_tables repairs it");
}
falsify("DROP INDEX fabric_internal.world_state_${id}_key");
like(
	$org2->error_of("SELECT * FROM fabric.verify_chain('trade')"),
	qr/LF902.*lacks tables or indexes.*repair_tables/s,
	'the error about a missing index names the repair');
$org2->query("SELECT * FROM fabric.repair_tables('trade')");
is(problems(), '', 'repair_tables rebuilds a missing index');
like($org2->error_of("SELECT * FROM fabric.repair_tables('nowhere')"),
	qr/LF401/, 'repair_tables fails for a channel that is not joined');

# ---- private plaintext ----

my $kept = $org2->query("SELECT count(*) FROM fabric_internal.private_state_$id");
cmp_ok($kept, '>', 0, 'the node has the plaintext of its approval');
falsify(
	"CREATE TABLE public.kept AS SELECT * FROM fabric_internal.private_state_$id; DELETE FROM fabric_internal.private_state_$id"
);
like(
	problems(),
	qr/^private_state The plaintext of the key with hash "\\x[0-9a-f]{64}" of "_lifecycle\$\$h_implicit_org_Org2MSP" is missing/m,
	'verify_chain finds plaintext that was removed');
falsify("INSERT INTO fabric_internal.private_state_$id SELECT * FROM public.kept");
is(problems(), '', 'verify_chain finds nothing after the plaintext is restored');

# ---- packages ----

my $schema = $org2->query('SELECT schema_name FROM fabric_internal.chaincode_package');
foreach my $case (
	[
		'a changed body',
		"UPDATE pg_proc SET prosrc = replace(prosrc, 'price', 'prize') WHERE pronamespace = '$schema'::regnamespace AND proname = 'create_vehicle'",
		qr/^package Package ".*": function create_vehicle\(.*\) of schema "$schema" differs from the package/m
	],
	[
		'a changed attribute',
		"UPDATE pg_proc SET prosecdef = true WHERE pronamespace = '$schema'::regnamespace AND proname = 'create_vehicle'",
		qr/function create_vehicle\(.*\) of schema "$schema" differs from/m
	],
	[
		'another owner',
		"UPDATE pg_proc SET proowner = 10 WHERE pronamespace = '$schema'::regnamespace AND proname = 'create_vehicle'",
		qr/function create_vehicle\(.*\) of schema "$schema" differs from/m
	],
	[
		'rights for everybody',
		"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO PUBLIC",
		qr/function create_vehicle\(.*\) of schema "$schema" differs from/m
	],
	[
		'rights on the schema',
		"GRANT USAGE ON SCHEMA $schema TO PUBLIC",
		qr/: schema of schema "$schema" differs from/m
	],
	[
		'a missing function',
		"DELETE FROM pg_proc WHERE pronamespace = '$schema'::regnamespace AND proname = 'create_vehicle'",
		qr/function create_vehicle\(.*\) of schema "$schema" is missing/m
	],
	[
		'a function more',
		"CREATE FUNCTION $schema.another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		qr/function another\(\) of schema "$schema" is not in the package/m
	],
	[
		'a table',
		"CREATE TABLE $schema.memory (x int)",
		qr/table .*memory of schema "$schema" is not in the package/m
	],
	[
		'other bytes',
		"UPDATE fabric_internal.chaincode_package SET bytes = set_byte(bytes, 40, get_byte(bytes, 40) # 1)",
		qr/: its stored bytes are not those of its hash/m
	])
{
	my ($name, $sql, $pattern) = @$case;

	is( $org2->query(
			"BEGIN; SET LOCAL allow_system_table_mods = on; $sql;\nSELECT string_agg(concat_ws(' ', problem, detail), E'\\n') FROM fabric.verify_chain('trade'); ROLLBACK"
		) =~ $pattern ? 'found' : 'missed',
		'found',
		"$name: verify_chain finds and names it");
}
is(problems(), '', 'verify_chain finds nothing after each change is rolled back');
is($org2->query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%aside'"),
	0, 'the comparison of packages leaves no schema behind');
# as the hint says
my $package = $org2->query('SELECT bytes FROM fabric_internal.chaincode_package');
$org2->query("DROP SCHEMA $schema CASCADE");
like(
	problems(),
	qr/^package Package ".*": its schema "$schema" is missing/m,
	'verify_chain finds a dropped schema');
$org2->query("SELECT fabric.install_chaincode(" . literal($package) . ')');
is(problems(), '', 'verify_chain finds nothing after the package is installed again');

# ---- caches are invalidated ----

# The worker and a session have cached the dictionary; then its row gets another content, and the
# true one again
$org1->query(join(";\n", map { create_vehicle("W$_") } 1 .. 80));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is($org2->query("SELECT count(*) FROM fabric_internal.envelope_dictionary"),
	1, 'the node has one dictionary');
my $true = $org2->query('SELECT content FROM fabric_internal.envelope_dictionary');
my $other =
  "UPDATE fabric_internal.envelope_dictionary SET content = overlay(content PLACING decode(repeat('55', 200), 'hex') FROM 1), digest = sha256(overlay(content PLACING decode(repeat('55', 200), 'hex') FROM 1))";
falsify("$other");
$org1->query(create_vehicle('X1'));
is(scalar(fingerprints($network, 'trade')),
	1, 'a block is committed while the node has another dictionary');
my $with_other = height_of($org2, 'trade') - 1;
falsify('UPDATE fabric_internal.envelope_dictionary SET content = '
	  . literal($true)
	  . ', digest = sha256('
	  . literal($true)
	  . ')');
my $before = $with_other + 1;
$org1->query(join(";\n", map { create_vehicle("X$_") } 2 .. 4));
is(scalar(fingerprints($network, 'trade')), 1, 'blocks arrive after the dictionary was repaired');
is( $org2->query(
		"SELECT bool_and(length(envelope) > 0) FROM fabric.transactions WHERE channel = 'trade' AND block_number >= $before"
	),
	't',
	'a new session can read the rows that the worker writes');
unlike(problems(), qr/dictionary/, 'verify_chain reports no dictionary');
$org2->query("SELECT * FROM fabric.repair_chain('trade')");
is(problems(), '', 'repair_chain repairs the transactions stored with the other dictionary');
# a dictionary that does not match its hash is removed, and the blocks that need it come from the
# other node
falsify("UPDATE fabric_internal.envelope_dictionary SET content = content || '\\x00'");
like(
	problems(),
	qr/^dictionary Envelope dictionary 1 was changed\. fabric\.repair_tables/m,
	'verify_chain finds and names a changed dictionary');
$org2->query("SELECT * FROM fabric.repair_tables('trade')");
cmp_ok($org2->query("SELECT count(*) FROM fabric.repair_chain('trade')"),
	'>', 0, 'repair_chain fetches the transactions stored with the removed dictionary');
is(problems(), '', 'verify_chain finds nothing after the repair');

$org2->query(create_vehicle('Y1'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
