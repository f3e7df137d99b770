# Four organizations, three of which order. The fourth is down, then another one, then all nodes
# lose power at once, several times. Every result that a client was given is on every ledger, once,
# and the network continues without help.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of height_of);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(
	orgs => 4,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_log_tail = 20\n");
my ($org1, $org2, $org3, $peer) = my @nodes = $network->nodes;
deploy_registry($network,
	policy => "OutOf(3, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer', 'Org4MSP.peer')");

# an organization without an orderer is a full member
is($peer->query("SELECT count(*) FROM fabric.stat_orderer WHERE channel = 'trade'"),
	0, 'the fourth node does not order');
is($peer->query("SELECT count(*) FROM fabric.stat_workers WHERE channel = 'trade'"),
	1, 'the fourth node has one process for the channel');
is( $peer->query(
		"SELECT validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['P1', 'Volvo', 'V60', '2020', 'Ada', '1'], endorsing_orgs => ARRAY['Org4MSP', 'Org2MSP', 'Org3MSP'])"
	),
	'VALID',
	'the fourth node endorses, and its applications commit transactions');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# each single organization can be down
foreach my $away ($peer, wait_for_leader($network, 'trade'))
{
	my @others = grep { $_ != $away } @nodes;

	$away->kill_hard;
	foreach my $node (@others)
	{
		my (undef, $error, $status) =
		  $node->try_query(create_vehicle("without-$away->{name}-$node->{name}"));
		is($status, 0,
			"applications of $node->{name} commit transactions while $away->{name} is down")
		  or diag($error);
	}
	$away->start;
	is(scalar(fingerprints($network, 'trade')), 1, "$away->{name} catches up after its start");
}

# two organizations are down: the policy needs three, while two orderers could still order
$_->kill_hard foreach $peer, $org3;
like(
	$org1->error_of('SET fabric.endorsement_timeout = \'5s\'; ' . create_vehicle('with-two')),
	qr/LF310.*Org3MSP.*Org4MSP|LF310.*Org4MSP.*Org3MSP/s,
	'the call fails with two endorsements of three, and the error names the missing organizations');
$_->start foreach $peer, $org3;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is( $org1->query(
		"SELECT count(*) FROM fabric_internal.world_state WHERE channel = 'trade' AND key = 'with-two'"
	),
	0,
	'the failed call has no effect');

# ---- power cuts ----

my @told;
my %asked;

foreach my $round (1 .. 3)
{
	my @sessions;

	wait_for_leader($network, 'trade');
	my $before = vehicles_of($org1);
	foreach my $node (@nodes)
	{
		my @ids = map { "R$round-$node->{name}-$_" } 1 .. 200;

		@asked{@ids} = ();
		push @sessions, start_query(
			$node->connection,
			join(
				";\n",
				map {
					"SELECT '$_', tx_id, block_number, validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['$_', 'Volvo', 'V60', '2020', 'Ada', '1'])"
				} @ids));
	}
	ok( wait_until(sub { vehicles_of($org1) > $before + 10 + 10 * $round }),
		"round $round: calls are committed before the power cut");
	# start the nodes in another order each time
	$_->kill_now        foreach $round % 2 ? @nodes : reverse @nodes;
	$_->wait_until_dead foreach @nodes;
	push @told, map { [ split /\|/ ] } grep { /\|VALID$/ } split /\n/, (finish_query($_))[0]
	  foreach @sessions;
	$_->start foreach @nodes;
	$nodes[$round]->query(create_vehicle("after-$round"));
	is(scalar(fingerprints($network, 'trade')),
		1, "round $round: all nodes run again and have the same ledger");
}
cmp_ok(scalar @told, '>', 30, 'clients were told of ' . @told . ' transactions');
foreach my $node (@nodes)
{
	my %committed = map { $_ => 1 } split /\n/,
	  $node->query(
		"SELECT encode(tx_id, 'hex'), block_number FROM fabric_internal.transaction WHERE channel = 'trade' AND tx_id IS NOT NULL AND validation_code = 0"
	  );
	my @keys = split /\n/,
	  $node->query(
		"SELECT convert_from(key, 'UTF8') FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key > 'R'"
	  );
	my %keys = map { $_ => 1 } @keys;

	is( join(' ',
			map { $_->[0] } grep { !$committed{"$_->[1]|$_->[2]"} || !$keys{ $_->[0] } } @told),
		'',
		"$node->{name}: the ledger has every transaction whose result a client was given");
	is(join(' ', grep { /^R/ && !exists $asked{$_} } @keys),
		'', "$node->{name}: the ledger has only transactions that a client asked for");
	is( $node->query(
			"SELECT count(*) FROM (SELECT FROM fabric_internal.history WHERE channel = 'trade' AND namespace = 'vehicles' GROUP BY key HAVING count(*) > 1) d"
		),
		0,
		"$node->{name}: no vehicle is created twice");
	is($node->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
		0, "$node->{name} verifies its chain without a problem");
}
done_testing();
