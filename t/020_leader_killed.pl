# The leader of the orderers is killed under load. Calls at the other nodes succeed without a retry
# by the client, no committed transaction is lost or takes effect twice, and the killed node catches
# up.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of height_of $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network =
  start_network(orgs => 3, orderers => 3, channel => 'trade', settings => "fsync = on\n");
deploy_registry($network, policy => $ANY_TWO);

# the results that each session was given: [session, vehicle, tx id, block]
my @told;

# sessions at $node, each with a series of calls that record their results
sub start_sessions
{
	my ($node, $count, $round) = @_;
	my @sessions;

	foreach my $number (1 .. $count)
	{
		push @sessions, start_query(
			$node->connection,
			join(
				";\n",
				map {
					"SELECT 'V$round-$node->{name}-$number-$_', tx_id, block_number, validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', "
					  . "ARRAY['V$round-$node->{name}-$number-$_', 'Volvo', 'V60', '2020', 'Ada', '1'])"
				} 1 .. 15));
	}
	return @sessions;
}

sub finish_sessions
{
	my (@sessions) = @_;
	my @errors;

	foreach my $session (@sessions)
	{
		my ($output, $error, $status) = finish_query($session);
		push @told, map { [ split /\|/ ] } split /\n/, $output;
		push @errors, $error if $status != 0;
	}
	return @errors;
}

foreach my $round (1, 2)
{
	my $leader = wait_for_leader($network, 'trade');
	my @others = grep { $_ != $leader } $network->nodes;
	my $before = vehicles_of($others[0]);
	my @sessions = map { start_sessions($_, 2, $round) } @others;
	my @doomed = start_sessions($leader, 2, $round);

	ok( wait_until(sub { vehicles_of($others[0]) > $before + 5 }),
		"round $round: calls are committed before the leader is killed");
	$leader->kill_hard;
	my $next = wait_for_leader($network, 'trade');
	isnt($next->{name}, $leader->{name}, "$next->{name} leads after $leader->{name} died");
	my @errors = finish_sessions(@sessions);
	is("@errors", '', 'every call at a running node succeeds without a retry by the client');
	finish_sessions(@doomed);
	my ($height) = sort { $b <=> $a } map { height_of($_, 'trade') } @others;
	$others[0]->query(create_vehicle("alone-$round"));
	cmp_ok(height_of($others[0], 'trade'), '>', $height, 'two of three orderers continue to order');

	$leader->start;
	is(scalar(fingerprints($network, 'trade')),
		1, "$leader->{name} catches up, and all nodes have the same ledger");
}

is(scalar(grep { $_->[3] ne 'VALID' } @told), 0, 'no transaction is invalid');
# no loss: every result that a client was given is in the ledger of every node
cmp_ok(scalar @told, '>=', 2 * 2 * 2 * 15, 'clients were told of ' . @told . ' transactions');
foreach my $node ($network->nodes)
{
	my %committed = map { $_ => 1 } split /\n/,
	  $node->query(
		"SELECT encode(tx_id, 'hex'), block_number FROM fabric_internal.transaction WHERE channel = 'trade' AND tx_id IS NOT NULL AND validation_code = 0"
	  );
	my %keys = map { $_ => 1 } split /\n/,
	  $node->query(
		"SELECT convert_from(key, 'UTF8') FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"
	  );

	is( join(' ',
			map { $_->[0] } grep { !$committed{"$_->[1]|$_->[2]"} || !$keys{ $_->[0] } } @told),
		'',
		"$node->{name}: the ledger has every transaction whose result a client was given");
}
# no repetition: of an envelope that was submitted again at most one copy is valid
my ($node) = $network->nodes;
is( $node->query(
		"SELECT count(*) FROM (SELECT tx_id FROM fabric_internal.transaction WHERE channel = 'trade' AND validation_code = 0 AND tx_id IS NOT NULL GROUP BY tx_id HAVING count(*) > 1) d"
	),
	0,
	'no transaction takes effect twice');
is( $node->query(
		"SELECT count(*) FROM (SELECT key FROM fabric_internal.history WHERE channel = 'trade' AND namespace = 'vehicles' GROUP BY key HAVING count(*) > 1) d"
	),
	0,
	'no vehicle is created twice');
done_testing();
