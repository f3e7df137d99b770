# The orderers' leader dies under load: calls that run go on by themselves, and the dead node catches up.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade');

FabricTest::deploy_registry($network, policy => "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
my $leader = FabricTest::wait_for_leader($network, 'trade');
my @others = grep { $_ != $leader } $network->nodes;

# four sessions at each living node, each with a series of calls
my @sessions;
foreach my $number (1 .. 8)
{
	push @sessions, start_query($others[ $number % 2 ]->connection, join(";\n", map { FabricTest::create_vehicle("V$number-$_") } 1 .. 25));
}
select(undef, undef, undef, 0.5);
$leader->kill_hard;
my $next = FabricTest::wait_for_leader($network, 'trade');
isnt($next->{name}, $leader->{name}, "$next->{name} leads after $leader->{name} died");
foreach my $session (@sessions)
{
	my ($output, $error, $status) = finish_query($session);
	is($status, 0, 'a session ended well') or diag($error);
}
my $count = "SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'vehicles'";
is($others[0]->query($count), 200, 'every call was committed once');
$leader->start;
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'the dead node has caught up and all are the same');
is($leader->query($count), 200, 'with all vehicles');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, "$_->{name} verifies its chain") foreach $network->nodes;
done_testing();
