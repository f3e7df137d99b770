# Without a quorum of orderers a call ends with LF502 within fabric.broadcast_timeout, and names the
# orderers that were asked, with the answer of each.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until);
use Fabric::Node;
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(
	orgs => 4,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_election_timeout = 6s\n");
my @nodes = $network->nodes;
my @orderers = $network->orderers;
my $client = $nodes[3];
my $package_id = deploy_registry($network,
	policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer', 'Org4MSP.peer')");
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $leader = wait_for_leader($network, 'trade');
my ($left, $stopped) = grep { $_ != $leader } @orderers;
my $unreachable = join '|', $leader->{port}, $stopped->{port};
my $definition = "'trade', 'vehicles', '2.0', 2";

$_->stop foreach $leader, $stopped;
ok( wait_until(
		sub {
			$left->query(
				"SELECT count(*) FROM fabric.stat_orderer WHERE coalesce(leader_id, 0) = 0") eq '1';
		}),
	"$left->{name} knows no leader");

foreach my $node ($left, $client)
{
	my $error =
	  $node->error_of("SET fabric.broadcast_timeout = '12s'; " . create_vehicle("N-$node->{name}"));

	like(
		$error,
		qr/LF502: channel "trade" has no leader now/,
		"$node->{name}: the call ends with LF502");
	like(
		$error,
		qr/DETAIL:.*consenter $left->{number}, has known of no leader since \d{4}-/,
		"$node->{name}: the detail says since when the running orderer knows no leader");
	is(scalar(() = $error =~ /could not connect to node "localhost:(?:$unreachable)"/g),
		2, "$node->{name}: the detail names the two other orderers with their errors");
	like(
		$error,
		qr/HINT:.*More than half of the channel's orderers must run/,
		"$node->{name}: the hint says that more than half of the orderers must run");
	unlike(
		$error,
		qr/may be committed/,
		"$node->{name}: the error does not say that the transaction may be committed");
}
like(
	$client->error_of(
		"SET fabric.broadcast_timeout = '12s'; SELECT fabric.approve_chaincode($definition, '$package_id')"
	),
	qr/LF502.*DETAIL:.*no leader since/s,
	'a call of the lifecycle ends with LF502');

# ---- the quorum is lost while a session waits for its block ----

$_->start foreach $leader, $stopped;
$leader = wait_for_leader($network, 'trade');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
($left, $stopped) = grep { $_ != $leader } @orderers;
# The two stop answering. The third one notices this later than a busy machine needs for a call, so
# it accepts a transaction before. A worker reads the timeout when it starts
my $orderer_pid = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'fabric orderer'";
my $old_pid = $left->query($orderer_pid);
$left->set("fabric.raft_election_timeout = 15s\n");
my $launcher_pid =
  $left->query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fabric launcher'");
kill 'STOP', $launcher_pid;
$left->query("SELECT pg_terminate_backend($old_pid)");
ok(wait_until(sub { $left->query('SELECT running FROM fabric.stat_orderer') eq 'f' }),
	"$left->{name}: the orderer process has ended");
# otherwise its successor would take transactions before it has heard of a leader
is($left->query('SELECT leader_id, pending_envelopes FROM fabric.stat_orderer'),
	'|0', 'fabric.stat_orderer shows no leader while the orderer does not run');
kill 'CONT', $launcher_pid;
ok( wait_until(
		sub {
			$left->query(
				"SELECT pid <> $old_pid AND r.leader_id <> 0 FROM fabric.stat_orderer r, ($orderer_pid) w WHERE r.running"
			) eq 't';
		}),
	"$left->{name}: the orderer runs with a longer election timeout");
my @frozen =
  map { my $pid = $_->process_id; kill 'STOP', $pid; ($pid, Fabric::Node::children_of($pid)) }
  $leader, $stopped;
kill 'STOP', @frozen;
my $session = start_query($left->connection,
	"\\set VERBOSITY verbose\nSET fabric.broadcast_timeout = '12s';\n" . create_vehicle('W1'));
my (undef, $error, $status) = finish_query($session);
isnt($status, 0, 'the call that waits for its block fails');
like($error, qr/LF502: channel "trade" has no leader now/,
	'the error of the waiting call is LF502');
like(
	$error,
	qr/HINT:.*fabric\.commit_status/,
	'the hint of the waiting call names fabric.commit_status');
like(
	$error,
	qr/CONTEXT:.*transaction [0-9a-f]{64} was sent to an orderer and may be committed/,
	'the context says that the transaction may be committed');
my ($tx_id) = $error =~ /transaction ([0-9a-f]{64})/;
kill 'CONT', @frozen;
wait_for_leader($network, 'trade');
$client->query(create_vehicle('W2'));
is(scalar(fingerprints($network, 'trade')),
	1, 'all nodes have the same ledger when there is a quorum again');
like(
	$left->query(
		"SELECT coalesce(validation_code, 'none') FROM fabric.commit_status('trade', '$tx_id', '5 s')"
	),
	qr/^(VALID|none)$/,
	'the commit status tells whether the transaction was committed');
done_testing();
