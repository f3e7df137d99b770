# A waiting call ends at once when it is canceled, whatever it waits for, and leaves nothing behind.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_for_leader wait_until
  eventually_is vehicles_of processes_for);
use Fabric::Psql qw(start_query finish_query);
use Test::More;
use Time::HiRes qw(time);

my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.connect_timeout = 120s\n");
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
fingerprints($network, 'trade');

# connections that sessions (not workers) hold at other nodes, and locks of idle or dead sessions
sub leftovers
{
	my $locks = $org1->query(
		"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND l.locktype <> 'virtualxid'"
	);
	return $locks;
}

# The error of the statement $sql when it is interrupted by $how while $waits (SQL) is true. Without
# the interruption it would run for more than a minute
sub interrupted
{
	my ($sql, $how, $waits) = @_;
	my $session = start_query($org1->connection,
		"SET application_name = 'waiting';\n\\set VERBOSITY verbose\n$sql");
	my $pid;

	ok( wait_until(
			sub {
				$pid = $org1->query(
					"SELECT pid FROM pg_stat_activity WHERE application_name = 'waiting' AND state = 'active' AND query LIKE '%fabric.%' AND query NOT LIKE 'SET%' AND wait_event IS NOT NULL AND ($waits)"
				);
			}),
		'the call waits');
	my $begin = time;
	is($org1->query("SELECT $how($pid)"), 't', $how);
	my ($output, $error, $status) = finish_query($session);
	cmp_ok(time - $begin, '<', 60, 'the interrupted call ends at once');
	eventually_is(\&leftovers, 0, 'the interrupted call leaves no lock');
	return $error;
}

sub timed
{
	my ($sql, $limit) = @_;
	my $begin = time;
	my $error = $org1->error_of("SET statement_timeout = '$limit'; $sql");

	cmp_ok(time - $begin, '<', 60, 'statement_timeout ends the call');
	return $error;
}

my $for_block = "(SELECT sessions_waiting FROM fabric.stat_channel WHERE channel = 'trade') = 1";

# waiting for the block: the orderers work, but no block is committed here
$org1->set_faults('ledger_before_commit=hold');
like(interrupted(create_vehicle('B1'), 'pg_cancel_backend', $for_block),
	qr/57014/, 'a call can be canceled while it waits for its block');
like(
	timed(create_vehicle('B2'), '6s'),
	qr/57014.*statement timeout/,
	'a call ends at statement_timeout while it waits for its block');
like(
	interrupted(
		"SELECT * FROM fabric.commit_status('trade', repeat('0', 64), '10 minutes')",
		'pg_cancel_backend', $for_block),
	qr/57014/,
	'commit_status can be canceled while it waits');
like(
	interrupted(create_vehicle('B3'), 'pg_terminate_backend', $for_block),
	qr/57P01|server closed the connection/,
	'a session can be terminated while a call waits for its block');
my $begin = time;
like(
	$org1->error_of("SET fabric.commit_timeout = '500ms'; " . create_vehicle('B4')),
	qr/LF504.*DETAIL|LF504.*HINT/s,
	'fabric.commit_timeout ends the wait with LF504');
cmp_ok(time - $begin, '<', 60, 'fabric.commit_timeout ends the wait in time');
$org1->set_faults('');
# an ordered transaction takes effect: canceling ends the wait, not the transaction
ok(wait_until(sub { vehicles_of($org1) == 4 }), 'transactions of interrupted calls are committed');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# waiting for an endorsement of a node that does not answer
my @stopped = processes_for($org2, $org1);
kill 'STOP', @stopped;
my $endorse =
  "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E1', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])";
like(
	interrupted($endorse, 'pg_cancel_backend', '(SELECT requests_now FROM fabric.stat_relay) = 1'),
	qr/57014/,
	'a call can be canceled while it waits for an endorsement');
like(
	timed($endorse, '700ms'),
	qr/57014.*statement timeout/,
	'a call ends at statement_timeout while it waits for an endorsement');
like($org1->error_of("SET fabric.endorsement_timeout = '700ms'; $endorse"),
	qr/LF310.*Org2MSP/s, 'fabric.endorsement_timeout ends the wait with LF310');
kill 'CONT', @stopped;

# many canceled calls in one session, which works afterwards
@stopped = processes_for($org2, $org1);
kill 'STOP', @stopped;
my $answering = "$PostgreSQL::Test::Utils::tmp_check/the_node_answers";
my $session = start_query($org1->connection,
		"\\set ON_ERROR_STOP off\nSET statement_timeout = '150ms';\n"
	  . ("$endorse;\n" x 8)
	  . "RESET statement_timeout;\nSET application_name = 'many';\n"
	  . "\\! until [ -e '$answering' ]; do sleep 0.1; done\n"
	  . create_vehicle('E2')
	  . ";\nSELECT fabric.query('trade', 'vehicles', 'vehicle_exists', 'E2')");
my $many = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'many'";
ok(wait_until(sub { $org1->query($many) == 1 }), 'eight calls of one session have timed out');
kill 'CONT', @stopped;
Fabric::Host::spew($answering, '');
my ($output, $error, $status) = finish_query($session);
like($output, qr/true|^t$/m, 'the session commits a transaction after its canceled calls')
  or diag($error);
is(() = $error =~ /statement timeout/g, 8, 'each of the eight calls was canceled');
eventually_is(sub { $org1->query($many) }, 0, 'the session has ended');
ok( wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_stat_activity WHERE usename = '$org1->{role}' AND query LIKE '%endorse%' AND state <> 'idle'"
			) == 0;
		}),
	'no request of the session is left at the other node');
eventually_is(sub { $org1->query('SELECT requests_now FROM fabric.stat_relay') },
	0, 'no request of the session is left in the relay');

# waiting for orderers: two of three are down
$_->kill_hard foreach $org2, $org3;
ok( wait_until(
		sub {
			$org1->query(
				"SELECT count(*) FROM fabric.stat_orderer WHERE channel = 'trade' AND leader_id IS NOT NULL"
			) == 0;
		}),
	'the channel has no leader');
like(interrupted(create_vehicle('O1'), 'pg_cancel_backend', 'true'),
	qr/57014/, 'a call can be canceled while it waits for orderers');
like(
	timed(create_vehicle('O2'), '700ms'),
	qr/57014.*statement timeout/,
	'a call ends at statement_timeout while it waits for orderers');
like($org1->error_of("SET fabric.broadcast_timeout = '700ms'; " . create_vehicle('O3')),
	qr/LF50[23].*(DETAIL|HINT)/s, 'fabric.broadcast_timeout ends the wait with LF502 or LF503');
$_->start foreach $org2, $org3;
wait_for_leader($network, 'trade');
$org1->query(create_vehicle('O4'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
