# Without shared_preload_libraries all functions that need no worker work, and the others say what
# to do.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network invoke create_vehicle deploy_registry wait_until);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(orgs => 1, orderers => 1, channel => 'trade');
my ($node) = $network->nodes;
deploy_registry($network);
$node->query(create_vehicle('V1'));
my $block = $node->query(
	"SELECT encode(block_hash, 'hex') FROM fabric_internal.block WHERE channel = 'trade' ORDER BY number DESC LIMIT 1"
);
$node->stop;
$node->start('-c shared_preload_libraries=');

# pure functions
like(
	$node->query(
		q{SELECT (fabric.package_info(fabric.package_chaincode('label_1', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'))).package_id}
	),
	qr/^label_1:[0-9a-f]{64}$/,
	'package_chaincode works without workers');
is( $node->query(
		"SELECT fabric.policy_satisfied('AND(''Org1MSP.peer'', ''Org2MSP.peer'')', ARRAY['Org1MSP.peer', 'Org2MSP.peer'])"
	),
	't',
	'policy_satisfied works without workers');
is( $node->query("SELECT fabric.compute_tx_id('\\x01', '\\x02')"),
	'a12871fee210fb8619291eaea194581cbd2531e4b23759d225f6806923f63222',
	'compute_tx_id works without workers');

# the ledger can be read, and chaincode can be queried
is( $node->query(
		"SELECT encode(block_hash, 'hex') FROM fabric_internal.block WHERE channel = 'trade' ORDER BY number DESC LIMIT 1"
	),
	$block,
	"the ledger's tables can be read without workers");
like($node->query("SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V1')"),
	qr/Volvo/, 'a query works without workers');

# functions that need the workers say so
foreach my $call (
	create_vehicle('V2'),
	"SELECT fabric.transfer_leadership('trade')",
	"SELECT fabric.join_channel('\\x00')",
	"SELECT count(*) FROM fabric.stat_orderer",
	"SELECT count(*) FROM fabric.stat_workers")
{
	my $error = $node->error_of($call);

	like(
		$error,
		qr/LF004.*HINT:.*shared_preload_libraries/s,
		($call =~ /fabric\.(\w+)/)[0] . ' fails with a code of its own and a hint');
}

# preloaded again, it continues
$node->stop;
$node->start;
ok( wait_until(
		sub {
			$node->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fabric %'")
			  == 4;
		}),
	'launcher, relay, orderer and ledger run after preloading');
$node->query(create_vehicle('V2'));
is(FabricTest::vehicles_of($node), 2, 'transactions are committed after preloading');

# Another database of the instance has no node, and no call there reaches the processes of this one.
$node->query('CREATE DATABASE other TEMPLATE template0');
$node->query('CREATE EXTENSION fabric CASCADE', database => 'other');
my $genesis = $node->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");
like(
	$node->error_of($_, database => 'other'),
	qr/LF004: database "other" is not the one in which this node works\nHINT:  Connect to database "fabric"/,
	'another database is told to be one: ' . ($_ =~ /fabric\.(\w+)/)[0])
  foreach "SELECT fabric.join_channel('\\x$genesis')",
  "SELECT fabric.transfer_leadership('trade')", 'SELECT * FROM fabric.stat_workers';
is($node->query("SELECT count(*) FROM fabric.channels", database => 'other'),
	0, 'another database has no channels');
is( $node->query(
		"SELECT fabric.policy_text(fabric.policy_compile('OR(''A.peer'')'))",
		database => 'other'),
	"OR('A.peer')",
	'functions that need no node work in another database');
$node->query(create_vehicle('V3'));

# the database of a node cannot be dropped or copied while the workers use it
like(
	$node->error_of('DROP DATABASE fabric', database => 'postgres'),
	qr/channel "trade" is joined in it/,
	'the database of a node with channels cannot be dropped');
like(
	$node->error_of('CREATE DATABASE copy TEMPLATE fabric', database => 'postgres'),
	qr/being accessed by other users/,
	'the database of a node cannot be copied');

# the extension is dropped with its channels only with CASCADE, and is created again without
# channels
like(
	$node->error_of('DROP EXTENSION fabric'),
	qr/2BP01: cannot drop extension fabric because channel "trade" is joined\nDETAIL:.*\nHINT:.*leave_channel/s,
	'the extension cannot be dropped while a channel is joined');
$node->query('SET fabric.allow_drop_extension = on; DROP EXTENSION fabric');
ok( wait_until(
		sub {
			$node->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fabric %'")
			  == 2;
		}),
	'only launcher and relay run without the extension');
$node->query('CREATE EXTENSION fabric');
is($node->query('SELECT count(*) FROM fabric.channels'),
	0, 'the extension has no channels after it is created again');
is($node->query("SELECT fabric.join_channel('\\x$genesis')"),
	'trade', 'a channel can be joined after the extension is created again');
ok( wait_until(
		sub {
			$node->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fabric %'")
			  == 4;
		}),
	'the processes of the channel run after the extension is created again');

# a database with another encoding
$node->query(
	"CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
like(
	$node->error_of('CREATE EXTENSION fabric CASCADE', database => 'latin'),
	qr/fabric needs a database with encoding UTF8\nHINT/,
	'a database with another encoding is refused');
done_testing();
