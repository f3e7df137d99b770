# A frozen node does not stall the sessions of others, whether it endorses, orders, or leads.
# Sessions of a node share their measurements of other nodes, and use the node again when it is
# back.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until);
use Fabric::Node;
use Fabric::Psql qw(start_query finish_query);
use Test::More;

# The fourth node is a pure peer, whose sessions have no orderer of their own. A call without the
# protection would wait for minutes
my $network = start_network(
	orgs => 4,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.endorsement_timeout = 240s\nfabric.commit_timeout = 240s\n");
my @nodes = $network->nodes;
my $client = $nodes[3];
deploy_registry($network,
	policy => "AND('Org4MSP.peer', OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer'))");
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

sub freeze
{
	my ($node) = @_;

	kill 'STOP', $node->process_id;
	my @children = Fabric::Node::children_of($node->process_id);
	kill 'STOP', @children;
	return ($node->process_id, @children);
}

# the milliseconds that each call of a session takes; calls follow one another
sub start_calls
{
	my ($name, $count) = @_;

	return start_query(
		$client->connection,
		join(
			";\n",
			map {
					"SELECT extract(epoch FROM clock_timestamp()) FROM ("
				  . create_vehicle("$name-$_")
				  . ') AS call'
			} 0 .. $count));
}

sub times_of
{
	my ($what, @sessions) = @_;
	my @times;

	foreach my $session (@sessions)
	{
		my ($output, $error, $status) = finish_query($session);
		my @at = split /\n/, $output;

		is($status, 0, "$what: no call fails") or diag($error);
		push @times, map { 1000 * ($at[$_] - $at[ $_ - 1 ]) } 1 .. $#at;
	}
	diag(
		sprintf '%s: %d calls, the longest %.0f ms',
		$what,
		scalar @times,
		(sort { $b <=> $a } @times)[0]);
	return @times;
}

# learn the usual times
times_of('before', start_calls('warm', 15));
my $leader = wait_for_leader($network, 'trade');

# ---- the leader; the calls need an endorsement of one of the orderers' organizations too ----

my @frozen = freeze($leader);
my @times = times_of('the leader is frozen', map { start_calls("leader-$_", 20) } 1 .. 3);
is(scalar @times, 60, 'every call returns while the leader is frozen');
is(scalar(grep { $_ > 90000 } @times),
	0, 'no call waits for its time limit while the leader is frozen');
@times = times_of('it still is', start_calls('later', 20));
is(scalar(grep { $_ > 90000 } @times),
	0, 'no later call waits for its time limit while the leader is frozen');
kill 'CONT', @frozen;
is(scalar(fingerprints($network, 'trade')),
	1, 'all nodes have the same ledger after the leader continues');

# ---- a node that endorses, and does not lead ----

times_of('between', start_calls('between', 10));
$leader = wait_for_leader($network, 'trade');
my ($first) = grep { $_ != $leader } @nodes[ 0 .. 2 ];
@frozen = freeze($first);
@times = times_of("$first->{name} is frozen", map { start_calls("peer-$_", 20) } 1 .. 3);
is(scalar(grep { $_ > 90000 } @times),
	0, 'no call waits for its time limit while the endorser is frozen');
kill 'CONT', @frozen;
is(scalar(fingerprints($network, 'trade')),
	1, 'all nodes have the same ledger after the endorser continues');

# it is used again: the other nodes are stopped, so that only it can endorse
ok( wait_until(
		sub {
			(   $client->try_query(
					"SET fabric.endorsement_timeout = '20s'; SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['again-' || clock_timestamp(), 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['Org4MSP', '$first->{msp_id}'])"
				))[2] == 0;
		}),
	"$first->{name} endorses again");
done_testing();
