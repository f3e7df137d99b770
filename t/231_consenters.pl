# A consenter is removed from a channel and added again: the others keep their Raft ids, it gets a
# new one, and transactions are committed all the time, also when nodes are killed between the
# configuration block and the change of Raft's voters.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_for_leader wait_until height_of $ANY_TWO);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fsync = on\nfabric.raft_election_timeout = 2s\n");
my @nodes = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => $ANY_TWO);
CREATE FUNCTION put(key text, value text) RETURNS void LANGUAGE sql
AS $$ SELECT fabric.put_state(key, value) $$;
SQL
my $consenters =
  "fabric.config('trade') #> '{channel_group,groups,Orderer,values,ConsensusType,value,metadata,consenters}'";
my $round = 0;

# submit an update of the list of consenters, signed by the administrators of all organizations
sub change_consenters
{
	my ($node, $list) = @_;
	my $update = '\\x'
	  . $node->query(
		"SELECT encode(fabric.compute_config_update('trade', c, jsonb_set(c, '{channel_group,groups,Orderer,values,ConsensusType,value,metadata,consenters}', "
		  . literal($list)
		  . "::jsonb)), 'hex') FROM fabric.config('trade') c");
	my @signatures = map {
		"'\\x"
		  . $_->query("SELECT encode(fabric.sign_config_update('$update'), 'hex')")
		  . "'::bytea"
	} grep { $_ != $node } @nodes;

	return $node->try_query(
		"SELECT fabric.submit_config_update('$update', ARRAY[" . join(', ', @signatures) . '])');
}

sub commits
{
	my ($node, $name) = @_;

	$round++;
	ok( wait_until(
			sub {
				(   $node->try_query(
						"SELECT fabric.invoke('trade', 'book', 'put', 'round', '$round')")
				)[2] == 0;
			}),
		"$name: transactions are committed");
}

# "1 2 3": the Raft ids in the order of the configuration
sub ids_of
{
	my ($node) = @_;

	return $node->query(
		"SELECT string_agg(consenter_id::text, ' ' ORDER BY consenter_id) FROM fabric.nodes WHERE channel = 'trade' AND consenter_id IS NOT NULL"
	);
}

sub orderer_runs
{
	my ($node) = @_;

	return $node->query(
		"SELECT count(*) FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'orderer' AND pid IS NOT NULL"
	) == 1;
}

sub is_settled
{
	my ($ids, $name, @consenters) = @_;

	foreach my $node (@nodes)
	{
		ok(wait_until(sub { ids_of($node) eq $ids }), "$name: $node->{name} knows consenters $ids")
		  or diag(ids_of($node));
	}
	ok(wait_until(sub { orderer_runs($_) }), "$name: the orderer of $_->{name} runs")
	  foreach @consenters;
}

sub others
{
	my ($node) = @_;

	return grep { $_ != $node } @nodes;
}

commits($nodes[0], 'before');
my $all = $nodes[0]->query("SELECT $consenters");
my ($first, @rest) = @nodes;

# ---- the first of three is removed: the others keep their ids ----

my $result = (change_consenters($rest[0], $first->query("SELECT ($consenters) - 0")))[2];
is($result, 0, 'the removal of the first consenter is ordered');
is_settled('2 3', 'after the removal', @rest);
ok(wait_until(sub { !orderer_runs($first) }), 'the orderer of the removed node ends');
commits($_, 'after the removal') foreach @nodes;

# ---- it is added again: another id ----

$result =
  (change_consenters($rest[0], $rest[0]->query("SELECT ($consenters) || (" . literal($all) . "::jsonb -> 0)")))[2];
is($result, 0, 'the addition is ordered');
is_settled('2 3 4', 'after the addition', @nodes);
commits($_, 'after the addition') foreach @nodes;
is( $first->query("SELECT raft_id FROM fabric_internal.raft_state WHERE channel = 'trade'"),
	4, 'the node that is added again is consenter 4');

# it counts: with one of the other two down there is still a majority
$rest[0]->stop;
commits($rest[1], 'with a consenter down');
$rest[0]->start;

# ---- two at once are refused ----

like(
	(change_consenters($rest[1], $rest[1]->query("SELECT jsonb_build_array(($consenters) -> 0)")))[1],
	qr/more than one consenter is added, removed or replaced/,
	'two changes at once are refused');

# ---- the leader is killed between the configuration block and the change of the voters ----

# The node that is removed still votes: without it there would be no other leader.
my $leader = wait_for_leader($network, 'trade');
my ($removed, $caller) = others($leader);
$leader->set_faults('voters_before_change=crash');
change_consenters(
	$caller,
	$caller->query(
		"SELECT jsonb_agg(c) FROM jsonb_array_elements($consenters) c WHERE (c ->> 'port')::int <> $removed->{port}"
	));
$leader->wait_for_crash;
ok( wait_until(
		sub {
			$caller->query(
				"SELECT leader_id <> 0 AND leader_id IS NOT NULL FROM fabric.stat_orderer WHERE channel = 'trade'"
			) eq 't';
		}),
	'another leader is elected');
$leader->cluster->append_conf('postgresql.auto.conf', "fabric.fault_points = ''");
$leader->start;
my $left = join ' ', sort map {
	$_->query("SELECT raft_id FROM fabric_internal.raft_state WHERE channel = 'trade'")
} $leader, $caller;
is_settled($left, 'after the crash', $leader, $caller);
ok(wait_until(sub { !orderer_runs($removed) }), 'the orderer of the removed node ends');
commits($_, 'after the crash') foreach @nodes;

ok(wait_until(sub { height_of($_, 'trade') == height_of($rest[1], 'trade') }),
	"$_->{name} has all blocks")
  foreach @nodes;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name}: its chain is clean")
  foreach @nodes;
done_testing();
