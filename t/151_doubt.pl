# A call that fails although its transaction may be committed says so, with the transaction's id; a
# call whose transaction was not submitted does not. An orderer's answer to a repeated submission
# does not decide the result of the transaction.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry invoke create_vehicle fingerprints wait_for_leader wait_until);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(
	orgs => 4,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.connect_timeout = 5s\n");
my @nodes = $network->nodes;
my @orderers = $network->orderers;
my $client = $nodes[3];
my $doubt =
  qr/CONTEXT:.*transaction ([0-9a-f]{64}) was sent to an orderer and may be committed: check with fabric\.commit_status/;

deploy_registry($network,
	policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer', 'Org4MSP.peer')");
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# the validation code of the transaction that an error names
sub outcome
{
	my ($error) = @_;

	return "no transaction named in: $error" unless $error =~ $doubt;
	return $client->query(
		"SELECT coalesce(validation_code, 'none') FROM fabric.commit_status('trade', '$1', '2 min')"
	);
}

# the orderers accept it, and their answer is late
$_->set_faults('submit_before_answer=hold') foreach @orderers;
my $error = $client->error_of("SET fabric.broadcast_timeout = '6s'; " . create_vehicle('A1'));
like(
	$error,
	qr/LF503.*DETAIL:.*It is not known whether the orderer at localhost:\d+ has accepted the transaction.*HINT:.*fabric\.commit_status.*before you repeat the call/s,
	'the error says that it is not known whether the orderer has accepted the transaction');
like($error, $doubt, 'the context has the transaction id');
is(outcome($error), 'VALID', 'the transaction was committed');

# the connection breaks after the orderer has taken it
my $session = start_query($client->connection,
	"\\set VERBOSITY verbose\nSET fabric.broadcast_timeout = '60s';\n" . create_vehicle('A2'));
my $broken = 0;
ok( wait_until(
		sub {
			$broken += grep {
				$_->query(
					"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '$client->{role}' AND state = 'active' AND query LIKE '%fabric_internal.submit%'"
				) > 0
			} @orderers;
			$broken;
		}),
	'the connection breaks after the orderer has the transaction');
$_->set_faults('') foreach @orderers;
(undef, $error, my $status) = finish_query($session);
# another orderer accepted it within the time: the call succeeds
ok($status == 0 || outcome($error) eq 'VALID',
	'a call whose connection breaks succeeds with another orderer, or names the transaction')
  or diag($error);

# canceled while it waits for the block
$client->set_faults('ledger_before_commit=hold');
$error = $client->error_of("SET statement_timeout = '6s'; " . create_vehicle('A3'));
like($error, qr/57014.*statement timeout/, 'the call times out while it waits for its block');
$client->set_faults('');
is(outcome($error), 'VALID', 'the transaction of the call that timed out was committed');

# refused by all orderers: no doubt
$error = $client->error_of(invoke('create_vehicle', 'A4', 'x', 'y', 'no year', 'z', '1'));
isnt($error, '', 'the chaincode refuses the call');
unlike(
	$error,
	qr/may be committed/,
	'the error of a refused call does not say that the transaction may be committed');

# the orderers die after they have ordered it, and before this node, also an orderer, has the block:
# submitting again fails, but the transaction is committed
wait_for_leader($network, 'trade');
my ($here, @others) = @orderers;
$here->set_faults('ledger_before_commit=hold');
$session = start_query($here->connection,
	"\\set VERBOSITY verbose\nSET fabric.broadcast_timeout = '5s';\n" . create_vehicle('A5'));
ok( wait_until(
		sub {
			$others[0]->query(
				"SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND key = 'A5'")
			  == 1;
		}),
	'the other nodes have the transaction');
$_->kill_hard foreach @others;
my $killed_at = $here->query('SELECT clock_timestamp()');
ok( wait_until(
		sub {
			$here->query(
				"SELECT count(*) FROM fabric.nodes WHERE role = 'orderer' AND last_error_at > '$killed_at'"
			) > 0;
		}),
	'the transaction is submitted again, and no orderer can be reached');
$here->set_faults('');
(my $output, $error, $status) = finish_query($session);
is($status, 0, 'the call succeeds although no orderer could accept the transaction again')
  or diag($error);
is( $here->query("SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND key = 'A5'"),
	1, 'the transaction is committed');

# without an orderer nothing is submitted
$error = $here->error_of("SET fabric.broadcast_timeout = '3s'; " . create_vehicle('A6'));
like($error, qr/LF50[23]/, 'a call fails when no orderer can be reached');
unlike(
	$error,
	qr/may be committed/,
	'the error without an orderer does not say that the transaction may be committed');
$_->start foreach @others;
wait_for_leader($network, 'trade');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
is( $here->query(
		"SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND key IN ('A4', 'A6')"),
	0,
	'refused transactions have no effect');
done_testing();
