# A background process fails, is terminated, or is killed while its instance runs. Another one takes
# its place, callers see no error, nothing is lost.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use File::Find;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use Time::HiRes qw(time);

my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "restart_after_crash = on\nfabric.worker_restart_delay = 50ms\n");
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

my %points;
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless /\.c$/;
			my $text = slurp_file($_);
			$points{$1} = 1 while $text =~ /\bFAULT_POINT\("((?:raft|ledger|commit)_[^"]+)"\)/g;
		}
	},
	"$FindBin::Bin/../src/server");

sub restarts
{
	my ($node, $kind) = @_;

	return $node->query(
		"SELECT restarts FROM fabric.stat_workers WHERE channel = 'trade' AND kind = '$kind'");
}

# ---- an error at each boundary: the process ends, the next one starts from the tables ----

sub fail
{
	my ($node, $point) = @_;
	my $kind = $point =~ /^raft/ ? 'orderer' : 'ledger';
	my ($caller) = grep { $_ != $node } @nodes;
	my $before = restarts($node, $kind);

	$node->set_faults("$point=error");
	my (undef, $error, $status) = $caller->try_query(create_vehicle("$point-$node->{name}"));
	is($status, 0, "$point at $node->{name}: a call at another node succeeds") or diag($error);
	ok( wait_until(sub { restarts($node, $kind) > $before }),
		"$point at $node->{name}: the failed process is replaced");
	like(
		$node->query(
			"SELECT last_error FROM fabric.stat_workers WHERE channel = 'trade' AND kind = '$kind'"
		),
		qr/^fault point "$point" reached/,
		'fabric.stat_workers shows the error that ended the process');
	$node->set_faults('');
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
}

foreach my $point (sort keys %points)
{
	my $leader = wait_for_leader($network, 'trade');

	fail($point =~ /before/ ? $leader : (grep { $_ != $leader } @nodes)[0], $point);
}

# ---- under load ----

my $round = 0;

# Run $what at $victim while sessions at all nodes invoke; the sessions at $spared must see no
# error.
sub under_load
{
	my ($name, $victim, $action, @spared) = @_;
	my $before = vehicles_of($victim);
	my %sessions;

	$round++;
	foreach my $node (@nodes)
	{
		my $session = start_query($node->connection,
			join(";\n", map { create_vehicle("L$round-$node->{name}-$_") } 1 .. 40));
		$sessions{ $node->{name} } = $session;
	}
	wait_until(sub { vehicles_of($victim) > $before + 3 });
	$action->();
	foreach my $node (@nodes)
	{
		my (undef, $error, $status) = finish_query($sessions{ $node->{name} });
		is($status, 0, "$name: a session at $node->{name} sees no error")
		  or diag($error)
		  if grep { $_ == $node } @spared;
	}
}

my $leader = wait_for_leader($network, 'trade');
foreach my $kind ('launcher', 'ledger', 'orderer')
{
	my $pid = $leader->query("SELECT pid FROM fabric.stat_workers WHERE kind = '$kind'");

	under_load("the leader's $kind is terminated",
		$leader, sub { $leader->query("SELECT pg_terminate_backend($pid)") }, @nodes);
	ok( wait_until(
			sub {
				($leader->query("SELECT pid FROM fabric.stat_workers WHERE kind = '$kind'") || $pid)
				  != $pid;
			}),
		"another $kind process replaces the terminated one");
}
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# when a process is killed, PostgreSQL restarts the whole instance, sessions included
foreach my $kind ('ledger', 'orderer')
{
	my $victim = wait_for_leader($network, 'trade');
	my $pid = $victim->query("SELECT pid FROM fabric.stat_workers WHERE kind = '$kind'");

	under_load(
		"the leader's $kind is killed",
		$victim,
		sub { kill 'KILL', $pid },
		grep { $_ != $victim } @nodes);
	ok(wait_until(sub { ($victim->try_query(create_vehicle("back-$kind-" . time)))[2] == 0 }),
		'the instance commits transactions after its restart');
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
}

# a leader that is shut down stops at once, even if sessions wait
my $stopped = wait_for_leader($network, 'trade');
under_load(
	'the leader is shut down',
	$stopped,
	sub {
		my $begin = time;
		$stopped->stop;
		# the calls of the sessions have up to three minutes
		cmp_ok(time - $begin, '<', 100, 'a shutdown does not wait for sessions');
	},
	grep { $_ != $stopped } @nodes);
$stopped->start;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach @nodes;
is( $nodes[0]->query(
		"SELECT count(*) FROM (SELECT FROM fabric_internal.history WHERE channel = 'trade' AND namespace = 'vehicles' GROUP BY key HAVING count(*) > 1) d"
	),
	0,
	'no vehicle is created twice');
done_testing();
