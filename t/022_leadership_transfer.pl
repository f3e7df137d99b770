# The leadership is handed over on request, under load, and no call fails.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

my $leader = wait_for_leader($network, 'trade');
my @followers = grep { $_ != $leader } @nodes;
my $term = $leader->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'");

# consenters are numbered in the order of the channel's configuration, as the organizations are here
like(
	$followers[0]->error_of("SELECT fabric.transfer_leadership('trade', $followers[1]{number})"),
	qr/LF502.*not the leader.*HINT/s,
	'a follower cannot transfer the leadership');
like($leader->error_of("SELECT fabric.transfer_leadership('trade', $leader->{number})"),
	qr/LF001/, 'the leader cannot transfer the leadership to itself');
like($leader->error_of("SELECT fabric.transfer_leadership('trade', 9)"),
	qr/LF001/, 'the leader cannot transfer the leadership to a consenter that does not exist');
like($leader->error_of("SELECT fabric.transfer_leadership('nothing', 1)"),
	qr/LF401/, 'the leadership of a channel that the node has not joined cannot be transferred');

my @sessions = map {
	my $node = $_;
	start_query($node->connection,
		join(";\n", map { create_vehicle("V-$node->{name}-$_") } 1 .. 25))
} @nodes;
foreach my $target (@followers)
{
	my $from = wait_for_leader($network, 'trade');

	next if $from == $target;
	# on a busy machine the term may end before the transfer: ask again which node leads
	ok( wait_until(
			sub {
				my $now = wait_for_leader($network, 'trade');

				return 1 if $now == $target;
				$now->try_query("SELECT fabric.transfer_leadership('trade', $target->{number})");
				return 0;
			}),
		"$from->{name} has transferred the leadership to $target->{name}");
}
foreach my $session (@sessions)
{
	my (undef, $error, $status) = finish_query($session);
	is($status, 0, 'a session sees no error during the transfers') or diag($error);
}
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is(vehicles_of($_), 75, "$_->{name} has all vehicles") foreach @nodes;

# the columns that operators see
my $new;
ok( wait_until(
		sub {
			$new = $network->leader('trade') or return 0;
			my $number = $new->{number};
			return !grep {
				$_->query("SELECT leader_id FROM fabric.stat_orderer WHERE channel = 'trade'") ne
				  $number
			} @nodes;
		}),
	'each node knows the new leader');
cmp_ok($new->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'"),
	'>', $term, 'the new leader has a later term');
ok( wait_until(
		sub {
			wait_for_leader($network, 'trade')
			  ->query(
				"SELECT count(*) FILTER (WHERE connected), bool_and(lag = 0) FROM fabric.stat_orderer_followers WHERE channel = 'trade'"
			  ) eq '2|t';
		}),
	'the leader is connected to both followers, and neither lags');
done_testing();
