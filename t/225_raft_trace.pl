# fabric.raft_trace writes each decision of Raft to the server log, in the format of the stories in
# test/unit, and can be turned on and off while the node runs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network deploy_registry create_vehicle wait_for_leader wait_until $ANY_TWO);
use Fabric::Host qw(slurp);
use Test::More;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

# all lines of the trace in a node's log, without the log's prefix
sub trace_of
{
	my ($node) = @_;

	return slurp($node->cluster->logfile) =~ /channel "trade": raft: (.*)/g;
}

my $vehicles = 0;

# one more transaction; true when each node's count of lines satisfies the condition
sub order_and_look
{
	my ($condition) = @_;
	my %before = map { $_->{name} => scalar(() = trace_of($_)) } @nodes;

	$nodes[0]->query(create_vehicle('T-' . $vehicles++));
	return !grep {
		my $more = (() = trace_of($_)) - $before{ $_->{name} };

		!$condition->($more)
	} @nodes;
}

is(scalar(() = map { trace_of($_) } @nodes), 0, 'the log has no trace by default');

$_->set("fabric.raft_trace = on\n") foreach @nodes;
ok( wait_until(
		sub {
			order_and_look(sub { $_[0] > 0 });
		}),
	'each node traces a transaction after a reload');

my $leader = wait_for_leader($network, 'trade');
my ($target, $third) = grep { $_ != $leader } @nodes;
my ($from, $to, $other) = map { $_->{number} } $leader, $target, $third;

$leader->query("SELECT fabric.transfer_leadership('trade', $to)");
ok(wait_until(sub { ($network->leader('trade') // $leader) == $target }), 'the leader changes');

my ($handed_over, $term, $granted);
ok( wait_until(
		sub {
			($handed_over) =
			  grep { /^$from leader \d+: transfer leadership to $to$/ } trace_of($leader);
			($term) = map { /^$to candidate (\d+): campaign with log / } trace_of($target);
			($granted) = grep {
				defined $term
				  && /^$other follower $term: grant vote of $to for term $term: its log /
			} trace_of($third);
			return $handed_over && $term && $granted;
		}),
	'the logs of three nodes have the offer, the campaign and a vote'
) or diag(map { "$_\n" } map { trace_of($_) } @nodes);

my @odd = grep { !/^\d+ (?:follower|pre_candidate|candidate|leader) \d+: \S/ }
  map { trace_of($_) } @nodes;
is(scalar(@odd), 0, 'every line has consenter, role, term and decision') or diag(@odd);
foreach my $node (@nodes)
{
	my @others = grep { !/^$node->{number} / } trace_of($node);

	is(scalar(@others), 0, "$node->{name} traces only its own decisions") or diag(@others);
}

$_->set("fabric.raft_trace = off\n") foreach @nodes;
ok( wait_until(
		sub {
			order_and_look(sub { $_[0] == 0 });
		}),
	'nothing is traced after another reload');
unlike(join("\n", map { trace_of($_) } @nodes), qr/T-\d/, 'the trace has no keys of transactions');

$network->stop;
done_testing();
