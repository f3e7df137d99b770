# Nodes that run and do not answer.
#
# A host that swallows packets, as one without power behind a switch does, delays no other node: the
# orderers keep their leader, sessions keep their time limits, and the node is back in the network
# as soon as it answers. An organization whose database hangs is replaced by another one, and an
# unknown host name is an error like others.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  eventually_like $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

# Limits that a busy machine keeps, still shorter than the system's for a host that does not answer.
# An orderer that waited for a connection would lose its leadership
my $network = start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.connect_timeout = 8s\nfabric.raft_election_timeout = 4s\n");
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $leader = wait_for_leader($network, 'trade');
my ($silent, $follower) = reverse grep { $_ != $leader } @nodes;

# A listening socket whose queue is full answers no attempt to connect
my @held;

sub fall_silent
{
	my ($port) = @_;
	my $listener = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		LocalPort => $port,
		Listen => 1,
		ReuseAddr => 1) or die "could not listen on port $port: $!\n";

	push @held, $listener;
	while (my $client =
		IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1))
	{
		push @held, $client;
		die "port $port does not fall silent\n" if @held > 20;
	}
}

sub terms
{
	return join(
		' ',
		map {
			$_->query(
				"SELECT concat(role, ' of term ', term, ' led by ', leader_id) FROM fabric.stat_orderer"
			)
		} $leader,
		$follower);
}

$silent->kill_hard;
fall_silent($silent->{port});
my $before = terms();
my $begin = time;
for (my $i = 0 ; time - $begin < 20 ; $i++)
{
	$leader->query(create_vehicle("S$i"));
	sleep 0.2;    # sleep: the pace of an application; the leader must stay all the time
}
is(terms(), $before, 'the leader does not change while it tries to connect to a silent host');

my $endorse =
  "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E1', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['$silent->{msp_id}'])";
$begin = time;
like(
	$leader->error_of($endorse),
	qr/LF310.*$silent->{msp_id}: could not connect.*timeout expired/s,
	'the error of a call that requires the silent host has the reason after fabric.connect_timeout'
);
cmp_ok(time - $begin, '<', 100, 'the call fails long before the endorsement timeout');
$begin = time;
like($leader->error_of("SET statement_timeout = '500ms'; $endorse"),
	qr/57014/, 'a call that waits for a silent host can be canceled');
cmp_ok(time - $begin, '<', 8, 'the call is canceled before fabric.connect_timeout');

@held = ();
$silent->start;
ok( wait_until(
		sub {
			$leader->query("SELECT bool_and(connected) FROM fabric.stat_orderer_followers") eq 't';
		}),
	'the node is connected again when it answers');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# ---- a node that takes the request and does not answer ----

my ($hanging) = grep { $_ != $leader } @nodes;    # the one that is asked first
my $lock = start_query($hanging->connection,
	"BEGIN; LOCK TABLE fabric_internal.world_state IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)");
ok( wait_until(
		sub {
			$hanging->query(
				"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'fabric_internal.world_state'::regclass"
			) == 1;
		}),
	"the ledger of $hanging->{name} is locked");
my @times = split /\n/, $leader->query(
	"SET fabric.endorsement_timeout = '10min';\n" . join(
		";\n",
		map {
			(       "SELECT extract(epoch FROM clock_timestamp()) FROM ("
				  . create_vehicle("H$_")
				  . ') AS call')
		} 1 .. 3));
is(scalar @times, 3, 'another organization replaces one that does not answer');
cmp_ok($times[2] - $times[0], '<', 120, 'the calls return long before the endorsement timeout');
like(
	$leader->error_of(
		"SET fabric.endorsement_timeout = '8s'; SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E2', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['$hanging->{msp_id}'])"
	),
	qr/LF310.*$hanging->{msp_id}: no answer yet/s,
	'the error of a call that requires the hanging node has the reason');
ok( wait_until(
		sub {
			$hanging->query(
				"SELECT count(*) FROM pg_stat_activity WHERE usename = '$leader->{role}' AND wait_event_type = 'Lock'"
			) == 0;
		}),
	'a request ends when no session waits for its answer');
$hanging->query(
	'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE \'%pg_sleep(600)\' AND pid <> pg_backend_pid()'
);
finish_query($lock);

# ---- a name without an address ----

my $insist =
  "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E3', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['$hanging->{msp_id}'])";
$leader->query(
	"INSERT INTO fabric_internal.node VALUES ('localhost:$hanging->{port}', 'host=none.invalid')");
# the relay connects again
$leader->reload;
$begin = time;
# when the name service itself does not answer, the time limit for connecting ends the attempt
eventually_like(
	sub { $leader->error_of($insist) },
	qr/LF310.*$hanging->{msp_id}: could not connect.*(could not find the address of host "none\.invalid"|timeout expired)/s,
	'the error has the reason when the name of a node cannot be resolved');
cmp_ok(time - $begin, '<', 100, 'the call fails long before the endorsement timeout');
$begin = time;
like($leader->error_of("SET statement_timeout = '500ms'; $insist"),
	qr/57014|LF310/, 'a call that waits for name resolution can be canceled');
cmp_ok(time - $begin, '<', 8, 'the call is canceled before fabric.connect_timeout');
$leader->query('DELETE FROM fabric_internal.node');

# an organization that is named several times is asked once
my $many = "array_fill('$hanging->{msp_id}'::text, ARRAY[100])";
is( $leader->query(
		"SELECT validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['M1', 'a', 'b', '1', 'c', '1'], endorsing_orgs => $many || '$leader->{msp_id}'::text)"
	),
	'VALID',
	'a transaction is valid when one organization is named many times');
is( $leader->query(
		"SELECT jsonb_array_length(jsonb_path_query_first(fabric.decode_message('common.Envelope', envelope), '\$.**.endorsements')) FROM fabric.transactions WHERE channel = 'trade' AND arguments[1] = 'M1'"
	),
	2,
	'the transaction has one endorsement of each organization');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
