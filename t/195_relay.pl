# Many sessions have few connections to other nodes. Canceled and terminated sessions, and the end
# of the process that owns the connections, leave nothing behind and lose nothing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_until vehicles_of
  processes_for $ANY_TWO);
use Fabric::Load qw(run_load);
use Fabric::Psql qw(start_query finish_query);
use PostgreSQL::Test::Utils;
use Test::More;

my $CONNECTIONS = 4;
my $SESSIONS = 40;
my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "max_connections = 100\nfabric.relay_connections = $CONNECTIONS\n");
my ($org1, $org2, $org3) = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

# Backends at a node that have served sessions of the first node; without the connection of its
# orderer, which may not have sent anything yet
sub served_at
{
	my ($node) = @_;

	return $node->query(
		"SELECT count(*) FROM pg_stat_activity WHERE usename = '$org1->{role}' AND query ~ 'endorse|submit'"
	);
}

sub relay
{
	my ($column) = @_;

	return $org1->query("SELECT $column FROM fabric.stat_relay");
}

sub set_on_org1
{
	my ($setting) = @_;
	my ($name, $value) = split / = /, $setting;

	$org1->query("ALTER SYSTEM SET $setting");
	$org1->reload;
	ok(wait_until(sub { $org1->query("SHOW $name") eq $value }), $setting);
}

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
append_to_file("$tmp/create.sql",
	"\\set i :i + 1\n" . create_vehicle('X') =~
	  s/'X'/:prefix || '-' || :client_id || '-' || :i/r . ";\n");

# 40 sessions at once; the sessions that watch them count too
ok(wait_until(sub { relay('pid') ne '' }), 'the relay runs');
my $before = relay('requests');
my $load = run_load(
	$org1, "$tmp/create.sql",
	sessions => $SESSIONS,
	transactions => 3,
	variables => { i => 0, prefix => "'A'" });
ok($load->{ok}, "$SESSIONS sessions commit transactions at once") or diag($load->{errors});
is($load->{count}, 3 * $SESSIONS, 'every call returns');
is(vehicles_of($org1), 3 * $SESSIONS, 'each transaction is committed once');
cmp_ok(
	relay('requests') - $before,
	'>=',
	3 * $SESSIONS,
	'the requests of the sessions went over the relay');
is(relay('requests_now'), 0, 'no request is left');

foreach my $node ($org2, $org3)
{
	cmp_ok(served_at($node), '<=', $CONNECTIONS,
		"$node->{name} has at most $CONNECTIONS connections of the relay");
}
cmp_ok(
	relay('connections'), '>=',
	served_at($org2) + served_at($org3),
	'fabric.stat_relay counts the connections');
cmp_ok(
	relay('connections'), '<=',
	2 * $CONNECTIONS,
	'the relay has no more connections than allowed');

# a call that the second node has to endorse
sub ask
{
	my ($id) = @_;

	return
	  "SET application_name = 'asking';\nSELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['$id', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])";
}

# sessions are canceled or terminated while their requests wait, or are being answered
my @stopped = processes_for($org2, $org1);
kill 'STOP', @stopped;
my @sessions = map { start_query($org1->connection, ask("E$_")) } 1 .. 8;
ok( wait_until(sub { relay('requests_now') == 8 }),
	'eight requests wait for a node that does not answer') or diag(relay('requests_now'));
my @pids = split /\n/,
  $org1->query("SELECT pid FROM pg_stat_activity WHERE application_name = 'asking' ORDER BY pid");
is(scalar(@pids), 8, 'the requests belong to eight sessions');
$org1->query('SELECT ' . ($_ % 2 ? 'pg_cancel_backend' : 'pg_terminate_backend') . "($pids[$_])")
  foreach 0 .. $#pids;
my @errors = map { (finish_query($_))[1] } @sessions;
is( scalar(
		grep { /canceling statement|terminating connection|server closed the connection/ } @errors),
	8,
	'each call ends when it is canceled or terminated') or diag(@errors);
ok( wait_until(sub { relay('requests_now') == 0 }),
	'the relay drops requests whose sessions have ended') or diag(relay('requests_now'));
kill 'CONT', @stopped;
like($org1->query(ask('E9')), qr/^[0-9a-f]{64}$/m, 'a call succeeds when the node answers again');

# the relay ends during a request: its session makes a connection itself
my $pid = relay('pid');
@stopped = processes_for($org2, $org1);
kill 'STOP', @stopped;
my $session = start_query($org1->connection, ask('F1'));
ok(wait_until(sub { relay('requests_now') == 1 }), 'a request waits');
$org1->query("SELECT pg_terminate_backend($pid)");
ok(wait_until(sub { relay('requests_now') == 0 }), 'the relay ends')
  or diag(relay('requests_now'));
kill 'CONT', @stopped;
my ($output, $error, $status) = finish_query($session);
is($status, 0, 'the call succeeds although the relay ended') or diag($error);
ok(wait_until(sub { my $now = relay('pid'); $now ne '' && $now ne $pid }),
	'another relay is started');
$before = relay('requests');
like($org1->query(ask('F2')), qr/^[0-9a-f]{64}$/m, 'a call succeeds with the new relay');
cmp_ok(relay('requests'), '>', $before, 'the new relay carries requests');

# the connections of the relay hang, but the node works: other sessions still reach it
set_on_org1('fabric.relay_connections = 1');
$org1->query(ask('F3'));
@stopped = grep { $_ != $org2->process_id } processes_for($org2, $org1);
kill 'STOP', @stopped;
my @stuck = map { start_query($org1->connection, ask("G$_")) } 1 .. $CONNECTIONS + 1;
ok(wait_until(sub { relay('requests_now') > 0 }), 'requests hang');
like($org1->query(ask('G9')),
	qr/^[0-9a-f]{64}$/m,
	"a session makes a connection of its own when the relay's connections hang");
kill 'CONT', @stopped;
is(scalar(grep { (finish_query($_))[2] == 0 } @stuck),
	scalar(@stuck), 'the hanging requests succeed when the node answers');

# without a relay
set_on_org1('fabric.relay_connections = 0');
$before = relay('requests');
is($org1->error_of(create_vehicle('D1')),
	'', 'a session makes its own connections with fabric.relay_connections = 0');
is(relay('requests'), $before, 'the relay carries no request with fabric.relay_connections = 0');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
