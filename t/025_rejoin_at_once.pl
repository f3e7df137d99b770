# A node leaves a channel and joins it again in one transaction, while transactions are ordered: no
# state of its processes from before survives the leaving.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of $ANY_TWO);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 4, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
my $peer = $nodes[3];
deploy_registry($network, policy => $ANY_TWO);
my $leader = wait_for_leader($network, 'trade');
my ($follower) = grep { $_ != $leader } $network->orderers;
my $genesis = $leader->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");

sub processes
{
	my ($node) = @_;

	return $node->query(
		"SELECT string_agg(concat(kind, ' ', pid), ', ' ORDER BY kind) FROM fabric.stat_workers WHERE channel = 'trade'"
	);
}

sub rejoin
{
	my ($node) = @_;

	$node->query(
		"BEGIN; SELECT fabric.leave_channel('trade'); SELECT fabric.join_channel('\\x$genesis'); COMMIT"
	);
}

foreach my $round (1 .. 4)
{
	my $load =
	  start_query($leader->connection, join(";\n", map { create_vehicle("R$round-$_") } 1 .. 30));
	my $before = processes($peer);

	ok( wait_until(sub { vehicles_of($leader) > ($round - 1) * 30 }),
		"round $round: transactions are committed before the node leaves");
	rejoin($peer);
	my (undef, $error, $status) = finish_query($load);
	is($status, 0, "round $round: transactions are committed while the node leaves and joins")
	  or diag($error);
	ok(wait_until(sub { my $now = processes($peer); $now ne $before && $now =~ /^ledger \d+$/ }),
		'another process serves the new membership')
	  or diag(processes($peer));
	is(scalar(fingerprints($network, 'trade')), 1, 'the node has all blocks again');
	is( $peer->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fabric ledger'"),
		1, 'one ledger process runs');
}
is(vehicles_of($peer), 120, 'the node has all vehicles');

# An orderer that has lost its log in this way neither votes nor confirms until the others have
# brought it up to date.
my $load = start_query($leader->connection, join(";\n", map { create_vehicle("F$_") } 1 .. 60));
ok( wait_until(sub { vehicles_of($leader) > 120 }),
	'transactions are committed before the orderer leaves');
rejoin($follower);
ok( wait_until(
		sub {
			slurp($follower->cluster->logfile) =~
			  /this node is recovering as a consenter.*the channel was left on/s;
		}),
	'an orderer that has lost its log recovers'
) or diag($follower->query('SELECT * FROM fabric.stat_workers'));
is((finish_query($load))[2], 0, 'the other two orderers continue to order');
ok( wait_until(
		sub {
			(   $follower->query(
					"SELECT participation, recovering_reason IS NULL FROM fabric.stat_orderer WHERE channel = 'trade'"
				  )
				  || '') eq 'voting|t';
		}),
	'the orderer votes again without an operator'
) or diag($follower->query('SELECT * FROM fabric.stat_orderer'));
is(scalar(fingerprints($network, 'trade')), 1, 'the orderer has all blocks');
cmp_ok(
	$follower->query(
		"SELECT restarts FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'orderer'"),
	'<', 8,
	'the orderer process is not restarted in a loop');
unlike(
	slurp($_->cluster->logfile),
	qr/PANIC|terminated by signal|assertion failed/,
	"$_->{name}: no process crashed") foreach @nodes;
done_testing();
