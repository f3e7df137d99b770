# A node that was down catches up: from the leader's log while that still has the missing entries,
# from blocks otherwise.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader vehicles_of
  height_of wait_until eventually_is $ANY_TWO);
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_log_tail = 4\nfsync = on\n");
deploy_registry($network, policy => $ANY_TWO);
my $vehicles = 0;

# make this many blocks of one transaction each at a node
sub make_blocks
{
	my ($node, $count) = @_;

	$node->query(join(";\n", map { create_vehicle('V' . ++$vehicles) } 1 .. $count));
}

# the first entry of the Raft log
sub first_entry
{
	my ($node) = @_;

	return $node->query(
		"SELECT coalesce(min(index), 0) FROM fabric_internal.raft_log WHERE channel = 'trade'");
}

sub last_entry
{
	my ($node) = @_;

	return $node->query(
		"SELECT coalesce(max(index), 0) FROM fabric_internal.raft_log WHERE channel = 'trade'");
}

my $leader = wait_for_leader($network, 'trade');
my ($away, $other) = grep { $_ != $leader } $network->nodes;

# a short absence: the log still has the missing entries
make_blocks($leader, 3);
$away->kill_hard;
make_blocks($leader, 2);
$away->start;
is(scalar(fingerprints($network, 'trade')),
	1, 'after a short absence all nodes have the same ledger');

# a long absence: the other nodes have compacted the entries that follow its last one
my $last = last_entry($away);
my $height = height_of($away, 'trade');
$away->kill_hard;
make_blocks($leader, 40);
ok(wait_until(sub { first_entry($leader) > $last + 1 }),
	'the log of the leader begins after the entries that the absent node lacks');
$away->start;
is(scalar(fingerprints($network, 'trade')),
	1, 'after a long absence all nodes have the same ledger');
is(vehicles_of($away), $vehicles, 'the node that was absent has all vehicles');
cmp_ok(
	$away->query(
		"SELECT min(number) FROM fabric_internal.block WHERE channel = 'trade' AND number >= $height AND signatures <> ''"
	),
	'==', $height,
	'the blocks that the absent node fetched are signed');

# the node takes part again: its vote is needed now
$other->kill_hard;
make_blocks($away, 3);
is(scalar(fingerprints($network, 'trade')),
	1, 'the vote of the node counts: transactions are committed while the third node is down');
$other->start;

# The leader is down and the follower is absent: one orderer of three cannot order. Ordering resumes
# when both are back.
$leader = wait_for_leader($network, 'trade');
my @others = grep { $_ != $leader } $network->nodes;
$_->kill_hard foreach @others;
like($leader->error_of("SET fabric.endorsement_timeout = '2s'; " . create_vehicle('Vnever')),
	qr/LF310/, 'a node alone gets no endorsements');
$_->start foreach @others;
wait_for_leader($network, 'trade');
make_blocks($others[0], 2);
is(scalar(fingerprints($network, 'trade')),
	1, 'all nodes have the same ledger after the other nodes are started again');
is(vehicles_of($_), $vehicles, "$_->{name} has all vehicles") foreach $network->nodes;

# the size of the log is limited too, however few entries that leaves, except for the last four
$_->set("fabric.raft_log_tail = 1000\nfabric.raft_log_tail_size = '64kB'") foreach $network->nodes;
make_blocks($leader, 60);
eventually_is(
	sub {
		$leader->query(
			"SELECT count(*) > 10, sum(octet_length(payload)) < 100000 FROM fabric_internal.raft_log WHERE channel = 'trade'"
		);
	},
	't|t',
	'a tail of 64 kB keeps some entries, and not many more bytes');
my $owner = 'x' x 40_000;
$leader->query(
	join(
		";\n",
		map {
			"SELECT fabric.invoke('trade', 'vehicles', 'create_vehicle', 'L$_', 'Volvo', 'V60', '2020', '$owner', '1')"
		} 1 .. 8));
ok(wait_until(sub { last_entry($leader) - first_entry($leader) < 6 }),
	'only the last four of the large entries are kept');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
