# Several applications sell the same vehicle at once: exactly one succeeds, and the errors of the
# others name the winner.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_until height_of
  $ANY_TWO);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.hot_key_timeout = 0\n");
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
$nodes[0]->query(create_vehicle('V1'));
fingerprints($network, 'trade');

# All calls read the vehicle before a block has one of the sales: the ledgers are held before their
# next commit until all calls wait for their blocks. So the sales are ordered after one another, but
# every endorsement reads the same version.
sub hold_ledgers
{
	$_->set_faults('ledger_before_commit=hold') foreach @nodes;
}

sub release_ledgers
{
	my ($calls) = @_;

	ok( wait_until(
			sub {
				my $waiting = 0;

				$waiting +=
				  $_->query(
					"SELECT sessions_waiting FROM fabric.stat_channel WHERE channel = 'trade'")
				  foreach @nodes;
				return $waiting == $calls;
			}),
		"$calls calls wait for their blocks");
	$_->set_faults('') foreach @nodes;
}

my $version =
  $nodes[0]->query(
	"SELECT 'block ' || block_number || ', transaction ' || position FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V1'"
  );
hold_ledgers();
my @buyers = map { "Buyer$_" } 0 .. 5;
my @sessions = map {
	start_query($nodes[ $_ % 3 ]->connection,
		"\\set VERBOSITY verbose\n" . invoke('transfer_vehicle', 'V1', $buyers[$_], '100'))
} 0 .. 5;
release_ledgers(6);
my (@won, @lost);
foreach my $number (0 .. 5)
{
	my ($output, $error, $status) = finish_query($sessions[$number]);

	if ($status == 0)
	{
		push @won, [ $buyers[$number], $output ];
	}
	else
	{
		push @lost, $error;
	}
}
is(scalar @won, 1, 'exactly one sale succeeds');
is($won[0][1], 'Ada Adler', 'the winner buys from the first owner');
is(scalar @lost, 5, 'the other five sales fail');
my $winner =
  $nodes[0]->query(
	"SELECT encode(t.tx_id, 'hex') FROM fabric_internal.transaction t, fabric_internal.world_state w "
	  . "WHERE w.channel = 'trade' AND w.namespace = 'vehicles' AND w.key = 'V1' AND t.channel = w.channel AND t.block_number = w.block_number AND t.position = w.position"
  );
foreach my $error (@lost)
{
	like(
		$error,
		qr/LF408: transaction [0-9a-f]{64} is invalid: MVCC_READ_CONFLICT/,
		'the error of a failed sale is a read conflict');
	like(
		$error,
		qr/Key "V1" of chaincode "vehicles" was read at version \Q$version\E, but found at version block \d+, transaction \d+, written by transaction $winner/,
		'the error of a failed sale has key, versions and the winner');
	like($error, qr/HINT:\s+Nothing was changed/, 'the error of a failed sale has a hint');
}
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
foreach my $node (@nodes)
{
	is( $node->query(
			"SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V1')::jsonb ->> 'owner'"),
		$won[0][0],
		"$node->{name}: the winner owns the vehicle");
	is( $node->query(
			"SELECT count(*) FILTER (WHERE validation_code = 0) || ' ' || count(*) FILTER (WHERE validation_code = 11) FROM fabric_internal.transaction t "
			  . "WHERE channel = 'trade' AND block_number > (SELECT block_number FROM fabric_internal.history WHERE channel = 'trade' AND key = 'V1' ORDER BY 1 LIMIT 1)"
		),
		'1 5',
		"$node->{name}: one sale is valid, and five have the code of a read conflict");
}

# the loser tries again, as the hint says
is($nodes[1]->query(invoke('transfer_vehicle', 'V1', 'Zoe', '100')),
	$won[0][0], 'a retry of the sale buys from the winner');

# two transactions create one key: the second one has read that it is absent, and is invalid
hold_ledgers();
@sessions =
  map { start_query($nodes[$_]->connection, "\\set VERBOSITY verbose\n" . create_vehicle('V2')) } 0,
  1;
release_ledgers(2);
my @errors = grep { $_ ne '' } map { (finish_query($_))[1] } @sessions;
is(scalar @errors, 1, 'one of two transactions that create the same vehicle fails');
like(
	$errors[0],
	qr/LF408.*Key "V2".*read at version absent, but found/s,
	'the error says that the key was read as absent');

# the sum over all accounts stays the same: concurrent transfers between few accounts take effect
# whole or not at all
my $source = <<'SQL';
CREATE FUNCTION open(id text, amount int) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(id, amount::text) $$;
CREATE FUNCTION move(source text, target text, amount int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fabric.put_state(source, (fabric.get_state_text(source)::int - amount)::text);
	PERFORM fabric.put_state(target, (fabric.get_state_text(target)::int + amount)::text);
END $$;
SQL
$network->deploy('trade', 'money', $source, policy => $ANY_TWO);
$nodes[0]->query("SELECT fabric.invoke('trade', 'money', 'open', 'A$_', '1000')") foreach 0 .. 3;
fingerprints($network, 'trade');
@sessions = ();
foreach my $session (0 .. 5)
{
	my @calls = map {
		my ($from, $amount) = (($session + $_) % 4, 1 + $_);
		"SELECT validation_code FROM fabric.submit_transaction('trade', 'money', 'move', ARRAY['A$from', 'A"
		  . ($from + 1) % 4
		  . "', '$amount'])"
	} 1 .. 8;
	push @sessions, start_query($nodes[ $session % 3 ]->connection, join(";\n", @calls));
}
my %codes;
foreach my $session (@sessions)
{
	my ($output, $error, $status) = finish_query($session);
	is($status, 0, 'a session of transfers ends without an error') or diag($error);
	$codes{$_}++ foreach split /\n/, $output;
}
is(join(' ', grep { !/^(VALID|MVCC_READ_CONFLICT)$/ } sort keys %codes),
	'',
	'transfers are valid or in conflict: ' . join(', ', map { "$_ $codes{$_}" } sort keys %codes));
cmp_ok($codes{VALID} // 0, '>', 0, 'some transfers are valid');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is( $_->query(
		"SELECT sum(convert_from(value, 'UTF8')::int) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'money'"
	),
	4000,
	"$_->{name}: the sum of all accounts has not changed") foreach @nodes;
done_testing();
