# A hot standby of a node answers queries, the node restarts after an immediate shutdown, and the
# standby takes its place.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_until vehicles_of
  height_of $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use JSON::PP     ();
use PostgreSQL::Test::Cluster;
use Test::More;

my $network =
  start_network(orgs => 3, orderers => 2, channel => 'trade', settings => "fsync = on\n");
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
$org1->query(create_vehicle('V1'));
fingerprints($network, 'trade');

# the standby belongs to the node that does not order
$org3->cluster->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($org3->cluster, 'base', has_streaming => 1);
$standby->start;

sub on_standby
{
	my ($sql) = @_;
	my ($output, $error);

	$standby->psql(
		'fabric', "\\set VERBOSITY verbose\n$sql",
		stdout => \$output,
		stderr => \$error);
	return $output . $error;
}

my $read = "SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V1')::jsonb ->> 'owner'";
is(on_standby($read), 'Ada Adler', 'the standby answers a query');
$org1->query(invoke('transfer_vehicle', 'V1', 'Boris', '7'));
fingerprints($network, 'trade');
ok(wait_until(sub { on_standby($read) eq 'Boris' }), 'the standby replays the changes of its node');
like(on_standby(create_vehicle('V2')),
	qr/25006|LF\d\d\d/, 'the standby refuses a call that would be ordered');
like(
	on_standby(create_vehicle('V2')),
	qr/standby|recovery|read-only/,
	'the error of the standby has the reason');
my $genesis =
  $org1->query("SELECT encode(fabric.create_channel('other', "
	  . Fabric::Psql::literal(JSON::PP->new->encode($network->profile))
	  . "), 'hex')");
like(on_standby("SELECT fabric.join_channel('\\x$genesis')"),
	qr/25006/, 'the standby refuses to join a channel');
like(on_standby("SELECT fabric.leave_channel('trade')"),
	qr/25006/, 'the standby refuses to leave a channel');
is(on_standby("SELECT name FROM fabric.chaincodes WHERE channel = 'trade'"),
	'vehicles', 'the views of the standby can be read');
is( on_standby(
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('fabric ledger', 'fabric orderer')"
	),
	0,
	'no worker runs on the standby');
is( on_standby("SELECT height FROM fabric.chain_info('trade')"),
	height_of($org1, 'trade'),
	'the standby has the height of its node');

# an immediate shutdown under load
my @sessions = map {
	my $node = $_;
	start_query($node->connection,
		join(";\n", map { create_vehicle("W-$node->{name}-$_") } 1 .. 20))
} $org1, $org2;
ok(wait_until(sub { vehicles_of($org1) > 4 }), 'calls are committed before the shutdown');
$org3->cluster->stop('immediate');
$org3->start;
foreach my $session (@sessions)
{
	my (undef, $error, $status) = finish_query($session);
	is($status, 0, 'calls at other nodes succeed') or diag($error);
}
is(scalar(fingerprints($network, 'trade')), 1, 'the node catches up after an immediate shutdown');
is(vehicles_of($org3), 41, 'the node has all vehicles');

# the node is lost, and its standby is promoted: it continues where replication ended
$org3->kill_hard;
$org1->query(create_vehicle('X1'));
$standby->promote;
ok( wait_until(
		sub {
			$standby->safe_psql('fabric',
				"SELECT count(*) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"
			) == 42;
		}),
	'the promoted standby gets the blocks that it lacks');
is($standby->safe_psql('fabric', create_vehicle('X2')),
	'', 'the promoted standby commits a transaction');
ok(wait_until(sub { vehicles_of($org1) == 43 }),
	'another node has the transaction of the promoted standby');
is( $standby->safe_psql(
		'fabric', "SELECT encode(current_block_hash, 'hex') FROM fabric.chain_info('trade')"),
	$org1->query("SELECT encode(current_block_hash, 'hex') FROM fabric.chain_info('trade')"),
	'the promoted standby has the same last block');
done_testing();
