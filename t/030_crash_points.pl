# A node is killed at each durable boundary, as leader and as follower. Its tables then have height
# N or N + 1 and never a state between, the others continue, and it takes part again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of height_of $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use File::Find;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

# all fault points that the source names, so that this test cannot miss one
my %points;
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless /\.c$/;
			my $text = slurp_file($_);
			$points{$1} = 1 while $text =~ /\bFAULT_POINT\("([^"]+)"\)/g;
		}
	},
	"$FindBin::Bin/../src/server");

my %boundaries = map { $_ => 1 } grep { /^(raft|ledger|commit)_/ } keys %points;
cmp_ok(scalar keys %boundaries,
	'>=', 7, 'the code names its durable boundaries: ' . join(' ', sort keys %boundaries));
my $other_tests = join('', map { slurp_file($_) } grep { !/030_/ } glob("$FindBin::Bin/*.pl"));
is(join(' ', grep { !$boundaries{$_} && $other_tests !~ /\b$_\b/ } sort keys %points),
	'', 'each other fault point has a test of its own');

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

# contradictions between the tables while no worker runs, one in each line
my $contradictions = <<'SQL';
SELECT 'transactions end at block ' || max(block_number) FROM fabric_internal.transaction WHERE channel = 'trade'
HAVING max(block_number) <> (SELECT max(number) FROM fabric_internal.block WHERE channel = 'trade')
UNION ALL
SELECT 'block ' || number || ' lacks transactions' FROM fabric_internal.block b WHERE channel = 'trade'
AND length(transactions_filter) <> (SELECT count(*) FROM fabric_internal.transaction t
	WHERE t.channel = 'trade' AND t.block_number = b.number)
UNION ALL
SELECT 'state is ahead: ' || convert_from(key, 'UTF8') FROM fabric_internal.world_state WHERE channel = 'trade'
AND block_number > (SELECT max(number) FROM fabric_internal.block WHERE channel = 'trade')
UNION ALL
SELECT 'history without state: ' || convert_from(key, 'UTF8') FROM fabric_internal.history h
	WHERE channel = 'trade' AND namespace = 'vehicles'
AND NOT EXISTS (SELECT FROM fabric_internal.world_state w WHERE w.channel = 'trade'
	AND w.namespace = h.namespace AND w.key = h.key)
UNION ALL
SELECT 'valid transactions and vehicles differ' FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles'
HAVING count(*) <> (SELECT count(*) FROM fabric_internal.transaction WHERE channel = 'trade'
	AND chaincode = 'vehicles' AND validation_code = 0)
UNION ALL
SELECT 'a hole in the Raft log' FROM fabric_internal.raft_log l, fabric_internal.raft_state s
	WHERE l.channel = 'trade' AND s.channel = 'trade'
GROUP BY s.base_index HAVING count(*) <> max(index) - s.base_index OR min(index) <> s.base_index + 1
UNION ALL
SELECT 'Raft state ahead of its log' FROM fabric_internal.raft_state s WHERE channel = 'trade'
AND s.commit_index > greatest(s.base_index, (SELECT max(index) FROM fabric_internal.raft_log l
	WHERE l.channel = 'trade'))
SQL

my %seen;

sub crash
{
	my ($point, $role) = @_;
	my $leader = wait_for_leader($network, 'trade');
	my ($victim) = $role eq 'leader' ? $leader : grep { $_ != $leader } @nodes;
	my ($caller) = grep { $_ != $victim && $_ != $leader } @nodes;
	my $name = "$point at the $role";

	fingerprints($network, 'trade');
	my $before = height_of($victim, 'trade');
	$victim->set_faults("$point=crash");
	my ($output, $error, $status) = $caller->try_query(create_vehicle("$point-$role"));
	is($status, 0, "$name: a call at another node succeeds") or diag($error);
	$victim->wait_for_crash;

	$victim->cluster->append_conf('postgresql.auto.conf', "fabric.fault_points = ''");
	$victim->start('-c shared_preload_libraries=');
	my $after = height_of($victim, 'trade');
	ok($after == $before || $after == $before + 1, "$name: height was $before and is $after");
	is($victim->query($contradictions), '', "$name: the tables do not contradict each other");
	$seen{$point}{ $after - $before } = 1;
	$victim->stop;
	$victim->start;
	is(scalar(fingerprints($network, 'trade')),
		1, "$name: the node catches up, and all nodes have the same ledger");
}

foreach my $point (sort keys %boundaries)
{
	crash($point, $_)
	  foreach $point =~ /^raft/  ? ('leader', 'follower')
	  : $point       =~ /before/ ? ('follower')
	  :                            ('leader');
}
is(join(' ', sort keys %{ $seen{ledger_before_commit} }),
	'0', 'no part of a block is stored before its commit');
is(join(' ', sort keys %{ $seen{ledger_after_commit} }),
	'1', 'every part of a block is stored after its commit');
is(vehicles_of($_), vehicles_of($nodes[0]), "$_->{name} has all vehicles") foreach @nodes;
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach @nodes;
done_testing();
