# A host that swallows what is sent to it, as one without power behind a switch does: nobody waits for it. The orderers keep their leader, sessions
# their time limits, and the node is back in the network as soon as it answers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until $ANY_TWO);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

# times that a busy machine keeps, and that are still shorter than the system's for a host that does not answer
my $network = start_network(orgs => 3, orderers => 3, channel => 'trade', settings => "fabric.connect_timeout = 4s\nfabric.raft_election_timeout = 3s\n");
my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');
my $leader = wait_for_leader($network, 'trade');
my ($silent, $follower) = reverse grep { $_ != $leader } @nodes;

# A listening socket whose queue is full answers no attempt to connect
my @held;

sub fall_silent
{
	my ($port) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1) or die "could not listen on port $port: $!\n";

	push @held, $listener;
	while (my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1))
	{
		push @held, $client;
		die "port $port does not fall silent\n" if @held > 20;
	}
}

sub terms
{
	return join(' ', map { $_->query("SELECT concat(role, ' of term ', term, ' led by ', leader_id) FROM fabric.stat_orderer") } $leader, $follower);
}

$silent->kill_hard;
fall_silent($silent->{port});
my $before = terms();
my $begin = time;
for (my $i = 0; time - $begin < 12; $i++)
{
	$leader->query(create_vehicle("S$i"));
	sleep 0.2;
}
is(terms(), $before, 'the leader stays while it tries to connect to a silent host');

my $endorse = "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E1', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['$silent->{msp_id}'])";
$begin = time;
like($leader->error_of($endorse), qr/LF310.*$silent->{msp_id}: could not connect.*timeout expired/s, 'who insists on it is told after fabric.connect_timeout');
cmp_ok(time - $begin, '<', 8, 'in its time');
$begin = time;
like($leader->error_of("SET statement_timeout = '500ms'; $endorse"), qr/57014/, 'and a session can be cancelled meanwhile');
cmp_ok(time - $begin, '<', 3.5, 'at once');

@held = ();
$silent->start;
ok(wait_until(sub { $leader->query("SELECT bool_and(connected) FROM fabric.stat_orderer_followers") eq 't' }, 10), 'when it answers, it is connected again');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same in the end');
done_testing();
