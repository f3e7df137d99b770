# A leader that is asked to end first hands the leadership over: after pg_terminate_backend, in a
# fast shutdown under load, and when its node leaves the channel. The election timeout is so long
# that no election starts by timeout.
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

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
my $orderer_pid = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'fabric orderer'";
deploy_registry($network, policy => $ANY_TWO);

# a worker reads the timeout when it starts
my $leader = wait_for_leader($network, 'trade');
$_->set("fabric.raft_election_timeout = 600s\n") foreach @nodes;
foreach my $node (grep { $_ != $leader } @nodes)
{
	my $pid = $node->query($orderer_pid);

	$node->query("SELECT pg_terminate_backend($pid)");
	ok( wait_until(
			sub {
				$node->query(
					"SELECT pid <> $pid AND r.leader_id <> 0 FROM fabric.stat_orderer r, ($orderer_pid) w WHERE r.running"
				) eq 't';
			}),
		"the orderer of $node->{name} has started again and follows $leader->{name}");
}

sub term_of
{
	return $_[0]->query('SELECT term FROM fabric.stat_orderer');
}

# The consenters that the node's log names as its successors in this term; on a busy machine the
# second is asked before the first has answered
sub named_in_log
{
	my ($node) = @_;

	return slurp($node->cluster->logfile) =~
	  /channel "trade": this node ends and hands the leadership over to consenter (\d+)/g;
}

sub check_handed_over
{
	my ($what, $before, $term, $named_before) = @_;
	my $next = wait_until(
		sub { my $leads = $network->leader('trade'); $leads && $leads != $before ? $leads : undef }
	);

	ok($next, "$what: another node leads although no election timeout has passed")
	  or BAIL_OUT('no node leads');
	my @named = named_in_log($before);
	splice @named, 0, $named_before;
	ok((grep { $_ == $next->{number} } @named),
		"$what: the new leader is one that $before->{name} has named (@named)");
	cmp_ok(term_of($next), '<=', $term + @named, "$what: no other node has started an election");
	return $next;
}

# ---- the process alone ----

my $term = term_of($leader);
my $named = () = named_in_log($leader);
my $height = $leader->query("SELECT height FROM fabric.channels WHERE channel = 'trade'");
$leader->query("SELECT pg_terminate_backend(($orderer_pid))");
$leader = check_handed_over('pg_terminate_backend', $leader, $term, $named);
$leader->query(create_vehicle('after-terminate'));

# ---- a fast shutdown under load ----

my @others = grep { $_ != $leader } @nodes;
ok( wait_until(
		sub { $_->query("SELECT leader_id <> 0 FROM fabric.stat_orderer WHERE running") eq 't' }),
	"the orderer of $_->{name} runs") foreach @nodes;
my $before = vehicles_of($others[0]);
my @sessions;
foreach my $node (@others)
{
	foreach my $number (1 .. 2)
	{
		push @sessions, start_query(
			$node->connection,
			join(
				";\n",
				map {
						"SELECT extract(epoch FROM clock_timestamp()) FROM ("
					  . create_vehicle("S-$node->{name}-$number-$_")
					  . ') AS call'
				} 1 .. 40));
	}
}
ok(wait_until(sub { vehicles_of($others[0]) > $before + 8 }),
	'calls are committed before the shutdown');
$term = term_of($leader);
$named = () = named_in_log($leader);
$leader->stop;
my $next = check_handed_over('fast shutdown', $leader, $term, $named);
my (@errors, @answered, $longest);
foreach my $session (@sessions)
{
	my ($output, $error, $status) = finish_query($session);
	my @times = split /\n/, $output;

	push @errors, $error if $status != 0;
	push @answered, @times;
	for my $i (1 .. $#times)
	{
		my $gap = $times[$i] - $times[ $i - 1 ];
		$longest = $gap if !defined $longest || $gap > $longest;
	}
}
is("@errors", '', 'no call of sessions at the other nodes fails');
is(scalar @answered, 160, 'every call returns');
diag(sprintf 'the longest call took %.0f ms', 1000 * $longest);
$leader->start;
is(scalar(fingerprints($network, 'trade')),
	1, "$leader->{name} catches up, and all nodes have the same ledger");

# ---- its node leaves the channel ----

$leader = $next;
$term = term_of($leader);
$named = () = named_in_log($leader);
$leader->query("SELECT fabric.leave_channel('trade')");
$next = check_handed_over('leave_channel', $leader, $term, $named);
$next->query(create_vehicle('after-leaving'));
is(vehicles_of($next), 162, 'the new leader has all vehicles');

# ---- without another consenter the leader ends without a hand-over ----

my ($last) = grep { $_ != $leader && $_ != $next } @nodes;
$last->stop;
$next->stop;
ok(!$next->is_running, 'a leader ends although no other consenter can take over');
done_testing();
